//! `POST /api/track/:trackingCode/performance`, `…/error` and `…/heatmap`: what pages tell beside their events. Each is durable in the log of
//! events before it is answered, and goes from there to [`zenovay_capture::Captures`]. Recordings are in
//! [`capture_replay`](super::capture_replay).

mod heatmap;

use std::future::Future;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use zenovay_capture::{
    Capture, Context, ErrorCapture, ErrorFields, ErrorsFields, Problems, Vitals, VitalsCapture, read_errors,
};
use zenovay_domain::{Feature, Plan, PlanTable, Reading, TeamId, WebsiteId, WebsiteRules};
use zenovay_events::{AppendOutcome, IdempotencyKey, NewCapture};
use zenovay_ingest::{
    Arrival, CaptureFields, CaptureKind, Captured, DropReason, Outcome, Refusal, Rejected, capture_time, decode_body,
    parse_capture,
};
use zenovay_limits::{AddressLimiter, Decision, Limiter, Rule};

use super::address_limit::{AddressRefusal, unix_time};
use super::document::bodies::{Body, ErrorsBody, HeatmapBody, Receipt, VitalsBody};
use super::guard::Public;
use super::handler::Described;
use super::state::AppState;
use super::tracking::{Rejection, arrival, draw_salts, early_code, note_refused, website_rules};
use super::{body, client_ip, lookups, media_type, outcomes};
use crate::telemetry::Limit;

/// The most bytes of a body, decoded.
const fn max_bytes(kind: CaptureKind) -> usize {
    match kind {
        CaptureKind::Vitals => 8 * 1_024,
        _ => 256 * 1_024,
    }
}

/// The plan's feature that a kind needs, if it needs one.
const fn feature(kind: CaptureKind) -> Option<Feature> {
    match kind {
        CaptureKind::Errors => Some(Feature::Errors),
        CaptureKind::Heatmap => Some(Feature::Heatmaps),
        CaptureKind::Replays => Some(Feature::Replays),
        _ => None,
    }
}

/// The plan of `team`; `None` where nobody knows.
pub(super) async fn plan_of(state: &AppState, team: TeamId, reading: Reading) -> Option<Plan> {
    lookups::plan_of_hit(state, team, reading.now).await.ok().flatten()
}

/// Whether `plan` has what `kind` needs. Where nobody knows the plan, it does: nothing is lost for that.
pub(super) fn includes(plans: &PlanTable, plan: Option<Plan>, kind: CaptureKind) -> bool {
    match (plan, feature(kind)) {
        (Some(plan), Some(feature)) => plans.limits(plan).features.contains(&feature),
        _ => true,
    }
}

/// The limits of captures: each kind has buckets of its own, apart from those of events.
pub struct CaptureLimits {
    addresses: [AddressLimiter; CaptureKind::ALL.len()],
    sessions: Limiter<(CaptureKind, u64)>,
    websites: Limiter<(CaptureKind, WebsiteId)>,
}

/// Captures of one kind per address in ten seconds, as for events.
const PER_ADDRESS: u32 = 60;
/// Captures of a kind per visit and hour.
const fn per_session(kind: CaptureKind) -> u32 {
    match kind {
        CaptureKind::Vitals => 120,
        CaptureKind::Heatmap => 400,
        CaptureKind::Replays => 1_200,
        _ => 60,
    }
}
/// Captures of a kind per website and minute: a release that fails everywhere must not fill the disk. A recording sends about
/// twelve chunks a minute.
const fn per_website(kind: CaptureKind) -> u32 {
    match kind {
        CaptureKind::Replays => 12_000,
        _ => 3_000,
    }
}
/// What the counts of one kind by address, of all visits, and of all websites take, in bytes.
const COUNTS_BYTES: usize = 4 << 20;

impl Default for CaptureLimits {
    #[expect(clippy::expect_used, reason = "ten seconds are a time that a rule can have")]
    fn default() -> Self {
        let burst = Rule::per(Duration::from_secs(10), PER_ADDRESS).expect("ten seconds are shorter than a month");
        Self {
            addresses: std::array::from_fn(|_| AddressLimiter::new(burst).max_bytes(COUNTS_BYTES)),
            sessions: Limiter::new(Rule::per_hour(0)).max_bytes(COUNTS_BYTES),
            websites: Limiter::new(Rule::per_minute(0)).max_bytes(COUNTS_BYTES),
        }
    }
}

