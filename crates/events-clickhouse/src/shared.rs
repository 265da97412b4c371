//! What all nodes share and one changes at a time, which ClickHouse cannot keep: it has no transactions.

use zenovay_domain::{Timestamp, VisitorId, WebsiteId};
use zenovay_events::IdempotencyKey;

/// Where numbers, idempotency keys, the ledger of retention and what was erased are kept: in one place for all nodes, durable when a call returns.
///
/// A claim names its event by a number that was given once, and may be made again: whoever repeats a delivery makes its claims again and
/// is told the same.
pub trait Shared: Send + Sync {
    /// The first of `count` numbers that follow each other, each greater than all that were given before, to whomever.
    ///
    /// # Errors
    /// When it cannot be told.
    fn reserve(&self, count: u64) -> Result<u64, SharedError>;

    /// Gives no number below `next` from now on: those are in use, whatever was put back from a backup.
    ///
    /// # Errors
    /// When it may give them yet.
    fn raise(&self, next: u64) -> Result<(), SharedError>;

    /// Takes each key that nobody holds, in the order of `claims`. Of each it is told whether it is held by that event now.
    ///
    /// # Errors
    /// When it cannot be told: some may be taken.
    fn claim(&self, claims: &[Claim]) -> Result<Vec<bool>, SharedError>;

    /// Frees all keys of `website`.
    ///
    /// # Errors
    /// When they are held yet.
    fn forget(&self, website: WebsiteId) -> Result<(), SharedError>;

    /// Frees the keys of events that arrived before `instant`.
    ///
    /// # Errors
    /// When they are held yet, or some of them.
    fn forget_before(&self, instant: Timestamp) -> Result<(), SharedError>;

    /// What [`Shared::replace_retention`] was given last; `None` at first.
    ///
    /// # Errors
    /// When it cannot be told.
    fn retention(&self) -> Result<Option<String>, SharedError>;

    /// Keeps the ledger of retention, as a string that says nothing to anybody else, in the place of `before`. `false` when another node has
    /// changed it: that one stays.
    ///
    /// # Errors
    /// When the one before may be kept.
    fn replace_retention(&self, before: Option<&str>, ledger: &str) -> Result<bool, SharedError>;

    /// Tells all nodes that `visitor` of `website` is erased, or all of the website. Gives the number of the erasure, greater than those before:
    /// whoever has read up to a number has read all that are smaller.
    ///
    /// # Errors
    /// When they may not be told.
    fn add_erasure(&self, website: WebsiteId, visitor: Option<VisitorId>) -> Result<u64, SharedError>;

    /// The erasures with a number greater than `id`, ascending; not all of them when they are many. Whoever names a number greater than the last
    /// one knows some that a place which was put back does not: those that are added from now on have greater ones.
    ///
    /// # Errors
    /// When they cannot be told.
    fn erasures_after(&self, id: u64) -> Result<Vec<Erasure>, SharedError>;

    /// The number of the last erasure; 0 when there is none.
    ///
    /// # Errors
    /// When it cannot be told.
    fn last_erasure(&self) -> Result<u64, SharedError>;
}

/// Something that was erased, on whichever node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Erasure {
    /// Its number.
    pub id: u64,
    /// Of which website.
    pub website: WebsiteId,
    /// Whose; everybody's when it is `None`.
    pub visitor: Option<VisitorId>,
}

impl Erasure {
    /// The erasure `id` of `visitor` of `website`, or of all of the website.
    pub fn new(id: u64, website: WebsiteId, visitor: Option<VisitorId>) -> Self {
        Self { id, website, visitor }
    }
}

/// An event with a key on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// Whose event it is.
    pub website: WebsiteId,
    /// Its key, which belongs to the website.
    pub key: IdempotencyKey,
    /// The number of the event.
    pub arrival: u64,
    /// When it arrived.
    pub received_at: Timestamp,
    /// Whoever holds the key for an event that arrived before this holds it no longer.
    pub expired: Timestamp,
}

impl Claim {
    /// The event `arrival` of `website` came at `received_at` with this key; a key is kept for `kept_ms` milliseconds.
    pub fn new(website: WebsiteId, key: IdempotencyKey, arrival: u64, received_at: Timestamp, kept_ms: i64) -> Self {
        Self { website, key, arrival, received_at, expired: received_at.plus_millis(kept_ms.saturating_neg()) }
    }
}

/// Why something shared could not be asked or changed.
#[derive(Debug, thiserror::Error)]
#[error("what all nodes share cannot be reached")]
pub struct SharedError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl SharedError {
    /// Because of `source`.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}
