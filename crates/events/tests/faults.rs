//! What disks and machines do to a store. Each test names the sabotage that turns it red; each was tried.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;
use zenovay_domain::{Clock, Dimension, Event, EventKind, ManualClock, Timestamp, VisitorId};
use zenovay_events::conformance::{append, arriving, event, ever, pageview, store_all, totals, values, website};
use zenovay_events::testing::{FaultPoint, Faults};
use zenovay_events::{
    AppendError, AppendOutcome, AppendRefused, EmbeddedConfig, EmbeddedStore, EventStore, Observer, OpenError,
};
use zenovay_query::{Answer, Budget, GroupBy, Metric, QueryError, Question};

use common::{copy_dir, segment_files};

const NOW_MS: i64 = 1_774_746_000_000;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS)))
}

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(EmbeddedConfig::new(dir), clock()).unwrap()
}

fn path_of(number: usize) -> String {
    format!("/page/{number}")
}

fn numbered(number: usize) -> Event {
    pageview(NOW_MS + number as i64, number as u64 % 11 % 5, number as u64 % 11, &path_of(number))
}

/// The paths of all pageviews, each with how often it is there.
fn stored_paths(store: &EmbeddedStore) -> Vec<(String, u64)> {
    values(store, website(1), Dimension::Path)
}

/// Runs a rule at each fault point.
struct Rule<F>(F);

impl<F: Fn(FaultPoint) -> io::Result<()> + Send + Sync> Faults for Rule<F> {
    fn at(&self, point: FaultPoint) -> io::Result<()> {
        (self.0)(point)
    }
}

fn open_with(dir: &Path, rule: impl Fn(FaultPoint) -> io::Result<()> + Send + Sync + 'static) -> EmbeddedStore {
    let config = EmbeddedConfig::new(dir).with_faults(Arc::new(Rule(rule)));
    EmbeddedStore::open(config, clock()).unwrap()
}

/// The checksums that stop the tail are SQLite's; ours come after them. Sabotage: start with an empty log when
/// its tail is damaged (delete `events.db-wal` before opening).
#[test]
fn a_torn_log_tail_loses_nothing_before_the_damage_and_invents_nothing() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    // The length of the log after each acknowledged event.
    let wal = dir.path().join("events.db-wal");
    let mut lengths = Vec::new();
    for number in 0..12 {
        store_all(&store, website(1), &[numbered(number)]);
        lengths.push(fs::metadata(&wal).unwrap().len());
    }
    let image = TempDir::new().unwrap();
    copy_dir(dir.path(), image.path());
    let full = fs::read(image.path().join("events.db-wal")).unwrap();
    let tail = lengths[8] as usize;
    let variants = (tail..full.len()).step_by(521).flat_map(|at| [(at, None), (at, Some(0xffu8)), (at, Some(1))]);
    for (at, flip) in variants {
        let mut damaged = full.clone();
        match flip {
            None => damaged.truncate(at),
            Some(bits) => damaged[at] ^= bits,
        }
        let copy = TempDir::new().unwrap();
        copy_dir(image.path(), copy.path());
        fs::write(copy.path().join("events.db-wal"), damaged).unwrap();
        let paths = stored_paths(&open(copy.path()));
        let intact = lengths.iter().filter(|&&length| length as usize <= at).count();
        assert!(paths.len() >= intact, "{at} {flip:?}: {paths:?}");
        for (path, count) in &paths {
            assert_eq!(*count, 1);
            assert!((0..12).any(|number| path_of(number) == *path), "invented {path}");
        }
    }
}

