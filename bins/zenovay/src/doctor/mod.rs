//! What is wrong with an installation, and what to do about it: `zenovay doctor`, and the same for whoever runs the server in the
//! console.
//!
//! The server that runs on the data directory looks, because most of it only the server knows; the command asks it through its
//! socket. Without a server the command looks itself at what can be known then. Nothing is told of visitors but how many there were.
//!
//! | file | what is in it |
//! |---|---|
//! | `catalog.rs` | the checks, and all that they may find, with its remedy |
//! | `arrivals.rs` | what comes in: proxies, addresses, refusals, bots, websites |
//! | `machine.rs` | clock, disk, open files, names, mail, alerts |
//! | `stored.rs` | files of events, backups, data that age |
//! | `settings.rs` | settings that do nothing |
//! | `page.rs` | the tag on a live page |

mod arrivals;
mod catalog;
mod machine;
mod page;
mod settings;
mod stored;

use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Builder;
use tokio::time::timeout;
use utoipa::ToSchema;
use zenovay_domain::{Clock, Reading, SystemClock};
use zenovay_store::Metadata;

pub use self::catalog::{Check, Finding, Problem};
use crate::config::Config;
use crate::http::state::AppState;

/// How long something outside may take.
const WITHIN: Duration = Duration::from_secs(5);

/// Of so few hits nothing is concluded.
const HITS_MIN: u64 = 20;

/// What is looked at.
#[derive(Clone, Copy)]
pub struct Patient<'a> {
    /// The settings: of the server, when one runs.
    pub config: &'a Config,
    /// Users, teams, websites, when there are some that can be read.
    pub metadata: Option<&'a dyn Metadata>,
    /// Why they cannot be, when there are some.
    pub metadata_error: Option<&'a str>,
    /// The server that runs, when this is its process.
    pub server: Option<&'a AppState>,
    /// Whether another process holds the data directory, which did not answer.
    pub is_held: bool,
    /// A page to check the tag on.
    pub page: Option<&'a str>,
}

impl<'a> Patient<'a> {
    /// The installation of the server of `state`, in whose process this is, and `page` to check the tag on.
    pub fn of(state: &'a AppState, page: Option<&'a str>) -> Self {
        let metadata = Some(&*state.store);
        Self { config: &state.config, metadata, metadata_error: None, server: Some(state), is_held: false, page }
    }
}

impl std::fmt::Debug for Patient<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Patient").field("page", &self.page).finish_non_exhaustive()
    }
}

/// What a check saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// How it ended.
    pub(crate) finding: Finding,
    /// What was seen.
    pub(crate) words: String,
    /// What was found, if anything.
    pub(crate) problem: Option<Problem>,
}

impl Seen {
    fn ok(words: impl Into<String>) -> Self {
        Self { finding: Finding::Ok, words: words.into(), problem: None }
    }

    fn not_checked(why: impl Into<String>) -> Self {
        Self { finding: Finding::NotChecked, words: why.into(), problem: None }
    }

    pub(crate) fn problem(problem: Problem, words: impl Into<String>) -> Self {
        Self { finding: problem.finding(), words: words.into(), problem: Some(problem) }
    }

    /// What only a server knows.
    fn without_server() -> Self {
        Self::not_checked("Only a server that runs knows it.")
    }
}

/// What was found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Report {
    /// The worst that was found: `ok` and `note` are a healthy system.
    pub state: Finding,
    /// The version of the program that looked.
    #[schema(examples("0.1.0"))]
    pub version: &'static str,
    /// Every check, those of a group together.
    pub checks: Vec<Checked>,
}

/// How a check ended.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Checked {
    /// Its name, which does not change.
    #[schema(examples("disk"))]
    pub check: &'static str,
    /// What it belongs to.
    #[schema(examples("Machine"))]
    pub group: &'static str,
    /// How it ended.
    pub state: Finding,
    /// What was seen.
    #[schema(examples("7.2 GiB of 80.0 GiB are free (9 %)."))]
    pub seen: String,
    /// The name of what was found, which does not change; null when nothing was.
    #[schema(required = true, examples("disk_low"))]
    pub problem: Option<&'static str>,
    /// What to do about it; null when nothing was found.
    #[schema(required = true, examples("Make space, or move the data directory to a larger disk, before it is full."))]
    pub remedy: Option<&'static str>,
}

