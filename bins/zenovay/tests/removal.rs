//! SIGKILL in the middle of deleting a website, of hiding by retention, and of removing what was hidden long enough, by
//! the real binary: strace kills the server when one of its threads comes to its n-th sync, rename or removal of a
//! file, for each n there is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod process;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use process::{Server, Site, not_possible_here};
use zenovay::backends;
use zenovay_domain::{Clock, ManualClock, SystemClock, Timestamp};
use zenovay_events::{Kept, RETENTION_GRACE_DAYS, Retained};

const PATIENCE: Duration = Duration::from_secs(60);

const DAY_MS: i64 = 86_400_000;
const RETENTION_DAYS: i64 = 30;

/// Views of each kind in each of the parts that are sealed by themselves.
const PER_PART: usize = 40;
const PARTS: usize = 3;
/// Views of each kind.
const VIEWS: usize = PARTS * PER_PART;

/// SECURITY D16. Sabotage: mark the events of a website as deleted before they are; remove segment files before their
/// replacements are registered; note a removal as done before it is; log nothing of a removal.
#[test]
fn deletion_and_removal_survive_sigkill_at_every_sync_rename_and_unlink() {
    if !can_trace("killed removals") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut site = Site::create(&directory.path().join("template"), directory.path(), "");
    let (deleted_id, deleted_code) = site.create_website("deleted.example");
    fill(&site, &[("new", "example.com", &site.tracking_code, 2), ("old", "example.com", &site.tracking_code, 40)]);
    fill(&site, &[("deleted", "deleted.example", &deleted_code, 2), ("other", "example.com", &site.tracking_code, 3)]);
    site.cli(&["website", "delete", &deleted_id, "--yes"]);
    hide_long_ago(&site);
    set_retention(&site, true);

    let template = site.data_dir.clone();
    site.data_dir = directory.path().join("data");
    let is_removed = |page: &Page, data_dir: &Path| {
        assert!(page.rows >= 2 * VIEWS, "events that stay are gone: {page:?}");
        page.rows == 2 * VIEWS && files(data_dir) == page.segments
    };
    copy_dir(&template, &site.data_dir);
    assert_told(&site, &format!("events that were hidden for {RETENTION_GRACE_DAYS} days are removed"), &[]);
    std::fs::remove_dir_all(&site.data_dir).expect("the directory goes");
    let kills = kill_everywhere(&site, &template, &is_removed, |when| {
        let server = site.serve();
        wait_until(&server, when, || {
            page(&server.metrics_address()).is_some_and(|page| is_removed(&page, &site.data_dir))
        });
        check_views(&server, &site, &["new", "other"], when);
        server.kill();
    });
    eprintln!("{kills} kills");
    // Each of six segments is rewritten, with two syncs, a rename and a removal.
    assert!(kills >= 24, "{kills}");
}

/// What was hidden by halves is hidden after the next start, nothing is removed, and everything comes back when the
/// plan keeps it. The log tells what a changed setting hides, from when that is removed, and what it shows. Sabotage: remove at
/// once; log nothing of either.
#[test]
fn hiding_survives_sigkill_at_every_sync_rename_and_unlink() {
    if !can_trace("killed hiding") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut site = Site::create(&directory.path().join("template"), directory.path(), "");
    fill(&site, &[("new", "example.com", &site.tracking_code, 2), ("old", "example.com", &site.tracking_code, 40)]);

    let template = site.data_dir.clone();
    site.data_dir = directory.path().join("data");
    copy_dir(&template, &site.data_dir);
    set_retention(&site, true);
    assert_told(&site, "events that the plan does not keep are hidden", &["before=", "removed_from="]);
    set_retention(&site, false);
    assert_told(&site, "hidden events are shown again", &["since="]);
    std::fs::remove_dir_all(&site.data_dir).expect("the directory goes");

    set_retention(&site, true);
    let kills = kill_everywhere(&site, &template, &|page, _| page.hidden_rows == VIEWS, |when| {
        for (is_kept_short, labels) in [(true, &["new"][..]), (false, &["new", "old"])] {
            set_retention(&site, is_kept_short);
            let server = site.serve();
            wait_until(&server, when, || {
                server.views_by_path(&site.website_id, &site.key).len() == labels.len() * VIEWS
            });
            check_views(&server, &site, labels, when);
            let page = page(&server.metrics_address()).expect("the page");
            assert_eq!(page.rows, 2 * VIEWS, "{when}");
            server.kill();
        }
        set_retention(&site, true);
    });
    eprintln!("{kills} kills");
    assert!(kills >= 2, "{kills}");
}

