//! What the benchmarks share.

pub mod clicks;
pub mod dice;
pub mod generate;

/// How much there is of what a benchmark works on: all of it for `cargo bench`, a hundredth for `cargo test`, which runs
/// each benchmark once to see that it works.
#[must_use]
pub fn size(measured: u64) -> u64 {
    let is_measured = std::env::args().any(|word| word == "--bench");
    if is_measured { measured } else { measured.div_ceil(100) }
}
