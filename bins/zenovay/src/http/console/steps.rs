//! What counts as a goal or as a step, as it is written in bodies and answers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zenovay_domain::{FunnelStep, Goal, GoalTarget, MATCH_VALUE_MAX, MatchType, PageMatch, has_hidden};
use zenovay_query::check_regex;

use super::Rules;

/// The most characters of the name of an event.
const EVENT_NAME_MAX: usize = 100;

/// Something that visitors do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepBody {
    /// `page`: a view of a page; `event`: an event with a name; as a step of a funnel also `goal`: a goal.
    #[schema(examples("page"))]
    pub r#type: String,
    /// How the path of a page is compared with `value`: `exact` (when it is absent), `contains`, `starts_with`, `ends_with` or
    /// `regex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("starts_with"))]
    pub match_type: Option<String>,
    /// The path, or what it is compared with; the name of the event; the id of the goal.
    #[schema(examples("/docs"))]
    pub value: String,
}

impl StepBody {
    /// The goal that this says; `place` is where it stands in the body, such as `steps.0.`.
    pub fn target(&self, rules: &mut Rules, place: &str) -> Option<GoalTarget> {
        match self.r#type.as_str() {
            "page" => self.pages(rules, place).map(GoalTarget::Page),
            "event" => self.event(rules, place).map(|name| GoalTarget::Event { name }),
            _ => {
                rules.problem(&format!("{place}type"), "Use page or event");
                None
            }
        }
    }

    /// The step that this says.
    pub fn step(&self, rules: &mut Rules, place: &str) -> Option<FunnelStep> {
        match self.r#type.as_str() {
            "page" => self.pages(rules, place).map(FunnelStep::Page),
            "event" => self.event(rules, place).map(|name| FunnelStep::Event { name }),
            "goal" => {
                self.without_match_type(rules, place);
                let id = self.value.parse();
                rules.require(id.is_ok(), &format!("{place}value"), "Not the id of a goal");
                id.ok().map(|id| FunnelStep::Goal { id })
            }
            _ => {
                rules.problem(&format!("{place}type"), "Use page, event or goal");
                None
            }
        }
    }

    fn pages(&self, rules: &mut Rules, place: &str) -> Option<PageMatch> {
        let (value, field) = (self.value.trim().to_owned(), format!("{place}value"));
        let Ok(match_type) = self.match_type.as_deref().unwrap_or("exact").parse::<MatchType>() else {
            rules.problem(&format!("{place}match_type"), "Use exact, contains, starts_with, ends_with or regex");
            return None;
        };
        check_length(rules, &field, &value, MATCH_VALUE_MAX);
        if match_type != MatchType::Regex {
            let is_path = !value.contains(['?', '#']);
            rules.require(
                is_path,
                &field,
                "Paths are compared without query and fragment: leave out what begins with ? or #",
            );
        }
        match match_type {
            MatchType::Exact | MatchType::StartsWith => {
                rules.require(value.starts_with('/'), &field, "A path begins with /");
            }
            MatchType::Regex => {
                if let Err(problem) = check_regex(&value) {
                    rules.problem(&field, problem.to_string());
                }
            }
            MatchType::Contains | MatchType::EndsWith => {}
        }
        Some(PageMatch::new(match_type, value))
    }

    fn event(&self, rules: &mut Rules, place: &str) -> Option<String> {
        self.without_match_type(rules, place);
        let name = self.value.trim().to_owned();
        check_length(rules, &format!("{place}value"), &name, EVENT_NAME_MAX);
        Some(name)
    }

    fn without_match_type(&self, rules: &mut Rules, place: &str) {
        rules.require(self.match_type.is_none(), &format!("{place}match_type"), "Only pages have a match type");
    }
}

fn check_length(rules: &mut Rules, field: &str, value: &str, max: usize) {
    rules.require(!value.is_empty(), field, "Required");
    rules.require(value.chars().count() <= max, field, &format!("Value too long (max {max} characters)"));
    rules.require(!has_hidden(value), field, "Value has characters that cannot be seen");
}

impl From<&PageMatch> for StepBody {
    fn from(pages: &PageMatch) -> Self {
        let match_type = Some(pages.match_type.as_str().to_owned());
        Self { r#type: "page".to_owned(), match_type, value: pages.value.clone() }
    }
}

impl StepBody {
    fn of_event(name: &str) -> Self {
        Self { r#type: "event".to_owned(), match_type: None, value: name.to_owned() }
    }
}

impl From<&GoalTarget> for StepBody {
    fn from(target: &GoalTarget) -> Self {
        match target {
            GoalTarget::Page(pages) => pages.into(),
            GoalTarget::Event { name } => Self::of_event(name),
        }
    }
}

impl From<&FunnelStep> for StepBody {
    fn from(step: &FunnelStep) -> Self {
        match step {
            FunnelStep::Page(pages) => pages.into(),
            FunnelStep::Event { name } => Self::of_event(name),
            FunnelStep::Goal { id } => Self { r#type: "goal".to_owned(), match_type: None, value: id.to_string() },
        }
    }
}

/// What a step is called: the name of a goal, or what it compares with.
pub fn label_of(step: &FunnelStep, goals: &[Goal]) -> String {
    match step {
        FunnelStep::Page(pages) => pages.value.clone(),
        FunnelStep::Event { name } => name.clone(),
        FunnelStep::Goal { id } => {
            goals.iter().find(|goal| goal.id == *id).map_or_else(|| id.to_string(), |goal| goal.name.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(kind: &str, match_type: Option<&str>, value: &str) -> StepBody {
        StepBody { r#type: kind.to_owned(), match_type: match_type.map(str::to_owned), value: value.to_owned() }
    }

    #[test]
    fn steps_are_read_back() {
        let id = "0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b";
        for step in [
            body("page", Some("exact"), "/a"),
            body("page", Some("contains"), "a"),
            body("page", Some("starts_with"), "/a"),
            body("page", Some("ends_with"), "a"),
            body("page", Some("regex"), "^/a?$"),
            body("event", None, "signup"),
            body("goal", None, id),
        ] {
            let mut rules = Rules::default();
            let read = step.step(&mut rules, "").unwrap();
            assert!(rules.check().is_ok(), "{step:?}");
            assert_eq!(StepBody::from(&read), step);
        }
    }

    #[test]
    fn what_cannot_be_a_step_is_named() {
        for (step, field) in [
            (body("click", None, "x"), "type"),
            (body("page", Some("like"), "/a"), "match_type"),
            (body("page", None, "a"), "value"),
            (body("page", None, ""), "value"),
            (body("page", Some("starts_with"), "docs"), "value"),
            (body("page", Some("regex"), "("), "value"),
            (body("page", None, "/thanks?paid=1"), "value"),
            (body("page", Some("starts_with"), "/docs#start"), "value"),
            (body("page", Some("contains"), "?paid="), "value"),
            (body("page", Some("contains"), &"x".repeat(501)), "value"),
            (body("event", Some("exact"), "x"), "match_type"),
            (body("event", None, &"x".repeat(101)), "value"),
            (body("event", None, "sign\u{200b}up"), "value"),
            (body("goal", None, "sign-up"), "value"),
        ] {
            let mut rules = Rules::default();
            step.step(&mut rules, "steps.1.");
            let error = rules.check().unwrap_err();
            assert!(error.problem_of(&format!("steps.1.{field}")).is_some(), "{step:?}: {error}");
        }
        let mut rules = Rules::default();
        assert_eq!(body("goal", None, "x").target(&mut rules, ""), None);
        assert!(rules.check().is_err());
    }
}
