//! What people and keys changed in a team.

use actix_web::web;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use zenovay_domain::Timestamp;
use zenovay_store::AuditEntry;

use crate::http::document::Parameter;
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{Actor, Authorized, ReadAudit};
use crate::http::lookups::blocking;
use crate::http::params::{Params, Query, QueryParams};
use crate::http::state::AppState;
use crate::http::values::{Id, Instant};

/// `GET /api/teams/{team_id}/audit`.
pub async fn list(
    team: Authorized<ReadAudit, Actor>,
    state: web::Data<AppState>,
    query: Query<TrailPage>,
) -> Result<Success<Trail>, ApiError> {
    let TrailPage { before, limit } = query.read(state.clock.now())?;
    let id = team.resource.id;
    // One more, to know whether there are more.
    let mut entries = blocking(&state, move |state| state.store.audit(id, before, limit + 1)).await?;
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| has_more).map(|entry| entry.id.to_string());
    let entries = entries.into_iter().map(TrailEntry::from).collect();
    Ok(Success::new(Trail { entries, next }, state.clock.now()))
}

/// Which entries.
#[derive(Debug, Clone, Copy)]
pub struct TrailPage {
    before: Option<i64>,
    limit: usize,
}

impl QueryParams for TrailPage {
    fn read(params: &mut Params, _: Timestamp) -> Self {
        params.declare(|| {
            Parameter::query("before", "`next` of an earlier answer: the entries before those.")
                .schema(json!({ "type": "string", "pattern": "^[0-9]+$", "examples": ["4711"] }))
        });
        let before = params.get("before").map(str::to_owned);
        let number = before.as_deref().map(|before| before.parse().ok().filter(|number: &i64| *number >= 0));
        if number == Some(None) {
            params.problem("before", "use `next` of an earlier answer");
        }
        Self { before: number.flatten(), limit: params.limit(50, 200) }
    }
}

/// Changes, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Trail {
    entries: Vec<TrailEntry>,
    /// Where the next page begins; null when there are no more.
    #[schema(required = true, examples("4711"))]
    next: Option<String>,
}

/// A change.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrailEntry {
    /// Its place in the trail.
    #[schema(examples("4712"))]
    id: String,
    at: Instant,
    /// Who did it, as they were called then.
    #[schema(examples("owner@example.com"))]
    actor: String,
    /// The person, or the owner of the key; null for a workspace key.
    #[schema(required = true)]
    user_id: Option<Id>,
    /// The key; null when a person did it.
    #[schema(required = true)]
    key_id: Option<Id>,
    /// What was done.
    #[schema(examples("teams.edit"))]
    action: String,
    /// What it was done to.
    #[schema(examples("team 0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    target: String,
    /// More about it.
    #[schema(value_type = Object, examples(json!({ "name": "Studio" })))]
    details: BTreeMap<String, String>,
}

impl From<AuditEntry> for TrailEntry {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            at: Instant(entry.at),
            actor: entry.actor,
            user_id: entry.user_id.map(Id::from),
            key_id: entry.key_id.map(Id::from),
            action: entry.action,
            target: entry.target,
            details: serde_json::from_str(&entry.details).unwrap_or_default(),
        }
    }
}
