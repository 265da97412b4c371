//! Kernels and oracle give the same answer to every question on random events, chunks, ranges, filters and zones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use proptest::prelude::*;
use zenovay_domain::{Dimension, Event, EventKind, Interval, SessionId, TimeRange, Timestamp, VisitorId, Zone};
use zenovay_query::random::{EPOCH_MS, Sessions, impossible_totals};
use zenovay_query::{
    Budget, Condition, DatasetBuilder, Field, Filter, GroupBy, MemoryDataset, Metric, Operator, Query, Question, oracle,
};

/// Twelve sessions of five visitors, nine hours apart.
const SESSIONS: Sessions = Sessions { count: 12, hours_apart: 9, visitors: 5 };

/// The events in chunks by arrival, cut after the given numbers of events.
fn in_chunks(events: &[Event], lengths: &[usize]) -> MemoryDataset {
    let mut builder = DatasetBuilder::default();
    let mut rest = events;
    for &length in lengths {
        let (chunk, after) = rest.split_at(length.min(rest.len()));
        chunk.iter().for_each(|event| builder.push(event));
        builder.end_chunk();
        rest = after;
    }
    rest.iter().for_each(|event| builder.push(event));
    builder.finish()
}

proptest! {
    // `PROPTEST_CASES` asks for more.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1_000), ..ProptestConfig::default() })]

    #[test]
    fn kernels_answer_like_the_oracle(
        events in prop::collection::vec(SESSIONS.any_event(), 0..60),
        lengths in prop::collection::vec(0usize..25, 0..5),
        queries in prop::collection::vec(SESSIONS.any_query(), 1..8),
    ) {
        let dataset = in_chunks(&events, &lengths);
        for query in queries {
            prop_assert_eq!(
                dataset.answer(&query, &Budget::unlimited()),
                Ok(oracle::answer(&events, &query)),
                "{:?}", query
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1_000), ..ProptestConfig::default() })]

    /// Whoever is counted was there in a session that is counted: in every range, zone, filter, bucket and row.
    ///
    /// Sabotage: count sessions by their first event in `Scan::session_shares`, or in `Sessions::totals_with_event_in`.
    #[test]
    fn there_are_never_more_visitors_than_sessions(
        events in prop::collection::vec(SESSIONS.any_event(), 0..60),
        lengths in prop::collection::vec(0usize..25, 0..5),
        queries in prop::collection::vec(SESSIONS.any_query(), 1..8),
    ) {
        let dataset = in_chunks(&events, &lengths);
        for mut query in queries {
            if let Question::Breakdown(group_by) = &mut query.question {
                group_by.metrics.push(Metric::Sessions);
            }
            for answer in [oracle::answer(&events, &query), dataset.answer(&query, &Budget::unlimited()).unwrap()] {
                prop_assert_eq!(impossible_totals(&query, &answer), [], "{:?}", query);
            }
        }
    }
}

/// More rows than kernels take at once, more values than they keep in small tables, and more pairs of values than have
/// a group each.
#[test]
fn many_rows_and_values_are_answered_like_the_oracle_does() {
    let events: Vec<Event> = (0..90_000u64)
        .map(|number| {
            let session = number / 7;
            let at = EPOCH_MS + (session * 7_919 % 13_000) as i64 * 15_000 + (number % 7) as i64 * 1_000;
            let kind = if number % 11 == 3 { EventKind::Heartbeat } else { EventKind::Pageview };
            let visitor = VisitorId(session % 9_000);
            let mut event = Event::new(kind, Timestamp::from_millis(at), visitor, SessionId(session));
            event.dimensions.set(Dimension::Path, &format!("/{}", number * number % 1_999));
            event.dimensions.set(Dimension::City, &format!("city {}", session % 97));
            event.dimensions.set(Dimension::Country, ["DE", "US", "FR"][(session % 3) as usize]);
            event
        })
        .collect();
    let path = || Field::Dimension(Dimension::Path);
    let by = |field, and| {
        let metrics = vec![Metric::Sessions, Metric::TimeOnPage];
        let mut group_by = GroupBy::by(field).metrics(metrics).limit(50).offset(3);
        group_by.and = and;
        Question::Breakdown(group_by)
    };
    let contains = |field, value: &str| {
        let values = vec![value.to_owned()];
        Filter::Is(Condition::new(field, Operator::Contains, values))
    };
    let range =
        TimeRange::new(Timestamp::from_millis(EPOCH_MS + 3_000_500), Timestamp::from_millis(EPOCH_MS + 190_000_500));
    let datasets = [in_chunks(&events, &[]), in_chunks(&events, &[70_003, 10])];
    for (filter, question) in [
        (Filter::default(), Question::Overview),
        (Filter::default(), Question::Series { interval: Interval::Hour, zone: Zone::utc() }),
        (Filter::default(), by(path(), None)),
        (Filter::default(), by(path(), Some(Field::Dimension(Dimension::City)))),
        (Filter::default(), by(Field::Dimension(Dimension::Country), None)),
        (Filter::default(), by(Field::EntryPage, Some(Field::ExitPage))),
        (contains(path(), "7"), by(Field::Dimension(Dimension::City), None)),
        (contains(Field::Dimension(Dimension::City), "7"), by(Field::EntryPage, None)),
        (contains(path(), "99"), Question::Visitors { limit: 20, offset: 5, after: None }),
    ] {
        let query = Query::new(range, question).filter(filter);
        let expected = Ok(oracle::answer(&events, &query));
        for dataset in &datasets {
            assert_eq!(dataset.answer(&query, &Budget::unlimited()), expected, "{query:?}");
        }
    }
}
