//! Time zones: where days begin. The rules come from jiff's bundled IANA database or the host's copy, whichever is
//! newer (`tzdata` on a freshly installed Debian 12 is a year behind, see `docs/decisions`).

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp as JiffTimestamp, ToSpan};

use crate::{TimeRange, Timestamp};

/// A text that names no time zone of the IANA database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone")]
pub struct UnknownZone;

/// A time zone of the IANA database, such as `UTC` or `America/Vancouver`.
#[derive(Clone, PartialEq)]
pub struct Zone(TimeZone);

/// The width of the buckets of a time series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interval {
    /// 60 minutes of elapsed time, counted from local midnight.
    Hour,
    /// A civil day of the zone: 23, 24 or 25 hours, rarely another length.
    Day,
    /// Seven civil days from Monday (ISO 8601).
    Week,
    /// A civil month.
    Month,
}

fn database() -> &'static TimeZoneDatabase {
    static DATABASE: OnceLock<TimeZoneDatabase> = OnceLock::new();
    DATABASE.get_or_init(|| {
        let host = std::path::Path::new("/usr/share/zoneinfo");
        let host_version = std::fs::read_to_string(host.join("tzdata.zi"))
            .ok()
            .and_then(|text| Some(text.lines().next()?.strip_prefix("# version ")?.trim().to_owned()));
        match host_version {
            // Versions are a year and a letter, 2025b < 2026e, so they compare as text.
            Some(version) if version.as_str() > BUNDLED_VERSION => {
                TimeZoneDatabase::from_dir(host).unwrap_or_else(|_| TimeZoneDatabase::bundled())
            }
            _ => TimeZoneDatabase::bundled(),
        }
    })
}

/// The IANA version that jiff's bundled database holds at the locked version of jiff.
const BUNDLED_VERSION: &str = "2026e";

impl Zone {
    /// Coordinated universal time, the zone of every day on the External API (SPEC K19).
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The IANA name, `UTC` for [`Zone::utc`].
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Days from 1970-01-01 to the civil day that `at` falls on in this zone.
    pub fn civil_day(&self, at: Timestamp) -> i32 {
        let date = self.date(at);
        days_from_epoch(date)
    }

    /// The instant at which civil day `day` (days since 1970-01-01) begins.
    pub fn day_start(&self, day: i32) -> Timestamp {
        self.start_of(epoch_date(day))
    }

    /// The civil date of `at` as `YYYY-MM-DD`.
    pub fn format_date(&self, at: Timestamp) -> String {
        self.date(at).to_string()
    }

    /// The buckets that cover `range`: consecutive half-open ranges, the first starting at or before `range.from` and
    /// the last ending at or after `range.to`. They tile time without gap or overlap also where the clock is changed.
    /// An empty range gives no bucket. Stops after `limit` buckets.
    pub fn buckets(&self, range: TimeRange, interval: Interval, limit: usize) -> Vec<TimeRange> {
        // Goes by civil dates, which always advance: where the clock is put back across midnight, an instant's date can
        // be the day before one that has begun already, and a walk from instant to instant would go in circles.
        let mut buckets = Vec::new();
        let mut date = interval.first_date(self.date(range.from));
        let mut start = self.start_of(date);
        while start < range.to && buckets.len() < limit {
            let next_date = interval.next_date(date);
            let end = self.start_of(next_date);
            if interval == Interval::Hour {
                self.push_hours(TimeRange::new(start, end), range, limit, &mut buckets);
            } else if end > range.from && end > start {
                buckets.push(TimeRange::new(start, end));
            }
            if next_date <= date {
                break;
            }
            (date, start) = (next_date, end);
        }
        if range.from < range.to { buckets } else { Vec::new() }
    }

    /// The hours of `day` that overlap `range`, counted from the day's beginning; the last may be shorter.
    fn push_hours(&self, day: TimeRange, range: TimeRange, limit: usize, buckets: &mut Vec<TimeRange>) {
        let mut start = day.from;
        while start < day.to && start < range.to && buckets.len() < limit {
            let end = start.plus_millis(HOUR_MS).min(day.to);
            if end > range.from {
                buckets.push(TimeRange::new(start, end));
            }
            start = end;
        }
    }

    fn date(&self, at: Timestamp) -> Date {
        self.0.to_datetime(jiff_timestamp(at)).date()
    }

    fn start_of(&self, date: Date) -> Timestamp {
        // A day may begin after midnight where the clock is put forward at midnight.
        match date.to_zoned(self.0.clone()).and_then(|zoned| zoned.start_of_day()) {
            Ok(zoned) => Timestamp::from_millis(zoned.timestamp().as_millisecond()),
            Err(_) => Timestamp::from_millis(i64::from(days_from_epoch(date)) * DAY_MS),
        }
    }
}

