//! Comparisons: the same question of a range and of an earlier one, and what changed.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use zenovay_domain::{Interval, TimeRange, Zone};

use crate::{
    Answer, BreakdownRow, Filter, GroupBy, Metric, MetricValues, Order, Query, QueryError, Question, SeriesPoint,
};

/// What a range is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Baseline {
    /// The period directly before, by the calendar: [`Zone::period_before`].
    PreviousPeriod,
    /// The same period one year earlier: [`Zone::year_before`].
    PreviousYear,
    /// This range.
    Range(TimeRange),
}

/// A range with a filter, held against an earlier range with the same filter.
///
/// Each method asks one question of both and puts the answers together; `ask` is whoever answers queries, such as
/// `|query| store.query(website, query, &budget)` or `|query| memory.answer(query, &budget)`. Both queries are plain ones,
/// so every number is defined where those are: a comparison adds nothing but the earlier range and the change.
///
/// ```
/// use zenovay_query::domain::{Event, EventKind, SessionId, TimeRange, Timestamp, VisitorId, Zone, parse_date};
/// use zenovay_query::{Baseline, Budget, Comparison, MemoryDataset};
///
/// let zone = Zone::utc();
/// let day = |date: &str| parse_date(date).map(|day| zone.day_start(day));
/// let view = |at: Timestamp, n| Event::new(EventKind::Pageview, at, VisitorId(n), SessionId(n));
/// let june = TimeRange::new(day("2026-06-01")?, day("2026-07-01")?);
/// let memory = MemoryDataset::new(&[view(day("2026-05-31")?, 1), view(june.from, 2), view(june.from, 3)]);
///
/// let compared = Comparison::new(june, Baseline::PreviousPeriod, zone.clone());
/// let totals = compared.overview(|query| memory.answer(query, &Budget::unlimited()))?;
/// assert_eq!((totals.current.visitors, totals.earlier.visitors), (2, 1));
/// assert_eq!(totals.changes().visitors.relative, Some(1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Comparison {
    /// The instants it is about.
    pub range: TimeRange,
    /// What they are compared with.
    pub with: Baseline,
    /// Where days and months are cut, for the earlier range and for series: as a rule the website's zone.
    pub zone: Zone,
    /// Which events, sessions or visitors count, in both ranges.
    #[serde(default)]
    pub filter: Filter,
}

/// What one question had for an answer in both ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "two sides")]
pub struct Compared<T> {
    /// In the range that was asked about.
    pub current: T,
    /// In the earlier one.
    pub earlier: T,
}

/// Series of both ranges side by side.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct ComparedSeries {
    /// The first buckets of both, the second ones, and so on. Where one range has more buckets (31 days and 30), its last
    /// ones have no partner.
    pub points: Vec<Compared<Option<SeriesPoint>>>,
}

/// The rows of a breakdown with their values in the earlier range.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct ComparedBreakdown {
    /// The rows of the range that was asked about, sorted and cut as asked, each with the row of the same value in the
    /// earlier range: one with zeros when that has none. Values that only the earlier range has are not in the list.
    pub rows: Vec<Compared<BreakdownRow>>,
    /// How many rows there are in all.
    pub total_rows: Compared<usize>,
    /// Distinct visitors over all rows.
    pub total_visitors: Compared<u64>,
}

/// How a number changed from the earlier range to the current one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "it is these two numbers")]
pub struct Change<T> {
    /// Current minus earlier, in the unit of the number.
    pub absolute: T,
    /// The same as a fraction of the earlier value: 0.5 is half as much again, -1 is nothing left. `None` when the earlier
    /// value is 0, also when both are.
    pub relative: Option<f64>,
}

/// How the metrics of a range changed. Rates have a change only when both ranges have sessions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MetricChanges {
    /// Of the distinct visitors.
    pub visitors: Change<i64>,
    /// Of the pageviews.
    pub pageviews: Change<i64>,
    /// Of the events of every kind but heartbeats.
    pub events: Change<i64>,
    /// Of the sessions.
    pub sessions: Change<i64>,
    /// Of the bounce rate: absolute from -1 to 1.
    pub bounce_rate: Option<Change<f64>>,
    /// Of the mean visit duration: absolute in milliseconds.
    pub mean_duration_ms: Option<Change<f64>>,
    /// Of the mean value score: absolute in points.
    pub mean_value_score: Option<Change<f64>>,
}

