//! A limiter that cannot tell: 503 with `Retry-After` at every door, counted, never a 401 and never let through.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::sync::Arc;
use std::thread::ThreadId;

use common::TestApp;
use parking_lot::Mutex;
use serde_json::json;
use zenovay::http::address_limit::AddressLimits;
use zenovay_domain::Plan;
use zenovay_limits::{Counts, Decision, LimiterUnavailable, MemoryCounts, Network, Rule, UnixTime};

fn lost() -> LimiterUnavailable {
    LimiterUnavailable::new("no route to 10.0.0.7:6379")
}

/// Counts that cannot be reached.
struct Lost;

impl<K> Counts<K> for Lost {
    fn charge(&self, _: &K, _: &[Rule], _: UnixTime) -> Result<Decision, LimiterUnavailable> {
        Err(lost())
    }

    fn refund(&self, _: &K, _: &[Rule], _: UnixTime) -> Result<(), LimiterUnavailable> {
        Err(lost())
    }

    fn may_block(&self) -> bool {
        true
    }
}

/// Counts that note on which threads they are asked, and take nothing back.
struct Watched {
    inner: MemoryCounts<Network>,
    may_block: bool,
    threads: Mutex<Vec<ThreadId>>,
}

impl Watched {
    fn new(may_block: bool) -> Arc<Self> {
        Arc::new(Self { inner: MemoryCounts::new(), may_block, threads: Mutex::default() })
    }
}

impl Counts<Network> for Watched {
    fn charge(&self, network: &Network, rules: &[Rule], now: UnixTime) -> Result<Decision, LimiterUnavailable> {
        self.threads.lock().push(std::thread::current().id());
        self.inner.charge(network, rules, now)
    }

    fn refund(&self, _: &Network, _: &[Rule], _: UnixTime) -> Result<(), LimiterUnavailable> {
        Err(lost())
    }

    fn may_block(&self) -> bool {
        self.may_block
    }
}

/// The limits of the settings, counted there.
fn addresses(app: &TestApp, counts: &Arc<impl Counts<Network> + 'static>) -> Arc<AddressLimits> {
    Arc::new(AddressLimits::new(&app.config(), |_| Arc::clone(counts) as Arc<dyn Counts<Network>>))
}

/// The value of a sample on the page of metrics.
fn sample(app: &TestApp, name: &str) -> u64 {
    let page = app.state.metrics.render(&*app.events);
    let line = page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} is not on the page"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

const USAGE: &str = "/api/external/v1/usage";

