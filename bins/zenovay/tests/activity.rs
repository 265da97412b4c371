//! `GET /api/server/activity`: what the server did in the last hours, and the slowest questions. Who may read it is in `status` and
//! `console_authorization`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use common::endless::Endless;
use common::{TestApp, TestSession, at};
use serde_json::{Value, json};
use zenovay::activity::SlowQuestions;
use zenovay::http::long_questions::{LongQuestions, Waits};
use zenovay::http::queries::QueryPool;
use zenovay_domain::{Clock, Plan};
use zenovay_events::EventStore;

const MINUTE_MS: i64 = 60_000;
const NEVER: Duration = Duration::from_secs(3_600);

async fn activity(app: &TestApp, owner: &TestSession, range: &str) -> Value {
    let path = format!("/api/server/activity?range={range}");
    app.get(&path).session(owner).send().await.expect(200).data()
}

/// The application over `events`, whose every question is slow and, with `at_once`, answered later when it takes longer.
async fn slow(app: &TestApp, events: Arc<dyn EventStore>, at_once: Duration) -> TestApp {
    let clock: Arc<dyn Clock> = app.clock.clone();
    let slow = Arc::new(SlowQuestions::new(clock).over(Duration::ZERO));
    app.changed(|state| {
        state.queries = QueryPool::new(events, NEVER, 64 << 20, slow);
        state.long_questions = Arc::new(LongQuestions::new(Waits { at_once, unfollowed: NEVER, held: NEVER }));
    })
    .await
}

/// Sabotage: tell the counters instead of their differences, or nothing of what is dropped.
#[actix_web::test]
async fn what_came_in_is_told_minute_by_minute() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let (owner, site) = (app.sign_in(team.owner), team.website("shop.example"));
    site.send(&site.hit("/early", "session-early")).send().await.expect(200);

    let early = activity(&app, &owner, "1h").await;
    assert_eq!(
        (&early["points"], &early["now"], &early["since"]),
        (&json!([]), &json!(null), &json!("2026-06-13T12:00:00.000Z"))
    );
    assert_eq!(early["disk"]["free_bytes"], json!(null));
    app.state.activity.look(&app.state);
    let first = activity(&app, &owner, "1h").await;
    assert_eq!((&first["points"], &first["now"]["at"]), (&json!([]), &json!("2026-06-13T12:00:00.000Z")));
    let disk = &first["disk"];
    assert!(disk["data_bytes"].as_u64().is_some_and(|bytes| bytes > 4_096), "{disk}");
    assert!(disk["free_bytes"].as_u64() <= disk["size_bytes"].as_u64(), "{disk}");
    assert_eq!((&disk["growth_is_known"], &disk["full_in_days"]), (&json!(false), &json!(null)));

    for session in ["session-one", "session-two"] {
        site.send(&site.hit("/", session)).send().await.expect(200);
    }
    let bot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    let mut hit = site.hit("/", "session-bot");
    hit["user_agent"] = json!(bot);
    app.post(&format!("/e/{}", site.code()))
        .header("origin", "https://shop.example")
        .header("user-agent", bot)
        .json(&hit)
        .send()
        .await
        .expect(200);
    app.post("/e/ZV_00000000000").json(&hit).send().await.expect(401);
    app.clock.advance_ms(MINUTE_MS);
    app.state.activity.look(&app.state);
    // The same minute is not looked at twice.
    app.state.activity.look(&app.state);
    app.clock.advance_ms(MINUTE_MS);
    app.state.activity.look(&app.state);

    let told = activity(&app, &owner, "1h").await;
    let counts = |from: &Value| ["stored", "dropped", "refused"].map(|kind| from[kind].as_u64().unwrap());
    let points = told["points"].as_array().unwrap();
    let of_points: Vec<_> = points.iter().map(|point| (point["at"].as_str().unwrap(), counts(point))).collect();
    assert_eq!(of_points, [("2026-06-13T12:00:00.000Z", [2, 1, 1]), ("2026-06-13T12:01:00.000Z", [0, 0, 0])]);
    assert_eq!((&points[0]["measured_seconds"], &told["step_seconds"]), (&json!(60), &json!(60)));
    assert!(points[0]["events_p95_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{}", points[0]);
    assert_eq!(points[1]["events_p95_ms"], json!(null), "nothing was sent");
    assert_eq!(counts(&told["events"]), [2, 1, 1]);
    let reasons = json!([
        { "outcome": "dropped", "reason": "bot", "count": 1 },
        { "outcome": "refused", "reason": "unknown_tracking_code", "count": 1 },
    ]);
    assert_eq!(told["events"]["reasons"], reasons);
    let of_class =
        |class: &str| told["requests"].as_array().unwrap().iter().find(|of| of["class"] == class).cloned().unwrap();
    assert_eq!((&of_class("events")["count"], &of_class("events")["client_errors"]), (&json!(4), &json!(1)));
    assert!(of_class("api")["count"].as_u64() > Some(0), "{told}");
    assert!(points[0]["memory_bytes"].as_u64() > Some(0), "{}", points[0]);

    let day = activity(&app, &owner, "24h").await;
    assert_eq!((&day["step_seconds"], &day["points"][0]["measured_seconds"]), (&json!(300), &json!(120)));
    assert_eq!(counts(&day["points"][0]), [2, 1, 1]);
    let wrong = app.get("/api/server/activity?range=7d").session(&owner).send().await.expect(400);
    assert_eq!(wrong.json()["details"]["range"], "use one of 1h, 24h");
}

