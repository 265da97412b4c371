//! What kernels find out about a chunk once, for all queries that come after.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use zenovay_domain::{BOUNCE_ENGAGEMENT_MS, Dimension};

use crate::{CodeSet, MetricValues, NO_ROW, SessionPart};

/// Parts whose totals are summed up once.
const BLOCK_PARTS: usize = 64;

/// What kernels found out about the rows of a [`crate::Chunk`]. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Derived(Arc<CachedFacts>);

/// Each fact is found when it is first asked for.
#[derive(Debug, Default)]
pub(crate) struct CachedFacts {
    pub(crate) session_index: OnceLock<SessionIndex>,
    pub(crate) times_on_page: OnceLock<Box<[u32]>>,
    /// Whether the column of a dimension has one code per session.
    pub(crate) constant_per_session: [OnceLock<bool>; Dimension::COUNT],
}

impl Derived {
    /// What it takes in memory by now, in bytes.
    pub fn bytes(&self) -> usize {
        let times = self.0.times_on_page.get().map_or(0, |times| size_of_val(&**times));
        size_of::<CachedFacts>() + times + self.0.session_index.get().map_or(0, SessionIndex::bytes)
    }

    pub(crate) fn facts(&self) -> &CachedFacts {
        &self.0
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
    #[inline]
    pub(crate) fn of(part: &SessionPart) -> Self {
        // Nobody can guess it, so no part of it is a branch.
        let is_bounce =
            (part.pageviews == 1) & (part.other_events == 0) & (part.engagement_ms < BOUNCE_ENGAGEMENT_MS as u64);
        Self {
            // No session is longer than a day.
            duration_ms: u32::try_from(part.duration_ms()).unwrap_or(u32::MAX),
            value_score: part.value_score(),
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

/// What some sessions of a section come to, in few numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SessionSums {
    /// How many there are in the low half, and how many of them bounced in the high one.
    counts: u64,
    duration_ms: u64,
    value_score: u64,
}

impl SessionSums {
    /// Counts a session.
    #[inline]
    pub(crate) fn add(&mut self, session: SessionMetrics) {
        self.counts += u64::from(session.sessions) | u64::from(session.bounces) << 32;
        self.duration_ms += u64::from(session.duration_ms);
        self.value_score += u64::from(session.value_score);
    }

    /// Counts the sessions.
    pub(crate) fn add_to(self, metrics: &mut MetricValues) {
        metrics.sessions += self.counts & u64::from(u32::MAX);
        metrics.bounces += self.counts >> 32;
        metrics.duration_ms += self.duration_ms;
        metrics.value_score += self.value_score;
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
    pub(crate) fn subtract_sessions(&mut self, others: &Self) {
        self.sessions -= others.sessions;
        self.bounces -= others.bounces;
        self.duration_ms -= others.duration_ms;
        self.value_score -= others.value_score;
    }
}

/// What the first so many parts of a table come to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartTotals {
    pub(crate) metrics: MetricValues,
    /// The latest last activity, milliseconds; `i64::MIN` of no parts.
    pub(crate) last_at: i64,
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
    pub(crate) fn new(parts: &[SessionPart]) -> Self {
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

    /// How many parts have their first event before row `row`.
    pub(crate) fn beginning_before(&self, row: usize) -> usize {
        self.first_row.partition_point(|&first_row| (first_row as usize) < row)
    }

    /// See [`crate::Chunk`]'s method of this name.
    pub(crate) fn for_each_reaching(&self, first: Range<usize>, from: usize, mut visit: impl FnMut(usize)) {
        for (block, inside) in blocks_of(self.beginning_before(first.start)..self.beginning_before(first.end)) {
            // Nearly all sessions have ended long before.
            if self.last_row_of_blocks[block] as usize >= from {
                inside.filter(|&position| self.last_row[position] as usize >= from).for_each(&mut visit);
            }
        }
    }

    /// What the first `count` of `parts`, which this is the index of, come to. They must have events.
    pub(crate) fn totals_before(&self, parts: &[SessionPart], count: usize) -> PartTotals {
        let mut totals = self.before_blocks[count / BLOCK_PARTS];
        let rest = count / BLOCK_PARTS * BLOCK_PARTS..count;
        parts[rest.clone()].iter().zip(&self.shares[rest]).for_each(|(part, &share)| totals.add(part, share));
        totals
    }
}

/// The blocks of parts that `positions` reach into, each with those of the positions that are in it.
fn blocks_of(positions: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
    (positions.start / BLOCK_PARTS..positions.end.div_ceil(BLOCK_PARTS)).map(move |block| {
        let inside = block * BLOCK_PARTS..(block + 1) * BLOCK_PARTS;
        (block, inside.start.max(positions.start)..inside.end.min(positions.end))
    })
}
