//! Captures from the log to their answers: each batch counts once, groups are what they are, and what is removed is gone from the
//! files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

#[path = "recorder/disk.rs"]
mod disk;

use tempfile::TempDir;
use zenovay_capture::{
    Capture, CaptureOptions, Captures, Context, ErrorCapture, Filter, GroupQuery, KeptSourceMap, NewSourceMap, Row,
    Status, Vital, VitalsCapture, VitalsQuery, parse_stack,
};
use zenovay_domain::{TimeRange, Timestamp, VisitorId, WebsiteId};
use zenovay_events::{AppendError, BatchName, CaptureSink, Kept};

use disk::is_on_disk;

const DAY_MS: i64 = 24 * 3_600_000;
const NOW_MS: i64 = 1_781_352_000_000;

fn site(n: u8) -> WebsiteId {
    WebsiteId::from_random_bytes([n; 16])
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn error(visitor: u64, at_ms: i64, message: &str, stack: &str) -> Capture {
    Capture::Error(ErrorCapture {
        context: Context {
            at_ms,
            visitor,
            session: visitor,
            path: "/p".into(),
            browser: "Firefox".into(),
            ..Context::default()
        },
        kind: "TypeError".into(),
        message: message.into(),
        frames: parse_stack(stack),
        source: "uncaught".into(),
        count: 1,
        ..ErrorCapture::default()
    })
}

fn vitals(visitor: u64, view: u64, at_ms: i64, path: &str, lcp: f64) -> Capture {
    Capture::Vitals(VitalsCapture {
        context: Context {
            at_ms,
            visitor,
            session: visitor,
            path: path.into(),
            device: "desktop".into(),
            ..Context::default()
        },
        view,
        values: [Some(lcp), None, None, None, None],
        connection: String::new(),
    })
}

fn take(captures: &Captures, number: u64, of: WebsiteId, what: &[Capture]) {
    captures.take(BatchName::new(7, number), what.iter().map(|capture| (of, capture.pack())).collect());
}

fn ever() -> Filter<'static> {
    Filter { range: TimeRange::new(at(0), at(i64::MAX)), keep: None }
}

fn open(directory: &TempDir) -> Captures {
    Captures::open(directory.path()).unwrap()
}

/// Sabotage: do not look into `applied`.
#[test]
fn a_batch_counts_once_however_often_it_comes() {
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    let batch = [error(1, NOW_MS, "x is gone", "at f1x (https://example.com/a.js:1:1)")];
    take(&captures, 1, site(1), &batch);
    captures.sync().unwrap();
    drop(captures);
    let captures = open(&directory);
    take(&captures, 1, site(1), &batch);
    take(&captures, 2, site(1), &batch);
    let groups = captures.error_groups(site(1), None, 10).unwrap();
    assert_eq!(groups.iter().map(|group| group.occurrences).collect::<Vec<_>>(), [2]);
    assert_eq!(captures.damages().unwrap(), [] as [String; 0]);
}

#[test]
fn groups_count_occurrences_and_visitors_and_belong_to_one_website() {
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    let stack = |build: &str, line: u32| format!("at total (https://example.com/app-{build}.js:{line}:1)");
    take(
        &captures,
        1,
        site(1),
        &[
            error(1, NOW_MS, "plan 7 is gone", &stack("3f2a", 1)),
            error(1, NOW_MS + 1, "plan 9 is gone", &stack("3f2a", 1)),
            error(2, NOW_MS + 2, "plan 9 is gone", &stack("9c1d", 70)),
            error(3, NOW_MS + 3, "other", &stack("9c1d", 70)),
        ],
    );
    let groups = captures.error_groups(site(1), None, 10).unwrap();
    let told: Vec<_> = groups.iter().map(|g| (g.message.as_str(), g.occurrences, g.visitors)).collect();
    assert_eq!(told, [("other", 1, 1), ("plan 7 is gone", 3, 2)]);
    assert_eq!(groups[1].culprit.as_ref().unwrap().function, "total");
    let id = groups[1].id;
    assert_eq!(captures.error_groups(site(2), None, 10).unwrap(), []);
    let query = GroupQuery { filter: ever(), buckets: &[at(NOW_MS), at(NOW_MS + 2)] };
    assert!(captures.error_detail(site(2), id, &query, 5).unwrap().is_none(), "of another website");
    assert!(!captures.set_error_status(site(2), id, Status::Resolved, "me", at(NOW_MS + 9)).unwrap());
    let detail = captures.error_detail(site(1), id, &query, 2).unwrap().unwrap();
    assert_eq!((detail.found.series.as_slice(), detail.variants.len(), detail.last.len()), (&[2, 1][..], 3, 2));
    let listed = captures.errors_in(site(1), None, &query).unwrap();
    assert_eq!(listed.iter().map(|g| g.occurrences).collect::<Vec<_>>(), [1, 3]);
    let nobody = |row: &Row<'_>| row.browser == "Safari";
    let query = GroupQuery { filter: Filter { keep: Some(&nobody), ..ever() }, ..query };
    assert_eq!(captures.errors_in(site(1), None, &query).unwrap(), []);
}