impl Comparison {
    /// `range` held against `with`, with days and months cut in `zone`.
    pub fn new(range: TimeRange, with: Baseline, zone: Zone) -> Self {
        Self { range, with, zone, filter: Filter::default() }
    }

    /// The same of what `filter` chooses.
    #[must_use]
    pub fn filter(self, filter: impl Into<Filter>) -> Self {
        Self { filter: filter.into(), ..self }
    }

    /// The range that [`Comparison::range`] is compared with.
    pub fn earlier_range(&self) -> TimeRange {
        match self.with {
            Baseline::PreviousPeriod => self.zone.period_before(self.range),
            Baseline::PreviousYear => self.zone.year_before(self.range),
            Baseline::Range(range) => range,
        }
    }

    /// The totals of both ranges.
    ///
    /// # Errors
    /// What `ask` fails with.
    pub fn overview(
        &self,
        mut ask: impl FnMut(&Query) -> Result<Answer, QueryError>,
    ) -> Result<Compared<MetricValues>, QueryError> {
        self.both(|range| Ok(ask(&self.query(range, Question::Overview))?.into_overview()?.metrics))
    }

    /// The totals of each bucket of both ranges, cut in [`Comparison::zone`].
    ///
    /// # Errors
    /// What `ask` fails with.
    pub fn series(
        &self,
        interval: Interval,
        mut ask: impl FnMut(&Query) -> Result<Answer, QueryError>,
    ) -> Result<ComparedSeries, QueryError> {
        let question = Question::Series { interval, zone: self.zone.clone() };
        let Compared { current, earlier } =
            self.both(|range| Ok(ask(&self.query(range, question.clone()))?.into_series()?.points))?;
        let pair = |number| Compared { current: current.get(number).copied(), earlier: earlier.get(number).copied() };
        Ok(ComparedSeries { points: (0..current.len().max(earlier.len())).map(pair).collect() })
    }

    /// The rows of a breakdown, with their values in the earlier range, which is asked for the rows of these values only.
    ///
    /// # Errors
    /// What `ask` fails with.
    pub fn breakdown(
        &self,
        by: &GroupBy,
        mut ask: impl FnMut(&Query) -> Result<Answer, QueryError>,
    ) -> Result<ComparedBreakdown, QueryError> {
        let mut rows_of = |range, by| ask(&self.query(range, Question::Breakdown(by)))?.into_breakdown();
        let current = rows_of(self.range, by.clone())?;
        let mut partners = GroupBy {
            // Any order will do, and sessions of rows that are not shown are computed only to sort by them.
            order: Order::Visitors,
            limit: usize::MAX,
            offset: 0,
            after: None,
            values: Some(current.rows.iter().map(|row| (row.value.clone(), row.and.clone())).collect()),
            ..by.clone()
        };
        if by.order == Order::Sessions {
            partners.metrics.push(Metric::Sessions);
        }
        let earlier = rows_of(self.earlier_range(), partners)?;
        let partners: HashMap<_, _> = earlier.rows.iter().map(|row| (key(row), row)).collect();
        let pair = |row: &BreakdownRow| Compared {
            current: row.clone(),
            earlier: match partners.get(&key(row)) {
                Some(&partner) => partner.clone(),
                None => BreakdownRow { value: row.value.clone(), and: row.and.clone(), ..BreakdownRow::default() },
            },
        };
        Ok(ComparedBreakdown {
            rows: current.rows.iter().map(pair).collect(),
            total_rows: Compared { current: current.total_rows, earlier: earlier.total_rows },
            total_visitors: Compared { current: current.total_visitors, earlier: earlier.total_visitors },
        })
    }

    fn both<T>(&self, mut ask: impl FnMut(TimeRange) -> Result<T, QueryError>) -> Result<Compared<T>, QueryError> {
        Ok(Compared { current: ask(self.range)?, earlier: ask(self.earlier_range())? })
    }

    fn query(&self, range: TimeRange, question: Question) -> Query {
        Query { range, filter: self.filter.clone(), question }
    }
}

fn key(row: &BreakdownRow) -> (&str, Option<&str>) {
    (&row.value, row.and.as_deref())
}

