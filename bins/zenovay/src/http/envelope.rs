//! The two shapes of every JSON answer: the success envelope (SPEC B3) and the one error body (SPEC B5).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Responder, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;
use zenovay_domain::{ErrorCode, Scope, Timestamp};

use super::document::Operation;
use super::handler::Reply;
use super::values::{ErrorCodeName, Instant, Problems};

/// The answer of every endpoint that succeeds. `data` is always an object (SPEC B3).
#[derive(Debug, Serialize)]
pub struct Success<T> {
    success: bool,
    data: T,
    timestamp: Instant,
}

impl<T: Serialize> Success<T> {
    /// `data` in the envelope, answered at `now`.
    pub fn new(data: T, now: Timestamp) -> Self {
        Self { success: true, data, timestamp: Instant(now) }
    }
}

impl<T: Serialize> Responder for Success<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok().json(self)
    }
}

impl<T: Serialize + ToSchema + 'static> Reply for Success<T> {
    fn describe(operation: &mut Operation) {
        operation.answers_json::<T>(200, true);
        operation.schema::<Instant>();
    }
}

/// What else is known about an error: a string, or a string for each wrong field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Details {
    /// One sentence.
    #[schema(value_type = String)]
    Text(Cow<'static, str>),
    /// Field or parameter name → what is wrong with it.
    Fields(Problems),
}

/// What the `WWW-Authenticate` header asks for (RFC 6750).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// No credential came: `Bearer` alone.
    Missing,
    /// Nobody is signed in: `Session`, of which browsers do not make a dialog of their own.
    SignIn,
    /// The credential is not valid: `error="invalid_token"`.
    Invalid,
    /// The credential lacks this scope: `error="insufficient_scope"`.
    Scope(Scope),
    /// An access token is needed, or another one (RFC 9728).
    Token(TokenChallenge),
}

/// What is said to a client that needs a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenChallenge {
    /// What is wrong with the one that came.
    pub error: Option<&'static str>,
    /// Where it is said how to get one.
    pub metadata: String,
    /// The scopes to ask for.
    pub scope: String,
}

/// A refusal or failure on its way to the client. Handlers return it; the outermost layer writes the body, because it
/// alone knows the request id and the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    code: ErrorCode,
    message: Cow<'static, str>,
    details: Option<Details>,
    retry_after_s: Option<u64>,
    // In boxes: every handler's result has room for an error.
    challenge: Option<Box<Challenge>>,
    allow: Option<Box<str>>,
}

