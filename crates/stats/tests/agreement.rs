//! What is asked through `Ask` is what the oracle says, and pages are all rows, each once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use zenovay_domain::{Dimension, Event, EventKind, Interval, SessionId, TimeRange, Timestamp, VisitorId, Zone};
use zenovay_query::random::{EPOCH_MS, Sessions, any_filter};
use zenovay_query::{
    Answer, Budget, Condition, Field, Filter, GroupBy, MemoryDataset, Metric as Computed, Operator, Order, Query,
    Question, oracle,
};
use zenovay_stats::{Ask, Bucket, Cursor, Dialect, Filters, Groups, Metric, Number, Property, Totals, parse_filters};

const SESSIONS: Sessions = Sessions { count: 9, hours_apart: 5, visitors: 5 };

fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(SESSIONS.any_event(), 0..60)
}

fn goal() -> Filter {
    let field = Field::Dimension(Dimension::EventName);
    Filter::Is(Condition { field, operator: Operator::Is, values: vec!["signup".to_owned()], level: None })
}

fn filters() -> impl Strategy<Value = Filters> {
    (any_filter(&[None]), any::<bool>()).prop_map(|(rest, with_goal)| Filters {
        goals: with_goal.then(goal),
        rest,
        names_page: true,
        names_event: with_goal,
    })
}

fn property() -> impl Strategy<Value = Property> {
    let names = [
        "event:goal",
        "event:page",
        "event:title",
        "visit:country",
        "visit:entry_page",
        "event:props:plan",
        "visit:os",
    ];
    prop::sample::select(names.to_vec()).prop_map(|name| Property::parse(name, false).unwrap())
}

/// Asks the kernels, which must agree with the oracle.
fn asker<'a>(
    events: &'a [Event],
    memory: &'a MemoryDataset,
) -> impl FnMut(&Query) -> Result<Answer, zenovay_query::QueryError> + 'a {
    move |query| {
        let answer = memory.answer(query, &Budget::unlimited())?;
        assert_eq!(answer, oracle::answer(events, query), "{query:?}");
        Ok(answer)
    }
}

fn overview(events: &[Event], range: TimeRange, filter: Filter) -> zenovay_query::MetricValues {
    match oracle::answer(events, &Query { range, filter, question: Question::Overview }) {
        Answer::Overview(overview) => overview.metrics,
        other => panic!("{other:?}"),
    }
}

fn all_metrics() -> Vec<Metric> {
    Metric::ALL.to_vec()
}

