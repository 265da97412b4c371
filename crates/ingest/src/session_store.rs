//! Where the sessions are kept that may still go on: in memory, or where several servers share them.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use zenovay_domain::{SESSION_GAP_MS, SessionId, Timestamp, VisitorId};

use crate::marks::Marks;

/// The open sessions cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the open sessions cannot be read or kept")]
pub struct SessionStoreError(#[source] Arc<dyn Error + Send + Sync>);

impl SessionStoreError {
    /// The error of a store that met `cause`.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(cause.into()))
    }
}

/// How a session came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionKind {
    /// The client names the session; the visitor has an id.
    Known,
    /// The client names the session; the visitor is told by network and agent.
    Anonymous,
    /// The server stitches; under the visitor's id.
    Stitched,
    /// The server stitches; under the client's session id, only the visitor counts.
    Alias,
}

/// One part of what a client calls one session: a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionPart {
    /// When its first event happened.
    pub began_at: Timestamp,
    /// Its id.
    pub session: SessionId,
    /// Where its visitor came from.
    pub marks: Marks,
}

impl SessionPart {
    /// The visit `session`, which began at `began_at` and by these marks.
    pub const fn new(began_at: Timestamp, session: SessionId, marks: Marks) -> Self {
        Self { began_at, session, marks }
    }
}

/// A session that may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenSession {
    /// Whose it is.
    pub visitor: VisitorId,
    /// Its last activity.
    pub last_at: Timestamp,
    /// Its part that began last.
    pub latest: SessionPart,
    /// The parts before the latest, oldest first, eight at most. Nearly always none.
    pub earlier: Vec<SessionPart>,
    /// The civil day on which it is, in the website's zone, since 1970.
    pub day: i32,
    /// How many parts there were before the latest, also those that are not remembered.
    pub parts: u16,
    /// How it came to be.
    pub kind: SessionKind,
    /// The key of the visitor id that hits of this session name; 0 while none does.
    pub named: u64,
}

impl OpenSession {
    /// A session of `visitor` that began with `latest` on civil day `day`, whose hits name no visitor.
    pub fn new(visitor: VisitorId, last_at: Timestamp, latest: SessionPart, day: i32, kind: SessionKind) -> Self {
        Self { visitor, last_at, latest, earlier: Vec::new(), day, parts: 0, kind, named: 0 }
    }
}

/// The sessions under one key, while nobody else changes them.
pub trait Slots {
    /// The session in a slot.
    fn get(&mut self, slot: u64) -> Option<&mut OpenSession>;

    /// Puts a session into a slot, in the place of the one that is there.
    fn put(&mut self, slot: u64, session: OpenSession);
}

/// Keeps open sessions. The rules by which a hit goes on with one are not its business: they stand in `sessions`.
///
/// Every implementation passes `session_store_conformance_tests!` (feature `conformance`).
pub trait SessionStore: Send + Sync + fmt::Debug {
    /// Lets `change` look at the sessions under `key` and change them, as one step: no other change of the same key, by
    /// whichever server, comes between. `change` may be called again when another server was quicker; then only what its
    /// last call saw and did counts.
    ///
    /// Keys are keyed hashes: they are spread evenly, and nobody can choose them. `now` is a steady reading; a session whose
    /// last activity was [`SESSION_GAP_MS`] before it may be forgotten, and any session where memory is short.
    ///
    /// # Errors
    /// When the sessions cannot be had; then nothing changed, or nobody knows.
    fn update(&self, key: u64, now: Timestamp, change: &mut dyn FnMut(&mut dyn Slots))
    -> Result<(), SessionStoreError>;

    /// The same for what was known before this server was started, of very many keys. Where several servers share the sessions it may be kept by this
    /// one alone, to be used where the others know nothing.
    ///
    /// # Errors
    /// Those of [`update`](Self::update).
    fn remember(
        &self,
        key: u64,
        now: Timestamp,
        change: &mut dyn FnMut(&mut dyn Slots),
    ) -> Result<(), SessionStoreError> {
        self.update(key, now, change)
    }

