use diesel::prelude::*;
use zenovay_domain::UserId;

use super::super::failed::Done;
use super::super::rows::{check_name, damaged};
use super::super::teams::require_user;
use super::super::users::{check_email, delete, folded, keep_addresses_apart};
use super::super::{Conn, SqlStore};
use super::teams::rename_inviter;
use crate::people_schema::{audit_entries, profiles};
use crate::schema::users;
use crate::{DELETED_ACCOUNT, OPERATOR, Profile, ProfileStore, Result, Theme};

/// Gives an account another address or name, inside a transaction.
pub(super) fn rename(conn: &mut Conn, user: UserId, email: Option<&str>, name: Option<&str>) -> Done<()> {
    let id = user.to_string();
    require_user(conn, user)?;
    if let Some(email) = email {
        check_email(email)?;
        keep_addresses_apart(conn, &folded(email), &id)?;
        rename_inviter(conn, &id, email)?;
        diesel::update(users::table.find(&id))
            .set((users::email.eq(email), users::email_folded.eq(folded(email))))
            .execute(conn)?;
    }
    if let Some(name) = name {
        check_name(name)?;
        diesel::update(users::table.find(&id)).set(users::name.eq(name)).execute(conn)?;
    }
    Ok(())
}

impl ProfileStore for SqlStore {
    fn profile(&self, user: UserId) -> Result<Profile> {
        type Row = (Option<String>, String, Option<String>, i32);
        let id = user.to_string();
        let row: Option<Row> = self.ask(|conn| {
            let columns = (profiles::locale, profiles::theme, profiles::time_zone, profiles::single_keys);
            Ok(profiles::table.find(&id).select(columns).first(conn).optional()?)
        })?;
        let Some((locale, theme, time_zone, single_keys)) = row else { return Ok(Profile::default()) };
        let theme = Theme::ALL.into_iter().find(|known| known.as_str() == theme);
        let theme = theme.ok_or_else(|| damaged("profiles", "theme", &id))?;
        Ok(Profile { locale, theme, time_zone, single_keys: single_keys != 0 })
    }

    fn set_profile(&self, user: UserId, profile: &Profile) -> Result<()> {
        self.write(|conn| {
            require_user(conn, user)?;
            let values = (
                profiles::locale.eq(&profile.locale),
                profiles::theme.eq(profile.theme.as_str()),
                profiles::time_zone.eq(&profile.time_zone),
                profiles::single_keys.eq(i32::from(profile.single_keys)),
            );
            diesel::insert_into(profiles::table)
                .values((profiles::user_id.eq(user.to_string()), values))
                .on_conflict(profiles::user_id)
                .do_update()
                .set(values)
                .execute(conn)?;
            Ok(())
        })
    }

    fn delete_account(&self, user: UserId) -> Result<()> {
        self.write(|conn| {
            let id = user.to_string();
            delete(conn, user)?;
            let own = audit_entries::user_id.eq(&id).and(audit_entries::team_id.is_null());
            diesel::delete(audit_entries::table.filter(own)).execute(conn)?;
            // What the operator changed of theirs goes on being told of the operator.
            let theirs = || audit_entries::user_id.eq(&id);
            let made = audit_entries::table.filter(theirs().and(audit_entries::actor.ne(OPERATOR)));
            diesel::update(made).set(audit_entries::actor.eq(DELETED_ACCOUNT)).execute(conn)?;
            diesel::update(audit_entries::table.filter(theirs()))
                .set(audit_entries::user_id.eq(None::<String>))
                .execute(conn)?;
            Ok(())
        })?;
        self.empty_log();
        Ok(())
    }
}
