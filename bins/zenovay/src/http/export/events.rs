//! Events as Parquet files: a manifest that names the parts, and the parts.
//!
//! A part is the events of a UTC day, or so many of them. It is made when it is asked for, from the same rows in the same
//! order, so that it has the same bytes as long as no event of the day arrives, is hidden or is erased. Its SHA-256 is in the
//! manifest and is its entity tag: a download goes on where it stopped, and a part that changed is told from the one that
//! was begun.

use std::sync::Arc;

use actix_web::body::{BodyStream, BoxBody};
use actix_web::http::header::{CONTENT_DISPOSITION, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, Responder, web};
use futures_util::stream;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use zenovay_auth::Action;
use zenovay_domain::{ErrorCode, Interval, TimeRange, Timestamp, Website, WebsiteId, Zone};
use zenovay_export::{ColumnKind, PART_COLUMNS, Traits, parquet_part, sha256};
use zenovay_query::{Query as Asked, QueryError, Question};
use zenovay_stats::{Dates, parse_date};

use super::sheets::{SheetName, aborted};
use super::{audit, ranges};
use crate::causes::with_causes;
use crate::http::document::{Answer, Header, Operation, Parameter};
use crate::http::envelope::ApiError;
use crate::http::external::analytics::WebsiteName;
use crate::http::guard::{Authorized, ExportEvents};
use crate::http::handler::Reply;
use crate::http::params::{Params, Query, QueryParams};
use crate::http::queries::QuerySession;
use crate::http::state::AppState;
use crate::http::turns::Asking;
use crate::http::values::Instant;

/// The most rows of a part: some megabytes, and what they take while they are written.
const PART_ROWS: usize = 100_000;
/// The most days of an export: ten years and their leap days.
const DAYS_MAX: i64 = 3_660;

const PARQUET: &str = "application/vnd.apache.parquet";

/// Whether `traits=1` is there.
fn traits(params: &mut Params) -> Traits {
    params.declare(|| {
        let words = "`1`: also the properties in which people told about themselves, those of `identify` and of events with a \
                     `user_id`. Needs the scope `admin` and the role admin.";
        Parameter::query("traits", words).schema(json!({ "type": "string", "enum": ["0", "1"], "default": "0" }))
    });
    match params.get("traits") {
        None | Some("0") => Traits::LeftOut,
        Some("1") => Traits::Included,
        Some(_) => {
            params.problem("traits", "use 0 or 1");
            Traits::LeftOut
        }
    }
}

/// The parameters of a manifest.
#[derive(Debug, Clone, Copy)]
pub struct ManifestParams {
    dates: Dates,
    traits: Traits,
}

impl QueryParams for ManifestParams {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        let day = |params: &mut Params, name: &'static str, words: &str| {
            params.declare(|| {
                let schema = json!({ "type": "string", "format": "date" });
                Parameter::query(name, words).schema(schema).example("2026-06-01")
            });
            let text = params.get(name)?;
            let day = parse_date(text);
            if day.is_none() {
                params.problem(name, "use a date such as 2026-06-01");
            }
            day
        };
        let from = day(params, "from", "The first day, in UTC. Without it, 30 days.");
        let to = day(params, "to", "The last day, in UTC. Without it, yesterday: the last day that is over.");
        let last = to.unwrap_or_else(|| Zone::utc().civil_day(now) - 1);
        let dates = Dates { first: from.unwrap_or(last.saturating_sub(29)), last };
        if dates.first > dates.last {
            params.problem("from", "must not be after to");
        } else if dates.count() > DAYS_MAX {
            params.problem("from", "the range must not be longer than ten years");
        }
        Self { dates, traits: traits(params) }
    }
}

/// The parameters of a part.
#[derive(Debug, Clone, Copy)]
pub struct PartParams {
    traits: Traits,
}

impl QueryParams for PartParams {
    fn read(params: &mut Params, _: Timestamp) -> Self {
        Self { traits: traits(params) }
    }
}

