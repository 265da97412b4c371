#![doc = include_str!("../README.md")]
// What may grow can grow without breaking who uses it; what cannot says why.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![cfg_attr(test, allow(clippy::cast_possible_truncation, reason = "the numbers of tests are small"))]

mod address;
#[cfg(feature = "conformance")]
pub mod conformance;
mod counts;
mod decision;
mod limiter;
mod memory;
mod rule;
mod sketch;
mod state;
mod time;

pub use address::{AddressLimiter, ClientNetwork, Network, SITE_FACTOR};
pub use counts::{Counts, LimiterUnavailable};
pub use decision::{Decision, Refused};
pub use limiter::Limiter;
pub use memory::{DEFAULT_MAX_BYTES, MemoryCounts};
pub use rule::{InvalidRule, Method, Rule};
pub use time::UnixTime;
