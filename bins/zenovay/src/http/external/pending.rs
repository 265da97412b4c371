//! Heatmaps, session replays and error groups: authorized, validated and answered in their final shape. There is
//! nothing to list before those features collect anything.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{Authorized, ReadErrors, ReadHeatmaps, ReadReplays};
use crate::http::params::{Pagination, Params};
use crate::http::values::Instant;
use crate::state::AppState;

/// `GET /heatmaps/:websiteId/pages`
pub async fn heatmap_pages(
    _key: Authorized<ReadHeatmaps>,
    state: web::Data<AppState>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut params = Params::parse(req.query_string());
    params.limit(20, 100);
    params.finish()?;
    Ok(Success::new(HeatmapPages::default(), state.clock.now()).into_response())
}

/// The pages with a heatmap.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct HeatmapPages {
    /// The page with the most interactions first. Empty: nothing is collected for heatmaps yet.
    pages: Vec<HeatmapPage>,
}

/// A page with a heatmap.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeatmapPage {
    /// Its path.
    #[schema(examples("/pricing"))]
    url: String,
    /// Clicks and movements that were collected.
    #[schema(examples(912))]
    total_interactions: u64,
    /// When the latest was collected.
    last_updated: Instant,
}

/// `GET /replays/:websiteId/sessions`
pub async fn replay_sessions(
    _key: Authorized<ReadReplays>,
    state: web::Data<AppState>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut params = Params::parse(req.query_string());
    let page = params.page(50, 200);
    params.finish()?;
    let data = ReplaySessions { sessions: Vec::new(), pagination: page.answer(false) };
    Ok(Success::new(data, state.clock.now()).into_response())
}

/// A page of recorded sessions.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplaySessions {
    /// The newest first. Empty: nothing is recorded yet.
    sessions: Vec<ReplaySession>,
    pagination: Pagination,
}

/// A recorded session.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplaySession {
    /// Names the recording.
    #[schema(examples("sr_0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    id: String,
    /// Names the session.
    #[schema(examples("0190a1b2c3d44e5f"))]
    session_id: String,
    /// The path of its first page.
    #[schema(examples("/pricing"))]
    page_url: String,
    /// `desktop`, `mobile` or `tablet`.
    #[schema(examples("desktop"))]
    device_type: String,
    /// Its browser.
    #[schema(examples("Firefox"))]
    browser: String,
    /// Its operating system.
    #[schema(examples("Linux"))]
    os: String,
    /// ISO 3166-1 alpha-2; null when unknown.
    #[schema(required = true, examples("CH"))]
    country_code: Option<String>,
    /// Its length in seconds.
    #[schema(examples(184))]
    duration_seconds: u64,
    /// How many events were recorded.
    #[schema(examples(2310))]
    event_count: u64,
    /// When it began.
    started_at: Instant,
    /// When it ended.
    ended_at: Instant,
}

/// `GET /errors/:websiteId/groups`
pub async fn error_groups(
    _key: Authorized<ReadErrors>,
    state: web::Data<AppState>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut params = Params::parse(req.query_string());
    params.limit(50, 200);
    params.one_of("status", &["unresolved", "resolved", "ignored"]);
    params.finish()?;
    Ok(Success::new(ErrorGroups::default(), state.clock.now()).into_response())
}

/// Groups of equal errors.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct ErrorGroups {
    /// The group seen last first. Empty: errors are not collected yet.
    error_groups: Vec<ErrorGroup>,
}

/// Equal errors of a website.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorGroup {
    /// Names the group.
    #[schema(examples("eg_0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    id: String,
    /// What makes its errors equal.
    #[schema(examples("9a1f0c3e"))]
    fingerprint: String,
    /// The message of the error.
    #[schema(examples("x is undefined"))]
    message: String,
    /// The type of the error.
    #[schema(examples("TypeError"))]
    r#type: String,
    /// What was decided about it.
    #[schema(examples("unresolved"))]
    status: String,
    /// How often it occurred.
    #[schema(examples(41))]
    occurrence_count: u64,
    /// When it occurred first.
    first_seen_at: Instant,
    /// When it occurred last.
    last_seen_at: Instant,
    /// Distinct visitors who met it.
    #[schema(examples(17))]
    affected_users_count: u64,
}
