//! Answers from sections are the oracle's, however the rows are cut into sections and however little memory there is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};

use proptest::prelude::*;
use zenovay_domain::{Dimension, Event, EventKind, Interval, SessionId, TimeRange, Timestamp, VisitorId, Zone};

use super::*;
use crate::random::{Sessions as Traffic, any_filter, any_series, impossible_totals};
use crate::{
    Chunk, ColumnSet, Condition, Field, FilterLevel, GiveWay, GroupBy, MemoryDataset, Metric, NO_ROW, Operator, Order,
    oracle,
};

/// Thirteen sessions of six visitors, eleven hours apart.
const VISITS: Traffic = Traffic { count: 13, hours_apart: 11, visitors: 6 };

/// Sections in memory.
struct Parts {
    sections: Vec<Section>,
    spans: Vec<Span>,
    /// Of sessions that are in one section some are open all the same: those whose id leaves this when it is divided by 3.
    also_open: u64,
    has_digests: bool,
    has_visits: bool,
    /// The number of a section that has none all the same.
    without_visits: Option<usize>,
    /// Whether the events stand with the visits.
    has_events: bool,
    has_columns: bool,
    /// Whether visitors have codes.
    has_codes: bool,
    read: AtomicUsize,
}

impl Parts {
    fn new(parts: &[Vec<Event>], also_open: u64, has_digests: bool) -> Self {
        let (sections, spans) = parts.iter().filter(|part| !part.is_empty()).map(|part| section(part)).unzip();
        Self {
            sections,
            spans,
            also_open,
            has_digests,
            has_visits: false,
            without_visits: None,
            has_events: false,
            has_columns: false,
            has_codes: false,
            read: AtomicUsize::new(0),
        }
    }

    /// What the events of the sessions of `chunk` have in a column with `codes`; `None` when a pageview has a value where none should.
    fn events(dimension: Dimension, chunk: &Chunk, codes: &[u32]) -> Option<VisitColumn> {
        let (mut entry, mut exit, mut between, mut others) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for part in chunk.sessions.iter() {
            let is_own = |row: &usize| chunk.session[*row] == part.session;
            let (views, other): (Vec<usize>, Vec<usize>) =
                (0..codes.len()).filter(is_own).partition(|&row| chunk.kind[row] == EventKind::Pageview as u8);
            others.extend(other.into_iter().map(|row| codes[row]));
            if dimension == Dimension::EventName {
                if views.iter().any(|&row| codes[row] != 0) {
                    return None;
                }
                continue;
            }
            entry.push(views.first().map_or(0, |&row| codes[row]));
            exit.extend(views.iter().skip(1).last().map(|&row| codes[row]));
            between.extend(views.iter().skip(1).rev().skip(1).map(|&row| codes[row]));
        }
        Some(VisitColumn::Events { entry, exit, between, others })
    }
}

impl Parts {
    /// The ids of all visitors, each once.
    fn ids(&self) -> BTreeSet<u64> {
        self.sections.iter().flat_map(|section| section.visitor_ids.iter().copied()).collect()
    }
}

/// The same on another thread.
struct Fork<'a>(&'a Parts);

impl Sections for Fork<'_> {
    fn spans(&self) -> &[Span] {
        self.0.spans()
    }

    fn session_ids(&self, number: usize) -> Result<Vec<u64>, QueryError> {
        self.0.session_ids(number)
    }

    fn visitor_ids(&self, number: usize) -> Result<Vec<u64>, QueryError> {
        self.0.visitor_ids(number)
    }

    fn visitor_codes(&self, number: usize) -> Result<Vec<u32>, QueryError> {
        self.0.visitor_codes(number)
    }

    fn digest(&self, number: usize) -> Result<Option<SectionDigest>, QueryError> {
        self.0.digest(number)
    }

    fn visits(&self, number: usize, needs: VisitNeeds, budget: &Budget) -> Result<Option<Visits>, QueryError> {
        self.0.visits(number, needs, budget)
    }

    fn columns(&self, number: usize, needs: RowNeeds<'_>, budget: &Budget) -> Result<Option<RowColumns>, QueryError> {
        self.0.columns(number, needs, budget)
    }

    fn rows_with(
        &self,
        number: usize,
        dimension: Dimension,
        budget: &Budget,
    ) -> Result<Option<(Vec<u32>, RowColumns)>, QueryError> {
        self.0.rows_with(number, dimension, budget)
    }

    fn rows(&self, number: usize, columns: ColumnSet, budget: &Budget) -> Result<Section, QueryError> {
        self.0.rows(number, columns, budget)
    }
}

