//! Catalog and files that do not belong together: nothing is served, nothing is deleted, and `repair` saves what there
//! is, each event once. Each test names the sabotage that turns it red; each was tried.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use zenovay_domain::{Dimension, Event, ManualClock, Timestamp, VisitorId};
use zenovay_events::conformance::{expire, pageview, store_all, values, website};
use zenovay_events::testing::{FaultPoint, Faults};
use zenovay_events::{
    EmbeddedConfig, EmbeddedStore, EventStore, Kept, OpenError, RepairError, Retained, repair, verify,
};

use common::{copy_dir, segment_files};

const NOW_MS: i64 = 1_774_746_000_000;

fn config(dir: &Path) -> EmbeddedConfig {
    // Merges happen when they are asked for.
    EmbeddedConfig::new(dir).with(|config| {
        config.group_rows = 256;
        config.merge_fan_in = 3;
    })
}

fn try_open(dir: &Path) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open(config(dir), Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS))))
}

fn open(dir: &Path) -> EmbeddedStore {
    try_open(dir).unwrap()
}

fn numbered(number: u64) -> Event {
    pageview(NOW_MS + number as i64, number % 11 % 5, number % 11, &format!("/page/{number}"))
}

fn add(store: &EmbeddedStore, numbers: std::ops::Range<u64>) {
    for site in 1..=2 {
        store_all(store, website(site), &numbers.clone().map(numbered).collect::<Vec<_>>());
    }
}

/// How often each page of website 1 was viewed.
fn pages(store: &EmbeddedStore) -> BTreeMap<String, u64> {
    let of = |site| values(store, website(site), Dimension::Path).into_iter().collect::<BTreeMap<_, _>>();
    assert_eq!(of(1), of(2), "the websites were given the same");
    of(1)
}

fn all(numbers: std::ops::Range<u64>) -> BTreeMap<String, u64> {
    numbers.map(|number| (format!("/page/{number}"), 1)).collect()
}

