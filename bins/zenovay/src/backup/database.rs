//! Copies of SQLite databases that others use meanwhile.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::files::{self, CopyError, Way};

/// How long others are waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many pages of 4 KiB are copied at a time: [`files::PIECE_BYTES`].
const PAGES: i32 = 16;
/// After so many times the disk is told to write, where that is done gently.
const STEPS: u64 = files::UNWRITTEN_BYTES / files::PIECE_BYTES as u64;

/// Why a database is not copied, or not read.
#[derive(Debug)]
pub(crate) enum DatabaseError {
    /// SQLite says no.
    Sqlite(rusqlite::Error),
    /// The copy cannot be written, or somebody said to end.
    Copy(CopyError),
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// A database that is to be copied as it is at one moment.
pub(crate) struct Source(Connection);

impl Source {
    /// The database in the file at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, rusqlite::Error> {
        let connection = read_only(path)?;
        connection.busy_timeout(PATIENCE)?;
        let source = Self(connection);
        // The first time it opens files and reads the schema, some milliseconds in which the events would wait for the moment.
        source.read()?;
        Ok(source)
    }

    fn read(&self) -> Result<(), rusqlite::Error> {
        self.0.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
    }

    /// From now on this sees what is in it now.
    pub(crate) fn take_moment(&self) -> Result<(), rusqlite::Error> {
        self.0.execute_batch("BEGIN")?;
        // A transaction begins when it reads.
        self.read()
    }

    /// Writes it to a new file `to`: durable when this returns.
    pub(crate) fn copy(self, to: &Path, way: &Way<'_>) -> Result<(), DatabaseError> {
        let file = files::create(to).map_err(|error| DatabaseError::Copy(CopyError::Write(error)))?;
        let mut copy = Connection::open(to)?;
        // What is not written whole is not used, and it is synced below.
        copy.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -2048")?;
        {
            let backup = Backup::new(&self.0, &mut copy)?;
            for step in 1_u64.. {
                way.go_on().map_err(DatabaseError::Copy)?;
                let started = Instant::now();
                if backup.step(PAGES)? == StepResult::Done {
                    break;
                }
                if way.is_gentle && step.is_multiple_of(STEPS) {
                    files::start_writing(&file);
                }
                way.pause(started);
            }
        }
        // One file, that can be read where nothing can be written.
        copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
        copy.close().map_err(|(_, error)| error)?;
        sync(&file)
    }
}

fn sync(file: &File) -> Result<(), DatabaseError> {
    file.sync_all().map_err(|error| DatabaseError::Copy(CopyError::Write(error)))
}

fn read_only(path: &Path) -> Result<Connection, rusqlite::Error> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// How many changes there are in the database of metadata at `path` of after `since_ms`, milliseconds since 1970, as the audit log tells. That
/// somebody signed in or out is none. The entries of a workspace go with it, so those that are in the database at `former` alone count, too.
pub(crate) fn changes_since(path: &Path, former: &Path, since_ms: i64) -> Result<u64, rusqlite::Error> {
    let connection = read_only(path)?;
    connection.execute("ATTACH ?1 AS former", [former.to_string_lossy()])?;
    let select = "SELECT (SELECT count(*) FROM audit_entries
            WHERE at > ?1 AND action NOT LIKE 'session.%' AND action <> 'passkeys.sign_in')
        + (SELECT count(*) FROM former.teams WHERE id NOT IN (SELECT id FROM main.teams))";
    let changes: i64 = connection.query_row(select, [since_ms], |row| row.get(0))?;
    Ok(changes.cast_unsigned())
}

/// How many rows each table of the database at `path` has.
pub(crate) fn rows(path: &Path) -> Result<BTreeMap<String, u64>, rusqlite::Error> {
    let connection = read_only(path)?;
    let select = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut statement = connection.prepare(select)?;
    let tables = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    let count = |table: String| {
        let select = format!("SELECT count(*) FROM \"{table}\"");
        let rows: i64 = connection.query_row(&select, [], |row| row.get(0))?;
        Ok((table, rows.cast_unsigned()))
    };
    tables.into_iter().map(count).collect()
}

/// What SQLite finds wrong in the database at `path`; empty when all is well.
///
/// # Errors
/// When it cannot be looked at, which says nothing about what is in it.
pub(crate) fn faults(path: &Path) -> Result<Vec<String>, rusqlite::Error> {
    let lines = read_only(path).and_then(|connection| {
        let mut statement = connection.prepare("PRAGMA integrity_check")?;
        statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()
    });
    match lines {
        Ok(lines) => Ok(lines.into_iter().filter(|line| line != "ok").collect()),
        Err(error) if error.sqlite_error_code().is_some_and(is_of_the_machine) => Err(error),
        Err(error) => Ok(vec![error.to_string()]),
    }
}

/// Whether a database may be whole that cannot be read so: no right to it, or no room for the files that SQLite makes beside it.
fn is_of_the_machine(code: ErrorCode) -> bool {
    use ErrorCode::{CannotOpen, DiskFull, PermissionDenied, ReadOnly, SystemIoFailure};
    matches!(code, CannotOpen | DiskFull | PermissionDenied | ReadOnly | SystemIoFailure)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: count by the audit log alone, or count sign-ins.
    #[test]
    fn changes_are_those_of_the_audit_log_and_workspaces_that_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let [path, former] = ["zenovay.db", "former.db"].map(|name| dir.path().join(name));
        let tables = "CREATE TABLE teams (id TEXT); CREATE TABLE audit_entries (at BIGINT, action TEXT)";
        let of = |path: &Path, rows: &str| {
            let made = Connection::open(path).unwrap().execute_batch(&format!("{tables}; {rows}"));
            made.unwrap();
        };
        of(&former, "INSERT INTO teams VALUES ('a'), ('b')");
        of(
            &path,
            "INSERT INTO teams VALUES ('b'), ('c');
             INSERT INTO audit_entries VALUES (10, 'keys.revoke'), (11, 'keys.revoke'), (12, 'session.begin'), (12, 'passkeys.sign_in')",
        );
        assert_eq!(changes_since(&path, &former, 10).unwrap(), 2);
        assert_eq!(changes_since(&path, &former, 12).unwrap(), 1);
        assert!(changes_since(&dir.path().join("none.db"), &former, 0).is_err());
    }
}
