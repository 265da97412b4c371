//! How the parts of the server are: the server's own checks, what is kept of them, and what a status page makes of it.

use std::sync::Arc;

use parking_lot::Mutex;
use zenovay_domain::{StatusComponent, StatusState, Timestamp};
use zenovay_store::{Incident, STATUS_DAYS, STATUS_GAP_MS, StatusChecks, StatusSpan, StoreError};

use crate::http::state::AppState;

const DAY_MS: i64 = 24 * 3_600_000;
/// So many checks in a row have to fail before a part is out of order; until then it is degraded.
const FAILED_CHECKS: u8 = 3;
/// The most runs of checks that wait while they cannot be stored; the oldest are dropped.
const PENDING_MAX: usize = 1_000;

/// What one check of a part found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    Works,
    WorksInPart,
    Fails,
}

/// How long what was made of the checks is told to others: as long as caches in between keep it.
const REPORT_MS: i64 = 10_000;

/// The checks of this process.
#[derive(Debug, Default)]
pub struct StatusWatch {
    watch: Mutex<Watch>,
    /// What was told last. Whoever asks while it is made waits for it.
    report: Mutex<Option<KnownReport>>,
}

/// A report, and until when it holds.
#[derive(Debug)]
struct KnownReport {
    report: Arc<StatusReport>,
    version: i64,
    made_at: Timestamp,
    holds_until: Timestamp,
}

impl KnownReport {
    fn new(report: StatusReport, version: i64, now: Timestamp) -> Self {
        let changes = report.incidents.iter().flat_map(|incident| [Some(incident.began_at), incident.over_at()]);
        let next = changes.flatten().filter(|change| *change > now).min();
        let until = now.plus_millis(REPORT_MS);
        let holds_until = next.map_or(until, |next| next.min(until));
        Self { report: Arc::new(report), version, made_at: now, holds_until }
    }

    /// Whether it is what would be made at `now`, but for seconds that went by as they were.
    fn holds(&self, version: i64, checked_at: Option<Timestamp>, now: Timestamp) -> bool {
        let is_present = (self.version, Some(self.report.checked_at)) == (version, checked_at);
        is_present && (self.made_at..self.holds_until).contains(&now)
    }
}

#[derive(Debug, Default)]
struct Watch {
    /// Checks that are not stored yet, the oldest first.
    pending: Vec<StatusChecks>,
    latest: Option<StatusChecks>,
    /// How many checks in a row failed, by part.
    failed: [u8; StatusComponent::ALL.len()],
    /// Whether the last checks could not be stored.
    is_behind: bool,
}

impl StatusWatch {
    /// Looks how the parts of `state` are, and stores it. Blocks.
    ///
    /// # Errors
    /// When it cannot be stored now; it is with the next check.
    pub fn check(&self, state: &AppState) -> Result<(), StoreError> {
        let reading = state.clock.reading();
        let mut watch = self.watch.lock();
        let found = look(state, watch.is_behind);
        let states = found.into_iter().zip(&mut watch.failed).map(|((component, finding), failed)| {
            *failed = if finding == Finding::Fails { failed.saturating_add(1) } else { 0 };
            let state = match finding {
                Finding::Works => StatusState::Operational,
                Finding::Fails if *failed >= FAILED_CHECKS => StatusState::Outage,
                Finding::WorksInPart | Finding::Fails => StatusState::Degraded,
            };
            (component, state)
        });
        let checked = StatusChecks::new(reading.steady, states.collect());
        watch.add(checked);
        // What is old is forgotten by a clock that is believed.
        let forget_before = reading.trusted.then(|| reading.now.plus_millis(-STATUS_DAYS * DAY_MS));
        let stored = state.store.record_status(&watch.pending, forget_before);
        watch.is_behind = stored.is_err();
        if stored.is_ok() {
            watch.pending.clear();
        }
        stored
    }

    /// The last check, and those that are not stored yet. The first one is made when there is none. Blocks.
    fn latest(&self, state: &AppState) -> (Option<StatusChecks>, Vec<StatusChecks>) {
        if self.watch.lock().latest.is_none()
            && let Err(error) = self.check(state)
        {
            tracing::warn!(%error, "how the server is could not be stored");
        }
        let watch = self.watch.lock();
        (watch.latest.clone(), watch.pending.clone())
    }
}

impl Watch {
    fn add(&mut self, checked: StatusChecks) {
        self.latest = Some(checked.clone());
        match self.pending.last_mut() {
            Some(last)
                if last.states == checked.states
                    && (0..=STATUS_GAP_MS).contains(&checked.from.millis_since(last.until)) =>
            {
                last.until = checked.until;
            }
            _ => self.pending.push(checked),
        }
        if self.pending.len() > PENDING_MAX {
            self.pending.remove(0);
        }
    }
}