impl Sections for Parts {
    fn spans(&self) -> &[Span] {
        &self.spans
    }

    fn fork(&self) -> Option<Box<dyn Sections + Send + '_>> {
        Some(Box::new(Fork(self)))
    }

    fn session_ids(&self, number: usize) -> Result<Vec<u64>, QueryError> {
        Ok(self.sections[number].session_ids.clone())
    }

    fn visitor_ids(&self, number: usize) -> Result<Vec<u64>, QueryError> {
        Ok(self.sections[number].visitor_ids.clone())
    }

    fn codes_below(&self, _: &Budget) -> Result<Option<u32>, QueryError> {
        Ok(self.has_codes.then_some(3 * self.ids().len() as u32))
    }

    fn visitor_codes(&self, number: usize) -> Result<Vec<u32>, QueryError> {
        let ids = self.ids();
        let code = |id: &u64| 3 * ids.iter().position(|own| own == id).unwrap() as u32;
        Ok(self.sections[number].visitor_ids.iter().map(code).collect())
    }

    fn digest(&self, number: usize) -> Result<Option<SectionDigest>, QueryError> {
        if !self.has_digests {
            return Ok(None);
        }
        let section = &self.sections[number];
        let visitors: HashSet<u32> = section.chunk.visitor.iter().copied().collect();
        let others = || self.sections.iter().enumerate().filter(|(other, _)| *other != number);
        let is_open = |share: &SessionShare| {
            share.session % 3 == self.also_open || others().any(|(_, other)| other.session_ids.contains(&share.session))
        };
        let shares = section.chunk.sessions.iter().map(|part| SessionShare::new(part, &section.session_ids));
        let digest = Digest::new(visitors.len() as u64, shares, is_open);
        let parts = || (0..).zip(section.chunk.sessions.iter());
        let place = |share: &SessionShare| {
            let is_own = |(_, part): &(u32, &SessionPart)| section.session_ids[part.session as usize] == share.session;
            let (position, part) = parts().find(is_own).unwrap();
            (position, VisitTimes::of(part, &section.chunk.at).unwrap())
        };
        // Digests of an earlier version do not know them.
        let open_places = if self.also_open == 1 { Vec::new() } else { digest.open.iter().map(place).collect() };
        let heartbeat_only = (0..section.visitor_ids.len() as u32).filter(|code| !visitors.contains(code)).collect();
        Ok(Some(SectionDigest { digest, heartbeat_only, open_places }))
    }

    fn visits(&self, number: usize, needs: VisitNeeds, _: &Budget) -> Result<Option<Visits>, QueryError> {
        let section = &self.sections[number];
        let chunk = &section.chunk;
        if !self.has_visits || self.without_visits == Some(number) {
            return Ok(None);
        }
        let mut coded = Vec::new();
        for dimension in needs.columns.iter() {
            let codes = chunk.columns[dimension as usize].as_deref().unwrap();
            let at = |row: fn(&SessionPart) -> u32| -> Vec<u32> {
                let row_of = |part: &SessionPart| codes.get(row(part) as usize).copied().unwrap_or(0);
                chunk.sessions.iter().map(row_of).collect()
            };
            if needs.events && matches!(dimension, Dimension::Path | Dimension::EventName) {
                let column = self.has_events.then(|| Self::events(dimension, chunk, codes));
                let Some(column) = column.flatten() else { return Ok(None) };
                coded.push((dimension, column));
            } else if dimension == Dimension::Path {
                let column = VisitColumn::EntryAndExit(at(|part| part.entry_row), at(|part| part.exit_row));
                coded.push((dimension, column));
            } else if chunk.is_constant_per_session(dimension, codes) {
                coded.push((dimension, VisitColumn::Value(at(|part| part.first_row))));
            } else {
                return Ok(None);
            }
        }
        let times = chunk.sessions.iter().map(|part| VisitTimes::of(part, &chunk.at).unwrap()).collect();
        let parts = || chunk.sessions.iter();
        let mut visits = Visits {
            with_events: parts().filter(|part| part.first_row != NO_ROW).count(),
            session: parts().map(|part| part.session).collect(),
            sessions: section.session_ids.len(),
            visitor: parts().map(|part| part.visitor).collect(),
            first_at: parts().map(|part| part.first_at).collect(),
            last_at: parts().map(|part| part.last_at).collect(),
            pageviews: parts().map(|part| part.pageviews).collect(),
            other_events: parts().map(|part| part.other_events).collect(),
            engagement_ms: parts().map(|part| part.engagement_ms).collect(),
            times,
            columns: coded,
            section: Section { chunk: Chunk::default(), ..section.clone() },
        };
        // What is not asked for is not there.
        if !needs.sessions {
            (visits.session, visits.sessions) = Default::default();
        }
        if !needs.session_ids {
            visits.section.session_ids.clear();
        }
        if !needs.visitor_ids {
            visits.section.visitor_ids.clear();
        }
        if !(needs.counts || needs.metrics || needs.times || needs.columns.contains(Dimension::Path)) {
            (visits.pageviews, visits.other_events) = Default::default();
        }
        if !needs.starts && needs.metrics {
            for (first_at, last_at) in visits.first_at.iter_mut().zip(&mut visits.last_at) {
                if *first_at != i64::MAX {
                    (*first_at, *last_at) = (0, *last_at - *first_at);
                }
            }
        } else if !needs.starts {
            visits.first_at.clear();
        }
        if !needs.metrics {
            (visits.last_at, visits.engagement_ms) = Default::default();
        }
        if !needs.times {
            visits.times.clear();
        }
        if visits.engagement_ms.iter().all(|&engagement_ms| engagement_ms == 0) {
            visits.engagement_ms.clear();
        }
        Ok(Some(visits))
    }

    fn columns(&self, number: usize, needs: RowNeeds<'_>, _: &Budget) -> Result<Option<RowColumns>, QueryError> {
        if !self.has_columns {
            return Ok(None);
        }
        let mut section = self.sections[number].clone();
        let chunk = std::mem::take(&mut section.chunk);
        let column = |dimension: Dimension| (dimension, chunk.columns[dimension as usize].as_deref().unwrap().to_vec());
        let mut columns = RowColumns {
            rows: chunk.kind.len(),
            kind: chunk.kind.to_vec(),
            visitor: chunk.visitor.to_vec(),
            session: chunk.session.to_vec(),
            columns: needs.columns.iter().map(column).collect(),
            section,
        };
        // Heartbeats are among the rows of a file.
        for part in chunk.sessions.iter().filter(|part| part.first_row == NO_ROW) {
            columns.kind.push(EventKind::Heartbeat as u8);
            columns.visitor.push(part.visitor);
            columns.session.push(part.session);
            columns.columns.iter_mut().for_each(|(_, codes)| codes.push(0));
        }
        columns.rows = columns.kind.len();
        if let Some(rows) = needs.rows {
            columns.keep(rows);
        }
        // What is not asked for is not there.
        if !needs.kinds {
            columns.kind.clear();
        }
        if !needs.visitors {
            columns.visitor.clear();
        }
        if !needs.sessions {
            columns.session.clear();
        }
        if !needs.session_ids {
            columns.section.session_ids.clear();
        }
        if !needs.visitor_ids {
            columns.section.visitor_ids.clear();
        }
        Ok(Some(columns))
    }

    fn rows_with(
        &self,
        number: usize,
        dimension: Dimension,
        budget: &Budget,
    ) -> Result<Option<(Vec<u32>, RowColumns)>, QueryError> {
        let needs = RowNeeds { columns: ColumnSet::EMPTY.with(dimension), ..RowNeeds::default() };
        let Some(mut rows) = self.columns(number, needs, budget)? else { return Ok(None) };
        let positions: Vec<u32> =
            (0..).zip(&rows.columns[0].1).filter(|(_, code)| **code != 0).map(|(row, _)| row).collect();
        rows.keep(&positions);
        Ok(Some((positions, rows)))
    }

    fn rows(&self, number: usize, columns: ColumnSet, budget: &Budget) -> Result<Section, QueryError> {
        budget.check_memory(1_000)?;
        self.read.fetch_add(1, Ordering::Relaxed);
        let mut section = self.sections[number].clone();
        for &dimension in Dimension::ALL {
            if !columns.contains(dimension) {
                section.chunk.columns[dimension as usize] = None;
            }
        }
        Ok(section)
    }
}

