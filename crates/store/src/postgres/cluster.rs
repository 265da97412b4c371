//! What nodes share whose events are in ClickHouse.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text};
use zenovay_domain::{Timestamp, VisitorId, WebsiteId};

use super::errors::explained;
use super::failed::Done;
use super::pool::{Pool, opener};
use super::{LIMIT, WAIT, address, in_transaction, set_up};
use crate::{Result, StoreError};

/// Connections: of the thread that delivers events, and of whoever changes how long they are kept.
const CONNECTIONS: u32 = 2;

/// What nodes share whose events are in ClickHouse: numbers that are given once, idempotency keys, the ledger of retention, what was erased,
/// and the secret that visitors are named with, in tables
/// beside those of [`PostgresStore`](crate::PostgresStore). What is written is as durable as the server's `synchronous_commit` says.
///
/// Every method blocks, as those of [`PostgresStore`](crate::PostgresStore) do. None waits for changes of metadata.
pub struct PostgresCluster {
    pool: Pool,
}

/// An event that is to hold an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyClaim {
    /// Whose event it is.
    pub website: WebsiteId,
    /// The key, which belongs to the website.
    pub key: [u8; 16],
    /// The number of the event, below 2⁶³.
    pub arrival: u64,
    /// When it arrived.
    pub received_at: Timestamp,
    /// A key of an event that arrived before this is free.
    pub expired: Timestamp,
}

impl KeyClaim {
    /// The event `arrival` of `website`, which arrived at `received_at`, is to hold `key`; so does none that arrived before `expired`.
    pub fn new(website: WebsiteId, key: [u8; 16], arrival: u64, received_at: Timestamp, expired: Timestamp) -> Self {
        Self { website, key, arrival, received_at, expired }
    }
}

/// Something that was erased, as all nodes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterErasure {
    /// Its number: greater than those before, from 1.
    pub id: u64,
    /// Of which website.
    pub website: WebsiteId,
    /// Whose; everybody's when it is `None`.
    pub visitor: Option<VisitorId>,
}

#[derive(QueryableByName)]
struct Erased {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Binary)]
    website: Vec<u8>,
    #[diesel(sql_type = Nullable<BigInt>)]
    visitor: Option<i64>,
}

#[derive(QueryableByName)]
struct Secret {
    #[diesel(sql_type = Binary)]
    secret: Vec<u8>,
}

/// So many erasures are told at a time.
const ERASURES_TOLD: i64 = 1_000;

#[derive(QueryableByName)]
struct First {
    #[diesel(sql_type = BigInt)]
    first: i64,
}

#[derive(QueryableByName)]
struct Ledger {
    #[diesel(sql_type = Text)]
    ledger: String,
}

impl std::fmt::Debug for PostgresCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresCluster").finish_non_exhaustive()
    }
}

impl PostgresCluster {
    /// In the database at `url`, which [`PostgresStore::open`](crate::PostgresStore::open) has brought up to date before. Asks no server.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when the URL is none.
    pub fn open(url: &str) -> Result<Self> {
        let address = address::address(url)?;
        Ok(Self { pool: Pool::new(&opener()?, &address, CONNECTIONS, WAIT, LIMIT, set_up) })
    }

    /// The first of `count` numbers that follow each other, each greater than all that were given before, to whomever.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server cannot be asked: numbers may be lost then.
    pub fn reserve(&self, count: u64) -> Result<u64> {
        let count = i64::try_from(count).map_err(explained)?;
        let take = "UPDATE cluster_arrivals SET next = next + $1 RETURNING next - $1 AS first";
        let first = self.pool.with(|conn| {
            let taken = diesel::sql_query(take).bind::<BigInt, _>(count).get_result::<First>(conn)?;
            Ok(taken.first)
        })?;
        Ok(first.cast_unsigned())
    }

    /// Gives no number below `next` from now on.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server cannot be asked.
    pub fn raise(&self, next: u64) -> Result<()> {
        let next = i64::try_from(next).map_err(explained)?;
        let raise = "UPDATE cluster_arrivals SET next = $1 WHERE next < $1";
        Ok(self.pool.with(|conn| {
            diesel::sql_query(raise).bind::<BigInt, _>(next).execute(conn)?;
            Ok(())
        })?)
    }

