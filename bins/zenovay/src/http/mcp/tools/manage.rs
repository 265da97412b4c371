//! Changing goals, funnels and websites: what the console's routes do, by the same functions.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use zenovay_auth::{Action, Target, ToolCategory};
use zenovay_domain::{FunnelId, GoalId, TrackingCode, Website, excluded_network, normal_path, parse_domain};
use zenovay_store::{Metadata, StoreError};

use super::goals::{Step, is_expression};
use super::shown::website;
use super::{Effect, Tool};
use crate::http::console::funnels::{self, ShownFunnel};
use crate::http::console::goals::{self, ShownGoal};
use crate::http::console::{changing, sites};
use crate::http::envelope::ApiError;
use crate::http::mcp::args::Args;
use crate::http::mcp::call::{Call, Change, ToolError};
use crate::http::mcp::clean::{clean, quoted, quoted_whole, value, whole};

/// Does `work` to the website that is named, when whoever asks may do `action` to it, and notes that `name` was done.
pub(super) async fn change<T, F>(
    call: &Call,
    named: &str,
    (action, name): (Action, &'static str),
    work: impl FnOnce(Arc<Website>, Arc<dyn Metadata>) -> F + Send,
) -> Result<T, ToolError>
where
    F: Future<Output = Result<T, ToolError>> + Send,
{
    let website = call.website(named, action).await?;
    let done = work(Arc::clone(&website), call.store(website.team_id, action)).await?;
    let target = Target::Website { id: website.id, team_id: website.team_id };
    call.changed(Change { action, target, name, details: vec![("domain", website.domain.clone())] });
    Ok(done)
}

/// The body of a route that has these members.
fn body<T: DeserializeOwned>(members: Value) -> Result<T, ToolError> {
    serde_json::from_value(members).map_err(|error| {
        tracing::error!(%error, "the arguments of a tool are no body");
        ApiError::internal().into()
    })
}

/// The members that are there.
fn present(members: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Map<String, Value> {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn goal_id(text: &str) -> Result<GoalId, ToolError> {
    text.trim().parse().map_err(|_| ApiError::from(StoreError::NotFound("goal")).into())
}

fn funnel_id(text: &str) -> Result<FunnelId, ToolError> {
    text.trim().parse().map_err(|_| ApiError::from(StoreError::NotFound("funnel")).into())
}

const STEP_TYPES: [&str; 2] = ["page", "event"];
const MATCHES: [&str; 5] = ["exact", "contains", "starts_with", "ends_with", "regex"];

/// What a goal counts.
#[derive(Debug)]
struct TargetArgs {
    kind: Option<&'static str>,
    match_type: Option<&'static str>,
    value: Option<String>,
}

impl TargetArgs {
    fn read(args: &mut Args, is_required: bool) -> Self {
        let words = "A view of a page, or an event with a name.";
        let kind = if is_required {
            Some(args.required_choice("type", words, &STEP_TYPES))
        } else {
            args.choice("type", words, &STEP_TYPES, None)
        };
        let match_type =
            args.choice("match_type", "Of pages: how the path is compared; exact when absent.", &MATCHES, None);
        let words = "The path, such as /thanks, or the name of the event.";
        let value = match (is_required, is_expression(match_type)) {
            (true, true) => Some(args.required("value", words)),
            (true, false) => Some(args.required_told("value", words)),
            (false, true) => args.string("value", words),
            (false, false) => args.told("value", words),
        };
        if !is_required && kind.is_some() != value.is_some() {
            args.problem("value", "give type and value together");
        }
        if !is_required && match_type.is_some() && kind.is_none() {
            args.problem("match_type", "give type and value too");
        }
        Self { kind, match_type, value }
    }

    fn members(self) -> Map<String, Value> {
        let text = |text: Option<&'static str>| text.map(|text| json!(text));
        present([
            ("type", text(self.kind)),
            ("match_type", text(self.match_type)),
            ("value", self.value.map(Value::String)),
        ])
    }
}

/// A goal.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct GoalChanged {
    goal_id: String,
    name: String,
    target: Step,
    untrusted_fields: [&'static str; 2],
}

impl From<ShownGoal> for GoalChanged {
    fn from(goal: ShownGoal) -> Self {
        Self {
            goal_id: goal.id.to_string(),
            name: value(&goal.name),
            target: (&goal.target).into(),
            untrusted_fields: ["name", "target.value"],
        }
    }
}

/// What is gone.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Deleted {
    deleted: String,
}

/// `create_goal`.
pub(super) struct CreateGoal;

/// What is wanted of a new goal.
pub(super) struct NewGoal {
    website: String,
    name: String,
    target: TargetArgs,
}

impl Tool for CreateGoal {
    const NAME: &'static str = "create_goal";
    const TITLE: &'static str = "Create goal";
    const WORDS: &'static str = "Adds a goal: a view of a page, or an event, that counts as a conversion.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Management);
    const ACTION: Action = Action::EditWebsite;
    const EFFECT: Effect = Effect::Adds;
    type Input = NewGoal;
    type Output = GoalChanged;

    fn read(args: &mut Args) -> NewGoal {
        let (website, name) = (website(args), args.required_told("name", "1 to 100 characters."));
        NewGoal { website, name, target: TargetArgs::read(args, true) }
    }

    async fn run(call: Call, NewGoal { website, name, target }: NewGoal) -> Result<GoalChanged, ToolError> {
        let mut members = target.members();
        members.insert("name".to_owned(), json!(name));
        let goal = body(Value::Object(members))?;
        change(&call, &website, (Self::ACTION, "goals.create"), async |website, store| {
            Ok(goals::add(&call.state, store, website.id, goal).await?.into())
        })
        .await
    }
}

/// `update_goal`.
pub(super) struct UpdateGoal;

/// What is changed of a goal.
pub(super) struct GoalEdit {
    website: String,
    goal: String,
    name: Option<String>,
    target: TargetArgs,
}

impl Tool for UpdateGoal {
    const NAME: &'static str = "update_goal";
    const TITLE: &'static str = "Update goal";
    const WORDS: &'static str = "Gives a goal another name or another target; what is absent stays.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Management);
    const ACTION: Action = Action::EditWebsite;
    const EFFECT: Effect = Effect::Sets;
    type Input = GoalEdit;
    type Output = GoalChanged;

    fn read(args: &mut Args) -> GoalEdit {
        let (website, goal) = (website(args), args.required("goal_id", "From get_goals."));
        let name = args.told("name", "1 to 100 characters.");
        let target = TargetArgs::read(args, false);
        if name.is_none() && target.kind.is_none() {
            args.problem("name", "give a name, or type and value");
        }
        GoalEdit { website, goal, name, target }
    }

    async fn run(call: Call, GoalEdit { website, goal, name, target }: GoalEdit) -> Result<GoalChanged, ToolError> {
        let target = target.kind.is_some().then(|| Value::Object(target.members()));
        let edit = body(Value::Object(present([("name", name.map(Value::String)), ("target", target)])))?;
        change(&call, &website, (Self::ACTION, "goals.change"), async |website, store| {
            Ok(goals::edit(&call.state, store, website.id, goal_id(&goal)?, edit).await?.into())
        })
        .await
    }
}

/// `delete_goal`.
pub(super) struct DeleteGoal;

impl Tool for DeleteGoal {
    const NAME: &'static str = "delete_goal";
    const TITLE: &'static str = "Delete goal";
    const WORDS: &'static str = "Removes a goal. Not while it is a step of a funnel.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Management);
    const ACTION: Action = Action::EditWebsite;
    const EFFECT: Effect = Effect::Removes;
    type Input = (String, String);
    type Output = Deleted;

    fn read(args: &mut Args) -> Self::Input {
        (website(args), args.required("goal_id", "From get_goals."))
    }

    async fn run(call: Call, (website, goal): Self::Input) -> Result<Deleted, ToolError> {
        change(&call, &website, (Self::ACTION, "goals.delete"), async |website, store| {
            let id = goal_id(&goal)?;
            goals::remove(&call.state, store, website.id, id).await?;
            Ok(Deleted { deleted: id.to_string() })
        })
        .await
    }
}

/// `manage_funnel`.
pub(super) struct ManageFunnel;

/// What is wanted of a funnel.
pub(super) struct FunnelEdit {
    website: String,
    funnel: Option<String>,
    name: Option<String>,
    steps: Option<Vec<Map<String, Value>>>,
}

/// A step of a funnel.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct NamedStep {
    label: String,
    #[serde(flatten)]
    step: Step,
}

/// A funnel.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FunnelChanged {
    funnel_id: String,
    name: String,
    steps: Vec<NamedStep>,
    untrusted_fields: [&'static str; 3],
}

impl From<ShownFunnel> for FunnelChanged {
    fn from(funnel: ShownFunnel) -> Self {
        let steps = funnel.steps.iter().map(|step| NamedStep { label: value(&step.label), step: (&step.step).into() });
        Self {
            funnel_id: funnel.id.clone(),
            name: clean(&funnel.name),
            steps: steps.collect(),
            untrusted_fields: ["name", "steps[].label", "steps[].value"],
        }
    }
}

impl Tool for ManageFunnel {
    const NAME: &'static str = "manage_funnel";
    const TITLE: &'static str = "Create or change funnel";
    const WORDS: &'static str = "Without funnel_id adds a funnel of 2 to 7 steps in order (name and steps needed); with it changes that one, what is absent stays.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Management);
    const ACTION: Action = Action::EditFunnels;
    // With an id it replaces what the funnel was.
    const EFFECT: Effect = Effect::Sets;
    const IS_REPEATABLE: bool = false;
    type Input = FunnelEdit;
    type Output = FunnelChanged;

    fn read(args: &mut Args) -> FunnelEdit {
        let (website, funnel) = (website(args), args.string("funnel_id", "From get_funnel_analysis."));
        let name = args.string("name", "1 to 100 characters.");
        let members = [
            ("type", "page, event or goal", true),
            ("match_type", "of pages: exact, contains, starts_with, ends_with, regex", false),
            ("value", "path, event name, or goal_id", true),
        ];
        let mut steps = args.objects("steps", "", &members);
        for (number, step) in steps.iter_mut().flatten().enumerate() {
            let is_told = !is_expression(step.get("match_type").and_then(Value::as_str));
            if let Some(Value::String(value)) = step.get_mut("value").filter(|_| is_told) {
                *value = args.meant(&format!("steps[{number}].value"), value).unwrap_or_default();
            }
        }
        if funnel.is_none() {
            for (argument, is_there) in [("name", name.is_some()), ("steps", steps.is_some())] {
                if !is_there {
                    args.missing(argument, "is needed for a new funnel");
                }
            }
        }
        FunnelEdit { website, funnel, name, steps }
    }

    async fn run(
        call: Call,
        FunnelEdit { website, funnel, name, steps }: FunnelEdit,
    ) -> Result<FunnelChanged, ToolError> {
        let members =
            Value::Object(present([("name", name.map(Value::String)), ("steps", steps.map(|steps| json!(steps)))]));
        let name = if funnel.is_some() { "funnels.change" } else { "funnels.create" };
        change(&call, &website, (Self::ACTION, name), async |website, store| {
            let shown = match funnel {
                None => funnels::add(&call.state, store, website.id, body(members)?).await?,
                Some(id) => funnels::edit(&call.state, store, website.id, funnel_id(&id)?, body(members)?).await?,
            };
            Ok(shown.into())
        })
        .await
    }
}

/// `delete_funnel`.
pub(super) struct DeleteFunnel;

impl Tool for DeleteFunnel {
    const NAME: &'static str = "delete_funnel";
    const TITLE: &'static str = "Delete funnel";
    const WORDS: &'static str = "Removes a funnel that people made.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Management);
    const ACTION: Action = Action::EditFunnels;
    const EFFECT: Effect = Effect::Removes;
    type Input = (String, String);
    type Output = Deleted;

    fn read(args: &mut Args) -> Self::Input {
        (website(args), args.required("funnel_id", "From get_funnel_analysis."))
    }

    async fn run(call: Call, (website, funnel): Self::Input) -> Result<Deleted, ToolError> {
        change(&call, &website, (Self::ACTION, "funnels.delete"), async |website, store| {
            let id = funnel_id(&funnel)?;
            changing(&call.state, move |_| store.delete_funnel(website.id, id)).await?;
            Ok(Deleted { deleted: id.to_string() })
        })
        .await
    }
}

/// A website as it is now.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Site {
    website_id: String,
    domain: String,
    name: String,
    tracking_code: String,
    timezone: String,
    currency: String,
    /// Whether events are accepted.
    is_active: bool,
    cookieless: bool,
    public_dashboard: bool,
    allow_localhost: bool,
    opt_out_on_gpc: bool,
    track_outbound_links: bool,
    track_downloads: bool,
    /// Whether pages report how fast they are.
    web_vitals: bool,
    /// Whether pages report errors.
    errors: bool,
    /// Whether pages report clicks and scrolling.
    heatmaps: bool,
    allowed_domains: Vec<String>,
    allowed_bots: Vec<String>,
    excluded_ips: Vec<String>,
    excluded_paths: Vec<String>,
    /// Whether a list is longer than what is shown of it.
    lists_cut: bool,
    untrusted_fields: [&'static str; 3],
}

impl From<Website> for Site {
    fn from(website: Website) -> Self {
        let settings = website.settings;
        let lengths = settings.excluded_ips.len() + settings.excluded_paths.len();
        let excluded_ips = fitting(settings.excluded_ips.iter().map(|entry| whole(entry)), EXCLUDED_CHARS / 3);
        let excluded_paths = fitting(settings.excluded_paths.iter().map(|entry| whole(entry)), EXCLUDED_CHARS / 3);
        let is_cut = [&settings.allowed_domains, &settings.allowed_bots].iter().any(|list| list.len() > LIST_SHOWN)
            || excluded_ips.len() + excluded_paths.len() < lengths;
        let some = |list: &[String]| list.iter().take(LIST_SHOWN).map(|member| value(member)).collect();
        Self {
            website_id: website.id.to_string(),
            domain: website.domain,
            name: clean(&website.name),
            tracking_code: website.tracking_code.as_str().to_owned(),
            timezone: settings.time_zone,
            currency: settings.currency,
            is_active: settings.is_active,
            cookieless: settings.cookieless,
            public_dashboard: settings.public_dashboard,
            allow_localhost: settings.allow_localhost,
            opt_out_on_gpc: settings.opt_out_on_gpc,
            track_outbound_links: settings.track_outbound_links,
            track_downloads: settings.track_downloads,
            web_vitals: settings.web_vitals,
            errors: settings.errors,
            heatmaps: settings.heatmaps,
            lists_cut: is_cut,
            allowed_domains: some(&settings.allowed_domains),
            allowed_bots: some(&settings.allowed_bots),
            excluded_ips,
            excluded_paths,
            untrusted_fields: ["name", "allowed_bots", "excluded_paths"],
        }
    }
}

/// The most hosts, and the most bots, of settings that are shown: with what is excluded they fit into an answer.
const LIST_SHOWN: usize = 25;
/// The most characters that the members of a list take which an error quotes.
const QUOTED_CHARS: usize = 700;
/// The most characters that all that is excluded takes in an answer.
const EXCLUDED_CHARS: usize = 70_000;

/// Of a list as many members as take `max` characters, leaving out those that do not fit.
fn fitting(list: impl Iterator<Item = String>, max: usize) -> Vec<String> {
    let mut room = max;
    let fits = |member: &String| {
        let length = member.chars().count() + 4;
        let fits = length <= room;
        room -= if fits { length } else { 0 };
        fits
    };
    list.filter(fits).collect()
}

/// What is known of a website that was changed.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Facts {
    website_id: String,
    domain: String,
    name: String,
    tracking_code: String,
    timezone: String,
    /// Whether events are accepted.
    is_active: bool,
    cookieless: bool,
    public_dashboard: bool,
    untrusted_fields: [&'static str; 1],
}

impl From<Website> for Facts {
    fn from(website: Website) -> Self {
        Self {
            website_id: website.id.to_string(),
            domain: website.domain,
            name: clean(&website.name),
            tracking_code: website.tracking_code.as_str().to_owned(),
            timezone: website.settings.time_zone,
            is_active: website.settings.is_active,
            cookieless: website.settings.cookieless,
            public_dashboard: website.settings.public_dashboard,
            untrusted_fields: ["name"],
        }
    }
}

/// Changes members of a website.
async fn edit(call: &Call, website: &str, members: Value) -> Result<Website, ToolError> {
    let changes = body(members)?;
    change(call, website, SITE_CHANGE, async |website, store| {
        Ok(sites::apply(&call.state, store, website.id, changes).await?)
    })
    .await
}

/// What a change of a website needs, and how the audit trail names it.
const SITE_CHANGE: (Action, &str) = (Action::EditWebsite, "sites.change");

/// The names of bots, which answers tell.
fn bots(args: &mut Args) -> Option<Vec<String>> {
    let told = args.strings("allowed_bots", "Replaces the list of names.")?;
    Some(told.iter().filter_map(|name| args.meant("allowed_bots", name)).collect())
}

/// `update_website_settings`.
pub(super) struct UpdateWebsiteSettings;

impl Tool for UpdateWebsiteSettings {
    const NAME: &'static str = "update_website_settings";
    const TITLE: &'static str = "Update website settings";
    const WORDS: &'static str = "Changes settings of a website; what is absent stays. Answers with all settings.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Management);
    const ACTION: Action = Action::EditWebsite;
    const EFFECT: Effect = Effect::Sets;
    type Input = (String, Map<String, Value>);
    type Output = Site;

    fn read(args: &mut Args) -> Self::Input {
        let website = website(args);
        let settings = present([
            ("currency", args.string("currency", "ISO 4217, such as EUR.").map(Value::String)),
            ("allow_localhost", args.flag("allow_localhost", "Take hits of local hosts.").map(Value::Bool)),
            ("opt_out_on_gpc", args.flag("opt_out_on_gpc", "Drop hits with Sec-GPC or DNT.").map(Value::Bool)),
            ("track_outbound_links", args.flag("track_outbound_links", "").map(Value::Bool)),
            ("track_downloads", args.flag("track_downloads", "").map(Value::Bool)),
            ("web_vitals", args.flag("web_vitals", "Measure how fast pages are.").map(Value::Bool)),
            ("errors", args.flag("errors", "Collect errors of pages.").map(Value::Bool)),
            ("heatmaps", args.flag("heatmaps", "Collect clicks and scrolling.").map(Value::Bool)),
            ("allowed_domains", args.strings("allowed_domains", "Replaces the list of hosts.").map(|list| json!(list))),
            ("allowed_bots", bots(args).map(|list| json!(list))),
        ]);
        (website, settings)
    }

    async fn run(call: Call, (website, settings): Self::Input) -> Result<Site, ToolError> {
        Ok(edit(&call, &website, json!({ "settings": settings })).await?.into())
    }
}

/// Tools that set one member of a website, or of its settings.
macro_rules! setters {
    ($($type:ident $name:literal $title:literal $words:literal ($args:ident: $($read:tt)+) -> |$value:ident| $members:expr;)*) => { $(
        #[doc = concat!("`", $name, "`.")]
        pub(super) struct $type;

        impl Tool for $type {
            const NAME: &'static str = $name;
            const TITLE: &'static str = $title;
            const WORDS: &'static str = $words;
            const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Management);
            const ACTION: Action = Action::EditWebsite;
            const EFFECT: Effect = Effect::Sets;
            type Input = (String, Value);
            type Output = Facts;

            fn read($args: &mut Args) -> Self::Input {
                (website($args), json!($($read)+))
            }

            async fn run(call: Call, (website, $value): Self::Input) -> Result<Facts, ToolError> {
                Ok(edit(&call, &website, $members).await?.into())
            }
        }
    )* };
}

