//! What is sent to everybody as it is, packed once: scripts, the API document, its pages.

use std::fmt::Write as _;
use std::io::Write;

use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Content, plain and packed.
#[derive(Debug)]
pub struct Packed {
    plain: Bytes,
    gzip: Bytes,
    /// The first half of its SHA-256, in hexadecimal.
    digest: String,
    content_type: &'static str,
    policy: Option<&'static str>,
}

impl Packed {
    /// Packs `content`. `None` when that fails, for which there is no reason in memory.
    pub fn new(content: Vec<u8>, content_type: &'static str) -> Option<Self> {
        let mut digest = String::with_capacity(32);
        for byte in &Sha256::digest(&content)[..16] {
            write!(digest, "{byte:02x}").ok()?;
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&content).ok()?;
        Some(Self { gzip: encoder.finish().ok()?.into(), plain: content.into(), digest, content_type, policy: None })
    }

    /// The same with a `Content-Security-Policy` of its own.
    #[must_use]
    pub fn with_policy(self, policy: &'static str) -> Self {
        Self { policy: Some(policy), ..self }
    }

    /// The first half of the SHA-256 of the content, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The content as `req` takes it, or that the client has it. `caching` is the `Cache-Control`.
    pub fn respond(&self, req: &HttpRequest, caching: &'static str) -> HttpResponse {
        let etag = format!("\"{}\"", self.digest);
        if is_known(req.headers(), &etag) {
            return self.with_headers(HttpResponse::NotModified(), etag, caching).finish();
        }
        let mut response = self.with_headers(HttpResponse::Ok(), etag, caching);
        if accepts_gzip(req.headers()) {
            response.insert_header((header::CONTENT_ENCODING, "gzip")).body(self.gzip.clone())
        } else {
            response.body(self.plain.clone())
        }
    }

    fn with_headers(
        &self,
        mut response: HttpResponseBuilder,
        etag: String,
        caching: &'static str,
    ) -> HttpResponseBuilder {
        response
            .insert_header((header::CONTENT_TYPE, self.content_type))
            .insert_header((header::CACHE_CONTROL, caching))
            .insert_header((header::ETAG, etag))
            .insert_header((header::VARY, "accept-encoding"));
        if let Some(policy) = self.policy {
            response.insert_header((header::CONTENT_SECURITY_POLICY, policy));
        }
        response
    }
}

/// Whether `If-None-Match` names what would be answered (RFC 9110 §13.1.2, weak comparison). `etag` is without `W/`.
pub fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|candidate| candidate.trim().trim_start_matches("W/"))
        .any(|candidate| candidate == etag || candidate == "*")
}

/// Whether `Accept-Encoding` names gzip without refusing it by `q=0`.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT_ENCODING).filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).any(
        |coding| {
            let mut parts = coding.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
            let refused = parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse::<f32>() == Ok(0.0)));
            named && !refused
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn gzip_is_sent_only_to_those_who_take_it() {
        for (value, expected) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip;q=0.0, br", false),
            ("br", false),
            ("", false),
            ("xgzip", false),
        ] {
            assert_eq!(accepts_gzip(&headers(header::ACCEPT_ENCODING, value)), expected, "{value}");
        }
    }

    #[test]
    fn a_known_tag_is_found_in_a_list_and_in_its_weak_form() {
        for (value, expected) in
            [("\"a\"", true), ("\"b\", W/\"a\"", true), ("*", true), ("\"b\"", false), ("a", false)]
        {
            assert_eq!(is_known(&headers(header::IF_NONE_MATCH, value), "\"a\""), expected, "{value}");
        }
    }
}
