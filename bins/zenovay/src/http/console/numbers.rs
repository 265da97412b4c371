//! The numbers of a dashboard: totals, series, rows by a dimension, and what its filters can be set to. Each is asked with
//! [`zenovay_stats::Ask`], as the Stats API is, so that both say the same of the same events.

use std::collections::HashMap;

use actix_web::web;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use zenovay_domain::{Dimension, TimeRange, Timestamp};
use zenovay_query::{Condition, Field, Filter, Operator, Order, QueryError, regex_ignoring_case};
use zenovay_stats::{Ask, Bucket, Group, Groups, Metric, Number, Property, PropertyError, Totals, country_name};

use super::files::{FileParams, columns, flat, sheet_name};
use super::goals::{Asking, rows_by_goal};
use super::queries::Answered;
use super::reader::{Question, WebsiteReader};
use super::view::{View, ViewParams};
use crate::http::document::Parameter;
use crate::http::envelope::{ApiError, Success};
use crate::http::export::sheets::{Accept, Exported, Format, Lines, Listed};
use crate::http::external::analytics::GEO_NOTICE;
use crate::http::params::{Number as NumberRule, Params, Query, QueryParams};
use crate::http::state::AppState;
use crate::http::stats::answers::Rate;
use crate::http::values::{Instant, rounded, seconds};

/// The metrics of a view: their names on the dashboard and in the Stats API.
pub const METRICS: [(&str, Metric); 7] = [
    ("visitors", Metric::Visitors),
    ("sessions", Metric::Visits),
    ("pageviews", Metric::Pageviews),
    ("bounce_rate", Metric::BounceRate),
    ("duration", Metric::VisitDuration),
    ("conversion_rate", Metric::ConversionRate),
    ("events", Metric::Events),
];

/// The most rows of a page of rows.
const ROWS_MAX: usize = 1_000;
/// The rows of a page when nobody says.
const ROWS_DEFAULT: usize = 9;
/// The values that a filter is suggested.
const SUGGESTIONS: usize = 20;

/// The instants of an answer: both ends are in it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ShownRange {
    /// The first instant.
    pub from: Instant,
    /// The last instant.
    pub to: Instant,
    /// The zone in which days are cut: the website's.
    #[schema(examples("Europe/Berlin"))]
    pub time_zone: String,
    /// Whether the range is over; the numbers of one that is not go on.
    pub complete: bool,
}

impl ShownRange {
    /// What `view` shows.
    pub fn of(view: &View) -> Self {
        Self::new(view.range, view.is_complete, view)
    }

    fn new(range: TimeRange, complete: bool, view: &View) -> Self {
        Self {
            from: Instant(range.from),
            to: Instant(range.to.plus_millis(-1).max(range.from)),
            time_zone: view.zone.name().to_owned(),
            complete,
        }
    }

    fn before(view: &View) -> Option<Self> {
        view.earlier.map(|range| Self::new(range, true, view))
    }
}

/// The tiles of a dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Tiles {
    /// Distinct visitors.
    #[schema(examples(1204))]
    pub visitors: u64,
    /// Visits.
    #[schema(examples(1502))]
    pub sessions: u64,
    /// Pageviews.
    #[schema(examples(4210))]
    pub pageviews: u64,
    /// Visits that bounced, 0 to 1.
    pub bounce_rate: Rate,
    /// Mean length of a visit, seconds.
    pub duration: Rate,
    /// Visits with a conversion, 0 to 1: by the goals that a filter names, or else by all goals. Null without goals.
    pub conversion_rate: Rate,
    /// Events of every kind but heartbeats.
    #[schema(examples(4400))]
    pub events: u64,
}

impl Tiles {
    /// Those of `totals`; `conversions` are the totals that the conversion rate is of.
    pub fn of(totals: &Totals, conversions: Option<&Totals>) -> Self {
        let metrics = &totals.metrics;
        Self {
            visitors: metrics.visitors,
            sessions: metrics.sessions,
            pageviews: metrics.pageviews,
            bounce_rate: Rate(rounded(metrics.bounce_rate(), 4)),
            duration: Rate(seconds(metrics.mean_duration_ms())),
            conversion_rate: Rate(conversions.and_then(|totals| shown(totals, Metric::ConversionRate))),
            events: metrics.events,
        }
    }
}

