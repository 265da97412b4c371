//! `/api/websites/:websiteId/errors`: errors that visitors met, in groups, and what is decided about these.

use std::cmp::Reverse;
use std::sync::Arc;

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use zenovay_capture::{
    CaptureError, Captures, ErrorDetail, ErrorGroup, ErrorsIn, Frame, GroupId, GroupQuery, HistoryEntry, KeptSourceMap,
    NewSourceMap, Occurrence, Part, ReplayId, SOURCE_MAP_MAX_BYTES, SourceLines, SourceMapError, StackVariant, Status,
};
use zenovay_domain::{ErrorCode, Timestamp, WebsiteId};
use zenovay_ingest::decode_body;
use zenovay_store::{Metadata, StoreError};

use super::captured::{Kept, ShownDevice, buckets};
use super::numbers::ShownRange;
use super::reader::Question;
use super::view::{View, ViewParams};
use super::{Console, JsonBody, Rules};
use crate::http::body;
use crate::http::document::bodies::{Body, Properties, RequestBody};
use crate::http::document::{Operation, Parameter};
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{EditErrors, Identity, ReadErrors};
use crate::http::lookups::off_the_worker;
use crate::http::media_type::require_json;
use crate::http::params::{Paged, Params, Query, QueryParams};
use crate::http::state::AppState;
use crate::http::values::Instant;

/// The last occurrences that are told of a group.
const LAST: usize = 20;

/// Groups of errors in a view.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorGroupsInView {
    /// What was counted.
    range: ShownRange,
    /// The one that occurred last first.
    groups: Vec<GroupInView>,
    /// How many groups there are in the view.
    #[schema(examples(31))]
    total: u64,
    /// How many groups of the website have each status, in whatever view.
    counts: StatusCounts,
}

/// How many groups have each status.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusCounts {
    /// Nothing was decided, or they came back.
    #[schema(examples(3))]
    unresolved: u64,
    /// They were mended.
    #[schema(examples(17))]
    resolved: u64,
    /// Nobody wants to hear of them.
    #[schema(examples(2))]
    ignored: u64,
}

/// A group of errors in a view.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupInView {
    /// The group.
    #[serde(flatten)]
    group: ShownGroup,
    /// How often it occurred in the view.
    #[schema(examples(41))]
    occurrences: u64,
    /// Distinct visitors who met it in the view.
    #[schema(examples(17))]
    visitors: u64,
    /// How often it occurred in each bucket of the range, the oldest first.
    #[schema(examples(4))]
    series: Vec<u64>,
}

/// A group of errors. Its numbers are of all that is kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownGroup {
    /// Names the group.
    #[schema(examples("eg_0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    id: String,
    /// The type of its errors.
    #[serde(rename = "type")]
    #[schema(examples("TypeError"))]
    kind: String,
    /// The message of its first error.
    #[schema(examples("cart.plan is undefined"))]
    message: String,
    /// Where in the app it happened, as far as it is known.
    #[schema(required = true)]
    culprit: Option<ShownFrame>,
    /// The release of its newest stack; empty when the page does not say.
    #[schema(examples("2.14.0"))]
    release: String,
    /// `unresolved`, `resolved` or `ignored`.
    #[schema(examples("unresolved"))]
    status: &'static str,
    /// How often it occurred.
    #[schema(examples(296))]
    occurrences_total: u64,
    /// Distinct visitors who met it.
    #[schema(examples(184))]
    visitors_total: u64,
    /// When it occurred first.
    first_seen_at: Instant,
    /// When it occurred last.
    last_seen_at: Instant,
}

/// A frame of a stack.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownFrame {
    /// The function; empty when it has no name.
    #[schema(examples("total"))]
    function: String,
    /// The file; empty for what is in none.
    #[schema(examples("https://example.com/app-3f2a.js"))]
    file: String,
    /// The line, from 1; 0 when it is not known.
    #[schema(examples(43))]
    line: u32,
    /// The column, from 1; 0 when it is not known.
    #[schema(examples(30))]
    column: u32,
    /// Whether it is of the app, and not of a library, an extension or the browser.
    in_app: bool,
}

