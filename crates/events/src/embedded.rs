//! The embedded store, put together.

use std::fmt;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use zenovay_domain::{Clock, Dimension, Event, TimeRange, Timestamp, VisitorId, WebsiteId};
use zenovay_query::engine::{self, columns_needed, time_needed};
use zenovay_query::{Answer, Budget, Query, QueryError};

use crate::catalog::{self, Named, sync_dir};
use crate::codec::Record;
use crate::export::visitor_events;
use crate::head::Generation;
use crate::inner::Inner;
use crate::log::{Log, Opened, Purpose};
use crate::maintenance::{run_merger, run_sealer};
use crate::queue::{NewRecords, Task};
use crate::recent::recent_sessions;
use crate::sections::StoredSections;
use crate::segment::{Segment, file_name, ranges_of};
use crate::slot::LogOwner;
use crate::state::State;
use crate::store::Movable;
use crate::view::Views;
use crate::writer::Writer;
use crate::{
    Append, AppendError, AppendReceipt, AppendRefused, ChangeError, Copier, EmbeddedConfig, EventStore, Kept,
    NewCapture, NewEvent, OpenError, RecentSession, Retained, SegmentCheck, SegmentFile, StoreStats,
};

/// A store in a directory of this machine: a SQLite log, a head in memory, and Parquet segments.
///
/// Three threads work behind it: a writer, a sealer and a merger. Dropping the store stops them without sealing, and blocks
/// until they have ended: what was acknowledged is in the log and is replayed at the next start. [`EventStore::shutdown`] seals
/// first.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// use std::sync::Arc;
/// use zenovay_events::{EmbeddedConfig, EmbeddedStore, EventStore, SystemClock};
///
/// let config = EmbeddedConfig::new(dir).with(|config| config.cache_bytes = 32 << 20);
/// let store = EmbeddedStore::open(config, Arc::new(SystemClock))?;
/// assert!(store.stats().writable);
/// store.shutdown();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EmbeddedStore {
    pub(crate) inner: Arc<Inner>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl EmbeddedStore {
    /// Opens the store in `config.dir`, makes it when there is none, and replays what is not in segments yet. Blocks. Ready when
    /// this returns: every event acknowledged before is in the answer of the next query. The time it takes depends on
    /// the head, not on what is in segments.
    ///
    /// # Errors
    /// [`OpenError::Config`] when a value of `config` makes no sense. When the directory is in use, cannot be used, is damaged or
    /// of a newer format, or when its log and its segment files do not belong together. Damaged segments are not a reason, see
    /// [`EventStore::damages`].
    pub fn open(config: EmbeddedConfig, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        config.check()?;
        let Opened { log, named, next_segment, ledger, file } = Log::open(&config.dir, Purpose::Serve)?;
        let segments_dir = catalog::segments_dir(&config.dir);
        let io = |error| OpenError::io(&segments_dir, error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&segments_dir).map_err(io)?;
        // Segments are durable when their directory has a name that is.
        sync_dir(&config.dir).map_err(io)?;
        let gone = catalog::settle(&segments_dir, &named)?;
        let log = log.forget_replaced(gone)?;
        let Named { store, segments, .. } = named;

        let active = Arc::new(Generation::first());
        let now_ms = clock.now().as_millis();
        let mut has_lost = false;
        log.replay(|batch, record| match record {
            Record::Events(events) => {
                active.append(now_ms, events.iter().map(|(website, event)| (*website, event)));
            }
            Record::Captures(captures) => match &config.captures {
                Some(sink) => {
                    active.note_captured(now_ms, captures.iter().map(|(_, bytes)| bytes.len() as u64).sum());
                    sink.take(batch, captures);
                }
                None => has_lost = true,
            },
            // What only a spool needs to know of its events.
            Record::Arrivals(_) => {}
        })?;
        if has_lost {
            let problem = "must be given: the log has captures".to_owned();
            return Err(OpenError::Config { field: "captures", problem });
        }
        let mut segments: Vec<Arc<Segment>> = segments
            .into_iter()
            .map(|meta| Arc::new(Segment::new(&segments_dir, meta).with_faults(config.faults.clone())))
            .collect();
        segments.sort_by_key(|segment| segment.meta.position);
        segments.iter().for_each(|segment| segment.look());
        let state = State { version: 1, segments, frozen: Vec::new(), active, ledger: Arc::new(ledger) };

        let inner = Arc::new(Inner::new(config, clock, segments_dir.clone(), state, store, next_segment, file));
        // A process that was killed cannot tell, and who is ready takes events.
        if inner.log_file.as_ref().is_some_and(|file| !Log::has_room(file)) {
            inner.lacks_space();
        }
        let threads = start_threads(&inner, log).map_err(|error| OpenError::io(&segments_dir, error))?;
        Ok(Self { inner, threads: Mutex::new(threads) })
    }

    /// Merges one run of small segments now. `false` when none is due. The store does this by itself after each seal. Blocks.
    ///
    /// # Errors
    /// When a segment is damaged, or the merged one cannot be written; the segments stay as they were.
    pub fn merge(&self) -> Result<bool, ChangeError> {
        Ok(self.inner.merge()?)
    }

    /// Reads through every segment that was not read through yet and compares it with its checksums: afterwards
    /// [`EventStore::damages`] tells of all damage that there was. The store does this by itself, a part each minute, so that
    /// damage is known before a query needs what is damaged. Blocks.
    pub fn scrub(&self) {
        self.inner.scrub(u64::MAX);
    }
}

