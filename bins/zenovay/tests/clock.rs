//! The real binary under a clock that is years off, at start and while it runs: nothing is lost, nothing freezes, and it is
//! said.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod process;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use process::{FAKETIME, Server, Site, not_possible_here, pageview};
use zenovay_domain::Timestamp;

const DAY_S: u64 = 86_400;

/// A website, and the offset of the clock that its servers see.
struct Machine {
    directory: tempfile::TempDir,
    site: Site,
    offset: PathBuf,
}

impl Machine {
    fn new(test: &str) -> Option<Self> {
        if !Path::new(FAKETIME).exists() {
            not_possible_here(test, "libfaketime is not installed");
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let site = Site::create(&directory.path().join("data"), directory.path(), "seal_age_seconds = 1");
        let offset = directory.path().join("offset");
        let machine = Self { directory, site, offset };
        machine.set_clock("+0");
        Some(machine)
    }

    fn set_clock(&self, offset: &str) {
        std::fs::write(&self.offset, offset).expect("the offset can be written");
    }

    fn environment(&self) -> [(&str, &str); 4] {
        [
            ("LD_PRELOAD", FAKETIME),
            ("FAKETIME_TIMESTAMP_FILE", self.offset.to_str().expect("a path that is text")),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
    }

    fn serve(&self) -> Server {
        self.site.serve_with(&[], &self.environment())
    }

    /// What `zenovay check` says of the clock.
    fn check(&self) -> String {
        let output = std::process::Command::new(process::BINARY)
            .args(["check", "--json", "--config"])
            .arg(&self.site.config)
            .arg("--data-dir")
            .arg(&self.site.data_dir)
            .envs(self.environment())
            .output()
            .expect("the binary runs");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        told["clock"].as_str().expect("a word on the clock").to_owned()
    }

    fn send(&self, server: &Server, path: &str) {
        let url = format!("/e/{}", self.site.tracking_code);
        let headers = [("Content-Type", "application/json")];
        let body = pageview("example.com", path, "session-1");
        let answer = server.connect().request("POST", &url, &headers, &body).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    fn views(&self, server: &Server) -> usize {
        server.views_by_path(&self.site.website_id, &self.site.key).len()
    }

    /// The UTC days of the salts on disk.
    fn salt_days(&self) -> Vec<u64> {
        let bytes = std::fs::read(self.site.data_dir.join("salts")).expect("salts");
        bytes[40..].chunks(40).map(|salt| u64::from_le_bytes(salt[..8].try_into().expect("8 bytes"))).collect()
    }

    fn today(&self) -> u64 {
        // The time of a file is that of the machine, whatever the servers see.
        let probe = self.directory.path().join("probe");
        std::fs::write(&probe, "").expect("a file");
        let written = std::fs::metadata(&probe).and_then(|file| file.modified()).expect("a time");
        written.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() / DAY_S
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn metric(server: &Server, name: &str) -> f64 {
    let metrics = server.metrics();
    let line = metrics.lines().find(|line| line.split(' ').next() == Some(name));
    line.and_then(|line| line.split(' ').nth(1)).and_then(|value| value.parse().ok()).unwrap_or(f64::NAN)
}

/// Sabotage: believe every reading.
#[test]
fn a_start_with_a_wrong_clock_removes_and_freezes_nothing() {
    let Some(machine) = Machine::new("wrong clock at start") else { return };
    let server = machine.serve();
    assert_eq!(metric(&server, "zenovay_clock_doubts_total"), 0.0);
    assert_eq!(metric(&server, "zenovay_clock_trusted"), 1.0);
    for name in ["hidden_rows", "shown_rows", "removed_rows", "large_removals"] {
        assert_eq!(metric(&server, &format!("zenovay_retention_{name}_total")), 0.0, "{name}");
    }
    (0..20).for_each(|number| machine.send(&server, &format!("/{number}")));
    assert_eq!(machine.views(&server), 20);
    assert!(server.terminate().success());
    assert_eq!(machine.check(), "ok");

    for offset in ["+1900d", "-1900d"] {
        machine.set_clock(offset);
        assert!(machine.check().starts_with("not believed: it says "), "{}", machine.check());
        let server = machine.serve();
        wait_until("the log names it", || server.log().contains("the clock is not believed"));
        wait_until("the metrics name it", || metric(&server, "zenovay_clock_trusted") == 0.0);
        assert_eq!(metric(&server, "zenovay_clock_doubts_total"), 1.0);
        assert_eq!(metric(&server, "zenovay_retention_hidden_rows_total"), 0.0);
        // A request under the wrong clock begins a month that must not stay.
        machine.views(&server);
        assert!(server.terminate().success());
    }

    machine.set_clock("+0");
    let server = machine.serve();
    assert_eq!(machine.views(&server), 20);
    wait_until("the salts are of today", || {
        let today = machine.today();
        machine.salt_days().iter().all(|day| (today - 1..=today).contains(day))
    });
    let path = format!("/api/external/v1/analytics/{}", machine.site.website_id);
    let answer = server.connect().request("GET", &path, &[("X-API-Key", &machine.site.key)], "").expect("an answer");
    let reset = &answer.headers["x-usage-reset"];
    let reset: Timestamp = reset.parse().unwrap_or_else(|error| panic!("{error}"));
    let days_left = reset.as_millis() / 1_000 / DAY_S as i64 - machine.today() as i64;
    assert!((0..=62).contains(&days_left), "{reset}");
    assert_eq!(metric(&server, "zenovay_clock_trusted"), 1.0);
    assert!(server.terminate().success());
    assert_eq!(machine.check(), "ok");
}

#[test]
fn a_step_of_years_while_the_server_runs_is_named_and_heals() {
    let Some(machine) = Machine::new("wrong clock while running") else { return };
    let server = machine.serve();
    machine.send(&server, "/before");
    let days = machine.salt_days();
    for offset in ["+1900d", "-1900d"] {
        machine.set_clock(offset);
        wait_until("it is noticed", || metric(&server, "zenovay_clock_trusted") == 0.0);
        machine.send(&server, &format!("/{offset}"));
        machine.set_clock("+0");
        wait_until("it is over", || metric(&server, "zenovay_clock_trusted") == 1.0);
    }
    machine.send(&server, "/after");
    assert_eq!(metric(&server, "zenovay_clock_doubts_total"), 2.0);
    let told = |words: &str| server.log().matches(words).count();
    for words in ["the clock is not believed", "the clock is believed again"] {
        wait_until(words, || told(words) >= 2);
    }
    let today = machine.today();
    assert!(days == machine.salt_days() || machine.salt_days().contains(&today), "no salt of another time was drawn");
    let views = server.views_by_path(&machine.site.website_id, &machine.site.key);
    assert!(views.contains_key("/before") && views.contains_key("/after"), "{views:?}");
    let (_, log) = server.terminate_with_log();
    for words in ["the clock is not believed", "the clock is believed again"] {
        assert_eq!(log.matches(words).count(), 2, "{words}: {log}");
    }
}
