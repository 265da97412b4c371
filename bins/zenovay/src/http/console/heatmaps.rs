//! `/api/websites/:websiteId/heatmaps`: where people click on pages, how far they scroll, and which parts they look at.

use actix_web::web;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use utoipa::ToSchema;
use zenovay_capture::{
    Cell, DeviceClass, ElementHeat, HEAT_BINS, HeatPage, HeatPages, HeatPagesQuery, HeatSort, HeatSortBy, Heatmap,
    HeatmapQuery, OTHER_PAGES, PAGE_COLUMNS, PAGE_ROWS, PageSnapshot, PageVersion,
};
use zenovay_domain::Timestamp;

use super::Console;
use super::captured::KeptHeat;
use super::files::sheet_name;
use super::numbers::ShownRange;
use super::queries::Answered;
use super::reader::Question;
use super::view::{View, ViewParams};
use crate::http::document::Parameter;
use crate::http::envelope::{ApiError, Success};
use crate::http::export::sheets::{Accept, Exported, Format, Listed};
use crate::http::guard::ReadHeatmaps;
use crate::http::lookups::off_the_worker;
use crate::http::params::{Limit, Paged, Params, Query, QueryParams};
use crate::http::state::AppState;
use crate::http::values::Instant;

/// The most cells of the page's grid that an answer has, of clicks and of moves each.
const CELLS_MAX: usize = 5_000;

/// The names of the classes of devices, in the order of [`DeviceClass::ALL`].
const CLASSES: [&str; 3] = [DeviceClass::ALL[0].as_str(), DeviceClass::ALL[1].as_str(), DeviceClass::ALL[2].as_str()];

/// Pages of a website that have a heatmap, in a view.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeatmapsInView {
    /// What was counted.
    range: ShownRange,
    /// Whether the website collects what heatmaps are made of.
    enabled: bool,
    /// The page with the most clicks first, unless it is asked for otherwise.
    pages: Vec<HeatmapInView>,
    /// How many pages there are, also those that are not told.
    #[schema(examples(31))]
    pages_total: u64,
}

/// A page that has a heatmap.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeatmapInView {
    /// Its path; `(other)` stands for all pages beyond the 5,000 of which heatmaps are kept.
    #[schema(examples("/pricing"))]
    path: String,
    /// Clicks.
    #[schema(examples(1320))]
    clicks: u64,
    /// Clicks that were many in a short time at one place.
    #[schema(examples(38))]
    rage_clicks: u64,
    /// Clicks on something active after which nothing happened.
    #[schema(examples(21))]
    dead_clicks: u64,
    /// Page views.
    #[schema(examples(867))]
    views: u64,
    /// How much of the height of the page a view saw on average, 0 to 1; null without a view.
    #[schema(required = true, examples(0.61))]
    average_depth: Option<f64>,
    /// Page views in each class of devices.
    devices: ViewsByClass,
    /// When somebody looked at it last.
    last_at: Instant,
}

/// Page views in each class of devices: by the width of the window, from 1,024 and from 600 pixels on.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct ViewsByClass {
    /// From 1,024 pixels on.
    #[schema(examples(702))]
    desktop: u64,
    /// From 600 to 1,023 pixels.
    #[schema(examples(40))]
    tablet: u64,
    /// Narrower.
    #[schema(examples(125))]
    phone: u64,
}

impl From<[u64; 3]> for ViewsByClass {
    fn from([desktop, tablet, phone]: [u64; 3]) -> Self {
        Self { desktop, tablet, phone }
    }
}

impl From<HeatPage> for HeatmapInView {
    fn from(page: HeatPage) -> Self {
        let average_depth = page.average_depth();
        let HeatPage { path, clicks, rage_clicks, dead_clicks, views, last_at, .. } = page;
        Self {
            path,
            clicks,
            rage_clicks,
            dead_clicks,
            views: views.iter().sum(),
            average_depth,
            devices: views.into(),
            last_at: Instant(last_at),
        }
    }
}

impl HeatmapInView {
    /// As a row of a file.
    pub(in crate::http) fn flat(&self) -> Value {
        let Self { path, clicks, rage_clicks, dead_clicks, views, average_depth, devices, last_at } = self;
        let ViewsByClass { desktop, tablet, phone } = devices;
        json!({ "path": path, "clicks": clicks, "rage_clicks": rage_clicks, "dead_clicks": dead_clicks,
            "views": views, "average_depth": average_depth, "desktop": desktop, "tablet": tablet, "phone": phone,
            "last_at": last_at })
    }
}

/// Which pages of a view are asked for.
pub struct PagesParams {
    asked: PagesAsked,
    format: Option<Format>,
}