fn section(events: &[Event]) -> (Section, Span) {
    let data = MemoryDataset::new(events);
    let chunks = data.chunks();
    let dataset = data.dataset(&chunks);
    let times = || events.iter().map(|event| event.at.as_millis());
    let span = Span { min_at: times().min().unwrap_or(0), max_at: times().max().unwrap_or(0), rows: events.len() };
    let section = Section {
        chunk: chunks[0].clone(),
        dictionaries: Box::new(dataset.dictionaries.clone()),
        visitor_ids: dataset.visitor_ids.iter().copied().collect(),
        session_ids: dataset.session_ids.iter().copied().collect(),
    };
    (section, span)
}

fn any_totals() -> impl Strategy<Value = Query> {
    let filter = any_filter(&[None, Some(FilterLevel::Session), Some(FilterLevel::Event), Some(FilterLevel::Visitor)]);
    let question = prop_oneof![1 => Just(Question::Overview), 4 => any_series()];
    (VISITS.any_range(), prop_oneof![Just(Filter::default()), filter], question)
        .prop_map(|(range, filter, question)| Query::new(range, question).filter(filter))
}

proptest! {
    // `PROPTEST_CASES` asks for more.
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(600),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    // Sabotages, each of which turns this red: count open sessions in `Digest::new`; take every bucket for touched by one section in
    // `Unfiltered::add_visitors`; leave out the smaller `first_at` in `SessionShare::merge`; keep the old rows in `Chunk::without`;
    // give no heartbeats in `Section::give_rows`; count an open session in the bucket of its first event only, or without its events
    // in `Unfiltered::add_digest`; forget `split_visitors` in `Long::is_alone`; count visitors who are alone in every pass; let
    // `Rest::take_whole` take what it meets first; leave out the rows of a piece in `Piece::origin`; end a list of visitors at the
    // first that is full. With several threads: leave the sections that are `taken` out of what is ahead in `Queue::done`; give each thread
    // `split_visitors` of its own; leave out who was met once on each thread in `SharedVisitors::with`; take groups of another thread for
    // those of the first in `DistinctPairs::absorb` or `Waiting::absorb`; forget the shares of sessions in `Counting::take_sessions_of`;
    // keep the later bucket in `Firsts::with`; say that a bucket is complete though there are other threads.
    #[test]
    fn answers_are_the_oracles(
        rows in prop::collection::vec((VISITS.any_event(), 0usize..6), 0..120),
        in_time in any::<bool>(),
        also_open in 0u64..4,
        (has_digests, has_visits, has_events, has_columns, has_codes) in any::<(bool, bool, bool, bool, bool)>(),
        queries in prop::collection::vec((
            prop_oneof![1 => any_totals(), 2 => VISITS.any_query()],
            prop::sample::select(vec![300usize, 1_000, 3_000, 10_000, 100_000, usize::MAX / 2]),
        ), 1..6),
        threads in 1usize..4,
    ) {
        let mut parts: Vec<Vec<Event>> = vec![Vec::new(); 6];
        let mut events: Vec<Event> = rows.iter().map(|(event, _)| event.clone()).collect();
        if in_time {
            // As row groups of one file: one after the other in time.
            events.sort_by_key(|event| event.at);
            for (number, event) in events.iter().enumerate() {
                parts[number * 6 / events.len()].push(event.clone());
            }
        } else {
            rows.iter().for_each(|(event, part)| parts[*part].push(event.clone()));
            // Sections stand in the order of the arrival of their rows.
            events = parts.concat();
        }
        let sections = Parts { has_visits, has_events, has_columns, has_codes, ..Parts::new(&parts, also_open, has_digests) };
        for (query, may_hold) in queries {
            let budget = Budget::unlimited().on_threads(threads, 1);
            match answer_holding(&sections, &query, &budget, may_hold) {
                // Less than all rows of one visitor take.
                Err(QueryError::MemoryExceeded) if may_hold < 100_000 => {}
                answer => {
                    let answer = answer.unwrap();
                    prop_assert_eq!(impossible_totals(&query, &answer), [], "{:?}", query);
                    prop_assert_eq!(&answer, &oracle::answer(&events, &query), "{:?} with {} bytes", query, may_hold);
                }
            }
        }
    }
}

