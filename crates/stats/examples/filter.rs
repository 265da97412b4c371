//! A filter as a string and what it leaves of three pageviews: `cargo run -p zenovay-stats --example filter`.
#![allow(clippy::print_stdout)]

use zenovay_stats::domain::{Dimension, Event, EventKind, SessionId, TimeRange, Timestamp, VisitorId};
use zenovay_stats::query::{Budget, MemoryDataset};
use zenovay_stats::{Ask, Dialect, Metric, parse_filters};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (from, to) = (Timestamp::from_millis(1_781_308_800_000), Timestamp::from_millis(1_781_395_200_000));
    let event = |(id, path): (u64, &str)| {
        let mut event = Event::new(EventKind::Pageview, from, VisitorId(id), SessionId(id));
        event.dimensions.set(Dimension::Path, path);
        event
    };
    let memory = MemoryDataset::new(&[(1, "/blog/a"), (2, "/blog/b"), (3, "/")].map(event));
    let filters = parse_filters("event:page==/blog/*", Dialect::Own)?;
    let ask = Ask::new(TimeRange::new(from, to), filters, [Metric::Visitors]);
    let totals = ask.aggregate(|query| memory.answer(query, &Budget::unlimited()))?;
    println!("{:?}", totals.number(Metric::Visitors));
    Ok(())
}