setters! {
    UpdateWebsiteName "update_website_name" "Rename website" "Changes the name of a website that people see."
        (args: args.required("name", "1 to 100 characters.")) -> |name| json!({ "name": name });
    UpdateWebsiteTimezone "update_website_timezone" "Set time zone"
        "Sets the time zone in which days of a website are cut. Numbers of days change with it."
        (args: args.required("timezone", "IANA name, such as Europe/Zurich.")) -> |zone| json!({ "settings": { "time_zone": zone } });
    TogglePublicDashboard "toggle_public_dashboard" "Public dashboard"
        "Says whether anybody may read the public summary of a website."
        (args: args.required_flag("enabled", "")) -> |enabled| json!({ "settings": { "public_dashboard": enabled } });
    ToggleCookielessTracking "toggle_cookieless_tracking" "Cookieless tracking"
        "Says whether visitors are recognised without anything stored in their browser."
        (args: args.required_flag("enabled", "")) -> |enabled| json!({ "settings": { "cookieless": enabled } });
}

/// `update_website_domain`.
pub(super) struct UpdateWebsiteDomain;

impl Tool for UpdateWebsiteDomain {
    const NAME: &'static str = "update_website_domain";
    const TITLE: &'static str = "Change domain";
    const WORDS: &'static str = "Changes the domain of a website; hits of the old one are refused from then on.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Management);
    const ACTION: Action = Action::EditWebsite;
    const EFFECT: Effect = Effect::Sets;
    type Input = (String, String);
    type Output = Facts;

