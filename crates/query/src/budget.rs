//! What a query may cost, and how it ends early.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::memory_pool::{Holding, MemoryPool};
use crate::{Progress, QueryError};

/// Who decides when a running query lets others go first. One without gives its core to whoever waits for it at each look.
pub trait GiveWay: fmt::Debug + Send + Sync {
    /// Returns when the query may go on. It may take some tens of milliseconds, and counts for the time of the query. Called at each look,
    /// some tens of microseconds after the last one, on the thread that computes; gives up the core, if somebody shall have it.
    fn give_way(&self);

    /// Does `work`, a part of the query, on this thread, which is not the one that began the query: of the threads of a query each is counted
    /// by itself. `work` looks at the budget as the query does.
    fn help(&self, work: &mut dyn FnMut()) {
        work();
    }
}

/// With less memory for each thread there are fewer: a row group has to fit beside what is counted.
const THREAD_BYTES: usize = 16 << 20;

/// A limit on time and memory, and a way to cancel. Cloning shares the cancellation.
///
/// Whoever computes the answer itself calls [`check`](Self::check) and [`check_memory`](Self::check_memory) on the way.
/// Whoever lets another process compute it hands [`time_left`](Self::time_left) and [`memory_bytes`](Self::memory_bytes) on
/// as that engine's own limits, looks at [`is_cancelled`](Self::is_cancelled) while it waits, and stops the query there.
///
/// ```
/// use std::time::Duration;
/// use zenovay_query::{Budget, QueryError};
///
/// let budget = Budget::new(Duration::from_secs(5), 64 << 20);
/// assert_eq!(budget.check(), Ok(()));
/// assert_eq!(budget.check_memory(65 << 20), Err(QueryError::MemoryExceeded));
/// // From any thread that has a clone.
/// budget.clone().cancel();
/// assert_eq!(budget.check(), Err(QueryError::Cancelled));
/// ```
#[derive(Debug, Clone)]
pub struct Budget {
    deadline: Option<Instant>,
    memory_bytes: usize,
    /// On so many threads it may be computed, and so many rows there must be for each.
    threads: (usize, usize),
    /// What was taken before, by other parts of the query.
    taken_bytes: usize,
    /// Of the memory that queries share.
    holding: Option<Arc<Holding>>,
    cancelled: Arc<AtomicBool>,
    way: Option<Arc<dyn GiveWay>>,
    progress: Option<Arc<Progress>>,
}

impl Budget {
    /// A query that may run for `time` from now and hold `memory_bytes` of intermediate results.
    pub fn new(time: Duration, memory_bytes: usize) -> Self {
        Self { deadline: Instant::now().checked_add(time), memory_bytes, ..Self::unlimited() }
    }

    /// A query that may run for `time` from now and shares the memory of `pool`. What it holds is given back when the last
    /// clone is dropped.
    pub fn sharing(time: Duration, pool: &Arc<MemoryPool>) -> Self {
        let holding = Holding::new(Arc::clone(pool), false);
        Self { holding: Some(Arc::new(holding)), ..Self::new(time, pool.bytes()) }
    }

    /// The same for a query that waits for no other: it is counted, but may hold what it needs.
    pub fn never_waiting(time: Duration, pool: &Arc<MemoryPool>) -> Self {
        let holding = Holding::new(Arc::clone(pool), true);
        Self { holding: Some(Arc::new(holding)), ..Self::new(time, pool.bytes()) }
    }

    /// No limit.
    pub fn unlimited() -> Self {
        Self {
            deadline: None,
            memory_bytes: usize::MAX,
            threads: (1, usize::MAX),
            taken_bytes: 0,
            holding: None,
            cancelled: Arc::default(),
            way: None,
            progress: None,
        }
    }

    /// The same; each [`check`](Self::check) asks `way` first.
    #[must_use]
    pub fn giving_way(self, way: Arc<dyn GiveWay>) -> Self {
        Self { way: Some(way), ..self }
    }

    /// The same; what is done of the query is counted in `progress`.
    #[must_use]
    pub fn reporting_to(self, progress: Arc<Progress>) -> Self {
        Self { progress: Some(progress), ..self }
    }

    /// The same; a question over sections is answered on up to `threads` threads, which end with it, of which each has at least `rows` rows,
    /// while it may hold more memory than others. Without this it is one thread.
    #[must_use]
    pub fn on_threads(self, threads: usize, rows: usize) -> Self {
        Self { threads: (threads, rows), ..self }
    }

