//! The trait every event store implements.

use zenovay_domain::{Dimension, Event, EventFlags, TimeRange, Timestamp, VisitorId, WebsiteId};
use zenovay_query::{Answer, Budget, Cause, Query, QueryError};

use crate::ledger::Ledger;
use crate::{
    Append, AppendError, AppendReceipt, AppendRefused, Copier, Kept, NewCapture, NewEvent, Retained, SegmentCheck,
    SegmentFile, WebsiteRows,
};

/// Why stored events were not changed, or not all of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// Stored data that would have to be read for it is damaged. What is not in damaged files is done. The cause names the
    /// file, for the log and for who runs the server.
    #[error("stored data is damaged")]
    Damaged(#[source] Cause),
    /// The disk is full. Try again when there is space.
    #[error("the disk is full")]
    DiskFull,
    /// It cannot be written: the log or a file failed, or the store is shutting down.
    #[error("the event store cannot be changed")]
    Unavailable(#[source] Cause),
    /// It is noted, and is done as soon as it can be, without being asked for again.
    #[error("it is noted, and is done as soon as it can be")]
    Noted(#[source] Cause),
}

/// Figures of a store, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StoreStats {
    /// Appends that wait for the writer.
    pub queue_depth: u64,
    /// Events and heartbeats in the head.
    pub head_rows: u64,
    /// Segments.
    pub segments: u64,
    /// Rows in segments.
    pub segment_rows: u64,
    /// Bytes of segment files.
    pub segment_bytes: u64,
    /// Segments that are known to be damaged, see [`EventStore::damages`].
    pub damaged_segments: u64,
    /// Bytes held by decoded columns.
    pub cache_bytes: u64,
    /// Whether appends can succeed now.
    pub writable: bool,
    /// Of a store that delivers events to another process: how it gets on.
    pub delivery: Option<DeliveryStats>,
}

/// Figures of events on their way to another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DeliveryStats {
    /// Batches that wait.
    pub batches: u64,
    /// Bytes on the disk of this machine, those of idempotency keys among them.
    pub bytes: u64,
    /// As many bytes there may be: then appends are refused.
    pub bytes_max: u64,
    /// When the oldest event that waits arrived; `None` when none waits.
    pub oldest: Option<Timestamp>,
    /// Whether the last attempt to deliver, or to ask, succeeded.
    pub is_reachable: bool,
}

