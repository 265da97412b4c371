//! The mark beside the database: how much of recordings this database knew when it was asked last what nothing knows of, as it says
//! itself. What a database does not know is deleted ([`Captures::remove_orphans`](super::Captures::remove_orphans)); to an empty one, to an
//! older copy and to that of another store that is every recording since. The mark tells these from the one that belongs here, and they
//! are not opened. A copy that knows as much is as good, however long ago it was made.
//!
//! In the table `meta` of the database `learned` counts the blobs that it came to know of, and `sweeps` is the same at the last mark.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};
use zenovay_events::has_database;

use super::places::BLOBS;
use super::schema;
use crate::CaptureError;

/// The name of the file.
const FILE_NAME: &str = "captures.db-mark";

/// How far a database is: its own number, and how many blobs it came to know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    instance: i64,
    learned: i64,
}

impl Mark {
    /// What the mark in `dir` says. One that is not there, or cannot be understood, says nothing.
    fn read(dir: &Path) -> io::Result<Option<Self>> {
        match fs::read_to_string(dir.join(FILE_NAME)) {
            Ok(text) => Ok(text.trim_end().split_once(' ').and_then(|(instance, learned)| {
                Some(Self { instance: instance.parse().ok()?, learned: learned.parse().ok()? })
            })),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(self, dir: &Path) -> io::Result<()> {
        let (path, new) = (dir.join(FILE_NAME), dir.join(format!("{FILE_NAME}.new")));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        writeln!(file, "{} {}", self.instance, self.learned)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(dir)?.sync_all()
    }
}

/// Refuses the database at `path`, in `dir`, where it knows less than was known. Changes nothing.
///
/// # Errors
/// [`CaptureError::Lost`] or [`CaptureError::OlderCopy`].
pub(super) fn refuse_what_knows_less(dir: &Path, path: &Path) -> Result<(), CaptureError> {
    let mark = Mark::read(dir)
        .map_err(|error| CaptureError::Database { path: dir.join(FILE_NAME), problem: error.to_string() })?;
    if !has_database(path) {
        let has_files = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        let beside = match mark {
            Some(_) => Some(dir.join(FILE_NAME)),
            None => Some(dir.join(BLOBS)).filter(|folder| has_files(folder)),
        };
        return match beside {
            Some(beside) => Err(CaptureError::Lost { path: path.to_owned(), beside }),
            None => Ok(()),
        };
    }
    let Some(mark) = mark else { return Ok(()) };
    let read = || -> Result<(Option<i64>, Option<i64>), rusqlite::Error> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(schema::BUSY)?;
        let instance = connection.query_row("SELECT value FROM meta WHERE name = 'instance'", [], |row| row.get(0));
        // A version that did not count what it learned has `sweeps` alone.
        let learned = "SELECT max(value) FROM meta WHERE name IN ('learned', 'sweeps')";
        Ok((instance.optional()?, connection.query_row(learned, [], |row| row.get(0))?))
    };
    // Whether it can be read at all is found out by who opens it.
    let Ok((instance, learned)) = read() else { return Ok(()) };
    if instance == Some(mark.instance) && learned.unwrap_or(0) >= mark.learned {
        return Ok(());
    }
    Err(CaptureError::OlderCopy { path: path.to_owned(), mark: dir.join(FILE_NAME) })
}

/// Notes that the database of `transaction` comes to know of a blob.
pub(super) fn learn(transaction: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    // A version that did not count may have gone on with `sweeps` meanwhile.
    let count =
        "INSERT INTO meta SELECT 'learned', coalesce(max(value), 0) + 1 FROM meta WHERE name IN ('learned', 'sweeps')
        ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    transaction.prepare(count)?.execute([]).map(drop)
}

/// Brings the mark in `dir` up to what the database of `connection` knows, which is to be asked what nothing knows of: first in the
/// database itself, so that a loss of power leaves no mark that is ahead of it. Where nothing was learned since the last mark nothing is
/// written.
pub(super) fn advance(connection: &mut Connection, dir: &Path) -> Result<io::Result<()>, rusqlite::Error> {
    let select =
        "SELECT (SELECT value FROM meta WHERE name = 'instance'), (SELECT value FROM meta WHERE name = 'learned'),
        (SELECT value FROM meta WHERE name = 'sweeps')";
    let (instance, learned, sweeps): (i64, Option<i64>, Option<i64>) =
        connection.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let marked = sweeps.unwrap_or(0);
    // What was learned before it was counted is in no mark yet.
    let mark = Mark { instance, learned: learned.map_or(marked + 1, |learned| learned.max(marked)) };
    if sweeps == Some(mark.learned) && Mark::read(dir).is_ok_and(|there| there == Some(mark)) {
        return Ok(Ok(()));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    let noted = connection
        .execute("INSERT OR REPLACE INTO meta VALUES ('learned', ?1), ('sweeps', ?1)", params![mark.learned])
        .map(drop);
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    noted.map(|()| mark.write(dir))
}
