//! The answer: typed, exact, and free of presentation.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use zenovay_domain::{Dimension, Event, EventKind, SessionId, TimeRange, Timestamp, VisitorId};

use crate::{QueryError, serial};

/// The answer to a [`crate::Question`], one variant for each.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// To `Overview`.
    Overview(Overview),
    /// To `Series`.
    Series(Series),
    /// To `Breakdown`.
    Breakdown(Breakdown),
    /// To `Live`.
    Live(LiveCount),
    /// To `Visitors`.
    Visitors(VisitorPage),
    /// To `Funnel`.
    Funnel(FunnelCounts),
    /// To `NewVisitors`.
    NewVisitors(NewVisitors),
    /// To `Events`.
    Events(Box<EventTable>),
}

impl Answer {
    /// The answer to `Overview`.
    ///
    /// # Errors
    /// When it is that to another question: who answered broke a contract, and the answer cannot be used. So it is with all
    /// methods here.
    pub fn into_overview(self) -> Result<Overview, QueryError> {
        match self {
            Self::Overview(overview) => Ok(overview),
            other => Err(other.mismatch()),
        }
    }

    /// The answer to `Series`.
    ///
    /// # Errors
    /// See [`Answer::into_overview`].
    pub fn into_series(self) -> Result<Series, QueryError> {
        match self {
            Self::Series(series) => Ok(series),
            other => Err(other.mismatch()),
        }
    }

    /// The answer to `Breakdown`.
    ///
    /// # Errors
    /// See [`Answer::into_overview`].
    pub fn into_breakdown(self) -> Result<Breakdown, QueryError> {
        match self {
            Self::Breakdown(breakdown) => Ok(breakdown),
            other => Err(other.mismatch()),
        }
    }

    /// The answer to `Live`.
    ///
    /// # Errors
    /// See [`Answer::into_overview`].
    pub fn into_live(self) -> Result<LiveCount, QueryError> {
        match self {
            Self::Live(count) => Ok(count),
            other => Err(other.mismatch()),
        }
    }

    /// The answer to `Visitors`.
    ///
    /// # Errors
    /// See [`Answer::into_overview`].
    pub fn into_visitors(self) -> Result<VisitorPage, QueryError> {
        match self {
            Self::Visitors(page) => Ok(page),
            other => Err(other.mismatch()),
        }
    }

    /// The answer to `Funnel`.
    ///
    /// # Errors
    /// See [`Answer::into_overview`].
    pub fn into_funnel(self) -> Result<FunnelCounts, QueryError> {
        match self {
            Self::Funnel(counts) => Ok(counts),
            other => Err(other.mismatch()),
        }
    }

    /// The answer to `NewVisitors`.
    ///
    /// # Errors
    /// See [`Answer::into_overview`].
    pub fn into_new_visitors(self) -> Result<NewVisitors, QueryError> {
        match self {
            Self::NewVisitors(counts) => Ok(counts),
            other => Err(other.mismatch()),
        }
    }

    /// The answer to `Events`.
    ///
    /// # Errors
    /// See [`Answer::into_overview`].
    pub fn into_events(self) -> Result<EventTable, QueryError> {
        match self {
            Self::Events(events) => Ok(*events),
            other => Err(other.mismatch()),
        }
    }

    fn mismatch(&self) -> QueryError {
        let what: String = format!("another question was answered: {self:?}").chars().take(200).collect();
        QueryError::damaged(what)
    }
}

/// The totals of a set of events and of the sessions they belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct MetricValues {
    /// Distinct visitors with an event.
    pub visitors: u64,
    /// Events of kind pageview.
    pub pageviews: u64,
    /// Events of every kind but heartbeats.
    pub events: u64,
    /// Sessions with such an event: at least as many as visitors. What follows is of these sessions as wholes, also of what
    /// they have outside the range. `visits` where it is written.
    #[serde(rename = "visits")]
    pub sessions: u64,
    /// Those of them with one pageview, no other event, and under 10 s of engagement.
    pub bounces: u64,
    /// The sum over those sessions of first to last activity, heartbeats included, in milliseconds.
    pub duration_ms: u64,
    /// The sum over those sessions of `value_score`; `value_score_sum` where it is written.
    #[serde(rename = "value_score_sum")]
    pub value_score: u64,
}

impl MetricValues {
    /// Bounces per session, 0 to 1; `None` without sessions.
    pub fn bounce_rate(&self) -> Option<f64> {
        (self.sessions > 0).then(|| self.bounces as f64 / self.sessions as f64)
    }

