//! The store as a service embeds it.

use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use zenovay_domain::{Clock, SystemClock, WebsiteId};
use zenovay_query::{Answer, Answering, Answers, AnswersLater, Ask, Budget, MemoryPool, Query, QueryError};

use crate::workers::Workers;
use crate::{Append, EmbeddedConfig, EmbeddedStore, EventStore, NewEvent, OpenError};

/// How long a query may take that was not given a budget of its own.
const QUERY_TIME: Duration = Duration::from_secs(60);

/// What queries without a budget of their own may hold together while they run.
const QUERY_BYTES: usize = 256 << 20;

/// A store of events to embed in a service: a handle, cheap to clone. Every method of [`EventStore`] can be called on it.
///
/// Appends and questions can be awaited in whatever runtime there is. Questions are computed on threads of the store, as many
/// as the machine has cores; without a budget of their own they may take 60 s, and hold 256 MiB together.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// use zenovay_events::Dimension::{Country, Path};
/// use zenovay_events::query::{by, is};
/// use zenovay_events::{Clock, Event, EventKind, NewEvent, SessionId, Store, SystemClock, VisitorId, WebsiteId, Zone};
///
/// let store = Store::open(dir)?;
/// let (site, now) = (WebsiteId::from_random_bytes([7; 16]), SystemClock.now());
/// let mut event = Event::new(EventKind::Pageview, now, VisitorId(1), SessionId(1));
/// event.dimensions.set(Path, "/pricing");
/// event.dimensions.set(Country, "CA");
/// store.append(NewEvent::new(site, now, event)).await?;
///
/// let zone: Zone = "America/Vancouver".parse()?;
/// let pages = store.ask(site).last_days(7, &zone).filter(is(Country, "CA")).top(by(Path).limit(10)).await?;
/// assert_eq!(serde_json::to_value(&pages)?["rows"][0]["value"], "/pricing");
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    events: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    workers: Workers,
    memory: Arc<MemoryPool>,
}

impl Store {
    /// Opens the store in `dir`, or makes an empty one there, with the defaults and the machine's clock. Blocks: it reads what
    /// is not in segments yet.
    ///
    /// # Errors
    /// As [`EmbeddedStore::open`].
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, OpenError> {
        Self::open_with(EmbeddedConfig::new(dir), Arc::new(SystemClock))
    }

    /// The same with settings and a clock of your own.
    ///
    /// # Errors
    /// As [`EmbeddedStore::open`].
    pub fn open_with(config: EmbeddedConfig, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Ok(Self::new(Arc::new(EmbeddedStore::open(config, Arc::clone(&clock))?), clock))
    }

    /// A handle to any store of events.
    pub fn new(events: Arc<dyn EventStore>, clock: Arc<dyn Clock>) -> Self {
        let memory = Arc::new(MemoryPool::new(QUERY_BYTES));
        Self(Arc::new(Shared { events, clock, workers: Workers::default(), memory }))
    }

    /// Stores one event, or several together, all or none, and waits for room when many others are on their way. Await it, or
    /// call [`Append::wait`] in a thread that may block; what is not stored comes back in the error. See
    /// [`EventStore::append`].
    pub fn append(&self, events: impl Into<NewEvents>) -> Append<'_> {
        self.0.events.append(events.into().0)
    }

    /// Asks about the events of `website`, in all time when nothing else is said.
    pub fn ask(&self, website: WebsiteId) -> Ask<Site> {
        Ask::new(Site { store: self.clone(), website }, self.0.clock.now())
    }
}

impl Deref for Store {
    type Target = dyn EventStore;

    fn deref(&self) -> &Self::Target {
        &*self.0.events
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// One event, or several that are stored together.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvents(Vec<NewEvent>);

impl From<NewEvent> for NewEvents {
    fn from(event: NewEvent) -> Self {
        Self(vec![event])
    }
}

impl From<Vec<NewEvent>> for NewEvents {
    fn from(events: Vec<NewEvent>) -> Self {
        Self(events)
    }
}

/// The events of one website, to ask about. Made by [`Store::ask`].
#[derive(Debug, Clone)]
pub struct Site {
    store: Store,
    website: WebsiteId,
}

impl Answers for Site {
    fn answer(&self, query: &Query, budget: &Budget) -> Result<Answer, QueryError> {
        self.store.query(self.website, query, budget)
    }

    fn budget(&self) -> Budget {
        Budget::sharing(QUERY_TIME, &self.store.0.memory)
    }
}

impl AnswersLater for Site {
    fn begin(self, query: Query, budget: Budget) -> Answering {
        let (sender, receiver) = oneshot::channel();
        let cancel = CancelOnDrop(budget.clone());
        let shared = Arc::clone(&self.store.0);
        let job = move || {
            // Who asked may be gone.
            let _ = sender.send(budget.check().and_then(|()| self.answer(&query, &budget)));
        };
        shared.workers.run(Box::new(job));
        Box::pin(async move {
            let _cancel = cancel;
            receiver.await.unwrap_or_else(|_gone| Err(QueryError::unavailable("its thread ended without an answer")))
        })
    }
}

struct CancelOnDrop(Budget);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
