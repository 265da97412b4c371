use std::collections::HashMap;

use diesel::prelude::*;
use diesel::upsert::excluded;
use zenovay_domain::{IncidentId, IncidentPhase, StatusComponent, StatusState, TeamId, Timestamp};

use super::failed::Done;
use super::rows::decode;
use super::{Conn, SqlStore, in_write_transaction};
use crate::schema::teams;
use crate::status_schema::{status_incidents as incidents, status_spans as spans, status_updates as updates};
use crate::{
    INCIDENT_MESSAGE_MAX, INCIDENT_UPDATES_MAX, INCIDENTS_MAX, Incident, IncidentUpdate, Result, STATUS_GAP_MS,
    StatusChecks, StatusSpan, StatusStore, StoreError,
};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = spans)]
struct SpanRow {
    component: String,
    state: String,
    from_at: i64,
    until_at: i64,
}

impl TryFrom<SpanRow> for StatusSpan {
    type Error = StoreError;

    fn try_from(row: SpanRow) -> Result<Self> {
        Ok(Self {
            component: decode("status_spans", "component", &row.component, &row.component)?,
            state: decode("status_spans", "state", &row.component, &row.state)?,
            from: Timestamp::from_millis(row.from_at),
            until: Timestamp::from_millis(row.until_at),
        })
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = incidents)]
struct IncidentRow {
    id: String,
    title: String,
    state: String,
    components: String,
    began_at: i64,
    ends_at: Option<i64>,
    resolved_at: Option<i64>,
}

impl From<&Incident> for IncidentRow {
    fn from(incident: &Incident) -> Self {
        let components: Vec<&str> = incident.components.iter().map(|component| component.as_str()).collect();
        Self {
            id: incident.id.to_string(),
            title: incident.title.clone(),
            state: incident.state.to_string(),
            components: components.join(","),
            began_at: incident.began_at.as_millis(),
            ends_at: incident.ends_at.map(Timestamp::as_millis),
            resolved_at: incident.resolved_at.map(Timestamp::as_millis),
        }
    }
}

impl IncidentRow {
    /// The incident with its updates.
    fn read(self, updates: Vec<IncidentUpdate>) -> Result<Incident> {
        let components = self.components.split(',');
        let components = components.map(|name| decode("status_incidents", "components", &self.id, name));
        Ok(Incident {
            components: components.collect::<Result<Vec<StatusComponent>>>()?,
            id: decode("status_incidents", "id", &self.id, &self.id)?,
            state: decode("status_incidents", "state", &self.id, &self.state)?,
            title: self.title,
            began_at: Timestamp::from_millis(self.began_at),
            ends_at: self.ends_at.map(Timestamp::from_millis),
            resolved_at: self.resolved_at.map(Timestamp::from_millis),
            updates,
        })
    }
}

fn invalid(field: &'static str, reason: impl Into<String>) -> StoreError {
    StoreError::Invalid { field, reason: reason.into() }
}

fn check_update(update: &IncidentUpdate) -> Result<()> {
    let message = &update.message;
    let is_readable = message.chars().all(|c| !c.is_control() || c == '\n');
    if message.trim().is_empty() || message.chars().count() > INCIDENT_MESSAGE_MAX || !is_readable {
        return Err(invalid("message", format!("an update has 1 to {INCIDENT_MESSAGE_MAX} characters")));
    }
    Ok(())
}

fn check_incident(incident: &Incident) -> Result<()> {
    let title = &incident.title;
    if title.trim().is_empty() || title.chars().count() > 100 || title.chars().any(char::is_control) {
        return Err(invalid("title", "a title has 1 to 100 characters and no control characters"));
    }
    if incident.state == StatusState::Operational {
        return Err(invalid("state", "use one of maintenance, degraded, outage"));
    }
    let mut components = incident.components.clone();
    components.sort_unstable();
    components.dedup();
    if components.is_empty() || components.len() != incident.components.len() {
        return Err(invalid("components", "name one or more parts, each once"));
    }
    match incident.ends_at {
        Some(_) if incident.state != StatusState::Maintenance => {
            Err(invalid("ends_at", "only maintenance has an end that is known before"))
        }
        Some(ends) if ends <= incident.began_at => Err(invalid("ends_at", "it must be later than the beginning")),
        _ => incident.updates.iter().try_for_each(check_update),
    }
}

