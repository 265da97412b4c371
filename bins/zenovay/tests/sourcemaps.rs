//! `zenovay sourcemaps upload` beside a running server: errors of a bundled app are shown as people wrote it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

mod process;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use process::{BINARY, Server, Site};
use serde_json::{Value, json};

/// An app in three builds, with the stack of the same mistake in each.
const APP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tracker/test/fixtures/app");
const UNKNOWN_ID: &str = "018f3c1e-0000-4000-8000-000000000001";

/// A server with the shop that the app is of, on which each build failed once.
struct World {
    site: Site,
    server: Server,
    website: String,
    key: String,
    directory: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let site = Site::create(&directory.path().join("data"), directory.path(), "");
        let (website, code) = site.create_website("shop.example");
        let team = site.cli(&["website", "show", &website])["team_id"].as_str().unwrap().to_owned();
        let key = site.cli(&["key", "create", "--team", &team, "--name", "builds", "--website", &website]);
        let key = key["key"].as_str().unwrap().to_owned();
        let server = site.serve();
        for (number, stack) in stacks().into_iter().enumerate() {
            let error = json!({
                "id": format!("error-00{number}"), "type": stack["type"], "message": stack["message"], "stack": stack["stack"],
            });
            let mut body = json!({
                "url": "https://shop.example/cart", "session_id": "session-0001", "release": stack["release"], "errors": [error],
            });
            if let Some(id) = stack["debug_id"].as_str() {
                body["debug_ids"] = json!({ stack["file"].as_str().unwrap(): id });
            }
            let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
            let headers = [("Origin", "https://shop.example"), ("User-Agent", agent)];
            let path = format!("/api/track/{code}/error");
            let reply = server.connect().request("POST", &path, &headers, &body.to_string()).unwrap();
            assert_eq!((reply.status, reply.headers["x-zenovay-outcome"].as_str()), (200, "stored"), "{}", reply.body);
        }
        Self { site, server, website, key, directory }
    }

    /// Runs the command in a directory without anything in it, with this environment alone.
    fn upload(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(["sourcemaps", "upload"]).args(arguments).current_dir(self.directory.path());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ZENOVAY_")) {
            command.env_remove(name);
        }
        command.envs(environment.iter().copied()).output().unwrap()
    }

    fn address(&self) -> String {
        format!("http://{}", self.server.address)
    }

    fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("ZENOVAY_SERVER", self.address()),
            ("ZENOVAY_API_KEY", self.key.clone()),
            ("ZENOVAY_WEBSITE", self.website.clone()),
        ]
    }

    /// Uploads with everything but the release in the environment; the result as JSON, and the exit code.
    fn upload_json(&self, directory: &Path, more: &[&str]) -> (Value, i32) {
        let environment = self.environment();
        let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let output = self.upload(&[&[directory.to_str().unwrap(), "--json"], more].concat(), &environment);
        let code = output.status.code().unwrap();
        let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{code}: {}", words(&output)));
        (value, code)
    }

    fn groups(&self) -> Vec<Value> {
        let path = format!("/api/websites/{}/errors?range=24h", self.website);
        self.server.get(&path, &self.site.key)["data"]["groups"].as_array().unwrap().clone()
    }
}

