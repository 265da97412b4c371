//! One test for each definition in the README. Every question is asked of the oracle and of the kernels, with the
//! events in one chunk and in chunks of two.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use zenovay_domain::{
    BOUNCE_ENGAGEMENT_MS, Dimension, Event, EventKind, Interval, LIVE_WINDOW_MS, SessionId, TimeRange, Timestamp,
    VisitorId, Zone, value_score,
};
use zenovay_query::{
    Answer, Breakdown, Budget, Condition, DatasetBuilder, Field, Filter, FilterLevel, GroupBy, MemoryDataset, Metric,
    MetricValues, Operator, Query, QueryError, Question, Series, VisitorPage, engine, oracle,
};

const PAGEVIEW: EventKind = EventKind::Pageview;
const HEARTBEAT: EventKind = EventKind::Heartbeat;
const CUSTOM: EventKind = EventKind::Custom;

fn event(kind: EventKind, at: i64, visitor: u64, session: u64) -> Event {
    Event::new(kind, Timestamp::from_millis(at), VisitorId(visitor), SessionId(session))
}

fn with(mut event: Event, texts: &[(Dimension, &str)]) -> Event {
    for &(dimension, text) in texts {
        event.dimensions.set(dimension, text);
    }
    event
}

fn page(at: i64, visitor: u64, session: u64, path: &str) -> Event {
    with(event(PAGEVIEW, at, visitor, session), &[(Dimension::Path, path)])
}

fn range(from: i64, to: i64) -> TimeRange {
    TimeRange::new(Timestamp::from_millis(from), Timestamp::from_millis(to))
}

fn ask(events: &[Event], from: i64, to: i64, filter: Filter, question: Question) -> Answer {
    let query = Query::new(range(from, to), question).filter(filter);
    let answer = oracle::answer(events, &query);
    let mut in_twos = DatasetBuilder::default();
    for pair in events.chunks(2) {
        pair.iter().for_each(|event| in_twos.push(event));
        in_twos.end_chunk();
    }
    for dataset in [MemoryDataset::new(events), in_twos.finish()] {
        assert_eq!(dataset.answer(&query, &Budget::unlimited()).as_ref(), Ok(&answer), "{query:?}");
    }
    answer
}

fn overview_of(events: &[Event], from: i64, to: i64, filter: Filter) -> MetricValues {
    match ask(events, from, to, filter, Question::Overview) {
        Answer::Overview(overview) => overview.metrics,
        other => panic!("{other:?}"),
    }
}

fn overview(events: &[Event], from: i64, to: i64) -> MetricValues {
    overview_of(events, from, to, Filter::default())
}

fn series(events: &[Event], from: i64, to: i64, interval: Interval, zone: &str) -> Series {
    let zone: Zone = zone.parse().unwrap();
    match ask(events, from, to, Filter::default(), Question::Series { interval, zone }) {
        Answer::Series(series) => series,
        other => panic!("{other:?}"),
    }
}

fn live(events: &[Event], now: i64) -> u64 {
    match ask(events, now, now, Filter::default(), Question::Live) {
        Answer::Live(live) => live.visitors,
        other => panic!("{other:?}"),
    }
}

fn by(field: Field) -> GroupBy {
    GroupBy::by(field).metrics([Metric::Sessions]).limit(100)
}

fn breakdown(events: &[Event], from: i64, to: i64, group_by: GroupBy) -> Breakdown {
    match ask(events, from, to, Filter::default(), Question::Breakdown(group_by)) {
        Answer::Breakdown(breakdown) => breakdown,
        other => panic!("{other:?}"),
    }
}

/// The value, visitors, pageviews and sessions of each row.
fn rows(breakdown: &Breakdown) -> Vec<(&str, u64, u64, u64)> {
    let row = |metrics: &MetricValues| (metrics.visitors, metrics.pageviews, metrics.sessions);
    breakdown
        .rows
        .iter()
        .map(|r| (r.value.as_str(), row(&r.metrics)))
        .map(|(value, (visitors, pageviews, sessions))| (value, visitors, pageviews, sessions))
        .collect()
}

fn visitors(
    events: &[Event],
    from: i64,
    to: i64,
    limit: usize,
    offset: usize,
    after: Option<(i64, u64)>,
) -> VisitorPage {
    let after = after.map(|(at, visitor)| (Timestamp::from_millis(at), VisitorId(visitor)));
    match ask(events, from, to, Filter::default(), Question::Visitors { limit, offset, after }) {
        Answer::Visitors(page) => page,
        other => panic!("{other:?}"),
    }
}

fn is(field: Field, value: &str, level: Option<FilterLevel>) -> Filter {
    Filter::Is(Condition::new(field, Operator::Is, [value]).at(level))
}

