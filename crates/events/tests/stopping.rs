//! Questions end soon when nobody wants the answer any more, however large the website: what is done between two looks at the
//! budget does not grow with it.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;
use zenovay_domain::Dimension::{Browser, Country, Path};
use zenovay_domain::{EventKind, Interval, ManualClock, TimeRange, Timestamp, Zone};
use zenovay_events::conformance::{event, store_all, website};
use zenovay_events::query::{
    Budget, Condition, Field, Filter, FilterLevel, GiveWay, GroupBy, Metric, Operator, Order, Query, QueryError,
    Question, contains, is,
};
use zenovay_events::{EmbeddedConfig, EmbeddedStore, EventStore};

const NOW_MS: i64 = 1_774_746_000_000;
const GROUP_ROWS: usize = 2_048;
/// The rows of a website, and of one that is four times as large.
const ROWS: [usize; 2] = [4 * GROUP_ROWS, 16 * GROUP_ROWS];
/// Rows that a question may load, bytes that it may leave for the next, and threads: row group by row group; all at once; and again; row group by
/// row group on several threads.
const WAYS: [(usize, usize, usize); 4] = [(0, 0, 1), (1 << 20, 0, 1), (1 << 20, 64 << 20, 1), (0, 0, 3)];
/// So often it is measured: the least says how much is done, the others what the machine does beside it. When that is in
/// all of the first, it is measured again.
const ROUNDS: std::ops::RangeInclusive<usize> = 3..=20;
/// Looks that may come after the one that says that nobody wants the answer: a sort that has begun is finished.
const LOOKS_AFTER: usize = 64;

/// A website of visits of four events each, one event a minute, with two thousand pages.
fn store(rows: usize, (scan_rows_max, cache_bytes, threads): (usize, usize, usize)) -> (TempDir, EmbeddedStore) {
    let dir = TempDir::new().unwrap();
    let config = EmbeddedConfig::new(dir.path()).with(|config| {
        (config.scan_rows_max, config.cache_bytes, config.group_rows) = (scan_rows_max, cache_bytes, GROUP_ROWS);
        (config.query_threads, config.query_thread_rows) = (threads, 1);
    });
    let store = EmbeddedStore::open(config, Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS)))).unwrap();
    let events: Vec<_> = (0..rows)
        .map(|number| {
            let (visit, at_ms) = (number as u64 / 4, NOW_MS - (rows - number) as i64 * 60_000);
            let kind = if number % 5 == 0 { EventKind::Custom } else { EventKind::Pageview };
            let path = format!("/{}", number * 7_919 % 2_003);
            let (country, browser) =
                (["DE", "US", "FR"][visit as usize % 3], ["Firefox", "Chrome"][visit as usize % 2]);
            event(kind, at_ms, visit * 31 % 9_973, visit, &[(Path, &path), (Country, country), (Browser, browser)])
        })
        .collect();
    events.chunks(8_192).for_each(|part| store_all(&store, website(1), part));
    store.seal().unwrap();
    store.merge().unwrap();
    (dir, store)
}

/// Every question, with filters at each level.
fn questions() -> Vec<Query> {
    let pages = || GroupBy::by(Path).limit(10);
    let zone = || "Europe/Berlin".parse::<Zone>().unwrap();
    let of_visitors = Condition::new(Path, Operator::StartsWith, ["/1"]).at(FilterLevel::Visitor);
    let asked = [
        (Question::Overview, Filter::default()),
        (Question::Overview, is(Country, "DE")),
        (Question::Overview, contains(Path, "7").in_session()),
        (Question::Overview, of_visitors.into()),
        (Question::Series { interval: Interval::Day, zone: zone() }, Filter::default()),
        (Question::Series { interval: Interval::Hour, zone: zone() }, Filter::from(EventKind::Custom)),
        (
            Question::Breakdown(pages().metrics([Metric::Sessions, Metric::Title, Metric::TimeOnPage])),
            Filter::default(),
        ),
        (Question::Breakdown(pages().order(Order::Sessions)), is(Browser, "Chrome")),
        (Question::Breakdown(pages().and(Country).order(Order::Pageviews)), Filter::default()),
        (Question::Breakdown(GroupBy::by(Field::EntryPage).order(Order::Events)), contains(Path, "3")),
        (Question::Live, is(Country, "DE")),
        (Question::Visitors { limit: 50, offset: 0, after: None }, Filter::default()),
        (Question::Visitors { limit: 50, offset: 3_000, after: None }, contains(Path, "7")),
        (Question::Funnel { steps: vec![EventKind::Pageview.into(), contains(Path, "1")] }, Filter::default()),
        (Question::NewVisitors { interval: Some(Interval::Week), zone: zone() }, is(Browser, "Chrome")),
        (Question::Events { limit: 50, offset: 100 }, contains(Path, "9")),
    ];
    asked.into_iter().map(|(question, filter)| Query::new(TimeRange::ALL, question).filter(filter)).collect()
}

