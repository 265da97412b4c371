//! The program with its events in real servers of ClickHouse and its metadata in a real PostgreSQL: what nodes share, the server and the
//! commands, an outage, and servers of both kinds that are killed under load.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

#[path = "../../../crates/events-clickhouse/tests/common/servers.rs"]
#[allow(dead_code, reason = "the tests of the store use the rest")]
mod clickhouse;
#[path = "../../../crates/store/tests/common/postgres.rs"]
#[allow(dead_code, reason = "the tests of the store use the rest")]
mod postgres;
mod process;

use std::path::Path;
use std::time::Duration;

use process::{Load, Server, Site, assert_exactly_once, pageview};
use zenovay_events_clickhouse::{Config, shared_tests};

shared_tests!({
    let url = postgres::database();
    move || zenovay::backends::shared_in(&url).unwrap()
});

/// The URL of events on these servers, which nobody has used yet.
fn events_url(config: &Config) -> String {
    let hosts: Vec<&str> = config.shards.iter().map(|url| url.trim_start_matches("http://")).collect();
    let (user, password) = (&config.user, &config.password);
    format!("clickhouse://{user}:{password}@{}/{}?cluster=tests", hosts.join(","), config.database)
}

fn settings(config: &Config) -> String {
    let limits = "tracking_requests_per_10s = 1000000\ntracking_requests_per_hour = 1000000";
    format!("database_url = \"{}\"\nevents_url = \"{}\"\n{limits}", postgres::database(), events_url(config))
}

fn site(directory: &Path, settings: &str) -> Site {
    Site::create(&directory.join("data"), directory, settings)
}

fn until(what: &str, is_so: impl FnMut() -> bool) {
    process::until(what, Duration::from_secs(120), is_so);
}

/// The number of a metric.
fn metric(server: &Server, name: &str) -> Option<f64> {
    let page = server.metrics();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|number| number.parse().unwrap())
}

fn delivered(server: &Server) {
    until("delivery", || metric(server, "zenovay_spool_batches") == Some(0.0));
}

fn hit(server: &Server, site: &Site, path: &str, session: &str) -> u16 {
    let to = format!("/e/{}", site.tracking_code);
    server.connect().request("POST", &to, &[], &pageview("example.com", path, session)).unwrap().status
}

fn status(server: &Server, path: &str, key: &str) -> (u16, String) {
    let answer = server.connect().request("GET", path, &[("X-API-Key", key)], "").unwrap();
    assert!(answer.status != 503 || answer.headers.contains_key("retry-after"), "a 503 says when to come back");
    assert!(!answer.body.contains("secret-of-nobody"), "{}", answer.body);
    (answer.status, answer.body)
}

