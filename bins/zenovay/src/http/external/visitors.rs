//! `DELETE /websites/:websiteId/visitors/:visitor` and `GET /websites/:websiteId/visitors/:visitor/export`.

use std::collections::BTreeMap;

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use zenovay_capture::{MarkKind, Marker, ReplayDetail, VisitorHeat};
use zenovay_domain::{Dimension, Event, EventFlags, EventKind, SessionId, Timestamp, VisitorId, WebsiteId};

use crate::http::document::bodies::Properties;
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{Authorized, EraseVisitor, ExportVisitor};
use crate::http::lookups::off_the_worker;
use crate::http::state::AppState;
use crate::http::values::{Id, Instant};
use crate::keepers::VisitorData;
use crate::visitors::{self, VisitorName};

/// The visitor that the path names.
#[derive(Debug, Deserialize)]
pub struct VisitorPath {
    visitor: String,
}

impl VisitorPath {
    fn id(&self, state: &AppState, website: WebsiteId) -> Result<VisitorId, ApiError> {
        let name = VisitorName::parse(&self.visitor)
            .ok_or_else(|| ApiError::invalid("visitor", "Must be the id of a visitor"))?;
        Ok(name.id(|sent| state.ingest.known_visitor(website, sent)))
    }
}

/// `DELETE /websites/:websiteId/visitors/:visitor`
pub async fn erase(
    key: Authorized<EraseVisitor>,
    state: web::Data<AppState>,
    path: web::Path<VisitorPath>,
) -> Result<Success<ErasedVisitor>, ApiError> {
    let website = key.resource.id;
    let visitor = path.id(&state, website)?;
    let by = format!("key {}", key.caller.credential.key_id);
    let keepers = state.keepers();
    let store = key.store(&state);
    off_the_worker(&state, move |_| visitors::erase_on_behalf(&*store, &keepers, website, visitor, &by)).await?;
    Ok(Success::new(ErasedVisitor { id: visitor.to_string(), erased: true }, state.clock.now()))
}

/// A visitor of whom nothing is stored any more.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErasedVisitor {
    /// The id that answers had.
    #[schema(examples("5f2d0c9b7a416e38"))]
    id: String,
    /// `true`, also when nothing was stored of the visitor.
    erased: bool,
}

/// `GET /websites/:websiteId/visitors/:visitor/export`
pub async fn export(
    key: Authorized<ExportVisitor>,
    state: web::Data<AppState>,
    path: web::Path<VisitorPath>,
) -> Result<Success<VisitorExport>, ApiError> {
    let website = key.resource.id;
    let visitor = path.id(&state, website)?;
    let by = format!("key {}", key.caller.credential.key_id);
    let keepers = state.keepers();
    let data = state
        .queries
        .run(key.asking(), move |ask| Ok(visitors::export(&keepers, website, visitor, ask.budget(), &by)))
        .await??;
    Ok(Success::new(VisitorExport::new(website, visitor, &data), state.clock.now()))
}

/// Everything that is stored of one visitor.
#[derive(Debug, Serialize, ToSchema)]
pub struct VisitorExport {
    /// Who.
    user: ExportedUser,
    /// The visits, the earliest first.
    sessions: Vec<ExportedSession>,
    /// The pageviews, the earliest first.
    pageviews: Vec<ExportedEvent>,
    /// All other events, heartbeats among them, the earliest first.
    events: Vec<ExportedEvent>,
    /// How fast pages were for the visitor, in the order of time.
    page_speed: Vec<ExportedVitals>,
    /// Errors that the visitor met, in the order of time.
    errors: Vec<ExportedError>,
    /// Page views that are in heatmaps, in the order of time.
    heatmaps: Vec<ExportedHeat>,
    /// Recordings of the visitor, in the order of time. Their events are read with the id of each.
    replays: Vec<ExportedReplay>,
}

/// A visitor.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedUser {
    /// The id that other answers have.
    #[schema(examples("5f2d0c9b7a416e38"))]
    id: String,
    /// Of which website.
    website_id: Id,
    /// The time of the first event; null without events.
    #[schema(required = true)]
    first_seen_at: Option<Instant>,
    /// The time of the last activity; null without events.
    #[schema(required = true)]
    last_seen_at: Option<Instant>,
}

/// A visit.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedSession {
    /// Its id.
    #[schema(examples("00c3a1f95be2d874"))]
    id: String,
    /// The time of its first event or heartbeat.
    began_at: Instant,
    /// The time of its last.
    last_at: Instant,
    /// How many pages were viewed.
    #[schema(examples(3))]
    pageviews: u64,
    /// How many other events there were, without heartbeats.
    #[schema(examples(1))]
    events: u64,
}

