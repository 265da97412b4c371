//! What goals and the steps of funnels count, as filters of events.

use std::collections::BTreeMap;

use zenovay_domain::{
    Dimension, Event, EventKind, FUNNEL_STEPS_MAX, FUNNEL_STEPS_MIN, FunnelStep, Goal, GoalTarget, MatchType, PageMatch,
};
use zenovay_query::{Answer, Condition, Field, Filter, GroupBy, Operator, Order, Query, QueryError, Question};

use crate::Ask;
use crate::join::and;
use crate::traits::of_readable;

/// The event by which the code of a website says that a step of a funnel was taken.
pub const FUNNEL_EVENT: &str = "funnel_step";
/// Its property with the name of the funnel.
const FUNNEL: &str = "funnel";
/// Its property with the number of the step.
const STEP: &str = "step";
/// Its property with the name of the step.
const STEP_NAME: &str = "step_name";

/// The most funnels made by code that are told of a website.
const CODE_FUNNELS_MAX: usize = 50;

fn is(field: impl Into<Field>, operator: Operator, value: &str) -> Condition {
    Condition::new(field, operator, [value])
}

/// The events that are what `target` says.
pub fn goal_filter(target: &GoalTarget) -> Filter {
    match target {
        GoalTarget::Page(pages) => views_of(pages),
        GoalTarget::Event { name } => Filter::Is(is(Dimension::EventName, Operator::Is, name)),
    }
}

/// The events that are what any of `goals` says; `None` when there are no goals.
pub fn goals_filter<'a>(goals: impl IntoIterator<Item = &'a GoalTarget>) -> Option<Filter> {
    let mut filters: Vec<Filter> = goals.into_iter().map(goal_filter).collect();
    match filters.len() {
        0 => None,
        1 => filters.pop(),
        _ => Some(Filter::Any(filters)),
    }
}

/// The events that are a step; `None` when it is a goal that is not among `goals`.
pub fn step_filter(step: &FunnelStep, goals: &[Goal]) -> Option<Filter> {
    Some(match step {
        FunnelStep::Page(pages) => views_of(pages),
        FunnelStep::Event { name } => Filter::Is(is(Dimension::EventName, Operator::Is, name)),
        FunnelStep::Goal { id } => goal_filter(&goals.iter().find(|goal| goal.id == *id)?.target),
    })
}

/// Whether `event` is what `target` says: as [`goal_filter`], of one event that is at hand.
pub fn is_reached_by(target: &GoalTarget, event: &Event) -> bool {
    match target {
        GoalTarget::Page(pages) => {
            event.kind == EventKind::Pageview && path_of(pages).matches(event.dimensions.get(Dimension::Path))
        }
        GoalTarget::Event { name } => event.kind.is_event() && event.dimensions.get(Dimension::EventName) == name,
    }
}

/// How paths are compared.
const fn operator_of(match_type: MatchType) -> Operator {
    match match_type {
        MatchType::Exact => Operator::Is,
        MatchType::Contains => Operator::Contains,
        MatchType::StartsWith => Operator::StartsWith,
        MatchType::EndsWith => Operator::EndsWith,
        MatchType::Regex => Operator::MatchesRegex,
    }
}

/// What the path of a view of some pages is.
fn path_of(pages: &PageMatch) -> Condition {
    is(Dimension::Path, operator_of(pages.match_type), &pages.value)
}

/// The views of some pages.
fn views_of(pages: &PageMatch) -> Filter {
    Filter::All(vec![Filter::Kind(EventKind::Pageview), Filter::Is(path_of(pages))])
}

/// A funnel that the code of a website made by reporting its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodeFunnel {
    /// Its name.
    pub name: String,
    /// Its steps in their order, [`FUNNEL_STEPS_MIN`] to [`FUNNEL_STEPS_MAX`] of them.
    pub steps: Vec<CodeStep>,
}

/// A step that code reported.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodeStep {
    /// Its number, as it was reported.
    pub number: String,
    /// Its name; the number when it has none.
    pub name: String,
}

