//! A batch of events as one blob: the payload of a row of the log.
//!
//! | bytes | what |
//! |---|---|
//! | 0 | version of the payload, 1 |
//! | 1–8 | XXH3-64 of all bytes after these, little endian |
//! | 9–12 | length of the uncompressed rows, little endian |
//! | 13– | the rows, postcard, zstd |
//!
//! A row names its dimensions by number and only those that have a value, so a new dimension needs no new version.

use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};
use zenovay_domain::{Dimension, Dimensions, Event, EventFlags, EventKind, SessionId, Timestamp, VisitorId, WebsiteId};

use crate::NewEvent;

pub(crate) const VERSION: u8 = 1;
const BODY_HASH_VERSION: u8 = 2;
const HEADER: usize = 13;
/// A quarter less time than level 1 for 4 % more bytes, which live until their batch is sealed.
const ZSTD_LEVEL: i32 = -1;
/// No batch is larger: 65,536 events of the largest size would be, but the queue takes far less.
const MAX_ROWS_BYTES: usize = 1 << 30;

/// No zstd grows more: a block has at least 4 bytes and stands for at most 128 KB. A damaged length reserves no memory.
const ZSTD_GROWTH_MAX: usize = 32_768;

/// No row has more bytes beside its texts, their dimensions and lengths.
const ROW_BYTES: usize = 64;

/// One event. `T` is its texts: written from where they are, read as [`ReadTexts`].
#[derive(Serialize, Deserialize)]
struct Row<T> {
    website: WebsiteId,
    at: i64,
    kind: u8,
    visitor: u64,
    session: u64,
    flags: u8,
    engagement_ms: u32,
    scroll_percent: u8,
    texts: T,
}

type ReadTexts<'a> = Vec<(u8, &'a str)>;

/// The texts of an event as a sequence of numbers of dimensions and values.
struct Texts<'a>(&'a Dimensions);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut texts = serializer.serialize_seq(Some(self.0.count()))?;
        for (dimension, text) in self.0.iter() {
            texts.serialize_element(&(dimension as u8, text))?;
        }
        texts.end()
    }
}

/// Where rows are written: at the end of a buffer, texts at once and not byte by byte.
struct Rows(Vec<u8>);

impl postcard::ser_flavors::Flavor for Rows {
    type Output = Vec<u8>;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Vec<u8>> {
        Ok(self.0)
    }
}

/// A payload that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("damaged batch: {0}")]
pub(crate) struct DamagedBatch(&'static str);

/// Encodes batches of events as the log keeps them; keeps its buffers between them.
pub struct Encoder {
    rows: Vec<u8>,
    compressed: Vec<u8>,
    compressor: zstd::bulk::Compressor<'static>,
}

impl Encoder {
    /// An encoder with empty buffers.
    ///
    /// # Errors
    /// When there is no memory for the compressor.
    pub fn new() -> std::io::Result<Self> {
        let compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
        Ok(Self { rows: Vec::new(), compressed: Vec::new(), compressor })
    }

    /// The payload of `events`, compressed and with a checksum.
    ///
    /// # Errors
    /// When the events are more than 1 GiB.
    pub fn encode<'a>(&mut self, events: impl ExactSizeIterator<Item = &'a NewEvent>) -> std::io::Result<Vec<u8>> {
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        // A sequence in postcard is its length and its items, so the rows need not be gathered first.
        rows = postcard::serialize_with_flavor(&events.len(), Rows(rows)).map_err(std::io::Error::other)?;
        for new in events {
            rows.reserve(ROW_BYTES + 4 * Dimension::COUNT + new.event.dimensions.text_bytes());
            rows = postcard::serialize_with_flavor(&row(new), Rows(rows)).map_err(std::io::Error::other)?;
        }
        let length = u32::try_from(rows.len())
            .ok()
            .filter(|&length| length as usize <= MAX_ROWS_BYTES)
            .ok_or_else(|| std::io::Error::other("a batch of more than 1 GiB"))?;
        self.compressed.clear();
        self.compressed.reserve(zstd::zstd_safe::compress_bound(rows.len()));
        self.compressor.compress_to_buffer(&rows, &mut self.compressed)?;
        let mut payload = Vec::with_capacity(HEADER + self.compressed.len());
        payload.push(VERSION);
        payload.extend([0; 8]);
        payload.extend(length.to_le_bytes());
        payload.extend_from_slice(&self.compressed);
        let hash = xxh3_64(&payload[9..]);
        payload[1..9].copy_from_slice(&hash.to_le_bytes());
        self.rows = rows;
        Ok(payload)
    }
}

