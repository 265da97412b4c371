//! Recordings from their chunks to their answers: each chunk is kept once, in whatever order they come, what is lacking is told, and
//! what is removed is gone from the disk.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod recorder;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use recorder::*;

use serde_json::{Value, json};
use zenovay_capture::{
    BlobError, BlobName, Blobs, Capture, CaptureError, CaptureOptions, Captures, Context, ErrorCapture, FileBlobs,
    Filter, FoundBlob, Gap, MarkKind, ReplayId, ReplayLimits, ReplayQuery, ReplayRefused, Row, WithErrors, parse_stack,
};
use zenovay_domain::{SessionId, TimeRange, VisitorId};
use zenovay_events::Kept;

/// Sabotage: count a repeat, take the session's beginning from what came first, or tell no gap.
#[test]
fn chunks_come_in_any_order_and_are_kept_once() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&directory);
    let last = json!([page(25_000, "/next"), click(26_000, 10), click(26_300, 12), click(26_600, 14)]);
    recorder.send(&of(1), 4, 25_000, last.clone()).unwrap();
    recorder.send(&of(1), 0, 0, json!([meta(0, "/p"), full(10, "hello"), page(20, "/p")])).unwrap();
    recorder.send(&of(1), 1, 5_000, json!([click(5_000, 10), failed(6_000, "plan 7 is gone")])).unwrap();
    assert!(matches!(recorder.send(&of(1), 4, 25_000, last), Err(ReplayRefused::Duplicate)));
    // Nobody adds to the recording of somebody else.
    recorder.send(&Of { replay: 1, ..of(2) }, 1, 5_000, json!([click(5_000, 10)])).unwrap();
    recorder.captures.erase_visitor(site(1), VisitorId(2)).unwrap();

    let found = recorder.only();
    let replay = &found.replay;
    assert_eq!((replay.chunks, replay.missing, replay.events), (3, 2, 9));
    assert_eq!((replay.clicks, replay.errors, replay.pages), (4, 1, 2));
    // By the server's clock, as far as it is known from the chunk that was on its way for the shortest time.
    assert_eq!((replay.started_at, replay.ended_at), (at(NOW_MS), at(NOW_MS + 26_600)));
    assert_eq!((replay.entry_page.as_str(), replay.exit_page.as_str()), ("/p", "/next"));
    assert_eq!((replay.width, replay.height, replay.masks_inputs), (1280, 720, true));
    assert_eq!(replay.kept_until, Some(at(NOW_MS + 26_600 + 30 * DAY_MS)));
    assert_eq!(found.gaps, [Gap { from_ms: 6_000, to_ms: 25_000, chunks: 2 }]);
    assert_eq!(found.idle, [(5_000, 26_000)]);
    assert_eq!(replay.active_ms, 26_600 - 21_000);
    let marks: Vec<_> = found.markers.iter().map(|mark| (mark.at_ms, mark.count)).collect();
    assert_eq!(marks, [(20, 1), (5_000, 1), (6_000, 1), (25_000, 1), (26_000, 3)]);
    assert!(found.markers[4].is_rage() && !found.markers[1].is_rage());
    assert_eq!(found.markers[3].kind, MarkKind::Page { path: "/next".into() });
    assert_eq!(
        found.chunks.iter().map(|chunk| (chunk.seq, chunk.from_ms)).collect::<Vec<_>>(),
        [(0, 0), (1, 5_000), (4, 25_000)]
    );
    assert_eq!(found.clock_ms, NOW_MS + WRONG_MS);
    assert_eq!(blobs(&directory), 3);

    let id = replay.id;
    let (events, next) = recorder.captures.replay_events(site(1), id, 0, 2, 1 << 20).unwrap().unwrap();
    assert_eq!((events.iter().map(|events| events.seq).collect::<Vec<_>>(), next), (vec![0, 1], Some(4)));
    assert!(events[0].json.contains("hello") && !events[0].json.contains("q=1"));
    let (events, next) = recorder.captures.replay_events(site(1), id, 2, 9, 0).unwrap().unwrap();
    assert_eq!((events[0].seq, next), (4, None));
    assert_eq!(recorder.captures.replay_events(site(2), id, 0, 9, 9).unwrap(), None);
    assert_eq!(recorder.captures.replay(site(2), id).unwrap(), None);
    let moment = recorder.captures.replay_at(site(1), SessionId(1), at(NOW_MS + 6_000)).unwrap();
    assert_eq!(moment, Some((id, 6_000)));
    assert_eq!(recorder.captures.replay_at(site(1), SessionId(1), at(NOW_MS + DAY_MS)).unwrap(), None);
    let snapshot = recorder.captures.page_snapshot(site(1), "/p", 1_024..10_000).unwrap().unwrap();
    assert!(snapshot.node.contains("hello") && snapshot.width == 1280 && snapshot.at == at(NOW_MS));
    assert_eq!(recorder.captures.page_snapshot(site(1), "/p", 0..600).unwrap(), None);
    assert_eq!(recorder.captures.damages().unwrap(), [] as [String; 0]);
    assert_eq!(recorder.captures.replay_damages().unwrap(), [] as [String; 0]);
}

