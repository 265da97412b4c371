//! `/api/websites/:websiteId/install`: whether events arrive, and what keeps them out. Nothing is fetched from the website.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};
use zenovay_domain::{Dimension, HostRefusal, TimeRange, Timestamp, Website, WebsiteId, WebsiteRules, parse_host};
use zenovay_query::{Query as EventQuery, QueryError, Question as EventQuestion};
use zenovay_store::{DroppedHits, StoreError};

use super::hub::RefusedHost;
use super::reader::Question;
use super::sites::{WebsiteState, last_event};
use super::{Console, JsonBody, Rules, changing};
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{EditWebsite, ReadAnalytics};
use crate::http::queries::QuerySession;
use crate::http::state::AppState;
use crate::http::values::{Instant, one_of};

/// The most dropped agents that are told.
const AGENTS_MAX: usize = 20;

/// How an install is doing.
#[derive(Debug, Serialize, ToSchema)]
pub struct Install {
    /// The first event; absent before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_event: Option<FirstEvent>,
    /// The time of the last event; null before the first one.
    #[schema(required = true)]
    last_event_at: Option<Instant>,
    /// What the website is doing.
    state: WebsiteState,
    /// Hosts whose events were refused in the last 24 hours, since the server was started; the last one first.
    refused: Vec<Refused>,
    /// User agents whose hits were dropped as a bot's in the last days, the most frequent first.
    dropped_agents: Vec<DroppedAgent>,
    /// Install Health.
    health: InstallHealth,
}

/// The first event of a website.
#[derive(Debug, Serialize, ToSchema)]
pub struct FirstEvent {
    /// When it happened.
    at: Instant,
    /// Its page.
    #[schema(examples("/pricing"))]
    path: String,
}

/// A host whose events are refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refused {
    /// The host.
    #[schema(examples("staging.example.net"))]
    host: String,
    /// How many events.
    #[schema(examples(2))]
    events: u64,
    /// When the last one came.
    last_at: Instant,
    /// What lets them in.
    remedy: Remedy,
}

/// What lets the events of a host in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// To add the host to the website's domains.
    AllowHost,
    /// To switch *Allow Localhost* on.
    AllowLocalhost,
    /// Nothing: it is not a host.
    None,
}

impl Remedy {
    const NAMES: [&'static str; 3] = ["allow_host", "allow_localhost", "none"];

    fn of(refused: &RefusedHost) -> Self {
        match refused.refusal {
            HostRefusal::Local => Self::AllowLocalhost,
            _ if parse_host(&refused.host).is_ok() => Self::AllowHost,
            _ => Self::None,
        }
    }
}

impl Serialize for Remedy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [host, localhost, none] = Self::NAMES;
        serializer.serialize_str(match self {
            Self::AllowHost => host,
            Self::AllowLocalhost => localhost,
            Self::None => none,
        })
    }
}

impl PartialSchema for Remedy {
    fn schema() -> RefOr<Schema> {
        one_of(
            "What lets events of the host in: to allow the host, to allow local hosts, or nothing because it is not a host",
            Self::NAMES,
        )
    }
}

impl ToSchema for Remedy {}

impl From<RefusedHost> for Refused {
    fn from(refused: RefusedHost) -> Self {
        let remedy = Remedy::of(&refused);
        Self { host: refused.host.to_string(), events: refused.events, last_at: Instant(refused.last_at), remedy }
    }
}

/// A user agent whose hits are dropped.
#[derive(Debug, Serialize, ToSchema)]
pub struct DroppedAgent {
    /// The user agent.
    #[schema(examples("ExampleBot/1.0"))]
    agent: String,
    /// Why it is a bot's.
    #[schema(examples("names_itself"))]
    reason: String,
    /// What matched; empty where the reason says it all.
    #[schema(examples("bot"))]
    rule: String,
    /// How many hits.
    #[schema(examples(12))]
    hits: u64,
    /// When the last one came.
    last_at: Instant,
}

impl From<DroppedHits> for DroppedAgent {
    fn from(dropped: DroppedHits) -> Self {
        let DroppedHits { agent, reason, rule, hits, last_at, .. } = dropped;
        Self { agent, reason, rule, hits, last_at: Instant(last_at) }
    }
}

/// Install Health (SPEC G2).
#[derive(Debug, Serialize, ToSchema)]
pub struct InstallHealth {
    /// The time of the last event; null before the first one.
    #[schema(required = true)]
    last_event_seen_at: Option<Instant>,
    /// Whole minutes since then; null before the first one.
    #[schema(required = true, examples(3))]
    minutes_since_last_event: Option<i64>,
    /// Events of the last five minutes.
    #[schema(examples(4))]
    last_event_count_5m: u64,
    /// Events of the last 24 hours.
    #[schema(examples(1204))]
    last_event_count_24h: u64,
    /// Always null: nothing is fetched from the website.
    #[schema(required = true)]
    script_reachable: Option<bool>,
    /// Always false: nothing is fetched from the website.
    csp_blocking_suspected: bool,
    /// Whether visitors are recognised without anything stored in the browser.
    cookieless_enabled: bool,
    /// What is wrong, or may be; empty when all is well.
    issues: Vec<InstallIssue>,
}

/// Something that is wrong with an install, or may be.
#[derive(Debug, Serialize, ToSchema)]
pub struct InstallIssue {
    /// What it is, for programs: `paused`, `no_events`, `silent`, `refused` or `bots`.
    #[schema(examples("refused"))]
    code: &'static str,
    /// What it is, for people.
    #[schema(examples(
        "2 events from staging.example.net were refused. That host is not one of this website's domains."
    ))]
    message: String,
}

