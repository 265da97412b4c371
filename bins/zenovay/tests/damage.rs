//! The real server on damaged files (SECURITY D5, D19): what is not damaged goes on, and what is damaged is named.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod process;

use std::path::{Path, PathBuf};

use process::{Response, Server, Site, pageview};
use serde_json::Value;

/// The segment files of a data directory, oldest first.
fn segment_files(data_dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data_dir.join("segments")).expect("there are segments");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "parquet"));
    files.sort();
    files
}

/// Sends `count` pageviews, each of a path of its own that begins with `/label/`.
fn send(server: &Server, code: &str, domain: &str, label: &str, count: usize) {
    for number in 0..count {
        let body = pageview(domain, &format!("/{label}/{number}"), &format!("session-{label}-{number}"));
        let headers = [("X-Forwarded-For", "10.1.2.3")];
        let answer = server.connect().request("POST", &format!("/e/{code}"), &headers, &body).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

fn pages(server: &Server, website: &str, key: &str) -> Response {
    let path = format!("/api/external/v1/analytics/{website}/pages?range=1y&limit=100");
    server.connect().request("GET", &path, &[("X-API-Key", key)], "").expect("an answer")
}

/// Every damage to a segment of the last minutes, in which open sessions would be looked for. Sabotage: let
/// `restore_sessions` fail on it.
#[test]
fn a_damaged_recent_segment_stops_neither_the_start_nor_other_websites() {
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&directory.path().join("data"), directory.path(), "");
    let (other, other_code) = site.create_website("other.example");
    let server = site.serve();
    send(&server, &site.tracking_code, "example.com", "a", 3);
    assert!(server.terminate().success());
    let server = site.serve();
    send(&server, &other_code, "other.example", "b", 4);
    assert!(server.terminate().success());
    let file = segment_files(&site.data_dir).remove(0);
    let whole = std::fs::read(&file).expect("it can be read");

    let mut flipped = whole.clone();
    flipped[100] ^= 4;
    let longer = [&whole[..], b"x"].concat();
    for (sent, (how, bytes)) in [
        ("a bit", Some(&flipped[..])),
        ("cut", Some(&whole[..whole.len() / 2])),
        ("empty", Some(&[][..])),
        ("longer", Some(&longer[..])),
        ("gone", None),
    ]
    .into_iter()
    .enumerate()
    {
        match bytes {
            Some(bytes) => std::fs::write(&file, bytes).expect("it can be written"),
            None => std::fs::remove_file(&file).expect("it can be removed"),
        }
        let server = site.serve();
        assert_eq!(pages(&server, &site.website_id, &site.key).status, 503, "{how}");
        send(&server, &other_code, "other.example", &format!("c{sent}"), 1);
        let views = server.views_by_path(&other, &site.key);
        assert_eq!(views.len(), 5 + sent, "{how}: {views:?}");
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let ready = server.connect().request("GET", "/readyz", &[], "").expect("an answer");
        assert!(ready.status == 200 && ready.body.contains(&name), "{how}: {}", ready.body);
        assert!(server.metrics().contains("zenovay_damaged_segments 1"), "{how}");
        server.log_with(&name);
        assert!(server.terminate().success());
        let check = site.run(&["check"], "");
        assert!(!check.status.success(), "{how}");
        assert!(String::from_utf8_lossy(&check.stderr).contains(&name), "{how}: {check:?}");
    }

    std::fs::write(&file, whole).expect("it can be written");
    let server = site.serve();
    assert_eq!(server.views_by_path(&site.website_id, &site.key).len(), 3, "put back, it answers");
    assert!(server.metrics().contains("zenovay_damaged_segments 0"));
}

/// The server does not start: one line, with the command to run.
fn assert_not_started(site: &Site, words: &[&str]) {
    let output = site.run(&["serve", "--listen", "127.0.0.1:0"], "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = said.lines().last().expect("it says why");
    assert!(last.starts_with("zenovay: ") && words.iter().all(|word| last.contains(word)), "{words:?}: {said}");
}

fn repair(site: &Site) -> (Option<i32>, Value) {
    let output = site.run(&["repair"], "");
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code(), report)
}

/// Catalogs that are gone, empty, older, or not a database. Sabotage: sweep files that the catalog does not know.
#[test]
fn files_without_their_catalog_are_kept_and_repaired() {
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&directory.path().join("data"), directory.path(), "");
    let catalog = site.data_dir.join("events.db");
    let server = site.serve();
    send(&server, &site.tracking_code, "example.com", "old", 5);
    assert!(server.terminate().success());
    let older = std::fs::read(&catalog).expect("it can be read");
    let server = site.serve();
    send(&server, &site.tracking_code, "example.com", "new", 7);
    assert!(server.terminate().success());
    assert_eq!(repair(&site), (Some(0), repair(&site).1), "nothing to repair");
    assert_eq!(repair(&site).1["changed"], false);

    for (how, bytes) in
        [("gone", None), ("empty", Some(&b""[..])), ("older", Some(&older[..])), ("noise", Some(&[7; 9_000]))]
    {
        match bytes {
            Some(bytes) => std::fs::write(&catalog, bytes).expect("it can be written"),
            None => std::fs::remove_file(&catalog).expect("it can be removed"),
        }
        let files = segment_files(&site.data_dir);
        assert_not_started(&site, &["events.db", "zenovay repair"]);
        let check = site.run(&["check"], "");
        assert!(!check.status.success(), "{how}: {check:?}");
        assert_eq!(segment_files(&site.data_dir), files, "{how}");
        let (code, report) = repair(&site);
        // Keys of deduplication are lost with the catalog, and that is told.
        assert_eq!(code, Some(if how == "older" { 0 } else { 3 }), "{how}: {report}");
        let server = site.serve();
        let views = server.views_by_path(&site.website_id, &site.key);
        assert!(views.len() == 12 && views.values().all(|count| *count == 1), "{how}: {views:?}");
        assert!(server.terminate().success());
        let check = site.run(&["check"], "");
        assert!(check.status.success(), "{how}: {check:?}");
    }
}

