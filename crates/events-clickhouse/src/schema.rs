//! The tables, made and changed by numbered migrations.
//!
//! Each shard has a table of the migrations that were applied to it. Each statement of a migration does nothing when it was run
//! before, so that two nodes that begin at once do the same twice and need no lock, which ClickHouse does not have: a migration
//! is noted after its last statement.

use crate::server::Servers;
use crate::{OpenError, ServerError};

/// The migrations in their order, each with the name of its folder.
const MIGRATIONS: &[(&str, &str)] =
    &[("2026-11-30-000001_events", include_str!("../migrations/clickhouse/2026-11-30-000001_events/up.sql"))];

/// So many batches are remembered by their tokens on servers without replicas: an hour of the most that a node writes.
const BATCHES_KNOWN: u32 = 10_000;

/// Brings the schema of each shard to what this program needs.
///
/// # Errors
/// When a server does not do it, or has changes that this program does not know.
pub(crate) fn migrate(servers: &Servers) -> Result<(), OpenError> {
    for shard in 0..servers.shards() {
        let server = || servers.config.shards.get(shard).cloned().unwrap_or_default();
        let failed = |source| OpenError::Server { server: server(), source };
        let applied = applied(servers, shard).map_err(failed)?;
        if let Some(version) = applied.iter().find(|version| MIGRATIONS.iter().all(|(name, _)| name != version)) {
            return Err(OpenError::SchemaTooNew { server: server(), version: version.clone() });
        }
        for (name, script) in MIGRATIONS.iter().filter(|(name, _)| !applied.iter().any(|applied| applied == name)) {
            apply(servers, shard, name, script).map_err(failed)?;
        }
    }
    // The table over all shards has no rows of its own; it is made where questions are asked and batches are written.
    if let Some(cluster) = &servers.config.cluster {
        let database = &servers.config.database;
        let statement = format!(
            "CREATE TABLE IF NOT EXISTS {database}.events_all AS {database}.events \
             ENGINE = Distributed('{cluster}', '{database}', 'events', cityHash64(website, visitor))"
        );
        let server = servers.config.shards.first().cloned().unwrap_or_default();
        servers.execute(0, &statement, &[]).map_err(|source| OpenError::Server { server, source })?;
    }
    Ok(())
}

/// The names of the migrations that a shard has.
fn applied(servers: &Servers, shard: usize) -> Result<Vec<String>, ServerError> {
    let database = &servers.config.database;
    // The database of the connection is not there yet.
    let elsewhere = [("database", "default")];
    servers.execute(shard, &format!("CREATE DATABASE IF NOT EXISTS {database}"), &elsewhere)?;
    let table = format!(
        "CREATE TABLE IF NOT EXISTS {database}.migrations (name String, applied_at DateTime DEFAULT now()) \
         ENGINE = MergeTree ORDER BY name"
    );
    servers.execute(shard, &table, &[])?;
    servers.rows(shard, &format!("SELECT DISTINCT name FROM {database}.migrations ORDER BY name"), &[])
}

fn apply(servers: &Servers, shard: usize, name: &str, script: &str) -> Result<(), ServerError> {
    let database = &servers.config.database;
    let (engine, settings) = match &servers.config.engine {
        Some(engine) => (engine.as_str(), String::new()),
        None => ("MergeTree", format!("non_replicated_deduplication_window = {BATCHES_KNOWN}, ")),
    };
    let without_comments: Vec<&str> = script.lines().filter(|line| !line.starts_with("--")).collect();
    for statement in without_comments.join("\n").split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        let statement =
            statement.replace("{database}", database).replace("{events}", engine).replace("{settings}", &settings);
        servers.execute(shard, &statement, &[])?;
    }
    servers.execute(shard, &format!("INSERT INTO {database}.migrations (name) VALUES ('{name}')"), &[])
}
