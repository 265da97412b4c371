//! A durable queue in front of a store that is in another process: the log of [`crate::log`], without a head and segments.
//!
//! What is appended is durable in `events.db` of the spool's directory, with the idempotency keys, and is read back from there to be
//! delivered, in the order of commits. A delivery is noted before anybody gets it, with the numbers of its events, so that one
//! of unknown fate is the same when it is tried again, also by the next process. What was delivered is deleted.
//!
//! An erasure is noted with the last batch that may have its events. They are left out of each delivery that begins afterwards.
//! It is complete when what was delivered before is erased where it is, which whoever delivers says, and all those batches are delivered.

mod tables;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use zenovay_domain::{Clock, SessionId, SessionSpan, Timestamp, VisitorId, WebsiteId};

use self::tables::{Known, Noted, Planned};
use self::writer::{Task, Writer};
use crate::codec;
use crate::log::{Log, LogFailure, Opened, Purpose, ReadFrom};
use crate::queue::{NewRecords, Queue};
use crate::sessions::{ROWS_READ, SESSIONS_KNOWN, Sessions};
use crate::slot::LogOwner;
use crate::{
    Append, AppendError, AppendReceipt, AppendRefused, CaptureSink, ChangeError, NewCapture, NewEvent, Observer,
    OpenError,
};

/// So many bytes of batches are read from the log at a time.
const READ_BYTES: usize = 1 << 20;
/// And so many batches.
const READ_BATCHES: usize = 4_096;
/// Captures are made durable where they go when so many bytes of them were taken.
const SYNC_BYTES: u64 = 16 << 20;
/// Or when they were taken this long ago.
const SYNC_AFTER: Duration = Duration::from_secs(60);

/// When an append is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing between")]
pub enum Acknowledged {
    /// When it is durable in the spool.
    WhenSpooled,
    /// When it is delivered. Those that wait for longer than the patience of the spool are told
    /// [`AppendError::NotDelivered`].
    WhenDelivered,
}

/// The settings of a [`Spool`].
#[derive(Clone)]
#[non_exhaustive]
pub struct SpoolConfig {
    /// Its directory, made when missing, mode 0700. One process at a time can have it open.
    pub dir: PathBuf,
    /// Appends wait, or are refused as from a full queue, while the file has this many bytes in use. Default 10 GiB.
    pub bytes_max: u64,
    /// When appends are acknowledged. Default when they are in the spool.
    pub acknowledged: Acknowledged,
    /// How long an append waits to be delivered, where it does. Default 30 s.
    pub patience: Duration,
    /// As [`EmbeddedConfig::queue_rows`](crate::EmbeddedConfig::queue_rows).
    pub queue_rows: usize,
    /// As [`EmbeddedConfig::queue_bytes`](crate::EmbeddedConfig::queue_bytes).
    pub queue_bytes: usize,
    /// As [`EmbeddedConfig::commit_rows`](crate::EmbeddedConfig::commit_rows).
    pub commit_rows: usize,
    /// As [`EmbeddedConfig::commit_bytes`](crate::EmbeddedConfig::commit_bytes).
    pub commit_bytes: usize,
    /// As [`EmbeddedConfig::idempotency_ms`](crate::EmbeddedConfig::idempotency_ms).
    pub idempotency_ms: i64,
    /// Told about commits. Default nobody.
    pub observer: Option<Arc<dyn Observer>>,
    /// Where captures go. Default nowhere.
    pub captures: Option<Arc<dyn CaptureSink>>,
}

impl SpoolConfig {
    /// The defaults, for a spool in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let defaults = crate::EmbeddedConfig::new("");
        Self {
            dir: dir.into(),
            bytes_max: 10 << 30,
            acknowledged: Acknowledged::WhenSpooled,
            patience: Duration::from_secs(30),
            queue_rows: defaults.queue_rows,
            queue_bytes: defaults.queue_bytes,
            commit_rows: defaults.commit_rows,
            commit_bytes: defaults.commit_bytes,
            idempotency_ms: defaults.idempotency_ms,
            observer: None,
            captures: None,
        }
    }
}

