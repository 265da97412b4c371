//! What becomes of a body: `cargo run -p zenovay-ingest --example track < body.json`. The website is example.com.

use std::error::Error;
use std::io::{self, Read, Write};

use rand::SeedableRng;
use zenovay_domain::{Clock, SystemClock, WebsiteRules};
use zenovay_ingest::{
    Arrival, GeoDatabase, HIT_BODY_MAX_BYTES, MemorySessions, Pipeline, Sender, VisitorHasher, decode_body,
};

fn main() -> Result<(), Box<dyn Error>> {
    let now = SystemClock.now();
    let hasher = VisitorHasher::in_memory(now, rand::rngs::StdRng::from_rng(&mut rand::rng()))?;
    let pipeline = Pipeline::new(hasher, MemorySessions::default(), GeoDatabase::embedded()?);
    let rules = WebsiteRules::for_domain("example.com")?;
    let mut input = Vec::new();
    io::stdin().take(1 << 20).read_to_end(&mut input)?;
    let body = decode_body(None, &input, HIT_BODY_MAX_BYTES)?;
    let mut out = io::stdout();
    let arrival = Arrival::new(Sender::Anybody("8.8.8.8".parse()?), now);
    match pipeline.track(&arrival, &body, &rules) {
        Ok(accepted) => writeln!(out, "{:#?}", accepted.event)?,
        Err(rejected) => {
            let outcome = rejected.outcome();
            writeln!(out, "{} {}: {rejected:#?}", outcome.as_str(), outcome.reason())?;
        }
    }
    Ok(())
}
