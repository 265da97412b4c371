//! Comparisons with an earlier range, held against the oracle's answers to two questions and against a naive calendar that
//! walks from day to day.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use proptest::prelude::*;
use zenovay_domain::{
    Dimension, Event, EventKind, Interval, SessionId, TimeRange, Timestamp, VisitorId, Zone, parse_date,
};
use zenovay_query::{
    Answer, Baseline, BreakdownRow, Budget, Change, Compared, Comparison, Condition, Field, Filter, GroupBy,
    MemoryDataset, Metric, MetricValues, Operator, Order, Query, Question, oracle,
};

const HOUR_MS: i64 = 3_600_000;

fn zone(name: &str) -> Zone {
    name.parse().unwrap()
}

/// The first instant of a civil day.
fn start(zone: &Zone, date: &str) -> Timestamp {
    zone.day_start(parse_date(date).unwrap())
}

fn pageview(at: Timestamp, visitor: u64, path: &str) -> Event {
    let session = SessionId(at.as_millis().cast_unsigned() ^ visitor << 50);
    let mut event = Event::new(EventKind::Pageview, at, VisitorId(visitor), session);
    event.dimensions.set(Dimension::Path, path);
    event
}

fn by_path(limit: usize, offset: usize) -> GroupBy {
    GroupBy::by(Dimension::Path).metrics([Metric::Sessions]).limit(limit).offset(offset).without_empty()
}

fn everything(range: TimeRange, with: Baseline, zone: &Zone) -> Comparison {
    Comparison::new(range, with, zone.clone())
}

/// A day with 25 hours against the day before: visitors of its last hour belong to it, and the hours pair up.
#[test]
fn a_day_of_25_hours_is_compared_with_the_day_before() {
    let berlin = zone("Europe/Berlin");
    let (saturday, sunday, monday) =
        (start(&berlin, "2026-10-24"), start(&berlin, "2026-10-25"), start(&berlin, "2026-10-26"));
    assert_eq!(monday.millis_since(sunday), 25 * HOUR_MS);
    let events = [
        pageview(saturday, 1, "/"),
        pageview(sunday.plus_millis(-1), 2, "/"),
        pageview(sunday, 1, "/"),
        pageview(monday.plus_millis(-1), 3, "/"),
        pageview(monday.plus_millis(-2), 4, "/"),
        pageview(monday, 9, "/"),
    ];
    let memory = MemoryDataset::new(&events);
    let comparison = everything(TimeRange::new(sunday, monday), Baseline::PreviousPeriod, &berlin);
    let ask = |query: &Query| memory.answer(query, &Budget::unlimited());
    let totals = comparison.overview(ask).unwrap();
    assert_eq!((totals.current.visitors, totals.earlier.visitors), (3, 2));
    assert_eq!(totals.changes().visitors, Change { absolute: 1, relative: Some(0.5) });
    let hours = comparison.series(Interval::Hour, ask).unwrap().points;
    assert_eq!(hours.len(), 25);
    assert_eq!(hours[24].earlier, None, "the 25th hour has no partner");
    assert_eq!(hours[24].changes(), None);
    assert_eq!(hours[23].changes().unwrap().pageviews, Change { absolute: -1, relative: Some(-1.0) });
    assert_eq!(hours[0].changes().unwrap().pageviews, Change { absolute: 0, relative: Some(0.0) });
}

