use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::upsert::excluded;
use zenovay_auth::Credential;
use zenovay_domain::{
    Dimension, InvalidSetting, Plan, PlanTable, TeamId, Timestamp, TrackingCode, Website, WebsiteId, WebsiteRules,
    WebsiteSettings, parse_domain,
};

use super::failed::Done;
use super::rows::{WebsiteRow, check_name, damaged, decode};
use super::sums::capped_sum;
use super::teams::load_team;
use super::{Conn, SqlStore};
use crate::schema::{deleted_websites, folded_strings, websites};
use crate::{Folded, NewWebsite, Result, StoreError, WebsiteStore};

const DAY_MS: i64 = 86_400_000;
/// How long counts of folded strings are kept.
const FOLDED_DAYS: i64 = 30;

/// Refuses one more where `limit` are there.
pub(super) fn check_plan_limit(plan: Plan, what: &'static str, limit: Option<u32>, present: i64) -> Result<()> {
    match limit {
        Some(limit) if present >= i64::from(limit) => Err(StoreError::PlanLimit { plan, what, limit }),
        _ => Ok(()),
    }
}

pub(crate) fn load_website(conn: &mut Conn, id: WebsiteId) -> Done<Option<Website>> {
    let row = websites::table.find(id.to_string()).select(WebsiteRow::as_select()).first(conn).optional()?;
    Ok(row.map(Website::try_from).transpose()?)
}

pub(crate) fn load_website_by_code(conn: &mut Conn, code: &TrackingCode) -> Done<Option<Website>> {
    let row = websites::table
        .filter(websites::tracking_code.eq(code.as_str()))
        .select(WebsiteRow::as_select())
        .first(conn)
        .optional()?;
    Ok(row.map(Website::try_from).transpose()?)
}

/// Checks what can be written in the place of the settings `before`, and brings the domain into its stored form: what is stored
/// can be compiled to the rules by which hits are judged.
fn checked(mut website: Website, before: &WebsiteSettings) -> Result<Website> {
    let invalid = |InvalidSetting { setting, problem, .. }| StoreError::Invalid { field: setting, reason: problem };
    website.domain = parse_domain(&website.domain)
        .map_err(|problem| StoreError::Invalid { field: "domain", reason: problem.to_string() })?;
    check_name(&website.name)?;
    WebsiteRules::compile(&website).map_err(invalid)?;
    WebsiteRules::check_written(&website.settings, before).map_err(invalid)?;
    Ok(website)
}

fn settings_text(website: &Website) -> Result<String> {
    serde_json::to_string(&website.settings).map_err(|_| damaged("websites", "settings", &website.id.to_string()))
}

/// See [`WebsiteStore::delete_website`].
pub(super) fn delete_website(conn: &mut Conn, id: WebsiteId, now: Timestamp) -> Done<()> {
    let row = diesel::delete(websites::table.find(id.to_string())).returning(websites::team_id);
    let team: Option<String> = row.get_result(conn).optional()?;
    let team = team.ok_or(StoreError::NotFound("website"))?;
    diesel::insert_into(deleted_websites::table)
        .values((
            deleted_websites::website_id.eq(id.to_string()),
            deleted_websites::deleted_at.eq(now.as_millis()),
            deleted_websites::team_id.eq(team),
        ))
        .execute(conn)?;
    super::keys::drop_website_from_keys(conn, id, now)
}

impl WebsiteStore for SqlStore {
    fn create_website(&self, new: &NewWebsite, plans: &PlanTable, now: Timestamp) -> Result<Website> {
        let mut website = Website::new(new.id, new.team_id, &*new.domain, new.tracking_code.clone(), now)
            .with_settings(new.settings.clone());
        website.user_id = new.user_id;
        website.name.clone_from(&new.name);
        let website = checked(website, &WebsiteSettings::default())?;
        let row = WebsiteRow {
            id: website.id.to_string(),
            team_id: website.team_id.to_string(),
            user_id: website.user_id.map(|user| user.to_string()),
            domain: website.domain.clone(),
            name: website.name.clone(),
            tracking_code: website.tracking_code.to_string(),
            settings: settings_text(&website)?,
            created_at: now.as_millis(),
        };
        self.write(|conn| {
            let team = load_team(conn, new.team_id)?.ok_or(StoreError::NotFound("team"))?;
            let present = websites::table.filter(websites::team_id.eq(&row.team_id)).count().get_result(conn)?;
            check_plan_limit(team.plan, "websites", plans.limits(team.plan).websites, present)?;
            let taken = exists(websites::table.filter(websites::tracking_code.eq(&row.tracking_code)));
            if diesel::select(taken).get_result(conn)? {
                return Err(StoreError::Conflict("tracking code").into());
            }
            diesel::insert_into(websites::table).values(row).execute(conn)?;
            Ok(())
        })?;
        Ok(website)
    }

    fn website(&self, id: WebsiteId) -> Result<Option<Website>> {
        self.ask(|conn| load_website(conn, id))
    }

    fn website_by_code(&self, code: &TrackingCode) -> Result<Option<Website>> {
        self.ask(|conn| load_website_by_code(conn, code))
    }

    fn websites(&self) -> Result<Vec<Website>> {
        self.ask(|conn| {
            let rows = websites::table
                .order((websites::created_at, websites::id))
                .select(WebsiteRow::as_select())
                .load(conn)?;
            Ok(rows.into_iter().map(Website::try_from).collect::<Result<_>>()?)
        })
    }