/// Sabotage: leave the checksum out of `codec::decode`: a changed string passes for an event.
#[test]
fn a_damaged_batch_is_refused() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    store_all(&store, website(1), &(0..50).map(numbered).collect::<Vec<_>>());
    drop(store);
    let database = dir.path().join("events.db");
    let mut bytes = fs::read(&database).unwrap();
    // The payload begins with its version and ends the page's cell; zstd's magic number marks it.
    let payload = bytes.windows(4).position(|window| window == [0x28, 0xb5, 0x2f, 0xfd]).unwrap();
    bytes[payload + 40] ^= 1;
    fs::write(&database, bytes).unwrap();
    let refused = EmbeddedStore::open(EmbeddedConfig::new(dir.path()), clock());
    let error = refused.map(|_| ()).unwrap_err();
    assert!(matches!(&error, OpenError::Damaged { what, .. } if what.contains("batch")), "{error}");
    assert_eq!(error.to_string().lines().count(), 1);
}

/// Sabotage: leave the comparison of the checksum out of `Segment::pages`.
#[test]
fn a_changed_byte_of_a_segment_is_an_error_and_never_another_number() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    // Website 1 has a row group of its own, 2 and 3 share one.
    store_all(&store, website(1), &(0..20_000).map(numbered).collect::<Vec<_>>());
    for site in [2, 3] {
        store_all(&store, website(site), &(0..50).map(numbered).collect::<Vec<_>>());
    }
    store.shutdown();
    let expected: Vec<_> = (1..=3).map(|site| numbers(&store, site).unwrap()).collect();
    drop(store);

    let [file] = &segment_files(dir.path())[..] else { panic!("one segment") };
    let file = fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let length = file.metadata().unwrap().len();
    let store = open_without_cache(dir.path());
    let mut damaged = [0; 3];
    for at in (0..length).step_by(length as usize / 300) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
        for site in 1..=3u8 {
            match numbers(&store, site) {
                Ok(numbers) => assert_eq!(numbers, expected[usize::from(site) - 1], "byte {at}"),
                Err(QueryError::Damaged(what)) => {
                    assert!(what.to_string().contains("segment 0000000000000001"), "{what}");
                    damaged[usize::from(site) - 1] += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        file.write_all_at(&byte, at).unwrap();
    }
    // The columns that were asked for are most of the file; what is left of it are columns that were not.
    assert!(damaged[0] > 150, "{damaged:?}");
    assert!((1..=3).all(|site| numbers(&store, site).as_ref() == Ok(&expected[usize::from(site) - 1])));
}

/// The totals and the pages of a website.
fn numbers(store: &EmbeddedStore, site: u8) -> Result<(Answer, Answer), QueryError> {
    let pages = GroupBy::by(Dimension::Path);
    let ask = |question| store.query(website(site), &ever(question), &Budget::unlimited());
    Ok((ask(Question::Overview)?, ask(Question::Breakdown(pages))?))
}

/// A store that reads its files for every query.
fn open_without_cache(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(EmbeddedConfig::new(dir).with(|config| config.cache_bytes = 0), clock()).unwrap()
}

/// Sabotage: leave out what cannot be read, in `View::prepare`.
#[test]
fn a_live_segment_that_shrinks_is_a_refused_query() {
    let dir = TempDir::new().unwrap();
    let store = open_without_cache(dir.path());
    store_all(&store, website(1), &(0..500).map(numbered).collect::<Vec<_>>());
    store.seal().unwrap();
    store_all(&store, website(2), &(0..5).map(numbered).collect::<Vec<_>>());
    store.seal().unwrap();
    assert_eq!(totals(&store, website(1)).pageviews, 500);
    let [first, _second] = &segment_files(dir.path())[..] else { panic!("two segments") };
    fs::OpenOptions::new().write(true).open(first).unwrap().set_len(100).unwrap();
    assert!(matches!(numbers(&store, 1), Err(QueryError::Damaged(_))));
    assert_eq!(totals(&store, website(2)).pageviews, 5);
    store_all(&store, website(2), &[numbered(6)]);
    drop(store);
    // Also when it is opened short, and when it is gone.
    let store = open(dir.path());
    assert!(matches!(numbers(&store, 1), Err(QueryError::Damaged(_))));
    fs::remove_file(first).unwrap();
    assert!(matches!(numbers(&store, 1), Err(QueryError::Damaged(_))));
    assert_eq!(totals(&store, website(2)).pageviews, 6);
}

/// Sabotage: do not call `settle`.
#[test]
fn leftovers_are_swept_at_start_and_nothing_else_is() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    store_all(&store, website(1), &[numbered(1)]);
    store.shutdown();
    drop(store);
    let segments = dir.path().join("segments");
    fs::write(segments.join("00000000000000ff.tmp"), b"half").unwrap();
    fs::write(segments.join("notes.txt"), b"not ours").unwrap();
    let store = open(dir.path());
    let names: Vec<_> =
        segment_files(dir.path()).iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["0000000000000001.parquet", "notes.txt"]);
    assert_eq!(totals(&store, website(1)).pageviews, 1);
}

