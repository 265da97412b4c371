//! The parameters of the Stats API.

use std::fmt::Write;

use serde_json::json;
use zenovay_domain::{ErrorCode, Interval, TimeRange, Timestamp, Zone};
use zenovay_query::{Baseline, Order};
use zenovay_stats::{
    Cursor, Dates, Dialect, Filters, Metric, Period, Property, PropertyError, parse_date, parse_filters,
};

use crate::http::document::Parameter;
use crate::http::envelope::ApiError;
use crate::http::export::sheets::Format;
use crate::http::params::{Number, Params, Query, QueryParams};

/// The most rows of a page.
pub const ROWS_MAX: usize = 1_000;
/// The rows of a page when nobody says.
const ROWS_DEFAULT: usize = 100;
/// The most buckets of a series: more than a year of hours.
const BUCKETS_MAX: i64 = 10_000;
/// The most days of a range: ten years and their leap days.
const DAYS_MAX: i64 = 3_660;

const DAY_MS: i64 = 86_400_000;

/// Ranges up to now, as the other lists of the API have them.
const RANGES: [(&str, i64); 5] = [("24h", 1), ("7d", 7), ("30d", 30), ("90d", 90), ("1y", 365)];

/// What every question of the Stats API has.
#[derive(Debug, Clone)]
pub struct Common {
    /// The id or domain of the website.
    pub site: String,
    /// The instants.
    pub range: TimeRange,
    /// Where days are cut.
    pub zone: Zone,
    /// What is wanted.
    pub metrics: Vec<Metric>,
    /// What counts.
    pub filters: Filters,
    /// The filters as they were given, for telling questions apart.
    pub filters_text: String,
    /// What it is compared with.
    pub compare: Option<Baseline>,
    /// Whether the answer says how it came about.
    pub explain: bool,
    /// Whether a period of months was asked for.
    is_of_months: bool,
}

/// What is said of a question without a website.
const NO_SITE: &str = "name the website by its id or its domain";

/// Reads the parameters, with the code of its own for a question without a website (SPEC B5).
///
/// # Errors
/// A 400 whose details name each parameter with a problem.
pub fn read<T: QueryParams>(query: &Query<T>, now: Timestamp) -> Result<T, ApiError> {
    query.read(now).map_err(|error| match error.problem_of("site_id") {
        Some(NO_SITE) => error.with_code(ErrorCode::MissingSiteId),
        _ => error,
    })
}

impl Common {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        let site = site(params);
        let zone = zone(params);
        let (range, is_of_months) = range(params, &zone, now);
        let metrics = metrics(params);
        let filters_text = params.get("filters").unwrap_or("").to_owned();
        let filters = filters(params);
        let compare = compare(params, &zone);
        params.declare(|| {
            let words = "`1` or `true`: the answer also says what was counted, what was left out and why.";
            Parameter::query("explain", words).schema(json!({ "type": "string", "enum": ["0", "1", "false", "true"] }))
        });
        let explain = match params.get("explain") {
            None | Some("0" | "false") => false,
            Some("1" | "true") => true,
            Some(_) => {
                params.problem("explain", "use 0 or 1");
                false
            }
        };
        Self { site, range, zone, metrics, filters, filters_text, compare, explain, is_of_months }
    }
}

pub(super) fn site(params: &mut Params) -> String {
    params.declare(|| {
        Parameter::query("site_id", "The id or the domain of the website.").required().example("example.com")
    });
    params.declare(|| Parameter::query("website_id", "Another name of `site_id`, used where that is absent."));
    let named = params.get("site_id").or_else(|| params.get("website_id")).map(str::trim).unwrap_or("").to_owned();
    if named.is_empty() {
        params.problem("site_id", NO_SITE);
    }
    named
}

