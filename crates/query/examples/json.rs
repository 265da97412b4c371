//! A question that comes as JSON, and its answer as JSON: `cargo run -p zenovay-query --example json`.
#![allow(clippy::print_stdout)]

use zenovay_query::{Budget, MemoryDataset, Query, serde_json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let query: Query = serde_json::from_str(
        r#"{
            "range": { "from": 1800000000000, "to": 1800086400000 },
            "filter": { "condition": { "field": "country", "operator": "is", "values": ["CA"] } },
            "question": { "breakdown": { "field": "page", "limit": 10 } }
        }"#,
    )?;
    let pages = MemoryDataset::new(&[]).answer(&query, &Budget::unlimited())?.into_breakdown()?;
    println!("{}", serde_json::to_string(&pages)?); // {"rows":[],"total_rows":0,"total_visitors":0}
    Ok(())
}
