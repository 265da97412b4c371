//! `POST /api/v1/events`: up to 1,000 events of a server, with their own timestamps (SPEC E11). Each event is judged by
//! itself; those that are valid are appended together, all or none.

use std::collections::VecDeque;
use std::sync::Arc;

use actix_web::{HttpRequest, web};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;
use zenovay_auth::Denial;
use zenovay_domain::{Reading, TeamId};
use zenovay_events::{AppendError, AppendOutcome, NewEvent};
use zenovay_ingest::{
    DropReason, Outcome, Refusal, RefusalReason, Rejected, TOLD_MAX, check_batch_privacy, decode_body, parse_batch,
};

use super::console::hub::Happening;
use super::document::bodies::{BatchBody, Body};
use super::envelope::{ApiError, Success};
use super::event_quota::{self, MonthIsUsedUp, Place};
use super::guard::{AccessRefusal, Authorized, IngestBatch};
use super::outcomes::{self, PendingRows};
use super::state::AppState;
use super::tracking::shown_live;
use super::values::Problems;
use super::{body, key_log, media_type};

/// Stores a batch. Refused as a whole it has one outcome, otherwise each of its rows has one.
pub async fn events(
    key: Result<Authorized<IngestBatch>, AccessRefusal>,
    state: web::Data<AppState>,
    req: HttpRequest,
    payload: Body<BatchBody>,
) -> Result<Success<BatchReport>, ApiError> {
    let pending = outcomes::PendingOutcome::begin();
    let reading = state.clock.reading();
    let judged = async { judge(&state, key?, &req, payload.into_payload(), reading).await };
    let (key, (team, rows), turn) = match judged.await {
        Ok(judged) => judged,
        Err(BatchRefusal { reason, error }) => {
            pending.settle(Outcome::Refused(reason));
            return Err(error);
        }
    };
    let pending = pending.defer_to_rows(rows.len());
    // A task of its own: what becomes of the rows is counted also when the client goes away.
    let report = actix_web::rt::spawn(store(state.clone().into_inner(), (team, reading), rows, pending, turn)).await;
    let (report, stored) = report.map_err(|_panicked| ApiError::internal())??;
    let (accepted, rejected) = report.counts();
    key_log::batch(&req, accepted, rejected);
    if stored > 0 {
        let (state, id) = (state.clone(), key.caller.credential.key_id);
        let noted = web::block(move || state.store.record_accepted_events(id, stored, reading.steady)).await;
        if !matches!(noted, Ok(Ok(()))) {
            // The events are stored; only the activity view of the key is behind.
            tracing::warn!("the activity of a key could not be noted");
        }
    }
    Ok(Success::new(report, reading.now))
}

/// What is said of a row that is beyond the plan.
const QUOTA_EXCEEDED: &str = "The plan of this workspace includes no more events in the month";

/// The rows of a batch in their order: an event to store, or how the row ended.
type JudgedRows = Vec<Result<NewEvent, Rejected>>;

/// While a long batch is in work, no other one is.
type Turn = Option<OwnedSemaphorePermit>;

/// Why none of the rows of a batch was looked at.
struct BatchRefusal {
    reason: RefusalReason,
    error: ApiError,
}

impl From<Refusal> for BatchRefusal {
    fn from(refusal: Refusal) -> Self {
        Self { reason: refusal.reason, error: refusal.into() }
    }
}

/// Reads and judges a batch on a thread where it may wait for the store and holds up nobody; a long one when it is its turn.
async fn judge(
    state: &web::Data<AppState>,
    key: Authorized<IngestBatch>,
    req: &HttpRequest,
    payload: web::Payload,
    reading: Reading,
) -> Result<(Authorized<IngestBatch>, (TeamId, JudgedRows), Turn), BatchRefusal> {
    check_batch_privacy(req.headers().get("sec-gpc").and_then(|value| value.to_str().ok()))?;
    media_type::require_json(req.headers())?;
    let (bodies, within) = (&state.bodies, state.body_timeout);
    let raw = bodies.read_batch(req, payload, state.batch_body_bytes, within).await?;
    let encoding = body::encoding(req.headers()).map(str::to_owned);
    let is_long = raw.bytes.len() > body::LONG_BYTES || encoding.is_some();
    let turn = if is_long { Some(bodies.long_batch(within).await?) } else { None };
    let judging = state.clone();
    let judged = web::block(move || {
        let rows = judge_rows(&judging, &key, encoding.as_deref(), &raw.bytes, reading);
        (key, rows)
    });
    let internal = |_panicked| BatchRefusal { reason: RefusalReason::Internal, error: ApiError::internal() };
    let (key, rows) = judged.await.map_err(internal)?;
    Ok((key, rows?, turn))
}

fn judge_rows(
    state: &AppState,
    key: &Authorized<IngestBatch>,
    encoding: Option<&str>,
    raw: &[u8],
    reading: Reading,
) -> Result<(TeamId, JudgedRows), BatchRefusal> {
    let body = decode_body(encoding, raw, state.batch_body_bytes)?;
    let batch = parse_batch(&body)?;
    let website = key.website(state, &batch.tracking_code)?;
    let rules = state.rules(&website)?;
    outcomes::count_mends(batch.mends);
    let judge = |row: Result<_, Refusal>| {
        let accepted = state.ingest.batch_row(&row?, reading, &rules)?;
        Ok(outcomes::new_event(accepted, website.id, reading))
    };
    Ok((website.team_id, batch.events.into_iter().map(judge).collect()))
}

