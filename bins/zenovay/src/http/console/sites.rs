//! `/api/websites`: the list with its numbers, adding, changing and deleting a website.

use std::collections::HashSet;
use std::sync::Arc;

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};
use zenovay_auth::Principal;
use zenovay_domain::{Role, TeamId, TimeRange, Timestamp, TrackingCode, Website, WebsiteId, Zone, excluded_network};
use zenovay_query::QueryError;
use zenovay_stats::Metric;
use zenovay_store::{Metadata, NewWebsite, StoreError};

use super::numbers::{Tiles, tiles};
use super::queries::{Answered, Asks};
use super::view::{Facts, View, ViewParams};
use super::{Console, Created, JsonBody, NoContent, Rules, changing, refused};
use crate::http::document::Parameter;
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{CreateWebsite, DeleteWebsite, EditWebsite, Identity, ListWebsites, ReadWebsite};
use crate::http::lookups::off_the_worker;
use crate::http::params::{Params, Query, QueryParams};
use crate::http::queries::QuerySession;
use crate::http::state::AppState;
use crate::http::stats::answers::Rate;
use crate::http::values::{Id, Instant, RoleName, one_of, rounded};
use crate::http::website_settings::{Settings, SettingsChanges};

/// A website without an event for so long is silent.
const SILENT_AFTER_MS: i64 = 2 * 24 * 3_600_000;

/// The role of `principal` in a team.
fn role_in(principal: Principal<'_>, team: TeamId) -> Option<Role> {
    let teams = match principal {
        Principal::Key(key) => &key.teams,
        Principal::Person(person) => &person.teams,
    };
    teams.iter().find(|access| access.team_id == team).map(|access| access.role)
}

/// The websites that `principal` reaches, the oldest first. Blocks.
///
/// # Errors
/// When the store cannot be asked.
pub fn reachable(state: &AppState, principal: Principal<'_>) -> Result<Vec<Website>, StoreError> {
    match principal {
        Principal::Key(key) => state.store.reachable_websites(key, &state.plans),
        Principal::Person(person) => {
            let teams: Vec<TeamId> = person.teams.iter().map(|access| access.team_id).collect();
            state.store.websites_of_teams(&teams)
        }
    }
}

/// What a website is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebsiteState {
    /// Events come.
    Live,
    /// None came for two days.
    Silent,
    /// Its events are dropped, because somebody paused it.
    Paused,
    /// It never had an event.
    NoEvents,
}

impl WebsiteState {
    const NAMES: [&'static str; 4] = ["live", "silent", "paused", "no_events"];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        let [live, silent, paused, no_events] = Self::NAMES;
        match self {
            Self::Live => live,
            Self::Silent => silent,
            Self::Paused => paused,
            Self::NoEvents => no_events,
        }
    }

    /// That of `website` at `now`, whose events are in `span`.
    pub fn of(website: &Website, span: Option<TimeRange>, now: Timestamp) -> Self {
        match span {
            _ if !website.settings.is_active => Self::Paused,
            None => Self::NoEvents,
            Some(span) if now.millis_since(span.to) >= SILENT_AFTER_MS => Self::Silent,
            Some(_) => Self::Live,
        }
    }
}

impl Serialize for WebsiteState {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl PartialSchema for WebsiteState {
    fn schema() -> RefOr<Schema> {
        one_of(
            "`live`: events come; `silent`: none for two days; `paused`: events are dropped; `no_events`: none ever came",
            Self::NAMES,
        )
    }
}

impl ToSchema for WebsiteState {}

/// The time of the last event in `span`.
pub fn last_event(span: Option<TimeRange>) -> Option<Instant> {
    span.map(|span| Instant(span.to.plus_millis(-1)))
}

/// A view of several websites.
#[derive(Debug, Clone)]
pub struct ListParams {
    view: ViewParams,
    team: Option<TeamId>,
}

impl QueryParams for ListParams {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        let view = ViewParams::read(params, now);
        params.declare(|| Parameter::query("team", "Only the websites of this team.").schema_of::<Id>());
        let team = params.get("team").map(str::parse::<TeamId>);
        if let Some(Err(_)) = team {
            params.problem("team", "use the id of a team");
        }
        Self { view, team: team.and_then(Result::ok) }
    }
}

/// Websites with their numbers.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebsiteList {
    /// The oldest first.
    websites: Vec<ListedWebsite>,
    /// Of all of them together.
    totals: ListTotals,
}