/// Browsers tell the address of one page in several spellings. Sabotage: keep the path as the recorder tells it, or look for a page in the
/// spelling in which it is asked for.
#[test]
fn a_page_has_one_path_in_recordings_too() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&directory);
    recorder.send(&of(1), 0, 0, json!([meta(0, "/pri|cing"), full(10, "hello"), page(20, "/%7Eme/%c3%bc")])).unwrap();
    let found = recorder.only();
    assert_eq!(found.replay.exit_page, "/~me/%C3%BC");
    assert_eq!(found.markers[0].kind, MarkKind::Page { path: "/~me/%C3%BC".into() });
    for spelling in ["/pri|cing", "/pri%7Ccing", "/pri%7ccing"] {
        let snapshot = recorder.captures.page_snapshot(site(1), spelling, 1_024..10_000).unwrap();
        assert!(snapshot.is_some_and(|snapshot| snapshot.node.contains("hello")), "{spelling}");
    }
}

/// Sabotage: take the recording whose middle is the nearest, or one that ended ten seconds ago.
#[test]
fn a_moment_is_of_the_recording_that_was_going_on() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&directory);
    recorder.send(&of(1), 0, 0, json!([meta(0, "/p"), full(10, "long"), click(26_000, 10)])).unwrap();
    let short = json!([meta(27_000, "/p"), full(27_010, "short"), click(27_500, 10)]);
    recorder.send(&Of { replay: 2, ..of(1) }, 0, 27_000, short).unwrap();
    let moment = |ms| recorder.captures.replay_at(site(1), SessionId(1), at(NOW_MS + ms)).unwrap().unwrap();
    let (long, short) = (moment(0).0, moment(27_500).0);
    assert_ne!(long, short);
    assert_eq!(moment(25_900), (long, 25_900));
    assert_eq!(moment(27_400), (short, 400));
    // Between the two it is of the nearer one.
    assert_eq!(moment(26_200), (long, 26_000));
    assert_eq!(moment(26_900), (short, 0));
    // What happens later, in another tab, is in none.
    assert_eq!(moment(30_400), (short, 500));
    assert_eq!(recorder.captures.replay_at(site(1), SessionId(1), at(NOW_MS + 30_600)).unwrap(), None);
}

