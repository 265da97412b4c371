//! The kernels: exact answers from columns of dense codes.
//!
//! Rows of a range are found by binary search, distinct counts are bitmaps or stamps over dense codes, filters are
//! evaluated once per dictionary entry, and metrics of sessions come from session tables.
//!
//! All of them panic when a code of the dataset is not below the length of its dictionary, see [`Dataset`].

#![expect(
    clippy::cast_possible_truncation,
    reason = "a row and a code have 32 bits: no chunk has more rows, no dictionary more values"
)]

mod breakdown;
mod counted;
mod details;
mod distinct;
mod events;
mod funnel;
mod long;
mod newcomers;
mod pageviews;
mod select;
mod sessions;
mod visitors;
mod work;

use std::borrow::Cow;

use zenovay_domain::{Interval, LIVE_WINDOW_MS, TimeRange, Timestamp, VisitorId, Zone};

use self::counted::CountedSessions;
use self::long::{series_buckets, series_of};
use self::pageviews::count_pageviews;
use self::select::{Scan, Test};
use self::work::{Bits, Work};
use crate::needs::{live_window, session_window};
use crate::{
    Answer, Breakdown, Budget, Dataset, EventTable, Filter, FunnelCounts, GroupBy, LiveCount, MemoryDataset,
    MetricValues, NewVisitors, Overview, Query, QueryError, Question, Series, SeriesPoint, VisitorPage,
};

/// The answer to `query` about the website whose rows are in `dataset`.
///
/// # Errors
/// When the budget is used up or cancelled, or when a column that the query reads is not in the dataset.
pub fn answer(dataset: &Dataset<'_>, query: &Query, budget: &Budget) -> Result<Answer, QueryError> {
    query.check_depth()?;
    let Query { range, ref filter, ref question } = *query;
    Ok(match *question {
        Question::Overview => Answer::Overview(overview(dataset, range, filter, budget)?),
        Question::Series { interval, ref zone } => {
            Answer::Series(series(dataset, range, filter, interval, zone, budget)?)
        }
        Question::Breakdown(ref group_by) => Answer::Breakdown(breakdown(dataset, range, filter, group_by, budget)?),
        Question::Live => Answer::Live(live(dataset, range, filter, budget)?),
        Question::Visitors { limit, offset, after } => {
            Answer::Visitors(visitors(dataset, range, filter, (limit, offset), after, budget)?)
        }
        Question::Funnel { ref steps } => Answer::Funnel(funnel(dataset, range, filter, steps, budget)?),
        Question::NewVisitors { .. } => Answer::NewVisitors(new_visitors(dataset, query, budget)?),
        Question::Events { limit, offset } => {
            Answer::Events(Box::new(events(dataset, range, filter, (limit, offset), budget)?))
        }
    })
}

impl MemoryDataset {
    /// The answer to `query`.
    ///
    /// # Errors
    /// When the budget is used up or cancelled, the filter too deep, or a session of the events one that cannot be.
    pub fn answer(&self, query: &Query, budget: &Budget) -> Result<Answer, QueryError> {
        if let Some(fault) = self.session_fault() {
            return Err(QueryError::Session(fault));
        }
        answer(&self.dataset(&self.chunks()), query, budget)
    }
}

/// The answer to [`Question::Overview`].
///
/// # Errors
/// See [`answer`].
pub fn overview(
    dataset: &Dataset<'_>,
    range: TimeRange,
    filter: &Filter,
    budget: &Budget,
) -> Result<Overview, QueryError> {
    let work = Work::new(budget);
    let scan = Scan::new(dataset, range, session_window(range), &work);
    scan.overview(&scan.compile(filter)?)
}

/// The answer to [`Question::Series`].
///
/// # Errors
/// See [`answer`].
pub fn series(
    dataset: &Dataset<'_>,
    range: TimeRange,
    filter: &Filter,
    interval: Interval,
    zone: &Zone,
    budget: &Budget,
) -> Result<Series, QueryError> {
    let work = Work::new(budget);
    let scan = Scan::new(dataset, range, session_window(range), &work);
    scan.series(&scan.compile(filter)?, interval, zone)
}