/// A server tells in one line of its log what it did to the old views, with these `parts`.
fn assert_told(site: &Site, words: &str, parts: &[&str]) {
    let server = site.serve();
    wait_until(&server, words, || server.log().contains(words));
    let log = server.log();
    let line = log.lines().find(|line| line.contains(words)).expect("it was there");
    for part in [&[site.website_id.as_str(), &format!("rows={VIEWS}")], parts].concat() {
        assert!(line.contains(part), "{part}: {line}");
    }
    server.kill();
}

fn can_trace(test: &str) -> bool {
    match Command::new("strace").args(["-e", "trace=none", "true"]).output() {
        Ok(output) if output.status.success() => true,
        other => {
            not_possible_here(test, &format!("strace: {other:?}"));
            false
        }
    }
}

/// Serves copies of `template` as the data of `site` and kills the server at every call, before or after `is_done`;
/// then hands each to `check` with words for when it was. Gives the number of kills.
fn kill_everywhere(
    site: &Site,
    template: &Path,
    is_done: &dyn Fn(&Page, &Path) -> bool,
    check: impl Fn(&str),
) -> usize {
    let mut kills = 0;
    for calls in ["fsync,fdatasync", "rename,renameat,renameat2", "unlink,unlinkat"] {
        for number in 1.. {
            copy_dir(template, &site.data_dir);
            let was_killed = serve_until_killed(site, calls, number, is_done);
            kills += usize::from(was_killed);
            check(&format!("killed at {calls} {number}"));
            std::fs::remove_dir_all(&site.data_dir).expect("the directory goes");
            if !was_killed {
                break;
            }
        }
    }
    kills
}