/// Sabotage: take SQLite for what is shared, show the password, back up a spool as if it were all events, or deliver what waits to another
/// database.
#[test]
fn a_server_and_commands_use_clickhouse() {
    let directory = tempfile::tempdir().unwrap();
    let config = clickhouse::config();
    let settings = settings(&config);
    let site = site(directory.path(), &settings);
    let with = std::fs::read_to_string(&site.config).unwrap();
    let refusal = |from: &str, to: &str| {
        std::fs::write(&site.config, with.replace(from, to)).unwrap();
        let refused = site.run(&["serve", "--listen", "127.0.0.1:0"], "");
        std::fs::write(&site.config, &with).unwrap();
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && !told.contains("secret-of-nobody"), "{told}");
        told
    };
    let told = refusal("clickhouse://app:", "clickhouse://nobody:");
    assert!(
        told.contains("nobody") && !site.data_dir.join("spool").exists(),
        "nothing is left of the first attempt: {told}"
    );
    let server = site.serve();
    assert_eq!(hit(&server, &site, "/", "session-1"), 200);
    assert_eq!(hit(&server, &site, "/pricing", "session-1"), 200);
    delivered(&server);
    assert_eq!(server.views_by_path(&site.website_id, &site.key), clickhouse::rows_by_path(&config));
    assert_eq!(clickhouse::rows_by_path(&config).len(), 2);
    assert_eq!(status(&server, "/readyz", "").0, 200);
    assert_eq!(metric(&server, "zenovay_clickhouse_reachable"), Some(1.0));
    assert!(metric(&server, "zenovay_spool_bytes").unwrap() > 0.0);
    let checked = site.cli(&["check"]);
    assert_eq!(checked["events"]["clickhouse_rows"], 2, "{checked}");
    let shown = String::from_utf8(site.run(&["config"], "").stdout).unwrap();
    assert!(shown.contains("clickhouse://app:***@") && !shown.contains("secret-of-nobody"), "{shown}");

    let examined = site.cli(&["doctor", "--events"]);
    let checks = examined["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 9, "{examined}");
    assert!(checks.iter().all(|check| check["state"] == "ok"), "{examined}");
    assert_eq!(clickhouse::rows_by_path(&config).len(), 2, "it leaves nothing");

    // The session goes on.
    let (ended, log) = server.terminate_with_log();
    assert!(ended.success() && !log.contains("secret-of-nobody"), "{log}");
    let server = site.serve();
    assert_eq!(hit(&server, &site, "/last", "session-1"), 200);
    delivered(&server);
    let analytics = format!("/api/external/v1/analytics/{}?range=24h", site.website_id);
    let summary = server.get(&analytics, &site.key)["data"]["summary"].clone();
    assert_eq!(summary["total_page_views"], 3, "{summary}");
    let sessions = |shard: &String| {
        let asked = format!("SELECT uniqExact(session) FROM {}.events", config.database);
        clickhouse::execute(shard, &asked).trim().parse::<u64>().unwrap()
    };
    assert_eq!(config.shards.iter().map(sessions).sum::<u64>(), 1);

    // Without the setting the events would be in no answer; with another database, what waits would go there.
    drop(server);
    let told = refusal("events_url", "# events_url");
    assert!(told.contains("events_url is not set"), "{told}");
    std::fs::write(&site.config, with.replace("events_url", "# events_url")).unwrap();
    let checked = String::from_utf8(site.run(&["check"], "").stderr).unwrap();
    std::fs::write(&site.config, &with).unwrap();
    assert!(checked.contains("events_url is not set"), "{checked}");
    let told = refusal(&format!("/{}?cluster", config.database), "/another?cluster");
    assert!(told.contains("events_url names \"another\""), "{told}");
}

/// Sabotage: let one of the combinations pass.
#[test]
fn combinations_that_cannot_be_are_refused_in_words() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    let of_sqlite = Site::create(&data_dir, directory.path(), "");
    let url = events_url(&clickhouse::config());
    let refusal = |arguments: &[&str]| {
        let output = of_sqlite.run(arguments, "");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && !told.contains("secret-of-nobody"), "{told}");
        told
    };
    let told = refusal(&["website", "list", "--events-url", &url]);
    assert!(told.contains("events_url") && told.contains("need metadata in PostgreSQL"), "{told}");
    let database = postgres::database();
    let with = ["serve", "--listen", "127.0.0.1:0", "--events-url", &url, "--database-url", &database];
    // A server was here, with events.
    let server = of_sqlite.serve();
    assert_eq!(hit(&server, &of_sqlite, "/", "session-1"), 200);
    drop(server);
    let moved = of_sqlite.run(&["move", "--to", &database], "");
    assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
    let told = refusal(&with);
    assert!(told.contains("has 1 events and heartbeats, which are in no answer while events_url is set"), "{told}");
}