/// Sabotage: leave a condition out.
#[test]
fn recordings_are_found_by_what_they_are_of() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&directory);
    recorder
        .send(&of(1), 0, 0, json!([meta(0, "/a"), full(1, "x"), page(2, "/b"), failed(40_000, "plan 7 is gone")]))
        .unwrap();
    recorder.send(&Of { country: "FR", ..of(2) }, 0, 0, json!([meta(0, "/c"), full(1, "x"), click(3_000, 1)])).unwrap();
    recorder.send(&Of { site: 2, ..of(3) }, 0, 0, json!([meta(0, "/a"), full(1, "x")])).unwrap();
    let error = |visitor: u64, at_ms: i64| {
        Capture::Error(ErrorCapture {
            context: Context { at_ms, visitor, session: visitor, ..Context::default() },
            kind: "TypeError".into(),
            message: "plan 7 is gone".into(),
            frames: parse_stack("at total (https://example.com/app.js:1:1)"),
            count: 1,
            ..ErrorCapture::default()
        })
    };
    recorder.take(site(1), &error(1, NOW_MS + 40_050));
    // In another tab, after its recording had ended.
    recorder.take(site(1), &error(2, NOW_MS + 6_100));
    let group = recorder.captures.error_groups(site(1), None, 1).unwrap()[0].id;

    let query = ReplayQuery::of(ever());
    let (first, second) = ((1, "/a".to_owned()), (2, "/c".to_owned()));
    assert_eq!(recorder.ids(&query).len(), 2);
    let one = std::slice::from_ref(&first);
    assert_eq!(recorder.ids(&ReplayQuery { visitor: Some(VisitorId(1)), ..query }), one);
    assert_eq!(recorder.ids(&ReplayQuery { session: Some(SessionId(1)), ..query }), one);
    assert_eq!(recorder.ids(&ReplayQuery { errors: Some(WithErrors::Any), ..query }), one);
    assert_eq!(recorder.ids(&ReplayQuery { errors: Some(WithErrors::Of(group)), ..query }), one);
    assert_eq!(recorder.ids(&ReplayQuery { min_ms: 10_000, ..query }), one);
    assert_eq!(recorder.ids(&ReplayQuery { max_ms: 10_000, ..query }), std::slice::from_ref(&second));
    assert_eq!(recorder.ids(&ReplayQuery { at: Some(at(NOW_MS + 38_000)), ..query }), one);
    let by_page = |row: &Row<'_>| row.path == "/b";
    let by_country = |row: &Row<'_>| row.country == "FR";
    assert_eq!(recorder.ids(&ReplayQuery::of(Filter { keep: Some(&by_page), ..ever() })), one);
    assert_eq!(recorder.ids(&ReplayQuery::of(Filter { keep: Some(&by_country), ..ever() })), [second]);
    let before = Filter { range: TimeRange::new(at(0), at(NOW_MS)), keep: None };
    assert_eq!(recorder.ids(&ReplayQuery::of(before)), []);
    let page = recorder.captures.replays(site(1), &query, 1, 1).unwrap();
    assert_eq!((page.total, page.replays.len(), page.replays[0].visitor.0), (2, 1, 1));
    let detail = recorder.captures.replay(site(1), page.replays[0].id).unwrap().unwrap();
    assert_eq!(detail.markers.last().unwrap().group, Some(group));
    assert_eq!(detail.replay.id.to_string().parse::<ReplayId>(), Ok(detail.replay.id));
    assert!("sr_7".parse::<ReplayId>().is_err());
}

/// Sabotage: take the bytes of one recording, or forget the time.
#[test]
fn of_a_visit_so_much_is_kept_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&directory);
    let large = Of { sent_bytes: 10 << 20, ..of(1) };
    recorder.send(&large, 0, 0, json!([meta(0, "/a"), full(1, "x")])).unwrap();
    recorder.send(&Of { replay: 9, ..large }, 0, 10, json!([meta(10, "/a"), full(11, "x")])).unwrap();
    let full_up = recorder.send(&large, 1, 5_000, json!([click(5_000, 1)]));
    assert!(matches!(full_up, Err(ReplayRefused::SessionFull)), "{full_up:?}");
    recorder.send(&Of { sent_bytes: 1_000, ..large }, 1, 5_000, json!([click(5_000, 1)])).unwrap();
    // A repeat of what is kept is taken all the same.
    let again = recorder.send(&large, 0, 0, json!([meta(0, "/a"), full(1, "x")]));
    assert!(matches!(again, Err(ReplayRefused::Duplicate)));
    let late = 3 * 3_600_000;
    let over = recorder.send(&Of { sent_bytes: 1, ..large }, 2, late, json!([click(late, 1)]));
    assert!(matches!(over, Err(ReplayRefused::SessionFull)));
    recorder.send(&of(2), 0, late, json!([click(late, 1)])).unwrap();
    // What has nothing that is kept is no chunk.
    assert!(!recorder.send(&of(2), 1, late, json!([{ "type": 9 }])).unwrap());
    let wrong = recorder.send(&of(2), 1, late, json!([event(2, late, json!({ "node": 7 }))]));
    assert!(matches!(wrong, Err(ReplayRefused::Wrong(_))), "{wrong:?}");
}

