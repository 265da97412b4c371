//! `GET /analytics/:websiteId` and the four lists below it (SPEC B4).

use actix_web::body::BoxBody;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Responder, web};
use serde::Serialize;
use utoipa::ToSchema;
use zenovay_domain::{Dimension, Timestamp, VisitorId, Website, WebsiteId};
use zenovay_query::{Breakdown, BreakdownRow, GroupBy, Metric, MetricValues, RowPlace, SeriesPoint, VisitorRecord};
use zenovay_stats::country_name;

use crate::http::document::{Header, Operation};
use crate::http::envelope::{ApiError, Success};
use crate::http::export::sheets::{Accept, Format, Formatted, Listed, PAGE_ROWS, SheetName, values};
use crate::http::guard::{Authorized, ReadAnalytics};
use crate::http::handler::Reply;
use crate::http::params::{DateRange, Limit, Paged, Pagination, Query, RangeName, Window};
use crate::http::state::AppState;
use crate::http::turns::Asking;
use crate::http::values::{Day, Id, Instant, non_empty, rounded, seconds};

/// The totals of a range, and of each of its UTC days.
pub async fn overview(
    key: Authorized<ReadAnalytics>,
    state: web::Data<AppState>,
    query: Query<(Window, Formatted)>,
    accept: Accept,
) -> Result<Listed<Success<Overview>>, ApiError> {
    let now = state.clock.now();
    let (window, formatted) = query.read(now)?;
    let asking = key.asking();
    let website = key.resource;
    let id = website.id;
    let (totals, days) = state
        .queries
        .run(asking, move |ask| Ok((ask.overview(id, window.range)?, ask.daily(id, window.range)?)))
        .await?;
    let format = accept.or(formatted.format);
    if format != Format::Json {
        let rows: Vec<DailyStats> = days.iter().map(|day| DailyStats::of(id, day)).collect();
        return Ok(Listed::file(format, &SheetName::of(&website, "days", window.range), DAY_COLUMNS, &rows));
    }
    let data = Overview {
        website: WebsiteName::of(&website),
        time_range: window.label,
        date_range: window.dates(),
        summary: Summary {
            total_visitors: totals.sessions,
            total_page_views: totals.pageviews,
            unique_visitors: totals.visitors,
            bounce_rate: bounce_rate(&totals),
            avg_session_duration: seconds(totals.mean_duration_ms()),
        },
        daily_stats: days.iter().map(|day| DailyStats::of(id, day)).collect(),
    };
    Ok(Listed::Json(Success::new(data, now)))
}

/// The columns of files, which are the members of their rows.
const DAY_COLUMNS: &[&str] =
    &["date", "website_id", "total_visitors", "unique_visitors", "page_views", "bounce_rate", "avg_session_duration"];
const VISITOR_COLUMNS: &[&str] = &[
    "id",
    "country_code",
    "country_name",
    "city",
    "device_type",
    "browser",
    "os",
    "value_score",
    "visited_at",
    "landing_page",
    "referrer",
    "had_interaction",
];
const PAGE_COLUMNS: &[&str] = &[
    "url",
    "page_url",
    "title",
    "views",
    "page_views",
    "unique_visitors",
    "visitors",
    "avg_time_on_page",
    "bounce_rate",
];
const COUNTRY_COLUMNS: &[&str] = &["country_code", "country_name", "visitors", "avg_value_score"];
const SHARE_COLUMNS: &[&str] = &["list", "name", "visitors", "percentage"];

fn named(columns: &[&str]) -> Vec<String> {
    columns.iter().map(|&column| column.to_owned()).collect()
}

/// The totals of a range, and of each of its days.
#[derive(Debug, Serialize, ToSchema)]
pub struct Overview {
    website: WebsiteName,
    /// The range that was asked for, or `custom` for dates.
    time_range: RangeName,
    date_range: DateRange,
    summary: Summary,
    /// One row for each UTC day of the range, the oldest first, also of days without visitors.
    daily_stats: Vec<DailyStats>,
}

/// Which website an answer is about.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebsiteName {
    /// Its id.
    id: Id,
    /// Its domain.
    #[schema(examples("example.com"))]
    domain: String,
    /// The name people see.
    #[schema(examples("My website"))]
    name: String,
}

impl WebsiteName {
    /// The names of `website`.
    pub fn of(website: &Website) -> Self {
        Self { id: website.id.into(), domain: website.domain.clone(), name: website.name.clone() }
    }
}

