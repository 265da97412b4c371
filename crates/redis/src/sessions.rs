//! The open sessions of visitors, shared by several servers.

use std::fmt;

use zenovay_domain::{SESSION_GAP_MS, SessionId, Timestamp, VisitorId};
use zenovay_ingest::{
    Marks, MemorySessions, OpenSession, SessionKind, SessionPart, SessionStore, SessionStoreError, Slots,
};

use crate::keeper::Redis;
use crate::link::{Away, Script};

/// Slots of one key at most: visitors who send the same id of a session.
const SLOTS_MAX: usize = 64;
/// How often a change is made anew because another server was quicker.
const TRIES_MAX: usize = 1_000;
/// How the bytes of sessions are written.
const VERSION: u8 = 1;

/// Keeps open sessions in Redis, those of one key in one value, which ends by itself half an hour after it was changed. A change is one call to
/// read and one to write, and is made anew when another server was quicker.
///
/// Each server has the sessions that it changed in its memory as well: with them it goes on while Redis is away, and from them a Redis
/// that lost them is filled again. Then a visitor whose hits come to several servers may have a visit on each.
pub struct RedisSessions {
    redis: Redis,
    own: MemorySessions,
}

impl fmt::Debug for RedisSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisSessions(..)")
    }
}

impl RedisSessions {
    /// Sessions in `redis`.
    pub fn new(redis: &Redis) -> Self {
        Self { redis: redis.clone(), own: MemorySessions::default() }
    }

    /// Makes the change in Redis; the sessions afterwards.
    fn update_shared(
        &self,
        key: u64,
        now: Timestamp,
        change: &mut dyn FnMut(&mut dyn Slots),
    ) -> Result<Vec<(u64, OpenSession)>, Away> {
        let shared = &self.redis.shared;
        let name = shared.key(&format!("session:{key:016x}"));
        let mut there: Option<Vec<u8>> = shared.ask(|opened| opened.get(&name))?;
        for _ in 0..TRIES_MAX {
            let seen = there.unwrap_or_default();
            let mut held = Held { sessions: read(&seen).unwrap_or_default(), lost: None };
            if seen.is_empty() {
                held.lost = Some((&self.own, key, now));
            }
            change(&mut held);
            let written = write(&held.sessions);
            if held.sessions.is_empty() || written == seen {
                return Ok(held.sessions);
            }
            there = shared.ask(|opened| {
                let keep_ms = SESSION_GAP_MS.to_string().into_bytes();
                let number = opened.number.to_string().into_bytes();
                let arguments = vec![seen.clone(), written.clone(), keep_ms, number];
                opened.run(Script::Swap, &[name.clone(), shared.asker(opened)], arguments)
            })?;
            if there.is_none() {
                return Ok(held.sessions);
            }
        }
        Err(Away::answer("others were always quicker"))
    }
}

impl SessionStore for RedisSessions {
    fn update(
        &self,
        key: u64,
        now: Timestamp,
        change: &mut dyn FnMut(&mut dyn Slots),
    ) -> Result<(), SessionStoreError> {
        match self.update_shared(key, now, change) {
            Ok(sessions) => self.own.update(key, now, &mut |slots| {
                sessions.iter().for_each(|(slot, session)| slots.put(*slot, session.clone()));
            }),
            Err(_) => self.own.update(key, now, change),
        }
    }

    /// In the memory of this server alone, for sessions that Redis does not have.
    fn remember(
        &self,
        key: u64,
        now: Timestamp,
        change: &mut dyn FnMut(&mut dyn Slots),
    ) -> Result<(), SessionStoreError> {
        self.own.update(key, now, change)
    }

    fn may_block(&self) -> bool {
        true
    }
}

/// The sessions under one key while they are changed.
struct Held<'a> {
    sessions: Vec<(u64, OpenSession)>,
    /// Where those are that Redis does not have, if it has none.
    lost: Option<(&'a MemorySessions, u64, Timestamp)>,
}

