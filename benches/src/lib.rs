//! What the benchmarks share.

pub mod export;
pub mod generate;
