//! All rows of a store, from SQLite to PostgreSQL and back: what moves an installation, and what a backup has of it.
//!
//! Rows go as lines of JSON, which both databases read and write by themselves, a batch at a time. What was written is read again
//! before it is kept, and compared row by row.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::pg::PgRowByRowLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::bounded::{Bounded, Running};
use super::errors::explained;
use super::{LOCK, LONG_LIMIT, MIGRATION, PostgresStore, SERVER_LOCK, SETTING_UP, address, connect, set_limits};
use crate::sqlite::lines::{Kind, Lines, Table};
use crate::{Result, StoreError};

/// So many rows are written by one statement at most.
const BATCH_ROWS: usize = 1_000;
/// And so many bytes, if it is more than one row.
const BATCH_BYTES: usize = 1 << 20;

/// Why rows were not copied. Nothing was kept of them then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// One of the databases cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A server has the target.
    #[error("a zenovay server is running on the PostgreSQL database: stop it, and look whether it is the right one")]
    Served,
    /// The target has other data.
    #[error("the PostgreSQL database is not empty, and the rows of its table {table} are not those of the source")]
    NotEmpty {
        /// The first table that differs.
        table: String,
    },
    /// PostgreSQL cannot store a text.
    #[error("a text in the table {table} has the character U+0000, which PostgreSQL does not store: change it first")]
    Nul {
        /// The table.
        table: String,
    },
    /// What was written is not what was read.
    #[error("row {row} of the table {table} is not the same in both databases after it was copied")]
    Differs {
        /// The table.
        table: String,
        /// Which of its rows, by its key, from 1.
        row: u64,
    },
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopiedRows {
    /// The tables, and how many rows each has.
    pub tables: Vec<(String, u64)>,
    /// Whether all of it was there already, and nothing was written.
    pub was_there: bool,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(QueryableByName)]
struct Truth {
    #[diesel(sql_type = Bool)]
    is_so: bool,
}

/// Copies all rows of the SQLite store in the file `from` to the PostgreSQL database at `to`, which must have none, or exactly these:
/// then nothing is done. The source is brought up to date if an earlier version wrote it, and is not changed otherwise; nobody else
/// can change it meanwhile. The target is one transaction: it has all rows, each compared with the source, or none, whenever
/// this is interrupted.
///
/// # Errors
/// [`CopyError`].
pub fn copy_to_postgres(from: &Path, to: &str) -> Result<CopiedRows, CopyError> {
    let mut source = Lines::of(from)?;
    drop(PostgresStore::open(to)?);
    let mut target = connect(&address::address(to)?)?;
    target.ask_long(LONG_LIMIT, |target, running| copy_into(target, &mut source, running))
}

fn copy_into(target: &mut PgConnection, source: &mut Lines, running: Running) -> Result<CopiedRows, CopyError> {
    set_limits(target, MIGRATION).map_err(explained)?;
    let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({LOCK})");
    target.batch_execute(&begin).map_err(explained)?;
    // A connection that is closed takes back what was done on it.
    let lock = format!("SELECT pg_try_advisory_xact_lock({SERVER_LOCK}) AS is_so");
    if !diesel::sql_query(lock).get_result::<Truth>(target).map_err(explained)?.is_so {
        return Err(CopyError::Served);
    }
    let tables = source.tables()?;
    if has_rows(target, &tables)? {
        let compared: Result<Vec<u64>, CopyError> =
            tables.iter().map(|table| compare(source, target, table, running)).collect();
        return match compared {
            Ok(counts) => Ok(CopiedRows { tables: named(&tables, counts), was_there: true }),
            Err(CopyError::Differs { table, .. }) => Err(CopyError::NotEmpty { table }),
            Err(other) => Err(other),
        };
    }
    for table in &tables {
        if table.name == "data_version" {
            target.batch_execute("DELETE FROM data_version").map_err(explained)?;
        }
        let mut batch = Batch::default();
        source.each(table, &mut |line| {
            // Written so by JSON; a backslash before it is one of the text.
            if line.contains("\\u0000") && has_nul(&line) {
                return Err(CopyError::Nul { table: table.name.clone() });
            }
            batch.add(line, &mut |lines| put(target, table, lines, running))
        })?;
        batch.end(&mut |lines| put(target, table, lines, running))?;
        if let Some(number) = table.number() {
            let highest = source.highest(table, number)?;
            continue_after(target, table, number, highest)?;
        }
    }
    let mut counts = Vec::new();
    for table in &tables {
        counts.push(compare(source, target, table, running)?);
    }
    target.batch_execute("COMMIT").map_err(explained)?;
    Ok(CopiedRows { tables: named(&tables, counts), was_there: false })
}