/// The answer to [`Question::Breakdown`].
///
/// # Errors
/// See [`answer`].
pub fn breakdown(
    dataset: &Dataset<'_>,
    range: TimeRange,
    filter: &Filter,
    group_by: &GroupBy,
    budget: &Budget,
) -> Result<Breakdown, QueryError> {
    let work = Work::new(budget);
    let scan = Scan::new(dataset, range, session_window(range), &work);
    scan.breakdown(&scan.compile(filter)?, group_by)
}

/// The answer to [`Question::Live`] at `range.to`.
///
/// # Errors
/// See [`answer`].
pub fn live(
    dataset: &Dataset<'_>,
    range: TimeRange,
    filter: &Filter,
    budget: &Budget,
) -> Result<LiveCount, QueryError> {
    let work = Work::new(budget);
    let scan = Scan::new(dataset, range, live_window(range, filter), &work);
    if *filter == Filter::default() {
        return scan.live(None);
    }
    scan.live(Some(&scan.compile(filter)?))
}

/// The answer to [`Question::Visitors`], with its (limit, offset) and its place to go on after.
///
/// # Errors
/// See [`answer`].
pub fn visitors(
    dataset: &Dataset<'_>,
    range: TimeRange,
    filter: &Filter,
    (limit, offset): (usize, usize),
    after: Option<(Timestamp, VisitorId)>,
    budget: &Budget,
) -> Result<VisitorPage, QueryError> {
    let work = Work::new(budget);
    let scan = Scan::new(dataset, range, session_window(range), &work);
    scan.visitors(&scan.compile(filter)?, (limit, offset), after)
}

/// The answer to [`Question::Funnel`], with its steps, of which it has 255 at most.
fn funnel(
    dataset: &Dataset<'_>,
    range: TimeRange,
    filter: &Filter,
    steps: &[Filter],
    budget: &Budget,
) -> Result<FunnelCounts, QueryError> {
    let work = Work::new(budget);
    let scan = Scan::new(dataset, range, session_window(range), &work);
    scan.funnel(filter, steps)
}

/// The answer to [`Question::NewVisitors`].
fn new_visitors(dataset: &Dataset<'_>, query: &Query, budget: &Budget) -> Result<NewVisitors, QueryError> {
    let work = Work::new(budget);
    let scan = Scan::new(dataset, query.range, session_window(query.range), &work);
    let test = scan.compile(&query.filter)?;
    let buckets = self::long::buckets_of(query, scan.span(), &work)?;
    Ok(NewVisitors::new(query.cut(), &buckets, &scan.new_visitors(&test, &buckets)?))
}

/// The answer to [`Question::Events`], with its (limit, offset).
///
/// # Errors
/// See [`answer`].
pub fn events(
    dataset: &Dataset<'_>,
    range: TimeRange,
    filter: &Filter,
    (limit, offset): (usize, usize),
    budget: &Budget,
) -> Result<EventTable, QueryError> {
    let work = Work::new(budget);
    let scan = Scan::new(dataset, range, session_window(range), &work);
    scan.events(&scan.compile(filter)?, (limit, offset))
}

pub use self::long::{
    Digest, RowColumns, RowNeeds, Section, SectionDigest, Sections, SessionShare, Span, VisitColumn, VisitNeeds,
    VisitTimes, Visits, answer_by_sections,
};

impl<'a> Scan<'a> {
    fn overview(&self, test: &Test) -> Result<Overview, QueryError> {
        let selected = self.select(test)?;
        let mut visitors = self.visitor_bits()?;
        let mut metrics = match self.counted_sessions(test, &selected)? {
            None => self.sessions()?.totals_with_event_in(self.range, self.work)?,
            counted => {
                let mut metrics = MetricValues::default();
                self.for_each_counted_first(counted.as_ref(), |first| first.metrics.add_to(&mut metrics))?;
                metrics
            }
        };
        for selected in &selected {
            metrics.events += selected.len() as u64;
            metrics.pageviews += count_pageviews(&selected.kind());
            for codes in selected.visitors() {
                self.work.for_each_block(0..codes.len(), |block| visitors.insert_all(&codes[block]))?;
            }
        }
        metrics.visitors = visitors.len();
        Ok(Overview { metrics })
    }

