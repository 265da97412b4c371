//! `GET /stats/performance`, `/stats/errors`, `/stats/heatmaps`, `/stats/heatmaps/page`, `/stats/replays`: what pages captured
//! beside their events, as the dashboard counts it, with the ranges and filters of the other questions.

use std::sync::Arc;

use actix_web::web;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use zenovay_capture::{Bucketed, DeviceClass, PageVitals};
use zenovay_domain::{Interval, TimeRange, Timestamp, Website, Zone};
use zenovay_stats::{Filters, Property};

use super::answers::{About, HasResults, WithResults, bucket_date, has_results, list_of};
use super::params::{self, AskedRows, read};
use crate::http::console::captured::{CAPTURED_BY, Lacking};
use crate::http::console::error_groups::{self, Chosen, GroupInView, StatusCounts};
use crate::http::console::heatmaps::{self, HeatmapInView, PagesAsked, ShownHeat};
use crate::http::console::performance::{self, ShownMetrics, ShownVitals};
use crate::http::console::reader::Question;
use crate::http::console::session_replays::{self, ReplayInView, ReplayParams};
use crate::http::console::view::View;
use crate::http::document::Operation;
use crate::http::envelope::ApiError;
use crate::http::export::sheets::{Accept, Format, Formatted, Listed, SheetName};
use crate::http::external::analytics::WebsiteName;
use crate::http::guard::{Authorized, OfNamedWebsite, ReadErrorStats, ReadHeatmapStats, ReadReplayStats, ReadStats};
use crate::http::params::{Limit, Params, Query, QueryParams};
use crate::http::state::AppState;
use crate::http::values::{Instant, non_empty};

/// Which website a question is about, when, and what counts.
#[derive(Debug, Clone)]
pub struct Asked {
    site: String,
    range: TimeRange,
    zone: Zone,
    filters: Filters,
    is_of_months: bool,
}

impl QueryParams for Asked {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        let site = params::site(params);
        let zone = params::zone(params);
        let (range, is_of_months) = params::range(params, &zone, now);
        let filters = params::filters(params);
        Self { site, range, zone, filters, is_of_months }
    }
}

/// The same, with filters by what captures have themselves.
#[derive(Debug, Clone)]
pub struct AskedOfCaptures(Asked);

impl QueryParams for AskedOfCaptures {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        let asked = Asked::read(params, now);
        if let Some(lacking) = Lacking::of(&asked.filters) {
            params.problem("filters", refusal(lacking));
        }
        Self(asked)
    }
}

/// What is said of a filter by something that captures do not have.
fn refusal(lacking: Lacking) -> String {
    let property = match lacking {
        Lacking::Goal => Some(Property::Goal),
        Lacking::Field(field) => Some(Property::Field(field)),
        Lacking::Other => None,
    };
    let what =
        property.map_or_else(|| "what events were, and what else visits did".to_owned(), |property| property.name());
    let by: Vec<String> = CAPTURED_BY
        .iter()
        .filter_map(|name| Property::parse(name, true).ok())
        .map(|property| property.name())
        .collect();
    format!("{what}: errors, replays and page speed are filtered by {} alone", by.join(", "))
}

impl Asked {
    /// The question, from whoever may ask it about the website, and what it shows.
    async fn question<P: OfNamedWebsite>(
        &self,
        key: &Authorized<P>,
        state: &web::Data<AppState>,
        now: Timestamp,
        interval: Interval,
    ) -> Result<(Question, View), ApiError> {
        let (website, asking) = key.website(state, self.site.clone()).await?;
        let view = View::plain(self.range, self.zone.clone(), self.filters.clone(), interval);
        Ok((Question::new(state.clone(), website, now, asking), view))
    }

    fn about(&self, website: &Website) -> About {
        About {
            website: WebsiteName::of(website),
            range: self.range.into(),
            comparison_range: None,
            timezone: self.zone.name().to_owned(),
        }
    }

    fn file_name(&self, website: &Arc<Website>, list: &str) -> SheetName {
        SheetName::of(website, list, self.range)
    }
}

/// Which rows of a list are asked for, and how.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    rows: AskedRows,
    format: Option<Format>,
}

impl QueryParams for Rows {
    fn read(params: &mut Params, _: Timestamp) -> Self {
        let rows = AskedRows::read(params, "The page, from 1.");
        Self { rows, format: Format::read(params) }
    }
}

