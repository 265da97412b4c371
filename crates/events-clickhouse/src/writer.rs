//! The thread that appends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;
use zenovay_events::{Acknowledge, AppendError, AppendOutcome, AppendRefused, NewEvent};
use zenovay_query::QueryError;

use crate::inner::Inner;
use crate::row::NewRow;
use crate::sessions::Sessions;
use crate::shared::{Claim, Claimed, SharedError};

/// So many events are written at once at most, but for an append that has more.
const BATCH_ROWS: usize = 10_000;

/// From one attempt to the next.
const PAUSE: Duration = Duration::from_millis(100);

/// An append, and who waits for it.
type Waiting = (Vec<NewEvent>, Acknowledge);

/// What the thread is handed.
pub(crate) enum Job {
    Append(Vec<NewEvent>, Acknowledge),
    Shutdown,
}

/// Rows that are written together.
struct Batch {
    token: String,
    rows: Vec<NewRow>,
    /// The numbers of those with keys.
    claims: Vec<u64>,
    may_be_stored: bool,
}

pub(crate) struct Writer {
    inner: Arc<Inner>,
    /// `None` before what is stored was looked through.
    sessions: Option<Sessions>,
    /// A batch of which nobody knows whether it is stored.
    unknown: Option<Batch>,
}

impl Writer {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner, sessions: None, unknown: None }
    }

    /// Works until the store shuts down; what waits then is refused.
    pub(crate) fn run(mut self, mut jobs: Receiver<Job>) {
        while let Some(job) = jobs.blocking_recv() {
            let mut next = Some(job);
            let (mut batch, mut rows) = (Vec::new(), 0);
            while let Some(job) = next.take() {
                match job {
                    Job::Append(events, acknowledge) => {
                        rows += events.len();
                        batch.push((events, acknowledge));
                    }
                    Job::Shutdown => jobs.close(),
                }
                next = if rows < BATCH_ROWS { jobs.try_recv().ok() } else { None };
            }
            self.commit(batch);
        }
    }

    fn commit(&mut self, jobs: Vec<Waiting>) {
        if jobs.is_empty() {
            return;
        }
        if self.inner.is_changed.swap(false, Ordering::SeqCst) {
            self.sessions = None;
        }
        if self.settle().is_err() {
            return refuse(jobs, &AppendError::Busy);
        }
        if self.look_through().is_err() {
            return refuse(jobs, &AppendError::Busy);
        }
        let jobs = self.without_faults(jobs);
        let events: Vec<&NewEvent> = jobs.iter().flat_map(|(events, _)| events).collect();
        if events.is_empty() {
            return;
        }
        let Ok((batch, outcomes)) = self.prepare(&events) else {
            self.sessions = None;
            return refuse(jobs, &AppendError::Busy);
        };
        if let Err(error) = self.write(batch) {
            self.sessions = None;
            return refuse(jobs, &error);
        }
        let mut outcomes = outcomes.into_iter();
        for (events, acknowledge) in jobs {
            acknowledge.stored(outcomes.by_ref().take(events.len()).collect());
        }
    }

    /// Reads the sessions of before, when they are not known.
    fn look_through(&mut self) -> Result<(), QueryError> {
        if self.sessions.is_none() {
            let mut known = Sessions::default();
            for (website, session, span) in self.inner.tables.known_sessions()? {
                known.know(website, session, span);
            }
            self.sessions = Some(known);
        }
        Ok(())
    }

    /// Refuses the appends whose sessions cannot be.
    fn without_faults(&mut self, jobs: Vec<Waiting>) -> Vec<Waiting> {
        let sessions = self.sessions.get_or_insert_default();
        let mut left = Vec::with_capacity(jobs.len());
        for (events, acknowledge) in jobs {
            match sessions.add(&events) {
                faults if faults.is_empty() => left.push((events, acknowledge)),
                faults => acknowledge.refuse(AppendRefused::new(AppendError::Sessions(faults), events)),
            }
        }
        left
    }

    /// Numbers the events and finds out which are repetitions.
    fn prepare(&self, events: &[&NewEvent]) -> Result<(Batch, Vec<AppendOutcome>), SharedError> {
        let shared = &self.inner.shared;
        let first = shared.reserve(events.len() as u64)?;
        self.inner.note_late(events)?;
        let claim = |(arrival, new): (u64, &&NewEvent)| {
            Some(Claim { website: new.website, key: new.idempotency_key?, digest: new.repetition_digest(), arrival })
        };
        let claims: Vec<Claim> = (first..).zip(events).filter_map(claim).collect();
        let claimed = if claims.is_empty() { Vec::new() } else { shared.claim(&claims)? };
        let mut claimed = claims.iter().zip(claimed);
        let mut next = claimed.next();
        let (mut rows, mut outcomes, mut taken) =
            (Vec::with_capacity(events.len()), Vec::with_capacity(events.len()), Vec::new());
        for (arrival, new) in (first..).zip(events) {
            let outcome = match next.take_if(|(claim, _)| claim.arrival == arrival) {
                Some((claim, answer)) => {
                    next = claimed.next();
                    match answer {
                        Claimed::New => {
                            taken.push(arrival);
                            AppendOutcome::Stored
                        }
                        Claimed::Held { digest } if digest == claim.digest => AppendOutcome::Duplicate,
                        Claimed::Held { .. } => AppendOutcome::KeyReused,
                    }
                }
                None => AppendOutcome::Stored,
            };
            if outcome == AppendOutcome::Stored {
                rows.push(NewRow::new(new, arrival));
            }
            outcomes.push(outcome);
        }
        // The number is given once, so that it can name the batch.
        Ok((Batch { token: format!("zenovay-{first}"), rows, claims: taken, may_be_stored: false }, outcomes))
    }

    /// Writes a batch, again and again while it may be stored, nobody knows, and there is time. One that was sent to nobody is not
    /// stored.
    fn write(&mut self, mut batch: Batch) -> Result<(), AppendError> {
        let until = Instant::now() + self.inner.tables.patience();
        loop {
            match self.inner.tables.write_rows(&batch.token, batch.rows.clone()) {
                Ok(()) => {
                    // Those that cannot be noted now are looked for by the next process.
                    let _ = self.inner.shared.confirm(&batch.claims);
                    return Ok(());
                }
                Err(error) if !error.was_sent && !batch.may_be_stored => {
                    let _ = self.inner.shared.withdraw(&batch.claims);
                    return Err(AppendError::Busy);
                }
                Err(_) => batch.may_be_stored = true,
            }
            if Instant::now() >= until {
                self.unknown = Some(batch);
                return Err(AppendError::Poisoned);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Before anything else is written: the batch that may or may not be stored.
    fn settle(&mut self) -> Result<(), AppendError> {
        self.unknown.take().map_or(Ok(()), |batch| self.write(batch))
    }
}

fn refuse(jobs: Vec<Waiting>, reason: &AppendError) {
    for (events, acknowledge) in jobs {
        acknowledge.refuse(AppendRefused::new(reason.clone(), events));
    }
}
