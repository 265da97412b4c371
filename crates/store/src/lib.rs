#![doc = include_str!("../README.md")]

#[cfg(feature = "conformance")]
pub mod conformance;
mod directory;
mod error;
mod model;
mod month;
mod schema;
mod sqlite;
mod traits;

pub use directory::CachedDirectory;
pub use error::{Result, StoreError};
pub use model::{
    Activity, ActivityCounts, Charge, Folded, KeyEdit, KeyRecord, Member, NewKey, NewWebsite, Team, Usage, User,
};
pub use model::{DROPPED_AGENTS_DAYS, DROPPED_AGENTS_MAX, DroppedHits};
pub use sqlite::SqliteStore;
pub use traits::{
    ClockStore, DataVersion, DroppedAgentStore, KeyStore, Store, TeamStore, UsageStore, UserStore, WebsiteStore,
};