/// Pages or names of events, of all events or of those that a filter chooses by kind and by fields of sessions.
fn any_happenings() -> impl Strategy<Value = Query> {
    let value = prop::sample::select(vec!["", "Linux", "iOS", "phone", "desktop"]);
    let dimension = prop::sample::select(vec![Dimension::Os, Dimension::Device]);
    let condition = (dimension, value)
        .prop_map(|(dimension, value)| Filter::Is(Condition::new(Field::Dimension(dimension), Operator::Is, [value])));
    let filter =
        prop_oneof![1 => Just(Filter::Kind(EventKind::Pageview)), 2 => condition].prop_recursive(3, 6, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::All),
                prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Any),
                inner.prop_map(|filter| Filter::Not(Box::new(filter))),
            ]
        });
    let filter = prop_oneof![1 => Just(Filter::default()), 1 => Just(Filter::Kind(EventKind::Pageview)), 4 => filter];
    let range = prop_oneof![
        2 => Just(TimeRange::new(Timestamp::MIN, Timestamp::MAX)),
        1 => VISITS.any_range(),
    ];
    (range, filter, prop::sample::select(vec![Dimension::Path, Dimension::EventName]), any::<bool>()).prop_map(
        |(range, filter, field, has_empty)| {
            let group_by = GroupBy::by(field);
            let group_by = if has_empty { group_by } else { group_by.without_empty() };
            Query::new(range, Question::Breakdown(group_by)).filter(filter)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(600),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    // Sabotages, each of which turns this red: add each visitor of a section once in `Long::find_shared`; count the sessions that wait
    // there, too, in `count_events_of`; have other events pass with pageviews in `passing`.
    #[test]
    fn what_happened_is_told_by_visits(
        rows in prop::collection::vec((VISITS.any_event(), 0usize..4), 0..120),
        in_time in any::<bool>(),
        also_open in 0u64..4,
        (has_digests, has_columns, has_codes) in any::<(bool, bool, bool)>(),
        without_visits in prop::option::of(0usize..4),
        queries in prop::collection::vec((
            any_happenings(),
            prop::sample::select(vec![3_000usize, 10_000, usize::MAX / 2]),
        ), 1..6),
        threads in 1usize..4,
    ) {
        let mut parts: Vec<Vec<Event>> = vec![Vec::new(); 4];
        let mut events: Vec<Event> = rows.iter().map(|(event, _)| event.clone()).collect();
        // As they nearly always are: other events have names, and pageviews have none.
        for event in events.iter_mut().filter(|event| event.kind == EventKind::Pageview) {
            event.dimensions.set(Dimension::EventName, "");
        }
        let rows: Vec<(Event, usize)> = events.iter().cloned().zip(rows.iter().map(|(_, part)| *part)).collect();
        if in_time {
            events.sort_by_key(|event| event.at);
            for (number, event) in events.iter().enumerate() {
                parts[number * 4 / events.len()].push(event.clone());
            }
        } else {
            rows.iter().for_each(|(event, part)| parts[*part].push(event.clone()));
            events = parts.concat();
        }
        let known = Parts::new(&parts, also_open, has_digests);
        let sections = Parts { has_visits: true, without_visits, has_events: true, has_columns, has_codes, ..known };
        for (query, may_hold) in queries {
            match answer_holding(&sections, &query, &Budget::unlimited().on_threads(threads, 1), may_hold) {
                Err(QueryError::MemoryExceeded) if may_hold < 100_000 => {}
                answer => prop_assert_eq!(
                    answer, Ok(oracle::answer(&events, &query)), "{:?} with {} bytes", query, may_hold
                ),
            }
        }
    }
}

/// Sabotage: read rows in `Long::in_column_passes` where visits tell it.
#[test]
fn pages_and_events_of_whole_sections_read_no_rows() {
    let mut events = visits(6_000);
    for (event, number) in events.iter_mut().zip(0..) {
        if number % 9 == 4 {
            event.kind = EventKind::Custom;
            event.dimensions.set(Dimension::EventName, ["signup", "search"][number % 2]);
        }
    }
    let sections = Parts { has_visits: true, has_events: true, has_codes: true, ..sections_of(&events, 500) };
    let german = Filter::Is(Condition::new(Field::Dimension(Dimension::Country), Operator::Is, ["DE"]));
    for filter in [Filter::default(), Filter::All(vec![german, Filter::Kind(EventKind::Pageview)])] {
        for field in [Dimension::Path, Dimension::EventName] {
            let query = ever(Question::Breakdown(GroupBy::by(field))).filter(filter.clone());
            let answer = answer_by_sections(&sections, &query, &Budget::unlimited());
            assert_eq!(answer, Ok(oracle::answer(&events, &query)), "{query:?}");
        }
    }
    assert_eq!(sections.read.load(Ordering::Relaxed), 0);
}

/// Visits of one to three events in the order of time, of visitors who come back, with 40 paths and two titles each.
fn visits(count: u64) -> Vec<Event> {
    let event = |visit: u64, step: u64| {
        let at = Timestamp::from_millis((visit * 60_000 + step * 1_000) as i64);
        let mut event = Event::new(EventKind::Pageview, at, VisitorId(visit * visit % 997), SessionId(visit));
        event.dimensions.set(Dimension::Path, &format!("/{}", (visit + step) * 7 % 40));
        event.dimensions.set(Dimension::Title, &format!("Title {}", visit % 2));
        event.dimensions.set(Dimension::Country, ["DE", "US", "FR"][(visit % 3) as usize]);
        event
    };
    (0..count).flat_map(|visit| (0..=visit % 3).map(move |step| event(visit, step))).collect()
}

fn sections_of(events: &[Event], rows: usize) -> Parts {
    let parts: Vec<Vec<Event>> = events.chunks(rows).map(<[Event]>::to_vec).collect();
    Parts::new(&parts, 3, true)
}

fn ever(question: Question) -> Query {
    Query::new(TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(i64::MAX)), question)
}

