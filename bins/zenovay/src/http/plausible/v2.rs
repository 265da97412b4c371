//! Version 2: `POST /api/v2/query`.

use std::cmp::Ordering;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{Error, FromRequest, HttpRequest, web};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use zenovay_domain::{ErrorCode, Interval, TimeRange, Zone};
use zenovay_ingest::decode_body;
use zenovay_query::{Answer as Computed, Comparison, Order, Query, QueryError, Question as Computing};
use zenovay_stats::{Ask, Group, Groups, Metric, Property, Totals};

use super::answer::{Answered, Question, Refused, change, shown, value};
use super::v2_question::{Dimension, QuestionV2, SortBy, Wanted, site_of};
use crate::http::body;
use crate::http::document::Operation;
use crate::http::envelope::ApiError;
use crate::http::guard::{AccessRefusal, Authorized, ReadStats};
use crate::http::handler::Argument;
use crate::http::json_value::UniqueMembers;
use crate::http::state::AppState;

/// The longest body, also when it is unpacked.
const BODY_MAX_BYTES: usize = 65_536;
/// The most rows that are sorted by something that the store does not sort by.
const SORTED_MAX: usize = 100_000;
/// The most buckets of rows by time and a property.
const BUCKETS_MAX: usize = 400;

/// The body of a question.
pub struct QueryBody {
    req: HttpRequest,
    payload: web::Payload,
}

impl std::fmt::Debug for QueryBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("QueryBody")
    }
}

impl FromRequest for QueryBody {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let payload = web::Payload::from_request(req, payload).into_inner();
        ready(payload.map(|payload| Self { req: req.clone(), payload }))
    }
}

impl Argument for QueryBody {
    fn describe(operation: &mut Operation) {
        let example = json!({
            "site_id": "example.com", "metrics": ["visitors", "bounce_rate"], "date_range": "7d",
            "dimensions": ["visit:country"], "filters": [["is", "visit:device", ["Mobile"]]],
        });
        let schema = json!({
            "type": "object",
            "required": ["site_id", "metrics", "date_range"],
            "additionalProperties": false,
            "properties": {
                "site_id": { "type": "string", "description": "The domain of the website, or its id." },
                "metrics": { "type": "array", "minItems": 1, "uniqueItems": true, "items": { "type": "string" } },
                "date_range": { "type": ["string", "array"], "items": { "type": "string" } },
                "dimensions": { "type": "array", "uniqueItems": true, "items": { "type": "string" } },
                "filters": { "type": ["array", "null"], "items": {} },
                "order_by": { "type": "array", "items": { "type": "array", "items": { "type": "string" } } },
                "include": { "type": "object" },
                "pagination": {
                    "type": "object",
                    "properties": {
                        "limit": { "type": "integer", "minimum": 1, "maximum": 10_000 },
                        "offset": { "type": "integer", "minimum": 0 },
                    },
                },
            },
            "examples": [example],
        });
        operation.body.insert("application/json", schema);
        operation.refuses([ErrorCode::PayloadTooLarge, ErrorCode::UnsupportedMediaType]);
    }
}

impl QueryBody {
    async fn read(self, state: &AppState) -> Result<Map<String, Value>, Refused> {
        let read = state.bodies.read_hit(&self.req, self.payload, BODY_MAX_BYTES, state.body_timeout).await;
        let read = read.map_err(ApiError::from)?;
        let encoding = body::encoding(self.req.headers());
        let bytes = decode_body(encoding, &read.bytes, BODY_MAX_BYTES).map_err(ApiError::from)?;
        match serde_json::from_slice(&bytes) {
            Ok(UniqueMembers(Value::Object(body))) => Ok(body),
            Ok(_) => Err(Refused::invalid("#: Type mismatch. Expected Object.")),
            Err(error) => Err(Refused::invalid(format!("The body is not valid JSON: {error}."))),
        }
    }
}

/// The rows, and what was asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct Results {
    /// The rows.
    results: Vec<ResultRow>,
    /// What else was asked for.
    #[schema(value_type = Object)]
    meta: Map<String, Value>,
    /// The question, with the range as two instants.
    #[schema(value_type = Object)]
    query: Value,
}

/// A row.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ResultRow {
    /// The metrics in the order in which they were asked for.
    #[schema(value_type = Vec<Option<f64>>, examples(420))]
    metrics: Vec<Value>,
    /// The values of the dimensions in the order in which they were asked for.
    #[schema(examples("DE"))]
    dimensions: Vec<String>,
    /// The same of the range that it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<ComparedRow>,
}

/// What a row is compared with.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ComparedRow {
    /// The metrics.
    #[schema(value_type = Vec<Option<f64>>, examples(420))]
    metrics: Vec<Value>,
    /// The values of the dimensions.
    #[schema(examples("DE"))]
    dimensions: Vec<String>,
    /// How much more, in percent.
    #[schema(value_type = Vec<Option<f64>>, examples(420))]
    change: Vec<Value>,
}

