//! What is stored, and the data that come with the program: files of events, backups, countries, agents.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zenovay_domain::Timestamp;
use zenovay_events::{DeliveryStats, StoreStats};
use zenovay_ingest::{AGENTS_AS_OF, GeoDatabase};

use super::{Patient, Problem, Seen, WITHIN, counted, reading, some};
use crate::backup::{BackupSchedule, Listed, Overview};
use crate::causes::with_causes;
use crate::config::BackupPlace;
use crate::moving::MOVING;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Data are old after so long.
const OLD_MS: i64 = 366 * DAY_MS;
/// So many files there may be of however few rows: merging leaves some of each size.
const SEGMENTS_MAX: u64 = 100;
/// So many rows there are in a file that is merged with no other.
const ROWS_OF_A_FILE: u64 = 1_000_000;

pub(super) fn segments(patient: &Patient<'_>) -> Seen {
    let Some(server) = patient.server else {
        return Seen::not_checked("`zenovay check` reads every file while no server runs.");
    };
    let (damages, stats) = (server.events.damages(), server.events.stats());
    if !damages.is_empty() {
        let all = counted(stats.segments, "file");
        return Seen::problem(Problem::SegmentDamaged, format!("{} of {all}: {}.", damages.len(), some(&damages)));
    }
    if let Some(delivery) = stats.delivery {
        return judge_delivery(&delivery, stats.segment_rows);
    }
    Seen::ok(format!(
        "{} with {}, none known to be damaged.",
        counted(stats.segments, "file"),
        counted(stats.segment_rows, "row")
    ))
}

pub(super) fn merges(patient: &Patient<'_>) -> Seen {
    if patient.config.data_dir.join(MOVING).exists() {
        return Seen::problem(Problem::EventsMoving, "The data directory has what is not moved, and all that was.");
    }
    patient.server.map_or_else(Seen::without_server, |server| judge_merges(&server.events.stats()))
}

/// What is told of events in ClickHouse, whose files are not ours to look at.
fn judge_delivery(delivery: &DeliveryStats, rows: u64) -> Seen {
    let waiting = match delivery.batches {
        1 => "1 batch".to_owned(),
        batches => format!("{batches} batches"),
    };
    if !delivery.is_reachable {
        let since = delivery.oldest.map_or_else(String::new, |oldest| format!(" since {oldest}"));
        return Seen::problem(
            Problem::ClickHouseAway,
            format!(
                "{waiting} of events wait in the spool{since}, {} of {} bytes.",
                delivery.bytes, delivery.bytes_max
            ),
        );
    }
    Seen::ok(format!("{} in ClickHouse; {waiting} on the way.", counted(rows, "row")))
}

fn judge_merges(stats: &StoreStats) -> Seen {
    if stats.delivery.is_some() {
        return Seen::ok("Files of events are those of ClickHouse, which merges them.");
    }
    let words = format!("{} in {}.", counted(stats.segment_rows, "row"), counted(stats.segments, "file"));
    if stats.segments > SEGMENTS_MAX + stats.segment_rows / ROWS_OF_A_FILE {
        return Seen::problem(Problem::MergesBehind, words);
    }
    Seen::ok(words)
}

