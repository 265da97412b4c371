//! The program, under load, while each of the servers that it depends on does what servers and networks do: is killed, stopped, cut off,
//! slow, answers half or not at all. What is promised holds meanwhile: hits are taken and stored once, keys are answered with 503 and never
//! with a no, nobody waits longer than is said, and all goes on by itself when the fault is over.
//!
//! As many rounds as `FAULT_ROUNDS` says, one when it says nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

#[path = "../../../crates/events-clickhouse/tests/common/servers.rs"]
#[allow(dead_code, reason = "the tests of the store use the rest")]
mod clickhouse;
#[path = "../../../crates/store/tests/common/faults.rs"]
mod faults;
#[path = "../../../crates/store/tests/common/postgres.rs"]
#[allow(dead_code, reason = "the tests of the store use the rest")]
mod postgres;
mod process;
#[path = "../../../crates/redis/src/testing.rs"]
#[allow(dead_code, reason = "the tests of the crate use the rest")]
mod redis;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use faults::{Behind, Fault, FaultyProxy};
use parking_lot::Mutex;
use process::{Connection, Server, Site, assert_exactly_once, pageview, until};

const WEBSITES: &str = "/api/external/v1/websites";

/// So soon all goes on when the server is there again: connections on which something was lost are given up by then.
const RECOVERY: Duration = Duration::from_secs(20);

/// What is between the program and its servers: as the network does it to all of them.
const NETWORK: [Fault; 6] = [
    Fault::Closed,
    Fault::Silence,
    Fault::CutAnswers(7),
    // Questions arrive and are answered, and no answer does.
    Fault::HalfAnswers(0),
    Fault::HalfAnswers(7),
    Fault::Slow(Duration::from_millis(200)),
];

/// One test at a time: each looks at the clock.
static TURN: Mutex<()> = Mutex::new(());

struct Installation {
    site: Site,
    server: Server,
    _directory: tempfile::TempDir,
}

impl Installation {
    fn new(database_url: &str, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let limits = "tracking_requests_per_10s = 1000000\ntracking_requests_per_hour = 1000000";
        let settings = format!("database_url = \"{database_url}\"\n{limits}\n{more}");
        let site = Site::create(&directory.path().join("data"), directory.path(), &settings);
        let server = site.serve();
        Self { site, server, _directory: directory }
    }

    /// How a request ends that anybody may repeat, and how long it took.
    fn ask(&self, path: &str) -> (u16, Duration) {
        let began = Instant::now();
        let answer = self.server.connect().request("GET", path, &[("X-API-Key", &self.site.key)], "").unwrap();
        assert!(answer.status != 503 || answer.headers.contains_key("retry-after"), "a 503 says when to come back");
        (answer.status, began.elapsed())
    }

    fn is_ready(&self) -> bool {
        self.ask("/readyz").0 == 200
    }

    /// What the server does without.
    fn degraded(&self) -> String {
        let answer = self.server.connect().request("GET", "/readyz", &[], "").unwrap();
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        body["degraded"].to_string()
    }

    fn load(&self) -> Load {
        Load::start(&self.server.address, &self.site.tracking_code)
    }

    /// Runs `during` while somebody asks with a key all the time: how often each status was, and the longest time.
    fn with_keys(&self, during: impl FnOnce()) -> (HashMap<u16, u32>, Duration) {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let (mut statuses, mut longest) = (HashMap::new(), Duration::ZERO);
                while !is_over.load(Ordering::Relaxed) {
                    let (status, took) = self.ask(WEBSITES);
                    *statuses.entry(status).or_insert(0) += 1;
                    longest = longest.max(took);
                }
                (statuses, longest)
            });
            during();
            is_over.store(true, Ordering::Relaxed);
            asking.join().unwrap()
        })
    }
}

fn rounds() -> u32 {
    std::env::var("FAULT_ROUNDS").map_or(1, |count| count.parse().expect("FAULT_ROUNDS is a number"))
}

