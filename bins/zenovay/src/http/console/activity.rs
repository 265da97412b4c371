//! `GET /api/server/activity`: what the server did in the last hours, for whoever runs it.

use std::collections::HashMap;

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;
use zenovay_domain::{Timestamp, WebsiteId};

use super::Console;
use crate::activity::{ActivityRange, ActivityView, ClassCounts, Counts, Point, RequestClass, SlowQuestion};
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::ReadDoctor;
use crate::http::lookups::blocking;
use crate::http::params::{Params, Query, QueryParams};
use crate::http::state::AppState;
use crate::http::values::{Id, Instant, RequestClassName, SlowEndName, rounded};

/// The most slow questions that are told.
const SLOWEST_MAX: usize = 50;
/// Milliseconds are told to so many decimal places: they are estimates.
const MS_DIGITS: i32 = 1;
/// A disk that is full only after so many days is not said to fill.
const DAYS_MAX: f64 = 3_650.0;

/// How far back somebody looks.
#[derive(Debug, Clone, Copy)]
pub struct ActivityParams {
    range: ActivityRange,
}

impl QueryParams for ActivityParams {
    fn read(params: &mut Params, _: Timestamp) -> Self {
        let names = ActivityRange::ALL.map(ActivityRange::as_str);
        let default = ActivityRange::Hour;
        let words = "How far back: an hour minute by minute, or a day in steps of five minutes.";
        let named = params.one_of("range", &names, Some(default.as_str()), words);
        let range = ActivityRange::ALL.into_iter().find(|range| Some(range.as_str()) == named).unwrap_or(default);
        Self { range }
    }
}

/// What is known of the last hours. It is in memory: nothing is known of before the server started.
pub async fn show(
    _: Console<ReadDoctor>,
    state: web::Data<AppState>,
    query: Query<ActivityParams>,
) -> Result<Success<ServerActivity>, ApiError> {
    let ActivityParams { range } = query.read(state.clock.now())?;
    let told = blocking(&state, move |state| {
        let since = state.clock.reading().steady.plus_millis(-range.length_ms());
        let slow = state.queries.slow();
        let slowest = slow.slowest(since, SLOWEST_MAX);
        let mut domains: HashMap<WebsiteId, String> = HashMap::new();
        for website in slowest.iter().filter_map(|question| question.website) {
            if !domains.contains_key(&website)
                && let Some(known) = state.store.website(website)?
            {
                domains.insert(website, known.domain);
            }
        }
        let slowest = slowest.into_iter().map(|question| SlowQuestionOfServer::new(question, &domains)).collect();
        Ok(ServerActivity::new(state, range, &state.activity.view(range), slowest))
    });
    Ok(Success::new(told.await?, state.clock.now()))
}

/// What the server did in the last hours.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServerActivity {
    /// When the server started. Nothing is known of before.
    since: Instant,
    /// The length of a point in seconds.
    #[schema(examples(60))]
    step_seconds: i64,
    /// The points, the oldest first; none until the first minute is over.
    points: Vec<ActivityPoint>,
    events: EventsOfServer,
    /// What was asked of the server, by what it was for.
    requests: Vec<RequestsOfServer>,
    /// The figures that were read last, once a minute; null until then.
    #[schema(required = true)]
    now: Option<FiguresOfServer>,
    disk: DiskOfServer,
    slow_questions: SlowQuestionsOfServer,
}

impl ServerActivity {
    fn new(state: &AppState, range: ActivityRange, view: &ActivityView, slowest: Vec<SlowQuestionOfServer>) -> Self {
        let total = view.total();
        // Where none were read yet, those of the default: what the machine tells is null in them, and nothing else is taken of them.
        let latest = view.latest.map(|(_, figures)| figures).unwrap_or_default();
        let shrinks = view.growth.disk_bytes_per_day.filter(|per_day| *per_day > 0.0);
        let days = latest.disk_free_bytes.zip(shrinks).map(|(free, per_day)| (free as f64 / per_day).floor());
        Self {
            since: Instant(state.started_at),
            step_seconds: range.step_ms() / 1_000,
            points: view.points.iter().map(ActivityPoint::from).collect(),
            events: EventsOfServer::from(&total),
            requests: RequestClass::ALL.map(|class| RequestsOfServer::new(class, total.class(class))).into(),
            now: view.latest.map(|(at, figures)| FiguresOfServer {
                at: Instant(at),
                queue: figures.queue,
                memory_bytes: figures.memory_bytes,
            }),
            disk: DiskOfServer {
                data_bytes: latest.data_bytes,
                free_bytes: latest.disk_free_bytes,
                size_bytes: latest.disk_size_bytes,
                data_bytes_per_day: view.growth.data_bytes_per_day.map(f64::round),
                full_in_days: days.filter(|days| *days <= DAYS_MAX),
                growth_is_known: view.growth.disk_bytes_per_day.is_some(),
            },
            slow_questions: SlowQuestionsOfServer {
                over_ms: millis(state.queries.slow().threshold()),
                count: total.slow_questions,
                slowest,
            },
        }
    }
}

