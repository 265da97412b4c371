//! Goals and funnels: what a website counts as a success, and the way there.

use serde::{Deserialize, Serialize};

use crate::names::named;
use crate::{FunnelId, GoalId, Timestamp, WebsiteId};

/// The fewest steps of a funnel.
pub const FUNNEL_STEPS_MIN: usize = 2;
/// The most steps of a funnel.
pub const FUNNEL_STEPS_MAX: usize = 7;
/// The longest value that a page is compared with, and the longest name of an event, in characters.
pub const MATCH_VALUE_MAX: usize = 500;

/// How the path of a page is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "who counts has to know each: what is unknown would count as nothing")]
pub enum MatchType {
    /// It is the value.
    Exact,
    /// It has the value in it.
    Contains,
    /// It begins with the value.
    StartsWith,
    /// It ends with the value.
    EndsWith,
    /// A part of it matches the value as a regular expression.
    Regex,
}

impl MatchType {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Exact, Self::Contains, Self::StartsWith, Self::EndsWith, Self::Regex];

    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Contains => "contains",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
            Self::Regex => "regex",
        }
    }
}

named!(MatchType, "match type");

/// Pages, by their paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PageMatch {
    /// How the path is compared.
    pub match_type: MatchType,
    /// With what.
    pub value: String,
}

impl PageMatch {
    /// The pages whose path `value` matches in this way.
    pub fn new(match_type: MatchType, value: impl Into<String>) -> Self {
        Self { match_type, value: value.into() }
    }
}

/// What makes a visit a conversion.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "who counts has to know each: what is unknown would count as nothing")]
pub enum GoalTarget {
    /// A view of one of these pages.
    Page(PageMatch),
    /// An event with this name.
    Event {
        /// The name.
        name: String,
    },
}

/// A goal of a website.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Goal {
    /// Its id.
    pub id: GoalId,
    /// Whose goal it is.
    pub website: WebsiteId,
    /// The name people see, 1 to 100 characters; no two goals of a website have the same.
    pub name: String,
    /// What is counted.
    pub target: GoalTarget,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Goal {
    /// A goal of `website` that counts `target`.
    pub fn new(
        id: GoalId,
        website: WebsiteId,
        name: impl Into<String>,
        target: GoalTarget,
        created_at: Timestamp,
    ) -> Self {
        Self { id, website, name: name.into(), target, created_at }
    }
}

/// A step of a funnel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "who counts has to know each: what is unknown would count as nothing")]
pub enum FunnelStep {
    /// A view of one of these pages.
    Page(PageMatch),
    /// An event with this name.
    Event {
        /// The name.
        name: String,
    },
    /// What a goal counts, also after the goal was changed.
    Goal {
        /// The goal.
        id: GoalId,
    },
}

/// A funnel of a website: steps that visitors take in order, within one visit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Funnel {
    /// Its id.
    pub id: FunnelId,
    /// Whose funnel it is.
    pub website: WebsiteId,
    /// The name people see, 1 to 100 characters; no two funnels of a website have the same.
    pub name: String,
    /// [`FUNNEL_STEPS_MIN`] to [`FUNNEL_STEPS_MAX`] of them.
    pub steps: Vec<FunnelStep>,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Funnel {
    /// A funnel of `website` with these steps.
    pub fn new(
        id: FunnelId,
        website: WebsiteId,
        name: impl Into<String>,
        steps: Vec<FunnelStep>,
        created_at: Timestamp,
    ) -> Self {
        Self { id, website, name: name.into(), steps, created_at }
    }
}
