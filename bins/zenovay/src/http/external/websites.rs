//! `GET /websites` and `GET /websites/:websiteId`.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;
use zenovay_domain::Website;

use crate::http::envelope::{ApiError, Success};
use crate::http::export::sheets::{Accept, Format, Formatted, Listed, SheetName};
use crate::http::guard::{Authorized, ListWebsites, ReadWebsite};
use crate::http::lookups::blocking;
use crate::http::params::Query;
use crate::http::state::AppState;
use crate::http::values::{Id, Instant};
use crate::http::website_settings::Settings;

/// The websites that the key reaches, the oldest first.
pub async fn list(
    key: Authorized<ListWebsites>,
    state: web::Data<AppState>,
    query: Query<Formatted>,
    accept: Accept,
) -> Result<Listed<Success<Websites>>, ApiError> {
    let formatted = query.read(state.clock.now())?;
    let credential = key.caller.credential.clone();
    let websites = blocking(&state, move |state| state.store.reachable_websites(&credential, &state.plans)).await?;
    let now = state.clock.now();
    let ids: Vec<_> = websites.iter().map(|website| website.id).collect();
    let live = state.queries.run_at_once(key.asking(), move |ask| {
        ids.into_iter().map(|id| ask.live(id, now)).collect::<Result<Vec<_>, _>>()
    });
    let live = live.await?;
    let rows: Vec<WebsiteRow> =
        websites.iter().zip(live).map(|(website, live)| WebsiteRow::of(website, live)).collect();
    let format = accept.or(formatted.format);
    if format != Format::Json {
        return Ok(Listed::file(format, &SheetName::plain("websites"), COLUMNS, &rows));
    }
    Ok(Listed::Json(Success::new(Websites { total: rows.len(), websites: rows }, now)))
}

/// The columns of a file, which are the members of a row.
const COLUMNS: &[&str] =
    &["id", "domain", "name", "tracking_code", "is_active", "created_at", "team_id", "live_visitors"];

/// Websites.
#[derive(Debug, Serialize, ToSchema)]
pub struct Websites {
    /// How many there are.
    #[schema(examples(1))]
    total: usize,
    /// The oldest first.
    websites: Vec<WebsiteRow>,
}

/// A website.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebsiteRow {
    /// Its id.
    id: Id,
    /// Its domain.
    #[schema(examples("example.com"))]
    domain: String,
    /// The name people see.
    #[schema(examples("My website"))]
    name: String,
    /// The public code in its script tag.
    #[schema(examples("ZV_abc123XYZ09"))]
    tracking_code: String,
    /// Whether its events are accepted.
    is_active: bool,
    /// When it was created.
    created_at: Instant,
    /// The team that owns it.
    team_id: Id,
    /// Visitors with activity in the last five minutes.
    #[schema(examples(4))]
    live_visitors: u64,
}

impl WebsiteRow {
    fn of(website: &Website, live_visitors: u64) -> Self {
        Self {
            id: website.id.into(),
            domain: website.domain.clone(),
            name: website.name.clone(),
            tracking_code: website.tracking_code.as_str().to_owned(),
            is_active: website.settings.is_active,
            created_at: Instant(website.created_at),
            team_id: website.team_id.into(),
            live_visitors,
        }
    }
}

/// One website with its settings.
pub async fn detail(key: Authorized<ReadWebsite>, state: web::Data<AppState>) -> Result<Success<OneWebsite>, ApiError> {
    let now = state.clock.now();
    let asking = key.asking();
    let website = key.resource;
    let id = website.id;
    let live = state.queries.run_at_once(asking, move |ask| ask.live(id, now)).await?;
    let website = WebsiteDetail {
        row: WebsiteRow::of(&website, live),
        user_id: website.user_id.map(Id::from),
        settings: Settings::of(&website.settings),
    };
    Ok(Success::new(OneWebsite { website }, now))
}

/// One website.
#[derive(Debug, Serialize, ToSchema)]
pub struct OneWebsite {
    website: WebsiteDetail,
}

/// A website with its settings.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebsiteDetail {
    #[serde(flatten)]
    row: WebsiteRow,
    /// Who created it; null when that account is gone.
    #[schema(required = true)]
    user_id: Option<Id>,
    /// Its settings. Further members may be added.
    settings: Settings,
}