impl Rows {
    /// How many rows at most, in this format.
    fn most(self, format: Format) -> usize {
        if format == Format::Json { self.rows.limit } else { self.rows.file_rows }
    }

    /// Which rows of `total` an answer with `rows` of them has.
    fn answer(self, rows: usize, total: u64) -> CapturedPage {
        let end = self.rows.offset.saturating_add(rows);
        CapturedPage { limit: self.rows.limit, total_rows: total, has_more: total > end as u64 }
    }
}

/// Which rows of a list an answer has.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct CapturedPage {
    /// How many rows at most.
    #[schema(examples(100))]
    limit: usize,
    /// How many rows there are in all.
    #[schema(examples(31))]
    total_rows: u64,
    /// Whether there are more after these.
    has_more: bool,
}

/// The parameters of a series and a list: the width of the buckets comes after the range.
#[derive(Debug, Clone)]
pub struct InBuckets {
    asked: Asked,
    interval: Interval,
}

impl QueryParams for InBuckets {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        let AskedOfCaptures(asked) = AskedOfCaptures::read(params, now);
        let interval = params::interval(params, asked.range, asked.is_of_months);
        Self { asked, interval }
    }
}

/// How fast pages are.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpeedStats {
    /// What it is about.
    #[serde(flatten)]
    about: About,
    /// The width of the buckets.
    #[schema(examples("day"))]
    interval: &'static str,
    /// All page views that were measured.
    totals: Speed,
    /// By the kind of device, the one with the most views first.
    devices: Vec<DeviceSpeed>,
    /// One for each bucket, the oldest first.
    series: Vec<SpeedPoint>,
    /// The pages, the one with the most views first.
    results: Vec<SpeedOfPage>,
    /// Which pages these are.
    pagination: CapturedPage,
}

/// How fast something is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Speed {
    /// Page views that were measured.
    #[schema(examples(812))]
    views: u64,
    /// The metrics.
    #[serde(flatten)]
    metrics: ShownMetrics,
}

/// How fast pages are on a kind of device.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceSpeed {
    /// The kind of device; null when it is not known.
    #[schema(required = true, examples("desktop"))]
    device: Option<String>,
    /// How fast.
    #[serde(flatten)]
    speed: Speed,
}

/// How fast a page is.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpeedOfPage {
    /// Its path.
    #[schema(examples("/pricing"))]
    page: String,
    /// How fast.
    #[serde(flatten)]
    speed: Speed,
}

/// How fast pages are in a bucket. At the ends of the range only the part inside it was counted.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpeedPoint {
    /// The day on which it begins in the zone, of hours with the time.
    #[schema(examples("2026-06-13"))]
    date: String,
    /// Its first instant.
    from: Instant,
    /// Page views that were measured.
    #[schema(examples(150))]
    views: u64,
    /// The values.
    #[serde(flatten)]
    values: ShownVitals,
}

impl From<PageVitals> for DeviceSpeed {
    fn from(PageVitals { name, views, metrics }: PageVitals) -> Self {
        Self { device: non_empty(name), speed: Speed { views, metrics: metrics.into() } }
    }
}

impl From<PageVitals> for SpeedOfPage {
    fn from(PageVitals { name, views, metrics }: PageVitals) -> Self {
        Self { page: name, speed: Speed { views, metrics: metrics.into() } }
    }
}

impl SpeedOfPage {
    /// As a row of a file.
    fn flat(&self) -> Value {
        let Speed { views, metrics } = &self.speed;
        let known = [("page".to_owned(), json!(self.page)), ("views".to_owned(), json!(views))];
        Value::Object(known.into_iter().chain(metrics.flat()).collect::<Map<_, _>>())
    }
}