impl CaptureLimits {
    pub(super) fn of_address(&self, kind: CaptureKind) -> &AddressLimiter {
        &self.addresses[kind as usize]
    }
}

/// One that is refused because of `limit`.
pub(super) fn too_many(limit: Limit, decision: Decision) -> Rejection {
    limit.refused();
    AddressRefusal::TooMany(decision).into()
}

/// How fast a page is.
pub async fn performance(
    _: Public,
    state: web::Data<AppState>,
    req: HttpRequest,
    payload: Body<VitalsBody>,
) -> Described<Receipt> {
    let reading = state.clock.reading();
    answer(&state, reading, accept(&state, &req, payload.into_payload(), CaptureKind::Vitals, reading)).await.into()
}

/// Errors of a page.
pub async fn error(
    _: Public,
    state: web::Data<AppState>,
    req: HttpRequest,
    payload: Body<ErrorsBody>,
) -> Described<Receipt> {
    let reading = state.clock.reading();
    answer(&state, reading, accept(&state, &req, payload.into_payload(), CaptureKind::Errors, reading)).await.into()
}

/// Clicks, scrolling and moves of the pointer.
pub async fn heatmap(
    _: Public,
    state: web::Data<AppState>,
    req: HttpRequest,
    payload: Body<HeatmapBody>,
) -> Described<Receipt> {
    let reading = state.clock.reading();
    answer(&state, reading, accept(&state, &req, payload.into_payload(), CaptureKind::Heatmap, reading)).await.into()
}

/// What is answered to captures that came at `reading`, of which `accepted` says which are to be in the log.
pub(super) async fn answer(
    state: &AppState,
    reading: Reading,
    accepted: impl Future<Output = Result<Vec<NewCapture>, Rejection>>,
) -> HttpResponse {
    let pending = outcomes::PendingOutcome::begin();
    let rejection = match accepted.await {
        Err(rejection) => {
            pending.settle(rejection.outcome);
            Some(rejection)
        }
        // What is left out for good, such as the errors of extensions, is taken.
        Ok(captures) if captures.is_empty() => {
            pending.settle(Outcome::Stored);
            None
        }
        Ok(captures) => {
            let queued = state.events.try_capture(captures);
            let queued = queued.map_err(|reason| zenovay_events::AppendRefused::new(reason, Vec::new()));
            match pending.settle_with(queued).await {
                Ok(AppendOutcome::Stored) => None,
                Ok(_) => Some(Rejected::Dropped(DropReason::Duplicate).into()),
                Err(error) => Some(error.into()),
            }
        }
    };
    let Rejection { answer, outcome } = rejection.unwrap_or(Rejection { answer: Ok(()), outcome: Outcome::Stored });
    let mut response = match (answer, outcome) {
        (Err(error), _) => HttpResponse::from_error(error),
        // It is stored already.
        (Ok(()), Outcome::Stored | Outcome::Dropped(DropReason::Duplicate)) => {
            HttpResponse::Ok().json(Receipt::at(reading.now))
        }
        (Ok(()), outcome) => HttpResponse::Ok().json(Receipt::unwanted(reading.now, outcome.reason())),
    };
    response.headers_mut().insert(outcomes::HEADER, outcomes::header(outcome));
    response
}

