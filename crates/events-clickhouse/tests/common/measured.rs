//! What is measured on two shards of this machine, and asserts no time: with a release build, `just bench-clickhouse`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use zenovay_domain::{Dimension, Event, EventKind, SessionId, SystemClock, Timestamp, VisitorId, WebsiteId};
use zenovay_events::{AppendReceipt, EmbeddedConfig, EmbeddedStore, EventStore, NewEvent};
use zenovay_events_clickhouse::{ClickHouseStore, Mover, SpoolConfig, count_all};
use zenovay_query::random::EPOCH_MS;

use crate::servers::{self, Server};
use crate::shared::InMemory;

/// The number in a variable of the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The `number`-th event of some website, as pages send them: of visits of six events, which begin all the time.
fn event(number: u64) -> NewEvent {
    let (website, visit, step) = (number % 20, number / 120, number / 20 % 6);
    let visitor = (visit * 20 + website).wrapping_mul(0x9E37_79B9_7F4A_7C15) % 400_000;
    let session = SessionId((visit * 20 + website) * 7 + 1);
    let at = Timestamp::from_millis(EPOCH_MS + (visit * 500 + step * 20_000) as i64);
    let mut event = Event::new(EventKind::Pageview, at, VisitorId(visit * 20 + website), session);
    let mut set = |dimension, text: String| event.dimensions.set(dimension, &text);
    let hash = number.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 32;
    set(Dimension::Path, format!("/articles/{}", hash % 800));
    set(Dimension::Title, format!("Article number {} of a magazine", hash % 800));
    set(Dimension::Hostname, format!("site-{website}.example.com"));
    set(Dimension::Referrer, format!("https://search.example.org/{}", visitor % 40));
    set(Dimension::Country, ["DE", "US", "FR", "GB", "NL"][(visitor % 5) as usize].to_owned());
    set(Dimension::Browser, ["Chrome", "Safari", "Firefox"][(visitor % 3) as usize].to_owned());
    set(Dimension::Os, ["Windows", "iOS", "Android", "macOS"][(visitor % 4) as usize].to_owned());
    set(Dimension::Device, ["desktop", "mobile"][(visitor % 2) as usize].to_owned());
    let mut id = [3; 16];
    id[0] = website as u8;
    NewEvent::new(WebsiteId::from_random_bytes(id), at, event)
}

/// The time that this process and the servers had on cores.
fn cores(shards: &[Server]) -> [Duration; 2] {
    [servers::cpu(std::process::id()), shards.iter().map(Server::cpu).sum()]
}

fn told(what: &str, events: u64, took: Duration, before: [Duration; 2], after: [Duration; 2]) {
    let [ours, theirs] = [0, 1].map(|at| (after[at].saturating_sub(before[at])).as_secs_f64());
    let seconds = took.as_secs_f64();
    println!(
        "{what}: {events} events in {seconds:.1} s, {:.0}/s; on cores {:.2} s of {seconds:.1} s here, {:.2} s ClickHouse, {:.1} us an event \
         together",
        events as f64 / seconds,
        ours,
        theirs,
        (ours + theirs) * 1e6 / events as f64
    );
}

/// `RATE` events a second for `SECONDS`, one by one: nearly all of them are on the shards when the last one is sent.
///
/// Sabotage: deliver one batch of the spool at a time.
#[test]
#[ignore = "it measures"]
fn delivery_keeps_up_with_what_comes() {
    let (rate, seconds) = (number("RATE", 5_000), number("SECONDS", 20));
    let shards = servers::start(2);
    let (config, dir) = (servers::config_of(&shards), TempDir::new().unwrap());
    let open = ClickHouseStore::open(
        config.clone(),
        Arc::new(InMemory::default()),
        SpoolConfig::new(dir.path()),
        Arc::new(SystemClock),
    );
    let store = open.unwrap();
    let (before, began) = (cores(&shards), Instant::now());
    let (mut sent, mut receipts, mut batches_max) = (0, Vec::new(), 0);
    while sent < rate * seconds {
        let due = (began.elapsed().as_secs_f64() * rate as f64) as u64;
        for number in sent..due.min(rate * seconds) {
            receipts.push(store.try_append(vec![event(number)]).unwrap());
        }
        sent = due.min(rate * seconds).max(sent);
        batches_max = batches_max.max(store.stats().delivery.unwrap().batches);
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let stored = count_all(config.clone()).unwrap().unwrap();
    let took = began.elapsed();
    told("sent", sent, took, before, cores(&shards));
    receipts.into_iter().map(AppendReceipt::wait).for_each(|outcome| assert_eq!(outcome.unwrap().len(), 1));
    while store.stats().delivery.unwrap().batches > 0 {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    told("delivered", sent, began.elapsed(), before, cores(&shards));
    let share = stored as f64 / sent as f64;
    println!("on the shards when the last one was sent: {:.1} %; at most {batches_max} batches waited", share * 100.0);
    assert_eq!(count_all(config).unwrap(), Some(sent));
    assert!(share > 0.9, "delivery falls behind");
}

/// `ROWS` events that move from a directory.
#[test]
#[ignore = "it measures"]
fn events_move_as_fast_as_they_are_written() {
    let rows = number("ROWS", 1_000_000);
    let shards = servers::start(2);
    let (config, dir) = (servers::config_of(&shards), TempDir::new().unwrap());
    let store = EmbeddedStore::open(EmbeddedConfig::new(dir.path()), Arc::new(SystemClock)).unwrap();
    for first in (0..rows).step_by(8_192) {
        store.append((first..rows.min(first + 8_192)).map(event).collect()).wait().unwrap();
    }
    store.seal().unwrap();
    while store.merge().unwrap() {}
    let mover = || {
        let shared = Arc::new(InMemory::default());
        Mover::open(config.clone(), shared, dir.path().join("zenovay.moving")).unwrap()
    };
    let (before, began, one) = (cores(&shards), Instant::now(), mover());
    while one.step(&store, || (), Duration::from_secs(5)).unwrap().left > 0 {}
    told("moved", rows, began.elapsed(), before, cores(&shards));
    let (before, began) = (cores(&shards), Instant::now());
    assert!(mover().reconcile(&store).unwrap().is_equal());
    told("compared", rows, began.elapsed(), before, cores(&shards));
}
