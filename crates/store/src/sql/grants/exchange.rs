//! Codes and refresh tokens become tokens. Everything is looked at before anything is changed, in one transaction.

use diesel::prelude::*;
use zenovay_auth::{KeyDigest, SecretDigest, ToolScopes};
use zenovay_domain::{GrantId, Timestamp, UserId};

use super::super::Conn;
use super::super::failed::Done;
use super::super::rows::damaged;
use super::super::teams::role_of;
use super::rows::{CodeRow, GrantRow, TokenKind, TokenRow, digest_bytes, load_grant, scopes_of, token};
use crate::grants_schema::{oauth_codes, oauth_grants, oauth_tokens};
use crate::{
    ACCESS_TOKEN_MS, CODE_MS, CODE_REMEMBERED_MS, CODES_MAX, Consent, Exchange, ExchangeRefusal, GRANT_MS, GRANTS_MAX,
    Issued, McpGrant, NewCode, NewTokens, REFRESH_GRACE_MS, REFRESH_TOKEN_MS, REFRESHES_IN_GRACE_MAX, StoreError,
    TOKENS_MAX,
};

type Exchanged = Result<Issued, ExchangeRefusal>;

pub(super) fn create_code(conn: &mut Conn, code: &NewCode, now: Timestamp) -> Done<Vec<McpGrant>> {
    let NewCode { digest, consent, redirect_uri, challenge } = code;
    role_of(conn, consent.team_id, consent.user_id)?.ok_or(StoreError::NotFound("member"))?;
    let ended = narrow_older(conn, consent, now)?;
    let row = CodeRow {
        digest: digest.as_bytes().to_vec(),
        user_id: consent.user_id.to_string(),
        team_id: consent.team_id.to_string(),
        client_id: consent.client.id.clone(),
        client_name: consent.client.name.clone(),
        client_host: consent.client.host.clone(),
        redirect_host: consent.client.redirect_host.clone(),
        may_refresh: consent.client.may_refresh,
        scopes: consent.scopes.to_string(),
        resource: consent.resource.clone(),
        redirect_uri: redirect_uri.clone(),
        challenge: challenge.as_bytes().to_vec(),
        created_at: now.as_millis(),
        grant_id: None,
    };
    let beyond: Vec<Vec<u8>> = oauth_codes::table
        .filter(oauth_codes::user_id.eq(&row.user_id))
        .order((oauth_codes::created_at.desc(), oauth_codes::digest))
        .offset(i64::try_from(CODES_MAX - 1).unwrap_or(i64::MAX))
        .limit(i64::MAX)
        .select(oauth_codes::digest)
        .load(conn)?;
    diesel::delete(oauth_codes::table.filter(oauth_codes::digest.eq_any(beyond))).execute(conn)?;
    diesel::insert_into(oauth_codes::table).values(row).execute(conn)?;
    Ok(ended)
}

#[expect(clippy::too_many_arguments, reason = "what an exchange needs")]
pub(super) fn redeem(
    conn: &mut Conn,
    code: &SecretDigest,
    exchange: Exchange<'_>,
    redirect_uri: Option<&str>,
    verifier: &SecretDigest,
    id: GrantId,
    tokens: NewTokens,
    now: Timestamp,
) -> Done<Exchanged> {
    let digest = code.as_bytes().as_slice();
    let row: Option<CodeRow> = oauth_codes::table.find(digest).select(CodeRow::as_select()).first(conn).optional()?;
    let Some(row) = row else { return Ok(Err(ExchangeRefusal::Unknown)) };
    let age = now.as_millis().saturating_sub(row.created_at);
    let life = if row.grant_id.is_some() { CODE_REMEMBERED_MS } else { CODE_MS };
    let challenge: [u8; 32] =
        row.challenge.as_slice().try_into().map_err(|_| damaged("oauth_codes", "challenge", &row.client_id))?;
    let refusal = if age >= life {
        Some(ExchangeRefusal::Expired)
    } else if row.client_id != exchange.client_id {
        Some(ExchangeRefusal::OtherClient)
    } else if redirect_uri.is_some_and(|redirect_uri| redirect_uri != row.redirect_uri) {
        Some(ExchangeRefusal::OtherRedirect)
    } else if exchange.resource.is_some_and(|resource| resource != row.resource) {
        Some(ExchangeRefusal::OtherResource)
    } else if SecretDigest::from_bytes(challenge) != *verifier {
        Some(ExchangeRefusal::WrongVerifier)
    } else {
        None
    };
    if let Some(refusal) = refusal {
        return Ok(Err(refusal));
    }
    // Whoever has a copy of the verifier, too, may have what came of the code. Who saw the code alone ends nothing.
    if let Some(grant) = &row.grant_id {
        diesel::delete(oauth_grants::table.find(grant)).execute(conn)?;
        return Ok(Err(ExchangeRefusal::Reused));
    }
    let grant = GrantRow {
        id: id.to_string(),
        user_id: row.user_id,
        team_id: row.team_id,
        client_id: row.client_id,
        client_name: row.client_name,
        client_host: row.client_host,
        redirect_host: row.redirect_host,
        may_refresh: row.may_refresh,
        scopes: row.scopes,
        resource: row.resource,
        created_at: now.as_millis(),
        expires_at: now.plus_millis(GRANT_MS).as_millis(),
        last_used_at: None,
        calls_day: 0,
        calls: 0,
    };
    diesel::update(oauth_codes::table.find(digest)).set(oauth_codes::grant_id.eq(Some(&grant.id))).execute(conn)?;
    let replaced = replace_older(conn, &grant, now)?;
    diesel::insert_into(oauth_grants::table).values(&grant).execute(conn)?;
    end_beyond_the_most(conn, &grant)?;
    let scopes = grant.grant(now)?.consent.scopes;
    let issued = issue(conn, &grant, (scopes, scopes), tokens, now)?;
    Ok(Ok(Issued { replaced, ..issued }))
}

