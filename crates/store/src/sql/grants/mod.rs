//! Clients that act for people, in the same file.

mod clients;
mod exchange;
mod rows;

use diesel::dsl::exists;
use diesel::prelude::*;
use zenovay_auth::{KeyDigest, SecretDigest, TeamAccess, ToolScopes};
use zenovay_domain::{GrantId, Timestamp, UserId};

use self::rows::{GrantRow, TokenKind, TokenRow, day_of, digest_bytes, load_grant, token};
use super::failed::Done;
use super::rows::{UserRow, decode};
use super::sums::capped_sum;
use super::{Conn, SqlStore, in_write_transaction};
use crate::grants_schema::{oauth_clients, oauth_codes, oauth_grants, oauth_tokens};
use crate::schema::{memberships, teams, users};
use crate::{
    CODE_REMEMBERED_MS, Exchange, ExchangeRefusal, GrantStore, GrantedAccess, Issued, McpGrant, NewCode, NewTokens,
    RegisteredClient, Result, StoreError, User,
};

/// The time of last use is written at most this often where nothing else is.
const USED_EVERY_MS: i64 = 60_000;

/// Ends everything that a person granted, and the codes on their way to it.
pub(super) fn end_all(conn: &mut Conn, user: UserId) -> Done<()> {
    diesel::delete(oauth_codes::table.filter(oauth_codes::user_id.eq(user.to_string()))).execute(conn)?;
    diesel::delete(oauth_grants::table.filter(oauth_grants::user_id.eq(user.to_string()))).execute(conn)?;
    Ok(())
}

/// Whether a grant is there: one that was revoked, or whose membership ended, is not.
pub(super) fn goes_on(conn: &mut Conn, id: GrantId) -> Done<bool> {
    Ok(diesel::select(exists(oauth_grants::table.find(id.to_string()))).get_result(conn)?)
}

/// Whose grant it is, and the team of it as it is now. Grants go with the membership, so it is there.
fn holder(conn: &mut Conn, row: &GrantRow) -> Done<Option<(User, TeamAccess)>> {
    type Found = (UserRow, String, String);
    let found: Option<Found> = memberships::table
        .inner_join(teams::table)
        .inner_join(users::table)
        .filter(memberships::team_id.eq(&row.team_id).and(memberships::user_id.eq(&row.user_id)))
        .select((UserRow::as_select(), teams::plan, memberships::role))
        .first(conn)
        .optional()?;
    let Some((user, plan, role)) = found else { return Ok(None) };
    let team = TeamAccess::new(
        decode("oauth_grants", "team_id", &row.id, &row.team_id)?,
        decode("teams", "plan", &row.team_id, &plan)?,
        decode("memberships", "role", &row.id, &role)?,
    );
    Ok(Some((User::try_from(user)?, team)))
}

impl GrantStore for SqlStore {
    fn register_client(&self, client: &RegisteredClient) -> Result<()> {
        self.write(|conn| clients::register(conn, client))
    }

    fn registered_client(&self, id: &str, now: Timestamp) -> Result<Option<RegisteredClient>> {
        self.read(|conn| clients::load(conn, id, now))
    }

    fn delete_client(&self, id: &str) -> Result<bool> {
        self.write_urgently(|conn| {
            diesel::delete(oauth_codes::table.filter(oauth_codes::client_id.eq(id))).execute(conn)?;
            diesel::delete(oauth_grants::table.filter(oauth_grants::client_id.eq(id))).execute(conn)?;
            Ok(diesel::delete(oauth_clients::table.find(id)).execute(conn)? == 1)
        })
    }

    fn create_code(&self, code: &NewCode, now: Timestamp) -> Result<Vec<McpGrant>> {
        self.write(|conn| exchange::create_code(conn, code, now))
    }

    fn redeem_code(
        &self,
        code: &SecretDigest,
        exchange: Exchange<'_>,
        redirect_uri: Option<&str>,
        verifier: &SecretDigest,
        id: GrantId,
        tokens: NewTokens,
        now: Timestamp,
    ) -> Result<Result<Issued, ExchangeRefusal>> {
        self.write(|conn| exchange::redeem(conn, code, exchange, redirect_uri, verifier, id, tokens, now))
    }

    fn refresh_grant(
        &self,
        refresh: &KeyDigest,
        exchange: Exchange<'_>,
        scopes: &dyn Fn(ToolScopes) -> Option<ToolScopes>,
        tokens: NewTokens,
        now: Timestamp,
    ) -> Result<Result<Issued, ExchangeRefusal>> {
        self.write(|conn| exchange::refresh(conn, refresh, exchange, scopes, tokens, now))
    }

