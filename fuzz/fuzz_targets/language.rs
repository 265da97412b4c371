//! `Accept-Language`: any text is a tag or nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zenovay_ingest::language_tag;

fuzz_target!(|text: &str| {
    if let Some(tag) = language_tag(text) {
        assert!(!tag.is_empty());
    }
});
