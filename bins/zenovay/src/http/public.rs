//! What anybody may read: what the script is told of a website, its live count, and the summary of one with a public
//! dashboard.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, Responder, web};
use serde::Serialize;
use utoipa::ToSchema;
use zenovay_domain::{Dimension, ErrorCode, LIVE_WINDOW_MS, TimeRange, Timestamp, Website, WebsiteSettings, Zone};
use zenovay_ingest::CaptureKind;
use zenovay_query::{Baseline, BreakdownRow, Change, Comparison, GroupBy};
use zenovay_stats::country_name;

use super::capture;
use super::document::Operation;
use super::envelope::{ApiError, Success};
use super::guard::PublicReader;
use super::handler::{Described, Json, Reply, Shape};
use super::lookups;
use super::packed::is_known;
use super::state::AppState;
use super::turns::Asking;
use super::values::{Instant, rounded};
use super::website_settings::TriggerName;

/// `GET /e/live/:trackingCode`: visitors with activity in the last five minutes, under each of the three names that the
/// documents gave the number (SPEC E5).
pub async fn live(_: PublicReader, state: web::Data<AppState>, req: HttpRequest) -> Result<Json<LiveCount>, ApiError> {
    let now = state.clock.now();
    let id = website_of(&state, &req).await?.id;
    let asking = Asking { website: Some(id), key: None };
    let count = state.queries.run_at_once(asking, move |ask| ask.live(id, now)).await?;
    Ok(Json(LiveCount { success: true, live_count: count, visitors: count, count, timestamp: Instant(now) }))
}

/// Visitors with activity in the last five minutes, under three names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveCount {
    success: bool,
    /// How many there are.
    #[schema(examples(3))]
    live_count: u64,
    /// The same as `liveCount`.
    #[schema(examples(3))]
    visitors: u64,
    /// The same as `liveCount`.
    #[schema(examples(3))]
    count: u64,
    timestamp: Instant,
}

/// The website whose tracking code is in the path.
async fn website_of(state: &AppState, req: &HttpRequest) -> Result<Arc<Website>, ApiError> {
    let unknown = || ApiError::not_found("Unknown tracking code");
    let code = req.match_info().get("code").unwrap_or("").parse().map_err(|_malformed| unknown())?;
    lookups::website_by_code(state, code).await?.ok_or_else(unknown)
}

/// Caches keep the settings for five minutes (SPEC F1), then ask whether they changed.
const SETTINGS_CACHING: &str = "public, max-age=300, must-revalidate";

/// The settings of a website that say what its pages may do.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct ScriptSettings {
    /// Nothing may be stored in the browser.
    cookieless: bool,
    /// Clicks on links to other sites are of use.
    track_outbound_links: bool,
    /// Clicks on downloads are of use.
    track_downloads: bool,
    /// How fast pages are is of use.
    web_vitals: bool,
    /// Errors are of use, and the plan includes them.
    errors: bool,
    /// Clicks, scrolling and moves of the pointer are of use, and the plan includes heatmaps.
    heatmaps: bool,
    /// Sessions are recorded, and the plan includes it.
    session_replay: bool,
    /// Which sessions.
    session_replay_trigger: TriggerName,
    /// With the trigger `sampled`, how many visits of a hundred.
    #[schema(minimum = 1, maximum = 100, examples(25))]
    session_replay_sample_percent: u8,
    /// Only when the visitor agreed to it.
    session_replay_consent: bool,
    /// The values of all fields are masked.
    session_replay_mask_inputs: bool,
}

