//! What the benchmarks share.

pub mod clicks;
pub mod dice;
pub mod generate;
