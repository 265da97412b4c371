//! API keys as people make, watch and revoke them (S1, S2, S3).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use actix_web::http::Method;
use common::{Reply, TestApp, TestCall, TestKey, TestSession};
use serde_json::{Value, json};
use zenovay_auth::KeyKind;
use zenovay_domain::{KeyPolicy, Plan, Role};

fn patch<'a>(app: &'a TestApp, path: &str) -> TestCall<'a> {
    app.request(Method::PATCH, path)
}

async fn create(app: &TestApp, session: &TestSession, body: Value) -> Reply {
    app.post("/api/account/keys").session(session).json(&body).send().await
}

/// The key that an answer shows once.
fn shown(reply: &Reply) -> TestKey {
    let data = reply.data();
    TestKey { id: data["id"].as_str().unwrap().parse().unwrap(), text: data["key"].as_str().unwrap().to_owned() }
}

#[actix_web::test]
async fn a_key_is_shown_once_used_watched_and_revoked() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Pro);
    let mine = app.sign_in(team.owner);
    let reply = create(&app, &mine, json!({ "name": "Production Integration" })).await.expect(201);
    let key = shown(&reply);
    let path = format!("/api/keys/{}", key.id);
    assert_eq!(reply.header("location"), Some(path.as_str()));
    let data = reply.data();
    assert_eq!(
        (&data["scopes"], &data["team_ids"], &data["website_ids"], &data["kind"], &data["last_used_at"]),
        (&json!(["full_access"]), &Value::Null, &Value::Null, &json!("personal"), &Value::Null)
    );
    assert_eq!(data["prefix"], format!("{}…", &key.text[..7]));

    app.get("/api/external/v1/usage?secret=hidden").key(&key).send().await.expect(200);
    app.get("/api/external/v1/websites/none").key(&key).send().await.expect(404);
    for path in ["/api/account/keys", &path, &format!("{path}/activity")] {
        let reply = app.get(path).session(&mine).send().await.expect(200);
        assert!(!reply.text().contains(&key.text), "{path}");
    }
    let list = app.get("/api/account/keys").session(&mine).send().await.expect(200).data();
    assert_eq!(list["keys"][0]["last_used_at"], "2026-06-13T12:00:00.000Z");
    let reply = app.get(&format!("{path}/activity")).session(&mine).send().await.expect(200);
    let requests = &reply.data()["requests"];
    assert_eq!(requests.as_array().unwrap().len(), 2);
    let route = |n: usize| (requests[n]["method"].clone(), requests[n]["route"].clone(), requests[n]["status"].clone());
    assert_eq!(route(0), (json!("GET"), json!("/api/external/v1/websites/{website_id}"), json!(404)));
    assert_eq!(route(1), (json!("GET"), json!("/api/external/v1/usage"), json!(200)));
    assert_eq!(requests[0]["accepted"], Value::Null);
    assert!(!reply.text().contains("hidden") && !reply.text().contains("11.0."), "neither a query nor an address");
    assert_eq!(reply.data()["counted"]["last_24h"], 2);

    app.request(Method::DELETE, &path).session(&mine).send().await.expect(204);
    app.get("/api/external/v1/usage").key(&key).send().await.expect(401);
    let list = app.get("/api/account/keys").session(&mine).send().await.expect(200).data();
    assert_eq!(list["keys"], json!([]));
    assert!(app.get(&path).session(&mine).send().await.expect(200).data()["revoked_at"].is_string());
    patch(&app, &path).session(&mine).json(&json!({ "name": "x" })).send().await.expect(409);
}