/// How fast pages are: in all, by device, over time, and page by page.
pub async fn performance(
    key: Authorized<ReadStats>,
    state: web::Data<AppState>,
    query: Query<(InBuckets, Rows)>,
    accept: Accept,
) -> Result<Listed<WithResults<SpeedStats>>, ApiError> {
    let now = state.clock.now();
    let (InBuckets { asked, interval }, rows) = read(&query, now)?;
    let format = accept.or(rows.format);
    let (question, view) = asked.question(&key, &state, now, interval).await?;
    let end = rows.rows.offset.saturating_add(rows.most(format));
    let report = performance::measured(&question, view, end).await?;
    let pages = report.pages.into_iter().skip(rows.rows.offset).map(SpeedOfPage::from);
    let results: Vec<SpeedOfPage> = pages.collect();
    if format != Format::Json {
        let columns = ["page", "views"].into_iter().chain(ShownMetrics::COLUMNS).map(str::to_owned).collect();
        let flat: Vec<Value> = results.iter().map(SpeedOfPage::flat).collect();
        return Ok(Listed::sheet(format, &asked.file_name(&question.website, "performance"), columns, &flat));
    }
    let point = |Bucketed { at, views, p75 }: Bucketed| SpeedPoint {
        date: bucket_date(&asked.zone, at, interval),
        from: Instant(at),
        views,
        values: p75.into(),
    };
    let answer = SpeedStats {
        about: asked.about(&question.website),
        interval: interval.as_str(),
        totals: Speed { views: report.views, metrics: report.metrics.into() },
        devices: report.devices.into_iter().map(DeviceSpeed::from).collect(),
        series: report.series.into_iter().map(point).collect(),
        pagination: rows.answer(results.len(), report.pages_total),
        results,
    };
    Ok(Listed::Json(WithResults::new(answer, now)))
}

/// Groups of errors in a range.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorStats {
    /// What it is about.
    #[serde(flatten)]
    about: About,
    /// The width of the buckets of each group's `series`.
    #[schema(examples("day"))]
    interval: &'static str,
    /// How many groups of the website have each status, in whatever range.
    counts: StatusCounts,
    /// The group that occurred last first, unless it is asked for otherwise.
    results: Vec<GroupInView>,
    /// Which groups these are.
    pagination: CapturedPage,
}

/// The groups of errors that occurred in a range.
pub async fn errors(
    key: Authorized<ReadErrorStats>,
    state: web::Data<AppState>,
    query: Query<(InBuckets, (Chosen, Rows))>,
    accept: Accept,
) -> Result<Listed<WithResults<ErrorStats>>, ApiError> {
    let now = state.clock.now();
    let (InBuckets { asked, interval }, (chosen, rows)) = read(&query, now)?;
    let format = accept.or(rows.format);
    let (question, view) = asked.question(&key, &state, now, interval).await?;
    let (found, counts) = error_groups::chosen_in(&question, view, &chosen).await?;
    let total = found.len() as u64;
    let page = found.into_iter().skip(rows.rows.offset).take(rows.most(format)).map(GroupInView::from);
    let results: Vec<GroupInView> = page.collect();
    if format != Format::Json {
        let flat: Vec<Value> = results.iter().map(GroupInView::flat).collect();
        let name = asked.file_name(&question.website, "errors");
        return Ok(Listed::file(format, &name, error_groups::COLUMNS, &flat));
    }
    let (about, interval) = (asked.about(&question.website), interval.as_str());
    let pagination = rows.answer(results.len(), total);
    Ok(Listed::Json(WithResults::new(ErrorStats { about, interval, counts, results, pagination }, now)))
}

/// Pages that have a heatmap.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeatmapStats {
    /// What it is about.
    #[serde(flatten)]
    about: About,
    /// Whether the website collects what heatmaps are made of.
    enabled: bool,
    /// The page with the most clicks first, unless it is asked for otherwise.
    results: Vec<HeatmapInView>,
    /// Which pages these are.
    pagination: CapturedPage,
}

/// The pages with a heatmap in a range. Filters by what a page view does not have choose visitors: those who did it in the range.
pub async fn heatmaps(
    key: Authorized<ReadHeatmapStats>,
    state: web::Data<AppState>,
    query: Query<(Asked, (PagesAsked, Rows))>,
    accept: Accept,
) -> Result<Listed<WithResults<HeatmapStats>>, ApiError> {
    let now = state.clock.now();
    let (asked, (pages, rows)) = read(&query, now)?;
    let format = accept.or(rows.format);
    let (question, view) = asked.question(&key, &state, now, Interval::Day).await?;
    let found = heatmaps::pages_in(&question, view, pages, rows.rows.offset, rows.most(format)).await?;
    let results: Vec<HeatmapInView> = found.pages.into_iter().map(HeatmapInView::from).collect();
    if format != Format::Json {
        let flat: Vec<Value> = results.iter().map(HeatmapInView::flat).collect();
        let name = asked.file_name(&question.website, "heatmaps");
        return Ok(Listed::file(format, &name, heatmaps::COLUMNS_OF_PAGES, &flat));
    }
    let (about, enabled) = (asked.about(&question.website), question.website.settings.heatmaps);
    let pagination = rows.answer(results.len(), found.total);
    Ok(Listed::Json(WithResults::new(HeatmapStats { about, enabled, results, pagination }, now)))
}

