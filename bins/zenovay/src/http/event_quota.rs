//! How many events the plan of a team includes in a month, held exactly: every pageview and event takes its place here
//! before it goes to the store, and gives it back when it was not stored. What stands in the store is what counts, so that a
//! new process goes on where the last one ended: a month's count begins as what is stored of it, and what was stored of websites
//! that were deleted, when it is first asked for.
//! An event is one of the UTC month in which it happened.
//!
//! Where several servers store, each counts by itself, and takes in what the others stored now and then: together they may store more than the
//! limit by what the others store in ten seconds.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::web;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use zenovay_domain::{Event, EventKind, Interval, TeamId, TimeRange, Timestamp, WebsiteId, Zone};
use zenovay_query::{Answer, Budget, Query, Question};
use zenovay_store::{EventMonth, StoreError};

use super::envelope::ApiError;
use super::lookups;
use super::queries::QuerySession;
use super::state::AppState;
use super::turns::Asking;

/// Months that are remembered; beyond that, those that nobody uses at the moment are counted anew when they are.
const MONTHS_MAX: usize = 4_096;

/// How long an event waits for the count of its month, which is made once.
const COUNTED_WITHIN: Duration = Duration::from_secs(10);

/// How soon a month that could not be counted is counted again.
const COUNTED_AGAIN: Duration = Duration::from_secs(5);

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
    /// When it was found last that it cannot be counted.
    failed_at: Mutex<Option<Instant>>,
    /// When that was, or when what other servers stored was counted last, in milliseconds.
    counted_ms: AtomicI64,
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

/// What is used of a month of a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedMonth {
    /// The team.
    pub team: TeamId,
    /// The start of the month.
    pub month: Timestamp,
    /// Its events.
    pub used: u64,
}

