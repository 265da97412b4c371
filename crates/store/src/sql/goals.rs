use diesel::prelude::*;
use zenovay_domain::{
    FUNNEL_STEPS_MAX, FUNNEL_STEPS_MIN, Funnel, FunnelId, FunnelStep, Goal, GoalId, Timestamp, WebsiteId,
};

use super::failed::Done;
use super::rows::{check_name, damaged, decode};
use super::websites::load_website;
use super::{Conn, SqlStore};
use crate::schema::{funnels, goals};
use crate::{FUNNELS_MAX, GOALS_MAX, GoalStore, Result, StoreError};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = goals)]
struct GoalRow {
    id: String,
    website_id: String,
    name: String,
    target: String,
    created_at: i64,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = funnels)]
struct FunnelRow {
    id: String,
    website_id: String,
    name: String,
    steps: String,
    created_at: i64,
}

impl GoalRow {
    fn of(goal: &Goal) -> Result<Self> {
        check_name(&goal.name)?;
        let id = goal.id.to_string();
        let target = serde_json::to_string(&goal.target).map_err(|_| damaged("goals", "target", &id))?;
        Ok(Self {
            id,
            website_id: goal.website.to_string(),
            name: goal.name.clone(),
            target,
            created_at: goal.created_at.as_millis(),
        })
    }
}

impl TryFrom<GoalRow> for Goal {
    type Error = StoreError;

    fn try_from(row: GoalRow) -> Result<Self> {
        let (id, website) =
            (decode("goals", "id", &row.id, &row.id)?, decode("goals", "website_id", &row.id, &row.website_id)?);
        let target = serde_json::from_str(&row.target).map_err(|_| damaged("goals", "target", &row.id))?;
        Ok(Self::new(id, website, row.name, target, Timestamp::from_millis(row.created_at)))
    }
}

impl FunnelRow {
    fn of(funnel: &Funnel) -> Result<Self> {
        check_name(&funnel.name)?;
        if !(FUNNEL_STEPS_MIN..=FUNNEL_STEPS_MAX).contains(&funnel.steps.len()) {
            let reason = format!("a funnel has {FUNNEL_STEPS_MIN} to {FUNNEL_STEPS_MAX} steps");
            return Err(StoreError::Invalid { field: "steps", reason });
        }
        let id = funnel.id.to_string();
        let steps = serde_json::to_string(&funnel.steps).map_err(|_| damaged("funnels", "steps", &id))?;
        Ok(Self {
            id,
            website_id: funnel.website.to_string(),
            name: funnel.name.clone(),
            steps,
            created_at: funnel.created_at.as_millis(),
        })
    }
}

impl TryFrom<FunnelRow> for Funnel {
    type Error = StoreError;

    fn try_from(row: FunnelRow) -> Result<Self> {
        let (id, website) =
            (decode("funnels", "id", &row.id, &row.id)?, decode("funnels", "website_id", &row.id, &row.website_id)?);
        let steps = serde_json::from_str(&row.steps).map_err(|_| damaged("funnels", "steps", &row.id))?;
        Ok(Self::new(id, website, row.name, steps, Timestamp::from_millis(row.created_at)))
    }
}

fn load_goals(conn: &mut Conn, website: WebsiteId) -> Done<Vec<Goal>> {
    let rows = goals::table
        .filter(goals::website_id.eq(website.to_string()))
        .order((goals::created_at, goals::id))
        .select(GoalRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(Goal::try_from).collect::<Result<_>>()?)
}

fn load_funnels(conn: &mut Conn, website: WebsiteId) -> Done<Vec<Funnel>> {
    let rows = funnels::table
        .filter(funnels::website_id.eq(website.to_string()))
        .order((funnels::created_at, funnels::id))
        .select(FunnelRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(Funnel::try_from).collect::<Result<_>>()?)
}

/// Refuses one more where `max` are there.
fn check_count(what: &'static str, present: usize, max: usize) -> Result<()> {
    if present < max {
        return Ok(());
    }
    Err(StoreError::Invalid { field: what, reason: format!("a website has at most {max}") })
}

