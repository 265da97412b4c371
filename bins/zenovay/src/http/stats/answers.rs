//! What the Stats API answers.

use actix_web::body::BoxBody;
use actix_web::http::header::LINK;
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};
use zenovay_domain::{TimeRange, Timestamp, Zone};
use zenovay_query::Compared;
use zenovay_stats::{Metric, Number, Totals, country_name};

use super::explain::Explanation;
use crate::http::document::{Answer, Operation};
use crate::http::external::analytics::WebsiteName;
use crate::http::handler::Reply;
use crate::http::values::{Instant, rounded, seconds};

/// A number, or null when it is of nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Rate(pub Option<f64>);

impl PartialSchema for Rate {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::Number, Type::Null]))
            .description(Some("A number; null when it is of nothing"))
            .examples([json!(0.4132)])
            .into()
    }
}

impl ToSchema for Rate {}

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(examples(1204))]
pub struct Count(u64);

/// A count of an answer, or a rate.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shown {
    Count(u64),
    Rate(Option<f64>),
}

/// A metric in the units of this API: rates from 0 to 1, times in seconds.
fn shown(totals: &Totals, metric: Metric) -> Shown {
    match (metric, totals.number(metric)) {
        (_, Number::Count(count)) => Shown::Count(count),
        (_, Number::Rate(rate)) => Shown::Rate(rounded(rate, 4)),
        (Metric::VisitDuration | Metric::TimeOnPage, Number::Mean(millis)) => Shown::Rate(seconds(millis)),
        (_, Number::Mean(mean)) => Shown::Rate(rounded(mean, 2)),
        _ => Shown::Rate(None),
    }
}

/// The change of a metric as a fraction of the earlier value; nothing where that is 0 or nothing.
fn change(current: &Totals, earlier: &Totals, metric: Metric) -> Option<f64> {
    let exact = |totals: &Totals| match totals.number(metric) {
        Number::Count(count) => Some(count as f64),
        Number::Rate(value) | Number::Mean(value) => value,
        _ => None,
    };
    let (current, earlier) = (exact(current)?, exact(earlier)?);
    rounded((earlier != 0.0).then(|| (current - earlier) / earlier), 4)
}

