//! Signing in and out: what a session is, how it ends, and what strangers learn.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use common::{Reply, TestApp, TestSession};
use serde_json::{Value, json};
use zenovay::config::ServerFlags;
use zenovay_auth::{SESSION_IDLE_MS, SESSION_MAX_MS, SESSION_OVERLAP_MS, SESSION_ROTATION_MS};
use zenovay_domain::{Plan, Role};

const PASSWORD: &str = "correct horse battery staple";
const DAY_MS: i64 = 24 * 3_600_000;

async fn sign_in(app: &TestApp, email: &str, password: &str) -> Reply {
    app.post("/api/session").json(&json!({ "email": email, "password": password })).send().await
}

fn session(secret: String, like: &TestSession) -> TestSession {
    TestSession { secret, ..like.clone() }
}

#[actix_web::test]
async fn a_password_signs_in_and_the_session_says_who_that_is() {
    let app = TestApp::start().await;
    app.user_with_password("Ada@Example.com", PASSWORD);
    app.get("/api/session").send().await.expect(401);
    let reply = sign_in(&app, "ada@example.COM", PASSWORD).await.expect(200);
    assert_eq!(reply.data(), json!({ "state": "signed_in" }));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let secret = reply.new_secret().unwrap();
    assert!(!reply.text().contains(&secret), "the page never sees it");
    let data = app.get("/api/session").cookie(&secret).send().await.expect(200).data();
    assert_eq!(data["user"]["email"], "Ada@Example.com");
    assert_eq!(
        (&data["user"]["locale"], &data["user"]["theme"], &data["user"]["single_keys"], &data["user"]["totp"]),
        (&Value::Null, &json!("system"), &json!(true), &json!(false))
    );
    assert_eq!(data["teams"], json!([]));
}

#[actix_web::test]
async fn the_session_tells_the_teams_with_role_plan_and_api() {
    let app = TestApp::start().await;
    let (own, other) = (app.team(Plan::Scale), app.team(Plan::Free));
    app.clock.advance_ms(1);
    app.state.store.add_member(other.id, own.owner, Role::Viewer, &app.state.plans, app.state.clock.now()).unwrap();
    let data = app.get("/api/session").session(&app.sign_in(own.owner)).send().await.expect(200).data();
    let expected = json!([
        {
            "id": own.id.to_string(), "name": "Team", "plan": "scale", "role": "owner", "api_access": true,
            "features": ["funnels", "heatmaps", "replays", "errors"],
        },
        { "id": other.id.to_string(), "name": "Team", "plan": "free", "role": "viewer", "api_access": false, "features": [] },
    ]);
    assert_eq!(data["teams"], expected);
}

/// SECURITY A11: what the browser had before signing in is worth nothing afterwards.
///
/// Sabotage: keep the secret that the request came with.
#[actix_web::test]
async fn a_secret_from_before_the_sign_in_is_worth_nothing() {
    let app = TestApp::start().await;
    let victim = app.user_with_password("victim@example.com", PASSWORD);
    let attacker = app.sign_in(app.user());
    let body = json!({ "email": "victim@example.com", "password": PASSWORD });
    let reply = app.post("/api/session").session(&attacker).json(&body).send().await.expect(200);
    let secret = reply.new_secret().unwrap();
    assert_ne!(secret, attacker.secret);
    app.get("/api/session").session(&attacker).send().await.expect(401);
    // A secret that the attacker made up and planted.
    let planted = "A".repeat(43);
    let reply = app.post("/api/session").cookie(&planted).json(&body).send().await.expect(200);
    assert_ne!(reply.new_secret().unwrap(), planted);
    app.get("/api/session").cookie(&planted).send().await.expect(401);
    assert_eq!(app.state.store.sessions(victim, app.state.clock.now()).unwrap().len(), 2);
}

