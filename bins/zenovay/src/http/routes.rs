//! The table of all routes. The application is built from it and from nothing else, and the tests walk it: a route that
//! is not in their table of expectations fails them (SECURITY A1, B5).

use actix_web::guard::{self, Guard};
use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, Resource, Route, web};
use zenovay_auth::Action;

use super::envelope::ApiError;
use super::external::{analytics, pending, usage, websites};
use super::{assets, batch, cors, operations, public, shell, tracking};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Requests from this machine.
    Local,
    /// A key that may do this.
    Key(Action),
}

/// Which pages may read the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origins {
    /// None: no cross-origin headers.
    None,
    /// The one that asks, with a preflight for requests with a content type.
    Asking,
    /// All.
    Any,
}

/// One route.
#[derive(Clone, Copy)]
pub struct Endpoint {
    /// `GET` or `POST`. `GET` answers `HEAD` too; every route answers `OPTIONS`.
    pub method: &'static str,
    /// The pattern of its path.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// Which pages may read it.
    pub origins: Origins,
    route: fn(Route) -> Route,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

const fn get(path: &'static str, access: Access, origins: Origins, route: fn(Route) -> Route) -> Endpoint {
    Endpoint { method: "GET", path, access, origins, route }
}

const fn post(path: &'static str, access: Access, origins: Origins, route: fn(Route) -> Route) -> Endpoint {
    Endpoint { method: "POST", path, access, origins, route }
}

/// The routes of tracking below a prefix: the root, and the one that first-party proxies forward (SPEC A2).
macro_rules! tracking {
    ($prefix:literal) => {
        [
            get(concat!($prefix, "/z.js"), Access::Public, Origins::Any, |route| route.to(assets::tracker)),
            get(concat!($prefix, "/z-more.js"), Access::Public, Origins::Any, |route| route.to(assets::second)),
            get(concat!($prefix, "/load/{code}"), Access::Public, Origins::Any, |route| route.to(public::settings)),
            post(concat!($prefix, "/e/{code}"), Access::Public, Origins::Asking, |route| route.to(tracking::hit)),
            post(concat!($prefix, "/e/heartbeat/{code}"), Access::Public, Origins::Asking, |route| {
                route.to(tracking::heartbeat)
            }),
            get(concat!($prefix, "/e/live/{code}"), Access::Public, Origins::Any, |route| route.to(public::live)),
            get(concat!($prefix, "/e/realtime/{website_id}"), Access::Public, Origins::Any, |route| {
                route.to(public::realtime)
            }),
            post(concat!($prefix, "/track"), Access::Public, Origins::Asking, |route| route.to(tracking::hit)),
            post(concat!($prefix, "/heartbeat"), Access::Public, Origins::Asking, |route| {
                route.to(tracking::heartbeat)
            }),
            get(concat!($prefix, "/live/{code}"), Access::Public, Origins::Any, |route| route.to(public::live)),
        ]
    };
}

macro_rules! external {
    ($path:literal, $action:ident, $handler:path) => {
        get(concat!("/api/external/v1", $path), Access::Key(Action::$action), Origins::None, |route| route.to($handler))
    };
}

static TRACKING: [Endpoint; 10] = tracking!("");
static FIRST_PARTY: [Endpoint; 10] = tracking!("/api/_z");
static EXTERNAL: [Endpoint; 12] = [
    external!("/usage", ReadUsage, usage::usage),
    external!("/websites", ListWebsites, websites::list),
    external!("/websites/{website_id}", ReadWebsite, websites::detail),
    external!("/analytics/{website_id}", ReadAnalytics, analytics::overview),
    external!("/analytics/{website_id}/visitors", ReadAnalytics, analytics::visitors),
    external!("/analytics/{website_id}/pages", ReadAnalytics, analytics::pages),
    external!("/analytics/{website_id}/countries", ReadAnalytics, analytics::countries),
    external!("/analytics/{website_id}/technology", ReadAnalytics, analytics::technology),
    external!("/heatmaps/{website_id}/pages", ReadHeatmaps, pending::heatmap_pages),
    external!("/replays/{website_id}/sessions", ReadReplays, pending::replay_sessions),
    external!("/errors/{website_id}/groups", ReadErrors, pending::error_groups),
    post("/api/v1/events", Access::Key(Action::IngestBatch), Origins::None, |route| route.to(batch::events)),
];
static OPERATIONS: [Endpoint; 4] = [
    get("/", Access::Public, Origins::None, |route| route.to(assets::start_page)),
    get("/healthz", Access::Public, Origins::None, |route| route.to(operations::healthz)),
    get("/readyz", Access::Public, Origins::None, |route| route.to(operations::readyz)),
    get("/metrics", Access::Local, Origins::None, |route| route.to(operations::local_metrics)),
];

/// Every route of the server.
pub fn all() -> impl Iterator<Item = &'static Endpoint> {
    TRACKING.iter().chain(&FIRST_PARTY).chain(&EXTERNAL).chain(&OPERATIONS)
}

/// The resource of one route: its handler, `OPTIONS`, and a 405 that names both for everything else. No two routes
/// share a path.
pub fn resource(endpoint: &'static Endpoint) -> Resource {
    web::resource(endpoint.path)
        .app_data(shell::Route::new(endpoint.path, endpoint.origins != Origins::None))
        .route((endpoint.route)(web::route().guard(methods(endpoint.method))))
        .route(web::route().guard(guard::Options()).to(move |req: HttpRequest| async move { options(endpoint, &req) }))
        .default_service(web::to(move || async move {
            let error = ApiError::of_status(actix_web::http::StatusCode::METHOD_NOT_ALLOWED);
            Err::<HttpResponse, _>(error.with_allow(allowed(endpoint).to_owned()))
        }))
}

fn methods(method: &'static str) -> impl Guard {
    guard::fn_guard(move |context| {
        let asked = &context.head().method;
        asked.as_str() == method || (method == "GET" && asked == Method::HEAD)
    })
}

fn options(endpoint: &Endpoint, req: &HttpRequest) -> HttpResponse {
    let mut response = match endpoint.origins {
        Origins::Asking => cors::preflight(req.headers(), "POST"),
        Origins::None | Origins::Any => HttpResponse::NoContent().finish(),
    };
    if endpoint.origins == Origins::Any {
        cors::any_origin(response.headers_mut());
    }
    let allow = actix_web::http::header::HeaderValue::from_static(allowed(endpoint));
    response.headers_mut().insert(actix_web::http::header::ALLOW, allow);
    response
}

fn allowed(endpoint: &Endpoint) -> &'static str {
    if endpoint.method == "GET" { "GET, HEAD, OPTIONS" } else { "POST, OPTIONS" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_routes_share_a_path() {
        let mut paths = HashSet::new();
        for endpoint in all() {
            assert!(paths.insert(endpoint.path), "{endpoint:?}");
        }
    }

    #[test]
    fn key_routes_are_closed_to_pages() {
        for endpoint in all() {
            if let Access::Key(_) = endpoint.access {
                assert_eq!(endpoint.origins, Origins::None, "{endpoint:?}");
            }
        }
    }
}
