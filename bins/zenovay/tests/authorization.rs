//! Who may do what: every route × every kind of credential × every kind of target (SECURITY A1, appendix B). The routes
//! come from the application's own table; a route without expectations fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::Method;
use common::{Reply, TestApp, TestKey, TestWebsite};
use serde_json::json;
use zenovay::http::cors::Origins;
use zenovay::http::handler::Access;
use zenovay::http::routes::{self, Endpoint};
use zenovay_auth::{Action, KeyKind, TargetKind};
use zenovay_domain::{Clock, Plan, Role, Scope};

/// A header with a credential.
#[derive(Clone)]
struct Credential {
    name: &'static str,
    headers: Vec<(&'static str, String)>,
    reads: Reach,
    writes: Reach,
    /// What a route for admins answers.
    admins: Reach,
    /// What an account route answers to a read and to a write.
    account: [u16; 2],
}

/// What a credential is answered about each target.
#[derive(Clone, Copy)]
struct Reach {
    own: u16,
    sibling: u16,
    second_team: u16,
    foreign: u16,
    unknown: u16,
}

const fn all(status: u16) -> Reach {
    Reach { own: status, sibling: status, second_team: status, foreign: status, unknown: status }
}

/// Everything of the owner's teams.
const EVERYTHING: Reach = Reach { own: 200, sibling: 200, second_team: 200, foreign: 403, unknown: 404 };
/// One team.
const TEAM: Reach = Reach { own: 200, sibling: 200, second_team: 403, foreign: 403, unknown: 404 };
/// One website.
const SITE: Reach = Reach { own: 200, sibling: 403, second_team: 403, foreign: 403, unknown: 404 };

/// A name, the status a credential gets about it, its id, its code.
type Target = (&'static str, fn(&Reach) -> u16, String, String);

struct World<'a> {
    app: &'a TestApp,
    own: TestWebsite<'a>,
    sibling: TestWebsite<'a>,
    second_team: TestWebsite<'a>,
    foreign: TestWebsite<'a>,
    credentials: Vec<Credential>,
}

impl<'a> World<'a> {
    fn build(app: &'a TestApp) -> Self {
        let team = app.team(Plan::Enterprise);
        let second = app.team(Plan::Pro);
        let store = &app.state.store;
        store.add_member(second.id, team.owner, Role::Viewer, &app.state.plans, app.clock.now()).unwrap();
        let (own, sibling) = (team.website("own.example"), team.website("sibling.example"));
        let (second_team, foreign) =
            (second.website("second.example"), app.team(Plan::Scale).website("foreign.example"));
        let personal = KeyKind::Personal(team.owner);

        let known = |name, key: &TestKey, reads, writes, account| Credential {
            name,
            headers: vec![("x-api-key", key.text.clone())],
            reads,
            writes,
            admins: all(403),
            account,
        };
        let as_admin = |admins, credential: Credential| Credential { admins, ..credential };
        let refused = |name, headers, status| Credential {
            name,
            headers,
            reads: all(status),
            writes: all(status),
            admins: all(status),
            account: [status; 2],
        };
        let scoped = |scopes| app.key(personal, scopes, None, None);
        let text = |value: &str| value.to_owned();

        let good = scoped("full_access");
        let (upper, cut, padded) = (good.text.to_uppercase(), text(&good.text[..42]), format!("{}A", good.text));
        let mistyped = good.text.replacen(good.text.as_bytes()[10] as char, "_", 1);
        let mut credentials = vec![
            refused("none", vec![], 401),
            refused("empty", vec![("x-api-key", text(""))], 401),
            refused("wrong prefix", vec![("x-api-key", text("abc123_not_valid"))], 401),
            refused("upper case", vec![("x-api-key", upper)], 401),
            refused("cut off", vec![("x-api-key", cut)], 401),
            refused("padded", vec![("x-api-key", padded)], 401),
            refused("mistyped", vec![("x-api-key", mistyped)], 401),
            refused("unknown", vec![("x-api-key", app.unknown_key())], 401),
            refused("in the wrong header", vec![("api-key", good.text.clone())], 401),
            refused("in a cookie", vec![("cookie", format!("x-api-key={}", good.text))], 401),
            refused("without scheme", vec![("authorization", good.text.clone())], 401),
            refused("as basic", vec![("authorization", format!("Basic {}", good.text))], 401),
            refused("tracking code", vec![("x-api-key", text(own.code()))], 401),
            refused(
                "two that differ",
                vec![("x-api-key", good.text.clone()), ("authorization", format!("Bearer {}", scoped("read").text))],
                401,
            ),
        ];

        let revoked = scoped("full_access");
        store.revoke_key(revoked.id, app.clock.now()).unwrap();
        credentials.push(refused("revoked", vec![("x-api-key", revoked.text)], 401));

        // The owner of these keys is not an admin of the second team.
        credentials.push(as_admin(TEAM, known("full access", &good, EVERYTHING, EVERYTHING, [200, 200])));
        let mut bearer = as_admin(TEAM, known("full access as bearer", &good, EVERYTHING, EVERYTHING, [200, 200]));
        bearer.headers = vec![("authorization", format!("Bearer {}", good.text))];
        credentials.push(bearer);
        let mut twice = as_admin(TEAM, known("the same key twice", &good, EVERYTHING, EVERYTHING, [200, 200]));
        twice.headers.push(("authorization", format!("Bearer {}", good.text)));
        credentials.push(twice);

        credentials.push(known("read", &scoped("read"), EVERYTHING, all(403), [200, 403]));
        credentials.push(known("write", &scoped("write"), all(403), EVERYTHING, [403, 200]));
        credentials.push(known("read and write", &scoped("read,write"), EVERYTHING, EVERYTHING, [200, 200]));
        let admin = app.key(personal, "admin", Some(vec![team.id]), None);
        credentials.push(as_admin(TEAM, known("admin", &admin, all(403), all(403), [403, 403])));
        let one_team = app.key(personal, "full_access", Some(vec![team.id]), None);
        credentials.push(as_admin(TEAM, known("one team", &one_team, TEAM, TEAM, [200, 200])));
        let one_site = app.key(personal, "full_access", None, Some(vec![own.id()]));
        credentials.push(as_admin(SITE, known("one website", &one_site, SITE, SITE, [200, 200])));
        credentials.push(as_admin(TEAM, known("workspace", &team.workspace_key(None), TEAM, TEAM, [200, 200])));
        let workspace_site = team.workspace_key(Some(vec![own.id()]));
        credentials.push(as_admin(SITE, known("workspace, one website", &workspace_site, SITE, SITE, [200, 200])));

        let viewer = team.member(Role::Viewer);
        let viewers = app.key(KeyKind::Personal(viewer), "read,write", None, None);
        credentials.push(known("of a viewer", &viewers, TEAM, TEAM, [200, 200]));
        let leaver = team.member(Role::Admin);
        let leavers = app.key(KeyKind::Personal(leaver), "full_access", None, None);
        let restricted = app.key(KeyKind::Personal(leaver), "full_access", Some(vec![team.id]), None);
        store.remove_member(team.id, leaver, app.clock.now()).unwrap();
        credentials.push(known("whose owner left every team", &leavers, all(403), all(403), [403, 403]));
        let revoked = vec![("x-api-key", restricted.text)];
        credentials.push(refused("restricted to the team its owner left", revoked, 401));

        let free = app.team(Plan::Free);
        free.website("free.example");
        credentials.push(known("of a free plan", &free.key("full_access"), all(403), all(403), [403, 403]));

        Self { app, own, sibling, second_team, foreign, credentials }
    }