/// Sabotage: leave the status as it is when an error comes.
#[test]
fn a_group_that_was_resolved_comes_back_and_an_ignored_one_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    let one = |at_ms| error(1, at_ms, "x is gone", "at total (https://example.com/a.js:1:1)");
    take(&captures, 1, site(1), &[one(NOW_MS)]);
    let id = captures.error_groups(site(1), None, 1).unwrap()[0].id;
    let status = || captures.error_groups(site(1), None, 1).unwrap()[0].status;
    assert!(captures.set_error_status(site(1), id, Status::Resolved, "me", at(NOW_MS + 100)).unwrap());
    take(&captures, 2, site(1), &[one(NOW_MS + 50)]);
    assert_eq!(status(), Status::Resolved, "it happened before it was resolved");
    take(&captures, 3, site(1), &[one(NOW_MS + 150)]);
    assert_eq!(status(), Status::Unresolved);
    captures.set_error_status(site(1), id, Status::Ignored, "me", at(NOW_MS + 200)).unwrap();
    take(&captures, 4, site(1), &[one(NOW_MS + 250)]);
    assert_eq!((status(), captures.error_counts(site(1)).unwrap()), (Status::Ignored, [0, 0, 1]));
    let query = GroupQuery { filter: ever(), buckets: &[] };
    let history = captures.error_detail(site(1), id, &query, 1).unwrap().unwrap().history;
    assert_eq!(
        history.iter().map(|entry| entry.what.as_str()).collect::<Vec<_>>(),
        ["ignored", "came_back", "resolved"]
    );
}

#[test]
fn what_comes_later_of_a_view_takes_the_place_of_what_came_before() {
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    let lcp = [1_000.0, 2_000.0, 3_000.0, 9_000.0];
    let views: Vec<_> = lcp.iter().enumerate().map(|(n, lcp)| vitals(1, n as u64, NOW_MS, "/", *lcp)).collect();
    take(&captures, 1, site(1), &views);
    take(&captures, 2, site(1), &[vitals(1, 3, NOW_MS, "/", 4_000.0), vitals(2, 9, NOW_MS, "/other", 10.0)]);
    let query = VitalsQuery { filter: ever(), buckets: &[at(NOW_MS)], pages: 1 };
    let report = captures.vitals(site(1), &query).unwrap();
    assert_eq!((report.views, report.pages_total, report.pages.len()), (5, 2, 1));
    let metric = report.pages[0].metrics[Vital::Lcp as usize].unwrap();
    assert_eq!((metric.count, metric.p75, metric.ratings), (4, 3_000.0, [2, 2, 0]));
    assert_eq!(report.series[0].views, 5);
}

/// Sabotage: leave the log of the database as it is after an erasure, or `secure_delete` off.
#[test]
fn an_erased_visitor_is_in_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    let stack = "at total (https://example.com/a.js:1:1)";
    let mut of_visitor = error(1, NOW_MS, "canary4711 is gone", stack);
    if let Capture::Error(error) = &mut of_visitor {
        error.properties = vec![("name".into(), "property4711".into())];
        error.context.path = "/path4711".into();
    }
    let speed = vitals(1, 1, NOW_MS, "/speed4711", 5.0);
    take(&captures, 1, site(1), &[of_visitor, speed, error(2, NOW_MS, "stays", stack)]);
    captures.sync().unwrap();
    let canaries = ["canary4711", "property4711", "/path4711", "/speed4711"];
    assert!(canaries.iter().all(|canary| is_on_disk(directory.path(), canary)));
    assert!(captures.erase_visitor(site(1), VisitorId(1)).unwrap() > 0);
    for canary in canaries {
        assert!(!is_on_disk(directory.path(), canary), "{canary}");
    }
    assert!(is_on_disk(directory.path(), "stays"));
    assert_eq!(captures.error_groups(site(1), None, 9).unwrap().len(), 1);
    assert_eq!(captures.erase_visitor(site(1), VisitorId(1)).unwrap(), 0, "nothing is left");
    captures.delete_website(site(1)).unwrap();
    assert!(!is_on_disk(directory.path(), "stays"));
    assert_eq!(captures.error_groups(site(1), None, 9).unwrap(), []);
}

