//! What goes through a filter level by level. Filters are data that code and strangers make: however deep one is, no walk
//! through it may use up the stack. So a walk keeps its own list of what is left to do, or looks at the depth first.

use std::cell::Cell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zenovay_domain::EventKind;

use super::{Condition, Filter};
use crate::error::FILTER_DEPTH_MAX;
use crate::{QueryError, serial};

impl Filter {
    /// How many levels a filter may have: a condition has one, what joins or negates others has one more than the deepest
    /// of them. Steps of a funnel are joined with the filter of the question, so that both may have one level less.
    pub const DEPTH_MAX: usize = FILTER_DEPTH_MAX;

    /// How many levels there are.
    pub fn depth(&self) -> usize {
        let (mut level, mut depth) = (vec![self], 0);
        while !level.is_empty() {
            depth += 1;
            level = level.into_iter().flat_map(Self::inner).collect();
        }
        depth
    }

    /// # Errors
    /// When there are more than `levels` of them.
    pub(crate) fn check_depth(&self, levels: usize) -> Result<(), QueryError> {
        if self.depth() > levels { Err(QueryError::FilterTooDeep) } else { Ok(()) }
    }

    /// Whether it chooses events by their kind.
    pub(crate) fn has_kind(&self) -> bool {
        self.walk().any(|filter| matches!(filter, Self::Kind(_)))
    }

    /// The filters right inside this one.
    fn inner(&self) -> &[Self] {
        match self {
            Self::All(filters) | Self::Any(filters) => filters,
            Self::Not(filter) | Self::InSession(filter) => std::slice::from_ref(&**filter),
            Self::Is(_) | Self::Kind(_) => &[],
        }
    }

    /// This filter and all inside, each before those inside it.
    fn walk(&self) -> impl Iterator<Item = &Self> {
        let mut left = vec![self];
        std::iter::from_fn(move || {
            let next = left.pop()?;
            left.extend(next.inner().iter().rev());
            Some(next)
        })
    }

    /// All conditions in it.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.walk().filter_map(|filter| match filter {
            Self::Is(condition) => Some(condition),
            _ => None,
        })
    }

    /// What there is of it without the filters inside.
    fn outside(&self) -> Outside<'_> {
        match self {
            Self::All(filters) => Outside::All(filters.len()),
            Self::Any(filters) => Outside::Any(filters.len()),
            Self::Not(_) => Outside::Not,
            Self::InSession(_) => Outside::InSession,
            Self::Is(condition) => Outside::Is(condition),
            Self::Kind(kind) => Outside::Kind(*kind),
        }
    }
}

#[derive(PartialEq, Eq, Hash)]
enum Outside<'a> {
    All(usize),
    Any(usize),
    Not,
    InSession,
    Is(&'a Condition),
    Kind(EventKind),
}

impl Drop for Filter {
    fn drop(&mut self) {
        let inner = |filter: &mut Self| match filter {
            Self::All(filters) | Self::Any(filters) => mem::take(filters),
            Self::Not(filter) | Self::InSession(filter) if !filter.inner().is_empty() => vec![mem::take(&mut **filter)],
            _ => Vec::new(),
        };
        let mut left = inner(self);
        while let Some(mut filter) = left.pop() {
            left.append(&mut inner(&mut filter));
        }
    }
}

impl Clone for Filter {
    fn clone(&self) -> Self {
        // Made from the last to the first, so that those inside a filter are made when it is its turn.
        let mut made: Vec<Self> = Vec::new();
        for filter in self.walk().collect::<Vec<_>>().into_iter().rev() {
            let mut take = |count: usize| -> Vec<Self> { (0..count).filter_map(|_| made.pop()).collect() };
            let copy = match filter.outside() {
                Outside::All(count) => Self::All(take(count)),
                Outside::Any(count) => Self::Any(take(count)),
                Outside::Not => Self::Not(Box::new(take(1).pop().unwrap_or_default())),
                Outside::InSession => Self::InSession(Box::new(take(1).pop().unwrap_or_default())),
                Outside::Is(condition) => Self::Is(condition.clone()),
                Outside::Kind(kind) => Self::Kind(kind),
            };
            made.push(copy);
        }
        made.pop().unwrap_or_default()
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        // How many are inside is compared with each, so that the same walk means the same filter.
        self.walk().map(Self::outside).eq(other.walk().map(Self::outside))
    }
}

impl Eq for Filter {}

impl Hash for Filter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.walk().for_each(|filter| filter.outside().hash(state));
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(self, Self::DEPTH_MAX).fmt(f)
    }
}

/// A filter without what is deeper than so many levels.
struct Shown<'a>(&'a Filter, usize);

impl<'a> Shown<'a> {
    fn list(filters: &'a [Filter], levels: usize) -> Vec<Self> {
        filters.iter().map(|filter| Self(filter, levels)).collect()
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(filter, levels) = *self;
        let Some(levels) = levels.checked_sub(1) else { return f.write_str("…") };
        match filter {
            Filter::All(filters) => f.debug_tuple("All").field(&Self::list(filters, levels)).finish(),
            Filter::Any(filters) => f.debug_tuple("Any").field(&Self::list(filters, levels)).finish(),
            Filter::Not(filter) => f.debug_tuple("Not").field(&Shown(filter, levels)).finish(),
            Filter::InSession(filter) => f.debug_tuple("InSession").field(&Shown(filter, levels)).finish(),
            Filter::Is(condition) => f.debug_tuple("Is").field(condition).finish(),
            Filter::Kind(kind) => f.debug_tuple("Kind").field(kind).finish(),
        }
    }
}

