//! What needs to hold a query in its middle, where no caller can reach.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use zenovay_domain::{Dimension, Event, EventKind, ManualClock, SessionId, TimeRange};
use zenovay_query::engine::{self, ColumnSet};
use zenovay_query::{Filter, GroupBy, MemoryPool, Question};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn website() -> WebsiteId {
    WebsiteId::from_random_bytes([1; 16])
}

fn ever() -> TimeRange {
    TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(1 << 50))
}

fn append(store: &EmbeddedStore, number: u64) {
    append_all(store, &[(number, "/".to_owned())]);
}

/// Appends a pageview for each number, of a visitor and in a session of that number.
fn append_all(store: &EmbeddedStore, pageviews: &[(u64, String)]) {
    append_to(store, website(), pageviews);
}

fn append_to(store: &EmbeddedStore, website: WebsiteId, pageviews: &[(u64, String)]) {
    let new = |(number, path): &(u64, String)| {
        let at = Timestamp::from_millis(1_000 + *number as i64);
        let mut event = Event::new(EventKind::Pageview, at, VisitorId(*number), SessionId(*number));
        event.dimensions.set(Dimension::Path, path);
        NewEvent::new(website, at, event)
    };
    assert!(store.append(pageviews.iter().map(new).collect()).wait().is_ok());
}

fn pageviews(store: &EmbeddedStore) -> u64 {
    let query = Query::new(ever(), zenovay_query::Question::Overview);
    match store.query(website(), &query, &Budget::unlimited()) {
        Ok(Answer::Overview(overview)) => overview.metrics.pageviews,
        other => panic!("{other:?}"),
    }
}

/// While the kernel of one query is held, events of the same website are acknowledged and in the answers of other
/// queries, the head is sealed, segments are merged, and a visitor is erased. The held query answers what was there when it
/// began. Sabotage: let what `prepare` gives keep the view locked.
#[test]
fn a_query_in_the_middle_of_its_kernel_holds_up_nobody() {
    let dir = TempDir::new().unwrap();
    let config = EmbeddedConfig::new(dir.path()).with(|config| config.merge_fan_in = 2);
    let store = Arc::new(EmbeddedStore::open(config, Arc::new(ManualClock::new(Timestamp::from_millis(9)))).unwrap());
    for number in 0..3 {
        append(&store, number);
        store.seal().unwrap();
    }
    append(&store, 3);

    let (entered, has_entered) = channel();
    let (release, released) = channel::<()>();
    let shared = Arc::clone(&store);
    let held = thread::spawn(move || {
        let (inner, budget) = (&shared.inner, Budget::unlimited());
        let columns = ColumnSet::default();
        let prepared = inner.views.prepare(|| inner.state(), website(), ever(), columns, &budget).unwrap();
        prepared.with_dataset(|dataset| {
            entered.send(()).unwrap();
            released.recv().unwrap();
            engine::overview(&dataset, ever(), &Filter::default(), &budget).unwrap().metrics.pageviews
        })
    });
    has_entered.recv_timeout(PATIENCE).unwrap();

    let (done, is_done) = channel();
    let shared = Arc::clone(&store);
    let others = thread::spawn(move || {
        for number in 4..8 {
            append(&shared, number);
            assert_eq!(pageviews(&shared), number + 1);
        }
        shared.seal().unwrap();
        while shared.merge().unwrap() {}
        assert_eq!(pageviews(&shared), 8);
        shared.erase_visitor(website(), VisitorId(0)).unwrap();
        assert_eq!(pageviews(&shared), 7);
        done.send(()).unwrap();
    });
    let result = is_done.recv_timeout(PATIENCE);
    release.send(()).unwrap();
    assert_eq!(result, Ok(()), "the others wait for the held query");
    others.join().unwrap();
    assert_eq!(held.join().unwrap(), 4);
}