/// A frame of a stack with the source around it.
#[derive(Debug, Serialize, ToSchema)]
pub struct FrameInSource {
    /// The frame.
    #[serde(flatten)]
    frame: ShownFrame,
    /// The lines around it, where a source map has them; null for frames far out, too.
    #[schema(required = true)]
    context: Option<ShownLines>,
}

/// Lines of a source.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownLines {
    /// The number of the first, from 1.
    #[schema(examples(41))]
    first: u32,
    /// The lines; a long one is cut.
    #[schema(examples("  return items.length * cart.plan.price;"))]
    lines: Vec<String>,
}

impl From<SourceLines> for ShownLines {
    fn from(SourceLines { first, lines }: SourceLines) -> Self {
        Self { first, lines }
    }
}

impl From<&Frame> for ShownFrame {
    fn from(frame: &Frame) -> Self {
        let Frame { function, file, line, column, in_app } = frame.clone();
        Self { function, file, line, column, in_app }
    }
}

impl From<&ErrorGroup> for ShownGroup {
    fn from(group: &ErrorGroup) -> Self {
        Self {
            id: group.id.to_string(),
            kind: group.kind.clone(),
            message: group.message.clone(),
            culprit: group.culprit.as_ref().map(ShownFrame::from),
            release: group.release.clone(),
            status: group.status.as_str(),
            occurrences_total: group.occurrences,
            visitors_total: group.visitors,
            first_seen_at: Instant(group.first_at),
            last_seen_at: Instant(group.last_at),
        }
    }
}

impl From<[u64; 3]> for StatusCounts {
    fn from([unresolved, resolved, ignored]: [u64; 3]) -> Self {
        Self { unresolved, resolved, ignored }
    }
}

/// The columns of a file of groups.
pub(in crate::http) const COLUMNS: &[&str] = &[
    "id",
    "type",
    "message",
    "function",
    "file",
    "line",
    "release",
    "status",
    "occurrences",
    "visitors",
    "occurrences_total",
    "visitors_total",
    "first_seen_at",
    "last_seen_at",
];

impl GroupInView {
    /// As a row of a file.
    pub(in crate::http) fn flat(&self) -> Value {
        let Self { group, occurrences, visitors, .. } = self;
        let place = group.culprit.as_ref();
        json!({ "id": group.id, "type": group.kind, "message": group.message,
            "function": place.map(|frame| &frame.function), "file": place.map(|frame| &frame.file),
            "line": place.map(|frame| frame.line), "release": group.release, "status": group.status,
            "occurrences": occurrences, "visitors": visitors, "occurrences_total": group.occurrences_total,
            "visitors_total": group.visitors_total, "first_seen_at": group.first_seen_at,
            "last_seen_at": group.last_seen_at })
    }
}

impl From<ErrorsIn> for GroupInView {
    fn from(found: ErrorsIn) -> Self {
        let ErrorsIn { group, occurrences, visitors, series, .. } = found;
        Self { group: (&group).into(), occurrences, visitors, series }
    }
}

/// What groups are sorted by.
#[derive(Debug, Clone, Copy)]
enum SortBy {
    LastSeen,
    FirstSeen,
    Occurrences,
    Visitors,
}

/// Which groups, and in which order.
pub struct Chosen {
    /// Those with one status, or with any.
    status: Option<Status>,
    search: String,
    by: SortBy,
    is_reversed: bool,
}

impl Chosen {
    /// By what groups can be sorted.
    const NAMES: [&'static str; 8] = [
        "last_seen",
        "-last_seen",
        "first_seen",
        "-first_seen",
        "occurrences",
        "-occurrences",
        "visitors",
        "-visitors",
    ];

