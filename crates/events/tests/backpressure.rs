//! Appends that meet a full queue: none is lost without a word. Each test names the sabotage that turns it red.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tempfile::TempDir;
use zenovay_domain::{Dimension, ManualClock, Timestamp};
use zenovay_events::conformance::{arriving, pageview, totals, values, website};
use zenovay_events::testing::{FaultPoint, Faults};
use zenovay_events::{
    AppendError, AppendOutcome, AppendReceipt, AppendRefused, EmbeddedConfig, EmbeddedStore, EventStore, NewEvent,
};

const NOW_MS: i64 = 1_774_746_000_000;

/// A disk that can be held and made to fail.
#[derive(Default)]
struct Disk {
    gate: Mutex<()>,
    fails: AtomicBool,
}

impl Disk {
    fn hold(&self) -> MutexGuard<'_, ()> {
        self.gate.lock()
    }
}

impl Faults for Disk {
    fn at(&self, point: FaultPoint) -> io::Result<()> {
        match point {
            FaultPoint::Commit => {
                drop(self.gate.lock());
                Ok(())
            }
            FaultPoint::SegmentWrite if self.fails.load(Ordering::SeqCst) => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

fn open(dir: &TempDir, disk: &Arc<Disk>, change: impl FnOnce(&mut EmbeddedConfig)) -> EmbeddedStore {
    let config = EmbeddedConfig::new(dir.path()).with(change).with_faults(disk.clone());
    EmbeddedStore::open(config, Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS)))).unwrap()
}

fn small_queue(config: &mut EmbeddedConfig) {
    config.queue_rows = 10;
    config.commit_rows = 4;
}

fn view(number: u64) -> NewEvent {
    let at = NOW_MS + i64::try_from(number).unwrap();
    arriving(website(1), pageview(at, number, number, &format!("/{}", number % 7)))
}

/// Fills the queue while the disk is held: the writer has one commit in its hands, and nothing fits behind it.
fn fill(store: &EmbeddedStore, from: u64) -> (Vec<AppendReceipt>, u64) {
    let mut receipts = Vec::new();
    let mut number = from;
    loop {
        // It takes a commit at once, and nothing more while it holds it: what is refused from then on is refused until the disk
        // goes on. What was refused before may have room by now.
        let is_held = receipts.len() as u64 > store.stats().queue_depth;
        match store.try_append(vec![view(number)]) {
            Ok(receipt) => {
                receipts.push(receipt);
                number += 1;
            }
            Err(refused) => {
                assert_eq!(refused, AppendRefused::new(AppendError::QueueFull, vec![view(number)]));
                if is_held {
                    return (receipts, number);
                }
                thread::yield_now();
            }
        }
    }
}

fn until_ready<T>(mut future: Pin<&mut impl Future<Output = T>>) -> T {
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
        thread::yield_now();
    }
}

/// Sabotage: give up at a full queue.
#[test]
fn appends_wait_for_room_and_none_is_lost() {
    let (dir, disk) = (TempDir::new().unwrap(), Arc::default());
    let store = Arc::new(open(&dir, &disk, small_queue));
    let held = disk.hold();
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                for batch in 0..50 {
                    let first = thread * 1_000 + batch * 5;
                    let outcomes = store.append((first..first + 5).map(view).collect()).wait();
                    assert_eq!(outcomes, Ok(vec![AppendOutcome::Stored; 5]));
                }
            })
        })
        .collect();
    while store.stats().queue_depth < 2 {
        thread::yield_now();
    }
    drop(held);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(totals(&*store, website(1)).pageviews, 8 * 50 * 5);
}

/// Sabotage: let those that wait try in any order.
#[test]
fn those_that_wait_are_let_in_in_their_order() {
    let (dir, disk) = (TempDir::new().unwrap(), Arc::default());
    let store = open(&dir, &disk, small_queue);
    let held = disk.hold();
    let (receipts, next) = fill(&store, 0);
    // The first needs more room than there is until the queue is empty.
    let mut large = pin!(store.append((next..next + 30).map(view).collect()));
    let mut small = pin!(store.append(vec![view(next + 30)]));
    let mut context = Context::from_waker(Waker::noop());
    assert!(large.as_mut().poll(&mut context).is_pending());
    assert!(small.as_mut().poll(&mut context).is_pending());
    drop(held);
    for receipt in receipts {
        assert_eq!(receipt.wait(), Ok(vec![AppendOutcome::Stored]));
    }
    // The queue is empty, and it is the turn of the first.
    for _ in 0..100 {
        assert!(small.as_mut().poll(&mut context).is_pending(), "the second was let in before the first");
        thread::yield_now();
    }
    assert_eq!(until_ready(large), Ok(vec![AppendOutcome::Stored; 30]));
    assert_eq!(until_ready(small), Ok(vec![AppendOutcome::Stored]));
    assert_eq!(totals(&store, website(1)).pageviews, next + 31);
}