#[actix_web::test]
async fn the_activity_counts_events_and_keeps_the_last_hundred_requests() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let mine = app.sign_in(site.team.owner);
    let key = shown(&create(&app, &mine, json!({ "name": "Server", "scopes": ["write"] })).await.expect(201));
    let mut rows = vec![site.row("pageview", "2026-06-13T11:00:00Z", "1", "/", json!({}))];
    rows.push(json!({ "type": "pageview" }));
    let body = json!({ "trackingCode": site.code(), "events": rows });
    app.post("/api/v1/events").key(&key).json(&body).send().await.expect(200);
    let path = format!("/api/keys/{}/activity", key.id);
    let data = app.get(&path).session(&mine).send().await.expect(200).data();
    assert_eq!(data["accepted"], json!({ "last_24h": 1, "last_7d": 1, "all": 1 }));
    let batch = &data["requests"][0];
    assert_eq!(
        (&batch["route"], &batch["accepted"], &batch["rejected"]),
        (&json!("/api/v1/events"), &json!(1), &json!(1))
    );
    for number in 0..130 {
        app.get("/api/external/v1/usage").key(&key).send().await;
        if number % 60 == 59 {
            app.clock.advance_ms(60_000);
        }
        if number == 50 {
            app.state.key_log.store(&*app.state.store).unwrap();
        }
    }
    let data = app.get(&path).session(&mine).send().await.expect(200).data();
    let requests = data["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 100);
    assert!(requests.iter().all(|request| request["route"] == "/api/external/v1/usage"), "the oldest went");
    app.clock.advance_ms(25 * 3_600_000);
    let mine = app.sign_in(site.team.owner);
    let data = app.get(&path).session(&mine).send().await.expect(200).data();
    assert_eq!(data["accepted"], json!({ "last_24h": 0, "last_7d": 1, "all": 1 }));
}

#[actix_web::test]
async fn a_key_is_edited_in_name_scopes_and_reach() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Scale);
    let site = team.website("shop.example");
    let mine = app.sign_in(team.owner);
    let key = shown(
        &create(&app, &mine, json!({ "name": "One", "scopes": ["read"], "team_ids": [team.id.to_string()] }))
            .await
            .expect(201),
    );
    let path = format!("/api/keys/{}", key.id);
    let edit = json!({ "name": "Two", "scopes": ["read", "write"], "team_ids": null, "website_ids": [site.id().to_string()], "revoked_at": null, "id": "x" });
    let data = patch(&app, &path).session(&mine).json(&edit).send().await.expect(200).data();
    assert_eq!(
        (&data["name"], &data["scopes"], &data["team_ids"]),
        (&json!("Two"), &json!(["read", "write"]), &Value::Null)
    );
    assert_eq!(data["website_ids"], json!([site.id().to_string()]));
    let data = patch(&app, &path).session(&mine).json(&json!({ "name": "Three" })).send().await.expect(200).data();
    assert_eq!(data["website_ids"], json!([site.id().to_string()]), "what is absent stays");
    for (body, field, problem) in [
        (json!({ "name": " " }), "name", "Name is required"),
        (json!({ "name": "x".repeat(65) }), "name", "Name too long (max 64 characters)"),
        (json!({ "scopes": [] }), "scopes", "Select at least one permission"),
        (json!({ "team_ids": [] }), "team_ids", "Name at least one team"),
        (json!({ "team_ids": ["x"] }), "team_ids", "Each must be an id"),
        (json!({ "website_ids": [] }), "website_ids", "Name at least one website"),
    ] {
        let reply = patch(&app, &path).session(&mine).json(&body).send().await.expect(422);
        assert_eq!(reply.json()["details"][field], problem, "{body}");
    }
    patch(&app, &path).session(&mine).json(&json!({ "scopes": ["root"] })).send().await.expect(400);
}

/// S0, S1: on Free there are no keys, and the reason is said in their words.
#[actix_web::test]
async fn free_teams_have_no_keys() {
    let app = TestApp::start().await;
    let free = app.team(Plan::Free);
    let mine = app.sign_in(free.owner);
    let reply = create(&app, &mine, json!({ "name": "Key" })).await.expect(403);
    assert_eq!(reply.code(), "API_PAID_PLAN_REQUIRED");
    assert_eq!(
        reply.json()["message"],
        "The Zenovay API requires a paid plan. Upgrade to Pro or higher to use API keys."
    );
    let body = json!({ "name": "Key" });
    let of_team = format!("/api/teams/{}/keys", free.id);
    assert_eq!(app.post(&of_team).session(&mine).json(&body).send().await.expect(403).code(), "API_PAID_PLAN_REQUIRED");
    // One paid team is enough for keys of one's own.
    let paid = app.team(Plan::Pro);
    app.state.store.add_member(paid.id, free.owner, Role::Viewer, &app.state.plans, app.state.clock.now()).unwrap();
    create(&app, &mine, json!({ "name": "Key", "scopes": ["read"] })).await.expect(201);
}

