//! Codes and refresh tokens become tokens, and tokens are taken back (RFC 7009).

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;
use zenovay_auth::{ApiKeyToken, KeyFormat, Secret, SecretDigest, ToolScopes};
use zenovay_domain::{GrantId, Timestamp};
use zenovay_store::{Exchange, ExchangeRefusal, Issued, McpGrant, NewAuditEntry, NewTokens, StoreError};

use super::caller::Program;
use super::clients;
use super::params::{Field, Fields, Form, FromClient, Params};
use super::refusal::{OAuthError, OAuthRefusal, Refused};
use super::resource::resource_of;
use crate::http::document::{Answer, Operation};
use crate::http::envelope::ApiError;
use crate::http::handler::{Described, Shape};
use crate::http::lookups::blocking;
use crate::http::state::AppState;

/// How requests for tokens end, as the label `outcome` of `zenovay_oauth_exchanges_total`, beside the names of
/// [`ExchangeRefusal`].
pub const OUTCOMES: [&str; 4] = ["granted", "refreshed", "invalid_client", "invalid_request"];

/// The counter of an outcome.
pub fn counter(outcome: &'static str) -> metrics::Counter {
    metrics::counter!("zenovay_oauth_exchanges_total", "outcome" => outcome)
}

/// What a client gets.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tokens {
    /// What it shows at `/mcp`.
    #[schema(examples("zva_Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5o0aB3cD"))]
    access_token: String,
    /// How it is shown.
    #[schema(examples("Bearer"))]
    token_type: &'static str,
    /// For how many seconds it holds.
    #[schema(examples(3_600))]
    expires_in: i64,
    /// What it gets the next one for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("zvr_Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5o0aB3cD"))]
    refresh_token: Option<String>,
    /// What was granted, which may be less or more than was asked for.
    #[schema(examples("analytics:read management:read management:write"))]
    scope: String,
}

impl Shape for Tokens {
    fn describe(operation: &mut Operation) {
        operation.answers_json::<Self>(200, false);
    }
}

/// New tokens, of which the store gets the digests alone.
struct Drawn {
    access: ApiKeyToken,
    refresh: ApiKeyToken,
}

impl Drawn {
    fn new(state: &AppState) -> Self {
        let rng = &mut *state.random.lock();
        Self {
            access: KeyFormat::ACCESS_TOKEN.generate_with(rng),
            refresh: KeyFormat::REFRESH_TOKEN.generate_with(rng),
        }
    }

    fn digests(&self) -> NewTokens {
        NewTokens::new(self.access.digest(), self.refresh.digest())
    }

    fn tokens(self, issued: &Issued, now: Timestamp) -> Tokens {
        let gets_refresh = issued.grant.consent.client.may_refresh;
        Tokens {
            access_token: self.access.expose().to_owned(),
            token_type: "Bearer",
            expires_in: issued.expires_at.millis_since(now).div_euclid(1_000),
            refresh_token: gets_refresh.then(|| self.refresh.expose().to_owned()),
            scope: issued.scopes.to_string(),
        }
    }
}

/// What a client exchanges.
pub struct ExchangeRequest;

impl Fields for ExchangeRequest {
    const FIELDS: &'static [Field] = &[
        Field::required("grant_type", "`authorization_code` or `refresh_token`.", "authorization_code"),
        CLIENT_ID,
        CLIENT_SECRET,
        Field::optional("code", "The code.", "Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5oRiVtCkBqM"),
        Field::optional(
            "code_verifier",
            "What the challenge was made of.",
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        Field::optional("redirect_uri", "Where the code was sent.", "http://127.0.0.1:33418/callback"),
        Field::optional("refresh_token", "The refresh token.", "zvr_Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5o0aB3cD"),
        Field::optional("scope", "Of a refresh: less than was granted.", "analytics:read"),
        Field::optional("resource", "Where the tokens are to be used (RFC 8707).", "https://stats.example/mcp"),
    ];
}

const CLIENT_ID: Field = Field::optional(
    "client_id",
    "The client; needed where it is not in the header `Authorization: Basic`.",
    "https://app.example/oauth/client.json",
);
const CLIENT_SECRET: Field = Field::optional(
    "client_secret",
    "Its secret, if it has one and does not show it in the header.",
    "Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5oRiVtCkBqM",
);

/// What a client takes back.
pub struct Revocation;

impl Fields for Revocation {
    const FIELDS: &'static [Field] = &[
        Field::required("token", "An access or refresh token.", "zvr_Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5o0aB3cD"),
        CLIENT_ID,
        CLIENT_SECRET,
    ];
}

/// `POST /oauth/token`.
///
/// Whoever tries codes and tokens may do so a few times a minute. A refresh token that this process gave out is looked up in any case:
/// others behind the same address cannot use up what it needs.
pub async fn token(
    mut program: Program,
    state: web::Data<AppState>,
    form: Form<ExchangeRequest>,
) -> Result<Described<Tokens>, ApiError> {
    let sent = read(&mut program, &state, form).await?;
    if !shows_given_out(&state, &sent.params) {
        program.charge(&state).await?;
    }
    let exchanged = exchange(&state, &sent).await;
    if exchanged.is_err() {
        program.charge(&state).await?;
    }
    match exchanged {
        Ok(tokens) => {
            program.was_right(&state).await;
            let mut response = HttpResponse::Ok();
            response.insert_header((header::CACHE_CONTROL, "no-store")).insert_header((header::PRAGMA, "no-cache"));
            Ok(response.json(tokens).into())
        }
        Err(refused) => refused.respond_to_client(&sent).map(Described::from),
    }
}

