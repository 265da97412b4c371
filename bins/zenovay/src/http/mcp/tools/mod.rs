//! The tools: what they are called, what they take and answer, and what they need. A new one is a type with [`Tool`] and a line
//! in the table.

mod analytics;
mod errors;
mod goals;
mod heatmaps;
mod manage;
mod members;
mod performance;
mod query;
mod replays;
mod rows;
mod shown;
mod websites;

use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use rmcp::model::{Tool as Told, ToolAnnotations};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Map, Value, json};
use zenovay_auth::{AccessLevel, Action, ToolCategory, ToolScopes};

use super::args::Args;
use super::call::{Call, ToolError};
use super::{Listed, Needs};
use crate::http::envelope::ApiError;
use crate::http::guard::Assistant;
use crate::http::state::AppState;

/// What a tool is and does.
pub(super) trait Tool: 'static {
    /// Its name, which stays.
    const NAME: &'static str;
    /// Its name for people.
    const TITLE: &'static str;
    /// What it does, for models: at most 200 characters.
    const WORDS: &'static str;
    /// Which category it is in; `None` for what every client may do.
    const CATEGORY: Option<ToolCategory>;
    /// What whoever calls it must be allowed.
    const ACTION: Action;
    /// What it does to things.
    const EFFECT: Effect = Effect::Reads;
    /// Whether doing it once more changes nothing more.
    const IS_REPEATABLE: bool = !matches!(Self::EFFECT, Effect::Adds);
    /// How many questions of the day it counts as.
    const COST: u64 = 1;
    /// The lists in its answers: the one with the most members is what `page` is of, and it is cut when the answer is too long.
    const LISTS: &'static [&'static str] = &[];
    /// What it takes.
    type Input: Send + 'static;
    /// What it answers.
    type Output: Serialize + JsonSchema;

    /// Reads its arguments.
    fn read(args: &mut Args) -> Self::Input;

    /// Does it.
    fn run(call: Call, input: Self::Input) -> impl Future<Output = Result<Self::Output, ToolError>> + Send;
}

/// What a tool does to things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Effect {
    /// It changes nothing.
    Reads,
    /// It adds something; doing it twice adds two.
    Adds,
    /// It sets something; doing it twice is as doing it once.
    Sets,
    /// It takes something away that does not come back.
    Removes,
}

/// What a tool answered.
#[derive(Debug)]
pub(in crate::http) struct Answered {
    /// The answer.
    pub(in crate::http) value: Value,
    /// The same as a string.
    pub(in crate::http) text: String,
}

type Running = Pin<Box<dyn Future<Output = Result<Answered, ToolError>> + Send>>;

/// A tool in the table.
pub(in crate::http) struct Entry {
    /// As clients are told of it.
    pub(in crate::http) told: Told,
    name: &'static str,
    words: &'static str,
    /// The category that it is in.
    pub(in crate::http) category: Option<ToolCategory>,
    /// What whoever calls it must be allowed.
    pub(in crate::http) action: Action,
    /// What it does to things.
    pub(in crate::http) effect: Effect,
    /// How many questions of the day it counts as.
    pub(in crate::http) cost: u64,
    run: fn(Call, Map<String, Value>) -> Running,
}

/// The most characters of an answer.
pub(in crate::http) const ANSWER_MAX: usize = 80_000;

impl Entry {
    fn of<T: Tool>() -> Self {
        let hints = ToolAnnotations::from_raw(
            Some(T::TITLE.to_owned()),
            Some(T::EFFECT == Effect::Reads),
            // What replaces something does not only add to it.
            Some(matches!(T::EFFECT, Effect::Sets | Effect::Removes)),
            Some(T::IS_REPEATABLE),
            Some(false),
        );
        let told = Told::new(T::NAME, T::WORDS, Arc::new(Args::schema(T::read)))
            .with_title(T::TITLE)
            .with_raw_output_schema(Arc::new(output_schema::<T::Output>()))
            .with_annotations(hints);
        let run = |call: Call, given| -> Running {
            Box::pin(async move {
                let input = Args::read(given, T::read)?;
                let output = T::run(call, input).await?;
                let value = serde_json::to_value(&output).map_err(|error| {
                    tracing::error!(%error, tool = T::NAME, "an answer cannot be written");
                    ToolError::from(ApiError::internal())
                })?;
                Ok(fitted(value, T::LISTS))
            })
        };
        Self {
            told,
            name: T::NAME,
            words: T::WORDS,
            category: T::CATEGORY,
            action: T::ACTION,
            effect: T::EFFECT,
            cost: T::COST,
            run,
        }
    }