const PATH: Field = Field::Dimension(Dimension::Path);
const COUNTRY: Field = Field::Dimension(Dimension::Country);

#[test]
fn ranges_are_half_open() {
    let events =
        [event(PAGEVIEW, 99, 1, 1), event(PAGEVIEW, 100, 2, 2), event(PAGEVIEW, 199, 3, 3), event(PAGEVIEW, 200, 4, 4)];
    let metrics = overview(&events, 100, 200);
    assert_eq!((metrics.visitors, metrics.pageviews, metrics.sessions), (2, 2, 2));
    assert_eq!(overview(&events, 100, 100), MetricValues::default());
}

#[test]
fn visitors_are_distinct_ids_with_an_event() {
    let events = [
        event(PAGEVIEW, 10, 1, 1),
        event(CUSTOM, 11, 1, 1),
        event(PAGEVIEW, 12, 1, 2),
        event(CUSTOM, 13, 9, 9),
        event(HEARTBEAT, 14, 5, 5),
    ];
    assert_eq!(overview(&events, 0, 100).visitors, 2);
}

#[test]
fn pageviews_and_events_do_not_count_heartbeats() {
    let events = [
        event(PAGEVIEW, 10, 1, 1),
        event(HEARTBEAT, 11, 1, 1),
        event(CUSTOM, 12, 1, 1),
        event(EventKind::Goal, 13, 1, 1),
    ];
    let metrics = overview(&events, 0, 100);
    assert_eq!((metrics.pageviews, metrics.events), (1, 3));
}

#[test]
fn sessions_count_wherever_they_have_an_event() {
    // Before, in the middle of and after the range; heartbeats are not events.
    let events = [
        event(PAGEVIEW, 50, 1, 1),
        event(HEARTBEAT, 120, 1, 1),
        event(PAGEVIEW, 150, 1, 1),
        event(HEARTBEAT, 220, 1, 1),
        event(CUSTOM, 350, 1, 1),
    ];
    let counted = |from, to| {
        let metrics = overview(&events, from, to);
        (metrics.visitors, metrics.sessions)
    };
    assert_eq!([counted(45, 100), counted(100, 200), counted(300, 400)], [(1, 1); 3]);
    assert_eq!([counted(0, 50), counted(110, 140), counted(200, 300), counted(351, 400)], [(0, 0); 4]);
}

/// Two visits reach over midnight in New York; one of them has only a heartbeat in the second day.
#[test]
fn a_session_over_midnight_counts_in_both_days() {
    const MINUTE_MS: i64 = 60_000;
    // 2026-06-13T04:00Z.
    let midnight = 1_781_323_200_000;
    let at = |minutes: i64| midnight + minutes * MINUTE_MS;
    let events = [
        event(PAGEVIEW, at(-5), 1, 1),
        event(PAGEVIEW, at(5), 1, 1),
        event(PAGEVIEW, at(-4), 2, 2),
        event(HEARTBEAT, at(4), 2, 2),
        event(PAGEVIEW, at(60), 3, 3),
    ];
    let (from, to) = (at(-24 * 60), at(24 * 60));
    let days = series(&events, from, to, Interval::Day, "America/New_York");
    let told = |metrics: &MetricValues| (metrics.visitors, metrics.sessions, metrics.pageviews, metrics.duration_ms);
    assert_eq!(
        days.points.iter().map(|point| told(&point.metrics)).collect::<Vec<_>>(),
        [(2, 2, 2, 18 * MINUTE_MS as u64), (2, 2, 2, 10 * MINUTE_MS as u64)]
    );
    assert_eq!(told(&overview(&events, from, to)), (3, 3, 4, 18 * MINUTE_MS as u64));
    // In UTC all of it is one day.
    let days = series(&events, from, to, Interval::Day, "UTC");
    assert_eq!(days.points.iter().map(|point| point.metrics.sessions).collect::<Vec<_>>(), [0, 3, 0]);
}

/// The first event of a session is the one of the lowest time, of equal times the one that arrived first.
#[test]
fn the_first_event_is_the_earliest() {
    let tie = [
        with(event(PAGEVIEW, 9, 1, 1), &[(Dimension::Country, "DE")]),
        with(event(PAGEVIEW, 5, 1, 1), &[(Dimension::Country, "FR")]),
        with(event(PAGEVIEW, 5, 1, 1), &[(Dimension::Country, "US")]),
    ];
    assert_eq!(rows(&breakdown(&tie, 0, 10, by(COUNTRY))), [("FR", 1, 3, 1)]);
}

