use std::collections::HashMap;

use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable};
use diesel::upsert::excluded;
use parking_lot::Mutex;
use zenovay_domain::{KeyId, Plan, Timestamp};

use super::failed::Done;
use super::rows::damaged;
use super::sums::capped_sum;
use super::{Conn, SqlStore, in_counting_transaction};
use crate::month::{end_of_month, month_of};
use crate::schema::{key_activity, key_usage};
use crate::{Activity, ActivityCounts, Charge, Result, StoreError, Usage, UsageStore};

const HOUR_MS: i64 = 3_600_000;
/// The time of last use is written at most this often.
const LAST_USED_EVERY_MS: i64 = 60_000;

type Counts = (i32, i64, i64);

fn usage_of(id: KeyId, (month, monthly_used, total_used): Counts) -> Result<Usage> {
    let count = |column, value: i64| u64::try_from(value).map_err(|_| damaged("key_usage", column, &id.to_string()));
    Ok(Usage {
        monthly_used: count("monthly_used", monthly_used)?,
        total_used: count("total_used", total_used)?,
        resets_at: end_of_month(month),
    })
}

/// A clock that stepped back over the end of a month by no more than this goes on with the month that had begun, which is
/// not counted twice. A later month was counted by a clock that was wrong.
const STEP_BACK_MS: i64 = 24 * HOUR_MS;

/// How many hours later than now an hour may be and still count as one of the last.
const HOURS_AHEAD: i64 = 48;

/// The latest month that goes on at `now`.
fn latest_month(now: Timestamp) -> i32 {
    month_of(now.plus_millis(STEP_BACK_MS))
}

/// The stored counts as they stand at `now`.
fn load_usage(conn: &mut Conn, id: KeyId, now: Timestamp) -> Done<Usage> {
    let month = month_of(now);
    let counts: Option<Counts> = key_usage::table
        .find(id.to_string())
        .select((key_usage::month, key_usage::monthly_used, key_usage::total_used))
        .first(conn)
        .optional()?;
    let (stored, used, total) = counts.ok_or(StoreError::NotFound("key"))?;
    let goes_on = (month..=latest_month(now)).contains(&stored);
    Ok(usage_of(id, if goes_on { (stored, used, total) } else { (month, 0, total) })?)
}

fn add_activity(conn: &mut Conn, id: &str, now: Timestamp, requests: i64, events: i64) -> Done<()> {
    diesel::insert_into(key_activity::table)
        .values((
            key_activity::key_id.eq(id),
            key_activity::hour.eq(now.as_millis().div_euclid(HOUR_MS)),
            key_activity::requests.eq(requests),
            key_activity::accepted_events.eq(events),
        ))
        .on_conflict((key_activity::key_id, key_activity::hour))
        .do_update()
        .set((
            key_activity::requests.eq(capped_sum!(key_activity::requests, excluded(key_activity::requests))),
            key_activity::accepted_events
                .eq(capped_sum!(key_activity::accepted_events, excluded(key_activity::accepted_events))),
        ))
        .execute(conn)?;
    Ok(())
}

/// What was let through while the disk was full: reading goes on then, and it is written with the next request or question
/// that can be.
#[derive(Default)]
pub(super) struct Owed {
    /// Requests of the month, by key.
    pub(super) requests: Mutex<HashMap<KeyId, OwedRequests>>,
    /// Of the questions of an account under a plan: the day and how many.
    pub(super) questions: Mutex<HashMap<(String, Plan), (i64, i64)>>,
}

#[derive(Clone, Copy)]
pub(super) struct OwedRequests {
    month: i32,
    requests: i64,
}

