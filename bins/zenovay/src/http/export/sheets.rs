//! Lists as CSV and NDJSON: all rows in one answer, read page by page while it is sent, so that memory does not depend on
//! how many there are.

use std::fmt::Display;
use std::future::{Future, Ready, ready};

use actix_web::body::{BodyStream, BoxBody};
use actix_web::dev::Payload;
use actix_web::http::header::{ACCEPT, CONTENT_DISPOSITION, HeaderMap, HeaderValue, LINK, VARY};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, HttpResponse, Responder};
use futures_util::stream;
use serde::Serialize;
use serde_json::{Value, json};
use zenovay_domain::{TimeRange, Timestamp, Website, Zone};
use zenovay_export::Sheet;

use crate::http::document::{Header, Operation};
use crate::http::envelope::ApiError;
use crate::http::handler::{Argument, Reply};
use crate::http::params::{Params, QueryParams};

/// Rows that are read at a time. A thousand rows of the longest values are some megabytes.
pub const PAGE_ROWS: usize = 1_000;

/// How a list is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A page, in the envelope.
    Json,
    /// All rows as CSV.
    Csv,
    /// All rows, one JSON object a line.
    Ndjson,
}

const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";
/// All rows of a list as one JSON array. Not `application/json`, which is a page in the envelope.
const ROWS: &str = "application/vnd.zenovay.rows+json";

impl Format {
    /// Reads `format`.
    pub fn read(params: &mut Params) -> Option<Self> {
        let words = "`csv` or `ndjson`: all rows in one file, without pages. The header `Accept` says the same where this is \
                     absent.";
        match params.one_of("format", &["json", "csv", "ndjson"], None, words)? {
            "csv" => Some(Self::Csv),
            "ndjson" => Some(Self::Ndjson),
            _ => Some(Self::Json),
        }
    }

    /// Reads `format` of a list whose JSON can be a file, too.
    pub fn read_file(params: &mut Params) -> Option<Self> {
        let words = "`csv`, `json` or `ndjson`: all rows in one file, without pages and without the envelope (JSON as \
                     `application/vnd.zenovay.rows+json`), however long it takes. The header `Accept` says the same of `text/csv` and `application/x-ndjson` where this is absent.";
        match params.one_of("format", &["csv", "json", "ndjson"], None, words)? {
            "csv" => Some(Self::Csv),
            "ndjson" => Some(Self::Ndjson),
            _ => Some(Self::Json),
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Json => ROWS,
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => NDJSON,
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
        }
    }
}

/// How a list is to be answered, and how many rows a file of it has at most.
#[derive(Debug, Clone, Copy)]
pub struct Formatted {
    /// What `format` says.
    pub format: Option<Format>,
    /// `limit`, which files have no maximum of; all rows without it.
    pub rows: usize,
}

impl QueryParams for Formatted {
    fn read(params: &mut Params, _: Timestamp) -> Self {
        let rows = params.get("limit").and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
        Self { format: Format::read(params), rows }
    }
}

/// What the client would rather have, by the header `Accept`.
#[derive(Debug, Clone, Copy)]
pub struct Accept(Format);

impl Accept {
    /// The format to answer in, when `asked` is what the query says.
    pub fn or(self, asked: Option<Format>) -> Format {
        asked.unwrap_or(self.0)
    }

    /// The file that is wanted, if it is one, when `asked` is what the query says: JSON is a file when it is asked for by name.
    pub fn file(self, asked: Option<Format>) -> Option<Format> {
        asked.or(Some(self.0).filter(|format| *format != Format::Json))
    }

    /// The first of the formats that the header likes best; JSON when it names none of them.
    fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).filter_map(|value| value.to_str().ok());
        let mut best = (Format::Json, 0.0);
        for part in values.flat_map(|value| value.split(',')) {
            let mut parts = part.split(';').map(str::trim);
            let format = match parts.next().unwrap_or("").to_ascii_lowercase().as_str() {
                CSV => Format::Csv,
                NDJSON | "application/ndjson" | "application/jsonl" => Format::Ndjson,
                "application/json" | "application/*" | "*/*" => Format::Json,
                _ => continue,
            };
            let quality =
                parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |text| text.parse::<f32>().ok());
            let quality = quality.unwrap_or(0.0);
            if quality > best.1 {
                best = (format, quality);
            }
        }
        Self(best.0)
    }
}

