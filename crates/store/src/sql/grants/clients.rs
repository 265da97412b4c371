use diesel::dsl::exists;
use diesel::prelude::*;
use zenovay_auth::SecretDigest;
use zenovay_domain::Timestamp;

use super::super::Conn;
use super::super::failed::Done;
use super::super::rows::damaged;
use crate::grants_schema::{oauth_clients, oauth_codes, oauth_grants};
use crate::{RegisteredClient, Result, StoreError, UNUSED_CLIENT_KEPT_MS, UNUSED_CLIENT_MS, UNUSED_CLIENTS_MAX};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = oauth_clients)]
struct ClientRow {
    id: String,
    name: String,
    redirect_uris: String,
    secret_digest: Option<Vec<u8>>,
    management_digest: Vec<u8>,
    may_refresh: bool,
    created_at: i64,
    secret_in_header: bool,
}

impl TryFrom<ClientRow> for RegisteredClient {
    type Error = StoreError;

    fn try_from(row: ClientRow) -> Result<Self> {
        let wrong = |column| damaged("oauth_clients", column, &row.id);
        let digest = |bytes: &[u8], column| bytes.try_into().map(SecretDigest::from_bytes).map_err(|_| wrong(column));
        Ok(Self {
            redirect_uris: serde_json::from_str(&row.redirect_uris).map_err(|_| wrong("redirect_uris"))?,
            secret: row.secret_digest.as_deref().map(|bytes| digest(bytes, "secret_digest")).transpose()?,
            management: digest(&row.management_digest, "management_digest")?,
            may_refresh: row.may_refresh,
            created_at: Timestamp::from_millis(row.created_at),
            secret_in_header: row.secret_in_header,
            name: row.name,
            id: row.id,
        })
    }
}

/// What people granted, or are about to.
macro_rules! unused {
    () => {{
        let granted = oauth_grants::table.filter(oauth_grants::client_id.eq(oauth_clients::id));
        let asked = oauth_codes::table.filter(oauth_codes::client_id.eq(oauth_clients::id));
        diesel::dsl::not(exists(granted)).and(diesel::dsl::not(exists(asked)))
    }};
}

pub(super) fn register(conn: &mut Conn, client: &RegisteredClient) -> Done<()> {
    make_room(conn, client.created_at)?;
    let taken = exists(oauth_clients::table.find(&client.id));
    if diesel::select(taken).get_result(conn)? {
        return Err(StoreError::Conflict("client").into());
    }
    let row = ClientRow {
        id: client.id.clone(),
        name: client.name.clone(),
        redirect_uris: serde_json::json!(client.redirect_uris).to_string(),
        secret_digest: client.secret.map(|digest| digest.as_bytes().to_vec()),
        management_digest: client.management.as_bytes().to_vec(),
        may_refresh: client.may_refresh,
        created_at: client.created_at.as_millis(),
        secret_in_header: client.secret_in_header,
    };
    diesel::insert_into(oauth_clients::table).values(row).execute(conn)?;
    Ok(())
}

/// Sees to it that there is room for one more that was granted nothing.
fn make_room(conn: &mut Conn, now: Timestamp) -> Done<()> {
    let unused: i64 = oauth_clients::table.filter(unused!()).count().get_result(conn)?;
    let beyond = unused - i64::try_from(UNUSED_CLIENTS_MAX).unwrap_or(i64::MAX) + 1;
    if beyond <= 0 {
        return Ok(());
    }
    let kept_since = now.plus_millis(-UNUSED_CLIENT_KEPT_MS).as_millis();
    let oldest: Vec<String> = oauth_clients::table
        .filter(oauth_clients::created_at.le(kept_since).and(unused!()))
        .order((oauth_clients::created_at, oauth_clients::id))
        .limit(beyond)
        .select(oauth_clients::id)
        .load(conn)?;
    let ended = diesel::delete(oauth_clients::table.filter(oauth_clients::id.eq_any(&oldest))).execute(conn)?;
    if i64::try_from(ended).unwrap_or(i64::MAX) < beyond {
        return Err(StoreError::Conflict("client").into());
    }
    Ok(())
}

pub(super) fn load(conn: &mut Conn, id: &str, now: Timestamp) -> Done<Option<RegisteredClient>> {
    let since = now.plus_millis(-UNUSED_CLIENT_MS).as_millis();
    let row = oauth_clients::table
        .find(id)
        .filter(oauth_clients::created_at.gt(since).or(diesel::dsl::not(unused!())))
        .select(ClientRow::as_select())
        .first(conn)
        .optional()?;
    Ok(row.map(RegisteredClient::try_from).transpose()?)
}

pub(super) fn forget_unused(conn: &mut Conn, now: Timestamp) -> Done<()> {
    let since = now.plus_millis(-UNUSED_CLIENT_MS).as_millis();
    let over: Vec<String> = oauth_clients::table
        .filter(oauth_clients::created_at.le(since).and(unused!()))
        .select(oauth_clients::id)
        .load(conn)?;
    for part in over.chunks(500) {
        diesel::delete(oauth_clients::table.filter(oauth_clients::id.eq_any(part))).execute(conn)?;
    }
    Ok(())
}
