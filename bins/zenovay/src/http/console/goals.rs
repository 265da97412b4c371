//! `/api/websites/:websiteId/goals`: what a website counts as a success, with its numbers.

use std::sync::Arc;

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use zenovay_domain::{Funnel, FunnelStep, Goal, GoalId, TimeRange, WebsiteId};
use zenovay_query::{Filter, QueryError, RowPlace};
use zenovay_stats::{Ask, Group, Metric, goal_filter, goals_filter};
use zenovay_store::{Metadata, StoreError};

use super::files::{FileParams, columns, flat, sheet_name};
use super::numbers::{ShownRange, shown};
use super::queries::Answered;
use super::reader::{Question, WebsiteReader};
use super::steps::StepBody;
use super::view::View;
use super::{Console, Created, JsonBody, NoContent, Rules, refused_with};
use crate::http::envelope::{ApiError, Success};
use crate::http::export::sheets::{Accept, Exported, Listed};
use crate::http::guard::EditWebsite;
use crate::http::lookups::off_the_worker;
use crate::http::params::Query;
use crate::http::state::AppState;
use crate::http::stats::answers::Rate;
use crate::http::values::{Id, Instant};

/// The goals of a website in a view.
#[derive(Debug, Serialize, ToSchema)]
pub struct Goals {
    /// What was counted.
    range: ShownRange,
    /// The oldest goal first.
    pub(in crate::http) goals: Vec<GoalWithNumbers>,
}

/// A goal with its numbers.
#[derive(Debug, Serialize, ToSchema)]
pub struct GoalWithNumbers {
    /// The goal.
    #[serde(flatten)]
    pub(in crate::http) goal: ShownGoal,
    /// Its numbers in the range.
    pub(in crate::http) numbers: GoalNumbers,
    /// Its numbers in what is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::http) before: Option<GoalNumbers>,
    /// Visits with a conversion in each bucket of the range, the oldest first.
    #[schema(examples(12))]
    series: Vec<u64>,
}

/// A goal.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownGoal {
    /// Its id.
    pub(in crate::http) id: Id,
    /// The name people see.
    #[schema(examples("Docs reader"))]
    pub(in crate::http) name: String,
    /// What is counted.
    #[serde(flatten)]
    pub(in crate::http) target: StepBody,
    /// When it was created.
    created_at: Instant,
}

impl From<&Goal> for ShownGoal {
    fn from(goal: &Goal) -> Self {
        Self {
            id: goal.id.into(),
            name: goal.name.clone(),
            target: (&goal.target).into(),
            created_at: Instant(goal.created_at),
        }
    }
}

/// How often a goal was reached.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct GoalNumbers {
    /// Visits with a conversion.
    #[schema(examples(540))]
    pub(in crate::http) conversions: u64,
    /// Visitors with a conversion.
    #[schema(examples(512))]
    pub(in crate::http) visitors: u64,
    /// How many times it happened.
    #[schema(examples(561))]
    pub(in crate::http) events: u64,
    /// Visits with a conversion as a part of all visits, 0 to 1.
    pub(in crate::http) conversion_rate: Rate,
}

/// The question of what `conversions` chooses in a view. A filter on goals leaves the visits with one of those.
fn ask_of(view: &View, conversions: Filter) -> Ask {
    let mut rest = view.filters.rest.clone();
    if let Some(goals) = &view.filters.goals {
        rest = Filter::All(vec![rest, Filter::InSession(Box::new(goals.clone()))]);
    }
    let mut ask = view.ask(&[Metric::ConversionRate]);
    (ask.filters.goals, ask.filters.rest) = (Some(conversions), rest);
    ask
}

/// The question of a goal in a view.
fn ask(view: &View, goal: &Goal) -> Ask {
    ask_of(view, goal_filter(&goal.target))
}

/// One row for each goal of a view that was reached in `range`, by its name, in no order; of goals of one name the oldest.
/// A goal is the same here as in a filter and in the list of goals, whatever events are called.
///
/// # Errors
/// What `read` fails with.
pub fn rows_by_goal(view: &View, range: TimeRange, read: Asking<'_>) -> Result<Vec<Group>, QueryError> {
    let Some(any) = goals_filter(view.goals.iter().map(|goal| &goal.target)) else { return Ok(Vec::new()) };
    let all_visitors = ask_of(view, any).in_range(range).aggregate(read)?.metrics.visitors;
    let mut rows: Vec<Group> = Vec::new();
    for goal in &view.goals {
        if rows.iter().any(|row| row.value == goal.name) {
            continue;
        }
        let mut totals = ask(view, goal).in_range(range).aggregate(read)?;
        if totals.metrics.events > 0 {
            totals.all_visitors = all_visitors;
            let place = RowPlace::new(totals.metrics.visitors, goal.name.clone(), None);
            rows.push(Group::new(goal.name.clone(), totals, place));
        }
    }
    Ok(rows)
}