/// A metric as the dashboard shows it: counts as they are, rates from 0 to 1, times in seconds.
pub fn shown(totals: &Totals, metric: Metric) -> Option<f64> {
    match totals.number(metric) {
        Number::Count(count) => Some(count as f64),
        Number::Rate(rate) => rounded(rate, 4),
        Number::Mean(millis) => seconds(millis),
        _ => None,
    }
}

/// The totals of a view.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ShownTotals {
    /// What was counted.
    range: ShownRange,
    /// What it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    before_range: Option<ShownRange>,
    /// The numbers.
    now: Tiles,
    /// Those of what it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Tiles>,
}

/// The tiles of a range of a view.
///
/// # Errors
/// What `ask` fails with.
pub fn tiles(view: &View, range: TimeRange, ask: Asking<'_>) -> Result<Tiles, QueryError> {
    let totals = view.ask(&[]).in_range(range).aggregate(ask)?;
    let conversions = match view.ask_conversions() {
        Some(conversions) => Some(conversions.in_range(range).aggregate(ask)?),
        None => None,
    };
    Ok(Tiles::of(&totals, conversions.as_ref()))
}

/// The totals of a view and of what it is compared with.
pub async fn totals<R: WebsiteReader>(
    reader: R,
    state: web::Data<AppState>,
    query: Query<FileParams>,
    accept: Accept,
) -> Result<Exported<Answered<ShownTotals>>, ApiError> {
    let question = Question::of(&reader, &state);
    let FileParams { view, format } = query.read(question.now)?;
    if let Some(format) = accept.file(format) {
        let view = question.view(&view).await?;
        let ShownTotals { now, before, .. } = count_totals(&question, &view).await?;
        let row = |period: &str, range: TimeRange, tiles: Tiles| TotalsLine {
            period: period.to_owned(),
            range: ShownRange::new(range, true, &view),
            tiles,
        };
        let mut rows = vec![TotalsLine { range: ShownRange::of(&view), ..row("now", view.range, now) }];
        rows.extend(before.zip(view.earlier).map(|(before, range)| row("before", range, before)));
        let file = sheet_name(&question.website, "totals", &view);
        return Ok(Listed::file(format, &file, &TotalsLine::COLUMNS, &rows));
    }
    let answer = question.answer(|question| async move {
        let view = question.view(&view).await?;
        Ok(Success::new(count_totals(&question, &view).await?, question.now))
    });
    answer.await.map(Listed::Json)
}

/// A line of a file of totals.
#[derive(Debug, Serialize)]
struct TotalsLine {
    /// `now`, or `before`: what it is compared with.
    period: String,
    #[serde(flatten)]
    range: ShownRange,
    #[serde(flatten)]
    tiles: Tiles,
}

impl TotalsLine {
    const COLUMNS: [&'static str; 12] = [
        "period",
        "from",
        "to",
        "time_zone",
        "complete",
        "visitors",
        "sessions",
        "pageviews",
        "bounce_rate",
        "duration",
        "conversion_rate",
        "events",
    ];
}

async fn count_totals(question: &Question, view: &View) -> Result<ShownTotals, ApiError> {
    let (id, asked) = (question.id(), view.clone());
    let both = question.run(move |asker| {
        let ask = |query: &_| asker.any(id, query);
        let now = tiles(&asked, asked.range, &ask)?;
        let before = asked.earlier.map(|range| tiles(&asked, range, &ask)).transpose()?;
        Ok((now, before))
    });
    let (now, before) = both.await?;
    Ok(ShownTotals { range: ShownRange::of(view), before_range: ShownRange::before(view), now, before })
}

/// A view, and which metric of it.
#[derive(Debug, Clone)]
pub struct SeriesParams {
    view: ViewParams,
    metric: Metric,
    format: Option<Format>,
}

impl QueryParams for SeriesParams {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        let view = ViewParams::read(params, now);
        let names = METRICS.map(|(name, _)| name);
        let words = "What is counted in each bucket.";
        let named = params.one_of("metric", &names, Some("visitors"), words);
        let metric =
            METRICS.iter().find(|(name, _)| Some(*name) == named).map_or(Metric::Visitors, |(_, metric)| *metric);
        Self { view, metric, format: Format::read_file(params) }
    }
}

