//! Lists of visitors by key, from segments, from the head, and from both.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::collections::BTreeSet;
use std::sync::Arc;

use tempfile::TempDir;
use zenovay_domain::{Event, ManualClock, Timestamp};
use zenovay_events::conformance::{ask, ever, pageview, store_all, website};
use zenovay_events::{EmbeddedConfig, EmbeddedStore, EventStore};
use zenovay_query::{Answer, Question};

const NOW_MS: i64 = 1_774_746_000_000;

/// 60 visitors, each with three visits; all visits of a round begin in one of five milliseconds.
fn round(round: i64) -> Vec<Event> {
    (0..60u64)
        .map(|visitor| {
            let at = NOW_MS + round * 10 + (visitor % 5) as i64;
            pageview(at, visitor.wrapping_mul(0x9E37_79B9_7F4A_7C15), visitor * 10 + round as u64, "/")
        })
        .collect()
}

/// Sabotage: compare only the time in `after`, or only the visitor.
#[test]
fn every_visitor_is_on_one_page_wherever_the_visits_are() {
    let dir = TempDir::new().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS)));
    let store = EmbeddedStore::open(EmbeddedConfig::new(dir.path()), clock).unwrap();
    store_all(&store, website(1), &round(0));
    check(&store, "head");
    store.seal().unwrap();
    check(&store, "one segment");
    // The newest visit of half of them is in the head, that of the others in a segment.
    store_all(&store, website(1), &round(1)[..30]);
    check(&store, "a segment and the head");
    store.seal().unwrap();
    store_all(&store, website(1), &round(2));
    store.seal().unwrap();
    store_all(&store, website(1), &round(3)[15..45]);
    check(&store, "three segments and the head");
}

fn check(store: &EmbeddedStore, when: &str) {
    for limit in [1, 7, 60, 61] {
        let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let question = ever(Question::Visitors { limit, offset: 0, after });
            let Answer::Visitors(page) = ask(store, website(1), &question) else { panic!("visitors") };
            pages += 1;
            seen.extend(page.visitors.iter().map(|record| (std::cmp::Reverse(record.visited_at), record.visitor)));
            after = page.visitors.last().map(|record| (record.visited_at, record.visitor));
            if !page.has_more {
                break;
            }
        }
        assert_eq!(pages, 60usize.div_ceil(limit), "{when}");
        assert!(seen.is_sorted(), "{when}");
        let distinct: BTreeSet<_> = seen.iter().map(|(_, visitor)| visitor).collect();
        assert_eq!((seen.len(), distinct.len()), (60, 60), "{when}");
    }
}