#[test]
fn metrics_of_sessions_are_of_the_whole_session() {
    let events = [event(PAGEVIEW, 50, 1, 1), event(PAGEVIEW, 150, 1, 1), event(HEARTBEAT, 400, 1, 1)];
    let metrics = overview(&events, 0, 100);
    assert_eq!((metrics.pageviews, metrics.sessions, metrics.bounces, metrics.duration_ms), (1, 1, 0, 350));
}

#[test]
fn a_session_of_heartbeats_only_is_live_and_counts_nowhere_else() {
    let events = [event(HEARTBEAT, 1_000, 1, 1)];
    assert_eq!(overview(&events, 0, 10_000), MetricValues::default());
    assert_eq!(live(&events, 2_000), 1);
}

#[test]
fn a_bounce_has_one_pageview_no_other_event_and_under_ten_seconds() {
    let bounces = |events: &[Event]| overview(events, 0, 1_000).bounces;
    let engaged = |ms: i64| {
        let mut heartbeat = event(HEARTBEAT, 20, 1, 1);
        heartbeat.engagement_ms = ms as u32;
        heartbeat
    };
    let view = || event(PAGEVIEW, 10, 1, 1);
    assert_eq!(bounces(&[view()]), 1);
    assert_eq!(bounces(&[view(), engaged(BOUNCE_ENGAGEMENT_MS - 1)]), 1);
    assert_eq!(bounces(&[view(), engaged(BOUNCE_ENGAGEMENT_MS)]), 0);
    assert_eq!(bounces(&[view(), engaged(BOUNCE_ENGAGEMENT_MS - 1), engaged(1)]), 0);
    assert_eq!(bounces(&[view(), event(PAGEVIEW, 11, 1, 1)]), 0);
    assert_eq!(bounces(&[view(), event(CUSTOM, 11, 1, 1)]), 0);
    assert_eq!(bounces(&[event(CUSTOM, 11, 1, 1)]), 0);
}

#[test]
fn duration_reaches_to_the_last_heartbeat() {
    let events =
        [event(HEARTBEAT, 5, 1, 1), event(PAGEVIEW, 10, 1, 1), event(HEARTBEAT, 70, 1, 1), event(PAGEVIEW, 40, 1, 1)];
    assert_eq!(overview(&events, 0, 100).duration_ms, 60);
    // A heartbeat from before the first event takes nothing away.
    assert_eq!(overview(&events[..2], 0, 100).duration_ms, 0);
}

#[test]
fn the_value_score_is_summed_over_sessions() {
    let events = [event(PAGEVIEW, 0, 1, 1), event(PAGEVIEW, 60_000, 1, 1), event(CUSTOM, 5, 2, 2)];
    let expected = u64::from(value_score(2, 60_000, false)) + u64::from(value_score(0, 0, true));
    assert_eq!(overview(&events, 0, 100_000).value_score, expected);
}

#[test]
fn a_rate_over_nothing_is_none() {
    // The session has an event on either side of the range, and a heartbeat in it.
    let events = [event(PAGEVIEW, 5, 1, 1), event(HEARTBEAT, 15, 1, 1), event(PAGEVIEW, 25, 1, 1)];
    let metrics = overview(&events, 10, 20);
    assert_eq!((metrics.bounce_rate(), metrics.mean_duration_ms(), metrics.mean_value_score()), (None, None, None));
    assert_eq!(overview(&events, 0, 10).bounce_rate(), Some(0.0));
}

#[test]
fn live_is_less_than_five_minutes_from_now() {
    let now = 10 * LIVE_WINDOW_MS;
    let at = |at: i64| live(&[event(PAGEVIEW, at, 1, 1)], now);
    assert_eq!([at(now - LIVE_WINDOW_MS), at(now - LIVE_WINDOW_MS + 1), at(now)], [0, 1, 1]);
    assert_eq!([at(now + LIVE_WINDOW_MS - 1), at(now + LIVE_WINDOW_MS)], [1, 0]);
    // A heartbeat keeps the visitor live; two sessions of one visitor are one.
    let events = [event(PAGEVIEW, 0, 1, 1), event(HEARTBEAT, now - 1, 1, 1), event(PAGEVIEW, now - 2, 1, 2)];
    assert_eq!(live(&events, now), 1);
    let filter = is(PATH, "/a", None);
    let answer = |path: &str| ask(&[page(now, 1, 1, path)], now, now, filter.clone(), Question::Live);
    assert_eq!(answer("/a").into_live().unwrap().visitors, 1);
    assert_eq!(answer("/b").into_live().unwrap().visitors, 0);
}

