//! What is counted for one key under one rule.

use crate::rule::{Method, Period, Rule};

/// How many moments a sliding count tells apart. Up to this many requests it is exact.
pub(crate) const EXACT: usize = 32;

/// The count of one key under one rule.
#[derive(Debug)]
pub(crate) struct Count {
    /// When it was looked at; of a sliding count, when the last request is forgotten.
    at: i64,
    state: State,
}

#[derive(Debug)]
enum State {
    Fixed {
        used: u32,
        /// How long the window went on when it was looked at.
        left_ms: u32,
    },
    Sliding(Box<Moments>),
    Bucket {
        /// Seconds after which the bucket is full again, rounded up.
        full_after_s: u32,
        /// What is missing in the bucket: requests times the milliseconds of the rule.
        missing: u64,
    },
}

/// Bytes of the heap that a sliding count takes besides its place in the table.
pub(crate) const SLIDING_HEAP_BYTES: usize = size_of::<Moments>() + 16;

impl Count {
    /// The count of a key that has made `used` requests, at `t`.
    pub(crate) fn new(rule: &Rule, used: u32, t: i64) -> Self {
        let length = rule.period.length_ms();
        match rule.method {
            Method::Fixed => Self { at: t, state: State::Fixed { used, left_ms: left_ms(rule, t) } },
            Method::Sliding => {
                let mut moments = Moments::new(t);
                if used > 0 {
                    moments.note(stamp(rule, t), used);
                }
                Self { at: t.saturating_add(length), state: State::Sliding(Box::new(moments)) }
            }
            Method::Bucket(_) => {
                let mut count = Self { at: t, state: State::Bucket { full_after_s: 0, missing: 0 } };
                count.set_missing(rule, u64::from(used).saturating_mul(length.unsigned_abs()));
                count
            }
        }
    }

    /// From when on nothing is counted any more.
    pub(crate) fn idle_at(&self) -> i64 {
        match &self.state {
            State::Fixed { left_ms, .. } => self.at.saturating_add(i64::from(*left_ms)),
            State::Sliding(_) => self.at,
            State::Bucket { full_after_s, .. } => self.at.saturating_add(i64::from(*full_after_s) * 1_000),
        }
    }

