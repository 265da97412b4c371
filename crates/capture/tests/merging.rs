//! Recordings that are over: their chunks become one object, here or in a bucket, whatever happens meanwhile, and it is removed as they
//! would be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod recorder;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use recorder::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use zenovay_capture::{
    BlobError, BlobName, Blobs, CaptureError, CaptureOptions, FileBlobs, FoundBlob, ReplayLimits, ReplayQuery,
    ReplayRefused,
};
use zenovay_domain::{Timestamp, VisitorId};

/// When every recording of these tests has been quiet for long enough.
fn later() -> Timestamp {
    at(NOW_MS + 3_600_000)
}

fn count(directory: &Path) -> usize {
    files(directory).len()
}

/// What a bucket does with the next calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dies {
    /// Before it has done its work.
    Before,
    /// After that, without an answer.
    After,
}

/// Blobs in a directory that work for so many calls and then no more, as for a process that is killed.
#[derive(Debug)]
struct Mortal {
    files: FileBlobs,
    calls: AtomicU64,
    dies_at: AtomicU64,
    dies: Dies,
}

impl Mortal {
    fn new(directory: &Path, dies_at: u64, dies: Dies) -> Arc<Self> {
        let files = FileBlobs::new(directory);
        Arc::new(Self { files, calls: AtomicU64::new(0), dies_at: AtomicU64::new(dies_at), dies })
    }

    fn live(&self) {
        self.dies_at.store(u64::MAX, Ordering::Relaxed);
    }

    fn die(&self) {
        self.dies_at.store(0, Ordering::Relaxed);
    }

    fn is_dead(&self) -> bool {
        self.calls.load(Ordering::Relaxed) > self.dies_at.load(Ordering::Relaxed)
    }

    fn call<T>(&self, name: &str, work: impl FnOnce() -> Result<T, BlobError>) -> Result<T, BlobError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let dies_at = self.dies_at.load(Ordering::Relaxed);
        let dead = || BlobError::Unavailable { name: name.to_owned(), problem: "it does not answer".to_owned() };
        if number > dies_at || number == dies_at && self.dies == Dies::Before {
            return Err(dead());
        }
        let done = work();
        if number == dies_at { Err(dead()) } else { done }
    }
}

impl Blobs for Mortal {
    fn put(&self, name: &BlobName, bytes: &[u8]) -> Result<(), BlobError> {
        self.call(name.as_str(), || self.files.put(name, bytes))
    }

    fn get(&self, name: &BlobName) -> Result<Vec<u8>, BlobError> {
        self.call(name.as_str(), || self.files.get(name))
    }

    fn get_part(&self, name: &BlobName, from: u64, length: u64) -> Result<Vec<u8>, BlobError> {
        self.call(name.as_str(), || self.files.get_part(name, from, length))
    }

    fn delete(&self, name: &BlobName) -> Result<(), BlobError> {
        self.call(name.as_str(), || self.files.delete(name))
    }

    fn delete_found(&self, found: &FoundBlob) -> Result<(), BlobError> {
        self.call(&found.name, || self.files.delete_found(found))
    }

    fn list(&self, first: &str, see: &mut dyn FnMut(FoundBlob) -> bool) -> Result<(), BlobError> {
        self.call(first, || self.files.list(first, see))
    }
}

/// The events of the chunk `seq`.
fn events(of: &Of, seq: u32) -> Value {
    let ms = i64::from(seq) * 5_000;
    let text = format!("text-{}-{seq}", of.visitor);
    match seq {
        0 => json!([meta(0, "/p"), full(1, &text), page(2, "/p")]),
        _ => json!([failed(ms, &text), click(ms + 1, 10)]),
    }
}

fn try_send(recorder: &Recorder, of: &Of, seq: u32) -> Result<bool, ReplayRefused> {
    recorder.send(of, seq, i64::from(seq) * 5_000, events(of, seq))
}

/// Sends the chunks `numbers` of a recording.
fn send(recorder: &Recorder, of: &Of, numbers: &[u32]) {
    for &seq in numbers {
        assert!(try_send(recorder, of, seq).unwrap(), "{seq}");
    }
}

