//! No session gets a second visitor or lasts longer than it may, whatever became of its earlier events meanwhile: numbers of
//! sessions would be wrong without a word.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;
use zenovay_domain::{
    Event, EventKind, ManualClock, SESSION_MAX_MS, SessionFault, SessionId, SessionSpan, TimeRange, Timestamp,
    VisitorId,
};
use zenovay_events::conformance::{append, arriving, ask, ever, expire, pageview, totals, website};
use zenovay_events::query::{Question, oracle};
use zenovay_events::{
    AppendError, AppendOutcome, AppendRefused, EmbeddedConfig, EmbeddedStore, EventFault, EventStore, IdempotencyKey,
    NewEvent,
};

const NOW_MS: i64 = 1_774_746_000_000;
const HOUR_MS: i64 = 3_600_000;

fn open(dir: &Path) -> EmbeddedStore {
    let config = EmbeddedConfig::new(dir).with(|config| config.merge_fan_in = 2);
    EmbeddedStore::open(config, Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS)))).unwrap()
}

/// A pageview of website 1, so many hours from now.
fn view(hour: i64, visitor: u64, session: u64) -> NewEvent {
    arriving(website(1), pageview(NOW_MS + hour * HOUR_MS, visitor, session, "/"))
}

fn faults(answer: Result<Vec<AppendOutcome>, AppendRefused>) -> Vec<(usize, SessionFault)> {
    let AppendRefused { reason: AppendError::Sessions(faults), .. } = answer.unwrap_err() else {
        panic!("another reason");
    };
    faults.iter().map(|EventFault { event, fault, .. }| (*event, *fault)).collect()
}

fn too_long(session: u64) -> SessionFault {
    SessionFault::TooLong { session: SessionId(session) }
}

fn of_another(session: u64, visitor: u64) -> SessionFault {
    SessionFault::OtherVisitor { session: SessionId(session), visitor: VisitorId(visitor) }
}

/// Sabotage: commit without asking `Sessions`, or take in an append of which some events are refused.
#[test]
fn an_append_names_its_events_that_cannot_be_of_their_sessions() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let events = vec![view(0, 1, 1), view(1, 2, 1), view(2, 1, 1), view(27, 1, 1), view(0, 2, 2)];
    let refused = store.append(events.clone()).wait().unwrap_err();
    assert_eq!(refused.events, events, "all come back");
    assert!(format!("{refused:?}").ends_with(", events: 5 }"), "{refused:?}");
    assert_eq!(
        refused.to_string(),
        "5 events were not stored and come back, to be appended again when those that are wrong are put right or taken out"
    );
    assert_eq!(
        refused.reason.to_string(),
        "event 1: session 0000000000000001 is visitor 0000000000000001's: give each visitor sessions of its own \
         (and 1 more events)"
    );
    assert_eq!(faults(Err(refused)), [(1, of_another(1, 1)), (3, too_long(1))]);
    assert_eq!(totals(&store, website(1)).events, 0, "all or none");
    // Nothing is remembered of what was refused.
    assert!(append(&store, vec![view(27, 2, 1)]).is_ok());
    assert_eq!(faults(store.append(vec![view(0, 2, 1)]).wait()), [(0, too_long(1))]);
    // Sessions of another website are others.
    assert!(append(&store, vec![arriving(website(2), view(0, 9, 1).event)]).is_ok());
}

/// Sabotage: do not read the head, or the segments, in `Sessions::begin`.
#[test]
fn sessions_are_known_wherever_their_events_are() {
    let dir = TempDir::new().unwrap();
    let mut store = open(dir.path());
    let check = |store: &EmbeddedStore, sessions: Range<u64>, when: &str| {
        for session in sessions.clone() {
            let visitor = 10 + session;
            assert_eq!(
                faults(store.append(vec![view(0, 1, session)]).wait()),
                [(0, of_another(session, visitor))],
                "{when}"
            );
            assert_eq!(
                faults(store.append(vec![view(27, visitor, session)]).wait()),
                [(0, too_long(session))],
                "{when}"
            );
        }
        assert!(append(store, sessions.map(|session| view(26, 10 + session, session)).collect()).is_ok(), "{when}");
    };
    for session in 1..4 {
        append(&store, vec![view(0, 10 + session, session)]).unwrap();
        store.seal().unwrap();
    }
    check(&store, 1..4, "in segments");
    append(&store, vec![view(0, 14, 4)]).unwrap();
    drop(store);
    store = open(dir.path());
    check(&store, 1..5, "in a log that was read again, and in segments");
    store.seal().unwrap();
    while store.merge().unwrap() {}
    check(&store, 1..5, "merged");
    store.shutdown();
    drop(store);
    store = open(dir.path());
    check(&store, 1..5, "shut down, and opened again");
}