impl Interval {
    fn first_date(self, date: Date) -> Date {
        match self {
            Self::Hour | Self::Day => date,
            Self::Week => date.saturating_sub(i64::from(date.weekday().to_monday_zero_offset()).days()),
            Self::Month => date.first_of_month(),
        }
    }

    fn next_date(self, date: Date) -> Date {
        match self {
            Self::Hour | Self::Day => date.saturating_add(1.day()),
            Self::Week => date.saturating_add(7.days()),
            Self::Month => date.saturating_add(1.month()),
        }
    }
}

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

fn jiff_timestamp(at: Timestamp) -> JiffTimestamp {
    JiffTimestamp::from_millisecond(at.as_millis()).unwrap_or(if at.as_millis() < 0 {
        JiffTimestamp::MIN
    } else {
        JiffTimestamp::MAX
    })
}

fn days_from_epoch(date: Date) -> i32 {
    // jiff's years are −9999 to 9999: the day number fits.
    let epoch = jiff::civil::date(1970, 1, 1);
    date.since(epoch).map_or(0, |span| span.get_days())
}

fn epoch_date(day: i32) -> Date {
    jiff::civil::date(1970, 1, 1).saturating_add(i64::from(day).days())
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        if name == "UTC" {
            return Ok(Self::utc());
        }
        database().get(name).map(Self).map_err(|_| UnknownZone)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<JiffTimestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_day_has_23_or_25_hours_where_the_clock_changes() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let spring =
            berlin.buckets(TimeRange::new(at("2026-03-28T23:00:00Z"), at("2026-03-29T22:00:00Z")), Interval::Day, 10);
        assert_eq!(spring.len(), 1);
        assert_eq!(spring[0].duration_ms(), 23 * HOUR_MS);
        let autumn =
            berlin.buckets(TimeRange::new(at("2026-10-24T22:00:00Z"), at("2026-10-25T00:00:00Z")), Interval::Day, 10);
        assert_eq!(autumn[0].duration_ms(), 25 * HOUR_MS);
    }

    #[test]
    fn western_canada_stopped_changing_its_clock() {
        // tzdata 2026e: America/Vancouver stays at −7 from 2026 on; 2025b fell back to −8.
        let vancouver: Zone = "America/Vancouver".parse().unwrap();
        assert_eq!(vancouver.day_start(vancouver.civil_day(at("2026-12-01T12:00:00Z"))), at("2026-12-01T07:00:00Z"));
    }

    #[test]
    fn a_clock_put_back_across_midnight_does_not_confuse_the_days() {
        // St. John's, 2010-11-07: at 00:01 the clock went back to 23:01 of the day before.
        let zone: Zone = "America/St_Johns".parse().unwrap();
        let from = at("2010-11-07T03:00:00Z");
        for interval in [Interval::Hour, Interval::Day, Interval::Week, Interval::Month] {
            let buckets = zone.buckets(TimeRange::new(from, from.plus_millis(HOUR_MS / 2)), interval, 100);
            assert_eq!(buckets.len(), 1, "{interval:?}");
            assert!(buckets[0].contains(from), "{interval:?}");
        }
    }

    #[test]
    fn civil_days_count_from_the_epoch() {
        assert_eq!(Zone::utc().civil_day(at("1970-01-02T00:00:00Z")), 1);
        assert_eq!(Zone::utc().civil_day(at("1969-12-31T23:59:59Z")), -1);
        assert_eq!(Zone::utc().day_start(20_000), Timestamp::from_millis(20_000 * DAY_MS));
    }

    #[test]
    fn unknown_zones_are_refused() {
        for bad in ["", "Mars/Olympus", "../etc/passwd", "Europe/Berlin\n"] {
            assert_eq!(bad.parse::<Zone>(), Err(UnknownZone), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn buckets_tile_time(
            start in 0i64..4_000_000_000_000,
            hours in 1i64..800,
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo", "America/Santiago", "Pacific/Apia"]),
            interval in prop::sample::select(vec![Interval::Hour, Interval::Day, Interval::Week, Interval::Month]),
        ) {
            let zone: Zone = zone.parse().unwrap();
            let range = TimeRange::new(Timestamp::from_millis(start), Timestamp::from_millis(start + hours * HOUR_MS));
            let buckets = zone.buckets(range, interval, usize::MAX);
            prop_assert!(buckets[0].from <= range.from);
            prop_assert!(buckets.last().unwrap().to >= range.to);
            for pair in buckets.windows(2) {
                prop_assert_eq!(pair[0].to, pair[1].from);
            }
            for bucket in &buckets {
                prop_assert!(bucket.from < bucket.to);
            }
        }
    }
}