/// SECURITY A9. The answers are the same to the letter, whatever was tried before.
///
/// Sabotage: look the address up before the pause, or name it in the message.
#[actix_web::test]
async fn an_address_without_account_is_answered_like_a_wrong_password() {
    let app = TestApp::start().await;
    app.user_with_password("known@example.com", PASSWORD);
    for round in 0..12 {
        let answers = [
            sign_in(&app, "known@example.com", "not the password").await,
            sign_in(&app, "unknown@example.com", "not the password").await,
        ];
        let told: Vec<_> = answers
            .iter()
            .map(|reply| {
                let mut headers: Vec<_> = reply
                    .headers
                    .iter()
                    .filter(|(name, _)| *name != "x-request-id")
                    .map(|(name, value)| (name.to_string(), value.clone()))
                    .collect();
                headers.sort_by(|one, other| one.0.cmp(&other.0));
                let body = reply.json();
                (reply.status, headers, body["message"].clone(), body["code"].clone(), body.get("details").cloned())
            })
            .collect();
        assert_eq!(told[0], told[1], "round {round}");
        let expected = match round {
            0 => (401, "E-mail or password is wrong. 9 more tries, then a short pause."),
            8 => (401, "E-mail or password is wrong. 1 more try, then a short pause."),
            9 => (401, "E-mail or password is wrong. Next try in 5m."),
            10 | 11 => (429, "Too many tries. Next one in 5m."),
            _ => continue,
        };
        assert_eq!((told[0].0, told[0].2.as_str().unwrap()), expected, "round {round}");
    }
    // During the pause the right password is not tried either: nobody learns that it is right.
    let reply = sign_in(&app, "known@example.com", PASSWORD).await.expect(429);
    assert_eq!(reply.header("retry-after"), Some("300"));
    app.clock.advance_ms(300_000);
    sign_in(&app, "known@example.com", "wrong again and again").await.expect(401);
    assert_eq!(sign_in(&app, "known@example.com", PASSWORD).await.expect(429).header("retry-after"), Some("900"));
    app.clock.advance_ms(900_000);
    sign_in(&app, "known@example.com", PASSWORD).await.expect(200);
    let reply = sign_in(&app, "known@example.com", "wrong").await.expect(401);
    assert!(reply.text().contains("9 more tries"), "a right one wipes the slate");
}

/// Sabotage: check the pause before it is one's turn.
#[actix_web::test]
async fn many_tries_at_the_same_time_are_no_more_than_are_free() {
    let app = TestApp::start().await;
    app.user_with_password("known@example.com", PASSWORD);
    let calls = (0..24).map(|_| sign_in(&app, "known@example.com", "not the password"));
    let answers = futures_util::future::join_all(calls).await;
    let tried = answers.iter().filter(|reply| reply.status == 401).count();
    // Two are checked at the same time, so one may begin while the tenth ends.
    assert!((10..=11).contains(&tried), "{tried}");
}

/// Sabotage: leave the class of the limit out.
#[actix_web::test]
async fn an_address_may_try_thirty_times_a_minute() {
    let app = TestApp::start().await;
    for number in 0..31 {
        let body = json!({ "email": format!("{number}@example.com"), "password": 1 });
        let reply = app.post("/api/session").from("192.0.2.7").json(&body).send().await;
        assert_eq!(reply.status, if number < 30 { 400 } else { 429 }, "{number}");
    }
}

/// SECURITY W6: every way in which another website can make a browser send something.
///
/// Sabotage: leave the check out of the guard.
#[actix_web::test]
async fn other_websites_change_nothing() {
    let app = TestApp::start().await;
    let user = app.user_with_password("ada@example.com", PASSWORD);
    let mine = app.sign_in(user);
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let call = app.request(actix_web::http::Method::DELETE, "/api/session").cookie(&mine.secret);
        let reply = call.header("host", "stats.example").header(name, value).send().await.expect(403);
        assert_eq!(reply.code(), "FORBIDDEN", "{name}: {value}");
        let body = json!({ "email": "ada@example.com", "password": PASSWORD });
        let reply =
            app.post("/api/session").header("host", "stats.example").header(name, value).json(&body).send().await;
        assert!(reply.expect(403).new_secret().is_none(), "nobody is signed in as somebody else");
    }
    // What a form can send without asking.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let body = json!({ "email": "ada@example.com", "password": PASSWORD }).to_string();
        app.post("/api/session").header("content-type", kind).body(body).send().await.expect(415);
    }
    app.get("/api/session").session(&mine).send().await.expect(200);
}

#[actix_web::test]
async fn signing_out_ends_the_session_and_takes_the_cookie() {
    let app = TestApp::start().await;
    let (mine, other) = (app.sign_in(app.user()), app.sign_in(app.user()));
    let reply = app.request(actix_web::http::Method::DELETE, "/api/session").session(&mine).send().await.expect(204);
    assert_eq!(reply.new_secret().as_deref(), Some(""));
    app.get("/api/session").session(&mine).send().await.expect(401);
    app.get("/api/session").session(&other).send().await.expect(200);
}

#[actix_web::test]
async fn a_session_ends_when_it_is_not_used_and_when_it_is_old() {
    let app = TestApp::start().await;
    let user = app.user();
    let idle = app.sign_in(user);
    app.clock.advance_ms(SESSION_IDLE_MS - 1);
    let used = app.get("/api/session").session(&idle).send().await.expect(200);
    let mut busy = session(used.new_secret().expect("it is old enough for another secret"), &idle);
    let idle = app.sign_in(user);
    app.clock.advance_ms(SESSION_IDLE_MS);
    app.get("/api/session").session(&idle).send().await.expect(401);
    app.get("/api/session").session(&busy).send().await.expect(401);

    busy = app.sign_in(user);
    for _ in 0..SESSION_MAX_MS / (5 * DAY_MS) - 1 {
        app.clock.advance_ms(5 * DAY_MS);
        let reply = app.get("/api/session").session(&busy).send().await.expect(200);
        busy = session(reply.new_secret().unwrap(), &busy);
    }
    app.clock.advance_ms(5 * DAY_MS);
    app.get("/api/session").session(&busy).send().await.expect(401);
}

