use std::collections::HashMap;

use diesel::connection::SimpleConnection;
use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable};
use diesel::upsert::excluded;
use zenovay_domain::{KeyId, Plan, Timestamp};

use super::errors::{Done, explained};
use super::rows::damaged;
use super::{SqliteStore, connect, in_write_transaction};
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
fn load_usage(conn: &mut SqliteConnection, id: KeyId, now: Timestamp) -> Done<Usage> {
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

fn add_activity(conn: &mut SqliteConnection, id: &str, now: Timestamp, requests: i64, events: i64) -> Done<()> {
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
            key_activity::requests.eq(key_activity::requests + excluded(key_activity::requests)),
            key_activity::accepted_events.eq(key_activity::accepted_events + excluded(key_activity::accepted_events)),
        ))
        .execute(conn)?;
    Ok(())
}

/// The connection that counts, and what it could not write.
pub(super) struct Counting {
    pub(super) conn: SqliteConnection,
    /// Requests of the month that were let through while the disk was full: reading goes on then, and they
    /// are written with the next request of the key that can be.
    owed: HashMap<KeyId, Owed>,
    /// The same of the questions of an account under a plan: the day and how many.
    pub(super) owed_questions: HashMap<(String, Plan), (i64, i64)>,
}

#[derive(Clone, Copy)]
struct Owed {
    month: i32,
    requests: i64,
}

impl Counting {
    /// A connection to the database `name` for counting: its writes survive the death of the process, and are flushed with
    /// those of others.
    pub(super) fn connect(name: &str) -> Result<Self> {
        let mut conn = connect(name)?;
        conn.batch_execute("PRAGMA synchronous = NORMAL").map_err(explained)?;
        Ok(Self { conn, owed: HashMap::new(), owed_questions: HashMap::new() })
    }
}

/// Adds `requests` to the counts of `month`, unless `limit` is reached.
fn count(
    conn: &mut SqliteConnection,
    id: KeyId,
    month: i32,
    requests: i64,
    limit: i64,
    now: Timestamp,
) -> Done<Option<Usage>> {
    if requests > limit {
        return Ok(None);
    }
    let (key, at) = (id.to_string(), now.as_millis());
    in_write_transaction(conn, |conn| {
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

impl UsageStore for SqliteStore {
    fn charge_request(&self, id: KeyId, monthly_limit: u64, now: Timestamp) -> Result<Charge> {
        let month = month_of(now);
        let limit = i64::try_from(monthly_limit).unwrap_or(i64::MAX);
        self.count(|counting| {
            let Counting { conn, owed, .. } = counting;
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
            owed.insert(id, Owed { month, requests: behind + 1 });
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
        self.count(|counting| {
            in_write_transaction(&mut counting.conn, |conn| {
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

#[cfg(test)]
mod tests {
    use zenovay_auth::{KeyFormat, KeyKind, PasswordHash};
    use zenovay_domain::{Scopes, TeamId, UserId};

    use super::*;
    use crate::{KeyStore, NewKey, Team, TeamStore, User, UserStore};

    /// SQLite ends a transaction by itself when it finds no room in the middle of it. Sabotage: pass on that it could not be
    /// ended again.
    #[test]
    fn requests_pass_and_are_counted_when_a_transaction_finds_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("zenovay.db")).unwrap();
        let (user, id) = (UserId::from_random_bytes([1; 16]), KeyId::from_random_bytes([1; 16]));
        let start = Timestamp::from_millis(1_781_308_800_000);
        let password_hash = PasswordHash::from_stored(String::new());
        store.create_user(&User::new(user, "a@example.com", "A", password_hash, start)).unwrap();
        let team = TeamId::from_random_bytes([1; 16]);
        store.create_team(&Team::new(team, "Team", Plan::Pro, start), user).unwrap();
        let token = KeyFormat::ZENOVAY.generate_with(&mut rand::rng());
        let new = NewKey::new(id, &token, KeyKind::Personal(user), "reports", Scopes::FULL_ACCESS);
        store.create_key(&new, start).unwrap();
        let allow_pages = |pages: u32| {
            let pragma = format!("PRAGMA max_page_count = {pages}");
            store.shared.counting.lock().conn.batch_execute(&pragma).unwrap();
        };
        let charge = |hour: i64| {
            // Each hour has a row of its own; all are of one month.
            let charged = store.charge_request(id, 1_000_000, start.plus_millis(hour * HOUR_MS));
            assert!(matches!(charged, Ok(Charge::Counted(_))), "hour {hour}: {charged:?}");
            !store.shared.counting.lock().owed.is_empty()
        };
        // No page more than there are.
        allow_pages(1);
        let full_at = (0..400).find(|hour| charge(*hour)).expect("room for a few hours only");
        assert!((full_at + 1..full_at + 10).all(charge), "still no room");
        allow_pages(1_000_000);
        assert!(!charge(full_at + 10), "what was owed is written");
        let requests = u64::try_from(full_at + 11).unwrap();
        assert_eq!(store.usage(id, start.plus_millis(400 * HOUR_MS)).unwrap().total_used, requests);
    }
}