    fn read(args: &mut Args) -> Self::Input {
        (website(args), args.required("domain", "Without a scheme, such as shop.example.com."))
    }

    async fn run(call: Call, (website, domain): Self::Input) -> Result<Facts, ToolError> {
        let (changed, wanted) = (call.website(&website, Self::ACTION).await?, parse_domain(domain.trim()).ok());
        // People may have reasons to give one domain to two; a tool that names websites by their domains rather took one for the other.
        let others = call.blocking(|call| Ok(sites::reachable(&call.state, call.client.principal())?)).await?;
        let is_other = |other: &&Website| other.team_id == changed.team_id && other.id != changed.id;
        if others.iter().filter(is_other).any(|other| Some(&other.domain) == wanted.as_ref()) {
            let problem = format!("domain: {} is that of another website of the team", quoted(&domain));
            return Err(vec![problem].into());
        }
        Ok(edit(&call, &website, json!({ "domain": domain })).await?.into())
    }
}

/// Tools that switch tracking on or off.
macro_rules! switches {
    ($($type:ident $name:literal $title:literal $words:literal $is_active:literal;)*) => { $(
        #[doc = concat!("`", $name, "`.")]
        pub(super) struct $type;

        impl Tool for $type {
            const NAME: &'static str = $name;
            const TITLE: &'static str = $title;
            const WORDS: &'static str = $words;
            const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Management);
            const ACTION: Action = Action::EditWebsite;
            const EFFECT: Effect = Effect::Sets;
            type Input = String;
            type Output = Facts;

            fn read(args: &mut Args) -> String {
                website(args)
            }

            async fn run(call: Call, website: String) -> Result<Facts, ToolError> {
                let settings = json!({ "is_active": $is_active });
                Ok(edit(&call, &website, json!({ "settings": settings })).await?.into())
            }
        }
    )* };
}

