//! `z.js`, the second script `z-more.js`, and the scripts that it loads for what a website has switched on. They are built
//! by the project's own command and embedded; a server that was built without them says so.

use std::sync::OnceLock;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, HeaderValue};
use rust_embed::RustEmbed;
use zenovay_domain::ErrorCode;

use super::document::{Answer, Operation};
use super::envelope::ApiError;
use super::guard::Public;
use super::handler::{Described, Shape};
use super::packed::Packed;

#[derive(RustEmbed)]
#[folder = "../../tracker/dist"]
#[include = "*.js"]
#[allow_missing = true]
struct Tracker;

/// Browsers keep a script for an hour and then ask whether it changed.
const FOR_AN_HOUR: &str = "public, max-age=3600, must-revalidate";

/// Browsers keep what has the digest of its content in its address.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// What is between `z-` and `.js` in the names of the scripts that are loaded after `z.js`.
pub const PARTS: [&str; 5] = ["more", "vitals", "errors", "heatmap", "replay"];

/// Characters of its digest by which a script is named by the one that it was built with.
const NAME_CHARS: usize = 16;

/// A script.
#[derive(Debug)]
pub struct Script;

impl Shape for Script {
    fn describe(operation: &mut Operation) {
        operation.answer(200, Answer::new("The script").text("text/javascript", "(()=>{…})();"));
        operation.can_be_cached();
        operation.refuses([ErrorCode::NotFound]);
    }
}

/// Reads and packs a script; `None` when the server was built without it.
fn load(name: &str) -> Option<Packed> {
    Packed::new(Tracker::get(name)?.data.into_owned(), "text/javascript; charset=utf-8")
}

/// A script as it is sent. Pages of other websites load it.
fn send(script: &Packed, req: &HttpRequest, caching: &'static str) -> Described<Script> {
    let mut response = script.respond(req, caching);
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    response.headers_mut().insert(policy, HeaderValue::from_static("cross-origin"));
    response.into()
}

/// `z.js`, packed once.
fn script() -> Option<&'static Packed> {
    static SCRIPT: OnceLock<Option<Packed>> = OnceLock::new();
    SCRIPT.get_or_init(|| load("z.js")).as_ref()
}

/// One of [`PARTS`], packed once.
fn part(name: &str) -> Option<&'static Packed> {
    static SCRIPTS: [OnceLock<Option<Packed>>; PARTS.len()] = [const { OnceLock::new() }; PARTS.len()];
    let (script, part) = SCRIPTS.iter().zip(PARTS).find(|(_, part)| *part == name)?;
    script.get_or_init(|| load(&format!("z-{part}.js"))).as_ref()
}

/// Whether the server was built with its assets.
pub fn are_built() -> bool {
    script().is_some() && PARTS.iter().all(|name| part(name).is_some())
}

fn not_built() -> ApiError {
    ApiError::not_found("This server was built without its assets: run `just assets` and build again")
}

/// `GET /z.js`.
pub async fn tracker(_: Public, req: HttpRequest) -> Result<Described<Script>, ApiError> {
    Ok(send(script().ok_or_else(not_built)?, &req, FOR_AN_HOUR))
}

/// `GET /z-more.js` and the others of [`PARTS`], which are loaded with the beginning of their digest as the query. A
/// script of another version gets them as they are now, but not for long.
pub async fn parts(_: Public, req: HttpRequest) -> Result<Described<Script>, ApiError> {
    let name = req.match_info().get("script").unwrap_or("");
    if !PARTS.contains(&name) {
        return Err(ApiError::not_found("There is no such script"));
    }
    let script = part(name).ok_or_else(not_built)?;
    let named = script.digest().get(..NAME_CHARS) == Some(req.query_string());
    Ok(send(script, &req, if named { FOR_EVER } else { FOR_AN_HOUR }))
}
