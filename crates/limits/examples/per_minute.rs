//! Three requests a minute for each name: `cargo run -p zenovay-limits --example per_minute`.
#![allow(clippy::print_stdout)]

use zenovay_limits::{Limiter, Rule};

fn main() {
    let limiter = Limiter::<String>::new(Rule::per_minute(3));
    for name in ["alice", "alice", "bob", "alice", "alice"] {
        match limiter.check(name) {
            Ok(decision) => println!("{name}: welcome, {} more may come this minute", decision.remaining),
            Err(refused) => println!("{name}: {}, come again in {:?}", refused.status(), refused.retry_after()),
        }
    }
}
