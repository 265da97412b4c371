//! Rows as they come out of the tables, and how they become values.

use std::str::FromStr;

use diesel::prelude::*;
use zenovay_auth::{KeyDigest, KeyKind, PasswordHash};
use zenovay_domain::{Scopes, TeamId, Timestamp, UserId, Website, WebsiteId};

use crate::schema::{api_keys, teams, users, websites};
use crate::{KeyRecord, Result, StoreError, Team, User};

/// Reads the string of a column, or says which row is damaged.
pub(super) fn decode<T: FromStr>(table: &'static str, column: &'static str, id: &str, text: &str) -> Result<T> {
    text.parse().map_err(|_| damaged(table, column, id))
}

pub(super) fn damaged(table: &'static str, column: &'static str, id: &str) -> StoreError {
    StoreError::Decode { table, column, id: id.to_owned() }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = users)]
pub(super) struct UserRow {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) email_folded: String,
    pub(super) name: String,
    pub(super) password_hash: String,
    pub(super) created_at: i64,
}

impl TryFrom<UserRow> for User {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self> {
        Ok(Self {
            id: decode("users", "id", &row.id, &row.id)?,
            email: row.email,
            name: row.name,
            password_hash: PasswordHash::from_stored(row.password_hash),
            created_at: Timestamp::from_millis(row.created_at),
        })
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = teams)]
pub(super) struct TeamRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) plan: String,
    pub(super) key_policy: String,
    pub(super) created_at: i64,
}

impl TryFrom<TeamRow> for Team {
    type Error = StoreError;

    fn try_from(row: TeamRow) -> Result<Self> {
        Ok(Self {
            id: decode("teams", "id", &row.id, &row.id)?,
            plan: decode("teams", "plan", &row.id, &row.plan)?,
            key_policy: decode("teams", "key_policy", &row.id, &row.key_policy)?,
            name: row.name,
            created_at: Timestamp::from_millis(row.created_at),
        })
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = websites)]
pub(super) struct WebsiteRow {
    pub(super) id: String,
    pub(super) team_id: String,
    pub(super) user_id: Option<String>,
    pub(super) domain: String,
    pub(super) name: String,
    pub(super) tracking_code: String,
    pub(super) settings: String,
    pub(super) created_at: i64,
}

impl TryFrom<WebsiteRow> for Website {
    type Error = StoreError;

    fn try_from(row: WebsiteRow) -> Result<Self> {
        let id = decode("websites", "id", &row.id, &row.id)?;
        let team_id = decode("websites", "team_id", &row.id, &row.team_id)?;
        let tracking_code = decode("websites", "tracking_code", &row.id, &row.tracking_code)?;
        let mut website = Self::new(id, team_id, row.domain, tracking_code, Timestamp::from_millis(row.created_at));
        website.user_id = row.user_id.map(|user| decode("websites", "user_id", &row.id, &user)).transpose()?;
        website.settings = serde_json::from_str(&row.settings).map_err(|_| damaged("websites", "settings", &row.id))?;
        website.name = row.name;
        Ok(website)
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = api_keys)]
pub(super) struct KeyRow {
    pub(super) id: String,
    pub(super) digest: Vec<u8>,
    pub(super) prefix: String,
    pub(super) name: String,
    pub(super) user_id: Option<String>,
    pub(super) team_id: Option<String>,
    pub(super) scopes: String,
    pub(super) team_ids: Option<String>,
    pub(super) website_ids: Option<String>,
    pub(super) created_at: i64,
    pub(super) revoked_at: Option<i64>,
}

impl KeyRow {
    pub(super) fn kind(&self) -> Result<KeyKind> {
        match (&self.user_id, &self.team_id) {
            (Some(user), None) => Ok(KeyKind::Personal(decode::<UserId>("api_keys", "user_id", &self.id, user)?)),
            (None, Some(team)) => Ok(KeyKind::Workspace(decode::<TeamId>("api_keys", "team_id", &self.id, team)?)),
            _ => Err(damaged("api_keys", "user_id", &self.id)),
        }
    }

    pub(super) fn scopes(&self) -> Result<Scopes> {
        decode("api_keys", "scopes", &self.id, &self.scopes)
    }

    pub(super) fn team_ids(&self) -> Result<Option<Vec<TeamId>>> {
        let ids = self.team_ids.as_deref().map(serde_json::from_str).transpose();
        ids.map_err(|_| damaged("api_keys", "team_ids", &self.id))
    }

    pub(super) fn website_ids(&self) -> Result<Option<Vec<WebsiteId>>> {
        let ids = self.website_ids.as_deref().map(serde_json::from_str).transpose();
        ids.map_err(|_| damaged("api_keys", "website_ids", &self.id))
    }

    pub(super) fn record(self, last_used_at: Option<i64>) -> Result<KeyRecord> {
        let digest = self.digest.as_slice().try_into().map_err(|_| damaged("api_keys", "digest", &self.id))?;
        Ok(KeyRecord {
            id: decode("api_keys", "id", &self.id, &self.id)?,
            digest: KeyDigest::from_bytes(digest),
            kind: self.kind()?,
            scopes: self.scopes()?,
            team_ids: self.team_ids()?,
            website_ids: self.website_ids()?,
            prefix: self.prefix,
            name: self.name,
            created_at: Timestamp::from_millis(self.created_at),
            revoked_at: self.revoked_at.map(Timestamp::from_millis),
            last_used_at: last_used_at.map(Timestamp::from_millis),
        })
    }
}

/// A list of ids as the JSON string that is stored.
pub(super) fn id_list<T: std::fmt::Display>(ids: &[T]) -> String {
    serde_json::Value::from_iter(ids.iter().map(T::to_string)).to_string()
}

/// A name that people see: 1 to 100 characters, not only spaces, no control characters.
pub(super) fn check_name(name: &str) -> Result<()> {
    let valid = name.chars().take(101).count() <= 100 && !name.trim().is_empty() && !name.chars().any(char::is_control);
    if valid {
        return Ok(());
    }
    let reason = "a name has 1 to 100 characters and no control characters".to_owned();
    Err(StoreError::Invalid { field: "name", reason })
}
