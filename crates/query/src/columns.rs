//! What a store hands to the kernels: the rows of one website as columns of dense codes.
//!
//! Codes are *website-dense*: within one [`Dataset`] the same visitor, session or text has the same code in every chunk,
//! and codes run from 0 without large gaps. Web analytics is distinct counting over random ids; over dense codes a
//! distinct count is a bitmap.

use std::sync::Arc;

use zenovay_domain::{Dimension, Timestamp};

use crate::{CodeSet, Derived, List, ListRef};

/// Codes of one text column, one a row.
pub type Column = Arc<[u32]>;

/// A set of dimensions, for naming the columns a query reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ColumnSet(u32);

impl ColumnSet {
    /// The set with `dimension` added.
    #[must_use]
    pub const fn with(self, dimension: Dimension) -> Self {
        Self(self.0 | 1 << dimension as u32)
    }

    /// Whether `dimension` is in the set.
    pub const fn contains(self, dimension: Dimension) -> bool {
        self.0 & 1 << dimension as u32 != 0
    }

    /// The dimensions in the set.
    pub fn iter(self) -> impl Iterator<Item = Dimension> {
        Dimension::ALL.iter().copied().filter(move |&dimension| self.contains(dimension))
    }
}

/// Texts by code. Code `n` stands for `texts[n]`. Every dictionary holds the empty text at code 0.
#[derive(Debug, Clone)]
pub struct Dictionary {
    /// The texts, each once.
    pub texts: List<Arc<str>>,
}

impl Default for Dictionary {
    fn default() -> Self {
        Self { texts: List::from(vec![Arc::from("")]) }
    }
}

/// [`SessionPart::first_row`] of a part without events.
pub const NO_ROW: u32 = u32::MAX;

/// What one chunk knows of one session. A session whose events lie in several chunks has a part in each;
/// the parts of a session are merged by taking the earliest first, the latest last, and the sums of counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPart {
    /// The session's website-dense code.
    pub session: u32,
    /// The visitor's website-dense code: that of the part's first event, or of its heartbeat when it has no event.
    pub visitor: u32,
    /// The first event in this chunk, milliseconds; `i64::MAX` without events.
    pub first_at: i64,
    /// The last activity in this chunk, heartbeats included, milliseconds.
    pub last_at: i64,
    /// Row of the first event in this chunk, or [`NO_ROW`].
    pub first_row: u32,
    /// Row of the last event in this chunk, or [`NO_ROW`].
    pub last_row: u32,
    /// Row of the first pageview in this chunk, or [`NO_ROW`].
    pub entry_row: u32,
    /// Row of the last pageview in this chunk, or [`NO_ROW`].
    pub exit_row: u32,
    /// Pageviews in this chunk.
    pub pageviews: u32,
    /// Other events in this chunk, without heartbeats.
    pub other_events: u32,
    /// Engagement reported in this chunk, milliseconds.
    pub engagement_ms: u64,
}

/// A run of one website's events (no heartbeats), sorted by time; rows of the same time stand in the order of their
/// arrival. Chunks may overlap in time.
#[derive(Debug, Clone, Default)]
pub struct Chunk {
    /// When each event happened, milliseconds, ascending.
    pub at: Arc<[i64]>,
    /// The kind of each event, as `EventKind as u8`.
    pub kind: Arc<[u8]>,
    /// The visitor of each event.
    pub visitor: Column,
    /// The session of each event.
    pub session: Column,
    /// The text columns that were asked for; others are `None`.
    pub columns: [Option<Column>; Dimension::COUNT],
    /// The sessions with activity in this chunk, each once: those with events in the order of their first row, then
    /// those with heartbeats only in the order of their last activity. [`crate::session_parts`] makes it.
    pub sessions: Arc<[SessionPart]>,
    /// What kernels found out about these rows. Whoever makes a chunk of other rows starts with the default.
    pub derived: Derived,
}

impl Chunk {
    /// The rows whose time is in `[from, to)`.
    pub fn rows_between(&self, from: Timestamp, to: Timestamp) -> std::ops::Range<usize> {
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
}

/// The rows of one website that a query needs: those of its range, and those of every session that touches the range.
/// A store gives all chunks with an event or a heartbeat in [`crate::time_needed`], with the columns of
/// [`crate::columns_needed`].
///
/// What holds of the rows: every code is lower than the length of its dictionary or list; a session has one visitor;
/// and from a session's first to its last activity are at most [`zenovay_domain::SESSION_MAX_MS`].
#[derive(Debug, Clone, Copy)]
pub struct Dataset<'a> {
    /// The rows. Among events of the same time those of the earlier chunk come first, so a chunk with rows that arrived
    /// earlier stands before one with rows that arrived later.
    pub chunks: &'a [&'a Chunk],
    /// The texts of each dimension's codes.
    pub dictionaries: &'a [Dictionary; Dimension::COUNT],
    /// The id of each visitor code.
    pub visitor_ids: ListRef<'a, u64>,
    /// The id of each session code.
    pub session_ids: ListRef<'a, u64>,
    /// The sessions with parts in several of the website's loaded chunks, which must be merged; others are whole where they
    /// are. (Chunks outside `chunks` may be counted: then a merge finds one part.)
    pub split_sessions: &'a CodeSet,
}
