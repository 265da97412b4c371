//! The id of a request: the client's `X-Request-ID` when it is usable, otherwise a new UUID (SPEC B1).

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// The header, on requests and on every response.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id taken from a client. Ours have 36 characters; twice RFC 4122's URN form leaves room for prefixes.
const MAX_LEN: usize = 128;

/// The id of one request: 1 to 128 visible ASCII characters, so it can stand in a header, a log line and JSON as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id that the client sent in `headers`, or a random UUID when it sent none, several, or one that breaks the rule.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut sent = headers.get_all(HEADER);
        match (sent.next(), sent.next()) {
            (Some(id), None) if is_valid(id.as_bytes()) => Self(id.clone()),
            _ => Self::random(),
        }
    }

    /// A random UUID.
    pub fn random() -> Self {
        Self::new(uuid::Builder::from_random_bytes(rand::random()).into_uuid())
    }

    fn new(id: uuid::Uuid) -> Self {
        let mut text = uuid::Uuid::encode_buffer();
        let text = id.hyphenated().encode_lower(&mut text);
        // Digits, letters and hyphens: the other arm is never taken.
        Self(HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("?")))
    }

    /// The id as a string.
    pub fn as_str(&self) -> &str {
        // Visible ASCII by construction: the other arm is never taken.
        self.0.to_str().unwrap_or("?")
    }

    /// The id as the value of a header.
    pub fn header_value(&self) -> HeaderValue {
        self.0.clone()
    }
}

fn is_valid(id: &[u8]) -> bool {
    (1..=MAX_LEN).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn id_for(values: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        RequestId::from_headers(&headers).as_str().to_owned()
    }

    #[test]
    fn ids_that_cannot_be_echoed_safely_are_replaced() {
        for bad in [&b""[..], b"two words", b"tab\tbed", "caf\u{e9}".as_bytes(), &[b'x'; 129]] {
            let id = id_for(&[bad]);
            assert!(uuid::Uuid::try_parse(&id).is_ok(), "{bad:?} gave {id}");
        }
        assert!(uuid::Uuid::try_parse(&id_for(&[b"a", b"b"])).is_ok());
        assert_ne!(id_for(&[]), id_for(&[]));
    }

    #[test]
    fn a_usable_id_is_echoed() {
        assert_eq!(id_for(&[b"my-req_1/2:3"]), "my-req_1/2:3");
        assert_eq!(id_for(&[&[b'x'; 128]]), "x".repeat(128));
    }
}