    /// Bytes of the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        if matches!(self.state, State::Sliding(_)) { SLIDING_HEAP_BYTES } else { 0 }
    }

    /// Brings what lies after `now`, because the clock went back, to `now`: it goes on as if it had happened now.
    pub(crate) fn bring_back(&mut self, now: i64) {
        if let State::Sliding(moments) = &mut self.state {
            let before = moments.last().unwrap_or(now);
            moments.settle(i64::MIN, now);
            let after = moments.last().unwrap_or(now);
            self.at = self.at.saturating_sub(before.saturating_sub(after));
        } else {
            self.at = self.at.min(now);
        }
    }

    /// Forgets what is over at `t`. What lies after `t`, because the clock went back, goes on as if it had happened now.
    pub(crate) fn settle(&mut self, rule: &Rule, t: i64) {
        match (&mut self.state, rule.method) {
            (State::Fixed { used, left_ms: left }, Method::Fixed) => {
                if self.at <= t && self.at.saturating_add(i64::from(*left)) <= t {
                    *used = 0;
                }
                (self.at, *left) = (t, left_ms(rule, t));
            }
            (State::Sliding(moments), Method::Sliding) => {
                let length = rule.period.length_ms();
                moments.settle(t.saturating_sub(length), stamp(rule, t));
                self.at = moments.last().unwrap_or(t).saturating_add(length);
            }
            (State::Bucket { missing, .. }, Method::Bucket(_)) => {
                let elapsed = t.saturating_sub(self.at).max(0).unsigned_abs();
                let missing = missing.saturating_sub(elapsed.saturating_mul(u64::from(rule.requests)));
                self.at = t;
                self.set_missing(rule, missing);
            }
            // Ids hold the method: this is another key's count with the same 128 bits.
            _ => *self = Self::new(rule, 0, t),
        }
    }

    /// How many more requests pass at the time to which it is [settled](Self::settle).
    pub(crate) fn room(&self, rule: &Rule) -> u32 {
        match &self.state {
            State::Fixed { used, .. } => rule.requests.saturating_sub(*used),
            State::Sliding(moments) => rule.requests.saturating_sub(moments.total()),
            State::Bucket { missing, .. } => {
                let length = rule.period.length_ms().unsigned_abs();
                let free = (u64::from(rule.limit()) * length).saturating_sub(*missing);
                u32::try_from(free / length).unwrap_or(u32::MAX)
            }
        }
    }

    /// Counts one more request at `t`, for which there is room.
    pub(crate) fn add(&mut self, rule: &Rule, t: i64) {
        let length = rule.period.length_ms();
        match &mut self.state {
            State::Fixed { used, .. } => *used = used.saturating_add(1),
            State::Sliding(moments) => {
                moments.note(stamp(rule, t), 1);
                self.at = moments.last().unwrap_or(t).saturating_add(length);
            }
            State::Bucket { missing, .. } => {
                let missing = missing.saturating_add(length.unsigned_abs());
                self.set_missing(rule, missing);
            }
        }
    }

    /// Takes the last request back.
    pub(crate) fn take_back(&mut self, rule: &Rule) {
        match &mut self.state {
            State::Fixed { used, .. } => *used = used.saturating_sub(1),
            State::Sliding(moments) => moments.take_back(),
            State::Bucket { missing, .. } => {
                let missing = missing.saturating_sub(rule.period.length_ms().unsigned_abs());
                self.set_missing(rule, missing);
            }
        }
    }

    /// When one more request passes, if there is no room at `t`. A rule of no requests has room never; this is when it may
    /// be asked again.
    pub(crate) fn passes_at(&self, rule: &Rule, t: i64) -> i64 {
        let length = rule.period.length_ms();
        match &self.state {
            State::Fixed { .. } => self.idle_at(),
            _ if rule.limit() == 0 => t.saturating_add(length),
            State::Sliding(moments) => moments.below(rule.requests).unwrap_or(t).saturating_add(length),
            State::Bucket { missing, .. } => {
                let full = u64::from(rule.limit() - 1) * length.unsigned_abs();
                t.saturating_add(millis_to_fill(missing.saturating_sub(full), rule.requests))
            }
        }
    }

    /// When nothing is counted any more, seen from `t`.
    pub(crate) fn reset_at(&self, rule: &Rule, t: i64) -> i64 {
        match &self.state {
            State::Fixed { .. } | State::Sliding(_) => self.idle_at(),
            State::Bucket { missing, .. } => t.saturating_add(millis_to_fill(*missing, rule.requests)),
        }
    }

    fn set_missing(&mut self, rule: &Rule, missing: u64) {
        let after_ms = millis_to_fill(missing, rule.requests).unsigned_abs();
        let full_after_s = u32::try_from(after_ms.div_ceil(1_000)).unwrap_or(u32::MAX);
        self.state = State::Bucket { full_after_s, missing };
    }
}

/// How long the window goes on that is open at `t`.
fn left_ms(rule: &Rule, t: i64) -> u32 {
    u32::try_from(rule.period.end_of_window(t).saturating_sub(t)).unwrap_or(u32::MAX)
}

/// Milliseconds in which a bucket gets what is missing, rounded up.
fn millis_to_fill(missing: u64, requests: u32) -> i64 {
    let millis = missing.checked_div(u64::from(requests)).map(|_| missing.div_ceil(u64::from(requests)));
    millis.and_then(|millis| i64::try_from(millis).ok()).unwrap_or(i64::MAX)
}

/// The moment at which a request at `t` is noted: `t`, or the last millisecond of the 32nd of the time around it.
fn stamp(rule: &Rule, t: i64) -> i64 {
    if rule.requests as usize <= EXACT {
        return t;
    }
    let step = coarse_step(rule.period);
    t.div_euclid(step).saturating_mul(step).saturating_add(step - 1)
}

/// The 32nd part of a time, rounded up, in milliseconds.
fn coarse_step(period: Period) -> i64 {
    // Lengths are positive.
    (period.length_ms() + EXACT as i64 - 1) / EXACT as i64
}

/// The moments at which requests passed, each with how many.
#[derive(Debug)]
struct Moments {
    /// The time from which moments are counted.
    base: i64,
    len: usize,
    /// Milliseconds after `base`, rising, and requests.
    moments: [(u32, u32); EXACT + 1],
}

impl Moments {
    const fn new(t: i64) -> Self {
        Self { base: t, len: 0, moments: [(0, 0); EXACT + 1] }
    }

    fn held(&self) -> &[(u32, u32)] {
        &self.moments[..self.len]
    }

    fn last(&self) -> Option<i64> {
        self.held().last().map(|(after, _)| self.base.saturating_add(i64::from(*after)))
    }

