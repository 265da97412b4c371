//! The kernels alone, one thread, on the largest website of the side-by-side harness: about 560,000 pageviews in the
//! 30 days asked for, of 1.7 million in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use zenovay_benches::generate::{Columns, DAY_MS, Texts, Traffic, website_id};
use zenovay_benches::size;
use zenovay_domain::{Dimension, Interval, TimeRange, Timestamp, Zone};
use zenovay_query::{
    Budget, DatasetBuilder, Field, Filter, GroupBy, MemoryDataset, Metric, Query, Question, engine, is,
};

fn traffic() -> Traffic {
    Traffic { rows: size(1_674_000), websites: 1, days: 90, end_day: 20_000, seed: 7, custom_events: false }
}

/// The traffic in as many chunks as it has `days_per_chunk`s.
fn dataset(days_per_chunk: usize) -> MemoryDataset {
    let texts = Texts::new();
    let mut builder = DatasetBuilder::default();
    for (day, rows) in traffic().days().enumerate() {
        if day % days_per_chunk == 0 {
            builder.end_chunk();
        }
        for row in &rows {
            builder.push(&texts.event(row, website_id(0), Columns::Harness).event);
        }
    }
    builder.finish()
}

fn by(field: Field, and: Option<Field>, metrics: Vec<Metric>) -> Question {
    let mut by = GroupBy::by(field).metrics(metrics).limit(10);
    by.and = and;
    Question::Breakdown(by)
}

fn questions() -> Vec<(&'static str, Filter, Question)> {
    let all = Filter::default;
    let path = || Field::Dimension(Dimension::Path);
    let chrome_in_us = || Filter::All(vec![is(Dimension::Country, "US"), is(Dimension::Browser, "Chrome")]);
    vec![
        ("overview", all(), Question::Overview),
        ("daily", all(), Question::Series { interval: Interval::Day, zone: Zone::utc() }),
        ("hourly", all(), Question::Series { interval: Interval::Hour, zone: Zone::utc() }),
        ("pages", all(), by(path(), None, vec![])),
        ("countries", all(), by(Field::Dimension(Dimension::Country), None, vec![])),
        ("browser_os", all(), by(Field::Dimension(Dimension::Browser), Some(Field::Dimension(Dimension::Os)), vec![])),
        ("filtered_pages", chrome_in_us(), by(path(), None, vec![])),
        ("live", all(), Question::Live),
        ("entry_pages", all(), by(Field::EntryPage, None, vec![Metric::Sessions])),
        ("countries_with_sessions", all(), by(Field::Dimension(Dimension::Country), None, vec![Metric::Sessions])),
        ("pages_with_all", all(), by(path(), None, vec![Metric::Sessions, Metric::TimeOnPage])),
        ("filtered_overview", is(Dimension::Path, "/"), Question::Overview),
        ("visitors", all(), Question::Visitors { limit: 50, offset: 0, after: None }),
    ]
}

fn kernels_of(c: &mut Criterion) {
    let end = Timestamp::from_millis(traffic().end_ms());
    let range = TimeRange::new(end.plus_millis(-30 * DAY_MS), end);
    for (name, days_per_chunk) in [("one chunk", 90), ("a chunk a day", 1)] {
        let memory = dataset(days_per_chunk);
        let chunks = memory.chunks();
        let dataset = memory.dataset(&chunks);
        let mut group = c.benchmark_group(name);
        for (name, filter, question) in questions() {
            let query = Query::new(range, question).filter(filter);
            group.bench_function(name, |bencher| {
                bencher.iter(|| engine::answer(black_box(&dataset), &query, &Budget::unlimited()));
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1));
    targets = kernels_of
}
criterion_main!(benches);