pub(super) fn backup(patient: &Patient<'_>) -> Seen {
    let Some(dir) = &patient.config.backup_dir else {
        return Seen::problem(Problem::BackupNotSet, "of those that are made by other means nothing is known.");
    };
    let Overview { finished, newest, unreadable, mut unfinished } =
        match Overview::of(dir, patient.config, Some(WITHIN)) {
            Ok(found) => found,
            Err(error) => return Seen::problem(Problem::BackupUnreadable, format!("{error}.")),
        };
    if patient.server.is_some_and(|server| server.backups.is_running()) {
        // It is being made.
        unfinished.clear();
    }
    let broken: Vec<String> =
        unreadable.into_iter().map(|one| format!("{}: {}", one.path.display(), one.problem)).collect();
    let Some(newest) = &newest else {
        let words = match dir {
            BackupPlace::Dir(path) if !path.exists() => format!("{dir} is not there: is its disk mounted?"),
            _ if !broken.is_empty() => format!("none in {dir} can be read: {}.", some(&broken)),
            _ if unfinished.is_empty() => format!("none in {dir}."),
            _ => format!("{dir} has {} alone, which was not finished.", some(&unfinished)),
        };
        return Seen::problem(Problem::BackupMissing, words);
    };
    if !broken.is_empty() {
        let made_at = &newest.manifest.created_at;
        return Seen::problem(Problem::BackupBroken, format!("{}; one before it is of {made_at}.", some(&broken)));
    }
    let count = counted(finished, "backup");
    let now = reading(patient).steady;
    let mut seen = judge_backup(newest, &count, patient.config.backup_schedule, now);
    if let Some(elsewhere) = &newest.manifest.elsewhere {
        let database = &elsewhere.clickhouse;
        let words =
            format!("It has no events: whether the ClickHouse database {database} is backed up is not known here.");
        seen.words = format!("{} {words}", seen.words);
    }
    if seen.problem.is_some() {
        return seen;
    }
    if let Some(why) = patient.server.and_then(|server| server.backups.last_failure(dir)) {
        let newest = &newest.manifest.created_at;
        return Seen::problem(Problem::BackupFailed, format!("{why}. The last one that was finished is of {newest}."));
    }
    if !unfinished.is_empty() {
        let words = format!(
            "{} in {dir}; the last one that was finished is of {}.",
            some(&unfinished),
            newest.manifest.created_at
        );
        return Seen::problem(Problem::BackupUnfinished, words);
    }
    if let BackupPlace::Dir(path) = dir
        && device(path).is_some_and(|disk| device(&patient.config.data_dir) == Some(disk))
    {
        return Seen::problem(Problem::BackupSameDisk, format!("{dir} is. {}", seen.words));
    }
    seen
}

fn device(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|found| found.dev())
}

fn judge_backup(newest: &Listed, count: &str, schedule: BackupSchedule, now: Timestamp) -> Seen {
    let created_at = &newest.manifest.created_at;
    let Ok(at) = created_at.parse::<Timestamp>() else {
        return Seen::problem(Problem::BackupMissing, format!("{created_at:?} is not the time of a backup."));
    };
    let words = format!("{count}; the last one was made at {at}, {} ago.", for_people(now.millis_since(at)));
    if !newest.manifest.damaged.is_empty() {
        let damaged = some(&newest.manifest.damaged);
        return Seen::problem(Problem::BackupDamaged, format!("{words} Damaged when it was made: {damaged}."));
    }
    // Two are missing: one may be in the making.
    if now >= schedule.after(schedule.after(at)) {
        return Seen::problem(Problem::BackupOld, format!("{words} `backup_schedule` is {schedule}."));
    }
    Seen::ok(words)
}

/// A time in hours, or in days when it is long; none when it is in the future.
fn for_people(ms: i64) -> String {
    match ms.max(0).unsigned_abs() / HOUR_MS.unsigned_abs() {
        hours @ ..48 => counted(hours, "hour"),
        hours => counted(hours / 24, "day"),
    }
}

pub(super) fn countries(patient: &Patient<'_>) -> Seen {
    let path = patient.config.geo_database.as_deref();
    // Read anew: what the server has in memory was read from the same file when it started.
    let database = path.map_or_else(GeoDatabase::embedded, GeoDatabase::open);
    let name = path.map_or_else(|| "The one that is built in".to_owned(), |path| path.display().to_string());
    match database {
        Ok(database) => judge_age(&name, database.built_at(), reading(patient).now, Problem::CountriesOld),
        Err(error) => Seen::problem(Problem::CountriesUnusable, format!("{}.", with_causes(&error))),
    }
}

pub(super) fn agents(patient: &Patient<'_>) -> Seen {
    let of = format!("{AGENTS_AS_OF}T00:00:00Z").parse().ok();
    judge_age("The lists that are built in", of, reading(patient).now, Problem::AgentsOld)
}

