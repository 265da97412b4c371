#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    zenovay_events::fuzzing::visitor_codes(bytes);
});
