//! What every event store must do, as tests that run on any of them.
//!
//! A store is done when [`conformance_tests!`](crate::conformance_tests) passes for it. All tests compare with plain
//! numbers or with [`zenovay_query::oracle`].

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use zenovay_domain::{
    Clock, Dimension, Event, EventKind, SessionFault, SessionId, TimeRange, Timestamp, VisitorId, WebsiteId,
    normal_path,
};
use zenovay_query::random::{EPOCH_MS, Sessions, impossible_totals};
use zenovay_query::{
    Answer, Budget, Condition, Field, FilterLevel, GroupBy, Metric, MetricValues, Operator, Order, Query, Question,
    oracle,
};

use crate::store::Movable;
use crate::{
    AppendError, AppendOutcome, AppendReceipt, ChangeError, EmbeddedConfig, EmbeddedStore, EventFault, EventStore,
    IdempotencyKey, Kept, NewEvent, OpenError, RETENTION_GRACE_DAYS, Retained,
};

/// Opens stores over one set of data and makes their background work happen now.
pub trait Harness {
    /// The store.
    type Store: EventStore;

    /// Opens the store over what an earlier one left; empty at first. The earlier one was dropped, not shut down.
    fn open(&self) -> Self::Store;

    /// Moves what is in memory to where it stays.
    fn seal(&self, store: &Self::Store);

    /// Does one step of tidying what is on disk.
    fn merge(&self, store: &Self::Store);
}