    fn total(&self) -> u32 {
        self.held().iter().fold(0, |total, (_, requests)| total.saturating_add(*requests))
    }

    /// Forgets the moments up to `over`, and brings those after `now` to `now`.
    fn settle(&mut self, over: i64, now: i64) {
        if self.last().is_some_and(|last| last > now) {
            let at_most = u32::try_from(now.saturating_sub(self.base)).ok();
            match at_most {
                Some(at_most) => {
                    self.moments[..self.len].iter_mut().for_each(|(after, _)| *after = (*after).min(at_most));
                }
                // All of them lie after now.
                None => {
                    self.base = now;
                    self.moments[..self.len].iter_mut().for_each(|(after, _)| *after = 0);
                }
            }
            self.merge_equal();
        }
        let base = self.base;
        let is_over = |after: u32| base.saturating_add(i64::from(after)) <= over;
        let gone = self.held().iter().take_while(|(after, _)| is_over(*after)).count();
        self.drop_first(gone);
    }

    fn merge_equal(&mut self) {
        let mut kept = 0;
        for place in 1..self.len {
            let (after, requests) = self.moments[place];
            if self.moments[kept].0 == after {
                self.moments[kept].1 = self.moments[kept].1.saturating_add(requests);
            } else {
                kept += 1;
                self.moments[kept] = (after, requests);
            }
        }
        self.len = self.len.min(kept + 1);
    }

    /// Drops the first moments, and counts the others from the first that is left.
    fn drop_first(&mut self, gone: usize) {
        self.moments.copy_within(gone..self.len, 0);
        self.len -= gone;
        let first = self.held().first().map_or(0, |(after, _)| *after);
        self.moments[..self.len].iter_mut().for_each(|(after, _)| *after -= first);
        self.base = self.base.saturating_add(i64::from(first));
    }

    /// Notes requests at `at`, which is not before the last moment, nor much more than the length of a rule after the first.
    fn note(&mut self, at: i64, requests: u32) {
        if self.len == 0 {
            self.base = at;
        }
        let after = u32::try_from(at.saturating_sub(self.base).max(0)).unwrap_or(u32::MAX);
        if let Some((_, last)) = self.moments[..self.len].last_mut().filter(|(last, _)| *last >= after) {
            *last = last.saturating_add(requests);
            return;
        }
        if self.len == self.moments.len() {
            // Only where the number of requests of the rule was changed: the oldest are kept until the next goes.
            let (_, oldest) = self.moments[0];
            self.drop_first(1);
            self.moments[0].1 = self.moments[0].1.saturating_add(oldest);
            return self.note(at, requests);
        }
        self.moments[self.len] = (after, requests);
        self.len += 1;
    }

    fn take_back(&mut self) {
        let Some((_, last)) = self.moments[..self.len].last_mut() else { return };
        *last = last.saturating_sub(1);
        if *last == 0 {
            self.len -= 1;
        }
    }

    /// The moment that has to be over before fewer than `requests` are counted.
    fn below(&self, requests: u32) -> Option<i64> {
        let mut total = self.total();
        let mut moments = self.held().iter();
        let last = moments.find(|(_, these)| {
            total = total.saturating_sub(*these);
            total < requests
        });
        last.map(|(after, _)| self.base.saturating_add(i64::from(*after)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table holds these, and its memory is stated.
    #[test]
    fn a_count_is_small() {
        assert_eq!(size_of::<Count>(), 24);
        const { assert!(SLIDING_HEAP_BYTES <= 304) };
    }

    #[test]
    fn a_number_that_changes_keeps_what_was_noted() {
        let few = Rule::per_minute(20).sliding();
        let many = few.with_requests(1_000);
        let mut count = Count::new(&few, 0, 0);
        for t in 0..20 {
            count.settle(&few, t);
            count.add(&few, t);
        }
        for t in 20..2_000_i64 {
            let t = t * 25;
            count.settle(&many, t);
            assert!(count.room(&many) <= 980);
            if count.room(&many) > 0 {
                count.add(&many, t);
            }
        }
        // The thousandth passed at 24,975, in the 32nd that ends at 26,249. With a smaller number all moments are still known.
        count.settle(&few, 49_976);
        assert_eq!(count.room(&few), 0);
        assert_eq!(count.reset_at(&few, 49_976), 26_249 + 60_000);
        count.settle(&few, 86_248);
        assert!(count.room(&few) < 20);
        count.settle(&few, 86_249);
        assert_eq!(count.room(&few), 20);
    }
}
