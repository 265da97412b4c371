//! What the status page of a server tells: how its parts were, and what an operator wrote about it.

use zenovay_domain::{IncidentId, IncidentPhase, StatusComponent, StatusState, TeamId, Timestamp};

use crate::Result;

/// How long the status page looks back, days.
pub const STATUS_DAYS: i64 = 90;
/// Checks that are no further apart than this, in milliseconds, are taken for one time without a gap.
pub const STATUS_GAP_MS: i64 = 3 * 60_000;
/// The most incidents that are kept. The oldest ones that are over go first.
pub const INCIDENTS_MAX: usize = 500;
/// The most updates of an incident.
pub const INCIDENT_UPDATES_MAX: usize = 100;
/// The longest update of an incident, in characters.
pub const INCIDENT_MESSAGE_MAX: usize = 2_000;

/// Checks one after the other that found the same.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatusChecks {
    /// The first of them.
    pub from: Timestamp,
    /// The last of them.
    pub until: Timestamp,
    /// How each part was.
    pub states: Vec<(StatusComponent, StatusState)>,
}

impl StatusChecks {
    /// One check.
    pub fn new(at: Timestamp, states: Vec<(StatusComponent, StatusState)>) -> Self {
        Self { from: at, until: at, states }
    }
}

/// A time in which a part was in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatusSpan {
    /// The part.
    pub component: StatusComponent,
    /// How it was.
    pub state: StatusState,
    /// The first check that found so.
    pub from: Timestamp,
    /// The last check that found so, or the first one after it that found something else.
    pub until: Timestamp,
}

/// Something that an operator tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// What is wrong, in a few words: 1 to 100 characters.
    pub title: String,
    /// How the parts are that it touches: anything but operational.
    pub state: StatusState,
    /// The parts that it touches, at least one.
    pub components: Vec<StatusComponent>,
    /// When it began; of maintenance, when it is to begin.
    pub began_at: Timestamp,
    /// When maintenance is to end.
    pub ends_at: Option<Timestamp>,
    /// When it was over, as an update said.
    pub resolved_at: Option<Timestamp>,
    /// What was written about it, the oldest first.
    pub updates: Vec<IncidentUpdate>,
}

impl Incident {
    /// An incident that began with its first update.
    pub fn new(
        id: IncidentId,
        title: impl Into<String>,
        state: StatusState,
        components: Vec<StatusComponent>,
        first: IncidentUpdate,
    ) -> Self {
        let began_at = first.at;
        Self {
            id,
            title: title.into(),
            state,
            components,
            began_at,
            ends_at: None,
            resolved_at: None,
            updates: vec![first],
        }
    }

    /// When it is over, as far as that is known: when an operator said so, or when maintenance was to end.
    pub fn over_at(&self) -> Option<Timestamp> {
        match (self.resolved_at, self.ends_at) {
            (Some(resolved), Some(ends)) => Some(resolved.min(ends)),
            (resolved, ends) => resolved.or(ends),
        }
    }

    /// Whether it goes on at `now`.
    pub fn is_on(&self, now: Timestamp) -> bool {
        self.began_at <= now && self.over_at().is_none_or(|over| now < over)
    }
}

/// What was written about an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IncidentUpdate {
    /// When.
    pub at: Timestamp,
    /// How far the incident is.
    pub phase: IncidentPhase,
    /// 1 to [`INCIDENT_MESSAGE_MAX`] characters.
    pub message: String,
}

impl IncidentUpdate {
    /// An update.
    pub fn new(at: Timestamp, phase: IncidentPhase, message: impl Into<String>) -> Self {
        Self { at, phase, message: message.into() }
    }
}

/// The history of a status page.
pub trait StatusStore: Send + Sync {
    /// Adds checks, the oldest first. A check that finds what the last one found makes its span longer, when they are no
    /// further apart than [`STATUS_GAP_MS`]. After a clock that went back, what is later than the checks is forgotten.
    /// With `forget_before`, so is what was over by then, but for the last span of each part before: it tells that a gap
    /// after it was one.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn record_status(&self, checks: &[StatusChecks], forget_before: Option<Timestamp>) -> Result<()>;

    /// All spans, by part and time.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn status_spans(&self) -> Result<Vec<StatusSpan>>;

    /// Adds an incident with its updates.
    ///
    /// # Errors
    ///
    /// `Invalid` for a title, an update, parts or times that cannot be, and when [`INCIDENTS_MAX`] of them go on.
    fn create_incident(&self, incident: &Incident) -> Result<()>;

    /// Adds an update to an incident. One that says that it is resolved ends it.
    ///
    /// # Errors
    ///
    /// `NotFound("incident")`; `Invalid` for an update that cannot be, when the incident was resolved, and when it has
    /// [`INCIDENT_UPDATES_MAX`] updates.
    fn update_incident(&self, id: IncidentId, update: &IncidentUpdate) -> Result<()>;

    /// All incidents, the newest first.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn incidents(&self) -> Result<Vec<Incident>>;

    /// Takes an incident back, with what was written about it.
    ///
    /// # Errors
    ///
    /// `NotFound("incident")`.
    fn delete_incident(&self, id: IncidentId) -> Result<()>;

    /// The team of whoever runs the server: the oldest one. `None` before there is any.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn operators(&self) -> Result<Option<TeamId>>;
}
