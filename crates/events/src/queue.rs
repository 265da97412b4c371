//! The bounded queue in front of the writer thread.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::{AppendError, AppendOutcome, NewEvent};

/// A commit of so many appends shows that clients come in crowds. Below it each append is committed as soon as it can be.
const COMPANY: usize = 8;
/// How long a commit waits for a crowd, about as long as it takes.
const LINGER: Duration = Duration::from_micros(500);

/// One append on its way.
pub(crate) struct Job {
    pub(crate) events: Vec<NewEvent>,
    pub(crate) receipt: oneshot::Sender<Result<Vec<AppendOutcome>, AppendError>>,
    bytes: usize,
}

/// Something else that the writer thread does between commits; `W` is the writer.
pub(crate) type Task<W> = Box<dyn FnOnce(&mut W) + Send>;

/// What the writer takes from the queue.
pub(crate) enum Work<W> {
    Commit(Vec<Job>),
    Task(Task<W>),
    /// Nothing came for a while.
    Idle,
    /// The queue is closed and empty.
    Closed,
}

pub(crate) struct Queue<W> {
    state: Mutex<State<W>>,
    ready: Condvar,
    max_rows: usize,
    max_bytes: usize,
    commit_bytes: usize,
}

struct State<W> {
    jobs: VecDeque<Job>,
    tasks: VecDeque<Task<W>>,
    rows: usize,
    bytes: usize,
    /// With fewer appends the writer is not woken.
    wanted: usize,
    open: bool,
    closed: bool,
}

impl<W> State<W> {
    /// Jobs of about `rows` events and at most `bytes`; a longer one alone.
    fn pop_jobs(&mut self, rows: usize, bytes: usize) -> Vec<Job> {
        let mut jobs = Vec::new();
        let (mut taken, mut taken_bytes) = (0, 0);
        while taken < rows
            && let Some(job) = self.jobs.pop_front_if(|job| jobs.is_empty() || taken_bytes + job.bytes <= bytes)
        {
            taken += job.events.len();
            taken_bytes += job.bytes;
            self.rows -= job.events.len();
            self.bytes -= job.bytes;
            jobs.push(job);
        }
        jobs
    }
}

impl<W> Queue<W> {
    /// A queue of so many events and bytes, which hands over `commit_bytes` at a time.
    pub(crate) fn new(max_rows: usize, max_bytes: usize, commit_bytes: usize) -> Self {
        let state = State {
            jobs: VecDeque::new(),
            tasks: VecDeque::new(),
            rows: 0,
            bytes: 0,
            wanted: 1,
            open: true,
            closed: false,
        };
        Self { state: Mutex::new(state), ready: Condvar::new(), max_rows, max_bytes, commit_bytes }
    }

    /// Queues `events`, or answers the receipt with the reason why not.
    pub(crate) fn push(
        &self,
        events: Vec<NewEvent>,
        receipt: oneshot::Sender<Result<Vec<AppendOutcome>, AppendError>>,
    ) {
        let bytes = events.iter().map(event_bytes).sum::<usize>();
        let mut state = self.state.lock();
        let refusal = if !state.open {
            Some(AppendError::ShuttingDown)
        } else if !state.jobs.is_empty()
            && (state.rows + events.len() > self.max_rows || state.bytes + bytes > self.max_bytes)
        {
            // An append larger than the whole queue passes when it is alone: refused, it could never succeed.
            Some(AppendError::QueueFull)
        } else {
            None
        };
        if let Some(error) = refusal {
            drop(state);
            let _ = receipt.send(Err(error));
            return;
        }
        state.rows += events.len();
        state.bytes += bytes;
        state.jobs.push_back(Job { events, receipt, bytes });
        let enough = state.jobs.len() >= state.wanted;
        drop(state);
        if enough {
            self.ready.notify_one();
        }
    }

    /// Runs `task` on the writer thread before the next commit. `false` when the writer is gone.
    pub(crate) fn run(&self, task: Task<W>) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        state.tasks.push_back(task);
        drop(state);
        self.ready.notify_one();
        true
    }

    /// Waits up to `patience` for work and takes a task, or jobs of about `rows` events. `company` is how many appends the
    /// last commit had: after a large one, those that it answered are on their way back, and a commit for many of them costs
    /// little more than one for the first. So it waits, [`LINGER`] at most, for half of the clients that are known to be
    /// there: while their events are committed, the events of the other half are parsed.
    pub(crate) fn take(&self, rows: usize, patience: Duration, company: usize) -> Work<W> {
        let mut state = self.state.lock();
        let (wanted, limit) = match company {
            COMPANY.. => ((company + state.jobs.len()).div_ceil(2), LINGER),
            _ => (1, patience),
        };
        state.wanted = wanted;
        let short = |state: &mut State<W>| {
            state.tasks.is_empty() && state.jobs.len() < wanted && state.rows < rows && !state.closed
        };
        self.ready.wait_while_for(&mut state, short, limit);
        state.wanted = 1;
        if let Some(task) = state.tasks.pop_front() {
            return Work::Task(task);
        }
        let jobs = state.pop_jobs(rows, self.commit_bytes);
        match (jobs.is_empty(), state.closed) {
            (false, _) => Work::Commit(jobs),
            (true, true) => Work::Closed,
            (true, false) => Work::Idle,
        }
    }

    /// Takes jobs of about `rows` events, without waiting for any.
    pub(crate) fn take_jobs(&self, rows: usize) -> Vec<Job> {
        self.state.lock().pop_jobs(rows, self.commit_bytes)
    }

    /// Refuses appends from now on; those that wait are still taken.
    pub(crate) fn refuse(&self) {
        self.state.lock().open = false;
    }

    /// Refuses everything from now on, and lets the writer end when it has done what waits.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.open = false;
        state.closed = true;
        drop(state);
        self.ready.notify_one();
    }

    /// Refuses everything and drops what waits: the writer is gone.
    pub(crate) fn abandon(&self) {
        let mut state = self.state.lock();
        state.open = false;
        state.closed = true;
        state.jobs.clear();
        state.tasks.clear();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.lock().open
    }

    /// Appends that wait.
    pub(crate) fn depth(&self) -> usize {
        self.state.lock().jobs.len()
    }
}

fn event_bytes(event: &NewEvent) -> usize {
    size_of::<NewEvent>() + event.event.dimensions.iter().map(|(_, text)| text.len()).sum::<usize>()
}
