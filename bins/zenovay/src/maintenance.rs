//! What a server does beside answering: it destroys old salts, keeps the counts of dropped bots, removes the events of
//! deleted websites, and hides and later removes those that the plan does not keep. All of it by one guarded clock, which
//! it watches and remembers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use zenovay_domain::{CLOCK_CONFIRMED_MS, Clock, ClockStatus, GuardedClock, Plan, PlanTable, TeamId, Timestamp};
use zenovay_events::{Kept, RETENTION_GRACE_DAYS, Retained};
use zenovay_store::{DroppedHits, StoreError};

use crate::causes::with_causes;
use crate::http::event_quota;
use crate::http::state::AppState;
use crate::keepers::{KeeperError, Keepers};
use crate::shared_limits;

const DAY_MS: i64 = 24 * 3_600_000;

/// How often the metrics' samples are moved into their buckets and salts whose time is over are destroyed.
const TICK: Duration = Duration::from_secs(5);
/// How often deleted websites are looked for.
const DELETION_INTERVAL: Duration = Duration::from_secs(30);
/// How often the server looks how its parts are.
const STATUS_INTERVAL: Duration = Duration::from_secs(60);
/// How often events are looked for that plans keep no longer, or keep again.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);
/// How often hidden events, and counts of dropped bots, are looked for whose time is over.
const REMOVAL_INTERVAL: Duration = Duration::from_secs(3_600);

/// A task that failed; it is tried again the next time.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The metadata cannot be read or written.
    #[error(transparent)]
    Metadata(#[from] StoreError),
    /// Something that keeps data failed.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    /// The salts cannot be written.
    #[error(transparent)]
    Salts(#[from] std::io::Error),
}

/// The thread behind it.
pub struct Maintenance {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Maintenance {
    /// Starts the thread. `clock` is the one behind `state.clock`.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub fn start(state: Arc<AppState>, clock: Arc<GuardedClock>) -> std::io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let work = move || {
            let (mut deletion, mut status) = (Due::now(DELETION_INTERVAL), Due::now(STATUS_INTERVAL));
            let (mut retention, mut removal) = (Due::now(RETENTION_INTERVAL), Due::now(REMOVAL_INTERVAL));
            let mut watch = ClockWatch::default();
            let keepers = state.keepers();
            loop {
                state.metrics.upkeep();
                if let Some(redis) = &state.redis {
                    shared_limits::tell(redis);
                }
                state.activity.look(&state);
                report("folded strings", note_folded(&state));
                watch.look(&clock);
                report("salts", state.ingest.rotate_salts(clock.reading().steady).map_err(TaskError::from));
                // Of several servers one does what is of all.
                let leads = state.claim.leads();
                if status.is_due() && leads {
                    report("status", state.status.check(&state).map_err(TaskError::from));
                }
                if deletion.is_due() && leads {
                    report("deleted websites", delete_websites(&state, &keepers));
                }
                if retention.is_due() && leads {
                    report("clock", state.store.remember_clock(&clock.memory()).map_err(TaskError::from));
                    report("retention", hide(&state, &keepers, &clock));
                }
                if removal.is_due() && leads {
                    report("removal of what is old", remove_old(&keepers, &clock));
                    let over = state.store.forget_what_is_over(clock.reading().steady);
                    report("sign-ins that are over", over.map_err(TaskError::from));
                    let over = state.store.forget_grants_that_are_over(clock.reading().steady);
                    report("MCP grants that are over", over.map_err(TaskError::from));
                }
                let ends = stopped.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout);
                report("dropped bots", keep_dropped_agents(&state));
                report("requests of keys", state.key_log.store(&*state.store).map_err(TaskError::from));
                if ends {
                    if state.claim.leads() {
                        // What comes after it is a gap.
                        report("status", state.status.check(&state).map_err(TaskError::from));
                        report("clock", state.store.remember_clock(&clock.memory()).map_err(TaskError::from));
                    }
                    report("folded strings", note_folded(&state));
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("maintenance".to_owned()).spawn(work)?;
        Ok(Self { stop, thread })
    }

    /// Waits for the task that runs and ends the thread.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("maintenance stopped before");
        }
    }
}