/// A website with its numbers, each website's in its own zone.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedWebsite {
    /// The website.
    #[serde(flatten)]
    facts: WebsiteFacts,
    /// Visitors of this moment.
    #[schema(examples(4))]
    live: u64,
    /// The numbers of the range.
    totals: ListedTotals,
    /// The visitors of each bucket of the range, the oldest first.
    #[schema(examples(12))]
    series: Vec<u64>,
}

/// What is known of a website without its events.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WebsiteFacts {
    /// Its id.
    id: Id,
    /// Its domain.
    #[schema(examples("shop.example.com"))]
    domain: String,
    /// The name people see.
    #[schema(examples("Shop"))]
    name: String,
    /// The team that owns it.
    team_id: Id,
    /// The caller's role in that team.
    role: RoleName,
    /// The public code in its script tag.
    #[schema(examples("ZV_abc123XYZ09"))]
    tracking_code: String,
    /// When it was created.
    created_at: Instant,
    /// What it is doing.
    state: WebsiteState,
    /// The time of its last event; null before the first one.
    #[schema(required = true)]
    last_event_at: Option<Instant>,
}

impl WebsiteFacts {
    fn of(website: &Website, principal: Principal<'_>, span: Option<TimeRange>, now: Timestamp) -> Self {
        Self {
            id: website.id.into(),
            domain: website.domain.clone(),
            name: website.name.clone(),
            team_id: website.team_id.into(),
            // Whoever reaches a website has a role in its team.
            role: RoleName(role_in(principal, website.team_id).unwrap_or(Role::Viewer)),
            tracking_code: website.tracking_code.as_str().to_owned(),
            created_at: Instant(website.created_at),
            state: WebsiteState::of(website, span, now),
            last_event_at: last_event(span),
        }
    }
}

/// The numbers of a website in a list.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct ListedTotals {
    /// The tiles of its dashboard.
    #[serde(flatten)]
    tiles: Tiles,
    /// How many more visitors than in what is compared with, as a fraction: 0.5 is half as many again. Null where those were
    /// none, or nothing is compared with.
    change: Rate,
}

/// The numbers of several websites together. Visitors of two websites count twice: nobody is recognised across websites.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub struct ListTotals {
    /// Visitors of this moment.
    #[schema(examples(12))]
    live: u64,
    /// The sum of the visitors.
    #[schema(examples(1420))]
    visitors: u64,
    /// The sum of the pageviews.
    #[schema(examples(5211))]
    pageviews: u64,
    /// The sum of the visitors in what is compared with; null when nothing is.
    #[schema(required = true, examples(1311))]
    visitors_before: Option<u64>,
}

/// The websites within reach, with their numbers.
pub async fn list(
    key: Console<ListWebsites>,
    state: web::Data<AppState>,
    query: Query<ListParams>,
) -> Result<Answered<WebsiteList>, ApiError> {
    let now = state.clock.now();
    let ListParams { view, team } = query.read(now)?;
    let asks = Asks::new(&state, &key, key.asking(), None);
    let asked = asks.clone();
    let work = async move {
        let found = off_the_worker(&state, move |state| {
            let principal = key.caller.principal();
            let mut websites = reachable(state, principal)?;
            websites.retain(|website| team.is_none_or(|team| website.team_id == team));
            let mut found = Vec::with_capacity(websites.len());
            for website in websites {
                let span = state.events.span(website.id);
                let facts = Facts { zone: zone_of(&website), goals: state.store.goals(website.id)?, span, now };
                let view = view.of(facts)?;
                found.push((website.id, WebsiteFacts::of(&website, principal, span, now), view));
            }
            Ok::<_, ApiError>(found)
        });
        let found = found.await?;
        let numbers = asked.run(move |asker| {
            let each = found.into_iter().map(|(id, facts, view)| listed(asker, id, facts, &view, now));
            each.collect::<Result<Vec<_>, _>>()
        });
        let mut totals = ListTotals::default();
        let mut websites = Vec::new();
        for (website, before) in numbers.await? {
            totals.live += website.live;
            totals.visitors += website.totals.tiles.visitors;
            totals.pageviews += website.totals.tiles.pageviews;
            if let Some(before) = before {
                *totals.visitors_before.get_or_insert(0) += before;
            }
            websites.push(website);
        }
        Ok(Success::new(WebsiteList { websites, totals }, now))
    };
    asks.answer(work).await
}

/// The zone of a website's days.
pub fn zone_of(website: &Website) -> Zone {
    // The store takes no zone that there is not.
    website.settings.time_zone.parse().unwrap_or_else(|_| Zone::utc())
}

