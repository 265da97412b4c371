//! What somebody was let in to change is not changed when they lost the right to it a moment later, before the handler wrote:
//! every route that writes, for a role, a session and a key that ended. The routes come from the application's own table; one
//! that is not here fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use actix_web::http::Method;
use common::{TestApp, TestCall, TestKey, TestSession};
use serde_json::{Value, json};
use zenovay::http::handler::Access;
use zenovay::http::routes;
use zenovay_auth::KeyKind;
use zenovay_domain::{PasskeyId, Plan, Role, TeamId, UserId, WebsiteSettings};
use zenovay_store::Passkey;

const PASSWORD: &str = "correct horse battery staple";

/// Routes that write nothing that a right is needed for, or that are told of elsewhere.
const OTHERS: [(&str, &str); 7] = [
    // It ends what it stands on.
    ("DELETE", "/api/session"),
    // The answer waits in memory alone, and whose it is is compared.
    ("DELETE", "/api/queries/{query_id}"),
    ("POST", "/api/account/passkeys/options"),
    // They need an authenticator, a client that was let in, and codes that are not set up: see the tests of these.
    ("POST", "/api/account/passkeys"),
    ("DELETE", "/api/account/mcp-clients/{grant_id}"),
    ("PUT", "/api/account/totp"),
    ("POST", "/api/account/totp"),
];

/// A team whose second owner does everything.
struct World<'a> {
    app: &'a TestApp,
    team: TeamId,
    actor: UserId,
    session: TestSession,
    key: TestKey,
    places: Vec<(&'static str, String)>,
    visitor: String,
    /// Another group of errors than the one of the places, and a stack of that one.
    other_errors: (String, i64),
}