    fn targets(&self) -> Vec<Target> {
        let of = |website: &TestWebsite<'_>| (website.id().to_string(), website.code().to_owned());
        let with = |name, status: fn(&Reach) -> u16, (id, code): (String, String)| (name, status, id, code);
        let unknown = ("018f3c1e-0000-4000-8000-000000000001".to_owned(), "ZV_00000000000".to_owned());
        vec![
            with("own", |reach| reach.own, of(&self.own)),
            with("sibling", |reach| reach.sibling, of(&self.sibling)),
            with("second team", |reach| reach.second_team, of(&self.second_team)),
            with("foreign", |reach| reach.foreign, of(&self.foreign)),
            with("unknown", |reach| reach.unknown, unknown),
            with("malformed", |reach| reach.unknown, ("not-an-id".to_owned(), "ZV_00000000001".to_owned())),
            with("injected", |reach| reach.unknown, ("%27%20or%201=1--".to_owned(), "ZV_00000000002".to_owned())),
        ]
    }
}

/// The path of `endpoint` about the website `id`, and a visitor that it does not have.
fn path_of(endpoint: &Endpoint, id: &str) -> String {
    let path = endpoint.path.replace("{website_id}", id).replace("{visitor}", "00000000000000ff");
    let path = path.replace("{part}", "2026-06-01.0.parquet");
    // Questions name their website in the query.
    if path.contains("/stats/") { format!("{path}?site_id={id}&property=event:page&path=/pricing") } else { path }
}

/// Whether a route answers in the words of Plausible.
fn is_plausible(endpoint: &Endpoint) -> bool {
    ["/api/v1/stats/", "/api/v1/sites", "/api/v2/"].iter().any(|start| endpoint.path.starts_with(start))
}

async fn call(world: &World<'_>, endpoint: &Endpoint, credential: &Credential, id: &str, code: &str) -> Reply {
    let mut call = world.app.request(endpoint.method.clone(), &path_of(endpoint, id));
    for (name, value) in &credential.headers {
        call = call.header(name, value);
    }
    if endpoint.path == "/api/v2/query" {
        call = call.json(&json!({ "site_id": id, "metrics": ["visitors"], "date_range": "7d" }));
    } else if endpoint.method == Method::POST {
        call = call.json(&json!({
            "trackingCode": code,
            "events": [{ "type": "pageview", "ts": 1_781_352_000_000_i64, "visitorId": "v-1-long-enough",
                         "sessionId": "s-1-long-enough", "props": { "url": "https://own.example/" } }],
        }));
    }
    call.send().await
}

#[actix_web::test]
async fn every_route_answers_every_credential_about_every_target_as_expected() {
    let app = TestApp::start().await;
    let world = World::build(&app);
    let mut cells = 0;
    for endpoint in routes::all() {
        let Access::Key(action) = endpoint.operation.access else { continue };
        for credential in &world.credentials {
            for (target, status, id, code) in world.targets() {
                let batch = action == Action::IngestBatch;
                let names_website =
                    endpoint.path.contains("{website_id}") || action.targets().contains(&TargetKind::Website);
                let expected = match (batch, names_website) {
                    (true, _) => status(&credential.writes),
                    (false, true) if action == Action::ExportEvents => {
                        // Viewers export nothing; the owner of the keys is one in the second team.
                        let is_viewer = credential.name == "of a viewer" || target == "second team";
                        match status(&credential.reads) {
                            200 if is_viewer => 403,
                            // There is no event on the day of the part.
                            200 if endpoint.path.contains("{part}") => 404,
                            status => status,
                        }
                    }
                    (false, true) if action.scope() == Some(Scope::Admin) => status(&credential.admins),
                    (false, true) => status(&credential.reads),
                    (false, false) => credential.account[0],
                };
                let reply = call(&world, endpoint, credential, &id, &code).await;
                let cell = format!("{endpoint:?}, {}, {target}", credential.name);
                if is_plausible(endpoint) {
                    let expected = match expected {
                        403 if credential.name == "of a free plan" => 402,
                        403 | 404 => 401,
                        status => status,
                    };
                    assert_eq!(reply.status, expected, "{cell}: {}", reply.text());
                    assert_eq!(reply.json()["error"].is_string(), expected != 200, "{cell}");
                    assert_eq!(reply.header("www-authenticate").is_some(), expected == 401, "{cell}");
                    cells += 1;
                    continue;
                }
                assert_eq!(reply.status, expected, "{cell}: {}", reply.text());
                let expected_code = match expected {
                    401 => Some("UNAUTHORIZED"),
                    403 if credential.name == "of a free plan" => Some("API_PAID_PLAN_REQUIRED"),
                    403 => Some("FORBIDDEN"),
                    404 => Some("NOT_FOUND"),
                    _ => None,
                };
                if let Some(expected_code) = expected_code {
                    assert_eq!(reply.code(), expected_code, "{cell}");
                    assert_eq!(
                        reply.header("www-authenticate").is_some(),
                        expected == 401 || scope_lacks(&reply),
                        "{cell}"
                    );
                } else {
                    assert_eq!(reply.json()["success"], true, "{cell}");
                }
                cells += 1;
            }
            // A minute's allowance per key is not what this is about.
            app.clock.advance_ms(60_000);
        }
    }
    assert!(cells >= 14 * 30 * 7, "{cells}");
}

fn scope_lacks(reply: &Reply) -> bool {
    reply.json()["details"].as_str().is_some_and(|details| details.contains("scope"))
}

/// What each route that takes a key lets it do. A new one must be entered here.
///
/// Sabotage: give two handlers each other's guard.
#[test]
fn every_route_that_takes_a_key_asks_for_the_action_that_it_does() {
    let mut expected = vec![
        ("GET", "/api/external/v1/usage", Action::ReadUsage),
        ("GET", "/api/external/v1/websites", Action::ListWebsites),
        ("GET", "/api/external/v1/websites/{website_id}", Action::ReadWebsite),
        ("GET", "/api/external/v1/analytics/{website_id}", Action::ReadAnalytics),
        ("GET", "/api/external/v1/analytics/{website_id}/visitors", Action::ReadAnalytics),
        ("GET", "/api/external/v1/analytics/{website_id}/pages", Action::ReadAnalytics),
        ("GET", "/api/external/v1/analytics/{website_id}/countries", Action::ReadAnalytics),
        ("GET", "/api/external/v1/analytics/{website_id}/technology", Action::ReadAnalytics),
        ("GET", "/api/external/v1/stats/aggregate", Action::ReadAnalytics),
        ("GET", "/api/external/v1/stats/timeseries", Action::ReadAnalytics),
        ("GET", "/api/external/v1/stats/breakdown", Action::ReadAnalytics),
        ("GET", "/api/external/v1/stats/performance", Action::ReadAnalytics),
        ("GET", "/api/external/v1/stats/errors", Action::ReadErrors),
        ("GET", "/api/external/v1/stats/heatmaps", Action::ReadHeatmaps),
        ("GET", "/api/external/v1/stats/heatmaps/page", Action::ReadHeatmaps),
        ("GET", "/api/external/v1/stats/replays", Action::ReadReplays),
        ("GET", "/api/external/v1/performance/{website_id}", Action::ReadAnalytics),
        ("GET", "/api/external/v1/performance/{website_id}/pages", Action::ReadAnalytics),
        ("GET", "/api/external/v1/export/{website_id}/events", Action::ExportEvents),
        ("GET", "/api/external/v1/export/{website_id}/events/{part}", Action::ExportEvents),
        ("GET", "/api/v1/stats/aggregate", Action::ReadAnalytics),
        ("GET", "/api/v1/stats/timeseries", Action::ReadAnalytics),
        ("GET", "/api/v1/stats/breakdown", Action::ReadAnalytics),
        ("GET", "/api/v1/stats/realtime/visitors", Action::ReadAnalytics),
        ("GET", "/api/v1/sites", Action::ListWebsites),
        ("POST", "/api/v2/query", Action::ReadAnalytics),
        ("GET", "/api/external/v1/heatmaps/{website_id}/pages", Action::ReadHeatmaps),
        ("GET", "/api/external/v1/replays/{website_id}/sessions", Action::ReadReplays),
        ("GET", "/api/external/v1/errors/{website_id}/groups", Action::ReadErrors),
        ("DELETE", "/api/external/v1/websites/{website_id}/visitors/{visitor}", Action::EraseVisitor),
        ("GET", "/api/external/v1/websites/{website_id}/visitors/{visitor}/export", Action::ExportVisitor),
        ("POST", "/api/v1/events", Action::IngestBatch),
    ];
    for endpoint in routes::all() {
        let Access::Key(action) = endpoint.operation.access else { continue };
        let route = (endpoint.method.as_str(), endpoint.path);
        let place = expected.iter().position(|(method, path, _)| (*method, *path) == route);
        let (.., wanted) = expected.swap_remove(place.unwrap_or_else(|| panic!("{endpoint:?} is not in the table")));
        assert_eq!(action, wanted, "{endpoint:?}");
    }
    assert!(expected.is_empty(), "these routes are gone: {expected:?}");
}

/// Sabotage: leave a method out of `Allow`, or answer one that is not in it.
#[actix_web::test]
async fn a_method_that_a_path_does_not_have_is_405_and_names_those_that_it_has() {
    let app = TestApp::start().await;
    let mut paths: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    // Some methods are closed to whoever is known, and others hear first that they are not.
    let closed: Vec<_> = routes::all().filter(|endpoint| endpoint.is_closed()).collect();
    for endpoint in routes::all().filter(|endpoint| !endpoint.is_closed()) {
        paths.entry(endpoint.path).or_default().insert(endpoint.method.as_str());
    }
    for (path, mut methods) in paths {
        if methods.contains("GET") {
            methods.insert("HEAD");
        }
        methods.insert("OPTIONS");
        let uri = path.replace("{code}", "ZV_00000000000").replace("{website_id}", "x").replace("{visitor}", "x");
        let uri = uri.replace("{part}", "x").replace("{file}", "x");
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "BREW"] {
            if methods.contains(method) && method != "OPTIONS" {
                continue;
            }
            let as_get = if method == "HEAD" { "GET" } else { method };
            if closed.iter().any(|endpoint| endpoint.path == path && endpoint.method.as_str() == as_get) {
                continue;
            }
            let reply = app.request(Method::from_bytes(method.as_bytes()).unwrap(), &uri).send().await;
            assert_eq!(reply.status, if method == "OPTIONS" { 204 } else { 405 }, "{method} {path}");
            let allowed = reply.header("allow").unwrap_or_else(|| panic!("{method} {path} without Allow"));
            assert_eq!(allowed.split(", ").collect::<BTreeSet<_>>(), methods, "{method} {path}");
        }
    }
}

