//! Groups of errors that visitors met.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;
use zenovay_domain::Timestamp;

use crate::http::envelope::{ApiError, Success};
use crate::http::export::sheets::{Accept, Format, Formatted, Listed, SheetName};
use crate::http::guard::{Authorized, ReadErrors};
use crate::http::lookups::off_the_worker;
use crate::http::params::{Limit, Params, Query, QueryParams};
use crate::http::state::AppState;
use crate::http::values::Instant;

/// `GET /errors/:websiteId/groups`.
pub async fn groups(
    key: Authorized<ReadErrors>,
    state: web::Data<AppState>,
    query: Query<(Limit<50, 200>, (Status, Formatted))>,
    accept: Accept,
) -> Result<Listed<Success<ErrorGroups>>, ApiError> {
    let now = state.clock.now();
    let (Limit(limit), (Status(status), formatted)) = query.read(now)?;
    let (website, format) = (key.resource.id, accept.or(formatted.format));
    let limit = if format == Format::Json { limit } else { formatted.rows };
    let groups = off_the_worker(&state, move |state| state.captures.error_groups(website, status, limit));
    let answer = ErrorGroups { error_groups: groups.await?.into_iter().map(ErrorGroup::from).collect() };
    if format != Format::Json {
        let name = SheetName::plain(&format!("{}_errors", key.resource.domain));
        return Ok(Listed::file(format, &name, COLUMNS, &answer.error_groups));
    }
    Ok(Listed::Json(Success::new(answer, now)))
}

/// The columns of a file, which are the members of a row.
const COLUMNS: &[&str] = &[
    "id",
    "fingerprint",
    "message",
    "type",
    "status",
    "occurrence_count",
    "first_seen_at",
    "last_seen_at",
    "affected_users_count",
];

/// Of which errors.
pub struct Status(Option<zenovay_capture::Status>);

impl QueryParams for Status {
    fn read(params: &mut Params, _: Timestamp) -> Self {
        let name = params.one_of(
            "status",
            &["unresolved", "resolved", "ignored"],
            None,
            "Groups with this status; without it, all.",
        );
        Self(name.and_then(zenovay_capture::Status::from_name))
    }
}

/// Groups of equal errors.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorGroups {
    /// The group seen last first.
    error_groups: Vec<ErrorGroup>,
}

/// Equal errors of a website.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorGroup {
    /// Names the group.
    #[schema(examples("eg_0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    id: String,
    /// What makes its errors equal.
    #[schema(examples("9a1f0c3e"))]
    fingerprint: String,
    /// The message of the error.
    #[schema(examples("x is undefined"))]
    message: String,
    /// The type of the error.
    #[schema(examples("TypeError"))]
    r#type: String,
    /// What was decided about it.
    #[schema(examples("unresolved"))]
    status: &'static str,
    /// How often it occurred.
    #[schema(examples(41))]
    occurrence_count: u64,
    /// When it occurred first.
    first_seen_at: Instant,
    /// When it occurred last.
    last_seen_at: Instant,
    /// Distinct visitors who met it.
    #[schema(examples(17))]
    affected_users_count: u64,
}

impl From<zenovay_capture::ErrorGroup> for ErrorGroup {
    fn from(group: zenovay_capture::ErrorGroup) -> Self {
        Self {
            id: group.id.to_string(),
            fingerprint: group.fingerprint.to_string(),
            message: group.message,
            r#type: group.kind,
            status: group.status.as_str(),
            occurrence_count: group.occurrences,
            first_seen_at: Instant(group.first_at),
            last_seen_at: Instant(group.last_at),
            affected_users_count: group.visitors,
        }
    }
}
