//! Which window an instant belongs to, on a clock that may be set.

use zenovay_domain::Timestamp;

/// Numbers the windows of one length. Windows are aligned to UTC; their numbers never fall.
///
/// When the clock goes back by up to a sixth of a window, as time synchronisation does, the window that was open stays
/// open until the clock has caught up. When it goes back further, the clock is taken to have been wrong: the open window
/// goes on, aligned to the new time, and ends with the minute (or hour …) that the clock shows now. Either way no window
/// opens a second time, and nobody is locked out for much longer than one window (SECURITY L8).
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowClock {
    length_ms: i64,
    /// The latest window; `None` before the first request.
    current: Option<i64>,
    /// How many windows the numbering is ahead of the clock.
    ahead: i64,
}

impl WindowClock {
    pub(crate) const fn new(length_ms: i64) -> Self {
        Self { length_ms, current: None, ahead: 0 }
    }

    /// The number of the window that is open at `now`.
    pub(crate) fn observe(&mut self, now: Timestamp) -> i64 {
        let seen = self.number_of(now).saturating_add(self.ahead);
        let Some(current) = self.current else {
            self.current = Some(seen);
            return seen;
        };
        if seen >= current {
            self.current = Some(seen);
            return seen;
        }
        let behind_ms = self.start_of(current).millis_since(now);
        if behind_ms > self.length_ms / 6 {
            self.ahead += current - seen;
        }
        current
    }

    /// The latest window, if any request was seen.
    pub(crate) const fn latest(&self) -> Option<i64> {
        self.current
    }

    /// When window `number` ends, by the clock as it goes now.
    pub(crate) fn end_of(&self, number: i64) -> Timestamp {
        self.start_of(number.saturating_add(1))
    }

    fn start_of(&self, number: i64) -> Timestamp {
        Timestamp::from_millis(number.saturating_sub(self.ahead).saturating_mul(self.length_ms))
    }

    fn number_of(&self, now: Timestamp) -> i64 {
        now.as_millis().div_euclid(self.length_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn windows_are_aligned_to_the_clock() {
        let mut clock = WindowClock::new(60_000);
        assert_eq!(clock.observe(at(59_999)), 0);
        assert_eq!(clock.end_of(0), at(60_000));
        assert_eq!(clock.observe(at(60_000)), 1);
        assert_eq!(clock.end_of(1), at(120_000));
    }

    #[test]
    fn a_small_step_back_stays_in_the_open_window() {
        let mut clock = WindowClock::new(60_000);
        assert_eq!(clock.observe(at(60_000)), 1);
        assert_eq!(clock.observe(at(59_999)), 1);
        assert_eq!(clock.observe(at(50_000)), 1);
        assert_eq!(clock.observe(at(119_999)), 1);
        assert_eq!(clock.observe(at(120_000)), 2);
    }

    #[test]
    fn a_large_step_back_ends_the_open_window_within_a_minute() {
        let mut clock = WindowClock::new(60_000);
        let hour = 3_600_000;
        let open = clock.observe(at(hour + 30_000));
        assert_eq!(clock.observe(at(40_000)), open, "the open window goes on");
        assert_eq!(clock.end_of(open), at(60_000));
        assert_eq!(clock.observe(at(59_999)), open);
        assert_eq!(clock.observe(at(60_000)), open + 1);
        // When the clock is set right again, the numbers have only grown.
        assert!(clock.observe(at(hour + 60_000)) > open + 1);
    }
}