    /// Whether the search finds `group`.
    fn finds(&self, group: &ErrorGroup) -> bool {
        let has = |text: &str| text.to_lowercase().contains(&self.search);
        let place = group.culprit.as_ref().is_some_and(|frame| has(&frame.function) || has(&frame.file));
        self.search.is_empty() || place || has(&format!("{}: {}", group.kind, group.message))
    }

    /// Leaves those that the search finds, in this order. They come with the one that occurred last first, and so do equal ones.
    fn choose(&self, groups: &mut Vec<ErrorsIn>) {
        groups.retain(|found| self.finds(&found.group));
        match self.by {
            SortBy::LastSeen => {}
            SortBy::FirstSeen => groups.sort_by_key(|found| Reverse(found.group.first_at)),
            SortBy::Occurrences => groups.sort_by_key(|found| Reverse(found.occurrences)),
            SortBy::Visitors => groups.sort_by_key(|found| Reverse(found.visitors)),
        }
        if self.is_reversed {
            groups.reverse();
        }
    }
}

impl QueryParams for Chosen {
    fn read(params: &mut Params, _: Timestamp) -> Self {
        let words = "Groups with this status; without it, all.";
        let status = params.one_of("status", &["unresolved", "resolved", "ignored"], None, words);
        let status = status.and_then(Status::from_name);
        params.declare(|| {
            let words = "Only groups whose type, message, function or file has this in it, in any case.";
            Parameter::query("q", words).example("plan")
        });
        let search = params.get("q").unwrap_or("").trim().to_lowercase();
        let words = "What groups are sorted by: the latest or greatest first; with `-` the other way round.";
        let name = params.one_of("sort", &Self::NAMES, Some("last_seen"), words).unwrap_or("last_seen");
        let (name, is_reversed) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
        let by = match name {
            "first_seen" => SortBy::FirstSeen,
            "occurrences" => SortBy::Occurrences,
            "visitors" => SortBy::Visitors,
            _ => SortBy::LastSeen,
        };
        Self { status, search, by, is_reversed }
    }
}

/// Groups of errors in a view: with its range, and its filters by page, device, browser, system and country.
pub async fn list(
    reader: Console<ReadErrors>,
    state: web::Data<AppState>,
    query: Query<(Paged<50, 200>, (Chosen, ViewParams))>,
) -> Result<Success<ErrorGroupsInView>, ApiError> {
    let question = Question::of(&reader, &state);
    let (Paged(page), (chosen, params)) = query.read(question.now)?;
    let view = question.view(&params).await?;
    let range = ShownRange::of(&view);
    let (found, counts) = chosen_in(&question, view, &chosen).await?;
    let total = found.len() as u64;
    let groups = found.into_iter().skip(page.offset).take(page.limit).map(GroupInView::from).collect();
    Ok(Success::new(ErrorGroupsInView { range, groups, total, counts }, question.now))
}

/// The groups of errors in a view that are `chosen`, in their order; and how many groups of the website have each status.
///
/// # Errors
/// As [`groups_in`].
pub(in crate::http) async fn chosen_in(
    question: &Question,
    view: View,
    chosen: &Chosen,
) -> Result<(Vec<ErrorsIn>, StatusCounts), ApiError> {
    let (mut found, counts) = groups_in(question, view, chosen.status).await?;
    chosen.choose(&mut found);
    Ok((found, counts.into()))
}

/// The groups of errors in a view with this status, or with any, the one that occurred last first; and how many groups of the
/// website have each status, in the order of [`Status::ALL`].
///
/// # Errors
/// A 400 for filters that errors do not have, a 503 when it is too much, and when errors cannot be read.
pub(in crate::http) async fn groups_in(
    question: &Question,
    view: View,
    status: Option<Status>,
) -> Result<(Vec<ErrorsIn>, [u64; 3]), ApiError> {
    let (website, kept) = (question.id(), Kept::of(&view)?);
    let found = off_the_worker(&question.state, move |state| {
        let buckets = buckets(&view);
        let found =
            kept.with(|filter| state.captures.errors_in(website, status, &GroupQuery { filter, buckets: &buckets }))?;
        Ok::<_, CaptureError>((found, state.captures.error_counts(website)?))
    });
    found.await
}

