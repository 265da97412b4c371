//! Any question.

use schemars::JsonSchema;
use serde::Serialize;
use zenovay_auth::ToolCategory;
use zenovay_domain::Interval;
use zenovay_stats::{Groups, Metric, Number, Property, Totals};

use super::Tool;
use super::shown::{Page, PageArgs, Period, ViewArgs, bucket_name, website};
use crate::http::mcp::args::{Args, AsParams};
use crate::http::mcp::call::{Call, ToolError};
use crate::http::mcp::clean::clean;
use crate::http::params::QueryParams;
use crate::http::stats::answers::shown_value;
use crate::http::stats::params::{AggregateParams, BreakdownParams, TimeseriesParams};
use crate::http::values::{rounded, seconds};

/// `query_analytics`.
pub(super) struct QueryAnalytics;

/// What is asked, in the words of the Stats API.
pub(super) struct Asked {
    website: String,
    view: ViewArgs,
    params: AsParams,
    kind: Kind,
    page: PageArgs,
}

/// What the answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Totals,
    Series,
    Rows,
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
    const COST: u64 = 3;
    const LISTS: &'static [&'static str] = &["rows"];
    type Input = Asked;
    type Output = Answer;

    fn read(args: &mut Args) -> Asked {
        let website = website(args);
        let mut params = AsParams::default();
        let names: Vec<&str> = Metric::ALL.iter().map(|metric| metric.as_str()).collect();
        let metrics = args.strings("metrics", &format!("Of {}. conversion_rate needs a goal.", names.join(", ")));
        params.add(
            "metrics",
            metrics.filter(|metrics| !metrics.is_empty()).map_or("visitors".to_owned(), |metrics| metrics.join(",")),
        );
        let bare: Vec<&str> = Property::names().map(|name| name.rsplit(':').next().unwrap_or(name)).collect();
        let words = format!("At most two of {}, or props:NAME.", bare.join(", "));
        let dimensions = args.strings("dimensions", &words).unwrap_or_default();
        let words = "\"visit:country==DE|AT;event:page==/blog/*\", or JSON: [[\"is\",\"visit:country\",[\"DE\"]],[\"not\",[\"contains\",\"event:page\",[\"/blog\"]]]]";
        if let Some(filters) = args.string("filters", words) {
            params.add("filters", filters);
        }
        let interval = args.choice("interval", "Gives a series; not with dimensions.", &INTERVALS, None);
        let sort = args.choice("sort", "", &SORTS, Some("visitors"));
        let kind = match (interval, dimensions.is_empty()) {
            (_, false) => Kind::Rows,
            (Some(_), true) => Kind::Series,
            (None, true) => Kind::Totals,
        };
        if interval.is_some() && kind == Kind::Rows {
            args.problem("interval", "give either dimensions or an interval");
        }
        if kind == Kind::Rows {
            params.add("property", dimensions.join(","));
            params.add("sort", sort.unwrap_or("visitors"));
        }
        if let Some(interval) = interval {
            params.add("interval", interval);
        }
        let view = ViewArgs::of(ViewArgs::range(args)).with_interval(interval);
        Asked { website, view, params, kind, page: PageArgs::read(args, 50) }
    }

    async fn run(call: Call, asked: Asked) -> Result<Answer, ToolError> {
        let Asked { website, view, mut params, kind, page } = asked;
        let question = call.question(&website).await?;
        let view = view.view(&question).await?;
        params.add("site_id", question.id().to_string());
        let (id, now) = (question.id(), question.now);
        let mut params = params.params();
        let mut dimensions = Vec::new();
        let (rows, total) = match kind {
            Kind::Totals => {
                let AggregateParams(common) = AggregateParams::read(&mut params, now);
                params.finish()?;
                let (ask, wanted) = (common.ask().in_range(view.range), common.metrics);
                let totals = question.run(move |asker| ask.aggregate(|query| asker.any(id, query))).await?;
                (vec![Row { values: Vec::new(), metrics: Metrics::of(&totals, &wanted) }], 1)
            }
            Kind::Series => {
                let TimeseriesParams { common, interval, .. } = TimeseriesParams::read(&mut params, now);
                params.finish()?;
                let (ask, wanted, zone) = (common.ask().in_range(view.range), common.metrics, view.zone.clone());
                let series =
                    question.run(move |asker| ask.timeseries(interval, &zone, |query| asker.any(id, query))).await?;
                let (total, is_hour) = (series.len(), interval == Interval::Hour);
                let on_page = series.into_iter().skip(page.offset).take(page.limit);
                let rows = on_page.map(|bucket| Row {
                    values: vec![bucket_name(&view.zone, bucket.bucket.from, is_hour)],
                    metrics: Metrics::of(&bucket.totals, &wanted),
                });
                dimensions.push(interval.as_str().to_owned());
                (rows.collect(), total)
            }
            Kind::Rows => {
                let BreakdownParams { common, properties, order, .. } = BreakdownParams::read(&mut params, now);
                params.finish()?;
                let (ask, wanted) = (common.ask().in_range(view.range), common.metrics);
                dimensions.extend(properties.iter().map(|(name, _)| clean(name)));
                let mut properties = properties.into_iter().map(|(_, property)| property);
                // There is one: otherwise the parameters were refused.
                let (first, and) = (properties.next().unwrap_or(Property::Goal), properties.next());
                let PageArgs { limit, offset } = page;
                let groups = Groups::by(first).and(and).order(order).limit(limit).offset(offset);
                let asked = groups.clone();
                let found = question.run(move |asker| ask.breakdown(&asked, |query| asker.any(id, query))).await?;
                let value = |property: &Property, value: &str| clean(&shown_value(property, value).unwrap_or_default());
                let rows = found.rows.iter().map(|row| Row {
                    values: std::iter::once(value(&groups.property, &row.value))
                        .chain(groups.and.as_ref().zip(row.and.as_deref()).map(|(and, of)| value(and, of)))
                        .collect(),
                    metrics: Metrics::of(&row.totals, &wanted),
                });
                (rows.collect::<Vec<_>>(), found.total_rows)
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
