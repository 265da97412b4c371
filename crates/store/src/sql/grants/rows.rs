use diesel::prelude::*;
use zenovay_auth::{KeyDigest, ToolScopes};
use zenovay_domain::Timestamp;

use super::super::Conn;
use super::super::failed::Done;
use super::super::rows::{damaged, decode};
use crate::grants_schema::{oauth_codes, oauth_grants, oauth_tokens};
use crate::{Consent, GrantClient, McpGrant, Result};

const DAY_MS: i64 = 86_400_000;

/// The UTC day of an instant, counted from 1970.
pub(super) fn day_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(DAY_MS)
}

/// The bytes of a digest as a value for a statement.
pub(super) fn digest_bytes(digest: &KeyDigest) -> &[u8] {
    digest.as_bytes().as_slice()
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// It is shown with each request.
    Access,
    /// It is exchanged for others.
    Refresh,
}

impl TokenKind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

pub(super) fn scopes_of(table: &'static str, id: &str, scopes: &str) -> Result<ToolScopes> {
    ToolScopes::parse(scopes).ok_or_else(|| damaged(table, "scopes", id))
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = oauth_grants)]
pub(super) struct GrantRow {
    pub(super) id: String,
    pub(super) user_id: String,
    pub(super) team_id: String,
    pub(super) client_id: String,
    pub(super) client_name: String,
    pub(super) client_host: Option<String>,
    pub(super) redirect_host: String,
    pub(super) may_refresh: bool,
    pub(super) scopes: String,
    pub(super) resource: String,
    pub(super) created_at: i64,
    pub(super) expires_at: i64,
    pub(super) last_used_at: Option<i64>,
    pub(super) calls_day: i64,
    pub(super) calls: i64,
}

impl GrantRow {
    /// The grant as it is at `now`.
    pub(super) fn grant(&self, now: Timestamp) -> Result<McpGrant> {
        let is_of_today = self.calls_day == day_of(now);
        Ok(McpGrant {
            id: decode("oauth_grants", "id", &self.id, &self.id)?,
            consent: Consent {
                user_id: decode("oauth_grants", "user_id", &self.id, &self.user_id)?,
                team_id: decode("oauth_grants", "team_id", &self.id, &self.team_id)?,
                client: GrantClient {
                    id: self.client_id.clone(),
                    name: self.client_name.clone(),
                    host: self.client_host.clone(),
                    redirect_host: self.redirect_host.clone(),
                    may_refresh: self.may_refresh,
                },
                scopes: scopes_of("oauth_grants", &self.id, &self.scopes)?,
                resource: self.resource.clone(),
            },
            created_at: Timestamp::from_millis(self.created_at),
            expires_at: Timestamp::from_millis(self.expires_at),
            last_used_at: self.last_used_at.map(Timestamp::from_millis),
            queries_today: if is_of_today { self.calls.unsigned_abs() } else { 0 },
        })
    }
}

pub(super) fn load_grant(conn: &mut Conn, id: &str) -> Done<Option<GrantRow>> {
    Ok(oauth_grants::table.find(id).select(GrantRow::as_select()).first(conn).optional()?)
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = oauth_codes)]
pub(super) struct CodeRow {
    pub(super) digest: Vec<u8>,
    pub(super) user_id: String,
    pub(super) team_id: String,
    pub(super) client_id: String,
    pub(super) client_name: String,
    pub(super) client_host: Option<String>,
    pub(super) redirect_host: String,
    pub(super) may_refresh: bool,
    pub(super) scopes: String,
    pub(super) resource: String,
    pub(super) redirect_uri: String,
    pub(super) challenge: Vec<u8>,
    pub(super) created_at: i64,
    pub(super) grant_id: Option<String>,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = oauth_tokens)]
pub(super) struct TokenRow {
    pub(super) digest: Vec<u8>,
    pub(super) grant_id: String,
    pub(super) kind: String,
    pub(super) scopes: String,
    pub(super) created_at: i64,
    pub(super) expires_at: i64,
    pub(super) replaced_at: Option<i64>,
}

impl TokenRow {
    pub(super) fn scopes(&self) -> Result<ToolScopes> {
        scopes_of("oauth_tokens", &self.grant_id, &self.scopes)
    }
}

/// The token with this digest, if it is of this kind.
pub(super) fn token(conn: &mut Conn, digest: &KeyDigest, kind: TokenKind) -> Done<Option<TokenRow>> {
    let row = oauth_tokens::table
        .find(digest_bytes(digest))
        .filter(oauth_tokens::kind.eq(kind.as_str()))
        .select(TokenRow::as_select())
        .first(conn)
        .optional()?;
    Ok(row)
}
