//! `/api/websites/:websiteId/visitors`: who was here, and what one visitor did.

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use zenovay_auth::{Action, Principal};
use zenovay_domain::{Dimension, Event, EventKind, SessionId, Timestamp, VisitorId, value_score};
use zenovay_query::{Query as EventQuery, Question as EventQuestion, VisitorPage, VisitorRecord};

use super::files::{columns, sheet_name};
use super::moments::{self, MayRead, Span, VisitMoment};
use super::numbers::ShownRange;
use super::queries::Answered;
use super::reader::Question;
use super::view::{View, ViewParams};
use super::{Console, NoContent};
use crate::http::document::Parameter;
use crate::http::document::bodies::Properties;
use crate::http::envelope::{ApiError, Success};
use crate::http::export::sheets::{Accept, Exported, Format, Listed, PAGE_ROWS, values};
use crate::http::external::analytics::GEO_NOTICE;
use crate::http::guard::{EraseVisitor, Identity, ReadAnalytics};
use crate::http::lookups::off_the_worker;
use crate::http::params::{Params, Query, QueryParams};
use crate::http::state::AppState;
use crate::http::values::Instant;
use crate::visitors::{self, VisitorName};

/// The visitors of a page when nobody says, and at most.
const PAGE: [usize; 2] = [50, 500];
/// The most events of a timeline: the latest.
const TIMELINE_MAX: usize = 2_000;

/// Where a list of visitors goes on: after the visitor with this newest visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor(Timestamp, VisitorId);

impl Cursor {
    fn of(record: &VisitorRecord) -> Self {
        Self(record.visited_at, record.visitor)
    }

    fn read(text: &str) -> Option<Self> {
        let (at, visitor) = text.split_once('-')?;
        let visitor = u64::from_str_radix(visitor, 16).ok()?;
        Some(Self(Timestamp::from_millis(at.parse().ok()?), VisitorId(visitor)))
    }

    fn write(self) -> String {
        format!("{}-{:016x}", self.0.as_millis(), self.1.0)
    }
}

/// A view, and which visitors of it.
#[derive(Debug, Clone)]
pub struct VisitorParams {
    view: ViewParams,
    limit: usize,
    after: Option<Cursor>,
    format: Option<Format>,
}

impl QueryParams for VisitorParams {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        let view = ViewParams::read(params, now);
        let limit = params.limit(PAGE[0], PAGE[1]);
        params.declare(|| Parameter::query("cursor", "The place after the last visitor of the page before."));
        let after = params.get("cursor").map(Cursor::read);
        if after == Some(None) {
            params.problem("cursor", "use a cursor as it came in the answer before");
        }
        Self { view, limit, after: after.flatten(), format: Format::read_file(params) }
    }
}

/// Visitors.
#[derive(Debug, Serialize, ToSchema)]
pub struct VisitorList {
    /// What was looked at.
    range: ShownRange,
    /// The newest visit first.
    visitors: Vec<ShownVisitor>,
    /// What to give as `cursor` for the next page; null on the last one.
    #[schema(required = true, examples("1781352000000-5f2d0c9b7a416e38"))]
    next_cursor: Option<String>,
}

/// A visitor, told by the newest visit in the range.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownVisitor {
    /// What everybody may know who reads the numbers.
    #[serde(flatten)]
    visit: NewestVisit,
    /// The operating system.
    #[schema(examples("Linux"))]
    os: String,
    /// Whether something else than pageviews happened.
    interacted: bool,
    /// The value score of the visit, 0 to 100.
    #[schema(examples(90), maximum = 100)]
    value_score: u8,
}

/// A visitor's newest visit in a range.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewestVisit {
    /// The visitor's id.
    #[schema(examples("5f2d0c9b7a416e38"))]
    id: String,
    /// When the visit began.
    visited_at: Instant,
    /// The page it began with.
    #[schema(examples("/"))]
    entry_page: String,
    /// The referrer; empty when direct.
    #[schema(examples("https://www.google.com/"))]
    referrer: String,
    /// The country; empty when unknown.
    #[schema(examples("DE"))]
    country: String,
    /// The city; empty when unknown.
    #[schema(examples("Berlin"))]
    city: String,
    /// The device.
    #[schema(examples("desktop"))]
    device: String,
    /// The browser.
    #[schema(examples("Firefox"))]
    browser: String,
    /// Pages viewed in the visit.
    #[schema(examples(3))]
    pageviews: u64,
    /// How long the visit is, seconds.
    #[schema(examples(124.5))]
    duration: f64,
}

