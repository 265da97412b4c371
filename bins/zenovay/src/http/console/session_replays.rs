//! `/api/websites/:websiteId/replays`: recordings of what pages showed, and what was done on them.

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use zenovay_capture::{
    Gap, GroupId, MarkKind, Marker, Replay, ReplayChunk, ReplayDetail, ReplayEvents, ReplayId, ReplayQuery, Replays,
    WithErrors,
};
use zenovay_domain::{Event, Goal, SessionId, Timestamp, VisitorId, Website, WebsiteId};
use zenovay_stats::is_reached_by;
use zenovay_store::StoreError;

use super::captured::{Kept, ShownDevice};
use super::numbers::ShownRange;
use super::reader::Question;
use super::view::{View, ViewParams};
use super::{Console, NoContent};
use crate::http::document::Parameter;
use crate::http::document::bodies::RecordedEvent;
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{DeleteReplay, DeleteReplays, ReadReplays};
use crate::http::lookups::off_the_worker;
use crate::http::params::{Number, Paged, Params, Query, QueryParams};
use crate::http::state::AppState;
use crate::http::values::Instant;

/// The events of one answer, in bytes of JSON; the last chunk may go beyond it.
const ANSWER_BYTES: usize = 4 << 20;
/// The longest recording that can be asked for, in seconds.
const SECONDS_MAX: usize = 86_400;

/// Recordings in a view.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplaysInView {
    /// When they began.
    range: ShownRange,
    /// Whether sessions are recorded at present.
    enabled: bool,
    /// How many there are in the view.
    #[schema(examples(312))]
    total: u64,
    /// The one that began last first.
    replays: Vec<ReplayInView>,
}

/// A recording in a view.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayInView {
    /// The recording.
    #[serde(flatten)]
    replay: ShownReplay,
    /// With `at`: how many milliseconds after its beginning that is.
    #[schema(required = true, examples(34000))]
    moment_ms: Option<i64>,
}

/// A recording.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownReplay {
    /// Names it.
    #[schema(examples("sr_0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    id: String,
    /// Whose it is.
    #[schema(examples("5f2d0c9b7a416e38"))]
    visitor: String,
    /// Of which visit.
    #[schema(examples("00c3a1f95be2d874"))]
    session: String,
    /// When it began.
    started_at: Instant,
    /// When its last event was.
    ended_at: Instant,
    /// Its length in seconds.
    #[schema(examples(174.2))]
    duration: f64,
    /// For how many seconds somebody did something.
    #[schema(examples(126.0))]
    active: f64,
    /// The path of its first page.
    #[schema(examples("/"))]
    entry_page: String,
    /// The path of its last page.
    #[schema(examples("/pricing"))]
    exit_page: String,
    /// Views of pages.
    #[schema(examples(3))]
    pages: u64,
    /// Clicks.
    #[schema(examples(12))]
    clicks: u64,
    /// Errors.
    #[schema(examples(1))]
    errors: u64,
    /// Events that were recorded.
    #[schema(examples(2310))]
    events: u64,
    /// Chunks that are kept.
    #[schema(examples(35))]
    chunks: u64,
    /// Chunks that did not come.
    #[schema(examples(0))]
    missing: u64,
    /// What is kept of it, in bytes.
    #[schema(examples(65536))]
    bytes: u64,
    /// With what, and from where.
    #[serde(flatten)]
    with: ShownDevice,
    /// The width of its first window, in pixels; 0 when it is not known.
    #[schema(examples(1280))]
    width: u32,
    /// The height of its first window, in pixels.
    #[schema(examples(720))]
    height: u32,
    /// Whether the values of all fields are masked, and not only those of passwords and the like.
    masked_inputs: bool,
    /// When it is removed for its age; null when recordings are kept as long as everything else.
    #[schema(required = true)]
    kept_until: Option<Instant>,
}

