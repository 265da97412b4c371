//! The status page: how the parts of the server are and were, and what whoever runs it says about that. It tells of states and
//! incidents alone: no version, no times of answers, nothing of any team.

use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zenovay_domain::{ErrorCode, IncidentId, IncidentPhase, StatusComponent, StatusState, Timestamp};
use zenovay_store::{Incident, IncidentUpdate, StoreError};

use super::{Console, Created, JsonBody, NoContent, Rules, changing};
use crate::config::StatusPage;
use crate::http::document::Operation;
use crate::http::envelope::ApiError;
use crate::http::guard::{Actor, Authorized, ListWebsites, ManageStatus, PublicReader};
use crate::http::handler::{Access, Caller, Described, Shape};
use crate::http::lookups::blocking;
use crate::http::state::AppState;
use crate::http::values::{ComponentName, Day, Id, Instant, PhaseName, StateName};
use crate::status::{ComponentReport, StatusReport};

/// Whoever may see the status page: anybody, somebody who is signed in or has a key, or nobody.
#[derive(Debug, Clone, Copy)]
pub struct StatusReader;

impl Caller for StatusReader {
    const ACCESS: Access = Access::Public;

    fn describe(operation: &mut Operation) {
        operation.refuses([ErrorCode::Unauthorized, ErrorCode::NotFound, ErrorCode::RateLimitExceeded]);
    }
}

impl FromRequest for StatusReader {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let req = req.clone();
        let mut payload = payload.take();
        Box::pin(async move {
            let state = req.app_data::<web::Data<AppState>>().ok_or_else(ApiError::internal)?;
            match state.people.status_page {
                StatusPage::Off => Err(ApiError::not_found("Not found")),
                StatusPage::Public => PublicReader::from_request(&req, &mut payload).await.map(|_| Self),
                StatusPage::SignedIn => {
                    let reader = Authorized::<ListWebsites, Actor>::from_request(&req, &mut payload).await;
                    Ok(reader.map(|_| Self)?)
                }
            }
        })
    }
}

/// `GET /status.json`.
pub async fn show(_: StatusReader, state: web::Data<AppState>) -> Result<Described<ServerStatus>, ApiError> {
    let report = blocking(&state, StatusReport::read).await?;
    // Caches in between may answer many; a browser is told what is new, such as what its own person wrote.
    let caching = match state.people.status_page {
        StatusPage::Public => "public, max-age=0, s-maxage=10",
        StatusPage::SignedIn | StatusPage::Off => "private, no-cache",
    };
    let caching = (header::CACHE_CONTROL, caching);
    Ok(HttpResponse::Ok().insert_header(caching).json(ServerStatus::from(&*report)).into())
}

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServerStatus {
    /// How the worst of its parts is.
    state: StateName,
    /// When the server looked last.
    checked_at: Instant,
    components: Vec<StatusOfComponent>,
    /// Incidents of the last 90 days, and maintenance that is to come: the newest first.
    incidents: Vec<ShownIncident>,
}

impl Shape for ServerStatus {
    fn describe(operation: &mut Operation) {
        operation.answers_json::<Self>(200, false);
    }
}

impl From<&StatusReport> for ServerStatus {
    fn from(report: &StatusReport) -> Self {
        let worst = report.components.iter().map(|one| one.state).max().unwrap_or(StatusState::Operational);
        Self {
            state: StateName(worst),
            checked_at: Instant(report.checked_at),
            components: report.components.iter().map(StatusOfComponent::from).collect(),
            incidents: report.incidents.iter().map(ShownIncident::from).collect(),
        }
    }
}

/// How a part of the server is and was.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusOfComponent {
    id: ComponentName,
    /// Its name for people.
    #[schema(examples("Event ingestion"))]
    name: &'static str,
    /// How it is now.
    state: StateName,
    /// The share of the measured time of 90 days in which it was operational or under maintenance, 0 to 1, cut off after five
    /// decimal places; null before there is any.
    #[schema(required = true, examples(0.99987))]
    uptime: Option<f64>,
    /// The last 90 days in UTC, the oldest first; today is the last.
    days: Vec<StatusOfDay>,
}

impl From<&ComponentReport> for StatusOfComponent {
    fn from(report: &ComponentReport) -> Self {
        Self {
            id: ComponentName(report.component),
            name: report.component.title(),
            state: StateName(report.state),
            // Cut off: what was not well for a second is not 1.
            uptime: report.uptime.map(|share| (share * 100_000.0).floor() / 100_000.0),
            days: report
                .days
                .iter()
                .map(|&(day, state)| StatusOfDay { day: Day(day), state: state.map(StateName) })
                .collect(),
        }
    }
}

/// How a part was on a day.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusOfDay {
    day: Day,
    /// The worst of the day; null when nothing was measured.
    #[schema(required = true)]
    state: Option<StateName>,
}

/// Something that was told of the server.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownIncident {
    id: Id,
    /// What is wrong, in a few words.
    #[schema(examples("Live numbers were late"))]
    title: String,
    /// How the parts are that it touches.
    state: StateName,
    /// The parts that it touches.
    components: Vec<ComponentName>,
    /// When it began; of maintenance, when it is to begin.
    started_at: Instant,
    /// When maintenance is to end; null when that is not known.
    #[schema(required = true)]
    ends_at: Option<Instant>,
    /// When it was over; null while it goes on.
    #[schema(required = true)]
    resolved_at: Option<Instant>,
    /// What was written about it, the newest first.
    updates: Vec<ShownUpdate>,
}

