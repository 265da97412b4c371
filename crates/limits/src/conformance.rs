//! What every limiter must do, as tests that run on any of them.
//!
//! A limiter is done when [`key_limiter_tests!`](crate::key_limiter_tests) or
//! [`address_limiter_tests!`](crate::address_limiter_tests) passes for it. The tests move the time themselves, and ask the
//! nodes in turn: on several nodes that share their counts a limit is as exact as on one.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails loudly")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use zenovay_domain::{KeyId, Timestamp};

use crate::address::SITE_FACTOR;
use crate::{AddressClass, AddressLimiter, AddressLimits, Decision, KeyLimiter, Rule};

/// 2026-06-13T00:00:00.000Z, the beginning of an hour.
const NOW_MS: i64 = 1_781_308_800_000;
const MINUTE_MS: i64 = 60_000;

/// Makes a `#[test]` of every rule about keys. `$nodes` makes a `Vec` of limiters that have counted nothing: one, or one
/// for each node where several share their counts.
#[macro_export]
macro_rules! key_limiter_tests {
    ($nodes:expr) => {
        $crate::key_limiter_tests! { $nodes;
            the_request_after_the_last_is_refused_until_the_minute_ends,
            keys_do_not_share,
            a_limit_of_zero_lets_nothing_pass,
            a_change_of_plan_applies_at_once_and_keeps_the_count,
            threads_get_exactly_the_limit_of_a_key,
            keys_equal_a_naive_reference,
            small_steps_back_give_no_extra_allowance,
            jumps_of_the_clock_lock_nobody_out,
        }
    };
    ($nodes:expr; $($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                $crate::conformance::$name(&|| $nodes);
            }
        )*
    };
}

/// Makes a `#[test]` of every rule about addresses. `$nodes` takes [`AddressLimits`] and makes a `Vec` of limiters that
/// have counted nothing: one, or one for each node where several share their counts.
#[macro_export]
macro_rules! address_limiter_tests {
    ($nodes:expr) => {
        $crate::address_limiter_tests! { $nodes;
            every_class_has_exactly_its_limit,
            both_windows_of_tracking_must_allow,
            refused_requests_count_nowhere,
            what_is_taken_back_may_be_used_again,
            ipv4_inside_ipv6_is_the_ipv4_address,
            a_64_is_one_client_and_a_48_is_at_most_sixteen,
            threads_get_exactly_the_limit_of_an_address,
            a_clock_that_goes_back_gives_nothing_twice,
        }
    };
    ($nodes:expr; $($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                $crate::conformance::$name(&$nodes);
            }
        )*
    };
}

/// Nodes, asked in turn.
struct Nodes<L> {
    nodes: Vec<L>,
    next: AtomicUsize,
}

impl<L> Nodes<L> {
    fn new(nodes: Vec<L>) -> Self {
        assert!(!nodes.is_empty(), "at least one node");
        Self { nodes, next: AtomicUsize::new(0) }
    }

    fn next(&self) -> &L {
        &self.nodes[self.next.fetch_add(1, Ordering::Relaxed) % self.nodes.len()]
    }
}

impl<L: KeyLimiter> Nodes<L> {
    fn charge_key(&self, n: u8, limit: u32, now: Timestamp) -> Decision {
        self.next().charge(KeyId::from_random_bytes([n; 16]), limit, now).unwrap()
    }
}

impl<L: AddressLimiter> Nodes<L> {
    fn charge(&self, class: AddressClass, address: IpAddr, now: Timestamp) -> Decision {
        self.next().charge(class, address, now).unwrap()
    }

