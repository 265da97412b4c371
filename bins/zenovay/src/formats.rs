//! The versions of everything that this program stores.

use std::collections::BTreeMap;

/// What is written: of events, captures and metadata. Programs that differ in it do not store the same.
pub fn present() -> BTreeMap<String, String> {
    let formats = [
        ("events", zenovay_events::formats()),
        ("captures", zenovay_capture::formats()),
        ("metadata", zenovay_store::formats()),
    ];
    formats.into_iter().map(|(what, formats)| (what.to_owned(), formats)).collect()
}
