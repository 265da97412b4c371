//! Whole sessions out of the parts that chunks hold of them.

use std::collections::HashMap;
use std::ops::Range;

use zenovay_domain::{SESSION_MAX_MS, TimeRange};

use super::work::{Bits, Work};
use crate::derived::SessionMetrics;
use crate::{Chunk, CodeSet, Dataset, MetricValues, NO_ROW, QueryError, SessionPart};

/// A whole session. Its rows are in the chunks named beside them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session<'a> {
    pub(super) part: &'a SessionPart,
    pub(super) first_chunk: u32,
    pub(super) entry_chunk: u32,
    pub(super) exit_chunk: u32,
}

/// The beginning of a whole session.
#[derive(Debug, Clone, Copy)]
pub(super) struct First {
    /// The session's code.
    pub(super) session: u32,
    /// The chunk and the row of its first event.
    pub(super) chunk: u32,
    pub(super) row: u32,
    pub(super) metrics: SessionMetrics,
}

/// The sessions of a dataset with activity in a window of time.
pub(super) struct Sessions<'a> {
    dataset: &'a Dataset<'a>,
    window: TimeRange,
    /// Those with parts in several chunks; none when there is one chunk, which holds its sessions whole.
    split_sessions: &'a CodeSet,
    /// The parts of sessions that have parts in several chunks, each with its chunk; ordered by their first event.
    split: Vec<(u32, SessionPart)>,
    /// These sessions put together, ordered by their first event.
    merged: Vec<Merged>,
}

#[derive(Debug, Clone, Copy)]
struct Merged {
    part: SessionPart,
    /// When the last event is; `i64::MIN` without events.
    last_event_at: i64,
    first_chunk: u32,
    entry_chunk: u32,
    exit_chunk: u32,
}

impl<'a> Sessions<'a> {
    /// `window` must hold all activity of the sessions that are asked for later.
    pub(super) fn new(dataset: &'a Dataset<'a>, window: TimeRange, work: &Work<'_>) -> Result<Self, QueryError> {
        let split_sessions = if dataset.chunks.len() < 2 { CodeSet::EMPTY } else { dataset.split_sessions };
        let mut sessions = Self { dataset, window, split_sessions, split: Vec::new(), merged: Vec::new() };
        if split_sessions.is_empty() {
            return Ok(sessions);
        }
        let mut parts: Vec<(u32, SessionPart)> = Vec::new();
        for (number, chunk) in dataset.chunks.iter().enumerate() {
            work.check()?;
            for range in [starting_in(chunk, window), heartbeats_ending_in(chunk, window)] {
                chunk.session_index().for_each_of(split_sessions, range, |position| {
                    parts.push((number as u32, chunk.sessions[position]));
                });
            }
        }
        work.reserve::<(u32, SessionPart)>(2 * parts.len())?;
        // Stable: the parts of a session stay in the order of the chunks.
        parts.sort_by_key(|(_, part)| part.session);
        let same_session = |a: &(u32, SessionPart), b: &(u32, SessionPart)| a.1.session == b.1.session;
        sessions.merged = parts.chunk_by(same_session).map(|parts| merge(dataset, parts)).collect();
        sessions.merged.sort_by_key(|merged| merged.part.first_at);
        parts.sort_by_key(|(_, part)| part.first_at);
        sessions.split = parts;
        Ok(sessions)
    }

    /// The metrics of the sessions whose first event is in `range`, which must be within the window. Takes a look at each
    /// chunk and at the sessions that are split, not at all sessions.
    pub(super) fn totals_starting_in(&self, range: TimeRange) -> MetricValues {
        let mut totals = MetricValues::default();
        for chunk in self.dataset.chunks {
            totals.add_sessions(&chunk.session_totals(starting_in(chunk, range)));
        }
        // Parts are not sessions: what they brought in is taken out again.
        let mut parts = MetricValues::default();
        for (_, part) in &self.split[in_range(&self.split, range, |(_, part)| part.first_at)] {
            add_session(&mut parts, part);
        }
        totals.subtract_sessions(&parts);
        for merged in self.merged_starting_in(range) {
            add_session(&mut totals, &merged.part);
        }
        totals
    }

    /// The metrics of the sessions with an event in `range`, which must be within the window.
    pub(super) fn totals_with_event_in(&self, range: TimeRange, work: &Work<'_>) -> Result<MetricValues, QueryError> {
        let mut totals = self.totals_starting_in(range);
        self.for_each_reaching_into(range, work, |session| add_session(&mut totals, session.part))?;
        Ok(totals)
    }

