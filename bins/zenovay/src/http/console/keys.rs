//! API keys: one's own, those of a team, and what they are used for.

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zenovay_auth::{Denial, KEY_NAME_MAX_CHARS, KeyFormat, KeyKind, KeyRefusal};
use zenovay_domain::{KeyId, Scope, Scopes, TeamId, UserId, WebsiteId, has_hidden};
use zenovay_store::{ActivityCounts, KeyEdit, KeyRecord, KeyRequest, Metadata, NewKey, StoreError};

use super::{Created, JsonBody, NoContent, Rules, present, refused};
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{AccessRefusal, Actor, Authorized, ManageKeys, ManageOwnKeys, ManageTeamKeys, Person};
use crate::http::lookups::{blocking, off_the_worker};
use crate::http::state::AppState;
use crate::http::values::{Id, Instant, KeyKindName, ScopeName};

/// `GET /api/account/keys`.
pub async fn own(
    person: Authorized<ManageOwnKeys, Person>,
    state: web::Data<AppState>,
) -> Result<Success<Keys>, ApiError> {
    let user = person.caller.user.id;
    let keys = blocking(&state, move |state| state.store.keys_of_user(user)).await?;
    Ok(Success::new(Keys::new(keys), state.clock.now()))
}

/// `POST /api/account/keys`.
pub async fn create_own(
    person: Authorized<ManageOwnKeys, Person>,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<NewOwnKey>,
) -> Result<Created<CreatedKey>, ApiError> {
    let NewOwnKey { name, scopes, team_ids, website_ids } = body.read().await?;
    let mut rules = Rules::default();
    let draft = Draft {
        name: key_name(&mut rules, &name),
        scopes: scopes_of(&mut rules, scopes),
        team_ids: ids(&mut rules, "team_ids", team_ids),
        website_ids: ids(&mut rules, "website_ids", website_ids),
    };
    rules.check()?;
    let teams = &person.caller.signed_in.teams;
    if !teams.is_empty() && teams.iter().all(|team| !state.plans.has_api(team.plan)) {
        return Err(AccessRefusal::from(Denial::PlanRequired).into());
    }
    person.note(&req, "name", &draft.name);
    person.note(&req, "scopes", &draft.scopes.to_string());
    // Owners read of each key that comes to reach their team.
    for team in teams {
        if draft.team_ids.as_ref().is_none_or(|ids| ids.contains(&team.team_id)) {
            person.concerns(&req, team.team_id);
        }
    }
    let user = person.caller.user.id;
    create(&state, person.store(&state), &req, draft, KeyKind::Personal(user), Some(user)).await
}

/// `GET /api/teams/{team_id}/keys`.
pub async fn of_team(
    team: Authorized<ManageTeamKeys, Actor>,
    state: web::Data<AppState>,
) -> Result<Success<Keys>, ApiError> {
    let id = team.resource.id;
    let keys = blocking(&state, move |state| state.store.keys_of_team(id)).await?;
    Ok(Success::new(Keys::new(keys), state.clock.now()))
}

/// `POST /api/teams/{team_id}/keys`.
pub async fn create_of_team(
    team: Authorized<ManageTeamKeys, Actor>,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<NewTeamKey>,
) -> Result<Created<CreatedKey>, ApiError> {
    let NewTeamKey { name, scopes, website_ids } = body.read().await?;
    let mut rules = Rules::default();
    let draft = Draft {
        name: key_name(&mut rules, &name),
        scopes: scopes_of(&mut rules, scopes),
        team_ids: None,
        website_ids: ids(&mut rules, "website_ids", website_ids),
    };
    rules.check()?;
    if !state.plans.has_api(team.resource.plan) {
        return Err(AccessRefusal::from(Denial::PlanRequired).into());
    }
    may_give(&team.caller, draft.scopes)?;
    team.note(&req, "name", &draft.name);
    let by = match &team.caller {
        Actor::Person(person) => Some(person.user.id),
        Actor::Key(key) => match key.credential.kind {
            KeyKind::Personal(owner) => Some(owner),
            KeyKind::Workspace(_) => None,
        },
    };
    create(&state, team.store(&state), &req, draft, KeyKind::Workspace(team.resource.id), by).await
}

/// A key makes no key that may do more than itself.
fn may_give(actor: &Actor, scopes: Scopes) -> Result<(), AccessRefusal> {
    let Actor::Key(key) = actor else { return Ok(()) };
    match scopes.iter().find(|scope| !key.credential.scopes.grants(*scope)) {
        Some(scope) => Err(Denial::MissingScope(scope).into()),
        None => Ok(()),
    }
}

