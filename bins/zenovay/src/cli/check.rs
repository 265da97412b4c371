//! `zenovay check`.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;

use serde_json::{Value, json};
use zenovay_domain::{GuardedClock, SystemClock, WebsiteId};
use zenovay_events::{Verified, verify};

use super::context;
use super::output::{Failure, Output};
use crate::backends::{self, OpenCapturesError, RowsInClickHouse};
use crate::bucket::{Bucket, BucketError};
use crate::causes::with_causes;
use crate::config::{BackupPlace, Config};
use crate::data_dir::{self, DataDirError, ServerLock};
use crate::moving;
use crate::runtime::ServeError;

/// The configuration has been read and found valid by the time this runs.
pub(super) fn run(config: &Config, output: &mut Output) -> Result<(), Failure> {
    data_dir::secure(&config.data_dir).map_err(Failure::new)?;
    let (metadata, mut faults) = check_metadata(config)?;
    let bucket = check_bucket(config).map_err(|error| Failure::new(OpenCapturesError::from(error)))?;
    let backups = check_backups(config).map_err(|error| Failure::new(format_args!("backups: {error}")))?;
    let events = check_events(config)?;
    if let Events::Checked(verified, captures) = &events {
        faults.extend(verified.damages.iter().chain(captures).cloned());
    }
    if !faults.is_empty() {
        return Err(Failure::new(format_args!("{} damaged: {}", faults.len(), faults.join("; "))));
    }
    if matches!(events, Events::InUse) {
        output.done_in_part();
    }
    let clock = check_clock(config)?;
    let result = json!({ "configuration": "ok", "metadata": metadata, "events": events.json(), "clock": clock, "replay_bucket": bucket, "backup_bucket": backups });
    output.result(&result, || {
        let events = events.text();
        format!("configuration: ok\nmetadata: {metadata}\nevents: {events}\nclock: {clock}\nreplay bucket: {bucket}\nbackup bucket: {backups}\n")
    });
    Ok(())
}

/// Writes, reads and deletes something in the bucket of recordings, where there is one.
fn check_bucket(config: &Config) -> Result<&'static str, BucketError> {
    let Some(bucket) = Bucket::open(config)? else { return Ok("none") };
    bucket.probe()?;
    Ok("ok")
}

/// The same in the bucket of backups.
fn check_backups(config: &Config) -> Result<&'static str, BucketError> {
    let Some(BackupPlace::Bucket(bucket, prefix)) = &config.backup_dir else { return Ok("none") };
    Bucket::of_backups(config, bucket, prefix.as_ref(), None)?.probe()?;
    Ok("ok")
}

fn check_metadata(config: &Config) -> Result<(&'static str, Vec<String>), Failure> {
    let path = config.database_path();
    data_dir::expect_metadata(config).map_err(Failure::new)?;
    if path.as_ref().is_some_and(|path| !path.exists()) {
        return Ok(("none yet", Vec::new()));
    }
    let faults = context::open_upgraded(config)?.check()?;
    let place = path.map_or_else(|| "PostgreSQL".to_owned(), |path| path.display().to_string());
    Ok(("ok", faults.into_iter().map(|fault| format!("{place}: {fault}")).collect()))
}

/// What a server that starts now thinks of the clock. A machine that was off for long is in doubt, too, so this is not a fault.
fn check_clock(config: &Config) -> Result<String, Failure> {
    let is_there = config.database_path().is_none_or(|path| path.exists());
    let memory = if is_there { backends::open_metadata(config)?.clock_memory()? } else { None };
    let Some(memory) = memory else { return Ok("no server has run yet".to_owned()) };
    let doubt = GuardedClock::new(Arc::new(SystemClock), Some(memory)).status().doubt;
    Ok(doubt.map_or_else(|| "ok".to_owned(), |doubt| format!("not believed: it {doubt}; nothing is removed by it")))
}

enum Events {
    None,
    /// A server has the store for itself.
    InUse,
    /// With what is damaged of what pages captured beside them.
    Checked(Verified, Vec<String>),
    /// In ClickHouse, so many rows; `None` before its tables are made.
    InClickHouse(Option<RowsInClickHouse>),
}

