use diesel::dsl::exists;
use diesel::prelude::*;
use zenovay_auth::PasswordHash;
use zenovay_domain::UserId;

use super::failed::Done;
use super::people::{end_all_invitations, rename_inviter};
use super::rows::{UserRow, check_name};
use super::teams::keep_owners_without;
use super::{Conn, SqlStore};
use crate::schema::users;
use crate::{Result, StoreError, User, UserStore};

/// The longest address (RFC 5321 leaves 254 bytes for it).
const EMAIL_MAX_BYTES: usize = 254;

/// Something before one `@`, a dot or nothing special behind it, no spaces: whether mail arrives is not decided here.
pub(super) fn check_email(email: &str) -> Result<()> {
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

/// How addresses are compared: upper and lower case are the same.
pub(super) fn folded(email: &str) -> String {
    email.to_lowercase()
}

/// Refuses an address that another account than `id` has.
pub(super) fn keep_addresses_apart(conn: &mut Conn, email_folded: &str, id: &str) -> Done<()> {
    let taken = exists(users::table.filter(users::email_folded.eq(email_folded).and(users::id.ne(id))));
    if diesel::select(taken).get_result(conn)? { Err(StoreError::Conflict("email").into()) } else { Ok(()) }
}

fn load_user(conn: &mut Conn, id: UserId) -> Done<Option<User>> {
    let row = users::table.find(id.to_string()).select(UserRow::as_select()).first(conn).optional()?;
    Ok(row.map(User::try_from).transpose()?)
}

/// What a change of one account means when it met `rows` of them.
fn found(rows: usize) -> Done<()> {
    if rows == 1 { Ok(()) } else { Err(StoreError::NotFound("user").into()) }
}

/// Deletes an account with everything that is its own.
pub(super) fn delete(conn: &mut Conn, id: UserId) -> Done<()> {
    keep_owners_without(conn, id)?;
    end_all_invitations(conn, id)?;
    let deleted = diesel::delete(users::table.find(id.to_string())).execute(conn)?;
    found(deleted)
}

impl UserStore for SqlStore {
    fn create_user(&self, user: &User) -> Result<()> {
        check_email(&user.email)?;
        check_name(&user.name)?;
        let row = UserRow {
            id: user.id.to_string(),
            email: user.email.clone(),
            email_folded: folded(&user.email),
            name: user.name.clone(),
            password_hash: user.password_hash.as_str().to_owned(),
            created_at: user.created_at.as_millis(),
        };
        self.write(|conn| {
            keep_addresses_apart(conn, &row.email_folded, &row.id)?;
            diesel::insert_into(users::table).values(row).execute(conn)?;
            Ok(())
        })
    }

    fn user(&self, id: UserId) -> Result<Option<User>> {
        self.ask(|conn| load_user(conn, id))
    }

    fn user_by_email(&self, email: &str) -> Result<Option<User>> {
        self.ask(|conn| {
            let row = users::table
                .filter(users::email_folded.eq(folded(email)))
                .select(UserRow::as_select())
                .first(conn)
                .optional()?;
            Ok(row.map(User::try_from).transpose()?)
        })
    }

    fn users(&self) -> Result<Vec<User>> {
        self.ask(|conn| {
            let rows = users::table.order((users::created_at, users::id)).select(UserRow::as_select()).load(conn)?;
            Ok(rows.into_iter().map(User::try_from).collect::<Result<_>>()?)
        })
    }

    fn edit_user(&self, id: UserId, edit: &mut dyn FnMut(&mut User) -> Result<()>) -> Result<User> {
        let load = |conn: &mut Conn| Ok(load_user(conn, id)?.ok_or(StoreError::NotFound("user"))?);
        self.edit(load, edit, |conn, stored, wanted| {
            let User { email, name, .. } = wanted;
            check_email(&email)?;
            check_name(&name)?;
            keep_addresses_apart(conn, &folded(&email), &id.to_string())?;
            rename_inviter(conn, &id.to_string(), &email)?;
            diesel::update(users::table.find(id.to_string()))
                .set((users::email.eq(&email), users::email_folded.eq(folded(&email)), users::name.eq(&name)))
                .execute(conn)?;
            Ok(User { email, name, ..stored })
        })
    }

    fn set_password(&self, id: UserId, hash: &PasswordHash) -> Result<()> {
        self.write(|conn| super::people::set_password(conn, id, hash, None))
    }

    fn delete_password(&self, id: UserId) -> Result<()> {
        self.set_password(id, &PasswordHash::from_stored(String::new()))
    }

    fn delete_user(&self, id: UserId) -> Result<()> {
        self.write(|conn| delete(conn, id))
    }

    fn has_users(&self) -> Result<bool> {
        self.ask(|conn| Ok(diesel::select(exists(users::table.select(users::id))).get_result(conn)?))
    }
}