/// Sabotage: read all sections once more for each part, or give up instead of another pass.
#[test]
fn less_memory_takes_more_passes_and_the_same_answer() {
    let events = visits(6_000);
    let sections = sections_of(&events, 500);
    let pages = GroupBy::by(Dimension::Path).metrics([Metric::Sessions, Metric::Title, Metric::TimeOnPage]);
    let pairs = GroupBy::by(Dimension::Path).and(Dimension::Country).order(Order::Sessions).limit(7).offset(2);
    for question in [
        Question::Overview,
        Question::Breakdown(pages),
        Question::Breakdown(pairs),
        Question::Visitors { limit: 30, offset: 500, after: None },
    ] {
        let query = ever(question);
        let expected = oracle::answer(&events, &query);
        let mut reads = Vec::new();
        for may_hold in [usize::MAX / 2, 160_000, 60_000] {
            sections.read.store(0, Ordering::Relaxed);
            let answer = answer_holding(&sections, &query, &Budget::unlimited(), may_hold).unwrap();
            assert_eq!(answer, expected, "{query:?} with {may_hold} bytes");
            reads.push(sections.read.load(Ordering::Relaxed));
        }
        assert!(reads.is_sorted() && reads[2] <= 40 * sections.spans.len(), "{reads:?}");
    }
}

