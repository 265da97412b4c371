use zenovay_domain::{KeyId, TeamId, Timestamp, UserId};

use crate::{KeyRecord, Result};

/// How many requests of a key are kept.
pub const KEY_REQUESTS_MAX: usize = 100;

/// A request that was made with a key. Neither its query nor an address is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRequest {
    /// The key.
    pub key: KeyId,
    /// When it was answered.
    pub at: Timestamp,
    /// Its method.
    pub method: String,
    /// The pattern of its path.
    pub route: String,
    /// The status of the answer.
    pub status: u16,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The events that were accepted and rejected, if it was a batch.
    pub events: Option<(u64, u64)>,
}

impl KeyRequest {
    /// A request with `key` that was not a batch of events.
    pub fn new(
        key: KeyId,
        at: Timestamp,
        method: impl Into<String>,
        route: impl Into<String>,
        status: u16,
        duration_ms: u64,
    ) -> Self {
        Self { key, at, method: method.into(), route: route.into(), status, duration_ms, events: None }
    }
}

/// Keys as people work with them.
pub trait KeyHistoryStore: Send + Sync {
    /// The personal keys of a user that are not revoked, the oldest first.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn keys_of_user(&self, user: UserId) -> Result<Vec<KeyRecord>>;

    /// The workspace keys of a team that are not revoked, the oldest first.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn keys_of_team(&self, team: TeamId) -> Result<Vec<KeyRecord>>;

    /// Adds requests of keys. Of each key the latest [`KEY_REQUESTS_MAX`] stay. As durable as
    /// [`charge_request`](crate::UsageStore::charge_request). Those of keys that are gone are passed over.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn add_key_requests(&self, requests: &[KeyRequest]) -> Result<()>;

    /// The latest requests of a key, the newest first.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn key_requests(&self, key: KeyId) -> Result<Vec<KeyRequest>>;
}
