//! Asking with types: what is asked says what the answer is.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use zenovay_domain::{Interval, TimeRange, Timestamp, Zone};

use crate::{
    Answer, Breakdown, Budget, EventTable, Filter, GroupBy, LiveCount, MemoryDataset, Overview, Query, QueryError,
    Question, Series, VisitorPage,
};

/// Who answers queries about one website.
pub trait Answers {
    /// The answer to `query`. Blocks until it is computed.
    ///
    /// # Errors
    /// When the budget is used up or cancelled, or what holds the events cannot be read.
    fn answer(&self, query: &Query, budget: &Budget) -> Result<Answer, QueryError>;

    /// What a query may cost whose [`Ask::budget`] was not set: 60 s, and 256 MiB of intermediate results.
    fn budget(&self) -> Budget {
        Budget::new(Duration::from_secs(60), 256 << 20)
    }
}

/// An answer that is computed on another thread. Dropping it cancels the query.
pub type Answering = Pin<Box<dyn Future<Output = Result<Answer, QueryError>> + Send>>;

/// Who answers queries without blocking who asks.
pub trait AnswersLater: Answers {
    /// Begins to compute the answer to `query`.
    fn begin(self, query: Query, budget: Budget) -> Answering;
}

impl<A: Answers + ?Sized> Answers for &A {
    fn answer(&self, query: &Query, budget: &Budget) -> Result<Answer, QueryError> {
        (**self).answer(query, budget)
    }

    fn budget(&self) -> Budget {
        (**self).budget()
    }
}

impl Answers for MemoryDataset {
    fn answer(&self, query: &Query, budget: &Budget) -> Result<Answer, QueryError> {
        MemoryDataset::answer(self, query, budget)
    }
}

impl MemoryDataset {
    /// Asks about the events, in all time when nothing else is said. `now` is what the last days are counted back from.
    ///
    /// ```
    /// use zenovay_domain::{Dimension::{Country, Path}, Event, EventKind, SessionId, Timestamp, VisitorId, Zone};
    /// use zenovay_query::{MemoryDataset, by, is};
    ///
    /// let now = Timestamp::from_millis(1_800_000_000_000);
    /// let mut event = Event::new(EventKind::Pageview, now, VisitorId(7), SessionId(1));
    /// event.dimensions.set(Path, "/pricing");
    /// event.dimensions.set(Country, "CA");
    /// let memory = MemoryDataset::new(&[event]);
    ///
    /// let pages = memory.ask(now).last_days(7, &Zone::utc()).filter(is(Country, "CA")).top(by(Path).limit(10)).wait()?;
    /// assert_eq!((pages.rows[0].value.as_str(), pages.rows[0].metrics.visitors), ("/pricing", 1));
    /// # Ok::<(), zenovay_query::QueryError>(())
    /// ```
    pub fn ask(&self, now: Timestamp) -> Ask<&Self> {
        Ask::new(self, now)
    }
}

/// What is to be asked: a range and a filter. Each of the last methods is a question, with an answer of its own type.
///
/// ```
/// use zenovay_query::domain::Dimension::Path;
/// use zenovay_query::domain::{Event, EventKind, Interval, SessionId, Timestamp, VisitorId, Zone};
/// use zenovay_query::{MemoryDataset, contains, is};
///
/// let at = Timestamp::from_millis(1_781_308_800_000);
/// let mut event = Event::new(EventKind::Pageview, at, VisitorId(7), SessionId(1));
/// event.dimensions.set(Path, "/blog/a");
/// let memory = MemoryDataset::new(&[event]);
///
/// let now = at.plus_millis(60_000);
/// let blog = memory.ask(now).last_days(2, &Zone::utc()).filter(contains(Path, "/blog/"));
/// assert_eq!(blog.clone().series(Interval::Day, &Zone::utc()).wait()?.points.len(), 2);
/// // Filters that follow must hold, too.
/// assert_eq!(blog.filter(!is(Path, "/blog/a")).overview().wait()?.metrics.visitors, 0);
/// # Ok::<(), zenovay_query::QueryError>(())
/// ```
#[must_use = "nothing is asked yet"]
#[derive(Debug, Clone)]
pub struct Ask<A> {
    answers: A,
    now: Timestamp,
    range: TimeRange,
    filters: Vec<Filter>,
    budget: Option<Budget>,
}

