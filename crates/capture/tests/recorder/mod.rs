//! A recorder that sends chunks of recordings to captures, and looks at what is on the disk.
#![allow(dead_code, reason = "every test file uses a part of this")]
#![allow(unreachable_pub, reason = "shared by the test files")]

mod disk;

use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;
use zenovay_capture::{
    Capture, CaptureOptions, Captures, Context, Filter, NewChunk, ReplayDetail, ReplayQuery, ReplayRefused,
};
use zenovay_domain::{TimeRange, Timestamp, WebsiteId};
use zenovay_events::{BatchName, CaptureSink};

pub use disk::files;
use disk::has;

pub const DAY_MS: i64 = 24 * 3_600_000;
pub const NOW_MS: i64 = 1_781_352_000_000;
/// How much the clock of the browser is wrong.
pub const WRONG_MS: i64 = -7 * DAY_MS;

pub fn site(n: u8) -> WebsiteId {
    WebsiteId::from_random_bytes([n; 16])
}

pub fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

pub fn ever() -> Filter<'static> {
    Filter { range: TimeRange::new(at(0), at(i64::MAX)), keep: None }
}

/// The batches of the log so far, of which each is applied once, also by who opens it again.
static BATCHES: AtomicU64 = AtomicU64::new(1);

pub struct Recorder {
    pub captures: Captures,
}

impl Recorder {
    pub fn open(directory: &TempDir) -> Self {
        Self::open_with(directory, CaptureOptions::default())
    }

    pub fn open_with(directory: &TempDir, options: CaptureOptions) -> Self {
        Self { captures: Captures::open_with(directory.path(), options).unwrap() }
    }

    /// Sends what begins `from_ms` after the beginning.
    pub fn send(&self, of: &Of, seq: u32, from_ms: i64, events: Value) -> Result<bool, ReplayRefused> {
        let text = events.to_string();
        let chunk = NewChunk {
            website: site(of.site),
            context: Context {
                at_ms: NOW_MS + from_ms,
                visitor: of.visitor,
                session: of.session,
                path: "/p".into(),
                device: "desktop".into(),
                browser: "Firefox".into(),
                country: of.country.into(),
                ..Context::default()
            },
            replay_id: [of.replay; 16],
            seq,
            is_final: false,
            masks_inputs: true,
            sent_at_ms: Some(of.begun_ms + WRONG_MS + from_ms + 5_000),
            // Some are longer on their way than others.
            received_ms: of.begun_ms + from_ms + 5_000 + i64::from(seq % 3) * 40,
            sent_bytes: of.sent_bytes,
            events: &text,
        };
        let Some(kept) = self.captures.keep_replay(&chunk)? else { return Ok(false) };
        self.take(site(of.site), &Capture::Replay(kept));
        Ok(true)
    }

    pub fn take(&self, website: WebsiteId, capture: &Capture) {
        let number = BATCHES.fetch_add(1, Ordering::Relaxed);
        self.captures.take(BatchName::new(7, number), vec![(website, capture.pack())]);
        self.captures.catch_up().unwrap();
    }

    pub fn ids(&self, query: &ReplayQuery<'_>) -> Vec<(u64, String)> {
        let found = self.captures.replays(site(1), query, 0, 100).unwrap();
        assert_eq!(found.total, found.replays.len() as u64);
        found.replays.into_iter().map(|replay| (replay.visitor.0, replay.entry_page)).collect()
    }

    pub fn only(&self) -> ReplayDetail {
        let found = self.captures.replays(site(1), &ReplayQuery::of(ever()), 0, 100).unwrap();
        assert_eq!(found.total, 1);
        self.captures.replay(site(1), found.replays[0].id).unwrap().unwrap()
    }
}

pub struct Of {
    pub site: u8,
    pub visitor: u64,
    pub session: u64,
    pub replay: u8,
    pub country: &'static str,
    pub begun_ms: i64,
    pub sent_bytes: u64,
}

pub fn of(visitor: u64) -> Of {
    Of { site: 1, visitor, session: visitor, replay: visitor as u8, country: "DE", begun_ms: NOW_MS, sent_bytes: 1_000 }
}

/// An event of the time `ms` after the beginning, by the browser's clock.
pub fn event(kind: u8, ms: i64, data: Value) -> Value {
    json!({ "type": kind, "data": data, "timestamp": NOW_MS + WRONG_MS + ms })
}

pub fn meta(ms: i64, path: &str) -> Value {
    event(4, ms, json!({ "href": format!("https://example.com{path}?q=1"), "width": 1280, "height": 720 }))
}

pub fn full(ms: i64, text: &str) -> Value {
    let text = json!({ "type": 3, "textContent": text, "id": 3 });
    let body = json!({ "type": 2, "tagName": "body", "attributes": {}, "childNodes": [text], "id": 2 });
    event(
        2,
        ms,
        json!({ "node": { "type": 0, "childNodes": [body], "id": 1 }, "initialOffset": { "top": 0, "left": 0 } }),
    )
}

pub fn page(ms: i64, path: &str) -> Value {
    event(5, ms, json!({ "tag": "zenovay.page", "payload": { "url": path } }))
}

pub fn click(ms: i64, x: i32) -> Value {
    event(3, ms, json!({ "source": 2, "type": 2, "id": 3, "x": x, "y": 7 }))
}

pub fn failed(ms: i64, message: &str) -> Value {
    event(5, ms, json!({ "tag": "zenovay.error", "payload": { "type": "TypeError", "message": message, "id": "e-1" } }))
}

pub fn blobs(directory: &TempDir) -> usize {
    files(&directory.path().join("replays")).len()
}

/// What chunks in `bytes` unpack to, wherever they begin: each is a zstd frame.
pub fn unpacked(bytes: &[u8]) -> Vec<Vec<u8>> {
    let begins = bytes.windows(4).enumerate().filter(|(_, window)| *window == [0x28, 0xb5, 0x2f, 0xfd]);
    let frame = |(at, _): (usize, &[u8])| {
        let mut events = Vec::new();
        let decoder = zstd::Decoder::new(&bytes[at..]).unwrap();
        decoder.single_frame().read_to_end(&mut events).ok().map(|_| events)
    };
    begins.filter_map(frame).collect()
}

/// Whether `needle` is in a file of `directory`, or in what chunks there unpack to.
pub fn is_on_disk(directory: &Path, needle: &str) -> bool {
    files(directory).into_iter().any(|path| {
        let bytes = std::fs::read(path).unwrap();
        has(&bytes, needle) || unpacked(&bytes).iter().any(|events| has(events, needle))
    })
}
