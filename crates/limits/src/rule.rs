//! How many requests, in what time.

use std::time::Duration;
use std::{error, fmt};

pub(crate) const DAY_MS: i64 = 86_400_000;
/// A month that is not one of the calendar is as long as the longest.
const MONTH_MS: u32 = 31 * 86_400_000;
/// The longest time that a rule can have.
const MAX_MS: u32 = MONTH_MS;

/// A number of requests in a time, and how they are counted.
///
/// | | counted | of 60 a minute, at most |
/// |---|---|---|
/// | [`Rule::per_minute(60)`](Rule::per_minute) | in fixed windows, aligned to UTC | 60 in each minute of the clock |
/// | [`.sliding()`](Rule::sliding) | in the minute before each request | 60 in any 60 seconds |
/// | [`.burst(10)`](Rule::burst) | by a bucket of 10 that is filled once a second | 10 at once, then one a second |
///
/// ```
/// use std::time::Duration;
/// use zenovay_limits::Rule;
///
/// let logins = Rule::per_hour(5).sliding();
/// let uploads = Rule::per_second(2).burst(20);
/// let exports = Rule::per_month(100);
/// let polls = Rule::per(Duration::from_secs(10), 60)?;
/// assert_eq!(polls.requests(), 60);
/// # Ok::<(), zenovay_limits::InvalidRule>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    pub(crate) requests: u32,
    pub(crate) period: Period,
    pub(crate) method: Method,
}

/// A time that a rule cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidRule(());

impl fmt::Display for InvalidRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time of a rule is a millisecond to 31 days, in whole milliseconds")
    }
}

impl error::Error for InvalidRule {}

/// How the requests of a rule are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// In windows of the clock.
    Fixed,
    /// In the time before each request, see [`Rule::sliding`].
    Sliding,
    /// By a bucket of this many requests, see [`Rule::burst`].
    Bucket(u32),
}

/// The time of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Period {
    /// Milliseconds, 1 to [`MAX_MS`].
    Millis(u32),
    /// Months of the calendar, in UTC.
    Month,
}

impl Rule {
    /// At most `requests` in each second of the clock.
    pub const fn per_second(requests: u32) -> Self {
        Self::fixed(1_000, requests)
    }

    /// At most `requests` in each minute of the clock.
    pub const fn per_minute(requests: u32) -> Self {
        Self::fixed(60_000, requests)
    }

    /// At most `requests` in each hour, in UTC.
    pub const fn per_hour(requests: u32) -> Self {
        Self::fixed(3_600_000, requests)
    }

    /// At most `requests` in each day, in UTC.
    pub const fn per_day(requests: u32) -> Self {
        Self::fixed(86_400_000, requests)
    }

    /// At most `requests` in each month of the calendar, in UTC. A month that [slides](Self::sliding), or by which a
    /// [bucket](Self::burst) is filled, has 31 days.
    pub const fn per_month(requests: u32) -> Self {
        Self { requests, period: Period::Month, method: Method::Fixed }
    }

    /// At most `requests` in each window of the length `time`. Windows are aligned to 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// When the time is shorter than a millisecond, longer than 31 days, or not a number of whole milliseconds.
    pub fn per(time: Duration, requests: u32) -> Result<Self, InvalidRule> {
        let millis = u32::try_from(time.as_millis()).ok().filter(|millis| (1..=MAX_MS).contains(millis));
        let millis = millis.filter(|millis| Duration::from_millis(u64::from(*millis)) == time);
        millis.map(|millis| Self::fixed(millis, requests)).ok_or(InvalidRule(()))
    }

    const fn fixed(millis: u32, requests: u32) -> Self {
        Self { requests, period: Period::Millis(millis), method: Method::Fixed }
    }

    /// The same number in any time of this length, instead of in windows of the clock. Up to 32 requests it is exact to the
    /// millisecond; with more, requests are noted to a 32nd of the time, and each is forgotten up to that much later: never
    /// more pass than the rule says.
    #[must_use]
    pub const fn sliding(self) -> Self {
        Self { method: Method::Sliding, ..self }
    }

    /// At most `burst` requests at once, and then as many in the time as the rule says, evenly: a bucket (GCRA). In any time
    /// at most `burst` and what is filled in.
    #[must_use]
    pub const fn burst(self, burst: u32) -> Self {
        Self { method: Method::Bucket(burst), ..self }
    }

    /// The same rule with another number of requests. Counts go on: those of one time and method are counted together,
    /// whatever the number.
    #[must_use]
    pub const fn with_requests(self, requests: u32) -> Self {
        Self { requests, ..self }
    }

    /// How many requests it takes in its time.
    pub const fn requests(&self) -> u32 {
        self.requests
    }

