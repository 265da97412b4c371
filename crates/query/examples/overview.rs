//! Asks each question of a month of made-up visits: `cargo run -p zenovay-query --example overview`.
#![allow(clippy::print_stdout)]

use zenovay_query::domain::Dimension::{Country, Path};
use zenovay_query::domain::{Event, EventKind, Interval, SessionId, TimeRange, Timestamp, VisitorId, Zone};
use zenovay_query::{Budget, MemoryDataset, Metric, QueryError, by, is};

const HOUR_MS: i64 = 3_600_000;

/// 2026-10-01T00:00:00Z.
const OCTOBER_MS: i64 = 1_790_812_800_000;

/// 2,000 sessions of 700 visitors, spread over the month by multiplication instead of chance.
fn visits() -> Vec<Event> {
    let paths = ["/", "/pricing", "/docs", "/docs/api", "/blog/launch"];
    let countries = ["DE", "US", "FR", "JP"];
    let mut events = Vec::new();
    for session in 0..2_000u64 {
        let visitor = session * 7_919 % 700;
        let begins = OCTOBER_MS + (session * 104_729 % (31 * 24)) as i64 * HOUR_MS;
        for view in 0..1 + session % 4 {
            let at = Timestamp::from_millis(begins + view as i64 * 40_000);
            let mut event = Event::new(EventKind::Pageview, at, VisitorId(visitor), SessionId(session));
            event.dimensions.set(Path, paths[((session * session + view) % 5) as usize]);
            event.dimensions.set(Country, countries[(visitor % 4) as usize]);
            events.push(event);
        }
    }
    events
}

fn main() -> Result<(), QueryError> {
    let memory = MemoryDataset::new(&visits());
    let october =
        TimeRange::new(Timestamp::from_millis(OCTOBER_MS), Timestamp::from_millis(OCTOBER_MS + 31 * 24 * HOUR_MS));
    let budget = Budget::new(std::time::Duration::from_secs(1), 64 << 20);
    let ask = || memory.ask(october.to).range(october).budget(budget.clone());

    let metrics = ask().overview().wait()?.metrics;
    println!(
        "{} visitors, {} pageviews, {} sessions, bounce rate {:.2}",
        metrics.visitors,
        metrics.pageviews,
        metrics.sessions,
        metrics.bounce_rate().unwrap_or_default()
    );

    for point in ask().series(Interval::Week, &Zone::utc()).wait()?.points {
        println!("week of {}: {} visitors", Zone::utc().format_date(point.bucket.from), point.metrics.visitors);
    }

    let top_pages = by(Path).metrics([Metric::TimeOnPage]).limit(3).without_empty();
    for row in ask().filter(is(Country, "DE")).top(top_pages).wait()?.rows {
        println!("{}: {} visitors from Germany, {} views", row.value, row.metrics.visitors, row.metrics.pageviews);
    }

    for record in ask().visitors(1).wait()?.visitors {
        println!("newest visit: {} on {} at {}", record.visitor, record.landing_page, record.visited_at);
        // Live is asked about one instant, here a minute after that visit began.
        let live = memory.ask(record.visited_at.plus_millis(60_000)).live().wait()?;
        println!("live a minute later: {}", live.visitors);
    }
    Ok(())
}