/// Sabotage: leave the blobs, the views, or the log of the database.
#[test]
fn who_is_erased_is_gone_from_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&directory);
    for visitor in [1, 2] {
        let (path, text) = (format!("/path-of-{visitor}"), format!("text-of-{visitor}"));
        let failed = failed(2_000, &format!("failure of {visitor}"));
        recorder.send(&of(visitor), 0, 0, json!([meta(0, &path), full(1, &text), page(2, &path), failed])).unwrap();
    }
    let told = recorder.captures.visitor(site(1), VisitorId(1)).unwrap().replays;
    assert_eq!((told.len(), told[0].markers.len(), told[0].replay.entry_page.as_str()), (1, 2, "/path-of-1"));
    for needle in ["path-of-1", "text-of-1", "failure of 1"] {
        assert!(is_on_disk(directory.path(), needle), "{needle}");
    }
    let bytes = recorder.captures.replay_bytes().unwrap();
    recorder.captures.erase_visitor(site(1), VisitorId(1)).unwrap();
    for needle in ["path-of-1", "text-of-1", "failure of 1"] {
        assert!(!is_on_disk(directory.path(), needle), "{needle}");
    }
    assert_eq!(recorder.ids(&ReplayQuery::of(ever())), [(2, "/path-of-2".to_owned())]);
    assert!((1..bytes).contains(&recorder.captures.replay_bytes().unwrap()));
    assert_eq!(recorder.captures.visitor(site(1), VisitorId(1)).unwrap().replays, []);

    let id = recorder.only().replay.id;
    assert!(
        !recorder.captures.delete_replay(site(2), id).unwrap() && recorder.captures.delete_replay(site(1), id).unwrap()
    );
    assert!(!recorder.captures.delete_replay(site(1), id).unwrap() && blobs(&directory) == 0);
    for visitor in [3, 4] {
        recorder.send(&of(visitor), 0, 0, json!([meta(0, "/gone"), full(1, "gone")])).unwrap();
    }
    recorder.send(&Of { site: 2, ..of(5) }, 0, 0, json!([meta(0, "/other"), full(1, "other")])).unwrap();
    assert_eq!(recorder.captures.delete_replays(site(1)).unwrap(), 2);
    recorder.captures.delete_website(site(2)).unwrap();
    assert!(!is_on_disk(directory.path(), "/other") && !is_on_disk(directory.path(), "/gone"));
    assert_eq!((recorder.captures.replay_bytes().unwrap(), blobs(&directory)), (0, 0));
}

/// Sabotage: remove the newest, or leave the doomed.
#[test]
fn the_oldest_give_way_to_days_and_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let limits = ReplayLimits { days: 30, bytes: 6_000 };
    let options = || CaptureOptions { replays: limits, ..CaptureOptions::default() };
    let recorder = Recorder::open_with(&directory, options());
    let noise: Vec<Value> =
        (0..300_u64).map(|n| click(i64::try_from(n).unwrap(), (n * 7_919 % 4_001) as i32)).collect();
    let mut sent = 0;
    for visitor in 1..=8 {
        let begun_ms = NOW_MS + i64::try_from(visitor).unwrap() * 1_000;
        let noise: Vec<Value> = noise
            .iter()
            .cloned()
            .map(|mut click| {
                let offset = begun_ms - NOW_MS;
                click["timestamp"] = (click["timestamp"].as_i64().unwrap() + offset).into();
                click
            })
            .collect();
        recorder.send(&Of { begun_ms, ..of(visitor) }, 0, 0, Value::Array(noise)).unwrap();
        sent += 1;
        assert!(recorder.captures.replay_bytes().unwrap() <= limits.bytes);
    }
    let left = recorder.ids(&ReplayQuery::of(ever()));
    assert!(!left.is_empty() && left.len() < sent, "{left:?}");
    // The newest are there.
    let visitors: Vec<u64> = left.iter().map(|(visitor, _)| *visitor).collect();
    assert_eq!(visitors, (1..=8).rev().take(left.len()).collect::<Vec<_>>());
    recorder.captures.limit_replays(None).unwrap();
    assert_eq!(blobs(&directory), left.len());

    let day = |days: i64| Some(at(NOW_MS + days * DAY_MS));
    assert_eq!(recorder.captures.limit_replays(day(29)).unwrap(), 0);
    assert_eq!(recorder.captures.limit_replays(day(31)).unwrap(), left.len() as u64);
    assert_eq!((recorder.captures.replay_bytes().unwrap(), blobs(&directory)), (0, 0));
    assert_eq!(recorder.captures.damages().unwrap(), [] as [String; 0]);
}

