//! Instants, ranges of them, and the clock. Everything that needs the time is handed a [`Clock`].

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// An instant: milliseconds since 1970-01-01T00:00:00Z. Any `i64` is valid here;
/// the range that can be written as text is chrono's (years −262143 to 262142).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This instant moved by `millis` milliseconds, held at the ends of the range instead of wrapping.
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to `self`; negative when `earlier` is later.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This instant as a chrono date and time; instants outside chrono's range become its nearest end.
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or(if self.0 < 0 {
            DateTime::<Utc>::MIN_UTC
        } else {
            DateTime::<Utc>::MAX_UTC
        })
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at.timestamp_millis())
    }
}

/// ISO-8601 in UTC with milliseconds and `Z`, the form on the wire (SPEC B1).
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// A half-open range of instants: `from` is in it, `to` is not. Every range in zenovay is one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeRange {
    /// The first instant in the range.
    pub from: Timestamp,
    /// The first instant after the range.
    pub to: Timestamp,
}

impl TimeRange {
    /// The range from `from` up to, not including, `to`. A `to` before `from` gives the empty range at `from`.
    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to: to.max(from) }
    }

    /// Whether `at` is in the range.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }

    /// The length in milliseconds, never negative.
    pub fn duration_ms(&self) -> i64 {
        self.to.millis_since(self.from)
    }
}

/// What a clock said at one moment, and what is thought of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What the clock says: the time of what happens now.
    pub now: Timestamp,
    /// The same without steps that may be a mistake: what days and months are counted by, and what is forgotten by.
    pub steady: Timestamp,
    /// Whether `now` is believed. Nothing is removed for good by a reading that is not.
    pub trusted: bool,
}

/// Where the time comes from. Passed in, so that tests move it instead of waiting for it.
pub trait Clock: Send + Sync {
    /// The present instant. May jump when the machine's clock is set.
    fn now(&self) -> Timestamp {
        self.now_and_uptime().0
    }

    /// The present instant, and the milliseconds since a moment that nobody moves, the time in which the machine slept
    /// included. The second tells a step of the first.
    fn now_and_uptime(&self) -> (Timestamp, i64);

    /// The present instant with a judgement. Clocks believe themselves, but for [`crate::GuardedClock`].
    fn reading(&self) -> Reading {
        let now = self.now();
        Reading { now, steady: now, trusted: true }
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// Goes on while the machine sleeps where the system has such a clock.
#[cfg(target_os = "linux")]
const UPTIME: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const UPTIME: ClockId = ClockId::Monotonic;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::from(Utc::now())
    }

    fn now_and_uptime(&self) -> (Timestamp, i64) {
        let uptime = clock_gettime(UPTIME);
        (self.now(), uptime.tv_sec.saturating_mul(1_000).saturating_add(uptime.tv_nsec / 1_000_000))
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct ManualClock(Mutex<(Timestamp, i64)>);

impl ManualClock {
    /// A clock standing at `at`.
    pub fn new(at: Timestamp) -> Self {
        Self(Mutex::new((at, 0)))
    }

    /// Moves to the time when it is `at`, which may be earlier than now.
    pub fn set(&self, at: Timestamp) {
        let mut time = self.time();
        time.1 += at.millis_since(time.0);
        time.0 = at;
    }

    /// Lets `millis` milliseconds pass; negative goes back in time.
    pub fn advance_ms(&self, millis: i64) {
        let mut time = self.time();
        *time = (time.0.plus_millis(millis), time.1 + millis);
    }

    /// Sets the clock `millis` milliseconds ahead of what it said, or behind it, while no time passes.
    pub fn step_ms(&self, millis: i64) {
        let mut time = self.time();
        time.0 = time.0.plus_millis(millis);
    }

    fn time(&self) -> MutexGuard<'_, (Timestamp, i64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now_and_uptime(&self) -> (Timestamp, i64) {
        *self.time()
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn now_and_uptime(&self) -> (Timestamp, i64) {
        (**self).now_and_uptime()
    }

    fn reading(&self) -> Reading {
        (**self).reading()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_half_open() {
        let range = TimeRange::new(Timestamp(10), Timestamp(20));
        assert!(range.contains(Timestamp(10)));
        assert!(range.contains(Timestamp(19)));
        assert!(!range.contains(Timestamp(20)));
        assert_eq!(TimeRange::new(Timestamp(5), Timestamp(1)).duration_ms(), 0);
    }

    #[test]
    fn the_wire_form_has_milliseconds_and_z() {
        assert_eq!(Timestamp(1_781_308_800_000).to_string(), "2026-06-13T00:00:00.000Z");
    }
}
