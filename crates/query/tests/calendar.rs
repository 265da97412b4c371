//! Series by hour, day, week and month where clocks change and where offsets are not whole hours, asked of the oracle and
//! of the kernels and held against a calendar of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use zenovay_domain::{Event, EventKind, Interval, SessionId, TimeRange, Timestamp, VisitorId, Zone};
use zenovay_query::{Answer, Budget, MemoryDataset, Query, QueryError, Question, SeriesPoint, oracle};

const HOUR_MS: i64 = 3_600_000;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn view(at: Timestamp, number: u64) -> Event {
    Event::new(EventKind::Pageview, at, VisitorId(number), SessionId(number))
}

fn series(events: &[Event], range: TimeRange, interval: Interval, zone: &str) -> Vec<SeriesPoint> {
    let question = Question::Series { interval, zone: zone.parse().unwrap() };
    let query = Query::new(range, question);
    let answer = oracle::answer(events, &query);
    assert_eq!(MemoryDataset::new(events).answer(&query, &Budget::unlimited()).as_ref(), Ok(&answer));
    match answer {
        Answer::Series(series) => series.points,
        other => panic!("{other:?}"),
    }
}

/// One event at the first and one at the last instant of each bucket: the starts of the buckets and the events in each.
fn check(zone: &str, interval: Interval, starts: &[&str]) {
    let starts: Vec<Timestamp> = starts.iter().map(|text| at(text)).collect();
    let range = TimeRange::new(starts[0], *starts.last().unwrap());
    let edges = starts.iter().flat_map(|start| [start.plus_millis(-1), *start]);
    let events: Vec<Event> = edges.zip(1..).map(|(at, number)| view(at, number)).collect();
    let points = series(&events, range, interval, zone);
    let found: Vec<String> = points.iter().map(|point| point.bucket.from.to_string()).collect();
    let expected: Vec<String> = starts[..starts.len() - 1].iter().map(Timestamp::to_string).collect();
    assert_eq!(found, expected, "{zone} {interval:?}");
    for point in points {
        let metrics = point.metrics;
        assert_eq!((metrics.visitors, metrics.pageviews, metrics.sessions), (2, 2, 2), "{zone} {interval:?} {point:?}");
    }
}

/// Sabotage: take the range as it is in `series_buckets`, or leave out `series_of`.
#[test]
fn a_series_of_all_time_is_as_long_as_its_events() {
    let events = [view(at("2026-03-01T12:00:00Z"), 1), view(at("2026-03-03T12:00:00Z"), 2)];
    let starts = |range, interval| -> Vec<String> {
        series(&events, range, interval, "UTC").iter().map(|point| point.bucket.from.to_string()).collect()
    };
    let days = ["2026-03-01T00:00:00.000Z", "2026-03-02T00:00:00.000Z", "2026-03-03T00:00:00.000Z"];
    assert_eq!(starts(TimeRange::ALL, Interval::Day), days);
    assert_eq!(starts(TimeRange::ALL, Interval::Hour).len(), 49);
    assert_eq!(starts(TimeRange::new(Timestamp::MIN, at("2026-03-05T00:00:00Z")), Interval::Day).len(), 4);
    assert_eq!(starts(TimeRange::new(at("2026-02-28T00:00:00Z"), Timestamp::MAX), Interval::Day).len(), 4);
    let memory = MemoryDataset::new(&events);
    let asked = memory.ask(at("2026-03-09T00:00:00Z"));
    let chosen = asked.clone().filter(EventKind::Click).series(Interval::Hour, &Zone::utc()).wait();
    assert_eq!(chosen.unwrap().points, [], "none of them is chosen");
    assert_eq!(asked.series(Interval::Day, &Zone::utc()).wait().unwrap().points.len(), 3);
}

/// Sabotage: make the buckets without looking at the budget.
#[test]
fn buckets_are_made_within_the_time_of_the_query() {
    let all = TimeRange::new(Timestamp::from_millis(i64::MIN + 1), Timestamp::from_millis(i64::MAX - 1));
    let query = Query::new(all, Question::Series { interval: Interval::Hour, zone: Zone::utc() });
    let budget = Budget::new(Duration::from_millis(100), usize::MAX);
    assert_eq!(MemoryDataset::new(&[]).answer(&query, &budget), Err(QueryError::TimeExceeded));
}

