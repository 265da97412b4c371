//! What keeps data of websites and visitors: the list of it is whole, and a visitor is erased and exported through it, beside a
//! running server and without one, by commands and by the API.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod process;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use process::{Server, Site};
use serde_json::Value;
use zenovay::backends;
use zenovay::erasures::Erasures;
use zenovay::keepers::{FILES_WITHOUT_DATA, Keepers, Place};
use zenovay_domain::SystemClock;
use zenovay_events::RecordKind;

const SENT_ID: &str = "2f1c8a5e-0b7d-4a57-9d64-2f1c8a5e0b7d";
const OTHER_ID: &str = "7a3e9c10-51f2-4b86-8e0d-7a3e9c1051f2";

/// The tables of the database at `path` that have a column of one of these names.
fn tables_with(path: &Path, columns: &[&str]) -> BTreeSet<String> {
    let connection = rusqlite::Connection::open(path).expect("a database");
    let select = "SELECT DISTINCT tables.name, columns.name FROM sqlite_schema AS tables, \
                  pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'";
    let mut statement = connection.prepare(select).expect("a query");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    let pairs: Vec<(String, String)> = rows.collect::<Result<_, _>>().expect("names");
    pairs.into_iter().filter(|(_, column)| columns.contains(&column.as_str())).map(|(table, _)| table).collect()
}