/// What each route that takes no key answers to a request without anything. A new one must be entered here.
#[actix_web::test]
async fn every_public_route_is_known_and_answers_without_a_key() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Free).website("shop.example");
    let hidden = site.id().to_string();
    let expectations: &[(&str, &str, u16)] = &[
        ("GET", "/", 200),
        ("GET", "/assets/{file}", 404),
        ("GET", "/frame", 200),
        ("GET", "/replay-player", 200),
        // To a program.
        ("GET", "/status", 404),
        ("GET", "/status.json", 200),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/api/health", 200),
        // Requests of these tests come from elsewhere.
        ("GET", "/metrics", 404),
        ("GET", "/z.js", if zenovay::http::assets::are_built() { 200 } else { 404 }),
        ("GET", "/z-{script}.js", 404),
        ("GET", "/load/{code}", 200),
        ("POST", "/e/{code}", 200),
        ("POST", "/e/heartbeat/{code}", 200),
        ("GET", "/e/live/{code}", 200),
        // No public dashboard: as if there were no such website.
        ("GET", "/e/realtime/{website_id}", 404),
        ("POST", "/track", 200),
        ("POST", "/heartbeat", 200),
        ("GET", "/live/{code}", 200),
        // Not accepted: whoever has no browser's name is a program.
        ("POST", "/api/track/{code}/performance", 200),
        ("POST", "/api/track/{code}/replay", 200),
        ("POST", "/api/track/{code}/error", 200),
        ("POST", "/api/track/{code}/heatmap", 200),
        ("GET", "/api/external/v1/openapi.json", 200),
        ("GET", "/docs/api", 200),
        ("GET", "/api/instance", 200),
        // The body of a hit is none that they take.
        ("POST", "/api/session", 400),
        ("POST", "/api/session/link", 400),
        ("POST", "/api/session/passkey/options", 400),
        ("POST", "/api/session/passkey", 400),
        ("POST", "/api/welcome", 400),
        ("POST", "/api/users", 400),
        ("POST", "/api/password-resets", 400),
        ("PUT", "/api/password-resets/{token}", 415),
        ("POST", "/api/session/totp", 401),
        ("POST", "/api/session/backup", 401),
        ("GET", "/api/invitations/{token}", 404),
        ("GET", "/docs/changelog", 200),
        ("GET", "/docs/style.css", 200),
        ("GET", "/.well-known/oauth-protected-resource", 200),
        ("GET", "/.well-known/oauth-protected-resource/mcp", 200),
        ("GET", "/.well-known/oauth-authorization-server", 200),
        ("GET", "/.well-known/oauth-authorization-server/mcp", 200),
        // To where people sign in.
        ("GET", "/oauth/authorize", 303),
        ("GET", "/oauth/style.css", 200),
        // The body of a hit is no form.
        ("POST", "/oauth/consent", 415),
        ("POST", "/oauth/token", 415),
        ("POST", "/oauth/revoke", 415),
        ("POST", "/oauth/register", 400),
        ("GET", "/oauth/register/{client_id}", 401),
        ("DELETE", "/oauth/register/{client_id}", 401),
        ("GET", "/api/shares/{token}", 404),
        // The body of a hit has no password.
        ("POST", "/api/shares/{token}/unlock", 400),
        ("GET", "/api/shares/{token}/totals", 404),
        ("GET", "/api/shares/{token}/series", 404),
        ("GET", "/api/shares/{token}/breakdown", 404),
        ("GET", "/api/shares/{token}/properties", 404),
        ("GET", "/api/shares/{token}/values", 404),
        ("GET", "/api/shares/{token}/live", 404),
        ("GET", "/api/shares/{token}/live/events", 404),
        ("GET", "/api/shares/{token}/goals", 404),
        ("GET", "/api/shares/{token}/funnels", 404),
        ("GET", "/api/shares/{token}/funnels/{funnel_id}/report", 404),
        ("GET", "/api/shares/{token}/queries/{query_id}", 404),
        ("DELETE", "/api/shares/{token}/queries/{query_id}", 404),
        ("GET", "/api/shares/{token}/queries/{query_id}/events", 404),
    ];
    for endpoint in routes::all() {
        if !matches!(endpoint.operation.access, Access::Public | Access::Local) {
            continue;
        }
        let path = endpoint.path.strip_prefix("/api/_z").unwrap_or(endpoint.path);
        let expected = expectations.iter().find(|(method, known, _)| *method == endpoint.method && *known == path);
        let &(_, _, status) = expected.unwrap_or_else(|| panic!("{endpoint:?} is not in the table"));
        let mut hit = site.hit("/", "session-1");
        if !path.contains("{code}") {
            hit["tracking_code"] = site.code().into();
        }
        let uri = endpoint.path.replace("{code}", site.code()).replace("{website_id}", &hidden);
        let mut call = app.request(endpoint.method.clone(), &uri);
        if endpoint.origins != Origins::None {
            call = call.header("origin", "https://shop.example");
        }
        if endpoint.method == Method::POST {
            call = call.json(&hit);
        }
        call.send().await.expect(status);
    }
}

