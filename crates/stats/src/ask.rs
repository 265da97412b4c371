//! Asking: what metrics of a filter and a range are asked of whoever answers queries.

use std::collections::HashMap;

use zenovay_domain::{Dimension, Interval, TimeRange, Zone};
use zenovay_query::{
    Answer, BreakdownRow, Field, Filter, GroupBy, Metric as Computed, MetricValues, Order, Query, QueryError, Question,
    RowPlace,
};

use crate::join::and;
use crate::{Filters, Metric, Property, traits};

/// What is asked: metrics of what filters leave of a range.
///
/// Each method asks as many questions as it needs of `ask`, whoever answers queries, such as
/// `|query| memory.answer(query, &budget)`.
///
/// ```
/// use zenovay_stats::domain::{Event, EventKind, SessionId, TimeRange, Timestamp, VisitorId};
/// use zenovay_stats::query::{Budget, MemoryDataset};
/// use zenovay_stats::{Ask, Filters, Metric, Number};
///
/// let at = Timestamp::from_millis(1_781_308_800_000);
/// let memory = MemoryDataset::new(&[Event::new(EventKind::Pageview, at, VisitorId(7), SessionId(1))]);
/// let ask = Ask::new(TimeRange::ALL, Filters::default(), [Metric::Visitors, Metric::BounceRate]);
/// let totals = ask.aggregate(|query| memory.answer(query, &Budget::unlimited()))?;
/// assert_eq!(totals.number(Metric::Visitors), Number::Count(1));
/// assert_eq!(totals.number(Metric::BounceRate), Number::Rate(Some(1.0)));
/// # Ok::<(), zenovay_stats::query::QueryError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Ask {
    /// The instants it is about.
    pub range: TimeRange,
    /// What counts.
    pub filters: Filters,
    /// What is wanted.
    pub metrics: Vec<Metric>,
}

impl Ask {
    /// These metrics of what the filters leave of the range.
    pub fn new(range: TimeRange, filters: Filters, metrics: impl Into<Vec<Metric>>) -> Self {
        Self { range, filters, metrics: metrics.into() }
    }
}

/// A number of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Number {
    /// So many.
    Count(u64),
    /// A rate as a fraction, 0 to 1; `None` of nothing.
    Rate(Option<f64>),
    /// A mean: of times in milliseconds; `None` of nothing.
    Mean(Option<f64>),
}

/// What metrics are computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Totals {
    /// What counts.
    pub metrics: MetricValues,
    /// Visitors who are new. Counted of totals and buckets when it is asked for.
    pub new_visitors: u64,
    /// Visits that conversions are a part of; those of `metrics` when no goal is named.
    pub visits: u64,
    /// Visitors that a row's visitors are a part of.
    pub all_visitors: u64,
    /// The sum of the times on page, milliseconds.
    pub time_on_page_ms: u64,
    /// How many pageviews have one.
    pub timed_pageviews: u64,
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl Totals {
    fn of(metrics: MetricValues) -> Self {
        Self { metrics, visits: metrics.sessions, ..Self::default() }
    }

    fn of_row(row: &BreakdownRow, all_visitors: u64) -> Self {
        Self {
            all_visitors,
            time_on_page_ms: row.time_on_page_ms,
            timed_pageviews: row.timed_pageviews,
            ..Self::of(row.metrics)
        }
    }

    /// The value of `metric`.
    pub fn number(&self, metric: Metric) -> Number {
        let metrics = &self.metrics;
        match metric {
            Metric::Visitors => Number::Count(metrics.visitors),
            Metric::NewVisitors => Number::Count(self.new_visitors),
            Metric::Visits => Number::Count(metrics.sessions),
            Metric::Pageviews => Number::Count(metrics.pageviews),
            Metric::Events => Number::Count(metrics.events),
            Metric::ViewsPerVisit => Number::Mean(ratio(metrics.pageviews, metrics.sessions)),
            Metric::BounceRate => Number::Rate(metrics.bounce_rate()),
            Metric::VisitDuration => Number::Mean(metrics.mean_duration_ms()),
            Metric::ValueScore => Number::Mean(metrics.mean_value_score()),
            Metric::TimeOnPage => Number::Mean(ratio(self.time_on_page_ms, self.timed_pageviews)),
            Metric::ConversionRate => Number::Rate(ratio(metrics.sessions, self.visits)),
            Metric::Percentage => Number::Rate(ratio(metrics.visitors, self.all_visitors)),
        }
    }
}

