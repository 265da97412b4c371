//! What runs on the threads that answer requests: nothing that waits for the metadata store.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::sync::Mutex;
use std::thread::{self, ThreadId};

use actix_web::http::Method;
use common::TestApp;
use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use serde_json::json;
use zenovay::http::routes;
use zenovay_domain::{Plan, WebsiteSettings};

/// Every statement that was run on the metadata, with its thread.
static STATEMENTS: Mutex<Vec<(ThreadId, String)>> = Mutex::new(Vec::new());

fn watch() -> Option<Box<dyn Instrumentation>> {
    Some(Box::new(|event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            STATEMENTS.lock().unwrap().push((thread::current().id(), query.to_string()));
        }
    }))
}

/// Sabotage: look a website up in a handler without leaving its thread.
#[actix_web::test]
async fn no_route_asks_the_metadata_store_on_the_thread_that_answers() {
    set_default_instrumentation(watch).unwrap();
    let app = TestApp::start().await;
    let settings = WebsiteSettings::default().with(|s| {
        s.public_dashboard = true;
        s.cookieless = false;
    });
    let site = app.team(Plan::Enterprise).website_with("shop.example", settings);
    let key = site.key("full_access");
    let mut hit = site.hit("/", "session-1");
    hit["tracking_code"] = site.code().into();
    let batch = json!({
        "trackingCode": site.code(),
        "events": [{ "type": "pageview", "ts": 1_781_352_000_000_i64, "visitorId": "v-1-long-enough",
                     "sessionId": "s-1-long-enough", "props": { "url": "https://shop.example/" } }],
    });
    STATEMENTS.lock().unwrap().clear();
    for endpoint in routes::all() {
        // Once when nothing is known, once in the same millisecond, once when what is known is too old for a hit.
        for later_ms in [0, 0, 6] {
            app.clock.advance_ms(later_ms);
            let path = endpoint.path.replace("{code}", site.code()).replace("{website_id}", &site.id().to_string());
            let mut call = app.request(endpoint.method.clone(), &path).header("origin", "https://shop.example");
            if path.starts_with("/api/") && !path.starts_with("/api/_z") {
                call = call.key(&key);
            }
            if endpoint.method == Method::POST {
                call = call.json(if path == "/api/v1/events" { &batch } else { &hit });
            }
            call.send().await;
            let here = thread::current().id();
            let statements = std::mem::take(&mut *STATEMENTS.lock().unwrap());
            let own: Vec<_> = statements.iter().filter(|(thread, _)| *thread == here).collect();
            assert!(own.is_empty(), "{endpoint:?}: {own:?}");
            let asks = path.contains(site.code()) || path.contains(&site.id().to_string());
            assert!(!asks || later_ms == 0 || !statements.is_empty(), "{endpoint:?} asked nobody");
        }
        app.clock.advance_ms(60_000);
    }
}
