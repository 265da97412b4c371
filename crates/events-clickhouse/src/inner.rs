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
    ledger: Mutex<Kept>,
    /// Before which instant the events of a website are hidden, as the ledger says.
    pub(crate) hidden: RwLock<HashMap<WebsiteId, Timestamp>>,
    pub(crate) spans: Spans,
    health: Mutex<Health>,
    /// How many rows there are, but for those that were removed a moment ago.
    pub(crate) rows: AtomicU64,
    /// Whether what waits is delivered before the thread ends.
    pub(crate) is_draining: AtomicBool,
}

/// The ledger of retention, as it is kept for all nodes.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) ledger: Ledger,
    /// What it was read from, or written as.
    text: Option<String>,
}

impl Kept {
    pub(crate) fn read(text: Option<String>) -> Result<Self, SharedError> {
        let ledger = match &text {
            Some(text) => serde_json::from_str(text).map_err(SharedError::new)?,
            None => Ledger::default(),
        };
        Ok(Self { ledger, text })
    }
}

/// How often a change of the ledger is made anew because another node was quicker.
const TRIES_MAX: usize = 100;

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
        kept: Kept,
    ) -> Self {
        let hidden = RwLock::new(kept.ledger.boundaries());
        Self {
            tables,
            shared,
            spool,
            clock,
            kept_ms,
            ledger: Mutex::new(kept),
            hidden,
            spans: Spans::default(),
            health: Mutex::default(),
            rows: AtomicU64::new(0),
            is_draining: AtomicBool::new(false),
        }
    }

    /// The ledger as it is now, whichever node changed it last; nobody else of this one changes it meanwhile.
    pub(crate) fn ledger(&self) -> Result<MutexGuard<'_, Kept>, SharedError> {
        // A ledger is changed as a whole or not at all.
        let mut kept = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        self.read_ledger(&mut kept)?;
        Ok(kept)
    }

    /// Reads what other nodes changed in the ledger, unless somebody of this one changes it at the moment.
    pub(crate) fn look_at_ledger(&self) -> Result<(), SharedError> {
        match self.ledger.try_lock() {
            Ok(mut kept) => self.read_ledger(&mut kept),
            Err(_) => Ok(()),
        }
    }

    fn read_ledger(&self, kept: &mut Kept) -> Result<(), SharedError> {
        let text = self.shared.retention()?;
        if kept.text != text {
            *kept = Kept::read(text)?;
            *self.hidden.write().unwrap_or_else(PoisonError::into_inner) = kept.ledger.boundaries();
        }
        Ok(())
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
    ///
    /// # Errors
    /// Also when another node has changed it since it was read: then that one is the ledger.
    pub(crate) fn note(&self, kept: &mut Kept, changed: Ledger) -> Result<(), SharedError> {
        if kept.ledger == changed {
            return Ok(());
        }
        let text = serde_json::to_string(&changed).map_err(SharedError::new)?;
        if !self.shared.replace_retention(kept.text.as_deref(), &text)? {
            return Err(SharedError::new("another server changed how long events are kept at the same moment"));
        }
        *self.hidden.write().unwrap_or_else(PoisonError::into_inner) = changed.boundaries();
        *kept = Kept { ledger: changed, text: Some(text) };
        Ok(())
    }

    /// Makes a change of the ledger, anew when another node was quicker.
    fn change(&self, change: impl Fn(&mut Ledger)) -> Result<(), SharedError> {
        for _ in 0..TRIES_MAX {
            let mut kept = self.ledger()?;
            let mut changed = kept.ledger.clone();
            change(&mut changed);
            if kept.ledger == changed {
                return Ok(());
            }
            let noted = self.note(&mut kept, changed);
            // One that did not change meanwhile was not written for another reason.
            let seen = kept.text.clone();
            if noted.is_ok() || self.shared.retention()? == seen {
                return noted;
            }
        }
        Err(SharedError::new("other servers were always quicker"))
    }

    /// Takes `website` out of the ledger.
    pub(crate) fn forget(&self, website: WebsiteId) -> Result<(), SharedError> {
        self.change(|ledger| ledger.forget(website))
    }

    /// Begins the days of websites anew of which `events` has some that are hidden when they arrive.
    pub(crate) fn note_late(&self, events: &[(u64, NewEvent)]) -> Result<(), SharedError> {
        let is_late = |new: &&NewEvent| self.since(new.website).is_some_and(|since| new.event.at < since);
        let late: Vec<WebsiteId> = events.iter().map(|(_, new)| new).filter(is_late).map(|new| new.website).collect();
        if late.is_empty() {
            return Ok(());
        }
        self.change(|ledger| late.iter().for_each(|website| ledger.restart(*website)))
    }
}
