//! Clients that register themselves (RFC 7591), and what they may do with their registration (RFC 7592: read and delete it).

use std::borrow::Cow;

use actix_web::http::header::AUTHORIZATION;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use zenovay_auth::oauth::{check_redirect, shown_name};
use zenovay_auth::{Secret, SecretDigest};
use zenovay_domain::{ErrorCode, is_hidden};
use zenovay_store::{RegisteredClient, StoreError, UNUSED_CLIENT_KEPT_MS};

use super::caller::{Newcomer, Program};
use super::clients;
use super::refusal::{OAuthError, OAuthRefusal, Refused};
use crate::http::console::JsonBody;
use crate::http::document::{Answer, Operation};
use crate::http::envelope::{ApiError, Challenge};
use crate::http::handler::{Described, Shape};
use crate::http::lookups::blocking;
use crate::http::state::AppState;

/// The most addresses that a client may name.
const REDIRECTS_MAX: usize = 20;
/// What the id of a client that registered itself begins with.
const ID_PREFIX: &str = "zvc_";

// Members may have any type here: which of them is wrong is told in the words of the standard, and not in those of a parser.
/// What a client says of itself. What else it says is passed over.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Registration {
    /// Where people may be sent back to.
    #[serde(default)]
    #[schema(value_type = Vec<String>, required = true, examples("http://127.0.0.1/callback"))]
    redirect_uris: Value,
    /// Its name.
    #[serde(default)]
    #[schema(value_type = Option<String>, examples("My client"))]
    client_name: Value,
    /// How it shows who it is: `none`, `client_secret_post` or `client_secret_basic`. It is told what it asked for; a secret may be shown
    /// in either way.
    #[serde(default)]
    #[schema(value_type = Option<String>, examples("none"))]
    token_endpoint_auth_method: Value,
    /// What it wants to make tokens of.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, examples("authorization_code"))]
    grant_types: Value,
    /// What it wants answered.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, examples("code"))]
    response_types: Value,
}

/// A string, or nothing where none is given.
fn string(name: &str, value: Value) -> Result<Option<String>, OAuthRefusal> {
    match value {
        Value::Null => Ok(None),
        Value::String(string) => Ok(Some(string)),
        _ => Err(metadata(format!("{name}: give a string"))),
    }
}

/// Strings, or nothing where none are given.
fn strings(value: Value) -> Result<Option<Vec<String>>, ()> {
    let Value::Array(members) = value else { return if value.is_null() { Ok(None) } else { Err(()) } };
    let string = |member| if let Value::String(string) = member { Ok(string) } else { Err(()) };
    members.into_iter().map(string).collect::<Result<_, _>>().map(Some)
}

fn metadata(words: impl Into<Cow<'static, str>>) -> OAuthRefusal {
    OAuthRefusal::new(OAuthError::InvalidClientMetadata, words)
}

/// A client as it is registered.
#[derive(Debug, Serialize, ToSchema)]
pub struct Registered {
    /// Its id.
    #[schema(examples("zvc_Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5oRiVtCkBqM"))]
    client_id: String,
    /// When, in seconds since 1970.
    #[schema(examples(1_781_352_000))]
    client_id_issued_at: i64,
    /// Its secret, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5oRiVtCkBqM"))]
    client_secret: Option<String>,
    /// When the secret ends: 0 is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples(0))]
    client_secret_expires_at: Option<i64>,
    /// Its name, as people see it.
    #[schema(examples("My client"))]
    client_name: String,
    /// Where people may be sent back to.
    #[schema(examples("http://127.0.0.1/callback"))]
    redirect_uris: Vec<String>,
    /// How it shows who it is.
    #[schema(examples("none"))]
    token_endpoint_auth_method: &'static str,
    /// What it may make tokens of.
    #[schema(examples("authorization_code"))]
    grant_types: Vec<&'static str>,
    /// What it may have answered.
    #[schema(examples("code"))]
    response_types: [&'static str; 1],
    /// Where it reads and deletes its registration.
    #[schema(examples("https://stats.example/oauth/register/zvc_Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5oRiVtCkBqM"))]
    registration_client_uri: String,
    /// With what, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5oRiVtCkBqM"))]
    registration_access_token: Option<String>,
}

impl Registered {
    fn new(state: &AppState, client: &RegisteredClient) -> Self {
        let mut grant_types = vec!["authorization_code"];
        grant_types.extend(client.may_refresh.then_some("refresh_token"));
        Self {
            registration_client_uri: format!("{}/oauth/register/{}", state.issuer, client.id),
            client_id: client.id.clone(),
            client_id_issued_at: client.created_at.as_millis().div_euclid(1_000),
            client_secret: None,
            client_secret_expires_at: client.secret.map(|_| 0),
            client_name: client.name.clone(),
            redirect_uris: client.redirect_uris.clone(),
            token_endpoint_auth_method: Shows::of(client).as_str(),
            grant_types,
            response_types: ["code"],
            registration_access_token: None,
        }
    }
}

impl Shape for Registered {
    fn describe(operation: &mut Operation) {
        operation.answers_json::<Self>(200, false);
    }
}

/// A registration that was made.
#[derive(Debug)]
pub struct NewRegistration;

impl Shape for NewRegistration {
    fn describe(operation: &mut Operation) {
        operation.answers_json::<Registered>(200, false);
        if let Some(answer) = operation.answers.remove(&200) {
            operation.answer(201, answer);
        }
    }
}

/// An answer without a body.
#[derive(Debug)]
pub struct Gone;

impl Shape for Gone {
    fn describe(operation: &mut Operation) {
        operation.answer(204, Answer::new("Done"));
    }
}

/// How a client shows who it is. Whichever way it was told, the other is taken, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    Nothing,
    SecretInBody,
    SecretInHeader,
}

