//! Who counts: this process, or another.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::{Decision, Rule, UnixTime};

/// What counts requests by key. [`MemoryCounts`](crate::MemoryCounts) does it in this process; a program of several nodes
/// may count in another.
///
/// An implementation is done when `counts_tests!` (feature `conformance`) passes for it, with as many nodes as share its
/// counts.
///
/// ```
/// use zenovay_limits::{AddressLimiter, Counts, Decision, LimiterUnavailable, MemoryCounts, Network, Rule, UnixTime};
///
/// /// Counts here, and says on stderr who is refused.
/// struct Loud(MemoryCounts<Network>);
///
/// impl Counts<Network> for Loud {
///     fn charge(&self, key: &Network, rules: &[Rule], now: UnixTime) -> Result<Decision, LimiterUnavailable> {
///         let decision = self.0.charge(key, rules, now)?;
///         if !decision.allowed {
///             eprintln!("{key:?} has to wait for {:?}", decision.retry_after);
///         }
///         Ok(decision)
///     }
///
///     fn refund(&self, key: &Network, rules: &[Rule], now: UnixTime) -> Result<(), LimiterUnavailable> {
///         self.0.refund(key, rules, now)
///     }
///
///     fn may_block(&self) -> bool {
///         self.0.may_block()
///     }
/// }
///
/// let limiter = AddressLimiter::over(Loud(MemoryCounts::new()), Rule::per_minute(1));
/// let (address, now) = ("192.0.2.1".parse()?, UnixTime::from_millis(0));
/// assert!(limiter.charge(address, now)?.allowed);
/// assert!(!limiter.charge(address, now)?.allowed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Counts<K: ?Sized>: Send + Sync {
    /// Counts one request of `key` at `now` if every rule has room for it, and says so. A refused request counts nowhere.
    /// Under any number of concurrent callers exactly as many pass as the rules say. A rule whose number differs from that
    /// of the last request, after a change of plan, applies at once; what was counted stays counted. Of several rules of one
    /// time and method each has a count of its own, by their order. A rule of no requests lets nothing pass; no rule at all
    /// lets everything pass.
    ///
    /// # Errors
    /// When it cannot tell; the request may have been counted.
    fn charge(&self, key: &K, rules: &[Rule], now: UnixTime) -> Result<Decision, LimiterUnavailable>;

    /// Takes back one request of `key` that was allowed by the same rules and turned out not to be one, such as an attempt
    /// with a password that is right. What is counted together with others stays counted.
    ///
    /// # Errors
    /// When it cannot be taken back; it may stay counted until the window ends.
    fn refund(&self, key: &K, rules: &[Rule], now: UnixTime) -> Result<(), LimiterUnavailable>;

    /// Whether the other methods may wait for another process. Then they are not to be called on a thread that serves
    /// others, such as a worker of an async runtime.
    fn may_block(&self) -> bool;
}

macro_rules! forward {
    ($($pointer:ty),*) => { $(
        impl<K: ?Sized, C: Counts<K> + ?Sized> Counts<K> for $pointer {
            fn charge(&self, key: &K, rules: &[Rule], now: UnixTime) -> Result<Decision, LimiterUnavailable> {
                (**self).charge(key, rules, now)
            }

            fn refund(&self, key: &K, rules: &[Rule], now: UnixTime) -> Result<(), LimiterUnavailable> {
                (**self).refund(key, rules, now)
            }

            fn may_block(&self) -> bool {
                (**self).may_block()
            }
        }
    )* };
}

forward!(&C, Arc<C>, Box<C>);

/// The limiter cannot tell whether the request may pass, because what it counts with cannot be reached. It says neither
/// yes nor no: the caller answers "try again" (503), not "too many requests". What was counted before stays counted.
#[derive(Debug, Clone)]
pub struct LimiterUnavailable(Arc<dyn Error + Send + Sync>);

impl LimiterUnavailable {
    /// Because of this, which is for the log and not for the caller: an error or a string.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(cause.into()))
    }

    /// Why; the same as [`Error::source`].
    pub fn cause(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }

    /// The HTTP status of the answer: 503.
    pub const fn status(&self) -> u16 {
        503
    }
}

impl fmt::Display for LimiterUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the limit cannot be checked")
    }
}

impl Error for LimiterUnavailable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}