    /// How many of `tries` requests pass.
    fn passed(&self, class: AddressClass, address: &str, now: Timestamp, tries: u32) -> u32 {
        (0..tries).map(|_| u32::from(self.charge(class, ip(address), now).allowed)).sum()
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOW_MS + millis)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

type KeyNodes<'a, L> = &'a dyn Fn() -> Vec<L>;
type AddressNodes<'a, L> = &'a dyn Fn(AddressLimits) -> Vec<L>;

/// The answer counts down, refuses, and says when to come again. Sabotage: round `retry_after_s` down.
pub fn the_request_after_the_last_is_refused_until_the_minute_ends<L: KeyLimiter>(nodes: KeyNodes<'_, L>) {
    let nodes = Nodes::new(nodes());
    for n in 1..=30 {
        let decision = nodes.charge_key(1, 30, at(i64::from(n)));
        assert!(decision.allowed);
        assert_eq!(decision.remaining, 30 - n);
    }
    let refused = nodes.charge_key(1, 30, at(18_001));
    let expected = Decision { allowed: false, limit: 30, remaining: 0, reset_at: at(MINUTE_MS), retry_after_s: 42 };
    assert_eq!(refused, expected);
    assert!(nodes.charge_key(1, 30, at(18_001 + 42_000)).allowed);
}

/// Each key has a count of its own.
pub fn keys_do_not_share<L: KeyLimiter>(nodes: KeyNodes<'_, L>) {
    let nodes = Nodes::new(nodes());
    assert!(nodes.charge_key(1, 1, at(0)).allowed);
    assert!(!nodes.charge_key(1, 1, at(0)).allowed);
    assert!(nodes.charge_key(2, 1, at(0)).allowed);
}

/// Also the first request is refused.
pub fn a_limit_of_zero_lets_nothing_pass<L: KeyLimiter>(nodes: KeyNodes<'_, L>) {
    assert!(!Nodes::new(nodes()).charge_key(1, 0, at(0)).allowed);
}

/// The limit is that of the request; the count is that of the minute.
pub fn a_change_of_plan_applies_at_once_and_keeps_the_count<L: KeyLimiter>(nodes: KeyNodes<'_, L>) {
    let nodes = Nodes::new(nodes());
    (0..30).for_each(|_| assert!(nodes.charge_key(1, 30, at(0)).allowed));
    assert_eq!(nodes.charge_key(1, 60, at(0)).remaining, 29);
    assert!(!nodes.charge_key(1, 30, at(0)).allowed);
}

/// SECURITY L1. Sabotage: read the count, drop the lock, then write it.
pub fn threads_get_exactly_the_limit_of_a_key<L: KeyLimiter>(nodes: KeyNodes<'_, L>) {
    let nodes = Nodes::new(nodes());
    for window in 0..10 {
        let passed = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let allowed = nodes.charge_key(1, 120, at(window * MINUTE_MS)).allowed;
                        passed.fetch_add(u32::from(allowed), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 120);
    }
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

fn run<S: Strategy>(strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    if let Err(error) = runner.run(&strategy, test) {
        panic!("{error}");
    }
}

/// SECURITY L2, L4: against a naive reference that keeps the time of every request that passed.
pub fn keys_equal_a_naive_reference<L: KeyLimiter>(nodes: KeyNodes<'_, L>) {
    run((prop::collection::vec(step(), 1..400), 0..10_000_000_i64), |(steps, start)| {
        let nodes = Nodes::new(nodes());
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
                    if let Some(seconds) = told.remove(&n) {
                        now += i64::from(seconds) * 1_000;
                        prop_assert!(nodes.charge_key(n, 1, at(now)).allowed, "waited as told");
                        passed.push((n, now));
                    }
                    continue;
                }
            };
            let minute = now / MINUTE_MS;
            let used = passed.iter().filter(|(of, when)| *of == n && when / MINUTE_MS == minute).count();
            let used = u32::try_from(used).unwrap();
            let decision = nodes.charge_key(n, limit, at(now));
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
        Ok(())
    });
}

/// SECURITY L8: corrections of the clock by a few seconds give no window twice. Sabotage: number windows by the clock
/// alone.
pub fn small_steps_back_give_no_extra_allowance<L: KeyLimiter>(nodes: KeyNodes<'_, L>) {
    run(prop::collection::vec(-10_000..12_000_i64, 1..400), |steps| {
        let nodes = Nodes::new(nodes());
        let (mut now, mut latest, mut passed) = (0_i64, 0, 0_i64);
        for step in steps {
            // The clock never falls more than 10 s behind the latest time it showed.
            now = (now + step).max(latest - 10_000).max(0);
            latest = latest.max(now);
            passed += i64::from(nodes.charge_key(1, 1, at(now)).allowed);
        }
        prop_assert!(passed <= latest / MINUTE_MS + 1);
        Ok(())
    });
}

