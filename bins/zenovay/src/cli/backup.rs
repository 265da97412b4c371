//! `zenovay backup` and `zenovay restore`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use serde_json::{Value, json};

use super::context;
use super::output::{Failure, Output, lines, table};
use crate::backends;
use crate::backup::{self, BackupError, Backups, Listed, Manifest, Restore, Restored, Unreadable};
use crate::causes::with_causes;
use crate::config::{BackupPlace, Config, InvalidBackupPlace};
use crate::control::{self, Answer, Request};
use crate::data_dir::DataDirError;
use crate::runtime::{ServeError, Stores};

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The directory of backups, made when it is missing, or s3://BUCKET/PREFIX; all backups in it share files. Without it the one of
    /// the setting `backup_dir`. How a bucket is reached say the settings `backup_bucket_…`.
    #[arg(value_name = "DIR|s3://…", value_parser = place_parser())]
    dir: Option<BackupPlace>,
    /// Keep so many backups and remove older ones; without it none is removed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    keep: Option<u16>,
    /// List the backups there instead, the oldest first.
    #[arg(long, conflicts_with = "keep")]
    list: bool,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// A backup, or a directory or s3://BUCKET/PREFIX with backups, of which the newest is meant.
    #[arg(value_name = "BACKUP", value_parser = place_parser())]
    backup: BackupPlace,
    /// Restore nothing: read everything in the backup, and compare it with what was written down when it was made.
    #[arg(long, conflicts_with_all = ["old", "in_part"])]
    verify: bool,
    /// The data directory that the backup is of, if it is still there. Visitors that were erased since are erased again, also when
    /// no later backup knows of it, and its `salts` are taken over, which no backup has.
    #[arg(long, value_name = "OLD_DATA_DIR")]
    old: Option<PathBuf>,
    /// Restore what is whole when files are damaged or missing (exit code 3); `zenovay repair` comes next.
    #[arg(long)]
    in_part: bool,
}

/// Reads a place. A directory may have a name that is no text.
fn place_parser() -> impl TypedValueParser<Value = BackupPlace> {
    OsStringValueParser::new().try_map(|text| match text.into_string() {
        Ok(text) => text.parse(),
        Err(name) => Ok::<_, InvalidBackupPlace>(BackupPlace::Dir(name.into())),
    })
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        Self::new(error)
    }
}

/// Makes a backup, by the server that runs, or without one.
pub(super) fn backup(args: BackupArgs, config: &Config, output: &mut Output) -> Result<(), Failure> {
    let dir = args.dir.or_else(|| config.backup_dir.clone());
    let dir = dir.ok_or_else(|| Failure::usage("name a place of backups, or set backup_dir"))?;
    if args.list {
        return list(&dir, config, output);
    }
    let made = make(config, dir, args.keep.map(usize::from))?;
    output.result(&made, || lines(&made));
    if let Some(why) = made["not_removed"].as_str() {
        output.fail_afterwards(Failure::new(format_args!(
            "the backup was made, and older ones cannot be removed: {why}"
        )));
    }
    if made["damaged"].as_array().is_some_and(|damaged| !damaged.is_empty()) {
        output.done_in_part();
    }
    Ok(())
}

fn make(config: &Config, dir: BackupPlace, keep: Option<usize>) -> Result<Value, Failure> {
    // It has to be there: a new one would be made.
    drop(context::open(config)?);
    match Stores::open(config) {
        Ok(stores) => {
            let (events, captures) = (stores.events.clone(), stores.captures.clone());
            let backups = Backups::new(config, stores.clock.clone(), events, captures, stores.erasures.clone());
            Ok(backups.make(&dir, keep, false)?.json())
        }
        Err(ServeError::DataDir(DataDirError::Held(_))) => {
            // The server has a working directory of its own.
            let dir = dir.absolute().map_err(|error| Failure::new(format_args!("the working directory: {error}")))?;
            let asked = control::ask(&config.data_dir, &Request::Backup { dir, keep });
            let answer = asked.map_err(|error| {
                let directory = config.data_dir.display();
                Failure::new(format_args!(
                    "the server that runs on {directory} did not answer ({error}): try again, or stop it first"
                ))
            })?;
            match answer {
                Answer::Done(made) => Ok(made),
                Answer::Failed(why) => Err(Failure::new(why)),
            }
        }
        Err(error) => Err(Failure::new(error)),
    }
}

