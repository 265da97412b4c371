//! The bounded queue in front of the writer thread.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::futures::Notified;
use tokio::sync::{Mutex as Turnstile, MutexGuard as Turn, Notify};
use zenovay_domain::WebsiteId;

use crate::log::CatalogChange;
use crate::{Acknowledge, AppendError, AppendReceipt, AppendRefused, NewCapture, NewEvent};

/// A commit of so many appends shows that many clients are sending. Below it each append is committed as soon as it can be.
const GROUP_COMMIT_MIN_APPENDS: usize = 8;
/// How long a commit waits for more appends, about as long as it takes.
const GROUP_COMMIT_WAIT: Duration = Duration::from_micros(500);

/// What one append brings. Each kind of record is a variant: all share the queue, its bounds and the commits.
pub(crate) enum NewRecords {
    /// Of [`crate::RecordKind::Events`].
    Events(Vec<NewEvent>),
    /// Of [`crate::RecordKind::Captures`].
    Captures(Vec<NewCapture>),
}

impl NewRecords {
    /// How many records there are; each has an outcome in the receipt.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Events(events) => events.len(),
            Self::Captures(captures) => captures.len(),
        }
    }

    /// Those that are events.
    pub(crate) fn events(&self) -> &[NewEvent] {
        match self {
            Self::Events(events) => events,
            Self::Captures(_) => &[],
        }
    }

    /// The events, to be changed, and the captures.
    pub(crate) fn parts_mut(&mut self) -> (&mut [NewEvent], &[NewCapture]) {
        match self {
            Self::Events(events) => (events, &[]),
            Self::Captures(captures) => (&mut [], captures),
        }
    }

    /// The events, for whom they are given back to.
    pub(crate) fn into_events(self) -> Vec<NewEvent> {
        match self {
            Self::Events(events) => events,
            Self::Captures(_) => Vec::new(),
        }
    }

    /// What they take in memory, about.
    fn bytes(&self) -> usize {
        match self {
            Self::Events(events) => events.iter().map(event_bytes).sum(),
            Self::Captures(captures) => captures.iter().map(|new| size_of::<NewCapture>() + new.bytes.len()).sum(),
        }
    }
}

/// One append on its way.
pub(crate) struct Job {
    pub(crate) records: NewRecords,
    pub(crate) receipt: Acknowledge,
    bytes: usize,
}

impl Job {
    /// Gives the events back.
    pub(crate) fn refuse(self, reason: AppendError) {
        self.receipt.refuse(AppendRefused::new(reason, self.records.into_events()));
    }
}

/// Something else that the writer thread does between commits.
pub(crate) enum Task {
    /// Commits everything that waits.
    Drain,
    /// Starts a new generation of the head, so that the head so far can become a segment.
    Freeze,
    /// Makes a change durable and visible. `sealed` is the generation that became a segment by it.
    Register { change: Box<CatalogChange>, sealed: Option<u64> },
    /// Removes every trace of what is in segments from the log, and with `forget` all that the log knows of a website.
    Scrub { forget: Option<WebsiteId> },
    /// Keeps the database file of the log as it is from now on, says so to `held`, and does nothing until the other end of
    /// `go_on` is gone.
    Hold { held: SyncSender<()>, go_on: Receiver<()> },
    /// Lets the database file change again.
    Release,
}

/// A task, and who waits for it.
pub(crate) struct Assignment<T = Task> {
    pub(crate) task: T,
    pub(crate) done: SyncSender<Result<(), AppendError>>,
}

/// What the writer takes from the queue.
pub(crate) enum Work<T = Task> {
    Commit(Vec<Job>),
    Task(Assignment<T>),
    /// Nothing came for a while.
    Idle,
    /// The queue is closed and empty.
    Closed,
}

/// Appends, and tasks `T` for the thread that commits them.
pub(crate) struct Queue<T = Task> {
    state: Mutex<State<T>>,
    ready: Condvar,
    /// Appends that wait for room, each in its turn.
    turnstile: Turnstile<()>,
    /// Told when an append that was refused may pass.
    room: Notify,
    max_rows: usize,
    max_bytes: usize,
    commit_bytes: usize,
}

struct State<T> {
    jobs: VecDeque<Job>,
    tasks: VecDeque<Assignment<T>>,
    rows: usize,
    bytes: usize,
    /// With fewer appends the writer is not woken.
    wanted: usize,
    open: bool,
    closed: bool,
}

impl<T> State<T> {
    /// Jobs of about `rows` records and at most `bytes`; a longer one alone.
    fn pop_jobs(&mut self, rows: usize, bytes: usize) -> Vec<Job> {
        let mut jobs = Vec::new();
        let (mut taken, mut taken_bytes) = (0, 0);
        while taken < rows
            && let Some(job) = self.jobs.pop_front_if(|job| jobs.is_empty() || taken_bytes + job.bytes <= bytes)
        {
            taken += job.records.len();
            taken_bytes += job.bytes;
            self.rows -= job.records.len();
            self.bytes -= job.bytes;
            jobs.push(job);
        }
        jobs
    }
}

