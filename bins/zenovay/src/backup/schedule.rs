//! Backups that the server makes by itself.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use zenovay_domain::{Clock, Reading, Timestamp};

use super::{BackupError, Backups, Made, Overview, place};
use crate::config::{BackupPlace, Config};
use crate::runtime::ServeError;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// How often is looked whether a backup is due.
const TICK: Duration = Duration::from_secs(5);
/// The date of a backup may be ahead by so much: clocks of two machines differ.
const FROM_AHEAD_MS: i64 = HOUR_MS;
/// After so long one that failed is tried again.
const AGAIN: Duration = Duration::from_secs(600);

/// When backups are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupSchedule {
    /// Every day at so many milliseconds after midnight, in UTC.
    Daily(i64),
    /// So many milliseconds after the one before.
    Every(i64),
}

impl BackupSchedule {
    /// Reads `03:30` or `6h`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |digits: &str, most: i64| {
            let is_short = (1..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<i64>().ok().filter(|number| is_short && *number <= most)
        };
        if let Some(hours) = text.strip_suffix('h') {
            return number(hours, 8_760).filter(|hours| *hours > 0).map(|hours| Self::Every(hours * HOUR_MS));
        }
        let (hour, minute) = text.split_once(':').filter(|(hour, minute)| (hour.len(), minute.len()) == (2, 2))?;
        Some(Self::Daily(number(hour, 23)? * HOUR_MS + number(minute, 59)? * 60_000))
    }

    /// Whether a backup is due at `now`, by a time that does not jump, when the newest is of `last`. Of one whose date is to come
    /// nobody knows when it was made, for a clock was wrong then.
    fn is_due(self, last: Option<Timestamp>, now: Timestamp) -> bool {
        last.is_none_or(|last| last > now.plus_millis(FROM_AHEAD_MS) || now >= self.after(last))
    }

    /// When the next backup is due after one of `last`.
    pub fn after(self, last: Timestamp) -> Timestamp {
        match self {
            Self::Every(ms) => last.plus_millis(ms),
            Self::Daily(at) => {
                let days = (last.as_millis() - at).div_euclid(DAY_MS) + 1;
                Timestamp::from_millis(days.saturating_mul(DAY_MS).saturating_add(at))
            }
        }
    }
}

impl std::fmt::Display for BackupSchedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Daily(at) => write!(f, "{:02}:{:02}", at / HOUR_MS, at % HOUR_MS / 60_000),
            Self::Every(ms) => write!(f, "{}h", ms / HOUR_MS),
        }
    }
}

/// Tells the metrics and the log of a backup.
fn tell(made: &Made, took: Duration) {
    let Made { path, manifest, copied_bytes, removed, not_removed, mended, not_mended } = made;
    metrics::counter!("zenovay_backups_total", "outcome" => "made").increment(1);
    metrics::counter!("zenovay_backup_copied_bytes_total").increment(*copied_bytes);
    metrics::histogram!("zenovay_backup_duration_seconds").record(took);
    let (backup, rows, removed) = (path.display(), manifest.rows, removed.len());
    tracing::info!(%backup, rows, copied_bytes, removed, "backup made");
    if let Some(why) = not_removed {
        tracing::error!(%backup, why, "older backups cannot be removed, and are the next time");
    }
    for file in mended {
        tracing::warn!(%backup, file, "a file of earlier backups was damaged where it is, and is sent again: does that disk fail?");
    }
    for file in not_mended {
        tracing::error!(%backup, file, "a file of earlier backups is damaged, and the server has it no more: they can be restored in part");
    }
    for damage in &manifest.damaged {
        tracing::error!(%backup, damage, "a file was damaged when the backup was made: it replaces no other backup");
    }
}

/// Tells the metrics when the last backup was made.
fn note_last(at: Timestamp) {
    let seconds = at.as_millis().div_euclid(1_000);
    metrics::gauge!("zenovay_last_backup_timestamp_seconds").set(seconds as f64);
}

/// The thread that makes them.
pub struct Scheduled {
    stop: Sender<()>,
    thread: JoinHandle<()>,
    backups: Arc<Backups>,
}

