//! `zenovay repair`.

use serde_json::json;
use zenovay_events::{Repaired, repair};

use super::output::{Failure, Output};
use crate::causes::with_causes;
use crate::config::Config;
use crate::data_dir::{self, ServerLock};
use crate::moving::MOVING;

/// Makes `events.db` and the segment files belong together again. What cannot be saved is listed, with exit code 3.
pub(super) fn run(config: &Config, output: &mut Output) -> Result<(), Failure> {
    if !config.data_dir.exists() {
        let shown = config.data_dir.display();
        return Err(Failure::new(format_args!("the data directory {shown} does not exist")));
    }
    data_dir::secure(&config.data_dir).map_err(Failure::new)?;
    let _lock = ServerLock::acquire(&config.data_dir).map_err(Failure::new)?;
    if config.data_dir.join(MOVING).exists() {
        // Segments may get other places.
        let words = "events are moving to ClickHouse: give that up first, with `zenovay move-events --cancel`";
        return Err(Failure::new(words));
    }
    let repaired = repair(&config.data_dir).map_err(|error| Failure::new(with_causes(&error)))?;
    let result = json!({
        "changed": repaired.is_changed,
        "segments": repaired.segments,
        "segment_rows": repaired.segment_rows,
        "log_rows": repaired.log_rows,
        "found": repaired.found,
        "saved": repaired.saved,
        "set_aside": repaired.set_aside,
        "older": repaired.older,
        "lost": repaired.lost,
    });
    output.result(&result, || text(&repaired));
    if !repaired.lost.is_empty() {
        output.done_in_part();
    }
    Ok(())
}

fn text(repaired: &Repaired) -> String {
    if !repaired.is_changed {
        return "nothing to repair\n".to_owned();
    }
    let mut text = String::new();
    for (what, lines) in [
        ("found", &repaired.found),
        ("saved", &repaired.saved),
        ("set aside", &repaired.set_aside),
        ("older", &repaired.older),
        ("lost", &repaired.lost),
    ] {
        for line in lines {
            text.push_str(&format!("{what}: {line}\n"));
        }
    }
    let Repaired { segments, segment_rows, log_rows, .. } = repaired;
    text.push_str(&format!("repaired: {segment_rows} rows in {segments} segments, {log_rows} rows in the log\n"));
    text
}