/// The group that a path names.
#[derive(Debug, Deserialize)]
pub struct GroupPath {
    group_id: String,
}

impl GroupPath {
    fn id(&self) -> Result<GroupId, ApiError> {
        group_id(&self.group_id)
    }
}

/// The id of a group that `text` is.
///
/// # Errors
/// A 404 when it is not one.
pub(in crate::http) fn group_id(text: &str) -> Result<GroupId, ApiError> {
    text.trim().parse().map_err(|_| unknown())
}

/// Whether the website has the group.
///
/// # Errors
/// A 404 when it does not, or when groups cannot be read.
pub(in crate::http) async fn known(
    state: &web::Data<AppState>,
    website: WebsiteId,
    id: GroupId,
) -> Result<(), ApiError> {
    let is_known = off_the_worker(state, move |state| state.captures.has_error_group(website, id)).await?;
    if is_known { Ok(()) } else { Err(unknown()) }
}

fn unknown() -> ApiError {
    StoreError::NotFound("group of errors").into()
}

/// All about a group of errors.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupDetail {
    /// What was counted.
    range: ShownRange,
    /// The group in the view.
    #[serde(flatten)]
    group: GroupInView,
    /// Its different messages and stacks, the newest first; the last 20 of them.
    stacks: Vec<ShownStack>,
    /// By browser with its version, the most frequent first.
    browsers: Vec<ShownPart>,
    /// By operating system.
    systems: Vec<ShownPart>,
    /// By release.
    releases: Vec<ShownPart>,
    /// By page.
    pages: Vec<ShownPart>,
    /// By kind of device.
    devices: Vec<ShownPart>,
    /// The last occurrences in the view, the newest first.
    last: Vec<ShownOccurrence>,
    /// What was decided about it, and when it came back, the newest first.
    history: Vec<ShownHistory>,
}

/// A message with its stack.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownStack {
    /// Names it in its group.
    #[schema(examples(7))]
    id: i64,
    /// The type.
    #[serde(rename = "type")]
    #[schema(examples("TypeError"))]
    kind: String,
    /// The message.
    #[schema(examples("cart.plan is undefined"))]
    message: String,
    /// `uncaught`, `rejection` or `manual`.
    #[schema(examples("uncaught"))]
    source: String,
    /// The release; empty when the page does not say.
    #[schema(examples("2.14.0"))]
    release: String,
    /// The innermost frame first: of the sources, as far as there are source maps.
    frames: Vec<FrameInSource>,
    /// Whether a source map was used.
    source_map: bool,
    /// How often it occurred, of all that is kept.
    #[schema(examples(120))]
    occurrences: u64,
}

/// A value, and how often it occurs in the view.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownPart {
    /// The value; empty when it is not known.
    #[schema(examples("Firefox 139.0"))]
    value: String,
    /// Occurrences.
    #[schema(examples(171))]
    occurrences: u64,
}

/// An occurrence of an error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownOccurrence {
    /// When.
    occurred_at: Instant,
    /// Which of the stacks.
    #[schema(examples(7))]
    stack: i64,
    /// Who met it.
    #[schema(examples("5f2d0c9b7a416e38"))]
    visitor: String,
    /// In which visit.
    #[schema(examples("00c3a1f95be2d874"))]
    session: String,
    /// How often at that moment.
    #[schema(examples(1))]
    count: u64,
    /// On which page.
    #[schema(examples("/checkout"))]
    page: String,
    /// With what, and from where.
    #[serde(flatten)]
    with: ShownDevice,
    /// What the page told beside it.
    properties: Vec<ShownProperty>,
    /// What happened before, the oldest first.
    breadcrumbs: Vec<ShownBreadcrumb>,
    /// The recording of the moment, if there is one.
    #[schema(required = true)]
    replay: Option<MomentOfReplay>,
}