impl<'a> World<'a> {
    async fn build(app: &'a TestApp) -> Self {
        let team = app.team(Plan::Enterprise);
        app.clock.advance_ms(1);
        let actor = app.user_with_password("actor@example.com", PASSWORD);
        let now = app.state.clock.now();
        app.state.store.add_member(team.id, actor, Role::Owner, &app.state.plans, now).unwrap();
        let (session, other) = (app.sign_in(actor), app.sign_in(actor));
        let settings = WebsiteSettings::default().with(|settings| {
            (settings.session_replay, settings.session_replay_consent) = (true, false);
        });
        let site = team.website_with("shop.example", settings);
        site.send(&site.hit("/", "session-1")).send().await.expect(200);
        let mut failed = site.hit("/", "session-1");
        let error = |id: &str, message: &str, line: u32| json!({ "id": id, "message": message, "stack": format!("at total (https://shop.example/a.js:{line}:1)") });
        failed["errors"] =
            json!([error("error-01", "one", 1), error("error-02", "one", 2), error("error-03", "other", 1)]);
        let report = app.post(&format!("/api/track/{}/error", site.code())).header("origin", "https://shop.example");
        report.header("user-agent", common::CHROME).json(&failed).send().await.expect(200);
        let errors = format!("/api/websites/{}/errors", site.id());
        let listed = app.get(&format!("{errors}?range=24h")).session(&session).send().await.expect(200).data();
        let group = |message: &str| {
            let groups = listed["groups"].as_array().unwrap();
            groups.iter().find(|group| group["message"] == message).unwrap()["id"].as_str().unwrap().to_owned()
        };
        let (errors_id, other_id) = (group("one"), group("other"));
        let told =
            app.get(&format!("{errors}/{errors_id}?range=24h")).session(&session).send().await.expect(200).data();
        let other_errors = (other_id, told["stacks"][0]["id"].as_i64().unwrap());
        let map = json!({ "version": 3, "sources": ["a.ts"], "mappings": "AAAA" });
        let map = json!({ "fileName": "a.js", "fileUrl": "https://shop.example/a.js", "mapContent": map });
        let maps = format!("/api/errors/{}/sourcemap", site.id());
        app.post(&maps).session(&session).json(&map).send().await.expect(200);
        let maps = app.get(&format!("{maps}s")).session(&session).send().await.expect(200).data();
        let mut recorded = site.hit("/", "session-1");
        let page = json!({ "type": 4, "timestamp": now.as_millis(),
            "data": { "href": "https://shop.example/", "width": 1280, "height": 720 } });
        recorded.as_object_mut().unwrap().extend([
            ("replay_id".to_owned(), "00112233445566778899aabbccddeeff".into()),
            ("seq".to_owned(), 0.into()),
            ("sent_at".to_owned(), now.as_millis().into()),
            ("events".to_owned(), json!([page])),
        ]);
        let report = app.post(&format!("/api/track/{}/replay", site.code())).header("origin", "https://shop.example");
        report.header("user-agent", common::CHROME).json(&recorded).send().await.expect(200);
        let replays = format!("/api/websites/{}/replays?range=24h", site.id());
        let replays = app.get(&replays).session(&session).send().await.expect(200).data();
        let make = async |path: &str, body: Value| {
            app.post(path).session(&session).json(&body).send().await.expect(201).data()["id"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let website = format!("/api/websites/{}", site.id());
        let goal = json!({ "name": "Goal", "type": "event", "value": "signup" });
        let steps = json!([{ "type": "page", "value": "/" }, { "type": "page", "value": "/b" }]);
        let incident = json!({ "title": "Slow", "state": "degraded", "components": ["api"], "message": "Slow." });
        let (invitations, elsewhere) = (format!("/api/teams/{}/invitations", team.id), app.team(Plan::Enterprise));
        let invited =
            app.post(&format!("/api/teams/{}/invitations", elsewhere.id)).session(&app.sign_in(elsewhere.owner));
        let invited = invited.json(&json!({ "role": "viewer" })).send().await.expect(201).data();
        // Of the other owner: those of whoever loses the right to invite end.
        let invitation = app.post(&invitations).session(&app.sign_in(team.owner)).json(&json!({ "role": "viewer" }));
        let invitation = invitation.send().await.expect(201).data();
        let passkey =
            Passkey::new(PasskeyId::from_random_bytes([1; 16]), actor, "Phone".into(), "a".into(), "{}".into(), now);
        app.state.store.add_passkey(&passkey).unwrap();
        app.state.store.prepare_codes(actor, &[7; 20]).unwrap();
        assert!(app.state.store.enable_codes(actor, &[7; 20], 0, &[], now).unwrap());
        let visitors =
            app.get(&format!("{website}/visitors?range=24h")).session(&session).send().await.expect(200).data();
        let places = vec![
            ("{goal_id}", make(&format!("{website}/goals"), goal).await),
            ("{funnel_id}", make(&format!("{website}/funnels"), json!({ "name": "Funnel", "steps": steps })).await),
            ("{share_id}", make(&format!("{website}/shares"), json!({ "name": "Link" })).await),
            ("{invitation_id}", invitation["id"].as_str().unwrap().to_owned()),
            ("{incident_id}", make("/api/status/incidents", incident).await),
            ("{token}", invited["url"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned()),
            ("{team_id}", team.id.to_string()),
            ("{website_id}", site.id().to_string()),
            ("{user_id}", team.member(Role::Viewer).to_string()),
            ("{key_id}", team.workspace_key(None).id.to_string()),
            ("{session_id}", other.id.to_string()),
            ("{passkey_id}", passkey.id.to_string()),
            ("{group_id}", errors_id),
            ("{source_map_id}", maps["source_maps"][0]["id"].to_string()),
            ("{replay_id}", replays["replays"][0]["id"].as_str().unwrap().to_owned()),
            ("{visitor}", visitors["visitors"][0]["id"].as_str().unwrap().to_owned()),
        ];
        let key = app.key(KeyKind::Personal(actor), "full_access", None, None);
        let visitor = places.last().unwrap().1.clone();
        Self { app, team: team.id, actor, session, key, places, visitor, other_errors }
    }

    /// A body with which the route changes something.
    fn body(&self, method: &str, path: &str) -> Option<Value> {
        let viewer = || self.places.iter().find(|(name, _)| *name == "{user_id}").unwrap().1.clone();
        let confirmed = || json!({ "password": PASSWORD });
        Some(match (method, path) {
            ("POST", "/api/teams")
            | ("PATCH", "/api/teams/{team_id}" | "/api/account" | "/api/account/passkeys/{passkey_id}") => {
                json!({ "name": "Theirs" })
            }
            ("POST", "/api/teams/{team_id}/transfer") => json!({ "user_id": viewer() }),
            ("POST", "/api/teams/{team_id}/invitations") => json!({ "role": "viewer" }),
            ("POST", "/api/teams/{team_id}/keys" | "/api/account/keys") | ("PATCH", "/api/keys/{key_id}") => {
                json!({ "name": "Theirs" })
            }
            ("PATCH", "/api/teams/{team_id}/members/{user_id}") => json!({ "role": "editor" }),
            ("PUT", "/api/teams/{team_id}/plan") => json!({ "plan": "scale" }),
            ("PUT", "/api/account/password") => json!({ "current": PASSWORD, "new": "another horse battery staple" }),
            ("DELETE", "/api/account" | "/api/account/totp" | "/api/account/passkeys/{passkey_id}")
            | ("POST", "/api/account/backup-codes") => confirmed(),
            ("POST", "/api/websites") => json!({ "team_id": self.team, "domain": "theirs.example" }),
            ("PATCH", "/api/websites/{website_id}" | "/api/websites/{website_id}/goals/{goal_id}")
            | ("PATCH", "/api/websites/{website_id}/funnels/{funnel_id}") => json!({ "name": "Renamed" }),
            ("DELETE", "/api/websites/{website_id}") => json!({ "domain": "shop.example" }),
            ("PATCH", "/api/websites/{website_id}/errors/{group_id}") => json!({ "status": "resolved" }),
            ("POST", "/api/websites/{website_id}/errors/{group_id}/merge") => {
                json!({ "groups": [self.other_errors.0] })
            }
            ("POST", "/api/websites/{website_id}/errors/{group_id}/split") => {
                json!({ "stacks": [self.other_errors.1] })
            }
            ("POST", "/api/errors/{website_id}/sourcemap") => {
                let map = json!({ "version": 3, "sources": ["a.ts"], "mappings": "AAAA" });
                json!({ "fileName": "b.js", "fileUrl": "https://shop.example/b.js", "mapContent": map })
            }
            ("POST", "/api/websites/{website_id}/install/allow") => json!({ "host": "theirs.example" }),
            ("POST", "/api/websites/{website_id}/shares") => json!({ "name": "Theirs" }),
            ("POST", "/api/websites/{website_id}/goals") => {
                json!({ "name": "Theirs", "type": "event", "value": "theirs" })
            }
            ("POST", "/api/websites/{website_id}/funnels") => {
                json!({ "name": "Theirs", "steps": [{ "type": "page", "value": "/" }, { "type": "page", "value": "/c" }] })
            }
            ("POST", "/api/status/incidents") => {
                json!({ "title": "Theirs", "state": "outage", "components": ["api"], "message": "Theirs." })
            }
            ("POST", "/api/status/incidents/{incident_id}/updates") => {
                json!({ "phase": "watching", "message": "Theirs." })
            }
            (
                "POST",
                "/api/invitations/{token}" | "/api/teams/{team_id}/leave" | "/api/websites/{website_id}/tracking-code",
            )
            | ("DELETE", _) => return None,
            _ => panic!("{method} {path} is not in this test"),
        })
    }

    fn call(&self, method: &Method, pattern: &str) -> TestCall<'a> {
        let path = self.places.iter().fold(pattern.to_owned(), |path, (name, value)| path.replace(name, value));
        let call = self.app.request(method.clone(), &path);
        match self.body(method.as_str(), pattern) {
            Some(body) => call.json(&body),
            None => call,
        }
    }

    /// Everything that may be changed, but when somebody was here last.
    fn facts(&self) -> String {
        let database = rusqlite::Connection::open(self.app.directory.path().join("zenovay.db")).unwrap();
        let mut told = String::new();
        for table in [
            "users",
            "teams",
            "websites",
            "goals",
            "funnels",
            "shares",
            "passkeys",
            "second_factors",
            "backup_codes",
            "profiles",
            "invitations",
            "status_incidents",
            "status_updates",
            "oauth_grants",
        ] {
            let mut statement = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let columns = statement.column_count();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let values: Vec<_> = (0..columns).map(|n| format!("{:?}", row.get_ref(n).unwrap())).collect();
                told += &format!("{table} {}\n", values.join(" "));
            }
        }
        let others = "SELECT count(*) FROM memberships UNION ALL SELECT count(*) FROM sessions WHERE id <> ?1 \
                      UNION ALL SELECT count(*) FROM api_keys";
        let mut statement = database.prepare(others).unwrap();
        let counts = statement.query_map([self.session.id.to_string()], |row| row.get::<_, i64>(0)).unwrap();
        told += &format!("{:?}", counts.map(Result::unwrap).collect::<Vec<_>>());
        told
    }

    /// Every value of every table.
    fn whole_database(&self) -> String {
        let database = rusqlite::Connection::open(self.app.directory.path().join("zenovay.db")).unwrap();
        let mut names = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
        let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let mut told = String::new();
        for name in names {
            let mut statement = database.prepare(&format!("SELECT * FROM {name}")).unwrap();
            let columns = statement.column_count();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                for n in 0..columns {
                    if let Ok(bytes) = row.get_ref(n).unwrap().as_bytes() {
                        told += &String::from_utf8_lossy(bytes);
                        told.push('\n');
                    }
                }
            }
        }
        told
    }

