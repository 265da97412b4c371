//! Stores a pageview and asks for the pages of the last seven days: `cargo run -p zenovay-events --example ask`.
#![allow(clippy::print_stdout)]

use std::error::Error;

use zenovay_events::Dimension::{Country, Path};
use zenovay_events::query::{by, is};
use zenovay_events::{Clock, Event, EventKind, NewEvent, SessionId, Store, SystemClock, VisitorId, WebsiteId, Zone};

fn main() -> Result<(), Box<dyn Error>> {
    let store = Store::open(std::env::temp_dir().join("zenovay-first"))?;
    let (site, now) = (WebsiteId::from_random_bytes([7; 16]), SystemClock.now());
    let mut event = Event::new(EventKind::Pageview, now, VisitorId(1), SessionId(now.as_millis().unsigned_abs()));
    event.dimensions.set(Path, "/pricing");
    event.dimensions.set(Country, "CA");
    store.append(NewEvent::new(site, now, event)).wait()?;
    let zone: Zone = "America/Vancouver".parse()?;
    for row in store.ask(site).last_days(7, &zone).filter(is(Country, "CA")).top(by(Path).limit(10)).wait()?.rows {
        println!("{}: {} visitors, {} pageviews", row.value, row.metrics.visitors, row.metrics.pageviews);
    }
    Ok(())
}
