//! Captures in the log: durable with events, handed over once they are, and again until their sink has them for good.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::sync::Arc;

use parking_lot::Mutex;
use zenovay_domain::{ManualClock, Timestamp, WebsiteId};
use zenovay_events::{
    AppendError, AppendOutcome, BatchName, CaptureSink, ChangeError, EmbeddedConfig, EmbeddedStore, EventStore,
    IdempotencyKey, NewCapture, OpenError,
};

/// Remembers what it was told.
#[derive(Default)]
struct Memory {
    taken: Mutex<Vec<(BatchName, Vec<u8>)>>,
    synced: Mutex<usize>,
    fails: Mutex<bool>,
}

impl CaptureSink for Memory {
    fn room(&self) -> Result<(), AppendError> {
        if *self.fails.lock() { Err(AppendError::DiskFull) } else { Ok(()) }
    }

    fn take(&self, batch: BatchName, captures: Vec<(WebsiteId, Vec<u8>)>) {
        self.taken.lock().extend(captures.into_iter().map(|(_, bytes)| (batch, bytes)));
    }

    fn sync(&self) -> Result<(), ChangeError> {
        if *self.fails.lock() {
            return Err(ChangeError::DiskFull);
        }
        *self.synced.lock() += 1;
        Ok(())
    }
}

const NOW: Timestamp = Timestamp::from_millis(1_781_352_000_000);

fn open(dir: &tempfile::TempDir, sink: Option<Arc<Memory>>) -> Result<EmbeddedStore, OpenError> {
    let config = EmbeddedConfig::new(dir.path()).with(|config| config.captures = sink.map(|sink| sink as _));
    EmbeddedStore::open(config, Arc::new(ManualClock::new(NOW)))
}

fn capture(bytes: &[u8]) -> NewCapture {
    NewCapture::new(WebsiteId::from_random_bytes([7; 16]), NOW, bytes.to_vec())
}

/// Sabotage: register a seal without asking the sink, or hand over before the commit.
#[test]
fn captures_are_handed_over_until_they_are_durable_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Arc::new(Memory::default());
    let store = open(&dir, Some(Arc::clone(&sink))).unwrap();
    let keyed = || capture(b"a").with_key(IdempotencyKey([1; 16]));
    let stored = store.try_capture(vec![keyed(), capture(b"b")]).unwrap().wait().unwrap();
    assert_eq!(stored, [AppendOutcome::Stored; 2]);
    assert_eq!(store.try_capture(vec![keyed()]).unwrap().wait().unwrap(), [AppendOutcome::Duplicate]);
    let first: Vec<_> = sink.taken.lock().drain(..).collect();
    assert_eq!(first.iter().map(|(_, bytes)| &bytes[..]).collect::<Vec<_>>(), [b"a", b"b"]);
    *sink.fails.lock() = true;
    assert!(store.seal().is_err(), "the sink has not got it for good");
    assert_eq!(store.try_capture(vec![capture(b"c")]).unwrap_err(), AppendError::DiskFull);
    drop(store);

    *sink.fails.lock() = false;
    let store = open(&dir, Some(Arc::clone(&sink))).unwrap();
    let again: Vec<_> = sink.taken.lock().drain(..).collect();
    assert_eq!(again, first, "the same batch under the same name");
    store.try_capture(vec![capture(b"d")]).unwrap().wait().unwrap();
    assert_ne!(sink.taken.lock()[0].0, first[0].0);
    assert!(store.seal().unwrap());
    assert_eq!((*sink.synced.lock(), store.stats().segments), (1, 0));
    assert!(!store.seal().unwrap(), "there is nothing left");
    drop(store);
    sink.taken.lock().clear();
    drop(open(&dir, Some(Arc::clone(&sink))).unwrap());
    assert!(sink.taken.lock().is_empty(), "the log forgot them");
}

#[test]
fn a_store_without_a_sink_takes_none_and_does_not_lose_those_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, None).unwrap();
    assert_eq!(store.try_capture(vec![capture(b"a")]).unwrap_err(), AppendError::NoCaptureSink);
    drop(store);
    let store = open(&dir, Some(Arc::default())).unwrap();
    store.try_capture(vec![capture(b"a")]).unwrap().wait().unwrap();
    drop(store);
    assert!(matches!(open(&dir, None), Err(OpenError::Config { field: "captures", .. })));
}