/// Sabotage: rotate without an overlap, or take the old secret for ever.
#[actix_web::test]
async fn the_secret_changes_with_time_and_a_copy_of_an_old_one_ends_the_session() {
    let app = TestApp::start().await;
    let first = app.sign_in(app.user());
    assert!(app.get("/api/session").session(&first).send().await.expect(200).new_secret().is_none());
    app.clock.advance_ms(SESSION_ROTATION_MS);
    let reply = app.get("/api/session").session(&first).send().await.expect(200);
    let second = session(reply.new_secret().unwrap(), &first);
    assert_ne!(second.secret, first.secret);
    // The answer may have got lost: the browser goes on with what it has, and gets nothing new.
    app.clock.advance_ms(2 * SESSION_OVERLAP_MS);
    assert!(app.get("/api/session").session(&first).send().await.expect(200).new_secret().is_none());
    // Requests that were on their way when the new one came back.
    app.get("/api/session").session(&second).send().await.expect(200);
    app.get("/api/session").session(&first).send().await.expect(200);
    app.clock.advance_ms(SESSION_OVERLAP_MS);
    app.get("/api/session").session(&first).send().await.expect(401);
    app.get("/api/session").session(&second).send().await.expect(401);
}

/// A change of the password by the command line, or by another process, ends sessions at once.
#[actix_web::test]
async fn a_new_password_ends_every_session() {
    let app = TestApp::start().await;
    let user = app.user_with_password("ada@example.com", PASSWORD);
    let mine = app.sign_in(user);
    let elsewhere = app.open_metadata_again();
    let hash = zenovay_auth::hash_password("another fine password").unwrap();
    elsewhere.set_password(user, &hash).unwrap();
    app.get("/api/session").session(&mine).send().await.expect(401);
    sign_in(&app, "ada@example.com", PASSWORD).await.expect(401);
    sign_in(&app, "ada@example.com", "another fine password").await.expect(200);
}

#[actix_web::test]
async fn behind_https_the_cookie_is_of_the_very_host() {
    let flags = ServerFlags { public_url: Some("https://stats.example".to_owned()), ..ServerFlags::default() };
    let app = TestApp::with(flags).await;
    app.user_with_password("ada@example.com", PASSWORD);
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    let call = app.post("/api/session").header("origin", "https://stats.example").json(&body);
    let reply = call.send().await.expect(200);
    let cookie = reply.header("set-cookie").unwrap().to_owned();
    assert!(cookie.starts_with("__Host-zenovay_session="), "{cookie}");
    for part in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let pair = cookie.split(';').next().unwrap();
    app.get("/api/session").header("cookie", pair).send().await.expect(200);
    let planted = pair.replace("__Host-", "");
    app.get("/api/session").header("cookie", &planted).send().await.expect(401);
}

/// Sabotage: let a key sign out, or read the cookie from elsewhere.
#[actix_web::test]
async fn keys_have_no_session() {
    let app = TestApp::start().await;
    let key = app.team(Plan::Scale).key("full_access");
    let reply = app.get("/api/session").key(&key).send().await.expect(403);
    assert_eq!(reply.json()["details"], "This cannot be done with an API key");
    let mine = app.sign_in(app.user());
    app.get(&format!("/api/session?zenovay_session={}", mine.secret)).send().await.expect(401);
    app.get("/api/session").header("authorization", &format!("Bearer {}", mine.secret)).send().await.expect(403);
    app.get("/api/session").header("x-zenovay-session", &mine.secret).send().await.expect(401);
}

#[actix_web::test]
async fn bodies_are_json_with_every_member_and_nothing_twice() {
    let app = TestApp::start().await;
    for (body, field, problem) in [
        (r#"{"email":"a@b.example"}"#, "body", "missing field `password`"),
        (r#"{"email":5,"password":"x"}"#, "email", "invalid type: integer `5`, expected a string"),
        (r#"{"email":"a","email":"b","password":"x"}"#, "body", "\"email\" is given twice"),
        (r#"{"email":"a","password":"x"} x"#, "body", "trailing characters"),
        ("[]", "body", "must be an object"),
        (r#" ["a@b.example","x"]"#, "body", "must be an object"),
        ("5", "body", "must be an object"),
        ("", "body", "EOF while parsing a value"),
    ] {
        let reply = app.post("/api/session").header("content-type", "application/json").body(body).send().await;
        let reply = reply.expect(400);
        assert_eq!(reply.code(), "VALIDATION_ERROR");
        assert_eq!(reply.json()["details"][field], problem, "{body}: {}", reply.text());
    }
    let long = format!(r#"{{"email":"a","password":"{}"}}"#, "x".repeat(70_000));
    app.post("/api/session").header("content-type", "application/json").body(long).send().await.expect(413);
}
