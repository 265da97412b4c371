//! `/mcp`: the Model Context Protocol, so that assistants can ask. Clients of every revision are answered at the same address
//! and without sessions; the messages and the rules about their headers are those of the protocol's library.

mod args;
mod call;
mod clean;
mod frame;
mod server;
mod tools;

use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use http_body_util::{BodyExt, Full};
use rmcp::transport::StreamableHttpServerConfig;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use serde_json::{Value, json};
use tokio::sync::SemaphorePermit;
use zenovay_auth::{AccessLevel, ToolCategory};
use zenovay_domain::ErrorCode;
use zenovay_ingest::{Refusal, RefusalReason};

use self::call::Call;
use self::frame::NOT_A_MESSAGE;
use self::server::{Outcome, Server};
use super::audit;
use super::body::{self, Counted};
use super::commitment::Commitment;
use super::document::{Answer, Operation};
use super::envelope::ApiError;
use super::guard::Assistant;
use super::handler::{Argument, Described, Shape};
use super::media_type::require_json;
use super::state::AppState;

/// The longest message.
const MAX_BYTES: usize = 64 * 1024;

/// A message that is not read yet: whose it is comes first.
pub struct Message(web::Payload);

impl FromRequest for Message {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(web::Payload::from_request(req, payload).into_inner().map(Self))
    }
}

impl Argument for Message {
    fn describe(operation: &mut Operation) {
        let schema = json!({
            "type": "object",
            "required": ["jsonrpc", "method"],
            "properties": {
                "jsonrpc": { "type": "string", "const": "2.0" },
                "id": { "type": ["string", "integer"] },
                "method": { "type": "string" },
                "params": { "type": "object" },
            },
            "examples": [{ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }],
        });
        operation.body.insert("application/json", schema);
        operation.refuses([ErrorCode::ValidationError, ErrorCode::RequestTimeout]);
    }
}

/// The answer to a message.
#[derive(Debug)]
pub struct Answered;

impl Shape for Answered {
    fn describe(operation: &mut Operation) {
        let schema = json!({
            "type": "object",
            "required": ["jsonrpc", "id"],
            "properties": {
                "jsonrpc": { "type": "string", "const": "2.0" },
                "id": { "type": ["string", "integer"] },
                "result": { "type": "object" },
                "error": { "type": "object" },
            },
            "examples": [{ "jsonrpc": "2.0", "id": 1, "result": {} }],
        });
        let words = "What was asked for, or an error of the protocol";
        operation.answer(200, Answer::new(words).content("application/json", schema));
        operation.answer(202, Answer::new("A notification came"));
        let schema = json!({
            "type": "object",
            "required": ["jsonrpc", "error"],
            "properties": {
                "jsonrpc": { "type": "string", "const": "2.0" },
                "id": { "type": ["string", "integer", "null"] },
                "error": {
                    "type": "object",
                    "required": ["code", "message"],
                    "properties": { "code": { "type": "integer" }, "message": { "type": "string" } },
                },
            },
            "examples": [{ "jsonrpc": "2.0", "id": null, "error": { "code": -32700, "message": "The body is not JSON" } }],
        });
        let words = "What came is not a message of the protocol, or its headers are of another one";
        operation.answer(400, Answer::new(words).content("application/json", schema.clone()));
        for (status, words) in [(413, "The message is too long"), (415, "What came is not JSON, or is packed")] {
            operation.answer(status, Answer::new(words).content("application/json", schema.clone()));
        }
        let words = "The newest revision has no such method";
        operation.answer(404, Answer::new(words).content("application/json", schema));
    }
}

/// `POST /mcp`: one message of a client.
pub async fn message(
    client: Assistant,
    req: HttpRequest,
    state: web::Data<AppState>,
    message: Message,
) -> Result<Described<Answered>, ApiError> {
    let read = match read(&req, &state, message).await {
        Ok(read) => read,
        // What came is no message: clients of the protocol read its own errors alone.
        Err(refusal) => {
            let refusal = ApiError::from(refusal);
            let status = StatusCode::from_u16(refusal.code().status()).unwrap_or(StatusCode::BAD_REQUEST);
            return match status {
                StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNSUPPORTED_MEDIA_TYPE => Ok(HttpResponse::build(status)
                    .json(frame::refusal(NOT_A_MESSAGE, refusal.message(), &Value::Null))
                    .into()),
                _ => Err(refusal),
            };
        }
    };
    let message = match frame::read(&read.bytes) {
        Ok(message) => web::Bytes::from(message),
        Err(malformed) => return Ok(HttpResponse::BadRequest().json(malformed.answer()).into()),
    };
    let client = Arc::new(client);
    let commitment = req.extensions().get::<Commitment>().cloned().unwrap_or_default();
    let server = Server::new(Call::new(state.clone(), Arc::clone(&client), commitment));
    let answer = ask(&server, req.headers(), message).await?;
    let Outcome { refusal, changes } = server.outcome();
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    for change in changes {
        let (actor, target) = (client.audit_actor(), &change.target);
        audit::begin_named(&req, change.action, change.name, actor, target);
        for (name, value) in &change.details {
            audit::note(&req, name, value);
        }
    }
    Ok(answer.into())
}

