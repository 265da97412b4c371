//! `zenovay config`.

use serde_json::{Map, json};

use super::output::{Failure, Output, plain};
use crate::config::Config;

pub(super) fn run(config: &Config, output: &mut Output) -> Result<(), Failure> {
    let settings: Map<_, _> = config
        .effective()
        .iter()
        .map(|setting| (setting.name.clone(), json!({ "value": setting.value, "origin": setting.origin.to_string() })))
        .collect();
    let file = config.file.as_ref().map(|path| path.display().to_string());
    output.result(&json!({ "file": file, "settings": settings }), || {
        let width = config.effective().iter().map(|setting| setting.name.len()).max().unwrap_or(0);
        let lines = config
            .effective()
            .iter()
            .map(|setting| format!("{:width$} = {}   ({})\n", setting.name, plain(&setting.value), setting.origin));
        lines.collect()
    });
    Ok(())
}
