//! The session table of a chunk, and how it is made from rows.

use std::sync::Arc;

use zenovay_domain::{EventKind, value_score};

/// [`SessionPart::first_row`] of a part without events.
pub const NO_ROW: u32 = u32::MAX;

/// What one chunk knows of one session. A session whose events lie in several chunks has a part in each;
/// the parts of a session are merged by taking the earliest first, the latest last, and the sums of counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "stores make it, member by member")]
pub struct SessionPart {
    /// The session's website-dense code.
    pub session: u32,
    /// The visitor's website-dense code: that of the part's first event, or of its heartbeat when it has no event.
    pub visitor: u32,
    /// The first event in this chunk, milliseconds; `i64::MAX` without events.
    pub first_at: i64,
    /// The last activity in this chunk, heartbeats included, milliseconds.
    pub last_at: i64,
    /// Row of the first event in this chunk, or [`NO_ROW`].
    pub first_row: u32,
    /// Row of the last event in this chunk, or [`NO_ROW`].
    pub last_row: u32,
    /// Row of the first pageview in this chunk, or [`NO_ROW`].
    pub entry_row: u32,
    /// Row of the last pageview in this chunk, or [`NO_ROW`].
    pub exit_row: u32,
    /// Pageviews in this chunk.
    pub pageviews: u32,
    /// Other events in this chunk, without heartbeats.
    pub other_events: u32,
    /// Engagement reported in this chunk, milliseconds.
    pub engagement_ms: u64,
}

impl SessionPart {
    /// From the first event to the last activity, milliseconds.
    #[inline]
    pub(crate) fn duration_ms(&self) -> i64 {
        self.last_at.saturating_sub(self.first_at).max(0)
    }

    /// The value score of the part, as if it were a whole session.
    #[inline]
    pub(crate) fn value_score(&self) -> u8 {
        value_score(u64::from(self.pageviews), self.duration_ms(), self.other_events > 0)
    }
}

/// The event rows of one chunk: sorted by time, rows of the same time in the order of their arrival. All slices have
/// the same length.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "stores make it, member by member")]
pub struct EventRows<'a> {
    /// When each event happened, milliseconds, ascending.
    pub at: &'a [i64],
    /// The kind of each event, as `EventKind as u8`; never a heartbeat.
    pub kind: &'a [u8],
    /// The visitor code of each event.
    pub visitor: &'a [u32],
    /// The session code of each event.
    pub session: &'a [u32],
    /// What each event reports of engagement, milliseconds; an empty slice when none reports any.
    pub engagement_ms: &'a [u32],
}

/// The heartbeats of one chunk in the order of their arrival, one by one or folded to one a session: the time of a
/// folded heartbeat is the latest, its engagement the sum, its visitor that of the first. All slices have the same
/// length.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "stores make it, member by member")]
pub struct HeartbeatRows<'a> {
    /// When each happened, milliseconds.
    pub at: &'a [i64],
    /// The visitor code of each.
    pub visitor: &'a [u32],
    /// The session code of each.
    pub session: &'a [u32],
    /// What each reports of engagement, milliseconds.
    pub engagement_ms: &'a [u32],
}

