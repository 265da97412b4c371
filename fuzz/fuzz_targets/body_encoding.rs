//! A compressed body: never more than the cap comes out of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zenovay_ingest::{HIT_BODY_MAX_BYTES, decode_body};

fuzz_target!(|body: &[u8]| {
    if let Ok(decoded) = decode_body(Some("gzip"), body, HIT_BODY_MAX_BYTES) {
        assert!(decoded.len() <= HIT_BODY_MAX_BYTES);
    }
});
