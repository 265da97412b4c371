//! Random events and questions, for property tests that hold whoever answers queries against [`crate::oracle`].

#![expect(clippy::cast_possible_truncation, reason = "numbers of sessions in a test are small")]

use proptest::prelude::*;
use zenovay_domain::{
    Dimension, Event, EventKind, Interval, SESSION_MAX_MS, SessionId, TimeRange, Timestamp, VisitorId, Zone,
};

use crate::{
    Answer, Condition, Field, Filter, FilterLevel, GroupBy, Metric, MetricValues, Operator, Order, Query, Question,
    RowPlace,
};

const HOUR_MS: i64 = 3_600_000;

/// The time that everything happens around: the night in which the clock is put forward in Berlin, 2026-03-29T01:00:00Z.
pub const EPOCH_MS: i64 = 1_774_746_000_000;

/// The steps that events of one session are apart, at most 20 of them.
const STEPS: std::ops::RangeInclusive<i64> = 0..=20;

/// The sessions that random events belong to. Every session has one visitor, a beginning, and a pace that keeps it within
/// [`SESSION_MAX_MS`].
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a test says all three")]
pub struct Sessions {
    /// How many there are: at least 1, not a multiple of 7.
    pub count: u64,
    /// From one beginning to the next, hours. The beginnings are around [`EPOCH_MS`], in another order than the numbers.
    pub hours_apart: i64,
    /// How many visitors there are: at least 1. One of them has the id 0, which a table of ids may take for nothing.
    pub visitors: u64,
}

impl Sessions {
    /// The time of step `step` of `session`.
    fn at(self, session: u64, step: i64) -> i64 {
        let count = self.count as i64;
        let begins = (session as i64 * 7 % count - count / 2) * self.hours_apart * HOUR_MS;
        let pace = [1, 60_000, HOUR_MS, SESSION_MAX_MS / 20][session as usize % 4];
        EPOCH_MS + begins + step * pace
    }

