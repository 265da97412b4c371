//! The store in one SQLite file.

mod check;
mod errors;
#[cfg(test)]
mod full_disk_tests;
#[cfg(feature = "postgres")]
pub(crate) mod lines;
mod pool;
mod reserve;
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

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use parking_lot::Mutex;

use self::errors::explained;
use self::failed::Done;
use self::migrations::migrate;
use self::pool::Pool;
use self::reserve::Reserve;
use self::store::Known;
use crate::schema::data_version;
use crate::{DataVersion, Result, Standing, StoreError};

/// The database of the queries.
type Conn = SqliteConnection;
/// The store of the queries.
use SqliteStore as SqlStore;
/// Counting changes what all writers change, under the same lock.
use in_write_transaction as in_counting_transaction;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// How long a writer waits for another one, and a caller for a connection.
const WAIT: Duration = Duration::from_secs(5);

/// The store in one SQLite file, which any number of processes may have open.
///
/// Changes are durable when a method returns (write-ahead log, `synchronous=FULL`). Only the counting of requests is
/// written with `synchronous=NORMAL`, on a connection of its own: it survives a killed process without a flush of the disk
/// per request.
///
/// Every method blocks: it waits for the disk, for one of four connections, and for other writers, each up to 5 seconds.
/// Call it outside an async executor's workers, as with `tokio::task::spawn_blocking`.
///
/// ```
/// use zenovay_store::auth::PasswordHash;
/// use zenovay_store::domain::{Timestamp, UserId};
/// use zenovay_store::{SqliteStore, User, UserStore};
///
/// let store = SqliteStore::in_memory()?;
/// let (id, now) = (UserId::from_random_bytes([1; 16]), Timestamp::from_millis(1_781_308_800_000));
/// store.create_user(&User::new(id, "ann@example.com", "Ann", PasswordHash::from_stored("$argon2id$…".to_owned()), now))?;
/// assert!(store.user_by_email("Ann@Example.com")?.is_some());
/// # Ok::<(), zenovay_store::StoreError>(())
/// ```
pub struct SqliteStore {
    shared: Arc<Shared>,
    /// What must hold when a change is written; nothing for the program's own.
    standing: Option<Standing>,
}

/// What all that are one store share.
struct Shared {
    pool: Pool,
    /// The connection that counts: its writes survive the death of the process, and are flushed with those of others.
    counting: Mutex<SqliteConnection>,
    version: Mutex<SqliteConnection>,
    /// Space for changes that must not wait; none is held for a store in memory.
    reserve: Option<Reserve>,
    known: Known,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the store in the file `path`, which is created when it is absent, readable by its owner only; brings its
    /// schema up to date. `:memory:` is [`in_memory`](Self::in_memory).
    ///
    /// Beside the file are SQLite's `…-wal` and `…-shm` while it is open, and `…-reserve`, a megabyte that is held for
    /// revoking keys on a full disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::NewerSchema`] when a newer program wrote it, [`StoreError::Damaged`] when it is not what was written,
    /// [`StoreError::Unavailable`] when it cannot be opened, [`StoreError::Invalid`] when the path is not valid UTF-8.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path == Path::new(":memory:") {
            return Self::in_memory();
        }
        if path.as_os_str().is_empty() {
            let reason = "is empty; give the path of the database file".to_owned();
            return Err(StoreError::Invalid { field: "path", reason });
        }
        create_private(path)?;
        let name = path.to_str().ok_or_else(|| StoreError::Invalid {
            field: "path",
            reason: "the path of the database must be valid UTF-8".to_owned(),
        })?;
        // A relative path could be one of the names that mean something else to SQLite, such as `file:a`.
        let name = if path.is_absolute() { name.to_owned() } else { format!("./{name}") };
        Self::connect(&name, Some(Reserve::beside(path)))
    }

    /// An empty store in memory, at most 1 GiB, which ends with this value. It does everything that one in a file does, by
    /// the same code, but that nothing is left of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when there is no memory or no thread for it.
    pub fn in_memory() -> Result<Self> {
        Self::connect(&memory_name(), None)
    }

    fn connect(name: &str, reserve: Option<Reserve>) -> Result<Self> {
        let mut first = connect(name)?;
        // Once, before there are others: the switch needs the file for itself, and it stays in the file. Memory has no log.
        first.batch_execute("PRAGMA journal_mode = WAL").map_err(explained)?;
        in_write_transaction(&mut first, migrate)?;

        let mut counting = connect(name)?;
        counting.batch_execute("PRAGMA synchronous = NORMAL").map_err(explained)?;
        let shared = Shared {
            pool: Pool::new(name, WAIT)?,
            counting: Mutex::new(counting),
            version: Mutex::new(first),
            reserve,
            known: Known::default(),
        };
        Ok(Self { shared: Arc::new(shared), standing: None })
    }

    /// Runs `work` on the connection that counts, with nobody else on it.
    fn count<T>(&self, work: impl FnOnce(&mut SqliteConnection) -> Done<T>) -> Result<T> {
        Ok(work(&mut self.shared.counting.lock())?)
    }

    /// As [`write`](Self::write), for the few changes that must succeed on a full disk: the space that is held for them is
    /// given up first.
    fn write_urgently<T>(&self, work: impl Fn(&mut SqliteConnection) -> Done<T>) -> Result<T> {
        match (self.write(&work), &self.shared.reserve) {
            (Err(StoreError::DiskFull), Some(reserve)) if reserve.give_up() => self.write(work),
            (result, _) => result,
        }
    }

    /// Takes what was deleted out of SQLite's log as well. Where somebody reads for long it is left for the next time.
    fn empty_log(&self) {
        let _ = self.shared.pool.with(|conn| Ok(conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")?));
    }

    /// Runs `work` on one snapshot.
    fn read<T>(&self, work: impl FnOnce(&mut SqliteConnection) -> Done<T>) -> Result<T> {
        Ok(self.shared.pool.with(|conn| conn.transaction(work))?)
    }
}

impl DataVersion for SqliteStore {
    fn data_version(&self) -> Result<i64> {
        // The one row of the table, without bound values: SQLite would plan the statement anew for each of them. On a
        // connection of its own: it is asked for each request, and waits for nothing else.
        let version = data_version::table.select(data_version::version).get_result(&mut *self.shared.version.lock());
        version.map_err(explained)
    }

    fn own_changes(&self) -> u64 {
        self.shared.known.own_changes.load(Ordering::Acquire)
    }
}

/// Makes the file before SQLite does, so that nobody else can ever read it; SQLite gives its side files the same mode.
fn create_private(path: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(StoreError::Unavailable(format!("cannot open {}: {error}", path.display()).into())),
    }
}

