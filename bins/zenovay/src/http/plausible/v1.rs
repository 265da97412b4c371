//! Version 1: `GET /api/v1/stats/aggregate`, `timeseries`, `breakdown`, `realtime/visitors`.

use actix_web::web;
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use zenovay_domain::{Interval, TimeRange, Timestamp, Zone};
use zenovay_query::Order;
use zenovay_stats::{
    Ask, Dates, Dialect, Filters, Groups, Metric, Period, Property, PropertyError, parse_date, parse_filters,
};

use super::answer::{Answered, Members, Question, Refused, change, shown, value};
use super::queries::{AggregateQuery, BreakdownQuery, SiteQuery, TimeseriesQuery};
use crate::http::envelope::ApiError;
use crate::http::guard::{AccessRefusal, Authorized, ReadStats};
use crate::http::params::Params;
use crate::http::state::AppState;

type Key = Result<Authorized<ReadStats>, AccessRefusal>;

/// The most days of a range: ten years and their leap days.
const DAYS_MAX: i64 = 3_660;

/// The names of metrics, for the message about an unknown one.
const METRICS: [Metric; 9] = [
    Metric::Visitors,
    Metric::Visits,
    Metric::Pageviews,
    Metric::ViewsPerVisit,
    Metric::BounceRate,
    Metric::VisitDuration,
    Metric::Events,
    Metric::ConversionRate,
    Metric::TimeOnPage,
];

/// What is asked of version 1.
struct Asked {
    question: Question,
    ask: Ask,
    /// The name of the period, and whether `date` is one of several days.
    period: String,
    params: Params,
}

impl Asked {
    async fn read(key: Key, state: web::Data<AppState>, query: &str) -> Result<Self, Refused> {
        let key = key.map_err(ApiError::from)?;
        let params = Params::parse(query);
        params.check()?;
        let question = Question::about(key, state, params.get("site_id")).await?;
        let period = params.get("period").unwrap_or("30d").to_owned();
        let range = range(&params, &period, &question.zone, question.now)?;
        let metrics = metrics(&params)?;
        let filters = match params.get("filters").map(|text| parse_filters(text, Dialect::Plausible)) {
            None => Filters::default(),
            Some(Ok(filters)) => filters,
            Some(Err(problem)) => {
                return Err(Refused::invalid(format!("Error parsing `filters` parameter: {problem}.")));
            }
        };
        Ok(Self { question, ask: Ask::new(range, filters, metrics), period, params })
    }

    /// Refuses metrics that do not go with the filters, and with rows by `property`.
    fn check_metrics(&self, property: Option<(&str, &Property)>) -> Result<(), Refused> {
        let filters = &self.ask.filters;
        let is = |wanted: fn(&Property) -> bool| property.is_some_and(|(_, property)| wanted(property));
        for &metric in &self.ask.metrics {
            let refusal = match metric {
                Metric::ConversionRate if filters.goals.is_none() && !is(|property| *property == Property::Goal) => {
                    "can only be queried in a goal breakdown or with a goal filter".to_owned()
                }
                Metric::TimeOnPage if !filters.names_page && !is(Property::is_page) => {
                    "can only be queried in a page breakdown or with a page filter".to_owned()
                }
                Metric::ViewsPerVisit if property.is_some() => "is not supported in breakdown queries".to_owned(),
                Metric::ViewsPerVisit if filters.names_page => {
                    "cannot be queried when using a filter on `event:page`".to_owned()
                }
                Metric::BounceRate | Metric::VisitDuration => match property {
                    Some((name, property)) if property.is_of_events_only() => {
                        return Err(Refused::invalid(format!(
                            "Session metric `{metric}` cannot be queried for breakdown by `{name}`."
                        )));
                    }
                    _ if filters.names_event => {
                        return Err(Refused::invalid(format!(
                            "Session metric `{metric}` cannot be queried when using a filter on a goal, an event name or a \
                             custom property."
                        )));
                    }
                    _ => continue,
                },
                _ => continue,
            };
            return Err(Refused::invalid(format!("Metric `{metric}` {refusal}.")));
        }
        Ok(())
    }

    fn has(&self, metric: Metric) -> bool {
        self.ask.metrics.contains(&metric)
    }
}

fn metrics(params: &Params) -> Result<Vec<Metric>, Refused> {
    let mut metrics = Vec::new();
    for name in params.get("metrics").unwrap_or("visitors").split(',').map(str::trim) {
        let known = name.parse().ok().filter(|metric| METRICS.contains(metric));
        let Some(metric) = known else {
            let name: String = name.chars().take(60).collect();
            let known: Vec<&str> = METRICS.iter().map(|metric| metric.as_str()).collect();
            let error =
                format!("The metric `{name}` is not recognized. Find valid metrics here: {}.", known.join(", "));
            return Err(Refused::invalid(error));
        };
        if metrics.contains(&metric) {
            return Err(Refused::invalid("Metrics cannot be queried multiple times."));
        }
        metrics.push(metric);
    }
    Ok(metrics)
}

