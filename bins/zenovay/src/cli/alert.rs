//! `zenovay alert`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::output::{Failure, Output, plain};
use crate::config::Config;
use crate::control::{self, Answer, Request};
use crate::data_dir;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Have the server that runs send a test over every channel: mail to its owners, the webhook. Exits with 1 when one fails, or
    /// there is none.
    Test,
}

pub(super) fn run(command: &Command, config: &Config, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Test => test(config, output),
    }
}

fn test(config: &Config, output: &mut Output) -> Result<(), Failure> {
    if data_dir::refuse_held(&config.data_dir).is_ok() {
        return Err(Failure::new("no server runs on the data directory: it is the one that sends alerts"));
    }
    let answer = control::ask(&config.data_dir, &Request::TestAlert);
    let tried = match answer.map_err(|error| Failure::new(format_args!("the server does not answer: {error}")))? {
        Answer::Done(tried) => tried,
        Answer::Failed(why) => return Err(Failure::new(why)),
    };
    let Some(channels) = tried.as_array() else {
        return Err(Failure::new("the answer of the server is not understood: is it of another version?"));
    };
    if channels.is_empty() {
        return Err(Failure::new("nobody is told: set alert_webhook_url, or smtp_url, and restart the server"));
    }
    output.result(&json!({ "channels": tried }), || channels.iter().map(line).collect());
    let failed: Vec<String> = channels.iter().filter(|one| one["delivered"] != true).map(name).collect();
    if !failed.is_empty() {
        output.fail_afterwards(Failure::new(format_args!("not delivered: {}", failed.join(", "))));
    }
    Ok(())
}

fn name(tried: &Value) -> String {
    plain(&tried["channel"])
}

fn line(tried: &Value) -> String {
    let outcome = if tried["error"].is_null() { "delivered".to_owned() } else { plain(&tried["error"]) };
    format!("{}: {outcome}\n", name(tried))
}
