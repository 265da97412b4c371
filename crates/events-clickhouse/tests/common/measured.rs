//! What is measured on two shards of this machine, and asserts no time: with a release build, `just bench-clickhouse`.

#![allow(clippy::print_stdout, reason = "it tells what it measures")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use zenovay_domain::{
    Dimension, Event, EventKind, Interval, SessionId, SystemClock, TimeRange, Timestamp, VisitorId, WebsiteId, Zone,
};
use zenovay_events::engine::Movable;
use zenovay_events::{AppendReceipt, EmbeddedConfig, EventStore, NewEvent, conformance};
use zenovay_events_clickhouse::{ClickHouseStore, Mover, SpoolConfig, Tables, count_all};
use zenovay_query::random::EPOCH_MS;
use zenovay_query::{Budget, Field, Filter, GroupBy, Metric, Order, Query, Question};

use crate::servers::{self, Server};
use crate::shared::InMemory;

const DAYS: u64 = 30;
const DAY_MS: u64 = 24 * 3_600_000;

/// The number in a variable of the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The `number`-th of `rows` events of thirty days, as pages send them: visits of six, every second one of the first website.
fn event(number: u64, rows: u64) -> NewEvent {
    let (visit, step) = (number / 6, number % 6);
    let website = if visit % 2 == 0 { 0 } else { visit % 20 };
    let visitor = visit.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 44;
    let session = SessionId(visit * 7 + 1);
    let at = Timestamp::from_millis(EPOCH_MS + (visit * DAYS * DAY_MS / rows.div_ceil(6) + step * 20_000) as i64);
    let mut event = Event::new(EventKind::Pageview, at, VisitorId(visitor), session);
    let hash = number.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 32;
    event.engagement_ms = 4_000;
    let mut set = |dimension, text: String| event.dimensions.set(dimension, &text);
    set(Dimension::Path, format!("/articles/{}", hash % 800));
    set(Dimension::Title, format!("Article number {} of a magazine", hash % 800));
    set(Dimension::Hostname, format!("site-{website}.example.com"));
    set(Dimension::Referrer, format!("https://search.example.org/{}", visitor % 40));
    set(Dimension::Country, ["DE", "US", "FR", "GB", "NL"][(visitor % 5) as usize].to_owned());
    set(Dimension::Browser, ["Chrome", "Safari", "Firefox"][(visitor % 3) as usize].to_owned());
    set(Dimension::Os, ["Windows", "iOS", "Android", "macOS"][(visitor % 4) as usize].to_owned());
    set(Dimension::Device, ["desktop", "mobile"][(visitor % 2) as usize].to_owned());
    NewEvent::new(site(website), at, event)
}

fn site(website: u64) -> WebsiteId {
    let mut id = [3; 16];
    id[0] = website as u8;
    WebsiteId::from_random_bytes(id)
}

/// The time that this process and the servers had on cores.
fn cores(shards: &[Server]) -> [Duration; 2] {
    [servers::cpu(std::process::id()), shards.iter().map(Server::cpu).sum()]
}

