//! Visits: what is known of the sessions of a row group without its rows.
//!
//! Behind each row group that one website has for itself stand its sessions, in bytes of the file that Parquet readers pass
//! over: of each session what the table of sessions says, its codes in those columns of sessions in which all of its events have
//! one value, and the paths of its first and its last pageview. Questions about whole sessions read these, a third of the rows
//! and less, and no rows. Codes are those of the dictionaries of the columns, so the strings stand where they stood.
//!
//! They say nothing that the rows do not say: without them, with those of a later version, or with a block of no sessions, the rows
//! are read.
//!
//! # Format
//!
//! A byte with the version, then [`Encoded`] in postcard. A column has one number for each session, those with events in the order
//! of their first row, then those with heartbeats only in the order of their last activity. Numbers are written with 7 bits a byte, the
//! highest bit of all bytes but the last is set; then zstd. A code is 0 when it is the next one after the highest before it, which most
//! are, and one more than itself otherwise.

use serde::{Deserialize, Serialize};
use zenovay_domain::{Dimension, DimensionLevel};
use zenovay_query::engine::{ColumnSet, NO_ROW, SessionPart, VisitColumn, VisitNeeds, VisitTimes, Visits};

use super::GROUP_ROWS_MAX;
use super::pages::unpack;
use crate::rows::LoadedChunk;

/// The version that is written.
pub(super) const VERSION: u8 = 1;

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
const DIMENSIONS: u8 = 32;

/// Makes the visits of one row group, whose columns come one by one.
pub(super) struct VisitsWriter {
    loaded: LoadedChunk,
    /// The first row of each session, by its code.
    first_rows: Vec<u32>,
    columns: Vec<(u8, u32, Vec<u8>)>,
    /// Whether there is a session longer than any can be: then the block says nothing.
    is_given_up: bool,
}

impl VisitsWriter {
    /// For the rows `loaded` with `sessions` session codes.
    pub(super) fn new(
        loaded: LoadedChunk,
        sessions: usize,
        compressor: &mut zstd::bulk::Compressor<'_>,
    ) -> std::io::Result<Self> {
        let parts = &loaded.chunk.sessions;
        let times: Option<Vec<VisitTimes>> = parts.iter().map(|part| VisitTimes::of(part, &loaded.chunk.at)).collect();
        let mut first_rows = vec![NO_ROW; sessions];
        parts.iter().for_each(|part| first_rows[part.session as usize] = part.first_row);
        let mut writer = Self { first_rows, columns: Vec::new(), is_given_up: times.is_none(), loaded };
        writer.add_base(&times.unwrap_or_default(), compressor)?;
        Ok(writer)
    }

    fn add_base(&mut self, times: &[VisitTimes], compressor: &mut zstd::bulk::Compressor<'_>) -> std::io::Result<()> {
        let parts = std::sync::Arc::clone(&self.loaded.chunk.sessions);
        let timed = || parts.iter().zip(times);
        let mut add = |number: u8, numbers: &mut dyn Iterator<Item = u64>| -> std::io::Result<()> {
            self.columns.push(pack(number, numbers, compressor)?);
            Ok(())
        };
        add(SESSION, &mut relative(parts.iter().map(|part| part.session)))?;
        add(VISITOR, &mut relative(parts.iter().map(|part| part.visitor)))?;
        let mut before = 0;
        add(
            FIRST,
            &mut parts.iter().filter(|part| has_events(part)).map(|part| {
                let later = part.first_at.wrapping_sub(before);
                before = part.first_at;
                folded(later)
            }),
        )?;
        let mut before = 0;
        add(
            LAST,
            &mut parts.iter().map(|part| {
                let from = if has_events(part) { part.first_at } else { before };
                before = part.last_at;
                folded(part.last_at.wrapping_sub(from))
            }),
        )?;
        add(PAGEVIEWS, &mut parts.iter().map(|part| u64::from(part.pageviews)))?;
        add(OTHER_EVENTS, &mut parts.iter().map(|part| u64::from(part.other_events)))?;
        add(ENGAGEMENT, &mut parts.iter().map(|part| part.engagement_ms))?;
        add(ENTRY_AFTER, &mut times.iter().map(|times| u64::from(times.entry_ms)))?;
        add(EXIT_BEFORE, &mut times.iter().map(|times| u64::from(times.last_event_ms.saturating_sub(times.exit_ms))))?;
        add(
            EVENT_BEFORE,
            &mut timed().filter(|(part, _)| has_events(part)).map(|(part, times)| {
                folded(part.last_at.wrapping_sub(part.first_at).wrapping_sub(times.last_event_ms.into()))
            }),
        )
    }