    /// Whether [`update`](Self::update) may wait, as for another process: then it is not called on a thread that serves others. Default not.
    fn may_block(&self) -> bool {
        false
    }
}

impl<S: SessionStore + ?Sized> SessionStore for Arc<S> {
    fn update(
        &self,
        key: u64,
        now: Timestamp,
        change: &mut dyn FnMut(&mut dyn Slots),
    ) -> Result<(), SessionStoreError> {
        (**self).update(key, now, change)
    }

    fn remember(
        &self,
        key: u64,
        now: Timestamp,
        change: &mut dyn FnMut(&mut dyn Slots),
    ) -> Result<(), SessionStoreError> {
        (**self).remember(key, now, change)
    }

    fn may_block(&self) -> bool {
        (**self).may_block()
    }
}

const SHARDS: usize = 16;

/// Sessions kept in memory, all shards together: about 50 MB. A visit of a visitor with an id has one; one that the server
/// stitches has one more for each page.
const SESSIONS_MAX: usize = 458_752;

/// Keys are hashes with a secret seed: nobody can make many that meet.
type Shard = HashMap<u64, OpenSession, foldhash::fast::RandomState>;

/// Keeps open sessions in the memory of one server.
#[derive(Debug)]
pub struct MemorySessions {
    shards: [Mutex<Shard>; SHARDS],
    max_per_shard: usize,
}

impl Default for MemorySessions {
    fn default() -> Self {
        Self::with_capacity(SESSIONS_MAX)
    }
}

impl MemorySessions {
    pub(crate) fn with_capacity(sessions: usize) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, max_per_shard: (sessions / SHARDS).max(2) }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

impl SessionStore for MemorySessions {
    fn update(
        &self,
        key: u64,
        now: Timestamp,
        change: &mut dyn FnMut(&mut dyn Slots),
    ) -> Result<(), SessionStoreError> {
        // The key is a hash: its low bits are even.
        let [shard, ..] = key.to_le_bytes();
        let mut shard = self.shards[usize::from(shard) % SHARDS].lock();
        change(&mut MemorySlots { shard: &mut shard, key, now, max: self.max_per_shard });
        Ok(())
    }
}

/// The slots of one key: each is an entry of its own, in the same shard.
struct MemorySlots<'a> {
    shard: &'a mut Shard,
    key: u64,
    now: Timestamp,
    max: usize,
}

impl MemorySlots<'_> {
    fn entry(&self, slot: u64) -> u64 {
        self.key ^ (slot << 16)
    }
}

impl Slots for MemorySlots<'_> {
    fn get(&mut self, slot: u64) -> Option<&mut OpenSession> {
        let entry = self.entry(slot);
        self.shard.get_mut(&entry)
    }

    fn put(&mut self, slot: u64, session: OpenSession) {
        let entry = self.entry(slot);
        if self.shard.len() >= self.max && !self.shard.contains_key(&entry) {
            let now = self.now;
            self.shard.retain(|_, other| goes_on(other.last_at, now));
            if self.shard.len() >= self.max {
                // Still full: the half that was silent longest goes.
                let mut times: Vec<Timestamp> = self.shard.values().map(|other| other.last_at).collect();
                let middle = times.len() / 2;
                let (_, median, _) = times.select_nth_unstable(middle);
                let median = *median;
                self.shard.retain(|_, other| other.last_at > median);
            }
        }
        self.shard.insert(entry, session);
    }
}

/// Whether a session whose last activity was at `last_at` goes on at `at`.
pub(crate) fn goes_on(last_at: Timestamp, at: Timestamp) -> bool {
    at.millis_since(last_at).unsigned_abs() < SESSION_GAP_MS.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::session_store_conformance_tests!(|| {
        let store = Arc::new(MemorySessions::default());
        move || -> Arc<dyn SessionStore> { Arc::clone(&store) as _ }
    });
}