/// What a store of events does. [`crate::Store`] is how a service embeds one.
///
/// - An append whose receipt says `Stored` survives the death of the process and the loss of power, exactly once.
/// - It is in the answer of every query that starts after the receipt was sent.
/// - Queries never wait for appends, nor appends for queries.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// use zenovay_events::query::{Budget, Query, Question};
/// use zenovay_events::{
///     AppendOutcome, Event, EventKind, NewEvent, SessionId, Store, TimeRange, Timestamp, VisitorId, WebsiteId,
/// };
///
/// let store = Store::open(dir)?;
/// let (site, now) = (WebsiteId::from_random_bytes([7; 16]), Timestamp::from_millis(1_781_308_800_000));
/// let event = Event::new(EventKind::Pageview, now, VisitorId(7), SessionId(1));
/// let receipt = store.try_append(vec![NewEvent::new(site, now, event)])?;
/// assert_eq!(receipt.wait()?, [AppendOutcome::Stored]);
/// let query = Query::new(TimeRange::ALL, Question::Overview);
/// assert_eq!(store.query(site, &query, &Budget::unlimited())?.into_overview()?.metrics.visitors, 1);
/// store.erase_visitor(site, VisitorId(7))?;
/// assert_eq!(store.span(site), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait EventStore: Send + Sync {
    /// Stores `events` together, all or none, and waits for room in the queue when it is full: appends that wait are let in
    /// in the order in which they came. An empty list is answered at once.
    ///
    /// Does not block by itself: await what it gives, or call [`Append::wait`] on it. What is not stored comes back in
    /// [`AppendRefused`].
    ///
    /// **Sessions.** A session has one visitor, and from its first to its last event or heartbeat it is
    /// [`SESSION_MAX_MS`](zenovay_domain::SESSION_MAX_MS), 26 hours, long at most. An append with an event that breaks this is
    /// refused with [`crate::AppendError::Sessions`], which names each such event. A store knows the 57,344 sessions with an
    /// event that came last, at least, also those of before it was opened. An id that comes again after so many others, or
    /// after the 1,048,576 last rows when the store was opened meanwhile, cannot be told from a new one: then it is stored,
    /// and numbers of sessions are wrong where both uses of the id count. So never use an id again: make it of the visitor and
    /// the day.
    fn append(&self, events: Vec<NewEvent>) -> Append<'_>;

    /// Queues `events` to be stored together, all or none, and never waits nor blocks. Dropping the receipt does not undo the
    /// append. An empty list is answered at once.
    ///
    /// # Errors
    /// When they cannot be queued, with [`crate::AppendError::QueueFull`] when the queue is full at this moment: the events come back,
    /// as they do when it is the receipt that says no.
    fn try_append(&self, events: Vec<NewEvent>) -> Result<AppendReceipt, AppendRefused>;

    /// Queues `captures` to be stored together, as [`try_append`](Self::try_append) does with events: an append whose receipt
    /// says `Stored` is durable, and was handed to the [`CaptureSink`](crate::CaptureSink).
    ///
    /// # Errors
    /// When they cannot be queued. A refused receipt has no events to give back.
    fn try_capture(&self, captures: Vec<NewCapture>) -> Result<AppendReceipt, AppendError>;

    /// Answers `query` about `website`; a website without events has an answer, with zeros. Blocks: call it off the
    /// async threads.
    ///
    /// A store whose events are in another process gives that process the time and the memory that the budget has left,
    /// looks at [`Budget::is_cancelled`] while it waits, and stops the query there when it is.
    ///
    /// # Errors
    /// When the budget is used up or cancelled, stored data is damaged, or what holds the events cannot be reached
    /// ([`QueryError::Unavailable`]): never a smaller number.
    fn query(&self, website: WebsiteId, query: &Query, budget: &Budget) -> Result<Answer, QueryError>;

    /// The sessions of every website with an event and with activity at or after `since`, in no order, for continuing them
    /// after a restart. Sessions whose rows are damaged are left out: they begin anew, which harms less than a server that does
    /// not start. Blocks: it reads files.
    fn recent_sessions(&self, since: Timestamp) -> Vec<RecentSession>;

    /// The events and heartbeats of `visitor` of `website` that are not hidden, in the order of time. The heartbeats of a
    /// session may be one, with their sum. Blocks.
    ///
    /// # Errors
    /// As [`EventStore::query`].
    fn visitor_events(&self, website: WebsiteId, visitor: VisitorId, budget: &Budget)
    -> Result<Vec<Event>, QueryError>;

    /// Removes every event of `visitor` of `website` with its strings, also from files. Returns when it is in no answer
    /// and no file. What has no event of the visitor is not touched. Blocks: it rewrites files.
    ///
    /// # Errors
    /// [`ChangeError`]; what can be removed is.
    fn erase_visitor(&self, website: WebsiteId, visitor: VisitorId) -> Result<(), ChangeError>;

    /// Removes every event of `website`, also from files. Blocks: it rewrites files.
    ///
    /// # Errors
    /// As [`EventStore::erase_visitor`].
    fn delete_website(&self, website: WebsiteId) -> Result<(), ChangeError>;

    /// Hides what each of `kept` keeps no longer, and shows again what it keeps longer than before; websites that are not
    /// among them stay as they are. Hidden events are in no answer and no session, as if they were removed. `now` is the time
    /// of a clock that is believed; without it nothing is hidden. `tell` hears what was done when it is durable.
    /// Blocks: it writes to the disk.
    ///
    /// # Errors
    /// When it cannot be made durable; then nothing was done.
    fn retain(&self, kept: &[Kept], now: Option<Timestamp>, tell: &mut dyn FnMut(Retained)) -> Result<(), ChangeError>;

    /// Removes from files what has been hidden for [`crate::RETENTION_GRACE_DAYS`] days; more than a tenth of a website only when
    /// that was due the day before already. Does nothing when nothing is due. `now` is the time of a clock that is believed.
    /// Blocks: it rewrites files.
    ///
    /// # Errors
    /// When files cannot be rewritten. What is in a damaged file stays, without an error.
    fn remove_hidden(&self, now: Timestamp, tell: &mut dyn FnMut(Retained)) -> Result<(), ChangeError>;

    /// The time of the newest event, hidden or not; `None` when there is none.
    fn newest(&self) -> Option<Timestamp>;

    /// From the first to the last event or heartbeat of `website` that is not hidden; `None` when there is none. It may begin
    /// before the first one when events are hidden. Cheap: no event is read.
    fn span(&self, website: WebsiteId) -> Option<TimeRange>;

    /// What is known to be damaged, one line each that names the file: seen at start, by a query, or by maintenance.
    fn damages(&self) -> Vec<String>;

    /// How many events had a string of a column stored as `(other)` because there were too many different ones, by website and
    /// column, since the last call.
    fn take_folded(&self) -> Vec<(WebsiteId, Dimension, u64)> {
        Vec::new()
    }

    /// Figures of the moment.
    fn stats(&self) -> StoreStats;

    /// Moves what is held in memory, and captures, to where it stays, now instead of when it is due. `false` when there was nothing. Blocks:
    /// it writes files.
    ///
    /// # Errors
    /// When it cannot be written; it stays where it was, and is moved later.
    fn seal(&self) -> Result<bool, ChangeError>;

    /// The id of the store, 32 hexadecimal digits, as copies of it have it; `None` when it has none.
    fn store_id(&self) -> Option<String> {
        None
    }

    /// The files that sealed events are in, as of now. A file goes when another takes its place. None of a store that keeps
    /// events elsewhere.
    fn segment_files(&self) -> Vec<SegmentFile> {
        Vec::new()
    }

    /// What the bytes of `file` are compared with by whoever copies it; `None` when it has gone, or events are kept elsewhere.
    fn segment_check(&self, file: &SegmentFile) -> Option<SegmentCheck> {
        let _ = file;
        None
    }

    /// Hands everything that is stored at one moment to `copier`, while appends and queries go on. Erasures and merges wait until
    /// it ends. Blocks.
    ///
    /// # Errors
    /// When the store cannot be written, `copier` fails, or events are kept elsewhere.
    fn copy(&self, copier: &mut dyn Copier) -> Result<(), ChangeError> {
        let _ = copier;
        let words = "this store of events has no files that can be copied";
        Err(ChangeError::Unavailable(Cause::new(words, std::io::Error::other(words))))
    }

    /// This store, when its events can be moved into another one; `None` of one that keeps events elsewhere.
    #[doc(hidden)]
    fn movable(&self) -> Option<&dyn Movable> {
        None
    }

    /// Refuses new appends, completes those that are queued, and seals the head. Returns when all is on disk. Blocks: it writes
    /// files and waits for the store's threads. Appends that still wait for room get their events back.
    fn shutdown(&self);
}

