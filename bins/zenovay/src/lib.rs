//! The parts of the `zenovay` binary, as a library so that tests build the very application that `main` serves.

pub mod http;