/// Looks how each part is. `is_behind`: the metadata could not be written last time.
fn look(state: &AppState, is_behind: bool) -> [(StatusComponent, Finding); StatusComponent::ALL.len()] {
    let metadata = state.store.data_version().and_then(|_| state.store.has_users());
    let answers = match metadata {
        Err(_) => Finding::Fails,
        // What a damaged file holds is not in the answers.
        Ok(_) if !state.events.damages().is_empty() => Finding::WorksInPart,
        Ok(_) => Finding::Works,
    };
    let ingestion = match metadata {
        _ if !state.events.stats().writable => Finding::Fails,
        // Codes that are remembered go on.
        Err(_) => Finding::WorksInPart,
        Ok(_) => Finding::Works,
    };
    let auth = match metadata {
        Err(_) => Finding::Fails,
        // Nobody can sign in anew.
        Ok(_) if is_behind => Finding::WorksInPart,
        Ok(_) => Finding::Works,
    };
    [
        (StatusComponent::Dashboard, answers),
        (StatusComponent::Ingestion, ingestion),
        (StatusComponent::Api, answers),
        (StatusComponent::Auth, auth),
    ]
}

/// What a status page shows.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusReport {
    /// The last check.
    pub checked_at: Timestamp,
    /// The parts, in their order.
    pub components: Vec<ComponentReport>,
    /// Incidents of the time that is shown, and maintenance that is to come; the newest first.
    pub incidents: Vec<Incident>,
}

/// A part on a status page.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentReport {
    /// The part.
    pub component: StatusComponent,
    /// How it is now.
    pub state: StatusState,
    /// The share of the measured time in which it was operational or under maintenance, 0 to 1; `None` before there is any.
    pub uptime: Option<f64>,
    /// The start of each UTC day, the oldest first, with the worst state of the day; `None` when nothing was measured.
    pub days: Vec<(Timestamp, Option<StatusState>)>,
}

impl StatusReport {
    /// How `state` is and was. Blocks.
    ///
    /// # Errors
    /// When the past cannot be read.
    pub fn read(state: &AppState) -> Result<Arc<Self>, StoreError> {
        let now = state.clock.reading().steady;
        // Before anything else is read: what changes after it makes the next report.
        let version = state.store.data_version()?;
        let (latest, pending) = state.status.latest(state);
        let mut known = state.status.report.lock();
        let checked_at = latest.as_ref().map(|latest| latest.until);
        if let Some(known) = known.as_ref().filter(|known| known.holds(version, checked_at, now)) {
            return Ok(Arc::clone(&known.report));
        }
        let (spans, incidents) = (state.store.status_spans()?, state.store.incidents()?);
        let made = KnownReport::new(Self::new(latest, &pending, &spans, incidents, now), version, now);
        let report = Arc::clone(&made.report);
        *known = Some(made);
        Ok(report)
    }

    fn new(
        latest: Option<StatusChecks>,
        pending: &[StatusChecks],
        stored: &[StatusSpan],
        incidents: Vec<Incident>,
        now: Timestamp,
    ) -> Self {
        let latest = latest.unwrap_or_else(|| StatusChecks::new(now, Vec::new()));
        let report = |&component: &StatusComponent| {
            let of_component = stored.iter().filter(|span| span.component == component);
            let mut times: Vec<Time> =
                of_component.map(|span| Time { from: span.from, to: span.until, state: span.state }).collect();
            times.extend(pending.iter().filter_map(|checks| {
                let state = state_of(checks, component)?;
                Some(Time { from: checks.from, to: checks.until, state })
            }));
            let touching: Vec<&Incident> =
                incidents.iter().filter(|incident| incident.components.contains(&component)).collect();
            let measured = state_of(&latest, component).unwrap_or(StatusState::Operational);
            let (days, uptime) = history(&without_gaps(times, now), &touching, now);
            ComponentReport { component, state: told(measured, &touching, now), uptime, days }
        };
        let components = StatusComponent::ALL.iter().map(report).collect();
        let since = first_day(now);
        let incidents = incidents.into_iter().filter(|one| one.over_at().is_none_or(|over| over >= since)).collect();
        Self { checked_at: latest.until, components, incidents }
    }
}

fn state_of(checks: &StatusChecks, component: StatusComponent) -> Option<StatusState> {
    checks.states.iter().find(|(one, _)| *one == component).map(|(_, state)| *state)
}

/// A part in one state, from `from` until `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Time {
    from: Timestamp,
    to: Timestamp,
    state: StatusState,
}

