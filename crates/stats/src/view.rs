//! The filters of a view of the dashboard, as they stand in its address: `dimension:operator:value|value`.

use serde_json::json;
use zenovay_domain::{Goal, GoalId};
use zenovay_query::{Filter, Operator};

use crate::conversions::goals_filter;
use crate::filters::{KIND, Reader};
use crate::names::{CUSTOM, CUSTOM_OF_VIEW, bare};
use crate::{Dialect, Filters, Problem, Property, PropertyError};

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
/// `goal` compares the names of `goals`, which `is` also knows by their ids. What it chooses are conversions. Its negative operators leave
/// the visits without any. A value that is of none of `goals` is refused, and so is no value.
///
/// # Errors
/// What is wrong; where is the position of the filter, such as `/0`. Two filters that never hold together are wrong, too: an event has
/// one page and reaches one goal, a visit has one country.
pub fn filters_of_view<'a>(filters: impl IntoIterator<Item = &'a str>, goals: &[Goal]) -> Result<Filters, Problem> {
    let mut reader = Reader::new(Dialect::View);
    for (number, text) in filters.into_iter().enumerate() {
        reader.at = format!("/{number}");
        let problem = |problem: String| Problem::at(format!("/{number}"), problem);
        if number >= FILTERS_MAX {
            return Err(problem(format!("more than {FILTERS_MAX} filters")));
        }
        let part = Part::read(text).map_err(problem)?;
        if part.dimension == "goal" {
            part.check_goals(goals).map_err(problem)?;
            match part.operator {
                Operator::IsNot => reader.add_visits(without(part.goals(Operator::Is, goals)), text.to_owned()),
                Operator::DoesNotContain => {
                    reader.add_visits(without(part.goals(Operator::Contains, goals)), text.to_owned());
                }
                Operator::DoesNotMatch => {
                    reader.add_visits(without(part.goals(Operator::Matches, goals)), text.to_owned());
                }
                operator => {
                    let subject = format!("goal {}", part.word);
                    reader.add_conversions(part.goals(operator, goals), text.to_owned(), subject);
                }
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
        reader.top(&json!([part.word, property, part.values]), text.to_owned())?;
    }
    reader.finish()
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

    /// Whether there are goals with each of the values.
    fn check_goals(&self, goals: &[Goal]) -> Result<(), String> {
        if self.values.iter().any(String::is_empty) {
            return Err("give the name or the id of a goal".to_owned());
        }
        let (operator, is_exact) = match self.operator {
            Operator::Is | Operator::IsNot => (Operator::Is, true),
            Operator::DoesNotContain => (Operator::Contains, false),
            Operator::DoesNotMatch => (Operator::Matches, false),
            other => (other, false),
        };
        let is_of_none =
            |value: &&String| !goals.iter().any(|goal| is_goal(goal, operator, std::slice::from_ref(value)));
        match self.values.iter().find(is_of_none) {
            Some(id) if is_exact && id.parse::<GoalId>().is_ok() => {
                Err(format!("there is no goal {id}, or not any more"))
            }
            Some(name) if is_exact => Err(format!(
                "no goal is called {name:?}; for an event that is no goal give event_name:is: and its name"
            )),
            Some(part) => Err(format!("the name of no goal passes for {part:?}")),
            None => Ok(()),
        }
    }

    /// The conversions of the goals whose names pass.
    fn goals(&self, operator: Operator, goals: &[Goal]) -> Filter {
        let passing = goals.iter().filter(|goal| is_goal(goal, operator, &self.values));
        goals_filter(passing.map(|goal| &goal.target)).unwrap_or(Filter::Any(Vec::new()))
    }
}

/// Whether `values` are of `goal`.
fn is_goal(goal: &Goal, operator: Operator, values: &[String]) -> bool {
    operator.matches(&goal.name, values) || (operator == Operator::Is && values.contains(&goal.id.to_string()))
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
    use zenovay_domain::{Dimension, GoalTarget, MatchType, PageMatch, Timestamp, WebsiteId};
    use zenovay_query::{Condition, FilterLevel};

    use super::*;
    use crate::parse_filters;

    fn event_named(name: &str) -> GoalTarget {
        GoalTarget::Event { name: name.to_owned() }
    }

    fn goal(n: u8, name: &str, target: GoalTarget) -> Goal {
        let (id, website) = (GoalId::from_random_bytes([n; 16]), WebsiteId::from_random_bytes([1; 16]));
        Goal::new(id, website, name, target, Timestamp::from_millis(0))
    }

    /// Goals are Sign-up and Sign-out, which are events, and Thanks and Docs, which are views of pages.
    fn read(filters: &[&str]) -> Result<Filters, Problem> {
        let page = |match_type, value: &str| GoalTarget::Page(PageMatch::new(match_type, value));
        let goals = [
            goal(1, "Sign-up", event_named("signup")),
            goal(2, "Sign-out", event_named("signout")),
            goal(3, "Thanks", page(MatchType::Exact, "/thanks")),
            goal(4, "Docs", page(MatchType::StartsWith, "/docs")),
        ];
        filters_of_view(filters.iter().copied(), &goals)
    }

    fn event(names: &[&str]) -> Filter {
        let targets: Vec<GoalTarget> = names.iter().map(|name| event_named(name)).collect();
        goals_filter(&targets).unwrap()
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
            (vec![r"utm_term:is:/a\|b|\\|c\d"], r#"[["is","visit:utm_term",["/a|b","\\","c\\d"]]]"#),
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
        ] {
            let filters = read(&[text, "country:is:DE"]).unwrap();
            assert_eq!(filters.goals, Some(event(&names)), "{text}");
            assert!(filters.names_event);
        }
        let filters = read(&["goal:does_not_contain:out"]).unwrap();
        assert_eq!((filters.goals, filters.rest), (None, without(event(&["signout"]))));
        let twice = read(&["goal:is:Sign-up", "goal:contains:Sign"]).unwrap().goals;
        assert_eq!(twice, Some(Filter::All(vec![event(&["signup"]), event(&["signup", "signout"])])));
    }

    /// Sabotage: look at what is chosen alone, or take a source beside the channel Direct.
    #[test]
    fn what_one_filter_leaves_out_no_other_chooses() {
        for filters in [
            ["goal:is_not:Sign-up", "goal:is:Sign-up"],
            ["goal:starts_with:Sign", "goal:does_not_contain:Sign"],
            ["goal:is:Docs", "goal:is_not:Docs|Thanks"],
            ["channel:is:Direct", "source:is:Google"],
            ["source:is_not:", "channel:is:Direct"],
            ["source:contains:x|y", "channel:is:Direct"],
        ] {
            let problem = read(&filters).unwrap_err();
            let told = format!("no visit is both {} and {}", filters[0], filters[1]);
            assert!(problem.problem.contains(&told) && problem.at == "/1", "{filters:?}: {problem}");
        }
        for filters in [
            ["goal:is_not:Sign-up", "goal:is:Sign-up|Docs"],
            ["goal:is_not:Sign-up", "goal:is_not:Docs"],
            ["channel:is:Direct|Email", "source:is:Google"],
            ["channel:is_not:Direct", "source:is:Google"],
            ["channel:is:Direct", "source:is:|Google"],
            ["channel:is:Direct", "source:is_not:Google"],
            // A page view may have a name.
            ["event_type:is:pageview", "goal:is:Sign-up"],
        ] {
            assert!(read(&filters).is_ok(), "{filters:?}");
        }
        let done = r#"["is","event:name",["x"]]"#;
        for done in [
            format!(r#"[["has_not_done",{done}],{done}]"#),
            format!(r#"[["has_done",{done}],["has_not_done",{done}]]"#),
        ] {
            assert!(parse_filters(&done, Dialect::Own).is_err(), "{done}");
            assert!(parse_filters(&done, Dialect::Plausible).is_ok(), "{done}");
        }
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
            (vec!["page:is:/x"; 33], "/32"),
            (vec!["country:is:DE", "country:contains:Germany"], "/1"),
            (vec!["goal:is:"], "/0"),
            (vec!["goal:contains:Sign|"], "/0"),
            (vec!["goal:is:Sign-up", "country:is:Germany"], "/1"),
            (vec!["goal:is:Sign-up|Sign-in"], "/0"),
            (vec!["page:is:/", "goal:is_not:Sign-in"], "/1"),
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
            ("goal:is:signup", ["no goal is called", "\"signup\"", "event_name:is:", "and its name"]),
            ("goal:contains:nothing", ["the name", "of no goal", "passes for", "\"nothing\""]),
            ("goal:does_not_match:nothing*", ["the name", "of no goal", "passes for", "\"nothing*\""]),
        ] {
            let problem = read(&[filter]).unwrap_err().problem;
            assert!(told.iter().all(|told| problem.contains(told)), "{filter}: {problem}");
        }
        for dimension in view_dimensions() {
            let value = match dimension {
                "goal" => "Docs",
                "page" | "entry_page" | "exit_page" => "/x",
                "country" => "DE",
                "country_name" => "Germany",
                "channel" => "Email",
                "device" => "tablet",
                "screen" => "md",
                dimension if KIND.contains(&dimension) => "click",
                _ => "x",
            };
            assert!(read(&[&format!("{dimension}:is:{value}")]).is_ok(), "{dimension}");
        }
        let long = format!("page:is:/{}", "x".repeat(3_000));
        assert!(read(&[&long]).is_err());
    }

    /// Sabotage: compare two goals by their kinds alone, or look at nothing but `is` and `is`.
    #[test]
    fn filters_that_never_hold_together_are_refused() {
        for (filters, told) in [
            (vec!["goal:is:Sign-up", "goal:is:Sign-out"], "no event is both goal:is:Sign-up and goal:is:Sign-out"),
            (vec!["country:is:DE", "page:is:/a", "page:is:/b"], "no event is both page:is:/a and page:is:/b"),
            (vec!["goal:is:Sign-up", "goal:is:Thanks"], "no event is both"),
            (vec!["goal:is:Thanks", "goal:is:Docs"], "no event is both"),
            (vec!["goal:is:Thanks", "page:is:/a"], "no event is both"),
            (vec!["goal:is:Thanks", "event_type:is:click"], "no event is both"),
            (vec!["goal:is:Sign-up", "event_name:is:signout|other"], "no event is both"),
            (
                vec!["page:is:/a|/b", "page:is_not:/b", "page:contains:c"],
                "no event is both page:is:/a|/b and page:contains:c",
            ),
            (vec!["page:matches:/docs/*", "page:is:/blog"], "no event is both"),
            (vec!["prop.plan:is:pro", "prop.plan:is:free"], "no event is both"),
            (vec!["country:is:DE", "country:is:FR|AT"], "no visit is both country:is:DE and country:is:FR|AT"),
            (vec!["browser:is:Chrome", "browser:is:Safari"], "no visit is both"),
            (vec!["entry_page:is:/a", "entry_page:is_not:/a"], "no visit is both"),
        ] {
            let Problem { at, problem, never } = read(&filters).unwrap_err();
            let never = never.unwrap();
            assert!(problem.contains(told), "{filters:?}: {problem}");
            assert_eq!(at, format!("/{}", filters.len() - 1), "{filters:?}");
            assert_eq!((never.places.len(), never.places.last()), (2, Some(&at)), "{filters:?}");
            let is_of_events = told.contains("event");
            assert_eq!(problem.contains("has_done"), is_of_events, "{filters:?}: {problem}");
            // Of what only programs can ask nothing is said to people.
            assert!(never.problem.contains(told) && !never.problem.contains("has_done"), "{}", never.problem);
            assert!(!never.problem.contains("API") && !never.problem.contains("query_"), "{}", never.problem);
        }
        let never = read(&["page:is:/a", "country:is:DE", "page:is:/b"]).unwrap_err().never.unwrap();
        assert_eq!(never.places, ["/0", "/2"]);
        let said = "no event is both page:is:/a and page:is:/b. For one or the other give one filter with both values, or remove one of them";
        assert_eq!(never.problem, said);
        for (filters, is_one) in [
            (["page:is:/a", "page:is:/b"], true),
            (["goal:is:Sign-up", "goal:is:Sign-out"], true),
            (["country:is:DE", "country:is:FR"], true),
            (["page:is:/a", "page:starts_with:/b"], false),
            (["goal:is:Thanks", "page:is:/a"], false),
        ] {
            let Problem { problem, never, .. } = read(&filters).unwrap_err();
            for problem in [problem, never.unwrap().problem] {
                assert_eq!(problem.contains("one filter with both values"), is_one, "{problem}");
            }
        }
        for filters in [
            vec!["goal:is:Sign-up", "page:is:/a"],
            vec!["goal:is:Thanks", "page:starts_with:/th"],
            vec!["goal:is:Sign-up|Thanks", "page:is:/a"],
            vec!["goal:contains:Sign", "goal:is:Sign-up|Thanks"],
            vec!["goal:is:Docs", "page:is:/docs/start", "event_type:is:pageview"],
            vec!["goal:is:Sign-up", "goal:is_not:Sign-out"],
            vec!["page:is:/%e6", "page:is:/%E6"],
            vec!["page:is:/a", "entry_page:is:/b", "exit_page:is:/c"],
            vec!["prop.plan:is:pro", "prop.seats:is:3"],
            vec!["browser:is:Chrome", "browser:is:chrome"],
            vec!["country:is:DE|FR", "country:is:FR|AT"],
            vec!["page:is:", "event_name:is:signup"],
            vec!["page:is:/a|/b", "entry_page:is:/b|/c", "exit_page:is:/c|/a"],
            vec!["prop.plan:is:a|b", "prop.plan:is:b|c", "prop.seats:is:c|a"],
        ] {
            assert!(read(&filters).is_ok(), "{filters:?}: {:?}", read(&filters));
        }
    }

    #[test]
    fn filters_of_which_any_two_hold_are_refused_when_all_together_never_do() {
        let refused = |filters: &[&str]| {
            let Problem { at, problem, never } = read(filters).unwrap_err();
            (at, problem, never.unwrap())
        };
        let (at, problem, never) = refused(&["page:is:/a|/b", "country:is:DE", "page:is:/b|/c", "page:is:/c|/a"]);
        assert_eq!((at.as_str(), never.places.join(" ").as_str()), ("/3", "/0 /2 /3"));
        let said = "no event is all of page:is:/a|/b, page:is:/b|/c and page:is:/c|/a. For any of them give one filter with all values";
        assert!(problem.starts_with(said) && problem.contains("for visits with all of them ask with has_done"));
        assert_eq!(never.problem, format!("{said}, or remove one of them"));
        let (_, problem, never) =
            refused(&["browser:is:Chrome|Safari", "browser:is_not:chrome", "browser:is_not:safari"]);
        assert_eq!(problem.split(". ").last(), Some("Leave one of them out"));
        assert_eq!(never.places, ["/0", "/1", "/2"]);
        // Of four that never hold together only those that take values away are named.
        let (_, _, never) = refused(&["page:contains:/", "page:is:/a|/b", "page:is_not:/b", "page:is_not:/a"]);
        assert_eq!(never.places, ["/1", "/2", "/3"]);
    }

    /// Sabotage: look at pairs alone, or refuse where nothing is named.
    #[test]
    fn three_filters_on_one_field_are_refused_exactly_when_no_value_is_left() {
        let pages = ["/a", "/b", "/c"];
        let some = |set: usize| (0..3).filter(move |n| set & (1 << n) != 0).map(|n| pages[n]).collect::<Vec<_>>();
        let filters: Vec<(bool, usize, String)> = [true, false]
            .into_iter()
            .flat_map(|is| (1..8).map(move |set| (is, set)))
            .map(|(is, set)| (is, set, format!("page:{}:{}", if is { "is" } else { "is_not" }, some(set).join("|"))))
            .collect();
        let left = |(is, set, _): &(bool, usize, String)| if *is { *set } else { !set };
        for one in &filters {
            for other in &filters {
                for third in &filters {
                    let asked = [one, other, third];
                    let asked_texts = asked.map(|(.., text)| text.as_str());
                    // What is not one of these three pages is left where none is named.
                    let is_left = asked.iter().fold(usize::MAX, |all, filter| all & left(filter)) != 0;
                    assert_eq!(read(&asked_texts).is_ok(), is_left, "{asked_texts:?}");
                }
            }
        }
    }

    #[test]
    fn names_are_compared_in_any_case_and_the_rest_as_it_is() {
        let names = |operator, names: &str| {
            let expression = names.split('|').map(|name| format!(r"(?i)\A{name}\z")).collect::<Vec<_>>().join("|");
            Filter::Is(Condition::new(Dimension::Browser, operator, [expression]))
        };
        assert_eq!(read(&["browser:is:chrome|Safari"]).unwrap().rest, names(Operator::MatchesRegex, "chrome|Safari"));
        assert_eq!(read(&["browser:is_not:chrome"]).unwrap().rest, names(Operator::DoesNotMatchRegex, "chrome"));
        let compared = |operator: Operator, values: &str, text: &str| {
            let filter = names(operator, values);
            let Filter::Is(condition) = &filter else { panic!("a condition") };
            condition.operator.matches(text, &condition.values)
        };
        assert!(compared(Operator::MatchesRegex, "chrome|Safari", "SAFARI"));
        assert!(!compared(Operator::MatchesRegex, "chrome|Safari", "Safari Mobile"));
        for as_it_is in ["browser:contains:chrome", "utm_source:is:News", "browser:is:"] {
            let rest = read(&[as_it_is]).unwrap().rest;
            let Filter::Is(condition) = &rest else { panic!("{as_it_is}") };
            assert!(!condition.operator.is_regex(), "{as_it_is}");
        }
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