/// Two clients that send a hit now and then, each of a page of its own, until they are told to stop: few enough that all can be looked
/// at in the end.
struct Load {
    seen: Arc<Seen>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    is_over: AtomicBool,
    sent: Mutex<Vec<String>>,
    acknowledged: Mutex<Vec<String>>,
    refused: AtomicU32,
}

impl Load {
    fn start(address: &str, code: &str) -> Self {
        let seen = Arc::new(Seen::default());
        let client = |client: u32| {
            let (seen, address, path) = (Arc::clone(&seen), address.to_owned(), format!("/e/{code}"));
            std::thread::spawn(move || {
                let mut connection = Connection::open(&address);
                for number in 0_u32.. {
                    if seen.is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let page = format!("/{client}/{number}");
                    seen.sent.lock().push(page.clone());
                    let hit = pageview("example.com", &page, &format!("session-{client}-{}", number / 7));
                    let answer = connection.request("POST", &path, &[], &hit).unwrap();
                    match answer.status {
                        200 => seen.acknowledged.lock().push(page),
                        503 => drop(seen.refused.fetch_add(1, Ordering::Relaxed)),
                        other => panic!("{other}: {}", answer.body),
                    }
                    std::thread::park_timeout(Duration::from_millis(25));
                }
            })
        };
        let clients = vec![client(0), client(1)];
        Self { seen, clients }
    }

    /// Waits for hits that are acknowledged from now on.
    fn go_on(&self, what: &str) {
        let so_far = self.seen.acknowledged.lock().len();
        until(&format!("hits: {what}"), Duration::from_secs(60), || self.seen.acknowledged.lock().len() > so_far + 20);
    }

    /// Stops: what was acknowledged, and what was sent. None was refused.
    fn finish(self) -> (Vec<String>, Vec<String>) {
        self.seen.is_over.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
        assert_eq!(self.seen.refused.load(Ordering::Relaxed), 0, "no hit is refused for it");
        let take = |list: &Mutex<Vec<String>>| std::mem::take(&mut *list.lock());
        (take(&self.seen.acknowledged), take(&self.seen.sent))
    }
}

fn lines(log: &str, words: &str) -> usize {
    log.lines().filter(|line| line.contains(words)).count()
}

/// What a fault of PostgreSQL does.
///
/// Sabotage: wait for an answer without an end; let keys in by memory, or refuse hits; tell each refusal in the log.
#[test]
fn postgresql_is_killed_stopped_cut_off_slow_and_answers_half() {
    let _turn = TURN.lock();
    let mut database = postgres::Server::start();
    let proxy = FaultyProxy::before(Behind::Unix(database.socket()));
    let url = format!("postgres://postgres:secret-of-nobody@{}/postgres?sslmode=disable", proxy.address);
    let installation = Installation::new(&url, "");
    let load = installation.load();
    let mut outages = 0;
    let mut suffer = |what: &str, begin: &mut dyn FnMut(), end: &mut dyn FnMut(), is_outage: bool| {
        until(&format!("all is well before: {what}"), RECOVERY, || {
            installation.is_ready() && installation.ask(WEBSITES).0 == 200
        });
        let (statuses, longest) = installation.with_keys(|| {
            begin();
            if is_outage {
                outages += 1;
                until(&format!("{what}: it is seen"), Duration::from_secs(8), || !installation.is_ready());
                assert_eq!(installation.ask("/healthz").0, 200);
            }
            load.go_on(what);
            end();
            until(&format!("{what}: it goes on"), RECOVERY, || {
                installation.is_ready() && installation.ask(WEBSITES).0 == 200
            });
        });
        eprintln!("{what}: {statuses:?}, at most {longest:?}");
        assert!(statuses.keys().all(|status| matches!(status, 200 | 503)), "{what}: {statuses:?}");
        assert!(!is_outage || statuses.contains_key(&503), "{what}: {statuses:?}");
        // To find out that it hangs takes two seconds for the version, and eight for a count; five for a connection.
        assert!(longest < Duration::from_secs(25), "{what}: {longest:?}");
    };
    for _ in 0..rounds() {
        for fault in NETWORK {
            let is_outage = !matches!(fault, Fault::Slow(_));
            suffer(&format!("{fault:?}"), &mut || proxy.set(fault), &mut || proxy.set(Fault::None), is_outage);
        }
        let database = std::cell::RefCell::new(&mut database);
        let tell = |word: &str| database.borrow_mut().tell(word);
        suffer("killed", &mut || tell("crash"), &mut || tell("start"), true);
        suffer("stopped", &mut || tell("stop"), &mut || tell("go-on"), true);
    }
    let (acknowledged, sent) = load.finish();
    let stored = installation.server.views_by_path(&installation.site.website_id, &installation.site.key);
    assert_exactly_once(&acknowledged, &stored, &sent);

    // A server that is told to end does, and so does whoever looks what is wrong.
    proxy.set(Fault::Silence);
    let began = Instant::now();
    let diagnosis = installation.site.run(&["doctor"], "");
    let told = String::from_utf8_lossy(&diagnosis.stdout).into_owned();
    assert!(told.contains("metadata"), "{told}");
    assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
    let began = Instant::now();
    let (ended, log) = installation.server.terminate_with_log();
    assert!(ended.success() && began.elapsed() < Duration::from_secs(45), "{:?}: {log}", began.elapsed());
    let began_and_ended =
        [lines(&log, "the metadata store cannot be used"), lines(&log, "the metadata store can be used again")];
    assert!(began_and_ended[0] <= outages + 2, "{began_and_ended:?} lines of {outages} outages: {log}");
    assert!(!log.contains("secret-of-nobody"), "{log}");
}

