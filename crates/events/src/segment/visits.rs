//! Visits: what is known of the sessions of a row group without its rows.
//!
//! Behind each row group that one website has for itself stand its sessions, in bytes of the file that Parquet readers pass
//! over: of each session what the table of sessions says, its codes in those columns of sessions in which all of its events have
//! one value, and the paths of its first and its last pageview. Questions about whole sessions read these, a third of the rows
//! and less, and no rows. Codes are those of the dictionaries of the columns, so the strings stand where they stood.
//!
//! So do, session by session, the paths of all their other pageviews, and the paths and names of their other events: what was viewed,
//! and what happened, is then known without rows, too.
//!
//! They say nothing that the rows do not say: without them, with those of a later version, or with a block of no sessions, the rows
//! are read.
//!
//! # Format
//!
//! So that each column can be read alone, with a checksum of its own. Numbers are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the version |
//! | 1 | how many columns there are |
//! | 4 | how many sessions |
//! | 4 | how many of them have events; they come first |
//! | 8 | a time, milliseconds, from which the first ones count |
//! | 21 a column | its number, its length, XXH3-64 of its bytes, and XXH3-64 of the dictionary page of its codes, 0 without one |
//! | 8 | XXH3-64 of all before, seeded with where the block stands in the file and how long it is |
//! | the rest | the columns, one after the other |
//!
//! A column has one number for each session, those with events in the order of their first row, then those with heartbeats only in the
//! order of their last activity:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | how many bytes a number has, and [`SPARSE`] or not |
//! | 4, when it is sparse | how many numbers are written |
//! | a part, when it is sparse | a bit a number, from the lowest of each byte: whether it is written. Otherwise it is 0, or of ids the code after the highest before it |
//! | a part for each byte of a number | the lowest byte of each number that is written, then the next one of each |
//!
//! A part is its length in four bytes, and as many bytes: what it is when it has that length, else zstd. Bytes of numbers stand by
//! themselves because each place has its own frequent values, and are packed without looking for repetitions where these save little:
//! that is unpacked three times as fast.
//!
//! Version 2 is the same without the events of sessions. Version 1 is the version, then [`Encoded`] in postcard: numbers of 7 bits a byte, all of a block under one checksum, which the catalog has.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};
use zenovay_domain::{Dimension, DimensionLevel, EventKind};
use zenovay_query::engine::{Chunk, ColumnSet, NO_ROW, SessionPart, VisitColumn, VisitNeeds, VisitTimes, Visits};
use zstd::zstd_safe::CParameter;

use super::pages::{unpack, unpack_into};
use super::{GROUP_ROWS_MAX, SegmentError, codes as visitor_codes};
use crate::rows::LoadedChunk;

/// The version that is written.
pub(super) const VERSION: u8 = 3;
/// The version without events.
const WITHOUT_EVENTS: u8 = 2;
/// The version without columns of their own.
const WHOLE_VERSION: u8 = 1;

/// What stands before the entries of columns, and what stands there of each.
const HEADER_BYTES: usize = 18;
const ENTRY_BYTES: usize = 21;
const HASH_BYTES: usize = 8;
/// As much is read of a block at first: more columns than there are take less.
pub(super) const BEGINNING_BYTES: u32 = 1_024;

/// Where a block stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlockMeta {
    /// Where it begins.
    pub(crate) offset: u64,
    /// How long it is.
    pub(crate) bytes: u32,
    /// XXH3-64 of its bytes.
    pub(crate) hash: u64,
}

/// Why visits cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VisitsError {
    #[error("visits: {0}")]
    Postcard(postcard::Error),
    #[error("visits: {0}")]
    Io(std::io::Error),
    #[error("visits: {0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

impl From<postcard::Error> for VisitsError {
    fn from(error: postcard::Error) -> Self {
        Self::Postcard(error)
    }
}

impl From<std::io::Error> for VisitsError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

#[derive(Serialize, Deserialize)]
struct Encoded<'a> {
    visits: u32,
    /// How many of them have events; they come first.
    with_events: u32,
    #[serde(borrow)]
    columns: Vec<EncodedColumn<'a>>,
}

/// Its number, how long it is when it is unpacked, and its bytes.
type EncodedColumn<'a> = (u8, u32, &'a [u8]);

// The numbers of columns. Those of dimensions begin at `DIMENSIONS`.
const SESSION: u8 = 0;
const VISITOR: u8 = 1;
/// How much later than that of the session before the first event is.
const FIRST: u8 = 2;
/// How much later the last activity is; without events, how much later than that of the session before.
const LAST: u8 = 3;
const PAGEVIEWS: u8 = 4;
const OTHER_EVENTS: u8 = 5;
const ENGAGEMENT: u8 = 6;
/// How much later than the first event the first pageview is.
const ENTRY_AFTER: u8 = 7;
/// How much earlier than the last event the last pageview is.
const EXIT_BEFORE: u8 = 8;
/// How much earlier than the last activity the last event is.
const EVENT_BEFORE: u8 = 9;
const ENTRY_PAGE: u8 = 10;
const EXIT_PAGE: u8 = 11;
/// The paths of the pageviews of each session that are neither its first nor its last.
const BETWEEN_PAGES: u8 = 12;
/// The paths of the other events of each session.
const OTHER_PAGES: u8 = 13;
/// Their names, where no pageview has one.
const OTHER_NAMES: u8 = 14;
const DIMENSIONS: u8 = 32;

/// Beside the width of a column: not all numbers are written.
const SPARSE: u8 = 0x80;

/// Makes the visits of one row group, whose columns come one by one.
pub(super) struct VisitsWriter {
    loaded: LoadedChunk,
    /// The first row of each session, by its code.
    first_rows: Vec<u32>,
    columns: Vec<WrittenColumn>,
    /// The time from which the first ones count.
    since: i64,
    /// Whether there is a session longer than any can be: then the block says nothing.
    is_given_up: bool,
    /// The rows of those pageviews that are neither the first nor the last of their session, and of other events, session by session;
    /// `None` when events of a session are of several visitors, so that what each did cannot stand with it.
    events: Option<[Vec<u32>; 2]>,
}

struct WrittenColumn {
    number: u8,
    bytes: Vec<u8>,
    dictionary_hash: u64,
}

impl VisitsWriter {
    /// For the rows `loaded` with `sessions` session codes.
    pub(super) fn new(loaded: LoadedChunk, sessions: usize, packer: &mut Packer) -> std::io::Result<Self> {
        let parts = &loaded.chunk.sessions;
        let times: Option<Vec<VisitTimes>> = parts.iter().map(|part| VisitTimes::of(part, &loaded.chunk.at)).collect();
        let mut first_rows = vec![NO_ROW; sessions];
        parts.iter().for_each(|part| first_rows[part.session as usize] = part.first_row);
        let since = parts.iter().map(|part| part.first_at.min(part.last_at)).min().unwrap_or(0);
        let events = rows_of_events(&loaded.chunk, &first_rows);
        let is_given_up = times.is_none();
        let mut writer = Self { first_rows, columns: Vec::new(), since, is_given_up, events, loaded };
        writer.add_base(&times.unwrap_or_default(), packer)?;
        Ok(writer)
    }