/// A series.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ShownSeries {
    /// What was counted.
    range: ShownRange,
    /// What it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    before_range: Option<ShownRange>,
    /// The width of the buckets.
    #[schema(examples("day"))]
    interval: &'static str,
    /// One for each bucket, the oldest first, also for those without events.
    points: Vec<ShownPoint>,
    /// Those of what it is compared with; they pair up by their place.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Vec<ShownPoint>>,
}

/// A bucket of a series.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct ShownPoint {
    /// Its first instant; the range may begin within it.
    start: Instant,
    /// Its number; null when it is of nothing.
    value: Rate,
    /// Whether all of it was counted: it is over, and the range has it whole.
    complete: bool,
}

/// One number for each bucket of a range of a view. Of a view without goals the conversion rate is of nothing.
fn points(
    view: &View,
    range: TimeRange,
    metric: Metric,
    now: Timestamp,
    ask: Asking<'_>,
) -> Result<Vec<ShownPoint>, QueryError> {
    let (question, is_empty) = match metric {
        Metric::ConversionRate => match view.ask_conversions() {
            Some(conversions) => (conversions, false),
            None => (view.ask(&[]), true),
        },
        metric => (view.ask(&[metric]), false),
    };
    let buckets = question.in_range(range).timeseries(view.interval, &view.zone, ask)?;
    let point = |Bucket { bucket, totals, .. }: &Bucket| ShownPoint {
        start: Instant(bucket.from),
        value: Rate(shown(totals, metric).filter(|_| !is_empty)),
        complete: view.has_whole(range, *bucket, now),
    };
    Ok(buckets.iter().map(point).collect())
}

/// The series of a view and of what it is compared with.
pub async fn series<R: WebsiteReader>(
    reader: R,
    state: web::Data<AppState>,
    query: Query<SeriesParams>,
    accept: Accept,
) -> Result<Exported<Answered<ShownSeries>>, ApiError> {
    let question = Question::of(&reader, &state);
    let SeriesParams { view, metric, format } = query.read(question.now)?;
    if let Some(format) = accept.file(format) {
        let view = question.view(&view).await?;
        let ShownSeries { points, before, .. } = count_series(&question, &view, metric).await?;
        let name = metric_name(metric);
        let mut columns = vec!["start".to_owned(), name.to_owned(), "complete".to_owned()];
        if before.is_some() {
            columns.push(format!("before_{name}"));
        }
        let row = |(number, point): (usize, &ShownPoint)| {
            let mut row = json!({ "start": point.start, name: point.value, "complete": point.complete });
            if let Some(before) = &before {
                row[format!("before_{name}")] = json!(before.get(number).map(|point| point.value));
            }
            row
        };
        let rows: Vec<Value> = points.iter().enumerate().map(row).collect();
        return Ok(Listed::sheet(format, &sheet_name(&question.website, name, &view), columns, &rows));
    }
    let answer = question.answer(move |question| async move {
        let view = question.view(&view).await?;
        Ok(Success::new(count_series(&question, &view, metric).await?, question.now))
    });
    answer.await.map(Listed::Json)
}

async fn count_series(question: &Question, view: &View, metric: Metric) -> Result<ShownSeries, ApiError> {
    let (id, asked, now) = (question.id(), view.clone(), question.now);
    let both = question.run(move |asker| {
        let ask = |query: &_| asker.any(id, query);
        let current = points(&asked, asked.range, metric, now, &ask)?;
        let before = asked.earlier.map(|range| points(&asked, range, metric, now, &ask)).transpose()?;
        Ok((current, before))
    });
    let (points, before) = both.await?;
    let (range, before_range) = (ShownRange::of(view), ShownRange::before(view));
    Ok(ShownSeries { range, before_range, interval: view.interval.as_str(), points, before })
}

fn metric_name(metric: Metric) -> &'static str {
    METRICS.iter().find(|(_, known)| *known == metric).map_or("value", |(name, _)| *name)
}

/// What rows are put in order by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sort {
    by: SortBy,
    /// Whether the order is the other way round than it is by itself: numbers go from the greatest, values from A.
    is_reversed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SortBy {
    Value,
    Metric(Metric),
}

impl Sort {
    /// The columns by which rows can be sorted.
    const NAMES: [&'static str; 14] = [
        "visitors",
        "-visitors",
        "pageviews",
        "-pageviews",
        "sessions",
        "-sessions",
        "events",
        "-events",
        "bounce_rate",
        "-bounce_rate",
        "duration",
        "-duration",
        "value",
        "-value",
    ];

