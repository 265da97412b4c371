//! The event store.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use zenovay_domain::{
    Clock, Dimension, Event, EventKind, SESSION_MAX_MS, SessionId, TimeRange, Timestamp, VisitorId, WebsiteId,
};
use zenovay_events::engine::{Acknowledged, Spool, SpoolConfig};
use zenovay_events::{
    Append, AppendError, AppendReceipt, AppendRefused, ChangeError, Copier, DeliveryStats, EventStore, Kept,
    NewCapture, NewEvent, RecentSession, Retained, StoreStats,
};
use zenovay_query::{Answer, Budget, Cause, Query, QueryError};

use crate::delivery::{Deliverer, DeliveryError, LINGER, hear, prepare};
use crate::inner::{Inner, Kept as KeptLedger};
use crate::shared::Shared;
use crate::spans::visible;
use crate::{Config, OpenError, Tables};

/// How long a server that takes connections may take for the least that it can be asked, when the store is opened.
const START: Duration = Duration::from_secs(5);

/// How soon whoever waits for an erasure looks whether it cannot be done.
const LOOK: Duration = Duration::from_millis(50);

/// The event store on servers of ClickHouse, behind a spool in a directory of this machine.
///
/// What is appended is durable in the spool, and delivered to the servers from there, each event once. As the spool is told to, it is
/// acknowledged when it is in the spool, and then in answers a moment later, or when all shards have it on their disks.
///
/// While the servers are away appends are acknowledged as before, where they do not wait for the servers, until the spool has as many bytes as it
/// may; questions are [`QueryError::Unavailable`].
pub struct ClickHouseStore {
    inner: Arc<Inner>,
    deliverer: Mutex<Option<JoinHandle<()>>>,
}

impl ClickHouseStore {
    /// Opens the store, and makes or changes the tables. Servers that cannot be reached may be reached later: the tables are made then. Blocks.
    ///
    /// # Errors
    /// When the spool or what is shared cannot be used, or the servers refuse.
    pub fn open(
        config: Config,
        shared: Arc<dyn Shared>,
        spool: SpoolConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        // One that hangs holds up nobody who starts.
        let mut first = config.clone();
        first.patience = first.patience.min(START);
        let hangs = Tables::new(first)?.silence();
        let tables = Tables::new(config)?;
        // Servers that refuse for good leave nothing behind that would have to be removed before the next attempt.
        if hangs.is_none() && !spool.dir.exists() {
            tables.prepare_to_serve().or_else(|error| if error.is_passing() { Ok(()) } else { Err(error) })?;
        }
        let kept = KeptLedger::read(shared.retention()?)?;
        // Read before the spool takes anything.
        let last_erasure = shared.last_erasure()?;
        // Somebody waits for each delivery.
        let linger = if spool.acknowledged == Acknowledged::WhenDelivered { Duration::ZERO } else { LINGER };
        let kept_ms = spool.idempotency_ms;
        let spool = Spool::open(spool, Arc::clone(&clock)).map_err(OpenError::Spool)?;
        // What was erased before it was made concerns nothing in it.
        spool.begin_erasures(last_erasure).map_err(OpenError::Noted)?;
        let inner = Arc::new(Inner::new(tables, shared, spool, clock, kept_ms, kept));
        let prepared = hangs.map_or_else(|| prepare(&inner), |silence| Err(DeliveryError::Prepare(silence)));
        match prepared {
            Ok(()) => {}
            Err(DeliveryError::Prepare(error)) if !error.is_passing() => return Err(error),
            Err(error) => {
                tracing::warn!(
                    %error,
                    "ClickHouse cannot be reached: events wait in the spool, questions have no answer, and sessions of before begin anew"
                );
            }
        }
        let deliverer = Deliverer::new(Arc::clone(&inner), linger);
        let thread = std::thread::Builder::new().name("delivery".to_owned()).spawn(move || deliverer.run());
        let deliverer = Mutex::new(Some(thread.map_err(OpenError::Threads)?));
        Ok(Self { inner, deliverer })
    }

    /// Notes the erasure for all nodes, and waits until it is done here. It is done later when it cannot be now.
    fn erase(&self, website: WebsiteId, visitor: Option<VisitorId>) -> Result<(), ChangeError> {
        let inner = &self.inner;
        let failures = inner.health().failures;
        // So that its number is greater than those that are known here.
        hear(inner).map_err(unavailable)?;
        let id = inner.shared.add_erasure(website, visitor).map_err(unavailable)?;
        hear(inner).map_err(unavailable)?;
        let until = Instant::now() + inner.tables.patience();
        while !inner.spool.is_erased(id) {
            let health = inner.health().clone();
            if health.failures > failures || Instant::now() >= until {
                let why = health.failure.unwrap_or_else(|| "events wait to be delivered before".to_owned());
                return Err(ChangeError::Noted(Cause::from(why)));
            }
            inner.spool.wait_for_change(Instant::now() + LOOK);
        }
        Ok(())
    }

