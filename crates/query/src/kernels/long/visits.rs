//! Sessions without their rows: what questions about whole sessions read of a section.
//!
//! Country, source or entry page are the session's, a visit is a third of the rows and less, and what a session did comes to
//! a few numbers. Where all rows of a section are in the range, a question that asks for nothing of single events is answered by
//! these, by the same kernels: the chunk has a row for each session, two when entry and exit page differ, and the numbers of the
//! session tell how many events there are.

use zenovay_domain::{Dimension, Event, EventKind, SessionId, Timestamp, VisitorId};

use super::super::work::Bits;
use super::Section;
use crate::{Chunk, Derived, NO_ROW, SessionPart};

/// The sessions of a section.
#[derive(Debug, Clone, Default)]
pub struct Visits {
    /// In the order of [`Chunk::sessions`], without rows.
    pub(super) parts: Vec<SessionPart>,
    /// Of each session.
    pub(super) times: Vec<VisitTimes>,
    columns: Vec<(Dimension, VisitColumn)>,
    /// The dictionaries and the ids.
    pub(super) section: Section,
}

/// When events of a session were, milliseconds after its first event. Zeros without events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_structs, reason = "stores make it, member by member")]
pub struct VisitTimes {
    /// The first pageview; 0 without pageviews.
    pub entry_ms: u32,
    /// The last pageview; 0 without pageviews.
    pub exit_ms: u32,
    /// The last event.
    pub last_event_ms: u32,
}

impl VisitTimes {
    /// Those of `part` in a chunk whose rows are `at` these times; `None` when an event is too late for them, which no session of
    /// its length has.
    pub fn of(part: &SessionPart, at: &[i64]) -> Option<Self> {
        let after = |row: u32| match row {
            NO_ROW => Some(0),
            row => u32::try_from(at.get(row as usize)?.checked_sub(part.first_at)?).ok(),
        };
        Some(Self {
            entry_ms: after(part.entry_row)?,
            exit_ms: after(part.exit_row)?,
            last_event_ms: after(part.last_row)?,
        })
    }
}

/// One code for each session.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_enums, reason = "stores make it, and there are sessions with one value and pages")]
pub enum VisitColumn {
    /// The value of all events of the session.
    Value(Vec<u32>),
    /// Of paths those of the first and the last pageview; anything for a session without pageviews.
    EntryAndExit(Vec<u32>, Vec<u32>),
}

impl VisitColumn {
    /// Has the code `names[code]` instead of each code; codes that have no name stay.
    pub fn rename(&mut self, names: &[u32]) {
        let rename = |codes: &mut Vec<u32>| {
            for code in codes {
                *code = names.get(*code as usize).copied().unwrap_or(*code);
            }
        };
        match self {
            Self::Value(codes) => rename(codes),
            Self::EntryAndExit(entry, exit) => [entry, exit].into_iter().for_each(rename),
        }
    }
}

impl Visits {
    /// The sessions `parts`, in the order of [`Chunk::sessions`] and without rows, with one of `times` and of each of `columns` for
    /// each. `section` has the dictionaries and the ids, and no rows.
    pub fn new(
        parts: Vec<SessionPart>,
        times: Vec<VisitTimes>,
        columns: Vec<(Dimension, VisitColumn)>,
        section: Section,
    ) -> Self {
        Self { parts, times, columns, section }
    }

    /// What they take in memory, bytes.
    pub(super) fn bytes(&self) -> usize {
        let columns = self.columns.iter().map(|(_, column)| match column {
            VisitColumn::Value(codes) => size_of_val(&**codes),
            VisitColumn::EntryAndExit(entry, exit) => size_of_val(&**entry) + size_of_val(&**exit),
        });
        // The rows are about as much again.
        2 * (size_of_val(&*self.parts) + columns.sum::<usize>()) + size_of_val(&*self.times) + self.section.bytes()
    }