/// The bytes of every file below `dir`.
fn image(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// Opening is refused with an error that `is_expected`, in one line, and changes no file.
fn assert_refused(dir: &Path, is_expected: impl Fn(&OpenError) -> bool) {
    let before = image(dir);
    let error = try_open(dir).map(|_| ()).unwrap_err();
    assert!(is_expected(&error), "{error:?}");
    assert_eq!(error.to_string().lines().count(), 1);
    let mut after = image(dir);
    // An empty log beside it says nothing.
    after.retain(|path, bytes| before.contains_key(path) || !bytes.is_empty());
    assert!(after.keys().eq(before.keys()), "{:?}", after.keys());
    let segments = |image: &BTreeMap<PathBuf, Vec<u8>>| -> Vec<Vec<u8>> {
        image
            .iter()
            .filter(|(path, _)| path.extension().is_some_and(|end| end == "parquet"))
            .map(|(_, b)| b.clone())
            .collect()
    };
    assert_eq!(segments(&after), segments(&before));
}

/// After a repair the store opens with `expected`, all is whole, a second repair finds nothing to do, and the store
/// goes on.
fn assert_whole(dir: &Path, expected: &BTreeMap<String, u64>) {
    let store = open(dir);
    assert_eq!(pages(&store), *expected);
    add(&store, 90_000..90_002);
    store.seal().unwrap();
    while store.merge().unwrap() {}
    let mut more = expected.clone();
    more.extend(all(90_000..90_002));
    assert_eq!(pages(&store), more);
    drop(store);
    assert_eq!(verify(dir).unwrap().damages, Vec::<String>::new());
    let again = repair(dir).unwrap();
    assert!(!again.is_changed && again.lost.is_empty(), "{again:?}");
    assert_eq!(pages(&open(dir)), more);
}

fn events_db(dir: &Path) -> PathBuf {
    dir.join("events.db")
}

/// A store with two segments and nothing in the log.
fn sealed(dir: &Path) {
    let store = open(dir);
    add(&store, 0..300);
    store.seal().unwrap();
    add(&store, 300..340);
    store.shutdown();
}

/// Sabotage: make a log when there is none, whatever stands beside it.
#[test]
fn a_lost_catalog_is_refused_and_rebuilt_from_the_files() {
    type Loss = fn(&Path);
    let losses: [(&str, Loss); 4] = [
        ("moved away", |dir| fs::rename(events_db(dir), dir.join("elsewhere")).unwrap()),
        ("empty", |dir| fs::write(events_db(dir), b"").unwrap()),
        ("an empty database", |dir| {
            fs::remove_file(events_db(dir)).unwrap();
            let connection = rusqlite::Connection::open(events_db(dir)).unwrap();
            connection.execute_batch("CREATE TABLE other (a); DROP TABLE other").unwrap();
        }),
        ("that of a new store", |dir| {
            let other = TempDir::new().unwrap();
            drop(open(other.path()));
            fs::copy(events_db(other.path()), events_db(dir)).unwrap();
        }),
    ];
    for (how, lose) in losses {
        let dir = TempDir::new().unwrap();
        sealed(dir.path());
        let catalog = fs::read(events_db(dir.path())).unwrap();
        lose(dir.path());
        assert_refused(dir.path(), |error| {
            matches!(error, OpenError::NoCatalog { files: 2, .. } | OpenError::Strangers { .. })
        });
        // Put back, all is as it was.
        let copy = TempDir::new().unwrap();
        copy_dir(dir.path(), copy.path());
        fs::write(events_db(copy.path()), catalog).unwrap();
        assert_eq!(pages(&open(copy.path())), all(0..340), "{how}");

        let repaired = repair(dir.path()).unwrap();
        assert_eq!(
            (repaired.segments, repaired.segment_rows, repaired.saved.len()),
            (2, 680, 2),
            "{how}: {repaired:?}"
        );
        assert_whole(dir.path(), &all(0..340));
    }
}

/// Sabotage: leave the batches of taken files in the log; give a segment no origin; take files in the order of their
/// ids.
#[test]
fn an_older_catalog_is_refused_and_completed_without_doubles() {
    let dir = TempDir::new().unwrap();
    let olds: Vec<TempDir> = (0..6).map(|_| TempDir::new().unwrap()).collect();
    let keep = |number: usize| copy_dir(dir.path(), olds[number].path());
    let store = open(dir.path());
    add(&store, 0..10);
    // In the log only.
    keep(0);
    store.seal().unwrap();
    keep(1);
    add(&store, 10..20);
    // Half of a segment to come in a segment, half in the log.
    keep(2);
    store.seal().unwrap();
    drop(store);
    let store = open(dir.path());
    add(&store, 20..30);
    keep(3);
    store.seal().unwrap();
    keep(4);
    while store.merge().unwrap() {}
    assert_eq!(store.stats().segments, 1);
    keep(5);
    add(&store, 30..40);
    store.seal().unwrap();
    store.erase_visitor(website(1), VisitorId(3)).unwrap();
    store.erase_visitor(website(2), VisitorId(3)).unwrap();
    let expected = pages(&store);
    assert_eq!(expected.len(), 33);
    drop(store);
    for (number, old) in olds.iter().enumerate() {
        for name in ["events.db", "events.db-wal"] {
            fs::copy(old.path().join(name), dir.path().join(name)).unwrap();
        }
        assert_refused(dir.path(), |error| matches!(error, OpenError::Strangers { .. }));
        assert!(!verify(dir.path()).unwrap().damages.is_empty(), "it is also what `check` says");
        let copy = TempDir::new().unwrap();
        copy_dir(dir.path(), copy.path());
        let repaired = repair(copy.path()).unwrap();
        assert_eq!(repaired.lost, Vec::<String>::new(), "catalog {number}");
        assert_whole(copy.path(), &expected);
        // The old files came back too: what was merged and erased later wins.
        let both = TempDir::new().unwrap();
        copy_dir(dir.path(), both.path());
        copy_dir(&old.path().join("segments"), &both.path().join("segments"));
        let repaired = repair(both.path()).unwrap();
        assert_eq!(repaired.lost, Vec::<String>::new(), "catalog {number}");
        assert_whole(both.path(), &expected);
    }
}

/// An older catalog goes on by itself, beside copies of the files that it did not know: what comes later is other
/// events, although it has the same numbers. Sabotage: leave the run out of `Batches`.
#[test]
fn copies_of_a_store_that_went_on_apart_are_told_apart() {
    let (left, right) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = open(left.path());
    add(&store, 0..10);
    store.seal().unwrap();
    drop(store);
    copy_dir(left.path(), right.path());
    for (dir, numbers) in [(&left, 10..20), (&right, 20..30)] {
        let store = open(dir.path());
        add(&store, numbers);
        store.seal().unwrap();
    }
    let files = segment_files(right.path());
    fs::copy(&files[1], left.path().join("segments/00000000000000aa.parquet")).unwrap();
    assert_refused(left.path(), |error| matches!(error, OpenError::Strangers { .. }));
    let repaired = repair(left.path()).unwrap();
    assert_eq!((repaired.saved.len(), repaired.lost.len()), (1, 0), "{repaired:?}");
    assert_whole(left.path(), &all(0..30));
}

/// Sabotage: do not compare the ids of stores.
#[test]
fn files_of_another_store_are_refused_and_set_aside() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    sealed(dir.path());
    let store = open(other.path());
    add(&store, 500..900);
    store.shutdown();
    drop(store);
    let foreign = segment_files(other.path()).remove(0);

    // Beside our own.
    let mixed = TempDir::new().unwrap();
    copy_dir(dir.path(), mixed.path());
    fs::copy(&foreign, mixed.path().join("segments/00000000000000bb.parquet")).unwrap();
    assert_refused(mixed.path(), |error| matches!(error, OpenError::Strangers { files, .. } if files.len() == 1));
    let repaired = repair(mixed.path()).unwrap();
    assert_eq!((repaired.set_aside.len(), repaired.lost.len()), (1, 0), "{repaired:?}");
    assert!(!mixed.path().join("events.db.aside-1").exists(), "that one was right");
    let aside = mixed.path().join("segments/orphaned/00000000000000bb.parquet");
    assert_eq!(fs::read(aside).unwrap(), fs::read(&foreign).unwrap());
    assert_whole(mixed.path(), &all(0..340));

    // In the place of one of ours, of the same name.
    let replaced = TempDir::new().unwrap();
    copy_dir(dir.path(), replaced.path());
    fs::copy(&foreign, replaced.path().join("segments/0000000000000001.parquet")).unwrap();
    assert_refused(replaced.path(), |error| matches!(error, OpenError::Strangers { files, .. } if files.len() == 1));
    let repaired = repair(replaced.path()).unwrap();
    assert_eq!(repaired.lost.len(), 1, "{repaired:?}");
    assert!(repaired.lost[0].contains("300 rows of website"), "{repaired:?}");
    assert_whole(replaced.path(), &all(300..340));

    // In the place of all: nobody but a person knows which of both is wrong.
    let swapped = TempDir::new().unwrap();
    copy_dir(dir.path(), swapped.path());
    fs::remove_dir_all(swapped.path().join("segments")).unwrap();
    copy_dir(&other.path().join("segments"), &swapped.path().join("segments"));
    assert_refused(swapped.path(), |error| matches!(error, OpenError::Strangers { .. }));
    let before = segment_files(swapped.path());
    assert!(matches!(repair(swapped.path()), Err(RepairError::Ambiguous(_))));
    assert_eq!(segment_files(swapped.path()), before);
    assert!(!swapped.path().join("events.db.aside-1").exists());
    fs::rename(events_db(swapped.path()), swapped.path().join("wrong.db")).unwrap();
    repair(swapped.path()).unwrap();
    assert_whole(swapped.path(), &all(500..900));
}

