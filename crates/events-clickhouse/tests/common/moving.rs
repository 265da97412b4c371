//! Events that move from a directory to two shards, while they are appended, erased and hidden there.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tempfile::TempDir;
use zenovay_domain::{Event, ManualClock, TimeRange, Timestamp, VisitorId, WebsiteId};
use zenovay_events::conformance;
use zenovay_events::engine::Movable;
use zenovay_events::{AppendOutcome, EmbeddedConfig, EventStore, IdempotencyKey, Kept};
use zenovay_events_clickhouse::{
    Acknowledged, ClickHouseStore, Config, MoveError, MoveState, Mover, OpenError, SpoolConfig, Tables, give_up_move,
    move_state, note_erasure,
};
use zenovay_query::random::{EPOCH_MS, Sessions};
use zenovay_query::{Budget, Query, Question, oracle};

use crate::proxy::{Fault, Proxy};
use crate::servers;
use crate::shared::InMemory;

/// Twelve sessions of five visitors, nine hours apart.
const SESSIONS: Sessions = Sessions { count: 12, hours_apart: 9, visitors: 5 };
const DAY_MS: i64 = 24 * 3_600_000;
const KEPT_MS: i64 = 8 * DAY_MS;

/// What the next step of a history does.
#[derive(Debug, Clone)]
enum Step {
    Append(u8, Vec<Event>),
    Seal,
    Merge,
    /// One step of the move.
    Move,
    /// The same, and the answer is lost, or the question, or none comes.
    Lose(Fault),
    Erase(u8, u64),
    Delete(u8),
    /// What is before this is hidden; all is shown again when it is `None`.
    Keep(u8, Option<Timestamp>),
    /// The process dies.
    Die,
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        (0..300usize).prop_map(Fault::Question),
        (0..200usize).prop_map(Fault::Answer),
        Just(Fault::Silence),
    ];
    prop_oneof![
        6 => (0..3u8, prop::collection::vec(SESSIONS.any_event(), 1..30)).prop_map(|(site, events)| Step::Append(site, events)),
        4 => Just(Step::Seal),
        2 => Just(Step::Merge),
        8 => Just(Step::Move),
        2 => fault.prop_map(Step::Lose),
        2 => (0..3u8, 0..5u64).prop_map(|(site, visitor)| Step::Erase(site, visitor)),
        1 => Just(Step::Delete(2)),
        1 => (0..2u8, prop::option::of(SESSIONS.any_instant())).prop_map(|(site, since)| Step::Keep(site, since)),
        2 => Just(Step::Die),
    ]
}

struct Place {
    dir: TempDir,
    shared: InMemory,
    config: Config,
}

impl Place {
    fn new(config: Config) -> Self {
        Self { dir: TempDir::new().unwrap(), shared: InMemory::default(), config }
    }

    fn progress(&self) -> PathBuf {
        self.dir.path().join("zenovay.moving")
    }

    /// As a server opens it.
    fn open(&self) -> impl Movable + use<> {
        let is_under_way = move_state(&self.progress()).unwrap() != MoveState::None;
        let config = EmbeddedConfig::new(self.dir.path()).with(|config| {
            config.keeps_segments = is_under_way;
            config.merge_fan_in = 2;
            config.group_rows = 16;
        });
        conformance::in_directory(config, Arc::new(ManualClock::new(Timestamp::from_millis(EPOCH_MS)))).unwrap()
    }

    fn mover(&self) -> Result<Mover, MoveError> {
        Mover::open(self.config.clone(), Arc::new(self.shared.clone()), self.progress())
    }

    /// One step, by a process that had none before.
    fn step(&self, store: &dyn Movable) -> Result<u64, MoveError> {
        Ok(self.mover()?.step(store, || (), Duration::ZERO)?.left)
    }

    fn delivered_to(&self) -> ClickHouseStore {
        let spool = SpoolConfig::new(self.dir.path().join("spool"));
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(EPOCH_MS)));
        ClickHouseStore::open(self.config.clone(), Arc::new(self.shared.clone()), spool, clock).unwrap()
    }
}

fn website(case: u32, site: u8) -> WebsiteId {
    let mut bytes = [site; 16];
    bytes[..4].copy_from_slice(&case.to_be_bytes());
    WebsiteId::from_random_bytes(bytes)
}

