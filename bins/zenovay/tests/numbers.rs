//! 7 pageviews by 3 visitors in 4 sessions are exactly that in every view: at once, after sealing, after a restart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use common::{TestApp, TestKey};
use serde_json::{Value, json};
use zenovay_domain::Plan;

async fn read(app: &TestApp, key: &TestKey, path: &str) -> Value {
    app.get(path).key(key).send().await.expect(200).data()
}

async fn check(app: &TestApp, id: &str, code: &str, key: &TestKey, when: &str) {
    let base = format!("/api/external/v1/analytics/{id}");
    let overview = read(app, key, &format!("{base}?range=24h")).await;
    let summary = &overview["summary"];
    assert_eq!(summary["total_page_views"], 7, "{when}");
    assert_eq!(summary["unique_visitors"], 3, "{when}");
    assert_eq!(summary["total_visitors"], 4, "{when}");
    let days = overview["daily_stats"].as_array().unwrap();
    let sum = |name: &str| days.iter().map(|day| day[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("page_views"), sum("total_visitors")), (7, 4), "{when}");

    let pages = read(app, key, &format!("{base}/pages?range=24h")).await;
    let views = |url: &str| {
        let rows = pages["pages"].as_array().unwrap();
        let row = rows.iter().find(|row| row["url"] == url).unwrap();
        (row["views"].as_u64().unwrap(), row["visitors"].as_u64().unwrap())
    };
    assert_eq!((views("/home"), views("/pricing"), views("/docs")), ((4, 3), (2, 2), (1, 1)), "{when}");
    assert_eq!(pages["pagination"], json!({ "limit": 20, "offset": 0, "has_more": false }));
    let second = read(app, key, &format!("{base}/pages?range=24h&limit=1&offset=1")).await;
    assert_eq!(second["pages"][0]["url"], "/pricing", "{when}");
    assert_eq!(second["pagination"]["has_more"], true, "{when}");

    let technology = read(app, key, &format!("{base}/technology?range=24h")).await;
    assert_eq!(technology["browsers"], json!([{ "name": "Chrome", "visitors": 3, "percentage": 100.0 }]), "{when}");
    assert_eq!(technology["devices"][0], json!({ "name": "desktop", "visitors": 3, "percentage": 100.0 }), "{when}");

    let reply = app.get(&format!("{base}/countries?range=24h")).key(key).send().await.expect(200);
    assert!(reply.header("link").unwrap().contains("https://db-ip.com"));
    let countries: Vec<(Value, Value, u64)> = reply.data()["countries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["country_code"].clone(), row["country_name"].clone(), row["visitors"].as_u64().unwrap()))
        .collect();
    let expected = [(json!("US"), json!("United States"), 2), (json!("DE"), json!("Germany"), 1)];
    assert_eq!(countries, expected, "{when}");

    let visitors = read(app, key, &format!("{base}/visitors?range=24h")).await;
    assert_eq!(visitors["visitors"].as_array().unwrap().len(), 3, "{when}");
    assert_eq!(visitors["visitors"][0]["landing_page"], "/home", "{when}");
    let first = read(app, key, &format!("{base}/visitors?range=24h&limit=2")).await;
    assert_eq!((first["visitors"].as_array().unwrap().len(), &first["pagination"]["has_more"]), (2, &json!(true)));

    let live = app.get(&format!("/e/live/{code}")).send().await.expect(200).json();
    assert_eq!(live["liveCount"], 3, "{when}");
}

#[actix_web::test]
async fn seven_pageviews_by_three_visitors_in_four_sessions() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    for (visitor, session, page, address) in [
        ("visitor-1", "session-1a", "/home", "8.8.8.8"),
        ("visitor-1", "session-1a", "/pricing", "8.8.8.8"),
        ("visitor-1", "session-1b", "/home", "8.8.8.8"),
        ("visitor-2", "session-2", "/home", "8.8.4.4"),
        ("visitor-2", "session-2", "/docs", "8.8.4.4"),
        ("visitor-3", "session-3", "/home", "193.99.144.80"),
        ("visitor-3", "session-3", "/pricing", "193.99.144.80"),
    ] {
        let mut hit = site.hit(page, session);
        hit["visitor_id"] = visitor.into();
        site.send(&hit).from(address).send().await.expect(200);
        app.clock.advance_ms(1_000);
    }
    // Extends a session, counts nowhere.
    let beat = app.post(&format!("/e/heartbeat/{}", site.code())).header("origin", "https://shop.example");
    let body = json!({ "session_id": "session-3", "visitor_id": "visitor-3", "engagement_ms": 5_000 });
    beat.header("user-agent", common::CHROME).json(&body).send().await.expect(200);

    let (id, code) = (site.id().to_string(), site.code().to_owned());
    check(&app, &id, &code, &key, "at once").await;
    assert!(app.events.seal().unwrap());
    assert_eq!(app.events.stats().head_rows, 0);
    check(&app, &id, &code, &key, "sealed").await;
    let app = app.restart().await;
    check(&app, &id, &code, &key, "after a restart").await;
}

