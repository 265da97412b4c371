//! What everything that counts must do, as tests that run on any of it.
//!
//! An implementation of [`Counts`] is done when [`counts_tests!`](crate::counts_tests) passes for it. The tests move the time
//! themselves, and ask the nodes in turn: on several nodes that share their counts a limit is as exact as on one.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails loudly")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::{Counts, Decision, Rule, UnixTime};

/// 2026-06-13T00:00:00.000Z, the beginning of an hour.
const NOW_MS: i64 = 1_781_308_800_000;
const MINUTE_MS: i64 = 60_000;

/// Makes a `#[test]` of every rule about counts. `$nodes` makes a `Vec` of [`Counts`] that have counted nothing: one, or
/// one for each node where several share their counts. `$key` makes a key of a number, another for each.
///
/// ```
/// use zenovay_limits::{MemoryCounts, counts_tests};
///
/// counts_tests!(vec![MemoryCounts::<u64>::new()], |n: u64| n);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! counts_tests {
    ($nodes:expr, $key:expr) => {
        $crate::counts_tests! { $nodes, $key;
            the_request_after_the_last_is_refused_until_the_window_ends,
            keys_do_not_share,
            rules_of_another_time_or_method_do_not_share,
            a_rule_of_no_requests_lets_nothing_pass,
            no_rule_lets_everything_pass,
            a_change_of_the_number_applies_at_once_and_keeps_the_count,
            threads_get_exactly_the_limit,
            all_rules_must_have_room,
            rules_of_one_time_and_method_each_have_a_count,
            refused_requests_count_nowhere,
            what_is_taken_back_may_be_used_again,
            fixed_windows_equal_a_naive_reference,
            sliding_windows_equal_a_naive_reference,
            long_sliding_windows_never_let_more_pass,
            buckets_equal_a_naive_reference,
            months_are_those_of_the_calendar,
            small_steps_back_give_no_extra_allowance,
            jumps_of_the_clock_lock_nobody_out,
            any_rule_at_any_time_has_an_answer,
        }
    };
    ($nodes:expr, $key:expr; $($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                $crate::conformance::$name(&|| $nodes, &$key);
            }
        )*
    };
}

/// Nodes, asked in turn.
struct Nodes<'a, K, C> {
    nodes: Vec<C>,
    key: Key<'a, K>,
    next: AtomicUsize,
}

/// Makes nodes that have counted nothing.
type Make<'a, C> = &'a dyn Fn() -> Vec<C>;
/// Makes a key of a number.
type Key<'a, K> = &'a (dyn Fn(u64) -> K + Sync);

impl<'a, K, C: Counts<K>> Nodes<'a, K, C> {
    fn new(make: Make<'_, C>, key: Key<'a, K>) -> Self {
        let nodes = make();
        assert!(!nodes.is_empty(), "at least one node");
        Self { nodes, key, next: AtomicUsize::new(0) }
    }

    fn next(&self) -> &C {
        &self.nodes[self.next.fetch_add(1, Ordering::Relaxed) % self.nodes.len()]
    }

    fn charge_all(&self, n: u64, rules: &[Rule], now: UnixTime) -> Decision {
        let decision = self.next().charge(&(self.key)(n), rules, now).unwrap();
        assert!(decision.allowed || decision.remaining == 0);
        assert_eq!(decision.allowed, decision.retry_after.is_zero(), "{decision:?}");
        decision
    }

    fn charge(&self, n: u64, rule: Rule, now: UnixTime) -> Decision {
        self.charge_all(n, &[rule], now)
    }

    /// How many of `tries` requests pass.
    fn passed(&self, n: u64, rules: &[Rule], now: UnixTime, tries: u32) -> u32 {
        (0..tries).map(|_| u32::from(self.charge_all(n, rules, now).allowed)).sum()
    }
}

fn at(millis: i64) -> UnixTime {
    UnixTime::from_millis(NOW_MS + millis)
}

/// A minute, counted in each way.
fn methods(requests: u32) -> [Rule; 3] {
    let rule = Rule::per_minute(requests);
    [rule, rule.sliding(), rule.burst(requests)]
}

/// How many cases are tried of counts that wait for another process, for each of which a process's own has many.
const CASES_IF_SLOW: u32 = 24;