    fn add_base(&mut self, times: &[VisitTimes], packer: &mut Packer) -> std::io::Result<()> {
        let parts = std::sync::Arc::clone(&self.loaded.chunk.sessions);
        let timed = || parts.iter().zip(times).filter(|(part, _)| has_events(part));
        let later = |at: i64, before: i64| at.wrapping_sub(before).cast_unsigned();
        let mut add = |number: u8, numbers: &mut dyn Iterator<Item = u64>| -> std::io::Result<()> {
            let bytes = packer.numbers(&numbers.collect::<Vec<_>>())?;
            self.columns.push(WrittenColumn { number, bytes, dictionary_hash: 0 });
            Ok(())
        };
        let mut before = self.since;
        let mut first = parts.iter().filter(|part| has_events(part)).map(|part| {
            let before = std::mem::replace(&mut before, part.first_at);
            later(part.first_at, before)
        });
        add(FIRST, &mut first)?;
        let mut before = self.since;
        let mut last = parts.iter().map(|part| {
            let from = if has_events(part) { part.first_at } else { before };
            if !has_events(part) {
                before = part.last_at;
            }
            later(part.last_at, from)
        });
        add(LAST, &mut last)?;
        add(PAGEVIEWS, &mut parts.iter().map(|part| part.pageviews.into()))?;
        add(OTHER_EVENTS, &mut parts.iter().map(|part| part.other_events.into()))?;
        add(ENGAGEMENT, &mut parts.iter().map(|part| part.engagement_ms))?;
        add(ENTRY_AFTER, &mut times.iter().map(|times| times.entry_ms.into()))?;
        add(EXIT_BEFORE, &mut times.iter().map(|times| times.last_event_ms.saturating_sub(times.exit_ms).into()))?;
        let before = |(part, times): (&SessionPart, &VisitTimes)| {
            later(part.last_at, part.first_at).wrapping_sub(times.last_event_ms.into())
        };
        add(EVENT_BEFORE, &mut timed().map(before))?;
        for (number, code) in
            [(SESSION, (|part| part.session) as fn(&SessionPart) -> u32), (VISITOR, |part: &SessionPart| part.visitor)]
        {
            let bytes = packer.codes(parts.iter().map(code))?;
            self.columns.push(WrittenColumn { number, bytes, dictionary_hash: 0 });
        }
        Ok(())
    }

    /// Adds what sessions have in the column of `dimension`, in which the rows of the source have `codes` of `values` values that are in
    /// `dictionary_page`. `empty` is the code of the empty string, when there is one.
    pub(super) fn add(
        &mut self,
        dimension: Dimension,
        (codes, values, empty): (&[u32], usize, Option<u32>),
        dictionary_page: &[u8],
        packer: &mut Packer,
    ) -> std::io::Result<()> {
        let LoadedChunk { chunk, events, .. } = &self.loaded;
        let code = |row: u32| codes[events.as_ref().map_or(row, |events| events[row as usize]) as usize];
        let at = |row: u32| -> u64 { if row == NO_ROW { 0 } else { code(row).into() } };
        let parts = &chunk.sessions;
        let dictionary_hash = xxh3_64(dictionary_page);
        let mut add = |number: u8, codes: Vec<u64>| -> std::io::Result<()> {
            self.columns.push(WrittenColumn { number, bytes: packer.numbers(&codes)?, dictionary_hash });
            Ok(())
        };
        if dimension == Dimension::Path {
            add(ENTRY_PAGE, parts.iter().map(|part| at(part.entry_row)).collect())?;
            // Of others the exit page is the entry page.
            add(EXIT_PAGE, parts.iter().filter(|part| part.pageviews > 1).map(|part| at(part.exit_row)).collect())?;
            if let Some([between, others]) = &self.events {
                add(BETWEEN_PAGES, between.iter().map(|&row| at(row)).collect())?;
                add(OTHER_PAGES, others.iter().map(|&row| at(row)).collect())?;
            }
        } else if dimension == Dimension::EventName {
            let is_view = |row: &u32| chunk.kind[*row as usize] == EventKind::Pageview as u8;
            let mut views = (0..).take(chunk.kind.len()).filter(is_view);
            if let Some([_, others]) = &self.events
                && views.all(|row| Some(code(row)) == empty)
            {
                add(OTHER_NAMES, others.iter().map(|&row| at(row)).collect())?;
            }
        } else if dimension.level() == DimensionLevel::Session {
            let is_constant = values < 2
                || chunk.session.iter().zip(0..).all(|(&session, row)| {
                    let first = self.first_rows[session as usize];
                    first == row || code(first) == code(row)
                });
            if is_constant {
                let with_events = parts.iter().filter(|part| has_events(part));
                add(DIMENSIONS + dimension as u8, with_events.map(|part| at(part.first_row)).collect())?;
            }
        }
        Ok(())
    }

    /// The bytes to write at `offset` of the file, and the rows.
    pub(super) fn finish(self, offset: u64) -> std::io::Result<(Vec<u8>, LoadedChunk)> {
        let parts = if self.is_given_up { &[][..] } else { &self.loaded.chunk.sessions };
        let columns = if self.is_given_up { &[][..] } else { &self.columns };
        let count = |count: usize| u32::try_from(count).map_err(std::io::Error::other);
        let mut bytes = vec![VERSION, u8::try_from(columns.len()).map_err(std::io::Error::other)?];
        bytes.extend(count(parts.len())?.to_le_bytes());
        bytes.extend(count(parts.iter().filter(|part| has_events(part)).count())?.to_le_bytes());
        bytes.extend(self.since.to_le_bytes());
        for WrittenColumn { number, bytes: column, dictionary_hash } in columns {
            bytes.push(*number);
            bytes.extend(count(column.len())?.to_le_bytes());
            bytes.extend(xxh3_64(column).to_le_bytes());
            bytes.extend(dictionary_hash.to_le_bytes());
        }
        let all = bytes.len() + HASH_BYTES + columns.iter().map(|column| column.bytes.len()).sum::<usize>();
        bytes.extend(xxh3_64_with_seed(&bytes, seed(offset, count(all)?)).to_le_bytes());
        columns.iter().for_each(|column| bytes.extend(&column.bytes));
        Ok((bytes, self.loaded))
    }
}

/// The rows of the pageviews of `chunk` that are neither the first nor the last of their session, and those of other events, session by
/// session. `None` when a session has several visitors. `first_rows` has the first row of each session.
fn rows_of_events(chunk: &Chunk, first_rows: &[u32]) -> Option<[Vec<u32>; 2]> {
    let first_of = |session: u32| chunk.visitor.get(*first_rows.get(session as usize)? as usize);
    if chunk.session.iter().zip(chunk.visitor.iter()).any(|(&session, visitor)| first_of(session) != Some(visitor)) {
        return None;
    }
    // Where the next of each session goes.
    let mut places = vec![[0_u32; 2]; first_rows.len()];
    let mut ends = [0_u32; 2];
    for part in chunk.sessions.iter() {
        places[part.session as usize] = ends;
        ends[0] += part.pageviews.saturating_sub(2);
        ends[1] += part.other_events;
    }
    let mut is_end = vec![false; chunk.kind.len()];
    for row in chunk.sessions.iter().flat_map(|part| [part.entry_row, part.exit_row]) {
        if let Some(is_end) = is_end.get_mut(row as usize) {
            *is_end = true;
        }
    }
    let mut rows = ends.map(|end| vec![NO_ROW; end as usize]);
    let all = (0..).zip(chunk.session.iter()).zip(chunk.kind.iter().zip(is_end));
    for ((row, &session), (&kind, _)) in all.filter(|(_, (_, is_end))| !is_end) {
        let list = usize::from(kind != EventKind::Pageview as u8);
        let place = &mut places[session as usize][list];
        rows[list][*place as usize] = row;
        *place += 1;
    }
    Some(rows)
}

