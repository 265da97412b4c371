//! `/api/websites/:websiteId/funnels`: steps that visitors take in order, and how far they get.

use std::fmt::Write;
use std::sync::Arc;

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use zenovay_domain::{FUNNEL_STEPS_MAX, FUNNEL_STEPS_MIN, Funnel, FunnelId, FunnelStep, Goal, TimeRange, WebsiteId};
use zenovay_query::{Filter, FunnelCounts, Query as EventQuery, QueryError, Question as EventQuestion};
use zenovay_stats::{CodeFunnel, FUNNEL_EVENT, code_step_filter, step_filter};
use zenovay_store::{Metadata, StoreError};

use super::files::{FileParams, columns, flat, sheet_name};
use super::numbers::ShownRange;
use super::queries::Answered;
use super::reader::{Question, WebsiteReader};
use super::steps::{StepBody, label_of};
use super::view::View;
use super::{Console, Created, JsonBody, NoContent, Rules, changing, refused_with};
use crate::http::envelope::{ApiError, Success};
use crate::http::export::sheets::{Accept, Exported, Listed};
use crate::http::guard::EditFunnels;
use crate::http::lookups::off_the_worker;
use crate::http::params::Query;
use crate::http::queries::QuerySession;
use crate::http::state::AppState;
use crate::http::stats::answers::Rate;
use crate::http::values::rounded;

/// What the ids of funnels begin with that code made.
const AUTOMATIC: &str = "auto-";

/// The funnels of a website in a view.
#[derive(Debug, Serialize, ToSchema)]
pub struct Funnels {
    /// What was counted.
    range: ShownRange,
    /// Those that people made, the oldest first; then those that code made, by name.
    pub(in crate::http) funnels: Vec<FunnelWithNumbers>,
}

/// A funnel with its numbers.
#[derive(Debug, Serialize, ToSchema)]
pub struct FunnelWithNumbers {
    /// The funnel.
    #[serde(flatten)]
    pub(in crate::http) funnel: ShownFunnel,
    /// Visitors with the first step.
    #[schema(examples(1867))]
    pub(in crate::http) entered: u64,
    /// Visitors with all steps.
    #[schema(examples(402))]
    pub(in crate::http) completed: u64,
    /// Those of the first step who went all the way, 0 to 1.
    pub(in crate::http) conversion_rate: Rate,
}

/// A funnel.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ShownFunnel {
    /// Its id.
    #[schema(examples("0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    pub(in crate::http) id: String,
    /// The name people see.
    #[schema(examples("Pricing to first event"))]
    pub(in crate::http) name: String,
    /// Whether code made it by reporting its steps. It cannot be changed, and goes when its steps are not reported any more.
    pub(in crate::http) automatic: bool,
    /// Its steps in their order.
    pub(in crate::http) steps: Vec<ShownStep>,
}

/// A step of a funnel.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ShownStep {
    /// What visitors do.
    #[serde(flatten)]
    pub(in crate::http) step: StepBody,
    /// What the step is called.
    #[schema(examples("/pricing"))]
    pub(in crate::http) label: String,
}

/// A funnel, and which events its steps are.
struct Way {
    funnel: ShownFunnel,
    filters: Vec<Filter>,
}

impl Way {
    fn of(funnel: &Funnel, goals: &[Goal]) -> Self {
        // The store keeps the goals that are steps.
        let filters = funnel.steps.iter().map(|step| step_filter(step, goals).unwrap_or(Filter::Any(Vec::new())));
        Self { filters: filters.collect(), funnel: ShownFunnel::of(funnel, goals) }
    }

