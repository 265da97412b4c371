//! The mark beside the database: how often this database was asked what nothing knows of, as it says itself. What a database
//! does not know is deleted ([`Captures::remove_orphans`](super::Captures::remove_orphans)); to an empty one, to an older copy and
//! to that of another store that is every recording since. The mark tells these from the one that belongs here, and they are not opened.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::places::BLOBS;
use super::schema;
use crate::CaptureError;

/// The name of the file.
const FILE_NAME: &str = "captures.db-mark";
/// The shortest page of SQLite: a file that is shorter is a new database to it, whatever stands in it.
const SQLITE_PAGE_BYTES_MIN: u64 = 512;

/// How far a database is: its own number, and how often it was asked what nothing knows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    instance: i64,
    sweeps: i64,
}

impl Mark {
    /// What the mark in `dir` says. One that is not there, or cannot be understood, says nothing.
    fn read(dir: &Path) -> io::Result<Option<Self>> {
        match fs::read_to_string(dir.join(FILE_NAME)) {
            Ok(text) => Ok(text.trim_end().split_once(' ').and_then(|(instance, sweeps)| {
                Some(Self { instance: instance.parse().ok()?, sweeps: sweeps.parse().ok()? })
            })),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(self, dir: &Path) -> io::Result<()> {
        let (path, new) = (dir.join(FILE_NAME), dir.join(format!("{FILE_NAME}.new")));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        writeln!(file, "{} {}", self.instance, self.sweeps)?;
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
    if fs::metadata(path).map_or(true, |file| file.len() < SQLITE_PAGE_BYTES_MIN) {
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
        let number = |name| {
            let select = "SELECT (SELECT value FROM meta WHERE name = ?1)";
            connection.query_row(select, [name], |row| row.get(0))
        };
        Ok((number("instance")?, number("sweeps")?))
    };
    // Whether it can be read at all is found out by who opens it.
    let Ok((instance, sweeps)) = read() else { return Ok(()) };
    if instance == Some(mark.instance) && sweeps.unwrap_or(0) >= mark.sweeps {
        return Ok(());
    }
    Err(CaptureError::OlderCopy { path: path.to_owned(), mark: dir.join(FILE_NAME) })
}

/// Notes that the database of `connection`, in `dir`, is asked once more what nothing knows of: first in itself, so that a loss of
/// power leaves no mark that is ahead of it.
pub(super) fn advance(connection: &mut Connection, dir: &Path) -> Result<io::Result<()>, rusqlite::Error> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    let advanced = (|| {
        let transaction = connection.transaction()?;
        transaction
            .execute("INSERT INTO meta VALUES ('sweeps', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1", [])?;
        let mark = transaction.query_row(
            "SELECT instance.value, sweeps.value FROM meta instance, meta sweeps
             WHERE instance.name = 'instance' AND sweeps.name = 'sweeps'",
            [],
            |row| Ok(Mark { instance: row.get(0)?, sweeps: row.get(1)? }),
        )?;
        transaction.commit()?;
        Ok(mark)
    })();
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    advanced.map(|mark: Mark| mark.write(dir))
}
