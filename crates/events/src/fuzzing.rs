//! What the store reads back from disk, as functions of any bytes: for the fuzz targets in `fuzz/`, and for the tests below.
//!
//! In front of each decoder stands a checksum that random bytes never pass, so each function puts the right one before
//! its input. None may panic; what is accepted is encoded and read again, and must be the same.

use xxhash_rust::xxh3::xxh3_64;
use zenovay_domain::{Event, WebsiteId};

use crate::NewEvent;
use crate::codec::{self, Encoder};
use crate::log::{decode_meta, encode_meta};
use crate::segment::{StoredDigest, hybrid};

/// A payload of the table `batches` of which `rest` follows the checksum: a length and zstd.
pub fn log_batch(rest: &[u8]) {
    check_batch(&sealed(codec::VERSION, rest));
}

/// A payload of the table `batches` with these bytes for its uncompressed rows.
///
/// # Panics
/// When zstd has no memory.
pub fn log_rows(rows: &[u8]) {
    let mut rest = u32::try_from(rows.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    rest.extend(zstd::bulk::compress(rows, 1).expect("memory"));
    check_batch(&sealed(codec::VERSION, &rest));
}

/// A row of the table `segments`: its version, and what follows the checksum.
///
/// # Panics
/// When what was accepted does not survive the round trip.
pub fn catalog_row(row: &[u8]) {
    let Some((&version, body)) = row.split_first() else { return };
    if let Some(meta) = decode_meta(&sealed(version, body)) {
        assert_eq!(decode_meta(&encode_meta(&meta).expect("what was read can be written")), Some(meta));
    }
}

/// A page of codes: its first byte is the width in bits, two bytes say how many codes, the rest is packed.
///
/// # Panics
/// When there are more or fewer codes than asked for, or they do not survive the round trip.
pub fn codes(page: &[u8]) {
    let [width, low, high, packed @ ..] = page else { return };
    let count = usize::from(u16::from_le_bytes([*low, *high]));
    let mut codes = Vec::new();
    if hybrid::decode(packed, *width, count, &mut codes).is_err() {
        return;
    }
    assert_eq!(codes.len(), count);
    // A run stores whole bytes, so its code can be wider than the width says.
    let width = hybrid::width_for(codes.iter().max().map_or(0, |&code| code as usize + 1));
    let (mut data, mut again) = (Vec::new(), Vec::new());
    hybrid::encode(&codes, width, &mut data);
    assert_eq!(hybrid::decode(&data, width, count, &mut again), Ok(()));
    assert_eq!(codes, again);
}

/// The digest of a row group.
///
/// # Panics
/// When what was accepted does not survive the round trip.
pub fn digest(bytes: &[u8]) {
    let Ok(digest) = StoredDigest::decode(bytes) else { return };
    let written = digest.encode().expect("what was read can be written");
    let again = StoredDigest::decode(&written).and_then(|again| again.encode());
    assert_eq!(again.as_deref(), Ok(&*written));
}

fn sealed(version: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![version];
    bytes.extend(xxh3_64(rest).to_le_bytes());
    bytes.extend(rest);
    bytes
}

fn check_batch(payload: &[u8]) {
    let Ok(events) = codec::decode(payload) else { return };
    let new = |(website, event): &(WebsiteId, Event)| NewEvent {
        website: *website,
        received_at: event.at,
        event: event.clone(),
        idempotency_key: None,
    };
    let again: Vec<NewEvent> = events.iter().map(new).collect();
    let written = Encoder::new().and_then(|mut encoder| encoder.encode(again.iter())).expect("memory");
    assert_eq!(codec::decode(&written).as_deref(), Ok(&*events));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zenovay_domain::{Dimension, EventKind, SessionId, Timestamp, VisitorId};

    use super::*;
    use crate::segment::{ChunkMeta, GroupMeta, SegmentMeta, SiteRange};

    fn rows() -> Vec<u8> {
        let events: Vec<NewEvent> = (0..5)
            .map(|number| {
                let at = Timestamp::from_millis(number);
                let mut event = Event::new(EventKind::Custom, at, VisitorId(u64::MAX), SessionId(7));
                event.dimensions.set(Dimension::Path, "/ü");
                event.dimensions.set(Dimension::Properties, r#"{"a":1}"#);
                let website = WebsiteId::from_random_bytes([number as u8; 16]);
                NewEvent { website, received_at: at, event, idempotency_key: None }
            })
            .collect();
        let payload = Encoder::new().unwrap().encode(events.iter()).unwrap();
        zstd::bulk::decompress(&payload[13..], 1 << 16).unwrap()
    }

    fn catalog() -> Vec<u8> {
        let website = WebsiteId::from_random_bytes([3; 16]);
        let chunk = ChunkMeta { offset: 4, bytes: 100, dictionary_bytes: 20, hash: u64::MAX };
        let meta = SegmentMeta {
            id: 1,
            position: 1,
            rows: 9,
            bytes: 1_000,
            groups: vec![GroupMeta { rows: 9, chunks: vec![chunk; 3], digest: None }],
            sites: vec![SiteRange { website, group: 0, start: 0, rows: 9, min_at: -5, max_at: 5 }],
        };
        let written = encode_meta(&meta).unwrap();
        [&written[..1], &written[9..]].concat()
    }

    fn page() -> Vec<u8> {
        let codes: Vec<u32> = (0..40).map(|n| if n < 20 { 3 } else { n % 8 }).collect();
        let mut page = vec![3, 40, 0];
        hybrid::encode(&codes, 3, &mut page);
        page
    }

    /// What was written with some bytes changed, put in, or cut off: gets further in than random bytes do.
    fn damaged(whole: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
        let change = (any::<prop::sample::Index>(), any::<u8>(), 0..3u8);
        (prop::collection::vec(change, 0..6)).prop_map(move |changes| {
            let mut bytes = whole.clone();
            for (at, byte, how) in changes {
                if bytes.is_empty() {
                    break;
                }
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => bytes.truncate(at),
                }
            }
            bytes
        })
    }

    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..120)
    }

    /// The functions reach what they are for.
    #[test]
    fn what_was_written_is_accepted() {
        let mut rest = (rows().len() as u32).to_le_bytes().to_vec();
        rest.extend(zstd::bulk::compress(&rows(), 1).unwrap());
        assert_eq!(codec::decode(&sealed(codec::VERSION, &rest)).unwrap().len(), 5);
        assert!(decode_meta(&sealed(catalog()[0], &catalog()[1..])).is_some());
        let mut codes = Vec::new();
        assert!(hybrid::decode(&page()[3..], 3, 40, &mut codes).is_ok());
    }

    proptest! {
        #[test]
        fn any_log_batch_is_refused_or_survives(bytes in any_bytes()) {
            log_batch(&bytes);
        }

        #[test]
        fn any_log_rows_are_refused_or_survive(bytes in prop_oneof![any_bytes(), damaged(rows())]) {
            log_rows(&bytes);
        }

        #[test]
        fn any_catalog_row_is_refused_or_survives(bytes in prop_oneof![any_bytes(), damaged(catalog())]) {
            catalog_row(&bytes);
        }

        #[test]
        fn any_page_of_codes_is_refused_or_survives(bytes in prop_oneof![any_bytes(), damaged(page())]) {
            codes(&bytes);
        }

        #[test]
        fn any_digest_is_refused_or_survives(bytes in any_bytes()) {
            digest(&bytes);
        }
    }
}