/// Adds one run of checks for one part.
fn add_span(conn: &mut Conn, component: StatusComponent, state: StatusState, from: i64, until: i64) -> Done<()> {
    let name = component.as_str();
    let of_component = spans::table.filter(spans::component.eq(name));
    let last = || of_component.order(spans::from_at.desc()).select((spans::from_at, spans::until_at, spans::state));
    let mut previous: Option<(i64, i64, String)> = last().first(conn).optional()?;
    if previous.as_ref().is_some_and(|(_, last_until, _)| *last_until > from.saturating_add(STATUS_GAP_MS)) {
        // The clock went back: what it said before was wrong.
        diesel::delete(of_component.filter(spans::from_at.gt(from))).execute(conn)?;
        diesel::update(of_component.filter(spans::until_at.gt(from))).set(spans::until_at.eq(from)).execute(conn)?;
        previous = last().first(conn).optional()?;
    }
    let near = previous.filter(|(_, last_until, _)| from.saturating_sub(*last_until) <= STATUS_GAP_MS);
    if let Some((last_from, last_until, last_state)) = near {
        let goes_on = last_state == state.as_str();
        let until = if goes_on { until } else { from };
        diesel::update(spans::table.find((name, last_from)))
            .set(spans::until_at.eq(until.max(last_until)))
            .execute(conn)?;
        if goes_on {
            return Ok(());
        }
    }
    let row = SpanRow { component: name.to_owned(), state: state.to_string(), from_at: from, until_at: until };
    diesel::insert_into(spans::table)
        .values(row)
        .on_conflict((spans::component, spans::from_at))
        .do_update()
        .set((spans::state.eq(excluded(spans::state)), spans::until_at.eq(excluded(spans::until_at))))
        .execute(conn)?;
    Ok(())
}

/// Forgets the spans of one part that were over before `before`, but for the last of them.
fn forget_spans(conn: &mut Conn, component: StatusComponent, before: i64) -> Done<()> {
    let old = spans::table.filter(spans::component.eq(component.as_str()).and(spans::until_at.lt(before)));
    let last: Option<i64> = old.order(spans::from_at.desc()).select(spans::from_at).first(conn).optional()?;
    if let Some(last) = last {
        diesel::delete(old.filter(spans::from_at.lt(last))).execute(conn)?;
    }
    Ok(())
}

fn load_incidents(conn: &mut Conn) -> Done<Vec<Incident>> {
    let rows: Vec<IncidentRow> = incidents::table
        .order((incidents::began_at.desc(), incidents::id))
        .select(IncidentRow::as_select())
        .load(conn)?;
    let written: Vec<(String, i64, String, String)> = updates::table
        .order((updates::at, updates::id))
        .select((updates::incident_id, updates::at, updates::phase, updates::message))
        .load(conn)?;
    let mut by_incident: HashMap<String, Vec<IncidentUpdate>> = HashMap::new();
    for (incident, at, phase, message) in written {
        let phase: IncidentPhase = decode("status_updates", "phase", &incident, &phase)?;
        let update = IncidentUpdate { at: Timestamp::from_millis(at), phase, message };
        by_incident.entry(incident).or_default().push(update);
    }
    let read = |row: IncidentRow| {
        let updates = by_incident.remove(&row.id).unwrap_or_default();
        row.read(updates)
    };
    Ok(rows.into_iter().map(read).collect::<Result<_>>()?)
}

fn add_update(conn: &mut Conn, incident: IncidentId, update: &IncidentUpdate) -> Done<()> {
    diesel::insert_into(updates::table)
        .values((
            updates::incident_id.eq(incident.to_string()),
            updates::at.eq(update.at.as_millis()),
            updates::phase.eq(update.phase.as_str()),
            updates::message.eq(&update.message),
        ))
        .execute(conn)?;
    Ok(())
}

