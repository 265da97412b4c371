//! The store in one SQLite file.

mod check;
mod clock;
mod dropped;
mod errors;
mod keys;
mod reserve;
mod rows;
mod teams;
mod usage;
mod users;
mod websites;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool, PooledConnection};
use diesel::result::Error as DieselError;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use parking_lot::Mutex;

use self::errors::{explained, of_message};
use self::reserve::Reserve;
use crate::schema::data_version;
use crate::{DataVersion, Result, StoreError};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// How long a writer waits for another one, and a caller for a connection (SECURITY §5: waits, then 503).
const WAIT: Duration = Duration::from_secs(5);
const CONNECTIONS: u32 = 4;

/// The store in one SQLite file, which any number of processes may have open.
///
/// Changes are durable when a method returns (write-ahead log, `synchronous=FULL`). Only the counting of requests is
/// written with `synchronous=NORMAL`, on a connection of its own: it survives a killed process without a flush of the disk
/// per request.
pub struct SqliteStore {
    pool: Pool<ConnectionManager<SqliteConnection>>,
    counting: Mutex<usage::Counting>,
    version: Mutex<SqliteConnection>,
    reserve: Reserve,
    /// Changes made through this store.
    own_changes: AtomicU64,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the store in the file `path`, which is created when it is absent, readable by its owner only; brings its
    /// schema up to date.
    ///
    /// # Errors
    ///
    /// [`StoreError::NewerSchema`] when a newer program wrote it, [`StoreError::Damaged`] when it is not what was written,
    /// [`StoreError::Unavailable`] when it cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_file(path).map_err(explained)
    }

    fn open_file(path: &Path) -> Result<Self> {
        create_private(path)?;
        let url = path.to_str().ok_or_else(|| StoreError::Invalid {
            field: "path",
            reason: "the path of the database must be valid UTF-8".to_owned(),
        })?;
        let mut first = connect(url)?;
        // Once, before there are others: the switch needs the file for itself, and it stays in the file.
        first.batch_execute("PRAGMA journal_mode = WAL")?;
        in_write_transaction(&mut first, migrate)?;

        let pool = Pool::builder()
            .max_size(CONNECTIONS)
            .min_idle(Some(1))
            .connection_timeout(WAIT)
            .connection_customizer(Box::new(Settings))
            .build(ConnectionManager::new(url))
            .map_err(of_message)?;
        let counting = usage::Counting::connect(url)?;
        Ok(Self {
            pool,
            counting: Mutex::new(counting),
            version: Mutex::new(first),
            reserve: Reserve::beside(path),
            own_changes: AtomicU64::new(0),
        })
    }

    fn connection(&self) -> Result<PooledConnection<ConnectionManager<SqliteConnection>>> {
        self.pool.get().map_err(of_message)
    }

    /// Runs `work`, one statement.
    fn ask<T>(&self, work: impl FnOnce(&mut SqliteConnection) -> Result<T>) -> Result<T> {
        work(&mut *self.connection()?).map_err(explained)
    }

    /// Runs `work` on the connection that counts, with nobody else on it.
    fn count<T>(&self, work: impl FnOnce(&mut usage::Counting) -> Result<T>) -> Result<T> {
        work(&mut self.counting.lock()).map_err(explained)
    }

    /// Runs `work` in a transaction that holds the write lock from its start, so it never fails for reading first.
    fn write<T>(&self, work: impl FnOnce(&mut SqliteConnection) -> Result<T>) -> Result<T> {
        let result = in_write_transaction(&mut *self.connection()?, work);
        self.own_changes.fetch_add(1, Ordering::Release);
        result.map_err(explained)
    }

    /// As [`write`](Self::write), for the few changes that must succeed on a full disk: the space that is held for them is
    /// given up first.
    fn write_urgently<T>(&self, work: impl Fn(&mut SqliteConnection) -> Result<T>) -> Result<T> {
        match self.write(&work) {
            Err(StoreError::DiskFull) if self.reserve.give_up() => self.write(work),
            result => result,
        }
    }

    /// Runs `work` on one snapshot.
    fn read<T>(&self, work: impl FnOnce(&mut SqliteConnection) -> Result<T>) -> Result<T> {
        (*self.connection()?).transaction(work).map_err(explained)
    }
}