fn run<K, C: Counts<K>, S: Strategy>(
    make: Make<'_, C>,
    strategy: S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let usual = Config::default();
    let is_slow = make().iter().any(Counts::may_block);
    let cases = if is_slow { usual.cases.min(CASES_IF_SLOW) } else { usual.cases };
    let mut runner = TestRunner::new(Config { failure_persistence: None, cases, ..usual });
    if let Err(error) = runner.run(&strategy, test) {
        panic!("{error}");
    }
}

/// The answer counts down, refuses, and says when to come again. Sabotage: round `retry_after_s` down.
pub fn the_request_after_the_last_is_refused_until_the_window_ends<K, C: Counts<K>>(
    make: Make<'_, C>,
    key: Key<'_, K>,
) {
    let nodes = Nodes::new(make, key);
    let rule = Rule::per_minute(30);
    for n in 1..=30 {
        let decision = nodes.charge(1, rule, at(i64::from(n)));
        assert_eq!(decision, Decision::allow(30, 30 - n, at(MINUTE_MS)));
    }
    let refused = nodes.charge(1, rule, at(18_001));
    assert_eq!(refused, Decision::refuse(30, at(MINUTE_MS), Duration::from_millis(41_999)));
    assert_eq!(refused.retry_after_s(), 42);
    assert!(nodes.charge(1, rule, at(18_001 + 41_999)).allowed);

    // A sliding minute frees one after the other, a bucket of two one each two seconds.
    let (sliding, bucket) = (Rule::per_minute(2).sliding(), Rule::per_minute(30).burst(2));
    let other = Nodes::new(make, key);
    assert_eq!(other.passed(1, &[bucket], at(0), 2), 2);
    assert!([0, 10_000].map(|millis| nodes.charge(2, sliding, at(millis)).allowed).iter().all(|allowed| *allowed));
    let refused = nodes.charge(2, sliding, at(20_000));
    assert_eq!(refused, Decision::refuse(2, at(70_000), Duration::from_secs(40)));
    assert!(nodes.charge(2, sliding, at(60_000)).allowed);
    assert!(!nodes.charge(2, sliding, at(69_999)).allowed);
    let refused = other.charge(1, bucket, at(500));
    assert_eq!(refused, Decision::refuse(2, at(4_000), Duration::from_millis(1_500)));
    assert!(other.charge(1, bucket, at(2_000)).allowed);
    assert!(!other.charge(1, bucket, at(3_999)).allowed);
}

/// Each key has a count of its own.
pub fn keys_do_not_share<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    let nodes = Nodes::new(make, key);
    for rule in methods(1) {
        assert!(nodes.charge(1, rule, at(0)).allowed);
        assert!(!nodes.charge(1, rule, at(0)).allowed);
        assert!(nodes.charge(2, rule, at(0)).allowed);
    }
}

/// A key has a count for each time and method.
pub fn rules_of_another_time_or_method_do_not_share<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    let nodes = Nodes::new(make, key);
    let others = [Rule::per_second(1), Rule::per_hour(1), Rule::per_day(1), Rule::per_month(1)];
    for rule in methods(1).into_iter().chain(others).chain(others.map(Rule::sliding)) {
        assert!(nodes.charge(1, rule, at(0)).allowed, "{rule:?}");
        assert!(!nodes.charge(1, rule, at(0)).allowed, "{rule:?}");
    }
}

/// Also the first request is refused.
pub fn a_rule_of_no_requests_lets_nothing_pass<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    let nodes = Nodes::new(make, key);
    let buckets = [Rule::per_minute(0).burst(5), Rule::per_minute(5).burst(0)];
    for rule in methods(0).into_iter().chain(buckets) {
        for millis in [0, 1, MINUTE_MS, 10 * MINUTE_MS] {
            let decision = nodes.charge(1, rule, at(millis));
            assert_eq!((decision.allowed, decision.limit), (false, 0), "{rule:?}");
            assert!(decision.retry_after_s() <= 60, "{rule:?}");
        }
    }
    // Nor when the number was another before.
    for rule in methods(5) {
        assert!(nodes.charge(2, rule, at(0)).allowed);
        assert!(!nodes.charge(2, rule.with_requests(0), at(1)).allowed, "{rule:?}");
    }
}

/// There is nothing to count.
pub fn no_rule_lets_everything_pass<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    let nodes = Nodes::new(make, key);
    assert_eq!(nodes.passed(1, &[], at(0), 1_000), 1_000);
}