async fn create(
    state: &web::Data<AppState>,
    store: Arc<dyn Metadata>,
    req: &HttpRequest,
    draft: Draft,
    kind: KeyKind,
    created_by: Option<UserId>,
) -> Result<Created<CreatedKey>, ApiError> {
    let token = KeyFormat::ZENOVAY.generate_with(&mut *state.random.lock());
    let id = KeyId::from_random_bytes(state.random_bytes());
    let (now, held) = (state.clock.reading().steady, token.clone());
    let record = changing_keys(state, move |_| {
        let Draft { name, scopes, team_ids, website_ids } = draft;
        let mut new = NewKey::new(id, &held, kind, &name, scopes);
        (new.created_by, new.team_ids, new.website_ids) = (created_by, team_ids, website_ids);
        store.create_key(&new, now)
    });
    let key = KeyFacts::from(record.await?);
    crate::http::audit::note(req, "prefix", token.prefix());
    let created = CreatedKey { facts: key, key: token.expose().to_owned() };
    Ok(Created::at(format!("/api/keys/{id}"), created, state.clock.now()))
}

/// As [`changing`](super::changing), with the rules about keys told by the field that breaks them.
async fn changing_keys<T: Send + 'static>(
    state: &web::Data<AppState>,
    work: impl FnOnce(&AppState) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ApiError> {
    let refused_key = |error| {
        let rule = match &error {
            StoreError::KeyRefused(KeyRefusal::NoTeam) => Some(("team_ids", "Name at least one team")),
            StoreError::KeyRefused(KeyRefusal::NoWebsite) => Some(("website_ids", "Name at least one website")),
            _ => None,
        };
        match rule {
            Some((field, problem)) => ApiError::unprocessable([(field.to_owned(), problem.to_owned())].into()),
            None => refused(error),
        }
    };
    off_the_worker(state, move |state| work(state).map_err(refused_key)).await
}

/// `GET /api/keys/{key_id}`.
pub async fn show(
    key: Authorized<ManageKeys, Actor>,
    state: web::Data<AppState>,
) -> Result<Success<KeyFacts>, ApiError> {
    Ok(Success::new(key.resource.into(), state.clock.now()))
}

/// `PATCH /api/keys/{key_id}`.
pub async fn edit(
    key: Authorized<ManageKeys, Actor>,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<EditedKey>,
) -> Result<Success<KeyFacts>, ApiError> {
    let EditedKey { name, scopes, team_ids, website_ids } = body.read().await?;
    let mut rules = Rules::default();
    let mut edit = KeyEdit::default();
    edit.name = name.map(|name| key_name(&mut rules, &name));
    edit.scopes = scopes.map(|scopes| scopes_of(&mut rules, Some(scopes)));
    edit.team_ids = team_ids.map(|list| ids(&mut rules, "team_ids", list));
    edit.website_ids = website_ids.map(|list| ids(&mut rules, "website_ids", list));
    rules.check()?;
    // Also when only its reach changes: a weak key does not lead a strong one elsewhere.
    may_give(&key.caller, edit.scopes.unwrap_or(key.resource.scopes))?;
    if let Some(name) = &edit.name {
        key.note(&req, "name", name);
    }
    if let Some(scopes) = edit.scopes {
        key.note(&req, "scopes", &scopes.to_string());
    }
    concerns_teams(&key, &req);
    let id = key.resource.id;
    let store = key.store(&state);
    let edited = changing_keys(&state, move |_| store.edit_key(id, &edit)).await?;
    Ok(Success::new(edited.into(), state.clock.now()))
}

/// `DELETE /api/keys/{key_id}`.
pub async fn revoke(
    key: Authorized<ManageKeys, Actor>,
    req: HttpRequest,
    state: web::Data<AppState>,
) -> Result<NoContent, ApiError> {
    key.note(&req, "name", &key.resource.name);
    key.note(&req, "prefix", &key.resource.prefix);
    concerns_teams(&key, &req);
    let (id, now) = (key.resource.id, state.clock.reading().steady);
    let store = key.store(&state);
    blocking(&state, move |_| store.revoke_key(id, now)).await?;
    Ok(NoContent)
}

/// Owners read what becomes of the personal keys that reach their team.
fn concerns_teams(key: &Authorized<ManageKeys, Actor>, req: &HttpRequest) {
    let (KeyKind::Personal(_), Actor::Person(person)) = (key.resource.kind, &key.caller) else { return };
    for team in &person.signed_in.teams {
        if key.resource.team_ids.as_ref().is_none_or(|ids| ids.contains(&team.team_id)) {
            key.concerns(req, team.team_id);
        }
    }
}