    fn of_code(funnel: &CodeFunnel) -> Self {
        let mut id = AUTOMATIC.to_owned();
        for byte in &Sha256::digest(&funnel.name)[..8] {
            // Writing to a string does not fail.
            let _ = write!(id, "{byte:02x}");
        }
        let steps = funnel.steps.iter().map(|step| ShownStep {
            step: StepBody { r#type: "event".to_owned(), match_type: None, value: FUNNEL_EVENT.to_owned() },
            label: step.name.clone(),
        });
        let shown = ShownFunnel { id, name: funnel.name.clone(), automatic: true, steps: steps.collect() };
        let filters = funnel.steps.iter().map(|step| code_step_filter(&funnel.name, step)).collect();
        Self { funnel: shown, filters }
    }

    /// How far visits get in a range of a view.
    fn counts(
        &self,
        view: &View,
        range: TimeRange,
        id: WebsiteId,
        asker: &QuerySession<'_>,
    ) -> Result<FunnelCounts, QueryError> {
        let question = EventQuestion::Funnel { steps: self.filters.clone() };
        asker.any(id, &EventQuery::new(range, question).filter(of_visits(view)))?.into_funnel()
    }
}

/// What a view leaves to be counted: a filter on what happened chooses visits in which it did, because a step is another
/// event than the one that the filter is about.
fn of_visits(view: &View) -> Filter {
    Filter::InSession(Box::new(view.filters.all()))
}

impl ShownFunnel {
    fn of(funnel: &Funnel, goals: &[Goal]) -> Self {
        let step = |step: &FunnelStep| ShownStep { step: step.into(), label: label_of(step, goals) };
        Self {
            id: funnel.id.to_string(),
            name: funnel.name.clone(),
            automatic: false,
            steps: funnel.steps.iter().map(step).collect(),
        }
    }
}

fn part(part: u64, whole: u64) -> Rate {
    Rate(rounded((whole > 0).then(|| part as f64 / whole as f64), 4))
}

/// The funnels that people made of a website.
async fn stored(question: &Question) -> Result<Vec<Funnel>, ApiError> {
    let id = question.id();
    changing(&question.state, move |state| state.store.funnels(id)).await
}

/// The funnels of a website, with their numbers.
pub async fn list<R: WebsiteReader>(
    reader: R,
    state: web::Data<AppState>,
    query: Query<FileParams>,
    accept: Accept,
) -> Result<Exported<Answered<Funnels>>, ApiError> {
    let question = Question::of(&reader, &state);
    let FileParams { view, format } = query.read(question.now)?;
    if let Some(format) = accept.file(format) {
        let view = question.view(&view).await?;
        let file = sheet_name(&question.website, "funnels", &view);
        let rows: Vec<Value> = count(&question, view).await?.funnels.iter().map(FunnelWithNumbers::flat).collect();
        return Ok(Listed::sheet(format, &file, columns(&[&FUNNEL_COLUMNS], &[], false), &rows));
    }
    let answer = question.answer(move |question| async move {
        let view = question.view(&view).await?;
        Ok(Success::new(count(&question, view).await?, question.now))
    });
    answer.await.map(Listed::Json)
}

/// What a file tells of a funnel.
const FUNNEL_COLUMNS: [&str; 7] = ["id", "name", "automatic", "steps", "entered", "completed", "conversion_rate"];
/// What a file tells of a step of a funnel.
const STEP_COLUMNS: [&str; 5] = ["step", "label", "type", "match_type", "value"];
/// The numbers of a step.
const STEP_NUMBERS: [&str; 5] = ["visitors", "sessions", "left", "of_previous", "of_first"];

impl FunnelWithNumbers {
    /// As one flat object, for files: its steps are how many there are.
    fn flat(&self) -> Value {
        let steps = json!({ "steps": self.funnel.steps.len() });
        flat(&[("", &json!(self)), ("", &steps)])
    }
}

/// The funnels of a view, with their numbers.
pub(in crate::http) async fn count(question: &Question, view: View) -> Result<Funnels, ApiError> {
    let funnels = stored(question).await?;
    let (id, range) = (question.id(), ShownRange::of(&view));
    let funnels = question.run(move |asker| {
        let code = view.ask(&[]).code_funnels(|query| asker.any(id, query))?;
        let of_people = funnels.iter().map(|funnel| Way::of(funnel, &view.goals));
        let ways = of_people.chain(code.iter().map(Way::of_code));
        let each = |way: Way| {
            let counts = way.counts(&view, view.range, id, asker)?;
            let ends = (counts.visitors.first().copied(), counts.visitors.last().copied());
            let (entered, completed) = (ends.0.unwrap_or(0), ends.1.unwrap_or(0));
            let conversion_rate = part(completed, entered);
            Ok(FunnelWithNumbers { funnel: way.funnel, entered, completed, conversion_rate })
        };
        ways.map(each).collect::<Result<Vec<_>, _>>()
    });
    Ok(Funnels { range, funnels: funnels.await? })
}

/// How far visitors get in a funnel.
#[derive(Debug, Serialize, ToSchema)]
pub struct FunnelReport {
    /// What was counted.
    range: ShownRange,
    /// The funnel.
    pub(in crate::http) funnel: ShownFunnel,
    /// How far they get, one for each step.
    pub(in crate::http) steps: Vec<StepNumbers>,
    /// Visitors of the first step who went all the way, 0 to 1.
    pub(in crate::http) conversion_rate: Rate,
    /// The same of what is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::http) before: Option<FunnelBefore>,
}

/// How far visitors got in what is compared with.
#[derive(Debug, Serialize, ToSchema)]
pub struct FunnelBefore {
    /// One for each step.
    pub(in crate::http) steps: Vec<StepNumbers>,
    /// Visitors of the first step who went all the way, 0 to 1.
    pub(in crate::http) conversion_rate: Rate,
}

/// The numbers of a step. A visitor counts once, by the visit that leads furthest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct StepNumbers {
    /// Visitors who took it and all steps before it, in this order and within one visit.
    #[schema(examples(811))]
    pub(in crate::http) visitors: u64,
    /// Visits in which that happened.
    #[schema(examples(840))]
    pub(in crate::http) sessions: u64,
    /// Visitors of the step before who did not take it; 0 of the first step.
    #[schema(examples(1056))]
    pub(in crate::http) left: u64,
    /// Its visitors as a part of those of the step before, 0 to 1.
    pub(in crate::http) of_previous: Rate,
    /// Its visitors as a part of those of the first step, 0 to 1.
    pub(in crate::http) of_first: Rate,
}