/// The same without gaps, from the first check until `now`: a gap in which several checks are missing is an outage,
/// because the server was down; a shorter one was as the time before it.
fn without_gaps(mut times: Vec<Time>, now: Timestamp) -> Vec<Time> {
    times.sort_by_key(|time| (time.from, time.to));
    let mut whole: Vec<Time> = Vec::with_capacity(times.len() + 1);
    let end = times.last().map(|last| Time { from: now.max(last.to), to: now.max(last.to), state: last.state });
    for time in times.into_iter().chain(end) {
        if let Some(last) = whole.last_mut() {
            if time.from.millis_since(last.to) > STATUS_GAP_MS {
                let gap = Time { from: last.to, to: time.from, state: StatusState::Outage };
                whole.push(gap);
            } else {
                last.to = last.to.max(time.from);
            }
        }
        let from = whole.last().map_or(time.from, |last| last.to.max(time.from));
        whole.push(Time { from, to: from.max(time.to), state: time.state });
    }
    whole
}

/// What is told of a part that was measured so at `at`: the worst of that and of what operators say; announced maintenance
/// is what it is, whatever was measured.
fn told(measured: StatusState, incidents: &[&Incident], at: Timestamp) -> StatusState {
    let said = || incidents.iter().filter(|incident| incident.is_on(at)).map(|incident| incident.state);
    if said().any(|state| state == StatusState::Maintenance) {
        return StatusState::Maintenance;
    }
    said().fold(measured, StatusState::max)
}

/// The start of the first day that is shown.
fn first_day(now: Timestamp) -> Timestamp {
    Timestamp::from_millis((now.as_millis().div_euclid(DAY_MS) - (STATUS_DAYS - 1)).saturating_mul(DAY_MS))
}