/// A moment of a recording.
#[derive(Debug, Serialize, ToSchema)]
pub struct MomentOfReplay {
    /// Names the recording.
    #[schema(examples("sr_0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    id: String,
    /// How many milliseconds after its beginning.
    #[schema(examples(34000))]
    at_ms: i64,
}

impl From<(ReplayId, i64)> for MomentOfReplay {
    fn from((id, at_ms): (ReplayId, i64)) -> Self {
        Self { id: id.to_string(), at_ms }
    }
}

/// Something that the page told beside an error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownProperty {
    /// Its name.
    #[schema(examples("plan"))]
    name: String,
    /// Its value.
    #[schema(examples("pro"))]
    value: String,
}

/// Something that happened before an error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownBreadcrumb {
    /// How long before the error, in milliseconds.
    #[schema(examples(3000))]
    before_ms: u32,
    /// `view`, `click`, `rage`, `error` or `event`.
    #[schema(examples("click"))]
    kind: String,
    /// A path, a selector, a label or a name.
    #[schema(examples("Start free"))]
    text: String,
}

/// What was decided about a group, or happened to it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownHistory {
    /// When.
    at: Instant,
    /// `resolved`, `ignored`, `reopened` or `came_back`.
    #[schema(examples("came_back"))]
    what: String,
    /// Who decided it; empty when nobody did.
    #[schema(examples("admin@example.com"))]
    who: String,
    /// The release in which it came back; empty when the page does not say.
    #[schema(examples("2.14.0"))]
    release: String,
}

impl From<StackVariant> for ShownStack {
    fn from(variant: StackVariant) -> Self {
        let StackVariant { id, kind, message, source, release, frames, sources, is_mapped, occurrences } = variant;
        let sources = sources.into_iter().chain(std::iter::repeat(None));
        let frames = frames.iter().zip(sources);
        let frames = frames.map(|(frame, lines)| FrameInSource { frame: frame.into(), context: lines.map(Into::into) });
        let frames = frames.collect();
        Self { id, kind, message, source, release, frames, source_map: is_mapped, occurrences }
    }
}

impl From<Part> for ShownPart {
    fn from(Part { name, count }: Part) -> Self {
        Self { value: name, occurrences: count }
    }
}

impl ShownOccurrence {
    fn new(occurrence: Occurrence, replay: Option<(ReplayId, i64)>) -> Self {
        let Occurrence {
            at,
            variant,
            visitor,
            session,
            count,
            path,
            device,
            browser,
            os,
            country,
            properties,
            breadcrumbs,
        } = occurrence;
        let breadcrumbs = breadcrumbs.into_iter();
        Self {
            occurred_at: Instant(at),
            stack: variant,
            visitor: visitor.to_string(),
            session: session.to_string(),
            count,
            page: path,
            with: ShownDevice { country, device, browser, os },
            properties: properties.into_iter().map(|(name, value)| ShownProperty { name, value }).collect(),
            breadcrumbs: breadcrumbs
                .map(|crumb| ShownBreadcrumb { before_ms: crumb.before_ms, kind: crumb.kind, text: crumb.text })
                .collect(),
            replay: replay.map(MomentOfReplay::from),
        }
    }
}

impl From<HistoryEntry> for ShownHistory {
    fn from(HistoryEntry { at, what, who, release }: HistoryEntry) -> Self {
        Self { at: Instant(at), what, who, release }
    }
}

fn parts(parts: Vec<Part>) -> Vec<ShownPart> {
    parts.into_iter().map(ShownPart::from).collect()
}