impl From<AccessRefusal> for BatchRefusal {
    fn from(refusal: AccessRefusal) -> Self {
        let reason = match &refusal {
            AccessRefusal::Denied(Denial::Unknown(_)) => RefusalReason::UnknownTrackingCode,
            AccessRefusal::Denied(Denial::WrongTarget(_)) | AccessRefusal::Failed => RefusalReason::Internal,
            AccessRefusal::NoCredential
            | AccessRefusal::InvalidKey
            | AccessRefusal::NotSignedIn
            | AccessRefusal::NotHalfWay
            | AccessRefusal::CrossSite
            | AccessRefusal::ForeignHost
            | AccessRefusal::Denied(_) => RefusalReason::NotAuthorized,
            AccessRefusal::TooManyAttempts(_) | AccessRefusal::MinuteUsedUp(_) => RefusalReason::RateLimited,
            AccessRefusal::MonthUsedUp { .. } => RefusalReason::QuotaExceeded,
            AccessRefusal::KeyNotChecked(_) | AccessRefusal::NotLoaded(_) => RefusalReason::StoreUnavailable,
            AccessRefusal::LimitNotChecked(_) => RefusalReason::LimiterUnavailable,
        };
        Self { reason, error: refusal.into() }
    }
}

/// Appends the events of `rows` and counts every row. Returns how many were stored, too.
async fn store(
    state: Arc<AppState>,
    (team, reading): (TeamId, Reading),
    rows: JudgedRows,
    mut pending: PendingRows,
    _turn: Turn,
) -> Result<(BatchReport, u64), AppendError> {
    let mut events = Vec::with_capacity(rows.len());
    let mut places = VecDeque::with_capacity(rows.len());
    let limit = event_quota::limit_of(&state, team, reading.now).await;
    let mut judged: Vec<Result<(), Rejected>> = Vec::with_capacity(rows.len());
    for row in rows {
        judged.push(match row {
            Err(rejected) => Err(rejected),
            Ok(event) => match event_quota::take(&state, team, limit, &event.event).await {
                Ok(place) => {
                    events.push(event);
                    places.push_back(place);
                    Ok(())
                }
                Err(MonthIsUsedUp) => Err(Refusal::new(RefusalReason::QuotaExceeded, QUOTA_EXCEEDED).into()),
            },
        });
    }
    let rows = judged;
    let mut watched: VecDeque<_> = events.iter().map(|event| (event.website, shown_live(&state, event))).collect();
    let appended = if events.is_empty() {
        Ok(Vec::new())
    } else {
        match state.events.try_append(events) {
            Ok(receipt) => receipt.await.map_err(AppendError::from),
            Err(refused) => Err(refused.reason),
        }
    };
    let mut appended = match appended {
        Ok(outcomes) => outcomes.into_iter(),
        Err(error) => {
            let failed = outcomes::outcome_of(&Err(error.clone()));
            places.into_iter().flatten().for_each(Place::give_back);
            for row in rows {
                pending.settle(row.map_or_else(|rejected| rejected.outcome(), |()| failed));
            }
            return Err(error);
        }
    };
    let (mut report, mut stored) = (BatchReport::default(), 0);
    for (index, row) in rows.into_iter().enumerate() {
        let row = row.and_then(|()| {
            let outcome = appended.next().unwrap_or(AppendOutcome::Stored);
            let (shown, place) = (watched.pop_front(), places.pop_front().flatten());
            let judged = outcomes::judge_stored(outcome, "idempotency key");
            if let (Ok(()), Some((website, Some(shown)))) = (&judged, shown) {
                state.live.tell(website, Happening::Event(shown));
            }
            if let Some(place) = place.filter(|_| judged.is_err()) {
                place.give_back();
            }
            judged
        });
        stored += u64::from(row.is_ok());
        pending.settle(row.as_ref().map_or_else(Rejected::outcome, |()| Outcome::Stored));
        report.add(index, row);
    }
    Ok((report, stored))
}

/// What became of the events of a batch: `accepted + rejected + duplicates` is their number.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct BatchReport {
    /// Events that are stored, or that the website drops: bots, exclusions.
    #[schema(examples(2))]
    accepted: u64,
    /// Events that break a rule.
    #[schema(examples(1))]
    rejected: u64,
    /// Events whose `idempotencyKey` was stored before.
    #[schema(examples(0))]
    duplicates: u64,
    /// The rejected events, in the order of the batch.
    errors: Vec<RowError>,
}

/// A rejected event of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub struct RowError {
    /// Its place in the batch, from 0.
    #[schema(examples(1))]
    index: usize,
    /// Why, for programs.
    #[schema(examples("invalid_field"))]
    reason: &'static str,
    /// Why, for people.
    #[schema(examples("Invalid ts: Is required"))]
    message: String,
    /// What is wrong with each field; for the first rejected events only.
    #[serde(skip_serializing_if = "Problems::is_empty")]
    #[schema(required = false)]
    details: Problems,
}

impl BatchReport {
    /// How many were accepted and rejected.
    fn counts(&self) -> (u64, u64) {
        (self.accepted, self.rejected)
    }

    fn add(&mut self, index: usize, row: Result<(), Rejected>) {
        match row {
            Ok(()) => self.accepted += 1,
            Err(Rejected::Dropped(DropReason::Duplicate)) => self.duplicates += 1,
            Err(Rejected::Dropped(_)) => self.accepted += 1,
            Err(Rejected::Refused(Refusal { reason, message, mut fields, .. })) => {
                self.rejected += 1;
                // All rows are told, what is wrong with each field of the first: an answer is no longer than its batch.
                if self.errors.len() >= TOLD_MAX {
                    fields.clear();
                }
                self.errors.push(RowError { index, reason: reason.as_str(), message, details: Problems(fields) });
            }
        }
    }
}