impl ApiError {
    /// An error with `code` and a message for people.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: None, retry_after_s: None, challenge: None, allow: None }
    }

    /// A 400 that names one wrong parameter or field.
    pub fn invalid(field: &str, problem: impl Into<String>) -> Self {
        Self::invalid_fields(BTreeMap::from([(field.to_owned(), problem.into())]))
    }

    /// A 400 that names every wrong parameter or field.
    pub fn invalid_fields(fields: BTreeMap<String, String>) -> Self {
        let message = match fields.first_key_value() {
            Some((field, problem)) if fields.len() == 1 => format!("Invalid {field}: {problem}"),
            _ => "Some fields are not valid".to_owned(),
        };
        Self::new(ErrorCode::ValidationError, message).with_details(Details::Fields(Problems(fields)))
    }

    /// A 422 that names every field of a body that breaks a rule (S4).
    pub fn unprocessable(fields: BTreeMap<String, String>) -> Self {
        Self::invalid_fields(fields).with_code(ErrorCode::InvalidFields)
    }

    /// A 404 for an unknown route or resource.
    pub fn not_found(message: &'static str) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    /// A 503 that asks the client to come back in `retry_after_s` seconds.
    pub fn unavailable(message: &'static str, retry_after_s: u64) -> Self {
        Self::new(ErrorCode::ServiceUnavailable, message).with_retry_after(retry_after_s)
    }

    /// A 500 that tells nothing.
    pub fn internal() -> Self {
        Self::new(ErrorCode::InternalError, "Internal server error")
    }

    /// The same with details.
    #[must_use]
    pub fn with_details(mut self, details: Details) -> Self {
        self.details = Some(details);
        self
    }

    /// The same with a `Retry-After` of `seconds`.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The same with a `WWW-Authenticate` challenge.
    #[must_use]
    pub fn with_challenge(mut self, challenge: Challenge) -> Self {
        self.challenge = Some(Box::new(challenge));
        self
    }

    /// The same, for somebody who is not signed in.
    #[must_use]
    pub fn with_sign_in_challenge(self) -> Self {
        self.with_challenge(Challenge::SignIn)
    }

    /// The same with an `Allow` header.
    #[must_use]
    pub fn with_allow(mut self, methods: String) -> Self {
        self.allow = Some(methods.into_boxed_str());
        self
    }

    /// The code on the wire.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The same with another code.
    #[must_use]
    pub fn with_code(mut self, code: ErrorCode) -> Self {
        self.code = code;
        self
    }

    /// What is wrong with a field, when this names it.
    pub fn problem_of(&self, field: &str) -> Option<&str> {
        match &self.details {
            Some(Details::Fields(problems)) => problems.0.get(field).map(String::as_str),
            _ => None,
        }
    }

    /// Whether it is the refusal of a request without any key.
    pub fn is_without_key(&self) -> bool {
        self.challenge.as_deref() == Some(&Challenge::Missing)
    }

    /// The seconds after which the client may come back.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.retry_after_s
    }

    /// The message for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What else is known about it.
    pub fn details(&self) -> Option<&Details> {
        self.details.as_ref()
    }

    /// What stands in for an answer that was made without an [`ApiError`], such as a refusal by the HTTP library.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found("Not found"),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(ErrorCode::MethodNotAllowed, "Method not allowed"),
            StatusCode::REQUEST_TIMEOUT => Self::new(ErrorCode::RequestTimeout, "The request took too long to arrive"),
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(ErrorCode::PayloadTooLarge, "The body is too large"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Self::new(ErrorCode::UnsupportedMediaType, "This content type is not accepted here")
            }
            status if status.is_client_error() => Self::new(ErrorCode::ValidationError, "Bad request"),
            _ => Self::internal(),
        }
    }

    /// The complete answer: status, headers and the superset body of SPEC B5.
    pub fn render(&self, now: Timestamp, request_id: &str) -> HttpResponse {
        self.answer().json(self.body(now, request_id))
    }

    /// The answer with its status and headers, for a body of another kind.
    pub fn answer(&self) -> HttpResponseBuilder {
        let mut response = HttpResponse::build(self.status_code());
        self.put_headers(&mut response);
        response
    }

    /// The body alone.
    pub fn body<'a>(&'a self, now: Timestamp, request_id: &'a str) -> ErrorBody<'a> {
        let code = ErrorCodeName(self.code);
        ErrorBody {
            success: false,
            error: ErrorFacts {
                message: &self.message,
                code,
                timestamp: Instant(now),
                r#type: self.code.legacy_type(),
                retry_after: self.retry_after_s.filter(|_| self.status_code() == StatusCode::TOO_MANY_REQUESTS),
                details: self.details.as_ref(),
                request_id,
            },
            code,
            message: &self.message,
            details: self.details.as_ref(),
            timestamp: Instant(now),
        }
    }

    fn put_headers(&self, response: &mut HttpResponseBuilder) {
        if let Some(seconds) = self.retry_after_s {
            response.insert_header(("Retry-After", seconds));
        }
        if let Some(allow) = &self.allow {
            response.insert_header(("Allow", &**allow));
        }
        match self.challenge.as_deref() {
            None => {}
            Some(Challenge::Missing) => {
                response.insert_header(("WWW-Authenticate", "Bearer"));
            }
            Some(Challenge::SignIn) => {
                response.insert_header(("WWW-Authenticate", "Session"));
            }
            Some(Challenge::Invalid) => {
                response.insert_header(("WWW-Authenticate", r#"Bearer error="invalid_token""#));
            }
            Some(Challenge::Scope(scope)) => {
                let value = format!(r#"Bearer error="insufficient_scope", scope="{scope}""#);
                response.insert_header(("WWW-Authenticate", value));
            }
            Some(Challenge::Token(token)) => {
                let TokenChallenge { error, metadata, scope } = token;
                let error = error.map_or_else(String::new, |error| format!(r#"error="{error}", "#));
                let value = format!(r#"Bearer {error}resource_metadata="{metadata}", scope="{scope}""#);
                response.insert_header(("WWW-Authenticate", value));
            }
        }
    }
}

/// Every error. The parts of `error` are repeated beside it, for older clients.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody<'a> {
    /// Always false.
    #[schema(examples(false))]
    success: bool,
    #[schema(value_type = ErrorFacts)]
    error: ErrorFacts<'a>,
    code: ErrorCodeName,
    /// What is wrong, for people.
    #[schema(examples("Invalid range: use one of 24h, 7d, 30d, 90d, 1y"))]
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Details, required = false)]
    details: Option<&'a Details>,
    timestamp: Instant,
}

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorFacts<'a> {
    /// What is wrong, for people.
    #[schema(examples("Invalid range: use one of 24h, 7d, 30d, 90d, 1y"))]
    message: &'a str,
    code: ErrorCodeName,
    timestamp: Instant,
    /// An older name of the code, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, examples("rate_limit_exceeded"))]
    r#type: Option<&'static str>,
    /// Seconds after which to come back; on 429 alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false, examples(12))]
    retry_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Details, required = false)]
    details: Option<&'a Details>,
    /// The id of the request, as in the header `X-Request-Id`.
    #[schema(examples("0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    request_id: &'a str,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        status_of(self.code)
    }

    /// Status only: the outermost layer finds the error beside it and renders it.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

