//! What the answers of several tools have in common.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use zenovay_domain::{TimeRange, Timestamp, Zone};
use zenovay_stats::{Metric, view_dimensions, view_operators};

use crate::http::console::captured::CAPTURED_BY;
use crate::http::console::numbers::{RowNumbers, Tiles};
use crate::http::console::reader::Question;
use crate::http::console::view::{DEFAULT_RANGE, RANGES, View, ViewParams};
use crate::http::mcp::args::{Args, AsParams};
use crate::http::mcp::call::ToolError;
use crate::http::mcp::clean::taken_back;
use crate::http::params::QueryParams;
use crate::http::stats::answers::Rate;
use crate::http::values::rounded;

/// An object whose members answers show by themselves: told of in the schema of each tool they would take more room in what a client
/// keeps in mind than they are worth.
pub(super) struct Open;

impl JsonSchema for Open {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Open".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

/// What is said when an answer was cut.
pub(super) const TOO_LONG: &str =
    "The answer was cut. Narrow the range, add a filter, ask for fewer rows, or go on at next_offset.";

/// The argument that names a website.
pub(super) fn website(args: &mut Args) -> String {
    args.required("website_id", "Id or domain.")
}

/// What a tool tells of its filters. There is one grammar, which takes too much room to be told with each tool: errors tell it
/// as well.
#[derive(Debug, Clone, Copy)]
pub(super) enum Told {
    /// The whole grammar.
    Grammar,
    /// The operators; the dimensions are told beside.
    Operators,
    /// Where the grammar is told.
    Shortly,
    /// The same, where a filter on goals leaves whole visits.
    OfVisits,
    /// The same, where it leaves all that some visitors did.
    OfVisitors,
    /// The dimensions that captures have.
    Captured,
}

impl Told {
    fn words(self) -> String {
        let operators = || view_operators().collect::<Vec<_>>().join(", ");
        let form = "All of dimension:operator:value|value";
        match self {
            Self::Grammar => {
                let dimensions = view_dimensions().collect::<Vec<_>>().join(", ");
                format!(
                    "{form}, as page:starts_with:/blog. Dimensions: {dimensions}, prop.NAME. Operators: {}; matches takes *. \
                     An empty value is the missing one. One event meets all: goal with page is that goal on that page.",
                    operators()
                )
            }
            Self::Operators => {
                format!("{form}, as country:is:DE|AT; dimensions as above, event_type too. Operators: {}.", operators())
            }
            Self::Shortly => format!("{form}; see get_visitors."),
            Self::OfVisits => format!("{form}; see get_visitors. goal: visits with it."),
            Self::OfVisitors => format!("{form}; see get_visitors. goal: visitors who reached it."),
            Self::Captured => format!("{form} of {}; see get_visitors.", CAPTURED_BY.join(", ")),
        }
    }
}

/// Which part of a website's events: the words of the dashboard's address.
#[derive(Debug, Clone)]
pub(super) struct ViewArgs(AsParams);

impl ViewArgs {
    /// The range alone.
    pub(super) fn range(args: &mut Args) -> AsParams {
        let mut params = AsParams::default();
        let range = args.choice("range", "", &RANGES, Some(DEFAULT_RANGE));
        let from = args.day("from", "YYYY-MM-DD; wins over range.");
        let to = args.day("to", "Included.");
        if from.is_none() && to.is_some() {
            args.missing("from", "is needed with to; write both days, or a range alone");
        }
        if let (Some(from), Some(to)) = (&from, &to)
            && from > to
        {
            args.problem(
                "to",
                format_args!("must not be before from; write from \"{to}\" and to \"{from}\" for these days"),
            );
        }
        for (name, value) in [("range", range.map(str::to_owned)), ("from", from), ("to", to)] {
            if let Some(value) = value {
                params.add(name, value);
            }
        }
        params
    }

    /// What is compared with.
    pub(super) fn comparison(args: &mut Args, params: &mut AsParams, default: Option<&'static str>) {
        let words = "previous, year, or days: 2026-05-01..2026-05-31";
        if let Some(compare) = args.string("compare", words).or_else(|| default.map(str::to_owned)) {
            params.add("compare", compare);
        }
    }

    /// The filters, of which is said as much as `told` does.
    pub(super) fn filters(args: &mut Args, params: &mut AsParams, told: Told) {
        for filter in args.strings("filters", &told.words()).unwrap_or_default() {
            params.add("f", taken_back(&filter));
        }
    }

