//! `GET /analytics/:websiteId` and the four lists below it (SPEC B4).

use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use zenovay_domain::{Dimension, WebsiteId, Zone};
use zenovay_query::{Breakdown, BreakdownRow, GroupBy, Metric, MetricValues, SeriesPoint, VisitorRecord};

use super::{or_null, rounded, seconds};
use crate::http::countries::country_name;
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{Authorized, ReadAnalytics};
use crate::http::params::Params;
use crate::state::AppState;

/// The totals of a range, and of each of its UTC days.
pub async fn overview(
    key: Authorized<ReadAnalytics>,
    state: web::Data<AppState>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let mut params = Params::parse(req.query_string());
    let window = params.range(now);
    params.finish()?;
    let asking = key.asking();
    let website = key.resource;
    let id = website.id;
    let (totals, days) = state
        .queries
        .run(asking, move |ask| Ok((ask.overview(id, window.range)?, ask.daily(id, window.range)?)))
        .await?;
    let data = json!({
        "website": { "id": id.to_string(), "domain": website.domain, "name": website.name },
        "time_range": window.label,
        "date_range": window.to_json(),
        "summary": {
            "total_visitors": totals.sessions,
            "total_page_views": totals.pageviews,
            "unique_visitors": totals.visitors,
            "bounce_rate": bounce_rate(&totals),
            "avg_session_duration": seconds(totals.mean_duration_ms()),
        },
        "daily_stats": days.iter().map(|day| daily_row(id, day)).collect::<Vec<_>>(),
    });
    Ok(Success::new(data, now).into_response())
}

fn daily_row(id: WebsiteId, day: &SeriesPoint) -> Value {
    json!({
        "date": Zone::utc().format_date(day.bucket.from),
        "website_id": id.to_string(),
        "total_visitors": day.metrics.sessions,
        "unique_visitors": day.metrics.visitors,
        "page_views": day.metrics.pageviews,
        "bounce_rate": bounce_rate(&day.metrics),
        "avg_session_duration": seconds(day.metrics.mean_duration_ms()),
    })
}

/// Bounces per session, 0 to 1, to four decimal places.
fn bounce_rate(metrics: &MetricValues) -> Value {
    rounded(metrics.bounce_rate(), 4)
}

/// One record for each visitor, the newest visit first.
pub async fn visitors(
    key: Authorized<ReadAnalytics>,
    state: web::Data<AppState>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let mut params = Params::parse(req.query_string());
    let (window, page) = (params.range(now), params.page(100, 1_000));
    params.finish()?;
    let (id, asking) = (key.resource.id, key.asking());
    let found = state.queries.run(asking, move |ask| ask.visitors(id, window.range, page.limit, page.offset)).await?;
    let rows: Vec<Value> = found.visitors.iter().map(visitor_row).collect();
    let data = json!({ "visitors": rows, "pagination": page.to_json(found.has_more) });
    Ok(with_geo_notice(Success::new(data, now).into_response()))
}

fn visitor_row(visitor: &VisitorRecord) -> Value {
    json!({
        "id": visitor.visitor.to_string(),
        "country_code": or_null(&visitor.country),
        "country_name": or_null(country_name(&visitor.country)),
        "city": or_null(&visitor.city),
        "device_type": or_null(&visitor.device),
        "browser": or_null(&visitor.browser),
        "os": or_null(&visitor.os),
        "value_score": visitor.value_score,
        "visited_at": visitor.visited_at.to_string(),
        "landing_page": or_null(&visitor.landing_page),
        "referrer": or_null(&visitor.referrer),
        "had_interaction": visitor.had_interaction,
    })
}

/// The pages that were viewed, those with the most visitors first.
pub async fn pages(
    key: Authorized<ReadAnalytics>,
    state: web::Data<AppState>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let mut params = Params::parse(req.query_string());
    let (window, page) = (params.range(now), params.page(20, 100));
    params.finish()?;
    let (id, asking) = (key.resource.id, key.asking());
    let by = GroupBy::by(Dimension::Path)
        .metrics([Metric::Sessions, Metric::Title, Metric::TimeOnPage])
        .limit(page.limit)
        .offset(page.offset)
        .without_empty();
    let found = state.queries.run(asking, move |ask| ask.pages(id, window.range, by)).await?;
    let has_more = page.offset.saturating_add(found.rows.len()) < found.total_rows;
    let rows: Vec<Value> = found.rows.iter().map(page_row).collect();
    Ok(Success::new(json!({ "pages": rows, "pagination": page.to_json(has_more) }), now).into_response())
}