    /// An event or a heartbeat of one of the sessions. Systems and devices are those of the session; other strings change
    /// within it, also those that an honest tracker never changes.
    pub fn any_event(self) -> impl Strategy<Value = Event> + Clone {
        (
            (0..self.count, STEPS, prop::sample::select(&[0u8, 0, 0, 0, 1, 1, 2, 3, 11][..])),
            (
                text(&["", "/", "/a", "/a/b", "/blog/x", "/%C3%A9"]),
                text(&["", "Home", "Blog"]),
                text(&[
                    "",
                    r#"{"plan":"pro"}"#,
                    r#"{"n":1.5,"plan":"free"}"#,
                    r#"{"n":true}"#,
                    r#"{"plan":"pro","x":null}"#,
                    "[]",
                ]),
                text(&["", "signup"]),
            ),
            (text(&["", "DE", "FR", "US"]), text(&["", "Chrome", "Firefox"]), text(&["", "https://r.example"])),
            prop::sample::select(&[0u32, 0, 4_000, 9_999, 10_000][..]),
        )
            .prop_map(
                move |(
                    (session, step, kind),
                    (path, title, properties, name),
                    (country, browser, referrer),
                    engagement_ms,
                )| {
                    let at = Timestamp::from_millis(self.at(session, step));
                    // Neither codes nor visitors are in the order of ids.
                    let visitor = VisitorId(self.visitors - 1 - session % self.visitors);
                    let id = SessionId(session.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                    let mut event =
                        Event::new(EventKind::from_code(kind).unwrap_or(EventKind::Custom), at, visitor, id);
                    event.engagement_ms = engagement_ms;
                    if event.kind.is_event() {
                        let of_session = |texts: &[&'static str]| texts[session as usize / 2 % texts.len()];
                        for (dimension, value) in [
                            (Dimension::Path, path),
                            (Dimension::Title, title),
                            (Dimension::Properties, properties),
                            (Dimension::EventName, name),
                            (Dimension::Country, country),
                            (Dimension::City, country),
                            (Dimension::Browser, browser),
                            (Dimension::Referrer, referrer),
                            (Dimension::Os, of_session(&["", "Linux", "iOS"])),
                            (Dimension::Device, of_session(&["phone", "desktop"])),
                        ] {
                            event.dimensions.set(dimension, value);
                        }
                    }
                    event
                },
            )
    }

    /// An instant near the events of the sessions, so that edges are hit exactly.
    pub fn any_instant(self) -> impl Strategy<Value = Timestamp> + Clone {
        let off = prop::sample::select(vec![-1i64, 0, 0, 1, 299_999, 300_000, 300_001]);
        prop_oneof![
            3 => (0..self.count, STEPS, off).prop_map(move |(session, step, off)| self.at(session, step) + off),
            1 => (-80i64..80).prop_map(|hours| EPOCH_MS + hours * HOUR_MS),
        ]
        .prop_map(Timestamp::from_millis)
    }

    /// A range between two such instants; of some one end is open, or both.
    pub fn any_range(self) -> impl Strategy<Value = TimeRange> + Clone {
        let is_open = || prop::bool::weighted(0.15);
        ((self.any_instant(), is_open()), (self.any_instant(), is_open())).prop_map(
            |((one, from_open), (other, to_open))| {
                let from = if from_open { Timestamp::MIN } else { one.min(other) };
                TimeRange::new(from, if to_open { Timestamp::MAX } else { one.max(other) })
            },
        )
    }

    /// Any question about the events of the sessions.
    pub fn any_query(self) -> impl Strategy<Value = Query> + Clone {
        let filter =
            any_filter(&[None, Some(FilterLevel::Event), Some(FilterLevel::Session), Some(FilterLevel::Visitor)]);
        let after = prop::option::of((self.any_instant(), 0..self.visitors).prop_map(|(at, id)| (at, VisitorId(id))));
        let question = prop_oneof![
            1 => Just(Question::Overview),
            1 => any_series(),
            4 => any_breakdown().prop_map(Question::Breakdown),
            1 => Just(Question::Live),
            2 => (
                prop::option::of(prop::sample::select(vec![Interval::Day, Interval::Week])),
                text(&["UTC", "Europe/Berlin"]),
            )
                .prop_map(|(interval, zone)| Question::NewVisitors {
                    interval,
                    zone: zone.parse().unwrap_or_else(|_| Zone::utc()),
                }),
            2 => prop::collection::vec(any_filter(&[None, Some(FilterLevel::Session)]), 0..5)
                .prop_map(|steps| Question::Funnel { steps }),
            1 => (prop::sample::select(vec![0usize, 1, 5, usize::MAX]), 0usize..4)
                .prop_map(|(limit, offset)| Question::Events { limit, offset }),
            1 => (prop::sample::select(vec![0usize, 1, 2, 5, usize::MAX]), 0usize..3, after)
                .prop_map(|(limit, offset, after)| Question::Visitors { limit, offset, after }),
        ];
        (self.any_range(), filter, question).prop_map(|(range, filter, question)| Query { range, filter, question })
    }
}

/// The totals in `answer`, the answer to `query`, that no events can have: more visitors than sessions, more sessions than
/// events, or more bounces than sessions. None, for every question about any events.
pub fn impossible_totals(query: &Query, answer: &Answer) -> Vec<MetricValues> {
    let mut totals = match answer {
        Answer::Overview(overview) => vec![overview.metrics],
        Answer::Series(series) => series.points.iter().map(|point| point.metrics).collect(),
        Answer::Breakdown(breakdown) => breakdown.rows.iter().map(|row| row.metrics).collect(),
        Answer::Live(_) | Answer::Visitors(_) | Answer::Funnel(_) | Answer::NewVisitors(_) | Answer::Events(_) => {
            Vec::new()
        }
    };
    totals.retain(|metrics| match &query.question {
        Question::Breakdown(group_by) if !group_by.wants_sessions() => metrics.visitors > metrics.events,
        _ => {
            metrics.visitors > metrics.sessions
                || metrics.sessions > metrics.events
                || metrics.bounces > metrics.sessions
        }
    });
    totals
}

fn text(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> + Clone {
    prop::sample::select(texts)
}

/// A field that random events have different values of.
pub fn any_field() -> impl Strategy<Value = Field> + Clone {
    prop_oneof![
        6 => prop::sample::select(vec![
            Dimension::Path,
            Dimension::Title,
            Dimension::EventName,
            Dimension::Country,
            Dimension::Browser,
            Dimension::Os,
            Dimension::Device,
        ])
        .prop_map(Field::Dimension),
        1 => Just(Field::EntryPage),
        1 => Just(Field::ExitPage),
        1 => text(&["plan", "n", "x"]).prop_map(|name| Field::Property(name.to_owned())),
    ]
}

/// Conditions on such fields at the given levels, joined in any way.
pub fn any_filter(levels: &'static [Option<FilterLevel>]) -> impl Strategy<Value = Filter> + Clone {
    let value =
        text(&["", "/", "/a", "/a*", "*b*", "DE", "Chrome", "Linux", "pro", "1.5", "true", "signup", "*", "^/a", "b$"]);
    let values = prop::collection::vec(value.prop_map(str::to_owned), 0..3);
    let condition = (any_field(), prop::sample::select(Operator::ALL), values, prop::sample::select(levels))
        .prop_map(|(field, operator, values, level)| Filter::Is(Condition { field, operator, values, level }));
    let kinds = vec![EventKind::Pageview, EventKind::Custom, EventKind::OutboundLink];
    let kind = prop::sample::select(kinds).prop_map(Filter::Kind);
    prop_oneof![
        2 => Just(Filter::default()),
        5 => prop_oneof![9 => condition, 1 => kind].prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::All),
                prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Any),
                inner.clone().prop_map(|filter| Filter::Not(Box::new(filter))),
                inner.prop_map(|filter| Filter::InSession(Box::new(filter))),
            ]
        }),
    ]
}

