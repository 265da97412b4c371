//! Opens a store, appends a day of made-up traffic, and asks about it, before and after it is reopened.
//!
//! `cargo run --release -p zenovay-events --example embed`

use std::error::Error;
use std::io::{Write, stdout};
use std::time::Instant;

use zenovay_events::Dimension::Path;
use zenovay_events::query::by;
use zenovay_events::{Event, EventKind, NewEvent, SessionId, Store, TimeRange, Timestamp, VisitorId, WebsiteId};

const EVENTS: u64 = 200_000;
const BATCH: u64 = 1_000;
const PATHS: [&str; 4] = ["/", "/pricing", "/docs", "/blog"];

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let website = WebsiteId::from_random_bytes([7; 16]);
    let midnight = Timestamp::from_millis(1_800_000_000_000);
    let mut out = stdout().lock();

    let store = Store::open(dir.path())?;
    let started = Instant::now();
    for batch in 0..EVENTS / BATCH {
        let events = (batch * BATCH..(batch + 1) * BATCH).map(|n| {
            let at = midnight.plus_millis((n * 86_400_000 / EVENTS) as i64);
            let mut event = Event::new(EventKind::Pageview, at, VisitorId(n / 7), SessionId(n / 7));
            event.dimensions.set(Path, PATHS[(n % 13 % 4) as usize]);
            NewEvent::new(website, at, event)
        });
        store.append(events.collect::<Vec<_>>()).wait()?;
    }
    let per_second = EVENTS as f64 / started.elapsed().as_secs_f64();
    writeln!(out, "{EVENTS} events durable, {per_second:.0} a second in batches of {BATCH}")?;

    let day = TimeRange::new(midnight, midnight.plus_millis(86_400_000));
    let pages = |store: &Store| store.ask(website).range(day).top(by(Path).limit(10).without_empty()).wait();
    let before = pages(&store)?;
    for row in &before.rows {
        writeln!(out, "{:10} {:7} visitors {:7} pageviews", row.value, row.metrics.visitors, row.metrics.pageviews)?;
    }
    store.shutdown();
    let stats = store.stats();
    let per_event = stats.segment_bytes as f64 / stats.segment_rows as f64;
    writeln!(out, "{} segments, {per_event:.1} bytes an event", stats.segments)?;
    drop(store);

    let started = Instant::now();
    let store = Store::open(dir.path())?;
    let after = pages(&store)?;
    writeln!(out, "reopened, and the same answer: {} ({:?})", before == after, started.elapsed())?;
    Ok(())
}
