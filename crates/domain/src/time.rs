//! Instants, ranges of them, and the clock. Everything that needs the time is handed a [`Clock`].

use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// An instant: milliseconds since 1970-01-01T00:00:00Z. Any `i64` is valid here; as a string it is held between the years
/// −9999 and 9999.
///
/// With the feature `zones` it is read from RFC 3339 (years 0 to 9999) and written as it stands on the wire: in UTC, with
/// milliseconds and `Z`. Arithmetic with a [`Duration`] counts whole milliseconds and stops at the ends of the range instead of wrapping.
///
/// ```
/// # #[cfg(feature = "zones")] {
/// use std::time::Duration;
/// use zenovay_domain::Timestamp;
///
/// let at: Timestamp = "2026-06-13T14:30:00+02:00".parse()?;
/// assert_eq!((at + Duration::from_secs(90)).to_string(), "2026-06-13T12:31:30.000Z");
/// assert_eq!(at.as_millis(), 1_781_353_800_000);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Before every other instant.
    pub const MIN: Self = Self(i64::MIN);

    /// After every other instant.
    pub const MAX: Self = Self(i64::MAX);

    /// The instant `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This instant moved by `millis` milliseconds, held at the ends of the range instead of wrapping.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to `self`; negative when `earlier` is later.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Milliseconds of `duration`, held at the end of the range.
fn whole_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(duration)))
    }
}

impl AddAssign<Duration> for Timestamp {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl SubAssign<Duration> for Timestamp {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

/// Cut to the millisecond, held at the ends of the range.
impl From<SystemTime> for Timestamp {
    fn from(at: SystemTime) -> Self {
        match at.duration_since(UNIX_EPOCH) {
            Ok(since) => Self(whole_millis(since)),
            Err(before) => {
                // Down, as after 1970: an instant never lies in the future of the time that it was made from.
                let before = before.duration();
                let is_whole = before.subsec_nanos() % 1_000_000 == 0;
                Self(0i64.saturating_sub(whole_millis(before)).saturating_sub(i64::from(!is_whole)))
            }
        }
    }
}

/// A half-open range of instants: `from` is in it, `to` is not. Every range in zenovay is one of these.
///
/// ```
/// use zenovay_domain::{TimeRange, Timestamp};
///
/// let [from, to] = ["2026-06-13T00:00:00Z", "2026-06-14T00:00:00Z"].map(|at| at.parse::<Timestamp>());
/// let day = TimeRange::new(from?, to?);
/// assert!(day.contains(day.from) && !day.contains(day.to));
/// assert_eq!(day.duration_ms(), 86_400_000);
/// # Ok::<(), zenovay_domain::InvalidTime>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "a range has two ends")]
pub struct TimeRange {
    /// The first instant in the range.
    pub from: Timestamp,
    /// The first instant after the range.
    pub to: Timestamp,
}

impl TimeRange {
    /// All time, but for the last millisecond that can be told, [`Timestamp::MAX`], which is in no range.
    pub const ALL: Self = Self { from: Timestamp::MIN, to: Timestamp::MAX };

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
        self.to.millis_since(self.from).max(0)
    }
}

/// What a clock said at one moment, and what is thought of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// What the clock says: the time of what happens now.
    pub now: Timestamp,
    /// The same without steps that may be a mistake: what days and months are counted by, and what is forgotten by.
    pub steady: Timestamp,
    /// Whether `now` is believed. Nothing is removed for good by a reading that is not.
    pub trusted: bool,
}

impl Reading {
    /// The reading of a clock that is believed.
    pub fn believed(now: Timestamp) -> Self {
        Self { now, steady: now, trusted: true }
    }
}

