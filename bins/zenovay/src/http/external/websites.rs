//! `GET /websites` and `GET /websites/:websiteId`.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;
use zenovay_domain::{Website, WebsiteSettings};

use crate::http::envelope::{ApiError, Success};
use crate::http::export::sheets::{Accept, Format, Formatted, Listed, SheetName};
use crate::http::guard::{Authorized, ListWebsites, ReadWebsite};
use crate::http::params::Query;
use crate::http::state::AppState;
use crate::http::values::{Id, Instant};

/// The websites that the key reaches, the oldest first.
pub async fn list(
    key: Authorized<ListWebsites>,
    state: web::Data<AppState>,
    query: Query<Formatted>,
    accept: Accept,
) -> Result<Listed<Success<Websites>>, ApiError> {
    let formatted = query.read(state.clock.now())?;
    let websites = {
        let (state, credential) = (state.clone(), key.caller.credential.clone());
        web::block(move || state.store.reachable_websites(&credential, &state.plans))
            .await
            .map_err(|_panicked| ApiError::internal())??
    };
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

/// What is set for a website.
#[derive(Debug, Serialize, ToSchema)]
pub struct Settings {
    /// Whether events are accepted. `false` pauses tracking: hits are answered and dropped with the reason `paused`.
    is_active: bool,
    /// Whether visitors are recognised without anything stored in the browser. On for new websites.
    cookieless: bool,
    /// Whether hits from local hosts (`localhost`, `*.local`, `127.0.0.0/8`, `::1`) are accepted.
    allow_localhost: bool,
    /// When not empty, these hosts replace the single domain check: exact hosts, or `*.example.com` for all subdomains.
    #[schema(examples("*.example.com"))]
    allowed_domains: Vec<String>,
    /// Addresses and CIDR ranges whose hits are dropped.
    #[schema(examples("192.0.2.0/24"))]
    excluded_ips: Vec<String>,
    /// Path patterns whose hits are dropped; `*` matches any run of characters.
    #[schema(examples("/admin/*"))]
    excluded_paths: Vec<String>,
    /// Names of bots whose hits are stored all the same: each is looked for, in any case, in the user agent and in the
    /// rule that took it for a bot.
    #[schema(examples("GPTBot"))]
    allowed_bots: Vec<String>,
    /// The IANA zone in which sessions are cut at midnight and days are shown.
    #[schema(examples("Europe/Zurich"))]
    time_zone: String,
    /// The currency in which sums of money are shown, three letters of ISO 4217.
    #[schema(examples("EUR"))]
    currency: String,
    /// Whether `Sec-GPC: 1` or `DNT: 1` drops the hit entirely instead of thinning it out.
    opt_out_on_gpc: bool,
    /// Whether the script reports clicks on links to other hosts.
    track_outbound_links: bool,
    /// Whether the script reports downloads.
    track_downloads: bool,
    /// Whether sessions are recorded. Stored and reported; recording itself is not part of this version.
    session_replay: bool,
    /// Whether clicks are collected for heatmaps. Stored and reported; collection is not part of this version.
    heatmaps: bool,
    /// Whether anybody may read the public summary of the website.
    public_dashboard: bool,
}

impl Settings {
    /// Those of `settings`.
    pub fn of(settings: &WebsiteSettings) -> Self {
        let WebsiteSettings {
            is_active,
            cookieless,
            allow_localhost,
            allowed_domains,
            excluded_ips,
            excluded_paths,
            allowed_bots,
            time_zone,
            currency,
            opt_out_on_gpc,
            track_outbound_links,
            track_downloads,
            session_replay,
            heatmaps,
            public_dashboard,
            ..
        } = settings.clone();
        Self {
            is_active,
            cookieless,
            allow_localhost,
            allowed_domains,
            excluded_ips,
            excluded_paths,
            allowed_bots,
            time_zone,
            currency,
            opt_out_on_gpc,
            track_outbound_links,
            track_downloads,
            session_replay,
            heatmaps,
            public_dashboard,
        }
    }
}