/// An event.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedEvent {
    /// What happened.
    #[serde(rename = "type")]
    #[schema(examples("pageview"))]
    kind: String,
    /// When.
    occurred_at: Instant,
    /// In which visit.
    #[schema(examples("00c3a1f95be2d874"))]
    session_id: String,
    /// For how long the page was used, in seconds.
    #[schema(examples(12.5))]
    engagement_seconds: f64,
    /// How far the page was scrolled, in percent.
    #[schema(examples(80), maximum = 100)]
    scroll_percent: u8,
    /// Whether the visitor was recognised without anything stored in the browser.
    cookieless: bool,
    /// Whether the browser asked not to be tracked.
    gpc_opted_out: bool,
    /// Whether a server sent it.
    server_sent: bool,
    /// What else is stored of it, by name: `page`, `referrer`, `country` … What there is nothing of is left out.
    #[schema(value_type = Properties)]
    values: BTreeMap<&'static str, String>,
    /// The properties that were sent with it.
    #[schema(value_type = Properties)]
    properties: Value,
}

impl VisitorExport {
    /// The document of `visitor`.
    pub fn new(website: WebsiteId, visitor: VisitorId, data: &VisitorData) -> Self {
        let (first, last) = (data.events.first(), data.events.last());
        let (pageviews, events): (Vec<&Event>, Vec<&Event>) =
            data.events.iter().partition(|event| event.kind == EventKind::Pageview);
        Self {
            user: ExportedUser {
                id: visitor.to_string(),
                website_id: website.into(),
                first_seen_at: first.map(|event| Instant(event.at)),
                last_seen_at: last.map(|event| Instant(event.at)),
            },
            sessions: sessions(&data.events),
            pageviews: pageviews.into_iter().map(ExportedEvent::new).collect(),
            events: events.into_iter().map(ExportedEvent::new).collect(),
            page_speed: data.captures.vitals.iter().map(ExportedVitals::new).collect(),
            errors: data.captures.errors.iter().map(ExportedError::new).collect(),
            heatmaps: data.captures.heatmaps.iter().map(ExportedHeat::new).collect(),
            replays: data.captures.replays.iter().map(ExportedReplay::new).collect(),
        }
    }
}

/// How fast a page was for the visitor.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedVitals {
    /// When.
    occurred_at: Instant,
    /// Which page.
    #[schema(examples("/pricing"))]
    page: String,
    /// Largest contentful paint, in milliseconds.
    #[schema(examples(1843.2))]
    lcp: Option<f64>,
    /// Cumulative layout shift.
    #[schema(examples(0.03))]
    cls: Option<f64>,
    /// Interaction to next paint, in milliseconds.
    #[schema(examples(96.0))]
    inp: Option<f64>,
    /// First contentful paint, in milliseconds.
    #[schema(examples(900.0))]
    fcp: Option<f64>,
    /// Time to first byte, in milliseconds.
    #[schema(examples(210.0))]
    ttfb: Option<f64>,
}

impl ExportedVitals {
    fn new((at, page, [lcp, cls, inp, fcp, ttfb]): &(Timestamp, String, [Option<f64>; 5])) -> Self {
        let (lcp, cls, inp, fcp, ttfb) = (*lcp, *cls, *inp, *fcp, *ttfb);
        Self { occurred_at: Instant(*at), page: page.clone(), lcp, cls, inp, fcp, ttfb }
    }
}

/// An error that the visitor met.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedError {
    /// When.
    occurred_at: Instant,
    /// On which page.
    #[schema(examples("/pricing"))]
    page: String,
    /// Its type.
    #[serde(rename = "type")]
    #[schema(examples("TypeError"))]
    kind: String,
    /// Its message.
    #[schema(examples("cart.plan is undefined"))]
    message: String,
}

impl ExportedError {
    fn new((at, page, kind, message): &(Timestamp, String, String, String)) -> Self {
        Self { occurred_at: Instant(*at), page: page.clone(), kind: kind.clone(), message: message.clone() }
    }
}

/// What of a page view is in the heatmap of the page.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedHeat {
    /// When.
    occurred_at: Instant,
    /// On which page.
    #[schema(examples("/pricing"))]
    page: String,
    /// How much of the height of the page was seen, in percent.
    #[schema(examples(61.5))]
    depth_percent: f64,
    /// What was clicked.
    clicks: Vec<ExportedClick>,
}