    fn access(&self, digest: &KeyDigest, now: Timestamp) -> Result<Option<GrantedAccess>> {
        self.read(|conn| {
            let Some(token) = token(conn, digest, TokenKind::Access)? else { return Ok(None) };
            let Some(row) = load_grant(conn, &token.grant_id)? else { return Ok(None) };
            if token.expires_at <= now.as_millis() || row.expires_at <= now.as_millis() {
                return Ok(None);
            }
            let Some((user, team)) = holder(conn, &row)? else { return Ok(None) };
            let (grant, expires_at) = (row.grant(now)?, Timestamp::from_millis(token.expires_at));
            // The grant may be narrower by now than when the token was made.
            let scopes = token.scopes()?.intersection(grant.consent.scopes);
            Ok(Some(GrantedAccess { grant, scopes, expires_at, user, team }))
        })
    }

    fn note_grant_call(&self, id: GrantId, queries: u64, now: Timestamp) -> Result<()> {
        let (today, queries) = (day_of(now), i64::try_from(queries).unwrap_or(i64::MAX));
        let (id, at) = (id.to_string(), now.as_millis());
        self.count(|conn| {
            let noted = in_write_transaction(conn, |conn| {
                let row = || oauth_grants::table.find(&id);
                let same_day = diesel::update(row().filter(oauth_grants::calls_day.eq(today)))
                    .set(oauth_grants::calls.eq(capped_sum!(oauth_grants::calls, queries)))
                    .execute(conn)?;
                if same_day == 0 {
                    diesel::update(row())
                        .set((oauth_grants::calls_day.eq(today), oauth_grants::calls.eq(queries)))
                        .execute(conn)?;
                }
                let is_stale = oauth_grants::last_used_at
                    .is_null()
                    .or(oauth_grants::last_used_at.le(Some(at.saturating_sub(USED_EVERY_MS))))
                    // A time that is later than now was noted by a clock that was wrong.
                    .or(oauth_grants::last_used_at.gt(Some(at)));
                diesel::update(row().filter(is_stale)).set(oauth_grants::last_used_at.eq(Some(at))).execute(conn)?;
                Ok(())
            });
            noted.or_else(|failed| if failed.is_disk_full() { Ok(()) } else { Err(failed) })
        })
    }

    fn grants_of(&self, user: UserId, now: Timestamp) -> Result<Vec<McpGrant>> {
        let rows: Vec<GrantRow> = self.ask(|conn| {
            let of_user = oauth_grants::user_id.eq(user.to_string());
            let rows = oauth_grants::table
                .filter(of_user.and(oauth_grants::expires_at.gt(now.as_millis())))
                // Those that were never used come last, wherever a database puts them.
                .order((
                    oauth_grants::last_used_at.is_null(),
                    oauth_grants::last_used_at.desc(),
                    oauth_grants::created_at.desc(),
                    oauth_grants::id,
                ))
                .select(GrantRow::as_select());
            Ok(rows.load(conn)?)
        })?;
        rows.iter().map(|row| row.grant(now)).collect()
    }

    fn revoke_grant(&self, user: UserId, id: GrantId) -> Result<()> {
        self.write_urgently(|conn| match exchange::revoke(conn, user, id)? {
            true => Ok(()),
            false => Err(StoreError::NotFound("grant").into()),
        })
    }

    fn revoke_token(
        &self,
        digest: &KeyDigest,
        client_id: &str,
        now: Timestamp,
    ) -> Result<Result<Option<McpGrant>, ExchangeRefusal>> {
        self.write_urgently(|conn| {
            let found: Option<TokenRow> =
                oauth_tokens::table.find(digest_bytes(digest)).select(TokenRow::as_select()).first(conn).optional()?;
            let Some(token) = found else { return Ok(Ok(None)) };
            let Some(row) = load_grant(conn, &token.grant_id)? else { return Ok(Ok(None)) };
            if row.client_id != client_id {
                return Ok(Err(ExchangeRefusal::OtherClient));
            }
            if token.kind == TokenKind::Access.as_str() {
                diesel::delete(oauth_tokens::table.find(digest_bytes(digest))).execute(conn)?;
                return Ok(Ok(None));
            }
            diesel::delete(oauth_grants::table.find(&row.id)).execute(conn)?;
            Ok(Ok(Some(row.grant(now)?)))
        })
    }

    fn forget_grants_that_are_over(&self, now: Timestamp) -> Result<()> {
        let at = now.as_millis();
        self.write(|conn| {
            let forgotten = oauth_codes::created_at.le(now.plus_millis(-CODE_REMEMBERED_MS).as_millis());
            diesel::delete(oauth_codes::table.filter(forgotten)).execute(conn)?;
            diesel::delete(oauth_tokens::table.filter(oauth_tokens::expires_at.le(at))).execute(conn)?;
            // Without a token it can never be used again.
            let held = oauth_tokens::table.select(oauth_tokens::grant_id);
            let is_over = oauth_grants::expires_at.le(at).or(oauth_grants::id.ne_all(held));
            diesel::delete(oauth_grants::table.filter(is_over)).execute(conn)?;
            clients::forget_unused(conn, now)
        })
    }
}