    fn read(params: &mut Params) -> Self {
        let words = "The column that rows are sorted by: numbers from the greatest, values from A; with `-` the other way round.";
        let name = params.one_of("sort", &Self::NAMES, Some("visitors"), words).unwrap_or("visitors");
        let (name, is_reversed) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
        let metric = METRICS.iter().find(|(known, _)| *known == name);
        let by = metric.map_or(SortBy::Value, |(_, metric)| SortBy::Metric(*metric));
        Self { by, is_reversed }
    }

    /// The store's own order, if it has this one.
    fn of_store(self) -> Option<Order> {
        match self.by {
            SortBy::Metric(metric) if !self.is_reversed => metric.order(),
            _ => None,
        }
    }

    /// Puts `rows` in order; ties go by value.
    fn sort(self, rows: &mut [Group]) {
        rows.sort_by(|a, b| {
            let by_value = a.value.cmp(&b.value);
            let order = match self.by {
                SortBy::Value => by_value,
                SortBy::Metric(metric) => {
                    // What is of nothing comes last, either way.
                    let number = |row: &Group| shown(&row.totals, metric);
                    match (number(a), number(b)) {
                        (Some(a), Some(b)) => b.total_cmp(&a),
                        (Some(_), None) => return std::cmp::Ordering::Less,
                        (None, Some(_)) => return std::cmp::Ordering::Greater,
                        (None, None) => std::cmp::Ordering::Equal,
                    }
                }
            };
            let order = if self.is_reversed { order.reverse() } else { order };
            order.then(by_value)
        });
    }
}

/// A view, and which rows of it.
#[derive(Debug, Clone)]
pub struct BreakdownParams {
    view: ViewParams,
    property: Property,
    name: String,
    sort: Sort,
    search: String,
    limit: usize,
    offset: usize,
    format: Option<Format>,
}

/// Reads the dimension of rows; the first one there is when it is not one.
fn dimension(params: &mut Params) -> (Property, String) {
    params.declare(|| {
        let words =
            "What the rows are of: a dimension as in `f` but `event_type`, or `prop.` and the name of a property.";
        Parameter::query("dimension", words).required().example("page")
    });
    let name = params.get("dimension").unwrap_or("").to_owned();
    let full = match name.strip_prefix("prop.") {
        Some(custom) => format!("event:props:{custom}"),
        None if name.contains(':') => String::new(),
        None => name.clone(),
    };
    match Property::parse(&full, true) {
        Ok(property) => (property, name),
        Err(error) => {
            let problem = match error {
                PropertyError::Unknown => "use a dimension such as page, source or country",
                _ => "is not available",
            };
            params.problem("dimension", problem);
            (Property::Field(Field::Dimension(Dimension::Path)), name)
        }
    }
}

impl QueryParams for BreakdownParams {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        let view = ViewParams::read(params, now);
        let (property, name) = dimension(params);
        let sort = Sort::read(params);
        let search = search(params);
        let limit = params.limit(ROWS_DEFAULT, ROWS_MAX);
        let offset = params.number(&NumberRule {
            name: "offset",
            default: 0,
            min: 0,
            max: 1_000_000_000,
            description: "How many rows to skip.",
        });
        Self { view, property, name, sort, search, limit, offset, format: Format::read_file(params) }
    }
}

fn search(params: &mut Params) -> String {
    params.declare(|| Parameter::query("q", "Only rows whose value has this in it, in any case.").example("docs"));
    let text = params.get("q").unwrap_or("").to_owned();
    if text.len() > 200 {
        params.problem("q", "more than 200 bytes");
    }
    text
}

/// Rows by a dimension.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ShownBreakdown {
    /// What was counted.
    range: ShownRange,
    /// What it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    before_range: Option<ShownRange>,
    /// The rows of the page.
    rows: Vec<ShownRow>,
    /// How many rows there are in all.
    #[schema(examples(31))]
    total_rows: usize,
}

/// A row.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ShownRow {
    /// The value; empty where it is missing.
    #[schema(examples("/pricing"))]
    pub value: String,
    /// The title of a page, or the English name of a country.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("Pricing"))]
    pub label: Option<String>,
    /// Its numbers.
    #[serde(flatten)]
    pub numbers: RowNumbers,
    /// Those of the same value in what is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<RowNumbers>,
}