/// Which pages, and in which order.
#[derive(Default)]
pub struct PagesAsked {
    /// Devices of this class; without it, all.
    pub(in crate::http) class: Option<DeviceClass>,
    /// Pages with this in their path, in any case.
    pub(in crate::http) contains: String,
    /// In which order.
    pub(in crate::http) sort: HeatSort,
}

/// By what pages can be sorted.
const SORTS: [(&str, HeatSortBy); 6] = [
    ("clicks", HeatSortBy::Clicks),
    ("rage_clicks", HeatSortBy::RageClicks),
    ("dead_clicks", HeatSortBy::DeadClicks),
    ("views", HeatSortBy::Views),
    ("average_depth", HeatSortBy::AverageDepth),
    ("last_at", HeatSortBy::LastAt),
];
const SORT_NAMES: [&str; 12] = [
    "clicks",
    "-clicks",
    "rage_clicks",
    "-rage_clicks",
    "dead_clicks",
    "-dead_clicks",
    "views",
    "-views",
    "average_depth",
    "-average_depth",
    "last_at",
    "-last_at",
];

impl QueryParams for PagesAsked {
    fn read(params: &mut Params, _: Timestamp) -> Self {
        let words = "Devices of this class; without it, all.";
        let class = params.one_of("device", &CLASSES, None, words).and_then(DeviceClass::from_name);
        params.declare(|| {
            let schema = json!({ "type": "string" });
            Parameter::query("q", "Pages with this in their path, in any case.").schema(schema).example("pric")
        });
        let contains = params.get("q").unwrap_or("").to_owned();
        let words = "What pages are sorted by: the greatest or latest first; with `-` the other way round.";
        let name = params.one_of("sort", &SORT_NAMES, Some("clicks"), words).unwrap_or("clicks");
        let (name, is_reversed) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
        let by = SORTS.iter().find(|(known, _)| *known == name).map_or(HeatSortBy::Clicks, |(_, by)| *by);
        Self { class, contains, sort: HeatSort { by, is_reversed } }
    }
}

impl QueryParams for PagesParams {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        Self { asked: PagesAsked::read(params, now), format: Format::read_file(params) }
    }
}

/// The columns of a file of pages.
pub(in crate::http) const COLUMNS_OF_PAGES: &[&str] = &[
    "path",
    "clicks",
    "rage_clicks",
    "dead_clicks",
    "views",
    "average_depth",
    "desktop",
    "tablet",
    "phone",
    "last_at",
];

/// Pages that have a heatmap, in a view. What a filter asks for that a page view does not have (all but page, device, browser,
/// system and country) chooses visitors: those who did it in the range.
pub async fn list(
    reader: Console<ReadHeatmaps>,
    state: web::Data<AppState>,
    query: Query<(Paged<20, 1000>, (PagesParams, ViewParams))>,
    accept: Accept,
) -> Result<Exported<Answered<HeatmapsInView>>, ApiError> {
    let question = Question::of(&reader, &state);
    let (Paged(page), (PagesParams { asked, format }, params)) = query.read(question.now)?;
    if let Some(format) = accept.file(format) {
        let view = question.view(&params).await?;
        let name = sheet_name(&question.website, "heatmaps", &view);
        let found = pages_in(&question, view, asked, 0, usize::MAX).await?;
        let rows: Vec<Value> = found.pages.into_iter().map(|page| HeatmapInView::from(page).flat()).collect();
        return Ok(Listed::file(format, &name, COLUMNS_OF_PAGES, &rows));
    }
    let answer = question.answer(move |question| async move {
        let view = question.view(&params).await?;
        let (range, enabled) = (ShownRange::of(&view), question.website.settings.heatmaps);
        let found = pages_in(&question, view, asked, page.offset, page.limit).await?;
        let pages = found.pages.into_iter().map(HeatmapInView::from).collect();
        Ok(Success::new(HeatmapsInView { range, enabled, pages, pages_total: found.total }, question.now))
    });
    answer.await.map(Listed::Json)
}

/// The pages of a view that have a heatmap.
///
/// # Errors
/// When events or captures cannot be read, or a filter chooses too many visitors.
pub(in crate::http) async fn pages_in(
    question: &Question,
    view: View,
    asked: PagesAsked,
    offset: usize,
    limit: usize,
) -> Result<HeatPages, ApiError> {
    let (website, kept) = (question.id(), KeptHeat::of(question, &view).await?);
    let found = off_the_worker(&question.state, move |state| {
        kept.with(|filter| {
            let PagesAsked { class, contains, sort } = &asked;
            let (class, sort) = (*class, *sort);
            state.captures.heat_pages(website, &HeatPagesQuery { sort, filter, class, contains, offset, limit })
        })
    });
    found.await
}