fn steps_of(counts: &FunnelCounts) -> (Vec<StepNumbers>, Rate) {
    let first = counts.visitors.first().copied().unwrap_or(0);
    let mut previous = first;
    let mut steps = Vec::with_capacity(counts.visitors.len());
    for (&visitors, &sessions) in counts.visitors.iter().zip(&counts.sessions) {
        let left = previous.saturating_sub(visitors);
        let (of_previous, of_first) = (part(visitors, previous), part(visitors, first));
        steps.push(StepNumbers { visitors, sessions, left, of_previous, of_first });
        previous = visitors;
    }
    (steps, part(previous, first))
}

/// The funnel that a path names.
#[derive(Debug, Deserialize)]
pub struct FunnelPath {
    funnel_id: String,
}

impl FunnelPath {
    fn id(&self) -> Result<FunnelId, ApiError> {
        self.funnel_id.parse().map_err(|_| StoreError::NotFound("funnel").into())
    }
}

/// How far visitors get in a funnel, step by step.
pub async fn report<R: WebsiteReader>(
    reader: R,
    state: web::Data<AppState>,
    query: Query<FileParams>,
    accept: Accept,
    path: web::Path<FunnelPath>,
) -> Result<Exported<Answered<FunnelReport>>, ApiError> {
    let question = Question::of(&reader, &state);
    let FileParams { view, format } = query.read(question.now)?;
    let wanted = path.into_inner().funnel_id;
    if let Some(format) = accept.file(format) {
        let view = question.view(&view).await?;
        let compares = view.earlier.is_some();
        let name = sheet_name(&question.website, "funnel", &view);
        let rows = count_steps(&question, view, wanted).await?.lines();
        let columns = columns(&[&STEP_COLUMNS, &STEP_NUMBERS], &STEP_NUMBERS, compares);
        return Ok(Listed::sheet(format, &name, columns, &rows));
    }
    let answer = question.answer(move |question| async move {
        let view = question.view(&view).await?;
        Ok(Success::new(count_steps(&question, view, wanted).await?, question.now))
    });
    answer.await.map(Listed::Json)
}