/// A block is believed where it was written, and nowhere else.
fn seed(offset: u64, bytes: u32) -> u64 {
    offset.rotate_left(32) ^ u64::from(bytes)
}

fn has_events(part: &SessionPart) -> bool {
    part.first_at != i64::MAX
}

/// All numbers of sessions, without columns.
pub(crate) const ALL_OF_VISITS: VisitNeeds = VisitNeeds {
    columns: ColumnSet::EMPTY,
    sessions: true,
    session_ids: true,
    visitor_ids: false,
    counts: true,
    starts: true,
    metrics: true,
    times: true,
    events: false,
};

/// Hands the bytes at a place of a block (where they begin in it, how many they are, and their hash) to a function.
pub(crate) type Fetch<'a> =
    dyn Fn((u32, u32, u64), &mut dyn FnMut(&[u8]) -> Result<(), VisitsError>) -> Result<(), VisitsError> + 'a;

/// The sessions of a row group as they were stored.
pub(crate) struct StoredVisits<'a> {
    visits: u32,
    with_events: u32,
    since: i64,
    columns: StoredColumns<'a>,
}

enum StoredColumns<'a> {
    /// Of version 1.
    Whole(Vec<EncodedColumn<'a>>),
    Places(Vec<ColumnPlace>, &'a Fetch<'a>),
}

enum Differences {
    Short(Vec<u32>),
    Long(Vec<u64>),
}

/// Where a column stands in its block.
#[derive(Debug, Clone, Copy)]
struct ColumnPlace {
    number: u8,
    offset: u32,
    bytes: u32,
    hash: u64,
    dictionary_hash: u64,
}

/// Whether a block that begins with `version` must be read whole, under the checksum of the catalog; `None` when a later version wrote
/// it.
pub(crate) fn is_whole(version: u8) -> Option<bool> {
    match version {
        0..=WHOLE_VERSION => Some(true),
        WITHOUT_EVENTS..=VERSION => Some(false),
        _ => None,
    }
}

/// Whether an earlier version wrote a block that begins with `version`.
pub(super) fn is_old(version: u8) -> bool {
    version < VERSION
}

impl<'a> StoredVisits<'a> {
    /// Those of version 1 that were written as `bytes`; `None` when they say nothing.
    pub(crate) fn of_whole(bytes: &'a [u8]) -> Result<Option<Self>, VisitsError> {
        let (&version, members) = bytes.split_first().ok_or(VisitsError::Malformed("nothing there"))?;
        let Encoded { visits, with_events, columns } = postcard::from_bytes(members)?;
        if version == 0 {
            return Err(VisitsError::Malformed("impossible counts"));
        }
        Self { visits, with_events, since: 0, columns: StoredColumns::Whole(columns) }.checked()
    }

    /// Those of a block of `block_bytes` bytes at `offset` of the file that begins with `beginning`: all of it or [`BEGINNING_BYTES`].
    /// Columns are read by `fetch`. `None` when they say nothing.
    pub(crate) fn of_columns(
        beginning: &[u8],
        (offset, block_bytes): (u64, u32),
        fetch: &'a Fetch<'a>,
    ) -> Result<Option<Self>, VisitsError> {
        let short = VisitsError::Malformed("ends early");
        let Some((header, rest)) = beginning.split_first_chunk::<HEADER_BYTES>() else { return Err(short) };
        let Some((entries, rest)) = rest.split_at_checked(usize::from(header[1]) * ENTRY_BYTES) else {
            return Err(short);
        };
        let Some(hash) = rest.first_chunk::<HASH_BYTES>() else { return Err(short) };
        let hashed = &beginning[..HEADER_BYTES + entries.len()];
        if xxh3_64_with_seed(hashed, seed(offset, block_bytes)) != u64::from_le_bytes(*hash) {
            return Err(VisitsError::Malformed("the checksum is wrong"));
        }
        let mut next = u32::try_from(hashed.len() + HASH_BYTES).unwrap_or(u32::MAX);
        let mut places = Vec::with_capacity(entries.len() / ENTRY_BYTES);
        for entry in entries.as_chunks::<ENTRY_BYTES>().0 {
            let bytes = u32_at(entry, 1);
            let (hash, dictionary_hash) = (u64_at(entry, 5), u64_at(entry, 13));
            places.push(ColumnPlace { number: entry[0], offset: next, bytes, hash, dictionary_hash });
            next = next.checked_add(bytes).ok_or(VisitsError::Malformed("impossible lengths"))?;
        }
        if next != block_bytes {
            return Err(VisitsError::Malformed("another length"));
        }
        let (visits, with_events, since) = (u32_at(header, 2), u32_at(header, 6), u64_at(header, 10).cast_signed());
        Self { visits, with_events, since, columns: StoredColumns::Places(places, fetch) }.checked()
    }

    fn checked(self) -> Result<Option<Self>, VisitsError> {
        if self.with_events > self.visits || self.visits > GROUP_ROWS_MAX {
            return Err(VisitsError::Malformed("impossible counts"));
        }
        Ok((self.visits > 0).then_some(self))
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.visits as usize
    }

    /// XXH3-64 of the dictionary page of `dimension`, when it is known.
    pub(crate) fn dictionary_hash(&self, dimension: Dimension) -> Option<u64> {
        let number = match dimension {
            Dimension::Path => ENTRY_PAGE,
            Dimension::EventName => OTHER_NAMES,
            _ => DIMENSIONS + dimension as u8,
        };
        self.place(number).map(|place| place.dictionary_hash)
    }

    fn place(&self, number: u8) -> Option<ColumnPlace> {
        match &self.columns {
            StoredColumns::Whole(_) => None,
            StoredColumns::Places(places, _) => places.iter().find(|place| place.number == number).copied(),
        }
    }

    /// Reads every column there is.
    pub(crate) fn verify(&self) -> Result<(), VisitsError> {
        let visits = self.read(ALL_OF_VISITS)?;
        for &dimension in Dimension::ALL {
            self.column(dimension, GROUP_ROWS_MAX as usize)?;
            self.events(dimension, GROUP_ROWS_MAX as usize, &visits)?;
        }
        Ok(())
    }

