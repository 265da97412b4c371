//! The filters of a view of the dashboard, as they stand in its address: `dimension:operator:value|value`.

use serde_json::{Value, json};
use zenovay_domain::{Dimension, EventKind, Goal, GoalId};
use zenovay_query::{Condition, Filter, Operator};

use crate::conversions::goals_filter;
use crate::filters::KIND;
use crate::join::and;
use crate::names::{CUSTOM, CUSTOM_OF_VIEW, bare};
use crate::{Dialect, Filters, Goal as NamedGoal, Problem, Property, PropertyError, filters_of_json};

/// The most filters of a view.
const FILTERS_MAX: usize = 32;

/// The operators of a view: their names, what they are called in a tree of filters, and how they compare names.
const OPERATORS: [(&str, &str, Operator); 8] = [
    ("is", "is", Operator::Is),
    ("is_not", "is_not", Operator::IsNot),
    ("contains", "contains", Operator::Contains),
    ("does_not_contain", "contains_not", Operator::DoesNotContain),
    ("starts_with", "starts_with", Operator::StartsWith),
    ("ends_with", "ends_with", Operator::EndsWith),
    ("matches", "matches_wildcard", Operator::Matches),
    ("does_not_match", "matches_wildcard_not", Operator::DoesNotMatch),
];

/// The names of the operators of a view.
pub fn view_operators() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|(name, ..)| *name)
}

/// The names of the dimensions of a view, beside those that websites give their events: `prop.` and a name.
pub fn view_dimensions() -> impl Iterator<Item = &'static str> {
    Property::names().chain(["event:type"]).map(bare)
}

/// Reads the filters of a view, all of which must hold. Each is `dimension:operator:value|value`; `\|` and `\\` in a value are
/// those characters themselves, and an empty value is the missing one. A dimension is a property by its bare name, `event_type`,
/// `prop.` and the name of a custom property, or `goal`.
///
/// `goal` compares the names of `goals`, which `is` also knows by their ids; a value of `is` that is neither is the name of an
/// event, or `Visit` and a path. What it chooses are conversions. Its negative operators leave the visits without any. An id of none
/// of `goals` is refused, and so is no value.
///
/// # Errors
/// What is wrong; where is the position of the filter, such as `/0`.
pub fn filters_of_view<'a>(filters: impl IntoIterator<Item = &'a str>, goals: &[Goal]) -> Result<Filters, Problem> {
    let mut tree: Vec<Value> = Vec::new();
    let (mut conversions, mut visits) = (Vec::new(), Vec::new());
    for (number, text) in filters.into_iter().enumerate() {
        let problem = |problem: String| Problem { at: format!("/{number}"), problem };
        if number >= FILTERS_MAX {
            return Err(problem(format!("more than {FILTERS_MAX} filters")));
        }
        let part = Part::read(text).map_err(problem)?;
        if part.dimension == "goal" {
            part.check_goals(goals).map_err(problem)?;
            match part.operator {
                Operator::IsNot => visits.push(without(part.goals(Operator::Is, goals))),
                Operator::DoesNotContain => visits.push(without(part.goals(Operator::Contains, goals))),
                Operator::DoesNotMatch => visits.push(without(part.goals(Operator::Matches, goals))),
                operator => conversions.push(part.goals(operator, goals)),
            }
            continue;
        }
        let property = match part.dimension.strip_prefix(CUSTOM_OF_VIEW) {
            Some(name) => format!("{CUSTOM}{name}"),
            None if is_known(part.dimension) => part.dimension.to_owned(),
            None => {
                let known: Vec<&str> = view_dimensions().collect();
                let known = known.join(", ");
                return Err(problem(format!("unknown dimension; use {known}, or prop. and the name of a property")));
            }
        };
        tree.push(json!([part.word, property, part.values]));
    }
    let mut read = filters_of_json(&Value::Array(tree), Dialect::View)?;
    if !conversions.is_empty() {
        read.goals = Some(and(conversions));
        read.names_event = true;
    }
    visits.push(read.rest);
    read.rest = and(visits);
    Ok(read)
}

/// Whether a dimension that is none of a website's own has this name.
fn is_known(name: &str) -> bool {
    let is_property = || Property::parse(name, true) != Err(PropertyError::Unknown);
    !name.contains(':') && (KIND.contains(&name) || is_property())
}

/// Visits without an event that `goals` chooses.
fn without(goals: Filter) -> Filter {
    Filter::Not(Box::new(Filter::InSession(Box::new(goals))))
}

/// One filter.
struct Part<'a> {
    dimension: &'a str,
    operator: Operator,
    /// The operator in a tree of filters.
    word: &'static str,
    values: Vec<String>,
}

impl<'a> Part<'a> {
    /// The name of a custom property may have colons: the first operator between two ends it.
    fn read(text: &'a str) -> Result<Self, String> {
        let found = OPERATORS.iter().filter_map(|(name, word, operator)| {
            let place = text.find(&format!(":{name}:"))?;
            Some((place, name, word, operator))
        });
        let Some((place, name, word, operator)) = found.min_by_key(|(place, ..)| *place) else {
            let known: Vec<&str> = view_operators().collect();
            return Err(format!("not dimension:operator:value; the operators are {}", known.join(", ")));
        };
        let values = split(&text[place + name.len() + 2..]);
        Ok(Self { dimension: &text[..place], operator: *operator, word, values })
    }

