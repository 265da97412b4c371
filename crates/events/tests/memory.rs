//! What a store takes in memory while strangers send it the longest strings there are: measured, not counted. One test,
//! because the kernel measures a process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use zenovay_domain::{Dimension, SystemClock, TimeRange, Timestamp, WebsiteId};
use zenovay_events::conformance::{append, arriving, pageview};
use zenovay_events::{EmbeddedConfig, EmbeddedStore, EventStore, NewEvent};
use zenovay_query::{Answer, Budget, GroupBy, Order, Query, QueryError, Question};

const NOW_MS: i64 = 1_774_746_000_000;
const PROPERTIES_BYTES: usize = 31_000;
const PATH_BYTES: usize = 8_000;
/// What the process of this test may take.
const MEMORY_MB: u64 = 150;

/// A field of `/proc/self/status`, in MB.
fn status_mb(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
}

/// Measures the highest use of memory from now on.
struct Peak {
    base_mb: u64,
}

impl Peak {
    fn begin() -> Self {
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        Self { base_mb: status_mb("VmRSS") }
    }

    fn check(&self, what: &str) {
        let over = status_mb("VmHWM").saturating_sub(self.base_mb);
        eprintln!("{what}: {over} MB over {} MB", self.base_mb);
        assert!(over <= MEMORY_MB, "{what} took {over} MB");
    }
}

fn website() -> WebsiteId {
    WebsiteId::from_random_bytes([1; 16])
}

/// A string that only `number` has, of `bytes` bytes, as well compressed as an attacker can have it.
fn long(number: usize, bytes: usize) -> String {
    format!("{number:08}").repeat(bytes / 8)
}

/// Appends events `numbers` a few at a time, and waits for space where the store asks for it.
fn send(store: &EmbeddedStore, numbers: std::ops::Range<usize>, event: impl Fn(usize) -> NewEvent) {
    for first in numbers.clone().step_by(100) {
        while append(store, (first..numbers.end.min(first + 100)).map(&event).collect()).is_err() {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

fn with_properties(number: usize) -> NewEvent {
    let mut event = pageview(NOW_MS + number as i64, number as u64, number as u64, "/");
    event.dimensions.set(Dimension::Properties, &long(number, PROPERTIES_BYTES));
    arriving(website(), event)
}

fn with_path(number: usize) -> NewEvent {
    let path = format!("/{}", long(number, PATH_BYTES));
    arriving(website(), pageview(NOW_MS + number as i64, number as u64, number as u64, &path))
}

fn pages(store: &EmbeddedStore, budget: &Budget) -> Result<u64, QueryError> {
    pages_of(store, website(), budget)
}

fn pages_of(store: &EmbeddedStore, site: WebsiteId, budget: &Budget) -> Result<u64, QueryError> {
    let range = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(NOW_MS * 2));
    let by = GroupBy::by(Dimension::Path).order(Order::Pageviews).limit(100);
    let query = Query::new(range, Question::Breakdown(by));
    match store.query(site, &query, budget)? {
        Answer::Breakdown(pages) => Ok(pages.rows.iter().map(|row| row.metrics.pageviews).sum()),
        other => panic!("{other:?}"),
    }
}

/// The number of events is that of the whole attack where `ZENOVAY_LONG_EVENTS` says so. Sabotage: close row groups by rows
/// alone, hold all parts of a column while it is merged, or reserve room for the ids of a whole row group in the view of a
/// website that has a few of its rows.
#[test]
fn the_longest_strings_take_little_memory() {
    let events = std::env::var("ZENOVAY_LONG_EVENTS").map_or(8_000, |events| events.parse().unwrap());
    // Without the bound on different strings, which would make an end of it much earlier.
    let config = |dir: &TempDir| EmbeddedConfig::new(dir.path()).with(|config| config.distinct_strings = usize::MAX);

    // Small websites share row groups: a query of one takes memory for its own rows, not for those of its neighbours.
    let dir = TempDir::new().unwrap();
    let peak = Peak::begin();
    let store = EmbeddedStore::open(EmbeddedConfig::new(dir.path()), Arc::new(SystemClock)).unwrap();
    send(&store, 0..100_000, |number| {
        let site = WebsiteId::from_random_bytes([(number % 100) as u8; 16]);
        arriving(site, pageview(NOW_MS + number as i64, number as u64, number as u64, "/"))
    });
    store.seal().unwrap();
    for site in 0..100 {
        let site = WebsiteId::from_random_bytes([site; 16]);
        assert_eq!(pages_of(&store, site, &Budget::unlimited()), Ok(1_000));
    }
    peak.check("queries of many small websites");
    drop(store);

    let dir = TempDir::new().unwrap();
    let peak = Peak::begin();
    let store = EmbeddedStore::open(config(&dir), Arc::new(SystemClock)).unwrap();
    send(&store, 0..events, with_properties);
    store.seal().unwrap();
    while store.merge().unwrap() {}
    peak.check("sealing and merging long properties");
    assert_eq!(pages(&store, &Budget::unlimited()), Ok(events as u64), "nothing was lost");
    assert!(store.stats().segments <= 8, "{} segments are left", store.stats().segments);
    drop(store);
    let store = EmbeddedStore::open(config(&dir), Arc::new(SystemClock)).unwrap();
    assert_eq!(pages(&store, &Budget::unlimited()), Ok(events as u64));
    drop(store);
    peak.check("a restart");

    let dir = TempDir::new().unwrap();
    let peak = Peak::begin();
    let store = EmbeddedStore::open(config(&dir), Arc::new(SystemClock)).unwrap();
    send(&store, 0..20_000, with_path);
    store.seal().unwrap();
    while store.merge().unwrap() {}
    let budget = Budget::new(Duration::from_secs(3_600), 64 << 20);
    assert_eq!(pages(&store, &budget), Ok(100), "160 MB of paths are never loaded together for 64 MiB");
    peak.check("a query of long paths");
    drop(store);

    // As it is by default: the day's paths are bounded, and so is what a query loads.
    let dir = TempDir::new().unwrap();
    let peak = Peak::begin();
    let store = EmbeddedStore::open(EmbeddedConfig::new(dir.path()), Arc::new(SystemClock)).unwrap();
    send(&store, 0..20_000, with_path);
    store.seal().unwrap();
    assert!(pages(&store, &Budget::unlimited()).is_ok_and(|views| views > 0));
    assert!(
        store
            .take_folded()
            .iter()
            .any(|&(id, column, events)| { id == website() && column == Dimension::Path && events > 15_000 })
    );
    peak.check("paths that are folded");
}
