//! Codes of visitors through everything that happens to a store.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use parking_lot::Mutex;
use proptest::prelude::*;
use tempfile::TempDir;
use zenovay_domain::{Event, EventKind, ManualClock, SessionId, TimeRange, Timestamp, VisitorId};
use zenovay_query::engine::Sections;
use zenovay_query::{Answer, Query, Question, oracle};

use super::*;
use crate::conformance::expire;
use crate::format_tests::rewrite_last;
use crate::log::{Log, Opened, Purpose};
use crate::sections::StoredSections;
use crate::segment::SegmentMeta;
use crate::testing::{FaultPoint, Faults};
use crate::{EmbeddedConfig, EmbeddedStore, EventStore, NewEvent, repair, verify};

const HOUR_MS: i64 = 3_600_000;

fn website() -> WebsiteId {
    WebsiteId::from_random_bytes([1; 16])
}

/// A pageview of a visitor in an hour, in a session of its own.
fn pageview((visitor, hour): (u64, i64)) -> Event {
    let at = Timestamp::from_millis(hour * HOUR_MS);
    let session = SessionId(visitor << 32 | hour.cast_unsigned());
    Event::new(EventKind::Pageview, at, VisitorId(visitor), session)
}

/// Where a disk fails or a process dies.
#[derive(Default)]
struct Failing {
    /// From this point on nothing works.
    death: Mutex<Option<FaultPoint>>,
    is_dead: Mutex<bool>,
    /// Whether no file can be opened.
    cannot_read: Mutex<bool>,
    /// What happens before the next segment is registered.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Faults for Failing {
    fn at(&self, point: FaultPoint) -> io::Result<()> {
        if point == FaultPoint::SegmentRead {
            // Too many open files: nothing is damaged.
            return if *self.cannot_read.lock() { Err(io::Error::from_raw_os_error(24)) } else { Ok(()) };
        }
        if point == FaultPoint::SegmentRegister
            && let Some(meanwhile) = { self.meanwhile.lock().take() }
        {
            meanwhile();
        }
        let mut is_dead = self.is_dead.lock();
        *is_dead |= *self.death.lock() == Some(point);
        if *is_dead { Err(io::Error::other("died here")) } else { Ok(()) }
    }
}

fn open_with(dir: &Path, merge_fan_in: usize, faults: &Arc<Failing>) -> EmbeddedStore {
    let config = EmbeddedConfig::new(dir).with(|config| {
        config.group_rows = 32;
        config.scan_rows_max = 0;
        (config.query_threads, config.query_thread_rows) = (3, 1);
        config.merge_fan_in = merge_fan_in;
    });
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    EmbeddedStore::open(config.with_faults(Arc::clone(faults) as Arc<dyn Faults>), clock).unwrap()
}

/// A store that merges nothing but what has no codes.
fn open(dir: &Path) -> EmbeddedStore {
    open_with(dir, 99, &Arc::default())
}

/// Gives codes to all that have none: what is sealed while the merging thread has a look gets none.
fn settle(store: &EmbeddedStore) {
    while store.merge().unwrap() {}
}

fn append(store: &EmbeddedStore, events: &[Event]) {
    let new = |event: &Event| NewEvent::new(website(), event.at, event.clone());
    assert!(store.append(events.iter().map(new).collect()).wait().is_ok());
}

/// Seals while somebody else writes segments anew: no codes can be given.
fn seal_without_codes(store: &EmbeddedStore) {
    let _rewriting = store.inner.rewriting.lock();
    store.seal().unwrap();
}

fn ever() -> TimeRange {
    TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(1 << 50))
}

fn overview(store: &EmbeddedStore) -> Answer {
    store.query(website(), &Query::new(ever(), Question::Overview), &Budget::unlimited()).unwrap()
}

/// The code of each visitor in the row groups that have codes, which agree.
fn codes(segments: &[Arc<Segment>]) -> BTreeMap<u64, u32> {
    assert!(agree(segments, website()).unwrap());
    let mut codes = BTreeMap::new();
    for (segment, range) in coded_groups(segments, website()) {
        let ids = segment.read_ids(range.group, ColumnId::Visitor).unwrap();
        let own = segment.read_codes(range.group).unwrap().unwrap();
        for (id, code) in ids.into_iter().zip(own) {
            assert_eq!(*codes.entry(id).or_insert(code), code, "visitor {id}");
        }
    }
    let mut distinct: Vec<u32> = codes.values().copied().collect();
    distinct.sort_unstable();
    assert!(distinct.is_sorted_by(|one, other| one < other), "{codes:?}");
    codes
}

