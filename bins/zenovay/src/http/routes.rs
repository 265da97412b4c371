//! The table of all routes. The application is built from it and from nothing else, and the tests walk it: a route that
//! is not in their table of expectations fails them (SECURITY A1, B5).
//!
//! A route is one line: method, path, handler, summary. What it asks of its caller, and everything else that is known
//! about it, comes from the types of its handler ([`super::handler`]).

use std::sync::{Arc, LazyLock};

use actix_web::body::BoxBody;
use actix_web::guard;
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{FromRequest, HttpRequest, HttpResponse, Resource, Responder, Route, web};
use zenovay_domain::ErrorCode;

use super::console::{
    Console, account, activity, audience, doctor, error_groups, funnels, goals, heatmaps as console_heatmaps, install,
    instance, invitations, keys, live, mcp_clients, numbers, passkeys, performance, plan, queries, resets,
    second_factor, session, session_replays, shares, sites, source_maps, status, teams, trail, users, welcome,
};
use super::cors::Origins;
use super::document::{self, Operation};
use super::envelope::ApiError;
use super::export::events;
use super::external::{
    analytics, errors, heatmaps, performance as external_performance, replays, usage, visitors, websites,
};
use super::guard::{ReadAnalytics, ReadFunnels};
use super::handler::Handler;
use super::oauth::{authorize, metadata, page, register, token};
use super::stats::{captures, handlers as stats};
use super::{
    application, assets, batch, capture, capture_replay, cors, mcp, operations, plausible, public, response_layer,
    tracking,
};
use crate::activity::asked_by;

