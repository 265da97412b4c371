//! Instants.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An instant: milliseconds since 1970-01-01T00:00:00Z, negative before. Made of a [`SystemTime`], or of the number itself.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use zenovay_limits::UnixTime;
///
/// let at = UnixTime::from_millis(1_500);
/// assert_eq!(UnixTime::from(UNIX_EPOCH + Duration::from_millis(1_500)), at);
/// assert_eq!(at.plus(Duration::from_secs(1)).as_millis(), 2_500);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(i64);

impl UnixTime {
    /// The instant `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// What the clock of the machine says.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// The instant `duration` later, held at the end of the range.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }

    /// How much later this is than `earlier`; nothing when it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(i128::from(self.0) - i128::from(earlier.0)).unwrap_or(0))
    }
}

fn whole_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Cut to the millisecond before.
impl From<SystemTime> for UnixTime {
    fn from(at: SystemTime) -> Self {
        match at.duration_since(UNIX_EPOCH) {
            Ok(since) => Self(whole_millis(since)),
            Err(before) => {
                let before = before.duration();
                let is_whole = before.subsec_nanos() % 1_000_000 == 0;
                Self((-whole_millis(before)).saturating_sub(i64::from(!is_whole)))
            }
        }
    }
}

/// Milliseconds since the epoch.
impl From<i64> for UnixTime {
    fn from(millis: i64) -> Self {
        Self(millis)
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms since 1970", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_of_the_machine_are_cut_downwards() {
        let after = |nanos| UnixTime::from(UNIX_EPOCH + Duration::from_nanos(nanos));
        let before = |nanos| UnixTime::from(UNIX_EPOCH - Duration::from_nanos(nanos));
        assert_eq!((after(1_999_999), after(2_000_000)), (UnixTime(1), UnixTime(2)));
        assert_eq!((before(1), before(1_000_000), before(1_000_001)), (UnixTime(-1), UnixTime(-1), UnixTime(-2)));
        assert!(UnixTime::now() > UnixTime(0));
    }

    #[test]
    fn nothing_overflows() {
        let (first, last) = (UnixTime(i64::MIN), UnixTime(i64::MAX));
        assert_eq!(last.plus(Duration::MAX), last);
        assert_eq!(last.since(first), Duration::from_millis(u64::MAX));
        assert_eq!(first.since(last), Duration::ZERO);
    }
}
