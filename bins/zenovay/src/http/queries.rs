//! Where queries of the event store run: on blocking threads, a few at a time and in turn for those who ask, each with a
//! limit on time and memory, and cancelled when the client goes away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web;
use zenovay_domain::{EventKind, TimeRange, Timestamp, VisitorId, WebsiteId};
use zenovay_events::EventStore;
use zenovay_query::{
    Answer, Breakdown, Budget, Compared, Comparison, Filter, GiveWay, GroupBy, MemoryPool, MetricValues, Progress,
    Query, QueryError, Question, SeriesPoint, VisitorPage,
};

use super::envelope::ApiError;
use super::errors::SOON_S;
use super::giving_way::RunningQueries;
use super::turns::{Asking, Turn, Turns};
use crate::activity::SlowQuestions;

/// How long a query may wait for its turn.
const QUEUE_TIME: Duration = Duration::from_secs(30);

/// So much of the memory for queries is counted; the rest is for what nobody counts, such as pages while they are unpacked and
/// what the allocator keeps.
const fn counted(memory_bytes: usize) -> usize {
    memory_bytes / 4 * 3
}

/// The threads and budgets of queries.
pub struct QueryPool {
    events: Arc<dyn EventStore>,
    turns: Turns,
    running: Arc<RunningQueries>,
    time: Duration,
    memory: Arc<MemoryPool>,
    slow: Arc<SlowQuestions>,
}

impl QueryPool {
    /// A pool over `events` with as many turns as the machine has cores, so that readers never take more threads than
    /// that from ingest. Slow questions are noted in `slow`.
    pub fn new(events: Arc<dyn EventStore>, time: Duration, memory_bytes: usize, slow: Arc<SlowQuestions>) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            events,
            turns: Turns::new(cores.max(2)),
            running: Arc::default(),
            time,
            memory: Arc::new(MemoryPool::new(counted(memory_bytes))),
            slow,
        }
    }

    /// The slow questions, of which others may be noted.
    pub fn slow(&self) -> &Arc<SlowQuestions> {
        &self.slow
    }

    /// Runs `ask` when it is the turn of `asking`. Dropping the future cancels it.
    ///
    /// # Errors
    /// A 503 when no turn comes in time, and what `ask` fails with.
    pub async fn run<T: Send + 'static>(
        &self,
        asking: Asking,
        ask: impl FnOnce(&QuerySession<'_>) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.run_telling(asking, &Arc::default(), ask).await
    }

    /// The same; how far it is is counted in `progress`.
    ///
    /// # Errors
    /// As [`QueryPool::run`].
    pub async fn run_telling<T: Send + 'static>(
        &self,
        asking: Asking,
        progress: &Arc<Progress>,
        ask: impl FnOnce(&QuerySession<'_>) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let asked = Instant::now();
        let turn = tokio::time::timeout(QUEUE_TIME, self.turns.take(asking)).await;
        let turn = turn.map_err(|_elapsed| ApiError::unavailable("Too many queries at once", SOON_S))?;
        let budget = Budget::sharing(self.time, &self.memory).reporting_to(Arc::clone(progress));
        self.run_with(asking, asked, Some(turn), budget, ask).await
    }

    /// Runs `ask` for `asking` at once. For questions that are answered from the last minutes alone: nobody's queries delay them.
    ///
    /// # Errors
    /// What `ask` fails with.
    pub async fn run_at_once<T: Send + 'static>(
        &self,
        asking: Asking,
        ask: impl FnOnce(&QuerySession<'_>) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.run_with(asking, Instant::now(), None, Budget::never_waiting(self.time, &self.memory), ask).await
    }

    async fn run_with<T: Send + 'static>(
        &self,
        asking: Asking,
        asked: Instant,
        turn: Option<Turn>,
        budget: Budget,
        ask: impl FnOnce(&QuerySession<'_>) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let running = self.running.begin(asking, self.time, Instant::now());
        let budget = budget.giving_way(Arc::clone(&running) as Arc<dyn GiveWay>);
        let _cancel = CancelOnDrop(budget.clone());
        let events = Arc::clone(&self.events);
        let begun = self.slow.begin(asking.website);
        let span = tracing::Span::current();
        let result = web::block(move || {
            let _turn = turn;
            let began = Instant::now();
            let session = QuerySession { events: events.as_ref(), budget: &budget };
            let answer = span.in_scope(|| running.run(|| ask(&session)));
            begun.ended(began.duration_since(asked), began.elapsed(), &answer);
            answer
        });
        match result.await {
            Ok(answer) => Ok(answer?),
            Err(_panicked) => Err(ApiError::internal()),
        }
    }
}

