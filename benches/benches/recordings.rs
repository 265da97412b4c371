//! Chunks of recordings: masked and packed, kept durably, read back, and put together when the recording is over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench fails loudly and prints")]

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};
use tempfile::TempDir;
use zenovay_benches::dice::Dice;
use zenovay_benches::generate::website_id;
use zenovay_capture::Filter;
use zenovay_capture::{Capture, Captures, Context, NewChunk, ReplayQuery};
use zenovay_domain::{TimeRange, Timestamp};
use zenovay_events::{BatchName, CaptureSink};

/// The same allocator as the server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BEGUN_MS: i64 = 1_781_352_000_000;
/// What a chunk is of, in milliseconds.
const CHUNK_MS: i64 = 5_000;
/// The chunks of a recording of ten minutes.
const CHUNKS: u32 = 120;

static BATCHES: AtomicU64 = AtomicU64::new(1);

fn element(id: u64, tag: &str, children: Vec<Value>) -> Value {
    let attributes = json!({ "class": format!("block block-{}", id % 40), "data-id": id.to_string() });
    json!({ "type": 2, "tagName": tag, "attributes": attributes, "childNodes": children, "id": id })
}

/// What a recorder sends of five seconds: in the first chunk a page of 1,500 nodes; in each moves, a few changes, a click.
fn events(seq: u32) -> String {
    let mut dice = Dice(u64::from(seq) + 1);
    let begun = BEGUN_MS + i64::from(seq) * CHUNK_MS;
    let mut events = Vec::new();
    if seq == 0 {
        events.push(json!({ "type": 4, "timestamp": begun,
            "data": { "href": "https://shop.example/pricing", "width": 1440, "height": 900 } }));
        let text = |id: u64| json!({ "type": 3, "textContent": format!("Words of the paragraph {id}, and some more of them"), "id": id });
        let rows = (0..500)
            .map(|row| element(10 + row * 3, "div", vec![element(11 + row * 3, "p", vec![text(12 + row * 3)])]));
        let body = element(3, "body", rows.collect());
        let node = json!({ "type": 0, "childNodes": [element(2, "html", vec![body])], "id": 1 });
        events.push(json!({ "type": 2, "timestamp": begun + 1,
            "data": { "node": node, "initialOffset": { "left": 0, "top": 0 } } }));
    }
    for step in 0..10 {
        let at = begun + 10 + step * 480;
        let positions: Vec<Value> = (0..9)
            .map(|move_| json!({ "x": dice.throw(1_440), "y": dice.throw(900), "id": 10 + dice.throw(1_500), "timeOffset": -50 * (9 - move_) }))
            .collect();
        events.push(json!({ "type": 3, "timestamp": at, "data": { "source": 1, "positions": positions } }));
        let added = element(10_000 + u64::from(seq) * 100 + step.unsigned_abs(), "li", Vec::new());
        events.push(
            json!({ "type": 3, "timestamp": at + 5, "data": { "source": 0, "texts": [], "attributes": [], "removes": [],
            "adds": [{ "parentId": 10 + dice.throw(1_500), "nextId": null, "node": added }] } }),
        );
    }
    events.push(json!({ "type": 3, "timestamp": begun + 4_900,
        "data": { "source": 2, "type": 2, "id": 11, "x": dice.throw(1_440), "y": dice.throw(900) } }));
    Value::Array(events).to_string()
}

fn chunk(visitor: u64, seq: u32, events: &str) -> NewChunk<'_> {
    let received_ms = BEGUN_MS + i64::from(seq + 1) * CHUNK_MS;
    NewChunk {
        website: website_id(0),
        context: Context {
            at_ms: received_ms,
            visitor,
            session: visitor,
            path: "/pricing".into(),
            ..Context::default()
        },
        replay_id: [7; 16],
        seq,
        is_final: false,
        masks_inputs: true,
        sent_at_ms: Some(received_ms),
        received_ms,
        sent_bytes: events.len() as u64 / 4,
        events,
    }
}

fn keep(captures: &Captures, visitor: u64, seq: u32, events: &str) {
    let kept = captures.keep_replay(&chunk(visitor, seq, events)).expect("it is kept").expect("it has events");
    let batch = BatchName::new(1, BATCHES.fetch_add(1, Ordering::Relaxed));
    captures.take(batch, vec![(website_id(0), Capture::Replay(kept).pack())]);
}

fn recordings(c: &mut Criterion) {
    let dir = TempDir::new().expect("a directory");
    let captures = Captures::open(dir.path()).expect("the captures open");
    let texts: Vec<String> = (0..CHUNKS).map(events).collect();
    let visitors = AtomicU64::new(1);
    let mut group = c.benchmark_group("chunks of five seconds");
    group.throughput(Throughput::Elements(1));
    group.bench_function("masked and packed", |b| {
        b.iter(|| black_box(chunk(1, 1, &texts[1]).masked()).expect("events"));
    });
    group.bench_function("kept durably", |b| {
        b.iter(|| keep(&captures, visitors.fetch_add(1, Ordering::Relaxed), 1, &texts[1]));
    });
    group.finish();
    captures.catch_up().expect("there is room");

    let record = || {
        let visitor = visitors.fetch_add(1, Ordering::Relaxed);
        for (seq, events) in (0..CHUNKS).zip(&texts) {
            keep(&captures, visitor, seq, events);
        }
        captures.catch_up().expect("there is room");
        visitor
    };
    let before = captures.replay_bytes().expect("bytes");
    let visitor = record();
    let minutes = i64::from(CHUNKS) * CHUNK_MS / 60_000;
    let bytes = captures.replay_bytes().expect("bytes") - before;
    println!(
        "{} bytes per recorded minute of {} bytes of JSON",
        bytes / minutes.unsigned_abs(),
        texts.iter().map(String::len).sum::<usize>() as u64 / minutes.unsigned_abs()
    );
    let later = Timestamp::from_millis(BEGUN_MS + 3_600_000);
    captures.merge_replays(later).expect("they are merged");
    let mut group = c.benchmark_group("a recording of ten minutes");
    group.sample_size(10);
    group.throughput(Throughput::Elements(u64::from(CHUNKS)));
    group.bench_function("put together", |b| {
        b.iter_batched(record, |_| captures.merge_replays(later).expect("it is merged"), BatchSize::PerIteration);
    });
    let range = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(i64::MAX));
    let of_visitor = ReplayQuery {
        visitor: Some(zenovay_domain::VisitorId(visitor)),
        ..ReplayQuery::of(Filter { range, keep: None })
    };
    let id = captures.replays(website_id(0), &of_visitor, 0, 1).expect("a list").replays[0].id;
    group.bench_function("read whole", |b| {
        b.iter(|| black_box(captures.replay_events(website_id(0), id, 0, usize::MAX, usize::MAX)).expect("events"));
    });
    group.finish();
}

criterion_group!(benches, recordings);
criterion_main!(benches);
