//! The question: a range, a filter, and what is wanted.

use serde::{Deserialize, Serialize};
use zenovay_domain::{Interval, TimeRange, Timestamp, VisitorId, Zone};

use crate::{BreakdownRow, Field, Filter, MetricValues, QueryError, serial};

/// One question about one website.
///
/// ```
/// use zenovay_query::{Query, Question};
///
/// let query: Query = serde_json::from_str(
///     r#"{
///         "range": { "from": 1800000000000, "to": 1800086400000 },
///         "filter": { "condition": { "field": "country", "operator": "is", "values": ["CA"] } },
///         "question": { "breakdown": { "field": "page", "limit": 10 } }
///     }"#,
/// )?;
/// assert!(matches!(query.question, Question::Breakdown(by) if by.limit == 10));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Query {
    /// The instants it is about, half-open. Metrics of events count events in it; metrics of sessions count whole sessions
    /// with an event in it.
    pub range: TimeRange,
    /// Which events, sessions or visitors count.
    #[serde(default)]
    pub filter: Filter,
    /// What is wanted.
    pub question: Question,
}

impl Query {
    /// `question` about everything in `range`.
    pub fn new(range: TimeRange, question: Question) -> Self {
        Self { range, filter: Filter::default(), question }
    }

    /// The range when the new visitors of each of its buckets are wanted: what [`NewVisitors::new`](crate::NewVisitors::new) takes.
    pub fn cut(&self) -> Option<TimeRange> {
        matches!(self.question, Question::NewVisitors { interval: Some(_), .. }).then_some(self.range)
    }

    /// The same about what `filter` chooses.
    #[must_use]
    pub fn filter(self, filter: impl Into<Filter>) -> Self {
        Self { filter: filter.into(), ..self }
    }

    /// Whoever answers a question asks this first, whatever else the answer is made from.
    ///
    /// # Errors
    /// When its filter has too many levels, or would have them beside a step of a funnel.
    pub fn check_depth(&self) -> Result<(), QueryError> {
        let Question::Funnel { steps } = &self.question else { return self.filter.check_depth(Filter::DEPTH_MAX) };
        let mut filters = std::iter::once(&self.filter).chain(steps);
        filters.try_for_each(|filter| filter.check_depth(Filter::DEPTH_MAX - 1))
    }
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Question {
    /// The totals of the range.
    Overview,
    /// The totals of each bucket of the range; buckets without events are in the answer, with zeros. Visitors and sessions
    /// count in each bucket in which they have an event. Where the range has no end, [`Timestamp::MIN`] or
    /// [`Timestamp::MAX`], the series begins with the bucket of the first event that the filter chooses, and ends with that of
    /// the last.
    Series {
        /// The width of the buckets.
        interval: Interval,
        /// The zone in which they are cut.
        zone: Zone,
    },
    /// The totals of each value of one field, or of each pair of values of two.
    Breakdown(GroupBy),
    /// Visitors of the sessions whose last activity (event or heartbeat) is less than
    /// [`zenovay_domain::LIVE_WINDOW_MS`] away from `range.to`: also after it, because the clock of a browser may run
    /// ahead of ours. With a filter only sessions with at least one event, at any time, that the filter chooses.
    /// `range.from` is used by conditions on visitors only.
    Live,
    /// One record for each visitor with an event in the range, the newest visit first.
    Visitors {
        /// How many records at most.
        #[serde(default = "serial::unlimited", skip_serializing_if = "serial::is_unlimited")]
        limit: usize,
        /// How many to skip.
        #[serde(default)]
        offset: usize,
        /// Only records after this one in the order of the list: its `visited_at` and visitor.
        #[serde(default, with = "serial::place", skip_serializing_if = "Option::is_none")]
        after: Option<(Timestamp, VisitorId)>,
    },
    /// How far visits get on a way of several steps, at most 255. A step is an event in the range that the filter of the
    /// query and that of the step choose. Steps are taken in order within one session, each by a later event than the step
    /// before; events of the same time come in the order of their arrival.
    Funnel {
        /// What is a step, the first one first.
        steps: Vec<Filter>,
    },
    /// How many of the visitors with an event in the range, and in each bucket of it, are new: their first event among all that
    /// are kept, whatever the filter, is in the range, or in the bucket. A visitor without a cookie is another one each day. Where the range
    /// has no end, the buckets begin, or end, with one in which somebody is new.
    NewVisitors {
        /// The width of the buckets; `None` for the range as one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interval: Option<Interval>,
        /// The zone in which they are cut.
        #[serde(default = "Zone::utc")]
        zone: Zone,
    },
    /// The events themselves, one row each, in order of time, those of the same time in the order of their arrival.
    /// Heartbeats are not among them.
    Events {
        /// How many rows at most.
        #[serde(default = "serial::unlimited", skip_serializing_if = "serial::is_unlimited")]
        limit: usize,
        /// How many to skip.
        #[serde(default)]
        offset: usize,
    },
}

/// How a breakdown groups and sorts. [`GroupBy::by`] is where to begin.
///
/// ```
/// use zenovay_query::domain::Dimension::{Browser, Country};
/// use zenovay_query::{Metric, Order, by, serde_json};
///
/// let rows = by(Country).and(Browser).metrics([Metric::Sessions]).order(Order::Sessions).limit(20);
/// let written = serde_json::to_value(&rows)?;
/// assert_eq!((&written["field"], &written["limit"]), (&"country".into(), &20.into()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GroupBy {
    /// What is grouped by. Fields of events ([`Field::level`]) group each event by its own value, fields of sessions by that of
    /// its session: the value of the session's first event, or its entry or exit page.
    pub field: Field,
    /// A second field, for pairs such as browser × operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub and: Option<Field>,
    /// The metrics wanted beside visitors, pageviews and events, which every row has. Others cost time only when asked for.
    #[serde(default)]
    pub metrics: Vec<Metric>,
    /// What the rows are sorted by, descending; ties are broken by the value, ascending.
    #[serde(default)]
    pub order: Order,
    /// How many rows at most.
    #[serde(default = "serial::unlimited", skip_serializing_if = "serial::is_unlimited")]
    pub limit: usize,
    /// How many rows to skip.
    #[serde(default)]
    pub offset: usize,
    /// Whether the row of the empty value (no country, no campaign) is in the answer. With a second field only the first
    /// decides.
    #[serde(default = "serial::yes")]
    pub include_empty: bool,
    /// Only the rows of these values (of the field and of the second one), in the same order; `None` for all. `limit` and
    /// `offset` count among them, [`crate::Breakdown::total_rows`] and `total_visitors` are of all rows nevertheless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<(String, Option<String>)>>,
    /// Only the rows after this place in their order; `None` for all from the first. `limit` and `offset` count from there,
    /// the totals are of all rows nevertheless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Box<RowPlace>>,
}