/// Random histories during which the events move, as many as `MOVES` says, 8 when it says nothing: answers, sessions that go on and what is
/// left of visitors are the same before and after, and are the oracle's.
///
/// Sabotage: give a segment that was written anew its old numbers, note an erasure after it, send a batch again without asking what is there,
/// let segments be merged meanwhile, or leave out what is hidden.
#[test]
fn histories_that_move_give_the_answers_of_before() {
    let cases = std::env::var("MOVES").map_or(8, |count| count.parse().expect("MOVES is a number"));
    let mut runner = TestRunner::deterministic();
    let history = prop::collection::vec(step(), 10..60);
    let asked = prop::collection::vec(SESSIONS.any_query(), 10);
    for case in 0..cases {
        let mut config = servers::config();
        let proxy = Proxy::before(&config.shards[0]);
        let straight = config.clone();
        config.shards[0].clone_from(&proxy.url);
        config.patience = Duration::from_secs(3);
        let mut place = Place::new(config);
        let mut store = place.open();
        let mut model: HashMap<u8, Vec<Event>> = HashMap::new();
        let mut since: HashMap<u8, Timestamp> = HashMap::new();
        let steps = history.new_tree(&mut runner).unwrap().current();
        for one in &steps {
            match one {
                Step::Append(site, events) => {
                    conformance::store_all(&store, website(case, *site), events);
                    model.entry(*site).or_default().extend(events.iter().cloned());
                }
                Step::Seal => drop(store.seal().unwrap()),
                Step::Merge => drop(store.merge().unwrap()),
                Step::Move => drop(place.step(&store).unwrap()),
                Step::Lose(fault) => {
                    proxy.lose(*fault);
                    // It may have succeeded before what was lost was asked for.
                    let _ = place.step(&store);
                    proxy.lose_nothing();
                }
                Step::Erase(site, visitor) => {
                    note_erasure(&place.progress(), website(case, *site), VisitorId(*visitor)).unwrap();
                    store.erase_visitor(website(case, *site), VisitorId(*visitor)).unwrap();
                    model.entry(*site).or_default().retain(|event| event.visitor.0 != *visitor);
                }
                Step::Delete(site) => {
                    store.delete_website(website(case, *site)).unwrap();
                    model.remove(site);
                    since.remove(site);
                }
                Step::Keep(site, instant) => {
                    let kept = [Kept::new(website(case, *site), *instant)];
                    store.retain(&kept, Some(Timestamp::from_millis(EPOCH_MS)), &mut |_| {}).unwrap();
                    let hidden = store.ledger().boundaries();
                    match hidden.get(&website(case, *site)) {
                        Some(instant) => drop(since.insert(*site, *instant)),
                        None => drop(since.remove(site)),
                    }
                }
                Step::Die => {
                    drop(store);
                    store = place.open();
                }
            }
        }
        // The last step, with nobody else.
        place.config = straight;
        store.seal().unwrap();
        while place.step(&store).unwrap() > 0 {}
        let compared = place.mover().unwrap().reconcile(&store).unwrap();
        assert!(compared.is_equal(), "case {case}: {compared:?} after {steps:?}");
        assert_eq!(move_state(&place.progress()).unwrap(), MoveState::Decided);
        assert!(matches!(place.step(&store), Err(MoveError::Decided)));

        let queries: Vec<Query> = asked.new_tree(&mut runner).unwrap().current();
        let ever = Query::new(TimeRange::ALL, Question::Events { limit: usize::MAX, offset: 0 });
        let answers = |store: &dyn EventStore| {
            let of_site = |site: u8| {
                let ask = |query: &Query| store.query(website(case, site), query, &Budget::unlimited()).unwrap();
                queries.iter().chain([&ever]).map(ask).collect::<Vec<_>>()
            };
            let visitors = |site: u8| {
                let all = (0..5).map(VisitorId);
                let events =
                    |visitor| store.visitor_events(website(case, site), visitor, &Budget::unlimited()).unwrap();
                all.map(events).collect::<Vec<_>>()
            };
            let spans: Vec<_> = (0..3).map(|site| store.span(website(case, site)).map(|span| span.to)).collect();
            let sessions = store.recent_sessions(Timestamp::from_millis(EPOCH_MS - 10 * DAY_MS));
            ((0..3).map(of_site).collect::<Vec<_>>(), (0..3).map(visitors).collect::<Vec<_>>(), spans, sessions)
        };
        let before = answers(&store);
        for site in 0..3 {
            let visible = |event: &&Event| since.get(&site).is_none_or(|since| event.at >= *since);
            let events: Vec<Event> = model.get(&site).into_iter().flatten().filter(visible).cloned().collect();
            for (query, answer) in queries.iter().zip(&before.0[site as usize]) {
                assert_eq!(answer, &oracle::answer(&events, query), "case {case}, {query:?}");
            }
        }
        drop(store);
        for _ in 0..2 {
            place.mover().unwrap().switch(place.dir.path(), &place.dir.path().join("spool"), KEPT_MS).unwrap();
        }
        place.mover().unwrap().release().unwrap();
        give_up_move(&place.progress()).unwrap();
        let moved = place.delivered_to();
        assert_eq!(answers(&moved), before, "case {case} after {steps:?}");
    }
}

