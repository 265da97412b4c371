//! Shared generators of the benchmarks.
