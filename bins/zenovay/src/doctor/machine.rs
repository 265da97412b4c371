//! The machine, and what it reaches: clock, disk, open files, names, mail, alerts.

use std::sync::Arc;
use std::thread::available_parallelism;

use rustix::fs::statvfs;
use tokio::net::lookup_host;
use zenovay_domain::{Clock, ClockMemory, GuardedClock, SystemClock};

use super::{Patient, Problem, Seen, counted, per_cent, reading, some, wait_for};
use crate::alerts::{Channel, Webhook};
use crate::causes::with_causes;
use crate::mail::Mail;
use crate::process_figures::{open_files as files_open, open_files_max};
use crate::runtime::possible_connections;

/// What is left of something that is used up, in parts of 100.
const USED_UP_PER_CENT: u64 = 2;
/// What is left of something that will be.
const LOW_PER_CENT: u64 = 10;
/// With fewer connections for each core, visitors wait for each other.
const CONNECTIONS_MIN: usize = 500;

pub(super) fn clock(patient: &Patient<'_>) -> Seen {
    if let Some(server) = patient.server {
        let memory = server.store.clock_memory().ok().flatten();
        return judge_clock(&server.clock, memory);
    }
    let now = reading(patient).now;
    let memory = match patient.metadata.map(|metadata| metadata.clock_memory()) {
        None | Some(Ok(None)) => return Seen::not_checked(format!("It says {now} (UTC); no server has run yet.")),
        Some(Err(error)) => return Seen::not_checked(format!("What it said before cannot be read: {error}.")),
        Some(Ok(Some(memory))) => memory,
    };
    match GuardedClock::new(Arc::new(SystemClock), Some(memory)).status().doubt {
        Some(doubt) => Seen::problem(Problem::ClockWrong, format!("it {doubt}.")),
        None => Seen::ok(format!("It says {now} (UTC), as expected.")),
    }
}

/// What the clock of a server says that remembers `memory`, which says when it was believed last.
fn judge_clock(clock: &Arc<dyn Clock>, memory: Option<ClockMemory>) -> Seen {
    let reading = clock.reading();
    if reading.trusted {
        return Seen::ok(format!("It says {} (UTC), as expected.", reading.now));
    }
    // A server that starts after a long time does not expect another time than that which it is told.
    let doubt = memory.and_then(|memory| GuardedClock::new(Arc::clone(clock), Some(memory)).status().doubt);
    let words = match doubt {
        Some(doubt) => format!("it {doubt}."),
        None => format!("it says {}, and {} was expected.", reading.now, reading.steady),
    };
    Seen::problem(Problem::ClockWrong, words)
}

/// What is left of `whole`, and how it is called.
fn judge_left(left: u64, whole: u64, words: String, used_up: Problem, low: Problem) -> Seen {
    match per_cent(left, whole) {
        ..USED_UP_PER_CENT => Seen::problem(used_up, words),
        USED_UP_PER_CENT..LOW_PER_CENT => Seen::problem(low, words),
        _ => Seen::ok(words),
    }
}

pub(super) fn disk(patient: &Patient<'_>) -> Seen {
    let directory = &patient.config.data_dir;
    let disk = match statvfs(directory) {
        Ok(disk) => disk,
        Err(error) => return Seen::not_checked(format!("{} cannot be looked at: {error}.", directory.display())),
    };
    // What is kept back for root is not for a server that is not root.
    judge_disk(disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize))
}

fn judge_disk(free: u64, whole: u64) -> Seen {
    let words = format!("{} of {} are free ({} %).", size(free), size(whole), per_cent(free, whole));
    judge_left(free, whole, words, Problem::DiskFull, Problem::DiskLow)
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut size = bytes as f64 / 1_024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while size >= 1_024.0
        && let Some(next) = units.next()
    {
        (size, unit) = (size / 1_024.0, Some(next));
    }
    format!("{size:.1} {}", unit.unwrap_or(&""))
}

pub(super) fn inodes(patient: &Patient<'_>) -> Seen {
    let directory = &patient.config.data_dir;
    match statvfs(directory) {
        Ok(disk) => judge_inodes(disk.f_favail, disk.f_files),
        Err(error) => Seen::not_checked(format!("{} cannot be looked at: {error}.", directory.display())),
    }
}

fn judge_inodes(left: u64, whole: u64) -> Seen {
    // Some file systems make them as they are wanted.
    if whole == 0 {
        return Seen::ok("The disk has no limit on files.");
    }
    let words = format!("The disk may have {} more, of {whole} ({} %).", counted(left, "file"), per_cent(left, whole));
    judge_left(left, whole, words, Problem::InodesUsedUp, Problem::InodesLow)
}

