//! The store in a PostgreSQL database.

mod address;
mod bounded;
mod check;
mod claim;
mod cluster;
mod copy;
mod errors;
mod pool;
mod reach;
mod socket;
// The queries, which are the same for every database; `super` tells them which one it is.
#[path = "../sql/clock.rs"]
mod clock;
#[path = "../sql/dropped.rs"]
mod dropped;
#[path = "../sql/failed.rs"]
mod failed;
#[path = "../sql/goals.rs"]
mod goals;
#[path = "../sql/grants/mod.rs"]
mod grants;
#[path = "../sql/keys.rs"]
mod keys;
#[path = "../sql/migrations.rs"]
mod migrations;
#[path = "../sql/people/mod.rs"]
mod people;
#[path = "../sql/rows.rs"]
mod rows;
#[path = "../sql/shares.rs"]
mod shares;
#[path = "../sql/status.rs"]
mod status;
#[path = "../sql/store.rs"]
mod store;
#[path = "../sql/sums.rs"]
mod sums;
#[path = "../sql/teams.rs"]
mod teams;
#[path = "../sql/usage.rs"]
mod usage;
#[path = "../sql/users.rs"]
mod users;
#[path = "../sql/websites.rs"]
mod websites;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use self::address::Address;
use self::bounded::Bounded;
pub use self::bounded::end_all as end_postgres;
pub use self::claim::ServerClaim;
pub use self::cluster::{ClusterErasure, KeyClaim, PostgresCluster};
pub use self::copy::{CopiedRows, CopyError, PostgresSnapshot, copy_to_postgres};
use self::errors::explained;
use self::failed::Done;
use self::migrations::migrate;
use self::pool::{Pool, opener};
use self::store::Known;
use crate::schema::data_version;
use crate::{DataVersion, Result, Standing, StoreError};

/// The database of the queries.
type Conn = PgConnection;
/// The store of the queries.
use PostgresStore as SqlStore;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// How long a caller waits for a connection, and a change for the one before it.
const WAIT: Duration = Duration::from_secs(5);

/// How long a caller waits for a connection that asks for the version of the data, which each request does.
const VERSION_WAIT: Duration = Duration::from_secs(1);

/// How long one statement may take, and how long the server waits for the next one in a transaction.
const STATEMENT: Duration = Duration::from_secs(15);

/// How long what a caller does on a connection may take, whatever the server does.
const LIMIT: Duration = Duration::from_secs(20);

/// The same of what counts: the wait for the lock, and some statements.
const COUNTING_LIMIT: Duration = Duration::from_secs(8);

/// How long a server may take for the least that it can be asked.
const ANSWER: Duration = Duration::from_secs(2);

/// How long a new connection may take to be made ready.
const SETTING_UP: Duration = Duration::from_secs(5);

/// How long the server may take for a statement of whoever waits as long as [`MIGRATION`], whatever it does.
const LONG_LIMIT: Duration = MIGRATION.saturating_add(Duration::from_secs(10));

/// How long whoever opens the store waits for a program that brings the schema up to date.
const MIGRATION: Duration = Duration::from_secs(120);

/// How soon a server that could not be reached is tried again by whoever waits for it.
const RETRY: Duration = Duration::from_millis(250);

/// The oldest version of the server, as it numbers them.
const SERVER_MIN: i32 = 150_000;

/// Connections for everything else.
const CONNECTIONS: u32 = 6;

/// Connections for counting.
const COUNTING_CONNECTIONS: u32 = 4;

/// Connections for the version of the data, which is asked for each request: none waits there for a change.
const VERSION_CONNECTIONS: u32 = 2;

/// The lock that whoever changes something holds alone, and whoever counts holds together with others, each until the end of the
/// transaction. It is of one database: the number means nothing to others.
const LOCK: i64 = 0x007a_656e_6f76_6179;

/// The lock that the one server on a database holds alone, or that several hold together.
const SERVER_LOCK: i64 = LOCK + 1;

/// The lock that the one of several servers holds that does what one of them does.
const LEADER_LOCK: i64 = LOCK + 2;

