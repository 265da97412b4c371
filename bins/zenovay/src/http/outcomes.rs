//! One outcome for every tracking request and every row of a batch: `accepted = stored + dropped`, and `refused` beside
//! it (DESIGN §3). An [`Open`] is made when a request or row begins and must be closed with its outcome; one that is
//! forgotten, because its handler panicked or its client went away, closes itself.

use std::sync::OnceLock;

use actix_web::http::header::HeaderName;
use metrics::Counter;
use zenovay_events::{AppendError, AppendOutcome, AppendReceipt};
use zenovay_ingest::{DropReason, Mend, Outcome, RefusalReason};

/// The response header in which developers read what became of a hit.
pub const HEADER: HeaderName = HeaderName::from_static("x-zenovay-outcome");

/// The counter of one outcome.
pub fn counter(outcome: Outcome) -> Counter {
    metrics::counter!(
        "zenovay_ingest_outcomes_total", "outcome" => outcome.as_str(), "reason" => outcome.reason()
    )
}

/// The counter of one change to an event that is stored all the same.
pub fn mends(mend: Mend) -> Counter {
    metrics::counter!("zenovay_ingest_mended_total", "what" => mend.as_str())
}

/// Counts one outcome.
pub fn count(outcome: Outcome) {
    /// A counter for each outcome, made once: the hot path neither hashes nor allocates.
    static COUNTERS: OnceLock<Vec<(Outcome, Counter)>> = OnceLock::new();
    let counters = COUNTERS.get_or_init(|| Outcome::all().map(|outcome| (outcome, counter(outcome))).collect());
    if let Some((_, counter)) = counters.iter().find(|(known, _)| *known == outcome) {
        counter.increment(1);
    }
}

/// A request or row whose outcome is not known yet.
#[must_use = "every request and row ends in an outcome"]
#[derive(Debug)]
pub struct Open {
    closed: bool,
}

impl Open {
    /// Begins one.
    pub fn begin() -> Self {
        Self { closed: false }
    }

    /// Ends it.
    pub fn close(mut self, outcome: Outcome) {
        self.closed = true;
        count(outcome);
    }

    /// Ends it without an outcome of its own: the rows of its batch have one each.
    pub fn leave_to_rows(mut self) {
        self.closed = true;
    }

    /// Waits for the store with the event of this request in its hands, ends it by what the store says, and returns that.
    /// The receipt is awaited and counted also when nobody waits for this future any more.
    pub async fn close_by(self, receipt: AppendReceipt) -> Result<AppendOutcome, AppendError> {
        let mut waiting = Waiting { open: Some(self), receipt: Some(receipt) };
        let result = match waiting.receipt.as_mut() {
            Some(receipt) => settle(receipt.await),
            None => Err(AppendError::ShuttingDown),
        };
        waiting.receipt = None;
        if let Some(open) = waiting.open.take() {
            open.close(outcome_of(&result));
        }
        result
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.closed {
            // The handler was dropped before it handed an event to the store: its client left, or it panicked.
            count(Outcome::Refused(RefusalReason::BodyIncomplete));
        }
    }
}

/// What a store's answer about one event means. A store that ends without an answer shut down.
fn settle(
    received: Result<Result<Vec<AppendOutcome>, AppendError>, tokio::sync::oneshot::error::RecvError>,
) -> Result<AppendOutcome, AppendError> {
    let outcomes = received.map_err(|_gone| AppendError::ShuttingDown)??;
    Ok(outcomes.first().copied().unwrap_or(AppendOutcome::Stored))
}

/// The outcome of an event that was handed to the store.
pub fn outcome_of(result: &Result<AppendOutcome, AppendError>) -> Outcome {
    match result {
        Ok(AppendOutcome::Stored) => Outcome::Stored,
        Ok(AppendOutcome::Duplicate) => Outcome::Dropped(DropReason::Duplicate),
        Ok(AppendOutcome::KeyReused) => Outcome::Refused(RefusalReason::IdempotencyKeyReused),
        Err(AppendError::QueueFull) => Outcome::Refused(RefusalReason::QueueFull),
        Err(AppendError::DiskFull) => Outcome::Refused(RefusalReason::DiskFull),
        Err(AppendError::Busy | AppendError::Poisoned | AppendError::ShuttingDown) => {
            Outcome::Refused(RefusalReason::StoreUnavailable)
        }
    }
}

/// An event in the hands of the store. Dropped early, it leaves a task behind that still counts what becomes of it.
struct Waiting {
    open: Option<Open>,
    receipt: Option<AppendReceipt>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let (Some(open), Some(receipt)) = (self.open.take(), self.receipt.take()) else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move { open.close(outcome_of(&settle(receipt.await))) });
            }
            // The process is ending: nobody reads the counters any more.
            Err(_) => open.close(Outcome::Refused(RefusalReason::StoreUnavailable)),
        }
    }
}