/// The columns of a file of recordings, which are the members of a row.
pub(in crate::http) const COLUMNS: &[&str] = &[
    "id",
    "visitor",
    "session",
    "started_at",
    "ended_at",
    "duration",
    "active",
    "entry_page",
    "exit_page",
    "pages",
    "clicks",
    "errors",
    "events",
    "chunks",
    "missing",
    "bytes",
    "country",
    "device",
    "browser",
    "os",
    "width",
    "height",
    "masked_inputs",
    "kept_until",
    "moment_ms",
];

#[expect(clippy::cast_precision_loss, reason = "a recording is shorter than 2^52 milliseconds")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}

impl From<Replay> for ShownReplay {
    fn from(replay: Replay) -> Self {
        let duration = seconds(replay.ended_at.as_millis() - replay.started_at.as_millis());
        let browser = format!("{} {}", replay.browser, replay.browser_version).trim().to_owned();
        let with = ShownDevice { country: replay.country, device: replay.device, browser, os: replay.os };
        Self {
            id: replay.id.to_string(),
            visitor: replay.visitor.to_string(),
            session: replay.session.to_string(),
            started_at: Instant(replay.started_at),
            ended_at: Instant(replay.ended_at),
            duration,
            active: seconds(replay.active_ms),
            entry_page: replay.entry_page,
            exit_page: replay.exit_page,
            pages: replay.pages,
            clicks: replay.clicks,
            errors: replay.errors,
            events: replay.events,
            chunks: replay.chunks,
            missing: replay.missing,
            bytes: replay.bytes,
            with,
            width: replay.width,
            height: replay.height,
            masked_inputs: replay.masks_inputs,
            kept_until: replay.kept_until.map(Instant),
        }
    }
}

/// Which recordings, beside those of the view.
#[derive(Debug)]
pub struct ReplayParams {
    visitor: Option<VisitorId>,
    session: Option<SessionId>,
    errors: Option<WithErrors>,
    seconds: (usize, usize),
    at: Option<Timestamp>,
}

impl ReplayParams {
    /// Those with an error of this kind.
    pub(in crate::http) const fn with_errors(errors: Option<WithErrors>) -> Self {
        Self { visitor: None, session: None, errors, seconds: (0, SECONDS_MAX), at: None }
    }
}

impl QueryParams for ReplayParams {
    fn read(params: &mut Params, _: Timestamp) -> Self {
        let visitor = named(params, "visitor", "Those of this visitor: 16 hexadecimal digits.", digits);
        let session = named(params, "session", "Those of this visit: 16 hexadecimal digits.", digits);
        let words = "Those with an error: `any`, or the id of a group of errors.";
        let errors = named(params, "error", words, |text| match text {
            "any" => Some(WithErrors::Any),
            _ => text.parse::<GroupId>().ok().map(WithErrors::Of),
        });
        let words = "Those that go on at this instant, ISO 8601; how far into each it is stands beside it.";
        let at = named(params, "at", words, |text| text.parse().ok());
        let second = |params: &mut Params, name: &'static str, default: usize, description: &'static str| {
            params.number(&Number { name, default, min: 0, max: SECONDS_MAX, description })
        };
        let shortest = second(params, "min_seconds", 0, "Those that are not shorter than so many seconds.");
        let longest = second(params, "max_seconds", SECONDS_MAX, "Those that are not longer than so many seconds.");
        Self {
            visitor: visitor.map(VisitorId),
            session: session.map(SessionId),
            errors,
            seconds: (shortest, longest),
            at,
        }
    }
}

/// What `read` makes of the parameter `name`, when it is there; otherwise the parameter is wrong.
fn named<T>(params: &mut Params, name: &'static str, words: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    params.declare(|| Parameter::query(name, words));
    let value = params.get(name)?;
    let found = read(value);
    if found.is_none() {
        params.problem(name, "use a value as answers have it");
    }
    found
}

/// An id as answers have it.
fn digits(text: &str) -> Option<u64> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() == 16 && text.bytes().all(is_digit) { u64::from_str_radix(text, 16).ok() } else { None }
}

/// A length that was asked for, in milliseconds.
fn millis(seconds: usize) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000)
}

