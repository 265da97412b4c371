//! Requests per API key and UTC minute.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;
use zenovay_domain::{KeyId, Timestamp};

use crate::Decision;
use crate::window::WindowClock;

const MINUTE_MS: i64 = 60_000;
const SHARDS: usize = 64;
/// A shard forgets the keys of past minutes when it has this many.
const SWEEP_AT: usize = 1_024;

/// Limits each key to a number of requests per UTC minute.
pub trait KeyLimiter: Send + Sync {
    /// Counts one request of `key` at `now` if fewer than `limit` were counted in the minute, and says so. Under any
    /// number of concurrent callers exactly `limit` requests pass per minute. A `limit` that differs from that of the last
    /// request, after a change of plan, applies at once; what was counted stays counted (SECURITY L14). A `limit` of 0 lets
    /// nothing pass.
    fn charge(&self, key: KeyId, limit: u32, now: Timestamp) -> Decision;
}

/// The [`KeyLimiter`] of a single process. Memory grows with the number of keys used in the same minute.
#[derive(Debug)]
pub struct MemoryKeyLimiter {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Shard {
    clock: WindowClock,
    used: HashMap<KeyId, (i64, u32)>,
    swept_in: i64,
}

impl MemoryKeyLimiter {
    /// A limiter that has counted nothing.
    pub fn new() -> Self {
        let shard =
            || Mutex::new(Shard { clock: WindowClock::new(MINUTE_MS), used: HashMap::new(), swept_in: i64::MIN });
        Self { shards: std::iter::repeat_with(shard).take(SHARDS).collect(), hasher: RandomState::new() }
    }
}

impl Default for MemoryKeyLimiter {
    fn default() -> Self {
        Self::new()
    }
}

impl KeyLimiter for MemoryKeyLimiter {
    fn charge(&self, key: KeyId, limit: u32, now: Timestamp) -> Decision {
        let shard = &self.shards[self.hasher.hash_one(key) as usize % SHARDS];
        let mut shard = shard.lock();
        let window = shard.clock.observe(now);
        let reset_at = shard.clock.end_of(window);
        if shard.used.len() >= SWEEP_AT && shard.swept_in != window {
            shard.used.retain(|_, (counted_in, _)| *counted_in == window);
            shard.swept_in = window;
        }
        let (counted_in, used) = shard.used.entry(key).or_insert((window, 0));
        if *counted_in != window {
            (*counted_in, *used) = (window, 0);
        }
        let allowed = *used < limit;
        *used += u32::from(allowed);
        Decision::new(allowed, limit, *used, reset_at, now)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU32, Ordering};

    use proptest::prelude::*;

    use super::*;

    fn key(n: u8) -> KeyId {
        KeyId::from_random_bytes([n; 16])
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn the_request_after_the_last_is_refused_until_the_minute_ends() {
        let limiter = MemoryKeyLimiter::new();
        for n in 1..=30 {
            let decision = limiter.charge(key(1), 30, at(60_000 + i64::from(n)));
            assert!(decision.allowed);
            assert_eq!(decision.remaining, 30 - n);
        }
        let refused = limiter.charge(key(1), 30, at(60_000 + 18_001));
        let expected = Decision { allowed: false, limit: 30, remaining: 0, reset_at: at(120_000), retry_after_s: 42 };
        assert_eq!(refused, expected);
        // Sabotage: round `retry_after_s` down, and this request is refused.
        assert!(limiter.charge(key(1), 30, at(60_000 + 18_001 + 42_000)).allowed);
        assert!(limiter.charge(key(2), 30, at(60_000)).allowed, "keys do not share");
    }

    #[test]
    fn a_limit_of_zero_lets_nothing_pass() {
        assert!(!MemoryKeyLimiter::new().charge(key(1), 0, at(0)).allowed);
    }

    #[test]
    fn a_change_of_plan_applies_at_once_and_keeps_the_count() {
        let limiter = MemoryKeyLimiter::new();
        (0..30).for_each(|_| assert!(limiter.charge(key(1), 30, at(0)).allowed));
        assert_eq!(limiter.charge(key(1), 60, at(0)).remaining, 29);
        assert!(!limiter.charge(key(1), 30, at(0)).allowed);
    }

    /// SECURITY L1. Sabotage: read the count, drop the lock, then write it.
    #[test]
    fn threads_get_exactly_the_limit() {
        let limiter = MemoryKeyLimiter::new();
        for window in 0..10 {
            let passed = AtomicU32::new(0);
            std::thread::scope(|scope| {
                for _ in 0..64 {
                    scope.spawn(|| {
                        for _ in 0..20 {
                            let allowed = limiter.charge(key(1), 120, at(window * MINUTE_MS)).allowed;
                            passed.fetch_add(u32::from(allowed), Ordering::Relaxed);
                        }
                    });
                }
            });
            assert_eq!(passed.into_inner(), 120);
        }
    }

    #[test]
    fn keys_of_past_minutes_are_forgotten() {
        let limiter = MemoryKeyLimiter::new();
        let id = |n: u128| KeyId::from_random_bytes(n.to_be_bytes());
        for n in 0..200_000 {
            limiter.charge(id(n), 30, at(0));
        }
        for n in 0..200_000 {
            limiter.charge(id(n % 640), 30, at(MINUTE_MS));
        }
        let held: usize = limiter.shards.iter().map(|shard| shard.lock().used.len()).sum();
        assert!(held <= 640, "{held}");
    }

    /// One step of a client or of the clock.
    #[derive(Debug, Clone)]
    enum Step {
        Charge { key: u8, limit: u32 },
        Wait(i64),
        WaitAsTold(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..3_u8, prop_oneof![Just(0_u32), Just(1), Just(3), Just(30)])
                .prop_map(|(key, limit)| Step::Charge { key, limit }),
            2 => (0..70_000_i64).prop_map(Step::Wait),
            1 => (0..3_u8).prop_map(Step::WaitAsTold),
        ]
    }

