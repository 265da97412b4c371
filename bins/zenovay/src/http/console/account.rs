//! One's own account: what it is called, its password, its sessions, and what is stored of it.

use actix_web::http::header::{CONTENT_DISPOSITION, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use zenovay_auth::{PasswordHash, SecretDigest, SignInStage, verify_password};
use zenovay_domain::{SignInId, Timestamp, UserId, Zone};
use zenovay_ingest::parse_agent;
use zenovay_store::{Session, StoreError, Theme};
use zeroize::Zeroizing;

use super::session::{Ground, SessionUser, failed, refuse_when_paused, start};
use super::{JsonBody, NoContent, Rules, changing, present};
use crate::http::audit;
use crate::http::document::{Answer, Operation};
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{Authorized, ManageAccount, Person};
use crate::http::handler::{Described, Shape};
use crate::http::lookups::blocking;
use crate::http::state::AppState;
use crate::http::values::{Id, Instant, ThemeName};

/// `GET /api/account`.
pub async fn show(
    person: Authorized<ManageAccount, Person>,
    state: web::Data<AppState>,
) -> Result<Success<Account>, ApiError> {
    let user = person.caller.user.id;
    account(&state, user).await
}

async fn account(state: &web::Data<AppState>, user: UserId) -> Result<Success<Account>, ApiError> {
    let found = blocking(state, move |state| {
        let row = state.store.user(user)?.ok_or(StoreError::NotFound("user"))?;
        Ok((row, state.store.profile(user)?, state.store.sign_in_means(user)?))
    });
    let (row, profile, means) = found.await?;
    let account = Account {
        created_at: Instant(row.created_at),
        backup_codes: means.backup_codes,
        user: SessionUser::new(&row, profile, means),
    };
    Ok(Success::new(account, state.clock.now()))
}

/// `PATCH /api/account`.
pub async fn edit(
    person: Authorized<ManageAccount, Person>,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<AccountEdit>,
) -> Result<Success<Account>, ApiError> {
    let AccountEdit { name, email, password, locale, theme, time_zone, single_keys } = body.read().await?;
    let mut rules = Rules::default();
    let name = name.map(|name| rules.name("name", &name));
    let email = email.map(|email| rules.email("email", &email));
    let email = email.filter(|email| *email != person.caller.user.email);
    if let Some(Some(locale)) = &locale {
        let is_tag = locale.len() <= 35
            && locale
                .split('-')
                .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        rules.require(is_tag, "locale", "Write a language tag such as en-GB");
    }
    if let Some(Some(zone)) = &time_zone {
        rules.require(zone.parse::<Zone>().is_ok(), "time_zone", "Write a time zone such as Europe/Vienna");
    }
    rules.require(email.is_none() || password.is_some(), "password", "Another address needs the password");
    rules.check()?;
    if let Some(password) = password.filter(|_| email.is_some()) {
        confirm(&state, &person.caller, Zeroizing::new(password)).await?;
    }
    if let Some(email) = &email {
        person.note(&req, "email", email);
    }
    let (user, now) = (person.caller.user.id, state.clock.reading().steady);
    let subject = SecretDigest::of(format!("taken addresses for {user}").as_bytes());
    if email.is_some() {
        blocking(&state, move |state| Ok(refuse_when_paused(&*state.store, &subject, now))).await??;
    }
    let store = person.store(&state);
    changing(&state, move |state| {
        if name.is_some() || email.is_some() {
            let edited = store.edit_user(user, &mut |row| {
                if let Some(email) = &email {
                    row.email.clone_from(email);
                }
                if let Some(name) = &name {
                    row.name.clone_from(name);
                }
                Ok(())
            });
            if matches!(edited, Err(StoreError::Conflict(_))) {
                state.store.note_failure(&subject, now)?;
            }
            edited?;
        }
        let before = state.store.profile(user)?;
        let mut profile = before.clone();
        profile.locale = locale.unwrap_or(profile.locale);
        profile.theme = theme.unwrap_or(profile.theme);
        profile.time_zone = time_zone.unwrap_or(profile.time_zone);
        profile.single_keys = single_keys.unwrap_or(profile.single_keys);
        if profile == before { Ok(()) } else { store.set_profile(user, &profile) }
    })
    .await?;
    account(&state, user).await
}

/// Asks once more for the password of whoever is signed in, before something that a stolen session must not do. Wrong ones
/// are counted like those of signing in, but by session: a stranger who guesses keeps nobody out who is in already, and a
/// stolen session keeps out nobody but itself.
///
/// # Errors
/// A 401 that says how many tries are left, or a 429.
pub(super) async fn confirm(
    state: &web::Data<AppState>,
    person: &Person,
    password: Zeroizing<String>,
) -> Result<(), ApiError> {
    let subject = SecretDigest::of(format!("password in session {}", person.session).as_bytes());
    let hash = person.user.password_hash.clone();
    let (checking, now) = (state.clone(), state.clock.reading().steady);
    state
        .hashing
        .run(move || {
            refuse_when_paused(&*checking.store, &subject, now)?;
            if verify_password(&password, Some(&hash)) {
                checking.store.forget_failures(&subject)?;
                Ok(())
            } else {
                Err(failed(&checking, &subject, "That is not your password.", now)?)
            }
        })
        .await
}

/// `PUT /api/account/password`.
pub async fn change_password(
    person: Authorized<ManageAccount, Person>,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<PasswordChange>,
) -> Result<NoContent, ApiError> {
    let PasswordChange { current, new } = body.read().await?;
    let mut rules = Rules::default();
    rules.password("new", &new);
    rules.check()?;
    confirm(&state, &person.caller, Zeroizing::new(current)).await?;
    let hash: PasswordHash = state.hashing.hash(&state, Zeroizing::new(new)).await?;
    let (user, now) = (person.caller.user.id, state.clock.reading().steady);
    // Also this one: what was seen of it is worth nothing from now on.
    let (store, ground) = (person.store(&state), Ground::Password(hash.clone()));
    changing(&state, move |_| store.change_password(user, &hash, None)).await?;
    start(&req, &state, user, SignInStage::Complete, ground, now).await?;
    Ok(NoContent)
}

/// `GET /api/account/sessions`.
pub async fn sessions(
    person: Authorized<ManageAccount, Person>,
    state: web::Data<AppState>,
) -> Result<Success<Sessions>, ApiError> {
    let (user, mine) = (person.caller.user.id, person.caller.session);
    let now = state.clock.reading().steady;
    let found = blocking(&state, move |state| state.store.sessions(user, now)).await?;
    let sessions = found.into_iter().map(|session| SessionFacts::new(session, mine)).collect();
    Ok(Success::new(Sessions { sessions }, state.clock.now()))
}

/// `DELETE /api/account/sessions`.
pub async fn end_others(
    person: Authorized<ManageAccount, Person>,
    state: web::Data<AppState>,
) -> Result<NoContent, ApiError> {
    let (user, mine) = (person.caller.user.id, person.caller.session);
    let store = person.store(&state);
    changing(&state, move |_| store.end_sessions(user, Some(mine))).await?;
    Ok(NoContent)
}

/// `DELETE /api/account/sessions/{session_id}`.
pub async fn end_one(
    person: Authorized<ManageAccount, Person>,
    req: HttpRequest,
    id: web::Path<String>,
    state: web::Data<AppState>,
) -> Result<NoContent, ApiError> {
    let not_found = || ApiError::not_found("Session not found");
    let id: SignInId = id.parse().map_err(|_malformed| not_found())?;
    let (user, store) = (person.caller.user.id, person.store(&state));
    if !changing(&state, move |_| store.end_session(user, id)).await? {
        return Err(not_found());
    }
    if id == person.caller.session {
        state.session_cookie.clear(&req);
    }
    Ok(NoContent)
}

/// `DELETE /api/account`.
pub async fn delete(
    person: Authorized<ManageAccount, Person>,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<Confirmation>,
) -> Result<NoContent, ApiError> {
    let Confirmation { password } = body.read().await?;
    confirm(&state, &person.caller, Zeroizing::new(password)).await?;
    let (user, store) = (person.caller.user.id, person.store(&state));
    for team in &person.caller.signed_in.teams {
        person.concerns(&req, team.team_id);
    }
    changing(&state, move |_| store.delete_account(user)).await?;
    audit::forget_actor(&req);
    state.session_cookie.clear(&req);
    Ok(NoContent)
}

/// How many entries of the trail are handed over.
const TRAIL_MAX: usize = 10_000;

/// `GET /api/account/export`.
pub async fn export(
    person: Authorized<ManageAccount, Person>,
    state: web::Data<AppState>,
) -> Result<Described<OwnData>, ApiError> {
    let (user, now) = (person.caller.user, state.clock.reading().steady);
    let (id, teams) = (user.id, person.caller.signed_in.teams);
    let data = blocking(&state, move |state| {
        let (profile, means) = (state.store.profile(id)?, state.store.sign_in_means(id)?);
        let mut memberships = Vec::new();
        for access in &teams {
            let name = state.store.team(access.team_id)?.map(|team| team.name);
            memberships
                .push(json!({ "team_id": access.team_id, "name": name, "role": access.role, "plan": access.plan }));
        }
        let websites: Vec<Value> = state
            .store
            .websites()?
            .iter()
            .filter(|website| teams.iter().any(|team| team.team_id == website.team_id))
            .map(|website| {
                json!({
                    "id": website.id, "domain": website.domain, "name": website.name, "team_id": website.team_id,
                    "isOwner": website.user_id == Some(id), "created_at": website.created_at.to_string(),
                })
            })
            .collect();
        let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let keys: Vec<Value> = state
            .store
            .keys_of_user(id)?
            .iter()
            .map(|key| {
                json!({
                    "id": key.id, "name": key.name, "prefix": format!("{}…", key.prefix),
                    "scopes": key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(),
                    "team_ids": key.team_ids, "website_ids": key.website_ids,
                    "created_at": at(Some(key.created_at)), "last_used_at": at(key.last_used_at),
                })
            })
            .collect();
        let sessions: Vec<Value> = state
            .store
            .sessions(id, now)?
            .iter()
            .map(|session| {
                json!({
                    "user_agent": session.agent, "created_at": session.times.created_at.to_string(),
                    "last_seen_at": session.times.last_seen_at.to_string(),
                })
            })
            .collect();
        let passkeys: Vec<Value> = state
            .store
            .passkeys(id)?
            .iter()
            .map(|passkey| {
                json!({
                    "id": passkey.id, "name": passkey.name, "created_at": at(Some(passkey.created_at)),
                    "last_used_at": at(passkey.last_used_at),
                })
            })
            .collect();
        let clients: Vec<Value> = state
            .store
            .grants_of(id, now)?
            .into_iter()
            .map(|grant| {
                json!({
                    "name": grant.consent.client.name, "client_id": grant.consent.client.id,
                    "scopes": grant.consent.scopes.names().collect::<Vec<_>>(), "team_id": grant.consent.team_id,
                    "created_at": at(Some(grant.created_at)), "expires_at": at(Some(grant.expires_at)),
                    "last_used_at": at(grant.last_used_at),
                })
            })
            .collect();
        let mut invitations = Vec::new();
        for access in &teams {
            let open = state.store.invitations(access.team_id, now)?.into_iter();
            invitations.extend(open.filter(|invitation| invitation.invited_by == user.email).map(|invitation| {
                json!({
                    "team_id": invitation.team_id, "email": invitation.email, "role": invitation.role,
                    "created_at": at(Some(invitation.created_at)), "expires_at": at(Some(invitation.expires_at)),
                })
            }));
        }
        let trail: Vec<Value> = state
            .store
            .audit_of_user(id, TRAIL_MAX)?
            .into_iter()
            .map(|entry| {
                json!({
                    "at": entry.at.to_string(), "actor": entry.actor, "action": entry.action, "target": entry.target,
                    "team_id": entry.team_id, "details": serde_json::from_str::<Value>(&entry.details).unwrap_or_default(),
                })
            })
            .collect();
        Ok(json!({
            "exported_at": now.to_string(),
            "user": {
                "id": user.id, "email": user.email, "name": user.name, "created_at": user.created_at.to_string(),
                "locale": profile.locale, "theme": profile.theme.as_str(), "time_zone": profile.time_zone,
                "single_keys": profile.single_keys,
            },
            "websites": websites,
            "teamMemberships": memberships,
            "mfa": { "totp": means.has_codes, "backup_codes_left": means.backup_codes },
            "passkeys": passkeys,
            "personalApiKeys": keys,
            "mcpClients": clients,
            "invitations": invitations,
            "sessions": sessions,
            "auditTrail": trail,
        }))
    });
    let data = data.await?;
    let text = serde_json::to_string_pretty(&data).map_err(|_never| ApiError::internal())?;
    let name = format!("zenovay-personal-data-{id}-{}.json", Zone::utc().format_date(now));
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
    let mut response = HttpResponse::Ok().content_type("application/json").body(text + "\n");
    if let Ok(disposition) = disposition {
        response.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    }
    Ok(response.into())
}

/// Everything that is stored of somebody, as one JSON file.
#[derive(Debug)]
pub struct OwnData;

impl Shape for OwnData {
    fn describe(operation: &mut Operation) {
        let schema = json!({
            "type": "object",
            "description": "Everything that is stored of the account: `user`, `websites`, `teamMemberships`, `mfa`, `passkeys`, \
                            `personalApiKeys`, `mcpClients`, `invitations`, `sessions`, `auditTrail`. Never a secret.",
            "additionalProperties": true,
            "examples": [{ "user": { "email": "owner@example.com" } }],
        });
        let answer = Answer::new("All that is stored of the account, to be saved").content("application/json", schema);
        operation.answer(200, answer);
    }
}

/// One's own account.
#[derive(Debug, Serialize, ToSchema)]
pub struct Account {
    #[serde(flatten)]
    user: SessionUser,
    created_at: Instant,
    /// How many backup codes are left.
    #[schema(examples(10))]
    backup_codes: usize,
}

/// What is to change; what is absent stays.
#[derive(Deserialize, ToSchema)]
pub struct AccountEdit {
    /// Another name.
    #[schema(examples("Ada"))]
    name: Option<String>,
    /// Another address; needs the password.
    #[schema(examples("owner@example.com"))]
    email: Option<String>,
    /// The password, for another address.
    #[schema(examples("correct horse battery staple"))]
    password: Option<String>,
    /// The language tag in which numbers and dates are written; null follows the browser.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, examples("en-GB"))]
    locale: Option<Option<String>>,
    #[serde(default, deserialize_with = "theme")]
    #[schema(value_type = Option<ThemeName>)]
    theme: Option<Theme>,
    /// The time zone of keys and accounts; null follows the browser.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, examples("Europe/Vienna"))]
    time_zone: Option<Option<String>>,
    /// Whether single keys are shortcuts.
    single_keys: Option<bool>,
}

fn theme<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Theme>, D::Error> {
    let Some(name) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let theme = Theme::ALL.into_iter().find(|theme| theme.as_str() == name);
    theme.map(Some).ok_or_else(|| serde::de::Error::custom("use one of system, light, dark"))
}

/// A new password.
#[derive(Deserialize, ToSchema)]
pub struct PasswordChange {
    /// The one so far.
    #[schema(examples("correct horse battery staple"))]
    current: String,
    /// The new one: at least 12 characters, not a common one.
    #[schema(examples("another horse battery staple"))]
    new: String,
}

/// The password once more.
#[derive(Deserialize, ToSchema)]
pub struct Confirmation {
    /// The password of whoever is signed in.
    #[schema(examples("correct horse battery staple"))]
    pub(super) password: String,
}

/// Where somebody is signed in, the session that was used last first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sessions {
    sessions: Vec<SessionFacts>,
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionFacts {
    id: Id,
    /// Whether it is the one that asks.
    current: bool,
    /// The browser; empty when it is not known.
    #[schema(examples("Firefox"))]
    browser: String,
    /// The operating system; empty when it is not known.
    #[schema(examples("Linux"))]
    os: String,
    /// `desktop`, `mobile` or `tablet`; empty when it is not known.
    #[schema(examples("desktop"))]
    device: &'static str,
    created_at: Instant,
    /// When it was used last, to a minute.
    last_seen_at: Instant,
}

impl SessionFacts {
    fn new(session: Session, mine: SignInId) -> Self {
        let agent = parse_agent(&session.agent);
        Self {
            id: session.id.into(),
            current: session.id == mine,
            browser: agent.browser,
            os: agent.os,
            device: agent.device,
            created_at: Instant(session.times.created_at),
            last_seen_at: Instant(session.times.last_seen_at),
        }
    }
}
