//! `z.js`, the second script `z-more.js`, and the start page. The scripts are built by the project's own command and
//! embedded; a server that was built without them says so.

use std::io::Write;
use std::sync::OnceLock;

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;

use super::cors;
use super::envelope::ApiError;
use super::guard::Public;

#[derive(RustEmbed)]
#[folder = "../../tracker/dist"]
#[include = "*.js"]
#[allow_missing = true]
struct Tracker;

struct Script {
    plain: actix_web::web::Bytes,
    gzip: actix_web::web::Bytes,
    /// The first half of its SHA-256, in hexadecimal.
    digest: String,
}

/// Browsers keep a script for an hour and then ask whether it changed.
const FOR_AN_HOUR: &str = "public, max-age=3600, must-revalidate";

/// Browsers keep what has the digest of its content in its address.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Characters of its digest by which `z.js` names the second script that it was built with.
const NAME_CHARS: usize = 16;

impl Script {
    /// Reads and packs a script; `None` when the server was built without it.
    fn load(name: &str) -> Option<Self> {
        let file = Tracker::get(name)?;
        let digest = file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&file.data).ok()?;
        Some(Self { gzip: encoder.finish().ok()?.into(), plain: file.data.into_owned().into(), digest })
    }

    fn respond(&self, req: &HttpRequest, caching: &'static str) -> HttpResponse {
        let etag = format!("\"{}\"", self.digest);
        let mut response = if known(req.headers(), &etag) {
            with_script_headers(&mut HttpResponse::NotModified(), etag, caching).finish()
        } else if accepts_gzip(req.headers()) {
            with_script_headers(&mut HttpResponse::Ok(), etag, caching)
                .insert_header((header::CONTENT_ENCODING, "gzip"))
                .body(self.gzip.clone())
        } else {
            with_script_headers(&mut HttpResponse::Ok(), etag, caching).body(self.plain.clone())
        };
        cors::any_origin(response.headers_mut());
        response
    }
}

/// `z.js`, packed once.
fn script() -> Option<&'static Script> {
    static SCRIPT: OnceLock<Option<Script>> = OnceLock::new();
    SCRIPT.get_or_init(|| Script::load("z.js")).as_ref()
}

/// `z-more.js`, packed once.
fn second_script() -> Option<&'static Script> {
    static SCRIPT: OnceLock<Option<Script>> = OnceLock::new();
    SCRIPT.get_or_init(|| Script::load("z-more.js")).as_ref()
}

/// Whether the server was built with its assets.
pub fn are_built() -> bool {
    script().is_some() && second_script().is_some()
}

fn not_built() -> ApiError {
    ApiError::not_found("This server was built without its assets: run `just assets` and build again")
}

/// `GET /z.js`.
pub async fn tracker(_: Public, req: HttpRequest) -> Result<HttpResponse, ApiError> {
    Ok(script().ok_or_else(not_built)?.respond(&req, FOR_AN_HOUR))
}

/// `GET /z-more.js`, which `z.js` loads with the beginning of its digest as the query. A `z.js` of another version gets
/// the script as it is now, but not for long.
pub async fn second(_: Public, req: HttpRequest) -> Result<HttpResponse, ApiError> {
    let script = second_script().ok_or_else(not_built)?;
    let named = script.digest.get(..NAME_CHARS) == Some(req.query_string());
    Ok(script.respond(&req, if named { FOR_EVER } else { FOR_AN_HOUR }))
}

fn with_script_headers<'a>(
    response: &'a mut HttpResponseBuilder,
    etag: String,
    caching: &'static str,
) -> &'a mut HttpResponseBuilder {
    response
        .insert_header((header::CONTENT_TYPE, "text/javascript; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, caching))
        .insert_header((header::ETAG, etag))
        .insert_header((header::VARY, "accept-encoding"))
        .insert_header(("cross-origin-resource-policy", "cross-origin"))
}

/// Whether `If-None-Match` names what would be answered (RFC 9110 §13.1.2, weak comparison). `etag` is without `W/`.
pub fn known(headers: &HeaderMap, etag: &str) -> bool {
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

/// `GET /`: what this is, and whether it was built completely.
pub async fn start_page(_: Public) -> HttpResponse {
    let assets = if are_built() {
        "The tracking script is at <a href=\"/z.js\">/z.js</a>."
    } else {
        "This server was built without its assets, so /z.js is missing: run <code>just assets</code> and build again."
    };
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>zenovay</title>\n\
         <h1>zenovay</h1>\n<p>This is a self-hosted web analytics server. {assets}\n\
         <p>Its API is at <code>/api/external/v1</code>. Its health is at <a href=\"/healthz\">/healthz</a> and \
         <a href=\"/readyz\">/readyz</a>.\n\
         <p><a href=\"https://db-ip.com\">IP Geolocation by DB-IP</a>\n</html>\n"
    );
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(page)
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
            assert_eq!(known(&headers(header::IF_NONE_MATCH, value), "\"a\""), expected, "{value}");
        }
    }
}