/// The session table of a chunk, for [`crate::Chunk::sessions`] and in the order that is asked for there: sessions with
/// events by their first row, then those with heartbeats only by their last activity.
///
/// One pass over the rows; takes four bytes for each code between the lowest and the highest of the chunk.
///
/// # Panics
/// When the slices of `events` or of `heartbeats` differ in length.
#[expect(clippy::cast_possible_truncation, reason = "a chunk has fewer than 2^32 rows")]
pub fn session_parts(events: EventRows<'_>, heartbeats: HeartbeatRows<'_>) -> Arc<[SessionPart]> {
    let rows = events.at.len();
    assert!(
        events.kind.len() == rows
            && events.visitor.len() == rows
            && events.session.len() == rows
            && (events.engagement_ms.len() == rows || events.engagement_ms.is_empty()),
        "the columns of a chunk have one length"
    );
    let beats = heartbeats.at.len();
    assert!(
        heartbeats.visitor.len() == beats
            && heartbeats.session.len() == beats
            && heartbeats.engagement_ms.len() == beats,
        "the columns of heartbeats have one length"
    );
    let codes = || events.session.iter().chain(heartbeats.session).copied();
    let (Some(lowest), Some(highest)) = (codes().min(), codes().max()) else {
        return Arc::default();
    };
    // Position of each session's part plus one; 0 where there is none yet.
    let mut positions = vec![0u32; (highest - lowest) as usize + 1];
    let mut parts: Vec<SessionPart> = Vec::with_capacity(rows / 4 + beats.min(16));
    for row in 0..rows {
        let (at, session) = (events.at[row], events.session[row]);
        let position = &mut positions[(session - lowest) as usize];
        if *position == 0 {
            parts.push(empty_part(session, events.visitor[row]));
            *position = parts.len() as u32;
            let part = &mut parts[*position as usize - 1];
            part.first_at = at;
            part.first_row = row as u32;
        }
        let part = &mut parts[*position as usize - 1];
        part.last_at = at;
        part.last_row = row as u32;
        if events.kind[row] == EventKind::Pageview as u8 {
            if part.entry_row == NO_ROW {
                part.entry_row = row as u32;
            }
            part.exit_row = row as u32;
            part.pageviews += 1;
        } else {
            part.other_events += 1;
        }
        part.engagement_ms += u64::from(events.engagement_ms.get(row).copied().unwrap_or(0));
    }
    let with_events = parts.len();
    for row in 0..beats {
        let session = heartbeats.session[row];
        let position = &mut positions[(session - lowest) as usize];
        if *position == 0 {
            parts.push(empty_part(session, heartbeats.visitor[row]));
            *position = parts.len() as u32;
        }
        let part = &mut parts[*position as usize - 1];
        part.last_at = part.last_at.max(heartbeats.at[row]);
        part.engagement_ms += u64::from(heartbeats.engagement_ms[row]);
    }
    parts[with_events..].sort_by_key(|part| part.last_at);
    parts.into()
}

fn empty_part(session: u32, visitor: u32) -> SessionPart {
    SessionPart {
        session,
        visitor,
        first_at: i64::MAX,
        last_at: i64::MIN,
        first_row: NO_ROW,
        last_row: NO_ROW,
        entry_row: NO_ROW,
        exit_row: NO_ROW,
        pageviews: 0,
        other_events: 0,
        engagement_ms: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGEVIEW: u8 = EventKind::Pageview as u8;
    const CUSTOM: u8 = EventKind::Custom as u8;

    #[test]
    fn nothing_has_no_sessions() {
        assert!(session_parts(EventRows::default(), HeartbeatRows::default()).is_empty());
    }

    #[test]
    #[should_panic(expected = "one length")]
    fn columns_of_different_lengths_are_refused() {
        session_parts(EventRows { at: &[1], ..EventRows::default() }, HeartbeatRows::default());
    }

    #[test]
    fn a_part_knows_first_last_entry_exit_counts_and_engagement() {
        let events = EventRows {
            at: &[10, 20, 20, 30, 40],
            kind: &[CUSTOM, PAGEVIEW, PAGEVIEW, PAGEVIEW, CUSTOM],
            visitor: &[3, 3, 4, 3, 3],
            session: &[9, 9, 7, 9, 9],
            engagement_ms: &[0, 5, 0, 6, 0],
        };
        let heartbeats = HeartbeatRows {
            at: &[35, 60, 5],
            visitor: &[3, 4, 8],
            session: &[9, 7, 2],
            engagement_ms: &[100, 200, 300],
        };
        let parts = session_parts(events, heartbeats);
        assert_eq!(
            parts.as_ref(),
            [
                SessionPart {
                    session: 9,
                    visitor: 3,
                    first_at: 10,
                    last_at: 40,
                    first_row: 0,
                    last_row: 4,
                    entry_row: 1,
                    exit_row: 3,
                    pageviews: 2,
                    other_events: 2,
                    engagement_ms: 111,
                },
                SessionPart {
                    session: 7,
                    visitor: 4,
                    first_at: 20,
                    last_at: 60,
                    first_row: 2,
                    last_row: 2,
                    entry_row: 2,
                    exit_row: 2,
                    pageviews: 1,
                    other_events: 0,
                    engagement_ms: 200,
                },
                SessionPart { last_at: 5, engagement_ms: 300, ..empty_part(2, 8) },
            ]
        );
    }

    #[test]
    fn heartbeats_without_events_stand_last_by_their_last_activity() {
        let heartbeats = HeartbeatRows {
            at: &[50, 20, 10, 60],
            visitor: &[1, 2, 3, 9],
            session: &[1, 2, 3, 3],
            engagement_ms: &[0, 0, 1, 2],
        };
        let parts = session_parts(EventRows::default(), heartbeats);
        assert_eq!(parts.iter().map(|part| part.session).collect::<Vec<_>>(), [2, 1, 3]);
        // The visitor is that of the first heartbeat to arrive.
        assert_eq!((parts[2].visitor, parts[2].last_at, parts[2].engagement_ms), (3, 60, 3));
    }
}