/// The status of an answer with this code.
pub fn status_of(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::MessageBody;

    fn body_of(error: &ApiError) -> serde_json::Value {
        let response = error.render(Timestamp::from_millis(1_781_308_800_000), "req-1");
        let Ok(bytes) = response.into_body().try_into_bytes() else { panic!("a body in memory") };
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn the_body_serves_every_documented_reader() {
        let error = ApiError::new(ErrorCode::RateLimitExceeded, "Slow down").with_retry_after(12);
        assert_eq!(
            body_of(&error),
            serde_json::json!({
                "success": false,
                "error": {
                    "message": "Slow down",
                    "code": "RATE_LIMIT_EXCEEDED",
                    "timestamp": "2026-06-13T00:00:00.000Z",
                    "type": "rate_limit_exceeded",
                    "retry_after": 12,
                    "request_id": "req-1",
                },
                "code": "RATE_LIMIT_EXCEEDED",
                "message": "Slow down",
                "timestamp": "2026-06-13T00:00:00.000Z",
            })
        );
    }

    #[test]
    fn one_wrong_field_is_named_in_the_message_and_several_in_the_details() {
        let one = body_of(&ApiError::invalid("range", "use 24h, 7d, 30d, 90d or 1y"));
        assert_eq!(one["message"], "Invalid range: use 24h, 7d, 30d, 90d or 1y");
        assert_eq!(one["details"]["range"], one["error"]["details"]["range"]);
        let fields = BTreeMap::from([("a".to_owned(), "x".to_owned()), ("b".to_owned(), "y".to_owned())]);
        assert_eq!(body_of(&ApiError::invalid_fields(fields))["details"], serde_json::json!({"a": "x", "b": "y"}));
    }

    #[test]
    fn challenges_follow_rfc_6750() {
        let header = |challenge| {
            let error = ApiError::new(ErrorCode::Unauthorized, "no").with_challenge(challenge);
            let response = error.render(Timestamp::from_millis(0), "r");
            response.headers().get("www-authenticate").unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(header(Challenge::Missing), "Bearer");
        assert_eq!(header(Challenge::Invalid), r#"Bearer error="invalid_token""#);
        assert_eq!(header(Challenge::Scope(Scope::Read)), r#"Bearer error="insufficient_scope", scope="read""#);
    }

    #[test]
    fn retry_after_is_in_the_body_only_on_429() {
        let busy = ApiError::unavailable("The disk is full", 5);
        assert_eq!(body_of(&busy)["error"].get("retry_after"), None);
        let response = busy.render(Timestamp::from_millis(0), "r");
        assert_eq!(response.headers().get("retry-after").unwrap(), "5");
    }
}
