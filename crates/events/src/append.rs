//! Events on their way into a store, and what becomes of them.

use zenovay_domain::{Event, SessionFault, Timestamp, WebsiteId};

/// Tells an event from its repetition: a digest of the client's idempotency key, made by the caller.
/// Unique within one website.
///
/// ```
/// use zenovay_events::IdempotencyKey;
///
/// assert_eq!(IdempotencyKey([7; 16]), IdempotencyKey([7; 16]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "it is these bytes")]
pub struct IdempotencyKey(pub [u8; 16]);

/// An event on its way into the store. Its session has one visitor and lasts 26 hours at most, see
/// [`SessionId`](zenovay_domain::SessionId): [`crate::EventStore::append`] says what becomes of an event that breaks this.
///
/// ```
/// use zenovay_events::{Event, EventKind, IdempotencyKey, NewEvent, SessionId, Timestamp, VisitorId, WebsiteId};
///
/// let (site, now) = (WebsiteId::from_random_bytes([7; 16]), Timestamp::from_millis(1_781_308_800_000));
/// let event = Event::new(EventKind::Custom, now.plus_millis(-3_000), VisitorId(7), SessionId(1));
/// // A digest of what the client calls the event: sent twice, it is stored once.
/// let new = NewEvent::new(site, now, event).with_key(IdempotencyKey([9; 16]));
/// assert_eq!(new.received_at, now);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NewEvent {
    /// Whose it is.
    pub website: WebsiteId,
    /// When it arrived at the server: what sealing, deduplication windows and reports of late events go by.
    pub received_at: Timestamp,
    /// The event, or a heartbeat.
    pub event: Event,
    /// What makes a repetition recognisable; `None` for events that are never repeated.
    pub idempotency_key: Option<IdempotencyKey>,
}

impl NewEvent {
    /// An event of `website` that arrived at `received_at` and is never repeated.
    pub fn new(website: WebsiteId, received_at: Timestamp, event: Event) -> Self {
        Self { website, received_at, event, idempotency_key: None }
    }

    /// The same event, which is stored once however often it comes with this key.
    #[must_use]
    pub fn with_key(self, key: impl Into<Option<IdempotencyKey>>) -> Self {
        Self { idempotency_key: key.into(), ..self }
    }
}

/// Something captured, on its way into the log. What its bytes mean only the [`CaptureSink`](crate::CaptureSink) knows.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NewCapture {
    /// Whose it is.
    pub website: WebsiteId,
    /// When it arrived at the server.
    pub received_at: Timestamp,
    /// What it is, as the sink reads it.
    pub bytes: Vec<u8>,
    /// What makes a repetition recognisable; `None` for what is never repeated.
    pub idempotency_key: Option<IdempotencyKey>,
}

impl NewCapture {
    /// A capture of `website` that arrived at `received_at` and is never repeated.
    pub fn new(website: WebsiteId, received_at: Timestamp, bytes: Vec<u8>) -> Self {
        Self { website, received_at, bytes, idempotency_key: None }
    }

    /// The same capture, which is stored once however often it comes with this key. Keys of captures and of events are of one
    /// kind; of a capture that comes again it is believed that it is the same.
    #[must_use]
    pub fn with_key(self, key: impl Into<Option<IdempotencyKey>>) -> Self {
        Self { idempotency_key: key.into(), ..self }
    }
}

/// What became of one event of an accepted append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever sent an event is told which it is")]
pub enum AppendOutcome {
    /// It is durable and in every answer from now on.
    Stored,
    /// Its idempotency key was stored before, with the same event: nothing was added. The same is what has the same kind and
    /// properties and, but for revenue, the same host, page and name: a repetition may come at another time, in another
    /// session and from elsewhere.
    Duplicate,
    /// Its idempotency key was stored before, with a different event: nothing was added.
    KeyReused,
}

/// Why an append was not acknowledged. No event of the append is stored, then or later, with two exceptions: whether those
/// that met the failure itself are stored after [`AppendError::Poisoned`] is only known after the restart, and after
/// [`AppendError::NotDelivered`] they are stored later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The queue in front of the writer is full. Try again soon.
    #[error("the write queue is full")]
    QueueFull,
    /// The disk is full. Recovers by itself when space returns.
    #[error("the disk is full")]
    DiskFull,
    /// The log could not be written in time because another process holds it.
    #[error("the log is busy")]
    Busy,
    /// A write or fsync failed before. Nothing can be stored until the process is restarted.
    #[error("the log failed and is closed until restart")]
    Poisoned,
    /// The events are durable here, and are not where they are to be stored yet: that took too long. They are stored there later.
    #[error("the events are not delivered yet")]
    NotDelivered,
    /// The store is shutting down.
    #[error("the store is shutting down")]
    ShuttingDown,
    /// The store was opened without a [`CaptureSink`](crate::CaptureSink).
    #[error("the store takes no captures")]
    NoCaptureSink,
    /// Some of the events, each of which is named, cannot belong to the sessions that they name: numbers of sessions would be
    /// wrong. Give these events other sessions, or take them out.
    #[error("{}", told(.0))]
    Sessions(Vec<EventFault>),
}

/// An event of an append that cannot be stored as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("event {event} cannot belong to its session")]
#[non_exhaustive]
pub struct EventFault {
    /// Its place in the append, from 0.
    pub event: usize,
    /// What is wrong with it.
    #[source]
    pub fault: SessionFault,
}

impl EventFault {
    /// Event `event` of an append, counted from 0, is wrong in this way.
    pub fn new(event: usize, fault: SessionFault) -> Self {
        Self { event, fault }
    }
}

/// The first of `faults`, and how many more there are.
fn told(faults: &[EventFault]) -> String {
    let Some((EventFault { event, fault }, more)) = faults.split_first() else { return "no event is wrong".to_owned() };
    let and_more = if more.is_empty() { String::new() } else { format!(" (and {} more events)", more.len()) };
    format!("event {event}: {fault}{and_more}")
}
