//! What the store reads back from disk, as functions of any bytes: for the fuzz targets in `fuzz/`, and for the tests below.
//!
//! In front of each decoder stands a checksum that random bytes never pass, so each function puts the right one before
//! its input. None may panic; what is accepted is encoded and read again, and must be the same. Each tells whether it
//! accepted its input. [`written`] gives inputs that the store wrote.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use zenovay_domain::{Dimension, Event, EventKind, ManualClock, SessionId, Timestamp, VisitorId, WebsiteId};

use crate::codec::{self, Encoder, Record, RecordKind};
use crate::log::{Log, Opened, Purpose};
use crate::segment::{
    self, ColumnId, PageMeta, Pages, Segment, SegmentMeta, StoredDigest, StoredVisits, Texts, Values, VisitsError,
    checksum, decode_meta, encode_meta, hybrid,
};
use crate::{EmbeddedConfig, EmbeddedStore, EventStore, NewCapture, NewEvent};

/// An event on its way into the log.
///
/// # Panics
/// When it is another one when it is read again.
pub fn log_event(new: NewEvent) {
    let payload = encode(std::slice::from_ref(&new), &[]);
    assert_eq!(codec::decode(&payload), Ok(vec![Record::Events(vec![(new.website, new.event)])]));
}

/// A payload of the table `batches`: its version, and what follows the checksum, which are records.
pub fn log_batch(batch: &[u8]) -> bool {
    let Some((&version, records)) = batch.split_first() else { return false };
    is_batch(&sealed(version, codec::checksum(version, records), records))
}

/// A payload of the table `batches` with these bytes for its uncompressed rows of events.
///
/// # Panics
/// When zstd has no memory.
pub fn log_rows(rows: &[u8]) -> bool {
    let packed = zstd::bulk::compress(rows, 1).expect("memory");
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let record = [&[RecordKind::Events as u8][..], &length(&packed), &length(rows), &packed].concat();
    is_batch(&sealed(codec::VERSION, codec::checksum(codec::VERSION, &record), &record))
}

/// A row of the table `segments`: its version, and what follows the checksum.
///
/// # Panics
/// When what was accepted does not survive the round trip.
pub fn catalog_row(row: &[u8]) -> bool {
    let Some((&version, body)) = row.split_first() else { return false };
    let Ok(meta) = decode_meta(&sealed(version, checksum(version, body), body)) else { return false };
    assert_eq!(decode_meta(&encode_meta(&meta).expect("what was read can be written")), Ok(meta));
    true
}

/// A page of codes: its first byte is the width in bits, two bytes say how many codes, the rest is packed.
///
/// # Panics
/// When there are more or fewer codes than asked for, or they do not survive the round trip.
pub fn codes(page: &[u8]) -> bool {
    let [width, low, high, packed @ ..] = page else { return false };
    let count = usize::from(u16::from_le_bytes([*low, *high]));
    let mut codes = Vec::new();
    if hybrid::decode(packed, *width, count, &mut codes).is_err() {
        return false;
    }
    assert_eq!(codes.len(), count);
    // A run stores whole bytes, so its code can be wider than the width says.
    let width = hybrid::width_for(codes.iter().max().map_or(0, |&code| code as usize + 1));
    let (mut data, mut again) = (Vec::new(), Vec::new());
    hybrid::encode(&codes, width, &mut data);
    assert_eq!(hybrid::decode(&data, width, count, &mut again), Ok(()));
    assert_eq!(codes, again);
    true
}

/// A column chunk: its first byte says which column, two bytes how many rows its row group has; then come its pages as the
/// catalog has them, in postcard, and its bytes.
///
/// # Panics
/// When rows are read otherwise alone than with the others.
pub fn column_chunk(chunk: &[u8]) -> bool {
    let [number, low, high, rest @ ..] = chunk else { return false };
    let Some(column) = ColumnId::all().nth(usize::from(*number)) else { return false };
    let count = usize::from(u16::from_le_bytes([*low, *high]));
    let Ok((lengths, bytes)) = postcard::take_from_bytes::<Vec<PageMeta>>(rest) else { return false };
    let read = |rows: Range<usize>| {
        let pages = Pages::new(bytes.to_vec().into(), lengths.clone());
        if column == ColumnId::At {
            return segment::times(pages, rows);
        }
        let coded = segment::coded(pages, column, &segment::Rows::all(rows), count)?;
        Ok::<_, String>(coded.codes.into_iter().map(i64::from).collect())
    };
    let Ok(all) = read(0..count) else { return false };
    assert_eq!(all.len(), count);
    let some = count / 3..count - count / 4;
    assert_eq!(read(some.clone()).as_deref(), Ok(&all[some]));
    true
}

