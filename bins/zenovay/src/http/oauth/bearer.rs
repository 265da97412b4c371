//! Whose token a request shows.

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{HttpRequest, web};
use zenovay_auth::{
    AccessLevel, Action, ApiKeyToken, Denial, KeyFormat, Principal, SignedIn, Target, TeamAccess, ToolScopes, decide,
};
use zenovay_domain::{ErrorCode, GrantId, Timestamp};
use zenovay_store::{GrantedAccess, StoreError, User};

use crate::http::envelope::{ApiError, Challenge, TokenChallenge};
use crate::http::errors::credential_check_failed;
use crate::http::guard::AccessRefusal;
use crate::http::state::AppState;

/// What an access token stands for at the time of the request.
#[derive(Debug, Clone)]
pub struct McpAccess {
    /// The grant.
    pub grant: GrantId,
    /// Whose it is.
    pub user: User,
    /// The team of the grant, with its plan and the person's role now.
    pub team: TeamAccess,
    /// The person, in that team alone.
    pub signed_in: SignedIn,
    /// What the token may be used for.
    pub scopes: ToolScopes,
    /// The client.
    pub client_id: String,
    /// What the client calls itself.
    pub client_name: String,
    /// Until when the token holds.
    pub expires_at: Timestamp,
}

impl McpAccess {
    fn new(access: GrantedAccess) -> Self {
        let GrantedAccess { grant, scopes, expires_at, user, team, .. } = access;
        let client = grant.consent.client;
        Self {
            grant: grant.id,
            signed_in: SignedIn::new(user.id, vec![team]),
            user,
            team,
            scopes,
            client_id: client.id,
            client_name: client.name,
            expires_at,
        }
    }

    /// Decides whether the client may do it: what the person may do in the team of the grant, but for what no key may do
    /// either, because whoever holds a token is not known to be the person.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn may(&self, state: &AppState, action: Action, target: &Target) -> Result<(), Denial> {
        if action.scope().is_none() {
            return Err(Denial::NotForKeys);
        }
        decide(Principal::Person(&self.signed_in), action, target, &state.plans)
    }
}

/// Why a request has no access by a token.
#[derive(Debug)]
pub enum BearerRefusal {
    /// It shows nothing.
    Missing,
    /// It shows an API key.
    Key(ApiKeyToken),
    /// It shows something else, a token that nobody holds, or one that has ended.
    Invalid,
    /// The token was made for another resource than this server's.
    OtherResource,
    /// The store could not be asked.
    NotChecked(StoreError),
    /// The check ended in a panic, or this server was not put together.
    Failed,
}

/// What the header `Authorization` holds. A token in the address or in a body is not looked for.
enum Shown {
    Access(ApiKeyToken),
    Key(ApiKeyToken),
}

fn shown(headers: &HeaderMap) -> Result<Shown, BearerRefusal> {
    let mut lines = headers.get_all(AUTHORIZATION);
    let line = lines.next().ok_or(BearerRefusal::Missing)?;
    if lines.next().is_some() {
        return Err(BearerRefusal::Invalid);
    }
    let (scheme, token) = line.to_str().unwrap_or("").split_once(' ').unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(BearerRefusal::Invalid);
    }
    if let Ok(token) = KeyFormat::ACCESS_TOKEN.parse(token) {
        return Ok(Shown::Access(token));
    }
    KeyFormat::ZENOVAY.parse(token).map(Shown::Key).map_err(|_malformed| BearerRefusal::Invalid)
}