    /// Mean visit duration in milliseconds; `None` without sessions.
    pub fn mean_duration_ms(&self) -> Option<f64> {
        (self.sessions > 0).then(|| self.duration_ms as f64 / self.sessions as f64)
    }

    /// Mean value score, 0 to 100; `None` without sessions.
    pub fn mean_value_score(&self) -> Option<f64> {
        (self.sessions > 0).then(|| self.value_score as f64 / self.sessions as f64)
    }
}

/// The totals of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Overview {
    /// The totals.
    #[serde(flatten)]
    pub metrics: MetricValues,
}

/// The totals of each bucket, in order of time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Series {
    /// One point a bucket, also for buckets without events; see [`crate::Question::Series`] for where they begin and end.
    pub points: Vec<SeriesPoint>,
}

/// One bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SeriesPoint {
    /// The whole bucket; at the ends of the queried range only the part inside it was counted.
    pub bucket: TimeRange,
    /// Its totals.
    #[serde(flatten)]
    pub metrics: MetricValues,
}

impl SeriesPoint {
    /// The totals of `bucket`.
    pub fn new(bucket: TimeRange, metrics: MetricValues) -> Self {
        Self { bucket, metrics }
    }
}

/// The rows of a breakdown, sorted as asked.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Breakdown {
    /// The rows after `offset`, at most `limit`.
    pub rows: Vec<BreakdownRow>,
    /// How many rows there are in all.
    pub total_rows: usize,
    /// Distinct visitors over all rows: what percentages are of.
    pub total_visitors: u64,
}

/// One value of a breakdown.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct BreakdownRow {
    /// The value of the field; empty when absent.
    pub value: String,
    /// The value of the second field, when one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub and: Option<String>,
    /// Its totals; those that were not asked for are 0, and are not written.
    #[serde(flatten, serialize_with = "metrics_asked_for")]
    pub metrics: MetricValues,
    /// The title seen last with the page, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The sum of the time on page over `timed_pageviews`, in milliseconds, when asked for: from a pageview to the next
    /// pageview of the session, or from its last pageview to a later last activity. Not written when there are no such
    /// pageviews, or when it was not asked for.
    #[serde(skip_serializing_if = "serial::is_zero")]
    pub time_on_page_ms: u64,
    /// Pageviews with a time on page.
    #[serde(skip_serializing_if = "serial::is_zero")]
    pub timed_pageviews: u64,
}

/// The metrics of a row without those that were not computed: what has an event has a session. A row without events, of which
/// all are 0, has them all.
fn metrics_asked_for<S: Serializer>(metrics: &MetricValues, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct OfEvents {
        visitors: u64,
        pageviews: u64,
        events: u64,
    }

    let MetricValues { visitors, pageviews, events, sessions, .. } = *metrics;
    match (sessions, events) {
        (0, 1..) => OfEvents { visitors, pageviews, events }.serialize(serializer),
        _ => metrics.serialize(serializer),
    }
}

/// How many visitors are live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct LiveCount {
    /// Distinct visitors.
    pub visitors: u64,
}

/// How far visits get, one number for each step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct FunnelCounts {
    /// Distinct visitors with a session that took this step and all before it.
    pub visitors: Vec<u64>,
    /// Those sessions: at least as many.
    pub sessions: Vec<u64>,
}

/// How many visitors are new.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct NewVisitors {
    /// One point a bucket, in order of time; one in all without an interval.
    pub points: Vec<NewVisitorsPoint>,
}

/// One bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NewVisitorsPoint {
    /// The whole bucket; at the ends of the queried range only the part inside it was counted.
    pub bucket: TimeRange,
    /// Visitors with an event in it, whose first event of all is in it.
    pub visitors: u64,
}

impl NewVisitors {
    /// One of `visitors` for each of `buckets`. Of a range that is `cut` into buckets, those at an end that it does not have are left
    /// out up to one with a new visitor.
    pub fn new(cut: Option<TimeRange>, buckets: &[TimeRange], visitors: &[u64]) -> Self {
        let point = |(&bucket, &visitors)| NewVisitorsPoint { bucket, visitors };
        let mut points: Vec<NewVisitorsPoint> = buckets.iter().zip(visitors).map(point).collect();
        if let Some(range) = cut {
            let has_some = |point: &NewVisitorsPoint| point.visitors > 0;
            if range.to == Timestamp::MAX {
                points.truncate(points.iter().rposition(has_some).map_or(0, |last| last + 1));
            }
            if range.from == Timestamp::MIN {
                points.drain(..points.iter().position(has_some).unwrap_or(points.len()));
            }
        }
        Self { points }
    }
}

