//! Pages that have a heatmap, of all time (SPEC B4).

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;
use zenovay_capture::{HeatFilter, HeatPage, HeatPagesQuery, HeatSort, HeatSortBy};
use zenovay_domain::Timestamp;

use crate::http::envelope::{ApiError, Success};
use crate::http::export::sheets::{Accept, Format, Formatted, Listed, SheetName};
use crate::http::guard::{Authorized, ReadHeatmaps};
use crate::http::lookups::off_the_worker;
use crate::http::params::{Limit, Params, Query, QueryParams};
use crate::http::state::AppState;
use crate::http::values::Instant;

/// In which order.
pub struct Sorted(HeatSort);

impl QueryParams for Sorted {
    fn read(params: &mut Params, _: Timestamp) -> Self {
        let names = ["total_interactions", "-total_interactions", "last_updated", "-last_updated"];
        let words = "What pages are sorted by: the greatest or latest first; with `-` the other way round.";
        let name = params.one_of("sort", &names, Some(names[0]), words).unwrap_or(names[0]);
        let (name, is_reversed) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
        let by = if name == "last_updated" { HeatSortBy::LastAt } else { HeatSortBy::Interactions };
        Self(HeatSort { by, is_reversed })
    }
}

/// `GET /heatmaps/:websiteId/pages`.
pub async fn pages(
    key: Authorized<ReadHeatmaps>,
    state: web::Data<AppState>,
    query: Query<(Limit<20, 100>, (Sorted, Formatted))>,
    accept: Accept,
) -> Result<Listed<Success<HeatmapPages>>, ApiError> {
    let now = state.clock.now();
    let (limit, (sort, formatted)) = query.read(now)?;
    let (website, format) = (key.resource.id, accept.or(formatted.format));
    let limit = if format == Format::Json { limit.0 } else { formatted.rows };
    let found = off_the_worker(&state, move |state| {
        let filter = HeatFilter::ALL;
        let query = HeatPagesQuery { sort: sort.0, filter, class: None, contains: "", offset: 0, limit };
        state.captures.heat_pages(website, &query)
    });
    let answer = HeatmapPages { pages: found.await?.pages.into_iter().map(HeatmapPage::from).collect() };
    if format != Format::Json {
        let name = SheetName::plain(&format!("{}_heatmaps", key.resource.domain));
        return Ok(Listed::file(format, &name, COLUMNS, &answer.pages));
    }
    Ok(Listed::Json(Success::new(answer, now)))
}

/// The columns of a file, which are the members of a row.
const COLUMNS: &[&str] = &["url", "total_interactions", "last_updated"];

/// The pages with a heatmap.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeatmapPages {
    /// The page with the most interactions first, unless it is asked for otherwise.
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

impl From<HeatPage> for HeatmapPage {
    fn from(page: HeatPage) -> Self {
        Self { url: page.path, total_interactions: page.clicks + page.moves, last_updated: Instant(page.last_at) }
    }
}