/// Who is in one section alone and views a page again and again. Sabotage: do not look whether the visitor was met in `met`, or count who is
/// alone for each page among all.
#[test]
fn a_page_that_is_viewed_again_has_one_visitor() {
    let event = |(minute, visitor, path): (i64, u64, &str)| {
        let at = Timestamp::from_millis(minute * 60_000);
        let mut event = Event::new(EventKind::Pageview, at, VisitorId(visitor), SessionId(visitor));
        event.dimensions.set(Dimension::Path, path);
        event
    };
    let views = [
        (0, 1, "/a"),
        (1, 1, "/a"),
        (2, 2, "/a"),
        (3, 1, "/b"),
        (4, 2, "/a"),
        (5, 1, "/a"),
        (6, 3, "/a"),
        (7, 2, "/a"),
    ];
    let events: Vec<Event> = views.into_iter().map(event).collect();
    let query = ever(Question::Breakdown(GroupBy::by(Dimension::Path)));
    for (has_columns, has_codes) in [(false, false), (false, true), (true, false), (true, true)] {
        let sections = Parts { has_columns, has_codes, ..sections_of(&events, 6) };
        let answer = answer_by_sections(&sections, &query, &Budget::unlimited()).unwrap();
        assert_eq!(answer, oracle::answer(&events, &query), "{has_columns} {has_codes}");
    }
}