/// Sabotage: take the whole file or nothing.
#[test]
fn sound_row_groups_of_a_damaged_file_are_saved() {
    for without_catalog in [false, true] {
        let dir = TempDir::new().unwrap();
        sealed(dir.path());
        let file = segment_files(dir.path()).remove(0);
        let mut bytes = fs::read(&file).unwrap();
        // In the first row group, which website 1 has for itself.
        bytes[60] ^= 1;
        fs::write(&file, bytes).unwrap();
        if without_catalog {
            fs::remove_file(events_db(dir.path())).unwrap();
        }
        let repaired = repair(dir.path()).unwrap();
        let lost: Vec<_> = repaired.lost.iter().filter(|lost| lost.contains("rows of website")).collect();
        assert_eq!(lost.len(), 1, "{repaired:?}");
        assert!(lost[0].contains(": 256 rows of website"), "{lost:?}");
        assert_eq!(repaired.segment_rows, 680 - 256);
        assert!(dir.path().join("segments/orphaned/0000000000000001.parquet").exists());
        let store = open(dir.path());
        let of = |site| values(&store, website(site), Dimension::Path).len();
        assert_eq!((of(1), of(2)), (84, 340));
        drop(store);
        assert_eq!(verify(dir.path()).unwrap().damages, Vec::<String>::new());
        assert!(!repair(dir.path()).unwrap().is_changed);
    }
}