    /// Calls `visit` for each session that begins before `range` and has an event in it. The window must hold `range` and as
    /// much before it as a session is long.
    pub(super) fn for_each_reaching_into<'s>(
        &'s self,
        range: TimeRange,
        work: &Work<'_>,
        mut visit: impl FnMut(Session<'s>),
    ) -> Result<(), QueryError> {
        let before = starts_reaching(range);
        // Sessions with events on both sides of the range: only rows tell whether there are some between.
        let mut spanning: Vec<Session<'s>> = Vec::new();
        for (chunk, number) in self.dataset.chunks.iter().zip(0..) {
            let rows = chunk.rows_between(range.from, range.to);
            if rows.is_empty() {
                continue;
            }
            let first = chunk.rows_between(before.from, before.to);
            chunk.for_each_reaching(first, rows.start, |position| {
                let session = Session::in_one_chunk(number, &chunk.sessions[position]);
                if self.is_split(session.part.session) {
                } else if (session.part.last_row as usize) < rows.end {
                    visit(session);
                } else {
                    spanning.push(session);
                }
            });
        }
        for merged in self.merged_starting_in(before) {
            if merged.last_event_at >= range.to.as_millis() {
                spanning.push(merged.session());
            } else if merged.last_event_at >= range.from.as_millis() {
                visit(merged.session());
            }
        }
        self.for_each_with_rows_in(range, &spanning, work, visit)
    }

    /// Calls `visit` for each of `sessions` with an event in `range`, looking at all of its rows.
    fn for_each_with_rows_in<'s>(
        &self,
        range: TimeRange,
        sessions: &[Session<'s>],
        work: &Work<'_>,
        mut visit: impl FnMut(Session<'s>),
    ) -> Result<(), QueryError> {
        let codes = || sessions.iter().map(|session| session.part.session);
        let (Some(lowest), Some(highest)) = (codes().min(), codes().max()) else { return Ok(()) };
        let count = (highest - lowest) as usize + 1;
        let taken = work.lend(size_of_val(sessions) + count / 8)?;
        let mut without = Bits::new(count);
        codes().for_each(|session| without.insert(session - lowest));
        for chunk in self.dataset.chunks {
            work.for_each_block(chunk.rows_between(range.from, range.to), |block| {
                for &session in &chunk.session[block] {
                    without.remove_if_there(session.wrapping_sub(lowest));
                }
            })?;
        }
        sessions.iter().filter(|session| !without.contains(session.part.session - lowest)).for_each(|s| visit(*s));
        drop(taken);
        Ok(())
    }

    fn merged_starting_in(&self, range: TimeRange) -> &[Merged] {
        &self.merged[in_range(&self.merged, range, |merged| merged.part.first_at)]
    }

    /// At least as many sessions as [`Sessions::for_each_starting_in`] goes through.
    pub(super) fn count_starting_in(&self, range: TimeRange) -> usize {
        let parts: usize = self.dataset.chunks.iter().map(|chunk| starting_in(chunk, range).len()).sum();
        parts + self.merged_starting_in(range).len()
    }

    /// Calls `visit` for each session whose first event is in `range`, which must be within the window.
    #[inline]
    pub(super) fn for_each_starting_in<'s>(
        &'s self,
        range: TimeRange,
        work: &Work<'_>,
        mut visit: impl FnMut(Session<'s>),
    ) -> Result<(), QueryError> {
        for (number, chunk) in self.dataset.chunks.iter().enumerate() {
            self.for_each_whole(number, chunk, starting_in(chunk, range), work, &mut visit)?;
        }
        self.merged_starting_in(range).iter().for_each(|merged| visit(merged.session()));
        Ok(())
    }

    /// The same for visitors that need no more than the session's metrics and where its first event is.
    #[inline]
    pub(super) fn for_each_first(
        &self,
        range: TimeRange,
        work: &Work<'_>,
        mut visit: impl FnMut(First),
    ) -> Result<(), QueryError> {
        for (chunk, number) in self.dataset.chunks.iter().zip(0..) {
            let index = chunk.session_index();
            work.for_each_block(starting_in(chunk, range), |parts| {
                let columns = index.session[parts.clone()].iter().zip(&index.first_row[parts.clone()]);
                for ((&session, &row), &metrics) in columns.zip(&index.shares[parts]) {
                    if !self.is_split(session) {
                        visit(First { session, chunk: number, row, metrics });
                    }
                }
            })?;
        }
        self.merged_starting_in(range).iter().for_each(|merged| visit(merged.session().first()));
        Ok(())
    }

    /// Calls `visit` for each session with activity in the window, also those with heartbeats only.
    pub(super) fn for_each(&self, work: &Work<'_>, mut visit: impl FnMut(Session<'_>)) -> Result<(), QueryError> {
        for (number, chunk) in self.dataset.chunks.iter().enumerate() {
            self.for_each_whole(number, chunk, starting_in(chunk, self.window), work, &mut visit)?;
            self.for_each_whole(number, chunk, heartbeats_ending_in(chunk, self.window), work, &mut visit)?;
        }
        for merged in &self.merged {
            visit(merged.session());
        }
        Ok(())
    }

