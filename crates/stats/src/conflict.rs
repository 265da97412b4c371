//! Filters that can never hold together. An event has one page and one name, a visit one country and one source: who asks for two of
//! them at once would be answered zeros, and take them for something about visitors.

use std::slice;

use zenovay_domain::{Dimension, EventKind};
use zenovay_query::{Condition, Field, Filter, FilterLevel, Operator};

use crate::Problem;

/// The most alternatives of a filter that are looked at. One with more is taken to hold beside any other.
const ALTERNATIVES_MAX: usize = 64;

/// The most characters of a filter that are told back.
const TOLD_MAX: usize = 60;

/// One of the filters that must all hold.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Where it stands.
    pub(crate) at: String,
    /// As it was asked.
    pub(crate) text: String,
    /// What is compared and how; parts that have this in common are one filter with more values.
    pub(crate) subject: Option<String>,
    /// Whether it chooses conversions.
    pub(crate) is_goal: bool,
    /// What it chooses, with conditions as they were asked.
    pub(crate) filter: Filter,
}

/// What two filters ask for that is never there at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Never {
    /// One event of which both are true.
    Event,
    /// One visit of which both are true.
    Visit,
}

/// One thing that an alternative says of an event.
#[derive(Clone, Copy)]
enum Literal<'a> {
    Kind(EventKind),
    Condition(&'a Condition),
}

type Alternative<'a> = Vec<Literal<'a>>;

/// The first two of `parts` that never hold together, or the first that never holds by itself.
///
/// # Errors
/// What is never there, and what to ask instead.
pub(crate) fn check(parts: &[Part]) -> Result<(), Problem> {
    for (number, part) in parts.iter().enumerate() {
        if let Some(never) = is_never(&part.filter) {
            let problem = format!("no {} is all of {}. {}", never.what(), part.told(), never.instead(false));
            return Err(Problem { at: part.at.clone(), problem });
        }
        check_with(&parts[..number], part)?;
    }
    Ok(())
}

/// Whether `part` can hold with each of `others`.
///
/// # Errors
/// What is never there, and what to ask instead.
pub(crate) fn check_with(others: &[Part], part: &Part) -> Result<(), Problem> {
    for other in others {
        if let Some(never) = part.never_with(other) {
            let is_one_subject = part.subject.is_some() && part.subject == other.subject;
            let (what, instead) = (never.what(), never.instead(is_one_subject));
            let problem = format!("no {what} is both {} and {}. {instead}", other.told(), part.told());
            return Err(Problem { at: part.at.clone(), problem });
        }
    }
    Ok(())
}

impl Never {
    const fn what(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Visit => "visit",
        }
    }

    /// What to ask instead.
    const fn instead(self, is_one_subject: bool) -> &'static str {
        match (self, is_one_subject) {
            (Self::Event, true) => {
                "For one or the other give one filter with both values; for visits with both ask with has_done, in where of query_analytics or in filters of the Stats API"
            }
            (Self::Event, false) => {
                "For visits with both ask with has_done, in where of query_analytics or in filters of the Stats API"
            }
            (Self::Visit, true) => "For one or the other give one filter with both values",
            (Self::Visit, false) => "Leave one of them out",
        }
    }
}

impl Part {
    fn told(&self) -> String {
        let mut told: String = self.text.chars().take(TOLD_MAX).collect();
        if told.len() < self.text.len() {
            told.push('…');
        }
        told
    }

    /// Why no event is chosen by both, if that is so.
    fn never_with(&self, other: &Self) -> Option<Never> {
        if self.leaves_out(other) || other.leaves_out(self) {
            return Some(Never::Visit);
        }
        let (ours, theirs) = (alternatives(&self.filter)?, alternatives(&other.filter)?);
        // A view of a page that is a goal is not an event that is one.
        let are_goals = self.is_goal && other.is_goal;
        let mut never = None;
        for our in &ours {
            for their in &theirs {
                never = Some(clash(our.iter().chain(their), are_goals)?);
            }
        }
        never
    }

    /// Whether this one leaves the visits without any event that the other chooses.
    fn leaves_out(&self, other: &Self) -> bool {
        let Filter::Not(not) = &self.filter else { return false };
        let Filter::InSession(left_out) = &**not else { return false };
        let chosen = if let Filter::InSession(inner) = &other.filter { inner } else { &other.filter };
        let (left_out, chosen) = (choices(left_out), choices(chosen));
        !chosen.is_empty() && chosen.iter().all(|choice| left_out.contains(choice))
    }
}