/// Sabotage: remove at once what is hidden, or hide nothing in one of the answers.
#[test]
fn what_is_kept_no_longer_is_hidden_first_and_removed_after_thirty_counted_days() {
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    let stack = "at total (https://example.com/a.js:1:1)";
    take(&captures, 1, site(1), &[error(1, NOW_MS - 40 * DAY_MS, "old4711", stack), error(1, NOW_MS, "new", stack)]);
    let kept = |days: i64, now: i64| [Kept::new(site(1), Some(at(now - days * DAY_MS)))];
    let shown = || captures.error_groups(site(1), None, 9).unwrap().len();
    captures.retain(&kept(30, NOW_MS), None).unwrap();
    assert_eq!(shown(), 2, "nothing is hidden by a clock that is not believed");
    captures.retain(&kept(30, NOW_MS), Some(at(NOW_MS))).unwrap();
    assert_eq!(shown(), 1);
    let query = GroupQuery { filter: ever(), buckets: &[] };
    assert_eq!(captures.errors_in(site(1), None, &query).unwrap().len(), 1);
    assert_eq!(captures.error_counts(site(1)).unwrap(), [1, 0, 0]);
    assert_eq!(captures.visitor(site(1), VisitorId(1)).unwrap().errors.len(), 1);
    captures.retain(&kept(90, NOW_MS), Some(at(NOW_MS))).unwrap();
    assert_eq!(shown(), 2, "more is kept again");
    // A clock that jumps by a year counts one day.
    for day in [0, 365, 366] {
        let now = NOW_MS + day * DAY_MS;
        captures.retain(&kept(30, NOW_MS), Some(at(now))).unwrap();
        assert_eq!(captures.remove_hidden().unwrap(), 0);
    }
    for day in 367..400 {
        captures.retain(&kept(30, NOW_MS), Some(at(NOW_MS + day * DAY_MS))).unwrap();
    }
    assert_eq!(captures.remove_hidden().unwrap(), 1);
    assert_eq!((captures.remove_hidden().unwrap(), shown()), (0, 1));
    assert!(!is_on_disk(directory.path(), "old4711"));
}

/// Sabotage: drop what could not be applied.
#[test]
fn a_full_disk_refuses_in_words_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let captures =
        Captures::open_with(directory.path(), CaptureOptions { pages_max: Some(64), ..CaptureOptions::default() })
            .unwrap();
    let stack = "at total (https://example.com/a.js:1:1)";
    let mut taken = 0;
    while captures.room().is_ok() && taken < 5_000 {
        taken += 1;
        let message = format!("m {taken} {}", "long ".repeat(150));
        take(&captures, taken, site(1), &[error(1, NOW_MS, &message, stack)]);
        let _ = captures.catch_up();
    }
    assert_eq!(captures.room(), Err(AppendError::DiskFull));
    assert!(captures.sync().is_err(), "the log must keep it");
    captures.set_pages_max(100_000).unwrap();
    while captures.catch_up().is_err() {
        std::thread::yield_now();
    }
    assert_eq!(captures.room(), Ok(()));
    let counted: u64 = captures.error_groups(site(1), None, 5_000).unwrap().iter().map(|g| g.occurrences).sum();
    assert_eq!(counted, taken);
}

#[test]
fn a_later_format_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(&directory));
    let database = rusqlite::Connection::open(directory.path().join("captures.db")).unwrap();
    database.execute("UPDATE meta SET value = 99 WHERE name = 'format'", []).unwrap();
    drop(database);
    let refused = Captures::open(directory.path()).unwrap_err().to_string();
    assert!(refused.contains("it has format 99"), "{refused}");
}

/// A bundle of one line: column 1 is line 2 of `src/total.ts`, in the function `total`.
fn source_map() -> String {
    let source = "export function total(cart) {\n  return cart.plan.price;\n}\n";
    serde_json::json!({ "version": 3, "sources": ["webpack://shop/./src/total.ts"], "sourcesContent": [source],
        "names": [], "mappings": "AACA" })
    .to_string()
}

/// An error of a minified build.
fn minified(visitor: u64, build: &str, name: &str) -> Capture {
    let mut capture =
        error(visitor, NOW_MS, "x is gone", &format!("at {name} (https://example.com/app-{build}.js:1:1)"));
    if let Capture::Error(error) = &mut capture {
        error.release = build.to_owned();
    }
    capture
}

