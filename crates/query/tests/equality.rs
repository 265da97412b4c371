//! Kernels and oracle give the same answer to every question on random events, chunks, ranges, filters and zones.

use proptest::prelude::*;
use zenovay_domain::{
    Dimension, Event, EventKind, Interval, SESSION_MAX_MS, SessionId, TimeRange, Timestamp, VisitorId, Zone,
};
use zenovay_query::{
    Budget, Condition, DatasetBuilder, Field, Filter, FilterLevel, GroupBy, MemoryDataset, Metric, Operator, Order,
    Query, Question, oracle,
};

const HOUR_MS: i64 = 3_600_000;

/// Around the night in which the clock is put forward in Berlin: 2026-03-29T01:00:00Z.
const EPOCH_MS: i64 = 1_774_746_000_000;

const SESSIONS: u64 = 12;

/// Every session has one visitor, a beginning, and a pace that keeps it within `SESSION_MAX_MS`.
fn session_facts(session: u64) -> (VisitorId, i64, i64) {
    let begins = EPOCH_MS + (session as i64 * 7 % 12 - 6) * 9 * HOUR_MS;
    let pace = [1, 60_000, HOUR_MS, SESSION_MAX_MS / 20][session as usize % 4];
    (VisitorId(1_000 - session % 5), begins, pace)
}

fn text(values: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(values)
}

const PATHS: &[&str] = &["", "/", "/a", "/a/b", "/blog/x", "/é"];
const PROPERTIES: &[&str] =
    &["", r#"{"plan":"pro"}"#, r#"{"n":1.5,"plan":"free"}"#, r#"{"n":true}"#, r#"{"plan":"pro","x":null}"#, "[]"];
const COUNTRIES: &[&str] = &["", "DE", "FR", "US"];
const BROWSERS: &[&str] = &["", "Chrome", "Firefox"];

fn event() -> impl Strategy<Value = Event> {
    (
        (0..SESSIONS, 0i64..=20, prop::sample::select(&[0u8, 0, 0, 0, 1, 1, 2, 3, 10][..])),
        (text(PATHS), text(&["", "Home", "Blog"]), text(PROPERTIES), text(&["", "signup"])),
        (text(COUNTRIES), text(BROWSERS), text(&["", "Linux"]), text(&["", "https://r.example"])),
        prop::sample::select(&[0u32, 0, 4_000, 9_999, 10_000][..]),
    )
        .prop_map(
            |(
                (session, step, kind),
                (path, title, properties, name),
                (country, browser, os, referrer),
                engagement_ms,
            )| {
                let (visitor, begins, pace) = session_facts(session);
                let at = Timestamp::from_millis(begins + step * pace);
                let kind = EventKind::from_code(kind).expect("a known kind");
                // Session codes are not in the order of ids.
                let mut event = Event::new(kind, at, visitor, SessionId(session.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
                event.engagement_ms = engagement_ms;
                if kind.is_event() {
                    for (dimension, value) in [
                        (Dimension::Path, path),
                        (Dimension::Title, title),
                        (Dimension::Properties, properties),
                        (Dimension::EventName, name),
                        (Dimension::Country, country),
                        (Dimension::Browser, browser),
                        (Dimension::Os, os),
                        (Dimension::Referrer, referrer),
                        (Dimension::City, country),
                        (Dimension::Device, os),
                    ] {
                        event.dimensions.set(dimension, value);
                    }
                }
                event
            },
        )
}

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![
        prop::sample::select(vec![
            Dimension::Path,
            Dimension::Title,
            Dimension::EventName,
            Dimension::Country,
            Dimension::Browser,
            Dimension::Os,
        ])
        .prop_map(Field::Dimension),
        Just(Field::EntryPage),
        Just(Field::ExitPage),
        text(&["plan", "n", "x"]).prop_map(|name| Field::Property(name.to_owned())),
    ]
}

fn operator() -> impl Strategy<Value = Operator> {
    prop::sample::select(vec![
        Operator::Is,
        Operator::IsNot,
        Operator::Contains,
        Operator::DoesNotContain,
        Operator::StartsWith,
        Operator::EndsWith,
        Operator::Matches,
        Operator::DoesNotMatch,
    ])
}

fn condition() -> impl Strategy<Value = Condition> {
    let value = text(&["", "/", "/a", "/a*", "*b*", "DE", "Chrome", "pro", "1.5", "true", "signup", "*"]);
    let level = prop::sample::select(vec![
        None,
        Some(FilterLevel::Event),
        Some(FilterLevel::Session),
        Some(FilterLevel::Visitor),
    ]);
    (field(), operator(), prop::collection::vec(value.prop_map(str::to_owned), 0..3), level)
        .prop_map(|(field, operator, values, level)| Condition { field, operator, values, level })
}

fn filter() -> impl Strategy<Value = Filter> {
    prop_oneof![
        2 => Just(Filter::default()),
        5 => condition().prop_map(Filter::Is).prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::All),
                prop::collection::vec(inner, 0..4).prop_map(Filter::Any),
            ]
        }),
    ]
}

