#![doc = include_str!("../README.md")]
// What may grow can grow without breaking who uses it; what cannot says why.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly"))]

mod answers;
mod compare;
mod config;
mod error;
mod plan;
mod row;
mod schema;
mod server;
mod sql;
mod tables;

pub use config::Config;
pub use error::{OpenError, ServerError};
pub use tables::Tables;