/// A visitor who only sent an event from a page did not view it, and a page that nobody viewed is none.
#[actix_web::test]
async fn pages_are_those_that_were_viewed() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    site.edit(|settings| settings.public_dashboard = true);
    let custom = |page: &str, session: &str| {
        let mut hit = site.hit(page, session);
        hit["event_type"] = "custom".into();
        hit["name"] = "signup".into();
        hit
    };
    for (hit, visitor) in [
        (site.hit("/viewed", "session-1"), "visitor-1"),
        (custom("/viewed", "session-1"), "visitor-1"),
        (custom("/viewed", "session-2"), "visitor-2"),
        (custom("/only-events", "session-2"), "visitor-2"),
    ] {
        let mut hit = hit;
        hit["visitor_id"] = visitor.into();
        site.send(&hit).send().await.expect(200);
    }
    for when in ["at once", "sealed"] {
        let pages = read(&app, &key, &site.path("/analytics/{id}/pages?range=24h&limit=1")).await;
        let rows = pages["pages"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "{when}: {rows:?}");
        assert_eq!(
            (&rows[0]["url"], &rows[0]["views"], &rows[0]["visitors"]),
            (&json!("/viewed"), &json!(1), &json!(1))
        );
        assert_eq!(pages["pagination"]["has_more"], false, "{when}");
        let overview = read(&app, &key, &site.path("/analytics/{id}?range=24h")).await;
        assert_eq!(overview["summary"]["unique_visitors"], 2, "{when}");
        let realtime = app.get(&format!("/e/realtime/{}", site.id())).send().await.expect(200).json();
        assert_eq!(realtime["topPages"], json!([{ "path": "/viewed", "visitors": 1 }]), "{when}");
        app.events.seal().unwrap();
    }
}

/// plausible/analytics#6260: more visitors than visits. A visit that is not cut at midnight UTC, because it is evening where
/// the website is, counts in both days that the API cuts there; what it was like is told of the whole visit.
#[actix_web::test]
async fn a_visit_over_midnight_counts_in_both_days() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    site.edit(|settings| settings.time_zone = "America/New_York".parse().unwrap());
    let (read_key, write_key) = (site.key("read"), site.key("write"));
    let view = |at: &str, visit: &str, page: &str| {
        json!({ "type": "pageview", "ts": common::at(at).as_millis(), "visitorId": visit, "sessionId": visit,
                "props": { "url": format!("https://shop.example{page}") } })
    };
    let events = [
        view("2026-06-10T23:55:00Z", "visit-1", "/in"),
        view("2026-06-11T00:05:00Z", "visit-1", "/out"),
        view("2026-06-11T12:00:00Z", "visit-2", "/in"),
    ];
    let body = json!({ "trackingCode": site.code(), "events": events });
    app.post("/api/v1/events").key(&write_key).json(&body).send().await.expect(200);
    let told = |row: &Value| {
        ["unique_visitors", "total_visitors", "bounce_rate", "avg_session_duration"].map(|name| row[name].clone())
    };
    for when in ["at once", "sealed"] {
        let first = read(&app, &read_key, &site.path("/analytics/{id}?from=2026-06-10&to=2026-06-10")).await;
        assert_eq!(told(&first["summary"]), [json!(1), json!(1), json!(0.0), json!(600.0)], "{when}");
        let second = read(&app, &read_key, &site.path("/analytics/{id}?from=2026-06-11&to=2026-06-11")).await;
        assert_eq!(told(&second["summary"]), [json!(2), json!(2), json!(0.5), json!(300.0)], "{when}");
        assert_eq!(second["summary"]["total_page_views"], 2, "{when}");
        // Visits and visitors of days may be more than those of the range; page views add up.
        let both = read(&app, &read_key, &site.path("/analytics/{id}?from=2026-06-10&to=2026-06-11")).await;
        assert_eq!(told(&both["summary"]), [json!(2), json!(2), json!(0.5), json!(300.0)], "{when}");
        let days = both["daily_stats"].as_array().unwrap();
        assert_eq!(days.iter().map(told).collect::<Vec<_>>(), [told(&first["summary"]), told(&second["summary"])]);
        let pages = read(&app, &read_key, &site.path("/analytics/{id}/pages?from=2026-06-11&to=2026-06-11")).await;
        let rows: Vec<_> =
            pages["pages"].as_array().unwrap().iter().map(|row| (&row["url"], &row["bounce_rate"])).collect();
        assert_eq!(rows, [(&json!("/in"), &json!(1.0)), (&json!("/out"), &json!(0.0))], "{when}");
        app.events.seal().unwrap();
    }
}

/// SECURITY D21: also around the edges of seconds, minutes and days.
#[actix_web::test]
async fn an_acknowledged_event_is_in_the_very_next_answer() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    let edges = ["2026-06-13T12:00:00.999Z", "2026-06-13T12:59:59.999Z", "2026-06-13T23:59:59.999Z"];
    let mut sent = 0;
    for edge in edges {
        for step in 0..3 {
            app.clock.set(common::at(edge).plus_millis(step));
            site.send(&site.hit("/", "session-1")).send().await.expect(200);
            sent += 1;
            let data = read(&app, &key, &site.path("/analytics/{id}?range=24h")).await;
            assert_eq!(data["summary"]["total_page_views"], sent, "{edge} + {step} ms");
        }
    }
}