fn judge_age(name: &str, of: Option<Timestamp>, now: Timestamp, old: Problem) -> Seen {
    let Some(of) = of else { return Seen::not_checked(format!("{name} does not say when it was made.")) };
    let day = of.to_string();
    let day = day.split('T').next().unwrap_or_default();
    let words = format!("{name}, of {day}: {} old.", for_people(now.millis_since(of)));
    if now.millis_since(of) >= OLD_MS { Seen::problem(old, words) } else { Seen::ok(words) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::backup::{BlobTotals, Manifest};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn listed(created_at: &str, damaged: &[&str]) -> Listed {
        let manifest = Manifest {
            format: 1,
            version: "0.1.0".to_owned(),
            formats: BTreeMap::new(),
            created_at: created_at.to_owned(),
            store: String::new(),
            rows: 0,
            websites: Vec::new(),
            tables: BTreeMap::new(),
            recordings: BlobTotals::default(),
            files: Vec::new(),
            segments: Vec::new(),
            damaged: damaged.iter().map(|name| (*name).to_owned()).collect(),
            elsewhere: None,
        };
        Listed { path: PathBuf::from("backup-1"), manifest }
    }

    /// Sabotage: wait for one interval, or count from midnight.
    #[test]
    fn a_backup_is_old_when_two_are_missing() {
        let now = at("2026-06-13T12:00:00Z");
        let problem = |schedule: &str, made: &str| {
            judge_backup(&listed(made, &[]), "1 backup", BackupSchedule::parse(schedule).unwrap(), now).problem
        };
        assert_eq!(problem("03:30", "2026-06-12T03:30:00Z"), None, "that of today may be in the making");
        assert_eq!(problem("03:30", "2026-06-12T03:29:00Z"), Some(Problem::BackupOld));
        assert_eq!(problem("6h", "2026-06-13T00:00:01Z"), None);
        assert_eq!(problem("6h", "2026-06-13T00:00:00Z"), Some(Problem::BackupOld));
        let daily = BackupSchedule::Daily(0);
        assert_eq!(
            judge_backup(&listed("2026-06-13T03:30:00Z", &["a"]), "1 backup", daily, now).problem,
            Some(Problem::BackupDamaged)
        );
        assert_eq!(
            judge_backup(&listed("yesterday", &[]), "1 backup", daily, now).problem,
            Some(Problem::BackupMissing)
        );
    }

    #[test]
    fn data_are_old_after_a_year() {
        let of = Some(at("2025-06-01T00:00:00Z"));
        let problem = |now: &str| judge_age("x", of, at(now), Problem::AgentsOld).problem;
        assert_eq!(problem("2026-06-01T23:59:59Z"), None);
        assert_eq!(problem("2026-06-02T00:00:00Z"), Some(Problem::AgentsOld));
        assert_eq!(problem("2020-01-01T00:00:00Z"), None, "the clock has a check of its own");
        assert_eq!(judge_age("x", None, at("2026-06-01T00:00:00Z"), Problem::AgentsOld).problem, None);
    }

    #[test]
    fn times_are_told_in_hours_or_days() {
        assert_eq!((for_people(-1), for_people(HOUR_MS)), ("0 hours".to_owned(), "1 hour".to_owned()));
        assert_eq!((for_people(47 * HOUR_MS), for_people(2 * DAY_MS)), ("47 hours".to_owned(), "2 days".to_owned()));
    }

    #[test]
    fn many_files_of_few_rows_are_not_merged() {
        let stats = |segments, segment_rows| {
            let mut stats = StoreStats::default();
            (stats.segments, stats.segment_rows) = (segments, segment_rows);
            judge_merges(&stats).problem
        };
        assert_eq!((stats(100, 5), stats(150, 60_000_000)), (None, None));
        assert_eq!((stats(101, 5), stats(161, 60_000_000)), (Some(Problem::MergesBehind), Some(Problem::MergesBehind)));
    }
}
