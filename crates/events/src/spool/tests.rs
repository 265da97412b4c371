use std::sync::atomic::AtomicUsize;

use tempfile::TempDir;
use zenovay_domain::{Dimension, Event, EventKind, ManualClock};

use super::*;
use crate::{AppendOutcome, BatchName, IdempotencyKey};

const NOW: Timestamp = Timestamp::from_millis(1_781_308_800_000);

fn site(number: u8) -> WebsiteId {
    WebsiteId::from_random_bytes([number; 16])
}

fn view(website: WebsiteId, visitor: u64) -> NewEvent {
    let mut event = Event::new(EventKind::Pageview, NOW, VisitorId(visitor), SessionId(visitor));
    event.dimensions.set(Dimension::Path, &format!("/of-visitor-{visitor}"));
    NewEvent::new(website, NOW, event)
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(NOW))
}

fn open_with(dir: &TempDir, change: impl FnOnce(&mut SpoolConfig)) -> Spool {
    let mut config = SpoolConfig::new(dir.path().join("spool"));
    change(&mut config);
    Spool::open(config, clock()).unwrap()
}

fn open(dir: &TempDir) -> Spool {
    open_with(dir, |_| {})
}

fn append(spool: &Spool, events: Vec<NewEvent>) -> Vec<AppendOutcome> {
    spool.try_append(events).unwrap().wait().unwrap()
}

/// The next delivery, numbered from `first` when it is begun now.
fn next(spool: &Spool, first: u64) -> Option<Delivery> {
    spool.next_delivery::<SpoolError>(100, &mut |_| Ok(first)).unwrap()
}

fn visitors(delivery: &Delivery) -> Vec<(u64, u64)> {
    delivery.events.iter().map(|(number, new)| (*number, new.event.visitor.0)).collect()
}

/// Sabotage: begin the delivery anew when the spool is opened, or take in what came later.
#[test]
fn a_delivery_that_was_begun_is_the_same_until_it_is_delivered() {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir);
    let keyed = view(site(1), 2).with_key(IdempotencyKey([9; 16]));
    assert_eq!(append(&spool, vec![view(site(1), 1), keyed.clone()]), [AppendOutcome::Stored; 2]);
    let begun = next(&spool, 70).unwrap();
    assert_eq!(visitors(&begun), [(70, 1), (71, 2)]);
    assert!(!begun.may_be_stored);
    append(&spool, vec![view(site(1), 3)]);
    assert_eq!(append(&spool, vec![keyed]), [AppendOutcome::Duplicate]);
    drop(spool);

    let spool = open(&dir);
    assert_eq!(spool.figures().batches, 2);
    let again = next(&spool, 1_000).unwrap();
    assert!(again.may_be_stored, "nobody knows what became of it");
    assert_eq!(again.events, begun.events);
    spool.delivered(&again).unwrap();
    let rest = next(&spool, 90).unwrap();
    assert_eq!(visitors(&rest), [(90, 3)]);
    spool.delivered(&rest).unwrap();
    assert_eq!(next(&spool, 91), None);
    assert_eq!((spool.figures().batches, spool.figures().oldest), (0, None));
    drop(spool);
    assert_eq!(next(&open(&dir), 92), None);
}

