//! What strangers and key holders send is bounded: different strings by day, answers by the length of what was asked, and
//! memory while it arrives.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod process;

use std::collections::BTreeMap;

use process::memory_group::MemoryGroup;
use process::{Server, Site, pageview};
use serde_json::{Value, json};
use zenovay_domain::{Clock, SystemClock};

/// What may be taken over what a server without traffic takes.
const OVER_BASE_MB: u64 = 150;
/// What the server and the pages that the kernel keeps for it may take in all.
const CONTAINER_BYTES: u64 = 512 << 20;

/// Sends a pageview.
fn view(server: &Server, site: &Site, path: &str) {
    let headers = [("X-Forwarded-For", "192.0.2.7")];
    let body = pageview("example.com", path, &format!("session of {path}"));
    let response = server.connect().request("POST", &format!("/e/{}", site.tracking_code), &headers, &body);
    let response = response.expect("an answer");
    assert_eq!(response.status, 200, "{}", response.body);
}

fn pages(server: &Server, site: &Site) -> BTreeMap<String, u64> {
    server.views_by_path(&site.website_id, &site.key).into_iter().collect()
}

/// What `website show` tells of folded strings, when it is of `events` events. It is written now and then.
fn wait_until_told(site: &Site, events: u64) -> Vec<Value> {
    let started = std::time::Instant::now();
    loop {
        let shown = site.cli(&["website", "show", &site.website_id]);
        let folded = shown["folded"].as_array().expect("a list").clone();
        let count: u64 = folded.iter().filter_map(|line| line["events"].as_u64()).sum();
        if count >= events {
            assert_eq!(count, events, "{folded:?}");
            return folded;
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(60), "never told: {folded:?}");
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
}

/// Beyond the number of different paths of a day, further ones are `(other)`: the same before and after a death, a restart
/// and a seal; totals stay exact, the metric counts, and `website show` tells. Sabotage: begin anew after a restart.
#[test]
fn too_many_different_paths_are_other_and_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = "distinct_values_per_day = 10\ntracking_requests_per_10s = 100000\n";
    let site = Site::create(&dir.path().join("data"), dir.path(), settings);
    let server = site.serve();
    (0..15).for_each(|number| view(&server, &site, &format!("/{number}")));
    let known: BTreeMap<_, _> =
        (0..10).map(|number| (format!("/{number}"), 1)).chain([("(other)".to_owned(), 5)]).collect();
    assert_eq!(pages(&server, &site), known);
    wait_until_told(&site, 5);
    server.kill();

    let server = site.serve();
    view(&server, &site, "/3");
    view(&server, &site, "/12");
    assert!(server.terminate().success());
    let server = site.serve();
    view(&server, &site, "/3");
    view(&server, &site, "/14");
    let mut expected = known;
    expected.insert("/3".to_owned(), 3);
    expected.insert("(other)".to_owned(), 7);
    assert_eq!(pages(&server, &site), expected);
    let told = wait_until_told(&site, 7);
    assert!(
        told.iter().all(|line| line["column"] == "page" && line["day"].as_str().is_some_and(|day| day.len() == 10))
    );
    let counted = r#"zenovay_folded_strings_total{column="page"} 1"#;
    assert!(server.metrics().contains(counted), "of this process");
}

