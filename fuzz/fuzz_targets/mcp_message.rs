#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    zenovay_fuzz::mcp_message(bytes);
});