fn list(dir: &BackupPlace, config: &Config, output: &mut Output) -> Result<(), Failure> {
    let row = |listed: Result<Listed, Unreadable>| {
        let listed = match listed {
            Ok(listed) => listed,
            Err(Unreadable { path, problem }) => return json!({ "backup": path, "problem": problem }),
        };
        let manifest = &listed.manifest;
        let files = manifest.files.iter().chain(&manifest.segments);
        let bytes = files.map(|file| file.bytes).sum::<u64>() + manifest.recordings.bytes;
        json!({
            "backup": listed.path,
            "created_at": manifest.created_at,
            "version": manifest.version,
            "rows": manifest.rows,
            "bytes": bytes,
            "damaged": manifest.damaged.len(),
            "has_events": manifest.elsewhere.is_none(),
            "problem": null,
        })
    };
    let rows: Vec<Value> = backup::list(dir, config)?.into_iter().map(row).collect();
    if rows.iter().any(|row| row["problem"].is_string()) {
        output.done_in_part();
    }
    let columns = ["backup", "created_at", "version", "rows", "bytes", "damaged", "problem"];
    output.result(&json!({ "backups": rows }), || table("no backups", &columns, &rows));
    Ok(())
}

/// `result`, and what the backup does not have, when that is something.
fn with_what_is_missing(mut result: Value, manifest: &Manifest) -> Value {
    if let Some(elsewhere) = &manifest.elsewhere {
        result["not_in_it"] = elsewhere.words().into();
    }
    result
}

/// Whether what was restored belongs to the events in ClickHouse, where they can be asked; `None` when they are not there.
fn belongs(config: &Config, restored: &Restored) -> Result<Option<Value>, Failure> {
    let (Some(url), Some(_)) = (&config.events_url, &restored.manifest.elsewhere) else { return Ok(None) };
    let mut there = config.clone();
    (there.database_url, there.events_url) = (None, None);
    let known = backends::open_metadata(&there)?.websites()?.into_iter().map(|website| website.id).collect();
    Ok(Some(match backends::rows_in_clickhouse(url, &known) {
        Ok(rows) => json!(rows),
        Err(error) => json!({ "problem": with_causes(&*error) }),
    }))
}

/// Restores a backup to the data directory, or finds out whether it could be.
pub(super) fn restore(args: &RestoreArgs, config: &Config, output: &mut Output) -> Result<(), Failure> {
    let RestoreArgs { backup, verify, old, in_part } = args;
    if *verify {
        let found = backup::verify(config, backup)?;
        let (manifest, websites) = (&found.manifest, found.manifest.websites.len());
        let result = json!({
            "backup": found.backup,
            "verified": true,
            "created_at": manifest.created_at,
            "rows": manifest.rows,
            "websites": websites,
            "recordings": manifest.recordings.count,
            "damaged": manifest.damaged,
        });
        let result = with_what_is_missing(result, manifest);
        output.result(&result, || lines(&result));
        if !manifest.damaged.is_empty() {
            output.done_in_part();
        }
        return Ok(());
    }
    let restored = backup::restore(config, &Restore { backup, old: old.as_deref(), in_part: *in_part })?;
    let erased = if restored.are_erased { restored.later_erasures } else { 0 };
    let result = json!({
        "backup": restored.backup,
        "data_dir": config.data_dir,
        "created_at": restored.manifest.created_at,
        "rows": restored.manifest.rows,
        "erased_again": erased,
        "to_be_erased": restored.later_erasures - erased,
        "damaged": restored.damaged,
    });
    let mut result = with_what_is_missing(result, &restored.manifest);
    if let Some(found) = belongs(config, &restored)? {
        result["clickhouse"] = found;
    }
    output.result(&result, || {
        let hint = match (&restored.manifest.elsewhere, restored.damaged.is_empty()) {
            (_, false) => "run `zenovay repair` before a server is started\n",
            (Some(_), true) => {
                "the events are in ClickHouse: restore them by its own means if they were lost, and set events_url. If PostgreSQL was lost, \
                 `zenovay move` puts the metadata of this backup into an empty database\n"
            }
            (None, true) => "",
        };
        lines(&result) + hint
    });
    if !restored.damaged.is_empty() {
        output.done_in_part();
    }
    Ok(())
}