impl FromRequest for Accept {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(req.headers())))
    }
}

impl Argument for Accept {}

/// The name of a file, without its extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SheetName(String);

impl SheetName {
    /// The name of a list of a website and a range, with its days in UTC.
    pub fn of(website: &Website, list: &str, range: TimeRange) -> Self {
        let utc = Zone::utc();
        let last = range.to.plus_millis(-1).max(range.from);
        Self::plain(&format!("{}_{list}_{}_{}", website.domain, utc.format_date(range.from), utc.format_date(last)))
    }

    /// A name; what might mean something to a file system is left out.
    pub fn plain(name: &str) -> Self {
        let harmless = |character: char| character.is_ascii_alphanumeric() || ".-_".contains(character);
        Self(name.chars().map(|character| if harmless(character) { character } else { '_' }).collect())
    }
}

impl Display for SheetName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A list: a page of it as JSON, or all of it as a file. `AS_ROWS` says that one of the files is JSON.
#[derive(Debug)]
pub enum Listed<T, const AS_ROWS: bool = false> {
    /// A page.
    Json(T),
    /// A file.
    Sheet(HttpResponse),
}

/// A list whose files may be JSON.
pub type Exported<T> = Listed<T, true>;

impl<T, const AS_ROWS: bool> Listed<T, AS_ROWS> {
    /// All of `rows`, which are flat JSON objects, as a file with these columns.
    pub fn sheet(format: Format, name: &SheetName, columns: Vec<String>, rows: &[Value]) -> Self {
        let lines = Lines::new(format, columns);
        let mut bytes = lines.begin();
        lines.append(rows, true, &mut bytes);
        bytes.extend_from_slice(lines.end());
        Self::Sheet(response(format, name).body(bytes))
    }

    /// All of `rows` as a file with these columns, which are the names of their members.
    pub fn file<R: Serialize>(format: Format, name: &SheetName, columns: &[&str], rows: &[R]) -> Self {
        Self::sheet(format, name, columns.iter().map(|&column| column.to_owned()).collect(), &values(rows))
    }

    /// The same with a header `Link`, if it is a file.
    #[must_use]
    pub fn with_link(mut self, link: Option<&'static str>) -> Self {
        if let (Self::Sheet(response), Some(link)) = (&mut self, link) {
            response.headers_mut().insert(LINK, HeaderValue::from_static(link));
        }
        self
    }

    /// All rows as a file. `next_page` gives the rows of a page and what to go on with, if there are more: first for nothing,
    /// then for what came with the page before.
    ///
    /// The first page is read before anything is sent. When a later one fails, the connection ends within the body, so that
    /// nobody takes a part for the whole.
    ///
    /// # Errors
    /// What the first page fails with.
    pub async fn stream<P, Next, Page>(
        format: Format,
        name: &SheetName,
        columns: Vec<String>,
        next_page: Next,
    ) -> Result<Self, ApiError>
    where
        P: 'static,
        Next: Fn(Option<P>) -> Page + 'static,
        Page: Future<Output = Result<(Vec<Value>, Option<P>), ApiError>> + 'static,
    {
        let lines = Lines::new(format, columns);
        let writing = lines.clone();
        let next_piece = move |place: Option<P>| {
            let (is_first, page, lines) = (place.is_none(), next_page(place), writing.clone());
            async move {
                let (rows, place) = page.await?;
                let mut bytes = Vec::new();
                lines.append(&rows, is_first, &mut bytes);
                Ok((bytes, place))
            }
        };
        Self::pieces(format, name, lines, next_piece).await
    }