/// One bucket of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bucket {
    /// The whole bucket.
    pub bucket: TimeRange,
    /// Its totals.
    pub totals: Totals,
}

/// Which rows of a breakdown.
///
/// ```
/// use zenovay_stats::query::Order;
/// use zenovay_stats::{Groups, Property};
///
/// let pages = Groups::by(Property::parse("event:page", false)?).order(Order::Pageviews).limit(10);
/// assert_eq!(pages.properties().len(), 1);
/// # Ok::<(), zenovay_stats::PropertyError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Groups {
    /// What rows are of.
    pub property: Property,
    /// A second property, for pairs.
    pub and: Option<Property>,
    /// What they are sorted by, descending.
    pub order: Order,
    /// How many at most.
    pub limit: usize,
    /// How many to skip.
    pub offset: usize,
    /// Only those after this place.
    pub after: Option<RowPlace>,
    /// Only those of these values.
    pub values: Option<Vec<(String, Option<String>)>>,
    /// Whether the row of the missing value of the first property is left out.
    pub leaves_out_empty: bool,
}

impl Groups {
    /// Rows of pairs, of this and of a second property.
    #[must_use]
    pub fn and(self, property: impl Into<Option<Property>>) -> Self {
        Self { and: property.into(), ..self }
    }

    /// Sorted by this.
    #[must_use]
    pub fn order(self, order: Order) -> Self {
        Self { order, ..self }
    }

    /// At most so many.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Without the first ones.
    #[must_use]
    pub fn offset(self, offset: usize) -> Self {
        Self { offset, ..self }
    }

    /// Only those after this place.
    #[must_use]
    pub fn after(self, place: impl Into<Option<RowPlace>>) -> Self {
        Self { after: place.into(), ..self }
    }

    /// Only those of these values, each of the first property and of the second.
    #[must_use]
    pub fn values(self, values: Vec<(String, Option<String>)>) -> Self {
        Self { values: Some(values), ..self }
    }

    /// All rows by `property`, the most visitors first.
    pub fn by(property: Property) -> Self {
        let leaves_out_empty = property.has_no_empty_row();
        Self {
            property,
            and: None,
            order: Order::Visitors,
            limit: usize::MAX,
            offset: 0,
            after: None,
            values: None,
            leaves_out_empty,
        }
    }

    /// What rows are of: one property or two.
    pub fn properties(&self) -> Vec<Property> {
        std::iter::once(&self.property).chain(&self.and).cloned().collect()
    }
}

/// What `filter` leaves of the events of which rows by `properties` may tell.
fn readable(properties: &[Property], filter: Filter) -> Filter {
    match properties.iter().any(Property::is_custom) {
        true => and(vec![traits::readable(), filter]),
        false => filter,
    }
}

/// One row of a breakdown.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Group {
    /// The value, as it is stored; empty when missing.
    pub value: String,
    /// The value of the second property.
    pub and: Option<String>,
    /// The title seen last, of pages.
    pub title: Option<String>,
    /// Its totals.
    pub totals: Totals,
    /// Where it stands.
    pub place: RowPlace,
}

impl Group {
    /// The row of `value`, which stands at `place`.
    pub fn new(value: impl Into<String>, totals: Totals, place: RowPlace) -> Self {
        Self { value: value.into(), and: None, title: None, totals, place }
    }
}

/// The rows of a breakdown.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Rows {
    /// The rows.
    pub rows: Vec<Group>,
    /// How many rows there are in all, whatever the limit.
    pub total_rows: usize,
}

impl Rows {
    /// These, of so many in all.
    pub fn new(rows: Vec<Group>, total_rows: usize) -> Self {
        Self { rows, total_rows }
    }
}

/// What a question was answered with.
pub type Asked<T> = Result<T, QueryError>;

impl Ask {
    /// The same of another range.
    #[must_use]
    pub fn in_range(&self, range: TimeRange) -> Self {
        Self { range, ..self.clone() }
    }

