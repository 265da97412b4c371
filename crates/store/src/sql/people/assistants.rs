use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use zenovay_domain::{Plan, Timestamp};

use super::super::failed::Done;
use super::super::rows::damaged;
use super::super::{Conn, SqlStore, in_write_transaction};
use crate::people_schema::assistant_questions;
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
fn load(conn: &mut Conn, account: &str, plan: Plan, now: Timestamp) -> Done<AssistantUsage> {
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
    conn: &mut Conn,
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

impl AssistantStore for SqlStore {
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
        self.count(|conn| {
            let owed_questions = &mut *self.owed().questions.lock();
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