fn segments_in(dir: &Path) -> Vec<Arc<Segment>> {
    let Opened { named, .. } = Log::open(dir, Purpose::Look).unwrap();
    let folder = dir.join("segments");
    named.segments.into_iter().map(|meta| Arc::new(Segment::new(&folder, meta))).collect()
}

#[test]
fn ids_are_found_however_they_lie() {
    assert_eq!(CodeMap::new(Vec::new()).place(0), None);
    let spread = (0..1_000_u64).map(|number| number.wrapping_mul(0xD605_BBB5_8C8A_BC03));
    for ids in [vec![0], vec![u64::MAX, 0, 1], (0..1_000).collect(), spread.collect::<Vec<_>>()] {
        let map = CodeMap::new(ids.iter().chain(&ids).copied().collect());
        let mut places: Vec<usize> = ids.iter().filter_map(|&id| map.place(id)).collect();
        places.sort_unstable();
        assert!(places.iter().copied().eq(0..ids.len()), "each once");
        assert_eq!(map.place(123_456_789), None);
    }
}

/// Sabotage: do not look for an id in other segments, or not in the other row groups of the sources.
#[test]
fn a_visitor_who_comes_back_has_the_code_of_before() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    append(&store, &(0..60).map(|visitor| pageview((visitor, visitor as i64))).collect::<Vec<_>>());
    store.seal().unwrap();
    settle(&store);
    let first = codes(&store.inner.state().segments);
    assert!(
        first.iter().map(|(visitor, code)| (*visitor, u64::from(*code))).eq((0..60).map(|number| (number, number)))
    );
    append(&store, &(50..70).rev().map(|visitor| pageview((visitor, 200 - visitor as i64))).collect::<Vec<_>>());
    seal_without_codes(&store);
    append(&store, &(40..90).step_by(2).map(|visitor| pageview((visitor, 300))).collect::<Vec<_>>());
    store.seal().unwrap();
    settle(&store);
    let codes = codes(&store.inner.state().segments);
    assert!(first.iter().all(|(visitor, code)| codes[visitor] == *code));
    assert_eq!((codes.len(), end_of_codes(&store.inner.state().segments, website())), (80, 80));
    assert!(store.inner.state().segments.iter().all(|segment| !segment.meta.lacks_codes()));
    drop(store);
    assert_eq!(verify(dir.path()).unwrap().damages, Vec::<String>::new());
}

/// What is sealed when others have been given codes, and these are not registered, gets none. Sabotage: give it some.
#[test]
fn codes_that_are_not_registered_yet_are_not_given_twice() {
    let dir = TempDir::new().unwrap();
    let faults = Arc::<Failing>::default();
    let store = Arc::new(open_with(dir.path(), 99, &faults));
    {
        let _rewriting = store.inner.rewriting.lock();
        append(&store, &(0..20).map(|visitor| pageview((visitor, visitor as i64))).collect::<Vec<_>>());
        store.seal().unwrap();
        append(&store, &(10..40).rev().map(|visitor| pageview((visitor, 100))).collect::<Vec<_>>());
        let sealing = Arc::downgrade(&store);
        let seal = move || assert!(sealing.upgrade().is_some_and(|store| store.seal().unwrap()));
        *faults.meanwhile.lock() = Some(Box::new(seal));
    }
    // Or the merging thread, which was first.
    settle(&store);
    assert!(faults.meanwhile.lock().is_none());
    let segments = store.inner.state().segments.clone();
    assert_eq!((codes(&segments).len(), segments.len()), (40, 2));
    assert!(segments.iter().all(|segment| !segment.meta.lacks_codes()));
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<(u64, i64)>),
    Seal,
    SealWithoutCodes,
    Merge,
    Erase(u64),
    Remove(i64),
    Reopen,
    Die(FaultPoint, bool),
    LoseCatalog,
}

fn step() -> impl Strategy<Value = Step> {
    let points =
        [FaultPoint::SegmentWrite, FaultPoint::SegmentRegister, FaultPoint::SegmentRename, FaultPoint::SegmentCleanup];
    prop_oneof![
        6 => prop::collection::vec((0..60_u64, 0..500_i64), 1..40).prop_map(Step::Append),
        3 => Just(Step::Seal),
        2 => Just(Step::SealWithoutCodes),
        2 => Just(Step::Merge),
        1 => (0..60_u64).prop_map(Step::Erase),
        1 => (0..100_i64).prop_map(Step::Remove),
        1 => Just(Step::Reopen),
        2 => (prop::sample::select(points.to_vec()), any::<bool>()).prop_map(|(point, is_seal)| Step::Die(point, is_seal)),
        1 => Just(Step::LoseCatalog),
    ]
}

