//! One outcome for every tracking request and every row of a batch: `accepted = stored + dropped`, and `refused` beside
//! it (DESIGN §3). A [`PendingOutcome`] is made when a request begins and must be settled; one that is forgotten, because its
//! handler panicked or its client went away, settles itself.

use std::sync::OnceLock;

use actix_web::http::header::{HeaderName, HeaderValue};
use metrics::Counter;
use zenovay_domain::{Reading, WebsiteId};
use zenovay_events::{AppendError, AppendOutcome, AppendReceipt, AppendRefused, IdempotencyKey, NewEvent};
use zenovay_ingest::{Accepted, DropReason, Mend, Mends, Outcome, Refusal, RefusalReason, Rejected};

use super::event_quota::Place;

/// The response header in which developers read what became of a hit.
pub const HEADER: HeaderName = HeaderName::from_static("x-zenovay-outcome");

/// What [`HEADER`] says of `outcome`.
pub const fn header(outcome: Outcome) -> HeaderValue {
    HeaderValue::from_static(match outcome {
        Outcome::Stored => outcome.as_str(),
        Outcome::Dropped(_) | Outcome::Refused(_) => outcome.reason(),
    })
}

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

/// Counts what was changed in what is stored all the same.
pub fn count_mends(mends: Mends) {
    for mend in mends.iter() {
        self::mends(mend).increment(1);
    }
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

/// A request whose outcome is not known yet.
#[must_use = "every request ends in an outcome"]
#[derive(Debug)]
pub struct PendingOutcome {
    is_settled: bool,
    /// The place that its event took in the month of a team.
    place: Option<Place>,
}

impl PendingOutcome {
    /// That of a request which begins.
    pub fn begin() -> Self {
        Self { is_settled: false, place: None }
    }

    /// The place that its event took, which is given back unless the event is stored.
    pub fn with_place(self, place: Option<Place>) -> Self {
        let mut pending = self;
        pending.place = place;
        pending
    }

    /// Counts `outcome`.
    pub fn settle(mut self, outcome: Outcome) {
        self.is_settled = true;
        if let Some(place) = self.place.take().filter(|_| outcome != Outcome::Stored) {
            place.give_back();
        }
        count(outcome);
    }

    /// Counts nothing for the request itself: each of the `rows` of its batch has an outcome.
    pub fn defer_to_rows(mut self, rows: usize) -> PendingRows {
        self.is_settled = true;
        PendingRows { left: rows }
    }

    /// Waits for the store with the event of this request in its hands, counts what the store says, and returns that. The
    /// receipt is awaited and counted also when nobody waits for this future any more.
    pub async fn settle_with(self, queued: Result<AppendReceipt, AppendRefused>) -> Result<AppendOutcome, AppendError> {
        let receipt = match queued {
            Ok(receipt) => receipt,
            Err(refused) => {
                self.settle(outcome_of(&Err(refused.reason.clone())));
                return Err(refused.reason);
            }
        };
        let mut waiting = Waiting { pending: Some(self), receipt: Some(receipt) };
        let result = match waiting.receipt.as_mut() {
            Some(receipt) => first_outcome(receipt.await),
            None => Err(AppendError::ShuttingDown),
        };
        waiting.receipt = None;
        if let Some(pending) = waiting.pending.take() {
            pending.settle(outcome_of(&result));
        }
        result
    }
}

impl Drop for PendingOutcome {
    fn drop(&mut self) {
        if !self.is_settled {
            // The handler was dropped before it handed an event to the store: its client left, or it panicked.
            count(Outcome::Refused(RefusalReason::BodyIncomplete));
            if let Some(place) = self.place.take() {
                place.give_back();
            }
        }
    }
}

/// The rows of a batch whose outcomes are not known yet.
#[must_use = "every row ends in an outcome"]
#[derive(Debug)]
pub struct PendingRows {
    left: usize,
}

impl PendingRows {
    /// Counts `outcome` for one of them.
    pub fn settle(&mut self, outcome: Outcome) {
        self.left = self.left.saturating_sub(1);
        count(outcome);
    }
}

impl Drop for PendingRows {
    fn drop(&mut self) {
        // Whoever stored them panicked.
        for _ in 0..self.left {
            count(Outcome::Refused(RefusalReason::Internal));
        }
    }
}

/// An accepted event as the store takes it. What was changed in it is counted.
pub fn new_event(accepted: Accepted, website: WebsiteId, reading: Reading) -> NewEvent {
    if accepted.clock_corrected {
        metrics::counter!("zenovay_ingest_clock_corrected_total").increment(1);
    }
    count_mends(accepted.mends);
    NewEvent::new(website, reading.steady, accepted.event).with_key(accepted.idempotency_key.map(IdempotencyKey))
}

/// How an event ended that the store took, for who sent it under an id, which is called `id_name`.
///
/// # Errors
/// Why it was not stored.
pub fn judge_stored(outcome: AppendOutcome, id_name: &str) -> Result<(), Rejected> {
    match outcome {
        AppendOutcome::Stored => Ok(()),
        AppendOutcome::Duplicate => Err(DropReason::Duplicate.into()),
        AppendOutcome::KeyReused => {
            let message = format!("The {id_name} was used before for a different event");
            Err(Refusal::new(RefusalReason::IdempotencyKeyReused, message).into())
        }
    }
}

/// What a store's answer about one event means.
fn first_outcome(received: Result<Vec<AppendOutcome>, AppendRefused>) -> Result<AppendOutcome, AppendError> {
    Ok(received?.first().copied().unwrap_or(AppendOutcome::Stored))
}

/// The outcome of an event that was handed to the store.
pub fn outcome_of(result: &Result<AppendOutcome, AppendError>) -> Outcome {
    match result {
        Ok(AppendOutcome::Stored) => Outcome::Stored,
        Ok(AppendOutcome::Duplicate) => Outcome::Dropped(DropReason::Duplicate),
        Ok(AppendOutcome::KeyReused) => Outcome::Refused(RefusalReason::IdempotencyKeyReused),
        Err(AppendError::QueueFull) => Outcome::Refused(RefusalReason::QueueFull),
        Err(AppendError::DiskFull) => Outcome::Refused(RefusalReason::DiskFull),
        Err(AppendError::Sessions(_)) => Outcome::Refused(RefusalReason::Internal),
        Err(_) => Outcome::Refused(RefusalReason::StoreUnavailable),
    }
}

/// An event in the hands of the store. Dropped early, it leaves a task behind that still counts what becomes of it.
struct Waiting {
    pending: Option<PendingOutcome>,
    receipt: Option<AppendReceipt>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let (Some(pending), Some(receipt)) = (self.pending.take(), self.receipt.take()) else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move { pending.settle(outcome_of(&first_outcome(receipt.await))) });
            }
            // The process is ending: nobody reads the counters any more.
            Err(_) => pending.settle(Outcome::Refused(RefusalReason::StoreUnavailable)),
        }
    }
}