/// Everything before the log.
async fn accept(
    state: &AppState,
    req: &HttpRequest,
    payload: web::Payload,
    kind: CaptureKind,
    reading: Reading,
) -> Result<Vec<NewCapture>, Rejection> {
    let client = client_ip::of(req, &state.trusted_proxies);
    let now = unix_time(reading.now);
    if let Err(refused) = state.capture_limits.of_address(kind).check_at(client, now) {
        return Err(too_many(Limit::AddressCapture, refused.decision()));
    }
    media_type::allow_beacon(req.headers())?;
    let code = early_code(req)?.unwrap_or_default();
    let (rules, team) = website_rules(state, &code, reading.now).await?;
    let raw = state.bodies.read_hit(req, payload, max_bytes(kind), state.body_timeout).await?;
    // A page cannot say that its body is packed without asking first: the bytes say it.
    let encoding = body::encoding(req.headers()).or_else(|| raw.bytes.starts_with(&GZIP).then_some("gzip"));
    let body = decode_body(encoding, &raw.bytes, max_bytes(kind))?;
    let members = parse_capture(&body)?;
    let fields = CaptureFields::read(&members)?;
    if !state.takes_captures || !includes(&state.plans, plan_of(state, team, reading).await, kind) {
        return Err(Rejected::Dropped(DropReason::EventKindDisabled).into());
    }
    draw_salts(state, reading.steady).await;
    let arrival = arrival(req.headers(), client, reading);
    let captured = state
        .ingest
        .capture(&arrival, kind, &fields, &rules)
        .inspect_err(|rejected| note_refused(state, &arrival, rules.website(), rejected))?;
    let told = match kind {
        CaptureKind::Vitals => vec![vitals(&members, &fields, &captured, &arrival)?],
        CaptureKind::Heatmap => vec![heatmap::told(state, &members, &fields, &captured, &arrival)?],
        _ => errors(state, &members, &fields, &captured, &arrival)?,
    };
    charge(state, kind, &captured, &rules, now)?;
    Ok(told
        .into_iter()
        .map(|(key, capture)| {
            NewCapture::new(captured.website, reading.steady, capture.pack()).with_key(key.map(IdempotencyKey))
        })
        .collect())
}

/// How gzip begins; no JSON does.
pub(super) const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Charges a capture to its visit and its website.
pub(super) fn charge(
    state: &AppState,
    kind: CaptureKind,
    captured: &Captured,
    rules: &WebsiteRules,
    now: zenovay_limits::UnixTime,
) -> Result<(), Rejection> {
    let limits = &state.capture_limits;
    let of_session = limits.sessions.check_rule_at(&(kind, captured.session.0), Rule::per_hour(per_session(kind)), now);
    of_session.map(drop).map_err(|refused| too_many(Limit::SessionCapture, refused.decision()))?;
    let rule = Rule::per_minute(per_website(kind));
    let of_website = limits.websites.check_rule_at(&(kind, rules.website()), rule, now);
    of_website.map(drop).map_err(|refused| too_many(Limit::WebsiteCapture, refused.decision()))
}

/// A capture, and the digest of its id.
type Told = (Option<[u8; 16]>, Capture);

fn vitals(
    members: &serde_json::Map<String, serde_json::Value>,
    fields: &CaptureFields<'_>,
    captured: &Captured,
    arrival: &Arrival<'_>,
) -> Result<Told, Refusal> {
    let Vitals { view_id, values, connection } = Vitals::read(members).map_err(wrong)?;
    let view = VitalsCapture::view_of(captured.visitor, &view_id);
    let context = context(captured, fields, None, arrival);
    let capture = VitalsCapture { context, view, values, connection: connection.to_owned() };
    Ok((None, Capture::Vitals(capture)))
}

fn errors(
    state: &AppState,
    members: &serde_json::Map<String, serde_json::Value>,
    fields: &CaptureFields<'_>,
    captured: &Captured,
    arrival: &Arrival<'_>,
) -> Result<Vec<Told>, Refusal> {
    let ErrorsFields { release, debug_ids, errors } = read_errors(members).map_err(wrong)?;
    let capture = |error: ErrorFields| {
        let key = state.ingest.capture_key(captured, &error.id);
        let context = context(captured, fields, error.at_ms, arrival);
        (Some(key), Capture::Error(ErrorCapture::new(context, error, &release, &debug_ids)))
    };
    Ok(errors.into_iter().map(capture).collect())
}

pub(super) fn wrong(problems: Problems) -> Refusal {
    Refusal::fields(problems.0)
}

pub(super) fn context(
    captured: &Captured,
    fields: &CaptureFields<'_>,
    at_ms: Option<i64>,
    arrival: &Arrival<'_>,
) -> Context {
    Context {
        at_ms: capture_time(fields, at_ms, arrival).as_millis(),
        visitor: captured.visitor.0,
        session: captured.session.0,
        path: captured.path.clone(),
        device: captured.device.clone(),
        browser: captured.browser.clone(),
        browser_version: captured.browser_version.clone(),
        os: captured.os.clone(),
        country: captured.country.clone(),
    }
}
