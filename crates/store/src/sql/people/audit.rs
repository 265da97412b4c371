use diesel::prelude::*;
use zenovay_domain::{TeamId, Timestamp, UserId};

use super::super::SqlStore;
use super::super::rows::decode;
use super::super::teams::load_team;
use crate::people_schema::audit_entries::{self, dsl};
use crate::{AUDIT_MAX, AuditEntry, AuditStore, NewAuditEntry, Result, StoreError};

#[derive(Queryable, Selectable)]
#[diesel(table_name = audit_entries)]
struct EntryRow {
    id: i64,
    at: i64,
    team_id: Option<String>,
    user_id: Option<String>,
    key_id: Option<String>,
    actor: String,
    action: String,
    target: String,
    details: String,
}

impl TryFrom<EntryRow> for AuditEntry {
    type Error = StoreError;

    fn try_from(row: EntryRow) -> Result<Self> {
        let id = row.id.to_string();
        let user = row.user_id.map(|user| decode("audit_entries", "user_id", &id, &user)).transpose()?;
        let team = row.team_id.map(|team| decode("audit_entries", "team_id", &id, &team)).transpose()?;
        let key = row.key_id.map(|key| decode("audit_entries", "key_id", &id, &key)).transpose()?;
        Ok(Self {
            id: row.id,
            at: Timestamp::from_millis(row.at),
            team_id: team,
            user_id: user,
            key_id: key,
            actor: row.actor,
            action: row.action,
            target: row.target,
            details: row.details,
        })
    }
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl AuditStore for SqlStore {
    fn record_audit(&self, entry: &NewAuditEntry<'_>) -> Result<()> {
        self.write(|conn| {
            if let Some(team) = entry.team_id
                && load_team(conn, team)?.is_none()
            {
                return Ok(());
            }
            let (team, user) = (entry.team_id.map(|id| id.to_string()), entry.user_id.map(|id| id.to_string()));
            diesel::insert_into(audit_entries::table)
                .values((
                    dsl::at.eq(entry.at.as_millis()),
                    dsl::team_id.eq(&team),
                    dsl::user_id.eq(&user),
                    dsl::key_id.eq(entry.key_id.map(|id| id.to_string())),
                    dsl::actor.eq(entry.actor),
                    dsl::action.eq(entry.action),
                    dsl::target.eq(entry.target),
                    dsl::details.eq(entry.details),
                ))
                .execute(conn)?;
            // The newest that is too many, by the index.
            let mut ids = audit_entries::table.select(dsl::id).order(dsl::id.desc()).into_boxed();
            ids = match (&team, &user) {
                (Some(team), _) => ids.filter(dsl::team_id.eq(team)),
                (None, Some(user)) => ids.filter(dsl::user_id.eq(user).and(dsl::team_id.is_null())),
                (None, None) => return Ok(()),
            };
            let last: Option<i64> = ids.offset(rows(AUDIT_MAX)).limit(1).first(conn).optional()?;
            if let Some(last) = last {
                let old = audit_entries::table.filter(dsl::id.le(last));
                match (team, user) {
                    (Some(team), _) => diesel::delete(old.filter(dsl::team_id.eq(team))).execute(conn)?,
                    (None, user) => {
                        let own = dsl::user_id.eq(user).and(dsl::team_id.is_null());
                        diesel::delete(old.filter(own)).execute(conn)?
                    }
                };
            }
            Ok(())
        })
    }

    fn audit(&self, team: TeamId, before: Option<i64>, limit: usize) -> Result<Vec<AuditEntry>> {
        let found: Vec<EntryRow> = self.ask(|conn| {
            let entries = audit_entries::table
                .filter(dsl::team_id.eq(team.to_string()).and(dsl::id.lt(before.unwrap_or(i64::MAX))))
                .order(dsl::id.desc())
                .limit(rows(limit))
                .select(EntryRow::as_select());
            Ok(entries.load(conn)?)
        })?;
        found.into_iter().map(AuditEntry::try_from).collect()
    }

    fn audit_of_user(&self, user: UserId, limit: usize) -> Result<Vec<AuditEntry>> {
        let found: Vec<EntryRow> = self.ask(|conn| {
            let entries = audit_entries::table
                .filter(dsl::user_id.eq(user.to_string()))
                .order(dsl::id.desc())
                .limit(rows(limit))
                .select(EntryRow::as_select());
            Ok(entries.load(conn)?)
        })?;
        found.into_iter().map(AuditEntry::try_from).collect()
    }
}