/// All about a group of errors, in a view.
pub async fn detail(
    reader: Console<ReadErrors>,
    state: web::Data<AppState>,
    path: web::Path<GroupPath>,
    query: Query<ViewParams>,
) -> Result<Success<GroupDetail>, ApiError> {
    let question = Question::of(&reader, &state);
    let (params, id) = (query.read(question.now)?, path.id()?);
    let view = question.view(&params).await?;
    let range = ShownRange::of(&view);
    let website = question.id();
    let detail = detail_in(&question, view, id, LAST).await?;
    let ErrorDetail { found, variants, browsers, systems, releases, pages, devices, last, history } = detail;
    let found_replays = off_the_worker(&state, move |state| {
        let moment = |occurrence: &Occurrence| state.captures.replay_at(website, occurrence.session, occurrence.at);
        let moments = last.iter().map(moment).collect::<Result<Vec<_>, CaptureError>>()?;
        Ok::<_, CaptureError>((last, moments))
    });
    let (last, moments) = found_replays.await?;
    let detail = GroupDetail {
        range,
        group: found.into(),
        stacks: variants.into_iter().map(ShownStack::from).collect(),
        browsers: parts(browsers),
        systems: parts(systems),
        releases: parts(releases),
        pages: parts(pages),
        devices: parts(devices),
        last: last.into_iter().zip(moments).map(|(one, moment)| ShownOccurrence::new(one, moment)).collect(),
        history: history.into_iter().map(ShownHistory::from).collect(),
    };
    Ok(Success::new(detail, question.now))
}

/// All about a group of errors in a view, with so many of its last occurrences.
///
/// # Errors
/// A 404 when the website has no such group; otherwise as [`groups_in`].
pub(in crate::http) async fn detail_in(
    question: &Question,
    view: View,
    id: GroupId,
    last: usize,
) -> Result<ErrorDetail, ApiError> {
    let (website, kept) = (question.id(), Kept::of(&view)?);
    let found = off_the_worker(&question.state, move |state| {
        let buckets = buckets(&view);
        kept.with(|filter| state.captures.error_detail(website, id, &GroupQuery { filter, buckets: &buckets }, last))
    });
    found.await?.ok_or_else(unknown)
}

/// What is decided about a group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupChanges {
    /// `unresolved`, `resolved` or `ignored`. A group that is resolved is unresolved again when it happens again.
    #[schema(examples("resolved"))]
    status: String,
}

/// A group with its new status.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangedGroup {
    /// The group.
    #[schema(examples("eg_0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    id: String,
    /// Its status.
    #[schema(examples("resolved"))]
    status: &'static str,
}

/// Resolves, ignores or reopens a group of errors.
pub async fn change(
    key: Console<EditErrors>,
    state: web::Data<AppState>,
    body: JsonBody<GroupChanges>,
    path: web::Path<GroupPath>,
) -> Result<Success<ChangedGroup>, ApiError> {
    let now = state.clock.now();
    let GroupChanges { status } = body.read().await?;
    let mut rules = Rules::default();
    let status = Status::from_name(&status);
    rules.require(status.is_some(), "status", "Use unresolved, resolved or ignored");
    rules.check()?;
    let Some(status) = status else { return Err(ApiError::internal()) };
    let id = path.id()?;
    decide(&state, key.store(&state), key.caller.audit_actor().words, (key.resource.id, id), status).await?;
    Ok(Success::new(ChangedGroup { id: id.to_string(), status: status.as_str() }, now))
}

/// Gives a group of a website another status in the name of `who`, whose `store` it is.
///
/// # Errors
/// A 404 when the website has no such group, and when it cannot be written.
pub(in crate::http) async fn decide(
    state: &web::Data<AppState>,
    store: Arc<dyn Metadata>,
    who: String,
    (website, id): (WebsiteId, GroupId),
    status: Status,
) -> Result<(), ApiError> {
    let changed =
        written(state, store, who, move |captures, who, at| captures.set_error_status(website, id, status, who, at));
    if changed.await? { Ok(()) } else { Err(unknown()) }
}