/// What a fault of ClickHouse does.
///
/// Sabotage: refuse hits while it is away, answer questions with a smaller number, or deliver what it has once more.
#[test]
fn clickhouse_is_killed_stopped_cut_off_slow_and_answers_half() {
    let _turn = TURN.lock();
    let mut shards = clickhouse::start(1);
    let config = clickhouse::config_of(&shards);
    let proxy = FaultyProxy::before(Behind::Tcp(shards[0].url.trim_start_matches("http://").to_owned()));
    let (user, password) = (&config.user, &config.password);
    let events_url = format!("clickhouse://{user}:{password}@{}/{}", proxy.address, config.database);
    let more = format!("events_url = \"{events_url}\"\nquery_timeout_seconds = 5");
    let installation = Installation::new(&postgres::database(), &more);
    let questions = format!("/api/external/v1/analytics/{}?range=24h", installation.site.website_id);
    let load = installation.load();
    // A batch that was sent, and of which nothing is heard, is given up after half a minute.
    let recovery = Duration::from_secs(60);
    let is_well = || {
        let (status, _) = installation.ask(&questions);
        assert!(matches!(status, 200 | 503), "{status}");
        status == 200 && installation.degraded() == "[]"
    };
    let suffer = |what: &str, begin: &mut dyn FnMut(), end: &mut dyn FnMut(), is_outage: bool| {
        until(&format!("all is well before: {what}"), recovery, is_well);
        begin();
        load.go_on(what);
        if is_outage {
            let (status, took) = installation.ask(&questions);
            assert_eq!(status, 503, "{what}");
            assert!(took < Duration::from_secs(12), "{what}: {took:?}");
        }
        assert!(installation.is_ready(), "{what}: events are stored");
        // It says when each website had its last event.
        assert!(matches!(installation.ask(WEBSITES).0, 200 | 503), "{what}");
        load.go_on(what);
        end();
        let began = Instant::now();
        until(&format!("{what}: it goes on"), recovery, is_well);
        eprintln!("{what}: all goes on after {:?}", began.elapsed());
    };
    for _ in 0..rounds() {
        for fault in NETWORK {
            let is_outage = !matches!(fault, Fault::Slow(_));
            suffer(&format!("{fault:?}"), &mut || proxy.set(fault), &mut || proxy.set(Fault::None), is_outage);
        }
        let shards = std::cell::RefCell::new(&mut shards);
        suffer("killed", &mut || shards.borrow_mut()[0].crash(), &mut || shards.borrow_mut()[0].start_again(), true);
        suffer(
            "stopped",
            &mut || shards.borrow_mut()[0].signal("STOP"),
            &mut || shards.borrow_mut()[0].signal("CONT"),
            true,
        );
    }
    let (acknowledged, sent) = load.finish();
    until("delivery", recovery, || installation.server.metrics().contains("zenovay_spool_batches 0\n"));
    assert_exactly_once(&acknowledged, &clickhouse::rows_by_path(&config), &sent);

    // A server starts while it hangs, and says so to whoever asks what is wrong.
    let Installation { site, server, _directory } = installation;
    assert!(server.terminate().success());
    proxy.set(Fault::Silence);
    let began = Instant::now();
    let server = site.serve();
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let installation = Installation { site, server, _directory };
    assert!(installation.is_ready());
    assert_eq!(installation.degraded(), "[\"clickhouse\"]");
    let diagnosis = installation.site.run(&["doctor"], "");
    let told = String::from_utf8_lossy(&diagnosis.stdout).into_owned();
    assert!(told.contains("clickhouse_away") || told.contains("ClickHouse cannot be reached"), "{told}");
    assert!(!told.contains("never had an event"), "{told}");
    let (_, log) = installation.server.terminate_with_log();
    assert!(!log.contains("secret-of-nobody"), "{log}");
}

