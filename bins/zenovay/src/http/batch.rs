//! `POST /api/v1/events`: up to 1,000 events of a server, with their own timestamps (SPEC E11). Each event is judged by
//! itself; those that are valid are appended together, all or none.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;
use zenovay_domain::{ErrorCode, Reading};
use zenovay_events::{AppendError, AppendOutcome, NewEvent};
use zenovay_ingest::{
    Outcome, Refusal, RefusalReason, Rejected, TOLD_MAX, check_batch_privacy, decode_body, parse_batch,
};
use zenovay_store::UsageStore;

use super::envelope::{ApiError, Success};
use super::guard::{Authorized, IngestBatch};
use super::tracking::{count_mends, new_event};
use super::{body, outcomes};
use crate::state::AppState;

/// Stores a batch. Refused as a whole it has one outcome, otherwise each of its rows has one.
pub async fn events(
    key: Result<Authorized<IngestBatch>, ApiError>,
    state: web::Data<AppState>,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let open = outcomes::Open::begin();
    let reading = state.clock.reading();
    let now = reading.now;
    let judged = async {
        let key = key.map_err(|error| (refused(&error), error))?;
        judge(&state, key, &req, payload, reading).await
    };
    let (key, rows, turn) = match judged.await {
        Ok(judged) => {
            open.leave_to_rows();
            judged
        }
        Err((reason, error)) => {
            open.close(Outcome::Refused(reason));
            return Err(error);
        }
    };
    // A task of its own: what becomes of the rows is counted also when the client goes away.
    let report = actix_web::rt::spawn(store(state.clone().into_inner(), rows, turn)).await;
    let (report, stored) = report.map_err(|_panicked| ApiError::internal())??;
    if stored > 0 {
        let (state, id) = (state.clone(), key.credential.key_id);
        let noted = web::block(move || state.store.record_accepted_events(id, stored, reading.steady)).await;
        if !matches!(noted, Ok(Ok(()))) {
            // The events are stored; only the activity view of the key is behind.
            tracing::warn!("the activity of a key could not be noted");
        }
    }
    Ok(Success::new(report, now).into_response())
}

/// The rows of a batch in their order: an event to store, or how the row ended.
type Rows = Vec<Result<NewEvent, Rejected>>;

/// While a long batch is in work, no other one is.
type Turn = Option<OwnedSemaphorePermit>;

type Whole = (RefusalReason, ApiError);

fn whole(refusal: Refusal) -> Whole {
    (refusal.reason, ApiError::from(refusal))
}

/// Reads and judges a batch: a long one when it is its turn, and on a thread of its own, so that it holds up nobody.
async fn judge(
    state: &web::Data<AppState>,
    key: Authorized<IngestBatch>,
    req: &HttpRequest,
    payload: web::Payload,
    reading: Reading,
) -> Result<(Authorized<IngestBatch>, Rows, Turn), Whole> {
    check_batch_privacy(req.headers().get("sec-gpc").and_then(|value| value.to_str().ok())).map_err(whole)?;
    check_content_type(req).map_err(whole)?;
    let (bodies, within) = (&state.bodies, state.body_timeout);
    let raw = bodies.read_batch(req, payload, state.batch_body_bytes, within).await.map_err(whole)?;
    let encoding = body::encoding(req.headers()).map(str::to_owned);
    if raw.bytes.len() <= body::LONG_BYTES && encoding.is_none() {
        let rows = judge_rows(state, &key, None, &raw.bytes, reading)?;
        return Ok((key, rows, None));
    }
    let turn = bodies.long_batch(within).await.map_err(whole)?;
    let judging = state.clone();
    let judged = web::block(move || {
        let rows = judge_rows(&judging, &key, encoding.as_deref(), &raw.bytes, reading);
        (key, rows)
    });
    let (key, rows) = judged.await.map_err(|_panicked| (RefusalReason::Internal, ApiError::internal()))?;
    Ok((key, rows?, Some(turn)))
}