/// The number is that of the request; the count is that of the window.
pub fn a_change_of_the_number_applies_at_once_and_keeps_the_count<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    let nodes = Nodes::new(make, key);
    for rule in methods(30) {
        assert_eq!(nodes.passed(1, &[rule], at(0), 40), 30, "{rule:?}");
        let more = methods(60)[methods(30).iter().position(|other| *other == rule).unwrap()];
        assert_eq!(nodes.charge(1, more, at(0)).remaining, 29, "{rule:?}");
        assert!(!nodes.charge(1, rule, at(0)).allowed, "{rule:?}");
    }
}

/// Sabotage: read the count, drop the lock, then write it.
pub fn threads_get_exactly_the_limit<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    let nodes = Nodes::new(make, key);
    for (rule, window) in methods(120).into_iter().flat_map(|rule| (0..4).map(move |window| (rule, window * 2))) {
        let passed = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    let allowed = nodes.passed(1, &[rule, Rule::per_day(10_000)], at(window * MINUTE_MS), 10);
                    passed.fetch_add(allowed, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(passed.into_inner(), 120, "{rule:?}");
    }
}

/// A short and a long window; the answer is that of the one that refuses.
pub fn all_rules_must_have_room<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    let nodes = Nodes::new(make, key);
    let short = Rule::per(Duration::from_secs(10), 6).unwrap();
    for (n, rules) in (1..).zip([[short, Rule::per_hour(50)], [Rule::per_hour(50), short]]) {
        let total: u32 = (0..360).map(|window| nodes.passed(n, &rules, at(window * 10_000), 5)).sum();
        assert_eq!(total, 50);
        let refused = nodes.charge_all(n, &rules, at(3_590_000));
        assert_eq!((refused.allowed, refused.limit, refused.retry_after_s()), (false, 50, 10));
        assert!(nodes.charge_all(n, &rules, at(3_600_000)).allowed);
        nodes.passed(n, &rules, at(3_600_000), 5);
        let refused = nodes.charge_all(n, &rules, at(3_600_001));
        assert_eq!((refused.allowed, refused.limit, refused.retry_after_s()), (false, 6, 10));
    }
}

/// The same time twice, once in other words, and two buckets that are filled at different speeds. Sabotage: count all rules of
/// one time and method together.
pub fn rules_of_one_time_and_method_each_have_a_count<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    let nodes = Nodes::new(make, key);
    let minute = Rule::per(Duration::from_secs(60), 6).unwrap();
    let windows =
        [[Rule::per_minute(10), minute], [minute, minute], [minute.sliding(), Rule::per_minute(10).sliding()]];
    for (n, rules) in (1..).zip(windows) {
        assert_eq!(nodes.passed(n, &rules, at(0), 20), 6, "{rules:?}");
        nodes.next().refund(&(nodes.key)(n), &rules, at(0)).unwrap();
        assert_eq!(nodes.passed(n, &rules, at(0), 20), 1, "{rules:?}");
        assert_eq!(nodes.passed(n, &rules, at(MINUTE_MS), 20), 6, "{rules:?}");
    }
    // Ten at once, filled once a second, and never more than twenty, filled once in two.
    let (fast, slow) = (Rule::per_minute(60).burst(10), Rule::per_minute(30).burst(20));
    for (n, rules) in (10..).zip([[fast, slow], [slow, fast]]) {
        assert_eq!(nodes.passed(n, &rules, at(0), 30), 10);
        // Then one a second, until the slow bucket is empty after twenty seconds, and one in two seconds from then on.
        let later: Vec<u32> = (1..=30).map(|second| nodes.passed(n, &rules, at(second * 1_000), 5)).collect();
        assert!(later[..20].iter().all(|passed| *passed == 1), "{later:?}");
        assert_eq!(later[20..].iter().sum::<u32>(), 5, "{later:?}");
    }
}

/// What the short window refuses does not use up the long one.
pub fn refused_requests_count_nowhere<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    let nodes = Nodes::new(make, key);
    for (n, long) in (1..).zip([Rule::per_hour(9), Rule::per_hour(9).sliding(), Rule::per_month(9).burst(9)]) {
        let rules = [Rule::per_second(6), long];
        assert_eq!(nodes.passed(n, &rules, at(0), 100), 6, "{long:?}");
        assert_eq!(nodes.passed(n, &rules, at(1_000), 10), 3, "{long:?}");
    }
}

