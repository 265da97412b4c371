//! Clients that act for people: what they are, what they were granted, and the secrets that stand for it.

use std::fmt;

use zenovay_auth::{KeyDigest, SecretDigest, TeamAccess, ToolScopes};
use zenovay_domain::{GrantId, TeamId, Timestamp, UserId};

use crate::{Result, User};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A code can be exchanged for so many milliseconds: a minute.
pub const CODE_MS: i64 = MINUTE_MS;
/// A code that comes a second time within so many milliseconds ends what it was exchanged for: a day.
pub const CODE_REMEMBERED_MS: i64 = DAY_MS;
/// An access token holds for so many milliseconds: an hour.
pub const ACCESS_TOKEN_MS: i64 = HOUR_MS;
/// A refresh token holds for so many milliseconds: 30 days. Each use of one begins another.
pub const REFRESH_TOKEN_MS: i64 = 30 * DAY_MS;
/// A refresh token that was used may be used again for so many milliseconds: 30 minutes. Clients whose parts share one, and
/// those that lost the answer, need it.
pub const REFRESH_GRACE_MS: i64 = 30 * MINUTE_MS;
/// A grant ends after so many milliseconds, however often it is refreshed: 180 days.
pub const GRANT_MS: i64 = 180 * DAY_MS;
/// A client that registered itself and was granted nothing is forgotten after so many milliseconds: a day.
pub const UNUSED_CLIENT_MS: i64 = DAY_MS;
/// A client that was granted nothing makes room for others after so many milliseconds: 15 minutes.
pub const UNUSED_CLIENT_KEPT_MS: i64 = 15 * MINUTE_MS;
/// The most clients that are registered and were granted nothing.
pub const UNUSED_CLIENTS_MAX: usize = 1_000;
/// The most refresh tokens that a grant gets from the first use of one on while that one is used again. Parts of a client that share a
/// token, or do not keep the next one, need a few.
pub const REFRESHES_IN_GRACE_MAX: u32 = 20;
/// The most codes of an account that are remembered; of more the oldest are forgotten.
pub const CODES_MAX: usize = 100;
/// The most grants of an account; of more the one that was not used for the longest time ends.
pub const GRANTS_MAX: usize = 100;
/// The most tokens of each kind that a grant has; of more the oldest end.
pub const TOKENS_MAX: usize = 1_000;

/// A client that registered itself.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisteredClient {
    /// Its id, which is public.
    pub id: String,
    /// What it calls itself.
    pub name: String,
    /// Where people may be sent back to.
    pub redirect_uris: Vec<String>,
    /// The digest of its secret, if it has one.
    pub secret: Option<SecretDigest>,
    /// The digest of what it reads and deletes its registration with.
    pub management: SecretDigest,
    /// Whether it wants refresh tokens.
    pub may_refresh: bool,
    /// When it registered.
    pub created_at: Timestamp,
    /// Whether it asked to show its secret in a header, where it has one.
    pub secret_in_header: bool,
}

impl RegisteredClient {
    /// A client without a secret, which wants refresh tokens.
    pub fn new(id: String, name: String, redirect_uris: Vec<String>, management: SecretDigest, at: Timestamp) -> Self {
        Self {
            id,
            name,
            redirect_uris,
            secret: None,
            management,
            may_refresh: true,
            created_at: at,
            secret_in_header: false,
        }
    }
}

impl fmt::Debug for RegisteredClient {
    /// Without the digests.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisteredClient").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// A client, as the people see it who let it act for them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantClient {
    /// Its id: the address of its metadata, or what it was given when it registered.
    pub id: String,
    /// What it calls itself.
    pub name: String,
    /// The host of its metadata; `None` when it registered itself.
    pub host: Option<String>,
    /// Where people are sent back to, in words: a host, or the scheme of a program on their machine.
    pub redirect_host: String,
    /// Whether it gets refresh tokens.
    pub may_refresh: bool,
}

impl GrantClient {
    /// A client with all that people see of it.
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        host: Option<String>,
        redirect_host: impl Into<String>,
        may_refresh: bool,
    ) -> Self {
        Self { id: id.into(), name: name.into(), host, redirect_host: redirect_host.into(), may_refresh }
    }
}

/// What a person agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Consent {
    /// The person.
    pub user_id: UserId,
    /// The team in which the client may act.
    pub team_id: TeamId,
    /// The client.
    pub client: GrantClient,
    /// What it may do.
    pub scopes: ToolScopes,
    /// Where its tokens are taken, and nowhere else.
    pub resource: String,
}

impl Consent {
    /// What this person agreed to: that the client may do this in the team, with tokens for `resource`.
    pub fn new(
        user_id: UserId,
        team_id: TeamId,
        client: GrantClient,
        scopes: ToolScopes,
        resource: impl Into<String>,
    ) -> Self {
        Self { user_id, team_id, client, scopes, resource: resource.into() }
    }
}

