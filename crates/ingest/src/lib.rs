#![doc = include_str!("../README.md")]
// What may grow can grow without breaking who uses it; what cannot says why.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod agent;
mod agents;
mod arrival;
mod batch;
mod body;
mod bots;
mod capture;
mod client_ip;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
/// The format of bodies.
#[doc = include_str!("../FORMAT.md")]
pub mod format {}
#[cfg(any(feature = "countries", feature = "agents"))]
mod data;
mod dropped;
mod geo;
mod hints;
mod hit;
mod identity;
mod json;
mod language;
mod marks;
mod mend;
mod outcome;
mod pipeline;
mod properties;
mod recent;
mod record;
mod rules;
mod salt_store;
mod session_store;
mod sessions;
mod source;
mod text;
mod web_url;

/// What a random number generator is to [`VisitorHasher::with_rng`].
pub use rand::rand_core;
/// What this crate's interface speaks. The names that are needed most stand here, too.
pub use zenovay_domain as domain;
pub use zenovay_domain::{
    Clock, Dimension, Dimensions, ErrorCode, Event, EventKind, InvalidSetting, ManualClock, Reading, SystemClock,
    Timestamp, Website, WebsiteId, WebsiteRules, WebsiteSettings,
};

pub use agent::{Agent, AgentDigest, parse_agent};
pub use arrival::{Arrival, Sender};
pub use batch::{BATCH_MAX_EVENTS, BatchRequest, BatchRow, IDEMPOTENCY_KEY_MAX_CHARS, parse_batch};
pub use body::{HIT_BODY_MAX_BYTES, decode_body};
pub use bots::{AGENT_MAX_BYTES, AGENTS_AS_OF, BotClass, BotReason, Verdict};
pub use capture::{CaptureFields, CaptureKind, Captured, parse_capture};
pub use client_ip::client_ip;
pub use dropped::{DROPPED_AGENT_MAX_BYTES, DroppedAgent};
pub use geo::{GeoDatabase, GeoError, Location};
pub use hints::ClientHints;
pub use hit::{HitFields, ParsedHit, SESSION_ID_MIN_CHARS, parse_hit};
pub use identity::VisitorHasher;
pub use language::language_tag;
pub use marks::Marks;
pub use outcome::{DropReason, Mend, Mends, Outcome, Refusal, RefusalReason, Rejected, TOLD_MAX};
pub use pipeline::{
    Accepted, BELIEVED_FUTURE_MS, BELIEVED_PAST_MS, OpenVisit, Pipeline, SetupError, capture_time, check_batch_privacy,
};
pub use properties::{PROPERTIES_MAX, PROPERTIES_MAX_BYTES, PROPERTY_NAME_MAX_CHARS, PROPERTY_VALUE_MAX_CHARS};
pub use record::{BatchEvent, FieldValue, Hit};
pub use salt_store::{DailySalt, FileSalts, MemorySalts, SaltStore, Secret};
pub use session_store::{
    MemorySessions, OpenSession, SessionKind, SessionPart, SessionStore, SessionStoreError, Slots,
};
pub use source::{Attribution, Channel, KnownSource, SourceKind, attribute, known_host};
pub use web_url::{AdClick, Campaign, InvalidUrl, URL_MAX_CHARS, WebUrl};