fn send_map(captures: &Captures, build: &str) -> KeptSourceMap {
    let (file_name, file_url) = (format!("app-{build}.js"), format!("https://example.com/app-{build}.js"));
    let new = NewSourceMap { file_name: &file_name, file_url: &file_url, release: build, json: &source_map() };
    captures.add_source_map(site(1), new, at(NOW_MS + 1_000)).unwrap()
}

/// Sabotage: group by the functions of the bundle, or forget the status of the group before.
#[test]
fn errors_are_grouped_by_the_functions_that_people_wrote_also_when_the_map_comes_late() {
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    send_map(&captures, "one");
    // The minifier called the same function otherwise in each build.
    take(&captures, 1, site(1), &[minified(1, "one", "abc"), minified(2, "two", "xyz")]);
    let groups = || captures.error_groups(site(1), None, 9).unwrap();
    assert_eq!(groups().len(), 2, "of the second build nobody knows the functions yet");
    let mapped = groups().into_iter().find(|g| g.culprit.as_ref().unwrap().function == "total").unwrap();
    assert_eq!(
        (mapped.culprit.as_ref().unwrap().file.as_str(), mapped.culprit.as_ref().unwrap().line),
        ("src/total.ts", 2)
    );
    let bare = groups().into_iter().find(|g| g.id != mapped.id).unwrap();
    captures.set_error_status(site(1), bare.id, Status::Ignored, "me", at(NOW_MS + 500)).unwrap();
    // Of another release it reads none, though the bundle has the same name.
    let (file_name, file_url) = ("app-one.js", "https://example.com/app-one.js");
    let new = NewSourceMap { file_name, file_url, release: "nine", json: &source_map() };
    assert_eq!(captures.add_source_map(site(1), new, at(NOW_MS + 900)).unwrap(), kept(0, 0));
    assert_eq!(send_map(&captures, "two").stacks, 1);
    let after = groups();
    assert_eq!(after.iter().map(|g| (g.id, g.occurrences, g.visitors)).collect::<Vec<_>>(), [(mapped.id, 2, 2)]);
    take(&captures, 2, site(1), &[minified(3, "two", "xyz")]);
    assert_eq!(groups()[0].occurrences, 3);

    // Alone in its group the status goes with it.
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    take(&captures, 1, site(1), &[minified(1, "one", "abc")]);
    let id = captures.error_groups(site(1), None, 9).unwrap()[0].id;
    captures.set_error_status(site(1), id, Status::Ignored, "me", at(NOW_MS + 500)).unwrap();
    assert_eq!(send_map(&captures, "one"), kept(1, 2));
    let after = captures.error_groups(site(1), None, 9).unwrap();
    assert_eq!(after.iter().map(|g| g.status).collect::<Vec<_>>(), [Status::Ignored]);
    assert_ne!(after[0].id, id);
    let query = GroupQuery { filter: ever(), buckets: &[] };
    let detail = captures.error_detail(site(1), after[0].id, &query, 1).unwrap().unwrap();
    assert_eq!((detail.history[0].what.as_str(), detail.variants[0].is_mapped), ("ignored", true));
    let wrong = NewSourceMap { file_name: "a", file_url: "b", release: "", json: "{}" };
    assert!(captures.add_source_map(site(1), wrong, at(NOW_MS)).is_err());
}

fn kept(stacks: u64, groups: u64) -> KeptSourceMap {
    KeptSourceMap { stacks, groups }
}