/// The totals of a range.
#[derive(Debug, Serialize, ToSchema)]
pub struct Summary {
    /// Visits: sessions with an event in the range.
    #[schema(examples(1520))]
    total_visitors: u64,
    /// Pageviews.
    #[schema(examples(4210))]
    total_page_views: u64,
    /// Distinct visitors with an event in the range. Never more than `total_visitors`.
    #[schema(examples(1204))]
    unique_visitors: u64,
    /// Visits that bounced, 0 to 1; null without visits.
    #[schema(required = true, minimum = 0, maximum = 1, examples(0.4132))]
    bounce_rate: Option<f64>,
    /// Mean length of a visit in seconds; null without visits.
    #[schema(required = true, minimum = 0, examples(93.412))]
    avg_session_duration: Option<f64>,
}

/// The totals of a UTC day.
#[derive(Debug, Serialize, ToSchema)]
pub struct DailyStats {
    date: Day,
    /// The website's id.
    website_id: Id,
    /// Visits with an event on the day. A visit over midnight counts on both days.
    #[schema(examples(61))]
    total_visitors: u64,
    /// Distinct visitors with an event on the day.
    #[schema(examples(48))]
    unique_visitors: u64,
    /// Pageviews.
    #[schema(examples(173))]
    page_views: u64,
    /// Visits that bounced, 0 to 1; null without visits.
    #[schema(required = true, minimum = 0, maximum = 1, examples(0.4098))]
    bounce_rate: Option<f64>,
    /// Mean length of a visit in seconds; null without visits.
    #[schema(required = true, minimum = 0, examples(88.04))]
    avg_session_duration: Option<f64>,
}

impl DailyStats {
    fn of(id: WebsiteId, day: &SeriesPoint) -> Self {
        Self {
            date: Day(day.bucket.from),
            website_id: id.into(),
            total_visitors: day.metrics.sessions,
            unique_visitors: day.metrics.visitors,
            page_views: day.metrics.pageviews,
            bounce_rate: bounce_rate(&day.metrics),
            avg_session_duration: seconds(day.metrics.mean_duration_ms()),
        }
    }
}

/// Bounces per session, 0 to 1, to four decimal places.
fn bounce_rate(metrics: &MetricValues) -> Option<f64> {
    rounded(metrics.bounce_rate(), 4)
}

/// One record for each visitor, the newest visit first.
pub async fn visitors(
    key: Authorized<ReadAnalytics>,
    state: web::Data<AppState>,
    query: Query<(Window, (Paged<100, 1_000>, Formatted))>,
    accept: Accept,
) -> Result<Listed<WithGeoNotice<Visitors>>, ApiError> {
    let now = state.clock.now();
    let (window, (Paged(page), formatted)) = query.read(now)?;
    let (id, asking) = (key.resource.id, key.asking());
    let format = accept.or(formatted.format);
    if format != Format::Json {
        let name = SheetName::of(&key.resource, "visitors", window.range);
        let next_page = move |place: Option<((Timestamp, VisitorId), usize)>| {
            let state = state.clone();
            async move {
                let (after, left) = place.map_or((None, formatted.rows), |(after, left)| (Some(after), left));
                let (limit, offset) = (left.min(PAGE_ROWS), if after.is_none() { page.offset } else { 0 });
                let found = state.queries.run(asking, move |ask| ask.visitors(id, window.range, limit, offset, after));
                let found = found.await?;
                let left = left.saturating_sub(found.visitors.len());
                let last = found.visitors.last().map(|last| (last.visited_at, last.visitor));
                let next = last.filter(|_| found.has_more && left > 0).map(|last| (last, left));
                let rows: Vec<Visitor> = found.visitors.into_iter().map(Visitor::of).collect();
                Ok((values(&rows), next))
            }
        };
        return Ok(Listed::stream(format, &name, named(VISITOR_COLUMNS), next_page).await?.with_link(Some(GEO_NOTICE)));
    }
    let found = state.queries.run(asking, move |ask| ask.visitors(id, window.range, page.limit, page.offset, None));
    let found = found.await?;
    let visitors = found.visitors.into_iter().map(Visitor::of).collect();
    let data = Visitors { visitors, pagination: page.answer(found.has_more) };
    Ok(Listed::Json(WithGeoNotice(Success::new(data, now))))
}

/// A page of visitors.
#[derive(Debug, Serialize, ToSchema)]
pub struct Visitors {
    /// The newest visit first.
    visitors: Vec<Visitor>,
    pagination: Pagination,
}

