//! What the event store reads from disk: the digest of a row group. Any bytes are refused, or are the same after a round trip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zenovay_events::fuzzing::digest;

fuzz_target!(|bytes: &[u8]| digest(bytes));