    proptest! {
        /// SECURITY L2, L4: against a naive reference that keeps the time of every request that passed.
        #[test]
        fn it_equals_a_naive_reference(steps in prop::collection::vec(step(), 1..400), start in 0..10_000_000_i64) {
            let limiter = MemoryKeyLimiter::new();
            let mut now = start;
            let mut passed: Vec<(u8, i64)> = Vec::new();
            let mut told: BTreeMap<u8, u32> = BTreeMap::new();
            for step in steps {
                let (n, limit) = match step {
                    Step::Charge { key, limit } => (key, limit),
                    Step::Wait(ms) => {
                        now += ms;
                        continue;
                    }
                    Step::WaitAsTold(n) => {
                        now += i64::from(told.get(&n).copied().unwrap_or(0)) * 1_000;
                        if told.contains_key(&n) {
                            prop_assert!(limiter.charge(key(n), 1, at(now)).allowed, "waited as told");
                            passed.push((n, now));
                            told.remove(&n);
                        }
                        continue;
                    }
                };
                let minute = now / MINUTE_MS;
                let used = passed.iter().filter(|(of, when)| *of == n && when / MINUTE_MS == minute).count() as u32;
                let decision = limiter.charge(key(n), limit, at(now));
                let allowed = used < limit;
                let left_ms = (minute + 1) * MINUTE_MS - now;
                let expected = Decision {
                    allowed,
                    limit,
                    remaining: if allowed { limit - used - 1 } else { 0 },
                    reset_at: at((minute + 1) * MINUTE_MS),
                    retry_after_s: u32::try_from(left_ms).unwrap().div_ceil(1_000),
                };
                prop_assert_eq!(decision, expected);
                told.insert(n, decision.retry_after_s);
                if allowed {
                    passed.push((n, now));
                }
            }
        }

        /// SECURITY L8: corrections of the clock by a few seconds give no window twice. Sabotage: number windows by the
        /// clock alone.
        #[test]
        fn small_steps_back_give_no_extra_allowance(steps in prop::collection::vec(-10_000..12_000_i64, 1..400)) {
            let limiter = MemoryKeyLimiter::new();
            let (mut now, mut latest, mut passed) = (0_i64, 0, 0_i64);
            for step in steps {
                // The clock never falls more than 10 s behind the latest time it showed.
                now = (now + step).max(latest - 10_000).max(0);
                latest = latest.max(now);
                passed += i64::from(limiter.charge(key(1), 1, at(now)).allowed);
            }
            prop_assert!(passed <= latest / MINUTE_MS + 1);
        }

        /// SECURITY L8: jumps of the clock by any distance lock nobody out, and each gives at most one window more.
        #[test]
        fn jumps_lock_nobody_out(steps in prop::collection::vec((-9_000_000..9_000_000_i64, 0..60_000_i64), 1..60)) {
            let limiter = MemoryKeyLimiter::new();
            let (mut now, mut elapsed, mut passed, jumps) = (0_i64, 0, 0_i64, steps.len() as i64);
            for (jump, wait) in steps {
                now += jump + wait;
                elapsed += wait;
                let decision = limiter.charge(key(1), 1, at(now));
                passed += i64::from(decision.allowed);
                prop_assert!(decision.retry_after_s <= 70, "{}", decision.retry_after_s);
                prop_assert_eq!(decision.reset_at.as_millis() % MINUTE_MS, 0);
                now += i64::from(decision.retry_after_s) * 1_000;
                elapsed += i64::from(decision.retry_after_s) * 1_000;
                let after = limiter.charge(key(1), 1, at(now));
                prop_assert!(after.allowed, "waited as told");
                passed += 1;
            }
            prop_assert!(passed <= elapsed / MINUTE_MS + 1 + 2 * jumps);
        }
    }
}