fn told(what: &str, events: u64, took: Duration, before: [Duration; 2], after: [Duration; 2]) {
    let [ours, theirs] = [0, 1].map(|at| (after[at].saturating_sub(before[at])).as_secs_f64());
    let seconds = took.as_secs_f64();
    let (rate, each) = (events as f64 / seconds, (ours + theirs) * 1e6 / events as f64);
    println!(
        "{what}: {events} events in {seconds:.1} s, {rate:.0}/s; on cores {ours:.2} s here and {theirs:.2} s in ClickHouse, {each:.1} us an \
         event together"
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
            receipts.push(store.try_append(vec![event(number, rate * seconds)]).unwrap());
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
    let store = conformance::in_directory(EmbeddedConfig::new(dir.path()), Arc::new(SystemClock)).unwrap();
    for first in (0..rows).step_by(8_192) {
        store.append((first..rows.min(first + 8_192)).map(|number| event(number, rows)).collect()).wait().unwrap();
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

/// Eight questions about a website with half of `ROWS` events, and what somebody would write in SQL who wants the same columns and takes visits
/// for what is in the range: through the table over both shards, in turns.
#[test]
#[ignore = "it measures"]
fn questions_beside_plain_sql() {
    const ROUNDS: usize = 7;
    let rows = number("ROWS", 1_000_000);
    let shards = servers::start(2);
    let config = servers::config_of(&shards);
    let tables = Tables::open(config.clone()).unwrap();
    for first in (0..rows).step_by(100_000) {
        let events: Vec<NewEvent> = (first..rows.min(first + 100_000)).map(|number| event(number, rows)).collect();
        tables.write(&format!("{first}"), first, &events).unwrap();
    }
    for shard in &config.shards {
        servers::execute(shard, &format!("OPTIMIZE TABLE {}.events FINAL", config.database));
    }
    let range = TimeRange::new(
        Timestamp::from_millis(EPOCH_MS + DAY_MS as i64),
        Timestamp::from_millis(EPOCH_MS + (28 * DAY_MS) as i64),
    );
    let (from, to) = (range.from.as_millis(), range.to.as_millis());
    let of = format!("{}.events_all WHERE website = toUUID('{}')", config.database, site(0));
    let within = format!("{of} AND kind = {} AND at >= {from} AND at < {to}", EventKind::Pageview as u8);
    // Visits are grouped by `key`, which is of the event or of the visit.
    let by = |key: &str, condition: &str| {
        format!(
            "SELECT k, uniqExact(v) AS visitors, sum(n) AS views, count(), countIf(n = 1 AND e < 10000), sum(d) FROM (SELECT {key} AS k, session, \
             any(visitor) AS v, count() AS n, sum(engagement_ms) AS e, max(at) - min(at) AS d FROM {within}{condition} GROUP BY k, session) \
             GROUP BY k ORDER BY visitors DESC, k LIMIT 10"
        )
    };
    let entry = format!(
        "SELECT k, uniqExact(v) AS visitors, sum(n), count(), countIf(n = 1 AND e < 10000), sum(d) FROM (SELECT argMin(page, (at, arrival)) AS k, \
         any(visitor) AS v, count() AS n, sum(engagement_ms) AS e, max(at) - min(at) AS d FROM {within} GROUP BY session) GROUP BY k \
         ORDER BY visitors DESC, k LIMIT 10"
    );
    let group = |by: GroupBy| Question::Breakdown(by.metrics([Metric::Sessions]).order(Order::Visitors).limit(10));
    let ask = |question| Query::new(range, question);
    let mut filtered = ask(group(GroupBy::by(Dimension::Path)));
    filtered.filter = Filter::is(Dimension::Country, "DE");
    let questions: [(&str, Query, String); 8] = [
        ("overview", ask(Question::Overview), by("''", "")),
        (
            "days",
            ask(Question::Series { interval: Interval::Day, zone: Zone::utc() }),
            by("toDate(intDiv(at, 1000))", "").replace(" LIMIT 10", ""),
        ),
        ("pages", ask(group(GroupBy::by(Dimension::Path))), by("page", "")),
        ("countries", ask(group(GroupBy::by(Dimension::Country))), by("country", "")),
        (
            "browsers and systems",
            ask(group(GroupBy::by(Dimension::Browser).and(Dimension::Os))),
            by("(browser, os)", ""),
        ),
        ("pages of a country", filtered, by("page", " AND country = 'DE'")),
        (
            "live",
            ask(Question::Live),
            format!("SELECT uniqExact(visitor) FROM {of} AND at > {} AND at < {}", to - 300_000, to + 300_000),
        ),
        ("entry pages", ask(group(GroupBy::by(Field::EntryPage))), entry),
    ];
    let mut sums = [0.0; 2];
    for (name, query, sql) in &questions {
        let mut took = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let began = Instant::now();
            tables.query(site(0), None, query, &Budget::unlimited()).unwrap();
            took[0].push(began.elapsed());
            let began = Instant::now();
            assert!(!servers::execute(&config.shards[0], sql).is_empty());
            took[1].push(began.elapsed());
        }
        let [ours, plain] = took.map(|mut took| {
            took.sort_unstable();
            took[ROUNDS / 2].as_secs_f64() * 1e3
        });
        println!("{name}: {ours:.0} ms, plain SQL {plain:.0} ms, {:.2}", ours / plain);
        sums = [sums[0] + ours, sums[1] + plain];
    }
    println!("sum: {:.0} ms, plain SQL {:.0} ms, {:.2} times as long", sums[0], sums[1], sums[0] / sums[1]);
}
