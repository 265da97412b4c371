use diesel::dsl::exists;
use diesel::prelude::*;
use zenovay_auth::PasswordHash;
use zenovay_domain::UserId;

use super::SqliteStore;
use super::rows::{UserRow, check_name};
use super::teams::keep_owners_without;
use crate::schema::users;
use crate::{Result, StoreError, User, UserStore};

/// The longest address (RFC 5321 leaves 254 bytes for it).
const EMAIL_MAX_BYTES: usize = 254;

/// Something before one `@`, a dot or nothing special behind it, no spaces: whether mail arrives is not decided here.
fn check_email(email: &str) -> Result<()> {
    let (local, domain) = email.rsplit_once('@').unwrap_or_default();
    let valid = email.len() <= EMAIL_MAX_BYTES
        && !local.is_empty()
        && !local.contains('@')
        && !domain.is_empty()
        && !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if valid {
        return Ok(());
    }
    Err(StoreError::Invalid { field: "email", reason: "give an address such as name@example.com".to_owned() })
}

impl UserStore for SqliteStore {
    fn create_user(&self, user: &User) -> Result<()> {
        check_email(&user.email)?;
        check_name(&user.name)?;
        let row = UserRow {
            id: user.id.to_string(),
            email: user.email.clone(),
            email_folded: user.email.to_lowercase(),
            name: user.name.clone(),
            password_hash: user.password_hash.as_str().to_owned(),
            created_at: user.created_at.as_millis(),
        };
        self.write(|conn| {
            let taken = exists(users::table.filter(users::email_folded.eq(&row.email_folded)));
            if diesel::select(taken).get_result(conn)? {
                return Err(StoreError::Conflict("email"));
            }
            diesel::insert_into(users::table).values(row).execute(conn)?;
            Ok(())
        })
    }

    fn user(&self, id: UserId) -> Result<Option<User>> {
        self.ask(|conn| {
            let row = users::table.find(id.to_string()).select(UserRow::as_select()).first(conn).optional()?;
            row.map(User::try_from).transpose()
        })
    }

    fn user_by_email(&self, email: &str) -> Result<Option<User>> {
        self.ask(|conn| {
            let row = users::table
                .filter(users::email_folded.eq(email.to_lowercase()))
                .select(UserRow::as_select())
                .first(conn)
                .optional()?;
            row.map(User::try_from).transpose()
        })
    }

    fn users(&self) -> Result<Vec<User>> {
        self.ask(|conn| {
            let rows = users::table.order((users::created_at, users::id)).select(UserRow::as_select()).load(conn)?;
            rows.into_iter().map(User::try_from).collect()
        })
    }

    fn set_password(&self, id: UserId, hash: &PasswordHash) -> Result<()> {
        self.write(|conn| {
            let changed = diesel::update(users::table.find(id.to_string()))
                .set(users::password_hash.eq(hash.as_str()))
                .execute(conn)?;
            if changed == 1 { Ok(()) } else { Err(StoreError::NotFound("user")) }
        })
    }

    fn delete_user(&self, id: UserId) -> Result<()> {
        self.write(|conn| {
            keep_owners_without(conn, id)?;
            let deleted = diesel::delete(users::table.find(id.to_string())).execute(conn)?;
            if deleted == 1 { Ok(()) } else { Err(StoreError::NotFound("user")) }
        })
    }

    fn has_users(&self) -> Result<bool> {
        self.ask(|conn| Ok(diesel::select(exists(users::table.select(users::id))).get_result(conn)?))
    }
}
