//! `accepted = stored + dropped`, and every request and row is counted exactly once. Alone in its file: the counters
//! belong to the process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use common::{CHROME, TestApp};
use serde_json::json;
use zenovay_domain::Plan;

#[actix_web::test]
async fn every_request_and_row_is_counted_once() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("full_access");
    let (mut accepted, mut refused) = (0_u64, 0_u64);
    let mut record = |status: u16| if status < 300 { accepted += 1 } else { refused += 1 };

    for n in 0..20 {
        let mut hit = site.hit(&format!("/{n}"), "session-1");
        hit["event_id"] = format!("event-{}", n / 2).into();
        hit["url"] = "https://shop.example/same".into();
        record(site.send(&hit).send().await.status);
        record(app.post("/e/ZV_unknown").json(&hit).send().await.status);
        record(app.post(&format!("/e/{}", site.code())).body("{").send().await.status);
        record(site.send(&hit).header("content-encoding", "br").send().await.status);
        let bot = app.post(&format!("/e/{}", site.code())).header("origin", "https://shop.example");
        record(bot.header("user-agent", "Googlebot/2.1").json(&hit).send().await.status);
        let beat = app.post(&format!("/e/heartbeat/{}", site.code())).header("origin", "https://shop.example");
        record(beat.header("user-agent", CHROME).json(&json!({ "session_id": "session-1" })).send().await.status);
        // Two valid rows of which one repeats the last round's, and one wrong row.
        let row = |key: u64| {
            json!({ "type": "pageview", "ts": 1_781_352_000_000_i64, "visitorId": "v", "sessionId": "s",
                    "props": { "url": "https://shop.example/" }, "idempotencyKey": format!("row-{key}") })
        };
        let body = json!({ "trackingCode": site.code(), "events": [row(n), row(n + 1), 1] });
        let data = app.post("/api/v1/events").key(&key).json(&body).send().await.expect(200).data();
        assert_eq!(data["rejected"], 1);
        [200, 200, 400].into_iter().for_each(&mut record);
        // Refused as a whole: one outcome.
        record(app.post("/api/v1/events").json(&body).send().await.expect(401).status);
        record(
            app.post("/api/v1/events").key(&key).json(&json!({ "events": [1, 2, 3] })).send().await.expect(400).status,
        );
    }
    // One address beyond its limit.
    for _ in 0..70 {
        record(site.send(&site.hit("/", "session-2")).from("203.0.113.9").send().await.status);
    }

    let counts = app.outcomes();
    let sum = |outcome: &str| {
        let label = format!("outcome=\"{outcome}\"");
        counts.iter().filter(|(labels, _)| labels.contains(&label)).map(|(_, count)| count).sum::<u64>()
    };
    assert_eq!(sum("stored") + sum("dropped"), accepted, "{counts:#?}");
    assert_eq!(sum("refused"), refused, "{counts:#?}");
    let data = app.get(&site.path("/analytics/{id}?range=24h")).key(&key).send().await.expect(200).data();
    // 20 heartbeats are stored and are not pageviews.
    assert_eq!(data["summary"]["total_page_views"].as_u64().unwrap() + 20, sum("stored"));
}