switches! {
    PauseTracking "pause_tracking" "Pause tracking" "Drops the events of a website until tracking is resumed." false;
    ResumeTracking "resume_tracking" "Resume tracking" "Takes the events of a paused website again." true;
}

/// `regenerate_tracking_code`.
pub(super) struct RegenerateTrackingCode;

impl Tool for RegenerateTrackingCode {
    const NAME: &'static str = "regenerate_tracking_code";
    const TITLE: &'static str = "New tracking code";
    const WORDS: &'static str =
        "Gives a website another tracking code. Pages with the old one are not counted any more.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Management);
    const ACTION: Action = Action::EditWebsite;
    const EFFECT: Effect = Effect::Removes;
    const IS_REPEATABLE: bool = false;
    type Input = String;
    type Output = Facts;

    fn read(args: &mut Args) -> String {
        website(args)
    }

    async fn run(call: Call, website: String) -> Result<Facts, ToolError> {
        change(&call, &website, (Self::ACTION, "sites.renew_code"), async |website, store| {
            let code = TrackingCode::from_random_bytes(rand::random());
            Ok(changing(&call.state, move |_| store.set_tracking_code(website.id, &code)).await?.into())
        })
        .await
    }
}

/// `delete_website`.
pub(super) struct DeleteWebsite;