/// Sabotage: take back from a window that has ended.
pub fn what_is_taken_back_may_be_used_again<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    let nodes = Nodes::new(make, key);
    for rule in methods(30) {
        let rules = [rule, Rule::per_day(1_000_000)];
        for _ in 0..500 {
            assert!(nodes.charge_all(1, &rules, at(0)).allowed, "{rule:?}");
            nodes.next().refund(&(nodes.key)(1), &rules, at(0)).unwrap();
        }
        assert_eq!(nodes.passed(1, &rules, at(0), 40), 30, "{rule:?}");
        nodes.next().refund(&(nodes.key)(1), &rules, at(2 * MINUTE_MS)).unwrap();
        assert_eq!(nodes.passed(1, &rules, at(2 * MINUTE_MS), 40), 30, "{rule:?}");
    }
    // Nothing was counted of this one.
    nodes.next().refund(&(nodes.key)(2), &[Rule::per_minute(1)], at(0)).unwrap();
    assert_eq!(nodes.passed(2, &[Rule::per_minute(1)], at(0), 5), 1);
}

/// One step of a client or of the clock.
#[derive(Debug, Clone)]
enum Step {
    Charge { key: u64, requests: u32 },
    Wait(i64),
    WaitAsTold(u64),
}

fn steps(numbers: Vec<u32>, longest_ms: i64) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..3_u64, prop::sample::select(numbers)).prop_map(|(key, requests)| Step::Charge { key, requests }),
        2 => (0..longest_ms).prop_map(Step::Wait),
        1 => (0..3_u64).prop_map(Step::WaitAsTold),
    ];
    prop::collection::vec(step, 1..300)
}

/// Takes `steps`, and compares each answer with that of `reference`, which is told the key, the times at which its earlier
/// requests passed, the number of the rule, and the time.
fn compare<K, C: Counts<K>>(
    nodes: &Nodes<'_, K, C>,
    rule: Rule,
    (steps, start): (Vec<Step>, i64),
    reference: impl Fn(&[i64], u32, i64) -> Decision,
) -> Result<(), TestCaseError> {
    let mut now = start;
    let mut passed: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
    let mut told: BTreeMap<u64, (Duration, u32)> = BTreeMap::new();
    for step in steps {
        let (n, requests, was_told) = match step {
            Step::Charge { key, requests } => (key, requests, false),
            Step::Wait(ms) => {
                now += ms;
                continue;
            }
            Step::WaitAsTold(n) => {
                let Some((wait, requests)) = told.remove(&n) else { continue };
                now += i64::try_from(wait.as_millis()).unwrap();
                (n, requests, requests > 0)
            }
        };
        let passed = passed.entry(n).or_default();
        let decision = nodes.charge(n, rule.with_requests(requests), at(now));
        prop_assert_eq!(decision, reference(passed, requests, now), "{:?} at {}", passed, now);
        prop_assert!(decision.allowed || !was_told, "waited as told");
        if decision.allowed {
            passed.push(now);
            told.remove(&n);
        } else {
            told.insert(n, (decision.retry_after, requests));
        }
    }
    Ok(())
}

/// Against the time of every request that passed.
pub fn fixed_windows_equal_a_naive_reference<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    for (rule, length) in [
        (Rule::per_second(0), 1_000),
        (Rule::per_minute(0), MINUTE_MS),
        (Rule::per_hour(0), 60 * MINUTE_MS),
        (Rule::per_day(0), 24 * 60 * MINUTE_MS),
        (Rule::per(Duration::from_millis(7), 0).unwrap(), 7),
    ] {
        run::<K, C, _>(make, (steps(vec![0, 1, 3, 30], length + length / 6 + 2), 0..10_000_000_i64), |plan| {
            let nodes = Nodes::new(make, key);
            compare(&nodes, rule, plan, |passed, requests, now| {
                // Aligned to 1970, not to the beginning of the test.
                let window = |when: i64| (NOW_MS + when).div_euclid(length);
                let ends = at((window(now) + 1) * length - NOW_MS);
                let used = passed.iter().filter(|when| window(**when) == window(now)).count();
                let used = u32::try_from(used).unwrap();
                if used < requests {
                    Decision::allow(requests, requests - used - 1, ends)
                } else {
                    Decision::refuse(requests, ends, ends.since(at(now)))
                }
            })
        });
    }
}

