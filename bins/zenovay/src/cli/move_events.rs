//! `zenovay move-events`.

#[cfg(feature = "clickhouse")]
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::context;
use super::output::{Failure, Output, lines};
#[cfg(feature = "clickhouse")]
use crate::causes::with_causes;
use crate::config::{Config, EventsUrl};
use crate::control::{self, Answer, Request};
use crate::data_dir::{self, DataDirError, ServerLock};
use crate::moving;
use crate::runtime::{ServeError, Stores};

/// For how long events are moved before it is told how far it is.
#[cfg(feature = "clickhouse")]
const TOLD_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct MoveEventsArgs {
    /// The ClickHouse database, which must be empty: clickhouse://USER:PASSWORD@HOST:8123/DATABASE. Without it, that of events_url, which can
    /// be set where others do not read the password.
    #[arg(long, value_name = "URL", conflicts_with = "cancel")]
    to: Option<String>,
    /// Do the last step, with the server stopped: move what came since, compare both sides, and, when every number is the same, switch. Without
    /// it nothing is switched.
    #[arg(long, conflicts_with = "cancel")]
    finish: bool,
    /// Give up a move that was begun: the events stay in the data directory, and go on there. What is in ClickHouse is yours to remove.
    #[arg(long)]
    cancel: bool,
}

/// Moves events to ClickHouse.
pub(super) fn run(args: &MoveEventsArgs, config: &Config, output: &mut Output) -> Result<(), Failure> {
    drop(context::open(config)?);
    if args.cancel {
        return cancel(config, output);
    }
    let given = args.to.as_deref().map(|text| EventsUrl::try_from(text.to_owned())).transpose();
    let given = given.map_err(|why| Failure::usage(format_args!("--to: {why}")))?;
    let to = given.as_ref().or(config.events_url.as_ref());
    let to = to.ok_or_else(|| Failure::usage("name the ClickHouse database: --to clickhouse://…, or events_url"))?;
    if config.postgres_url().is_none() {
        let words = "events in ClickHouse need metadata in PostgreSQL: set database_url to postgres://…, and see `zenovay move`";
        return Err(Failure::new(words));
    }
    if given.as_ref().is_some_and(EventsUrl::has_password) {
        tracing::warn!(
            "the password of --to is in the list of processes, where everybody on this machine can read it: set ZENOVAY_EVENTS_URL and leave \
             --to out"
        );
    }
    // They are where they were until all are moved.
    let mut here = config.clone();
    here.events_url = None;
    let has_more = data_dir::has_own_events(&here.data_dir) && moving::is_under_way(&here.data_dir).is_ok();
    if has_more {
        match Stores::open(&here) {
            Ok(stores) if args.finish => move_alone(&here, to, stores, output)?,
            Ok(stores) => return move_sealed(&here, to, &stores, output),
            Err(ServeError::DataDir(DataDirError::Held(_))) if args.finish => return Err(Failure::new(RUNS)),
            Err(ServeError::DataDir(DataDirError::Held(_))) => return move_beside(&here, to, output),
            Err(error) => return Err(Failure::new(error)),
        }
        if output.is_failure() {
            return Ok(());
        }
    } else if !args.finish && here.data_dir.join(moving::MOVING).exists() {
        let words = "all events are moved, and the last step has not ended: run `zenovay move-events --finish` again";
        return Err(Failure::new(words));
    }
    finish(&here, to, has_more, output)
}

/// Why the last step is not done.
const RUNS: &str = "a server runs on the data directory: stop it, and whatever would start it again, before --finish";

/// Lets the server that runs move what is sealed, piece by piece: it ends with this command.
fn move_beside(config: &Config, to: &EventsUrl, output: &mut Output) -> Result<(), Failure> {
    moved_so_far(to, output, || ask(config, &Request::MoveEvents { to: Some(to.clone()) }))
}

/// Moves what is sealed, with no server.
#[cfg(feature = "clickhouse")]
fn move_sealed(config: &Config, to: &EventsUrl, stores: &Stores, output: &mut Output) -> Result<(), Failure> {
    moved_so_far(to, output, || {
        let moved = moving::step(config, to, &*stores.events, &stores.erasures, TOLD_EVERY);
        moved.map(|moved| json!(moved)).map_err(|error| Failure::new(with_causes(&*error)))
    })
}

/// No URL is read by a program without ClickHouse.
#[cfg(not(feature = "clickhouse"))]
fn move_sealed(_config: &Config, to: &EventsUrl, _stores: &Stores, _output: &mut Output) -> Result<(), Failure> {
    Err(Failure::new(format_args!("{to:?} cannot be used: this zenovay was built without ClickHouse")))
}

/// Does `step` until nothing is left that is sealed, and tells how far it is.
fn moved_so_far(to: &EventsUrl, output: &mut Output, step: impl Fn() -> Result<Value, Failure>) -> Result<(), Failure> {
    loop {
        let moved = step()?;
        if moved["left"].as_u64().unwrap_or(0) > 0 {
            tell(&moved);
            continue;
        }
        let result = json!({ "to": to.shown(), "rows": moved["rows"], "finished": false });
        output.result(&result, || {
            let next = "what is in segments is moved, and nothing is switched. Stop the server, and run `zenovay move-events --finish`: it moves what \
                        came since, compares, and is done";
            format!("{}{next}\n", lines(&result))
        });
        return Ok(());
    }
}

