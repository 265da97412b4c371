//! What becomes of a hit, and of a body: `cargo run --example track < body.json`. The website is example.com.
#![allow(clippy::print_stdout)]

use std::io::Read;
use zenovay_ingest::{Arrival, Clock, Dimension, Hit, Pipeline, SystemClock, WebsiteRules};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = SystemClock.now();
    let (pipeline, rules) = (Pipeline::in_memory(now)?, WebsiteRules::for_domain("example.com")?);
    let arrival = Arrival::from_address("8.8.8.8".parse()?, now);
    let hit =
        Hit::pageview("https://example.com/pricing", "session-1").user_agent("MyServer/1.0").property("plan", "pro");
    let event = pipeline.track_hit(&arrival, hit, &rules)?.event;
    println!("{} from {}", event.dimensions.get(Dimension::Path), event.dimensions.get(Dimension::Country));
    let mut body = Vec::new();
    std::io::stdin().take(1 << 20).read_to_end(&mut body)?;
    match pipeline.track(&arrival, &body, &rules) {
        Ok(accepted) => println!("{:#?}", accepted.event),
        Err(error) => println!("{} {error:#?}", error.status()),
    }
    Ok(())
}
