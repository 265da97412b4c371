#![doc = include_str!("../README.md")]

mod error_code;
mod event;
mod guarded_clock;
mod host;
mod ids;
mod path;
mod pattern;
mod plan;
mod score;
mod team;
mod time;
mod website;
mod website_rules;
mod zone;

pub use error_code::ErrorCode;
pub use event::{
    Dimension, DimensionLevel, Dimensions, Event, EventFlags, EventKind, MAX_DIMENSION_TEXT_BYTES, SessionId,
    UnknownDimension, VisitorId,
};
pub use guarded_clock::{CLOCK_CONFIRMED_MS, ClockMemory, ClockStatus, Doubt, DoubtedReading, GuardedClock};
pub use host::{InvalidHost, parse_domain, parse_host};
pub use ids::{InvalidId, KeyId, TeamId, TrackingCode, UserId, WebsiteId};
pub use path::normal_path;
pub use pattern::matches_pattern;
pub use plan::{Plan, PlanLimits, PlanTable, UnknownPlan};
pub use score::{BOUNCE_ENGAGEMENT_MS, LIVE_WINDOW_MS, SESSION_GAP_MS, SESSION_MAX_MS, value_score};
pub use team::{KeyPolicy, Role, Scope, Scopes, UnknownName};
pub use time::{Clock, ManualClock, Reading, SystemClock, TimeRange, Timestamp};
pub use website::{OTHER_AGENTS, Website, WebsiteSettings};
pub use website_rules::{EXCLUDED_IPS_MAX, HostRefusal, InvalidSetting, RULES_MAX, WebsiteRules};
pub use zone::{Interval, UnknownZone, Zone};
