//! Questions and answers as JSON: every question comes back as it went, and names are those of the wire.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};
use zenovay_domain::{Dimension, Event, EventKind, Interval, SessionId, TimeRange, Timestamp, VisitorId, Zone};
use zenovay_query::random::Sessions;
use zenovay_query::{
    Baseline, Comparison, Field, Filter, FilterLevel, MemoryDataset, Metric, Operator, Order, Query, Question, by,
    contains, is, is_any_of, is_not,
};

const SESSIONS: Sessions = Sessions { count: 13, hours_apart: 11, visitors: 6 };

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

proptest! {
    #[test]
    fn every_question_comes_back_as_it_went(query in SESSIONS.any_query()) {
        let text = serde_json::to_string(&query).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Query>(&text).unwrap(), &query, "{}", text);
        let comparison = Comparison::new(query.range, Baseline::Range(query.range), Zone::utc()).filter(query.filter);
        let text = serde_json::to_string(&comparison).unwrap();
        prop_assert_eq!(serde_json::from_str::<Comparison>(&text).unwrap(), comparison, "{}", text);
    }

    #[test]
    fn every_field_has_a_name_that_it_is_found_by(name in ".*") {
        let field = Field::property(&name);
        prop_assert_eq!(field.name().parse::<Field>(), Ok(field));
        match name.parse::<Field>() {
            Ok(field) => prop_assert_eq!(field.name(), name),
            Err(unknown) => prop_assert_eq!(unknown.name, name),
        }
    }
}

#[test]
fn names_are_those_of_the_wire() {
    for &dimension in Dimension::ALL {
        assert_eq!(serde_json::to_value(Field::from(dimension)).unwrap(), dimension.as_str());
    }
    assert_eq!(written(Field::EntryPage), "entry_page");
    assert_eq!(written(Field::property("plan")), "props:plan");
    assert_eq!(
        written([Order::Visitors, Order::Pageviews, Order::Sessions, Order::Events]),
        json!(["visitors", "pageviews", "visits", "events"])
    );
    assert_eq!(
        written([Metric::Sessions, Metric::Title, Metric::TimeOnPage]),
        json!(["visits", "title", "time_on_page"])
    );
    assert_eq!(written(Filter::from(EventKind::FormSubmission)), json!({ "kind": "form_submission" }));
    assert_eq!(written(Operator::DoesNotMatchRegex), "does_not_match_regex");
    assert_eq!(written(FilterLevel::Visitor), "visitor");
}

fn written(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

#[test]
fn a_question_is_short_and_what_is_wrong_in_it_is_named() {
    let range = TimeRange::new(at(5), at(9));
    let query =
        Query::new(range, Question::Breakdown(by(Dimension::Path).limit(10))).filter(is_not(Dimension::Path, "/"));
    let text = json!({
        "range": { "from": 5, "to": 9 },
        "filter": { "condition": { "field": "page", "operator": "is_not", "values": ["/"] } },
        "question": { "breakdown": { "field": "page", "limit": 10 } },
    });
    assert_eq!(serde_json::from_value::<Query>(text).unwrap(), query);
    let series =
        json!({ "range": { "from": 5, "to": 9 }, "question": { "series": { "interval": "day", "zone": "UTC" } } });
    let expected = Question::Series { interval: Interval::Day, zone: Zone::utc() };
    assert_eq!(serde_json::from_value::<Query>(series).unwrap(), Query::new(range, expected));
    for (question, word) in [
        (json!({ "breakdown": { "field": "pages" } }), "pages"),
        (json!({ "breakdown": { "field": "page", "limits": 3 } }), "limits"),
        (json!({ "series": { "interval": "day", "zone": "Mars/Olympus" } }), "Mars/Olympus"),
        (json!({ "series": { "interval": "second", "zone": "UTC" } }), "second"),
        (json!({ "visitors": { "after": { "visited_at": 3, "visitor": "7" } } }), "16 hexadecimal digits"),
        (json!("everything"), "everything"),
    ] {
        let query = json!({ "range": { "from": 5, "to": 9 }, "question": question });
        let error = serde_json::from_value::<Query>(query.clone()).unwrap_err().to_string();
        assert!(error.contains(word), "{query}: {error}");
    }
}

#[test]
fn answers_are_written_flat() {
    let mut event = Event::new(EventKind::Pageview, at(1_000), VisitorId(255), SessionId(7));
    event.dimensions.set(Dimension::Path, "/pricing");
    event.dimensions.set(Dimension::Country, "CA");
    let memory = MemoryDataset::new(&[event]);
    let ask = || memory.ask(at(2_000)).range(TimeRange::new(at(0), at(5_000)));
    let totals = json!({
        "visitors": 1, "pageviews": 1, "events": 1, "visits": 1, "bounces": 1, "duration_ms": 0, "value_score_sum": 10,
    });
    let overview = written(ask().overview().wait().unwrap());
    let mut expected = totals.clone();
    expected["value_score_sum"] = overview["value_score_sum"].clone();
    assert_eq!(overview, expected);

    let pages = written(ask().top(by(Dimension::Path).metrics([Metric::Title])).wait().unwrap());
    assert_eq!((&pages["total_rows"], &pages["total_visitors"]), (&json!(1), &json!(1)));
    let mut row = json!({ "value": "/pricing", "visitors": 1, "pageviews": 1, "events": 1 });
    assert_eq!(pages["rows"][0], row, "what was not asked for is not written");
    let pages = written(ask().top(by(Dimension::Path).metrics([Metric::Sessions])).wait().unwrap());
    for name in ["visits", "bounces", "duration_ms", "value_score_sum"] {
        row[name] = totals[name].clone();
    }
    row["value_score_sum"] = overview["value_score_sum"].clone();
    assert_eq!(pages["rows"][0], row);

    let visitors = written(ask().visitors(3).wait().unwrap());
    assert_eq!(visitors["visitors"][0]["visitor"], "00000000000000ff");

    let events = written(ask().events(3).wait().unwrap());
    assert_eq!(
        events,
        json!([{
            "at": 1_000, "kind": "pageview", "visitor": "00000000000000ff", "session": "0000000000000007",
            "page": "/pricing", "country": "CA",
        }])
    );
    let live = written(ask().live().wait().unwrap());
    assert_eq!(live, json!({ "visitors": 1 }));
    let series = written(ask().series(Interval::Day, &Zone::utc()).wait().unwrap());
    assert_eq!(series["points"][0]["bucket"], json!({ "from": 0, "to": 86_400_000 }));
    assert_eq!(series["points"][0]["visits"], 1);
}

#[test]
fn filters_are_said_in_words() {
    let filter = is(Dimension::Country, "CA").and(!contains(Dimension::Path, "/admin")).and(EventKind::Pageview);
    let Filter::All(parts) = &filter else { panic!("{filter:?}") };
    assert_eq!(parts.len(), 3);
    assert_eq!(!!filter.clone(), filter);
    let either = is_any_of(Dimension::Country, ["CA", "DE"]).or(is(Field::EntryPage, "/").in_session());
    assert!(matches!(&either, Filter::Any(parts) if parts.len() == 2));
}