/// The points at which a sealing or merging process can die. Sabotage: delete the batches, or remove the old
/// files, before the transaction (loses events); register without `sealed_seq`, or without removing the merged segments
/// (doubles them).
#[test]
fn a_death_at_any_point_of_sealing_or_merging_loses_nothing_and_doubles_nothing() {
    use FaultPoint::{SegmentCleanup, SegmentRegister, SegmentRename, SegmentWrite};
    for deadly in [SegmentWrite, SegmentRename, SegmentRegister, SegmentCleanup] {
        for merging in [false, true] {
            let dir = TempDir::new().unwrap();
            let armed = Arc::new(AtomicUsize::new(0));
            let arm = Arc::clone(&armed);
            let store = open_with(dir.path(), move |point| match arm.load(Ordering::SeqCst) {
                1 if point == deadly => Err(io::Error::other("died here")),
                // Only this test's own merges.
                _ if std::thread::current().name() == Some("events-merger") => Err(io::Error::other("not now")),
                _ => Ok(()),
            });
            let mut count = 0;
            for _ in 0..4 {
                store_all(&store, website(1), &(count..count + 10).map(numbered).collect::<Vec<_>>());
                count += 10;
                store.seal().unwrap();
            }
            if !merging {
                store_all(&store, website(1), &(count..count + 10).map(numbered).collect::<Vec<_>>());
                count += 10;
            }
            armed.store(1, Ordering::SeqCst);
            let died = if merging { store.merge().is_err() } else { store.seal().is_err() };
            assert_eq!(died, merging || deadly != SegmentCleanup, "{deadly:?}");
            let check = |store: &EmbeddedStore| {
                let paths = stored_paths(store);
                assert_eq!(paths.len(), count, "{deadly:?}, merging {merging}");
                assert!(paths.iter().all(|(_, pageviews)| *pageviews == 1), "{deadly:?}, merging {merging}");
            };
            check(&store);
            let image = TempDir::new().unwrap();
            copy_dir(dir.path(), image.path());
            let reopened = open(image.path());
            check(&reopened);
            assert_eq!(segment_files(image.path()).len() as u64, reopened.stats().segments);
            reopened.seal().unwrap();
            reopened.merge().unwrap();
            check(&reopened);
            drop(reopened);
            check(&open(image.path()));
            // The store that met the fault goes on when it was only a fault.
            armed.store(0, Ordering::SeqCst);
            store.seal().unwrap();
            check(&store);
        }
    }
}

/// Sabotage: give the log back in `Failed::Poisoned` and go on with it.
#[test]
fn after_a_failed_commit_nothing_is_stored_until_restart() {
    let dir = TempDir::new().unwrap();
    let commits = AtomicUsize::new(0);
    let store = open_with(dir.path(), move |point| match point {
        FaultPoint::Commit if commits.fetch_add(1, Ordering::SeqCst) == 2 => Err(io::Error::from_raw_os_error(5)),
        _ => Ok(()),
    });
    store_all(&store, website(1), &[numbered(0)]);
    store_all(&store, website(1), &[numbered(1)]);
    assert!(store.stats().writable);
    for number in 2..5 {
        let refused = append(&store, vec![arriving(website(1), numbered(number))]);
        assert_eq!(refused, Err(AppendError::Poisoned));
    }
    assert!(!store.stats().writable);
    assert!(store.seal().is_err());
    assert_eq!(totals(&store, website(1)).pageviews, 2, "reads go on");
    assert!(EmbeddedStore::open(EmbeddedConfig::new(dir.path()), clock()).is_err(), "the directory stays ours");
    drop(store);
    let store = open(dir.path());
    assert_eq!(totals(&store, website(1)).pageviews, 2);
    store_all(&store, website(1), &[numbered(5)]);
    assert_eq!(totals(&store, website(1)).pageviews, 3);
}