/// Late events, seals in any order and without codes, merges, erasure, retention, deaths at every step and a lost catalog: codes
/// agree after each, stay what they were, and all have one when there is nothing left to do.
fn live_through(steps: Vec<Step>) {
    let dir = TempDir::new().unwrap();
    let mut faults = Arc::<Failing>::default();
    let mut store = open_with(dir.path(), 3, &faults);
    let (mut events, mut before): (Vec<Event>, BTreeMap<u64, u32>) = Default::default();
    for step in steps {
        let is_removal = matches!(step, Step::Erase(_) | Step::Remove(_));
        match step {
            Step::Append(list) => {
                let new: Vec<Event> = list.into_iter().map(pageview).collect();
                append(&store, &new);
                events.extend(new);
            }
            Step::Seal => {
                store.seal().unwrap();
            }
            Step::SealWithoutCodes => seal_without_codes(&store),
            Step::Merge => {
                store.merge().unwrap();
            }
            Step::Erase(visitor) => {
                store.erase_visitor(website(), VisitorId(visitor)).unwrap();
                events.retain(|event| event.visitor.0 != visitor);
            }
            Step::Remove(hour) => {
                let since = Timestamp::from_millis(hour * HOUR_MS);
                // What is in the head would be hidden for another thirty days.
                store.seal().unwrap();
                expire(&store, website(), since).unwrap();
                events.retain(|event| event.at >= since);
            }
            Step::Reopen => {
                drop(store);
                faults = Arc::default();
                store = open_with(dir.path(), 3, &faults);
            }
            Step::Die(point, is_seal) => {
                *faults.death.lock() = Some(point);
                let _ = if is_seal { store.seal().map(drop) } else { store.merge().map(drop) };
                drop(store);
                faults = Arc::default();
                store = open_with(dir.path(), 3, &faults);
            }
            Step::LoseCatalog => {
                store.seal().unwrap();
                drop(store);
                // What a death has left is tidied up by a start, so that the files are those of the catalog.
                let tidy = open_with(dir.path(), 3, &Arc::default());
                tidy.seal().unwrap();
                drop(tidy);
                for name in ["events.db", "events.db-wal"] {
                    let _ = fs::remove_file(dir.path().join(name));
                }
                assert_eq!(repair(dir.path()).unwrap().found, Vec::<String>::new());
                faults = Arc::default();
                store = open_with(dir.path(), 3, &faults);
            }
        }
        let codes = codes(&store.inner.state().segments);
        for (visitor, code) in &codes {
            // Whoever was removed and came again in one step cannot be: steps are one or the other.
            assert!(is_removal || before.get(visitor).is_none_or(|before| before == code), "visitor {visitor}");
        }
        before = codes;
        let asked = codes_for_a_question(&store);
        assert!(before.iter().all(|(visitor, code)| asked.get(visitor).is_none_or(|asked| asked == code)));
        let query = Query::new(ever(), Question::Overview);
        assert_eq!(overview(&store), oracle::answer(&events, &query));
    }
    store.seal().unwrap();
    settle(&store);
    let state = store.inner.state();
    assert!(state.segments.iter().all(|segment| !segment.meta.lacks_codes()));
    codes(&state.segments);
    drop((state, store));
    assert_eq!(verify(dir.path()).unwrap().damages, Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]
    /// Sabotage: begin at 0 with each segment, or do not look for an id in other segments.
    #[test]
    fn codes_stay_right_whatever_happens(steps in prop::collection::vec(step(), 1..24)) {
        live_through(steps);
    }
}

/// Registers the only row group of the last segment anew, with the codes that it would get if no other segment was there.
fn give_wrong_codes(dir: &Path) {
    rewrite_last(dir, Some(&[]), |old, target| {
        // As if it had none.
        old.groups.iter_mut().for_each(|group| group.codes = None);
        target.group_rows = 32;
    });
}

/// Two segments with a visitor each has in common, and others.
fn fill(dir: &Path) -> Vec<Event> {
    let store = open(dir);
    let events: Vec<Event> = (0..30).map(|visitor| pageview((visitor, visitor as i64))).collect();
    append(&store, &events[..20]);
    store.seal().unwrap();
    let more: Vec<Event> = (10..30).rev().map(|visitor| pageview((visitor, 100 - visitor as i64))).collect();
    append(&store, &more);
    store.seal().unwrap();
    settle(&store);
    events.into_iter().take(20).chain(more).collect()
}

