//! Periods: named spans of civil days in a zone.

use chrono::{Datelike, Days, Months, NaiveDate};
use zenovay_domain::{TimeRange, Timestamp, Zone};

/// Days from the first day of the common era to 1970-01-01.
const EPOCH_FROM_CE: i32 = 719_163;

/// Civil days, both included, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a first day and a last")]
pub struct Dates {
    /// The first day.
    pub first: i32,
    /// The last day.
    pub last: i32,
}

impl Dates {
    /// The instants of these days in `zone`.
    pub fn range(self, zone: &Zone) -> TimeRange {
        TimeRange::new(zone.day_start(self.first), zone.day_start(self.last.saturating_add(1)))
    }

    /// How many days there are.
    pub fn count(self) -> i64 {
        i64::from(self.last) - i64::from(self.first) + 1
    }
}

/// A named period. It ends with a day that is given beside it, today when none is, or is the month or year of that day.
///
/// ```
/// use zenovay_stats::Period;
/// use zenovay_stats::domain::{Zone, parse_date};
///
/// let week = Period::parse("7d").and_then(|period| period.dates(parse_date("2026-06-13").ok()?)).unwrap();
/// assert_eq!(week.count(), 7);
/// let zone: Zone = "Europe/Berlin".parse()?;
/// assert_eq!(zone.format_date(week.range(&zone).from), "2026-06-07");
/// # Ok::<(), zenovay_stats::domain::UnknownZone>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Period {
    /// One day.
    Day,
    /// The last so many days, the given one included.
    Days(u32),
    /// The month of the day.
    Month,
    /// The last so many months, that of the day included.
    Months(u32),
    /// The year of the day.
    Year,
    /// Ten years: more than any website has kept.
    All,
}

impl Period {
    /// The names, and what they stand for.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("day", Self::Day),
        ("7d", Self::Days(7)),
        ("28d", Self::Days(28)),
        ("30d", Self::Days(30)),
        ("90d", Self::Days(90)),
        ("91d", Self::Days(91)),
        ("month", Self::Month),
        ("6mo", Self::Months(6)),
        ("12mo", Self::Months(12)),
        ("year", Self::Year),
        ("all", Self::All),
    ];

    /// The period with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, period)| *period)
    }

    /// Its days, when `day` is the one that it is about; days from 1970-01-01. `None` beyond the calendar.
    pub fn dates(self, day: i32) -> Option<Dates> {
        let date = date_of(day)?;
        let month_begins = |date: NaiveDate| date.with_day(1);
        let (first, last) = match self {
            Self::Day => (date, date),
            Self::Days(count) => (date.checked_sub_days(Days::new(u64::from(count.max(1)) - 1))?, date),
            Self::Month | Self::Months(_) => {
                let months = if let Self::Months(months) = self { months.max(1) } else { 1 };
                let this = month_begins(date)?;
                let next = this.checked_add_months(Months::new(1))?;
                (this.checked_sub_months(Months::new(months - 1))?, next.pred_opt()?)
            }
            Self::Year => (NaiveDate::from_ymd_opt(date.year(), 1, 1)?, NaiveDate::from_ymd_opt(date.year(), 12, 31)?),
            Self::All => (date.checked_sub_months(Months::new(120))?, date),
        };
        Some(Dates { first: day_of(first), last: day_of(last) })
    }

    /// Its days when it is about `at`.
    pub fn dates_at(self, at: Timestamp, zone: &Zone) -> Option<Dates> {
        self.dates(zone.civil_day(at))
    }
}

fn date_of(day: i32) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(day.checked_add(EPOCH_FROM_CE)?)
}

fn day_of(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - EPOCH_FROM_CE
}

/// Whether `text` has the form of a date.
fn is_shaped(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// Whether `text` is written as a date, and no calendar has such a day.
///
/// ```
/// use zenovay_stats::is_no_day;
///
/// assert!(is_no_day("2026-02-29") && !is_no_day("2028-02-29") && !is_no_day("29 February"));
/// ```
pub fn is_no_day(text: &str) -> bool {
    is_shaped(text) && parse_date(text).is_none()
}

/// The day of a date such as `2026-06-01`, counted from 1970-01-01: four digits of a year, two of a month and a day.
pub fn parse_date(text: &str) -> Option<i32> {
    let number = |part: &str| part.parse::<u32>().ok();
    if !is_shaped(text) {
        return None;
    }
    let year = i32::try_from(number(&text[..4])?).ok()?;
    NaiveDate::from_ymd_opt(year, number(&text[5..7])?, number(&text[8..])?).map(day_of)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dates(name: &str, day: &str) -> (String, String) {
        let dates = Period::parse(name).unwrap().dates(parse_date(day).unwrap()).unwrap();
        let text = |day| date_of(day).unwrap().to_string();
        (text(dates.first), text(dates.last))
    }

    #[test]
    fn periods_are_days_months_and_years() {
        for (name, first, last) in [
            ("day", "2024-03-31", "2024-03-31"),
            ("7d", "2024-03-25", "2024-03-31"),
            ("30d", "2024-03-02", "2024-03-31"),
            ("month", "2024-03-01", "2024-03-31"),
            ("6mo", "2023-10-01", "2024-03-31"),
            ("12mo", "2023-04-01", "2024-03-31"),
            ("year", "2024-01-01", "2024-12-31"),
            ("all", "2014-03-31", "2024-03-31"),
        ] {
            assert_eq!(dates(name, "2024-03-31"), (first.to_owned(), last.to_owned()), "{name}");
        }
        assert_eq!(Period::parse("8d"), None);
    }

    #[test]
    fn days_are_cut_in_the_zone() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let at = |text: &str| text.parse().unwrap();
        let today = Period::Day.dates_at(at("2026-03-28T23:30:00Z"), &berlin).unwrap().range(&berlin);
        // 23 hours: the clock is put forward.
        assert_eq!(today, TimeRange::new(at("2026-03-28T23:00:00Z"), at("2026-03-29T22:00:00Z")));
    }

    #[test]
    fn only_whole_dates_are_dates() {
        assert_eq!(parse_date("1970-01-02"), Some(1));
        for bad in
            ["", "yesterday", "2026-6-1", "2026-02-30", "2026-06-01T00:00:00Z", "+026-06-01", "2026/06/01", "２０26-01"]
        {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_day_has_its_periods(day in -700_000i32..2_000_000) {
            for (name, period) in Period::NAMES {
                let Some(dates) = period.dates(day) else { continue };
                prop_assert!(dates.first <= day && day <= dates.last, "{}", name);
                prop_assert!(dates.count() >= 1);
            }
        }

        #[test]
        fn any_string_is_a_date_or_none(text in "\\PC{0,12}|[0-9-]{10}") {
            if let Some(day) = parse_date(&text) {
                prop_assert_eq!(date_of(day).unwrap().to_string(), text);
            }
        }
    }
}
