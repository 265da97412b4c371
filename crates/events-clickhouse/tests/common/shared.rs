//! What nodes share, in the memory of a test: a store that is opened anew finds it as it was.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use zenovay_domain::WebsiteId;
use zenovay_events::IdempotencyKey;
use zenovay_events_clickhouse::{Claim, Claimed, Shared, SharedError};

struct Key {
    digest: [u8; 17],
    arrival: u64,
    is_stored: bool,
}

#[derive(Default)]
struct State {
    next: u64,
    keys: HashMap<(WebsiteId, IdempotencyKey), Key>,
    ledger: Option<String>,
}

#[derive(Default)]
pub(crate) struct InMemory(Mutex<State>);

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

    fn claim(&self, claims: &[Claim]) -> Result<Vec<Claimed>, SharedError> {
        let mut state = self.state();
        let mut take = |claim: &Claim| match state.keys.get(&(claim.website, claim.key)) {
            Some(key) => Claimed::Held { digest: key.digest },
            None => {
                let key = Key { digest: claim.digest, arrival: claim.arrival, is_stored: false };
                state.keys.insert((claim.website, claim.key), key);
                Claimed::New
            }
        };
        Ok(claims.iter().map(&mut take).collect())
    }

    fn confirm(&self, arrivals: &[u64]) -> Result<(), SharedError> {
        let mut state = self.state();
        state.keys.values_mut().filter(|key| arrivals.contains(&key.arrival)).for_each(|key| key.is_stored = true);
        Ok(())
    }

    fn withdraw(&self, arrivals: &[u64]) -> Result<(), SharedError> {
        self.state().keys.retain(|_, key| !arrivals.contains(&key.arrival));
        Ok(())
    }

    fn pending(&self) -> Result<Vec<u64>, SharedError> {
        Ok(self.state().keys.values().filter(|key| !key.is_stored).map(|key| key.arrival).collect())
    }

    fn forget(&self, website: WebsiteId) -> Result<(), SharedError> {
        self.state().keys.retain(|(of, _), _| *of != website);
        Ok(())
    }

    fn retention(&self) -> Result<Option<String>, SharedError> {
        Ok(self.state().ledger.clone())
    }

    fn set_retention(&self, ledger: &str) -> Result<(), SharedError> {
        self.state().ledger = Some(ledger.to_owned());
        Ok(())
    }
}
