//! One question on several threads: each takes section after section and counts for itself, and what they counted is put together.

use std::cell::{Cell, OnceCell, RefCell};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;

use zenovay_domain::SESSION_MAX_MS;

use super::pairs::{Held, SharedVisitors};
use super::walk::{Ahead, IdSet, Long, REST_ROW_BYTES, Rest, RestRow};
use super::{Sections, Span};
use crate::{Budget, Query, QueryError};

/// Pieces for each thread, when work is parted that takes a different time for each piece.
pub(super) const PIECES_OF_THREAD: usize = 8;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `work` makes of each of `inputs`, in their order, on this thread and on others, `threads` together. Where no other can be had, this
/// one does all of it. Once something went wrong no other input is begun.
pub(super) fn together<I: Send, T: Send>(
    budget: &Budget,
    threads: usize,
    inputs: Vec<I>,
    work: impl Fn(I) -> Result<T, QueryError> + Sync,
) -> Result<Vec<T>, QueryError> {
    let threads = threads.min(inputs.len());
    let done: Mutex<Vec<Option<T>>> = Mutex::new(inputs.iter().map(|_| None).collect());
    let inputs = Mutex::new(Some(inputs.into_iter().enumerate()));
    let failure = Mutex::new(None);
    let run = || {
        let next = || lock(&inputs).as_mut().and_then(Iterator::next);
        while let Some((number, input)) = next() {
            match work(input) {
                Ok(made) => lock(&done)[number] = Some(made),
                Err(error) => {
                    *lock(&inputs) = None;
                    lock(&failure).get_or_insert(error);
                }
            }
        }
    };
    // The end of the scope waits for all of them.
    thread::scope(|scope| {
        for _ in 1..threads {
            let helper = thread::Builder::new().name("query-helper".to_owned());
            if helper.spawn_scoped(scope, || budget.help(&mut || run())).is_err() {
                break;
            }
        }
        run();
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()),
    }
}

/// The sections of a walk that are still to come, and the rows of sessions of which some are still to come.
pub(super) struct Queue<'q> {
    numbers: &'q [usize],
    spans: &'q [Span],
    backwards: bool,
    /// The earliest and the latest row of the sections from each place in `numbers` on.
    behind: Vec<(i64, i64)>,
    state: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    /// The place in `numbers` of the section that is taken next.
    next: usize,
    /// Those that were taken and are not done.
    taken: Vec<usize>,
    rest: Rest,
}

/// What is known when a section is done.
pub(super) struct Done {
    /// The rows of sessions that are whole now.
    pub(super) whole: Vec<RestRow>,
    /// What is to come, the rows of other sessions among it.
    pub(super) ahead: Ahead,
    /// What the rows take that wait, bytes.
    pub(super) rest_bytes: usize,
}

impl<'q> Queue<'q> {
    /// Of the sections `numbers`, in the order of their earliest rows, or from the latest backwards.
    pub(super) fn new(numbers: &'q [usize], spans: &'q [Span], backwards: bool) -> Self {
        let mut behind = vec![(i64::MAX, i64::MIN)];
        for &number in numbers.iter().rev() {
            let (earliest, latest) = behind[behind.len() - 1];
            behind.push((earliest.min(spans[number].min_at), latest.max(spans[number].max_at)));
        }
        behind.reverse();
        Self { numbers, spans, backwards, behind, state: Mutex::default() }
    }

    /// The next section.
    pub(super) fn take(&self) -> Option<usize> {
        let mut state = lock(&self.state);
        let number = *self.numbers.get(state.next)?;
        state.next += 1;
        state.taken.push(number);
        Some(number)
    }

    /// Nothing else is taken: an attempt has failed.
    pub(super) fn stop(&self) {
        lock(&self.state).next = self.numbers.len();
    }

    /// A section is done, which leaves `rest`. Rows of whole sessions are given when there are at least `worth` of rows, and at the end.
    pub(super) fn done(&self, number: usize, mut rest: Rest, worth: usize) -> Done {
        let mut state = lock(&self.state);
        let QueueState { next, taken, rest: waiting } = &mut *state;
        taken.retain(|&other| other != number);
        waiting.rows.append(&mut rest.rows);
        let (mut earliest, mut latest) = self.behind[*next];
        for span in taken.iter().map(|&number| &self.spans[number]) {
            (earliest, latest) = (earliest.min(span.min_at), latest.max(span.max_at));
        }
        let is_whole = |at: i64| match self.backwards {
            true => at > latest.saturating_add(SESSION_MAX_MS),
            false => at < earliest.saturating_sub(SESSION_MAX_MS),
        };
        let is_end = *next == self.numbers.len() && taken.is_empty();
        let whole = match self.backwards || is_end || waiting.rows.len() >= worth {
            true => waiting.take_whole(is_whole),
            false => Vec::new(),
        };
        let times = || waiting.rows.iter().map(|row| row.at);
        let ahead = Ahead {
            earliest: times().min().unwrap_or(i64::MAX).min(earliest),
            latest: times().max().unwrap_or(i64::MIN).max(latest),
        };
        Done { whole, ahead, rest_bytes: waiting.rows.capacity() * REST_ROW_BYTES }
    }
}