/// Nothing of it is sound. Sabotage: take files without a sound row group.
#[test]
fn a_file_that_is_lost_is_told_once() {
    for without_catalog in [false, true] {
        let dir = TempDir::new().unwrap();
        let store = open(dir.path());
        add(&store, 0..300);
        store.seal().unwrap();
        // Both websites share its row group.
        add(&store, 300..320);
        store.shutdown();
        drop(store);
        let file = segment_files(dir.path()).remove(1);
        let mut bytes = fs::read(&file).unwrap();
        bytes[60] ^= 1;
        fs::write(&file, bytes).unwrap();
        if without_catalog {
            fs::remove_file(events_db(dir.path())).unwrap();
        }
        let repaired = repair(dir.path()).unwrap();
        let lost: Vec<_> = repaired.lost.iter().filter(|lost| lost.contains("20 rows of website")).collect();
        assert_eq!(lost.len(), 1, "{repaired:?}");
        assert!(dir.path().join("segments/orphaned/0000000000000002.parquet").exists());
        assert_whole(dir.path(), &all(0..300));
    }
}

/// Only the footer is damaged: every row is saved. Sabotage: give up files whose footer is damaged.
#[test]
fn a_file_with_a_damaged_footer_is_written_anew() {
    let dir = TempDir::new().unwrap();
    sealed(dir.path());
    let file = segment_files(dir.path()).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    let end = bytes.len() - 30;
    bytes[end] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert_eq!(verify(dir.path()).unwrap().damages.len(), 1);
    let repaired = repair(dir.path()).unwrap();
    assert_eq!((repaired.lost.len(), repaired.segment_rows), (0, 680), "{repaired:?}");
    assert_whole(dir.path(), &all(0..340));
}

