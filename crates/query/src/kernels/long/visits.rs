//! Sessions without their rows: what questions about whole sessions read of a section.
//!
//! Country, source or entry page are the session's, a visit is a third of the rows and less, and what a session did comes to
//! a few numbers. Where all rows of a section are in the range, a question that asks for nothing of single events is answered by
//! these, number by number: nothing is made of them that rows are.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use zenovay_domain::{Dimension, Event, EventKind, SessionId, Timestamp, VisitorId};

use super::super::work::{Bits, Work};
use super::codes::{ALONE, NOT_COUNTED, Part};
use super::{Section, SessionShare};
use crate::derived::SessionMetrics;
use crate::matching::Matcher;
use crate::{Budget, ColumnSet, Condition, Field, Filter, FilterLevel, MetricValues, NO_ROW, QueryError, SessionPart};

/// What a question reads of sessions without their rows.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "stores read it, member by member")]
pub struct VisitNeeds {
    /// [`Visits::columns`].
    pub columns: ColumnSet,
    /// Whether it needs [`Visits::session`] and [`Visits::sessions`].
    pub sessions: bool,
    /// Whether it needs the ids of sessions, and these.
    pub session_ids: bool,
    /// Whether it needs the ids of visitors.
    pub visitor_ids: bool,
    /// Whether it needs [`Visits::pageviews`] and [`Visits::other_events`]. With metrics, times and pages they are needed, too.
    pub counts: bool,
    /// Whether it needs [`Visits::first_at`].
    pub starts: bool,
    /// Whether it needs [`Visits::last_at`] and [`Visits::engagement_ms`]. Without the starts, how long sessions with
    /// events were is enough: their first events are at 0.
    pub metrics: bool,
    /// Whether it needs [`Visits::times`], and all of the others.
    pub times: bool,
    /// Whether paths and names of events are needed as [`VisitColumn::Events`]. Then the counts are needed, too.
    pub events: bool,
}

/// The sessions of a section, those with events in the order of their first event, then those with heartbeats only in the order of
/// their last activity. Lists have a number for each session, and none when they are not needed.
#[derive(Debug, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "stores make it, member by member")]
pub struct Visits {
    /// How many have events.
    pub with_events: usize,
    /// The code of each session.
    pub session: Vec<u32>,
    /// How many codes of sessions there are; 0 when they are not needed.
    pub sessions: usize,
    /// The code of its visitor: that of its first event, or of its heartbeat.
    pub visitor: Vec<u32>,
    /// Its first event, milliseconds; `i64::MAX` without events.
    pub first_at: Vec<i64>,
    /// Its last activity, heartbeats included, milliseconds.
    pub last_at: Vec<i64>,
    /// Its pageviews.
    pub pageviews: Vec<u32>,
    /// Its other events, without heartbeats.
    pub other_events: Vec<u32>,
    /// The engagement that it reported, milliseconds; an empty list when none reported any.
    pub engagement_ms: Vec<u64>,
    /// When some of its events were.
    pub times: Vec<VisitTimes>,
    /// Its codes in columns.
    pub columns: Vec<(Dimension, VisitColumn)>,
    /// The dictionaries and the ids, and no rows.
    pub section: Section,
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

/// One code for each session, or for each event.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_enums, reason = "stores make it, and there are sessions with one value and pages")]
pub enum VisitColumn {
    /// The value of all events of the session.
    Value(Vec<u32>),
    /// Of paths those of the first and the last pageview; anything for a session without pageviews.
    EntryAndExit(Vec<u32>, Vec<u32>),
    /// Of paths and of names of events what all events of the sessions have, session by session, where each session has one visitor.
    Events {
        /// That of the first pageview of each session; anything for a session without pageviews. An empty list when no pageview has
        /// a value: then so are the other lists of pageviews.
        entry: Vec<u32>,
        /// That of the last pageview of each session with several.
        exit: Vec<u32>,
        /// Those of the pageviews between, in any order.
        between: Vec<u32>,
        /// Those of the other events, in any order.
        others: Vec<u32>,
    },
}

impl VisitColumn {
    /// Its lists of codes, to be given other codes.
    pub fn lists(&mut self) -> impl Iterator<Item = &mut [u32]> {
        let lists = match self {
            Self::Value(codes) => [Some(codes), None, None, None],
            Self::EntryAndExit(entry, exit) => [Some(entry), Some(exit), None, None],
            Self::Events { entry, exit, between, others } => [Some(entry), Some(exit), Some(between), Some(others)],
        };
        lists.into_iter().flatten().map(Vec::as_mut_slice)
    }
}

/// A part without rows of which nothing is known.
const NO_PART: SessionPart = SessionPart {
    session: 0,
    visitor: 0,
    first_at: 0,
    last_at: 0,
    first_row: NO_ROW,
    last_row: NO_ROW,
    entry_row: NO_ROW,
    exit_row: NO_ROW,
    pageviews: 0,
    other_events: 0,
    engagement_ms: 0,
};

impl Visits {
    /// What they take in memory, bytes.
    pub(super) fn bytes(&self) -> usize {
        let columns = self.columns.iter().map(|(_, column)| match column {
            VisitColumn::Value(codes) => size_of_val(&**codes),
            VisitColumn::EntryAndExit(entry, exit) => size_of_val(&**entry) + size_of_val(&**exit),
            VisitColumn::Events { entry, exit, between, others } => {
                [entry, exit, between, others].map(|list| size_of_val(&**list)).iter().sum()
            }
        });
        let of_one = 4 * size_of::<u32>() + 3 * size_of::<u64>() + size_of::<VisitTimes>();
        // The positions and the groups of those that are counted are about as much as the columns.
        self.visitor.len() * (of_one + 4 * size_of::<u32>()) + columns.sum::<usize>() + self.section.bytes()
    }

