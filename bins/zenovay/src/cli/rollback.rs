//! `zenovay rollback`.

use clap::Args;
use serde_json::json;

use super::output::{Failure, Output, lines};
use crate::config::Config;
use crate::data_dir;
use crate::upgrade::{self, Discard};

#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    /// Go back although so many events and heartbeats were stored since the upgrade, which the earlier version cannot read: the very
    /// number that the command tells without this. `unknown` where they cannot be counted. They are put aside and not deleted.
    #[arg(long, value_name = "N")]
    discard: Option<String>,
    /// Go back although so many changes of accounts, workspaces, websites and keys were made since the upgrade, which are undone by it: the
    /// very number that the command tells without this.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    discard_changes: u64,
}

/// Puts back what was stored before the last upgrade.
pub(super) fn run(args: &RollbackArgs, config: &Config, output: &mut Output) -> Result<(), Failure> {
    let discard = match args.discard.as_deref() {
        None => Discard::Known { rows: 0, changes: args.discard_changes },
        Some("unknown") => Discard::Unknown,
        Some(number) => Discard::Known {
            rows: number.parse().map_err(|_| Failure::usage("--discard takes the number of events, or `unknown`"))?,
            changes: args.discard_changes,
        },
    };
    if !config.data_dir.exists() {
        let shown = config.data_dir.display();
        return Err(Failure::new(format_args!("the data directory {shown} does not exist")));
    }
    data_dir::secure(&config.data_dir).map_err(Failure::new)?;
    data_dir::refuse_moved(config).map_err(Failure::new)?;
    let done = upgrade::roll_back(config, discard).map_err(Failure::new)?;
    let result = json!({
        "rolled_back_to": done.snapshot.made_at,
        "upgraded_by": done.snapshot.version,
        "discarded": done.since.map(|since| since.rows),
        "discarded_changes": done.since.map(|since| since.changes),
        "aside": done.aside,
    });
    output.result(&result, || lines(&result) + "start the earlier version now\n");
    Ok(())
}