/// Groups that do not fit together are counted in parts. Sabotage: take the visitors of all groups for the sum of those of each part.
#[test]
fn more_groups_than_fit_are_counted_in_parts() {
    let mut events = visits(3_000);
    for (event, number) in events.iter_mut().zip(0..) {
        event.dimensions.set(Dimension::Path, &format!("/{}", number * number % 1_789));
    }
    let sections = sections_of(&events, 500);
    for group_by in [
        GroupBy::by(Dimension::Path).limit(20).offset(3),
        GroupBy::by(Dimension::Path).and(Dimension::Title).order(Order::Events).limit(20),
    ] {
        let query = ever(Question::Breakdown(group_by));
        let answer = answer_holding(&sections, &query, &Budget::unlimited(), 200_000).unwrap();
        assert_eq!(answer, oracle::answer(&events, &query), "{query:?}");
    }
    let all = ever(Question::Breakdown(GroupBy::by(Dimension::Path)));
    let refused = answer_holding(&sections, &all, &Budget::unlimited(), 200_000);
    assert_eq!(refused, Err(QueryError::MemoryExceeded), "the answer itself does not fit");
}

/// The newest visitors are in the last sections. Sabotage: never break in `Long::list_visitors`.
#[test]
fn the_first_page_of_visitors_reads_few_sections() {
    let events = visits(6_000);
    let sections = sections_of(&events, 500);
    let query = ever(Question::Visitors { limit: 20, offset: 0, after: None });
    let answer = answer_by_sections(&sections, &query, &Budget::unlimited()).unwrap();
    assert_eq!(answer, oracle::answer(&events, &query));
    assert!(sections.read.load(Ordering::Relaxed) < 6, "{}", sections.read.load(Ordering::Relaxed));
}

/// Sabotage: read rows of sections that have a digest.
#[test]
fn totals_of_whole_sections_read_no_rows() {
    let events = visits(6_000);
    let sections = sections_of(&events, 500);
    let query = ever(Question::Overview);
    let answer = answer_by_sections(&sections, &query, &Budget::unlimited()).unwrap();
    assert_eq!((answer, sections.read.load(Ordering::Relaxed)), (oracle::answer(&events, &query), 0));
}

#[test]
fn an_answer_ends_when_the_budget_does() {
    let events = visits(600);
    let sections = sections_of(&events, 500);
    let cancelled = Budget::unlimited();
    cancelled.cancel();
    for question in [Question::Overview, Question::Breakdown(GroupBy::by(Dimension::Path)), Question::Live] {
        let answer = answer_by_sections(&sections, &ever(question), &cancelled);
        assert_eq!(answer, Err(QueryError::Cancelled));
    }
    let hours = Question::Series { interval: Interval::Hour, zone: Zone::utc() };
    let ages = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(10_000 * 365 * 86_400_000));
    let little = Budget::new(std::time::Duration::from_secs(3_600), 1 << 20);
    let answer = answer_by_sections(&sections, &Query::new(ages, hours), &little);
    assert_eq!(answer, Err(QueryError::MemoryExceeded), "too many buckets");
}

