#![doc = include_str!("../README.md")]
// What may grow can grow without breaking who uses it; what cannot says why.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod error_code;
mod event;
mod goal;
#[cfg(feature = "clock")]
mod guarded_clock;
mod hidden;
#[cfg(feature = "rules")]
mod host;
mod ids;
mod names;
mod path;
mod pattern;
mod plan;
mod quoted;
mod score;
mod session;
mod status;
#[cfg(feature = "clock")]
mod system_clock;
mod team;
mod time;
#[cfg(feature = "zones")]
mod time_strings;
mod website;
#[cfg(feature = "rules")]
mod website_rules;
#[cfg(feature = "zones")]
mod zone;

pub use error_code::ErrorCode;
pub use event::{
    Dimension, DimensionLevel, Dimensions, Event, EventFlags, EventKind, MAX_DIMENSION_TEXT_BYTES, SessionId, VisitorId,
};
pub use goal::{
    FUNNEL_STEPS_MAX, FUNNEL_STEPS_MIN, Funnel, FunnelStep, Goal, GoalTarget, MATCH_VALUE_MAX, MatchType, PageMatch,
};
#[cfg(feature = "clock")]
pub use guarded_clock::{CLOCK_CONFIRMED_MS, ClockMemory, ClockStatus, Doubt, DoubtedReading, GuardedClock};
pub use hidden::{has_hidden, is_hidden};
#[cfg(feature = "rules")]
pub use host::{InvalidHost, parse_domain, parse_host};
pub use ids::{
    FunnelId, GoalId, GrantId, IncidentId, InvalidId, InvitationId, KeyId, PasskeyId, ShareId, SignInId, TeamId,
    TrackingCode, UserId, WebsiteId,
};
pub use names::UnknownName;
pub use path::{cut_path, normal_path};
pub use pattern::matches_pattern;
pub use plan::{Feature, Plan, PlanLimits, PlanTable};
pub use score::{BOUNCE_ENGAGEMENT_MS, LIVE_WINDOW_MS, SESSION_GAP_MS, SESSION_MAX_MS, value_score};
pub use session::{SessionFault, SessionSpan};
pub use status::{IncidentPhase, StatusComponent, StatusState};
#[cfg(feature = "clock")]
pub use system_clock::SystemClock;
pub use team::{KeyPolicy, Role, Scope, Scopes};
pub use time::{Clock, ManualClock, Reading, TimeRange, Timestamp};
#[cfg(feature = "zones")]
pub use time_strings::InvalidTime;
pub use website::{OTHER_AGENTS, ReplayTrigger, Website, WebsiteSettings};
#[cfg(feature = "rules")]
pub use website_rules::{EXCLUDED_IPS_MAX, HostRefusal, InvalidSetting, RULES_MAX, WebsiteRules, excluded_network};
#[cfg(feature = "zones")]
pub use zone::{Interval, UnknownZone, Zone, parse_date};