#[test]
fn days_of_a_series_follow_the_zone() {
    // In Berlin 2026-03-29 has 23 hours: 2026-03-28T23:00Z to 2026-03-29T22:00Z.
    const HOUR_MS: i64 = 3_600_000;
    let midnight = 1_774_738_800_000;
    let events = [
        event(PAGEVIEW, midnight - 1, 1, 1),
        event(PAGEVIEW, midnight, 2, 2),
        event(PAGEVIEW, midnight + 23 * HOUR_MS - 1, 3, 3),
        event(PAGEVIEW, midnight + 23 * HOUR_MS, 4, 4),
    ];
    let series = series(&events, midnight - HOUR_MS, midnight + 24 * HOUR_MS, Interval::Day, "Europe/Berlin");
    let hours: Vec<i64> = series.points.iter().map(|point| point.bucket.duration_ms() / HOUR_MS).collect();
    let visitors: Vec<u64> = series.points.iter().map(|point| point.metrics.visitors).collect();
    assert_eq!((hours, visitors), (vec![24, 23, 24], vec![1, 2, 1]));
}

#[test]
fn events_of_buckets_add_up_and_no_bucket_is_missing() {
    const HOUR_MS: i64 = 3_600_000;
    // The second session has events in the first and in the third hour: like its visitor it counts in both.
    let events = [
        event(PAGEVIEW, 10, 1, 1),
        event(CUSTOM, 20, 2, 2),
        event(PAGEVIEW, 2 * HOUR_MS + 5, 2, 2),
        event(PAGEVIEW, 3 * HOUR_MS, 3, 3),
    ];
    let series = series(&events, 5, 3 * HOUR_MS, Interval::Hour, "UTC");
    let counts: Vec<_> = series.points.iter().map(|point| (point.metrics.pageviews, point.metrics.sessions)).collect();
    assert_eq!(counts, [(1, 2), (0, 0), (1, 1)]);
    assert_eq!(series.points[0].bucket, range(0, HOUR_MS), "the whole bucket is named");
    let total = overview(&events, 5, 3 * HOUR_MS);
    assert_eq!((total.pageviews, total.sessions), (2, 2));
}

#[test]
fn entry_and_exit_page_are_of_first_and_last_pageview() {
    let events = [
        with(event(CUSTOM, 1, 1, 1), &[(Dimension::Path, "/early")]),
        page(2, 1, 1, "/in"),
        page(3, 1, 1, "/middle"),
        page(4, 1, 1, "/out"),
        with(event(CUSTOM, 5, 1, 1), &[(Dimension::Path, "/late")]),
        event(CUSTOM, 6, 2, 2),
    ];
    assert_eq!(rows(&breakdown(&events, 0, 10, by(Field::EntryPage))), [("", 1, 0, 1), ("/in", 1, 3, 1)]);
    assert_eq!(rows(&breakdown(&events, 0, 10, by(Field::ExitPage))), [("", 1, 0, 1), ("/out", 1, 3, 1)]);
    // Also where the range begins after the entry.
    assert_eq!(rows(&breakdown(&events, 3, 6, by(Field::EntryPage))), [("/in", 1, 2, 1)]);
}

#[test]
fn rows_by_a_field_of_events_count_each_by_its_own_value() {
    let named = |at, visitor, session, name| with(event(CUSTOM, at, visitor, session), &[(Dimension::EventName, name)]);
    let events = [named(1, 1, 1, "save"), named(2, 1, 1, "send"), named(3, 2, 2, "send")];
    let answer = breakdown(&events, 0, 10, by(Field::Dimension(Dimension::EventName)));
    let told: Vec<_> = answer.rows.iter().map(|row| (row.value.as_str(), row.metrics)).collect();
    let told: Vec<_> =
        told.iter().map(|(value, metrics)| (*value, metrics.visitors, metrics.events, metrics.sessions)).collect();
    assert_eq!(told, [("send", 2, 2, 2), ("save", 1, 1, 1)]);
    assert_eq!((answer.total_rows, answer.total_visitors), (2, 2));
}

#[test]
fn rows_by_a_field_of_sessions_go_by_the_value_of_the_first_event() {
    let source = |at, session, source| with(event(PAGEVIEW, at, 1, session), &[(Dimension::Source, source)]);
    let events = [source(1, 1, "Google"), source(2, 1, ""), source(3, 1, "Bing"), source(4, 2, "Bing")];
    let of_source = || by(Field::Dimension(Dimension::Source));
    let answer = breakdown(&events, 0, 10, of_source());
    assert_eq!(rows(&answer), [("Bing", 1, 1, 1), ("Google", 1, 3, 1)]);
    let total = overview(&events, 0, 10);
    let sum = |count: fn(&MetricValues) -> u64| answer.rows.iter().map(|row| count(&row.metrics)).sum::<u64>();
    assert_eq!((sum(|m| m.pageviews), sum(|m| m.sessions)), (total.pageviews, total.sessions));
    // A row is what a filter by its value leaves, and the same where the range begins after the first event.
    let google = is(Field::Dimension(Dimension::Source), "Google", None);
    assert_eq!(answer.rows[1].metrics, overview_of(&events, 0, 10, google));
    assert_eq!(rows(&breakdown(&events, 3, 10, of_source())), [("Bing", 1, 1, 1), ("Google", 1, 1, 1)]);
    // Beside a field of events each row counts the sessions with an event in it.
    let pairs = breakdown(&events, 0, 10, of_source().and(PATH));
    assert_eq!(rows(&pairs), [("Bing", 1, 1, 1), ("Google", 1, 3, 1)]);
}

