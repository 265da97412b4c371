//! A configuration that a store cannot work with is refused by name; every other one works.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::error::Error;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;
use zenovay_domain::{SystemClock, Timestamp};
use zenovay_events::conformance::{arriving, pageview, totals, website};
use zenovay_events::{AppendOutcome, EmbeddedConfig, EmbeddedStore, EventStore, OpenError};

fn open(config: EmbeddedConfig) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open(config, Arc::new(SystemClock))
}

/// The field that a configuration is refused for.
fn refused(change: impl FnOnce(&mut EmbeddedConfig)) -> &'static str {
    let dir = TempDir::new().unwrap();
    let error = open(EmbeddedConfig::new(dir.path().join("store")).with(change)).unwrap_err();
    assert!(!dir.path().join("store").exists(), "nothing was made");
    let OpenError::Config { field, problem } = &error else { panic!("{error:?}") };
    assert_eq!(error.to_string(), format!("{field}: {problem}"));
    field
}

/// Sabotage: leave out a check.
#[test]
fn a_value_that_would_hang_is_named() {
    assert_eq!(refused(|config| config.commit_rows = 0), "commit_rows");
    assert_eq!(refused(|config| config.commit_bytes = 0), "commit_bytes");
    assert_eq!(refused(|config| config.head_rows_max = 0), "head_rows_max");
    assert_eq!(refused(|config| config.head_rows_max = config.seal_rows - 1), "head_rows_max");
    assert_eq!(refused(|config| config.head_rows_max = u64::MAX), "head_rows_max");
    assert_eq!(refused(|config| config.head_bytes_max = config.seal_bytes - 1), "head_bytes_max");
    assert_eq!(refused(|config| config.seal_rows = 0), "seal_rows");
    assert_eq!(refused(|config| config.seal_rows = u64::MAX), "head_rows_max");
    assert_eq!(refused(|config| config.seal_bytes = 0), "seal_bytes");
    assert_eq!(refused(|config| config.seal_age_ms = -1), "seal_age_ms");
    assert_eq!(refused(|config| config.query_threads = 0), "query_threads");
    assert_eq!(refused(|config| config.query_thread_rows = 0), "query_thread_rows");
    assert_eq!(refused(|config| config.group_rows = 0), "group_rows");
    assert_eq!(refused(|config| config.group_rows = usize::MAX), "group_rows");
    assert_eq!(refused(|config| config.group_bytes = 0), "group_bytes");
    assert_eq!(refused(|config| config.queue_rows = 0), "queue_rows");
    assert_eq!(refused(|config| config.queue_bytes = 0), "queue_bytes");
    assert_eq!(refused(|config| config.merge_fan_in = 1), "merge_fan_in");
    assert_eq!(refused(|config| config.merge_rows_max = u64::MAX), "merge_rows_max");
    assert_eq!(refused(|config| config.distinct_strings = 0), "distinct_strings");
    assert_eq!(refused(|config| config.idempotency_ms = i64::MIN), "idempotency_ms");
}

#[test]
fn an_error_of_a_file_has_its_source() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let error = open(EmbeddedConfig::new(dir.path().join("file/store"))).unwrap_err();
    let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    assert_eq!(source.map(std::io::Error::kind), Some(std::io::ErrorKind::NotADirectory), "{error:?}");
    assert!(!error.to_string().contains("irectory)"), "{error}: what the source says is not said twice");
}

fn any_number() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => prop::sample::select(vec![0, 1, 2, 3, 100, u64::from(u32::MAX), 1 << 31, (1 << 31) + 1, u64::MAX - 1, u64::MAX]),
        1 => any::<u64>(),
    ]
}

fn any_time() -> impl Strategy<Value = i64> {
    prop::sample::select(vec![i64::MIN, -1, 0, 1, 3_600_000, i64::MAX - 1, i64::MAX])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever the numbers are, a store is refused by the name of a field, or stores, seals, merges and answers.
    #[test]
    fn a_configuration_is_refused_or_works(
        numbers in prop::collection::vec(any_number(), 16),
        wanted in prop::collection::vec(prop::bool::weighted(0.12), 16),
        times in (any_time(), any_time()),
    ) {
        let dir = TempDir::new().unwrap();
        let config = EmbeddedConfig::new(dir.path()).with(|config| {
            let mut numbers = numbers.iter().zip(&wanted).map(|(number, wanted)| wanted.then_some(*number));
            let mut next = || numbers.next().flatten();
            let mut size = |field: &mut usize| if let Some(number) = next() {
                *field = usize::try_from(number).unwrap_or(usize::MAX);
            };
            size(&mut config.cache_bytes);
            size(&mut config.scan_rows_max);
            size(&mut config.group_rows);
            size(&mut config.group_bytes);
            size(&mut config.queue_rows);
            size(&mut config.queue_bytes);
            size(&mut config.commit_rows);
            size(&mut config.commit_bytes);
            size(&mut config.merge_fan_in);
            size(&mut config.distinct_strings);
            let mut number = |field: &mut u64| if let Some(number) = next() {
                *field = number;
            };
            number(&mut config.seal_rows);
            number(&mut config.seal_bytes);
            number(&mut config.head_rows_max);
            number(&mut config.head_bytes_max);
            number(&mut config.merge_rows_max);
            number(&mut config.merge_bytes_max);
            if wanted[0] {
                (config.seal_age_ms, config.idempotency_ms) = times;
            }
        });
        let store = match open(config) {
            Ok(store) => store,
            Err(OpenError::Config { .. }) => return Ok(()),
            Err(error) => panic!("{error:?}"),
        };
        for round in 0..3u64 {
            let view = |n: u64| {
                let at = Timestamp::from_millis(1_774_746_000_000).as_millis() + i64::try_from(n).unwrap();
                arriving(website(1), pageview(at, n, n, &format!("/{n}")))
            };
            let events = (round * 20..(round + 1) * 20).map(view).collect();
            prop_assert_eq!(store.append(events).wait(), Ok(vec![AppendOutcome::Stored; 20]));
            prop_assert_eq!(totals(&store, website(1)).pageviews, (round + 1) * 20);
            store.seal().unwrap();
            store.merge().unwrap();
        }
        prop_assert_eq!(totals(&store, website(1)).pageviews, 60);
        store.shutdown();
    }
}
