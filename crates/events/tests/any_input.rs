//! Events of any time, and questions and changes about any time: nothing panics, and what is stored is found again.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;
use zenovay_domain::{Event, EventKind, ManualClock, SessionId, TimeRange, Timestamp, VisitorId};
use zenovay_events::conformance::website;
use zenovay_events::query::{Budget, Filter, Query, QueryError, Question, by, is};
use zenovay_events::{AppendOutcome, Dimension, EmbeddedConfig, EmbeddedStore, EventStore, Kept, NewEvent};

fn any_time() -> impl Strategy<Value = Timestamp> + Clone {
    prop_oneof![
        2 => any::<i64>(),
        2 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX]),
        3 => 1_774_700_000_000i64..1_774_800_000_000,
    ]
    .prop_map(Timestamp::from_millis)
}

fn any_event() -> impl Strategy<Value = NewEvent> {
    let id = prop_oneof![0u64..4, Just(u64::MAX)];
    let kind = prop::sample::select(EventKind::ALL);
    (any_time(), any_time(), id, kind, any::<u32>(), any::<u8>(), ".{0,9}").prop_map(
        |(at, received_at, id, kind, engagement_ms, scroll_percent, text)| {
            let mut event = Event::new(kind, at, VisitorId(id), SessionId(id));
            (event.engagement_ms, event.scroll_percent) = (engagement_ms, scroll_percent);
            event.dimensions.set(Dimension::Path, &text);
            event.dimensions.set(Dimension::Properties, &text);
            NewEvent::new(website(1), received_at, event)
        },
    )
}

/// Sabotage: take the limit of either way out; the stack is used up, or a store without rows says nothing.
#[test]
fn a_filter_that_is_too_deep_is_refused_in_every_way_to_an_answer() {
    let nested = |levels| (1..levels).fold(is(Dimension::Path, "/"), |filter: Filter, _| filter.in_session());
    for (rows, scan_rows_max) in [(0, 0), (0, 1 << 20), (9, 0), (9, 1 << 20)] {
        let dir = TempDir::new().unwrap();
        let config = EmbeddedConfig::new(dir.path()).with(|config| config.scan_rows_max = scan_rows_max);
        let now = Timestamp::from_millis(1_774_800_000_000);
        let store = EmbeddedStore::open(config, Arc::new(ManualClock::new(now))).unwrap();
        let events: Vec<_> = (0..rows)
            .map(|id| {
                NewEvent::new(website(1), now, Event::new(EventKind::Pageview, now, VisitorId(id), SessionId(id)))
            })
            .collect();
        store.append(events).wait().unwrap();
        store.seal().unwrap();
        for question in [
            Question::Overview,
            Question::Breakdown(by(Dimension::Path)),
            Question::Live,
            Question::Visitors { limit: 9, offset: 0, after: None },
            Question::Funnel { steps: vec![nested(1), nested(1)] },
            Question::Funnel { steps: Vec::new() },
            Question::Events { limit: 9, offset: 0 },
        ] {
            let most = Filter::DEPTH_MAX - usize::from(matches!(question, Question::Funnel { .. }));
            for (levels, is_refused) in [(most, false), (most + 1, true), (100_000, true)] {
                let query = Query::new(TimeRange::ALL, question.clone()).filter(nested(levels));
                let answer = store.query(website(1), &query, &Budget::unlimited());
                let expected = is_refused.then_some(&QueryError::FilterTooDeep);
                assert_eq!(answer.as_ref().err(), expected, "{levels} levels, {rows} rows: {question:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_store_takes_events_of_any_time(
        events in prop::collection::vec(any_event(), 1..20),
        now in any_time(),
        from in any_time(),
        to in any_time(),
        scan_rows_max in prop::sample::select(vec![0, 1 << 20]),
    ) {
        let dir = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::new(now));
        let config = || EmbeddedConfig::new(dir.path()).with(|config| {
            config.scan_rows_max = scan_rows_max;
            config.merge_fan_in = 2;
            config.group_rows = 4;
        });
        let store = EmbeddedStore::open(config(), clock.clone()).unwrap();
        // Each has a session of its own: those of random times could last too long.
        let mut events = events;
        for (new, number) in events.iter_mut().zip(0..) {
            new.event.session = SessionId(number);
        }
        let counted = events.iter().filter(|new| new.event.kind.is_event()).count();
        let half = events.len() / 2;
        for part in [&events[..half], &events[half..]] {
            prop_assert_eq!(store.append(part.to_vec()).wait(), Ok(vec![AppendOutcome::Stored; part.len()]));
            store.seal().unwrap();
        }
        store.merge().unwrap();
        let ask = |store: &EmbeddedStore, range, question| {
            store.query(website(1), &Query::new(range, question), &Budget::new(Duration::from_secs(9), 1 << 30))
        };
        let mut odd = TimeRange::new(from, from);
        odd.to = to;
        for question in [
            Question::Overview,
            Question::Breakdown(by(Dimension::Path)),
            Question::Live,
            Question::Visitors { limit: usize::MAX, offset: 1, after: Some((to, VisitorId(1))) },
            Question::Events { limit: usize::MAX, offset: usize::MAX },
        ] {
            ask(&store, odd, question).unwrap();
        }
        let _ = store.recent_sessions(from);
        let ever = TimeRange::new(Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX));
        let table = ask(&store, ever, Question::Events { limit: usize::MAX, offset: 0 }).unwrap().into_events().unwrap();
        // A range does not hold its end.
        let at_the_end = events
            .iter()
            .filter(|new| new.event.kind.is_event() && new.event.at == Timestamp::from_millis(i64::MAX))
            .count();
        prop_assert_eq!(table.len(), counted - at_the_end);
        drop(store);
        let store = EmbeddedStore::open(config(), clock).unwrap();
        let again = ask(&store, ever, Question::Events { limit: usize::MAX, offset: 0 }).unwrap().into_events().unwrap();
        prop_assert_eq!(again.len(), table.len());
        for id in [0, 1, 2, 3, u64::MAX] {
            store.visitor_events(website(1), VisitorId(id), &Budget::unlimited()).unwrap();
        }
        store.erase_visitor(website(1), VisitorId(0)).unwrap();
        let kept = [Kept::new(website(1), Some(to))];
        store.retain(&kept, Some(now), &mut |_| ()).unwrap();
        store.remove_hidden(now, &mut |_| ()).unwrap();
        store.remove_hidden(Timestamp::from_millis(i64::MAX), &mut |_| ()).unwrap();
        store.shutdown();
    }
}
