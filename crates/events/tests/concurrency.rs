//! Nobody waits for work on files: not ingest, not queries. Each test holds one kind of work where it is for as long as the
//! others need to be done.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use zenovay_domain::{ManualClock, Timestamp};
use zenovay_events::conformance::{append, arriving, ever, pageview, store_all, totals, website};
use zenovay_events::testing::{FaultPoint, Faults};
use zenovay_events::{AppendOutcome, EmbeddedConfig, EmbeddedStore, EventStore};
use zenovay_query::{Budget, QueryError, Question};

const NOW_MS: i64 = 1_774_746_000_000;

/// Only ever reached when somebody waits.
const PATIENCE: Duration = Duration::from_secs(60);

fn open(config: EmbeddedConfig) -> Arc<EmbeddedStore> {
    let clock = ManualClock::new(Timestamp::from_millis(NOW_MS));
    Arc::new(EmbeddedStore::open(config, Arc::new(clock)).unwrap())
}

fn view(store: &EmbeddedStore, site: u8, number: i64) {
    store_all(store, website(site), &[pageview(NOW_MS + number, number as u64, number as u64, "/")]);
}

/// Runs `work` on a thread and gives it `PATIENCE`.
fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, done) = channel();
    let thread = thread::spawn(move || sender.send(work()).unwrap());
    let result = done.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{what} waits, or failed"));
    thread.join().unwrap();
    result
}

/// Holds whoever comes to a fault point, once, from the moment it is armed until it is released.
struct Hold {
    at: FaultPoint,
    /// Taken by the one who is held: tells that it came, and waits.
    gate: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

impl Hold {
    fn new(at: FaultPoint) -> Arc<Self> {
        Arc::new(Self { at, gate: Mutex::new(None) })
    }