fn breakdown() -> impl Strategy<Value = Question> {
    (
        field(),
        prop::option::of(field()),
        prop::sample::subsequence(vec![Metric::Sessions, Metric::Title, Metric::TimeOnPage], 0..=3),
        prop::sample::select(vec![Order::Visitors, Order::Pageviews, Order::Sessions, Order::Events]),
        prop::sample::select(vec![0usize, 1, 2, 3, 100, usize::MAX]),
        0usize..3,
        any::<bool>(),
    )
        .prop_map(|(field, and, metrics, order, limit, offset, include_empty)| {
            Question::Breakdown(GroupBy { field, and, metrics, order, limit, offset, include_empty })
        })
}

fn question() -> impl Strategy<Value = Question> {
    let interval = prop::sample::select(vec![Interval::Hour, Interval::Day, Interval::Week, Interval::Month]);
    let zone = text(&["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]);
    let after = prop::option::of((-60i64..60, 0u64..5)).prop_map(|after| {
        after.map(|(hours, id)| (Timestamp::from_millis(EPOCH_MS + hours * HOUR_MS), VisitorId(1_000 - id)))
    });
    prop_oneof![
        1 => Just(Question::Overview),
        1 => (interval, zone).prop_map(|(interval, zone)| Question::Series { interval, zone: zone.parse::<Zone>().expect("a known zone") }),
        4 => breakdown(),
        1 => Just(Question::Live),
        1 => (prop::sample::select(vec![0usize, 1, 2, 5, usize::MAX]), 0usize..3, after)
            .prop_map(|(limit, offset, after)| Question::Visitors { limit, offset, after }),
    ]
}

/// Instants near beginnings and paces of sessions, so that edges are hit exactly.
fn instant() -> impl Strategy<Value = i64> {
    prop_oneof![
        (0..SESSIONS, 0i64..=20, -1i64..=1).prop_map(|(session, step, off)| {
            let (_, begins, pace) = session_facts(session);
            begins + step * pace + off
        }),
        (0..SESSIONS, 0i64..=20, prop::sample::select(vec![299_999i64, 300_000, 300_001])).prop_map(
            |(session, step, off)| {
                let (_, begins, pace) = session_facts(session);
                begins + step * pace + off
            }
        ),
        (-80i64..80).prop_map(|hours| EPOCH_MS + hours * HOUR_MS),
    ]
}

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
        events in prop::collection::vec(event(), 0..60),
        lengths in prop::collection::vec(0usize..25, 0..5),
        queries in prop::collection::vec((instant(), instant(), filter(), question()), 1..8),
    ) {
        let dataset = in_chunks(&events, &lengths);
        for (from, to, filter, question) in queries {
            let (from, to) = (from.min(to), from.max(to));
            let range = TimeRange::new(Timestamp::from_millis(from), Timestamp::from_millis(to));
            let query = Query { range, filter, question };
            prop_assert_eq!(
                dataset.answer(&query, &Budget::unlimited()),
                Ok(oracle::answer(&events, &query)),
                "{:?}", query
            );
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
        let group_by =
            GroupBy { field, and, metrics, order: Order::Visitors, limit: 50, offset: 3, include_empty: true };
        Question::Breakdown(group_by)
    };
    let contains = |field, value: &str| {
        let values = vec![value.to_owned()];
        Filter::Is(Condition { field, operator: Operator::Contains, values, level: None })
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
        let query = Query { range, filter, question };
        let expected = Ok(oracle::answer(&events, &query));
        for dataset in &datasets {
            assert_eq!(dataset.answer(&query, &Budget::unlimited()), expected, "{query:?}");
        }
    }
}