/// What a client sent; what cannot be read counts as an attempt.
async fn read<F>(program: &mut Program, state: &AppState, form: Form<F>) -> Result<FromClient, ApiError> {
    match form.read_of_client().await {
        Ok(sent) => Ok(sent),
        Err(error) => program.charge(state).await.and(Err(error)),
    }
}

/// Whether the refresh token that is shown was given out here.
fn shows_given_out(state: &AppState, params: &Params) -> bool {
    let token = params.one("refresh_token").ok().flatten();
    let token = token.and_then(|token| KeyFormat::REFRESH_TOKEN.parse(token).ok());
    token.is_some_and(|token| state.oauth.refreshes.has(&token.digest()))
}

async fn exchange(state: &web::Data<AppState>, sent: &FromClient) -> Result<Tokens, Refused> {
    let (client_id, params) = (client_of(state, sent).await.inspect_err(count)?, &sent.params);
    let resource = resource_of(state, params).inspect_err(|_| counter("other_resource").increment(1))?;
    let now = state.clock.reading().steady;
    let drawn = Drawn::new(state);
    let exchanged = match params.required("grant_type").inspect_err(count_request)? {
        "authorization_code" => redeem(state, params, client_id, resource, drawn.digests(), now).await,
        "refresh_token" => refresh(state, params, client_id, resource, drawn.digests(), now).await,
        _ => {
            let words = "use authorization_code or refresh_token";
            Err(OAuthRefusal::new(OAuthError::UnsupportedGrantType, words).into())
        }
    };
    let issued = exchanged.inspect_err(count)?;
    state.oauth.refreshes.remember(drawn.refresh.digest());
    Ok(drawn.tokens(&issued, now))
}

fn count_request(_: &OAuthRefusal) {
    counter("invalid_request").increment(1);
}

/// Counts what is not counted by its own name.
fn count(refused: &Refused) {
    match refused {
        Refused::OAuth(refusal) if refusal.error == OAuthError::InvalidClient => counter("invalid_client").increment(1),
        Refused::OAuth(refusal)
            if matches!(refusal.error, OAuthError::InvalidRequest | OAuthError::UnsupportedGrantType) =>
        {
            counter("invalid_request").increment(1);
        }
        _ => {}
    }
}

/// The client that a request comes from.
async fn client_of(state: &web::Data<AppState>, sent: &FromClient) -> Result<String, Refused> {
    let (id, secret) = sent.client()?;
    if clients::is_client(state, id, secret, state.clock.reading().steady).await? {
        return Ok(id.to_owned());
    }
    let words = "the client is not known here, or its secret is wrong; register it anew";
    Err(OAuthRefusal::new(OAuthError::InvalidClient, words).into())
}

/// Counts how an exchange ended.
fn ended(result: Result<Issued, ExchangeRefusal>, well: &'static str) -> Result<Issued, Refused> {
    let outcome = match &result {
        Ok(_) => well,
        Err(refusal) => refusal.as_str(),
    };
    counter(outcome).increment(1);
    result.map_err(|refusal| OAuthRefusal::from(refusal).into())
}

async fn redeem(
    state: &web::Data<AppState>,
    params: &Params,
    client_id: String,
    resource: Option<String>,
    tokens: NewTokens,
    now: Timestamp,
) -> Result<Issued, Refused> {
    let code = params.required("code")?;
    let verifier = params.required("code_verifier")?;
    if !is_verifier(verifier) {
        return Err(
            OAuthRefusal::new(OAuthError::InvalidRequest, "code_verifier: 43 to 128 unreserved characters").into()
        );
    }
    let verifier = SecretDigest::of(verifier.as_bytes());
    let redirect_uri = params.one("redirect_uri")?.map(str::to_owned);
    let Ok(code) = Secret::parse(code) else { return ended(Err(ExchangeRefusal::Unknown), "granted") };
    let (digest, id) = (code.digest(), GrantId::from_random_bytes(state.random_bytes()));
    let redeemed = blocking(state, move |state| {
        let exchange = Exchange::new(&client_id, resource.as_deref());
        let redirect_uri = redirect_uri.as_deref();
        let redeemed = state.store.redeem_code(&digest, exchange, redirect_uri, &verifier, id, tokens, now)?;
        if let Ok(issued) = &redeemed {
            record_replaced(state, &issued.replaced, now)?;
            record(state, &issued.grant, "oauth.grant", now)?;
        }
        Ok(redeemed)
    });
    ended(redeemed.await?, "granted")
}