/// Sabotage: leave the keys where they are, hold them for the spool alone, give numbers that are in use, or take a database with events.
#[test]
fn keys_and_numbers_go_on_and_nothing_is_mixed() {
    let place = Place::new(servers::config());
    let site = conformance::website(1);
    let view = |visitor: u64| conformance::arriving(site, conformance::pageview(EPOCH_MS, visitor, visitor, "/"));
    let keyed = |visitor: u64| view(visitor).with_key(IdempotencyKey([visitor as u8; 16]));
    let store = place.open();
    conformance::append(&store, (0..7).map(keyed).collect()).unwrap();
    store.seal().unwrap();
    let elsewhere = Mover::open(servers::config(), Arc::new(place.shared.clone()), place.progress()).unwrap();
    while place.step(&store).unwrap() > 0 {}
    let opened = Mover::open(servers::config(), Arc::new(place.shared.clone()), place.progress());
    assert!(matches!(opened, Err(MoveError::OtherDatabase(_))));
    assert!(matches!(elsewhere.step(&store, || (), Duration::ZERO), Err(MoveError::OtherDatabase(_))));
    assert!(matches!(elsewhere.reconcile(&store), Err(MoveError::OtherDatabase(_))));
    let strange = Place { dir: TempDir::new().unwrap(), shared: place.shared.clone(), config: place.config.clone() };
    let refused = strange.step(&strange.open());
    assert!(matches!(refused, Err(MoveError::NotEmpty(7))), "{refused:?}");
    std::fs::copy(place.progress(), strange.progress()).unwrap();
    assert!(matches!(strange.step(&strange.open()), Err(MoveError::OtherStore)));
    assert!(place.mover().unwrap().switch(place.dir.path(), place.dir.path(), KEPT_MS).is_err(), "it is not decided");

    // Something that the tables do not have.
    conformance::append(&store, vec![view(9)]).unwrap();
    store.seal().unwrap();
    let compared = place.mover().unwrap().reconcile(&store).unwrap();
    assert!(!compared.is_equal() && compared.websites[0].different_days.len() == 1, "{compared:?}");
    assert_eq!(move_state(&place.progress()).unwrap(), MoveState::UnderWay);
    while place.step(&store).unwrap() > 0 {}
    assert!(place.mover().unwrap().reconcile(&store).unwrap().is_equal());
    drop(store);
    let spool = place.dir.path().join("spool");
    assert!(matches!(elsewhere.switch(place.dir.path(), &spool, KEPT_MS), Err(MoveError::OtherDatabase(_))));
    assert!(matches!(elsewhere.release(), Err(MoveError::OtherDatabase(_))));
    let tables = Tables::open(place.config.clone()).unwrap();
    tables
        .write("strange", 1_000, &[conformance::arriving(conformance::website(9), conformance::pageview(0, 1, 1, "/"))])
        .unwrap();
    let changed = place.mover().unwrap().switch(place.dir.path(), &spool, KEPT_MS);
    assert!(matches!(changed, Err(MoveError::Changed { before: 8, now: 9 })), "{changed:?}");
    tables.delete_website(conformance::website(9)).unwrap();
    place.mover().unwrap().switch(place.dir.path(), &spool, KEPT_MS).unwrap();
    place.mover().unwrap().release().unwrap();

    let mut config = SpoolConfig::new(place.dir.path().join("spool"));
    config.acknowledged = Acknowledged::WhenDelivered;
    config.patience = Duration::from_secs(120);
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(EPOCH_MS)));
    let moved =
        ClickHouseStore::open(place.config.clone(), Arc::new(place.shared.clone()), config, clock.clone()).unwrap();
    let again = conformance::append(&moved, vec![keyed(3), keyed(20)]).unwrap();
    assert_eq!(again, [AppendOutcome::Duplicate, AppendOutcome::Stored]);
    // Another node knows nothing of the spool.
    let mut beside = SpoolConfig::new(strange.dir.path().join("spool"));
    beside.acknowledged = Acknowledged::WhenDelivered;
    beside.patience = Duration::from_secs(120);
    let beside = ClickHouseStore::open(place.config.clone(), Arc::new(place.shared.clone()), beside, clock).unwrap();
    conformance::append(&beside, vec![keyed(4)]).unwrap();
    assert_eq!(conformance::totals(&beside, site).pageviews, 9);
    let database = &place.config.database;
    let numbers = |url: &String| {
        let asked = format!("SELECT arrival FROM {database}.events");
        servers::execute(url, &asked).lines().map(|line| line.parse::<u64>().unwrap()).collect::<Vec<_>>()
    };
    let mut all: Vec<u64> = place.config.shards.iter().flat_map(numbers).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 9);
}