/// Sabotage: read the tables in one direction, or stop at the first row that cannot be read.
#[test]
fn of_a_damaged_log_everything_that_can_be_read_is_saved() {
    let original = TempDir::new().unwrap();
    let store = open(original.path());
    add(&store, 0..50);
    store.seal().unwrap();
    for number in 50..250 {
        add(&store, number..number + 1);
    }
    drop(store);
    let length = fs::metadata(events_db(original.path())).unwrap().len() as usize;
    let (mut refused, mut saved_some) = (0, 0);
    for at in (0..length).step_by(length / 25) {
        let dir = TempDir::new().unwrap();
        copy_dir(original.path(), dir.path());
        let mut bytes = fs::read(events_db(dir.path())).unwrap();
        let end = (at + 300).min(length);
        bytes[at..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
        fs::write(events_db(dir.path()), bytes).unwrap();
        if let Err(error) = try_open(dir.path()) {
            assert_eq!(error.to_string().lines().count(), 1);
            refused += 1;
        }
        repair(dir.path()).unwrap();
        // Each website's events are in batches of their own, so one may have lost what the other has.
        let found: BTreeMap<_, _> = values(&open(dir.path()), website(1), Dimension::Path).into_iter().collect();
        assert!(found.values().all(|views| *views == 1), "byte {at}: {found:?}");
        assert!(all(0..50).keys().all(|page| found.contains_key(page)), "byte {at}: the segment is whole");
        saved_some += usize::from(found.len() > 150);
        assert!(!repair(dir.path()).unwrap().is_changed, "byte {at}");
    }
    assert!(refused > 5 && saved_some > 10, "{refused} {saved_some}");
}

/// Sabotage: follow links.
#[test]
fn links_in_the_place_of_files_are_refused_and_not_followed() {
    for name in ["events.db", "segments", "segments/0000000000000001.parquet", "segments/00000000000000aa.tmp"] {
        let (dir, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        sealed(dir.path());
        let (path, target) = (dir.path().join(name), elsewhere.path().join("target"));
        match path.exists() {
            true => fs::rename(&path, &target).unwrap(),
            false => fs::write(&target, b"precious").unwrap(),
        }
        let before = image(elsewhere.path());
        symlink(&target, &path).unwrap();
        assert!(matches!(try_open(dir.path()), Err(OpenError::Symlink(link)) if link == path), "{name}");
        assert!(repair(dir.path()).is_err(), "{name}");
        assert_eq!(image(elsewhere.path()), before, "{name}");
    }
    // The directory itself may be one.
    let (dir, links) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    sealed(dir.path());
    let link = links.path().join("data");
    symlink(dir.path(), &link).unwrap();
    assert_eq!(pages(&open(&link)), all(0..340));
}

/// Sabotage: remove what is noted without a look at what has its rows.
#[test]
fn a_replaced_file_stays_while_what_replaced_it_is_missing() {
    let dir = TempDir::new().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS)));
    let store = EmbeddedStore::open(config(dir.path()).with(|config| config.merge_fan_in = 99), clock).unwrap();
    for number in 0..3 {
        add(&store, number * 10..number * 10 + 10);
        store.seal().unwrap();
    }
    drop(store);
    let files = segment_files(dir.path());
    let kept: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let store = open(dir.path());
    while store.merge().unwrap() {}
    drop(store);
    let merged = segment_files(dir.path()).remove(0);
    fs::remove_file(&merged).unwrap();
    for (file, bytes) in files.iter().zip(&kept) {
        fs::write(file, bytes).unwrap();
    }
    drop(open(dir.path()));
    assert!(files.iter().all(|file| file.exists()));
    let repaired = repair(dir.path()).unwrap();
    assert_eq!(repaired.lost, Vec::<String>::new());
    assert_whole(dir.path(), &all(0..30));
}

/// A store with 300 events in a file and 20 in the log, whose end is in a file of its own.
fn with_a_log(dir: &Path) {
    let machine = TempDir::new().unwrap();
    let store = open(machine.path());
    add(&store, 0..300);
    store.seal().unwrap();
    drop(store);
    let store = open(machine.path());
    add(&store, 300..320);
    // As a process that is killed leaves it.
    copy_dir(machine.path(), dir);
    assert!(fs::metadata(dir.join("events.db-wal")).unwrap().len() > 0);
}

/// Sabotage: begin anew when `events.db` is missing, whatever an interrupted repair has left.
#[test]
fn a_repair_that_died_before_its_last_step_is_completed() {
    for has_files in [true, false] {
        let dir = TempDir::new().unwrap();
        let expected = if has_files { 0..320 } else { 0..20 };
        if has_files {
            with_a_log(dir.path());
        } else {
            add(&open(dir.path()), 0..20);
        }
        let (tail, old_tail) = (dir.path().join("events.db-wal"), b"the end of the old log");
        drop(open(dir.path()));
        // The old one has its new name, the end of its log and the new one do not.
        fs::copy(events_db(dir.path()), dir.path().join("events.db.aside-1")).unwrap();
        fs::rename(events_db(dir.path()), dir.path().join("events.db.new")).unwrap();
        fs::write(&tail, old_tail).unwrap();
        assert_refused(dir.path(), |error| matches!(error, OpenError::NoCatalog { .. }));
        let repaired = repair(dir.path()).unwrap();
        assert_eq!((repaired.is_changed, repaired.log_rows, repaired.lost.len()), (true, 40, 0), "{repaired:?}");
        assert_eq!(fs::read(dir.path().join("events.db.aside-1-wal")).unwrap(), old_tail);
        assert_whole(dir.path(), &all(expected));
    }
}