pub(super) fn zone(params: &mut Params) -> Zone {
    params.declare(|| {
        let words = "The zone in which days are cut: a name of the IANA database.";
        Parameter::query("timezone", words)
            .schema(json!({ "type": "string", "default": "UTC" }))
            .example("Europe/Berlin")
    });
    match params.get("timezone").map(str::parse) {
        None => Zone::utc(),
        Some(Ok(zone)) => zone,
        Some(Err(_unknown)) => {
            params.problem("timezone", "use a name of the IANA database, such as Europe/Berlin");
            Zone::utc()
        }
    }
}

/// `from` and `to` before `range` before `period`, and whether the period is of months.
pub(super) fn range(params: &mut Params, zone: &Zone, now: Timestamp) -> (TimeRange, bool) {
    let until_now = now.plus_millis(1);
    let from = day(params, "from", "The first day, in `timezone`. Wins over `range` and `period`.");
    let to = day(params, "to", "The last day, in `timezone`; until now where it is absent.");
    let names = RANGES.map(|(name, _)| name);
    let named = params.one_of("range", &names, None, "A range up to now, as long in elapsed time. Wins over `period`.");
    let periods: Vec<&'static str> =
        Period::NAMES.iter().map(|(name, _)| *name).filter(|name| *name != "all").chain(["custom"]).collect();
    let words = "Days, months or a year of `timezone` that end with `date`, or have it; what is not over ends now. \
                 `custom` takes two days in `date`, both included.";
    let period = params.one_of("period", &periods, Some("30d"), words).unwrap_or("30d");
    params.declare(|| {
        Parameter::query(
            "date",
            "The day that `period` is about, today where it is absent; of `custom` two, with a comma.",
        )
        .example("2026-06-13")
    });
    let clipped = |dates: Dates| {
        let range = dates.range(zone);
        TimeRange::new(range.from, if range.from < until_now { range.to.min(until_now) } else { range.to })
    };
    if params.get("from").is_some() || params.get("to").is_some() {
        let last = to.unwrap_or_else(|| zone.civil_day(now));
        let dates = Dates { first: from.unwrap_or(last.saturating_sub(6)), last };
        let wrong = if params.get("from").is_some() { "from" } else { "to" };
        return (checked(params, wrong, dates).map_or(TimeRange::new(now, now), clipped), false);
    }
    if let Some((_, days)) = RANGES.iter().find(|(name, _)| Some(*name) == named) {
        return (TimeRange::new(now.plus_millis(-days * DAY_MS), until_now), false);
    }
    let dates = match (Period::parse(period), params.get("date")) {
        (Some(period), None) => period.dates_at(now, zone),
        (Some(period), Some(text)) => match parse_date(text).and_then(|day| period.dates(day)) {
            Some(dates) => Some(dates),
            None => {
                params.problem("date", "use a date such as 2026-06-13");
                None
            }
        },
        (None, text) => {
            match text.unwrap_or("").split_once(',').map(|(first, last)| (parse_date(first), parse_date(last))) {
                Some((Some(first), Some(last))) => checked(params, "date", Dates { first, last }),
                _ => {
                    params.problem("date", "use two dates such as 2026-06-01,2026-06-13");
                    None
                }
            }
        }
    };
    let is_of_months = matches!(Period::parse(period), Some(Period::Months(_) | Period::Year));
    (dates.map_or(TimeRange::new(now, now), clipped), is_of_months)
}

fn day(params: &mut Params, name: &'static str, words: &str) -> Option<i32> {
    params.declare(|| {
        Parameter::query(name, words).schema(json!({ "type": "string", "format": "date" })).example("2026-06-01")
    });
    let text = params.get(name)?;
    let day = parse_date(text);
    if day.is_none() {
        params.problem(name, "use a date such as 2026-06-01");
    }
    day
}

/// `dates`, unless they are the wrong way round or too many.
fn checked(params: &mut Params, name: &str, dates: Dates) -> Option<Dates> {
    if dates.first > dates.last {
        params.problem(name, "the last day must not be before the first");
        return None;
    }
    if dates.count() > DAYS_MAX {
        params.problem(name, "the range must not be longer than ten years");
        return None;
    }
    Some(dates)
}