/// The numbers of the chunks that can be read, from `from` on, and the number to go on with.
fn read(recorder: &Recorder, visitor: u64, from: u32, limit: usize, bytes: usize) -> (Vec<u32>, Option<u32>) {
    let query = ReplayQuery { visitor: Some(VisitorId(visitor)), ..ReplayQuery::of(ever()) };
    let id = recorder.captures.replays(site(1), &query, 0, 1).unwrap().replays[0].id;
    let (events, next) = recorder.captures.replay_events(site(1), id, from, limit, bytes).unwrap().unwrap();
    for events in &events {
        let parsed: Vec<Value> = serde_json::from_str(&events.json).unwrap();
        assert!(events.damage.is_none() && events.json.contains(&format!("text-{visitor}-{}", events.seq)));
        assert_eq!(parsed.len(), if events.seq == 0 { 3 } else { 2 });
    }
    (events.iter().map(|events| events.seq).collect(), next)
}

fn whole(recorder: &Recorder, visitor: u64) -> Vec<u32> {
    read(recorder, visitor, 0, 100, 1 << 20).0
}

/// Sabotage: merge what goes on still, leave the chunks, read from the beginning of the object.
#[test]
fn chunks_of_a_recording_that_is_over_are_one_object_of_which_parts_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&directory);
    send(&recorder, &of(1), &[2, 0, 1, 4]);
    let bytes = recorder.captures.replay_bytes().unwrap();
    assert_eq!(recorder.captures.waiting_replay_bytes().unwrap(), bytes);
    // It goes on.
    assert_eq!(recorder.captures.merge_replays(at(NOW_MS + 60_000)).unwrap(), 0);
    assert_eq!(blobs(&directory), 4);
    assert_eq!(recorder.captures.merge_replays(later()).unwrap(), 1);
    assert_eq!((blobs(&directory), recorder.captures.waiting_replay_bytes().unwrap()), (1, 0));
    let object = files(&directory.path().join("replays")).remove(0);
    assert_eq!(std::fs::metadata(object).unwrap().len(), bytes);
    assert_eq!(recorder.captures.replay_bytes().unwrap(), bytes);
    assert_eq!(whole(&recorder, 1), [0, 1, 2, 4]);
    assert_eq!(read(&recorder, 1, 1, 2, 1 << 20), (vec![1, 2], Some(4)));
    assert_eq!(read(&recorder, 1, 1, 9, 1), (vec![1], Some(2)));
    let detail = recorder.only();
    assert_eq!((detail.replay.chunks, detail.replay.missing, detail.chunks.len()), (4, 1, 4));
    let snapshot = recorder.captures.page_snapshot(site(1), "/p", 1_024..10_000).unwrap().unwrap();
    assert!(snapshot.node.contains("text-1-0"));
    assert_eq!(recorder.captures.merge_replays(later()).unwrap(), 0);

    // A repeat is known; what comes late is added to it when it is quiet again.
    let again = try_send(&recorder, &of(1), 2);
    assert!(matches!(again, Err(ReplayRefused::Duplicate)), "{again:?}");
    send(&recorder, &of(1), &[3, 5]);
    assert_eq!((blobs(&directory), whole(&recorder, 1)), (3, vec![0, 1, 2, 3, 4, 5]));
    assert_eq!(read(&recorder, 1, 2, 3, 1 << 20), (vec![2, 3, 4], Some(5)));
    assert_eq!(recorder.captures.merge_replays(later()).unwrap(), 1);
    assert_eq!((blobs(&directory), whole(&recorder, 1)), (1, vec![0, 1, 2, 3, 4, 5]));
    assert_eq!(recorder.captures.replay_damages().unwrap(), [] as [String; 0]);
    assert_eq!(recorder.captures.damages().unwrap(), [] as [String; 0]);
    // Nothing of it is unknown.
    assert_eq!(recorder.captures.remove_orphans(at(i64::MAX / 2)).unwrap(), 0);
}