    /// Range, comparison and filters.
    pub(super) fn read(args: &mut Args, told: Told) -> Self {
        let mut params = Self::range(args);
        Self::comparison(args, &mut params, None);
        Self::filters(args, &mut params, told);
        Self(params)
    }

    /// What `params` say.
    pub(super) fn of(params: AsParams) -> Self {
        Self(params)
    }

    /// The same with the width of buckets.
    pub(super) fn with_interval(mut self, interval: Option<&'static str>) -> Self {
        if let Some(interval) = interval {
            self.0.add("interval", interval);
        }
        self
    }

    /// What that is of a website.
    pub(super) async fn view(&self, question: &Question) -> Result<View, ToolError> {
        let mut params = self.0.params();
        let from = params.get("from").map(str::to_owned);
        let read = ViewParams::read(&mut params, question.now).of_program();
        params.finish()?;
        let view = question.view(&read).await?;
        let today = view.zone.format_date(question.now);
        // Days in this form are ordered as strings. Numbers of nothing would be taken for an answer.
        let from = from.filter(|from| *from > today).map(|from| ("from", from));
        let compared = view.earlier.map(|earlier| ("compare", view.zone.format_date(last(earlier))));
        let compared = compared.filter(|(_, day)| *day > today);
        let problems: Vec<String> = [from, compared]
            .into_iter()
            .flatten()
            .map(|(name, day)| format!("{name}: {day} has not begun yet in {}; today is {today}", view.zone.name()))
            .collect();
        if !problems.is_empty() {
            return Err(problems.into());
        }
        Ok(view)
    }
}

/// The time that is answered for, as days where it begins with one. Clients are told of it once, with the instructions.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(with = "Open", inline, description = "")]
pub(super) struct Period {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    starts_at: String,
    ends_at: String,
    timezone: String,
    now: String,
    /// Whether the range is over.
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    compare_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compare_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compare_starts_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compare_ends_at: Option<String>,
}

/// The last instant of a range.
fn last(range: TimeRange) -> Timestamp {
    range.to.plus_millis(-1).max(range.from)
}

/// The first and the last day of a range. One that begins within a day is none of days: to ask for its days would be another
/// question.
fn days(range: TimeRange, zone: &Zone) -> Option<[String; 2]> {
    let begins_a_day = zone.day_start(zone.civil_day(range.from)) == range.from;
    begins_a_day.then(|| [range.from, last(range)].map(|at| zone.format_date(at)))
}

impl Period {
    /// That of a view at `now`.
    pub(super) fn of(view: &View, now: Timestamp) -> Self {
        let zone = &view.zone;
        let [compare_from, compare_to] =
            view.earlier.and_then(|range| days(range, zone)).map_or([None, None], |days| days.map(Some));
        Self {
            complete: view.is_complete,
            compare_from,
            compare_to,
            compare_starts_at: view.earlier.map(|range| zone.format_with_offset(range.from)),
            compare_ends_at: view.earlier.map(|range| zone.format_with_offset(last(range))),
            ..Self::between(view.range, zone, now)
        }
    }

    /// That of a range in `zone` at `now`, which is compared with nothing.
    pub(super) fn between(range: TimeRange, zone: &Zone, now: Timestamp) -> Self {
        let [from, to] = days(range, zone).map_or([None, None], |days| days.map(Some));
        Self {
            from,
            to,
            starts_at: zone.format_with_offset(range.from),
            ends_at: zone.format_with_offset(last(range)),
            timezone: zone.name().to_owned(),
            now: zone.format_with_offset(now),
            complete: range.to <= now,
            compare_from: None,
            compare_to: None,
            compare_starts_at: None,
            compare_ends_at: None,
        }
    }
}

/// The name of a bucket that begins at `at`: its day, or its hour.
pub(super) fn bucket_name(zone: &Zone, at: Timestamp, is_hour: bool) -> String {
    if is_hour { zone.format_with_offset(at) } else { zone.format_date(at) }
}

/// What a bucket of the series of `view` says of itself when it was not counted whole: the range begins or ends in it, or it is not over.
pub(super) fn partly(view: &View, bucket: TimeRange, now: Timestamp) -> Option<bool> {
    (!view.has_whole(view.range, bucket, now)).then_some(false)
}

/// A page of a list. Clients are told of it once, with the instructions.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(with = "Open", inline, description = "")]
pub(super) struct Page {
    total: usize,
    offset: usize,
    shown: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<usize>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Page {
    /// The same, of which `hint` says what is left out and how to see it.
    pub(super) fn cut_short(self, hint: &str) -> Self {
        Self { truncated: true, hint: Some(hint.to_owned()), ..self }
    }
}

/// Which page of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageArgs {
    pub(super) limit: usize,
    pub(super) offset: usize,
}

impl PageArgs {
    /// `limit` and `offset`.
    pub(super) fn read(args: &mut Args, default: usize) -> Self {
        let limit = args.count("limit", "", [1, 1_000], default);
        Self { limit, offset: args.count("offset", "", [0, 1_000_000], 0) }
    }

