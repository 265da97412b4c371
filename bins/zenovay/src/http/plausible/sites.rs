//! `GET /api/v1/sites` and `GET /api/health`.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;
use zenovay_domain::{Website, WebsiteId};

use super::answer::{Answered, Refused};
use super::queries::SitesQuery;
use crate::http::envelope::ApiError;
use crate::http::guard::{AccessRefusal, Authorized, ListWebsites, Public};
use crate::http::handler::Json;
use crate::http::lookups::blocking;
use crate::http::params::Params;
use crate::http::state::AppState;

/// Websites.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sites {
    /// The oldest first.
    sites: Vec<Site>,
    /// Which these are.
    meta: SitesPage,
}

/// A website.
#[derive(Debug, Serialize, ToSchema)]
pub struct Site {
    /// Its domain, by which it is named in questions.
    #[schema(examples("example.com"))]
    domain: String,
    /// The zone in which its days are cut.
    #[schema(examples("Europe/Berlin"))]
    timezone: String,
}

/// Which websites a page has.
#[derive(Debug, Serialize, ToSchema)]
pub struct SitesPage {
    /// What to give as `after` for the next page; null on the last one.
    #[schema(required = true, examples("0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    after: Option<String>,
    /// What to give as `before` for the page before; null on the first one.
    #[schema(required = true, examples("0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    before: Option<String>,
    /// How many at most.
    #[schema(examples(100))]
    limit: usize,
}

/// `GET /api/v1/sites`: the websites that the key reaches.
pub async fn sites(
    key: Result<Authorized<ListWebsites>, AccessRefusal>,
    state: web::Data<AppState>,
    query: SitesQuery,
) -> Answered<Sites> {
    page(key, state, &query.0).await.into()
}

async fn page(
    key: Result<Authorized<ListWebsites>, AccessRefusal>,
    state: web::Data<AppState>,
    query: &str,
) -> Result<Sites, Refused> {
    let credential = key.map_err(ApiError::from)?.caller.credential;
    let params = Params::parse(query);
    params.check()?;
    let limit = match params.get("limit").map(str::parse) {
        None => 100,
        Some(Ok(limit)) if (1..=1_000).contains(&limit) => limit,
        Some(_) => return Err(Refused::invalid("Please provide limit as a number between 1 and 1000.")),
    };
    let place = |name: &str| match params.get(name).map(str::parse::<WebsiteId>) {
        None => Ok(None),
        Some(Ok(id)) => Ok(Some(id)),
        Some(Err(_malformed)) => {
            Err(Refused::invalid(format!("Please provide {name} as it came in the answer before.")))
        }
    };
    let (after, before) = (place("after")?, place("before")?);
    let websites = blocking(&state, move |state| state.store.reachable_websites(&credential, &state.plans)).await?;
    Ok(page_of(&websites, limit, after, before))
}

/// The websites after or before a place.
fn page_of(websites: &[Website], limit: usize, after: Option<WebsiteId>, before: Option<WebsiteId>) -> Sites {
    let position = |id: WebsiteId| websites.iter().position(|website| website.id == id);
    let (start, end) = match (after.map(position), before.map(position)) {
        (Some(position), _) => {
            let start = position.map_or(websites.len(), |position| position + 1);
            (start, websites.len().min(start.saturating_add(limit)))
        }
        (None, Some(position)) => {
            let end = position.unwrap_or(0);
            (end.saturating_sub(limit), end)
        }
        (None, None) => (0, websites.len().min(limit)),
    };
    let page = &websites[start..end];
    let place =
        |website: Option<&Website>, is_there: bool| website.filter(|_| is_there).map(|website| website.id.to_string());
    Sites {
        meta: SitesPage {
            after: place(page.last(), end < websites.len()),
            before: place(page.first(), start > 0),
            limit,
        },
        sites: page
            .iter()
            .map(|website| Site { domain: website.domain.clone(), timezone: website.settings.time_zone.clone() })
            .collect(),
    }
}

/// Whether the server can answer: under the names of what Plausible keeps the same things in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Users, websites and keys can be read.
    #[schema(examples("ok"))]
    postgres: &'static str,
    /// Events can be stored.
    #[schema(examples("ok"))]
    clickhouse: &'static str,
    /// Always `ok`: there is nothing to wait for.
    #[schema(examples("ok"))]
    sites_cache: &'static str,
}

/// `GET /api/health`
pub async fn health(_: Public, state: web::Data<AppState>) -> Result<Json<Health>, ApiError> {
    let writable = state.events.stats().writable;
    let readable = web::block(move || state.store.data_version()).await;
    if !writable || !matches!(readable, Ok(Ok(_))) {
        return Err(ApiError::unavailable("The server is not ready", 1));
    }
    Ok(Json(Health { postgres: "ok", clickhouse: "ok", sites_cache: "ok" }))
}
