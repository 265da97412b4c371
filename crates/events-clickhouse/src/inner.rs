//! What the threads of the store share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use zenovay_domain::{Clock, Timestamp, WebsiteId};
use zenovay_events::NewEvent;
use zenovay_events::engine::{Ledger, Spool};

use crate::Tables;
use crate::shared::{Shared, SharedError};
use crate::spans::Spans;

/// What the threads of the store share.
pub(crate) struct Inner {
    pub(crate) tables: Tables,
    pub(crate) shared: Arc<dyn Shared>,
    pub(crate) spool: Spool,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long idempotency keys are kept.
    pub(crate) kept_ms: i64,
    /// Whoever changes it holds it until the change is durable.
    pub(crate) ledger: Mutex<Ledger>,
    /// Before which instant the events of a website are hidden, as the ledger says.
    pub(crate) hidden: RwLock<HashMap<WebsiteId, Timestamp>>,
    pub(crate) spans: Spans,
    health: Mutex<Health>,
    /// How many rows there are, but for those that were removed a moment ago.
    pub(crate) rows: AtomicU64,
    /// Whether what waits is delivered before the thread ends.
    pub(crate) is_draining: AtomicBool,
}

/// How the deliverer gets on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health {
    /// Whether the tables were brought up to date since the store was opened.
    pub(crate) is_prepared: bool,
    /// How often it failed.
    pub(crate) failures: u64,
    /// Why it failed when it was last tried; `None` when it did not.
    pub(crate) failure: Option<String>,
    /// What is damaged in the spool.
    pub(crate) damage: Option<String>,
}

impl Inner {
    pub(crate) fn new(
        tables: Tables,
        shared: Arc<dyn Shared>,
        spool: Spool,
        clock: Arc<dyn Clock>,
        kept_ms: i64,
        ledger: Ledger,
    ) -> Self {
        let hidden = RwLock::new(ledger.boundaries());
        Self {
            tables,
            shared,
            spool,
            clock,
            kept_ms,
            ledger: Mutex::new(ledger),
            hidden,
            spans: Spans::default(),
            health: Mutex::default(),
            rows: AtomicU64::new(0),
            is_draining: AtomicBool::new(false),
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // A ledger is changed as a whole or not at all.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before which instant the events of `website` are hidden.
    pub(crate) fn since(&self, website: WebsiteId) -> Option<Timestamp> {
        self.hidden.read().unwrap_or_else(PoisonError::into_inner).get(&website).copied()
    }

    /// Counts the rows, for figures, which wait for nobody.
    pub(crate) fn count_rows(&self) {
        if let Ok(rows) = self.tables.rows() {
            self.rows.store(rows, Ordering::Relaxed);
        }
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

    /// Takes `website` out of the ledger.
    pub(crate) fn forget(&self, website: WebsiteId) -> Result<(), SharedError> {
        let mut ledger = self.ledger();
        let mut changed = ledger.clone();
        changed.forget(website);
        self.note(&mut ledger, changed)
    }

    /// Begins the days of websites anew of which `events` has some that are hidden when they arrive.
    pub(crate) fn note_late(&self, events: &[(u64, NewEvent)]) -> Result<(), SharedError> {
        let is_late = |new: &&NewEvent| self.since(new.website).is_some_and(|since| new.event.at < since);
        let late: Vec<WebsiteId> = events.iter().map(|(_, new)| new).filter(is_late).map(|new| new.website).collect();
        if late.is_empty() {
            return Ok(());
        }
        let mut ledger = self.ledger();
        let mut changed = ledger.clone();
        late.into_iter().for_each(|website| changed.restart(website));
        self.note(&mut ledger, changed)
    }
}
