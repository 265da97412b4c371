//! Erasure of a visitor, deletion of a website and retention die at every point they can, and lose nothing else, double
//! nothing, and are complete when they are done again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use zenovay_domain::{Dimension, Event, ManualClock, Timestamp, VisitorId};
use zenovay_events::conformance::{expire, pageview, store_all, values, website};
use zenovay_events::testing::{FaultPoint, Faults};
use zenovay_events::{ChangeError, EmbeddedConfig, EmbeddedStore, EventStore, Kept, Observer, RETENTION_GRACE_DAYS};

use common::{copy_dir, segment_files};

const NOW_MS: i64 = 1_774_746_000_000;

/// Random bytes, so that they are nowhere by chance.
const VISITOR: VisitorId = VisitorId(0xd7a1_4be9_63f8_05c3);

/// A fault point at which the store dies: from then on it gets nowhere.
#[derive(Default)]
struct Death {
    at: std::sync::Mutex<Option<FaultPoint>>,
    /// How often the point is passed before.
    passes: AtomicI64,
    dead: AtomicBool,
}

impl Faults for Death {
    fn at(&self, point: FaultPoint) -> io::Result<()> {
        // What the files hold can still be asked.
        if point == FaultPoint::SegmentRead {
            return Ok(());
        }
        if *self.at.lock().unwrap() == Some(point) && self.passes.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.dead.store(true, Ordering::SeqCst);
        }
        if self.dead.load(Ordering::SeqCst) { Err(io::Error::other("died here")) } else { Ok(()) }
    }
}

fn open(dir: &Path, faults: Option<Arc<Death>>) -> EmbeddedStore {
    let mut config = EmbeddedConfig::new(dir).with(|config| config.merge_fan_in = 99);
    if let Some(faults) = faults {
        config = config.with_faults(faults);
    }
    EmbeddedStore::open(config, Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS)))).unwrap()
}

/// Visit `number` of a website: a path of its own, on the day of its number, every fifth by the visitor.
fn visit(number: i64) -> Event {
    let visitor = if number % 5 == 0 { VISITOR.0 } else { number as u64 };
    pageview(NOW_MS + number * 86_400_000, visitor, number as u64, &format!("/page/{number}"))
}

const VISITS: i64 = 40;

/// Three segments with both websites, and a head with both.
fn fill(store: &EmbeddedStore) {
    for part in 0..4 {
        for site in [1, 2] {
            let visits: Vec<Event> = (0..VISITS).filter(|number| number % 4 == part).map(visit).collect();
            store_all(store, website(site), &visits);
        }
        if part < 3 {
            store.seal().unwrap();
        }
    }
    assert_eq!(store.stats().segments, 3);
}

/// What a store can be told to remove from website 1, and which visits stay.
struct Removal {
    name: &'static str,
    run: fn(&EmbeddedStore) -> Result<(), ChangeError>,
    stays: fn(i64) -> bool,
}

const REMOVALS: [Removal; 3] = [
    Removal {
        name: "erasure",
        run: |store| store.erase_visitor(website(1), VISITOR),
        stays: |number| visit(number).visitor != VISITOR,
    },
    Removal { name: "deletion", run: |store| store.delete_website(website(1)), stays: |_| false },
    Removal {
        name: "retention",
        run: |store| store.seal().and_then(|_| expire(store, website(1), visit(17).at)),
        stays: |number| number >= 17,
    },
];

fn pages(store: &EmbeddedStore, site: u8) -> BTreeMap<String, u64> {
    values(store, website(site), Dimension::Path).into_iter().collect()
}

fn once(stays: impl Fn(i64) -> bool) -> BTreeMap<String, u64> {
    (0..VISITS).filter(|&number| stays(number)).map(|number| (format!("/page/{number}"), 1)).collect()
}

/// Nothing but what was to go may be missing, and nothing is there twice.
fn check_in_between(store: &EmbeddedStore, removal: &Removal, when: &str) {
    assert_eq!(pages(store, 2), once(|_| true), "{when}: the other website");
    let found = pages(store, 1);
    assert!(found.values().all(|&count| count == 1), "{when}: {found:?}");
    for page in once(removal.stays).into_keys() {
        assert!(found.contains_key(&page), "{when}: {page} is lost");
    }
}

