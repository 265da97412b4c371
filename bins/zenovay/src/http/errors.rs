//! How the errors of the other crates become answers: the one place, matched without wildcard, so that a new variant
//! must be given its answer before the server compiles (which code has which status: [`super::envelope`]).

use zenovay_auth::Denial;
use zenovay_domain::ErrorCode;
use zenovay_events::AppendError;
use zenovay_ingest::{Refusal, RefusalReason};
use zenovay_limits::Decision;
use zenovay_query::QueryError;
use zenovay_store::StoreError;

use super::envelope::{ApiError, Challenge, Details};

/// Seconds after which a client may try again when the reason is over within moments: a queue, a lock, a busy pool.
pub const SOON_S: u64 = 1;
/// Seconds for what passes by itself, but not at once: a disk that is full is looked at every few seconds.
const LATER_S: u64 = 5;
/// Seconds for what needs an operator.
const OPERATOR_S: u64 = 60;

impl From<Denial> for ApiError {
    fn from(denial: Denial) -> Self {
        let error = Self::new(denial.error_code(), denial.message());
        let error = match denial {
            Denial::InvalidKey | Denial::Revoked => error.with_challenge(Challenge::Invalid),
            Denial::MissingScope(scope) => error.with_challenge(Challenge::Scope(scope)),
            Denial::PlanRequired | Denial::WebsiteUnknown | Denial::WebsiteNotReachable | Denial::MembershipLost => {
                error
            }
        };
        match denial.details() {
            Some(details) => error.with_details(Details::Text(details.into())),
            None => error,
        }
    }
}

/// The 401 of a request without any key.
pub fn missing_key() -> ApiError {
    ApiError::new(ErrorCode::Unauthorized, Denial::InvalidKey.message()).with_challenge(Challenge::Missing)
}

impl From<StoreError> for ApiError {
    /// No request changes users, teams, websites or keys, so everything but a row that vanished is our fault; and a
    /// store that cannot be asked is a 503, never a "no".
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(_) => Self::from(Denial::InvalidKey),
            StoreError::DiskFull => Self::unavailable("The disk is full", SOON_S),
            StoreError::Unavailable(cause) | StoreError::Damaged(cause) => {
                tracing::error!(cause, "the metadata store is not available");
                Self::unavailable("The request cannot be checked now", SOON_S)
            }
            StoreError::Invalid { .. }
            | StoreError::Conflict(_)
            | StoreError::PlanLimit { .. }
            | StoreError::LastOwner
            | StoreError::KeyRefused(_)
            | StoreError::KeyRevoked
            | StoreError::Decode { .. }
            | StoreError::NewerSchema(_) => {
                tracing::error!(cause = %error, "the metadata store failed");
                Self::internal()
            }
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            // Nobody is left to read it.
            QueryError::Cancelled => Self::unavailable("The query was cancelled", SOON_S),
            QueryError::TimeExceeded => Self::unavailable("The query takes too long; ask for a shorter range", LATER_S),
            QueryError::MemoryExceeded => {
                Self::unavailable("The query needs too much memory; ask for a shorter range", LATER_S)
            }
            QueryError::Damaged(cause) => {
                tracing::error!(cause, "stored events could not be read");
                Self::unavailable("Stored events cannot be read", OPERATOR_S)
            }
        }
    }
}

impl From<AppendError> for ApiError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::QueueFull => Self::unavailable("The event queue is full", SOON_S),
            AppendError::DiskFull => Self::unavailable("The disk is full", LATER_S),
            AppendError::Busy => Self::unavailable("The event log is busy", SOON_S),
            AppendError::Poisoned => {
                Self::unavailable("Events cannot be stored until the server is restarted", OPERATOR_S)
            }
            AppendError::ShuttingDown => Self::unavailable("The server is shutting down", LATER_S),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let mut error = Self::new(code_of(refusal.reason), refusal.message);
        if error.code() == ErrorCode::ServiceUnavailable {
            error = error.with_retry_after(SOON_S);
        }
        if refusal.fields.is_empty() { error } else { error.with_details(Details::Fields(refusal.fields)) }
    }
}