/// Sabotage: doom the object after it is written, or begin with the transaction.
#[test]
fn a_crash_at_any_step_loses_nothing_and_leaves_nothing() {
    for (has_bucket, dies) in [(false, Dies::Before), (false, Dies::After), (true, Dies::Before), (true, Dies::After)] {
        for step in 0.. {
            let (directory, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let (here, bucket) =
                (Mortal::new(directory.path(), u64::MAX, dies), Mortal::new(away.path(), u64::MAX, dies));
            let options = || CaptureOptions {
                blobs: Some(here.clone()),
                bucket: has_bucket.then(|| bucket.clone() as Arc<dyn Blobs>),
                ..CaptureOptions::default()
            };
            let recorder = Recorder::open_with(&directory, options());
            send(&recorder, &of(1), &[0, 1, 2]);
            send(&recorder, &of(2), &[0, 1]);
            recorder.captures.merge_replays(later()).unwrap();
            send(&recorder, &of(1), &[3]);
            // With one count for both, for either may be the last that answers.
            let dying = if has_bucket && step % 2 == 0 { &bucket } else { &here };
            dying.calls.store(0, Ordering::Relaxed);
            dying.dies_at.store(step / 2, Ordering::Relaxed);
            let is_over = recorder.captures.merge_replays(later()).is_ok() && !dying.is_dead();
            drop(recorder);
            here.live();
            bucket.live();
            let case = format!("{has_bucket} {dies:?} {step}");

            // What is erased before it is mended is gone, too.
            let recorder = Recorder::open_with(&directory, options());
            assert_eq!((whole(&recorder, 1), whole(&recorder, 2)), (vec![0, 1, 2, 3], vec![0, 1]), "{case}");
            if step % 3 == 2 {
                recorder.captures.erase_visitor(site(1), VisitorId(1)).unwrap();
                for place in [&directory, &away] {
                    assert!(!is_on_disk(place.path(), "text-1-"), "{case}");
                }
            }
            recorder.captures.merge_replays(later()).unwrap();
            assert_eq!(whole(&recorder, 2), [0, 1], "{case}");
            let objects = if step % 3 == 2 { 1 } else { 2 };
            let (expected_here, expected_away) = if has_bucket { (0, objects) } else { (objects, 0) };
            assert_eq!((blobs(&directory), blobs(&away)), (expected_here, expected_away), "{case}");
            if objects == 2 {
                assert_eq!(whole(&recorder, 1), [0, 1, 2, 3], "{case}");
            }
            assert_eq!(recorder.captures.waiting_replay_bytes().unwrap(), 0, "{case}");
            assert_eq!(recorder.captures.replay_damages().unwrap(), [] as [String; 0], "{case}");
            if is_over && step > 8 {
                break;
            }
        }
    }
}

fn with_bucket(directory: &TempDir, bucket: &Arc<Mortal>, waiting_max_bytes: u64) -> Recorder {
    let options = CaptureOptions {
        bucket: Some(bucket.clone()),
        waiting_max_bytes,
        replays: ReplayLimits { days: 30, bytes: 1 << 30 },
        ..CaptureOptions::default()
    };
    Recorder::open_with(directory, options)
}

/// Sabotage: acknowledge what may wait no more, refuse what may, or leave in a bucket what was erased.
#[test]
fn a_bucket_that_fails_refuses_when_too_much_waits_and_nothing_that_was_erased_stays_in_it() {
    let (directory, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bucket = Mortal::new(away.path(), u64::MAX, Dies::Before);
    let recorder = with_bucket(&directory, &bucket, 1_500);
    send(&recorder, &of(1), &[0, 1]);
    send(&recorder, &of(2), &[0]);
    recorder.captures.merge_replays(later()).unwrap();
    assert_eq!((blobs(&directory), blobs(&away)), (0, 2));
    assert_eq!((whole(&recorder, 1), whole(&recorder, 2)), (vec![0, 1], vec![0]));

    bucket.die();
    // What comes is kept here until too much waits.
    let mut sent = 0;
    let refused = loop {
        match try_send(&recorder, &of(3), sent) {
            Ok(is_kept) => assert!(is_kept),
            Err(refused) => break refused,
        }
        sent += 1;
    };
    assert!(matches!(refused, ReplayRefused::TooMuchWaits) && sent > 2, "{refused} after {sent}");
    assert_eq!(whole(&recorder, 3).len() as u32, sent);
    let failed = recorder.captures.merge_replays(later());
    assert!(matches!(failed, Err(CaptureError::Blobs { .. })), "{failed:?}");
    // Who erases somebody meanwhile is told; it is in no answer any more, and what is here is gone.
    let erased = recorder.captures.erase_visitor(site(1), VisitorId(1));
    assert!(matches!(erased, Err(CaptureError::NotYetDeleted { .. })), "{erased:?}");
    assert!(recorder.captures.erase_visitor(site(1), VisitorId(1)).is_err());
    assert_eq!(recorder.captures.visitor(site(1), VisitorId(1)).unwrap().replays, []);
    assert!(!is_on_disk(directory.path(), "text-1-") && is_on_disk(away.path(), "text-1-"));
    recorder.captures.delete_website(site(2)).unwrap();
    drop(recorder);

    // It answers again, to another process.
    bucket.live();
    let recorder = with_bucket(&directory, &bucket, 1_500);
    recorder.captures.merge_replays(later()).unwrap();
    assert!(!is_on_disk(away.path(), "text-1-") && is_on_disk(away.path(), "text-3-"));
    assert_eq!((blobs(&directory), blobs(&away), whole(&recorder, 3).len() as u32), (0, 2, sent));
    send(&recorder, &of(4), &[0]);
    recorder.captures.erase_visitor(site(1), VisitorId(1)).unwrap();
    for visitor in [2, 3] {
        recorder.captures.erase_visitor(site(1), VisitorId(visitor)).unwrap();
    }
    assert_eq!((blobs(&directory), blobs(&away)), (1, 0));
}

/// Sabotage: take what is of others in a bucket for what nothing knows of, or leave what is too old in it.
#[test]
fn what_is_too_old_or_unknown_is_removed_from_a_bucket_and_what_is_of_others_stays() {
    let (directory, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bucket = Mortal::new(away.path(), u64::MAX, Dies::Before);
    let recorder = with_bucket(&directory, &bucket, 1 << 20);
    send(&recorder, &of(1), &[0, 1]);
    recorder.captures.merge_replays(later()).unwrap();
    let object = files(away.path()).remove(0);
    let stray = object.with_file_name("0123456789abcdef");
    std::fs::write(&stray, b"x").unwrap();
    let theirs = away.path().join("replays/ffffffffffffffff/theirs/0123456789abcdef");
    std::fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    std::fs::write(&theirs, b"x").unwrap();
    let written = std::fs::metadata(&stray).unwrap().modified().unwrap();
    let written = i64::try_from(written.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap();
    assert_eq!(recorder.captures.remove_orphans_away(at(written + DAY_MS / 2)).unwrap(), 0);
    // It is looked once a day.
    assert_eq!(recorder.captures.remove_orphans_away(at(written + DAY_MS + DAY_MS / 4)).unwrap(), 0);
    assert_eq!(recorder.captures.remove_orphans_away(at(written + 2 * DAY_MS)).unwrap(), 1);
    assert!(object.exists() && theirs.exists() && !stray.exists());
    assert_eq!(recorder.captures.limit_replays(Some(at(NOW_MS + 40 * DAY_MS))).unwrap(), 1);
    recorder.captures.merge_replays(later()).unwrap();
    assert_eq!(files(away.path()), [theirs]);
}

/// Sabotage: read what is in an object where objects are now.
#[test]
fn a_bucket_that_comes_later_takes_what_is_here_and_one_that_went_is_told() {
    let (directory, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let recorder = Recorder::open(&directory);
    send(&recorder, &of(1), &[0, 1]);
    recorder.captures.merge_replays(later()).unwrap();
    drop(recorder);
    let bucket = Mortal::new(away.path(), u64::MAX, Dies::Before);
    let recorder = with_bucket(&directory, &bucket, 1 << 20);
    assert_eq!(whole(&recorder, 1), [0, 1]);
    recorder.captures.merge_replays(later()).unwrap();
    assert_eq!((blobs(&directory), count(away.path()), whole(&recorder, 1)), (0, 1, vec![0, 1]));
    drop(recorder);

    let recorder = Recorder::open(&directory);
    send(&recorder, &of(2), &[0]);
    let id = recorder.captures.replays(site(1), &ReplayQuery::of(ever()), 0, 9).unwrap().replays[1].id;
    let read = recorder.captures.replay_events(site(1), id, 0, 9, 9);
    let told = read.unwrap_err().to_string();
    assert!(told.contains("in a bucket, and none is configured"), "{told}");
    assert!(recorder.captures.erase_visitor(site(1), VisitorId(1)).is_err());
    assert_eq!(whole(&recorder, 2), [0]);
}

/// Sabotage: merge again and again what cannot be read, or lose what can.
#[test]
fn what_is_damaged_stays_what_it_is_and_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&directory);
    send(&recorder, &of(1), &[0, 1, 2, 3]);
    let of_chunk = |seq: &str| {
        let starts = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(seq);
        files(&directory.path().join("replays")).into_iter().find(starts).unwrap()
    };
    std::fs::remove_file(of_chunk("1-")).unwrap();
    std::fs::write(of_chunk("2-"), b"damaged").unwrap();
    assert_eq!(recorder.captures.merge_replays(later()).unwrap(), 1);
    assert_eq!(recorder.captures.merge_replays(later()).unwrap(), 0);
    assert_eq!(blobs(&directory), 2);
    let id = recorder.only().replay.id;
    let (events, _) = recorder.captures.replay_events(site(1), id, 0, 9, 1 << 20).unwrap().unwrap();
    let damage: Vec<_> = events.iter().map(|events| events.damage.as_deref()).collect();
    assert_eq!(damage, [None, Some("it is gone"), Some("the chunk is damaged"), None]);
    assert_eq!(recorder.captures.replay_damages().unwrap().len(), 2);
    recorder.captures.erase_visitor(site(1), VisitorId(1)).unwrap();
    assert_eq!(blobs(&directory), 0);
}

/// Sabotage: bring no column up, or forget what was to be deleted.
#[test]
fn recordings_of_the_format_before_are_read_merged_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&directory);
    send(&recorder, &of(1), &[0, 1]);
    send(&recorder, &of(2), &[0]);
    let bytes = recorder.captures.waiting_replay_bytes().unwrap();
    drop(recorder);
    let doomed = directory.path().join("replays/doomed/of/0-aa");
    std::fs::create_dir_all(doomed.parent().unwrap()).unwrap();
    std::fs::write(&doomed, b"x").unwrap();
    let connection = rusqlite::Connection::open(directory.path().join("captures.db")).unwrap();
    connection
        .execute_batch(
            "DROP INDEX replays_to_merge; ALTER TABLE replays DROP COLUMN loose;
             ALTER TABLE replay_chunks DROP COLUMN object; ALTER TABLE replay_chunks DROP COLUMN start;
             DROP TABLE replay_objects; DROP TABLE doomed_blobs;
             CREATE TABLE doomed (blob TEXT PRIMARY KEY) WITHOUT ROWID; INSERT INTO doomed VALUES ('replays/doomed/of/0-aa');
             DELETE FROM meta WHERE name IN ('loose_bytes', 'instance'); UPDATE meta SET value = 2 WHERE name = 'format'",
        )
        .unwrap();
    drop(connection);
    let recorder = Recorder::open(&directory);
    assert_eq!((whole(&recorder, 1), whole(&recorder, 2)), (vec![0, 1], vec![0]));
    assert_eq!(recorder.captures.waiting_replay_bytes().unwrap(), bytes);
    assert_eq!(recorder.captures.merge_replays(later()).unwrap(), 2);
    assert!(!doomed.exists() && blobs(&directory) == 2);
    assert_eq!((whole(&recorder, 1), recorder.captures.waiting_replay_bytes().unwrap()), (vec![0, 1], 0));
    recorder.captures.erase_visitor(site(1), VisitorId(1)).unwrap();
    assert_eq!(blobs(&directory), 1);
}
