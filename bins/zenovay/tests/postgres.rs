//! The program with its metadata in a real PostgreSQL: commands, the server, moving there, and a database that goes away.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

#[path = "../../../crates/store/tests/common/postgres.rs"]
#[allow(dead_code, reason = "the tests of the store use the rest")]
mod postgres;
mod process;

use std::path::PathBuf;
use std::process::Output;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use process::{Load, Server, Site, assert_exactly_once, pageview};
use serde_json::Value;

/// The password in the URLs of the tests' databases.
const SECRET: &str = "secret-of-nobody";

/// The settings of `site` with its metadata in the database at `url`.
fn settings_with(site: &Site, url: &str) -> PathBuf {
    let config = site.config.with_file_name("postgres.toml");
    let settings = std::fs::read_to_string(&site.config).unwrap();
    std::fs::write(&config, format!("database_url = \"{url}\"\n{settings}")).unwrap();
    config
}

/// What a command that fails says, which is not the password.
fn refusal(output: &Output) -> String {
    let [said, told] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(output.status.code(), Some(1), "{said}{told}");
    assert!(!said.contains(SECRET) && !told.contains(SECRET), "{said}{told}");
    told
}

/// What a server and the commands say of what is stored.
fn answers(site: &Site, server: &Server) -> Vec<Value> {
    let id = site.website_id.as_str();
    let team = site.cli(&["website", "show", id])["team_id"].as_str().unwrap().to_owned();
    let commands: [&[&str]; 6] = [
        &["user", "list"],
        &["team", "list"],
        &["team", "show", &team],
        &["website", "list"],
        &["website", "show", id],
        &["key", "list"],
    ];
    let mut answers: Vec<Value> = commands.iter().map(|command| site.cli(command)).collect();
    // It has the port of the server.
    answers[4]["script_tag"].take();
    // This uses the key.
    for key in answers[5]["keys"].as_array_mut().unwrap() {
        key["last_used_at"].take();
    }
    // What says of which time it is is left out.
    answers.push(server.get("/api/external/v1/websites", &site.key)["data"].clone());
    let analytics = format!("/api/external/v1/analytics/{id}?range=7d");
    answers.push(server.get(&analytics, &site.key)["data"]["summary"].clone());
    let cookie = sign_in(server);
    for (path, member) in [
        (format!("/api/websites/{id}/goals"), "goals"),
        (format!("/api/websites/{id}/shares"), "shares"),
        (format!("/api/teams/{team}/members"), "members"),
        (format!("/api/teams/{team}/audit"), "entries"),
    ] {
        let answer = server.connect().request("GET", &path, &[("Cookie", &cookie)], "").unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        let rows = answer["data"][member].as_array().unwrap();
        assert!(!rows.is_empty(), "{path}");
        answers.push(rows.clone().into());
    }
    answers
}

/// The cookie of the owner.
fn sign_in(server: &Server) -> String {
    let body = serde_json::json!({ "email": "owner@example.com", "password": "a long enough passphrase" });
    let answer = send(server, "POST", "/api/session", "", &body);
    answer.split(';').next().unwrap().to_owned()
}

/// Sends a request from a page of the server; what it sets as a cookie.
fn send(server: &Server, method: &str, path: &str, cookie: &str, body: &Value) -> String {
    let origin = format!("http://{}", server.address);
    let headers = [("Origin", origin.as_str()), ("Cookie", cookie)];
    let answer = server.connect().request(method, path, &headers, &body.to_string()).unwrap();
    assert!(answer.status < 300, "{path}: {} {}", answer.status, answer.body);
    answer.headers.get("set-cookie").cloned().unwrap_or_default()
}