/// A website with thousands of ids and strings gets new rows while a query holds it: the next query shares with the held one
/// all but the last blocks. Sabotage: copy the lists instead of growing them, or count the sessions of a chunk in after those
/// of the chunk it replaces are out.
#[test]
fn a_query_that_is_held_has_nothing_copied_but_blocks() {
    let dir = TempDir::new().unwrap();
    let config = EmbeddedConfig::new(dir.path());
    let store = EmbeddedStore::open(config, Arc::new(ManualClock::new(Timestamp::from_millis(9)))).unwrap();
    let many: Vec<_> = (0..3_000).map(|number| (number, format!("/{number}"))).collect();
    append_all(&store, &many);
    store.seal().unwrap();
    // In a segment and in the head.
    append_all(&store, &many[..10]);
    let columns = ColumnSet::default().with(Dimension::Path);
    let prepare =
        || store.inner.views.prepare(|| store.inner.state(), website(), ever(), columns, &Budget::unlimited()).unwrap();
    let held = prepare();
    append_all(&store, &[(5_000, "/new".to_owned())]);
    let now = prepare();
    held.with_dataset(|held| {
        now.with_dataset(|now| {
            let path = Dimension::Path as usize;
            let (texts, held_texts) = (&now.dictionaries[path].texts, &held.dictionaries[path].texts);
            assert_eq!((held.visitor_ids.len(), held.session_ids.len(), held_texts.len()), (3_000, 3_000, 3_001));
            assert_eq!((now.visitor_ids.len(), now.session_ids.len(), texts.len()), (3_001, 3_001, 3_002));
            assert_eq!((now.visitor_ids[3_000], &*texts[3_001]), (5_000, "/new"));
            assert!(std::ptr::eq(&held.visitor_ids[0], &now.visitor_ids[0]));
            assert!(std::ptr::eq(&held.session_ids[0], &now.session_ids[0]));
            assert!(std::ptr::eq(&held_texts[0], &texts[0]));
            assert!(!held.split_sessions.is_empty());
            assert!(std::ptr::eq(held.split_sessions, now.split_sessions));
        });
    });
}

const TIME: Duration = Duration::from_secs(3_600);

fn paths(store: &EmbeddedStore, website: WebsiteId, pool: &Arc<MemoryPool>) -> Result<usize, QueryError> {
    let question = Question::Breakdown(GroupBy::by(Dimension::Path));
    let query = Query::new(ever(), question);
    match store.query(website, &query, &Budget::sharing(TIME, pool))? {
        Answer::Breakdown(breakdown) => Ok(breakdown.total_rows),
        other => panic!("{other:?}"),
    }
}

fn store_with(dir: &TempDir, rows: &[(WebsiteId, u64)]) -> EmbeddedStore {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(9)));
    let store = EmbeddedStore::open(EmbeddedConfig::new(dir.path()), clock).unwrap();
    for &(website, rows) in rows {
        append_to(&store, website, &(0..rows).map(|number| (number, format!("/{number}"))).collect::<Vec<_>>());
        store.seal().unwrap();
    }
    store
}

/// A query that needs much waits for another one, of any website, without the lock of its view. Sabotage: wait under the
/// lock.
#[test]
fn a_query_that_waits_for_memory_holds_up_nobody() {
    let dir = TempDir::new().unwrap();
    let store = Arc::new(store_with(&dir, &[(website(), 3_000)]));
    let pool = Arc::new(MemoryPool::new(4 << 20));
    let large = Budget::sharing(TIME, &pool);
    large.check_memory(1 << 20).unwrap();
    let begun = store.inner.views.clock.load(Ordering::Relaxed);
    let (done, is_done) = channel();
    let waiting = thread::spawn({
        let (store, pool) = (Arc::clone(&store), Arc::clone(&pool));
        move || done.send(paths(&store, website(), &pool)).unwrap()
    });
    while store.inner.views.clock.load(Ordering::Relaxed) == begun {
        thread::yield_now();
    }
    for _ in 0..100 {
        assert_eq!(pageviews(&store), 3_000);
    }
    assert!(is_done.try_recv().is_err(), "it has to wait");
    drop(large);
    waiting.join().unwrap();
    assert_eq!(is_done.recv(), Ok(Ok(3_000)));
    assert_eq!(pool.spare_bytes(), 4 << 20, "all is given back");
}

/// Cached columns and running queries have one memory together. Sabotage: leave what is cached of others.
#[test]
fn what_is_cached_makes_room_for_a_query() {
    let dir = TempDir::new().unwrap();
    let other = WebsiteId::from_random_bytes([2; 16]);
    let store = store_with(&dir, &[(website(), 3_000), (other, 3_000)]);
    let cached = || {
        let entries = store.inner.views.entries.lock();
        [website(), other].map(|website| entries.views.contains_key(&website))
    };
    let enough = Arc::new(MemoryPool::new(64 << 20));
    assert_eq!(paths(&store, website(), &enough), Ok(3_000));
    assert_eq!(paths(&store, other, &enough), Ok(3_000));
    assert_eq!(cached(), [true, true]);
    // Room for both, but for a byte.
    let tight = Arc::new(MemoryPool::new(store.inner.views.bytes() - 1));
    assert_eq!(paths(&store, website(), &tight), Ok(3_000));
    assert_eq!(cached(), [true, false]);
}
