//! Rows as they stand in a source, and the chunk they make.

use zenovay_domain::{Dimension, EventKind};
use zenovay_query::engine::{Chunk, Column, EventRows, HeartbeatRows, session_parts};

/// The columns that every query reads, in the order of the source, heartbeats among them.
#[derive(Default)]
pub(crate) struct BaseRows {
    pub(crate) at: Vec<i64>,
    pub(crate) kind: Vec<u8>,
    pub(crate) visitor: Vec<u32>,
    pub(crate) session: Vec<u32>,
    pub(crate) engagement_ms: Vec<u32>,
}

/// What codes of a row group stand for.
#[derive(Default)]
pub(crate) struct Ids {
    pub(crate) visitors: Vec<u64>,
    pub(crate) sessions: Vec<u64>,
}

/// A chunk, and where its rows come from.
pub(crate) struct LoadedChunk {
    pub(crate) chunk: Chunk,
    /// The rows of the source that are events, in the order of the chunk; `None` when that is all rows as they stand.
    pub(crate) events: Option<Vec<u32>>,
    /// The earliest time, heartbeats included; 0 without rows.
    pub(crate) min_at: i64,
    /// The latest; 0 without rows.
    pub(crate) max_at: i64,
    /// Whether rows of the source were left out because they are hidden.
    pub(crate) is_cut: bool,
}

impl BaseRows {
    /// The chunk of those of these rows, which stand in any order, that are not before `since`.
    #[expect(clippy::cast_possible_truncation, reason = "a row group has fewer than 2^32 rows")]
    pub(crate) fn into_chunk(self, since: i64) -> LoadedChunk {
        const HEARTBEAT: u8 = EventKind::Heartbeat as u8;
        let Self { at, kind, visitor, session, engagement_ms } = self;
        let is_sorted = at.is_sorted();
        let seen = || at.iter().copied().filter(|&at| at >= since);
        let (min_at, max_at) = match &at[..] {
            [first, .., last] if is_sorted && *first >= since => (*first, *last),
            _ => (seen().min().unwrap_or(0), seen().max().unwrap_or(0)),
        };
        let is_cut = at.iter().any(|&at| at < since);
        if is_sorted && !is_cut && !kind.contains(&HEARTBEAT) {
            let events =
                EventRows { at: &at, kind: &kind, visitor: &visitor, session: &session, engagement_ms: &engagement_ms };
            let sessions = session_parts(events, HeartbeatRows::default());
            let chunk = Chunk {
                at: at.into(),
                kind: kind.into(),
                visitor: visitor.into(),
                session: session.into(),
                sessions,
                ..Chunk::default()
            };
            return LoadedChunk { chunk, events: None, min_at, max_at, is_cut };
        }
        let (mut events, beats): (Vec<u32>, Vec<u32>) = (0..at.len() as u32)
            .filter(|&row| at[row as usize] >= since)
            .partition(|&row| kind[row as usize] != HEARTBEAT);
        // Stable: rows of the same time keep the order of their arrival.
        events.sort_by_key(|&row| at[row as usize]);
        let pick =
            |rows: &[u32], column: &[u32]| -> Vec<u32> { rows.iter().map(|&row| column[row as usize]).collect() };
        let times = |rows: &[u32]| -> Vec<i64> { rows.iter().map(|&row| at[row as usize]).collect() };
        let event_at = times(&events);
        let event_kind: Vec<u8> = events.iter().map(|&row| kind[row as usize]).collect();
        let event_visitor = pick(&events, &visitor);
        let event_session = pick(&events, &session);
        let sessions = session_parts(
            EventRows {
                at: &event_at,
                kind: &event_kind,
                visitor: &event_visitor,
                session: &event_session,
                engagement_ms: &pick(&events, &engagement_ms),
            },
            HeartbeatRows {
                at: &times(&beats),
                visitor: &pick(&beats, &visitor),
                session: &pick(&beats, &session),
                engagement_ms: &pick(&beats, &engagement_ms),
            },
        );
        let chunk = Chunk {
            at: event_at.into(),
            kind: event_kind.into(),
            visitor: event_visitor.into(),
            session: event_session.into(),
            sessions,
            ..Chunk::default()
        };
        LoadedChunk { chunk, events: Some(events), min_at, max_at, is_cut }
    }
}

impl LoadedChunk {
    /// Adds the codes of a column of strings, in the order of the source.
    pub(crate) fn set_column(&mut self, dimension: Dimension, codes: &[u32]) {
        self.chunk.columns[dimension as usize] = Some(events_of(self.events.as_deref(), codes));
    }
}

/// Of the `codes` of a source those of `events`, see [`LoadedChunk::events`].
pub(crate) fn events_of(events: Option<&[u32]>, codes: &[u32]) -> Column {
    match events {
        None => codes.into(),
        Some(events) => events.iter().map(|&row| codes[row as usize]).collect(),
    }
}