/// Sabotage: compare codes of an id, or ids of a code, alone.
#[test]
fn codes_that_do_not_agree_are_found_and_given_anew() {
    let dir = TempDir::new().unwrap();
    let events = fill(dir.path());
    assert_eq!(verify(dir.path()).unwrap().damages, Vec::<String>::new());
    drop(open(dir.path()));
    give_wrong_codes(dir.path());
    let damages = verify(dir.path()).unwrap().damages;
    assert!(damages.len() == 1 && damages[0].contains(&website().to_string()), "{damages:?}");
    let repaired = repair(dir.path()).unwrap();
    assert!(repaired.is_changed && repaired.lost.is_empty() && repaired.found.len() == 3, "{repaired:?}");
    assert!(!repair(dir.path()).unwrap().is_changed);
    assert_eq!(verify(dir.path()).unwrap().damages, Vec::<String>::new());
    assert!(segments_in(dir.path()).iter().all(|segment| segment.meta.lacks_codes()));

    let store = open(dir.path());
    settle(&store);
    assert_eq!(codes(&store.inner.state().segments).len(), 30);
    assert_eq!(overview(&store), oracle::answer(&events, &Query::new(ever(), Question::Overview)));
    drop(store);
    assert_eq!(verify(dir.path()).unwrap().damages, Vec::<String>::new());
}

/// One id with two codes, or one code of two ids: each alone is found.
#[test]
fn either_disagreement_is_found() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    append(&store, &(0..8).map(|visitor| pageview((visitor, visitor as i64))).collect::<Vec<_>>());
    store.seal().unwrap();
    settle(&store);
    // Nobody has code 0 any more, which visitor 7 gets beside 7.
    store.erase_visitor(website(), VisitorId(0)).unwrap();
    append(&store, &(0..8).map(|hour| pageview((7, 100 + hour))).collect::<Vec<_>>());
    store.seal().unwrap();
    settle(&store);
    drop(store);
    assert!(agree(&segments_in(dir.path()), website()).unwrap());
    give_wrong_codes(dir.path());
    assert!(!agree(&segments_in(dir.path()), website()).unwrap(), "an id with two codes");

    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    append(&store, &(0..8).map(|visitor| pageview((visitor, visitor as i64))).collect::<Vec<_>>());
    store.seal().unwrap();
    append(&store, &(0..8).map(|visitor| pageview((100 + visitor, 100))).collect::<Vec<_>>());
    store.seal().unwrap();
    settle(&store);
    drop(store);
    give_wrong_codes(dir.path());
    assert!(!agree(&segments_in(dir.path()), website()).unwrap(), "codes of two ids");
}

/// Sabotage: count a row group whose codes are damaged among those that cannot be read.
#[test]
fn codes_that_are_damaged_are_found_and_given_anew_and_no_row_is_lost() {
    let dir = TempDir::new().unwrap();
    let events = fill(dir.path());
    let meta: SegmentMeta = segments_in(dir.path())[0].meta.clone();
    let path = dir.path().join("segments").join(crate::segment::file_name(meta.id));
    let mut bytes = fs::read(&path).unwrap();
    let place = meta.groups[0].codes.unwrap();
    bytes[usize::try_from(place.offset).unwrap() + 11] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(verify(dir.path()).unwrap().damages.len(), 1);
    let repaired = repair(dir.path()).unwrap();
    assert!(repaired.is_changed && repaired.lost.is_empty() && repaired.segment_rows == 40, "{repaired:?}");
    assert_eq!(verify(dir.path()).unwrap().damages, Vec::<String>::new());
    let store = open(dir.path());
    settle(&store);
    assert_eq!(codes(&store.inner.state().segments).len(), 30);
    assert!(store.inner.state().segments.iter().all(|segment| !segment.meta.lacks_codes()));
    assert_eq!(overview(&store), oracle::answer(&events, &Query::new(ever(), Question::Overview)));
}