    /// Whether there can be goals with the values.
    fn check_goals(&self, goals: &[Goal]) -> Result<(), String> {
        if self.values.iter().any(String::is_empty) {
            return Err("give the name or the id of a goal".to_owned());
        }
        let is_gone = |value: &&String| value.parse().is_ok_and(|id: GoalId| goals.iter().all(|goal| goal.id != id));
        match self.values.iter().find(is_gone) {
            Some(id) if matches!(self.operator, Operator::Is | Operator::IsNot) => {
                Err(format!("there is no goal {id}, or not any more"))
            }
            _ => Ok(()),
        }
    }

    /// The conversions of the goals whose names pass.
    fn goals(&self, operator: Operator, goals: &[Goal]) -> Filter {
        let passes = |goal: &&Goal| {
            operator.matches(&goal.name, &self.values)
                || (operator == Operator::Is && self.values.contains(&goal.id.to_string()))
        };
        let mut filters: Vec<Filter> = Vec::new();
        filters.extend(goals_filter(goals.iter().filter(passes).map(|goal| &goal.target)));
        if operator == Operator::Is {
            let is_known =
                |value: &String| goals.iter().any(|goal| goal.name == *value || goal.id.to_string() == *value);
            filters.extend(self.values.iter().filter(|value| !is_known(value)).map(|value| named(value)));
        }
        if filters.len() == 1 { filters.swap_remove(0) } else { Filter::Any(filters) }
    }
}

/// A goal by the words of the Stats API.
fn named(value: &str) -> Filter {
    let is = |field: Dimension, operator, value: &str| Filter::Is(Condition::new(field, operator, [value]));
    match NamedGoal::parse(value) {
        NamedGoal::Event(name) => is(Dimension::EventName, Operator::Is, &name),
        NamedGoal::Page(path) => {
            Filter::All(vec![Filter::Kind(EventKind::Pageview), is(Dimension::Path, Operator::Matches, &path)])
        }
    }
}