/// Which rows a part has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    /// The UTC day, from 1970-01-01.
    day: i32,
    /// Which of the parts of the day.
    number: usize,
}

impl Part {
    fn range(self) -> TimeRange {
        Dates { first: self.day, last: self.day }.range(&Zone::utc())
    }

    /// Its name, such as `2026-06-13.0.parquet`.
    fn name(self) -> String {
        format!("{}.{}.parquet", Zone::utc().format_date(self.range().from), self.number)
    }

    fn parse(name: &str) -> Option<Self> {
        let (day, number) = name.strip_suffix(".parquet")?.split_once('.')?;
        let part = Self { day: parse_date(day)?, number: number.parse().ok().filter(|number| *number < 1_000_000)? };
        // One spelling: `00` is not `0`.
        (part.name() == name).then_some(part)
    }

    /// Makes it: how many rows it has, and its bytes.
    fn make(
        self,
        asker: &QuerySession<'_>,
        website: WebsiteId,
        traits: Traits,
    ) -> Result<(usize, Vec<u8>), QueryError> {
        let question = Question::Events { limit: PART_ROWS, offset: self.number.saturating_mul(PART_ROWS) };
        let query = Asked::new(self.range(), question);
        let events = asker.any(website, &query)?.into_events()?;
        let bytes = parquet_part(&events, traits).map_err(|error| QueryError::damaged(with_causes(&error)))?;
        Ok((events.len(), bytes))
    }
}

/// A part of an export.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartFacts {
    /// Its name.
    #[schema(examples("2026-06-13.0.parquet"))]
    name: String,
    /// Where it is: a path on this server.
    #[schema(examples("/api/external/v1/export/0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b/events/2026-06-13.0.parquet"))]
    url: String,
    /// How many rows it has.
    #[schema(examples(48_210))]
    rows: usize,
    /// How many bytes it has.
    #[schema(examples(1_204_113))]
    bytes: usize,
    /// The SHA-256 of its bytes, in hexadecimal; in quotes, its entity tag.
    #[schema(examples("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))]
    sha256: String,
}

/// A column of the parts.
#[derive(Debug, Serialize, ToSchema)]
pub struct ColumnFacts {
    /// Its name.
    #[schema(examples("path"))]
    name: &'static str,
    /// `timestamp` (milliseconds, UTC) or `string`.
    #[schema(examples("string"))]
    r#type: &'static str,
    /// Whether a row may have nothing there.
    is_optional: bool,
    /// What it means.
    #[schema(examples("The path of the page, without query and fragment."))]
    description: &'static str,
}

fn columns() -> Vec<ColumnFacts> {
    let facts = PART_COLUMNS.iter().map(|column| ColumnFacts {
        name: column.name,
        r#type: if column.kind == ColumnKind::Instant { "timestamp" } else { "string" },
        is_optional: column.kind == ColumnKind::OptionalString,
        description: column.description,
    });
    facts.collect()
}

/// An export: its parts, and the columns that they have.
#[derive(Debug, Serialize, ToSchema)]
pub struct Manifest {
    /// The website.
    website: WebsiteName,
    /// The first instant.
    from: Instant,
    /// The last instant.
    to: Instant,
    /// Whether the properties in which people told about themselves are there.
    traits: bool,
    /// The columns of every part, in their order.
    columns: Vec<ColumnFacts>,
    /// The parts, the oldest first. A day without events has none.
    parts: Vec<PartFacts>,
    /// How many rows all parts have.
    #[schema(examples(1_310_022))]
    total_rows: usize,
}

/// The export of events `website` for `key`.
struct Export {
    state: web::Data<AppState>,
    website: Arc<Website>,
    asking: Asking,
    traits: Traits,
}

impl Export {
    /// Traits need more than the events do.
    fn of(key: &Authorized<ExportEvents>, state: &web::Data<AppState>, traits: Traits) -> Result<Self, ApiError> {
        if traits == Traits::Included {
            key.may_also(state, Action::ExportTraits)?;
        }
        Ok(Self { state: state.clone(), website: Arc::clone(&key.resource), asking: key.asking(), traits })
    }