    /// The same of rows that are written already, with [`Lines::append`] of `lines`.
    ///
    /// # Errors
    /// What the first piece fails with.
    pub async fn pieces<P, Next, Written>(
        format: Format,
        name: &SheetName,
        lines: Lines,
        next_piece: Next,
    ) -> Result<Self, ApiError>
    where
        P: 'static,
        Next: Fn(Option<P>) -> Written + 'static,
        Written: Future<Output = Result<(Vec<u8>, Option<P>), ApiError>> + 'static,
    {
        let (rows, place) = next_piece(None).await?;
        let mut first = lines.begin();
        first.extend_from_slice(&rows);
        drop(rows);
        let pieces = stream::try_unfold(Piece::Ready(Bytes::from(first), place), move |next| {
            let piece = match next {
                Piece::Page(place) => Ok(next_piece(Some(place))),
                other => Err(other),
            };
            let end = lines.end();
            async move {
                Ok::<_, std::io::Error>(match piece {
                    Ok(piece) => {
                        let (rows, place) = piece.await.map_err(aborted)?;
                        // Nothing comes after a page without rows.
                        let place = place.filter(|_| !rows.is_empty());
                        Some((Bytes::from(rows), Piece::after(place)))
                    }
                    Err(Piece::Ready(bytes, place)) => Some((bytes, Piece::after(place))),
                    Err(Piece::End) if !end.is_empty() => Some((Bytes::from_static(end), Piece::Done)),
                    Err(_) => None,
                })
            }
        });
        Ok(Self::Sheet(response(format, name).body(BodyStream::new(Box::pin(pieces)))))
    }
}

/// What a stream of pages sends next.
enum Piece<P> {
    /// These bytes, and then the page at this place.
    Ready(Bytes, Option<P>),
    /// The page at this place.
    Page(P),
    /// What stands behind the last row.
    End,
    /// Nothing.
    Done,
}

impl<P> Piece<P> {
    fn after(place: Option<P>) -> Self {
        place.map_or(Self::End, Self::Page)
    }
}

/// How rows become a file.
#[derive(Debug, Clone)]
pub struct Lines {
    sheet: Sheet,
    /// Whether they are one JSON array.
    is_array: bool,
}

impl Lines {
    /// Those of a file with these columns.
    pub fn new(format: Format, columns: Vec<String>) -> Self {
        let sheet = match format {
            Format::Csv => Sheet::csv(columns),
            Format::Ndjson | Format::Json => Sheet::ndjson(),
        };
        Self { sheet, is_array: format == Format::Json }
    }

    /// Appends `rows`, flat JSON objects, to `bytes`; `is_first` says that they are the first of the file.
    pub fn append(&self, rows: &[Value], is_first: bool, bytes: &mut Vec<u8>) {
        for (number, row) in rows.iter().enumerate() {
            if self.is_array && !(is_first && number == 0) {
                bytes.push(b',');
            }
            self.sheet.append(row, bytes);
        }
    }

    /// What stands before the first row.
    fn begin(&self) -> Vec<u8> {
        let mut begin = self.sheet.head();
        if self.is_array {
            begin.extend_from_slice(b"[\n");
        }
        begin
    }

    /// What stands behind the last row.
    fn end(&self) -> &'static [u8] {
        if self.is_array { b"]\n" } else { b"" }
    }
}

/// Rows as JSON.
pub fn values<R: Serialize>(rows: &[R]) -> Vec<Value> {
    // Rows have strings as names: they can always be written.
    rows.iter().map(|row| serde_json::to_value(row).unwrap_or_default()).collect()
}

/// Ends a body before its end.
pub fn aborted(error: impl Display) -> std::io::Error {
    tracing::warn!(%error, "an export ended before its end");
    std::io::Error::other("the export failed")
}

fn response(format: Format, name: &SheetName) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    let file = format!("attachment; filename=\"{}.{}\"", name.0, format.extension());
    response
        .content_type(format.media_type())
        .insert_header((CONTENT_DISPOSITION, file))
        .insert_header((VARY, "Accept"));
    response
}

/// The name under which a browser keeps a file.
pub const DISPOSITION: Header = Header {
    name: "Content-Disposition",
    description: "The name for the file.",
    example: "attachment; filename=\"example.com_pages_2026-06-01_2026-06-13.csv\"",
};

impl<T: Responder<Body = BoxBody>, const AS_ROWS: bool> Responder for Listed<T, AS_ROWS> {
    type Body = BoxBody;

    fn respond_to(self, req: &HttpRequest) -> HttpResponse {
        match self {
            Self::Json(page) => page.respond_to(req),
            Self::Sheet(response) => response,
        }
    }
}