fn metrics(params: &mut Params) -> Vec<Metric> {
    params.declare(|| {
        let mut words = "What is wanted, with commas between: ".to_owned();
        for (number, metric) in Metric::ALL.iter().enumerate() {
            let _ = write!(words, "{}`{metric}`", if number == 0 { "" } else { ", " });
        }
        let schema = json!({ "type": "string", "default": "visitors" });
        Parameter::query("metrics", words + ".").schema(schema).example("visitors,pageviews,bounce_rate")
    });
    let mut metrics = Vec::new();
    let names = params.get("metrics").unwrap_or("visitors").to_owned();
    for name in names.split(',').map(str::trim) {
        match name.parse() {
            Ok(metric) if metrics.contains(&metric) => params.problem("metrics", format!("{name} is there twice")),
            Ok(metric) => metrics.push(metric),
            Err(_unknown) => {
                let known: Vec<&str> = Metric::ALL.iter().map(|metric| metric.as_str()).collect();
                params.problem("metrics", format!("{} is unknown; use {}", quoted(name), known.join(", ")));
            }
        }
    }
    metrics
}

/// A part of a parameter, short enough for a message.
fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}

pub(super) fn filters(params: &mut Params) -> Filters {
    params.declare(|| {
        let words = "Which events and visits count: conditions such as `visit:country==DE|AT;event:page!=/blog/*`, or an array \
                     such as `[[\"is\",\"visit:country\",[\"DE\"]],[\"not\",[\"contains\",\"event:page\",[\"/blog\"]]]]`. \
                     Beside the properties of rows there is `event:type`, such as `event:type==outbound_link`.";
        Parameter::query("filters", words).example("visit:country==DE|AT")
    });
    match params.get("filters").map(|text| parse_filters(text, Dialect::Own)) {
        None => Filters::default(),
        Some(Ok(filters)) => filters,
        Some(Err(problem)) => {
            let place = if problem.at.is_empty() { String::new() } else { format!(" (at {})", problem.at) };
            params.problem("filters", format!("{}{place}", problem.problem));
            Filters::default()
        }
    }
}

fn compare(params: &mut Params, zone: &Zone) -> Option<Baseline> {
    let words = "What the range is compared with: the period directly before, the same one a year before, or that from \
                 `compare_from` to `compare_to`.";
    let named = params.one_of("compare", &["previous_period", "previous_year", "custom"], None, words);
    let first = day(params, "compare_from", "The first day to compare with, for `compare=custom`.");
    let last = day(params, "compare_to", "The last day to compare with, for `compare=custom`.");
    match named? {
        "previous_period" => Some(Baseline::PreviousPeriod),
        "previous_year" => Some(Baseline::PreviousYear),
        _ => match (first, last) {
            (Some(first), Some(last)) => {
                Some(Baseline::Range(checked(params, "compare_to", Dates { first, last })?.range(zone)))
            }
            _ => {
                params.problem("compare", "custom needs compare_from and compare_to");
                None
            }
        },
    }
}

/// What an answer has numbers of.
#[derive(Debug, Clone, Copy)]
pub enum Grouping<'a> {
    /// The whole range.
    Totals,
    /// Each bucket of a series.
    Series,
    /// Each row, by these properties.
    Rows(&'a [Property]),
}

