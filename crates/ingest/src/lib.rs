#![doc = include_str!("../README.md")]

mod agent;
mod batch;
mod body;
mod bots;
mod client_ip;
mod data;
mod geo;
mod hints;
mod hit;
mod identity;
mod json;
mod language;
mod names;
mod outcome;
mod pipeline;
mod properties;
mod recent;
mod rules;
mod scan;
mod source;
mod stitch;
mod text;
mod web_url;

pub use agent::{AGENT_MAX_BYTES, Agent, AgentDigest, parse_agent};
pub use batch::{BATCH_MAX_EVENTS, BatchItem, BatchRequest, IDEMPOTENCY_KEY_MAX_CHARS, parse_batch};
pub use body::{HIT_BODY_MAX_BYTES, decode_body};
pub use bots::{BotClass, BotReason, Verdict};
pub use client_ip::client_ip;
pub use geo::{GeoDatabase, GeoError, Place};
pub use hints::ClientHints;
pub use hit::{HitFields, ParsedHit, SESSION_ID_MIN_CHARS, parse_hit};
pub use identity::VisitorHasher;
pub use language::language_tag;
pub use outcome::{DropReason, Outcome, Refusal, RefusalReason, Rejected, TOLD_MAX};
pub use pipeline::{Accepted, BELIEVED_FUTURE_MS, BELIEVED_PAST_MS, Hit, Pipeline, check_batch_privacy};
pub use properties::{PROPERTIES_MAX, PROPERTIES_MAX_BYTES, PROPERTY_NAME_MAX_CHARS, PROPERTY_VALUE_MAX_CHARS};
pub use rules::{
    EXCLUDED_IPS_MAX, HostRefusal, InvalidSetting, RULES_MAX, SiteRules, check_settings, is_local_host, parse_domain,
};
pub use source::{Attribution, Channel, KnownSource, SourceKind, attribute, known_host};
pub use web_url::{AdClick, Campaign, InvalidUrl, URL_MAX_CHARS, WebUrl};