/// The documents name this list but not its members: each number stands under both names that clients guess (SPEC B4).
fn page_row(row: &BreakdownRow) -> Value {
    let timed = (row.timed_pageviews > 0).then(|| row.time_on_page_ms as f64 / row.timed_pageviews as f64);
    json!({
        "url": row.value,
        "page_url": row.value,
        "title": row.title.as_deref().map_or(Value::Null, or_null),
        "views": row.metrics.pageviews,
        "page_views": row.metrics.pageviews,
        "unique_visitors": row.metrics.visitors,
        "visitors": row.metrics.visitors,
        "avg_time_on_page": seconds(timed),
        "bounce_rate": bounce_rate(&row.metrics),
    })
}

/// The countries, those with the most visitors first. Visitors whose country is unknown have a row of their own.
pub async fn countries(
    key: Authorized<ReadAnalytics>,
    state: web::Data<AppState>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let mut params = Params::parse(req.query_string());
    let (window, limit) = (params.range(now), params.limit(20, 100));
    params.finish()?;
    let (id, asking) = (key.resource.id, key.asking());
    let by = GroupBy::by(Dimension::Country).metrics([Metric::Sessions]).limit(limit);
    let found = state.queries.run(asking, move |ask| ask.breakdown(id, window.range, by)).await?;
    let rows: Vec<Value> = found.rows.iter().map(country_row).collect();
    Ok(with_geo_notice(Success::new(json!({ "countries": rows }), now).into_response()))
}

fn country_row(row: &BreakdownRow) -> Value {
    json!({
        "country_code": or_null(&row.value),
        "country_name": if row.value.is_empty() { "Unknown" } else { country_name(&row.value) },
        "visitors": row.metrics.visitors,
        "avg_value_score": rounded(row.metrics.mean_value_score(), 2),
    })
}

/// Browsers, operating systems and devices.
pub async fn technology(
    key: Authorized<ReadAnalytics>,
    state: web::Data<AppState>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let mut params = Params::parse(req.query_string());
    let (window, limit) = (params.range(now), params.limit(20, 100));
    params.finish()?;
    let (id, asking) = (key.resource.id, key.asking());
    let found = state.queries.run(asking, move |ask| {
        let by = |dimension| ask.breakdown(id, window.range, GroupBy::by(dimension).limit(limit));
        Ok([by(Dimension::Browser)?, by(Dimension::Os)?, by(Dimension::Device)?])
    });
    let [browsers, systems, devices] = found.await?;
    let data = json!({
        "browsers": shares(&browsers),
        "operating_systems": shares(&systems),
        "devices": shares(&devices),
    });
    Ok(Success::new(data, now).into_response())
}

/// Name, visitors and their percentage of all visitors, to two decimal places.
fn shares(breakdown: &Breakdown) -> Vec<Value> {
    let all = breakdown.total_visitors;
    let share = |visitors: u64| (all > 0).then(|| visitors as f64 * 100.0 / all as f64);
    let row = |row: &BreakdownRow| {
        json!({
            "name": if row.value.is_empty() { "Unknown" } else { row.value.as_str() },
            "visitors": row.metrics.visitors,
            "percentage": rounded(share(row.metrics.visitors), 2),
        })
    };
    breakdown.rows.iter().map(row).collect()
}

/// The licence of the embedded country database asks for a link wherever its results are shown.
fn with_geo_notice(mut response: HttpResponse) -> HttpResponse {
    const NOTICE: &str = r#"<https://db-ip.com>; rel="cite-as"; title="IP Geolocation by DB-IP""#;
    response.headers_mut().insert(actix_web::http::header::LINK, HeaderValue::from_static(NOTICE));
    response
}