impl Tool for DeleteWebsite {
    const NAME: &'static str = "delete_website";
    const TITLE: &'static str = "Delete website";
    const WORDS: &'static str =
        "Deletes a website with all its events, goals and funnels, for ever. Ask the person first.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Management);
    const ACTION: Action = Action::DeleteWebsite;
    const EFFECT: Effect = Effect::Removes;
    type Input = (String, String);
    type Output = Deleted;

    fn read(args: &mut Args) -> Self::Input {
        (website(args), args.required("domain", "The domain of the website once more, to confirm."))
    }

    async fn run(call: Call, (website, domain): Self::Input) -> Result<Deleted, ToolError> {
        change(&call, &website, (Self::ACTION, "sites.delete"), async |website, store| {
            let deleted = website.id.to_string();
            if !sites::confirms(&domain, &website) {
                // Not told which it is: that would be an invitation to go on.
                let problem = "domain: is not that of this website. Ask the person which website is to be deleted";
                return Err(vec![problem.to_owned()].into());
            }
            sites::remove(&call.state, store, website, &domain).await?;
            Ok(Deleted { deleted })
        })
        .await
    }
}

/// What is excluded.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Excluded {
    website_id: String,
    /// With escapes such as \u{200b} for what cannot be seen; remove_ takes them.
    excluded: Vec<String>,
    /// How many there are, also those that find no room.
    excluded_total: usize,
    untrusted_fields: [&'static str; 1],
}