/// A code on its way to a client.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewCode {
    /// The digest of the code.
    pub digest: SecretDigest,
    /// What it stands for.
    pub consent: Consent,
    /// Where it is sent.
    pub redirect_uri: String,
    /// The SHA-256 of the verifier.
    pub challenge: SecretDigest,
}

impl NewCode {
    /// A code that stands for `consent`.
    pub fn new(
        digest: SecretDigest,
        consent: Consent,
        redirect_uri: impl Into<String>,
        challenge: SecretDigest,
    ) -> Self {
        Self { digest, consent, redirect_uri: redirect_uri.into(), challenge }
    }
}

/// What a client shows for tokens, beside the code or the refresh token itself. It has been checked who the client is.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Exchange<'a> {
    /// The client.
    pub client_id: &'a str,
    /// Where it wants to use the tokens; `None` where the grant says.
    pub resource: Option<&'a str>,
}

impl<'a> Exchange<'a> {
    /// What this client shows.
    pub const fn new(client_id: &'a str, resource: Option<&'a str>) -> Self {
        Self { client_id, resource }
    }
}

/// Tokens to be handed to a client if the exchange succeeds.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct NewTokens {
    /// The access token.
    pub access: KeyDigest,
    /// The refresh token, for a client that gets one.
    pub refresh: KeyDigest,
}

impl NewTokens {
    /// These two.
    pub const fn new(access: KeyDigest, refresh: KeyDigest) -> Self {
        Self { access, refresh }
    }
}

/// What a client got.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Issued {
    /// The grant.
    pub grant: McpGrant,
    /// What the access token may be used for.
    pub scopes: ToolScopes,
    /// Until when the access token holds.
    pub expires_at: Timestamp,
    /// The grants that ended because this one takes their place.
    pub replaced: Vec<McpGrant>,
}

impl Issued {
    /// An access token of `grant`, which takes no other's place.
    pub const fn new(grant: McpGrant, scopes: ToolScopes, expires_at: Timestamp) -> Self {
        Self { grant, scopes, expires_at, replaced: Vec::new() }
    }
}

/// Why a client gets no tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeRefusal {
    /// There is no such code or token, or what it stood for has ended.
    #[error("it is not known, or has ended")]
    Unknown,
    /// It is too old.
    #[error("it has expired")]
    Expired,
    /// It was used before: whoever shows it has a copy. Everything that came of it has ended.
    #[error("it was used before; what it stood for has ended")]
    Reused,
    /// It was used before, and again and again since then. What it stood for goes on with the tokens that took its place.
    #[error("it was used too often; use the refresh token that took its place")]
    UsedTooOften,
    /// It belongs to another client.
    #[error("it was issued to another client")]
    OtherClient,
    /// The code was sent to another address.
    #[error("redirect_uri is not the one of the authorization request")]
    OtherRedirect,
    /// The verifier does not belong to the challenge.
    #[error("code_verifier does not belong to the code_challenge")]
    WrongVerifier,
    /// It holds for another resource.
    #[error("resource is not the one that was granted")]
    OtherResource,
    /// More is wanted than was granted.
    #[error("scope asks for more than was granted")]
    ScopeTooWide,
}

impl ExchangeRefusal {
    /// All refusals.
    pub const ALL: [Self; 9] = [
        Self::Unknown,
        Self::Expired,
        Self::Reused,
        Self::UsedTooOften,
        Self::OtherClient,
        Self::OtherRedirect,
        Self::WrongVerifier,
        Self::OtherResource,
        Self::ScopeTooWide,
    ];

    /// A name for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Reused => "reused",
            Self::UsedTooOften => "used_too_often",
            Self::OtherClient => "other_client",
            Self::OtherRedirect => "other_redirect",
            Self::WrongVerifier => "wrong_verifier",
            Self::OtherResource => "other_resource",
            Self::ScopeTooWide => "scope_too_wide",
        }
    }
}

/// What a client may do for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct McpGrant {
    /// Its id.
    pub id: GrantId,
    /// What the person agreed to.
    pub consent: Consent,
    /// When the client got its first tokens.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When the client used it last, to a minute.
    pub last_used_at: Option<Timestamp>,
    /// How many queries it made in the UTC day in which it was asked for.
    pub queries_today: u64,
}

impl McpGrant {
    /// A grant that was not used yet.
    pub const fn new(id: GrantId, consent: Consent, created_at: Timestamp, expires_at: Timestamp) -> Self {
        Self { id, consent, created_at, expires_at, last_used_at: None, queries_today: 0 }
    }
}

/// What an access token stands for now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantedAccess {
    /// The grant.
    pub grant: McpGrant,
    /// What this token may be used for.
    pub scopes: ToolScopes,
    /// Until when it holds.
    pub expires_at: Timestamp,
    /// Whose grant it is.
    pub user: User,
    /// The team of the grant, with its plan and the person's role now.
    pub team: TeamAccess,
}

