//! Totals from sections and digests are the oracle's, however the rows are cut into sections.

use std::collections::HashSet;

use proptest::prelude::*;
use zenovay_domain::{
    Dimension, Event, EventKind, Interval, SESSION_MAX_MS, SessionId, TimeRange, Timestamp, VisitorId, Zone,
};
use zenovay_query::kernels::{
    Digest, Section, SessionShare, Span, TotalsJoin, is_totals, totals_answer, totals_buckets,
};
use zenovay_query::{
    Answer, Budget, Condition, Field, Filter, FilterLevel, MemoryDataset, Operator, Query, QueryError, Question, oracle,
};

const HOUR_MS: i64 = 3_600_000;

/// Around the night in which the clock is put forward in Berlin: 2026-03-29T01:00:00Z.
const EPOCH_MS: i64 = 1_774_746_000_000;

const SESSIONS: u64 = 14;

/// Every session has one visitor, a beginning, and a pace that keeps it within `SESSION_MAX_MS`.
fn session_facts(session: u64) -> (VisitorId, i64, i64) {
    let begins = EPOCH_MS + (session as i64 * 5 % 14 - 7) * 11 * HOUR_MS;
    let pace = [1, 60_000, HOUR_MS, SESSION_MAX_MS / 20][session as usize % 4];
    // One visitor has the id 0, which a table of ids may take for nothing.
    (VisitorId(session % 6), begins, pace)
}

