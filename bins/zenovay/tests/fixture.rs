//! Data directories that earlier commits wrote: today's server opens them, answers what they answered, goes on storing, and
//! rewrites the old files. See `fixtures/README.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use process::{FAKETIME, Server, Site, not_possible_here, pageview};
use serde_json::{Value, json};
use zenovay_domain::normal_path;

const PATIENCE: Duration = Duration::from_secs(60);

/// The clock of a server that runs when the fixture was written; afterwards its idempotency keys are over.
const AT_THE_TIME: [(&str, &str); 3] =
    [("LD_PRELOAD", FAKETIME), ("FAKETIME", "@2026-06-11 10:05:00"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];

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

/// The fixtures of all earlier commits.
fn all_fixtures() -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let names = std::fs::read_dir(folder).expect("fixtures").map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.into_string().expect("UTF-8")).filter(|name| name.ends_with(".tar.gz"));
    let fixtures: Vec<Fixture> = names.map(|name| Fixture::unpack(&name)).collect();
    assert!(!fixtures.is_empty());
    fixtures
}

/// What is stored of events and captures, byte for byte, and the schema and the rows of the metadata.
fn stored(data_dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut keep = |name: String, path: &Path| {
        if let Ok(bytes) = std::fs::read(path) {
            found.insert(name, bytes);
        }
    };
    for name in ["events.db", "events.db-wal", "captures.db"] {
        keep(name.to_owned(), &data_dir.join(name));
    }
    for name in segment_files(data_dir) {
        keep(format!("segments/{name}"), &data_dir.join("segments").join(name));
    }
    // Of a copy: who opens it may change the files.
    let copy = tempfile::tempdir().expect("a directory");
    for name in ["zenovay.db", "zenovay.db-wal"] {
        let _ = std::fs::copy(data_dir.join(name), copy.path().join(name));
    }
    let database = rusqlite::Connection::open(copy.path().join("zenovay.db")).expect("a database");
    let column = |select: &str| -> Vec<String> {
        let mut statement = database.prepare(select).expect("a query");
        statement.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("strings")
    };
    let mut metadata = column("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY sql");
    metadata.extend(column("SELECT version FROM __diesel_schema_migrations ORDER BY version"));
    metadata.extend(column("SELECT domain FROM websites ORDER BY domain"));
    found.insert("zenovay.db".to_owned(), metadata.join("\n").into_bytes());
    found
}

fn assert_stored(data_dir: &Path, expected: &BTreeMap<String, Vec<u8>>) {
    let now = stored(data_dir);
    assert_eq!(now.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, bytes) in expected {
        assert!(now[name] == *bytes, "{name} is not as it was");
    }
}

fn send(server: &Server, site: &Site, path: &str) {
    let body = pageview("example.com", path, &format!("session{path}"));
    let answer = server.connect().request("POST", &format!("/e/{}", site.tracking_code), &[], &body);
    assert_eq!(answer.expect("an answer").status, 200);
}

