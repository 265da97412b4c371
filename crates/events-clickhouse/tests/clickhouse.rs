//! The tables on two real servers of ClickHouse, the shards of a cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

#[path = "common/measured.rs"]
mod measured;
#[path = "common/moving.rs"]
mod moving;
#[path = "common/proxy.rs"]
mod proxy;
#[path = "common/servers.rs"]
#[allow(dead_code, reason = "the tests of the program use the rest")]
mod servers;
#[path = "common/shared.rs"]
mod shared;

use std::cell::Cell;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use zenovay_domain::{Dimension, Event, EventKind, SessionId, TimeRange, Timestamp, VisitorId, WebsiteId};
use zenovay_events::NewEvent;
use zenovay_events_clickhouse::{Config, OpenError, Tables, examine};
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

/// Sabotage: believe a server that it remembers batches, or leave the rows that were tried with.
#[test]
fn servers_that_do_not_do_what_is_relied_on_are_told_of() {
    let config = servers::config();
    let faults = |config: &Config| {
        let examined = examine(config.clone(), website(9)).unwrap();
        let faults = examined.iter().filter(|one| !one.is_well).map(|one| format!("{}: {}", one.check, one.seen));
        (examined.len(), faults.collect::<Vec<String>>())
    };
    let (_, missing) = faults(&config);
    assert!(missing.len() == 2 && missing[0].contains("there is none"), "{missing:?}");
    let tables = Tables::open(config.clone()).unwrap();
    assert_eq!(faults(&config), (9, Vec::new()));
    assert_eq!(tables.count(website(9), TimeRange::ALL).unwrap(), 0);

    let (database, url) = (&config.database, &config.shards[1]);
    let forget = |window: u64| {
        servers::execute(
            url,
            &format!("ALTER TABLE {database}.events MODIFY SETTING non_replicated_deduplication_window = {window}"),
        );
    };
    forget(0);
    let (_, found) = faults(&config);
    assert!(found.len() == 1 && found[0].contains("it does not remember batches"), "{found:?}");
    forget(100);
    let mut other = config.clone();
    other.shards.pop();
    let (_, found) = faults(&other);
    assert!(found.iter().any(|fault| fault.contains("it has 2 shards, and events_url names 1")), "{found:?}");
}

/// Sabotage: close the connection and do not tell the servers.
#[test]
fn a_question_that_nobody_waits_for_ends_on_the_servers() {
    let config = servers::config();
    let tables = Tables::open(config.clone()).unwrap();
    let at = Timestamp::from_millis(EPOCH_MS);
    // Forty blocks, each of which takes half a second and more.
    for part in 0..40 {
        let event = |visitor| {
            arriving(website(1), &Event::new(EventKind::Pageview, at, VisitorId(visitor), SessionId(visitor)))
        };
        tables
            .write(&format!("part {part}"), part * 10, &(part * 10..part * 10 + 10).map(event).collect::<Vec<_>>())
            .unwrap();
    }
    let database = &config.database;
    for shard in &config.shards {
        servers::execute(shard, &format!("RENAME TABLE {database}.events TO {database}.stored"));
        let slow =
            format!("CREATE VIEW {database}.events AS SELECT * FROM {database}.stored WHERE sleepEachRow(0.1) = 0");
        servers::execute(shard, &slow);
    }
    let running = || {
        let asked = format!(
            "SELECT count() FROM system.processes WHERE query LIKE '%{database}.events%' AND query NOT LIKE '%system.processes%'"
        );
        config.shards.iter().map(|shard| servers::execute(shard, &asked).trim().parse::<u64>().unwrap()).sum::<u64>()
    };
    let until = |is_so: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(8), "it goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let budget = Budget::unlimited();
    let overview = Query::new(TimeRange::ALL, Question::Overview);
    let answer = std::thread::scope(|scope| {
        let asking = scope.spawn(|| tables.query(website(1), None, &overview, &budget));
        until(&|| running() > 0);
        budget.cancel();
        asking.join().unwrap()
    });
    assert_eq!(answer, Err(QueryError::Cancelled));
    until(&|| running() == 0);
}

/// The suite of all event stores, each test in a database of its own; what becomes of events while servers are away.
mod store {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use tempfile::TempDir;
    use zenovay_domain::{ManualClock, Timestamp, VisitorId, WebsiteId};
    use zenovay_events::conformance::{self, Harness};
    use zenovay_events::{AppendOutcome, ChangeError, EventStore, IdempotencyKey, NewEvent, conformance_tests};
    use zenovay_events_clickhouse::{Acknowledged, ClickHouseStore, Config, Shared, SpoolConfig, shared_tests};
    use zenovay_query::random::EPOCH_MS;
    use zenovay_query::{Budget, Query, QueryError, Question};

