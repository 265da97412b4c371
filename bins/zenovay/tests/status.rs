//! The status page: what the server finds by itself, what operators write, who may see it, and what it never tells.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::collections::BTreeSet;

use actix_web::http::Method;
use common::{NOON, Reply, TestApp, at};
use serde_json::{Value, json};
use zenovay::config::StatusPage;
use zenovay_domain::{Clock, Plan, Role};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Checks once a minute for so many minutes, as the server does.
fn run(app: &TestApp, minutes: i64) {
    for _ in 0..minutes {
        app.clock.advance_ms(MINUTE_MS);
        app.state.status.check(&app.state).unwrap();
    }
}

async fn status(app: &TestApp) -> Value {
    app.get("/status.json").send().await.expect(200).json()
}

fn component<'a>(status: &'a Value, id: &str) -> &'a Value {
    status["components"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap()
}

fn today(status: &Value, id: &str) -> Value {
    component(status, id)["days"][89].clone()
}

/// Sabotage: leave gaps out of `without_gaps`, or take a short one for an outage.
#[actix_web::test]
async fn a_gap_is_an_outage_and_a_restart_is_not() {
    let app = TestApp::start().await;
    let first = status(&app).await;
    assert_eq!((&first["state"], &first["checked_at"]), (&json!("operational"), &json!("2026-06-13T12:00:00.000Z")));
    let names: Vec<&Value> = first["components"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(names, ["dashboard", "ingestion", "api", "auth"]);
    assert_eq!(component(&first, "api")["uptime"], Value::Null, "nothing was measured yet");
    assert_eq!(component(&first, "api")["days"].as_array().unwrap().len(), 90);

    run(&app, 60);
    let app = app.restart().await;
    app.clock.advance_ms(2 * MINUTE_MS);
    run(&app, 58);
    let well = status(&app).await;
    assert_eq!(today(&well, "api"), json!({ "day": "2026-06-13", "state": "operational" }));
    assert_eq!(component(&well, "api")["uptime"], 1.0);
    assert_eq!(component(&well, "api")["days"][88]["state"], Value::Null, "before the first check");

    // Down for an hour.
    let app = app.restart().await;
    app.clock.advance_ms(HOUR_MS);
    run(&app, 60);
    let after = status(&app).await;
    assert_eq!(after["state"], "operational", "it is over");
    assert_eq!(today(&after, "auth")["state"], "outage");
    let uptime = component(&after, "auth")["uptime"].as_f64().unwrap();
    assert!((0.74..0.76).contains(&uptime), "{uptime}");
}

/// Sabotage: forget nothing, or the span before a gap.
#[actix_web::test]
async fn ninety_days_are_kept() {
    let app = TestApp::start().await;
    run(&app, 2);
    // An outage a day.
    for _ in 0..95 {
        app.clock.advance_ms(DAY_MS - 2 * MINUTE_MS);
        run(&app, 2);
    }
    let spans = app.state.store.status_spans().unwrap();
    let oldest = spans.iter().map(|span| span.from).min().unwrap();
    let days = app.clock.now().millis_since(oldest) / DAY_MS;
    assert!((90..=91).contains(&days), "{days}");
    let shown = status(&app).await;
    let days = component(&shown, "ingestion")["days"].as_array().unwrap();
    assert!(days.iter().all(|day| day["state"] == "outage"), "{days:?}");
    assert_eq!(days[89]["day"], "2026-09-16");
}

/// Sabotage: say that a part is out of order after the first check that failed.
#[actix_web::test]
async fn three_checks_that_fail_are_an_outage() {
    let app = TestApp::start().await;
    run(&app, 1);
    app.events.shutdown();
    run(&app, 1);
    let state = |status: &Value| component(status, "ingestion")["state"].clone();
    assert_eq!(state(&status(&app).await), "degraded");
    run(&app, 2);
    let out = status(&app).await;
    assert_eq!((state(&out), &out["state"]), (json!("outage"), &json!("outage")));
    assert_eq!(component(&out, "auth")["state"], "operational");
}

async fn write(app: &TestApp, path: &str, session: &common::TestSession, body: &Value) -> Reply {
    app.post(path).session(session).json(body).send().await
}

fn slow(components: &[&str]) -> Value {
    json!({ "title": "Numbers are late", "state": "degraded", "components": components,
            "message": "The disk is slow." })
}

/// Sabotage: let the owner of any team write.
#[actix_web::test]
async fn operators_tell_of_incidents() {
    let app = TestApp::start().await;
    let operators = app.team(Plan::Pro);
    let (owner, admin) = (app.sign_in(operators.owner), app.sign_in(operators.member(Role::Admin)));
    // The oldest team runs the server.
    app.clock.advance_ms(1);
    let other = app.sign_in(app.team(Plan::Enterprise).owner);
    let all = "/api/status/incidents";
    write(&app, all, &admin, &slow(&["api"])).await.expect(403);
    write(&app, all, &other, &slow(&["api"])).await.expect(404);
    let viewer = app.sign_in(operators.member(Role::Viewer));
    for (session, operator, health) in
        [(&owner, true, true), (&admin, false, true), (&viewer, false, false), (&other, false, false)]
    {
        let told = app.get("/api/session").session(session).send().await.expect(200).data();
        assert_eq!((&told["operator"], &told["server_health"]), (&json!(operator), &json!(health)));
        // What is said to be readable is.
        for path in ["/api/doctor", "/api/server/activity"] {
            let report = app.get(path).session(session).send().await;
            assert_eq!(report.status == 200, health, "{path}");
        }
    }
    run(&app, 10);
    let made = write(&app, all, &owner, &slow(&["api", "dashboard"])).await.expect(201);
    let id = made.data()["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), Some(&*format!("{all}/{id}")));
    let during = status(&app).await;
    assert_eq!((&during["state"], &component(&during, "api")["state"]), (&json!("degraded"), &json!("degraded")));
    assert_eq!(component(&during, "auth")["state"], "operational");

    run(&app, 10);
    let update = json!({ "phase": "resolved", "message": "It is fast again." });
    let updates = format!("{all}/{id}/updates");
    write(&app, &updates, &owner, &json!({ "phase": "found", "message": "A backup ran." })).await.expect(201);
    write(&app, &updates, &owner, &update).await.expect(201);
    let again = write(&app, &updates, &owner, &update).await.expect(422);
    assert_eq!(again.json()["details"]["phase"], "the incident is resolved: write a new one");
    run(&app, 10);
    let after = status(&app).await;
    assert_eq!(after["state"], "operational");
    assert_eq!(today(&after, "api")["state"], "degraded");
    let incident = &after["incidents"][0];
    let phases: Vec<&Value> = incident["updates"].as_array().unwrap().iter().map(|one| &one["phase"]).collect();
    assert_eq!(phases, ["resolved", "found", "noticed"]);
    assert_eq!(incident["resolved_at"], "2026-06-13T12:20:00.001Z");
    // The trail of the team has it.
    let trail = app.get(&format!("/api/teams/{}/audit", operators.id)).session(&owner).send().await.expect(200);
    let actions: Vec<Value> =
        trail.data()["entries"].as_array().unwrap().iter().map(|entry| entry["action"].clone()).collect();
    assert!(actions.contains(&json!("status.create")) || actions.contains(&json!("statusCreate")), "{actions:?}");

    app.request(Method::DELETE, &format!("{all}/{id}")).session(&owner).send().await.expect(204);
    app.request(Method::DELETE, &format!("{all}/{id}")).session(&owner).send().await.expect(404);
    assert_eq!(status(&app).await["incidents"], json!([]));
}

/// Sabotage: take a window for anything else than its own time.
#[actix_web::test]
async fn announced_maintenance_is_no_outage() {
    let app = TestApp::start().await;
    let owner = app.sign_in(app.team(Plan::Enterprise).owner);
    run(&app, 10);
    let window = json!({ "title": "A new disk", "state": "maintenance", "components": ["ingestion", "api"],
        "message": "We change a disk.", "starts_at": "2026-06-13T13:00:00Z", "ends_at": "2026-06-13T14:00:00Z" });
    write(&app, "/api/status/incidents", &owner, &window).await.expect(201);
    assert_eq!(status(&app).await["state"], "operational", "not yet");
    run(&app, 51);
    assert_eq!(component(&status(&app).await, "api")["state"], "maintenance");
    // Down from 13:01 until 13:41.
    let app = app.restart().await;
    app.clock.advance_ms(40 * MINUTE_MS);
    run(&app, 60);
    let after = status(&app).await;
    assert_eq!(after["state"], "operational");
    assert_eq!(today(&after, "api")["state"], "maintenance");
    assert_eq!(component(&after, "api")["uptime"], 1.0);
    assert_eq!(today(&after, "auth")["state"], "outage", "nobody said so of it");
}

#[actix_web::test]
async fn what_cannot_be_an_incident_is_told() {
    let app = TestApp::start().await;
    let owner = app.sign_in(app.team(Plan::Enterprise).owner);
    let good = slow(&["api"]);
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    for (body, status, field) in [
        (with("title", json!("")), 422, "title"),
        (with("title", json!("x".repeat(101))), 422, "title"),
        (with("message", json!(" ")), 422, "message"),
        (with("message", json!("x".repeat(2_001))), 422, "message"),
        (with("components", json!([])), 422, "components"),
        (with("components", json!(["api", "api"])), 422, "components"),
        (with("state", json!("operational")), 422, "state"),
        (with("starts_at", json!("2026-06-13T13:00:00Z")), 422, "starts_at"),
        (with("ends_at", json!("soon")), 422, "ends_at"),
        (with("state", json!("fine")), 400, "state"),
        (with("components", json!(["disk"])), 400, "components[0]"),
    ] {
        let reply = write(&app, "/api/status/incidents", &owner, &body).await.expect(status);
        assert!(reply.json()["details"][field].is_string(), "{field}: {}", reply.text());
    }
    let back = json!({ "title": "A disk", "state": "maintenance", "components": ["api"], "message": "x",
        "starts_at": "2026-06-13T13:00:00Z", "ends_at": "2026-06-13T12:30:00Z" });
    let reply = write(&app, "/api/status/incidents", &owner, &back).await.expect(422);
    assert!(reply.json()["details"]["ends_at"].is_string(), "{}", reply.text());
    assert_eq!(status(&app).await["incidents"], json!([]));
}

/// Sabotage: ask nobody in `StatusReader`.
#[actix_web::test]
async fn the_operator_chooses_who_sees_it() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let (session, key) = (app.sign_in(team.owner), team.key("read"));
    let reply = app.get("/status.json").send().await.expect(200);
    assert_eq!(reply.header("cache-control"), Some("public, max-age=0, s-maxage=10"));
    for _ in 0..29 {
        app.get("/status.json").from("192.0.2.7").send().await.expect(200);
    }
    app.get("/status.json").from("192.0.2.7").send().await.expect(200);
    let refused = app.get("/status.json").from("192.0.2.7").send().await.expect(429);
    assert!(refused.header("retry-after").is_some());

    let app = app.changed(|state| state.people.status_page = StatusPage::SignedIn).await;
    app.get("/status.json").send().await.expect(401);
    let reply = app.get("/status.json").session(&session).send().await.expect(200);
    assert_eq!(reply.header("cache-control"), Some("private, no-cache"));
    app.get("/status.json").key(&key).send().await.expect(200);
    let page = app.get("/status").header("accept", "text/html").send().await.expect(302);
    assert_eq!(page.header("location"), Some("/login?next=/status"));
    app.get("/status").header("accept", "text/html").session(&session).send().await.expect(200);

    let app = app.changed(|state| state.people.status_page = StatusPage::Off).await;
    app.get("/status.json").session(&session).send().await.expect(404);
    assert_eq!(app.get("/status").session(&session).send().await.expect(404).code(), "NOT_FOUND");
    app.get("/status").header("accept", "text/html").session(&session).send().await.expect(404);
}

/// Sabotage: add the version of the server, or a name of a website.
#[actix_web::test]
async fn it_tells_of_states_and_incidents_alone() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    team.website("shop.example");
    run(&app, 5);
    let told = status(&app).await;
    let members = |value: &Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
    let names = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    assert_eq!(members(&told), names(&["checked_at", "components", "incidents", "state"]));
    for one in told["components"].as_array().unwrap() {
        assert_eq!(members(one), names(&["days", "id", "name", "state", "uptime"]));
    }
    for secret in [env!("CARGO_PKG_VERSION"), "shop.example", &team.id.to_string()] {
        assert!(!told.to_string().contains(secret), "{secret}");
    }
    assert_eq!(at(NOON).plus_millis(5 * MINUTE_MS).to_string(), told["checked_at"].as_str().unwrap());
}
