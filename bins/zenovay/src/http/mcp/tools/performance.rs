//! How fast pages are.

use schemars::JsonSchema;
use serde::Serialize;
use zenovay_auth::{Action, ToolCategory};
use zenovay_capture::{Bucketed, MetricSummary, Metrics, PageVitals, Vital};
use zenovay_domain::{Interval, Zone};

use super::Tool;
use super::shown::{Page, PageArgs, Period, ViewArgs, bucket_name, website};
use crate::http::console::performance;
use crate::http::mcp::args::Args;
use crate::http::mcp::call::{Call, ToolError};
use crate::http::mcp::clean::clean;
use crate::http::values::rounded;

/// Web vitals: what three quarters of the page views do not exceed, and how that is.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Speed {
    /// Measured page views.
    views: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lcp_p75_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cls_p75: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inp_p75_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fcp_p75_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttfb_p75_ms: Option<f64>,
    /// good, needs_improvement or poor.
    #[serde(skip_serializing_if = "Option::is_none")]
    lcp_rating: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cls_rating: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inp_rating: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fcp_rating: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttfb_rating: Option<&'static str>,
}

impl Speed {
    fn new(views: u64, p75: [Option<f64>; 5]) -> Self {
        let rating = |vital: Vital| p75[vital as usize].map(|value| vital.rate(value).as_str());
        let [lcp_rating, cls_rating, inp_rating, fcp_rating, ttfb_rating] = Vital::ALL.map(rating);
        let [lcp_p75_ms, cls_p75, inp_p75_ms, fcp_p75_ms, ttfb_p75_ms] = p75;
        Self {
            views,
            lcp_p75_ms,
            cls_p75,
            inp_p75_ms,
            fcp_p75_ms,
            ttfb_p75_ms,
            lcp_rating,
            cls_rating,
            inp_rating,
            fcp_rating,
            ttfb_rating,
        }
    }

    fn of(views: u64, metrics: &Metrics) -> Self {
        Self::new(views, metrics.map(|metric| metric.map(|metric| metric.p75)))
    }
}

/// How many of the page views that have a value have a good one.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Good {
    #[serde(skip_serializing_if = "Option::is_none")]
    lcp_good_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cls_good_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inp_good_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fcp_good_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttfb_good_percent: Option<f64>,
}

impl Good {
    fn of(metrics: &Metrics) -> Self {
        let percent = |metric: &MetricSummary| metric.ratings[0] as f64 / metric.count.max(1) as f64 * 100.0;
        let shares = metrics.each_ref().map(|metric| rounded(metric.as_ref().map(percent), 2));
        let [lcp_good_percent, cls_good_percent, inp_good_percent, fcp_good_percent, ttfb_good_percent] = shares;
        Self { lcp_good_percent, cls_good_percent, inp_good_percent, fcp_good_percent, ttfb_good_percent }
    }
}

/// All page views together.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Totals {
    #[serde(flatten)]
    speed: Speed,
    #[serde(flatten)]
    good: Good,
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
        Self { value: clean(&part.name), speed: Speed::of(part.views, &part.metrics) }
    }

    fn at(bucket: &Bucketed, zone: &Zone, is_hour: bool) -> Self {
        Self { value: bucket_name(zone, bucket.at, is_hour), speed: Speed::new(bucket.views, bucket.p75) }
    }
}

/// How fast pages are.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Performance {
    period: Period,
    totals: Totals,
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
    const LIST: Option<&'static str> = Some("rows");
    type Input = (String, &'static str, ViewArgs, PageArgs);
    type Output = Performance;

    fn read(args: &mut Args) -> Self::Input {
        let website = website(args);
        let by = args.choice("by", "", &DIMENSIONS, Some("page")).unwrap_or("page");
        let mut params = ViewArgs::range(args);
        ViewArgs::filters(args, &mut params);
        (website, by, ViewArgs::of(params), PageArgs::read(args, 20))
    }

    async fn run(call: Call, (website, dimension, view, page): Self::Input) -> Result<Performance, ToolError> {
        let question = call.question_of(&website, Action::ReadAnalytics).await?;
        let view = view.view(&question).await?;
        let (period, zone, is_hour) = (Period::of(&view, call.now), view.zone.clone(), view.interval == Interval::Hour);
        let pages = if dimension == "page" { page.offset.saturating_add(page.limit) } else { 0 };
        let report = performance::measured(&question, view, pages).await?;
        let totals = Totals { speed: Speed::of(report.views, &report.metrics), good: Good::of(&report.metrics) };
        let (rows, page) = match dimension {
            "page" => {
                let rows: Vec<Row> = report.pages.iter().skip(page.offset).map(Row::of).collect();
                let page = page.page(rows.len(), usize::try_from(report.pages_total).unwrap_or(usize::MAX));
                (rows, page)
            }
            "device" => page.cut(report.devices.iter().map(Row::of).collect()),
            _ => page.cut(report.series.iter().map(|bucket| Row::at(bucket, &zone, is_hour)).collect()),
        };
        // Dates are this server's own words.
        let untrusted_fields = if dimension == "date" { Vec::new() } else { vec!["rows[].value"] };
        Ok(Performance { period, totals, dimension, page, rows, untrusted_fields })
    }
}