impl fmt::Debug for SpoolConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpoolConfig")
            .field("dir", &self.dir)
            .field("bytes_max", &self.bytes_max)
            .field("acknowledged", &self.acknowledged)
            .finish_non_exhaustive()
    }
}

/// Why a spool did not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// Its log cannot be written.
    #[error("the spool cannot be written")]
    Log(#[from] AppendError),
    /// Its log cannot be read: this batch is not what was written, and nothing behind it is delivered.
    #[error("the spool is damaged: {0}")]
    Damaged(String),
    /// Captures are not durable where they go.
    #[error("captures cannot be stored")]
    Captures(#[source] ChangeError),
}

/// What is to be delivered together.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Delivery {
    /// What tells it from every other delivery of every spool.
    pub token: String,
    /// The number of its first event.
    pub number: u64,
    /// The events with their numbers, ascending, without those of whom was erased.
    pub events: Vec<(u64, NewEvent)>,
    /// Whether some or all of it may have been delivered before: by this process, or by one that died.
    pub may_be_stored: bool,
    /// How many events were counted, those that were left out among them.
    rows: u64,
    last_seq: u64,
}

/// An erasure that is to be done where events were delivered to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingErasure {
    /// Its number.
    pub id: i64,
    /// Of which website.
    pub website: WebsiteId,
    /// Whose; everybody's when it is `None`.
    pub visitor: Option<VisitorId>,
}

/// Figures of a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpoolFigures {
    /// Bytes of its file in use, those of idempotency keys among them.
    pub bytes: u64,
    /// Batches of events that are not delivered.
    pub batches: u64,
    /// When the oldest event that is not delivered arrived; `None` when there is none.
    pub oldest: Option<Timestamp>,
    /// Appends that wait to be committed.
    pub queue_depth: u64,
    /// Whether appends can succeed now.
    pub is_writable: bool,
}

/// What the threads know of the log.
#[derive(Debug, Default)]
struct Marks {
    /// The last batch that was committed.
    last_seq: u64,
    /// Up to where everything is delivered.
    delivered_seq: u64,
    /// Up to where captures are durable where they go.
    synced_seq: u64,
    /// Bytes of captures behind that, and when the first of them was taken.
    captured: Option<(u64, Instant)>,
    /// About how many rows wait.
    rows: u64,
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
    planned: Option<Planned>,
    /// Ascending.
    erasures: Vec<Noted>,
    /// Up to which erasure that all spools are told of this one has noted them; `None` when it was never told of one.
    heard: Option<u64>,
    is_closing: bool,
}

impl Marks {
    /// Up to where batches are of no use any more, when everything up to `delivered` is delivered.
    fn sealed(&self, delivered: u64) -> u64 {
        if self.captured.is_some() { delivered.min(self.synced_seq) } else { delivered }
    }

    /// The last erasure that was noted.
    fn last_erasure(&self) -> i64 {
        self.erasures.last().map_or(0, |noted| noted.id)
    }
}

struct SpoolInner {
    config: SpoolConfig,
    clock: Arc<dyn Clock>,
    queue: Queue<Task>,
    poisoned: AtomicBool,
    disk_full: AtomicBool,
    bytes: AtomicU64,
    marks: Mutex<Marks>,
    /// Told when the marks changed.
    changed: Condvar,
    /// The id of the spool.
    store: String,
    /// See [`crate::log::Opened`].
    _file: Option<File>,
}

