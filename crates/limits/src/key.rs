//! Requests per API key and UTC minute.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;
use zenovay_domain::{KeyId, Timestamp};

use crate::window::WindowClock;
use crate::{Decision, LimiterUnavailable};

const MINUTE_MS: i64 = 60_000;
const SHARDS: usize = 64;
/// A shard forgets the keys of past minutes when it has this many.
const SWEEP_AT: usize = 1_024;

/// Limits each key to a number of requests per UTC minute. May wait for another process: call it where a thread may block.
///
/// A limiter is done when `key_limiter_tests!` passes for it.
pub trait KeyLimiter: Send + Sync {
    /// Counts one request of `key` at `now` if fewer than `limit` were counted in the minute, and says so. Under any
    /// number of concurrent callers exactly `limit` requests pass per minute. A `limit` that differs from that of the last
    /// request, after a change of plan, applies at once; what was counted stays counted (SECURITY L14). A `limit` of 0 lets
    /// nothing pass.
    ///
    /// # Errors
    /// When it cannot tell; the request may have been counted.
    fn charge(&self, key: KeyId, limit: u32, now: Timestamp) -> Result<Decision, LimiterUnavailable>;
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
    #[expect(clippy::cast_possible_truncation, reason = "the low bits of a hash are enough")]
    fn charge(&self, key: KeyId, limit: u32, now: Timestamp) -> Result<Decision, LimiterUnavailable> {
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
        Ok(Decision::new(allowed, limit, *used, reset_at, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_past_minutes_are_forgotten() {
        let limiter = MemoryKeyLimiter::new();
        let id = |n: u128| KeyId::from_random_bytes(n.to_be_bytes());
        for n in 0..200_000 {
            limiter.charge(id(n), 30, Timestamp::from_millis(0)).unwrap();
        }
        for n in 0..200_000 {
            limiter.charge(id(n % 640), 30, Timestamp::from_millis(MINUTE_MS)).unwrap();
        }
        let held: usize = limiter.shards.iter().map(|shard| shard.lock().used.len()).sum();
        assert!(held <= 640, "{held}");
    }
}
