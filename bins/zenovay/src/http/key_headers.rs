//! What a key has used and may still use, on every answer to an authenticated request (SPEC B6, SECURITY §3.3).

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use zenovay_domain::{Interval, TimeRange, Timestamp, Zone};

use super::document::Header;

use crate::config::ResetFormat;

/// The state of a key's limits after one request was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage {
    /// Requests a minute.
    pub minute_limit: u32,
    /// Requests left in this minute.
    pub minute_remaining: u32,
    /// When the next minute begins.
    pub minute_reset: Timestamp,
    /// Requests counted this month.
    pub month_used: u64,
    /// Requests a month.
    pub month_limit: u64,
    /// When the next month begins.
    pub month_reset: Timestamp,
    /// Requests counted since the key was created.
    pub total: u64,
}

/// The headers, as the API document tells of them.
pub const HEADERS: [Header; 9] = [
    Header { name: "X-RateLimit-Limit", description: "Requests a minute.", example: "30" },
    Header { name: "X-RateLimit-Remaining", description: "Requests left in this minute.", example: "29" },
    Header {
        name: "X-RateLimit-Reset",
        description: "When the next minute begins: ISO-8601, or seconds since 1970 where the server is set to say so.",
        example: "2026-06-13T12:01:00.000Z",
    },
    Header { name: "X-Usage-Monthly", description: "Requests counted this month.", example: "4521" },
    Header { name: "X-Usage-Limit", description: "Requests a month.", example: "10000" },
    Header { name: "X-Usage-Reset", description: "When the next month begins.", example: "2026-07-01T00:00:00.000Z" },
    Header { name: "X-Usage-Total", description: "Requests since the key was made.", example: "30118" },
    Header {
        name: "RateLimit",
        description: "What is left of both limits, in the form of the IETF draft.",
        example: "\"minute\";r=29;t=42, \"month\";r=5479;t=1511982",
    },
    Header {
        name: "RateLimit-Policy",
        description: "Both limits, in the form of the IETF draft.",
        example: "\"minute\";q=30;w=60, \"month\";q=10000;w=2592000",
    },
];

impl KeyUsage {
    /// Writes all headers. `now` is the instant the draft's remaining seconds are counted from.
    pub fn put(&self, headers: &mut HeaderMap, now: Timestamp, format: ResetFormat) {
        let reset = match format {
            ResetFormat::Iso => self.minute_reset.to_string(),
            ResetFormat::Unix => self.minute_reset.as_millis().div_euclid(1_000).to_string(),
        };
        put(headers, "x-ratelimit-limit", self.minute_limit.to_string());
        put(headers, "x-ratelimit-remaining", self.minute_remaining.to_string());
        put(headers, "x-ratelimit-reset", reset);
        put(headers, "x-usage-monthly", self.month_used.to_string());
        put(headers, "x-usage-limit", self.month_limit.to_string());
        put(headers, "x-usage-reset", self.month_reset.to_string());
        put(headers, "x-usage-total", self.total.to_string());

        let month_remaining = self.month_limit.saturating_sub(self.month_used);
        let (minute_s, month_s) = (seconds_until(self.minute_reset, now), seconds_until(self.month_reset, now));
        let month_window_s = month_seconds(self.month_reset);
        put(
            headers,
            "ratelimit-policy",
            format!(r#""minute";q={};w=60, "month";q={};w={month_window_s}"#, self.minute_limit, self.month_limit),
        );
        put(
            headers,
            "ratelimit",
            format!(r#""minute";r={};t={minute_s}, "month";r={month_remaining};t={month_s}"#, self.minute_remaining),
        );
    }
}

/// Whole seconds from `now` until `at`, rounded up so that a client that waits as long is served; at least 1.
pub fn seconds_until(at: Timestamp, now: Timestamp) -> u64 {
    let millis = at.millis_since(now).max(1);
    u64::try_from(millis).unwrap_or(1).div_ceil(1_000)
}

/// The length in seconds of the month that ends at `month_end`, the first instant of the next one, in UTC.
fn month_seconds(month_end: Timestamp) -> i64 {
    let month = Zone::utc().buckets(TimeRange::new(month_end.plus_millis(-1), month_end), Interval::Month, 1);
    month.first().map_or(0, |month| month.duration_ms() / 1_000)
}

fn put(headers: &mut HeaderMap, name: &'static str, value: String) {
    // Digits, quotes and dates are always valid header values.
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn both_families_of_headers_say_the_same() {
        let usage = KeyUsage {
            minute_limit: 30,
            minute_remaining: 0,
            minute_reset: at("2026-06-13T12:01:00Z"),
            month_used: 4_231,
            month_limit: 10_000,
            month_reset: at("2026-07-01T00:00:00Z"),
            total: 9_000,
        };
        let mut headers = HeaderMap::new();
        usage.put(&mut headers, at("2026-06-13T12:00:18.001Z"), ResetFormat::Iso);
        let get = |name: &str| headers.get(name).unwrap().to_str().unwrap();
        let mut described = HEADERS.map(|header| header.name.to_ascii_lowercase());
        described.sort_unstable();
        let mut written: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        written.sort_unstable();
        assert_eq!(written, described, "the document tells of each");
        assert_eq!(get("x-ratelimit-limit"), "30");
        assert_eq!(get("x-ratelimit-remaining"), "0");
        assert_eq!(get("x-ratelimit-reset"), "2026-06-13T12:01:00.000Z");
        assert_eq!(get("x-usage-monthly"), "4231");
        assert_eq!(get("x-usage-limit"), "10000");
        assert_eq!(get("x-usage-reset"), "2026-07-01T00:00:00.000Z");
        assert_eq!(get("x-usage-total"), "9000");
        assert_eq!(get("ratelimit-policy"), r#""minute";q=30;w=60, "month";q=10000;w=2592000"#);
        assert_eq!(get("ratelimit"), r#""minute";r=0;t=42, "month";r=5769;t=1511982"#);
    }

    #[test]
    fn waits_are_rounded_up_and_never_zero() {
        let now = at("2026-06-13T12:00:00Z");
        assert_eq!(seconds_until(now.plus_millis(1), now), 1);
        assert_eq!(seconds_until(now.plus_millis(1_001), now), 2);
        assert_eq!(seconds_until(now.plus_millis(-5_000), now), 1);
    }
}