/// How often the visitor's id stands in the files, as segments and as the log write it.
fn traces(dir: &Path) -> usize {
    let mut varint = Vec::new();
    let mut rest = VISITOR.0;
    while rest >= 0x80 {
        varint.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    varint.push(rest as u8);
    let mut files = segment_files(dir);
    files.extend(["events.db", "events.db-wal"].map(|name| dir.join(name)));
    let count = |bytes: &[u8], needle: &[u8]| bytes.windows(needle.len()).filter(|window| *window == needle).count();
    let in_file = |bytes: Vec<u8>| count(&bytes, &VISITOR.0.to_le_bytes()) + count(&bytes, &varint);
    files.into_iter().map(|file| in_file(fs::read(file).unwrap())).sum()
}

/// Sabotage: remove the old file before its replacement is registered (loses), or register without
/// removing the old segment (doubles), or leave its file (traces).
#[test]
fn a_removal_that_dies_at_any_point_loses_nothing_else_and_is_completed_the_next_time() {
    use FaultPoint::{SegmentCleanup, SegmentRegister, SegmentRename, SegmentWrite};
    let template = TempDir::new().unwrap();
    let store = open(template.path(), None);
    fill(&store);
    drop(store);
    for removal in &REMOVALS {
        let mut deaths = 0;
        for point in [SegmentWrite, SegmentRename, SegmentRegister, SegmentCleanup] {
            for passes in 0.. {
                let when = format!("{} at {point:?} after {passes}", removal.name);
                let dir = TempDir::new().unwrap();
                copy_dir(template.path(), dir.path());
                let death = Arc::new(Death::default());
                let store = open(dir.path(), Some(Arc::clone(&death)));
                death.passes.store(passes, Ordering::SeqCst);
                *death.at.lock().unwrap() = Some(point);
                let result = (removal.run)(&store);
                assert_eq!(result.is_err(), death.dead.load(Ordering::SeqCst), "{when}: {result:?}");
                if result.is_ok() {
                    break;
                }
                deaths += 1;
                check_in_between(&store, removal, &when);
                let image = TempDir::new().unwrap();
                copy_dir(dir.path(), image.path());
                drop(store);

                let store = open(image.path(), None);
                check_in_between(&store, removal, &when);
                assert_eq!(segment_files(image.path()).len() as u64, store.stats().segments, "{when}: leftovers");
                (removal.run)(&store).unwrap();
                let check = |store: &EmbeddedStore| {
                    assert_eq!(pages(store, 1), once(removal.stays), "{when}");
                    assert_eq!(pages(store, 2), once(|_| true), "{when}");
                    assert_eq!(segment_files(image.path()).len() as u64, store.stats().segments, "{when}");
                };
                check(&store);
                drop(store);
                check(&open(image.path(), None));
            }
        }
        // The head is sealed, then each of four segments is rewritten; retention leaves none alone either.
        assert!(deaths >= 4 * 4, "{}: {deaths}", removal.name);
    }
}

/// The visitor of website 2 is another person by the same number: only with both erased is the number in no file.
/// Sabotage: no `scrub` when there is nothing left to rewrite.
#[test]
fn an_erasure_that_died_leaves_no_trace_when_it_is_done_again() {
    use FaultPoint::{SegmentCleanup, SegmentRegister, SegmentRename, SegmentWrite};
    let template = TempDir::new().unwrap();
    let store = open(template.path(), None);
    fill(&store);
    store.erase_visitor(website(2), VISITOR).unwrap();
    store_all(&store, website(1), &[visit(45)]);
    drop(store);
    for point in [SegmentWrite, SegmentRename, SegmentRegister, SegmentCleanup] {
        for passes in 0.. {
            let dir = TempDir::new().unwrap();
            copy_dir(template.path(), dir.path());
            let death = Arc::new(Death::default());
            let store = open(dir.path(), Some(Arc::clone(&death)));
            death.passes.store(passes, Ordering::SeqCst);
            *death.at.lock().unwrap() = Some(point);
            if store.erase_visitor(website(1), VISITOR).is_ok() {
                assert!(passes >= 4, "{point:?}");
                break;
            }
            drop(store);
            assert!(traces(dir.path()) > 0, "{point:?} after {passes}: the death left some");
            let store = open(dir.path(), None);
            store.erase_visitor(website(1), VISITOR).unwrap();
            assert_eq!(traces(dir.path()), 0, "{point:?} after {passes}");
            drop(store);
            drop(open(dir.path(), None));
            assert_eq!(traces(dir.path()), 0, "{point:?} after {passes}, opened again");
        }
    }
}

/// Counts what was written for segments.
#[derive(Default)]
struct Count {
    sealed: AtomicU64,
}

impl Observer for Count {
    fn sealed(&self, _: u64, _: Duration) {
        self.sealed.fetch_add(1, Ordering::SeqCst);
    }
}

/// Sabotage: seal in `Inner::erase` before it looks, forget the view when nothing was removed, or seal in `remove_hidden`.
#[test]
fn where_nothing_is_due_nothing_is_sealed_and_no_view_is_dropped() {
    let dir = TempDir::new().unwrap();
    let count = Arc::new(Count::default());
    let config = EmbeddedConfig::new(dir.path()).with(|config| {
        config.observer = Some(count.clone());
        config.merge_fan_in = 99;
    });
    let store = EmbeddedStore::open(config, Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS)))).unwrap();
    fill(&store);
    assert_eq!((pages(&store, 1), pages(&store, 2)), (once(|_| true), once(|_| true)));
    let before = (store.stats(), segment_files(dir.path()), count.sealed.load(Ordering::SeqCst));
    assert!(before.0.cache_bytes > 0 && before.0.head_rows > 0 && before.2 == 3);

    // As a server does it: each minute for every website of which everything is kept, or nothing is old enough.
    for day in 0..RETENTION_GRACE_DAYS * 2 {
        let now = Timestamp::from_millis(NOW_MS + day * 86_400_000);
        for since in [None, Some(visit(0).at)] {
            let kept = [1, 2, 3].map(|site| Kept::new(website(site), since));
            store.retain(&kept, Some(now), &mut |told| panic!("{told:?}")).unwrap();
            store.remove_hidden(now, &mut |told| panic!("{told:?}")).unwrap();
        }
    }
    store.erase_visitor(website(1), VisitorId(0xdead)).unwrap();
    store.erase_visitor(website(3), VISITOR).unwrap();
    store.delete_website(website(3)).unwrap();
    let after = (store.stats(), segment_files(dir.path()), count.sealed.load(Ordering::SeqCst));
    assert_eq!(after, before);

    // What is due is done, and only there.
    store.erase_visitor(website(2), VISITOR).unwrap();
    assert_eq!(count.sealed.load(Ordering::SeqCst), 4);
    assert_eq!(pages(&store, 2), once(|number| visit(number).visitor != VISITOR));
    assert_eq!(pages(&store, 1), once(|_| true));
}