/// The numbers of a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct RowNumbers {
    /// Distinct visitors.
    #[schema(examples(420))]
    pub visitors: u64,
    /// Pageviews.
    #[schema(examples(511))]
    pub pageviews: u64,
    /// Visits.
    #[schema(examples(460))]
    pub sessions: u64,
    /// Events of every kind but heartbeats.
    #[schema(examples(530))]
    pub events: u64,
    /// Visits that bounced, 0 to 1.
    pub bounce_rate: Rate,
    /// Mean length of a visit, seconds.
    pub duration: Rate,
    /// Its visitors as a part of those of all rows, 0 to 1.
    pub share: Rate,
}

impl RowNumbers {
    fn of(totals: &Totals) -> Self {
        let metrics = &totals.metrics;
        Self {
            visitors: metrics.visitors,
            pageviews: metrics.pageviews,
            sessions: metrics.sessions,
            events: metrics.events,
            bounce_rate: Rate(shown(totals, Metric::BounceRate)),
            duration: Rate(shown(totals, Metric::VisitDuration)),
            share: Rate(shown(totals, Metric::Percentage)),
        }
    }
}

/// The metrics of rows.
const ROW_METRICS: [Metric; 7] = [
    Metric::Visitors,
    Metric::Pageviews,
    Metric::Visits,
    Metric::Events,
    Metric::BounceRate,
    Metric::VisitDuration,
    Metric::Percentage,
];

/// A list of rows of a view.
#[derive(Clone)]
pub(in crate::http) struct Rows {
    view: View,
    property: Property,
    sort: Sort,
    search: String,
}

/// Some rows of the list.
pub(in crate::http) struct Page {
    /// The rows.
    pub(in crate::http) rows: Vec<ShownRow>,
    /// How many there are in all.
    pub(in crate::http) total_rows: usize,
}

impl Rows {
    /// All rows of `view` by `property`, the most visitors first.
    pub(in crate::http) fn by_visitors(view: View, property: Property) -> Self {
        let sort = Sort { by: SortBy::Metric(Metric::Visitors), is_reversed: false };
        Self { view, property, sort, search: String::new() }
    }

    fn ask(&self) -> Ask {
        self.view.ask(&ROW_METRICS)
    }

    /// The rows whose values have the search string in them.
    fn filter_of_search(&self) -> Option<Filter> {
        if self.search.is_empty() {
            return None;
        }
        let field = self.property.field();
        if self.property == Property::CountryName || field == Field::Dimension(Dimension::Country) {
            let wanted = self.search.to_lowercase();
            let found = zenovay_stats::places()
                .filter(|(code, name)| name.to_lowercase().contains(&wanted) || code.to_lowercase() == wanted);
            let values: Vec<String> = found.map(|(code, _)| code.to_owned()).collect();
            return Some(Filter::Is(Condition::new(field, Operator::Is, values)));
        }
        // As the values are stored.
        let wanted = match &field {
            Field::Property(_) => self.search.as_str().into(),
            field => field.column().normal(&self.search),
        };
        let values = vec![regex_ignoring_case(&wanted, false)];
        Some(Filter::Is(Condition::new(field, Operator::MatchesRegex, values)))
    }

    /// At most `limit` rows after the first `offset`.
    pub(in crate::http) fn page(&self, limit: usize, offset: usize, ask: Asking<'_>) -> Result<Page, QueryError> {
        if self.property == Property::Goal {
            return self.page_of_goals(limit, offset, ask);
        }
        let by = Groups::by(self.property.clone());
        let mut question = self.ask();
        let searched = self.filter_of_search();
        if let Some(filter) = searched.clone() {
            question.filters.rest = Filter::All(vec![question.filters.rest, filter]);
        }
        let (mut rows, total_rows) = match self.sort.of_store() {
            Some(order) => {
                let found = question.breakdown(&by.clone().order(order).limit(limit).offset(offset), ask)?;
                (found.rows, found.total_rows)
            }
            None => {
                let found = question.breakdown(&by, ask)?;
                let mut rows = found.rows;
                self.sort.sort(&mut rows);
                (rows.into_iter().skip(offset).take(limit).collect(), found.total_rows)
            }
        };
        if searched.is_some() {
            // A share is of all rows, also when only some are looked for.
            let all = self.ask().breakdown(&by.clone().limit(1), ask)?;
            let visitors = all.rows.first().map_or(0, |row| row.totals.all_visitors);
            rows.iter_mut().for_each(|row| row.totals.all_visitors = visitors);
        }
        let before = match self.view.earlier {
            None => None,
            Some(range) => {
                let values = rows.iter().map(|row| (row.value.clone(), None)).collect();
                let partners = by.values(values);
                let found = self.ask().in_range(range).breakdown(&partners, ask)?.rows;
                Some(found.into_iter().map(|row| (row.value.clone(), row)).collect::<HashMap<_, _>>())
            }
        };
        let rows = rows.into_iter().map(|row| self.row(row, before.as_ref())).collect();
        Ok(Page { rows, total_rows })
    }