fn stacks() -> Vec<Value> {
    let text = fs::read_to_string(format!("{APP}/stacks.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn build(release: &str) -> PathBuf {
    Path::new(APP).join(release)
}

/// What was printed for people, on one line.
fn words(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Sabotage: send the name of the map for that of the bundle, or leave the debug id out.
#[test]
fn errors_of_every_build_are_shown_as_people_wrote_the_app() {
    let world = World::start();
    assert!(world.groups().iter().all(|group| group["culprit"]["function"] != "totalOf"), "{:?}", world.groups());

    // By release and address, with every option given; by release and name; by debug id alone.
    let (first, second, third) = (build("1.0.0"), build("1.1.0"), build("1.2.0"));
    let address = world.address();
    let options = [
        first.to_str().unwrap(),
        "--server",
        &address,
        "--api-key",
        &world.key,
        "--website",
        &world.website,
        "--release",
        "1.0.0",
        "--url-prefix",
        "https://shop.example/assets/",
    ];
    let output = world.upload(&options, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert!(words(&output).contains("source maps: 1 taken, 0 refused"), "{}", words(&output));
    assert!(words(&output).contains("app-D6JNDYIQ.js"), "{}", words(&output));
    assert!(!words(&output).contains(&world.key), "a key is not printed");
    let (told, code) = world.upload_json(&second, &["--release", "1.1.0"]);
    assert_eq!((code, &told["taken"][0]["stacks"], &told["refused"]), (0, &json!(1), &json!([])), "{told}");
    assert_eq!(told["taken"][0]["url"], "app-PU4LNX7M.js");
    let (told, code) = world.upload_json(&third, &[]);
    assert_eq!((code, &told["taken"][0]["stacks"]), (0, &json!(1)), "{told}");
    assert_eq!(told["taken"][0]["debug_id"], stacks()[2]["debug_id"]);

    let groups = world.groups();
    assert_eq!(groups.len(), 1, "one mistake is one group, in all builds: {groups:?}");
    assert_eq!(groups[0]["occurrences"], 3);
    let culprit = &groups[0]["culprit"];
    assert_eq!(culprit["function"], "totalOf", "{culprit}");
    assert!(culprit["file"].as_str().unwrap().ends_with("src/cart.ts"), "{culprit}");
    let id = groups[0]["id"].as_str().unwrap();
    let detail = world.server.get(&format!("/api/websites/{}/errors/{id}?range=24h", world.website), &world.site.key);
    let source = fs::read_to_string(format!("{APP}/src/cart.ts")).unwrap();
    for stack in detail["data"]["stacks"].as_array().unwrap() {
        assert_eq!(stack["source_map"], true, "{stack}");
        let functions: Vec<&str> = stack["frames"]
            .as_array()
            .unwrap()
            .iter()
            .take(3)
            .map(|frame| frame["function"].as_str().unwrap())
            .collect();
        assert_eq!(functions, ["totalOf", "checkout", "pay"], "{stack}");
        let line = usize::try_from(stack["frames"][0]["line"].as_u64().unwrap()).unwrap();
        assert!(source.lines().nth(line - 1).unwrap().contains("amount"), "line {line} of the source");
    }
}

/// Sabotage: exit with 0 whatever was refused.
#[test]
fn what_is_refused_is_told_with_an_exit_code() {
    let world = World::start();
    let dist = world.directory.path().join("dist");
    fs::create_dir_all(dist.join("one")).unwrap();
    fs::create_dir_all(dist.join("two")).unwrap();
    let map = fs::read_to_string(build("1.0.0").join("app-D6JNDYIQ.js.map")).unwrap();
    fs::write(dist.join("good.js"), "x\n//# sourceMappingURL=good.js.map\n").unwrap();
    fs::write(dist.join("good.js.map"), &map).unwrap();
    fs::write(dist.join("lost.js"), "x\n//# sourceMappingURL=lost.js.map\n").unwrap();
    fs::write(dist.join("empty.js.map"), r#"{"version":3,"sources":[],"mappings":""}"#).unwrap();
    for place in ["one", "two"] {
        fs::write(dist.join(place).join("index.js.map"), &map).unwrap();
    }
    let (told, code) = world.upload_json(&dist, &[]);
    assert_eq!(code, 3, "{told}");
    assert_eq!(told["taken"].as_array().unwrap().len(), 1, "{told}");
    let refused = told["refused"].as_array().unwrap();
    let why = |file: &str| {
        let found = refused.iter().find(|refused| refused["file"] == file).unwrap_or_else(|| panic!("{file}: {told}"));
        found["why"].as_str().unwrap().to_owned()
    };
    assert!(why("lost.js").contains("lost.js.map is not in the directory"));
    assert!(why("empty.js").contains("no mappings"), "{}", why("empty.js"));
    assert!(why("one/index.js").contains("--url-prefix") && why("two/index.js").contains("same name"));
    let (told, code) = world.upload_json(&dist, &["--url-prefix", "https://shop.example/assets"]);
    assert_eq!((code, told["taken"].as_array().unwrap().len()), (3, 3), "{told}");
    assert_eq!(told["taken"][1]["url"], "https://shop.example/assets/one/index.js");

    let good = build("1.0.0");
    let good = good.to_str().unwrap();
    let (address, key, website) = (world.address(), world.key.clone(), world.website.clone());
    let nobody = format!("{}{}", &key[..key.len() - 1], if key.ends_with('x') { 'y' } else { 'x' });
    let reader =
        world.site.cli(&["key", "create", "--user", "owner@example.com", "--name", "reads", "--scopes", "read"]);
    let reader = reader["key"].as_str().unwrap();
    let empty = world.directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let run = |directory: &str, server: &str, key: &str, website: &str| {
        let environment = [("ZENOVAY_SERVER", server), ("ZENOVAY_API_KEY", key), ("ZENOVAY_WEBSITE", website)];
        let output = world.upload(&[directory], &environment);
        assert!(output.stdout.is_empty(), "{}", words(&output));
        assert!(!words(&output).contains(key) || key.is_empty(), "{}", words(&output));
        (output.status.code().unwrap(), words(&output))
    };
    for (told, code, expected) in [
        (run(good, &address, &nobody, &website), 1, "(401)"),
        (run(good, &address, reader, &website), 1, "(403)"),
        (run(good, &address, &key, UNKNOWN_ID), 1, "(40"),
        (run(empty.to_str().unwrap(), &address, &key, &website), 1, "no source map"),
        (run("nowhere", &address, &key, &website), 1, "nowhere"),
        (run(good, "http://127.0.0.1:1", &key, &website), 1, "cannot be asked"),
        (run(good, "stats.example.com", &key, &website), 2, "https://stats.example.com"),
        (run(good, &address, "", &website), 2, "API key"),
        (run(good, &address, &key, "shop"), 2, "shop"),
    ] {
        assert_eq!(told.0, code, "{}", told.1);
        assert!(told.1.starts_with("zenovay: ") && told.1.contains(expected), "{expected}: {}", told.1);
    }
    let output = world.upload(&[good], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", words(&output));
    let help = world.upload(&["--help"], &[("ZENOVAY_API_KEY", "zv_secret")]);
    assert!(words(&help).contains("--url-prefix") && words(&help).contains("ZENOVAY_API_KEY"), "{}", words(&help));
    assert!(!words(&help).contains("zv_secret"), "help prints no key");
}

/// A server of somebody else, a busy one, and one that sends clients elsewhere. Sabotage: give up at the first 429.
#[test]
fn a_busy_server_is_waited_for_and_another_one_is_known() {
    let world = World::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/stats/", listener.local_addr().unwrap());
    let stored = r#"{"success":true,"data":{"stacks":0,"groups":0}}"#;
    let stored = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{stored}", stored.len());
    let answers = [
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
        &stored,
        "HTTP/1.1 301 Moved\r\nLocation: https://stats.example.com/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
    ]
    .map(str::to_owned);
    let served = std::thread::spawn(move || {
        answers.map(|answer| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            let mut piece = [0; 4_096];
            // As much as tells what was asked; the rest is thrown away.
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                let read = stream.read(&mut piece).unwrap();
                head.extend_from_slice(&piece[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            // Until the other side has read it and is gone.
            while stream.read(&mut piece).is_ok_and(|read| read > 0) {}
            String::from_utf8_lossy(&head).lines().next().unwrap().to_owned()
        })
    });
    let environment =
        [("ZENOVAY_SERVER", &*address), ("ZENOVAY_API_KEY", "zv_x"), ("ZENOVAY_WEBSITE", &*world.website)];
    let directory = build("1.0.0");
    let upload = || world.upload(&[directory.to_str().unwrap()], &environment);
    let (busy, moved, other) = (upload(), upload(), upload());
    assert_eq!(busy.status.code(), Some(0), "{}", words(&busy));
    assert_eq!(moved.status.code(), Some(1), "{}", words(&moved));
    assert!(words(&moved).contains("sends us to https://stats.example.com/"), "{}", words(&moved));
    assert!(words(&other).contains("not of zenovay"), "{}", words(&other));
    let asked = served.join().unwrap();
    let expected = format!("POST /stats/api/errors/{}/sourcemap HTTP/1.1", world.website);
    assert!(asked.iter().all(|line| *line == expected), "{asked:?}");
}
