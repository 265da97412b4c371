//! The event store.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Sender, channel};
use zenovay_domain::{Event, TimeRange, Timestamp, VisitorId, WebsiteId};
use zenovay_events::engine::Ledger;
use zenovay_events::{
    Append, AppendError, AppendReceipt, AppendRefused, ChangeError, EventStore, Kept, NewCapture, NewEvent,
    RecentSession, Retained, StoreStats,
};
use zenovay_query::{Answer, Budget, Cause, Query, QueryError};

use crate::inner::Inner;
use crate::shared::{Shared, SharedError};
use crate::writer::{Job, Writer};
use crate::{Config, OpenError, ServerError, Tables};

/// So many appends wait for the writer.
const QUEUE: usize = 1_024;

/// The event store on servers of ClickHouse: what it acknowledges is on the disks of the shards.
pub struct ClickHouseStore {
    inner: Arc<Inner>,
    jobs: Sender<Job>,
    is_closing: AtomicBool,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl ClickHouseStore {
    /// Opens the store: makes or changes the tables, and finds out what became of events with keys whose process died. Blocks.
    ///
    /// # Errors
    /// When the servers or what is shared cannot be used.
    pub fn open(config: Config, shared: Arc<dyn Shared>) -> Result<Self, OpenError> {
        let tables = Tables::open(config)?;
        let pending = shared.pending()?;
        if !pending.is_empty() {
            let stored = tables.stored_arrivals(&pending).map_err(OpenError::Events)?;
            let missing: Vec<u64> = pending.into_iter().filter(|arrival| !stored.contains(arrival)).collect();
            shared.confirm(&stored)?;
            shared.withdraw(&missing)?;
        }
        let ledger: Ledger = match shared.retention()? {
            Some(text) => serde_json::from_str(&text).map_err(SharedError::new)?,
            None => Ledger::default(),
        };
        let hidden = RwLock::new(ledger.boundaries());
        let inner =
            Arc::new(Inner { tables, shared, ledger: Mutex::new(ledger), hidden, is_changed: AtomicBool::new(false) });
        let (jobs, queue) = channel(QUEUE);
        let writer = Writer::new(Arc::clone(&inner));
        let thread = std::thread::Builder::new().name("appends".to_owned()).spawn(move || writer.run(queue));
        let writer = Mutex::new(Some(thread.map_err(OpenError::Threads)?));
        Ok(Self { inner, jobs, is_closing: AtomicBool::new(false), writer })
    }

    fn removed(&self, removed: Result<(), ServerError>) -> Result<(), ChangeError> {
        removed.map_err(unavailable)?;
        self.inner.is_changed.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn close(&self) {
        if !self.is_closing.swap(true, Ordering::SeqCst) {
            let jobs = self.jobs.clone();
            // A thread, for whoever calls may be one that must not block in this way.
            let told = std::thread::spawn(move || jobs.blocking_send(Job::Shutdown).is_ok());
            let _ = told.join();
        }
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> ChangeError {
    ChangeError::Unavailable(Cause::new(error.to_string(), error))
}

impl EventStore for ClickHouseStore {
    fn append(&self, events: Vec<NewEvent>) -> Append<'_> {
        Append::new(async move {
            if events.is_empty() {
                return Ok(Vec::new());
            }
            if self.is_closing.load(Ordering::SeqCst) {
                return Err(AppendRefused::new(AppendError::ShuttingDown, events));
            }
            let (acknowledge, receipt) = AppendReceipt::channel();
            match self.jobs.send(Job::Append(events, acknowledge)).await {
                Ok(()) => receipt.await,
                Err(refused) => Err(came_back(refused.0, AppendError::ShuttingDown)),
            }
        })
    }

    fn try_append(&self, events: Vec<NewEvent>) -> Result<AppendReceipt, AppendRefused> {
        if events.is_empty() {
            return Ok(AppendReceipt::answered(Ok(Vec::new())));
        }
        if self.is_closing.load(Ordering::SeqCst) {
            return Err(AppendRefused::new(AppendError::ShuttingDown, events));
        }
        let (acknowledge, receipt) = AppendReceipt::channel();
        match self.jobs.try_send(Job::Append(events, acknowledge)) {
            Ok(()) => Ok(receipt),
            Err(TrySendError::Full(job)) => Err(came_back(job, AppendError::QueueFull)),
            Err(TrySendError::Closed(job)) => Err(came_back(job, AppendError::ShuttingDown)),
        }
    }

    fn try_capture(&self, captures: Vec<NewCapture>) -> Result<AppendReceipt, AppendError> {
        drop(captures);
        Err(AppendError::NoCaptureSink)
    }

    fn query(&self, website: WebsiteId, query: &Query, budget: &Budget) -> Result<Answer, QueryError> {
        self.inner.tables.query(website, self.inner.since(website), query, budget)
    }

    fn recent_sessions(&self, since: Timestamp) -> Vec<RecentSession> {
        let hidden: Vec<(WebsiteId, Timestamp)> = {
            let hidden = self.inner.hidden.read().unwrap_or_else(PoisonError::into_inner);
            hidden.iter().map(|(website, since)| (*website, *since)).collect()
        };
        // Without them sessions begin anew, which harms less than a server that does not start.
        self.inner.tables.recent_sessions(since, &hidden).unwrap_or_default()
    }

    fn visitor_events(
        &self,
        website: WebsiteId,
        visitor: VisitorId,
        budget: &Budget,
    ) -> Result<Vec<Event>, QueryError> {
        self.inner.tables.visitor_events(website, visitor, self.inner.since(website), budget)
    }

    fn erase_visitor(&self, website: WebsiteId, visitor: VisitorId) -> Result<(), ChangeError> {
        self.removed(self.inner.tables.erase_visitor(website, visitor))
    }

    fn delete_website(&self, website: WebsiteId) -> Result<(), ChangeError> {
        self.inner.shared.forget(website).map_err(unavailable)?;
        self.removed(self.inner.tables.delete_website(website))?;
        let mut ledger = self.inner.ledger();
        let mut changed = ledger.clone();
        changed.forget(website);
        self.inner.note(&mut ledger, changed).map_err(unavailable)
    }

    fn retain(&self, kept: &[Kept], now: Option<Timestamp>, tell: &mut dyn FnMut(Retained)) -> Result<(), ChangeError> {
        let mut ledger = self.inner.ledger();
        let mut changed = ledger.clone();
        let rows = |website, times: Range<i64>| {
            let range = TimeRange::new(Timestamp::from_millis(times.start), Timestamp::from_millis(times.end));
            self.inner.tables.count(website, range).map_err(unavailable)
        };
        let (_, done) = changed.keep(kept, now, |website, times| Ok(rows(website, times)? > 0), rows)?;
        self.inner.note(&mut ledger, changed).map_err(unavailable)?;
        done.into_iter().for_each(tell);
        Ok(())
    }

    fn remove_hidden(&self, now: Timestamp, tell: &mut dyn FnMut(Retained)) -> Result<(), ChangeError> {
        let mut ledger = self.inner.ledger();
        let mut changed = ledger.clone();
        changed.count_day(now);
        let rows = |website, times: Range<i64>| {
            let range = TimeRange::new(Timestamp::from_millis(times.start), Timestamp::from_millis(times.end));
            self.inner.tables.count(website, range).map_err(unavailable)
        };
        let (removals, waiting, _) = changed.due_removals(rows)?;
        self.inner.note(&mut ledger, changed).map_err(unavailable)?;
        waiting.into_iter().for_each(&mut *tell);
        // Appends of what is hidden wait meanwhile: they begin the days anew.
        for (website, removal) in removals {
            self.removed(self.inner.tables.remove_before(website, removal.before))?;
            let mut changed = ledger.clone();
            changed.removed(website, &removal);
            self.inner.note(&mut ledger, changed).map_err(unavailable)?;
            if removal.rows > 0 {
                tell(Retained::Removed { website, before: removal.before, rows: removal.rows });
            }
        }
        Ok(())
    }

    fn newest(&self) -> Option<Timestamp> {
        self.inner.tables.newest().ok().flatten()
    }

    fn span(&self, website: WebsiteId) -> Option<TimeRange> {
        self.inner.tables.span(website, self.inner.since(website)).ok().flatten()
    }

    fn damages(&self) -> Vec<String> {
        Vec::new()
    }

    fn stats(&self) -> StoreStats {
        let mut stats = StoreStats::default();
        stats.queue_depth = (QUEUE - self.jobs.capacity()) as u64;
        stats.segment_rows = self.inner.tables.rows().unwrap_or(0);
        stats.writable = !self.is_closing.load(Ordering::SeqCst);
        stats
    }

    fn seal(&self) -> Result<bool, ChangeError> {
        Ok(false)
    }

    fn shutdown(&self) {
        self.close();
    }
}

fn came_back(job: Job, reason: AppendError) -> AppendRefused {
    let events = match job {
        Job::Append(events, _) => events,
        Job::Shutdown => Vec::new(),
    };
    AppendRefused::new(reason, events)
}

impl Drop for ClickHouseStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for ClickHouseStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClickHouseStore").field("tables", &self.inner.tables).finish_non_exhaustive()
    }
}