    /// Rows that stand for the sessions but those `without`, at the time of the session's first event. Events are not counted by rows.
    pub(super) fn chunk(&self, without: &Bits) -> Chunk {
        let paths = self.columns.iter().find_map(|(_, column)| match column {
            VisitColumn::EntryAndExit(entry, exit) => Some((entry, exit)),
            VisitColumn::Value(_) => None,
        });
        let mut kept: Vec<SessionPart> = Vec::with_capacity(self.parts.len());
        // The session of each row, and the rows of exit pages.
        let mut rows: Vec<u32> = Vec::with_capacity(self.parts.len());
        let mut exits: Vec<u32> = Vec::new();
        for (part, number) in self.parts.iter().zip(0..).filter(|(part, _)| !without.contains(part.session)) {
            let mut part = *part;
            if part.first_at != i64::MAX {
                part.first_row = rows.len() as u32;
                rows.push(number);
                if part.pageviews > 0 {
                    if paths.is_some_and(|(entry, exit)| entry[number as usize] != exit[number as usize]) {
                        exits.push(rows.len() as u32);
                        rows.push(number);
                    }
                    (part.entry_row, part.exit_row) = (part.first_row, rows.len() as u32 - 1);
                }
                part.last_row = rows.len() as u32 - 1;
            }
            kept.push(part);
        }
        let pick = |codes: &[u32]| -> Vec<u32> { rows.iter().map(|&number| codes[number as usize]).collect() };
        let mut chunk = Chunk {
            at: rows.iter().map(|&number| self.parts[number as usize].first_at).collect(),
            kind: rows.iter().map(|_| EventKind::Pageview as u8).collect(),
            visitor: rows.iter().map(|&number| self.parts[number as usize].visitor).collect(),
            session: rows.iter().map(|&number| self.parts[number as usize].session).collect(),
            columns: Default::default(),
            sessions: kept.into(),
            derived: Derived::default(),
        };
        for (dimension, column) in &self.columns {
            chunk.columns[*dimension as usize] = Some(match column {
                VisitColumn::Value(codes) => pick(codes).into(),
                VisitColumn::EntryAndExit(entry, exit) => {
                    let mut codes = pick(entry);
                    for &row in &exits {
                        codes[row as usize] = exit[rows[row as usize] as usize];
                    }
                    codes.into()
                }
            });
        }
        chunk
    }

    /// The events of the session at a position, as far as its numbers tell: the first and the last one, its entry and its exit page are
    /// where they were, others somewhere between.
    pub(super) fn events(&self, position: usize) -> Vec<Event> {
        let (part, times) = (&self.parts[position], self.times[position]);
        let visitor = VisitorId(self.section.visitor_ids[part.visitor as usize]);
        let session = SessionId(self.section.session_ids[part.session as usize]);
        let event = |kind: EventKind, after_ms: u32, is_exit: bool| {
            let at = Timestamp::from_millis(part.first_at + i64::from(after_ms));
            let mut event = Event::new(kind, at, visitor, session);
            for (dimension, column) in &self.columns {
                let code = match column {
                    VisitColumn::EntryAndExit(_, exit) if is_exit => exit[position],
                    VisitColumn::Value(codes) | VisitColumn::EntryAndExit(codes, _) => codes[position],
                };
                event.dimensions.set(*dimension, &self.section.dictionaries[*dimension as usize].texts[code as usize]);
            }
            event
        };
        let mut events = Vec::with_capacity((part.pageviews + part.other_events) as usize);
        for number in 0..part.pageviews {
            // The last one is the exit page, also at the time of the entry page.
            let is_exit = number > 0 && number + 1 == part.pageviews;
            events.push(event(EventKind::Pageview, if is_exit { times.exit_ms } else { times.entry_ms }, is_exit));
        }
        for number in 0..part.other_events {
            let is_first = number == 0 && (part.pageviews == 0 || times.entry_ms > 0);
            events.push(event(EventKind::Custom, if is_first { 0 } else { times.last_event_ms }, false));
        }
        events
    }
}
