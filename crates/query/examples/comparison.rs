//! Holds a month against the month before and a day against the year before:
//! `cargo run -p zenovay-query --example comparison`.
#![allow(clippy::print_stdout)]

use zenovay_domain::{Dimension, Event, EventKind, Interval, SessionId, TimeRange, Timestamp, VisitorId, Zone};
use zenovay_query::{Baseline, Budget, Change, Comparison, GroupBy, MemoryDataset, Metric, Query, QueryError};

const DAY_MS: i64 = 24 * 3_600_000;

/// 2025-09-01T00:00:00Z.
const BEGINNING_MS: i64 = 1_756_684_800_000;

/// 14 months of made-up visits, more of them each month.
fn visits() -> Vec<Event> {
    let paths = ["/", "/pricing", "/docs", "/blog/launch"];
    let mut events = Vec::new();
    for day in 0..426u64 {
        for visit in 0..20 + day / 10 {
            let session = day * 1_000 + visit;
            let at = BEGINNING_MS + day as i64 * DAY_MS + (visit * 7_919 % 86_400) as i64 * 1_000;
            for view in 0..1 + visit * visit % (3 + day / 200) {
                let at = Timestamp::from_millis(at + view as i64 * 30_000);
                let mut event = Event::new(EventKind::Pageview, at, VisitorId(session % 997), SessionId(session));
                event.dimensions.set(Dimension::Path, paths[((session + view) % 4) as usize]);
                events.push(event);
            }
        }
    }
    events
}

fn percent(change: Change<i64>) -> String {
    change.relative.map_or("nothing before".to_owned(), |fraction| format!("{:+.1} %", fraction * 100.0))
}

fn main() -> Result<(), QueryError> {
    let memory = MemoryDataset::new(&visits());
    let budget = Budget::new(std::time::Duration::from_secs(1), 64 << 20);
    // Whoever answers plain questions answers comparisons: here the dataset, in a server the event store.
    let ask = |query: &Query| memory.answer(query, &budget);

    // October 2026 as Berlin cuts it: 31 days, one of them with 25 hours. September has 30.
    let berlin: Zone = "Europe/Berlin".parse().unwrap_or_else(|_unknown| Zone::utc());
    let day = |days: i64| berlin.day_start(berlin.civil_day(Timestamp::from_millis(BEGINNING_MS + days * DAY_MS)));
    let october = Comparison::new(TimeRange::new(day(395), day(426)), Baseline::PreviousPeriod, berlin.clone());
    let earlier = october.earlier_range();
    println!(
        "{} to {} is compared with what begins on {}",
        berlin.format_date(october.range.from),
        berlin.format_date(october.range.to),
        berlin.format_date(earlier.from)
    );

    let totals = october.overview(ask)?;
    let changes = totals.changes();
    println!("visitors: {} ({})", totals.current.visitors, percent(changes.visitors));
    println!(
        "pageviews: {} ({:+}, {})",
        totals.current.pageviews,
        changes.pageviews.absolute,
        percent(changes.pageviews)
    );
    if let Some(rate) = changes.bounce_rate {
        println!("bounce rate: {:+.4}", rate.absolute);
    }

    for point in october.series(Interval::Week, ask)?.points {
        let views = |point: Option<zenovay_query::SeriesPoint>| point.map_or(0, |point| point.metrics.pageviews);
        println!("week: {} after {}", views(point.current), views(point.earlier));
    }

    let top_pages = GroupBy::by(Dimension::Path).metrics([Metric::Sessions]).limit(3).without_empty();
    let year = Comparison::new(october.range, Baseline::PreviousYear, october.zone.clone());
    for row in year.breakdown(&top_pages, ask)?.rows {
        println!(
            "{}: {} visitors, {} a year before",
            row.current.value, row.current.metrics.visitors, row.earlier.metrics.visitors
        );
    }
    Ok(())
}