/// One route.
pub struct Endpoint {
    /// Its method. `GET` answers `HEAD` too; every path answers `OPTIONS`.
    pub method: Method,
    /// The pattern of its path. Routes with other methods may share it.
    pub path: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// Which pages may read it.
    pub origins: Origins,
    /// What the types of its handler say.
    pub operation: Operation,
    mount: Box<dyn Fn(Route) -> Route + Send + Sync>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl Endpoint {
    fn new<Arguments, H>(method: Method, path: &'static str, handler: H, summary: &'static str) -> Self
    where
        H: Handler<Arguments>,
        H::Output: Responder + 'static,
        Arguments: FromRequest + 'static,
    {
        let mount = Box::new(move |route: Route| route.to(handler));
        Self { method, path, summary, origins: Origins::None, operation: H::operation(path), mount }
    }

    fn readable_by(self, origins: Origins) -> Self {
        Self { origins, ..self }
    }

    /// Also answers these, for what the types of its handler do not say: what its body names or what is there already.
    fn refusing(mut self, codes: impl IntoIterator<Item = ErrorCode>) -> Self {
        self.operation.refuses(codes);
        self
    }

    /// Whether it is refused to everybody, and to whoever is not known in another way.
    pub fn is_closed(&self) -> bool {
        self.operation.answers.is_empty()
    }

    /// Whether it answers requests with this method.
    fn answers(&self, asked: &Method) -> bool {
        *asked == self.method || (self.method == Method::GET && asked == Method::HEAD)
    }
}

macro_rules! methods {
    ($($name:ident $method:ident,)*) => { $(
        #[doc = concat!("A route that answers `", stringify!($method), "`.")]
        pub(super) fn $name<Arguments, H>(path: &'static str, handler: H, summary: &'static str) -> Endpoint
        where
            H: Handler<Arguments>,
            H::Output: Responder + 'static,
            Arguments: FromRequest + 'static,
        {
            Endpoint::new(Method::$method, path, handler, summary)
        }
    )* };
}

methods! {
    get GET,
    post POST,
    patch PATCH,
    put PUT,
    delete DELETE,
}

/// The routes of tracking below a prefix: the root, and the one that first-party proxies forward (SPEC A2).
macro_rules! tracking {
    ($prefix:literal) => {{
        use Origins::{Any, Asking};
        [
            get(concat!($prefix, "/z.js"), assets::tracker, "The tracking script").readable_by(Any),
            get(concat!($prefix, "/z-{script}.js"), assets::parts, "What the script loads").readable_by(Any),
            get(concat!($prefix, "/load/{code}"), public::settings, "What the script may do").readable_by(Any),
            post(concat!($prefix, "/e/{code}"), tracking::hit, "Report an event").readable_by(Asking),
            post(concat!($prefix, "/e/heartbeat/{code}"), tracking::heartbeat, "Report activity").readable_by(Asking),
            get(concat!($prefix, "/e/live/{code}"), public::live, "Visitors at this moment").readable_by(Any),
            get(concat!($prefix, "/e/realtime/{website_id}"), public::realtime, "Today in numbers").readable_by(Any),
            post(concat!($prefix, "/track"), tracking::hit, "Report an event, older path").readable_by(Asking),
            post(concat!($prefix, "/heartbeat"), tracking::heartbeat, "Report activity, older path")
                .readable_by(Asking),
            post(concat!($prefix, "/api/track/{code}/performance"), capture::performance, "Report how fast a page is")
                .readable_by(Asking),
            post(concat!($prefix, "/api/track/{code}/error"), capture::error, "Report errors of a page")
                .readable_by(Asking),
            post(
                concat!($prefix, "/api/track/{code}/heatmap"),
                capture::heatmap,
                "Report clicks and scrolling of a page",
            )
            .readable_by(Asking),
            post(concat!($prefix, "/api/track/{code}/replay"), capture_replay::replay, "Report what a page shows")
                .readable_by(Asking),
            get(concat!($prefix, "/live/{code}"), public::live, "Visitors at this moment, older path").readable_by(Any),
        ]
    }};
}

/// The base of the routes of tracking that first-party proxies forward to.
pub const FIRST_PARTY: &str = "/api/_z";

/// A path of the External API.
macro_rules! external {
    ($path:literal) => {
        concat!("/api/external/v1", $path)
    };
}

/// A path about one website of the console.
macro_rules! of_website {
    ($path:literal) => {
        concat!("/api/websites/{website_id}", $path)
    };
}

/// A path below a public link.
macro_rules! shared {
    ($path:literal) => {
        concat!("/api/shares/{token}", $path)
    };
}

/// The routes of public links.
fn links() -> impl IntoIterator<Item = Endpoint> {
    type Reader = shares::LinkHolder;
    type Funnels = shares::FunnelLinkHolder;
    [
        get(of_website!("/shares"), shares::list, "The public links of a website"),
        post(of_website!("/shares"), shares::create, "Make a public link"),
        delete(of_website!("/shares/{share_id}"), shares::delete, "End a public link"),
        get(shared!(""), shares::show, "What a public link opens"),
        post(shared!("/unlock"), shares::unlock, "Type the password of a public link"),
        get(shared!("/totals"), numbers::totals::<Reader>, "The tiles of a shared dashboard"),
        get(shared!("/series"), numbers::series::<Reader>, "A metric over time"),
        get(shared!("/breakdown"), numbers::breakdown::<Reader>, "Rows by a dimension"),
        get(shared!("/properties"), numbers::properties::<Reader>, "The names of custom properties"),
        get(shared!("/values"), numbers::values::<Reader>, "What a filter can be set to"),
        get(shared!("/queries/{query_id}"), queries::show::<Reader>, "The answer to a long question, once"),
        delete(shared!("/queries/{query_id}"), queries::stop::<Reader>, "Stop a long question"),
        get(
            shared!("/queries/{query_id}/events"),
            queries::events::<Reader>,
            "How far a long question is, as a stream",
        ),
        get(shared!("/live"), live::show::<Reader>, "Who is here"),
        get(shared!("/live/events"), live::events::<Reader>, "What happens, as a stream"),
        get(shared!("/goals"), goals::list::<Reader>, "The goals with their numbers"),
        get(shared!("/funnels"), funnels::list::<Funnels>, "The funnels with their numbers"),
        get(shared!("/funnels/{funnel_id}/report"), funnels::report::<Funnels>, "How far visitors get"),
    ]
}

/// The routes of the web application that are about websites.
fn console() -> impl IntoIterator<Item = Endpoint> {
    type Reader = Console<ReadAnalytics>;
    type Funnels = Console<ReadFunnels>;
    [
        get("/api/websites", sites::list, "The websites within reach, with their numbers"),
        post("/api/websites", sites::create, "Add a website").refusing([ErrorCode::NotFound]),
        get(of_website!(""), sites::detail, "A website with its settings"),
        patch(of_website!(""), sites::change, "Change a website"),
        delete(of_website!(""), sites::delete, "Delete a website"),
        post(of_website!("/tracking-code"), sites::renew_code, "Give a website another tracking code"),
        get(of_website!("/totals"), numbers::totals::<Reader>, "The tiles of a dashboard"),
        get(of_website!("/series"), numbers::series::<Reader>, "A metric over time"),
        get(of_website!("/breakdown"), numbers::breakdown::<Reader>, "Rows by a dimension"),
        get(of_website!("/properties"), numbers::properties::<Reader>, "The names of custom properties"),
        get(of_website!("/values"), numbers::values::<Reader>, "What a filter can be set to"),
        get(of_website!("/live"), live::show::<Reader>, "Who is here"),
        get(of_website!("/live/events"), live::events::<Reader>, "What happens, as a stream"),
        get("/api/queries/{query_id}", queries::show::<queries::Owner>, "The answer to a long question, once"),
        delete("/api/queries/{query_id}", queries::stop::<queries::Owner>, "Stop a long question"),
        get(
            "/api/queries/{query_id}/events",
            queries::events::<queries::Owner>,
            "How far a long question is, as a stream",
        ),
        get(of_website!("/install"), install::show, "Whether events arrive, and what keeps them out"),
        post(of_website!("/install/allow"), install::allow, "Let the events of a host in"),
        get(of_website!("/visitors"), audience::list, "Visitors, the newest visit first"),
        get(of_website!("/visitors/{visitor}"), audience::timeline, "What a visitor did"),
        delete(of_website!("/visitors/{visitor}"), audience::erase, "Erase a visitor"),
        get(of_website!("/goals"), goals::list::<Reader>, "The goals with their numbers"),
        post(of_website!("/goals"), goals::create, "Add a goal").refusing([ErrorCode::Conflict]),
        patch(of_website!("/goals/{goal_id}"), goals::change, "Change a goal").refusing([ErrorCode::Conflict]),
        delete(of_website!("/goals/{goal_id}"), goals::delete, "Remove a goal").refusing([ErrorCode::Conflict]),
        get(of_website!("/performance"), performance::report, "How fast pages are"),
        get(of_website!("/heatmaps"), console_heatmaps::list, "Pages with a heatmap in a view"),
        get(of_website!("/heatmaps/page"), console_heatmaps::page, "The heatmap of a page"),
        get(of_website!("/heatmaps/snapshot"), console_heatmaps::snapshot, "A page as it was recorded"),
        get(of_website!("/replays"), session_replays::list, "Recordings of sessions"),
        delete(of_website!("/replays"), session_replays::delete_all, "Delete all recordings"),
        get(of_website!("/replays/{replay_id}"), session_replays::detail, "All about a recording but its events"),
        delete(of_website!("/replays/{replay_id}"), session_replays::delete_one, "Delete a recording"),
        get(of_website!("/replays/{replay_id}/chunks"), session_replays::chunks, "Events of a recording"),
        get(
            of_website!("/replays/{replay_id}/chunks/{seq}"),
            session_replays::chunk,
            "Events of a part of a recording",
        ),
        get(of_website!("/errors"), error_groups::list, "Groups of errors with their numbers"),
        get(of_website!("/errors/{group_id}"), error_groups::detail, "All about a group of errors"),
        patch(of_website!("/errors/{group_id}"), error_groups::change, "Resolve, ignore or reopen a group of errors"),
        post(of_website!("/errors/{group_id}/merge"), error_groups::merge, "Put groups of errors into another one"),
        post(of_website!("/errors/{group_id}/split"), error_groups::split, "Make a group of stacks of another one"),
        post("/api/errors/{website_id}/sourcemap", error_groups::add_source_map, "Send a source map"),
        get("/api/errors/{website_id}/sourcemaps", source_maps::list, "The source maps of a website"),
        delete("/api/errors/{website_id}/sourcemaps/{source_map_id}", source_maps::delete, "Remove a source map"),
        get(of_website!("/funnels"), funnels::list::<Funnels>, "The funnels with their numbers"),
        post(of_website!("/funnels"), funnels::create, "Add a funnel").refusing([ErrorCode::Conflict]),
        patch(of_website!("/funnels/{funnel_id}"), funnels::change, "Change a funnel").refusing([ErrorCode::Conflict]),
        delete(of_website!("/funnels/{funnel_id}"), funnels::delete, "Remove a funnel"),
        get(of_website!("/funnels/{funnel_id}/report"), funnels::report::<Funnels>, "How far visitors get"),
    ]
}

/// The routes by which people let programs act for them.
fn oauth() -> impl IntoIterator<Item = Endpoint> {
    use Origins::{Any, Clients};
    macro_rules! well_known {
        ($name:literal) => {
            concat!("/.well-known/oauth-", $name)
        };
    }
    [
        get(well_known!("protected-resource"), metadata::resource, "What the resource is").readable_by(Any),
        get(well_known!("protected-resource/mcp"), metadata::resource, "What the resource is").readable_by(Any),
        get(well_known!("authorization-server"), metadata::server, "What the server that authorizes does")
            .readable_by(Any),
        get(well_known!("authorization-server/mcp"), metadata::server, "What the server that authorizes does")
            .readable_by(Any),
        get("/oauth/authorize", authorize::ask, "Ask a person"),
        post("/oauth/consent", authorize::answer, "The person's answer"),
        get("/oauth/style.css", page::style, "How the page looks"),
        post("/oauth/token", token::token, "Exchange a code or a refresh token").readable_by(Clients),
        post("/oauth/revoke", token::revoke, "Take a token back").readable_by(Clients),
        post("/oauth/register", register::register, "Register a client").readable_by(Clients),
        get("/oauth/register/{client_id}", register::show, "Read a registration"),
        delete("/oauth/register/{client_id}", register::delete, "Delete a registration"),
    ]
}

static TABLE: LazyLock<Vec<Endpoint>> = LazyLock::new(|| {
    let mut table = vec![
        get(external!("/usage"), usage::usage, "The key, its limits and what it has used"),
        get(external!("/websites"), websites::list, "The websites that the key reaches"),
        get(external!("/websites/{website_id}"), websites::detail, "One website with its settings"),
        delete(external!("/websites/{website_id}/visitors/{visitor}"), visitors::erase, "Erase a visitor"),
        get(
            external!("/websites/{website_id}/visitors/{visitor}/export"),
            visitors::export,
            "All that is stored of a visitor",
        ),
        get(external!("/analytics/{website_id}"), analytics::overview, "Totals, and each day"),
        get(external!("/analytics/{website_id}/visitors"), analytics::visitors, "Visitors, the newest first"),
        get(external!("/analytics/{website_id}/pages"), analytics::pages, "Pages by visitors"),
        get(external!("/analytics/{website_id}/countries"), analytics::countries, "Countries by visitors"),
        get(external!("/analytics/{website_id}/technology"), analytics::technology, "Browsers, systems, devices"),
        get(external!("/stats/aggregate"), stats::aggregate, "Totals of any metrics"),
        get(external!("/stats/timeseries"), stats::timeseries, "A series of any metrics"),
        get(external!("/stats/breakdown"), stats::breakdown, "Any metrics by the values of a property"),
        get(
            external!("/stats/performance"),
            captures::performance,
            "Web vitals: in all, by device, over time, by page",
        ),
        get(external!("/stats/errors"), captures::errors, "Groups of errors in a range"),
        get(external!("/stats/heatmaps"), captures::heatmaps, "Pages with a heatmap in a range"),
        get(external!("/stats/heatmaps/page"), captures::heatmap, "The heatmap of a page in a range"),
        get(external!("/stats/replays"), captures::replays, "Recorded sessions of a range"),
        get(external!("/export/{website_id}/events"), events::manifest, "The parts of an export of events"),
        get(external!("/export/{website_id}/events/{part}"), events::part, "A part of an export of events"),
        get(
            external!("/performance/{website_id}"),
            external_performance::overview,
            "Web vitals, and those of each day",
        ),
        get(external!("/performance/{website_id}/pages"), external_performance::pages, "Web vitals of each page"),
        get(external!("/heatmaps/{website_id}/pages"), heatmaps::pages, "Pages with a heatmap"),
        get(external!("/replays/{website_id}/sessions"), replays::sessions, "Recorded sessions"),
        get(external!("/errors/{website_id}/groups"), errors::groups, "Groups of errors"),
        get(external!("/openapi.json"), document::openapi, "This document").readable_by(Origins::Any),
        get("/api/v1/stats/aggregate", plausible::aggregate, "Totals"),
        get("/api/v1/stats/timeseries", plausible::timeseries, "A series"),
        get("/api/v1/stats/breakdown", plausible::breakdown, "Rows by the values of a property"),
        get("/api/v1/stats/realtime/visitors", plausible::realtime, "Visitors at this moment"),
        get("/api/v1/sites", plausible::sites, "The websites that the key reaches"),
        post("/api/v2/query", plausible::query, "Any question"),
        get("/api/health", plausible::health, "Whether the server can answer"),
        post("/api/v1/events", batch::events, "Store up to 1,000 events of a server"),
        get("/api/instance", instance::show, "What anybody may know of the server"),
        get("/api/invitations/{token}", invitations::show, "What an invitation is for"),
        post("/api/invitations/{token}", invitations::accept, "Accept an invitation").refusing([ErrorCode::Conflict]),
        post("/api/teams", teams::create, "Make a team"),
        get("/api/teams/{team_id}", teams::show, "One team"),
        patch("/api/teams/{team_id}", teams::edit, "Change a team"),
        delete("/api/teams/{team_id}", teams::delete, "Delete a team with everything in it"),
        get("/api/teams/{team_id}/members", teams::members, "Who is in a team"),
        patch("/api/teams/{team_id}/members/{user_id}", teams::change_role, "Give a member another role")
            .refusing([ErrorCode::Conflict]),
        delete("/api/teams/{team_id}/members/{user_id}", teams::remove_member, "Remove a member")
            .refusing([ErrorCode::Conflict]),
        post("/api/teams/{team_id}/leave", teams::leave, "Leave a team").refusing([ErrorCode::Conflict]),
        post("/api/teams/{team_id}/transfer", teams::transfer, "Hand a team to another owner")
            .refusing([ErrorCode::Conflict]),
        get("/api/teams/{team_id}/invitations", invitations::list, "The open invitations into a team"),
        post("/api/teams/{team_id}/invitations", invitations::create, "Invite somebody")
            .refusing([ErrorCode::Conflict]),
        delete("/api/teams/{team_id}/invitations/{invitation_id}", invitations::take_back, "Take an invitation back"),
        get("/api/teams/{team_id}/keys", keys::of_team, "The keys of a team"),
        post("/api/teams/{team_id}/keys", keys::create_of_team, "Make a key of a team"),
        get("/api/account/keys", keys::own, "One's own keys"),
        post("/api/account/keys", keys::create_own, "Make a key of one's own"),
        get("/api/keys/{key_id}", keys::show, "One key"),
        patch("/api/keys/{key_id}", keys::edit, "Change a key").refusing([ErrorCode::Conflict]),
        delete("/api/keys/{key_id}", keys::revoke, "Revoke a key"),
        get("/api/keys/{key_id}/activity", keys::activity, "What a key is used for"),
        get("/api/teams/{team_id}/plan", plan::show, "The plan of a team"),
        put("/api/teams/{team_id}/plan", plan::choose, "Choose a plan"),
        get("/api/teams/{team_id}/usage", plan::usage, "What a team uses of its plan"),
        get("/api/teams/{team_id}/audit", trail::list, "What people and keys changed"),
        get("/api/account", account::show, "One's own account"),
        patch("/api/account", account::edit, "Change one's own account").refusing([ErrorCode::Conflict]),
        delete("/api/account", account::delete, "Delete one's own account").refusing([ErrorCode::Conflict]),
        put("/api/account/password", account::change_password, "Change the password"),
        get("/api/account/sessions", account::sessions, "Where one is signed in"),
        delete("/api/account/sessions", account::end_others, "Sign out everywhere else"),
        delete("/api/account/sessions/{session_id}", account::end_one, "End a session"),
        get("/api/account/mcp-clients", mcp_clients::list, "The clients that act for one"),
        delete("/api/account/mcp-clients/{grant_id}", mcp_clients::revoke, "Let a client act no longer"),
        get("/api/account/export", account::export, "All that is stored of one's own account"),
        post("/api/account/totp", second_factor::prepare, "Set up codes of an app").refusing([ErrorCode::Conflict]),
        put("/api/account/totp", second_factor::enable, "Ask for codes from now on").refusing([ErrorCode::Conflict]),
        delete("/api/account/totp", second_factor::disable, "Ask for no codes any more"),
        post("/api/account/backup-codes", second_factor::renew_backup_codes, "Replace the backup codes")
            .refusing([ErrorCode::Conflict]),
        post("/api/session/totp", second_factor::sign_in_with_code, "Sign in: the code of an app"),
        post("/api/session/backup", second_factor::sign_in_with_backup_code, "Sign in: a backup code"),
        get("/api/account/passkeys", passkeys::list, "One's own passkeys"),
        post("/api/account/passkeys/options", passkeys::begin, "Begin to make a passkey")
            .refusing([ErrorCode::Conflict]),
        post("/api/account/passkeys", passkeys::create, "Add the passkey that was made")
            .refusing([ErrorCode::Conflict]),
        patch("/api/account/passkeys/{passkey_id}", passkeys::rename, "Give a passkey another name"),
        delete("/api/account/passkeys/{passkey_id}", passkeys::remove, "Remove a passkey"),
        post("/api/session/passkey/options", passkeys::begin_sign_in, "Sign in: ask for a passkey")
            .refusing([ErrorCode::Unauthorized, ErrorCode::Conflict]),
        post("/api/session/passkey", passkeys::sign_in, "Sign in: a passkey").refusing([ErrorCode::Unauthorized]),
        post("/api/users", users::sign_up, "Make an account").refusing([ErrorCode::NotFound, ErrorCode::Conflict]),
        post("/api/password-resets", resets::ask, "Ask for a link for a new password"),
        put("/api/password-resets/{token}", resets::finish, "Set a new password by a link"),
        get("/api/session", session::show, "Who is signed in"),
        post("/api/welcome", welcome::take_over, "Make the first account one's own")
            .refusing([ErrorCode::NotFound, ErrorCode::Conflict]),
        post("/api/session", session::begin, "Sign in with a password").refusing([ErrorCode::Unauthorized]),
        post("/api/session/link", session::by_link, "Sign in with a link that works once")
            .refusing([ErrorCode::NotFound]),
        delete("/api/session", session::end, "Sign out"),
        get("/status.json", status::show, "How the parts of the server are"),
        post("/api/status/incidents", status::create, "Tell of an incident"),
        post("/api/status/incidents/{incident_id}/updates", status::update, "Tell how an incident goes on"),
        delete("/api/status/incidents/{incident_id}", status::delete, "Take an incident back"),
        get("/api/doctor", doctor::show, "What is wrong with the server"),
        get("/api/server/activity", activity::show, "What the server did in the last hours"),
        post("/mcp", mcp::message, "A message of an assistant").readable_by(Origins::Clients),
        get("/mcp", mcp::nothing_but_messages, "Refused: there are no streams").readable_by(Origins::Clients),
        delete("/mcp", mcp::nothing_but_messages, "Refused: there are no sessions").readable_by(Origins::Clients),
        get("/", application::start, "The web application"),
        get("/status", application::status, "The status page").refusing([ErrorCode::NotFound]),
        get("/frame", application::frame, "An empty document to draw a recorded page in"),
        get("/replay-player", application::player, "The document in which a replay is played"),
        get("/assets/{file}", application::file, "A file of the web application"),
        get("/docs/api", document::reference, "This document for people"),
        get("/docs/changelog", document::changes, "What changed"),
        get("/docs/style.css", document::style, "How the pages look"),
        get("/healthz", operations::healthz, "Whether the process answers"),
        get("/readyz", operations::readyz, "Whether events can be stored and keys checked"),
        get("/metrics", operations::local_metrics, "The metrics of the process"),
    ];
    table.extend(console());
    table.extend(links());
    table.extend(oauth());
    table.extend(tracking!(""));
    table.extend(tracking!("/api/_z"));
    table
});

/// Every route of the server.
pub fn all() -> impl Iterator<Item = &'static Endpoint> {
    TABLE.iter()
}

