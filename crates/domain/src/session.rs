//! What every session keeps to.

use crate::{Event, SESSION_MAX_MS, SessionId, Timestamp, VisitorId};

/// Why an event cannot belong to the session that it names: the numbers of that session would be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SessionFault {
    /// The session has events of another visitor.
    #[error("session {session} is visitor {visitor}'s: give each visitor sessions of its own")]
    OtherVisitor {
        /// The session.
        session: SessionId,
        /// Whose it is.
        visitor: VisitorId,
    },
    /// From the session's first event or heartbeat to its last one would be more than [`SESSION_MAX_MS`].
    #[error("session {session} would last longer than 26 hours: begin a new session each day")]
    TooLong {
        /// The session.
        session: SessionId,
    },
}

/// Whose a session is, and from when to when it has events or heartbeats: all that has to be known of it to tell whether
/// another event can belong to it.
///
/// ```
/// use zenovay_domain::{Event, EventKind, SessionFault, SessionId, SessionSpan, Timestamp, VisitorId};
///
/// let hour = |hour: i64| Timestamp::from_millis(hour * 3_600_000);
/// let event = |visitor, at| Event::new(EventKind::Pageview, hour(at), VisitorId(visitor), SessionId(1));
/// let mut span = SessionSpan::of(&event(7, 30));
/// assert_eq!(span.add(&event(7, 10)), Ok(()));
/// assert_eq!(span.add(&event(7, 37)), Err(SessionFault::TooLong { session: SessionId(1) }));
/// assert!(matches!(span.add(&event(8, 31)), Err(SessionFault::OtherVisitor { .. })));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionSpan {
    /// Whose it is.
    pub visitor: VisitorId,
    /// Its first event or heartbeat.
    pub first_at: Timestamp,
    /// Its last one.
    pub last_at: Timestamp,
}

impl SessionSpan {
    /// A session of nothing but `event`.
    pub fn of(event: &Event) -> Self {
        Self::at(event.visitor, event.at)
    }

    /// A session of `visitor` with one event, at `at`.
    pub fn at(visitor: VisitorId, at: Timestamp) -> Self {
        Self { visitor, first_at: at, last_at: at }
    }

    /// Adds `event`, which names this session.
    ///
    /// # Errors
    /// When it cannot belong to the session, which stays as it is.
    pub fn add(&mut self, event: &Event) -> Result<(), SessionFault> {
        let session = event.session;
        if event.visitor != self.visitor {
            return Err(SessionFault::OtherVisitor { session, visitor: self.visitor });
        }
        let whole = self.with(event.at);
        if whole.last_at.millis_since(whole.first_at) > SESSION_MAX_MS {
            return Err(SessionFault::TooLong { session });
        }
        *self = whole;
        Ok(())
    }

    /// The span with `at` in it, however long it gets.
    #[must_use]
    pub fn with(self, at: Timestamp) -> Self {
        Self { first_at: self.first_at.min(at), last_at: self.last_at.max(at), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventKind;

    fn beat(at: i64) -> Event {
        Event::new(EventKind::Heartbeat, Timestamp::from_millis(at), VisitorId(1), SessionId(2))
    }

    #[test]
    fn a_session_is_26_hours_at_most_in_whatever_order_its_events_come() {
        let mut span = SessionSpan::of(&beat(0));
        assert_eq!(span.add(&beat(SESSION_MAX_MS)), Ok(()));
        assert_eq!(span.add(&beat(-1)), Err(SessionFault::TooLong { session: SessionId(2) }));
        assert_eq!(span.add(&beat(SESSION_MAX_MS + 1)), Err(SessionFault::TooLong { session: SessionId(2) }));
        assert_eq!(span.add(&beat(1)), Ok(()));
        assert_eq!((span.first_at.as_millis(), span.last_at.as_millis()), (0, SESSION_MAX_MS));
        let mut all = SessionSpan::of(&beat(i64::MIN));
        assert!(all.add(&beat(i64::MAX)).is_err(), "the length of a span does not wrap");
    }
}