/// Sabotage: let a request through, or answer 401 or 429, when the limiter cannot tell.
#[actix_web::test]
async fn every_door_answers_503_and_counts_it() {
    let whole = TestApp::start().await;
    let site = whole.team(Plan::Pro).website("shop.example");
    let (key, fresh) = (site.key("full_access"), site.key("read"));
    whole.get(USAGE).key(&key).send().await.expect(200);
    let unavailable = |limit: &str| format!("zenovay_limit_unavailable_total{{limit=\"{limit}\"}}");
    let counted = |limit: &str| sample(&whole, &unavailable(limit));

    let nowhere = addresses(&whole, &Arc::new(Lost));
    let app = whole.changed(|state| state.addresses = nowhere).await;
    let through = |call: &TestSend| (call.method, call.path.clone());
    let doors = [
        TestSend { method: "POST", path: format!("/e/{}", site.code()), limit: "address_tracking", key: None },
        TestSend {
            method: "POST",
            path: format!("/e/heartbeat/{}", site.code()),
            limit: "address_tracking",
            key: None,
        },
        TestSend { method: "GET", path: format!("/e/live/{}", site.code()), limit: "address_public", key: None },
        TestSend { method: "GET", path: format!("/load/{}", site.code()), limit: "address_public", key: None },
        TestSend { method: "GET", path: format!("/e/realtime/{}", site.id()), limit: "address_public", key: None },
        TestSend { method: "GET", path: USAGE.to_owned(), limit: "address_auth", key: Some(app.unknown_key()) },
        TestSend { method: "GET", path: USAGE.to_owned(), limit: "address_auth", key: Some(fresh.text.clone()) },
    ];
    for door in &doors {
        let before = counted(door.limit);
        let mut call = match door.method {
            "POST" => app.post(&door.path).json(&site.hit("/", "session-1")),
            _ => app.get(&door.path),
        };
        if let Some(key) = &door.key {
            call = call.header("x-api-key", key);
        }
        let reply = call.send().await.expect(503);
        assert_eq!(reply.header("retry-after"), Some("1"), "{:?}", through(door));
        assert_eq!(reply.code(), "SERVICE_UNAVAILABLE", "{:?}", through(door));
        assert!(!String::from_utf8_lossy(&reply.body).contains("10.0.0.7"), "our insides: {:?}", through(door));
        assert_eq!(counted(door.limit), before + 1, "{:?}", through(door));
    }
    let refused = "zenovay_ingest_outcomes_total{outcome=\"refused\",reason=\"limiter_unavailable\"}";
    assert_eq!(sample(&whole, refused), 2);
    assert_eq!(app.state.events.stats().head_rows, 0, "nothing was let through");

    let app = whole.changed(|state| state.keys = Arc::new(Lost)).await;
    let before = counted("key_minute");
    let reply = app.get(USAGE).key(&key).send().await.expect(503);
    assert_eq!((reply.header("retry-after"), reply.code().as_str()), (Some("1"), "SERVICE_UNAVAILABLE"));
    let batch = json!({ "events": [{ "tracking_code": site.code() }] });
    let reply = app.post("/api/v1/events").key(&key).json(&batch).send().await.expect(503);
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(counted("key_minute"), before + 2);
    assert_eq!(sample(&whole, refused), 3, "the batch is counted as a hit is");
    assert_eq!(sample(&whole, "zenovay_access_refusals_total{reason=\"limiter\"}"), 4);
    let reply = whole.get(USAGE).key(&key).send().await.expect(200);
    assert_eq!(reply.header("x-usage-total"), Some("2"), "what was not judged is not counted as a request");
}

struct TestSend {
    method: &'static str,
    path: String,
    limit: &'static str,
    key: Option<String>,
}

/// A key that was valid the last time needs no attempt, and one whose attempt cannot be taken back is still valid.
#[actix_web::test]
async fn a_valid_key_is_let_in_whatever_cannot_be_taken_back() {
    let whole = TestApp::start().await;
    let team = whole.team(Plan::Pro);
    let (known, fresh) = (team.key("read"), team.key("read"));
    whole.state.directory.remember_valid_keys().unwrap();
    let watched = addresses(&whole, &Watched::new(false));
    let app = whole.changed(|state| state.addresses = watched).await;
    app.get(USAGE).key(&known).send().await.expect(200);
    app.get(USAGE).key(&fresh).send().await.expect(200);
}

/// Sabotage: charge in place whatever the limiter says of itself.
#[actix_web::test]
async fn a_limiter_that_may_block_is_not_asked_on_a_worker() {
    let whole = TestApp::start().await;
    let site = whole.team(Plan::Pro).website("shop.example");
    let here = std::thread::current().id();
    for may_block in [false, true] {
        let watched = Watched::new(may_block);
        let limits = addresses(&whole, &watched);
        let app = whole
            .changed(move |state| {
                state.addresses = limits;
                state.keys = Arc::new(MemoryCounts::new());
            })
            .await;
        app.post(&format!("/e/{}", site.code())).json(&site.hit("/", "session-1")).send().await.expect(200);
        app.get(&format!("/e/live/{}", site.code())).send().await.expect(200);
        let threads = watched.threads.lock().clone();
        assert_eq!(threads.len(), 2);
        assert!(threads.iter().all(|thread| (*thread == here) != may_block), "may block: {may_block}");
    }
}