/// The worst state of each day until `now`, and the share of all of them that was well.
fn history(
    times: &[Time],
    incidents: &[&Incident],
    now: Timestamp,
) -> (Vec<(Timestamp, Option<StatusState>)>, Option<f64>) {
    let start = first_day(now);
    let mut days: Vec<(Timestamp, Option<StatusState>)> =
        (0..STATUS_DAYS).map(|day| (start.plus_millis(day * DAY_MS), None)).collect();
    // Where what is told may change: between two of these it is the same.
    let mut changes: Vec<Timestamp> = days.iter().map(|(day, _)| *day).collect();
    changes.extend(incidents.iter().flat_map(|incident| [Some(incident.began_at), incident.over_at()]).flatten());
    changes.sort_unstable();
    let (mut well, mut measured) = (0_i64, 0_i64);
    for time in times {
        let mut from = time.from.max(start);
        while from < time.to {
            let next = changes.partition_point(|change| *change <= from);
            let to = changes.get(next).map_or(time.to, |change| time.to.min(*change));
            let state = told(time.state, incidents, from);
            measured += to.millis_since(from);
            if state <= StatusState::Maintenance {
                well += to.millis_since(from);
            }
            let day = usize::try_from(from.millis_since(start).div_euclid(DAY_MS)).unwrap_or(usize::MAX);
            if let Some((_, worst)) = days.get_mut(day) {
                *worst = Some(worst.map_or(state, |worst| worst.max(state)));
            }
            from = to;
        }
    }
    (days, (measured > 0).then(|| well as f64 / measured as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use StatusState::{Degraded, Maintenance, Operational, Outage};
    use zenovay_domain::{IncidentId, IncidentPhase};
    use zenovay_store::IncidentUpdate;

    const MINUTE_MS: i64 = 60_000;

    /// 2026-06-13T12:00:00Z and so many minutes.
    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(1_781_352_000_000 + minutes * MINUTE_MS)
    }

    fn time(from: i64, to: i64, state: StatusState) -> Time {
        Time { from: at(from), to: at(to), state }
    }

    fn incident(state: StatusState, from: i64, to: Option<i64>) -> Incident {
        let first = IncidentUpdate::new(at(from), IncidentPhase::Noticed, "Something is wrong.");
        let id = IncidentId::from_random_bytes([1; 16]);
        let mut incident = Incident::new(id, "Something", state, vec![StatusComponent::Api], first);
        incident.resolved_at = to.map(at);
        incident
    }

    #[test]
    fn a_gap_is_an_outage_and_a_restart_is_none() {
        let times = vec![time(0, 10, Operational), time(12, 20, Operational), time(50, 60, Operational)];
        let whole = without_gaps(times, at(61));
        let states: Vec<_> = whole.iter().filter(|time| time.from < time.to).map(|time| time.state).collect();
        assert_eq!(states, [Operational, Operational, Outage, Operational]);
        assert_eq!(whole[2], time(20, 50, Outage));
        assert!(whole.windows(2).all(|pair| pair[0].to == pair[1].from), "{whole:?}");
        // Nobody looked since: the server hangs.
        assert_eq!(without_gaps(vec![time(0, 10, Operational)], at(60))[1], time(10, 60, Outage));
        assert_eq!(without_gaps(Vec::new(), at(0)), []);
    }

    #[test]
    fn days_have_their_worst_state_and_none_before_the_first_check() {
        let whole = without_gaps(vec![time(0, 1, Operational), time(1, 3, Degraded), time(3, 10, Operational)], at(10));
        let (days, uptime) = history(&whole, &[], at(10));
        assert_eq!((days.len(), days[88].1, days[89]), (90, None, (at(-12 * 60), Some(Degraded))));
        assert_eq!(uptime, Some(0.8));
        assert_eq!(history(&[], &[], at(0)).1, None);
    }

    #[test]
    fn an_outage_over_midnight_is_one_of_both_days() {
        let (midnight, day) = (12 * 60, 24 * 60);
        let times = vec![time(0, midnight - 60, Operational), time(midnight + 60, midnight + day, Operational)];
        let (days, _) = history(&without_gaps(times, at(midnight + day)), &[], at(midnight + day - 1));
        assert_eq!([days[88].1, days[89].1], [Some(Outage), Some(Outage)]);
    }

    #[test]
    fn maintenance_that_was_told_of_is_no_outage() {
        let times = without_gaps(vec![time(0, 10, Operational), time(40, 50, Operational)], at(50));
        let window = incident(Maintenance, 5, Some(45));
        let (days, uptime) = history(&times, &[&window], at(50));
        assert_eq!((days[89].1, uptime), (Some(Maintenance), Some(1.0)));
        // One that ended before the server was back does not cover the rest.
        let short = incident(Maintenance, 5, Some(30));
        let (days, uptime) = history(&times, &[&short], at(50));
        assert_eq!((days[89].1, uptime), (Some(Outage), Some(0.8)));
    }

    #[test]
    fn what_an_operator_says_makes_it_worse_and_never_better() {
        let outage = incident(Outage, 0, Some(10));
        assert_eq!(told(Operational, &[&outage], at(5)), Outage);
        assert_eq!(told(Operational, &[&outage], at(10)), Operational);
        let slow = incident(Degraded, 0, None);
        assert_eq!(told(Outage, &[&slow], at(5)), Outage);
        assert_eq!(told(Outage, &[&incident(Maintenance, 0, None)], at(5)), Maintenance);
        assert_eq!(told(Operational, &[&incident(Maintenance, 6, None)], at(5)), Operational);
    }

    /// Sabotage: keep a report past a change, or past the begin of maintenance.
    #[test]
    fn a_report_is_told_until_something_changes() {
        let latest = StatusChecks::new(at(0), vec![(StatusComponent::Api, Operational)]);
        let known = |incidents: Vec<Incident>| {
            KnownReport::new(StatusReport::new(Some(latest.clone()), &[], &[], incidents, at(0)), 1, at(0))
        };
        let holds =
            |known: &KnownReport, version, checked, ms| known.holds(version, Some(at(checked)), at(0).plus_millis(ms));
        let plain = known(Vec::new());
        assert!(holds(&plain, 1, 0, 0) && holds(&plain, 1, 0, REPORT_MS - 1));
        assert!(!holds(&plain, 1, 0, REPORT_MS), "time went by");
        assert!(!holds(&plain, 1, 0, -1), "the clock was set");
        assert!(!holds(&plain, 2, 0, 0), "an operator wrote");
        assert!(!holds(&plain, 1, 1, 0), "there is another check");
        let mut soon = incident(Maintenance, 0, None);
        soon.began_at = at(0).plus_millis(2_000);
        let soon = known(vec![soon]);
        assert!(holds(&soon, 1, 0, 1_999) && !holds(&soon, 1, 0, 2_000), "maintenance begins");
    }

    #[test]
    fn what_cannot_be_stored_waits_within_bounds() {
        let mut watch = Watch::default();
        for minute in 0..3_000 {
            let state = if minute % 2 == 0 { Operational } else { Degraded };
            watch.add(StatusChecks::new(at(minute), vec![(StatusComponent::Api, state)]));
        }
        assert_eq!((watch.pending.len(), watch.pending[0].from), (PENDING_MAX, at(2_000)));
        let mut watch = Watch::default();
        for minute in 0..3_000 {
            watch.add(StatusChecks::new(at(minute), vec![(StatusComponent::Api, Operational)]));
        }
        assert_eq!((watch.pending.len(), watch.pending[0].until), (1, at(2_999)));
    }
}
