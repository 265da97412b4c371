//! What kernels find out about a chunk once, for all queries that come after.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use zenovay_domain::{BOUNCE_ENGAGEMENT_MS, Dimension, EventKind};

use crate::kernels::{duration_ms, score};
use crate::{Chunk, CodeSet, MetricValues, NO_ROW, SessionPart};

/// Parts whose totals are summed up once.
const BLOCK_PARTS: usize = 64;

/// [`Chunk::times_on_page`] of a row without a time on page.
pub(crate) const UNTIMED: u32 = u32::MAX;

/// What kernels found out about the rows of a [`Chunk`]. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Derived(Arc<Found>);

#[derive(Debug, Default)]
struct Found {
    sessions: OnceLock<SessionIndex>,
    times_on_page: OnceLock<Box<[u32]>>,
    of_sessions: [OnceLock<bool>; Dimension::COUNT],
}

impl Derived {
    /// What it takes in memory by now, in bytes.
    pub fn bytes(&self) -> usize {
        let times = self.0.times_on_page.get().map_or(0, |times| size_of_val(&**times));
        size_of::<Found>() + times + self.0.sessions.get().map_or(0, SessionIndex::bytes)
    }
}

/// The members of a session table that kernels read in long runs, side by side.
#[derive(Debug)]
pub(crate) struct SessionIndex {
    /// [`SessionPart::session`] of each part.
    pub(crate) session: Box<[u32]>,
    /// [`SessionPart::visitor`] of each part.
    pub(crate) visitor: Box<[u32]>,
    /// [`SessionPart::first_row`] of each part: ascending.
    pub(crate) first_row: Box<[u32]>,
    /// [`SessionPart::last_row`] of each part with events.
    last_row: Box<[u32]>,
    /// What each part would bring in as a whole session.
    pub(crate) shares: Box<[SessionMetrics]>,
    /// What all parts before each block of parts come to.
    before_blocks: Box<[PartTotals]>,
    /// The latest of `last_row` in each block of parts.
    last_row_of_blocks: Box<[u32]>,
    /// The lowest and the highest session code in each block of all parts, also of those without events.
    codes_of_blocks: Box<[(u32, u32)]>,
}

/// The metrics of one session.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SessionMetrics {
    duration_ms: u32,
    value_score: u8,
    sessions: u8,
    bounces: u8,
}

impl SessionMetrics {
    pub(crate) fn of(part: &SessionPart) -> Self {
        let is_bounce =
            part.pageviews == 1 && part.other_events == 0 && part.engagement_ms < BOUNCE_ENGAGEMENT_MS as u64;
        Self {
            // No session is longer than a day.
            duration_ms: u32::try_from(duration_ms(part)).unwrap_or(u32::MAX),
            value_score: score(part),
            sessions: 1,
            bounces: u8::from(is_bounce),
        }
    }

    /// Counts the session.
    #[inline]
    pub(crate) fn add_to(self, metrics: &mut MetricValues) {
        metrics.sessions += u64::from(self.sessions);
        metrics.bounces += u64::from(self.bounces);
        metrics.duration_ms += u64::from(self.duration_ms);
        metrics.value_score += u64::from(self.value_score);
    }
}

impl MetricValues {
    /// Counts the sessions that `others` counts.
    pub(crate) fn add_sessions(&mut self, others: &Self) {
        self.sessions += others.sessions;
        self.bounces += others.bounces;
        self.duration_ms += others.duration_ms;
        self.value_score += others.value_score;
    }

    /// Takes the sessions that `others` counts out again.
    pub(crate) fn take_sessions_out(&mut self, others: &Self) {
        self.sessions -= others.sessions;
        self.bounces -= others.bounces;
        self.duration_ms -= others.duration_ms;
        self.value_score -= others.value_score;
    }
}

/// What the first so many parts of a table come to.
#[derive(Debug, Clone, Copy)]
struct PartTotals {
    metrics: MetricValues,
    last_at: i64,
}

impl Default for PartTotals {
    fn default() -> Self {
        Self { metrics: MetricValues::default(), last_at: i64::MIN }
    }
}

impl PartTotals {
    fn add(&mut self, part: &SessionPart, share: SessionMetrics) {
        share.add_to(&mut self.metrics);
        self.last_at = self.last_at.max(part.last_at);
    }
}

