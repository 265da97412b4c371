//! One's own account: password, sessions, second factor, lost passwords, sign-up, own data, and the trail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use actix_web::http::Method;
use common::{Reply, TestApp, TestCall, TestSession};
use serde_json::{Value, json};
use zenovay::config::ServerFlags;
use zenovay::http::console::resets;
use zenovay_auth::{SECOND_FACTOR_MS, Secret};
use zenovay_domain::{Plan, Role, UserId};
use zenovay_store::LinkPurpose;

const PASSWORD: &str = "correct horse battery staple";
const OTHER: &str = "another horse battery staple";

fn call<'a>(app: &'a TestApp, method: &str, path: &str) -> TestCall<'a> {
    app.request(Method::from_bytes(method.as_bytes()).unwrap(), path)
}

async fn sign_in(app: &TestApp, password: &str) -> Reply {
    let body = json!({ "email": "ada@example.com", "password": password });
    app.post("/api/session").json(&body).send().await
}

struct Person<'a> {
    app: &'a TestApp,
    id: UserId,
    session: TestSession,
}

impl<'a> Person<'a> {
    fn new(app: &'a TestApp) -> Self {
        let id = app.user_with_password("ada@example.com", PASSWORD);
        Self { app, id, session: app.sign_in(id) }
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Reply {
        call(self.app, method, path).session(&self.session).json(&body).send().await
    }

    async fn get(&self, path: &str) -> Reply {
        self.app.get(path).session(&self.session).send().await
    }
}

#[actix_web::test]
async fn a_profile_is_changed_member_by_member() {
    let app = TestApp::start().await;
    let ada = Person::new(&app);
    let edit = json!({ "name": "Ada", "locale": "en-GB", "theme": "dark", "time_zone": "Europe/Vienna", "single_keys": false,
                       "password_hash": "x", "id": "x" });
    let data = ada.send("PATCH", "/api/account", edit).await.expect(200).data();
    let members = ["name", "locale", "theme", "time_zone", "single_keys", "email"].map(|name| data[name].clone());
    assert_eq!(json!(members), json!(["Ada", "en-GB", "dark", "Europe/Vienna", false, "ada@example.com"]));
    let data = ada.send("PATCH", "/api/account", json!({ "locale": null, "theme": "light" })).await.expect(200).data();
    assert_eq!(
        (&data["locale"], &data["theme"], &data["time_zone"]),
        (&Value::Null, &json!("light"), &json!("Europe/Vienna"))
    );
    for (body, field) in [
        (json!({ "locale": "no such tag" }), "locale"),
        (json!({ "time_zone": "Atlantis/Center" }), "time_zone"),
        (json!({ "name": "" }), "name"),
        (json!({ "email": "nobody" }), "email"),
        (json!({ "email": "b@example.com" }), "password"),
    ] {
        let reply = ada.send("PATCH", "/api/account", body.clone()).await.expect(422);
        assert!(reply.json()["details"][field].is_string(), "{body}: {}", reply.text());
    }
    ada.send("PATCH", "/api/account", json!({ "theme": "red" })).await.expect(400);
}

/// A session that was stolen changes no address.
#[actix_web::test]
async fn another_address_needs_the_password_and_is_nobody_elses() {
    let app = TestApp::start().await;
    let ada = Person::new(&app);
    app.user_with_password("taken@example.com", OTHER);
    let edit = |email: &str, password: &str| json!({ "email": email, "password": password });
    ada.send("PATCH", "/api/account", edit("b@example.com", "wrong password")).await.expect(401);
    ada.send("PATCH", "/api/account", edit("Taken@Example.com", PASSWORD)).await.expect(409);
    ada.send("PATCH", "/api/account", edit("b@example.com", PASSWORD)).await.expect(200);
    sign_in(&app, PASSWORD).await.expect(401);
    let body = json!({ "email": "b@example.com", "password": PASSWORD });
    app.post("/api/session").json(&body).send().await.expect(200);
}

/// Sabotage: keep the sessions that the earlier password opened.
#[actix_web::test]
async fn a_new_password_needs_the_old_one_and_ends_all_other_sessions() {
    let app = TestApp::start().await;
    let ada = Person::new(&app);
    let elsewhere = app.sign_in(ada.id);
    let change = |current: &str, new: &str| json!({ "current": current, "new": new });
    ada.send("PUT", "/api/account/password", change("wrong password", OTHER)).await.expect(401);
    for (weak, problem) in [
        ("short", "Use at least 12 characters"),
        ("password1234", "This one is among the first that attackers try; use another"),
    ] {
        let reply = ada.send("PUT", "/api/account/password", change(PASSWORD, weak)).await.expect(422);
        assert_eq!(reply.json()["details"]["new"], problem);
    }
    let reply = ada.send("PUT", "/api/account/password", change(PASSWORD, OTHER)).await.expect(204);
    let secret = reply.new_secret().unwrap();
    app.get("/api/session").session(&elsewhere).send().await.expect(401);
    app.get("/api/session").session(&ada.session).send().await.expect(401);
    app.get("/api/session").cookie(&secret).send().await.expect(200);
    sign_in(&app, PASSWORD).await.expect(401);
    sign_in(&app, OTHER).await.expect(200);
}

/// Sabotage: count tries in a session with those of strangers.
#[actix_web::test]
async fn guesses_of_strangers_keep_nobody_out_who_is_in() {
    let app = TestApp::start().await;
    let ada = Person::new(&app);
    let mut tries = 0..20;
    while tries.next().is_some() && sign_in(&app, "wrong password").await.status != 429 {}
    sign_in(&app, PASSWORD).await.expect(429);
    let edit = json!({ "email": "b@example.com", "password": PASSWORD });
    ada.send("PATCH", "/api/account", edit).await.expect(200);
    ada.send("POST", "/api/account/totp", json!({})).await.expect(200);
    // Nor does a session that was stolen keep out its owner; it is paused itself.
    let stolen = Person { app: &app, id: ada.id, session: app.sign_in(ada.id) };
    let change = |current: &str| json!({ "current": current, "new": OTHER });
    let mut tries = 0..20;
    while tries.next().is_some()
        && stolen.send("PUT", "/api/account/password", change("wrong password")).await.status != 429
    {}
    stolen.send("PUT", "/api/account/password", change(PASSWORD)).await.expect(429);
    stolen.send("DELETE", "/api/account", json!({ "password": PASSWORD })).await.expect(429);
    ada.send("PUT", "/api/account/password", change(PASSWORD)).await.expect(204);
}

#[actix_web::test]
async fn sessions_are_listed_and_ended() {
    let app = TestApp::start().await;
    let ada = Person::new(&app);
    app.clock.advance_ms(1);
    let (phone, tablet) = (app.sign_in(ada.id), app.sign_in(ada.id));
    let stranger = app.sign_in(app.user());
    let list = ada.get("/api/account/sessions").await.expect(200).data();
    let rows = list["sessions"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    let current: Vec<_> = rows.iter().filter(|row| row["current"] == true).collect();
    assert_eq!(current.len(), 1);
    assert_eq!((&current[0]["id"], &current[0]["browser"]), (&json!(ada.session.id.to_string()), &json!("Chrome")));
    for not_mine in [stranger.id.to_string(), "x".to_owned()] {
        call(&app, "DELETE", &format!("/api/account/sessions/{not_mine}"))
            .session(&ada.session)
            .send()
            .await
            .expect(404);
    }
    call(&app, "DELETE", &format!("/api/account/sessions/{}", phone.id)).session(&ada.session).send().await.expect(204);
    app.get("/api/session").session(&phone).send().await.expect(401);
    call(&app, "DELETE", "/api/account/sessions").session(&ada.session).send().await.expect(204);
    app.get("/api/session").session(&tablet).send().await.expect(401);
    app.get("/api/session").session(&ada.session).send().await.expect(200);
    app.get("/api/session").session(&stranger).send().await.expect(200);
}

/// The code of the app now, `steps` later.
fn code(app: &TestApp, secret: &str, steps: i64) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    let totp = totp_rs::Builder::new().with_secret(secret).with_account_name("a").build().unwrap();
    let seconds = app.state.clock.now().as_millis() / 1_000 + steps * 30;
    totp.generate(seconds as u64).to_string()
}

/// Sets codes up; returns the secret and the backup codes.
async fn with_codes(ada: &Person<'_>) -> (String, Vec<String>) {
    let setup = call(ada.app, "POST", "/api/account/totp").session(&ada.session).send().await.expect(200).data();
    let secret = setup["secret"].as_str().unwrap().to_owned();
    assert!(setup["otpauth_url"].as_str().unwrap().contains(&secret));
    assert!(setup["qr_svg"].as_str().unwrap().contains("<svg"));
    // Until the first code was right, none is asked for.
    assert_eq!(sign_in(ada.app, PASSWORD).await.expect(200).data()["state"], "signed_in");
    ada.send("PUT", "/api/account/totp", json!({ "code": "000000", "password": PASSWORD })).await.expect(401);
    let first = code(ada.app, &secret, 0);
    // Nor does an open browser do without the password.
    ada.send("PUT", "/api/account/totp", json!({ "code": first })).await.expect(400);
    ada.send("PUT", "/api/account/totp", json!({ "code": first, "password": "wrong password" })).await.expect(401);
    let both = json!({ "code": first, "password": PASSWORD });
    let data = ada.send("PUT", "/api/account/totp", both).await.expect(200).data();
    let codes: Vec<String> = serde_json::from_value(data["backup_codes"].clone()).unwrap();
    assert_eq!(codes.len(), 10);
    (secret, codes)
}

/// Whoever gave the password and owes a code.
async fn half_way(app: &TestApp) -> String {
    let reply = sign_in(app, PASSWORD).await.expect(200);
    assert_eq!(reply.data()["state"], "second_factor");
    reply.new_secret().unwrap()
}

/// Whoever has the password alone ends no session of its owner.
///
/// Sabotage: bound all stages together.
#[actix_web::test]
async fn sign_ins_that_wait_for_a_code_push_out_no_session() {
    let app = TestApp::start().await;
    let ada = app.user_with_password("ada@example.com", PASSWORD);
    let session = app.sign_in(ada);
    app.clock.advance_ms(1);
    for n in 0..60_u8 {
        let id = zenovay_domain::SignInId::from_random_bytes([n; 16]);
        let (digest, stage) = (zenovay_auth::SecretDigest::of(&[n]), zenovay_auth::SignInStage::SecondFactor);
        let new = zenovay_store::NewSession::new(id, ada, digest, stage, "");
        app.state.store.begin_session(&new, app.state.clock.now()).unwrap();
    }
    app.get("/api/session").session(&session).send().await.expect(200);
    let waits = |n: u8| {
        app.state.store.use_session(&zenovay_auth::SecretDigest::of(&[n]), app.state.clock.now()).unwrap().is_some()
    };
    assert_eq!((0..60).filter(|&n| waits(n)).count(), zenovay_store::HALF_WAY_MAX);
    assert!(waits(59), "the last one is not turned away");
}

/// SECURITY A16.
///
/// Sabotage: leave the comparison with the last step out.
#[actix_web::test]
async fn a_code_is_asked_for_after_the_password_and_is_good_once() {
    let app = TestApp::start().await;
    let ada = Person::new(&app);
    let (secret, _) = with_codes(&ada).await;
    let pending = half_way(&app).await;
    assert_eq!(sign_in(&app, PASSWORD).await.data()["methods"], json!(["totp", "backup"]));
    // Half way is nowhere.
    for path in ["/api/session", "/api/account", "/api/account/sessions", "/api/account/export"] {
        app.get(path).cookie(&pending).send().await.expect(401);
    }
    let give = |pending: String, code: String| {
        app.post("/api/session/totp").cookie(&pending).json(&json!({ "code": code })).send()
    };
    // The code that switched it on was used by that.
    give(pending.clone(), code(&app, &secret, 0)).await.expect(401);
    app.clock.advance_ms(30_000);
    let now = code(&app, &secret, 0);
    let reply = give(pending.clone(), now.clone()).await.expect(200);
    assert_eq!(reply.data(), json!({ "state": "signed_in" }));
    let signed_in = reply.new_secret().unwrap();
    assert_ne!(signed_in, pending, "another secret with more rights");
    app.get("/api/session").cookie(&signed_in).send().await.expect(200);
    app.get("/api/session").cookie(&pending).send().await.expect(401);
    give(pending, code(&app, &secret, 1)).await.expect(401);
    // Somebody who read it over the shoulder, with the password too.
    let thief = half_way(&app).await;
    give(thief.clone(), now).await.expect(401);
    give(thief.clone(), code(&app, &secret, -1)).await.expect(401);
    give(thief, code(&app, &secret, 1)).await.expect(200);
}

/// Sabotage: check first and use up afterwards.
#[actix_web::test]
async fn of_two_who_give_the_same_code_at_the_same_time_one_gets_in() {
    let app = TestApp::start().await;
    let ada = Person::new(&app);
    let (secret, codes) = with_codes(&ada).await;
    app.clock.advance_ms(30_000);
    let now = code(&app, &secret, 0);
    for (path, code) in [("/api/session/totp", now), ("/api/session/backup", codes[0].clone())] {
        let mut pending = Vec::new();
        for _ in 0..4 {
            pending.push(half_way(&app).await);
        }
        let calls = pending.iter().map(|secret| app.post(path).cookie(secret).json(&json!({ "code": code })).send());
        let statuses: Vec<u16> = futures_util::future::join_all(calls).await.iter().map(|reply| reply.status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{path}: {statuses:?}");
    }
}

#[actix_web::test]
async fn backup_codes_are_good_once_and_can_be_renewed() {
    let app = TestApp::start().await;
    let ada = Person::new(&app);
    let (_, codes) = with_codes(&ada).await;
    let give = async |code: &str| {
        let pending = half_way(&app).await;
        app.post("/api/session/backup").cookie(&pending).json(&json!({ "code": code })).send().await.status
    };
    assert_eq!(give(&codes[3].to_uppercase().replace('-', " ")).await, 200);
    assert_eq!(give(&codes[3]).await, 401);
    assert_eq!(give("aaaaaa-aaaaaa").await, 401);
    assert_eq!(ada.get("/api/account").await.data()["backup_codes"], 9);
    ada.send("POST", "/api/account/backup-codes", json!({ "password": "wrong password" })).await.expect(401);
    let renewed =
        ada.send("POST", "/api/account/backup-codes", json!({ "password": PASSWORD })).await.expect(200).data();
    assert_eq!(give(&codes[4]).await, 401);
    assert_eq!(give(renewed["backup_codes"][0].as_str().unwrap()).await, 200);
    ada.send("DELETE", "/api/account/totp", json!({ "password": "wrong password" })).await.expect(401);
    ada.send("DELETE", "/api/account/totp", json!({ "password": PASSWORD })).await.expect(204);
    assert_eq!(sign_in(&app, PASSWORD).await.data()["state"], "signed_in");
    ada.send("POST", "/api/account/backup-codes", json!({ "password": PASSWORD })).await.expect(409);
}

#[actix_web::test]
async fn codes_cannot_be_guessed_and_half_way_ends() {
    let app = TestApp::start().await;
    let ada = Person::new(&app);
    let (secret, _) = with_codes(&ada).await;
    app.clock.advance_ms(30_000);
    let pending = half_way(&app).await;
    let give = |code: String| app.post("/api/session/totp").cookie(&pending).json(&json!({ "code": code })).send();
    for number in 0..9 {
        let reply = give(format!("00000{number}")).await.expect(401);
        assert!(reply.text().contains("That code does not fit. Codes change every 30 seconds"), "{}", reply.text());
    }
    give("999999".to_owned()).await;
    let reply = give(code(&app, &secret, 0)).await.expect(429);
    assert!(reply.text().contains("Too many tries."), "{}", reply.text());
    app.clock.advance_ms(SECOND_FACTOR_MS);
    give(code(&app, &secret, 0)).await.expect(401);
}

/// Sabotage: leave the link after it was used.
#[actix_web::test]
async fn a_reset_link_works_once_for_an_hour_and_ends_sessions() {
    let app = TestApp::start().await;
    let ada = Person::new(&app);
    let link = || {
        let secret = Secret::generate(&mut rand::rng());
        resets::make_link(&*app.state.store, ada.id, &secret, app.state.clock.now()).unwrap();
        format!("/api/password-resets/{}", secret.expose())
    };
    let put = |path: String, password: &str| call(&app, "PUT", &path).json(&json!({ "password": password })).send();
    let (first, second) = (link(), link());
    put(first, OTHER).await.expect(404);
    put(second.clone(), "short").await.expect(422);
    put(second.clone(), OTHER).await.expect(204);
    put(second, PASSWORD).await.expect(404);
    app.get("/api/session").session(&ada.session).send().await.expect(401);
    sign_in(&app, OTHER).await.expect(200);
    let late = link();
    app.clock.advance_ms(3_600_000);
    put(late, PASSWORD).await.expect(404);
    // A link for something else resets nothing.
    let welcome = Secret::generate(&mut rand::rng());
    let (now, later) = (app.state.clock.now(), app.state.clock.now().plus_millis(1_000));
    app.state.store.create_link(ada.id, LinkPurpose::Welcome, &welcome.digest(), now, later).unwrap();
    put(format!("/api/password-resets/{}", welcome.expose()), PASSWORD).await.expect(404);
}

#[actix_web::test]
async fn asking_for_a_link_tells_nothing() {
    let app = TestApp::start().await;
    Person::new(&app);
    let ask = |email: &str| app.post("/api/password-resets").json(&json!({ "email": email })).send();
    let (known, unknown) = (ask("ada@example.com").await.expect(200), ask("nobody@example.com").await.expect(200));
    assert_eq!(known.json(), unknown.json());
    assert_eq!(known.data(), json!({ "mail": false }));
    let names = |reply: &Reply| reply.headers.keys().map(|name| name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&known), names(&unknown));
}

#[actix_web::test]
async fn sign_up_is_by_invitation_unless_the_operator_says_otherwise() {
    let body = |email: &str, invitation: Option<&str>| json!({ "email": email, "name": "New", "password": PASSWORD, "invitation": invitation });
    let with = async |sign_up: &str| {
        TestApp::with(ServerFlags { sign_up: Some(sign_up.to_owned()), ..ServerFlags::default() }).await
    };
    let invite = async |app: &TestApp, email: Option<&str>| {
        let team = app.team(Plan::Enterprise);
        let invitation = json!({ "role": "editor", "email": email });
        let call = app.post(&format!("/api/teams/{}/invitations", team.id)).session(&app.sign_in(team.owner));
        let url = call.json(&invitation).send().await.expect(201).data()["url"].as_str().unwrap().to_owned();
        url.rsplit_once('/').unwrap().1.to_owned()
    };

    let app = TestApp::start().await;
    let reply = app.post("/api/users").json(&body("new@example.com", None)).send().await.expect(403);
    assert_eq!(reply.json()["message"], "Sign-up is by invitation here.");
    app.post("/api/users").json(&body("new@example.com", Some(&"A".repeat(43)))).send().await.expect(404);
    let token = invite(&app, Some("invited@example.com")).await;
    let reply = app.post("/api/users").json(&body("new@example.com", Some(&token))).send().await.expect(422);
    assert_eq!(reply.json()["details"]["email"], "The invitation is for another address");
    let reply = app.post("/api/users").json(&body("Invited@Example.com", Some(&token))).send().await.expect(201);
    let session = app.get("/api/session").cookie(&reply.new_secret().unwrap()).send().await.expect(200).data();
    assert_eq!(session["teams"].as_array().unwrap().len(), 1);
    assert_eq!(session["teams"][0]["role"], "editor");
    app.post("/api/users").json(&body("more@example.com", Some(&token))).send().await.expect(404);
    assert!(app.state.store.user_by_email("more@example.com").unwrap().is_none(), "no account is left behind");

    let closed = with("closed").await;
    let token = invite(&closed, None).await;
    let reply = closed.post("/api/users").json(&body("new@example.com", Some(&token))).send().await.expect(403);
    assert_eq!(reply.json()["message"], "Sign-up is closed here.");

    let open = with("open").await;
    let reply = open.post("/api/users").json(&body("new@example.com", None)).send().await.expect(201);
    let session = open.get("/api/session").cookie(&reply.new_secret().unwrap()).send().await.expect(200).data();
    assert_eq!(
        (&session["teams"][0]["role"], &session["teams"][0]["name"]),
        (&json!("owner"), &json!("Workspace of New"))
    );
    open.post("/api/users").json(&body("NEW@example.com", None)).send().await.expect(409);
    let weak = json!({ "email": "x", "name": "", "password": "short" });
    let reply = open.post("/api/users").json(&weak).send().await.expect(422);
    assert_eq!(reply.json()["details"].as_object().unwrap().len(), 3, "all at once: {}", reply.text());
    let instance = open.get("/api/instance").send().await.expect(200).data();
    assert_eq!(
        (&instance["sign_up"], &instance["first_run"], &instance["mail"]),
        (&json!("open"), &json!(false), &json!(false))
    );
}

/// Whoever tries a list of addresses is told of ten, then made to wait.
///
/// Sabotage: count no taken address.
#[actix_web::test]
async fn lists_of_addresses_are_not_tried_by_signing_up_or_changing_ones_own() {
    let app = TestApp::with(ServerFlags { sign_up: Some("open".to_owned()), ..ServerFlags::default() }).await;
    let ada = Person::new(&app);
    app.user_with_password("taken@example.com", OTHER);
    let body = |email: &str| json!({ "email": email, "name": "New", "password": PASSWORD });
    let try_one = async |email: &str| app.post("/api/users").from("203.0.113.5").json(&body(email)).send().await;
    for _ in 0..10 {
        try_one("taken@example.com").await.expect(409);
    }
    try_one("taken@example.com").await.expect(429);
    try_one("free@example.com").await.expect(429);
    app.post("/api/users").from("203.0.113.6").json(&body("free@example.com")).send().await.expect(201);
    let change = |email: &str| json!({ "email": email, "password": PASSWORD });
    for _ in 0..10 {
        ada.send("PATCH", "/api/account", change("taken@example.com")).await.expect(409);
    }
    ada.send("PATCH", "/api/account", change("taken@example.com")).await.expect(429);
    ada.send("PATCH", "/api/account", json!({ "name": "Ada" })).await.expect(200);
}

/// Sabotage: delete the account first and look for its teams then.
#[actix_web::test]
async fn an_account_is_deleted_with_its_password_unless_a_team_would_be_without_owner() {
    let app = TestApp::start().await;
    let ada = Person::new(&app);
    let team = app.team(Plan::Enterprise);
    app.state.store.add_member(team.id, ada.id, Role::Owner, &app.state.plans, app.state.clock.now()).unwrap();
    app.state.store.remove_member(team.id, team.owner, app.state.clock.now()).unwrap();
    ada.send("DELETE", "/api/account", json!({ "password": "wrong password" })).await.expect(401);
    ada.send("DELETE", "/api/account", json!({})).await.expect(400);
    let reply = ada.send("DELETE", "/api/account", json!({ "password": PASSWORD })).await.expect(409);
    assert!(reply.text().contains("last owner"), "{}", reply.text());
    app.state.store.add_member(team.id, team.owner, Role::Owner, &app.state.plans, app.state.clock.now()).unwrap();
    let rename = call(&app, "PATCH", &format!("/api/teams/{}", team.id)).session(&ada.session);
    rename.json(&json!({ "name": "Renamed" })).send().await.expect(200);
    ada.send("DELETE", "/api/account", json!({ "password": PASSWORD })).await.expect(204);
    ada.get("/api/session").await.expect(401);
    sign_in(&app, PASSWORD).await.expect(401);
    // The trail of the team goes on, without the name of whoever is gone.
    let owner = app.sign_in(team.owner);
    let trail = app.get(&format!("/api/teams/{}/audit", team.id)).session(&owner).send().await.expect(200);
    assert!(!trail.text().contains("ada@example.com"), "{}", trail.text());
    assert_eq!(trail.data()["entries"][0]["actor"], "a deleted account");
}

#[actix_web::test]
async fn own_data_is_one_file_with_everything_and_no_secret() {
    let app = TestApp::start().await;
    let ada = Person::new(&app);
    let (secret, codes) = with_codes(&ada).await;
    let team = app.team(Plan::Pro);
    app.state.store.add_member(team.id, ada.id, Role::Editor, &app.state.plans, app.state.clock.now()).unwrap();
    team.website("shop.example");
    app.team(Plan::Pro).website("foreign.example");
    let key = ada.send("POST", "/api/account/keys", json!({ "name": "Mine" })).await.expect(201).data();
    app.state.store.change_role(team.id, ada.id, Role::Editor, Role::Admin).unwrap();
    let invitations = format!("/api/teams/{}/invitations", team.id);
    ada.send("POST", &invitations, json!({ "role": "viewer" })).await.expect(201);
    let reply = ada.get("/api/account/export").await.expect(200);
    let disposition = reply.header("content-disposition").unwrap();
    assert_eq!(disposition, format!("attachment; filename=\"zenovay-personal-data-{}-2026-06-13.json\"", ada.id));
    let data = reply.json();
    // Every table that names somebody has a section; what works once is a secret.
    let mut sections = vec![
        ("users", "user"),
        ("websites", "websites"),
        ("memberships", "teamMemberships"),
        ("second_factors", "mfa"),
        ("backup_codes", "mfa"),
        ("passkeys", "passkeys"),
        ("profiles", "user"),
        ("api_keys", "personalApiKeys"),
        ("sessions", "sessions"),
        ("oauth_grants", "mcpClients"),
        ("invitations", "invitations"),
        ("audit_entries", "auditTrail"),
    ];
    let database = rusqlite::Connection::open(app.directory.path().join("zenovay.db")).unwrap();
    let select = "SELECT DISTINCT tables.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns \
                  WHERE tables.type = 'table' AND columns.name IN ('user_id', 'email', 'invited_by')";
    let mut statement = database.prepare(select).unwrap();
    for table in statement.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap) {
        if ["one_time_links", "oauth_codes"].contains(&table.as_str()) {
            continue;
        }
        let place = sections.iter().position(|(known, _)| *known == table);
        let (_, section) = sections.swap_remove(place.unwrap_or_else(|| panic!("{table} has no section")));
        assert!(!data[section].is_null(), "{section}");
    }
    assert_eq!(sections, [], "there are no such tables any more");
    assert_eq!(data["invitations"][0]["role"], "viewer");
    assert_eq!(data["user"]["email"], "ada@example.com");
    assert_eq!(
        (&data["websites"][0]["domain"], &data["websites"][0]["isOwner"]),
        (&json!("shop.example"), &json!(false))
    );
    assert_eq!(data["websites"].as_array().unwrap().len(), 1);
    assert_eq!(data["mfa"], json!({ "totp": true, "backup_codes_left": 10 }));
    let text = reply.text();
    for hidden in [key["key"].as_str().unwrap(), &secret, &codes[0], "argon2", &ada.session.secret] {
        assert!(!text.contains(hidden), "{hidden}");
    }
}

