//! What the threads of the store share.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use zenovay_domain::{Timestamp, WebsiteId};
use zenovay_events::NewEvent;
use zenovay_events::engine::Ledger;

use crate::Tables;
use crate::shared::{Shared, SharedError};

/// What the threads of the store share.
pub(crate) struct Inner {
    pub(crate) tables: Tables,
    pub(crate) shared: Arc<dyn Shared>,
    /// Whoever changes it holds it until the change is durable.
    pub(crate) ledger: Mutex<Ledger>,
    /// Before which instant the events of a website are hidden, as the ledger says.
    pub(crate) hidden: RwLock<HashMap<WebsiteId, Timestamp>>,
    /// Something that is stored was removed: sessions are not what they were.
    pub(crate) is_changed: AtomicBool,
}

impl Inner {
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // A ledger is changed as a whole or not at all.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before which instant the events of `website` are hidden.
    pub(crate) fn since(&self, website: WebsiteId) -> Option<Timestamp> {
        self.hidden.read().unwrap_or_else(PoisonError::into_inner).get(&website).copied()
    }

    /// Makes `changed` the ledger, for good.
    pub(crate) fn note(&self, ledger: &mut Ledger, changed: Ledger) -> Result<(), SharedError> {
        if *ledger == changed {
            return Ok(());
        }
        let text = serde_json::to_string(&changed).map_err(SharedError::new)?;
        self.shared.set_retention(&text)?;
        *self.hidden.write().unwrap_or_else(PoisonError::into_inner) = changed.boundaries();
        *ledger = changed;
        Ok(())
    }

    /// Begins the days of websites anew of which `events` has some that are hidden when they arrive.
    pub(crate) fn note_late(&self, events: &[&NewEvent]) -> Result<(), SharedError> {
        let is_late = |new: &&&NewEvent| self.since(new.website).is_some_and(|since| new.event.at < since);
        let late: Vec<WebsiteId> = events.iter().filter(is_late).map(|new| new.website).collect();
        if late.is_empty() {
            return Ok(());
        }
        let mut ledger = self.ledger();
        let mut changed = ledger.clone();
        late.into_iter().for_each(|website| changed.restart(website));
        self.note(&mut ledger, changed)
    }
}