/// SECURITY L8: jumps of the clock by any distance lock nobody out, and each gives at most one window more.
pub fn jumps_of_the_clock_lock_nobody_out<L: KeyLimiter>(nodes: KeyNodes<'_, L>) {
    run(prop::collection::vec((-9_000_000..9_000_000_i64, 0..60_000_i64), 1..60), |steps| {
        let nodes = Nodes::new(nodes());
        let (mut now, mut elapsed, mut passed) = (0_i64, 0, 0_i64);
        let jumps = i64::try_from(steps.len()).unwrap();
        for (jump, wait) in steps {
            now += jump + wait;
            elapsed += wait;
            let decision = nodes.charge_key(1, 1, at(now));
            passed += i64::from(decision.allowed);
            prop_assert!(decision.retry_after_s <= 70, "{}", decision.retry_after_s);
            prop_assert_eq!(decision.reset_at.as_millis() % MINUTE_MS, 0);
            now += i64::from(decision.retry_after_s) * 1_000;
            elapsed += i64::from(decision.retry_after_s) * 1_000;
            prop_assert!(nodes.charge_key(1, 1, at(now)).allowed, "waited as told");
            passed += 1;
        }
        prop_assert!(passed <= elapsed / MINUTE_MS + 1 + 2 * jumps);
        Ok(())
    });
}

/// As many requests of a class as its rule says pass, and the refusal says when to come again. Sabotage: round
/// `retry_after_s` down.
pub fn every_class_has_exactly_its_limit<L: AddressLimiter>(nodes: AddressNodes<'_, L>) {
    let nodes = Nodes::new(nodes(AddressLimits::default()));
    for (class, limit, window_s) in
        [(AddressClass::Tracking, 60, 10), (AddressClass::Public, 30, 60), (AddressClass::Auth, 30, 60)]
    {
        assert_eq!(nodes.passed(class, "192.0.2.1", at(1), 2 * limit), limit, "{class:?}");
        let refused = nodes.charge(class, ip("192.0.2.1"), at(1));
        assert_eq!((refused.limit, refused.remaining, refused.retry_after_s), (limit, 0, window_s), "{class:?}");
        let waited = at(1 + i64::from(refused.retry_after_s) * 1_000);
        assert!(nodes.charge(class, ip("192.0.2.1"), waited).allowed, "{class:?}");
        assert_eq!(nodes.passed(class, "192.0.2.2", at(1), 2 * limit), limit, "another client, {class:?}");
    }
}

/// The short and the long window; the answer is that of the one that refuses.
pub fn both_windows_of_tracking_must_allow<L: AddressLimiter>(nodes: AddressNodes<'_, L>) {
    let limits = AddressLimits {
        tracking_burst: Rule { requests: 6, window_s: 10 },
        tracking_sustained: Rule { requests: 50, window_s: 3_600 },
        ..AddressLimits::default()
    };
    let nodes = Nodes::new(nodes(limits));
    let total: u32 =
        (0..360).map(|window| nodes.passed(AddressClass::Tracking, "192.0.2.1", at(window * 10_000), 5)).sum();
    assert_eq!(total, 50);
    let refused = nodes.charge(AddressClass::Tracking, ip("192.0.2.1"), at(3_590_000));
    assert_eq!((refused.allowed, refused.limit, refused.retry_after_s), (false, 50, 10));
    assert!(nodes.charge(AddressClass::Tracking, ip("192.0.2.1"), at(3_600_000)).allowed);
}

/// What the short window refuses does not use up the long one.
pub fn refused_requests_count_nowhere<L: AddressLimiter>(nodes: AddressNodes<'_, L>) {
    let limits = AddressLimits {
        tracking_burst: Rule { requests: 6, window_s: 10 },
        tracking_sustained: Rule { requests: 50, window_s: 3_600 },
        ..AddressLimits::default()
    };
    let nodes = Nodes::new(nodes(limits));
    assert_eq!(nodes.passed(AddressClass::Tracking, "192.0.2.1", at(0), 100), 6);
    assert_eq!(nodes.passed(AddressClass::Tracking, "192.0.2.1", at(10_000), 10), 6);
}