/// What is wrong with metrics that do not go with the rest of a question: sentences.
pub fn misplaced(metrics: &[Metric], filters: &Filters, grouping: Grouping<'_>) -> Vec<String> {
    let is_by_goal = matches!(grouping, Grouping::Rows(properties) if properties.contains(&Property::Goal));
    let is_by_page = matches!(grouping, Grouping::Rows([first, ..]) if first.is_page());
    let problem = |metric: &Metric| match (metric, grouping) {
        (Metric::ConversionRate, _) if filters.goals.is_none() && !is_by_goal => {
            Some("needs a filter on a goal, or rows by goals")
        }
        (Metric::TimeOnPage, Grouping::Totals) if !filters.names_page => {
            Some("needs a filter on pages, or rows by them")
        }
        (Metric::TimeOnPage, Grouping::Rows(_)) if !is_by_page => Some("needs rows by pages"),
        (Metric::Percentage, Grouping::Totals) => Some("is of rows: ask for rows by something"),
        (Metric::TimeOnPage | Metric::Percentage, Grouping::Series) => {
            Some("is not for series: ask for rows by something")
        }
        (Metric::NewVisitors, Grouping::Rows(_)) => Some("is not for rows: ask for totals or a series"),
        _ => None,
    };
    metrics.iter().filter_map(|metric| Some(format!("{metric} {}", problem(metric)?))).collect()
}

fn check_metrics(params: &mut Params, common: &Common, grouping: Grouping<'_>) {
    for problem in misplaced(&common.metrics, &common.filters, grouping) {
        params.problem("metrics", problem);
    }
}

/// The parameters of totals.
#[derive(Debug, Clone)]
pub struct AggregateParams(pub Common);

impl QueryParams for AggregateParams {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        let common = Common::read(params, now);
        check_metrics(params, &common, Grouping::Totals);
        Self(common)
    }
}

/// The width of the buckets of a series of `range`.
pub(super) fn interval(params: &mut Params, range: TimeRange, is_of_months: bool) -> Interval {
    let words = "The width of the buckets, cut in `timezone`; `date` is another name of `day`. Without it months for \
                 periods of months and years, days for others.";
    let named = params.one_of("interval", &["hour", "day", "date", "week", "month"], None, words);
    let interval = match named {
        Some("hour") => Interval::Hour,
        Some("week") => Interval::Week,
        Some("month") => Interval::Month,
        None if is_of_months => Interval::Month,
        _ => Interval::Day,
    };
    if interval == Interval::Hour && range.duration_ms() / 3_600_000 > BUCKETS_MAX {
        params.problem("interval", format!("more than {BUCKETS_MAX} hours; use days"));
    }
    interval
}

/// Which rows of a list are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct AskedRows {
    /// How many of a page at most.
    pub(super) limit: usize,
    /// How many of a file at most.
    pub(super) file_rows: usize,
    /// How many to skip.
    pub(super) offset: usize,
}

impl AskedRows {
    /// Reads `limit` and `page`, which is described so.
    pub(super) fn read(params: &mut Params, description: &'static str) -> Self {
        let file_rows = params.get("limit").and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
        let limit = params.limit(ROWS_DEFAULT, ROWS_MAX);
        let page = params.number(&Number { name: "page", default: 1, min: 1, max: 1_000_000, description });
        Self { limit, file_rows, offset: (page - 1).saturating_mul(limit) }
    }
}

/// The parameters of a series.
#[derive(Debug, Clone)]
pub struct TimeseriesParams {
    /// What every question has.
    pub common: Common,
    /// The width of the buckets.
    pub interval: Interval,
    /// How it is to be answered.
    pub format: Option<Format>,
}

impl QueryParams for TimeseriesParams {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        let common = Common::read(params, now);
        check_metrics(params, &common, Grouping::Series);
        let interval = interval(params, common.range, common.is_of_months);
        Self { common, interval, format: Format::read(params) }
    }
}

/// The parameters of a breakdown.
#[derive(Debug, Clone)]
pub struct BreakdownParams {
    /// What every question has.
    pub common: Common,
    /// What rows are of, by the names they were asked by: one property or two.
    pub properties: Vec<(String, Property)>,
    /// What they are sorted by, descending.
    pub order: Order,
    /// How many rows of a page at most.
    pub limit: usize,
    /// How many rows of a file at most.
    pub file_rows: usize,
    /// How many rows to skip.
    pub offset: usize,
    /// The place to go on after.
    pub cursor: Option<Cursor>,
    /// Everything that decides which list it is.
    pub question: String,
    /// How it is to be answered.
    pub format: Option<Format>,
}