    /// The sessions with an event that waits.
    fn waiting_sessions(&self, since: Timestamp) -> HashMap<(WebsiteId, SessionId), Waiting> {
        let mut sessions: HashMap<(WebsiteId, SessionId), Waiting> = HashMap::new();
        let inner = &self.inner;
        let begun = since.plus_millis(-SESSION_MAX_MS);
        let read = inner.spool.each_waiting(&mut |new| {
            let at = new.event.at;
            if at < begun || inner.since(new.website).is_some_and(|hidden| at < hidden) {
                return;
            }
            let waiting = sessions.entry((new.website, new.event.session)).or_insert_with(|| Waiting {
                visitor: new.event.visitor,
                last_at: at,
                first: None,
            });
            waiting.last_at = waiting.last_at.max(at);
            let is_first = waiting.first.as_ref().is_none_or(|first| at < first.began_at);
            if new.event.kind != EventKind::Heartbeat && is_first {
                waiting.first = Some(first_of(new));
            }
        });
        if let Err(error) = read {
            tracing::error!(%error, "sessions of events that wait in the spool begin anew");
        }
        sessions
    }
}

/// What waits of a session.
struct Waiting {
    visitor: VisitorId,
    last_at: Timestamp,
    /// What is known of it by its first event; `None` when there are heartbeats alone.
    first: Option<RecentSession>,
}