    fn series(&self, test: &Test, interval: Interval, zone: &Zone) -> Result<Series, QueryError> {
        let buckets = series_buckets(self.range, self.span(), interval, zone, self.work)?;
        let selected = self.select(test)?;
        // Which sessions have an event in a bucket only its rows tell when a filter chooses among them.
        let mut counted = match test {
            Test::Always => None,
            _ => Some(CountedSessions::new(self)?),
        };
        let columns: Vec<_> = selected.iter().map(|selected| (selected, selected.visitor(), selected.kind())).collect();
        let mut distinct = self.visitor_bits()?;
        let mut points = Vec::with_capacity(buckets.len());
        for bucket in buckets {
            self.work.check()?;
            // At the ends only what is inside the range counts.
            let inside = TimeRange::new(bucket.from.max(self.range.from), bucket.to.min(self.range.to));
            let mut metrics = match counted {
                None => self.sessions()?.totals_with_event_in(inside, self.work)?,
                Some(_) => MetricValues::default(),
            };
            let mut visitors: Vec<&[u32]> = Vec::new();
            let mut sessions: Vec<Cow<'_, [u32]>> = Vec::new();
            for (selected, visitor, kind) in &columns {
                let positions = selected.positions_between(bucket);
                if positions.is_empty() {
                    continue;
                }
                metrics.events += positions.len() as u64;
                metrics.pageviews += count_pageviews(&kind[positions.clone()]);
                if counted.is_some() {
                    sessions.push(selected.session_at(positions.clone()));
                }
                match selected.visitor_ranges(positions.clone()) {
                    Some((rows, parts)) => {
                        visitors.extend([&visitor[rows], &selected.chunk.session_index().visitor[parts]]);
                    }
                    None => visitors.push(&visitor[positions]),
                }
            }
            if let Some(counted) = &mut counted {
                counted.add(sessions.iter().map(|sessions| &**sessions), &mut metrics);
            }
            metrics.visitors = distinct.count_distinct(&visitors);
            points.push(SeriesPoint { bucket, metrics });
        }
        Ok(series_of(self.range, points))
    }

    /// From the first to the last event in the range.
    fn span(&self) -> Option<TimeRange> {
        let chunks =
            self.dataset.chunks.iter().map(|chunk| &chunk.at[chunk.rows_between(self.range.from, self.range.to)]);
        let ends = chunks.filter_map(|at| at.first().copied().zip(at.last().copied()));
        let (first, last) = ends.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))?;
        Some(TimeRange::new(Timestamp::from_millis(first), Timestamp::from_millis(last).plus_millis(1)))
    }

    fn live(&self, test: Option<&Test>) -> Result<LiveCount, QueryError> {
        Ok(LiveCount { visitors: self.live_visitors(test)?.len() })
    }

    /// Who is live.
    fn live_visitors(&self, test: Option<&Test>) -> Result<Bits, QueryError> {
        let now = self.range.to;
        let (after, before) =
            (now.plus_millis(-LIVE_WINDOW_MS).as_millis(), now.plus_millis(LIVE_WINDOW_MS).as_millis());
        let chosen = match test {
            None => None,
            Some(Test::Session(sessions)) => Some(Cow::Borrowed(sessions)),
            Some(test) => {
                let events = self.select_between(self.window.from, self.window.to, test)?;
                Some(Cow::Owned(self.sessions_of(&events)?))
            }
        };
        let mut visitors = self.visitor_bits()?;
        self.sessions()?.for_each(self.work, |session| {
            let is_live = after < session.part.last_at && session.part.last_at < before;
            if is_live && chosen.as_deref().is_none_or(|chosen| chosen.contains(session.part.session)) {
                visitors.insert(session.part.visitor);
            }
        })?;
        Ok(visitors)
    }
}
