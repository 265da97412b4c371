//! Goals and funnels with their numbers.

use schemars::JsonSchema;
use serde::Serialize;
use zenovay_auth::{Action, ToolCategory};
use zenovay_domain::MatchType;

use super::Tool;
use super::shown::{Open, Page, PageArgs, Period, Told, ViewArgs, percent, website};
use crate::http::console::funnels::{self, FunnelWithNumbers, ShownFunnel, ShownStep, StepNumbers};
use crate::http::console::goals::{self, GoalNumbers, GoalWithNumbers};
use crate::http::console::steps::StepBody;
use crate::http::mcp::args::Args;
use crate::http::mcp::call::{Call, ToolError};
use crate::http::mcp::clean::{clean, expression, value, whole};

/// Something that visitors do.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Step {
    /// page, event or goal.
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    match_type: Option<String>,
    value: String,
}

/// Whether what pages are compared with in this way is a regular expression, which has escapes of its own.
pub(super) fn is_expression(match_type: Option<&str>) -> bool {
    match_type == Some(MatchType::Regex.as_str())
}

impl From<&StepBody> for Step {
    fn from(step: &StepBody) -> Self {
        // Arguments take it back, of any length.
        let value =
            if is_expression(step.match_type.as_deref()) { expression(&step.value) } else { whole(&step.value) };
        Self { r#type: step.r#type.clone(), match_type: step.match_type.clone(), value }
    }
}

/// `get_goals`.
pub(super) struct GetGoals;

/// How often a goal was reached.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Reached {
    /// Sessions that reached it.
    conversions: u64,
    visitors: u64,
    events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversion_rate_percent: Option<f64>,
}

impl From<GoalNumbers> for Reached {
    fn from(numbers: GoalNumbers) -> Self {
        Self {
            conversions: numbers.conversions,
            visitors: numbers.visitors,
            events: numbers.events,
            conversion_rate_percent: percent(numbers.conversion_rate),
        }
    }
}

/// A goal with its numbers.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Goal {
    goal_id: String,
    name: String,
    target: Step,
    numbers: Reached,
    /// As numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Open>")]
    before: Option<Reached>,
}

impl From<GoalWithNumbers> for Goal {
    fn from(goal: GoalWithNumbers) -> Self {
        Self {
            goal_id: goal.goal.id.to_string(),
            name: value(&goal.goal.name),
            target: (&goal.goal.target).into(),
            numbers: goal.numbers.into(),
            before: goal.before.map(Reached::from),
        }
    }
}

/// Goals.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Goals {
    period: Period,
    page: Page,
    goals: Vec<Goal>,
    untrusted_fields: [&'static str; 2],
}

impl Tool for GetGoals {
    const NAME: &'static str = "get_goals";
    const TITLE: &'static str = "Goals";
    const WORDS: &'static str =
        "The goals of a website and how often they were reached in a range, with conversion rates.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Advanced);
    const ACTION: Action = Action::ReadAnalytics;
    const LISTS: &'static [&'static str] = &["goals"];
    type Input = (String, ViewArgs, PageArgs);
    type Output = Goals;

    fn read(args: &mut Args) -> Self::Input {
        (website(args), ViewArgs::read(args, Told::OfVisits), PageArgs::read(args, 50))
    }

    async fn run(call: Call, (website, view, page): Self::Input) -> Result<Goals, ToolError> {
        let question = call.question(&website, Self::ACTION).await?;
        let mut view = view.view(&question).await?;
        let period = Period::of(&view, call.now);
        // Goals of other pages need no numbers.
        let (wanted, page) = page.cut(std::mem::take(&mut view.goals));
        view.goals = wanted;
        let goals = goals::count(&question, view).await?.goals.into_iter().map(Goal::from).collect();
        Ok(Goals { period, page, goals, untrusted_fields: ["goals[].name", "goals[].target.value"] })
    }
}

/// `get_funnel_analysis`.
pub(super) struct GetFunnelAnalysis;

/// A step of a funnel, with its numbers where one funnel is asked for.
#[derive(Debug, Serialize)]
pub(super) struct FunnelStep {
    label: String,
    #[serde(flatten)]
    step: Step,
    #[serde(skip_serializing_if = "Option::is_none")]
    visitors: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<u64>,
    /// Visitors of the step before who did not take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of_previous_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of_first_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visitors_before: Option<u64>,
}

