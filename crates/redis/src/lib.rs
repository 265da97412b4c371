#![doc = include_str!("../README.md")]
// What may grow can grow without breaking who uses it; what cannot says why.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![cfg_attr(test, allow(clippy::cast_possible_truncation, reason = "the numbers of tests are small"))]

mod counts;
mod keeper;
mod link;
mod membership;
mod redis_url;
mod salts;
mod sessions;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use counts::{Fallback, RedisCounts};
pub use keeper::{Before, Observer, Redis, Status};
pub use link::{AwayReason, OpenError};
pub use redis_url::{InvalidRedisUrl, RedisUrl};
pub use salts::RedisSalts;
pub use sessions::RedisSessions;