/// Makes a `#[test]` of every conformance test for the harness that `$make` makes.
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr) => {
        $crate::conformance_tests! { $make;
            an_acknowledged_event_is_in_the_next_answer,
            seven_pageviews_of_three_visitors_in_four_sessions,
            a_website_without_events_has_zeros,
            an_empty_append_is_answered,
            a_repeated_key_is_stored_once,
            a_key_belongs_to_one_website,
            websites_do_not_see_each_other,
            a_session_that_cannot_be_is_refused,
            heartbeats_extend_sessions_and_count_nowhere,
            late_events_take_their_place_in_time,
            an_erased_visitor_is_gone,
            an_exported_visitor_is_whole,
            a_website_spans_its_events,
            a_deleted_website_is_gone,
            expired_events_are_gone,
            hidden_events_are_in_no_answer_and_come_back,
            hidden_events_are_removed_after_thirty_counted_days,
            a_hidden_visitor_is_erased_and_a_hidden_website_deleted_at_once,
            recent_sessions_continue,
            two_spellings_of_a_path_are_one_row,
            a_store_that_shuts_down_refuses_and_keeps,
            a_cancelled_query_ends,
            a_budget_that_is_used_up_gives_no_number,
            every_answer_is_the_oracles,
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

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A store of which the events are to be moved into another one.
///
/// # Errors
/// When it cannot be opened.
pub fn in_directory(config: EmbeddedConfig, clock: Arc<dyn Clock>) -> Result<impl Movable, OpenError> {
    EmbeddedStore::open(config, clock)
}

/// Some website.
pub fn website(number: u8) -> WebsiteId {
    WebsiteId::from_random_bytes([number; 16])
}

/// An event with strings.
pub fn event(kind: EventKind, at_ms: i64, visitor: u64, session: u64, texts: &[(Dimension, &str)]) -> Event {
    let mut event = Event::new(kind, Timestamp::from_millis(at_ms), VisitorId(visitor), SessionId(session));
    for &(dimension, text) in texts {
        event.dimensions.set(dimension, text);
    }
    event
}

/// A pageview.
pub fn pageview(at_ms: i64, visitor: u64, session: u64, path: &str) -> Event {
    event(EventKind::Pageview, at_ms, visitor, session, &[(Dimension::Path, path)])
}

/// An event on its way, arriving when it happened.
pub fn arriving(website: WebsiteId, event: Event) -> NewEvent {
    NewEvent::new(website, event.at, event)
}

/// Appends and waits.
///
/// # Errors
/// What the receipt says.
///
/// # Panics
/// When they are not stored.
pub fn append(store: &impl EventStore, events: Vec<NewEvent>) -> Result<Vec<AppendOutcome>, AppendError> {
    Ok(store.try_append(events).and_then(AppendReceipt::wait)?)
}

/// Appends events of one website that must be stored.
///
/// # Panics
/// When they are not.
pub fn store_all(store: &impl EventStore, website: WebsiteId, events: &[Event]) {
    let outcomes = append(store, events.iter().cloned().map(|event| arriving(website, event)).collect());
    assert_eq!(outcomes, Ok(vec![AppendOutcome::Stored; events.len()]));
}

/// The answer to `query`.
///
/// # Panics
/// When there is none.
pub fn ask(store: &impl EventStore, website: WebsiteId, query: &Query) -> Answer {
    store.query(website, query, &Budget::unlimited()).expect("an answer")
}

/// A query about all time.
pub fn ever(question: Question) -> Query {
    let range = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(EPOCH_MS * 2));
    Query::new(range, question)
}

/// The totals of all time.
///
/// # Panics
/// When there is no answer.
pub fn totals(store: &impl EventStore, website: WebsiteId) -> MetricValues {
    match ask(store, website, &ever(Question::Overview)) {
        Answer::Overview(overview) => overview.metrics,
        other => panic!("{other:?}"),
    }
}

/// The values of a dimension over all time with their pageviews, those with most visitors first.
///
/// # Panics
/// When there is no answer.
pub fn values(store: &impl EventStore, website: WebsiteId, dimension: Dimension) -> Vec<(String, u64)> {
    let group_by = GroupBy::by(dimension);
    match ask(store, website, &ever(Question::Breakdown(group_by))) {
        Answer::Breakdown(breakdown) => {
            breakdown.rows.into_iter().map(|row| (row.value, row.metrics.pageviews)).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Runs `check` on the store as it is, sealed, and opened anew.
fn in_every_state<H: Harness>(harness: &H, store: H::Store, check: impl Fn(&H::Store)) -> H::Store {
    check(&store);
    harness.seal(&store);
    check(&store);
    drop(store);
    let store = harness.open();
    check(&store);
    store
}

#[doc(hidden)]
pub fn an_acknowledged_event_is_in_the_next_answer(harness: &impl Harness) {
    let store = harness.open();
    for n in 0..200 {
        let mut event = pageview(EPOCH_MS + n * 999, n as u64 % 7, n as u64, "/");
        if n % 3 == 0 {
            event.dimensions.set(Dimension::City, &format!("City {n}"));
        }
        store_all(&store, website(1), &[event]);
        assert_eq!(totals(&store, website(1)).pageviews, n as u64 + 1);
        if n % 50 == 49 {
            harness.seal(&store);
            assert_eq!(totals(&store, website(1)).pageviews, n as u64 + 1);
        }
    }
    assert_eq!(values(&store, website(1), Dimension::City).len(), 68);
}

#[doc(hidden)]
pub fn seven_pageviews_of_three_visitors_in_four_sessions(harness: &impl Harness) {
    let minute = |n: i64| EPOCH_MS + n * 60_000;
    let page = |n, visitor, session, path, browser, country| {
        let mut event = pageview(minute(n), visitor, session, path);
        event.dimensions.set(Dimension::Browser, browser);
        event.dimensions.set(Dimension::Country, country);
        event
    };
    let store = harness.open();
    store_all(
        &store,
        website(1),
        &[
            page(0, 1, 11, "/", "Firefox", "DE"),
            page(1, 1, 11, "/pricing", "Firefox", "DE"),
            page(2, 2, 21, "/", "Chrome", "FR"),
            page(60, 1, 12, "/", "Firefox", "DE"),
        ],
    );
    store_all(
        &store,
        website(1),
        &[
            page(61, 3, 31, "/blog", "Chrome", "FR"),
            page(62, 3, 31, "/", "Chrome", "FR"),
            page(63, 3, 31, "/pricing", "Chrome", "FR"),
        ],
    );
    in_every_state(harness, store, |store| {
        let metrics = totals(store, website(1));
        assert_eq!((metrics.visitors, metrics.pageviews, metrics.events, metrics.sessions), (3, 7, 7, 4));
        assert_eq!((metrics.bounces, metrics.duration_ms), (2, 3 * 60_000));
        let row = |value: &str, pageviews| (value.to_owned(), pageviews);
        assert_eq!(values(store, website(1), Dimension::Path), [row("/", 4), row("/pricing", 2), row("/blog", 1)]);
        assert_eq!(values(store, website(1), Dimension::Country), [row("FR", 4), row("DE", 3)]);
        assert_eq!(values(store, website(1), Dimension::Browser), [row("Chrome", 4), row("Firefox", 3)]);
        let now = Timestamp::from_millis(minute(64));
        let live = Query::new(TimeRange::new(now, now), Question::Live);
        assert!(matches!(ask(store, website(1), &live), Answer::Live(live) if live.visitors == 2));
        let visitors = ever(Question::Visitors { limit: 10, offset: 0, after: None });
        assert!(matches!(ask(store, website(1), &visitors), Answer::Visitors(page) if page.visitors.len() == 3));
    });
}

#[doc(hidden)]
pub fn a_website_without_events_has_zeros(harness: &impl Harness) {
    let store = harness.open();
    store_all(&store, website(1), &[pageview(EPOCH_MS, 1, 1, "/")]);
    in_every_state(harness, store, |store| {
        assert_eq!(totals(store, website(2)), MetricValues::default());
        assert_eq!(values(store, website(2), Dimension::Path), []);
    });
}

#[doc(hidden)]
pub fn an_empty_append_is_answered(harness: &impl Harness) {
    assert_eq!(append(&harness.open(), Vec::new()), Ok(Vec::new()));
}

#[doc(hidden)]
pub fn a_repeated_key_is_stored_once(harness: &impl Harness) {
    // Sabotage: forget the keys at start.
    let keyed = |path, key| NewEvent {
        idempotency_key: Some(IdempotencyKey([key; 16])),
        ..arriving(website(1), pageview(EPOCH_MS, 1, 1, path))
    };
    let store = harness.open();
    assert_eq!(
        append(&store, vec![keyed("/a", 1), keyed("/a", 1), keyed("/b", 1), keyed("/b", 2)]),
        Ok(vec![AppendOutcome::Stored, AppendOutcome::Duplicate, AppendOutcome::KeyReused, AppendOutcome::Stored])
    );
    in_every_state(harness, store, |store| {
        assert_eq!(
            append(store, vec![keyed("/a", 1), keyed("/c", 2)]),
            Ok(vec![AppendOutcome::Duplicate, AppendOutcome::KeyReused])
        );
        assert_eq!(totals(store, website(1)).pageviews, 2);
    });
}

#[doc(hidden)]
pub fn a_key_belongs_to_one_website(harness: &impl Harness) {
    let keyed = |site| NewEvent {
        idempotency_key: Some(IdempotencyKey([7; 16])),
        ..arriving(website(site), pageview(EPOCH_MS, 1, 1, "/"))
    };
    let store = harness.open();
    assert_eq!(append(&store, vec![keyed(1), keyed(2)]), Ok(vec![AppendOutcome::Stored; 2]));
}

#[doc(hidden)]
pub fn websites_do_not_see_each_other(harness: &impl Harness) {
    let store = harness.open();
    let events: Vec<NewEvent> = (0..40u8)
        .flat_map(|site| {
            (0..=i64::from(site)).map(move |n| {
                arriving(website(site), pageview(EPOCH_MS + n, u64::from(site) << 8 | n as u64, n as u64, "/same"))
            })
        })
        .collect();
    assert!(append(&store, events).is_ok());
    in_every_state(harness, store, |store| {
        for site in 0..40u8 {
            let metrics = totals(store, website(site));
            assert_eq!((metrics.pageviews, metrics.visitors), (u64::from(site) + 1, u64::from(site) + 1));
        }
    });
}

/// A second visitor and more than 26 hours, within one append and after another one.
///
/// # Panics
/// When the store does not do this, as all tests here.
pub fn a_session_that_cannot_be_is_refused(harness: &impl Harness) {
    let store = harness.open();
    let view = |hour: i64, visitor, session| arriving(website(1), pageview(hour * HOUR_MS, visitor, session, "/"));
    let other = SessionFault::OtherVisitor { session: SessionId(1), visitor: VisitorId(1) };
    let long = SessionFault::TooLong { session: SessionId(1) };
    let faults = |faults: &[(usize, SessionFault)]| {
        AppendError::Sessions(faults.iter().map(|&(event, fault)| EventFault { event, fault }).collect())
    };
    let both = vec![view(0, 1, 1), view(1, 2, 1), view(27, 1, 1)];
    assert_eq!(append(&store, both), Err(faults(&[(1, other), (2, long)])));
    assert_eq!(totals(&store, website(1)), MetricValues::default(), "all or none");
    append(&store, vec![view(0, 1, 1), view(26, 1, 1)]).unwrap();
    harness.seal(&store);
    assert_eq!(append(&store, vec![view(5, 2, 2), view(1, 2, 1)]), Err(faults(&[(1, other)])));
    drop(store);
    let store = harness.open();
    assert_eq!(append(&store, vec![view(27, 1, 1)]), Err(faults(&[(0, long)])));
    assert_eq!(totals(&store, website(1)).sessions, 1);
}

#[doc(hidden)]
pub fn heartbeats_extend_sessions_and_count_nowhere(harness: &impl Harness) {
    let beat = |at_ms, engagement_ms| {
        let mut beat = event(EventKind::Heartbeat, at_ms, 1, 1, &[]);
        beat.engagement_ms = engagement_ms;
        beat
    };
    let store = harness.open();
    store_all(&store, website(1), &[pageview(EPOCH_MS, 1, 1, "/"), beat(EPOCH_MS + 15_000, 6_000)]);
    let store = in_every_state(harness, store, |store| {
        let metrics = totals(store, website(1));
        assert_eq!((metrics.events, metrics.sessions, metrics.bounces, metrics.duration_ms), (1, 1, 1, 15_000));
    });
    store_all(&store, website(1), &[beat(EPOCH_MS + 45_000, 3_000), beat(EPOCH_MS + 30_000, 1_000)]);
    in_every_state(harness, store, |store| {
        let metrics = totals(store, website(1));
        assert_eq!((metrics.events, metrics.sessions, metrics.bounces, metrics.duration_ms), (1, 1, 0, 45_000));
    });
}

#[doc(hidden)]
pub fn late_events_take_their_place_in_time(harness: &impl Harness) {
    let store = harness.open();
    store_all(&store, website(1), &[pageview(EPOCH_MS, 1, 1, "/later")]);
    harness.seal(&store);
    store_all(
        &store,
        website(1),
        &[pageview(EPOCH_MS - 1_000, 1, 1, "/first"), pageview(EPOCH_MS - 70 * DAY_MS, 2, 2, "/old")],
    );
    in_every_state(harness, store, |store| {
        let group_by = GroupBy::by(Field::EntryPage).metrics([Metric::Sessions]).order(Order::Sessions).limit(10);
        let Answer::Breakdown(entries) = ask(store, website(1), &ever(Question::Breakdown(group_by))) else {
            panic!("a breakdown")
        };
        let rows: Vec<_> = entries.rows.iter().map(|row| (row.value.as_str(), row.metrics.sessions)).collect();
        assert_eq!(rows, [("/first", 1), ("/old", 1)]);
    });
}

#[doc(hidden)]
pub fn an_erased_visitor_is_gone(harness: &impl Harness) {
    let store = harness.open();
    store_all(&store, website(1), &[pageview(EPOCH_MS, 1, 1, "/secret"), pageview(EPOCH_MS, 2, 2, "/")]);
    store_all(&store, website(2), &[pageview(EPOCH_MS, 1, 1, "/elsewhere")]);
    harness.seal(&store);
    store_all(&store, website(1), &[pageview(EPOCH_MS + 1, 1, 1, "/secret"), pageview(EPOCH_MS + 1, 2, 2, "/")]);
    store.erase_visitor(website(1), VisitorId(1)).expect("erased");
    in_every_state(harness, store, |store| {
        assert_eq!(values(store, website(1), Dimension::Path), [("/".to_owned(), 2)]);
        assert_eq!(totals(store, website(2)).visitors, 1);
    });
}

#[doc(hidden)]
pub fn a_website_spans_its_events(harness: &impl Harness) {
    let store = harness.open();
    let at = Timestamp::from_millis;
    assert_eq!(store.span(website(1)), None);
    store_all(&store, website(1), &[pageview(EPOCH_MS, 1, 1, "/"), pageview(EPOCH_MS + 2 * DAY_MS, 1, 2, "/")]);
    harness.seal(&store);
    store_all(&store, website(1), &[pageview(EPOCH_MS + 5, 1, 1, "/"), pageview(EPOCH_MS + DAY_MS, 2, 3, "/")]);
    store_all(&store, website(2), &[pageview(EPOCH_MS + 9 * DAY_MS, 1, 1, "/")]);
    let store = in_every_state(harness, store, |store| {
        let span = TimeRange::new(at(EPOCH_MS), at(EPOCH_MS + 2 * DAY_MS + 1));
        assert_eq!(store.span(website(1)), Some(span));
        assert_eq!(store.span(website(3)), None);
    });
    let hide = |before| {
        let kept = [Kept { website: website(1), since: Some(at(before)) }];
        store.retain(&kept, Some(at(EPOCH_MS)), &mut |_| ()).expect("hidden");
        store.span(website(1))
    };
    let rest = hide(EPOCH_MS + DAY_MS + 1).expect("one event is left");
    assert!(rest.from > at(EPOCH_MS + DAY_MS) && rest.contains(at(EPOCH_MS + 2 * DAY_MS)), "{rest:?}");
    assert_eq!(hide(EPOCH_MS + 3 * DAY_MS), None);
}

#[doc(hidden)]
pub fn an_exported_visitor_is_whole(harness: &impl Harness) {
    let store = harness.open();
    let mut events = vec![pageview(EPOCH_MS, 1, 1, "/a"), pageview(EPOCH_MS + DAY_MS, 1, 3, "/c")];
    events[1].dimensions.set(Dimension::Properties, r#"{"plan":"pro"}"#);
    (events[1].engagement_ms, events[1].scroll_percent) = (7_000, 55);
    store_all(&store, website(1), &[events[0].clone(), pageview(EPOCH_MS, 2, 2, "/other")]);
    store_all(&store, website(2), &[pageview(EPOCH_MS, 1, 1, "/elsewhere")]);
    harness.seal(&store);
    let mut beat = Event::new(EventKind::Heartbeat, Timestamp::from_millis(EPOCH_MS + 5), VisitorId(1), SessionId(1));
    beat.engagement_ms = 5_000;
    store_all(&store, website(1), &[events[1].clone(), beat.clone(), pageview(EPOCH_MS + 9, 2, 2, "/other")]);
    events.insert(1, beat);
    let export = |store: &_, site, visitor| {
        EventStore::visitor_events(store, website(site), VisitorId(visitor), &Budget::unlimited()).expect("an export")
    };
    let store = in_every_state(harness, store, |store| {
        assert_eq!(export(store, 1, 1), events);
        assert_eq!(export(store, 2, 1).len(), 1);
        assert_eq!((export(store, 1, 3), export(store, 3, 1)), (Vec::new(), Vec::new()));
    });
    let kept = [Kept { website: website(1), since: Some(Timestamp::from_millis(EPOCH_MS + 1)) }];
    store.retain(&kept, Some(Timestamp::from_millis(EPOCH_MS)), &mut |_| ()).expect("hidden");
    assert_eq!(export(&store, 1, 1), events[1..], "what is hidden is in no answer");
    store.erase_visitor(website(1), VisitorId(1)).expect("erased");
    assert_eq!(export(&store, 1, 1), Vec::new());
    let budget = Budget::new(std::time::Duration::from_secs(3_600), 100);
    assert!(store.visitor_events(website(1), VisitorId(2), &budget).is_err(), "memory is bounded");
}

#[doc(hidden)]
pub fn a_deleted_website_is_gone(harness: &impl Harness) {
    let keyed = NewEvent {
        idempotency_key: Some(IdempotencyKey([1; 16])),
        ..arriving(website(1), pageview(EPOCH_MS, 1, 1, "/"))
    };
    let store = harness.open();
    assert!(append(&store, vec![keyed.clone(), arriving(website(2), pageview(EPOCH_MS, 1, 1, "/"))]).is_ok());
    harness.seal(&store);
    store_all(&store, website(1), &[pageview(EPOCH_MS, 1, 1, "/")]);
    store.delete_website(website(1)).expect("deleted");
    let store = in_every_state(harness, store, |store| {
        assert_eq!(totals(store, website(1)), MetricValues::default());
        assert_eq!(totals(store, website(2)).pageviews, 1);
    });
    assert_eq!(append(&store, vec![keyed]), Ok(vec![AppendOutcome::Stored]));
}

/// Lets the events of `website` before `before` be hidden, and days go by until they are removed.
///
/// # Errors
/// Those of the store.
pub fn expire(store: &impl EventStore, website: WebsiteId, before: Timestamp) -> Result<(), ChangeError> {
    let kept = [Kept { website, since: Some(before) }];
    // A day more, because they may be many.
    for day in 0..=RETENTION_GRACE_DAYS + 1 {
        let now = Timestamp::from_millis(EPOCH_MS + day * DAY_MS);
        store.retain(&kept, Some(now), &mut |_| ())?;
        store.remove_hidden(now, &mut |_| ())?;
    }
    Ok(())
}

#[doc(hidden)]
pub fn expired_events_are_gone(harness: &impl Harness) {
    let store = harness.open();
    for day in 0..4 {
        let at_ms = EPOCH_MS + day * DAY_MS;
        for site in [1, 2] {
            store_all(
                &store,
                website(site),
                &[pageview(at_ms, 1, day as u64, "/"), pageview(at_ms + 1, 2, 100 + day as u64, "/")],
            );
        }
        if day == 1 {
            harness.seal(&store);
        }
    }
    harness.seal(&store);
    expire(&store, website(1), Timestamp::from_millis(EPOCH_MS + 2 * DAY_MS + 1)).expect("expired");
    in_every_state(harness, store, |store| {
        assert_eq!(totals(store, website(1)).pageviews, 3);
        assert_eq!(totals(store, website(2)).pageviews, 8);
    });
}

/// What a website has: in each of four days a session of three views, and one that goes on over midnight.
fn four_days() -> Vec<Event> {
    let mut events = Vec::new();
    for day in 0..4 {
        let midnight = EPOCH_MS + day * DAY_MS;
        for view in 0..3 {
            events.push(pageview(midnight + view * HOUR_MS, 1, day as u64, "/a"));
            events.push(pageview(midnight - view * 60_000, 2 + day as u64, 10 + day as u64, "/b"));
            events.push(pageview(midnight + view * 60_000, 2 + day as u64, 10 + day as u64, "/c"));
        }
    }
    events
}

/// The answers to all kinds of questions, among them the rows of exports, are the oracle's over the events that are not
/// before `since`.
fn check_visible(store: &impl EventStore, site: WebsiteId, events: &[Event], since_ms: i64) {
    let visible: Vec<Event> = events.iter().filter(|event| event.at.as_millis() >= since_ms).cloned().collect();
    let (interval, zone) = (zenovay_domain::Interval::Day, zenovay_domain::Zone::utc());
    let mut questions = vec![
        Question::Overview,
        Question::Live,
        Question::Visitors { limit: 100, offset: 0, after: None },
        Question::Series { interval, zone: zone.clone() },
        Question::NewVisitors { interval: Some(interval), zone },
        Question::Funnel { steps: ["/b", "/c"].map(|path| zenovay_query::is(Dimension::Path, path)).to_vec() },
        Question::Events { limit: 100, offset: 0 },
    ];
    for field in [Field::EntryPage, Field::Dimension(Dimension::Path)] {
        questions
            .push(Question::Breakdown(GroupBy::by(field).metrics([Metric::Sessions, Metric::TimeOnPage]).limit(100)));
    }
    let range = TimeRange::new(
        Timestamp::from_millis(EPOCH_MS - 200 * DAY_MS),
        Timestamp::from_millis(EPOCH_MS + 3 * DAY_MS + HOUR_MS),
    );
    for question in questions {
        let query = Query::new(range, question);
        assert_eq!(ask(store, site, &query), oracle::answer(&visible, &query), "{query:?} since {since_ms}");
    }
    let sessions = |recent: Vec<crate::RecentSession>| recent.iter().filter(|recent| recent.website == site).count();
    let ever = store.recent_sessions(Timestamp::from_millis(EPOCH_MS - 200 * DAY_MS));
    let visible: std::collections::BTreeSet<u64> = visible.iter().map(|event| event.session.0).collect();
    assert_eq!(sessions(ever), visible.len());
}

fn kept(site: WebsiteId, since_ms: Option<i64>) -> [Kept; 1] {
    [Kept { website: site, since: since_ms.map(Timestamp::from_millis) }]
}

/// What [`EventStore::retain`] tells.
fn retain(store: &impl EventStore, kept: &[Kept], now_ms: Option<i64>) -> Vec<Retained> {
    let mut told = Vec::new();
    store.retain(kept, now_ms.map(Timestamp::from_millis), &mut |what| told.push(what)).expect("retained");
    told
}

/// What [`EventStore::remove_hidden`] tells.
fn remove_hidden(store: &impl EventStore, now_ms: i64) -> Vec<Retained> {
    let mut told = Vec::new();
    store.remove_hidden(Timestamp::from_millis(now_ms), &mut |what| told.push(what)).expect("removed");
    told
}

/// A session that is cut begins with its first event that is not hidden. Sabotage: leave the boundary out of views, of
/// totals, of recent sessions, or keep what a view had before it moved.
#[doc(hidden)]
pub fn hidden_events_are_in_no_answer_and_come_back(harness: &impl Harness) {
    let store = harness.open();
    let events = four_days();
    let site = website(1);
    for part in events.chunks(events.len() / 2) {
        store_all(&store, site, part);
        store_all(&store, website(2), part);
        harness.seal(&store);
    }
    store_all(&store, site, &[pageview(EPOCH_MS - 30 * DAY_MS, 99, 99, "/old")]);
    let events = [events, vec![pageview(EPOCH_MS - 30 * DAY_MS, 99, 99, "/old")]].concat();
    check_visible(&store, site, &events, i64::MIN);
    let instants = [-20 * DAY_MS, 1, DAY_MS, 2 * DAY_MS + 1, 40 * DAY_MS, DAY_MS + HOUR_MS, -20 * DAY_MS];
    let mut store = Some(store);
    let mut before_ms = i64::MIN;
    for instant in instants.map(|after| EPOCH_MS + after) {
        let open = store.get_or_insert_with(|| harness.open());
        let count = |from: i64, to: i64| {
            events.iter().filter(|event| (from..to).contains(&event.at.as_millis())).count() as u64
        };
        let expected = if instant >= before_ms {
            let (before, rows) = (Timestamp::from_millis(instant), count(before_ms, instant));
            Retained::Hidden { website: site, before, rows }
        } else {
            let since = Some(Timestamp::from_millis(instant));
            Retained::Shown { website: site, since, rows: count(instant, before_ms) }
        };
        assert_eq!(retain(open, &kept(site, Some(instant)), None).len(), usize::from(instant < before_ms));
        if instant >= before_ms {
            assert_eq!(retain(open, &kept(site, Some(instant)), Some(EPOCH_MS)), [expected]);
        }
        assert_eq!(retain(open, &kept(site, Some(instant)), Some(EPOCH_MS)), [], "once");
        before_ms = instant;
        check_visible(open, site, &events, instant);
        check_visible(open, website(2), &events[..events.len() - 1], i64::MIN);
        store = None;
        check_visible(store.get_or_insert_with(|| harness.open()), site, &events, instant);
    }
    let store = store.unwrap_or_else(|| harness.open());
    retain(&store, &kept(site, None), None);
    in_every_state(harness, store, |store| check_visible(store, site, &events, i64::MIN));
}

/// Sabotage: count days of the calendar, remove what is large at once, or forget the ledger at a restart.
#[doc(hidden)]
pub fn hidden_events_are_removed_after_thirty_counted_days(harness: &impl Harness) {
    let mut store = harness.open();
    let site = website(1);
    let events = four_days();
    store_all(&store, site, &events);
    harness.seal(&store);
    let boundary = EPOCH_MS + DAY_MS + 1;
    let hidden = events.iter().filter(|event| event.at.as_millis() < boundary).count() as u64;
    let all = events.len() as u64;
    assert_eq!(retain(&store, &kept(site, Some(boundary)), Some(EPOCH_MS)).len(), 1);
    let rows = |store: &_| EventStore::stats(store).segment_rows;
    for day in 0..RETENTION_GRACE_DAYS {
        // The calendar goes on ten times as fast, as after a server was off.
        let now = EPOCH_MS + day * 10 * DAY_MS;
        for _ in 0..3 {
            assert_eq!(retain(&store, &kept(site, Some(boundary)), Some(now)), []);
            assert_eq!(remove_hidden(&store, now), [], "day {day}");
        }
        drop(store);
        store = harness.open();
        assert_eq!(rows(&store), all);
    }
    let (day, before) = (EPOCH_MS + 400 * DAY_MS, Timestamp::from_millis(boundary));
    let waiting = Retained::Waiting { website: site, before, rows: hidden, of: all };
    assert_eq!(remove_hidden(&store, day), [waiting]);
    assert_eq!((remove_hidden(&store, day + HOUR_MS), rows(&store)), (vec![], all), "told once");
    drop(store);
    store = harness.open();
    let removed = Retained::Removed { website: site, before, rows: hidden };
    assert_eq!(remove_hidden(&store, day + DAY_MS), [removed]);
    assert_eq!(rows(&store), all - hidden);
    assert_eq!(retain(&store, &kept(site, None), None), [], "there is nothing to show");
    in_every_state(harness, store, |store| check_visible(store, site, &events, boundary));

    // Late events do not share the fate of those that were hidden long ago.
    let store = harness.open();
    retain(&store, &kept(site, Some(boundary + DAY_MS)), Some(EPOCH_MS));
    for day in 1..RETENTION_GRACE_DAYS {
        remove_hidden(&store, EPOCH_MS + day * DAY_MS);
    }
    let late = pageview(EPOCH_MS - 100 * DAY_MS, 77, 77, "/late");
    store_all(&store, site, std::slice::from_ref(&late));
    harness.seal(&store);
    for day in 0..5 {
        assert_eq!(remove_hidden(&store, EPOCH_MS + (100 + day) * DAY_MS), []);
    }
    check_visible(&store, site, &events, boundary + DAY_MS);
    retain(&store, &kept(site, None), None);
    let visible: Vec<Event> =
        events.into_iter().filter(|event| event.at.as_millis() >= boundary).chain([late]).collect();
    check_visible(&store, site, &visible, i64::MIN);
}

/// The thirty days are for retention alone. Sabotage: leave hidden rows out when a file is rewritten.
#[doc(hidden)]
pub fn a_hidden_visitor_is_erased_and_a_hidden_website_deleted_at_once(harness: &impl Harness) {
    let store = harness.open();
    let events = four_days();
    for site in [1, 2] {
        store_all(&store, website(site), &events);
        retain(&store, &kept(website(site), Some(EPOCH_MS + 40 * DAY_MS)), Some(EPOCH_MS));
    }
    store.erase_visitor(website(1), VisitorId(1)).expect("erased");
    store.delete_website(website(2)).expect("deleted");
    let left = events.iter().filter(|event| event.visitor != VisitorId(1));
    assert_eq!(store.stats().segment_rows, left.clone().count() as u64);
    // A website of the same id would begin anew.
    let fresh = [pageview(EPOCH_MS, 1, 1, "/")];
    store_all(&store, website(2), &fresh);
    check_visible(&store, website(2), &fresh, i64::MIN);
    retain(&store, &kept(website(1), None), None);
    let left: Vec<Event> = left.cloned().collect();
    in_every_state(harness, store, |store| check_visible(store, website(1), &left, i64::MIN));
}

#[doc(hidden)]
pub fn recent_sessions_continue(harness: &impl Harness) {
    let utm =
        [(Dimension::UtmSource, "news"), (Dimension::UtmCampaign, "may"), (Dimension::Referrer, "https://a.example/")];
    let store = harness.open();
    store_all(
        &store,
        website(1),
        &[
            event(EventKind::Pageview, EPOCH_MS, 1, 11, &utm),
            event(EventKind::Heartbeat, EPOCH_MS + 5_000, 1, 11, &[]),
            pageview(EPOCH_MS - 2 * HOUR_MS, 2, 21, "/"),
            pageview(EPOCH_MS, 3, 31, "/"),
            pageview(EPOCH_MS + 1, 3, 32, "/"),
            event(EventKind::Heartbeat, EPOCH_MS, 4, 41, &[]),
        ],
    );
    in_every_state(harness, store, |store| {
        let recent = store.recent_sessions(Timestamp::from_millis(EPOCH_MS - HOUR_MS));
        let since = |at: Timestamp| at.as_millis() - EPOCH_MS;
        let mut found: Vec<_> = recent
            .iter()
            .map(|recent| {
                let times = (since(recent.began_at), since(recent.last_at));
                (recent.visitor.0, recent.session.0, times, recent.campaign.as_str(), recent.referrer.as_str())
            })
            .collect();
        found.sort_unstable();
        let none = "\u{1f}\u{1f}";
        assert_eq!(
            found,
            [
                (1, 11, (0, 5_000), "news\u{1f}\u{1f}may", "https://a.example/"),
                (3, 31, (0, 0), none, ""),
                (3, 32, (1, 1), none, "")
            ]
        );
    });
}

/// As older versions stored them. Sabotage: read strings as they stand in the file.
#[doc(hidden)]
pub fn two_spellings_of_a_path_are_one_row(harness: &impl Harness) {
    let store = harness.open();
    let events = [
        pageview(EPOCH_MS, 1, 11, "/%e6%a9%9f"),
        pageview(EPOCH_MS + 1, 2, 21, "/%E6%A9%9F"),
        pageview(EPOCH_MS + 2, 3, 31, "/機"),
        pageview(EPOCH_MS + 3, 3, 31, "/%7Eme"),
    ];
    store_all(&store, website(1), &events);
    let normal = events.map(|mut event| {
        let path = normal_path(event.dimensions.get(Dimension::Path)).into_owned();
        event.dimensions.set(Dimension::Path, &path);
        event
    });
    in_every_state(harness, store, |store| {
        let row = |value: &str, pageviews| (value.to_owned(), pageviews);
        assert_eq!(values(store, website(1), Dimension::Path), [row("/%E6%A9%9F", 3), row("/~me", 1)]);
        for (field, value) in [(Field::Dimension(Dimension::Path), "/%e6%a9%9F"), (Field::EntryPage, "/機")] {
            let condition = Condition::new(field, Operator::Is, [value]).at(FilterLevel::Event);
            for question in [Question::Overview, Question::Visitors { limit: 10, offset: 0, after: None }] {
                let query = ever(question).filter(condition.clone());
                let answer = ask(store, website(1), &query);
                assert_eq!(answer, oracle::answer(&normal, &query), "{value}");
                if let Answer::Overview(overview) = answer {
                    assert_eq!(overview.metrics.visitors, 3, "{value}");
                }
            }
        }
    });
}

#[doc(hidden)]
pub fn a_store_that_shuts_down_refuses_and_keeps(harness: &impl Harness) {
    let store = harness.open();
    store_all(&store, website(1), &[pageview(EPOCH_MS, 1, 1, "/")]);
    store.shutdown();
    let refused = append(&store, vec![arriving(website(1), pageview(EPOCH_MS, 1, 1, "/"))]);
    assert_eq!(refused, Err(AppendError::ShuttingDown));
    assert!(!store.stats().writable);
    assert_eq!(store.stats().head_rows, 0, "sealed");
    drop(store);
    assert_eq!(totals(&harness.open(), website(1)).pageviews, 1);
}

#[doc(hidden)]
pub fn a_cancelled_query_ends(harness: &impl Harness) {
    let store = harness.open();
    store_all(&store, website(1), &[pageview(EPOCH_MS, 1, 1, "/")]);
    let budget = Budget::unlimited();
    budget.cancel();
    let answer = store.query(website(1), &ever(Question::Overview), &budget);
    assert_eq!(answer, Err(zenovay_query::QueryError::Cancelled));
}

#[doc(hidden)]
pub fn a_budget_that_is_used_up_gives_no_number(harness: &impl Harness) {
    let store = harness.open();
    let events: Vec<Event> = (0..2_000).map(|n| pageview(EPOCH_MS + n, n as u64, n as u64, "/")).collect();
    store_all(&store, website(1), &events);
    in_every_state(harness, store, |store| {
        let ask = |budget: &Budget| store.query(website(1), &ever(Question::Overview), budget);
        let hour = std::time::Duration::from_secs(3_600);
        assert_eq!(
            ask(&Budget::new(std::time::Duration::ZERO, usize::MAX)),
            Err(zenovay_query::QueryError::TimeExceeded)
        );
        assert_eq!(ask(&Budget::new(hour, 1)), Err(zenovay_query::QueryError::MemoryExceeded));
        assert!(ask(&Budget::new(hour, usize::MAX)).is_ok());
    });
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Append(u8, Vec<Event>),
    Seal,
    Merge,
    Reopen,
    Ask(u8, Query),
}

/// Random events appended, sealed, merged, reopened and asked about in random order give the answers of the oracle.
#[doc(hidden)]
pub fn every_answer_is_the_oracles<H: Harness>(harness: &H) {
    // One store over all cases: each case has websites of its own, and finds those of others beside them.
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { Config::default().cases } else { 64 };
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let case = std::cell::Cell::new(0u16);
    let store = std::cell::RefCell::new(Some(harness.open()));
    let result = runner.run(&prop::collection::vec(step(), 1..24), |steps| {
        case.set(case.get() + 1);
        let website = |site: u8| {
            let [high, low] = case.get().to_be_bytes();
            let mut bytes = [site; 16];
            bytes[..2].copy_from_slice(&[low, high]);
            WebsiteId::from_random_bytes(bytes)
        };
        let mut model: HashMap<u8, Vec<Event>> = HashMap::new();
        let mut slot = store.borrow_mut();
        for step in &steps {
            let open = slot.get_or_insert_with(|| harness.open());
            match step {
                Step::Append(site, events) => {
                    store_all(open, website(*site), events);
                    model.entry(*site).or_default().extend(events.iter().cloned());
                }
                Step::Seal => harness.seal(open),
                Step::Merge => harness.merge(open),
                Step::Reopen => *slot = None,
                Step::Ask(site, query) => {
                    let events = model.get(site).map_or(&[][..], Vec::as_slice);
                    let answer = ask(open, website(*site), query);
                    prop_assert_eq!(impossible_totals(query, &answer), [], "{:?}", query);
                    prop_assert_eq!(answer, oracle::answer(events, query), "{:?}", query);
                }
            }
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3u8, prop::collection::vec(SESSIONS.any_event(), 1..40)).prop_map(|(site, events)| Step::Append(site, events)),
        2 => Just(Step::Seal),
        1 => Just(Step::Merge),
        1 => Just(Step::Reopen),
        6 => (0..3u8, SESSIONS.any_query()).prop_map(|(site, query)| Step::Ask(site, query)),
    ]
}

/// Twelve sessions of five visitors, nine hours apart.
const SESSIONS: Sessions = Sessions { count: 12, hours_apart: 9, visitors: 5 };
