//! Files that are named by what is in them: whole, a part of them, or the answer that they have not changed.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_RANGES, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use zenovay_domain::ErrorCode;
use zenovay_export::ByteRange;

use crate::http::envelope::ApiError;

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or(""))
}

/// Whether a list of entity tags names `etag`, or anything. A weak tag names no bytes (RFC 9110 §13.1.1).
fn names(list: &str, etag: &str) -> bool {
    list.split(',').map(str::trim).any(|named| named == "*" || named == etag)
}

/// The same, where a weak tag does as well (RFC 9110 §13.1.2).
fn names_weakly(list: &str, etag: &str) -> bool {
    list.split(',').map(str::trim).any(|named| named == "*" || named.strip_prefix("W/").unwrap_or(named) == etag)
}

/// Answers `req` with the file `bytes` named `etag`, or with the bytes of it that the request asks for.
///
/// # Errors
/// A 412 when the request asks for a file of another name, a 416 when it asks for bytes that the file does not have.
pub fn answer(
    req: &HttpRequest,
    media_type: &'static str,
    etag: &str,
    bytes: Vec<u8>,
) -> Result<HttpResponse, ApiError> {
    let headers = req.headers();
    if text(headers, IF_MATCH).is_some_and(|list| !names(list, etag)) {
        return Err(ApiError::new(ErrorCode::PreconditionFailed, "The file is not the one that you began with"));
    }
    if text(headers, IF_NONE_MATCH).is_some_and(|list| names_weakly(list, etag)) {
        return Ok(HttpResponse::NotModified().insert_header((ETAG, etag)).finish());
    }
    let length = bytes.len() as u64;
    let is_this = text(headers, IF_RANGE).is_none_or(|named| named.trim() == etag);
    let asked =
        text(headers, RANGE).filter(|_| is_this).map_or(ByteRange::All, |range| ByteRange::parse(range, length));
    let bytes = Bytes::from(bytes);
    let (status, part, range) = match asked {
        ByteRange::All => (StatusCode::OK, bytes, None),
        ByteRange::OutOfFile => {
            return Err(ApiError::new(ErrorCode::RangeNotSatisfiable, format!("The file has {length} bytes")));
        }
        ByteRange::Part(part) => {
            let range = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            let [start, end] = [part.start, part.end].map(|at| usize::try_from(at).unwrap_or(bytes.len()));
            (StatusCode::PARTIAL_CONTENT, bytes.slice(start..end), Some(range))
        }
    };
    let mut response = HttpResponse::build(status);
    response.content_type(media_type).insert_header((ETAG, etag)).insert_header((ACCEPT_RANGES, "bytes"));
    if let Some(range) = range {
        response.insert_header((CONTENT_RANGE, range));
    }
    Ok(response.body(part))
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use actix_web::test::TestRequest;

    use super::*;

    async fn asked(headers: &[(HeaderName, &str)]) -> (u16, Vec<u8>) {
        let request = headers
            .iter()
            .fold(TestRequest::get(), |request, (name, value)| request.insert_header((name.clone(), *value)));
        match answer(&request.to_http_request(), "application/octet-stream", "\"abc\"", b"0123456789".to_vec()) {
            Ok(response) => {
                let status = response.status().as_u16();
                (status, to_bytes(response.into_body()).await.unwrap().to_vec())
            }
            Err(error) => (actix_web::ResponseError::status_code(&error).as_u16(), Vec::new()),
        }
    }

    #[actix_web::test]
    async fn a_file_is_answered_whole_or_in_part() {
        assert_eq!(asked(&[]).await, (200, b"0123456789".to_vec()));
        assert_eq!(asked(&[(RANGE, "bytes=2-4")]).await, (206, b"234".to_vec()));
        assert_eq!(asked(&[(IF_MATCH, "W/\"abc\"")]).await.0, 412);
        assert_eq!(asked(&[(RANGE, "bytes=2-4"), (IF_RANGE, "\"abc\"")]).await, (206, b"234".to_vec()));
        assert_eq!(asked(&[(RANGE, "bytes=2-4"), (IF_RANGE, "\"old\"")]).await.0, 200);
        assert_eq!(asked(&[(RANGE, "bytes=10-")]).await.0, 416);
        assert_eq!(asked(&[(IF_MATCH, "\"abc\", \"x\"")]).await.0, 200);
        assert_eq!(asked(&[(IF_MATCH, "\"old\"")]).await.0, 412);
        assert_eq!(asked(&[(IF_NONE_MATCH, "W/\"abc\"")]).await.0, 304);
    }
}