impl SpoolInner {
    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock()
    }

    /// Notes what a commit did.
    fn committed(&self, last_seq: u64, rows: u64, newest: Option<Timestamp>, captured_bytes: u64) {
        let mut marks = self.marks();
        if rows > 0 && marks.rows == 0 {
            marks.oldest = Some(self.clock.now());
        }
        marks.last_seq = last_seq;
        marks.rows += rows;
        marks.newest = marks.newest.max(newest);
        if captured_bytes > 0 {
            let (bytes, since) = marks.captured.unwrap_or((0, Instant::now()));
            marks.captured = Some((bytes + captured_bytes, since));
        }
        drop(marks);
        self.changed.notify_all();
    }

    /// Whoever waits looks whether it still has to.
    fn close(&self) {
        self.marks().is_closing = true;
        self.changed.notify_all();
    }

    fn has_space(&self) {
        if self.disk_full.swap(false, Ordering::Relaxed) {
            tracing::info!("there is space on the disk of the spool again");
        }
    }

    fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= self.config.bytes_max
    }
}

impl LogOwner for SpoolInner {
    fn lacks_space(&self) {
        if !self.disk_full.swap(true, Ordering::Relaxed) {
            tracing::warn!("the disk of the spool is full: appends are refused until there is space again");
        }
    }

    fn log_failed(&self, reason: &str) {
        tracing::error!(%reason, "the spool failed: nothing is stored until restart");
        self.poisoned.store(true, Ordering::Relaxed);
        self.queue.tell_room();
    }
}

