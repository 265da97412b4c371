//! A user agent: any text is classified, in bounded time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zenovay_ingest::parse_agent;

fuzz_target!(|agent: &str| {
    parse_agent(agent);
});