/// Sabotage: leave recordings out of what retention hides.
#[test]
fn what_a_plan_keeps_no_longer_is_hidden_and_removed_later() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open_with(
        &directory,
        CaptureOptions { replays: ReplayLimits { days: 0, bytes: 1 << 30 }, ..CaptureOptions::default() },
    );
    recorder.send(&of(1), 0, 0, json!([meta(0, "/a"), full(1, "x")])).unwrap();
    let id = recorder.only().replay.id;
    assert_eq!(recorder.only().replay.kept_until, None);
    let kept = |day: i64| Kept::new(site(1), Some(at(NOW_MS + (day - 10) * DAY_MS)));
    for day in 0..=45 {
        recorder.captures.retain(&[kept(day)], Some(at(NOW_MS + day * DAY_MS))).unwrap();
        recorder.captures.remove_hidden().unwrap();
        let is_shown = recorder.captures.replay(site(1), id).unwrap().is_some();
        assert_eq!(is_shown, day <= 10, "{day}");
        assert_eq!(blobs(&directory), usize::from(day < 41), "{day}");
    }
}

/// Blobs that fail when they are told to.
#[derive(Debug)]
struct Failing {
    files: FileBlobs,
    is_full: AtomicBool,
    fails: AtomicBool,
}

impl Failing {
    fn check(&self, name: &str) -> Result<(), BlobError> {
        let name = name.to_owned();
        if self.is_full.load(Ordering::Relaxed) {
            return Err(BlobError::Full { name });
        }
        match self.fails.load(Ordering::Relaxed) {
            true => Err(BlobError::Unavailable { name, problem: "it does not answer".into() }),
            false => Ok(()),
        }
    }
}

impl Blobs for Failing {
    fn put(&self, name: &BlobName, bytes: &[u8]) -> Result<(), BlobError> {
        self.check(name.as_str())?;
        self.files.put(name, bytes)
    }

    fn get(&self, name: &BlobName) -> Result<Vec<u8>, BlobError> {
        self.check(name.as_str())?;
        self.files.get(name)
    }

    fn get_part(&self, name: &BlobName, from: u64, length: u64) -> Result<Vec<u8>, BlobError> {
        self.check(name.as_str())?;
        self.files.get_part(name, from, length)
    }

    fn delete(&self, name: &BlobName) -> Result<(), BlobError> {
        self.check(name.as_str())?;
        self.files.delete(name)
    }

    fn delete_found(&self, found: &FoundBlob) -> Result<(), BlobError> {
        self.check(&found.name)?;
        self.files.delete_found(found)
    }

    fn list(&self, first: &str, see: &mut dyn FnMut(FoundBlob) -> bool) -> Result<(), BlobError> {
        self.check(first)?;
        self.files.list(first, see)
    }
}

