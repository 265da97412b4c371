//! What the event store reads from disk: the catalog's entry of a segment. Any bytes are refused, or are the same after a round trip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zenovay_events::fuzzing::catalog_row;

fuzz_target!(|bytes: &[u8]| catalog_row(bytes));
