//! A caller with 30 requests a minute asks twice a second for two minutes, on a clock that the program moves; in fixed
//! windows, in sliding ones, and with a burst of five.
#![allow(clippy::print_stdout)]

use zenovay_limits::{Limiter, Rule, UnixTime};

fn main() {
    let rule = Rule::per_minute(30);
    for (name, rule) in [("fixed", rule), ("sliding", rule.sliding()), ("bucket", rule.burst(5))] {
        let limiter = Limiter::<str>::new(rule);
        let line: String = (0..240)
            .map(|half_second| match limiter.check_at("alice", UnixTime::from_millis(half_second * 500)) {
                Ok(_) => '#',
                Err(_) => '.',
            })
            .collect();
        println!("{name:>8} {line}");
    }
}
