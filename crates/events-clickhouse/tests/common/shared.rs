//! What nodes share, in the memory of a test: a store that is opened anew finds it as it was.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use zenovay_domain::{Timestamp, VisitorId, WebsiteId};
use zenovay_events::IdempotencyKey;
use zenovay_events_clickhouse::{Claim, Erasure, Shared, SharedError};

struct Key {
    arrival: u64,
    received_at: Timestamp,
}

#[derive(Default)]
struct State {
    next: u64,
    keys: HashMap<(WebsiteId, IdempotencyKey), Key>,
    ledger: Option<String>,
    erasures: Vec<Erasure>,
}

#[derive(Clone, Default)]
pub(crate) struct InMemory(Arc<Mutex<State>>);

impl InMemory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Shared for InMemory {
    fn reserve(&self, count: u64) -> Result<u64, SharedError> {
        let mut state = self.state();
        state.next += count;
        Ok(state.next - count)
    }

    fn raise(&self, next: u64) -> Result<(), SharedError> {
        let mut state = self.state();
        state.next = state.next.max(next);
        Ok(())
    }

    fn claim(&self, claims: &[Claim]) -> Result<Vec<bool>, SharedError> {
        let mut state = self.state();
        let mut take = |claim: &Claim| {
            let new = || Key { arrival: claim.arrival, received_at: claim.received_at };
            let key = state.keys.entry((claim.website, claim.key)).or_insert_with(new);
            if key.received_at < claim.expired {
                *key = new();
            }
            key.arrival == claim.arrival
        };
        Ok(claims.iter().map(&mut take).collect())
    }

    fn forget(&self, website: WebsiteId) -> Result<(), SharedError> {
        self.state().keys.retain(|(of, _), _| *of != website);
        Ok(())
    }

    fn forget_before(&self, instant: Timestamp) -> Result<(), SharedError> {
        self.state().keys.retain(|_, key| key.received_at >= instant);
        Ok(())
    }

    fn retention(&self) -> Result<Option<String>, SharedError> {
        Ok(self.state().ledger.clone())
    }

    fn replace_retention(&self, before: Option<&str>, ledger: &str) -> Result<bool, SharedError> {
        let mut state = self.state();
        let is_as_before = state.ledger.as_deref() == before;
        if is_as_before {
            state.ledger = Some(ledger.to_owned());
        }
        Ok(is_as_before)
    }

    fn add_erasure(&self, website: WebsiteId, visitor: Option<VisitorId>) -> Result<u64, SharedError> {
        let mut state = self.state();
        let id = state.erasures.last().map_or(0, |last| last.id) + 1;
        state.erasures.push(Erasure::new(id, website, visitor));
        Ok(id)
    }

    fn erasures_after(&self, id: u64) -> Result<Vec<Erasure>, SharedError> {
        let mut state = self.state();
        if state.erasures.last().map_or(0, |last| last.id) < id {
            state.erasures.push(Erasure::new(id, WebsiteId::from_bytes([0; 16]), None));
        }
        Ok(state.erasures.iter().filter(|erasure| erasure.id > id).copied().collect())
    }

    fn last_erasure(&self) -> Result<u64, SharedError> {
        Ok(self.state().erasures.last().map_or(0, |last| last.id))
    }
}