    /// Takes each key that nobody holds; of two of `claims` with one key it is the first that takes it. Of each it is told whether it holds its key
    /// now: of those that hold it already, too.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server cannot be asked: all or none are taken.
    pub fn claim(&self, claims: &[KeyClaim]) -> Result<Vec<bool>> {
        let websites: Vec<Vec<u8>> = claims.iter().map(|claim| claim.website.as_bytes().to_vec()).collect();
        let keys: Vec<Vec<u8>> = claims.iter().map(|claim| claim.key.to_vec()).collect();
        let arrivals: Vec<i64> = claims.iter().map(|claim| claim.arrival.cast_signed()).collect();
        let received: Vec<i64> = claims.iter().map(|claim| claim.received_at.as_millis()).collect();
        let expired: Vec<i64> = claims.iter().map(|claim| claim.expired.as_millis()).collect();
        const NEW: &str = "unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[]) \
                           WITH ORDINALITY AS new (website, key, arrival, received_at, expired, place)";
        let ask = |statement: String| {
            diesel::sql_query(statement)
                .bind::<Array<Binary>, _>(&websites)
                .bind::<Array<Binary>, _>(&keys)
                .bind::<Array<BigInt>, _>(&arrivals)
                .bind::<Array<BigInt>, _>(&received)
                .bind::<Array<BigInt>, _>(&expired)
        };
        let free = format!(
            "DELETE FROM cluster_keys AS held USING {NEW} \
             WHERE held.website = new.website AND held.key = new.key AND held.received_at < new.expired"
        );
        // In the order of the keys, so that no two nodes wait for each other.
        let take = format!(
            "INSERT INTO cluster_keys (website, key, arrival, received_at) \
             SELECT website, key, arrival, received_at FROM {NEW} ORDER BY website, key, place ON CONFLICT DO NOTHING"
        );
        let look = format!(
            "SELECT new.place AS first FROM {NEW} JOIN cluster_keys AS held USING (website, key) WHERE held.arrival = new.arrival"
        );
        // Each statement sees what others have committed meanwhile.
        let held = self.pool.with(|conn| {
            in_transaction(conn, "BEGIN ISOLATION LEVEL READ COMMITTED", |conn| -> Done<Vec<First>> {
                ask(free).execute(conn)?;
                ask(take).execute(conn)?;
                Ok(ask(look).load::<First>(conn)?)
            })
        })?;
        let mut is_held = vec![false; claims.len()];
        for First { first } in held {
            if let Some(one) = usize::try_from(first - 1).ok().and_then(|place| is_held.get_mut(place)) {
                *one = true;
            }
        }
        Ok(is_held)
    }

    /// Frees all keys of `website`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server cannot be asked.
    pub fn forget(&self, website: WebsiteId) -> Result<()> {
        let delete = "DELETE FROM cluster_keys WHERE website = $1";
        let bytes = website.as_bytes().to_vec();
        Ok(self.pool.with(|conn| {
            diesel::sql_query(delete).bind::<Binary, _>(bytes).execute(conn)?;
            Ok(())
        })?)
    }

    /// Frees the keys of events that arrived before `instant`, some thousands at a time.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server cannot be asked: the rest is held yet.
    pub fn forget_before(&self, instant: Timestamp) -> Result<()> {
        let delete = "DELETE FROM cluster_keys WHERE ctid = ANY (ARRAY(\
                      SELECT ctid FROM cluster_keys WHERE received_at < $1 LIMIT 10000))";
        loop {
            let forgotten = self
                .pool
                .with(|conn| Ok(diesel::sql_query(delete).bind::<BigInt, _>(instant.as_millis()).execute(conn)?))?;
            if forgotten == 0 {
                return Ok(());
            }
        }
    }

    /// The ledger of retention that was kept last; `None` at first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server cannot be asked.
    pub fn ledger(&self) -> Result<Option<String>> {
        let select = "SELECT ledger FROM cluster_ledger";
        let found = self.pool.with(|conn| Ok(diesel::sql_query(select).get_result::<Ledger>(conn).optional()?))?;
        Ok(found.map(|found| found.ledger))
    }

    /// Keeps a ledger of retention in the place of `before`, `None` for none. `false` when another one is kept, and stays.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server cannot be asked, [`StoreError::Invalid`] when the text has the character U+0000.
    pub fn replace_ledger(&self, before: Option<&str>, ledger: &str) -> Result<bool> {
        let put = match before {
            None => "INSERT INTO cluster_ledger (id, ledger) SELECT 1, $1 WHERE $2 IS NULL ON CONFLICT (id) DO NOTHING",
            Some(_) => "UPDATE cluster_ledger SET ledger = $1 WHERE ledger = $2",
        };
        let put = self.pool.with(|conn| {
            let put = diesel::sql_query(put).bind::<Text, _>(ledger).bind::<Nullable<Text>, _>(before);
            Ok(put.execute(conn)?)
        });
        Ok(put.map_err(StoreError::from)? > 0)
    }