/// The heatmap of a page for one class of devices, in a view.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageHeatmap {
    /// What was counted.
    range: ShownRange,
    /// The heatmap.
    #[serde(flatten)]
    heat: ShownHeat,
}

/// The heatmap of a page for one class of devices.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownHeat {
    /// The path of the page.
    #[schema(examples("/pricing"))]
    page: String,
    /// `desktop`, `tablet` or `phone`.
    #[schema(examples("desktop"))]
    device: &'static str,
    /// Page views in each class of devices.
    devices: ViewsByClass,
    /// Page views.
    #[schema(examples(867))]
    views: u64,
    /// Distinct visitors.
    #[schema(examples(702))]
    visitors: u64,
    /// Clicks.
    #[schema(examples(1320))]
    clicks: u64,
    /// Clicks that were many in a short time at one place.
    #[schema(examples(38))]
    rage_clicks: u64,
    /// Clicks on something active after which nothing happened.
    #[schema(examples(21))]
    dead_clicks: u64,
    /// When somebody looked at the page last; null when nobody did.
    #[schema(required = true)]
    last_at: Option<Instant>,
    /// How much of the height of the page a view saw on average, 0 to 1; null without a view.
    #[schema(required = true, examples(0.58))]
    average_depth: Option<f64>,
    /// How much of it half of the views saw at least.
    #[schema(required = true, examples(0.61))]
    median_depth: Option<f64>,
    /// The median width and height of the window, in pixels; null without a view.
    #[schema(value_type = Option<Vec<u32>>, required = true, min_items = 2, max_items = 2, examples(1440))]
    viewport: Option<[u32; 2]>,
    /// The median width and height of the page, in pixels, the height to eight of them.
    #[schema(value_type = Option<Vec<u32>>, required = true, min_items = 2, max_items = 2, examples(1440))]
    page_size: Option<[u32; 2]>,
    /// The part of the page that is in the window at first: of the medians.
    #[schema(required = true, examples(0.25))]
    fold: Option<f64>,
    /// The columns and the rows of the grid of an element.
    #[schema(examples(32))]
    bins: u16,
    /// The elements with the most clicks.
    elements: Vec<ElementInView>,
    /// How many elements were clicked, also those that are not told.
    #[schema(examples(31))]
    elements_total: u64,
    /// Clicks on elements that are not told from each other, for there were too many different ones. They are in `clicks` and
    /// in `spots`.
    #[schema(examples(0))]
    other_clicks: u64,
    /// Clicks by their place on the page.
    spots: Grid,
    /// How many views saw at least so many twentieths of the height of the page: 21 numbers, of 0 to 20 twentieths.
    #[schema(examples(867))]
    reach: Vec<u64>,
    /// For how many milliseconds each twentieth of the height of the page was in the window, while somebody was there: 20
    /// numbers.
    #[schema(examples(512_000))]
    attention: Vec<u64>,
    /// Places of the pointer on the page, of the page views in which they are recorded.
    moves: Grid,
    /// The structures that the page had, the one that was seen last first; at most 20.
    versions: Vec<VersionInView>,
}

/// Clicks on an element.
#[derive(Debug, Serialize, ToSchema)]
pub struct ElementInView {
    /// The address, by which the element is found again on the page.
    #[schema(examples("#offers>li:nth-of-type(2)>button|f=1f9d0a2c"))]
    address: String,
    /// What the element is called; null when it has no name that may be known.
    #[schema(required = true, examples("Start free"))]
    label: Option<String>,
    /// Clicks.
    #[schema(examples(412))]
    clicks: u64,
    /// Clicks that were many in a short time at one place.
    #[schema(examples(0))]
    rage_clicks: u64,
    /// Clicks on something active after which nothing happened.
    #[schema(examples(0))]
    dead_clicks: u64,
    /// Where on the page they were on average, in pixels of `page_size`.
    #[schema(value_type = Vec<f64>, min_items = 2, max_items = 2, examples(640.5))]
    at: [f64; 2],
    /// Where in the element they were: column, row and clicks.
    #[schema(value_type = Vec<Vec<u64>>, examples(16))]
    cells: Vec<Cell>,
}