/// SECURITY A18: each change leaves one entry, refused ones and reads leave none, and nothing secret is in it.
///
/// Sabotage: record before the answer is known.
#[actix_web::test]
async fn the_trail_tells_who_changed_what() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let (owner, viewer) = (app.sign_in(team.owner), app.sign_in(team.member(Role::Viewer)));
    let path = format!("/api/teams/{}", team.id);
    let audit = format!("{path}/audit");
    let rename = |session: &TestSession, name: &str| {
        call(&app, "PATCH", &path).session(session).json(&json!({ "name": name })).send()
    };
    rename(&owner, "Studio").await.expect(200);
    rename(&viewer, "Mine").await.expect(403);
    rename(&owner, "").await.expect(422);
    app.get(&path).session(&owner).send().await.expect(200);
    let key = app.key(zenovay_auth::KeyKind::Personal(team.owner), "full_access", None, None);
    call(&app, "PATCH", &path).key(&key).json(&json!({ "key_policy": "no_one" })).send().await.expect(200);
    let made =
        app.post(&format!("{path}/keys")).session(&owner).json(&json!({ "name": "CI" })).send().await.expect(201);
    let secret = made.data()["key"].as_str().unwrap().to_owned();
    let invited = json!({ "role": "viewer", "email": "new@example.com" });
    let link = app.post(&format!("{path}/invitations")).session(&owner).json(&invited).send().await.expect(201);
    let link = link.data()["url"].as_str().unwrap().to_owned();
    let reply = app.get(&audit).session(&owner).send().await.expect(200);
    for hidden in [secret.as_str(), link.rsplit_once('/').unwrap().1] {
        assert!(!reply.text().contains(hidden));
    }
    let data = reply.data();
    let entries = data["entries"].as_array().unwrap();
    let told: Vec<(&str, &Value)> =
        entries.iter().map(|entry| (entry["action"].as_str().unwrap(), &entry["details"])).collect();
    assert_eq!(told.len(), 4, "{entries:?}");
    assert_eq!(told[0], ("invitations.create", &json!({ "email": "new@example.com", "role": "viewer" })));
    assert_eq!(told[1].0, "keys.create_of_team");
    assert_eq!(told[1].1["name"], "CI");
    assert_eq!(told[2], ("teams.edit", &json!({ "key_policy": "no_one" })));
    assert_eq!(told[3], ("teams.edit", &json!({ "name": "Studio" })));
    assert_eq!(entries[2]["key_id"], key.id.to_string());
    assert_eq!(entries[3]["key_id"], Value::Null);
    assert_eq!(entries[3]["target"], format!("team {}", team.id));
    // Pages, and only for owners and admins.
    let first = app.get(&format!("{audit}?limit=3")).session(&owner).send().await.expect(200).data();
    let next = first["next"].as_str().unwrap();
    let second = app.get(&format!("{audit}?limit=3&before={next}")).session(&owner).send().await.expect(200).data();
    assert_eq!((second["entries"].as_array().unwrap().len(), &second["next"]), (1, &Value::Null));
    app.get(&audit).session(&viewer).send().await.expect(403);
    app.get(&format!("{audit}?before=x")).session(&owner).send().await.expect(400);
}

