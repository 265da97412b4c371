//! Cross-origin rules. Tracking is open to every origin and never carries credentials, so that no answer of it can be
//! read with somebody's rights; the External API is for servers and has no such headers (SPEC E1, K21, SECURITY W7).

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderMap, HeaderValue};

/// What a page may read of an answer's headers, beside its type and length. Routes that take keys answer no page, so
/// what they say of a key's limits is not among it.
const EXPOSED: &str = "x-request-id, x-zenovay-outcome, retry-after";

/// The same for clients of `/mcp`, which are told by a header where to get a token.
const EXPOSED_TO_CLIENTS: &str = "www-authenticate, x-request-id, retry-after";

/// Seconds for which a browser may keep the answer to a preflight: one day (SPEC E1).
const MAX_AGE_S: &str = "86400";

/// Which pages may read the answers of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origins {
    /// None: no cross-origin headers.
    None,
    /// The one that asks, with a preflight for requests with a content type.
    Asking,
    /// The one that asks, where clients of `/mcp` may be pages: what they need more is allowed and shown. Their tokens are
    /// their own; no cookie counts there.
    Clients,
    /// All.
    Any,
}

/// What pages that are clients of `/mcp` may send.
const CLIENT_HEADERS: &str = "authorization, content-type, accept, last-event-id, mcp-protocol-version, mcp-method, mcp-name, \
                              mcp-session-id";

/// The answer to a preflight request of a route that takes `methods` from `origins`. Clients of `/mcp` say their revision also where
/// they read what everybody may.
pub fn preflight(request: &HeaderMap, methods: &str, origins: Origins) -> HttpResponse {
    let headers = match origins {
        Origins::Clients => CLIENT_HEADERS,
        Origins::Any => "content-type, mcp-protocol-version",
        Origins::None | Origins::Asking => "content-type",
    };
    let mut response = HttpResponse::NoContent();
    response
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, methods))
        .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, headers))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S));
    let mut response = response.finish();
    match origins {
        Origins::Any => any_origin(response.headers_mut()),
        _ => echo_origin(request.get(header::ORIGIN), response.headers_mut(), origins),
    }
    response
}

/// Lets the page that asked read the answer to its `POST` or preflight: its origin is echoed. Without `Vary`, because no
/// cache keeps answers to these (RFC 9110 §9.3.3 and §9.3.7).
pub fn echo_origin(origin: Option<&HeaderValue>, response: &mut HeaderMap, origins: Origins) {
    if let Some(origin) = origin {
        response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        expose(response, if origins == Origins::Clients { EXPOSED_TO_CLIENTS } else { EXPOSED });
    }
}

/// Lets any page read the answer: for public data and the script.
pub fn any_origin(response: &mut HeaderMap) {
    response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    expose(response, EXPOSED);
}

fn expose(response: &mut HeaderMap, names: &'static str) {
    response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(names));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preflight_echoes_the_origin_and_never_allows_credentials() {
        let mut request = HeaderMap::new();
        request.insert(header::ORIGIN, HeaderValue::from_static("https://shop.example"));
        let response = preflight(&request, "POST", Origins::Asking);
        let get = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(response.status().as_u16(), 204);
        assert_eq!(get("access-control-allow-origin"), Some("https://shop.example"));
        assert_eq!(get("access-control-allow-methods"), Some("POST"));
        assert_eq!(get("access-control-allow-headers"), Some("content-type"));
        assert_eq!(get("access-control-max-age"), Some("86400"));
        assert_eq!(get("access-control-allow-credentials"), None);
    }

    #[test]
    fn clients_of_mcp_may_send_tokens_and_read_the_challenge() {
        let mut request = HeaderMap::new();
        request.insert(header::ORIGIN, HeaderValue::from_static("https://client.example"));
        let response = preflight(&request, "POST", Origins::Clients);
        let get = |name: &str| response.headers().get(name).map_or("", |value| value.to_str().unwrap());
        assert!(get("access-control-allow-headers").starts_with("authorization, "));
        assert!(get("access-control-expose-headers").contains("www-authenticate"));
        assert_eq!(get("access-control-allow-credentials"), "");
    }

    #[test]
    fn clients_of_mcp_say_their_revision_where_everybody_reads() {
        let response = preflight(&HeaderMap::new(), "GET", Origins::Any);
        let get = |name: &str| response.headers().get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!((get("access-control-allow-origin"), get("access-control-allow-methods")), ("*", "GET"));
        assert!(get("access-control-allow-headers").ends_with(", mcp-protocol-version"));
    }

    #[test]
    fn without_an_origin_none_is_allowed() {
        let response = preflight(&HeaderMap::new(), "POST", Origins::Asking);
        assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    }
}