/// A segment that is damaged may have visitors that a new one has, too, and may come back. Sabotage: give codes all the same, or
/// write what has no codes anew without end.
#[test]
fn beside_a_damaged_segment_nobody_gets_a_new_code() {
    let dir = TempDir::new().unwrap();
    let events = fill(dir.path());
    let segments = segments_in(dir.path());
    let first = segments.iter().min_by_key(|segment| segment.meta.position).unwrap().meta.id;
    let path = dir.path().join("segments").join(crate::segment::file_name(first));
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[1..]).unwrap();
    let store = open(dir.path());
    append(&store, &(5..45).map(|visitor| pageview((visitor, 200))).collect::<Vec<_>>());
    store.seal().unwrap();
    settle(&store);
    let without = store.inner.state().segments.iter().filter(|segment| segment.meta.lacks_codes()).count();
    assert_eq!(without, 1);
    drop(store);

    fs::write(&path, &whole).unwrap();
    let store = open(dir.path());
    settle(&store);
    assert_eq!(codes(&store.inner.state().segments).len(), 45);
    assert!(store.inner.state().segments.iter().all(|segment| !segment.meta.lacks_codes()));
    let events: Vec<Event> = events.into_iter().chain((5..45).map(|visitor| pageview((visitor, 200)))).collect();
    assert_eq!(overview(&store), oracle::answer(&events, &Query::new(ever(), Question::Overview)));
}

/// Files that cannot be opened for a while hold up no seal, and no merge goes on for ever. Sabotage: let the error of another
/// segment end the seal, or try again at once.
#[test]
fn files_that_cannot_be_opened_leave_codes_for_later() {
    let dir = TempDir::new().unwrap();
    drop(fill(dir.path()));
    let faults = Arc::<Failing>::default();
    *faults.cannot_read.lock() = true;
    let store = open_with(dir.path(), 99, &faults);
    append(&store, &(5..45).map(|visitor| pageview((visitor, 200))).collect::<Vec<_>>());
    assert!(store.seal().unwrap());
    // Not before a further round: the first one is told that it failed.
    while store.merge().is_ok_and(|merged| merged) {}
    assert!(store.inner.state().segments.iter().any(|segment| segment.meta.lacks_codes()));
    assert!(store.inner.state().segments.iter().all(|segment| !segment.is_damaged()));
    // One that failed meanwhile is set aside for a minute.
    drop(store);
    let store = open(dir.path());
    settle(&store);
    assert_eq!(codes(&store.inner.state().segments).len(), 45);
    assert!(store.inner.state().segments.iter().all(|segment| !segment.meta.lacks_codes()));
}

/// The codes of all visitors in all sections of a question, also of those that have none that are stored.
fn codes_for_a_question(store: &EmbeddedStore) -> BTreeMap<u64, u32> {
    let state = store.inner.state();
    let sections = StoredSections::new(&state, &store.inner.temporary, website(), ever());
    let below = sections.codes_below(&Budget::unlimited()).unwrap().unwrap();
    let mut codes = BTreeMap::new();
    for number in 0..sections.spans().len() {
        let (ids, own) = (sections.visitor_ids(number).unwrap(), sections.visitor_codes(number).unwrap());
        assert_eq!(ids.len(), own.len());
        for (id, code) in ids.into_iter().zip(own) {
            assert_eq!(*codes.entry(id).or_insert(code), code, "visitor {id}");
        }
    }
    let mut distinct: Vec<u32> = codes.values().copied().collect();
    distinct.sort_unstable();
    assert!(distinct.is_sorted_by(|one, other| one < other) && distinct.last().is_none_or(|&last| last < below));
    codes
}

/// Sabotage: keep what was given when segments with codes have come, or give a new visitor of the head a code without a look at them.
#[test]
fn rows_without_codes_get_some_for_a_question() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    append(&store, &(0..60).map(|visitor| pageview((visitor, visitor as i64))).collect::<Vec<_>>());
    assert_eq!(codes_for_a_question(&store).len(), 60);
    assert_eq!(store.inner.temporary.bytes(), 60 * KEPT_CODE_BYTES);
    seal_without_codes(&store);
    append(&store, &(50..70).map(|visitor| pageview((visitor, 100))).collect::<Vec<_>>());
    assert_eq!(codes_for_a_question(&store).len(), 70);
    store.seal().unwrap();
    settle(&store);
    let stored = codes(&store.inner.state().segments);
    assert_eq!(codes_for_a_question(&store), stored);
    // The head grows: who is known has the code that is known.
    append(&store, &(65..75).map(|visitor| pageview((visitor, 200))).collect::<Vec<_>>());
    let first = codes_for_a_question(&store);
    append(&store, &(73..90).map(|visitor| pageview((visitor, 201))).collect::<Vec<_>>());
    let second = codes_for_a_question(&store);
    assert!(stored.iter().chain(&first).all(|(visitor, code)| second[visitor] == *code));
    assert_eq!((first.len(), second.len()), (75, 90));
    store.erase_visitor(website(), VisitorId(3)).unwrap();
    assert_eq!(store.inner.temporary.bytes(), 0, "nothing of an erased visitor is kept");
    assert_eq!(codes_for_a_question(&store).len(), 89);
}
