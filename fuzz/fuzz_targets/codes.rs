//! What the event store reads from disk: a page of dictionary codes. Any bytes are refused, or are the same after a round trip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zenovay_events::fuzzing::codes;

fuzz_target!(|bytes: &[u8]| codes(bytes));