/// A durable queue of events on their way to a store in another process.
pub struct Spool {
    inner: Arc<SpoolInner>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Spool {
    /// Opens the spool in `config.dir`, or makes an empty one. Blocks: it reads the batches that were committed last.
    ///
    /// # Errors
    /// When the directory is in use, cannot be used, is damaged, or of a newer format.
    pub fn open(config: SpoolConfig, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.dir)
            .map_err(|error| OpenError::io(&config.dir, error))?;
        let Opened { log, named, file, .. } = Log::open(&config.dir, Purpose::Serve)?;
        let damaged = |what: String| OpenError::Damaged { dir: config.dir.clone(), what };
        let (log, known) = log.change(None, tables::read).map_err(|failure| match failure {
            LogFailure::Refused(_, hindrance) => damaged(AppendError::from(hindrance).to_string()),
            LogFailure::Poisoned(log) => damaged(log.reason),
        })?;
        let Known { delivered_seq, synced_seq, heard, planned, erasures } = known;
        let mut marks = Marks { last_seq: log.last_seq(), heard, planned, erasures, ..Marks::default() };
        // Where nothing was noted yet.
        marks.delivered_seq = delivered_seq.max(log.sealed_seq());
        marks.synced_seq = synced_seq.max(log.sealed_seq());
        if let Some(sink) = &config.captures {
            let mut taken = 0;
            let mut fault = None;
            let read =
                log.read_batches(ReadFrom::After(marks.synced_seq), |seq, payload| {
                    match codec::decode_captures(payload) {
                        Ok(captures) if captures.is_empty() => ControlFlow::Continue(()),
                        Ok(captures) => {
                            taken += captures.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
                            sink.take(log.name_of(seq), captures);
                            ControlFlow::Continue(())
                        }
                        Err(error) => {
                            fault = Some(format!("batch {seq} of the spool {error}"));
                            ControlFlow::Break(())
                        }
                    }
                });
            read.map_err(|error| damaged(error.to_string()))?;
            if let Some(fault) = fault {
                return Err(damaged(fault));
            }
            marks.captured = (taken > 0).then(|| (taken, Instant::now()));
        }
        let mut sessions = Sessions::default();
        let mut rows = 0;
        let waiting = ReadFrom::Before { before: u64::MAX >> 1, after: marks.delivered_seq };
        let read = log.read_batches(waiting, |_, payload| {
            // A batch that is damaged is told by whoever delivers it.
            for new in codec::decode_arrived(payload).unwrap_or_default() {
                rows += 1;
                marks.newest = marks.newest.max(Some(new.event.at));
                marks.oldest = Some(new.received_at);
                sessions.learn(new.website, new.event.session, SessionSpan::of(&new.event));
            }
            let is_enough = rows >= ROWS_READ || sessions.len() >= SESSIONS_KNOWN;
            if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        read.map_err(|error| damaged(error.to_string()))?;
        marks.rows = rows as u64;
        let bytes = log.used_bytes().map_err(|error| damaged(error.to_string()))?;
        let inner = Arc::new(SpoolInner {
            queue: Queue::new(config.queue_rows, config.queue_bytes, config.commit_bytes),
            config,
            clock,
            poisoned: AtomicBool::new(false),
            disk_full: AtomicBool::new(false),
            bytes: AtomicU64::new(bytes),
            marks: Mutex::new(marks),
            changed: Condvar::new(),
            store: named.store.to_string(),
            _file: file,
        });
        let io = |error| OpenError::io(&inner.config.dir, error);
        let writer = Writer::new(Arc::clone(&inner), log, sessions).map_err(io)?;
        let thread = thread::Builder::new().name("spool-writer".to_owned()).spawn(move || writer.run()).map_err(io)?;
        Ok(Self { inner, writer: Mutex::new(Some(thread)) })
    }

    /// As [`EventStore::append`](crate::EventStore::append).
    pub fn append(&self, events: Vec<NewEvent>) -> Append<'_> {
        Append::new(async move { self.admit(events).await?.await })
    }

    /// As [`EventStore::try_append`](crate::EventStore::try_append).
    ///
    /// # Errors
    /// When they cannot be queued.
    pub fn try_append(&self, events: Vec<NewEvent>) -> Result<AppendReceipt, AppendRefused> {
        if events.is_empty() {
            return Ok(AppendReceipt::answered(Ok(Vec::new())));
        }
        if self.inner.poisoned.load(Ordering::Relaxed) {
            return Err(AppendRefused::new(AppendError::Poisoned, events));
        }
        if self.inner.is_full() && self.inner.queue.is_open() {
            return Err(AppendRefused::new(AppendError::QueueFull, events));
        }
        let refused = |(reason, records): (AppendError, NewRecords)| AppendRefused::new(reason, records.into_events());
        self.inner.queue.push(NewRecords::Events(events)).map_err(refused)
    }

    /// As [`EventStore::try_capture`](crate::EventStore::try_capture). Captures are acknowledged when they are in the spool.
    ///
    /// # Errors
    /// When they cannot be queued.
    pub fn try_capture(&self, captures: Vec<NewCapture>) -> Result<AppendReceipt, AppendError> {
        if captures.is_empty() {
            return Ok(AppendReceipt::answered(Ok(Vec::new())));
        }
        self.inner.config.captures.as_ref().ok_or(AppendError::NoCaptureSink)?.room()?;
        if self.inner.poisoned.load(Ordering::Relaxed) {
            return Err(AppendError::Poisoned);
        }
        if self.inner.is_full() && self.inner.queue.is_open() {
            return Err(AppendError::QueueFull);
        }
        self.inner.queue.push(NewRecords::Captures(captures)).map_err(|(reason, _)| reason)
    }

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

    /// What is to be delivered now: what was begun and not ended, or else up to `rows_max` events, but one batch at least;
    /// `None` when there is nothing. `number` gives the first of so many numbers that follow each other and that nothing else has.
    ///
    /// The delivery is durable when this returns. It is to be tried until [`delivered`](Self::delivered) can be said of it.
    ///
    /// # Errors
    /// When there is no number, or the log cannot be read or written.
    pub fn next_delivery<E: From<SpoolError>>(
        &self,
        rows_max: usize,
        number: &mut dyn FnMut(u64) -> Result<u64, E>,
    ) -> Result<Option<Delivery>, E> {
        let (planned, after, last_erasure) = {
            let marks = self.inner.marks();
            (marks.planned, marks.delivered_seq, marks.last_erasure())
        };
        let (planned, events) = match planned {
            Some(planned) => {
                let (_, events) = self.read(after, usize::MAX, Some(planned.last_seq))?;
                let now = Planned { erasures: last_erasure, ..planned };
                if !planned.may_be_stored && now != planned {
                    self.begin(now)?;
                    (now, events)
                } else {
                    (planned, events)
                }
            }
            None => {
                let (last_seq, events) = self.read(after, rows_max, None)?;
                if last_seq == after {
                    return Ok(None);
                }
                if let Some((_, new)) = events.first() {
                    self.inner.marks().oldest = Some(new.received_at);
                }
                // Batches of captures alone go nowhere.
                let first_arrival = if events.is_empty() { 0 } else { number(events.len() as u64)? };
                let planned = Planned { last_seq, first_arrival, erasures: last_erasure, may_be_stored: false };
                if !events.is_empty() {
                    self.begin(planned)?;
                }
                (planned, events)
            }
        };
        let erased: Vec<Noted> = {
            let marks = self.inner.marks();
            marks.erasures.iter().filter(|noted| noted.id <= planned.erasures).copied().collect()
        };
        let rows = events.len() as u64;
        let is_kept = |seq: u64, new: &NewEvent| !erased.iter().any(|noted| noted.concerns(seq, new));
        let events = (planned.first_arrival..).zip(events).filter(|(_, (seq, new))| is_kept(*seq, new));
        let events = events.map(|(number, (_, new))| (number, new)).collect();
        let Planned { last_seq, first_arrival, may_be_stored, .. } = planned;
        // Two spools may have one id, when a directory was copied: they have no number together.
        let token = format!("zenovay-{}-{last_seq}-{first_arrival}", self.inner.store);
        Ok(Some(Delivery { token, number: first_arrival, events, may_be_stored, rows, last_seq }))
    }

    /// The delivery that was begun may have come to somebody: from now on it stays as it is, whatever is erased meanwhile.
    pub fn may_be_stored(&self) {
        if let Some(planned) = &mut self.inner.marks().planned {
            planned.may_be_stored = true;
        }
    }

    /// All of `delivery` is stored where it was delivered to.
    ///
    /// # Errors
    /// When that cannot be noted: then it is the next delivery again.
    pub fn delivered(&self, delivery: &Delivery) -> Result<(), SpoolError> {
        let (last_seq, rows) = (delivery.last_seq, delivery.rows);
        let inner = Arc::clone(&self.inner);
        self.on_writer(move |writer| {
            let sealed = inner.marks().sealed(last_seq);
            let is_erased = writer.with_log(|log| log.change(Some(sealed), |change| tables::end(change, last_seq)))?;
            let mut marks = inner.marks();
            marks.delivered_seq = last_seq;
            marks.planned = None;
            marks.rows = marks.rows.saturating_sub(rows);
            if marks.delivered_seq == marks.last_seq {
                (marks.rows, marks.oldest) = (0, None);
            }
            drop(marks);
            writer.acknowledge(last_seq);
            inner.changed.notify_all();
            if is_erased {
                forget_complete(&inner, writer)?;
            }
            Ok(())
        })
    }

    /// Notes that the events of `visitor` of `website`, or all of the website, are erased: durable when this returns. Events that are appended
    /// later are others. `number` is that of the erasure among all that the spools of several nodes are told of, from 1; one that is not greater than those
    /// that were noted before is noted already.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_erasure(&self, number: u64, website: WebsiteId, visitor: Option<VisitorId>) -> Result<(), SpoolError> {
        let inner = Arc::clone(&self.inner);
        self.on_writer(move |writer| {
            if inner.marks().heard >= Some(number) {
                return Ok(());
            }
            // What waits was sent before.
            writer.drain();
            let last_seq = inner.marks().last_seq;
            let note = |change: &_| {
                tables::set_heard(change, number)?;
                tables::note_erasure(change, website, visitor, last_seq)
            };
            let id = writer.with_log(|log| log.change(None, note))?;
            writer.sessions.forget_of(website, visitor);
            let mut marks = inner.marks();
            marks.erasures.push(Noted { id, website, visitor, last_seq, is_done: false, heard: Some(number) });
            marks.heard = Some(number);
            drop(marks);
            inner.changed.notify_all();
            Ok(())
        })
    }

