//! `POST /e/:trackingCode`, `POST /e/heartbeat/:trackingCode` and their aliases. The steps are those of DESIGN §3; the
//! answer comes after the event is durable.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::{HttpRequest, HttpResponse, web};
use zenovay_domain::{HostRefusal, Reading, TeamId, Timestamp, TrackingCode, WebsiteId, WebsiteRules};
use zenovay_events::{AppendError, NewEvent};
use zenovay_ingest::{
    Arrival, ClientHints, DropReason, HIT_BODY_MAX_BYTES, Outcome, Refusal, RefusalReason, Rejected, decode_body,
    parse_hit,
};

use super::address_limit::{self, AddressClass, AddressRefusal};
use super::console::hub::{Happening, LiveEvent};
use super::document::bodies::{Body, HeartbeatBody, HitBody, Receipt};
use super::envelope::ApiError;
use super::event_quota::{self, MonthIsUsedUp, Place};
use super::guard::Public;
use super::handler::Described;
use super::params::Params;
use super::state::AppState;
use super::{body, client_ip, lookups, media_type, outcomes};

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
enum HitKind {
    Event,
    Heartbeat,
}

/// An event of a page or server. The code is in the path; for the alias `/track` in the query or the body.
pub async fn hit(
    _: Public,
    state: web::Data<AppState>,
    req: HttpRequest,
    payload: Body<HitBody>,
) -> Described<Receipt> {
    answer(&state, &req, payload.into_payload(), HitKind::Event).await.into()
}

/// Activity without an event.
pub async fn heartbeat(
    _: Public,
    state: web::Data<AppState>,
    req: HttpRequest,
    payload: Body<HeartbeatBody>,
) -> Described<Receipt> {
    answer(&state, &req, payload.into_payload(), HitKind::Heartbeat).await.into()
}

/// How a request ends that is not stored: an answer, and the outcome it is counted under.
pub(super) struct Rejection {
    pub(super) answer: Result<(), ApiError>,
    pub(super) outcome: Outcome,
}

impl Rejection {
    /// One that is answered with `error`, whatever that says, and counted under `reason`.
    pub(super) fn refused(reason: RefusalReason, error: ApiError) -> Self {
        Self { answer: Err(error), outcome: Outcome::Refused(reason) }
    }
}

impl From<AddressRefusal> for Rejection {
    fn from(refusal: AddressRefusal) -> Self {
        Self::refused(refusal.reason(), refusal.into())
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self::refused(refusal.reason, refusal.into())
    }
}

impl From<Rejected> for Rejection {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Dropped(reason) => Self { answer: Ok(()), outcome: Outcome::Dropped(reason) },
            Rejected::Refused(refusal) => refusal.into(),
        }
    }
}

impl From<AppendError> for Rejection {
    fn from(error: AppendError) -> Self {
        Self { outcome: outcomes::outcome_of(&Err(error.clone())), answer: Err(error.into()) }
    }
}

async fn answer(state: &AppState, req: &HttpRequest, payload: web::Payload, kind: HitKind) -> HttpResponse {
    let pending = outcomes::PendingOutcome::begin();
    let reading = state.clock.reading();
    let rejection = match accept(state, req, payload, kind, reading).await {
        Err(rejection) => {
            pending.settle(rejection.outcome);
            Some(rejection)
        }
        Ok((event, place)) => {
            let pending = pending.with_place(place);
            let (website, shown) = (event.website, shown_live(state, &event));
            match pending.settle_with(state.events.try_append(vec![event])).await {
                Ok(stored) => {
                    let judged = outcomes::judge_stored(stored, "event id");
                    if let (Ok(()), Some(shown)) = (&judged, shown) {
                        state.live.tell(website, Happening::Event(shown));
                    }
                    judged.err().map(Rejection::from)
                }
                Err(error) => Some(error.into()),
            }
        }
    };
    let Rejection { answer, outcome } = rejection.unwrap_or(Rejection { answer: Ok(()), outcome: Outcome::Stored });
    let mut response = match answer {
        Ok(()) if outcome == Outcome::Dropped(DropReason::QuotaExceeded) => {
            HttpResponse::Ok().json(Receipt::beyond_quota(reading.now))
        }
        Ok(()) => HttpResponse::Ok().json(Receipt::at(reading.now)),
        Err(error) => HttpResponse::from_error(error),
    };
    response.headers_mut().insert(outcomes::HEADER, outcomes::header(outcome));
    response
}

