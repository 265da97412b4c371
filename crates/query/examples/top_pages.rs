//! The pages that visitors from Canada saw in the last seven days: `cargo run -p zenovay-query --example top_pages`.
#![allow(clippy::print_stdout)]

use zenovay_query::domain::Dimension::{Country, Path};
use zenovay_query::domain::{Clock, Event, EventKind, SessionId, SystemClock, VisitorId, Zone};
use zenovay_query::{MemoryDataset, QueryError, by, is};

fn main() -> Result<(), QueryError> {
    let now = SystemClock.now();
    let mut event = Event::new(EventKind::Pageview, now.plus_millis(-60_000), VisitorId(7), SessionId(1));
    event.dimensions.set(Path, "/pricing");
    event.dimensions.set(Country, "CA");
    let memory = MemoryDataset::new(&[event]);
    let pages = memory.ask(now).last_days(7, &Zone::utc()).filter(is(Country, "CA")).top(by(Path).limit(10)).wait()?;
    for row in pages.rows {
        println!("{}: {} visitors", row.value, row.metrics.visitors);
    }
    Ok(())
}