/// Recordings in a view: with its range, and its filters by page, device, browser, system and country. A recording counts when one of
/// its pages does.
pub async fn list(
    reader: Console<ReadReplays>,
    state: web::Data<AppState>,
    query: Query<(Paged<50, 200>, (ReplayParams, ViewParams))>,
) -> Result<Success<ReplaysInView>, ApiError> {
    let question = Question::of(&reader, &state);
    let (Paged(page), (asked, params)) = query.read(question.now)?;
    let view = question.view(&params).await?;
    let range = ShownRange::of(&view);
    let (replays, total) = shown_in(&question, view, asked, page.offset, page.limit).await?;
    let enabled = is_recording(&question.website);
    Ok(Success::new(ReplaysInView { range, enabled, total, replays }, question.now))
}

/// The same recordings as [`replays_in`] tells, as answers have them, and how many there are in the view.
///
/// # Errors
/// As [`replays_in`].
pub(in crate::http) async fn shown_in(
    question: &Question,
    view: View,
    asked: ReplayParams,
    offset: usize,
    limit: usize,
) -> Result<(Vec<ReplayInView>, u64), ApiError> {
    let at = asked.at;
    let Replays { replays, total } = replays_in(question, view, asked, offset, limit).await?;
    let shown = |replay: Replay| {
        let length = replay.ended_at.as_millis() - replay.started_at.as_millis();
        let moment_ms = at.map(|at| (at.as_millis() - replay.started_at.as_millis()).clamp(0, length));
        ReplayInView { replay: replay.into(), moment_ms }
    };
    Ok((replays.into_iter().map(shown).collect(), total))
}

/// So many recordings in a view, from `offset` on, that are also what `asked` says.
///
/// # Errors
/// A 400 for filters that recordings do not have, and when recordings cannot be read.
pub(in crate::http) async fn replays_in(
    question: &Question,
    view: View,
    asked: ReplayParams,
    offset: usize,
    limit: usize,
) -> Result<Replays, ApiError> {
    let (website, kept) = (question.id(), Kept::of(&view)?);
    let found = off_the_worker(&question.state, move |state| {
        kept.with(|filter| {
            let query = ReplayQuery {
                visitor: asked.visitor,
                session: asked.session,
                errors: asked.errors,
                min_ms: millis(asked.seconds.0),
                // The longest that can be asked for is no bound.
                max_ms: if asked.seconds.1 == SECONDS_MAX { i64::MAX } else { millis(asked.seconds.1) },
                at: asked.at,
                ..ReplayQuery::of(filter)
            };
            state.captures.replays(website, &query, offset, limit)
        })
    });
    found.await
}

/// All about a recording of a website but its events.
///
/// # Errors
/// A 404 when the website has no such recording, and when recordings cannot be read.
pub(in crate::http) async fn replay_of(
    state: &web::Data<AppState>,
    website: WebsiteId,
    id: ReplayId,
) -> Result<ReplayDetail, ApiError> {
    off_the_worker(state, move |state| state.captures.replay(website, id)).await?.ok_or_else(unknown)
}

/// The id of a recording that `text` is.
///
/// # Errors
/// A 404 when it is not one.
pub(in crate::http) fn replay_id(text: &str) -> Result<ReplayId, ApiError> {
    text.trim().parse().map_err(|_| unknown())
}

/// Whether sessions of a website are recorded at present.
pub(in crate::http) fn is_recording(website: &Website) -> bool {
    website.settings.is_active && website.settings.session_replay
}

/// The recording that a path names.
#[derive(Debug, Deserialize)]
pub struct ReplayPath {
    replay_id: String,
}

impl ReplayPath {
    fn id(&self) -> Result<ReplayId, ApiError> {
        replay_id(&self.replay_id)
    }
}

fn unknown() -> ApiError {
    StoreError::NotFound("recording").into()
}