/// Something that is done again after an interval, by a clock that nobody sets.
struct Due {
    next: Instant,
    interval: Duration,
}

impl Due {
    fn now(interval: Duration) -> Self {
        Self { next: Instant::now(), interval }
    }

    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let due = now >= self.next;
        if due {
            self.next = now + self.interval;
        }
        due
    }
}

fn report(task: &'static str, result: Result<(), TaskError>) {
    if let Err(error) = result {
        tracing::error!(task, error = with_causes(&error), "maintenance failed and is tried again");
    }
}

/// Counts strings that were stored as `(other)`, in the metrics and for `zenovay website show`.
fn note_folded(state: &AppState) -> Result<(), TaskError> {
    let folded = state.events.take_folded();
    for (website, column, events) in &folded {
        metrics::counter!("zenovay_folded_strings_total", "column" => column.as_str()).increment(*events);
        tracing::warn!(%website, %column, events, "too many different strings today: stored as (other)");
    }
    if folded.is_empty() { Ok(()) } else { Ok(state.store.add_folded(&folded, state.clock.reading().steady)?) }
}

/// Writes the counts of what was dropped as a bot where `zenovay website bots` reads them. At an error they stay for the
/// next time.
fn keep_dropped_agents(state: &AppState) -> Result<(), TaskError> {
    let counts = state.ingest.take_dropped_agents();
    if counts.is_empty() {
        return Ok(());
    }
    let hits: Vec<DroppedHits> = counts
        .iter()
        .map(|count| {
            let (reason, rule) = (count.reason.to_string(), count.rule);
            DroppedHits::new(count.website, &count.agent, reason, rule, count.hits, count.first_at, count.last_at)
        })
        .collect();
    state.store.count_dropped_agents(&hits, state.clock.now()).map_err(|error| {
        state.ingest.give_back_dropped_agents(counts);
        error.into()
    })
}

/// Removes what is kept of websites that were deleted, by any process. Their events stay counted in the months of their team.
///
/// # Errors
/// The last error, when all others were removed.
pub fn delete_websites(state: &AppState, keepers: &Keepers) -> Result<(), TaskError> {
    let mut failed = Ok(());
    for id in state.store.deleted_websites()? {
        event_quota::keep_counts(state, id)?;
        // The damage of one website keeps no other from being removed.
        if let Err(error) = keepers.delete_website(id) {
            tracing::warn!(website = %id, error = with_causes(&error), "events of a deleted website stay");
            failed = Err(error.into());
            continue;
        }
        state.store.mark_events_deleted(id)?;
        tracing::info!(website = %id, "events of a deleted website removed");
    }
    failed
}

/// Tells in the log and the metrics when the clock is not believed.
#[derive(Default)]
struct ClockWatch {
    doubts: u64,
    is_doubted: bool,
}

impl ClockWatch {
    fn look(&mut self, clock: &GuardedClock) {
        let ClockStatus { doubt, latest, doubts, .. } = clock.status();
        metrics::counter!("zenovay_clock_doubts_total").increment(doubts - self.doubts);
        metrics::gauge!("zenovay_clock_trusted").set(if doubt.is_none() { 1.0 } else { 0.0 });
        // Also when it was over before anybody looked.
        if let Some(latest) = latest.filter(|_| doubts > self.doubts) {
            let hours = CLOCK_CONFIRMED_MS / 3_600_000;
            tracing::warn!(
                "the clock is not believed: it {latest}; nothing is removed before it is right, or has gone on for {hours} hours"
            );
        }
        if doubt.is_none() && (self.is_doubted || doubts > self.doubts) {
            tracing::info!("the clock is believed again");
        }
        (self.doubts, self.is_doubted) = (doubts, doubt.is_some());
    }
}

