//! What strangers and key holders can send at once, against the real binary in a container of 512 MB:
//! each attack takes little more than a server without traffic, and none ends it. As many clients and rounds as
//! `MEMORY_CLIENTS` and `MEMORY_ROUNDS` say, which `just test-long` sets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod process;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use process::memory_group::MemoryGroup;
use process::{Server, Site, pageview};
use serde_json::{Value, json};
use zenovay_domain::{Clock, SystemClock};

/// What the server and the pages that the kernel keeps for it may take in all.
const CONTAINER_BYTES: u64 = 512 << 20;
/// What may be taken over what a server without traffic takes.
const OVER_BASE_BYTES: u64 = 150_000_000;
/// How long an attacker waits for an answer. Only ever reached when something is broken.
const PATIENCE: Duration = Duration::from_secs(600);
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// A number from the environment.
fn number(name: &str, without: usize) -> usize {
    std::env::var(name).map_or(without, |text| text.parse().expect("a number"))
}

/// A figure of the server's memory, in bytes.
fn memory(server: &Server, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a figure");
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1_024
}

/// A request as bytes.
struct Shot {
    head: String,
    body: Vec<u8>,
}

impl Shot {
    fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { head: format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n"), body: body.into() }
    }

    fn get(path: &str) -> Self {
        Self { head: format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n"), body: Vec::new() }
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// From the address with this number.
    fn from(self, number: usize) -> Self {
        self.header("X-Forwarded-For", &format!("10.{}.{}.{}", number / 62_500, number / 250 % 250, number % 250))
    }

    /// With the body packed.
    fn packed(mut self) -> Self {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(&self.body).expect("memory takes it");
        self.body = packed.finish().expect("memory takes it");
        self.header("Content-Encoding", "gzip")
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone();
        if !self.body.is_empty() {
            bytes.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", self.body.len()));
        }
        bytes.push_str("\r\n");
        [bytes.as_bytes(), &self.body].concat()
    }

    /// The status of the answer, which is read to its end; 0 where the connection broke.
    fn send(&self, server: &Server) -> u16 {
        let mut answer = Vec::new();
        let mut stream = TcpStream::connect(&server.address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        // A server that refuses a body need not read it.
        drop(stream.write_all(&self.bytes()));
        drop(stream.read_to_end(&mut answer));
        std::str::from_utf8(answer.get(9..12).unwrap_or_default()).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// A server in its container, and what it takes without traffic.
struct Victim<'a> {
    server: Server,
    site: &'a Site,
    base: u64,
    clients: usize,
    rounds: usize,
}

impl Victim<'_> {
    fn path(&self, kind: &str) -> String {
        format!("/api/track/{}/{kind}", self.site.tracking_code)
    }

    /// Forgets the most that was taken so far.
    fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.server.pid()), "5").expect("it is our process");
    }

    /// Has all clients send `shot` of a number, each with another number and `rounds` times; how often each status came.
    /// Then the server is well, and took little.
    fn attacked_by(&self, what: &str, expected: u16, shot: impl Fn(usize) -> Shot + Sync) {
        self.forget_peak();
        let statuses = Mutex::new(BTreeMap::<u16, usize>::new());
        std::thread::scope(|clients| {
            for client in 0..self.clients {
                let (statuses, shot) = (&statuses, &shot);
                clients.spawn(move || {
                    for round in 0..self.rounds {
                        let shot = shot(round * self.clients + client).header("Connection", "close");
                        let status = shot.send(&self.server);
                        *statuses.lock().expect("no client panics").entry(status).or_default() += 1;
                    }
                });
            }
        });
        let statuses = statuses.into_inner().expect("no client panics");
        assert!(statuses.contains_key(&expected), "{what}: none was answered with {expected}: {statuses:?}");
        assert!(statuses.keys().all(|status| *status < 500 || *status == 503), "{what}: {statuses:?}");
        self.check(&format!("{what} {statuses:?}"));
    }

    /// Has many connections ask and never read; the server is well meanwhile, and took little.
    fn never_read(&self, what: &str, shot: &Shot) {
        self.forget_peak();
        let held: Vec<TcpStream> = (0..self.clients * 16)
            .map(|_| {
                let mut stream = TcpStream::connect(&self.server.address).expect("the server accepts");
                stream.write_all(&shot.bytes()).expect("the kernel takes it");
                stream
            })
            .collect();
        // Each has been answered when it has something to read.
        for stream in &held {
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
            stream.peek(&mut [0]).expect("an answer");
        }
        self.check(what);
    }