impl<T> Queue<T> {
    /// A queue of so many records and bytes, which hands over `commit_bytes` at a time.
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
        Self {
            state: Mutex::new(state),
            ready: Condvar::new(),
            turnstile: Turnstile::default(),
            room: Notify::new(),
            max_rows,
            max_bytes,
            commit_bytes,
        }
    }

    /// Queues `records`, or gives them back with the reason why not.
    pub(crate) fn push(&self, records: NewRecords) -> Result<AppendReceipt, (AppendError, NewRecords)> {
        let (rows, bytes) = (records.len(), records.bytes());
        let (acknowledge, receipt) = AppendReceipt::channel();
        let mut state = self.state.lock();
        let refusal = if !state.open {
            Some(AppendError::ShuttingDown)
        } else if !state.jobs.is_empty() && (state.rows + rows > self.max_rows || state.bytes + bytes > self.max_bytes)
        {
            // An append larger than the whole queue passes when it is alone: refused, it could never succeed.
            Some(AppendError::QueueFull)
        } else {
            None
        };
        if let Some(error) = refusal {
            return Err((error, records));
        }
        state.rows += rows;
        state.bytes += bytes;
        state.jobs.push_back(Job { records, receipt: acknowledge, bytes });
        let enough = state.jobs.len() >= state.wanted;
        drop(state);
        if enough {
            self.ready.notify_one();
        }
        Ok(receipt)
    }

    /// The turn of one of those that wait for room, in the order in which they came.
    pub(crate) async fn turn(&self) -> Turn<'_, ()> {
        self.turnstile.lock().await
    }

    /// Ends when an append that was refused after this call may pass.
    pub(crate) fn room(&self) -> Notified<'_> {
        self.room.notified()
    }

    /// Lets appends that wait for room try again.
    pub(crate) fn tell_room(&self) {
        self.room.notify_waiters();
    }

    /// Lets the writer thread do `task` before the next commit, and waits for it.
    ///
    /// # Errors
    /// What the task ends with, or that the writer has ended.
    pub(crate) fn run(&self, task: T) -> Result<(), AppendError> {
        self.begin(task)?.recv().unwrap_or(Err(AppendError::ShuttingDown))
    }

    /// The same without waiting for it: what it ends with is received.
    ///
    /// # Errors
    /// When the writer has ended.
    pub(crate) fn begin(&self, task: T) -> Result<Receiver<Result<(), AppendError>>, AppendError> {
        let (done, is_done) = sync_channel(1);
        let mut state = self.state.lock();
        if state.closed {
            return Err(AppendError::ShuttingDown);
        }
        state.tasks.push_back(Assignment { task, done });
        drop(state);
        self.ready.notify_one();
        Ok(is_done)
    }

    /// Waits up to `patience` for work and takes a task, or jobs of about `rows` records. `last_appends` is how many appends
    /// the last commit had: after a large one, those that it answered are on their way back, and a commit for many of them
    /// costs little more than one for the first. So it waits, [`GROUP_COMMIT_WAIT`] at most, for half of the clients that are
    /// known to be there: while their events are committed, the events of the other half are parsed.
    pub(crate) fn take(&self, rows: usize, patience: Duration, last_appends: usize) -> Work<T> {
        let mut state = self.state.lock();
        let (wanted, limit) = match last_appends {
            GROUP_COMMIT_MIN_APPENDS.. => ((last_appends + state.jobs.len()).div_ceil(2), GROUP_COMMIT_WAIT),
            _ => (1, patience),
        };
        state.wanted = wanted;
        let short = |state: &mut State<T>| {
            state.tasks.is_empty() && state.jobs.len() < wanted && state.rows < rows && !state.closed
        };
        self.ready.wait_while_for(&mut state, short, limit);
        state.wanted = 1;
        if let Some(task) = state.tasks.pop_front() {
            return Work::Task(task);
        }
        let jobs = state.pop_jobs(rows, self.commit_bytes);
        let closed = state.closed;
        drop(state);
        match (jobs.is_empty(), closed) {
            (false, _) => {
                self.tell_room();
                Work::Commit(jobs)
            }
            (true, true) => Work::Closed,
            (true, false) => Work::Idle,
        }
    }

    /// Takes jobs of about `rows` records, without waiting for any.
    pub(crate) fn take_jobs(&self, rows: usize) -> Vec<Job> {
        let jobs = self.state.lock().pop_jobs(rows, self.commit_bytes);
        self.tell_room();
        jobs
    }

    /// Refuses appends from now on; those that are queued are still taken.
    pub(crate) fn refuse(&self) {
        self.state.lock().open = false;
        self.tell_room();
    }

    /// Refuses everything from now on, and lets the writer end when it has done what waits.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.open = false;
        state.closed = true;
        drop(state);
        self.ready.notify_one();
        self.tell_room();
    }

    /// Refuses everything, also what waits: the writer is gone.
    pub(crate) fn abandon(&self) {
        let mut state = self.state.lock();
        state.open = false;
        state.closed = true;
        // Those that wait for a receipt or a task are woken by this, so not under the lock.
        let left = (std::mem::take(&mut state.jobs), std::mem::take(&mut state.tasks));
        drop(state);
        let (jobs, tasks) = left;
        jobs.into_iter().for_each(|job| job.refuse(AppendError::Poisoned));
        drop(tasks);
        self.tell_room();
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
