//! The API document: OpenAPI 3.1, made from the route table and the types of its handlers, and the pages that show it.
//! Nothing in it is written twice: a route that is in the table is in the document.

mod assemble;
pub mod bodies;
mod changelog;
mod example;
mod operation;
mod page;
mod paths;

use std::sync::LazyLock;

use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;

pub use self::assemble::{assemble, name_of};
pub use self::operation::{Answer, ErrorForm, Header, Operation, Parameter, Place, pattern, to_json};
use super::envelope::ApiError;
use super::guard::Public;
use super::handler::{Described, Html, Shape};
use super::packed::Packed;
use super::routes;

/// The document of this server's routes.
///
/// # Errors
/// What is missing in a route: a tag, an example, the description of a part of its path. The tests make it, so that no
/// server meets it.
pub fn document() -> Result<&'static Value, &'static str> {
    static DOCUMENT: LazyLock<Result<Value, String>> = LazyLock::new(|| assemble(routes::all()));
    DOCUMENT.as_ref().map_err(String::as_str)
}

/// The document as it is sent, printed and committed: JSON, indented.
///
/// # Errors
/// As [`document`].
pub fn text() -> Result<String, &'static str> {
    let text = serde_json::to_string_pretty(document()?).map_err(|_never| "not JSON")?;
    Ok(text + "\n")
}

/// Caches keep the document and its pages for five minutes, then ask whether they changed.
const CACHING: &str = "public, max-age=300, must-revalidate";

/// What the pages may load: the style from here, and nothing else.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn page(html: Result<String, &'static str>) -> Option<Packed> {
    let packed = Packed::new(html.ok()?.into_bytes(), "text/html; charset=utf-8")?;
    Some(packed.with_policy(PAGE_POLICY))
}

fn send(packed: Option<&Packed>, req: &HttpRequest) -> Result<HttpResponse, ApiError> {
    Ok(packed.ok_or_else(ApiError::internal)?.respond(req, CACHING))
}

/// The API document.
#[derive(Debug)]
pub struct OpenApi;

impl Shape for OpenApi {
    fn describe(operation: &mut Operation) {
        let example = serde_json::json!({ "openapi": "3.1.0", "info": {}, "paths": {} });
        let schema = serde_json::json!({ "type": "object", "examples": [example] });
        let answer = Answer::new("This document").content("application/json", schema);
        operation.answer(200, answer);
        operation.can_be_cached();
    }
}

/// `GET /api/external/v1/openapi.json`.
pub async fn openapi(_: Public, req: HttpRequest) -> Result<Described<OpenApi>, ApiError> {
    static PACKED: LazyLock<Option<Packed>> =
        LazyLock::new(|| Packed::new(text().ok()?.into_bytes(), "application/json"));
    send(PACKED.as_ref(), &req).map(Described::from)
}

/// A page that does not change while the server runs.
#[derive(Debug)]
pub struct StaticHtml;

impl Shape for StaticHtml {
    fn describe(operation: &mut Operation) {
        Html::describe(operation);
        operation.can_be_cached();
    }
}

/// `GET /docs/api`: the document for people.
pub async fn reference(_: Public, req: HttpRequest) -> Result<Described<StaticHtml>, ApiError> {
    static PACKED: LazyLock<Option<Packed>> = LazyLock::new(|| page(document().map(page::reference)));
    send(PACKED.as_ref(), &req).map(Described::from)
}

/// `GET /docs/changelog`: what changed, for people.
pub async fn changes(_: Public, req: HttpRequest) -> Result<Described<StaticHtml>, ApiError> {
    static PACKED: LazyLock<Option<Packed>> = LazyLock::new(|| page(Ok(page::changelog(changelog::TEXT))));
    send(PACKED.as_ref(), &req).map(Described::from)
}

/// A style sheet.
#[derive(Debug)]
pub struct Css;

impl Shape for Css {
    fn describe(operation: &mut Operation) {
        operation.answer(200, Answer::new("A style sheet").text("text/css", "body{margin:0}"));
        operation.can_be_cached();
    }
}

/// `GET /docs/style.css`: how the pages look.
pub async fn style(_: Public, req: HttpRequest) -> Result<Described<Css>, ApiError> {
    static PACKED: LazyLock<Option<Packed>> =
        LazyLock::new(|| Packed::new(include_bytes!("style.css").to_vec(), "text/css; charset=utf-8"));
    send(PACKED.as_ref(), &req).map(Described::from)
}
