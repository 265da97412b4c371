use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use zenovay_domain::{Plan, Timestamp};

use crate::people_schema::assistant_questions;
use crate::sqlite::errors::Done;
use crate::sqlite::rows::damaged;
use crate::sqlite::usage::Counting;
use crate::sqlite::{SqliteStore, in_write_transaction};
use crate::{AssistantAccount, AssistantCharge, AssistantStore, AssistantUsage, Result};

const DAY_MS: i64 = 24 * 3_600_000;
/// A clock that stepped back over midnight by no more than this goes on with the day that had begun.
const STEP_BACK_MS: i64 = 3_600_000;

fn day_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(DAY_MS)
}

/// The latest day that goes on at `now`.
fn latest_day(now: Timestamp) -> i64 {
    day_of(now.plus_millis(STEP_BACK_MS))
}

fn usage_of(account: &str, (day, used): (i64, i64)) -> Result<AssistantUsage> {
    let used = u64::try_from(used).map_err(|_| damaged("assistant_questions", "used", account))?;
    Ok(AssistantUsage::new(used, Timestamp::from_millis(day.saturating_add(1).saturating_mul(DAY_MS))))
}

/// The stored count as it stands at `now`.
fn load(conn: &mut SqliteConnection, account: &str, plan: Plan, now: Timestamp) -> Done<AssistantUsage> {
    let stored: Option<(i64, i64)> = assistant_questions::table
        .find((account, plan.as_str()))
        .select((assistant_questions::day, assistant_questions::used))
        .first(conn)
        .optional()?;
    let goes_on = stored.filter(|(day, _)| (day_of(now)..=latest_day(now)).contains(day));
    Ok(usage_of(account, goes_on.unwrap_or((day_of(now), 0)))?)
}

/// Adds `cost` to the count of the day, unless `limit` would be passed.
fn count(
    conn: &mut SqliteConnection,
    account: &str,
    plan: Plan,
    cost: i64,
    limit: i64,
    now: Timestamp,
) -> Done<Option<AssistantUsage>> {
    use assistant_questions::{day, table, used};
    if cost > limit {
        return Ok(None);
    }
    let today = day_of(now);
    in_write_transaction(conn, |conn| {
        let is_over = || day.lt(today).or(day.gt(latest_day(now)));
        let counted: Option<(i64, i64)> = diesel::update(
            table.find((account, plan.as_str())).filter(is_over().or(used.le(limit.saturating_sub(cost)))),
        )
        .set((
            used.eq(case_when(is_over(), cost.into_sql::<BigInt>()).otherwise(used + cost)),
            day.eq(case_when(is_over(), today.into_sql::<BigInt>()).otherwise(day)),
        ))
        .returning((day, used))
        .get_result(conn)
        .optional()?;
        if let Some(counted) = counted {
            return Ok(Some(usage_of(account, counted)?));
        }
        let is_there = diesel::select(diesel::dsl::exists(table.find((account, plan.as_str())))).get_result(conn)?;
        if is_there {
            return Ok(None);
        }
        // The first question of a day by somebody is a good time to forget what others asked on days before.
        diesel::delete(table.filter(day.lt(today - 1))).execute(conn)?;
        diesel::insert_into(table)
            .values((
                assistant_questions::account.eq(account),
                assistant_questions::plan.eq(plan.as_str()),
                day.eq(today),
                used.eq(cost),
            ))
            .execute(conn)?;
        Ok(Some(usage_of(account, (today, cost))?))
    })
}

impl AssistantStore for SqliteStore {
    fn charge_assistant(
        &self,
        account: AssistantAccount,
        plan: Plan,
        cost: u64,
        limit: Option<u64>,
        now: Timestamp,
    ) -> Result<AssistantCharge> {
        let most = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let (name, cost, limit) = (account.to_string(), most(cost), limit.map_or(i64::MAX, most));
        self.count(|Counting { conn, owed_questions, .. }| {
            let (of, today) = ((name.clone(), plan), day_of(now));
            let behind =
                owed_questions.get(&of).filter(|(day, _)| *day == today).map_or(0, |(_, questions)| *questions);
            let wanted = behind.saturating_add(cost);
            let disk_full = match count(conn, &name, plan, wanted, limit, now) {
                Ok(Some(usage)) => {
                    owed_questions.remove(&of);
                    return Ok(AssistantCharge::Counted(usage));
                }
                Ok(None) => false,
                // Reading goes on: what is owed is counted with the next question that can be.
                Err(failed) if failed.is_disk_full() => true,
                Err(failed) => return Err(failed),
            };
            let mut usage = load(conn, &name, plan, now)?;
            usage.used = usage.used.saturating_add(behind.unsigned_abs());
            if !disk_full || usage.used.saturating_add(cost.unsigned_abs()) > limit.unsigned_abs() {
                return Ok(AssistantCharge::Exhausted(usage));
            }
            owed_questions.insert(of, (today, wanted));
            usage.used = usage.used.saturating_add(cost.unsigned_abs());
            Ok(AssistantCharge::Counted(usage))
        })
    }