/// Simulated. Sabotage: treat a full disk like any other error.
#[test]
fn a_full_disk_refuses_and_recovers_by_itself() {
    let dir = TempDir::new().unwrap();
    let full = Arc::new(AtomicUsize::new(0));
    let is_full = Arc::clone(&full);
    let store = open_with(dir.path(), move |_| match is_full.load(Ordering::SeqCst) {
        0 => Ok(()),
        _ => Err(io::ErrorKind::StorageFull.into()),
    });
    store_all(&store, website(1), &[numbered(0)]);
    full.store(1, Ordering::SeqCst);
    assert_eq!(append(&store, vec![arriving(website(1), numbered(1))]), Err(AppendError::DiskFull));
    assert!(!store.stats().writable);
    assert!(store.seal().is_err());
    assert_eq!(totals(&store, website(1)).pageviews, 1, "what waits to be sealed is in every answer");
    full.store(0, Ordering::SeqCst);
    store_all(&store, website(1), &[numbered(2)]);
    assert!(store.stats().writable);
    store.seal().unwrap();
    assert_eq!(stored_paths(&store).len(), 2);
}

/// On a file system that is really full. Sabotage: treat SQLite's full disk like any other error, or do
/// not probe for space.
#[test]
fn a_small_file_system_fills_up_and_every_receipt_is_true() {
    let Some(disk) = SmallDisk::mount("12m") else { return };
    let dir = disk.path().join("store");
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![7; 4 << 20]).unwrap();
    let store = open(&dir);
    let mut stored = Vec::new();
    let fill = |stored: &mut Vec<usize>| {
        let from = stored.len();
        for number in (from..from + 40_000).step_by(100) {
            // Texts that do not compress.
            let events: Vec<Event> = (number..number + 100)
                .map(|number| {
                    let noise = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                    let mut event = numbered(number);
                    event.dimensions.set(Dimension::Title, &format!("{noise:x}{:x}", noise.wrapping_mul(31)));
                    event
                })
                .collect();
            match append(&store, events.into_iter().map(|event| arriving(website(1), event)).collect()) {
                Ok(_) => stored.extend(number..number + 100),
                Err(AppendError::DiskFull) => return true,
                Err(other) => panic!("{other}"),
            }
        }
        false
    };
    while !fill(&mut stored) {
        assert!(stored.len() < 2_000_000, "12 MB are never full");
    }
    assert_eq!(totals(&store, website(1)).pageviews as usize, stored.len());
    fs::remove_file(&ballast).unwrap();
    // Ready again without an event to try it on.
    let patience = std::time::Instant::now() + Duration::from_secs(60);
    while !store.stats().writable {
        assert!(std::time::Instant::now() < patience, "never ready, with space");
        std::thread::yield_now();
    }
    let next = stored.len();
    store_all(&store, website(1), &[numbered(next)]);
    stored.push(next);
    drop(store);
    let store = open(&dir);
    let paths = stored_paths(&store);
    assert_eq!(paths.len(), stored.len());
    assert!(paths.iter().all(|(_, count)| *count == 1));
}

