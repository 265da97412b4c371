//! What nodes share whose events are in ClickHouse, in PostgreSQL.

use zenovay_domain::{Timestamp, WebsiteId};
use zenovay_events_clickhouse::{Claim, Shared, SharedError};
use zenovay_store::{KeyClaim, PostgresCluster, StoreError};

use crate::config::PostgresUrl;

pub(super) struct InPostgres(PostgresCluster);

impl InPostgres {
    pub(super) fn open(url: &PostgresUrl) -> Result<Self, StoreError> {
        Self::at(url.expose())
    }

    pub(super) fn at(url: &str) -> Result<Self, StoreError> {
        Ok(Self(PostgresCluster::open(url)?))
    }
}

impl Shared for InPostgres {
    fn reserve(&self, count: u64) -> Result<u64, SharedError> {
        self.0.reserve(count).map_err(SharedError::new)
    }

    fn raise(&self, next: u64) -> Result<(), SharedError> {
        self.0.raise(next).map_err(SharedError::new)
    }

    fn claim(&self, claims: &[Claim]) -> Result<Vec<bool>, SharedError> {
        let claim = |one: &Claim| KeyClaim::new(one.website, one.key.0, one.arrival, one.received_at, one.expired);
        let claims: Vec<KeyClaim> = claims.iter().map(claim).collect();
        self.0.claim(&claims).map_err(SharedError::new)
    }

    fn forget(&self, website: WebsiteId) -> Result<(), SharedError> {
        self.0.forget(website).map_err(SharedError::new)
    }

    fn forget_before(&self, instant: Timestamp) -> Result<(), SharedError> {
        self.0.forget_before(instant).map_err(SharedError::new)
    }

    fn retention(&self) -> Result<Option<String>, SharedError> {
        self.0.ledger().map_err(SharedError::new)
    }

    fn set_retention(&self, ledger: &str) -> Result<(), SharedError> {
        self.0.set_ledger(ledger).map_err(SharedError::new)
    }
}
