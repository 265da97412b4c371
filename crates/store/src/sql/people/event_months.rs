use std::collections::BTreeMap;

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::upsert::excluded;
use zenovay_domain::{TeamId, Timestamp, WebsiteId};

use super::super::failed::Done;
use super::super::rows::{damaged, decode};
use super::super::sums::capped_sum;
use super::super::{Conn, SqlStore};
use crate::month::month_of;
use crate::people_schema::event_months;
use crate::schema::{deleted_websites, teams, websites};
use crate::{EventMonth, EventMonthStore, Result, TELLING_MS};

fn uncounted(conn: &mut Conn, website: WebsiteId) -> Done<Option<TeamId>> {
    let team = deleted_websites::table.find(website.to_string()).select(deleted_websites::team_id);
    let Some(team) = team.first::<Option<String>>(conn).optional()?.flatten() else { return Ok(None) };
    if !diesel::select(exists(teams::table.find(&team))).get_result::<bool>(conn)? {
        return Ok(None);
    }
    Ok(Some(decode("deleted_websites", "team_id", &website.to_string(), &team)?))
}

/// Adds events to those of a month that are used and not stored any more.
fn add_removed(conn: &mut Conn, team: &str, month: i32, events: i64) -> Done<()> {
    diesel::insert_into(event_months::table)
        .values((event_months::team_id.eq(team), event_months::month.eq(month), event_months::removed.eq(events)))
        .on_conflict((event_months::team_id, event_months::month))
        .do_update()
        .set(event_months::removed.eq(capped_sum!(event_months::removed, excluded(event_months::removed))))
        .execute(conn)?;
    Ok(())
}

impl EventMonthStore for SqlStore {
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
            let row = event_months::table.find((&id, month_of(month)));
            let row = row.select((event_months::removed, event_months::told)).first::<(i64, i32)>(conn).optional()?;
            let (removed, told) = row.unwrap_or_default();
            let removed = u64::try_from(removed).map_err(|_| damaged("event_months", "removed", &id))?;
            let told = u8::try_from(told).map_err(|_| damaged("event_months", "told", &id))?;
            let websites = ids.iter().map(|id| decode("websites", "id", id, id)).collect::<Result<_>>()?;
            Ok(EventMonth { websites, removed, told })
        })
    }

    fn uncounted_team(&self, website: WebsiteId) -> Result<Option<TeamId>> {
        self.read(|conn| uncounted(conn, website))
    }

    fn keep_counts(&self, website: WebsiteId, months: &[(Timestamp, u64)]) -> Result<()> {
        self.write(|conn| {
            if let Some(team) = uncounted(conn, website)? {
                for (month, events) in months {
                    add_removed(conn, &team.to_string(), month_of(*month), i64::try_from(*events).unwrap_or(i64::MAX))?;
                }
            }
            diesel::update(deleted_websites::table.find(website.to_string()))
                .set(deleted_websites::team_id.eq(None::<String>))
                .execute(conn)?;
            Ok(())
        })
    }

    fn keep_erased(&self, website: WebsiteId, events: &[Timestamp]) -> Result<()> {
        let mut months: BTreeMap<i32, i64> = BTreeMap::new();
        for at in events {
            *months.entry(month_of(*at)).or_default() += 1;
        }
        self.write(|conn| {
            let present = websites::table.find(website.to_string()).select(websites::team_id);
            let team: Option<String> = present.first(conn).optional()?;
            let team = match team {
                Some(team) => Some(team),
                // One that was deleted and counted has nothing any more.
                None => uncounted(conn, website)?.map(|team| team.to_string()),
            };
            let Some(team) = team else { return Ok(()) };
            months.iter().try_for_each(|(month, events)| add_removed(conn, &team, *month, *events))
        })
    }

    fn begin_telling(&self, team: TeamId, month: Timestamp, percent: u8, now: Timestamp) -> Result<bool> {
        let (id, month) = (team.to_string(), month_of(month));
        self.write(|conn| {
            let row = event_months::table.find((&id, month));
            let row = row.select((event_months::told, event_months::telling_since));
            let (told, since) = row.first::<(i32, Option<i64>)>(conn).optional()?.unwrap_or_default();
            // A time that is later than now was noted by a clock that was wrong.
            let is_telling =
                since.is_some_and(|since| (0..TELLING_MS).contains(&now.as_millis().saturating_sub(since)));
            // A team that was deleted a moment ago has nobody to tell.
            let is_there: bool = diesel::select(exists(teams::table.find(&id))).get_result(conn)?;
            if told >= i32::from(percent) || is_telling || !is_there {
                return Ok(false);
            }
            diesel::insert_into(event_months::table)
                .values((
                    event_months::team_id.eq(&id),
                    event_months::month.eq(month),
                    event_months::telling_since.eq(now.as_millis()),
                ))
                .on_conflict((event_months::team_id, event_months::month))
                .do_update()
                .set(event_months::telling_since.eq(excluded(event_months::telling_since)))
                .execute(conn)?;
            Ok(true)
        })
    }

    fn end_telling(&self, team: TeamId, month: Timestamp, told: Option<u8>) -> Result<()> {
        self.write(|conn| {
            let row = || event_months::table.find((team.to_string(), month_of(month)));
            diesel::update(row()).set(event_months::telling_since.eq(None::<i64>)).execute(conn)?;
            if let Some(told) = told.map(i32::from) {
                let is_less = event_months::told.lt(told);
                diesel::update(row().filter(is_less)).set(event_months::told.eq(told)).execute(conn)?;
            }
            Ok(())
        })
    }
}