/// Makes `change` in the name of `who`, whose `store` it is, at the time that never goes back, where a thread may block.
async fn written<T: Send + 'static>(
    state: &web::Data<AppState>,
    store: Arc<dyn Metadata>,
    who: String,
    change: impl FnOnce(&Captures, &str, Timestamp) -> Result<T, CaptureError> + Send + 'static,
) -> Result<T, ApiError> {
    let at = state.clock.reading().steady;
    let change = move |state: &AppState| {
        // Captures are in no transaction of the metadata: this is as late as it can be looked at.
        store.check_standing()?;
        Ok::<_, ApiError>(change(&state.captures, &who, at)?)
    };
    off_the_worker(state, change).await
}

/// Groups that are put into another one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MergedGroups {
    /// The groups whose errors go into the one of the path; later errors like theirs go there, too.
    #[schema(min_items = 1, max_items = 100, examples("eg_7c8d9e0f-1a2b-4e5f-8a6b-0190a1b2c3d4"))]
    groups: Vec<String>,
}

/// Stacks that are taken out of a group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitStacks {
    /// Some of the `stacks` of the group, but not all: they become a group of their own.
    #[schema(min_items = 1, max_items = 100, examples(7))]
    stacks: Vec<i64>,
}

/// A group that others were put into, or that was taken out of another one.
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeGroup {
    /// The group.
    #[schema(examples("eg_0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    id: String,
}

/// The most groups or stacks of one request.
const MOVED_MAX: usize = 100;

/// Puts groups of errors into another one.
pub async fn merge(
    key: Console<EditErrors>,
    state: web::Data<AppState>,
    body: JsonBody<MergedGroups>,
    path: web::Path<GroupPath>,
) -> Result<Success<MadeGroup>, ApiError> {
    let now = state.clock.now();
    let MergedGroups { groups } = body.read().await?;
    let mut rules = Rules::default();
    rules.require((1..=MOVED_MAX).contains(&groups.len()), "groups", "Name 1 to 100 groups");
    let from: Vec<Option<GroupId>> = groups.iter().map(|id| id.parse().ok()).collect();
    rules.require(from.iter().all(Option::is_some), "groups", "Name groups by their ids");
    rules.check()?;
    let from: Vec<GroupId> = from.into_iter().flatten().collect();
    let (website, id) = (key.resource.id, path.id()?);
    let merged = written(&state, key.store(&state), key.caller.audit_actor().words, move |captures, who, at| {
        captures.merge_error_groups(website, id, &from, who, at)
    });
    merged.await?.ok_or_else(unknown)?;
    Ok(Success::new(MadeGroup { id: id.to_string() }, now))
}

/// Makes a group of some of the stacks of another one.
pub async fn split(
    key: Console<EditErrors>,
    state: web::Data<AppState>,
    body: JsonBody<SplitStacks>,
    path: web::Path<GroupPath>,
) -> Result<Success<MadeGroup>, ApiError> {
    let now = state.clock.now();
    let SplitStacks { stacks } = body.read().await?;
    let mut rules = Rules::default();
    rules.require((1..=MOVED_MAX).contains(&stacks.len()), "stacks", "Name 1 to 100 stacks, but not all of the group");
    rules.check()?;
    let (website, id) = (key.resource.id, path.id()?);
    let made = written(&state, key.store(&state), key.caller.audit_actor().words, move |captures, who, at| {
        captures.split_error_group(website, id, &stacks, who, at)
    });
    let made = made.await?.ok_or_else(unknown)?;
    Ok(Success::new(MadeGroup { id: made.to_string() }, now))
}