/// Where a row of a breakdown stands in the order of the rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RowPlace {
    /// What the rows are sorted by, of this row.
    pub count: u64,
    /// The value of the field.
    pub value: String,
    /// The value of the second field, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub and: Option<String>,
}

impl RowPlace {
    /// The place of the row of `value`, and of the second value when there is a second field, by which `count` rows are sorted.
    pub fn new(count: u64, value: impl Into<String>, and: Option<String>) -> Self {
        Self { count, value: value.into(), and }
    }

    /// The place of `row` among rows in this order.
    pub fn of(row: &BreakdownRow, order: Order) -> Self {
        Self { count: order.count(&row.metrics), value: row.value.clone(), and: row.and.clone() }
    }
}

/// [`GroupBy::by`]: all rows by `field`, the most visitors first.
pub fn by(field: impl Into<Field>) -> GroupBy {
    GroupBy::by(field)
}

impl GroupBy {
    /// All rows by `field`, also that of the empty value, the most visitors first, with visitors, pageviews and events only.
    pub fn by(field: impl Into<Field>) -> Self {
        Self {
            field: field.into(),
            and: None,
            metrics: Vec::new(),
            order: Order::Visitors,
            limit: usize::MAX,
            offset: 0,
            include_empty: true,
            values: None,
            after: None,
        }
    }

    /// Rows for each pair of values with this second field.
    #[must_use]
    pub fn and(self, field: impl Into<Field>) -> Self {
        Self { and: Some(field.into()), ..self }
    }

    /// Exactly these metrics beside visitors and pageviews.
    #[must_use]
    pub fn metrics(self, metrics: impl Into<Vec<Metric>>) -> Self {
        Self { metrics: metrics.into(), ..self }
    }

    /// The rows sorted by this, descending.
    #[must_use]
    pub fn order(self, order: Order) -> Self {
        Self { order, ..self }
    }

    /// At most so many rows.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Without the first so many rows.
    #[must_use]
    pub fn offset(self, offset: usize) -> Self {
        Self { offset, ..self }
    }

    /// Without the row of the empty value.
    #[must_use]
    pub fn without_empty(self) -> Self {
        Self { include_empty: false, ..self }
    }

    /// Only the rows of these values, see [`GroupBy::values`].
    #[must_use]
    pub fn values(self, values: Vec<(String, Option<String>)>) -> Self {
        Self { values: Some(values), ..self }
    }

    /// Only the rows after this one, see [`GroupBy::after`].
    #[must_use]
    pub fn after(self, place: RowPlace) -> Self {
        Self { after: Some(Box::new(place)), ..self }
    }

    /// Whether metrics of sessions are computed: they were asked for, or the rows are sorted by them.
    pub fn wants_sessions(&self) -> bool {
        self.metrics.contains(&Metric::Sessions) || self.order == Order::Sessions
    }
}

/// What the rows of a breakdown are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Order {
    /// Distinct visitors.
    #[default]
    Visitors,
    /// Pageviews.
    Pageviews,
    /// Sessions, `visits` where it is written.
    #[serde(rename = "visits")]
    Sessions,
    /// Events of every kind but heartbeats.
    Events,
}

impl Order {
    /// The number that a row with these metrics is sorted by.
    pub fn count(self, metrics: &MetricValues) -> u64 {
        match self {
            Self::Visitors => metrics.visitors,
            Self::Pageviews => metrics.pageviews,
            Self::Sessions => metrics.sessions,
            Self::Events => metrics.events,
        }
    }
}

/// A metric that a breakdown computes on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// Sessions, bounce rate, mean duration and value score, of the sessions with a counted event of the row. By fields of
    /// sessions the rows add up to the total; by a field of events, or when one of two is such, a session counts in each row
    /// in which it has an event. `visits` where it is written.
    #[serde(rename = "visits")]
    Sessions,
    /// The title seen last with a page: that of the latest counted event of the row that has one. Only for rows by
    /// [`zenovay_domain::Dimension::Path`], nothing for others.
    Title,
    /// Mean time on page. Only for rows by [`zenovay_domain::Dimension::Path`], nothing for others.
    TimeOnPage,
}