/// Against the time of every request that passed; exact to the millisecond up to 32 requests.
pub fn sliding_windows_equal_a_naive_reference<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    for (rule, length) in
        [(Rule::per_second(0), 1_000), (Rule::per_minute(0), MINUTE_MS), (Rule::per_month(0), 31 * 86_400_000)]
    {
        run::<K, C, _>(make, (steps(vec![0, 1, 3, 32], length / 2 + 2), 0..10_000_000_i64), |plan| {
            let nodes = Nodes::new(make, key);
            compare(&nodes, rule.sliding(), plan, |passed, requests, now| {
                let live: Vec<i64> = passed.iter().copied().filter(|when| when + length > now).collect();
                let limit = requests as usize;
                if live.len() < limit {
                    Decision::allow(requests, requests - u32::try_from(live.len()).unwrap() - 1, at(now + length))
                } else {
                    let resets = live.last().map_or(now, |last| *last) + length;
                    // So many have to be over before one more passes.
                    let last_over = (live.len() - limit).checked_add(0).filter(|_| limit > 0).map_or(now, |n| live[n]);
                    let wait = u64::try_from(last_over + length - now).unwrap();
                    Decision::refuse(requests, at(resets), Duration::from_millis(wait))
                }
            })
        });
    }
}

/// With more than 32 requests: never more in any time of the length, and never fewer than if each were forgotten a 32nd of
/// the length later.
pub fn long_sliding_windows_never_let_more_pass<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    run::<K, C, _>(
        make,
        (33..200_u32, prop::collection::vec((1..80_u32, 0..9_000_i64), 1..60)),
        |(requests, steps)| {
            let nodes = Nodes::new(make, key);
            let rule = Rule::per_minute(requests).sliding();
            let (mut now, mut passed) = (0, Vec::new());
            for (tries, wait) in steps {
                now += wait;
                for _ in 0..tries {
                    let of_last = |length: i64| passed.iter().filter(|when| **when + length > now).count() as u64;
                    let (least, most) = (of_last(MINUTE_MS), of_last(MINUTE_MS + MINUTE_MS / 32));
                    let decision = nodes.charge(1, rule, at(now));
                    if decision.allowed {
                        prop_assert!(least < u64::from(requests));
                        passed.push(now);
                    } else {
                        prop_assert!(most >= u64::from(requests));
                        let wait = i64::try_from(decision.retry_after.as_millis()).unwrap();
                        prop_assert!(wait <= MINUTE_MS + MINUTE_MS / 32, "{wait}");
                    }
                }
            }
            let decision = nodes.charge(1, rule, at(now));
            if !decision.allowed {
                let then = at(now).plus(decision.retry_after);
                prop_assert!(nodes.charge(1, rule, then).allowed, "waited as told");
            }
            Ok(())
        },
    );
}

/// Against exact fractions.
pub fn buckets_equal_a_naive_reference<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    for (rule, length) in
        [(Rule::per_second(7), 1_000_i128), (Rule::per_minute(30), 60_000), (Rule::per_day(11), 86_400_000)]
    {
        for burst in [1, 4, 50] {
            let rule = rule.burst(burst);
            let longest = i64::try_from(length).unwrap();
            let wait = prop_oneof![3 => Just(0), 2 => 0..longest / 4, 1 => 0..8 * longest];
            run::<K, C, _>(make, prop::collection::vec((wait, 1..4_u32), 1..120), |steps| {
                let nodes = Nodes::new(make, key);
                // What is missing, in requests times milliseconds.
                let (mut now, mut missing) = (0_i64, 0_i128);
                let requests = i128::from(rule.requests());
                for (wait, tries) in steps {
                    now += wait;
                    missing = (missing - i128::from(wait) * requests).max(0);
                    for _ in 0..tries {
                        let decision = nodes.charge(1, rule, at(now));
                        let full = i128::from(burst) * length;
                        let to_fill = |missing: i128| i64::try_from((missing + requests - 1) / requests).unwrap();
                        if missing + length <= full {
                            missing += length;
                            let left = u32::try_from((full - missing) / length).unwrap();
                            prop_assert_eq!(decision, Decision::allow(burst, left, at(now + to_fill(missing))));
                        } else {
                            let wait = to_fill(missing + length - full);
                            let wait = Duration::from_millis(u64::try_from(wait).unwrap());
                            prop_assert_eq!(decision, Decision::refuse(burst, at(now + to_fill(missing)), wait));
                        }
                    }
                }
                Ok(())
            });
        }
    }
}