    /// The next one is held: `(has come, release)`.
    fn arm(&self) -> (Receiver<()>, Sender<()>) {
        let ((came, has_come), (release, released)) = (channel(), channel());
        *self.gate.lock().unwrap() = Some((came, released));
        (has_come, release)
    }
}

impl Faults for Hold {
    fn at(&self, point: FaultPoint) -> std::io::Result<()> {
        let gate = if point == self.at { self.gate.lock().unwrap().take() } else { None };
        if let Some((came, released)) = gate {
            came.send(()).unwrap();
            // An error when the test is over.
            let _ = released.recv();
        }
        Ok(())
    }
}

fn config(dir: &Path, hold: &Arc<Hold>) -> EmbeddedConfig {
    EmbeddedConfig::new(dir).with(|config| config.merge_fan_in = 2).with_faults(hold.clone())
}

/// Sabotage: keep the active generation while it is sealed, or seal on the writer thread.
#[test]
fn events_are_stored_and_seen_while_a_seal_is_held_at_any_point() {
    for point in [FaultPoint::SegmentWrite, FaultPoint::SegmentRegister, FaultPoint::SegmentRename] {
        let dir = TempDir::new().unwrap();
        let hold = Hold::new(point);
        let store = open(config(dir.path(), &hold));
        view(&store, 1, 0);
        let (has_come, release) = hold.arm();
        let sealing = thread::spawn({
            let store = Arc::clone(&store);
            move || store.seal().unwrap()
        });
        has_come.recv_timeout(PATIENCE).unwrap();
        in_time("an append or a query", {
            let store = Arc::clone(&store);
            move || {
                for number in 1..50 {
                    view(&store, 1, number);
                    assert_eq!(totals(&*store, website(1)).pageviews, number as u64 + 1, "{point:?}");
                }
            }
        });
        assert_eq!(store.stats().segments, u64::from(point == FaultPoint::SegmentRename), "the seal is held");
        release.send(()).unwrap();
        assert!(sealing.join().unwrap());
        assert_eq!(store.stats().segments, 1);
        assert_eq!(totals(&*store, website(1)).pageviews, 50);
    }
}

/// Sabotage: one lock for seals and merges, or merge on the writer thread.
#[test]
fn events_are_stored_seen_and_sealed_while_a_merge_is_held_at_any_point() {
    use FaultPoint::{SegmentCleanup, SegmentRegister, SegmentRename, SegmentWrite};
    for point in [SegmentWrite, SegmentRename, SegmentRegister, SegmentCleanup] {
        let dir = TempDir::new().unwrap();
        let store = open(EmbeddedConfig::new(dir.path()).with(|config| config.merge_fan_in = 99));
        for number in 0..2 {
            view(&store, 1, number);
            store.seal().unwrap();
        }
        drop(store);
        // From here on two segments are enough. Held is whoever merges first, this test or the store by itself.
        let hold = Hold::new(point);
        let (has_come, release) = hold.arm();
        let store = open(config(dir.path(), &hold));
        let merging = thread::spawn({
            let store = Arc::clone(&store);
            move || store.merge().unwrap()
        });
        has_come.recv_timeout(PATIENCE).unwrap();
        in_time("an append, a query or a seal", {
            let store = Arc::clone(&store);
            move || {
                for number in 2..20 {
                    view(&store, 1, number);
                    assert_eq!(totals(&*store, website(1)).pageviews, number as u64 + 1, "{point:?}");
                    if number % 5 == 0 {
                        store.seal().unwrap();
                    }
                }
            }
        });
        release.send(()).unwrap();
        merging.join().unwrap();
        assert_eq!(totals(&*store, website(1)).pageviews, 20, "{point:?}");
    }
}

/// Sabotage: let queries take the lock of the log, or answer them on the writer thread.
#[test]
fn queries_are_answered_while_a_commit_is_held() {
    let dir = TempDir::new().unwrap();
    let hold = Hold::new(FaultPoint::Commit);
    let store = open(config(dir.path(), &hold));
    view(&store, 1, 0);
    let (has_come, release) = hold.arm();
    let committing = thread::spawn({
        let store = Arc::clone(&store);
        move || append(&*store, vec![arriving(website(1), pageview(NOW_MS, 7, 7, "/"))])
    });
    has_come.recv_timeout(PATIENCE).unwrap();
    let (seen, stats) = in_time("a query", {
        let store = Arc::clone(&store);
        move || (totals(&*store, website(1)).pageviews, store.stats())
    });
    assert_eq!((seen, stats.head_rows), (1, 1), "what is not durable is in no answer");
    release.send(()).unwrap();
    assert_eq!(committing.join().unwrap(), Ok(vec![AppendOutcome::Stored]));
    assert_eq!(totals(&*store, website(1)).pageviews, 2);
}

/// A disk that lets the thread called `held` wait when it opens a segment, and then fails.
struct SlowDisk {
    came: Sender<()>,
    released: Mutex<Receiver<()>>,
}

const HELD: &str = "held";

impl Faults for SlowDisk {
    fn at(&self, point: FaultPoint) -> std::io::Result<()> {
        if point != FaultPoint::SegmentRead || thread::current().name() != Some(HELD) {
            return Ok(());
        }
        self.came.send(()).unwrap();
        // An error when the test is over.
        let _ = self.released.lock().unwrap().recv();
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}

/// A query that waits for a disk. Sabotage: one lock for the views of all
/// websites, or open segments under the lock of the state.
#[test]
fn a_query_that_waits_for_its_disk_holds_up_only_queries_of_its_own_website() {
    let dir = TempDir::new().unwrap();
    let store = open(EmbeddedConfig::new(dir.path()));
    view(&store, 1, 0);
    store.seal().unwrap();
    view(&store, 2, 0);
    store.seal().unwrap();
    drop(store);

    let ((came, has_come), (release, released)) = (channel(), channel());
    let disk = Arc::new(SlowDisk { came, released: Mutex::new(released) });
    let store = open(EmbeddedConfig::new(dir.path()).with_faults(disk));
    let (ended, has_ended) = channel();
    let held = thread::Builder::new()
        .name(HELD.to_owned())
        .spawn({
            let store = Arc::clone(&store);
            move || {
                let answer = store.query(website(1), &ever(Question::Overview), &Budget::unlimited());
                ended.send(()).unwrap();
                answer
            }
        })
        .unwrap();
    has_come.recv_timeout(PATIENCE).unwrap();
    in_time("an append, a query of another website or a seal", {
        let store = Arc::clone(&store);
        move || {
            for number in 1..20 {
                view(&store, 1, number);
                view(&store, 2, number);
                assert_eq!(totals(&*store, website(2)).pageviews, number as u64 + 1);
            }
            store.seal().unwrap();
            assert_eq!(totals(&*store, website(2)).pageviews, 20);
        }
    });
    assert!(has_ended.try_recv().is_err(), "the query is held");
    // Whoever waits behind it can leave. It comes long after the first, which must be the one that is held.
    let budget = Budget::unlimited();
    let second = thread::spawn({
        let (store, budget) = (Arc::clone(&store), budget.clone());
        move || store.query(website(1), &ever(Question::Overview), &budget)
    });
    budget.cancel();
    assert_eq!(in_time("a cancelled query", move || second.join().unwrap()), Err(QueryError::Cancelled));
    // Nothing comes from the disk: that is an error, and no smaller number.
    release.send(()).unwrap();
    assert!(matches!(in_time("the query", move || held.join().unwrap()), Err(QueryError::Damaged(_))));
    assert_eq!(totals(&*store, website(1)).pageviews, 20);
}