fn send(server: &Server, site: &Site, visitor: &str, path: &str) {
    let body = serde_json::json!({
        "event_type": "pageview",
        "url": format!("https://example.com{path}"),
        "session_id": format!("session-of-{visitor}"),
        "visitor_id": visitor,
        "user_agent": "MyServer/1.0",
        "device_type": "desktop",
        "browser": "Server",
        "os": "Linux",
    });
    let path = format!("/e/{}", site.tracking_code);
    let answer = server.connect().request("POST", &path, &[], &body.to_string()).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn send_recording(server: &Server, site: &Site, visitor: &str) {
    let body = serde_json::json!({
        "url": "https://example.com/",
        "session_id": format!("session-of-{visitor}"),
        "visitor_id": visitor,
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "replay_id": "00112233445566778899aabbccddeeff",
        "seq": 0,
        "sent_at": 1_781_352_000_000_i64,
        "events": [{ "type": 4, "data": { "href": "https://example.com/" }, "timestamp": 1_781_352_000_000_i64 }],
    });
    let path = format!("/api/track/{}/replay", site.tracking_code);
    let answer = server.connect().request("POST", &path, &[], &body.to_string()).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn site(data_dir: &Path, config_dir: &Path) -> Site {
    let site = Site::create(data_dir, config_dir, "");
    site.cli(&["website", "set", &site.website_id, "cookieless=false"]);
    site
}

/// Sabotage: take a place out of `keepers.rs`, or add a table with a `website_id` to the migrations.
#[test]
fn everything_that_keeps_data_is_in_the_list() {
    let directory = tempfile::tempdir().expect("a directory");
    let data_dir = directory.path().join("data");
    let site = site(&data_dir, directory.path());
    site.cli(&["website", "set", &site.website_id, "session_replay=true", "session_replay_consent=false"]);
    let server = site.serve();
    send(&server, &site, SENT_ID, "/");
    send_recording(&server, &site, SENT_ID);
    site.cli(&["visitor", "erase", &site.website_id, OTHER_ID, "--yes"]);
    // As after an upgrade, and where events go to ClickHouse.
    std::fs::write(data_dir.join("zenovay.moving"), "{}").expect("a file");
    for folder in ["snapshot", "spool", "moved-events"] {
        std::fs::create_dir(data_dir.join(folder)).expect("a folder");
    }
    let while_it_runs: BTreeSet<String> = names(&data_dir);
    std::fs::remove_file(data_dir.join("zenovay.moving")).expect("it is there");
    assert!(server.terminate().success());

    let config = process::settings(&data_dir);
    let metadata = backends::open_metadata(&config).expect("metadata");
    let captures = backends::open_captures(&config).expect("captures");
    let events = backends::open_events(&config, Arc::new(SystemClock), captures.clone()).expect("events");
    let erasures = Arc::new(Erasures::new(&data_dir, Arc::new(SystemClock)));
    let keepers = Keepers::new(metadata, events, captures, erasures);
    let places: BTreeSet<String> = keepers.places().map(|place| format!("{place:?}")).collect();
    // The store has its files for itself.
    drop(keepers);

    let of = |kind: fn(&'static str) -> Place, tables: BTreeSet<String>| -> BTreeSet<String> {
        tables.into_iter().map(|name| format!("{:?}", kind(name.leak()))).collect()
    };
    let columns = ["website_id", "website", "visitor_id", "visitor", "session_id"];
    let mut expected = of(Place::Table, tables_with(&data_dir.join("zenovay.db"), &columns));
    expected.extend(of(Place::EventTable, tables_with(&data_dir.join("events.db"), &columns)));
    let of_captures = tables_with(&data_dir.join("captures.db"), &["website", "visitor", "replay", "is_away"]);
    expected.extend(of(Place::CaptureTable, of_captures));
    assert!(expected.len() >= 5, "{expected:?}");
    expected.extend(RecordKind::ALL.iter().map(|kind| format!("{:?}", Place::Records(*kind))));
    let is_of_a_file = |place: &&String| place.starts_with("Files");
    assert_eq!(places.iter().filter(|place| !is_of_a_file(place)).cloned().collect::<BTreeSet<_>>(), expected);

    let claimed: Vec<&str> = places.iter().filter(is_of_a_file).filter_map(|place| place.split('"').nth(1)).collect();
    for name in while_it_runs.union(&names(&data_dir)) {
        let is_claimed = claimed.iter().chain(&FILES_WITHOUT_DATA).any(|prefix| name.starts_with(prefix));
        assert!(is_claimed, "{name}: say in keepers.rs what retention, erasure, export and deletion do with it");
    }
    for prefix in claimed.iter().chain(&FILES_WITHOUT_DATA) {
        assert!(while_it_runs.iter().any(|name| name.starts_with(prefix)), "there is no {prefix} any more");
    }
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

fn paths(export: &Value) -> Vec<&str> {
    let pageviews = export["pageviews"].as_array().expect("pageviews");
    pageviews.iter().map(|event| event["values"]["page"].as_str().expect("a path")).collect()
}

/// Sabotage: answer nothing on the socket, hash the id that a client sent otherwise, or leave a keeper out.
#[test]
fn a_visitor_is_exported_and_erased_beside_a_server_and_without_one() {
    let directory = tempfile::tempdir().expect("a directory");
    // Longer than the address of a socket may be.
    let data_dir = directory.path().join("d".repeat(120));
    let site = site(&data_dir, directory.path());
    let website = site.website_id.as_str();
    let server = site.serve();
    for (visitor, path) in [(SENT_ID, "/a"), (OTHER_ID, "/other"), (SENT_ID, "/b")] {
        send(&server, &site, visitor, path);
    }

    let export = site.cli(&["visitor", "export", website, SENT_ID]);
    assert_eq!(paths(&export), ["/a", "/b"]);
    assert_eq!(
        (export["sessions"].as_array().map(Vec::len), export["events"].as_array().map(Vec::len)),
        (Some(1), Some(0))
    );
    assert_eq!(export["sessions"][0]["pageviews"], 2);
    assert_eq!(export["pageviews"][0]["values"]["browser"], "Server");
    let id = export["user"]["id"].as_str().expect("an id");
    let visitors = server.get(&format!("/api/external/v1/analytics/{website}/visitors"), &site.key);
    let shown = visitors["data"]["visitors"].as_array().expect("visitors");
    assert!(shown.iter().any(|visitor| visitor["id"] == id), "{visitors}");
    assert_eq!(site.cli(&["visitor", "export", website, id]), export, "by the id that answers have");
    // What looks like an id of ours can be one that a client sent.
    assert_eq!(paths(&site.cli(&["visitor", "export", website, &format!("client:{id}")])), [] as [&str; 0]);
    assert_eq!(site.run(&["visitor", "erase", website, SENT_ID], "").status.code(), Some(2), "not without --yes");
    assert_eq!(server.views_by_path(website, &site.key).len(), 3);

    let erased = site.cli(&["visitor", "erase", website, SENT_ID, "--yes"]);
    assert_eq!(erased["erased"][0], id);
    assert_eq!(server.views_by_path(website, &site.key).into_keys().collect::<Vec<_>>(), ["/other"]);
    assert_eq!(paths(&site.cli(&["visitor", "export", website, SENT_ID])), [] as [&str; 0]);
    let metrics = server.metrics();
    assert!(metrics.contains("\nzenovay_visitor_erasures_total 1\n"), "{metrics}");
    assert!(metrics.contains("\nzenovay_visitor_exports_total 4\n"), "{metrics}");
    server.log_with("a visitor was erased");
    send(&server, &site, SENT_ID, "/again");
    server.kill();

    // Without a server; the socket that the killed one left does not hinder.
    assert_eq!(paths(&site.cli(&["visitor", "export", website, OTHER_ID])), ["/other"]);
    let erased = site.cli(&["visitor", "erase", website, OTHER_ID, "nobody", SENT_ID, "--yes"]);
    assert_eq!((&erased["not_found"][0], &erased["not_found"][1]), (&"nobody".into(), &Value::Null), "{erased}");
    let server = site.serve();
    assert_eq!(server.views_by_path(website, &site.key).len(), 0);
    assert_eq!(paths(&site.cli(&["visitor", "export", website, OTHER_ID])), [] as [&str; 0]);
    let unknown = site.run(&["visitor", "export", "018f3c1e-0000-4000-8000-000000000001", OTHER_ID], "");
    assert_eq!(unknown.status.code(), Some(1));
    assert!(server.terminate().success());
    assert!(!data_dir.join("zenovay.sock").exists());
}

/// Sabotage: erase by another id than the path names, or answer a part of what is stored.
#[test]
fn a_visitor_is_exported_and_erased_by_the_api() {
    let directory = tempfile::tempdir().expect("a directory");
    let site = site(&directory.path().join("data"), directory.path());
    let server = site.serve();
    for (visitor, path) in [(SENT_ID, "/a"), (OTHER_ID, "/other"), ("a name/with ünï", "/name")] {
        send(&server, &site, visitor, path);
    }
    let base = format!("/api/external/v1/websites/{}/visitors", site.website_id);
    let export = |visitor: &str| server.get(&format!("{base}/{visitor}/export"), &site.key)["data"].clone();
    assert_eq!(paths(&export(SENT_ID)), ["/a"]);
    assert_eq!(paths(&export("a%20name%2Fwith%20%C3%BCn%C3%AF")), ["/name"]);
    assert_eq!(export(SENT_ID), site.cli(&["visitor", "export", &site.website_id, SENT_ID]), "as by the command");
    let id = export(SENT_ID)["user"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(export(&id), export(SENT_ID));

    let erase = |visitor: &str| {
        let path = format!("{base}/{visitor}");
        server.connect().request("DELETE", &path, &[("X-API-Key", &site.key)], "").expect("an answer")
    };
    let answer = erase(&id);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!((&answer["data"]["id"], &answer["data"]["erased"]), (&Value::from(id.as_str()), &Value::from(true)));
    assert_eq!(paths(&export(SENT_ID)), [] as [&str; 0]);
    assert_eq!(paths(&export(OTHER_ID)), ["/other"]);
    assert_eq!(erase(&id).status, 200, "again");
    let refused = erase("client:");
    assert_eq!((refused.status, refused.body.contains("visitor")), (400, true), "{}", refused.body);
    let line = server.log_with("by=\"key ");
    assert!(line.contains("a visitor was erased"), "{line}");
    assert!(!line.contains(&format!("{base}/{id}")), "a log line has no path");
    assert!(server.terminate().success());
}