/// The values between `|`, without the backslashes before `|` and `\`.
fn split(text: &str) -> Vec<String> {
    let mut values = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let Some(value) = values.last_mut() else { break };
        match character {
            '\\' => match characters.next_if(|next| matches!(next, '|' | '\\')) {
                Some(escaped) => value.push(escaped),
                None => value.push('\\'),
            },
            '|' => values.push(String::new()),
            other => value.push(other),
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zenovay_domain::{GoalTarget, Timestamp, WebsiteId};
    use zenovay_query::FilterLevel;

    use super::*;
    use crate::parse_filters;

    fn goal(n: u8, name: &str, event: &str) -> Goal {
        let (id, website) = (GoalId::from_random_bytes([n; 16]), WebsiteId::from_random_bytes([1; 16]));
        Goal::new(id, website, name, GoalTarget::Event { name: event.to_owned() }, Timestamp::from_millis(0))
    }

    fn read(filters: &[&str]) -> Result<Filters, Problem> {
        filters_of_view(filters.iter().copied(), &[goal(1, "Sign-up", "signup"), goal(2, "Sign-out", "signout")])
    }

    fn event(names: &[&str]) -> Filter {
        let mut filters: Vec<Filter> = names.iter().map(|name| named(name)).collect();
        if filters.len() == 1 { filters.swap_remove(0) } else { Filter::Any(filters) }
    }

    #[test]
    fn filters_are_those_of_the_stats_api() {
        for (view, stats) in [
            (vec!["country:is:DE|AT"], r#"[["is","visit:country",["DE","AT"]]]"#),
            (vec!["page:is_not:/a"], r#"[["is_not","event:page",["/a"]]]"#),
            (
                vec!["source:contains:x", "device:is:desktop"],
                r#"[["contains","visit:source",["x"]],["is","visit:device",["desktop"]]]"#,
            ),
            (vec!["utm_term:does_not_contain:x"], r#"[["contains_not","visit:utm_term",["x"]]]"#),
            (vec!["entry_page:starts_with:/docs"], r#"[["starts_with","visit:entry_page",["/docs"]]]"#),
            (vec!["exit_page:ends_with:/end"], r#"[["ends_with","visit:exit_page",["/end"]]]"#),
            (vec!["hostname:matches:*.example.com"], r#"[["matches_wildcard","event:hostname",["*.example.com"]]]"#),
            (vec!["os_version:does_not_match:1*"], r#"[["matches_wildcard_not","visit:os_version",["1*"]]]"#),
            (vec!["screen_class:is:"], r#"[["is","visit:screen",[""]]]"#),
            (vec!["event_name:is:a:b"], r#"[["is","event:name",["a:b"]]]"#),
            (vec!["event_type:is_not:click|custom"], r#"[["is_not","event:type",["click","custom"]]]"#),
            (vec!["prop.plan:is:pro"], r#"[["is","event:props:plan",["pro"]]]"#),
            (vec!["prop.a:b:is:x"], r#"[["is","event:props:a:b",["x"]]]"#),
            (vec![r"page:is:/a\|b|\\|c\d"], r#"[["is","event:page",["/a|b","\\","c\\d"]]]"#),
            (vec![], "[]"),
        ] {
            assert_eq!(read(&view), parse_filters(stats, Dialect::Own), "{view:?}");
        }
    }

    /// Sabotage: compare ids only, or let a negative operator choose conversions.
    #[test]
    fn goals_are_known_by_name_and_id() {
        let id = GoalId::from_random_bytes([1; 16]).to_string();
        for (text, names) in [
            ("goal:is:Sign-up", vec!["signup"]),
            (&format!("goal:is:{id}"), vec!["signup"]),
            ("goal:contains:out", vec!["signout"]),
            ("goal:starts_with:Sign", vec!["signup", "signout"]),
            ("goal:matches:*up", vec!["signup"]),
            ("goal:is:download", vec!["download"]),
            ("goal:is:Visit /x*", vec!["Visit /x*"]),
        ] {
            let filters = read(&[text, "country:is:DE"]).unwrap();
            assert_eq!(filters.goals, Some(event(&names)), "{text}");
            assert!(filters.names_event);
        }
        let filters = read(&["goal:does_not_contain:out"]).unwrap();
        assert_eq!((filters.goals, filters.rest), (None, without(event(&["signout"]))));
        assert_eq!(read(&["goal:contains:nothing"]).unwrap().goals, Some(Filter::Any(Vec::new())));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (filters, at) in [
            (vec!["country"], "/0"),
            (vec!["country:is"], "/0"),
            (vec!["country:is:DE", "country:equals:DE"], "/1"),
            (vec!["nothing:is:x"], "/0"),
            (vec!["visit:country:is:x"], "/0"),
            (vec!["page:is:/", "country:is:DE|Germany"], "/1"),
            (vec!["prop.user_id:is:x"], "/0"),
            (vec!["page:is:x"; 33], "/32"),
            (vec!["country:is:DE", "country:contains:Germany"], "/1"),
            (vec!["goal:is:"], "/0"),
            (vec!["goal:contains:Sign|"], "/0"),
        ] {
            let problem = read(&filters).unwrap_err();
            assert_eq!(problem.at, at, "{filters:?}: {}", problem.problem);
        }
        let other = GoalId::from_random_bytes([9; 16]).to_string();
        for (filter, told) in [
            ("contry:is:DE", ["unknown dimension", "country, ", "event_type", "prop. and"]),
            ("country:equals:DE", ["dimension:operator:value", "is, is_not, ", "does_not_contain", "starts_with"]),
            ("country:contains:Germany", ["codes", "two capital letters", "DE for", "Germany"]),
            ("device:is:phone", ["\"phone\" is unknown", "desktop, ", "mobile, ", "tablet"]),
            ("channel:is_not:Social", ["\"Social\" is unknown", "Direct, ", "Organic Social, ", "Referral"]),
            ("prop.:is:x", ["write prop. and", "the name of", "a property", "100"]),
            ("prop.user_id:is:x", ["prop.user_id", "is", "not", "available"]),
            ("goal:is_not:", ["the name", "or", "the id", "of a goal"]),
            (&format!("goal:is:{other}"), ["no goal", other.as_str(), "not", "any more"]),
        ] {
            let problem = read(&[filter]).unwrap_err().problem;
            assert!(told.iter().all(|told| problem.contains(told)), "{filter}: {problem}");
        }
        for dimension in view_dimensions() {
            let value = match dimension {
                "country" => "DE",
                "channel" => "Email",
                "device" => "tablet",
                "screen" => "md",
                dimension if KIND.contains(&dimension) => "click",
                _ => "x",
            };
            assert!(read(&[&format!("{dimension}:is:{value}")]).is_ok(), "{dimension}");
        }
        let long = format!("page:is:{}", "x".repeat(3_000));
        assert!(read(&[&long]).is_err());
    }

    #[test]
    fn levels_are_those_of_the_dimensions() {
        let Filter::Is(Condition { field, level, .. }) = &read(&["country:is:DE"]).unwrap().rest else { panic!() };
        assert_eq!((field.level(), *level), (FilterLevel::Session, None));
    }

    proptest! {
        #[test]
        fn any_string_is_filters_or_none(text in "[a-z_.]{0,8}:(is|is_not|x):[a-z|\\\\]{0,8}|\\PC{0,30}") {
            let _ = read(&[&text]);
        }

        #[test]
        fn values_are_read_back(values in prop::collection::vec("[a|\\\\:]{0,4}", 1..4)) {
            let written: Vec<String> =
                values.iter().map(|value| value.replace('\\', r"\\").replace('|', r"\|")).collect();
            prop_assert_eq!(split(&written.join("|")), values);
        }
    }
}
