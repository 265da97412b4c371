//! Any question.

use schemars::JsonSchema;
use serde::Serialize;
use zenovay_auth::{Action, ToolCategory};
use zenovay_domain::Interval;
use zenovay_query::Order;
use zenovay_stats::{
    Ask, Dialect, Filters, Groups, Metric, Number, Problem, Property, PropertyError, Totals, filters_of_json,
    parse_filters, view_dimensions,
};

use super::Tool;
use super::shown::{Page, PageArgs, Period, Told, ViewArgs, bucket_name, partly, website};
use crate::http::mcp::args::{Args, Problems};
use crate::http::mcp::call::{Call, ToolError};
use crate::http::mcp::clean::{clean, quoted, tree_taken_back, value};
use crate::http::stats::answers::shown_value;
use crate::http::stats::params::{Grouping, misplaced};
use crate::http::values::{rounded, seconds};

/// `query_analytics`.
pub(super) struct QueryAnalytics;

/// What is asked.
pub(super) struct Asked {
    website: String,
    metrics: Vec<Metric>,
    kind: Kind,
    view: ViewArgs,
    /// Filters beside those of the view.
    also: Filters,
    page: PageArgs,
}

/// What the answer has.
#[derive(Debug)]
enum Kind {
    Totals,
    Series,
    Rows { dimensions: Vec<(String, Property)>, order: Order },
}

/// The dimension that `name` names.
fn dimension(name: &str) -> Result<Property, String> {
    let custom = name.strip_prefix("prop.").map(|custom| format!("props:{custom}"));
    let property = Property::parse(custom.as_deref().unwrap_or(name), true);
    if property == Ok(Property::Goal) {
        // Its rows would be of events, whichever goals there are.
        return Err("goal gives no rows here; get_goals has the goals with their numbers".to_owned());
    }
    property.map_err(|error| match error {
        PropertyError::Unknown => {
            let (name, known) = (quoted(name), dimensions());
            format!("{name} is unknown; use {known}, or prop. and the name of a property")
        }
        error => format!("{} {error}", quoted(name)),
    })
}

/// The filters of `where`, with values as answers tell them.
fn filters_of(text: &str) -> Result<Filters, Problem> {
    // What is no JSON is told by who reads filters.
    let Ok(mut tree) = serde_json::from_str(text) else { return parse_filters(text, Dialect::View) };
    tree_taken_back(&mut tree);
    filters_of_json(&tree, Dialect::View)
}

/// Where in the filters of `where` something is wrong.
fn place_in_where(problem: &Problem) -> String {
    let place: String = problem.at.split('/').skip(1).map(|number| format!("[{number}]")).collect();
    format!("where{place}")
}

/// The names of dimensions that rows can be by, but for those that websites give their events.
fn dimensions() -> String {
    let is_one = |name: &&str| Property::parse(name, true).is_ok_and(|property| property != Property::Goal);
    let all: Vec<&str> = view_dimensions().filter(is_one).collect();
    all.join(", ")
}

/// The metrics of an answer: those that were asked for and are not of nothing.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct Metrics {
    #[serde(skip_serializing_if = "Option::is_none")]
    visitors: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_visitors: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visits: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pageviews: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    views_per_visit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bounce_rate_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visit_duration_seconds: Option<f64>,
    /// 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    value_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_on_page_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversion_rate_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visitors_share_percent: Option<f64>,
}

impl Metrics {
    fn of(totals: &Totals, wanted: &[Metric]) -> Self {
        let mut metrics = Self::default();
        for &metric in wanted {
            let number = totals.number(metric);
            let count = match number {
                Number::Count(count) => Some(count),
                _ => None,
            };
            let exact = match number {
                Number::Rate(value) | Number::Mean(value) => value,
                _ => None,
            };
            let percent = rounded(exact.map(|rate| rate * 100.0), 2);
            match metric {
                Metric::Visitors => metrics.visitors = count,
                Metric::NewVisitors => metrics.new_visitors = count,
                Metric::Visits => metrics.visits = count,
                Metric::Pageviews => metrics.pageviews = count,
                Metric::Events => metrics.events = count,
                Metric::ViewsPerVisit => metrics.views_per_visit = rounded(exact, 2),
                Metric::BounceRate => metrics.bounce_rate_percent = percent,
                Metric::VisitDuration => metrics.visit_duration_seconds = seconds(exact),
                Metric::ValueScore => metrics.value_score = rounded(exact, 2),
                Metric::TimeOnPage => metrics.time_on_page_seconds = seconds(exact),
                Metric::ConversionRate => metrics.conversion_rate_percent = percent,
                Metric::Percentage => metrics.visitors_share_percent = percent,
                // A test has a place for every metric.
                _ => {}
            }
        }
        metrics
    }
}