/// Clicks in a row on an element.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedClick {
    /// By which the element is found again; empty when it is not told from others.
    #[schema(examples("#offers>li:nth-of-type(2)>button|f=1f9d0a2c"))]
    element: String,
    /// What the element is called; empty when it has no name that may be known.
    #[schema(examples("Start free"))]
    label: String,
    /// How many.
    #[schema(examples(1))]
    count: u64,
}

impl ExportedHeat {
    fn new(view: &VisitorHeat) -> Self {
        let click = |(element, label, count): &(String, String, u64)| ExportedClick {
            element: element.clone(),
            label: label.clone(),
            count: *count,
        };
        Self {
            occurred_at: Instant(view.at),
            page: view.path.clone(),
            depth_percent: view.depth_percent,
            clicks: view.clicks.iter().map(click).collect(),
        }
    }
}

/// A recording of the visitor.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedReplay {
    /// Names it.
    #[schema(examples("sr_0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    id: String,
    /// In which visit.
    #[schema(examples("00c3a1f95be2d874"))]
    session_id: String,
    /// When it began.
    began_at: Instant,
    /// When its last event was.
    last_at: Instant,
    /// How many events were recorded.
    #[schema(examples(2310))]
    events: u64,
    /// What happened in it, in the order of time.
    moments: Vec<ExportedMoment>,
}

/// Something that happened in a recording.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedMoment {
    /// When.
    occurred_at: Instant,
    /// `page`, `click`, `error`, `pause` or `resume`.
    #[serde(rename = "type")]
    #[schema(examples("page"))]
    kind: &'static str,
    /// The path of a page, the place of a click, the type and message of an error.
    #[schema(examples("/pricing"))]
    what: String,
}

impl ExportedReplay {
    fn new(detail: &ReplayDetail) -> Self {
        let replay = &detail.replay;
        let moment = |marker: &Marker| {
            let (kind, what) = match &marker.kind {
                MarkKind::Page { path } => ("page", path.clone()),
                MarkKind::Click { x, y, .. } => ("click", format!("{x}, {y}")),
                MarkKind::Error { kind, message } => ("error", format!("{kind}: {message}")),
                MarkKind::Pause => ("pause", String::new()),
                MarkKind::Resume => ("resume", String::new()),
            };
            ExportedMoment { occurred_at: Instant(replay.started_at.plus_millis(marker.at_ms)), kind, what }
        };
        Self {
            id: replay.id.to_string(),
            session_id: replay.session.to_string(),
            began_at: Instant(replay.started_at),
            last_at: Instant(replay.ended_at),
            events: replay.events,
            moments: detail.markers.iter().map(moment).collect(),
        }
    }
}

/// The visits of `events`, which are in the order of time.
fn sessions(events: &[Event]) -> Vec<ExportedSession> {
    let mut places: BTreeMap<SessionId, usize> = BTreeMap::new();
    let mut sessions: Vec<ExportedSession> = Vec::new();
    for event in events {
        let place = *places.entry(event.session).or_insert_with(|| {
            sessions.push(ExportedSession::begun(event.session, event.at));
            sessions.len() - 1
        });
        if let Some(session) = sessions.get_mut(place) {
            session.last_at = Instant(event.at);
            session.pageviews += u64::from(event.kind == EventKind::Pageview);
            session.events += u64::from(event.kind.is_event() && event.kind != EventKind::Pageview);
        }
    }
    sessions
}

impl ExportedSession {
    fn begun(id: SessionId, at: Timestamp) -> Self {
        Self { id: id.to_string(), began_at: Instant(at), last_at: Instant(at), pageviews: 0, events: 0 }
    }
}

impl ExportedEvent {
    fn new(event: &Event) -> Self {
        let values = event.dimensions.iter().filter(|(dimension, _)| *dimension != Dimension::Properties);
        let properties = serde_json::from_str(event.dimensions.get(Dimension::Properties));
        Self {
            kind: event.kind.as_str().to_owned(),
            occurred_at: Instant(event.at),
            session_id: event.session.to_string(),
            engagement_seconds: f64::from(event.engagement_ms) / 1_000.0,
            scroll_percent: event.scroll_percent,
            cookieless: event.flags.contains(EventFlags::COOKIELESS),
            gpc_opted_out: event.flags.contains(EventFlags::GPC_OPTED_OUT),
            server_sent: event.flags.contains(EventFlags::SERVER_SENT),
            values: values.map(|(dimension, value)| (dimension.as_str(), value.to_owned())).collect(),
            // Without properties there is nothing to read.
            properties: properties.unwrap_or_else(|_| Value::Object(serde_json::Map::new())),
        }
    }
}
