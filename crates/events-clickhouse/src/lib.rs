#![doc = include_str!("../README.md")]
// What may grow can grow without breaking who uses it; what cannot says why.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly"))]

mod answers;
mod compare;
mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod delivery;
mod doctor;
mod error;
mod inner;
mod moving;
mod plan;
mod row;
mod schema;
mod server;
mod shared;
mod spans;
mod sql;
mod store;
mod tables;

pub use config::Config;
pub use doctor::{Examined, examine};
pub use error::{OpenError, ServerError};
pub use moving::{
    Both, ComparedWebsite, DifferentDay, MoveError, MoveState, Moved, Mover, Reconciliation, give_up_move, move_state,
    note_erasure,
};
pub use shared::{Claim, Erasure, Shared, SharedError};
pub use store::ClickHouseStore;
pub use tables::{Tables, count_all, count_by_website};
pub use zenovay_events::engine::{Acknowledged, SpoolConfig};
