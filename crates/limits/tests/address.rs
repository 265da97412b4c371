//! Limits per client address.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use proptest::prelude::*;
use zenovay_limits::{
    AddressLimiter, ClientNetwork, Counts, DEFAULT_MAX_BYTES, Decision, LimiterUnavailable, MemoryCounts, Network,
    Rule, SITE_FACTOR, UnixTime,
};

const MINUTE_MS: i64 = 60_000;

fn at(millis: i64) -> UnixTime {
    UnixTime::from_millis(1_781_308_800_000 + millis)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn limiter() -> AddressLimiter {
    AddressLimiter::new(Rule::per_minute(30))
}

/// How many of `tries` requests pass.
fn passed(limiter: &AddressLimiter, address: &str, millis: i64, tries: u32) -> u32 {
    (0..tries).map(|_| u32::from(limiter.check_at(ip(address), at(millis)).is_ok())).sum()
}

#[test]
fn ipv4_inside_ipv6_is_the_ipv4_address_and_no_two_share() {
    let v4 = ClientNetwork::from(ip("192.0.2.1"));
    let spellings = ["::ffff:192.0.2.1", "::ffff:c000:201", "64:ff9b::192.0.2.1", "64:ff9b::c000:201"];
    for spelling in spellings {
        assert_eq!(ClientNetwork::from(ip(spelling)), v4, "{spelling}");
    }
    for other in ["192.0.2.2", "::ffff:192.0.2.2", "::192.0.2.1", "64:ff9b:1::192.0.2.1", "2001:db8::c000:201"] {
        assert_ne!(ClientNetwork::from(ip(other)), v4, "{other}");
    }
    let limiter = limiter();
    let total: u32 = (0..20).flat_map(|_| spellings).map(|spelling| passed(&limiter, spelling, 0, 1)).sum();
    assert_eq!(total, 30);
    assert_eq!(passed(&limiter, "::ffff:192.0.2.2", 0, 1), 1);
}

#[test]
fn a_64_is_one_client_and_a_48_is_at_most_sixteen() {
    let network = 0x2001_0db8_u128 << 96;
    for rule in [Rule::per_minute(30), Rule::per_minute(30).sliding(), Rule::per_minute(30).burst(30)] {
        let passed = |limiter: &AddressLimiter, addresses: &dyn Fn(u32) -> u128| -> u32 {
            let allowed = |n| limiter.check_at(IpAddr::V6(Ipv6Addr::from_bits(addresses(n))), at(0)).is_ok();
            (0..4_000_u32).map(|n| u32::from(allowed(n))).sum()
        };
        assert_eq!(passed(&AddressLimiter::new(rule), &|n| network | u128::from(n)), 30, "{rule:?}");
        let limiter = AddressLimiter::new(rule);
        assert_eq!(passed(&limiter, &|n| network | u128::from(n) << 64), SITE_FACTOR * 30, "{rule:?}");
        assert!(limiter.check_at(ip("2001:db8:1::1"), at(0)).is_ok(), "the next /48");
        // Whom the /48 refuses has used up nothing of their own.
        let fresh = ip("2001:db8:0:ffff::1");
        assert!((0..50).all(|_| limiter.check_at(fresh, at(1)).is_err()));
        assert_eq!((0..50).filter(|_| limiter.check_at(fresh, at(2 * MINUTE_MS)).is_ok()).count(), 30, "{rule:?}");
    }
}

/// Sabotage: take back from the client alone.
#[test]
fn what_is_taken_back_may_be_used_again() {
    let limiter = limiter();
    let (v4, v6) = ("203.0.113.9", "2001:db8::1");
    for _ in 0..500 {
        for address in [v4, v6].map(ip) {
            assert!(limiter.charge(address, at(0)).unwrap().allowed);
            limiter.refund(address, at(0)).unwrap();
        }
    }
    for address in [v4, v6] {
        assert_eq!(passed(&limiter, address, 0, 40), 30);
    }
    limiter.refund(ip(v4), at(MINUTE_MS)).unwrap();
    assert_eq!(passed(&limiter, v4, MINUTE_MS, 40), 30);
}

#[test]
fn all_rules_hold_and_the_one_that_refuses_answers() {
    let short = Rule::per(std::time::Duration::from_secs(10), 6).unwrap();
    let limiter = AddressLimiter::new(short).and(Rule::per_hour(50));
    for address in ["192.0.2.1", "2001:db8::1"] {
        let total: u32 = (0..360).map(|window| passed(&limiter, address, window * 10_000, 5)).sum();
        assert_eq!(total, 50);
        let refused = limiter.check_at(ip(address), at(3_590_000)).unwrap_err();
        assert_eq!((refused.decision().limit, refused.retry_after_s()), (50, 10));
    }
}

#[test]
fn threads_get_exactly_the_limit_of_an_address() {
    for address in ["192.0.2.1", "2001:db8::1"] {
        let limiter = limiter();
        let total: u32 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..64).map(|_| scope.spawn(|| passed(&limiter, address, 0, 20))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(total, 30);
    }
}

/// Nor is anybody locked out for much longer than a window.
#[test]
fn a_clock_that_goes_back_gives_nothing_twice() {
    let limiter = limiter();
    assert_eq!(passed(&limiter, "192.0.2.1", 0, 40), 30);
    for back in [1, 9_000, 60_000, 3_600_000] {
        let refused = limiter.check_at(ip("192.0.2.1"), at(-back)).unwrap_err();
        assert!(refused.retry_after_s() <= 70, "{back}: {}", refused.retry_after_s());
    }
}

/// Sabotage: make room by forgetting any entry.
#[test]
fn a_blocked_client_stays_blocked_however_many_others_come() {
    let limiter = limiter();
    let blocked = ["192.0.2.1", "2001:db8::1"];
    for address in blocked {
        assert_eq!(passed(&limiter, address, 0, 40), 30);
    }
    let flood = |range: std::ops::Range<u32>| {
        for n in range {
            let _ = limiter.check_at(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n)), at(1));
        }
    };
    flood(0..1_200_000);
    // One who comes when the table is full is blocked in time, too.
    let late = "198.51.100.7";
    assert!(passed(&limiter, late, 2, 40) <= 30);
    flood(1_200_000..1_300_000);
    for address in [blocked[0], blocked[1], late] {
        assert_eq!(passed(&limiter, address, 3, 40), 0, "{address}");
    }
    assert!(limiter.counts().bytes() <= DEFAULT_MAX_BYTES);
    // The next minute starts afresh.
    assert_eq!(passed(&limiter, blocked[0], 60_000, 40), 30);
}