/// The store in a PostgreSQL database (15 or newer), which any number of processes on any number of machines may have open.
///
/// One change is made at a time, whoever makes it, as in [`SqliteStore`](crate::SqliteStore): a transaction that changes
/// something holds an advisory lock of the database, so what it read is still true when it writes. Reading waits for nobody.
/// Counting a request is one `UPDATE` that checks the limit, beside others that count. Changes are as durable as the server's
/// `synchronous_commit` says; counting is written with `synchronous_commit = off`, so a server that crashes may lose what was
/// counted in its last half second. The death of this process loses nothing.
///
/// Every method blocks: it waits for the network, for one of twelve connections, and for other changes, each up to 5 seconds; a
/// statement ends after 15 seconds, and all of what a method does after 20, on Linux also where the server hangs and keeps its connections
/// open: they are closed from here. A connection that was lost is replaced; a server that cannot be reached, or does not answer, is
/// [`Unavailable`](StoreError::Unavailable), and while it is, most callers are told so at once. Call it outside an async executor's workers, as with
/// `tokio::task::spawn_blocking`.
///
/// PostgreSQL does not store the character U+0000: text with it is [`Invalid`](StoreError::Invalid).
///
/// ```no_run
/// use zenovay_store::{PostgresStore, UserStore};
///
/// let store = PostgresStore::open("postgres://zenovay:secret@db.example.com/zenovay?sslmode=verify-full")?;
/// println!("there are accounts: {}", store.has_users()?);
/// # Ok::<(), zenovay_store::StoreError>(())
/// ```
pub struct PostgresStore {
    shared: Arc<Shared>,
    /// What must hold when a change is written; nothing for the program's own.
    standing: Option<Standing>,
}