/// What reads events for one question.
pub type Asking<'a> = &'a dyn Fn(&zenovay_query::Query) -> Result<zenovay_query::Answer, QueryError>;

fn numbers(question: &Ask, range: TimeRange, ask: Asking<'_>) -> Result<GoalNumbers, QueryError> {
    let totals = question.in_range(range).aggregate(ask)?;
    Ok(GoalNumbers {
        conversions: totals.metrics.sessions,
        visitors: totals.metrics.visitors,
        events: totals.metrics.events,
        conversion_rate: Rate(shown(&totals, Metric::ConversionRate)),
    })
}

/// The goals of a website, with their numbers.
pub async fn list<R: WebsiteReader>(
    reader: R,
    state: web::Data<AppState>,
    query: Query<FileParams>,
    accept: Accept,
) -> Result<Exported<Answered<Goals>>, ApiError> {
    let question = Question::of(&reader, &state);
    let FileParams { view, format } = query.read(question.now)?;
    if let Some(format) = accept.file(format) {
        let view = question.view(&view).await?;
        let file = sheet_name(&question.website, "goals", &view);
        let columns = columns(&[&GOAL_COLUMNS, &GOAL_NUMBERS], &GOAL_NUMBERS, view.earlier.is_some());
        let rows: Vec<Value> = count(&question, view).await?.goals.iter().map(GoalWithNumbers::flat).collect();
        return Ok(Listed::sheet(format, &file, columns, &rows));
    }
    let answer = question.answer(move |question| async move {
        let view = question.view(&view).await?;
        Ok(Success::new(count(&question, view).await?, question.now))
    });
    answer.await.map(Listed::Json)
}

/// What a file tells of a goal.
const GOAL_COLUMNS: [&str; 6] = ["id", "name", "type", "match_type", "value", "created_at"];
/// The numbers of a goal.
const GOAL_NUMBERS: [&str; 4] = ["conversions", "visitors", "events", "conversion_rate"];

impl GoalWithNumbers {
    /// As one flat object, for files.
    fn flat(&self) -> Value {
        flat(&[("", &json!(self.goal)), ("", &json!(self.numbers)), ("before_", &json!(self.before))])
    }
}

/// The goals of a view, with their numbers.
pub(in crate::http) async fn count(question: &Question, view: View) -> Result<Goals, ApiError> {
    let (id, range) = (question.id(), ShownRange::of(&view));
    let goals = question.run(move |asker| {
        let each = |goal: &Goal| {
            let (asked, read) = (ask(&view, goal), |query: &_| asker.any(id, query));
            let buckets = asked.timeseries(view.interval, &view.zone, read)?;
            Ok(GoalWithNumbers {
                goal: goal.into(),
                numbers: numbers(&asked, view.range, &read)?,
                before: view.earlier.map(|range| numbers(&asked, range, &read)).transpose()?,
                series: buckets.iter().map(|bucket| bucket.totals.metrics.sessions).collect(),
            })
        };
        view.goals.iter().map(each).collect::<Result<Vec<_>, _>>()
    });
    Ok(Goals { range, goals: goals.await? })
}

/// A goal to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GoalBody {
    /// The name people see, 1 to 100 characters.
    #[schema(examples("Docs reader"))]
    name: String,
    /// `page`: a view of a page; `event`: an event with a name.
    #[schema(examples("page"))]
    r#type: String,
    /// How the path of a page is compared with `value`: `exact` (when it is absent), `contains`, `starts_with`, `ends_with` or
    /// `regex`.
    #[schema(examples("starts_with"))]
    match_type: Option<String>,
    /// The path, or what it is compared with; the name of the event.
    #[schema(examples("/docs"))]
    value: String,
}

/// The goal that a path names.
#[derive(Debug, Deserialize)]
pub struct GoalPath {
    goal_id: String,
}

impl GoalPath {
    fn id(&self) -> Result<GoalId, ApiError> {
        self.goal_id.parse().map_err(|_| StoreError::NotFound("goal").into())
    }
}

