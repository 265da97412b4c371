#![doc = include_str!("../README.md")]

mod store;

pub use store::{
    AppendError, AppendOutcome, AppendReceipt, EventStore, IdempotencyKey, NewEvent, RecentSession, StoreStats,
};