/// Sabotage: take back from the client alone, or from a window that has ended.
pub fn what_is_taken_back_may_be_used_again<L: AddressLimiter>(nodes: AddressNodes<'_, L>) {
    let nodes = Nodes::new(nodes(AddressLimits::default()));
    let (v4, v6) = ("203.0.113.9", "2001:db8::1");
    for _ in 0..500 {
        for address in [v4, v6].map(ip) {
            assert!(nodes.charge(AddressClass::Auth, address, at(0)).allowed);
            nodes.next().refund(AddressClass::Auth, address, at(0)).unwrap();
        }
    }
    assert_eq!(nodes.passed(AddressClass::Auth, v4, at(0), 40), 30);
    assert_eq!(nodes.passed(AddressClass::Auth, v6, at(0), 40), 30);
    nodes.next().refund(AddressClass::Auth, ip(v4), at(MINUTE_MS)).unwrap();
    assert_eq!(nodes.passed(AddressClass::Auth, v4, at(MINUTE_MS), 40), 30);
}

/// However it is spelled.
pub fn ipv4_inside_ipv6_is_the_ipv4_address<L: AddressLimiter>(nodes: AddressNodes<'_, L>) {
    let nodes = Nodes::new(nodes(AddressLimits::default()));
    let spellings = ["192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201", "64:ff9b::192.0.2.1", "64:ff9b::c000:201"];
    let total: u32 =
        (0..20).flat_map(|_| spellings).map(|spelled| nodes.passed(AddressClass::Public, spelled, at(0), 1)).sum();
    assert_eq!(total, 30);
    assert!(nodes.charge(AddressClass::Public, ip("::ffff:192.0.2.2"), at(0)).allowed);
}

/// SECURITY L7.
pub fn a_64_is_one_client_and_a_48_is_at_most_sixteen<L: AddressLimiter>(nodes: AddressNodes<'_, L>) {
    let network = 0x2001_0db8_u128 << 96;
    let passed = |nodes: &Nodes<L>, addresses: &dyn Fn(u32) -> u128| -> u32 {
        let allowed = |n| nodes.charge(AddressClass::Public, IpAddr::V6(Ipv6Addr::from_bits(addresses(n))), at(0));
        (0..4_000_u32).map(|n| u32::from(allowed(n).allowed)).sum()
    };
    let in_one_64 = Nodes::new(nodes(AddressLimits::default()));
    assert_eq!(passed(&in_one_64, &|n| network | u128::from(n)), 30);
    let in_one_48 = Nodes::new(nodes(AddressLimits::default()));
    assert_eq!(passed(&in_one_48, &|n| network | u128::from(n) << 64), SITE_FACTOR * 30);
    assert!(in_one_48.charge(AddressClass::Public, ip("2001:db8:1::1"), at(0)).allowed, "the next /48");
}

/// SECURITY L5. Sabotage: read the count, drop the lock, then write it.
pub fn threads_get_exactly_the_limit_of_an_address<L: AddressLimiter>(nodes: AddressNodes<'_, L>) {
    let nodes = Nodes::new(nodes(AddressLimits::default()));
    let total: u32 = std::thread::scope(|scope| {
        let run = || nodes.passed(AddressClass::Public, "192.0.2.1", at(0), 20);
        let threads: Vec<_> = (0..64).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(total, 30);
}

/// SECURITY L8: nor is anybody locked out for much longer than a window.
pub fn a_clock_that_goes_back_gives_nothing_twice<L: AddressLimiter>(nodes: AddressNodes<'_, L>) {
    let nodes = Nodes::new(nodes(AddressLimits::default()));
    assert_eq!(nodes.passed(AddressClass::Public, "192.0.2.1", at(0), 40), 30);
    for back in [1, 9_000, 60_000, 3_600_000] {
        let refused = nodes.charge(AddressClass::Public, ip("192.0.2.1"), at(-back));
        assert!(!refused.allowed, "{back}");
        assert!(refused.retry_after_s <= 70, "{back}: {}", refused.retry_after_s);
    }
}
