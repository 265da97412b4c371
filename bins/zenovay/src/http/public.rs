//! What anybody may read: the live count of a website, and the summary of one with a public dashboard.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use zenovay_domain::{Dimension, LIVE_WINDOW_MS, TimeRange, Timestamp, Website, Zone};
use zenovay_limits::AddressClass;
use zenovay_query::GroupBy;

use super::countries::country_name;
use super::envelope::ApiError;
use super::external::analytics::by_visitors;
use super::{client_ip, cors, errors};
use crate::state::AppState;

/// `GET /e/live/:trackingCode`: visitors with activity in the last five minutes, under each of the three names that the
/// documents gave the number (SPEC E5).
pub async fn live(state: web::Data<AppState>, req: HttpRequest) -> HttpResponse {
    readable(live_count(&state, &req).await)
}

async fn live_count(state: &web::Data<AppState>, req: &HttpRequest) -> Result<Value, ApiError> {
    let now = state.clock.now();
    limit(state, req, now)?;
    let unknown = || ApiError::not_found("Unknown tracking code");
    let code = req.match_info().get("code").unwrap_or("").parse().map_err(|_malformed| unknown())?;
    let website = state.directory.website_by_code(&code)?.ok_or_else(unknown)?;
    let id = website.id;
    let count = state.queries.run(move |ask| ask.live(id, now)).await?;
    let timestamp = now.to_string();
    Ok(json!({
        "success": true,
        "liveCount": count,
        "visitors": count,
        "count": count,
        "timestamp": timestamp,
    }))
}

/// `GET /e/realtime/:websiteId`: today against the same hours of yesterday, in the website's zone. It tells more than a
/// number, so it exists only while the website's public dashboard is on; otherwise it looks like an unknown website.
pub async fn realtime(state: web::Data<AppState>, req: HttpRequest) -> HttpResponse {
    readable(summary(&state, &req).await)
}

async fn summary(state: &web::Data<AppState>, req: &HttpRequest) -> Result<Value, ApiError> {
    let now = state.clock.now();
    limit(state, req, now)?;
    let unknown = || ApiError::not_found("Website not found");
    let id = req.match_info().get("website_id").unwrap_or("").parse().map_err(|_malformed| unknown())?;
    let website =
        state.directory.website(id)?.filter(|website| website.settings.public_dashboard).ok_or_else(unknown)?;
    let (today, yesterday) = today_and_yesterday(now, &zone_of(&website));
    let minutes = TimeRange::new(now.plus_millis(1 - LIVE_WINDOW_MS), now.plus_millis(1));
    let top = |dimension| GroupBy { limit: 10, include_empty: false, ..by_visitors(dimension) };
    let found = state.queries.run(move |ask| {
        let live = ask.live(id, now)?;
        let (current, today_totals) = (ask.overview(id, minutes)?, ask.overview(id, today)?);
        let before = ask.overview(id, yesterday)?;
        let countries = ask.breakdown(id, today, top(Dimension::Country))?;
        let pages = ask.breakdown(id, today, top(Dimension::Path))?;
        Ok((live, current, today_totals, before, countries, pages))
    });
    let (live, current, today, before, countries, pages) = found.await?;
    Ok(json!({
        "success": true,
        "visitors": { "current": live, "today": today.visitors, "change": change(today.visitors, before.visitors) },
        "pageViews": {
            "current": current.pageviews,
            "today": today.pageviews,
            "change": change(today.pageviews, before.pageviews),
        },
        "countries": countries.rows.iter().map(|row| json!({
            "code": row.value,
            "name": country_name(&row.value),
            "count": row.metrics.visitors,
        })).collect::<Vec<_>>(),
        "topPages": pages.rows.iter().map(|row| json!({
            "path": row.value,
            "visitors": row.metrics.visitors,
        })).collect::<Vec<_>>(),
        "timestamp": now.to_string(),
    }))
}

/// The change from `before` to `now` in percent, to one decimal place; null when there was nothing before.
fn change(now: u64, before: u64) -> Option<f64> {
    (before > 0).then(|| ((now as f64 - before as f64) * 1_000.0 / before as f64).round() / 10.0)
}

fn zone_of(website: &Website) -> Zone {
    // Settings are checked when they are stored.
    website.settings.time_zone.parse().unwrap_or_else(|_unknown| Zone::utc())
}

/// From midnight to `now`, and as long from the midnight before.
fn today_and_yesterday(now: Timestamp, zone: &Zone) -> (TimeRange, TimeRange) {
    let today = zone.civil_day(now);
    let (start, before) = (zone.day_start(today), zone.day_start(today.saturating_sub(1)));
    let end = now.plus_millis(1);
    let same_hours = before.plus_millis(end.millis_since(start)).min(start);
    (TimeRange::new(start, end), TimeRange::new(before, same_hours))
}

/// 30 requests a minute and address (S4).
fn limit(state: &AppState, req: &HttpRequest, now: Timestamp) -> Result<(), ApiError> {
    let client = client_ip::of(req, &state.trusted_proxies);
    let decision = state.addresses.charge(AddressClass::Public, client, now);
    if decision.allowed {
        return Ok(());
    }
    metrics::counter!("zenovay_limit_refusals_total", "limit" => "address_public").increment(1);
    Err(errors::address_limited(&decision))
}

/// Answer or refusal, readable by every page.
fn readable(result: Result<Value, ApiError>) -> HttpResponse {
    let mut response = match result {
        Ok(body) => HttpResponse::Ok().json(body),
        Err(error) => HttpResponse::from_error(error),
    };
    cors::any_origin(response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from(text.parse::<chrono::DateTime<chrono::Utc>>().unwrap())
    }

    #[test]
    fn yesterday_is_cut_at_the_same_hour_in_the_zone() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let (today, yesterday) = today_and_yesterday(at("2026-06-13T10:00:00Z"), &berlin);
        assert_eq!(today, TimeRange::new(at("2026-06-12T22:00:00Z"), at("2026-06-13T10:00:00.001Z")));
        assert_eq!(yesterday, TimeRange::new(at("2026-06-11T22:00:00Z"), at("2026-06-12T10:00:00.001Z")));
    }

    #[test]
    fn a_change_from_nothing_has_no_percentage() {
        assert_eq!(change(3, 0), None);
        assert_eq!(change(3, 2), Some(50.0));
        assert_eq!(change(0, 3), Some(-100.0));
    }
}