/// The page of a dictionary: its first byte says of which column, two bytes how many values it has; the rest is the page.
///
/// # Panics
/// When there are more or fewer values than asked for, or longer ones than the page has.
pub fn dictionary_page(page: &[u8]) -> bool {
    let [number, low, high, bytes @ ..] = page else { return false };
    let Some(column) = ColumnId::all().nth(usize::from(*number)) else { return false };
    let count = usize::from(u16::from_le_bytes([*low, *high]));
    let Some(values) = segment::dictionary(column, &bytes.to_vec().into(), count) else { return false };
    assert_eq!(values.len(), count);
    if let Values::Texts(texts) = values {
        let text_bytes: usize = (0..=u32::MAX).take(count).map(|code| texts.get(code).len()).sum();
        assert!(text_bytes + 4 * count <= bytes.len());
    }
    true
}

/// The sessions of a row group: eight bytes where they stand in the file, then as they stand there. Checksums of columns are not compared.
///
/// # Panics
/// When there are others than are told.
pub fn visits(bytes: &[u8]) -> bool {
    let Some((offset, block)) = bytes.split_first_chunk::<8>() else { return false };
    let fetch = |(offset, count, _): (u32, u32, u64), take: &mut dyn FnMut(&[u8]) -> Result<(), VisitsError>| {
        take(block.get(offset as usize..).and_then(|rest| rest.get(..count as usize)).unwrap_or_default())
    };
    let place = (u64::from_le_bytes(*offset), u32::try_from(block.len()).unwrap_or(u32::MAX));
    let visits = match block {
        [0 | 1, ..] => StoredVisits::of_whole(block),
        _ => StoredVisits::of_columns(block, place, &fetch),
    };
    let Ok(Some(visits)) = visits else { return false };
    let Ok(read) = visits.read(segment::ALL_OF_VISITS) else { return false };
    assert!(read.with_events <= read.visitor.len());
    for count in [read.session.len(), read.visitor.len(), read.first_at.len(), read.last_at.len(), read.times.len()] {
        assert_eq!(count, visits.len());
    }
    let columns = Dimension::ALL.iter().map(|&dimension| visits.column(dimension, 1 << 20));
    let events = Dimension::ALL.iter().map(|&dimension| visits.events(dimension, 1 << 20, &read));
    columns.chain(events).filter_map(Result::ok).flatten().count() > 0
}

/// The codes of the visitors of a row group: two bytes how many, two the one after the highest, then the codes.
///
/// # Panics
/// When there are others than are told.
pub fn visitor_codes(bytes: &[u8]) -> bool {
    let [a, b, c, d, bytes @ ..] = bytes else { return false };
    let (count, end) = (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]));
    let Ok(codes) = segment::decode_codes(bytes, count.into(), end.into()) else { return false };
    assert!(codes.len() == usize::from(count) && codes.iter().all(|&code| code < end.into()));
    true
}

/// The digest of a row group.
///
/// # Panics
/// When what was accepted does not survive the round trip.
pub fn digest(bytes: &[u8]) -> bool {
    let Ok(Some(digest)) = StoredDigest::decode(bytes) else { return false };
    let written = digest.encode().expect("what was read can be written");
    assert_eq!(StoredDigest::decode(&written), Ok(Some(digest)));
    true
}

/// What a store writes to the empty directory `dir` for a few events: names of functions here, and inputs for them.
///
/// # Panics
/// When the directory cannot be written or the store does not work.
pub fn written(dir: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let config = EmbeddedConfig::new(dir).with(|config| config.group_rows = 32);
    let store = EmbeddedStore::open(config, Arc::new(ManualClock::new(Timestamp::from_millis(0)))).expect("a store");
    store.append(events()).wait().expect("events");
    store.seal().expect("a segment");
    drop(store);
    let Opened { log, named, .. } = Log::open(dir, Purpose::Look).expect("a log");
    drop(log);

    let payload = encode(&events()[..9], &[]);
    let rows = zstd::bulk::decompress(&payload[18..], 1 << 16).expect("rows");
    let mut all = vec![("log_batch", [&payload[..1], &payload[9..]].concat()), ("log_rows", rows)];
    for meta in named.segments {
        let row = encode_meta(&meta).expect("a row");
        all.push(("catalog_row", [&row[..1], &row[9..]].concat()));
        of_segment(&dir.join("segments"), meta, &mut all);
    }
    all
}

