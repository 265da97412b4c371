//! Events are kept as long as the plan of their team says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{TestApp, TestKey, TestWebsite};
use serde_json::json;
use zenovay::maintenance::Maintenance;
use zenovay_domain::{Clock, Plan};

const DAY_MS: i64 = 86_400_000;

/// The paths of a website's views of all the time that the API reaches, and of earlier ones.
async fn days_ago(app: &TestApp, site: &TestWebsite<'_>, key: &TestKey) -> Vec<String> {
    let mut paths = Vec::new();
    // A range reaches back a year: look from two moments.
    let now = app.clock.now();
    for back in [0, 300] {
        app.clock.set(now.plus_millis(-back * DAY_MS));
        let pages = app.get(&site.path("/analytics/{id}/pages?range=1y&limit=100")).key(key).send().await.expect(200);
        for page in pages.data()["pages"].as_array().expect("pages") {
            paths.push(page["url"].as_str().expect("a path").to_owned());
        }
    }
    app.clock.set(now);
    paths.sort_by_key(|path| path[1..].parse::<u32>().expect("a number of days"));
    paths.dedup();
    paths
}

/// Runs the tasks that a server runs at start, until `done`.
fn maintain(app: &TestApp, done: impl Fn(&TestApp) -> bool) {
    let maintenance = Maintenance::start(Arc::clone(&app.state), Arc::clone(&app.guarded)).expect("a thread");
    let started = Instant::now();
    while !done(app) {
        assert!(started.elapsed() < Duration::from_secs(60), "{} rows are left", rows(app));
        std::thread::park_timeout(Duration::from_millis(2));
    }
    maintenance.stop();
}

/// Runs them once, whatever comes of it.
fn maintain_once(app: &TestApp) {
    // The tasks of the first round come before the one that ends it.
    Maintenance::start(Arc::clone(&app.state), Arc::clone(&app.guarded)).expect("a thread").stop();
}

/// What is stored, hidden or not.
fn rows(app: &TestApp) -> u64 {
    app.events.stats().segment_rows + app.events.stats().head_rows
}

/// Sends views of these many days ago by the clock of `app`.
async fn send_views(app: &TestApp, site: &TestWebsite<'_>, key: &TestKey, days_ago: &[i64]) {
    let now = app.clock.now();
    let view = |days: &i64| {
        json!({
            "type": "pageview", "ts": now.plus_millis(-days * DAY_MS).as_millis(), "visitorId": "v",
            "sessionId": format!("s{days}"), "props": { "url": format!("https://{}/{days}", site.website.domain) },
        })
    };
    let events: Vec<_> = days_ago.iter().map(view).collect();
    let body = json!({ "trackingCode": site.code(), "events": events });
    let answer = app.post("/api/v1/events").key(key).json(&body).send().await.expect(200);
    assert_eq!(answer.data()["accepted"], days_ago.len(), "{}", answer.text());
}

/// Sabotage: one number of days for all plans, or the plan that the team had when the server started.
#[actix_web::test]
async fn each_team_keeps_its_events_as_long_as_its_plan_says() {
    let app = TestApp::start().await;
    let mut sites = Vec::new();
    // 365, 730 and 1,460 days by default: on the edge days, the beginning of the day in UTC decides.
    for (plan, name) in [(Plan::Free, "free"), (Plan::Pro, "pro"), (Plan::Scale, "scale")] {
        let team = app.team(Plan::Scale);
        let site = team.website(&format!("{name}.example"));
        let key = team.key("full_access");
        send_views(&app, &site, &key, &[1, 364, 365, 366, 600]).await;
        sites.push((plan, team, site, key));
    }
    for (plan, team, ..) in &sites {
        app.state.store.set_plan(team.id, *plan).expect("a plan");
    }
    maintain_once(&app);
    for ((_, team, site, key), expected) in sites.iter().zip([
        &["/1", "/364", "/365"][..],
        &["/1", "/364", "/365", "/366", "/600"],
        &["/1", "/364", "/365", "/366", "/600"],
    ]) {
        // The free plan has no API: its numbers are read while the team is on another.
        app.state.store.set_plan(team.id, Plan::Scale).expect("a plan");
        assert_eq!(days_ago(&app, site, key).await, expected);
    }
    // The first team stays on the larger plan: what was hidden is there again, and nothing was removed.
    maintain_once(&app);
    for (_, _, site, key) in &sites {
        assert_eq!(days_ago(&app, site, key).await, ["/1", "/364", "/365", "/366", "/600"]);
    }
    assert_eq!(rows(&app), 15);
}

/// Sabotage: remove at once, or by the calendar.
#[actix_web::test]
async fn hidden_events_are_removed_after_thirty_days_on_which_the_server_ran() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Scale);
    let (site, key) = (team.website("shop.example"), team.key("full_access"));
    send_views(&app, &site, &key, &[1, 2, 3, 366, 600]).await;
    app.events.seal().expect("sealed");
    app.state.store.set_plan(team.id, Plan::Free).expect("a plan");
    for _ in 0..30 {
        maintain_once(&app);
        assert_eq!(rows(&app), 5);
        app.clock.advance_ms(DAY_MS);
    }
    maintain_once(&app);
    assert_eq!(rows(&app), 5, "two of five are more than a tenth, and wait for a day");
    app.clock.advance_ms(DAY_MS);
    maintain(&app, |app| rows(app) == 3);
    app.state.store.set_plan(team.id, Plan::Scale).expect("a plan");
    maintain_once(&app);
    assert_eq!(days_ago(&app, &site, &key).await, ["/1", "/2", "/3"]);
}

/// A reading that is years ahead, at start and while the server runs. Sabotage: believe it.
#[actix_web::test]
async fn a_clock_that_is_wrong_for_a_moment_hides_and_removes_nothing() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Scale);
    let (site, key) = (team.website("shop.example"), team.key("full_access"));
    send_views(&app, &site, &key, &[1, 2, 600]).await;
    app.events.seal().expect("sealed");
    maintain_once(&app);
    for years in [5, -5] {
        app.clock.step_ms(years * 365 * DAY_MS);
        for _ in 0..3 {
            maintain_once(&app);
            app.clock.advance_ms(60_000);
        }
        assert!(app.guarded.status().doubt.is_some());
        app.clock.step_ms(-years * 365 * DAY_MS);
        maintain_once(&app);
        assert_eq!(app.guarded.status().doubt, None);
        assert_eq!((days_ago(&app, &site, &key).await.len(), rows(&app)), (3, 3));
    }
    let now = app.clock.now();
    app.clock.set(now.plus_millis(5 * 365 * DAY_MS));
    let app = app.restart().await;
    maintain_once(&app);
    assert!(app.guarded.status().doubt.is_some(), "the last server knew another time");
    assert_eq!(rows(&app), 3);
    app.clock.set(now);
    let app = app.restart().await;
    maintain_once(&app);
    assert_eq!(app.guarded.status().doubt, None);
    let text = app.state.metrics.render(app.state.events.as_ref());
    for name in ["zenovay_clock_doubts_total", "zenovay_retention_removed_rows_total", "zenovay_clock_trusted"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}");
    }
}
