//! Teams, also called workspaces: their names, rules, and who is in them.

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zenovay_auth::{Action, Target};
use zenovay_domain::{KeyPolicy, Role, TeamId, UserId};
use zenovay_store::{MemberFacts, Metadata, StoreError, Team};

use super::{Created, JsonBody, NoContent, Rules, changing};
use crate::http::audit;
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{
    Actor, Authorized, ChangeRole, DeleteTeam, EditTeam, Identity, ManageAccount, Person, ReadTeam, RemoveMember,
    TransferTeam,
};
use crate::http::lookups::blocking;
use crate::http::state::AppState;
use crate::http::values::{Id, Instant, PlanName, PolicyName, RoleName};

/// `POST /api/teams`.
pub async fn create(
    person: Authorized<ManageAccount, Person>,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<NewTeam>,
) -> Result<Created<TeamFacts>, ApiError> {
    let NewTeam { name } = body.read().await?;
    let mut rules = Rules::default();
    let name = rules.name("name", &name);
    rules.check()?;
    let team = make(&state, person.store(&state), person.caller.user.id, name).await?;
    person.concerns(&req, team.id);
    let (location, now) = (format!("/api/teams/{}", team.id), state.clock.now());
    Ok(Created::at(location, TeamFacts::new(team, Role::Owner), now))
}

/// Makes a team on the plan that new teams have.
pub(super) async fn make(
    state: &web::Data<AppState>,
    store: Arc<dyn Metadata>,
    owner: UserId,
    name: String,
) -> Result<Team, ApiError> {
    let id = TeamId::from_random_bytes(state.random_bytes());
    let team = Team::new(id, name, state.people.new_team_plan, state.clock.reading().steady);
    changing(state, move |_| store.create_team(&team, owner).map(|()| team)).await
}

/// `GET /api/teams/{team_id}`.
pub async fn show(
    team: Authorized<ReadTeam, Actor>,
    state: web::Data<AppState>,
) -> Result<Success<TeamFacts>, ApiError> {
    let role = team.caller.role_in(team.resource.id);
    Ok(Success::new(TeamFacts::new(team.resource, role), state.clock.now()))
}

/// `PATCH /api/teams/{team_id}`.
pub async fn edit(
    team: Authorized<EditTeam, Actor>,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<TeamEdit>,
) -> Result<Success<TeamFacts>, ApiError> {
    let TeamEdit { name, key_policy } = body.read().await?;
    let mut rules = Rules::default();
    let name = name.map(|name| rules.name("name", &name));
    rules.check()?;
    if let Some(name) = &name {
        team.note(&req, "name", name);
    }
    if let Some(policy) = key_policy {
        team.note(&req, "key_policy", policy.as_str());
    }
    let id = team.resource.id;
    let store = team.store(&state);
    let edited = changing(&state, move |_| {
        if let Some(name) = &name {
            store.rename_team(id, name)?;
        }
        if let Some(policy) = key_policy {
            store.set_key_policy(id, policy)?;
        }
        store.team(id)?.ok_or(StoreError::NotFound("team"))
    });
    let edited = edited.await?;
    Ok(Success::new(TeamFacts::new(edited, team.caller.role_in(id)), state.clock.now()))
}

/// `DELETE /api/teams/{team_id}`.
pub async fn delete(
    team: Authorized<DeleteTeam, Actor>,
    req: HttpRequest,
    state: web::Data<AppState>,
) -> Result<NoContent, ApiError> {
    let (id, now) = (team.resource.id, state.clock.reading().steady);
    team.note(&req, "name", &team.resource.name);
    let store = team.store(&state);
    changing(&state, move |_| store.delete_team(id, now)).await?;
    Ok(NoContent)
}

/// `GET /api/teams/{team_id}/members`.
pub async fn members(
    team: Authorized<ReadTeam, Actor>,
    state: web::Data<AppState>,
) -> Result<Success<Members>, ApiError> {
    let id = team.resource.id;
    let members = blocking(&state, move |state| state.store.member_facts(id)).await?;
    let members = members.into_iter().map(TeamMember::from).collect();
    Ok(Success::new(Members { members }, state.clock.now()))
}

/// `PATCH /api/teams/{team_id}/members/{user_id}`.
pub async fn change_role(
    member: Authorized<ChangeRole, Actor>,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<NewRole>,
) -> Result<Success<TeamMember>, ApiError> {
    let NewRole { role } = body.read().await?;
    let (team, user) = (member.resource.team_id, member.resource.user_id);
    // Nobody gives more than they could take away again.
    let target = Target::Member { team_id: team, user_id: user, role: role.max(member.resource.role) };
    member.may(&state, Action::ChangeRole, target)?;
    member.note(&req, "role", role.as_str());
    let present = member.resource.role;
    let store = member.store(&state);
    let changed = changing(&state, move |_| {
        store.change_role(team, user, present, role)?;
        let facts = store.member_facts(team)?;
        facts.into_iter().find(|facts| facts.user_id == user).ok_or(StoreError::NotFound("member"))
    });
    Ok(Success::new(changed.await?.into(), state.clock.now()))
}

