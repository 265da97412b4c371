//! What a client may do that acts for a person: a level for each category of tools, and their names on the wire.

use std::fmt;

/// A category of what clients that act for people can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "who asks people what they agree to has to tell each")]
pub enum ToolCategory {
    /// Visitors, pages, sources, countries, technology.
    Analytics,
    /// Goals, funnels, recordings, heatmaps, errors.
    Advanced,
    /// Findings that a model made.
    AiInsights,
    /// Goals, funnels and websites as things to change.
    Management,
    /// Exclusions, notifications, members.
    Settings,
    /// Webhooks and rules.
    Webhooks,
}

impl ToolCategory {
    /// All categories, in the order in which they are shown.
    pub const ALL: [Self; 6] =
        [Self::Analytics, Self::Advanced, Self::AiInsights, Self::Management, Self::Settings, Self::Webhooks];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Analytics => "analytics",
            Self::Advanced => "advanced",
            Self::AiInsights => "ai_insights",
            Self::Management => "management",
            Self::Settings => "settings",
            Self::Webhooks => "webhooks",
        }
    }

    /// Whether anything can be changed in it.
    pub const fn has_write(self) -> bool {
        !matches!(self, Self::Analytics | Self::AiInsights)
    }

    /// The strongest level in which there is something that can be done; people are asked up to it.
    pub const fn offered(self) -> AccessLevel {
        match self {
            Self::Analytics => AccessLevel::Read,
            Self::Advanced | Self::Management | Self::Settings => AccessLevel::Write,
            Self::AiInsights | Self::Webhooks => AccessLevel::None,
        }
    }

    /// Whether people are asked for `level` in it: that is where there is something to do. In some categories things are changed, and
    /// nothing is read.
    ///
    /// ```
    /// use zenovay_auth::{AccessLevel, ToolCategory};
    ///
    /// assert!(ToolCategory::Advanced.offers(AccessLevel::Read) && ToolCategory::Management.offers(AccessLevel::Write));
    /// assert!(!ToolCategory::Management.offers(AccessLevel::Read) && !ToolCategory::Analytics.offers(AccessLevel::Write));
    /// ```
    pub const fn offers(self, level: AccessLevel) -> bool {
        match level {
            AccessLevel::None => true,
            AccessLevel::Read => matches!(self, Self::Analytics | Self::Advanced),
            AccessLevel::Write => matches!(self.offered(), AccessLevel::Write),
        }
    }

    /// The strongest level that it has.
    pub const fn highest(self) -> AccessLevel {
        if self.has_write() { AccessLevel::Write } else { AccessLevel::Read }
    }
}

/// How much may be done in a category. The order is that of strength: what may be changed may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[expect(clippy::exhaustive_enums, reason = "a tool may nothing, read or write")]
pub enum AccessLevel {
    /// Nothing.
    #[default]
    None,
    /// Look.
    Read,
    /// Look and change.
    Write,
}

impl AccessLevel {
    /// All levels, the weakest first.
    pub const ALL: [Self; 3] = [Self::None, Self::Read, Self::Write];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// A level for each category, in which a level that a category does not have counts as the strongest one that it has.
///
/// On the wire it is a list of `category:level`, where what may be changed is named as readable, too. `read` and `write` alone
/// stand for that level in all categories that are offered.
///
/// ```
/// use zenovay_auth::{AccessLevel, ToolCategory, ToolScopes};
///
/// let asked = ToolScopes::parse_lenient("read management:write offline_access");
/// assert!(asked.allows(ToolCategory::Analytics, AccessLevel::Read));
/// assert!(asked.allows(ToolCategory::Management, AccessLevel::Write));
/// assert!(!asked.allows(ToolCategory::Settings, AccessLevel::Write));
///
/// let some = ToolScopes::NONE.with(ToolCategory::Advanced, AccessLevel::Write);
/// assert_eq!(some.to_string(), "advanced:read advanced:write");
/// assert!(!some.covers(asked) && some.union(asked).covers(asked));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ToolScopes([AccessLevel; ToolCategory::ALL.len()]);

impl ToolScopes {
    /// Nothing at all.
    pub const NONE: Self = Self([AccessLevel::None; ToolCategory::ALL.len()]);

    /// `level` in all categories, or what is [offered](ToolCategory::offered) of it.
    pub fn everywhere(level: AccessLevel) -> Self {
        ToolCategory::ALL
            .into_iter()
            .fold(Self::NONE, |scopes, category| scopes.with(category, level.min(category.offered())))
    }

    /// The same with another level in `category`.
    #[must_use]
    pub fn with(mut self, category: ToolCategory, level: AccessLevel) -> Self {
        self.0[category as usize] = level.min(category.highest());
        self
    }

    /// The level in `category`.
    pub const fn level(self, category: ToolCategory) -> AccessLevel {
        self.0[category as usize]
    }

