//! Which content types a body of JSON may have.

use actix_web::http::header::{self, HeaderMap};
use zenovay_ingest::{Refusal, RefusalReason};

/// JSON alone, and said so: a page must not be able to send it as a simple request (SECURITY §8-5).
///
/// # Errors
/// `UnsupportedMediaType`.
pub(super) fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    match essence(headers) {
        Some(essence) if essence.eq_ignore_ascii_case("application/json") => Ok(()),
        _ => Err(refusal("Content-Type must be application/json")),
    }
}

/// JSON, or the type of a beacon that needs no preflight. No type at all is taken for JSON.
///
/// # Errors
/// `UnsupportedMediaType`.
pub(super) fn allow_beacon(headers: &HeaderMap) -> Result<(), Refusal> {
    let accepted = ["application/json", "text/plain"];
    match essence(headers) {
        Some(essence) if !accepted.iter().any(|accepted| essence.eq_ignore_ascii_case(accepted)) => {
            Err(refusal("Content-Type must be application/json or text/plain"))
        }
        _ => Ok(()),
    }
}

/// The content type without its parameters; empty when it cannot be read, `None` when there is none.
fn essence(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_TYPE)?;
    Some(value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim())
}

fn refusal(message: &str) -> Refusal {
    Refusal::new(RefusalReason::UnsupportedMediaType, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    #[test]
    fn a_beacon_may_be_text_or_untyped_and_a_batch_may_not() {
        for (value, beacon, batch) in [
            (Some("application/json"), true, true),
            (Some("Application/JSON; charset=utf-8"), true, true),
            (Some("text/plain;charset=UTF-8"), true, false),
            (None, true, false),
            (Some(""), false, false),
            (Some("text/html"), false, false),
            (Some("application/jsonx"), false, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            }
            assert_eq!((allow_beacon(&headers).is_ok(), require_json(&headers).is_ok()), (beacon, batch), "{value:?}");
        }
    }
}