fn rates_are_rates(totals: &Totals) -> TestCaseResult {
    for &metric in Metric::ALL {
        match totals.number(metric) {
            Number::Rate(Some(rate)) => prop_assert!((0.0..=1.0).contains(&rate), "{metric}: {rate}"),
            Number::Mean(Some(mean)) => prop_assert!(mean >= 0.0, "{metric}: {mean}"),
            _ => {}
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn totals_and_series_are_those_of_the_oracle(
        events in events(), filters in filters(), range in SESSIONS.any_range(),
    ) {
        let memory = MemoryDataset::new(&events);
        let ask = Ask { range, filters: filters.clone(), metrics: all_metrics() };
        let totals = ask.aggregate(asker(&events, &memory)).unwrap();
        prop_assert_eq!(totals.metrics, overview(&events, range, filters.all()));
        let visits = overview(&events, range, filters.rest.clone()).sessions;
        prop_assert_eq!(totals.visits, if filters.goals.is_some() { visits } else { totals.metrics.sessions });
        rates_are_rates(&totals)?;

        let zone: Zone = "Europe/Berlin".parse().unwrap();
        let buckets: Vec<Bucket> = ask.timeseries(Interval::Day, &zone, asker(&events, &memory)).unwrap();
        for Bucket { bucket, totals } in &buckets {
            // A bucket is a range of its own, but for conditions on visitors, of which there are none here.
            let inside = TimeRange::new(bucket.from.max(range.from), bucket.to.min(range.to));
            prop_assert_eq!(totals.metrics, overview(&events, inside, filters.all()));
            rates_are_rates(totals)?;
        }
        let sum: u64 = buckets.iter().map(|bucket| bucket.totals.metrics.events).sum();
        prop_assert_eq!(sum, totals.metrics.events);
    }

    #[test]
    fn pages_of_rows_are_all_rows_and_each_row_is_what_a_filter_leaves(
        events in events(), filters in filters(), range in SESSIONS.any_range(), property in property(),
        order in prop::sample::select(vec![Order::Visitors, Order::Sessions, Order::Pageviews, Order::Events]),
        limit in 1usize..4,
    ) {
        let memory = MemoryDataset::new(&events);
        let ask = Ask { range, filters: filters.clone(), metrics: all_metrics() };
        let groups = Groups { order, ..Groups::by(property.clone()) };
        let all = ask.breakdown(&groups, asker(&events, &memory)).unwrap();
        prop_assert_eq!(all.rows.len(), all.total_rows);
        let (mut read, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let after = cursor.take().map(|text| Cursor::decode(&text, "q").unwrap().after);
            let page = ask.breakdown(&Groups { limit, after, ..groups.clone() }, asker(&events, &memory)).unwrap();
            prop_assert_eq!(page.total_rows, all.total_rows);
            let Some(last) = page.rows.last() else { break };
            cursor = Some(Cursor { range, after: last.place.clone() }.encode("q"));
            read.extend(page.rows);
        }
        prop_assert_eq!(&read, &all.rows);

        for row in &all.rows {
            rates_are_rates(&row.totals)?;
            let of_row = Filter::Is(Condition {
                field: property.field(), operator: Operator::Is, values: vec![row.value.clone()], level: None,
            });
            let counted = Filter::All(vec![ask.filter_of_rows(&property), of_row.clone()]);
            prop_assert_eq!(row.totals.metrics, overview(&events, range, counted));
            let visits = match (property == Property::Goal, filters.goals.is_some()) {
                (true, _) => overview(&events, range, filters.rest.clone()).sessions,
                (false, true) => overview(&events, range, Filter::All(vec![filters.rest.clone(), of_row])).sessions,
                (false, false) => row.totals.metrics.sessions,
            };
            prop_assert_eq!(row.totals.visits, visits);
        }
    }
}

fn event(kind: EventKind, minute: i64, visitor: u64, texts: &[(Dimension, &str)]) -> Event {
    let at = Timestamp::from_millis(EPOCH_MS + minute * 60_000);
    let mut event = Event::new(kind, at, VisitorId(visitor), SessionId(visitor));
    for &(dimension, text) in texts {
        event.dimensions.set(dimension, text);
    }
    event
}

fn day() -> TimeRange {
    let from = Timestamp::from_millis(EPOCH_MS);
    TimeRange::new(from, from.plus_millis(86_400_000))
}

#[test]
fn a_conversion_rate_is_of_visits_with_a_conversion() {
    let page = |minute, visitor, path| event(EventKind::Pageview, minute, visitor, &[(Dimension::Path, path)]);
    let signup = |minute, visitor| event(EventKind::Goal, minute, visitor, &[(Dimension::EventName, "Signup")]);
    // Two of four visits convert, one of them twice.
    let events =
        [page(0, 1, "/"), signup(1, 1), signup(2, 1), page(3, 2, "/"), signup(4, 2), page(5, 3, "/"), page(6, 4, "/x")];
    let memory = MemoryDataset::new(&events);
    let ask = |filters: &str| Ask {
        range: day(),
        filters: parse_filters(filters, Dialect::Own).unwrap(),
        metrics: vec![Metric::ConversionRate, Metric::Events],
    };
    let rate = |filters| ask(filters).aggregate(asker(&events, &memory)).unwrap().number(Metric::ConversionRate);
    assert_eq!(rate("event:goal==Signup"), Number::Rate(Some(0.5)));
    assert_eq!(rate("event:goal==Visit /x"), Number::Rate(Some(0.25)));
    assert_eq!(rate("event:goal==Signup|Visit /x"), Number::Rate(Some(0.75)));
    assert_eq!(rate("event:goal==Nothing"), Number::Rate(Some(0.0)));
    assert_eq!(rate("event:goal==Signup;visit:country==DE"), Number::Rate(None));
    let goals = ask("").breakdown(&Groups::by(Property::Goal), asker(&events, &memory)).unwrap();
    let told: Vec<_> = goals.rows.iter().map(|row| (&*row.value, row.totals.number(Metric::ConversionRate))).collect();
    assert_eq!(told, [("Signup", Number::Rate(Some(0.5)))]);
}

#[test]
fn what_people_told_about_themselves_is_in_no_list() {
    let mail = [(Dimension::Properties, r#"{"email":"a@example.com","plan":"pro"}"#)];
    let plan = [(Dimension::Properties, r#"{"plan":"pro"}"#)];
    let events = [event(EventKind::Identify, 0, 1, &mail), event(EventKind::Custom, 1, 2, &plan)];
    let memory = MemoryDataset::new(&events);
    let ask = Ask { range: day(), filters: Filters::default(), metrics: vec![Metric::Events] };
    let rows = |name| {
        let groups = Groups::by(Property::parse(name, false).unwrap());
        let rows = ask.breakdown(&groups, asker(&events, &memory)).unwrap().rows;
        rows.into_iter().map(|row| (row.value, row.totals.metrics.events)).collect::<Vec<_>>()
    };
    assert_eq!(rows("event:props:email"), [(String::new(), 1)]);
    assert_eq!(rows("event:props:plan"), [("pro".to_owned(), 1)]);
}

#[test]
fn a_page_is_listed_when_it_was_viewed_or_when_a_goal_was_reached_there() {
    let on = |kind, minute, texts: &[(Dimension, &str)]| event(kind, minute, 1, texts);
    let events = [
        on(EventKind::Pageview, 0, &[(Dimension::Path, "/a")]),
        on(EventKind::Goal, 1, &[(Dimension::Path, "/b"), (Dimension::EventName, "Signup")]),
    ];
    let memory = MemoryDataset::new(&events);
    let pages = |filters: &str| {
        let filters = parse_filters(filters, Dialect::Own).unwrap();
        let ask = Ask { range: day(), filters, metrics: vec![Metric::Visitors, Metric::TimeOnPage] };
        let groups = Groups::by(Property::parse("page", true).unwrap());
        let rows = ask.breakdown(&groups, asker(&events, &memory)).unwrap().rows;
        rows.into_iter().map(|row| row.value).collect::<Vec<_>>()
    };
    assert_eq!(pages(""), ["/a"]);
    assert_eq!(pages("event:goal==Signup"), ["/b"]);
    // The same numbers as the query crate's own list.
    let by = GroupBy::by(Dimension::Path).metrics([Computed::TimeOnPage]);
    let query = Query { range: day(), filter: Filter::Kind(EventKind::Pageview), question: Question::Breakdown(by) };
    let Answer::Breakdown(listed) = oracle::answer(&events, &query) else { panic!("rows") };
    let ask = Ask {
        range: day(),
        filters: parse_filters("event:page==/a", Dialect::Own).unwrap(),
        metrics: vec![Metric::TimeOnPage],
    };
    let totals = ask.aggregate(asker(&events, &memory)).unwrap();
    assert_eq!((totals.time_on_page_ms, totals.timed_pageviews), (listed.rows[0].time_on_page_ms, 1));
}