#[test]
fn a_month_is_compared_with_the_whole_month_before_or_a_year_before() {
    let berlin = zone("Europe/Berlin");
    let month = |from: &str, to: &str| TimeRange::new(start(&berlin, from), start(&berlin, to));
    let march = month("2024-03-01", "2024-04-01");
    let mut events = vec![pageview(march.from, 1, "/"), pageview(march.to.plus_millis(-1), 2, "/")];
    let february = month("2024-02-01", "2024-03-01");
    events.push(pageview(february.from.plus_millis(-1), 3, "/"));
    events.extend((0..29).map(|day| pageview(february.from.plus_millis(day * 24 * HOUR_MS), 10, "/")));
    events.push(pageview(start(&berlin, "2023-03-31"), 4, "/"));
    let memory = MemoryDataset::new(&events);
    let ask = |query: &Query| memory.answer(query, &Budget::unlimited());
    let before = everything(march, Baseline::PreviousPeriod, &berlin);
    assert_eq!(before.earlier_range(), february);
    let totals = before.overview(ask).unwrap();
    assert_eq!((totals.current.pageviews, totals.earlier.pageviews), (2, 29));
    let days = before.series(Interval::Day, ask).unwrap().points;
    assert_eq!((days.len(), days[28].earlier.is_some(), days[29].earlier), (31, true, None));
    let year = everything(march, Baseline::PreviousYear, &berlin).overview(ask).unwrap();
    assert_eq!((year.current.visitors, year.earlier.visitors), (2, 1));
    // 2023-02 has no events: counts have a difference but no fraction, and there is no rate to compare with.
    let leap = everything(february, Baseline::PreviousYear, &berlin).overview(ask).unwrap().changes();
    assert_eq!(leap.pageviews, Change { absolute: 29, relative: None });
    assert_eq!(leap.bounce_rate, None);
}

#[test]
fn rows_have_their_partner_also_beyond_the_page_and_zeros_without_one() {
    let utc = Zone::utc();
    let (before, day, after) = (start(&utc, "2026-06-12"), start(&utc, "2026-06-13"), start(&utc, "2026-06-14"));
    let mut events = vec![pageview(day, 1, "/new"), pageview(day, 2, "/a"), pageview(day.plus_millis(1), 3, "/a")];
    // "/a" is the last of a hundred rows of the day before.
    events.extend((0..100).flat_map(|n| (0..2).map(move |v| pageview(before.plus_millis(n), v, &format!("/old/{n}")))));
    events.push(pageview(before, 7, "/a"));
    let memory = MemoryDataset::new(&events);
    let comparison = everything(TimeRange::new(day, after), Baseline::PreviousPeriod, &utc);
    let ask = |query: &Query| memory.answer(query, &Budget::unlimited());
    let compared = comparison.breakdown(&by_path(10, 0), ask).unwrap();
    let told: Vec<_> = compared
        .rows
        .iter()
        .map(|row| (row.current.value.as_str(), row.current.metrics.visitors, row.earlier.metrics.visitors))
        .collect();
    assert_eq!(told, [("/a", 2, 1), ("/new", 1, 0)]);
    assert_eq!(compared.rows[0].changes().visitors, Change { absolute: 1, relative: Some(1.0) });
    assert_eq!(compared.rows[1].changes().visitors, Change { absolute: 1, relative: None });
    assert_eq!(compared.total_rows, Compared { current: 2, earlier: 101 });
    assert_eq!(compared.total_visitors, Compared { current: 3, earlier: 3 });
    // Of the hundred rows of the day before only the partners are asked for.
    let mut asked = Vec::new();
    let first = comparison.breakdown(&by_path(1, 0), |query| {
        let answer = ask(query);
        if let Ok(Answer::Breakdown(breakdown)) = &answer {
            asked.push((breakdown.rows.len(), breakdown.total_rows));
        }
        answer
    });
    assert_eq!((first.unwrap().rows, asked), (vec![compared.rows[0].clone()], vec![(1, 2), (1, 101)]));
    let second = comparison.breakdown(&by_path(1, 1), ask).unwrap();
    assert_eq!(second.rows, [compared.rows[1].clone()]);
}