/// S2, S3: who may make keys that reach a workspace, and with the admin scope.
#[actix_web::test]
async fn governance_and_the_admin_scope_hold() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Scale);
    let (editor, owner) = (app.sign_in(team.member(Role::Editor)), app.sign_in(team.owner));
    create(&app, &editor, json!({ "name": "Admin", "scopes": ["admin"] })).await.expect(403);
    create(&app, &owner, json!({ "name": "Admin", "scopes": ["admin"] })).await.expect(201);
    for (policy, of_editor, of_owner) in
        [(KeyPolicy::AllMembers, 201, 201), (KeyPolicy::OwnersAndAdmins, 403, 201), (KeyPolicy::NoOne, 403, 403)]
    {
        app.state.store.set_key_policy(team.id, policy).unwrap();
        create(&app, &editor, json!({ "name": "Key" })).await.expect(of_editor);
        create(&app, &owner, json!({ "name": "Key" })).await.expect(of_owner);
    }
    // Workspace keys are for owners and admins whatever the policy says (S3).
    let path = format!("/api/teams/{}/keys", team.id);
    app.post(&path).session(&owner).json(&json!({ "name": "CI" })).send().await.expect(201);
    app.post(&path).session(&editor).json(&json!({ "name": "CI" })).send().await.expect(403);
    // Of a team that one is not in, nothing is known.
    let foreign = app.team(Plan::Scale);
    let body = json!({ "name": "Key", "team_ids": [foreign.id.to_string()] });
    create(&app, &owner, body).await.expect(404);
}

/// S3: workspace keys survive their maker.
#[actix_web::test]
async fn workspace_keys_belong_to_the_team() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Scale);
    let (site, sibling) = (team.website("shop.example"), team.website("other.example"));
    let admin = team.member(Role::Admin);
    let path = format!("/api/teams/{}/keys", team.id);
    let body = json!({ "name": "CI", "website_ids": [site.id().to_string()] });
    let key = shown(&app.post(&path).session(&app.sign_in(admin)).json(&body).send().await.expect(201));
    app.state.store.remove_member(team.id, admin, app.state.clock.now()).unwrap();
    app.get(&site.path("/analytics/{id}")).key(&key).send().await.expect(200);
    app.get(&sibling.path("/analytics/{id}")).key(&key).send().await.expect(403);
    let owner = app.sign_in(team.owner);
    let list = app.get(&path).session(&owner).send().await.expect(200).data();
    assert_eq!(
        (&list["keys"][0]["kind"], &list["keys"][0]["team_id"]),
        (&json!("workspace"), &json!(team.id.to_string()))
    );
    app.request(Method::DELETE, &format!("/api/keys/{}", key.id)).session(&owner).send().await.expect(204);
    app.get(&site.path("/analytics/{id}")).key(&key).send().await.expect(401);
}

/// A key makes no key that may do more than itself, and touches nobody's personal keys.
///
/// Sabotage: leave the comparison of scopes out.
#[actix_web::test]
async fn a_key_makes_no_stronger_key() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Scale);
    let personal = KeyKind::Personal(team.owner);
    let (admin, full) = (app.key(personal, "admin", None, None), app.key(personal, "full_access", None, None));
    let path = format!("/api/teams/{}/keys", team.id);
    let reply = app.post(&path).key(&admin).json(&json!({ "name": "CI" })).send().await.expect(403);
    assert_eq!(reply.json()["details"], "The API key lacks full access");
    app.post(&path).key(&admin).json(&json!({ "name": "CI", "scopes": ["read"] })).send().await.expect(403);
    let made = shown(&app.post(&path).key(&full).json(&json!({ "name": "CI" })).send().await.expect(201));
    // Nor does it lead a stronger one elsewhere.
    let edit = json!({ "website_ids": null });
    patch(&app, &format!("/api/keys/{}", made.id)).key(&admin).json(&edit).send().await.expect(403);
    for own in [&admin, &full] {
        let path = format!("/api/keys/{}", own.id);
        app.get(&path).key(&full).send().await.expect(403);
        app.request(Method::DELETE, &path).key(&full).send().await.expect(403);
    }
    // Other people's keys are not even there.
    let other = app.sign_in(team.member(Role::Owner));
    app.get(&format!("/api/keys/{}", full.id)).session(&other).send().await.expect(404);
}
