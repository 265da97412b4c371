//! `GET /websites` and `GET /websites/:websiteId`.

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};
use zenovay_domain::Website;
use zenovay_store::WebsiteStore;

use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{Authorized, ListWebsites, ReadWebsite};
use crate::state::AppState;

/// The websites that the key reaches, the oldest first.
pub async fn list(key: Authorized<ListWebsites>, state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let websites = {
        let (state, credential) = (state.clone(), key.credential.clone());
        web::block(move || state.store.reachable_websites(&credential))
            .await
            .map_err(|_panicked| ApiError::internal())??
    };
    let now = state.clock.now();
    let ids: Vec<_> = websites.iter().map(|website| website.id).collect();
    let live = state
        .queries
        .run_at_once(move |ask| ids.into_iter().map(|id| ask.live(id, now)).collect::<Result<Vec<_>, _>>());
    let live = live.await?;
    let rows: Vec<Value> = websites
        .iter()
        .zip(live)
        .map(|(website, live)| {
            let mut row = fields(website);
            row.insert("live_visitors".to_owned(), live.into());
            row.into()
        })
        .collect();
    Ok(Success::new(json!({ "total": rows.len(), "websites": rows }), now).into_response())
}

/// One website with its settings.
pub async fn detail(key: Authorized<ReadWebsite>, state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let website = key.resource;
    let id = website.id;
    let live = state.queries.run_at_once(move |ask| ask.live(id, now)).await?;
    let mut row = fields(&website);
    row.insert("live_visitors".to_owned(), live.into());
    row.insert("user_id".to_owned(), website.user_id.map(|id| id.to_string()).into());
    row.insert("settings".to_owned(), serde_json::to_value(&website.settings).map_err(|_never| ApiError::internal())?);
    Ok(Success::new(json!({ "website": row }), now).into_response())
}

/// The fields of the list (SPEC B4).
fn fields(website: &Website) -> Map<String, Value> {
    let fields: [(&str, Value); 7] = [
        ("id", website.id.to_string().into()),
        ("domain", website.domain.as_str().into()),
        ("name", website.name.as_str().into()),
        ("tracking_code", website.tracking_code.as_str().into()),
        ("is_active", website.settings.is_active.into()),
        ("created_at", website.created_at.to_string().into()),
        ("team_id", website.team_id.to_string().into()),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