/// The earlier range as somebody with a calendar on the wall finds it, day by day.
fn naive_earlier(comparison: &Comparison) -> TimeRange {
    let (zone, range) = (&comparison.zone, comparison.range);
    let first = zone.civil_day(range.from);
    let whole_start = zone.day_start(first) == range.from;
    let mut end = first;
    while zone.day_start(end) < range.to {
        end += 1;
    }
    let whole = whole_start && zone.day_start(end) == range.to && range.from < range.to;
    let date = |day: i32| zone.format_date(zone.day_start(day));
    let is_first = |day: i32| date(day).ends_with("-01");
    let months = whole && is_first(first) && is_first(end);
    match comparison.with {
        Baseline::Range(range) => range,
        Baseline::PreviousPeriod if months => {
            let mut left = (first..end).filter(|&day| is_first(day)).count();
            let mut day = first;
            while left > 0 {
                day -= 1;
                left -= usize::from(is_first(day));
            }
            TimeRange::new(zone.day_start(day), range.from)
        }
        Baseline::PreviousPeriod if whole_start && range.from < range.to => {
            let from = zone.day_start(first - (end - first));
            let part = from.plus_millis(range.duration_ms()).min(range.from);
            TimeRange::new(from, if whole { range.from } else { part })
        }
        Baseline::PreviousPeriod => TimeRange::new(range.from.plus_millis(-range.duration_ms()), range.from),
        Baseline::PreviousYear => {
            let year_before = |day: i32| {
                let text = date(day);
                let (year, rest) = text.split_once('-').unwrap();
                let rest = if rest == "02-29" { "02-28" } else { rest };
                let wanted = format!("{:04}-{rest}", year.parse::<i32>().unwrap() - 1);
                (day - 368..day).find(|&day| date(day) == wanted).unwrap()
            };
            let from = zone.day_start(year_before(first));
            if whole {
                let end = if months { year_before(end) } else { year_before(end - 1) + 1 };
                return TimeRange::new(from, zone.day_start(end));
            }
            let into_the_day = range.from.millis_since(zone.day_start(first));
            let from = from.plus_millis(into_the_day);
            TimeRange::new(from, from.plus_millis(range.duration_ms()))
        }
        with => panic!("not told here: {with:?}"),
    }
}

#[derive(Debug, Clone)]
struct Case {
    comparison: Comparison,
    events: Vec<Event>,
    interval: Interval,
    by: GroupBy,
}