macro_rules! metrics {
    ($($(#[$meta:meta])* $field:ident: $metric:ident $value:ident $total:ident $pick:ident,)*) => {
        /// The metrics that were asked for.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
        pub struct Metrics {
            $($(#[$meta])* #[serde(skip_serializing_if = "Option::is_none")] $field: Option<$value>,)*
        }

        impl Metrics {
            /// Those of `wanted`.
            pub fn of(totals: &Totals, wanted: &[Metric]) -> Self {
                let mut metrics = Self::default();
                for &metric in wanted {
                    match (metric, shown(totals, metric)) {
                        $((Metric::$metric, shown) => metrics.$field = $pick(shown),)*
                        _ => {}
                    }
                }
                metrics
            }
        }

        /// How the metrics that were asked for changed: 0.5 is half as much again, -1 is nothing left; null where nothing was.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
        pub struct Changes {
            $(#[serde(skip_serializing_if = "Option::is_none")] $field: Option<Rate>,)*
        }

        impl Changes {
            /// Those of `wanted`.
            pub fn of(compared: &Compared<Totals>, wanted: &[Metric]) -> Self {
                let mut changes = Self::default();
                for &metric in wanted {
                    let change = Some(Rate(change(&compared.current, &compared.earlier, metric)));
                    match metric {
                        $(Metric::$metric => changes.$field = change,)*
                        _ => {}
                    }
                }
                changes
            }
        }

        /// The totals that were asked for.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
        pub struct AggregateResults {
            $($(#[$meta])* #[serde(skip_serializing_if = "Option::is_none")] $field: Option<$total>,)*
        }

        impl AggregateResults {
            /// Those of `wanted`, with those of an earlier range if there is one.
            pub fn of(current: &Totals, earlier: Option<&Totals>, wanted: &[Metric]) -> Self {
                let mut results = Self::default();
                for &metric in wanted {
                    let before = earlier.map(|earlier| shown(earlier, metric));
                    let change = earlier.map(|earlier| Rate(change(current, earlier, metric)));
                    match (metric, shown(current, metric)) {
                        $((Metric::$metric, shown) => results.$field = $pick(shown).map(|value| {
                            $total { value, comparison_value: before.and_then($pick), change }
                        }),)*
                        _ => {}
                    }
                }
                results
            }
        }
    };
}

fn count(shown: Shown) -> Option<Count> {
    match shown {
        Shown::Count(count) => Some(Count(count)),
        Shown::Rate(_) => None,
    }
}

fn rate(shown: Shown) -> Option<Rate> {
    match shown {
        Shown::Rate(rate) => Some(Rate(rate)),
        Shown::Count(_) => None,
    }
}

/// A total that is a count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct CountTotal {
    /// So many.
    value: Count,
    /// So many in the range that it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison_value: Option<Count>,
    /// How much more, as a fraction of `comparison_value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<Rate>,
}

/// A total that is a rate or a mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct RateTotal {
    /// Its value.
    value: Rate,
    /// Its value in the range that it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison_value: Option<Rate>,
    /// How much more, as a fraction of `comparison_value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<Rate>,
}

metrics! {
    /// Distinct visitors.
    visitors: Visitors Count CountTotal count,
    /// Visitors whose first event of all that are kept is in the range.
    new_visitors: NewVisitors Count CountTotal count,
    /// Visits: sessions with a counted event.
    visits: Visits Count CountTotal count,
    /// Pageviews.
    pageviews: Pageviews Count CountTotal count,
    /// Events of every kind but heartbeats.
    events: Events Count CountTotal count,
    /// Pageviews a visit.
    views_per_visit: ViewsPerVisit Rate RateTotal rate,
    /// Visits that bounced, 0 to 1.
    bounce_rate: BounceRate Rate RateTotal rate,
    /// Mean length of a visit, seconds.
    visit_duration: VisitDuration Rate RateTotal rate,
    /// Mean value score of the visits, 0 to 100.
    value_score: ValueScore Rate RateTotal rate,
    /// Mean time on page, seconds.
    time_on_page: TimeOnPage Rate RateTotal rate,
    /// Visits with a conversion, 0 to 1.
    conversion_rate: ConversionRate Rate RateTotal rate,
    /// Visitors of the row, 0 to 1 of those of all rows.
    percentage: Percentage Rate RateTotal rate,
}

/// The instants of an answer: both ends are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct AnsweredRange {
    /// The first instant.
    from: Instant,
    /// The last instant.
    to: Instant,
}

impl From<TimeRange> for AnsweredRange {
    fn from(range: TimeRange) -> Self {
        Self { from: Instant(range.from), to: Instant(range.to.plus_millis(-1).max(range.from)) }
    }
}

/// What every answer begins with.
#[derive(Debug, Serialize, ToSchema)]
pub struct About {
    /// The website.
    pub website: WebsiteName,
    /// What was counted.
    pub range: AnsweredRange,
    /// What it was compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison_range: Option<AnsweredRange>,
    /// The zone in which days were cut.
    #[schema(examples("UTC"))]
    pub timezone: String,
}

/// Totals.
#[derive(Debug, Serialize, ToSchema)]
pub struct Aggregate {
    /// What it is about.
    #[serde(flatten)]
    pub about: About,
    /// The totals by metric.
    pub results: AggregateResults,
    /// How the answer came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explanation>,
}

/// A series.
#[derive(Debug, Serialize, ToSchema)]
pub struct Timeseries {
    /// What it is about.
    #[serde(flatten)]
    pub about: About,
    /// The width of the buckets.
    #[schema(examples("day"))]
    pub interval: &'static str,
    /// One for each bucket, the oldest first, also for those without events.
    pub results: Vec<Point>,
    /// How the answer came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explanation>,
}

/// A bucket of a series. At the ends of the range only the part inside it was counted.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Point {
    /// The day on which it begins in the zone, of hours with the time.
    #[schema(examples("2026-06-13"))]
    pub date: String,
    /// Its first instant.
    pub from: Instant,
    /// Its metrics.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Those of the bucket that it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Metrics>,
    /// How much more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Changes>,
}

/// The rows of a breakdown.
#[derive(Debug, Serialize, ToSchema)]
pub struct Breakdown {
    /// What it is about.
    #[serde(flatten)]
    pub about: About,
    /// The rows of the page.
    pub results: Vec<Row>,
    /// Which rows these are.
    pub pagination: RowsPage,
    /// How the answer came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explanation>,
}

/// Which rows of a breakdown an answer has.
#[derive(Debug, Serialize, ToSchema)]
pub struct RowsPage {
    /// How many rows at most.
    #[schema(examples(100))]
    pub limit: usize,
    /// How many rows there are in all.
    #[schema(examples(31))]
    pub total_rows: usize,
    /// Whether there are more after these.
    pub has_more: bool,
    /// What to give as `cursor` for the next page; null on the last one.
    #[schema(required = true, examples("WzEyMzQ1Niw0XQ"))]
    pub next_cursor: Option<String>,
}

/// A row: its values by the names of the properties, its metrics, the title of a page, and what it is compared with.
#[derive(Debug, Clone)]
pub struct Row {
    /// Names and values of the properties; nothing where a value is missing.
    pub values: Vec<(String, Option<String>)>,
    /// The title seen last with a page.
    pub title: Option<String>,
    /// Its metrics.
    pub metrics: Metrics,
    /// Those of the same values in the range that it is compared with, and how much more.
    pub comparison: Option<(Metrics, Changes)>,
}

impl Row {
    fn members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        for (name, value) in &self.values {
            members.insert(name.clone(), json!(value));
        }
        if let Some(title) = &self.title {
            members.entry("title").or_insert_with(|| json!(title));
        }
        extend(&mut members, "", &self.metrics);
        members
    }

    /// As one flat object, for files.
    pub fn flat(&self) -> Value {
        let mut members = self.members();
        if let Some((metrics, changes)) = &self.comparison {
            extend(&mut members, "comparison_", metrics);
            extend(&mut members, "change_", changes);
        }
        Value::Object(members)
    }
}

/// Adds the members of `value`, each with `prefix` before its name.
fn extend(members: &mut Map<String, Value>, prefix: &str, value: &impl Serialize) {
    if let Ok(Value::Object(more)) = serde_json::to_value(value) {
        members.extend(more.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)));
    }
}

