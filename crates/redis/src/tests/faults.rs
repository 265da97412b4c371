//! A real server that is killed, stopped, flushed and started again, by the real time.

use std::sync::Mutex;
use std::time::Instant;

use zenovay_limits::{ClientNetwork, Counts, LimiterUnavailable, Network, Rule, UnixTime};

use super::*;
use crate::{Fallback, RedisCounts, Status};

/// Hears what there is to hear.
#[derive(Default, Clone)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Observer for Heard {
    fn away(&self, reason: AwayReason, cause: &str) {
        assert!(!cause.is_empty());
        self.0.lock().unwrap().push(format!("away: {}", reason.as_str()));
    }

    fn back(&self, _: Duration) {
        self.0.lock().unwrap().push("back".to_owned());
    }

    fn forgot(&self) {
        self.0.lock().unwrap().push("forgot".to_owned());
    }

    fn nodes(&self, _: &str) {}

    fn persists(&self, persists: bool) {
        assert!(!persists);
    }
}

/// A node that waits long for its charges: how long is the matter of other tests.
fn open(server: &Server) -> (Redis, Heard) {
    open_within(PATIENCE, server)
}

fn open_within(deadline: Duration, server: &Server) -> (Redis, Heard) {
    let heard = Heard::default();
    let url = RedisUrl::read(&server.url()).unwrap();
    (Redis::open_within(deadline, &url, Before::Nothing, heard.clone()).unwrap(), heard)
}

/// Waits until the status of `redis` is as `is` wants it.
fn until(redis: &Redis, is: impl Fn(Status) -> bool) {
    let began = Instant::now();
    while !is(redis.status()) {
        assert!(began.elapsed() < PATIENCE, "{:?}", redis.status());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn counts(redis: &Redis, fallback: Fallback) -> RedisCounts<Network> {
    RedisCounts::of_networks(redis, "t", fallback, 1 << 20)
}

fn charge(counts: &RedisCounts<Network>, requests: u32) -> Result<bool, LimiterUnavailable> {
    let address = Network::Client(ClientNetwork::V4([192, 0, 2, 1].into()));
    // A day, so that no window ends meanwhile; nearly always.
    let decision = counts.charge(&address, &[Rule::per_day(requests)], UnixTime::now());
    decision.map(|decision| decision.allowed)
}

fn passed(counts: &RedisCounts<Network>, requests: u32) -> usize {
    (0..50).filter(|_| charge(counts, requests).unwrap()).count()
}

/// Sabotage: no deadline; ask Redis again for each request while it is away; never look for it again.
#[test]
fn a_redis_that_hangs_is_left_alone_until_it_answers() {
    let mut server = Server::start();
    let (url, heard) = (RedisUrl::read(&server.url()).unwrap(), Heard::default());
    let redis = Redis::open(&url, Before::Nothing, heard.clone()).unwrap();
    let counts = counts(&redis, Fallback::Share);
    assert!(charge(&counts, 40).unwrap());
    server.tell("stop");
    // All wait at the same time, and each is answered although Redis never does.
    let (answered, answers) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            let (answered, counts) = (answered.clone(), &counts);
            scope.spawn(move || answered.send(charge(counts, 40)).unwrap());
        }
        let all = (0..64).all(|_| answers.recv_timeout(PATIENCE).is_ok_and(|answer| answer.is_ok()));
        if !all {
            server.tell("go-on");
            panic!("somebody waits for a server that hangs");
        }
    });
    assert_eq!(redis.status().away, Some(AwayReason::Timeout));
    let asked = redis.shared.link.asked.load(Ordering::Relaxed);
    assert_eq!(passed(&counts, 40), 0, "its own count is used up by the threads");
    assert_eq!(redis.shared.link.asked.load(Ordering::Relaxed), asked, "nobody asks any more");
    server.tell("go-on");
    until(&redis, |status| status.away.is_none());
    let heard = heard.0.lock().unwrap().clone();
    assert!(heard[0] == "away: timeout" && heard.last().unwrap() == "back", "{heard:?}");
    redis.stop();
}

/// Sabotage: keep connections that were cut.
#[test]
fn a_redis_that_dies_comes_back_by_itself() {
    let mut server = Server::start();
    let (redis, heard) = open(&server);
    let (share, strict) = (counts(&redis, Fallback::Share), counts(&redis, Fallback::Strict));
    assert_eq!(passed(&share, 40), 40);
    server.tell("crash");
    until(&redis, |status| status.away.is_some());
    assert_eq!((passed(&share, 40), passed(&strict, 40)), (40, 10));
    server.tell("start");
    until(&redis, |status| status.away.is_none());
    assert_eq!(passed(&share, 40), 40, "it counts anew");
    let heard = heard.0.lock().unwrap().clone();
    assert!(heard[0].starts_with("away: ") && heard[1..] == ["forgot", "back"], "{heard:?}");
    redis.stop();
}

