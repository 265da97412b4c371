//! The body of a batch: any bytes are at most 1,000 items, each an event or a refusal of its own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zenovay_ingest::{BATCH_MAX_EVENTS, parse_batch};

fuzz_target!(|body: &[u8]| {
    if let Ok(batch) = parse_batch(body) {
        assert!((1..=BATCH_MAX_EVENTS).contains(&batch.events.len()));
    }
});