/// Sabotage: refuse to start, or hits, while ClickHouse is away; answer questions with zero; lose what waits.
#[test]
fn an_outage_of_clickhouse_stops_questions_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let mut shards = clickhouse::start(2);
    let config = clickhouse::config_of(&shards);
    let site = site(directory.path(), &settings(&config));
    let server = site.serve();
    assert_eq!(hit(&server, &site, "/before", "session-1"), 200);
    delivered(&server);
    shards.iter_mut().for_each(clickhouse::Server::crash);
    assert_eq!(hit(&server, &site, "/during", "session-1"), 200);
    until("it is told", || metric(&server, "zenovay_clickhouse_reachable") == Some(0.0));
    assert!(metric(&server, "zenovay_spool_batches").unwrap() >= 1.0);
    let analytics = format!("/api/external/v1/analytics/{}?range=24h", site.website_id);
    let (code, body) = status(&server, &analytics, &site.key);
    assert_eq!(code, 503, "{body}");
    (0..5).for_each(|_| assert_eq!(status(&server, &analytics, &site.key).0, 503));
    let visitor = format!("/api/external/v1/websites/{}/visitors/000000000000002a", site.website_id);
    let erased = server.connect().request("DELETE", &visitor, &[("X-API-Key", &site.key)], "").unwrap();
    assert_eq!(erased.status, 503, "{}", erased.body);
    assert!(erased.body.contains("is noted") && !erased.body.contains("127.0.0.1"), "{}", erased.body);
    let diagnosis = String::from_utf8(site.run(&["doctor"], "").stdout).unwrap();
    assert!(diagnosis.contains("ClickHouse cannot be reached, or does not take"), "{diagnosis}");
    assert!(!diagnosis.contains("never had an event"), "{diagnosis}");
    assert_eq!(server.log().matches("the event store cannot be asked").count(), 1, "{}", server.log());
    let (code, body) = status(&server, "/readyz", "");
    assert!(code == 200 && body.contains("\"degraded\":[\"clickhouse\"]"), "events are stored: {body}");
    let log = server.log_with("ClickHouse does not take what it is sent");
    assert!(!log.contains("secret-of-nobody"), "{log}");
    drop(server);

    let server = site.serve();
    assert_eq!(hit(&server, &site, "/after-a-restart", "session-1"), 200);
    assert_eq!(status(&server, &analytics, &site.key).0, 503);
    shards.iter_mut().for_each(clickhouse::Server::start_again);
    until("it is back", || metric(&server, "zenovay_clickhouse_reachable") == Some(1.0));
    delivered(&server);
    let paths = ["/before", "/during", "/after-a-restart"];
    assert_eq!(clickhouse::rows_by_path(&config), paths.map(|path| (path.to_owned(), 1)).into());
    assert_eq!(server.views_by_path(&site.website_id, &site.key), clickhouse::rows_by_path(&config));
}

/// As many rounds as `KILLS` says, 20 when it says nothing.
///
/// Sabotage: acknowledge before the spool has it, or begin a delivery anew after a restart.
#[test]
fn what_is_acknowledged_is_stored_once_whoever_is_killed() {
    let kills = std::env::var("KILLS").map_or(20, |count| count.parse().expect("KILLS is a number"));
    let directory = tempfile::tempdir().unwrap();
    let mut shards = clickhouse::start(2);
    let config = clickhouse::config_of(&shards);
    let site = site(directory.path(), &settings(&config));
    let mut server = site.serve();
    let (mut acknowledged, mut sent) = (Vec::new(), Vec::new());
    let mut random = 7u64;
    for round in 0..kills {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (who, hits) = ((random >> 33) % 4, 5 + (random >> 40) as usize % 60);
        let load = Load::start(&server, &site.tracking_code, "example.com", &format!("round-{round}"), 4);
        load.wait_until("hits", |load| load.acknowledged().len() >= hits);
        match who {
            // The program.
            0 | 1 => {
                server.kill();
                let (of_round, sent_of_round) = load.finish();
                acknowledged.extend(of_round);
                sent.extend(sent_of_round);
                server = site.serve();
                continue;
            }
            // One of the others, and the program with it.
            2 => {
                shards[round % 2].crash();
                load.wait_until("hits during the outage", |load| load.acknowledged().len() >= hits + 20);
                server.kill();
                shards[round % 2].start_again();
                let (of_round, sent_of_round) = load.finish();
                acknowledged.extend(of_round);
                sent.extend(sent_of_round);
                server = site.serve();
                continue;
            }
            _ => {
                shards[round % 2].crash();
                load.wait_until("hits during the outage", |load| load.acknowledged().len() >= hits + 20);
                shards[round % 2].start_again();
            }
        }
        let (of_round, sent_of_round) = load.finish();
        acknowledged.extend(of_round);
        sent.extend(sent_of_round);
    }
    delivered(&server);
    assert!(acknowledged.len() > kills * 5);
    assert_exactly_once(&acknowledged, &clickhouse::rows_by_path(&config), &sent);
}