/// Leaves of the grants of the same client for the same person in the same team, and of codes that it has not fetched, what the
/// person allows it now. Those grants of which nothing is left end, and are returned.
fn narrow_older(conn: &mut Conn, consent: &Consent, now: Timestamp) -> Done<Vec<McpGrant>> {
    let (user, team, client) = (consent.user_id.to_string(), consent.team_id.to_string(), &consent.client.id);
    let of_member = oauth_grants::user_id.eq(&user).and(oauth_grants::team_id.eq(&team));
    let grants: Vec<GrantRow> = oauth_grants::table
        .filter(of_member.and(oauth_grants::client_id.eq(client)))
        .select(GrantRow::as_select())
        .load(conn)?;
    let mut ended = Vec::new();
    for grant in grants {
        let left = scopes_of("oauth_grants", &grant.id, &grant.scopes)?.intersection(consent.scopes);
        let row = oauth_grants::table.find(&grant.id);
        if left.is_empty() {
            ended.push(grant.grant(now)?);
            diesel::delete(row).execute(conn)?;
        } else {
            diesel::update(row).set(oauth_grants::scopes.eq(left.to_string())).execute(conn)?;
        }
    }
    let of_member = oauth_codes::user_id.eq(&user).and(oauth_codes::team_id.eq(&team));
    let codes: Vec<(Vec<u8>, String)> = oauth_codes::table
        .filter(of_member.and(oauth_codes::client_id.eq(client)).and(oauth_codes::grant_id.is_null()))
        .select((oauth_codes::digest, oauth_codes::scopes))
        .load(conn)?;
    for (digest, scopes) in codes {
        let left = scopes_of("oauth_codes", client, &scopes)?.intersection(consent.scopes);
        let row = oauth_codes::table.find(digest);
        if left.is_empty() {
            diesel::delete(row).execute(conn)?;
        } else {
            diesel::update(row).set(oauth_codes::scopes.eq(left.to_string())).execute(conn)?;
        }
    }
    Ok(ended)
}

/// Ends the older grants of a client that registered itself, for the same person and team, and returns them: it is one
/// installation. Many have the same metadata, and the grants of those may be of others.
fn replace_older(conn: &mut Conn, new: &GrantRow, now: Timestamp) -> Done<Vec<McpGrant>> {
    if new.client_host.is_some() {
        return Ok(Vec::new());
    }
    let of_client = oauth_grants::client_id.eq(&new.client_id);
    let of_member = oauth_grants::user_id.eq(&new.user_id).and(oauth_grants::team_id.eq(&new.team_id));
    let older = oauth_grants::table.filter(of_client.and(of_member));
    let replaced: Vec<GrantRow> = older.select(GrantRow::as_select()).load(conn)?;
    diesel::delete(older).execute(conn)?;
    Ok(replaced.iter().map(|grant| grant.grant(now)).collect::<crate::Result<_>>()?)
}

/// Ends a grant of `user`, and what its client has not fetched yet of the same team. `false` when there is none.
pub(super) fn revoke(conn: &mut Conn, user: UserId, id: GrantId) -> Done<bool> {
    let Some(grant) = load_grant(conn, &id.to_string())?.filter(|grant| grant.user_id == user.to_string()) else {
        return Ok(false);
    };
    let of_member = oauth_codes::user_id.eq(&grant.user_id).and(oauth_codes::team_id.eq(&grant.team_id));
    let unfetched = oauth_codes::client_id.eq(&grant.client_id).and(oauth_codes::grant_id.is_null());
    diesel::delete(oauth_codes::table.filter(of_member.and(unfetched))).execute(conn)?;
    diesel::delete(oauth_grants::table.find(&grant.id)).execute(conn)?;
    Ok(true)
}

/// Ends the grants of the account that were not used for the longest time, when there are too many.
fn end_beyond_the_most(conn: &mut Conn, new: &GrantRow) -> Done<()> {
    let used = diesel::dsl::sql::<diesel::sql_types::BigInt>("COALESCE(last_used_at, created_at)");
    let beyond: Vec<String> = oauth_grants::table
        .filter(oauth_grants::user_id.eq(&new.user_id).and(oauth_grants::id.ne(&new.id)))
        .order((used.desc(), oauth_grants::id))
        .offset(i64::try_from(GRANTS_MAX - 1).unwrap_or(i64::MAX))
        .limit(i64::MAX)
        .select(oauth_grants::id)
        .load(conn)?;
    diesel::delete(oauth_grants::table.filter(oauth_grants::id.eq_any(beyond))).execute(conn)?;
    Ok(())
}