fn row(new: &NewEvent) -> Row<Texts<'_>> {
    let event = &new.event;
    Row {
        website: new.website,
        at: event.at.as_millis(),
        kind: event.kind as u8,
        visitor: event.visitor.0,
        session: event.session.0,
        flags: event.flags.bits(),
        engagement_ms: event.engagement_ms,
        scroll_percent: event.scroll_percent,
        texts: Texts(&event.dimensions),
    }
}

/// Reads a payload back.
pub(crate) fn decode(payload: &[u8]) -> Result<Vec<(WebsiteId, Event)>, DamagedBatch> {
    let (Some(&VERSION), Some(hash), Some(length), Some(rows)) =
        (payload.first(), payload.get(1..9), payload.get(9..HEADER), payload.get(HEADER..))
    else {
        return Err(DamagedBatch("unknown version or cut off"));
    };
    if xxh3_64(&payload[9..]).to_le_bytes() != hash {
        return Err(DamagedBatch("wrong checksum"));
    }
    let length = length.iter().rev().fold(0usize, |sum, &byte| sum << 8 | usize::from(byte));
    if length > MAX_ROWS_BYTES.min(rows.len().saturating_mul(ZSTD_GROWTH_MAX)) {
        return Err(DamagedBatch("impossible length"));
    }
    let rows = zstd::bulk::decompress(rows, length).map_err(|_| DamagedBatch("not zstd"))?;
    let rows: Vec<Row<ReadTexts<'_>>> = postcard::from_bytes(&rows).map_err(|_| DamagedBatch("not postcard"))?;
    rows.iter().map(event).collect()
}

fn event(row: &Row<ReadTexts<'_>>) -> Result<(WebsiteId, Event), DamagedBatch> {
    let kind = EventKind::from_code(row.kind).ok_or(DamagedBatch("unknown kind of event"))?;
    let mut dimensions = Dimensions::with_capacity(row.texts.iter().map(|(_, text)| text.len()).sum());
    for &(number, text) in &row.texts {
        let dimension = Dimension::ALL.get(usize::from(number)).ok_or(DamagedBatch("unknown dimension"))?;
        dimensions.set(*dimension, text);
    }
    let event = Event {
        at: Timestamp::from_millis(row.at),
        kind,
        visitor: VisitorId(row.visitor),
        session: SessionId(row.session),
        flags: EventFlags::from_bits(row.flags),
        engagement_ms: row.engagement_ms,
        scroll_percent: row.scroll_percent,
        dimensions,
    };
    Ok((row.website, event))
}