async fn refresh(
    state: &web::Data<AppState>,
    params: &Params,
    client_id: String,
    resource: Option<String>,
    tokens: NewTokens,
    now: Timestamp,
) -> Result<Issued, Refused> {
    let token = params.required("refresh_token")?;
    let scopes = params.one("scope")?.map(str::to_owned);
    let Ok(token) = KeyFormat::REFRESH_TOKEN.parse(token) else {
        return ended(Err(ExchangeRefusal::Unknown), "refreshed");
    };
    let digest = token.digest();
    let refreshed = blocking(state, move |state| {
        let exchange = Exchange::new(&client_id, resource.as_deref());
        let asked = |granted| scopes.as_deref().map(|scopes| asked_again(scopes, granted));
        state.store.refresh_grant(&digest, exchange, &asked, tokens, now)
    });
    ended(refreshed.await?, "refreshed")
}

/// What `scope` of a refresh means where `granted` was granted. The short names, which clients got from the metadata, stand for as
/// much of it as was granted.
fn asked_again(scope: &str, granted: ToolScopes) -> ToolScopes {
    scope.split_ascii_whitespace().fold(ToolScopes::NONE, |asked, name| {
        let named = ToolScopes::parse_lenient(name);
        asked.union(if name.contains(':') { named } else { named.intersection(granted) })
    })
}

/// Whether a string can be a verifier (RFC 7636 §4.1).
fn is_verifier(string: &str) -> bool {
    (43..=128).contains(&string.len())
        && string.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// Notes in the audit trail of the person and the team what a client got or gave back.
pub(super) fn record(state: &AppState, grant: &McpGrant, action: &str, now: Timestamp) -> Result<(), StoreError> {
    let consent = &grant.consent;
    let actor = state.store.user(consent.user_id)?.map_or_else(String::new, |user| user.email);
    let details = serde_json::json!({
        "client": consent.client.name,
        "client_id": consent.client.id,
        "scope": consent.scopes.to_string(),
    });
    let (target, details) = (format!("client {}", consent.client.name), details.to_string());
    let mut entry = NewAuditEntry::new(now, &actor, action, &target, &details);
    (entry.team_id, entry.user_id) = (Some(consent.team_id), Some(consent.user_id));
    state.store.record_audit(&entry)
}

/// Notes there the grants that a new consent took the place of.
pub(super) fn record_replaced(state: &AppState, grants: &[McpGrant], now: Timestamp) -> Result<(), StoreError> {
    grants.iter().try_for_each(|grant| record(state, grant, "oauth.replace", now))
}

/// A token that is gone.
#[derive(Debug)]
pub struct TakenBack;

impl Shape for TakenBack {
    fn describe(operation: &mut Operation) {
        operation.answer(200, Answer::new("The token holds no longer, or never did"));
    }
}

/// `POST /oauth/revoke`.
pub async fn revoke(
    mut program: Program,
    state: web::Data<AppState>,
    form: Form<Revocation>,
) -> Result<Described<TakenBack>, ApiError> {
    let sent = read(&mut program, &state, form).await?;
    program.charge(&state).await?;
    match take_back(&state, &sent).await {
        Ok(()) => {
            program.was_right(&state).await;
            Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).finish().into())
        }
        Err(refused) => refused.respond_to_client(&sent).map(Described::from),
    }
}

async fn take_back(state: &web::Data<AppState>, sent: &FromClient) -> Result<(), Refused> {
    let client_id = client_of(state, sent).await?;
    let token = sent.params.required("token")?;
    let formats = [KeyFormat::REFRESH_TOKEN, KeyFormat::ACCESS_TOKEN];
    // What was never a token needs no taking back (RFC 7009 §2.2).
    let Some(token) = formats.iter().find_map(|format| format.parse(token).ok()) else { return Ok(()) };
    let (digest, now) = (token.digest(), state.clock.reading().steady);
    let taken = blocking(state, move |state| {
        let taken = state.store.revoke_token(&digest, &client_id, now)?;
        if let Ok(Some(grant)) = &taken {
            record(state, grant, "oauth.revoke", now)?;
        }
        Ok(taken.map(drop))
    });
    taken.await?.map_err(|refusal| OAuthRefusal::from(refusal).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: let `read` stand for all that can be read, as where it was asked for first.
    #[test]
    fn short_names_never_ask_for_more_than_was_granted() {
        let granted = ToolScopes::parse_lenient("analytics:read management:write");
        let asked = |scope| asked_again(scope, granted);
        assert!(granted.covers(asked("read")) && granted.covers(asked("write")) && granted.covers(asked("read write")));
        assert_eq!(asked("write"), granted);
        assert!(!granted.covers(asked("settings:read")) && !granted.covers(asked("read advanced:read")));
        assert!(asked("offline_access").is_empty());
    }

    #[test]
    fn verifiers_have_their_length_and_letters() {
        assert!(is_verifier(&"a".repeat(43)) && is_verifier(&"~".repeat(128)));
        for wrong in [String::new(), "a".repeat(42), "a".repeat(129), "+".repeat(43), "\u{e9}".repeat(43)] {
            assert!(!is_verifier(&wrong), "{wrong}");
        }
    }
}