impl<T: Reply + Responder<Body = BoxBody>, const AS_ROWS: bool> Reply for Listed<T, AS_ROWS> {
    fn describe(operation: &mut Operation) {
        T::describe(operation);
        if let Some(answer) = operation.answers.get_mut(&200) {
            if AS_ROWS {
                let row = json!({ "type": "object", "additionalProperties": true });
                let rows =
                    json!({ "type": "array", "items": row, "examples": [[{ "country": "DE", "visitors": 420 }]] });
                answer.content.insert(ROWS, rows);
            }
            answer.content.insert(CSV, json!({ "type": "string", "examples": ["country,visitors\r\nDE,420\r\n"] }));
            answer
                .content
                .insert(NDJSON, json!({ "type": "string", "examples": ["{\"country\":\"DE\",\"visitors\":420}\n"] }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::to_bytes;

    fn accepted(value: &str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(value).unwrap());
        Accept::of(&headers).or(None)
    }

    #[test]
    fn what_is_liked_best_is_answered() {
        for (value, format) in [
            ("text/csv", Format::Csv),
            ("application/json, text/csv", Format::Json),
            ("application/json;q=0.5, text/csv", Format::Csv),
            ("text/html, application/x-ndjson;q=0.9, */*;q=0.1", Format::Ndjson),
            ("text/csv;q=0", Format::Json),
            ("text/csv;q=x", Format::Json),
            ("image/png", Format::Json),
            ("*/*", Format::Json),
        ] {
            assert_eq!(accepted(value), format, "{value}");
        }
        assert_eq!(Accept(Format::Csv).or(Some(Format::Json)), Format::Json);
    }

    #[test]
    fn names_of_files_are_harmless() {
        assert_eq!(SheetName::plain("../a b\"\r\n.csv").0, ".._a_b___.csv");
    }

    #[actix_web::test]
    async fn pages_are_one_file() {
        let page = |place: Option<u64>| async move {
            let number = place.unwrap_or(0);
            Ok((vec![json!({ "n": number })], (number < 3).then_some(number + 1)))
        };
        let listed =
            Listed::<HttpResponse, false>::stream(Format::Csv, &SheetName::plain("x"), vec!["n".to_owned()], page)
                .await;
        let Ok(Listed::Sheet(response)) = listed else { panic!("a file") };
        assert_eq!(response.headers().get(CONTENT_DISPOSITION).unwrap(), "attachment; filename=\"x.csv\"");
        assert_eq!(to_bytes(response.into_body()).await.unwrap(), "n\r\n0\r\n1\r\n2\r\n3\r\n");
    }

    /// Sabotage: begin a new array with each page.
    #[actix_web::test]
    async fn pages_are_one_array() {
        for pages in 0..3_u64 {
            let page = move |place: Option<u64>| async move {
                let number = place.unwrap_or(0);
                let rows = if number < pages { vec![json!({ "n": number }), json!({})] } else { Vec::new() };
                Ok((rows, (number + 1 < pages).then_some(number + 1)))
            };
            let name = SheetName::plain("x");
            let listed = Listed::<HttpResponse, false>::stream(Format::Json, &name, Vec::new(), page).await;
            let Ok(Listed::Sheet(response)) = listed else { panic!("a file") };
            let whole: Value = serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap();
            assert_eq!(whole.as_array().unwrap().len() as u64, 2 * pages);
        }
    }

    #[actix_web::test]
    async fn a_page_that_fails_ends_the_connection_and_the_first_one_is_an_error() {
        let page = |place: Option<u64>| async move {
            match place {
                None => Ok((vec![json!({ "n": 0 })], Some(1))),
                Some(_) => Err(ApiError::internal()),
            }
        };
        let name = SheetName::plain("x");
        let listed = Listed::<HttpResponse, false>::stream(Format::Ndjson, &name, Vec::new(), page).await;
        let Ok(Listed::Sheet(response)) = listed else { panic!("a file") };
        assert!(to_bytes(response.into_body()).await.is_err());
        let failing = |_: Option<u64>| async { Err(ApiError::internal()) };
        assert!(Listed::<HttpResponse, false>::stream(Format::Ndjson, &name, Vec::new(), failing).await.is_err());
    }
}
