//! Damage to segments stays where it is. Each test names the sabotage that turns it red; each was tried.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use zenovay_domain::{Dimension, Event, ManualClock, Timestamp, VisitorId};
use zenovay_events::conformance::{ever, pageview, store_all, totals, website};
use zenovay_events::{EmbeddedConfig, EmbeddedStore, EventStore, OpenError, has_database, verify};
use zenovay_query::{Answer, Budget, GroupBy, QueryError, Question};

use common::{copy_dir, segment_files};

const NOW_MS: i64 = 1_774_746_000_000;
const WEBSITES: u8 = 10;

/// A store that reads its files for every query, with small row groups, and merges only when it is told to.
fn open(dir: &Path) -> EmbeddedStore {
    open_with(EmbeddedConfig::new(dir))
}

fn open_with(config: EmbeddedConfig) -> EmbeddedStore {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS)));
    EmbeddedStore::open(
        config.with(|config| {
            config.cache_bytes = 0;
            config.group_rows = 256;
            config.merge_fan_in = 1_000;
        }),
        clock,
    )
    .unwrap()
}

fn numbered(number: u64) -> Event {
    pageview(NOW_MS + number as i64, number % 11 % 5, number % 11, &format!("/page/{number}"))
}

/// Ten websites in four segments: those with few rows share row groups, the others have their own with digests. Website 1
/// is in every segment, each of the others in one.
fn fill(dir: &Path) {
    let store = open(dir);
    for segment in 0..4 {
        store_all(&store, website(1), &(segment * 40..segment * 40 + 40).map(numbered).collect::<Vec<_>>());
        for site in (2..=WEBSITES).filter(|site| u64::from(*site) % 4 == segment) {
            let rows = if site % 3 == 0 { 300 } else { 15 };
            store_all(&store, website(site), &(0..rows).map(numbered).collect::<Vec<_>>());
        }
        store.seal().unwrap();
    }
}

type Numbers = (Answer, Answer);

/// The totals and all pages of a website.
fn numbers(store: &EmbeddedStore, site: u8) -> Result<Numbers, QueryError> {
    let pages = GroupBy::by(Dimension::Path);
    let ask = |question| store.query(website(site), &ever(question), &Budget::unlimited());
    Ok((ask(Question::Overview)?, ask(Question::Breakdown(pages))?))
}

fn all_numbers(store: &EmbeddedStore) -> Vec<Result<Numbers, QueryError>> {
    (1..=WEBSITES).map(|site| numbers(store, site)).collect()
}

/// A number that looks drawn by lot; the same for the same `state` each time.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) ^ (*state >> 17)
}

/// Damages one file of `files` and tells which and how.
fn damage(files: &[PathBuf], state: &mut u64) -> (PathBuf, String) {
    let file = files[draw(state) as usize % files.len()].clone();
    let mut bytes = fs::read(&file).unwrap();
    let at = draw(state) as usize % bytes.len();
    let bit = 1 << (draw(state) % 8);
    let how = match draw(state) % 8 {
        0 => {
            fs::remove_file(&file).unwrap();
            return (file, "removed".to_owned());
        }
        1 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        2 => {
            bytes.extend([0; 9]);
            "lengthened".to_owned()
        }
        _ => {
            bytes[at] ^= bit;
            format!("bit {bit} of byte {at}")
        }
    };
    fs::write(&file, bytes).unwrap();
    (file, how)
}