    /// Tells all nodes that `visitor` of `website` is erased, or all of the website; gives the number of the erasure.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server cannot be asked: they may be told.
    pub fn add_erasure(&self, website: WebsiteId, visitor: Option<VisitorId>) -> Result<u64> {
        // One at a time: whoever has read up to a number has read all that are smaller.
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED; LOCK TABLE cluster_erasures IN EXCLUSIVE MODE";
        let add = "INSERT INTO cluster_erasures (id, website, visitor) \
                   SELECT coalesce(max(id), 0) + 1, $1, $2 FROM cluster_erasures RETURNING id AS first";
        let visitor = visitor.map(|visitor| visitor.0.cast_signed());
        let bytes = website.as_bytes().to_vec();
        let added = self.pool.with(|conn| {
            in_transaction(conn, begin, |conn| -> Done<First> {
                Ok(diesel::sql_query(add)
                    .bind::<Binary, _>(&bytes)
                    .bind::<Nullable<BigInt>, _>(visitor)
                    .get_result::<First>(conn)?)
            })
        })?;
        Ok(added.first.cast_unsigned())
    }

    /// The erasures with a number greater than `id`, ascending: the first thousand. Whoever names a number greater than the last one knows some
    /// that a database which was put back does not: those that are added from now on have greater ones.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server cannot be asked.
    pub fn erasures_after(&self, id: u64) -> Result<Vec<ClusterErasure>> {
        let last = self.last_erasure()?;
        if last == id {
            return Ok(Vec::new());
        }
        let after = i64::try_from(id).map_err(explained)?;
        if last < id {
            // Of a website that nobody has.
            let begin = "BEGIN ISOLATION LEVEL READ COMMITTED; LOCK TABLE cluster_erasures IN EXCLUSIVE MODE";
            let go_on = "INSERT INTO cluster_erasures (id, website) SELECT $1, $2 \
                         WHERE $1 > (SELECT coalesce(max(id), 0) FROM cluster_erasures)";
            self.pool.with(|conn| {
                in_transaction(conn, begin, |conn| -> Done<usize> {
                    Ok(diesel::sql_query(go_on)
                        .bind::<BigInt, _>(after)
                        .bind::<Binary, _>([0_u8; 16].as_slice())
                        .execute(conn)?)
                })
            })?;
        }
        let select = "SELECT id, website, visitor FROM cluster_erasures WHERE id > $1 ORDER BY id LIMIT $2";
        let found = self.pool.with(|conn| {
            let select = diesel::sql_query(select).bind::<BigInt, _>(after).bind::<BigInt, _>(ERASURES_TOLD);
            Ok(select.load::<Erased>(conn)?)
        })?;
        let read = |Erased { id, website, visitor }: Erased| {
            let website = website.try_into().map_err(|_other| damaged("cluster_erasures"))?;
            let visitor = visitor.map(|visitor| VisitorId(visitor.cast_unsigned()));
            Ok(ClusterErasure { id: id.cast_unsigned(), website: WebsiteId::from_bytes(website), visitor })
        };
        found.into_iter().map(read).collect()
    }

    /// The number of the last erasure; 0 when there is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server cannot be asked.
    pub fn last_erasure(&self) -> Result<u64> {
        let select = "SELECT coalesce(max(id), 0) AS first FROM cluster_erasures";
        let last = self.pool.with(|conn| Ok(diesel::sql_query(select).get_result::<First>(conn)?))?;
        Ok(last.first.cast_unsigned())
    }

    /// The secret that visitors are named with: the one that is kept, else `fresh`, which is kept before this returns.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server cannot be asked, [`StoreError::Damaged`] when what is kept is none.
    pub fn secret(&self, fresh: &[u8; 32]) -> Result<[u8; 32]> {
        let keep = "INSERT INTO cluster_secret (id, secret) VALUES (1, $1) ON CONFLICT (id) DO NOTHING";
        let select = "SELECT secret FROM cluster_secret";
        let Secret { secret } = self.pool.with(|conn| {
            diesel::sql_query(keep).bind::<Binary, _>(fresh.as_slice()).execute(conn)?;
            Ok(diesel::sql_query(select).get_result::<Secret>(conn)?)
        })?;
        secret.try_into().map_err(|_other| damaged("cluster_secret"))
    }
}

/// A row of `table` is not what it must be.
fn damaged(table: &str) -> StoreError {
    StoreError::Damaged(format!("a row of {table} is not one").into())
}