/// Sabotage: deliver what was erased, change a delivery that somebody may have, or erase there before it is known.
#[test]
fn what_was_erased_is_not_delivered() {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir);
    append(&spool, (1..=4).map(|visitor| view(site(1), visitor)).collect());
    append(&spool, vec![view(site(2), 1), view(site(3), 5)]);
    assert_eq!(spool.last_erasure(), None);
    spool.begin_erasures(6).unwrap();
    spool.note_erasure(7, site(1), Some(VisitorId(2))).unwrap();
    // It is known where they begin, and what is noted.
    spool.begin_erasures(100).unwrap();
    spool.note_erasure(7, site(1), Some(VisitorId(4))).unwrap();
    assert_eq!(spool.last_erasure(), Some(7));
    assert_eq!(visitors(&next(&spool, 10).unwrap()), [(10, 1), (12, 3), (13, 4), (14, 1), (15, 5)]);
    // Nobody got it yet.
    spool.note_erasure(8, site(1), Some(VisitorId(3))).unwrap();
    assert_eq!(visitors(&next(&spool, 10).unwrap()), [(10, 1), (13, 4), (14, 1), (15, 5)]);
    let pending: Vec<_> = spool.pending_erasures().iter().map(|erasure| erasure.visitor).collect();
    assert_eq!(pending, [Some(VisitorId(2)), Some(VisitorId(3))]);
    spool.may_be_stored();
    spool.note_erasure(9, site(3), None).unwrap();
    assert!(spool.pending_erasures().is_empty(), "it is not known what is stored");
    // The visitor comes back.
    append(&spool, vec![view(site(1), 2)]);
    drop(spool);

    let spool = open(&dir);
    let delivery = next(&spool, 0).unwrap();
    assert_eq!(visitors(&delivery), [(10, 1), (13, 4), (14, 1), (15, 5)]);
    spool.delivered(&delivery).unwrap();
    for erasure in spool.pending_erasures() {
        spool.erased(erasure.id).unwrap();
    }
    assert_eq!((spool.pending_erasures(), spool.last_erasure()), (Vec::new(), Some(9)));
    assert!(!spool.is_erased(10), "it was not noted");
    let bytes: Vec<u8> = ["events.db", "events.db-wal"]
        .iter()
        .flat_map(|name| std::fs::read(dir.path().join("spool").join(name)).unwrap_or_default())
        .collect();
    let is_there = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!is_there("/of-visitor-3") && is_there("/of-visitor-2"), "no trace but of what came later");
    assert_eq!(visitors(&next(&spool, 20).unwrap()), [(20, 2)]);
    spool.note_erasure(10, site(1), Some(VisitorId(2))).unwrap();
    assert!(!spool.is_erased(10));
    spool.erased(spool.pending_erasures()[0].id).unwrap();
    assert!(!spool.is_erased(10), "it waits to be delivered");
    assert_eq!(visitors(&next(&spool, 20).unwrap()), []);
    spool.delivered(&next(&spool, 20).unwrap()).unwrap();
    assert!(spool.is_erased(10));
}

/// Sabotage: forget the keys of a website that is deleted, or not.
#[test]
fn a_deleted_website_has_no_keys() {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir);
    let keyed = |number| view(site(number), 1).with_key(IdempotencyKey([9; 16]));
    append(&spool, vec![keyed(1), keyed(2)]);
    spool.note_erasure(1, site(1), None).unwrap();
    assert_eq!(append(&spool, vec![keyed(1), keyed(2)]), [AppendOutcome::Stored, AppendOutcome::Duplicate]);
    assert_eq!(visitors(&next(&spool, 0).unwrap()), [(1, 1), (2, 1)]);
}

/// Sabotage: count bytes that are free again, or never look.
#[test]
fn a_full_spool_refuses_until_something_is_delivered() {
    let dir = TempDir::new().unwrap();
    let spool = open_with(&dir, |config| config.bytes_max = 400_000);
    let mut random = 1u64;
    // What cannot be packed.
    let mut long = || {
        let mut new = view(site(1), 1);
        let text: String = (0..2_000)
            .map(|_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                format!("{:x}", random >> 60)
            })
            .collect();
        new.event.dimensions.set(Dimension::Properties, &text);
        new
    };
    let mut appended = 0;
    let refused = loop {
        match spool.try_append(vec![long(); 20]) {
            Ok(receipt) => {
                receipt.wait().unwrap();
                appended += 20;
            }
            Err(refused) => break refused,
        }
        assert!(appended < 10_000, "it is never full");
    };
    assert_eq!((refused.reason, refused.events.len()), (AppendError::QueueFull, 20));
    assert!(!spool.figures().is_writable && spool.figures().bytes >= 400_000);
    let waits = std::thread::scope(|scope| {
        let waits = scope.spawn(|| spool.append(vec![view(site(1), 1)]).wait());
        while let Some(delivery) = next(&spool, 0) {
            appended -= delivery.events.len();
            spool.delivered(&delivery).unwrap();
            if appended == 0 {
                break;
            }
        }
        waits.join().unwrap()
    });
    assert_eq!(waits.unwrap(), [AppendOutcome::Stored]);
    assert!(spool.figures().is_writable);
}

