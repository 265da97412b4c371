//! No input makes a public function panic: times at the ends of what a number holds, ranges that end before they begin, odd
//! limits, and strings of all kinds.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::time::Duration;

use proptest::prelude::*;
use zenovay_domain::{
    Dimension, Event, EventKind, Interval, SESSION_MAX_MS, SessionId, TimeRange, Timestamp, VisitorId, Zone,
};
use zenovay_query::engine::time_needed;
use zenovay_query::random::any_filter;
use zenovay_query::{
    Baseline, Budget, Comparison, Condition, Field, Filter, GroupBy, MemoryDataset, Metric, Operator, Order, Query,
    QueryError, Question, check_regex, regex_ignoring_case,
};

fn any_time() -> impl Strategy<Value = Timestamp> + Clone {
    prop_oneof![
        2 => any::<i64>(),
        2 => prop::sample::select(vec![
            i64::MIN, i64::MIN + 1, i64::MIN / 2, -1, 0, 1, i64::MAX / 2, i64::MAX - 1, i64::MAX,
            // The ends of the calendar, and a little beyond.
            -377_705_116_800_000, 253_402_207_200_000, -377_705_116_800_001, 253_402_300_800_000,
        ]),
        3 => 1_774_700_000_000i64..1_774_800_000_000,
    ]
    .prop_map(Timestamp::from_millis)
}

/// Ranges as a caller can make them: also such as end before they begin.
fn any_range() -> impl Strategy<Value = TimeRange> + Clone {
    (any_time(), any_time()).prop_map(|(from, to)| {
        let mut range = TimeRange::new(from, from);
        range.to = to;
        range
    })
}

fn any_number() -> impl Strategy<Value = usize> + Clone {
    prop_oneof![Just(0), Just(1), Just(usize::MAX), Just(usize::MAX - 1), Just(usize::MAX / 2 + 1), 0usize..9]
}

/// Whether sessions are as long as they may be.
fn are_of_sessions(events: &[Event]) -> bool {
    let times = |session| events.iter().filter(move |event| event.session == session).map(|event| event.at.as_millis());
    events.iter().all(|event| times(event.session).all(|at| event.at.as_millis().saturating_sub(at) <= SESSION_MAX_MS))
}

/// Events of sessions with one visitor each, at any time; half of them of a session each, so that these can be.
fn any_events() -> impl Strategy<Value = Vec<Event>> {
    let event = (any_time(), 0u64..4, prop::sample::select(EventKind::ALL), any::<u32>(), ".{0,8}", ".{0,8}");
    let event = event.prop_map(|(at, session, kind, engagement_ms, path, properties)| {
        let mut event = Event::new(kind, at, VisitorId(session / 2), SessionId(session));
        event.engagement_ms = engagement_ms;
        event.dimensions.set(Dimension::Path, &path);
        event.dimensions.set(Dimension::Properties, &properties);
        event
    });
    (prop::collection::vec(event, 0..12), any::<bool>()).prop_map(|(mut events, can_be)| {
        for (event, number) in events.iter_mut().zip(0..).filter(|_| can_be) {
            event.session = SessionId(number);
        }
        events
    })
}

fn any_zone() -> impl Strategy<Value = Zone> + Clone {
    prop::sample::select(vec!["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"])
        .prop_map(|name| name.parse().unwrap())
}

fn any_interval() -> impl Strategy<Value = Interval> + Clone {
    prop::sample::select(vec![Interval::Hour, Interval::Day, Interval::Week, Interval::Month])
}

fn any_condition() -> impl Strategy<Value = Filter> {
    let field = prop::sample::select(vec![Field::from(Dimension::Path), Field::EntryPage, Field::property("")]);
    let values = prop::collection::vec("[\\PC(\\[{*+?\\\\]{0,6}", 0..3);
    (field, prop::sample::select(Operator::ALL), values)
        .prop_map(|(field, operator, values)| Condition::new(field, operator, values).into())
}

fn any_question() -> impl Strategy<Value = Question> {
    let after = prop::option::of((any_time(), any::<u64>()).prop_map(|(at, id)| (at, VisitorId(id))));
    let order = prop::sample::select(vec![Order::Visitors, Order::Pageviews, Order::Sessions, Order::Events]);
    prop_oneof![
        Just(Question::Overview),
        (any_interval(), any_zone()).prop_map(|(interval, zone)| Question::Series { interval, zone }),
        (any_number(), any_number(), order).prop_map(|(limit, offset, order)| {
            let metrics = [Metric::Sessions, Metric::Title, Metric::TimeOnPage];
            let by = GroupBy::by(Dimension::Path).metrics(metrics).order(order);
            Question::Breakdown(by.limit(limit).offset(offset))
        }),
        Just(Question::Live),
        (any_number(), any_number(), after).prop_map(|(limit, offset, after)| Question::Visitors {
            limit,
            offset,
            after
        }),
        (any_number(), any_number()).prop_map(|(limit, offset)| Question::Events { limit, offset }),
    ]
}

