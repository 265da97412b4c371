//! The schema, brought up to date when a store is opened.

use diesel::Connection;
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel_migrations::MigrationHarness;

use super::errors::explained;
use super::failed::Done;
use super::{Conn, MIGRATIONS};
use crate::StoreError;

type Backend = <Conn as Connection>::Backend;

/// The migrations that this program knows.
pub(super) fn known() -> diesel::migration::Result<Vec<Box<dyn Migration<Backend>>>> {
    MIGRATIONS.migrations()
}

/// Brings the schema up to date. Runs inside the transaction of its caller, which holds the lock of writers: of two programs
/// that start together one migrates and the other finds it done.
pub(super) fn migrate(conn: &mut Conn) -> Done<()> {
    let known = known().map_err(explained)?;
    let applied = conn.applied_migrations().map_err(explained)?;
    let is_known =
        |version: &MigrationVersion<'_>| known.iter().any(|migration| migration.name().version() == *version);
    if let Some(newer) = applied.iter().find(|version| !is_known(version)) {
        return Err(StoreError::NewerSchema(newer.to_string()).into());
    }
    conn.run_pending_migrations(MIGRATIONS).map_err(explained)?;
    Ok(())
}