/// All about a recording but its events. Times in milliseconds are counted from its beginning.
#[derive(Debug, Serialize, ToSchema)]
pub struct WholeReplay {
    /// The recording.
    #[serde(flatten)]
    replay: ShownReplay,
    /// Its length.
    #[schema(examples(174200))]
    duration_ms: i64,
    /// The `timestamp` of events that is its beginning: milliseconds by the browser's clock.
    #[schema(examples(1781352000000_i64))]
    clock_ms: i64,
    /// What happened, in the order of time; 5,000 at most.
    markers: Vec<ShownMarker>,
    /// When nobody did anything for ten seconds and longer.
    idle: Vec<Span>,
    /// What did not come.
    gaps: Vec<ShownGap>,
    /// Its chunks by their numbers.
    chunks_list: Vec<ShownChunk>,
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownMarker {
    /// When.
    #[schema(examples(34000))]
    pub(in crate::http) at_ms: i64,
    /// `page`, `click`, `rage`, `error`, `goal`, `pause` or `resume`. After `pause` nothing was recorded, for nobody did anything.
    #[schema(examples("click"))]
    pub(in crate::http) kind: &'static str,
    /// The path of a page, the type and message of an error, the name of a goal; otherwise empty.
    #[schema(examples("/pricing"))]
    pub(in crate::http) text: String,
    /// Of a click: the place in the window, in pixels from the left.
    #[schema(required = true, examples(310))]
    x: Option<i32>,
    /// Of a click: the place in the window, in pixels from the top.
    #[schema(required = true, examples(212))]
    y: Option<i32>,
    /// Of a click: the number of the node in the recording.
    #[schema(required = true, examples(42))]
    node: Option<u64>,
    /// How many clicks in a row; otherwise 1.
    #[schema(examples(1))]
    pub(in crate::http) count: u32,
    /// The group of an error, when it is known.
    #[schema(required = true, examples("eg_0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    pub(in crate::http) group: Option<String>,
}

/// A part of a recording.
#[derive(Debug, Serialize, ToSchema)]
pub struct Span {
    /// From when on.
    #[schema(examples(100000))]
    from_ms: i64,
    /// Until when.
    #[schema(examples(148000))]
    to_ms: i64,
}

/// Chunks that did not come. What is shown after them may be wrong until the next chunk with a snapshot.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownGap {
    /// From when on.
    #[schema(examples(20000))]
    from_ms: i64,
    /// Until when.
    #[schema(examples(25000))]
    to_ms: i64,
    /// How many chunks.
    #[schema(examples(1))]
    chunks: u32,
}

/// A chunk of a recording.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownChunk {
    /// Its number.
    #[schema(examples(0))]
    seq: u32,
    /// When its first event was.
    #[schema(examples(0))]
    from_ms: i64,
    /// When its last event was.
    #[schema(examples(4980))]
    to_ms: i64,
    /// Its events.
    #[schema(examples(66))]
    events: u64,
    /// What is kept of it, in bytes.
    #[schema(examples(1872))]
    bytes: u64,
    /// Whether the whole page is written down in it.
    snapshot: bool,
    /// Whether the page was left with it.
    last: bool,
}

impl From<Marker> for ShownMarker {
    fn from(marker: Marker) -> Self {
        let is_rage = marker.is_rage();
        let shown = |kind: &'static str, text: String| Self {
            at_ms: marker.at_ms,
            kind,
            text,
            x: None,
            y: None,
            node: None,
            count: marker.count,
            group: marker.group.map(|group| group.to_string()),
        };
        match marker.kind {
            MarkKind::Page { path } => shown("page", path),
            MarkKind::Click { node, x, y } => Self {
                x: Some(x),
                y: Some(y),
                node: Some(node),
                ..shown(if is_rage { "rage" } else { "click" }, String::new())
            },
            MarkKind::Error { kind, message } => shown("error", format!("{kind}: {message}")),
            MarkKind::Pause => shown("pause", String::new()),
            MarkKind::Resume => shown("resume", String::new()),
        }
    }
}