impl FunnelStep {
    fn of(step: &ShownStep) -> Self {
        Self {
            label: value(&step.label),
            step: (&step.step).into(),
            visitors: None,
            sessions: None,
            dropped: None,
            of_previous_percent: None,
            of_first_percent: None,
            visitors_before: None,
        }
    }
}

/// A funnel with its numbers.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Funnel {
    funnel_id: String,
    name: String,
    /// Made by code that reports its steps; it cannot be changed.
    automatic: bool,
    entered: u64,
    completed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversion_rate_percent: Option<f64>,
    /// label, type, value; with funnel_id numbers.
    #[schemars(with = "Vec<Open>")]
    steps: Vec<FunnelStep>,
}

impl Funnel {
    fn of(funnel: &ShownFunnel, entered: u64, completed: u64, conversion_rate_percent: Option<f64>) -> Self {
        Self {
            funnel_id: funnel.id.clone(),
            name: clean(&funnel.name),
            automatic: funnel.automatic,
            entered,
            completed,
            conversion_rate_percent,
            steps: funnel.steps.iter().map(FunnelStep::of).collect(),
        }
    }
}

impl From<FunnelWithNumbers> for Funnel {
    fn from(funnel: FunnelWithNumbers) -> Self {
        let FunnelWithNumbers { funnel, entered, completed, conversion_rate } = funnel;
        Self::of(&funnel, entered, completed, percent(conversion_rate))
    }
}

/// Funnels.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Funnels {
    period: Period,
    page: Page,
    funnels: Vec<Funnel>,
    untrusted_fields: [&'static str; 3],
}

impl Tool for GetFunnelAnalysis {
    const NAME: &'static str = "get_funnel_analysis";
    const TITLE: &'static str = "Funnels";
    const WORDS: &'static str = "How far visitors get: all funnels of a website with their steps, entry, completion and conversion; with funnel_id, that one step by step.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Advanced);
    const ACTION: Action = Action::ReadFunnels;
    const LISTS: &'static [&'static str] = &["funnels"];
    type Input = (String, Option<String>, ViewArgs, PageArgs);
    type Output = Funnels;

    fn read(args: &mut Args) -> Self::Input {
        let (website, funnel) = (website(args), args.string("funnel_id", "From this tool without it."));
        let (view, page) = (ViewArgs::read(args, Told::OfVisits), PageArgs::read(args, 50));
        if funnel.is_some() {
            args.without_effect(&["limit", "offset"], "with funnel_id");
        } else {
            args.without_effect(&["compare"], "without funnel_id");
        }
        (website, funnel, view, page)
    }

    async fn run(call: Call, (website, funnel, view, page): Self::Input) -> Result<Funnels, ToolError> {
        let question = call.question(&website, Self::ACTION).await?;
        let view = view.view(&question).await?;
        let period = Period::of(&view, call.now);
        let funnels = match funnel {
            None => funnels::count(&question, view).await?.funnels.into_iter().map(Funnel::from).collect(),
            Some(id) => {
                let report = funnels::count_steps(&question, view, id).await?;
                let visitors = |step: Option<&StepNumbers>| step.map_or(0, |step| step.visitors);
                let (entered, completed) = (visitors(report.steps.first()), visitors(report.steps.last()));
                let mut shown = Funnel::of(&report.funnel, entered, completed, percent(report.conversion_rate));
                for (number, (step, numbers)) in shown.steps.iter_mut().zip(&report.steps).enumerate() {
                    let before = report.before.as_ref().and_then(|before| before.steps.get(number));
                    step.visitors = Some(numbers.visitors);
                    step.sessions = Some(numbers.sessions);
                    step.dropped = Some(numbers.left);
                    step.of_previous_percent = percent(numbers.of_previous);
                    step.of_first_percent = percent(numbers.of_first);
                    step.visitors_before = before.map(|before| before.visitors);
                }
                vec![shown]
            }
        };
        let (funnels, page) = page.cut(funnels);
        // Code that runs in visitors' browsers reports funnels of its own.
        let untrusted_fields = ["funnels[].name", "funnels[].steps[].label", "funnels[].steps[].value"];
        Ok(Funnels { period, page, funnels, untrusted_fields })
    }
}