fn case() -> impl Strategy<Value = Case> {
    // Around the leap day of 2024 and the years beside it.
    let zone = prop::sample::select(vec!["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"]);
    let baseline = prop::sample::select(vec![Baseline::PreviousPeriod, Baseline::PreviousYear]);
    let length = prop_oneof![
        (1i32..40).prop_map(|days| (days, 0)),
        (0i32..3, 1i64..23).prop_map(|(days, hours)| (days, hours)),
        prop::sample::select(vec![(29, 0), (30, 0), (31, 0), (90, 0), (91, 0), (365, 0), (366, 0)]),
    ];
    let first = prop_oneof![
        19_600i32..20_200,
        prop::sample::select(vec![19_723, 19_754, 19_782, 19_783, 19_814, 20_089, 20_120])
    ];
    let event = (0i64..4_000, 0u64..6, 0usize..4, any::<bool>());
    (
        (zone, baseline, first, length, prop::sample::select(vec![0i64, 0, 10])),
        prop::collection::vec(event, 0..50),
        prop::sample::select(vec![Interval::Hour, Interval::Day, Interval::Week, Interval::Month]),
        (prop::sample::select(vec![1usize, 3, usize::MAX]), 0usize..2, any::<bool>(), any::<bool>()),
    )
        .prop_map(
            |((zone, with, first, (days, hours), begins), events, interval, (limit, offset, filtered, by_sessions))| {
                let zone: Zone = zone.parse().unwrap();
                // The naive calendar adds hours to a midnight: not on a day with more or fewer than 24, nor a year after one.
                let is_plain = |day| zone.day_start(day + 1).millis_since(zone.day_start(day)) == 24 * HOUR_MS;
                let begins = if [first, first - 365, first - 366].into_iter().all(is_plain) { begins } else { 0 };
                let from = zone.day_start(first).plus_millis(begins * HOUR_MS);
                let to = zone.day_start(first + days).plus_millis((begins + hours) * HOUR_MS);
                let filter = Filter::Is(Condition::new(
                    Field::Dimension(Dimension::Path),
                    Operator::IsNot,
                    vec!["/b".to_owned()],
                ));
                let filter = if filtered { filter } else { Filter::default() };
                let comparison = Comparison::new(TimeRange::new(from, to), with, zone).filter(filter);
                let earlier = naive_earlier(&comparison);
                let events = events
                    .into_iter()
                    .map(|(place, visitor, path, now)| {
                        // In, and a little before and after, one of the two ranges.
                        let range = if now { comparison.range } else { earlier };
                        let at = range.from.plus_millis(range.duration_ms() / 3_600 * (place - 200));
                        pageview(at, visitor, ["/", "/a", "/b", "/c"][path])
                    })
                    .collect();
                let by = match by_sessions {
                    true => by_path(limit, offset).metrics([]).order(Order::Sessions),
                    false => by_path(limit, offset),
                };
                Case { comparison, events, interval, by }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(400), ..ProptestConfig::default() })]

    #[test]
    fn a_comparison_is_two_answers_of_the_oracle(case in case()) {
        let Case { comparison, events, interval, by } = case;
        let earlier = naive_earlier(&comparison);
        prop_assert_eq!(comparison.earlier_range(), earlier, "{:?}", comparison);

        let memory = MemoryDataset::new(&events);
        let ask = |query: &Query| memory.answer(query, &Budget::unlimited());
        let answer = |range, question| oracle::answer(&events, &Query::new(range, question).filter(comparison.filter.clone()));
        let metrics = |range| match answer(range, Question::Overview) {
            Answer::Overview(overview) => overview.metrics,
            other => panic!("{other:?}"),
        };
        let totals = comparison.overview(ask).unwrap();
        prop_assert_eq!(totals, Compared { current: metrics(comparison.range), earlier: metrics(earlier) });
        let changes = totals.changes();
        let naive = |current: u64, earlier: u64| (current as i64 - earlier as i64, current as f64 / earlier as f64 - 1.0);
        for (change, of) in [
            (changes.visitors, (|m| m.visitors) as fn(&MetricValues) -> u64),
            (changes.pageviews, |m| m.pageviews),
            (changes.events, |m| m.events),
            (changes.sessions, |m| m.sessions),
        ] {
            let (absolute, relative) = naive(of(&totals.current), of(&totals.earlier));
            prop_assert_eq!(change.absolute, absolute);
            prop_assert_eq!(change.relative.is_some(), of(&totals.earlier) > 0);
            prop_assert!(change.relative.is_none_or(|change| (change - relative).abs() < 1e-9));
        }

        let points = |range| match answer(range, Question::Series { interval, zone: comparison.zone.clone() }) {
            Answer::Series(series) => series.points,
            other => panic!("{other:?}"),
        };
        let series = comparison.series(interval, ask).unwrap();
        let (current, before): (Vec<_>, Vec<_>) = series.points.iter().map(|point| (point.current, point.earlier)).unzip();
        prop_assert_eq!(current.into_iter().flatten().collect::<Vec<_>>(), points(comparison.range));
        prop_assert_eq!(before.into_iter().flatten().collect::<Vec<_>>(), points(earlier));

        let rows = |range, by| match answer(range, Question::Breakdown(by)) {
            Answer::Breakdown(breakdown) => breakdown,
            other => panic!("{other:?}"),
        };
        let compared = comparison.breakdown(&by, ask).unwrap();
        let (now, all) = (rows(comparison.range, by.clone()), rows(earlier, by.clone().limit(usize::MAX).offset(0)));
        prop_assert_eq!(compared.total_rows, Compared { current: now.total_rows, earlier: all.total_rows });
        prop_assert_eq!(compared.total_visitors, Compared { current: now.total_visitors, earlier: all.total_visitors });
        prop_assert_eq!(compared.rows.len(), now.rows.len());
        for (pair, row) in compared.rows.iter().zip(&now.rows) {
            let mut zeros = BreakdownRow::default();
            zeros.value.clone_from(&row.value);
            prop_assert_eq!(&pair.current, row);
            prop_assert_eq!(&pair.earlier, all.rows.iter().find(|other| other.value == row.value).unwrap_or(&zeros));
        }
    }
}
