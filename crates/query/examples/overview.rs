//! Asks each question of a month of made-up visits: `cargo run -p zenovay-query --example overview`.
#![allow(clippy::print_stdout)]

use zenovay_domain::{Dimension, Event, EventKind, Interval, SessionId, TimeRange, Timestamp, VisitorId, Zone};
use zenovay_query::{Budget, Condition, Field, Filter, GroupBy, MemoryDataset, Metric, Operator, QueryError, kernels};

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
            event.dimensions.set(Dimension::Path, paths[((session * session + view) % 5) as usize]);
            event.dimensions.set(Dimension::Country, countries[(visitor % 4) as usize]);
            events.push(event);
        }
    }
    events
}

fn main() -> Result<(), QueryError> {
    let memory = MemoryDataset::new(&visits());
    let chunks = memory.chunks();
    let dataset = memory.dataset(&chunks);
    let october =
        TimeRange::new(Timestamp::from_millis(OCTOBER_MS), Timestamp::from_millis(OCTOBER_MS + 31 * 24 * HOUR_MS));
    let everything = Filter::default();
    let budget = Budget::new(std::time::Duration::from_secs(1), 64 << 20);

    let metrics = kernels::overview(&dataset, october, &everything, &budget)?.metrics;
    println!(
        "{} visitors, {} pageviews, {} sessions, bounce rate {:.2}",
        metrics.visitors,
        metrics.pageviews,
        metrics.sessions,
        metrics.bounce_rate().unwrap_or_default()
    );

    let series = kernels::series(&dataset, october, &everything, Interval::Week, &Zone::utc(), &budget)?;
    for point in &series.points {
        println!("week of {}: {} visitors", Zone::utc().format_date(point.bucket.from), point.metrics.visitors);
    }

    let from_germany = Filter::Is(Condition {
        field: Field::Dimension(Dimension::Country),
        operator: Operator::Is,
        values: vec!["DE".to_owned()],
        level: None,
    });
    let top_pages = GroupBy::by(Dimension::Path).metrics([Metric::TimeOnPage]).limit(3).without_empty();
    for row in kernels::breakdown(&dataset, october, &from_germany, &top_pages, &budget)?.rows {
        println!("{}: {} visitors from Germany, {} views", row.value, row.metrics.visitors, row.metrics.pageviews);
    }

    let newest = kernels::visitors(&dataset, october, &everything, (1, 0), None, &budget)?;
    for record in newest.visitors {
        println!("newest visit: {} on {} at {}", record.visitor, record.landing_page, record.visited_at);
        // Live is asked about one instant, here a minute after that visit began: the end of the range.
        let now = TimeRange::new(october.from, record.visited_at.plus_millis(60_000));
        println!("live a minute later: {}", kernels::live(&dataset, now, &everything, &budget)?.visitors);
    }
    Ok(())
}
