//! The claim of one server on a database.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};

use super::errors::explained;
use super::{SERVER_LOCK, WAIT, address, connect, set_limits};
use crate::Result;

/// The claim of one server on a PostgreSQL database: two servers would each allow what limits allow, and keep events of the same
/// websites apart. It is a lock of a session, on a connection of its own: it ends with the process, and with the machine some 11
/// seconds after that is gone.
///
/// [`PostgresStore`](crate::PostgresStore) does not look at it: commands work beside a server.
pub struct ServerClaim {
    address: String,
    held: Option<PgConnection>,
}

impl std::fmt::Debug for ServerClaim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerClaim").field("is_held", &self.held.is_some()).finish_non_exhaustive()
    }
}

#[derive(QueryableByName)]
struct Lock {
    #[diesel(sql_type = Bool)]
    is_held: bool,
}

#[derive(QueryableByName)]
struct Holder {
    #[diesel(sql_type = Nullable<Text>)]
    holder: Option<String>,
}

impl ServerClaim {
    /// A claim on the database at `url` that is not made yet.
    ///
    /// # Errors
    /// [`Invalid`](crate::StoreError::Invalid) when the URL is none.
    pub fn new(url: &str) -> Result<Self> {
        Ok(Self { address: address::address(url)?, held: None })
    }

    /// Makes the claim, or makes sure that it is held: `None` when it is, otherwise where the server is that holds it. Blocks.
    ///
    /// # Errors
    /// [`Unavailable`](crate::StoreError::Unavailable) when the database cannot be asked: the claim is lost if it was held.
    pub fn hold(&mut self) -> Result<Option<String>> {
        if let Some(mut conn) = self.held.take()
            && conn.batch_execute("SELECT 1").is_ok()
        {
            self.held = Some(conn);
            return Ok(None);
        }
        let mut conn = connect(&self.address)?;
        set_limits(&mut conn, WAIT).map_err(explained)?;
        // The server finds out soon that this machine is gone.
        let found_out = "SET application_name = 'zenovay server'; SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; \
                         SET tcp_keepalives_count = 3; SET tcp_user_timeout = 10000";
        conn.batch_execute(found_out).map_err(explained)?;
        let lock = format!("SELECT pg_try_advisory_lock({SERVER_LOCK}) AS is_held");
        if diesel::sql_query(lock).get_result::<Lock>(&mut conn).map_err(explained)?.is_held {
            self.held = Some(conn);
            return Ok(None);
        }
        let holder = format!(
            "SELECT coalesce(host(client_addr), 'the machine of PostgreSQL') || ', since ' || \
                to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS holder \
             FROM pg_stat_activity WHERE pid = (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted \
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                AND (classid::bigint << 32) + objid::bigint = {SERVER_LOCK} AND objsubid = 1 LIMIT 1)"
        );
        let holder = diesel::sql_query(holder).get_result::<Holder>(&mut conn).optional().map_err(explained)?;
        Ok(Some(holder.and_then(|holder| holder.holder).unwrap_or_else(|| "another machine".to_owned())))
    }
}