/// What is no request is one line of the log, with the id that its sender was told, and no error of the server's.
fn send_nonsense(server: &Server) {
    use std::io::{Read, Write};
    for nonsense in ["nonsense\r\n\r\n", "GET / HTTP/1.1\nHost: x\n\n", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"]
    {
        let mut client = std::net::TcpStream::connect(&server.address).expect("the server accepts");
        client.write_all(nonsense.as_bytes()).expect("it is sent");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer and the end");
        let (_, rest) = answer.split_once("x-request-id: ").expect("an id");
        let id = rest.lines().next().expect("an id");
        let started = std::time::Instant::now();
        let line = loop {
            if let Some(line) = server.log().lines().find(|line| line.contains(id)) {
                break line.to_owned();
            }
            assert!(started.elapsed() < std::time::Duration::from_secs(60), "no line has the id {id}");
            std::thread::yield_now();
        };
        assert!(line.contains(" INFO ") && line.contains("bad_head"), "{line}");
    }
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}

/// An answer is no longer than what was asked, whatever is wrong with it. Sabotage: tell all; log what is no request as an
/// error, or without its id.
#[test]
fn many_mistakes_are_told_in_few_words() {
    let dir = tempfile::tempdir().expect("a directory");
    let site = Site::create(&dir.path().join("data"), dir.path(), "");
    let server = site.serve();
    send_nonsense(&server);
    let twice: String = (0..280).map(|name| format!(r#""n{name:03}":1,"n{name:03}":1,"#)).collect();

    let body = format!(r#"{{"event_type":"pageview",{twice}"url":"https://example.com/"}}"#);
    let response =
        server.connect().request("POST", &format!("/e/{}", site.tracking_code), &[], &body).expect("an answer");
    assert_eq!(response.status, 400, "{}", response.body);
    let answer: Value = serde_json::from_str(&response.body).expect("JSON");
    assert_eq!(answer["details"].as_object().map(serde_json::Map::len), Some(20));
    let message = answer["message"].as_str().expect("a message");
    assert!(message.starts_with("Some fields are not valid: 20 of them, and 26"), "{message}");

    let event = format!(
        r#"{{"type":"pageview","ts":1,"visitorId":"v","sessionId":"s","props":{{{twice}"url":"https://example.com/"}}}}"#
    );
    let rows = (4 << 20) / (event.len() + 1) - 1;
    let events = vec![event.as_str(); rows].join(",");
    let body = format!(r#"{{"trackingCode":"{}","events":[{events}]}}"#, site.tracking_code);
    let response =
        server.connect().request("POST", "/api/v1/events", &[("X-API-Key", &site.key)], &body).expect("an answer");
    assert_eq!(response.status, 200, "{}", response.body);
    let answer: Value = serde_json::from_str(&response.body).expect("JSON");
    let errors = answer["data"]["errors"].as_array().expect("errors");
    assert_eq!((errors.len(), answer["data"]["rejected"].as_u64()), (rows, Some(rows as u64)), "each row is told");
    assert!(errors.iter().zip(0..).all(|(error, index)| error["index"] == index), "by its index");
    assert_eq!(errors.iter().filter(|error| error.get("details").is_some()).count(), 20);
    assert!(response.body.len() < body.len() / 10, "{} bytes for {}", response.body.len(), body.len());
}

/// A figure of the server's memory in MB.
fn memory_mb(server: &Server, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a figure");
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1_024 / 1_000_000
}

/// A string that only `number` has, of `bytes` bytes, as well compressed as an attacker can have it.
fn long(number: usize, bytes: usize) -> String {
    format!("{number:08}").repeat(bytes / 8)
}

fn event(number: usize, path: &str, title: &str, properties: serde_json::Map<String, Value>) -> Value {
    let mut event = json!({
        "type": "pageview",
        "ts": 0,
        "visitorId": format!("visitor {number}"),
        "sessionId": format!("session {number}"),
        "props": { "url": format!("https://example.com/{path}"), "title": title },
    });
    event["ts"] = SystemClock.now().as_millis().into();
    event["props"].as_object_mut().expect("an object").extend(properties);
    event
}

/// Sends `events` events, a hundred at a time and again while there is no room, from two clients.
fn flood(server: &Server, site: &Site, events: usize, event: impl Fn(usize) -> Value + Sync) {
    std::thread::scope(|clients| {
        for client in 0..2 {
            let event = &event;
            clients.spawn(move || {
                let mut connection = server.connect();
                for first in (client * 100..events).step_by(200) {
                    let events: Vec<Value> = (first..first + 100).map(event).collect();
                    let body = json!({ "trackingCode": site.tracking_code, "events": events }).to_string();
                    loop {
                        let headers = [("X-API-Key", site.key.as_str()), ("Content-Type", "application/json")];
                        let answer = connection.request("POST", "/api/v1/events", &headers, &body).expect("an answer");
                        if answer.status == 200 {
                            let answer: Value = serde_json::from_str(&answer.body).expect("JSON");
                            assert_eq!(answer["data"]["accepted"], 100, "{answer}");
                            break;
                        }
                        assert_eq!(answer.status, 503, "{}", answer.body);
                    }
                }
            });
        }
    });
}

/// What the server took at most, over `base` MB, is little, and it is well.
fn assert_little(server: &Server, base: u64, what: &str) {
    let most = memory_mb(server, "VmHWM");
    eprintln!("{what}: {} MB over {base} MB", most.saturating_sub(base));
    assert!(most <= base + OVER_BASE_MB, "{what} took {most} MB");
    assert!(!server.log().contains("ERROR"), "{what}: {}", server.log());
}

/// Floods of the longest properties, paths and titles through the real process, with questions meanwhile and a restart:
/// memory is bounded, in a container of 512 MB nothing dies, and every event counts. As many events as `ZENOVAY_LONG_EVENTS` says, which `just test-long` sets.
#[test]
fn floods_of_the_longest_strings_take_little_memory() {
    let events = std::env::var("ZENOVAY_LONG_EVENTS").map_or(1_000, |events| events.parse().expect("a number"));
    let dir = tempfile::tempdir().expect("a directory");
    let site = Site::create(&dir.path().join("data"), dir.path(), "");
    let group = MemoryGroup::of(CONTAINER_BYTES);
    // What is measured is asserted in any case.
    let wrapper = group.as_ref().map(MemoryGroup::wrapper).inspect_err(|why| eprintln!("without a limit: {why}"));
    let wrapper = wrapper.unwrap_or_default();
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let server = site.serve_with(&wrapper, &[]);
    // What the first requests need is there.
    view(&server, &site, "/first");
    let base = memory_mb(&server, "VmRSS");

    let properties = |number| (0..32).map(|n| (format!("p{n}"), long(number, 960).into())).collect();
    flood(&server, &site, events, |number| event(number, "", "", properties(number)));
    assert_little(&server, base, "properties");

    let path = |number| event(number, &long(number, 2_000), &long(number, 504), serde_json::Map::new());
    flood(&server, &site, events, path);
    for endpoint in ["pages?limit=100", "visitors?limit=1000", "countries", "technology"] {
        server.get(&format!("/api/external/v1/analytics/{}/{endpoint}", site.website_id), &site.key);
    }
    assert_little(&server, base, "paths and titles, and questions");

    let views = |server: &Server| {
        let answer = server.get(&format!("/api/external/v1/analytics/{}", site.website_id), &site.key);
        answer["data"]["summary"]["total_page_views"].as_u64()
    };
    let all = Some(2 * events as u64 + 1);
    assert_eq!(views(&server), all);
    server.kill();
    let server = site.serve_with(&wrapper, &[]);
    assert_eq!(views(&server), all);
    assert_little(&server, base, "a restart");
    server.kill();
    assert_eq!(group.map_or(0, |group| group.killed()), 0);
}

/// Sabotage: leave mimalloc's own delay.
#[test]
fn free_memory_goes_back_soon_unless_the_environment_says_when() {
    let dir = tempfile::tempdir().expect("a directory");
    let site = Site::create(&dir.path().join("data"), dir.path(), "");
    for (environment, expected) in [(vec![], "10"), (vec![("MIMALLOC_PURGE_DELAY", "700")], "700")] {
        let server = site.serve_with(&[], &environment);
        let read = |file| std::fs::read_to_string(format!("/proc/{}/{file}", server.pid())).expect("the server runs");
        let delays: Vec<_> = read("environ").split('\0').map(str::to_owned).collect();
        assert!(delays.contains(&format!("MIMALLOC_PURGE_DELAY={expected}")), "{delays:?}");
        assert_eq!(read("comm").trim(), "zenovay", "it is still the same program");
        assert!(read("cmdline").starts_with(&format!("{}\0serve\0", process::BINARY)), "with the same arguments");
        assert!(server.terminate().success());
    }
}