/// A grid over a page.
#[derive(Debug, Serialize, ToSchema)]
pub struct Grid {
    /// Its columns, equal parts of the width.
    #[schema(examples(64))]
    columns: u16,
    /// Its rows, equal parts of the height.
    #[schema(examples(256))]
    rows: u16,
    /// Column, row, and how much is in the cell. Empty cells are left out; at most the 5,000 fullest ones are told.
    #[schema(value_type = Vec<Vec<u64>>, examples(16))]
    cells: Vec<Cell>,
}

impl Grid {
    fn of_page(cells: Vec<Cell>) -> Self {
        Self { columns: PAGE_COLUMNS, rows: PAGE_ROWS, cells }
    }
}

/// A structure that a page had.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionInView {
    /// The hash of the structure; empty when pages did not tell it.
    #[schema(examples("9f2c41d07ab3e580"))]
    dom: String,
    /// Page views.
    #[schema(examples(867))]
    views: u64,
    /// The first of them.
    first_at: Instant,
    /// The last of them.
    last_at: Instant,
}

impl From<PageVersion> for VersionInView {
    fn from(PageVersion { dom, views, first_at, last_at }: PageVersion) -> Self {
        Self { dom, views, first_at: Instant(first_at), last_at: Instant(last_at) }
    }
}

/// Of which page and devices a heatmap is.
pub struct PageParams {
    page: String,
    class: DeviceClass,
    format: Option<Format>,
}

/// The path of a page, which must be named.
pub(super) fn page_param(params: &mut Params) -> String {
    path_param(params, "page")
}

/// The same by another name.
pub(in crate::http) fn path_param(params: &mut Params, name: &'static str) -> String {
    params.declare(|| {
        Parameter::query(name, "The path of the page.")
            .required()
            .schema(json!({ "type": "string" }))
            .example("/pricing")
    });
    let page = params.get(name).unwrap_or("").to_owned();
    if let Some(problem) = path_problem(&page) {
        params.problem(name, problem);
    }
    page
}

/// Why a page cannot have this path: those of pages begin with `/` and have no query, and `(other)` stands for those beyond the most.
pub(in crate::http) fn path_problem(path: &str) -> Option<&'static str> {
    let is_path = (path.starts_with('/') && !path.contains(['?', '#'])) || path == OTHER_PAGES;
    (!is_path).then_some("name the path of a page, which begins with / and has no query, such as /pricing")
}

/// The class of devices that is asked for.
pub(in crate::http) fn class_param(params: &mut Params) -> DeviceClass {
    let default = DeviceClass::Desktop;
    let words = "Devices of this class, by the width of the window: from 1,024 and from 600 pixels on.";
    let named = params.one_of("device", &CLASSES, Some(default.as_str()), words);
    named.and_then(DeviceClass::from_name).unwrap_or(default)
}

impl QueryParams for PageParams {
    fn read(params: &mut Params, _: Timestamp) -> Self {
        Self { page: page_param(params), class: class_param(params), format: Format::read_file(params) }
    }
}

/// The columns of a file of elements.
pub(in crate::http) const COLUMNS_OF_ELEMENTS: &[&str] =
    &["address", "label", "clicks", "rage_clicks", "dead_clicks", "x", "y"];

/// The heatmap of a page for one class of devices, in a view, with filters as for the list. It is empty when nothing is known
/// of the page.
pub async fn page(
    reader: Console<ReadHeatmaps>,
    state: web::Data<AppState>,
    query: Query<(Limit<200, 1000>, (PageParams, ViewParams))>,
    accept: Accept,
) -> Result<Exported<Answered<PageHeatmap>>, ApiError> {
    let question = Question::of(&reader, &state);
    let (limit, (PageParams { page, class, format }, params)) = query.read(question.now)?;
    if let Some(format) = accept.file(format) {
        let view = question.view(&params).await?;
        let name = sheet_name(&question.website, "heatmap", &view);
        let found = heatmap_in(&question, view, page.clone(), class, usize::MAX).await?;
        return Ok(Listed::file(format, &name, COLUMNS_OF_ELEMENTS, &ShownHeat::new(page, class, found).rows()));
    }
    let answer = question.answer(move |question| async move {
        let view = question.view(&params).await?;
        let range = ShownRange::of(&view);
        let found = heatmap_in(&question, view, page.clone(), class, limit.0).await?;
        Ok(Success::new(PageHeatmap { range, heat: ShownHeat::new(page, class, found) }, question.now))
    });
    answer.await.map(Listed::Json)
}