/// Where one page has room and events have none, readiness does not come and go. Sabotage: probe with a page.
#[test]
fn a_disk_with_room_for_a_page_alone_stays_full() {
    let Some(disk) = SmallDisk::mount("8m") else { return };
    let looks = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&looks);
    let store = open_with(&disk.path().join("store"), move |point| {
        if point == FaultPoint::Commit {
            counts.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    });
    store_all(&store, website(1), &[numbered(0)]);
    let path = disk.path().join("ballast");
    let mut ballast = fs::File::create(&path).unwrap();
    while ballast.write_all(&[7; 4096]).is_ok() {}
    ballast.set_len(ballast.metadata().unwrap().len() - (12 << 10)).unwrap();
    drop(ballast);
    let noise = |number: usize| {
        let mut event = numbered(number);
        event.dimensions.set(Dimension::Title, &format!("{:x}", (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        arriving(website(1), event)
    };
    assert_eq!(append(&store, (1..8_000).map(noise).collect()), Err(AppendError::DiskFull));
    // It looks before the second time when it has looked the first.
    let refused = looks.load(Ordering::SeqCst);
    let patience = std::time::Instant::now() + Duration::from_secs(60);
    while looks.load(Ordering::SeqCst) < refused + 2 {
        assert!(!store.stats().writable);
        assert!(std::time::Instant::now() < patience, "it never looks");
        std::thread::yield_now();
    }
    fs::remove_file(&path).unwrap();
    while !store.stats().writable {
        assert!(std::time::Instant::now() < patience, "never ready, with space");
        std::thread::yield_now();
    }
    store_all(&store, website(1), &[numbered(1)]);
    assert_eq!(totals(&store, website(1)).pageviews, 2);
}

/// Sabotage: do not look at the disk when a store is opened.
#[test]
fn a_store_that_is_opened_on_a_full_disk_is_not_writable_until_there_is_room() {
    let Some(disk) = SmallDisk::mount("8m") else { return };
    let dir = disk.path().join("store");
    let store = open(&dir);
    store_all(&store, website(1), &[numbered(0)]);
    drop(store);
    let path = disk.path().join("ballast");
    let mut ballast = fs::File::create(&path).unwrap();
    while ballast.write_all(&[7; 4096]).is_ok() {}
    // What the log needs to be opened.
    ballast.set_len(ballast.metadata().unwrap().len() - (64 << 10)).unwrap();
    drop(ballast);
    let store = open(&dir);
    assert!(!store.stats().writable, "before the first event");
    assert_eq!(totals(&store, website(1)).pageviews, 1);
    fs::remove_file(&path).unwrap();
    let patience = std::time::Instant::now() + Duration::from_secs(60);
    while !store.stats().writable {
        assert!(std::time::Instant::now() < patience, "never ready, with space");
        std::thread::yield_now();
    }
    store_all(&store, website(1), &[numbered(1)]);
}

/// A file system in memory.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(dir)),
            other => {
                assert!(std::env::var_os("CI").is_none(), "cannot mount a file system: {other:?}");
                eprintln!("NOT TESTED: this needs the right to mount a tmpfs: {other:?}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

/// Sabotage: prefer the later source among rows of the same time when merging.
#[test]
fn a_clock_that_jumps_loses_and_reorders_nothing() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let open = || {
        let config = EmbeddedConfig::new(dir.path()).with(|config| config.merge_fan_in = 2);
        EmbeddedStore::open(config, Arc::clone(&clock) as Arc<dyn Clock>).unwrap()
    };
    let mut store = open();
    let hour_ms = 3_600_000;
    for (number, jump_ms) in
        [0, -hour_ms, 24 * hour_ms, -400 * 24 * hour_ms, 31 * 24 * hour_ms, 5, -7, 0].into_iter().enumerate()
    {
        clock.advance_ms(jump_ms);
        // All at the same time: only the order of arrival tells them apart.
        let mut event = pageview(NOW_MS, 1, 1, "/");
        event.dimensions.set(Dimension::Title, &number.to_string());
        append(&store, vec![zenovay_events::NewEvent::new(website(1), clock.now(), event)]).unwrap();
        if number % 2 == 1 {
            store.seal().unwrap();
        }
        if number % 3 == 2 {
            drop(store);
            store = open();
        }
        assert_eq!(last_title(&store), (number as u64 + 1, number.to_string()));
    }
    while store.merge().unwrap() {}
    assert_eq!(store.stats().segments, 1, "merged");
    assert_eq!(last_title(&store), (8, "7".to_owned()));
}

/// The pageviews of `/` and the title seen last with it.
fn last_title(store: &EmbeddedStore) -> (u64, String) {
    let pages = GroupBy::by(Dimension::Path).metrics([Metric::Title]).limit(1);
    match store.query(website(1), &ever(Question::Breakdown(pages)), &Budget::unlimited()) {
        Ok(Answer::Breakdown(mut breakdown)) => {
            let row = breakdown.rows.remove(0);
            (row.metrics.pageviews, row.title.unwrap())
        }
        other => panic!("{other:?}"),
    }
}

/// Sabotage: `locking_mode=NORMAL`.
#[test]
fn a_second_store_on_the_directory_is_refused_in_one_line() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let error = EmbeddedStore::open(EmbeddedConfig::new(dir.path()), clock()).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    assert_eq!(error.to_string().lines().count(), 1);
    store_all(&store, website(1), &[numbered(1)]);
    drop(store);
    assert_eq!(totals(&open(dir.path()), website(1)).pageviews, 1);
}

/// Sabotage: read any format.
#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path()));
    let database = dir.path().join("events.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.execute("UPDATE meta SET value = 99 WHERE name = 'format'", []).unwrap();
    drop(connection);
    let before = fs::read(&database).unwrap();
    let error = EmbeddedStore::open(EmbeddedConfig::new(dir.path()), clock()).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { .. }), "{error}");
    assert!(error.to_string().contains("format 99, this version reads 2 to 4"), "{error}");
    assert_eq!(fs::read(&database).unwrap(), before);
}

/// Sabotage: `secure_delete=OFF`; no checkpoint in `scrub`; keep the old segment file.
#[test]
fn an_erased_visitor_is_in_no_file() {
    // Random bytes are not compressed, so they can be looked for.
    const ERASED: u64 = 0xd7a1_4be9_63f8_05c3;
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let secret = |number: i64| {
        event(EventKind::Custom, NOW_MS + number, ERASED, 77, &[(Dimension::EventName, "kX9#qPz!vW3@mT7$")])
    };
    let occurrences = |needle: &[u8]| -> usize {
        let mut files = segment_files(dir.path());
        files.extend(["events.db", "events.db-wal"].map(|name| dir.path().join(name)));
        files
            .iter()
            .map(|file| fs::read(file).unwrap().windows(needle.len()).filter(|window| *window == needle).count())
            .sum()
    };
    let mut varint = Vec::new();
    let mut rest = ERASED;
    while rest >= 0x80 {
        varint.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    varint.push(rest as u8);

    store_all(&store, website(1), &[secret(0)]);
    store_all(&store, website(1), &[numbered(0)]);
    store.seal().unwrap();
    assert!(occurrences(&ERASED.to_le_bytes()) > 0, "the segment has it");
    store_all(&store, website(1), &[secret(1)]);
    store_all(&store, website(1), &[numbered(1)]);
    assert!(occurrences(&varint) > 1, "the log has it");

    store.erase_visitor(website(1), VisitorId(ERASED)).unwrap();
    assert_eq!(occurrences(&ERASED.to_le_bytes()), 0);
    assert_eq!(occurrences(&varint), 0);
    assert_eq!(occurrences(b"kX9#qPz!vW3@mT7$"), 0);
    assert_eq!(totals(&store, website(1)).events, 2);
}

/// Sabotage: do not count the rows of the queue.
#[test]
fn a_full_queue_is_refused_at_once_and_what_waits_is_stored() {
    let dir = TempDir::new().unwrap();
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock();
    let door = Arc::clone(&gate);
    let config = EmbeddedConfig::new(dir.path()).with(|config| config.queue_rows = 10).with_faults(Arc::new(Rule(
        move |point| {
            if point == FaultPoint::Commit {
                drop(door.lock());
            }
            Ok(())
        },
    )));
    let store = EmbeddedStore::open(config, clock()).unwrap();
    let mut receipts = Vec::new();
    let mut refused = 0;
    for number in 0..40 {
        let event = arriving(website(1), numbered(number));
        match store.try_append(vec![event.clone()]) {
            Ok(receipt) => receipts.push(receipt),
            Err(back) => {
                assert_eq!(back, AppendRefused::new(AppendError::QueueFull, vec![event]));
                refused += 1;
            }
        }
    }
    drop(closed);
    // At most two commits' worth were taken from the queue before the gate held the writer.
    assert!(refused >= 15, "{refused}");
    let accepted = receipts.len() as u64;
    for receipt in receipts {
        assert_eq!(receipt.wait(), Ok(vec![AppendOutcome::Stored]));
    }
    assert_eq!(totals(&store, website(1)).pageviews, accepted);
}

/// Sabotage: do not ask `head_is_full`.
#[test]
fn a_head_that_cannot_be_sealed_stops_growing() {
    let dir = TempDir::new().unwrap();
    let stuck = Arc::new(AtomicUsize::new(1));
    let is_stuck = Arc::clone(&stuck);
    let rule = Rule(move |point| match point {
        FaultPoint::SegmentWrite if is_stuck.load(Ordering::SeqCst) == 1 => Err(io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    });
    let config = EmbeddedConfig::new(dir.path()).with(|config| {
        config.seal_rows = 100;
        config.head_rows_max = 100;
    });
    let config = config.with_faults(Arc::new(rule));
    let store = EmbeddedStore::open(config, clock()).unwrap();
    let mut accepted = 0;
    for number in 0..200 {
        match append(&store, vec![arriving(website(1), numbered(number))]) {
            Ok(_) => accepted += 1,
            Err(error) => assert_eq!(error, AppendError::QueueFull),
        }
    }
    assert_eq!(accepted, 100);
    assert!(!store.stats().writable);
    stuck.store(0, Ordering::SeqCst);
    store.seal().unwrap();
    store_all(&store, website(1), &[numbered(200)]);
    assert_eq!(totals(&store, website(1)).pageviews, 101);
}

/// Sabotage: publish a new segment and drop its head in two states instead of one; send receipts before the head has the
/// events.
#[test]
fn queries_see_every_acknowledged_event_once_while_everything_moves() {
    let dir = TempDir::new().unwrap();
    let config = EmbeddedConfig::new(dir.path()).with(|config| {
        config.seal_rows = 400;
        config.cache_bytes = 1 << 20;
    });
    let store = EmbeddedStore::open(config, clock()).unwrap();
    let acknowledged = AtomicI64::new(0);
    let sent = AtomicI64::new(0);
    const EVENTS: usize = 6_000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in (0..EVENTS).step_by(20) {
                sent.store(number as i64 + 20, Ordering::SeqCst);
                store_all(&store, website(1), &(number..number + 20).map(numbered).collect::<Vec<_>>());
                acknowledged.store(number as i64 + 20, Ordering::SeqCst);
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while acknowledged.load(Ordering::SeqCst) < EVENTS as i64 {
                    let before = acknowledged.load(Ordering::SeqCst);
                    let counted = totals(&store, website(1)).pageviews as i64;
                    let after = sent.load(Ordering::SeqCst);
                    assert!(before <= counted && counted <= after, "{before} <= {counted} <= {after}");
                }
            });
        }
        scope.spawn(|| {
            while acknowledged.load(Ordering::SeqCst) < EVENTS as i64 {
                store.merge().unwrap();
                std::thread::yield_now();
            }
        });
    });
    store.seal().unwrap();
    while store.merge().unwrap() {}
    let paths = stored_paths(&store);
    assert_eq!(paths.len(), EVENTS);
    assert!(paths.iter().all(|(_, count)| *count == 1));
}