fn named(tables: &[Table], counts: Vec<u64>) -> Vec<(String, u64)> {
    tables.iter().map(|table| table.name.clone()).zip(counts).collect()
}

/// Whether the target has a row. The one that every new database has is none.
fn has_rows(target: &mut PgConnection, tables: &[Table]) -> Result<bool, CopyError> {
    for table in tables.iter().filter(|table| table.name != "data_version") {
        let asked = format!("SELECT EXISTS (SELECT FROM \"{}\") AS is_so", table.name);
        if diesel::sql_query(asked).get_result::<Truth>(target).map_err(explained)?.is_so {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_nul(line: &str) -> bool {
    let values = serde_json::from_str::<Vec<serde_json::Value>>(line).unwrap_or_default();
    values.iter().any(|value| value.as_str().is_some_and(|text| text.contains('\0')))
}

/// Rows that are written together.
#[derive(Default)]
struct Batch {
    lines: String,
    rows: usize,
}

impl Batch {
    fn add<E>(&mut self, line: String, put: &mut dyn FnMut(&str) -> Result<usize, E>) -> Result<(), E>
    where
        E: From<StoreError>,
    {
        self.lines.push(if self.rows == 0 { '[' } else { ',' });
        self.lines += &line;
        self.rows += 1;
        if self.rows >= BATCH_ROWS || self.lines.len() >= BATCH_BYTES { self.end(put) } else { Ok(()) }
    }

    fn end<E: From<StoreError>>(&mut self, put: &mut dyn FnMut(&str) -> Result<usize, E>) -> Result<(), E> {
        if self.rows == 0 {
            return Ok(());
        }
        self.lines.push(']');
        let written = put(&self.lines)?;
        if written != self.rows {
            let cause = format!("{written} of {} rows were written", self.rows);
            return Err(StoreError::Unavailable(cause.into()).into());
        }
        self.lines.clear();
        self.rows = 0;
        Ok(())
    }
}

fn put(target: &mut PgConnection, table: &Table, lines: &str, running: Running) -> Result<usize, CopyError> {
    let values = table.each(|n, column| match column.kind {
        Kind::Text => format!("line->>{n}"),
        Kind::Number => format!("(line->>{n})::bigint"),
        Kind::Truth => format!("(line->>{n})::integer::boolean"),
        Kind::Bytes => format!("decode(line->>{n}, 'hex')"),
    });
    let (name, names) = (&table.name, table.names());
    let insert =
        format!("INSERT INTO \"{name}\" ({names}) SELECT {values} FROM json_array_elements($1::json) AS lines (line)");
    let written = diesel::sql_query(insert).bind::<Text, _>(lines).execute(target).map_err(explained)?;
    running.goes_on();
    Ok(written)
}

/// The next row of `table` gets a number after `highest`.
fn continue_after(target: &mut PgConnection, table: &Table, number: &str, highest: i64) -> Result<(), CopyError> {
    if highest > 0 {
        let name = &table.name;
        let set = format!("SELECT setval(pg_get_serial_sequence('\"{name}\"', '{number}'), {highest})");
        target.batch_execute(&set).map_err(explained)?;
    }
    Ok(())
}

/// What reads the rows of `table`, by its key.
fn select(table: &Table) -> String {
    let values = table.each(|_, column| {
        let name = &column.name;
        match column.kind {
            Kind::Bytes => format!("upper(encode(\"{name}\", 'hex'))"),
            Kind::Truth => format!("\"{name}\"::integer"),
            Kind::Text | Kind::Number => format!("\"{name}\""),
        }
    });
    format!("SELECT json_build_array({values})::text AS line FROM \"{}\" ORDER BY {}", table.name, table.key())
}

/// How many rows `table` has, which are the same in both.
fn compare(one: &mut Lines, other: &mut PgConnection, table: &Table, running: Running) -> Result<u64, CopyError> {
    let asked = diesel::sql_query(select(table));
    let mut others = asked.load_iter::<Line, PgRowByRowLoadingMode>(other).map_err(explained)?;
    let mut rows = 0;
    let differs = |row| CopyError::Differs { table: table.name.clone(), row };
    one.each(table, &mut |line| {
        rows += 1;
        running.goes_on();
        let found = others.next().transpose().map_err(explained)?.ok_or_else(|| differs(rows))?;
        let values = |line: &str| serde_json::from_str::<Vec<serde_json::Value>>(line).ok();
        let is_same = found.line == line || values(&line).is_some_and(|own| Some(own) == values(&found.line));
        if is_same { Ok(()) } else { Err(differs(rows)) }
    })?;
    match others.next() {
        None => Ok(rows),
        Some(_) => Err(differs(rows + 1)),
    }
}

/// A store in PostgreSQL as it is at one moment, for a copy of it.
pub struct PostgresSnapshot(Bounded);

impl std::fmt::Debug for PostgresSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSnapshot").finish_non_exhaustive()
    }
}

impl PostgresSnapshot {
    /// Of the database at `url`, as it will be at a moment that comes.
    ///
    /// # Errors
    /// As [`PostgresStore::open`], which has to have opened the database before.
    pub fn open(url: &str) -> Result<Self> {
        let mut conn = connect(&address::address(url)?)?;
        conn.ask(SETTING_UP, |conn| {
            set_limits(conn, MIGRATION)?;
            // Between the moment and the copy may be what takes long.
            Ok(conn.batch_execute("SET idle_in_transaction_session_timeout = 0")?)
        })?;
        Ok(Self(conn))
    }

    /// From now on this sees what is in the database now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server cannot be asked.
    pub fn take_moment(&mut self) -> Result<()> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT version FROM data_version";
        Ok(self.0.ask(LONG_LIMIT, |conn| Ok(conn.batch_execute(begin)?))?)
    }

    /// Writes it to a new file `to`, a store of [`SqliteStore`](crate::SqliteStore), each row of which was compared. The file is not
    /// synced.
    ///
    /// # Errors
    /// [`CopyError`]; the file is of no use then.
    pub fn write(mut self, to: &Path) -> Result<CopiedRows, CopyError> {
        let mut target = Lines::new_file(to)?;
        let copied = self.0.ask_long(LONG_LIMIT, |conn, running| write_from(conn, &mut target, running))?;
        target.keep()?;
        Ok(copied)
    }
}

fn write_from(conn: &mut PgConnection, target: &mut Lines, running: Running) -> Result<CopiedRows, CopyError> {
    let tables = target.tables()?;
    for table in &tables {
        let lines = diesel::sql_query(select(table)).load_iter::<Line, PgRowByRowLoadingMode>(conn);
        let mut batch = Batch::default();
        if table.name == "data_version" {
            target.forget_version()?;
        }
        for line in lines.map_err(explained)? {
            running.goes_on();
            batch.add(line.map_err(explained)?.line, &mut |lines| target.put(table, lines))?;
        }
        batch.end(&mut |lines| target.put(table, lines))?;
    }
    let mut counts = Vec::new();
    for table in &tables {
        counts.push(compare(target, conn, table, running)?);
    }
    Ok(CopiedRows { tables: named(&tables, counts), was_there: false })
}
