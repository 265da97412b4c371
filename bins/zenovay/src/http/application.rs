//! The web application: the pages that `web` builds, embedded. Every address that nothing else answers is one of its pages
//! to a browser, and unknown to everybody else.

use std::collections::HashMap;
use std::sync::LazyLock;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use rust_embed::RustEmbed;
use zenovay_domain::ErrorCode;

use super::assets;
use super::console::shares;
use super::document::{Answer, Operation};
use super::envelope::ApiError;
use super::guard::Public;
use super::handler::{Described, Html, Shape};
use super::packed::Packed;
use super::state::AppState;
use crate::config::StatusPage;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[include = "*.html"]
#[include = "assets/*.js"]
#[include = "assets/*.css"]
#[allow_missing = true]
struct Built;

/// What the pages may load: files and answers from here, and drawings that they make themselves. Nothing is run or styled
/// that stands in the HTML, and no script can write HTML.
macro_rules! policy {
    ($frames:literal, $ancestors:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; ",
            $frames,
            "form-action 'self'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'; ",
            "frame-ancestors ",
            $ancestors
        )
    };
}

const POLICY: &str = policy!("frame-src 'self'; ", "'none'");

/// Pages that show a shared dashboard may stand in pages of others when their link says so: they can only be read, and no session reaches them
/// there, because its cookie stays in pages of the same website.
const SHARED_POLICY: &str = policy!("", "*");

/// The empty document in which a page of the application draws a recorded page. Nothing runs in it and nothing is loaded,
/// whatever is drawn.
const FRAME: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Recorded page</title>\n\
                     </head>\n<body></body>\n</html>\n";
const FRAME_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; \
                            base-uri 'none'; form-action 'none'; sandbox allow-same-origin; frame-ancestors 'self'";

/// The document in which a recording is played. It connects to nothing and loads its own script and nothing else; the recorded page
/// is in a frame within, which has the same policy and in which no script runs. It stands in a page of the application alone.
const PLAYER_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src data: blob:; \
                             frame-ancestors 'self'";

/// The pages ask each time whether they changed: they name the other files.
const EACH_TIME: &str = "no-cache";

/// Names of the other files have the digest of their content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// First parts of paths whose answers are never pages: programs must be told that a path is unknown.
const NOT_PAGES: [&str; 5] = ["api", "e", "mcp", "oauth", ".well-known"];

/// Older addresses and those of the documentation of others, and what is there now (SPEC C2).
const MOVED: [(&str, &str); 4] = [
    ("/api-keys", "/settings/account/security"),
    ("/settings/security", "/settings/account/security"),
    ("/account/api-tokens", "/settings/account/security"),
    ("/settings/security/api-keys", "/settings/api-keys"),
];

/// The pages, packed once.
struct Pages {
    start: Packed,
    /// The same page, which names what the analytics page needs beside.
    analytics: Packed,
    shared: Packed,
    player: Packed,
}

fn pages() -> Option<&'static Pages> {
    static PAGES: LazyLock<Option<Pages>> = LazyLock::new(|| {
        let page = |name: &str, policy| {
            let html = Built::get(name)?.data.into_owned();
            Some(Packed::new(html, "text/html; charset=utf-8")?.with_policy(policy))
        };
        Some(Pages {
            start: page("index.html", POLICY)?,
            analytics: page("analytics.html", POLICY)?,
            shared: page("analytics.html", SHARED_POLICY)?,
            player: page("player.html", PLAYER_POLICY)?,
        })
    });
    PAGES.as_ref()
}

