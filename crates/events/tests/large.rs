//! More rows than a page, a row group and a block of the head hold.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tempfile::TempDir;
use zenovay_domain::{Dimension, Event, EventKind, SystemClock, TimeRange, Timestamp, WebsiteId};
use zenovay_events::conformance::{append, arriving, pageview};
use zenovay_events::{EmbeddedConfig, EmbeddedStore, EventStore};
use zenovay_query::{Answer, Budget, GroupBy, MetricValues, Order, Query, QueryError, Question, oracle};

const NOW_MS: i64 = 1_774_746_000_000;
const HOUR_MS: i64 = 3_600_000;
const BIG: usize = 150_000;
const MIDDLE: usize = 20_000;
const SMALL_SITES: usize = 900;
const SMALL: usize = 40;

fn site(number: usize) -> WebsiteId {
    // Spread, so that the order of ids is not the order of appending.
    WebsiteId::from_random_bytes(
        (number as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C834).to_le_bytes(),
    )
}

/// Event `number` of a website: a session of seven an hour, mostly in the order of time.
fn visit(number: usize) -> Event {
    let late_ms = if number.is_multiple_of(97) { 5 * HOUR_MS } else { 0 };
    let at_ms = NOW_MS + number as i64 * 20_000 - late_ms;
    let session = number as u64 / 7;
    let mut event = pageview(at_ms, session % 30_000, session, &format!("/{}", number * number % 811));
    if number.is_multiple_of(11) {
        event.kind = EventKind::Custom;
    }
    if number.is_multiple_of(13) {
        event.kind = EventKind::Heartbeat;
        event.engagement_ms = 1_500;
    }
    event.dimensions.set(Dimension::Country, ["DE", "FR", "", "US"][number / 1_000 % 4]);
    event
}

fn metrics(store: &EmbeddedStore, website: WebsiteId, range: TimeRange) -> MetricValues {
    let query = Query::new(range, Question::Overview);
    match store.query(website, &query, &Budget::unlimited()) {
        Ok(Answer::Overview(overview)) => overview.metrics,
        other => panic!("{other:?}"),
    }
}

fn hours(from: i64, to: i64) -> TimeRange {
    TimeRange::new(Timestamp::from_millis(NOW_MS + from * HOUR_MS), Timestamp::from_millis(NOW_MS + to * HOUR_MS))
}

fn check(store: &EmbeddedStore, big: &[Event]) {
    let everything = hours(-1_000, 100_000);
    for range in [everything, hours(0, 24), hours(200, 460), hours(700, 701)] {
        let query = Query::new(range, Question::Overview);
        let expected = oracle::answer(big, &query).into_overview().unwrap();
        assert_eq!(metrics(store, site(0), range), expected.metrics);
    }
    let by_country = Query::new(
        hours(10, 300),
        Question::Breakdown(GroupBy::by(Dimension::Country).metrics([zenovay_query::Metric::Sessions]).limit(10)),
    );
    let answer = store.query(site(0), &by_country, &Budget::unlimited()).unwrap();
    assert_eq!(answer, oracle::answer(big, &by_country));

    let middle = metrics(store, site(1), everything);
    assert_eq!(middle.events, expected_events(MIDDLE));
    for number in (0..SMALL_SITES).step_by(23) {
        let small = metrics(store, site(2 + number), everything);
        assert_eq!((small.events, small.sessions), (expected_events(SMALL), SMALL.div_ceil(7) as u64), "{number}");
    }
}

fn expected_events(count: usize) -> u64 {
    (0..count).filter(|number| !number.is_multiple_of(13)).count() as u64
}

#[test]
fn many_rows_and_many_websites_are_counted_exactly_in_head_segments_and_merged() {
    let dir = TempDir::new().unwrap();
    let config = || EmbeddedConfig::new(dir.path()).with(|config| config.seal_rows = 70_000);
    let store = EmbeddedStore::open(config(), Arc::new(SystemClock)).unwrap();
    let mut big = Vec::new();
    for batch in 0..30 {
        let mut events = Vec::new();
        let part = |count: usize| batch * count / 30..(batch + 1) * count / 30;
        for number in part(BIG) {
            events.push(arriving(site(0), visit(number)));
            big.push(visit(number));
        }
        events.extend(part(MIDDLE).map(|number| arriving(site(1), visit(number))));
        for small in 0..SMALL_SITES {
            events.extend(part(SMALL).map(|number| arriving(site(2 + small), visit(number))));
        }
        append(&store, events).unwrap();
    }
    check(&store, &big);
    store.seal().unwrap();
    check(&store, &big);
    while store.merge().unwrap() {}
    check(&store, &big);
    drop(store);
    // From digests and one row group at a time, then from all rows in memory.
    for query_threads in [1, 3] {
        let by_section = config().with(|config| {
            config.scan_rows_max = 0;
            (config.query_threads, config.query_thread_rows) = (query_threads, 1);
        });
        check(&EmbeddedStore::open(by_section, Arc::new(SystemClock)).unwrap(), &big);
    }
    let store = EmbeddedStore::open(config(), Arc::new(SystemClock)).unwrap();
    check(&store, &big);

    // Nothing was left out and nothing invented, page by page.
    let query =
        Query::new(hours(-1_000, 100_000), Question::Breakdown(GroupBy::by(Dimension::Path).order(Order::Pageviews)));
    let Answer::Breakdown(pages) = store.query(site(0), &query, &Budget::unlimited()).unwrap() else { panic!() };
    let mut expected: BTreeMap<String, (u64, BTreeSet<u64>)> = BTreeMap::new();
    for event in big.iter().filter(|event| event.kind.is_event()) {
        let (pageviews, visitors) = expected.entry(event.dimensions.get(Dimension::Path).to_owned()).or_default();
        *pageviews += u64::from(event.kind == EventKind::Pageview);
        visitors.insert(event.visitor.0);
    }
    let found: BTreeMap<String, (u64, u64)> =
        pages.rows.into_iter().map(|row| (row.value, (row.metrics.pageviews, row.metrics.visitors))).collect();
    assert_eq!(found, expected.into_iter().map(|(path, (n, visitors))| (path, (n, visitors.len() as u64))).collect());

    let tight = Budget::new(std::time::Duration::from_secs(3_600), 64 << 20);
    assert_eq!(store.query(site(0), &query, &tight), store.query(site(0), &query, &Budget::unlimited()));
    let nothing = Budget::new(std::time::Duration::from_secs(3_600), 1 << 16);
    assert_eq!(store.query(site(0), &query, &nothing), Err(QueryError::MemoryExceeded), "less than a row group takes");
}