/// Sabotage: do not tell those that wait that the store shuts down (`tell_room` in `refuse`).
#[test]
fn those_that_wait_get_their_events_back_when_the_store_shuts_down() {
    let (dir, disk) = (TempDir::new().unwrap(), Arc::default());
    let store = Arc::new(open(&dir, &disk, small_queue));
    let held = disk.hold();
    let (receipts, next) = fill(&store, 0);
    let waiting = {
        let store = Arc::clone(&store);
        thread::spawn(move || store.append(vec![view(next)]).wait())
    };
    let ending = {
        let store = Arc::clone(&store);
        thread::spawn(move || store.shutdown())
    };
    // It is told before the disk goes on.
    assert_eq!(waiting.join().unwrap(), Err(AppendRefused::new(AppendError::ShuttingDown, vec![view(next)])));
    drop(held);
    ending.join().unwrap();
    for receipt in receipts {
        assert_eq!(receipt.wait(), Ok(vec![AppendOutcome::Stored]));
    }
    let refused = store.append(vec![view(next)]).wait().unwrap_err();
    assert_eq!(refused, AppendRefused::new(AppendError::ShuttingDown, vec![view(next)]));
}

/// Sabotage: do not tell of room when a head was sealed (`tell_room` in `register`).
#[test]
fn an_append_waits_for_a_head_that_cannot_be_sealed() {
    let (dir, disk) = (TempDir::new().unwrap(), Arc::<Disk>::default());
    let store = Arc::new(open(&dir, &disk, |config| {
        config.seal_rows = 50;
        config.head_rows_max = 50;
    }));
    disk.fails.store(true, Ordering::SeqCst);
    for number in 0..50 {
        assert!(store.append(vec![view(number)]).wait().is_ok());
    }
    let refused = store.try_append(vec![view(50)]).unwrap_err();
    assert_eq!(refused, AppendRefused::new(AppendError::QueueFull, vec![view(50)]));
    let waiting = {
        let store = Arc::clone(&store);
        thread::spawn(move || store.append(vec![view(50)]).wait())
    };
    disk.fails.store(false, Ordering::SeqCst);
    assert_eq!(waiting.join().unwrap(), Ok(vec![AppendOutcome::Stored]));
    assert_eq!(totals(&*store, website(1)).pageviews, 51);
}

/// Dropped while it waits, an append is not stored, and those behind it go on. Sabotage: keep the turn of who is gone.
#[test]
fn an_append_that_is_dropped_while_it_waits_holds_up_nobody() {
    let (dir, disk) = (TempDir::new().unwrap(), Arc::default());
    let store = open(&dir, &disk, small_queue);
    let held = disk.hold();
    let (receipts, next) = fill(&store, 0);
    let mut context = Context::from_waker(Waker::noop());
    {
        let mut dropped = pin!(store.append(vec![view(next)]));
        assert!(dropped.as_mut().poll(&mut context).is_pending());
    }
    drop(held);
    assert_eq!(store.append(vec![view(next + 1)]).wait(), Ok(vec![AppendOutcome::Stored]));
    drop(receipts);
    assert_eq!(totals(&store, website(1)).pageviews, next + 1);
}

/// A commit that fails gives the events back as they came, also where strings of them had become `(other)`. Sabotage: do
/// not put the strings back.
#[test]
fn a_commit_that_fails_gives_the_events_back() {
    struct Full(AtomicBool);

    impl Faults for Full {
        fn at(&self, point: FaultPoint) -> io::Result<()> {
            match point {
                FaultPoint::Commit if self.0.load(Ordering::SeqCst) => Err(io::ErrorKind::StorageFull.into()),
                _ => Ok(()),
            }
        }
    }

    let dir = TempDir::new().unwrap();
    let disk = Arc::new(Full(AtomicBool::new(false)));
    let config = EmbeddedConfig::new(dir.path()).with(|config| config.distinct_strings = 3).with_faults(disk.clone());
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS)));
    let store = EmbeddedStore::open(config, clock).unwrap();
    assert!(store.append((0..20).map(view).collect()).wait().is_ok());
    let before = values(&store, website(1), Dimension::Path);
    assert!(before.iter().any(|(path, _)| path == "/(other)" || path == "(other)"), "{before:?}");
    disk.0.store(true, Ordering::SeqCst);
    let events: Vec<NewEvent> = (20..40).map(view).collect();
    let refused = store.append(events.clone()).wait().unwrap_err();
    assert_eq!(refused, AppendRefused::new(AppendError::DiskFull, events));
    disk.0.store(false, Ordering::SeqCst);
    assert!(store.append(refused.events).wait().is_ok());
    assert_eq!(totals(&store, website(1)).pageviews, 40);
}

/// In any runtime: the receipt and the append need none. Sabotage: use a timer or a task of one.
#[test]
fn an_append_is_awaited_in_a_runtime_and_without_one() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, &Arc::default(), small_queue);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(store.append(vec![view(0)])), Ok(vec![AppendOutcome::Stored]));
    assert_eq!(runtime.block_on(async { store.append(vec![view(1)]).wait() }), Ok(vec![AppendOutcome::Stored]));
    assert_eq!(runtime.block_on(store.append(Vec::new())), Ok(Vec::new()));
    let mut receipt = store.try_append(vec![view(2)]).unwrap();
    let outcomes = loop {
        receipt = match receipt.try_wait() {
            Ok(outcomes) => break outcomes,
            Err(receipt) => receipt,
        };
        thread::park_timeout(Duration::from_millis(1));
    };
    assert_eq!(outcomes, Ok(vec![AppendOutcome::Stored]));
}