/// Sabotage: go through all sessions of a section without a look.
#[test]
fn sessions_of_one_section_are_compared_with_looks_at_the_budget() {
    #[derive(Debug, Default)]
    struct Looks(AtomicUsize);

    impl GiveWay for Looks {
        fn give_way(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    let query = ever(Question::Overview);
    let [few, many] = [1_000, 20_000].map(|sessions| {
        let looks = Arc::new(Looks::default());
        let budget = Budget::unlimited().giving_way(looks.clone());
        Long::new(&sections_of(&visits(sessions), usize::MAX), &query, &budget, usize::MAX).unwrap();
        looks.0.load(Ordering::Relaxed)
    });
    assert!(many >= few + 4, "{few} looks for 1,000 sessions and {many} for 20,000");
}

#[test]
fn parts_that_are_done_are_told() {
    let events = visits(600);
    let sections = sections_of(&events, 100);
    let progress = Arc::new(crate::Progress::default());
    let budget = Budget::unlimited().reporting_to(Arc::clone(&progress));
    answer_by_sections(&sections, &ever(Question::Breakdown(GroupBy::by(Dimension::Path))), &budget).unwrap();
    let (done, parts) = progress.read();
    assert_eq!(done, parts);
    // The visitors are compared, and rows are read once: not a part for each look at them. Nobody asks about sessions.
    assert_eq!(parts, 2 * sections.spans.len() as u64);
}

/// Knows the threads of a query: the one that began it waits until another has looked or is through.
#[derive(Debug)]
struct TwoThreads {
    began: ThreadId,
    helped: AtomicUsize,
    /// Those that looked, and whether the first need not wait.
    looked: Mutex<(HashSet<ThreadId>, bool)>,
    changed: Condvar,
}

impl TwoThreads {
    fn goes_on(&self) {
        self.looked.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

impl GiveWay for TwoThreads {
    fn give_way(&self) {
        self.looked.lock().unwrap().0.insert(thread::current().id());
        if thread::current().id() != self.began {
            self.goes_on();
        }
        drop(self.changed.wait_while(self.looked.lock().unwrap(), |(_, goes_on)| !*goes_on).unwrap());
    }

    fn help(&self, work: &mut dyn FnMut()) {
        assert_ne!(thread::current().id(), self.began);
        self.helped.fetch_add(1, Ordering::Relaxed);
        work();
        self.goes_on();
    }
}

/// Sabotage: look at no budget on the helping thread, have it work without `help`, or let so few rows have two threads.
#[test]
fn a_helping_thread_is_counted_and_gives_way() {
    let events = visits(6_000);
    let sections = Parts { has_visits: true, has_events: true, has_codes: true, ..sections_of(&events, 100) };
    let way = Arc::new(TwoThreads {
        began: thread::current().id(),
        helped: AtomicUsize::new(0),
        looked: Mutex::default(),
        changed: Condvar::new(),
    });
    let budget = Budget::unlimited().giving_way(Arc::clone(&way) as Arc<dyn GiveWay>);
    let query = ever(Question::Breakdown(GroupBy::by(Dimension::Path)));
    let answer = answer_by_sections(&sections, &query, &budget.clone().on_threads(2, 1_000));
    assert_eq!(answer, Ok(oracle::answer(&events, &query)));
    // One for each of two walks, and one that counts.
    assert_eq!(way.helped.load(Ordering::Relaxed), 3);
    assert!(way.looked.lock().unwrap().0.len() > 1);
    let answer = answer_by_sections(&sections, &query, &budget.on_threads(2, 6_001));
    assert_eq!((answer, way.helped.load(Ordering::Relaxed)), (Ok(oracle::answer(&events, &query)), 3));
}