    use crate::proxy::{Fault, Proxy};
    use crate::servers;
    use crate::shared::InMemory;

    struct Shards {
        config: Config,
        shared: InMemory,
        dir: TempDir,
        acknowledged: Acknowledged,
    }

    impl Shards {
        fn new() -> Self {
            Self::of(servers::config(), Acknowledged::WhenDelivered)
        }

        fn of(config: Config, acknowledged: Acknowledged) -> Self {
            Self { config, shared: InMemory::default(), dir: TempDir::new().unwrap(), acknowledged }
        }

        /// The count of rows, of different numbers of rows, and of different visitors.
        fn counts(&self, store: &ClickHouseStore) -> [u64; 3] {
            delivered(store);
            let database = &self.config.database;
            let asked = format!("SELECT count(), uniqExact(arrival), uniqExact(visitor) FROM {database}.events_all");
            let url = self.config.shards.last().unwrap();
            let made = format!(
                "CREATE TABLE IF NOT EXISTS {database}.events_all AS {database}.events \
                 ENGINE = Distributed('tests', '{database}', 'events', cityHash64(website, visitor))"
            );
            servers::execute(url, &made);
            let line = servers::execute(url, &asked);
            let numbers: Vec<u64> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
            numbers.try_into().unwrap()
        }
    }

    impl Harness for Shards {
        type Store = ClickHouseStore;