/// Sabotage: forget what is doomed when a blob cannot be deleted, or answer without the events.
#[test]
fn where_chunks_are_kept_may_fail_and_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let failing = Arc::new(Failing {
        files: FileBlobs::new(directory.path()),
        is_full: AtomicBool::default(),
        fails: AtomicBool::default(),
    });
    let options = || CaptureOptions { blobs: Some(failing.clone()), ..CaptureOptions::default() };
    let recorder = Recorder::open_with(&directory, options());
    let first = || json!([meta(0, "/a"), full(1, "erased-text")]);
    failing.is_full.store(true, Ordering::Relaxed);
    let refused = recorder.send(&of(1), 0, 0, first());
    assert!(matches!(refused, Err(ReplayRefused::Blob(BlobError::Full { .. }))), "{refused:?}");
    failing.is_full.store(false, Ordering::Relaxed);
    assert!(recorder.send(&of(1), 0, 0, first()).unwrap());
    let id = recorder.only().replay.id;

    failing.fails.store(true, Ordering::Relaxed);
    let read = recorder.captures.replay_events(site(1), id, 0, 9, 9);
    assert!(matches!(read, Err(CaptureError::Blobs { .. })), "{read:?}");
    // It is not gone, and who asked knows.
    assert!(recorder.captures.erase_visitor(site(1), VisitorId(1)).is_err() && blobs(&directory) == 1);
    drop(recorder);
    failing.fails.store(false, Ordering::Relaxed);
    let recorder = Recorder::open_with(&directory, options());
    recorder.captures.erase_visitor(site(1), VisitorId(1)).unwrap();
    assert!(blobs(&directory) == 0 && !is_on_disk(directory.path(), "erased-text"));
}

/// Sabotage: remove what is young, or what is known.
#[test]
fn what_nothing_knows_of_is_removed_after_a_day_and_what_is_damaged_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(&directory);
    recorder.send(&of(1), 0, 0, json!([meta(0, "/a"), full(1, "x")])).unwrap();
    recorder.send(&of(1), 1, 5_000, json!([click(5_000, 1)])).unwrap();
    let id = recorder.only().replay.id;
    let stray = directory.path().join("replays/stray/of/0-aa");
    std::fs::create_dir_all(stray.parent().unwrap()).unwrap();
    std::fs::write(&stray, b"x").unwrap();
    std::fs::write(stray.with_extension("1-1.tmp"), b"x").unwrap();
    let written = std::fs::metadata(&stray).unwrap().modified().unwrap();
    let written = i64::try_from(written.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap();
    assert_eq!(recorder.captures.remove_orphans(at(written + DAY_MS / 2)).unwrap(), 0);
    assert_eq!(recorder.captures.remove_orphans(at(written + 2 * DAY_MS)).unwrap(), 2);
    assert!(!stray.parent().unwrap().exists() && blobs(&directory) == 2);

    let of_chunk = |seq: &str| {
        files(&directory.path().join("replays"))
            .into_iter()
            .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(seq))
            .unwrap()
    };
    std::fs::remove_file(of_chunk("0-")).unwrap();
    std::fs::write(of_chunk("1-"), b"damaged").unwrap();
    let damages = recorder.captures.replay_damages().unwrap();
    assert!(damages.len() == 2 && damages.iter().any(|damage| damage.ends_with("it is gone")), "{damages:?}");
    let (events, _) = recorder.captures.replay_events(site(1), id, 0, 9, 1 << 20).unwrap().unwrap();
    assert!(events.iter().all(|events| events.json == "[]" && events.damage.is_some()));
}

/// What a database does not know is deleted: one that knows less than was known is not opened. Sabotage: open it, make one where
/// there is none, or close the database before those who read it.
#[test]
fn recordings_are_not_given_up_for_a_database_that_knows_less() {
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = directory.path().join("captures.db");
    let record = |directory: &tempfile::TempDir, visitor: u64| {
        let recorder = Recorder::open(directory);
        recorder.send(&of(visitor), 0, 0, json!([meta(0, "/a"), full(1, "x")])).unwrap();
        assert_eq!(recorder.captures.remove_orphans(at(NOW_MS)).unwrap(), 0);
        drop(recorder);
        assert!(!directory.path().join("captures.db-wal").exists(), "the file alone has everything");
        std::fs::read(directory.path().join("captures.db")).unwrap()
    };
    let (of_another, older, whole) = (record(&elsewhere, 9), record(&directory, 1), record(&directory, 2));
    let open = || Captures::open(directory.path()).map(drop);
    for (bytes, is_lost) in [(None, true), (Some(&b""[..]), true), (Some(&older), false), (Some(&of_another), false)] {
        match bytes {
            None => std::fs::remove_file(&path).unwrap(),
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
        }
        let refused = open().unwrap_err();
        assert!(matches!(refused, CaptureError::Lost { .. }) == is_lost, "{refused}");
        assert!(matches!(refused, CaptureError::OlderCopy { .. }) != is_lost, "{refused}");
        assert_eq!(std::fs::read(&path).ok().as_deref(), bytes, "nothing was made");
        assert_eq!(blobs(&directory), 2);
    }
    std::fs::write(&path, whole).unwrap();
    open().unwrap();
    // As it was before there was a mark, and for whoever goes on with a copy.
    std::fs::remove_file(directory.path().join("captures.db-mark")).unwrap();
    std::fs::remove_file(&path).unwrap();
    let refused = open().unwrap_err();
    assert!(matches!(&refused, CaptureError::Lost { beside, .. } if beside.ends_with("replays")), "{refused}");
    std::fs::write(&path, older).unwrap();
    open().unwrap();
}