/// Of which page and devices a heatmap is, and how many of its elements are told.
#[derive(Debug, Clone)]
pub struct PageAsked {
    path: String,
    class: DeviceClass,
    limit: Limit<200, 1000>,
    formatted: Formatted,
}

impl QueryParams for PageAsked {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        Self {
            // `page` is the number of a page of a list here.
            path: heatmaps::path_param(params, "path"),
            class: heatmaps::class_param(params),
            limit: Limit::read(params, now),
            formatted: Formatted::read(params, now),
        }
    }
}

/// The heatmap of a page for one class of devices.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageHeatStats {
    /// What it is about.
    #[serde(flatten)]
    about: About,
    /// The heatmap.
    results: ShownHeat,
}

/// Where visitors clicked on a page in a range, how far they scrolled, and what they looked at. It is empty when nothing is known
/// of the page.
pub async fn heatmap(
    key: Authorized<ReadHeatmapStats>,
    state: web::Data<AppState>,
    query: Query<(Asked, PageAsked)>,
    accept: Accept,
) -> Result<Listed<WithResults<PageHeatStats>>, ApiError> {
    let now = state.clock.now();
    let (asked, PageAsked { path, class, limit, formatted }) = read(&query, now)?;
    let format = accept.or(formatted.format);
    let (question, view) = asked.question(&key, &state, now, Interval::Day).await?;
    let elements = if format == Format::Json { limit.0 } else { formatted.rows };
    let found = heatmaps::heatmap_in(&question, view, path.clone(), class, elements).await?;
    let results = ShownHeat::new(path, class, found);
    if format != Format::Json {
        let name = asked.file_name(&question.website, "heatmap");
        return Ok(Listed::file(format, &name, heatmaps::COLUMNS_OF_ELEMENTS, &results.rows()));
    }
    let about = asked.about(&question.website);
    Ok(Listed::Json(WithResults::new(PageHeatStats { about, results }, now)))
}

/// Recordings of sessions.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayStats {
    /// What it is about: when they began.
    #[serde(flatten)]
    about: About,
    /// Whether sessions are recorded at present.
    enabled: bool,
    /// The one that began last first.
    results: Vec<ReplayInView>,
    /// Which recordings these are.
    pagination: CapturedPage,
}

/// The recordings that began in a range. A recording counts when one of its pages does.
pub async fn replays(
    key: Authorized<ReadReplayStats>,
    state: web::Data<AppState>,
    query: Query<(AskedOfCaptures, (ReplayParams, Rows))>,
    accept: Accept,
) -> Result<Listed<WithResults<ReplayStats>>, ApiError> {
    let now = state.clock.now();
    let (AskedOfCaptures(asked), (which, rows)) = read(&query, now)?;
    let format = accept.or(rows.format);
    let (question, view) = asked.question(&key, &state, now, Interval::Day).await?;
    let (results, total) =
        session_replays::shown_in(&question, view, which, rows.rows.offset, rows.most(format)).await?;
    if format != Format::Json {
        let name = asked.file_name(&question.website, "replays");
        return Ok(Listed::file(format, &name, session_replays::COLUMNS, &results));
    }
    let (about, enabled) = (asked.about(&question.website), session_replays::is_recording(&question.website));
    let pagination = rows.answer(results.len(), total);
    Ok(Listed::Json(WithResults::new(ReplayStats { about, enabled, results, pagination }, now)))
}

has_results! {
    SpeedStats => Vec<SpeedOfPage>, list_of::<SpeedOfPage>;
    ErrorStats => Vec<GroupInView>, list_of::<GroupInView>;
    HeatmapStats => Vec<HeatmapInView>, list_of::<HeatmapInView>;
    PageHeatStats => ShownHeat, Operation::schema::<ShownHeat>;
    ReplayStats => Vec<ReplayInView>, list_of::<ReplayInView>;
}
