//! Rows for other programs: lists as CSV and NDJSON, events as Parquet files.

pub mod audit;
pub mod events;
pub mod in_hand;
pub mod ranges;
pub mod sheets;