/// Adds a goal.
pub async fn create(
    key: Console<EditWebsite>,
    state: web::Data<AppState>,
    body: JsonBody<GoalBody>,
) -> Result<Created<ShownGoal>, ApiError> {
    let (now, shown) = (state.clock.now(), add(&state, key.store(&state), key.resource.id, body.read().await?).await?);
    Ok(Created::at(format!("/api/websites/{}/goals/{}", key.resource.id, shown.id), shown, now))
}

/// Adds a goal to a website.
pub(in crate::http) async fn add(
    state: &web::Data<AppState>,
    store: Arc<dyn Metadata>,
    website: WebsiteId,
    body: GoalBody,
) -> Result<ShownGoal, ApiError> {
    let GoalBody { name, r#type, match_type, value } = body;
    let target = StepBody { r#type, match_type, value };
    let mut rules = Rules::default();
    let (name, target) = (rules.name("name", &name), target.target(&mut rules, ""));
    rules.check()?;
    let Some(target) = target else { return Err(ApiError::internal()) };
    let id = GoalId::from_random_bytes(rand::random());
    let goal = Goal::new(id, website, name, target, state.clock.now());
    let shown = ShownGoal::from(&goal);
    off_the_worker(state, move |_| store.create_goal(&goal).map_err(|error| told(error, &*store, &goal))).await?;
    Ok(shown)
}

/// What is told of a failed change of a goal, with the other goal that has its name.
fn told(error: StoreError, store: &dyn Metadata, goal: &Goal) -> ApiError {
    refused_with(error, "name", || {
        let other = store.goals(goal.website)?.into_iter().find(|other| other.name == goal.name && other.id != goal.id);
        Ok(other.map(|other| format!("This name is already in use by the goal {}", other.id)))
    })
}

/// What is changed of a goal; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GoalChanges {
    /// The name people see, 1 to 100 characters.
    #[schema(examples("Docs reader"))]
    name: Option<String>,
    /// What is counted: `type`, `match_type` and `value` as of a new goal.
    target: Option<StepBody>,
}

/// Changes a goal.
pub async fn change(
    key: Console<EditWebsite>,
    state: web::Data<AppState>,
    body: JsonBody<GoalChanges>,
    path: web::Path<GoalPath>,
) -> Result<Success<ShownGoal>, ApiError> {
    let (now, id) = (state.clock.now(), path.id()?);
    Ok(Success::new(edit(&state, key.store(&state), key.resource.id, id, body.read().await?).await?, now))
}

/// Changes a goal of a website.
pub(in crate::http) async fn edit(
    state: &web::Data<AppState>,
    store: Arc<dyn Metadata>,
    website: WebsiteId,
    id: GoalId,
    changes: GoalChanges,
) -> Result<ShownGoal, ApiError> {
    let GoalChanges { name, target } = changes;
    let mut rules = Rules::default();
    let name = name.map(|name| rules.name("name", &name));
    let target = target.and_then(|target| target.target(&mut rules, "target."));
    rules.check()?;
    let changed = off_the_worker(state, move |_| {
        let goals = store.goals(website)?;
        let mut goal = goals.into_iter().find(|goal| goal.id == id).ok_or(StoreError::NotFound("goal"))?;
        goal.name = name.unwrap_or(goal.name);
        goal.target = target.unwrap_or(goal.target);
        store.replace_goal(&goal).map_err(|error| told(error, &*store, &goal))?;
        Ok::<_, ApiError>(goal)
    });
    Ok(ShownGoal::from(&changed.await?))
}

/// Removes a goal of a website; not while it is a step of a funnel.
pub(in crate::http) async fn remove(
    state: &web::Data<AppState>,
    store: Arc<dyn Metadata>,
    website: WebsiteId,
    id: GoalId,
) -> Result<(), ApiError> {
    let removed = off_the_worker(state, move |_| {
        store.delete_goal(website, id).map_err(|error| {
            refused_with(error, "goal", || {
                let has_goal = |funnel: &Funnel| funnel.steps.contains(&FunnelStep::Goal { id });
                let used = |Funnel { id, name, .. }: Funnel| {
                    format!("This goal is already in use as a step of the funnel {name:?} ({id})")
                };
                Ok(store.funnels(website)?.into_iter().find(has_goal).map(used))
            })
        })
    });
    removed.await
}

/// Removes a goal; not while it is a step of a funnel.
pub async fn delete(
    key: Console<EditWebsite>,
    state: web::Data<AppState>,
    path: web::Path<GoalPath>,
) -> Result<NoContent, ApiError> {
    remove(&state, key.store(&state), key.resource.id, path.id()?).await?;
    Ok(NoContent)
}
