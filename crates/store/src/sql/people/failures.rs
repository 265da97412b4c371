use diesel::prelude::*;
use zenovay_auth::{FAILURES_KEPT_MS, SecretDigest};
use zenovay_domain::Timestamp;

use super::super::Conn;
use super::super::failed::Done;
use crate::people_schema::sign_in_failures::{self, dsl};

/// How many subjects are remembered: whoever makes names up cannot fill the disk.
const SUBJECTS_MAX: i64 = 100_000;

pub(super) fn load(conn: &mut Conn, subject: &SecretDigest, now: Timestamp) -> Done<Option<(u32, Timestamp)>> {
    let row: Option<(i32, i64)> = sign_in_failures::table
        .find(subject.as_bytes().as_slice())
        .select((dsl::failures, dsl::last_at))
        .first(conn)
        .optional()?;
    let row = row.map(|(failures, at)| (u32::try_from(failures).unwrap_or(u32::MAX), Timestamp::from_millis(at)));
    Ok(row.filter(|(_, at)| now.millis_since(*at) < FAILURES_KEPT_MS))
}

pub(super) fn note(conn: &mut Conn, subject: &SecretDigest, now: Timestamp) -> Done<u32> {
    let known = load(conn, subject, now)?;
    let failures = known.map_or(0, |(failures, _)| failures).saturating_add(1);
    if known.is_none() && sign_in_failures::table.count().get_result::<i64>(conn)? >= SUBJECTS_MAX {
        let oldest: Vec<Vec<u8>> =
            sign_in_failures::table.order(dsl::last_at).limit(SUBJECTS_MAX / 100).select(dsl::subject).load(conn)?;
        diesel::delete(sign_in_failures::table.filter(dsl::subject.eq_any(oldest))).execute(conn)?;
    }
    let values = (dsl::failures.eq(i32::try_from(failures).unwrap_or(i32::MAX)), dsl::last_at.eq(now.as_millis()));
    diesel::insert_into(sign_in_failures::table)
        .values((dsl::subject.eq(subject.as_bytes().as_slice()), values))
        .on_conflict(dsl::subject)
        .do_update()
        .set(values)
        .execute(conn)?;
    Ok(failures)
}

pub(super) fn forget(conn: &mut Conn, subject: &SecretDigest) -> Done<()> {
    diesel::delete(sign_in_failures::table.find(subject.as_bytes().as_slice())).execute(conn)?;
    Ok(())
}

pub(super) fn forget_old(conn: &mut Conn, now: Timestamp) -> Done<()> {
    let old = dsl::last_at.le(now.plus_millis(-FAILURES_KEPT_MS).as_millis());
    diesel::delete(sign_in_failures::table.filter(old)).execute(conn)?;
    Ok(())
}