/// The columns of a file, which are the members of a visit, and of a visitor.
pub const VISIT_COLUMNS: [&str; 10] =
    ["id", "visited_at", "entry_page", "referrer", "country", "city", "device", "browser", "pageviews", "duration"];
const VISITOR_COLUMNS: [&str; 3] = ["os", "interacted", "value_score"];

impl From<VisitorRecord> for NewestVisit {
    fn from(record: VisitorRecord) -> Self {
        Self {
            id: record.visitor.to_string(),
            visited_at: Instant(record.visited_at),
            entry_page: record.landing_page,
            referrer: record.referrer,
            country: record.country,
            city: record.city,
            device: record.device,
            browser: record.browser,
            pageviews: record.pageviews,
            duration: record.duration_ms as f64 / 1_000.0,
        }
    }
}

impl From<VisitorRecord> for ShownVisitor {
    fn from(mut record: VisitorRecord) -> Self {
        Self {
            os: std::mem::take(&mut record.os),
            interacted: record.had_interaction,
            value_score: record.value_score,
            visit: record.into(),
        }
    }
}

async fn page(question: &Question, view: View, limit: usize, after: Option<Cursor>) -> Result<VisitorPage, ApiError> {
    let id = question.id();
    let page = question.run(move |asker| {
        let after = after.map(|Cursor(at, visitor)| (at, visitor));
        let visitors = EventQuestion::Visitors { limit, offset: 0, after };
        asker.any(id, &EventQuery::new(view.range, visitors).filter(view.filters.all()))?.into_visitors()
    });
    page.await
}

/// The visitors of a view, the newest visit first.
pub async fn list(
    key: Console<ReadAnalytics>,
    state: web::Data<AppState>,
    query: Query<VisitorParams>,
    accept: Accept,
) -> Result<Exported<Answered<VisitorList>>, ApiError> {
    let question = Question::of(&key, &state);
    let VisitorParams { view, limit, after, format } = query.read(question.now)?;
    if let Some(format) = accept.file(format) {
        let view = question.view(&view).await?;
        let name = sheet_name(&question.website, "visitors", &view);
        let next_page = move |after: Option<Cursor>| {
            let (question, view) = (question.clone(), view.clone());
            async move {
                let VisitorPage { visitors, has_more, .. } = page(&question, view, PAGE_ROWS, after).await?;
                let next = visitors.last().filter(|_| has_more).map(Cursor::of);
                let shown: Vec<ShownVisitor> = visitors.into_iter().map(ShownVisitor::from).collect();
                Ok((values(&shown), next))
            }
        };
        let columns = columns(&[&VISIT_COLUMNS, &VISITOR_COLUMNS], &[], false);
        return Ok(Listed::stream(format, &name, columns, next_page).await?.with_link(Some(GEO_NOTICE)));
    }
    let answer = question.answer(move |question| async move {
        let view = question.view(&view).await?;
        let range = ShownRange::of(&view);
        let VisitorPage { visitors, has_more, .. } = page(&question, view, limit, after).await?;
        let next_cursor = visitors.last().filter(|_| has_more).map(|last| Cursor::of(last).write());
        let visitors = visitors.into_iter().map(ShownVisitor::from).collect();
        Ok(Success::new(VisitorList { range, visitors, next_cursor }, question.now))
    });
    answer.await.map(Listed::Json)
}

/// The visitor that a path names.
#[derive(Debug, Deserialize)]
pub struct VisitorPath {
    visitor: String,
}

impl VisitorPath {
    fn id(&self, state: &AppState, website: zenovay_domain::WebsiteId) -> Result<VisitorId, ApiError> {
        let name = VisitorName::parse(&self.visitor)
            .ok_or_else(|| ApiError::invalid("visitor", "Must be the id of a visitor"))?;
        Ok(name.id(|sent| state.ingest.known_visitor(website, sent)))
    }
}

