//! Events are kept as long as the plan of their team says.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{TestApp, TestKey, TestWebsite, at};
use serde_json::json;
use zenovay::maintenance::Maintenance;
use zenovay_domain::{Clock, Plan, Timestamp};
use zenovay_events::EventStore;
use zenovay_store::TeamStore;

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

/// Runs the tasks that a server runs at start, until `rows` rows are left.
fn maintain(app: &TestApp, rows: u64) {
    let maintenance = Maintenance::start(Arc::clone(&app.state)).expect("a thread");
    let started = Instant::now();
    let left = || app.events.stats().segment_rows + app.events.stats().head_rows;
    while left() != rows {
        assert!(started.elapsed() < Duration::from_secs(20), "{} rows are left instead of {rows}", left());
        std::thread::park_timeout(Duration::from_millis(2));
    }
    maintenance.stop();
    assert_eq!(left(), rows);
}

/// Sabotage: one number of days for all plans, or the plan that the team had when the server started.
#[actix_web::test]
async fn each_team_keeps_its_events_as_long_as_its_plan_says() {
    let app = TestApp::start().await;
    let now: Timestamp = at(common::NOON);
    let mut sites = Vec::new();
    // 365, 730 and 1,460 days by default: on the edge days, the beginning of the day in UTC decides.
    for (plan, name) in [(Plan::Free, "free"), (Plan::Pro, "pro"), (Plan::Scale, "scale")] {
        let team = app.team(Plan::Scale);
        let site = team.website(&format!("{name}.example"));
        let key = team.key("full_access");
        let view = |days: i64| {
            json!({
                "type": "pageview", "ts": now.plus_millis(-days * DAY_MS).as_millis(), "visitorId": "v",
                "sessionId": format!("s{days}"), "props": { "url": format!("https://{name}.example/{days}") },
            })
        };
        let events = [1, 364, 365, 366, 600].map(view);
        let body = json!({ "trackingCode": site.code(), "events": events });
        let answer = app.post("/api/v1/events").key(&key).json(&body).send().await.expect(200);
        assert_eq!(answer.data()["accepted"], 5, "{}", answer.text());
        sites.push((plan, team, site, key));
    }
    maintain(&app, 15);
    for (plan, team, ..) in &sites {
        app.state.store.set_plan(team.id, *plan).expect("a plan");
    }
    // 366 and 600 days are too long on the free plan.
    maintain(&app, 13);
    for ((_, _, site, key), expected) in sites.iter().zip([
        &["/1", "/364", "/365"][..],
        &["/1", "/364", "/365", "/366", "/600"],
        &["/1", "/364", "/365", "/366", "/600"],
    ]) {
        // The free plan has no API: its numbers are read while the team is on another.
        app.state.store.set_plan(site.team.id, Plan::Scale).expect("a plan");
        assert_eq!(days_ago(&app, site, key).await, expected);
    }
    app.state.store.set_plan(sites[0].1.id, Plan::Free).expect("a plan");
    // Two days later the next ones are too old.
    app.clock.advance_ms(2 * DAY_MS);
    maintain(&app, 11);
}
