//! Durability of the real binary: what was acknowledged survives the death of the process, the loss of power, a full
//! disk and a failed sync, exactly once (SECURITY D1, D2, D6, D7, D11, D20).
//!
//! Each test names the sabotage that turns it red. `ZENOVAY_CRASH_ROUNDS` sets how often the process is killed and the
//! power cut.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod process;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use process::{FAKETIME, Load, Site, assert_exactly_once, not_possible_here};

/// The head is sealed about every 300 events, so that kills also hit sealing and merging.
const SEAL_OFTEN: &str = "seal_rows = 300";

fn rounds(default: u32) -> u32 {
    std::env::var("ZENOVAY_CRASH_ROUNDS").ok().map_or(default, |value| value.parse().expect("a number"))
}

/// A small generator of moments: the same each run, so a failure comes again.
fn moment(round: u32) -> usize {
    (round.wrapping_mul(2_654_435_761) >> 20) as usize % 900 + 20
}

/// Sabotage: send the receipts before the commit, or delete the batches before the segment is registered.
#[test]
fn an_acknowledged_event_survives_sigkill_exactly_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&directory.path().join("data"), directory.path(), SEAL_OFTEN);
    let (mut acknowledged, mut sent) = (Vec::new(), Vec::new());
    for round in 0..rounds(20) {
        let server = site.serve();
        let load = Load::start(&server, &site.tracking_code, "example.com", &round.to_string(), 16);
        load.wait_until("enough acknowledged events", |load| load.acknowledged().len() >= moment(round));
        server.kill();
        let (more_acknowledged, more_sent) = load.finish();
        acknowledged.extend(more_acknowledged);
        sent.extend(more_sent);
    }
    let server = site.serve();
    let stored = server.views_by_path(&site.website_id, &site.key);
    assert_exactly_once(&acknowledged, &stored, &sent);
    eprintln!(
        "{} kills: {} acknowledged, {} stored, {} sent",
        rounds(20),
        acknowledged.len(),
        stored.len(),
        sent.len()
    );
}

/// Sabotage: `synchronous=NORMAL` in the event log.
#[test]
fn an_acknowledged_event_survives_a_power_cut_exactly_once() {
    const TEST: &str = "power cut";
    let directory = tempfile::tempdir().expect("a directory");
    let (image, mount) = (directory.path().join("image"), directory.path().join("mount"));
    std::fs::create_dir(&mount).expect("a mount point");
    let disk = match Disk::create(&image, &mount) {
        Ok(disk) => disk,
        Err(why) => return not_possible_here(TEST, &why),
    };
    let site = Site::create(&mount.join("data"), directory.path(), SEAL_OFTEN);
    let (mut acknowledged, mut sent) = (Vec::new(), Vec::new());
    for round in 0..rounds(10) {
        let server = site.serve();
        let load = Load::start(&server, &site.tracking_code, "example.com", &round.to_string(), 16);
        load.wait_until("enough acknowledged events", |load| load.acknowledged().len() >= moment(round));
        // Only what was answered before the cut counts: a sync in flight at the cut may report success.
        acknowledged.extend(load.acknowledged());
        if let Err(why) = disk.cut_power() {
            server.kill();
            drop(load.finish());
            return not_possible_here(TEST, &why);
        }
        server.kill();
        sent.extend(load.finish().1);
        disk.remount();
    }
    let server = site.serve();
    let stored = server.views_by_path(&site.website_id, &site.key);
    assert_exactly_once(&acknowledged, &stored, &sent);
    eprintln!("{} cuts: {} acknowledged, {} stored, {} sent", rounds(10), acknowledged.len(), stored.len(), sent.len());
    server.kill();
}

/// An ext4 file system in a file, whose power can be cut: what was not synced is gone after the next mount.
struct Disk<'a> {
    image: &'a Path,
    mount: &'a Path,
}

impl<'a> Disk<'a> {
    fn create(image: &'a Path, mount: &'a Path) -> Result<Self, String> {
        run("truncate", &["-s", "256M", text(image)])?;
        run("mkfs.ext4", &["-q", "-F", "-E", "lazy_itable_init=1", text(image)])?;
        run("mount", &["-o", "loop", text(image), text(mount)])?;
        Ok(Self { image, mount })
    }

    /// The shutdown ioctl of ext4 with flag 2, "no log flush". Perl is on every Debian.
    fn cut_power(&self) -> Result<(), String> {
        const SCRIPT: &str = r#"open(my $f, "<", $ARGV[0]) or die "open: $!"; my $flag = pack("I", 2);
            defined(ioctl($f, 0x8004587d, $flag)) or die "ioctl: $!";"#;
        run("perl", &["-e", SCRIPT, text(self.mount)])
    }

    fn remount(&self) {
        self.unmount();
        run("mount", &["-o", "loop", text(self.image), text(self.mount)]).expect("the image mounts again");
    }