    /// The page of `shown` rows of `total`.
    pub(super) fn page(self, shown: usize, total: usize) -> Page {
        let next = self.offset.saturating_add(shown);
        let next_offset = (shown > 0 && next < total).then_some(next);
        Page { total, offset: self.offset, shown, next_offset, truncated: false, hint: None }
    }

    /// The rows of a list that are on the page.
    pub(super) fn cut<T>(self, all: Vec<T>) -> (Vec<T>, Page) {
        let total = all.len();
        let rows: Vec<T> = all.into_iter().skip(self.offset).take(self.limit).collect();
        let page = self.page(rows.len(), total);
        (rows, page)
    }
}

/// A fraction as percent.
pub(super) fn percent(rate: Rate) -> Option<f64> {
    rounded(rate.0.map(|rate| rate * 100.0), 2)
}

/// The numbers of a range.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Numbers {
    visitors: u64,
    sessions: u64,
    pageviews: u64,
    /// Of every kind.
    events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bounce_rate_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_duration_seconds: Option<f64>,
    /// Sessions that reached a goal.
    #[serde(skip_serializing_if = "Option::is_none")]
    conversion_rate_percent: Option<f64>,
}

impl From<Tiles> for Numbers {
    fn from(tiles: Tiles) -> Self {
        Self {
            visitors: tiles.visitors,
            sessions: tiles.sessions,
            pageviews: tiles.pageviews,
            events: tiles.events,
            bounce_rate_percent: percent(tiles.bounce_rate),
            avg_duration_seconds: tiles.duration.0,
            conversion_rate_percent: percent(tiles.conversion_rate),
        }
    }
}

/// How numbers changed, in percent of the earlier ones; absent where these were nothing.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ChangePercent {
    #[serde(skip_serializing_if = "Option::is_none")]
    visitors: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pageviews: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<f64>,
}

impl ChangePercent {
    /// From `before` to `now`.
    pub(super) fn between(now: &Tiles, before: &Tiles) -> Self {
        let change = |now: u64, before: u64| {
            let (now, earlier) = (now as f64, before as f64);
            rounded((before > 0).then(|| (now - earlier) / earlier * 100.0), 2)
        };
        Self {
            visitors: change(now.visitors, before.visitors),
            sessions: change(now.sessions, before.sessions),
            pageviews: change(now.pageviews, before.pageviews),
            events: change(now.events, before.events),
        }
    }
}

/// The numbers of a row.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct OfRow {
    visitors: u64,
    sessions: u64,
    pageviews: u64,
    events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bounce_rate_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_duration_seconds: Option<f64>,
    /// Of all rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    visitors_share_percent: Option<f64>,
}

impl From<RowNumbers> for OfRow {
    fn from(numbers: RowNumbers) -> Self {
        Self {
            visitors: numbers.visitors,
            sessions: numbers.sessions,
            pageviews: numbers.pageviews,
            events: numbers.events,
            bounce_rate_percent: percent(numbers.bounce_rate),
            avg_duration_seconds: numbers.duration.0,
            visitors_share_percent: percent(numbers.share),
        }
    }
}

/// The numbers of a row in what it is compared with.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct OfRowBefore {
    visitors: u64,
    sessions: u64,
    pageviews: u64,
}

impl From<RowNumbers> for OfRowBefore {
    fn from(numbers: RowNumbers) -> Self {
        Self { visitors: numbers.visitors, sessions: numbers.sessions, pageviews: numbers.pageviews }
    }
}

/// The metrics of a bucket.
pub(super) const OF_BUCKET: [Metric; 6] =
    [Metric::Visitors, Metric::Visits, Metric::Pageviews, Metric::Events, Metric::BounceRate, Metric::VisitDuration];
