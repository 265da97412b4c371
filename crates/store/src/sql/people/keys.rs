use std::collections::BTreeSet;

use diesel::prelude::*;
use zenovay_domain::{KeyId, TeamId, Timestamp, UserId};

use super::super::failed::Done;
use super::super::rows::{KeyRow, damaged};
use super::super::{Conn, SqlStore, in_write_transaction};
use crate::people_schema::key_requests::{self, dsl};
use crate::schema::{api_keys, key_usage};
use crate::{KEY_REQUESTS_MAX, KeyHistoryStore, KeyRecord, KeyRequest, Result};

/// Each key with the time of its last use.
fn records(conn: &mut Conn, rows: Vec<KeyRow>) -> Done<Vec<KeyRecord>> {
    rows.into_iter()
        .map(|row| {
            let used: Option<Option<i64>> =
                key_usage::table.find(&row.id).select(key_usage::last_used_at).first(conn).optional()?;
            Ok(row.record(used.flatten())?)
        })
        .collect()
}

type RequestRow = (i64, String, String, i32, i64, Option<i64>, Option<i64>);

fn request(key: KeyId, row: RequestRow) -> Result<KeyRequest> {
    let (at, method, route, status, duration_ms, accepted, rejected) = row;
    let count = |events: i64| u64::try_from(events).map_err(|_| damaged("key_requests", "accepted", &key.to_string()));
    Ok(KeyRequest {
        key,
        at: Timestamp::from_millis(at),
        method,
        route,
        status: u16::try_from(status).map_err(|_| damaged("key_requests", "status", &key.to_string()))?,
        duration_ms: u64::try_from(duration_ms)
            .map_err(|_| damaged("key_requests", "duration_ms", &key.to_string()))?,
        events: accepted
            .zip(rejected)
            .map(|(yes, no)| Ok::<_, crate::StoreError>((count(yes)?, count(no)?)))
            .transpose()?,
    })
}

impl KeyHistoryStore for SqlStore {
    fn keys_of_user(&self, user: UserId) -> Result<Vec<KeyRecord>> {
        self.read(|conn| {
            let of_user = api_keys::user_id.eq(user.to_string()).and(api_keys::revoked_at.is_null());
            let rows = api_keys::table
                .filter(of_user)
                .order((api_keys::created_at, api_keys::id))
                .select(KeyRow::as_select())
                .load(conn)?;
            records(conn, rows)
        })
    }

    fn keys_of_team(&self, team: TeamId) -> Result<Vec<KeyRecord>> {
        self.read(|conn| {
            let of_team = api_keys::team_id.eq(team.to_string()).and(api_keys::revoked_at.is_null());
            let rows = api_keys::table
                .filter(of_team)
                .order((api_keys::created_at, api_keys::id))
                .select(KeyRow::as_select())
                .load(conn)?;
            records(conn, rows)
        })
    }

    fn add_key_requests(&self, requests: &[KeyRequest]) -> Result<()> {
        // Not worth a flush of the disk.
        self.count(|conn| {
            in_write_transaction(conn, |conn| {
                let keys: BTreeSet<KeyId> = requests.iter().map(|request| request.key).collect();
                for key in keys {
                    let id = key.to_string();
                    if api_keys::table.find(&id).count().get_result::<i64>(conn)? == 0 {
                        continue;
                    }
                    let of_key: Vec<&KeyRequest> = requests.iter().filter(|request| request.key == key).collect();
                    for request in &of_key[of_key.len().saturating_sub(KEY_REQUESTS_MAX)..] {
                        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
                        diesel::insert_into(key_requests::table)
                            .values((
                                dsl::key_id.eq(&id),
                                dsl::at.eq(request.at.as_millis()),
                                dsl::method.eq(&request.method),
                                dsl::route.eq(&request.route),
                                dsl::status.eq(i32::from(request.status)),
                                dsl::duration_ms.eq(number(request.duration_ms)),
                                dsl::accepted.eq(request.events.map(|(accepted, _)| number(accepted))),
                                dsl::rejected.eq(request.events.map(|(_, rejected)| number(rejected))),
                            ))
                            .execute(conn)?;
                    }
                    let last: Option<i64> = key_requests::table
                        .filter(dsl::key_id.eq(&id))
                        .order(dsl::id.desc())
                        .offset(i64::try_from(KEY_REQUESTS_MAX).unwrap_or(i64::MAX))
                        .limit(1)
                        .select(dsl::id)
                        .first(conn)
                        .optional()?;
                    if let Some(last) = last {
                        let old = dsl::key_id.eq(&id).and(dsl::id.le(last));
                        diesel::delete(key_requests::table.filter(old)).execute(conn)?;
                    }
                }
                Ok(())
            })
        })
    }

    fn key_requests(&self, key: KeyId) -> Result<Vec<KeyRequest>> {
        let rows: Vec<RequestRow> = self.ask(|conn| {
            let rows = key_requests::table.filter(dsl::key_id.eq(key.to_string())).order(dsl::id.desc()).select((
                dsl::at,
                dsl::method,
                dsl::route,
                dsl::status,
                dsl::duration_ms,
                dsl::accepted,
                dsl::rejected,
            ));
            Ok(rows.load(conn)?)
        })?;
        rows.into_iter().map(|row| request(key, row)).collect()
    }
}