/// Sabotage: leave the comparison of the checksum out of `Segment::bytes`; let `recent_sessions` fail; leave out `verify_tail`.
/// `ZENOVAY_DAMAGES` sets how often a file is damaged.
#[test]
fn damage_by_lot_gives_no_wrong_number_and_stops_nobody() {
    let cases: u64 = std::env::var("ZENOVAY_DAMAGES").map_or(100, |cases| cases.parse().expect("a number"));
    let original = TempDir::new().unwrap();
    fill(original.path());
    let expected = all_numbers(&open(original.path()));
    let websites_of = |number: u64| -> Vec<u8> {
        (1..=WEBSITES).filter(|site| *site == 1 || u64::from(*site) % 4 == number - 1).collect()
    };
    let mut refused = 0;
    for case in 0..cases {
        let dir = TempDir::new().unwrap();
        copy_dir(original.path(), dir.path());
        let (file, how) = damage(&segment_files(dir.path()), &mut case.clone());
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let number = u64::from_str_radix(&name, 16).unwrap();
        // Totals from digests, and from rows.
        let scan_rows_max = if case % 2 == 0 { 0 } else { 1 << 20 };
        let store = open_with(EmbeddedConfig::new(dir.path()).with(|config| config.scan_rows_max = scan_rows_max));
        store.recent_sessions(Timestamp::from_millis(NOW_MS - 1));
        for (site, (found, expected)) in (1..).zip(all_numbers(&store).iter().zip(&expected)) {
            if found.is_err() {
                assert!(matches!(found, Err(QueryError::Damaged(_))), "case {case}, {how}: {found:?}");
                assert!(websites_of(number).contains(&site), "case {case}, {how}: website {site} is not in it");
                refused += 1;
            } else {
                assert_eq!(found, expected, "case {case}, {how}, website {site}");
            }
        }
        // Named, whether a query met it or not, and everything goes on beside it.
        store.scrub();
        assert_eq!((store.stats().damaged_segments, store.damages().len()), (1, 1), "case {case}, {how}");
        assert!(store.damages()[0].contains(&name), "case {case}, {how}");
        store_all(&store, website(99), &[numbered(1)]);
        store.seal().unwrap();
        assert_eq!(totals(&store, website(99)).pageviews, 1);
        drop(store);
        let damages = verify(dir.path()).unwrap().damages;
        assert!(damages.len() == 1 && damages[0].contains(&name), "case {case}, {how}: {damages:?}");
    }
    assert!(refused > cases, "{refused}");
}

/// Sabotage: give damaged segments to `merge_run`; end the loop of `run_merger` at the first error.
#[test]
fn a_damaged_segment_is_not_merged_and_keeps_no_others_from_it() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    for round in 0..5 {
        store_all(&store, website(1), &[numbered(round)]);
        store.seal().unwrap();
    }
    drop(store);
    let files = segment_files(dir.path());
    let mut bytes = fs::read(&files[1]).unwrap();
    bytes[100] ^= 1;
    fs::write(&files[1], bytes).unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS)));
    let config = EmbeddedConfig::new(dir.path()).with(|config| config.merge_fan_in = 2);
    let store = EmbeddedStore::open(config, clock).unwrap();
    // The merger may have met it before.
    let _ = store.merge();
    while store.merge().unwrap() {}
    assert_eq!((store.stats().segments, store.stats().damaged_segments), (3, 1));
    assert!(files[1].exists());
    assert!(matches!(numbers(&store, 1), Err(QueryError::Damaged(_))));
}

/// Sabotage: end `erase` at the first damaged segment.
#[test]
fn what_is_not_damaged_is_erased() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    for _ in 0..3 {
        store_all(&store, website(1), &[numbered(3), numbered(4)]);
        store.seal().unwrap();
    }
    let files = segment_files(dir.path());
    fs::remove_file(&files[0]).unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.stats().damaged_segments, 1, "a missing file is seen at the start");
    let rows = store.stats().segment_rows;
    assert!(matches!(store.erase_visitor(website(1), VisitorId(3)), Err(zenovay_events::ChangeError::Damaged(_))));
    assert_eq!(store.stats().segment_rows, rows - 2);
    store_all(&store, website(2), &[numbered(1)]);
    assert_eq!(totals(&store, website(2)).pageviews, 1);
}

/// What is left of a catalog that is shorter than a page is a new database to SQLite, which writes into it at once.
///
/// Sabotage: take what is not empty for a catalog.
#[test]
fn what_is_too_short_for_a_catalog_is_refused_beside_segments_and_stays_as_it_is() {
    let dir = TempDir::new().unwrap();
    fill(dir.path());
    let catalog = dir.path().join("events.db");
    assert!(has_database(&catalog));
    let whole = fs::read(&catalog).unwrap();
    for left in [0, 1, 511] {
        fs::write(&catalog, &whole[..left]).unwrap();
        assert!(!has_database(&catalog));
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS)));
        let opened = EmbeddedStore::open(EmbeddedConfig::new(dir.path()), clock).map(drop);
        assert!(matches!(opened, Err(OpenError::NoCatalog { .. })), "{left}: {opened:?}");
        assert!(matches!(verify(dir.path()), Err(OpenError::NoCatalog { .. })), "{left}");
        assert!(fs::read(&catalog).unwrap() == whole[..left], "{left}");
    }
    fs::remove_file(&catalog).unwrap();
    assert!(!has_database(&catalog));
}
