//! SIGKILL in the middle of deleting a website and of retention, by the real binary: strace kills the server when one of its
//! threads comes to its n-th sync, rename or removal of a file, for each n there is.

mod process;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use process::{Site, not_possible_here};
use zenovay_domain::{Clock, SystemClock};

const PATIENCE: Duration = Duration::from_secs(30);

const DAY_MS: i64 = 86_400_000;

/// Views of each kind in each of the parts that are sealed by themselves.
const PER_PART: usize = 40;
const PARTS: usize = 3;

/// SECURITY D16. Sabotage: mark the events of a website as deleted before they are; remove segment files before their
/// replacements are registered.
#[test]
fn deletion_and_retention_survive_sigkill_at_every_sync_rename_and_removal() {
    const TEST: &str = "killed removals";
    match Command::new("strace").args(["-e", "trace=none", "true"]).output() {
        Ok(output) if output.status.success() => {}
        other => return not_possible_here(TEST, &format!("strace: {other:?}")),
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut site = Site::create(&directory.path().join("template"), directory.path(), "");
    let (deleted_id, deleted_code) = site.create_website("deleted.example");
    fill(&site, &deleted_code);
    site.cli(&["website", "delete", &deleted_id, "--yes"]);
    let mut config = std::fs::read_to_string(&site.config).expect("the configuration");
    // The table of the plan stands last.
    config.push_str("retention_days = 30\n");
    std::fs::write(&site.config, config).expect("the configuration can be written");

    let template = site.data_dir.clone();
    let mut kills = 0;
    for calls in ["fsync,fdatasync", "rename,renameat,renameat2", "unlink,unlinkat"] {
        for number in 1.. {
            site.data_dir = directory.path().join("data");
            copy_dir(&template, &site.data_dir);
            let was_killed = serve_until_killed(&site, calls, number);
            kills += u32::from(was_killed);
            let server = site.serve();
            let started = Instant::now();
            while is_removed(&server.metrics_address(), &site.data_dir) != Some(true) {
                assert!(started.elapsed() < PATIENCE, "not removed after {calls} {number}\n{}", server.log());
                std::thread::park_timeout(Duration::from_millis(2));
            }
            let stored = server.views_by_path(&site.website_id, &site.key);
            for part in 0..PARTS {
                for number in 0..PER_PART {
                    let path = format!("/new/{part}/{number}");
                    assert_eq!(stored.get(&path), Some(&1), "{path}, killed at {calls} {number}");
                }
            }
            assert_eq!(stored.len(), PARTS * PER_PART, "killed at {calls} {number}: {stored:?}");
            server.kill();
            std::fs::remove_dir_all(&site.data_dir).expect("the directory goes");
            if !was_killed {
                break;
            }
        }
    }
    eprintln!("{kills} kills");
    // Three segments are rewritten twice, each with two syncs, a rename and a removal.
    assert!(kills >= 12, "{kills}");
}

/// New and old events of one website and events of another one, in segments that hold all three.
fn fill(site: &Site, deleted_code: &str) {
    let now = SystemClock.now().as_millis();
    for part in 0..PARTS {
        let server = site.serve();
        let mut connection = server.connect();
        for (code, domain, label, at) in [
            (site.tracking_code.as_str(), "example.com", "new", now - 2 * DAY_MS),
            (site.tracking_code.as_str(), "example.com", "old", now - 40 * DAY_MS),
            (deleted_code, "deleted.example", "deleted", now - 2 * DAY_MS),
        ] {
            let row = |number: usize| {
                serde_json::json!({
                    "type": "pageview",
                    "ts": at + number as i64,
                    "visitorId": format!("visitor {number}"),
                    "sessionId": format!("session {part} {number}"),
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

/// Starts the server under strace, which kills it at the given call of a thread. `false` when it got through its removals
/// and ended by itself.
fn serve_until_killed(site: &Site, calls: &str, number: u32) -> bool {
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
        while is_removed(address, &site.data_dir) == Some(false) {
            assert!(started.elapsed() < PATIENCE, "neither removed nor killed at {calls} {number}");
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

/// Whether the store has neither old nor deleted events and no file of them; `None` when the server is gone.
fn is_removed(address: &str, data_dir: &Path) -> Option<bool> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    let gauge = |name: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        Some(line.parse::<f64>().expect("a number") as usize)
    };
    let rows = gauge("zenovay_segment_rows")? + gauge("zenovay_head_rows")?;
    assert!(rows >= PARTS * PER_PART, "events that stay are gone: {rows} rows");
    let files = std::fs::read_dir(data_dir.join("segments")).expect("segments").count();
    Some(rows == PARTS * PER_PART && files == gauge("zenovay_segments")?)
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
