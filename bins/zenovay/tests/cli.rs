//! The command line as scripts use it: exit codes, what is printed, and commands beside a running server (DESIGN §7).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod process;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use process::{BINARY, Site};
use serde_json::Value;

const UNKNOWN_ID: &str = "018f3c1e-0000-4000-8000-000000000001";

/// A directory of its own in which `zenovay` is run, without settings from outside.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(arguments).current_dir(self.directory.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ZENOVAY_") {
                command.env_remove(name);
            }
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    /// Runs a command that must succeed and print one JSON object.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        let value: Value = serde_json::from_slice(&output.stdout).expect("JSON alone on stdout");
        assert!(value.is_object(), "{value}");
        value
    }

    fn create_user(&self, email: &str) -> Output {
        let mut child = self
            .command(&["user", "create", "--email", email, "--name", "A person", "--password-stdin", "--json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        child.stdin.take().expect("stdin").write_all(b"a long enough passphrase\n").expect("stdin is read");
        child.wait_with_output().expect("it ends")
    }

    /// A user, a team of theirs and a website: their ids.
    fn fill(&self) -> (String, String) {
        assert!(self.create_user("owner@example.com").status.success());
        let team = self.json(&["team", "create", "--name", "Team", "--owner", "owner@example.com", "--plan", "pro"]);
        let team = team["id"].as_str().expect("an id").to_owned();
        let website =
            self.json(&["website", "create", "--team", &team, "--domain", "example.com", "--name", "Example"]);
        (team, website["id"].as_str().expect("an id").to_owned())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asserts exit code 1 and one line on stderr that contains `what`, nothing on stdout.
#[track_caller]
fn assert_fails(output: &Output, what: &str) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("zenovay: ") && stderr.contains(what), "{stderr}");
    assert_eq!(text(&output.stdout), "");
}

fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// A server and the lines it printed before it was ready.
struct Running {
    child: Child,
    lines: Vec<String>,
    address: String,
}

impl Running {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        Self::start_with(place, arguments, Stdio::null())
    }

    /// The same with its log in `log`.
    fn start_with(place: &Place, arguments: &[&str], log: Stdio) -> Self {
        let mut child = place.command(arguments).stdout(Stdio::piped()).stderr(log).spawn().expect("the server starts");
        let mut lines = Vec::new();
        for line in BufReader::new(child.stdout.take().expect("stdout")).lines() {
            let line = line.expect("text");
            if let Some(address) = line.strip_prefix("listening on http://") {
                return Self { child, lines, address: address.to_owned() };
            }
            lines.push(line);
        }
        let status = child.wait().expect("it ended");
        panic!("it never listened: {status}: {lines:?}");
    }

    fn status(&self, path: &str, key: &str) -> u16 {
        let mut connection = process::Connection::open(&self.address);
        connection.request("GET", path, &[("X-API-Key", key)], "").expect("an answer").status
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    fn stop(mut self) {
        self.signal("TERM");
        assert!(self.child.wait().expect("it ends").success());
    }

    fn value_after(&self, label: &str) -> String {
        let line = self.lines.iter().find_map(|line| line.trim().strip_prefix(label)).expect(label);
        line.split_whitespace().next().expect("a value").to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed must not leave a server behind; otherwise it has ended already.
        if self.child.kill().is_ok() && self.child.wait().is_err() {
            eprintln!("a server was left behind");
        }
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let place = Place::new();
    for arguments in [
        &["frobnicate"][..],
        &["serve", "--colour"],
        &["user", "create", "--email", "a@example.com", "--name", "A"],
        &["user", "delete", "--email", "a@example.com"],
        &["team", "delete", UNKNOWN_ID],
        &["demo", "--data-dir", "data"],
        &["team", "create", "--name", "T"],
        &["team", "set-plan", UNKNOWN_ID, "gold"],
        &["team", "set-plan", "no-id", "pro"],
        &["team", "add-member", UNKNOWN_ID, "--email", "a@example.com", "--role", "boss"],
        &["website", "set", UNKNOWN_ID],
        &["website", "set", UNKNOWN_ID, "cookieless"],
        &["website", "delete", UNKNOWN_ID],
        &["key", "create", "--name", "K"],
        &["key", "create", "--name", "K", "--user", "a@example.com", "--team", UNKNOWN_ID],
        &["key", "create", "--name", "K", "--user", "a@example.com", "--scopes", "root"],
        &["key", "create", "--name", "K", "--user", "a@example.com", "--teams", "some"],
        &["--seal-rows", "5", "key", "list"],
        &["sourcemaps", "upload"],
        &["sourcemaps", "upload", ".", "--server", "http://localhost", "--api-key", "zv_x", "--website", "shop"],
        &["--seal-rows", "5", "sourcemaps", "upload", ".", "--server", "x", "--api-key", "x", "--website", UNKNOWN_ID],
    ] {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        assert!(text(&output.stderr).starts_with("zenovay: "), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn failures_are_exit_code_1_and_one_line() {
    let place = Place::new();
    assert_fails(&place.run(&["key", "list"]), "data/zenovay.db does not exist");
    place.fill();
    assert_fails(&place.create_user("OWNER@example.com"), "email is already in use");
    assert_fails(&place.create_user("nobody"), "email");
    assert_fails(&place.run(&["team", "create", "--name", "T", "--owner", "x@example.com"]), "x@example.com");
    assert_fails(&place.run(&["team", "set-plan", UNKNOWN_ID, "pro"]), "team");
    assert_fails(&place.run(&["website", "show", UNKNOWN_ID]), "website");
    assert_fails(&place.run(&["website", "delete", UNKNOWN_ID, "--yes"]), "website");
    assert_fails(&place.run(&["key", "show", UNKNOWN_ID]), "key");
    assert_fails(&place.run(&["key", "revoke", UNKNOWN_ID]), "key");
    let long = "n".repeat(65);
    assert_fails(&place.run(&["key", "create", "--user", "owner@example.com", "--name", &long]), "64");
    assert_fails(&place.run(&["key", "list", "--database-url", "mysql://h/d"]), "sqlite://PATH");
    std::fs::write(place.path("zenovay.toml"), "colour = 1\n").expect("a file");
    assert_fails(&place.run(&["key", "list"]), "zenovay.toml: unknown setting `colour`");
    assert_fails(&place.run(&["config", "--config", "elsewhere.toml"]), "elsewhere.toml");
}

#[test]
fn a_weak_password_is_refused() {
    let place = Place::new();
    let mut child = place
        .command(&["user", "create", "--email", "a@example.com", "--name", "A", "--password-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    child.stdin.take().expect("stdin").write_all(b"short\n").expect("stdin is read");
    assert_fails(&child.wait_with_output().expect("it ends"), "12");
}

#[test]
fn creating_prints_exactly_the_documented_members() {
    let place = Place::new();
    let user = place.create_user("owner@example.com");
    let user: Value = serde_json::from_slice(&user.stdout).expect("JSON");
    assert_eq!(members(&user), ["email", "id"]);
    let team = place.json(&["team", "create", "--name", "Team", "--owner", "owner@example.com", "--plan", "scale"]);
    assert_eq!(members(&team), ["id", "name", "plan"]);
    assert_eq!(team["plan"], "scale");
    let team = team["id"].as_str().expect("an id");
    let website = place.json(&["website", "create", "--team", team, "--domain", "Example.COM", "--name", "E"]);
    assert_eq!(members(&website), ["domain", "id", "script_tag", "tracking_code"]);
    assert_eq!(website["domain"], "example.com");
    assert!(website["tracking_code"].as_str().expect("a code").starts_with("ZV_"));
    for owner in [["--user", "owner@example.com"], ["--team", team]] {
        let key = place.json(&["key", "create", owner[0], owner[1], "--name", "K"]);
        assert_eq!(members(&key), ["id", "key", "prefix"]);
        let (token, prefix) = (key["key"].as_str().expect("a key"), key["prefix"].as_str().expect("a prefix"));
        assert!(token.starts_with(prefix) && prefix.starts_with("zv_") && token.len() > 30, "{key}");
    }
}

#[test]
fn without_json_the_ids_can_be_grepped() {
    let place = Place::new();
    let (_, website) = place.fill();
    let output = place.run(&["website", "show", &website]);
    assert!(text(&output.stdout).lines().any(|line| line.starts_with("id: ") && line.ends_with(&website)));
    let output = place.run(&["key", "create", "--user", "owner@example.com", "--name", "K"]);
    assert!(text(&output.stdout).lines().any(|line| line.starts_with("key: ") && line.contains("zv_")));
}

#[test]
fn a_key_is_never_shown_again() {
    let place = Place::new();
    let (team, website) = place.fill();
    let key = place.json(&["key", "create", "--user", "owner@example.com", "--name", "K", "--website", &website]);
    let (id, token) = (key["id"].as_str().expect("an id"), key["key"].as_str().expect("a key"));
    for arguments in [
        &["key", "list"][..],
        &["key", "show", id],
        &["key", "edit", id, "--name", "L", "--scopes", "read", "--teams", &team, "--website", "all"],
        &["key", "revoke", id],
        &["key", "show", id],
    ] {
        for extra in [&[][..], &["--json"]] {
            let output = place.run(&[arguments, extra].concat());
            // A revoked key cannot be changed: the second edit comes before that.
            assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
            assert!(!text(&output.stdout).contains(token) && !text(&output.stderr).contains(token), "{arguments:?}");
        }
    }
    let shown = place.json(&["key", "show", id]);
    assert_eq!((&shown["name"], &shown["scopes"]), (&Value::from("L"), &serde_json::json!(["read"])));
    assert!(shown["revoked_at"].is_string() && shown["website_ids"].is_null(), "{shown}");
    for file in ["zenovay.db", "zenovay.db-wal"] {
        let bytes = std::fs::read(place.path("data").join(file)).unwrap_or_default();
        assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()), "{file}");
    }
    assert_fails(&place.run(&["key", "edit", id, "--name", "M"]), "revoked");
}

#[test]
fn website_settings_are_changed_and_checked() {
    let place = Place::new();
    let (_, website) = place.fill();
    let assignments =
        ["cookieless=false", "excluded_ips=192.0.2.1, 10.0.0.0/8", "time_zone=Asia/Tokyo", "name=New name"];
    let changed = place.json(&[&["website", "set", &website][..], &assignments].concat());
    assert_eq!(changed["settings"]["cookieless"], false);
    assert_eq!(changed["settings"]["excluded_ips"], serde_json::json!(["192.0.2.1", "10.0.0.0/8"]));
    assert_eq!(changed["name"], "New name");
    assert_eq!(place.json(&["website", "show", &website]), changed);
    for (assignment, code) in
        [("time_zone=Mars/Olympus", 1), ("excluded_ips=everybody", 1), ("colour=blue", 2), ("cookieless=maybe", 2)]
    {
        // All or nothing: the good assignment beside the bad one is not made either.
        let output = place.run(&["website", "set", &website, "is_active=false", assignment]);
        assert_eq!(output.status.code(), Some(code), "{assignment}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(assignment.split('=').next().expect("a name")), "{assignment}");
    }
    assert_eq!(place.json(&["website", "show", &website]), changed);
}

#[test]
fn config_tells_values_and_origins() {
    let place = Place::new();
    std::fs::write(
        place.path("zenovay.toml"),
        "seal_rows = 300\ncache_bytes = 4096\nkeep_alive_seconds = 7\n[plans.pro]\nwebsites = 9\n",
    )
    .expect("a file");
    let mut command = place.command(&["config", "--json", "--seal-rows", "100"]);
    let output = command.env("ZENOVAY_SEAL_ROWS", "200").env("ZENOVAY_CACHE_BYTES", "8192").output().expect("it runs");
    let config: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let setting = |name: &str| {
        let setting = &config["settings"][name];
        (setting["value"].clone(), setting["origin"].as_str().expect(name).to_owned())
    };
    assert_eq!(setting("seal_rows"), (100.into(), "flag --seal-rows".to_owned()));
    assert_eq!(setting("cache_bytes"), (8192.into(), "environment ZENOVAY_CACHE_BYTES".to_owned()));
    assert_eq!(setting("keep_alive_seconds"), (7.into(), "file zenovay.toml".to_owned()));
    assert_eq!(setting("listen"), ("127.0.0.1:8080".into(), "default".to_owned()));
    assert_eq!(setting("plans.pro.websites"), (9.into(), "file zenovay.toml".to_owned()));
    assert_eq!(setting("plans.free.requests_per_minute"), (0.into(), "default".to_owned()));
    assert_eq!(config["file"], "zenovay.toml");
    let plain = text(&place.run(&["config"]).stdout);
    assert!(
        plain.lines().any(|line| line.starts_with("seal_rows ") && line.ends_with("= 300   (file zenovay.toml)")),
        "{plain}"
    );
}

#[test]
fn every_setting_is_documented() {
    let documentation = include_str!("../../../docs/configuration.md");
    for (name, _) in zenovay::config::Config::defaults() {
        assert!(documentation.contains(&format!("| `{name}` |")), "{name} is not in docs/configuration.md");
    }
    let place = Place::new();
    let help = text(&place.run(&["serve", "--help"]).stdout);
    for (name, _) in zenovay::config::Config::defaults() {
        assert!(help.contains(&format!("--{}", name.replace('_', "-"))), "{name}");
    }
}

/// Sabotage: leave a metric out of the documentation, begin one with its first increase, or begin those of all routes.
#[test]
fn every_metric_exists_from_the_start_and_is_documented() {
    let documentation = include_str!("../../../docs/operations.md");
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&directory.path().join("data"), directory.path(), "");
    let server = site.serve();
    let page = server.metrics();
    for (name, kind, _) in zenovay::telemetry::METRICS {
        assert!(documentation.contains(&format!("`{name}`")), "{name} is not in docs/operations.md");
        let sample = if *kind == zenovay::telemetry::MetricKind::Histogram {
            format!("\n{name}_count")
        } else {
            format!("\n{name}")
        };
        assert!(page.contains(&format!("# HELP {name} ")) && page.contains(&sample), "{name} is not on the page");
    }
    for line in page.lines().filter(|line| line.starts_with("# HELP ")) {
        let name = line.split(' ').nth(2).expect("a name");
        assert!(zenovay::telemetry::METRICS.iter().any(|(known, ..)| *known == name), "{name} is not in the table");
    }
    for reason in zenovay_ingest::Outcome::all() {
        let labels = format!(r#"{{outcome="{}",reason="{}"}}"#, reason.as_str(), reason.reason());
        assert!(page.contains(&labels), "{labels}");
        if !reason.reason().is_empty() {
            assert!(documentation.contains(&format!("`{}`", reason.reason())), "{} is not documented", reason.reason());
        }
    }
    // Those of the routes that events come to are among them, and not of every route that there is.
    for route in ["/e/{code}", "/api/v1/events", "unmatched"] {
        let labels = format!(r#"zenovay_http_requests_total{{route="{route}",status="503"}} 0"#);
        assert!(page.contains(&labels), "{labels}");
    }
    assert!(page.lines().count() < 1_000, "{} lines", page.lines().count());
    let value = |name: &str| -> f64 {
        let line = page.lines().find(|line| line.starts_with(&format!("{name} "))).expect(name);
        line.rsplit(' ').next().expect("a value").parse().expect("a number")
    };
    assert!(value("process_resident_memory_bytes") > 1e6 && value("zenovay_disk_size_bytes") > 1e6);
    assert!(value("process_open_fds") >= 10.0 && value("process_start_time_seconds") > 1.7e9);
    server.kill();
}

#[test]
fn the_operator_prints_links_for_new_passwords_and_ends_codes() {
    let place = Place::new();
    place.fill();
    let link = || place.json(&["user", "reset-link", "--email", "owner@example.com"]);
    let (first, second) = (link(), link());
    let token = |link: &Value| {
        let url = link["url"].as_str().expect("a URL");
        url.strip_prefix("http://localhost:8080/reset/").unwrap_or_else(|| panic!("{url}")).to_owned()
    };
    assert_eq!(token(&first).len(), 43);
    assert_ne!(token(&first), token(&second));
    assert_fails(&place.run(&["user", "reset-link", "--email", "nobody@example.com"]), "there is no user");
    let removed = place.json(&["user", "remove-codes", "--email", "owner@example.com"]);
    assert_eq!(removed["removed"], false);
    let removed = place.json(&["user", "remove-passkeys", "--email", "owner@example.com"]);
    assert_eq!(removed["removed"], 0);
}

/// Sabotage: leave the note out of any one command.
#[test]
fn what_commands_change_is_in_the_audit_trail() {
    let place = Place::new();
    let (team, website) = place.fill();
    place.create_user("editor@example.com");
    let id = |value: Value| value["id"].as_str().expect("an id").to_owned();
    let made = place.json(&["key", "create", "--user", "owner@example.com", "--name", "Own"]);
    let secret = made["key"].as_str().expect("a key").to_owned();
    let own = id(made);
    let shared = id(place.json(&["key", "create", "--team", &team, "--name", "Shared"]));
    let link = place.json(&["user", "reset-link", "--email", "editor@example.com"]);
    assert!(link["url"].is_string());
    for words in [
        &["team", "set-plan", &team, "enterprise"][..],
        &["team", "set-key-policy", &team, "no_one"],
        &["team", "add-member", &team, "--email", "editor@example.com", "--role", "editor"],
        &["team", "remove-member", &team, "--email", "editor@example.com"],
        &["website", "set", &website, "cookieless=false"],
        &["key", "edit", &own, "--name", "Other"],
        &["key", "revoke", &shared],
        &["website", "delete", &website, "--yes"],
        &["user", "delete", "--email", "editor@example.com", "--yes"],
    ] {
        place.json(words);
    }
    let database = rusqlite::Connection::open(place.path("data/zenovay.db")).expect("the metadata");
    let mut rows = database
        .prepare("SELECT action, actor, team_id IS NOT NULL, target || details FROM audit_entries ORDER BY id")
        .expect("a query");
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
    let rows: Vec<(String, String, bool, String)> = rows.expect("rows").map(|row| row.expect("a row")).collect();
    assert!(rows.iter().all(|(_, actor, ..)| actor == "command line"), "{rows:?}");
    let told: Vec<(&str, bool)> = rows.iter().map(|(action, _, of_team, _)| (action.as_str(), *of_team)).collect();
    let expected = [
        ("users.sign_up", false),
        ("teams.create", true),
        ("sites.create", true),
        // What concerned the account alone that was deleted is gone with it.
        ("keys.create_own", true),
        ("keys.create_of_team", true),
        ("plan.choose", true),
        ("teams.edit", true),
        ("teams.add_member", true),
        ("teams.remove_member", true),
        ("sites.change", true),
        ("keys.edit", true),
        ("keys.revoke", true),
        ("sites.delete", true),
        ("account.delete", false),
    ];
    assert_eq!(told, expected);
    assert!(!rows.iter().any(|(.., words)| words.contains(&secret)), "never a secret");
}

/// Sabotage: warn nobody, or everybody.
#[test]
fn the_operator_is_warned_where_others_may_read_how_people_sign_in() {
    let proxied = ["--trusted-proxies", "127.0.0.1", "--public-url"];
    for (more, is_warned) in [
        (vec![], false),
        ([&proxied[..], &["http://stats.example"]].concat(), true),
        ([&proxied[..], &["https://stats.example"]].concat(), false),
    ] {
        let place = Place::new();
        let arguments = [&["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"][..], &more].concat();
        let log = std::fs::File::create(place.path("log")).expect("a file");
        Running::start_with(&place, &arguments, log.into()).stop();
        let said = std::fs::read_to_string(place.path("log")).expect("text");
        assert_eq!(said.contains("public_url is not an https URL"), is_warned, "{more:?}: {said}");
    }
}

#[test]
fn the_first_start_shows_its_account_once() {
    let place = Place::new();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"];
    let server = Running::start(&place, &arguments);
    let (key, website) = (server.value_after("API key"), server.value_after("website"));
    assert!(server.lines.iter().any(|line| line.contains(r#"src="http://127.0.0.1:"#) && line.contains("ZV_")));
    assert_eq!(server.status(&format!("/api/external/v1/analytics/{website}"), &key), 200);
    let password = server.value_after("password");
    let welcome = |server: &Running| {
        let line = server.lines.iter().find(|line| line.contains("/welcome#")).expect("a link").trim().to_owned();
        assert!(line.starts_with("http://localhost:"), "{line}");
        line.split_once('#').expect("a secret").1.to_owned()
    };
    let secret = welcome(&server);
    server.stop();
    let server = Running::start(&place, &arguments);
    assert_eq!(server.lines, Vec::<String>::new());
    assert_eq!(server.status(&format!("/api/external/v1/analytics/{website}"), &key), 200);
    server.stop();
    for file in ["zenovay.db", "zenovay.db-wal", "events.db", "zenovay.lock"] {
        let bytes = std::fs::read(place.path("data").join(file)).unwrap_or_default();
        for secret in [&password, &secret] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{file}");
        }
    }
    // Two fresh installations share nothing (SECURITY B6).
    let other = Place::new();
    let server = Running::start(&other, &arguments);
    assert_ne!(server.value_after("password"), password);
    assert_ne!(server.value_after("API key"), key);
    assert_ne!(welcome(&server), secret);
    server.stop();
}

#[test]
fn a_second_server_is_told_so_at_once() {
    let place = Place::new();
    let server = Running::start(&place, &["--listen", "127.0.0.1:0"]);
    // It ends while the other one goes on: it does not wait for it.
    let second = place.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_fails(&second, "another server is running on the data directory");
    assert_eq!(server.status("/healthz", ""), 200);
    server.stop();
}

#[test]
fn an_address_in_use_is_a_failure() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("an address");
    let address = taken.local_addr().expect("an address").to_string();
    assert_fails(&place.run(&["serve", "--listen", &address]), &address);
}

#[test]
fn commands_take_effect_on_the_next_request_of_a_running_server() {
    let place = Place::new();
    let (team, website) = place.fill();
    let server = Running::start(&place, &["serve", "--listen", "127.0.0.1:0"]);
    let path = format!("/api/external/v1/analytics/{website}");
    let key = place.json(&["key", "create", "--user", "owner@example.com", "--name", "K"]);
    let (id, token) = (key["id"].as_str().expect("an id"), key["key"].as_str().expect("a key"));
    assert_eq!(server.status(&path, token), 200);
    let changed = place.json(&["team", "set-plan", &team, "free"]);
    let retention = &changed["retention"];
    assert_eq!(retention["days_before"], 730);
    assert_eq!(retention["days"], 365);
    assert!(retention["hidden_before"].is_string() && retention["removed_from"].is_string(), "{retention}");
    assert_eq!(server.status(&path, token), 403);
    place.json(&["team", "set-plan", &team, "enterprise"]);
    assert_eq!(server.status(&path, token), 200);
    place.json(&["key", "edit", id, "--scopes", "write"]);
    assert_eq!(server.status(&path, token), 403);
    place.json(&["key", "edit", id, "--scopes", "read"]);
    assert_eq!(server.status(&path, token), 200);
    place.json(&["key", "revoke", id]);
    assert_eq!(server.status(&path, token), 401);
    let key = place.json(&["key", "create", "--team", &team, "--name", "W"]);
    let token = key["key"].as_str().expect("a key");
    assert_eq!(server.status(&path, token), 200);
    place.json(&["website", "delete", &website, "--yes"]);
    assert_eq!(server.status(&path, token), 404);
    server.stop();
}

#[test]
fn what_was_created_can_be_found_changed_and_deleted() {
    let place = Place::new();
    for (list, member) in [("user", "users"), ("team", "teams"), ("website", "websites"), ("key", "keys")] {
        // Without a database there is nothing to list; an empty one has empty lists.
        assert_fails(&place.run(&[list, "list"]), "does not exist");
        let empty = Place::new();
        assert!(empty.create_user("only@example.com").status.success());
        let listed = empty.json(&[list, "list"]);
        assert_eq!(listed[member].as_array().expect("a list").len(), usize::from(list == "user"), "{listed}");
    }
    let (team, website) = place.fill();
    assert!(place.create_user("member@example.com").status.success());
    place.json(&["team", "add-member", &team, "--email", "member@example.com", "--role", "viewer"]);
    let columns = |arguments: &[&str]| {
        let output = text(&place.run(arguments).stdout);
        let lines: Vec<Vec<String>> = output
            .lines()
            .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect())
            .collect();
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{output}");
        lines
    };
    assert_eq!(columns(&["user", "list"])[0], ["ID", "EMAIL", "NAME", "CREATED AT"]);
    let teams = columns(&["team", "list"]);
    assert_eq!(teams[1], [team.as_str(), "Team", "pro", "all_members", "2", "1"]);
    let websites = columns(&["website", "list"]);
    assert_eq!(websites[1][..4], [website.as_str(), "example.com", "Example", "active"]);
    let shown = place.json(&["team", "show", &team]);
    assert_eq!(shown["members"][1]["email"], "member@example.com", "{shown}");
    assert_eq!(
        (&shown["members"][1]["role"], &shown["websites"][0]["id"]),
        (&"viewer".into(), &website.as_str().into())
    );
    assert!(text(&place.run(&["team", "show", &team]).stdout).contains("member@example.com"));

    let set = |password: &[u8]| {
        let mut child = place
            .command(&["user", "set-password", "--email", "member@example.com", "--password-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        child.stdin.take().expect("stdin").write_all(password).expect("stdin is read");
        child.wait_with_output().expect("it ends")
    };
    assert!(set(b"another long passphrase\n").status.success());
    assert_fails(&set(b"short\n"), "12");
    assert_fails(&place.run(&["user", "delete", "--email", "owner@example.com", "--yes"]), "a team needs an owner");
    place.json(&["user", "delete", "--email", "member@example.com", "--yes"]);
    assert_fails(&place.run(&["user", "set-password", "--email", "member@example.com"]), "there is no user");
    let deleted = place.json(&["team", "delete", &team, "--yes"]);
    assert_eq!(deleted["websites"], 1, "{deleted}");
    assert_fails(&place.run(&["website", "show", &website]), "website");
    place.json(&["user", "delete", "--email", "owner@example.com", "--yes"]);
}

/// Sabotage: make the tag of the settings that the command itself has.
#[test]
fn the_tag_has_the_address_of_the_server_that_runs() {
    let place = Place::new();
    let (team, website) = place.fill();
    let tag = |place: &Place| {
        let shown = place.json(&["website", "show", &website]);
        let tag = shown["script_tag"].as_str().expect("a tag").to_owned();
        assert!(text(&place.run(&["website", "show", &website]).stdout).contains(&tag));
        tag.split("src=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an address").to_owned()
    };
    assert_eq!(tag(&place), "http://127.0.0.1:8080/z.js");
    let server = Running::start(&place, &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(tag(&place), format!("http://{}/z.js", server.address));
    server.stop();
    let server = Running::start(&place, &["--listen", "127.0.0.1:0", "--public-url", "https://stats.example.com"]);
    assert_eq!(tag(&place), "https://stats.example.com/z.js");
    let created = place.run(&["website", "create", "--team", &team, "--domain", "b.example", "--name", "B"]);
    assert!(text(&created.stdout).contains("src=\"https://stats.example.com/z.js\""), "{}", text(&created.stdout));
    // The server that runs wins over a file that it was not started with; once it has stopped, the file does.
    std::fs::write(place.path("zenovay.toml"), "public_url = \"https://other.example\"\n").expect("a file");
    assert_eq!(tag(&place), "https://stats.example.com/z.js");
    server.stop();
    assert_eq!(tag(&place), "https://other.example/z.js");
}

/// Sabotage: leave the terminal as it is.
#[test]
fn a_password_that_is_typed_is_not_shown() {
    const PASSWORD: &str = "a long enough passphrase";
    let place = Place::new();
    let command = format!("{BINARY} user create --email a@example.com --name A");
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .current_dir(place.directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script, which makes a terminal, runs");
    let mut terminal = child.stdin.take().expect("stdin");
    let mut shown = BufReader::new(child.stdout.take().expect("stdout"));
    let mut seen = String::new();
    for question in ["Password (12 characters or more): ", "The same again: "] {
        while !seen.ends_with(question) {
            let mut byte = [0];
            shown.read_exact(&mut byte).expect("the question comes");
            seen.push(char::from(byte[0]));
        }
        terminal.write_all(format!("{PASSWORD}\n").as_bytes()).expect("it is typed");
    }
    shown.read_to_string(&mut seen).expect("text");
    assert!(child.wait().expect("it ends").success(), "{seen}");
    assert!(seen.contains("user created"), "{seen}");
    assert!(!seen.contains(PASSWORD), "{seen}");
}

#[test]
fn with_json_the_server_prints_an_object_a_line() {
    let place = Place::new();
    let mut child = place
        .command(&["serve", "--json", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server starts");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().expect("a line").expect("text")).expect("JSON");
    let first = next();
    assert!(first["first_start"]["key"].as_str().is_some_and(|key| key.starts_with("zv_")), "{first}");
    let listening = next();
    assert!(listening["listening"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")), "{listening}");
    child.kill().expect("it can be killed");
    child.wait().expect("it ended");
}

/// Sabotage: read the variables of settings alone.
#[test]
fn misspelt_variables_are_errors_and_unknown_ones_are_told_once() {
    let place = Place::new();
    let output = place.command(&["config"]).env("ZENOVAY_TRUSTED_PROXY", "127.0.0.1").output().expect("it runs");
    assert_fails(&output, "ZENOVAY_TRUSTED_PROXY is not a setting; did you mean ZENOVAY_TRUSTED_PROXIES?");
    let environment = [("ZENOVAY_API_KEY", "zv_x"), ("ZENOVAY_SERVICE_HOST", "10.0.0.1"), ("ZENOVAY_REGION", "eu")];
    let output = place.command(&["config"]).envs(environment).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    let mut child = place
        .command(&["--listen", "127.0.0.1:0"])
        .envs(environment)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
    assert!(lines.any(|line| line.expect("text").starts_with("listening on")));
    child.kill().expect("it can be killed");
    let log = text(&child.wait_with_output().expect("it ends").stderr);
    assert_eq!(log.matches("ZENOVAY_").count(), 1, "{log}");
    assert!(log.contains("ZENOVAY_REGION"), "{log}");
}

/// What a running server drops as a bot is seen from the command line, and let through from there.
#[test]
fn dropped_bots_are_shown_and_let_through() {
    let place = Place::new();
    let (_, website) = place.fill();
    let shown = || place.json(&["website", "bots", &website]);
    assert_eq!(shown()["bots"], serde_json::json!([]));
    let code = place.json(&["website", "show", &website])["tracking_code"].as_str().expect("a code").to_owned();
    let server = Running::start(&place, &["serve", "--listen", "127.0.0.1:0"]);
    let agent = "Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0.0.0 Safari/537.36 OurMonitor/1.0 (203.0.113.9)";
    let send = || {
        let body = format!(
            r#"{{"url":"https://example.com/","session_id":"session-1","user_agent":"{agent}","device_type":"desktop",
            "browser":"unknown","os":"unknown"}}"#
        );
        let headers = [("Origin", "https://example.com"), ("User-Agent", agent)];
        let mut connection = process::Connection::open(&server.address);
        let answer = connection.request("POST", &format!("/e/{code}"), &headers, &body).expect("an answer");
        assert_eq!(answer.status, 200);
        answer.headers["x-zenovay-outcome"].clone()
    };
    assert_eq!((send().as_str(), send().as_str()), ("bot", "bot"));
    let deadline = Instant::now() + Duration::from_secs(60);
    let bots = loop {
        let bots = shown();
        if bots["bots"][0]["hits"] == 2 {
            break bots;
        }
        assert!(Instant::now() < deadline, "the counts are never written: {bots}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(bots["bots"].as_array().expect("a list").len(), 1);
    let expected = agent.replace("203.0.113.9", "[address]");
    assert_eq!(bots["bots"][0]["user_agent"], expected);
    assert_eq!((&bots["bots"][0]["reason"], &bots["bots"][0]["rule"]), (&"names_itself".into(), &"work".into()));
    let table = text(&place.run(&["website", "bots", &website]).stdout);
    assert!(table.lines().count() == 2 && table.contains("names_itself") && table.ends_with(&format!("{expected}\n")));

    let refused = place.run(&["website", "set", &website, "allowed_bots=x"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("allowed_bots"), "{}", text(&refused.stderr));
    place.json(&["website", "set", &website, "allowed_bots=OURMONITOR"]);
    assert_eq!(send(), "stored");
    // What was counted last is written when the server stops.
    place.json(&["website", "set", &website, "allowed_bots="]);
    assert_eq!(send(), "bot");
    server.stop();
    assert_eq!(shown()["bots"][0]["hits"], 3);
}

#[test]
fn the_key_policy_holds_on_the_command_line() {
    let place = Place::new();
    let (team, _) = place.fill();
    assert!(place.create_user("member@example.com").status.success());
    let member = place.json(&["team", "add-member", &team, "--email", "member@example.com", "--role", "editor"]);
    assert_eq!(member["role"], "editor");
    let create = |email: &str| place.run(&["key", "create", "--user", email, "--name", "K", "--teams", &team]);
    assert!(create("member@example.com").status.success());
    place.json(&["team", "set-key-policy", &team, "owners_and_admins"]);
    assert_fails(&create("member@example.com"), "policy");
    assert!(create("owner@example.com").status.success());
    place.json(&["team", "set-key-policy", &team, "no_one"]);
    assert_fails(&create("owner@example.com"), "policy");
    place.json(&["team", "remove-member", &team, "--email", "member@example.com"]);
    let keys = place.json(&["key", "list"]);
    let keys = keys["keys"].as_array().expect("keys");
    let revoked = keys.iter().filter(|key| !key["revoked_at"].is_null()).count();
    assert_eq!((keys.len(), revoked), (2, 1), "{keys:?}");
}

#[test]
fn check_finds_damage_and_says_what_it_cannot_check() {
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&directory.path().join("data"), directory.path(), "");
    let check = || site.run(&["check"], "");
    let report = |output: &Output| serde_json::from_slice::<Value>(&output.stdout).expect("JSON");
    assert_eq!(report(&check())["events"], "none yet");
    let server = site.serve();
    let body = process::pageview("example.com", "/a", "a-session");
    let sent = server.connect().request("POST", &format!("/e/{}", site.tracking_code), &[], &body).expect("an answer");
    assert_eq!(sent.status, 200, "{}", sent.body);
    let output = check();
    assert_eq!(output.status.code(), Some(3), "done in part");
    assert_eq!(report(&output)["events"], "not checked: a server is running");
    assert!(server.terminate().success());
    let events = report(&check())["events"].clone();
    assert_eq!((&events["segments"], &events["segment_rows"]), (&1.into(), &1.into()), "{events}");
    let segment =
        std::fs::read_dir(site.data_dir.join("segments")).expect("segments").next().expect("one").expect("it").path();
    flip_a_bit(&segment, 40);
    let output = check();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("segment 0000000000000001"), "{}", text(&output.stderr));
}

fn flip_a_bit(path: &Path, offset: usize) {
    let mut bytes = std::fs::read(path).expect("the file");
    bytes[offset] ^= 1;
    std::fs::write(path, bytes).expect("the file");
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let place = Place::new();
    // Nothing but the second signal ends it while the test lasts.
    let patient = ["--request-timeout-seconds", "3600", "--shutdown-timeout-seconds", "3600"];
    let mut server = Running::start(&place, &[&["serve", "--listen", "127.0.0.1:0"], &patient[..]].concat());
    // A request that never ends keeps the server from stopping.
    let mut slow = std::net::TcpStream::connect(&server.address).expect("a connection");
    slow.write_all(
        b"POST /e/ZV_AAAAAAAAAAA HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    )
    .expect("it is taken");
    assert_eq!(server.status("/healthz", ""), 200);
    server.signal("TERM");
    let started = Instant::now();
    while server.child.try_wait().expect("a status").is_none() {
        assert!(started.elapsed() < Duration::from_secs(60), "the second signal has no effect");
        server.signal("INT");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn demo_has_two_months_of_traffic_and_live_visitors() {
    let place = Place::new();
    let server = Running::start(&place, &["demo", "--listen", "127.0.0.1:0"]);
    let (key, website) = (server.value_after("API key"), server.value_after("website"));
    let mut connection = process::Connection::open(&server.address);
    let mut get = |path: &str| -> Value {
        let answer = connection.request("GET", path, &[("X-API-Key", &key)], "").expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).expect("JSON")
    };
    let overview = get(&format!("/api/external/v1/analytics/{website}?range=90d"));
    let days = overview["data"]["daily_stats"].as_array().expect("days");
    assert!(days.iter().filter(|day| day["page_views"].as_u64() > Some(0)).count() >= 60, "{overview}");
    // As real websites have it: about half of the visits bounce, and there is not much more than in the month before.
    let totals = get(&format!("/api/websites/{website}/totals?range=30d&compare=previous"))["data"].clone();
    let of = |period: &str, metric: &str| totals[period][metric].as_f64().expect("a number");
    assert!((0.35..0.6).contains(&of("now", "bounce_rate")), "{totals}");
    assert!((1.0..1.5).contains(&(of("now", "visitors") / of("before", "visitors"))), "{totals}");
    let websites = get("/api/external/v1/websites");
    let websites = websites["data"]["websites"].as_array().expect("websites").clone();
    assert_eq!(websites.len(), 3);
    for website in websites {
        let website = website["id"].as_str().expect("an id");
        // Errors with readable stacks, one of which was mended and came back; one that was mended and stays so.
        let errors = get(&format!("/api/websites/{website}/errors?range=30d"))["data"].clone();
        let groups = errors["groups"].as_array().expect("groups");
        assert!(groups.len() >= 5, "{errors}");
        for status in ["unresolved", "resolved", "ignored"] {
            assert!(groups.iter().any(|group| group["status"] == status), "{status}: {errors}");
        }
        for group in groups {
            assert!(group["culprit"]["file"].as_str().expect("a file").starts_with("src/"), "{group}");
            assert!(group["culprit"]["function"].as_str().expect("a name").len() > 3, "{group}");
        }
        let back = groups.iter().find(|group| group["message"] == "The account was not created: 503").expect("it");
        let id = back["id"].as_str().expect("an id");
        let detail = get(&format!("/api/websites/{website}/errors/{id}?range=30d"))["data"].clone();
        let history: Vec<_> =
            detail["history"].as_array().expect("history").iter().map(|entry| &entry["what"]).collect();
        assert_eq!(history, ["came_back", "resolved"], "{detail}");
        assert!(detail["releases"].as_array().expect("releases").len() >= 2, "{detail}");
        assert_eq!(detail["stacks"][0]["frames"][1]["function"], "onSubmit", "{detail}");
        let heat = get(&format!("/api/websites/{website}/heatmaps/page?page=/pricing&range=30d"))["data"].clone();
        assert!(heat["clicks"].as_u64() > Some(20) && heat["elements_total"].as_u64() >= Some(5), "{heat}");
        let speed = get(&format!("/api/websites/{website}/performance?range=30d"))["data"].clone();
        assert!(
            speed["views"].as_u64() > Some(1_000) && speed["pages"].as_array().expect("pages").len() >= 10,
            "{speed}"
        );
        for metric in ["lcp", "cls", "inp", "fcp", "ttfb"] {
            assert!(speed["metrics"][metric]["p75"].as_f64() > Some(0.0), "{metric}: {speed}");
        }
        // The same for programs.
        for list in ["performance", "errors", "heatmaps", "replays"] {
            let told = get(&format!("/api/external/v1/stats/{list}?site_id={website}&range=30d"))["data"].clone();
            assert!(told["results"].as_array().is_some_and(|rows| !rows.is_empty()), "{list}: {told}");
        }
        let asked = format!("/api/external/v1/stats/heatmaps/page?site_id={website}&path=/pricing&range=30d");
        let heat = get(&asked)["data"]["results"].clone();
        assert!(heat["clicks"].as_u64() > Some(20) && heat["elements_total"].as_u64() >= Some(5), "{heat}");
        let speed = get(&format!("/api/external/v1/performance/{website}?range=30d"))["data"].clone();
        let days = speed["daily_stats"].as_array().expect("days");
        assert!(days.iter().filter(|day| day["views"].as_u64() > Some(0)).count() >= 25, "{speed}");
    }
    assert!(!place.path("data").exists(), "the demo leaves the data directory alone");
    server.stop();
}
