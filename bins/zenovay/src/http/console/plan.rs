//! The plan of a team: what it includes, and what is used of it.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zenovay_auth::Principal;
use zenovay_domain::{ErrorCode, Plan, PlanTable, TeamId};
use zenovay_store::{AssistantAccount, Metadata, StoreError};

use super::{JsonBody, changing};
use crate::http::envelope::{ApiError, Success};
use crate::http::event_quota;
use crate::http::external::usage::month_start;
use crate::http::guard::{Actor, Authorized, Identity, ManageBilling, ReadTeam};
use crate::http::lookups::blocking;
use crate::http::state::AppState;
use crate::http::values::{FeatureName, Instant, PlanName};

/// `GET /api/teams/{team_id}/plan`.
pub async fn show(
    team: Authorized<ReadTeam, Actor>,
    state: web::Data<AppState>,
) -> Result<Success<TeamPlan>, ApiError> {
    Ok(Success::new(TeamPlan::new(&state, team.resource.plan), state.clock.now()))
}

/// `PUT /api/teams/{team_id}/plan`.
pub async fn choose(
    team: Authorized<ManageBilling, Actor>,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<NewPlan>,
) -> Result<Success<TeamPlan>, ApiError> {
    let NewPlan { plan } = body.read().await?;
    if !state.people.owners_change_plans {
        let message = "The plan is set by whoever runs this server";
        return Err(ApiError::new(ErrorCode::Forbidden, message));
    }
    team.note(&req, "plan", plan.as_str());
    let id = team.resource.id;
    let store = team.store(&state);
    changing(&state, move |_| store.set_plan(id, plan)).await?;
    Ok(Success::new(TeamPlan::new(&state, plan), state.clock.now()))
}

/// `GET /api/teams/{team_id}/usage`.
pub async fn usage(
    team: Authorized<ReadTeam, Actor>,
    state: web::Data<AppState>,
) -> Result<Success<TeamUsage>, ApiError> {
    let (id, now) = (team.resource.id, state.clock.now());
    let (account, plan, steady) =
        (account_of(team.caller.principal()), team.resource.plan, state.clock.reading().steady);
    let counted = blocking(&state, move |state| count(&*state.store, id)).await?;
    let asked = blocking(&state, move |state| state.store.assistant_usage(account, plan, steady)).await?;
    let events = event_quota::used(&state, id, now, team.asking()).await?;
    let limits = state.plans.limits(team.resource.plan);
    let used = |used: usize, limit: Option<u32>| Used { used: used as u64, limit: limit.map(u64::from) };
    let usage = TeamUsage {
        plan: PlanName(team.resource.plan),
        since: Instant(month_start(now)),
        events: Used { used: events, limit: limits.events_per_month },
        websites: used(counted.websites, limits.websites),
        members: used(counted.members, limits.members),
        keys: counted.keys as u64,
        mcp_queries: UsedToday {
            used: asked.used,
            limit: limits.mcp_queries_per_day,
            resets_at: Instant(asked.resets_at),
        },
    };
    Ok(Success::new(usage, now))
}

/// For whom the assistants of `principal` ask.
fn account_of(principal: Principal<'_>) -> AssistantAccount {
    match principal {
        Principal::Person(person) => AssistantAccount::Person(person.user_id),
        Principal::Key(key) => AssistantAccount::of_key(key.kind),
    }
}

struct Counted {
    websites: usize,
    members: usize,
    keys: usize,
}

fn count(store: &dyn Metadata, team: TeamId) -> Result<Counted, StoreError> {
    Ok(Counted {
        websites: store.websites_of_teams(&[team])?.len(),
        members: store.members(team)?.len(),
        keys: store.keys_of_team(team)?.len(),
    })
}

/// Another plan.
#[derive(Deserialize, ToSchema)]
pub struct NewPlan {
    #[schema(value_type = PlanName)]
    plan: Plan,
}

/// The plan of a team, and the others that there are.
#[derive(Debug, Serialize, ToSchema)]
pub struct TeamPlan {
    plan: PlanName,
    /// Whether whoever runs the server sets the plans, and owners cannot.
    locked: bool,
    limits: PlanFacts,
    /// All plans, the smallest first.
    plans: Vec<PlanFacts>,
}

impl TeamPlan {
    fn new(state: &AppState, plan: Plan) -> Self {
        Self {
            plan: PlanName(plan),
            locked: !state.people.owners_change_plans,
            limits: PlanFacts::new(&state.plans, plan),
            plans: Plan::ALL.iter().map(|plan| PlanFacts::new(&state.plans, *plan)).collect(),
        }
    }
}

/// What a plan includes; null is without limit.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanFacts {
    name: PlanName,
    /// Whether the External API is included.
    api_access: bool,
    /// External API requests of a key a minute.
    #[schema(examples(60))]
    requests_per_minute: u32,
    /// External API requests of a key a month.
    #[schema(examples(100000))]
    requests_per_month: u64,
    /// Events a month.
    #[schema(required = true, examples(10000))]
    events_per_month: Option<u64>,
    /// Websites.
    #[schema(required = true, examples(10))]
    websites: Option<u32>,
    /// Members.
    #[schema(required = true, examples(25))]
    members: Option<u32>,
    /// Days for which events are kept.
    #[schema(required = true, examples(1460))]
    retention_days: Option<u32>,
    /// What it includes beside.
    features: Vec<FeatureName>,
    /// Queries of assistants (MCP) a day.
    #[schema(required = true, examples(1000))]
    mcp_queries_per_day: Option<u64>,
}

impl PlanFacts {
    fn new(plans: &PlanTable, plan: Plan) -> Self {
        let limits = plans.limits(plan);
        Self {
            name: PlanName(plan),
            api_access: plans.has_api(plan),
            requests_per_minute: limits.requests_per_minute,
            requests_per_month: limits.requests_per_month,
            events_per_month: limits.events_per_month,
            websites: limits.websites,
            members: limits.members,
            retention_days: limits.retention_days,
            features: limits.features.iter().copied().map(FeatureName).collect(),
            mcp_queries_per_day: limits.mcp_queries_per_day,
        }
    }
}

/// What a team uses of its plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct TeamUsage {
    plan: PlanName,
    /// Since when events are counted: the first of the month, in UTC.
    since: Instant,
    /// Events of its websites this month.
    events: Used,
    /// Websites.
    websites: Used,
    /// Members.
    members: Used,
    /// Workspace keys that are not revoked.
    #[schema(examples(2))]
    keys: u64,
    /// What assistants asked today in the name of whoever asks, in teams with this plan.
    mcp_queries: UsedToday,
}

/// What is used of the limit of a day.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsedToday {
    /// What is used.
    #[schema(examples(12))]
    used: u64,
    /// What the plan includes; null without limit.
    #[schema(required = true, examples(1000))]
    limit: Option<u64>,
    /// When the day ends, in UTC.
    resets_at: Instant,
}

/// What is used of a limit.
#[derive(Debug, Serialize, ToSchema)]
pub struct Used {
    /// What is used.
    #[schema(examples(3))]
    used: u64,
    /// What the plan includes; null without limit.
    #[schema(required = true, examples(10))]
    limit: Option<u64>,
}