/// What all that are one store share.
struct Shared {
    pool: Pool,
    counting: Pool,
    version: Pool,
    known: Known,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens the store in the database at `url`, such as `postgres://user:password@host:5432/database?sslmode=verify-full`, and
    /// brings its schema up to date. Behind `?` may stand what libpq knows. The database must be there, be in UTF-8, and belong
    /// to the user; tables are made in the first schema of its `search_path`.
    ///
    /// No error and no debugging output tells the password.
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`] when the URL is none, [`StoreError::NewerSchema`] when a newer program wrote the database,
    /// [`StoreError::Unavailable`] when the server cannot be reached, refuses, is older than PostgreSQL 15 or is a standby.
    pub fn open(url: &str) -> Result<Self> {
        let address = address::address(url)?;
        let mut first = connect(&address)?;
        let opened = first.ask(LONG_LIMIT, |conn| {
            set_limits(conn, MIGRATION)?;
            in_write_transaction(conn, migrate)
        });
        opened.map_err(|failed| match failed.into() {
            StoreError::Unavailable(cause) => StoreError::Unavailable(errors::told(&cause.to_string()).into()),
            other => other,
        })?;
        drop(first);
        let opener = opener()?;
        let shared = Shared {
            pool: Pool::new(&opener, &address, CONNECTIONS, WAIT, LIMIT, set_up),
            counting: Pool::new(&opener, &address, COUNTING_CONNECTIONS, WAIT, COUNTING_LIMIT, set_up_counting),
            version: Pool::new(&opener, &address, VERSION_CONNECTIONS, VERSION_WAIT, ANSWER, set_up),
            known: Known::default(),
        };
        Ok(Self { shared: Arc::new(shared), standing: None })
    }

    /// Runs `work` on a connection that counts.
    fn count<T>(&self, work: impl FnOnce(&mut PgConnection) -> Done<T>) -> Result<T> {
        Ok(self.shared.counting.with(work)?)
    }

    /// As [`write`](Self::write): the space for changes is the server's.
    fn write_urgently<T>(&self, work: impl Fn(&mut PgConnection) -> Done<T>) -> Result<T> {
        self.write(work)
    }

    /// What was deleted is taken out of the files by the server, when it vacuums them.
    fn empty_log(&self) {}

    /// Runs `work` on one snapshot.
    fn read<T>(&self, work: impl FnOnce(&mut PgConnection) -> Done<T>) -> Result<T> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(self.shared.pool.with(|conn| in_transaction(conn, begin, work))?)
    }
}

impl DataVersion for PostgresStore {
    fn data_version(&self) -> Result<i64> {
        let ask = |conn: &mut PgConnection| Ok(data_version::table.select(data_version::version).get_result(conn)?);
        Ok(self.shared.version.with(ask)?)
    }

    fn own_changes(&self) -> u64 {
        self.shared.known.own_changes.load(Ordering::Acquire)
    }
}

/// Whether a [`PostgresStore`] understands the URL; asks no server.
///
/// # Errors
/// [`StoreError::Invalid`], which repeats nothing of the URL.
pub fn check_postgres_url(url: &str) -> Result<()> {
    address::address(url).map(drop)
}

/// Waits as long as `patience` for the server of a [`PostgresStore`] at `url` when it cannot be reached or does not serve yet. `waiting`
/// is told once why. Changes nothing in the database.
///
/// # Errors
/// As [`PostgresStore::open`]; at once when the server refuses, as for a wrong password.
pub fn wait_for_postgres(url: &str, patience: Duration, waiting: &mut dyn FnMut(&str)) -> Result<()> {
    let address = address::address(url)?;
    let began = Instant::now();
    let mut is_told = false;
    loop {
        match Bounded::open(&address) {
            Ok(mut conn) => return checked(&mut conn),
            Err(error) => {
                let (is_passing, told) = (errors::is_passing(&error.to_string()), errors::told(&error.to_string()));
                if !is_passing || began.elapsed() >= patience {
                    return Err(explained(told));
                }
                if !is_told {
                    waiting(&told);
                    is_told = true;
                }
                std::thread::sleep(RETRY);
            }
        }
    }
}

/// A connection to a server that the store works on.
fn connect(address: &Address) -> Result<Bounded> {
    let mut conn = Bounded::open(address).map_err(|error| explained(errors::told(&error.to_string())))?;
    checked(&mut conn)?;
    Ok(conn)
}

fn checked(conn: &mut Bounded) -> Result<()> {
    Ok(conn.ask(SETTING_UP, |conn| Ok(check_server(conn)?))?)
}

/// Refuses a server that the store does not work on.
fn check_server(conn: &mut PgConnection) -> Result<()> {
    use diesel::sql_types::{Bool, Integer, Text};
    #[derive(QueryableByName)]
    struct Server {
        #[diesel(sql_type = Integer)]
        number: i32,
        #[diesel(sql_type = Text)]
        version: String,
        #[diesel(sql_type = Text)]
        encoding: String,
        #[diesel(sql_type = Bool)]
        is_standby: bool,
    }
    let asked = "SELECT current_setting('server_version_num')::integer AS number, \
                 current_setting('server_version') AS version, current_setting('server_encoding') AS encoding, \
                 pg_is_in_recovery() AS is_standby";
    let Server { number, version, encoding, is_standby } =
        diesel::sql_query(asked).get_result(conn).map_err(explained)?;
    let refused = if number < SERVER_MIN {
        format!("the server is PostgreSQL {version}; 15 or newer is needed")
    } else if encoding != "UTF8" {
        format!("the database is in {encoding}; create one with ENCODING 'UTF8'")
    } else if is_standby {
        "the server is a standby, where nothing can be changed; name the primary".to_owned()
    } else {
        return Ok(());
    };
    Err(StoreError::Unavailable(refused.into()))
}

/// Bounds how long anything on the connection waits.
fn set_limits(conn: &mut PgConnection, wait: Duration) -> QueryResult<()> {
    conn.batch_execute(&format!(
        "SET lock_timeout = {}; SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}",
        wait.as_millis(),
        STATEMENT.max(wait).as_millis(),
        STATEMENT.as_millis()
    ))
}

/// What every connection needs before its first statement.
fn set_up(conn: &mut PgConnection) -> QueryResult<()> {
    set_limits(conn, WAIT)
}

/// The same of one that counts: a count is not worth a flush of the server's disk.
fn set_up_counting(conn: &mut PgConnection) -> QueryResult<()> {
    set_limits(conn, WAIT)?;
    conn.batch_execute("SET synchronous_commit = off")
}

/// Runs `work` in a transaction while nobody else changes or counts anything. Each statement sees what was written before it: what
/// others wrote is there when the lock is.
fn in_write_transaction<T>(conn: &mut PgConnection, work: impl FnOnce(&mut PgConnection) -> Done<T>) -> Done<T> {
    let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({LOCK})");
    in_transaction(conn, &begin, work)
}

/// Runs `work` in a transaction while nobody changes anything, and others may count: what it changes are rows of one key, each by
/// one statement.
fn in_counting_transaction<T>(conn: &mut PgConnection, work: impl FnOnce(&mut PgConnection) -> Done<T>) -> Done<T> {
    let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock_shared({LOCK})");
    in_transaction(conn, &begin, work)
}

fn in_transaction<T>(conn: &mut PgConnection, begin: &str, work: impl FnOnce(&mut PgConnection) -> Done<T>) -> Done<T> {
    if let Err(error) = AnsiTransactionManager::begin_transaction_sql(conn, begin) {
        // The lock was not to be had, but the transaction began before that. A connection that is lost is found when it is lent.
        let _ = conn.batch_execute("ROLLBACK");
        return Err(error.into());
    }
    match work(conn) {
        Ok(done) => {
            AnsiTransactionManager::commit_transaction(conn)?;
            Ok(done)
        }
        Err(cause) => {
            // Where that fails the connection is closed: the cause is what counts.
            let _ = AnsiTransactionManager::rollback_transaction(conn);
            Err(cause)
        }
    }
}
