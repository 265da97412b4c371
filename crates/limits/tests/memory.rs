//! The conformance suites on the limiters of a single process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use zenovay_limits::{MemoryAddressLimiter, MemoryKeyLimiter, address_limiter_tests, key_limiter_tests};

key_limiter_tests!(vec![MemoryKeyLimiter::new()]);
address_limiter_tests!(|limits| vec![MemoryAddressLimiter::new(limits)]);