impl CodeStep {
    /// The step with this number, which has a name.
    pub fn new(number: impl Into<String>, name: impl Into<String>) -> Self {
        Self { number: number.into(), name: name.into() }
    }
}

/// A condition on a custom property of events.
fn property(name: &str, value: &str) -> Filter {
    // An event's own condition always has a readable form.
    of_readable(is(Field::Property(name.to_owned()), Operator::Is, value)).unwrap_or(Filter::Any(Vec::new()))
}

/// The events by which code said that a funnel's step was taken.
pub fn code_step_filter(funnel: &str, step: &CodeStep) -> Filter {
    let event = Filter::Is(is(Dimension::EventName, Operator::Is, FUNNEL_EVENT));
    and(vec![event, property(FUNNEL, funnel), property(STEP, &step.number)])
}

impl Ask {
    /// The funnels that were made by code, by name: those whose steps were reported in the range. A funnel has the steps
    /// that have a number, in the order of these; one with a single step is not a funnel yet.
    ///
    /// # Errors
    /// What `ask` fails with.
    pub fn code_funnels(
        &self,
        mut ask: impl FnMut(&Query) -> Result<Answer, QueryError>,
    ) -> Result<Vec<CodeFunnel>, QueryError> {
        let event = Filter::Is(is(Dimension::EventName, Operator::Is, FUNNEL_EVENT));
        let mut pairs = |filter: Filter, first: &str, second: &str, limit: usize| {
            let by = GroupBy::by(Field::Property(first.to_owned()))
                .and(Field::Property(second.to_owned()))
                .order(Order::Events)
                .limit(limit)
                .without_empty();
            let query = Query::new(self.range, Question::Breakdown(by)).filter(filter);
            Ok::<_, QueryError>(ask(&query)?.into_breakdown()?.rows)
        };
        let readable = and(vec![crate::traits::readable(), event]);
        let mut funnels: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
        for row in pairs(readable.clone(), FUNNEL, STEP, CODE_FUNNELS_MAX * FUNNEL_STEPS_MAX)? {
            let step = row.and.unwrap_or_default();
            let Ok(number) = step.parse::<u64>() else { continue };
            if funnels.contains_key(&row.value) || funnels.len() < CODE_FUNNELS_MAX {
                funnels.entry(row.value).or_default().push((number, step));
            }
        }
        let mut found = Vec::new();
        for (name, mut steps) in funnels {
            steps.sort();
            steps.dedup_by_key(|(number, _)| *number);
            steps.truncate(FUNNEL_STEPS_MAX);
            if steps.len() < FUNNEL_STEPS_MIN {
                continue;
            }
            let of_funnel = and(vec![readable.clone(), property(FUNNEL, &name)]);
            let names = pairs(of_funnel, STEP, STEP_NAME, CODE_FUNNELS_MAX * FUNNEL_STEPS_MAX)?;
            let steps = steps.into_iter().map(|(_, number)| {
                let named = names.iter().filter(|row| row.value == number);
                let name = named.filter_map(|row| row.and.clone()).find(|name| !name.is_empty());
                CodeStep { name: name.unwrap_or_else(|| number.clone()), number }
            });
            found.push(CodeFunnel { steps: steps.collect(), name });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use zenovay_domain::{Event, SessionId, TimeRange, Timestamp, VisitorId};
    use zenovay_query::oracle;

    use super::*;
    use crate::Filters;

    fn step(visit: u64, funnel: &str, number: &str, name: Option<&str>) -> Event {
        let at = Timestamp::from_millis(1_000);
        let mut event = Event::new(EventKind::Custom, at, VisitorId(visit), SessionId(visit));
        event.dimensions.set(Dimension::EventName, FUNNEL_EVENT);
        let mut properties = serde_json::json!({ "funnel": funnel, "step": number });
        if let Some(name) = name {
            properties["step_name"] = name.into();
        }
        event.dimensions.set(Dimension::Properties, &properties.to_string());
        event
    }

    /// Sabotage: sort steps as strings, or take the name of another funnel's step.
    #[test]
    fn code_makes_funnels_of_the_steps_that_it_reports() {
        let mut events: Vec<Event> = (1..=10).map(|n| step(n, "Tour", &n.to_string(), None)).collect();
        events.push(step(1, "Sign-up", "2", Some("Form")));
        events.push(step(2, "Sign-up", "1", Some("Button")));
        events.push(step(3, "Sign-up", "1", Some("Button")));
        events.push(step(4, "Sign-up", "1", Some("Old name")));
        events.push(step(5, "Sign-up", "last", None));
        events.push(step(6, "Begun", "1", None));
        let range = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(2_000));
        let ask = Ask { range, filters: Filters::default(), metrics: Vec::new() };
        let found = ask.code_funnels(|query| Ok(oracle::answer(&events, query))).unwrap();
        let told: Vec<(&str, Vec<(&str, &str)>)> = found
            .iter()
            .map(|funnel| {
                let steps = funnel.steps.iter().map(|step| (step.number.as_str(), step.name.as_str()));
                (funnel.name.as_str(), steps.collect())
            })
            .collect();
        let numbers: Vec<String> = (1..=7).map(|n| n.to_string()).collect();
        let tour = numbers.iter().map(|n| (n.as_str(), n.as_str())).collect();
        assert_eq!(told, [("Sign-up", vec![("1", "Button"), ("2", "Form")]), ("Tour", tour)]);
    }

    #[test]
    fn goals_count_what_they_say() {
        let page = |match_type, value: &str| GoalTarget::Page(PageMatch::new(match_type, value));
        let mut view = Event::new(EventKind::Pageview, Timestamp::from_millis(1), VisitorId(1), SessionId(1));
        view.dimensions.set(Dimension::Path, "/docs/start");
        let mut other = view.clone();
        other.dimensions.set(Dimension::Path, "/%C3%BCber/~me");
        let mut event = view.clone();
        event.kind = EventKind::Custom;
        event.dimensions.set(Dimension::EventName, "signup");
        let events = [view, other, event];
        let range = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(2));
        let count =
            |filter: Filter| match oracle::answer(&events, &Query::new(range, Question::Overview).filter(filter)) {
                Answer::Overview(overview) => overview.metrics.events,
                _ => 99,
            };
        for (match_type, value, expected) in [
            (MatchType::Exact, "/docs/start", 1),
            (MatchType::Exact, "/docs", 0),
            (MatchType::Contains, "ocs", 1),
            (MatchType::StartsWith, "/docs", 1),
            (MatchType::StartsWith, "docs", 0),
            (MatchType::EndsWith, "start", 1),
            (MatchType::EndsWith, "/docs", 0),
            (MatchType::Regex, "^/docs/.{5}$", 1),
            (MatchType::Regex, "^/docs/.{4}$", 0),
            // However a path is written, also of one event that is at hand.
            (MatchType::Exact, "/über/%7Eme", 1),
            (MatchType::StartsWith, "/%c3%bc", 1),
            (MatchType::Contains, "über/~", 1),
            (MatchType::EndsWith, "/%7eme", 1),
            (MatchType::Regex, "über", 0),
        ] {
            let target = page(match_type, value);
            assert_eq!(count(goal_filter(&target)), expected, "{match_type} {value}");
            let reached = events.iter().filter(|event| is_reached_by(&target, event)).count();
            assert_eq!(reached as u64, expected, "{match_type} {value}");
        }
        let signup = GoalTarget::Event { name: "signup".to_owned() };
        assert_eq!(count(goal_filter(&signup)), 1);
        let reached: Vec<bool> = events.iter().map(|event| is_reached_by(&signup, event)).collect();
        assert_eq!(reached, [false, false, true]);
        assert_eq!(goals_filter([]), None);
        let both = [signup, page(MatchType::Exact, "/docs/start")];
        assert_eq!(count(goals_filter(&both).unwrap()), 2);
        assert_eq!(count(goals_filter(&both[..1]).unwrap()), 1);
    }
}
