//! What needs to hold a query in its middle, where no caller can reach.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use zenovay_domain::{Dimension, Event, EventKind, ManualClock, SessionId, TimeRange};
use zenovay_query::{ColumnSet, Filter};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn website() -> WebsiteId {
    WebsiteId::from_random_bytes([1; 16])
}

fn ever() -> TimeRange {
    TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(1 << 50))
}

fn append(store: &EmbeddedStore, number: u64) {
    let at = Timestamp::from_millis(1_000 + number as i64);
    let mut event = Event::new(EventKind::Pageview, at, VisitorId(number), SessionId(number));
    event.dimensions.set(Dimension::Path, "/");
    let new = NewEvent { website: website(), received_at: at, event, idempotency_key: None };
    assert!(matches!(store.append(vec![new]).blocking_recv(), Ok(Ok(_))));
}

fn pageviews(store: &EmbeddedStore) -> u64 {
    let query = Query { range: ever(), filter: Filter::default(), question: zenovay_query::Question::Overview };
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
    let config = EmbeddedConfig { merge_fan_in: 2, ..EmbeddedConfig::new(dir.path()) };
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
            kernels::overview(&dataset, ever(), &Filter::default(), &budget).unwrap().metrics.pageviews
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
