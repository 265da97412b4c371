use diesel::prelude::*;
use zenovay_auth::SecretDigest;
use zenovay_domain::{Timestamp, UserId};

use super::super::Conn;
use super::super::failed::Done;
use super::super::rows::decode;
use super::super::teams::require_user;
use crate::LinkPurpose;
use crate::people_schema::one_time_links::{self, dsl};

pub(super) fn create(
    conn: &mut Conn,
    user: UserId,
    purpose: LinkPurpose,
    digest: &SecretDigest,
    now: Timestamp,
    expires_at: Timestamp,
) -> Done<()> {
    require_user(conn, user)?;
    let earlier = dsl::user_id.eq(user.to_string()).and(dsl::purpose.eq(purpose.as_str()));
    diesel::delete(one_time_links::table.filter(earlier)).execute(conn)?;
    diesel::insert_into(one_time_links::table)
        .values((
            dsl::digest.eq(digest.as_bytes().as_slice()),
            dsl::user_id.eq(user.to_string()),
            dsl::purpose.eq(purpose.as_str()),
            dsl::created_at.eq(now.as_millis()),
            dsl::expires_at.eq(expires_at.as_millis()),
        ))
        .execute(conn)?;
    Ok(())
}

pub(super) fn exists(conn: &mut Conn, purpose: LinkPurpose, now: Timestamp) -> Done<bool> {
    let valid = dsl::purpose.eq(purpose.as_str()).and(dsl::expires_at.gt(now.as_millis()));
    Ok(diesel::select(diesel::dsl::exists(one_time_links::table.filter(valid))).get_result(conn)?)
}

/// Whose link it is, when it works. Whoever calls this takes it back in the same transaction.
pub(super) fn holder(
    conn: &mut Conn,
    purpose: LinkPurpose,
    digest: &SecretDigest,
    now: Timestamp,
) -> Done<Option<UserId>> {
    let valid = dsl::purpose.eq(purpose.as_str()).and(dsl::expires_at.gt(now.as_millis()));
    let row: Option<String> = one_time_links::table
        .find(digest.as_bytes().as_slice())
        .filter(valid)
        .select(dsl::user_id)
        .first(conn)
        .optional()?;
    Ok(row.map(|user| decode("one_time_links", "user_id", &user, &user)).transpose()?)
}

pub(super) fn take_back(conn: &mut Conn, digest: &SecretDigest) -> Done<()> {
    let used = dsl::digest.eq(digest.as_bytes().as_slice()).and(dsl::purpose.eq(LinkPurpose::SignIn.as_str()));
    diesel::delete(one_time_links::table.filter(used)).execute(conn)?;
    Ok(())
}

pub(super) fn forget(conn: &mut Conn, now: Timestamp) -> Done<()> {
    diesel::delete(one_time_links::table.filter(dsl::expires_at.le(now.as_millis()))).execute(conn)?;
    Ok(())
}
