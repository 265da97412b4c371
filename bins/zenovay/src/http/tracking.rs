//! `POST /e/:trackingCode`, `POST /e/heartbeat/:trackingCode` and their aliases. The steps are those of DESIGN §3; the
//! answer comes after the event is durable.

use std::borrow::Cow;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use zenovay_domain::{Reading, Timestamp, TrackingCode, WebsiteRules};
use zenovay_events::{AppendOutcome, IdempotencyKey, NewEvent};
use zenovay_ingest::{
    Accepted, ClientHints, HIT_BODY_MAX_BYTES, Hit, Mends, Outcome, Refusal, RefusalReason, Rejected, decode_body,
    parse_hit,
};
use zenovay_limits::AddressClass;

use super::envelope::ApiError;
use super::guard::Public;
use super::params::Params;
use super::{body, client_ip, cors, errors, outcomes};
use crate::state::AppState;
use crate::telemetry::Limit;

/// The wish of Global Privacy Control.
const SEC_GPC: HeaderName = HeaderName::from_static("sec-gpc");
/// That a page is only fetched ahead.
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
/// Its older name.
const PURPOSE: HeaderName = HeaderName::from_static("purpose");

/// The browser's brands.
const SEC_CH_UA: HeaderName = HeaderName::from_static("sec-ch-ua");
/// Its brands with whole versions.
const SEC_CH_UA_FULL_VERSION_LIST: HeaderName = HeaderName::from_static("sec-ch-ua-full-version-list");
/// Whether it is on a phone.
const SEC_CH_UA_MOBILE: HeaderName = HeaderName::from_static("sec-ch-ua-mobile");
/// Its operating system.
const SEC_CH_UA_PLATFORM: HeaderName = HeaderName::from_static("sec-ch-ua-platform");
/// The version of that.
const SEC_CH_UA_PLATFORM_VERSION: HeaderName = HeaderName::from_static("sec-ch-ua-platform-version");
/// The kinds of device it is on.
const SEC_CH_UA_FORM_FACTORS: HeaderName = HeaderName::from_static("sec-ch-ua-form-factors");

/// What a request reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Report {
    Event,
    Heartbeat,
}

/// An event of a page or server. The code is in the path; for the alias `/track` in the query or the body.
pub async fn hit(_: Public, state: web::Data<AppState>, req: HttpRequest, payload: web::Payload) -> HttpResponse {
    answer(&state, &req, payload, Report::Event).await
}

/// Activity without an event.
pub async fn heartbeat(_: Public, state: web::Data<AppState>, req: HttpRequest, payload: web::Payload) -> HttpResponse {
    answer(&state, &req, payload, Report::Heartbeat).await
}

/// How a request ends that handed nothing to the store: an answer, and the outcome it is counted under.
struct Ended {
    answer: Result<(), ApiError>,
    outcome: Outcome,
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Self { outcome: Outcome::Refused(refusal.reason), answer: Err(refusal.into()) }
    }
}

impl From<Rejected> for Ended {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Dropped(reason) => Self { answer: Ok(()), outcome: Outcome::Dropped(reason) },
            Rejected::Refused(refusal) => refusal.into(),
        }
    }
}

