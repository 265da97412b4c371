//! What every store of the questions of assistants must do.

use std::sync::atomic::{AtomicU64, Ordering};

use zenovay_domain::{Plan, Timestamp, UserId};

use super::Harness;
use crate::{AssistantAccount, AssistantCharge, AssistantStore, AssistantUsage};

/// Makes a `#[test]` of every rule of assistants for the harness that `$make` makes.
#[macro_export]
macro_rules! assistant_conformance_tests {
    ($make:expr) => {
        #[test]
        fn questions_are_counted_exactly_by_any_number_of_callers_and_across_openings() {
            $crate::conformance::assistants::questions_are_counted_exactly_by_any_number_of_callers_and_across_openings(
                &$make,
            );
        }

        #[test]
        fn a_day_begins_at_midnight_and_never_twice() {
            $crate::conformance::assistants::a_day_begins_at_midnight_and_never_twice(&$make);
        }

        #[test]
        fn what_was_asked_on_days_before_is_forgotten() {
            $crate::conformance::assistants::what_was_asked_on_days_before_is_forgotten(&$make);
        }
    };
}

const DAY_MS: i64 = 24 * 3_600_000;
/// 2026-06-13T12:00:00Z
const NOON: Timestamp = Timestamp::from_millis(1_781_352_000_000);
const MIDNIGHT: Timestamp = Timestamp::from_millis(1_781_395_200_000);

fn ann() -> AssistantAccount {
    AssistantAccount::Person(UserId::from_random_bytes([1; 16]))
}

fn charge(store: &impl AssistantStore, cost: u64, limit: u64, now: Timestamp) -> (bool, u64, Timestamp) {
    match store.charge_assistant(ann(), Plan::Free, cost, Some(limit), now).unwrap() {
        AssistantCharge::Counted(usage) => (true, usage.used, usage.resets_at),
        AssistantCharge::Exhausted(usage) => (false, usage.used, usage.resets_at),
    }
}

/// Sabotage: read the count first and write it afterwards.
#[doc(hidden)]
pub fn questions_are_counted_exactly_by_any_number_of_callers_and_across_openings<H>(harness: &H)
where
    H: Harness<Store: AssistantStore>,
{
    let stores = [harness.open(), harness.open()];
    let counted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (store, counted) = (&stores[number % 2], &counted);
            scope.spawn(move || {
                for _ in 0..10 {
                    if charge(store, 1, 50, NOON).0 {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(counted.into_inner(), 50);
    drop(stores);
    let store = harness.open();
    assert_eq!(charge(&store, 1, 50, NOON), (false, 50, MIDNIGHT));
    assert_eq!(charge(&store, 3, 52, NOON), (false, 50, MIDNIGHT), "a dear question does not fit into the rest");
    assert_eq!(charge(&store, 3, 53, NOON), (true, 53, MIDNIGHT), "another limit applies at once");
    let other = store.charge_assistant(ann(), Plan::Pro, 1, None, NOON).unwrap();
    assert_eq!(other, AssistantCharge::Counted(AssistantUsage::new(1, MIDNIGHT)), "each plan has its own day");
}

/// Sabotage: let every later day go on, or none.
#[doc(hidden)]
pub fn a_day_begins_at_midnight_and_never_twice<H: Harness<Store: AssistantStore>>(harness: &H) {
    let store = harness.open();
    let next = MIDNIGHT.plus_millis(DAY_MS);
    assert_eq!(charge(&store, 2, 2, NOON), (true, 2, MIDNIGHT));
    assert_eq!(charge(&store, 1, 2, MIDNIGHT.plus_millis(-1)), (false, 2, MIDNIGHT));
    assert_eq!(store.assistant_usage(ann(), Plan::Free, MIDNIGHT).unwrap(), AssistantUsage::new(0, next));
    assert_eq!(charge(&store, 2, 2, MIDNIGHT), (true, 2, next));
    assert_eq!(charge(&store, 1, 2, MIDNIGHT.plus_millis(-60_000)), (false, 2, next), "the clock stepped back");
    assert!(charge(&store, 1, 2, NOON.plus_millis(-DAY_MS)).0, "a clock that was wrong");
    assert_eq!(charge(&store, 0, 0, NOON).1, 0);
    assert!(!charge(&store, 1, 0, NOON).0, "a limit of nothing");
}

/// Sabotage: keep every day.
#[doc(hidden)]
pub fn what_was_asked_on_days_before_is_forgotten<H: Harness<Store: AssistantStore>>(harness: &H) {
    let store = harness.open();
    charge(&store, 1, 9, NOON);
    let bob = AssistantAccount::Person(UserId::from_random_bytes([2; 16]));
    store.charge_assistant(bob, Plan::Free, 1, None, NOON.plus_millis(3 * DAY_MS)).unwrap();
    // The clock of three days later was wrong: what was asked before it is gone all the same.
    assert_eq!(store.assistant_usage(ann(), Plan::Free, NOON).unwrap().used, 0);
}