/// A website of the list, and its visitors in what is compared with.
fn listed(
    asker: &QuerySession<'_>,
    id: WebsiteId,
    facts: WebsiteFacts,
    view: &View,
    now: Timestamp,
) -> Result<(ListedWebsite, Option<u64>), QueryError> {
    let ask = |query: &_| asker.any(id, query);
    let numbers = tiles(view, view.range, &ask)?;
    let before = view.earlier.map(|range| view.ask(&[Metric::Visitors]).in_range(range).aggregate(ask));
    let before = before.transpose()?.map(|totals| totals.metrics.visitors);
    let change = before.filter(|before| *before > 0).map(|before| {
        let (before, now) = (before as f64, numbers.visitors as f64);
        (now - before) / before
    });
    let buckets = view.ask(&[Metric::Visitors]).timeseries(view.interval, &view.zone, ask)?;
    let website = ListedWebsite {
        facts,
        live: asker.live(id, now)?,
        totals: ListedTotals { tiles: numbers, change: Rate(rounded(change, 4)) },
        series: buckets.iter().map(|bucket| bucket.totals.metrics.visitors).collect(),
    };
    Ok((website, before))
}

/// A website to be added.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewWebsiteBody {
    /// The team that will own it.
    #[schema(examples("0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    team_id: String,
    /// Its domain, without a scheme: `shop.example.com`.
    #[schema(examples("shop.example.com"))]
    domain: String,
    /// The name people see, 1 to 100 characters; the domain when it is absent.
    #[schema(examples("Shop"))]
    name: Option<String>,
    /// The IANA zone in which days are cut; UTC when it is absent.
    #[schema(examples("Europe/Zurich"))]
    time_zone: Option<String>,
}

/// The IANA zone `zone`.
fn check_zone(rules: &mut Rules, field: &str, zone: &str) {
    rules.require(zone.parse::<Zone>().is_ok(), field, "Use a name of the IANA database, such as Europe/Berlin");
}

/// Adds a website to a team.
pub async fn create(
    key: Console<CreateWebsite>,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<NewWebsiteBody>,
) -> Result<Created<ConsoleWebsite>, ApiError> {
    let NewWebsiteBody { team_id, domain, name, time_zone } = body.read().await?;
    let mut rules = Rules::default();
    let team_id = team_id.parse();
    rules.require(team_id.is_ok(), "team_id", "Not the id of a team");
    let domain = rules.domain("domain", domain.trim());
    let name = name.map(|name| rules.name("name", &name));
    if let Some(zone) = &time_zone {
        check_zone(&mut rules, "time_zone", zone);
    }
    rules.check()?;
    let Ok(team_id) = team_id else { return Err(ApiError::internal()) };
    key.concerns(&req, team_id);
    key.note(&req, "domain", &domain);
    let now = state.clock.now();
    let made = off_the_worker(&state, move |state| {
        key.in_team(state, team_id)?;
        let principal = key.caller.principal();
        let id = WebsiteId::from_random_bytes(rand::random());
        let mut new = NewWebsite::new(id, team_id, domain, TrackingCode::from_random_bytes(rand::random()));
        new.user_id = creator(principal);
        new.name = name.unwrap_or(new.name);
        new.settings.time_zone = time_zone.unwrap_or(new.settings.time_zone);
        let website = key.store_in(team_id, state).create_website(&new, &state.plans, now).map_err(refused)?;
        Ok::<_, ApiError>(ConsoleWebsite::of(&website, principal, None, now))
    });
    let made = made.await?;
    Ok(Created::at(made.location(), made, now))
}

/// Who creates what `principal` creates.
fn creator(principal: Principal<'_>) -> Option<zenovay_domain::UserId> {
    match principal {
        Principal::Person(person) => Some(person.user_id),
        Principal::Key(key) => match key.kind {
            zenovay_auth::KeyKind::Personal(user) => Some(user),
            zenovay_auth::KeyKind::Workspace(_) => None,
        },
    }
}

/// A website with its settings.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsoleWebsite {
    #[serde(skip)]
    id: WebsiteId,
    /// The website.
    #[serde(flatten)]
    facts: WebsiteFacts,
    /// What is set for it.
    settings: Settings,
}

impl ConsoleWebsite {
    fn of(website: &Website, principal: Principal<'_>, span: Option<TimeRange>, now: Timestamp) -> Self {
        let facts = WebsiteFacts::of(website, principal, span, now);
        Self { id: website.id, facts, settings: Settings::of(&website.settings) }
    }

    fn location(&self) -> String {
        format!("/api/websites/{}", self.id)
    }
}

/// One website with its settings.
pub async fn detail(
    key: Console<ReadWebsite>,
    state: web::Data<AppState>,
) -> Result<Success<ConsoleWebsite>, ApiError> {
    let now = state.clock.now();
    let span = state.events.span(key.resource.id);
    Ok(Success::new(ConsoleWebsite::of(&key.resource, key.caller.principal(), span, now), now))
}

