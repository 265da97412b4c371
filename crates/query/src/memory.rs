//! A dataset in memory, made from events: for embedders without a store, and for tests.

use std::collections::HashMap;
use std::sync::Arc;

use zenovay_domain::{Dimension, Event, SessionFault, SessionSpan};

use crate::{Chunk, CodeSet, Column, Dataset, Dictionary, EventRows, HeartbeatRows, ListRef, session_parts};

/// The events of one website as columns, all string columns loaded.
///
/// The events must be those of sessions as every number takes them, see [`SessionId`](zenovay_domain::SessionId): with another
/// one, every question is answered with [`QueryError::Session`](crate::QueryError::Session).
#[derive(Debug, Default)]
pub struct MemoryDataset {
    chunks: Vec<Chunk>,
    dictionaries: Box<[Dictionary; Dimension::COUNT]>,
    visitor_ids: Vec<u64>,
    session_ids: Vec<u64>,
    split_sessions: CodeSet,
    fault: Option<SessionFault>,
}

impl MemoryDataset {
    /// A dataset of `events` in the order of their arrival, as one chunk.
    pub fn new(events: &[Event]) -> Self {
        let mut builder = DatasetBuilder::default();
        for event in events {
            builder.push(event);
        }
        builder.finish()
    }

    /// What is wrong with a session of the events, when something is: no answer would be right then.
    pub fn session_fault(&self) -> Option<SessionFault> {
        self.fault
    }

    /// The chunks, for [`MemoryDataset::dataset`].
    pub fn chunks(&self) -> Vec<&Chunk> {
        self.chunks.iter().collect()
    }

    /// What the kernels take; `chunks` are those of [`MemoryDataset::chunks`] that the query needs.
    pub fn dataset<'a>(&'a self, chunks: &'a [&'a Chunk]) -> Dataset<'a> {
        Dataset {
            chunks,
            dictionaries: &self.dictionaries,
            visitor_ids: ListRef::from(&self.visitor_ids[..]),
            session_ids: ListRef::from(&self.session_ids[..]),
            split_sessions: &self.split_sessions,
        }
    }
}

/// Makes a [`MemoryDataset`] from events in the order of their arrival.
///
/// ```
/// use zenovay_query::DatasetBuilder;
/// use zenovay_query::domain::{Event, EventKind, SessionId, Timestamp, VisitorId};
///
/// let mut builder = DatasetBuilder::default();
/// for n in 0..3 {
///     let at = Timestamp::from_millis(1_781_308_800_000);
///     builder.push(&Event::new(EventKind::Pageview, at, VisitorId(n), SessionId(n)));
/// }
/// let memory = builder.finish();
/// assert_eq!(memory.ask(Timestamp::from_millis(1_781_308_800_001)).overview().wait()?.metrics.visitors, 3);
/// # Ok::<(), zenovay_query::QueryError>(())
/// ```
#[derive(Debug, Default)]
pub struct DatasetBuilder {
    dataset: MemoryDataset,
    text_codes: [HashMap<Arc<str>, u32>; Dimension::COUNT],
    visitor_codes: HashMap<u64, u32>,
    session_codes: HashMap<u64, u32>,
    /// By code of the session.
    spans: Vec<SessionSpan>,
    /// Sessions of the chunks that are ended.
    ended_sessions: CodeSet,
    events: Vec<Row>,
    heartbeats: Vec<Row>,
}

/// An event or a heartbeat with its codes.
#[derive(Debug)]
struct Row {
    at: i64,
    kind: u8,
    visitor: u32,
    session: u32,
    engagement_ms: u32,
    texts: [u32; Dimension::COUNT],
}

impl DatasetBuilder {
    /// Adds an event or a heartbeat to the current chunk. The order of calls is the order of arrival; times may come in
    /// any order.
    pub fn push(&mut self, event: &Event) {
        let row = Row {
            at: event.at.as_millis(),
            kind: event.kind as u8,
            visitor: code(&mut self.visitor_codes, &mut self.dataset.visitor_ids, event.visitor.0),
            session: code(&mut self.session_codes, &mut self.dataset.session_ids, event.session.0),
            engagement_ms: event.engagement_ms,
            texts: std::array::from_fn(|number| match Dimension::ALL.get(number) {
                Some(&dimension) => self.text_code(dimension, event.dimensions.get(dimension)),
                None => 0,
            }),
        };
        match self.spans.get_mut(row.session as usize) {
            Some(span) => {
                let added = span.add(event);
                self.dataset.fault = self.dataset.fault.or(added.err());
            }
            None => self.spans.push(SessionSpan::of(event)),
        }
        if event.kind.is_event() {
            self.events.push(row);
        } else {
            self.heartbeats.push(row);
        }
    }

    /// Ends the current chunk; what is pushed from now on goes into the next one. Without anything pushed since the
    /// last call it does nothing.
    pub fn end_chunk(&mut self) {
        if self.events.is_empty() && self.heartbeats.is_empty() {
            return;
        }
        let mut events = std::mem::take(&mut self.events);
        let heartbeats = std::mem::take(&mut self.heartbeats);
        events.sort_by_key(|row| row.at);
        let column = |rows: &[Row], value: fn(&Row) -> u32| rows.iter().map(value).collect::<Column>();
        let times = |rows: &[Row]| rows.iter().map(|row| row.at).collect::<Arc<[i64]>>();
        let mut chunk = Chunk {
            at: times(&events),
            kind: events.iter().map(|row| row.kind).collect(),
            visitor: column(&events, |row| row.visitor),
            session: column(&events, |row| row.session),
            columns: std::array::from_fn(|number| Some(events.iter().map(|row| row.texts[number]).collect())),
            ..Chunk::default()
        };
        chunk.sessions = session_parts(
            EventRows {
                at: &chunk.at,
                kind: &chunk.kind,
                visitor: &chunk.visitor,
                session: &chunk.session,
                engagement_ms: &column(&events, |row| row.engagement_ms),
            },
            HeartbeatRows {
                at: &times(&heartbeats),
                visitor: &column(&heartbeats, |row| row.visitor),
                session: &column(&heartbeats, |row| row.session),
                engagement_ms: &column(&heartbeats, |row| row.engagement_ms),
            },
        );
        for part in chunk.sessions.iter() {
            if self.ended_sessions.contains(part.session) {
                self.dataset.split_sessions.set(part.session, true);
            }
            self.ended_sessions.set(part.session, true);
        }
        self.dataset.chunks.push(chunk);
    }

    /// Ends the last chunk and gives the dataset.
    pub fn finish(mut self) -> MemoryDataset {
        self.end_chunk();
        self.dataset
    }

    #[expect(clippy::cast_possible_truncation, reason = "a dataset in memory has fewer than 2^32 strings")]
    fn text_code(&mut self, dimension: Dimension, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let codes = &mut self.text_codes[dimension as usize];
        if let Some(&code) = codes.get(text) {
            return code;
        }
        let texts = &mut self.dataset.dictionaries[dimension as usize].texts;
        let (code, text) = (texts.len() as u32, Arc::<str>::from(text));
        texts.push(Arc::clone(&text));
        codes.insert(text, code);
        code
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a dataset in memory has fewer than 2^32 ids")]
fn code(codes: &mut HashMap<u64, u32>, ids: &mut Vec<u64>, id: u64) -> u32 {
    *codes.entry(id).or_insert_with(|| {
        ids.push(id);
        ids.len() as u32 - 1
    })
}