    /// Whether it has `level`, or a stronger one, in `category`.
    pub fn allows(self, category: ToolCategory, level: AccessLevel) -> bool {
        self.level(category) >= level
    }

    /// Whether it has everything that `other` has.
    pub fn covers(self, other: Self) -> bool {
        ToolCategory::ALL.into_iter().all(|category| self.allows(category, other.level(category)))
    }

    /// What is in one of them or in both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        self.combine(other, AccessLevel::max)
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        self.combine(other, AccessLevel::min)
    }

    fn combine(self, other: Self, choose: impl Fn(AccessLevel, AccessLevel) -> AccessLevel) -> Self {
        let both = |category| choose(self.level(category), other.level(category));
        ToolCategory::ALL.into_iter().fold(Self::NONE, |scopes, category| scopes.with(category, both(category)))
    }

    /// Whether it allows nothing.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// Reads a list of names, separated by spaces. Names that are not known are passed over: a client may ask for what other
    /// servers have, and is told what it got.
    pub fn parse_lenient(string: &str) -> Self {
        string
            .split_ascii_whitespace()
            .fold(Self::NONE, |scopes, name| scopes.union(Self::named(name).unwrap_or_default()))
    }

    /// Reads what `Display` writes, or `None` when a name is not known.
    pub fn parse(string: &str) -> Option<Self> {
        string.split_ascii_whitespace().try_fold(Self::NONE, |scopes, name| Some(scopes.union(Self::named(name)?)))
    }

    /// What one name stands for.
    fn named(name: &str) -> Option<Self> {
        let level = |name: &str| AccessLevel::ALL.into_iter().skip(1).find(|level| level.as_str() == name);
        let Some((category, asked)) = name.split_once(':') else { return level(name).map(Self::everywhere) };
        let category = ToolCategory::ALL.into_iter().find(|known| known.as_str() == category)?;
        level(asked).filter(|level| *level <= category.highest()).map(|level| Self::NONE.with(category, level))
    }

    /// The names of everything in it, as they are on the wire.
    pub fn names(self) -> impl Iterator<Item = String> {
        ToolCategory::ALL.into_iter().flat_map(move |category| {
            let levels = AccessLevel::ALL.into_iter().skip(1).filter(move |level| self.allows(category, *level));
            levels.map(move |level| format!("{}:{}", category.as_str(), level.as_str()))
        })
    }
}

impl fmt::Display for ToolScopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.names().enumerate() {
            let gap = if place == 0 { "" } else { " " };
            write!(f, "{gap}{name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_scopes() -> impl Strategy<Value = ToolScopes> {
        prop::array::uniform6(0..3_usize).prop_map(|levels| {
            ToolCategory::ALL
                .into_iter()
                .zip(levels)
                .fold(ToolScopes::NONE, |scopes, (category, level)| scopes.with(category, AccessLevel::ALL[level]))
        })
    }

    #[test]
    fn categories_have_the_levels_that_the_product_names() {
        let all = ToolScopes::parse_lenient(
            "analytics:read advanced:read advanced:write ai_insights:read management:read management:write \
             settings:read settings:write webhooks:read webhooks:write",
        );
        for category in ToolCategory::ALL {
            assert_eq!(all.level(category), category.highest(), "{category:?}");
        }
        assert_eq!(ToolScopes::parse("analytics:write"), None, "there is nothing to change");
        for odd in ["admin", "analytics", "analytics:", ":read", "Analytics:read", "analytics:read:write", "none"] {
            assert_eq!(ToolScopes::parse(odd), None, "{odd}");
            assert!(ToolScopes::parse_lenient(odd).is_empty(), "{odd}");
        }
    }

    #[test]
    fn the_short_names_stand_for_what_is_offered() {
        let read = ToolScopes::parse_lenient("read");
        assert_eq!(read, ToolScopes::everywhere(AccessLevel::Read));
        assert!(read.level(ToolCategory::Webhooks) == AccessLevel::None, "there are none");
        assert!(ToolScopes::parse_lenient("write").covers(read));
        assert_eq!(ToolScopes::parse_lenient("write").level(ToolCategory::Analytics), AccessLevel::Read);
    }

    proptest! {
        /// Sabotage: let `Display` name the strongest level alone, or `union` take the weaker one.
        #[test]
        fn scopes_are_read_as_they_are_written(one in any_scopes(), other in any_scopes()) {
            prop_assert_eq!(ToolScopes::parse(&one.to_string()), Some(one));
            prop_assert!(one.union(other).covers(one) && one.union(other).covers(other));
            prop_assert!(one.covers(one.intersection(other)) && other.covers(one.intersection(other)));
            prop_assert_eq!(one.covers(other), one.union(other) == one);
            prop_assert_eq!(one.is_empty(), one.to_string().is_empty());
        }
    }
}
