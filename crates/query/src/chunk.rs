//! A run of one website's events, and what kernels ask it for.

use std::ops::Range;
use std::sync::Arc;

use zenovay_domain::{Dimension, EventKind, Timestamp};

use crate::derived::{Derived, PartTotals, SessionIndex};
use crate::{MetricValues, NO_ROW, SessionPart};

/// Codes of one string column, one a row.
pub type Column = Arc<[u32]>;

/// [`Chunk::times_on_page`] of a row without a time on page.
pub(crate) const UNTIMED: u32 = u32::MAX;

/// A run of one website's events (no heartbeats), sorted by time; rows of the same time stand in the order of their
/// arrival. Chunks may overlap in time.
#[derive(Debug, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "stores make it, member by member")]
pub struct Chunk {
    /// When each event happened, milliseconds, ascending.
    pub at: Arc<[i64]>,
    /// The kind of each event, as `EventKind as u8`.
    pub kind: Arc<[u8]>,
    /// The visitor of each event.
    pub visitor: Column,
    /// The session of each event.
    pub session: Column,
    /// The string columns that were asked for; others are `None`.
    pub columns: [Option<Column>; Dimension::COUNT],
    /// The sessions with activity in this chunk, each once: those with events in the order of their first row, then
    /// those with heartbeats only in the order of their last activity. [`crate::session_parts`] makes it.
    pub sessions: Arc<[SessionPart]>,
    /// What kernels found out about these rows. Whoever makes a chunk of other rows starts with the default.
    pub derived: Derived,
}

impl Chunk {
    /// The rows whose time is in `[from, to)`.
    pub fn rows_between(&self, from: Timestamp, to: Timestamp) -> Range<usize> {
        // A chunk outside the range is the common case for a bucket of a series.
        if self.at.last().is_none_or(|&last| last < from.as_millis()) {
            return self.at.len()..self.at.len();
        }
        if self.at.first().is_none_or(|&first| first >= to.as_millis()) {
            return 0..0;
        }
        let start = self.at.partition_point(|&at| at < from.as_millis());
        let end = self.at.partition_point(|&at| at < to.as_millis());
        start..end.max(start)
    }

    /// The members of [`Chunk::sessions`] side by side.
    pub(crate) fn session_index(&self) -> &SessionIndex {
        self.derived.facts().session_index.get_or_init(|| SessionIndex::new(&self.sessions))
    }

    /// The metrics of sessions of the parts at `positions`, which have events, as if each were a whole session.
    pub(crate) fn session_totals(&self, positions: Range<usize>) -> MetricValues {
        let mut totals = self.totals_before(positions.end).metrics;
        totals.subtract_sessions(&self.totals_before(positions.start).metrics);
        totals
    }

    /// Where the visitors of the events in `rows` are found: in the rows of the first range, and in the parts at the
    /// positions of the second. There are fewer sessions than events, but which of those that began before the rows have an
    /// event among them only the rows tell.
    pub(crate) fn visitor_ranges(&self, rows: Range<usize>) -> (Range<usize>, Range<usize>) {
        let index = self.session_index();
        let last_at = self.totals_before(index.beginning_before(rows.start)).last_at;
        let reached = self.at.partition_point(|&at| at <= last_at).clamp(rows.start, rows.end);
        (rows.start..reached, index.beginning_before(reached)..index.beginning_before(rows.end))
    }

    /// Calls `visit` with the position of each part whose first event is in the rows `first`, and whose last event is in
    /// row `from` or later.
    pub(crate) fn for_each_reaching(&self, first: Range<usize>, from: usize, visit: impl FnMut(usize)) {
        self.session_index().for_each_reaching(first, from, visit);
    }

    fn totals_before(&self, count: usize) -> PartTotals {
        self.session_index().totals_before(&self.sessions, count)
    }

    /// The time on page of each pageview, milliseconds, as far as this chunk knows: to the next pageview of its session, of
    /// the last one to a later last activity. [`UNTIMED`] for others and for other events.
    #[expect(clippy::cast_possible_truncation, reason = "a chunk has fewer than 2^32 rows")]
    pub(crate) fn times_on_page(&self) -> &[u32] {
        self.derived.facts().times_on_page.get_or_init(|| {
            let mut times = vec![UNTIMED; self.at.len()];
            let between = |from: i64, to: i64| u32::try_from(to - from).unwrap_or(UNTIMED - 1);
            let mut last_pageviews = PerSession::new(self, NO_ROW);
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
    pub(crate) fn is_constant_per_session(&self, dimension: Dimension, column: &[u32]) -> bool {
        *self.derived.facts().constant_per_session[dimension as usize].get_or_init(|| {
            let mut codes = PerSession::new(self, u32::MAX);
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
struct PerSession {
    values: Vec<u32>,
    lowest: u32,
}

impl PerSession {
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
    use crate::derived::SessionMetrics;

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
