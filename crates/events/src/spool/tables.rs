//! What a spool keeps beside its batches.

use rusqlite::{Connection, OptionalExtension, params};
use zenovay_domain::{VisitorId, WebsiteId};

use crate::NewEvent;
use crate::log::StepError;

/// The tables. `delivery` has a row while a delivery is under way. `erasures_noted` has what is erased and not complete; batches up to
/// `last_seq` may have events of it.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS delivery (
        id INTEGER PRIMARY KEY CHECK (id = 1), last_seq INTEGER NOT NULL, first_arrival INTEGER NOT NULL,
        erasures INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS erasures_noted (
        id INTEGER PRIMARY KEY AUTOINCREMENT, website BLOB NOT NULL, visitor INTEGER, last_seq INTEGER NOT NULL,
        is_done INTEGER NOT NULL DEFAULT 0
    );";

/// The names of numbers in the table `meta`: up to which batch everything is delivered, and captures are durable where they go; up to which
/// erasure that all spools are told of this one has noted them.
const DELIVERED: &str = "delivered_seq";
const SYNCED: &str = "synced_seq";
const HEARD: &str = "erasures_heard";

/// A delivery that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Planned {
    /// Its last batch.
    pub(super) last_seq: u64,
    /// The number of its first event.
    pub(super) first_arrival: u64,
    /// What was erased up to this one is left out of it.
    pub(super) erasures: i64,
    /// Whether somebody may have got it.
    pub(super) may_be_stored: bool,
}

/// An erasure that is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) id: i64,
    pub(super) website: WebsiteId,
    /// `None` for the whole website.
    pub(super) visitor: Option<VisitorId>,
    /// Batches up to this one may have events of it.
    pub(super) last_seq: u64,
    /// Whether what was delivered before is erased.
    pub(super) is_done: bool,
    /// Its number among those that all spools are told of; not known of one that was noted before the spool was opened.
    pub(super) heard: Option<u64>,
}

impl Noted {
    /// Whether it erases `new`, of the batch `seq`.
    pub(super) fn concerns(&self, seq: u64, new: &NewEvent) -> bool {
        seq <= self.last_seq
            && new.website == self.website
            && self.visitor.is_none_or(|visitor| visitor == new.event.visitor)
    }
}

/// What the tables say.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) delivered_seq: u64,
    pub(super) synced_seq: u64,
    pub(super) heard: Option<u64>,
    pub(super) planned: Option<Planned>,
    pub(super) erasures: Vec<Noted>,
}

/// Makes the tables where they are missing, and reads them.
pub(super) fn read(connection: &Connection) -> Result<Known, StepError> {
    connection.execute_batch(TABLES)?;
    let mark = |name: &str| -> Result<Option<u64>, rusqlite::Error> {
        let value = connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get::<_, i64>(0));
        Ok(value.optional()?.map(i64::cast_unsigned))
    };
    let planned = |row: &rusqlite::Row<'_>| {
        let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        Ok(Planned { last_seq: number(0)?, first_arrival: number(1)?, erasures: row.get(2)?, may_be_stored: true })
    };
    let noted = |row: &rusqlite::Row<'_>| {
        Ok(Noted {
            id: row.get(0)?,
            website: WebsiteId::from_bytes(row.get(1)?),
            visitor: row.get::<_, Option<i64>>(2)?.map(|id| VisitorId(id.cast_unsigned())),
            last_seq: row.get::<_, i64>(3)?.cast_unsigned(),
            is_done: row.get(4)?,
            heard: None,
        })
    };
    Ok(Known {
        delivered_seq: mark(DELIVERED)?.unwrap_or(0),
        synced_seq: mark(SYNCED)?.unwrap_or(0),
        heard: mark(HEARD)?,
        planned: connection
            .query_row("SELECT last_seq, first_arrival, erasures FROM delivery", [], planned)
            .optional()?,
        erasures: connection
            .prepare("SELECT id, website, visitor, last_seq, is_done FROM erasures_noted ORDER BY id")?
            .query_map([], noted)?
            .collect::<Result<_, _>>()?,
    })
}

fn set_mark(connection: &Connection, name: &str, value: u64) -> Result<(), StepError> {
    connection
        .execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)", params![name, value.cast_signed()])?;
    Ok(())
}

/// Captures up to `seq` are durable where they go.
pub(super) fn set_synced(connection: &Connection, seq: u64) -> Result<(), StepError> {
    set_mark(connection, SYNCED, seq)
}

/// The erasures up to `id` that all spools are told of are noted here.
pub(super) fn set_heard(connection: &Connection, id: u64) -> Result<(), StepError> {
    set_mark(connection, HEARD, id)
}

/// A delivery is begun.
pub(super) fn begin(connection: &Connection, planned: Planned) -> Result<(), StepError> {
    connection.execute(
        "INSERT OR REPLACE INTO delivery (id, last_seq, first_arrival, erasures) VALUES (1, ?1, ?2, ?3)",
        params![planned.last_seq.cast_signed(), planned.first_arrival.cast_signed(), planned.erasures],
    )?;
    Ok(())
}

/// Everything up to `seq` is delivered. Gives whether an erasure is complete by it.
pub(super) fn end(connection: &Connection, seq: u64) -> Result<bool, StepError> {
    connection.execute("DELETE FROM delivery", [])?;
    set_mark(connection, DELIVERED, seq)?;
    forget_complete(connection, seq)
}

/// Notes an erasure, and gives its number.
pub(super) fn note_erasure(
    connection: &Connection,
    website: WebsiteId,
    visitor: Option<VisitorId>,
    last_seq: u64,
) -> Result<i64, StepError> {
    let visitor = visitor.map(|visitor| visitor.0.cast_signed());
    connection.execute(
        "INSERT INTO erasures_noted (website, visitor, last_seq) VALUES (?1, ?2, ?3)",
        params![website.as_bytes(), visitor, last_seq.cast_signed()],
    )?;
    let id = connection.last_insert_rowid();
    if visitor.is_none() {
        connection.execute("DELETE FROM idempotency WHERE website = ?1", [website.as_bytes()])?;
    }
    Ok(id)
}

/// What was delivered before is erased. Gives whether that erasure is complete by it.
pub(super) fn erased(connection: &Connection, id: i64, delivered_seq: u64) -> Result<bool, StepError> {
    connection.execute("UPDATE erasures_noted SET is_done = 1 WHERE id = ?1", [id])?;
    forget_complete(connection, delivered_seq)
}

fn forget_complete(connection: &Connection, delivered_seq: u64) -> Result<bool, StepError> {
    let delete = "DELETE FROM erasures_noted WHERE is_done AND last_seq <= ?1";
    Ok(connection.execute(delete, [delivered_seq.cast_signed()])? > 0)
}
