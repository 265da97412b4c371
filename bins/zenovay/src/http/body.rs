//! Bodies, with a limit on their size and on the time they take to arrive.

use std::time::Duration;

use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use zenovay_ingest::{Refusal, RefusalReason};

/// The bytes of a body as they came, at most `max_bytes` of them; no more is read or held.
///
/// # Errors
/// `BodyTooLarge`, before anything is read when the client announces it; `BodyIncomplete` when the body is not complete
/// after `within`, or its connection breaks or sends nonsense.
pub async fn read(headers: &HeaderMap, payload: Payload, max_bytes: usize, within: Duration) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::new(RefusalReason::BodyTooLarge, format!("The body is larger than {max_bytes} bytes"));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > max_bytes) {
        return Err(too_large());
    }
    let collected = tokio::time::timeout(within, collect(payload, max_bytes));
    match collected.await {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => Err(too_large()),
        Ok(Err(_broken)) => Err(Refusal::new(RefusalReason::BodyIncomplete, "The body did not arrive completely")),
        Err(_elapsed) => Err(Refusal::new(RefusalReason::BodyIncomplete, "The body took too long to arrive")),
    }
}

/// The body, or `None` when it is longer than `max_bytes`.
async fn collect(mut payload: Payload, max_bytes: usize) -> Result<Option<Bytes>, actix_web::error::PayloadError> {
    // Most bodies arrive in one piece, which is handed on as it is.
    let first = match payload.next().await {
        None => return Ok(Some(Bytes::new())),
        Some(chunk) => chunk?,
    };
    let Some(second) = payload.next().await else {
        return Ok((first.len() <= max_bytes).then_some(first));
    };
    let mut body = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        let chunk = chunk?;
        if body.len() + chunk.len() > max_bytes {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
        next = payload.next().await;
    }
    Ok(Some(body.freeze()))
}

/// The one `Content-Encoding` of the body; several lines are none that anybody decodes.
pub fn encoding(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all(header::CONTENT_ENCODING);
    match (lines.next(), lines.next()) {
        (None, _) => None,
        (Some(one), None) => Some(one.to_str().unwrap_or("?")),
        (Some(_), Some(_)) => Some("several"),
    }
}