/// Tools that add to a list of exclusions, or take from it.
macro_rules! exclusions {
    ($($type:ident $name:literal $title:literal $words:literal $effect:ident $list:ident $argument:literal $about:literal $change:ident by $spelling:ident;)*) => { $(
        #[doc = concat!("`", $name, "`.")]
        pub(super) struct $type;

        impl Tool for $type {
            const NAME: &'static str = $name;
            const TITLE: &'static str = $title;
            const WORDS: &'static str = $words;
            const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Settings);
            const ACTION: Action = Action::EditWebsite;
            const EFFECT: Effect = Effect::$effect;
            type Input = (String, String);
            type Output = Excluded;

            fn read(args: &mut Args) -> Self::Input {
                (website(args), args.required_told($argument, $about))
            }

            async fn run(call: Call, (website, value): Self::Input) -> Result<Excluded, ToolError> {
                let changed = change(&call, &website, SITE_CHANGE, async |website, store| {
                    // Of the list as it is when it is stored: several such calls may come at once.
                    let changed = changing(&call.state, move |_| {
                        let edit = &mut |website: &mut Website| $change(&mut website.settings.$list, value.trim(), $spelling);
                        store.edit_website(website.id, edit).map_err(|error| of_argument(error, $argument))
                    });
                    Ok(changed.await?)
                });
                let Website { id, settings, .. } = changed.await?;
                let excluded_total = settings.$list.len();
                let excluded = fitting(settings.$list.iter().map(|entry| whole(entry)), EXCLUDED_CHARS);
                Ok(Excluded { website_id: id.to_string(), excluded, excluded_total, untrusted_fields: ["excluded"] })
            }
        }
    )* };
}