impl FunnelReport {
    /// One flat object for each step, for files.
    fn lines(&self) -> Vec<Value> {
        let before = self.before.as_ref().map(|before| before.steps.as_slice()).unwrap_or_default();
        let each = self.steps.iter().zip(&self.funnel.steps).enumerate();
        let line = |(number, (numbers, step)): (usize, (&StepNumbers, &ShownStep))| {
            let (place, before) = (json!({ "step": number + 1 }), json!(before.get(number)));
            flat(&[("", &place), ("", &json!(step)), ("", &json!(numbers)), ("before_", &before)])
        };
        each.map(line).collect()
    }
}

/// How far visitors get in the funnel `wanted` of a view.
pub(in crate::http) async fn count_steps(
    question: &Question,
    view: View,
    wanted: String,
) -> Result<FunnelReport, ApiError> {
    let id = question.id();
    let known = stored(question).await?.into_iter().find(|funnel| funnel.id.to_string() == wanted);
    let range = ShownRange::of(&view);
    let found = question.run(move |asker| {
        let way = match &known {
            Some(funnel) => Some(Way::of(funnel, &view.goals)),
            None if wanted.starts_with(AUTOMATIC) => {
                let code = view.ask(&[]).code_funnels(|query| asker.any(id, query))?;
                code.iter().map(Way::of_code).find(|way| way.funnel.id == wanted)
            }
            None => None,
        };
        let Some(way) = way else { return Ok(None) };
        let now = way.counts(&view, view.range, id, asker)?;
        let before = view.earlier.map(|range| way.counts(&view, range, id, asker)).transpose()?;
        Ok(Some((way.funnel, now, before)))
    });
    let Some((funnel, now, before)) = found.await? else { return Err(StoreError::NotFound("funnel").into()) };
    let (steps, conversion_rate) = steps_of(&now);
    let before = before.map(|before| {
        let (steps, conversion_rate) = steps_of(&before);
        FunnelBefore { steps, conversion_rate }
    });
    Ok(FunnelReport { range, funnel, steps, conversion_rate, before })
}

/// A funnel to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FunnelBody {
    /// The name people see, 1 to 100 characters.
    #[schema(examples("Pricing to first event"))]
    name: String,
    /// Two to seven steps.
    #[schema(min_items = 2, max_items = 7)]
    steps: Vec<StepBody>,
}

fn steps(rules: &mut Rules, steps: &[StepBody]) -> Vec<FunnelStep> {
    let is_right = (FUNNEL_STEPS_MIN..=FUNNEL_STEPS_MAX).contains(&steps.len());
    rules.require(is_right, "steps", &format!("Use {FUNNEL_STEPS_MIN} to {FUNNEL_STEPS_MAX} steps"));
    let each = steps.iter().take(FUNNEL_STEPS_MAX).enumerate();
    each.filter_map(|(number, step)| step.step(rules, &format!("steps.{number}."))).collect()
}

/// Adds a funnel.
pub async fn create(
    key: Console<EditFunnels>,
    state: web::Data<AppState>,
    body: JsonBody<FunnelBody>,
) -> Result<Created<ShownFunnel>, ApiError> {
    let (now, shown) = (state.clock.now(), add(&state, key.store(&state), key.resource.id, body.read().await?).await?);
    Ok(Created::at(format!("/api/websites/{}/funnels/{}", key.resource.id, shown.id), shown, now))
}

