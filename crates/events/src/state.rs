//! What the store consists of at one moment.

use std::sync::Arc;

use zenovay_domain::{TimeRange, WebsiteId};

use crate::head::Generation;
use crate::ledger::Ledger;
use crate::segment::{Origin, Segment, SiteRange, ranges_of};

/// A head that is to become a segment.
#[derive(Clone)]
pub(crate) struct Frozen {
    pub(crate) generation: Arc<Generation>,
    /// The last batch of the log that is in it.
    pub(crate) last_seq: u64,
    /// The batches that are in it.
    pub(crate) origin: Origin,
}

/// Every row of the store is in exactly one place of a state. States are replaced, never changed, so a query sees a row
/// in the head or in the segment it was sealed into, never in both and never in neither.
pub(crate) struct State {
    /// Grows with every state.
    pub(crate) version: u64,
    /// In the order of the arrival of their rows.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Oldest first.
    pub(crate) frozen: Vec<Frozen>,
    /// Where the writer appends.
    pub(crate) active: Arc<Generation>,
    /// What is in no answer although it is stored.
    pub(crate) ledger: Arc<Ledger>,
}

impl State {
    /// All generations of the head, oldest first.
    pub(crate) fn generations(&self) -> impl Iterator<Item = &Arc<Generation>> {
        self.frozen.iter().map(|frozen| &frozen.generation).chain([&self.active])
    }

    /// Rows of `website` before this time, milliseconds, are in no answer.
    pub(crate) fn hidden_before(&self, website: WebsiteId) -> i64 {
        self.ledger.hidden_before(website)
    }

    /// The rows of `website` in segments that are in row groups with rows in `time` that are not hidden, in the order of
    /// arrival. Some rows of such a row group may be hidden.
    pub(crate) fn ranges_in(
        &self,
        website: WebsiteId,
        time: TimeRange,
    ) -> impl Iterator<Item = (&Segment, &SiteRange)> {
        let (from, to) = (time.from.as_millis().max(self.hidden_before(website)), time.to.as_millis());
        self.segments
            .iter()
            .flat_map(move |segment| {
                ranges_of(&segment.meta.sites, website).iter().map(move |range| (&**segment, range))
            })
            .filter(move |(_, range)| range.max_at >= from && range.min_at < to)
    }

    pub(crate) fn head_rows(&self) -> u64 {
        self.generations().map(|generation| generation.rows()).sum()
    }

    pub(crate) fn head_bytes(&self) -> u64 {
        self.generations().map(|generation| generation.bytes()).sum()
    }

    /// The next state, with `active` as it is.
    pub(crate) fn next(&self) -> Self {
        Self {
            version: self.version + 1,
            segments: self.segments.clone(),
            frozen: self.frozen.clone(),
            active: Arc::clone(&self.active),
            ledger: Arc::clone(&self.ledger),
        }
    }
}
