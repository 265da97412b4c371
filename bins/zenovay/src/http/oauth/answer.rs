//! The answer of a website that a stranger named, read from its bytes. Everything in it is bounded.

use httparse::{EMPTY_HEADER, Status};
use zenovay_auth::oauth::CLIENT_DOCUMENT_MAX_BYTES;

/// The longest head, in bytes.
const HEAD_MAX_BYTES: usize = 16 * 1024;
/// The most that is read of an answer: its head, and a body in pieces of which each may be a few bytes long.
pub(super) const ANSWER_MAX_BYTES: usize = HEAD_MAX_BYTES + 4 * CLIENT_DOCUMENT_MAX_BYTES;
const HEADERS_MAX: usize = 100;

/// Why there is no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Nobody knows the name.
    #[error("its host is not known")]
    NoAddress,
    /// The name leads into a network that is not public.
    #[error("its host is not on the public internet")]
    NotPublic,
    /// Nobody answers there.
    #[error("its host does not answer")]
    NoConnection,
    /// The certificate is not valid for the name.
    #[error("its host has no valid certificate")]
    Tls,
    /// It took too long.
    #[error("its host is too slow")]
    TooSlow,
    /// It is somewhere else.
    #[error("it redirects, which is not followed")]
    Redirect,
    /// It is not there.
    #[error("its host answers {0}")]
    Status(u16),
    /// It is not JSON.
    #[error("it is not application/json")]
    NotJson,
    /// It is too long.
    #[error("it is longer than 5 KB")]
    TooLong,
    /// The answer is not one.
    #[error("its host does not speak HTTP/1.1 as it should")]
    NotHttp,
}

/// The body of an answer that is a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The body.
    pub body: Vec<u8>,
    /// For how many seconds it may be kept, when the website says so.
    pub max_age_s: Option<u64>,
}

/// Reads an answer whose first bytes are `bytes`; nothing follows when `is_all` says so. `None` while more is needed.
///
/// # Errors
/// When it is not a document: another status, a redirect, another type, too long, or not HTTP.
pub(super) fn read(bytes: &[u8], is_all: bool) -> Result<Option<Answer>, FetchError> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let length = match head.parse(bytes).map_err(|_| FetchError::NotHttp)? {
        Status::Complete(length) => length,
        Status::Partial if is_all || bytes.len() >= HEAD_MAX_BYTES => return Err(FetchError::NotHttp),
        Status::Partial => return Ok(None),
    };
    match head.code.unwrap_or(0) {
        200 => {}
        300..=399 => return Err(FetchError::Redirect),
        status => return Err(FetchError::Status(status)),
    }
    let all = |name: &str| {
        let named = head.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        named
            .map(|header| std::str::from_utf8(header.value).unwrap_or("").trim().to_ascii_lowercase())
            .collect::<Vec<_>>()
    };
    let one = |name: &str| match &all(name)[..] {
        [] => Ok(None),
        [value] => Ok(Some(value.clone())),
        _ => Err(FetchError::NotHttp),
    };
    let media_type = one("content-type")?.unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or("").trim().to_owned();
    if media_type != "application/json" && !(media_type.starts_with("application/") && media_type.ends_with("+json")) {
        return Err(FetchError::NotJson);
    }
    if one("content-encoding")?.is_some_and(|encoding| encoding != "identity") {
        return Err(FetchError::NotJson);
    }
    let max_age_s = all("cache-control").iter().flat_map(|line| line.split(',')).find_map(|part| {
        let part = part.trim();
        if part == "no-store" || part == "no-cache" { Some(0) } else { part.strip_prefix("max-age=")?.parse().ok() }
    });
    let rest = bytes.get(length..).unwrap_or_default();
    let body = match (one("transfer-encoding")?.as_deref(), one("content-length")?) {
        (Some("chunked"), None) => pieces(rest)?,
        (None, Some(length)) => {
            let length: usize = length.parse().map_err(|_| FetchError::NotHttp)?;
            if length > CLIENT_DOCUMENT_MAX_BYTES {
                return Err(FetchError::TooLong);
            }
            rest.get(..length).map(<[u8]>::to_vec)
        }
        (None, None) => {
            if rest.len() > CLIENT_DOCUMENT_MAX_BYTES {
                return Err(FetchError::TooLong);
            }
            is_all.then(|| rest.to_vec())
        }
        _ => return Err(FetchError::NotHttp),
    };
    match body {
        Some(body) => Ok(Some(Answer { body, max_age_s })),
        None if is_all => Err(FetchError::NotHttp),
        None => Ok(None),
    }
}