impl Point {
    /// As one flat object, for files.
    pub fn flat(&self) -> Value {
        let mut members = Map::new();
        members.insert("date".to_owned(), json!(self.date));
        members.insert("from".to_owned(), json!(self.from));
        extend(&mut members, "", &self.metrics);
        if let (Some(metrics), Some(changes)) = (&self.comparison, &self.change) {
            extend(&mut members, "comparison_", metrics);
            extend(&mut members, "change_", changes);
        }
        Value::Object(members)
    }
}

/// The columns of a file with these metrics, after those that tell what the rows are of.
pub fn metric_columns(wanted: &[Metric], is_compared: bool) -> impl Iterator<Item = String> {
    let prefixes: &[&str] = if is_compared { &["", "comparison_", "change_"] } else { &[""] };
    prefixes.iter().flat_map(move |prefix| wanted.iter().map(move |metric| format!("{prefix}{metric}")))
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = self.members();
        if let Some((metrics, changes)) = &self.comparison {
            members.insert("comparison".to_owned(), json!(metrics));
            members.insert("change".to_owned(), json!(changes));
        }
        members.serialize(serializer)
    }
}

impl PartialSchema for Row {
    fn schema() -> RefOr<Schema> {
        let value = ObjectBuilder::new().schema_type(SchemaType::from_iter([
            Type::String,
            Type::Number,
            Type::Object,
            Type::Null,
        ]));
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some(
                "The value of each property by the last part of its name, null where it is missing; then the metrics, and what \
                 they are compared with.",
            ))
            .additional_properties(Some(value))
            .examples([json!({ "country": "DE", "visitors": 420, "bounce_rate": 0.4132 })])
            .into()
    }
}

impl ToSchema for Row {}

/// The name of a value as it is shown: of countries by name their name.
pub fn shown_value(property: &zenovay_stats::Property, value: &str) -> Option<String> {
    match value {
        "" => None,
        code if *property == zenovay_stats::Property::CountryName => Some(country_name(code).to_owned()),
        value => Some(value.to_owned()),
    }
}

/// The name of a bucket that begins at `at`.
pub fn bucket_date(zone: &Zone, at: Timestamp, interval: zenovay_domain::Interval) -> String {
    match interval {
        zenovay_domain::Interval::Hour => zone.format_date_time(at),
        _ => zone.format_date(at),
    }
}

