//! The writer thread: the only one that touches the log and appends to the head.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use zenovay_domain::WebsiteId;

use crate::cardinality::{Cardinality, Folded};
use crate::codec::Encoder;
use crate::faults::FaultPoint;
use crate::inner::Inner;
use crate::log::{CatalogChange, Committed, KeyCursor, Log, LogFailure};
use crate::queue::{Assignment, Job, NewRecords, Task, Work};
use crate::segment::Segment;
use crate::sessions::Sessions;
use crate::slot::Slot;
use crate::state::{Frozen, State};
use crate::{AppendError, AppendOutcome, NewCapture, NewEvent};

/// How long the writer waits for work before it tidies up.
const PATIENCE: Duration = Duration::from_millis(500);
/// Idempotency keys are looked through for old ones this many at a time.
const PRUNED_KEYS: usize = 512;
/// One commit in so many prunes keys, so that a store that is never idle prunes too.
const COMMITS_PER_PRUNE: u64 = 256;

pub(crate) struct Writer {
    inner: Arc<Inner>,
    log: Slot,
    encoder: Encoder,
    cardinality: Cardinality,
    sessions: Sessions,
    commits: u64,
    last_commit_appends: usize,
    pruned_to: Option<KeyCursor>,
}

/// When the writer ends, also by a panic, nobody waits for it any more.
struct AbandonOnDrop(Arc<Inner>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.poisoned.fetch_or(thread::panicking(), Ordering::Relaxed);
        self.0.queue.abandon();
    }
}

/// Appends that are being committed: a panic gives their events back.
pub(crate) struct InHand(pub(crate) Vec<Job>);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.drain(..).for_each(|job| job.refuse(AppendError::Poisoned));
    }
}

impl Writer {
    pub(crate) fn new(inner: Arc<Inner>, log: Log) -> io::Result<Self> {
        let cardinality = Cardinality::new(inner.config.distinct_strings);
        let log = Slot::Open(log);
        Ok(Self {
            inner,
            log,
            encoder: Encoder::new()?,
            cardinality,
            sessions: Sessions::default(),
            commits: 0,
            last_commit_appends: 0,
            pruned_to: None,
        })
    }

    /// Works until the queue is closed.
    pub(crate) fn run(mut self) {
        let _abandon = AbandonOnDrop(Arc::clone(&self.inner));
        loop {
            match self.inner.queue.take(self.inner.config.commit_rows, PATIENCE, self.last_commit_appends) {
                Work::Commit(jobs) => self.commit(jobs),
                Work::Task(Assignment { task, done }) => {
                    // Who waited may be gone.
                    let _ = done.send(self.run_task(&task));
                }
                // The clients did not come back; there is time to tidy up when nothing comes for longer.
                Work::Idle if self.last_commit_appends > 0 => self.last_commit_appends = 0,
                Work::Idle => self.tidy(),
                Work::Closed => break,
            }
        }
        // What was committed is safe in the log; a checkpoint saves the next start some work.
        let _ = self.with_log(Log::checkpoint_all);
    }

    fn run_task(&mut self, task: &Task) -> Result<(), AppendError> {
        match task {
            Task::Drain => {
                self.drain();
                Ok(())
            }
            Task::Freeze => self.freeze(),
            Task::Register { change, sealed } => self.register(change, *sealed),
            Task::Scrub { forget } => self.scrub(*forget),
            Task::Hold { held, go_on } => self.hold(held, go_on),
            Task::Release => self.with_log(Log::release),
        }
    }

    /// Commits everything that waits.
    fn drain(&mut self) {
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
        let state = inner.state();
        self.sessions.begin(&state);
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
        let fault = inner.config.fault(FaultPoint::Commit);
        let Self { log, encoder, cardinality, sessions, .. } = self;
        cardinality.prepare(&state, events.iter().map(|new| &**new), started);
        let mut unfolded = Vec::new();
        let fold = |number: usize, new: &mut NewEvent| {
            if let Some(Folded { columns, before }) = cardinality.fold(new) {
                inner.note_folded(new.website, &columns);
                unfolded.push((number, before));
            }
        };
        let committed = match log.with(&*inner, |log| log.commit(encoder, &mut events, &captures, fold, fault)) {
            Ok(committed) => committed,
            Err(error) => {
                // What was noted as known is not stored, and the events go back as they came.
                events.iter().for_each(|new| cardinality.forget(new.website));
                for (number, before) in unfolded {
                    events[number].event.dimensions = before;
                }
                sessions.keep_only(std::iter::empty());
                jobs.0.drain(..).for_each(|job| job.refuse(error.clone()));
                return;
            }
        };
        inner.has_space();
        let Committed { batch, events: outcomes, captures: captured } = committed;
        let stored = events
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| **outcome == AppendOutcome::Stored)
            .map(|(new, _)| &**new);
        if outcomes.iter().any(|outcome| *outcome != AppendOutcome::Stored) {
            sessions.keep_only(stored.clone());
        }
        let now_ms = inner.clock.now().as_millis();
        state.active.append(now_ms, stored.map(|new| (new.website, &new.event)));
        let fresh: Vec<(WebsiteId, Vec<u8>)> = (captures.iter().zip(&captured))
            .filter(|(_, outcome)| **outcome == AppendOutcome::Stored)
            .map(|(new, _)| (new.website, new.bytes.clone()))
            .collect();
        if let (false, Some(sink)) = (fresh.is_empty(), &inner.config.captures) {
            state.active.note_captured(now_ms, fresh.iter().map(|(_, bytes)| bytes.len() as u64).sum());
            sink.take(batch, fresh);
        }
        inner.config.tell(|observer| observer.committed(outcomes.len(), started.elapsed()));
        let (mut outcomes, mut captured) = (outcomes.into_iter(), captured.into_iter());
        for job in jobs.0.drain(..) {
            let count = job.records.len();
            job.receipt.stored(match job.records {
                NewRecords::Events(_) => outcomes.by_ref().take(count).collect(),
                NewRecords::Captures(_) => captured.by_ref().take(count).collect(),
            });
        }
        if inner.seal_is_due(&state) {
            inner.sealer.wake();
        }
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