/// Scripts and style sheets by their names, packed once.
static FILES: LazyLock<HashMap<String, Packed>> = LazyLock::new(|| {
    let packed = Built::iter().filter_map(|path| {
        let name = path.strip_prefix("assets/")?;
        let content_type =
            if name.ends_with(".css") { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" };
        Some((name.to_owned(), Packed::new(Built::get(&path)?.data.into_owned(), content_type)?))
    });
    packed.collect()
});

/// Whether the server was built with the web application.
pub fn is_built() -> bool {
    pages().is_some()
}

/// A script or a style sheet of the application.
#[derive(Debug)]
pub struct ApplicationFile;

impl Shape for ApplicationFile {
    fn describe(operation: &mut Operation) {
        operation.answer(200, Answer::new("The file").text("text/javascript", "export{…};"));
        operation.refuses([ErrorCode::NotFound]);
        operation.can_be_cached();
    }
}

/// `GET /assets/{file}`.
pub async fn file(
    _: Public,
    name: web::Path<String>,
    req: HttpRequest,
) -> Result<Described<ApplicationFile>, ApiError> {
    let file = FILES.get(name.as_str()).ok_or_else(|| ApiError::not_found("Not found"))?;
    Ok(file.respond(&req, FOR_EVER).into())
}

/// `GET /frame`: an empty document, to draw a recorded page in.
pub async fn frame(_: Public, req: HttpRequest) -> Result<Described<Html>, ApiError> {
    static PACKED: LazyLock<Option<Packed>> = LazyLock::new(|| {
        Some(Packed::new(FRAME.as_bytes().to_vec(), "text/html; charset=utf-8")?.with_policy(FRAME_POLICY))
    });
    let packed = PACKED.as_ref().ok_or_else(ApiError::internal)?;
    Ok(packed.respond(&req, EACH_TIME).into())
}

/// `GET /replay-player`: the document of the player.
pub async fn player(_: Public, req: HttpRequest) -> Described<Html> {
    pages().map_or_else(not_built, |pages| pages.player.respond(&req, EACH_TIME)).into()
}

/// `GET /`: the application, or what is missing.
pub async fn start(_: Public, req: HttpRequest) -> Described<Html> {
    page(&req, false).unwrap_or_else(not_built).into()
}

/// `GET /status`: the application, which asks for `/status.json`, as a program does; unknown where there is no status page.
/// Where it is for those who are signed in, others are led to sign in.
///
/// # Errors
/// 404 for whoever does not ask for a page.
pub async fn status(_: Public, state: web::Data<AppState>, req: HttpRequest) -> Result<Described<Html>, ApiError> {
    let unknown = || ApiError::not_found("Not found");
    if !accepts_html(req.headers()) {
        return Err(unknown());
    }
    match state.people.status_page {
        StatusPage::Off => {
            let mut response = page(&req, false).ok_or_else(unknown)?;
            *response.status_mut() = StatusCode::NOT_FOUND;
            Ok(response.into())
        }
        StatusPage::SignedIn if state.session_cookie.read(req.headers()).is_none() => {
            Ok(HttpResponse::Found().insert_header((header::LOCATION, "/login?next=/status")).finish().into())
        }
        StatusPage::SignedIn | StatusPage::Public => Ok(page(&req, false).unwrap_or_else(not_built).into()),
    }
}

/// What a path gets that is not a route: older addresses lead to the new ones; browsers that ask for a page get the
/// application, which says itself when there is no such page; everything else is unknown.
///
/// # Errors
/// 404 for whoever does not ask for a page.
pub async fn fallback(req: HttpRequest) -> Result<HttpResponse, ApiError> {
    let unknown = || ApiError::not_found("Not found");
    if !matches!(*req.method(), Method::GET | Method::HEAD) {
        return Err(unknown());
    }
    if let Some(&(_, target)) = MOVED.iter().find(|(old, _)| *old == req.path()) {
        let target =
            if req.query_string().is_empty() { target.to_owned() } else { format!("{target}?{}", req.query_string()) };
        return Ok(HttpResponse::PermanentRedirect().insert_header((header::LOCATION, target)).finish());
    }
    let first = req.path().split('/').nth(1).unwrap_or("");
    if NOT_PAGES.contains(&first) || !accepts_html(req.headers()) {
        return Err(unknown());
    }
    let mut parts = req.path().split('/').skip(2);
    let in_frames = match (first, parts.next()) {
        ("share", Some(token)) => {
            let state = req.app_data::<web::Data<AppState>>().ok_or_else(ApiError::internal)?;
            shares::may_be_embedded(state, token.to_owned()).await?
        }
        _ => false,
    };
    page(&req, in_frames).ok_or_else(unknown)
}

/// Whether `Accept` names HTML. `*/*` is what programs send that take anything.
fn accepts_html(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|range| {
        let media_type = range.split(';').next().unwrap_or("").trim();
        media_type.eq_ignore_ascii_case("text/html") || media_type.eq_ignore_ascii_case("application/xhtml+xml")
    })
}

/// The page at the path of `req`, which pages of other websites may show or not; `None` when the server was built without it.
fn page(req: &HttpRequest, in_frames: bool) -> Option<HttpResponse> {
    let pages = pages()?;
    let mut parts = req.path().split('/').skip(1);
    let page = match (parts.next(), parts.next(), parts.next()) {
        (Some("websites"), Some(id), None) if id != "new" => &pages.analytics,
        (Some("share"), Some(_), _) if in_frames => &pages.shared,
        (Some("share"), Some(_), _) => &pages.analytics,
        _ => &pages.start,
    };
    let mut response = page.respond(req, EACH_TIME);
    // Which answer this is depends on what the browser asked for.
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    let opener = HeaderName::from_static("cross-origin-opener-policy");
    response.headers_mut().insert(opener, HeaderValue::from_static("same-origin"));
    Some(response)
}

/// What a server says that was built without its assets.
fn not_built() -> HttpResponse {
    let script = if assets::are_built() {
        "The tracking script is at <a href=\"/z.js\">/z.js</a>."
    } else {
        "The tracking script is missing, too."
    };
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>zenovay</title>\n\
         <h1>zenovay</h1>\n<p>This server was built without its assets: run <code>just assets</code> and build again. \
         {script}\n\
         <p>Its API is described at <a href=\"/docs/api\">/docs/api</a>, and what changed at \
         <a href=\"/docs/changelog\">/docs/changelog</a>. Its health is at <a href=\"/healthz\">/healthz</a> and \
         <a href=\"/readyz\">/readyz</a>.\n\
         <p><a href=\"https://db-ip.com\">IP Geolocation by DB-IP</a>\n</html>\n"
    );
    HttpResponse::build(StatusCode::OK).content_type("text/html; charset=utf-8").body(html)
}