/// A visitor, by the latest visit in the range.
#[derive(Debug, Serialize, ToSchema)]
pub struct Visitor {
    /// Names the visitor within the website.
    #[schema(examples("5f0c1d2e3a4b5c6d"))]
    id: String,
    /// ISO 3166-1 alpha-2; null when unknown.
    #[schema(required = true, examples("CH"))]
    country_code: Option<String>,
    /// The English name of the country; null when unknown.
    #[schema(required = true, examples("Switzerland"))]
    country_name: Option<String>,
    /// Null when unknown.
    #[schema(required = true, examples("Bern"))]
    city: Option<String>,
    /// `desktop`, `mobile` or `tablet`; null when unknown.
    #[schema(required = true, examples("desktop"))]
    device_type: Option<String>,
    /// Null when unknown.
    #[schema(required = true, examples("Firefox"))]
    browser: Option<String>,
    /// The operating system; null when unknown.
    #[schema(required = true, examples("Linux"))]
    os: Option<String>,
    /// How engaged the visit was.
    #[schema(minimum = 0, maximum = 100, examples(54))]
    value_score: u8,
    /// When the visit began.
    visited_at: Instant,
    /// The path of its first pageview; null without one.
    #[schema(required = true, examples("/pricing"))]
    landing_page: Option<String>,
    /// The page that linked to it; null when direct.
    #[schema(required = true, examples("https://news.example/today"))]
    referrer: Option<String>,
    /// Whether there was an event other than pageviews.
    had_interaction: bool,
}

impl Visitor {
    fn of(record: VisitorRecord) -> Self {
        Self {
            id: record.visitor.to_string(),
            country_name: non_empty(country_name(&record.country).to_owned()),
            country_code: non_empty(record.country),
            city: non_empty(record.city),
            device_type: non_empty(record.device),
            browser: non_empty(record.browser),
            os: non_empty(record.os),
            value_score: record.value_score,
            visited_at: Instant(record.visited_at),
            landing_page: non_empty(record.landing_page),
            referrer: non_empty(record.referrer),
            had_interaction: record.had_interaction,
        }
    }
}

/// The pages that were viewed, those with the most visitors first.
pub async fn pages(
    key: Authorized<ReadAnalytics>,
    state: web::Data<AppState>,
    query: Query<(Window, (Paged<20, 100>, Formatted))>,
    accept: Accept,
) -> Result<Listed<Success<Pages>>, ApiError> {
    let now = state.clock.now();
    let (window, (Paged(page), formatted)) = query.read(now)?;
    let (id, asking) = (key.resource.id, key.asking());
    let metrics = [Metric::Sessions, Metric::Title, Metric::TimeOnPage];
    let by = GroupBy::by(Dimension::Path).metrics(metrics).offset(page.offset).without_empty();
    let format = accept.or(formatted.format);
    if format != Format::Json {
        let list = RowsFile { state, asking, id, window, by, is_of_pages: true, rows: formatted.rows };
        let name = SheetName::of(&key.resource, "pages", window.range);
        return list.answer(format, &name, PAGE_COLUMNS, PageRow::of).await;
    }
    let by = by.limit(page.limit);
    let found = state.queries.run(asking, move |ask| ask.pages(id, window.range, by)).await?;
    let has_more = page.offset.saturating_add(found.rows.len()) < found.total_rows;
    let pages = found.rows.into_iter().map(PageRow::of).collect();
    Ok(Listed::Json(Success::new(Pages { pages, pagination: page.answer(has_more) }, now)))
}

/// All rows of a breakdown, read page by page for a file.
#[derive(Clone)]
struct RowsFile {
    state: web::Data<AppState>,
    asking: Asking,
    id: WebsiteId,
    window: Window,
    by: GroupBy,
    is_of_pages: bool,
    /// How many rows at most.
    rows: usize,
}

impl RowsFile {
    async fn answer<T, R: Serialize + 'static>(
        self,
        format: Format,
        name: &SheetName,
        columns: &[&str],
        row: fn(BreakdownRow) -> R,
    ) -> Result<Listed<T>, ApiError> {
        let next_page = move |place: Option<(RowPlace, usize)>| {
            let list = self.clone();
            async move {
                let (by, left) = match place {
                    None => (list.by, list.rows),
                    Some((after, left)) => (list.by.offset(0).after(after), left),
                };
                let limit = left.min(PAGE_ROWS);
                let (id, range, is_of_pages, order) = (list.id, list.window.range, list.is_of_pages, by.order);
                // One more than is written tells whether there are more.
                let by = by.limit(limit + 1);
                let found = list.state.queries.run(list.asking, move |ask| {
                    if is_of_pages { ask.pages(id, range, by) } else { ask.breakdown(id, range, by) }
                });
                let mut rows = found.await?.rows;
                let has_more = rows.len() > limit;
                rows.truncate(limit);
                let left = left.saturating_sub(rows.len());
                let last = rows.last().filter(|_| has_more && left > 0).map(|last| RowPlace::of(last, order));
                let rows: Vec<R> = rows.into_iter().map(row).collect();
                Ok((values(&rows), last.map(|last| (last, left))))
            }
        };
        Listed::stream(format, name, named(columns), next_page).await
    }
}