    async fn has_visitor(&self) -> bool {
        let site = &self.places.iter().find(|(name, _)| *name == "{website_id}").unwrap().1;
        let visitors = self.app.get(&format!("/api/websites/{site}/visitors?range=24h")).session(&self.session);
        visitors.send().await.expect(200).text().contains(&self.visitor)
    }
}

/// Runs `test` where one thread may wait for the store.
fn in_turn(test: impl Future<Output = ()>) {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    actix_web::rt::System::with_tokio_rt(runtime).block_on(test);
}

/// Sabotage: let one handler write through `state.store`.
#[test]
fn no_route_changes_anything_for_whoever_lost_the_right_before_it_wrote() {
    in_turn(lose_rights());
}

async fn lose_rights() {
    let app = TestApp::start().await;
    let world = World::build(&app).await;
    let store = app.state.store.clone();
    let (mut others, mut cases) = (OTHERS.to_vec(), 0);
    for endpoint in routes::all().filter(|endpoint| endpoint.method != Method::GET) {
        let has_key = match endpoint.operation.access {
            Access::Person(_) => false,
            Access::Actor(action) => action.scope().is_some(),
            _ => continue,
        };
        let route = (endpoint.method.as_str(), endpoint.path);
        if let Some(place) = others.iter().position(|other| *other == route) {
            others.remove(place);
            continue;
        }
        let is_of_a_team = ["{team_id}", "{website_id}", "/status/"].iter().any(|part| endpoint.path.contains(part))
            || endpoint.path == "/api/websites";
        let before = world.facts();
        let call = || world.call(&endpoint.method, endpoint.path);

        // The session ends.
        let session = app.sign_in(world.actor);
        let (ending, actor, id) = (store.clone(), world.actor, session.id);
        let reply = call().session(&session).send_with(move || {
            ending.end_session(actor, id).unwrap();
        });
        let reply = reply.await;
        assert_eq!(reply.status, 401, "{endpoint:?}, a session that ended: {}", reply.text());
        assert_eq!(world.facts(), before, "{endpoint:?}, a session that ended");
        cases += 1;

        // The person is a viewer, or has left.
        if is_of_a_team {
            let demote = |from, to| {
                let (store, team, actor) = (store.clone(), world.team, world.actor);
                move || store.change_role(team, actor, from, to).unwrap()
            };
            let mut calls = vec![call().session(&world.session)];
            if has_key {
                calls.push(call().key(&world.key));
            }
            for call in calls {
                let reply = call.send_with(demote(Role::Owner, Role::Viewer)).await;
                assert!(
                    [403, 409].contains(&reply.status),
                    "{endpoint:?}, a viewer: {} {}",
                    reply.status,
                    reply.text()
                );
                demote(Role::Viewer, Role::Owner)();
                // The invitations of theirs ended.
                assert_eq!(without_invitations(&world.facts()), without_invitations(&before), "{endpoint:?}, a viewer");
                assert!(world.has_visitor().await, "{endpoint:?}");
                cases += 1;
            }
        }
        if has_key {
            let key = app.key(KeyKind::Personal(world.actor), "full_access", None, None);
            let (before, now) = (world.facts(), app.state.clock.now());
            let (revoking, id) = (store.clone(), key.id);
            let reply = call().key(&key).send_with(move || revoking.revoke_key(id, now).unwrap()).await;
            assert_eq!(reply.status, 409, "{endpoint:?}, a key that was revoked: {}", reply.text());
            assert_eq!(world.facts(), before, "{endpoint:?}, a key that was revoked");
            cases += 1;
        }
        app.clock.advance_ms(60_000);
    }
    assert_eq!(others, [], "these routes are gone");
    assert!(cases > 100, "{cases}");

    // A key of the External API erases as well.
    let site = &world.places.iter().find(|(name, _)| *name == "{website_id}").unwrap().1;
    let path = format!("/api/external/v1/websites/{site}/visitors/{}", world.visitor);
    let erase = app.request(Method::DELETE, &path).key(&world.key);
    let (demoting, id, actor) = (store.clone(), world.team, world.actor);
    let reply = erase.send_with(move || demoting.change_role(id, actor, Role::Owner, Role::Viewer).unwrap()).await;
    assert_eq!(reply.status, 409, "{}", reply.text());
    store.change_role(world.team, world.actor, Role::Viewer, Role::Owner).unwrap();
    assert!(world.has_visitor().await);
}