impl SessionIndex {
    fn new(parts: &[SessionPart]) -> Self {
        let mut totals = PartTotals::default();
        let with_events = parts.partition_point(|part| part.first_row != NO_ROW);
        let mut before_blocks = Vec::with_capacity(with_events / BLOCK_PARTS + 2);
        before_blocks.push(totals);
        for block in parts[..with_events].chunks(BLOCK_PARTS) {
            block.iter().for_each(|part| totals.add(part, SessionMetrics::of(part)));
            before_blocks.push(totals);
        }
        let session: Box<[u32]> = parts.iter().map(|part| part.session).collect();
        let last_row: Box<[u32]> = parts[..with_events].iter().map(|part| part.last_row).collect();
        let bounds = |codes: &[u32]| {
            codes.iter().fold((u32::MAX, 0), |(lowest, highest), &code| (code.min(lowest), code.max(highest)))
        };
        Self {
            last_row_of_blocks: last_row
                .chunks(BLOCK_PARTS)
                .map(|rows| rows.iter().copied().max().unwrap_or(0))
                .collect(),
            codes_of_blocks: session.chunks(BLOCK_PARTS).map(bounds).collect(),
            session,
            last_row,
            visitor: parts.iter().map(|part| part.visitor).collect(),
            first_row: parts.iter().map(|part| part.first_row).collect(),
            shares: parts[..with_events].iter().map(SessionMetrics::of).collect(),
            before_blocks: before_blocks.into(),
        }
    }

    fn bytes(&self) -> usize {
        let of_parts = 3 * size_of_val(&*self.session) + size_of_val(&*self.last_row) + size_of_val(&*self.shares);
        of_parts
            + size_of_val(&*self.before_blocks)
            + size_of_val(&*self.last_row_of_blocks)
            + size_of_val(&*self.codes_of_blocks)
    }

    /// Calls `visit` with the position of each of the parts at `positions` whose session is in `sessions`.
    pub(crate) fn for_each_of(&self, sessions: &CodeSet, positions: Range<usize>, mut visit: impl FnMut(usize)) {
        for (block, inside) in blocks_of(positions) {
            let (lowest, highest) = self.codes_of_blocks[block];
            if sessions.may_contain_any(lowest, highest) {
                inside.filter(|&position| sessions.contains(self.session[position])).for_each(&mut visit);
            }
        }
    }
}

/// The blocks of parts that `positions` reach into, each with those of the positions that are in it.
fn blocks_of(positions: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
    (positions.start / BLOCK_PARTS..positions.end.div_ceil(BLOCK_PARTS)).map(move |block| {
        let inside = block * BLOCK_PARTS..(block + 1) * BLOCK_PARTS;
        (block, inside.start.max(positions.start)..inside.end.min(positions.end))
    })
}

impl Chunk {
    pub(crate) fn session_index(&self) -> &SessionIndex {
        self.derived.0.sessions.get_or_init(|| SessionIndex::new(&self.sessions))
    }

    /// The metrics of sessions of the parts at `positions`, which have events, as if each were a whole session.
    pub(crate) fn session_totals(&self, positions: Range<usize>) -> MetricValues {
        let mut totals = self.totals_before(positions.end).metrics;
        totals.take_sessions_out(&self.totals_before(positions.start).metrics);
        totals
    }

    /// Where the visitors of the events in `rows` are found: in the rows of the first range, and in the parts at the
    /// positions of the second. There are fewer sessions than events, but which of those that began before the rows have an
    /// event among them only the rows tell.
    pub(crate) fn visits(&self, rows: Range<usize>) -> (Range<usize>, Range<usize>) {
        let first_rows = &self.session_index().first_row;
        let beginning_before = |row: usize| first_rows.partition_point(|&first_row| (first_row as usize) < row);
        let last_at = self.totals_before(beginning_before(rows.start)).last_at;
        let reached = self.at.partition_point(|&at| at <= last_at).clamp(rows.start, rows.end);
        (rows.start..reached, beginning_before(reached)..beginning_before(rows.end))
    }

    /// Calls `visit` with the position of each part whose first event is in the rows `first`, and whose last event is in
    /// row `from` or later.
    pub(crate) fn for_each_reaching(&self, first: Range<usize>, from: usize, mut visit: impl FnMut(usize)) {
        let index = self.session_index();
        let beginning_before = |row: usize| index.first_row.partition_point(|&first_row| (first_row as usize) < row);
        for (block, inside) in blocks_of(beginning_before(first.start)..beginning_before(first.end)) {
            // Nearly all sessions have ended long before.
            if index.last_row_of_blocks[block] as usize >= from {
                inside.filter(|&position| index.last_row[position] as usize >= from).for_each(&mut visit);
            }
        }
    }

    fn totals_before(&self, count: usize) -> PartTotals {
        let index = self.session_index();
        let mut totals = index.before_blocks[count / BLOCK_PARTS];
        let rest = count / BLOCK_PARTS * BLOCK_PARTS..count;
        self.sessions[rest.clone()].iter().zip(&index.shares[rest]).for_each(|(part, &share)| totals.add(part, share));
        totals
    }