/// Moves everything, with no server.
#[cfg(feature = "clickhouse")]
fn move_alone(config: &Config, to: &EventsUrl, stores: Stores, output: &mut Output) -> Result<(), Failure> {
    let failed = |error: crate::backends::CopyFailure| Failure::new(with_causes(&*error));
    stores.events.seal().map_err(|error| Failure::new(with_causes(&error)))?;
    loop {
        let moved = moving::step(config, to, &*stores.events, &stores.erasures, TOLD_EVERY).map_err(failed)?;
        if moved.left == 0 {
            break;
        }
        tell(&json!(moved));
    }
    let compared = moving::reconciled(config, to, &*stores.events).map_err(failed)?;
    stores.events.shutdown();
    let report = config.data_dir.join(moving::MOVED).join(moving::REPORT);
    let different = compared.websites.iter().filter(|website| !website.is_equal()).count();
    let result = json!({
        "to": to.shown(),
        "rows": compared.rows.directory,
        "rows_in_clickhouse": compared.rows.clickhouse,
        "websites": compared.websites.len(),
        "different_websites": different,
        "days": compared.websites.iter().map(|website| website.days).sum::<usize>(),
        "report": report,
        "finished": compared.is_equal(),
    });
    output.result(&result, || lines(&result));
    if !compared.is_equal() {
        output.fail_afterwards(Failure::new(format_args!(
            "the numbers of {different} websites are not the same in both: {} says which. Nothing was switched, and the server can be started as \
             before. Run this again; if they differ still, `zenovay move-events --cancel`, and begin with an empty database",
            report.display()
        )));
    }
    Ok(())
}

/// No URL is read by a program without ClickHouse.
#[cfg(not(feature = "clickhouse"))]
fn move_alone(_config: &Config, to: &EventsUrl, _stores: Stores, _output: &mut Output) -> Result<(), Failure> {
    Err(Failure::new(format_args!("{to:?} cannot be used: this zenovay was built without ClickHouse")))
}

/// Switches, when all is moved.
#[cfg(feature = "clickhouse")]
fn finish(config: &Config, to: &EventsUrl, was_told: bool, output: &mut Output) -> Result<(), Failure> {
    let _lock = lock(config)?;
    let failed = |error: crate::backends::CopyFailure| {
        let words = with_causes(&*error);
        Failure::new(format_args!("the last step did not end ({words}): run it again with --finish"))
    };
    let done = moving::finish(config, to).map_err(failed)?;
    if matches!(done, moving::Finished::WasThere) {
        let noted = data_dir::clickhouse_database(&config.data_dir).map_err(Failure::new)?;
        if let Some(noted) = noted.filter(|noted| noted != to.database()) {
            return Err(Failure::new(format_args!(
                "the events are in the ClickHouse database {noted:?}: name that one"
            )));
        }
        let result = json!({ "to": to.shown(), "rows": 0, "finished": true });
        output.result(&result, || "there are no events to move\n".to_owned());
        return Ok(());
    }
    if !was_told {
        output.result(&json!({ "to": to.shown(), "finished": true }), String::new);
    }
    output.add(|| {
        let moved = config.data_dir.join(moving::MOVED);
        format!(
            "every number is the same in both. Set events_url to the database (ZENOVAY_EVENTS_URL, or zenovay.toml), and start the server. The \
             files of before are in {}: remove them when you trust the move; an erasure removes them too\n",
            moved.display()
        )
    });
    Ok(())
}

/// No URL is read by a program without ClickHouse.
#[cfg(not(feature = "clickhouse"))]
fn finish(_config: &Config, _to: &EventsUrl, _was_told: bool, _output: &mut Output) -> Result<(), Failure> {
    Ok(())
}

fn cancel(config: &Config, output: &mut Output) -> Result<(), Failure> {
    let was_begun = config.data_dir.join(moving::MOVING).exists();
    if was_begun && moving::is_under_way(&config.data_dir).is_err() {
        return Err(Failure::new("all events are moved already: run `zenovay move-events --finish` again"));
    }
    if !was_begun && let Some(database) = data_dir::clickhouse_database(&config.data_dir).map_err(Failure::new)? {
        return Err(Failure::new(format_args!(
            "there is no move to give up: the events are in the ClickHouse database {database:?}. docs/operations/clickhouse.md says how to go back"
        )));
    }
    match ServerLock::acquire(&config.data_dir) {
        Ok(_lock) => moving::give_up(&config.data_dir).map_err(Failure::new)?,
        Err(DataDirError::Held(_)) => drop(ask(config, &Request::MoveEvents { to: None })?),
        Err(error) => return Err(Failure::new(error)),
    }
    let result = json!({ "cancelled": was_begun });
    output.result(&result, || {
        let words =
            "the events are in the data directory, as before. Remove the database in ClickHouse before another attempt";
        if was_begun { format!("{words}\n") } else { "no move was begun\n".to_owned() }
    });
    Ok(())
}

#[cfg(feature = "clickhouse")]
fn lock(config: &Config) -> Result<ServerLock, Failure> {
    ServerLock::acquire(&config.data_dir).map_err(Failure::new)
}

/// What the server that runs on the data directory says.
fn ask(config: &Config, request: &Request) -> Result<Value, Failure> {
    let answer = control::ask(&config.data_dir, request).map_err(|error| {
        let directory = config.data_dir.display();
        Failure::new(format_args!("the server that runs on {directory} did not answer ({error}): run this again"))
    })?;
    match answer {
        Answer::Done(value) => Ok(value),
        Answer::Failed(why) => Err(Failure::new(why)),
    }
}

/// Says how far it is, beside the result.
fn tell(moved: &Value) {
    eprintln!("{} events and heartbeats are moved, {} are left", moved["rows"], moved["left"]);
}