/// Somebody who comes again with an id.
fn visit(server: &Server, site: &Site, path: &str) -> u16 {
    let body = serde_json::json!({
        "event_type": "pageview",
        "url": format!("https://example.com{path}"),
        "session_id": "session-of-somebody",
        "visitor_id": SOMEBODY,
        "user_agent": "MyServer/1.0",
        "device_type": "desktop",
        "browser": "Server",
        "os": "Linux",
    });
    let to = format!("/e/{}", site.tracking_code);
    server.connect().request("POST", &to, &[], &body.to_string()).unwrap().status
}

const SOMEBODY: &str = "2f1c8a5e-0b7d-4a57-9d64-2f1c8a5e0b7d";

/// Sabotage: note no erasure, take the files that are moved for those of a server, leave the keys and what is hidden behind, switch without being
/// asked, or serve the directory of before.
#[test]
fn events_move_beside_a_running_server_and_each_is_stored_once() {
    let directory = tempfile::tempdir().unwrap();
    let config = clickhouse::config();
    let url = events_url(&config);
    let limits = "tracking_requests_per_10s = 1000000\ntracking_requests_per_hour = 1000000\nseal_age_seconds = 1\n";
    let before = format!("database_url = \"{}\"\n{limits}", postgres::database());
    let site = site(directory.path(), &before);
    site.cli(&["website", "set", &site.website_id, "cookieless=false"]);
    let mut server = site.serve();
    let (mut acknowledged, mut sent) = (Vec::new(), Vec::new());
    let run = |words: &[&str]| {
        let output = site.run(words, "");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!told.contains("secret-of-nobody"), "{told}");
        (output.status.success(), serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null), told)
    };
    let move_events = || run(&["move-events", "--to", &url]);
    let finish = || run(&["move-events", "--finish", "--to", &url]);
    for round in 0..4 {
        if round < 2 {
            assert_eq!(visit(&server, &site, "/gone"), 200);
        }
        let load = Load::start(&server, &site.tracking_code, "example.com", &format!("round-{round}"), 4);
        load.wait_until("hits", |load| load.acknowledged().len() >= 50);
        let (is_done, moved, told) = move_events();
        assert!(is_done && moved["finished"] == false, "{moved} {told}");
        if round == 1 {
            site.cli(&["visitor", "erase", &site.website_id, SOMEBODY, "--yes"]);
            assert_eq!(visit(&server, &site, "/back"), 200);
        }
        load.wait_until("hits", |load| load.acknowledged().len() >= 100);
        if round % 2 == 0 {
            server.kill();
        } else {
            assert!(server.terminate().success());
        }
        let (of_round, sent_of_round) = load.finish();
        acknowledged.extend(of_round);
        sent.extend(sent_of_round);
        server = site.serve();
    }
    let told = {
        let repaired = site.run(&["repair"], "");
        String::from_utf8_lossy(&repaired.stderr).into_owned()
    };
    assert!(told.contains("another server is running"), "{told}");
    let (is_done, _, told) = finish();
    assert!(!is_done && told.contains("a server runs on the data directory"), "{told}");
    let views = server.views_by_path(&site.website_id, &site.key);
    let analytics = format!("/api/external/v1/analytics/{}?range=24h", site.website_id);
    let summary = server.get(&analytics, &site.key)["data"]["summary"].clone();
    assert!(server.terminate().success());
    let repaired = site.run(&["repair"], "");
    assert!(String::from_utf8_lossy(&repaired.stderr).contains("move-events --cancel"));

    // As when it crashed at this moment: nothing is switched that was not asked for.
    let (is_done, moved, told) = move_events();
    assert!(is_done && moved["finished"] == false, "{moved} {told}");
    assert!(!site.data_dir.join("zenovay.clickhouse").exists() && site.data_dir.join("events.db").exists());
    let settings = std::fs::read_to_string(&site.config).unwrap();
    std::fs::write(&site.config, format!("events_url = \"{url}\"\n{settings}")).unwrap();
    let (is_well, _, told) = run(&["check"]);
    assert!(!is_well && told.contains("they are moving to ClickHouse"), "{told}");
    std::fs::write(&site.config, settings).unwrap();
    let copy = directory.path().join("copy");
    copy_folder(&site.data_dir, &copy);
    let (is_done, moved, told) = finish();
    assert!(is_done && moved["finished"] == true, "{moved} {told}");
    assert_eq!(moved["rows"], moved["rows_in_clickhouse"]);
    assert_eq!(moved["websites"], 1);
    let set_aside = site.data_dir.join("moved-events");
    assert!(set_aside.join("events.db").exists() && set_aside.join("report.json").exists());
    assert!(!site.data_dir.join("zenovay.moving").exists() && !site.data_dir.join("events.db").exists());
    let refused = site.run(&["serve", "--listen", "127.0.0.1:0"], "");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("events_url is not set"));
    let (is_done, again, told) = finish();
    assert!(is_done && again["finished"] == true && again["rows"] == 0, "{again} {told}");
    let (is_done, _, told) = run(&["move-events", "--finish", "--to", &events_url(&clickhouse::config())]);
    assert!(!is_done && told.contains("name that one"), "{told}");
    let (is_done, _, told) = run(&["move-events", "--cancel"]);
    assert!(!is_done && told.contains("there is no move to give up"), "{told}");
    // The directory of before.
    std::fs::remove_file(copy.join("zenovay.moving")).unwrap();
    let refused = site.at(copy).run(&["serve", "--listen", "127.0.0.1:0"], "");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("the PostgreSQL database says"), "{told}");

    let now = std::fs::read_to_string(&site.config).unwrap();
    std::fs::write(&site.config, format!("events_url = \"{url}\"\n{now}")).unwrap();
    let server = site.serve();
    assert_eq!(server.views_by_path(&site.website_id, &site.key), views);
    assert_eq!(server.get(&analytics, &site.key)["data"]["summary"], summary);
    let mut rows = clickhouse::rows_by_path(&config);
    assert_eq!((rows.remove("/gone"), rows.remove("/back")), (None, Some(1)));
    assert_exactly_once(&acknowledged, &rows, &sent);
    assert_eq!(hit(&server, &site, "/after", "session-1"), 200);
    delivered(&server);
    site.cli(&["visitor", "erase", &site.website_id, SOMEBODY, "--yes"]);
    assert_eq!(
        (clickhouse::rows_by_path(&config).get("/back"), clickhouse::rows_by_path(&config).get("/after")),
        (None, Some(&1))
    );
    assert!(!set_aside.join("events.db").exists() && set_aside.join("report.json").exists());
}

