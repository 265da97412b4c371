//! `POST /api/track/:trackingCode/replay`: a chunk of a recording. Its events are kept as a blob, and what is known of them goes
//! through the log as every capture does; it is answered when both are durable.

use actix_web::{HttpRequest, web};
use zenovay_capture::{
    Capture, CaptureError, NewChunk, REPLAY_BODY_MAX_BYTES, ReplayBody, ReplayCapture, ReplayRefused, read_replay,
};
use zenovay_domain::Reading;
use zenovay_events::{AppendError, IdempotencyKey, NewCapture};
use zenovay_ingest::{CaptureFields, CaptureKind, DropReason, Refusal, RefusalReason, Rejected, decode_body};

use super::address_limit::unix_time;
use super::capture::{GZIP, answer, charge, context, includes, plan_of, too_many, wrong};
use super::document::bodies::{Body, Receipt, ReplayChunkBody};
use super::envelope::ApiError;
use super::errors::LATER_S;
use super::guard::Public;
use super::handler::Described;
use super::state::AppState;
use super::tracking::{Rejection, arrival, draw_salts, early_code, note_refused, website_rules};
use super::{body, client_ip, media_type};
use crate::telemetry::Limit;

/// The most bytes of a body as it is sent.
const SENT_MAX_BYTES: usize = 10 << 20;
/// The bytes with which gzip ends: how long the content is.
const GZIP_LENGTH_BYTES: usize = 4;

/// A chunk of a recording.
pub async fn replay(
    _: Public,
    state: web::Data<AppState>,
    req: HttpRequest,
    payload: Body<ReplayChunkBody>,
) -> Described<Receipt> {
    let reading = state.clock.reading();
    answer(&state, reading, accept(&state, &req, payload.into_payload(), reading)).await.into()
}

impl From<ReplayRefused> for Rejection {
    fn from(refused: ReplayRefused) -> Self {
        match refused {
            ReplayRefused::Duplicate => Rejected::Dropped(DropReason::Duplicate).into(),
            ReplayRefused::SessionFull => Rejected::Dropped(DropReason::SessionFull).into(),
            ReplayRefused::TooMuchWaits => {
                let words = "No more recordings can be taken now; send it again later";
                Rejection::refused(RefusalReason::StoreUnavailable, ApiError::unavailable(words, LATER_S))
            }
            ReplayRefused::Wrong(problems) => wrong(problems).into(),
            ReplayRefused::Index(error) => unavailable(error),
            ReplayRefused::Blob(error) => unavailable(error.into()),
            _ => unavailable(CaptureError::Behind),
        }
    }
}

fn unavailable(error: CaptureError) -> Rejection {
    match error {
        CaptureError::DiskFull => AppendError::DiskFull.into(),
        error => Rejection::refused(RefusalReason::StoreUnavailable, ApiError::from(error)),
    }
}

/// Everything before the log.
async fn accept(
    state: &web::Data<AppState>,
    req: &HttpRequest,
    payload: web::Payload,
    reading: Reading,
) -> Result<Vec<NewCapture>, Rejection> {
    const KIND: CaptureKind = CaptureKind::Replays;
    let client = client_ip::of(req, &state.trusted_proxies);
    let now = unix_time(reading.now);
    if let Err(refused) = state.capture_limits.of_address(KIND).check_at(client, now) {
        return Err(too_many(Limit::AddressCapture, refused.decision()));
    }
    media_type::allow_beacon(req.headers())?;
    let code = early_code(req)?.unwrap_or_default();
    let (rules, team) = website_rules(state, &code, reading.now).await?;
    let raw = state.bodies.read_replay(req, payload, SENT_MAX_BYTES, state.body_timeout).await?;
    if !state.takes_captures || !includes(&state.plans, plan_of(state, team, reading).await, KIND) {
        return Err(Rejected::Dropped(DropReason::EventKindDisabled).into());
    }
    let encoding = body::encoding(req.headers()).map(str::to_owned);
    let encoding = encoding.or_else(|| raw.bytes.starts_with(&GZIP).then(|| "gzip".to_owned()));
    let bytes = unpacked_bytes(&raw.bytes)?;
    let turn = state.bodies.unpacked_replay(bytes, state.body_timeout).await?;
    let sent = raw.bytes.clone();
    // Where a thread may take its time: it may be long.
    let unpacked = web::block(move || {
        let body = decode_body(encoding.as_deref(), &sent, bytes)?.into_owned();
        let read = read_replay(&body).map_err(wrong)?;
        Ok::<_, Refusal>((body, read))
    });
    let (body, read) = unpacked.await.map_err(|_panicked| internal())??;
    let sent_bytes = raw.bytes.len() as u64;
    drop(raw);
    let fields = CaptureFields::read(&read.members)?;
    draw_salts(state, reading.steady).await;
    let arrival = arrival(req.headers(), client, reading);
    let captured = state
        .ingest
        .capture(&arrival, KIND, &fields, &rules)
        .inspect_err(|rejected| note_refused(state, &arrival, rules.website(), rejected))?;
    let settings = rules.settings();
    if settings.session_replay_consent && !read.has_consent {
        return Err(Rejected::Dropped(DropReason::ConsentMissing).into());
    }
    charge(state, KIND, &captured, &rules, now)?;
    let ReplayBody { replay_id, seq, is_final, sent_at_ms, .. } = read;
    let key = state.ingest.capture_key(&captured, &format!("replay\0{}\0{seq}", u128::from_be_bytes(replay_id)));
    let (website, masks_inputs) = (captured.website, settings.session_replay_mask_inputs);
    let context = context(&captured, &fields, None, &arrival);
    let (events, received_ms) = (read.events.clone(), reading.now.as_millis());
    let keeping = state.clone();
    let kept = web::block(move || {
        let _turn = turn;
        let events = body.get(events).and_then(|events| std::str::from_utf8(events).ok()).unwrap_or("");
        keeping.captures.keep_replay(&NewChunk {
            website,
            context,
            replay_id,
            seq,
            is_final,
            masks_inputs,
            sent_at_ms,
            received_ms,
            sent_bytes,
            events,
        })
    });
    let kept: Option<ReplayCapture> = kept.await.map_err(|_panicked| internal())??;
    let new = |chunk: ReplayCapture| {
        NewCapture::new(website, reading.steady, Capture::Replay(chunk).pack()).with_key(Some(IdempotencyKey(key)))
    };
    Ok(kept.into_iter().map(new).collect())
}

fn internal() -> Rejection {
    Rejection::refused(RefusalReason::Internal, ApiError::internal())
}

/// How long a body says that it is when it is unpacked; a longer one is not unpacked. What is not packed is as long as it is.
fn unpacked_bytes(sent: &[u8]) -> Result<usize, Refusal> {
    if !sent.starts_with(&GZIP) {
        return Ok(sent.len());
    }
    let length = sent.last_chunk::<GZIP_LENGTH_BYTES>().map_or(0, |length| u32::from_le_bytes(*length));
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > REPLAY_BODY_MAX_BYTES {
        let problem = format!("The body is larger than {REPLAY_BODY_MAX_BYTES} bytes");
        return Err(Refusal::new(RefusalReason::BodyTooLarge, problem));
    }
    Ok(length)
}
