//! The thread of a spool that commits, the only one that touches its log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use zenovay_domain::WebsiteId;

use super::{Acknowledged, SpoolInner};
use crate::codec::Encoder;
use crate::log::{Committed, KeyCursor, Log, LogFailure};
use crate::queue::{Assignment, Job, NewRecords, Work};
use crate::sessions::Sessions;
use crate::slot::Slot;
use crate::writer::InHand;
use crate::{AppendError, AppendOutcome, NewCapture, NewEvent};

/// How long it waits for work before it tidies up.
const PATIENCE: Duration = Duration::from_millis(500);
/// While there are delivered batches to remove it waits no longer than this.
const TRIM_PATIENCE: Duration = Duration::from_millis(5);
/// So many delivered batches are removed at a time when there is nothing else to do.
const TRIM_BATCHES: u64 = 256;
/// Idempotency keys are looked through for old ones this many at a time.
const PRUNED_KEYS: usize = 512;
/// One commit in so many prunes keys.
const COMMITS_PER_PRUNE: u64 = 256;

/// Something else that the thread does between commits.
pub(super) type Task = Box<dyn FnOnce(&mut Writer) -> Result<(), AppendError> + Send>;

/// An append that is acknowledged when it is delivered.
struct Waiting {
    /// Up to which batch.
    seq: u64,
    /// For how long.
    until: Instant,
    job: Job,
    outcomes: Vec<AppendOutcome>,
}

pub(super) struct Writer {
    inner: Arc<SpoolInner>,
    log: Slot,
    encoder: Encoder,
    pub(super) sessions: Sessions,
    commits: u64,
    last_commit_appends: usize,
    pruned_to: Option<KeyCursor>,
    /// Ascending.
    waiting: VecDeque<Waiting>,
}

/// When the writer ends, also by a panic, nobody waits for it any more.
struct AbandonOnDrop(Arc<SpoolInner>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.poisoned.fetch_or(thread::panicking(), Ordering::Relaxed);
        self.0.queue.abandon();
        self.0.close();
    }
}

impl Writer {
    pub(super) fn new(inner: Arc<SpoolInner>, log: Log, sessions: Sessions) -> std::io::Result<Self> {
        Ok(Self {
            inner,
            log: Slot::Open(log),
            encoder: Encoder::new()?.with_arrivals(),
            sessions,
            commits: 0,
            last_commit_appends: 0,
            pruned_to: None,
            waiting: VecDeque::new(),
        })
    }

    /// Works until the queue is closed.
    pub(super) fn run(mut self) {
        let inner = Arc::clone(&self.inner);
        let _abandon = AbandonOnDrop(Arc::clone(&inner));
        loop {
            let has_sealed = matches!(&self.log, Slot::Open(log) if log.has_sealed());
            let patience = if has_sealed { TRIM_PATIENCE } else { PATIENCE };
            match inner.queue.take(inner.config.commit_rows, patience, self.last_commit_appends) {
                Work::Commit(jobs) => self.commit(jobs),
                Work::Task(Assignment { task, done }) => {
                    // Who waited may be gone.
                    let _ = done.send(task(&mut self));
                }
                Work::Idle if self.last_commit_appends > 0 => self.last_commit_appends = 0,
                Work::Idle => self.tidy(),
                Work::Closed => break,
            }
            self.give_up_waiting(Instant::now());
        }
        for waiting in self.waiting.drain(..) {
            waiting.job.refuse(AppendError::NotDelivered);
        }
        let _ = self.with_log(Log::checkpoint_all);
    }

    /// Commits everything that waits.
    pub(super) fn drain(&mut self) {
        loop {
            let jobs = self.inner.queue.take_jobs(self.inner.config.commit_rows);
            if jobs.is_empty() {
                return;
            }
            self.commit(jobs);
        }
    }