    /// `factor` times as many, at once too.
    pub(crate) const fn times(self, factor: u32) -> Self {
        let method = match self.method {
            Method::Fixed | Method::Sliding => self.method,
            Method::Bucket(burst) => Method::Bucket(burst.saturating_mul(factor)),
        };
        Self { requests: self.requests.saturating_mul(factor), method, ..self }
    }

    /// How its requests are counted.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Its time; `None` for months of the calendar. A month that slides, or by which a bucket is filled, has 31 days.
    pub const fn time(&self) -> Option<Duration> {
        match (self.period, self.method) {
            (Period::Month, Method::Fixed) => None,
            (period, _) => Some(Duration::from_millis(period.length_ms().unsigned_abs())),
        }
    }

    /// How many requests it takes at once: the burst, or [`Self::requests`]. This is [`Decision::limit`](crate::Decision::limit).
    pub const fn limit(&self) -> u32 {
        match self.method {
            Method::Fixed | Method::Sliding => self.requests,
            // A bucket that is never filled is never full either.
            Method::Bucket(_) if self.requests == 0 => 0,
            Method::Bucket(burst) => burst,
        }
    }

    /// What tells the counts of one key under different rules apart: time and method, and not the number. Less than 2^34.
    pub(crate) const fn shape(&self) -> u64 {
        let method = match self.method {
            Method::Fixed => 1,
            Method::Sliding => 2,
            Method::Bucket(_) => 3,
        };
        let period = match self.period {
            Period::Millis(millis) => millis,
            Period::Month => 0,
        };
        (method as u64) << 32 | period as u64
    }
}

impl Period {
    /// The length in milliseconds; of a month, the longest.
    pub(crate) const fn length_ms(self) -> i64 {
        match self {
            Self::Millis(millis) => millis as i64,
            Self::Month => MONTH_MS as i64,
        }
    }

    /// When the window ends that is open at `at`, in milliseconds since 1970.
    pub(crate) const fn end_of_window(self, at: i64) -> i64 {
        match self {
            Self::Millis(millis) => {
                let length = millis as i64;
                at.div_euclid(length).saturating_add(1).saturating_mul(length)
            }
            Self::Month => end_of_month(at),
        }
    }
}

/// The first millisecond of the next month (Howard Hinnant's `civil_from_days`, with years that begin in March).
const fn end_of_month(at: i64) -> i64 {
    // Days since 0000-03-01, and the year and month that this day is in.
    let days = at.div_euclid(DAY_MS) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    // The first day of the month after, in days since 0000-03-01.
    let (year, next) = if month == 11 { (year_of_era + 1, 0) } else { (year_of_era, month + 1) };
    let first = 365 * year + year / 4 - year / 100 + (year / 400) + (153 * next + 2) / 5;
    (era * 146_097 + first - 719_468).saturating_mul(DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_can_be_read() {
        let rule = Rule::per_minute(30);
        assert_eq!((rule.method(), rule.time(), rule.limit()), (Method::Fixed, Some(Duration::from_secs(60)), 30));
        let bucket = Rule::per_month(30).burst(4);
        let month = Duration::from_secs(31 * 86_400);
        assert_eq!((bucket.method(), bucket.time(), bucket.limit()), (Method::Bucket(4), Some(month), 4));
        assert_eq!((Rule::per_month(1).time(), Rule::per_month(1).sliding().time()), (None, Some(month)));
    }

    #[test]
    fn rules_have_a_time() {
        assert_eq!(Rule::per(Duration::from_secs(60), 3), Ok(Rule::per_minute(3)));
        assert_eq!(Rule::per(Duration::from_secs(31 * 86_400), 3).map(|rule| rule.requests()), Ok(3));
        for bad in [Duration::ZERO, Duration::from_micros(1_500), Duration::from_millis(2_678_400_001), Duration::MAX] {
            assert!(Rule::per(bad, 3).is_err(), "{bad:?}");
        }
    }

    /// Days of the week and of the month are not asked for: only where months end.
    #[test]
    fn months_end_where_the_calendar_says() {
        // The first of each month from 1968 to 2101, by adding up their lengths.
        let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let mut first = -(365 + 366) * DAY_MS;
        for year in 1968..2101 {
            let february = if is_leap(year) { 29 } else { 28 };
            for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
                let next = first + days * DAY_MS;
                for at in [first, first + 1, first + DAY_MS, next - DAY_MS, next - 1] {
                    assert_eq!(Period::Month.end_of_window(at), next, "{year}");
                }
                first = next;
            }
        }
    }

    #[test]
    fn windows_end_after_they_began_at_any_time() {
        for at in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX] {
            for period in [Period::Month, Period::Millis(1), Period::Millis(1_000), Period::Millis(MAX_MS)] {
                let end = period.end_of_window(at);
                assert!(end > at || end >= i64::MAX - i64::from(MONTH_MS), "{at} {period:?}");
            }
        }
    }
}