/// Enough for everything but a series over centuries.
fn budget() -> Budget {
    Budget::new(Duration::from_secs(5), 4 << 20)
}

/// A filter of so many levels, each in one of the ways in which a filter can be in another.
fn nested(levels: usize, ways: &[u8]) -> Filter {
    let path = Condition::new(Dimension::Path, Operator::Is, ["/"]).into();
    (1..levels).zip(ways.iter().cycle()).fold(path, |filter: Filter, (_, way)| match way % 4 {
        0 => Filter::Not(Box::new(filter)),
        1 => filter.in_session(),
        2 => Filter::All(vec![filter]),
        _ => Filter::Any(vec![Filter::Kind(EventKind::Click), filter]),
    })
}

/// Around the limit, and far beyond any stack.
fn any_levels() -> impl Strategy<Value = usize> + Clone {
    prop_oneof![4 => 1..2 * Filter::DEPTH_MAX, 2 => Filter::DEPTH_MAX - 2..=Filter::DEPTH_MAX + 1, 1 => Just(100_000)]
}

proptest! {
    /// Sabotage: take the limit out, or look at the filter alone and not at the steps.
    #[test]
    fn a_filter_of_any_depth_is_answered_or_refused(
        levels in any_levels(),
        of_steps in prop::collection::vec(any_levels(), 0..3),
        is_funnel in any::<bool>(),
        question in any_question(),
        ways in prop::collection::vec(any::<u8>(), 1..5),
        range in any_range(),
    ) {
        let of_steps = if is_funnel { of_steps } else { Vec::new() };
        let steps = of_steps.iter().map(|&levels| nested(levels, &ways)).collect();
        let question = if is_funnel { Question::Funnel { steps } } else { question };
        let query = Query::new(range, question).filter(nested(levels, &ways));
        let _ = time_needed(&query);
        let deepest = of_steps.into_iter().fold(levels, usize::max);
        let is_too_deep = deepest > Filter::DEPTH_MAX - usize::from(is_funnel);
        let answer = MemoryDataset::new(&[]).answer(&query, &budget());
        prop_assert_eq!(answer == Err(QueryError::FilterTooDeep), is_too_deep, "{} levels", deepest);
        prop_assert_eq!(serde_json::to_string(&query).is_err(), levels.max(deepest) > Filter::DEPTH_MAX);
    }

    #[test]
    fn no_question_panics(
        events in any_events(),
        range in any_range(),
        question in any_question(),
        filter in prop_oneof![any_condition(), any_filter(&[None])],
    ) {
        let memory = MemoryDataset::new(&events);
        let query = Query::new(range, question).filter(filter);
        let _ = time_needed(&query);
        match memory.answer(&query, &budget()) {
            Err(QueryError::Session(_)) => prop_assert!(!are_of_sessions(&events)),
            answer => {
                prop_assert!(are_of_sessions(&events));
                prop_assert!(answer.is_ok() || matches!(query.question, Question::Series { .. }), "{query:?}");
            }
        }
    }

    #[test]
    fn no_comparison_panics(
        events in any_events(),
        range in any_range(),
        other in any_range(),
        zone in any_zone(),
        interval in any_interval(),
    ) {
        let memory = MemoryDataset::new(&events);
        for with in [Baseline::PreviousPeriod, Baseline::PreviousYear, Baseline::Range(other)] {
            let comparison = Comparison::new(range, with, zone.clone());
            let _ = comparison.overview(|query| memory.answer(query, &budget())).map(|totals| totals.changes());
            let _ = comparison.series(interval, |query| memory.answer(query, &budget()));
            let by = GroupBy::by(Dimension::Path);
            let _ = comparison.breakdown(&by, |query| memory.answer(query, &budget()));
        }
    }

    #[test]
    fn the_last_days_are_found_from_any_time(now in any_time(), days in any::<u32>(), zone in any_zone()) {
        let memory = MemoryDataset::new(&[]);
        let asked = memory.ask(now).last_days(days, &zone).overview();
        let range = asked.query().range;
        prop_assert!(range.from <= range.to || now == Timestamp::from_millis(i64::MAX), "{range:?}");
        prop_assert_eq!(asked.wait().unwrap().metrics.visitors, 0);
        let _ = memory.ask(now).last_days(days, &zone).budget(budget()).series(Interval::Month, &zone).wait();
    }

    #[test]
    fn no_string_panics_as_a_regular_expression(text in "\\PC{0,40}", symbols in "[(){}\\[\\]*+?.^$|\\\\a-c0-9,]{0,40}") {
        for text in [text, symbols] {
            let _ = check_regex(&text);
            let _ = (regex_ignoring_case(&text, true), regex_ignoring_case(&text, false));
        }
    }
}