fn range(params: &Params, period: &str, zone: &Zone, now: Timestamp) -> Result<TimeRange, Refused> {
    let short: String = period.chars().take(60).collect();
    let invalid_date = |text: &str| {
        let text: String = text.chars().take(60).collect();
        let error = format!(
            "Error parsing `date` parameter: invalid date `{text}`. Please specify a valid date in ISO-8601 format."
        );
        Refused::invalid(error)
    };
    let date = params.get("date");
    if period == "custom" {
        let text = date.unwrap_or("");
        let found = text.split_once(',').map(|(first, last)| (parse_date(first.trim()), parse_date(last.trim())));
        let Some((Some(first), Some(last))) = found else { return Err(invalid_date(text)) };
        let dates = Dates { first, last };
        if dates.first > dates.last || dates.count() > DAYS_MAX {
            return Err(invalid_date(text));
        }
        return Ok(dates.range(zone));
    }
    let known = Period::parse(period).ok_or_else(|| {
        let names: Vec<&str> = Period::NAMES.iter().map(|(name, _)| *name).collect();
        let error = format!(
            "Error parsing `period` parameter: invalid period `{short}`. Please use {} or custom.",
            names.join(", ")
        );
        Refused::invalid(error)
    })?;
    let dates = match date {
        None => known.dates_at(now, zone),
        Some(text) => parse_date(text).and_then(|day| known.dates(day)),
    };
    Ok(dates.ok_or_else(|| invalid_date(date.unwrap_or("")))?.range(zone))
}

/// The totals of a period.
#[derive(Debug, Serialize, ToSchema)]
pub struct AggregateV1 {
    /// The value of each metric, and its change where that was asked for.
    #[schema(value_type = Object)]
    results: Members,
}

/// `GET /api/v1/stats/aggregate`
pub async fn aggregate(key: Key, state: web::Data<AppState>, query: AggregateQuery) -> Answered<AggregateV1> {
    totals(key, state, &query.0).await.into()
}

async fn totals(key: Key, state: web::Data<AppState>, query: &str) -> Result<AggregateV1, Refused> {
    let asked = Asked::read(key, state, query).await?;
    asked.check_metrics(None)?;
    let earlier = match asked.params.get("compare") {
        None => None,
        Some("previous_period") => Some(asked.question.zone.period_before(asked.ask.range)),
        Some(_) => return Err(Refused::invalid("Error parsing `compare` parameter: use `previous_period`.")),
    };
    let (id, ask) = (asked.question.website.id, asked.ask.clone());
    let totals = asked.question.run(move |asker| {
        let current = ask.aggregate(|query| asker.any(id, query))?;
        let earlier = match earlier {
            Some(range) => Some(ask.in_range(range).aggregate(|query| asker.any(id, query))?),
            None => None,
        };
        Ok((current, earlier))
    });
    let (current, earlier) = totals.await?;
    let result = |&metric: &Metric| {
        let now = value(&current, metric);
        let mut members = vec![("value".to_owned(), now.clone())];
        if let Some(earlier) = &earlier {
            members.push(("change".to_owned(), change(&now, &value(earlier, metric), metric)));
        }
        (metric.as_str().to_owned(), members.into_iter().collect::<serde_json::Map<_, _>>().into())
    };
    Ok(AggregateV1 { results: Members(asked.ask.metrics.iter().map(result).collect()) })
}

/// A list of rows.
#[derive(Debug, Serialize)]
pub struct RowsV1 {
    results: Vec<Members>,
}

impl PartialSchema for RowsV1 {
    fn schema() -> RefOr<Schema> {
        let row = ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("The date, or the value of the property, and the metrics"));
        let rows = utoipa::openapi::schema::ArrayBuilder::new().items(row);
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .property("results", rows)
            .required("results")
            .examples([serde_json::json!({ "results": [{ "date": "2026-06-13", "visitors": 48 }] })])
            .into()
    }
}

impl ToSchema for RowsV1 {}

/// `GET /api/v1/stats/timeseries`
pub async fn timeseries(key: Key, state: web::Data<AppState>, query: TimeseriesQuery) -> Answered<RowsV1> {
    series(key, state, &query.0).await.into()
}

