//! What a store hands to the kernels: the rows of one website as columns of dense codes.
//!
//! Codes are *website-dense*: within one [`Dataset`] the same visitor, session or string has the same code in every chunk,
//! and codes run from 0 without large gaps. Web analytics is distinct counting over random ids; over dense codes a
//! distinct count is a bitmap.

use std::sync::Arc;

use zenovay_domain::Dimension;

use crate::{Chunk, CodeSet, List, ListRef};

/// A set of dimensions, for naming the columns a query reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ColumnSet(u32);

impl ColumnSet {
    /// The set of none.
    pub const EMPTY: Self = Self(0);

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

/// Strings by code. Code `n` stands for `texts[n]`. Every dictionary holds the empty string at code 0.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "stores make it, member by member")]
pub struct Dictionary {
    /// The strings, each once.
    pub texts: List<Arc<str>>,
}

impl Default for Dictionary {
    fn default() -> Self {
        Self { texts: List::from(vec![Arc::from("")]) }
    }
}

/// The rows of one website that a query needs: those of its range, and those of every session that touches the range.
/// A store gives all chunks with an event or a heartbeat in [`crate::engine::time_needed`], with the columns of
/// [`crate::engine::columns_needed`].
///
/// Invariants: every code is lower than the length of its dictionary or list; a session has one visitor;
/// and from a session's first to its last activity are at most [`zenovay_domain::SESSION_MAX_MS`].
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "stores make it, member by member")]
pub struct Dataset<'a> {
    /// The rows. Among events of the same time those of the earlier chunk come first, so a chunk with rows that arrived
    /// earlier stands before one with rows that arrived later.
    pub chunks: &'a [&'a Chunk],
    /// The strings of each dimension's codes.
    pub dictionaries: &'a [Dictionary; Dimension::COUNT],
    /// The id of each visitor code.
    pub visitor_ids: ListRef<'a, u64>,
    /// The id of each session code.
    pub session_ids: ListRef<'a, u64>,
    /// The sessions with parts in several of the website's loaded chunks, which must be merged; others are whole where they
    /// are. (Chunks outside `chunks` may be counted: then a merge finds one part.)
    pub split_sessions: &'a CodeSet,
}