    /// The same of rows by the goals of the website.
    fn page_of_goals(&self, limit: usize, offset: usize, ask: Asking<'_>) -> Result<Page, QueryError> {
        let wanted = self.search.to_lowercase();
        let mut rows = rows_by_goal(&self.view, self.view.range, ask)?;
        rows.retain(|row| row.value.to_lowercase().contains(&wanted));
        self.sort.sort(&mut rows);
        let total_rows = rows.len();
        let before = self.view.earlier.map(|range| rows_by_goal(&self.view, range, ask)).transpose()?;
        let before = before.map(|rows| rows.into_iter().map(|row| (row.value.clone(), row)).collect::<HashMap<_, _>>());
        let page = rows.into_iter().skip(offset).take(limit);
        Ok(Page { rows: page.map(|row| self.row(row, before.as_ref())).collect(), total_rows })
    }

    fn row(&self, row: Group, before: Option<&HashMap<String, Group>>) -> ShownRow {
        let label = match self.property.field() {
            Field::Dimension(Dimension::Country) if !row.value.is_empty() => Some(country_name(&row.value).to_owned()),
            _ => row.title.filter(|title| !title.is_empty()),
        };
        let before = before.map(|before| {
            let none = Totals::default();
            RowNumbers::of(before.get(&row.value).map_or(&none, |row| &row.totals))
        });
        ShownRow { label, numbers: RowNumbers::of(&row.totals), before, value: row.value }
    }

    fn columns(&self, name: &str) -> Vec<String> {
        let numbers = ["visitors", "pageviews", "sessions", "events", "bounce_rate", "duration", "share"];
        columns(&[&[name, "label"], &numbers], &numbers, self.view.earlier.is_some())
    }
}

impl ShownRow {
    /// As one flat object, for files.
    fn flat(&self, name: &str) -> Value {
        let value = json!({ name: self.value, "label": self.label });
        flat(&[("", &value), ("", &json!(self.numbers)), ("before_", &json!(self.before))])
    }
}

/// The rows of a view by a dimension.
pub async fn breakdown<R: WebsiteReader>(
    reader: R,
    state: web::Data<AppState>,
    query: Query<BreakdownParams>,
    accept: Accept,
) -> Result<Exported<Answered<ShownBreakdown>>, ApiError> {
    let question = Question::of(&reader, &state);
    let BreakdownParams { view, property, name, sort, search, limit, offset, format } = query.read(question.now)?;
    if let Some(format) = accept.file(format) {
        // The licence of the embedded country database asks for it.
        let link = property.is_place().then_some(GEO_NOTICE);
        let rows = Rows { view: question.view(&view).await?, property, sort, search };
        return Ok(sheet(question, rows, format, &name).await?.with_link(link));
    }
    let answer = question.answer(move |question| async move {
        let rows = Rows { view: question.view(&view).await?, property, sort, search };
        let (range, before_range) = (ShownRange::of(&rows.view), ShownRange::before(&rows.view));
        let id = question.id();
        let page = question.run(move |asker| rows.page(limit, offset, &|query| asker.any(id, query)));
        let Page { rows, total_rows } = page.await?;
        Ok(Success::new(ShownBreakdown { range, before_range, rows, total_rows }, question.now))
    });
    answer.await.map(Listed::Json)
}

/// Rows that are counted at once for a file, and the most bytes of them that wait to be sent: a file of more rows is counted
/// anew for each so many, and not for each page.
const FILE_ROWS: usize = 100_000;
const FILE_MAX_BYTES: usize = 16 << 20;