    /// The level that a client needs in the category.
    pub(in crate::http) fn level(&self) -> AccessLevel {
        if self.effect == Effect::Reads { AccessLevel::Read } else { AccessLevel::Write }
    }

    /// As the documentation lists it.
    pub(in crate::http) fn listed(&self) -> Listed {
        Listed { name: self.name, needs: Needs(self.category, self.level()), words: self.words }
    }

    /// What a client needs.
    pub(in crate::http) fn needs(&self) -> ToolScopes {
        self.category.map_or(ToolScopes::NONE, |category| ToolScopes::NONE.with(category, self.level()))
    }

    /// Does it.
    pub(in crate::http) fn run(&self, call: Call, given: Map<String, Value>) -> Running {
        (self.run)(call, given)
    }
}

/// `value` as it is answered. When it is too long its longest list is cut, and it says so.
fn fitted(mut value: Value, lists: &[&str]) -> Answered {
    let characters = |value: &Value| value.to_string().chars().count();
    let text = value.to_string();
    if text.chars().count() <= ANSWER_MAX {
        return Answered { value, text };
    }
    let length = |name: &&&str| value[**name].as_array().map_or(0, Vec::len);
    let Some(name) = lists.iter().max_by_key(length) else { return Answered { value, text } };
    let rows = value[*name].as_array_mut().map(std::mem::take).unwrap_or_default();
    // What is said of a cut, and the number of rows, take a little more.
    let room = ANSWER_MAX.saturating_sub(characters(&value) + 500);
    let mut length = 0;
    let fitting: Vec<Value> = rows
        .into_iter()
        .take_while(|row| {
            length += characters(row) + 1;
            length <= room
        })
        .collect();
    let shown = fitting.len();
    let offset = value["page"]["offset"].as_u64().unwrap_or(0);
    value[*name] = Value::Array(fitting);
    value["page"]["shown"] = json!(shown);
    value["page"]["next_offset"] = json!(offset + shown as u64);
    value["page"]["truncated"] = json!(true);
    value["page"]["hint"] = json!(shown::TOO_LONG);
    let text = value.to_string();
    Answered { value, text }
}

/// The schema of an answer, in words that every client understands: without references, without lists of types.
fn output_schema<T: JsonSchema>() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    simplify(&mut schema);
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

/// Leaves out of a schema what tells a model nothing. A member that may be absent is never null.
fn simplify(schema: &mut Value) {
    let Value::Object(members) = schema else { return };
    for name in ["title", "format", "minimum", "maximum", "minItems", "maxItems", "default"] {
        members.remove(name);
    }
    // Of an object its members tell what it is.
    if members.contains_key("properties") || members.get("description") == Some(&json!("")) {
        members.remove("description");
    }
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [kind] = types.as_slice() {
            let kind = kind.clone();
            members.insert("type".to_owned(), kind);
        }
    }
    if let Some(Value::Array(any)) = members.remove("anyOf")
        && let Some(Value::Object(one)) = any.into_iter().find(|one| one["type"] != "null")
    {
        members.extend(one);
    }
    if let Some(Value::Object(properties)) = members.get_mut("properties") {
        properties.values_mut().for_each(simplify);
    }
    if let Some(items) = members.get_mut("items") {
        simplify(items);
    }
}