    /// On how many threads a question about `rows` rows may be computed just now: on one when another query holds much memory.
    pub(crate) fn threads_for(&self, rows: usize) -> usize {
        let may_hold_much = |holding: &Arc<Holding>| holding.become_large(&|| self.check_time(), false).is_ok();
        let (most, rows_of_thread) = self.threads;
        let threads = most.min(rows / rows_of_thread.max(1)).min(self.memory_bytes / THREAD_BYTES);
        if threads > 1 && self.holding.as_ref().is_none_or(may_hold_much) { threads } else { 1 }
    }

    /// The memory in `count` equal shares, for the threads of a query that has got several: none of them waits for memory, and each is
    /// computed on one thread.
    pub(crate) fn shares(&self, count: usize) -> Vec<Self> {
        let holding = self.holding.as_ref();
        let share = |holding: Option<Arc<Holding>>, taken_bytes: usize| Self {
            memory_bytes: self.memory_bytes / count,
            threads: (1, usize::MAX),
            taken_bytes,
            holding,
            ..self.clone()
        };
        let first = share(holding.cloned(), self.taken_bytes);
        let others = (1..count).map(|_| share(holding.map(|holding| Arc::new(holding.beside())), 0));
        std::iter::once(first).chain(others).collect()
    }

    /// Does `work`, a part of the query, on this thread, which helps the one that began it.
    pub(crate) fn help(&self, work: &mut dyn FnMut()) {
        match &self.way {
            Some(way) => way.help(work),
            None => work(),
        }
    }

    /// The same; what it does is a part of something that is counted already.
    pub(crate) fn unreported(self) -> Self {
        Self { progress: None, ..self }
    }

    /// Called by whoever computes the answer: `parts` more parts will be done. The earlier this is known, the better whoever
    /// waits can tell how long it will take.
    pub fn expect_parts(&self, parts: u64) {
        if let Some(progress) = &self.progress {
            progress.expect(parts);
        }
    }

    /// One of the expected parts is done.
    pub fn part_done(&self) {
        if let Some(progress) = &self.progress {
            progress.finish_part();
        }
    }

    /// Ends the query at its next check.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// When its time is over; `None` when it may take as long as it takes.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The time until the deadline, zero after it; `None` when there is none.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The bytes of intermediate results that it may still hold; `usize::MAX` when there is no limit.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Whether nobody waits for the answer any more.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Called by kernels about once per 8,192 rows. Gives the core to a thread that waits for
    /// it, unless a [`GiveWay`] decides: a query can take its time, an event that arrives meanwhile cannot, and the kernel's scheduler,
    /// which sees two threads of equal rank, would let the event wait for milliseconds.
    ///
    /// # Errors
    /// When the query was cancelled or its time is over.
    pub fn check(&self) -> Result<(), QueryError> {
        match &self.way {
            Some(way) => way.give_way(),
            None => thread::yield_now(),
        }
        self.check_time()
    }