impl ScriptSettings {
    /// Of a website with these settings; `in_plan` says what its plan includes.
    fn of(settings: &WebsiteSettings, in_plan: impl Fn(CaptureKind) -> bool) -> Self {
        let is_wanted = |kind: CaptureKind| settings.is_active && kind.is_wanted(settings) && in_plan(kind);
        Self {
            cookieless: settings.cookieless,
            track_outbound_links: settings.track_outbound_links,
            track_downloads: settings.track_downloads,
            web_vitals: is_wanted(CaptureKind::Vitals),
            errors: is_wanted(CaptureKind::Errors),
            heatmaps: is_wanted(CaptureKind::Heatmap),
            session_replay: is_wanted(CaptureKind::Replays),
            session_replay_trigger: settings.session_replay_trigger.into(),
            session_replay_sample_percent: settings.session_replay_sample_percent,
            session_replay_consent: settings.session_replay_consent,
            session_replay_mask_inputs: settings.session_replay_mask_inputs,
        }
    }

    /// Names these settings among all that there can be.
    fn etag(self) -> String {
        let Self {
            cookieless,
            track_outbound_links,
            track_downloads,
            web_vitals,
            errors,
            heatmaps,
            session_replay,
            session_replay_trigger,
            session_replay_sample_percent,
            session_replay_consent,
            session_replay_mask_inputs,
        } = self;
        let flags = [
            cookieless,
            track_outbound_links,
            track_downloads,
            web_vitals,
            errors,
            heatmaps,
            session_replay,
            session_replay_consent,
            session_replay_mask_inputs,
        ];
        let flags = String::from_iter(flags.map(|is_on| if is_on { '1' } else { '0' }));
        format!("\"{flags}-{session_replay_trigger:?}-{session_replay_sample_percent}\"")
    }
}

/// `GET /load/:trackingCode`: what the script may do on the pages of a website. Nothing is stored in a browser before it
/// is asked.
pub async fn settings(
    _: PublicReader,
    state: web::Data<AppState>,
    req: HttpRequest,
) -> Result<Described<ScriptSettings>, ApiError> {
    let now = state.clock.now();
    let website = website_of(&state, &req).await?;
    let plan = capture::plan_of(&state, website.team_id, state.clock.reading()).await;
    let settings = ScriptSettings::of(&website.settings, |kind| capture::includes(&state.plans, plan, kind));
    let etag = settings.etag();
    let mut response = if is_known(req.headers(), &etag) {
        HttpResponse::NotModified().finish()
    } else {
        Success::new(settings, now).respond_to(&req)
    };
    // Weak: the time in the body differs.
    let etag = header::HeaderValue::try_from(format!("W/{etag}")).map_err(|_impossible| ApiError::internal())?;
    response.headers_mut().insert(header::ETAG, etag);
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static(SETTINGS_CACHING));
    Ok(response.into())
}

impl Shape for ScriptSettings {
    fn describe(operation: &mut Operation) {
        Success::<Self>::describe(operation);
        operation.can_be_cached();
        operation.refuses([ErrorCode::NotFound]);
    }
}

/// `GET /e/realtime/:websiteId`: today against the same hours of yesterday, in the website's zone. It tells more than a
/// number, so it exists only while the website's public dashboard is on; otherwise it looks like an unknown website.
pub async fn realtime(
    _: PublicReader,
    state: web::Data<AppState>,
    req: HttpRequest,
) -> Result<Json<TodaySummary>, ApiError> {
    let now = state.clock.now();
    let unknown = || ApiError::not_found("Website not found");
    let id = req.match_info().get("website_id").unwrap_or("").parse().map_err(|_malformed| unknown())?;
    let website =
        lookups::website(&state, id).await?.filter(|website| website.settings.public_dashboard).ok_or_else(unknown)?;
    let today = today(now, zone_of(&website));
    let minutes = TimeRange::new(now.plus_millis(1 - LIVE_WINDOW_MS), now.plus_millis(1));
    let top = |dimension| GroupBy::by(dimension).limit(10).without_empty();
    let found = state.queries.run(Asking { website: Some(id), key: None }, move |ask| {
        let live = ask.live(id, now)?;
        let (current, totals) = (ask.overview(id, minutes)?, ask.compared(id, &today)?);
        let countries = ask.breakdown(id, today.range, top(Dimension::Country))?;
        let pages = ask.pages(id, today.range, top(Dimension::Path))?;
        Ok((live, current, totals, countries, pages))
    });
    let (live, current, totals, countries, pages) = found.await?;
    let (today, changes) = (totals.current, totals.changes());
    Ok(Json(TodaySummary {
        success: true,
        visitors: TodayCount { current: live, today: today.visitors, change: percent(changes.visitors) },
        page_views: TodayCount {
            current: current.pageviews,
            today: today.pageviews,
            change: percent(changes.pageviews),
        },
        countries: countries.rows.into_iter().map(TodayCountry::of).collect(),
        top_pages: pages
            .rows
            .into_iter()
            .map(|row| TodayPage { path: row.value, visitors: row.metrics.visitors })
            .collect(),
        timestamp: Instant(now),
    }))
}

