//! A key with 30 requests a minute is used twice a second for two minutes, on a clock that the program moves.
#![allow(clippy::print_stdout)]

use zenovay_domain::{Clock, KeyId, ManualClock, Timestamp};
use zenovay_limits::{KeyLimiter, LimiterUnavailable, MemoryKeyLimiter};

fn main() -> Result<(), LimiterUnavailable> {
    let limiter = MemoryKeyLimiter::new();
    let clock = ManualClock::new(Timestamp::from_millis(1_781_308_800_000));
    let key = KeyId::from_random_bytes([1; 16]);
    for _ in 0..240 {
        let decision = limiter.charge(key, 30, clock.now())?;
        let verdict = if decision.allowed { "allowed" } else { "refused" };
        println!("{} {verdict}, {} left, resets in {} s", clock.now(), decision.remaining, decision.retry_after_s);
        clock.advance_ms(500);
    }
    Ok(())
}