    /// The same without letting anybody go first.
    pub(crate) fn check_time(&self) -> Result<(), QueryError> {
        if self.is_cancelled() {
            return Err(QueryError::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(QueryError::TimeExceeded),
            _ => Ok(()),
        }
    }

    /// What is left when `bytes` were taken. Shares the deadline and the cancellation.
    #[must_use]
    pub fn after(&self, bytes: usize) -> Self {
        let left = self.memory_bytes.saturating_sub(bytes);
        Self { memory_bytes: left, taken_bytes: self.taken_bytes.saturating_add(bytes), ..self.clone() }
    }

    /// Called before memory of `bytes` bytes in all is taken for intermediate results. Of queries that share their memory, those
    /// that need much of it wait here for each other.
    ///
    /// # Errors
    /// When that is more than the query may hold; when it is cancelled or its time is over while it waits.
    pub fn check_memory(&self, bytes: usize) -> Result<(), QueryError> {
        self.hold(bytes, true)
    }

    /// The same for whoever holds something that others want: it does not wait.
    ///
    /// # Errors
    /// When that is more than the query may hold, and [`QueryError::MemoryInUse`] when it would have to wait: what others want
    /// is let go then, and after [`Budget::wait_for_memory`] it is asked for again.
    pub fn check_memory_at_once(&self, bytes: usize) -> Result<(), QueryError> {
        self.hold(bytes, false)
    }

    /// Waits until the query may hold more than others.
    ///
    /// # Errors
    /// When it is cancelled or its time is over meanwhile.
    pub fn wait_for_memory(&self) -> Result<(), QueryError> {
        self.holding.as_ref().map_or(Ok(()), |holding| holding.become_large(&|| self.check_time(), true))
    }

    /// How many bytes are left for a cache beside what the queries hold that share their memory with this one; `usize::MAX` when
    /// it shares none.
    pub fn spare_memory_bytes(&self) -> usize {
        self.holding.as_ref().map_or(usize::MAX, |holding| holding.pool().spare_bytes())
    }

    fn hold(&self, bytes: usize, may_wait: bool) -> Result<(), QueryError> {
        if bytes > self.memory_bytes {
            return Err(QueryError::MemoryExceeded);
        }
        match &self.holding {
            Some(holding) => holding.hold(self.taken_bytes.saturating_add(bytes), &|| self.check_time(), may_wait),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Sabotage: look at the time alone.
    #[test]
    fn each_look_lets_others_go_first() {
        #[derive(Debug, Default)]
        struct Asked(AtomicUsize);

        impl GiveWay for Asked {
            fn give_way(&self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }

        let asked = Arc::new(Asked::default());
        let budget = Budget::unlimited().giving_way(Arc::clone(&asked) as Arc<dyn GiveWay>);
        budget.check().unwrap();
        budget.after(1).check().unwrap();
        assert_eq!(asked.0.load(Ordering::Relaxed), 2);
    }

    /// What shares hold is counted together. Sabotage: let each have all, let one wait for the other, or take no look at what others hold.
    #[test]
    fn shares_hold_no_more_than_the_whole() {
        let pool = Arc::new(MemoryPool::new(8 * THREAD_BYTES));
        let [query, other] = [(); 2].map(|()| Budget::sharing(Duration::from_secs(3_600), &pool).on_threads(2, 1_000));
        query.check_memory(THREAD_BYTES).unwrap();
        assert_eq!((query.threads_for(1_999), query.threads_for(2_000), query.threads_for(9_000)), (1, 2, 2));
        assert_eq!(query.after(6 * THREAD_BYTES + 1).threads_for(9_000), 1, "there is not enough for two");
        let shares = query.after(2 * THREAD_BYTES).shares(2);
        for share in &shares {
            assert_eq!(share.check_memory(3 * THREAD_BYTES + 1), Err(QueryError::MemoryExceeded));
            share.check_memory(3 * THREAD_BYTES).unwrap();
            assert_eq!(share.threads_for(9_000), 1);
        }
        assert_eq!(pool.spare_bytes(), 0);
        assert_eq!(other.threads_for(9_000), 1, "another holds much");
        drop(shares);
        assert_eq!(pool.spare_bytes(), 3 * THREAD_BYTES, "the first share was the query's own");
        drop(query);
        assert_eq!((pool.spare_bytes(), other.threads_for(9_000)), (8 * THREAD_BYTES, 2));
    }

    #[test]
    fn a_budget_can_be_read() {
        let budget = Budget::new(Duration::from_secs(3_600), 1_000);
        let left = budget.time_left().unwrap();
        assert!(left <= Duration::from_secs(3_600) && left > Duration::from_secs(3_000), "{left:?}");
        assert!(budget.deadline().unwrap() > Instant::now());
        assert_eq!((budget.memory_bytes(), budget.is_cancelled()), (1_000, false));

        let rest = budget.after(600);
        assert_eq!((rest.memory_bytes(), rest.deadline()), (400, budget.deadline()));
        assert_eq!(rest.after(500).memory_bytes(), 0);
        budget.cancel();
        assert!(rest.is_cancelled(), "parts of a budget are cancelled together");
        assert_eq!(rest.check(), Err(QueryError::Cancelled));

        assert_eq!(Budget::new(Duration::ZERO, 0).time_left(), Some(Duration::ZERO));
        assert_eq!(Budget::new(Duration::ZERO, 0).check(), Err(QueryError::TimeExceeded));
        let endless = Budget::unlimited();
        assert_eq!((endless.deadline(), endless.time_left(), endless.memory_bytes()), (None, None, usize::MAX));
    }
}