/// SECURITY A15.
#[actix_web::test]
async fn a_key_in_the_query_is_no_key() {
    let app = TestApp::start().await;
    let key = app.team(Plan::Pro).key("read");
    for name in ["api_key", "x-api-key", "key", "token", "access_token"] {
        let path = format!("/api/external/v1/usage?{name}={}", key.text);
        assert_eq!(app.get(&path).send().await.expect(401).code(), "UNAUTHORIZED");
    }
}

/// SECURITY A7: no process accepts a key after `revoke` returned.
#[actix_web::test]
async fn a_revoked_key_is_refused_on_the_next_request_also_when_another_process_revoked_it() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Pro);
    let (first, second) = (team.key("read"), team.key("read"));
    for key in [&first, &second] {
        app.get("/api/external/v1/usage").key(key).send().await.expect(200);
    }
    app.state.store.revoke_key(first.id, app.clock.now()).unwrap();
    let elsewhere = app.open_metadata_again();
    elsewhere.revoke_key(second.id, app.clock.now()).unwrap();
    for key in [&first, &second] {
        let reply = app.get("/api/external/v1/usage").key(key).send().await.expect(401);
        assert_eq!(reply.json()["error"]["message"], "Invalid API key");
    }
}

#[actix_web::test]
async fn a_change_of_plan_holds_for_the_next_request_and_keeps_the_count() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Pro);
    let key = team.key("read");
    for _ in 0..30 {
        app.get("/api/external/v1/usage").key(&key).send().await.expect(200);
    }
    app.get("/api/external/v1/usage").key(&key).send().await.expect(429);
    app.state.store.set_plan(team.id, Plan::Scale).unwrap();
    let reply = app.get("/api/external/v1/usage").key(&key).send().await.expect(200);
    assert_eq!(reply.header("x-ratelimit-limit"), Some("60"));
    assert_eq!(reply.header("x-ratelimit-remaining"), Some("29"));
    app.state.store.set_plan(team.id, Plan::Free).unwrap();
    assert_eq!(app.get("/api/external/v1/usage").key(&key).send().await.expect(403).code(), "API_PAID_PLAN_REQUIRED");
}

