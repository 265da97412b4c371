//! What every [`Shared`] must do, as tests that run on any of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::collections::BTreeSet;
use std::sync::Barrier;

use zenovay_domain::{Timestamp, VisitorId, WebsiteId};
use zenovay_events::IdempotencyKey;

use crate::{Claim, Erasure, Shared};

/// Makes a `#[test]` of each rule for what `$make` makes: an empty place, as a closure that opens it once more at each call.
#[macro_export]
macro_rules! shared_tests {
    ($make:expr) => {
        $crate::shared_tests! { $make;
            numbers_are_given_once,
            a_key_is_held_by_one_event,
            a_key_is_free_when_it_is_old_or_its_website_is_gone,
            the_ledger_is_the_last_one,
            what_is_erased_is_told_to_all,
        }
    };
    ($make:expr; $($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                $crate::conformance::$name(&$make);
            }
        )*
    };
}

const NOW: Timestamp = Timestamp::from_millis(1_781_308_800_000);
const DAY_MS: i64 = 24 * 3_600_000;
const NODES: usize = 4;

fn site(number: u8) -> WebsiteId {
    WebsiteId::from_random_bytes([number; 16])
}

/// The event `arrival` with the key `key` of a website; keys are kept for eight days.
fn claim(website: u8, key: u8, arrival: u64, received_at: Timestamp) -> Claim {
    Claim::new(site(website), IdempotencyKey([key; 16]), arrival, received_at, 8 * DAY_MS)
}

/// What several nodes are told that all do `ask` at once.
fn at_once<S: Shared, T: Send>(open: &(impl Fn() -> S + Sync), ask: impl Fn(&S, u64) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(NODES);
    std::thread::scope(|scope| {
        let nodes: Vec<_> = (0..NODES as u64)
            .map(|node| {
                let (start, ask) = (&start, &ask);
                scope.spawn(move || {
                    let shared = open();
                    start.wait();
                    ask(&shared, node)
                })
            })
            .collect();
        nodes.into_iter().map(|node| node.join().unwrap()).collect()
    })
}

/// Numbers follow each other, and nobody gets one that somebody has.
///
/// # Panics
/// When it is not so.
pub fn numbers_are_given_once<S: Shared>(open: &(impl Fn() -> S + Sync)) {
    let first = open().reserve(10).unwrap();
    let taken = at_once(open, |shared, _| (0..25).map(|_| shared.reserve(3).unwrap()).collect::<Vec<_>>());
    assert!(taken.iter().all(|of_node| of_node.is_sorted()), "each is greater than those before");
    let all: BTreeSet<u64> = taken.into_iter().flatten().flat_map(|first| first..first + 3).collect();
    assert_eq!(all.len(), NODES * 75);
    assert_eq!(all.into_iter().min(), Some(first + 10));
    let next = first + 10 + NODES as u64 * 75;
    assert_eq!(open().reserve(1).unwrap(), next);
    for (raised, given) in [(next, next + 1), (next + 100, next + 100)] {
        open().raise(raised).unwrap();
        assert_eq!(open().reserve(1).unwrap(), given);
    }
}

/// Of several events with a key one holds it, and it is told so as often as it asks.
///
/// # Panics
/// When it is not so.
pub fn a_key_is_held_by_one_event<S: Shared>(open: &(impl Fn() -> S + Sync)) {
    let claims = |node: u64| -> Vec<Claim> {
        // Each node has them in another order.
        (0..40).map(|number| claim(1, (number * 7 + node * 13) as u8 % 40, node * 100 + number, NOW)).collect()
    };
    let told = at_once(open, |shared, node| shared.claim(&claims(node)).unwrap());
    let mut holders = BTreeSet::new();
    for (node, is_held) in (0..).zip(&told) {
        for (claim, _) in claims(node).iter().zip(is_held).filter(|(_, is_held)| **is_held) {
            assert!(holders.insert(claim.key.0), "two hold {:?}", claim.key);
        }
    }
    assert_eq!(holders.len(), 40, "somebody holds each");
    let again = at_once(open, |shared, node| shared.claim(&claims(node)).unwrap());
    assert_eq!(again, told);
    let shared = open();
    assert_eq!(shared.claim(&[claim(2, 0, 900, NOW), claim(2, 0, 901, NOW)]).unwrap(), [true, false]);
    assert!(shared.claim(&[]).unwrap().is_empty());
}