/// A page of visitor records.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct VisitorPage {
    /// The records, the newest `visited_at` first, ties by visitor ascending.
    pub visitors: Vec<VisitorRecord>,
    /// Whether there are more after the last one.
    pub has_more: bool,
}

/// A visitor, told by the newest of the visitor's sessions with a counted event: one that starts in the range or, without
/// one, one that reaches into it. Of two that began at the same time, the one with the lower id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VisitorRecord {
    /// Who.
    #[serde(with = "serial::visitor")]
    pub visitor: VisitorId,
    /// When that session began.
    pub visited_at: Timestamp,
    /// Path of its first pageview; empty when it has none.
    pub landing_page: String,
    /// Its referrer; empty when direct.
    pub referrer: String,
    /// Its country, ISO 3166-1 alpha-2; empty when unknown.
    pub country: String,
    /// Its city; empty when unknown.
    pub city: String,
    /// Its device.
    pub device: String,
    /// Its browser.
    pub browser: String,
    /// Its operating system.
    pub os: String,
    /// Its pageviews.
    pub pageviews: u64,
    /// Its duration in milliseconds.
    pub duration_ms: u64,
    /// Whether it has an event other than pageviews.
    pub had_interaction: bool,
    /// Its `value_score`, 0 to 100.
    pub value_score: u8,
}

impl VisitorRecord {
    /// `visitor` in a session that began at `visited_at`, of which nothing else is known.
    pub fn new(visitor: VisitorId, visited_at: Timestamp) -> Self {
        Self {
            visitor,
            visited_at,
            landing_page: String::new(),
            referrer: String::new(),
            country: String::new(),
            city: String::new(),
            device: String::new(),
            browser: String::new(),
            os: String::new(),
            pageviews: 0,
            duration_ms: 0,
            had_interaction: false,
            value_score: 0,
        }
    }
}

/// Events, one row each, as columns: they take a few bytes a row and column.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EventTable {
    /// When each happened, ascending.
    pub at: Vec<Timestamp>,
    /// What happened.
    pub kind: Vec<EventKind>,
    /// Who did it.
    pub visitor: Vec<VisitorId>,
    /// In which session.
    pub session: Vec<SessionId>,
    /// The strings of each dimension, by the dimension's number.
    pub columns: [StringColumn; Dimension::COUNT],
}

/// Strings of rows. Each different one is held once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StringColumn {
    /// The position in `strings` of each row's string.
    pub codes: Vec<u32>,
    /// The strings in the order of the first row that has each.
    pub strings: Vec<Arc<str>>,
}

impl StringColumn {
    /// The string of row `row`.
    pub fn get(&self, row: usize) -> Option<&str> {
        let code = *self.codes.get(row)?;
        self.strings.get(usize::try_from(code).ok()?).map(|string| &**string)
    }
}

impl EventTable {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Adds `event` as the last row. Takes time with the number of different strings: for tests and small tables.
    pub fn push(&mut self, event: &Event) {
        self.at.push(event.at);
        self.kind.push(event.kind);
        self.visitor.push(event.visitor);
        self.session.push(event.session);
        for &dimension in Dimension::ALL {
            let column = &mut self.columns[dimension as usize];
            let string = event.dimensions.get(dimension);
            let known = column.strings.iter().position(|known| &**known == string).unwrap_or_else(|| {
                column.strings.push(Arc::from(string));
                column.strings.len() - 1
            });
            column.codes.push(u32::try_from(known).unwrap_or(u32::MAX));
        }
    }
}

/// Gives each code of a source its position in a [`StringColumn`].
#[derive(Debug, Default)]
pub(crate) struct ColumnWriter {
    pub(crate) column: StringColumn,
    positions: HashMap<u32, u32>,
}

impl ColumnWriter {
    /// Adds a row whose code in the source is `code`, and stands for `string`.
    pub(crate) fn push(&mut self, code: u32, string: &Arc<str>) {
        let column = &mut self.column;
        let position = *self.positions.entry(code).or_insert_with(|| {
            column.strings.push(Arc::clone(string));
            u32::try_from(column.strings.len() - 1).unwrap_or(u32::MAX)
        });
        column.codes.push(position);
    }
}
