//! Session replays.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;
use zenovay_capture::{Filter, Replay, ReplayQuery, Replays};
use zenovay_domain::{TimeRange, Timestamp};

use crate::http::envelope::{ApiError, Success};
use crate::http::export::sheets::{Accept, Format, Formatted, Listed, SheetName};
use crate::http::guard::{Authorized, ReadReplays};
use crate::http::lookups::off_the_worker;
use crate::http::params::{Paged, Pagination, Query};
use crate::http::state::AppState;
use crate::http::values::{Instant, non_empty};

/// `GET /replays/:websiteId/sessions`.
pub async fn sessions(
    key: Authorized<ReadReplays>,
    state: web::Data<AppState>,
    query: Query<(Paged<50, 200>, Formatted)>,
    accept: Accept,
) -> Result<Listed<Success<ReplaySessions>>, ApiError> {
    let now = state.clock.now();
    let (Paged(page), formatted) = query.read(now)?;
    let (website, format) = (key.resource.id, accept.or(formatted.format));
    let limit = if format == Format::Json { page.limit } else { formatted.rows };
    let found = off_the_worker(&state, move |state| {
        let range = TimeRange::new(Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX));
        let query = ReplayQuery::of(Filter { range, keep: None });
        state.captures.replays(website, &query, page.offset, limit)
    });
    let Replays { replays, total } = found.await?;
    let has_more = total > (page.offset + replays.len()) as u64;
    let sessions = replays.into_iter().map(ReplaySession::from).collect();
    let answer = ReplaySessions { sessions, pagination: page.answer(has_more) };
    if format != Format::Json {
        let name = SheetName::plain(&format!("{}_replays", key.resource.domain));
        return Ok(Listed::file(format, &name, COLUMNS, &answer.sessions));
    }
    Ok(Listed::Json(Success::new(answer, now)))
}

/// The columns of a file, which are the members of a row.
const COLUMNS: &[&str] = &[
    "id",
    "session_id",
    "page_url",
    "device_type",
    "browser",
    "os",
    "country_code",
    "duration_seconds",
    "event_count",
    "started_at",
    "ended_at",
];

/// A page of recorded sessions.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplaySessions {
    /// The newest first.
    sessions: Vec<ReplaySession>,
    pagination: Pagination,
}

/// A recorded session.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplaySession {
    /// Names the recording.
    #[schema(examples("sr_0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    id: String,
    /// Names the session.
    #[schema(examples("0190a1b2c3d44e5f"))]
    session_id: String,
    /// The path of its first page.
    #[schema(examples("/pricing"))]
    page_url: String,
    /// `desktop`, `mobile` or `tablet`.
    #[schema(examples("desktop"))]
    device_type: String,
    /// Its browser.
    #[schema(examples("Firefox"))]
    browser: String,
    /// Its operating system.
    #[schema(examples("Linux"))]
    os: String,
    /// ISO 3166-1 alpha-2; null when unknown.
    #[schema(required = true, examples("CH"))]
    country_code: Option<String>,
    /// Its length in seconds.
    #[schema(examples(184))]
    duration_seconds: u64,
    /// How many events were recorded.
    #[schema(examples(2310))]
    event_count: u64,
    /// When it began.
    started_at: Instant,
    /// When it ended.
    ended_at: Instant,
}

impl From<Replay> for ReplaySession {
    fn from(replay: Replay) -> Self {
        let millis = replay.ended_at.as_millis() - replay.started_at.as_millis();
        Self {
            id: replay.id.to_string(),
            session_id: replay.session.to_string(),
            page_url: replay.entry_page,
            device_type: replay.device,
            browser: replay.browser,
            os: replay.os,
            country_code: non_empty(replay.country),
            duration_seconds: u64::try_from(millis / 1_000).unwrap_or(0),
            event_count: replay.events,
            started_at: Instant(replay.started_at),
            ended_at: Instant(replay.ended_at),
        }
    }
}
