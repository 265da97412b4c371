#![doc = include_str!("../README.md")]

mod cardinality;
mod catalog;
mod codec;
mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod embedded;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod head;
mod intern;
mod log;
mod maintenance;
mod queue;
mod recent;
mod repair;
mod retention;
mod rows;
mod segment;
mod state;
mod store;
mod totals;
mod verify;
mod view;
mod writer;

pub use codec::Encoder as BatchEncoder;
pub use config::{EmbeddedConfig, FaultPoint, Faults, Observer};
pub use embedded::EmbeddedStore;
pub use log::OpenError;
pub use repair::{RepairError, Repaired, repair};
pub use retention::{Kept, RETENTION_GRACE_DAYS, Retained};
pub use store::{
    AppendError, AppendOutcome, AppendReceipt, EventStore, IdempotencyKey, NewEvent, RecentSession, StoreStats,
};
pub use verify::{Verified, verify};