/// What one visitor did.
#[derive(Debug, Serialize, ToSchema)]
pub struct Timeline {
    /// The visitor's id.
    #[schema(examples("5f2d0c9b7a416e38"))]
    id: String,
    /// The time of the first event.
    first_seen_at: Instant,
    /// The time of the last activity.
    last_seen_at: Instant,
    /// Where the first visit came from; empty when direct.
    #[schema(examples("Google"))]
    first_source: String,
    /// The country of the last visit; empty when unknown.
    #[schema(examples("DE"))]
    country: String,
    /// Its region.
    #[schema(examples("BE"))]
    region: String,
    /// Its city.
    #[schema(examples("Berlin"))]
    city: String,
    /// Its device.
    #[schema(examples("desktop"))]
    device: String,
    /// Its browser.
    #[schema(examples("Firefox"))]
    browser: String,
    /// Its operating system.
    #[schema(examples("Linux"))]
    os: String,
    /// Its language.
    #[schema(examples("de"))]
    language: String,
    /// Pages viewed, of all visits.
    #[schema(examples(5))]
    pageviews: u64,
    /// Whether there are more events, earlier ones.
    truncated: bool,
    /// The visits, the newest first.
    visits: Vec<Visit>,
}

/// A visit.
#[derive(Debug, Serialize, ToSchema)]
pub struct Visit {
    /// Its id.
    #[schema(examples("00c3a1f95be2d874"))]
    id: String,
    /// When it began.
    began_at: Instant,
    /// Its last activity.
    last_at: Instant,
    /// How it came: the channel.
    #[schema(examples("Organic Search"))]
    channel: String,
    /// Where it came from; empty when direct.
    #[schema(examples("Google"))]
    source: String,
    /// How valuable it looks.
    score: ShownScore,
    /// What happened, the earliest first.
    events: Vec<TimelineEvent>,
    /// Errors and rage clicks, the earliest first, at most the last 500 of each of all visits: those alone that the caller may read
    /// as errors, heatmaps and replays, and that the plan includes.
    moments: Vec<VisitMoment>,
}

/// The value score of a visit: its parts, and their sum.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownScore {
    /// 0 to 100.
    #[schema(examples(90), maximum = 100)]
    total: u8,
    /// 10 for each page viewed, 40 at most.
    #[schema(examples(30), maximum = 40)]
    pageviews: u8,
    /// 1 for each 6 seconds, 30 at most.
    #[schema(examples(30), maximum = 30)]
    time: u8,
    /// 30 when something else than pageviews happened.
    #[schema(examples(30), maximum = 30)]
    interaction: u8,
}

impl ShownScore {
    /// That of a visit with these events, so many milliseconds long.
    fn of(events: &[&Event], duration_ms: i64) -> Self {
        let pageviews = events.iter().filter(|event| event.kind == EventKind::Pageview).count();
        let interacted = pageviews < events.len();
        let pageviews = u64::try_from(pageviews).unwrap_or(u64::MAX);
        Self {
            total: value_score(pageviews, duration_ms, interacted),
            pageviews: value_score(pageviews, 0, false),
            time: value_score(0, duration_ms, false),
            interaction: value_score(0, 0, interacted),
        }
    }
}

/// Something that a visitor did.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimelineEvent {
    /// When.
    at: Instant,
    /// What happened.
    #[schema(examples("pageview"))]
    r#type: &'static str,
    /// The page.
    #[schema(examples("/pricing"))]
    page: String,
    /// Its title.
    #[schema(examples("Pricing"))]
    title: String,
    /// The name of a custom event.
    #[schema(examples("signup"))]
    name: String,
    /// Its properties; none of events in which somebody told about themselves.
    #[schema(value_type = Properties)]
    properties: Value,
}

fn text(event: &Event, dimension: Dimension) -> String {
    event.dimensions.get(dimension).to_owned()
}

impl TimelineEvent {
    fn of(event: &Event) -> Self {
        let told = serde_json::from_str(event.dimensions.get(Dimension::Properties));
        let properties = match told {
            // What people told about themselves is for nobody who may only read.
            Ok(Value::Object(members)) if event.kind != EventKind::Identify && !members.contains_key("user_id") => {
                members
            }
            _ => serde_json::Map::new(),
        };
        Self {
            at: Instant(event.at),
            r#type: event.kind.as_str(),
            page: text(event, Dimension::Path),
            title: text(event, Dimension::Title),
            name: text(event, Dimension::EventName),
            properties: Value::Object(properties),
        }
    }
}