/// The heatmap of a page for one class of devices, in a view, with at most so many elements.
///
/// # Errors
/// When events or captures cannot be read, or a filter chooses too many visitors.
pub(in crate::http) async fn heatmap_in(
    question: &Question,
    view: View,
    page: String,
    class: DeviceClass,
    elements: usize,
) -> Result<Heatmap, ApiError> {
    let (website, kept) = (question.id(), KeptHeat::of(question, &view).await?);
    let found = off_the_worker(&question.state, move |state| {
        kept.with(|filter| {
            let query = HeatmapQuery { filter, path: &page, class, elements, spots: CELLS_MAX };
            state.captures.heatmap(website, &query)
        })
    });
    found.await
}

/// What can be drawn under the heatmap of a page.
#[derive(Debug, Serialize, ToSchema)]
pub struct Snapshot {
    /// The page as it was recorded last; null when no recording has it.
    #[schema(required = true)]
    snapshot: Option<RecordedPage>,
}

/// A page as it was recorded.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordedPage {
    /// When.
    recorded_at: Instant,
    /// The width and the height of the window, in pixels.
    #[schema(value_type = Vec<u32>, min_items = 2, max_items = 2, examples(1440))]
    viewport: [u32; 2],
    /// The document as `@rrweb/record` writes a node, masked. It is data and must not be run.
    #[schema(value_type = Object, examples(json!({ "type": 0, "childNodes": [], "id": 1 })))]
    node: Box<RawValue>,
}

/// Of which page and devices a recording is wanted.
pub struct SnapshotParams {
    page: String,
    class: DeviceClass,
}

impl QueryParams for SnapshotParams {
    fn read(params: &mut Params, _: Timestamp) -> Self {
        Self { page: page_param(params), class: class_param(params) }
    }
}

/// A page as it was recorded last for one class of devices. It comes from a replay; the page is never fetched.
pub async fn snapshot(
    reader: Console<ReadHeatmaps>,
    state: web::Data<AppState>,
    query: Query<SnapshotParams>,
) -> Result<Success<Snapshot>, ApiError> {
    let question = Question::of(&reader, &state);
    let (SnapshotParams { page, class }, website) = (query.read(question.now)?, question.id());
    let found = off_the_worker(&state, move |state| state.captures.page_snapshot(website, &page, class.widths()));
    let snapshot = found.await?.and_then(|PageSnapshot { at, width, height, node }| {
        // What is damaged cannot be drawn.
        let node = RawValue::from_string(node).ok()?;
        Some(RecordedPage { recorded_at: Instant(at), viewport: [width, height], node })
    });
    Ok(Success::new(Snapshot { snapshot }, question.now))
}

impl ShownHeat {
    pub(in crate::http) fn new(page: String, class: DeviceClass, heat: Heatmap) -> Self {
        let size = heat.page.unwrap_or_default().map(f64::from);
        let element = |element: ElementHeat| {
            let ElementHeat { address, label, clicks, rage_clicks, dead_clicks, at, cells } = element;
            // To tenths of pixels.
            let pixels = |side: usize| (at[side] * size[side] * 10.0).round() / 10.0;
            let label = Some(label).filter(|label| !label.is_empty());
            ElementInView { address, label, clicks, rage_clicks, dead_clicks, at: [pixels(0), pixels(1)], cells }
        };
        let fold = match (heat.viewport, heat.page) {
            (Some([_, window]), Some([_, height])) => Some((f64::from(window) / f64::from(height).max(1.0)).min(1.0)),
            _ => None,
        };
        Self {
            page,
            device: class.as_str(),
            devices: heat.views_by_class.into(),
            views: heat.views,
            visitors: heat.visitors,
            clicks: heat.clicks,
            rage_clicks: heat.rage_clicks,
            dead_clicks: heat.dead_clicks,
            last_at: heat.last_at.map(Instant),
            average_depth: heat.average_depth,
            median_depth: heat.median_depth,
            viewport: heat.viewport,
            page_size: heat.page,
            fold,
            bins: HEAT_BINS,
            elements: heat.elements.into_iter().map(element).collect(),
            elements_total: heat.elements_total,
            other_clicks: heat.other_clicks,
            spots: Grid::of_page(heat.spots),
            reach: heat.reach.to_vec(),
            attention: heat.attention.to_vec(),
            moves: Grid::of_page(heat.moves),
            versions: heat.versions.into_iter().map(VersionInView::from).collect(),
        }
    }

    /// The elements as rows of a file.
    pub(in crate::http) fn rows(&self) -> Vec<Value> {
        let row = |element: &ElementInView| {
            let ElementInView { address, label, clicks, rage_clicks, dead_clicks, at: [x, y], .. } = element;
            json!({ "address": address, "label": label, "clicks": clicks, "rage_clicks": rage_clicks,
                "dead_clicks": dead_clicks, "x": x, "y": y })
        };
        self.elements.iter().map(row).collect()
    }
}
