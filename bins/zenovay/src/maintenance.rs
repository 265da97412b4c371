//! What a server does beside answering: it destroys old salts, and removes the events of deleted websites and those older
//! than the plan keeps.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use zenovay_domain::{Plan, PlanTable, TeamId, Timestamp};
use zenovay_query::QueryError;
use zenovay_store::{StoreError, TeamStore, WebsiteStore};

use crate::state::AppState;

const DAY_MS: i64 = 24 * 3_600_000;

/// How often the metrics' samples are moved into their buckets and salts whose time is over are destroyed.
const TICK: Duration = Duration::from_secs(5);
/// How often deleted websites are looked for.
const DELETION_INTERVAL: Duration = Duration::from_secs(30);
/// How often old events are looked for.
const RETENTION_INTERVAL: Duration = Duration::from_secs(3_600);

/// A task that failed; it is tried again the next time.
#[derive(Debug, thiserror::Error)]
enum TaskError {
    #[error(transparent)]
    Metadata(#[from] StoreError),
    #[error(transparent)]
    Events(#[from] QueryError),
    #[error(transparent)]
    Salts(#[from] std::io::Error),
}

/// The thread behind it.
pub struct Maintenance {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Maintenance {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub fn start(state: Arc<AppState>) -> std::io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let work = move || {
            let (mut deletion, mut retention) = (Due::now(DELETION_INTERVAL), Due::now(RETENTION_INTERVAL));
            loop {
                state.metrics.upkeep();
                report("folded strings", note_folded(&state));
                report("salts", state.ingest.rotate_salts(state.clock.now()).map_err(TaskError::from));
                if deletion.is_due() {
                    report("deleted websites", delete_websites(&state));
                }
                if retention.is_due() {
                    report("retention", expire(&state));
                }
                if stopped.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout) {
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
        tracing::error!(task, %error, "maintenance failed and is tried again");
    }
}

/// Counts strings that were stored as `(other)`, in the metrics and for `zenovay website show`.
fn note_folded(state: &AppState) -> Result<(), TaskError> {
    let folded = state.events.take_folded();
    for (website, column, events) in &folded {
        metrics::counter!("zenovay_folded_strings_total", "column" => column.as_str()).increment(*events);
        tracing::warn!(%website, %column, events, "too many different strings today: stored as (other)");
    }
    if folded.is_empty() { Ok(()) } else { Ok(state.store.add_folded(&folded, state.clock.now())?) }
}

/// Removes the events of websites that were deleted, by any process.
fn delete_websites(state: &AppState) -> Result<(), TaskError> {
    for id in state.store.deleted_websites()? {
        state.events.delete_website(id)?;
        state.store.mark_events_deleted(id)?;
        tracing::info!(website = %id, "events of a deleted website removed");
    }
    Ok(())
}

/// Removes events that are older than the plan of their team keeps.
fn expire(state: &AppState) -> Result<(), TaskError> {
    let plans: HashMap<TeamId, Plan> = state.store.teams()?.into_iter().map(|team| (team.id, team.plan)).collect();
    let now = state.clock.now();
    for website in state.store.websites()? {
        let plan = plans.get(&website.team_id).copied();
        if let Some(before) = plan.and_then(|plan| kept_since(&state.plans, plan, now)) {
            state.events.expire(website.id, before)?;
        }
    }
    Ok(())
}

/// The instant before which events of a team on `plan` are removed; `None` keeps everything. Whole days in UTC, so that
/// the store has something to do once a day only.
fn kept_since(plans: &PlanTable, plan: Plan, now: Timestamp) -> Option<Timestamp> {
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