#[test]
fn sessions_count_once_for_each_page_they_saw() {
    let events = [page(1, 1, 1, "/a"), page(2, 1, 1, "/b"), page(3, 1, 1, "/a"), page(20, 1, 1, "/c")];
    assert_eq!(rows(&breakdown(&events, 0, 10, by(PATH))), [("/a", 1, 2, 1), ("/b", 1, 1, 1)]);
    // Also where the range begins after the session.
    assert_eq!(rows(&breakdown(&events, 2, 10, by(PATH))), [("/a", 1, 1, 1), ("/b", 1, 1, 1)]);
}

#[test]
fn rows_are_sorted_and_ties_go_by_value() {
    let events =
        [page(1, 1, 1, "/b"), page(2, 2, 2, "/a"), page(3, 3, 3, "/c"), page(4, 4, 4, "/c"), page(5, 5, 5, "")];
    let answer = breakdown(&events, 0, 10, by(PATH).without_empty().limit(2));
    assert_eq!(rows(&answer), [("/c", 2, 2, 2), ("/a", 1, 1, 1)]);
    assert_eq!((answer.total_rows, answer.total_visitors), (3, 4));
    let next = breakdown(&events, 0, 10, by(PATH).without_empty().limit(2).offset(2));
    assert_eq!(rows(&next), [("/b", 1, 1, 1)]);
    let pairs = breakdown(&events, 0, 10, by(PATH).and(PATH));
    assert_eq!(pairs.rows[1].and.as_deref(), Some(""));
}

#[test]
fn the_title_is_the_one_seen_last() {
    let titled = |at, title| with(page(at, 1, 1, "/a"), &[(Dimension::Title, title)]);
    let events = [titled(9, "new"), titled(3, "old"), titled(9, "newer"), titled(10, ""), page(4, 1, 1, "/b")];
    let answer = breakdown(&events, 0, 100, by(PATH).metrics([Metric::Title]));
    let titles: Vec<_> = answer.rows.iter().map(|row| (row.value.as_str(), row.title.as_deref())).collect();
    assert_eq!(titles, [("/a", Some("newer")), ("/b", None)]);
    let earlier = breakdown(&events, 0, 9, by(PATH).metrics([Metric::Title]));
    assert_eq!(earlier.rows[0].title.as_deref(), Some("old"));
}

#[test]
fn time_on_page_ends_with_the_next_pageview_or_the_last_activity() {
    let timed = |events: &[Event], to| {
        let answer = breakdown(events, 0, to, by(PATH).metrics([Metric::TimeOnPage]).without_empty());
        let row = |row: &zenovay_query::BreakdownRow| (row.value.clone(), row.time_on_page_ms, row.timed_pageviews);
        answer.rows.iter().map(row).collect::<Vec<_>>()
    };
    let mut events =
        vec![page(10, 1, 1, "/a"), event(CUSTOM, 12, 1, 1), page(30, 1, 1, "/b"), event(HEARTBEAT, 75, 1, 1)];
    assert_eq!(timed(&events, 100), [("/a".to_owned(), 20, 1), ("/b".to_owned(), 45, 1)]);
    // The next pageview may be outside the range.
    assert_eq!(timed(&events, 20), [("/a".to_owned(), 20, 1)]);
    // Without a later activity nothing is known.
    events.pop();
    assert_eq!(timed(&events, 100)[1], ("/b".to_owned(), 0, 0));
}

#[test]
fn event_conditions_choose_events() {
    let events = [page(1, 1, 1, "/a"), page(2, 1, 1, "/b"), page(3, 2, 2, "/b")];
    let metrics = overview_of(&events, 0, 10, is(PATH, "/a", None));
    assert_eq!((metrics.visitors, metrics.pageviews, metrics.sessions, metrics.duration_ms), (1, 1, 1, 1));
}