/// `DELETE /api/teams/{team_id}/members/{user_id}`.
pub async fn remove_member(
    member: Authorized<RemoveMember, Actor>,
    state: web::Data<AppState>,
) -> Result<NoContent, ApiError> {
    let (team, user, role) = (member.resource.team_id, member.resource.user_id, member.resource.role);
    let now = state.clock.reading().steady;
    let store = member.store(&state);
    changing(&state, move |_| store.end_membership(team, user, role, now)).await?;
    Ok(NoContent)
}

/// `POST /api/teams/{team_id}/leave`.
pub async fn leave(
    team: Authorized<ReadTeam, Person>,
    req: HttpRequest,
    state: web::Data<AppState>,
) -> Result<NoContent, ApiError> {
    let (id, user, now) = (team.resource.id, team.caller.user.id, state.clock.reading().steady);
    audit::begin_in_team(&req, team.caller.audit_actor(), id);
    let store = team.store(&state);
    changing(&state, move |_| store.remove_member(id, user, now)).await?;
    Ok(NoContent)
}

/// `POST /api/teams/{team_id}/transfer`.
pub async fn transfer(
    team: Authorized<TransferTeam, Person>,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<NewOwner>,
) -> Result<NoContent, ApiError> {
    let NewOwner { user_id } = body.read().await?;
    let Ok(to) = user_id.parse::<UserId>() else {
        return Err(ApiError::unprocessable([("user_id".to_owned(), "Name a member of the team".to_owned())].into()));
    };
    team.note(&req, "to", &user_id);
    let (id, from) = (team.resource.id, team.caller.user.id);
    let store = team.store(&state);
    changing(&state, move |_| store.transfer_team(id, from, to)).await?;
    Ok(NoContent)
}

/// A new team.
#[derive(Deserialize, ToSchema)]
pub struct NewTeam {
    /// Its name.
    #[schema(examples("Studio"))]
    name: String,
}

/// What is to change of a team.
#[derive(Deserialize, ToSchema)]
pub struct TeamEdit {
    /// Another name.
    #[schema(examples("Studio"))]
    name: Option<String>,
    /// Who may create personal keys that reach the team from now on.
    #[schema(value_type = Option<PolicyName>)]
    key_policy: Option<KeyPolicy>,
}

/// Another role.
#[derive(Deserialize, ToSchema)]
pub struct NewRole {
    #[schema(value_type = RoleName)]
    role: Role,
}

/// Who the team is handed to.
#[derive(Deserialize, ToSchema)]
pub struct NewOwner {
    /// A member of the team. Whoever hands it over becomes an admin.
    #[schema(value_type = Id)]
    user_id: String,
}

/// A team.
#[derive(Debug, Serialize, ToSchema)]
pub struct TeamFacts {
    id: Id,
    /// The name people see.
    #[schema(examples("Studio"))]
    name: String,
    plan: PlanName,
    /// The role of whoever asks; that of a key is the role of its owner.
    role: RoleName,
    /// Who may create personal keys that reach the team.
    key_policy: PolicyName,
    created_at: Instant,
}

impl TeamFacts {
    fn new(team: Team, role: Role) -> Self {
        Self {
            id: team.id.into(),
            name: team.name,
            plan: PlanName(team.plan),
            role: RoleName(role),
            key_policy: PolicyName(team.key_policy),
            created_at: Instant(team.created_at),
        }
    }
}

/// The members of a team, the longest standing first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Members {
    members: Vec<TeamMember>,
}

/// A member of a team.
#[derive(Debug, Serialize, ToSchema)]
pub struct TeamMember {
    user_id: Id,
    /// The address.
    #[schema(examples("editor@example.com"))]
    email: String,
    /// The name people see.
    #[schema(examples("Ada"))]
    name: String,
    role: RoleName,
    joined_at: Instant,
    /// How many keys of theirs can reach the team.
    #[schema(examples(2))]
    keys: u64,
}

impl From<MemberFacts> for TeamMember {
    fn from(member: MemberFacts) -> Self {
        Self {
            user_id: member.user_id.into(),
            email: member.email,
            name: member.name,
            role: RoleName(member.role),
            joined_at: Instant(member.joined_at),
            keys: member.keys,
        }
    }
}
