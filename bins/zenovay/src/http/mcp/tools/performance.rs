//! How fast pages are.

use schemars::JsonSchema;
use serde::Serialize;
use zenovay_auth::{Action, ToolCategory};
use zenovay_capture::{Bucketed, MetricSummary, Metrics, PageVitals, Vital};
use zenovay_domain::{Interval, Zone};

use super::Tool;
use super::shown::{Open, Page, PageArgs, Period, Told, ViewArgs, bucket_name, website};
use crate::http::console::performance;
use crate::http::mcp::args::Args;
use crate::http::mcp::call::{Call, ToolError};
use crate::http::mcp::clean::value;
use crate::http::values::rounded;

/// A metric: what three quarters of the page views do not exceed.
#[derive(Debug, Serialize)]
pub(super) struct Metric {
    /// Of a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    p75_ms: Option<f64>,
    /// Of what has no unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    p75: Option<f64>,
    rating: &'static str,
    /// Page views with a good value, of those with a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    good_percent: Option<f64>,
}

impl Metric {
    fn new(vital: Vital, p75: f64, good_percent: Option<f64>) -> Self {
        let is_time = vital != Vital::Cls;
        let rating = vital.rate(p75).as_str();
        Self { p75_ms: is_time.then_some(p75), p75: (!is_time).then_some(p75), rating, good_percent }
    }
}

/// The web vitals of some page views; what nobody measured is absent.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Speed {
    /// Measured page views.
    views: u64,
    /// p75_ms, rating, good_percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Open>")]
    lcp: Option<Metric>,
    /// p75 without a unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Open>")]
    cls: Option<Metric>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Open>")]
    inp: Option<Metric>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Open>")]
    fcp: Option<Metric>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Open>")]
    ttfb: Option<Metric>,
}

impl Speed {
    fn new(views: u64, metric: impl Fn(Vital) -> Option<Metric>) -> Self {
        let [lcp, cls, inp, fcp, ttfb] = Vital::ALL.map(metric);
        Self { views, lcp, cls, inp, fcp, ttfb }
    }

    fn of(views: u64, metrics: &Metrics) -> Self {
        Self::new(views, |vital| {
            let MetricSummary { count, p75, ratings: [good, ..], .. } = metrics[vital as usize]?;
            let good = good as f64 / count.max(1) as f64 * 100.0;
            Some(Metric::new(vital, p75, rounded(Some(good), 2)))
        })
    }
}

/// A page, a kind of device, or a bucket of a series.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Row {
    value: String,
    #[serde(flatten)]
    speed: Speed,
}

impl Row {
    fn of(part: &PageVitals) -> Self {
        Self { value: value(&part.name), speed: Speed::of(part.views, &part.metrics) }
    }

    fn at(bucket: &Bucketed, zone: &Zone, is_hour: bool) -> Self {
        let metric = |vital: Vital| Some(Metric::new(vital, bucket.p75[vital as usize]?, None));
        Self { value: bucket_name(zone, bucket.at, is_hour), speed: Speed::new(bucket.views, metric) }
    }
}

/// How fast pages are.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Performance {
    period: Period,
    totals: Speed,
    dimension: &'static str,
    page: Page,
    /// Most views first; dates in order.
    rows: Vec<Row>,
    untrusted_fields: Vec<&'static str>,
}

/// `get_performance`.
pub(super) struct GetPerformance;

/// By what the speed of pages can be asked for.
const DIMENSIONS: [&str; 3] = ["page", "device", "date"];

impl Tool for GetPerformance {
    const NAME: &'static str = "get_performance";
    const TITLE: &'static str = "Web vitals";
    const WORDS: &'static str = "How fast pages are for visitors: LCP, CLS, INP, FCP and TTFB (75th percentiles, ratings), in all and by page, device or date.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Advanced);
    const ACTION: Action = Action::ReadAnalytics;
    const LISTS: &'static [&'static str] = &["rows"];
    type Input = (String, &'static str, ViewArgs, PageArgs);
    type Output = Performance;

    fn read(args: &mut Args) -> Self::Input {
        let website = website(args);
        let by = args.choice("by", "", &DIMENSIONS, Some("page")).unwrap_or("page");
        let mut params = ViewArgs::range(args);
        ViewArgs::filters(args, &mut params, Told::Captured);
        (website, by, ViewArgs::of(params), PageArgs::read(args, 50))
    }

    async fn run(call: Call, (website, dimension, view, page): Self::Input) -> Result<Performance, ToolError> {
        let question = call.question(&website, Self::ACTION).await?;
        let view = view.view(&question).await?;
        let (period, zone, interval) = (Period::of(&view, call.now), view.zone.clone(), view.interval);
        let pages = if dimension == "page" { page.offset.saturating_add(page.limit) } else { 0 };
        let report = performance::measured(&question, view, pages).await?;
        let totals = Speed::of(report.views, &report.metrics);
        let (rows, page) = match dimension {
            "page" => {
                let rows: Vec<Row> = report.pages.iter().skip(page.offset).map(Row::of).collect();
                let page = page.page(rows.len(), usize::try_from(report.pages_total).unwrap_or(usize::MAX));
                (rows, page)
            }
            "device" => page.cut(report.devices.iter().map(Row::of).collect()),
            _ => page
                .cut(report.series.iter().map(|bucket| Row::at(bucket, &zone, interval == Interval::Hour)).collect()),
        };
        // Dates are this server's own words.
        let untrusted_fields = if dimension == "date" { Vec::new() } else { vec!["rows[].value"] };
        // Of dates it is told how long each is, as other series do.
        let dimension = if dimension == "date" { interval.as_str() } else { dimension };
        Ok(Performance { period, totals, dimension, page, rows, untrusted_fields })
    }
}
