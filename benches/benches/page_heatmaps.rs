//! The heatmap of a page with a million clicks: all of it, of one browser, and of a few hours.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench fails loudly and prints")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use zenovay_benches::clicks::{DAYS, END_MS, PAGE, store, views};
use zenovay_benches::generate::{DAY_MS, website_id};
use zenovay_benches::size;
use zenovay_capture::{Captures, DeviceClass, HeatFilter, HeatPagesQuery, HeatSort, HeatmapQuery, Row};
use zenovay_domain::{TimeRange, Timestamp};

/// The same allocator as the server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn heatmaps(c: &mut Criterion) {
    let clicks = size(1_000_000);
    let dir = TempDir::new().expect("a directory");
    let captures = Captures::open(dir.path()).expect("the captures open");
    let website = website_id(0);
    store(&captures, website, views(clicks));
    let bytes: u64 = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    println!("{} bytes per 1,000 clicks of 250 page views", bytes * 1_000 / clicks);

    let is_firefox = |row: &Row<'_>| row.browser == "Firefox";
    let from = END_MS - DAYS * DAY_MS;
    let range = |from: i64, to: i64| TimeRange::new(Timestamp::from_millis(from), Timestamp::from_millis(to));
    let all = HeatFilter { range: range(from, END_MS), ..HeatFilter::ALL };
    let mut group = c.benchmark_group("heatmap of 1 M clicks");
    group.throughput(Throughput::Elements(clicks));
    for (name, filter) in [
        ("all", all),
        ("one browser", HeatFilter { keep: Some(&is_firefox), ..all }),
        ("without its first and last hours", HeatFilter { range: range(from + 3_600_000, END_MS - 3_600_000), ..all }),
    ] {
        let query = HeatmapQuery { filter, path: PAGE, class: DeviceClass::Desktop, elements: 200, spots: 5_000 };
        group.bench_function(name, |b| b.iter(|| black_box(captures.heatmap(website, &query)).unwrap()));
    }
    let query =
        HeatPagesQuery { sort: HeatSort::default(), filter: all, class: None, contains: "", offset: 0, limit: 20 };
    group.bench_function("list of pages", |b| b.iter(|| black_box(captures.heat_pages(website, &query)).unwrap()));
    group.finish();
}

criterion_group!(benches, heatmaps);
criterion_main!(benches);