#[actix_web::test]
async fn the_list_of_websites_holds_what_the_key_reaches_and_nothing_else() {
    let app = TestApp::start().await;
    let world = World::build(&app);
    for (name, expected) in [
        ("full access", vec!["own.example", "sibling.example", "second.example"]),
        ("one team", vec!["own.example", "sibling.example"]),
        ("one website", vec!["own.example"]),
        ("workspace, one website", vec!["own.example"]),
    ] {
        let credential = world.credentials.iter().find(|credential| credential.name == name).unwrap();
        let (header, value) = &credential.headers[0];
        let data = app.get("/api/external/v1/websites").header(header, value).send().await.expect(200).data();
        let mut domains: Vec<_> =
            data["websites"].as_array().unwrap().iter().map(|row| row["domain"].as_str().unwrap().to_owned()).collect();
        domains.sort();
        let mut expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
        expected.sort();
        assert_eq!(domains, expected, "{name}");
        assert_eq!(data["total"], expected.len(), "{name}");
    }
}

/// The limits of a key come from its best plan, but each website is opened by the plan of its own team.
///
/// Sabotage: ask the plan of the key alone.
#[actix_web::test]
async fn a_website_whose_own_team_has_no_api_is_closed_to_keys_and_not_listed() {
    let app = TestApp::start().await;
    let (paid, free) = (app.team(Plan::Scale), app.team(Plan::Free));
    app.state.store.add_member(free.id, paid.owner, Role::Admin, &app.state.plans, app.clock.now()).unwrap();
    let (open, closed) = (paid.website("open.example"), free.website("closed.example"));
    let key = paid.key("full_access");
    let mut routes_of_websites = 0;
    for endpoint in routes::all() {
        let Access::Key(_) = endpoint.operation.access else { continue };
        if !endpoint.path.contains("{website_id}") || endpoint.method != Method::GET {
            continue;
        }
        for (website, status) in [(&open, 200), (&closed, 403)] {
            let path = path_of(endpoint, &website.id().to_string());
            // There is no event on the day of the part.
            let status = if status == 200 && path.ends_with(".parquet") { 404 } else { status };
            let reply = app.get(&path).key(&key).send().await.expect(status);
            assert_eq!(reply.header("x-ratelimit-limit"), Some("60"), "{endpoint:?}");
            if status == 403 {
                assert_eq!(reply.code(), "API_PAID_PLAN_REQUIRED", "{endpoint:?}");
            }
        }
        routes_of_websites += 1;
    }
    assert!(routes_of_websites >= 9, "{routes_of_websites}");

    let event = json!({ "type": "pageview", "ts": 1_781_352_000_000_i64, "visitorId": "v-1-long-enough",
                        "sessionId": "s-1-long-enough", "props": { "url": "https://closed.example/" } });
    let batch = json!({ "trackingCode": closed.code(), "events": [event] });
    let reply = app.post("/api/v1/events").key(&key).json(&batch).send().await.expect(403);
    assert_eq!(reply.code(), "API_PAID_PLAN_REQUIRED");

    let list = app.get("/api/external/v1/websites").key(&key).send().await.expect(200).data();
    assert_eq!((&list["total"], &list["websites"][0]["domain"]), (&json!(1), &json!("open.example")));
    let usage = app.get("/api/external/v1/usage").key(&key).send().await.expect(200).data();
    assert_eq!((&usage["usage"]["websites"], &usage["plan"]), (&json!(1), &json!("scale")));
}

