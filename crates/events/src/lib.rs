#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::cast_possible_truncation, reason = "the numbers of tests are small"))]

mod cardinality;
mod catalog;
mod codec;
mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod embedded;
mod export;
#[cfg(test)]
mod format_tests;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod head;
mod inner;
mod intern;
mod ledger;
mod log;
mod maintenance;
mod merging;
mod open_error;
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

pub use codec::{Encoder as BatchEncoder, RecordKind};
pub use config::{EmbeddedConfig, FaultPoint, Faults, Observer};
pub use embedded::EmbeddedStore;
pub use ledger::{Kept, RETENTION_GRACE_DAYS, Retained};
pub use open_error::OpenError;
pub use repair::{RepairError, Repaired, repair};
pub use store::{
    AppendError, AppendOutcome, AppendReceipt, ChangeError, EventStore, IdempotencyKey, NewEvent, RecentSession,
    StoreStats,
};
pub use verify::{Verified, verify};