impl<A> Ask<A> {
    /// Asks `answers` about all time. `now` is what the last days are counted back from.
    pub fn new(answers: A, now: Timestamp) -> Self {
        Self { answers, now, range: TimeRange::ALL, filters: Vec::new(), budget: None }
    }

    /// About what happened in `range`.
    pub fn range(self, range: TimeRange) -> Self {
        Self { range, ..self }
    }

    /// About the last `days` civil days of `zone`, today until now included: with 1 about today, with 0 about nothing.
    pub fn last_days(self, days: u32, zone: &Zone) -> Self {
        let end = self.now.plus_millis(1);
        let Some(before) = days.checked_sub(1) else { return self.range(TimeRange::new(end, end)) };
        let first = i64::from(zone.civil_day(self.now)) - i64::from(before);
        let from = zone.day_start(i32::try_from(first).unwrap_or(i32::MIN));
        self.range(TimeRange::new(from, end))
    }

    /// About what `filter` chooses. Said again, about what all of them choose.
    pub fn filter(mut self, filter: impl Into<Filter>) -> Self {
        self.filters.push(filter.into());
        self
    }

    /// With a limit of its own on time and memory.
    pub fn budget(self, budget: Budget) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// The totals.
    pub fn overview(self) -> Asked<A, Overview> {
        self.asked(Question::Overview, Answer::into_overview)
    }

    /// The totals of each `interval` of the range, cut in `zone`; in all time from that of the first event to that of the last.
    pub fn series(self, interval: Interval, zone: &Zone) -> Asked<A, Series> {
        self.asked(Question::Series { interval, zone: zone.clone() }, Answer::into_series)
    }

    /// The rows of a breakdown, such as the ten pages with the most visitors: `top(by(Dimension::Path).limit(10))`.
    pub fn top(self, by: GroupBy) -> Asked<A, Breakdown> {
        self.asked(Question::Breakdown(by), Answer::into_breakdown)
    }

    /// How many visitors are there now, whatever the range.
    pub fn live(self) -> Asked<A, LiveCount> {
        let (now, from) = (self.now.plus_millis(1), self.range.from);
        self.range(TimeRange::new(from, now)).asked(Question::Live, Answer::into_live)
    }

    /// The newest `limit` visitors.
    pub fn visitors(self, limit: usize) -> Asked<A, VisitorPage> {
        self.asked(Question::Visitors { limit, offset: 0, after: None }, Answer::into_visitors)
    }

    /// The first `limit` events.
    pub fn events(self, limit: usize) -> Asked<A, EventTable> {
        self.asked(Question::Events { limit, offset: 0 }, Answer::into_events)
    }

    fn asked<T>(mut self, question: Question, read: fn(Answer) -> Result<T, QueryError>) -> Asked<A, T> {
        let filter = match self.filters.len() {
            1 => self.filters.remove(0),
            _ => Filter::All(self.filters),
        };
        Asked {
            answers: self.answers,
            query: Query::new(self.range, question).filter(filter),
            budget: self.budget,
            read,
        }
    }
}

/// A question that was asked. [`wait`](Self::wait) for its answer in a thread that may block, or await it where it is
/// computed elsewhere: dropped meanwhile, the query is cancelled.
#[must_use = "nothing is computed before it is waited for"]
pub struct Asked<A, T> {
    answers: A,
    query: Query,
    budget: Option<Budget>,
    read: fn(Answer) -> Result<T, QueryError>,
}

impl<A, T> Asked<A, T> {
    /// The question as a value, which can be kept and sent.
    pub fn query(&self) -> &Query {
        &self.query
    }
}

impl<A: Answers, T> Asked<A, T> {
    /// The answer. Blocks until it is computed.
    ///
    /// # Errors
    /// When the budget is used up or cancelled, or what holds the events cannot be read.
    pub fn wait(self) -> Result<T, QueryError> {
        let budget = self.budget.unwrap_or_else(|| self.answers.budget());
        (self.read)(self.answers.answer(&self.query, &budget)?)
    }
}

impl<A: AnswersLater, T: 'static> IntoFuture for Asked<A, T> {
    type Output = Result<T, QueryError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let budget = self.budget.unwrap_or_else(|| self.answers.budget());
        let (read, answering) = (self.read, self.answers.begin(self.query, budget));
        Box::pin(async move { read(answering.await?) })
    }
}

impl<A, T> fmt::Debug for Asked<A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("query", &self.query).finish_non_exhaustive()
    }
}
