//! The machine-readable error codes of the wire protocol, and the HTTP status of each.

use crate::names::named;

/// The code in `error.code` of an answer. Stable: clients compare it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// A parameter or body that breaks a rule.
    ValidationError,
    /// A field of a body that breaks a rule.
    InvalidFields,
    /// A question about a website that names none.
    MissingSiteId,
    /// No key, or not a valid one; or an unknown tracking code.
    Unauthorized,
    /// The plan of the team has no External API.
    ApiPaidPlanRequired,
    /// A valid credential without the right asked for, or an origin that a website does not allow.
    Forbidden,
    /// An unknown route or resource.
    NotFound,
    /// A known route with another method.
    MethodNotAllowed,
    /// A file that is not the one that a download began with.
    PreconditionFailed,
    /// Bytes that a file does not have.
    RangeNotSatisfiable,
    /// A body larger than its route takes.
    PayloadTooLarge,
    /// A content type or encoding that the route does not take.
    UnsupportedMediaType,
    /// A duplicate of something that must be unique.
    Conflict,
    /// More requests than a per-minute or per-address limit allows.
    RateLimitExceeded,
    /// The monthly quota of the key is used up.
    MonthlyLimitExceeded,
    /// A request whose head is longer than the server reads.
    HeadersTooLarge,
    /// A request that took longer to arrive than its route waits.
    RequestTimeout,
    /// Our fault.
    InternalError,
    /// Not now: the disk is full, a queue is full, or a store cannot be reached.
    ServiceUnavailable,
}

impl ErrorCode {
    /// All codes, for tables in tests and documentation.
    pub const ALL: &'static [Self] = &[
        Self::ValidationError,
        Self::InvalidFields,
        Self::MissingSiteId,
        Self::Unauthorized,
        Self::ApiPaidPlanRequired,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::PreconditionFailed,
        Self::RangeNotSatisfiable,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::Conflict,
        Self::RateLimitExceeded,
        Self::MonthlyLimitExceeded,
        Self::HeadersTooLarge,
        Self::RequestTimeout,
        Self::InternalError,
        Self::ServiceUnavailable,
    ];

    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ValidationError => "VALIDATION_ERROR",
            Self::InvalidFields => "UNPROCESSABLE_ENTITY",
            Self::MissingSiteId => "MISSING_SITE_ID",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::RangeNotSatisfiable => "RANGE_NOT_SATISFIABLE",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::ApiPaidPlanRequired => "API_PAID_PLAN_REQUIRED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::Conflict => "CONFLICT",
            Self::RateLimitExceeded => "RATE_LIMIT_EXCEEDED",
            Self::MonthlyLimitExceeded => "MONTHLY_LIMIT_EXCEEDED",
            Self::HeadersTooLarge => "HEADERS_TOO_LARGE",
            Self::RequestTimeout => "REQUEST_TIMEOUT",
            Self::InternalError => "INTERNAL_ERROR",
            Self::ServiceUnavailable => "SERVICE_UNAVAILABLE",
        }
    }

    /// The HTTP status that an answer with this code has: the one table of it.
    pub const fn status(self) -> u16 {
        match self {
            Self::ValidationError | Self::MissingSiteId => 400,
            Self::Unauthorized => 401,
            Self::ApiPaidPlanRequired | Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::Conflict => 409,
            Self::PreconditionFailed => 412,
            Self::PayloadTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::RangeNotSatisfiable => 416,
            Self::InvalidFields => 422,
            Self::RateLimitExceeded | Self::MonthlyLimitExceeded => 429,
            Self::HeadersTooLarge => 431,
            Self::InternalError => 500,
            Self::ServiceUnavailable => 503,
        }
    }

    /// The lower-case name that older clients of the API compare, sent as `error.type`; some of the codes have one.
    pub const fn legacy_type(self) -> Option<&'static str> {
        match self {
            Self::InvalidFields => Some("validation_error"),
            Self::Unauthorized => Some("invalid_api_key"),
            Self::Forbidden | Self::ApiPaidPlanRequired => Some("insufficient_permissions"),
            Self::RateLimitExceeded | Self::MonthlyLimitExceeded => Some("rate_limit_exceeded"),
            _ => None,
        }
    }
}

named!(ErrorCode, "code");