/// Every tool: those that read first, [`websites::ListWebsites`] before all others, because the rest ask for what it answers.
static TOOLS: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    vec![
        Entry::of::<websites::ListWebsites>(),
        Entry::of::<analytics::GetVisitors>(),
        Entry::of::<analytics::ComparePeriods>(),
        Entry::of::<analytics::GetRealtimeVisitors>(),
        Entry::of::<rows::GetTopPages>(),
        Entry::of::<rows::GetTrafficSources>(),
        Entry::of::<rows::GetGeographicData>(),
        Entry::of::<rows::GetTechnologyBreakdown>(),
        Entry::of::<query::QueryAnalytics>(),
        Entry::of::<goals::GetGoals>(),
        Entry::of::<goals::GetFunnelAnalysis>(),
        Entry::of::<errors::GetErrors>(),
        Entry::of::<performance::GetPerformance>(),
        Entry::of::<heatmaps::GetHeatmapData>(),
        Entry::of::<replays::GetSessionReplays>(),
        Entry::of::<errors::UpdateErrorStatus>(),
        Entry::of::<manage::CreateGoal>(),
        Entry::of::<manage::UpdateGoal>(),
        Entry::of::<manage::DeleteGoal>(),
        Entry::of::<manage::ManageFunnel>(),
        Entry::of::<manage::DeleteFunnel>(),
        Entry::of::<manage::UpdateWebsiteSettings>(),
        Entry::of::<manage::UpdateWebsiteName>(),
        Entry::of::<manage::UpdateWebsiteTimezone>(),
        Entry::of::<manage::UpdateWebsiteDomain>(),
        Entry::of::<manage::TogglePublicDashboard>(),
        Entry::of::<manage::ToggleCookielessTracking>(),
        Entry::of::<manage::PauseTracking>(),
        Entry::of::<manage::ResumeTracking>(),
        Entry::of::<manage::RegenerateTrackingCode>(),
        Entry::of::<manage::DeleteWebsite>(),
        Entry::of::<manage::AddIpExclusion>(),
        Entry::of::<manage::RemoveIpExclusion>(),
        Entry::of::<manage::AddPathExclusion>(),
        Entry::of::<manage::RemovePathExclusion>(),
        Entry::of::<members::InviteTeamMember>(),
        Entry::of::<members::RemoveTeamMember>(),
    ]
});

/// Every tool.
pub(in crate::http) fn all() -> &'static [Entry] {
    &TOOLS
}

/// The tool with this name.
pub(in crate::http) fn find(name: &str) -> Option<&'static Entry> {
    all().iter().find(|entry| entry.told.name == name)
}

/// The tools that `client` is told of: those that it may call, for something within its reach.
pub(in crate::http) fn told(client: &Assistant, state: &AppState) -> impl Iterator<Item = &'static Entry> {
    let is_granted = |entry: &Entry| match client {
        // Its scopes are those of actions.
        Assistant::Key(_) => true,
        Assistant::Granted(access) => access.scopes.covers(entry.needs()),
    };
    all().iter().filter(move |entry| is_granted(entry) && client.could(state, entry.action))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: offer to read what no tool reads.
    #[test]
    fn people_are_asked_for_what_there_are_tools_for() {
        for category in ToolCategory::ALL {
            let has = |level| all().iter().any(|entry| entry.category == Some(category) && entry.level() == level);
            for level in [AccessLevel::Read, AccessLevel::Write] {
                assert_eq!(category.offers(level), has(level), "{category:?}");
            }
            let is_offered = category.offered() != AccessLevel::None;
            assert_eq!(is_offered, has(AccessLevel::Read) || has(AccessLevel::Write), "{category:?}");
        }
    }

    #[test]
    fn an_answer_that_is_too_long_is_cut_and_says_so() {
        let rows: Vec<Value> =
            (0..5_000).map(|number| json!({ "value": format!("/page-{number}"), "visitors": number })).collect();
        let page = json!({ "total": 9_000, "offset": 100, "shown": 5_000, "next_offset": 5_100, "truncated": false });
        let Answered { value, text } = fitted(json!({ "page": page, "one": [1], "rows": rows }), &["one", "rows"]);
        assert!(text.len() <= ANSWER_MAX && text.len() > ANSWER_MAX - 1_000, "{}", text.len());
        assert_eq!((&text, &value["one"]), (&value.to_string(), &json!([1])));
        let shown = value["rows"].as_array().unwrap().len();
        assert_eq!(value["page"]["shown"], shown);
        assert_eq!(value["page"]["next_offset"], 100 + shown);
        assert_eq!((&value["page"]["truncated"], &value["page"]["total"]), (&json!(true), &json!(9_000)));
        assert!(value["page"]["hint"].as_str().unwrap().contains("filter"));
    }
}