/// What tells two events under one idempotency key apart: what happened, and on which page. An honest repetition may come
/// at another time, through another network and with the time of the first attempt, so whom and what the server saw of
/// the sender does not count. An order is the same on whatever page it is told again, but not with another amount.
///
/// The first byte is the version of the digest. The first release had none, in 16 bytes.
pub(crate) fn body_hash(new: &NewEvent) -> [u8; 17] {
    let Event { kind, dimensions, .. } = &new.event;
    let page = [Dimension::Hostname, Dimension::Path, Dimension::EventName];
    let page = page.map(|dimension| if *kind == EventKind::Revenue { "" } else { dimensions.get(dimension) });
    let told = (*kind as u8, page, dimensions.get(Dimension::Properties));
    // Serialising into memory cannot fail; if it ever did, the empty body would report the repetition as different.
    let digest = xxh3_128(&postcard::to_stdvec(&told).unwrap_or_default()).to_le_bytes();
    let mut versioned = [BODY_HASH_VERSION; 17];
    versioned[1..].copy_from_slice(&digest);
    versioned
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_event() -> impl Strategy<Value = NewEvent> {
        (any::<u128>(), any::<i64>(), 0..16u8, any::<u64>(), any::<u64>(), any::<(u8, u32, u8)>(), ".{0,40}").prop_map(
            |(website, at, kind, visitor, session, (flags, engagement_ms, scroll_percent), text)| {
                let mut event = Event::new(
                    EventKind::from_code(kind).unwrap_or(EventKind::Custom),
                    Timestamp::from_millis(at),
                    VisitorId(visitor),
                    SessionId(session),
                );
                event.flags = EventFlags::from_bits(flags);
                event.engagement_ms = engagement_ms;
                event.scroll_percent = scroll_percent;
                event.dimensions.set(Dimension::Language, &text);
                event.dimensions.set(Dimension::Path, "/");
                NewEvent {
                    website: WebsiteId::from_random_bytes(website.to_le_bytes()),
                    received_at: Timestamp::from_millis(at),
                    event,
                    idempotency_key: None,
                }
            },
        )
    }

    fn texts(event: &Event) -> Vec<(Dimension, &str)> {
        event.dimensions.iter().collect()
    }

    proptest! {
        #[test]
        fn batches_survive_the_round_trip(events in prop::collection::vec(any_event(), 0..20)) {
            let payload = Encoder::new().unwrap().encode(events.iter()).unwrap();
            let read = decode(&payload).unwrap();
            prop_assert_eq!(read.len(), events.len());
            for ((website, event), new) in read.iter().zip(&events) {
                prop_assert_eq!(*website, new.website);
                prop_assert_eq!(texts(event), texts(&new.event));
                let same = Event { dimensions: new.event.dimensions.clone(), ..event.clone() };
                prop_assert_eq!(&same, &new.event);
            }
        }

        #[test]
        fn a_changed_byte_is_noticed(events in prop::collection::vec(any_event(), 1..5), at in any::<prop::sample::Index>(), flip in 1..=255u8) {
            // Sabotage: leave the comparison of the checksum out of `decode`.
            let mut payload = Encoder::new().unwrap().encode(events.iter()).unwrap();
            let at = at.index(payload.len());
            payload[at] ^= flip;
            prop_assert!(decode(&payload).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn a_length_that_cannot_be_reserves_no_memory() {
        let payload = |claimed: u32| {
            let rest = [&claimed.to_le_bytes()[..], &zstd::bulk::compress(&[0], 1).unwrap()].concat();
            [&[VERSION][..], &xxh3_64(&rest).to_le_bytes(), &rest].concat()
        };
        assert_eq!(decode(&payload(1)), Ok(Vec::new()));
        assert_eq!(decode(&payload(1 << 30)), Err(DamagedBatch("impossible length")));
        let zeros = vec![0; 1 << 20];
        assert!(zstd::bulk::compress(&zeros, 22).unwrap().len() * ZSTD_GROWTH_MAX > zeros.len());
    }

    #[test]
    fn an_honest_repetition_has_the_same_body() {
        let new = |kind| NewEvent {
            website: WebsiteId::from_random_bytes([1; 16]),
            received_at: Timestamp::from_millis(5),
            event: Event::new(kind, Timestamp::from_millis(5), VisitorId(1), SessionId(2)),
            idempotency_key: None,
        };
        for kind in EventKind::ALL.iter().copied() {
            let mut event = new(kind);
            let hash = body_hash(&event);
            event.received_at = Timestamp::from_millis(9);
            event.event.at = Timestamp::from_millis(8);
            (event.event.visitor, event.event.session) = (VisitorId(2), SessionId(3));
            event.event.dimensions.set(Dimension::Country, "US");
            assert_eq!(body_hash(&event), hash, "{kind:?}");
        }
        let hashes: std::collections::HashSet<_> = EventKind::ALL.iter().map(|&kind| body_hash(&new(kind))).collect();
        assert_eq!(hashes.len(), EventKind::ALL.len());
        for dimension in [Dimension::Hostname, Dimension::Path, Dimension::EventName, Dimension::Properties] {
            for (kind, differs) in
                [(EventKind::Pageview, true), (EventKind::Revenue, dimension == Dimension::Properties)]
            {
                let mut event = new(kind);
                event.event.dimensions.set(dimension, "/other");
                assert_eq!(body_hash(&event) != body_hash(&new(kind)), differs, "{kind:?} {dimension:?}");
            }
        }
    }
}
