use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::upsert::excluded;
use zenovay_domain::{TeamId, Timestamp, WebsiteId};

use super::super::SqliteStore;
use super::super::errors::Done;
use super::super::rows::{damaged, decode};
use crate::month::month_of;
use crate::people_schema::event_months;
use crate::schema::{deleted_websites, teams, websites};
use crate::{EventMonth, EventMonthStore, Result};

fn uncounted(conn: &mut SqliteConnection, website: WebsiteId) -> Done<Option<TeamId>> {
    let team = deleted_websites::table.find(website.to_string()).select(deleted_websites::team_id);
    let Some(team) = team.first::<Option<String>>(conn).optional()?.flatten() else { return Ok(None) };
    if !diesel::select(exists(teams::table.find(&team))).get_result::<bool>(conn)? {
        return Ok(None);
    }
    Ok(Some(decode("deleted_websites", "team_id", &website.to_string(), &team)?))
}

impl EventMonthStore for SqliteStore {
    fn event_month(&self, team: TeamId, month: Timestamp) -> Result<EventMonth> {
        let id = team.to_string();
        self.read(|conn| {
            let mut ids: Vec<String> = websites::table
                .filter(websites::team_id.eq(&id))
                .order(websites::id)
                .select(websites::id)
                .load(conn)?;
            let deleted = deleted_websites::table.filter(deleted_websites::team_id.eq(&id));
            let deleted: Vec<String> =
                deleted.order(deleted_websites::website_id).select(deleted_websites::website_id).load(conn)?;
            ids.extend(deleted);
            let row = event_months::table.find((&id, month_of(month))).select(event_months::removed);
            let removed: Option<i64> = row.first(conn).optional()?;
            let removed = u64::try_from(removed.unwrap_or(0)).map_err(|_| damaged("event_months", "removed", &id))?;
            let websites = ids.iter().map(|id| decode("websites", "id", id, id)).collect::<Result<_>>()?;
            Ok(EventMonth { websites, removed })
        })
    }

    fn uncounted_team(&self, website: WebsiteId) -> Result<Option<TeamId>> {
        self.read(|conn| uncounted(conn, website))
    }

    fn keep_counts(&self, website: WebsiteId, months: &[(Timestamp, u64)]) -> Result<()> {
        self.write(|conn| {
            if let Some(team) = uncounted(conn, website)? {
                for (month, events) in months {
                    diesel::insert_into(event_months::table)
                        .values((
                            event_months::team_id.eq(team.to_string()),
                            event_months::month.eq(month_of(*month)),
                            event_months::removed.eq(i64::try_from(*events).unwrap_or(i64::MAX)),
                        ))
                        .on_conflict((event_months::team_id, event_months::month))
                        .do_update()
                        .set(event_months::removed.eq(event_months::removed + excluded(event_months::removed)))
                        .execute(conn)?;
                }
            }
            diesel::update(deleted_websites::table.find(website.to_string()))
                .set(deleted_websites::team_id.eq(None::<String>))
                .execute(conn)?;
            Ok(())
        })
    }

    fn begin_telling(&self, team: TeamId, month: Timestamp, percent: u8) -> Result<Option<u8>> {
        let (id, month) = (team.to_string(), month_of(month));
        self.write(|conn| {
            let row = event_months::table.find((&id, month));
            let told: Option<i32> = row.select(event_months::told).first(conn).optional()?;
            let before = u8::try_from(told.unwrap_or(0)).map_err(|_| damaged("event_months", "told", &id))?;
            // A team that was deleted a moment ago has nobody to tell.
            if before >= percent || !diesel::select(exists(teams::table.find(&id))).get_result::<bool>(conn)? {
                return Ok(None);
            }
            diesel::insert_into(event_months::table)
                .values((
                    event_months::team_id.eq(&id),
                    event_months::month.eq(month),
                    event_months::told.eq(i32::from(percent)),
                ))
                .on_conflict((event_months::team_id, event_months::month))
                .do_update()
                .set(event_months::told.eq(excluded(event_months::told)))
                .execute(conn)?;
            Ok(Some(before))
        })
    }

    fn end_telling(&self, team: TeamId, month: Timestamp, percent: u8, before: u8) -> Result<()> {
        self.write(|conn| {
            let row = event_months::table.find((team.to_string(), month_of(month)));
            diesel::update(row.filter(event_months::told.eq(i32::from(percent))))
                .set(event_months::told.eq(i32::from(before)))
                .execute(conn)?;
            Ok(())
        })
    }
}