/// What happened in a step of time. All but its beginning is null where nothing is known.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActivityPoint {
    /// When it began.
    at: Instant,
    /// For how many seconds of it something is known.
    #[schema(examples(60))]
    measured_seconds: i64,
    /// Reports and rows of batches that were stored.
    #[schema(required = true, examples(120))]
    stored: Option<u64>,
    /// Those that were answered as if they were stored, and were not: bots, and what websites do not want.
    #[schema(required = true, examples(4))]
    dropped: Option<u64>,
    /// Those that were answered with an error.
    #[schema(required = true, examples(1))]
    refused: Option<u64>,
    /// How many milliseconds 95 of 100 requests with events took at most, estimated.
    #[schema(required = true, examples(4.2))]
    events_p95_ms: Option<f64>,
    /// The same of requests that ask or change something.
    #[schema(required = true, examples(31.5))]
    api_p95_ms: Option<f64>,
    /// Requests that were answered with 5xx.
    #[schema(required = true, examples(0))]
    server_errors: Option<u64>,
    /// Slow questions.
    #[schema(required = true, examples(0))]
    slow_questions: Option<u64>,
    /// The most appends that were seen to wait for the writer; looked at once a minute.
    #[schema(required = true, examples(0))]
    queue: Option<u64>,
    /// Memory that the process occupied, in bytes.
    #[schema(required = true, examples(94371840))]
    memory_bytes: Option<u64>,
    /// What the data directory occupied, in bytes; measured every ten minutes.
    #[schema(required = true, examples(1073741824))]
    data_bytes: Option<u64>,
    /// Space that was left on its disk, in bytes.
    #[schema(required = true, examples(53687091200_u64))]
    disk_free_bytes: Option<u64>,
}

impl From<&Point> for ActivityPoint {
    fn from(point: &Point) -> Self {
        let (counts, figures) = (&point.counts, point.figures);
        let known = |count: u64| point.is_measured().then_some(count);
        let p95 = |class| rounded(counts.class(class).times.quantile_ms(0.95), MS_DIGITS);
        Self {
            at: Instant(point.at),
            measured_seconds: point.measured_ms / 1_000,
            stored: known(counts.of_kind("stored")),
            dropped: known(counts.of_kind("dropped")),
            refused: known(counts.of_kind("refused")),
            events_p95_ms: p95(RequestClass::Events),
            api_p95_ms: p95(RequestClass::Api),
            server_errors: known(RequestClass::ALL.iter().map(|class| counts.class(*class).server_errors).sum()),
            slow_questions: known(counts.slow_questions),
            queue: known(figures.queue),
            memory_bytes: figures.memory_bytes,
            data_bytes: figures.data_bytes,
            disk_free_bytes: figures.disk_free_bytes,
        }
    }
}

/// What became of events: of reports of pages and rows of batches.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventsOfServer {
    /// They were stored.
    #[schema(examples(7200))]
    stored: u64,
    /// They were answered as if they were stored, and were not.
    #[schema(examples(240))]
    dropped: u64,
    /// They were answered with an error.
    #[schema(examples(12))]
    refused: u64,
    /// Why they were not stored, the most frequent reason first; reasons that were not met are absent.
    reasons: Vec<ReasonOfServer>,
}

/// Why events were not stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReasonOfServer {
    /// `dropped` or `refused`.
    #[schema(examples("dropped"))]
    outcome: &'static str,
    /// The reason, as `X-Zenovay-Outcome` and the metrics name it.
    #[schema(examples("bot"))]
    reason: &'static str,
    /// How many.
    #[schema(examples(240))]
    count: u64,
}

impl From<&Counts> for EventsOfServer {
    fn from(counts: &Counts) -> Self {
        let mut reasons: Vec<ReasonOfServer> = counts
            .outcomes()
            .filter(|(outcome, count)| *count > 0 && !outcome.reason().is_empty())
            .map(|(outcome, count)| ReasonOfServer { outcome: outcome.as_str(), reason: outcome.reason(), count })
            .collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
        let [stored, dropped, refused] = ["stored", "dropped", "refused"].map(|kind| counts.of_kind(kind));
        Self { stored, dropped, refused, reasons }
    }
}

