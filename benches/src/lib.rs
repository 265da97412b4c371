//! What the benchmarks share.

pub mod clicks;
pub mod generate;