    /// The number of the last erasure that was noted; `None` when it was never said where they begin.
    pub fn last_erasure(&self) -> Option<u64> {
        self.inner.marks().heard
    }

    /// The erasures up to `number` concern nothing in this spool. Says nothing when some were noted.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin_erasures(&self, number: u64) -> Result<(), SpoolError> {
        let inner = Arc::clone(&self.inner);
        self.on_writer(move |writer| {
            if inner.marks().heard.is_none() {
                writer.with_log(|log| log.change(None, |change| tables::set_heard(change, number)))?;
                inner.marks().heard = Some(number);
            }
            Ok(())
        })
    }

    /// The erasures that are to be done now where events were delivered to. None while it is not known what became of a delivery.
    pub fn pending_erasures(&self) -> Vec<PendingErasure> {
        let marks = self.inner.marks();
        if marks.planned.is_some_and(|planned| planned.may_be_stored) {
            return Vec::new();
        }
        let pending = marks.erasures.iter().filter(|noted| !noted.is_done);
        pending.map(|&Noted { id, website, visitor, .. }| PendingErasure { id, website, visitor }).collect()
    }

    /// The erasure `id` is done where events were delivered to.
    ///
    /// # Errors
    /// When that cannot be noted: then it is to be done again.
    pub fn erased(&self, id: i64) -> Result<(), SpoolError> {
        let inner = Arc::clone(&self.inner);
        self.on_writer(move |writer| {
            let delivered_seq = inner.marks().delivered_seq;
            let is_erased =
                writer.with_log(|log| log.change(None, |change| tables::erased(change, id, delivered_seq)))?;
            inner.marks().erasures.iter_mut().filter(|noted| noted.id == id).for_each(|noted| noted.is_done = true);
            if is_erased {
                forget_complete(&inner, writer)?;
            }
            Ok(())
        })
    }

    /// Whether the erasure with this number, which was noted since the spool was opened, is complete: in no batch, and erased where events were
    /// delivered to.
    pub fn is_erased(&self, number: u64) -> bool {
        let marks = self.inner.marks();
        marks.heard >= Some(number) && marks.erasures.iter().all(|noted| noted.heard != Some(number))
    }

    /// Waits until what this knows changes, `until` at most.
    pub fn wait_for_change(&self, until: Instant) {
        let mut marks = self.inner.marks();
        self.inner.changed.wait_until(&mut marks, until);
    }

    /// Waits until there is something to deliver or to erase, and then until there are `rows` events or `linger` is over;
    /// `limit` at most. `false` when the spool was closed.
    pub fn wait(&self, rows: u64, linger: Duration, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let mut marks = self.inner.marks();
        let has_work =
            |marks: &Marks| marks.delivered_seq < marks.last_seq || marks.erasures.iter().any(|noted| !noted.is_done);
        while !marks.is_closing && !has_work(&marks) {
            if self.inner.changed.wait_until(&mut marks, until).timed_out() {
                return !marks.is_closing;
            }
        }
        let until = until.min(Instant::now() + linger);
        let is_enough = |marks: &Marks| {
            marks.rows >= rows || marks.planned.is_some() || marks.erasures.iter().any(|noted| !noted.is_done)
        };
        while !marks.is_closing && !is_enough(&marks) {
            if self.inner.changed.wait_until(&mut marks, until).timed_out() {
                break;
            }
        }
        !marks.is_closing
    }

    /// Tells of sessions that are stored where events were delivered to.
    ///
    /// # Errors
    /// When the spool has ended.
    pub fn learn(&self, sessions: Vec<(WebsiteId, SessionId, SessionSpan)>) -> Result<(), SpoolError> {
        self.on_writer(move |writer| {
            sessions.into_iter().for_each(|(website, id, span)| writer.sessions.learn(website, id, span));
            Ok(())
        })
    }

    /// So many sessions are worth being told of.
    pub const SESSIONS: usize = SESSIONS_KNOWN;

    /// Hands events that are not delivered to `take`, the last batches first, about a million at most.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn each_waiting(&self, take: &mut dyn FnMut(&NewEvent)) -> Result<(), SpoolError> {
        let (after, erased, mut before) = {
            let marks = self.inner.marks();
            (marks.delivered_seq, marks.erasures.clone(), marks.last_seq + 1)
        };
        let mut rows = 0;
        while rows < ROWS_READ {
            let batches = self.batches(ReadFrom::Before { before, after }, None)?;
            let Some((first, _)) = batches.last() else { return Ok(()) };
            before = *first;
            for (seq, payload) in &batches {
                let is_erased = |new: &NewEvent| erased.iter().any(|noted| noted.concerns(*seq, new));
                let events = decoded(*seq, payload)?;
                rows += events.len();
                events.iter().filter(|new| !is_erased(new)).for_each(&mut *take);
            }
        }
        Ok(())
    }

    /// The time of the newest event that was seen since the spool was opened, or that waited then.
    pub fn newest(&self) -> Option<Timestamp> {
        self.inner.marks().newest
    }

    /// Makes captures durable where they go when that is due. To be called now and then.
    ///
    /// # Errors
    /// When they cannot be written there: they stay in the log.
    pub fn tend(&self) -> Result<(), SpoolError> {
        let captured = self.inner.marks().captured;
        match captured {
            Some((bytes, since)) if bytes >= SYNC_BYTES || since.elapsed() >= SYNC_AFTER => {
                self.sync_captures().map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Makes captures durable where they go. `false` when there are none that are not.
    ///
    /// # Errors
    /// As [`tend`](Self::tend).
    pub fn sync_captures(&self) -> Result<bool, SpoolError> {
        let Some(sink) = &self.inner.config.captures else { return Ok(false) };
        // What was committed up to here was handed over before.
        let (seq, captured) = {
            let marks = self.inner.marks();
            (marks.last_seq, marks.captured)
        };
        if captured.is_none() {
            return Ok(false);
        }
        sink.sync().map_err(SpoolError::Captures)?;
        let inner = Arc::clone(&self.inner);
        self.on_writer(move |writer| {
            let delivered_seq = inner.marks().delivered_seq;
            let sealed = delivered_seq.min(seq);
            writer.with_log(|log| log.change(Some(sealed), |change| tables::set_synced(change, seq)))?;
            let mut marks = inner.marks();
            marks.synced_seq = seq;
            // Others may have come since: they are believed to have come just now.
            marks.captured = (marks.last_seq > seq).then(|| (0, Instant::now()));
            Ok(())
        })?;
        Ok(true)
    }

    /// Figures of the moment.
    pub fn figures(&self) -> SpoolFigures {
        let inner = &self.inner;
        let marks = inner.marks();
        let is_sound = !inner.poisoned.load(Ordering::Relaxed) && !inner.disk_full.load(Ordering::Relaxed);
        SpoolFigures {
            bytes: inner.bytes.load(Ordering::Relaxed),
            batches: marks.last_seq - marks.delivered_seq,
            oldest: marks.oldest,
            queue_depth: inner.queue.depth() as u64,
            is_writable: inner.queue.is_open() && is_sound && !inner.is_full(),
        }
    }

    /// The most bytes of its file.
    pub fn bytes_max(&self) -> u64 {
        self.inner.config.bytes_max
    }

    /// Refuses appends from now on, and commits those that are queued. Blocks.
    pub fn refuse(&self) {
        self.inner.queue.refuse();
        // Fails only when the writer is gone, and nothing waits then.
        let _ = self.on_writer(|writer| {
            writer.drain();
            Ok(())
        });
    }

    /// Whether [`close`](Self::close) was called, or the thread ended.
    pub fn is_closed(&self) -> bool {
        self.inner.marks().is_closing
    }

    /// Ends [`wait`](Self::wait) for good.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Ends the thread. What is not delivered stays in the log. Blocks.
    pub fn stop(&self) {
        self.inner.close();
        self.inner.queue.close();
        if let Some(thread) = self.writer.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the spool panicked");
        }
    }

    fn begin(&self, planned: Planned) -> Result<(), SpoolError> {
        let inner = Arc::clone(&self.inner);
        self.on_writer(move |writer| {
            writer.with_log(|log| log.change(None, |change| tables::begin(change, planned)))?;
            inner.marks().planned = Some(planned);
            Ok(())
        })
    }

    /// Events of the batches after `after`, each with the number of its batch: about `rows_max`, or all up to the batch `last`.
    /// Gives the last batch.
    fn read(&self, after: u64, rows_max: usize, last: Option<u64>) -> Result<(u64, Vec<(u64, NewEvent)>), SpoolError> {
        let (mut end, mut events) = (after, Vec::new());
        loop {
            let batches = self.batches(ReadFrom::After(end), last)?;
            if batches.is_empty() {
                return Ok((end, events));
            }
            for (seq, payload) in &batches {
                let more = decoded(*seq, payload)?;
                if !events.is_empty() && events.len().saturating_add(more.len()) > rows_max {
                    return Ok((end, events));
                }
                events.extend(more.into_iter().map(|new| (*seq, new)));
                end = *seq;
            }
        }
    }

    /// Some batches, up to `last`.
    fn batches(&self, from: ReadFrom, last: Option<u64>) -> Result<Vec<(u64, Vec<u8>)>, SpoolError> {
        self.on_writer(move |writer| {
            let (mut batches, mut bytes) = (Vec::new(), 0);
            let read = writer.log_state(|log| {
                log.read_batches(from, |seq, payload| {
                    if last.is_some_and(|last| seq > last) {
                        return ControlFlow::Break(());
                    }
                    bytes += payload.len();
                    batches.push((seq, payload.to_vec()));
                    let is_enough = bytes >= READ_BYTES || batches.len() >= READ_BATCHES;
                    if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
            });
            match read {
                Some(Ok(())) => Ok(Ok(batches)),
                Some(Err(error)) => Ok(Err(SpoolError::Damaged(error.to_string()))),
                None => Err(AppendError::Poisoned),
            }
        })?
    }

    /// Does `work` on the thread of the writer.
    fn on_writer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, AppendError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let task: Task = Box::new(move |writer| {
            // Whoever waited is there: it waits for this.
            let _ = sender.send(work(writer)?);
            Ok(())
        });
        self.inner.queue.run(task)?;
        Ok(receiver.recv().map_err(|_gone| AppendError::ShuttingDown)?)
    }
}

/// Forgets the erasures that are complete, and removes every trace of what they erased.
fn forget_complete(inner: &SpoolInner, writer: &mut Writer) -> Result<(), AppendError> {
    if let (Some(sink), true) = (&inner.config.captures, inner.marks().captured.is_some()) {
        // Their batches may have events of whom was erased.
        if let Err(error) = sink.sync() {
            tracing::warn!(%error, "captures cannot be stored: what was erased stays in the spool until they can");
        } else {
            let (last_seq, delivered_seq) = (inner.marks().last_seq, inner.marks().delivered_seq);
            writer.with_log(|log| log.change(Some(delivered_seq), |change| tables::set_synced(change, last_seq)))?;
            let mut marks = inner.marks();
            (marks.synced_seq, marks.captured) = (last_seq, None);
        }
    }
    let scrubbed = writer.scrub();
    let mut marks = inner.marks();
    let delivered_seq = marks.delivered_seq;
    marks.erasures.retain(|noted| !noted.is_done || noted.last_seq > delivered_seq);
    drop(marks);
    inner.changed.notify_all();
    scrubbed
}

fn decoded(seq: u64, payload: &[u8]) -> Result<Vec<NewEvent>, SpoolError> {
    codec::decode_arrived(payload).map_err(|error| SpoolError::Damaged(format!("batch {seq} {error}")))
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("dir", &self.inner.config.dir).finish_non_exhaustive()
    }
}