impl From<&Incident> for ShownIncident {
    fn from(incident: &Incident) -> Self {
        let updates = incident.updates.iter().rev().map(|update| ShownUpdate {
            at: Instant(update.at),
            phase: PhaseName(update.phase),
            message: update.message.clone(),
        });
        Self {
            id: incident.id.into(),
            title: incident.title.clone(),
            state: StateName(incident.state),
            components: incident.components.iter().copied().map(ComponentName).collect(),
            started_at: Instant(incident.began_at),
            ends_at: incident.ends_at.map(Instant),
            resolved_at: incident.resolved_at.map(Instant),
            updates: updates.collect(),
        }
    }
}

/// What was written about an incident.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownUpdate {
    at: Instant,
    /// How far it is.
    phase: PhaseName,
    /// What is known.
    #[schema(examples("The disk was slow while a backup ran."))]
    message: String,
}

/// An incident to tell of.
#[derive(Debug, Deserialize, ToSchema)]
pub struct IncidentBody {
    /// What is wrong, in a few words: at most 100 characters.
    #[schema(examples("Live numbers are late"))]
    title: String,
    /// How the parts are that it touches: maintenance, degraded or outage.
    #[schema(value_type = StateName, examples("degraded"))]
    state: StatusState,
    /// The parts that it touches.
    #[schema(value_type = Vec<ComponentName>)]
    components: Vec<StatusComponent>,
    /// What is known: at most 2,000 characters.
    #[schema(examples("The disk is slow while a backup runs."))]
    message: String,
    /// When maintenance is to begin; now when it is absent.
    #[schema(examples("2026-06-13T22:00:00Z"))]
    starts_at: Option<String>,
    /// When maintenance is to end; open when it is absent.
    #[schema(examples("2026-06-13T23:00:00Z"))]
    ends_at: Option<String>,
}

/// `POST /api/status/incidents`.
pub async fn create(
    operator: Console<ManageStatus>,
    state: web::Data<AppState>,
    body: JsonBody<IncidentBody>,
) -> Result<Created<ShownIncident>, ApiError> {
    let IncidentBody { title, state: how, components, message, starts_at, ends_at } = body.read().await?;
    let mut rules = Rules::default();
    let title = rules.name("title", &title);
    let is_planned = how == StatusState::Maintenance;
    let mut instant = |field, value: Option<String>| {
        let value = value?;
        let at = value.parse::<Timestamp>().ok();
        rules.require(at.is_some(), field, "Write an instant such as 2026-06-13T22:00:00Z");
        rules.require(is_planned, field, "Only maintenance is known before");
        at
    };
    let (starts_at, ends_at) = (instant("starts_at", starts_at), instant("ends_at", ends_at));
    rules.check()?;
    let now = state.clock.reading().steady;
    let phase = if is_planned { IncidentPhase::Planned } else { IncidentPhase::Noticed };
    let id = IncidentId::from_random_bytes(state.random_bytes());
    let first = IncidentUpdate::new(now, phase, message.trim());
    let mut incident = Incident::new(id, title, how, components, first);
    (incident.began_at, incident.ends_at) = (starts_at.unwrap_or(now), ends_at);
    let shown = ShownIncident::from(&incident);
    let store = operator.store(&state);
    changing(&state, move |_| store.create_incident(&incident)).await?;
    Ok(Created::at(format!("/api/status/incidents/{id}"), shown, now))
}

/// An update to write.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpdateBody {
    /// How far it is; `resolved` ends it.
    #[schema(value_type = PhaseName)]
    phase: IncidentPhase,
    /// What is new: at most 2,000 characters.
    #[schema(examples("The backup is done. No event was lost."))]
    message: String,
}

/// `POST /api/status/incidents/{incident_id}/updates`.
pub async fn update(
    operator: Console<ManageStatus>,
    state: web::Data<AppState>,
    path: web::Path<IncidentPath>,
    body: JsonBody<UpdateBody>,
) -> Result<Created<ShownIncident>, ApiError> {
    let UpdateBody { phase, message } = body.read().await?;
    let id = path.id()?;
    let now = state.clock.reading().steady;
    let update = IncidentUpdate::new(now, phase, message.trim());
    let store = operator.store(&state);
    let updated = changing(&state, move |_| {
        store.update_incident(id, &update)?;
        let all = store.incidents()?;
        let incident = all.iter().find(|incident| incident.id == id);
        incident.map(ShownIncident::from).ok_or(StoreError::NotFound("incident"))
    });
    Ok(Created::at(format!("/api/status/incidents/{id}"), updated.await?, now))
}

/// `DELETE /api/status/incidents/{incident_id}`.
pub async fn delete(
    operator: Console<ManageStatus>,
    state: web::Data<AppState>,
    path: web::Path<IncidentPath>,
) -> Result<NoContent, ApiError> {
    let id = path.id()?;
    let store = operator.store(&state);
    changing(&state, move |_| store.delete_incident(id)).await?;
    Ok(NoContent)
}

/// The path of an incident.
#[derive(Debug, Deserialize)]
pub struct IncidentPath {
    incident_id: String,
}

impl IncidentPath {
    fn id(&self) -> Result<IncidentId, ApiError> {
        self.incident_id.parse().map_err(|_malformed| StoreError::NotFound("incident").into())
    }
}
