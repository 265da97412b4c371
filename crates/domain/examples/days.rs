//! The days of a week in which a clock is changed, and what the plans allow: `cargo run --example days`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use zenovay_domain::{Interval, Plan, PlanTable, TimeRange, Zone, parse_date};

fn main() -> Result<(), Box<dyn Error>> {
    let berlin: Zone = "Europe/Berlin".parse()?;
    let [monday, next] = [parse_date("2026-03-23")?, parse_date("2026-03-30")?].map(|day| berlin.day_start(day));
    for day in berlin.buckets(TimeRange::new(monday, next), Interval::Day, 7) {
        println!("{} has {} hours", berlin.format_date(day.from), day.duration_ms() / 3_600_000);
    }
    for &plan in Plan::ALL {
        println!("{plan}: {} requests a minute", PlanTable::default().limits(plan).requests_per_minute);
    }
    Ok(())
}