/// What is changed of a website; what is absent stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebsiteChanges {
    /// The name people see, 1 to 100 characters.
    #[schema(examples("Shop"))]
    name: Option<String>,
    /// Its domain.
    #[schema(examples("shop.example.com"))]
    domain: Option<String>,
    /// The settings that are changed.
    settings: Option<SettingsChanges>,
}

/// Changes a website: its name, its domain, its settings.
pub async fn change(
    key: Console<EditWebsite>,
    state: web::Data<AppState>,
    body: JsonBody<WebsiteChanges>,
) -> Result<Success<ConsoleWebsite>, ApiError> {
    let (id, body, now) = (key.resource.id, body.read().await?, state.clock.now());
    let website = apply(&state, key.store(&state), id, body).await?;
    let span = state.events.span(website.id);
    Ok(Success::new(ConsoleWebsite::of(&website, key.caller.principal(), span, now), now))
}

/// Changes a website.
pub(in crate::http) async fn apply(
    state: &web::Data<AppState>,
    store: Arc<dyn Metadata>,
    id: WebsiteId,
    mut changes: WebsiteChanges,
) -> Result<Website, ApiError> {
    let mut rules = Rules::default();
    changes.name = changes.name.map(|name| rules.name("name", &name));
    changes.domain = changes.domain.map(|domain| rules.domain("domain", domain.trim()));
    if let Some(zone) = changes.settings.as_ref().and_then(|settings| settings.time_zone.as_ref()) {
        check_zone(&mut rules, "settings.time_zone", zone);
    }
    rules.check()?;
    changing(state, move |_| edit(&*store, id, changes)).await
}

/// Blocks.
fn edit(store: &dyn Metadata, id: WebsiteId, changes: WebsiteChanges) -> Result<Website, StoreError> {
    let WebsiteChanges { name, domain, settings } = changes;
    store.edit_website(id, &mut |website| {
        if let Some(name) = &name {
            website.name.clone_from(name);
        }
        if let Some(domain) = &domain {
            website.domain.clone_from(domain);
        }
        if let Some(settings) = &settings {
            settings.clone().apply(&mut website.settings);
            if settings.names_addresses() {
                // Of one address in several spellings the first.
                let mut seen = HashSet::new();
                let is_first = |entry: &String| excluded_network(entry).is_none_or(|network| seen.insert(network));
                website.settings.excluded_ips.retain(is_first);
            }
        }
        Ok(())
    })
}

/// What confirms that a website is to be deleted.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Deletion {
    /// The domain of the website, typed to confirm.
    #[schema(examples("shop.example.com"))]
    domain: String,
}

/// Deletes a website with its events, its goals and funnels, when its domain is typed.
pub async fn delete(
    key: Console<DeleteWebsite>,
    state: web::Data<AppState>,
    body: JsonBody<Deletion>,
) -> Result<NoContent, ApiError> {
    let typed = body.read().await?.domain;
    remove(&state, key.store(&state), Arc::clone(&key.resource), &typed).await?;
    Ok(NoContent)
}

/// Whether `typed` is the domain of a website, as whoever deletes it has to write.
pub(in crate::http) fn confirms(typed: &str, website: &Website) -> bool {
    typed.trim().eq_ignore_ascii_case(&website.domain)
}

/// Deletes a website whose domain is `typed`.
pub(in crate::http) async fn remove(
    state: &web::Data<AppState>,
    store: Arc<dyn Metadata>,
    website: Arc<Website>,
    typed: &str,
) -> Result<(), ApiError> {
    let mut rules = Rules::default();
    rules.require(confirms(typed, &website), "domain", &format!("Type {} to confirm", website.domain));
    rules.check()?;
    let now = state.clock.now();
    changing(state, move |_| store.delete_website(website.id, now)).await
}

/// Gives a website another tracking code; the old one is refused from now on.
pub async fn renew_code(
    key: Console<EditWebsite>,
    state: web::Data<AppState>,
) -> Result<Created<ConsoleWebsite>, ApiError> {
    let now = state.clock.now();
    let changed = changing(&state, move |state| {
        let code = TrackingCode::from_random_bytes(rand::random());
        let website = key.store(state).set_tracking_code(key.resource.id, &code)?;
        let span = state.events.span(website.id);
        Ok(ConsoleWebsite::of(&website, key.caller.principal(), span, now))
    });
    let changed = changed.await?;
    Ok(Created::at(changed.location(), changed, now))
}