/// A copy is as good as what was lost where no recording came since, however often the server was started meanwhile. Sabotage: count how
/// often it was asked what nothing knows of, write the mark whenever it is asked, or do not count what becomes one object.
#[test]
fn a_copy_that_knows_every_recording_is_opened_however_long_ago_it_was_made() {
    let directory = tempfile::tempdir().unwrap();
    let (path, mark) = (directory.path().join("captures.db"), directory.path().join("captures.db-mark"));
    let sweep = || assert_eq!(Recorder::open(&directory).captures.remove_orphans(at(NOW_MS)).unwrap(), 0);
    let marked = || std::fs::read_to_string(&mark).unwrap();
    // Also where there is no recording: that the database is lost is seen all the same.
    sweep();
    let first = marked();
    let recorder = Recorder::open(&directory);
    recorder.send(&of(1), 0, 0, json!([meta(0, "/a"), full(1, "x")])).unwrap();
    drop(recorder);
    // Before the recording is in a mark.
    let copy = std::fs::read(&path).unwrap();
    sweep();
    let second = marked();
    assert_ne!(first, second);
    let inode = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&mark).unwrap());
    let written = inode();
    for _ in 0..3 {
        sweep();
        assert_eq!((marked(), inode()), (second.clone(), written), "nothing is written where nothing was learned");
    }
    std::fs::write(&path, &copy).unwrap();
    sweep();
    assert_eq!(marked(), second);
    // A recording that became one object is no more what the copy knows.
    let recorder = Recorder::open(&directory);
    assert_eq!(recorder.captures.merge_replays(at(NOW_MS + DAY_MS)).unwrap(), 1);
    drop(recorder);
    sweep();
    std::fs::write(&path, &copy).unwrap();
    let refused = Captures::open(directory.path()).map(drop).unwrap_err();
    assert!(matches!(refused, CaptureError::OlderCopy { .. }), "{refused}");
}

/// Sabotage: open a file of the first format without the new tables.
#[test]
fn captures_of_the_first_format_are_brought_up() {
    let directory = tempfile::tempdir().unwrap();
    drop(Recorder::open(&directory));
    let connection = rusqlite::Connection::open(directory.path().join("captures.db")).unwrap();
    connection
        .execute_batch(
            "DROP TABLE replays; DROP TABLE replay_chunks; DROP TABLE replay_views;
             DROP TABLE replay_objects; DROP TABLE doomed_blobs;
             DELETE FROM meta WHERE name IN ('replay_bytes', 'loose_bytes', 'instance'); UPDATE meta SET value = 1 WHERE name = 'format'",
        )
        .unwrap();
    drop(connection);
    let recorder = Recorder::open(&directory);
    recorder.send(&of(1), 0, 0, json!([meta(0, "/a"), full(1, "x")])).unwrap();
    assert!(recorder.only().replay.bytes > 0 && recorder.captures.replay_bytes().unwrap() > 0);
    drop(recorder);
    let connection = rusqlite::Connection::open(directory.path().join("captures.db")).unwrap();
    let format: i64 =
        connection.query_row("SELECT value FROM meta WHERE name = 'format'", [], |row| row.get(0)).unwrap();
    assert_eq!(format, 5);
    connection.execute("UPDATE meta SET value = 6 WHERE name = 'format'", []).unwrap();
    drop(connection);
    assert!(matches!(Captures::open(directory.path()), Err(CaptureError::Newer { .. })));
}
