//! Whether a request that changes something was made by a page of this server. A browser sends the cookie with requests
//! that other websites cause, so the cookie alone does not say that its owner wants the change.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderName};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether `req` may change something for whoever its cookie names. `public` is the origin under which browsers reach the
/// server, if it is configured.
///
/// Browsers say with `Sec-Fetch-Site` where a request comes from, and with `Origin` which page made it: what either of them
/// says must be this server. Every browser of the last years sends one of the two with a request that is not `GET` or
/// `HEAD`; a request with neither was made by a program, which nobody can make act for another.
pub fn is_same_origin(req: &HttpRequest, public: Option<&str>) -> bool {
    if matches!(*req.method(), Method::GET | Method::HEAD) {
        return true;
    }
    let sites = req.headers().get_all(SEC_FETCH_SITE);
    let origins = req.headers().get_all(header::ORIGIN);
    sites.into_iter().all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"))
        && origins.into_iter().all(|origin| origin.to_str().is_ok_and(|origin| is_own(req, origin, public)))
}

/// Whether `origin` is this server: as it is configured, or else by the name that the request itself asked for.
fn is_own(req: &HttpRequest, origin: &str, public: Option<&str>) -> bool {
    if public.is_some_and(|public| origin.eq_ignore_ascii_case(public)) {
        return true;
    }
    let host = req.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    let named = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or("");
    !named.is_empty() && named.eq_ignore_ascii_case(host)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn passes(method: Method, headers: &[(&'static str, &str)]) -> bool {
        let mut request = TestRequest::default().method(method).insert_header(("host", "stats.example:8080"));
        for header in headers {
            request = request.append_header(*header);
        }
        is_same_origin(&request.to_http_request(), Some("https://stats.example"))
    }

    #[test]
    fn changes_come_from_pages_of_this_server() {
        let passing: [&[(&str, &str)]; 7] = [
            &[],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://stats.example:8080")],
            &[("origin", "https://stats.example")],
            &[("origin", "https://Stats.Example:8080")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://stats.example")],
        ];
        let refused: [&[(&str, &str)]; 13] = [
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "http://stats.example")],
            &[("origin", "http://stats.example:8081")],
            &[("origin", "https://stats.example.evil.example")],
            &[("origin", "https://evil.example/https://stats.example")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")],
            &[("origin", "https://stats.example"), ("origin", "https://evil.example")],
        ];
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            for headers in passing {
                assert!(passes(method.clone(), headers), "{method} {headers:?}");
            }
            for headers in refused {
                assert!(!passes(method.clone(), headers), "{method} {headers:?}");
            }
        }
        assert!(passes(Method::GET, &[("origin", "https://evil.example")]), "reading changes nothing");
    }
}
