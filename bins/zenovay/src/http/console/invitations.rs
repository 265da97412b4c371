//! Invitations into teams: a link that works once, for seven days.

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zenovay_auth::{Action, Secret, Target};
use zenovay_domain::{InvitationId, Role, TeamId};
use zenovay_store::{Invitation, Metadata, NewInvitation, StoreError};

use super::{Created, JsonBody, NoContent, Rules, changing};
use crate::http::audit::AuditActor;
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{
    Actor, Attempt, Authorized, Identity, InviteMember, ManageAccount, Person, TakeBackInvitation,
};
use crate::http::lookups::blocking;
use crate::http::state::AppState;
use crate::http::values::{Id, Instant, RoleName};

/// How long an invitation can be accepted: seven days.
const INVITATION_MS: i64 = 7 * 24 * 3_600_000;

/// `GET /api/teams/{team_id}/invitations`.
pub async fn list(
    team: Authorized<InviteMember, Actor>,
    state: web::Data<AppState>,
) -> Result<Success<Invitations>, ApiError> {
    let (id, now) = (team.resource.0.id, state.clock.reading().steady);
    let open = blocking(&state, move |state| state.store.invitations(id, now)).await?;
    let invitations = open.into_iter().map(OpenInvitation::from).collect();
    Ok(Success::new(Invitations { invitations }, state.clock.now()))
}

/// `POST /api/teams/{team_id}/invitations`.
pub async fn create(
    team: Authorized<InviteMember, Actor>,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<Invite>,
) -> Result<Created<CreatedInvitation>, ApiError> {
    let Invite { email, role } = body.read().await?;
    let email = email.map(|email| checked_email(&email)).transpose()?;
    let team_id = team.resource.0.id;
    team.may(&state, Action::InviteMember, Target::Invitation { team_id, role })?;
    team.note(&req, "role", role.as_str());
    team.note(&req, "email", email.as_deref().unwrap_or("(whoever has the link)"));
    let made = invite(&state, team.store(&state), team_id, email, role, team.caller.audit_actor(), &state.url_of(&req))
        .await?;
    let location = format!("/api/teams/{team_id}/invitations/{}", made.invitation.id);
    Ok(Created::at(location, made, state.clock.now()))
}

/// An address that can be invited.
pub(in crate::http) fn checked_email(email: &str) -> Result<String, ApiError> {
    let mut rules = Rules::default();
    let email = rules.email("email", email);
    rules.check()?;
    Ok(email)
}

/// Invites somebody into a team, for `inviter`, who may. The link begins with `base`.
///
/// # Errors
/// A 429 when too many were mailed, and what the store refuses.
pub(in crate::http) async fn invite(
    state: &web::Data<AppState>,
    store: Arc<dyn Metadata>,
    team_id: TeamId,
    email: Option<String>,
    role: Role,
    inviter: AuditActor,
    base: &str,
) -> Result<CreatedInvitation, ApiError> {
    let secret = state.new_secret();
    let (id, digest) = (InvitationId::from_random_bytes(state.random_bytes()), secret.digest());
    let now = state.clock.reading().steady;
    let mailed = state.mail.clone().zip(email.clone());
    let by = inviter.clone();
    if let Some((_, to)) = &mailed {
        state.invitation_mails.charge(team_id, &by, to, now)?;
    }
    let made = changing(state, move |_| {
        // What somebody's key invites, they invite.
        let owner = inviter.user.map(|user| store.user(user)).transpose()?.flatten();
        let invited_by = owner.map_or(inviter.words, |owner| owner.email);
        let mut new = NewInvitation::new(id, team_id, digest, role, &invited_by, now.plus_millis(INVITATION_MS));
        (new.email, new.key_id) = (email.as_deref(), inviter.key);
        store.create_invitation(&new, now)
    });
    let made = made.await.inspect_err(|_| {
        if let Some((_, to)) = &mailed {
            state.invitation_mails.refund(team_id, &by, to, now);
        }
    });
    let invitation = OpenInvitation::from(made?);
    let path = format!("/invite/{}", secret.expose());
    let url = format!("{base}{path}");
    if let Some((mail, to)) = mailed {
        // Also from where nothing can be spawned on the worker.
        tokio::spawn(async move { mail.invitation(&to, &path).await });
    }
    Ok(CreatedInvitation { invitation, url })
}