    fn unmount(&self) {
        // The kernel may take a moment to let go of files of a process that was just killed.
        let started = Instant::now();
        while let Err(why) = run("umount", &[text(self.mount)]) {
            assert!(started.elapsed() < Duration::from_secs(60), "the image stays mounted: {why}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        if run("umount", &["-l", text(self.mount)]).is_err() {
            eprintln!("{} stays mounted", self.mount.display());
        }
    }
}

/// Sabotage: ignore the error of a commit and answer 200; or poison the writer when the disk is full; or hold no space for
/// revoking keys.
#[test]
fn a_full_disk_is_a_503_that_recovers_when_space_returns() {
    const TEST: &str = "full disk";
    let directory = tempfile::tempdir().expect("a directory");
    let mount = directory.path().join("mount");
    std::fs::create_dir(&mount).expect("a mount point");
    if let Err(why) = run("mount", &["-t", "tmpfs", "-o", "size=24m", "tmpfs", text(&mount)]) {
        return not_possible_here(TEST, &why);
    }
    let _unmount = Unmount(&mount);
    let site = Site::create(&mount.join("data"), directory.path(), SEAL_OFTEN);
    let lost = site.cli(&["key", "create", "--user", "owner@example.com", "--name", "lost"]);
    let server = site.serve();
    let ballast = mount.join("ballast");
    let load = Load::start(&server, &site.tracking_code, "example.com", "full", 8);
    load.wait_until("events are stored", |load| load.acknowledged().len() > 50);
    // Leaves nothing: dd ends with an error when the disk is full, which is what it is for.
    let filled = run("dd", &["if=/dev/zero", &format!("of={}", text(&ballast)), "bs=4k"]);
    assert!(filled.is_err(), "the disk is not full");
    load.wait_until("the full disk is a 503", |load| load.refused() > 20);
    let ready = server.connect().request("GET", "/readyz", &[], "").expect("an answer");
    assert_eq!(ready.status, 503, "{}", ready.body);
    let alive = server.connect().request("GET", "/healthz", &[], "").expect("an answer");
    assert_eq!(alive.status, 200, "{}", alive.body);
    server.get(&format!("/api/external/v1/analytics/{}", site.website_id), &site.key);
    // A key that was lost must not live on because of a full disk.
    site.cli(&["key", "revoke", lost["id"].as_str().expect("an id")]);
    let key = lost["key"].as_str().expect("a key");
    let refused = server.connect().request("GET", "/api/external/v1/websites", &[("X-API-Key", key)], "");
    assert_eq!(refused.expect("an answer").status, 401);

    std::fs::remove_file(&ballast).expect("the ballast goes");
    let before = load.acknowledged().len();
    load.wait_until("ingest resumes", |load| load.acknowledged().len() > before + 50);
    let refused_until_now = load.refused_counter();
    let (acknowledged, sent) = load.finish();
    // The accounting holds through the fault: every answer is in exactly one outcome.
    let metrics = server.metrics();
    let refused = refused_until_now.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(outcomes(&metrics, "stored"), acknowledged.len() as u64);
    assert_eq!(outcomes(&metrics, "dropped"), 0);
    assert_eq!(outcomes(&metrics, "refused"), u64::from(refused));
    assert_eq!(acknowledged.len() as u64 + u64::from(refused), sent.len() as u64);
    assert_exactly_once(&acknowledged, &server.views_by_path(&site.website_id, &site.key), &sent);
    server.kill();
    // A server that is started while nothing is free says in words why it ends.
    let filled = run("dd", &["if=/dev/zero", &format!("of={}", text(&ballast)), "bs=4k"]);
    assert!(filled.is_err(), "the disk is not full");
    let refused = Command::new("timeout")
        .args(["60", process::BINARY, "serve", "--listen", "127.0.0.1:0", "--config", text(&site.config)])
        .args(["--data-dir", text(&site.data_dir)])
        .output()
        .expect("timeout runs");
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("is full: make room") && words.contains("df -h"), "{refused:?}");
    std::fs::remove_file(&ballast).expect("the ballast goes");
    let server = site.serve();
    assert_exactly_once(&acknowledged, &server.views_by_path(&site.website_id, &site.key), &sent);
    server.kill();
}

/// The sum over all reasons of one outcome on the `/metrics` page.
fn outcomes(metrics: &str, outcome: &str) -> u64 {
    let prefix = format!("zenovay_ingest_outcomes_total{{outcome=\"{outcome}\"");
    let lines = metrics.lines().filter(|line| line.starts_with(&prefix));
    lines.map(|line| line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok()).expect("a count")).sum()
}

/// Sabotage: keep the monthly counts in memory and write them once a second.
#[test]
fn requests_that_were_answered_are_counted_across_sigkill() {
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&directory.path().join("data"), directory.path(), "");
    let path = format!("/api/external/v1/analytics/{}", site.website_id);
    let mut answered = 0;
    for round in 0..4 {
        let server = site.serve();
        let mut connection = server.connect();
        for _ in 0..moment(round) / 4 {
            let response = connection.request("GET", &path, &[("X-API-Key", &site.key)], "").expect("an answer");
            assert_eq!(response.status, 200, "{}", response.body);
            answered += 1;
            assert_eq!(response.headers["x-usage-monthly"], answered.to_string());
        }
        server.kill();
    }
    let server = site.serve();
    let usage = server.get("/api/external/v1/usage", &site.key);
    assert_eq!(usage["data"]["usage"]["monthly_requests"], answered + 1);
    server.kill();
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        if run("umount", &["-l", text(self.0)]).is_err() {
            eprintln!("{} stays mounted", self.0.display());
        }
    }
}

