//! `zenovay visitor`.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;
use zenovay_auth::Target;
use zenovay_domain::WebsiteId;
use zenovay_ingest::VisitorHasher;
use zenovay_query::Budget;

use super::context;
use super::output::{Failure, Output, plain};
use crate::config::Config;
use crate::control::{self, Answer, Request};
use crate::data_dir::DataDirError;
use crate::runtime::{ServeError, Stores};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Remove everything that is stored of visitors, also from files. Returns when it is gone.
    Erase {
        #[command(flatten)]
        website: Website,
        /// The visitors: ids as answers have them (16 hexadecimal digits), or as the website sent them. An id that the website
        /// sent and that looks like one of ours is written `client:ID`.
        #[arg(required = true, value_name = "VISITOR_ID")]
        visitors: Vec<String>,
        /// Confirm; this cannot be undone.
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Print everything that is stored of a visitor, as JSON: `user`, `sessions`, `pageviews`, `events`.
    Export {
        #[command(flatten)]
        website: Website,
        /// The visitor, named as for `erase`.
        #[arg(value_name = "VISITOR_ID")]
        visitor: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Website {
    /// The website.
    #[arg(value_name = "WEBSITE")]
    id: WebsiteId,
}

pub(super) fn run(command: Command, config: &Config, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Erase { website, visitors, yes: _ } => {
            let count = visitors.len();
            let result = ask(config, website.id, Request::Erase { website: website.id, visitors })?;
            let store = context::open(config)?;
            let website = context::website(&*store, website.id)?;
            let target = Target::Website { id: website.id, team_id: website.team_id };
            context::record(&*store, "visitors.erase", target, None, Vec::new(), &[("visitors", &count)])?;
            let not_found: Vec<String> = result["not_found"].as_array().into_iter().flatten().map(plain).collect();
            output.result(&result, || erased_words(count - not_found.len(), &not_found));
        }
        Command::Export { website, visitor } => {
            let result = ask(config, website.id, Request::Export { website: website.id, visitor })?;
            // A document either way.
            output.result(&result, || format!("{result:#}\n"));
        }
    }
    Ok(())
}

/// What is said when something was found of `found` visitors, and nothing of others.
fn erased_words(found: usize, not_found: &[String]) -> String {
    let erased = match found {
        0 => None,
        1 => Some("1 visitor erased".to_owned()),
        _ => Some(format!("{found} visitors erased")),
    };
    let nothing =
        (!not_found.is_empty()).then(|| format!("nothing was found of {}: is the id right?", not_found.join(", ")));
    erased.into_iter().chain(nothing).collect::<Vec<_>>().join("; ") + "\n"
}

/// Lets the server that runs on the data directory do what `request` asks for, or does it when none runs.
fn ask(config: &Config, website: WebsiteId, request: Request) -> Result<Value, Failure> {
    context::website(&*context::open(config)?, website)?;
    let answer = match Stores::open(config) {
        Ok(stores) => alone(config, &stores, &request)?,
        Err(ServeError::DataDir(DataDirError::Held(_))) => {
            let asked = control::ask(&config.data_dir, &request);
            asked.map_err(|error| {
                let directory = config.data_dir.display();
                Failure::new(format_args!(
                    "the server that runs on {directory} did not answer ({error}): try again, or stop it first"
                ))
            })?
        }
        Err(error) => return Err(Failure::new(error)),
    };
    match answer {
        Answer::Done(result) => Ok(result),
        Answer::Failed(why) => Err(Failure::new(why)),
    }
}

fn alone(config: &Config, stores: &Stores, request: &Request) -> Result<Answer, Failure> {
    let keepers = stores.keepers();
    let budget = Budget::new(Duration::from_secs(config.query_timeout_seconds.get()), config.query_memory_bytes());
    let now = zenovay_domain::Clock::reading(&*stores.clock).steady;
    let hasher = VisitorHasher::open(&config.data_dir, now);
    let hasher = hasher.map_err(|error| Failure::new(ServeError::Salts(error)))?;
    let known = |website, sent: &str| hasher.known_visitor(website, sent);
    Ok(control::answer(request, &keepers, &budget, &known))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: count those of whom nothing was found.
    #[test]
    fn of_whom_nothing_was_found_nobody_says_that_it_is_erased() {
        let nobody = ["x".to_owned(), "y".to_owned()];
        assert_eq!(erased_words(1, &[]), "1 visitor erased\n");
        assert_eq!(erased_words(2, &nobody[..1]), "2 visitors erased; nothing was found of x: is the id right?\n");
        assert_eq!(erased_words(0, &nobody), "nothing was found of x, y: is the id right?\n");
    }
}