/// `POST /api/v2/query`
pub async fn query(
    key: Result<Authorized<ReadStats>, AccessRefusal>,
    state: web::Data<AppState>,
    body: QueryBody,
) -> Answered<Results> {
    answer(key, state, body).await.into()
}

async fn answer(
    key: Result<Authorized<ReadStats>, AccessRefusal>,
    state: web::Data<AppState>,
    body: QueryBody,
) -> Result<Results, Refused> {
    let key = key.map_err(ApiError::from)?;
    let body = body.read(&state).await?;
    let question = Question::about(key, state, site_of(&body)).await?;
    let (zone, id) = (question.zone.clone(), question.website.id);
    let asked = QuestionV2::read(&body, &zone, question.now).map_err(Refused::invalid)?;
    let computing = Computation { asked: asked.clone(), zone: zone.clone() };
    let computed = question.run(move |asker| computing.run(|query| asker.any(id, query))).await?;
    let Some(Rows { rows, total_rows }) = computed else {
        return Err(Refused::invalid(
            "There are too many rows to sort them like this: ask for less, or sort by visitors, visits, pageviews or events.",
        ));
    };
    let mut meta = Map::new();
    if asked.include.imports {
        meta.insert("imports_included".to_owned(), json!(false));
        meta.insert("imports_skip_reason".to_owned(), json!("no_imported_data"));
    }
    if let (true, Some((_, interval))) = (asked.include.time_labels, asked.time()) {
        let buckets = zone.buckets(asked.range, interval, usize::MAX);
        let labels: Vec<String> = buckets.iter().map(|bucket| label(&zone, *bucket, asked.range, interval)).collect();
        meta.insert("time_labels".to_owned(), json!(labels));
    }
    if asked.include.total_rows {
        meta.insert("total_rows".to_owned(), json!(total_rows));
    }
    Ok(Results { results: rows, meta, query: echo(&body, &asked, &zone) })
}

/// The question as it was understood.
fn echo(body: &Map<String, Value>, asked: &QuestionV2, zone: &Zone) -> Value {
    let member = |name: &str, default: Value| body.get(name).cloned().unwrap_or(default);
    let last = asked.range.to.plus_millis(-1);
    let default_order: Vec<Value> = match (asked.time(), asked.metrics.first()) {
        (Some((position, _)), _) => vec![json!([body["dimensions"][position], "asc"])],
        (None, Some(metric)) => vec![json!([metric.name(), "desc"])],
        (None, None) => Vec::new(),
    };
    json!({
        "site_id": member("site_id", Value::Null),
        "metrics": member("metrics", json!([])),
        "date_range": [zone.format_with_offset(asked.range.from), zone.format_with_offset(last)],
        "filters": member("filters", json!([])),
        "dimensions": member("dimensions", json!([])),
        "order_by": member("order_by", json!(default_order)),
        "include": member("include", json!({})),
        "pagination": { "limit": asked.limit, "offset": asked.offset },
    })
}

/// The name of a bucket: of hours with the time. A week that begins before the range is named by the first day of the range.
fn label(zone: &Zone, bucket: TimeRange, range: TimeRange, interval: Interval) -> String {
    match interval {
        Interval::Hour => zone.format_date_time(bucket.from),
        Interval::Week => zone.format_date(bucket.from.max(range.from)),
        _ => zone.format_date(bucket.from),
    }
}

struct Rows {
    rows: Vec<ResultRow>,
    total_rows: usize,
}

/// A row with what it is sorted by.
struct Found {
    dimensions: Vec<String>,
    /// Values as they are stored, for finding the same row elsewhere.
    key: (String, Option<String>),
    bucket: usize,
    totals: Totals,
    /// The visits that all conversions are a part of, where these are not those of the row.
    all_visits: Option<u64>,
}

struct Computation {
    asked: QuestionV2,
    zone: Zone,
}

type Asked<T> = Result<T, QueryError>;

impl Computation {
    /// Nothing when there are more rows than can be sorted as asked.
    fn run(&self, mut ask: impl FnMut(&Query) -> Asked<Computed>) -> Asked<Option<Rows>> {
        let asked = &self.asked;
        let Some((mut found, total_rows, is_cut)) = self.rows_of(asked.range, None, &mut ask)? else { return Ok(None) };
        let mut values: Vec<Vec<Value>> = found.iter().map(|row| self.values(&row.totals, row.all_visits)).collect();
        if !is_cut {
            let mut order: Vec<usize> = (0..found.len()).collect();
            order.sort_by(|&a, &b| self.compare((&found[a], &values[a]), (&found[b], &values[b])));
            order = order.into_iter().skip(asked.offset).take(asked.limit).collect();
            values = order.iter().map(|&position| values[position].clone()).collect();
            let mut kept: Vec<Option<Found>> = found.into_iter().map(Some).collect();
            found = order.iter().filter_map(|&position| kept[position].take()).collect();
        }
        let comparisons = self.comparisons(&found, &values, &mut ask)?;
        let rows = found.into_iter().zip(values).zip(comparisons);
        let row = |((found, metrics), comparison): ((Found, Vec<Value>), Option<ComparedRow>)| ResultRow {
            metrics,
            dimensions: found.dimensions,
            comparison,
        };
        Ok(Some(Rows { rows: rows.map(row).collect(), total_rows }))
    }