    fn commit(&mut self, jobs: Vec<Job>) {
        let started = Instant::now();
        let inner = Arc::clone(&self.inner);
        self.last_commit_appends = jobs.len();
        self.sessions.begin_without_state();
        let mut jobs = InHand(self.without_faults(jobs));
        if jobs.0.is_empty() {
            return;
        }
        let (mut events, mut captures): (Vec<&mut NewEvent>, Vec<&NewCapture>) = (Vec::new(), Vec::new());
        for job in &mut jobs.0 {
            let (more, captured) = job.records.parts_mut();
            events.extend(more);
            captures.extend(captured);
        }
        let Self { log, encoder, sessions, .. } = self;
        let commit = |log: Log| log.commit(encoder, &mut events, &captures, |_, _| {}, Ok(()));
        let Committed { batch, events: outcomes, captures: captured } = match log.with(&*inner, commit) {
            Ok(committed) => committed,
            Err(error) => {
                sessions.keep_only(std::iter::empty());
                jobs.0.drain(..).for_each(|job| job.refuse(error.clone()));
                return;
            }
        };
        inner.has_space();
        let stored = (events.iter().zip(&outcomes))
            .filter(|(_, outcome)| **outcome == AppendOutcome::Stored)
            .map(|(new, _)| &**new);
        if outcomes.iter().any(|outcome| *outcome != AppendOutcome::Stored) {
            sessions.keep_only(stored.clone());
        }
        let (rows, newest) = (stored.clone().count() as u64, stored.map(|new| new.event.at).max());
        let fresh: Vec<(WebsiteId, Vec<u8>)> = (captures.iter().zip(&captured))
            .filter(|(_, outcome)| **outcome == AppendOutcome::Stored)
            .map(|(new, _)| (new.website, new.bytes.clone()))
            .collect();
        let captured_bytes: u64 = fresh.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        if let (false, Some(sink)) = (fresh.is_empty(), &inner.config.captures) {
            sink.take(batch, fresh);
        }
        if let Some(observer) = &inner.config.observer {
            observer.committed(outcomes.len(), started.elapsed());
        }
        let last_seq = self.log_state(Log::last_seq).unwrap_or(0);
        inner.committed(last_seq, rows, newest, captured_bytes);
        let (mut outcomes, mut captured) = (outcomes.into_iter(), captured.into_iter());
        let delivered_seq = inner.marks().delivered_seq;
        for job in jobs.0.drain(..) {
            let count = job.records.len();
            let (is_events, outcomes): (bool, Vec<AppendOutcome>) = match job.records {
                NewRecords::Events(_) => (true, outcomes.by_ref().take(count).collect()),
                NewRecords::Captures(_) => (false, captured.by_ref().take(count).collect()),
            };
            let waits = is_events && inner.config.acknowledged == Acknowledged::WhenDelivered;
            if waits && delivered_seq < last_seq {
                let until = started + inner.config.patience;
                self.waiting.push_back(Waiting { seq: last_seq, until, job, outcomes });
            } else {
                job.receipt.stored(outcomes);
            }
        }
        self.note_bytes();
        self.commits += 1;
        if self.commits.is_multiple_of(COMMITS_PER_PRUNE) {
            self.prune();
        }
        let _ = self.with_log(Log::checkpoint_when_due);
    }

    /// Refuses the appends with events that cannot belong to their sessions.
    fn without_faults(&mut self, jobs: Vec<Job>) -> Vec<Job> {
        let mut left = Vec::with_capacity(jobs.len());
        for job in jobs {
            match self.sessions.add(job.records.events()) {
                faults if faults.is_empty() => left.push(job),
                faults => job.refuse(AppendError::Sessions(faults)),
            }
        }
        left
    }

    /// Acknowledges the appends that wait for batches up to `seq`.
    pub(super) fn acknowledge(&mut self, seq: u64) {
        while let Some(waiting) = self.waiting.pop_front_if(|waiting| waiting.seq <= seq) {
            waiting.job.receipt.stored(waiting.outcomes);
        }
    }

    /// Tells those that waited for long enough that their events are stored later.
    fn give_up_waiting(&mut self, now: Instant) {
        while let Some(waiting) = self.waiting.pop_front_if(|waiting| waiting.until <= now) {
            waiting.job.refuse(AppendError::NotDelivered);
        }
    }

    fn tidy(&mut self) {
        if self.inner.disk_full.load(Ordering::Relaxed) && self.with_log(Log::probe).is_ok() {
            self.inner.has_space();
        }
        let _ = self.with_log(|log| log.trim_some(TRIM_BATCHES));
        self.note_bytes();
        self.prune();
        let _ = self.with_log(Log::checkpoint_when_due);
    }

    /// Removes every delivered batch, and every trace of it.
    pub(super) fn scrub(&mut self) -> Result<(), AppendError> {
        while self.with_log(|log| log.trim_some(TRIM_BATCHES))? {}
        self.note_bytes();
        self.with_log(Log::checkpoint_all)
    }

    fn prune(&mut self) {
        let reading = self.inner.clock.reading();
        if !reading.trusted {
            return;
        }
        let (after, kept_ms) = (self.pruned_to.take(), self.inner.config.idempotency_ms);
        if let Ok(cursor) = self.with_log(|log| log.prune_keys(after, reading.now, kept_ms, PRUNED_KEYS)) {
            self.pruned_to = cursor;
        }
    }

    /// Notes how much of the file is in use.
    pub(super) fn note_bytes(&mut self) {
        if let Some(Ok(bytes)) = self.log_state(Log::used_bytes) {
            let before = self.inner.bytes.swap(bytes, Ordering::Relaxed);
            if bytes < before {
                self.inner.queue.tell_room();
            }
        }
    }

    /// What the log says, while it is open.
    pub(super) fn log_state<T>(&self, ask: impl FnOnce(&Log) -> T) -> Option<T> {
        match &self.log {
            Slot::Open(log) => Some(ask(log)),
            Slot::Poisoned { .. } | Slot::Taken => None,
        }
    }

    pub(super) fn with_log<T>(
        &mut self,
        step: impl FnOnce(Log) -> Result<(Log, T), LogFailure>,
    ) -> Result<T, AppendError> {
        self.log.with(&*self.inner, step)
    }
}