fn start_threads(inner: &Arc<Inner>, log: Log) -> std::io::Result<Vec<JoinHandle<()>>> {
    let writer = Writer::new(Arc::clone(inner), log)?;
    let named = |name: &str| thread::Builder::new().name(format!("events-{name}"));
    let mut threads = vec![named("writer").spawn(move || writer.run())?];
    let (weak, signal) = (Arc::downgrade(inner), Arc::clone(&inner.sealer));
    threads.push(named("sealer").spawn(move || run_sealer(&weak, &signal))?);
    let (weak, signal) = (Arc::downgrade(inner), Arc::clone(&inner.merger));
    threads.push(named("merger").spawn(move || run_merger(&weak, &signal))?);
    Ok(threads)
}

impl EventStore for EmbeddedStore {
    fn append(&self, events: Vec<NewEvent>) -> Append<'_> {
        Append::new(async move { self.admit(events).await?.await })
    }

    fn try_append(&self, events: Vec<NewEvent>) -> Result<AppendReceipt, AppendRefused> {
        if events.is_empty() {
            return Ok(AppendReceipt::answered(Ok(Vec::new())));
        }
        if self.inner.poisoned.load(Ordering::Relaxed) {
            return Err(AppendRefused::new(AppendError::Poisoned, events));
        }
        if self.inner.head_is_full(&self.inner.state()) {
            self.inner.sealer.wake();
            // Refused for good is told as such.
            let reason = if self.inner.is_stopping() { AppendError::ShuttingDown } else { AppendError::QueueFull };
            return Err(AppendRefused::new(reason, events));
        }
        let refused = |(reason, records): (AppendError, NewRecords)| AppendRefused::new(reason, records.into_events());
        self.inner.queue.push(NewRecords::Events(events)).map_err(refused)
    }

    fn try_capture(&self, captures: Vec<NewCapture>) -> Result<AppendReceipt, AppendError> {
        if captures.is_empty() {
            return Ok(AppendReceipt::answered(Ok(Vec::new())));
        }
        self.inner.config.captures.as_ref().ok_or(AppendError::NoCaptureSink)?.room()?;
        if self.inner.poisoned.load(Ordering::Relaxed) {
            return Err(AppendError::Poisoned);
        }
        self.inner.queue.push(NewRecords::Captures(captures)).map_err(|(reason, _)| reason)
    }

    fn query(&self, website: WebsiteId, query: &Query, budget: &Budget) -> Result<Answer, QueryError> {
        let inner = &self.inner;
        let time = time_needed(query);
        let by_sections = || {
            let state = inner.state();
            let sections = StoredSections::new(&state, &inner.temporary, website, time);
            let budget = budget.clone().on_threads(inner.config.query_threads, inner.config.query_thread_rows);
            engine::answer_by_sections(&sections, query, &budget)
        };
        let state = inner.state();
        if inner.views.rows_to_load(&state, website, time) > inner.config.scan_rows_max
            || Views::is_too_much(&state, website, time, budget)
        {
            return by_sections();
        }
        drop(state);
        let prepared = match inner.views.prepare(|| inner.state(), website, time, columns_needed(query), budget) {
            // This does without having all rows at once.
            Err(QueryError::MemoryExceeded) => return by_sections(),
            prepared => prepared?,
        };
        let rest = prepared.rest_of(budget);
        match prepared.with_dataset(|dataset| engine::answer(&dataset, query, &rest)) {
            Err(QueryError::MemoryExceeded) => {
                drop(prepared);
                by_sections()
            }
            answer => answer,
        }
    }

    fn recent_sessions(&self, since: Timestamp) -> Vec<RecentSession> {
        recent_sessions(&self.inner.state(), since)
    }

    fn damages(&self) -> Vec<String> {
        self.inner.state().segments.iter().filter_map(|segment| segment.damage()).collect()
    }

    fn visitor_events(
        &self,
        website: WebsiteId,
        visitor: VisitorId,
        budget: &Budget,
    ) -> Result<Vec<Event>, QueryError> {
        visitor_events(&self.inner.state(), website, visitor, budget)
    }

    fn erase_visitor(&self, website: WebsiteId, visitor: VisitorId) -> Result<(), ChangeError> {
        Ok(self.inner.erase(website, Some(visitor))?)
    }

    fn delete_website(&self, website: WebsiteId) -> Result<(), ChangeError> {
        Ok(self.inner.erase(website, None)?)
    }

    fn retain(&self, kept: &[Kept], now: Option<Timestamp>, tell: &mut dyn FnMut(Retained)) -> Result<(), ChangeError> {
        Ok(self.inner.retain(kept, now, tell)?)
    }

    fn remove_hidden(&self, now: Timestamp, tell: &mut dyn FnMut(Retained)) -> Result<(), ChangeError> {
        Ok(self.inner.remove_hidden(now, tell)?)
    }

    fn newest(&self) -> Option<Timestamp> {
        let state = self.inner.state();
        let in_segments = state.segments.iter().flat_map(|segment| &segment.meta.sites).map(|range| range.max_at);
        let sites = state
            .generations()
            .flat_map(|generation| generation.websites().into_iter().filter_map(|website| generation.site(website)));
        let in_head = sites.filter_map(|site| site.lock().at.iter().copied().max());
        in_segments.chain(in_head).max().map(Timestamp::from_millis)
    }

    fn span(&self, website: WebsiteId) -> Option<TimeRange> {
        let state = self.inner.state();
        let hidden_before = state.hidden_before(website);
        let in_segments = state.segments.iter().flat_map(|segment| ranges_of(&segment.meta.sites, website));
        let mut ends: Vec<(i64, i64)> = in_segments.map(|range| (range.min_at, range.max_at)).collect();
        for site in state.generations().filter_map(|generation| generation.site(website)) {
            let site = site.lock();
            ends.extend(site.at.iter().min().copied().zip(site.at.iter().max().copied()));
        }
        let seen = ends.into_iter().filter(|(_, last)| *last >= hidden_before);
        let (first, last) = seen.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))?;
        let at = Timestamp::from_millis;
        Some(TimeRange::new(at(first.max(hidden_before)), at(last).plus_millis(1)))
    }

    fn take_folded(&self) -> Vec<(WebsiteId, Dimension, u64)> {
        let folded = std::mem::take(&mut *self.inner.folded.lock());
        folded.into_iter().map(|((website, column), events)| (website, column, events)).collect()
    }

    fn stats(&self) -> StoreStats {
        let inner = &self.inner;
        let state = inner.state();
        StoreStats {
            queue_depth: inner.queue.depth() as u64,
            head_rows: state.head_rows(),
            segments: state.segments.len() as u64,
            segment_rows: state.segments.iter().map(|segment| segment.meta.rows).sum(),
            segment_bytes: state.segments.iter().map(|segment| segment.meta.bytes).sum(),
            damaged_segments: inner.damaged_segments(),
            cache_bytes: (inner.views.bytes() + inner.temporary.bytes()) as u64,
            writable: inner.queue.is_open()
                && !inner.poisoned.load(Ordering::Relaxed)
                && !inner.disk_full.load(Ordering::Relaxed)
                && !inner.head_is_full(&state),
            delivery: None,
        }
    }

    fn seal(&self) -> Result<bool, ChangeError> {
        Ok(self.inner.seal()?)
    }

    fn store_id(&self) -> Option<String> {
        Some(self.inner.store.to_string())
    }

    fn segment_files(&self) -> Vec<SegmentFile> {
        self.inner.segment_files(&self.inner.state())
    }

    fn segment_check(&self, file: &SegmentFile) -> Option<SegmentCheck> {
        let state = self.inner.state();
        let is_it = |segment: &&Arc<Segment>| file_name(segment.meta.id) == file.name;
        state.segments.iter().find(is_it).map(|segment| SegmentCheck::new(&segment.meta))
    }

    fn copy(&self, copier: &mut dyn Copier) -> Result<(), ChangeError> {
        Ok(self.inner.copy(copier)?)
    }

    fn movable(&self) -> Option<&dyn Movable> {
        Some(self)
    }

    fn shutdown(&self) {
        self.inner.queue.refuse();
        // Fails only when the writer is gone, and nothing waits then.
        let _ = self.inner.queue.run(Task::Drain);
        if let Err(error) = self.inner.seal() {
            tracing::warn!(%error, "the head was not sealed; it is in the log and will be replayed");
        }
        self.stop();
    }
}

impl EmbeddedStore {
    /// Queues `events` when there is room for them.
    async fn admit(&self, mut events: Vec<NewEvent>) -> Result<AppendReceipt, AppendRefused> {
        let _turn = self.inner.queue.turn().await;
        loop {
            // From before the attempt, so that no room is missed that comes between.
            let room = self.inner.queue.room();
            match self.try_append(events) {
                Err(AppendRefused { reason: AppendError::QueueFull, events: back }) => events = back,
                done => return done,
            }
            room.await;
        }
    }

    fn stop(&self) {
        self.inner.queue.close();
        self.inner.sealer.stop();
        self.inner.merger.stop();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the event store panicked");
            }
        }
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").field("dir", &self.inner.config.dir).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
