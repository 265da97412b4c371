//! What all nodes share and one changes at a time, which ClickHouse cannot keep: it has no transactions.

use zenovay_domain::WebsiteId;
use zenovay_events::IdempotencyKey;

/// Where numbers, idempotency keys and the ledger of retention are kept: in one place for all nodes, durable when a call returns.
///
/// An event with a key is claimed before it is written and confirmed afterwards. Claims of a process that died between are asked for by the
/// next one, which looks whether their events are there.
pub trait Shared: Send + Sync {
    /// The first of `count` numbers that follow each other, each greater than all that were given before, to whomever.
    ///
    /// # Errors
    /// When it cannot be told.
    fn reserve(&self, count: u64) -> Result<u64, SharedError>;

    /// Takes each key that nobody holds, in the order of `claims`. Of the others it is told what holds them. All or none.
    ///
    /// # Errors
    /// When nothing was taken.
    fn claim(&self, claims: &[Claim]) -> Result<Vec<Claimed>, SharedError>;

    /// The events of these claims are stored.
    ///
    /// # Errors
    /// When they are not noted as such: they are pending yet.
    fn confirm(&self, arrivals: &[u64]) -> Result<(), SharedError>;

    /// The events of these claims are not stored and will not be: their keys are free again.
    ///
    /// # Errors
    /// When they are held and pending yet.
    fn withdraw(&self, arrivals: &[u64]) -> Result<(), SharedError>;

    /// The claims that are neither confirmed nor withdrawn, by the numbers of their events.
    ///
    /// # Errors
    /// When it cannot be told.
    fn pending(&self) -> Result<Vec<u64>, SharedError>;

    /// Frees all keys of `website`.
    ///
    /// # Errors
    /// When they are held yet.
    fn forget(&self, website: WebsiteId) -> Result<(), SharedError>;

    /// What [`Shared::set_retention`] was given last; `None` at first.
    ///
    /// # Errors
    /// When it cannot be told.
    fn retention(&self) -> Result<Option<String>, SharedError>;

    /// Keeps the ledger of retention, as a string that says nothing to anybody else.
    ///
    /// # Errors
    /// When the one before is kept.
    fn set_retention(&self, ledger: &str) -> Result<(), SharedError>;
}

/// An event with a key on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// Whose event it is.
    pub website: WebsiteId,
    /// Its key, which belongs to the website.
    pub key: IdempotencyKey,
    /// What tells events with one key apart: see [`NewEvent::repetition_digest`](zenovay_events::NewEvent::repetition_digest).
    pub digest: [u8; 17],
    /// The number of the event.
    pub arrival: u64,
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claimed {
    /// The key is that of this event now.
    New,
    /// An event with this digest holds the key.
    Held {
        /// The digest.
        digest: [u8; 17],
    },
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
