//! The External API, `/api/external/v1` (S0, SPEC B4): reading numbers with a key. Each handler is guard, parameters,
//! question, shape.

pub mod analytics;
pub mod errors;
pub mod heatmaps;
pub mod performance;
pub mod replays;
pub mod usage;
pub mod visitors;
pub mod websites;