fn any_event() -> impl Strategy<Value = Event> {
    let kind = prop::sample::select(&[0u8, 0, 0, 0, 1, 2, 10][..]);
    let engagement_ms = prop::sample::select(&[0u32, 0, 4_000, 10_000][..]);
    let text = |texts: &'static [&'static str]| prop::sample::select(texts);
    let texts = (text(&["", "/", "/a"]), text(&["", "DE", "FR"]), text(&["", r#"{"plan":"pro"}"#]));
    (0..SESSIONS, 0i64..=20, kind, engagement_ms, texts).prop_map(|(session, step, kind, engagement_ms, texts)| {
        let (visitor, begins, pace) = session_facts(session);
        let kind = EventKind::from_code(kind).expect("a known kind");
        let id = SessionId(session.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut event = Event::new(kind, Timestamp::from_millis(begins + step * pace), visitor, id);
        event.engagement_ms = engagement_ms;
        if kind.is_event() {
            event.dimensions.set(Dimension::Path, texts.0);
            event.dimensions.set(Dimension::Country, texts.1);
            event.dimensions.set(Dimension::Properties, texts.2);
        }
        event
    })
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let field = prop_oneof![
        prop::sample::select(vec![Dimension::Path, Dimension::Country]).prop_map(Field::Dimension),
        Just(Field::EntryPage),
        Just(Field::ExitPage),
        Just(Field::Property("plan".to_owned())),
    ];
    let operator = prop::sample::select(vec![Operator::Is, Operator::IsNot]);
    let values = prop::sample::subsequence(vec!["", "/", "/a", "DE", "pro"], 0..3);
    let level = prop::sample::select(vec![None, Some(FilterLevel::Session), Some(FilterLevel::Event)]);
    let condition = (field, operator, values, level)
        .prop_map(|(field, operator, values, level)| {
            let values = values.into_iter().map(str::to_owned).collect();
            Filter::Is(Condition { field, operator, values, level })
        })
        .boxed();
    prop_oneof![
        2 => Just(Filter::default()),
        2 => condition.clone(),
        1 => prop::collection::vec(condition.clone(), 0..3).prop_map(Filter::All),
        1 => prop::collection::vec(condition, 0..3).prop_map(Filter::Any),
    ]
}

fn any_query() -> impl Strategy<Value = Query> {
    let instant = (0..SESSIONS, 0i64..=20, -1i64..=1).prop_map(|(session, step, off)| {
        let (_, begins, pace) = session_facts(session);
        Timestamp::from_millis(begins + step * pace + off)
    });
    let interval = prop::sample::select(vec![
        None,
        Some(Interval::Hour),
        Some(Interval::Day),
        Some(Interval::Week),
        Some(Interval::Month),
    ]);
    (instant.clone(), instant, interval, any_filter()).prop_map(|(from, to, interval, filter)| {
        let zone: Zone = "Europe/Berlin".parse().expect("a known zone");
        let question = interval.map_or(Question::Overview, |interval| Question::Series { interval, zone });
        Query { range: TimeRange::new(from.min(to), from.max(to)), filter, question }
    })
}

fn section(events: &[Event]) -> (Section, Span) {
    let data = MemoryDataset::new(events);
    let chunks = data.chunks();
    let dataset = data.dataset(&chunks);
    let times = || events.iter().map(|event| event.at.as_millis());
    let span = Span { min_at: times().min().unwrap_or(0), max_at: times().max().unwrap_or(0), rows: events.len() };
    let section = Section {
        chunk: chunks[0].clone(),
        dictionaries: Box::new(dataset.dictionaries.clone()),
        visitor_ids: dataset.visitor_ids.to_vec(),
        session_ids: dataset.session_ids.to_vec(),
    };
    (section, span)
}

fn shares(section: &Section) -> impl Iterator<Item = SessionShare> {
    section.chunk.sessions.iter().map(|part| SessionShare::new(part, &section.session_ids))
}

/// The answer from sections; those that may be are given by their digest.
fn answer(sections: &[(Section, Span)], query: &Query, also_open: u64, budget: &Budget) -> Result<Answer, QueryError> {
    let buckets = totals_buckets(query, budget)?;
    let spans: Vec<Span> = sections.iter().map(|(_, span)| *span).collect();
    let mut join = TotalsJoin::new(query, &buckets, &spans, budget)?;
    let mut is_whole = Vec::new();
    for (number, (section, _)) in sections.iter().enumerate() {
        join.add_sessions(number, &section.session_ids)?;
        is_whole.push(join.is_whole(number));
    }
    let mut totals = join.join()?;
    for (number, (section, _)) in sections.iter().enumerate() {
        let split = totals.split(number).to_vec();
        if !is_whole[number] {
            totals.add_rows(number, section, &split)?;
            continue;
        }
        let open: HashSet<u64> = split.iter().map(|&code| section.session_ids[code as usize]).collect();
        let visitors: HashSet<u32> = section.chunk.visitor.iter().copied().collect();
        // An open session may be in no other section.
        let is_open = |share: &SessionShare| open.contains(&share.session) || share.session % 3 == also_open;
        let digest = Digest::new(visitors.len() as u64, shares(section), is_open);
        totals.add_digest(number, &digest, visitors.iter().map(|&code| section.visitor_ids[code as usize]))?;
    }
    Ok(totals_answer(&query.question, &buckets, totals.finish()?))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // Sabotages, each of which turns this red: count open sessions in `Digest::new`; take the sections before this one for
    // the only ones in `Bucket::add_visitors`; leave out the smaller `first_at` in `SessionShare::merge`; keep the old rows
    // in `Chunk::without`; give no heartbeats in `Section::give_rows`.
    #[test]
    fn totals_are_the_oracles(
        rows in prop::collection::vec((any_event(), 0usize..6), 0..120),
        in_time in any::<bool>(),
        also_open in 0u64..4,
        queries in prop::collection::vec(any_query(), 1..6),
    ) {
        let mut parts: Vec<Vec<Event>> = vec![Vec::new(); 6];
        let mut events: Vec<Event> = rows.iter().map(|(event, _)| event.clone()).collect();
        if in_time {
            // As row groups of one file: one after the other in time.
            events.sort_by_key(|event| event.at);
            for (number, event) in events.iter().enumerate() {
                parts[number * 6 / events.len()].push(event.clone());
            }
        } else {
            rows.iter().for_each(|(event, part)| parts[*part].push(event.clone()));
            // Sections stand in the order of the arrival of their rows.
            events = parts.concat();
        }
        let sections: Vec<_> = parts.iter().filter(|part| !part.is_empty()).map(|part| section(part)).collect();
        for query in queries {
            prop_assert!(is_totals(&query));
            let answer = answer(&sections, &query, also_open, &Budget::unlimited()).unwrap();
            prop_assert_eq!(answer, oracle::answer(&events, &query), "{:?}", query);
        }
    }
}

#[test]
fn a_condition_on_visitors_or_another_question_is_not_made_of_totals() {
    let range = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(1));
    let field = Field::Dimension(Dimension::Path);
    let condition = Condition { field, operator: Operator::Is, values: Vec::new(), level: Some(FilterLevel::Visitor) };
    let filter = Filter::All(vec![Filter::Any(vec![Filter::Is(condition)])]);
    assert!(!is_totals(&Query { range, filter, question: Question::Overview }));
    assert!(!is_totals(&Query { range, filter: Filter::default(), question: Question::Live }));
}

#[test]
fn totals_end_when_the_budget_does() {
    let events: Vec<Event> = (0..4_000)
        .map(|number| {
            Event::new(EventKind::Pageview, Timestamp::from_millis(number), VisitorId(number as u64), SessionId(1))
        })
        .collect();
    let sections = [section(&events[..2_000]), section(&events[2_000..])];
    let range = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(4_000));
    let query = Query { range, filter: Filter::default(), question: Question::Overview };
    // 32 KB of visitors, and little more.
    let budget = |bytes| Budget::new(std::time::Duration::from_secs(3_600), bytes);
    assert!(answer(&sections, &query, 3, &budget(40_000)).is_ok());
    assert_eq!(answer(&sections, &query, 3, &budget(30_000)), Err(QueryError::MemoryExceeded));
    let cancelled = Budget::unlimited();
    cancelled.cancel();
    assert_eq!(answer(&sections, &query, 3, &cancelled), Err(QueryError::Cancelled));

    let hours = Question::Series { interval: Interval::Hour, zone: Zone::utc() };
    let ages = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(10_000 * 365 * 86_400_000));
    let query = Query { range: ages, filter: Filter::default(), question: hours };
    assert_eq!(answer(&sections, &query, 3, &budget(1 << 20)), Err(QueryError::MemoryExceeded), "too many buckets");
}