    /// The numbers of the sessions that are needed.
    pub(crate) fn read(&self, needs: VisitNeeds) -> Result<Visits, VisitsError> {
        let (count, with_events) = (self.len(), self.with_events as usize);
        let mut visits = Visits { with_events, visitor: self.codes(VISITOR, count)?, ..Visits::default() };
        // Without a pageview there is no page.
        if needs.counts || needs.metrics || needs.times || needs.columns.contains(Dimension::Path) {
            visits.pageviews = self.needed(PAGEVIEWS, count)?;
            visits.other_events = self.needed(OTHER_EVENTS, count)?;
        }
        if needs.sessions {
            visits.session = self.codes(SESSION, count)?;
        }
        if needs.starts || needs.times {
            let mut first_at = self.since;
            visits.first_at = Vec::with_capacity(count);
            let mut next = |number: u64| {
                first_at = first_at.wrapping_add(self.later(number));
                first_at
            };
            match self.differences(FIRST, with_events)? {
                Differences::Short(first) => visits.first_at.extend(first.iter().map(|&number| next(number.into()))),
                Differences::Long(first) => visits.first_at.extend(first.iter().map(|&number| next(number))),
            }
        } else if needs.metrics {
            visits.first_at = vec![0; with_events];
        }
        if needs.starts || needs.metrics || needs.times {
            visits.first_at.resize(count, i64::MAX);
        }
        if needs.metrics || needs.times {
            // One of zeros is its width, and nothing else.
            if self.place(ENGAGEMENT).is_none_or(|place| place.bytes > 1) {
                visits.engagement_ms = self.needed(ENGAGEMENT, count)?;
            }
            visits.last_at = match self.differences(LAST, count)? {
                Differences::Short(last) => self.lasts(last.iter().map(|&number| number.into()), &visits.first_at),
                Differences::Long(last) => self.lasts(last.iter().copied(), &visits.first_at),
            };
        }
        if needs.times {
            visits.times = self.times(&visits)?;
        }
        Ok(visits)
    }

    /// The last activities, as `later` tells: than the first events, `first_at`.
    fn lasts(&self, mut later: impl Iterator<Item = u64>, first_at: &[i64]) -> Vec<i64> {
        let mut last_at = Vec::with_capacity(first_at.len());
        let firsts = &first_at[..self.with_events as usize];
        last_at.extend(firsts.iter().zip(later.by_ref()).map(|(at, number)| at.wrapping_add(self.later(number))));
        let mut before = match self.columns {
            StoredColumns::Whole(_) => last_at.last().copied().unwrap_or(0),
            StoredColumns::Places(..) => self.since,
        };
        last_at.extend(later.map(|number| {
            before = before.wrapping_add(self.later(number));
            before
        }));
        last_at
    }

    /// A column of differences, which nearly always are short.
    fn differences(&self, number: u8, count: usize) -> Result<Differences, VisitsError> {
        if let StoredColumns::Places(..) = self.columns
            && let Ok(Some(short)) = self.numbers(number, count)
        {
            return Ok(Differences::Short(short));
        }
        self.needed(number, count).map(Differences::Long)
    }

    /// When events of the sessions were, of which first and last activity are known.
    fn times(&self, visits: &Visits) -> Result<Vec<VisitTimes>, VisitsError> {
        let (count, with_events) = (self.len(), self.with_events as usize);
        let entry_after = self.needed::<u32>(ENTRY_AFTER, count)?;
        let exit_before = self.needed::<u32>(EXIT_BEFORE, count)?;
        let event_before = self.needed::<u64>(EVENT_BEFORE, with_events)?;
        let mut times = Vec::with_capacity(count);
        for (position, &before) in event_before.iter().enumerate() {
            let length = visits.last_at[position].wrapping_sub(visits.first_at[position]);
            let last_event_ms = u32::try_from(length.wrapping_sub(self.later(before)))
                .map_err(|_| VisitsError::Malformed("a number that is too large"))?;
            times.push(VisitTimes {
                entry_ms: entry_after[position],
                exit_ms: last_event_ms.saturating_sub(exit_before[position]),
                last_event_ms,
            });
        }
        times.resize(count, VisitTimes::default());
        Ok(times)
    }

    /// What each session has in the column of `dimension`, one of `values` codes; `None` when a session may have several.
    pub(crate) fn column(&self, dimension: Dimension, values: usize) -> Result<Option<VisitColumn>, VisitsError> {
        let (visits, with_events) = (self.len(), self.with_events as usize);
        let codes = |number: u8, count: usize| self.codes_below(number, count, values);
        if dimension != Dimension::Path {
            let codes = codes(DIMENSIONS + dimension as u8, with_events)?;
            return Ok(codes.map(|mut codes| {
                codes.resize(visits, 0);
                VisitColumn::Value(codes)
            }));
        }
        let Some(entry) = codes(ENTRY_PAGE, visits)? else { return Ok(None) };
        let exit = match self.columns {
            StoredColumns::Whole(_) => codes(EXIT_PAGE, visits)?,
            StoredColumns::Places(..) => {
                let pageviews = self.needed::<u32>(PAGEVIEWS, visits)?;
                let several = pageviews.iter().filter(|&&pageviews| pageviews > 1).count();
                codes(EXIT_PAGE, several)?.map(|exits| {
                    let mut exits = exits.into_iter();
                    let exit = |(&entry, &pageviews): (&u32, &u32)| match pageviews > 1 {
                        true => exits.next().unwrap_or(entry),
                        false => entry,
                    };
                    entry.iter().zip(&pageviews).map(exit).collect()
                })
            }
        };
        Ok(exit.map(|exit| VisitColumn::EntryAndExit(entry, exit)))
    }

    /// What the events of each of `visits`, whose counts were read, have in the column of `dimension`, one of `values` codes; `None` when
    /// that is not known.
    pub(crate) fn events(
        &self,
        dimension: Dimension,
        values: usize,
        visits: &Visits,
    ) -> Result<Option<VisitColumn>, VisitsError> {
        let (views, others) = match dimension {
            Dimension::Path => (Some([ENTRY_PAGE, EXIT_PAGE, BETWEEN_PAGES]), OTHER_PAGES),
            Dimension::EventName => (None, OTHER_NAMES),
            _ => return Ok(None),
        };
        let sum = |counts: &mut dyn Iterator<Item = u32>| counts.map(|count| count as usize).sum::<usize>();
        let codes = |number: u8, count: usize| {
            // A damaged count reserves no memory.
            if count > GROUP_ROWS_MAX as usize {
                return Err(VisitsError::Malformed("impossible counts"));
            }
            self.codes_below(number, count, values)
        };
        let pageviews = || visits.pageviews.iter().copied();
        let Some(others) = codes(others, sum(&mut visits.other_events.iter().copied()))? else { return Ok(None) };
        let Some([entry, exit, between]) = views else {
            return Ok(Some(VisitColumn::Events { entry: Vec::new(), exit: Vec::new(), between: Vec::new(), others }));
        };
        let (entry, exit) = (codes(entry, self.len())?, codes(exit, pageviews().filter(|&views| views > 1).count())?);
        let between = codes(between, sum(&mut pageviews().map(|views| views.saturating_sub(2))))?;
        let (Some(entry), Some(exit), Some(between)) = (entry, exit, between) else { return Ok(None) };
        Ok(Some(VisitColumn::Events { entry, exit, between, others }))
    }

    /// The codes of a column, `count` of them, each below `values`; `None` when there is no such column.
    fn codes_below(&self, number: u8, count: usize, values: usize) -> Result<Option<Vec<u32>>, VisitsError> {
        let Some(codes) = self.numbers::<u32>(number, count)? else { return Ok(None) };
        if codes.iter().copied().max().is_some_and(|highest| highest as usize >= values) {
            return Err(VisitsError::Malformed("a code without a string"));
        }
        Ok(Some(codes))
    }

    fn needed<T: Number>(&self, number: u8, count: usize) -> Result<Vec<T>, VisitsError> {
        self.numbers(number, count)?.ok_or(VisitsError::Malformed("a column is missing"))
    }

    /// What a number of a difference stands for: version 1 has either sign.
    #[inline]
    fn later(&self, number: u64) -> i64 {
        match self.columns {
            StoredColumns::Whole(_) => unfolded(number),
            StoredColumns::Places(..) => number.cast_signed(),
        }
    }