    fn wants_conversions(&self) -> bool {
        self.metrics.contains(&Metric::ConversionRate)
    }

    fn query(&self, filter: Filter, question: Question) -> Query {
        Query::new(self.range, question).filter(filter)
    }

    /// What rows by `properties` may tell of: where one is a custom property, not of events in which somebody told
    /// about themselves.
    pub fn readable(&self, properties: &[Property]) -> Filter {
        readable(properties, self.filters.all())
    }

    /// What is counted in rows by `properties`: what they may tell of, and of pages, where these come first, the views
    /// only. Where a goal or the name of an event is asked for, a page's rows are of those events.
    pub fn filter_of_rows(&self, properties: &[Property]) -> Filter {
        let counted = properties.first().and_then(Property::counted).filter(|_| !self.filters.names_event);
        and(counted.into_iter().chain([self.readable(properties)]).collect())
    }

    /// The totals.
    ///
    /// # Errors
    /// What `ask` fails with, like all methods here.
    pub fn aggregate(&self, mut ask: impl FnMut(&Query) -> Asked<Answer>) -> Asked<Totals> {
        let mut overview = |filter| -> Asked<MetricValues> {
            Ok(ask(&self.query(filter, Question::Overview))?.into_overview()?.metrics)
        };
        let mut totals = Totals::of(overview(self.filters.all())?);
        if self.wants_conversions() && self.filters.goals.is_some() {
            totals.visits = overview(self.filters.rest.clone())?.sessions;
        }
        if self.metrics.contains(&Metric::NewVisitors) {
            let question = Question::NewVisitors { interval: None, zone: Zone::utc() };
            let points = ask(&self.query(self.filters.all(), question))?.into_new_visitors()?.points;
            totals.new_visitors = points.iter().map(|point| point.visitors).fold(0, u64::saturating_add);
        }
        if self.metrics.contains(&Metric::TimeOnPage) {
            let path = Field::Dimension(Dimension::Path);
            let filter = self.filter_of_rows(&[Property::Field(path.clone())]);
            let by = GroupBy::by(path).metrics([Computed::TimeOnPage]);
            let timed = ask(&self.query(filter, Question::Breakdown(by)))?.into_breakdown()?.rows;
            totals.time_on_page_ms = timed.iter().map(|row| row.time_on_page_ms).fold(0, u64::saturating_add);
            totals.timed_pageviews = timed.iter().map(|row| row.timed_pageviews).fold(0, u64::saturating_add);
        }
        Ok(totals)
    }

    /// The totals of each bucket of the range; buckets without events are there, too.
    ///
    /// # Errors
    /// As [`Ask::aggregate`].
    pub fn timeseries(
        &self,
        interval: Interval,
        zone: &Zone,
        mut ask: impl FnMut(&Query) -> Asked<Answer>,
    ) -> Asked<Vec<Bucket>> {
        let mut series = |filter| -> Asked<_> {
            let question = Question::Series { interval, zone: zone.clone() };
            Ok(ask(&self.query(filter, question))?.into_series()?.points)
        };
        let points = series(self.filters.all())?;
        let mut buckets: Vec<Bucket> =
            points.iter().map(|point| Bucket { bucket: point.bucket, totals: Totals::of(point.metrics) }).collect();
        if self.wants_conversions() && self.filters.goals.is_some() {
            // Of all time each series begins with its own first event.
            let points = series(self.filters.rest.clone())?;
            let visits: HashMap<TimeRange, u64> =
                points.iter().map(|point| (point.bucket, point.metrics.sessions)).collect();
            for bucket in &mut buckets {
                bucket.totals.visits = visits.get(&bucket.bucket).copied().unwrap_or(0);
            }
        }
        if self.metrics.contains(&Metric::NewVisitors) {
            let question = Question::NewVisitors { interval: Some(interval), zone: zone.clone() };
            let points = ask(&self.query(self.filters.all(), question))?.into_new_visitors()?.points;
            let new: HashMap<TimeRange, u64> = points.iter().map(|point| (point.bucket, point.visitors)).collect();
            for bucket in &mut buckets {
                bucket.totals.new_visitors = new.get(&bucket.bucket).copied().unwrap_or(0);
            }
        }
        Ok(buckets)
    }