    fn ask_in(&self, range: TimeRange) -> Ask {
        let metrics: Vec<Metric> = self.asked.metrics.iter().map(|wanted| wanted.metric()).collect();
        Ask::new(range, self.asked.filters.clone(), metrics)
    }

    fn values(&self, totals: &Totals, all_visits: Option<u64>) -> Vec<Value> {
        let mut of_all = *totals;
        of_all.visits = all_visits.unwrap_or(totals.visits);
        let value_of = |wanted: &Wanted| match wanted {
            Wanted::Metric(metric) => value(&of_all, *metric),
            Wanted::GroupConversionRate => value(totals, Metric::ConversionRate),
        };
        self.asked.metrics.iter().map(value_of).collect()
    }

    /// Whether the store itself sorts and cuts the rows as asked.
    fn native_order(&self) -> Option<Order> {
        let asked = &self.asked;
        if asked.time().is_some() {
            return None;
        }
        let first = match asked.order_by[..] {
            [] => 0,
            [(SortBy::Metric(position), false)] => position,
            _ => return None,
        };
        match asked.metrics.get(first)? {
            Wanted::Metric(metric) => metric.order(),
            Wanted::GroupConversionRate => None,
        }
    }

    /// The rows of a range, how many there are, and whether they are sorted and cut already.
    fn rows_of(
        &self,
        range: TimeRange,
        values: Option<Vec<(String, Option<String>)>>,
        ask: &mut impl FnMut(&Query) -> Asked<Computed>,
    ) -> Asked<Option<(Vec<Found>, usize, bool)>> {
        let asked = &self.asked;
        let properties: Vec<Property> = asked.properties().map(|(_, property)| property.clone()).collect();
        let Some((property, rest)) = properties.split_first() else {
            return self.rows_without_properties(range, ask).map(Some);
        };
        let mut groups = Groups::by(property.clone()).and(rest.first().cloned());
        groups.values = values;
        groups.leaves_out_empty |= property.is_place();
        let buckets: Vec<TimeRange> = match asked.time() {
            None => vec![range],
            Some((_, interval)) => self.zone.buckets(range, interval, BUCKETS_MAX + 1),
        };
        if buckets.len() > BUCKETS_MAX {
            return Ok(None);
        }
        let native = self.native_order().filter(|_| groups.values.is_none());
        if let Some(order) = native {
            groups = groups.order(order).limit(asked.limit).offset(asked.offset);
        }
        let mut found = Vec::new();
        let mut total_rows = 0;
        for (number, bucket) in buckets.iter().enumerate() {
            let inside = TimeRange::new(bucket.from.max(range.from), bucket.to.min(range.to));
            let question = self.ask_in(inside);
            // One more than can be sorted tells that there are too many.
            let left = (SORTED_MAX + 1).saturating_sub(found.len());
            let groups = if native.is_some() { groups.clone() } else { groups.clone().limit(left) };
            let rows = question.breakdown(&groups, &mut *ask)?;
            let all_visits = self.all_visits(&question, &groups, ask)?;
            total_rows += rows.total_rows;
            found.extend(rows.rows.into_iter().map(|row| self.found(row, (number, *bucket), range, all_visits)));
            if native.is_none() && found.len() > SORTED_MAX {
                return Ok(None);
            }
        }
        Ok(Some((found, total_rows, native.is_some())))
    }

    /// The visits that `conversion_rate` is of: all of the range. Nothing where those of the row are meant.
    fn all_visits(
        &self,
        question: &Ask,
        groups: &Groups,
        ask: &mut impl FnMut(&Query) -> Asked<Computed>,
    ) -> Asked<Option<u64>> {
        let is_wanted = self.asked.metrics.contains(&Wanted::Metric(Metric::ConversionRate));
        if !is_wanted || groups.property == Property::Goal || question.filters.goals.is_none() {
            return Ok(None);
        }
        let filter = question.filters.rest.clone();
        let query = Query::new(question.range, Computing::Overview).filter(filter);
        Ok(Some(ask(&query)?.into_overview()?.metrics.sessions))
    }