/// The filters of which one has to hold.
fn choices(filter: &Filter) -> &[Filter] {
    if let Filter::Any(filters) = filter { filters } else { slice::from_ref(filter) }
}

/// Whether a filter is never true by itself, as `["and", …]` of two pages.
fn is_never(filter: &Filter) -> Option<Never> {
    if let Filter::InSession(inner) = filter {
        return is_never(inner);
    }
    let mut never = None;
    for alternative in &alternatives(filter)? {
        never = Some(clash(alternative.iter(), false)?);
    }
    never
}

/// What an event is of which `filter` is true: one of these. What is not understood says nothing. `None` when there are too many
/// of them, or none.
fn alternatives(filter: &Filter) -> Option<Vec<Alternative<'_>>> {
    match filter {
        Filter::Kind(kind) => Some(vec![vec![Literal::Kind(*kind)]]),
        Filter::Is(condition) if is_of_its_level(condition) => Some(vec![vec![Literal::Condition(condition)]]),
        Filter::Any(filters) => {
            let mut all = Vec::new();
            for filter in filters {
                all.extend(alternatives(filter)?);
                if all.len() > ALTERNATIVES_MAX {
                    return None;
                }
            }
            if all.is_empty() { None } else { Some(all) }
        }
        Filter::All(filters) => {
            let mut all: Vec<Alternative<'_>> = vec![Vec::new()];
            for filter in filters {
                let Some(more) = alternatives(filter) else { continue };
                if all.len() * more.len() > ALTERNATIVES_MAX {
                    return None;
                }
                all = all
                    .iter()
                    .flat_map(|one| more.iter().map(move |other| one.iter().chain(other).copied().collect()))
                    .collect();
            }
            Some(all)
        }
        _ => Some(vec![Vec::new()]),
    }
}

/// Whether a condition is of what an event or its visit itself is.
fn is_of_its_level(condition: &Condition) -> bool {
    !condition.operator.is_regex() && condition.level.is_none_or(|level| level == condition.field.level())
}

/// Why these are not true of one event, if that is so.
fn clash<'a>(literals: impl Iterator<Item = &'a Literal<'a>> + Clone, are_goals: bool) -> Option<Never> {
    let conditions = || {
        literals.clone().filter_map(|literal| match literal {
            Literal::Condition(condition) => Some(*condition),
            Literal::Kind(_) => None,
        })
    };
    let mut kinds = literals.clone().filter_map(|literal| match literal {
        Literal::Kind(kind) => Some(*kind),
        Literal::Condition(_) => None,
    });
    if let Some(kind) = kinds.next() {
        let is_named = are_goals && conditions().any(|condition| condition.field.column() == Dimension::EventName);
        if kinds.any(|other| other != kind) || (kind == EventKind::Pageview && is_named) {
            return Some(Never::Event);
        }
    }
    // A direct visit came from nowhere.
    let is_direct = |condition: &Condition| {
        let Condition { field, operator, values, .. } = condition;
        *field == Dimension::Channel.into() && *operator == Operator::Is && values.iter().all(|value| value == "Direct")
    };
    let has_source = |condition: &Condition| condition.field == Dimension::Source.into() && !holds(condition, "");
    if conditions().any(is_direct) && conditions().any(has_source) {
        return Some(Never::Visit);
    }
    for named in conditions().filter(|condition| condition.operator == Operator::Is && !condition.values.is_empty()) {
        let of_field = || conditions().filter(|condition| condition.field == named.field);
        if !named.values.iter().any(|value| of_field().all(|condition| holds(condition, value))) {
            return Some(if named.field.level() == FilterLevel::Event { Never::Event } else { Never::Visit });
        }
    }
    None
}

/// Whether `condition` is true of `value`, which is compared with one of its values at a time.
fn holds(condition: &Condition, value: &str) -> bool {
    let Condition { field, operator, values, .. } = condition;
    let fold = |text: &str| {
        let text = field.column().normal(text).into_owned();
        if ignores_case(field) { text.to_lowercase() } else { text }
    };
    let value = fold(value);
    let is_met = |compared: &String| operator.matches(&value, slice::from_ref(&fold(compared)));
    match operator {
        Operator::IsNot | Operator::DoesNotContain | Operator::DoesNotMatch => values.iter().all(is_met),
        _ => values.iter().any(is_met),
    }
}

/// Whether names of `field` are the same in capitals and in small letters, where they are compared as people write them: what these are
/// called is given by lists that nobody knows by heart.
pub(crate) fn ignores_case(field: &Field) -> bool {
    use Dimension::{Browser, City, Os, Region, Source};
    matches!(field, Field::Dimension(Browser | City | Os | Region | Source))
}