/// Sabotage: acknowledge at once, or what waits for a later batch.
#[test]
fn an_append_waits_for_its_delivery() {
    let dir = TempDir::new().unwrap();
    let spool = open_with(&dir, |config| config.acknowledged = Acknowledged::WhenDelivered);
    let first = spool.try_append(vec![view(site(1), 1)]).unwrap();
    let delivery = loop {
        assert!(spool.wait(1, Duration::ZERO, Duration::from_secs(60)));
        if let Some(delivery) = next(&spool, 0) {
            break delivery;
        }
    };
    let keyed = || {
        let mut new = view(site(1), 2);
        new.idempotency_key = Some(IdempotencyKey([7; 16]));
        spool.try_append(vec![new]).unwrap()
    };
    let second = keyed();
    spool.learn(Vec::new()).unwrap();
    let first = first.try_wait().unwrap_err();
    spool.delivered(&delivery).unwrap();
    assert_eq!(first.wait().unwrap(), [AppendOutcome::Stored]);
    let second = second.try_wait().unwrap_err();
    // Who sends it again is not told that it is stored either.
    let again = keyed();
    spool.learn(Vec::new()).unwrap();
    let again = again.try_wait().unwrap_err();
    let delivery = next(&spool, 1).unwrap();
    spool.delivered(&delivery).unwrap();
    assert_eq!(second.wait().unwrap(), [AppendOutcome::Stored]);
    assert_eq!(again.wait().unwrap(), [AppendOutcome::Duplicate]);
    let second = spool.try_append(vec![view(site(1), 3)]).unwrap();
    spool.learn(Vec::new()).unwrap();
    let second = second.try_wait().unwrap_err();
    // It stays in the log.
    spool.stop();
    assert_eq!(second.wait().unwrap_err().reason, AppendError::NotDelivered);
}

/// Sabotage: forget the sessions of what waits when the spool is opened, or what it is told.
#[test]
fn a_session_has_one_visitor_also_after_a_restart() {
    let dir = TempDir::new().unwrap();
    append(&open(&dir), vec![view(site(1), 1)]);
    let spool = open(&dir);
    let of_another = |session: u64| {
        let mut new = view(site(1), 9);
        new.event.session = SessionId(session);
        spool.try_append(vec![new]).unwrap().wait().map_err(|refused| refused.reason)
    };
    assert!(matches!(of_another(1), Err(AppendError::Sessions(_))));
    spool.learn(vec![(site(1), SessionId(2), SessionSpan::at(VisitorId(2), NOW))]).unwrap();
    assert!(matches!(of_another(2), Err(AppendError::Sessions(_))));
    spool.note_erasure(1, site(1), Some(VisitorId(2))).unwrap();
    assert_eq!(of_another(2), Ok(vec![AppendOutcome::Stored]));
}

#[derive(Default)]
struct Sink {
    taken: Mutex<Vec<(BatchName, usize)>>,
    synced: AtomicUsize,
}

impl CaptureSink for Sink {
    fn room(&self) -> Result<(), AppendError> {
        Ok(())
    }

    fn take(&self, batch: BatchName, captures: Vec<(WebsiteId, Vec<u8>)>) {
        self.taken.lock().push((batch, captures.len()));
    }

    fn sync(&self) -> Result<(), ChangeError> {
        self.synced.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Sabotage: delete a batch whose captures are not durable where they go, or hand over those that are.
#[test]
fn captures_are_handed_over_until_they_are_durable() {
    let dir = TempDir::new().unwrap();
    let open_into = |sink: &Arc<Sink>| open_with(&dir, |config| config.captures = Some(Arc::clone(sink) as _));
    let sink = Arc::new(Sink::default());
    let spool = open_into(&sink);
    let capture = NewCapture::new(site(1), NOW, vec![1, 2, 3]);
    spool.try_capture(vec![capture.clone(), capture]).unwrap().wait().unwrap();
    append(&spool, vec![view(site(1), 1)]);
    let of_captures = next(&spool, 0).unwrap();
    assert_eq!(visitors(&of_captures), [(0, 1)]);
    spool.delivered(&of_captures).unwrap();
    let taken = sink.taken.lock().clone();
    assert_eq!(taken.iter().map(|(_, count)| *count).sum::<usize>(), 2);
    drop(spool);

    let again = Arc::new(Sink::default());
    let spool = open_into(&again);
    assert_eq!(*again.taken.lock(), taken, "under the same names");
    assert!(spool.sync_captures().unwrap());
    assert!(!spool.sync_captures().unwrap());
    assert_eq!(again.synced.load(Ordering::Relaxed), 1);
    drop(spool);
    let last = Arc::new(Sink::default());
    drop(open_into(&last));
    assert!(last.taken.lock().is_empty());
}