/// Looks at everything. Blocks, for some seconds at most.
pub fn examine(patient: &Patient<'_>) -> Report {
    let checked = |&check: &Check| {
        let Seen { finding, words, problem } = look(patient, check);
        Checked {
            check: check.name(),
            group: check.group(),
            state: finding,
            seen: problem.map_or_else(|| words.clone(), |problem| sentence(problem.when(), &words)),
            problem: problem.map(Problem::name),
            remedy: problem.map(Problem::remedy),
        }
    };
    let checks: Vec<Checked> = Check::ALL.iter().map(checked).collect();
    // What is not checked is no reason for worry.
    let told = checks.iter().map(|check| check.state).filter(|state| *state != Finding::NotChecked);
    Report { state: told.max().unwrap_or(Finding::Ok), version: env!("CARGO_PKG_VERSION"), checks }
}

/// What was found in general, and what was seen of it.
pub(crate) fn sentence(when: &str, words: &str) -> String {
    let mut letters = when.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}: {words}", letters.as_str())
}

/// What `check` sees. Blocks.
pub(crate) fn look(patient: &Patient<'_>, check: Check) -> Seen {
    match check {
        Check::Server => arrivals::server(patient),
        Check::ProxyHeaders => arrivals::proxy_headers(patient),
        Check::VisitorAddresses => arrivals::visitor_addresses(patient),
        Check::RefusedHosts => arrivals::refused_hosts(patient),
        Check::RefusedEvents => arrivals::refused_events(patient),
        Check::Bots => arrivals::bots(patient),
        Check::Websites => arrivals::websites(patient),
        Check::Segments => stored::segments(patient),
        Check::Merges => stored::merges(patient),
        Check::Backup => stored::backup(patient),
        Check::Clock => machine::clock(patient),
        Check::Disk => machine::disk(patient),
        Check::Inodes => machine::inodes(patient),
        Check::OpenFiles => machine::open_files(patient),
        Check::Dns => machine::dns(patient),
        Check::Mail => machine::mail(patient),
        Check::Alerts => machine::alerts(patient),
        Check::Countries => stored::countries(patient),
        Check::Agents => stored::agents(patient),
        Check::Configuration => settings::configuration(patient),
        Check::Tag => page::tag(patient),
    }
}

/// What the clock of the server says, or else that of the machine.
fn reading(patient: &Patient<'_>) -> Reading {
    patient.server.map_or_else(|| SystemClock.reading(), |server| server.clock.reading())
}

/// Waits for something outside, no longer than [`WITHIN`]. Never called on a thread that serves requests.
fn wait_for<T>(what: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let done = runtime.block_on(async { timeout(WITHIN, what).await });
    // A look-up of a name that goes on is not waited for.
    runtime.shutdown_background();
    done.unwrap_or_else(|_elapsed| Err(format!("no answer within {} seconds", WITHIN.as_secs())))
}

/// `1 hit`, `2,048 hits`.
fn counted(number: u64, what: &str) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + what.len() + 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    let plural = match (number, what.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{text} {what}{plural}")
}

/// A part of a whole in per cent, cut off.
fn per_cent(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(u64::MAX)
}

/// The first of `names`, and how many more there are.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let escaped = |letter: char| if letter == '"' { letter.to_string() } else { letter.escape_debug().to_string() };
    let shown = |name: &String| name.chars().map(escaped).collect::<String>();
    let shown = names.iter().take(SHOWN).map(shown).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(counted(1, "hit"), "1 hit");
        assert_eq!((counted(0, "hit"), counted(2, "address")), ("0 hits".to_owned(), "2 addresses".to_owned()));
        assert_eq!(counted(999, "hit"), "999 hits");
        assert_eq!(counted(1_234_567, "hit"), "1,234,567 hits");
        assert_eq!((per_cent(1, 3), per_cent(5, 0), per_cent(u64::MAX, u64::MAX)), (33, 500, 100));
        let names: Vec<String> = ["a", "b", "c", "d\n", "e"].map(str::to_owned).into();
        assert_eq!((some(&names[..2]).as_str(), some(&names).as_str()), ("a, b", "a, b, c and 2 more"));
        assert_eq!(some(&["\"http://a\"\u{7}".to_owned()]), "\"http://a\"\\u{7}");
    }

    /// Sabotage: wait for what never ends.
    #[test]
    fn what_fails_outside_is_told() {
        assert_eq!(wait_for(async { Ok(1) }), Ok(1));
        assert_eq!(wait_for(async { Err::<(), _>("no".to_owned()) }), Err("no".to_owned()));
    }
}
