//! The conformance suites on the limiters of a single process.

use zenovay_limits::{MemoryAddressLimiter, MemoryKeyLimiter, address_limiter_tests, key_limiter_tests};

key_limiter_tests!(vec![MemoryKeyLimiter::new()]);
address_limiter_tests!(|limits| vec![MemoryAddressLimiter::new(limits)]);
