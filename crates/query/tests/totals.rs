//! Totals from sections and digests are the oracle's, however the rows are cut into sections.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::collections::HashSet;

use proptest::prelude::*;
use zenovay_domain::{Dimension, Event, EventKind, Interval, SessionId, TimeRange, Timestamp, VisitorId, Zone};
use zenovay_query::engine::{
    Digest, Section, SessionShare, Span, TotalsJoin, is_totals, totals_answer, totals_buckets,
};
use zenovay_query::random::{Sessions, any_filter, any_series, impossible_totals};
use zenovay_query::{
    Answer, Budget, Condition, Field, Filter, FilterLevel, MemoryDataset, Operator, Query, QueryError, Question, oracle,
};

/// Thirteen sessions of six visitors, eleven hours apart.
const SESSIONS: Sessions = Sessions { count: 13, hours_apart: 11, visitors: 6 };

fn any_query() -> impl Strategy<Value = Query> {
    let filter = any_filter(&[None, Some(FilterLevel::Session), Some(FilterLevel::Event)]);
    let question = prop_oneof![1 => Just(Question::Overview), 4 => any_series()];
    (SESSIONS.any_range(), filter, question)
        .prop_map(|(range, filter, question)| Query::new(range, question).filter(filter))
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

fn shares(section: &Section) -> impl Iterator<Item = SessionShare> {
    section.chunk.sessions.iter().map(|part| SessionShare::new(part, &section.session_ids))
}

/// The answer from sections; those that may be are given by their digest.
fn answer(sections: &[(Section, Span)], query: &Query, also_open: u64, budget: &Budget) -> Result<Answer, QueryError> {
    let spans: Vec<Span> = sections.iter().map(|(_, span)| *span).collect();
    let buckets = totals_buckets(query, Span::range_of(&spans), budget)?;
    let mut join = TotalsJoin::new(query, &buckets, &spans, budget)?;
    let mut is_whole = Vec::new();
    for (number, (section, _)) in sections.iter().enumerate() {
        join.add_sessions(number, &section.session_ids)?;
        is_whole.push(join.is_whole(number));
    }
    let mut totals = join.join()?;
    for (number, (section, _)) in sections.iter().enumerate() {
        let split = totals.split(number).to_vec();
        if !is_whole[number] {
            totals.add_rows(number, section, &split)?;
            continue;
        }
        let open: HashSet<u64> = split.iter().map(|&code| section.session_ids[code as usize]).collect();
        let visitors: HashSet<u32> = section.chunk.visitor.iter().copied().collect();
        // An open session may be in no other section.
        let is_open = |share: &SessionShare| open.contains(&share.session) || share.session % 3 == also_open;
        let digest = Digest::new(visitors.len() as u64, shares(section), is_open);
        totals.add_digest(number, &digest, visitors.iter().map(|&code| section.visitor_ids[code as usize]))?;
    }
    Ok(totals_answer(query, &buckets, totals.finish()?))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // Sabotages, each of which turns this red: count open sessions in `Digest::new`; take the sections before this one for
    // the only ones in `Bucket::add_visitors`; leave out the smaller `first_at` in `SessionShare::merge`; keep the old rows
    // in `Chunk::without`; give no heartbeats in `Section::give_rows`; count an open session in the bucket of its first event
    // only in `Totals::finish`, or without its events in `Totals::add_digest`.
    #[test]
    fn totals_are_the_oracles(
        rows in prop::collection::vec((SESSIONS.any_event(), 0usize..6), 0..120),
        in_time in any::<bool>(),
        also_open in 0u64..4,
        queries in prop::collection::vec(any_query(), 1..6),
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
        let sections: Vec<_> = parts.iter().filter(|part| !part.is_empty()).map(|part| section(part)).collect();
        for query in queries {
            prop_assert!(is_totals(&query));
            let answer = answer(&sections, &query, also_open, &Budget::unlimited()).unwrap();
            prop_assert_eq!(impossible_totals(&query, &answer), [], "{:?}", query);
            prop_assert_eq!(answer, oracle::answer(&events, &query), "{:?}", query);
        }
    }
}

#[test]
fn a_condition_on_visitors_or_another_question_is_not_made_of_totals() {
    let range = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(1));
    let field = Field::Dimension(Dimension::Path);
    let condition = Condition::new(field, Operator::Is, [""; 0]).at(FilterLevel::Visitor);
    let filter = Filter::All(vec![Filter::Any(vec![Filter::Is(condition)])]);
    assert!(!is_totals(&Query::new(range, Question::Overview).filter(filter)));
    assert!(!is_totals(&Query::new(range, Question::Live)));
}

#[test]
fn totals_end_when_the_budget_does() {
    let events: Vec<Event> = (0..4_000)
        .map(|number| {
            Event::new(EventKind::Pageview, Timestamp::from_millis(number), VisitorId(number as u64), SessionId(1))
        })
        .collect();
    let sections = [section(&events[..2_000]), section(&events[2_000..])];
    let range = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(4_000));
    let query = Query::new(range, Question::Overview);
    // 32 KB of visitors, and little more.
    let budget = |bytes| Budget::new(std::time::Duration::from_secs(3_600), bytes);
    assert!(answer(&sections, &query, 3, &budget(40_000)).is_ok());
    assert_eq!(answer(&sections, &query, 3, &budget(30_000)), Err(QueryError::MemoryExceeded));
    let cancelled = Budget::unlimited();
    cancelled.cancel();
    assert_eq!(answer(&sections, &query, 3, &cancelled), Err(QueryError::Cancelled));

    let hours = Question::Series { interval: Interval::Hour, zone: Zone::utc() };
    let ages = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(10_000 * 365 * 86_400_000));
    let query = Query::new(ages, hours);
    assert_eq!(answer(&sections, &query, 3, &budget(1 << 20)), Err(QueryError::MemoryExceeded), "too many buckets");
}