/// Sabotage: let whoever comes first after the scripts are gone fail, or take the loss of a connection for one of the server.
#[test]
fn what_others_do_to_the_server_is_no_outage() {
    let server = Server::start();
    let (redis, heard) = open(&server);
    let counts = counts(&redis, Fallback::Share);
    assert!(charge(&counts, 40).unwrap());
    let () = answer(&server, &["SCRIPT", "FLUSH"]);
    assert!(charge(&counts, 40).unwrap());
    let _: i64 = answer(&server, &["CLIENT", "KILL", "TYPE", "normal"]);
    assert!(charge(&counts, 40).unwrap());
    let away: Vec<_> = heard.0.lock().unwrap().iter().filter(|heard| heard.contains("timeout")).cloned().collect();
    assert!(away.is_empty(), "{away:?}");
    redis.stop();
}

/// Sabotage: begin without a word when the server refuses, or say the password.
#[test]
fn a_server_that_refuses_is_told_at_once() {
    let server = Server::start();
    let () = answer(&server, &["CONFIG", "SET", "requirepass", "right"]);
    let refused = RedisUrl::read(&format!("{}?pass=wrong", server.url())).unwrap();
    let error = Redis::open_within(PATIENCE, &refused, Before::Nothing, Heard::default()).unwrap_err();
    assert_eq!(error.reason, AwayReason::Access, "{error}");
    assert!(!error.to_string().contains("wrong\"") && !format!("{error:?}").contains("pass=wrong"));
    // Nobody is there yet: it is looked for.
    let nobody = RedisUrl::read("redis://127.0.0.1:1").unwrap();
    let redis = Redis::open_within(PATIENCE, &nobody, Before::Nothing, Heard::default()).unwrap();
    assert_eq!(redis.status().away, Some(AwayReason::Connection));
    assert!(charge(&counts(&redis, Fallback::Share), 40).unwrap());
    assert!(charge(&counts(&redis, Fallback::Exact), 40).is_err(), "nobody knows how many nodes there are");
    redis.stop();
}

/// Sabotage: take a full server for one that counts.
#[test]
fn a_server_without_memory_counts_nothing() {
    let server = Server::start();
    let (redis, heard) = open(&server);
    let counts = counts(&redis, Fallback::Share);
    let () = answer(&server, &["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(passed(&counts, 10), 10);
    let first = heard.0.lock().unwrap()[0].clone();
    assert_eq!(first, "away: busy");
    redis.stop();
}

/// Four nodes, two threads of each, while the server is killed, stopped and started again. Sabotage: count anew after it.
#[test]
fn never_more_than_the_limit_while_the_server_is_killed_under_load() {
    const LIMIT: u32 = 300;
    const KEYS: u64 = 8;
    let mut server = Server::start();
    let nodes: Vec<Redis> = (0..4).map(|_| open_within(Duration::from_secs(2), &server).0).collect();
    let write = |n: &u64, bytes: &mut Vec<u8>| bytes.extend(n.to_be_bytes());
    let limits: Vec<_> =
        nodes.iter().map(|node| RedisCounts::<u64>::of_ids(node, "keys", Fallback::Exact, write)).collect();
    let passed = Mutex::new(std::collections::BTreeMap::<(u64, i64), u32>::new());
    let (asked, ends) = (AtomicI64::new(0), std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        for counts in limits.iter().chain(&limits) {
            let (passed, asked, ends) = (&passed, &asked, &ends);
            scope.spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    let key = asked.fetch_add(1, Ordering::Relaxed).unsigned_abs() % KEYS;
                    let decision = counts.charge(&key, &[Rule::per_minute(LIMIT)], UnixTime::now());
                    if let Ok(decision) = decision
                        && decision.allowed
                    {
                        *passed.lock().unwrap().entry((key, decision.reset_at.as_millis())).or_default() += 1;
                    }
                }
            });
        }
        let began = Instant::now();
        while passed.lock().unwrap().values().sum::<u32>() < 1_000 && began.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
        for word in ["crash", "start", "stop", "go-on", "crash", "start", "go-on"] {
            // That many requests later, whatever became of them.
            let then = asked.load(Ordering::Relaxed) + 1_500;
            let began = Instant::now();
            while asked.load(Ordering::Relaxed) < then && began.elapsed() < PATIENCE {
                std::thread::yield_now();
            }
            server.tell(word);
            if word == "start" {
                until(&nodes[0], |status| status.away.is_none());
            }
        }
        ends.store(true, Ordering::Relaxed);
    });
    let passed = passed.into_inner().unwrap();
    assert!(passed.values().sum::<u32>() >= 1_000, "{passed:?}");
    for (window, passed) in passed {
        assert!(passed <= LIMIT, "{passed} of key and window {window:?}");
    }
    nodes.iter().for_each(Redis::stop);
}
