//! A column has a bounded number of different strings for each website and UTC day.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::collections::BTreeMap;
use std::sync::Arc;

use tempfile::TempDir;
use zenovay_domain::{Dimension, SystemClock, TimeRange, Timestamp, WebsiteId};
use zenovay_events::conformance::{append, arriving, pageview};
use zenovay_events::{AppendOutcome, EmbeddedConfig, EmbeddedStore, EventStore, IdempotencyKey, NewEvent};
use zenovay_query::{Answer, Budget, GroupBy, Order, Query, Question};

/// The beginning of a UTC day.
const DAY_MS: i64 = 86_400_000;
const TODAY_MS: i64 = 20_536 * DAY_MS;

fn website(number: u8) -> WebsiteId {
    WebsiteId::from_random_bytes([number; 16])
}

fn open(dir: &TempDir, distinct_strings: usize) -> EmbeddedStore {
    let config = EmbeddedConfig::new(dir.path()).with(|config| {
        config.distinct_strings = distinct_strings;
        config.group_rows = 64;
    });
    EmbeddedStore::open(config, Arc::new(SystemClock)).unwrap()
}

fn view(site: u8, at_ms: i64, path: &str) -> NewEvent {
    arriving(website(site), pageview(at_ms, at_ms as u64, at_ms as u64, path))
}

/// Pageviews by path of a website.
fn pages(store: &EmbeddedStore, site: u8) -> BTreeMap<String, u64> {
    let by = GroupBy::by(Dimension::Path).order(Order::Pageviews);
    let range = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(TODAY_MS * 2));
    let query = Query::new(range, Question::Breakdown(by));
    match store.query(website(site), &query, &Budget::unlimited()) {
        Ok(Answer::Breakdown(rows)) => rows.rows.into_iter().map(|row| (row.value, row.metrics.pageviews)).collect(),
        other => panic!("{other:?}"),
    }
}

fn folded(store: &EmbeddedStore) -> BTreeMap<(u8, Dimension), u64> {
    let site = |id: WebsiteId| (0..9).find(|&number| website(number) == id).unwrap();
    store.take_folded().into_iter().map(|(id, column, events)| ((site(id), column), events)).collect()
}

/// In one append and one by one: those that came first stay, the others are one, and nothing is lost. Other columns,
/// websites and days have strings of their own. Sabotage: count events instead of different strings, or all websites
/// together.
#[test]
fn strings_beyond_the_number_are_one() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 10);
    append(&store, (0..30).map(|n| view(1, TODAY_MS + n, &format!("/{}", n % 15))).collect()).unwrap();
    for n in 0..30 {
        append(&store, vec![view(1, TODAY_MS + n, &format!("/{}", n % 15))]).unwrap();
    }
    append(&store, (0..10).map(|n| view(1, TODAY_MS - 1 - n, &format!("/yesterday/{n}"))).collect()).unwrap();
    append(&store, (0..10).map(|n| view(2, TODAY_MS + n, &format!("/{n}"))).collect()).unwrap();
    let first = pages(&store, 1);
    assert_eq!(first.len(), 10 + 1 + 10, "{first:?}");
    assert!((0..10).all(|n| first[&format!("/{n}")] == 4));
    assert_eq!((first["(other)"], first.values().sum::<u64>()), (20, 70));
    assert_eq!(pages(&store, 2).len(), 10);
    assert_eq!(folded(&store), BTreeMap::from([((1, Dimension::Path), 20)]));
    assert_eq!(folded(&store), BTreeMap::new(), "told once");
}

/// What is known is what is stored: from the head, from segments and after a restart, also when another day and another
/// website are in the same files. Sabotage: begin anew at a restart, or take in the strings of other days.
#[test]
fn the_decision_survives_restarts() {
    let dir = TempDir::new().unwrap();
    let mut expected = 0;
    for round in 0..4 {
        let store = open(&dir, 10);
        // Known are /0 to /9, four of them from the second round on.
        let paths = (0..4).map(|n| round * 4 + n).chain(0..4).chain(100..103);
        let mut events: Vec<_> = paths.map(|n| view(1, TODAY_MS + n, &format!("/{n}"))).collect();
        expected += events.len() as u64;
        events.extend((0..20).map(|n| view(1, TODAY_MS - 1 - n, &format!("/before/{n}"))));
        events.extend((0..20).map(|n| view(2, TODAY_MS + n, &format!("/site/{n}"))));
        append(&store, events).unwrap();
        if round % 2 == 1 {
            store.seal().unwrap();
        }
    }
    let store = open(&dir, 10);
    append(&store, vec![view(1, TODAY_MS, "/1"), view(1, TODAY_MS, "/new"), view(1, TODAY_MS, "/100")]).unwrap();
    let found = pages(&store, 1);
    let today: Vec<&str> = found.keys().map(String::as_str).filter(|path| !path.starts_with("/before/")).collect();
    assert_eq!(today, ["(other)", "/0", "/1", "/100", "/101", "/102", "/2", "/3", "/4", "/5", "/6"]);
    assert_eq!(found.values().sum::<u64>(), expected + 80 + 3);
    assert_eq!(found["/1"], 4 + 1 + 1);
    assert_eq!(found.keys().filter(|path| path.starts_with("/before/")).count(), 10);
}

/// Long strings reach their bound by bytes, and folded properties are JSON. Sabotage: count strings alone.
#[test]
fn long_strings_are_bounded_by_bytes() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 100);
    let long = |n: i64| {
        let mut new = view(1, TODAY_MS + n, &format!("/{n:01000}"));
        new.event.dimensions.set(Dimension::Properties, &format!("{{\"n\":\"{n:01000}\"}}"));
        new
    };
    append(&store, (0..90).map(long).collect()).unwrap();
    let found = pages(&store, 1);
    assert_eq!((found.len(), found.values().sum::<u64>()), (25 + 1, 90));
    let folded = folded(&store);
    assert_eq!(folded[&(1, Dimension::Path)], 65);
    assert_eq!(folded[&(1, Dimension::Properties)], 90 - 64_000 / 1_008);
}

/// A repetition is recognised by what its client sent, and what was refused is not known.
#[test]
fn repetitions_are_judged_before_strings_are_folded() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir, 2);
    let keyed = |key: u8, path: &str| view(1, TODAY_MS, path).with_key(IdempotencyKey([key; 16]));
    for (key, path, outcome) in [
        (1, "/a", AppendOutcome::Stored),
        (1, "/x", AppendOutcome::KeyReused),
        (2, "/b", AppendOutcome::Stored),
        (3, "/c", AppendOutcome::Stored),
        (3, "/c", AppendOutcome::Duplicate),
        (3, "/d", AppendOutcome::KeyReused),
    ] {
        assert_eq!(append(&store, vec![keyed(key, path)]).unwrap(), [outcome], "{path}");
    }
    assert_eq!(pages(&store, 1).into_keys().collect::<Vec<_>>(), ["(other)", "/a", "/b"]);
}