impl ShownMarker {
    fn goal(at_ms: i64, name: &str) -> Self {
        let text = name.to_owned();
        Self { at_ms, kind: "goal", text, x: None, y: None, node: None, count: 1, group: None }
    }
}

/// How long before its first event what led to a recording may have been, in milliseconds: a page is counted before its recorder is
/// loaded.
const BEFORE_MS: i64 = 10_000;

/// The goals that a visit reached while it was recorded, each at the first time, in the order of time.
fn goals_in(replay: &Replay, events: &[Event], goals: &[Goal]) -> Vec<ShownMarker> {
    let (start, end) = (replay.started_at.as_millis(), replay.ended_at.as_millis());
    let during =
        |event: &&Event| event.session == replay.session && (start - BEFORE_MS..=end).contains(&event.at.as_millis());
    let reached = |goal: &Goal| {
        let first =
            events.iter().filter(during).filter(|event| is_reached_by(&goal.target, event)).map(|event| event.at).min();
        first.map(|at| ShownMarker::goal((at.as_millis() - start).max(0), &goal.name))
    };
    let mut reached: Vec<ShownMarker> = goals.iter().filter_map(reached).collect();
    reached.sort_by_key(|marker| marker.at_ms);
    reached
}

impl From<Gap> for ShownGap {
    fn from(Gap { from_ms, to_ms, chunks }: Gap) -> Self {
        Self { from_ms, to_ms, chunks }
    }
}

impl From<ReplayChunk> for ShownChunk {
    fn from(chunk: ReplayChunk) -> Self {
        let ReplayChunk { seq, from_ms, to_ms, events, bytes, has_snapshot, is_final } = chunk;
        Self { seq, from_ms, to_ms, events, bytes, snapshot: has_snapshot, last: is_final }
    }
}

/// All about a recording but its events.
pub async fn detail(
    reader: Console<ReadReplays>,
    state: web::Data<AppState>,
    path: web::Path<ReplayPath>,
) -> Result<Success<WholeReplay>, ApiError> {
    let (website, id, question) = (reader.resource.id, path.id()?, Question::of(&reader, &state));
    let ReplayDetail { replay, clock_ms, markers, idle, gaps, chunks } = replay_of(&state, website, id).await?;
    let goals = question.goals().await?;
    let mut reached = Vec::new();
    if !goals.is_empty() {
        let (events, visitor) = (state.events.clone(), replay.visitor);
        let asked = question.run(move |asker| events.visitor_events(website, visitor, asker.budget())).await;
        // The recording is shown also when what else its visitor did is too much to be looked through.
        match asked {
            Ok(events) => reached = goals_in(&replay, &events, &goals),
            Err(error) => tracing::warn!(%error, "the goals of a recording cannot be told"),
        }
    }
    let mut markers: Vec<ShownMarker> = markers.into_iter().map(ShownMarker::from).collect();
    markers.extend(reached);
    markers.sort_by_key(|marker| marker.at_ms);
    let whole = WholeReplay {
        duration_ms: replay.ended_at.as_millis() - replay.started_at.as_millis(),
        replay: replay.into(),
        clock_ms,
        markers,
        idle: idle.into_iter().map(|(from_ms, to_ms)| Span { from_ms, to_ms }).collect(),
        gaps: gaps.into_iter().map(ShownGap::from).collect(),
        chunks_list: chunks.into_iter().map(ShownChunk::from).collect(),
    };
    Ok(Success::new(whole, question.now))
}

/// Events of a recording.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventsOfReplay {
    /// By their numbers.
    chunks: Vec<EventsOfChunk>,
    /// The `from` to ask with next; null when there is no more.
    #[schema(required = true, examples(20))]
    next: Option<u32>,
}

/// Events of a chunk.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventsOfChunk {
    /// The number of the chunk.
    #[schema(examples(0))]
    seq: u32,
    /// The events as the recorder made them.
    #[schema(value_type = Vec<RecordedEvent>)]
    events: Box<RawValue>,
    /// The chunk is kept, but cannot be read.
    damaged: bool,
}