impl QueryParams for BreakdownParams {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        let mut common = Common::read(params, now);
        let properties = properties(params);
        let by: Vec<Property> = properties.iter().map(|(_, property)| property.clone()).collect();
        check_metrics(params, &common, Grouping::Rows(&by));
        let sort = params.one_of(
            "sort",
            &["visitors", "visits", "pageviews", "events"],
            Some("visitors"),
            "What the rows are sorted by, the most first; rows with as many by their value.",
        );
        let order = sort.and_then(|name| name.parse::<Metric>().ok()?.order()).unwrap_or(Order::Visitors);
        let words = "The page, from 1. Use `cursor` for long lists: its pages are of one list while time goes on.";
        let AskedRows { limit, file_rows, offset } = AskedRows::read(params, words);
        params.declare(|| {
            Parameter::query("cursor", "The place after the last row of the page before, as it came with it.")
        });
        let question = question(&common, &properties, order);
        let cursor = match params.get("cursor").map(|text| Cursor::decode(text, &question)) {
            None => None,
            Some(Ok(cursor)) if cursor.range.duration_ms() / DAY_MS > DAYS_MAX => {
                params.problem("cursor", "use a cursor as it came in the answer before");
                None
            }
            Some(Ok(cursor)) => {
                common.range = cursor.range;
                Some(cursor)
            }
            Some(Err(problem)) => {
                params.problem("cursor", problem.problem);
                None
            }
        };
        if cursor.is_some() && params.get("page").is_some() {
            params.problem("page", "goes without cursor only");
        }
        let offset = if cursor.is_some() { 0 } else { offset };
        let format = Format::read(params);
        Self { common, properties, order, limit, file_rows, offset, cursor, question, format }
    }
}

fn properties(params: &mut Params) -> Vec<(String, Property)> {
    params.declare(|| {
        let mut words = "What the rows are of, or two with a comma between: ".to_owned();
        for name in Property::names() {
            let _ = write!(words, "`{name}`, ");
        }
        words.push_str("or `event:props:` and the name of a property. The prefix may be left out.");
        Parameter::query("property", words).required().example("visit:country")
    });
    let Some(text) = params.get("property").map(str::to_owned) else {
        params.problem("property", "say what the rows are of, such as event:page");
        return Vec::new();
    };
    let names: Vec<&str> = text.split(',').map(str::trim).collect();
    if names.len() > 2 {
        params.problem("property", "two properties at most");
    }
    let mut properties: Vec<(String, Property)> = Vec::new();
    for name in names.into_iter().take(2) {
        match Property::parse(name, true) {
            Ok(property) if properties.iter().any(|(_, other)| *other == property) => {
                params.problem("property", format!("{} is there twice", quoted(name)));
            }
            Ok(property) => properties.push((name.to_owned(), property)),
            Err(PropertyError::Unknown) => {
                let known: Vec<&str> = Property::names().collect();
                let (name, known) = (quoted(name), known.join(", "));
                params.problem("property", format!("{name} is unknown; use {known}, or event:props: and a name"));
            }
            Err(error) => params.problem("property", format!("{} {error}", quoted(name))),
        }
    }
    if let [(_, Property::Goal), _] | [_, (_, Property::Goal)] = &properties[..] {
        params.problem("property", "event:goal goes alone");
    }
    properties
}

/// Everything that decides which list it is, but the instants.
fn question(common: &Common, properties: &[(String, Property)], order: Order) -> String {
    let names: Vec<String> = properties.iter().map(|(_, property)| property.name()).collect();
    format!("{}\n{}\n{:?}\n{}", common.site, names.join("\n"), order, common.filters_text)
}
