//! The body of a tracking hit: any bytes are fields or a refusal, and a refusal names what is wrong.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zenovay_ingest::parse_hit;

fuzz_target!(|body: &[u8]| {
    for heartbeat in [false, true] {
        let Ok(parsed) = parse_hit(body) else { return };
        let validated = if heartbeat { parsed.validate_heartbeat() } else { parsed.validate() };
        if let Err(refusal) = validated {
            assert!(!refusal.message.is_empty());
        }
    }
});