/// `DELETE /api/teams/{team_id}/invitations/{invitation_id}`.
pub async fn take_back(
    invitation: Authorized<TakeBackInvitation, Actor>,
    state: web::Data<AppState>,
) -> Result<NoContent, ApiError> {
    let id = invitation.resource.id;
    let store = invitation.store(&state);
    changing(&state, move |_| store.delete_invitation(id)).await?;
    Ok(NoContent)
}

fn ended() -> ApiError {
    ApiError::not_found("This invitation does not work any more")
}

/// `GET /api/invitations/{token}`.
pub async fn show(
    _: Attempt,
    token: web::Path<String>,
    state: web::Data<AppState>,
) -> Result<Success<InvitationFacts>, ApiError> {
    let digest = Secret::parse(&token).map_err(|_malformed| ended())?.digest();
    let now = state.clock.reading().steady;
    let found = blocking(&state, move |state| {
        let Some(invitation) = state.store.invitation_by_secret(&digest, now)? else { return Ok(None) };
        Ok(state.store.team(invitation.team_id)?.map(|team| (invitation, team)))
    });
    let (invitation, team) = found.await?.ok_or_else(ended)?;
    let facts = InvitationFacts {
        team: team.name,
        role: RoleName(invitation.role),
        email: invitation.email,
        invited_by: invitation.invited_by,
        expires_at: Instant(invitation.expires_at),
    };
    Ok(Success::new(facts, state.clock.now()))
}

/// `POST /api/invitations/{token}`.
pub async fn accept(
    person: Authorized<ManageAccount, Person>,
    req: HttpRequest,
    token: web::Path<String>,
    state: web::Data<AppState>,
) -> Result<Success<Joined>, ApiError> {
    let secret = Secret::parse(&token).map_err(|_malformed| ended())?;
    let (user, digest) = (person.caller.user.id, secret.digest());
    let now = state.clock.reading().steady;
    let store = person.store(&state);
    let joined = changing(&state, move |state| {
        let Some(invitation) = store.accept_invitation(&digest, user, &state.plans, now)? else {
            return Ok(None);
        };
        let team = state.store.team(invitation.team_id)?.ok_or(StoreError::NotFound("team"))?;
        Ok(Some((team, invitation.role)))
    });
    let (team, role) = joined.await?.ok_or_else(ended)?;
    person.concerns(&req, team.id);
    person.note(&req, "role", role.as_str());
    Ok(Success::new(Joined { team_id: team.id.into(), name: team.name, role: RoleName(role) }, state.clock.now()))
}

/// Whom to invite.
#[derive(Deserialize, ToSchema)]
pub struct Invite {
    /// The address of the account that may accept it; without it, whoever has the link may.
    #[schema(examples("editor@example.com"))]
    email: Option<String>,
    #[schema(value_type = RoleName)]
    role: Role,
}

/// The invitations that can be accepted, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Invitations {
    invitations: Vec<OpenInvitation>,
}

/// An invitation that can be accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenInvitation {
    pub(in crate::http) id: Id,
    /// The address that it is for; null for whoever has the link.
    #[schema(required = true, examples("editor@example.com"))]
    pub(in crate::http) email: Option<String>,
    pub(in crate::http) role: RoleName,
    /// Who made it.
    #[schema(examples("owner@example.com"))]
    invited_by: String,
    created_at: Instant,
    pub(in crate::http) expires_at: Instant,
}

impl From<Invitation> for OpenInvitation {
    fn from(invitation: Invitation) -> Self {
        Self {
            id: invitation.id.into(),
            email: invitation.email,
            role: RoleName(invitation.role),
            invited_by: invitation.invited_by,
            created_at: Instant(invitation.created_at),
            expires_at: Instant(invitation.expires_at),
        }
    }
}

/// An invitation that was made, with its link.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedInvitation {
    #[serde(flatten)]
    pub(in crate::http) invitation: OpenInvitation,
    /// The link. It is not shown again.
    #[schema(examples("https://stats.example.com/invite/Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5oRiVtCkBqM"))]
    pub(in crate::http) url: String,
}

/// What whoever has the link may know.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvitationFacts {
    /// The name of the team.
    #[schema(examples("Studio"))]
    team: String,
    role: RoleName,
    /// The address that it is for; absent when it is for whoever has the link.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("editor@example.com"))]
    email: Option<String>,
    /// Who made it.
    #[schema(examples("owner@example.com"))]
    invited_by: String,
    expires_at: Instant,
}

/// The team that somebody joined.
#[derive(Debug, Serialize, ToSchema)]
pub struct Joined {
    team_id: Id,
    /// Its name.
    #[schema(examples("Studio"))]
    name: String,
    role: RoleName,
}