fn judge_rows(
    state: &AppState,
    key: &Authorized<IngestBatch>,
    encoding: Option<&str>,
    raw: &[u8],
    reading: Reading,
) -> Result<Rows, Whole> {
    let body = decode_body(encoding, raw, state.batch_body_bytes).map_err(whole)?;
    let batch = parse_batch(&body).map_err(whole)?;
    let website = key.website(&batch.tracking_code).map_err(|error| (refused(&error), error))?;
    let rules = state.rules(&website).map_err(whole)?;
    count_mends(batch.mends);
    let judge = |item: Result<_, Refusal>| {
        let accepted = state.ingest.batch_event(&item?, &rules, reading.now)?;
        Ok(new_event(accepted, &rules, reading))
    };
    Ok(batch.events.into_iter().map(judge).collect())
}

/// Only JSON: a page must not be able to send a batch as a simple request (SECURITY §8-5).
fn check_content_type(req: &HttpRequest) -> Result<(), Refusal> {
    let value = req.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = value.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Refusal::new(RefusalReason::UnsupportedMediaType, "Content-Type must be application/json"))
    }
}

/// The reason under which a batch is counted that ended in `error` before its rows were judged.
fn refused(error: &ApiError) -> RefusalReason {
    match error.code() {
        ErrorCode::Unauthorized | ErrorCode::Forbidden | ErrorCode::ApiPaidPlanRequired => RefusalReason::NotAuthorized,
        ErrorCode::NotFound => RefusalReason::UnknownTrackingCode,
        ErrorCode::RateLimitExceeded => RefusalReason::RateLimited,
        ErrorCode::MonthlyLimitExceeded => RefusalReason::QuotaExceeded,
        ErrorCode::ServiceUnavailable => RefusalReason::StoreUnavailable,
        ErrorCode::ValidationError
        | ErrorCode::MethodNotAllowed
        | ErrorCode::PayloadTooLarge
        | ErrorCode::UnsupportedMediaType
        | ErrorCode::Conflict
        | ErrorCode::HeadersTooLarge
        | ErrorCode::RequestTimeout
        | ErrorCode::InternalError => RefusalReason::Internal,
    }
}

/// Appends the events of `rows` and counts every row. Returns how many were stored, too.
async fn store(state: Arc<AppState>, rows: Rows, _turn: Turn) -> Result<(BatchReport, u64), AppendError> {
    let mut events = Vec::with_capacity(rows.len());
    let rows: Vec<Result<(), Rejected>> = rows.into_iter().map(|row| row.map(|event| events.push(event))).collect();
    let appended = if events.is_empty() {
        Ok(Vec::new())
    } else {
        state.events.append(events).await.unwrap_or(Err(AppendError::ShuttingDown))
    };
    let mut appended = match appended {
        Ok(outcomes) => outcomes.into_iter(),
        Err(error) => {
            for row in rows {
                let outcome =
                    row.map_or_else(|rejected| rejected.outcome(), |()| outcomes::outcome_of(&Err(error.clone())));
                outcomes::count(outcome);
            }
            return Err(error);
        }
    };
    let (mut report, mut stored) = (BatchReport::default(), 0);
    for (index, row) in rows.into_iter().enumerate() {
        let outcome = match &row {
            Ok(()) => outcomes::outcome_of(&Ok(appended.next().unwrap_or(AppendOutcome::Stored))),
            Err(rejected) => rejected.outcome(),
        };
        outcomes::count(outcome);
        stored += u64::from(outcome == Outcome::Stored);
        report.add(index, outcome, row.err());
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
    #[schema(examples("Some fields are not valid"))]
    message: String,
    /// What is wrong with each field; for the first rejected events only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    details: BTreeMap<String, String>,
}

impl BatchReport {
    fn add(&mut self, index: usize, outcome: Outcome, rejected: Option<Rejected>) {
        match outcome {
            Outcome::Stored => self.accepted += 1,
            Outcome::Dropped(zenovay_ingest::DropReason::Duplicate) => self.duplicates += 1,
            Outcome::Dropped(_) => self.accepted += 1,
            Outcome::Refused(reason) => {
                self.rejected += 1;
                let (message, mut details) = match rejected {
                    Some(Rejected::Refused(refusal)) => (refusal.message, refusal.fields),
                    _ => ("The idempotency key was used before for a different event".to_owned(), BTreeMap::default()),
                };
                // All rows are told, what is wrong with each field of the first: an answer is no longer than its batch.
                if self.errors.len() >= TOLD_MAX {
                    details.clear();
                }
                self.errors.push(RowError { index, reason: reason.as_str(), message, details });
            }
        }
    }
}