impl Month {
    fn used(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    fn has_room(&self, limit: Option<u64>) -> bool {
        limit.is_none_or(|limit| self.used() < limit)
    }

    /// Whether an event may wait for its count: not while what has to count does not answer.
    fn may_be_counted(&self, state: &AppState) -> bool {
        let is_soon = |failed: Instant| failed.elapsed() < COUNTED_AGAIN;
        !self.failed_at.lock().is_some_and(is_soon)
            && state.events.stats().delivery.is_none_or(|delivery| delivery.is_reachable)
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

    /// What is used of the months that go on at `now`, of those that are counted.
    pub fn used_in(&self, now: Timestamp) -> Vec<UsedMonth> {
        let present = month_of(now);
        let months = self.months.lock();
        let counted = months.iter().filter(|((_, start), month)| *start == present && month.is_counted.initialized());
        let used = counted.map(|(&(team, month), of_team)| UsedMonth { team, month, used: of_team.used() });
        used.collect()
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
    if !month.is_counted.initialized() && !count(state, team, start, &month).await {
        return Ok(None);
    }
    if let (Some(limit), true) = (limit, state.config.is_of_several()) {
        count_others(state, team, (start, &month), limit).await;
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

/// Counts what is stored of a month; `false` when that cannot be had now. Nobody waits for it while the store is known to be away.
async fn count(state: &AppState, team: TeamId, start: Timestamp, month: &Month) -> bool {
    let counting = month.is_counted.get_or_try_init(async || {
        let stored = stored(state, team, start, Turn::AtOnce).await?;
        month.taken.fetch_add(stored, Ordering::AcqRel);
        month.counted_ms.store(state.clock.reading().steady.as_millis(), Ordering::Release);
        Ok::<_, ApiError>(())
    });
    let is_tried = month.may_be_counted(state);
    if is_tried && matches!(timeout(COUNTED_WITHIN, counting).await, Ok(Ok(()))) {
        if month.failed_at.lock().take().is_some() {
            tracing::info!(%team, "the events of the month are counted: its limit is held");
        }
        return true;
    }
    let mut failed_at = month.failed_at.lock();
    let is_new = failed_at.is_none();
    if is_new || is_tried {
        *failed_at = Some(Instant::now());
    }
    drop(failed_at);
    if is_new {
        tracing::error!(%team, "the events of a month cannot be counted: its limit is not held until they can");
    }
    false
}

/// How often what other servers stored is counted, in milliseconds, while `used` events of `limit` are: the more often, the sooner they may be
/// used up.
fn recount_ms(used: u64, limit: u64) -> i64 {
    match u128::from(used).saturating_mul(10) / u128::from(limit.max(1)) {
        0..=4 => 600_000,
        5..=7 => 60_000,
        _ => 10_000,
    }
}

/// Takes in what other servers stored since it was counted last, when that is due; one who asks counts, and the others go on.
async fn count_others(state: &AppState, team: TeamId, (start, month): (Timestamp, &Month), limit: u64) {
    let now = state.clock.reading().steady.as_millis();
    let before = month.counted_ms.load(Ordering::Acquire);
    let is_due = now.saturating_sub(before) >= recount_ms(month.used(), limit);
    if !is_due || month.counted_ms.compare_exchange(before, now, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return;
    }
    match timeout(COUNTED_WITHIN, stored(state, team, start, Turn::AtOnce)).await {
        // What is on its way from here is not stored yet.
        Ok(Ok(stored)) => drop(month.taken.fetch_max(stored, Ordering::AcqRel)),
        _ => tracing::warn!(%team, "what other servers stored in the month is not known now"),
    }
}

/// What `team` has used of the month that has `at`: what its plan is measured by. `asking` waits for its turn where it must be
/// counted.
///
/// # Errors
/// When it cannot be counted.
pub async fn used(state: &AppState, team: TeamId, at: Timestamp, asking: Asking) -> Result<u64, ApiError> {
    let start = month_of(at);
    match state.event_quotas.known(team, start).filter(|month| month.is_counted.initialized()) {
        Some(month) => Ok(month.used()),
        None => stored(state, team, start, Turn::Of(asking)).await,
    }
}

/// When it is counted.
#[derive(Clone, Copy)]
enum Turn {
    AtOnce,
    Of(Asking),
}

/// How often a count begins anew when websites are deleted meanwhile.
const COUNTS_TRIED: usize = 4;

/// Pageviews and events of a month of all websites of `team`, those that were deleted among them.
async fn stored(state: &AppState, team: TeamId, start: Timestamp, turn: Turn) -> Result<u64, ApiError> {
    let month = TimeRange::new(start, next_month(start));
    let mut sum = 0;
    let mut present = places(state, team, start).await?;
    for _ in 0..COUNTS_TRIED {
        let ids = present.websites.clone();
        let count = move |ask: &QuerySession<'_>| {
            ids.iter().try_fold(0_u64, |sum, id| Ok(sum.saturating_add(ask.overview(*id, month)?.events)))
        };
        let stored = match turn {
            Turn::AtOnce => state.queries.run_at_once(Asking { website: None, key: None }, count).await?,
            Turn::Of(asking) => state.queries.run(asking, count).await?,
        };
        sum = stored.saturating_add(present.removed);
        let after = places(state, team, start).await?;
        if after == present {
            break;
        }
        present = after;
    }
    Ok(sum)
}

/// Where the events of the month are.
async fn places(state: &AppState, team: TeamId, month: Timestamp) -> Result<EventMonth, ApiError> {
    let store = Arc::clone(&state.store);
    let found = web::block(move || store.event_month(team, month)).await;
    Ok(found.map_err(|_panicked| ApiError::internal())??)
}

/// Keeps what a deleted website had in each month, before its events go: they were used. Blocks.
///
/// # Errors
/// When the store cannot be asked.
pub fn keep_counts(state: &AppState, website: WebsiteId) -> Result<(), StoreError> {
    if state.store.uncounted_team(website)?.is_none() {
        return Ok(());
    }
    let span = state.events.span(website);
    let months = span.map_or_else(Vec::new, |span| Zone::utc().buckets(span, Interval::Month, MONTHS_KEPT));
    let mut counts = Vec::new();
    for month in months {
        let question = Query::new(month, Question::Overview);
        let counted = state.events.query(website, &question, &Budget::unlimited()).and_then(Answer::into_overview);
        match counted {
            Ok(overview) => counts.push((month.from, overview.metrics.events)),
            // What is damaged is not stored any more either.
            Err(error) => tracing::warn!(%website, %error, "events of a deleted website are not counted"),
        }
    }
    state.store.keep_counts(website, &counts)
}

/// The most months of a deleted website that are counted. Longer ago nothing is used up any more.
const MONTHS_KEPT: usize = 1_200;

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: count as often at the end of a limit as at its begin.
    #[test]
    fn the_others_are_counted_the_more_often_the_less_room_there_is() {
        assert_eq!(
            [0, 499, 500, 799, 800, 5_000].map(|used| recount_ms(used, 1_000) / 1_000),
            [600, 600, 60, 60, 10, 10]
        );
        assert_eq!((recount_ms(0, 0), recount_ms(u64::MAX, u64::MAX)), (600_000, 10_000));
    }
}