/// What those hear of `event` who watch its website, if anybody does.
pub(super) fn shown_live(state: &AppState, event: &NewEvent) -> Option<LiveEvent> {
    if state.live.is_watched(event.website) { LiveEvent::of(&event.event) } else { None }
}

/// Remembers the host of a hit that was refused because of it.
pub(super) fn note_refused(state: &AppState, arrival: &Arrival<'_>, website: WebsiteId, rejected: &Rejected) {
    let Rejected::Refused(refusal) = rejected else { return };
    let kind = match refusal.reason {
        RefusalReason::DomainNotAuthorized => HostRefusal::Foreign,
        RefusalReason::LocalhostNotAllowed => HostRefusal::Local,
        _ => return,
    };
    if let Some(host) = arrival.page_host() {
        state.live.refuse(website, &host, kind, arrival.received_at);
    }
}

/// Everything before the store: the steps that wait for something, and then those of [`zenovay_ingest::Pipeline`].
async fn accept(
    state: &AppState,
    req: &HttpRequest,
    payload: web::Payload,
    kind: HitKind,
    reading: Reading,
) -> Result<(NewEvent, Option<Place>), Rejection> {
    let (client, way) = client_ip::found(req, &state.trusted_proxies);
    state.latest_hits.note(client, req.headers().get(header::USER_AGENT).map(|agent| agent.as_bytes()), way);
    address_limit::charge_async(&state.addresses, AddressClass::Tracking, client, reading.now).await?;
    media_type::allow_beacon(req.headers())?;
    // With the code in path or query, a code that nobody has is refused before its body is read.
    let early_rules = match early_code(req)? {
        Some(code) => Some(website_rules(state, &code, reading.now).await?),
        None => None,
    };
    let raw = state.bodies.read_hit(req, payload, HIT_BODY_MAX_BYTES, state.body_timeout).await?;
    let body = decode_body(body::encoding(req.headers()), &raw.bytes, HIT_BODY_MAX_BYTES)?;
    draw_salts(state, reading.steady).await;
    let waits = state.ingest.may_block();
    let (judged, rules, team) = match early_rules {
        Some((rules, team)) if !waits => {
            let arrival = arrival(req.headers(), client, reading);
            let judged = match kind {
                HitKind::Event => state.ingest.track(&arrival, &body, &rules),
                HitKind::Heartbeat => state.ingest.heartbeat(&arrival, &body, &rules),
            };
            (judged, rules, team)
        }
        None if !waits => {
            let mut parsed = parse_hit(&body)?;
            let (rules, team) = website_rules(state, parsed.tracking_code().unwrap_or(""), reading.now).await?;
            let arrival = arrival(req.headers(), client, reading);
            let judged = match kind {
                HitKind::Event => state.ingest.track_parsed(&arrival, &mut parsed, &rules),
                HitKind::Heartbeat => state.ingest.heartbeat_parsed(&arrival, &mut parsed, &rules),
            };
            (judged, rules, team)
        }
        known => {
            let (rules, team) = match known {
                Some(known) => known,
                None => {
                    let code = parse_hit(&body)?.tracking_code().unwrap_or("").to_owned();
                    website_rules(state, &code, reading.now).await?
                }
            };
            let (ingest, headers) = (Arc::clone(&state.ingest), req.headers().clone());
            let (body, of_website) = (body.into_owned(), Arc::clone(&rules));
            let judged = web::block(move || {
                let arrival = arrival(&headers, client, reading);
                match kind {
                    HitKind::Event => ingest.track(&arrival, &body, &of_website),
                    HitKind::Heartbeat => ingest.heartbeat(&arrival, &body, &of_website),
                }
            });
            let internal = |_panicked| Rejection::refused(RefusalReason::Internal, ApiError::internal());
            (judged.await.map_err(internal)?, rules, team)
        }
    };
    let website = rules.website();
    let accepted = judged.inspect_err(|rejected| {
        note_refused(state, &arrival(req.headers(), client, reading), website, rejected);
    })?;
    let event = outcomes::new_event(accepted, website, reading);
    let limit = event_quota::limit_of(state, team, reading.now).await;
    let place = match event_quota::take(state, team, limit, &event.event).await {
        Ok(place) => place,
        Err(MonthIsUsedUp) => return Err(Rejected::Dropped(DropReason::QuotaExceeded).into()),
    };
    Ok((event, place))
}

