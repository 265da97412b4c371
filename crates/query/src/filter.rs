//! Filters: which events, sessions or visitors a query is about.

use std::borrow::Cow;
use std::ops::Not;

use serde::{Deserialize, Serialize};
use zenovay_domain::{Dimension, DimensionLevel, EventKind};

mod nesting;

/// Any combination of conditions.
///
/// Filters may be nested [`Filter::DEPTH_MAX`] levels deep. A deeper one can be made and dropped, but is not answered
/// ([`QueryError::FilterTooDeep`](crate::QueryError::FilterTooDeep)), not written and not read.
///
/// ```
/// use zenovay_domain::Dimension::{Country, Path};
/// use zenovay_query::{Field, Filter, contains, is};
///
/// let filter = is(Country, "CA").and(!contains(Path, "/admin"));
/// let filter = filter.or(is(Field::property("plan"), "pro"));
/// let json = serde_json::to_value(&filter)?;
/// assert_eq!(json["any"][1]["condition"]["field"], "props:plan");
/// assert_eq!(serde_json::from_value::<Filter>(json)?, filter);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[non_exhaustive]
pub enum Filter {
    /// Every filter matches. An empty list matches everything.
    All(Vec<Filter>),
    /// At least one filter matches. An empty list matches nothing.
    Any(Vec<Filter>),
    /// The filter does not match.
    Not(Box<Filter>),
    /// Every event of a session with at least one event, at any time, that the filter chooses.
    InSession(Box<Filter>),
    /// One condition.
    Is(Condition),
    /// Events of one kind. Like a condition on a field of events: metrics of sessions are then of sessions with a chosen
    /// event of it.
    Kind(EventKind),
}

impl Default for Filter {
    /// Matches everything.
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl Filter {
    /// The field has this value.
    pub fn is(field: impl Into<Field>, value: impl Into<String>) -> Self {
        Condition::new(field, Operator::Is, [value]).into()
    }

    /// The field has one of these values.
    pub fn is_any_of(field: impl Into<Field>, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Condition::new(field, Operator::Is, values).into()
    }

    /// The field has another value.
    pub fn is_not(field: impl Into<Field>, value: impl Into<String>) -> Self {
        Condition::new(field, Operator::IsNot, [value]).into()
    }

    /// The field contains this string.
    pub fn contains(field: impl Into<Field>, part: impl Into<String>) -> Self {
        Condition::new(field, Operator::Contains, [part]).into()
    }

    /// The field begins with this string.
    pub fn starts_with(field: impl Into<Field>, start: impl Into<String>) -> Self {
        Condition::new(field, Operator::StartsWith, [start]).into()
    }

    /// The field ends with this string.
    pub fn ends_with(field: impl Into<Field>, end: impl Into<String>) -> Self {
        Condition::new(field, Operator::EndsWith, [end]).into()
    }

    /// The field matches this pattern, in which `*` stands for any run of characters.
    pub fn matches(field: impl Into<Field>, pattern: impl Into<String>) -> Self {
        Condition::new(field, Operator::Matches, [pattern]).into()
    }

    /// What both choose.
    #[must_use]
    pub fn and(mut self, other: impl Into<Self>) -> Self {
        if let Self::All(filters) = &mut self {
            filters.push(other.into());
            return self;
        }
        Self::All(vec![self, other.into()])
    }

    /// What one of them chooses.
    #[must_use]
    pub fn or(mut self, other: impl Into<Self>) -> Self {
        if let Self::Any(filters) = &mut self {
            filters.push(other.into());
            return self;
        }
        Self::Any(vec![self, other.into()])
    }

    /// Every event of a session with at least one event, at any time, that it chooses.
    #[must_use]
    pub fn in_session(self) -> Self {
        Self::InSession(Box::new(self))
    }
}

/// What the filter does not choose.
impl Not for Filter {
    type Output = Self;

    fn not(mut self) -> Self {
        match &mut self {
            Self::Not(filter) => std::mem::take(&mut **filter),
            _ => Self::Not(Box::new(self)),
        }
    }
}

impl From<Condition> for Filter {
    fn from(condition: Condition) -> Self {
        Self::Is(condition)
    }
}

impl From<EventKind> for Filter {
    fn from(kind: EventKind) -> Self {
        Self::Kind(kind)
    }
}

/// [`Filter::is`]: the field has this value.
pub fn is(field: impl Into<Field>, value: impl Into<String>) -> Filter {
    Filter::is(field, value)
}

/// [`Filter::is_any_of`]: the field has one of these values.
pub fn is_any_of(field: impl Into<Field>, values: impl IntoIterator<Item = impl Into<String>>) -> Filter {
    Filter::is_any_of(field, values)
}

/// [`Filter::is_not`]: the field has another value.
pub fn is_not(field: impl Into<Field>, value: impl Into<String>) -> Filter {
    Filter::is_not(field, value)
}

/// [`Filter::contains`]: the field contains this string.
pub fn contains(field: impl Into<Field>, part: impl Into<String>) -> Filter {
    Filter::contains(field, part)
}

/// One condition on one field.
///
/// ```
/// use zenovay_query::domain::Dimension::Path;
/// use zenovay_query::{Condition, Filter, FilterLevel, Operator};
///
/// // Visitors who saw one of these pages in the range, with all that they did.
/// let seen = Condition::new(Path, Operator::StartsWith, ["/pricing", "/plans"]).at(FilterLevel::Visitor);
/// let filter = Filter::from(seen).and(!Filter::contains(Path, "/admin"));
/// assert_eq!(filter.depth(), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Condition {
    /// What is looked at.
    pub field: Field,
    /// How it is compared.
    pub operator: Operator,
    /// The values compared with. Positive operators match when any value matches; negative ones when none does.
    pub values: Vec<String>,
    /// Whom the condition chooses; `None` is the field's own level, see [`Field::level`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<FilterLevel>,
}