/// A key is free after its time, and with its website.
///
/// # Panics
/// When it is not so.
pub fn a_key_is_free_when_it_is_old_or_its_website_is_gone<S: Shared>(open: &(impl Fn() -> S + Sync)) {
    let shared = open();
    let later = NOW.plus_millis(8 * DAY_MS);
    assert_eq!(shared.claim(&[claim(1, 1, 1, NOW), claim(1, 2, 2, NOW), claim(2, 1, 3, NOW)]).unwrap(), [true; 3]);
    assert_eq!(shared.claim(&[claim(1, 1, 4, later)]).unwrap(), [false]);
    assert_eq!(shared.claim(&[claim(1, 1, 5, later.plus_millis(1))]).unwrap(), [true]);
    assert_eq!(shared.claim(&[claim(1, 1, 4, later)]).unwrap(), [false], "it is that of another now");
    shared.forget(site(2)).unwrap();
    assert_eq!(shared.claim(&[claim(2, 1, 6, NOW), claim(1, 2, 7, NOW)]).unwrap(), [true, false]);
    shared.forget_before(NOW.plus_millis(1)).unwrap();
    let kept = [claim(1, 1, 8, NOW), claim(1, 2, 9, NOW), claim(2, 1, 10, NOW)];
    assert_eq!(open().claim(&kept).unwrap(), [false, true, true]);
}

/// The ledger is there for whoever comes later.
///
/// # Panics
/// When it is not so.
pub fn the_ledger_is_the_last_one<S: Shared>(open: &(impl Fn() -> S + Sync)) {
    assert_eq!(open().retention().unwrap(), None);
    let mut before = None;
    for ledger in ["{}", r#"{"days":7,"text":"é'"}"#] {
        assert!(open().replace_retention(before, ledger).unwrap());
        assert_eq!(open().retention().unwrap().as_deref(), Some(ledger));
        // By somebody who knows an older one.
        assert!(!open().replace_retention(before, "{\"old\":1}").unwrap());
        assert!(!open().replace_retention(Some("another"), "{}").unwrap());
        assert_eq!(open().retention().unwrap().as_deref(), Some(ledger));
        before = Some(ledger);
    }
    // Of several that change the same one, one does.
    let changed =
        at_once(open, |shared, node| shared.replace_retention(before, &format!("{{\"node\":{node}}}")).unwrap());
    assert_eq!(changed.iter().filter(|changed| **changed).count(), 1);
}

/// Each erasure has a number, and whoever read up to one missed none before it.
///
/// # Panics
/// When it is not so.
pub fn what_is_erased_is_told_to_all<S: Shared>(open: &(impl Fn() -> S + Sync)) {
    let shared = open();
    assert_eq!((shared.last_erasure().unwrap(), shared.erasures_after(0).unwrap()), (0, Vec::new()));
    assert_eq!(shared.add_erasure(site(9), None).unwrap(), 1);
    // Half of the nodes erase while the others read.
    let read = at_once(open, |shared, node| {
        let (mut read, mut after) = (Vec::new(), 0);
        for number in 0..20 {
            if node % 2 == 0 {
                shared.add_erasure(site(node as u8), Some(VisitorId(u64::MAX - number))).unwrap();
            }
            let more = shared.erasures_after(after).unwrap();
            after = more.last().map_or(after, |last| last.id);
            read.extend(more);
        }
        (read, after)
    });
    let all = open().erasures_after(0).unwrap();
    assert_eq!(open().last_erasure().unwrap(), all.len() as u64);
    assert_eq!(all.len(), 1 + NODES / 2 * 20);
    assert_eq!(all[0], Erasure::new(1, site(9), None));
    assert!(all.iter().any(|erasure| erasure.visitor == Some(VisitorId(u64::MAX))));
    for (mut of_node, after) in read {
        of_node.extend(shared.erasures_after(after).unwrap());
        assert_eq!(of_node, all);
    }
    // Somebody knows more than a place that was put back.
    let last = all.len() as u64;
    assert!(shared.erasures_after(last + 10).unwrap().is_empty());
    assert_eq!(open().add_erasure(site(1), None).unwrap(), last + 11);
    assert_eq!(shared.erasures_after(last + 10).unwrap(), [Erasure::new(last + 11, site(1), None)]);
}