/// A source map of a bundle.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceMapBody {
    /// The name of the bundle.
    #[schema(min_length = 1, max_length = 500, examples("app-3f2a.js"))]
    file_name: String,
    /// The address of the bundle on the website.
    #[schema(min_length = 1, max_length = 1000, examples("https://example.com/assets/app-3f2a.js"))]
    file_url: String,
    /// The release that the bundle is of, as its pages say it; `default` when they do not.
    #[schema(max_length = 100, examples("2.14.0"))]
    release: Option<String>,
    /// The source map: JSON, or a string of it.
    #[schema(value_type = Properties)]
    map_content: Option<Value>,
    /// Not used: source maps are sent, never fetched.
    #[schema(examples("https://example.com/assets/app-3f2a.js.map"))]
    map_url: Option<String>,
}

impl RequestBody for SourceMapBody {
    fn describe(operation: &mut Operation) {
        operation.refuses([ErrorCode::InvalidFields, ErrorCode::RateLimitExceeded, ErrorCode::ServiceUnavailable]);
    }
}

/// What became of a source map.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddedSourceMap {
    /// Stacks of errors that came before, which are readable now.
    #[schema(examples(12))]
    stacks: u64,
    /// Groups that have other errors than before.
    #[schema(examples(2))]
    groups: u64,
}

/// The most bytes of a body with a source map: in a string it is longer.
const SOURCE_MAP_BODY_MAX_BYTES: usize = SOURCE_MAP_MAX_BYTES + (SOURCE_MAP_MAX_BYTES >> 1);

/// Keeps a source map: stacks of its bundle are shown, and grouped, as people wrote them; also those of errors before it.
pub async fn add_source_map(
    key: Console<EditErrors>,
    state: web::Data<AppState>,
    req: HttpRequest,
    body: Body<SourceMapBody>,
) -> Result<Success<AddedSourceMap>, ApiError> {
    let now = state.clock.now();
    require_json(req.headers())?;
    // One at a time: what is made of a map is many times as long.
    let _turn = state.bodies.long_batch(state.body_timeout).await?;
    let payload = body.into_payload();
    let read = state.bodies.read_batch(&req, payload, SOURCE_MAP_BODY_MAX_BYTES, state.body_timeout).await?;
    let website = key.resource.id;
    let encoding = body::encoding(req.headers()).map(str::to_owned);
    let at = state.clock.reading().steady;
    let store = key.store(&state);
    let kept = off_the_worker(&state, move |state| {
        let bytes = decode_body(encoding.as_deref(), &read.bytes, SOURCE_MAP_BODY_MAX_BYTES)?;
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|error| ApiError::invalid("body", error.to_string()))?;
        // An array with the values of an object in their order would do otherwise.
        if !value.is_object() {
            return Err(ApiError::invalid("body", "must be an object"));
        }
        if value["mapContent"].is_array() {
            return Err(ApiError::invalid("mapContent", "must be an object"));
        }
        let SourceMapBody { file_name, file_url, release, map_content, map_url } =
            serde_json::from_value(value).map_err(|error| ApiError::invalid("body", error.to_string()))?;
        let mut rules = Rules::default();
        rules.require((1..=500).contains(&file_name.len()), "fileName", "Use 1 to 500 characters");
        rules.require((1..=1_000).contains(&file_url.len()), "fileUrl", "Use 1 to 1,000 characters");
        let json = match map_content {
            Some(Value::String(json)) => json,
            Some(map @ Value::Object(_)) => map.to_string(),
            _ => {
                let problem =
                    if map_url.is_some() { "Source maps are not fetched: send the map" } else { "Send the map" };
                rules.problem("mapContent", problem);
                String::new()
            }
        };
        rules.check()?;
        let new = NewSourceMap {
            file_name: &file_name,
            file_url: &file_url,
            release: release.as_deref().unwrap_or(""),
            json: &json,
        };
        store.check_standing()?;
        state.captures.add_source_map(website, new, at).map_err(|error| match error {
            SourceMapError::Store(error) => error.into(),
            error => ApiError::unprocessable([("mapContent".to_owned(), error.to_string())].into()),
        })
    });
    let KeptSourceMap { stacks, groups } = kept.await?;
    Ok(Success::new(AddedSourceMap { stacks, groups }, now))
}