/// `GET /api/keys/{key_id}/activity`.
pub async fn activity(
    key: Authorized<ManageKeys, Actor>,
    state: web::Data<AppState>,
) -> Result<Success<KeyActivity>, ApiError> {
    let (id, now) = (key.resource.id, state.clock.reading().steady);
    let found = blocking(&state, move |state| {
        state.key_log.store(&*state.store)?;
        Ok((state.store.activity(id, now)?, state.store.key_requests(id)?))
    });
    let (activity, requests) = found.await?;
    let accepted = |counts: ActivityCounts| counts.accepted_events;
    let activity = KeyActivity {
        accepted: AcceptedEvents {
            last_24h: accepted(activity.last_24_hours),
            last_7d: accepted(activity.last_7_days),
            all: accepted(activity.all_time),
        },
        counted: CountedRequests {
            last_24h: activity.last_24_hours.requests,
            last_7d: activity.last_7_days.requests,
            all: activity.all_time.requests,
        },
        requests: requests.into_iter().map(RequestFacts::from).collect(),
    };
    Ok(Success::new(activity, state.clock.now()))
}

/// What a key is to be.
struct Draft {
    name: String,
    scopes: Scopes,
    team_ids: Option<Vec<TeamId>>,
    website_ids: Option<Vec<WebsiteId>>,
}

fn key_name(rules: &mut Rules, name: &str) -> String {
    let name = name.trim();
    if name.is_empty() {
        rules.problem("name", "Name is required");
    } else if name.chars().count() > KEY_NAME_MAX_CHARS {
        rules.problem("name", format!("Name too long (max {KEY_NAME_MAX_CHARS} characters)"));
    } else if has_hidden(name) {
        rules.problem("name", "Name has characters that cannot be seen");
    }
    name.to_owned()
}

/// Full access when nothing is said (S1).
fn scopes_of(rules: &mut Rules, scopes: Option<Vec<Scope>>) -> Scopes {
    let Some(scopes) = scopes else { return Scopes::FULL_ACCESS };
    Scopes::new(scopes).unwrap_or_else(|| {
        rules.problem("scopes", "Select at least one permission");
        Scopes::FULL_ACCESS
    })
}

fn ids<T: std::str::FromStr>(rules: &mut Rules, field: &str, list: Option<Vec<String>>) -> Option<Vec<T>> {
    let list = list?;
    let ids: Vec<T> = list.iter().filter_map(|id| id.parse().ok()).collect();
    rules.require(ids.len() == list.len(), field, "Each must be an id");
    Some(ids)
}

/// A personal key that is to be made.
#[derive(Deserialize, ToSchema)]
pub struct NewOwnKey {
    /// Its name, at most 64 characters.
    #[schema(examples("Production Integration"))]
    name: String,
    /// What it may do; full access when it is absent.
    #[serde(default)]
    #[schema(value_type = Option<Vec<ScopeName>>)]
    scopes: Option<Vec<Scope>>,
    /// The teams that it may reach; null or absent for all that its owner is in at the time.
    #[schema(value_type = Option<Vec<Id>>)]
    team_ids: Option<Vec<String>>,
    /// The websites that it may reach; null or absent for all of these teams.
    #[schema(value_type = Option<Vec<Id>>)]
    website_ids: Option<Vec<String>>,
}

/// A workspace key that is to be made.
#[derive(Deserialize, ToSchema)]
pub struct NewTeamKey {
    /// Its name, at most 64 characters.
    #[schema(examples("Nightly export"))]
    name: String,
    /// What it may do; full access when it is absent.
    #[schema(value_type = Option<Vec<ScopeName>>)]
    scopes: Option<Vec<Scope>>,
    /// The websites that it may reach; null or absent for all of the team.
    #[schema(value_type = Option<Vec<Id>>)]
    website_ids: Option<Vec<String>>,
}

/// What is to change of a key; what is absent stays.
#[derive(Deserialize, ToSchema)]
pub struct EditedKey {
    /// Another name.
    #[schema(examples("Production Integration"))]
    name: Option<String>,
    /// What it may do.
    #[schema(value_type = Option<Vec<ScopeName>>)]
    scopes: Option<Vec<Scope>>,
    /// The teams that it may reach; null for all that its owner is in at the time.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<Id>>)]
    team_ids: Option<Option<Vec<String>>>,
    /// The websites that it may reach; null for all of these teams.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<Id>>)]
    website_ids: Option<Option<Vec<String>>>,
}

