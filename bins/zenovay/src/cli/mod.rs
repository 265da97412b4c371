//! The command line (DESIGN §7). Exit codes: 0 done, 1 failed with one clear line on stderr, 2 wrong usage.

mod check;
mod config;
mod context;
mod demo;
mod key;
mod output;
mod team;
mod user;
mod website;

use clap::{Args, Parser, Subcommand};

use crate::config::{CommonFlags, Config, ServerFlags};
use crate::runtime;
use output::{Failure, Output};

/// Self-hosted web analytics.
///
/// Without a command the server is started. Every setting is a flag, an environment variable (ZENOVAY_ and its name), or a key of
/// zenovay.toml, in that order of precedence.
#[derive(Debug, Parser)]
#[command(name = "zenovay", version, max_term_width = 120)]
pub struct Cli {
    #[command(flatten)]
    common: CommonFlags,
    /// Print one JSON object on stdout instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    server: ServerFlags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server, as without a command.
    Serve(Server),
    /// Start the server on a temporary directory with a month of made-up traffic on three websites.
    Demo(Server),
    /// Create user accounts.
    #[command(subcommand)]
    User(user::Command),
    /// Create teams, change their plan, members and rules.
    #[command(subcommand)]
    Team(team::Command),
    /// Create, change, show and delete websites.
    #[command(subcommand)]
    Website(website::Command),
    /// Create, list, change and revoke API keys.
    #[command(subcommand)]
    Key(key::Command),
    /// Verify the configuration, the metadata, and every stored event.
    Check,
    /// Print every setting with its value and where it comes from.
    Config(Server),
}

#[derive(Debug, Args)]
struct Server {
    #[command(flatten)]
    flags: ServerFlags,
}

/// Runs the command line `arguments`, of which the first is the program's name, and returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors to clap, with code 0. Nothing is left to do when even this cannot be printed.
            let printed = error.print();
            return if error.exit_code() == 0 && printed.is_ok() { 0 } else { 2 };
        }
    };
    let mut output = Output::new(cli.json);
    match cli.execute(&mut output).and_then(|()| output.finish()) {
        Ok(()) => 0,
        Err(failure) => failure.report(),
    }
}

impl Cli {
    fn execute(self, output: &mut Output) -> Result<(), Failure> {
        let Self { common, json: _, server, command } = self;
        let load = |server: ServerFlags| Config::load(&common, &server, std::env::vars_os()).map_err(Failure::new);
        let command = match command {
            None => return runtime::serve(&load(server)?).map_err(Failure::new),
            Some(Command::Serve(Server { flags })) => {
                return runtime::serve(&load(flags.or(server))?).map_err(Failure::new);
            }
            Some(Command::Demo(Server { flags })) => return demo::run(load(flags.or(server))?),
            Some(Command::Config(Server { flags })) => return config::run(&load(flags.or(server))?, output),
            Some(command) => command,
        };
        if !server.is_empty() {
            return Err(Failure::usage("flags of the server have no effect on this command"));
        }
        let config = load(ServerFlags::default())?;
        match command {
            Command::User(command) => user::run(command, &config, output),
            Command::Team(command) => team::run(command, &config, output),
            Command::Website(command) => website::run(command, &config, output),
            Command::Key(command) => key::run(command, &config, output),
            Command::Check => check::run(&config, output),
            Command::Serve(_) | Command::Demo(_) | Command::Config(_) => Ok(()),
        }
    }
}
