//! The store as a service embeds it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

use std::future::IntoFuture;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;
use zenovay_events::Dimension::{Country, Path};
use zenovay_events::conformance::website;
use zenovay_events::domain::ManualClock;
use zenovay_events::query::{Budget, QueryError, by, is};
use zenovay_events::testing::{FaultPoint, Faults};
use zenovay_events::{
    AppendOutcome, EmbeddedConfig, Event, EventKind, IdempotencyKey, Interval, NewEvent, SessionId, Store, Timestamp,
    VisitorId, Zone,
};

/// 2026-03-12T12:00:00Z.
const NOON_MS: i64 = 1_773_316_800_000;
const DAY_MS: i64 = 86_400_000;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_millis(NOON_MS)))
}

fn view(at_ms: i64, visitor: u64, path: &str, country: &str) -> NewEvent {
    let at = Timestamp::from_millis(at_ms);
    let mut event = Event::new(EventKind::Pageview, at, VisitorId(visitor), SessionId(visitor));
    event.dimensions.set(Path, path);
    event.dimensions.set(Country, country);
    NewEvent::new(website(1), at, event)
}

#[test]
fn what_is_asked_says_what_the_answer_is() {
    let dir = TempDir::new().unwrap();
    let store = Store::open_with(EmbeddedConfig::new(dir.path()), clock()).unwrap();
    let views = [
        view(NOON_MS, 1, "/", "CA"),
        view(NOON_MS - 1_000, 2, "/pricing", "CA"),
        view(NOON_MS - 1_000, 2, "/", "CA"),
        view(NOON_MS - 6 * DAY_MS, 3, "/", "DE"),
        view(NOON_MS - 7 * DAY_MS, 4, "/old", "CA"),
    ];
    store.append(views[0].clone()).wait().unwrap();
    store.append(views[1..].to_vec()).wait().unwrap();
    let vancouver: Zone = "America/Vancouver".parse().unwrap();
    let ask = || store.ask(website(1)).last_days(7, &vancouver);

    assert_eq!(ask().overview().wait().unwrap().metrics.visitors, 3);
    assert_eq!(store.ask(website(1)).overview().wait().unwrap().metrics.visitors, 4);
    assert_eq!(store.ask(website(2)).overview().wait().unwrap().metrics.visitors, 0);
    let pages = ask().filter(is(Country, "CA")).top(by(Path).limit(10)).wait().unwrap();
    let rows: Vec<_> = pages.rows.iter().map(|row| (row.value.as_str(), row.metrics.visitors)).collect();
    assert_eq!(rows, [("/", 2), ("/pricing", 1)]);
    let both = ask().filter(is(Country, "CA")).filter(is(Path, "/pricing")).overview().wait().unwrap();
    assert_eq!(both.metrics.pageviews, 1, "both filters choose");
    let days = ask().series(Interval::Day, &vancouver).wait().unwrap().points;
    // Seven civil days; the clock was put forward on the 8th.
    assert_eq!(days.len(), 7);
    assert_eq!(days[2].bucket.duration_ms(), 23 * 3_600_000);
    assert_eq!(ask().live().wait().unwrap().visitors, 2, "the very millisecond is live");
    assert_eq!(ask().visitors(2).wait().unwrap().visitors.len(), 2);
    assert_eq!(ask().events(10).wait().unwrap().len(), 4);
}

/// Methods of the trait are there without it; handles share one store.
#[test]
fn a_handle_is_the_store() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let other = store.clone();
    let keyed = view(NOON_MS, 1, "/", "").with_key(IdempotencyKey([1; 16]));
    assert_eq!(other.append(keyed.clone()).wait(), Ok(vec![AppendOutcome::Stored]));
    assert_eq!(store.try_append(vec![keyed]).unwrap().wait(), Ok(vec![AppendOutcome::Duplicate]));
    assert_eq!(store.stats().head_rows, 1);
    store.shutdown();
    assert!(other.append(view(NOON_MS, 1, "/", "")).wait().is_err());
    assert_eq!(other.ask(website(1)).overview().wait().unwrap().metrics.pageviews, 1);
}

#[test]
fn questions_are_awaited_in_any_runtime() {
    let dir = TempDir::new().unwrap();
    let store = Store::open_with(EmbeddedConfig::new(dir.path()), clock()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        store.append(view(NOON_MS, 1, "/", "CA")).await.unwrap();
        let asked = (0..50).map(|_| store.ask(website(1)).top(by(Path)).into_future());
        for answer in asked.collect::<Vec<_>>() {
            assert_eq!(answer.await.unwrap().rows.len(), 1);
        }
        let spent = store.ask(website(1)).budget(Budget::new(Duration::ZERO, 0)).overview().await;
        assert_eq!(spent.unwrap_err(), QueryError::TimeExceeded);
    });
}

/// Tells when a segment is opened, and holds the query there.
struct Hold(Mutex<Option<(Sender<()>, std::sync::mpsc::Receiver<()>)>>);

impl Faults for Hold {
    fn at(&self, point: FaultPoint) -> io::Result<()> {
        if point == FaultPoint::SegmentRead
            && let Some((reached, go_on)) = self.0.lock().take()
        {
            reached.send(()).unwrap();
            // The test is done when the other end is gone.
            let _ = go_on.recv();
        }
        Ok(())
    }
}

/// Sabotage: do not cancel the budget when the future is dropped.
#[test]
fn a_question_that_nobody_awaits_any_more_is_cancelled() {
    let dir = TempDir::new().unwrap();
    let store = Store::open_with(EmbeddedConfig::new(dir.path()), clock()).unwrap();
    store.append((0..20).map(|n| view(NOON_MS - n, 1, "/", "CA")).collect::<Vec<_>>()).wait().unwrap();
    store.shutdown();
    drop(store);
    let (reached, is_reached) = channel();
    let (go_on, gate) = channel();
    let hold = Arc::new(Hold(Mutex::new(Some((reached, gate)))));
    let store = Store::open_with(EmbeddedConfig::new(dir.path()).with_faults(hold), clock()).unwrap();
    let budget = Budget::unlimited();
    let answering = store.ask(website(1)).budget(budget.clone()).top(by(Path)).into_future();
    is_reached.recv_timeout(Duration::from_secs(60)).expect("the query began though nobody polled it");
    assert!(!budget.is_cancelled());
    drop(answering);
    assert!(budget.is_cancelled());
    drop(go_on);
}