/// How the install of a website is doing.
pub async fn show(key: Console<ReadAnalytics>, state: web::Data<AppState>) -> Result<Success<Install>, ApiError> {
    let question = Question::of(&key, &state);
    let (id, now) = (question.id(), question.now);
    let span = state.events.span(id);
    let dropped = changing(&state, move |state| state.store.dropped_agents(id, now)).await?;
    let counts = question.run(move |asker| {
        let since = |millis: i64| TimeRange::new(now.plus_millis(-millis), now.plus_millis(1));
        let minutes = asker.overview(id, since(5 * 60_000))?.events;
        let day = asker.overview(id, since(24 * 3_600_000))?.events;
        let first = span.map(|span| first_event(asker, id, span)).transpose()?.flatten();
        Ok((minutes, day, first))
    });
    let (last_event_count_5m, last_event_count_24h, first_event) = counts.await?;
    let website_state = WebsiteState::of(&question.website, span, now);
    let refused: Vec<Refused> = state.live.refused(id, now).into_iter().map(Refused::from).collect();
    let issues = issues(website_state, &refused, span, now);
    let health = InstallHealth {
        last_event_seen_at: last_event(span),
        minutes_since_last_event: span.map(|span| now.millis_since(span.to.plus_millis(-1)).max(0) / 60_000),
        last_event_count_5m,
        last_event_count_24h,
        script_reachable: None,
        csp_blocking_suspected: false,
        cookieless_enabled: question.website.settings.cookieless,
        issues,
    };
    let answer = Install {
        first_event,
        last_event_at: last_event(span),
        state: website_state,
        refused,
        dropped_agents: dropped.into_iter().take(AGENTS_MAX).map(DroppedAgent::from).collect(),
        health,
    };
    Ok(Success::new(answer, now))
}

/// The first event of a website whose events are in `span`.
fn first_event(asker: &QuerySession<'_>, id: WebsiteId, span: TimeRange) -> Result<Option<FirstEvent>, QueryError> {
    let range = TimeRange::new(span.from, span.from.plus_millis(1));
    let question = EventQuestion::Events { limit: 1, offset: 0 };
    let table = asker.any(id, &EventQuery::new(range, question))?.into_events()?;
    Ok(table.at.first().map(|at| FirstEvent {
        at: Instant(*at),
        path: table.columns[Dimension::Path as usize].get(0).unwrap_or("").to_owned(),
    }))
}

fn issues(state: WebsiteState, refused: &[Refused], span: Option<TimeRange>, now: Timestamp) -> Vec<InstallIssue> {
    let mut issues = Vec::new();
    let mut add = |code, message: String| issues.push(InstallIssue { code, message });
    match (state, span) {
        (WebsiteState::Paused, _) => add("paused", "The website is paused. Events are dropped.".to_owned()),
        (WebsiteState::NoEvents, _) => add("no_events", "No event has arrived yet.".to_owned()),
        (WebsiteState::Silent, Some(span)) => {
            let days = now.millis_since(span.to) / (24 * 3_600_000);
            add("silent", format!("No event has arrived for {days} days."));
        }
        _ => {}
    }
    for refused in refused {
        let why = match refused.remedy {
            Remedy::AllowLocalhost => "Local hosts are not allowed for this website.",
            Remedy::AllowHost | Remedy::None => "That host is not one of this website's domains.",
        };
        add("refused", format!("{} events from {} were refused. {why}", refused.events, refused.host));
    }
    issues
}

/// A host to be let in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowedHost {
    /// The host.
    #[schema(examples("staging.example.net"))]
    host: String,
}

/// How an install is doing after a host was let in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Allowed {
    /// The hosts that may send events, when they replace the single domain check.
    #[schema(examples("staging.example.net"))]
    allowed_domains: Vec<String>,
    /// Whether hits from local hosts are accepted.
    allow_localhost: bool,
}

/// Lets the events of a host in: the one-click remedy for refused ones.
pub async fn allow(
    key: Console<EditWebsite>,
    state: web::Data<AppState>,
    body: JsonBody<AllowedHost>,
) -> Result<Success<Allowed>, ApiError> {
    let typed = body.read().await?.host;
    let mut rules = Rules::default();
    let host = parse_host(typed.trim());
    rules.require(host.is_ok(), "host", "Not a host such as staging.example.net");
    rules.check()?;
    let Ok(host) = host else { return Err(ApiError::internal()) };
    let id = key.resource.id;
    let store = key.store(&state);
    let allowed = changing(&state, move |state| {
        let website = store.edit_website(id, &mut |website| let_in(website, &host))?;
        state.live.forget_refused(id, &host);
        Ok(Allowed {
            allowed_domains: website.settings.allowed_domains,
            allow_localhost: website.settings.allow_localhost,
        })
    });
    Ok(Success::new(allowed.await?, state.clock.now()))
}

/// Changes the settings so that `host` may send events. Those that could before still can.
fn let_in(website: &mut Website, host: &str) -> Result<(), StoreError> {
    let compiled = WebsiteRules::compile(website);
    let rules = compiled.map_err(|invalid| StoreError::Invalid { field: invalid.setting, reason: invalid.problem })?;
    match rules.check_host(host) {
        Ok(()) => {}
        Err(HostRefusal::Local) => website.settings.allow_localhost = true,
        Err(_) => {
            if website.settings.allowed_domains.is_empty() {
                // From now on the list replaces the check of the domain, which lets the domain and all below it in.
                let own = website.domain.clone();
                let bare = own.strip_prefix("www.").map(str::to_owned);
                website.settings.allowed_domains = vec![format!("*.{own}"), own];
                website.settings.allowed_domains.extend(bare);
            }
            website.settings.allowed_domains.push(host.to_owned());
        }
    }
    Ok(())
}