/// People in the way that the guard is made for them, with a session that the test hands over in the request.
mod people {
    use super::*;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, HttpMessage, HttpRequest, HttpResponse, web};
    use std::sync::Arc;
    use zenovay::http::audit::AuditActor;
    use zenovay::http::envelope::ApiError;
    use zenovay::http::guard::{
        AccessRefusal, Admission, Arrival, Authorized, Identity, Permission, ReadAnalytics, Shown,
    };
    use zenovay::http::key_headers::KeyUsage;
    use zenovay::http::state::AppState;
    use zenovay_auth::{Principal, SignedIn, TeamAccess};
    use zenovay_domain::{KeyId, SignInId, TeamId, Website};

    struct Session(SignedIn);

    impl Identity for Session {
        type Evidence = SignedIn;
        type Report = ();

        fn evidence(req: &HttpRequest) -> Result<SignedIn, AccessRefusal> {
            req.extensions().get::<SignedIn>().cloned().ok_or(AccessRefusal::NoCredential)
        }

        fn admit<R>(
            _: &AppState,
            person: &SignedIn,
            _: Arrival,
            permit: impl FnOnce(Principal<'_>) -> Result<R, AccessRefusal>,
        ) -> Admission<Self, R> {
            let result = permit(Principal::Person(person)).map(|resource| (Self(person.clone()), resource));
            Admission { report: Some(()), result }
        }

        fn principal(&self) -> Principal<'_> {
            Principal::Person(&self.0)
        }

        fn shown(&self) -> Shown {
            Shown::Session { user: self.0.user_id, session: SignInId::from_random_bytes([1; 16]) }
        }

        fn key_id(&self) -> Option<KeyId> {
            None
        }

        fn audit_actor(&self) -> AuditActor {
            AuditActor { user: Some(self.0.user_id), key: None, words: String::new() }
        }

        fn role_in(&self, _: TeamId) -> Role {
            Role::Viewer
        }
    }

    struct EditWebsite;

    impl Permission for EditWebsite {
        const ACTION: Action = Action::EditWebsite;
        type Resource = Arc<Website>;
    }

    async fn read(person: Authorized<ReadAnalytics, Session>, req: HttpRequest) -> HttpResponse {
        assert_eq!(person.asking().key, None);
        assert!(req.extensions().get::<KeyUsage>().is_none(), "nothing is told of a key");
        HttpResponse::Ok().body(person.resource.domain.clone())
    }

    async fn edit(person: Authorized<EditWebsite, Session>) -> HttpResponse {
        HttpResponse::Ok().body(person.resource.domain.clone())
    }

    /// Sabotage: apply the plan rule to people, or charge their keys for what they do.
    #[actix_web::test]
    async fn a_person_acts_by_role_whatever_the_plan_and_no_key_is_charged() {
        let app = TestApp::start().await;
        let (own, foreign) = (app.team(Plan::Free), app.team(Plan::Scale));
        let (mine, others) = (own.website("own.example"), foreign.website("foreign.example"));
        let key = own.key("full_access");
        let server = App::new().app_data(web::Data::from(Arc::clone(&app.state))).service(
            web::resource("/api/websites/{website_id}").route(web::get().to(read)).route(web::patch().to(edit)),
        );
        let server = init_service(server).await;
        for &role in Role::ALL {
            let teams = vec![TeamAccess::new(own.id, Plan::Free, role)];
            let person = SignedIn::new(own.owner, teams);
            let may_edit = if role == Role::Viewer { 403 } else { 200 };
            for (method, id, status) in [
                (Method::GET, mine.id().to_string(), 200),
                (Method::PATCH, mine.id().to_string(), may_edit),
                (Method::GET, others.id().to_string(), 404),
                (Method::PATCH, others.id().to_string(), 404),
                (Method::GET, "018f3c1e-0000-4000-8000-000000000001".to_owned(), 404),
                (Method::GET, "not-an-id".to_owned(), 404),
            ] {
                let cell = format!("{role}, {method} {id}");
                let request = TestRequest::with_uri(&format!("/api/websites/{id}")).method(method).to_request();
                request.extensions_mut().insert(person.clone());
                let response = call_service(&server, request).await;
                assert_eq!(response.status().as_u16(), status, "{cell}");
                if status == 200 {
                    assert_eq!(read_body(response).await, "own.example", "{cell}");
                } else {
                    let error = response.response().error().and_then(|error| error.as_error::<ApiError>()).unwrap();
                    let message = if status == 404 { "Website not found" } else { "Forbidden" };
                    assert_eq!(error.message(), message, "{cell}");
                }
            }
        }
        let usage = app.state.store.usage(key.id, app.clock.now()).unwrap();
        assert_eq!((usage.monthly_used, usage.total_used), (0, 0));
    }
}

