//! The embedded store on this machine's disk: durable appends, sealing, merging, replay at start, and queries that read
//! their columns from files (cold) or have them decoded already (warm).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use zenovay_benches::generate::{Columns, DAY_MS, Texts, Traffic, website_id};
use zenovay_benches::size;
use zenovay_domain::{Dimension, Interval, SystemClock, TimeRange, Timestamp, Zone};
use zenovay_events::{EmbeddedConfig, EmbeddedStore, EventStore, NewEvent};
use zenovay_query::{Answer, Budget, GroupBy, Query, Question};

/// The same allocator as the server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows of the store that is asked, of a segment, and of the log that is read at a start.
const ROWS: u64 = 500_000;
const SEGMENT_ROWS: u64 = 50_000;
const LOG_ROWS: u64 = 100_000;
/// More than any bench writes, and as many as a store's head may be allowed.
const ROWS_BEFORE_SEAL: u64 = 2_147_483_648;

/// A store that seals and merges only when it is told to.
fn open(dir: &Path) -> EmbeddedStore {
    let config = EmbeddedConfig::new(dir).with(|config| {
        config.seal_rows = ROWS_BEFORE_SEAL;
        config.seal_bytes = u64::MAX;
        config.seal_age_ms = i64::MAX;
        config.head_rows_max = ROWS_BEFORE_SEAL;
        config.head_bytes_max = u64::MAX;
        config.merge_fan_in = 1_000;
    });
    EmbeddedStore::open(config, Arc::new(SystemClock)).expect("the store opens")
}

fn traffic(rows: u64) -> Traffic {
    Traffic { rows, websites: 1, days: 90, end_day: 20_000, seed: 7, custom_events: false }
}

fn events(rows: u64) -> Vec<NewEvent> {
    let texts = Texts::new();
    traffic(rows).days().flatten().map(|row| texts.event(&row, website_id(0), Columns::Product)).collect()
}

fn append_all(store: &EmbeddedStore, events: &[NewEvent]) {
    for batch in events.chunks(1_000) {
        store.append(batch.to_vec()).wait().expect("the events are stored");
    }
}

fn appends(c: &mut Criterion) {
    let events = events(size(50_000));
    let mut group = c.benchmark_group("append, durable");
    group.sampling_mode(SamplingMode::Flat);
    for batch in [1, 100, 1_000] {
        let dir = TempDir::new().expect("a directory");
        let store =
            EmbeddedStore::open(EmbeddedConfig::new(dir.path()), Arc::new(SystemClock)).expect("the store opens");
        let mut batches = events.chunks(batch).cycle();
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(format!("{batch} a commit"), |b| {
            b.iter_batched(
                || batches.next().unwrap_or_default().to_vec(),
                |batch| store.append(batch).wait().expect("the events are stored"),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn sealing_and_merging(c: &mut Criterion) {
    let rows = size(SEGMENT_ROWS) as usize;
    let events = events(4 * rows as u64);
    let mut group = c.benchmark_group("maintenance");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(rows as u64));
    group.bench_function("seal 50,000 events", |b| {
        b.iter_custom(|times| (0..times).map(|_| timed_seal(&events[..rows])).sum());
    });
    group.throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("merge 4 segments of 50,000 events", |b| {
        b.iter_custom(|times| (0..times).map(|_| timed_merge(&events)).sum());
    });
    group.finish();
}

fn timed_seal(events: &[NewEvent]) -> Duration {
    let dir = TempDir::new().expect("a directory");
    let store = open(dir.path());
    append_all(&store, events);
    let started = Instant::now();
    assert!(store.seal().expect("the head is sealed"));
    started.elapsed()
}

fn timed_merge(events: &[NewEvent]) -> Duration {
    let dir = TempDir::new().expect("a directory");
    let store = open(dir.path());
    for segment in events.chunks(events.len() / 4) {
        append_all(&store, segment);
        store.seal().expect("the head is sealed");
    }
    drop(store);
    // Without the background merger in between: the segments are there before the store opens.
    let store = EmbeddedStore::open(EmbeddedConfig::new(dir.path()), Arc::new(SystemClock)).expect("the store opens");
    let started = Instant::now();
    assert!(store.merge().expect("the segments are merged"));
    started.elapsed()
}

fn starting(c: &mut Criterion) {
    let dir = TempDir::new().expect("a directory");
    let rows = size(LOG_ROWS);
    append_all(&open(dir.path()), &events(rows));
    let mut group = c.benchmark_group("start");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(rows));
    group.bench_function("replay 100,000 events of the log", |b| {
        b.iter_custom(|times| {
            let timed_open = || {
                let started = Instant::now();
                let store = open(dir.path());
                let elapsed = started.elapsed();
                assert_eq!(store.stats().head_rows, rows);
                elapsed
            };
            (0..times).map(|_| timed_open()).sum()
        });
    });
    group.finish();
}

fn queries(c: &mut Criterion) {
    let dir = TempDir::new().expect("a directory");
    let store = open(dir.path());
    let traffic = traffic(size(ROWS));
    append_all(&store, &events(traffic.rows));
    store.shutdown();
    drop(store);

    let end = Timestamp::from_millis(traffic.end_ms());
    let range = TimeRange::new(end.plus_millis(-30 * DAY_MS), end);
    let pages = Question::Breakdown(GroupBy::by(Dimension::Path).limit(10));
    let ask = |store: &EmbeddedStore, question: &Question| -> Answer {
        let query = Query::new(range, question.clone());
        store.query(website_id(0), &query, &Budget::unlimited()).expect("an answer")
    };
    let mut group = c.benchmark_group("30 of 90 days, 500,000 events");
    group.sampling_mode(SamplingMode::Flat);
    for (name, question) in [("overview", Question::Overview), ("pages", pages)] {
        let store = open(dir.path());
        group.bench_function(format!("{name}, warm"), |b| b.iter(|| ask(&store, black_box(&question))));
        drop(store);
        group.bench_function(format!("{name}, first after start"), |b| {
            b.iter_custom(|times| {
                let timed_query = || {
                    let store = open(dir.path());
                    let started = Instant::now();
                    black_box(ask(&store, &question));
                    started.elapsed()
                };
                (0..times).map(|_| timed_query()).sum()
            });
        });
    }
    group.finish();
    digests(c, dir.path(), traffic);
}

/// The way of a range that is too long to be loaded: nothing is kept, so every time is the first.
fn digests(c: &mut Criterion, dir: &Path, traffic: Traffic) {
    let config = EmbeddedConfig::new(dir).with(|config| config.scan_rows_max = 0);
    let store = EmbeddedStore::open(config, Arc::new(SystemClock)).expect("the store opens");
    let range = TimeRange::new(Timestamp::from_millis(traffic.start_ms()), Timestamp::from_millis(traffic.end_ms()));
    let days = Question::Series { interval: Interval::Day, zone: Zone::utc() };
    let mut group = c.benchmark_group("90 days, 500,000 events, not loaded");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(traffic.rows));
    for (name, question) in [("overview", Question::Overview), ("days", days)] {
        let query = Query::new(range, question);
        let ask = |query: &Query| store.query(website_id(0), query, &Budget::unlimited()).expect("an answer");
        group.bench_function(name, |b| b.iter(|| ask(black_box(&query))));
    }
    group.finish();
}

fn config(samples: usize) -> Criterion {
    let quick = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    quick.sample_size(samples)
}

criterion_group! {
    name = writing;
    config = config(10);
    targets = appends, sealing_and_merging, starting
}
criterion_group! {
    name = reading;
    config = config(20);
    targets = queries
}
criterion_main!(writing, reading);
