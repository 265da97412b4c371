//! The rows of a SQLite database as lines of JSON, to copy them from and to another database: the values of a row in the order of the
//! columns, bytes in hexadecimal digits.

use std::path::Path;

use diesel::connection::{DefaultLoadingMode, SimpleConnection};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::errors::explained;
use super::migrations::migrate;
use super::{connect, create_private, in_write_transaction};
use crate::{Result, StoreError};

/// A table of a store, the same in each database.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
}

/// A column of a table.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    is_of_key: bool,
}

/// What is in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    /// In SQLite 0 or 1, and so in a line.
    Truth,
    Bytes,
}

impl Table {
    /// The columns, each as `write` writes it.
    pub(crate) fn each(&self, write: impl Fn(usize, &Column) -> String) -> String {
        let columns: Vec<String> = self.columns.iter().enumerate().map(|(n, column)| write(n, column)).collect();
        columns.join(", ")
    }

    /// The names of the columns.
    pub(crate) fn names(&self) -> String {
        self.each(|_, column| format!("\"{}\"", column.name))
    }

    /// What each row has for itself, in which order rows are read.
    pub(crate) fn key(&self) -> String {
        let names = self.columns.iter().filter(|column| column.is_of_key).map(|column| format!("\"{}\"", column.name));
        names.collect::<Vec<_>>().join(", ")
    }

    /// The column that numbers the rows, where there is one.
    pub(crate) fn number(&self) -> Option<&str> {
        let mut key = self.columns.iter().filter(|column| column.is_of_key);
        match (key.next(), key.next()) {
            (Some(Column { name, kind: Kind::Number, .. }), None) => Some(name),
            _ => None,
        }
    }
}

#[derive(QueryableByName)]
struct TableColumn {
    #[diesel(sql_type = Text)]
    of: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Bool)]
    is_of_key: bool,
}

#[derive(QueryableByName)]
struct Reference {
    #[diesel(sql_type = Text)]
    of: String,
    #[diesel(sql_type = Text)]
    parent: String,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(QueryableByName)]