impl Scheduled {
    /// Starts the thread, when `config` has a place of backups.
    ///
    /// # Errors
    /// When its settings do not go together, or the machine gives no thread.
    pub fn start(config: &Config, backups: &Arc<Backups>, clock: Arc<dyn Clock>) -> Result<Option<Self>, ServeError> {
        let Some(place) = config.backup_dir.clone() else { return Ok(None) };
        // Nothing is asked of it: it may be out of reach for a while, but not without a key.
        drop(place::open(&place, config, None).map_err(|error| ServeError::Backups(Box::new(error)))?);
        let config = config.clone();
        let schedule = config.backup_schedule;
        let keep = config.backup_keep.as_usize();
        let (stop, stopped) = channel::<()>();
        let theirs = Arc::clone(backups);
        let work = move || {
            let mut next_try = Instant::now();
            // When the last one was made, once that is known; a place may have none.
            let mut last: Option<Option<Timestamp>> = None;
            loop {
                if Instant::now() >= next_try {
                    if last.is_none() {
                        match last_of(&place, &config) {
                            Ok(found) => last = Some(found),
                            Err(error) => {
                                tell_failed(&place, &error);
                                next_try = Instant::now() + AGAIN;
                            }
                        }
                        if let Some(Some(at)) = last {
                            note_last(at);
                        }
                    }
                    let reading = clock.reading();
                    let now = reading.steady;
                    if last.is_some_and(|last| schedule.is_due(last, now)) {
                        match theirs.make_due(&place, kept(&reading, keep)) {
                            // Not by its date, which is of the clock that may be wrong: the next would be due at once.
                            Ok(_) => last = Some(Some(now)),
                            // Another one is being made, which may be the one that is due.
                            Err(BackupError::Running(_)) => {}
                            Err(_) => next_try = Instant::now() + AGAIN,
                        }
                    }
                }
                if stopped.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("backup".to_owned()).spawn(work)?;
        Ok(Some(Self { stop, thread, backups: Arc::clone(backups) }))
    }

    /// Ends what is being made, and the thread.
    pub fn stop(self) {
        self.backups.cancel();
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("backups stopped before");
        }
    }
}

/// How many backups stay when one is made at `reading`. Which are the old ones is told by when they were due: while the clock is in doubt
/// all stay.
fn kept(reading: &Reading, keep: usize) -> Option<usize> {
    reading.trusted.then_some(keep)
}

/// When the newest backup at `place` was made.
fn last_of(place: &BackupPlace, config: &Config) -> Result<Option<Timestamp>, BackupError> {
    let newest = Overview::of(place, config, None)?.newest;
    Ok(newest.and_then(|newest| newest.manifest.created_at.parse().ok()))
}

/// Tells the metrics and the log that no backup was made.
fn tell_failed(place: &BackupPlace, error: &BackupError) {
    metrics::counter!("zenovay_backups_total", "outcome" => "failed").increment(1);
    tracing::error!(%place, %error, "no backup was made");
}

impl Backups {
    /// [`make`](Self::make), with a word to the log and the metrics about how it ended.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn make_told(&self, place: &BackupPlace, keep: Option<usize>, is_gentle: bool) -> Result<Made, BackupError> {
        let started = Instant::now();
        self.told(place, started, self.make(place, keep, is_gentle))
    }

    /// The same of one that is due in a place that may have had some before.
    fn make_due(&self, place: &BackupPlace, keep: Option<usize>) -> Result<Made, BackupError> {
        let started = Instant::now();
        self.told(place, started, self.expect_former(place).and_then(|()| self.make(place, keep, true)))
    }

    fn told(
        &self,
        place: &BackupPlace,
        started: Instant,
        made: Result<Made, BackupError>,
    ) -> Result<Made, BackupError> {
        match &made {
            Ok(made) => {
                let mut failed = self.failed.lock();
                if failed.as_ref().is_some_and(|(failed, _)| failed == place) {
                    *failed = None;
                }
                drop(failed);
                // One that is made elsewhere does not stand for those that the server is to make.
                if self.config.backup_dir.as_ref() == Some(place) {
                    if let Err(error) = self.note_place(place) {
                        tracing::warn!(%error, "that there are backups cannot be noted");
                    }
                    if let Ok(at) = made.manifest.created_at.parse::<Timestamp>() {
                        note_last(at);
                    }
                }
                tell(made, started.elapsed());
            }
            Err(error) => {
                // One that is being made says by itself how it ended.
                if !matches!(error, BackupError::Running(_)) {
                    *self.failed.lock() = Some((place.clone(), error.to_string()));
                }
                tell_failed(place, error);
            }
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_schedule_is_a_time_of_day_or_a_number_of_hours() {
        for text in ["03:30", "00:00", "23:59", "1h", "48h"] {
            assert_eq!(BackupSchedule::parse(text).unwrap().to_string(), text);
        }
        for wrong in
            ["", "h", "0h", "3:30", "24:00", "12:60", "-1h", "+1h", "1.5h", "99999h", "12:5", "ab:cd", "6", "é1h"]
        {
            assert_eq!(BackupSchedule::parse(wrong), None, "{wrong}");
        }
    }

    /// Sabotage: remove whatever the clock says.
    #[test]
    fn no_backup_is_removed_by_a_clock_in_doubt() {
        let now = at("2026-06-13T12:00:00Z");
        let mut reading = Reading::believed(now);
        assert_eq!(kept(&reading, 7), Some(7));
        reading.trusted = false;
        assert_eq!(kept(&reading, 7), None);
    }

    /// Sabotage: leave out what is to come.
    #[test]
    fn a_backup_of_a_date_to_come_holds_no_other_up() {
        let daily = BackupSchedule::parse("03:30").unwrap();
        let now = at("2026-06-13T12:00:00Z");
        assert!(daily.is_due(None, now) && daily.is_due(Some(at("2028-06-13T03:30:00Z")), now));
        assert!(daily.is_due(Some(at("2026-06-13T03:29:00Z")), now));
        assert!(!daily.is_due(Some(at("2026-06-13T03:31:00Z")), now));
        assert!(!daily.is_due(Some(at("2026-06-13T12:59:00Z")), now), "a clock that is a little ahead");
    }

    #[test]
    fn the_next_backup_is_the_first_time_of_day_after_the_last_or_hours_later() {
        let daily = BackupSchedule::parse("03:30").unwrap();
        assert_eq!(daily.after(at("2026-06-13T03:29:59Z")), at("2026-06-13T03:30:00Z"));
        assert_eq!(daily.after(at("2026-06-13T03:30:00Z")), at("2026-06-14T03:30:00Z"));
        assert_eq!(daily.after(at("2026-06-13T23:00:00Z")), at("2026-06-14T03:30:00Z"));
        let every = BackupSchedule::parse("6h").unwrap();
        assert_eq!(every.after(at("2026-06-13T23:00:00Z")), at("2026-06-14T05:00:00Z"));
    }
}