fn hit(server: &Server, site: &Site, path: &str) {
    let path_of_hit = format!("/e/{}", site.tracking_code);
    let answer =
        server.connect().request("POST", &path_of_hit, &[], &pageview("example.com", path, "session-1")).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Makes what has tables of its own.
fn fill(server: &Server, site: &Site) {
    let cookie = sign_in(server);
    let goal = serde_json::json!({ "name": "Buyers", "type": "event", "value": "bought" });
    send(server, "POST", &format!("/api/websites/{}/goals", site.website_id), &cookie, &goal);
    let share = serde_json::json!({ "name": "For Bob" });
    send(server, "POST", &format!("/api/websites/{}/shares", site.website_id), &cookie, &share);
}

fn until(is_so: impl FnMut() -> bool) {
    process::until("it", std::time::Duration::from_secs(120), is_so);
}

fn status(server: &Server, path: &str, key: &str) -> u16 {
    let answer = server.connect().request("GET", path, &[("X-API-Key", key)], "").unwrap();
    let says_when = answer.headers.contains_key("retry-after");
    assert!(answer.status != 503 || says_when, "a 503 says when to come back");
    assert!(!answer.body.contains(SECRET), "{}", answer.body);
    answer.status
}

/// Sabotage: open SQLite for one command, show the URL as it is, or make no claim.
#[test]
fn commands_and_a_server_use_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let (data_dir, url) = (directory.path().join("data"), postgres::empty_database());
    let site = Site::create(&data_dir, directory.path(), &format!("database_url = \"{url}\""));
    let server = site.serve();
    fill(&server, &site);
    hit(&server, &site, "/");
    let before = answers(&site, &server);
    assert_eq!(server.views_by_path(&site.website_id, &site.key)["/"], 1);
    assert!(!data_dir.join("zenovay.db").exists());
    assert_eq!(status(&server, "/readyz", ""), 200);
    let second = Site { key: String::new(), ..site.at(directory.path().join("second")) };
    let told = refusal(&second.run(&["serve", "--listen", "127.0.0.1:0"], ""));
    assert!(told.contains("another zenovay server has the PostgreSQL database"), "{told}");
    let backups = directory.path().join("backups");
    let made = site.cli(&["backup", backups.to_str().unwrap()]);
    assert_eq!(made["rows"], 1, "{made}");
    let metrics = server.metrics();
    let (ended, log) = server.terminate_with_log();
    assert!(ended.success(), "{log}");
    let told = refusal(&site.run(&["move"], ""));
    assert!(told.contains("are in PostgreSQL already (postgres://") && told.contains("to move"), "{told}");

    let server = site.serve();
    assert_eq!(answers(&site, &server), before);
    drop(server);
    let unnamed = Site { config: directory.path().join("unnamed.toml"), ..site.at(data_dir.clone()) };
    std::fs::write(&unnamed.config, "").unwrap();
    let create = ["user", "create", "--email", "a@example.com", "--name", "A", "--password-stdin"];
    let told = refusal(&unnamed.run(&create, "a long enough passphrase\n"));
    assert!(told.contains("are in PostgreSQL (postgres://") && !data_dir.join("zenovay.db").exists(), "{told}");
    let told = refusal(&site.run(&["rollback"], ""));
    assert!(told.contains("the metadata are in PostgreSQL"), "{told}");
    let shown = ["config", "check", "doctor"].map(|command| site.run(&[command], ""));
    let shown = shown.map(|output| format!("{output:?}")).concat();
    assert!(shown.contains("postgres:***@"), "{shown}");
    assert!(![metrics, log, shown].concat().contains(SECRET), "the password is told nowhere");
    let told =
        refusal(&second.run(&["key", "list", "--database-url", "postgres://a:secret-of-nobody@/z?host=/nowhere"], ""));
    assert!(told.contains("Is the server running locally"), "{told}");

    // The backup has them as SQLite, whatever becomes of the database.
    site.cli(&["restore", backups.to_str().unwrap(), "--verify"]);
    let restored = site.at(directory.path().join("restored"));
    let said = restored.run(&["restore", backups.to_str().unwrap()], "");
    assert!(said.status.success(), "{said:?}");
    std::fs::write(&restored.config, "").unwrap();
    let listed = restored.cli(&["website", "list"]);
    assert_eq!(listed, before[3]);
    // A directory with events and a database that knows nothing of them.
    let other = settings_with(&restored, &postgres::empty_database());
    let lost = Site { config: other, ..restored };
    let told = refusal(&lost.run(&["website", "list"], ""));
    assert!(told.contains("has no account") && told.contains("zenovay move"), "{told}");
}