/// All rows as a file.
async fn sheet<T>(question: Question, rows: Rows, format: Format, name: &str) -> Result<Exported<T>, ApiError> {
    let lines = Lines::new(format, rows.columns(name));
    let file = sheet_name(&question.website, name, &rows.view);
    let hand = question.state.files_in_hand.take().await?;
    let (name, writing) = (name.to_owned(), lines.clone());
    let next_piece = move |place: Option<usize>| {
        let (question, rows, name, lines) = (question.clone(), rows.clone(), name.clone(), writing.clone());
        // As long as there may be another piece.
        let _in_hand = &hand;
        async move {
            let offset = place.unwrap_or(0);
            let id = question.id();
            let piece = question.run(move |asker| {
                let page = rows.page(FILE_ROWS, offset, &|query| asker.any(id, query))?;
                let (mut bytes, mut next) = (Vec::new(), offset);
                for row in &page.rows {
                    lines.append(&[row.flat(&name)], next == 0, &mut bytes);
                    next += 1;
                    if bytes.len() >= FILE_MAX_BYTES {
                        break;
                    }
                }
                Ok((bytes, (next > offset && next < page.total_rows).then_some(next)))
            });
            piece.await
        }
    };
    Listed::pieces(format, &file, lines, next_piece).await
}

/// A view, and what is looked for.
#[derive(Debug, Clone)]
pub struct ValuesParams {
    view: ViewParams,
    property: Property,
    search: String,
}

impl QueryParams for ValuesParams {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        let view = ViewParams::read(params, now);
        let (property, _) = dimension(params);
        Self { view, property, search: search(params) }
    }
}

/// What a filter can be set to.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Suggestions {
    /// The most frequent first.
    values: Vec<Suggestion>,
}

/// A value.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Suggestion {
    /// The value; empty where it is missing.
    #[schema(examples("DE"))]
    value: String,
    /// The English name of a country.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("Germany"))]
    label: Option<String>,
    /// Its visitors.
    #[schema(examples(420))]
    visitors: u64,
}

/// The values of a dimension in a view, for setting a filter.
pub async fn values<R: WebsiteReader>(
    reader: R,
    state: web::Data<AppState>,
    query: Query<ValuesParams>,
) -> Result<Answered<Suggestions>, ApiError> {
    let question = Question::of(&reader, &state);
    let ValuesParams { view, property, search } = query.read(question.now)?;
    let answer = question.answer(move |question| async move {
        let mut view = question.view(&view).await?;
        view.earlier = None;
        let (id, rows) = (question.id(), Rows { search, ..Rows::by_visitors(view, property) });
        let page = question.run(move |asker| rows.page(SUGGESTIONS, 0, &|query| asker.any(id, query))).await?;
        let values = page.rows.into_iter().map(|row| Suggestion {
            value: row.value,
            label: row.label,
            visitors: row.numbers.visitors,
        });
        Ok(Success::new(Suggestions { values: values.collect() }, question.now))
    });
    answer.await
}

/// The custom properties of a view's events.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PropertyNames {
    /// Their names, those of the most events first.
    #[schema(examples("plan"))]
    properties: Vec<String>,
}

/// The most property sets that are looked at for names.
const PROPERTY_SETS: usize = 1_000;
/// The most names.
const PROPERTY_NAMES: usize = 100;

/// The names of the custom properties that events of a view have.
pub async fn properties<R: WebsiteReader>(
    reader: R,
    state: web::Data<AppState>,
    query: Query<ViewParams>,
) -> Result<Answered<PropertyNames>, ApiError> {
    let question = Question::of(&reader, &state);
    let params = query.read(question.now)?;
    let answer = question.answer(move |question| async move {
        let view = question.view(&params).await?;
        let id = question.id();
        let names = question.run(move |asker| {
            let sets = view.ask(&[]).property_sets(PROPERTY_SETS, |query| asker.any(id, query))?;
            let mut events: HashMap<String, u64> = HashMap::new();
            for (set, count) in sets {
                let Ok(Value::Object(members)) = serde_json::from_str(&set) else { continue };
                for (name, _) in members {
                    *events.entry(name).or_default() += count;
                }
            }
            let mut names: Vec<(String, u64)> = events.into_iter().collect();
            names.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            Ok(names.into_iter().take(PROPERTY_NAMES).map(|(name, _)| name).collect())
        });
        Ok(Success::new(PropertyNames { properties: names.await? }, question.now))
    });
    answer.await
}