/// A row.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Row {
    /// Of each dimension, or the date of a series; empty when unknown.
    values: Vec<String>,
    /// False for a date that was not counted whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<bool>,
    #[serde(flatten)]
    metrics: Metrics,
}

/// The answer.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Answer {
    period: Period,
    dimensions: Vec<String>,
    page: Page,
    /// One row with the totals when nothing is grouped.
    rows: Vec<Row>,
    untrusted_fields: [&'static str; 1],
}

const SORTS: [&str; 4] = ["visitors", "visits", "pageviews", "events"];
const INTERVALS: [&str; 4] = ["hour", "day", "week", "month"];

impl Tool for QueryAnalytics {
    const NAME: &'static str = "query_analytics";
    const TITLE: &'static str = "Any question";
    const WORDS: &'static str = "Any metrics of any range: totals, a series (interval), or rows by one or two dimensions, with any filters. Counts as 3 queries; prefer the other tools.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Analytics);
    const ACTION: Action = Action::ReadAnalytics;
    const COST: u64 = 3;
    const LISTS: &'static [&'static str] = &["rows"];
    type Input = Asked;
    type Output = Answer;

    fn read(args: &mut Args) -> Asked {
        let website = website(args);
        let names: Vec<&'static str> = Metric::ALL.iter().map(|metric| metric.as_str()).collect();
        let metrics = args.choices("metrics", "conversion_rate needs a goal in filters.", &names);
        let mut metrics: Vec<Metric> = metrics.iter().filter_map(|name| name.parse().ok()).collect();
        if metrics.is_empty() {
            metrics.push(Metric::Visitors);
        }
        let words = format!("At most two of {}, prop.NAME.", dimensions());
        let mut dimensions: Vec<(String, Property)> = Vec::new();
        for name in args.strings("dimensions", &words).unwrap_or_default() {
            match dimension(&name) {
                Ok(property) if dimensions.iter().any(|(_, other)| *other == property) => {
                    args.problem("dimensions", format_args!("{} is there twice", quoted(&name)));
                }
                Ok(property) => dimensions.push((name, property)),
                Err(problem) => args.problem("dimensions", problem),
            }
        }
        if dimensions.len() > 2 {
            args.problem("dimensions", "give two at most");
        }
        let interval = args.choice("interval", "Gives a series; not with dimensions.", &INTERVALS, None);
        let sort = args.choice("sort", "", &SORTS, Some("visitors"));
        let order = sort.and_then(|name| name.parse::<Metric>().ok()?.order()).unwrap_or(Order::Visitors);
        let kind = match (interval, dimensions.is_empty()) {
            (None, true) => Kind::Totals,
            (Some(_), true) => Kind::Series,
            (None, false) => Kind::Rows { dimensions, order },
            (Some(_), false) => {
                args.problem("interval", "give either dimensions or an interval");
                Kind::Rows { dimensions, order }
            }
        };
        let mut params = ViewArgs::range(args);
        ViewArgs::filters(args, &mut params, Told::Operators);
        let words = "More filters, as JSON with and, or, not, has_done: [[\"or\",[[\"is\",\"country\",[\"DE\"]],[\"not\",[\"matches\",\"page\",[\"^/a\"]]]]]]";
        let also = match args.json("where", words).map(|text| filters_of(&text)) {
            None => Filters::default(),
            Some(Ok(filters)) => filters,
            Some(Err(problem)) => {
                args.problem(&place_in_where(&problem), problem.problem);
                Filters::default()
            }
        };
        let view = ViewArgs::of(params).with_interval(interval);
        Asked { website, metrics, kind, view, also, page: PageArgs::read(args, 50) }
    }

    async fn run(call: Call, asked: Asked) -> Result<Answer, ToolError> {
        let Asked { website, metrics, kind, view, also, page } = asked;
        let question = call.question(&website, Self::ACTION).await?;
        let view = view.view(&question).await?;
        let filters = view.filters.clone().with(also);
        let filters = filters.map_err(|problem| vec![format!("{}: {}", place_in_where(&problem), problem.problem)])?;
        let by: Vec<Property> = match &kind {
            Kind::Rows { dimensions, .. } => dimensions.iter().map(|(_, property)| property.clone()).collect(),
            _ => Vec::new(),
        };
        let grouping = match &kind {
            Kind::Totals => Grouping::Totals,
            Kind::Series => Grouping::Series,
            Kind::Rows { .. } => Grouping::Rows(&by),
        };
        let misplaced: Problems = misplaced(&metrics, &filters, grouping)
            .iter()
            // There are no rows by goals.
            .map(|problem| format!("metrics: {}", problem.trim_end_matches(", or rows by goals")))
            .collect();
        if !misplaced.is_empty() {
            return Err(misplaced.into());
        }
        let (id, ask) = (question.id(), Ask::new(view.range, filters, metrics.clone()));
        let (dimensions, rows, total) = match kind {
            Kind::Totals => {
                let totals = question.run(move |asker| ask.aggregate(|query| asker.any(id, query))).await?;
                (
                    Vec::new(),
                    vec![Row { values: Vec::new(), complete: None, metrics: Metrics::of(&totals, &metrics) }],
                    1,
                )
            }
            Kind::Series => {
                let (interval, zone) = (view.interval, view.zone.clone());
                let series =
                    question.run(move |asker| ask.timeseries(interval, &zone, |query| asker.any(id, query))).await?;
                let (total, is_hour) = (series.len(), interval == Interval::Hour);
                let on_page = series.into_iter().skip(page.offset).take(page.limit);
                let rows = on_page.map(|bucket| Row {
                    values: vec![bucket_name(&view.zone, bucket.bucket.from, is_hour)],
                    complete: partly(&view, bucket.bucket, call.now),
                    metrics: Metrics::of(&bucket.totals, &metrics),
                });
                (vec![interval.as_str().to_owned()], rows.collect(), total)
            }
            Kind::Rows { dimensions, order } => {
                let mut properties = by.into_iter();
                // There is one: otherwise there are no rows.
                let (first, and) = (properties.next().unwrap_or(Property::Goal), properties.next());
                let PageArgs { limit, offset } = page;
                let groups = Groups::by(first).and(and).order(order).limit(limit).offset(offset);
                let asked = groups.clone();
                let found = question.run(move |asker| ask.breakdown(&asked, |query| asker.any(id, query))).await?;
                let shown = |property: &Property, of: &str| value(&shown_value(property, of).unwrap_or_default());
                let rows = found.rows.iter().map(|row| Row {
                    values: std::iter::once(shown(&groups.property, &row.value))
                        .chain(groups.and.as_ref().zip(row.and.as_deref()).map(|(and, of)| shown(and, of)))
                        .collect(),
                    complete: None,
                    metrics: Metrics::of(&row.totals, &metrics),
                });
                let names = dimensions.iter().map(|(name, _)| clean(name)).collect();
                (names, rows.collect::<Vec<_>>(), found.total_rows)
            }
        };
        let period = Period::of(&view, call.now);
        let page = page.page(rows.len(), total);
        Ok(Answer { period, dimensions, page, rows, untrusted_fields: ["rows[].values"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_a_place() {
        for metric in Metric::ALL {
            let mut totals = Totals::default();
            (totals.visits, totals.all_visitors, totals.timed_pageviews) = (1, 1, 1);
            (totals.metrics.sessions, totals.metrics.visitors) = (1, 1);
            let members = serde_json::to_value(Metrics::of(&totals, &[*metric])).unwrap();
            assert_eq!(members.as_object().unwrap().len(), 1, "{metric}: {members}");
        }
    }
}
