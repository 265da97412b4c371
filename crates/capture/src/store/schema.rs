//! The tables, and how the file is opened.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use zenovay_domain::{TimeRange, Timestamp};

use super::{heatmaps, packed, places, replays};
use crate::CaptureError;

/// The version of the format that this program writes and reads.
pub(super) const FORMAT: i64 = 5;
/// The first version. What was added since is made when it is missing.
const OLDEST_FORMAT: i64 = 1;
const PAGE_BYTES: i64 = 8_192;
/// How long a change of somebody else is waited for.
pub(super) const BUSY: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS applied (run INTEGER PRIMARY KEY, number INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS hidden (
        website BLOB NOT NULL, before INTEGER NOT NULL, day INTEGER NOT NULL, PRIMARY KEY (website, before)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS vitals (
        website BLOB NOT NULL, view INTEGER NOT NULL, at INTEGER NOT NULL, visitor INTEGER NOT NULL, session INTEGER NOT NULL,
        path TEXT NOT NULL, device TEXT NOT NULL, browser TEXT NOT NULL, browser_version TEXT NOT NULL, os TEXT NOT NULL,
        country TEXT NOT NULL, connection TEXT NOT NULL,
        lcp INTEGER, cls INTEGER, inp INTEGER, fcp INTEGER, ttfb INTEGER,
        PRIMARY KEY (website, view)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS vitals_by_time ON vitals (website, at);
    CREATE INDEX IF NOT EXISTS vitals_by_visitor ON vitals (website, visitor);
    CREATE TABLE IF NOT EXISTS groups (
        id INTEGER PRIMARY KEY AUTOINCREMENT, uuid BLOB NOT NULL UNIQUE, website BLOB NOT NULL, fingerprint INTEGER NOT NULL,
        status INTEGER NOT NULL, occurrences INTEGER NOT NULL, visitors INTEGER NOT NULL,
        first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, changed_at INTEGER NOT NULL,
        UNIQUE (website, fingerprint)
    );
    CREATE INDEX IF NOT EXISTS groups_by_time ON groups (website, last_at);
    CREATE TABLE IF NOT EXISTS variants (
        id INTEGER PRIMARY KEY AUTOINCREMENT, website BLOB NOT NULL, digest BLOB NOT NULL, grp INTEGER NOT NULL,
        kind TEXT NOT NULL, message TEXT NOT NULL, frames TEXT NOT NULL, source TEXT NOT NULL, release TEXT NOT NULL,
        debug_ids TEXT NOT NULL, mapped TEXT, pinned INTEGER NOT NULL DEFAULT 0,
        UNIQUE (website, digest)
    );
    CREATE INDEX IF NOT EXISTS variants_by_group ON variants (grp);
    CREATE TABLE IF NOT EXISTS occurrences (
        id INTEGER PRIMARY KEY, website BLOB NOT NULL, variant INTEGER NOT NULL, at INTEGER NOT NULL,
        visitor INTEGER NOT NULL, session INTEGER NOT NULL, count INTEGER NOT NULL,
        path TEXT NOT NULL, device TEXT NOT NULL, browser TEXT NOT NULL, browser_version TEXT NOT NULL, os TEXT NOT NULL,
        country TEXT NOT NULL, told TEXT, packed INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX IF NOT EXISTS occurrences_by_time ON occurrences (website, at);
    CREATE INDEX IF NOT EXISTS occurrences_by_variant ON occurrences (variant, at);
    CREATE INDEX IF NOT EXISTS occurrences_by_visitor ON occurrences (website, visitor);
    CREATE INDEX IF NOT EXISTS occurrences_told ON occurrences (variant, at) WHERE told IS NOT NULL;
    CREATE TABLE IF NOT EXISTS group_visitors (
        grp INTEGER NOT NULL, visitor INTEGER NOT NULL, PRIMARY KEY (grp, visitor)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS history (
        id INTEGER PRIMARY KEY, grp INTEGER NOT NULL, at INTEGER NOT NULL, what TEXT NOT NULL, who TEXT NOT NULL,
        release TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS history_by_group ON history (grp, at);
    CREATE TABLE IF NOT EXISTS aliases (
        website BLOB NOT NULL, fingerprint INTEGER NOT NULL, grp INTEGER NOT NULL, PRIMARY KEY (website, fingerprint)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS source_maps (
        id INTEGER PRIMARY KEY AUTOINCREMENT, website BLOB NOT NULL, release TEXT NOT NULL, url TEXT NOT NULL,
        name TEXT NOT NULL, debug_id TEXT NOT NULL, map TEXT NOT NULL, at INTEGER NOT NULL,
        UNIQUE (website, release, url)
    );";

/// Makes the directory and the file, readable by their owner alone.
pub(super) fn create_file(dir: &Path, path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop)
}

/// Sets the connection that writes up, and makes the tables.
pub(super) fn prepare(connection: &mut Connection, path: &Path, pages_max: Option<u32>) -> Result<(), CaptureError> {
    let found = set_up(connection, pages_max)
        .map_err(|error| CaptureError::Database { path: path.to_owned(), problem: error.to_string() })?;
    match found {
        OLDEST_FORMAT..=FORMAT => Ok(()),
        later => Err(CaptureError::Newer {
            path: path.to_owned(),
            what: format!("it has format {later}, this version reads {FORMAT}"),
        }),
    }
}

fn set_up(connection: &mut Connection, pages_max: Option<u32>) -> Result<i64, rusqlite::Error> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // What a loss of power takes back the log of events has: it forgets nothing before a checkpoint, which syncs.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update_and_check(None, "secure_delete", "ON", |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -8_192)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let is_made: bool =
        transaction
            .query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'meta')", [], |row| row.get(0))?;
    let made: Option<i64> = if is_made {
        transaction.query_row("SELECT value FROM meta WHERE name = 'format'", [], |row| row.get(0)).optional()?
    } else {
        None
    };
    let found = made.unwrap_or(FORMAT);
    if !(OLDEST_FORMAT..=FORMAT).contains(&found) {
        transaction.rollback()?;
        return Ok(found);
    }
    transaction.execute_batch(TABLES)?;
    packed::bring_up(&transaction)?;
    heatmaps::make_tables(&transaction)?;
    places::bring_up(&transaction)?;
    transaction.execute_batch(replays::TABLES)?;
    transaction.execute(
        "INSERT OR IGNORE INTO meta VALUES ('format', ?1), ('days', 0), ('date', 0), ('replay_bytes', 0)",
        [FORMAT],
    )?;
    transaction.execute("UPDATE meta SET value = ?1 WHERE name = 'format'", [FORMAT])?;
    transaction.commit()?;
    if let Some(pages) = pages_max {
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(FORMAT)
}

/// The number of the day `date`, days since 1970, and whether it is a new one. A day is counted when the date changes, so that
/// neither a jump of the clock nor a server that was off makes what is hidden older; back by one is no change.
pub(super) fn counted_day(connection: &Connection, date: i64) -> Result<(i64, bool), rusqlite::Error> {
    let day = last_day(connection)?;
    let last: i64 = connection.query_row("SELECT value FROM meta WHERE name = 'date'", [], |row| row.get(0))?;
    let is_new = date != last && date != last - 1;
    Ok((day + i64::from(is_new), is_new))
}

/// Counts the day `day`, of the date `date`.
pub(super) fn count_day(connection: &Connection, date: i64, day: i64) -> Result<(), rusqlite::Error> {
    connection.execute("UPDATE meta SET value = ?1 WHERE name = 'date'", [date])?;
    connection.execute("UPDATE meta SET value = ?1 WHERE name = 'days'", [day])?;
    Ok(())
}

/// The number of the last counted day.
pub(super) fn last_day(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.query_row("SELECT value FROM meta WHERE name = 'days'", [], |row| row.get(0))
}

/// The last instant before which captures of `website` are hidden, and the day on which they were.
pub(super) fn latest_hidden(
    connection: &Connection,
    website: &[u8; 16],
) -> Result<Option<(i64, i64)>, rusqlite::Error> {
    connection
        .query_row(
            "SELECT before, day FROM hidden WHERE website = ?1 ORDER BY before DESC LIMIT 1",
            params![website],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
}

/// Captures of `website` before this instant, milliseconds, are in no answer.
pub(super) fn hidden_before(connection: &Connection, website: &[u8; 16]) -> Result<i64, rusqlite::Error> {
    Ok(latest_hidden(connection, website)?.map_or(i64::MIN, |(before, _)| before))
}

/// What of `range` is not hidden for `website`.
pub(super) fn shown(
    connection: &Connection,
    website: &[u8; 16],
    range: TimeRange,
) -> Result<TimeRange, rusqlite::Error> {
    let hidden = Timestamp::from_millis(hidden_before(connection, website)?);
    Ok(TimeRange::new(range.from.max(hidden), range.to))
}

/// Hides what is of `website` and before `before`, and nothing else; notes the day. Tells how many instants that changed.
pub(super) fn hide(
    connection: &Connection,
    website: &[u8; 16],
    before: i64,
    day: i64,
) -> Result<usize, rusqlite::Error> {
    let shown =
        connection.execute("DELETE FROM hidden WHERE website = ?1 AND before > ?2", params![website, before])?;
    if before == i64::MIN {
        return Ok(shown);
    }
    let is_of_today = latest_hidden(connection, website)?.is_some_and(|(_, hidden_on)| hidden_on == day);
    let hidden = if is_of_today {
        // One instant a day.
        let update = "UPDATE OR IGNORE hidden SET before = ?2 WHERE website = ?1 AND day = ?3";
        connection.execute(update, params![website, before, day])?
    } else {
        connection.execute("INSERT OR IGNORE INTO hidden VALUES (?1, ?2, ?3)", params![website, before, day])?
    };
    Ok(shown + hidden)
}