    fn check(&self, what: &str) {
        let path = format!("/e/{}", self.site.tracking_code);
        let view =
            Shot::post(&path, pageview("example.com", "/honest", "session-honest")).header("Connection", "close");
        assert_eq!(view.from(15_000_000).send(&self.server), 200, "{what}: honest clients are answered");
        let over = memory(&self.server, "VmHWM").saturating_sub(self.base);
        eprintln!("{what}: {} MB over {} MB", over / 1_000_000, self.base / 1_000_000);
        assert!(over <= OVER_BASE_BYTES, "{what} took {over} bytes more");
        assert!(!self.server.log().contains("ERROR"), "{what}: {}", self.server.log());
    }
}

/// What a page says of itself, with `more`.
fn page(number: usize, more: Value) -> Value {
    let mut body = json!({
        "url": format!("https://example.com/{number}"), "session_id": format!("session-{number:06}"),
        "visitor_id": format!("visitor-{number:06}"),
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// A string that only `number` has, of `bytes` bytes, as well compressed as an attacker can have it.
fn long(number: usize, bytes: usize) -> String {
    format!("{number:08}").repeat(bytes / 8)
}

/// A chunk of a recording whose body is a little shorter than it may be.
fn recording(number: usize) -> Value {
    let now = SystemClock.now().as_millis();
    let node = |id: usize| json!({ "type": 3, "textContent": long(id, 24_000), "id": id });
    let children: Vec<Value> = (10..1_260).map(node).collect();
    let node = json!({ "type": 0, "childNodes": children, "id": 1 });
    let events = json!([
        { "type": 4, "timestamp": now, "data": { "href": "https://example.com/", "width": 1280, "height": 720 } },
        { "type": 2, "timestamp": now, "data": { "node": node, "initialOffset": { "top": 0, "left": 0 } } },
    ]);
    page(number, json!({ "replay_id": format!("{number:032x}"), "seq": 0, "sent_at": now, "events": events }))
}

/// Errors with the longest stacks there may be, each of its own group.
fn failures(number: usize) -> Value {
    let error = |id: usize| {
        let name = |frame: usize| format!("f{number}x{id}x{frame}{}", "y".repeat(120));
        let frame = |frame: usize| format!("\n    at {} (https://example.com/app.js:{frame}:{id})", name(frame));
        let stack: String = (0..60).map(frame).collect();
        json!({ "id": format!("error-{id:04}"), "type": format!("Error{number}"), "message": long(id, 1_000), "stack": stack })
    };
    page(number, json!({ "errors": (0..20).map(error).collect::<Vec<_>>() }))
}

/// As many clicks as one sending may have, each on an element of its own.
fn clicks(number: usize) -> Value {
    let click = |id: usize| {
        json!({ "at": SystemClock.now().as_millis(), "x": id, "y": id, "s": long(number * 500 + id, 400), "ox": 0.5,
            "oy": 0.5, "label": long(id, 56) })
    };
    let clicks: Vec<Value> = (0..450).map(click).collect();
    let page_size = json!({ "view_id": format!("view-{number:06}"), "seq": 0, "viewport": [1_440, 900],
        "page": [1_440, 3_600], "dom": "9f2c41d07ab3e580", "clicks": clicks });
    page(number, page_size)
}

/// A batch of `events` of as many visitors and sessions.
fn visitors(tracking_code: &str, number: usize, events: usize) -> Value {
    let event = |n: usize| {
        json!({
            "type": "pageview",
            "ts": SystemClock.now().as_millis(),
            "visitorId": format!("visitor {number} {n}"),
            "sessionId": format!("session {number} {n}"),
            "props": { "url": format!("https://example.com/{}", n % 50), "referrer": format!("https://{n}.example.org/") },
        })
    };
    json!({ "trackingCode": tracking_code, "events": (0..events).map(event).collect::<Vec<_>>() })
}

/// Sabotage: read all bodies that come, unpack recordings as they come, hash all passwords at once, take batches side by
/// side, or hold answers that nobody reads.
#[test]
fn no_attack_takes_much_memory_and_none_ends_a_server_in_512_mb() {
    let dir = tempfile::tempdir().expect("a directory");
    // Whoever waits for a turn gets it, however slow the machine is: what is held at once is what is measured.
    let settings = "log_level = \"warn\"\nrequest_timeout_seconds = 3600\nwrite_timeout_seconds = 3600\n";
    let site = Site::create(&dir.path().join("data"), dir.path(), settings);
    let on =
        ["cookieless=false", "session_replay=true", "session_replay_consent=false", "heatmaps=true", "errors=true"];
    site.cli(&[&["website", "set", &site.website_id][..], &on].concat());
    let group = MemoryGroup::of(CONTAINER_BYTES);
    // What is measured is asserted in any case.
    let wrapper = group.as_ref().map(MemoryGroup::wrapper).inspect_err(|why| eprintln!("without a limit: {why}"));
    let wrapper = wrapper.unwrap_or_default();
    let server = site.serve_with(&wrapper.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    let first = Shot::post(&format!("/e/{}", site.tracking_code), pageview("example.com", "/first", "session-first"));
    assert_eq!(first.header("Connection", "close").send(&server), 200);
    let base = memory(&server, "VmRSS");
    let (clients, rounds) = (number("MEMORY_CLIENTS", 8), number("MEMORY_ROUNDS", 1));
    let victim = Victim { server, site: &site, base, clients, rounds };
    let (key, id) = (site.key.as_str(), site.website_id.as_str());
    let batch = |body: Vec<u8>| Shot::post("/api/v1/events", body).header("X-API-Key", key);

    let twice: String = (0..280).map(|name| format!(r#""n{name:03}":1,"n{name:03}":1,"#)).collect();
    let event = format!(r#"{{"type":"pageview",{twice}"ts":1,"visitorId":"v","sessionId":"s"}}"#);
    let events = vec![event.as_str(); (4 << 20) / (event.len() + 1) - 1].join(",");
    let body = format!(r#"{{"trackingCode":"{}","events":[{events}]}}"#, site.tracking_code);
    victim.attacked_by("batches of duplicate names", 200, |_| batch(body.clone().into()));
    let names: String = (0..680_000).map(|_| r#""a":1,"#).collect();
    let body = format!(r#"{{{names}"trackingCode":"{}","events":[]}}"#, site.tracking_code);
    victim.attacked_by("a batch that is one object of duplicate names", 400, |_| batch(body.clone().into()));
    let body = "[".repeat(4 << 20);
    victim.attacked_by("batches that nest", 400, |_| batch(body.clone().into()));

    let hits = format!("/e/{}", site.tracking_code);
    let bomb = Shot::post(&hits, vec![b' '; 64 << 20]).packed();
    let bomb = |n: usize| Shot { head: bomb.head.clone(), body: bomb.body.clone() }.from(n);
    victim.attacked_by("hits that unpack to 64 MB", 413, bomb);
    let agent = |n: usize| Shot::post(&hits, pageview("example.com", "/", "session-agents")).from(n);
    victim.attacked_by("agents of 2 KB", 200, |n| agent(n).header("User-Agent", &long(n, 2_000)));

    let track = |kind: &str, n: usize, body: Value| {
        Shot::post(&victim.path(kind), body.to_string()).from(n).header("User-Agent", AGENT)
    };
    let recordings = |n: usize| track("replay", n, recording(n)).packed();
    victim.attacked_by("the longest recordings", 200, recordings);
    victim.attacked_by("recordings that are not packed", 413, |n| track("replay", n, recording(n)));
    victim.attacked_by("the longest stacks", 200, |n| track("error", n, failures(n)));
    victim.attacked_by("the most clicks", 200, |n| track("heatmap", n, clicks(n)));

    let password = json!({ "email": "owner@example.com", "password": "not the password at all" }).to_string();
    victim.attacked_by("passwords", 401, |n| Shot::post("/api/session", password.clone()).from(n));

    let batches = |n: usize| batch(visitors(&site.tracking_code, n, 1_000).to_string().into());
    victim.attacked_by("a visitor an event", 200, batches);
    let lists = ["pages", "visitors", "countries", "technology"];
    let list = |n: usize| format!("/api/external/v1/analytics/{id}/{}?range=30d&limit=100", lists[n % lists.len()]);
    let ask = |path: &str| Shot::get(path).header("X-API-Key", key);
    victim.attacked_by("lists of many visitors", 200, |n| ask(&list(n)));
    victim.never_read("the longest answers, never read", &ask(&list(1)));
    let document = Shot::get("/api/external/v1/openapi.json");
    victim.never_read("the longest document, never read", &document);
    victim.never_read("the same, packed", &document.header("Accept-Encoding", "gzip"));

    let Victim { server, .. } = victim;
    let views = server.views_by_path(id, key);
    assert!(views["/first"] == 1 && views["/honest"] >= 1, "{views:?}");
    assert!(server.terminate().success());
    if let Ok(group) = group {
        assert_eq!(group.killed(), 0);
    }
}
