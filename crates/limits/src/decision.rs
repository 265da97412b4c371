//! The answer of a limiter, and what it says when it has none.

use zenovay_domain::Timestamp;

/// What a limiter says about one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether the request may pass. Only requests that pass are counted.
    pub allowed: bool,
    /// How many requests the window takes.
    pub limit: u32,
    /// How many more it takes after this request; 0 when the request may not pass.
    pub remaining: u32,
    /// When the window ends.
    pub reset_at: Timestamp,
    /// Whole seconds until `reset_at`, rounded up; at least 1. Whoever waits that long meets a new window.
    pub retry_after_s: u32,
}

/// The limiter cannot tell whether the request may pass, because what it counts with cannot be reached. It says neither
/// yes nor no: the caller answers "try again", not "too many requests". What was counted before stays counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the limit cannot be checked: {cause}")]
pub struct LimiterUnavailable {
    /// Why, for the log and not for the caller.
    pub cause: String,
}

impl Decision {
    pub(crate) fn new(allowed: bool, limit: u32, used: u32, reset_at: Timestamp, now: Timestamp) -> Self {
        let wait_ms = reset_at.millis_since(now).max(1);
        Self {
            allowed,
            limit,
            remaining: if allowed { limit.saturating_sub(used) } else { 0 },
            reset_at,
            retry_after_s: u32::try_from((wait_ms + 999) / 1_000).unwrap_or(u32::MAX),
        }
    }

    /// Of two decisions about one request, the one that holds: a refusal before a permission, the longer wait of two
    /// refusals, the smaller rest of two permissions.
    pub(crate) fn tighter(self, other: Self) -> Self {
        let rank = |decision: &Self| (decision.allowed, decision.remaining, std::cmp::Reverse(decision.retry_after_s));
        if rank(&other) < rank(&self) { other } else { self }
    }
}