/// The one spelling of something that is excluded. What is the same in it excludes the same.
type Spelling = fn(&str) -> Cow<'_, str>;

fn of_address(entry: &str) -> Cow<'_, str> {
    excluded_network(entry).map_or(Cow::Borrowed(entry), Cow::Owned)
}

fn of_path(entry: &str) -> Cow<'_, str> {
    normal_path(entry)
}

fn with(list: &mut Vec<String>, value: &str, spelling: Spelling) -> Result<(), StoreError> {
    let meant = spelling(value);
    if !list.iter().any(|other| spelling(other.trim()) == meant) {
        list.push(value.to_owned());
    }
    Ok(())
}

fn without(list: &mut Vec<String>, value: &str, spelling: Spelling) -> Result<(), StoreError> {
    let (meant, length) = (spelling(value), list.len());
    // Without the spaces around them, which nobody sees either.
    list.retain(|other| spelling(other.trim()) != meant);
    if list.len() < length {
        return Ok(());
    }
    let mut there = fitting(list.iter().map(|other| quoted_whole(other)), QUOTED_CHARS);
    match list.len() - there.len() {
        0 if list.is_empty() => there.push("nothing".to_owned()),
        0 => {}
        count => there.push(format!("{count} more")),
    }
    Err(StoreError::Invalid { field: "", reason: format!("it is not excluded; excluded: {}", there.join(", ")) })
}

