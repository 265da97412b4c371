//! `GET /e/realtime/:websiteId` against the day before.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use common::{TestApp, at};
use serde_json::json;
use zenovay_domain::Plan;

/// Sabotage: compare with all of yesterday, or with the hours before midnight.
#[actix_web::test]
async fn today_is_compared_with_the_same_hours_of_yesterday_in_the_zone_of_the_website() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    site.edit(|settings| {
        settings.public_dashboard = true;
        settings.time_zone = "America/New_York".to_owned();
    });
    let views = async |when: &str, count: usize| {
        app.clock.set(at(when));
        for number in 0..count {
            site.send(&site.hit("/", &format!("{when} {number}"))).send().await.expect(200);
        }
    };
    // In New York yesterday is from 04:00Z to 04:00Z.
    views("2026-06-12T03:59:00Z", 1).await;
    views("2026-06-12T04:30:00Z", 2).await;
    views("2026-06-12T12:00:00Z", 2).await;
    views("2026-06-12T12:00:01Z", 7).await;
    views("2026-06-13T03:59:59Z", 7).await;
    views("2026-06-13T05:00:00Z", 3).await;
    app.clock.set(at("2026-06-13T12:00:00Z"));
    let body = app.get(&format!("/e/realtime/{}", site.id())).send().await.expect(200).json();
    assert_eq!(body["pageViews"], json!({ "current": 0, "today": 3, "change": -25.0 }));
}