    fn tidy(&mut self) {
        if self.inner.disk_full.load(Ordering::Relaxed) {
            // Finds out whether there is space again without an event to lose: readiness depends on it.
            let fault = self.inner.config.fault(FaultPoint::Commit);
            if fault.is_ok() && self.with_log(Log::probe).is_ok() {
                self.inner.has_space();
            }
        }
        let _ = self.with_log(Log::trim);
        self.prune();
        let _ = self.with_log(Log::checkpoint_when_due);
    }

    fn prune(&mut self) {
        let reading = self.inner.clock.reading();
        if !reading.trusted {
            return;
        }
        let kept_ms = self.inner.config.idempotency_ms;
        let after = self.pruned_to.take();
        if let Ok(cursor) = self.with_log(|log| log.prune_keys(after, reading.now, kept_ms, PRUNED_KEYS)) {
            self.pruned_to = cursor;
        }
    }

    /// Starts a new generation, so that the head so far can become a segment. Does nothing to an empty head.
    fn freeze(&mut self) -> Result<(), AppendError> {
        let Slot::Open(log) = &self.log else { return Err(AppendError::Poisoned) };
        let state = self.inner.state();
        if state.active.is_empty() {
            return Ok(());
        }
        let mut next = state.next();
        let (after, last_seq) = (state.frozen.last().map_or(log.sealed_seq(), |last| last.last_seq), log.last_seq());
        let origin = log.origin(after, last_seq);
        next.frozen.push(Frozen { generation: Arc::clone(&state.active), last_seq, origin });
        next.active = Arc::new(state.active.next());
        self.inner.set_state(next);
        Ok(())
    }

    /// Makes `change` durable, then visible: queries see the new segments instead of the old ones and of the generation
    /// that was sealed, all at once.
    fn register(&mut self, change: &CatalogChange, sealed: Option<u64>) -> Result<(), AppendError> {
        self.with_log(|log| log.register(change))?;
        let state = self.inner.state();
        let mut next: State = state.next();
        next.frozen.retain(|frozen| Some(frozen.generation.id) != sealed);
        next.segments.retain(|segment| !change.remove.contains(&segment.meta.id));
        let segment = |meta: &crate::segment::SegmentMeta| {
            Segment::new(&self.inner.segments_dir, meta.clone()).with_faults(self.inner.config.faults.clone())
        };
        let added = change.add.iter().map(|meta| Arc::new(segment(meta)));
        next.segments.extend(added);
        next.segments.sort_by_key(|segment| segment.meta.position);
        if let Some(retention) = &change.retention {
            Arc::make_mut(&mut next.ledger).apply(retention);
            self.sessions.forget();
        }
        self.inner.set_state(next);
        if sealed.is_some() {
            // The head is smaller.
            self.inner.queue.tell_room();
        }
        Ok(())
    }

    /// Removes the sealed batches and every trace of them from the log.
    fn scrub(&mut self, forget: Option<WebsiteId>) -> Result<(), AppendError> {
        self.sessions.forget();
        if let Some(website) = forget {
            self.cardinality.forget(website);
            self.with_log(|log| log.register(&CatalogChange { forget, ..CatalogChange::default() }))?;
            let mut next = self.inner.state().next();
            Arc::make_mut(&mut next.ledger).forget(website);
            self.inner.set_state(next);
        }
        while self.with_log(Log::trim)? {}
        self.with_log(Log::checkpoint_all)
    }

    /// Stands still for somebody who takes the moment.
    fn hold(&mut self, held: &SyncSender<()>, go_on: &Receiver<()>) -> Result<(), AppendError> {
        self.with_log(Log::hold)?;
        if held.send(()).is_ok() {
            // Nothing is ever sent: it ends when whoever took the moment lets go.
            let _ = go_on.recv();
        }
        Ok(())
    }

    fn with_log<T>(&mut self, step: impl FnOnce(Log) -> Result<(Log, T), LogFailure>) -> Result<T, AppendError> {
        self.log.with(&*self.inner, step)
    }
}