/// Sabotage: never evict.
#[test]
fn decoded_columns_keep_to_their_budget() {
    let dir = TempDir::new().unwrap();
    let config = EmbeddedConfig::new(dir.path()).with(|config| config.cache_bytes = 300_000);
    let store = EmbeddedStore::open(config, clock()).unwrap();
    for site in 0..20 {
        store_all(&store, website(site), &(0..1_000).map(numbered).collect::<Vec<_>>());
    }
    store.seal().unwrap();
    for round in 0..3 {
        for site in 0..20 {
            assert_eq!(totals(&store, website(site)).pageviews, 1_000, "round {round}");
            assert!(store.stats().cache_bytes <= 300_000);
        }
    }
    assert!(store.stats().cache_bytes > 100_000, "and use it");
    for made_up in 100..200 {
        assert_eq!(totals(&store, website(made_up)).pageviews, 0);
    }
}

/// Sabotage: seal by rows only.
#[test]
fn an_old_head_is_sealed_without_being_asked() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (sealed, seals) = std::sync::mpsc::channel();
    struct Sealed(std::sync::mpsc::Sender<u64>);
    impl zenovay_events::Observer for Sealed {
        fn sealed(&self, rows: u64, _time: Duration) {
            let _ = self.0.send(rows);
        }
    }
    let config = EmbeddedConfig::new(dir.path()).with(|config| config.observer = Some(Arc::new(Sealed(sealed))));
    let store = EmbeddedStore::open(config, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    store_all(&store, website(1), &[numbered(0)]);
    assert!(seals.try_recv().is_err());
    clock.advance_ms(3_600_000);
    assert_eq!(seals.recv_timeout(Duration::from_secs(60)), Ok(1));
    assert_eq!(store.stats().segments, 1);
}

