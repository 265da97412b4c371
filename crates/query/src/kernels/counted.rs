//! Sessions of rows that were chosen one by one.

use super::select::Scan;
use super::work::Bits;
use crate::derived::SessionMetrics;
use crate::{MetricValues, QueryError};

/// Counts the sessions of rows.
pub(super) struct CountedSessions {
    shares: Vec<SessionMetrics>,
    /// Empty but within [`CountedSessions::add`].
    seen: Bits,
}

impl CountedSessions {
    pub(super) fn new(scan: &Scan<'_>) -> Result<Self, QueryError> {
        Ok(Self { shares: scan.session_shares()?, seen: scan.session_bits()? })
    }

    /// Counts each session of `rows` once.
    pub(super) fn add<'r>(
        &mut self,
        rows: impl IntoIterator<Item = &'r [u32], IntoIter: Clone>,
        metrics: &mut MetricValues,
    ) {
        let Self { shares, seen } = self;
        seen.for_each_distinct(rows, |session| shares[session as usize].add_to(metrics));
    }
}