/// The time that this thread had a core.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Told of each look at a budget.
#[derive(Debug, Default)]
struct Looks {
    count: AtomicUsize,
    /// The longest work between two looks, and the work until the last.
    work: Mutex<(Duration, Duration)>,
    /// The budget that ends at so many looks.
    ending: Mutex<Option<(usize, Budget)>>,
}

impl Looks {
    fn look(&self) {
        let mut work = self.work.lock().unwrap();
        let now = worked();
        *work = (work.0.max(now.saturating_sub(work.1)), now);
    }
}

impl GiveWay for Looks {
    fn give_way(&self) {
        self.look();
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some((_, budget)) = self.ending.lock().unwrap().as_ref().filter(|(at, _)| *at == count) {
            budget.cancel();
        }
    }
}

/// The longest work of `query` between two looks, all of it, and how many looks there were.
fn measure(store: &EmbeddedStore, query: &Query) -> (Duration, Duration, usize) {
    let looks = Arc::new(Looks::default());
    let begun = worked();
    looks.work.lock().unwrap().1 = begun;
    store.query(website(1), query, &Budget::unlimited().giving_way(looks.clone())).unwrap();
    looks.look();
    let (longest, ended) = *looks.work.lock().unwrap();
    (longest, ended - begun, looks.count.load(Ordering::Relaxed))
}

/// Sabotage: look at the budget once for all rows in `Work::for_each_block`, or load all row groups without a look.
#[test]
fn what_is_done_between_two_looks_does_not_grow_with_the_website() {
    // What is loaded already is bounded by the first number.
    for way in [WAYS[0], WAYS[1]] {
        let [(_small_dir, small), (_large_dir, large)] = ROWS.map(|rows| store(rows, way));
        for query in questions() {
            let mut least = [(Duration::MAX, Duration::MAX); 2];
            let is_bounded = (1..=*ROUNDS.end()).any(|round| {
                for ((longest, all), store) in least.iter_mut().zip([&small, &large]) {
                    let (between, whole, _) = measure(store, &query);
                    (*longest, *all) = ((*longest).min(between), (*all).min(whole));
                }
                let [(of_small, _), (of_large, all)] = least;
                round >= *ROUNDS.start() && of_large <= 2 * of_small + all / 8
            });
            let [(of_small, _), (of_large, all)] = least;
            assert!(
                is_bounded,
                "{way:?}: {of_large:?} of {all:?} pass without a look, of a quarter of the rows {of_small:?}: {query:?}"
            );
        }
    }
}

/// Sabotage: leave the outcome of a look out, or sort all at once.
#[test]
fn a_question_that_is_cancelled_ends_at_its_next_look() {
    for way in WAYS {
        let (_dir, store) = store(2 * ROWS[1], way);
        for query in questions() {
            // The first time more is loaded than later.
            let [_, (_, _, count)] = [(); 2].map(|()| measure(&store, &query));
            for at in (1..=count).step_by((count / 8).max(1)) {
                let looks = Arc::new(Looks::default());
                let budget = Budget::unlimited().giving_way(looks.clone());
                *looks.ending.lock().unwrap() = Some((at, budget.clone()));
                let answer = store.query(website(1), &query, &budget);
                // Several threads do not look as often each time.
                if way.2 > 1 && looks.count.load(Ordering::Relaxed) < at {
                    assert!(answer.is_ok(), "{query:?}");
                    continue;
                }
                assert_eq!(answer.err(), Some(QueryError::Cancelled), "{way:?}: at look {at} of {count}: {query:?}");
                let after = looks.count.load(Ordering::Relaxed) - at;
                assert!(after <= LOOKS_AFTER * way.2, "{way:?}: {after} looks after look {at} of {count}: {query:?}");
            }
        }
    }
}