/// Sabotage: take a database that a server uses, let a server use one that is taken, or delete what was not moved.
#[test]
fn a_database_is_of_one_move_or_of_servers() {
    let serve = |place: &Place| {
        let (spool, clock) = (
            SpoolConfig::new(place.dir.path().join("served")),
            Arc::new(ManualClock::new(Timestamp::from_millis(EPOCH_MS))),
        );
        ClickHouseStore::open(place.config.clone(), Arc::new(InMemory::default()), spool, clock)
    };
    // A move that has nothing to move yet.
    let place = Place::new(servers::config());
    let store = place.open();
    assert_eq!(place.step(&store).unwrap(), 0);
    for _ in 0..2 {
        assert!(matches!(serve(&place), Err(OpenError::Moving { .. })));
    }
    let another = Place::new(place.config.clone());
    assert!(matches!(another.step(&another.open()), Err(MoveError::NotOurs)));
    assert_eq!(move_state(&another.progress()).unwrap(), MoveState::None);
    assert_eq!(place.step(&store).unwrap(), 0);

    // What somebody wrote all the same is not deleted, and what was moved of a website that was deleted is.
    let view = |site: u8| {
        conformance::arriving(conformance::website(site), conformance::pageview(EPOCH_MS, 1, u64::from(site), "/"))
    };
    conformance::append(&store, vec![view(1), view(2)]).unwrap();
    store.seal().unwrap();
    while place.step(&store).unwrap() > 0 {}
    store.delete_website(conformance::website(2)).unwrap();
    let tables = Tables::open(place.config.clone()).unwrap();
    tables.write("strange", 1_000, &[view(3)]).unwrap();
    let refused = place.mover().unwrap().reconcile(&store);
    assert!(matches!(refused, Err(MoveError::Strange(1))), "{refused:?}");
    let rows = |site: u8| tables.count(conformance::website(site), TimeRange::ALL).unwrap();
    assert_eq!([1, 2, 3].map(rows), [1, 1, 1]);
    tables.delete_website(conformance::website(3)).unwrap();
    assert!(place.mover().unwrap().reconcile(&store).unwrap().is_equal());
    assert_eq!([1, 2].map(rows), [1, 0]);

    // A database that a server has used, and may use still.
    let used = Place::new(servers::config());
    drop(serve(&used).unwrap());
    assert!(matches!(used.step(&used.open()), Err(MoveError::Served)));
    assert_eq!(move_state(&used.progress()).unwrap(), MoveState::None);
    drop(serve(&used).unwrap());
}