    /// The codes of ids.
    fn codes(&self, number: u8, count: usize) -> Result<Vec<u32>, VisitsError> {
        let StoredColumns::Places(_, fetch) = &self.columns else {
            let mut codes = self.needed::<u32>(number, count)?;
            let mut next = 0_u32;
            for code in &mut codes {
                *code = if *code == 0 { next } else { *code - 1 };
                next = next.max(code.saturating_add(1));
            }
            return Ok(codes);
        };
        let place = self.place(number).ok_or(VisitsError::Malformed("a column is missing"))?;
        let mut codes = None;
        fetch((place.offset, place.bytes, place.hash), &mut |bytes| {
            codes = unpacked_codes(bytes, count)?;
            Ok(())
        })?;
        codes.ok_or(VisitsError::Malformed("a column does not fit its sessions"))
    }

    /// The numbers of a column with `count` of them; `None` when there is no such column.
    fn numbers<T: Number>(&self, number: u8, count: usize) -> Result<Option<Vec<T>>, VisitsError> {
        let numbers = match &self.columns {
            StoredColumns::Whole(columns) => {
                let Some(&(_, unpacked, bytes)) = columns.iter().find(|(own, ..)| *own == number) else {
                    return Ok(None);
                };
                // No number takes more than ten bytes: a damaged length reserves no memory.
                if unpacked as usize > count.saturating_mul(10) {
                    return Err(VisitsError::Malformed("a column is too long"));
                }
                let bytes = unpack(bytes, unpacked as usize)?;
                numbers_of_seven_bits(&bytes, count)
            }
            StoredColumns::Places(_, fetch) => {
                let Some(place) = self.place(number) else { return Ok(None) };
                let mut numbers = None;
                fetch((place.offset, place.bytes, place.hash), &mut |bytes| {
                    numbers = unpacked_numbers(bytes, count)?;
                    Ok(())
                })?;
                numbers
            }
        };
        numbers.map(Some).ok_or(VisitsError::Malformed("a column does not fit its sessions"))
    }
}

