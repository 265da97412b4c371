//! `zenovay move`.

use clap::Args;
use serde_json::json;

use super::context;
use super::output::{Failure, Output, lines};
use crate::backends;
use crate::causes::with_causes;
use crate::config::{Config, DatabaseUrl};
use crate::data_dir::{self, DataDirError, ServerLock};

#[derive(Debug, Args)]
pub(super) struct MoveArgs {
    /// The PostgreSQL database, which must be empty: postgres://USER:PASSWORD@HOST/DATABASE. Without it, that of database_url, which can
    /// be set where others do not read the password.
    #[arg(long, value_name = "URL")]
    to: Option<String>,
}

/// Copies the metadata from SQLite to PostgreSQL.
pub(super) fn run(args: &MoveArgs, config: &Config, output: &mut Output) -> Result<(), Failure> {
    let given = args.to.as_deref().map(DatabaseUrl::read).transpose();
    let given = given.map_err(|why| Failure::usage(format_args!("--to: {why}")))?;
    let to = match given.as_ref().or(config.database_url.as_ref()) {
        Some(DatabaseUrl::Postgres(url)) => url,
        Some(DatabaseUrl::Sqlite(_)) | None => {
            return Err(Failure::usage("name the PostgreSQL database: --to postgres://…, or database_url"));
        }
    };
    if matches!(&given, Some(DatabaseUrl::Postgres(url)) if url.has_password()) {
        tracing::warn!(
            "the password of --to is in the list of processes, where everybody on this machine can read it: set ZENOVAY_DATABASE_URL and leave \
             --to out"
        );
    }
    let from = config.sqlite_path();
    let mut source = config.clone();
    source.database_url = Some(DatabaseUrl::Sqlite(from.clone()));
    // It has to be there, and is upgraded as by any command; also when the directory says that it was moved before.
    data_dir::secure(&config.data_dir).map_err(Failure::new)?;
    if !from.exists()
        && let Err(DataDirError::InPostgres { directory, url }) = data_dir::refuse_moved(&source)
    {
        let directory = directory.display();
        return Err(Failure::new(format_args!(
            "the metadata of {directory} are in PostgreSQL already ({url}), and there is no {} to move",
            from.display()
        )));
    }
    data_dir::expect_whole(&config.data_dir, Some(&from)).map_err(Failure::new)?;
    drop(context::open_there(&source)?);
    let _lock = ServerLock::acquire(&config.data_dir).map_err(|error| match error {
        DataDirError::Held(directory) => Failure::new(format_args!(
            "a server is running on {}: stop it first, for what changes meanwhile would not be moved",
            directory.display()
        )),
        error => Failure::new(error),
    })?;
    data_dir::expect_whole(&config.data_dir, Some(&from)).map_err(Failure::new)?;
    let moved = backends::move_metadata(&from, to).map_err(|error| Failure::new(with_causes(&*error)))?;
    data_dir::note_postgres(&config.data_dir, to).map_err(|error| {
        let directory = config.data_dir.display();
        Failure::new(format_args!("everything was copied, and {directory} cannot say so ({error}): run it again"))
    })?;
    let rows: u64 = moved.tables.iter().map(|(_, rows)| rows).sum();
    let tables: serde_json::Map<_, _> = moved.tables.iter().map(|(table, rows)| (table.clone(), json!(rows))).collect();
    let result = json!({
        "from": from,
        "to": to.shown(),
        "rows": rows,
        "was_there": moved.was_there,
        "tables": tables,
    });
    output.result(&result, || {
        let told = json!({ "from": from, "to": to.shown(), "rows": rows, "was_there": moved.was_there });
        let next = if config.postgres_url().is_some() {
            "every row is the same in both. Start the server: database_url names the database already"
        } else {
            "every row is the same in both. Set database_url to the database (ZENOVAY_DATABASE_URL, or zenovay.toml), and start the server"
        };
        format!("{}{next}. {} stays as it was, and is not used any more\n", lines(&told), from.display())
    });
    Ok(())
}
