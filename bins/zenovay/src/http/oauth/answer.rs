//! The answer of a website that a stranger named, read from its bytes. Everything in it is bounded.

use httparse::{EMPTY_HEADER, Status};
use zenovay_auth::oauth::CLIENT_DOCUMENT_MAX_BYTES;

/// The longest head, in bytes.
const HEAD_MAX_BYTES: usize = 16 * 1024;
const HEADERS_MAX: usize = 100;

/// What is asked for.
pub(super) struct Wanted {
    /// The types that it may have, as a request says it.
    pub(super) accept: &'static str,
    is_type: fn(&str) -> bool,
    /// Why something of another type is none.
    other_type: FetchError,
    /// The most of a body that is read.
    body_max_bytes: usize,
    /// Whether the beginning of a longer one is enough.
    may_be_cut: bool,
}

impl Wanted {
    /// What a client says of itself.
    pub(super) const DOCUMENT: Self = Self {
        accept: "application/json",
        is_type: |media_type| {
            media_type == "application/json"
                || (media_type.starts_with("application/") && media_type.ends_with("+json"))
        },
        other_type: FetchError::NotJson,
        body_max_bytes: CLIENT_DOCUMENT_MAX_BYTES,
        may_be_cut: false,
    };

    /// A page for people.
    pub(super) const PAGE: Self = Self {
        accept: "text/html, application/xhtml+xml",
        is_type: |media_type| matches!(media_type, "text/html" | "application/xhtml+xml"),
        other_type: FetchError::NotHtml,
        body_max_bytes: 512 * 1024,
        may_be_cut: true,
    };

    /// The most that is read of an answer: its head, and a body in pieces of which each may be a few bytes long.
    pub(super) const fn answer_max_bytes(&self) -> usize {
        HEAD_MAX_BYTES + 4 * self.body_max_bytes
    }

    /// How much is read of something that is `length` bytes long, when `is_read` of the body are.
    fn part_of(&self, length: usize, is_read: usize) -> Result<usize, FetchError> {
        let room = self.body_max_bytes - is_read;
        if length > room && !self.may_be_cut { Err(FetchError::TooLong) } else { Ok(length.min(room)) }
    }
}

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
    /// It is no page.
    #[error("it is not text/html, or compressed although that was not asked for")]
    NotHtml,
    /// It is too long.
    #[error("it is longer than 5 KB")]
    TooLong,
    /// The answer is not one.
    #[error("its host does not speak HTTP/1.1 as it should")]
    NotHttp,
}

/// The body of an answer that is what was asked for.
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
/// When it is not what is wanted: another status, a redirect, another type, too long, or not HTTP.
pub(super) fn read(bytes: &[u8], is_all: bool, wanted: &Wanted) -> Result<Option<Answer>, FetchError> {
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
    if !(wanted.is_type)(&media_type) || one("content-encoding")?.is_some_and(|encoding| encoding != "identity") {
        return Err(wanted.other_type);
    }
    let max_age_s = all("cache-control").iter().flat_map(|line| line.split(',')).find_map(|part| {
        let part = part.trim();
        if part == "no-store" || part == "no-cache" { Some(0) } else { part.strip_prefix("max-age=")?.parse().ok() }
    });
    let rest = bytes.get(length..).unwrap_or_default();
    let body = match (one("transfer-encoding")?.as_deref(), one("content-length")?) {
        (Some("chunked"), None) => pieces(rest, wanted)?,
        (None, Some(length)) => {
            let length: usize = length.parse().map_err(|_| FetchError::NotHttp)?;
            rest.get(..wanted.part_of(length, 0)?).map(<[u8]>::to_vec)
        }
        (None, None) => {
            let length = wanted.part_of(rest.len(), 0)?;
            (is_all || length < rest.len()).then(|| rest.get(..length).unwrap_or_default().to_vec())
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
fn pieces(mut rest: &[u8], wanted: &Wanted) -> Result<Option<Vec<u8>>, FetchError> {
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
        let part = wanted.part_of(size, body.len())?;
        if part < size {
            let Some(piece) = rest.get(start..start + part) else { return Ok(None) };
            body.extend_from_slice(piece);
            return Ok(Some(body));
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
        read(bytes, true, &Wanted::DOCUMENT).map(|answer| String::from_utf8(answer.unwrap().body).unwrap())
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
                let read = read(&whole[..cut], false, &Wanted::DOCUMENT);
                assert!(
                    read.as_ref().is_ok_and(|read| read.as_ref().is_none_or(|read| read.body == b"{}")),
                    "{cut} {read:?}"
                );
            }
        }
        assert_eq!(
            read(&answer("Cache-Control: public, max-age=60\r\n", "{}"), true, &Wanted::DOCUMENT)
                .unwrap()
                .unwrap()
                .max_age_s,
            Some(60)
        );
    }

    /// Sabotage: refuse it, or wait for its end.
    #[test]
    fn of_a_long_page_the_beginning_is_enough() {
        let long = "a".repeat(Wanted::PAGE.body_max_bytes + 10);
        let (half, rest) = long.split_at(long.len() / 2);
        let chunked = format!("{:x}\r\n{half}\r\n{:x}\r\n{rest}", half.len(), rest.len());
        for (head, body) in [
            (format!("Content-Length: {}\r\n", long.len() + 10), long.clone()),
            (String::new(), long.clone()),
            ("Transfer-Encoding: chunked\r\n".to_owned(), chunked),
        ] {
            let sent = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{head}\r\n{body}");
            let answer = read(sent.as_bytes(), false, &Wanted::PAGE).unwrap().expect(&head);
            assert_eq!(answer.body.len(), Wanted::PAGE.body_max_bytes, "{head}");
            let is_more_needed = read(&sent.as_bytes()[..2_000], false, &Wanted::PAGE);
            assert_eq!(is_more_needed, Ok(None), "{head}");
        }
        let json = answer("", "{}");
        assert_eq!(read(&json, true, &Wanted::PAGE), Err(FetchError::NotHtml));
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
            let _ = read(&bytes, is_all, &Wanted::PAGE);
            let mut mixed = answer("Transfer-Encoding: chunked\r\n", "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n");
            mixed.truncate(cut);
            mixed.extend_from_slice(&bytes);
            if let Ok(Some(answer)) = read(&mixed, is_all, &Wanted::DOCUMENT) {
                prop_assert!(answer.body.len() <= CLIENT_DOCUMENT_MAX_BYTES);
            }
        }
    }
}
