//! What is sent twice, because nobody knows whether it was done, is done once.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use zenovay_limits::{Counts, Rule, UnixTime};

use super::*;
use crate::link::Script;
use crate::{Fallback, RedisCounts};

fn counts(redis: &Redis) -> RedisCounts<u64> {
    RedisCounts::of_ids(redis, "t", Fallback::Share, |n: &u64, bytes| bytes.extend(n.to_be_bytes()))
}

/// What is left of a thousand a minute after one more request, counted in each way.
fn remaining(counts: &RedisCounts<u64>) -> [u32; 3] {
    let rule = Rule::per_minute(1_000);
    [(1, rule), (2, rule.sliding()), (3, rule.burst(1_000))].map(|(key, rule)| {
        let decision = counts.charge(&key, &[rule], UnixTime::from_millis(0)).unwrap();
        assert!(decision.allowed);
        decision.remaining
    })
}

/// Between a node and its server: passes everything on, but keeps an answer for itself and cuts the connection when it is told so.
struct Between {
    dir: tempfile::TempDir,
    keeps: Arc<AtomicBool>,
}

impl Between {
    fn new(server: &Server) -> Self {
        let (dir, keeps) = (tempfile::tempdir_in("/tmp").unwrap(), Arc::new(AtomicBool::new(false)));
        let listener = UnixListener::bind(dir.path().join("redis.sock")).unwrap();
        let (path, keeps_one) = (server.url().replace("unix://", ""), Arc::clone(&keeps));
        std::thread::spawn(move || {
            for node in listener.incoming() {
                let (node, server) = (node.unwrap(), UnixStream::connect(&path).unwrap());
                let (from, to) = (node.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || pass(from, to, &AtomicBool::new(false)));
                let keeps = Arc::clone(&keeps_one);
                std::thread::spawn(move || pass(server, node, &keeps));
            }
        });
        Self { dir, keeps }
    }

    fn url(&self) -> String {
        format!("unix://{}/redis.sock", self.dir.path().display())
    }
}

fn pass(mut from: UnixStream, mut to: UnixStream, keeps: &AtomicBool) {
    let mut bytes = [0; 4_096];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if keeps.swap(false, Ordering::SeqCst) || to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    // Whoever waits on either side hears that it is over.
    let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
}

/// Sabotage: count whatever comes.
#[test]
fn a_charge_whose_answer_was_lost_is_counted_once() {
    let server = Server::start();
    let between = Between::new(&server);
    let redis = node_at(&between.url(), Before::Nothing, "r:", &Arc::default());
    let counts = counts(&redis);
    assert_eq!(remaining(&counts), [999; 3]);
    for left in (900..999).rev() {
        between.keeps.store(true, Ordering::SeqCst);
        assert_eq!(remaining(&counts), [left; 3]);
        assert!(!between.keeps.load(Ordering::SeqCst), "an answer was lost");
    }
    assert_eq!(redis.status().away, None);
    // What is taken back, too.
    between.keeps.store(true, Ordering::SeqCst);
    counts.refund(&1, &[Rule::per_minute(1_000)], UnixTime::from_millis(0)).unwrap();
    assert!(!between.keeps.load(Ordering::SeqCst), "an answer was lost");
    assert_eq!(remaining(&counts), [900, 899, 899]);
}

/// Sabotage: find what one wrote oneself, and take it for another's.
#[test]
fn a_change_of_a_value_whose_answer_was_lost_is_made_once() {
    let server = Server::start();
    let redis = node(&server, "r:", &Arc::default());
    let mut opened = redis.shared.connect(None).unwrap();
    let mut swap = |number: &str, seen: &str, new: &str| {
        opened.run::<Option<String>>(Script::Swap, &["value", "asker"], &[seen, new, "60000", number]).unwrap()
    };
    assert_eq!(swap("1", "", "a"), None);
    assert_eq!(swap("1", "", "a"), None, "it was made");
    assert_eq!(swap("2", "", "b"), Some("a".to_owned()), "another was quicker");
    assert_eq!(swap("3", "a", "b"), None);
    assert_eq!(swap("1", "", "a"), None, "it comes late");
    assert_eq!(answer::<String>(&server, &["GET", "value"]), "b");
}

/// Also in a process of its own that is stopped all the time, by the test below.
#[test]
fn charges_in_turn_are_counted_once() {
    let redis = node(&SERVER, &prefix(), &Arc::default());
    let counts = counts(&redis);
    for left in (400..1_000).rev() {
        assert_eq!(remaining(&counts), [left; 3]);
    }
    assert_eq!(redis.status().away, None);
}

/// As a debugger does, or the system that freezes a container. Sabotage: count whatever comes, or take an answer that was interrupted
/// for a server that is away.
#[test]
fn a_process_that_is_stopped_and_goes_on_counts_each_charge_once() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "tests::repeated::charges_in_turn_are_counted_once"]);
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let id = child.id().to_string();
    // It is there until it was waited for, even when it has ended.
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        let stopped = Command::new("sh").args(["-c", "kill -STOP $1; kill -CONT $1", "sh", &id]).status().unwrap();
        assert!(stopped.success());
    };
    assert!(ended.success(), "{ended}");
}