async fn series(key: Key, state: web::Data<AppState>, query: &str) -> Result<RowsV1, Refused> {
    let asked = Asked::read(key, state, query).await?;
    asked.check_metrics(None)?;
    if asked.has(Metric::TimeOnPage) {
        return Err(Refused::invalid("Metric `time_on_page` cannot be queried in a timeseries."));
    }
    let interval = match (asked.params.get("interval"), asked.period.as_str()) {
        (Some("hour"), _) | (None, "day") => Interval::Hour,
        (Some("month"), _) | (None, "6mo" | "12mo" | "year") => Interval::Month,
        (Some("week"), _) => Interval::Week,
        (None | Some("date" | "day"), _) => Interval::Day,
        (Some(other), _) => {
            let other: String = other.chars().take(60).collect();
            let error = format!(
                "Error parsing `interval` parameter: invalid interval `{other}`. Valid intervals are `day`, `month`."
            );
            return Err(Refused::invalid(error));
        }
    };
    if interval == Interval::Hour && asked.ask.range.duration_ms() > 92 * 86_400_000 {
        return Err(Refused::invalid("Error parsing `interval` parameter: hours are for at most three months."));
    }
    let (id, ask, zone) = (asked.question.website.id, asked.ask.clone(), asked.question.zone.clone());
    let buckets =
        asked.question.run(move |asker| ask.timeseries(interval, &zone, |query| asker.any(id, query))).await?;
    let zone = &asked.question.zone;
    let row = |bucket: &zenovay_stats::Bucket| {
        let from = bucket.bucket.from;
        let date = if interval == Interval::Hour { zone.format_date_time(from) } else { zone.format_date(from) };
        let metrics =
            asked.ask.metrics.iter().map(|&metric| (metric.as_str().to_owned(), value(&bucket.totals, metric)));
        Members(std::iter::once(("date".to_owned(), Value::from(date))).chain(metrics).collect())
    };
    Ok(RowsV1 { results: buckets.iter().map(row).collect() })
}

/// `GET /api/v1/stats/breakdown`
pub async fn breakdown(key: Key, state: web::Data<AppState>, query: BreakdownQuery) -> Answered<RowsV1> {
    rows(key, state, &query.0).await.into()
}

async fn rows(key: Key, state: web::Data<AppState>, query: &str) -> Result<RowsV1, Refused> {
    let asked = Asked::read(key, state, query).await?;
    let Some(name) = asked.params.get("property").filter(|name| !name.is_empty()) else {
        let error =
            "The `property` parameter is required. Please provide at least one property to show a breakdown by.";
        return Err(Refused::invalid(error));
    };
    let property = Property::parse(name, false).map_err(|error| {
        let name: String = name.chars().take(60).collect();
        let names: Vec<&str> = Property::names().collect();
        Refused::invalid(match error {
            PropertyError::Unknown => {
                format!("Invalid property '{name}'. Please provide a valid property: {}.", names.join(", "))
            }
            _ => format!("Property '{name}' {error}."),
        })
    })?;
    asked.check_metrics(Some((name, &property)))?;
    let whole = |name: &str, default: usize| {
        let text = asked.params.get(name);
        let number = text.map_or(Some(default), |text| {
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
        });
        number.filter(|number| *number > 0)
    };
    let limit = whole("limit", 100)
        .filter(|limit| *limit <= 1_000)
        .ok_or_else(|| Refused::invalid("Please provide limit as a number between 1 and 1000."))?;
    let page = whole("page", 1).ok_or_else(|| Refused::invalid("Please provide page as a positive number."))?;
    let order = asked.ask.metrics.first().and_then(|metric| metric.order()).unwrap_or(Order::Visitors);
    let mut groups = Groups::by(property.clone()).order(order).limit(limit).offset((page - 1).saturating_mul(limit));
    groups.leaves_out_empty |= property.is_place();
    let (id, ask) = (asked.question.website.id, asked.ask.clone());
    let found = asked.question.run(move |asker| ask.breakdown(&groups, |query| asker.any(id, query))).await?;
    let key = Property::keys_of(&[name]).concat();
    let row = |row: &zenovay_stats::Group| {
        let metrics = asked.ask.metrics.iter().map(|&metric| (metric.as_str().to_owned(), value(&row.totals, metric)));
        let named = (key.clone(), Value::from(shown(&property, &row.value)));
        Members(std::iter::once(named).chain(metrics).collect())
    };
    Ok(RowsV1 { results: found.rows.iter().map(row).collect() })
}

/// Visitors with activity in the last five minutes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(examples(21))]
pub struct LiveVisitors(u64);

/// `GET /api/v1/stats/realtime/visitors`: visitors with activity in the last five minutes, as a bare number.
pub async fn realtime(key: Key, state: web::Data<AppState>, query: SiteQuery) -> Answered<LiveVisitors> {
    live(key, state, &query.0).await.map(LiveVisitors).into()
}

async fn live(key: Key, state: web::Data<AppState>, query: &str) -> Result<u64, Refused> {
    let params = Params::parse(query);
    let key = key.map_err(ApiError::from)?;
    params.check()?;
    let question = Question::about(key, state, params.get("site_id")).await?;
    let (id, now) = (question.website.id, question.now);
    question.run(move |asker| asker.live(id, now)).await
}
