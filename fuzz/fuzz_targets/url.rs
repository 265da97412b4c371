//! A URL, its campaign and its referrer: every input has exactly one channel.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zenovay_ingest::{WebUrl, attribute};

fuzz_target!(|text: &str| {
    let Ok(url) = WebUrl::parse(text) else { return };
    assert!(url.path().starts_with('/'));
    let campaign = url.campaign();
    let _ = attribute(url.host(), &campaign).channel.as_str();
});
