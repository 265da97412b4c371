//! Whose a capture is, when and where.

use serde::{Deserialize, Serialize};

/// Whose a capture is, when and where.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Context {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Which visitor.
    pub visitor: u64,
    /// In which visit.
    pub session: u64,
    /// On which page: its path.
    pub path: String,
    /// `desktop`, `mobile` or `tablet`; empty when it is not known.
    pub device: String,
    /// The name of the browser.
    pub browser: String,
    /// Its version.
    pub browser_version: String,
    /// The name of the operating system.
    pub os: String,
    /// The country, two capital letters; empty when it is not known.
    pub country: String,
}