/// Sabotage: forget the alias of a merged group, or the pin of a split one.
#[test]
fn groups_are_merged_and_split_by_hand_and_stay_so() {
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    let stack = "at total (https://example.com/a.js:1:1)";
    let other = "at price (https://example.com/a.js:1:1)";
    take(&captures, 1, site(1), &[error(1, NOW_MS, "one", stack), error(2, NOW_MS + 1, "two", other)]);
    let groups = || captures.error_groups(site(1), None, 9).unwrap();
    let (two, one) = (groups()[0].id, groups()[1].id);
    assert_eq!(captures.merge_error_groups(site(2), one, &[two], "me", at(NOW_MS)).unwrap(), None, "another website");
    captures.merge_error_groups(site(1), one, &[two], "me", at(NOW_MS)).unwrap().unwrap();
    // Another line: a stack that was not there before.
    take(&captures, 2, site(1), &[error(3, NOW_MS + 2, "two", "at price (https://example.com/a.js:9:9)")]);
    assert_eq!(groups().iter().map(|g| (g.id, g.occurrences, g.visitors)).collect::<Vec<_>>(), [(one, 3, 3)]);

    let query = GroupQuery { filter: ever(), buckets: &[] };
    let variants = captures.error_detail(site(1), one, &query, 1).unwrap().unwrap().variants;
    let of_one: Vec<i64> = variants.iter().filter(|v| v.message == "one").map(|v| v.id).collect();
    let all: Vec<i64> = variants.iter().map(|v| v.id).collect();
    assert_eq!(captures.split_error_group(site(1), one, &all, "me", at(NOW_MS)).unwrap(), None, "nothing would stay");
    assert_eq!(captures.split_error_group(site(1), one, &[99], "me", at(NOW_MS)).unwrap(), None);
    let made = captures.split_error_group(site(1), one, &of_one, "me", at(NOW_MS)).unwrap().unwrap();
    take(&captures, 3, site(1), &[error(9, NOW_MS + 3, "one", stack)]);
    let counts: Vec<_> = groups().iter().map(|g| (g.id, g.occurrences)).collect();
    assert_eq!(counts, [(made, 2), (one, 2)]);
}

/// Sabotage: make a group of everything.
#[test]
fn too_many_different_errors_are_one_group() {
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    // Without numbers, which would be taken out.
    let letters = |mut n: u64| {
        let mut word = String::new();
        for _ in 0..4 {
            word.push(char::from(b'g' + (n % 20) as u8));
            n /= 20;
        }
        word
    };
    let many: Vec<_> =
        (0..5_010).map(|n| error(1, NOW_MS, &letters(n), "at total (https://example.com/a.js:1:1)")).collect();
    take(&captures, 1, site(1), &many);
    while captures.catch_up().is_err() {
        std::thread::yield_now();
    }
    let groups = captures.error_groups(site(1), None, 9_999).unwrap();
    assert_eq!(groups.len(), 5_001);
    assert_eq!(groups.iter().map(|group| group.occurrences).max(), Some(10));
    take(&captures, 2, site(2), &many[..1]);
    assert_eq!(captures.error_groups(site(2), None, 9).unwrap().len(), 1, "each website by itself");
}

/// Sabotage: take errors of a version before for packed, or leave them as they are.
#[test]
fn errors_of_the_format_before_are_counted_and_packed_and_erased() {
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    let stack = "at total (https://example.com/a.js:1:1)";
    let mut errors: Vec<_> =
        (0..1_500).map(|n| error(n % 400, NOW_MS + n as i64 * 1_000, ["one", "two"][n as usize % 2], stack)).collect();
    if let Capture::Error(error) = &mut errors[1] {
        error.context.path = "/path4711".into();
    }
    take(&captures, 1, site(1), &errors);
    let buckets = [at(NOW_MS), at(NOW_MS + 500_000)];
    let told = |captures: &Captures| {
        let filter = Filter { range: TimeRange::new(at(NOW_MS + 1_000), at(NOW_MS + 1_400_000)), keep: None };
        captures.errors_in(site(1), None, &GroupQuery { filter, buckets: &buckets }).unwrap()
    };
    let before = told(&captures);
    assert_eq!(
        before.iter().map(|found| (found.occurrences, found.visitors)).collect::<Vec<_>>(),
        [(700, 200), (699, 200)]
    );
    drop(captures);
    let connection = rusqlite::Connection::open(directory.path().join("captures.db")).unwrap();
    let blocks = || -> i64 {
        connection.query_row("SELECT coalesce(sum(length), 0) FROM occurrence_blocks", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(blocks(), 1_500);
    connection
        .execute_batch(
            "DROP TABLE occurrence_blocks; DROP INDEX occurrences_loose; ALTER TABLE occurrences DROP COLUMN packed;
             DROP TABLE heat_profiles; DROP TABLE heat_cuts; UPDATE meta SET value = 4 WHERE name = 'format'",
        )
        .unwrap();
    let captures = open(&directory);
    assert_eq!(told(&captures), before);
    while blocks() < 1_500 {
        std::thread::yield_now();
    }
    assert_eq!(told(&captures), before);
    drop(connection);
    assert!(is_on_disk(directory.path(), "/path4711"));
    captures.erase_visitor(site(1), VisitorId(1)).unwrap();
    assert!(!is_on_disk(directory.path(), "/path4711"));
    assert_eq!(told(&captures).iter().map(|found| found.visitors).collect::<Vec<_>>(), [199, 200]);
}
