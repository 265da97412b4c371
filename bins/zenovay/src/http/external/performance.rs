//! How fast pages are: web vitals.

use actix_web::web;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use zenovay_capture::{Bucketed, PageVitals};
use zenovay_domain::{Interval, Timestamp, Zone};
use zenovay_stats::Filters;

use super::analytics::WebsiteName;
use crate::http::console::performance::{ShownMetrics, ShownVitals, measured};
use crate::http::console::reader::Question;
use crate::http::console::view::View;
use crate::http::envelope::{ApiError, Success};
use crate::http::export::sheets::{Accept, Format, Formatted, Listed, SheetName};
use crate::http::guard::{Authorized, ReadAnalytics};
use crate::http::params::{DateRange, Paged, Pagination, Query, RangeName, Window};
use crate::http::state::AppState;
use crate::http::values::{Day, non_empty};

/// The question of `key` about its website, and what `window` shows of it, day by day.
fn question(
    key: &Authorized<ReadAnalytics>,
    state: &web::Data<AppState>,
    window: Window,
    now: Timestamp,
) -> (Question, View) {
    let view = View::plain(window.range, Zone::utc(), Filters::default(), Interval::Day);
    (Question::new(state.clone(), key.resource.clone(), now, key.asking()), view)
}

/// How fast the pages of a website are in a range.
#[derive(Debug, Serialize, ToSchema)]
pub struct PerformanceOverview {
    website: WebsiteName,
    /// The range that was asked for, or `custom` for dates.
    time_range: RangeName,
    date_range: DateRange,
    /// All page views that were measured.
    summary: MeasuredViews,
    /// By the kind of device, the one with the most views first.
    devices: Vec<PerformanceOfDevice>,
    /// One row for each UTC day of the range, the oldest first, also of days without views.
    daily_stats: Vec<DailyPerformance>,
}

/// How fast page views were.
#[derive(Debug, Serialize, ToSchema)]
pub struct MeasuredViews {
    /// Page views that were measured.
    #[schema(examples(4210))]
    views: u64,
    /// The metrics.
    #[serde(flatten)]
    metrics: ShownMetrics,
}

/// How fast pages are on a kind of device.
#[derive(Debug, Serialize, ToSchema)]
pub struct PerformanceOfDevice {
    /// `desktop`, `mobile` or `tablet`; null when unknown.
    #[schema(required = true, examples("desktop"))]
    device_type: Option<String>,
    /// How fast.
    #[serde(flatten)]
    measured: MeasuredViews,
}

/// How fast pages were on a UTC day.
#[derive(Debug, Serialize, ToSchema)]
pub struct DailyPerformance {
    date: Day,
    /// Page views that were measured.
    #[schema(examples(150))]
    views: u64,
    /// The values.
    #[serde(flatten)]
    values: ShownVitals,
}

/// The columns of a file of days, which are the members of a row.
const DAY_COLUMNS: &[&str] = &["date", "views", "lcp", "cls", "inp", "fcp", "ttfb"];

impl From<Bucketed> for DailyPerformance {
    fn from(Bucketed { at, views, p75 }: Bucketed) -> Self {
        Self { date: Day(at), views, values: p75.into() }
    }
}

impl From<PageVitals> for PerformanceOfDevice {
    fn from(PageVitals { name, views, metrics }: PageVitals) -> Self {
        Self { device_type: non_empty(name), measured: MeasuredViews { views, metrics: metrics.into() } }
    }
}

/// The web vitals of a range, by device, and of each of its UTC days.
pub async fn overview(
    key: Authorized<ReadAnalytics>,
    state: web::Data<AppState>,
    query: Query<(Window, Formatted)>,
    accept: Accept,
) -> Result<Listed<Success<PerformanceOverview>>, ApiError> {
    let now = state.clock.now();
    let (window, formatted) = query.read(now)?;
    let (question, view) = question(&key, &state, window, now);
    let report = measured(&question, view, 0).await?;
    let daily_stats: Vec<DailyPerformance> = report.series.into_iter().map(DailyPerformance::from).collect();
    let format = accept.or(formatted.format);
    if format != Format::Json {
        let name = SheetName::of(&key.resource, "performance", window.range);
        return Ok(Listed::file(format, &name, DAY_COLUMNS, &daily_stats));
    }
    let answer = PerformanceOverview {
        website: WebsiteName::of(&key.resource),
        time_range: window.label,
        date_range: window.dates(),
        summary: MeasuredViews { views: report.views, metrics: report.metrics.into() },
        devices: report.devices.into_iter().map(PerformanceOfDevice::from).collect(),
        daily_stats,
    };
    Ok(Listed::Json(Success::new(answer, now)))
}

/// A page of pages with their web vitals.
#[derive(Debug, Serialize, ToSchema)]
pub struct PerformancePages {
    /// The page with the most views first.
    pages: Vec<PerformanceOfPage>,
    pagination: Pagination,
}

/// How fast a page is.
#[derive(Debug, Serialize, ToSchema)]
pub struct PerformanceOfPage {
    /// Its path.
    #[schema(examples("/pricing"))]
    url: String,
    /// How fast.
    #[serde(flatten)]
    measured: MeasuredViews,
}

impl From<PageVitals> for PerformanceOfPage {
    fn from(PageVitals { name, views, metrics }: PageVitals) -> Self {
        Self { url: name, measured: MeasuredViews { views, metrics: metrics.into() } }
    }
}

impl PerformanceOfPage {
    /// As a row of a file.
    fn flat(&self) -> Value {
        let MeasuredViews { views, metrics } = &self.measured;
        let known = [("url".to_owned(), json!(self.url)), ("views".to_owned(), json!(views))];
        Value::Object(known.into_iter().chain(metrics.flat()).collect::<Map<_, _>>())
    }
}

/// The web vitals of each page, those with the most measured views first.
pub async fn pages(
    key: Authorized<ReadAnalytics>,
    state: web::Data<AppState>,
    query: Query<(Window, (Paged<20, 100>, Formatted))>,
    accept: Accept,
) -> Result<Listed<Success<PerformancePages>>, ApiError> {
    let now = state.clock.now();
    let (window, (Paged(page), formatted)) = query.read(now)?;
    let format = accept.or(formatted.format);
    let (question, view) = question(&key, &state, window, now);
    let most = if format == Format::Json { page.limit } else { formatted.rows };
    let report = measured(&question, view, page.offset.saturating_add(most)).await?;
    let pages: Vec<PerformanceOfPage> =
        report.pages.into_iter().skip(page.offset).map(PerformanceOfPage::from).collect();
    if format != Format::Json {
        let columns = ["url", "views"].into_iter().chain(ShownMetrics::COLUMNS).map(str::to_owned).collect();
        let rows: Vec<Value> = pages.iter().map(PerformanceOfPage::flat).collect();
        return Ok(Listed::sheet(
            format,
            &SheetName::of(&key.resource, "performance_pages", window.range),
            columns,
            &rows,
        ));
    }
    let has_more = report.pages_total > page.offset.saturating_add(pages.len()) as u64;
    Ok(Listed::Json(Success::new(PerformancePages { pages, pagination: page.answer(has_more) }, now)))
}