/// A website today, in its time zone.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TodaySummary {
    success: bool,
    visitors: TodayCount,
    page_views: TodayCount,
    /// The ten countries with the most visitors today.
    countries: Vec<TodayCountry>,
    /// The ten pages with the most visitors today.
    top_pages: Vec<TodayPage>,
    timestamp: Instant,
}

/// A count now, today, and against yesterday.
#[derive(Debug, Serialize, ToSchema)]
pub struct TodayCount {
    /// Of the last five minutes.
    #[schema(examples(3))]
    current: u64,
    /// Since midnight in the website's time zone.
    #[schema(examples(48))]
    today: u64,
    /// The change from the same hours of yesterday in percent, to one decimal place; null when there was nothing.
    #[schema(required = true, examples(12.5))]
    change: Option<f64>,
}

/// A country and its visitors today.
#[derive(Debug, Serialize, ToSchema)]
pub struct TodayCountry {
    /// ISO 3166-1 alpha-2.
    #[schema(examples("CH"))]
    code: String,
    /// Its English name.
    #[schema(examples("Switzerland"))]
    name: String,
    /// Distinct visitors.
    #[schema(examples(17))]
    count: u64,
}

impl TodayCountry {
    fn of(row: BreakdownRow) -> Self {
        Self { name: country_name(&row.value).to_owned(), code: row.value, count: row.metrics.visitors }
    }
}

/// A page and its visitors today.
#[derive(Debug, Serialize, ToSchema)]
pub struct TodayPage {
    /// Its path.
    #[schema(examples("/pricing"))]
    path: String,
    /// Distinct visitors.
    #[schema(examples(21))]
    visitors: u64,
}

/// A change in percent, to one decimal place; null when there was nothing before.
fn percent(change: Change<i64>) -> Option<f64> {
    rounded(change.relative.map(|fraction| fraction * 100.0), 1)
}

fn zone_of(website: &Website) -> Zone {
    // Settings are checked when they are stored.
    website.settings.time_zone.parse().unwrap_or_else(|_unknown| Zone::utc())
}

/// Today until `now`, this very millisecond included, against the same hours of yesterday.
fn today(now: Timestamp, zone: Zone) -> Comparison {
    let range = TimeRange::new(zone.day_start(zone.civil_day(now)), now.plus_millis(1));
    Comparison::new(range, Baseline::PreviousPeriod, zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn yesterday_is_cut_at_the_same_hour_in_the_zone() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let today = today(at("2026-06-13T10:00:00Z"), berlin);
        assert_eq!(today.range, TimeRange::new(at("2026-06-12T22:00:00Z"), at("2026-06-13T10:00:00.001Z")));
        assert_eq!(today.earlier_range(), TimeRange::new(at("2026-06-11T22:00:00Z"), at("2026-06-12T10:00:00.001Z")));
    }

    #[test]
    fn a_change_from_nothing_has_no_percentage() {
        assert_eq!(percent(Change::of_counts(3, 0)), None);
        assert_eq!(percent(Change::of_counts(3, 2)), Some(50.0));
        assert_eq!(percent(Change::of_counts(2, 3)), Some(-33.3));
    }
}
