//! Whole sessions out of the parts that chunks hold of them.

use std::ops::Range;

use zenovay_domain::{BOUNCE_ENGAGEMENT_MS, TimeRange, value_score};

use super::work::Work;
use crate::{Chunk, Dataset, MetricValues, NO_ROW, QueryError, SessionPart};

/// A whole session. Its rows are in the chunks named beside them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session<'a> {
    pub(super) part: &'a SessionPart,
    pub(super) first_chunk: u32,
    pub(super) entry_chunk: u32,
    pub(super) exit_chunk: u32,
}

/// The sessions of a dataset with activity in a window of time.
pub(super) struct Sessions<'a> {
    dataset: &'a Dataset<'a>,
    window: TimeRange,
    /// The sessions with parts in several chunks, put together.
    merged: Vec<Merged>,
}

#[derive(Debug, Clone, Copy)]
struct Merged {
    part: SessionPart,
    first_chunk: u32,
    entry_chunk: u32,
    exit_chunk: u32,
}

impl<'a> Sessions<'a> {
    /// `window` must hold all activity of the sessions that are asked for later.
    pub(super) fn new(dataset: &'a Dataset<'a>, window: TimeRange, work: &Work<'_>) -> Result<Self, QueryError> {
        let mut sessions = Self { dataset, window, merged: Vec::new() };
        // A chunk alone holds its sessions whole.
        if dataset.chunks.len() < 2 {
            return Ok(sessions);
        }
        let mut parts: Vec<(u32, SessionPart)> = Vec::new();
        for (number, chunk) in dataset.chunks.iter().enumerate() {
            work.check()?;
            for range in [starting_in(chunk, window), heartbeats_ending_in(chunk, window)] {
                let several = chunk.sessions[range].iter().filter(|part| !sessions.is_whole(part));
                parts.extend(several.map(|&part| (number as u32, part)));
            }
        }
        work.take::<(u32, SessionPart)>(2 * parts.len())?;
        // Stable: the parts of a session stay in the order of the chunks.
        parts.sort_by_key(|(_, part)| part.session);
        let same_session = |a: &(u32, SessionPart), b: &(u32, SessionPart)| a.1.session == b.1.session;
        sessions.merged = parts.chunk_by(same_session).map(|parts| merge(dataset, parts)).collect();
        Ok(sessions)
    }

    #[inline]
    fn is_whole(&self, part: &SessionPart) -> bool {
        self.dataset.chunks.len() < 2 || self.dataset.session_parts[part.session as usize] < 2
    }

    /// Calls `visit` for each session whose first event is in `range`, which must be within the window.
    #[inline]
    pub(super) fn for_each_starting_in(&self, range: TimeRange, mut visit: impl FnMut(Session<'_>)) {
        for (number, chunk) in self.dataset.chunks.iter().enumerate() {
            self.for_each_whole(number, chunk, starting_in(chunk, range), &mut visit);
        }
        for merged in &self.merged {
            if range.from.as_millis() <= merged.part.first_at && merged.part.first_at < range.to.as_millis() {
                visit(merged.session());
            }
        }
    }

    /// Calls `visit` for each session with activity in the window, also those with heartbeats only.
    pub(super) fn for_each(&self, mut visit: impl FnMut(Session<'_>)) {
        for (number, chunk) in self.dataset.chunks.iter().enumerate() {
            self.for_each_whole(number, chunk, starting_in(chunk, self.window), &mut visit);
            self.for_each_whole(number, chunk, heartbeats_ending_in(chunk, self.window), &mut visit);
        }
        for merged in &self.merged {
            visit(merged.session());
        }
    }

    #[inline]
    fn for_each_whole(&self, number: usize, chunk: &Chunk, parts: Range<usize>, visit: &mut impl FnMut(Session<'_>)) {
        let chunk_number = number as u32;
        let whole =
            |part| Session { part, first_chunk: chunk_number, entry_chunk: chunk_number, exit_chunk: chunk_number };
        for part in &chunk.sessions[parts] {
            if self.is_whole(part) {
                visit(whole(part));
            }
        }
    }

    /// Whether the session with this code is in several chunks.
    #[inline]
    pub(super) fn is_split(&self, session: u32) -> bool {
        self.dataset.chunks.len() >= 2 && self.dataset.session_parts[session as usize] >= 2
    }
}

impl Merged {
    fn session(&self) -> Session<'_> {
        Session {
            part: &self.part,
            first_chunk: self.first_chunk,
            entry_chunk: self.entry_chunk,
            exit_chunk: self.exit_chunk,
        }
    }
}

/// The parts of `chunk` whose first event is in `range`.
fn starting_in(chunk: &Chunk, range: TimeRange) -> Range<usize> {
    let from = chunk.sessions.partition_point(|part| part.first_at < range.from.as_millis());
    let to = chunk.sessions.partition_point(|part| part.first_at < range.to.as_millis());
    from..to.max(from)
}

/// The parts of `chunk` without events whose last heartbeat is in `range`.
fn heartbeats_ending_in(chunk: &Chunk, range: TimeRange) -> Range<usize> {
    let position = |at: i64| chunk.sessions.partition_point(|part| part.first_row != NO_ROW || part.last_at < at);
    let from = position(range.from.as_millis());
    from..position(range.to.as_millis()).max(from)
}

/// Puts the parts of one session together; they stand in the order of their chunks.
fn merge(dataset: &Dataset<'_>, parts: &[(u32, SessionPart)]) -> Merged {
    let at = |chunk: u32, row: u32| dataset.chunks[chunk as usize].at[row as usize];
    let (number, part) = parts[0];
    let mut merged = Merged { part, first_chunk: number, entry_chunk: number, exit_chunk: number };
    for &(number, part) in &parts[1..] {
        let whole = &mut merged.part;
        if part.first_at < whole.first_at {
            whole.first_at = part.first_at;
            whole.first_row = part.first_row;
            whole.visitor = part.visitor;
            merged.first_chunk = number;
        }
        if part.entry_row != NO_ROW {
            if whole.entry_row == NO_ROW || at(number, part.entry_row) < at(merged.entry_chunk, whole.entry_row) {
                whole.entry_row = part.entry_row;
                merged.entry_chunk = number;
            }
            if whole.exit_row == NO_ROW || at(number, part.exit_row) >= at(merged.exit_chunk, whole.exit_row) {
                whole.exit_row = part.exit_row;
                merged.exit_chunk = number;
            }
        }
        whole.last_at = whole.last_at.max(part.last_at);
        whole.pageviews += part.pageviews;
        whole.other_events += part.other_events;
        whole.engagement_ms += part.engagement_ms;
    }
    merged
}

/// From first event to last activity, milliseconds.
#[inline]
pub(super) fn duration_ms(part: &SessionPart) -> i64 {
    part.last_at.saturating_sub(part.first_at).max(0)
}

/// The `value_score` of the session.
#[inline]
pub(super) fn score(part: &SessionPart) -> u8 {
    value_score(u64::from(part.pageviews), duration_ms(part), part.other_events > 0)
}

/// Counts a session.
#[inline]
pub(super) fn add_session(metrics: &mut MetricValues, part: &SessionPart) {
    let is_bounce = part.pageviews == 1 && part.other_events == 0 && part.engagement_ms < BOUNCE_ENGAGEMENT_MS as u64;
    metrics.sessions += 1;
    metrics.bounces += u64::from(is_bounce);
    metrics.duration_ms += duration_ms(part) as u64;
    metrics.value_score += u64::from(score(part));
}