    /// Adds what sessions have in the column of `dimension`, in which the rows of the source have `codes` of `values` values.
    pub(super) fn add(
        &mut self,
        dimension: Dimension,
        codes: &[u32],
        values: usize,
        compressor: &mut zstd::bulk::Compressor<'_>,
    ) -> std::io::Result<()> {
        let LoadedChunk { chunk, events, .. } = &self.loaded;
        let code = |row: u32| codes[events.as_ref().map_or(row, |events| events[row as usize]) as usize];
        let at = |row: u32| if row == NO_ROW { 0 } else { code(row) };
        let parts = &chunk.sessions;
        if dimension == Dimension::Path {
            self.columns.push(pack(ENTRY_PAGE, parts.iter().map(|part| at(part.entry_row).into()), compressor)?);
            self.columns.push(pack(EXIT_PAGE, parts.iter().map(|part| at(part.exit_row).into()), compressor)?);
        } else if dimension.level() == DimensionLevel::Session {
            let is_constant = values < 2
                || chunk.session.iter().zip(0..).all(|(&session, row)| {
                    let first = self.first_rows[session as usize];
                    first == row || code(first) == code(row)
                });
            if is_constant {
                let number = DIMENSIONS + dimension as u8;
                let codes = parts.iter().filter(|part| has_events(part)).map(|part| at(part.first_row).into());
                self.columns.push(pack(number, codes, compressor)?);
            }
        }
        Ok(())
    }

    /// The bytes to write, and the rows.
    pub(super) fn finish(self) -> std::io::Result<(Vec<u8>, LoadedChunk)> {
        let parts = if self.is_given_up { &[][..] } else { &self.loaded.chunk.sessions };
        let columns = if self.is_given_up { &[][..] } else { &self.columns };
        let count = |count: usize| u32::try_from(count).map_err(std::io::Error::other);
        let encoded = Encoded {
            visits: count(parts.len())?,
            with_events: count(parts.iter().filter(|part| has_events(part)).count())?,
            columns: columns.iter().map(|(number, unpacked, bytes)| (*number, *unpacked, &bytes[..])).collect(),
        };
        let bytes = postcard::to_extend(&encoded, vec![VERSION]).map_err(std::io::Error::other)?;
        Ok((bytes, self.loaded))
    }
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
    starts: true,
    metrics: true,
    times: true,
};

/// The sessions of a row group as they were stored.
pub(crate) struct StoredVisits<'a> {
    encoded: Encoded<'a>,
}

