//! What one commit adds to the log, as one blob: the payload of a row of the table `batches`.
//!
//! | bytes | what |
//! |---|---|
//! | 0 | version of the payload, 2 |
//! | 1–8 | XXH3-64 of all bytes after these, with the version as its seed, little endian |
//! | 9– | records, one after another |
//!
//! A record:
//!
//! | bytes | what |
//! |---|---|
//! | 0 | its kind, see [`RecordKind`] |
//! | 1–4 | length of what follows byte 8, little endian |
//! | 5–8 | its length when it is unpacked, little endian |
//! | 9– | zstd; of events, the rows in postcard; of captures, a website and bytes each; of arrivals, when each of the events before it arrived, and its key |
//!
//! A row of an event names its dimensions by number and only those that have a value, so a new dimension needs no new version.
//! Payloads of version 1 are read: they have events alone, without kind and packed length, and a checksum without seed. A
//! version, a kind, or a dimension that this program does not know is refused in words; the batch stays where it is.

use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};
use zenovay_domain::{Dimension, Dimensions, Event, EventFlags, EventKind, SessionId, Timestamp, VisitorId, WebsiteId};

use crate::{IdempotencyKey, NewCapture, NewEvent};

/// The version that is written.
pub(crate) const VERSION: u8 = 2;
/// The oldest that is read.
const OLDEST_VERSION: u8 = 1;
const BODY_HASH_VERSION: u8 = 2;
/// Bytes of a payload before its records.
const HEADER: usize = 9;
/// Bytes of a record before its content.
const RECORD_HEADER: usize = 9;
/// A quarter less time than level 1 for 4 % more bytes, which live until their batch is sealed.
const ZSTD_LEVEL: i32 = -1;
/// No batch is larger: 65,536 events of the largest size would be, but the queue takes far less.
const MAX_ROWS_BYTES: usize = 1 << 30;

/// No zstd grows more: a block has at least 4 bytes and stands for at most 128 KB. A damaged length reserves no memory.
const ZSTD_GROWTH_MAX: usize = 32_768;

/// No row has more bytes beside its strings, their dimensions and lengths.
const ROW_BYTES: usize = 64;

/// What the log keeps, by kinds that share its queue and its commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum RecordKind {
    /// Events and heartbeats.
    Events = 1,
    /// What pages capture beside events, packed by who takes it: see [`crate::CaptureSink`].
    Captures = 2,
    /// Of each event of the record before: when it arrived, and its idempotency key. Only where events go on to another store.
    Arrivals = 3,
}

impl RecordKind {
    /// Every kind. Their numbers are in files: none is ever used for another kind.
    pub const ALL: &'static [Self] = &[Self::Events, Self::Captures, Self::Arrivals];

    /// The kind with this number.
    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| *kind as u8 == number)
    }
}

/// A record that was read from the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Record {
    /// Of [`RecordKind::Events`]: events and heartbeats, and whose each is.
    Events(Vec<(WebsiteId, Event)>),
    /// Of [`RecordKind::Captures`]: packed captures, and whose each is.
    Captures(Vec<(WebsiteId, Vec<u8>)>),
    /// Of [`RecordKind::Arrivals`].
    Arrivals(Vec<Arrival>),
}

/// When an event arrived, in milliseconds, and its idempotency key.
pub(crate) type Arrival = (i64, Option<[u8; 16]>);

/// One event. `T` is its strings: written from where they are, read as [`ReadTexts`].
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

/// The strings of an event as a sequence of numbers of dimensions and values.
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

/// Where rows are written: at the end of a buffer, strings at once and not byte by byte.
struct PayloadBuffer(Vec<u8>);

impl postcard::ser_flavors::Flavor for PayloadBuffer {
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

/// A payload that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BatchError {
    /// It is not what was written.
    #[error("damaged batch: {0}")]
    Damaged(&'static str),
    /// The same, and it says that it is of a version that this program does not know.
    #[error(
        "damaged batch, or one of a later version: its checksum is wrong, and it says version {0}, while this version reads {OLDEST_VERSION} to {VERSION}"
    )]
    DamagedVersion(u8),
    /// A later version of this program wrote it.
    #[error("{0}")]
    Newer(String),
}

/// The checksum of what follows it in a payload.
pub(crate) fn checksum(version: u8, records: &[u8]) -> u64 {
    xxh3_64_with_seed(records, if version == OLDEST_VERSION { 0 } else { version.into() })
}