/// Sabotage: believe the name of a file; move a file over another one.
#[test]
fn files_whose_names_were_mixed_up_are_told_apart() {
    for has_catalog in [true, false] {
        let dir = TempDir::new().unwrap();
        sealed(dir.path());
        let files = segment_files(dir.path());
        let between = dir.path().join("between");
        fs::rename(&files[0], &between).unwrap();
        fs::rename(&files[1], &files[0]).unwrap();
        fs::rename(&between, &files[1]).unwrap();
        if !has_catalog {
            fs::remove_file(events_db(dir.path())).unwrap();
        }
        let repaired = repair(dir.path()).unwrap();
        assert_eq!((repaired.segments, repaired.segment_rows), (2, 680), "{repaired:?}");
        assert!(!has_catalog || repaired.lost.is_empty(), "{repaired:?}");
        assert_whole(dir.path(), &all(0..340));
    }
}

/// Sabotage: empty the file of the log's end when the store is only looked at.
#[test]
fn who_only_looks_leaves_the_end_of_the_log_where_it_is() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    with_a_log(dir.path());
    sealed(other.path());
    let before = image(dir.path());
    assert_eq!(verify(dir.path()).unwrap().log_rows, 40);
    assert!(!repair(dir.path()).unwrap().is_changed);
    assert_eq!(image(dir.path()), before);
    // That of another store is put in its place, and the right one back.
    let right = fs::read(events_db(dir.path())).unwrap();
    fs::copy(events_db(other.path()), events_db(dir.path())).unwrap();
    assert_refused(dir.path(), |error| matches!(error, OpenError::Strangers { .. } | OpenError::Damaged { .. }));
    let _ = verify(dir.path());
    assert!(repair(dir.path()).is_err());
    fs::write(events_db(dir.path()), right).unwrap();
    assert_whole(dir.path(), &all(0..320));
}

/// Sabotage: report only what the catalog names.
#[test]
fn a_lost_log_is_told() {
    for content in [
        &b""[..],
        b"not a database, but longer than the head of one, which has a hundred bytes; so this is read as damage",
    ] {
        let dir = TempDir::new().unwrap();
        with_a_log(dir.path());
        fs::remove_file(dir.path().join("events.db-wal")).unwrap();
        fs::write(events_db(dir.path()), content).unwrap();
        let repaired = repair(dir.path()).unwrap();
        assert!(repaired.lost.iter().any(|line| line.contains("in no segment yet")), "{repaired:?}");
        assert_whole(dir.path(), &all(0..300));
    }
}

/// Sabotage: open what is in the place of a segment, whatever it is.
#[test]
fn a_pipe_in_the_place_of_a_file_holds_nobody_up() {
    let dir = TempDir::new().unwrap();
    sealed(dir.path());
    let file = segment_files(dir.path()).remove(0);
    fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    let store = open(dir.path());
    store.scrub();
    assert_eq!(store.damages().len(), 1);
    drop(store);
    assert_eq!(verify(dir.path()).unwrap().damages.len(), 1);
    assert_eq!(repair(dir.path()).unwrap().segment_rows, 80);
    assert_whole(dir.path(), &all(300..340));
}

/// Every way of removing leaves nothing of a file.
type Removal = fn(&EmbeddedStore);

const REMOVALS: [Removal; 3] = [
    |store| [1, 2].into_iter().for_each(|site| store.delete_website(website(site)).unwrap()),
    |store| {
        for (site, visitor) in [1, 2].into_iter().flat_map(|site| (0..5).map(move |visitor| (site, visitor))) {
            store.erase_visitor(website(site), VisitorId(visitor)).unwrap();
        }
    },
    |store| [1, 2].into_iter().for_each(|site| expire(store, website(site), numbered(1_000).at).unwrap()),
];

