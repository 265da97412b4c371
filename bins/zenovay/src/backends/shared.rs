//! What nodes share whose events are in ClickHouse, in PostgreSQL.

use zenovay_domain::{Timestamp, VisitorId, WebsiteId};
use zenovay_events_clickhouse::{Claim, Erasure, Shared, SharedError};
use zenovay_store::{ClusterErasure, KeyClaim, PostgresCluster, StoreError};

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

    fn replace_retention(&self, before: Option<&str>, ledger: &str) -> Result<bool, SharedError> {
        self.0.replace_ledger(before, ledger).map_err(SharedError::new)
    }

    fn add_erasure(&self, website: WebsiteId, visitor: Option<VisitorId>) -> Result<u64, SharedError> {
        self.0.add_erasure(website, visitor).map_err(SharedError::new)
    }

    fn erasures_after(&self, id: u64) -> Result<Vec<Erasure>, SharedError> {
        let erasures = self.0.erasures_after(id).map_err(SharedError::new)?;
        let of = |ClusterErasure { id, website, visitor, .. }: ClusterErasure| Erasure::new(id, website, visitor);
        Ok(erasures.into_iter().map(of).collect())
    }

    fn last_erasure(&self) -> Result<u64, SharedError> {
        self.0.last_erasure().map_err(SharedError::new)
    }
}