#[actix_web::test]
async fn plans_are_chosen_by_owners_unless_the_operator_locks_them() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Pro);
    let site = team.website("shop.example");
    site.send(&site.hit("/", "session-1")).send().await.expect(200);
    let (owner, admin) = (app.sign_in(team.owner), app.sign_in(team.member(Role::Admin)));
    let path = format!("/api/teams/{}/plan", team.id);
    let plan = app.get(&path).session(&admin).send().await.expect(200).data();
    assert_eq!(
        (&plan["plan"], &plan["locked"], &plan["limits"]["websites"]),
        (&json!("pro"), &json!(false), &json!(5))
    );
    assert_eq!(plan["plans"].as_array().unwrap().len(), 4);
    let scale = json!({ "plan": "scale" });
    call(&app, "PUT", &path).session(&admin).json(&scale).send().await.expect(403);
    let changed = call(&app, "PUT", &path).session(&owner).json(&scale).send().await.expect(200).data();
    assert_eq!(changed["limits"]["websites"], 10);
    let usage = app.get(&format!("/api/teams/{}/usage", team.id)).session(&admin).send().await.expect(200).data();
    assert_eq!(usage["websites"], json!({ "used": 1, "limit": 10 }));
    assert_eq!(usage["members"], json!({ "used": 2, "limit": 25 }));
    assert_eq!(usage["events"], json!({ "used": 1, "limit": null }));

    let locked = app.changed(|state| state.people.owners_change_plans = false).await;
    let reply = call(&locked, "PUT", &path).session(&owner).json(&json!({ "plan": "free" })).send().await.expect(403);
    assert_eq!(reply.json()["message"], "The plan is set by whoever runs this server");
    assert_eq!(locked.get(&path).session(&owner).send().await.expect(200).data()["locked"], true);
}