/// Looks up whose token `req` shows.
///
/// # Errors
/// When it shows none that holds now; also when it shows an API key, which is for the caller to look up.
pub async fn bearer(req: &HttpRequest) -> Result<McpAccess, BearerRefusal> {
    let state = req.app_data::<web::Data<AppState>>().cloned().ok_or(BearerRefusal::Failed)?;
    let digest = match shown(req.headers())? {
        Shown::Access(token) => token.digest(),
        Shown::Key(key) => return Err(BearerRefusal::Key(key)),
    };
    let (now, resource, span) = (state.clock.reading().steady, state.mcp_url(), tracing::Span::current());
    let found = web::block(move || span.in_scope(|| state.store.access(&digest, now))).await;
    let found = found.map_err(|_panicked| BearerRefusal::Failed)?.map_err(BearerRefusal::NotChecked)?;
    let access = found.ok_or(BearerRefusal::Invalid)?;
    if access.grant.consent.resource != resource {
        return Err(BearerRefusal::OtherResource);
    }
    Ok(McpAccess::new(access))
}

impl BearerRefusal {
    /// The reason in `zenovay_access_refusals_total`.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "no_credential",
            Self::Key(_) => "invalid_key",
            Self::Invalid | Self::OtherResource => "invalid_token",
            Self::NotChecked(_) => "store",
            Self::Failed => "failed",
        }
    }
}

/// The least that a client is told to ask for: the page of consent offers the rest.
pub(super) fn least_scope() -> &'static str {
    AccessLevel::Read.as_str()
}

/// Counts the refusal of a request to `/mcp` and makes its answer, which tells a client where to get a token. An API key that
/// comes here is not valid.
pub fn challenge(state: &AppState, refusal: BearerRefusal) -> ApiError {
    AccessRefusal::counter(refusal.reason()).increment(1);
    let with = |error, message: &'static str| {
        let challenge =
            TokenChallenge { error, metadata: state.resource_metadata_url(), scope: least_scope().to_owned() };
        ApiError::new(ErrorCode::Unauthorized, message).with_challenge(Challenge::Token(challenge))
    };
    match refusal {
        BearerRefusal::Missing => with(None, "Connect with OAuth, or show an API key"),
        BearerRefusal::Key(_) => with(Some("invalid_token"), "Invalid API key"),
        BearerRefusal::Invalid => with(Some("invalid_token"), "The token is not valid, or has ended"),
        BearerRefusal::OtherResource => with(Some("invalid_token"), "The token was made for another resource"),
        BearerRefusal::NotChecked(error) => credential_check_failed(error),
        BearerRefusal::Failed => ApiError::internal(),
    }
}

/// Counts that a client needs more than it was granted, and makes the 403 that names all that it needs, what it has included.
pub fn insufficient_scope(state: &AppState, needed: ToolScopes) -> ApiError {
    AccessRefusal::counter("missing_scope").increment(1);
    let challenge = TokenChallenge {
        error: Some("insufficient_scope"),
        metadata: state.resource_metadata_url(),
        scope: needed.to_string(),
    };
    ApiError::new(ErrorCode::Forbidden, "This was not granted to the client")
        .with_challenge(Challenge::Token(challenge))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use rand::SeedableRng;

    use super::*;

    fn seen(lines: &[&str]) -> &'static str {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(AUTHORIZATION, HeaderValue::from_str(line).unwrap());
        }
        match shown(&headers) {
            Ok(Shown::Access(_)) => "access",
            Ok(Shown::Key(_)) => "key",
            Err(refusal) => refusal.reason(),
        }
    }

    #[test]
    fn one_token_in_the_header_is_read() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let mut line = |format: KeyFormat| format!("Bearer {}", format.generate_with(&mut rng).expose());
        let (access, refresh, key) =
            (line(KeyFormat::ACCESS_TOKEN), line(KeyFormat::REFRESH_TOKEN), line(KeyFormat::ZENOVAY));
        assert_eq!(seen(&[]), "no_credential");
        assert_eq!((seen(&[&access]), seen(&[&key])), ("access", "key"));
        assert_eq!(seen(&[&access.replace("Bearer", "bEARER")]), "access");
        for wrong in
            [refresh.as_str(), &access[..access.len() - 1], &access.replace("zva", "ZVA"), "Bearer", "Basic YTpi"]
        {
            assert_eq!(seen(&[wrong]), "invalid_token", "{wrong}");
        }
        assert_eq!(seen(&[&access, &access]), "invalid_token", "it is not known which counts");
    }
}