    fn reachable_websites(&self, credential: &Credential, plans: &PlanTable) -> Result<Vec<Website>> {
        let teams: Vec<String> = credential.reachable_teams().map(|team| team.team_id.to_string()).collect();
        let rows = self.ask(|conn| {
            let rows = websites::table
                .filter(websites::team_id.eq_any(teams))
                .order((websites::created_at, websites::id))
                .select(WebsiteRow::as_select());
            Ok(rows.load(conn)?)
        })?;
        let websites = rows.into_iter().map(Website::try_from).collect::<Result<Vec<_>>>()?;
        Ok(websites.into_iter().filter(|website| credential.reaches(website.id, website.team_id, plans)).collect())
    }

    fn edit_website(&self, id: WebsiteId, edit: &mut dyn FnMut(&mut Website) -> Result<()>) -> Result<Website> {
        let load = |conn: &mut Conn| Ok(load_website(conn, id)?.ok_or(StoreError::NotFound("website"))?);
        self.edit(load, edit, |conn, stored, wanted| {
            let wanted = checked(wanted, &stored.settings)?;
            let mut website = stored;
            (website.domain, website.name, website.settings) = (wanted.domain, wanted.name, wanted.settings);
            diesel::update(websites::table.find(id.to_string()))
                .set((
                    websites::domain.eq(&website.domain),
                    websites::name.eq(&website.name),
                    websites::settings.eq(settings_text(&website)?),
                ))
                .execute(conn)?;
            Ok(website)
        })
    }

    fn set_tracking_code(&self, id: WebsiteId, code: &TrackingCode) -> Result<Website> {
        self.write(|conn| {
            let taken = exists(websites::table.filter(websites::tracking_code.eq(code.as_str())));
            if diesel::select(taken).get_result(conn)? {
                return Err(StoreError::Conflict("tracking code").into());
            }
            let changed = diesel::update(websites::table.find(id.to_string()))
                .set(websites::tracking_code.eq(code.as_str()))
                .execute(conn)?;
            if changed == 0 {
                return Err(StoreError::NotFound("website").into());
            }
            Ok(load_website(conn, id)?.ok_or(StoreError::NotFound("website"))?)
        })
    }

    fn websites_of_teams(&self, teams: &[TeamId]) -> Result<Vec<Website>> {
        let teams: Vec<String> = teams.iter().map(TeamId::to_string).collect();
        let rows = self.ask(|conn| {
            let rows = websites::table
                .filter(websites::team_id.eq_any(teams))
                .order((websites::created_at, websites::id))
                .select(WebsiteRow::as_select());
            Ok(rows.load(conn)?)
        })?;
        rows.into_iter().map(Website::try_from).collect()
    }

    fn delete_website(&self, id: WebsiteId, now: Timestamp) -> Result<()> {
        self.write(|conn| delete_website(conn, id, now))
    }

    fn deleted_websites(&self) -> Result<Vec<WebsiteId>> {
        let ids: Vec<String> = self.ask(|conn| {
            let ids = deleted_websites::table.order(deleted_websites::deleted_at).select(deleted_websites::website_id);
            Ok(ids.load(conn)?)
        })?;
        ids.iter().map(|id| decode("deleted_websites", "website_id", id, id)).collect()
    }

    fn mark_events_deleted(&self, id: WebsiteId) -> Result<()> {
        self.write(|conn| {
            diesel::delete(deleted_websites::table.find(id.to_string())).execute(conn)?;
            Ok(())
        })
    }

    fn add_folded(&self, folded: &[(WebsiteId, Dimension, u64)], now: Timestamp) -> Result<()> {
        let day = now.as_millis().div_euclid(DAY_MS);
        self.write(|conn| {
            let old = folded_strings::table.filter(folded_strings::day.lt(day - FOLDED_DAYS));
            diesel::delete(old).execute(conn)?;
            for (website, column, events) in folded {
                if load_website(conn, *website)?.is_none() {
                    continue;
                }
                diesel::insert_into(folded_strings::table)
                    .values((
                        folded_strings::website_id.eq(website.to_string()),
                        folded_strings::field.eq(column.as_str()),
                        folded_strings::day.eq(day),
                        folded_strings::events.eq(i64::try_from(*events).unwrap_or(i64::MAX)),
                    ))
                    .on_conflict((folded_strings::website_id, folded_strings::field, folded_strings::day))
                    .do_update()
                    .set(
                        folded_strings::events
                            .eq(capped_sum!(folded_strings::events, excluded(folded_strings::events))),
                    )
                    .execute(conn)?;
            }
            Ok(())
        })
    }

    fn folded(&self, id: WebsiteId) -> Result<Vec<Folded>> {
        let rows: Vec<(String, i64, i64)> = self.ask(|conn| {
            let rows = folded_strings::table
                .filter(folded_strings::website_id.eq(id.to_string()))
                .order((folded_strings::day.desc(), folded_strings::field))
                .select((folded_strings::field, folded_strings::day, folded_strings::events));
            Ok(rows.load(conn)?)
        })?;
        let folded = |(field, day, events): (String, i64, i64)| {
            let column = field.parse().map_err(|_| damaged("folded_strings", "field", &field))?;
            let events = u64::try_from(events).map_err(|_| damaged("folded_strings", "events", &field))?;
            Ok(Folded { day: Timestamp::from_millis(day.saturating_mul(DAY_MS)), column, events })
        };
        rows.into_iter().map(folded).collect()
    }
}