#[test]
fn days_have_23_25_or_24_and_a_half_hours() {
    check(
        "Europe/Berlin",
        Interval::Day,
        &["2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z"],
    );
    check(
        "Europe/Berlin",
        Interval::Day,
        &["2026-10-23T22:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "2026-10-26T23:00:00Z"],
    );
    // Lord Howe Island moves its clock by half an hour: from +11:00 to +10:30 on 2026-04-05, back on 2026-10-04.
    check(
        "Australia/Lord_Howe",
        Interval::Day,
        &["2026-04-03T13:00:00Z", "2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z", "2026-04-06T13:30:00Z"],
    );
    check(
        "Australia/Lord_Howe",
        Interval::Day,
        &["2026-10-02T13:30:00Z", "2026-10-03T13:30:00Z", "2026-10-04T13:00:00Z", "2026-10-05T13:00:00Z"],
    );
}

#[test]
fn days_begin_where_the_offset_says() {
    check("Asia/Kathmandu", Interval::Day, &["2026-06-12T18:15:00Z", "2026-06-13T18:15:00Z", "2026-06-14T18:15:00Z"]);
    check("Asia/Kolkata", Interval::Day, &["2026-06-12T18:30:00Z", "2026-06-13T18:30:00Z"]);
    // In Cairo the clock goes from 24:00 to 01:00 on 2026-04-24: the day begins at one.
    check("Africa/Cairo", Interval::Day, &["2026-04-22T22:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"]);
}

#[test]
fn hours_are_counted_from_midnight_also_where_an_hour_is_missing_or_comes_twice() {
    let hours = |from: &str, count: i64| -> Vec<String> {
        (0..=count).map(|hour| at(from).plus_millis(hour * HOUR_MS).to_string()).collect()
    };
    for (from, count) in [("2026-03-28T23:00:00Z", 23), ("2026-10-24T22:00:00Z", 25)] {
        let starts = hours(from, count);
        check("Europe/Berlin", Interval::Hour, &starts.iter().map(String::as_str).collect::<Vec<_>>());
    }
    // The 25th hour of a day of 24 and a half is half as long; the next day begins on time.
    let mut starts = hours("2026-04-04T13:00:00Z", 24);
    starts.extend(hours("2026-04-05T13:30:00Z", 3));
    check("Australia/Lord_Howe", Interval::Hour, &starts.iter().map(String::as_str).collect::<Vec<_>>());
    let starts = hours("2026-06-12T18:15:00Z", 30);
    check("Asia/Kathmandu", Interval::Hour, &starts.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn weeks_begin_on_monday_in_the_zone() {
    // 2026-03-30 and 2026-10-26 are Mondays, each after a change of the clock.
    check("Europe/Berlin", Interval::Week, &["2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z", "2026-04-05T22:00:00Z"]);
    check("Europe/Berlin", Interval::Week, &["2026-10-18T22:00:00Z", "2026-10-25T23:00:00Z", "2026-11-01T23:00:00Z"]);
    check("UTC", Interval::Week, &["2025-12-29T00:00:00Z", "2026-01-05T00:00:00Z"]);
}

#[test]
fn months_have_their_own_lengths() {
    check(
        "America/New_York",
        Interval::Month,
        &["2024-02-01T05:00:00Z", "2024-03-01T05:00:00Z", "2024-04-01T04:00:00Z", "2024-05-01T04:00:00Z"],
    );
    check("Asia/Kathmandu", Interval::Month, &["2023-12-31T18:15:00Z", "2024-01-31T18:15:00Z", "2024-02-29T18:15:00Z"]);
}

/// The name of the bucket that an instant is in, by the civil date of its zone.
fn bucket_name(zone: &Zone, interval: Interval, at: Timestamp) -> String {
    let date = zone.format_date(at);
    match interval {
        Interval::Hour => format!("{date} {}", at.millis_since(zone.day_start(zone.civil_day(at))) / HOUR_MS),
        Interval::Day => date,
        // 1970-01-01 was a Thursday.
        Interval::Week => ((zone.civil_day(at) + 3).div_euclid(7)).to_string(),
        _ => date[..7].to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(500), ..ProptestConfig::default() })]

    /// Around changes of clocks of several zones.
    #[test]
    fn every_event_is_in_the_bucket_of_its_civil_date(
        (name, change) in prop::sample::select(vec![
            ("Europe/Berlin", "2026-03-29T01:00:00Z"), ("Europe/Berlin", "2026-10-25T01:00:00Z"),
            ("America/New_York", "2026-03-08T07:00:00Z"), ("America/New_York", "2026-11-01T06:00:00Z"),
            ("America/St_Johns", "2026-11-01T04:30:00Z"), ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
            ("Africa/Cairo", "2026-04-23T22:00:00Z"), ("Africa/Cairo", "2026-10-29T21:00:00Z"),
            ("Asia/Kathmandu", "2024-02-29T18:15:00Z"), ("UTC", "2024-12-31T00:00:00Z"),
        ]),
        interval in prop::sample::select(vec![Interval::Hour, Interval::Day, Interval::Week, Interval::Month]),
        minutes in prop::collection::vec(-4_000i64..4_000, 1..40),
        from in -4_000i64..0,
        to in 0i64..4_000,
    ) {
        let zone: Zone = name.parse().unwrap();
        let place = |minutes: i64| at(change).plus_millis(minutes * 60_000);
        let events: Vec<Event> = minutes.iter().zip(1..).map(|(&minutes, number)| view(place(minutes), number)).collect();
        let range = TimeRange::new(place(from), place(to));
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        for event in events.iter().filter(|event| range.contains(event.at)) {
            *expected.entry(bucket_name(&zone, interval, event.at)).or_default() += 1;
        }
        let points = series(&events, range, interval, name);
        let mut names = Vec::new();
        for point in &points {
            // Both ends of a bucket are in it.
            let bucket = bucket_name(&zone, interval, point.bucket.from);
            prop_assert_eq!(&bucket, &bucket_name(&zone, interval, point.bucket.to.plus_millis(-1)));
            prop_assert_eq!(point.metrics.pageviews, expected.remove(&bucket).unwrap_or(0), "{}", bucket);
            names.push(bucket);
        }
        prop_assert!(expected.is_empty(), "{:?}", expected);
        let count = names.len();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), count, "a bucket comes twice");
    }
}
