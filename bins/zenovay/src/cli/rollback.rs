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
}

/// Puts back what was stored before the last upgrade.
pub(super) fn run(args: &RollbackArgs, config: &Config, output: &mut Output) -> Result<(), Failure> {
    let discard = match args.discard.as_deref() {
        None => Discard::Nothing,
        Some("unknown") => Discard::Unknown,
        Some(number) => Discard::Rows(
            number.parse().map_err(|_| Failure::usage("--discard takes the number of events, or `unknown`"))?,
        ),
    };
    if !config.data_dir.exists() {
        let shown = config.data_dir.display();
        return Err(Failure::new(format_args!("the data directory {shown} does not exist")));
    }
    data_dir::secure(&config.data_dir).map_err(Failure::new)?;
    let done = upgrade::roll_back(config, discard).map_err(Failure::new)?;
    let result = json!({
        "rolled_back_to": done.snapshot.made_at,
        "upgraded_by": done.snapshot.version,
        "discarded": done.since,
        "aside": done.aside,
    });
    output.result(&result, || lines(&result) + "start the earlier version now\n");
    Ok(())
}