    fn assistant_usage(&self, account: AssistantAccount, plan: Plan, now: Timestamp) -> Result<AssistantUsage> {
        self.ask(|conn| load(conn, &account.to_string(), plan, now))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use diesel::connection::SimpleConnection;
    use zenovay_domain::UserId;

    use super::*;

    /// 2026-06-13T12:00:00Z
    const NOON: Timestamp = Timestamp::from_millis(1_781_352_000_000);
    const MIDNIGHT: Timestamp = Timestamp::from_millis(1_781_395_200_000);

    /// SQLite says so when a page more is needed than there may be. Sabotage: pass the error on, or forget what was asked.
    #[test]
    fn questions_pass_and_are_counted_when_the_disk_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("zenovay.db")).unwrap();
        let person = |n: u32| {
            let mut bytes = [1; 16];
            bytes[..4].copy_from_slice(&n.to_le_bytes());
            AssistantAccount::Person(UserId::from_random_bytes(bytes))
        };
        let allow_pages = |pages: u32| {
            let pragma = format!("PRAGMA max_page_count = {pages}");
            store.shared.counting.lock().conn.batch_execute(&pragma).unwrap();
        };
        let ask = |n, limit| store.charge_assistant(person(n), Plan::Free, 3, Some(limit), NOON).unwrap();
        let owes = |n| store.shared.counting.lock().owed_questions.contains_key(&(person(n).to_string(), Plan::Free));
        // No page more than there are: there is room for a few accounts only.
        allow_pages(1);
        let last = (0..10_000).find(|n| {
            assert_eq!(ask(*n, 10), AssistantCharge::Counted(AssistantUsage::new(3, MIDNIGHT)));
            owes(*n)
        });
        let last = last.expect("room for a few only");
        assert_eq!(ask(last, 10), AssistantCharge::Counted(AssistantUsage::new(6, MIDNIGHT)));
        assert_eq!(ask(last, 8), AssistantCharge::Exhausted(AssistantUsage::new(6, MIDNIGHT)), "the limit holds");
        allow_pages(1_000_000);
        assert_eq!(ask(last, 8), AssistantCharge::Exhausted(AssistantUsage::new(6, MIDNIGHT)));
        assert_eq!(ask(last, 10), AssistantCharge::Counted(AssistantUsage::new(9, MIDNIGHT)));
        assert!(!owes(last), "what was owed is written");
        assert_eq!(store.assistant_usage(person(last), Plan::Free, NOON).unwrap().used, 9);
    }

    fn ann() -> AssistantAccount {
        AssistantAccount::Person(UserId::from_random_bytes([1; 16]))
    }

    fn charge(store: &SqliteStore, cost: u64, limit: u64, now: Timestamp) -> (bool, u64, Timestamp) {
        match store.charge_assistant(ann(), Plan::Free, cost, Some(limit), now).unwrap() {
            AssistantCharge::Counted(usage) => (true, usage.used, usage.resets_at),
            AssistantCharge::Exhausted(usage) => (false, usage.used, usage.resets_at),
        }
    }

    /// Sabotage: read the count first and write it afterwards.
    #[test]
    fn questions_are_counted_exactly_by_any_number_of_callers_and_across_openings() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zenovay.db");
        let stores = [SqliteStore::open(&path).unwrap(), SqliteStore::open(&path).unwrap()];
        let counted = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (store, counted) = (&stores[number % 2], &counted);
                scope.spawn(move || {
                    for _ in 0..10 {
                        if charge(store, 1, 50, NOON).0 {
                            counted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(counted.into_inner(), 50);
        drop(stores);
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(charge(&store, 1, 50, NOON), (false, 50, MIDNIGHT));
        assert_eq!(charge(&store, 3, 52, NOON), (false, 50, MIDNIGHT), "a dear question does not fit into the rest");
        assert_eq!(charge(&store, 3, 53, NOON), (true, 53, MIDNIGHT), "another limit applies at once");
        let other = store.charge_assistant(ann(), Plan::Pro, 1, None, NOON).unwrap();
        assert_eq!(other, AssistantCharge::Counted(AssistantUsage::new(1, MIDNIGHT)), "each plan has its own day");
    }

    /// Sabotage: let every later day go on, or none.
    #[test]
    fn a_day_begins_at_midnight_and_never_twice() {
        let store = SqliteStore::in_memory().unwrap();
        let next = MIDNIGHT.plus_millis(DAY_MS);
        assert_eq!(charge(&store, 2, 2, NOON), (true, 2, MIDNIGHT));
        assert_eq!(charge(&store, 1, 2, MIDNIGHT.plus_millis(-1)), (false, 2, MIDNIGHT));
        assert_eq!(store.assistant_usage(ann(), Plan::Free, MIDNIGHT).unwrap(), AssistantUsage::new(0, next));
        assert_eq!(charge(&store, 2, 2, MIDNIGHT), (true, 2, next));
        assert_eq!(charge(&store, 1, 2, MIDNIGHT.plus_millis(-60_000)), (false, 2, next), "the clock stepped back");
        assert!(charge(&store, 1, 2, NOON.plus_millis(-DAY_MS)).0, "a clock that was wrong");
        assert_eq!(charge(&store, 0, 0, NOON).1, 0);
        assert!(!charge(&store, 1, 0, NOON).0, "a limit of nothing");
    }

    #[test]
    fn what_was_asked_goes_with_the_account_and_with_time() {
        let store = SqliteStore::in_memory().unwrap();
        charge(&store, 1, 9, NOON);
        let rows = |store: &SqliteStore| {
            store.ask(|conn| Ok(assistant_questions::table.count().get_result::<i64>(conn)?)).unwrap()
        };
        let bob = AssistantAccount::Person(UserId::from_random_bytes([2; 16]));
        store.charge_assistant(bob, Plan::Free, 1, None, NOON.plus_millis(3 * DAY_MS)).unwrap();
        assert_eq!(rows(&store), 1);
    }
}