/// Sabotage: check a key on the thread that answers requests.
#[actix_web::test]
async fn who_waits_for_the_store_holds_up_nobody() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Pro);
    let website = team.website("shop.example").id();
    let key = team.key("read");
    let elsewhere = app.open_metadata_again();
    let (locked, is_locked) = std::sync::mpsc::channel();
    let (release, is_released) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        elsewhere.edit_website(website, &mut |_| {
            locked.send(()).unwrap();
            is_released.recv().unwrap();
            Ok(())
        })
    });
    is_locked.recv().unwrap();
    let waiting = app.get("/api/external/v1/usage").key(&key).send();
    let meanwhile = async {
        // The other one has begun to wait.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        app.get("/healthz").send().await.expect(200);
        release.send(()).unwrap();
    };
    let (reply, ()) = futures_util::future::join(waiting, meanwhile).await;
    reply.expect(200);
    writer.join().unwrap().unwrap();
}

/// Sabotage: let somebody out without a count.
#[actix_web::test]
async fn every_refusal_is_counted_with_its_reason() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Pro);
    let (own, foreign) = (team.website("own.example").id(), app.team(Plan::Pro).website("foreign.example").id());
    let (read, write) = (team.key("read"), team.key("write"));
    let free = app.team(Plan::Free).key("read");
    let count = |reason: &str| {
        let metrics = app.state.metrics.render(app.state.events.as_ref());
        let name = format!(r#"zenovay_access_refusals_total{{reason="{reason}"}} "#);
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_else(|| panic!("{reason}"));
        line.parse::<f64>().unwrap()
    };
    let invalid = app.unknown_key();
    for (reason, path, key, status) in [
        ("no_credential", format!("/analytics/{own}"), None, 401),
        ("invalid_key", format!("/analytics/{own}"), Some(&invalid), 401),
        ("missing_scope", format!("/analytics/{own}"), Some(&write.text), 403),
        ("plan_required", "/usage".to_owned(), Some(&free.text), 403),
        ("not_reachable", format!("/analytics/{foreign}"), Some(&read.text), 403),
        ("unknown", "/analytics/x".to_owned(), Some(&read.text), 404),
    ] {
        let before = count(reason);
        let mut call = app.get(&format!("/api/external/v1{path}"));
        if let Some(key) = key {
            call = call.header("x-api-key", key);
        }
        call.send().await.expect(status);
        // Other tests of this process count, too.
        assert!(count(reason) >= before + 1.0, "{reason}");
    }
}