    /// The session at a position, without rows. Metrics must have been asked for.
    #[inline]
    pub(super) fn part(&self, position: usize) -> SessionPart {
        SessionPart {
            // Nobody asks for it where no session is split.
            session: self.session.get(position).copied().unwrap_or(0),
            visitor: self.visitor[position],
            first_at: self.first_at[position],
            last_at: self.last_at[position],
            first_row: NO_ROW,
            last_row: NO_ROW,
            entry_row: NO_ROW,
            exit_row: NO_ROW,
            pageviews: self.pageviews[position],
            other_events: self.other_events[position],
            engagement_ms: self.engagement_ms.get(position).copied().unwrap_or(0),
        }
    }

    /// What the sessions at `positions`, which have events, come to, without their visitors. Metrics must have been asked for.
    pub(super) fn sums(&self, positions: Range<usize>) -> MetricValues {
        let Self { first_at, last_at, pageviews, other_events, engagement_ms, .. } = self;
        let mut sums = MetricValues::default();
        if !engagement_ms.is_empty() {
            positions.for_each(|position| sums.add_part(&self.part(position)));
            return sums;
        }
        let times = first_at[positions.clone()].iter().zip(&last_at[positions.clone()]);
        let counts = pageviews[positions.clone()].iter().zip(&other_events[positions]);
        for ((&first_at, &last_at), (&pageviews, &other_events)) in times.zip(counts) {
            sums.add_part(&SessionPart { first_at, last_at, pageviews, other_events, ..NO_PART });
        }
        sums
    }

    /// The metrics of the session at a position. Metrics must have been asked for.
    #[inline]
    pub(super) fn metrics(&self, position: usize) -> SessionMetrics {
        SessionMetrics::of(&SessionPart {
            first_at: self.first_at[position],
            last_at: self.last_at[position],
            pageviews: self.pageviews[position],
            other_events: self.other_events[position],
            engagement_ms: self.engagement_ms.get(position).copied().unwrap_or(0),
            ..NO_PART
        })
    }