impl Condition {
    /// A condition at the field's own level.
    pub fn new(
        field: impl Into<Field>,
        operator: Operator,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        Self { field: field.into(), operator, values, level: None }
    }

    /// The same, which chooses events, sessions or visitors; with `None` at the field's own level.
    #[must_use]
    pub fn at(self, level: impl Into<Option<FilterLevel>>) -> Self {
        Self { level: level.into(), ..self }
    }

    /// Whether `text`, a value of the field, passes the comparison, wherever it is from: as in a question about events, the spelling of a
    /// path makes no difference. Of a property `text` is the value, not the object. The level says nothing here.
    ///
    /// ```
    /// use zenovay_query::domain::Dimension::Path;
    /// use zenovay_query::{Condition, Operator};
    ///
    /// assert!(Condition::new(Path, Operator::StartsWith, ["/ü"]).matches("/%C3%BCber"));
    /// ```
    pub fn matches(&self, text: &str) -> bool {
        self.operator.matches(&self.field.column().normal(text), &self.normal_values())
    }

    /// The values in the form in which the field's strings are stored, see [`Dimension::normal`]. Regular expressions stay as they are.
    pub(crate) fn normal_values(&self) -> Cow<'_, [String]> {
        let column = self.field.column();
        let is_normal = |value: &String| matches!(column.normal(value), Cow::Borrowed(_));
        if self.operator.is_regex() || self.values.iter().all(is_normal) {
            return Cow::Borrowed(&self.values);
        }
        Cow::Owned(self.values.iter().map(|value| column.normal(value).into_owned()).collect())
    }
}

/// What a condition looks at, or a breakdown groups by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// A string of the event.
    Dimension(Dimension),
    /// The path of the first pageview of the session; empty when it has none.
    EntryPage,
    /// The path of the last pageview of the session; empty when it has none.
    ExitPage,
    /// A property of the event, by name; its value as a string, empty when absent.
    Property(String),
}

impl From<Dimension> for Field {
    fn from(dimension: Dimension) -> Self {
        Self::Dimension(dimension)
    }
}

impl Field {
    /// The property of this name.
    pub fn property(name: impl Into<String>) -> Self {
        Self::Property(name.into())
    }

    /// Whom a condition on this field chooses when it does not say: events for what belongs to an event, sessions for
    /// what belongs to a session.
    pub fn level(&self) -> FilterLevel {
        match self {
            Self::Dimension(dimension) => match dimension.level() {
                DimensionLevel::Event => FilterLevel::Event,
                DimensionLevel::Session => FilterLevel::Session,
            },
            Self::EntryPage | Self::ExitPage => FilterLevel::Session,
            Self::Property(_) => FilterLevel::Event,
        }
    }

    /// The column that the field's value is read from.
    pub fn column(&self) -> Dimension {
        match self {
            Self::Dimension(dimension) => *dimension,
            Self::EntryPage | Self::ExitPage => Dimension::Path,
            Self::Property(_) => Dimension::Properties,
        }
    }
}

/// Whom a condition chooses. In the end a filter chooses events: metrics of events count those in the range, metrics of
/// sessions count the sessions with at least one of them.
///
/// - `Event`: the events whose own value matches. For entry and exit page, the events of sessions that match.
/// - `Session`: every event of a session that matches. A session matches an event-level field when one of its events in
///   the whole dataset handed to the kernel does; it matches a session-level field by the value of its first event.
///   Negative operators are not an exception: [`Operator::IsNot`] asks for one event with another value, not for none with
///   this one.
/// - `Visitor`: every event of a visitor who has, within the query's range, at least one event that the condition
///   would choose at the field's own level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "there are events, sessions and visitors")]
pub enum FilterLevel {
    /// Events.
    Event,
    /// Whole sessions.
    Session,
    /// All that a visitor did in the range.
    Visitor,
}

/// How a value is compared. All comparisons are exact on bytes: upper and lower case differ, unless a regular expression
/// says otherwise. Only the percent-encoding of paths makes no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operator {
    /// Equal to one of the values.
    Is,
    /// Equal to none of the values.
    IsNot,
    /// Contains one of the values.
    Contains,
    /// Contains none of the values.
    DoesNotContain,
    /// Starts with one of the values.
    StartsWith,
    /// Ends with one of the values.
    EndsWith,
    /// Matches one of the values as a pattern in which `*` stands for any run of characters, also an empty one.
    Matches,
    /// Matches none of the patterns.
    DoesNotMatch,
    /// A part of it matches one of the values as a regular expression, see [`crate::check_regex`]. One that is not accepted there
    /// matches nothing.
    MatchesRegex,
    /// No part of it matches any of the regular expressions.
    DoesNotMatchRegex,
}

impl Operator {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Is,
        Self::IsNot,
        Self::Contains,
        Self::DoesNotContain,
        Self::StartsWith,
        Self::EndsWith,
        Self::Matches,
        Self::DoesNotMatch,
        Self::MatchesRegex,
        Self::DoesNotMatchRegex,
    ];

    /// Whether the values are regular expressions.
    pub fn is_regex(self) -> bool {
        matches!(self, Self::MatchesRegex | Self::DoesNotMatchRegex)
    }
}