impl StatusStore for SqlStore {
    fn record_status(&self, checks: &[StatusChecks], forget_before: Option<Timestamp>) -> Result<()> {
        // A check that a loss of power takes is made again a minute later: it is not worth a flush of the disk.
        self.count(|conn| {
            in_write_transaction(conn, |conn| {
                for run in checks {
                    for &(component, state) in &run.states {
                        add_span(conn, component, state, run.from.as_millis(), run.until.as_millis())?;
                    }
                }
                let Some(before) = forget_before.map(Timestamp::as_millis) else { return Ok(()) };
                StatusComponent::ALL.iter().try_for_each(|&component| forget_spans(conn, component, before))?;
                let is_over = incidents::resolved_at.lt(before).or(incidents::ends_at.lt(before));
                diesel::delete(incidents::table.filter(is_over)).execute(conn)?;
                Ok(())
            })
        })
    }

    fn status_spans(&self) -> Result<Vec<StatusSpan>> {
        let rows: Vec<SpanRow> = self.ask(|conn| {
            let rows = spans::table.order((spans::component, spans::from_at)).select(SpanRow::as_select());
            Ok(rows.load(conn)?)
        })?;
        rows.into_iter().map(StatusSpan::try_from).collect()
    }

    fn create_incident(&self, incident: &Incident) -> Result<()> {
        check_incident(incident)?;
        self.write(|conn| {
            let all = load_incidents(conn)?;
            if all.len() >= INCIDENTS_MAX {
                let Some(oldest) = all.iter().rev().find(|one| one.over_at().is_some()) else {
                    let reason = format!("{INCIDENTS_MAX} incidents go on: say of some that they are resolved");
                    return Err(invalid("title", reason).into());
                };
                diesel::delete(incidents::table.find(oldest.id.to_string())).execute(conn)?;
            }
            diesel::insert_into(incidents::table).values(IncidentRow::from(incident)).execute(conn)?;
            incident.updates.iter().try_for_each(|update| add_update(conn, incident.id, update))
        })
    }

    fn update_incident(&self, id: IncidentId, update: &IncidentUpdate) -> Result<()> {
        check_update(update)?;
        self.write(|conn| {
            let row = incidents::table.find(id.to_string()).select(incidents::resolved_at);
            let resolved_at: Option<Option<i64>> = row.first(conn).optional()?;
            if resolved_at.ok_or(StoreError::NotFound("incident"))?.is_some() {
                return Err(invalid("phase", "the incident is resolved: write a new one").into());
            }
            let written: i64 =
                updates::table.filter(updates::incident_id.eq(id.to_string())).count().get_result(conn)?;
            if usize::try_from(written).unwrap_or(usize::MAX) >= INCIDENT_UPDATES_MAX {
                let reason = format!("an incident has at most {INCIDENT_UPDATES_MAX} updates");
                return Err(invalid("message", reason).into());
            }
            if update.phase == IncidentPhase::Resolved {
                diesel::update(incidents::table.find(id.to_string()))
                    .set(incidents::resolved_at.eq(update.at.as_millis()))
                    .execute(conn)?;
            }
            add_update(conn, id, update)
        })
    }

    fn incidents(&self) -> Result<Vec<Incident>> {
        self.read(load_incidents)
    }

    fn delete_incident(&self, id: IncidentId) -> Result<()> {
        self.write(|conn| match diesel::delete(incidents::table.find(id.to_string())).execute(conn)? {
            0 => Err(StoreError::NotFound("incident").into()),
            _ => Ok(()),
        })
    }

    fn operators(&self) -> Result<Option<TeamId>> {
        let id: Option<String> = self.ask(|conn| {
            let oldest = teams::table.order((teams::created_at, teams::id)).select(teams::id);
            Ok(oldest.first(conn).optional()?)
        })?;
        id.map(|id| decode("teams", "id", &id, &id)).transpose()
    }
}
