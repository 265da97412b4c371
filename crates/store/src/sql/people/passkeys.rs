use diesel::dsl::exists;
use diesel::prelude::*;
use zenovay_domain::{PasskeyId, Timestamp, UserId};

use super::super::SqlStore;
use super::super::rows::{check_name, decode};
use super::super::teams::require_user;
use crate::people_schema::passkeys;
use crate::{PASSKEYS_MAX, Passkey, PasskeyStore, Result, StoreError};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = passkeys)]
struct PasskeyRow {
    id: String,
    user_id: String,
    name: String,
    credential_id: String,
    credential: String,
    created_at: i64,
    last_used_at: Option<i64>,
}

impl TryFrom<PasskeyRow> for Passkey {
    type Error = StoreError;

    fn try_from(row: PasskeyRow) -> Result<Self> {
        Ok(Self {
            id: decode("passkeys", "id", &row.id, &row.id)?,
            user_id: decode("passkeys", "user_id", &row.id, &row.user_id)?,
            name: row.name,
            credential_id: row.credential_id,
            credential: row.credential,
            created_at: Timestamp::from_millis(row.created_at),
            last_used_at: row.last_used_at.map(Timestamp::from_millis),
        })
    }
}

impl PasskeyStore for SqlStore {
    fn add_passkey(&self, passkey: &Passkey) -> Result<()> {
        check_name(&passkey.name)?;
        let row = PasskeyRow {
            id: passkey.id.to_string(),
            user_id: passkey.user_id.to_string(),
            name: passkey.name.clone(),
            credential_id: passkey.credential_id.clone(),
            credential: passkey.credential.clone(),
            created_at: passkey.created_at.as_millis(),
            last_used_at: passkey.last_used_at.map(Timestamp::as_millis),
        };
        self.write(|conn| {
            require_user(conn, passkey.user_id)?;
            let same = passkeys::table.filter(passkeys::credential_id.eq(&row.credential_id));
            if diesel::select(exists(same)).get_result(conn)? {
                return Err(StoreError::Conflict("passkey").into());
            }
            let has: i64 = passkeys::table.filter(passkeys::user_id.eq(&row.user_id)).count().get_result(conn)?;
            if usize::try_from(has).unwrap_or(usize::MAX) >= PASSKEYS_MAX {
                let reason = format!("an account has at most {PASSKEYS_MAX} passkeys");
                return Err(StoreError::Invalid { field: "name", reason }.into());
            }
            diesel::insert_into(passkeys::table).values(row).execute(conn)?;
            Ok(())
        })
    }

    fn passkeys(&self, user: UserId) -> Result<Vec<Passkey>> {
        let rows = self.ask(|conn| {
            let theirs = passkeys::table.filter(passkeys::user_id.eq(user.to_string()));
            let oldest_first = theirs.order((passkeys::created_at, passkeys::id));
            Ok(oldest_first.select(PasskeyRow::as_select()).load(conn)?)
        })?;
        rows.into_iter().map(Passkey::try_from).collect()
    }

    fn passkey_by_credential(&self, credential_id: &str) -> Result<Option<Passkey>> {
        let row = self.ask(|conn| {
            let same = passkeys::table.filter(passkeys::credential_id.eq(credential_id));
            Ok(same.select(PasskeyRow::as_select()).first(conn).optional()?)
        })?;
        row.map(Passkey::try_from).transpose()
    }

    fn use_passkey(&self, used: &Passkey, credential: &str, now: Timestamp) -> Result<bool> {
        self.write(|conn| {
            let unchanged = passkeys::table.find(used.id.to_string()).filter(passkeys::credential.eq(&used.credential));
            let set = (passkeys::credential.eq(credential), passkeys::last_used_at.eq(now.as_millis()));
            Ok(diesel::update(unchanged).set(set).execute(conn)? == 1)
        })
    }

    fn rename_passkey(&self, user: UserId, id: PasskeyId, name: &str) -> Result<Passkey> {
        check_name(name)?;
        let row = self.write(|conn| {
            let own = passkeys::table.find(id.to_string()).filter(passkeys::user_id.eq(user.to_string()));
            if diesel::update(own).set(passkeys::name.eq(name)).execute(conn)? == 0 {
                return Err(StoreError::NotFound("passkey").into());
            }
            Ok(passkeys::table.find(id.to_string()).select(PasskeyRow::as_select()).first(conn)?)
        })?;
        row.try_into()
    }

    fn remove_passkey(&self, user: UserId, id: PasskeyId) -> Result<()> {
        self.write(|conn| {
            let own = passkeys::table.find(id.to_string()).filter(passkeys::user_id.eq(user.to_string()));
            match diesel::delete(own).execute(conn)? {
                0 => Err(StoreError::NotFound("passkey").into()),
                _ => Ok(()),
            }
        })
    }

    fn remove_passkeys(&self, user: UserId) -> Result<usize> {
        self.write(|conn| {
            let theirs = passkeys::table.filter(passkeys::user_id.eq(user.to_string()));
            Ok(diesel::delete(theirs).execute(conn)?)
        })
    }
}