/// Sabotage: tell the path that was asked for, or leave the route of a request out.
#[actix_web::test]
async fn slow_questions_are_told_by_their_route_and_never_what_was_asked() {
    let plain = TestApp::start().await;
    let team = plain.team(Plan::Enterprise);
    let (owner, site) = (plain.sign_in(team.owner), team.website("shop.example"));
    let app = slow(&plain, plain.events.clone(), NEVER).await;
    let asked = format!("/api/websites/{}/totals?f=page:is:/of-anna", site.id());
    app.get(&asked).session(&owner).send().await.expect(200);
    app.get("/api/websites").session(&owner).send().await.expect(200);
    let told = activity(&app, &owner, "1h").await;
    assert!(!told.to_string().contains("anna"), "{told}");
    let slow = &told["slow_questions"];
    assert_eq!(slow["over_ms"], 0);
    let of = |route: &str| slow["slowest"].as_array().unwrap().iter().find(|of| of["route"] == route).cloned().unwrap();
    let totals = of("/api/websites/{website_id}/totals");
    assert_eq!(totals["website"], json!({ "id": site.id(), "domain": "shop.example" }));
    assert_eq!((&totals["end"], &totals["at"]), (&json!("answered"), &json!("2026-06-13T12:00:00.000Z")));
    assert_eq!(of("/api/websites")["website"], json!(null), "it is about all");
    // A website that was deleted has no name any more.
    app.state.store.delete_website(site.id(), at("2026-06-13T12:00:00Z")).unwrap();
    let told = activity(&app, &owner, "1h").await;
    assert!(!told.to_string().contains("shop.example"), "{told}");
    app.clock.advance_ms(61 * MINUTE_MS);
    assert_eq!(activity(&app, &owner, "1h").await["slow_questions"]["slowest"], json!([]));
    assert_ne!(activity(&app, &owner, "24h").await["slow_questions"]["slowest"], json!([]));
}

/// Sabotage: take whoever leaves for a failure.
#[actix_web::test]
async fn a_slow_question_that_is_stopped_is_told_as_cancelled() {
    let plain = TestApp::start().await;
    let team = plain.team(Plan::Enterprise);
    let (owner, site) = (plain.sign_in(team.owner), team.website("shop.example"));
    let (endless, began, _ended) = Endless::new(&plain.events);
    let app = slow(&plain, endless, Duration::ZERO).await;
    let later = app.get(&format!("/api/websites/{}/totals", site.id())).session(&owner).send().await.expect(202);
    let place = later.header("location").unwrap().to_owned();
    // One that is stopped before its turn took no time, and is told nowhere.
    while began.try_recv().is_err() {
        tokio::task::yield_now().await;
    }
    app.request(Method::DELETE, &place).session(&owner).send().await.expect(204);
    while app.state.queries.slow().slowest(at("2026-06-13T00:00:00Z"), 1).is_empty() {
        tokio::task::yield_now().await;
    }
    let told = activity(&app, &owner, "1h").await;
    let question = &told["slow_questions"]["slowest"][0];
    assert_eq!(
        (&question["end"], &question["route"]),
        (&json!("cancelled"), &json!("/api/websites/{website_id}/totals"))
    );
}