    #[inline]
    fn for_each_whole<'s>(
        &self,
        number: usize,
        chunk: &'s Chunk,
        parts: Range<usize>,
        work: &Work<'_>,
        visit: &mut impl FnMut(Session<'s>),
    ) -> Result<(), QueryError> {
        work.for_each_block(parts, |parts| {
            for part in &chunk.sessions[parts] {
                if !self.is_split(part.session) {
                    visit(Session::in_one_chunk(number as u32, part));
                }
            }
        })
    }

    /// Calls `visit` with each part of a session that has parts in several chunks, and with the chunk of the part.
    pub(super) fn for_each_split_part(&self, mut visit: impl FnMut(u32, &SessionPart)) {
        self.split.iter().for_each(|(number, part)| visit(*number, part));
    }

    /// The sessions with parts in several chunks, put together.
    pub(super) fn merged(&self) -> impl Iterator<Item = Session<'_>> {
        self.merged.iter().map(Merged::session)
    }

    /// Where pageviews of the sessions with parts in several chunks are, other events among them: rows of chunks, each once
    /// and in their order.
    pub(super) fn split_pageviews(&self) -> Vec<(u32, Range<usize>)> {
        let with_pageviews = self.split.iter().filter(|(_, part)| part.entry_row != NO_ROW);
        let mut spans: Vec<(u32, Range<usize>)> = with_pageviews
            .map(|&(number, part)| (number, part.entry_row as usize..part.exit_row as usize + 1))
            .collect();
        spans.sort_unstable_by_key(|(number, rows)| (*number, rows.start));
        let mut apart: Vec<(u32, Range<usize>)> = Vec::new();
        for (number, rows) in spans {
            match apart.last_mut() {
                Some((last, before)) if *last == number && rows.start <= before.end => {
                    before.end = before.end.max(rows.end);
                }
                _ => apart.push((number, rows)),
            }
        }
        apart
    }

    /// The last activity of each session with parts in several chunks, by its code.
    pub(super) fn last_activity_of_split(&self) -> HashMap<u32, i64> {
        self.merged.iter().map(|merged| (merged.part.session, merged.part.last_at)).collect()
    }

    /// Whether the session with this code is in several chunks.
    #[inline]
    pub(super) fn is_split(&self, session: u32) -> bool {
        self.split_sessions.contains(session)
    }
}

impl<'a> Session<'a> {
    /// A session that is whole in chunk `number`.
    #[inline]
    fn in_one_chunk(number: u32, part: &'a SessionPart) -> Self {
        Self { part, first_chunk: number, entry_chunk: number, exit_chunk: number }
    }

    pub(super) fn first(&self) -> First {
        let Self { part, first_chunk, .. } = *self;
        First { session: part.session, chunk: first_chunk, row: part.first_row, metrics: SessionMetrics::of(part) }
    }
}

/// When the sessions begin that begin before `range` and may reach into it.
fn starts_reaching(range: TimeRange) -> TimeRange {
    TimeRange::new(range.from.plus_millis(-SESSION_MAX_MS), range.from)
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
    // A chunk outside the range is the common case for a bucket of a series.
    if chunk.at.last().is_none_or(|&last| last < range.from.as_millis())
        || chunk.at.first().is_none_or(|&first| first >= range.to.as_millis())
    {
        return 0..0;
    }
    in_range(&chunk.sessions, range, |part| part.first_at)
}

/// The positions of those `items` whose time is in `range`; they are ordered by it.
fn in_range<T>(items: &[T], range: TimeRange, at: impl Fn(&T) -> i64) -> Range<usize> {
    let from = items.partition_point(|item| at(item) < range.from.as_millis());
    let to = items.partition_point(|item| at(item) < range.to.as_millis());
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
    let last_event_at = |(number, part): &(u32, SessionPart)| {
        if part.last_row == NO_ROW { i64::MIN } else { at(*number, part.last_row) }
    };
    let (number, part) = parts[0];
    let mut merged = Merged {
        part,
        last_event_at: parts.iter().map(last_event_at).max().unwrap_or(i64::MIN),
        first_chunk: number,
        entry_chunk: number,
        exit_chunk: number,
    };
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

/// Counts a session.
#[inline]
pub(crate) fn add_session(metrics: &mut MetricValues, part: &SessionPart) {
    SessionMetrics::of(part).add_to(metrics);
}