/// Forty events of one website and one of another: some strings, a heartbeat, sessions over several row groups.
fn events() -> Vec<NewEvent> {
    let kinds = [EventKind::Pageview, EventKind::Custom, EventKind::Heartbeat];
    let event = |number: u64| {
        let at = Timestamp::from_millis(number.cast_signed() * 60_000);
        let kind = kinds[number as usize % 3];
        let mut event = Event::new(kind, at, VisitorId(u64::MAX - number % 11 % 7), SessionId(number % 11));
        event.dimensions.set(Dimension::Path, &format!("/ü/{}", number % 5));
        event.dimensions.set(Dimension::Properties, r#"{"a":1}"#);
        event.engagement_ms = number as u32 * 100;
        NewEvent::new(WebsiteId::from_random_bytes([u8::from(number == 40); 16]), at, event)
    };
    (0..=40).map(event).collect()
}

/// Adds what the file of a segment is made of.
fn of_segment(segments_dir: &Path, meta: SegmentMeta, all: &mut Vec<(&'static str, Vec<u8>)>) {
    let file = std::fs::read(segments_dir.join(segment::file_name(meta.id))).expect("a file");
    let bytes = |offset: u64, count: u32| &file[offset as usize..][..count as usize];
    let segment = Segment::new(segments_dir, meta);
    for (number, group) in (0..).zip(&segment.meta.groups) {
        if let Some(digest) = group.digest {
            all.push(("digest", bytes(digest.offset, digest.bytes).to_vec()));
        }
        if let Some(visits) = group.visits {
            let block = bytes(visits.offset, visits.bytes);
            all.push(("visits", [&visits.offset.to_le_bytes(), block].concat()));
        }
        if let Some(codes) = group.codes {
            let visitors = segment.read_ids(number, ColumnId::Visitor).expect("ids").len() as u16;
            let numbers = [visitors.to_le_bytes(), (codes.end as u16).to_le_bytes()].concat();
            all.push(("visitor_codes", [numbers, bytes(codes.offset, codes.bytes).to_vec()].concat()));
        }
        let count = (group.rows as u16).to_le_bytes();
        for ((column_number, column), chunk) in (0..).zip(ColumnId::all()).zip(&group.chunks) {
            let pages = postcard::to_stdvec(&chunk.pages).expect("memory");
            let chunk = [&[column_number][..], &count, &pages, bytes(chunk.offset, chunk.bytes)].concat();
            all.push(("column_chunk", chunk));
            if matches!(column, ColumnId::Website | ColumnId::At) {
                continue;
            }
            let coded = segment.read(number, column, 0..group.rows as usize).expect("a column");
            let width = hybrid::width_for(coded.values.len());
            let mut page = [&[width][..], &count].concat();
            hybrid::encode(&coded.codes, width, &mut page);
            all.push(("codes", page));
            let head = [&[column_number][..], &(coded.values.len() as u16).to_le_bytes()].concat();
            let page = match &coded.values {
                Values::Ids(ids) => ids.iter().flat_map(|id| id.to_le_bytes()).collect(),
                Values::Numbers(numbers) => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
                Values::Texts(Texts::Page { page, .. }) => page.to_vec(),
                Values::Texts(Texts::Owned(_)) => continue,
            };
            all.push(("dictionary_page", [head, page].concat()));
        }
    }
}

fn encode(events: &[NewEvent], captures: &[NewCapture]) -> Vec<u8> {
    Encoder::new().and_then(|mut encoder| encoder.encode(events.iter(), captures.iter())).expect("memory")
}

fn sealed(version: u8, checksum: u64, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![version];
    bytes.extend(checksum.to_le_bytes());
    bytes.extend(rest);
    bytes
}

fn is_batch(payload: &[u8]) -> bool {
    let Ok(records) = codec::decode(payload) else { return false };
    let (mut events, mut captures) = (Vec::new(), Vec::new());
    for record in records {
        match record {
            Record::Events(more) => events.extend(more),
            Record::Captures(more) => captures.extend(more),
            // Of a spool alone.
            Record::Arrivals(_) => return true,
        }
    }
    let new = |(website, event): &(WebsiteId, Event)| NewEvent::new(*website, event.at, event.clone());
    let again: Vec<NewEvent> = events.iter().map(new).collect();
    let new = |(website, bytes): &(WebsiteId, Vec<u8>)| {
        NewCapture::new(*website, zenovay_domain::Timestamp::from_millis(0), bytes.clone())
    };
    let captured: Vec<NewCapture> = captures.iter().map(new).collect();
    let mut expected = Vec::new();
    if !events.is_empty() {
        expected.push(Record::Events(events));
    }
    if !captures.is_empty() {
        expected.push(Record::Captures(captures));
    }
    assert_eq!(codec::decode(&encode(&again, &captured)), Ok(expected));
    true
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use proptest::prelude::*;

    use super::*;
    use crate::segment::EntryError;

    type Target = fn(&[u8]) -> bool;

    const TARGETS: [(&str, Target); 9] = [
        ("catalog_row", catalog_row),
        ("codes", codes),
        ("column_chunk", column_chunk),
        ("dictionary_page", dictionary_page),
        ("digest", digest),
        ("log_batch", log_batch),
        ("log_rows", log_rows),
        ("visitor_codes", visitor_codes),
        ("visits", visits),
    ];

    fn all_written() -> &'static [(&'static str, Vec<u8>)] {
        static WRITTEN: OnceLock<Vec<(&str, Vec<u8>)>> = OnceLock::new();
        WRITTEN.get_or_init(|| written(tempfile::tempdir().unwrap().path()))
    }

    /// The functions reach what they are for.
    #[test]
    fn what_was_written_is_accepted() {
        for (name, target) in TARGETS {
            let mut inputs = all_written().iter().filter(|(of, _)| *of == name).peekable();
            assert!(inputs.peek().is_some(), "{name}");
            // The column of websites is for other programs.
            inputs.filter(|(of, input)| *of != "column_chunk" || input[0] != 0).for_each(|(_, input)| {
                assert!(target(input), "{name} {input:?}");
            });
        }
    }

    /// A catalog that says more than a file can hold is damaged: readers reckon with its numbers.
    #[test]
    fn a_catalog_whose_numbers_do_not_fit_each_other_is_refused() {
        let (_, row) = all_written().iter().find(|(name, _)| *name == "catalog_row").unwrap();
        let meta = decode_meta(&sealed(row[0], checksum(row[0], &row[1..]), &row[1..])).unwrap();
        let changes: [fn(&mut SegmentMeta); 14] = [
            |meta| meta.groups[0].chunks[0].pages[0].packed_bytes += 1,
            |meta| meta.groups[0].chunks[0].pages[0].header_bytes = u32::MAX,
            |meta| drop(meta.groups[0].chunks.pop()),
            |meta| meta.bytes = 10,
            |meta| meta.groups[0].rows = 1,
            |meta| meta.groups[0].rows = u32::MAX,
            |meta| meta.groups[0].chunks[0].offset = u64::MAX,
            |meta| meta.groups[0].chunks[0].dictionary_bytes = u32::MAX,
            |meta| meta.sites[0].start = u32::MAX,
            |meta| meta.sites[0].group = 99,
            |meta| meta.sites.reverse(),
            |meta| meta.groups[0].visits.as_mut().unwrap().offset = u64::MAX,
            |meta| meta.groups[0].codes.as_mut().unwrap().offset = u64::MAX,
            |meta| meta.groups[0].codes.as_mut().unwrap().end = u32::MAX,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut changed = meta.clone();
            change(&mut changed);
            assert_eq!(decode_meta(&encode_meta(&changed).unwrap()), Err(EntryError::Damaged), "change {number}");
        }
    }

    /// A target, and what was written with some bytes changed, put in, or cut off, which gets further in than random bytes
    /// do, or such.
    fn damaged() -> impl Strategy<Value = (Target, Vec<u8>)> {
        let written = prop::sample::select(all_written().to_vec());
        let change = (any::<prop::sample::Index>(), any::<u8>(), 0..3u8);
        let written = (written, prop::collection::vec(change, 0..6)).prop_map(|((name, mut bytes), changes)| {
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
            (TARGETS.iter().find(|(of, _)| *of == name).unwrap().1, bytes)
        });
        let any_bytes = prop::collection::vec(any::<u8>(), 0..120);
        let any = (prop::sample::select(TARGETS.map(|(_, target)| target).to_vec()), any_bytes);
        prop_oneof![2 => written, 1 => any]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn any_bytes_are_refused_or_survive((target, bytes) in damaged()) {
            target(&bytes);
        }
    }
}
