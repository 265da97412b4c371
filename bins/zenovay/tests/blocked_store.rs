//! A metadata store that does not answer: whoever needs it waits, and nobody else does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::pin::pin;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use common::TestApp;
use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use futures_util::future::{Either, join_all, select};
use serde_json::json;
use zenovay_domain::{Plan, WebsiteSettings};

/// Holds back every statement while it is closed.
struct Gate {
    state: Mutex<GateState>,
    opened: Condvar,
}

struct GateState {
    is_closed: bool,
    /// Statements that were held back.
    held: usize,
    /// Whether one gave up waiting: the thread that opens the gate was held back itself.
    is_stuck: bool,
}

static GATE: Gate =
    Gate { state: Mutex::new(GateState { is_closed: false, held: 0, is_stuck: false }), opened: Condvar::new() };

impl Gate {
    fn lock(&self) -> std::sync::MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self) {
        let mut state = self.lock();
        if state.is_closed {
            state.held += 1;
            // Only a test that fails waits so long.
            let waited = self.opened.wait_timeout_while(state, Duration::from_secs(20), |state| state.is_closed);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.is_closed {
                state.is_stuck = true;
                state.is_closed = false;
            }
        }
    }

    fn close(&self) {
        *self.lock() = GateState { is_closed: true, held: 0, is_stuck: false };
    }

    fn open(&self) {
        self.lock().is_closed = false;
        self.opened.notify_all();
    }
}

fn hold_back() -> Option<Box<dyn Instrumentation>> {
    Some(Box::new(|event: InstrumentationEvent<'_>| {
        if matches!(event, InstrumentationEvent::StartQuery { .. }) {
            GATE.pass();
        }
    }))
}

/// Sabotage: look a website up in a handler without leaving its thread.
#[actix_web::test]
async fn a_store_that_does_not_answer_stops_nobody_who_does_not_need_it() {
    set_default_instrumentation(hold_back).unwrap();
    let app = TestApp::start().await;
    let settings = WebsiteSettings::default().with(|s| {
        s.public_dashboard = true;
        s.cookieless = false;
    });
    let site = app.team(Plan::Enterprise).website_with("shop.example", settings);
    let key = site.key("full_access");
    let mut hit = site.hit("/", "session-1");
    hit["tracking_code"] = site.code().into();
    let beat = json!({ "session_id": "session-1", "tracking_code": site.code() });
    let batch = json!({
        "trackingCode": site.code(),
        "events": [{ "type": "pageview", "ts": 1_781_352_000_000_i64, "visitorId": "v-1", "sessionId": "s-1",
                     "props": { "url": "https://shop.example/" } }],
    });
    let origin = |path: &str| app.post(path).header("origin", "https://shop.example");
    let code = site.code();
    let calls = || {
        vec![
            origin(&format!("/e/{code}")).json(&hit),
            origin("/track").json(&hit),
            origin(&format!("/e/heartbeat/{code}")).json(&beat),
            app.post("/api/v1/events").key(&key).json(&batch),
            app.get(&format!("/e/live/{code}")),
            app.get(&format!("/load/{code}")),
            app.get(&format!("/e/realtime/{}", site.id())),
            app.get("/api/external/v1/websites").key(&key),
        ]
    };
    for what_is_known in ["nothing", "everything, a moment ago"] {
        app.clock.advance_ms(1_000);
        GATE.close();
        let waiting = pin!(join_all(calls().into_iter().map(|call| call.send())));
        let healthz = pin!(async {
            while GATE.lock().held == 0 {
                tokio::task::yield_now().await;
            }
            app.get("/healthz").send().await
        });
        let waiting = match select(waiting, healthz).await {
            Either::Right((health, waiting)) => {
                health.expect(200);
                waiting
            }
            Either::Left(_) => panic!("nobody waited for the store, which knew {what_is_known}"),
        };
        GATE.open();
        for reply in waiting.await {
            reply.expect(200);
        }
        assert!(!GATE.lock().is_stuck, "a statement held the thread that answers: {what_is_known}");
    }
}
