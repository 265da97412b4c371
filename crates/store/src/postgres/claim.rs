//! The claim of one server on a database.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer, Nullable, Text};

use super::address::Address;
use super::bounded::Bounded;
use super::failed::Done;
use super::{LEADER_LOCK, SERVER_LOCK, SETTING_UP, WAIT, address, connect, set_limits};
use crate::Result;

/// The claim of a server on a PostgreSQL database: by itself, for two servers would each allow what limits allow, and keep events of the same
/// websites apart; or together with others that share all of that. It is a lock of a session, on a connection of its own: it ends with the
/// process, and with the machine some 11 seconds after that is gone.
///
/// [`PostgresStore`](crate::PostgresStore) does not look at it: commands work beside a server.
pub struct ServerClaim {
    address: Address,
    kind: Kind,
    held: Option<Bounded>,
    /// Whether the lock of the one that leads is held on that connection.
    leads: bool,
    /// The process of the server that served the claim last, and when it began.
    served_by: Option<Process>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Alone,
    Together,
}

impl std::fmt::Debug for ServerClaim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerClaim")
            .field("kind", &self.kind)
            .field("is_held", &self.held.is_some())
            .field("leads", &self.leads)
            .finish_non_exhaustive()
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

#[derive(QueryableByName)]
struct Process {
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = Text)]
    begun: String,
}

impl ServerClaim {
    /// A claim on the database at `url` that is not made yet.
    ///
    /// # Errors
    /// [`Invalid`](crate::StoreError::Invalid) when the URL is none.
    pub fn new(url: &str) -> Result<Self> {
        Ok(Self { address: address::address(url)?, kind: Kind::Alone, held: None, leads: false, served_by: None })
    }

    /// The same for a server among others, each of which makes its claim so: any number of them hold it at a time.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn together(url: &str) -> Result<Self> {
        Ok(Self { kind: Kind::Together, ..Self::new(url)? })
    }

    /// Whether this server is the one that does what one of them does. To be asked after [`hold`](Self::hold), whenever that said that the claim
    /// is held: who leads does so until its connection ends, and then one of the others does. Whoever is alone leads. Blocks.
    ///
    /// # Errors
    /// [`Unavailable`](crate::StoreError::Unavailable) when the database cannot be asked.
    pub fn leads(&mut self) -> Result<bool> {
        if let (Some(conn), false) = (&mut self.held, self.leads) {
            self.leads =
                self.kind == Kind::Alone || conn.ask(WAIT, |conn| take(conn, "pg_try_advisory_lock", LEADER_LOCK))?;
        }
        Ok(self.leads)
    }

    /// Makes the claim, or makes sure that it is held: `None` when it is, otherwise where the server is that holds it. Blocks.
    ///
    /// # Errors
    /// [`Unavailable`](crate::StoreError::Unavailable) when the database cannot be asked: the claim is lost if it was held.
    pub fn hold(&mut self) -> Result<Option<String>> {
        if let Some(mut conn) = self.held.take()
            && conn.ping(WAIT).is_ok()
        {
            self.held = Some(conn);
            return Ok(None);
        }
        self.leads = false;
        let mut conn = connect(&self.address)?;
        let (kind, served_by) = (self.kind, &mut self.served_by);
        let other = conn.ask(SETTING_UP, |conn| make(conn, kind, served_by))?;
        if other.is_none() {
            self.held = Some(conn);
        }
        Ok(other)
    }
}

/// Makes the claim on a connection: `None`, or who has it.
fn make(conn: &mut PgConnection, kind: Kind, served_by: &mut Option<Process>) -> Done<Option<String>> {
    set_limits(conn, WAIT)?;
    // The server finds out soon that this machine is gone.
    let found_out = "SET application_name = 'zenovay server'; SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; \
                     SET tcp_keepalives_count = 3; SET tcp_user_timeout = 10000";
    conn.batch_execute(found_out)?;
    if let Some(Process { pid, begun }) = served_by.as_ref() {
        // A server that hung has not seen yet that the connection of before is closed.
        let end = "SELECT pg_terminate_backend(pid, 2000) AS is_held FROM pg_stat_activity WHERE pid = $1 AND backend_start::text = $2";
        diesel::sql_query(end).bind::<Integer, _>(pid).bind::<Text, _>(begun).get_result::<Lock>(conn).optional()?;
    }
    let lock = match kind {
        Kind::Alone => "pg_try_advisory_lock",
        Kind::Together => "pg_try_advisory_lock_shared",
    };
    if take(conn, lock, SERVER_LOCK)? {
        let own = "SELECT pid, backend_start::text AS begun FROM pg_stat_activity WHERE pid = pg_backend_pid()";
        *served_by = diesel::sql_query(own).get_result::<Process>(conn).optional()?;
        return Ok(None);
    }
    let holder = format!(
        "SELECT coalesce(host(client_addr), 'the machine of PostgreSQL') || ', since ' || \
            to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS holder \
         FROM pg_stat_activity WHERE pid = (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted \
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
            AND (classid::bigint << 32) + objid::bigint = {SERVER_LOCK} AND objsubid = 1 LIMIT 1)"
    );
    let holder = diesel::sql_query(holder).get_result::<Holder>(conn).optional()?;
    Ok(Some(holder.and_then(|holder| holder.holder).unwrap_or_else(|| "another machine".to_owned())))
}

/// Takes a lock for as long as the connection lasts, by that function, unless somebody else has it.
fn take(conn: &mut PgConnection, function: &str, lock: i64) -> Done<bool> {
    let lock = format!("SELECT {function}({lock}) AS is_held");
    Ok(diesel::sql_query(lock).get_result::<Lock>(conn)?.is_held)
}