/// Files of which nothing was left, as a copy that came back and as one that was set aside when some of its row groups
/// were damaged. Sabotage: do not note what was erased.
#[test]
fn what_was_erased_to_the_last_row_does_not_come_back() {
    for removal in REMOVALS {
        let dir = TempDir::new().unwrap();
        sealed(dir.path());
        let files = segment_files(dir.path());
        let copy = fs::read(&files[1]).unwrap();
        let mut bytes = fs::read(&files[0]).unwrap();
        bytes[60] ^= 1;
        fs::write(&files[0], bytes).unwrap();
        assert_eq!(repair(dir.path()).unwrap().set_aside.len(), 2, "the file and the catalog");
        let store = open(dir.path());
        removal(&store);
        assert_eq!(store.stats().segments, 0);
        store_all(&store, website(1), &[numbered(2_000)]);
        store.shutdown();
        drop(store);
        assert!(!repair(dir.path()).unwrap().is_changed, "what was set aside stays there");
        // From then on it does not know any more that they were replaced.
        drop(open(dir.path()));
        fs::write(&files[1], copy).unwrap();
        let repaired = repair(dir.path()).unwrap();
        let [aside] = &repaired.set_aside[..] else { panic!("{repaired:?}") };
        assert!(aside.contains("erased"), "{repaired:?}");
        assert_eq!((repaired.saved.len(), repaired.older.len(), repaired.lost.len()), (0, 0, 0), "{repaired:?}");
        assert_eq!(values(&open(dir.path()), website(1), Dimension::Path), [("/page/2000".to_owned(), 1)]);
        assert_eq!(values(&open(dir.path()), website(2), Dimension::Path), []);
        // Also when the catalog is written anew.
        let store = open_after_damage_of_the_catalog(dir.path());
        assert_eq!(values(&store, website(2), Dimension::Path), []);
    }
}

/// Makes a repair write the catalog anew from one that can be read.
fn open_after_damage_of_the_catalog(dir: &Path) -> EmbeddedStore {
    let file =
        segment_files(dir).into_iter().find(|file| file.extension().is_some_and(|end| end == "parquet")).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let end = bytes.len() - 30;
    bytes[end] ^= 1;
    fs::write(&file, bytes).unwrap();
    let repaired = repair(dir).unwrap();
    assert!(repaired.is_changed && repaired.lost.is_empty(), "{repaired:?}");
    assert!(dir.join("events.db.aside-1").exists());
    open(dir)
}

struct DiesBeforeFilesGo;

impl Faults for DiesBeforeFilesGo {
    fn at(&self, point: FaultPoint) -> io::Result<()> {
        if point == FaultPoint::SegmentCleanup { Err(io::Error::other("died here")) } else { Ok(()) }
    }
}

/// The file is there, and the catalog knows nothing that has its rows. Sabotage: do not note what was erased.
#[test]
fn a_repair_after_a_death_brings_nothing_back_that_was_erased() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    store_all(&store, website(1), &(0..100).map(numbered).collect::<Vec<_>>());
    store.shutdown();
    drop(store);
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS)));
    let store = EmbeddedStore::open(config(dir.path()).with_faults(Arc::new(DiesBeforeFilesGo)), clock).unwrap();
    assert!(store.delete_website(website(1)).is_err());
    drop(store);
    assert_eq!(segment_files(dir.path()).len(), 1);
    let repaired = repair(dir.path()).unwrap();
    assert_eq!((repaired.segments, repaired.lost.len()), (0, 0), "{repaired:?}");
    assert_eq!(values(&open(dir.path()), website(1), Dimension::Path), []);
    assert_eq!(segment_files(dir.path()).len(), 0);
}