/// What owners read of a route that changed something of their team.
///
/// Sabotage: take a call of `concerns` out.
#[actix_web::test]
async fn owners_read_of_every_change_of_their_team() {
    let app = TestApp::start().await;
    let world = World::build(&app).await;
    let owner = app.state.store.members(world.team).unwrap().into_iter().find(|member| member.user_id != world.actor);
    let owner = app.sign_in(owner.unwrap().user_id);
    let entries = async |path: &str| {
        app.get(&format!("{path}/audit?limit=100")).session(&owner).send().await.expect(200).data()["entries"].clone()
    };
    let team = format!("/api/teams/{}", world.team);
    let is_of_the_team = |path: &str| {
        ["{team_id}", "{website_id}", "{key_id}", "/status/", "/api/account/keys"]
            .iter()
            .any(|part| path.contains(part))
            || path == "/api/websites"
    };
    let mut routes: Vec<_> = routes::all()
        .filter(|endpoint| matches!(endpoint.operation.access, Access::Person(_) | Access::Actor(_)))
        .filter(|endpoint| endpoint.method != Method::GET && is_of_the_team(endpoint.path))
        .collect();
    // What others need goes last: the whole before its parts never.
    let whole = ["/replays", "/transfer", "/leave", "{key_id}", "{user_id}", "{visitor}", "{website_id}", "{team_id}"];
    routes.sort_by_key(|endpoint| {
        let ends = endpoint.method == Method::DELETE || endpoint.path.ends_with("/leave");
        let last = whole.iter().rposition(|end| endpoint.path.ends_with(end)).map_or(0, |place| place + 1);
        (ends || endpoint.path.ends_with("/transfer"), last)
    });
    for endpoint in &routes {
        let before = entries(&team).await.as_array().unwrap().len();
        let name = endpoint.operation.handler;
        // Whoever handed the team over is an admin, and whoever left it is nobody.
        let is_owner = app.state.store.role_in(world.team, world.actor).unwrap() == Some(Role::Owner);
        let session = if is_owner || endpoint.path.ends_with("/leave") { &world.session } else { &owner };
        if endpoint.path == "/api/teams/{team_id}" && endpoint.method == Method::DELETE {
            continue;
        }
        let reply = world.call(&endpoint.method, endpoint.path).session(session).send().await;
        assert!((200..300).contains(&reply.status), "{endpoint:?}: {} {}", reply.status, reply.text());
        let after = entries(&team).await;
        let after = after.as_array().unwrap();
        assert!(after.len() > before.min(99), "{endpoint:?} ({name}) is not in the trail");
        let action = after[0]["action"].as_str().unwrap();
        let words: Vec<&str> = action.split('.').collect();
        assert!(words.iter().all(|word| name.contains(word)), "{endpoint:?}: {action} of {name}");
        app.clock.advance_ms(60_000);
    }
    assert!(routes.len() > 25, "{}", routes.len());

    // Whoever joins, with an account or with a new one, and whoever goes.
    let invite = async || {
        let call = app.post(&format!("{team}/invitations")).session(&owner).json(&json!({ "role": "viewer" }));
        let made = call.send().await.expect(201).data();
        made["url"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned()
    };
    let newest = async || entries(&team).await[0].clone();
    let joined = app.sign_in(app.user());
    app.post(&format!("/api/invitations/{}", invite().await)).session(&joined).send().await.expect(200);
    assert_eq!(newest().await["action"], "invitations.accept");
    let body = json!({ "email": "new@example.com", "name": "New", "password": PASSWORD, "invitation": invite().await });
    let made = app.post("/api/users").json(&body).send().await.expect(201);
    let entry = newest().await;
    assert_eq!((&entry["action"], &entry["details"]["role"]), (&json!("users.sign_up"), &json!("viewer")));
    let secret = made.new_secret().unwrap();
    let gone = app.request(Method::DELETE, "/api/account").cookie(&secret).json(&json!({ "password": PASSWORD }));
    gone.send().await.expect(204);
    let entry = newest().await;
    assert_eq!((&entry["action"], &entry["actor"]), (&json!("account.delete"), &json!("a deleted account")));

    // Nothing is left of whoever went.
    assert!(!world.whole_database().contains("new@example.com"), "an address of a deleted account");
}

fn without_invitations(facts: &str) -> String {
    facts.lines().filter(|line| !line.starts_with("invitations ")).collect::<Vec<_>>().join("\n")
}

/// A sign-in stands on what it was checked by until it is there.
///
/// Sabotage: begin the session without looking at its ground.
#[actix_web::test]
async fn nobody_is_signed_in_by_what_was_taken_back_meanwhile() {
    use zenovay_auth::{PasswordHash, SignInStage};
    use zenovay_domain::SignInId;
    use zenovay_store::{NewSession, SignInGround, StoreError};
    let app = TestApp::start().await;
    let user = app.user_with_password("ada@example.com", PASSWORD);
    let (store, now) = (app.state.store.clone(), app.state.clock.now());
    let begin = |n: u8, stage, ground| {
        let (id, digest) = (SignInId::from_random_bytes([n; 16]), zenovay_auth::SecretDigest::of(&[n]));
        let mut new = NewSession::new(id, user, digest, stage, "");
        new.ground = ground;
        store.begin_session(&new, now).map(|()| id)
    };
    let old = store.user(user).unwrap().unwrap().password_hash;
    let half_way = begin(1, SignInStage::SecondFactor, SignInGround::Password(&old)).unwrap();
    let other = begin(2, SignInStage::SecondFactor, SignInGround::Password(&old)).unwrap();
    begin(3, SignInStage::Complete, SignInGround::HalfWay(half_way)).unwrap();
    let again = begin(4, SignInStage::Complete, SignInGround::HalfWay(half_way));
    assert!(matches!(again, Err(StoreError::SignedOut)), "a half-way session is used once: {again:?}");
    let new = PasswordHash::from_stored("another".to_owned());
    store.change_password(user, &new, None).unwrap();
    for ground in [SignInGround::Password(&old), SignInGround::HalfWay(other), SignInGround::HalfWay(half_way)] {
        let begun = begin(5, SignInStage::Complete, ground);
        assert!(matches!(begun, Err(StoreError::SignedOut)), "{ground:?}: {begun:?}");
    }
    // Nor does the hash of the earlier password come back.
    assert!(!store.rehash_password(user, &old, &PasswordHash::from_stored("stronger".to_owned())).unwrap());
    assert_eq!(store.user(user).unwrap().unwrap().password_hash.as_str(), "another");
    assert!(store.rehash_password(user, &new, &PasswordHash::from_stored("stronger".to_owned())).unwrap());
    // A secret of an app that was replaced is not switched on by a code of the one before.
    store.prepare_codes(user, &[1; 20]).unwrap();
    store.prepare_codes(user, &[2; 20]).unwrap();
    assert!(!store.enable_codes(user, &[1; 20], 1, &[], now).unwrap());
    assert!(store.enable_codes(user, &[2; 20], 1, &[], now).unwrap());
}
