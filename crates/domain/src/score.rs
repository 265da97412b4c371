//! The numbers that metric definitions share, each stated once.

/// A session with less engagement than this, one pageview and no other event is a bounce: 10 seconds.
pub const BOUNCE_ENGAGEMENT_MS: i64 = 10_000;

/// A visitor with activity in the last 5 minutes is live.
pub const LIVE_WINDOW_MS: i64 = 5 * 60_000;

/// After this much silence the server starts a new session for a visitor it stitches: 30 minutes.
pub const SESSION_GAP_MS: i64 = 30 * 60_000;

/// No session is longer than this: sessions are cut at midnight of the website's zone, and no civil day has more than
/// 25 hours; one hour is added for zones that change their offset by more than usual.
pub const SESSION_MAX_MS: i64 = 26 * 3_600_000;

/// How valuable a visit looks, 0 to 100: 10 points a pageview up to 40, one point
/// per 6 seconds of duration up to 30, and 30 points when there was an event other than a pageview.
#[inline]
pub fn value_score(pageviews: u64, duration_ms: i64, had_interaction: bool) -> u8 {
    let depth = pageviews.min(4) as u8 * 10;
    let duration = (duration_ms / 6_000).clamp(0, 30) as u8;
    let interaction = if had_interaction { 30 } else { 0 };
    depth + duration + interaction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_stays_within_its_bounds() {
        assert_eq!(value_score(0, -5, false), 0);
        assert_eq!(value_score(1, 12_000, false), 12);
        assert_eq!(value_score(u64::MAX, i64::MAX, true), 100);
    }
}