/// The route of a pattern that answers requests with this method.
pub fn find(pattern: &str, method: &Method) -> Option<&'static Endpoint> {
    all().find(|endpoint| endpoint.path == pattern && endpoint.answers(method))
}

/// A path, with all that answers there.
struct Path {
    pattern: &'static str,
    endpoints: Vec<&'static Endpoint>,
}

/// Every path of a table once, in the order of the table.
fn paths(table: impl Iterator<Item = &'static Endpoint>) -> Vec<Path> {
    let mut paths: Vec<Path> = Vec::new();
    for endpoint in table {
        match paths.iter_mut().find(|path| path.pattern == endpoint.path) {
            Some(path) => path.endpoints.push(endpoint),
            None => paths.push(Path { pattern: endpoint.path, endpoints: vec![endpoint] }),
        }
    }
    paths
}

/// The resources of the application: for each path its handlers, `OPTIONS`, and a 405 that names all methods for
/// everything else.
pub fn resources() -> impl Iterator<Item = Resource> {
    let mut paths = paths(all());
    // The router tries one after the other, and most requests are hits.
    paths.sort_by_key(|path| path.endpoints.iter().all(|endpoint| endpoint.origins != Origins::Asking));
    paths.into_iter().map(Path::into_resource)
}

impl Path {
    fn into_resource(self) -> Resource {
        let all = self.endpoints.iter().map(|endpoint| endpoint.origins);
        let origins = all.fold(Origins::None, |one, other| if one == Origins::None { other } else { one });
        let error_form = self.endpoints.first().map(|endpoint| endpoint.operation.error_form).unwrap_or_default();
        let route = response_layer::MatchedRoute::new(self.pattern, origins).telling_errors(error_form);
        let mut resource = web::resource(self.pattern).app_data(route);
        for &endpoint in &self.endpoints {
            let method = guard::fn_guard(|context| endpoint.answers(&context.head().method));
            let mut route = (endpoint.mount)(web::route().guard(method));
            // Hits, of which there are many, ask nothing.
            if endpoint.origins != Origins::Asking {
                let pattern = self.pattern;
                route = route.wrap(from_fn(move |req, next: Next<BoxBody>| asked_by(pattern, next.call(req))));
            }
            resource = resource.route(route);
        }
        let path = Arc::new(self);
        let allowed = path.allowed();
        resource
            .route(web::route().guard(guard::Options()).to(move |req: HttpRequest| {
                let path = Arc::clone(&path);
                async move { path.options(&req) }
            }))
            .default_service(web::to(move || {
                let error = ApiError::of_status(actix_web::http::StatusCode::METHOD_NOT_ALLOWED);
                let error = error.with_allow(allowed.clone());
                async move { Err::<HttpResponse, _>(error) }
            }))
    }