/// The bytes of a message.
///
/// # Errors
/// When they are not JSON, or too many, or do not come.
async fn read<'s>(
    req: &HttpRequest,
    state: &'s AppState,
    message: Message,
) -> Result<Counted<Option<SemaphorePermit<'s>>>, Refusal> {
    require_json(req.headers())?;
    if body::encoding(req.headers()).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(Refusal::new(RefusalReason::UnsupportedEncoding, "Content-Encoding is not taken here"));
    }
    state.bodies.read_hit(req, message.0, MAX_BYTES, state.body_timeout).await
}

/// `GET /mcp` and `DELETE /mcp`: there are neither streams nor sessions. Whoever is not known is told so first, because that
/// is how clients find out that they have to become known.
pub async fn nothing_but_messages(_: Assistant) -> Result<Described<NotHere>, ApiError> {
    Err(ApiError::of_status(StatusCode::METHOD_NOT_ALLOWED).with_allow("POST".to_owned()))
}

/// A method that is not taken.
#[derive(Debug)]
pub struct NotHere;

impl Shape for NotHere {
    fn describe(operation: &mut Operation) {
        operation.refuses([ErrorCode::MethodNotAllowed]);
    }
}

/// What the protocol's library answers.
async fn ask(server: &Server, headers: &HeaderMap, message: web::Bytes) -> Result<HttpResponse, ApiError> {
    let mut request = http::Request::builder()
        .method(http::Method::POST)
        .uri("/mcp")
        // The library wants one; the client's was looked at.
        .header(http::header::HOST, "localhost")
        .header(http::header::CONTENT_TYPE, "application/json")
        // Clients say that they accept anything, or one of the two types, or nothing: all of them read JSON.
        .header(http::header::ACCEPT, "application/json, text/event-stream");
    for (name, value) in headers.iter().filter(|(name, _)| name.as_str().starts_with("mcp-")) {
        request = request.header(name.as_str(), value.as_bytes());
    }
    let request = request.body(Full::new(message.clone())).map_err(|_| ApiError::of_status(StatusCode::BAD_REQUEST))?;
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_BYTES)
        .disable_allowed_hosts();
    let server = server.clone();
    let service = StreamableHttpService::new(move || Ok(server.clone()), Arc::<NeverSessionManager>::default(), config);
    let (head, body) = service.handle(request).await.into_parts();
    let Ok(body) = body.collect().await;
    let body = body.to_bytes();
    let status = StatusCode::from_u16(head.status.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    // It depends on whose token came, whatever the message itself says of that.
    response.insert_header((CACHE_CONTROL, "no-store"));
    if let Some(allow) = head.headers.get(http::header::ALLOW) {
        response.insert_header((ALLOW, allow.as_bytes()));
    }
    let kind = head.headers.get(http::header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    match kind {
        _ if body.is_empty() => Ok(response.body(body)),
        Some(kind) if kind.starts_with(b"application/json") => {
            response.insert_header((CONTENT_TYPE, kind));
            Ok(response.body(body))
        }
        // What the library says of headers that are wrong, such as an unknown revision, it says in plain words.
        _ => {
            let asked = serde_json::from_slice::<Value>(&message).unwrap_or_default();
            Ok(response.json(frame::refusal(NOT_A_MESSAGE, &String::from_utf8_lossy(&body), &asked["id"])))
        }
    }
}

/// A tool as the documentation lists it.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// Its name.
    pub name: &'static str,
    /// What a client needs for it: a category with its level, or nothing.
    pub needs: Needs,
    /// What it does.
    pub words: &'static str,
}

/// What a client needs for a tool.
#[derive(Debug, Clone, Copy)]
pub struct Needs(Option<ToolCategory>, AccessLevel);

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(category) => write!(f, "`{}:{}`", category.as_str(), self.1.as_str()),
            None => f.write_str("–"),
        }
    }
}

/// Every tool, in the order in which clients are told of them.
pub fn catalogue() -> impl Iterator<Item = Listed> {
    tools::all().iter().map(tools::Entry::listed)
}