/// Requests, by what they were for. The milliseconds are those that 50, 95 and 99 of 100 did not exceed; they are estimated, 30
/// seconds at most, and null where there were no requests.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestsOfServer {
    class: RequestClassName,
    /// How many there were.
    #[schema(examples(7452))]
    count: u64,
    /// Those that were answered with 4xx.
    #[schema(examples(12))]
    client_errors: u64,
    /// Those that were answered with 5xx.
    #[schema(examples(0))]
    server_errors: u64,
    #[schema(required = true, examples(1.8))]
    p50_ms: Option<f64>,
    #[schema(required = true, examples(4.2))]
    p95_ms: Option<f64>,
    #[schema(required = true, examples(9.7))]
    p99_ms: Option<f64>,
}

impl RequestsOfServer {
    fn new(class: RequestClass, counts: &ClassCounts) -> Self {
        let of = |part| rounded(counts.times.quantile_ms(part), MS_DIGITS);
        Self {
            class: RequestClassName(class),
            count: counts.times.count(),
            client_errors: counts.client_errors,
            server_errors: counts.server_errors,
            p50_ms: of(0.5),
            p95_ms: of(0.95),
            p99_ms: of(0.99),
        }
    }
}

/// Figures of a moment.
#[derive(Debug, Serialize, ToSchema)]
pub struct FiguresOfServer {
    /// When they were read.
    at: Instant,
    /// Appends that wait for the writer.
    #[schema(examples(0))]
    queue: u64,
    /// Memory that the process occupies, in bytes; null where the machine does not tell.
    #[schema(required = true, examples(94371840))]
    memory_bytes: Option<u64>,
}

/// The data directory and its disk. What is not known yet, or what the machine does not tell, is null.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiskOfServer {
    /// What the files of the data directory occupy, in bytes; measured every ten minutes.
    #[schema(required = true, examples(1073741824))]
    data_bytes: Option<u64>,
    /// Space that is left, in bytes.
    #[schema(required = true, examples(53687091200_u64))]
    free_bytes: Option<u64>,
    /// Size of the disk, in bytes.
    #[schema(required = true, examples(85899345920_u64))]
    size_bytes: Option<u64>,
    /// By how many bytes the data directory grows in a day; below 0 where it shrinks. Known six hours after the start.
    #[schema(required = true, examples(20971520.0))]
    data_bytes_per_day: Option<f64>,
    /// In how many days the disk is full, when its free space goes on to shrink as in the last day, whatever fills it; null where it
    /// does not shrink, or is full only in ten years.
    #[schema(required = true, examples(412.0))]
    full_in_days: Option<f64>,
    /// Whether it is known how fast the free space shrinks: six hours after the start.
    growth_is_known: bool,
}

/// Questions of the event store that took long.
#[derive(Debug, Serialize, ToSchema)]
pub struct SlowQuestionsOfServer {
    /// A question that took longer, in milliseconds, is slow; its wait for a turn counts.
    #[schema(examples(500))]
    over_ms: u64,
    /// How many there were.
    #[schema(examples(3))]
    count: u64,
    /// At most 50 of them, the slowest first.
    slowest: Vec<SlowQuestionOfServer>,
}

/// A slow question. What was asked is not told: it is of those who asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct SlowQuestionOfServer {
    /// When it ended.
    at: Instant,
    /// The pattern of the route that asked; null where the server asked by itself, or
    /// sends a file.
    #[schema(required = true, examples("/api/websites/{website_id}/totals"))]
    route: Option<&'static str>,
    /// The website that it read; null where it was several, or is deleted.
    #[schema(required = true)]
    website: Option<WebsiteOfQuestion>,
    /// How long it waited for its turn, in milliseconds.
    #[schema(examples(20))]
    waited_ms: u64,
    /// How long it was worked on, in milliseconds.
    #[schema(examples(812))]
    took_ms: u64,
    end: SlowEndName,
}

/// The website of a question.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebsiteOfQuestion {
    id: Id,
    #[schema(examples("shop.example.com"))]
    domain: String,
}

impl SlowQuestionOfServer {
    fn new(question: SlowQuestion, domains: &HashMap<WebsiteId, String>) -> Self {
        let SlowQuestion { at, route, website, waited, took, end } = question;
        let website = website.and_then(|id| {
            let domain = domains.get(&id)?.clone();
            Some(WebsiteOfQuestion { id: Id::from(id), domain })
        });
        Self {
            at: Instant(at),
            route,
            website,
            waited_ms: millis(waited),
            took_ms: millis(took),
            end: SlowEndName(end),
        }
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