/// Refuses steps that are goals which the website does not have.
fn check_steps(conn: &mut Conn, funnel: &Funnel) -> Done<()> {
    let known = load_goals(conn, funnel.website)?;
    let is_known = |step: &FunnelStep| match step {
        FunnelStep::Goal { id } => known.iter().any(|goal| goal.id == *id),
        FunnelStep::Page(_) | FunnelStep::Event { .. } => true,
    };
    if funnel.steps.iter().all(is_known) { Ok(()) } else { Err(StoreError::NotFound("goal").into()) }
}

impl GoalStore for SqlStore {
    fn create_goal(&self, goal: &Goal) -> Result<()> {
        let row = GoalRow::of(goal)?;
        self.write(|conn| {
            load_website(conn, goal.website)?.ok_or(StoreError::NotFound("website"))?;
            let present = load_goals(conn, goal.website)?;
            if present.iter().any(|other| other.name == goal.name) {
                return Err(StoreError::Conflict("name").into());
            }
            check_count("goals", present.len(), GOALS_MAX)?;
            diesel::insert_into(goals::table).values(row).execute(conn)?;
            Ok(())
        })
    }

    fn goals(&self, website: WebsiteId) -> Result<Vec<Goal>> {
        self.ask(|conn| load_goals(conn, website))
    }

    fn replace_goal(&self, goal: &Goal) -> Result<()> {
        let row = GoalRow::of(goal)?;
        self.write(|conn| {
            let present = load_goals(conn, goal.website)?;
            if !present.iter().any(|other| other.id == goal.id) {
                return Err(StoreError::NotFound("goal").into());
            }
            if present.iter().any(|other| other.name == goal.name && other.id != goal.id) {
                return Err(StoreError::Conflict("name").into());
            }
            diesel::update(goals::table.find(&row.id))
                .set((goals::name.eq(&row.name), goals::target.eq(&row.target)))
                .execute(conn)?;
            Ok(())
        })
    }

    fn delete_goal(&self, website: WebsiteId, id: GoalId) -> Result<()> {
        self.write(|conn| {
            let is_step = |funnel: &Funnel| funnel.steps.contains(&FunnelStep::Goal { id });
            if load_funnels(conn, website)?.iter().any(is_step) {
                return Err(StoreError::Conflict("goal").into());
            }
            let of_website = goals::table.find(id.to_string()).filter(goals::website_id.eq(website.to_string()));
            match diesel::delete(of_website).execute(conn)? {
                0 => Err(StoreError::NotFound("goal").into()),
                _ => Ok(()),
            }
        })
    }

    fn create_funnel(&self, funnel: &Funnel) -> Result<()> {
        let row = FunnelRow::of(funnel)?;
        self.write(|conn| {
            load_website(conn, funnel.website)?.ok_or(StoreError::NotFound("website"))?;
            let present = load_funnels(conn, funnel.website)?;
            if present.iter().any(|other| other.name == funnel.name) {
                return Err(StoreError::Conflict("name").into());
            }
            check_count("funnels", present.len(), FUNNELS_MAX)?;
            check_steps(conn, funnel)?;
            diesel::insert_into(funnels::table).values(row).execute(conn)?;
            Ok(())
        })
    }

    fn funnels(&self, website: WebsiteId) -> Result<Vec<Funnel>> {
        self.ask(|conn| load_funnels(conn, website))
    }

    fn replace_funnel(&self, funnel: &Funnel) -> Result<()> {
        let row = FunnelRow::of(funnel)?;
        self.write(|conn| {
            let present = load_funnels(conn, funnel.website)?;
            if !present.iter().any(|other| other.id == funnel.id) {
                return Err(StoreError::NotFound("funnel").into());
            }
            if present.iter().any(|other| other.name == funnel.name && other.id != funnel.id) {
                return Err(StoreError::Conflict("name").into());
            }
            check_steps(conn, funnel)?;
            diesel::update(funnels::table.find(&row.id))
                .set((funnels::name.eq(&row.name), funnels::steps.eq(&row.steps)))
                .execute(conn)?;
            Ok(())
        })
    }

    fn delete_funnel(&self, website: WebsiteId, id: FunnelId) -> Result<()> {
        self.write(|conn| {
            let of_website = funnels::table.find(id.to_string()).filter(funnels::website_id.eq(website.to_string()));
            match diesel::delete(of_website).execute(conn)? {
                0 => Err(StoreError::NotFound("funnel").into()),
                _ => Ok(()),
            }
        })
    }
}