impl<'a> StoredVisits<'a> {
    /// Those that were written as `bytes`; `None` when a later version wrote them, or they say nothing.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Option<Self>, VisitsError> {
        let (&version, members) = bytes.split_first().ok_or(VisitsError::Malformed("nothing there"))?;
        if version > VERSION {
            return Ok(None);
        }
        let encoded: Encoded<'a> = postcard::from_bytes(members)?;
        if version == 0 || encoded.with_events > encoded.visits || encoded.visits > GROUP_ROWS_MAX {
            return Err(VisitsError::Malformed("impossible counts"));
        }
        Ok((encoded.visits > 0).then_some(Self { encoded }))
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.encoded.visits as usize
    }

    /// The numbers of the sessions that are needed.
    pub(crate) fn read(&self, needs: VisitNeeds) -> Result<Visits, VisitsError> {
        let (count, with_events) = (self.len(), self.encoded.with_events as usize);
        let malformed = |_| VisitsError::Malformed("a number that is too large");
        let mut visits = Visits {
            with_events,
            visitor: self.codes(VISITOR, count)?,
            pageviews: self.needed(PAGEVIEWS, count)?,
            other_events: self.needed(OTHER_EVENTS, count)?,
            ..Visits::default()
        };
        if needs.sessions {
            visits.session = self.codes(SESSION, count)?;
        }
        if needs.starts || needs.times {
            let mut first_at = 0_i64;
            let first = self.needed::<u64>(FIRST, with_events)?;
            visits.first_at = Vec::with_capacity(count);
            visits.first_at.extend(first.into_iter().map(|number| {
                first_at = first_at.wrapping_add(unfolded(number));
                first_at
            }));
        } else if needs.metrics {
            visits.first_at = vec![0; with_events];
        }
        if needs.starts || needs.metrics || needs.times {
            visits.first_at.resize(count, i64::MAX);
        }
        if needs.metrics || needs.times {
            visits.engagement_ms = self.needed(ENGAGEMENT, count)?;
            let mut last_at = 0_i64;
            let last = self.needed::<u64>(LAST, count)?;
            visits.last_at = Vec::with_capacity(count);
            for (number, &first_at) in last.into_iter().zip(&visits.first_at) {
                let from = if first_at == i64::MAX { last_at } else { first_at };
                last_at = from.wrapping_add(unfolded(number));
                visits.last_at.push(last_at);
            }
        }
        if needs.times {
            let entry_after = self.needed::<u32>(ENTRY_AFTER, count)?;
            let exit_before = self.needed::<u32>(EXIT_BEFORE, count)?;
            let event_before = self.needed::<u64>(EVENT_BEFORE, with_events)?;
            for (position, &before) in event_before.iter().enumerate() {
                let length = visits.last_at[position].wrapping_sub(visits.first_at[position]);
                let last_event_ms = u32::try_from(length.wrapping_sub(unfolded(before))).map_err(malformed)?;
                visits.times.push(VisitTimes {
                    entry_ms: entry_after[position],
                    exit_ms: last_event_ms.saturating_sub(exit_before[position]),
                    last_event_ms,
                });
            }
            visits.times.resize(count, VisitTimes::default());
        }
        Ok(visits)
    }

    /// What each session has in the column of `dimension`, one of `values` codes; `None` when a session may have several.
    pub(crate) fn column(&self, dimension: Dimension, values: usize) -> Result<Option<VisitColumn>, VisitsError> {
        let (visits, with_events) = (self.len(), self.encoded.with_events as usize);
        let codes = |number: u8, count: usize| -> Result<Option<Vec<u32>>, VisitsError> {
            let Some(mut codes) = self.numbers::<u32>(number, count)? else { return Ok(None) };
            if codes.iter().copied().max().is_some_and(|highest| highest as usize >= values) {
                return Err(VisitsError::Malformed("a code without a string"));
            }
            codes.resize(visits, 0);
            Ok(Some(codes))
        };
        Ok(match dimension {
            Dimension::Path => {
                let pages = codes(ENTRY_PAGE, visits)?.zip(codes(EXIT_PAGE, visits)?);
                pages.map(|(entry, exit)| VisitColumn::EntryAndExit(entry, exit))
            }
            _ => codes(DIMENSIONS + dimension as u8, with_events)?.map(VisitColumn::Value),
        })
    }

    fn needed<T: Number>(&self, number: u8, count: usize) -> Result<Vec<T>, VisitsError> {
        self.numbers(number, count)?.ok_or(VisitsError::Malformed("a column is missing"))
    }

    fn codes(&self, number: u8, count: usize) -> Result<Vec<u32>, VisitsError> {
        let mut codes = self.needed::<u32>(number, count)?;
        let mut next = 0_u32;
        let slowly = |codes: &mut [u32], mut next: u32| {
            for code in codes {
                *code = if *code == 0 { next } else { *code - 1 };
                next = next.max(code.saturating_add(1));
            }
            next
        };
        let mut blocks = codes.chunks_exact_mut(8);
        for block in &mut blocks {
            // Mostly the next ones, and those that are written came before: then no code waits for the one before it.
            let is_above = block.iter().fold(false, |is_above, &code| is_above | (code > next));
            if is_above || next > u32::MAX - 8 {
                next = slowly(block, next);
                continue;
            }
            for code in block {
                let is_next = *code == 0;
                *code = if is_next { next } else { *code - 1 };
                next += u32::from(is_next);
            }
        }
        slowly(blocks.into_remainder(), next);
        Ok(codes)
    }

    /// The numbers of a column with `count` of them; `None` when there is no such column.
    fn numbers<T: Number>(&self, number: u8, count: usize) -> Result<Option<Vec<T>>, VisitsError> {
        let Some(&(_, unpacked, bytes)) = self.encoded.columns.iter().find(|(own, ..)| *own == number) else {
            return Ok(None);
        };
        // No number takes more than ten bytes: a damaged length reserves no memory.
        if unpacked as usize > count.saturating_mul(10) {
            return Err(VisitsError::Malformed("a column is too long"));
        }
        let bytes = unpack(bytes, unpacked as usize)?;
        let numbers = unpacked_numbers(&bytes, count);
        numbers.map(Some).ok_or(VisitsError::Malformed("a column does not fit its sessions"))
    }
}