/// Where the time comes from. Passed in, so that tests move it instead of waiting for it.
///
/// ```
/// use zenovay_domain::{Clock, ManualClock, Timestamp};
///
/// let clock = ManualClock::new(Timestamp::from_millis(0));
/// clock.advance_ms(1_500);
/// assert_eq!(clock.now().as_millis(), 1_500);
/// assert!(clock.reading().trusted);
/// ```
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
        Reading::believed(self.now())
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
        time.1 = time.1.saturating_add(at.millis_since(time.0));
        time.0 = at;
    }

    /// Lets `millis` milliseconds pass; negative goes back in time.
    pub fn advance_ms(&self, millis: i64) {
        let mut time = self.time();
        *time = (time.0.plus_millis(millis), time.1.saturating_add(millis));
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

#[cfg(all(test, feature = "zones"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999Z");
        assert_eq!(Timestamp(i64::MAX).to_string(), "9999-12-30T22:00:00.999Z");
        assert_eq!(Timestamp(i64::MIN).to_string(), "-009999-01-02T01:59:59.000Z");
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-06-13T14:00:00.2509+02:00", 1_781_352_000_250),
            ("1969-12-31T23:59:59.9999Z", -1),
            ("1970-01-01T23:59:00+23:59", 0),
        ] {
            assert_eq!(text.parse(), Ok(Timestamp(millis)), "{text}");
        }
        for text in ["2026-06-13t12:00:00z", "2026-06-13 12:00:00Z", "2026-06-13T12:00:00.0-00:00"] {
            assert_eq!(text.parse(), Ok(Timestamp(1_781_352_000_000)), "{text}");
        }
        for bad in [
            "",
            "2026-06-13",
            "2026-06-13T14:00:00",
            "2026-06-13T14:00Z",
            "2026-13-01T00:00:00Z",
            "+002026-06-13T14:00:00Z",
            "20260613T140000Z",
            "2026-06-13T14:00:00Z[UTC]",
            "2026-06-13T14:00:00.Z",
            "2026-06-13T14:00:00+02",
            "2026-06-13T14:00:00+24:00",
            "2026-06-13T14:00:00-25:00",
            "2026-06-13T14:00:00+02:60",
            "now",
            "1781352000250",
        ] {
            let error = bad.parse::<Timestamp>().unwrap_err().to_string();
            assert_eq!(error, format!("{bad:?} is not a time such as 2026-06-13T12:00:00Z"));
        }
    }

    #[test]
    fn instants_of_the_machine_are_cut_to_milliseconds() {
        let at = |since: Duration| Timestamp::from(UNIX_EPOCH + since);
        assert_eq!(at(Duration::from_nanos(1_999_999)), Timestamp(1));
        let before = |before: Duration| Timestamp::from(UNIX_EPOCH - before);
        assert_eq!(before(Duration::from_nanos(1_000_001)), Timestamp(-2));
        assert_eq!(before(Duration::from_millis(2)), Timestamp(-2));
    }

    /// Sabotage: add without saturating.
    #[test]
    fn nothing_overflows() {
        let ends = [i64::MIN, -1, 0, 1, i64::MAX].map(Timestamp);
        for at in ends {
            for duration in [Duration::ZERO, Duration::from_millis(1), Duration::MAX] {
                let (mut later, mut earlier) = (at, at);
                later += duration;
                earlier -= duration;
                assert!(earlier <= at && at <= later);
            }
            for other in ends {
                let clock = ManualClock::new(at);
                clock.set(other);
                clock.advance_ms(other.as_millis());
                clock.step_ms(other.as_millis());
                clock.set(at);
                assert_eq!(clock.now(), at);
                assert!(TimeRange { from: at, to: other }.duration_ms() >= 0);
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(millis in any::<i64>()) {
            // Of the years 0 to 9999, which have four digits.
            let at = Timestamp(millis.rem_euclid(253_402_207_200_000 + 62_167_219_200_000) - 62_167_219_200_000);
            prop_assert_eq!(at.to_string().parse(), Ok(at));
        }

        #[test]
        fn any_string_is_a_time_or_refused(text in "([-+:.TZ0-9]|\\PC){0,40}") {
            let _ = text.parse::<Timestamp>();
        }
    }
}