    /// The time on page of each pageview, milliseconds, as far as this chunk knows: to the next pageview of its session, of
    /// the last one to a later last activity. [`UNTIMED`] for others and for other events.
    pub(crate) fn times_on_page(&self) -> &[u32] {
        self.derived.0.times_on_page.get_or_init(|| {
            let mut times = vec![UNTIMED; self.at.len()];
            let between = |from: i64, to: i64| u32::try_from(to - from).unwrap_or(UNTIMED - 1);
            let mut last_pageviews = OfSessions::new(self, NO_ROW);
            for row in (0..self.at.len()).filter(|&row| self.kind[row] == EventKind::Pageview as u8) {
                let before = std::mem::replace(last_pageviews.of(self.session[row]), row as u32);
                if before != NO_ROW {
                    times[before as usize] = between(self.at[before as usize], self.at[row]);
                }
            }
            for part in self.sessions.iter().filter(|part| part.exit_row != NO_ROW) {
                let at = self.at[part.exit_row as usize];
                if part.last_at > at {
                    times[part.exit_row as usize] = between(at, part.last_at);
                }
            }
            times.into()
        })
    }

    /// Whether all events that a session has in this chunk have the same code in `column`, which is that of `dimension`.
    pub(crate) fn is_of_sessions(&self, dimension: Dimension, column: &[u32]) -> bool {
        *self.derived.0.of_sessions[dimension as usize].get_or_init(|| {
            let mut codes = OfSessions::new(self, u32::MAX);
            self.session.iter().zip(column).all(|(&session, &code)| {
                let known = codes.of(session);
                if *known == u32::MAX {
                    *known = code;
                }
                *known == code
            })
        })
    }
}

/// One value for each session of a chunk, by the session's code.
struct OfSessions {
    values: Vec<u32>,
    lowest: u32,
}

impl OfSessions {
    fn new(chunk: &Chunk, value: u32) -> Self {
        let lowest = chunk.session.iter().copied().min().unwrap_or(0);
        let highest = chunk.session.iter().copied().max().unwrap_or(0);
        Self { values: vec![value; (highest - lowest) as usize + 1], lowest }
    }

    #[inline]
    fn of(&mut self, session: u32) -> &mut u32 {
        &mut self.values[(session - self.lowest) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u32) -> SessionPart {
        let first_at = i64::from(number) * 10;
        SessionPart {
            session: 1_000 - number,
            visitor: number % 7,
            first_at,
            last_at: first_at + i64::from(number * 37 % 1_000),
            first_row: 2 * number,
            last_row: 2 * number + number * 5 % 16,
            entry_row: 2 * number,
            exit_row: 2 * number,
            pageviews: 1 + number % 3,
            other_events: number % 2,
            engagement_ms: u64::from(number % 5) * 4_000,
        }
    }

    #[test]
    fn totals_of_a_run_are_those_of_its_parts() {
        for count in [0, 1, 63, 64, 65, 128, 200] {
            let parts: Vec<SessionPart> = (0..count).map(part).collect();
            let chunk = Chunk { sessions: parts.clone().into(), ..Chunk::default() };
            for (from, to) in [(0, count), (0, 0), (count, count), (count / 3, count / 2), (count / 2, count)] {
                let mut expected = MetricValues::default();
                let positions = from as usize..to as usize;
                parts[positions.clone()].iter().for_each(|part| SessionMetrics::of(part).add_to(&mut expected));
                assert_eq!(chunk.session_totals(positions.clone()), expected, "{from}..{to} of {count}");
                let last_at = parts[..positions.end].iter().map(|part| part.last_at).max();
                assert_eq!(chunk.totals_before(positions.end).last_at, last_at.unwrap_or(i64::MIN), "{to} of {count}");
            }
        }
    }

    #[test]
    fn what_is_found_counts_as_memory() {
        let parts: Vec<SessionPart> = (0..100).map(part).collect();
        let at: Vec<i64> = (0..300).collect();
        let chunk = Chunk {
            kind: vec![0; at.len()].into(),
            session: vec![1_000; at.len()].into(),
            at: at.into(),
            sessions: parts.into(),
            ..Chunk::default()
        };
        let nothing = chunk.derived.bytes();
        chunk.session_index();
        let index = chunk.derived.bytes() - nothing;
        assert!(index >= 100 * 24, "{index}");
        chunk.clone().times_on_page();
        assert_eq!(chunk.derived.bytes(), nothing + index + 300 * 4, "a clone shares what it found");
    }
}
