//! Data directories that earlier commits wrote: today's server opens them, answers what they answered, goes on storing, and
//! rewrites the old files. See `fixtures/README.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use process::{Server, Site, not_possible_here, pageview};
use serde_json::Value;
use zenovay_domain::normal_path;

const PATIENCE: Duration = Duration::from_secs(30);

/// The clock of a server that runs when the fixture was written; afterwards its idempotency keys are over.
const AT_THE_TIME: [(&str, &str); 3] =
    [("LD_PRELOAD", FAKETIME), ("FAKETIME", "@2026-06-11 10:05:00"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// A fixture, unpacked.
struct Fixture {
    directory: tempfile::TempDir,
    facts: Value,
}

impl Fixture {
    fn unpack(name: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        let status =
            Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(directory.path()).status().expect("tar runs");
        assert!(status.success(), "the fixture cannot be unpacked");
        let facts = std::fs::read(directory.path().join("facts.json")).expect("the fixture has facts");
        let facts = serde_json::from_slice(&facts).expect("facts are JSON");
        // The plan of the fixture's team keeps everything, whenever the test runs.
        let config =
            "seal_age_seconds = 1\n[plans.enterprise]\nrequests_per_minute = 1000000\nretention_days = \"unlimited\"\n";
        std::fs::write(directory.path().join("zenovay.toml"), config).expect("the configuration can be written");
        Self { directory, facts }
    }

    fn site(&self) -> Site {
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        let website = &self.facts["websites"][0];
        Site {
            data_dir: self.directory.path().join("data"),
            config: self.directory.path().join("zenovay.toml"),
            website_id: text(&website["id"]),
            tracking_code: text(&website["tracking_code"]),
            key: text(&self.facts["key"]),
        }
    }

    /// What the server of the fixture's commit answered about its first website and the days before the fixture was made
    /// is what `server` answers.
    fn assert_answers_the_same(&self, server: &Server) {
        for website in self.facts["websites"].as_array().expect("websites") {
            let (id, domain) = (website["id"].as_str().expect("an id"), website["domain"].as_str().expect("a domain"));
            for (name, path) in
                [("overview", ""), ("pages", "/pages"), ("countries", "/countries"), ("technology", "/technology")]
            {
                let path = format!("/api/external/v1/analytics/{id}{path}?from=2026-06-01&to=2026-06-10&limit=100");
                let answer = server.get(&path, self.facts["key"].as_str().expect("a key"));
                let expected = &self.facts["answers"][format!("{domain} {name}")];
                if name == "pages" {
                    assert_eq!(pages(&answer["data"]), pages(expected), "{domain} {name}");
                } else {
                    assert_eq!(&answer["data"], expected, "{domain} {name}");
                }
            }
        }
    }
}

/// The views of each page in the one spelling of its path that is shown since paths have one.
fn pages(data: &Value) -> BTreeMap<String, u64> {
    let mut views = BTreeMap::new();
    for row in data["pages"].as_array().expect("pages") {
        let path = normal_path(row["url"].as_str().expect("a path")).into_owned();
        *views.entry(path).or_default() += row["views"].as_u64().expect("views");
    }
    views
}

fn segment_files(data_dir: &Path) -> BTreeSet<String> {
    std::fs::read_dir(data_dir.join("segments"))
        .expect("there are segments")
        .map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".parquet"))
        .collect()
}

/// Sabotage: raise the lowest version that is read of the log, the catalog, a segment or a digest.
#[test]
fn a_store_and_database_of_904fc4c_open_answer_merge_and_upgrade() {
    let fixture = Fixture::unpack("904fc4c.tar.gz");
    let site = fixture.site();
    let old = segment_files(&site.data_dir);
    assert!(old.len() >= 4, "{old:?}");

    let server = site.serve();
    fixture.assert_answers_the_same(&server);
    assert!(server.terminate().success());
    let check = site.cli(&["check"]);
    assert!(check.to_string().contains("ok"), "{check}");

    // Each second the head becomes a small segment, until the old ones are merged with them or written anew.
    let server = site.serve();
    let started = Instant::now();
    let mut sent = 0;
    while sent < 5 || !segment_files(&site.data_dir).is_disjoint(&old) {
        assert!(started.elapsed() < PATIENCE * 2, "never merged: {:?}", segment_files(&site.data_dir));
        let body = pageview("example.com", "/after", &format!("session-after-{sent}"));
        let address = format!("10.0.{}.{}", sent / 250, sent % 250);
        let answer = server.connect().request(
            "POST",
            &format!("/e/{}", site.tracking_code),
            &[("X-Forwarded-For", &address)],
            &body,
        );
        assert_eq!(answer.expect("an answer").status, 200);
        sent += 1;
        std::thread::park_timeout(Duration::from_millis(50));
    }
    fixture.assert_answers_the_same(&server);
    assert!(server.terminate().success());

    let server = site.serve();
    fixture.assert_answers_the_same(&server);
    assert_eq!(server.views_by_path(&site.website_id, &site.key).get("/after"), Some(&sent));
    let team_key = fixture.facts["team_key"].as_str().expect("a key");
    assert_eq!(server.get("/api/external/v1/websites", team_key)["data"]["total"], 3);
    assert!(server.terminate().success());

    // The files that were written anew say what is in them.
    std::fs::remove_file(site.data_dir.join("events.db")).expect("it can be removed");
    let repair = site.run(&["repair"], "");
    assert_eq!(repair.status.code(), Some(3), "keys of deduplication are lost: {repair:?}");
    let server = site.serve();
    fixture.assert_answers_the_same(&server);
    assert_eq!(server.views_by_path(&site.website_id, &site.key).get("/after"), Some(&sent));
    assert!(server.terminate().success());
    site.cli(&["check"]);
    let key = site.cli(&["key", "show", fixture.facts["key_id"].as_str().expect("an id")]);
    assert_eq!(key["name"], "reader", "{key}");
}

/// Sabotage: forget the idempotency keys of the log when a store is upgraded.
#[test]
fn a_batch_that_904fc4c_stored_is_not_stored_again() {
    const TEST: &str = "idempotency keys of 904fc4c";
    if !Path::new(FAKETIME).exists() {
        return not_possible_here(TEST, "libfaketime is not installed");
    }
    let fixture = Fixture::unpack("904fc4c.tar.gz");
    let site = fixture.site();
    let server = site.serve_with(&[], &AT_THE_TIME);
    // The first event of the fixture's last batch, as it was sent then.
    let body = serde_json::json!({ "trackingCode": site.tracking_code, "events": [{
        "type": "pageview", "ts": 1_781_079_600_000_i64, "visitorId": "visitor-0020",
        "sessionId": "session-example.com-9-0020", "idempotencyKey": "example.com-9-20-0",
        "props": {
            "url": "https://example.com/%e6%a9%9f?utm_source=news&utm_medium=email&utm_campaign=june", "title": "Title 4"
        }
    }]});
    let answer = server
        .connect()
        .request("POST", "/api/v1/events", &[("X-API-Key", &site.key)], &body.to_string())
        .expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(answer["data"]["duplicates"], 1, "{answer}");
    fixture.assert_answers_the_same(&server);
    assert!(server.terminate().success());
}
