//! A limiter of one process.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;

use crate::{Decision, MemoryCounts, Refused, Rule, UnixTime};

/// Limits each key to what its rules say, in this process and in bounded memory.
///
/// Keys are whatever tells callers apart: names, ids, addresses (see [`AddressLimiter`](crate::AddressLimiter) for these).
/// Exactly as many requests pass as the rules say, however many threads ask. What happens when there are very many keys,
/// and when the clock is set: [`MemoryCounts`].
///
/// ```
/// use zenovay_limits::{Limiter, Rule, UnixTime};
///
/// let limiter = Limiter::<String>::new(Rule::per_second(2)).and(Rule::per_hour(1_000));
/// let now = UnixTime::from_millis(1_250);
/// assert_eq!(limiter.check_at("alice", now)?.remaining, 1);
/// assert_eq!(limiter.check_at("alice", now)?.remaining, 0);
/// let refused = limiter.check_at("alice", now).unwrap_err();
/// assert_eq!((refused.status(), refused.retry_after().as_millis()), (429, 750));
/// assert!(limiter.check_at("bob", now).is_ok());
/// # Ok::<(), zenovay_limits::Refused>(())
/// ```
pub struct Limiter<K: ?Sized> {
    counts: MemoryCounts<K>,
    rules: Vec<Rule>,
}

impl<K: ?Sized> Limiter<K> {
    /// A limiter that has counted nothing.
    pub fn new(rule: Rule) -> Self {
        Self { counts: MemoryCounts::new(), rules: vec![rule] }
    }

    /// Another rule, which must have room, too: such as a few at once and not too many a day, or two buckets that are filled
    /// in one time.
    #[must_use]
    pub fn and(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Takes at most so many bytes instead of [`DEFAULT_MAX_BYTES`](crate::DEFAULT_MAX_BYTES).
    #[must_use]
    pub fn max_bytes(self, bytes: usize) -> Self {
        Self { counts: MemoryCounts::with_max_bytes(bytes), ..self }
    }

    /// What it counts.
    pub const fn counts(&self) -> &MemoryCounts<K> {
        &self.counts
    }
}

impl<K: Hash + ?Sized> Limiter<K> {
    /// Counts one request of `key` at the time of the machine's clock, if the rules let it pass.
    ///
    /// ```
    /// use zenovay_limits::{Limiter, Rule};
    ///
    /// let limiter = Limiter::<String>::new(Rule::per_minute(3));
    /// match limiter.check("alice") {
    ///     Ok(decision) => println!("{} more may come", decision.remaining),
    ///     Err(refused) => println!("come again in {:?}", refused.retry_after()),
    /// }
    /// ```
    ///
    /// # Errors
    /// When the request may not pass.
    pub fn check<Q: Hash + ?Sized>(&self, key: &Q) -> Result<Decision, Refused>
    where
        K: Borrow<Q>,
    {
        self.check_at(key, UnixTime::now())
    }

    /// The same at the time `now`.
    ///
    /// # Errors
    /// When the request may not pass.
    pub fn check_at<Q: Hash + ?Sized>(&self, key: &Q, now: impl Into<UnixTime>) -> Result<Decision, Refused>
    where
        K: Borrow<Q>,
    {
        self.counts.check(key, &self.rules, now).into_result()
    }

    /// The same by a rule of the key's own instead of those of the limiter, such as that of its plan. What was counted of
    /// the same time and method stays counted when the number changes.
    ///
    /// ```
    /// use zenovay_limits::{Limiter, Rule, UnixTime};
    ///
    /// let (free, paid) = (Rule::per_minute(1), Rule::per_minute(100));
    /// let limiter = Limiter::<u64>::new(free);
    /// let now = UnixTime::from_millis(0);
    /// assert!(limiter.check_at(&7, now).is_ok());
    /// assert!(limiter.check_at(&7, now).is_err());
    /// assert_eq!(limiter.check_rule_at(&7, paid, now)?.remaining, 98);
    /// # Ok::<(), zenovay_limits::Refused>(())
    /// ```
    ///
    /// # Errors
    /// When the request may not pass.
    pub fn check_rule_at<Q: Hash + ?Sized>(
        &self,
        key: &Q,
        rule: Rule,
        now: impl Into<UnixTime>,
    ) -> Result<Decision, Refused>
    where
        K: Borrow<Q>,
    {
        self.counts.check(key, &[rule], now).into_result()
    }

    /// Takes back one request that passed and turned out not to be one, such as an attempt with a password that is right.
    pub fn refund_at<Q: Hash + ?Sized>(&self, key: &Q, now: impl Into<UnixTime>)
    where
        K: Borrow<Q>,
    {
        self.counts.take_back(key, &self.rules, now);
    }
}

impl<K: ?Sized> fmt::Debug for Limiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("rules", &self.rules).field("counts", &self.counts).finish()
    }
}