pub(super) fn refresh(
    conn: &mut Conn,
    digest: &KeyDigest,
    exchange: Exchange<'_>,
    scopes: &dyn Fn(ToolScopes) -> Option<ToolScopes>,
    tokens: NewTokens,
    now: Timestamp,
) -> Done<Exchanged> {
    let at = now.as_millis();
    let Some(token) = token(conn, digest, TokenKind::Refresh)? else { return Ok(Err(ExchangeRefusal::Unknown)) };
    let Some(grant) = load_grant(conn, &token.grant_id)? else { return Ok(Err(ExchangeRefusal::Unknown)) };
    // A client knows what it was granted, and asks for that again although the grant is narrower by now.
    let (granted, left) = (token.scopes()?, grant.grant(now)?.consent.scopes);
    let scopes = scopes(granted);
    let refusal = if grant.client_id != exchange.client_id {
        Some(ExchangeRefusal::OtherClient)
    } else if token.expires_at <= at || grant.expires_at <= at {
        Some(ExchangeRefusal::Expired)
    } else if exchange.resource.is_some_and(|resource| resource != grant.resource) {
        Some(ExchangeRefusal::OtherResource)
    } else if scopes.is_some_and(|scopes| scopes.intersection(left).is_empty() || !granted.covers(scopes)) {
        Some(ExchangeRefusal::ScopeTooWide)
    } else {
        None
    };
    if let Some(refusal) = refusal {
        return Ok(Err(refusal));
    }
    match token.replaced_at {
        Some(replaced_at) if at.saturating_sub(replaced_at) >= REFRESH_GRACE_MS => {
            diesel::delete(oauth_grants::table.find(&grant.id)).execute(conn)?;
            return Ok(Err(ExchangeRefusal::Reused));
        }
        Some(replaced_at) => {
            let of_grant = oauth_tokens::grant_id.eq(&grant.id).and(oauth_tokens::kind.eq(TokenKind::Refresh.as_str()));
            let is_since = oauth_tokens::created_at.ge(replaced_at).and(oauth_tokens::digest.ne(digest_bytes(digest)));
            let since = oauth_tokens::table.filter(of_grant.and(is_since));
            if since.count().get_result::<i64>(conn)? >= i64::from(REFRESHES_IN_GRACE_MAX) {
                return Ok(Err(ExchangeRefusal::UsedTooOften));
            }
        }
        None => {
            diesel::update(oauth_tokens::table.find(digest_bytes(digest)))
                .set(oauth_tokens::replaced_at.eq(Some(at)))
                .execute(conn)?;
        }
    }
    let scopes = scopes.unwrap_or(granted).intersection(left);
    issue(conn, &grant, (scopes, granted), tokens, now).map(Ok)
}

/// Stores the tokens of a grant: an access token with `scopes`, and a refresh token that remembers what was `granted` at first.
fn issue(
    conn: &mut Conn,
    grant: &GrantRow,
    (scopes, granted): (ToolScopes, ToolScopes),
    tokens: NewTokens,
    now: Timestamp,
) -> Done<Issued> {
    let of_grant = grant.grant(now)?;
    let until = |life: i64| now.plus_millis(life).as_millis().min(grant.expires_at);
    let row = |digest: &KeyDigest, kind: TokenKind, scopes: ToolScopes, life| TokenRow {
        digest: digest.as_bytes().to_vec(),
        grant_id: grant.id.clone(),
        kind: kind.as_str().to_owned(),
        scopes: scopes.to_string(),
        created_at: now.as_millis(),
        expires_at: until(life),
        replaced_at: None,
    };
    let of_this = oauth_tokens::grant_id.eq(&grant.id);
    diesel::delete(oauth_tokens::table.filter(of_this.and(oauth_tokens::expires_at.le(now.as_millis()))))
        .execute(conn)?;
    let access = row(&tokens.access, TokenKind::Access, scopes, ACCESS_TOKEN_MS);
    let expires_at = Timestamp::from_millis(access.expires_at);
    let mut rows = vec![access];
    if grant.may_refresh {
        rows.push(row(&tokens.refresh, TokenKind::Refresh, granted, REFRESH_TOKEN_MS));
    }
    for row in rows {
        let beyond: Vec<Vec<u8>> = oauth_tokens::table
            .filter(of_this.and(oauth_tokens::kind.eq(&row.kind)))
            .order(oauth_tokens::created_at.desc())
            .offset(i64::try_from(TOKENS_MAX - 1).unwrap_or(i64::MAX))
            .limit(i64::MAX)
            .select(oauth_tokens::digest)
            .load(conn)?;
        diesel::delete(oauth_tokens::table.filter(oauth_tokens::digest.eq_any(beyond))).execute(conn)?;
        diesel::insert_into(oauth_tokens::table).values(row).execute(conn)?;
    }
    Ok(Issued::new(of_grant, scopes, expires_at))
}