/// What the store says of a setting, told of the argument that it was made of.
fn of_argument(error: StoreError, argument: &'static str) -> StoreError {
    match error {
        StoreError::Invalid { reason, .. } => StoreError::Invalid { field: argument, reason },
        other => other,
    }
}

exclusions! {
    AddIpExclusion "add_ip_exclusion" "Exclude address" "Drops the hits of an address or a range of addresses."
        Sets excluded_ips "ip" "Such as 192.0.2.7 or 192.0.2.0/24." with by of_address;
    RemoveIpExclusion "remove_ip_exclusion" "Include address" "Takes the hits of an excluded address or range again."
        Sets excluded_ips "ip" "As it is excluded." without by of_address;
    AddPathExclusion "add_path_exclusion" "Exclude path" "Drops the hits of pages whose path matches a pattern."
        Sets excluded_paths "path" "Such as /admin/*; without a query." with by of_path;
    RemovePathExclusion "remove_path_exclusion" "Include path" "Takes the hits of pages with an excluded path again."
        Sets excluded_paths "path" "As it is excluded." without by of_path;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::mcp::clean::given;

    /// Sabotage: compare addresses as they are written, or take one of two away.
    #[test]
    fn one_address_is_excluded_once_however_it_is_written() {
        let mut list = vec!["2001:db8::1".to_owned(), " 192.0.2.7".to_owned()];
        for again in ["2001:0DB8:0:0::0001", "2001:db8::1/128", "192.0.2.7/32", "::ffff:192.0.2.7", "::ffff:c000:207"] {
            with(&mut list, again, of_address).unwrap();
            assert_eq!(list.len(), 2, "{again}");
        }
        with(&mut list, "192.0.2.7/31", of_address).unwrap();
        list.push("192.0.2.7/32".to_owned());
        without(&mut list, "::FFFF:192.0.2.7", of_address).unwrap();
        assert_eq!(list, ["2001:db8::1", "192.0.2.7/31"]);
        assert!(without(&mut list, "192.0.2.7", of_address).is_err());
        let mut paths = vec!["/%7Eme/*".to_owned()];
        with(&mut paths, "/~me/*", of_path).unwrap();
        assert_eq!(paths, ["/%7Eme/*"]);
        without(&mut paths, "/~me/*", of_path).unwrap();
        assert!(paths.is_empty());
    }

    /// Older entries may have characters that cannot be seen. Sabotage: quote the beginning of each, or without marks.
    #[test]
    fn what_is_excluded_is_taken_away_as_it_is_quoted() {
        let long = format!("/{}", "é".repeat(249));
        let old =
            ["/a|b", "/a\u{200b}", "/b\u{202e}](http://evil.example)", "/c\\u{5d} ", long.as_str()].map(str::to_owned);
        let mut list = old.to_vec();
        let StoreError::Invalid { reason, .. } = without(&mut list, "/c", of_path).unwrap_err() else { panic!() };
        let told = r#""/a\|b", "/a\u{200b}", "/b\u{202e}\u{5d}(http://evil.example)", "/c\u{5c}u{5d} ""#;
        assert_eq!(reason, format!("it is not excluded; excluded: {told}, \"{long}\""));
        assert_eq!(list, old);
        let quoted = reason.split_once("excluded: ").unwrap().1.trim_matches('"').split("\", \"");
        for (number, quoted) in quoted.enumerate() {
            without(&mut list, given(quoted).unwrap().trim(), of_path).unwrap();
            assert_eq!(list, old[number + 1..], "{quoted}");
        }
        let mut list = old.to_vec();
        for shown in old.iter().map(|entry| whole(entry)) {
            without(&mut list, given(&shown).unwrap().trim(), of_path).unwrap();
        }
        assert_eq!(list, Vec::<String>::new());
        let mut many: Vec<String> = (0..99).map(|n| format!("/{n}/{}", "p".repeat(90))).collect();
        let StoreError::Invalid { reason, .. } = without(&mut many, "/c", of_path).unwrap_err() else { panic!() };
        assert!(reason.ends_with("p\", 92 more") && reason.chars().count() < 800, "{reason}");
        let StoreError::Invalid { reason, .. } = without(&mut Vec::new(), "/c", of_path).unwrap_err() else { panic!() };
        assert!(reason.ends_with("excluded: nothing"), "{reason}");
    }
}