struct Lost;

impl Counts<Network> for Lost {
    fn charge(&self, _: &Network, _: &[Rule], _: UnixTime) -> Result<Decision, LimiterUnavailable> {
        Err(LimiterUnavailable::new("no route to 10.0.0.7:6379"))
    }

    fn refund(&self, _: &Network, _: &[Rule], _: UnixTime) -> Result<(), LimiterUnavailable> {
        Err(LimiterUnavailable::new(std::io::Error::other("no route")))
    }

    fn may_block(&self) -> bool {
        true
    }
}

#[test]
fn counts_may_be_elsewhere() {
    let counts: Arc<dyn Counts<Network>> = Arc::new(Lost);
    let limiter = AddressLimiter::over(counts, Rule::per_minute(30));
    let error = limiter.charge(ip("192.0.2.1"), at(0)).unwrap_err();
    assert_eq!((error.to_string(), error.status()), ("the limit cannot be checked".to_owned(), 503));
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no route to 10.0.0.7:6379");
    assert!(limiter.refund(ip("2001:db8::1"), at(0)).is_err());
    assert!(limiter.may_block());
    let here: Arc<dyn Counts<Network>> = Arc::new(MemoryCounts::new());
    let limiter = AddressLimiter::over(here, Rule::per_minute(1));
    assert!(limiter.charge(ip("192.0.2.1"), at(0)).unwrap().allowed);
    assert!(!limiter.charge(ip("192.0.2.1"), at(0)).unwrap().allowed);
    assert!(!limiter.may_block());
}

proptest! {
    #[test]
    fn any_address_has_an_answer(bits: u128, v4: u32, millis: i64, requests in 0..3_u32) {
        let limiter = AddressLimiter::new(Rule::per_minute(requests)).max_bytes(4_096);
        for address in [IpAddr::from(Ipv6Addr::from_bits(bits)), IpAddr::from(Ipv4Addr::from_bits(v4))] {
            let now = UnixTime::from_millis(millis);
            prop_assert_eq!(limiter.check_at(address, now).is_ok(), requests > 0);
            limiter.refund(address, now).unwrap();
        }
    }
}