async fn answer(state: &AppState, req: &HttpRequest, payload: web::Payload, report: Report) -> HttpResponse {
    let open = outcomes::Open::begin();
    let reading = state.clock.reading();
    let now = reading.now;
    let (answer, outcome) = match accept(state, req, payload, report, reading).await {
        Err(Ended { answer, outcome }) => {
            open.close(outcome);
            (answer, outcome)
        }
        Ok(event) => {
            let stored = open.close_by(state.events.append(vec![event])).await;
            let outcome = outcomes::outcome_of(&stored);
            let answer = match stored {
                Ok(AppendOutcome::Stored | AppendOutcome::Duplicate) => Ok(()),
                Ok(AppendOutcome::KeyReused) => Err(Refusal::new(
                    RefusalReason::IdempotencyKeyReused,
                    "The event id was used before for a different event",
                )
                .into()),
                Err(error) => Err(error.into()),
            };
            (answer, outcome)
        }
    };
    let mut response = match answer {
        Ok(()) => HttpResponse::Ok()
            .content_type("application/json")
            .body(format!(r#"{{"success":true,"timestamp":"{now}"}}"#)),
        Err(error) => HttpResponse::from_error(error),
    };
    let headers = response.headers_mut();
    let told = if outcome == Outcome::Stored { "stored" } else { outcome.reason() };
    headers.insert(outcomes::HEADER, HeaderValue::from_static(told));
    cors::echo_origin(req.headers(), headers);
    response
}

/// Everything before the store.
async fn accept(
    state: &AppState,
    req: &HttpRequest,
    payload: web::Payload,
    report: Report,
    reading: Reading,
) -> Result<NewEvent, Ended> {
    let now = reading.now;
    let client = client_ip::of(req, &state.trusted_proxies);
    let decision = state.addresses.charge(AddressClass::Tracking, client, now);
    if !decision.allowed {
        Limit::AddressTracking.refused();
        let outcome = Outcome::Refused(RefusalReason::RateLimited);
        return Err(Ended { answer: Err(errors::address_limited(&decision)), outcome });
    }
    check_content_type(req.headers())?;
    let early = early_code(req)?;
    // With the code in path or query, a code that nobody has is refused before its body is read.
    let known = early.map(|code| rules_of(state, &code, now)).transpose()?;
    let raw = state.bodies.read_hit(req, payload, HIT_BODY_MAX_BYTES, state.body_timeout).await?;
    let body = decode_body(body::encoding(req.headers()), &raw.bytes, HIT_BODY_MAX_BYTES)?;
    let rules = match known {
        Some(rules) => rules,
        None => rules_of(state, parse_hit(&body)?.tracking_code().unwrap_or(""), now)?,
    };

    let text = |name: HeaderName| req.headers().get(name).and_then(|value| value.to_str().ok());
    // A page's address has ASCII only: what has not is the name of no page, and not the absence of one.
    let page = |name: HeaderName| req.headers().get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"));
    let hit = Hit {
        origin: page(header::ORIGIN),
        referer: page(header::REFERER),
        user_agent: text(header::USER_AGENT),
        accept_language: text(header::ACCEPT_LANGUAGE),
        sec_gpc: text(SEC_GPC),
        dnt: text(header::DNT),
        purpose: text(SEC_PURPOSE).or_else(|| text(PURPOSE)),
        hints: client_hints(req.headers()),
        steady_at: reading.steady,
        ..Hit::new(&body, client, now)
    };
    let accepted = match report {
        Report::Event => state.ingest.track(&hit, &rules),
        Report::Heartbeat => state.ingest.heartbeat(&hit, &rules),
    };
    Ok(new_event(accepted?, &rules, reading))
}

/// An accepted event as the store takes it.
pub fn new_event(accepted: Accepted, rules: &WebsiteRules, reading: Reading) -> NewEvent {
    if accepted.clock_corrected {
        metrics::counter!("zenovay_ingest_clock_corrected_total").increment(1);
    }
    count_mends(accepted.mends);
    NewEvent {
        website: rules.website(),
        received_at: reading.steady,
        event: accepted.event,
        idempotency_key: accepted.idempotency_key.map(IdempotencyKey),
    }
}

/// The client hints that browsers send with the user agent: none, or at least the brands or the platform.
fn client_hints(headers: &HeaderMap) -> ClientHints<'_> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let (brands, platform) = (text(SEC_CH_UA), text(SEC_CH_UA_PLATFORM));
    if brands.is_none() && platform.is_none() {
        return ClientHints::default();
    }
    ClientHints {
        brands,
        full_versions: text(SEC_CH_UA_FULL_VERSION_LIST),
        mobile: text(SEC_CH_UA_MOBILE),
        platform,
        platform_version: text(SEC_CH_UA_PLATFORM_VERSION),
        form_factors: text(SEC_CH_UA_FORM_FACTORS),
    }
}

/// Counts what was changed in what is stored all the same.
pub fn count_mends(mends: Mends) {
    for mend in mends.iter() {
        outcomes::mends(mend).increment(1);
    }
}

/// JSON, or the type of a beacon that needs no preflight. No type at all is taken for JSON.
fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim();
    if ["application/json", "text/plain"].iter().any(|accepted| essence.eq_ignore_ascii_case(accepted)) {
        return Ok(());
    }
    Err(Refusal::new(RefusalReason::UnsupportedMediaType, "Content-Type must be application/json or text/plain"))
}

/// The code of the path, or of the query (SPEC A2, the aliases of the first documents).
fn early_code(req: &HttpRequest) -> Result<Option<Cow<'_, str>>, Ended> {
    if let Some(code) = req.match_info().get("code") {
        return Ok(Some(Cow::Borrowed(code)));
    }
    let params = Params::parse(req.query_string());
    let code = ["tracking_code", "trackingCode", "code"].iter().find_map(|name| params.get(name).map(str::to_owned));
    match params.finish() {
        Ok(()) => Ok(code.map(Cow::Owned)),
        Err(error) => Err(Ended { answer: Err(error), outcome: Outcome::Refused(RefusalReason::InvalidField) }),
    }
}

/// The rules of the website with this code.
fn rules_of(state: &AppState, code: &str, now: Timestamp) -> Result<std::sync::Arc<WebsiteRules>, Ended> {
    let unknown = || Refusal::new(RefusalReason::UnknownTrackingCode, "Unknown tracking code");
    let code: TrackingCode = code.parse().map_err(|_malformed| unknown())?;
    match state.directory.website_of_hit(&code, now) {
        Ok(Some(website)) => Ok(state.rules(&website)?),
        Ok(None) => Err(unknown().into()),
        Err(error) => {
            Err(Ended { answer: Err(error.into()), outcome: Outcome::Refused(RefusalReason::StoreUnavailable) })
        }
    }
}