#[test]
fn only_pageviews_are_chosen_by_their_kind() {
    let custom = |at, visitor, path| with(event(CUSTOM, at, visitor, visitor), &[(Dimension::Path, path)]);
    let events = [page(1, 1, 1, "/a"), custom(2, 1, "/a"), custom(3, 2, "/a"), custom(4, 2, "/b")];
    let metrics = overview_of(&events, 0, 10, Filter::Kind(EventKind::Pageview));
    assert_eq!((metrics.visitors, metrics.pageviews, metrics.events, metrics.sessions), (1, 1, 1, 1));
    let pages = match ask(&events, 0, 10, Filter::Kind(EventKind::Pageview), Question::Breakdown(by(PATH))) {
        Answer::Breakdown(breakdown) => breakdown,
        other => panic!("{other:?}"),
    };
    let told: Vec<_> = pages.rows.iter().map(|row| (row.value.as_str(), row.metrics.visitors)).collect();
    assert_eq!((told, pages.total_rows), (vec![("/a", 1)], 1));
}

#[test]
fn not_chooses_what_the_filter_does_not() {
    let events = [page(1, 1, 1, "/a"), page(2, 1, 1, "/b"), event(CUSTOM, 3, 2, 2)];
    let events_of = |filter| overview_of(&events, 0, 10, filter).events;
    let not = |filter| Filter::Not(Box::new(filter));
    assert_eq!(events_of(not(is(PATH, "/a", None))), 2);
    assert_eq!(events_of(not(not(is(PATH, "/a", None)))), 1);
    assert_eq!(events_of(not(Filter::Kind(PAGEVIEW))), 1);
    assert_eq!((events_of(not(Filter::default())), events_of(not(Filter::Any(Vec::new())))), (0, 3));
    // Unlike the negative operator, it turns the level around, too.
    assert_eq!(events_of(not(is(PATH, "/a", Some(FilterLevel::Session)))), 1);
}

#[test]
fn a_filter_asked_of_sessions_chooses_all_of_a_session_with_such_an_event() {
    let signup = |at, visitor| with(event(CUSTOM, at, visitor, visitor), &[(Dimension::EventName, "signup")]);
    let events = [page(1, 1, 1, "/a"), signup(20, 1), page(2, 2, 2, "/a"), page(3, 2, 2, "/b")];
    let in_session = |filters| Filter::InSession(Box::new(Filter::All(filters)));
    let name = Field::Dimension(Dimension::EventName);
    // Also one that is outside the range.
    let metrics = overview_of(&events, 0, 10, in_session(vec![is(name, "signup", None)]));
    assert_eq!((metrics.visitors, metrics.events), (1, 1));
    // Both conditions are about the same event.
    let both = in_session(vec![Filter::Kind(PAGEVIEW), is(PATH, "/b", None)]);
    assert_eq!(overview_of(&events, 0, 10, both.clone()).events, 2);
    assert_eq!(overview_of(&events, 0, 10, Filter::Not(Box::new(both))).events, 1);
    let none = in_session(vec![is(PATH, "/a", None), is(PATH, "/b", None)]);
    assert_eq!(overview_of(&events, 0, 10, none).events, 0);
}

#[test]
fn events_are_rows_in_order_of_time_and_arrival() {
    let events = [page(5, 1, 1, "/late"), page(1, 1, 1, "/a"), page(5, 2, 2, "/later"), event(HEARTBEAT, 6, 2, 2)];
    let table = |limit, offset| match ask(&events, 0, 10, Filter::default(), Question::Events { limit, offset }) {
        Answer::Events(table) => table,
        other => panic!("{other:?}"),
    };
    let paths = |limit, offset| -> Vec<String> {
        let table = table(limit, offset);
        let path = &table.columns[Dimension::Path as usize];
        (0..table.len()).map(|row| path.get(row).unwrap().to_owned()).collect()
    };
    assert_eq!(paths(usize::MAX, 0), ["/a", "/late", "/later"]);
    assert_eq!((paths(1, 1), paths(5, 2), paths(5, 3)), (vec!["/late".into()], vec!["/later".into()], vec![]));
    let all = table(usize::MAX, 0);
    assert_eq!((all.kind[0], all.visitor[2], all.session[2]), (PAGEVIEW, VisitorId(2), SessionId(2)));
}

#[test]
fn session_conditions_choose_sessions() {
    let country = |at, session, country| with(event(PAGEVIEW, at, session, session), &[(Dimension::Country, country)]);
    let events = [country(1, 1, "DE"), country(2, 1, "FR"), country(3, 2, "FR"), country(4, 2, "DE")];
    let metrics = overview_of(&events, 0, 10, is(COUNTRY, "DE", None));
    assert_eq!((metrics.visitors, metrics.pageviews, metrics.sessions), (1, 2, 1));
    // Asked of events, each goes by its own value.
    let metrics = overview_of(&events, 0, 10, is(COUNTRY, "DE", Some(FilterLevel::Event)));
    assert_eq!((metrics.visitors, metrics.pageviews, metrics.sessions), (2, 2, 2));
}