/// Hides events that are older than the plan of their team keeps, and shows again what it keeps longer than before. By a
/// clock that is not believed nothing is hidden.
fn hide(state: &AppState, keepers: &Keepers, clock: &GuardedClock) -> Result<(), TaskError> {
    let reading = clock.reading();
    let known = if reading.trusted { Some(reading.now) } else { clock.memory().trusted_at };
    let Some(known) = known else { return Ok(()) };
    let plans: HashMap<TeamId, Plan> = state.store.teams()?.into_iter().map(|team| (team.id, team.plan)).collect();
    let kept: Vec<Kept> = state
        .store
        .websites()?
        .into_iter()
        .filter_map(|website| {
            let plan = *plans.get(&website.team_id)?;
            Some(Kept::new(website.id, kept_since(&state.plans, plan, known)))
        })
        .collect();
    let believed = reading.trusted.then_some(reading.now);
    Ok(keepers.retain(&kept, believed, &mut |what| tell(what, known))?)
}

/// Removes what has been hidden for long enough, and what is kept for a time of its own.
fn remove_old(keepers: &Keepers, clock: &GuardedClock) -> Result<(), TaskError> {
    let reading = clock.reading();
    if reading.trusted {
        keepers.remove_old(reading.now, &mut |what| tell(what, reading.now))?;
    }
    Ok(())
}

/// Counts and logs what retention did.
fn tell(what: Retained, now: Timestamp) {
    match what {
        Retained::Hidden { website, before, rows } => {
            metrics::counter!("zenovay_retention_hidden_rows_total").increment(rows);
            let removed_from = removed_from(now);
            tracing::info!(%website, rows, %before, %removed_from, "events that the plan does not keep are hidden");
        }
        Retained::Shown { website, since, rows } => {
            metrics::counter!("zenovay_retention_shown_rows_total").increment(rows);
            let since = since.map_or_else(|| "ever".to_owned(), |since| since.to_string());
            tracing::info!(%website, rows, since, "hidden events are shown again, because the plan keeps them");
        }
        Retained::Waiting { website, before, rows, of } => {
            metrics::counter!("zenovay_retention_large_removals_total").increment(1);
            tracing::warn!(%website, rows, of, %before, "more than a tenth of a website is removed in a day from now");
        }
        Retained::Removed { website, before, rows } => {
            metrics::counter!("zenovay_retention_removed_rows_total").increment(rows);
            tracing::info!(%website, rows, %before, "events that were hidden for {RETENTION_GRACE_DAYS} days are removed");
        }
        what => tracing::info!(?what, "retention"),
    }
}

/// When events that are hidden at `now` are removed, if the server runs every day until then.
pub fn removed_from(now: Timestamp) -> Timestamp {
    now.plus_millis(RETENTION_GRACE_DAYS * DAY_MS)
}

/// The instant before which events of a team on `plan` are hidden; `None` keeps everything. Whole days in UTC, so that
/// the store has something to do once a day only.
pub fn kept_since(plans: &PlanTable, plan: Plan, now: Timestamp) -> Option<Timestamp> {
    let days = plans.limits(plan).retention_days?;
    let today = now.as_millis().div_euclid(DAY_MS).saturating_mul(DAY_MS);
    Some(Timestamp::from_millis(today).plus_millis(-i64::from(days).saturating_mul(DAY_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_kept_for_whole_days() {
        let mut plans = PlanTable::default();
        let now = Timestamp::from_millis(1_781_308_800_000 + 12_345);
        assert_eq!(kept_since(&plans, Plan::Free, now).unwrap().to_string(), "2025-06-13T00:00:00.000Z");
        plans.limits_mut(Plan::Free).retention_days = None;
        assert_eq!(kept_since(&plans, Plan::Free, now), None);
    }

    #[test]
    fn something_is_due_at_once_and_then_not_before_its_interval() {
        let mut due = Due::now(Duration::from_secs(3_600));
        assert!(due.is_due());
        assert!(!due.is_due());
        due.next = Instant::now();
        assert!(due.is_due());
    }
}