fn check_events(config: &Config) -> Result<Events, Failure> {
    let is_moving = moving::is_under_way(&config.data_dir)
        .map_err(|error| Failure::new(format_args!("events: {}", with_causes(&*error))))?;
    if is_moving && config.events_url.is_some() {
        return Err(Failure::new(
            "events: they are moving to ClickHouse, and are in the data directory until `zenovay move-events --finish` has ended: a server with \
             events_url is refused until then",
        ));
    }
    if let Some(url) = &config.events_url {
        let metadata = context::open(config)?;
        let mut known: BTreeSet<WebsiteId> = metadata.websites()?.iter().map(|website| website.id).collect();
        // What they have goes away.
        known.extend(metadata.deleted_websites()?);
        let failed = |why: &dyn Display| Failure::new(format_args!("events: {why}"));
        let found = backends::rows_in_clickhouse(url, &known).map_err(|error| failed(&with_causes(&*error)))?;
        if found.is_some_and(|found| found.are_of_others()) {
            return Err(failed(&format_args!(
                "all in the ClickHouse database {} are of websites that the metadata do not know: the two do not belong together",
                url.database()
            )));
        }
        return Ok(Events::InClickHouse(found));
    }
    if let Some(database) = data_dir::clickhouse_database(&config.data_dir).map_err(|error| {
        Failure::new(format_args!("{}: {error}", config.data_dir.join(data_dir::IN_CLICKHOUSE).display()))
    })? {
        let directory = config.data_dir.display();
        return Err(Failure::new(format_args!(
            "events: those of {directory} are in the ClickHouse database {database:?}, and events_url is not set"
        )));
    }
    let is_there = |name: &str| config.data_dir.join(name).exists();
    if !is_there("events.db") && !is_there("events.db-wal") && !is_there("segments") {
        return Ok(Events::None);
    }
    // Held while the events are read, so that a server that is started meanwhile says what is going on.
    match ServerLock::acquire(&config.data_dir) {
        Err(DataDirError::Held(_)) => Ok(Events::InUse),
        Err(error) => Err(Failure::new(error)),
        Ok(_lock) => {
            let verified = verify(&config.data_dir).map_err(|error| Failure::new(ServeError::from(error)))?;
            let captures = check_captures(config).map_err(|error| Failure::new(ServeError::from(error)))?;
            Ok(Events::Checked(verified, captures))
        }
    }
}

/// What is damaged of what pages captured beside events. Nothing is made where there is nothing.
fn check_captures(config: &Config) -> Result<Vec<String>, OpenCapturesError> {
    if !["captures.db", "captures.db-mark", "replays"].iter().any(|name| config.data_dir.join(name).exists()) {
        return Ok(Vec::new());
    }
    let captures = backends::open_captures(config)?;
    let mut damages = captures.damages()?;
    damages.extend(captures.replay_damages()?);
    Ok(damages)
}

impl Events {
    fn json(&self) -> Value {
        match self {
            Self::None => json!("none yet"),
            Self::InUse => json!("not checked: a server is running"),
            Self::InClickHouse(found) => json!({
                "clickhouse_rows": found.map(|found| found.rows),
                "rows_of_unknown_websites": found.map(|found| found.of_unknown_websites),
            }),
            Self::Checked(verified, _) => json!({
                "segments": verified.segments,
                "segment_rows": verified.segment_rows,
                "segment_bytes": verified.segment_bytes,
                "log_rows": verified.log_rows,
            }),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::None => "none yet".to_owned(),
            Self::InUse => "not checked, because a server is running on them; stop it to check them".to_owned(),
            Self::InClickHouse(None) => "ok, ClickHouse answers; its tables are made by the first server".to_owned(),
            Self::InClickHouse(Some(found)) => {
                let unknown = found.of_unknown_websites;
                let of_others = format!(", {unknown} of them of websites that the metadata do not know");
                let of_others = if unknown > 0 { of_others } else { String::new() };
                format!("ok, {} in ClickHouse{of_others}", counted(found.rows, "row"))
            }
            Self::Checked(verified, _) => format!(
                "ok, {} in {} of {}, {} in the log",
                counted(verified.segment_rows, "row"),
                counted(verified.segments, "segment"),
                counted(verified.segment_bytes, "byte"),
                counted(verified.log_rows, "row")
            ),
        }
    }
}

/// `1 row`, `2 rows`.
fn counted(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
