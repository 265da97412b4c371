//! The tables on two real servers of ClickHouse, the shards of a cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

#[path = "common/servers.rs"]
mod servers;
#[path = "common/shared.rs"]
mod shared;

use std::cell::Cell;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use zenovay_domain::{Dimension, Event, EventKind, SessionId, TimeRange, Timestamp, VisitorId, WebsiteId};
use zenovay_events::NewEvent;
use zenovay_events_clickhouse::{OpenError, Tables};
use zenovay_query::random::{EPOCH_MS, Sessions, impossible_totals};
use zenovay_query::{Budget, Query, QueryError, Question, oracle};

/// Twelve sessions of five visitors, nine hours apart.
const SESSIONS: Sessions = Sessions { count: 12, hours_apart: 9, visitors: 5 };

fn website(number: u32) -> WebsiteId {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    WebsiteId::from_random_bytes(bytes)
}

fn arriving(website: WebsiteId, event: &Event) -> NewEvent {
    NewEvent::new(website, event.at, event.clone())
}

/// Random events on two shards, in several batches, and random questions about them: as many questions as `QUESTIONS` says,
/// 300 when it says nothing.
///
/// Sabotage: merge visitors of the shards by `max`, end sessions with the range, or break ties by the session.
#[test]
fn every_answer_is_the_oracles() {
    const AT_ONCE: u32 = 15;
    let questions = std::env::var("QUESTIONS").map_or(300, |count| count.parse().expect("QUESTIONS is a number"));
    let tables = Tables::open(servers::config()).unwrap();
    let (case, arrivals) = (Cell::new(0u32), Cell::new(0u64));
    let cases = u32::div_ceil(questions, AT_ONCE);
    let mut runner =
        TestRunner::new(Cases { cases, failure_persistence: None, max_shrink_iters: 40, ..Cases::default() });
    let history = prop::collection::vec(prop::collection::vec(SESSIONS.any_event(), 0..60), 1..4);
    let asked = prop::collection::vec(
        (SESSIONS.any_query(), prop::option::weighted(0.2, SESSIONS.any_instant())),
        AT_ONCE as usize,
    );
    let result = runner.run(&(history, asked), |(batches, queries)| {
        case.set(case.get() + 1);
        let site = website(case.get());
        for (number, batch) in batches.iter().enumerate() {
            let new: Vec<NewEvent> = batch.iter().map(|event| arriving(site, event)).collect();
            tables.write(&format!("{}-{number}", case.get()), arrivals.get(), &new).unwrap();
            arrivals.set(arrivals.get() + new.len() as u64);
        }
        let events = batches.concat();
        for (query, since) in queries {
            let visible = |event: &&Event| since.is_none_or(|since| event.at >= since);
            let visible: Vec<Event> = events.iter().filter(visible).cloned().collect();
            let answer = tables.query(site, since, &query, &Budget::unlimited());
            prop_assert_eq!(&answer, &Ok(oracle::answer(&visible, &query)), "{:?} since {:?}", query, since);
            prop_assert_eq!(impossible_totals(&query, &answer.unwrap()), [], "{:?}", query);
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// Sabotage: write without the token, make tables without `IF NOT EXISTS`, or note a migration before its statements.
#[test]
fn nodes_begin_at_once_and_a_batch_that_is_written_again_is_stored_once() {
    let config = servers::config();
    let opened: Vec<_> = std::thread::scope(|scope| {
        let nodes: Vec<_> = (0..3).map(|_| scope.spawn(|| Tables::open(config.clone()))).collect();
        nodes.into_iter().map(|node| node.join().unwrap().unwrap()).collect()
    });
    // Of forty visitors, over three months.
    let site = website(1);
    let events: Vec<Event> = (0..120)
        .map(|number| {
            let at = Timestamp::from_millis(EPOCH_MS + number as i64 * 20 * 3_600_000);
            let mut event = Event::new(EventKind::Pageview, at, VisitorId(number % 40), SessionId(number));
            event.dimensions.set(Dimension::Path, "/%e6%a9%9f");
            (event.engagement_ms, event.scroll_percent) = (7, 9);
            event
        })
        .collect();
    let batch: Vec<NewEvent> = events.iter().map(|event| arriving(site, event)).collect();
    for node in &opened {
        node.write("the same", 1_000, &batch).unwrap();
    }
    let shards: Vec<u64> = config
        .shards
        .iter()
        .map(|url| {
            servers::execute(url, &format!("SELECT count() FROM {}.events", config.database)).trim().parse().unwrap()
        })
        .collect();
    assert_eq!(shards.iter().sum::<u64>(), 120, "{shards:?}");
    assert!(shards.iter().all(|&rows| rows > 0), "each shard has a part: {shards:?}");

    let overview = Query::new(TimeRange::ALL, Question::Overview);
    let answer = opened[1].query(site, None, &overview, &Budget::unlimited()).unwrap();
    assert_eq!(answer, oracle::answer(&events, &overview));
    let exported = opened[2].visitor_events(site, VisitorId(3), None, &Budget::unlimited()).unwrap();
    let mut expected: Vec<Event> = events.into_iter().filter(|event| event.visitor == VisitorId(3)).collect();
    expected.iter_mut().for_each(|event| event.dimensions.set(Dimension::Path, "/%E6%A9%9F"));
    assert_eq!(exported, expected);

    let newer = format!("INSERT INTO {}.migrations (name) VALUES ('2999-01-01-000001_newer')", config.database);
    servers::execute(&config.shards[1], &newer);
    let refused = Tables::open(config.clone()).unwrap_err();
    assert!(matches!(&refused, OpenError::SchemaTooNew { server, .. } if *server == config.shards[1]), "{refused:?}");
    let refused = Tables::open(config.user("app", "not the password")).unwrap_err();
    assert!(matches!(&refused, OpenError::Server { source, .. } if source.code == Some(516)), "{refused:?}");
}

/// Sabotage: remove on the first shard alone, forget the website, or take `since` for the last instant that is hidden.
#[test]
fn what_is_removed_is_in_no_answer_and_nothing_else_is_missing() {
    let tables = Tables::open(servers::config()).unwrap();
    let at = |hour: u64| Timestamp::from_millis(EPOCH_MS + hour as i64 * 3_600_000);
    let events: Vec<Event> = (0..200)
        .map(|number| Event::new(EventKind::Pageview, at(number), VisitorId(number % 20), SessionId(number)))
        .collect();
    for site in [1, 2, 3] {
        let batch: Vec<NewEvent> = events.iter().map(|event| arriving(website(site), event)).collect();
        tables.write(&format!("batch {site}"), u64::from(site) * 1_000, &batch).unwrap();
    }
    let check = |site: u32, left: &dyn Fn(&Event) -> bool| {
        let left: Vec<Event> = events.iter().filter(|event| left(event)).cloned().collect();
        let whole = Query::new(TimeRange::ALL, Question::Events { limit: usize::MAX, offset: 0 });
        let answer = tables.query(website(site), None, &whole, &Budget::unlimited()).unwrap();
        assert_eq!(answer, oracle::answer(&left, &whole), "website {site}");
        assert_eq!(tables.count(website(site), TimeRange::ALL).unwrap(), left.len() as u64, "website {site}");
        let span = left.first().zip(left.last()).map(|(first, last)| TimeRange::new(first.at, last.at.plus_millis(1)));
        assert_eq!(tables.span(website(site), None).unwrap(), span, "website {site}");
    };
    for visitor in 0..10 {
        tables.erase_visitor(website(1), VisitorId(visitor)).unwrap();
    }
    tables.delete_website(website(2)).unwrap();
    tables.remove_before(website(3), at(100)).unwrap();
    check(1, &|event| event.visitor.0 >= 10);
    check(2, &|_| false);
    check(3, &|event| event.at >= at(100));
    assert_eq!(tables.span(website(3), Some(at(150))).unwrap().unwrap().from, at(150));
    assert_eq!(tables.count(website(3), TimeRange::new(at(150), at(160))).unwrap(), 10);
    assert_eq!(tables.visitor_events(website(1), VisitorId(3), None, &Budget::unlimited()).unwrap(), []);
    assert_eq!(tables.visitor_events(website(3), VisitorId(3), Some(at(190)), &Budget::unlimited()).unwrap().len(), 0);
    assert_eq!(tables.visitor_events(website(3), VisitorId(3), Some(at(123)), &Budget::unlimited()).unwrap().len(), 4);
}

/// Sabotage: let a shard that does not answer be left out.
#[test]
fn a_question_ends_with_its_budget_and_with_the_servers() {
    let mut shards = servers::start(2);
    let tables = Tables::open(servers::config_of(&shards)).unwrap();
    let events: Vec<Event> = (0..100)
        .map(|number| {
            let at = Timestamp::from_millis(EPOCH_MS);
            Event::new(EventKind::Pageview, at, VisitorId(number), SessionId(number))
        })
        .collect();
    let batch: Vec<NewEvent> = events.iter().map(|event| arriving(website(1), event)).collect();
    tables.write("batch", 0, &batch).unwrap();
    let overview = Query::new(TimeRange::ALL, Question::Overview);
    let ask = |budget: &Budget| tables.query(website(1), None, &overview, budget);
    let (long, cancelled) = (Duration::from_secs(3_600), Budget::unlimited());
    cancelled.cancel();
    assert_eq!(ask(&cancelled), Err(QueryError::Cancelled));
    assert_eq!(ask(&Budget::new(Duration::ZERO, usize::MAX)), Err(QueryError::TimeExceeded));
    assert_eq!(ask(&Budget::new(long, 1)), Err(QueryError::MemoryExceeded));
    assert_eq!(ask(&Budget::new(long, 1 << 20)), Ok(oracle::answer(&events, &overview)));

    // Half of the visitors are no answer.
    drop(shards.pop());
    assert!(matches!(ask(&Budget::unlimited()), Err(QueryError::Unavailable(_))));
    assert!(tables.write("another", 100, &batch).is_err());
    drop(shards.pop());
    assert!(matches!(ask(&Budget::unlimited()), Err(QueryError::Unavailable(_))));
}

/// The suite of all event stores, each test in a database of its own.
mod store {
    use std::sync::Arc;

    use zenovay_events::conformance::{self, Harness};
    use zenovay_events::{AppendError, AppendOutcome, AppendRefused, EventStore, NewEvent, conformance_tests};
    use zenovay_events_clickhouse::{ClickHouseStore, Config};
    use zenovay_query::random::EPOCH_MS;

    use crate::servers;
    use crate::shared::InMemory;

    struct Shards {
        config: Config,
        shared: Arc<InMemory>,
    }

    impl Shards {
        fn new() -> Self {
            Self { config: servers::config(), shared: Arc::default() }
        }
    }

    impl Harness for Shards {
        type Store = ClickHouseStore;

        fn open(&self) -> ClickHouseStore {
            ClickHouseStore::open(self.config.clone(), Arc::clone(&self.shared) as _).unwrap()
        }

        fn seal(&self, store: &ClickHouseStore) {
            store.seal().unwrap();
        }

        fn merge(&self, _: &ClickHouseStore) {
            for shard in &self.config.shards {
                servers::execute(shard, &format!("OPTIMIZE TABLE {}.events FINAL", self.config.database));
            }
        }
    }

    conformance_tests!(Shards::new());

    /// An append is refused when nobody got it, and otherwise stored once, whatever dies meanwhile.
    ///
    /// Sabotage: take every failure for one that nobody got.
    #[test]
    fn an_append_while_a_server_dies_is_stored_once_or_refused() {
        let mut shards = servers::start(2);
        let harness = Shards { config: servers::config_of(&shards), shared: Arc::default() };
        let store = harness.open();
        let site = conformance::website(1);
        let views = |first: u64| -> Vec<NewEvent> {
            let view = |number| conformance::pageview(EPOCH_MS, number, number, "/");
            (first..first + 50).map(|number| conformance::arriving(site, view(number))).collect()
        };
        let is_stored = Ok(vec![AppendOutcome::Stored; 50]);
        assert_eq!(conformance::append(&store, views(0)), is_stored);
        for round in 1..=3 {
            // The first server takes the batch, but the other one is away.
            shards[1].crash();
            let receipt = store.try_append(views(round * 100)).unwrap();
            shards[1].start_again();
            assert_eq!(receipt.wait(), is_stored.clone().map_err(|error| AppendRefused::new(error, Vec::new())));
            assert_eq!(conformance::totals(&store, site).visitors, round * 100);

            // The server that is spoken to is away: nobody got it, or nobody knows.
            shards[0].crash();
            let receipt = store.try_append(views(round * 100 + 50)).unwrap();
            shards[0].start_again();
            if let Err(refused) = receipt.wait() {
                assert_eq!((refused.reason, refused.events.len()), (AppendError::Busy, 50));
                assert_eq!(conformance::append(&store, refused.events), is_stored);
            }
            assert_eq!(conformance::totals(&store, site).pageviews, round * 100 + 50);
        }
    }
}