/// A copy of a folder with what is in it, but for sockets.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (kind, name) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy_folder(&entry.path(), &name);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), name).unwrap();
        }
    }
}

/// Sabotage: merge on, leave the note, or end in another database what was begun in this one.
#[test]
fn a_move_that_is_given_up_leaves_everything_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let config = clickhouse::config();
    let (url, database) = (events_url(&config), postgres::database());
    let site = site(directory.path(), &format!("database_url = \"{database}\"\nseal_age_seconds = 1"));
    let server = site.serve();
    assert_eq!(hit(&server, &site, "/", "session-1"), 200);
    assert!(server.terminate().success());
    let server = site.serve();
    let to = ["move-events", "--to", &url];
    let moved = site.cli(&to);
    assert_eq!((&moved["finished"], &moved["rows"]), (&false.into(), &1.into()));
    assert!(site.data_dir.join("zenovay.moving").exists());
    let doctor = || String::from_utf8_lossy(&site.run(&["doctor"], "").stdout).into_owned();
    assert!(doctor().contains("events_moving"));
    assert_eq!(site.cli(&["move-events", "--cancel"])["cancelled"], true);
    assert!(!doctor().contains("events_moving"));
    assert!(!site.data_dir.join("zenovay.moving").exists());
    let refused = site.run(&to, "");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("the database has 1 events already"), "{told}");
    assert!(server.terminate().success());
    assert_eq!(site.cli(&["move-events", "--cancel"])["cancelled"], false);
    for shard in &config.shards {
        clickhouse::execute(shard, &format!("DROP DATABASE {}", config.database));
    }
    // The last step stops in the middle: where the keys go there is something else.
    let in_the_way = site.data_dir.join("spool");
    std::fs::write(&in_the_way, "").unwrap();
    let finish = ["move-events", "--finish", "--to", &url];
    let refused = |words: &[&str], why: &str| {
        let output = site.run(words, "");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(why), "{words:?}: {told}");
    };
    refused(&finish, "the last step did not end");
    let another = events_url(&clickhouse::config());
    refused(&["move-events", "--finish", "--to", &another], "a move to the ClickHouse database");
    refused(&to, "zenovay move-events --finish");
    refused(&["move-events", "--cancel"], "zenovay move-events --finish");
    refused(&["check"], "zenovay move-events --finish");
    refused(&["serve", "--listen", "127.0.0.1:0"], "zenovay move-events --finish");
    std::fs::remove_file(in_the_way).unwrap();
    assert_eq!(site.cli(&finish)["finished"], true);
    assert_eq!(clickhouse::rows_by_path(&config), [("/".to_owned(), 1)].into());
}