impl GrantedAccess {
    /// What a token of `grant` stands for, in the team as the user is in it now.
    pub const fn new(grant: McpGrant, scopes: ToolScopes, expires_at: Timestamp, user: User, team: TeamAccess) -> Self {
        Self { grant, scopes, expires_at, user, team }
    }
}

/// Clients that act for people. Grants and codes go with the membership of the person in the team, and a new password of the
/// person ends them.
pub trait GrantStore: Send + Sync {
    /// Registers a client at its `created_at`. When [`UNUSED_CLIENTS_MAX`] are registered that were granted nothing, those that
    /// are older than [`UNUSED_CLIENT_KEPT_MS`] make room, the oldest first.
    ///
    /// # Errors
    ///
    /// `Conflict("client")` when there is no room, or when the id is taken.
    fn register_client(&self, client: &RegisteredClient) -> Result<()>;

    /// The client `id`; `None` also when it was granted nothing within [`UNUSED_CLIENT_MS`].
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn registered_client(&self, id: &str, now: Timestamp) -> Result<Option<RegisteredClient>>;

    /// Forgets a client with everything that it was granted, also on a full disk. `false` when there is none.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn delete_client(&self, id: &str) -> Result<bool>;

    /// Keeps a code at `now`, which holds for [`CODE_MS`], and forgets those of the person beyond [`CODES_MAX`].
    ///
    /// The person says anew what the client may do in the team. So grants of the client for them there, and codes that
    /// it has not exchanged, are left with what both they and this one allow, whether it exchanges this one or not; where that is
    /// nothing, they end. Returns the grants that ended.
    ///
    /// # Errors
    ///
    /// `NotFound("member")` when the person is not in the team.
    fn create_code(&self, code: &NewCode, now: Timestamp) -> Result<Vec<McpGrant>>;

    /// Exchanges a code for a grant with the id `id` and its first tokens, where `redirect_uri`, when it is told, is the one that
    /// the code was sent to; of two at the same time one does. A code that was exchanged before ends the grant that it became, when
    /// it comes with all that it could have been exchanged with; to whoever has the code alone it is worth nothing.
    ///
    /// Grants before it, of the same person and team, end where the client registered itself: it is the same installation. Those of a
    /// client that is known by its metadata may be of another one, which goes on.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store). Why a client gets nothing is not an error of the store.
    #[expect(clippy::too_many_arguments, reason = "what an exchange needs")]
    fn redeem_code(
        &self,
        code: &SecretDigest,
        exchange: Exchange<'_>,
        redirect_uri: Option<&str>,
        verifier: &SecretDigest,
        id: GrantId,
        tokens: NewTokens,
        now: Timestamp,
    ) -> Result<Result<Issued, ExchangeRefusal>>;

    /// Exchanges a refresh token for new tokens, with what `scopes` makes of what was granted, or all of it. A token that was used before may be
    /// used for [`REFRESH_GRACE_MS`], until the grant has got [`REFRESHES_IN_GRACE_MAX`] refresh tokens since its first use; later it ends
    /// the grant. Nothing is used up by a request that is refused.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store). Why a client gets nothing is not an error of the store.
    fn refresh_grant(
        &self,
        refresh: &KeyDigest,
        exchange: Exchange<'_>,
        scopes: &dyn Fn(ToolScopes) -> Option<ToolScopes>,
        tokens: NewTokens,
        now: Timestamp,
    ) -> Result<Result<Issued, ExchangeRefusal>>;

    /// What an access token stands for at `now`, read anew each time.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn access(&self, token: &KeyDigest, now: Timestamp) -> Result<Option<GrantedAccess>>;

    /// Counts so many queries in the UTC day of `now`, of which there may be none, and notes that the grant was used. As durable
    /// as [`charge_request`](crate::UsageStore::charge_request). A grant that has ended is passed over, and so is a full disk.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn note_grant_call(&self, id: GrantId, queries: u64, now: Timestamp) -> Result<()>;

    /// The grants of a person, the one that was used last first.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn grants_of(&self, user: UserId, now: Timestamp) -> Result<Vec<McpGrant>>;

    /// Ends a grant of a person, also on a full disk, and codes that its client has not exchanged for the same team. When this
    /// returns, no process takes any of them.
    ///
    /// # Errors
    ///
    /// `NotFound("grant")`.
    fn revoke_grant(&self, user: UserId, id: GrantId) -> Result<()>;

    /// Takes back a token of a client (RFC 7009), also on a full disk: with a refresh token its whole grant, which is returned,
    /// with an access token that alone. A token that is not there is passed over. One that another client has stays as it is, and is
    /// [`ExchangeRefusal::OtherClient`].
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store). Why a client takes nothing back is not an error of the store.
    fn revoke_token(
        &self,
        token: &KeyDigest,
        client_id: &str,
        now: Timestamp,
    ) -> Result<Result<Option<McpGrant>, ExchangeRefusal>>;

    /// Forgets clients, codes, grants and tokens that are over.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn forget_grants_that_are_over(&self, now: Timestamp) -> Result<()>;
}