fn refused(site: &Site, arguments: &[&str]) -> String {
    let output = site.run(arguments, "");
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// Sabotage: make the snapshot when the stores are open, leave the end of the log out of it, or count nothing.
#[test]
fn every_earlier_store_upgrades_answers_the_same_and_rolls_back() {
    for fixture in all_fixtures() {
        let site = fixture.site();
        let snapshot = site.data_dir.join("snapshot");
        let before = stored(&site.data_dir);
        let server = site.serve();
        fixture.assert_answers_the_same(&server);
        assert!(server.terminate().success());
        assert!(snapshot.exists());
        assert!(stored(&site.data_dir) != before, "an upgrade");
        let done = site.cli(&["rollback"]);
        assert_eq!(done["discarded"], 0, "{done}");
        assert!(!snapshot.exists());
        assert_stored(&site.data_dir, &before);
        assert!(refused(&site, &["rollback"]).contains("has no snapshot"));

        // And once more, with events that came meanwhile.
        let server = site.serve();
        fixture.assert_answers_the_same(&server);
        for number in 0..3 {
            send(&server, &site, &format!("/since/{number}"));
        }
        assert!(refused(&site, &["rollback"]).contains("another server is running"));
        assert!(server.terminate().success());
        for arguments in [&["rollback"][..], &["rollback", "--discard", "2"], &["rollback", "--discard", "unknown"]] {
            assert!(refused(&site, arguments).contains("3 events and heartbeats"), "{arguments:?}");
        }
        // What was changed is not undone without a word either.
        site.cli(&["website", "set", &site.website_id, "cookieless=false"]);
        for arguments in [&["rollback", "--discard", "3"][..], &["rollback", "--discard-changes", "1"]] {
            let words = refused(&site, arguments);
            assert!(words.contains("--discard 3 --discard-changes 1"), "{arguments:?}: {words}");
        }
        let done = site.cli(&["rollback", "--discard", "3", "--discard-changes", "1"]);
        assert_eq!((&done["discarded"], &done["discarded_changes"]), (&json!(3), &json!(1)), "{done}");
        assert_stored(&site.data_dir, &before);
        let aside = Path::new(done["aside"].as_str().expect("a path")).join("events.db");
        assert!(aside.exists(), "what was stored since is not deleted");

        // An erased visitor is in no snapshot.
        let server = site.serve();
        assert!(snapshot.exists());
        site.cli(&["visitor", "erase", &site.website_id, "0123456789abcdef", "--yes"]);
        assert!(!snapshot.exists());
        fixture.assert_answers_the_same(&server);
        assert!(server.terminate().success());
        // A start without an upgrade makes none.
        assert!(site.serve().terminate().success());
        assert!(!snapshot.exists());
    }
}

/// Sabotage: put aside what was put back already, or let a server start between.
#[test]
fn a_rollback_that_is_interrupted_goes_on() {
    let moves: [&[(&str, &str)]; 3] = [
        &[],
        &[("events.db", "rolled-back-1/events.db")],
        &[("events.db", "rolled-back-1/events.db"), ("snapshot/events.db", "events.db")],
    ];
    for moves in moves {
        let fixture = Fixture::unpack("904fc4c.tar.gz");
        let site = fixture.site();
        let before = stored(&site.data_dir);
        assert!(site.serve().terminate().success());
        let at = |name: &str| site.data_dir.join(name);
        std::fs::create_dir(at("rolled-back-1")).expect("a folder");
        std::fs::write(at("snapshot/rolling-back"), "rolled-back-1").expect("it can be written");
        for (from, to) in moves {
            std::fs::rename(at(from), at(to)).expect("it can be moved");
        }
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["user", "list"], &["check"]] {
            assert!(refused(&site, command).contains("has not ended"), "{command:?}");
        }
        site.cli(&["rollback"]);
        assert_stored(&site.data_dir, &before);
        let server = site.serve();
        fixture.assert_answers_the_same(&server);
        assert!(server.terminate().success());
    }
}

/// Sabotage: let commands upgrade the metadata without a snapshot, or beside a server of another version.
#[test]
fn a_command_that_upgrades_the_metadata_keeps_the_way_back() {
    let fixture = Fixture::unpack("904fc4c.tar.gz");
    let site = fixture.site();
    let before = stored(&site.data_dir);
    site.cli(&["user", "list"]);
    assert!(stored(&site.data_dir) != before);
    site.cli(&["rollback"]);
    assert_stored(&site.data_dir, &before);

    site.cli(&["user", "list"]);
    let server = site.serve();
    fixture.assert_answers_the_same(&server);
    std::fs::write(site.data_dir.join("zenovay.formats"), "{}").expect("it can be written");
    assert!(refused(&site, &["user", "list"]).contains("another version"));
    std::fs::remove_file(site.data_dir.join("zenovay.formats")).expect("it can be removed");
    assert!(server.terminate().success());
    site.cli(&["rollback"]);
    assert_stored(&site.data_dir, &before);

    // What is of a later version is left alone, and nothing is made beside it.
    let connection = rusqlite::Connection::open(site.data_dir.join("events.db")).expect("a database");
    connection.execute("UPDATE meta SET value = 99 WHERE name = 'format'", []).expect("it can be changed");
    drop(connection);
    let words = refused(&site, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(words.contains("later version of zenovay"), "{words}");
    assert!(!site.data_dir.join("snapshot.new").exists() && !site.data_dir.join("snapshot").exists());
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
