//! A hit becomes a typed event, and one that is not well formed says why: `cargo run -p zenovay-ingest --example hit`.
#![allow(clippy::print_stdout)]

use zenovay_ingest::{Arrival, Dimension, Hit, Pipeline, Timestamp, WebsiteRules};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now: Timestamp = "2026-06-13T12:00:00Z".parse()?;
    let pipeline = Pipeline::in_memory(now)?;
    let rules = WebsiteRules::for_domain("example.com")?;
    let mut arrival = Arrival::from_address("8.8.8.8".parse()?, now);
    arrival.user_agent = Some("MyServer/1.0");
    // Field by field …
    let hit = Hit::event("signup", "https://example.com/welcome", "session-4711").property("plan", "pro");
    let event = pipeline.track_hit(&arrival, hit, &rules)?.event;
    println!("{} from {}", event.dimensions.get(Dimension::Path), event.dimensions.get(Dimension::Country));
    // … or as the JSON that pages send.
    if let Err(refused) = pipeline.track(&arrival, br#"{"url": "https://example.com/"}"#, &rules) {
        println!("{} {refused}", refused.status());
    }
    Ok(())
}
