//! What the event store reads from disk: the rows of a payload of the log. Any bytes are refused, or are the same after a round trip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zenovay_events::fuzzing::log_rows;

fuzz_target!(|bytes: &[u8]| log_rows(bytes));