/// A session that begins with `new`.
fn first_of(new: &NewEvent) -> RecentSession {
    let event = &new.event;
    let text = |dimension: Dimension| event.dimensions.get(dimension);
    let mut recent = RecentSession::new(new.website, event.visitor, event.session, event.at);
    recent.flags = event.flags;
    recent.campaign = [Dimension::UtmSource, Dimension::UtmMedium, Dimension::UtmCampaign].map(text).join("\u{1f}");
    recent.referrer = text(Dimension::Referrer).to_owned();
    recent.channel = text(Dimension::Channel).to_owned();
    recent
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> ChangeError {
    ChangeError::Unavailable(Cause::new(error.to_string(), error))
}

impl EventStore for ClickHouseStore {
    fn append(&self, events: Vec<NewEvent>) -> Append<'_> {
        self.inner.spool.append(events)
    }

    fn try_append(&self, events: Vec<NewEvent>) -> Result<AppendReceipt, AppendRefused> {
        self.inner.spool.try_append(events)
    }

    fn try_capture(&self, captures: Vec<NewCapture>) -> Result<AppendReceipt, AppendError> {
        self.inner.spool.try_capture(captures)
    }

    fn query(&self, website: WebsiteId, query: &Query, budget: &Budget) -> Result<Answer, QueryError> {
        self.inner.tables.query(website, self.inner.since(website), query, budget)
    }

    fn recent_sessions(&self, since: Timestamp) -> Vec<RecentSession> {
        let hidden: Vec<(WebsiteId, Timestamp)> = {
            let hidden = self.inner.hidden.read().unwrap_or_else(PoisonError::into_inner);
            hidden.iter().map(|(website, since)| (*website, *since)).collect()
        };
        let waiting = self.waiting_sessions(since);
        // A session that goes on in the spool may have been still for long where it was delivered to.
        let from = if waiting.is_empty() { since } else { since.plus_millis(-SESSION_MAX_MS) };
        let delivered = if self.inner.health().is_prepared {
            self.inner.tables.recent_sessions(from, &hidden)
        } else {
            Err(QueryError::unavailable("it was not reached since the start"))
        };
        // Without them sessions begin anew, which harms less than a server that does not start.
        let delivered = delivered.unwrap_or_else(|error| {
            tracing::warn!(%error, "ClickHouse does not tell of the last sessions: they begin anew");
            Vec::new()
        });
        let key = |session: &RecentSession| (session.website, session.session);
        let mut sessions: HashMap<_, RecentSession> =
            delivered.into_iter().map(|session| (key(&session), session)).collect();
        for ((website, session), Waiting { visitor, last_at, first }) in waiting {
            match (sessions.get_mut(&(website, session)), first) {
                (Some(known), first) if known.visitor == visitor => {
                    let last_at = known.last_at.max(last_at);
                    if let Some(first) = first.filter(|first| first.began_at < known.began_at) {
                        *known = first;
                    }
                    known.last_at = last_at;
                }
                (None, Some(mut first)) => {
                    first.last_at = last_at;
                    sessions.insert((website, session), first);
                }
                _ => {}
            }
        }
        let mut recent: Vec<RecentSession> =
            sessions.into_values().filter(|session| session.last_at >= since).collect();
        // As the store in a directory gives them.
        recent.sort_by_key(|session| (session.website, session.visitor, session.session));
        recent
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
        self.erase(website, Some(visitor))
    }

    fn delete_website(&self, website: WebsiteId) -> Result<(), ChangeError> {
        self.erase(website, None)
    }

    fn retain(&self, kept: &[Kept], now: Option<Timestamp>, tell: &mut dyn FnMut(Retained)) -> Result<(), ChangeError> {
        let mut ledger = self.inner.ledger().map_err(unavailable)?;
        let mut changed = ledger.ledger.clone();
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
        let mut ledger = self.inner.ledger().map_err(unavailable)?;
        let mut changed = ledger.ledger.clone();
        changed.count_day(now);
        let rows = |website, times: Range<i64>| {
            let range = TimeRange::new(Timestamp::from_millis(times.start), Timestamp::from_millis(times.end));
            self.inner.tables.count(website, range).map_err(unavailable)
        };
        let (removals, waiting, _) = changed.due_removals(rows)?;
        self.inner.note(&mut ledger, changed).map_err(unavailable)?;
        waiting.into_iter().for_each(&mut *tell);
        // Deliveries of what is hidden wait meanwhile: they begin the days anew.
        for (website, removal) in removals {
            self.inner.tables.remove_before(website, removal.before).map_err(unavailable)?;
            let mut changed = ledger.ledger.clone();
            changed.removed(website, &removal);
            self.inner.note(&mut ledger, changed).map_err(unavailable)?;
            self.inner.spans.forget(website);
            self.inner.count_rows();
            if removal.rows > 0 {
                tell(Retained::Removed { website, before: removal.before, rows: removal.rows });
            }
        }
        Ok(())
    }

    fn newest(&self) -> Option<Timestamp> {
        let is_prepared = self.inner.health().is_prepared;
        let delivered = if is_prepared { self.inner.tables.newest().ok().flatten() } else { None };
        delivered.max(self.inner.spool.newest())
    }

    fn span(&self, website: WebsiteId) -> Option<TimeRange> {
        let inner = &self.inner;
        let is_away = inner.health().failure.is_some();
        let ask = || {
            // Whoever asks for this waits for no server that is away.
            if is_away { Err(QueryError::unavailable("it is away")) } else { inner.tables.span(website, None) }
        };
        visible(inner.spans.get(website, Instant::now(), ask).ok().flatten()?, inner.since(website))
    }

    fn damages(&self) -> Vec<String> {
        self.inner.health().damage.clone().into_iter().collect()
    }

    fn stats(&self) -> StoreStats {
        let inner = &self.inner;
        let figures = inner.spool.figures();
        let mut stats = StoreStats::default();
        stats.queue_depth = figures.queue_depth;
        stats.writable = figures.is_writable;
        let mut delivery = DeliveryStats::default();
        delivery.batches = figures.batches;
        delivery.bytes = figures.bytes;
        delivery.bytes_max = inner.spool.bytes_max();
        delivery.oldest = figures.oldest;
        delivery.is_reachable = {
            let health = inner.health();
            health.is_prepared && health.failure.is_none()
        };
        stats.delivery = Some(delivery);
        stats.segment_rows = inner.rows.load(Ordering::Relaxed);
        stats
    }

    fn seal(&self) -> Result<bool, ChangeError> {
        self.inner.spool.sync_captures().map_err(unavailable)
    }

    fn copy(&self, copier: &mut dyn Copier) -> Result<(), ChangeError> {
        let _ = copier;
        let words = "events are in ClickHouse, and are backed up with the means of ClickHouse and not by this program";
        Err(ChangeError::Unavailable(Cause::from(words.to_owned())))
    }

    fn shutdown(&self) {
        self.inner.spool.refuse();
        self.inner.is_draining.store(true, Ordering::SeqCst);
        self.close();
        if let Err(error) = self.inner.spool.sync_captures() {
            tracing::warn!(%error, "captures were not stored; they are in the spool");
        }
        self.inner.spool.stop();
    }
}

impl ClickHouseStore {
    /// Ends the deliverer.
    fn close(&self) {
        self.inner.spool.close();
        let deliverer = self.deliverer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(deliverer) = deliverer
            && deliverer.join().is_err()
        {
            tracing::error!("the thread that delivers to ClickHouse panicked");
        }
    }
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