/// Sabotage: leave out `Sessions::forget` where something is removed or hidden.
#[test]
fn the_session_of_an_event_that_is_gone_is_free() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    append(&store, vec![view(0, 1, 1), view(0, 2, 2), view(-100, 3, 3)]).unwrap();
    assert_eq!(faults(store.append(vec![view(0, 7, 1)]).wait()), [(0, of_another(1, 1))]);
    store.erase_visitor(website(1), VisitorId(1)).unwrap();
    assert!(append(&store, vec![view(0, 7, 1)]).is_ok(), "its visitor was erased");
    assert_eq!(faults(store.append(vec![view(0, 7, 2)]).wait()), [(0, of_another(2, 2))]);
    expire(&store, website(1), Timestamp::from_millis(NOW_MS - HOUR_MS)).unwrap();
    assert!(append(&store, vec![view(0, 7, 3)]).is_ok(), "it is hidden");
    store.delete_website(website(1)).unwrap();
    assert!(append(&store, vec![view(0, 7, 2)]).is_ok(), "its website was deleted");
}

/// Sabotage: leave out `Sessions::keep_only`.
#[test]
fn an_event_that_is_not_stored_takes_no_part_in_its_session() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let keyed = |hour: i64, visitor, session, path| {
        let event = pageview(NOW_MS + hour * HOUR_MS, visitor, session, path);
        arriving(website(1), event).with_key(IdempotencyKey([1; 16]))
    };
    append(&store, vec![keyed(0, 1, 1, "/")]).unwrap();
    let outcomes = append(&store, vec![view(1, 1, 1), keyed(20, 1, 1, "/a"), keyed(2, 2, 2, "/b")]).unwrap();
    assert_eq!(outcomes, [AppendOutcome::Stored, AppendOutcome::KeyReused, AppendOutcome::KeyReused]);
    assert!(append(&store, vec![view(2, 3, 2)]).is_ok(), "the session of a key that was used again");
    assert!(append(&store, vec![view(-20, 1, 1)]).is_ok(), "its last event is that of the first hour");
    assert_eq!(faults(store.append(vec![view(7, 1, 1)]).wait()), [(0, too_long(1))]);
}

fn any_event() -> impl Strategy<Value = Event> {
    // No heartbeats: of those of a session a segment keeps the last one only.
    let kind = prop::sample::select(&[EventKind::Pageview, EventKind::Click][..]);
    (kind, 0i64..60, 0u64..3, 0u64..4).prop_map(|(kind, hour, visitor, session)| {
        Event::new(kind, Timestamp::from_millis(NOW_MS + hour * HOUR_MS), VisitorId(visitor), SessionId(session))
    })
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Event>),
    Seal,
    Merge,
    Reopen,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(any_event(), 1..4).prop_map(Step::Append),
        2 => Just(Step::Seal),
        1 => Just(Step::Merge),
        1 => Just(Step::Reopen),
    ]
}

/// What a naive store takes in: an append when each of its events can belong to its session.
fn take_in(spans: &mut HashMap<SessionId, SessionSpan>, events: &[Event]) -> bool {
    let mut next = spans.clone();
    let all = events.iter().all(|event| match next.get_mut(&event.session) {
        Some(span) => span.add(event).is_ok(),
        None => next.insert(event.session, SessionSpan::of(event)).is_none(),
    });
    if all {
        *spans = next;
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Whatever is appended, the answers are those of the oracle about what was stored.
    #[test]
    fn what_is_stored_has_right_numbers(
        steps in prop::collection::vec(any_step(), 1..30),
        (from, hours) in (0i64..60, 1i64..40),
    ) {
        let dir = TempDir::new().unwrap();
        let (mut store, mut spans, mut stored) = (open(dir.path()), HashMap::new(), Vec::new());
        for step in steps {
            match step {
                Step::Append(events) => {
                    let new = events.iter().map(|event| arriving(website(1), event.clone())).collect();
                    let is_stored = append(&store, new).is_ok();
                    prop_assert_eq!(is_stored, take_in(&mut spans, &events), "{:?}", events);
                    if is_stored {
                        stored.extend(events);
                    }
                }
                Step::Seal => drop(store.seal().unwrap()),
                Step::Merge => drop(store.merge().unwrap()),
                Step::Reopen => {
                    drop(store);
                    store = open(dir.path());
                }
            }
        }
        prop_assert!(spans.values().all(|span| span.last_at.millis_since(span.first_at) <= SESSION_MAX_MS));
        let mut query = ever(Question::Overview);
        prop_assert_eq!(ask(&store, website(1), &query), oracle::answer(&stored, &query));
        let at = |hour| Timestamp::from_millis(NOW_MS + hour * HOUR_MS);
        query.range = TimeRange::new(at(from), at(from + hours));
        prop_assert_eq!(ask(&store, website(1), &query), oracle::answer(&stored, &query));
    }
}
