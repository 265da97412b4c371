//! Filters that can never hold together. An event has one page and one name, a visit one country and one source: who asks for two of
//! them at once would be answered zeros, and take them for something about visitors.

use std::collections::BTreeSet;
use std::slice;

use zenovay_domain::{Dimension, EventKind};
use zenovay_query::{Condition, Field, Filter, FilterLevel, Operator};

use crate::{NeverTogether, Problem};

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

/// Refuses the first two of `parts` that never hold together, the first that never holds by itself, and those of which one leaves some
/// values of a field and the others none of these.
///
/// # Errors
/// What is never there, and what to ask instead.
pub(crate) fn check(parts: &[Part]) -> Result<(), Problem> {
    for (number, part) in parts.iter().enumerate() {
        if let Some(never) = is_never(&part.filter) {
            return Err(never.refusal(&[], part));
        }
        check_with(&parts[..number], part)?;
    }
    check_together(parts)
}

/// Whether `part` can hold with each of `others`.
///
/// # Errors
/// What is never there, and what to ask instead.
pub(crate) fn check_with(others: &[Part], part: &Part) -> Result<(), Problem> {
    for other in others {
        if let Some(never) = part.never_with(other) {
            return Err(never.refusal(&[other], part));
        }
    }
    Ok(())
}

/// Whether a value is left where a part names all that a field may have: any two of them may leave some, and all together none. Parts
/// that join others by `or` are looked at in pairs alone.
///
/// # Errors
/// What is never there, and what to ask instead.
pub(crate) fn check_together(parts: &[Part]) -> Result<(), Problem> {
    let certain = parts.iter().enumerate().filter_map(|(number, part)| {
        let mut alternatives = alternatives(&part.filter)?;
        let only = alternatives.pop().filter(|_| alternatives.is_empty())?;
        Some(only.into_iter().filter_map(move |literal| Some((number, literal.condition()?))))
    });
    let certain: Vec<(usize, &Condition)> = certain.flatten().collect();
    for (number, named) in certain.iter().filter(|(_, condition)| names_all(condition)) {
        let without = |value: &String| {
            let mut of_field = certain.iter().filter(|(_, condition)| condition.field == named.field);
            of_field.find(|(_, condition)| !holds(condition, value)).map(|(number, _)| *number)
        };
        if let Some(mut met) = named.values.iter().map(without).collect::<Option<BTreeSet<usize>>>() {
            met.insert(*number);
            let mut met: Vec<&Part> = met.into_iter().map(|number| &parts[number]).collect();
            let Some(last) = met.pop() else { continue };
            return Err(Never::of(&named.field).refusal(&met, last));
        }
    }
    Ok(())
}

impl<'a> Literal<'a> {
    const fn condition(self) -> Option<&'a Condition> {
        match self {
            Self::Kind(_) => None,
            Self::Condition(condition) => Some(condition),
        }
    }
}

impl Never {
    /// What two values of `field` are never of at once.
    fn of(field: &Field) -> Self {
        if field.level() == FilterLevel::Event { Self::Event } else { Self::Visit }
    }

    const fn what(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Visit => "visit",
        }
    }

    /// That `others` and `last` never hold together; without others that `last` never holds by itself.
    fn refusal(self, others: &[&Part], last: &Part) -> Problem {
        let (what, told) = (self.what(), last.told());
        let never = match others {
            [] => format!("no {what} is all of {told}"),
            [other] => format!("no {what} is both {} and {told}", other.told()),
            _ => {
                let others: Vec<String> = others.iter().map(|other| other.told()).collect();
                format!("no {what} is all of {} and {told}", others.join(", "))
            }
        };
        let is_more_than_two = others.len() > 1;
        let is_one_subject =
            !others.is_empty() && last.subject.is_some() && others.iter().all(|other| other.subject == last.subject);
        let either = is_one_subject.then_some(if is_more_than_two {
            "for any of them give one filter with all values"
        } else {
            "for one or the other give one filter with both values"
        });
        let visits = (self == Self::Event).then(|| {
            let all = if is_more_than_two { "all of them" } else { "both" };
            format!(
                "for visits with {all} ask with has_done, in where of query_analytics or in filters of the Stats API"
            )
        });
        let of_programs = match (either, visits) {
            (Some(either), Some(visits)) => format!("{either}; {visits}"),
            (None, Some(visits)) => visits,
            (Some(either), None) => either.to_owned(),
            (None, None) => "leave one of them out".to_owned(),
        };
        let of_people = match either {
            Some(either) => format!("{either}, or remove one of them"),
            None if others.is_empty() => "remove it".to_owned(),
            None => "remove one of them".to_owned(),
        };
        let places = others.iter().copied().chain([last]).map(|part| part.at.clone());
        Problem {
            at: last.at.clone(),
            problem: format!("{never}. {}", sentence(&of_programs)),
            never: Some(NeverTogether {
                places: places.collect(),
                problem: format!("{never}. {}", sentence(&of_people)),
            }),
        }
    }
}

/// `words` with a capital.
fn sentence(words: &str) -> String {
    let mut characters = words.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
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
    let conditions = || literals.clone().filter_map(|literal| literal.condition());
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
    for named in conditions().filter(|condition| names_all(condition)) {
        let of_field = || conditions().filter(|condition| condition.field == named.field);
        if !named.values.iter().any(|value| of_field().all(|condition| holds(condition, value))) {
            return Some(Never::of(&named.field));
        }
    }
    None
}

/// Whether `condition` names all values that its field may have.
fn names_all(condition: &Condition) -> bool {
    condition.operator == Operator::Is && !condition.values.is_empty()
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