/// A name that no other database in the memory of this process has. The version is in it because a program may hold two of
/// this crate.
fn memory_name() -> String {
    static MADE: AtomicU64 = AtomicU64::new(0);
    // Several connections share one database only in this file system of SQLite.
    format!("file:/zenovay-store-{}-{}?vfs=memdb", env!("CARGO_PKG_VERSION"), MADE.fetch_add(1, Ordering::Relaxed))
}

fn connect(name: &str) -> Result<SqliteConnection> {
    let mut conn = SqliteConnection::establish(name).map_err(explained)?;
    set_up(&mut conn).map_err(explained)?;
    Ok(conn)
}

/// Runs `work` in a transaction that holds the write lock from its start.
fn in_write_transaction<T>(
    conn: &mut SqliteConnection,
    work: impl FnOnce(&mut SqliteConnection) -> Done<T>,
) -> Done<T> {
    let mut cause = None;
    let result = conn.immediate_transaction(|conn| {
        work(conn).map_err(|error| {
            cause = Some(error);
            DieselError::RollbackTransaction
        })
    });
    // When the disk is full SQLite rolls back by itself, and rolling back again fails: the cause is what counts.
    result.map_err(|error| cause.unwrap_or_else(|| error.into()))
}

/// The version of the newest schema that this program knows. Programs of which this differs do not write the same.
pub fn formats() -> String {
    let known = migrations::known().unwrap_or_default();
    known.iter().map(|migration| migration.name().version().to_string()).max().unwrap_or_default()
}

/// What every connection needs before its first statement.
fn set_up(conn: &mut SqliteConnection) -> QueryResult<()> {
    conn.batch_execute(&format!(
        // What is deleted is overwritten: addresses and secrets of people who left are in no free page.
        "PRAGMA busy_timeout = {}; PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON",
        WAIT.as_millis()
    ))
}

#[cfg(test)]
mod tests {
    use diesel_migrations::MigrationHarness;
    use zenovay_auth::PasswordHash;
    use zenovay_domain::{Timestamp, UserId};

    use super::*;
    use crate::{User, UserStore};