    /// The methods of the path, as in the header `Allow`.
    fn allowed(&self) -> String {
        let mut allowed = String::new();
        for endpoint in self.endpoints.iter().filter(|endpoint| !endpoint.is_closed()) {
            allowed.push_str(endpoint.method.as_str());
            allowed.push_str(", ");
            if endpoint.method == Method::GET {
                allowed.push_str("HEAD, ");
            }
        }
        allowed + "OPTIONS"
    }

    /// The answer to `OPTIONS`, which is a preflight where pages may ask.
    fn options(&self, req: &HttpRequest) -> HttpResponse {
        let is_open = |endpoint: &&&Endpoint| endpoint.origins != Origins::None && !endpoint.is_closed();
        let of_pages: Vec<_> = self.endpoints.iter().filter(is_open).collect();
        let for_pages: Vec<&str> = of_pages.iter().map(|endpoint| endpoint.method.as_str()).collect();
        let origins = of_pages.first().map_or(Origins::None, |endpoint| endpoint.origins);
        let mut response = if for_pages.is_empty() {
            HttpResponse::NoContent().finish()
        } else {
            cors::preflight(req.headers(), &for_pages.join(", "), origins)
        };
        if let Ok(allowed) = HeaderValue::try_from(self.allowed()) {
            response.headers_mut().insert(ALLOW, allowed);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::guard::Public;
    use crate::http::handler::{Access, Described, Html};
    use actix_web::App;
    use actix_web::http::header::HeaderName;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use std::collections::HashSet;
    use zenovay_domain::Timestamp;

    #[test]
    fn no_route_is_there_twice() {
        let mut routes = HashSet::new();
        for endpoint in all() {
            assert!(routes.insert((&endpoint.method, endpoint.path)), "{endpoint:?}");
        }
    }

    #[test]
    fn key_routes_are_closed_to_pages() {
        for endpoint in all() {
            if let Access::Key(_) = endpoint.operation.access {
                assert_eq!(endpoint.origins, Origins::None, "{endpoint:?}");
            }
        }
    }

    async fn read(_: Public) -> Described<Html> {
        HttpResponse::Ok().body("read").into()
    }

    async fn change(_: Public) -> Described<Html> {
        HttpResponse::Ok().body("changed").into()
    }

    async fn remove(_: Public) -> Described<Html> {
        HttpResponse::NoContent().finish().into()
    }

    static SHARED: LazyLock<[Endpoint; 4]> = LazyLock::new(|| {
        [
            Endpoint::new(Method::GET, "/things/{id}", read, "Read"),
            Endpoint::new(Method::GET, "/things", read, "Read all"),
            Endpoint::new(Method::PATCH, "/things/{id}", change, "Change").readable_by(Origins::Asking),
            Endpoint::new(Method::DELETE, "/things/{id}", remove, "Remove"),
        ]
    });

    /// Sabotage: let the first route of a path answer alone, or name its method alone.
    #[actix_web::test]
    async fn routes_with_different_methods_share_a_path() {
        let app = App::new().configure(|config| {
            for path in paths(SHARED.iter()) {
                config.service(path.into_resource());
            }
        });
        let app = init_service(app).await;
        let all = "GET, HEAD, PATCH, DELETE, OPTIONS";
        for (method, path, status, body, allow) in [
            ("GET", "/things/1", 200, "read", None),
            ("HEAD", "/things/1", 200, "read", None),
            ("PATCH", "/things/1", 200, "changed", None),
            ("DELETE", "/things/1", 204, "", None),
            ("OPTIONS", "/things/1", 204, "", Some(all)),
            ("POST", "/things/1", 405, "", Some(all)),
            ("TRACE", "/things/1", 405, "", Some(all)),
            ("BREW", "/things/1", 405, "", Some(all)),
            ("OPTIONS", "/things", 204, "", Some("GET, HEAD, OPTIONS")),
            ("PATCH", "/things", 405, "", Some("GET, HEAD, OPTIONS")),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let request = TestRequest::with_uri(path).method(method.clone()).to_request();
            let response = call_service(&app, request).await;
            assert_eq!(response.status().as_u16(), status, "{method} {path}");
            // A 405 is rendered by the outermost layer.
            let error = response.response().error().and_then(|error| error.as_error::<ApiError>());
            let rendered = error.map(|error| error.render(Timestamp::from_millis(0), "r"));
            let headers = rendered.as_ref().map_or(response.headers(), HttpResponse::headers);
            let told = headers.get(ALLOW).map(|value| value.to_str().unwrap());
            assert_eq!(told, allow, "{method} {path}");
            assert_eq!(read_body(response).await, body.as_bytes(), "{method} {path}");
        }
    }

    #[actix_web::test]
    async fn a_preflight_allows_the_methods_that_pages_may_use() {
        let path = paths(SHARED.iter()).swap_remove(0);
        let app = init_service(App::new().service(path.into_resource())).await;
        let origin = (HeaderName::from_static("origin"), "https://shop.example");
        let request = TestRequest::with_uri("/things/1").method(Method::OPTIONS).insert_header(origin);
        let response = call_service(&app, request.to_request()).await;
        assert_eq!(response.headers().get("access-control-allow-methods").unwrap(), "PATCH");
    }
}
