//! The values that JSON answers are made of: each is written in one way, and described in the API document by the same
//! type.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;
use zenovay_auth::KeyKind;
use zenovay_domain::{
    ErrorCode, Feature, GoalId, GrantId, IncidentId, IncidentPhase, InvitationId, KeyId, KeyPolicy, PasskeyId, Plan,
    Role, Scope, ShareId, SignInId, StatusComponent, StatusState, TeamId, Timestamp, UserId, WebsiteId, Zone,
};
use zenovay_store::Theme;

use crate::activity::{RequestClass, SlowEnd};

/// An instant, written as ISO-8601 in UTC with milliseconds: `2026-06-13T12:00:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant(pub Timestamp);

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl PartialSchema for Instant {
    fn schema() -> RefOr<Schema> {
        string("An instant in UTC with milliseconds", "date-time", "2026-06-13T12:00:00.000Z")
    }
}

impl ToSchema for Instant {}

/// A calendar day in UTC, written `2026-06-13`: the day of an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(pub Timestamp);

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zone::utc().format_date(self.0))
    }
}

impl PartialSchema for Day {
    fn schema() -> RefOr<Schema> {
        string("A calendar day in UTC", "date", "2026-06-13")
    }
}

impl ToSchema for Day {}

/// What is wrong, by the name of each field or parameter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Problems(pub BTreeMap<String, String>);

impl Problems {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialSchema for Problems {
    fn schema() -> RefOr<Schema> {
        let problem = Schema::from(ObjectBuilder::new().schema_type(Type::String));
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("What is wrong, by the name of each field or parameter"))
            .additional_properties(Some(problem))
            .examples([json!({ "range": "use one of 24h, 7d, 30d, 90d, 1y" })])
            .into()
    }
}

impl ToSchema for Problems {}

/// The id of a website, team, user, key, session or invitation: a UUID in lower case with hyphens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Id(Uuid);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! ids {
    ($($id:ident),*) => { $(
        impl From<$id> for Id {
            fn from(id: $id) -> Self {
                Self(Uuid::from_bytes(*id.as_bytes()))
            }
        }
    )* };
}

ids!(WebsiteId, TeamId, UserId, KeyId, SignInId, InvitationId, GoalId, GrantId, ShareId, IncidentId, PasskeyId);

impl PartialSchema for Id {
    fn schema() -> RefOr<Schema> {
        string("A UUID", "uuid", "0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b")
    }
}

impl ToSchema for Id {}

macro_rules! names {
    ($($(#[doc = $doc:literal])* $name:ident($of:ty): $values:expr;)*) => { $(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(pub $of);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.0.as_str())
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                one_of(concat!($($doc),*).trim(), $values)
            }
        }

        impl ToSchema for $name {}
    )* };
}

names! {
    /// The name of a plan.
    PlanName(Plan): Plan::ALL.iter().map(|plan| plan.as_str());
    /// The name of a role in a team.
    RoleName(Role): Role::ALL.iter().map(|role| role.as_str());
    /// Who may create personal keys that reach a team.
    PolicyName(KeyPolicy): KeyPolicy::ALL.iter().map(|policy| policy.as_str());
    /// The colours that somebody wants.
    ThemeName(Theme): Theme::ALL.map(Theme::as_str);
    /// The name of a scope: one thing that a key may do.
    ScopeName(Scope): Scope::ALL.iter().map(|scope| scope.as_str());
    /// Why a request was refused, for programs.
    ErrorCodeName(ErrorCode): ErrorCode::ALL.iter().map(|code| code.as_str());
    /// Something that some plans include.
    FeatureName(Feature): Feature::ALL.iter().map(|feature| feature.as_str());
    /// How a part of the server is.
    StateName(StatusState): StatusState::ALL.iter().map(|state| state.as_str());
    /// A part of the server.
    ComponentName(StatusComponent): StatusComponent::ALL.iter().map(|component| component.as_str());
    /// How far an incident is.
    PhaseName(IncidentPhase): IncidentPhase::ALL.iter().map(|phase| phase.as_str());
    /// Whether a key acts for a person or for a team.
    KeyKindName(KeyKind): KeyKind::NAMES;
    /// What requests are for: `events` brings events and what pages tell beside them, `api` asks or changes something, `pages` are pages, files and health checks.
    RequestClassName(RequestClass): RequestClass::ALL.map(RequestClass::as_str);
    /// How a slow question ended: with an answer, because whoever asked left, at the limit of time or of memory, or with another error.
    SlowEndName(SlowEnd): SlowEnd::ALL.map(SlowEnd::as_str);
}

/// The schema of a string that is one of `values`.
pub fn one_of(description: &str, values: impl IntoIterator<Item = &'static str>) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values)).description(Some(description)).into()
}

fn string(description: &str, format: &str, example: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::Custom(format.to_owned())))
        .description(Some(description))
        .examples([example])
        .into()
}

/// `value`, or nothing when it is empty: an unknown country, a visit without a referrer.
pub fn non_empty(value: String) -> Option<String> {
    (!value.is_empty()).then_some(value)
}

/// `value` to `digits` decimal places; nothing over an empty set, never 0 or 1.
pub fn rounded(value: Option<f64>, digits: i32) -> Option<f64> {
    let scale = 10_f64.powi(digits);
    value.map(|value| (value * scale).round() / scale)
}

/// Milliseconds as seconds with up to three decimal places.
pub fn seconds(millis: Option<f64>) -> Option<f64> {
    rounded(millis.map(|millis| millis / 1_000.0), 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_sets_have_no_rate() {
        assert_eq!(rounded(None, 2), None);
        assert_eq!(rounded(Some(1.0 / 3.0), 4), Some(0.3333));
        assert_eq!(seconds(Some(12_345.6)), Some(12.346));
        assert_eq!(non_empty(String::new()), None);
    }

    #[test]
    fn instants_days_and_ids_are_strings() {
        let at = Timestamp::from_millis(1_781_308_800_000);
        let written = serde_json::to_value((Instant(at), Day(at), Id::from(WebsiteId::from_random_bytes([7; 16]))));
        let expected =
            serde_json::json!(["2026-06-13T00:00:00.000Z", "2026-06-13", "07070707-0707-4707-8707-070707070707"]);
        assert_eq!(written.ok(), Some(expected));
    }
}