/// Sabotage: keep what was written before it was killed, move beside a server, write over what is there, or open SQLite where nothing
/// names the database.
#[test]
fn an_installation_moves_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::create(&directory.path().join("data"), directory.path(), "");
    let server = site.serve();
    fill(&server, &site);
    hit(&server, &site, "/");
    let before = answers(&site, &server);
    let url = postgres::database();
    let told = refusal(&site.run(&["move", "--to", &url], ""));
    assert!(told.contains("a server is running"), "{told}");
    drop(server);
    // What the server left in the log of SQLite goes into the file.
    site.cli(&["user", "list"]);
    let source = std::fs::read(site.data_dir.join("zenovay.db")).unwrap();

    // It is killed while it waits for a table in the middle.
    let zenovay = |arguments: &[&str]| {
        let mut command = std::process::Command::new(process::BINARY);
        command.args(arguments).arg("--config").arg(&site.config).arg("--data-dir").arg(&site.data_dir);
        command
    };
    let mut other = postgres::connect(&url);
    other.batch_execute("BEGIN; LOCK TABLE websites IN SHARE ROW EXCLUSIVE MODE").unwrap();
    let mut moving = zenovay(&["move", "--to", &url]).spawn().unwrap();
    let waiting = "SELECT count(*) AS count FROM pg_locks WHERE relation = 'websites'::regclass AND NOT granted";
    until(|| count(&mut other, waiting) == 1);
    moving.kill().unwrap();
    moving.wait().unwrap();
    other.batch_execute("ROLLBACK").unwrap();
    until(|| {
        count(
            &mut other,
            "SELECT count(*) AS count FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        ) == 0
    });
    assert_eq!(count(&mut other, "SELECT count(*) AS count FROM users"), 0);

    let moved = site.cli(&["move", "--to", &url]);
    assert_eq!((&moved["was_there"], &moved["tables"]["websites"]), (&false.into(), &1.into()), "{moved}");
    assert!(!moved.to_string().contains(SECRET), "{moved}");
    assert_eq!(site.cli(&["move", "--to", &url])["was_there"], true);
    assert!(std::fs::read(site.data_dir.join("zenovay.db")).unwrap() == source, "the source is as it was");
    let there = Site { config: settings_with(&site, &url), ..site.at(site.data_dir.clone()) };
    let server = there.serve();
    assert_eq!(answers(&there, &server), before);
    drop(server);
    let told = refusal(&site.run(&["move", "--to", &url], ""));
    assert!(told.contains("is not empty"), "{told}");

    // Whoever does not name the database works on no old copy, unless that is what is wanted.
    for command in
        [&["website", "list"][..], &["user", "list"], &["serve", "--listen", "127.0.0.1:0"], &["rollback"], &["check"]]
    {
        let told = refusal(&site.run(command, ""));
        assert!(told.contains("are in PostgreSQL (postgres://"), "{command:?}: {told}");
    }
    std::fs::remove_file(site.data_dir.join("zenovay.postgres")).unwrap();
    assert_eq!(site.cli(&["website", "list"]), before[3]);
}

fn count(conn: &mut PgConnection, asked: &str) -> i64 {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    diesel::sql_query(asked).get_result::<Count>(conn).unwrap().count
}

/// Sabotage: ask the database for each hit, let keys in by memory, or wait for a connection without an end.
#[test]
fn a_database_that_goes_away_stops_no_hit() {
    let directory = tempfile::tempdir().unwrap();
    let mut database = postgres::Server::start();
    let settings = format!("database_url = \"{}\"", database.url());
    let site = Site::create(&directory.path().join("data"), directory.path(), &settings);
    let server = site.serve();
    let websites = "/api/external/v1/websites";
    assert_eq!(status(&server, websites, &site.key), 200);
    let load = Load::start(&server, &site.tracking_code, "example.com", "away", 6);
    let go_on = |what: &str| {
        let so_far = load.acknowledged().len();
        load.wait_until(what, |load| load.acknowledged().len() > so_far + 100);
    };
    go_on("hits with a database");

    database.tell("crash");
    until(|| status(&server, websites, &site.key) == 503);
    assert_eq!(status(&server, "/readyz", ""), 503);
    assert_eq!(status(&server, "/healthz", ""), 200);
    go_on("hits without a database");
    database.tell("start");
    until(|| status(&server, websites, &site.key) == 200 && status(&server, "/readyz", "") == 200);
    go_on("hits with a database again");

    database.tell("stop");
    std::thread::scope(|scope| {
        // Some wait for the answer of a process that is stopped; the others are told.
        let asked: Vec<_> = (0..24).map(|_| scope.spawn(|| status(&server, websites, &site.key))).collect();
        go_on("hits while the database is stopped");
        until(|| asked.iter().filter(|one| one.is_finished()).count() > 0);
        database.tell("go-on");
        let told: Vec<u16> = asked.into_iter().map(|one| one.join().unwrap()).collect();
        assert!(told.contains(&503) && told.iter().all(|status| matches!(status, 200 | 503)), "{told:?}");
    });
    until(|| status(&server, websites, &site.key) == 200 && status(&server, "/readyz", "") == 200);
    assert_eq!(load.refused(), 0, "no hit is refused for it");
    let (acknowledged, sent) = load.finish();
    assert_exactly_once(&acknowledged, &server.views_by_path(&site.website_id, &site.key), &sent);
    assert!(!server.terminate_with_log().1.contains(SECRET));
}