    /// The codes of `field`, which is one of sessions: one for each.
    pub(super) fn codes(&self, field: &Field) -> Result<Cow<'_, [u32]>, QueryError> {
        let dimension = field.column();
        let column = self.columns.iter().find(|(own, _)| *own == dimension).map(|(_, column)| column);
        let of_pageviews = |codes: &[u32]| -> Cow<'_, [u32]> {
            // Without a pageview there is no page.
            codes.iter().zip(&self.pageviews).map(|(&code, &pageviews)| if pageviews > 0 { code } else { 0 }).collect()
        };
        match (column, field) {
            (Some(VisitColumn::Value(codes)), _) => Ok(Cow::Borrowed(codes)),
            (Some(VisitColumn::EntryAndExit(_, exit)), Field::ExitPage) => Ok(of_pageviews(exit)),
            (Some(VisitColumn::EntryAndExit(entry, _)), _) => Ok(of_pageviews(entry)),
            (Some(VisitColumn::Events { .. }) | None, _) => {
                Err(QueryError::damaged(format!("the column {dimension} was not loaded")))
            }
        }
    }

    /// How many strings `field` has.
    pub(super) fn values(&self, field: &Field) -> usize {
        self.section.dictionaries[field.column() as usize].texts.len()
    }

    /// The string of a code of `field`.
    pub(super) fn text(&self, field: &Field, code: u32) -> &Arc<str> {
        &self.section.dictionaries[field.column() as usize].texts[code as usize]
    }

    /// The positions of the sessions whose own value passes `condition`.
    pub(super) fn with_value(&self, condition: &Condition, work: &Work<'_>) -> Result<Bits, QueryError> {
        let values = condition.normal_values();
        let matcher = Matcher::new(condition.operator, &values);
        let field = &condition.field;
        let mut passing_codes = work.bits(self.values(field))?;
        work.for_each_block(0..self.values(field), |block| {
            for code in block {
                passing_codes.insert_if(code as u32, matcher.matches(self.text(field, code as u32)));
            }
        })?;
        let count = self.with_events;
        let mut passing = work.bits(count)?;
        let codes = self.codes(field)?;
        work.for_each_large_block(0..count, |block| {
            passing.insert_where(block.start, &codes[block], |&code| passing_codes.contains(code));
        })?;
        Ok(passing)
    }

    /// The events of a session, as far as its numbers tell: the first and the last one, its entry and its exit page are where they were,
    /// others somewhere between.
    pub(super) fn events(&self, visit: &SplitVisit, visitor: u64) -> Vec<Event> {
        let SplitVisit { id, position, ref part, times } = *visit;
        let (visitor, session, position) = (VisitorId(visitor), SessionId(id), position as usize);
        let event = |kind: EventKind, after_ms: u32, is_exit: bool| {
            let at = Timestamp::from_millis(part.first_at + i64::from(after_ms));
            let mut event = Event::new(kind, at, visitor, session);
            for (dimension, column) in &self.columns {
                let code = match column {
                    VisitColumn::EntryAndExit(_, exit) if is_exit => exit[position],
                    VisitColumn::Value(codes) | VisitColumn::EntryAndExit(codes, _) => codes[position],
                    // Who reads them counts them as they are.
                    VisitColumn::Events { .. } => continue,
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

/// A session that is in other sections, too.
pub(super) struct SplitVisit {
    pub(super) id: u64,
    /// Where it stands among the sessions.
    pub(super) position: u32,
    pub(super) part: SessionPart,
    /// Nobody asks for them without the pages.
    pub(super) times: VisitTimes,
}

impl SplitVisit {
    pub(super) fn share(&self) -> SessionShare {
        let SessionPart { first_at, last_at, pageviews, other_events, engagement_ms, .. } = self.part;
        SessionShare { session: self.id, first_at, last_at, pageviews, other_events, engagement_ms }
    }
}

/// The sessions of a section that are whole in it, and who their visitors are.
pub(super) struct VisitsPiece<'a> {
    pub(super) visits: &'a Visits,
    /// The code of each visitor of the section, see [`Long::codes_of`](super::walk::Long).
    pub(super) codes: &'a [u32],
    /// The highest of them.
    pub(super) highest_code: u32,
    /// The positions of the sessions that are in other sections, too, ascending.
    pub(super) split: &'a [u32],
    pub(super) part: &'a Part,
    /// For the kernels.
    pub(super) budget: &'a Budget,
}

impl VisitsPiece<'_> {
    /// Whether nobody is left out.
    pub(super) fn counts_everyone(&self) -> bool {
        self.highest_code < NOT_COUNTED
    }

    /// Whether each visitor is counted by a pair.
    pub(super) fn are_all_pairs(&self) -> bool {
        self.highest_code < ALONE
    }

    /// The positions of the sessions that are whole here and have events, as runs.
    pub(super) fn whole(&self) -> impl Iterator<Item = Range<usize>> {
        let end = self.visits.with_events;
        let mut start = 0;
        self.split.iter().map(|&position| position as usize).chain([end]).map(move |position| {
            let run = start..position.min(end).max(start);
            start = position + 1;
            run
        })
    }

    /// The positions of the sessions that `filter` chooses, of the visitors whom the answer is about: of those that are whole here and
    /// have events.
    pub(super) fn chosen(&self, filter: &Filter, work: &Work<'_>) -> Result<Vec<u32>, QueryError> {
        filter.check_depth(Filter::DEPTH_MAX)?;
        let visitor = &self.visits.visitor[..];
        let is_counted = |position: u32| self.codes[visitor[position as usize] as usize] != NOT_COUNTED;
        let mut chosen = match *filter == Filter::default() {
            true => self.all(work)?,
            false => self.passing(filter, work)?,
        };
        self.split.iter().for_each(|&position| chosen.remove_if_there(position));
        work.reserve::<u32>(chosen.len() as usize)?;
        Ok(match self.counts_everyone() {
            true => chosen.iter().collect(),
            false => chosen.iter().filter(|&position| is_counted(position)).collect(),
        })
    }

    /// The positions of all sessions with events.
    fn all(&self, work: &Work<'_>) -> Result<Bits, QueryError> {
        let mut all = work.bits(self.visits.with_events)?;
        all.insert_below(self.visits.with_events as u32);
        Ok(all)
    }

    /// The positions of the sessions that pass `filter`, which asks for fields of sessions alone: what it asks of an event it asks of
    /// all events of a session.
    fn passing(&self, filter: &Filter, work: &Work<'_>) -> Result<Bits, QueryError> {
        let count = self.visits.with_events;
        match filter {
            Filter::All(filters) => {
                let mut passing = self.all(work)?;
                for filter in filters {
                    passing.intersect(&self.passing(filter, work)?);
                }
                Ok(passing)
            }
            Filter::Any(filters) => {
                let mut passing = work.bits(count)?;
                for filter in filters {
                    passing.unite(&self.passing(filter, work)?);
                }
                Ok(passing)
            }
            Filter::Not(filter) => {
                let mut passing = self.all(work)?;
                passing.remove_all(&self.passing(filter, work)?);
                Ok(passing)
            }
            Filter::InSession(filter) => self.passing(filter, work),
            Filter::Is(condition) if condition.level == Some(FilterLevel::Visitor) => {
                let mut passing = work.bits(count)?;
                for (position, &visitor) in (0..).zip(&self.visits.visitor[..count]) {
                    let code = self.codes[visitor as usize];
                    passing.insert_if(position, self.part.chooses(condition, code));
                }
                Ok(passing)
            }
            Filter::Is(condition) => self.visits.with_value(condition, work),
            // Which is not a question about sessions.
            Filter::Kind(_) => work.bits(count),
        }
    }

    /// The visitors of the section with a session that `condition` chooses, of those that are whole here.
    pub(super) fn visitors_of(&self, condition: &Condition, work: &Work<'_>) -> Result<Bits, QueryError> {
        let passing = self.visits.with_value(condition, work)?;
        let mut visitors = work.bits(self.codes.len())?;
        let mut passing = passing;
        self.split.iter().for_each(|&position| passing.remove_if_there(position));
        passing.iter().for_each(|position| visitors.insert(self.visits.visitor[position as usize]));
        Ok(visitors)
    }
}
