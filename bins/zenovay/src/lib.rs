//! The parts of the `zenovay` binary, as a library so that tests build the very application that `main` serves.

#![cfg_attr(test, allow(clippy::cast_possible_truncation, reason = "the numbers of tests are small"))]

pub mod activity;
pub mod alerts;
mod allocator;
pub mod backends;
pub mod backup;
pub mod bootstrap;
pub mod bucket;
mod causes;
pub mod claim;
pub mod cli;
pub mod config;
pub mod control;
pub mod data_dir;
pub mod doctor;
pub mod erasures;
mod files;
pub mod formats;
pub mod http;
pub mod keepers;
mod machine;
pub mod mail;
pub mod maintenance;
pub mod moving;
pub mod outages;
pub mod passkeys;
pub mod process_figures;
pub mod quota_mail;
pub mod recordings;
pub mod runtime;
pub mod shared_limits;
pub mod shared_visitors;
pub mod spelling;
pub mod status;
pub mod telemetry;
mod tls;
pub mod upgrade;
pub mod visitors;