/// What a fault of Redis does.
///
/// Sabotage: refuse hits, let a key have more than its limit, or wait for an answer without an end.
#[test]
fn redis_is_killed_stopped_cut_off_slow_and_answers_half() {
    let _turn = TURN.lock();
    let mut redis = redis::Server::start();
    let socket = redis.url().trim_start_matches("unix://").into();
    let proxy = FaultyProxy::before(Behind::Unix(socket));
    let installation = Installation::new(&postgres::database(), &format!("redis_url = \"redis://{}\"", proxy.address));
    let load = installation.load();
    let suffer = |what: &str, begin: &mut dyn FnMut(), end: &mut dyn FnMut(), is_outage: bool| {
        until(&format!("all is well before: {what}"), RECOVERY, || installation.degraded() == "[]");
        let (statuses, longest) = installation.with_keys(|| {
            begin();
            if is_outage {
                until(&format!("{what}: it is seen"), RECOVERY, || installation.degraded() == "[\"redis\"]");
            }
            load.go_on(what);
            assert!(installation.is_ready(), "{what}");
            end();
            until(&format!("{what}: it goes on"), RECOVERY, || installation.degraded() == "[]");
        });
        eprintln!("{what}: {statuses:?}, at most {longest:?}");
        assert!(statuses.keys().all(|status| matches!(status, 200 | 429 | 503)), "{what}: {statuses:?}");
        assert!(longest < Duration::from_secs(5), "{what}: {longest:?}");
    };
    for _ in 0..rounds() {
        for fault in NETWORK {
            let is_outage = !matches!(fault, Fault::Slow(_));
            suffer(&format!("{fault:?}"), &mut || proxy.set(fault), &mut || proxy.set(Fault::None), is_outage);
        }
        let redis = std::cell::RefCell::new(&mut redis);
        let tell = |word: &str| redis.borrow_mut().tell(word);
        suffer("killed", &mut || tell("crash"), &mut || tell("start"), true);
        suffer("stopped", &mut || tell("stop"), &mut || tell("go-on"), true);
    }
    let (acknowledged, sent) = load.finish();
    // Its key may be at its limit: the files are asked.
    let Installation { site, server, _directory } = installation;
    assert!(server.terminate().success());
    let checked = site.cli(&["check"]);
    let rows = ["segment_rows", "log_rows"].map(|part| checked["events"][part].as_u64().unwrap()).iter().sum::<u64>();
    assert!(rows >= acknowledged.len() as u64 && rows <= sent.len() as u64, "{checked}");
}