/// Adds a funnel to a website.
pub(in crate::http) async fn add(
    state: &web::Data<AppState>,
    store: Arc<dyn Metadata>,
    website: WebsiteId,
    body: FunnelBody,
) -> Result<ShownFunnel, ApiError> {
    let FunnelBody { name, steps: wanted } = body;
    let mut rules = Rules::default();
    let (name, steps) = (rules.name("name", &name), steps(&mut rules, &wanted));
    rules.check()?;
    let id = FunnelId::from_random_bytes(rand::random());
    let funnel = Funnel::new(id, website, name, steps, state.clock.now());
    let shown = off_the_worker(state, move |_| {
        store.create_funnel(&funnel).map_err(|error| told(error, &*store, &funnel))?;
        Ok::<_, ApiError>(ShownFunnel::of(&funnel, &store.goals(website)?))
    });
    shown.await
}

/// What is told of a failed change of a funnel, with the other funnel that has its name.
fn told(error: StoreError, store: &dyn Metadata, funnel: &Funnel) -> ApiError {
    refused_with(error, "name", || {
        let is_other = |other: &Funnel| other.name == funnel.name && other.id != funnel.id;
        let other = store.funnels(funnel.website)?.into_iter().find(is_other);
        Ok(other.map(|other| format!("This name is already in use by the funnel {}", other.id)))
    })
}

/// What is changed of a funnel; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FunnelChanges {
    /// The name people see, 1 to 100 characters.
    #[schema(examples("Pricing to first event"))]
    name: Option<String>,
    /// Two to seven steps.
    #[schema(min_items = 2, max_items = 7)]
    steps: Option<Vec<StepBody>>,
}

/// Changes a funnel that people made.
pub async fn change(
    key: Console<EditFunnels>,
    state: web::Data<AppState>,
    body: JsonBody<FunnelChanges>,
    path: web::Path<FunnelPath>,
) -> Result<Success<ShownFunnel>, ApiError> {
    let (now, id) = (state.clock.now(), path.id()?);
    Ok(Success::new(edit(&state, key.store(&state), key.resource.id, id, body.read().await?).await?, now))
}

/// Changes a funnel of a website that people made.
pub(in crate::http) async fn edit(
    state: &web::Data<AppState>,
    store: Arc<dyn Metadata>,
    website: WebsiteId,
    id: FunnelId,
    changes: FunnelChanges,
) -> Result<ShownFunnel, ApiError> {
    let FunnelChanges { name, steps: wanted } = changes;
    let mut rules = Rules::default();
    let name = name.map(|name| rules.name("name", &name));
    let wanted = wanted.map(|wanted| steps(&mut rules, &wanted));
    rules.check()?;
    let changed = off_the_worker(state, move |_| {
        let funnels = store.funnels(website)?;
        let mut funnel = funnels.into_iter().find(|funnel| funnel.id == id).ok_or(StoreError::NotFound("funnel"))?;
        funnel.name = name.unwrap_or(funnel.name);
        funnel.steps = wanted.unwrap_or(funnel.steps);
        store.replace_funnel(&funnel).map_err(|error| told(error, &*store, &funnel))?;
        Ok::<_, ApiError>(ShownFunnel::of(&funnel, &store.goals(website)?))
    });
    changed.await
}

/// Removes a funnel that people made.
pub async fn delete(
    key: Console<EditFunnels>,
    state: web::Data<AppState>,
    path: web::Path<FunnelPath>,
) -> Result<NoContent, ApiError> {
    let (website, id) = (key.resource.id, path.id()?);
    let store = key.store(&state);
    changing(&state, move |_| store.delete_funnel(website, id)).await?;
    Ok(NoContent)
}