    /// Every part of `dates`.
    async fn parts(&self, dates: Dates) -> Result<Vec<Part>, ApiError> {
        let id = self.website.id;
        let (range, zone) = (dates.range(&Zone::utc()), Zone::utc());
        let days = self.state.queries.run(self.asking, move |asker| {
            let question = Question::Series { interval: Interval::Day, zone };
            Ok(asker.any(id, &Asked::new(range, question))?.into_series()?.points)
        });
        let parts = days.await?.into_iter().flat_map(|day| {
            let rows = usize::try_from(day.metrics.events).unwrap_or(usize::MAX);
            let date = Zone::utc().civil_day(day.bucket.from);
            (0..rows.div_ceil(PART_ROWS)).map(move |number| Part { day: date, number })
        });
        Ok(parts.collect())
    }

    async fn make(&self, part: Part) -> Result<(usize, Vec<u8>), ApiError> {
        let (id, traits) = (self.website.id, self.traits);
        self.state.queries.run(self.asking, move |asker| part.make(asker, id, traits)).await
    }

    async fn facts(&self, part: Part) -> Result<PartFacts, ApiError> {
        let (rows, bytes) = self.make(part).await?;
        let name = part.name();
        let with_traits = if self.traits == Traits::Included { "?traits=1" } else { "" };
        let url = format!("/api/external/v1/export/{}/events/{name}{with_traits}", self.website.id);
        Ok(PartFacts { name, url, rows, bytes: bytes.len(), sha256: sha256(&bytes) })
    }

    fn audit(&self, key: &Authorized<ExportEvents>, what: &str, req: &HttpRequest) {
        let kind = if self.traits == Traits::Included { "traits" } else { "events" };
        audit::note(&key.caller.credential, self.website.id, kind, what, req);
    }
}

/// `GET /export/:websiteId/events`: the parts with their rows and their digests. Each part is made to tell them, one after
/// the other while the answer is sent; when one fails, the connection ends within the body.
pub async fn manifest(
    key: Authorized<ExportEvents>,
    state: web::Data<AppState>,
    query: Query<ManifestParams>,
    req: HttpRequest,
) -> Result<ManifestAnswer, ApiError> {
    let now = state.clock.now();
    let ManifestParams { dates, traits } = query.read(now)?;
    let export = Export::of(&key, &state, traits)?;
    let parts = export.parts(dates).await?;
    export.audit(&key, "manifest", &req);
    let range = dates.range(&Zone::utc());
    let head = Manifest {
        website: WebsiteName::of(&export.website),
        from: Instant(range.from),
        to: Instant(range.to.plus_millis(-1)),
        traits: traits == Traits::Included,
        columns: columns(),
        parts: Vec::new(),
        total_rows: 0,
    };
    let head = serde_json::to_string(&head).map_err(|_impossible| ApiError::internal())?;
    // What stands before the parts; they follow, and then what comes after them.
    let Some((before, _)) = head.split_once("\"parts\":[") else { return Err(ApiError::internal()) };
    let before = format!("{{\"success\":true,\"data\":{before}\"parts\":[");
    let steps =
        Steps { export, parts: parts.into_iter(), before: Some(before), is_first: true, total_rows: 0, now: Some(now) };
    let body = stream::try_unfold(steps, |mut steps| async move {
        let next = steps.next().await.map_err(aborted)?;
        Ok::<_, std::io::Error>(next.map(|bytes| (bytes, steps)))
    });
    let response = HttpResponse::Ok().content_type("application/json").body(BodyStream::new(Box::pin(body)));
    Ok(ManifestAnswer(response))
}

/// A manifest that is being written.
struct Steps {
    export: Export,
    parts: std::vec::IntoIter<Part>,
    before: Option<String>,
    is_first: bool,
    total_rows: usize,
    /// Until the end is written.
    now: Option<Timestamp>,
}