impl Timeline {
    /// That of a visitor with these events, in the order of time, and from when to when each of its visits is, in their order;
    /// `None` without any.
    fn of(visitor: VisitorId, all: &[Event]) -> Option<(Self, Vec<Span>)> {
        let mut events: Vec<&Event> = all.iter().filter(|event| event.kind.is_event()).collect();
        let pageviews = events.iter().filter(|event| event.kind == EventKind::Pageview).count();
        let truncated = events.len() > TIMELINE_MAX;
        let first = *events.first()?;
        let last = *events.last()?;
        let last_seen_at = all.iter().map(|event| event.at).max()?;
        events.drain(..events.len().saturating_sub(TIMELINE_MAX));
        let mut visits: Vec<(SessionId, Visit)> = Vec::new();
        let mut spans: Vec<Span> = Vec::new();
        for event in events {
            let visit = match visits.iter_mut().rev().find(|(id, _)| *id == event.session) {
                Some((_, visit)) => visit,
                None => {
                    let of_visit = || all.iter().filter(|other| other.session == event.session);
                    let last_at = of_visit().map(|other| other.at).max().unwrap_or(event.at);
                    let happened: Vec<&Event> = of_visit().filter(|other| other.kind.is_event()).collect();
                    let began = happened.iter().map(|other| other.at).min().unwrap_or(event.at);
                    let visit = Visit {
                        id: event.session.to_string(),
                        began_at: Instant(event.at),
                        last_at: Instant(last_at),
                        channel: text(event, Dimension::Channel),
                        source: text(event, Dimension::Source),
                        score: ShownScore::of(&happened, last_at.as_millis() - began.as_millis()),
                        events: Vec::new(),
                        moments: Vec::new(),
                    };
                    spans.push(Span { session: event.session, from: event.at, to: last_at });
                    visits.push((event.session, visit));
                    &mut visits.last_mut()?.1
                }
            };
            visit.events.push(TimelineEvent::of(event));
        }
        spans.reverse();
        let timeline = Self {
            id: visitor.to_string(),
            first_seen_at: Instant(first.at),
            last_seen_at: Instant(last_seen_at),
            first_source: text(first, Dimension::Source),
            country: text(last, Dimension::Country),
            region: text(last, Dimension::Region),
            city: text(last, Dimension::City),
            device: text(last, Dimension::Device),
            browser: text(last, Dimension::Browser),
            os: text(last, Dimension::Os),
            language: text(last, Dimension::Language),
            pageviews: u64::try_from(pageviews).unwrap_or(u64::MAX),
            truncated,
            visits: visits.into_iter().rev().map(|(_, visit)| visit).collect(),
        };
        Some((timeline, spans))
    }
}

/// What one visitor did, visit by visit.
pub async fn timeline(
    key: Console<ReadAnalytics>,
    state: web::Data<AppState>,
    path: web::Path<VisitorPath>,
) -> Result<Answered<Timeline>, ApiError> {
    let question = Question::of(&key, &state);
    let id = question.id();
    let visitor = path.id(&state, id)?;
    let may = MayRead {
        errors: key.also_may(&state, Action::ReadErrors),
        heatmaps: key.also_may(&state, Action::ReadHeatmaps),
        replays: key.also_may(&state, Action::ReadReplays),
    };
    let answer = question.answer(move |question| async move {
        let store = state.events.clone();
        let events = question.run(move |asker| store.visitor_events(id, visitor, asker.budget())).await?;
        let found = Timeline::of(visitor, &events).ok_or_else(|| ApiError::not_found("Visitor not found"))?;
        let (mut timeline, spans) = found;
        let moments = off_the_worker(&state, move |state| moments::of_visits(state, id, visitor, &spans, may)).await?;
        for (visit, moments) in timeline.visits.iter_mut().zip(moments) {
            visit.moments = moments;
        }
        Ok(Success::new(timeline, question.now))
    });
    answer.await
}

/// Erases everything that is stored of a visitor.
pub async fn erase(
    key: Console<EraseVisitor>,
    state: web::Data<AppState>,
    path: web::Path<VisitorPath>,
) -> Result<NoContent, ApiError> {
    let website = key.resource.id;
    let visitor = path.id(&state, website)?;
    let by = match key.caller.principal() {
        Principal::Key(key) => format!("key {}", key.key_id),
        Principal::Person(person) => format!("user {}", person.user_id),
    };
    let keepers = state.keepers();
    let store = key.store(&state);
    off_the_worker(&state, move |_| visitors::erase_on_behalf(&*store, &keepers, website, visitor, &by)).await?;
    Ok(NoContent)
}