fn wait_until(server: &Server, when: &str, is_done: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_done() {
        assert!(started.elapsed() < PATIENCE, "never done, {when}\n{}", server.log());
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Exactly the views of these labels are stored, each once.
fn check_views(server: &Server, site: &Site, labels: &[&str], when: &str) {
    let stored = server.views_by_path(&site.website_id, &site.key);
    for label in labels {
        for part in 0..PARTS {
            for number in 0..PER_PART {
                let path = format!("/{label}/{part}/{number}");
                assert_eq!(stored.get(&path), Some(&1), "{path}, {when}");
            }
        }
    }
    assert_eq!(stored.len(), labels.len() * VIEWS, "{when}: {stored:?}");
}

/// Views of these labels, domains and tracking codes, so many days ago, in segments that hold all.
fn fill(site: &Site, views: &[(&str, &str, &str, i64)]) {
    let now = SystemClock.now().as_millis();
    for part in 0..PARTS {
        let server = site.serve();
        let mut connection = server.connect();
        for (label, domain, code, days_ago) in views {
            let row = |number: usize| {
                serde_json::json!({
                    "type": "pageview",
                    "ts": now - days_ago * DAY_MS + number as i64,
                    "visitorId": format!("visitor {number}"),
                    "sessionId": format!("session {label} {part} {number}"),
                    "props": { "url": format!("https://{domain}/{label}/{part}/{number}") },
                })
            };
            let body =
                serde_json::json!({ "trackingCode": code, "events": (0..PER_PART).map(row).collect::<Vec<_>>() });
            let headers = [("X-API-Key", site.key.as_str())];
            let answer = connection.request("POST", "/api/v1/events", &headers, &body.to_string()).expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        // Leaves a segment.
        assert!(server.terminate().success());
    }
}

/// Makes the server keep thirty days, or everything.
fn set_retention(site: &Site, is_kept_short: bool) {
    let config = std::fs::read_to_string(&site.config).expect("the configuration");
    let kept_days = format!("retention_days = {RETENTION_DAYS}\n");
    let mut config = config.replace(&kept_days, "");
    if is_kept_short {
        // The table of the plan stands last.
        config.push_str(&kept_days);
    }
    std::fs::write(&site.config, config).expect("the configuration can be written");
}

/// Leaves the store as a server does that keeps thirty days and ran on each of the last thirty days but today: what is
/// older is hidden, and more than a tenth, so that its removal waits for today.
fn hide_long_ago(site: &Site) {
    let now = SystemClock.now();
    let config = process::settings(&site.data_dir);
    let captures = backends::open_captures(&config).expect("captures");
    let store = backends::open_events(&config, Arc::new(ManualClock::new(now)), captures).expect("a store");
    let today = now.as_millis().div_euclid(DAY_MS) * DAY_MS;
    let since = Some(Timestamp::from_millis(today - RETENTION_DAYS * DAY_MS));
    let kept = [Kept::new(site.website_id.parse().expect("an id"), since)];
    let mut told = Vec::new();
    for days_ago in (1..=RETENTION_GRACE_DAYS + 1).rev() {
        let then = now.plus_millis(-days_ago * DAY_MS);
        store.retain(&kept, Some(then), &mut |what| told.push(what)).expect("hidden");
        store.remove_hidden(then, &mut |what| told.push(what)).expect("not removed");
    }
    assert!(matches!(told[..], [Retained::Hidden { .. }, Retained::Waiting { .. }]), "{told:?}");
}

/// Starts the server under strace, which kills it at the given call of a thread. `false` when `is_done` came true and
/// it ended by itself.
fn serve_until_killed(site: &Site, calls: &str, number: u32, is_done: &dyn Fn(&Page, &Path) -> bool) -> bool {
    let mut child = Command::new("strace")
        .args(["-f", "-qqq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e"])
        .arg(format!("inject={calls}:signal=KILL:when={number}"))
        .args([process::BINARY, "serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(&site.config)
        .arg("--data-dir")
        .arg(&site.data_dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("strace runs");
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut line = String::new();
    let listens = stdout.read_line(&mut line).expect("text") > 0;
    if listens {
        let address = line.trim().strip_prefix("listening on http://").expect("the only line");
        let started = Instant::now();
        while page(address).is_some_and(|page| !is_done(&page, &site.data_dir)) {
            assert!(started.elapsed() < PATIENCE, "neither done nor killed at {calls} {number}");
            std::thread::park_timeout(Duration::from_millis(2));
        }
        // What is left to do, such as to note that it is done, can still be its end.
        let traced = Command::new("pgrep").args(["-P", &child.id().to_string()]).output().expect("pgrep runs");
        if let Ok(pid) = String::from_utf8_lossy(&traced.stdout).trim().parse::<u32>() {
            drop(Command::new("kill").args(["-TERM", &pid.to_string()]).output().expect("kill runs"));
        }
    }
    // strace ends as the server did.
    !child.wait().expect("strace ends").success()
}

/// What the metrics say.
#[derive(Debug)]
struct Page {
    rows: usize,
    segments: usize,
    /// Since the start.
    hidden_rows: usize,
}

/// The metrics of the server at `address`; `None` when it is gone.
fn page(address: &str) -> Option<Page> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    let number = |name: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        Some(line.parse::<f64>().expect("a number") as usize)
    };
    Some(Page {
        rows: number("zenovay_segment_rows")? + number("zenovay_head_rows")?,
        segments: number("zenovay_segments")?,
        hidden_rows: number("zenovay_retention_hidden_rows_total").unwrap_or(0),
    })
}

/// How many segment files there are.
fn files(data_dir: &Path) -> usize {
    std::fs::read_dir(data_dir.join("segments")).expect("segments").count()
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a file");
        }
    }
}