/// An answer in the envelope, whose `results` stand beside it, too: scripts made for Plausible look for them there (SPEC B4).
#[derive(Debug)]
pub struct WithResults<T> {
    data: T,
    now: Timestamp,
    link: Option<&'static str>,
}

impl<T> WithResults<T> {
    /// `data`, answered at `now`.
    pub fn new(data: T, now: Timestamp) -> Self {
        Self { data, now, link: None }
    }

    /// The same with a header `Link`.
    #[must_use]
    pub fn with_link(self, link: Option<&'static str>) -> Self {
        Self { link, ..self }
    }
}

/// What has results.
pub trait HasResults {
    /// What they are.
    type Results: Serialize;

    /// They.
    fn results(&self) -> &Self::Results;

    /// Their schema.
    fn schema(operation: &mut Operation) -> Value;
}

/// Says of answers what their results are.
macro_rules! has_results {
    ($($answer:ty => $results:ty, $schema:expr;)*) => { $(
        impl HasResults for $answer {
            type Results = $results;

            fn results(&self) -> &$results {
                &self.results
            }

            fn schema(operation: &mut Operation) -> Value {
                $schema(operation)
            }
        }
    )* };
}

pub(super) use has_results;

pub(super) fn list_of<T: ToSchema>(operation: &mut Operation) -> Value {
    json!({ "type": "array", "items": operation.schema::<T>() })
}

has_results! {
    Aggregate => AggregateResults, Operation::schema::<AggregateResults>;
    Timeseries => Vec<Point>, list_of::<Point>;
    Breakdown => Vec<Row>, list_of::<Row>;
}

impl<T: Serialize + HasResults> Serialize for WithResults<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut envelope = serializer.serialize_struct("WithResults", 4)?;
        envelope.serialize_field("success", &true)?;
        envelope.serialize_field("data", &self.data)?;
        envelope.serialize_field("results", self.data.results())?;
        envelope.serialize_field("timestamp", &Instant(self.now))?;
        envelope.end()
    }
}

impl<T: Serialize + HasResults> Responder for WithResults<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        if let Some(link) = self.link {
            response.insert_header((LINK, link));
        }
        response.json(self)
    }
}

impl<T: Serialize + HasResults + ToSchema + 'static> Reply for WithResults<T> {
    fn describe(operation: &mut Operation) {
        let data = operation.schema::<T>();
        let instant = operation.schema::<Instant>();
        let results = <T as HasResults>::schema(operation);
        let schema = json!({
            "type": "object",
            "required": ["success", "data", "results", "timestamp"],
            "properties": {
                "success": { "type": "boolean", "const": true },
                "data": data,
                "results": results,
                "timestamp": instant,
            },
        });
        operation.answer(200, Answer::new("The numbers.").content("application/json", schema));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenovay_query::MetricValues;

    fn totals(visitors: u64, sessions: u64, bounces: u64) -> Totals {
        let mut metrics = MetricValues::default();
        (metrics.visitors, metrics.sessions, metrics.bounces, metrics.duration_ms) =
            (visitors, sessions, bounces, 12_345);
        let mut totals = Totals::default();
        (totals.metrics, totals.visits) = (metrics, sessions);
        totals
    }

    #[test]
    fn every_metric_has_its_member() {
        let of = |totals: &Totals| serde_json::to_value(Metrics::of(totals, Metric::ALL)).unwrap();
        let names: Vec<String> = of(&totals(1, 2, 1)).as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, Metric::ALL.iter().map(|metric| metric.as_str().to_owned()).collect::<Vec<_>>());
        let some = of(&totals(3, 4, 1));
        assert_eq!((&some["bounce_rate"], &some["visit_duration"]), (&json!(0.25), &json!(3.086)));
        assert_eq!(of(&Totals::default())["bounce_rate"], Value::Null);
    }

    #[test]
    fn totals_say_how_much_more() {
        let results =
            AggregateResults::of(&totals(3, 4, 1), Some(&totals(2, 4, 0)), &[Metric::Visitors, Metric::BounceRate]);
        let expected = json!({
            "visitors": { "value": 3, "comparison_value": 2, "change": 0.5 },
            "bounce_rate": { "value": 0.25, "comparison_value": 0.0, "change": null },
        });
        assert_eq!(serde_json::to_value(results).unwrap(), expected);
    }
}
