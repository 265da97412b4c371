//! How many events the plan of a team includes in a month, held exactly: every pageview and event takes its place here
//! before it goes to the store, and gives it back when it was not stored. What stands in the store is what counts, so that a
//! new process goes on where the last one ended: a month's count begins as what is stored of it, when it is first asked for.
//! An event is one of the UTC month in which it happened.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use actix_web::web;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use zenovay_domain::{Event, EventKind, Interval, TeamId, TimeRange, Timestamp, Zone};

use super::envelope::ApiError;
use super::lookups;
use super::state::AppState;
use super::turns::Asking;

/// Months that are remembered; beyond that, those that nobody uses at the moment are counted anew when they are.
const MONTHS_MAX: usize = 4_096;

/// The counts of the months that were asked for.
#[derive(Debug, Default)]
pub struct EventQuotas {
    months: Mutex<HashMap<(TeamId, Timestamp), Arc<Month>>>,
}

/// A month of a team.
#[derive(Debug, Default)]
struct Month {
    /// What is stored or on its way to the store; what was stored before is in it once `is_counted`.
    taken: AtomicU64,
    is_counted: OnceCell<()>,
    /// Whether the log has that it is used up.
    is_told: AtomicBool,
}

/// A place in a month that an event took. It is kept unless it is given back.
#[derive(Debug)]
#[must_use = "what is not stored gives its place back"]
pub struct Place(Arc<Month>);

impl Place {
    /// The event was not stored.
    pub fn give_back(self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The month is used up: the plan of the team includes no more events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonthIsUsedUp;

impl Month {
    fn has_room(&self, limit: Option<u64>) -> bool {
        limit.is_none_or(|limit| self.taken.load(Ordering::Acquire) < limit)
    }

    fn take(&self, limit: Option<u64>) -> bool {
        let next = |taken: u64| match limit {
            Some(limit) if taken >= limit => None,
            _ => taken.checked_add(1),
        };
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).is_ok()
    }
}

impl EventQuotas {
    fn is_empty(&self) -> bool {
        self.months.lock().is_empty()
    }

    /// The month, when it was asked for before.
    fn known(&self, team: TeamId, month: Timestamp) -> Option<Arc<Month>> {
        self.months.lock().get(&(team, month)).cloned()
    }

    fn get(&self, team: TeamId, month: Timestamp) -> Arc<Month> {
        let mut months = self.months.lock();
        if months.len() >= MONTHS_MAX {
            // Whoever holds one has an event on its way.
            months.retain(|_, month| Arc::strong_count(month) > 1);
        }
        Arc::clone(months.entry((team, month)).or_default())
    }
}

/// The most events that the plan of `team` includes in a month, for what came at `now`. `None`: without limit.
pub async fn limit_of(state: &AppState, team: TeamId, now: Timestamp) -> Option<u64> {
    match lookups::plan_of_hit(state, team, now).await {
        Ok(Some(plan)) => state.plans.limits(plan).events_per_month,
        // The team is gone, and its websites with it; or nobody knows, and nothing is lost for that.
        Ok(None) | Err(_) => None,
    }
}

/// Takes a place for `event` of `team`, whose plan includes `limit` events; `None` where nothing is counted, because the plan has
/// no limit. Heartbeats take none: they are turned away with the events of their visit.
///
/// # Errors
/// When the month is used up. A month that cannot be counted at the moment lets everything in.
pub async fn take(
    state: &AppState,
    team: TeamId,
    limit: Option<u64>,
    event: &Event,
) -> Result<Option<Place>, MonthIsUsedUp> {
    if limit.is_none() && state.event_quotas.is_empty() {
        return Ok(None);
    }
    let start = month_of(event.at);
    let month = match (limit, state.event_quotas.known(team, start)) {
        // One that is counted goes on being counted: the plan may have a limit again.
        (_, Some(month)) => month,
        (Some(_), None) => state.event_quotas.get(team, start),
        (None, None) => return Ok(None),
    };
    let counted = month.is_counted.get_or_try_init(async || {
        let stored = stored(state, team, start).await?;
        month.taken.fetch_add(stored, Ordering::AcqRel);
        Ok::<_, ApiError>(())
    });
    if counted.await.is_err() {
        tracing::error!(%team, "the events of a month cannot be counted: its limit is not held at the moment");
        return Ok(None);
    }
    let is_heartbeat = event.kind == EventKind::Heartbeat;
    let has_room = if is_heartbeat { month.has_room(limit) } else { month.take(limit) };
    if has_room {
        return Ok((!is_heartbeat).then(|| Place(month)));
    }
    if !month.is_told.swap(true, Ordering::AcqRel) {
        tracing::warn!(%team, month = %start, "the plan includes no more events in the month: what comes is not stored");
    }
    Err(MonthIsUsedUp)
}

/// Pageviews and events of a month that are stored of all websites of `team`.
async fn stored(state: &AppState, team: TeamId, start: Timestamp) -> Result<u64, ApiError> {
    let store = Arc::clone(&state.store);
    let websites = web::block(move || store.websites()).await.map_err(|_panicked| ApiError::internal())??;
    let ids: Vec<_> = websites.iter().filter(|website| website.team_id == team).map(|website| website.id).collect();
    let month = TimeRange::new(start, next_month(start));
    let count = state.queries.run_at_once(Asking { website: None, key: None }, move |ask| {
        ids.iter().try_fold(0_u64, |sum, id| Ok(sum.saturating_add(ask.overview(*id, month)?.events)))
    });
    count.await
}

/// The start of the UTC month that has `at`.
fn month_of(at: Timestamp) -> Timestamp {
    bucket(at).map_or(at, |month| month.from)
}

fn next_month(start: Timestamp) -> Timestamp {
    bucket(start).map_or(start, |month| month.to)
}

fn bucket(at: Timestamp) -> Option<TimeRange> {
    Zone::utc().buckets(TimeRange::new(at, at.plus_millis(1)), Interval::Month, 1).first().copied()
}