impl Slots for Held<'_> {
    fn get(&mut self, slot: u64) -> Option<&mut OpenSession> {
        let is_held = self.sessions.iter().any(|(held, _)| *held == slot);
        if let Some((own, key, now)) = self.lost.filter(|_| !is_held) {
            let mut found = None;
            // Memory is always there.
            let _ = own.update(key, now, &mut |slots| found = slots.get(slot).cloned());
            self.sessions.extend(found.map(|session| (slot, session)));
        }
        self.sessions.iter_mut().find(|(held, _)| *held == slot).map(|(_, session)| session)
    }

    fn put(&mut self, slot: u64, session: OpenSession) {
        self.sessions.retain(|(held, _)| *held != slot);
        if self.sessions.len() >= SLOTS_MAX
            && let Some((place, _)) = self.sessions.iter().enumerate().min_by_key(|(_, (_, held))| held.last_at)
        {
            // The one that was silent longest goes.
            self.sessions.remove(place);
        }
        self.sessions.push((slot, session));
    }
}

const fn number_of(kind: SessionKind) -> Option<u8> {
    match kind {
        SessionKind::Known => Some(0),
        SessionKind::Anonymous => Some(1),
        SessionKind::Stitched => Some(2),
        SessionKind::Alias => Some(3),
        // Of a newer crate of the same workspace.
        _ => None,
    }
}

fn write(sessions: &[(u64, OpenSession)]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for (slot, session) in sessions {
        let Some(kind) = number_of(session.kind) else { continue };
        bytes.extend(slot.to_le_bytes());
        bytes.extend(session.visitor.0.to_le_bytes());
        bytes.extend(session.last_at.as_millis().to_le_bytes());
        bytes.extend(session.day.to_le_bytes());
        bytes.extend(session.parts.to_le_bytes());
        bytes.push(kind);
        bytes.extend(session.named.to_le_bytes());
        let earlier = &session.earlier[..session.earlier.len().min(usize::from(u8::MAX))];
        // Cut to what a byte can say.
        bytes.push(u8::try_from(earlier.len()).unwrap_or(u8::MAX));
        for part in std::iter::once(&session.latest).chain(earlier) {
            bytes.extend(part.began_at.as_millis().to_le_bytes());
            bytes.extend(part.session.0.to_le_bytes());
            for mark in [part.marks.campaign, part.marks.click, part.marks.referrer] {
                bytes.extend(mark.to_le_bytes());
            }
        }
    }
    bytes
}

/// What [`write`] wrote; `None` for anything else.
fn read(bytes: &[u8]) -> Option<Vec<(u64, OpenSession)>> {
    let (&VERSION, mut rest) = bytes.split_first()? else { return None };
    let mut sessions = Vec::new();
    while !rest.is_empty() {
        let rest = &mut rest;
        let slot = u64::from_le_bytes(take(rest)?);
        let visitor = VisitorId(u64::from_le_bytes(take(rest)?));
        let last_at = Timestamp::from_millis(i64::from_le_bytes(take(rest)?));
        let day = i32::from_le_bytes(take(rest)?);
        let parts = u16::from_le_bytes(take(rest)?);
        let kind = match take(rest)? {
            [0] => SessionKind::Known,
            [1] => SessionKind::Anonymous,
            [2] => SessionKind::Stitched,
            [3] => SessionKind::Alias,
            [_] => return None,
        };
        let named = u64::from_le_bytes(take(rest)?);
        let [earlier] = take(rest)?;
        let mut session = OpenSession::new(visitor, last_at, part(rest)?, day, kind);
        (session.parts, session.named) = (parts, named);
        session.earlier = (0..earlier).map(|_| part(rest)).collect::<Option<_>>()?;
        sessions.push((slot, session));
    }
    Some(sessions)
}

fn part(rest: &mut &[u8]) -> Option<SessionPart> {
    let began_at = Timestamp::from_millis(i64::from_le_bytes(take(rest)?));
    let session = SessionId(u64::from_le_bytes(take(rest)?));
    let mut mark = || take(rest).map(u32::from_le_bytes);
    Some(SessionPart::new(began_at, session, Marks::new(mark()?, mark()?, mark()?)))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whoever writes into Redis.
        #[test]
        fn any_bytes_are_read_or_not(bytes in prop::collection::vec(any::<u8>(), 0..400), is_ours in any::<bool>()) {
            let bytes = if is_ours { [&[VERSION], bytes.as_slice()].concat() } else { bytes };
            if let Some(sessions) = read(&bytes) {
                prop_assert_eq!(write(&sessions), bytes);
            }
        }
    }
}