        fn open(&self) -> ClickHouseStore {
            let mut spool = SpoolConfig::new(self.dir.path());
            spool.acknowledged = self.acknowledged;
            spool.patience = Duration::from_secs(120);
            let clock = Arc::new(ManualClock::new(Timestamp::from_millis(EPOCH_MS)));
            ClickHouseStore::open(self.config.clone(), Arc::new(self.shared.clone()), spool, clock).unwrap()
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
    shared_tests!({
        let place = InMemory::default();
        move || place.clone()
    });

    /// Waits until nothing waits in the spool.
    fn delivered(store: &ClickHouseStore) {
        until(|| store.stats().delivery.unwrap().batches == 0);
    }

    fn until(is_so: impl Fn() -> bool) {
        let limit = Instant::now() + Duration::from_secs(120);
        while !is_so() {
            assert!(Instant::now() < limit, "it never was");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// One view each of `count` visitors from `first` on.
    fn views(site: WebsiteId, first: u64, count: u64) -> Vec<NewEvent> {
        let view = |number| conformance::pageview(EPOCH_MS, number, number, "/");
        (first..first + count).map(|number| conformance::arriving(site, view(number))).collect()
    }

    fn is_stored(count: usize) -> Result<Vec<AppendOutcome>, zenovay_events::AppendError> {
        Ok(vec![AppendOutcome::Stored; count])
    }

    /// Sabotage: take a delivery for stored when the connection ends, write one anew with another token, or begin another one after a restart.
    #[test]
    fn every_event_is_stored_once_whatever_is_lost_on_the_way() {
        let rounds =
            std::env::var("DELIVERY_ROUNDS").map_or(20, |count| count.parse().expect("DELIVERY_ROUNDS is a number"));
        let mut shards = servers::start(2);
        let mut config = servers::config_of(&shards);
        let proxy = Proxy::before(&config.shards[0]);
        config.shards[0].clone_from(&proxy.url);
        config.patience = Duration::from_millis(1_500);
        let harness = Shards::of(config, Acknowledged::WhenSpooled);
        let site = conformance::website(1);
        let mut store = harness.open();
        let mut runner = TestRunner::deterministic();
        let fault = prop_oneof![
            (0..300usize).prop_map(Fault::Question),
            (0..200usize).prop_map(Fault::Answer),
            Just(Fault::Silence),
        ];
        // Whether a shard dies, and which; whether the store is opened anew; what is lost; how many events there are.
        let round =
            (prop::option::weighted(0.3, 0..2usize), any::<bool>(), prop::collection::vec(fault, 0..3), 1..40u64);
        let mut appended = 0;
        for _ in 0..rounds {
            let (dies, is_opened_anew, faults, count) = round.new_tree(&mut runner).unwrap().current();
            faults.into_iter().for_each(|fault| proxy.lose(fault));
            for part in 0..3 {
                let key = |new: NewEvent| {
                    let mut key = [part; 16];
                    key[..8].copy_from_slice(&new.event.visitor.0.to_le_bytes());
                    new.with_key(IdempotencyKey(key))
                };
                let events: Vec<NewEvent> = views(site, appended, count).into_iter().map(key).collect();
                assert_eq!(conformance::append(&store, events.clone()), is_stored(count as usize));
                appended += count;
                match (part, dies) {
                    (0, Some(shard)) => shards[shard].crash(),
                    (1, _) if is_opened_anew => {
                        drop(store);
                        store = harness.open();
                        let again = conformance::append(&store, events);
                        assert_eq!(again, Ok(vec![AppendOutcome::Duplicate; count as usize]));
                    }
                    (2, Some(shard)) => shards[shard].start_again(),
                    _ => {}
                }
            }
        }
        proxy.lose_nothing();
        assert_eq!(harness.counts(&store), [appended; 3], "rows, their numbers, and visitors");
    }

    /// Sabotage: refuse to open, take a question that cannot be asked for zero, or deliver what was erased.
    #[test]
    fn an_outage_loses_nothing_and_brings_back_nobody() {
        let mut shards = servers::start(2);
        let mut harness = Shards::of(servers::config_of(&shards), Acknowledged::WhenSpooled);
        harness.config.patience = Duration::from_secs(5);
        let (site, gone) = (conformance::website(1), conformance::website(2));
        let store = harness.open();
        assert_eq!(conformance::append(&store, views(site, 0, 10)), is_stored(10));
        delivered(&store);
        shards.iter_mut().for_each(servers::Server::crash);
        assert_eq!(conformance::append(&store, views(site, 10, 10)), is_stored(10));
        drop(store);

        let store = harness.open();
        assert_eq!(conformance::append(&store, views(site, 20, 10)), is_stored(10));
        assert_eq!(conformance::append(&store, views(gone, 0, 10)), is_stored(10));
        let overview = Query::new(zenovay_domain::TimeRange::ALL, Question::Overview);
        let asked = store.query(site, &overview, &Budget::unlimited());
        assert!(matches!(asked, Err(QueryError::Unavailable(_))), "{asked:?}");
        let sessions = store.recent_sessions(Timestamp::from_millis(EPOCH_MS - 1));
        assert_eq!(sessions.iter().filter(|session| session.website == site).count(), 20, "those that wait are known");
        let stats = store.stats();
        assert!(stats.writable && !stats.delivery.unwrap().is_reachable);
        assert!(stats.delivery.unwrap().oldest.is_some());
        // One of those that are delivered, and one of those that wait.
        for visitor in [VisitorId(5), VisitorId(25)] {
            let refused = store.erase_visitor(site, visitor).unwrap_err();
            assert!(matches!(refused, ChangeError::Noted(_)), "{refused:?}");
            assert!(refused.to_string().contains("is done as soon as it can be"), "{refused}");
        }
        store.delete_website(gone).unwrap_err();
        // Whoever comes back after it was erased is another.
        assert_eq!(conformance::append(&store, views(site, 25, 1)), is_stored(1));
        drop(store);
        let store = harness.open();

        shards.iter_mut().for_each(servers::Server::start_again);
        until(|| store.stats().delivery.unwrap().is_reachable);
        delivered(&store);
        until(|| store.erase_visitor(site, VisitorId(5)).is_ok());
        assert_eq!(harness.counts(&store), [29; 3]);
        let database = &harness.config.database;
        let mut parts = BTreeMap::new();
        for shard in &harness.config.shards {
            // Also of parts that are on the disk yet.
            let asked =
                format!("SELECT visitor, count() FROM {database}.events WHERE visitor IN (5, 25) GROUP BY visitor");
            for line in servers::execute(shard, &asked).lines() {
                let (visitor, rows) = line.split_once('\t').unwrap();
                parts.insert(visitor.to_owned(), rows.to_owned());
            }
        }
        assert_eq!(parts, BTreeMap::from([("25".to_owned(), "1".to_owned())]));
        assert_eq!(conformance::totals(&store, gone).pageviews, 0);
        assert_eq!(conformance::totals(&store, site).pageviews, 29);
    }

    /// Two spools with one event: the key is that of the first that is delivered.
    ///
    /// Sabotage: deliver without a claim, or claim with another number when a delivery is repeated.
    #[test]
    fn a_key_is_of_one_event_whichever_node_it_came_to() {
        let one = Shards::of(servers::config(), Acknowledged::WhenDelivered);
        let mut other = Shards::of(one.config.clone(), Acknowledged::WhenDelivered);
        other.shared = one.shared.clone();
        let (store, beside) = (one.open(), other.open());
        let site = conformance::website(1);
        let event = views(site, 0, 1).remove(0).with_key(IdempotencyKey([7; 16]));
        conformance::append(&store, vec![event.clone()]).unwrap();
        conformance::append(&beside, vec![event, views(site, 1, 1).remove(0)]).unwrap();
        assert_eq!(conformance::totals(&store, site).pageviews, 2);
        assert_eq!(one.shared.retention().unwrap(), None);
    }
}