struct CancelOnDrop(Budget);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Asks the event store within one budget. Each method is one question; all answers of one `QuerySession` share the budget.
pub struct QuerySession<'a> {
    events: &'a dyn EventStore,
    budget: &'a Budget,
}

impl QuerySession<'_> {
    /// The budget, for what is read in another way than by a question.
    pub fn budget(&self) -> &Budget {
        self.budget
    }

    /// The totals of `range`.
    ///
    /// # Errors
    /// Those of [`EventStore::query`], like all methods here.
    pub fn overview(&self, website: WebsiteId, range: TimeRange) -> Result<MetricValues, QueryError> {
        Ok(self.question(website, range, Question::Overview, "overview")?.into_overview()?.metrics)
    }

    /// The totals of a range and of the one that it is compared with.
    ///
    /// # Errors
    /// As [`QuerySession::overview`].
    pub fn compared(&self, website: WebsiteId, comparison: &Comparison) -> Result<Compared<MetricValues>, QueryError> {
        comparison.overview(|query| self.answer(website, query, "overview"))
    }

    /// The totals of each UTC day of `range`.
    ///
    /// # Errors
    /// As [`QuerySession::overview`].
    pub fn daily(&self, website: WebsiteId, range: TimeRange) -> Result<Vec<SeriesPoint>, QueryError> {
        let question = Question::Series { interval: zenovay_domain::Interval::Day, zone: zenovay_domain::Zone::utc() };
        Ok(self.question(website, range, question, "series")?.into_series()?.points)
    }

    /// The rows of a breakdown.
    ///
    /// # Errors
    /// As [`QuerySession::overview`].
    pub fn breakdown(&self, website: WebsiteId, range: TimeRange, by: GroupBy) -> Result<Breakdown, QueryError> {
        self.rows(website, &Query::new(range, Question::Breakdown(by)))
    }

    /// The same for lists of pages: a path is a page when it was viewed, and its visitors are those who did.
    ///
    /// # Errors
    /// As [`QuerySession::overview`].
    pub fn pages(&self, website: WebsiteId, range: TimeRange, by: GroupBy) -> Result<Breakdown, QueryError> {
        self.rows(website, &Query::new(range, Question::Breakdown(by)).filter(Filter::Kind(EventKind::Pageview)))
    }

    /// A page of visitors.
    ///
    /// # Errors
    /// As [`QuerySession::overview`].
    pub fn visitors(
        &self,
        website: WebsiteId,
        range: TimeRange,
        limit: usize,
        offset: usize,
        after: Option<(Timestamp, VisitorId)>,
    ) -> Result<VisitorPage, QueryError> {
        self.question(website, range, Question::Visitors { limit, offset, after }, "visitors")?.into_visitors()
    }

    /// Visitors with activity in the five minutes before `now`, this very millisecond included.
    ///
    /// # Errors
    /// As [`QuerySession::overview`].
    pub fn live(&self, website: WebsiteId, now: Timestamp) -> Result<u64, QueryError> {
        let range = TimeRange::new(now, now.plus_millis(1));
        Ok(self.question(website, range, Question::Live, "live")?.into_live()?.visitors)
    }

    /// Any question.
    ///
    /// # Errors
    /// As [`QuerySession::overview`].
    pub fn any(&self, website: WebsiteId, query: &Query) -> Result<Answer, QueryError> {
        let kind = match query.question {
            Question::Overview => "overview",
            Question::Series { .. } => "series",
            Question::Breakdown(_) => "breakdown",
            Question::Live => "live",
            Question::Visitors { .. } => "visitors",
            Question::Funnel { .. } => "funnel",
            Question::Events { .. } => "events",
            _ => "other",
        };
        self.answer(website, query, kind)
    }

    fn rows(&self, website: WebsiteId, query: &Query) -> Result<Breakdown, QueryError> {
        self.answer(website, query, "breakdown")?.into_breakdown()
    }

    fn question(
        &self,
        website: WebsiteId,
        range: TimeRange,
        question: Question,
        kind: &'static str,
    ) -> Result<Answer, QueryError> {
        self.answer(website, &Query::new(range, question), kind)
    }

    fn answer(&self, website: WebsiteId, query: &Query, kind: &'static str) -> Result<Answer, QueryError> {
        let started = Instant::now();
        let answer = self.events.query(website, query, self.budget);
        metrics::histogram!("zenovay_query_duration_seconds", "kind" => kind).record(started.elapsed());
        answer
    }
}