#[test]
fn an_event_condition_on_sessions_looks_at_all_of_the_session() {
    let events = [page(1, 1, 1, "/a"), page(20, 1, 1, "/b"), page(2, 2, 2, "/a")];
    let metrics = overview_of(&events, 0, 10, is(PATH, "/b", Some(FilterLevel::Session)));
    assert_eq!((metrics.visitors, metrics.pageviews, metrics.sessions), (1, 1, 1));
}

#[test]
fn a_condition_on_visitors_looks_at_the_range() {
    let events = [page(1, 1, 1, "/a"), page(2, 1, 2, "/b"), page(3, 2, 3, "/a"), page(20, 2, 4, "/b")];
    let metrics = overview_of(&events, 0, 10, is(PATH, "/b", Some(FilterLevel::Visitor)));
    assert_eq!((metrics.visitors, metrics.pageviews, metrics.sessions), (1, 2, 2));
}

#[test]
fn visitor_records_tell_the_newest_session() {
    let events = [
        page(10, 1, 1, "/first"),
        with(page(30, 1, 2, "/second"), &[(Dimension::Country, "DE")]),
        event(CUSTOM, 35, 1, 2),
        page(30, 2, 3, "/other"),
        page(5, 3, 4, "/reaches in"),
        page(12, 3, 4, "/later"),
    ];
    let all = visitors(&events, 10, 100, 10, 0, None);
    let told: Vec<_> = all
        .visitors
        .iter()
        .map(|record| (record.visitor.0, record.visited_at.as_millis(), record.landing_page.as_str()))
        .collect();
    assert_eq!(told, [(1, 30, "/second"), (2, 30, "/other"), (3, 5, "/reaches in")]);
    let first = &all.visitors[0];
    assert_eq!((first.country.as_str(), first.pageviews, first.duration_ms), ("DE", 1, 5));
    assert!(first.had_interaction && !all.has_more);
    assert_eq!(first.value_score, value_score(1, 5, true));

    let page = visitors(&events, 10, 100, 1, 0, Some((30, 1)));
    assert_eq!((page.visitors[0].visitor.0, page.has_more), (2, true));
    let page = visitors(&events, 10, 100, 1, 2, None);
    assert_eq!((page.visitors[0].visitor.0, page.has_more), (3, false));
}

