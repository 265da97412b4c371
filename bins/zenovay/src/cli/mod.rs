//! The command line. Exit codes: 0 done, 1 failed with one clear line on stderr, 2 wrong usage, 3 done in part. Every error
//! begins with `zenovay: `. Of `zenovay doctor` 1 is that it found faults, and 3 that it found warnings alone.

mod alert;
mod backup;
mod check;
mod config;
mod context;
mod demo;
mod doctor;
mod health;
mod key;
mod move_events;
mod move_metadata;
mod openapi;
mod output;
mod password;
mod remote;
mod repair;
mod rollback;
mod sourcemaps;
mod status;
mod team;
mod user;
mod visitor;
mod website;

use clap::{Args, Parser, Subcommand};

use crate::allocator;
use crate::config::{CommonFlags, Config, ServerFlags};
use crate::data_dir;
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
    /// Print JSON on stdout instead of text: one object, or one a line by the server.
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
    /// Create, list and delete user accounts, set passwords.
    #[command(subcommand)]
    User(user::Command),
    /// Create, list, show and delete teams, change their plan, members and rules.
    #[command(subcommand)]
    Team(team::Command),
    /// Create, list, change, show and delete websites.
    #[command(subcommand)]
    Website(website::Command),
    /// Erase visitors, or print what is stored of one.
    #[command(subcommand)]
    Visitor(visitor::Command),
    /// Create, list, change and revoke API keys.
    #[command(subcommand)]
    Key(key::Command),
    /// Send the source maps of a build to a server.
    #[command(subcommand)]
    Sourcemaps(sourcemaps::Command),
    /// Write on the status page: incidents and maintenance.
    #[command(subcommand)]
    Status(status::Command),
    /// Make a backup of everything but the salts, of one moment, also while a server runs. Copies only what earlier backups in
    /// the directory, or in the bucket, do not have.
    Backup(backup::BackupArgs),
    /// Restore a backup to a new data directory, or verify one.
    Restore(backup::RestoreArgs),
    /// Copy users, teams, websites and keys from SQLite to an empty PostgreSQL database, all or none, each row compared. Changes nothing
    /// of the source. Needs the server stopped. Events stay where they are.
    Move(move_metadata::MoveArgs),
    /// Move the events of the data directory to an empty ClickHouse database. Most of it beside the running server; run again with the
    /// server stopped it moves the rest, compares the numbers of each website and day, and only when all are equal are events in
    /// ClickHouse from then on. Can be interrupted, and run again.
    MoveEvents(move_events::MoveEventsArgs),
    /// Put back what was stored before the last upgrade, for an earlier version. What is there now is put aside. Needs the server
    /// stopped.
    Rollback(rollback::RollbackArgs),
    /// Verify the configuration, the metadata, and every stored event. Exits with 3 when something could not be looked at.
    Check,
    /// Look for what is wrong with the installation, and say what to do about it: with the server that runs, the machine, what is
    /// stored, mail, the configuration, and the tag on a page. Exits with 0 when it is healthy, 1 with faults, 3 with warnings alone.
    Doctor(doctor::DoctorArgs),
    /// Try whether alerts reach somebody.
    #[command(subcommand)]
    Alert(alert::Command),
    /// Make events.db and the segment files belong together again: rebuild what is lost or damaged of events.db from files that
    /// are whole, save the sound parts of damaged files, and list what cannot be saved (exit code 3). Deletes nothing: what is not
    /// used goes to segments/orphaned and events.db.aside-N. Needs the server stopped.
    Repair,
    /// Ask the server of this configuration, on this machine, whether it is ready: exits with 0, or with 1 and the reason.
    Health(Server),
    /// Print every setting with its value and where it comes from.
    Config(Server),
    /// Print the API document, OpenAPI 3.1 as JSON, that the server has at /api/external/v1/openapi.json.
    Openapi,
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
            if error.exit_code() == 0 {
                return if error.print().is_ok() { 0 } else { 2 };
            }
            let message = error.render().to_string();
            eprint!("zenovay: {}", message.strip_prefix("error: ").unwrap_or(&message));
            return 2;
        }
    };
    let mut output = Output::new(cli.json);
    match cli.execute(&mut output).and_then(|()| output.finish()) {
        Ok(()) => output.exit_code(),
        Err(failure) => failure.report(),
    }
}

fn serve(config: &Config, json: bool) -> Result<(), Failure> {
    data_dir::refuse_others(&config.data_dir).map_err(Failure::new)?;
    runtime::serve(config, json).map_err(|error| Failure::new(error.told(config)))
}

impl Cli {
    fn execute(self, output: &mut Output) -> Result<(), Failure> {
        let Self { common, json, server, command } = self;
        let load = |server: ServerFlags| Config::load(&common, &server, std::env::vars_os()).map_err(Failure::new);
        if matches!(command, None | Some(Command::Serve(_) | Command::Demo(_))) {
            allocator::give_back_soon();
        }
        let command = match command {
            None => return serve(&load(server)?, json),
            Some(Command::Serve(Server { flags })) => return serve(&load(flags.or(server))?, json),
            Some(Command::Demo(Server { flags })) => {
                if common.data_dir.is_some() || common.database_url.is_some() {
                    let message =
                        "the demo has a temporary directory of its own: leave --data-dir and --database-url out";
                    return Err(Failure::usage(message));
                }
                return demo::run(load(flags.or(server))?, json);
            }
            Some(Command::Config(Server { flags })) => return config::run(&load(flags.or(server))?, output),
            Some(Command::Health(Server { flags })) => return health::run(&load(flags.or(server))?, output),
            Some(Command::Openapi) => return openapi::run(output),
            // Where websites are built there is neither a data directory nor a configuration.
            Some(Command::Sourcemaps(command)) if server.is_empty() => return sourcemaps::run(command, output),
            Some(command) => command,
        };
        if !server.is_empty() {
            return Err(Failure::usage("flags of the server have no effect on this command"));
        }
        let config = load(ServerFlags::default())?;
        data_dir::refuse_others(&config.data_dir).map_err(Failure::new)?;
        let done = match command {
            Command::User(command) => user::run(command, &config, output),
            Command::Team(command) => team::run(command, &config, output),
            Command::Website(command) => website::run(command, &config, output),
            Command::Visitor(command) => visitor::run(command, &config, output),
            Command::Key(command) => key::run(command, &config, output),
            Command::Status(command) => status::run(command, &config, output),
            Command::Backup(args) => backup::backup(args, &config, output),
            Command::Restore(args) => backup::restore(&args, &config, output),
            Command::Move(args) => move_metadata::run(&args, &config, output),
            Command::MoveEvents(args) => move_events::run(&args, &config, output),
            Command::Rollback(args) => rollback::run(&args, &config, output),
            Command::Check => check::run(&config, output),
            Command::Doctor(args) => doctor::run(args, &config, output),
            Command::Alert(command) => alert::run(&command, &config, output),
            Command::Repair => repair::run(&config, output),
            Command::Serve(_)
            | Command::Demo(_)
            | Command::Config(_)
            | Command::Health(_)
            | Command::Openapi
            | Command::Sourcemaps(_) => Ok(()),
        };
        data_dir::give_back(&config.data_dir);
        done
    }
}