    fn rows_without_properties(
        &self,
        range: TimeRange,
        ask: &mut impl FnMut(&Query) -> Asked<Computed>,
    ) -> Asked<(Vec<Found>, usize, bool)> {
        let question = self.ask_in(range);
        let key = || (String::new(), None);
        let Some((_, interval)) = self.asked.time() else {
            let totals = question.aggregate(ask)?;
            return Ok((
                vec![Found { dimensions: Vec::new(), key: key(), bucket: 0, totals, all_visits: None }],
                1,
                false,
            ));
        };
        let buckets = question.timeseries(interval, &self.zone, ask)?;
        // Buckets without anything have no row; `time_labels` names them.
        let with_events = buckets.iter().enumerate().filter(|(_, bucket)| bucket.totals.metrics.events > 0);
        let found: Vec<Found> = with_events
            .map(|(number, bucket)| Found {
                dimensions: vec![label(&self.zone, bucket.bucket, range, interval)],
                key: key(),
                bucket: number,
                totals: bucket.totals,
                all_visits: None,
            })
            .collect();
        let total_rows = found.len();
        Ok((found, total_rows, false))
    }

    fn found(
        &self,
        row: Group,
        (number, bucket): (usize, TimeRange),
        range: TimeRange,
        all_visits: Option<u64>,
    ) -> Found {
        let mut stored = [Some(row.value.clone()), row.and.clone()].into_iter().flatten();
        let dimension = |dimension: &Dimension| match dimension {
            Dimension::Time(interval) => label(&self.zone, bucket, range, *interval),
            Dimension::Property(property) => shown(property, &stored.next().unwrap_or_default()),
        };
        let dimensions = self.asked.dimensions.iter().map(dimension).collect();
        Found { dimensions, key: (row.value, row.and), bucket: number, totals: row.totals, all_visits }
    }

    fn compare(&self, a: (&Found, &[Value]), b: (&Found, &[Value])) -> Ordering {
        let by_dimension = |position: usize| match self.asked.dimensions.get(position) {
            Some(Dimension::Time(_)) => a.0.bucket.cmp(&b.0.bucket),
            _ => a.0.dimensions.get(position).cmp(&b.0.dimensions.get(position)),
        };
        // Nothing comes before every number.
        let number = |values: &[Value], position: usize| values.get(position).and_then(Value::as_f64).unwrap_or(-1.0);
        let by_metric = |position: usize| number(a.1, position).total_cmp(&number(b.1, position));
        let default = match self.asked.time() {
            Some((position, _)) => [(SortBy::Dimension(position), true), (SortBy::Metric(0), false)],
            None => [(SortBy::Metric(0), false), (SortBy::Metric(0), false)],
        };
        let order_by = if self.asked.order_by.is_empty() { &default[..] } else { &self.asked.order_by[..] };
        let asked = order_by.iter().map(|&(by, is_ascending)| {
            let order = match by {
                SortBy::Metric(position) => by_metric(position),
                SortBy::Dimension(position) => by_dimension(position),
            };
            if is_ascending { order } else { order.reverse() }
        });
        // Rows that are alike otherwise stand in the order of their values, so that pages are always the same.
        asked
            .fold(Ordering::Equal, Ordering::then)
            .then_with(|| a.0.bucket.cmp(&b.0.bucket))
            .then_with(|| a.0.key.cmp(&b.0.key))
    }

    fn comparisons(
        &self,
        found: &[Found],
        values: &[Vec<Value>],
        ask: &mut impl FnMut(&Query) -> Asked<Computed>,
    ) -> Asked<Vec<Option<ComparedRow>>> {
        let Some(with) = self.asked.include.comparisons else { return Ok(vec![None; found.len()]) };
        let earlier_range = Comparison::new(self.asked.range, with, self.zone.clone()).earlier_range();
        let keys = found.iter().map(|row| row.key.clone()).collect();
        let values_of = self.asked.properties().next().is_some().then_some(keys);
        let earlier = self.rows_of(earlier_range, values_of, ask)?.map(|(rows, ..)| rows).unwrap_or_default();
        let compared = found.iter().zip(values).map(|(row, now)| {
            let partner = earlier.iter().find(|partner| (partner.bucket, &partner.key) == (row.bucket, &row.key));
            let before = partner.map_or_else(Totals::default, |partner| partner.totals);
            let metrics = self.values(&before, partner.and_then(|partner| partner.all_visits));
            let wanted = self.asked.metrics.iter();
            let change = wanted
                .zip(now.iter().zip(&metrics))
                .map(|(wanted, (now, before))| change(now, before, wanted.metric()));
            Some(ComparedRow {
                change: change.collect(),
                dimensions: partner.map_or_else(|| row.dimensions.clone(), |partner| partner.dimensions.clone()),
                metrics,
            })
        });
        Ok(compared.collect())
    }
}
