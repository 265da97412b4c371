//! Cross-origin rules. Tracking is open to every origin and never carries credentials, so that no answer of it can be
//! read with somebody's rights; the External API is for servers and has no such headers (SPEC E1, K21, SECURITY W7).

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderMap, HeaderValue};

/// What a page may read of an answer's headers, beside its type and length. Routes that take keys answer no page, so
/// what they say of a key's limits is not among it.
const EXPOSED: &str = "x-request-id, x-zenovay-outcome, retry-after";

/// Seconds for which a browser may keep the answer to a preflight: one day (SPEC E1).
const MAX_AGE_S: &str = "86400";

/// Which pages may read the answers of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origins {
    /// None: no cross-origin headers.
    None,
    /// The one that asks, with a preflight for requests with a content type.
    Asking,
    /// All.
    Any,
}

/// The answer to a preflight request of a route that takes `methods`.
pub fn preflight(request: &HeaderMap, methods: &str) -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    response
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, methods))
        .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type"))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S));
    let mut response = response.finish();
    echo_origin(request.get(header::ORIGIN), response.headers_mut());
    response
}

/// Lets the page that asked read the answer to its `POST` or preflight: its origin is echoed. Without `Vary`, because no
/// cache keeps answers to these (RFC 9110 §9.3.3 and §9.3.7).
pub fn echo_origin(origin: Option<&HeaderValue>, response: &mut HeaderMap) {
    if let Some(origin) = origin {
        response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        expose(response);
    }
}

/// Lets any page read the answer: for public data and the script.
pub fn any_origin(response: &mut HeaderMap) {
    response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    expose(response);
}

fn expose(response: &mut HeaderMap) {
    response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preflight_echoes_the_origin_and_never_allows_credentials() {
        let mut request = HeaderMap::new();
        request.insert(header::ORIGIN, HeaderValue::from_static("https://shop.example"));
        let response = preflight(&request, "POST");
        let get = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(response.status().as_u16(), 204);
        assert_eq!(get("access-control-allow-origin"), Some("https://shop.example"));
        assert_eq!(get("access-control-allow-methods"), Some("POST"));
        assert_eq!(get("access-control-allow-headers"), Some("content-type"));
        assert_eq!(get("access-control-max-age"), Some("86400"));
        assert_eq!(get("access-control-allow-credentials"), None);
    }

    #[test]
    fn without_an_origin_none_is_allowed() {
        let response = preflight(&HeaderMap::new(), "POST");
        assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    }
}
