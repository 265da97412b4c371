//! No rule, key or time panics, and whatever they are an answer keeps to its rule.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use zenovay_limits::{Decision, Limiter, MemoryCounts, Rule, UnixTime};

/// Any time, mostly at the ends of what there is.
fn millis() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -3i64..3, 1_700_000_000_000i64..1_900_000_000_000]
}

fn duration() -> impl Strategy<Value = Duration> {
    let any = (any::<u64>(), 0..1_000_000_000u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos));
    prop_oneof![any, (0..4_000_000u64).prop_map(Duration::from_millis), Just(Duration::MAX), Just(Duration::ZERO)]
}

fn rule() -> impl Strategy<Value = Rule> {
    let number = || prop_oneof![any::<u32>(), 0..4u32, Just(u32::MAX)];
    let fixed = number().prop_flat_map(|of| {
        prop::sample::select(vec![
            Rule::per_second(of),
            Rule::per_minute(of),
            Rule::per_hour(of),
            Rule::per_day(of),
            Rule::per_month(of),
        ])
    });
    let of_any_time =
        (duration(), number()).prop_filter_map("a time that a rule can have", |(time, of)| Rule::per(time, of).ok());
    (prop_oneof![fixed, of_any_time], 0..3u8, number()).prop_map(|(rule, way, number)| match way {
        0 => rule,
        1 => rule.sliding(),
        _ => rule.burst(number),
    })
}

proptest! {
    #[test]
    fn any_rule_holds_at_any_time(
        rules in prop::collection::vec(rule(), 1..4), requests in prop::collection::vec((".{0,12}", millis(), any::<bool>()), 1..20),
        bytes in prop_oneof![any::<usize>(), 0..5_000usize], own in rule(), number: u32,
    ) {
        let limiter = rules[1..].iter().fold(Limiter::<String>::new(rules[0]), |limiter, rule| limiter.and(*rule));
        // Not more than a test may take.
        let limiter = limiter.max_bytes(bytes.min(1 << 20));
        for (key, millis, refund) in requests {
            for answer in [limiter.check_at(key.as_str(), millis), limiter.check_rule_at(key.as_str(), own.with_requests(number), millis)] {
                let decision = answer.unwrap_or_else(|refused| refused.decision());
                prop_assert!(decision.remaining <= decision.limit);
                prop_assert!(decision.allowed || decision.retry_after_s() >= 1, "{:?}", decision);
            }
            if refund {
                limiter.refund_at(key.as_str(), millis);
            }
            limiter.counts().forget(millis);
        }
        prop_assert!(limiter.counts().bytes() <= bytes.clamp(1 << 16, 1 << 20), "{} bytes", limiter.counts().bytes());
    }

    #[test]
    fn any_counts_are_taken_and_given_back(rules in prop::collection::vec(rule(), 0..4), first in millis(), second in millis()) {
        let counts = MemoryCounts::<u64>::with_max_bytes(1 << 16);
        let decision = counts.check(&1, &rules, first);
        counts.take_back(&1, &rules, second);
        let tighter = decision.tighter(counts.check(&1, &rules, second));
        prop_assert!(tighter.remaining <= decision.remaining);
    }

    #[test]
    fn no_time_is_too_far_away(one in millis(), other in millis(), by in duration(), limit: u32) {
        let (one, other) = (UnixTime::from_millis(one), UnixTime::from_millis(other));
        let _time = (one.plus(by), one.since(other), other.since(one), one.to_string());
        let refused = Decision::refuse(limit, one, by);
        prop_assert!(refused.into_result().is_err() && !Decision::allow(limit, limit, other).tighter(refused).allowed);
        for at in [SystemTime::UNIX_EPOCH.checked_add(by), SystemTime::UNIX_EPOCH.checked_sub(by)].into_iter().flatten() {
            let _time = UnixTime::from(at).as_millis();
        }
    }

    #[test]
    fn a_rule_is_of_some_time(time in duration(), requests: u32) {
        match Rule::per(time, requests) {
            Ok(rule) => prop_assert_eq!(rule.requests(), requests),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
