//! Reading everything, to find damage before a request does.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::SqlStore;
use crate::{Result, Store, StoreError};

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Size {
    #[diesel(sql_type = Nullable<BigInt>)]
    size: Option<i64>,
}

impl Store for SqlStore {
    /// Reads every value of every table. References between tables are the server's to keep.
    fn check(&self) -> Result<Vec<String>> {
        let asked = "SELECT quote_ident(relname) AS name FROM pg_class \
                     WHERE relkind = 'r' AND pg_table_is_visible(oid) AND relnamespace = current_schema()::regnamespace \
                     ORDER BY relname";
        let tables = self.ask(|conn| Ok(diesel::sql_query(asked).load::<Table>(conn)?))?;
        let mut faults = Vec::new();
        for Table { name } in tables {
            let read = format!("SELECT sum(length({name}::text)) AS size FROM {name}");
            match self.ask(|conn| Ok(diesel::sql_query(read).get_result::<Size>(conn)?.size)) {
                Ok(_) => {}
                Err(StoreError::Damaged(cause)) => faults.push(format!("table {name}: {cause}")),
                Err(other) => return Err(other),
            }
        }
        Ok(faults)
    }
}