pub(super) fn open_files(patient: &Patient<'_>) -> Seen {
    if patient.server.is_none() {
        return Seen::without_server();
    }
    let cores = available_parallelism().map_or(1, usize::from);
    judge_open_files(files_open(), open_files_max(), cores)
}

fn judge_open_files(open: Option<u64>, limit: Option<u64>, cores: usize) -> Seen {
    let Some(open) = open else { return Seen::not_checked("The machine has no /proc to read it from.") };
    let Some(limit) = limit else { return Seen::ok(format!("{open} are open, and there is no limit.")) };
    let connections = possible_connections(limit, cores);
    let words = format!(
        "{open} of {limit} are open ({} %); that leaves room for {connections} connections for each of {}.",
        per_cent(open, limit),
        counted(cores as u64, "core")
    );
    if per_cent(open, limit) >= 90 {
        return Seen::problem(Problem::OpenFilesUsedUp, words);
    }
    if connections < CONNECTIONS_MIN {
        return Seen::problem(Problem::OpenFilesFew, words);
    }
    Seen::ok(words)
}

pub(super) fn dns(patient: &Patient<'_>) -> Seen {
    let hosts = named_hosts(patient);
    if hosts.is_empty() {
        return Seen::ok("No setting names a host.");
    }
    let mut unknown = Vec::new();
    for (setting, host) in &hosts {
        let found = wait_for(async {
            lookup_host((host.as_str(), 443)).await.map(|mut all| all.next()).map_err(|error| error.to_string())
        });
        match found {
            Ok(Some(_)) => {}
            Ok(None) => unknown.push(format!("{host} ({setting}) has no address")),
            Err(error) => unknown.push(format!("{host} ({setting}): {error}")),
        }
    }
    if unknown.is_empty() {
        let names: Vec<String> = hosts.into_iter().map(|(_, host)| host).collect();
        return Seen::ok(format!("{} found.", some(&names)));
    }
    Seen::problem(Problem::NameUnknown, format!("{}.", some(&unknown)))
}

/// The hosts that settings name, which are not addresses.
fn named_hosts(patient: &Patient<'_>) -> Vec<(&'static str, String)> {
    let config = patient.config;
    let urls = [
        ("public_url", config.public_url.clone()),
        ("replay_bucket_endpoint", config.replay_bucket_endpoint.clone()),
        ("backup_bucket_endpoint", config.backup_bucket_endpoint.clone()),
    ];
    let hosts = urls.into_iter().filter_map(|(setting, url)| Some((setting, url?.host_str()?.to_owned())));
    let smtp = config.smtp_url.iter().map(|url| ("smtp_url", url.host().to_owned()));
    let webhook = config.alert_webhook_url.iter().map(|url| ("alert_webhook_url", url.host().to_owned()));
    let is_name = |host: &str| !host.starts_with('[') && host.parse::<std::net::IpAddr>().is_err();
    hosts.chain(smtp).chain(webhook).filter(|(_, host)| is_name(host)).collect()
}

pub(super) fn mail(patient: &Patient<'_>) -> Seen {
    let mail = match Mail::new(patient.config) {
        Ok(None) => return Seen::problem(Problem::MailNotSet, "`zenovay user reset-link` prints one."),
        Ok(Some(mail)) => mail,
        Err(error) => return Seen::problem(Problem::MailFails, format!("{error}.")),
    };
    let (host, is_in_plain) =
        patient.config.smtp_url.as_ref().map_or(("", false), |url| (url.host(), url.is_password_in_plain()));
    judge_mail(host, is_in_plain, wait_for(mail.check()))
}

fn judge_mail(host: &str, is_in_plain: bool, checked: Result<(), String>) -> Seen {
    match checked {
        Err(error) => Seen::problem(Problem::MailFails, format!("{host}: {error}.")),
        Ok(()) if is_in_plain => Seen::problem(Problem::MailInPlain, format!("{host} takes it like that.")),
        Ok(()) => Seen::ok(format!("{host} takes the connection; nothing was sent.")),
    }
}