impl Steps {
    async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        if let Some(before) = self.before.take() {
            return Ok(Some(Bytes::from(before)));
        }
        if let Some(part) = self.parts.next() {
            let facts = self.export.facts(part).await?;
            self.total_rows += facts.rows;
            let facts = serde_json::to_string(&facts).map_err(|_impossible| ApiError::internal())?;
            let comma = if std::mem::take(&mut self.is_first) { "" } else { "," };
            return Ok(Some(Bytes::from(format!("{comma}{facts}"))));
        }
        let Some(now) = self.now.take() else { return Ok(None) };
        Ok(Some(Bytes::from(format!("],\"total_rows\":{}}},\"timestamp\":\"{now}\"}}", self.total_rows))))
    }
}

/// A [`Manifest`] in the envelope, written part by part.
#[derive(Debug)]
pub struct ManifestAnswer(HttpResponse);

impl Responder for ManifestAnswer {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.0
    }
}

impl Reply for ManifestAnswer {
    fn describe(operation: &mut Operation) {
        operation.answers_json::<Manifest>(200, true);
        operation.schema::<Instant>();
    }
}

/// `GET /export/:websiteId/events/:part`: a part, or the bytes of it that `Range` asks for.
pub async fn part(
    key: Authorized<ExportEvents>,
    state: web::Data<AppState>,
    query: Query<PartParams>,
    req: HttpRequest,
) -> Result<PartAnswer, ApiError> {
    let PartParams { traits } = query.read(state.clock.now())?;
    let export = Export::of(&key, &state, traits)?;
    let unknown = || ApiError::not_found("There is no such part");
    let part = req.match_info().get("part").and_then(Part::parse).ok_or_else(unknown)?;
    let (rows, bytes) = export.make(part).await?;
    if rows == 0 {
        return Err(unknown());
    }
    export.audit(&key, &part.name(), &req);
    let etag = format!("\"{}\"", sha256(&bytes));
    let mut response = ranges::answer(&req, PARQUET, &etag, bytes)?;
    let name = SheetName::plain(&format!("{}_{}", export.website.domain, part.name()));
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    Ok(PartAnswer(response))
}

/// A Parquet file, or a part of it.
#[derive(Debug)]
pub struct PartAnswer(HttpResponse);

impl Responder for PartAnswer {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.0
    }
}

impl Reply for PartAnswer {
    fn describe(operation: &mut Operation) {
        const TAG: Header = Header {
            name: "ETag",
            description: "The SHA-256 of the file, in quotes.",
            example: "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"",
        };
        let file = || json!({ "type": "string", "format": "binary", "examples": ["PAR1"] });
        operation.answer(200, Answer::new("The file.").content(PARQUET, file()).header(TAG));
        operation.answer(206, Answer::new("The bytes that `Range` asks for.").content(PARQUET, file()).header(TAG));
        operation.answer(304, Answer::new("The file is the one that `If-None-Match` names.").header(TAG));
        operation.reads([
            Parameter::header("Range", "Which bytes, one range.", "bytes=1048576-"),
            Parameter::header(
                "If-Match",
                "The entity tag of the file that a download began with.",
                "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"",
            ),
            Parameter::header(
                "If-Range",
                "The same: another file is answered whole.",
                "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"",
            ),
            Parameter::header(
                "If-None-Match",
                "The entity tag of a file that is there already.",
                "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"",
            ),
        ]);
        operation.refuses([ErrorCode::PreconditionFailed, ErrorCode::RangeNotSatisfiable, ErrorCode::NotFound]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_one_name() {
        let part = Part { day: 20_617, number: 3 };
        assert_eq!(part.name(), "2026-06-13.3.parquet");
        assert_eq!(Part::parse(&part.name()), Some(part));
        for bad in [
            "",
            "2026-06-13.parquet",
            "2026-06-13.03.parquet",
            "2026-06-13.-1.parquet",
            "../2026-06-13.0.parquet",
            "2026-06-13.0.parquet.gz",
            "2026-06-13.+1.parquet",
        ] {
            assert_eq!(Part::parse(bad), None, "{bad}");
        }
    }
}
