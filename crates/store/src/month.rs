//! UTC calendar months, as numbers.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use zenovay_domain::Timestamp;

/// The month of `at`: year * 12 + month of the year from 0.
pub(crate) fn month_of(at: Timestamp) -> i32 {
    let at = DateTime::from_timestamp_millis(at.as_millis()).unwrap_or(if at.as_millis() < 0 {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    });
    at.year() * 12 + at.month0() as i32
}

/// 00:00:00.000Z of the 1st of the month after `month`.
pub(crate) fn end_of_month(month: i32) -> Timestamp {
    let next = month.saturating_add(1);
    let first = NaiveDate::from_ymd_opt(next.div_euclid(12), next.rem_euclid(12) as u32 + 1, 1);
    let end = first.map_or(DateTime::<Utc>::MAX_UTC, |day| day.and_time(NaiveTime::MIN).and_utc());
    Timestamp::from_millis(end.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_ends_at_midnight_of_the_first() {
        let last = Timestamp::from_millis(1_782_863_999_999);
        assert_eq!(last.to_string(), "2026-06-30T23:59:59.999Z");
        assert_eq!(end_of_month(month_of(last)).to_string(), "2026-07-01T00:00:00.000Z");
        assert_eq!(month_of(end_of_month(month_of(last))), month_of(last) + 1);
        assert_eq!(end_of_month(2026 * 12 + 11).to_string(), "2027-01-01T00:00:00.000Z");
    }
}