/// Keys that are not revoked, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Keys {
    keys: Vec<KeyFacts>,
}

impl Keys {
    fn new(keys: Vec<KeyRecord>) -> Self {
        Self { keys: keys.into_iter().map(KeyFacts::from).collect() }
    }
}

/// A key; not its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConsoleKey)]
pub struct KeyFacts {
    id: Id,
    /// The name people see.
    #[schema(examples("Production"))]
    name: String,
    kind: KeyKindName,
    /// Its visible beginning.
    #[schema(examples("zv_k7Qd…"))]
    prefix: String,
    /// What it may do.
    scopes: Vec<ScopeName>,
    /// The team that it belongs to, if it is a workspace key.
    #[schema(required = true)]
    team_id: Option<Id>,
    /// The teams that it may reach; null for all of its owner.
    #[schema(required = true)]
    team_ids: Option<Vec<Id>>,
    /// The websites that it may reach; null for all of these teams.
    #[schema(required = true)]
    website_ids: Option<Vec<Id>>,
    created_at: Instant,
    /// When it was used last, to a minute; null when it never was.
    #[schema(required = true)]
    last_used_at: Option<Instant>,
    /// When it was revoked; null while it works.
    #[schema(required = true)]
    revoked_at: Option<Instant>,
}

impl From<KeyRecord> for KeyFacts {
    fn from(key: KeyRecord) -> Self {
        let team_id = match key.kind {
            KeyKind::Workspace(team) => Some(team.into()),
            KeyKind::Personal(_) => None,
        };
        Self {
            id: key.id.into(),
            name: key.name,
            kind: KeyKindName(key.kind),
            prefix: format!("{}…", key.prefix),
            scopes: key.scopes.iter().map(ScopeName).collect(),
            team_id,
            team_ids: key.team_ids.map(|ids| ids.into_iter().map(Id::from).collect()),
            website_ids: key.website_ids.map(|ids| ids.into_iter().map(Id::from).collect()),
            created_at: Instant(key.created_at),
            last_used_at: key.last_used_at.map(Instant),
            revoked_at: key.revoked_at.map(Instant),
        }
    }
}

/// A key that was made, with its secret, which is not shown again.
#[derive(Serialize, ToSchema)]
pub struct CreatedKey {
    #[serde(flatten)]
    facts: KeyFacts,
    /// The key itself.
    #[schema(examples("zv_0123456789abcdefghijklmnopqrstuvwxyzABCD"))]
    key: String,
}

/// What a key is used for.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyActivity {
    /// Events of batches that were accepted.
    accepted: AcceptedEvents,
    /// Requests that were counted.
    counted: CountedRequests,
    /// Its latest 100 requests, the newest first.
    requests: Vec<RequestFacts>,
}

/// Events of batches that were accepted. Periods are whole UTC hours, the running one included.
#[derive(Debug, Serialize, ToSchema)]
pub struct AcceptedEvents {
    /// In the last 24 hours.
    #[schema(examples(283))]
    last_24h: u64,
    /// In the last 7 days.
    #[schema(examples(1204))]
    last_7d: u64,
    /// Ever.
    #[schema(examples(88120))]
    all: u64,
}

/// Requests that were counted. Periods are whole UTC hours, the running one included.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountedRequests {
    /// In the last 24 hours.
    #[schema(examples(283))]
    last_24h: u64,
    /// In the last 7 days.
    #[schema(examples(1204))]
    last_7d: u64,
    /// Ever.
    #[schema(examples(30118))]
    all: u64,
}

/// A request of a key.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestFacts {
    at: Instant,
    /// Its method.
    #[schema(examples("GET"))]
    method: String,
    /// The pattern of its path.
    #[schema(examples("/api/external/v1/analytics/{website_id}"))]
    route: String,
    /// The status of the answer.
    #[schema(examples(200))]
    status: u16,
    /// How long it took, in milliseconds.
    #[schema(examples(12))]
    ms: u64,
    /// Events that were accepted; null unless it was a batch.
    #[schema(required = true, examples(100))]
    accepted: Option<u64>,
    /// Events that were rejected; null unless it was a batch.
    #[schema(required = true, examples(0))]
    rejected: Option<u64>,
}

impl From<KeyRequest> for RequestFacts {
    fn from(request: KeyRequest) -> Self {
        Self {
            at: Instant(request.at),
            method: request.method,
            route: request.route,
            status: request.status,
            ms: request.duration_ms,
            accepted: request.events.map(|(accepted, _)| accepted),
            rejected: request.events.map(|(_, rejected)| rejected),
        }
    }
}