#[test]
fn damaged_metadata_are_told_in_words() {
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&directory.path().join("data"), directory.path(), "");
    let database = site.data_dir.join("zenovay.db");
    let whole = std::fs::read(&database).expect("it can be read");
    for name in ["zenovay.db-wal", "zenovay.db-shm"] {
        let _ = std::fs::remove_file(site.data_dir.join(name));
    }
    std::fs::write(&database, vec![7; whole.len()]).expect("it can be written");
    assert_not_started(&site, &["zenovay.db", "zenovay check", "damaged"]);
    let check = site.run(&["check"], "");
    assert!(String::from_utf8_lossy(&check.stderr).contains("damaged"), "{check:?}");
}

/// A new database would know neither the accounts nor whose the events are. Sabotage: make one.
#[test]
fn lost_metadata_are_not_made_anew_beside_events() {
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&directory.path().join("data"), directory.path(), "");
    let server = site.serve();
    send(&server, &site.tracking_code, "example.com", "kept", 3);
    assert!(server.terminate().success());
    let database = site.data_dir.join("zenovay.db");
    let whole = std::fs::read(&database).expect("it can be read");
    for name in ["zenovay.db-wal", "zenovay.db-shm"] {
        let _ = std::fs::remove_file(site.data_dir.join(name));
    }
    // What is shorter than a page is a new database to SQLite.
    for left in [Some(&whole[..0]), Some(&whole[..1]), None] {
        match left {
            Some(left) => std::fs::write(&database, left).expect("it can be cut"),
            None => std::fs::remove_file(&database).expect("it can be removed"),
        }
        assert_not_started(&site, &["zenovay.db", "missing or empty", "put a copy"]);
        let create = ["user", "create", "--email", "b@example.com", "--name", "B", "--password-stdin"];
        for command in [&["check"][..], &["user", "list"], &create] {
            let output = site.run(command, "correct horse battery\n");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && said.contains("missing or empty"), "{command:?}: {said}");
        }
        assert_eq!(std::fs::read(&database).ok().as_deref(), left, "nothing was made");
    }
    std::fs::write(&database, &whole).expect("it can be put back");
    // Nor is the index of recordings, which are deleted when nothing knows of them.
    let captures = site.data_dir.join("captures.db");
    let whole = std::fs::read(&captures).expect("it can be read");
    std::fs::write(&captures, &whole[..1]).expect("it can be cut");
    assert_not_started(&site, &["captures.db", "missing or empty", "put a copy"]);
    std::fs::remove_file(&captures).expect("it can be removed");
    assert_not_started(&site, &["captures.db", "missing or empty", "put a copy"]);
    let check = site.run(&["check"], "");
    assert!(
        !check.status.success() && String::from_utf8_lossy(&check.stderr).contains("missing or empty"),
        "{check:?}"
    );
    assert!(!captures.exists(), "nothing was made");
    std::fs::write(&captures, whole).expect("it can be put back");
    let server = site.serve();
    assert_eq!(server.views_by_path(&site.website_id, &site.key).len(), 3);
    assert!(server.terminate().success());
}

/// Sabotage: follow links, or open `salts.new` as it is.
#[test]
fn links_are_refused_and_wide_permissions_tightened() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&directory.path().join("data"), directory.path(), "");
    let precious = directory.path().join("precious");
    std::fs::write(&precious, "precious").expect("it can be written");
    for name in ["salts.new", "salts", "events.db", "captures.db", "replays", "segments", "zenovay.lock"] {
        let link = site.data_dir.join(name);
        // Commands leave their lock behind.
        if link.exists() {
            std::fs::remove_file(&link).expect("it can be removed");
        }
        std::os::unix::fs::symlink(&precious, &link).expect("it can be linked");
        assert_not_started(&site, &["symbolic link", name]);
        assert_eq!(std::fs::read_to_string(&precious).expect("it can be read"), "precious", "{name}");
        std::fs::remove_file(&link).expect("it can be removed");
    }
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode can be set");
    };
    set(&site.data_dir, 0o777);
    set(&site.data_dir.join("zenovay.db"), 0o666);
    let server = site.serve();
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&site.data_dir), mode(&site.data_dir.join("zenovay.db"))), (0o700, 0o600));
    server.log_with("was open to others (mode 0777)");
}