/// A page of pages.
#[derive(Debug, Serialize, ToSchema)]
pub struct Pages {
    /// The page with the most visitors first.
    pages: Vec<PageRow>,
    pagination: Pagination,
}

/// A page that was viewed. Some numbers stand under two names, for clients that use either.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageRow {
    /// Its path.
    #[schema(examples("/pricing"))]
    url: String,
    /// The same as `url`.
    #[schema(examples("/pricing"))]
    page_url: String,
    /// The title seen last; null without one.
    #[schema(required = true, examples("Pricing"))]
    title: Option<String>,
    /// Pageviews.
    #[schema(examples(310))]
    views: u64,
    /// The same as `views`.
    #[schema(examples(310))]
    page_views: u64,
    /// Distinct visitors who viewed it.
    #[schema(examples(204))]
    unique_visitors: u64,
    /// The same as `unique_visitors`.
    #[schema(examples(204))]
    visitors: u64,
    /// Mean time on the page in seconds; null when it is not known of any view.
    #[schema(required = true, minimum = 0, examples(41.5))]
    avg_time_on_page: Option<f64>,
    /// Visits with the page that bounced, 0 to 1.
    #[schema(required = true, minimum = 0, maximum = 1, examples(0.3812))]
    bounce_rate: Option<f64>,
}

impl PageRow {
    fn of(row: BreakdownRow) -> Self {
        let timed = (row.timed_pageviews > 0).then(|| row.time_on_page_ms as f64 / row.timed_pageviews as f64);
        Self {
            page_url: row.value.clone(),
            url: row.value,
            title: row.title.and_then(non_empty),
            views: row.metrics.pageviews,
            page_views: row.metrics.pageviews,
            unique_visitors: row.metrics.visitors,
            visitors: row.metrics.visitors,
            avg_time_on_page: seconds(timed),
            bounce_rate: bounce_rate(&row.metrics),
        }
    }
}

/// The countries, those with the most visitors first. Visitors whose country is unknown have a row of their own.
pub async fn countries(
    key: Authorized<ReadAnalytics>,
    state: web::Data<AppState>,
    query: Query<(Window, (Limit<20, 100>, Formatted))>,
    accept: Accept,
) -> Result<Listed<WithGeoNotice<Countries>>, ApiError> {
    let now = state.clock.now();
    let (window, (Limit(limit), formatted)) = query.read(now)?;
    let (id, asking) = (key.resource.id, key.asking());
    let by = GroupBy::by(Dimension::Country).metrics([Metric::Sessions]);
    let format = accept.or(formatted.format);
    if format != Format::Json {
        let list = RowsFile { state, asking, id, window, by, is_of_pages: false, rows: formatted.rows };
        let name = SheetName::of(&key.resource, "countries", window.range);
        return Ok(list.answer(format, &name, COUNTRY_COLUMNS, CountryRow::of).await?.with_link(Some(GEO_NOTICE)));
    }
    let by = by.limit(limit);
    let found = state.queries.run(asking, move |ask| ask.breakdown(id, window.range, by)).await?;
    let countries = found.rows.into_iter().map(CountryRow::of).collect();
    Ok(Listed::Json(WithGeoNotice(Success::new(Countries { countries }, now))))
}

/// The countries that visitors came from.
#[derive(Debug, Serialize, ToSchema)]
pub struct Countries {
    /// The country with the most visitors first.
    countries: Vec<CountryRow>,
}

/// A country and its visitors.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountryRow {
    /// ISO 3166-1 alpha-2; null in the row of those whose country is unknown.
    #[schema(required = true, examples("CH"))]
    country_code: Option<String>,
    /// Its English name, or `Unknown`.
    #[schema(examples("Switzerland"))]
    country_name: String,
    /// Distinct visitors.
    #[schema(examples(87))]
    visitors: u64,
    /// The mean of the visits' scores, 0 to 100; null without visits.
    #[schema(required = true, minimum = 0, maximum = 100, examples(48.25))]
    avg_value_score: Option<f64>,
}

