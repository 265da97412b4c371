use std::collections::{BTreeMap, BTreeSet};

use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::upsert::excluded;
use zenovay_domain::{OTHER_AGENTS, Timestamp, WebsiteId};

use super::failed::Done;
use super::rows::damaged;
use super::sums::capped_sum;
use super::{Conn, SqlStore, in_write_transaction};
use crate::schema::{dropped_agents, websites};
use crate::{DROPPED_AGENTS_DAYS, DROPPED_AGENTS_MAX, DroppedAgentStore, DroppedHits, Result};

const DAY_MS: i64 = 24 * 3_600_000;

/// The instant since which an agent must have come to be kept.
fn kept_since(now: Timestamp) -> i64 {
    now.plus_millis(-DROPPED_AGENTS_DAYS * DAY_MS).as_millis()
}

fn add(conn: &mut Conn, count: &DroppedHits) -> Done<()> {
    let hits = i64::try_from(count.hits).unwrap_or(i64::MAX);
    let earlier = excluded(dropped_agents::first_at).lt(dropped_agents::first_at);
    let later = excluded(dropped_agents::last_at).gt(dropped_agents::last_at);
    diesel::insert_into(dropped_agents::table)
        .values((
            dropped_agents::website_id.eq(count.website.to_string()),
            dropped_agents::reason.eq(&count.reason),
            dropped_agents::agent.eq(&count.agent),
            dropped_agents::rule.eq(&count.rule),
            dropped_agents::hits.eq(hits),
            dropped_agents::first_at.eq(count.first_at.as_millis()),
            dropped_agents::last_at.eq(count.last_at.as_millis()),
        ))
        .on_conflict((dropped_agents::website_id, dropped_agents::reason, dropped_agents::agent))
        .do_update()
        .set((
            // The rule is that of the present list.
            dropped_agents::rule.eq(excluded(dropped_agents::rule)),
            dropped_agents::hits.eq(capped_sum!(dropped_agents::hits, excluded(dropped_agents::hits))),
            dropped_agents::first_at
                .eq(case_when(earlier, excluded(dropped_agents::first_at)).otherwise(dropped_agents::first_at)),
            dropped_agents::last_at
                .eq(case_when(later, excluded(dropped_agents::last_at)).otherwise(dropped_agents::last_at)),
        ))
        .execute(conn)?;
    Ok(())
}

/// Puts the agents of a website beyond the most frequent ones together, by reason.
fn put_together(conn: &mut Conn, website: WebsiteId) -> Done<()> {
    let id = website.to_string();
    let rest: Vec<(String, String, i64, i64, i64)> = dropped_agents::table
        .filter(dropped_agents::website_id.eq(&id).and(dropped_agents::agent.ne(OTHER_AGENTS)))
        .order((dropped_agents::hits.desc(), dropped_agents::last_at.desc(), dropped_agents::agent))
        .offset(i64::try_from(DROPPED_AGENTS_MAX).unwrap_or(i64::MAX))
        .limit(i64::MAX)
        .select((
            dropped_agents::reason,
            dropped_agents::agent,
            dropped_agents::hits,
            dropped_agents::first_at,
            dropped_agents::last_at,
        ))
        .load(conn)?;
    let mut others: BTreeMap<String, DroppedHits> = BTreeMap::new();
    for (reason, agent, hits, first_at, last_at) in rest {
        diesel::delete(dropped_agents::table.find((&id, &reason, &agent))).execute(conn)?;
        let (first_at, last_at) = (Timestamp::from_millis(first_at), Timestamp::from_millis(last_at));
        let other = others.entry(reason.clone()).or_insert_with(|| DroppedHits {
            website,
            agent: OTHER_AGENTS.to_owned(),
            reason,
            rule: String::new(),
            hits: 0,
            first_at,
            last_at,
        });
        other.hits = other.hits.saturating_add(hits.unsigned_abs());
        other.first_at = other.first_at.min(first_at);
        other.last_at = other.last_at.max(last_at);
    }
    others.values().try_for_each(|other| add(conn, other))
}

impl DroppedAgentStore for SqlStore {
    fn count_dropped_agents(&self, counts: &[DroppedHits], now: Timestamp) -> Result<()> {
        // Counts are not worth a flush of the disk each time.
        self.count(|conn| {
            in_write_transaction(conn, |conn| {
                let expired = dropped_agents::table.filter(dropped_agents::last_at.lt(kept_since(now)));
                diesel::delete(expired).execute(conn)?;
                let ids: BTreeSet<WebsiteId> = counts.iter().map(|count| count.website).collect();
                for id in ids {
                    let present = websites::table.find(id.to_string()).count().get_result::<i64>(conn)?;
                    if present == 0 {
                        continue;
                    }
                    counts.iter().filter(|count| count.website == id).try_for_each(|count| add(conn, count))?;
                    put_together(conn, id)?;
                }
                Ok(())
            })
        })
    }

    fn dropped_agents(&self, id: WebsiteId, now: Timestamp) -> Result<Vec<DroppedHits>> {
        let rows: Vec<(String, String, String, i64, i64, i64)> = self.ask(|conn| {
            let rows = dropped_agents::table
                .filter(dropped_agents::website_id.eq(id.to_string()))
                .filter(dropped_agents::last_at.ge(kept_since(now)))
                .order((dropped_agents::hits.desc(), dropped_agents::last_at.desc(), dropped_agents::agent))
                .select((
                    dropped_agents::agent,
                    dropped_agents::reason,
                    dropped_agents::rule,
                    dropped_agents::hits,
                    dropped_agents::first_at,
                    dropped_agents::last_at,
                ));
            Ok(rows.load(conn)?)
        })?;
        rows.into_iter()
            .map(|(agent, reason, rule, hits, first_at, last_at)| {
                Ok(DroppedHits {
                    website: id,
                    agent,
                    reason,
                    rule,
                    hits: u64::try_from(hits).map_err(|_| damaged("dropped_agents", "hits", &id.to_string()))?,
                    first_at: Timestamp::from_millis(first_at),
                    last_at: Timestamp::from_millis(last_at),
                })
            })
            .collect()
    }
}
