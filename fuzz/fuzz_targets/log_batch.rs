//! What the event store reads from disk: a payload of the log, compressed. Any bytes are refused, or are the same after a round trip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zenovay_events::fuzzing::log_batch;

fuzz_target!(|bytes: &[u8]| log_batch(bytes));