/// Has the salt of a new day drawn where a thread may wait for the disk. When that fails, only those visitors are refused who
/// are named by it.
pub(super) async fn draw_salts(state: &AppState, steady: Timestamp) {
    if !state.ingest.has_salts(steady) {
        let ingest = Arc::clone(&state.ingest);
        let drawn = web::block(move || ingest.rotate_salts(steady)).await;
        if !matches!(drawn, Ok(Ok(()))) {
            tracing::warn!("the salt of the day could not be drawn");
        }
    }
}

/// What the headers of a request say about who sends it.
pub(super) fn arrival(headers: &HeaderMap, client: IpAddr, reading: Reading) -> Arrival<'_> {
    let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // A page's address has ASCII only: what has not is the name of no page, and not the absence of one.
    let page = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"));
    let mut arrival = Arrival::from_address(client, reading.now);
    arrival.steady_at = reading.steady;
    arrival.origin = page(header::ORIGIN);
    arrival.referer = page(header::REFERER);
    arrival.user_agent = header(header::USER_AGENT);
    arrival.accept_language = header(header::ACCEPT_LANGUAGE);
    arrival.sec_gpc = header(SEC_GPC);
    arrival.dnt = header(header::DNT);
    arrival.purpose = header(SEC_PURPOSE).or_else(|| header(PURPOSE));
    arrival.hints = client_hints(headers);
    arrival
}

/// The client hints that browsers send with the user agent: none, or at least the brands or the platform.
fn client_hints(headers: &HeaderMap) -> ClientHints<'_> {
    let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let (brands, platform) = (header(SEC_CH_UA), header(SEC_CH_UA_PLATFORM));
    if brands.is_none() && platform.is_none() {
        return ClientHints::default();
    }
    let mut hints = ClientHints::default();
    hints.brands = brands;
    hints.full_versions = header(SEC_CH_UA_FULL_VERSION_LIST);
    hints.mobile = header(SEC_CH_UA_MOBILE);
    hints.platform = platform;
    hints.platform_version = header(SEC_CH_UA_PLATFORM_VERSION);
    hints.form_factors = header(SEC_CH_UA_FORM_FACTORS);
    hints
}

/// The code of the path, or of the query (SPEC A2, the aliases of the first documents).
pub(super) fn early_code(req: &HttpRequest) -> Result<Option<Cow<'_, str>>, Rejection> {
    if let Some(code) = req.match_info().get("code") {
        return Ok(Some(Cow::Borrowed(code)));
    }
    let params = Params::parse(req.query_string());
    let code = ["tracking_code", "trackingCode", "code"].iter().find_map(|name| params.get(name).map(str::to_owned));
    match params.finish() {
        Ok(()) => Ok(code.map(Cow::Owned)),
        Err(error) => Err(Rejection::refused(RefusalReason::InvalidField, error)),
    }
}

/// The rules of the website with this code, and its team.
pub(super) async fn website_rules(
    state: &AppState,
    code: &str,
    now: Timestamp,
) -> Result<(Arc<WebsiteRules>, TeamId), Rejection> {
    let unknown = || Refusal::new(RefusalReason::UnknownTrackingCode, "Unknown tracking code");
    let code: TrackingCode = code.parse().map_err(|_malformed| unknown())?;
    match lookups::website_of_hit(state, code, now).await {
        Ok(Some(website)) => Ok((state.rules(&website)?, website.team_id)),
        Ok(None) => Err(unknown().into()),
        Err(error) => Err(Rejection::refused(RefusalReason::StoreUnavailable, error.into())),
    }
}