pub(super) fn alerts(patient: &Patient<'_>) -> Seen {
    let webhook = Webhook::of(patient.config);
    let mut ways: Vec<String> = patient.config.smtp_url.iter().map(|_| "mail to the owners".to_owned()).collect();
    ways.extend(webhook.as_ref().map(|webhook| format!("the webhook at {}", webhook.host())));
    if ways.is_empty() {
        return Seen::problem(Problem::AlertsNotSet, "whoever does not read it hears of nothing.");
    }
    let last = |channel: Channel| Some(format!("{}: {}", channel.as_str(), patient.server?.alerts.trouble(channel)?));
    let failed: Vec<String> = Channel::ALL.into_iter().filter_map(last).collect();
    if !failed.is_empty() {
        return Seen::problem(Problem::AlertsFail, format!("the last one was not. {}.", failed.join("; ")));
    }
    let probed = webhook.map(|webhook| wait_for(async { webhook.probe().await.map_err(|error| with_causes(&error)) }));
    match probed {
        Some(Err(why)) => Seen::problem(Problem::AlertsFail, format!("webhook: {why}.")),
        _ => Seen::ok(format!("They are told by {}; the doctor itself sent none.", ways.join(" and "))),
    }
}

#[cfg(test)]
mod tests {
    use zenovay_domain::{ManualClock, Timestamp};

    use super::*;

    /// Sabotage: compare with a number of bytes, or take a tenth for a fiftieth.
    #[test]
    fn a_disk_is_judged_by_its_part_that_is_free() {
        let problem = |free, whole| judge_disk(free, whole).problem;
        assert_eq!((problem(1, 100), problem(0, 0)), (Some(Problem::DiskFull), Some(Problem::DiskFull)));
        assert_eq!((problem(2, 100), problem(9, 100)), (Some(Problem::DiskLow), Some(Problem::DiskLow)));
        assert_eq!(problem(10, 100), None);
        assert_eq!(judge_disk(3 << 30, 5 << 40).words, "3.0 GiB of 5.0 TiB are free (0 %).");
        assert_eq!((size(0), size(1_536)), ("0.0 KiB".to_owned(), "1.5 KiB".to_owned()));
        assert_eq!(
            (judge_inodes(1, 100).problem, judge_inodes(5, 100).problem),
            (Some(Problem::InodesUsedUp), Some(Problem::InodesLow))
        );
        assert_eq!((judge_inodes(0, 0).problem, judge_inodes(50, 100).problem), (None, None));
    }

    /// Sabotage: tell what is expected of a clock that is believed by nobody as another time.
    #[test]
    fn a_clock_in_doubt_is_told_with_the_time_that_is_known_to_be_right() {
        const DAY_MS: i64 = 24 * 3_600_000;
        let last: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
        let machine = Arc::new(ManualClock::new(last.plus_millis(21 * DAY_MS)));
        let memory = Some(ClockMemory::new(Some(last), None));
        let clock: Arc<dyn Clock> = Arc::new(GuardedClock::new(machine.clone(), memory));
        let seen = judge_clock(&clock, memory);
        assert_eq!(seen.problem, Some(Problem::ClockWrong));
        let expected = "it says 2026-06-22T12:00:00.000Z, 21 days ahead of the 2026-06-01T12:00:00.000Z that is known to be right.";
        assert_eq!(seen.words, expected);
        // One that is set while the server runs, by less than a machine may be off.
        let memory = Some(ClockMemory::new(Some(machine.now()), None));
        let clock: Arc<dyn Clock> = Arc::new(GuardedClock::new(machine.clone(), memory));
        assert_eq!(judge_clock(&clock, memory).problem, None);
        machine.step_ms(DAY_MS);
        let seen = judge_clock(&clock, memory);
        assert!(
            seen.words.contains("says 2026-06-23T12:00:00.000Z, and 2026-06-22T12:00:00.000Z was expected"),
            "{seen:?}"
        );
    }

    /// Sabotage: look how the password goes before it is known whether the server answers.
    #[test]
    fn a_password_in_plain_is_told_where_mail_works() {
        let problem = |is_in_plain, checked| judge_mail("mail.example", is_in_plain, checked).problem;
        assert_eq!((problem(false, Ok(())), problem(true, Ok(()))), (None, Some(Problem::MailInPlain)));
        assert_eq!(problem(true, Err("no".to_owned())), Some(Problem::MailFails));
    }

    #[test]
    fn open_files_are_judged_by_what_they_leave_for_connections() {
        let problem = |open, limit, cores| judge_open_files(Some(open), Some(limit), cores).problem;
        assert_eq!(problem(40, 1_024, 2), Some(Problem::OpenFilesFew));
        assert_eq!(problem(950, 1_024, 1), Some(Problem::OpenFilesUsedUp));
        assert_eq!(problem(40, 65_536, 64), None);
        assert_eq!(judge_open_files(Some(40), None, 2).problem, None);
        assert_eq!(judge_open_files(None, None, 2).problem, None);
    }
}