/// A segment: a file of rows that never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sealed {
    /// Its place among all, in the order of arrival. What an erasure leaves of it has the same.
    pub position: u64,
    /// Which file it is. What an erasure leaves of it has another one.
    pub id: u64,
    /// Its rows.
    pub rows: u64,
}

/// Some rows of a segment, which follow each other.
pub type Piece = Vec<(WebsiteId, Event)>;

/// A store with segments, for whoever moves its events into another one.
///
/// Segments have a place, which stays when one is written anew because something in it was erased, and rows in the order of their arrival
/// where their time is the same. So whoever takes segments by their places, each from its first row to its last, takes all rows in an order
/// that gives the same answers. While [`keep_segments`](Self::keep_segments) says so, nothing but an erasure takes rows out of a segment, and
/// no two become one.
pub trait Movable: EventStore {
    /// Whether segments stay as they are from now on but for erasures: none is merged, and what is hidden for long enough stays hidden. Waits
    /// for a merge that is under way.
    fn keep_segments(&self, are_kept: bool);

    /// Does one step of merging, when there is something to merge and segments are not kept. `false` when there was nothing. Blocks.
    ///
    /// # Errors
    /// When files cannot be rewritten.
    fn merge(&self) -> Result<bool, ChangeError>;

    /// The segments in the order of arrival. What is not in one yet gets there by [`seal`](EventStore::seal).
    fn sealed(&self) -> Vec<Sealed>;

    /// Rows of the segment `id` from its row `from` on, up to `rows_max` of them: fewer at the end of a part of the file, none at its end.
    /// Hidden rows are among them. `None` when there is no such segment any more.
    ///
    /// # Errors
    /// When the file is damaged or cannot be read.
    fn read_sealed(&self, id: u64, from: u64, rows_max: usize) -> Result<Option<Piece>, ChangeError>;

    /// What is hidden, and since when.
    fn ledger(&self) -> Ledger;

    /// How many rows there are of each website, hidden ones too.
    fn stored(&self) -> Vec<WebsiteRows>;
}

/// A session that may still go on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecentSession {
    /// Whose website.
    pub website: WebsiteId,
    /// Who.
    pub visitor: VisitorId,
    /// Which session.
    pub session: zenovay_domain::SessionId,
    /// Those of its first event.
    pub flags: EventFlags,
    /// When its first event happened.
    pub began_at: Timestamp,
    /// Its last activity.
    pub last_at: Timestamp,
    /// `utm_source`, `utm_medium` and `utm_campaign` of its first event, joined by U+001F.
    pub campaign: String,
    /// The referrer of its first event.
    pub referrer: String,
    /// The channel of its first event.
    pub channel: String,
}

impl RecentSession {
    /// A session of `visitor` that had its first event, and its last activity, at `began_at`, and of which nothing else is known.
    pub fn new(
        website: WebsiteId,
        visitor: VisitorId,
        session: zenovay_domain::SessionId,
        began_at: Timestamp,
    ) -> Self {
        Self {
            website,
            visitor,
            session,
            flags: EventFlags::default(),
            began_at,
            last_at: began_at,
            campaign: String::new(),
            referrer: String::new(),
            channel: String::new(),
        }
    }
}