    fn schema_of(conn: &mut SqliteConnection) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Sql {
            #[diesel(sql_type = diesel::sql_types::Text)]
            sql: String,
        }
        // `sqlite_sequence` is SQLite's own, and stays once a table counted.
        let ours = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name <> 'sqlite_sequence' ORDER BY name";
        diesel::sql_query(ours).load::<Sql>(conn).unwrap().into_iter().map(|row| row.sql).collect()
    }

    #[test]
    fn migrations_go_up_down_and_up() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        migrate(&mut conn).unwrap();
        let up = schema_of(&mut conn);
        assert!(up.len() > 9, "{}", up.len());
        conn.revert_all_migrations(MIGRATIONS).unwrap();
        assert_eq!(schema_of(&mut conn).len(), 1, "only the table of the migrations stays");
        migrate(&mut conn).unwrap();
        assert_eq!(schema_of(&mut conn), up);
    }

    #[test]
    fn a_newer_schema_is_refused_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zenovay.db");
        let store = SqliteStore::open(&path).unwrap();
        let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000000')";
        store.ask(|conn| Ok(conn.batch_execute(newer)?)).unwrap();
        let error = SqliteStore::open(&path).unwrap_err();
        assert!(matches!(&error, StoreError::NewerSchema(version) if version == "29991231000000"), "{error}");
        assert_eq!(error.to_string().lines().count(), 1);
    }

    #[test]
    fn connections_are_set_up_for_durability() {
        #[derive(QueryableByName)]
        struct Setting {
            #[diesel(sql_type = diesel::sql_types::Text)]
            value: String,
        }
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("zenovay.db")).unwrap();
        let read = |conn: &mut SqliteConnection, name: &str| {
            diesel::sql_query(format!("SELECT CAST({name} AS TEXT) AS value FROM pragma_{name}"))
                .get_result::<Setting>(conn)
                .unwrap()
                .value
        };
        let read_all = |conn: &mut SqliteConnection| {
            Ok(["journal_mode", "synchronous", "foreign_keys"].map(|name| read(conn, name)))
        };
        assert_eq!(store.ask(read_all).unwrap(), ["wal", "2", "1"], "synchronous is FULL");
        assert_eq!(read(&mut store.shared.counting.lock(), "synchronous"), "1", "NORMAL");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_the_files() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let _store = SqliteStore::open(dir.path().join("zenovay.db")).unwrap();
        let entries: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap()).collect();
        assert!(entries.len() >= 2, "the database and its log");
        for entry in entries {
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        }
    }

    #[test]
    fn a_directory_that_is_absent_is_one_clear_line() {
        let error = SqliteStore::open("/nonexistent/zenovay.db").unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("/nonexistent/zenovay.db"), "{cause}");
        assert_eq!(cause.lines().count(), 1);
    }

    /// SQLite takes `file:…` for an address, and nothing at all for a database that ends with the connection. Sabotage: hand
    /// the path over as it is.
    #[test]
    fn every_path_is_a_file_of_that_name() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["file:a?mode=memory", "sqlite://b", "a b%20c", "äöü.db", "#", "x:memory:"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            drop(SqliteStore::open(&path).unwrap());
            assert!(std::fs::read(&path).unwrap().starts_with(b"SQLite format 3"), "{name}");
        }
        let refused = SqliteStore::open("").unwrap_err();
        assert!(matches!(refused, StoreError::Invalid { field: "path", .. }), "{refused}");
    }

    #[test]
    fn stores_in_memory_are_apart_and_leave_no_file() {
        let (one, other) = (SqliteStore::in_memory().unwrap(), SqliteStore::open(":memory:").unwrap());
        let hash = PasswordHash::from_stored("$argon2id$".to_owned());
        let (id, at) = (UserId::from_random_bytes([1; 16]), Timestamp::from_millis(0));
        one.create_user(&User::new(id, "ann@example.com", "Ann", hash, at)).unwrap();
        assert!(one.has_users().unwrap());
        assert!(!other.has_users().unwrap());
        assert!(!Path::new(":memory:").exists());
        let name = memory_name();
        drop(SqliteStore::connect(&name, None).unwrap().create_user(&one.user(id).unwrap().unwrap()));
        assert!(!SqliteStore::connect(&name, None).unwrap().has_users().unwrap(), "it ends with its store");
    }

    /// The suite of all stores, on memory.
    #[cfg(feature = "conformance")]
    mod in_memory {
        use super::super::{SqliteStore, memory_name};
        use crate::conformance::Harness;

        struct Memory {
            name: String,
            /// Keeps the data while no other store is open on them.
            _first: SqliteStore,
        }

        impl Memory {
            fn new() -> Self {
                let name = memory_name();
                let first = SqliteStore::connect(&name, None).unwrap();
                Self { name, _first: first }
            }
        }

        impl Harness for Memory {
            type Store = SqliteStore;

            fn open(&self) -> SqliteStore {
                SqliteStore::connect(&self.name, None).unwrap()
            }
        }

        crate::conformance_tests!(Memory::new());
    }
}