/// Adds `requests` to the counts of `month`, unless `limit` is reached.
fn count(conn: &mut Conn, id: KeyId, month: i32, requests: i64, limit: i64, now: Timestamp) -> Done<Option<Usage>> {
    if requests > limit {
        return Ok(None);
    }
    let (key, at) = (id.to_string(), now.as_millis());
    in_counting_transaction(conn, |conn| {
        // A time that is later than now was noted by a clock that was wrong.
        let used_lately =
            || key_usage::last_used_at.gt(at.saturating_sub(LAST_USED_EVERY_MS)).and(key_usage::last_used_at.le(at));
        let is_over = || key_usage::month.lt(month).or(key_usage::month.gt(latest_month(now)));
        let has_room = is_over().or(key_usage::monthly_used.le(limit - requests));
        let counts: Option<Counts> = diesel::update(key_usage::table.find(&key).filter(has_room))
            .set((
                key_usage::month.eq(case_when(is_over(), month.into_sql::<Integer>()).otherwise(key_usage::month)),
                key_usage::monthly_used
                    .eq(case_when(is_over(), requests.into_sql::<BigInt>())
                        .otherwise(key_usage::monthly_used + requests)),
                key_usage::total_used.eq(key_usage::total_used + requests),
                key_usage::last_used_at.eq(case_when(used_lately(), key_usage::last_used_at)
                    .otherwise(Some(at).into_sql::<Nullable<BigInt>>())),
            ))
            .returning((key_usage::month, key_usage::monthly_used, key_usage::total_used))
            .get_result(conn)
            .optional()?;
        let Some(counts) = counts else { return Ok(None) };
        add_activity(conn, &key, now, requests, 0)?;
        Ok(Some(usage_of(id, counts)?))
    })
}

impl UsageStore for SqlStore {
    fn charge_request(&self, id: KeyId, monthly_limit: u64, now: Timestamp) -> Result<Charge> {
        let month = month_of(now);
        let limit = i64::try_from(monthly_limit).unwrap_or(i64::MAX);
        self.count(|conn| {
            // Nearly always: nothing is held while others count.
            if self.owed().requests.lock().is_empty() {
                match count(conn, id, month, 1, limit, now) {
                    Ok(Some(usage)) => return Ok(Charge::Counted(usage)),
                    Ok(None) => return Ok(Charge::Exhausted(load_usage(conn, id, now)?)),
                    Err(failed) if failed.is_disk_full() => {}
                    Err(failed) => return Err(failed),
                }
            }
            let owed = &mut *self.owed().requests.lock();
            let behind = owed.get(&id).filter(|owed| owed.month == month).map_or(0, |owed| owed.requests);
            let disk_full = match count(conn, id, month, behind + 1, limit, now) {
                Ok(Some(usage)) => {
                    owed.remove(&id);
                    return Ok(Charge::Counted(usage));
                }
                Ok(None) => false,
                Err(failed) if failed.is_disk_full() => true,
                Err(failed) => return Err(failed),
            };
            let mut usage = load_usage(conn, id, now)?;
            usage.monthly_used = usage.monthly_used.saturating_add(behind.unsigned_abs());
            usage.total_used = usage.total_used.saturating_add(behind.unsigned_abs());
            if !disk_full || usage.monthly_used >= monthly_limit {
                return Ok(Charge::Exhausted(usage));
            }
            owed.insert(id, OwedRequests { month, requests: behind + 1 });
            usage.monthly_used += 1;
            usage.total_used += 1;
            Ok(Charge::Counted(usage))
        })
    }

    fn usage(&self, id: KeyId, now: Timestamp) -> Result<Usage> {
        self.ask(|conn| load_usage(conn, id, now))
    }

    fn record_accepted_events(&self, id: KeyId, events: u64, now: Timestamp) -> Result<()> {
        let events = i64::try_from(events).unwrap_or(i64::MAX);
        self.count(|conn| {
            in_counting_transaction(conn, |conn| {
                load_usage(conn, id, now)?;
                add_activity(conn, &id.to_string(), now, 0, events)
            })
        })
    }

    fn activity(&self, id: KeyId, now: Timestamp) -> Result<Activity> {
        let hours: Vec<(i64, i64, i64)> = self.ask(|conn| {
            let hours = key_activity::table.filter(key_activity::key_id.eq(id.to_string())).select((
                key_activity::hour,
                key_activity::requests,
                key_activity::accepted_events,
            ));
            Ok(hours.load(conn)?)
        })?;
        let present = now.as_millis().div_euclid(HOUR_MS);
        let sum_of_last = |length: i64| {
            // Hours far ahead were counted by a clock that was wrong, and are not of the last day for years.
            let is_within = |ago: i64| ago < length && (ago >= -HOURS_AHEAD || length == i64::MAX);
            let within = hours.iter().filter(|(hour, ..)| is_within(present.saturating_sub(*hour)));
            within.fold(ActivityCounts::default(), |sum, (_, requests, events)| ActivityCounts {
                requests: sum.requests.saturating_add(requests.unsigned_abs()),
                accepted_events: sum.accepted_events.saturating_add(events.unsigned_abs()),
            })
        };
        Ok(Activity {
            last_24_hours: sum_of_last(24),
            last_7_days: sum_of_last(7 * 24),
            all_time: sum_of_last(i64::MAX),
        })
    }
}