/// In UTC, however long they are.
pub fn months_are_those_of_the_calendar<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    let nodes = Nodes::new(make, key);
    let day = |days: i64| UnixTime::from_millis(days * 86_400_000);
    // 2027-12-01, 2028-01-01, 2028-02-01, 2028-03-01, 2028-04-01 in days since 1970.
    let firsts = [21_153, 21_184, 21_215, 21_244, 21_275];
    for (n, month) in firsts.windows(2).enumerate() {
        let (first, next) = (day(month[0]), day(month[1]));
        let last = UnixTime::from_millis(next.as_millis() - 1);
        let rule = Rule::per_month(2);
        assert_eq!(nodes.charge(1, rule, first), Decision::allow(2, 1, next), "{n}");
        assert_eq!(nodes.charge(1, rule, last), Decision::allow(2, 0, next), "{n}");
        assert_eq!(nodes.charge(1, rule, last), Decision::refuse(2, next, Duration::from_millis(1)), "{n}");
    }
}

/// Corrections of the clock by a few seconds give no window twice. Sabotage: number windows by the clock alone.
pub fn small_steps_back_give_no_extra_allowance<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    for rule in methods(1) {
        run::<K, C, _>(make, prop::collection::vec(-10_000..12_000_i64, 1..300), |steps| {
            let nodes = Nodes::new(make, key);
            let (mut now, mut latest, mut passed) = (0_i64, 0, 0_i64);
            for step in steps {
                // The clock never falls more than 10 s behind the latest time it showed.
                now = (now + step).max(latest - 10_000).max(0);
                latest = latest.max(now);
                passed += i64::from(nodes.charge(1, rule, at(now)).allowed);
            }
            prop_assert!(passed <= latest / MINUTE_MS + 1, "{passed} {rule:?}");
            Ok(())
        });
    }
}

/// Jumps of the clock by any distance lock nobody out, and each gives at most one window more.
pub fn jumps_of_the_clock_lock_nobody_out<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    for rule in methods(1) {
        run::<K, C, _>(make, prop::collection::vec((-9_000_000..9_000_000_i64, 0..60_000_i64), 1..60), |steps| {
            let nodes = Nodes::new(make, key);
            let (mut now, mut elapsed, mut passed) = (0_i64, 0, 0_i64);
            let jumps = i64::try_from(steps.len()).unwrap();
            for (jump, wait) in steps {
                now += jump + wait;
                elapsed += wait;
                let decision = nodes.charge(1, rule, at(now));
                passed += i64::from(decision.allowed);
                let wait = if decision.allowed { decision.reset_at.since(at(now)) } else { decision.retry_after };
                let wait = i64::try_from(wait.as_millis()).unwrap();
                prop_assert!(wait <= 70_000, "{wait}");
                now += wait;
                elapsed += wait;
                prop_assert!(nodes.charge(1, rule, at(now)).allowed, "waited as told");
                passed += 1;
            }
            prop_assert!(passed <= elapsed / MINUTE_MS + 1 + 2 * jumps);
            Ok(())
        });
    }
}

/// Whatever the time, the number and the length: an answer, and no more than the limit at once.
pub fn any_rule_at_any_time_has_an_answer<K, C: Counts<K>>(make: Make<'_, C>, key: Key<'_, K>) {
    let times =
        prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0), any::<i64>(), -4_000_000_000_000..4_000_000_000_000_i64];
    let number = || prop_oneof![Just(0), Just(u32::MAX), 0..40_u32, any::<u32>()];
    let length = prop_oneof![Just(1), Just(2_678_400_000), 1..2_678_400_000_u64];
    let step =
        (times, number(), prop::option::of(number()), any::<bool>(), prop::option::of(length), 0..3_u64, any::<bool>());
    run::<K, C, _>(make, prop::collection::vec(step, 1..40), |steps| {
        let nodes = Nodes::new(make, key);
        for (millis, requests, burst, sliding, length, n, takes_back) in steps {
            let rule = length.map_or(Rule::per_month(requests), |millis| {
                Rule::per(Duration::from_millis(millis), requests).unwrap()
            });
            let rule = match burst {
                Some(burst) => rule.burst(burst),
                None if sliding => rule.sliding(),
                None => rule,
            };
            let now = UnixTime::from_millis(millis);
            let decision = nodes.charge(n, rule, now);
            prop_assert!(decision.limit == burst.filter(|_| requests > 0).unwrap_or(requests));
            prop_assert!(decision.remaining < decision.limit || !decision.allowed);
            if takes_back {
                nodes.next().refund(&(nodes.key)(n), &[rule], now).unwrap();
            }
        }
        Ok(())
    });
}
