//! The answer of a limiter.

use std::time::Duration;
use std::{error, fmt};

use crate::UnixTime;

/// What a limiter says about one request. Where several rules count it, the rule that refuses for longest speaks, or the
/// one with the least room left.
///
/// ```
/// use std::time::Duration;
/// use zenovay_limits::{MemoryCounts, Rule, UnixTime};
///
/// let counts = MemoryCounts::<str>::new();
/// let (rule, now) = (Rule::per_second(1), UnixTime::from_millis(400));
/// let decision = counts.check("alice", &[rule], now);
/// assert!(decision.allowed);
/// assert_eq!((decision.limit, decision.remaining, decision.reset_at.as_millis()), (1, 0, 1_000));
/// let decision = counts.check("alice", &[rule], now);
/// assert!(!decision.allowed);
/// assert_eq!((decision.retry_after, decision.retry_after_s()), (Duration::from_millis(600), 1));
/// ```
#[non_exhaustive]
#[must_use = "a request that is not refused is not limited"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether the request may pass. Only requests that pass are counted.
    pub allowed: bool,
    /// How many requests the rule takes.
    pub limit: u32,
    /// How many more would pass right after this request; 0 when it may not pass.
    pub remaining: u32,
    /// When nothing is counted any more, unless more requests come: the end of a fixed window, a window after the last
    /// request for a sliding one, the moment in which the whole burst is there again.
    pub reset_at: UnixTime,
    /// How long a refused caller has to wait: whoever comes then passes, unless others with the same key come before. Zero
    /// for a request that may pass.
    pub retry_after: Duration,
}

impl Decision {
    /// A request that may pass.
    pub const fn allow(limit: u32, remaining: u32, reset_at: UnixTime) -> Self {
        Self { allowed: true, limit, remaining, reset_at, retry_after: Duration::ZERO }
    }

    /// A request that may not pass.
    pub const fn refuse(limit: u32, reset_at: UnixTime, retry_after: Duration) -> Self {
        Self { allowed: false, limit, remaining: 0, reset_at, retry_after }
    }

    /// [`Self::retry_after`] in whole seconds, rounded up, as the header `Retry-After` has it; at least 1 for a request that
    /// may not pass.
    pub fn retry_after_s(&self) -> u64 {
        let whole = self.retry_after.as_secs().saturating_add(u64::from(self.retry_after.subsec_nanos() > 0));
        whole.max(u64::from(!self.allowed))
    }

    /// Of two decisions about one request, the one that holds: a refusal before a permission, the longer wait of two
    /// refusals, the smaller rest of two permissions.
    pub fn tighter(self, other: Self) -> Self {
        let rank = |decision: &Self| (decision.allowed, decision.remaining, std::cmp::Reverse(decision.retry_after));
        if rank(&other) < rank(&self) { other } else { self }
    }

    /// The refusal as an error, for `?`.
    ///
    /// # Errors
    /// When the request may not pass.
    pub const fn into_result(self) -> Result<Self, Refused> {
        if self.allowed { Ok(self) } else { Err(Refused(self)) }
    }
}

/// A request that may not pass. An error, so that `?` ends what was asked for.
///
/// ```
/// use zenovay_limits::{Limiter, Refused, Rule};
///
/// fn greet(limiter: &Limiter<str>, name: &str) -> Result<String, Refused> {
///     let _ = limiter.check(name)?;
///     Ok(format!("Hello, {name}"))
/// }
///
/// let limiter = Limiter::new(Rule::per_day(0));
/// let refused = greet(&limiter, "alice").unwrap_err();
/// assert_eq!(refused.status(), 429);
/// assert!(refused.to_string().starts_with("too many requests: try again in "));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused(Decision);

impl Refused {
    /// How long to wait: whoever comes then passes, unless others with the same key come before.
    pub const fn retry_after(&self) -> Duration {
        self.0.retry_after
    }

    /// The same in whole seconds, rounded up, as the header `Retry-After` has it; at least 1.
    pub fn retry_after_s(&self) -> u64 {
        self.0.retry_after_s()
    }

    /// The HTTP status of the answer: 429.
    pub const fn status(&self) -> u16 {
        429
    }

    /// The whole decision.
    pub const fn decision(&self) -> Decision {
        self.0
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "too many requests: try again in {} s", self.retry_after_s())
    }
}

impl error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_up() {
        let refused = |millis| Decision::refuse(3, UnixTime::from_millis(0), Duration::from_millis(millis));
        let seconds = [0, 1, 1_000, 1_001].map(|millis| refused(millis).retry_after_s());
        assert_eq!(seconds, [1, 1, 1, 2]);
        assert_eq!(Decision::allow(3, 2, UnixTime::from_millis(0)).retry_after_s(), 0);
        let forever = Decision::refuse(3, UnixTime::from_millis(0), Duration::MAX);
        assert_eq!(forever.retry_after_s(), u64::MAX);
        assert_eq!(refused(1_001).into_result().unwrap_err().to_string(), "too many requests: try again in 2 s");
    }

    #[test]
    fn the_tighter_decision_holds() {
        let at = UnixTime::from_millis(0);
        let (wide, narrow) = (Decision::allow(30, 20, at), Decision::allow(5, 1, at));
        let [short, long] = [10, 20].map(|seconds| Decision::refuse(5, at, Duration::from_secs(seconds)));
        for (one, other, expected) in [
            (wide, narrow, narrow),
            (narrow, wide, narrow),
            (wide, short, short),
            (short, long, long),
            (long, short, long),
        ] {
            assert_eq!(one.tighter(other), expected);
        }
    }
}