impl EventsOfChunk {
    fn new(events: ReplayEvents) -> Result<Self, ApiError> {
        let ReplayEvents { seq, json, damage } = events;
        let events = RawValue::from_string(json).map_err(|error| {
            tracing::error!(%error, "a chunk of a recording is not JSON");
            ApiError::internal()
        })?;
        Ok(Self { seq, events, damaged: damage.is_some() })
    }
}

/// Which chunks.
pub struct ChunkParams {
    from: usize,
    limit: usize,
}

impl QueryParams for ChunkParams {
    fn read(params: &mut Params, _: Timestamp) -> Self {
        let description = "The number of the first chunk.";
        let from = params.number(&Number { name: "from", default: 0, min: 0, max: 1_000_000, description });
        let description = "How many chunks at most; fewer when they are long.";
        let limit = params.number(&Number { name: "limit", default: 20, min: 1, max: 100, description });
        Self { from, limit }
    }
}

/// Events of a recording, by the numbers of its chunks.
pub async fn chunks(
    reader: Console<ReadReplays>,
    state: web::Data<AppState>,
    path: web::Path<ReplayPath>,
    query: Query<ChunkParams>,
) -> Result<Success<EventsOfReplay>, ApiError> {
    let (website, id, now) = (reader.resource.id, path.id()?, state.clock.now());
    let ChunkParams { from, limit } = query.read(now)?;
    let from = u32::try_from(from).unwrap_or(u32::MAX);
    let found =
        off_the_worker(&state, move |state| state.captures.replay_events(website, id, from, limit, ANSWER_BYTES));
    let (events, next) = found.await?.ok_or_else(unknown)?;
    let chunks = events.into_iter().map(EventsOfChunk::new).collect::<Result<_, _>>()?;
    Ok(Success::new(EventsOfReplay { chunks, next }, now))
}

/// The chunk that a path names.
#[derive(Debug, Deserialize)]
pub struct ChunkPath {
    replay_id: String,
    seq: String,
}

/// Events of one chunk of a recording.
pub async fn chunk(
    reader: Console<ReadReplays>,
    state: web::Data<AppState>,
    path: web::Path<ChunkPath>,
) -> Result<Success<EventsOfChunk>, ApiError> {
    let ChunkPath { replay_id, seq } = path.into_inner();
    let (website, id, now) = (reader.resource.id, ReplayPath { replay_id }.id()?, state.clock.now());
    let seq: u32 = seq.parse().map_err(|_| unknown())?;
    let found = off_the_worker(&state, move |state| state.captures.replay_events(website, id, seq, 1, 0));
    let (events, _) = found.await?.ok_or_else(unknown)?;
    let events = events.into_iter().find(|events| events.seq == seq).ok_or_else(unknown)?;
    Ok(Success::new(EventsOfChunk::new(events)?, now))
}

/// Deletes a recording.
pub async fn delete_one(
    key: Console<DeleteReplay>,
    state: web::Data<AppState>,
    path: web::Path<ReplayPath>,
) -> Result<NoContent, ApiError> {
    let (website, id, store) = (key.resource.id, path.id()?, key.store(&state));
    let deleted = off_the_worker(&state, move |state| {
        store.check_standing()?;
        Ok::<_, ApiError>(state.captures.delete_replay(website, id)?)
    });
    if deleted.await? { Ok(NoContent) } else { Err(unknown()) }
}

/// How many were deleted.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedReplays {
    /// How many recordings that were.
    #[schema(examples(312))]
    deleted: u64,
}

/// Deletes all recordings of a website.
pub async fn delete_all(
    key: Console<DeleteReplays>,
    state: web::Data<AppState>,
) -> Result<Success<DeletedReplays>, ApiError> {
    let (website, store, now) = (key.resource.id, key.store(&state), state.clock.now());
    let deleted = off_the_worker(&state, move |state| {
        store.check_standing()?;
        Ok::<_, ApiError>(state.captures.delete_replays(website)?)
    });
    Ok(Success::new(DeletedReplays { deleted: deleted.await? }, now))
}