fn u32_at(bytes: &[u8], place: usize) -> u32 {
    bytes[place..].first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], place: usize) -> u64 {
    bytes[place..].first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

thread_local! {
    /// Parts are unpacked into it.
    static UNPACKED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Takes the part that `bytes` begin with, and hands it to `take` unpacked: `length` bytes.
fn take_part<T>(bytes: &mut &[u8], length: usize, take: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, VisitsError> {
    let Some((packed_bytes, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let Some((packed, rest)) = rest.split_at_checked(u32::from_le_bytes(*packed_bytes) as usize) else {
        return Ok(None);
    };
    *bytes = rest;
    if packed.len() == length {
        return Ok(Some(take(packed)));
    }
    UNPACKED.with_borrow_mut(|unpacked| {
        unpacked.clear();
        unpacked.reserve(length);
        unpack_into(packed, unpacked, length)?;
        Ok((unpacked.len() == length).then(|| take(unpacked)))
    })
}

/// `count` numbers of `width` bytes each, of which `bytes` have the parts.
fn joined<T: Number>(bytes: &mut &[u8], width: usize, count: usize) -> Result<Option<Vec<T>>, VisitsError> {
    if width > size_of::<T>() {
        return Ok(None);
    }
    // Room for those that are looked at behind the last.
    let mut numbers = Vec::with_capacity(count + 8);
    if width == 0 {
        numbers.resize(count, T::from(0));
    }
    for place in 0..width {
        let add = |part: &[u8]| match place {
            0 => numbers.extend(part.iter().map(|&byte| T::from(byte))),
            _ => numbers.iter_mut().zip(part).for_each(|(number, &byte)| number.set_byte(byte, place)),
        };
        if take_part(bytes, count, add)?.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(numbers))
}

/// The numbers that are written of a sparse column of `count` numbers, of which `bits` gets the bits.
fn written<T: Number, R>(
    bytes: &mut &[u8],
    width: usize,
    count: usize,
    join: impl FnOnce(&[u8], &[T]) -> Option<R>,
) -> Result<Option<R>, VisitsError> {
    let Some((written, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    *bytes = rest;
    let written = u32::from_le_bytes(*written) as usize;
    let bits = take_part(bytes, count.div_ceil(8), <[u8]>::to_vec)?;
    let Some(bits) = bits.filter(|_| written <= count) else { return Ok(None) };
    let Some(mut numbers) = joined::<T>(bytes, width, written)? else { return Ok(None) };
    let known: usize = bits.iter().map(|flags| flags.count_ones() as usize).sum();
    if known != written || !bytes.is_empty() {
        return Ok(None);
    }
    // So that there are enough to look at behind the last.
    numbers.resize(written + 8, T::from(0));
    Ok(join(&bits, &numbers))
}

/// The `count` numbers of a column that was written as `bytes`; `None` when they are others.
fn unpacked_numbers<T: Number>(bytes: &[u8], count: usize) -> Result<Option<Vec<T>>, VisitsError> {
    let Some((&first, mut rest)) = bytes.split_first() else { return Ok(None) };
    let width = usize::from(first & !SPARSE);
    if first & SPARSE == 0 {
        let numbers = joined(&mut rest, width, count)?;
        return Ok(numbers.filter(|_| rest.is_empty()));
    }
    written(&mut rest, width, count, |bits, written: &[T]| {
        let mut numbers = vec![T::from(0); count.next_multiple_of(8)];
        let mut place = 0;
        for (numbers, &flags) in numbers.as_chunks_mut::<8>().0.iter_mut().zip(bits) {
            let window = written.get(place..)?.first_chunk::<8>()?;
            // Nothing here is a branch: whether the next one is written is as good as chance.
            let mut met = 0;
            for (at, number) in numbers.iter_mut().enumerate() {
                let is_written = flags >> at & 1;
                *number = window[met % 8].when(is_written);
                met += usize::from(is_written);
            }
            place += met;
        }
        numbers.truncate(count);
        Some(numbers)
    })
}

/// The `count` codes of ids that were written as `bytes`; `None` when they are others.
fn unpacked_codes(bytes: &[u8], count: usize) -> Result<Option<Vec<u32>>, VisitsError> {
    let Some((&first, mut rest)) = bytes.split_first() else { return Ok(None) };
    if first & SPARSE == 0 {
        return Ok(None);
    }
    let width = usize::from(first & !SPARSE);
    written(&mut rest, width, count, |bits, written: &[u32]| {
        visitor_codes::join(bits, written, count).map(|(codes, _)| codes)
    })
}

/// Packs columns.
pub(super) struct Packer {
    /// Looks for what comes again.
    repetitions: zstd::bulk::Compressor<'static>,
    /// Only looks which bytes are frequent, as good as.
    frequencies: zstd::bulk::Compressor<'static>,
}

impl Packer {
    pub(super) fn new() -> std::io::Result<Self> {
        let mut frequencies = zstd::bulk::Compressor::new(1)?;
        frequencies.set_parameter(CParameter::Strategy(zstd::zstd_safe::Strategy::ZSTD_fast))?;
        frequencies.set_parameter(CParameter::TargetLength(0))?;
        frequencies.set_parameter(CParameter::MinMatch(7))?;
        frequencies.set_parameter(CParameter::HashLog(6))?;
        Ok(Self { repetitions: zstd::bulk::Compressor::new(3)?, frequencies })
    }

    /// A part of this many bytes in the middle tells whether a longer one repeats itself.
    const SAMPLE_BYTES: usize = 1 << 13;

    /// Whether `part` is so much shorter by what comes again. `by_frequency` is how long it is otherwise.
    fn by_repetition(&mut self, part: &[u8], by_frequency: usize) -> std::io::Result<Option<Vec<u8>>> {
        let packed = self.repetitions.compress(part)?;
        // What is unpacked faster may be a little longer.
        Ok((packed.len() < by_frequency / 8 * 7).then_some(packed))
    }

    /// Adds a part.
    fn part(&mut self, part: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
        let sample = &part[part.len().saturating_sub(Self::SAMPLE_BYTES) / 2..][..part.len().min(Self::SAMPLE_BYTES)];
        let is_short = part.len() <= 2 * sample.len();
        let of_sample = if is_short { 0 } else { self.frequencies.compress(sample)?.len() };
        let by_frequency = self.frequencies.compress(part)?;
        let packed = match is_short || self.by_repetition(sample, of_sample)?.is_some() {
            true => self.by_repetition(part, by_frequency.len())?.unwrap_or(by_frequency),
            false => by_frequency,
        };
        let packed = if packed.len() < part.len() / 32 * 31 { &packed[..] } else { part };
        out.extend(u32::try_from(packed.len()).map_err(std::io::Error::other)?.to_le_bytes());
        out.extend(packed);
        Ok(())
    }

    fn parts(&mut self, numbers: &[u64], width: usize, out: &mut Vec<u8>) -> std::io::Result<()> {
        let byte = |number: u64, place: usize| number.to_le_bytes()[place];
        (0..width).try_for_each(|place| {
            let part: Vec<u8> = numbers.iter().map(|&number| byte(number, place)).collect();
            self.part(&part, out)
        })
    }

    fn sparse(&mut self, is_written: &[bool], written: &[u64]) -> std::io::Result<Vec<u8>> {
        let width = width_of(written);
        let mut bytes = vec![SPARSE | width];
        bytes.extend(u32::try_from(written.len()).map_err(std::io::Error::other)?.to_le_bytes());
        let flags = |flags: &[bool]| flags.iter().rev().fold(0, |byte, &flag| byte << 1 | u8::from(flag));
        self.part(&is_written.chunks(8).map(flags).collect::<Vec<_>>(), &mut bytes)?;
        self.parts(written, width.into(), &mut bytes)?;
        Ok(bytes)
    }

    /// A column of `numbers`.
    fn numbers(&mut self, numbers: &[u64]) -> std::io::Result<Vec<u8>> {
        let width = width_of(numbers);
        let mut dense = vec![width];
        self.parts(numbers, width.into(), &mut dense)?;
        let zeros = numbers.iter().filter(|&&number| number == 0).count();
        if width == 0 || zeros < numbers.len() / 8 {
            return Ok(dense);
        }
        let is_written: Vec<bool> = numbers.iter().map(|&number| number != 0).collect();
        let written: Vec<u64> = numbers.iter().copied().filter(|&number| number != 0).collect();
        let sparse = self.sparse(&is_written, &written)?;
        Ok(if sparse.len() < dense.len() / 16 * 15 { sparse } else { dense })
    }

    /// A column of the codes of ids.
    fn codes(&mut self, codes: impl Iterator<Item = u32>) -> std::io::Result<Vec<u8>> {
        let (mut is_written, mut written, mut next) = (Vec::new(), Vec::new(), 0);
        for code in codes {
            is_written.push(code != next);
            if code != next {
                written.push(u64::from(code));
            }
            next = next.max(code.saturating_add(1));
        }
        self.sparse(&is_written, &written)
    }
}

/// How many bytes the highest of `numbers` has.
fn width_of(numbers: &[u64]) -> u8 {
    let bits = u64::BITS - numbers.iter().copied().max().unwrap_or(0).leading_zeros();
    bits.div_ceil(8).to_le_bytes()[0]
}

/// A number of a column.
trait Number: Copy + From<u8> + TryFrom<u64> {
    /// Sets the byte at `place`, from the lowest, which is 0.
    fn set_byte(&mut self, byte: u8, place: usize);

    /// The number times `is_there`, which is 0 or 1.
    fn when(self, is_there: u8) -> Self;
}

macro_rules! number {
    ($own:ty) => {
        impl Number for $own {
            #[inline]
            fn set_byte(&mut self, byte: u8, place: usize) {
                *self |= Self::from(byte) << (8 * place);
            }

            #[inline]
            fn when(self, is_there: u8) -> Self {
                self & Self::from(is_there).wrapping_neg()
            }
        }
    };
}

number!(u32);
number!(u64);

/// The `count` numbers of version 1 that `bytes` are; `None` when they are others.
fn numbers_of_seven_bits<T: Number>(bytes: &[u8], count: usize) -> Option<Vec<T>> {
    let mut numbers = Vec::with_capacity(count.min(bytes.len()));
    let mut rest = bytes;
    while !rest.is_empty() {
        // Most numbers are small.
        while let Some((eight, others)) = rest.split_first_chunk::<8>()
            && u64::from_le_bytes(*eight) & 0x8080_8080_8080_8080 == 0
        {
            numbers.extend(eight.map(T::from));
            rest = others;
        }
        // Others are mostly of two to four bytes.
        if let Some(eight) = rest.first_chunk::<8>()
            && let window = u64::from_le_bytes(*eight)
            && let ends @ 1.. = !window & 0x8080_8080_8080_8080
        {
            let bits = ends.trailing_zeros() + 1;
            numbers.push(T::try_from(seven_bits_each(window & (u64::MAX >> (64 - bits)))).ok()?);
            // Most often the window has another one, which need not wait until this one's length is known.
            let (others, mut read) = (ends & (ends - 1), bits);
            if others != 0 {
                read = others.trailing_zeros() + 1;
                let second = (window & (u64::MAX >> (64 - read))) >> bits;
                numbers.push(T::try_from(seven_bits_each(second)).ok()?);
            }
            rest = &rest[read as usize / 8..];
            continue;
        }
        let (mut number, mut shift) = (0_u64, 0);
        loop {
            let Some((&byte, others)) = rest.split_first() else {
                if shift == 0 {
                    break;
                }
                return None;
            };
            rest = others;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                numbers.push(T::try_from(number).ok()?);
                break;
            }
            shift += 7;
        }
    }
    (numbers.len() == count).then_some(numbers)
}

/// The number of which each byte of `window` has seven bits, the lowest first.
fn seven_bits_each(window: u64) -> u64 {
    let pairs = (window & 0x007f_007f_007f_007f) | (window & 0x7f00_7f00_7f00_7f00) >> 1;
    let fours = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    (fours & 0x0fff_ffff) | (fours & 0x0fff_ffff_0000_0000) >> 4
}

/// Small numbers of version 1 stay small, with either sign.
fn unfolded(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// Has `block`, which stands at `offset`, begin as one of `version` does.
#[cfg(test)]
pub(crate) fn set_version(block: &mut [u8], offset: u64, version: u8) {
    block[0] = version;
    let end = HEADER_BYTES + usize::from(block[1]) * ENTRY_BYTES;
    let hash = xxh3_64_with_seed(&block[..end], seed(offset, u32::try_from(block.len()).unwrap()));
    block[end..end + HASH_BYTES].copy_from_slice(&hash.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zenovay_domain::EventKind;

    use super::*;
    use crate::rows::BaseRows;

    fn of_seven_bits(numbers: impl Iterator<Item = u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for mut number in numbers {
            while number >= 0x80 {
                bytes.push((number & 0x7f) as u8 | 0x80);
                number >>= 7;
            }
            bytes.push(number as u8);
        }
        bytes
    }

    /// Pageviews, other events and heartbeats of some sessions, one a minute, and a code for each.
    fn rows() -> (LoadedChunk, Vec<u32>) {
        let kind = |row: u64| match row * row % 7 {
            rest if rest == 2 || row >= 390 => EventKind::Heartbeat as u8,
            4 => EventKind::Custom as u8,
            _ => EventKind::Pageview as u8,
        };
        let session = |row: u64| if row < 390 { (row / 5 + row % 3) as u32 } else { row as u32 };
        let rows = BaseRows {
            at: (0..400_i64).map(|row| 1_700_000_000_000 + row * 60_000).collect(),
            kind: (0..400).map(kind).collect(),
            visitor: (0..400).map(|row| session(row) % 50).collect(),
            session: (0..400).map(session).collect(),
            engagement_ms: (0..400)
                .map(|row| if kind(row) == EventKind::Heartbeat as u8 { 70_000 } else { 0 })
                .collect(),
        };
        let paths = rows.session.iter().zip(0..).map(|(session, row)| (session + row) * 7 % 300).collect();
        (rows.into_chunk(i64::MIN), paths)
    }

    /// Custom events have names, pageviews the empty one, which is the second.
    fn names() -> Vec<u32> {
        (0..400).map(|row: u32| if row * row % 7 == 4 { row % 2 * 2 } else { 1 }).collect()
    }

    fn written(offset: u64) -> Vec<u8> {
        let mut packer = Packer::new().unwrap();
        let (loaded, paths) = rows();
        let sessions = 1 + loaded.chunk.sessions.iter().map(|part| part.session).max().unwrap() as usize;
        let mut writer = VisitsWriter::new(loaded, sessions, &mut packer).unwrap();
        writer.add(Dimension::Path, (&paths, 300, None), b"paths", &mut packer).unwrap();
        writer.add(Dimension::Country, (&[0; 400], 1, None), b"countries", &mut packer).unwrap();
        writer.add(Dimension::EventName, (&names(), 3, Some(1)), b"names", &mut packer).unwrap();
        writer.finish(offset).unwrap().0
    }

    /// Reads a column of a block.
    fn fetch_of(block: &[u8]) -> Box<Fetch<'_>> {
        Box::new(|(offset, bytes, hash), take| {
            let bytes = &block[offset as usize..][..bytes as usize];
            if xxh3_64(bytes) == hash { take(bytes) } else { Err(VisitsError::Malformed("damaged")) }
        })
    }

    /// The paths and names of all events, session by session. Sabotage: write the rows of `rows_of_events` in their own order, or take the exit
    /// page for one between.
    #[test]
    fn events_of_sessions_are_those_of_their_rows() {
        let block = written(7);
        let fetch = fetch_of(&block);
        let known = StoredVisits::of_columns(&block, (7, block.len() as u32), &*fetch).unwrap().unwrap();
        let visits = known.read(ALL_OF_VISITS).unwrap();
        let (LoadedChunk { chunk, events, .. }, paths) = rows();
        let row_of = |row: usize| events.as_ref().map_or(row, |events| events[row] as usize);
        let of_session = |session: u32, is_view: bool, codes: &[u32]| -> Vec<u32> {
            let is_own = |&row: &usize| {
                chunk.session[row] == session && (chunk.kind[row] == EventKind::Pageview as u8) == is_view
            };
            (0..chunk.session.len()).filter(is_own).map(|row| codes[row_of(row)]).collect()
        };
        let sorted = |mut codes: Vec<u32>| {
            codes.sort_unstable();
            codes
        };
        let path_events = known.events(Dimension::Path, 300, &visits).unwrap();
        let Some(VisitColumn::Events { entry, exit, between, others }) = path_events else { panic!("no paths") };
        let name_events = known.events(Dimension::EventName, 3, &visits).unwrap();
        let Some(VisitColumn::Events { entry: none, others: others_named, .. }) = name_events else {
            panic!("no names")
        };
        assert!(none.is_empty() && between.len() > 20 && others.len() > 20);
        let (mut exits, mut betweens) = (exit.iter(), between.iter());
        let (mut other_pages, mut other_names) = (others.iter(), others_named.iter());
        for (position, &session) in visits.session.iter().enumerate() {
            let views = of_session(session, true, &paths);
            let mut read: Vec<u32> = if views.is_empty() { Vec::new() } else { vec![entry[position]] };
            if views.len() > 1 {
                read.extend(betweens.by_ref().take(views.len() - 2));
                read.extend(exits.next());
                assert_eq!((read.first(), read.last()), (views.first(), views.last()));
            }
            assert_eq!(sorted(read), sorted(views));
            let own = of_session(session, false, &paths);
            assert_eq!(sorted(other_pages.by_ref().copied().take(own.len()).collect()), sorted(own));
            let own = of_session(session, false, &names());
            assert_eq!(sorted(other_names.by_ref().copied().take(own.len()).collect()), sorted(own));
        }
        assert_eq!([exits.len(), betweens.len(), other_pages.len(), other_names.len()], [0; 4]);
        assert!(known.events(Dimension::Path, 2, &visits).is_err(), "codes without strings");
        assert_eq!(known.events(Dimension::Country, 1, &visits).unwrap().map(drop), None);
    }

    /// Sabotage: look at the visitors of first rows alone in `rows_of_events`, or write names where pageviews have some.
    #[test]
    fn what_would_not_be_told_is_not_written() {
        let dimensions_of = |mut base: BaseRows, names: &[u32]| -> Vec<u8> {
            let mut packer = Packer::new().unwrap();
            let sessions = 1 + *base.session.iter().max().unwrap() as usize;
            base.kind.iter_mut().for_each(|kind| *kind %= 7);
            let mut writer = VisitsWriter::new(base.into_chunk(i64::MIN), sessions, &mut packer).unwrap();
            writer.add(Dimension::Path, (&[0; 4], 1, None), b"paths", &mut packer).unwrap();
            writer.add(Dimension::EventName, (names, 2, Some(0)), b"names", &mut packer).unwrap();
            writer.columns.iter().map(|column| column.number).filter(|&number| number >= ENTRY_PAGE).collect()
        };
        let rows = |visitors: [u32; 4]| BaseRows {
            at: vec![0, 1, 2, 3],
            kind: vec![EventKind::Pageview as u8, EventKind::Custom as u8, 0, 0],
            visitor: visitors.to_vec(),
            session: vec![0, 0, 1, 0],
            engagement_ms: vec![0; 4],
        };
        let all = vec![ENTRY_PAGE, EXIT_PAGE, BETWEEN_PAGES, OTHER_PAGES, OTHER_NAMES];
        assert_eq!(dimensions_of(rows([0, 0, 1, 0]), &[0, 1, 0, 0]), all);
        assert_eq!(dimensions_of(rows([0, 0, 1, 0]), &[0, 1, 1, 0]), all[..4], "a pageview with a name");
        assert_eq!(dimensions_of(rows([0, 0, 1, 1]), &[0, 1, 0, 0]), all[..2], "a session of two visitors");
    }

    /// What a program of version 1 wrote. Sabotage: read the differences of both versions in the same way, or the exit pages.
    #[test]
    fn blocks_of_the_first_version_say_the_same() {
        let block = written(7);
        let fetch = fetch_of(&block);
        let known = StoredVisits::of_columns(&block, (7, block.len() as u32), &*fetch).unwrap().unwrap();
        let read = known.read(ALL_OF_VISITS).unwrap();
        let pages = known.column(Dimension::Path, 300).unwrap();
        let Some(VisitColumn::EntryAndExit(entry, exit)) = &pages else { panic!("{pages:?}") };
        assert_eq!(known.dictionary_hash(Dimension::Path), Some(xxh3_64(b"paths")));
        assert_eq!(known.dictionary_hash(Dimension::City), None);
        assert!(read.with_events < read.visitor.len() && entry != exit, "all there is");

        let with_events = read.with_events;
        let folded = |number: i64| (number << 1 ^ number >> 63).cast_unsigned();
        let relative = |codes: &[u32]| -> Vec<u64> {
            let mut next = 0;
            let written = |&code: &u32| {
                let written = if code == next { 0 } else { u64::from(code) + 1 };
                next = next.max(code + 1);
                written
            };
            codes.iter().map(written).collect()
        };
        let (mut before, mut before_last) = (0, 0);
        let first = read.first_at[..with_events].iter().map(|&at| folded(at - std::mem::replace(&mut before, at)));
        let first: Vec<u64> = first.collect();
        let last = read.first_at.iter().zip(&read.last_at).map(|(&first, &last)| {
            let from = if first == i64::MAX { before_last } else { first };
            before_last = last;
            folded(last - from)
        });
        let wide = |numbers: &[u32]| numbers.iter().map(|&number| number.into()).collect::<Vec<u64>>();
        let event_before = (0..with_events).map(|place| {
            folded(read.last_at[place] - read.first_at[place] - i64::from(read.times[place].last_event_ms))
        });
        let columns = [
            (SESSION, relative(&read.session)),
            (VISITOR, relative(&read.visitor)),
            (FIRST, first),
            (LAST, last.collect()),
            (PAGEVIEWS, wide(&read.pageviews)),
            (OTHER_EVENTS, wide(&read.other_events)),
            (ENGAGEMENT, read.engagement_ms.clone()),
            (ENTRY_AFTER, read.times.iter().map(|times| times.entry_ms.into()).collect()),
            (EXIT_BEFORE, read.times.iter().map(|times| (times.last_event_ms - times.exit_ms).into()).collect()),
            (EVENT_BEFORE, event_before.collect()),
            (ENTRY_PAGE, wide(entry)),
            (EXIT_PAGE, wide(exit)),
        ];
        let packed = columns.map(|(number, numbers)| {
            let bytes = of_seven_bits(numbers.into_iter());
            (number, bytes.len() as u32, zstd::bulk::compress(&bytes, 3).unwrap())
        });
        let encoded = Encoded {
            visits: read.visitor.len() as u32,
            with_events: with_events as u32,
            columns: packed.iter().map(|(number, unpacked, bytes)| (*number, *unpacked, &bytes[..])).collect(),
        };
        let first = postcard::to_extend(&encoded, vec![1]).unwrap();
        let old = StoredVisits::of_whole(&first).unwrap().unwrap();
        assert_eq!(format!("{:?}", old.read(ALL_OF_VISITS).unwrap()), format!("{read:?}"));
        assert_eq!(format!("{:?}", old.column(Dimension::Path, 300).unwrap()), format!("{pages:?}"));
        assert_eq!([is_whole(first[0]), is_whole(block[0]), is_whole(4)], [Some(true), Some(false), None]);
        assert_eq!([1, 2, 3].map(is_old), [true, true, false]);
        assert!(old.events(Dimension::Path, 300, &read).unwrap().is_none());
    }

    /// Sabotage: leave the lengths of columns out of the checksum of the header, or the place of the block.
    #[test]
    fn a_changed_bit_of_a_block_is_found() {
        let block = written(7);
        let read = |block: &[u8], offset: u64| {
            let fetch = fetch_of(block);
            let known = StoredVisits::of_columns(block, (offset, block.len() as u32), &*fetch)?;
            known.map(|known| known.verify()).transpose().map(|known| known.is_some())
        };
        assert!(read(&block, 7).unwrap());
        assert!(read(&block, 8).is_err() && read(&block[..block.len() - 1], 7).is_err());
        // The version is looked at before.
        for place in 1..block.len() {
            let mut changed = block.clone();
            changed[place] ^= 1 << (place % 8);
            assert!(read(&changed, 7).is_err(), "byte {place}");
        }
    }

    proptest! {
        /// Sabotage: take a bit more or less of a window, or leave out the last step of `seven_bits_each`.
        #[test]
        fn numbers_of_any_length_survive_the_round_trip(
            numbers in prop::collection::vec((any::<u64>(), 0u32..64).prop_map(|(number, shift)| number >> shift), 0..200),
        ) {
            let bytes = of_seven_bits(numbers.iter().copied());
            prop_assert_eq!(numbers_of_seven_bits::<u64>(&bytes, numbers.len()), Some(numbers.clone()));
            prop_assert_eq!(numbers_of_seven_bits::<u64>(&bytes, numbers.len() + 1), None);
            let small: Option<Vec<u32>> = numbers.iter().map(|&number| u32::try_from(number).ok()).collect();
            prop_assert_eq!(numbers_of_seven_bits::<u32>(&bytes, numbers.len()), small);
        }

        /// Sabotage: write the bytes of sparse numbers in another order than those of others, or take a wrong bit for the last ones.
        #[test]
        fn columns_survive_the_round_trip(
            runs in prop::collection::vec((any::<u64>(), prop::sample::select(vec![0, 8, 30, 33, 50, 63, 64]), 1usize..40), 0..30),
        ) {
            let number = |(number, shift, run): (u64, u32, usize)| vec![number.checked_shr(shift).unwrap_or(0); run];
            let numbers: Vec<u64> = runs.into_iter().flat_map(number).collect();
            let mut packer = Packer::new().unwrap();
            let bytes = packer.numbers(&numbers).unwrap();
            prop_assert_eq!(unpacked_numbers::<u64>(&bytes, numbers.len()).unwrap(), Some(numbers.clone()));
            let small: Option<Vec<u32>> = numbers.iter().map(|&number| u32::try_from(number).ok()).collect();
            prop_assert_eq!(unpacked_numbers::<u32>(&bytes, numbers.len()).unwrap(), small);
            let codes: Vec<u32> = numbers.iter().map(|&number| (number >> 40) as u32).collect();
            let bytes = packer.codes(codes.iter().copied()).unwrap();
            prop_assert_eq!(unpacked_codes(&bytes, codes.len()).unwrap(), Some(codes));
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..60), count in 0usize..100) {
            for first in [0, 1, 4, SPARSE, SPARSE | 1, SPARSE | 2] {
                bytes.splice(..bytes.len().min(1), [first]);
                let _ = (unpacked_numbers::<u32>(&bytes, count), unpacked_codes(&bytes, count));
            }
        }
    }
}
