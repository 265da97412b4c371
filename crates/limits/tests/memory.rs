//! The suite on the counts of a single process, and what they do with very many keys.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use zenovay_limits::{DEFAULT_MAX_BYTES, Limiter, MemoryCounts, Rule, UnixTime, counts_tests};

mod suite {
    use super::*;

    counts_tests!(vec![MemoryCounts::<u64>::new()], |n: u64| n);
}

/// The suite must not depend on how much room there is, as long as its few keys find it.
mod suite_of_strings_in_a_small_room {
    use super::*;

    counts_tests!(vec![MemoryCounts::<String>::with_max_bytes(64 << 10)], |n: u64| format!("key {n}"));
}

const TWO_MILLION: u64 = 2_000_000;

fn at(millis: i64) -> UnixTime {
    UnixTime::from_millis(1_781_308_800_000 + millis)
}

fn all_methods(requests: u32) -> [Rule; 3] {
    let rule = Rule::per_minute(requests);
    [rule, rule.sliding(), rule.burst(requests)]
}

/// Sabotage: make room by forgetting any key, or let what finds no room pass.
#[test]
fn two_million_made_up_keys_take_no_more_memory_than_is_stated_and_free_nobody() {
    for rule in all_methods(30) {
        let counts = MemoryCounts::<String>::new();
        let passed = |key: &str, millis, tries: u32| -> u32 {
            (0..tries).map(|_| u32::from(counts.check(key, &[rule], at(millis)).allowed)).sum()
        };
        // One who is blocked, and one who has used a part.
        assert_eq!((passed("blocked", 0, 40), passed("half", 0, 20)), (30, 20), "{rule:?}");
        let mut most = 0;
        for n in 0..TWO_MILLION {
            let _ = counts.check(&format!("made up {n}"), &[rule], at(1));
            if n % 100_000 == 0 {
                most = most.max(counts.bytes());
            }
        }
        most = most.max(counts.bytes());
        assert!(most <= DEFAULT_MAX_BYTES, "{rule:?}: {most}");
        let held = if rule == all_methods(30)[1] { 100_000..=114_688 } else { 900_000..=917_504 };
        assert!(held.contains(&counts.len()), "{rule:?}: {}", counts.len());
        // Known keys keep their counts; one who comes late is limited, too.
        assert_eq!((passed("blocked", 2, 40), passed("half", 2, 40)), (0, 10), "{rule:?}");
        assert!(passed("late", 2, 100) <= 30, "{rule:?}");
        assert_eq!(passed("late", 2, 40), 0, "{rule:?}");

        // Four minutes later everything is over; requests of others, which come to every shard, give the memory back.
        for n in 0..25_000 {
            let _ = counts.check(&format!("visitor {}", n % 2_000), &[rule], at(240_000 + n));
        }
        assert!(counts.len() <= 2_100, "{rule:?}: {}", counts.len());
        assert!(counts.bytes() <= 1 << 20, "{rule:?}: {}", counts.bytes());
        assert_eq!(passed("blocked", 270_000, 40), 30, "{rule:?}");
        // And when nobody comes, whoever asks for it.
        counts.forget(at(600_000));
        assert_eq!((counts.len(), counts.bytes()), (0, 0), "{rule:?}");
    }
}

/// Sabotage: begin at nothing when a key that was counted with others finds room.
#[test]
fn who_finds_room_later_gets_nothing_twice() {
    let (short, long) = (Rule::per_second(1), Rule::per_minute(30));
    for long in [long, long.sliding(), long.burst(30)] {
        let counts = MemoryCounts::<u64>::with_max_bytes(4 << 10);
        // Others fill the room for a second.
        assert!((0..10_000).filter(|n| counts.check(n, &[short], at(0)).allowed).count() > 10);
        let room = counts.len();
        assert!((1..200).contains(&room), "{room}");
        let passed = |millis, tries| (0..tries).filter(|_| counts.check(&77_777, &[long], at(millis)).allowed).count();
        assert_eq!(passed(500, 20), 20, "{long:?}");
        assert!(counts.len() <= room, "counted together with others");
        // Their counts are over, and the newcomer is held now.
        let then = passed(1_500, 100);
        assert!((10..=11).contains(&then), "{long:?}: {then}");
        assert_eq!(counts.len(), 1);
    }
}

#[test]
fn every_number_of_bytes_is_kept_to() {
    for bytes in [0, 1, 4_096, 5_000, 100_000, 1 << 20, 3 << 20, (5 << 20) + 7] {
        for rule in all_methods(5) {
            let counts = MemoryCounts::<u64>::with_max_bytes(bytes);
            for n in 0..60_000 {
                let _ = counts.check(&n, &[rule, Rule::per_hour(5)], at(0));
            }
            assert!(counts.bytes() <= bytes.max(4_096), "{bytes}: {} of {rule:?}", counts.bytes());
            assert!(!counts.is_empty());
        }
    }
}

/// More different times of rules than are counted together: who finds no room is refused.
#[test]
fn nobody_escapes_by_rules_of_many_times() {
    let counts = MemoryCounts::<u64>::with_max_bytes(4 << 10);
    assert!((0..1_000).filter(|n| counts.check(n, &[Rule::per_hour(1)], at(0)).allowed).count() > 10);
    for seconds in 1..40 {
        let rule = Rule::per(std::time::Duration::from_secs(seconds), 3).unwrap();
        let passed = (0..50).filter(|_| counts.check(&5_000, &[rule], at(0)).allowed).count();
        assert!(passed <= 3, "{seconds}: {passed}");
    }
    assert!(counts.bytes() <= 4 << 10, "{}", counts.bytes());
}

#[test]
fn a_limiter_says_how_much_it_holds() {
    let limiter = Limiter::<str>::new(Rule::per_minute(2)).and(Rule::per_day(10)).max_bytes(1 << 20);
    assert!(limiter.check("alice").is_ok());
    limiter.refund_at("alice", UnixTime::now());
    assert_eq!(limiter.counts().len(), 2);
    assert!(format!("{limiter:?}").contains("len: 2") && !format!("{limiter:?}").contains("alice"));
}
