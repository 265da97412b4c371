//! How clients are refused: the errors of OAuth (RFC 6749 §5.2, RFC 7591 §3.2.2).

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;
use zenovay_domain::ErrorCode;
use zenovay_store::ExchangeRefusal;

use super::params::FromClient;
use crate::http::envelope::ApiError;

/// An error that clients know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OAuthError {
    /// Something is missing, twice, or malformed.
    InvalidRequest,
    /// Nobody knows the client, or it is not the one that it says.
    InvalidClient,
    /// The code or token does not hold.
    InvalidGrant,
    /// More is wanted than can be had.
    InvalidScope,
    /// Tokens are not made for this resource.
    InvalidTarget,
    /// Such a grant is not made.
    UnsupportedGrantType,
    /// Such an answer is not given.
    UnsupportedResponseType,
    /// The person said no.
    AccessDenied,
    /// An address to send people back to cannot be one.
    InvalidRedirectUri,
    /// A client's registration breaks a rule.
    InvalidClientMetadata,
    /// The token that comes with the request does not hold.
    InvalidToken,
    /// Not now.
    TemporarilyUnavailable,
    /// The server failed.
    ServerError,
}

impl OAuthError {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::AccessDenied => "access_denied",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::InvalidToken => "invalid_token",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
        }
    }

    /// The error that a client knows for what happens to any request.
    const fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Unauthorized => Self::InvalidToken,
            ErrorCode::RateLimitExceeded | ErrorCode::ServiceUnavailable => Self::TemporarilyUnavailable,
            ErrorCode::InternalError => Self::ServerError,
            _ => Self::InvalidRequest,
        }
    }
}

/// An error of OAuth (RFC 6749 §5.2).
#[derive(Debug, Serialize, ToSchema)]
pub struct OAuthErrorBody<'a> {
    /// What went wrong, by the name that clients know.
    #[schema(examples("invalid_request"))]
    error: &'static str,
    /// The same in words, for whoever wrote the client.
    #[schema(examples("code_verifier is missing"))]
    error_description: &'a str,
}

impl<'a> OAuthErrorBody<'a> {
    /// What happens to any request, in the words of OAuth.
    pub fn of(error: &'a ApiError) -> Self {
        Self { error: OAuthError::of(error.code()).as_str(), error_description: error.message() }
    }
}

/// The answer to a client whose request meets what any request may meet.
pub fn refuse(error: &ApiError) -> HttpResponse {
    error.answer().insert_header((header::CACHE_CONTROL, "no-store")).json(OAuthErrorBody::of(error))
}

/// A refusal with words for whoever wrote the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthRefusal {
    /// The error.
    pub error: OAuthError,
    /// In words.
    pub description: Cow<'static, str>,
}

impl OAuthRefusal {
    /// A refusal.
    pub fn new(error: OAuthError, description: impl Into<Cow<'static, str>>) -> Self {
        Self { error, description: description.into() }
    }

    /// The answer to a program.
    pub fn respond(&self) -> HttpResponse {
        let status = match self.error {
            OAuthError::InvalidClient => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        HttpResponse::build(status)
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(OAuthErrorBody { error: self.error.as_str(), error_description: &self.description })
    }
}

impl From<ExchangeRefusal> for OAuthRefusal {
    fn from(refusal: ExchangeRefusal) -> Self {
        let error = match refusal {
            ExchangeRefusal::OtherResource => OAuthError::InvalidTarget,
            ExchangeRefusal::ScopeTooWide => OAuthError::InvalidScope,
            _ => OAuthError::InvalidGrant,
        };
        Self::new(error, refusal.to_string())
    }
}

/// What a client is asked for that showed a wrong secret in a header.
const BASIC: &str = "Basic realm=\"zenovay\"";

/// Why a request of a program is not answered as it wished.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is told in the words of OAuth.
    OAuth(OAuthRefusal),
    /// It is what any request may meet.
    Api(Box<ApiError>),
}

impl From<OAuthRefusal> for Refused {
    fn from(refusal: OAuthRefusal) -> Self {
        Self::OAuth(refusal)
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Api(Box::new(error))
    }
}

impl Refused {
    /// The answer.
    ///
    /// # Errors
    /// Those that the outermost layer writes.
    pub(super) fn respond(self) -> Result<HttpResponse, ApiError> {
        match self {
            Self::OAuth(refusal) => Ok(refusal.respond()),
            Self::Api(error) => Err(*error),
        }
    }

    /// The answer to a client that had to show who it is. One that is not known and showed itself in a header is told in a header, too
    /// (RFC 6749 §5.2).
    ///
    /// # Errors
    /// As [`Refused::respond`].
    pub(super) fn respond_to_client(self, sent: &FromClient) -> Result<HttpResponse, ApiError> {
        let mut response = self.respond()?;
        if sent.uses_header() && response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(BASIC));
        }
        Ok(response)
    }
}