struct Highest {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// A database in a file, in a transaction.
pub(crate) struct Lines(SqliteConnection);

impl Lines {
    /// Those of the database at `path`, which nobody changes meanwhile.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(StoreError::Unavailable(format!("{} does not exist", path.display()).into()));
        }
        let mut conn = open(path)?;
        // One of an earlier version has other tables.
        in_write_transaction(&mut conn, migrate)?;
        conn.batch_execute("BEGIN IMMEDIATE").map_err(explained)?;
        Ok(Self(conn))
    }

    /// Those of a new database at `path`, which has the schema and no rows.
    pub(crate) fn new_file(path: &Path) -> Result<Self> {
        create_private(path)?;
        let mut conn = open(path)?;
        in_write_transaction(&mut conn, migrate)?;
        // Whoever uses it waits until it is written; rows are written in any order.
        let begin = "PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE";
        conn.batch_execute(begin).map_err(explained)?;
        Ok(Self(conn))
    }

    /// The tables, each after those that it refers to, and last the one that changes with the others.
    pub(crate) fn tables(&mut self) -> Result<Vec<Table>> {
        let ours =
            "m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\'";
        let asked = format!(
            "SELECT m.name AS of, c.name AS name, lower(c.type) AS kind, c.pk > 0 AS is_of_key \
             FROM sqlite_schema m, pragma_table_info(m.name) c WHERE {ours} ORDER BY m.name = 'data_version', m.name, c.cid"
        );
        let columns = diesel::sql_query(asked).load::<TableColumn>(&mut self.0).map_err(explained)?;
        let asked = format!(
            "SELECT m.name AS of, f.\"table\" AS parent FROM sqlite_schema m, pragma_foreign_key_list(m.name) f WHERE {ours}"
        );
        let references = diesel::sql_query(asked).load::<Reference>(&mut self.0).map_err(explained)?;
        let mut waiting: Vec<Table> = Vec::new();
        for TableColumn { of, name, kind, is_of_key } in columns {
            let kind = match kind.as_str() {
                "text" => Kind::Text,
                "blob" => Kind::Bytes,
                "boolean" => Kind::Truth,
                "bigint" | "integer" => Kind::Number,
                other => {
                    let cause = format!("the column {of}.{name} is {other}, which is not copied");
                    return Err(StoreError::Unavailable(cause.into()));
                }
            };
            let column = Column { name, kind, is_of_key };
            match waiting.last_mut() {
                Some(table) if table.name == of => table.columns.push(column),
                _ => waiting.push(Table { name: of, columns: vec![column] }),
            }
        }
        let mut ordered: Vec<Table> = Vec::new();
        while !waiting.is_empty() {
            let is_ready = |table: &Table| {
                let mut parents = references.iter().filter(|one| one.of == table.name && one.parent != table.name);
                parents.all(|one| ordered.iter().any(|done| done.name == one.parent))
            };
            // A circle of references is begun anywhere.
            let next = waiting.iter().position(is_ready).unwrap_or(0);
            ordered.push(waiting.remove(next));
        }
        let last = ordered.iter().position(|table| table.name == "data_version");
        if let Some(last) = last.map(|at| ordered.remove(at)) {
            ordered.push(last);
        }
        Ok(ordered)
    }

    /// Calls `see` with each row of `table`, by its key.
    pub(crate) fn each<E: From<StoreError>>(
        &mut self,
        table: &Table,
        see: &mut dyn FnMut(String) -> Result<(), E>,
    ) -> Result<(), E> {
        let values = table.each(|_, Column { name, kind, .. }| match kind {
            Kind::Bytes => format!("iif(\"{name}\" IS NULL, NULL, hex(\"{name}\"))"),
            Kind::Text | Kind::Number | Kind::Truth => format!("\"{name}\""),
        });
        let (name, key) = (&table.name, table.key());
        let asked = diesel::sql_query(format!("SELECT json_array({values}) AS line FROM \"{name}\" ORDER BY {key}"));
        let lines = asked.load_iter::<Line, DefaultLoadingMode>(&mut self.0).map_err(explained)?;
        for line in lines {
            see(line.map_err(explained)?.line)?;
        }
        Ok(())
    }

    /// Writes rows of `table`, an array of lines; how many.
    pub(crate) fn put(&mut self, table: &Table, lines: &str) -> Result<usize> {
        let values = table.each(|n, column| match column.kind {
            Kind::Bytes => format!("unhex(json_extract(value, '$[{n}]'))"),
            Kind::Text | Kind::Number | Kind::Truth => format!("json_extract(value, '$[{n}]')"),
        });
        let (name, names) = (&table.name, table.names());
        let insert = diesel::sql_query(format!("INSERT INTO \"{name}\" ({names}) SELECT {values} FROM json_each(?)"));
        insert.bind::<Text, _>(lines).execute(&mut self.0).map_err(explained)
    }

    /// The highest number that a row of `table` has had.
    pub(crate) fn highest(&mut self, table: &Table, number: &str) -> Result<i64> {
        let name = &table.name;
        let asked = format!(
            "SELECT max(coalesce((SELECT max(\"{number}\") FROM \"{name}\"), 0), \
                coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{name}'), 0)) AS number"
        );
        Ok(diesel::sql_query(asked).get_result::<Highest>(&mut self.0).map_err(explained)?.number)
    }

    /// Takes out the row that every new database has.
    pub(crate) fn forget_version(&mut self) -> Result<()> {
        self.0.batch_execute("DELETE FROM data_version").map_err(explained)
    }

    /// Keeps what was written.
    pub(crate) fn keep(mut self) -> Result<()> {
        self.0.batch_execute("COMMIT").map_err(explained)
    }
}

fn open(path: &Path) -> Result<SqliteConnection> {
    let name = std::path::absolute(path).ok().and_then(|path| path.to_str().map(str::to_owned));
    connect(&name.ok_or_else(|| StoreError::Invalid {
        field: "path",
        reason: "the path of the database must be valid UTF-8".to_owned(),
    })?)
}