/// How a filter is written.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Written<'a> {
    All(&'a [Filter]),
    Any(&'a [Filter]),
    Not(&'a Filter),
    InSession(&'a Filter),
    Condition(&'a Condition),
    Kind(#[serde(serialize_with = "serial::kind::serialize")] EventKind),
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.check_depth(Self::DEPTH_MAX).map_err(S::Error::custom)?;
        let written = match self {
            Self::All(filters) => Written::All(filters),
            Self::Any(filters) => Written::Any(filters),
            Self::Not(filter) => Written::Not(filter),
            Self::InSession(filter) => Written::InSession(filter),
            Self::Is(condition) => Written::Condition(condition),
            Self::Kind(kind) => Written::Kind(*kind),
        };
        written.serialize(serializer)
    }
}

/// How a filter is read.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Read {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    InSession(Box<Filter>),
    Condition(Condition),
    Kind(#[serde(deserialize_with = "serial::kind::deserialize")] EventKind),
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let _level = Level::enter().ok_or_else(|| D::Error::custom(QueryError::FilterTooDeep))?;
        Ok(match Read::deserialize(deserializer)? {
            Read::All(filters) => Self::All(filters),
            Read::Any(filters) => Self::Any(filters),
            Read::Not(filter) => Self::Not(filter),
            Read::InSession(filter) => Self::InSession(filter),
            Read::Condition(condition) => Self::Is(condition),
            Read::Kind(kind) => Self::Kind(kind),
        })
    }
}

thread_local! {
    /// How many filters, each inside the other, are being read on this thread.
    static LEVELS: Cell<usize> = const { Cell::new(0) };
}

/// One filter that is being read.
struct Level;

impl Level {
    /// `None` when it would be one too many.
    fn enter() -> Option<Self> {
        let levels = LEVELS.get();
        (levels < Filter::DEPTH_MAX).then(|| {
            LEVELS.set(levels + 1);
            Self
        })
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        LEVELS.set(LEVELS.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use zenovay_domain::Dimension;
    use zenovay_domain::Timestamp;

    use super::*;
    use crate::{MemoryDataset, by, is};

    fn nested(levels: usize, join: impl Fn(Filter) -> Filter) -> Filter {
        (1..levels).fold(is(Dimension::Country, "CA"), |filter, _| join(filter))
    }

    fn joins() -> [fn(Filter) -> Filter; 4] {
        [
            |filter| Filter::Not(Box::new(filter)),
            |filter| filter.in_session(),
            |filter| Filter::All(vec![filter]),
            |filter| Filter::Any(vec![Filter::Kind(EventKind::Click), filter]),
        ]
    }

    /// Sabotage: derive any of the traits, or leave out a check: the stack is used up.
    #[test]
    fn a_filter_of_a_hundred_thousand_levels_is_refused_and_harms_nobody() {
        let memory = MemoryDataset::new(&[]);
        for join in joins() {
            let deep = nested(100_000, join);
            assert_eq!(deep.depth(), 100_000);
            let copy = deep.clone();
            assert_eq!(copy, deep);
            assert_ne!(!copy.clone(), deep);
            assert!(HashSet::from([deep.clone()]).contains(&copy));
            assert!(format!("{deep:?}").contains('…'));
            assert!(serde_json::to_string(&deep).unwrap_err().to_string().contains("at most 50 levels"));
            let ask = || memory.ask(Timestamp::from_millis(0)).filter(deep.clone());
            assert_eq!(ask().overview().wait(), Err(QueryError::FilterTooDeep));
            assert_eq!(ask().top(by(Dimension::Path)).wait(), Err(QueryError::FilterTooDeep));
        }
    }

    #[test]
    fn a_filter_of_all_levels_is_answered_written_and_read_again() {
        let memory = MemoryDataset::new(&[]);
        for join in joins() {
            let filter = nested(Filter::DEPTH_MAX, join);
            let text = serde_json::to_string(&filter).unwrap();
            assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), filter);
            assert!(!format!("{filter:?}").contains('…'));
            assert!(memory.ask(Timestamp::from_millis(0)).filter(filter.clone()).overview().wait().is_ok());
            let one_more = serde_json::to_string(&[&filter]).unwrap();
            let error = serde_json::from_str::<Filter>(&format!("{{\"all\":{one_more}}}")).unwrap_err();
            assert!(error.to_string().contains("at most 50 levels"), "{error}");
            assert!(serde_json::from_str::<Filter>(&text).is_ok(), "levels that are left count no more");
        }
    }

    #[test]
    fn a_copy_is_the_same_in_the_same_order() {
        let (ca, de) = (is(Dimension::Country, "CA"), is(Dimension::Country, "DE"));
        let filter = Filter::All(vec![
            Filter::Any(vec![ca.clone(), Filter::Any(Vec::new()), de.clone()]),
            !de.clone().in_session(),
            Filter::Kind(EventKind::Click),
        ]);
        let Filter::All(parts) = &filter.clone() else { panic!("{filter:?}") };
        assert_eq!(parts[0], Filter::Any(vec![ca.clone(), Filter::Any(Vec::new()), de.clone()]));
        assert_eq!(parts[2], Filter::Kind(EventKind::Click));
        assert_ne!(Filter::All(vec![ca.clone(), de.clone()]), Filter::All(vec![de.clone(), ca.clone()]));
        assert_ne!(
            Filter::All(vec![Filter::All(vec![ca.clone()]), de.clone()]),
            Filter::All(vec![Filter::All(vec![ca, de])])
        );
    }
}
