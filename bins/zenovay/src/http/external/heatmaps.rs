//! Heatmaps: authorized, validated and answered in the final shape. There is nothing to list before anything is collected.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{Authorized, ReadHeatmaps};
use crate::http::params::{Limit, Query};
use crate::http::state::AppState;
use crate::http::values::Instant;

/// `GET /heatmaps/:websiteId/pages`.
pub async fn pages(
    _key: Authorized<ReadHeatmaps>,
    state: web::Data<AppState>,
    query: Query<Limit<20, 100>>,
) -> Result<Success<HeatmapPages>, ApiError> {
    let now = state.clock.now();
    query.read(now)?;
    Ok(Success::new(HeatmapPages::default(), now))
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
