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
use zenovay_stats::{
    Ask, Bucket, Cursor, Dialect, Filters, Groups, Metric, Number, Property, Totals, filters_of_json, parse_filters,
};

const SESSIONS: Sessions = Sessions { count: 9, hours_apart: 5, visitors: 5 };

fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(SESSIONS.any_event(), 0..60)
}

fn goal() -> Filter {
    let field = Field::Dimension(Dimension::EventName);
    Filter::Is(Condition::new(field, Operator::Is, ["signup"]))
}

fn filters() -> impl Strategy<Value = Filters> {
    (any_filter(&[None]), any::<bool>()).prop_map(|(rest, with_goal)| {
        let mut filters = Filters::default();
        (filters.goals, filters.rest) = (with_goal.then(goal), rest);
        (filters.names_page, filters.names_event) = (true, with_goal);
        filters
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
    match oracle::answer(events, &Query::new(range, Question::Overview).filter(filter)) {
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
        let ask = Ask::new(range, filters.clone(), all_metrics());
        let totals = ask.aggregate(asker(&events, &memory)).unwrap();
        prop_assert_eq!(totals.metrics, overview(&events, range, filters.all()));
        let visits = overview(&events, range, filters.rest.clone()).sessions;
        prop_assert_eq!(totals.visits, if filters.goals.is_some() { visits } else { totals.metrics.sessions });
        rates_are_rates(&totals)?;
        prop_assert!(totals.new_visitors <= totals.metrics.visitors);
        let new = |range, interval| {
            let question = Question::NewVisitors { interval, zone: "Europe/Berlin".parse().unwrap() };
            let query = Query::new(range, question).filter(filters.all());
            oracle::answer(&events, &query).into_new_visitors().unwrap().points
        };
        prop_assert_eq!(totals.new_visitors, new(range, None)[0].visitors);

        let zone: Zone = "Europe/Berlin".parse().unwrap();
        let buckets: Vec<Bucket> = ask.timeseries(Interval::Day, &zone, asker(&events, &memory)).unwrap();
        for Bucket { bucket, totals, .. } in &buckets {
            // A bucket is a range of its own, but for conditions on visitors, of which there are none here.
            let inside = TimeRange::new(bucket.from.max(range.from), bucket.to.min(range.to));
            prop_assert_eq!(totals.metrics, overview(&events, inside, filters.all()));
            rates_are_rates(totals)?;
        }
        for point in new(range, Some(Interval::Day)) {
            let told = buckets.iter().find(|bucket| bucket.bucket == point.bucket).unwrap();
            prop_assert_eq!(told.totals.new_visitors, point.visitors);
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
        let ask = Ask::new(range, filters.clone(), all_metrics());
        let groups = Groups::by(property.clone()).order(order);
        let all = ask.breakdown(&groups, asker(&events, &memory)).unwrap();
        prop_assert_eq!(all.rows.len(), all.total_rows);
        let (mut read, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let after = cursor.take().map(|text| Cursor::decode(&text, "q").unwrap().after);
            let page = ask.breakdown(&groups.clone().limit(limit).after(after), asker(&events, &memory)).unwrap();
            prop_assert_eq!(page.total_rows, all.total_rows);
            let Some(last) = page.rows.last() else { break };
            cursor = Some(Cursor::new(range, last.place.clone()).encode("q"));
            read.extend(page.rows);
        }
        prop_assert_eq!(&read, &all.rows);

        for row in &all.rows {
            rates_are_rates(&row.totals)?;
            let of_row = Filter::Is(Condition::new(property.field(), Operator::Is, vec![row.value.clone()]));
            let counted = Filter::All(vec![ask.filter_of_rows(&groups.properties()), of_row.clone()]);
            prop_assert_eq!(row.totals.metrics, overview(&events, range, counted));
            let visits = match (property == Property::Goal, filters.goals.is_some()) {
                (true, _) => overview(&events, range, filters.rest.clone()).sessions,
                (false, true) => {
                    let mut all = ask.clone();
                    all.filters.goals = None;
                    let whole = Filter::All(vec![all.readable(&groups.properties()), of_row]);
                    overview(&events, range, whole).sessions
                }
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
    let ask = |filters: &str| {
        let filters = parse_filters(filters, Dialect::Own).unwrap();
        Ask::new(day(), filters, [Metric::ConversionRate, Metric::Events])
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
    let ask = Ask::new(day(), Filters::default(), [Metric::Events]);
    let rows = |name| {
        let groups = Groups::by(Property::parse(name, false).unwrap());
        let rows = ask.breakdown(&groups, asker(&events, &memory)).unwrap().rows;
        rows.into_iter().map(|row| (row.value, row.totals.metrics.events)).collect::<Vec<_>>()
    };
    assert_eq!(rows("event:props:email"), [(String::new(), 1)]);
    assert_eq!(rows("event:props:plan"), [("pro".to_owned(), 1)]);
}

/// Events in which visitor 1 tells that their plan is `gold`, and one of visitor 2 who has the plan `pro` of a product.
fn told_and_untold() -> [Event; 4] {
    let on = |kind, minute, visitor, name, properties| {
        let texts = [(Dimension::Path, "/"), (Dimension::EventName, name), (Dimension::Properties, properties)];
        event(kind, minute, visitor, &texts)
    };
    [
        on(EventKind::Identify, 0, 1, "", r#"{"plan":"gold"}"#),
        on(EventKind::Custom, 1, 1, "told", r#"{"plan":"gold","user_id":"u-1"}"#),
        on(EventKind::Goal, 2, 1, "Signup", ""),
        on(EventKind::Goal, 3, 2, "Signup", r#"{"plan":"pro","of":"\"user_id\":"}"#),
    ]
}

#[test]
fn what_people_told_about_themselves_is_in_no_pair_of_values() {
    let events = told_and_untold();
    let memory = MemoryDataset::new(&events);
    let metrics = vec![Metric::Events, Metric::ConversionRate];
    let plan = Property::parse("event:props:plan", false).unwrap();
    for filters in ["", "event:name!=zzz", "event:page==/", "event:goal==Signup", "event:goal==*"] {
        let ask = Ask::new(day(), parse_filters(filters, Dialect::Own).unwrap(), metrics.clone());
        for other in Property::names() {
            let other = Property::parse(other, false).unwrap();
            for (first, second) in [(&other, &plan), (&plan, &other)] {
                let groups = Groups::by(first.clone()).and(second.clone());
                let rows = ask.breakdown(&groups, asker(&events, &memory)).unwrap().rows;
                let told = rows.iter().any(|row| row.value == "gold" || row.and.as_deref() == Some("gold"));
                assert!(!told, "{filters}: {first:?} {second:?}: {rows:?}");
            }
        }
    }
    // The visits that conversions are a part of are not those of people with a trait either.
    let filters = parse_filters("event:goal==Signup", Dialect::Own).unwrap();
    let ask = Ask::new(day(), filters, metrics);
    let rows = ask.breakdown(&Groups::by(plan), asker(&events, &memory)).unwrap().rows;
    let visits: Vec<_> = rows.iter().map(|row| (row.value.as_str(), row.totals.visits)).collect();
    assert_eq!(visits, [("", 1), ("pro", 1)]);
}

#[test]
fn no_condition_tells_what_people_told_about_themselves() {
    let renamed = |events: [Event; 4]| {
        events.map(|mut event| {
            let properties = event.dimensions.get(Dimension::Properties).replace("gold", "silver");
            event.dimensions.set(Dimension::Properties, &properties);
            event
        })
    };
    let (events, others) = (told_and_untold(), renamed(told_and_untold()));
    let (memory, other_memory) = (MemoryDataset::new(&events), MemoryDataset::new(&others));
    let conditions = [
        serde_json::json!(["is", "event:props:plan", ["gold"]]),
        serde_json::json!(["is_not", "event:props:plan", ["gold"]]),
        serde_json::json!(["is_not", "event:props:plan", [""]]),
        serde_json::json!(["matches", "event:props:plan", ["^g"]]),
        serde_json::json!(["matches_not", "event:props:plan", ["^g"]]),
        serde_json::json!(["contains", "event:props:plan", ["GOL"], { "case_sensitive": false }]),
        serde_json::json!(["matches_wildcard_not", "event:props:plan", ["g*"]]),
        serde_json::json!(["starts_with", "event:props:plan", ["go"]]),
    ];
    let mut counts = Vec::new();
    for condition in &conditions {
        let mut at_visit = condition.clone();
        match at_visit.get_mut(3) {
            Some(modifiers) => modifiers["level"] = "visit".into(),
            None => at_visit.as_array_mut().unwrap().push(serde_json::json!({ "level": "visit" })),
        }
        let page = serde_json::json!(["is", "event:page", ["/x"]]);
        for (tree, dialect) in [
            (condition.clone(), Dialect::Own),
            (condition.clone(), Dialect::Plausible),
            (at_visit, Dialect::Own),
            (serde_json::json!(["not", condition]), Dialect::Plausible),
            (serde_json::json!(["or", [condition, page]]), Dialect::Own),
            (serde_json::json!(["has_done", condition]), Dialect::Plausible),
            (serde_json::json!(["has_not_done", ["or", [condition, page]]]), Dialect::Own),
        ] {
            let filters = filters_of_json(&serde_json::json!([tree]), dialect).unwrap();
            let ask = Ask::new(day(), filters, [Metric::Events]);
            let of_gold = ask.aggregate(asker(&events, &memory)).unwrap();
            assert_eq!(of_gold, ask.aggregate(asker(&others, &other_memory)).unwrap(), "{tree}");
            counts.push(of_gold.metrics.events);
        }
    }
    // The others are counted as ever: two events without a plan of `gold`, of all visits with one of them all events.
    assert_eq!(counts[..7], [0, 0, 0, 4, 0, 0, 4]);
    assert_eq!(counts[7..14], [2, 2, 4, 2, 2, 4, 0]);
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
        let ask = Ask::new(day(), filters, [Metric::Visitors, Metric::TimeOnPage]);
        let groups = Groups::by(Property::parse("page", true).unwrap());
        let rows = ask.breakdown(&groups, asker(&events, &memory)).unwrap().rows;
        rows.into_iter().map(|row| row.value).collect::<Vec<_>>()
    };
    assert_eq!(pages(""), ["/a"]);
    assert_eq!(pages("event:goal==Signup"), ["/b"]);
    // The same numbers as the query crate's own list.
    let by = GroupBy::by(Dimension::Path).metrics([Computed::TimeOnPage]);
    let query = Query::new(day(), Question::Breakdown(by)).filter(Filter::Kind(EventKind::Pageview));
    let Answer::Breakdown(listed) = oracle::answer(&events, &query) else { panic!("rows") };
    let ask = Ask::new(day(), parse_filters("event:page==/a", Dialect::Own).unwrap(), [Metric::TimeOnPage]);
    let totals = ask.aggregate(asker(&events, &memory)).unwrap();
    assert_eq!((totals.time_on_page_ms, totals.timed_pageviews), (listed.rows[0].time_on_page_ms, 1));
}