impl Shows {
    const ALL: [Self; 3] = [Self::Nothing, Self::SecretInBody, Self::SecretInHeader];

    const fn of(client: &RegisteredClient) -> Self {
        match (client.secret.is_some(), client.secret_in_header) {
            (false, _) => Self::Nothing,
            (true, false) => Self::SecretInBody,
            (true, true) => Self::SecretInHeader,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::SecretInBody => "client_secret_post",
            Self::SecretInHeader => "client_secret_basic",
        }
    }
}

/// What a client becomes, and how it shows who it is.
fn checked(body: Registration) -> Result<(String, Vec<String>, Shows, bool), OAuthRefusal> {
    let redirect = |words: String| OAuthRefusal::new(OAuthError::InvalidRedirectUri, words);
    let Registration { redirect_uris, client_name, token_endpoint_auth_method, grant_types, response_types } = body;
    let redirect_uris = strings(redirect_uris).ok().flatten().filter(|all| (1..=REDIRECTS_MAX).contains(&all.len()));
    let redirect_uris = redirect_uris
        .ok_or_else(|| redirect(format!("redirect_uris: give a list of 1 to {REDIRECTS_MAX} addresses")))?;
    for address in &redirect_uris {
        check_redirect(address).map_err(|error| {
            let shown: String = address.chars().filter(|c| !is_hidden(*c)).take(100).collect();
            redirect(format!("redirect_uris: {shown}: {error}"))
        })?;
    }
    let list = |name: &str, value| strings(value).map_err(|()| metadata(format!("{name}: give a list of strings")));
    let (grant_types, response_types) = (list("grant_types", grant_types)?, list("response_types", response_types)?);
    let client_name = string("client_name", client_name)?;
    let shows = match string("token_endpoint_auth_method", token_endpoint_auth_method)? {
        None => Shows::Nothing,
        Some(name) => Shows::ALL.into_iter().find(|shows| shows.as_str() == name).ok_or_else(|| {
            metadata("token_endpoint_auth_method: use none, client_secret_post or client_secret_basic")
        })?,
    };
    let has =
        |list: &Option<Vec<String>>, name: &str| list.as_ref().is_none_or(|list| list.iter().any(|one| one == name));
    if !has(&grant_types, "authorization_code") {
        return Err(metadata("grant_types: authorization_code is needed"));
    }
    if !has(&response_types, "code") {
        return Err(metadata("response_types: code is needed"));
    }
    let name = shown_name(client_name.as_deref().unwrap_or(""));
    let name = if name.is_empty() { "Unnamed client".to_owned() } else { name };
    Ok((name, redirect_uris, shows, has(&grant_types, "refresh_token")))
}

/// `POST /oauth/register`.
pub async fn register(
    _: Newcomer,
    state: web::Data<AppState>,
    body: JsonBody<Registration>,
) -> Result<Described<NewRegistration>, ApiError> {
    match add(&state, body).await {
        Ok(registered) => {
            let mut response = HttpResponse::Created();
            response.insert_header((actix_web::http::header::CACHE_CONTROL, "no-store"));
            Ok(response.json(registered).into())
        }
        Err(refused) => refused.respond().map(Described::from),
    }
}