/// The code of a refused hit or batch.
const fn code_of(reason: RefusalReason) -> ErrorCode {
    match reason {
        RefusalReason::UnknownTrackingCode | RefusalReason::NotAuthorized => ErrorCode::Unauthorized,
        RefusalReason::RateLimited => ErrorCode::RateLimitExceeded,
        RefusalReason::BodyTooLarge => ErrorCode::PayloadTooLarge,
        RefusalReason::UnsupportedEncoding | RefusalReason::UnsupportedMediaType => ErrorCode::UnsupportedMediaType,
        RefusalReason::BodyIncomplete => ErrorCode::RequestTimeout,
        RefusalReason::InvalidEncoding | RefusalReason::InvalidJson | RefusalReason::InvalidField => {
            ErrorCode::ValidationError
        }
        RefusalReason::OriginMissing
        | RefusalReason::DomainNotAuthorized
        | RefusalReason::LocalhostNotAllowed
        | RefusalReason::GpcOptedOut => ErrorCode::Forbidden,
        RefusalReason::QuotaExceeded => ErrorCode::MonthlyLimitExceeded,
        RefusalReason::IdempotencyKeyReused => ErrorCode::Conflict,
        RefusalReason::Overloaded
        | RefusalReason::QueueFull
        | RefusalReason::DiskFull
        | RefusalReason::StoreUnavailable => ErrorCode::ServiceUnavailable,
        RefusalReason::Internal => ErrorCode::InternalError,
    }
}

/// The 429 of a client address.
pub fn address_limited(decision: &Decision) -> ApiError {
    let seconds = decision.retry_after_s;
    ApiError::new(ErrorCode::RateLimitExceeded, format!("Too many requests. Try again in {seconds} seconds"))
        .with_retry_after(seconds.into())
}

/// The 429 of a key's minute, in the words of S0.
pub fn minute_limited(decision: &Decision) -> ApiError {
    let (limit, seconds) = (decision.limit, decision.retry_after_s);
    let message = format!("Rate limit exceeded ({limit} requests/minute). Try again in {seconds} seconds");
    ApiError::new(ErrorCode::RateLimitExceeded, message).with_retry_after(seconds.into())
}

/// The 429 of a key's month.
pub fn month_limited(limit: u64, retry_after_s: u64) -> ApiError {
    ApiError::new(ErrorCode::MonthlyLimitExceeded, format!("Monthly limit exceeded ({limit} requests/month)"))
        .with_retry_after(retry_after_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;
    use zenovay_domain::Scope;

    fn status(error: &ApiError) -> u16 {
        error.status_code().as_u16()
    }

    #[test]
    fn denials_have_the_codes_and_texts_of_the_documents() {
        let expected = [
            (Denial::InvalidKey, 401, "Invalid API key"),
            (Denial::Revoked, 401, "Invalid API key"),
            (
                Denial::PlanRequired,
                403,
                "The Zenovay API requires a paid plan. Upgrade to Pro or higher to use API keys.",
            ),
            (Denial::MissingScope(Scope::Read), 403, "Forbidden"),
            (Denial::WebsiteUnknown, 404, "Website not found"),
            (Denial::WebsiteNotReachable, 403, "Forbidden"),
            (Denial::MembershipLost, 403, "Forbidden"),
        ];
        assert_eq!(expected.map(|(denial, ..)| denial), Denial::ALL);
        for (denial, expected_status, message) in expected {
            let error = ApiError::from(denial);
            assert_eq!((status(&error), error.message()), (expected_status, message), "{denial:?}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_503_and_never_a_no() {
        assert_eq!(status(&StoreError::Unavailable("locked".to_owned()).into()), 503);
        assert_eq!(status(&QueryError::Damaged("segment".to_owned()).into()), 503);
        for error in [
            AppendError::QueueFull,
            AppendError::DiskFull,
            AppendError::Busy,
            AppendError::Poisoned,
            AppendError::ShuttingDown,
        ] {
            assert_eq!(status(&error.clone().into()), 503, "{error}");
        }
    }

    #[test]
    fn our_insides_are_not_in_the_answer() {
        for error in [
            ApiError::from(StoreError::Unavailable("disk I/O error at /var/lib".to_owned())),
            ApiError::from(QueryError::Damaged("segments/0001.parquet".to_owned())),
        ] {
            assert!(!error.message().contains('/'), "{}", error.message());
        }
    }
}
