#![doc = include_str!("../README.md")]

mod address;
#[cfg(feature = "conformance")]
pub mod conformance;
mod decision;
mod key;
mod sketch;
mod window;

pub use address::{AddressClass, AddressLimiter, AddressLimits, ClientNetwork, MemoryAddressLimiter, Rule};
pub use decision::{Decision, LimiterUnavailable};
pub use key::{KeyLimiter, MemoryKeyLimiter};