/// What is older than an erasure is better than nothing, but not without a word. Sabotage: say nothing.
#[test]
fn an_older_file_that_must_be_taken_is_told() {
    let dir = TempDir::new().unwrap();
    sealed(dir.path());
    let (file, older) = (segment_files(dir.path()).remove(0), TempDir::new().unwrap());
    fs::copy(&file, older.path().join("older")).unwrap();
    let store = open(dir.path());
    store.erase_visitor(website(1), VisitorId(3)).unwrap();
    drop(store);
    let newer = segment_files(dir.path());
    for place in ["segments/0000000000000001.parquet", "segments/orphaned/0000000000000001.parquet"] {
        let copy = TempDir::new().unwrap();
        copy_dir(dir.path(), copy.path());
        fs::create_dir_all(copy.path().join("segments/orphaned")).unwrap();
        fs::copy(older.path().join("older"), copy.path().join(place)).unwrap();
        let whole = TempDir::new().unwrap();
        copy_dir(copy.path(), whole.path());
        assert_eq!(repair(whole.path()).unwrap().older, Vec::<String>::new(), "the newer one is whole");
        for newer in &newer {
            let mut bytes = fs::read(newer).unwrap();
            bytes[60] ^= 1;
            fs::write(copy.path().join("segments").join(newer.file_name().unwrap()), bytes).unwrap();
        }
        let repaired = repair(copy.path()).unwrap();
        assert_eq!(repaired.older.len(), 1, "{repaired:?}");
        assert!(repaired.older[0].starts_with(place), "{repaired:?}");
        let again = repair(copy.path()).unwrap();
        assert!(!again.is_changed && again.older.is_empty(), "{again:?}");
    }
}

/// Sabotage: leave the ledger of retention out of the new catalog.
#[test]
fn what_is_hidden_stays_hidden_and_what_is_not_remembered_is_hidden_again() {
    const DAY_MS: i64 = 86_400_000;
    let kept = [Kept::new(website(1), Some(numbered(100).at))];
    let at_day = |day: i64| Timestamp::from_millis(NOW_MS + day * DAY_MS);
    let retain = |store: &EmbeddedStore, day: i64| {
        let mut told = Vec::new();
        store.retain(&kept, Some(at_day(day)), &mut |what| told.push(what)).unwrap();
        store.remove_hidden(at_day(day), &mut |what| told.push(what)).unwrap();
        told
    };
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    add(&store, 0..2_000);
    store.shutdown();
    drop(store);
    let store = open(dir.path());
    assert!(matches!(retain(&store, 0)[..], [Retained::Hidden { rows: 100, .. }]));
    for day in 1..30 {
        assert_eq!(retain(&store, day), []);
    }
    drop(store);
    let of = |store: &EmbeddedStore, site| values(store, website(site), Dimension::Path).len();

    let lost = TempDir::new().unwrap();
    copy_dir(dir.path(), lost.path());
    let store = open_after_damage_of_the_catalog(dir.path());
    assert_eq!((of(&store, 1), of(&store, 2)), (1_900, 2_000));
    assert!(matches!(retain(&store, 30)[..], [Retained::Removed { rows: 100, .. }]), "its days are remembered");
    assert_eq!((of(&store, 1), of(&store, 2)), (1_900, 2_000));
    drop(store);

    fs::remove_file(events_db(lost.path())).unwrap();
    let repaired = repair(lost.path()).unwrap();
    assert!(repaired.lost.iter().any(|lost| lost.contains("hidden")), "{repaired:?}");
    let store = open(lost.path());
    assert!(matches!(retain(&store, 30)[..], [Retained::Hidden { rows: 100, .. }]));
    assert_eq!((of(&store, 1), of(&store, 2)), (1_900, 2_000));
    for day in 31..60 {
        assert_eq!(retain(&store, day), []);
    }
    assert!(matches!(retain(&store, 60)[..], [Retained::Removed { rows: 100, .. }]));
}

/// Sabotage: repair what is not there.
#[test]
fn a_directory_that_is_not_there_is_not_repaired() {
    let dir = TempDir::new().unwrap();
    let error = repair(&dir.path().join("data")).unwrap_err();
    assert!(error.to_string().contains("data"), "{error}");
    assert!(!dir.path().join("data").exists());
    assert!(!repair(dir.path()).unwrap().is_changed, "an empty one has nothing that does not belong together");
}