    /// The rows of a breakdown.
    ///
    /// # Errors
    /// As [`Ask::aggregate`].
    pub fn breakdown(&self, groups: &Groups, mut ask: impl FnMut(&Query) -> Asked<Answer>) -> Asked<Rows> {
        let by = self.group_by(groups);
        let filter = self.filter_of_rows(&groups.properties());
        let found = ask(&self.query(filter, Question::Breakdown(by)))?.into_breakdown()?;
        let all_visitors = found.total_visitors;
        let mut list: Vec<Group> = found
            .rows
            .into_iter()
            .map(|row| Group {
                totals: Totals::of_row(&row, all_visitors),
                place: RowPlace::of(&row, groups.order),
                value: row.value,
                and: row.and,
                title: row.title,
            })
            .collect();
        if self.wants_conversions() && !list.is_empty() {
            self.add_visits(groups, &mut list, ask)?;
        }
        Ok(Rows { rows: list, total_rows: found.total_rows })
    }

    /// The different sets of custom properties that events have, as JSON objects, each with how many events have it: at most
    /// `limit`, the most frequent first. Nothing of events in which somebody told about themselves.
    ///
    /// # Errors
    /// As [`Ask::aggregate`].
    pub fn property_sets(
        &self,
        limit: usize,
        mut ask: impl FnMut(&Query) -> Asked<Answer>,
    ) -> Asked<Vec<(String, u64)>> {
        let by = GroupBy::by(Dimension::Properties).order(Order::Events).limit(limit).without_empty();
        let filter = and(vec![traits::readable(), self.filters.all()]);
        let found = ask(&self.query(filter, Question::Breakdown(by)))?.into_breakdown()?;
        Ok(found.rows.into_iter().map(|row| (row.value, row.metrics.events)).collect())
    }

    fn group_by(&self, groups: &Groups) -> GroupBy {
        let mut metrics = Vec::new();
        if self.metrics.iter().any(|metric| metric.needs_sessions()) {
            metrics.push(Computed::Sessions);
        }
        if self.metrics.contains(&Metric::TimeOnPage) {
            metrics.push(Computed::TimeOnPage);
        }
        if groups.property.is_page() {
            metrics.push(Computed::Title);
        }
        let mut by = GroupBy::by(groups.property.field()).metrics(metrics).order(groups.order);
        by.and = groups.and.as_ref().map(Property::field);
        (by.limit, by.offset) = (groups.limit, groups.offset);
        by.include_empty = !groups.leaves_out_empty;
        by.values.clone_from(&groups.values);
        by.after = groups.after.clone().map(Box::new);
        by
    }

    /// The visits that the conversions of each row are a part of: of rows by goals all visits, of others those of the row.
    fn add_visits(
        &self,
        groups: &Groups,
        list: &mut [Group],
        mut ask: impl FnMut(&Query) -> Asked<Answer>,
    ) -> Asked<()> {
        if groups.property == Property::Goal || groups.and == Some(Property::Goal) {
            let all =
                ask(&self.query(self.filters.rest.clone(), Question::Overview))?.into_overview()?.metrics.sessions;
            list.iter_mut().for_each(|row| row.totals.visits = all);
            return Ok(());
        }
        if self.filters.goals.is_none() {
            return Ok(());
        }
        let values = list.iter().map(|row| (row.value.clone(), row.and.clone())).collect();
        // The same rows, whichever places they have among all.
        let mut by = self.group_by(groups).metrics([Computed::Sessions]).order(Order::Visitors).values(values);
        (by.limit, by.offset, by.after) = (usize::MAX, 0, None);
        let whole = readable(&groups.properties(), self.filters.rest.clone());
        let whole = ask(&self.query(whole, Question::Breakdown(by)))?.into_breakdown()?;
        let visits: HashMap<(&str, Option<&str>), u64> =
            whole.rows.iter().map(|row| ((row.value.as_str(), row.and.as_deref()), row.metrics.sessions)).collect();
        for row in list {
            row.totals.visits = visits.get(&(row.value.as_str(), row.and.as_deref())).copied().unwrap_or(0);
        }
        Ok(())
    }
}