impl Compared<MetricValues> {
    /// What changed.
    pub fn changes(&self) -> MetricChanges {
        let Self { current, earlier } = self;
        let rate = |of: fn(&MetricValues) -> Option<f64>| Some(Change::of_values(of(current)?, of(earlier)?));
        MetricChanges {
            visitors: Change::of_counts(current.visitors, earlier.visitors),
            pageviews: Change::of_counts(current.pageviews, earlier.pageviews),
            events: Change::of_counts(current.events, earlier.events),
            sessions: Change::of_counts(current.sessions, earlier.sessions),
            bounce_rate: rate(MetricValues::bounce_rate),
            mean_duration_ms: rate(MetricValues::mean_duration_ms),
            mean_value_score: rate(MetricValues::mean_value_score),
        }
    }
}

impl Compared<BreakdownRow> {
    /// What changed.
    pub fn changes(&self) -> MetricChanges {
        Compared { current: self.current.metrics, earlier: self.earlier.metrics }.changes()
    }
}

impl Compared<Option<SeriesPoint>> {
    /// What changed; `None` for a bucket without partner.
    pub fn changes(&self) -> Option<MetricChanges> {
        Some(Compared { current: self.current?.metrics, earlier: self.earlier?.metrics }.changes())
    }
}

impl Change<i64> {
    /// The change of a count. Exact in `absolute` as long as the counts differ by less than 2⁶³.
    pub fn of_counts(current: u64, earlier: u64) -> Self {
        let distance = i64::try_from(current.abs_diff(earlier)).unwrap_or(i64::MAX);
        let absolute = if current < earlier { -distance } else { distance };
        Self { absolute, relative: (earlier > 0).then(|| absolute as f64 / earlier as f64) }
    }
}

impl Change<f64> {
    /// The change of a rate or a mean.
    pub fn of_values(current: f64, earlier: f64) -> Self {
        let absolute = current - earlier;
        Self { absolute, relative: (earlier != 0.0).then(|| absolute / earlier) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_from_nothing_has_no_fraction() {
        assert_eq!(Change::of_counts(3, 0), Change { absolute: 3, relative: None });
        assert_eq!(Change::of_counts(0, 0), Change { absolute: 0, relative: None });
        assert_eq!(Change::of_counts(0, 4), Change { absolute: -4, relative: Some(-1.0) });
        assert_eq!(Change::of_counts(6, 4), Change { absolute: 2, relative: Some(0.5) });
        assert_eq!(Change::of_values(0.25, 0.0), Change { absolute: 0.25, relative: None });
        assert_eq!(Change::of_values(0.25, 0.5), Change { absolute: -0.25, relative: Some(-0.5) });
        assert_eq!(Change::of_counts(u64::MAX, 0).absolute, i64::MAX);
    }

    #[test]
    fn rates_change_only_where_both_ranges_have_one() {
        let some = MetricValues { sessions: 4, bounces: 1, duration_ms: 400, ..MetricValues::default() };
        let none = MetricValues::default();
        assert_eq!(Compared { current: some, earlier: none }.changes().bounce_rate, None);
        assert_eq!(Compared { current: none, earlier: some }.changes().mean_duration_ms, None);
        let double = MetricValues { sessions: 4, bounces: 2, duration_ms: 800, ..MetricValues::default() };
        let changes = Compared { current: double, earlier: some }.changes();
        assert_eq!(changes.bounce_rate, Some(Change { absolute: 0.25, relative: Some(1.0) }));
        assert_eq!(changes.mean_duration_ms, Some(Change { absolute: 100.0, relative: Some(1.0) }));
    }

    #[test]
    fn an_answer_to_another_question_is_an_error() {
        let range = TimeRange::new(zenovay_domain::Timestamp::default(), zenovay_domain::Timestamp::from_millis(9));
        let comparison =
            Comparison { range, with: Baseline::PreviousPeriod, zone: Zone::utc(), filter: Filter::default() };
        let wrong = |_: &Query| Ok(Answer::Live(crate::LiveCount { visitors: 1 }));
        assert!(matches!(comparison.overview(wrong), Err(QueryError::Damaged(_))));
        assert!(matches!(comparison.series(Interval::Day, wrong), Err(QueryError::Damaged(_))));
    }
}
