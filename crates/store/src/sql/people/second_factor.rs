use diesel::prelude::*;
use zenovay_auth::SecretDigest;
use zenovay_domain::{Timestamp, UserId};

use super::super::failed::Done;
use super::super::teams::require_user;
use super::super::{Conn, SqlStore};
use crate::people_schema::{backup_codes, second_factors};
use crate::{CodeSecret, Result, SecondFactorStore, StoreError};

fn replace_codes(conn: &mut Conn, user: &str, codes: &[SecretDigest]) -> Done<()> {
    diesel::delete(backup_codes::table.filter(backup_codes::user_id.eq(user))).execute(conn)?;
    for code in codes {
        diesel::insert_into(backup_codes::table)
            .values((backup_codes::user_id.eq(user), backup_codes::digest.eq(code.as_bytes().as_slice())))
            .execute(conn)?;
    }
    Ok(())
}

impl SecondFactorStore for SqlStore {
    fn prepare_codes(&self, user: UserId, secret: &[u8]) -> Result<()> {
        let id = user.to_string();
        self.write(|conn| {
            require_user(conn, user)?;
            let waiting = second_factors::table.find(&id).filter(second_factors::enabled_at.is_null());
            diesel::delete(waiting).execute(conn)?;
            if second_factors::table.find(&id).count().get_result::<i64>(conn)? > 0 {
                return Err(StoreError::Conflict("second factor").into());
            }
            diesel::insert_into(second_factors::table)
                .values((
                    second_factors::user_id.eq(&id),
                    second_factors::secret.eq(secret),
                    second_factors::last_step.eq(0),
                ))
                .execute(conn)?;
            Ok(())
        })
    }

    fn code_secret(&self, user: UserId) -> Result<Option<CodeSecret>> {
        let row: Option<(Vec<u8>, Option<i64>, i64)> = self.ask(|conn| {
            let columns = (second_factors::secret, second_factors::enabled_at, second_factors::last_step);
            Ok(second_factors::table.find(user.to_string()).select(columns).first(conn).optional()?)
        })?;
        Ok(row.map(|(secret, enabled_at, last_step)| CodeSecret::new(secret, enabled_at.is_some(), last_step)))
    }

    fn enable_codes(
        &self,
        user: UserId,
        secret: &[u8],
        step: i64,
        backup: &[SecretDigest],
        now: Timestamp,
    ) -> Result<bool> {
        let id = user.to_string();
        self.write(|conn| {
            let waiting = second_factors::enabled_at.is_null().and(second_factors::secret.eq(secret));
            let enabled = diesel::update(second_factors::table.find(&id).filter(waiting))
                .set((second_factors::enabled_at.eq(now.as_millis()), second_factors::last_step.eq(step)))
                .execute(conn)?;
            if enabled == 1 {
                replace_codes(conn, &id, backup)?;
            }
            Ok(enabled == 1)
        })
    }

    fn use_step(&self, user: UserId, step: i64) -> Result<bool> {
        self.write(|conn| {
            let later = second_factors::table.find(user.to_string()).filter(second_factors::last_step.lt(step));
            Ok(diesel::update(later).set(second_factors::last_step.eq(step)).execute(conn)? == 1)
        })
    }

    fn use_backup_code(&self, user: UserId, code: &SecretDigest) -> Result<bool> {
        self.write(|conn| {
            let row = backup_codes::table.find((user.to_string(), code.as_bytes().as_slice()));
            Ok(diesel::delete(row).execute(conn)? == 1)
        })
    }

    fn replace_backup_codes(&self, user: UserId, codes: &[SecretDigest]) -> Result<()> {
        self.write(|conn| replace_codes(conn, &user.to_string(), codes))
    }

    fn remove_codes(&self, user: UserId) -> Result<bool> {
        let id = user.to_string();
        self.write(|conn| {
            replace_codes(conn, &id, &[])?;
            Ok(diesel::delete(second_factors::table.find(&id)).execute(conn)? == 1)
        })
    }
}
