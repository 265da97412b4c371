#![doc = include_str!("../README.md")]

mod address;
mod decision;
mod key;
mod sketch;
mod window;

pub use address::{AddressClass, AddressLimiter, AddressLimits, ClientNetwork, MemoryAddressLimiter, Rule};
pub use decision::Decision;
pub use key::{KeyLimiter, MemoryKeyLimiter};