/// Encodes batches of events as the log keeps them; keeps its buffers between them.
pub(crate) struct Encoder {
    rows: Vec<u8>,
    compressed: Vec<u8>,
    compressor: zstd::bulk::Compressor<'static>,
    has_arrivals: bool,
}

impl Encoder {
    /// An encoder with empty buffers.
    ///
    /// # Errors
    /// When there is no memory for the compressor.
    pub(crate) fn new() -> std::io::Result<Self> {
        let compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
        Ok(Self { rows: Vec::new(), compressed: Vec::new(), compressor, has_arrivals: false })
    }

    /// The same, which also packs when events arrived, and their keys.
    pub(crate) fn with_arrivals(self) -> Self {
        Self { has_arrivals: true, ..self }
    }

    /// The payload of `events` and `captures`, compressed and with a checksum. Of a kind without records there is no record.
    ///
    /// # Errors
    /// When the events, or the captures, are more than 1 GiB.
    pub(crate) fn encode<'a>(
        &mut self,
        events: impl ExactSizeIterator<Item = &'a NewEvent> + Clone,
        captures: impl ExactSizeIterator<Item = &'a NewCapture>,
    ) -> std::io::Result<Vec<u8>> {
        let mut payload = vec![0; HEADER];
        payload[0] = VERSION;
        if events.len() > 0 {
            self.pack_events(events.clone())?;
            self.add_record(RecordKind::Events, &mut payload)?;
            if self.has_arrivals {
                self.pack_arrivals(events)?;
                self.add_record(RecordKind::Arrivals, &mut payload)?;
            }
        }
        if captures.len() > 0 {
            self.pack_captures(captures)?;
            self.add_record(RecordKind::Captures, &mut payload)?;
        }
        let hash = checksum(VERSION, &payload[HEADER..]);
        payload[1..HEADER].copy_from_slice(&hash.to_le_bytes());
        Ok(payload)
    }

    fn pack_events<'a>(&mut self, events: impl ExactSizeIterator<Item = &'a NewEvent>) -> std::io::Result<()> {
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        // A sequence in postcard is its length and its items, so the rows need not be gathered first.
        rows = postcard::serialize_with_flavor(&events.len(), PayloadBuffer(rows)).map_err(std::io::Error::other)?;
        for new in events {
            rows.reserve(ROW_BYTES + 4 * Dimension::COUNT + new.event.dimensions.text_bytes());
            rows = postcard::serialize_with_flavor(&row(new), PayloadBuffer(rows)).map_err(std::io::Error::other)?;
        }
        self.rows = rows;
        Ok(())
    }

    fn pack_arrivals<'a>(&mut self, events: impl Iterator<Item = &'a NewEvent>) -> std::io::Result<()> {
        let arrival = |new: &NewEvent| (new.received_at.as_millis(), new.idempotency_key.map(|key| key.0));
        let arrivals: Vec<Arrival> = events.map(arrival).collect();
        self.rows.clear();
        let rows = PayloadBuffer(std::mem::take(&mut self.rows));
        self.rows = postcard::serialize_with_flavor(&arrivals, rows).map_err(std::io::Error::other)?;
        Ok(())
    }

    fn pack_captures<'a>(&mut self, captures: impl ExactSizeIterator<Item = &'a NewCapture>) -> std::io::Result<()> {
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        rows = postcard::serialize_with_flavor(&captures.len(), PayloadBuffer(rows)).map_err(std::io::Error::other)?;
        for new in captures {
            // Bytes are their length and themselves: as a string they are copied at once.
            let head = &(new.website, new.bytes.len());
            rows = postcard::serialize_with_flavor(head, PayloadBuffer(rows)).map_err(std::io::Error::other)?;
            rows.extend_from_slice(&new.bytes);
        }
        self.rows = rows;
        Ok(())
    }

    /// Compresses what was packed and puts it at the end of `payload`.
    fn add_record(&mut self, kind: RecordKind, payload: &mut Vec<u8>) -> std::io::Result<()> {
        let unpacked = u32::try_from(self.rows.len())
            .ok()
            .filter(|&length| length as usize <= MAX_ROWS_BYTES)
            .ok_or_else(|| std::io::Error::other("a batch of more than 1 GiB"))?;
        self.compressed.clear();
        self.compressed.reserve(zstd::zstd_safe::compress_bound(self.rows.len()));
        self.compressor.compress_to_buffer(&self.rows, &mut self.compressed)?;
        let packed = u32::try_from(self.compressed.len()).map_err(std::io::Error::other)?;
        payload.reserve_exact(RECORD_HEADER + self.compressed.len());
        payload.push(kind as u8);
        payload.extend(packed.to_le_bytes());
        payload.extend(unpacked.to_le_bytes());
        payload.extend_from_slice(&self.compressed);
        Ok(())
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
pub(crate) fn decode(payload: &[u8]) -> Result<Vec<Record>, BatchError> {
    let cut_off = || BatchError::Damaged("cut off");
    let (&version, rest) = payload.split_first().ok_or_else(cut_off)?;
    let (hash, rest) = rest.split_first_chunk::<8>().ok_or_else(cut_off)?;
    if checksum(version, rest).to_le_bytes() != *hash {
        let is_known = (OLDEST_VERSION..=VERSION).contains(&version);
        return Err(if is_known { BatchError::Damaged("wrong checksum") } else { BatchError::DamagedVersion(version) });
    }
    match version {
        OLDEST_VERSION => {
            let (unpacked, packed) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
            Ok(vec![decode_record(RecordKind::Events, packed, u32::from_le_bytes(*unpacked))?])
        }
        VERSION => decode_records(rest),
        later if later > VERSION => {
            Err(BatchError::Newer(format!("has version {later}, this version reads {OLDEST_VERSION} to {VERSION}")))
        }
        _ => Err(BatchError::Damaged("unknown version")),
    }
}

fn decode_records(mut rest: &[u8]) -> Result<Vec<Record>, BatchError> {
    let cut_off = || BatchError::Damaged("cut off");
    let mut records = Vec::new();
    while let Some((&number, head)) = rest.split_first() {
        let (packed, head) = head.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let (unpacked, content) = head.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let packed = u32::from_le_bytes(*packed) as usize;
        let (content, next) = content.split_at_checked(packed).ok_or_else(cut_off)?;
        let kind = RecordKind::from_number(number).ok_or_else(|| {
            BatchError::Newer(format!("has records of kind {number}, which this version does not know"))
        })?;
        records.push(decode_record(kind, content, u32::from_le_bytes(*unpacked))?);
        rest = next;
    }
    Ok(records)
}

fn decode_record(kind: RecordKind, packed: &[u8], unpacked_bytes: u32) -> Result<Record, BatchError> {
    let unpacked_bytes = unpacked_bytes as usize;
    if unpacked_bytes > MAX_ROWS_BYTES.min(packed.len().saturating_mul(ZSTD_GROWTH_MAX)) {
        return Err(BatchError::Damaged("impossible length"));
    }
    let content = zstd::bulk::decompress(packed, unpacked_bytes).map_err(|_| BatchError::Damaged("not zstd"))?;
    match kind {
        RecordKind::Events => {
            let rows: Vec<Row<ReadTexts<'_>>> =
                postcard::from_bytes(&content).map_err(|_| BatchError::Damaged("not postcard"))?;
            rows.iter().map(event).collect::<Result<_, _>>().map(Record::Events)
        }
        RecordKind::Captures => {
            let captures: Vec<(WebsiteId, &[u8])> =
                postcard::from_bytes(&content).map_err(|_| BatchError::Damaged("not postcard"))?;
            Ok(Record::Captures(captures.into_iter().map(|(website, bytes)| (website, bytes.to_vec())).collect()))
        }
        RecordKind::Arrivals => {
            postcard::from_bytes(&content).map(Record::Arrivals).map_err(|_| BatchError::Damaged("not postcard"))
        }
    }
}

/// The events of a payload as they arrived, with their keys. Those of one without arrivals are taken to have arrived when they happened.
pub(crate) fn decode_arrived(payload: &[u8]) -> Result<Vec<NewEvent>, BatchError> {
    let mut events: Vec<NewEvent> = Vec::new();
    for record in decode(payload)? {
        match record {
            Record::Events(more) => {
                events.extend(more.into_iter().map(|(website, event)| NewEvent::new(website, event.at, event)));
            }
            Record::Arrivals(arrivals) => {
                let before = events.len().checked_sub(arrivals.len());
                let first = before.ok_or(BatchError::Damaged("more arrivals than events"))?;
                for (new, (received_at, key)) in events[first..].iter_mut().zip(arrivals) {
                    new.received_at = Timestamp::from_millis(received_at);
                    new.idempotency_key = key.map(IdempotencyKey);
                }
            }
            Record::Captures(_) => {}
        }
    }
    Ok(events)
}

/// The captures of a payload.
pub(crate) fn decode_captures(payload: &[u8]) -> Result<Vec<(WebsiteId, Vec<u8>)>, BatchError> {
    let captures = decode(payload)?.into_iter().filter_map(|record| match record {
        Record::Captures(captures) => Some(captures),
        Record::Events(_) | Record::Arrivals(_) => None,
    });
    Ok(captures.flatten().collect())
}

fn event(row: &Row<ReadTexts<'_>>) -> Result<(WebsiteId, Event), BatchError> {
    let newer = |what: &str, number: u8| {
        BatchError::Newer(format!("has an event with {what} number {number}, which this version does not know"))
    };
    let kind = EventKind::from_code(row.kind).ok_or_else(|| newer("kind", row.kind))?;
    let mut dimensions = Dimensions::with_capacity(row.texts.iter().map(|(_, text)| text.len()).sum());
    for &(number, text) in &row.texts {
        let dimension = Dimension::ALL.get(usize::from(number)).ok_or_else(|| newer("dimension", number))?;
        dimensions.set(*dimension, text);
    }
    let at = Timestamp::from_millis(row.at);
    let mut event = Event::new(kind, at, VisitorId(row.visitor), SessionId(row.session));
    event.flags = EventFlags::from_bits(row.flags);
    event.engagement_ms = row.engagement_ms;
    event.scroll_percent = row.scroll_percent;
    event.dimensions = dimensions;
    Ok((row.website, event))
}

impl NewEvent {
    /// What tells events with one idempotency key apart, for who makes a store: equal for what
    /// [`AppendOutcome::Duplicate`](crate::AppendOutcome::Duplicate) calls the same. The first byte is its version; those of two
    /// versions cannot be compared.
    pub fn repetition_digest(&self) -> [u8; 17] {
        body_hash(self)
    }
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
                NewEvent::new(WebsiteId::from_random_bytes(website.to_le_bytes()), Timestamp::from_millis(at), event)
            },
        )
    }

    fn texts(event: &Event) -> Vec<(Dimension, &str)> {
        event.dimensions.iter().collect()
    }

    proptest! {
        #[test]
        fn batches_survive_the_round_trip(
            events in prop::collection::vec(any_event(), 1..20),
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let site = WebsiteId::from_random_bytes([7; 16]);
            let capture = NewCapture::new(site, Timestamp::from_millis(0), bytes.clone());
            let payload = Encoder::new().unwrap().encode(events.iter(), [capture].iter()).unwrap();
            let records = decode(&payload).unwrap();
            let [Record::Events(read), Record::Captures(captured)] = &records[..] else { panic!("a record of each kind") };
            prop_assert_eq!(captured, &[(site, bytes)]);
            prop_assert_eq!(read.len(), events.len());
            for ((website, event), new) in read.iter().zip(&events) {
                prop_assert_eq!(*website, new.website);
                prop_assert_eq!(texts(event), texts(&new.event));
                let mut same = event.clone();
                same.dimensions = new.event.dimensions.clone();
                prop_assert_eq!(&same, &new.event);
            }
        }

        /// Sabotage: give an event the arrival of the one before it.
        #[test]
        fn events_come_back_as_they_arrived(
            events in prop::collection::vec((any_event(), any::<i64>(), any::<Option<[u8; 16]>>()), 1..20),
        ) {
            let arrived = |(new, at, key): (NewEvent, i64, Option<[u8; 16]>)| {
                NewEvent::new(new.website, Timestamp::from_millis(at), new.event).with_key(key.map(IdempotencyKey))
            };
            let events: Vec<NewEvent> = events.into_iter().map(arrived).collect();
            let payload = Encoder::new().unwrap().with_arrivals().encode(events.iter(), [].iter()).unwrap();
            let told = |new: &NewEvent| (new.website, new.received_at, new.event.at, new.idempotency_key, new.repetition_digest());
            let read: Vec<_> = decode_arrived(&payload).unwrap().iter().map(told).collect();
            prop_assert_eq!(read, events.iter().map(told).collect::<Vec<_>>());
        }

        #[test]
        fn a_changed_byte_is_noticed(events in prop::collection::vec(any_event(), 1..5), at in any::<prop::sample::Index>(), flip in 1..=255u8) {
            // Sabotage: leave the comparison of the checksum out of `decode`.
            let mut payload = Encoder::new().unwrap().encode(events.iter(), [].iter()).unwrap();
            let at = at.index(payload.len());
            payload[at] ^= flip;
            prop_assert!(decode(&payload).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }

    /// The payload with these records, each a kind, its content, and its length when it is unpacked.
    fn payload(records: &[(u8, &[u8], u32)]) -> Vec<u8> {
        let record = |(kind, content, unpacked): &(u8, &[u8], u32)| {
            [&[*kind][..], &(content.len() as u32).to_le_bytes(), &unpacked.to_le_bytes(), content].concat()
        };
        let rest: Vec<u8> = records.iter().flat_map(record).collect();
        [&[VERSION][..], &checksum(VERSION, &rest).to_le_bytes(), &rest].concat()
    }

    #[test]
    fn a_length_that_cannot_be_reserves_no_memory() {
        let nothing = zstd::bulk::compress(&[0], 1).unwrap();
        assert_eq!(decode(&payload(&[(1, &nothing, 1)])), Ok(vec![Record::Events(Vec::new())]));
        assert_eq!(decode(&payload(&[(1, &nothing, 1 << 30)])), Err(BatchError::Damaged("impossible length")));
        let zeros = vec![0; 1 << 20];
        assert!(zstd::bulk::compress(&zeros, 22).unwrap().len() * ZSTD_GROWTH_MAX > zeros.len());
    }

    /// Sabotage: read an unknown kind as nothing, or take the version out of the checksum.
    #[test]
    fn payloads_of_the_first_version_are_read_and_later_ones_are_refused_in_words() {
        let rows = zstd::bulk::compress(&[0], 1).unwrap();
        let rest = [&1_u32.to_le_bytes()[..], &rows].concat();
        let mut first = [&[1][..], &xxhash_rust::xxh3::xxh3_64(&rest).to_le_bytes(), &rest].concat();
        assert_eq!(decode(&first), Ok(vec![Record::Events(Vec::new())]));
        first[0] = 2;
        assert_eq!(decode(&first), Err(BatchError::Damaged("wrong checksum")));

        let mut flipped = payload(&[(1, &rows, 1)]);
        flipped[0] = 9;
        assert_eq!(decode(&flipped), Err(BatchError::DamagedVersion(9)), "not certainly a later one");

        let two = payload(&[(1, &rows, 1), (1, &rows, 1)]);
        assert_eq!(decode(&two).map(|records| records.len()), Ok(2), "one commit has several records");
        let words = |result: Result<_, BatchError>| match result {
            Err(BatchError::Newer(words)) => words,
            other => panic!("{other:?}"),
        };
        let unknown = decode(&payload(&[(1, &rows, 1), (9, b"clicks", 6)]));
        assert_eq!(words(unknown), "has records of kind 9, which this version does not know");
        let later = [&[7][..], &checksum(7, b"?").to_le_bytes(), b"?"].concat();
        assert_eq!(words(decode(&later)), "has version 7, this version reads 1 to 2");
        let row = |kind: u8, dimension: u8| Row {
            website: WebsiteId::from_random_bytes([1; 16]),
            at: 0,
            kind,
            visitor: 1,
            session: 1,
            flags: 0,
            engagement_ms: 0,
            scroll_percent: 0,
            texts: vec![(dimension, "x")],
        };
        for (row, expected) in [
            (row(0, 200), "has an event with dimension number 200, which this version does not know"),
            (row(200, 0), "has an event with kind number 200, which this version does not know"),
        ] {
            let rows = postcard::to_stdvec(&[row][..]).unwrap();
            let packed = zstd::bulk::compress(&rows, 1).unwrap();
            assert_eq!(words(decode(&payload(&[(1, &packed, rows.len() as u32)]))), expected);
        }
    }

    #[test]
    fn an_honest_repetition_has_the_same_body() {
        let new = |kind| {
            NewEvent::new(
                WebsiteId::from_random_bytes([1; 16]),
                Timestamp::from_millis(5),
                Event::new(kind, Timestamp::from_millis(5), VisitorId(1), SessionId(2)),
            )
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