/// A number of a column.
trait Number: Copy + From<u8> + TryFrom<u64> {}

impl Number for u32 {}
impl Number for u64 {}

/// The `count` numbers that `bytes` are; `None` when they are others.
fn unpacked_numbers<T: Number>(bytes: &[u8], count: usize) -> Option<Vec<T>> {
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

fn pack(
    number: u8,
    numbers: impl Iterator<Item = u64>,
    compressor: &mut zstd::bulk::Compressor<'_>,
) -> std::io::Result<(u8, u32, Vec<u8>)> {
    let mut bytes = Vec::new();
    for mut number in numbers {
        while number >= 0x80 {
            bytes.push(low_seven_bits(number) | 0x80);
            number >>= 7;
        }
        bytes.push(low_seven_bits(number));
    }
    let unpacked = u32::try_from(bytes.len()).map_err(std::io::Error::other)?;
    Ok((number, unpacked, compressor.compress(&bytes)?))
}

fn low_seven_bits(number: u64) -> u8 {
    (number & 0x7f) as u8
}

/// Codes as they are written.
fn relative(codes: impl Iterator<Item = u32>) -> impl Iterator<Item = u64> {
    let mut next = 0_u64;
    codes.map(move |code| {
        let code = u64::from(code);
        let written = if code == next { 0 } else { code + 1 };
        next = next.max(code + 1);
        written
    })
}

/// Small numbers stay small, with either sign.
fn folded(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

fn unfolded(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Sabotage: take a bit more or less of a window, or leave out the last step of `seven_bits_each`.
        #[test]
        fn numbers_of_any_length_survive_the_round_trip(
            numbers in prop::collection::vec((any::<u64>(), 0u32..64).prop_map(|(number, shift)| number >> shift), 0..200),
        ) {
            let mut compressor = zstd::bulk::Compressor::new(3).unwrap();
            let (_, unpacked, bytes) = pack(0, numbers.iter().copied(), &mut compressor).unwrap();
            let bytes = unpack(&bytes, unpacked as usize).unwrap();
            prop_assert_eq!(unpacked_numbers::<u64>(&bytes, numbers.len()), Some(numbers.clone()));
            prop_assert_eq!(unpacked_numbers::<u64>(&bytes, numbers.len() + 1), None);
            let small: Option<Vec<u32>> = numbers.iter().map(|&number| u32::try_from(number).ok()).collect();
            prop_assert_eq!(unpacked_numbers::<u32>(&bytes, numbers.len()), small);
        }
    }
}