/// Sabotage: say nothing of the events, restore a directory that forgets where they are, make an empty store of events, or take the events of
/// others for one's own.
#[test]
fn a_backup_has_what_is_not_in_clickhouse_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let config = clickhouse::config();
    let settings = settings(&config);
    let site = site(directory.path(), &settings);
    site.cli(&["website", "set", &site.website_id, "cookieless=false"]);
    let server = site.serve();
    assert_eq!((hit(&server, &site, "/", "session-1"), visit(&server, &site, "/gone")), (200, 200));
    delivered(&server);
    let backups = directory.path().join("backups");
    let place = backups.to_str().unwrap();
    let made = site.cli(&["backup", place]);
    let missing = made["not_in_it"][0].as_str().unwrap();
    assert!(missing.contains(&format!("ClickHouse database {} (2 rows)", config.database)), "{made}");
    assert_eq!(made["rows"], 0);
    let each_shard = |statement: &str| {
        for shard in &config.shards {
            clickhouse::execute(shard, &statement.replace("DB", &config.database));
        }
    };
    each_shard("CREATE TABLE DB.kept ENGINE = MergeTree ORDER BY at AS SELECT * FROM DB.events");
    site.cli(&["visitor", "erase", &site.website_id, SOMEBODY, "--yes"]);
    // Knows of the erasure, and is of another moment than ClickHouse.
    site.cli(&["backup", place]);
    assert!(server.terminate().success());
    let listed = site.cli(&["backup", place, "--list"]);
    let first = listed["backups"][0]["backup"].as_str().unwrap().to_owned();
    assert_eq!((listed["backups"].as_array().unwrap().len(), &listed["backups"][0]["has_events"]), (2, &false.into()));
    assert_eq!(site.cli(&["restore", "--verify", place])["verified"], true);

    // ClickHouse is restored by its own means to a moment of before the erasure.
    each_shard("INSERT INTO DB.events SELECT * FROM DB.kept WHERE page = '/gone'");
    assert_eq!(clickhouse::rows_by_path(&config).get("/gone"), Some(&1));
    let restored = site.at(directory.path().join("restored"));
    let done = restored.cli(&["restore", &first]);
    assert_eq!((&done["erased_again"], &done["to_be_erased"]), (&0.into(), &1.into()), "{done}");
    assert_eq!(done["clickhouse"]["of_unknown_websites"], 0, "{done}");
    assert!(!restored.data_dir.join("events.db").exists());
    let with = std::fs::read_to_string(&site.config).unwrap();
    std::fs::write(&site.config, with.replace("events_url", "# events_url")).unwrap();
    let refused = restored.run(&["serve", "--listen", "127.0.0.1:0"], "");
    std::fs::write(&site.config, &with).unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("events_url is not set"));
    let server = restored.serve();
    assert_eq!(hit(&server, &restored, "/after", "session-2"), 200);
    delivered(&server);
    assert_eq!(
        (clickhouse::rows_by_path(&config).get("/gone"), clickhouse::rows_by_path(&config).get("/after")),
        (None, Some(&1))
    );
    assert_eq!(restored.cli(&["check"])["events"]["rows_of_unknown_websites"], 0);
    drop(server);

    // Another PostgreSQL knows nothing of these events.
    let other = settings.replace(settings.split('"').nth(1).unwrap(), &postgres::database());
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Site::create(&elsewhere.path().join("data"), elsewhere.path(), &other);
    let refused = other.run(&["check"], "");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("do not belong together"), "{told}");
}