async fn add(state: &web::Data<AppState>, body: JsonBody<Registration>) -> Result<Registered, Refused> {
    let (name, redirect_uris, shows, may_refresh) = checked(body.read().await.map_err(told)?)?;
    let (id, management) = (format!("{ID_PREFIX}{}", state.new_secret().expose()), state.new_secret());
    let secret = (shows != Shows::Nothing).then(|| state.new_secret());
    let now = state.clock.reading().steady;
    let mut client = RegisteredClient::new(id, name, redirect_uris, management.digest(), now);
    client.secret = secret.as_ref().map(Secret::digest);
    client.secret_in_header = shows == Shows::SecretInHeader;
    client.may_refresh = may_refresh;
    let stored = client.clone();
    let added = blocking(state, move |state| match state.store.register_client(&stored) {
        Err(StoreError::Conflict(_)) => Ok(false),
        other => other.map(|()| true),
    });
    if !added.await? {
        let words = "Too many clients wait to be used; try again in a quarter of an hour";
        let wait_s = UNUSED_CLIENT_KEPT_MS.unsigned_abs() / 1_000;
        return Err(ApiError::new(ErrorCode::RateLimitExceeded, words).with_retry_after(wait_s).into());
    }
    let mut registered = Registered::new(state, &client);
    registered.client_secret = secret.map(|secret| secret.expose().to_owned());
    registered.registration_access_token = Some(management.expose().to_owned());
    Ok(registered)
}

/// What is wrong with the body, in the words that clients know: which member it is was found out before.
fn told(error: ApiError) -> Refused {
    match error.code() {
        ErrorCode::ValidationError => metadata("the body: give one object of JSON, each member once").into(),
        _ => error.into(),
    }
}

/// The client of the path, for whoever shows its registration access token.
async fn own(req: &HttpRequest, state: &web::Data<AppState>, id: &str) -> Result<RegisteredClient, ApiError> {
    let wrong = || {
        ApiError::new(ErrorCode::Unauthorized, "The token of the registration does not hold")
            .with_challenge(Challenge::Invalid)
    };
    let line = req.headers().get(AUTHORIZATION).and_then(|line| line.to_str().ok()).unwrap_or("");
    let (scheme, token) = line.split_once(' ').unwrap_or_default();
    let token = Secret::parse(token).ok().filter(|_| scheme.eq_ignore_ascii_case("bearer")).ok_or_else(wrong)?;
    let found = clients::registered(state, id, state.clock.reading().steady).await?;
    let digest: SecretDigest = token.digest();
    found.filter(|client| client.management == digest).ok_or_else(wrong)
}

/// `GET /oauth/register/{client_id}`.
pub async fn show(
    _: Program,
    state: web::Data<AppState>,
    id: web::Path<String>,
    req: HttpRequest,
) -> Result<Described<Registered>, ApiError> {
    let client = own(&req, &state, &id).await?;
    Ok(HttpResponse::Ok().json(Registered::new(&state, &client)).into())
}

/// `DELETE /oauth/register/{client_id}`: with everything that the client was granted.
pub async fn delete(
    _: Program,
    state: web::Data<AppState>,
    id: web::Path<String>,
    req: HttpRequest,
) -> Result<Described<Gone>, ApiError> {
    let client = own(&req, &state, &id).await?;
    blocking(&state, move |state| state.store.delete_client(&client.id)).await?;
    Ok(HttpResponse::NoContent().finish().into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(body: Value) -> Result<(String, Vec<String>, Shows, bool), OAuthError> {
        checked(serde_json::from_value(body).unwrap()).map_err(|refusal| refusal.error)
    }

    /// What clients of today send (public issues of their projects).
    #[test]
    fn clients_of_today_can_register() {
        let cursor = json!({
            "client_name": "Cursor",
            "application_type": "web",
            "redirect_uris": [
                "cursor://anysphere.cursor-mcp/oauth/callback",
                "https://www.cursor.com/agents/mcp/oauth/callback",
                "http://localhost:8787/callback",
            ],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        let (name, redirects, shows, may_refresh) = check(cursor).unwrap();
        assert_eq!((name.as_str(), redirects.len(), shows, may_refresh), ("Cursor", 3, Shows::Nothing, true));
        let claude = json!({
            "client_name": "Claude",
            "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
            "token_endpoint_auth_method": "client_secret_post",
        });
        assert_eq!(check(claude).unwrap().2, Shows::SecretInBody);
        let least = check(json!({ "redirect_uris": ["http://127.0.0.1/"] })).unwrap();
        assert_eq!((least.0.as_str(), least.2, least.3), ("Unnamed client", Shows::Nothing, true));
    }

    #[test]
    fn other_registrations_are_refused() {
        let with = |member: &str, value: Value| {
            let mut body = json!({ "redirect_uris": ["http://127.0.0.1/"] });
            body[member] = value;
            check(body).unwrap_err()
        };
        for redirects in
            [json!([]), json!(["http://evil.example/"]), json!(["http://127.0.0.1/", "javascript:alert(1)"])]
        {
            assert_eq!(with("redirect_uris", redirects), OAuthError::InvalidRedirectUri);
        }
        assert_eq!(with("token_endpoint_auth_method", json!("private_key_jwt")), OAuthError::InvalidClientMetadata);
        assert_eq!(with("grant_types", json!(["client_credentials"])), OAuthError::InvalidClientMetadata);
        assert_eq!(with("response_types", json!(["token"])), OAuthError::InvalidClientMetadata);
    }
}