/// A body in pieces (RFC 9112 §7.1); `None` while more is needed.
fn pieces(mut rest: &[u8]) -> Result<Option<Vec<u8>>, FetchError> {
    let mut body = Vec::new();
    loop {
        let (start, size) = match httparse::parse_chunk_size(rest).map_err(|_| FetchError::NotHttp)? {
            Status::Complete(found) => found,
            Status::Partial => return Ok(None),
        };
        if size == 0 {
            return Ok(Some(body));
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > CLIENT_DOCUMENT_MAX_BYTES - body.len() {
            return Err(FetchError::TooLong);
        }
        let Some(piece) = rest.get(start..start + size) else { return Ok(None) };
        let Some(end) = rest.get(start + size..start + size + 2) else { return Ok(None) };
        if end != b"\r\n" {
            return Err(FetchError::NotHttp);
        }
        body.extend_from_slice(piece);
        rest = rest.get(start + size + 2..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(head: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n{head}\r\n{body}").into_bytes()
    }

    fn body(bytes: &[u8]) -> Result<String, FetchError> {
        read(bytes, true).map(|answer| String::from_utf8(answer.unwrap().body).unwrap())
    }

    #[test]
    fn answers_of_every_length_are_read() {
        for (head, sent) in [
            ("Content-Length: 2\r\n", "{}"),
            ("Content-Length: 2\r\n", "{}and more"),
            ("", "{}"),
            ("Transfer-Encoding: chunked\r\n", "1\r\n{\r\n1;a=b\r\n}\r\n0\r\n\r\n"),
        ] {
            let whole = answer(head, sent);
            assert_eq!(body(&whole), Ok("{}".to_owned()), "{head}");
            // Whatever comes first, it is never something else.
            for cut in 0..whole.len() {
                let read = read(&whole[..cut], false);
                assert!(
                    read.as_ref().is_ok_and(|read| read.as_ref().is_none_or(|read| read.body == b"{}")),
                    "{cut} {read:?}"
                );
            }
        }
        assert_eq!(
            read(&answer("Cache-Control: public, max-age=60\r\n", "{}"), true).unwrap().unwrap().max_age_s,
            Some(60)
        );
    }

    #[test]
    fn what_is_not_a_document_is_refused() {
        let long = "a".repeat(CLIENT_DOCUMENT_MAX_BYTES + 1);
        for (bytes, expected) in [
            (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n".to_vec(), FetchError::Redirect),
            (b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec(), FetchError::Status(404)),
            (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{}".to_vec(), FetchError::NotJson),
            (b"HTTP/1.1 200 OK\r\n\r\n{}".to_vec(), FetchError::NotJson),
            (answer("Content-Encoding: gzip\r\n", "{}"), FetchError::NotJson),
            (answer(&format!("Content-Length: {}\r\n", long.len()), ""), FetchError::TooLong),
            (answer("Transfer-Encoding: chunked\r\n", "FFFFFFFFFFFFFFFF\r\n"), FetchError::TooLong),
            (answer("", &long), FetchError::TooLong),
            (answer("Content-Length: 3\r\n", "{}"), FetchError::NotHttp),
            (answer("Content-Length: 2\r\nContent-Length: 2\r\n", "{}"), FetchError::NotHttp),
            (answer("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "{}"), FetchError::NotHttp),
            (answer("Transfer-Encoding: gzip, chunked\r\n", "{}"), FetchError::NotHttp),
            (b"{}".to_vec(), FetchError::NotHttp),
            (Vec::new(), FetchError::NotHttp),
        ] {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(90)]).into_owned();
            assert_eq!(body(&bytes), Err(expected), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_is_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..300), is_all: bool, cut in 0..120_usize) {
            let _ = read(&bytes, is_all);
            let mut mixed = answer("Transfer-Encoding: chunked\r\n", "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n");
            mixed.truncate(cut);
            mixed.extend_from_slice(&bytes);
            if let Ok(Some(answer)) = read(&mixed, is_all) {
                prop_assert!(answer.body.len() <= CLIENT_DOCUMENT_MAX_BYTES);
            }
        }
    }
}
