//! Reading lists page by page.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use zenovay_domain::{Dimension, Event, EventKind, SessionId, TimeRange, Timestamp, VisitorId};
use zenovay_query::{
    Answer, Budget, Condition, DatasetBuilder, Field, Filter, GroupBy, MemoryDataset, Metric, Operator, Order, Query,
    Question, RowPlace, VisitorPage, VisitorRecord, oracle,
};

type Place = (Timestamp, VisitorId);

fn event((visitor, session, at, path): (u64, u64, i64, bool)) -> Event {
    // A session has one visitor. Ids are not in the order of anything.
    let visitor = VisitorId((visitor + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut event =
        Event::new(EventKind::Pageview, Timestamp::from_millis(at), visitor, SessionId(visitor.0 ^ session));
    event.dimensions.set(Dimension::Path, if path { "/a" } else { "/b" });
    event
}

/// Few visitors and fewer times, so that many records have the same.
fn visits() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec((0u64..25, 0u64..3, 0i64..6, any::<bool>()).prop_map(event), 0..80)
}

fn filters() -> impl Strategy<Value = Filter> {
    let is_a = Condition::new(Field::Dimension(Dimension::Path), Operator::Is, ["/a"]);
    prop_oneof![Just(Filter::default()), Just(Filter::Is(is_a))]
}

fn page(events: &[Event], filter: &Filter, limit: usize, offset: usize, after: Option<Place>) -> VisitorPage {
    let range = TimeRange::new(Timestamp::from_millis(1), Timestamp::from_millis(100));
    let query = Query::new(range, Question::Visitors { limit, offset, after }).filter(filter.clone());
    let answer = oracle::answer(events, &query);
    assert_eq!(MemoryDataset::new(events).answer(&query, &Budget::unlimited()).as_ref(), Ok(&answer), "{query:?}");
    match answer {
        Answer::Visitors(page) => page,
        other => panic!("{other:?}"),
    }
}

fn place(record: &VisitorRecord) -> Place {
    (record.visited_at, record.visitor)
}

proptest! {
    #[test]
    fn pages_by_key_and_by_offset_have_each_visitor_once_and_in_order(
        events in visits(),
        filter in filters(),
        limit in 1usize..6,
    ) {
        let all = page(&events, &filter, usize::MAX, 0, None);
        prop_assert!(!all.has_more);
        let (mut by_key, mut after) = (Vec::new(), None);
        loop {
            let next = page(&events, &filter, limit, 0, after);
            prop_assert_eq!(next.has_more, by_key.len() + next.visitors.len() < all.visitors.len());
            prop_assert!(next.visitors.len() == limit || !next.has_more);
            after = next.visitors.last().map(place).or(after);
            by_key.extend(next.visitors);
            if !next.has_more {
                break;
            }
        }
        prop_assert_eq!(&by_key, &all.visitors);
        let mut by_offset = Vec::new();
        while by_offset.len() < all.visitors.len() {
            by_offset.extend(page(&events, &filter, limit, by_offset.len(), None).visitors);
        }
        prop_assert_eq!(&by_offset, &all.visitors);

        let mut expected: BTreeMap<VisitorId, usize> = BTreeMap::new();
        for event in events.iter().filter(|event| event.at.as_millis() >= 1) {
            if filter == Filter::default() || event.dimensions.get(Dimension::Path) == "/a" {
                expected.insert(event.visitor, 1);
            }
        }
        let mut found: BTreeMap<VisitorId, usize> = BTreeMap::new();
        for record in &by_key {
            *found.entry(record.visitor).or_default() += 1;
        }
        prop_assert_eq!(found, expected);
    }

    /// Visits go on while the list is read. Who makes a new one moves to the front, which was read already: a page by key
    /// never shows anybody twice, and everybody who is not new there.
    #[test]
    fn pages_by_key_show_nobody_twice_while_visits_arrive(
        events in visits(),
        arriving in prop::collection::vec((0u64..40, 6i64..12), 0..20),
        limit in 1usize..6,
    ) {
        let mut events = events;
        let at_first = page(&events, &Filter::default(), usize::MAX, 0, None).visitors;
        let (mut seen, mut after, mut arrived) = (BTreeMap::new(), None, Vec::new());
        let mut arriving = arriving.into_iter();
        loop {
            let next = page(&events, &Filter::default(), limit, 0, after);
            after = next.visitors.last().map(place).or(after);
            for record in next.visitors {
                *seen.entry(record.visitor).or_insert(0) += 1;
            }
            if !next.has_more {
                break;
            }
            for (visitor, at) in arriving.by_ref().take(2) {
                // A new session, newer than all that were there.
                let visit = event((visitor, 100 + arrived.len() as u64, at, true));
                arrived.push(visit.visitor);
                events.push(visit);
            }
        }
        prop_assert!(seen.values().all(|&times| times == 1), "{:?}", seen);
        for record in at_first.iter().filter(|record| !arrived.contains(&record.visitor)) {
            prop_assert!(seen.contains_key(&record.visitor), "{:?} was not shown", record.visitor);
        }
    }
}

/// The keyset pages of a breakdown are its rows in their order, each once, whatever it is sorted by.
fn breakdown_pages(events: &[Event], filter: &Filter, by: &GroupBy, limit: usize) -> Result<(), TestCaseError> {
    let range = TimeRange::new(Timestamp::from_millis(1), Timestamp::from_millis(100));
    let memory = MemoryDataset::new(events);
    let rows = |by: GroupBy| {
        let query = Query::new(range, Question::Breakdown(by)).filter(filter.clone());
        let answer = oracle::answer(events, &query);
        assert_eq!(memory.answer(&query, &Budget::unlimited()).as_ref(), Ok(&answer), "{query:?}");
        match answer {
            Answer::Breakdown(breakdown) => breakdown,
            other => panic!("{other:?}"),
        }
    };
    let all = rows(by.clone());
    let (mut read, mut after) = (Vec::new(), None);
    loop {
        let mut of_page = by.clone().limit(limit);
        of_page.after = after.take();
        let page = rows(of_page);
        prop_assert_eq!((page.total_rows, page.total_visitors), (all.total_rows, all.total_visitors));
        let Some(last) = page.rows.last() else { break };
        after = Some(Box::new(RowPlace::of(last, by.order)));
        read.extend(page.rows);
    }
    prop_assert_eq!(read, all.rows);
    Ok(())
}

proptest! {
    #[test]
    fn pages_of_a_breakdown_have_each_row_once_and_in_order(
        events in visits(),
        filter in filters(),
        field in prop::sample::select(vec![Field::Dimension(Dimension::Path), Field::EntryPage, Field::ExitPage]),
        and in any::<bool>(),
        order in prop::sample::select(vec![Order::Visitors, Order::Pageviews, Order::Sessions, Order::Events]),
        limit in 1usize..4,
    ) {
        let and = and.then_some(Field::ExitPage);
        let mut by = GroupBy::by(field).metrics([Metric::Sessions]).order(order);
        by.and = and;
        breakdown_pages(&events, &filter, &by, limit)?;
    }
}

/// More sessions than are put in order at a time, in several chunks, thousands of them in one millisecond.
#[test]
fn long_lists_are_read_to_their_end() {
    let mut events = Vec::new();
    let mut builder = DatasetBuilder::default();
    for n in 0..9_000u64 {
        let at = if n % 3 == 0 { 40_000 } else { (n.wrapping_mul(7_919) % 90_000).cast_signed() };
        events.push(event((n.wrapping_mul(31) % 4_000, n % 5, at, n % 7 > 0)));
        builder.push(events.last().unwrap());
        if n % 2_500 == 2_499 {
            builder.end_chunk();
        }
    }
    let memory = builder.finish();
    let range = TimeRange::new(Timestamp::from_millis(20_000), Timestamp::from_millis(80_000));
    let ask = |limit, offset, after, filter: &Filter, oracle: bool| {
        let query = Query::new(range, Question::Visitors { limit, offset, after }).filter(filter.clone());
        let answer =
            if oracle { Ok(oracle::answer(&events, &query)) } else { memory.answer(&query, &Budget::unlimited()) };
        match answer {
            Ok(Answer::Visitors(page)) => page,
            other => panic!("{other:?}"),
        }
    };
    let is_a = Filter::Is(Condition::new(Field::Dimension(Dimension::Path), Operator::Is, ["/a"]));
    for filter in [Filter::default(), is_a] {
        let all = ask(usize::MAX, 0, None, &filter, true);
        assert!(all.visitors.len() > 2_000 && !all.has_more, "{}", all.visitors.len());
        assert_eq!(ask(usize::MAX, 0, None, &filter, false), all);
        for start in [0, 1, 700, 1_500, all.visitors.len() - 1, all.visitors.len()] {
            let expected = &all.visitors[start..all.visitors.len().min(start + 20)];
            let has_more = start + 20 < all.visitors.len();
            let by_offset = ask(20, start, None, &filter, false);
            assert_eq!((&by_offset.visitors[..], by_offset.has_more), (expected, has_more), "{start}");
            let after = start.checked_sub(1).map(|before| place(&all.visitors[before]));
            assert_eq!(ask(20, 0, after, &filter, false), by_offset, "{start}");
        }
    }
}