#[actix_web::test]
async fn the_first_account_is_taken_over_once_by_whoever_has_the_link() {
    let app = TestApp::start().await;
    let (mut rng, now) = (rand::rng(), app.state.clock.now());
    let account = zenovay::bootstrap::create_account(&*app.state.store, &mut rng, now).unwrap().unwrap();
    let plans = &app.state.plans;
    let site = zenovay::bootstrap::create_website(
        &*app.state.store,
        &account,
        "localhost",
        "My website",
        plans,
        &mut rng,
        now,
    )
    .unwrap();
    assert_eq!(app.get("/api/instance").send().await.data()["first_run"], true);
    let printed: Value =
        serde_json::from_str(&zenovay::bootstrap::welcome_json(&account, &site, "http://127.0.0.1:8080")).unwrap();
    let url = printed["first_start"]["welcome_url"].as_str().unwrap();
    let token = url.strip_prefix("http://localhost:8080/welcome#").expect(url);
    let body = |token: &str| {
        json!({ "token": token, "email": "ada@example.com", "name": "Ada", "password": PASSWORD,
                "website": { "domain": "https://shop.example/", "name": "Shop" } })
    };
    app.post("/api/welcome").json(&body(&"A".repeat(43))).send().await.expect(404);
    app.post("/api/welcome").json(&body(token)).header("origin", "https://evil.example").send().await.expect(403);
    let mut weak = body(token);
    weak["password"] = "short".into();
    weak["website"]["domain"] = "not a domain".into();
    let reply = app.post("/api/welcome").json(&weak).send().await.expect(422);
    assert_eq!(reply.json()["details"].as_object().unwrap().keys().collect::<Vec<_>>(), ["password", "website.domain"]);
    let reply = app.post("/api/welcome").json(&body(token)).send().await.expect(201);
    assert_eq!(reply.data()["website"]["domain"], "shop.example");
    assert_eq!(reply.data()["website"]["tracking_code"], site.tracking_code.as_str(), "what was printed goes on");
    let session = app.get("/api/session").cookie(&reply.new_secret().unwrap()).send().await.expect(200).data();
    assert_eq!(session["user"]["email"], "ada@example.com");
    assert_eq!(app.get("/api/instance").send().await.data()["first_run"], false);
    app.post("/api/welcome").json(&body(token)).send().await.expect(404);
    sign_in(&app, PASSWORD).await.expect(200);
}