/// Sabotage: call the observer without `EmbeddedConfig::tell`: the first commit ends the writer.
#[test]
fn an_observer_that_panics_stops_nothing() {
    #[derive(Default)]
    struct Panicking(AtomicUsize);

    impl Observer for Panicking {
        fn committed(&self, _: usize, _: Duration) {
            self.0.fetch_add(1, Ordering::SeqCst);
            panic!("an observer of an embedder");
        }

        fn sealed(&self, _: u64, _: Duration) {
            panic!("an observer of an embedder");
        }

        fn merged(&self, _: u64, _: Duration) {
            panic!("an observer of an embedder");
        }
    }

    let dir = TempDir::new().unwrap();
    let observer = Arc::new(Panicking::default());
    let told: Arc<dyn Observer> = observer.clone();
    let config = EmbeddedConfig::new(dir.path()).with(|config| {
        config.observer = Some(told);
        config.merge_fan_in = 2;
    });
    let store = EmbeddedStore::open(config, clock()).unwrap();
    for number in 0..4 {
        store_all(&store, website(1), &[numbered(number)]);
        assert!(store.seal().unwrap());
    }
    while store.merge().unwrap() {}
    store_all(&store, website(1), &[numbered(4)]);
    assert!(store.stats().writable);
    assert_eq!((totals(&store, website(1)).pageviews, observer.0.load(Ordering::SeqCst)), (5, 5));
}

/// A writer that panics gives back the events of the commit and those that wait. Sabotage: drop the jobs in `InHand` or in
/// `Queue::abandon`.
#[test]
fn a_writer_that_panics_gives_all_events_back() {
    let dir = TempDir::new().unwrap();
    let (entered, is_entered) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let store = open_with(dir.path(), move |point| {
        if point == FaultPoint::Commit {
            entered.send(()).unwrap();
            may_go_on.lock().recv().unwrap();
            panic!("in the middle of a commit");
        }
        Ok(())
    });
    let new = |number| vec![arriving(website(1), numbered(number))];
    let in_hand = store.try_append(new(0)).unwrap();
    is_entered.recv().unwrap();
    let waiting = store.try_append(new(1)).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(in_hand.wait(), Err(AppendRefused::new(AppendError::Poisoned, new(0))));
    assert_eq!(waiting.wait(), Err(AppendRefused::new(AppendError::Poisoned, new(1))));
    let later = store.append(new(2)).wait().unwrap_err();
    assert_eq!(later.events, new(2));
}
