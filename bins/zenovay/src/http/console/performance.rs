//! `/api/websites/:websiteId/performance`: web vitals, the values that three quarters of the page views do not exceed.

use actix_web::web;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use zenovay_capture::{Bucketed, MetricSummary, Metrics, PageVitals, Vital, VitalsQuery, VitalsReport};

use super::Console;
use super::captured::{Kept, buckets};
use super::numbers::ShownRange;
use super::reader::Question;
use super::view::{View, ViewParams};
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::ReadAnalytics;
use crate::http::lookups::off_the_worker;
use crate::http::params::{Limit, Query};
use crate::http::state::AppState;
use crate::http::values::Instant;

/// How fast the pages of a website are in a view.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageSpeed {
    /// What was measured.
    range: ShownRange,
    /// Page views that were measured.
    #[schema(examples(4210))]
    views: u64,
    /// All of them together.
    metrics: ShownMetrics,
    /// By the kind of device, the one with the most views first.
    devices: Vec<SpeedOf>,
    /// By page, the one with the most views first.
    pages: Vec<SpeedOf>,
    /// How many pages there are, also those that are not told.
    #[schema(examples(31))]
    pages_total: u64,
    /// Over time, the oldest bucket first.
    series: Vec<SpeedAt>,
}

/// The metrics of something; null without a value.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownMetrics {
    /// Largest contentful paint, in milliseconds.
    #[schema(required = true)]
    lcp: Option<ShownMetric>,
    /// Cumulative layout shift.
    #[schema(required = true)]
    cls: Option<ShownMetric>,
    /// Interaction to next paint, in milliseconds.
    #[schema(required = true)]
    inp: Option<ShownMetric>,
    /// First contentful paint, in milliseconds.
    #[schema(required = true)]
    fcp: Option<ShownMetric>,
    /// Time to first byte, in milliseconds.
    #[schema(required = true)]
    ttfb: Option<ShownMetric>,
}

/// A metric.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownMetric {
    /// The value that three quarters of the page views do not exceed. It is exact.
    #[schema(examples(2104.5))]
    p75: f64,
    /// `good`, `needs_improvement` or `poor`: how that is.
    #[schema(examples("good"))]
    rating: &'static str,
    /// Page views that have a value.
    #[schema(examples(4100))]
    views: u64,
    /// Those whose value is good.
    #[schema(examples(3300))]
    good: u64,
    /// Those whose value needs improvement.
    #[schema(examples(600))]
    needs_improvement: u64,
    /// Those whose value is poor.
    #[schema(examples(200))]
    poor: u64,
}

/// The metrics of a page or a kind of device.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpeedOf {
    /// The path, or the kind of device; empty when it is not known.
    #[schema(examples("/pricing"))]
    value: String,
    /// Page views that were measured.
    #[schema(examples(812))]
    views: u64,
    /// The metrics.
    #[serde(flatten)]
    metrics: ShownMetrics,
}

/// How fast pages were in a bucket.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpeedAt {
    /// Where the bucket begins.
    at: Instant,
    /// Page views that were measured.
    #[schema(examples(150))]
    views: u64,
    /// The values.
    #[serde(flatten)]
    values: ShownVitals,
}

/// The values that three quarters of the page views do not exceed; null without a value.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownVitals {
    /// Largest contentful paint, in milliseconds.
    #[schema(required = true, examples(2104.5))]
    lcp: Option<f64>,
    /// Cumulative layout shift.
    #[schema(required = true, examples(0.08))]
    cls: Option<f64>,
    /// Interaction to next paint, in milliseconds.
    #[schema(required = true, examples(120.0))]
    inp: Option<f64>,
    /// First contentful paint, in milliseconds.
    #[schema(required = true, examples(1300.0))]
    fcp: Option<f64>,
    /// Time to first byte, in milliseconds.
    #[schema(required = true, examples(310.0))]
    ttfb: Option<f64>,
}

impl From<Metrics> for ShownMetrics {
    fn from(metrics: Metrics) -> Self {
        let shown = |vital: Vital| {
            metrics[vital as usize].map(
                |MetricSummary { count, p75, rating, ratings: [good, needs_improvement, poor] }| ShownMetric {
                    p75,
                    rating: rating.as_str(),
                    views: count,
                    good,
                    needs_improvement,
                    poor,
                },
            )
        };
        let [lcp, cls, inp, fcp, ttfb] = Vital::ALL.map(shown);
        Self { lcp, cls, inp, fcp, ttfb }
    }
}

impl From<PageVitals> for SpeedOf {
    fn from(PageVitals { name, views, metrics }: PageVitals) -> Self {
        Self { value: name, views, metrics: metrics.into() }
    }
}

impl From<[Option<f64>; 5]> for ShownVitals {
    fn from([lcp, cls, inp, fcp, ttfb]: [Option<f64>; 5]) -> Self {
        Self { lcp, cls, inp, fcp, ttfb }
    }
}

impl From<Bucketed> for SpeedAt {
    fn from(Bucketed { at, views, p75 }: Bucketed) -> Self {
        Self { at: Instant(at), views, values: p75.into() }
    }
}

impl ShownMetrics {
    /// The columns that [`flat`](Self::flat) fills.
    pub(in crate::http) const COLUMNS: [&'static str; 10] =
        ["lcp", "lcp_rating", "cls", "cls_rating", "inp", "inp_rating", "fcp", "fcp_rating", "ttfb", "ttfb_rating"];

    /// The values and their ratings as members of a row of a file.
    pub(in crate::http) fn flat(&self) -> impl Iterator<Item = (String, Value)> {
        let metrics = [&self.lcp, &self.cls, &self.inp, &self.fcp, &self.ttfb];
        let cells = metrics.map(|metric| metric.as_ref().map(|metric| (metric.p75, metric.rating)));
        let values =
            cells.into_iter().flat_map(|cell| [json!(cell.map(|(p75, _)| p75)), json!(cell.map(|(_, rating)| rating))]);
        Self::COLUMNS.into_iter().map(str::to_owned).zip(values)
    }
}

/// How fast pages are, in a view: with its range, and its filters by page, device, browser, system and country.
pub async fn report(
    reader: Console<ReadAnalytics>,
    state: web::Data<AppState>,
    query: Query<(Limit<20, 1000>, ViewParams)>,
) -> Result<Success<PageSpeed>, ApiError> {
    let question = Question::of(&reader, &state);
    let (limit, params) = query.read(question.now)?;
    let view = question.view(&params).await?;
    let range = ShownRange::of(&view);
    let report = measured(&question, view, limit.0).await?;
    let speed = PageSpeed {
        range,
        views: report.views,
        metrics: report.metrics.into(),
        devices: report.devices.into_iter().map(SpeedOf::from).collect(),
        pages: report.pages.into_iter().map(SpeedOf::from).collect(),
        pages_total: report.pages_total,
        series: report.series.into_iter().map(SpeedAt::from).collect(),
    };
    Ok(Success::new(speed, question.now))
}

/// How fast pages are in a view, with at most so many pages.
///
/// # Errors
/// A 400 for filters that captures do not have, a 503 when it is too much, and when it cannot be read.
pub(in crate::http) async fn measured(question: &Question, view: View, pages: usize) -> Result<VitalsReport, ApiError> {
    let (website, kept) = (question.id(), Kept::of(&view)?);
    let report = off_the_worker(&question.state, move |state| {
        let buckets = buckets(&view);
        kept.with(|filter| state.captures.vitals(website, &VitalsQuery { filter, buckets: &buckets, pages }))
    });
    report.await
}