impl CountryRow {
    fn of(row: BreakdownRow) -> Self {
        Self {
            country_name: if row.value.is_empty() { "Unknown" } else { country_name(&row.value) }.to_owned(),
            country_code: non_empty(row.value),
            visitors: row.metrics.visitors,
            avg_value_score: rounded(row.metrics.mean_value_score(), 2),
        }
    }
}

/// Browsers, operating systems and devices.
pub async fn technology(
    key: Authorized<ReadAnalytics>,
    state: web::Data<AppState>,
    query: Query<(Window, (Limit<20, 100>, Formatted))>,
    accept: Accept,
) -> Result<Listed<Success<Technology>>, ApiError> {
    let now = state.clock.now();
    let (window, (Limit(limit), formatted)) = query.read(now)?;
    let format = accept.or(formatted.format);
    // There are few of each: a column has no more strings than a website may have.
    let limit = if format == Format::Json { limit } else { formatted.rows };
    let (id, asking) = (key.resource.id, key.asking());
    let found = state.queries.run(asking, move |ask| {
        let by = |dimension| ask.breakdown(id, window.range, GroupBy::by(dimension).limit(limit));
        Ok([by(Dimension::Browser)?, by(Dimension::Os)?, by(Dimension::Device)?])
    });
    let [browsers, systems, devices] = found.await?;
    if format != Format::Json {
        let lists = [("browser", browsers), ("operating_system", systems), ("device", devices)];
        let rows = lists
            .into_iter()
            .flat_map(|(list, rows)| Share::of(rows).into_iter().map(move |share| ListedShare { list, share }));
        let name = SheetName::of(&key.resource, "technology", window.range);
        return Ok(Listed::file(format, &name, SHARE_COLUMNS, &rows.collect::<Vec<_>>()));
    }
    let data = Technology {
        browsers: Share::of(browsers),
        operating_systems: Share::of(systems),
        devices: Share::of(devices),
    };
    Ok(Listed::Json(Success::new(data, now)))
}

/// What visitors use, in three lists, each with the most visitors first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Technology {
    /// Browsers.
    browsers: Vec<Share>,
    /// Operating systems.
    operating_systems: Vec<Share>,
    /// Kinds of device.
    devices: Vec<Share>,
}

/// A share in a file of all three lists.
#[derive(Debug, Serialize)]
struct ListedShare {
    list: &'static str,
    #[serde(flatten)]
    share: Share,
}

/// The part of all visitors who use one thing.
#[derive(Debug, Serialize, ToSchema)]
pub struct Share {
    /// What they use, or `Unknown`.
    #[schema(examples("Firefox"))]
    name: String,
    /// Distinct visitors.
    #[schema(examples(312))]
    visitors: u64,
    /// Their percentage of all visitors, 0 to 100, to two decimal places; null without visitors.
    #[schema(required = true, minimum = 0, maximum = 100, examples(25.91))]
    percentage: Option<f64>,
}

impl Share {
    fn of(breakdown: Breakdown) -> Vec<Self> {
        let all = breakdown.total_visitors;
        let share = |visitors: u64| (all > 0).then(|| visitors as f64 * 100.0 / all as f64);
        let row = |row: BreakdownRow| Self {
            visitors: row.metrics.visitors,
            percentage: rounded(share(row.metrics.visitors), 2),
            name: if row.value.is_empty() { "Unknown".to_owned() } else { row.value },
        };
        breakdown.rows.into_iter().map(row).collect()
    }
}

/// An answer that names countries. The licence of the embedded country database asks for a link wherever its results are
/// shown.
#[derive(Debug)]
pub struct WithGeoNotice<T>(Success<T>);

/// The link, as a header `Link`.
pub const GEO_NOTICE: &str = r#"<https://db-ip.com>; rel="cite-as"; title="IP Geolocation by DB-IP""#;

impl<T: Serialize> Responder for WithGeoNotice<T> {
    type Body = BoxBody;

    fn respond_to(self, req: &HttpRequest) -> HttpResponse {
        let mut response = self.0.respond_to(req);
        response.headers_mut().insert(header::LINK, HeaderValue::from_static(GEO_NOTICE));
        response
    }
}

impl<T: Serialize + ToSchema + 'static> Reply for WithGeoNotice<T> {
    fn describe(operation: &mut Operation) {
        let description = "Where countries and cities come from: pages that show them must link there.";
        Success::<T>::describe(operation);
        if let Some(answer) = operation.answers.get_mut(&200) {
            answer.headers.push(Header { name: "Link", description, example: GEO_NOTICE });
        }
    }
}