/// What the threads of a question have in common.
struct Common<'a> {
    query: &'a Query,
    is_about_sessions: bool,
    counts_distinct: bool,
    stored_below: Option<u32>,
    by_time: &'a [usize],
    split: Arc<[Box<[u64]>]>,
    shared: Option<Arc<SharedVisitors>>,
    split_visitors: Arc<RwLock<IdSet>>,
}

impl Common<'_> {
    /// The question on one of the threads.
    fn long<'l>(&'l self, source: &'l dyn Sections, budget: &'l Budget, may_hold: usize) -> Long<'l> {
        Long {
            source,
            query: self.query,
            budget,
            may_hold,
            is_about_sessions: self.is_about_sessions,
            counts_distinct: self.counts_distinct,
            stored_below: self.stored_below,
            by_time: self.by_time.to_vec(),
            split: Arc::clone(&self.split),
            held: Held::default(),
            shared: self.shared.clone().map_or_else(OnceCell::new, OnceCell::from),
            split_visitors: Arc::clone(&self.split_visitors),
            has_too_many_groups: Cell::new(false),
            forks: RefCell::default(),
        }
    }
}

impl<'a> Long<'a> {
    /// The sections for each of several threads; none when one thread answers alone.
    pub(super) fn fork(&self) -> Vec<Box<dyn Sections + Send + 'a>> {
        // Ids get codes one after the other.
        let rows = if self.stored_below.is_some() { self.rows_of_all() } else { 0 };
        let threads = self.budget.threads_for(rows).min(self.by_time.len().max(1));
        // Each thread has a byte for each visitor, and what there is room for beside them is for pairs.
        let is_enough = self.codes_below() as usize <= self.may_hold / 2 / threads;
        let forks = if threads > 1 && is_enough { threads } else { 0 };
        (0..forks).map_while(|_| self.source.fork()).collect()
    }

    /// On how many threads the question is answered.
    pub(super) fn threads(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.forks.borrow().len()).unwrap_or(NonZeroUsize::MIN)
    }

    /// What `work` makes of each of `inputs`, one for each of [`Long::threads`], of which each has its share of the memory. When that is not
    /// enough, there is one thread from then on.
    pub(super) fn on_threads<T: Send>(
        &self,
        mut inputs: Vec<T>,
        work: impl Fn(&Long<'_>, T) -> Result<T, QueryError> + Sync,
    ) -> Result<Vec<T>, QueryError> {
        if inputs.len() < 2 {
            return inputs
                .pop()
                .map(|input| work(self, input).map(|made| vec![made]))
                .unwrap_or_else(|| Ok(Vec::new()));
        }
        let common = Common {
            query: self.query,
            is_about_sessions: self.is_about_sessions,
            counts_distinct: self.counts_distinct,
            stored_below: self.stored_below,
            by_time: &self.by_time,
            split: Arc::clone(&self.split),
            shared: self.shared.get().cloned(),
            split_visitors: Arc::clone(&self.split_visitors),
        };
        let threads = inputs.len();
        let may_hold = self.may_hold.saturating_sub(self.held.total()) / threads;
        let forks = self.forks.take();
        let inputs = inputs.into_iter().zip(forks).zip(self.left().shares(threads)).collect();
        let made = together(self.budget, threads, inputs, |((input, fork), budget)| {
            let long = common.long(&*fork, &budget, may_hold);
            let made = work(&long, input);
            drop(long);
            made.map(|made| (made, fork))
        })?;
        let (made, forks) = made.into_iter().unzip();
        self.forks.replace(forks);
        Ok(made)
    }

    /// What `attempt` makes on several threads, or on one when the memory of each is not enough.
    pub(super) fn on_one_if_need_be<T>(
        &self,
        mut attempt: impl FnMut(NonZeroUsize) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let threads = self.threads();
        match attempt(threads) {
            Err(QueryError::MemoryExceeded) if threads > NonZeroUsize::MIN => {
                // Several attempts with less memory each would not be shorter.
                self.forks.take();
                attempt(NonZeroUsize::MIN)
            }
            made => made,
        }
    }
}
