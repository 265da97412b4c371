//! Heatmaps: authorized, validated and answered in the final shape. There is nothing to list before anything is collected.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::envelope::{ApiError, Success};
use crate::http::export::sheets::{Accept, Format, Formatted, Listed, SheetName};
use crate::http::guard::{Authorized, ReadHeatmaps};
use crate::http::params::{Limit, Query};
use crate::http::state::AppState;
use crate::http::values::Instant;

/// `GET /heatmaps/:websiteId/pages`.
pub async fn pages(
    key: Authorized<ReadHeatmaps>,
    state: web::Data<AppState>,
    query: Query<(Limit<20, 100>, Formatted)>,
    accept: Accept,
) -> Result<Listed<Success<HeatmapPages>>, ApiError> {
    let now = state.clock.now();
    let (_, formatted) = query.read(now)?;
    let answer = HeatmapPages::default();
    let format = accept.or(formatted.format);
    if format != Format::Json {
        let name = SheetName::plain(&format!("{}_heatmaps", key.resource.domain));
        return Ok(Listed::file(format, &name, COLUMNS, &answer.pages));
    }
    Ok(Listed::Json(Success::new(answer, now)))
}

/// The columns of a file, which are the members of a row.
const COLUMNS: &[&str] = &["url", "total_interactions", "last_updated"];

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
