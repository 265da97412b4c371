//! The clients that act for whoever is signed in: what they may do, and ending it.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;
use zenovay_domain::GrantId;
use zenovay_store::{McpGrant, StoreError};

use super::{NoContent, changing};
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{Authorized, ManageAccount, Person};
use crate::http::lookups::blocking;
use crate::http::state::AppState;
use crate::http::values::{Id, Instant};

/// The clients that act for the person, the one that was used last first.
#[derive(Debug, Serialize, ToSchema)]
pub struct McpClients {
    /// What a client is pointed at.
    #[schema(examples("https://stats.example/mcp"))]
    url: String,
    clients: Vec<McpClient>,
}

/// A client that acts for the person.
#[derive(Debug, Serialize, ToSchema)]
pub struct McpClient {
    id: Id,
    /// What it calls itself.
    #[schema(examples("Claude"))]
    name: String,
    /// Its id among clients.
    #[schema(examples("https://claude.ai/oauth/mcp-oauth-client-metadata"))]
    client_id: String,
    /// The host that vouches for its name; null when it registered itself.
    #[schema(examples("claude.ai"))]
    host: Option<String>,
    /// Where people are sent back to, in words.
    #[schema(examples("claude.ai"))]
    redirect_host: String,
    /// What it may do.
    #[schema(examples("analytics:read"))]
    scopes: Vec<String>,
    /// In which team.
    team: McpClientTeam,
    created_at: Instant,
    /// When it ends by itself.
    expires_at: Instant,
    /// When it was used last; null when it never was.
    last_used_at: Option<Instant>,
    /// How many queries it made in this UTC day, of those that the team's plan has.
    #[schema(examples(12))]
    queries_today: u64,
}

/// The team in which a client may act.
#[derive(Debug, Serialize, ToSchema)]
pub struct McpClientTeam {
    id: Id,
    #[schema(examples("Shop"))]
    name: String,
}

impl McpClient {
    fn new(grant: McpGrant, team: String) -> Self {
        let McpGrant { id, consent, created_at, expires_at, last_used_at, queries_today, .. } = grant;
        Self {
            id: id.into(),
            name: consent.client.name,
            client_id: consent.client.id,
            host: consent.client.host,
            redirect_host: consent.client.redirect_host,
            scopes: consent.scopes.names().collect(),
            team: McpClientTeam { id: consent.team_id.into(), name: team },
            created_at: Instant(created_at),
            expires_at: Instant(expires_at),
            last_used_at: last_used_at.map(Instant),
            queries_today,
        }
    }
}

/// `GET /api/account/mcp-clients`.
pub async fn list(
    person: Authorized<ManageAccount, Person>,
    state: web::Data<AppState>,
) -> Result<Success<McpClients>, ApiError> {
    let now = state.clock.reading().steady;
    let user = person.caller.user.id;
    let clients = blocking(&state, move |state| {
        let mut clients = Vec::new();
        for grant in state.store.grants_of(user, now)? {
            // A team that was deleted a moment ago is left out.
            let Some(team) = state.store.team(grant.consent.team_id)? else { continue };
            clients.push(McpClient::new(grant, team.name));
        }
        Ok(clients)
    });
    Ok(Success::new(McpClients { url: state.mcp_url(), clients: clients.await? }, now))
}

/// `DELETE /api/account/mcp-clients/{grant_id}`: acts on the next request of the client.
pub async fn revoke(
    person: Authorized<ManageAccount, Person>,
    state: web::Data<AppState>,
    id: web::Path<String>,
    req: HttpRequest,
) -> Result<NoContent, ApiError> {
    let unknown = || ApiError::not_found("There is no such client");
    let id: GrantId = id.parse().map_err(|_not_an_id| unknown())?;
    let (user, now) = (person.caller.user.id, state.clock.reading().steady);
    let store = person.store(&state);
    let ended = changing(&state, move |_| {
        let Some(grant) = store.grants_of(user, now)?.into_iter().find(|grant| grant.id == id) else {
            return Ok(None);
        };
        match store.revoke_grant(user, id) {
            // By somebody else at the same moment.
            Err(StoreError::NotFound(_)) => Ok(None),
            other => other.map(|()| Some(grant)),
        }
    });
    let consent = ended.await?.ok_or_else(unknown)?.consent;
    person.note(&req, "client", &consent.client.name);
    person.concerns(&req, consent.team_id);
    Ok(NoContent)
}
