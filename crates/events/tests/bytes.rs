//! What strings take is bounded in files and in queries, however many rows there are.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use zenovay_domain::{Dimension, SystemClock, TimeRange, Timestamp, WebsiteId};
use zenovay_events::conformance::{append, arriving, pageview};
use zenovay_events::{EmbeddedConfig, EmbeddedStore, EventStore};
use zenovay_query::{Answer, Budget, GroupBy, Order, Query, QueryError, Question};

const NOW_MS: i64 = 1_774_746_000_000;
const TEXT_BYTES: usize = 1_000;

fn website(number: u8) -> WebsiteId {
    WebsiteId::from_random_bytes([number; 16])
}

fn open(config: EmbeddedConfig) -> EmbeddedStore {
    EmbeddedStore::open(config, Arc::new(SystemClock)).unwrap()
}

/// Stores `count` pageviews of paths and properties of a thousand bytes that only they have, from `first` on.
fn store_long(store: &EmbeddedStore, website: WebsiteId, first: usize, count: usize) {
    let event = |number: usize| {
        let mut event = pageview(NOW_MS + number as i64, number as u64, number as u64, "");
        event.dimensions.set(Dimension::Path, &format!("/{number:0TEXT_BYTES$}"));
        event.dimensions.set(Dimension::Properties, &format!("{{\"n\":\"{number:0TEXT_BYTES$}\"}}"));
        event.dimensions.set(Dimension::Country, if number.is_multiple_of(2) { "DE" } else { "" });
        arriving(website, event)
    };
    append(store, (first..first + count).map(event).collect()).unwrap();
}

fn pages(store: &EmbeddedStore, website: WebsiteId, budget: &Budget) -> Result<Vec<String>, QueryError> {
    let range = TimeRange::new(Timestamp::from_millis(NOW_MS), Timestamp::from_millis(NOW_MS + 1_000_000));
    let by = GroupBy::by(Dimension::Path).order(Order::Pageviews);
    let query = Query::new(range, Question::Breakdown(by));
    match store.query(website, &query, budget)? {
        Answer::Breakdown(rows) => {
            assert!(rows.rows.iter().all(|row| row.metrics.pageviews == 1));
            Ok(rows.rows.into_iter().map(|row| row.value).collect())
        }
        other => panic!("{other:?}"),
    }
}

fn memory(bytes: usize) -> Budget {
    Budget::new(Duration::from_secs(3_600), bytes)
}

/// The longest dictionary of each segment file, unpacked, as its own footer says.
fn longest_chunks(dir: &std::path::Path) -> Vec<i64> {
    use parquet::file::reader::FileReader;
    let files = std::fs::read_dir(dir.join("segments")).unwrap();
    let longest = |path: std::path::PathBuf| {
        // One that was merged meanwhile is gone.
        let file = std::fs::File::open(path).ok()?;
        let reader = parquet::file::serialized_reader::SerializedFileReader::new(file).unwrap();
        let groups = reader.metadata().row_groups().to_vec();
        groups.iter().flat_map(|group| group.columns()).map(|column| column.uncompressed_size()).max()
    };
    let paths = files.map(|file| file.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "parquet")).filter_map(longest).collect()
}

/// Sealing and merging close a row group by the bytes of its columns, of one website and of several that share it; nothing
/// is lost at the seams. Sabotage: close them by rows alone.
#[test]
fn row_groups_are_closed_by_bytes() {
    for group_rows in [131_072, 1_000] {
        let dir = TempDir::new().unwrap();
        let config = EmbeddedConfig::new(dir.path()).with(|config| {
            config.group_rows = group_rows;
            config.group_bytes = 50_000;
        });
        let store = open(config);
        let limit = 50_000 + 5_000;
        for round in 0..8 {
            for site in 1..=3 {
                store_long(&store, website(site), round * 100, 100);
            }
            store.seal().unwrap();
        }
        assert!(longest_chunks(dir.path()).iter().all(|&bytes| bytes < limit), "{:?}", longest_chunks(dir.path()));
        while store.merge().unwrap() {}
        assert!(store.stats().segments < 8, "they were merged");
        assert!(longest_chunks(dir.path()).iter().all(|&bytes| bytes < limit), "{:?}", longest_chunks(dir.path()));
        for site in 1..=3 {
            let mut found = pages(&store, website(site), &Budget::unlimited()).unwrap();
            found.sort();
            let expected: Vec<_> = (0..800).map(|number| format!("/{number:0TEXT_BYTES$}")).collect();
            assert_eq!(found, expected);
        }
    }
}

/// A string longer than a row group may have is one by itself.
#[test]
fn a_string_longer_than_the_bound_is_stored() {
    let dir = TempDir::new().unwrap();
    let store = open(EmbeddedConfig::new(dir.path()).with(|config| config.group_bytes = 10));
    store_long(&store, website(1), 0, 20);
    store.seal().unwrap();
    assert_eq!(pages(&store, website(1), &Budget::unlimited()).unwrap().len(), 20);
}

/// What a query loads counts its strings, from the head and from segments, before they are loaded. Sabotage: count rows
/// alone, or in one of the two places.
#[test]
fn a_query_is_counted_for_its_strings() {
    let dir = TempDir::new().unwrap();
    for sealed in [false, true] {
        let store = open(EmbeddedConfig::new(dir.path()).with(|config| config.group_bytes = 50_000));
        if sealed {
            store.seal().unwrap();
        } else {
            store_long(&store, website(1), 0, 1_000);
        }
        let count = |bytes| pages(&store, website(1), &memory(bytes)).map(|pages| pages.len());
        assert_eq!(count(1_000_000), Err(QueryError::MemoryExceeded), "sealed {sealed}");
        assert_eq!(count(3_000_000), Ok(1_000), "sealed {sealed}");
        assert!(store.stats().cache_bytes > 1_000_000);
        // A query holds what it finds in the cache, too; what is too large for one does not stay there.
        assert_eq!(count(1_000_000), Err(QueryError::MemoryExceeded), "sealed {sealed}");
        assert!(store.stats().cache_bytes <= 1_000_000);
    }
}

/// Strings count in the cache, too: a view that is too large for it does not stay. Sabotage: leave them out of what a view
/// takes.
#[test]
fn the_cache_is_bounded_by_the_bytes_of_strings() {
    let dir = TempDir::new().unwrap();
    let store = open(EmbeddedConfig::new(dir.path()).with(|config| config.cache_bytes = 1_000_000));
    store_long(&store, website(1), 0, 1_000);
    store.seal().unwrap();
    assert_eq!(pages(&store, website(1), &Budget::unlimited()).map(|pages| pages.len()), Ok(1_000));
    assert!(store.stats().cache_bytes <= 1_000_000, "{}", store.stats().cache_bytes);
}