/// A [`Question::Series`] in one of several zones.
pub fn any_series() -> impl Strategy<Value = Question> + Clone {
    let interval = prop::sample::select(vec![Interval::Hour, Interval::Day, Interval::Week, Interval::Month]);
    let zone = text(&["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]);
    (interval, zone)
        .prop_map(|(interval, zone)| Question::Series { interval, zone: zone.parse().unwrap_or_else(|_| Zone::utc()) })
}

fn any_breakdown() -> impl Strategy<Value = GroupBy> + Clone {
    let value = text(&["", "/", "/a", "DE", "Chrome", "Linux", "pro", "signup"]);
    (
        any_field(),
        prop::option::of(any_field()),
        prop::sample::subsequence(vec![Metric::Sessions, Metric::Title, Metric::TimeOnPage], 0..=3),
        prop::sample::select(vec![Order::Visitors, Order::Pageviews, Order::Sessions, Order::Events]),
        prop::sample::select(vec![0usize, 1, 2, 3, 100, usize::MAX]),
        0usize..3,
        any::<bool>(),
        prop::option::weighted(0.3, prop::collection::vec((value.clone(), value.clone()), 0..6)),
        prop::option::weighted(0.3, (0u64..12, value.clone(), value)),
    )
        .prop_map(|(field, and, metrics, order, limit, offset, include_empty, values, after)| {
            let pair = |(first, second): (&str, &str)| (first.to_owned(), and.as_ref().map(|_| second.to_owned()));
            let values = values.map(|values| values.into_iter().map(pair).collect());
            let after = after.map(|(count, value, second): (u64, &str, &str)| {
                let and = and.as_ref().map(|_| second.to_owned());
                Box::new(RowPlace { count, value: value.to_owned(), and })
            });
            GroupBy { field, and, metrics, order, limit, offset, include_empty, values, after }
        })
}