impl DataVersion for SqliteStore {
    fn data_version(&self) -> Result<i64> {
        // The one row of the table, without bound values: SQLite would plan the statement anew for each of them. On a
        // connection of its own: it is asked for each request, and waits for nothing else.
        let version = data_version::table.select(data_version::version).get_result(&mut *self.version.lock());
        version.map_err(of_message)
    }

    fn own_changes(&self) -> u64 {
        self.own_changes.load(Ordering::Acquire)
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
        Err(error) => Err(StoreError::Unavailable(format!("cannot open {}: {error}", path.display()))),
    }
}

fn connect(url: &str) -> Result<SqliteConnection> {
    let mut conn = SqliteConnection::establish(url).map_err(of_message)?;
    set_up(&mut conn)?;
    Ok(conn)
}

/// Runs `work` in a transaction that holds the write lock from its start.
fn in_write_transaction<T>(
    conn: &mut SqliteConnection,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T>,
) -> Result<T> {
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

/// What every connection needs before its first statement.
fn set_up(conn: &mut SqliteConnection) -> QueryResult<()> {
    conn.batch_execute(&format!(
        "PRAGMA busy_timeout = {}; PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL",
        WAIT.as_millis()
    ))
}

#[derive(Debug)]
struct Settings;

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for Settings {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), diesel::r2d2::Error> {
        set_up(conn).map_err(diesel::r2d2::Error::QueryError)
    }
}

/// Brings the schema up to date. Runs inside the transaction of its caller, so of two programs that start together one
/// migrates and the other finds it done.
fn migrate(conn: &mut SqliteConnection) -> Result<()> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| of_message(error);
    let known: Vec<Box<dyn Migration<Sqlite>>> = MIGRATIONS.migrations().map_err(failed)?;
    let applied = conn.applied_migrations().map_err(failed)?;
    let is_known = |version: &diesel::migration::MigrationVersion<'_>| {
        known.iter().any(|migration| migration.name().version() == *version)
    };
    if let Some(newer) = applied.iter().find(|version| !is_known(version)) {
        return Err(StoreError::NewerSchema(newer.to_string()));
    }
    conn.run_pending_migrations(MIGRATIONS).map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema_of(conn: &mut SqliteConnection) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Sql {
            #[diesel(sql_type = diesel::sql_types::Text)]
            sql: String,
        }
        diesel::sql_query("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
            .load::<Sql>(conn)
            .unwrap()
            .into_iter()
            .map(|row| row.sql)
            .collect()
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
        store.connection().unwrap().batch_execute(newer).unwrap();
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
        let store = SqliteStore::open(&dir.path().join("zenovay.db")).unwrap();
        let read = |conn: &mut SqliteConnection, name: &str| {
            diesel::sql_query(format!("SELECT CAST({name} AS TEXT) AS value FROM pragma_{name}"))
                .get_result::<Setting>(conn)
                .unwrap()
                .value
        };
        let mut conn = store.connection().unwrap();
        assert_eq!(read(&mut conn, "journal_mode"), "wal");
        assert_eq!(read(&mut conn, "synchronous"), "2", "FULL");
        assert_eq!(read(&mut conn, "foreign_keys"), "1");
        assert_eq!(read(&mut store.counting.lock().conn, "synchronous"), "1", "NORMAL");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_the_files() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let _store = SqliteStore::open(&dir.path().join("zenovay.db")).unwrap();
        let entries: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap()).collect();
        assert!(entries.len() >= 2, "the database and its log");
        for entry in entries {
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        }
    }

    #[test]
    fn a_directory_that_is_absent_is_one_clear_line() {
        let error = SqliteStore::open(Path::new("/nonexistent/zenovay.db")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/zenovay.db"), "{error}");
    }
}