/// Sabotage: retry the commit after the failed sync.
#[test]
fn a_failed_fsync_closes_the_writer_until_restart() {
    const TEST: &str = "failed fsync";
    if let Err(why) = run("strace", &["-e", "trace=none", "true"]) {
        return not_possible_here(TEST, &why);
    }
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&directory.path().join("data"), directory.path(), "");
    // Calls are counted per thread: the writer's fortieth sync is the only one that fails, later ones would succeed.
    let server = site.serve_with(
        &[
            "strace",
            "-f",
            "-qqq",
            "-o",
            "/dev/null",
            "-e",
            "trace=fdatasync,fsync",
            "-e",
            "inject=fdatasync,fsync:error=EIO:when=40",
        ],
        &[],
    );
    let load = Load::start(&server, &site.tracking_code, "example.com", "sync", 4);
    load.wait_until("the failed sync is a 503", |load| load.refused() > 50);
    let acknowledged_at_failure = load.acknowledged().len();
    assert!(acknowledged_at_failure > 0);
    let ready = server.connect().request("GET", "/readyz", &[], "").expect("an answer");
    assert_eq!(ready.status, 503, "{}", ready.body);
    let (acknowledged, sent) = load.finish();
    assert_eq!(acknowledged.len(), acknowledged_at_failure, "an event was acknowledged after the failed sync");
    // strace does not pass SIGKILL on: end the server itself.
    let traced = Command::new("pgrep").args(["-P", &server.pid().to_string()]).output().expect("pgrep runs");
    run("kill", &["-9", String::from_utf8_lossy(&traced.stdout).trim()]).expect("the server can be killed");
    server.wait();

    let server = site.serve();
    assert_exactly_once(&acknowledged, &server.views_by_path(&site.website_id, &site.key), &sent);
    let load = Load::start(&server, &site.tracking_code, "example.com", "again", 2);
    load.wait_until("a new process accepts again", |load| load.acknowledged().len() > 10);
    drop(load.finish());
    server.kill();
}

/// Sabotage: cancel the requests in flight at SIGTERM, or exit without waiting for the writer.
#[test]
fn sigterm_under_load_loses_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&directory.path().join("data"), directory.path(), "");
    let server = site.serve();
    let load = Load::start(&server, &site.tracking_code, "example.com", "term", 16);
    load.wait_until("enough acknowledged events", |load| load.acknowledged().len() > 400);
    let status = server.terminate();
    assert!(status.success(), "{status}");
    let (acknowledged, sent) = load.finish();
    let server = site.serve();
    assert_exactly_once(&acknowledged, &server.views_by_path(&site.website_id, &site.key), &sent);
    server.kill();
}

/// Sabotage: order events by the wall clock at commit, or key the deduplication by it.
#[test]
fn a_clock_that_jumps_loses_and_reorders_nothing() {
    const TEST: &str = "jumping clock";
    if !Path::new(FAKETIME).exists() {
        return not_possible_here(TEST, "libfaketime is not installed");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&directory.path().join("data"), directory.path(), SEAL_OFTEN);
    let offset = directory.path().join("offset");
    std::fs::write(&offset, "+0").expect("the offset can be written");
    let server = site.serve_with(
        &[],
        &[
            ("LD_PRELOAD", FAKETIME),
            ("FAKETIME_TIMESTAMP_FILE", text(&offset)),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ],
    );
    let load = Load::start(&server, &site.tracking_code, "example.com", "clock", 8);
    for jump in ["+0", "-1h", "+0", "+1d", "+0", "-3d"] {
        std::fs::write(&offset, jump).expect("the offset can be written");
        let before = load.acknowledged().len();
        load.wait_until("events are stored after a jump", |load| load.acknowledged().len() > before + 150);
    }
    let (acknowledged, sent) = load.finish();
    std::fs::write(&offset, "+2d").expect("the offset can be written");
    assert_exactly_once(&acknowledged, &server.views_by_path(&site.website_id, &site.key), &sent);
    server.kill();
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

/// Runs a program that must succeed; otherwise says what it said.
fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// The log of a service may be a file on a disk that is full, or a pipe that nobody reads any more. Sabotage: let the log tell that
/// it cannot be written.
#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&directory.path().join("data"), directory.path(), "");
    let full = ["sh", "-c", r#"exec "$0" "$@" 2>/dev/full"#];
    let server = site.serve_with(&full, &[("ZENOVAY_LOG_LEVEL", "info")]);
    for _ in 0..3 {
        let response = server.connect().request("GET", "/api/instance", &[], "").expect("an answer");
        assert_eq!(response.status, 200, "{}", response.body);
    }
    assert!(server.terminate().success());
}