/// Sabotage: look for the first event among those that the filter chooses, or in the range only.
#[test]
fn a_visitor_is_new_where_the_first_event_is() {
    const HOUR: i64 = 3_600_000;
    // Visitor 1 comes on both days, 2 on the second, 3 came before, and 4 sees the page on the second day only.
    let events = [
        page(-HOUR, 3, 30, "/a"),
        page(HOUR, 1, 10, "/a"),
        page(2 * HOUR, 3, 31, "/a"),
        page(3 * HOUR, 4, 40, "/b"),
        page(25 * HOUR, 1, 11, "/a"),
        page(26 * HOUR, 2, 20, "/a"),
        page(27 * HOUR, 4, 41, "/a"),
        page(50 * HOUR, 5, 50, "/a"),
    ];
    let new = |interval, filter: Filter| {
        let question = Question::NewVisitors { interval, zone: Zone::utc() };
        match ask(&events, 0, 48 * HOUR, filter, question) {
            Answer::NewVisitors(counts) => counts.points.iter().map(|point| point.visitors).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    let path = |value: &str| Filter::Is(Condition::new(PATH, Operator::Is, vec![value.to_owned()]));
    assert_eq!(new(None, Filter::default()), [3]);
    assert_eq!(new(Some(Interval::Day), Filter::default()), [2, 1]);
    assert_eq!(new(None, path("/a")), [3], "somebody new in the range who saw the page in it");
    assert_eq!(
        new(Some(Interval::Day), path("/a")),
        [1, 1],
        "visitor 4 was new on the first day and saw it on the second"
    );
}

#[test]
fn a_cancelled_or_poor_query_has_no_answer() {
    let dataset = MemoryDataset::new(&[page(1, 1, 1, "/a")]);
    let query = |question| Query::new(range(0, 10), question);
    let cancelled = Budget::unlimited();
    cancelled.cancel();
    assert_eq!(dataset.answer(&query(Question::Overview), &cancelled), Err(QueryError::Cancelled));
    let late = Budget::new(std::time::Duration::ZERO, usize::MAX);
    assert_eq!(dataset.answer(&query(Question::Overview), &late), Err(QueryError::TimeExceeded));
    let poor = Budget::new(std::time::Duration::from_secs(60), 16);
    assert_eq!(dataset.answer(&query(Question::Breakdown(by(PATH))), &poor), Err(QueryError::MemoryExceeded));
    // The hours of ten thousand years are refused before they are counted.
    let long =
        Query::new(range(0, 250_000_000_000_000), Question::Series { interval: Interval::Hour, zone: Zone::utc() });
    let million_bytes = Budget::new(std::time::Duration::from_secs(60), 1_000_000);
    assert_eq!(dataset.answer(&long, &million_bytes), Err(QueryError::MemoryExceeded));
}

/// Sabotage: leave out `take` in `Scan::shown_rows`, or beside `Groups::visits`.
#[test]
fn rows_that_are_kept_for_a_breakdown_are_taken_from_the_budget() {
    let events: Vec<Event> = (0..4_000).map(|n| page(n, 1, n as u64, "/a")).collect();
    let dataset = MemoryDataset::new(&events);
    let asked = |group_by, bytes| {
        let query = Query::new(range(0, 4_000), Question::Breakdown(group_by));
        dataset.answer(&query, &Budget::new(std::time::Duration::from_secs(60), bytes)).map(|_| ())
    };
    // Ids by group are 16 KB; with each event that is shown its place and its row are 32 KB more.
    let by_field = |field, metrics: Vec<Metric>| by(field).metrics(metrics);
    assert_eq!(asked(by_field(PATH, Vec::new()), 20_000), Ok(()));
    let titles = || by_field(PATH, vec![Metric::Title]);
    assert_eq!(asked(titles(), 45_000), Err(QueryError::MemoryExceeded));
    assert_eq!(asked(titles(), 55_000), Ok(()));
    // First rows and groups of 4,000 sessions.
    let country = || by_field(Field::Dimension(Dimension::Country), Vec::new());
    assert_eq!(asked(country(), 30_000), Err(QueryError::MemoryExceeded));
    assert_eq!(asked(country(), 40_000), Ok(()));
}

#[test]
fn a_column_that_was_not_loaded_is_an_error() {
    let memory = MemoryDataset::new(&[page(1, 1, 1, "/a")]);
    let mut chunk = memory.chunks()[0].clone();
    chunk.columns[Dimension::Path as usize] = None;
    let chunks = [&chunk];
    let dataset = engine::Dataset { chunks: &chunks, ..memory.dataset(&[]) };
    let everything = Filter::default();
    let answer = engine::breakdown(&dataset, range(0, 10), &everything, &by(PATH), &Budget::unlimited());
    assert_eq!(answer, Err(QueryError::damaged("the column page was not loaded")));
}

/// Sabotage: take one event for two steps, look at all of a visitor, or let a step come before the one before it.
#[test]
fn steps_are_taken_in_order_within_one_session() {
    let step = |path: &str| zenovay_query::is(Dimension::Path, path);
    let any_page = || Filter::Kind(PAGEVIEW);
    let events = [
        // All the way, with a detour and a step taken twice.
        page(10, 1, 1, "/a"),
        page(20, 1, 1, "/x"),
        page(30, 1, 1, "/a"),
        page(40, 1, 1, "/b"),
        page(50, 1, 1, "/c"),
        // The same visitor once more, to the second step.
        page(110, 1, 2, "/a"),
        page(120, 1, 2, "/b"),
        // In the wrong order.
        page(10, 2, 3, "/b"),
        page(20, 2, 3, "/a"),
        // Of the same time, in the order of their arrival.
        page(10, 3, 4, "/a"),
        page(10, 3, 4, "/b"),
        // In two sessions.
        page(10, 4, 5, "/a"),
        page(200, 4, 6, "/b"),
    ];
    let funnel =
        |from, to, filter: Filter, steps: Vec<Filter>| match ask(&events, from, to, filter, Question::Funnel { steps })
        {
            Answer::Funnel(counts) => (counts.visitors, counts.sessions),
            other => panic!("{other:?}"),
        };
    let way = || vec![step("/a"), step("/b"), step("/c")];
    assert_eq!(funnel(0, 1_000, Filter::default(), way()), (vec![4, 2, 1], vec![5, 3, 1]));
    assert_eq!(funnel(0, 1_000, Filter::Not(Box::new(step("/b"))), way()), (vec![4, 0, 0], vec![5, 0, 0]));
    assert_eq!(funnel(30, 1_000, Filter::default(), way()), (vec![1, 1, 1], vec![2, 2, 1]), "the range holds");
    assert_eq!(funnel(0, 1_000, Filter::default(), vec![step("/a"), step("/a")]), (vec![4, 1], vec![5, 1]));
    let twice = vec![any_page(), any_page()];
    assert_eq!(funnel(200, 201, Filter::default(), twice), (vec![1, 0], vec![1, 0]), "one event is one step");
    assert_eq!(funnel(0, 1_000, Filter::default(), Vec::new()), (vec![], vec![]));
}
