//! The days of a week in which a clock is changed, and what the plans allow.
//!
//! ```sh
//! cargo run -p zenovay-domain --example days
//! ```
#![allow(clippy::print_stdout)]

use std::error::Error;

use zenovay_domain::{Interval, Plan, PlanTable, TimeRange, Timestamp, Zone};

fn main() -> Result<(), Box<dyn Error>> {
    let berlin: Zone = "Europe/Berlin".parse()?;
    // 2026-03-27T00:00:00Z, two days before the clock is put forward.
    let from = Timestamp::from_millis(1_774_569_600_000);
    for day in berlin.buckets(TimeRange::new(from, from.plus_millis(5 * 86_400_000)), Interval::Day, 10) {
        println!(
            "{} begins at {} and has {} hours",
            berlin.format_date(day.from),
            day.from,
            day.duration_ms() / 3_600_000
        );
    }
    let plans = PlanTable::default();
    for plan in Plan::ALL {
        println!("{plan}: {} requests a minute", plans.limits(plan).requests_per_minute);
    }
    Ok(())
}
