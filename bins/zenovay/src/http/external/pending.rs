//! Heatmaps, session replays and error groups: authorized, validated and answered in their final shape. There is
//! nothing to list before those features collect anything.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{Authorized, ReadErrors, ReadHeatmaps, ReadReplays};
use crate::http::params::Params;
use crate::state::AppState;

const NONE: [Value; 0] = [];

/// `GET /heatmaps/:websiteId/pages`
pub async fn heatmap_pages(
    _key: Authorized<ReadHeatmaps>,
    state: web::Data<AppState>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut params = Params::parse(req.query_string());
    params.limit(20, 100);
    params.finish()?;
    Ok(Success::new(json!({ "pages": NONE }), state.clock.now()).into_response())
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
    let data = json!({ "sessions": NONE, "pagination": page.to_json(false) });
    Ok(Success::new(data, state.clock.now()).into_response())
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
    Ok(Success::new(json!({ "error_groups": NONE }), state.clock.now()).into_response())
}
