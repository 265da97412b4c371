//! Reading everything, to find damage before a request does.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::SqliteStore;
use crate::{Result, Store};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

impl Store for SqliteStore {
    /// SQLite checks the whole file and every reference between tables.
    fn check(&self) -> Result<Vec<String>> {
        self.ask(|conn| {
            let mut faults: Vec<String> =
                diesel::sql_query("SELECT integrity_check AS line FROM pragma_integrity_check")
                    .load::<Line>(conn)?
                    .into_iter()
                    .map(|line| line.line)
                    .filter(|line| line != "ok")
                    .collect();
            let dangling = diesel::sql_query(
                "SELECT 'a row of ' || \"table\" || ' refers to a missing row of ' || parent AS line FROM pragma_foreign_key_check",
            );
            faults.extend(dangling.load::<Line>(conn)?.into_iter().map(|line| line.line));
            Ok(faults)
        })
    }
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;

    use super::*;

    #[test]
    fn a_dangling_reference_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path().join("zenovay.db")).unwrap();
        assert_eq!(store.check().unwrap(), Vec::<String>::new());
        let dangling = "PRAGMA foreign_keys = OFF;
             INSERT INTO memberships (team_id, user_id, role, created_at) VALUES ('t', 'u', 'owner', 0);
             PRAGMA foreign_keys = ON;";
        store.ask(|conn| Ok(conn.batch_execute(dangling)?)).unwrap();
        let faults = store.check().unwrap();
        assert!(
            faults.iter().all(|fault| fault.starts_with("a row of memberships refers to a missing row of ")),
            "{faults:?}"
        );
        assert!(!faults.is_empty());
    }
}
