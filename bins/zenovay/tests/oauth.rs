//! How people let programs act for them, and everything that programs and strangers may try on the way: the metadata, the page of
//! consent, codes, tokens, and ending it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HeaderName};
use actix_web::test::TestRequest;
use base64::Engine;
use common::{Reply, TestApp, TestSession, disk};
use parking_lot::Mutex;
use serde_json::{Value, json};
use url::form_urlencoded;
use zenovay::http::oauth::fetch::{ClientDocuments, FetchError, Fetching};
use zenovay::http::oauth::{Answer, BearerRefusal, McpAccess, OAuth, bearer, challenge, insufficient_scope};
use zenovay::http::state::AppState;
use zenovay_auth::oauth::ClientUrl;
use zenovay_auth::{AccessLevel, Action, Denial, PasswordHash, Target, ToolCategory, ToolScopes};
use zenovay_domain::{Plan, Role, TeamId, UserId};
use zenovay_store::{ACCESS_TOKEN_MS, CODE_MS, REFRESH_GRACE_MS, UNUSED_CLIENT_MS};

const ISSUER: &str = "https://stats.example";
const RESOURCE: &str = "https://stats.example/mcp";
const CLIENT: &str = "https://app.example/oauth/client.json";
const REDIRECT: &str = "http://127.0.0.1:41234/callback";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Documents in memory, and how often they were asked for.
#[derive(Default)]
struct Documents {
    documents: Mutex<HashMap<String, Result<Value, FetchError>>>,
    fetches: AtomicUsize,
}

impl ClientDocuments for Documents {
    fn fetch(&self, url: &ClientUrl) -> Fetching {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let found = self.documents.lock().get(url.as_str()).cloned().unwrap_or(Err(FetchError::Status(404)));
        Box::pin(
            async move { found.map(|document| Answer { body: document.to_string().into_bytes(), max_age_s: None }) },
        )
    }
}

/// A server, a person in a team, and a client that is known by its address.
struct World {
    app: TestApp,
    documents: Arc<Documents>,
    user: UserId,
    team: TeamId,
    session: TestSession,
}

impl World {
    async fn new() -> Self {
        Self::with(true).await
    }

    async fn with(names_issuer: bool) -> Self {
        let documents = Arc::new(Documents::default());
        let app = TestApp::start().await;
        let (config, source) = (app.config(), Arc::clone(&documents));
        // As with a public URL, but for the cookie, whose name says that it came over HTTPS.
        let change = move |state: &mut AppState| {
            state.oauth = OAuth::new(&config, source, [7; 32]);
            state.oauth.names_issuer = names_issuer;
            state.issuer = ISSUER.to_owned();
            state.public_origin = Some(ISSUER.to_owned());
        };
        let app = app.changed(change).await;
        let document = json!({
            "client_id": CLIENT,
            "client_name": "App",
            "redirect_uris": ["http://127.0.0.1/callback", "https://app.example/callback"],
        });
        documents.documents.lock().insert(CLIENT.to_owned(), Ok(document));
        let team = app.team(Plan::Free);
        let (user, team) = (team.owner, team.id);
        let session = app.sign_in(user);
        Self { app, documents, user, team, session }
    }

    /// Sends the person to be asked.
    async fn ask(&self, request: &[(&str, &str)]) -> Reply {
        self.app.get(&format!("/oauth/authorize?{}", encoded(request))).session(&self.session).send().await
    }

    async fn form(&self, path: &str, form: &[(&str, &str)]) -> Reply {
        let call = self.app.post(path).header("content-type", "application/x-www-form-urlencoded");
        call.body(encoded(form)).send().await
    }

    async fn decide(&self, page: &Reply, changes: &[(&str, &str)]) -> Reply {
        let mut form = fields(&page.text());
        for (name, value) in changes {
            form.retain(|(known, _)| known != name);
            form.push(((*name).to_owned(), (*value).to_owned()));
        }
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let call = self.app.post("/oauth/consent").header("content-type", "application/x-www-form-urlencoded");
        let call = call.header("origin", ISSUER).header("sec-fetch-site", "same-origin");
        call.session(&self.session).body(encoded(&form)).send().await
    }

    /// A code for what is chosen before.
    async fn code(&self) -> String {
        let page = self.ask(&request(&[])).await.expect(200);
        let back = self.decide(&page, &[("decision", "allow")]).await.expect(200);
        location(&back)["code"].clone()
    }

    async fn redeem(&self, code: &str, changes: &[(&str, &str)]) -> Reply {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", CLIENT),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
            ("resource", RESOURCE),
        ];
        self.form("/oauth/token", &changed(&form, changes)).await
    }

    async fn refresh(&self, token: &str, changes: &[(&str, &str)]) -> Reply {
        let form =
            [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", CLIENT), ("resource", RESOURCE)];
        self.form("/oauth/token", &changed(&form, changes)).await
    }

    async fn tokens(&self) -> Tokens {
        Tokens::of(&self.redeem(&self.code().await, &[]).await.expect(200))
    }

    /// What `/mcp` would find out about a token.
    async fn access(&self, token: &str) -> Result<McpAccess, BearerRefusal> {
        let req = TestRequest::default()
            .app_data(actix_web::web::Data::from(Arc::clone(&self.app.state)))
            .insert_header((AUTHORIZATION, format!("Bearer {token}")))
            .to_http_request();
        bearer(&req).await
    }

    async fn has_access(&self, token: &str) -> bool {
        match self.access(token).await {
            Ok(_) => true,
            Err(BearerRefusal::Invalid) => false,
            Err(other) => panic!("{other:?}"),
        }
    }
}

struct Tokens {
    access: String,
    refresh: String,
    scope: String,
}

impl Tokens {
    fn of(reply: &Reply) -> Self {
        let body = reply.json();
        let string = |name: &str| body[name].as_str().unwrap_or("").to_owned();
        Self { access: string("access_token"), refresh: string("refresh_token"), scope: string("scope") }
    }
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// `form` with other values; an empty one leaves the name out.
fn changed<'a>(form: &[(&'a str, &'a str)], changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut form: Vec<(&str, &str)> =
        form.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name)).copied().collect();
    form.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    form
}

fn request<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let request = [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", REDIRECT),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("state", "the state&more"),
        ("resource", RESOURCE),
        ("scope", "read"),
    ];
    changed(&request, changes)
}

/// What a browser would send of the form of a page: hidden inputs, what is chosen.
fn fields(html: &str) -> Vec<(String, String)> {
    let attribute = |tag: &str, name: &str| {
        let start = tag.find(&format!("{name}=\""))? + name.len() + 2;
        let value = &tag[start..start + tag[start..].find('"')?];
        Some(
            value
                .replace("&quot;", "\"")
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&#39;", "'")
                .replace("&amp;", "&"),
        )
    };
    let mut fields = Vec::new();
    for tag in html.split('<').skip(1).map(|tag| &tag[..tag.find('>').unwrap_or(tag.len())]) {
        let is_sent = tag.starts_with("input") && (tag.contains("type=\"hidden\"") || tag.ends_with(" checked"));
        if is_sent {
            fields.push((attribute(tag, "name").unwrap(), attribute(tag, "value").unwrap()));
        } else if tag.starts_with("option") && tag.ends_with(" selected") {
            fields.push(("team".to_owned(), attribute(tag, "value").unwrap()));
        }
    }
    fields
}

/// Where a reply leads: a redirect, or the page after a form.
fn target(reply: &Reply) -> &str {
    let onward = || reply.header("refresh")?.strip_prefix("0;url=");
    reply.header("location").or_else(onward).unwrap_or_else(|| panic!("{}", reply.text()))
}

/// The members of the query of where a reply leads.
fn location(reply: &Reply) -> HashMap<String, String> {
    let query = target(reply).split_once('?').unwrap().1;
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

fn error_of(reply: &Reply) -> String {
    reply.json()["error"].as_str().unwrap_or("").to_owned()
}

#[actix_web::test]
async fn metadata_says_where_everything_is_and_believes_no_host() {
    let world = World::new().await;
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        let reply = world.app.get(path).header("host", "evil.example").send().await.expect(200);
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        let body = reply.json();
        assert_eq!((&body["resource"], &body["authorization_servers"]), (&json!(RESOURCE), &json!([ISSUER])));
        assert_eq!(body["scopes_supported"], json!(["read"]));
        assert_eq!(body["bearer_methods_supported"], json!(["header"]));
    }
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/mcp"] {
        let reply = world.app.get(path).header("host", "evil.example").header("x-forwarded-host", "evil.example");
        let body = reply.send().await.expect(200).json();
        assert_eq!(body["issuer"], ISSUER);
        for (name, path) in [
            ("authorization_endpoint", "authorize"),
            ("token_endpoint", "token"),
            ("registration_endpoint", "register"),
            ("revocation_endpoint", "revoke"),
        ] {
            assert_eq!(body[name], format!("{ISSUER}/oauth/{path}"));
        }
        assert_eq!(body["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(body["response_types_supported"], json!(["code"]));
        let methods = json!(["none", "client_secret_post", "client_secret_basic"]);
        assert_eq!(body["token_endpoint_auth_methods_supported"], methods);
        assert_eq!(body["revocation_endpoint_auth_methods_supported"], methods);
        assert_eq!(body["client_id_metadata_document_supported"], true);
        assert_eq!(body["authorization_response_iss_parameter_supported"], true);
    }
    world.app.get("/.well-known/openid-configuration").header("accept", "text/html").send().await.expect(404);
}

/// Sabotage: preselect write, or leave the host of the metadata out.
#[actix_web::test]
async fn a_person_is_asked_and_their_answer_becomes_tokens() {
    let world = World::new().await;
    let page = world.ask(&request(&[])).await.expect(200);
    let html = page.text();
    for shown in ["App", "<b>app.example</b>", "this computer", "Team", "Analytics", "Management"] {
        assert!(html.contains(shown), "{shown}");
    }
    assert!(!html.contains("<script") && !html.contains("style="), "nothing inline");
    let policy = page.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self';", "base-uri 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    assert_eq!((page.header("cache-control"), page.header("referrer-policy")), (Some("no-store"), Some("same-origin")));
    world.app.get("/oauth/style.css").send().await.expect(200);
    let sent = fields(&html);
    let of = |name: &str| sent.iter().find(|(known, _)| known == name).unwrap().1.clone();
    // To read is chosen where something is read. Sabotage: choose it everywhere.
    for (category, chosen) in
        [("analytics", "read"), ("advanced", "read"), ("management", "none"), ("settings", "none")]
    {
        assert_eq!(of(category), chosen);
    }
    assert_eq!(of("team"), world.team.to_string());
    let changes = [("decision", "allow"), ("settings", "none"), ("management", "write")];
    // Not by a redirect, which would have to be in the policy of the page with all that the client redirects to.
    let back = world.decide(&page, &changes).await.expect(200);
    assert!(target(&back).starts_with("http://127.0.0.1:41234/callback?"), "{}", target(&back));
    assert!(back.text().contains(&format!("href=\"{}\"", target(&back).replace('&', "&amp;"))), "{}", back.text());
    assert!(back.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert_eq!((back.header("cache-control"), back.header("referrer-policy")), (Some("no-store"), Some("same-origin")));
    let members = location(&back);
    assert_eq!((members["state"].as_str(), members["iss"].as_str(), members.len()), ("the state&more", ISSUER, 3));

    let reply = world.redeem(&members["code"], &[]).await.expect(200);
    assert_eq!(
        (reply.header("cache-control"), reply.json()["token_type"].as_str()),
        (Some("no-store"), Some("Bearer"))
    );
    assert_eq!(reply.json()["expires_in"], ACCESS_TOKEN_MS / 1_000);
    let tokens = Tokens::of(&reply);
    assert_eq!(tokens.scope, "analytics:read advanced:read management:read management:write");
    let access = world.access(&tokens.access).await.unwrap();
    assert_eq!((access.user.id, access.team.team_id, access.team.plan), (world.user, world.team, Plan::Free));
    assert!(access.scopes.allows(ToolCategory::Management, AccessLevel::Write));
    assert!(!access.scopes.allows(ToolCategory::Settings, AccessLevel::Read));
    // A client does what the person may in the team, and never what no key may.
    let team = Target::Team { id: world.team };
    assert_eq!(access.may(&world.app.state, Action::ReadTeam, &team), Ok(()));
    assert_eq!(access.may(&world.app.state, Action::DeleteTeam, &team), Err(Denial::NotForKeys));
    let other = world.app.team(Plan::Free);
    assert!(access.may(&world.app.state, Action::ReadTeam, &Target::Team { id: other.id }).is_err());
    // It is in the trail, for the person and for the team.
    let trail = world.app.state.store.audit(world.team, None, 10).unwrap();
    assert_eq!((trail[0].action.as_str(), trail[0].user_id), ("oauth.grant", Some(world.user)));
    assert!(trail[0].details.contains(CLIENT) && !trail[0].details.contains(&tokens.access[4..]));
}

#[actix_web::test]
async fn whoever_is_signed_out_signs_in_and_comes_back() {
    let world = World::new().await;
    let path = format!("/oauth/authorize?{}", encoded(&request(&[])));
    let reply = world.app.get(&path).send().await.expect(303);
    let target = reply.header("location").unwrap();
    assert!(target.starts_with("/login?next=%2Foauth%2Fauthorize%3F"), "{target}");
    assert_eq!(location(&reply)["next"], path);
    assert_eq!(world.documents.fetches.load(Ordering::Relaxed), 0, "nobody makes the server ask others");
}

/// Sabotage: send an error to an address that is not the client's.
#[actix_web::test]
async fn nobody_is_sent_to_an_address_that_is_not_the_clients() {
    let world = World::new().await;
    for redirect in [
        "https://evil.example/callback",
        "https://app.example.evil.example/callback",
        "https://app.example/callback/../open",
        "https://app.example/callback?next=https://evil.example",
        "http://127.0.0.1:1/other",
        "http://127.0.0.1:1@evil.example/callback",
        "javascript:alert(1)",
        "//evil.example/callback",
    ] {
        for broken in
            [("state", "s"), ("response_type", "token"), ("code_challenge", ""), ("resource", "https://evil.example")]
        {
            let reply = world.ask(&request(&[("redirect_uri", redirect), broken])).await.expect(400);
            assert_eq!(reply.header("location"), None, "{redirect}");
            assert!(reply.text().contains("redirect_uri"), "{redirect}");
        }
    }
    let reply = world.ask(&request(&[("redirect_uri", "")])).await.expect(400);
    assert!(reply.text().contains("redirect_uri is missing"), "there are two");
    // The answer looks again: what was asked for is not believed.
    let page = world.ask(&request(&[])).await.expect(200);
    let forged = encoded(&request(&[("redirect_uri", "https://evil.example/callback")]));
    let reply = world.decide(&page, &[("request", forged.as_str()), ("decision", "allow")]).await;
    assert_eq!((reply.status, reply.header("location")), (400, None));
}

/// SECURITY O2: missing, `plain`, malformed. RFC 9700 §4.11.2: anybody can register a client and any address.
///
/// Sabotage: take a request without a method; send people on whatever they allowed; trust the client wherever it leads.
#[actix_web::test]
async fn a_wrong_request_leads_nobody_away_who_has_not_let_the_client_in() {
    let world = World::new().await;
    let wrong = [
        (vec![("code_challenge", "")], "invalid_request"),
        (vec![("code_challenge_method", "")], "invalid_request"),
        (vec![("code_challenge_method", "plain")], "invalid_request"),
        (vec![("code_challenge_method", "s256")], "invalid_request"),
        (vec![("code_challenge", VERIFIER), ("code_challenge_method", "plain")], "invalid_request"),
        (vec![("code_challenge", "short")], "invalid_request"),
        (vec![("response_type", "token")], "unsupported_response_type"),
        (vec![("response_type", "")], "invalid_request"),
        (vec![("response_mode", "fragment")], "invalid_request"),
        (vec![("resource", "https://evil.example/mcp")], "invalid_target"),
        (vec![("scope", "read"), ("scope", "write")], "invalid_request"),
        (vec![("state", "a"), ("state", "b")], "invalid_request"),
    ];
    let own = json!({ "client_name": "<b>Phish</b>", "redirect_uris": ["https://phish.example/callback"] });
    let own = register(&world, own).await.expect(201).json()["client_id"].as_str().unwrap().to_owned();
    for (client, redirect, place) in [
        (own.as_str(), "https://phish.example/callback", "phish.example"),
        (CLIENT, "https://app.example/callback", "app.example"),
        (CLIENT, REDIRECT, "this computer"),
    ] {
        for (changes, error) in &wrong {
            let asked = request(&[("client_id", client), ("redirect_uri", redirect)]);
            let reply = world.ask(&changed(&asked, changes)).await.expect(400);
            assert_eq!((reply.header("location"), reply.header("refresh")), (None, None), "{changes:?}");
            let html = reply.text();
            assert!(html.contains(&format!("Go back to {place}")), "{html}");
            assert!(
                html.contains(&format!("href=\"{redirect}?error={error}&amp;")) && !html.contains("<b>Phish"),
                "{html}"
            );
            assert!(reply.header("content-security-policy").unwrap().contains("default-src 'none'"));
        }
    }
    world.tokens().await;
    // The same client, but it led somewhere else.
    let elsewhere = request(&[("redirect_uri", "https://app.example/callback"), ("response_type", "token")]);
    world.ask(&elsewhere).await.expect(400);
    // Somebody else let nobody in.
    let stranger = world.app.sign_in(world.app.user());
    let path = format!("/oauth/authorize?{}", encoded(&request(&[("response_type", "token")])));
    world.app.get(&path).session(&stranger).send().await.expect(400);
    for (changes, error) in &wrong[..wrong.len() - 1] {
        let error = *error;
        let reply = world.ask(&request(changes)).await.expect(303);
        let members = location(&reply);
        assert_eq!((members["error"].as_str(), members["state"].as_str()), (error, "the state&more"), "{changes:?}");
        assert_eq!(members["iss"], ISSUER, "errors name the issuer, too");
        assert!(!members.contains_key("code"));
    }
}

#[actix_web::test]
async fn a_person_may_say_no() {
    let world = World::new().await;
    let page = world.ask(&request(&[])).await.expect(200);
    let members = location(&world.decide(&page, &[("decision", "deny")]).await.expect(200));
    assert_eq!((members["error"].as_str(), members.get("code")), ("access_denied", None));
    // Nothing chosen is not a yes.
    let nothing = ["analytics", "advanced", "management", "settings"].map(|name| (name, "none"));
    let reply = world.decide(&page, &[&nothing[..], &[("decision", "allow")]].concat()).await.expect(200);
    assert!(reply.text().contains("Choose at least one"));
    // What is not offered cannot be chosen.
    let more = [("analytics", "write"), ("webhooks", "write"), ("ai_insights", "read"), ("settings", "read")];
    let more = [&more[..], &[("advanced", "read"), ("decision", "allow")]].concat();
    let code = location(&world.decide(&page, &more).await.expect(200))["code"].clone();
    let tokens = Tokens::of(&world.redeem(&code, &[]).await.expect(200));
    assert_eq!(tokens.scope, "advanced:read");
    let foreign = world.app.team(Plan::Free).id.to_string();
    let reply = world.decide(&page, &[("team", foreign.as_str()), ("decision", "allow")]).await.expect(200);
    assert!(reply.text().contains("Choose the team"), "a team of others");
}

/// SECURITY O8. Sabotage: take a form without a ticket, or from another origin.
#[actix_web::test]
async fn no_other_page_can_answer_for_a_person() {
    let world = World::new().await;
    let page = world.ask(&request(&[])).await.expect(200);
    let form = |changes: &[(&str, &str)]| {
        let mut form = fields(&page.text());
        form.push(("decision".to_owned(), "allow".to_owned()));
        for (name, value) in changes {
            form.iter_mut().filter(|(known, _)| known == name).for_each(|(_, old)| (*value).clone_into(old));
        }
        form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
    };
    let post = |session: &TestSession, body: String, headers: &[(&str, &str)]| {
        let call = world.app.post("/oauth/consent").header("content-type", "application/x-www-form-urlencoded");
        headers.iter().fold(call.session(session), |call, (name, value)| call.header(name, value)).body(body).send()
    };
    for headers in [
        [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        [("origin", "null"), ("sec-fetch-site", "same-site")],
        [("origin", "https://app.example"), ("sec-fetch-site", "none")],
    ] {
        let reply = post(&world.session, form(&[]), &headers).await.expect(403);
        assert_eq!(reply.header("location"), None);
    }
    for changes in [[("ticket", "")], [("ticket", &"0".repeat(64))]] {
        let reply = post(&world.session, form(&changes), &[]).await.expect(200);
        assert!(reply.text().contains("open for too long"));
    }
    // A ticket is of one session and one request.
    let other = world.app.sign_in(world.user);
    assert!(post(&other, form(&[]), &[]).await.expect(200).text().contains("open for too long"));
    let wider = encoded(&request(&[("redirect_uri", "https://app.example/callback")]));
    assert!(
        post(&world.session, form(&[("request", &wider)]), &[]).await.expect(200).text().contains("open for too long")
    );
    // Signed out in between: sign in, come back.
    let call = world.app.post("/oauth/consent").header("content-type", "application/x-www-form-urlencoded");
    let reply = call.body(form(&[])).send().await.expect(303);
    assert!(reply.header("location").unwrap().starts_with("/login?next=%2Foauth%2Fauthorize"));
    assert_eq!(world.app.state.store.grants_of(world.user, world.app.state.clock.now()).unwrap(), []);
}

/// SECURITY O5. Sabotage: leave the grant when a code comes again, or end it for whoever has the code alone.
#[actix_web::test]
async fn a_code_that_comes_again_ends_what_came_of_it() {
    let world = World::new().await;
    let code = world.code().await;
    let tokens = Tokens::of(&world.redeem(&code, &[]).await.expect(200));
    assert!(world.has_access(&tokens.access).await);
    let reply = world.redeem(&code, &[]).await.expect(400);
    assert_eq!((error_of(&reply).as_str(), reply.header("cache-control")), ("invalid_grant", Some("no-store")));
    assert!(!world.has_access(&tokens.access).await);
    assert_eq!(error_of(&world.refresh(&tokens.refresh, &[]).await.expect(400)), "invalid_grant");
    // The stranger who has the code alone gets nothing, and ends nothing.
    let code = world.code().await;
    let tokens = Tokens::of(&world.redeem(&code, &[]).await.expect(200));
    let other = "x".repeat(43);
    for stranger in [("code_verifier", other.as_str()), ("client_id", "https://evil.example/client.json")] {
        assert_eq!(error_of(&world.redeem(&code, &[stranger]).await.expect(400)), "invalid_grant");
        assert!(world.has_access(&tokens.access).await, "{stranger:?}");
    }
}

#[actix_web::test]
async fn a_code_is_worth_nothing_to_others() {
    let world = World::new().await;
    let code = world.code().await;
    let other = "https://evil.example/client.json";
    for (change, error) in [
        (("code_verifier", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), "invalid_grant"),
        (("code_verifier", ""), "invalid_request"),
        (("code_verifier", "short"), "invalid_request"),
        // The mix-up of clients: the code of one is shown by another.
        (("client_id", other), "invalid_grant"),
        (("client_id", ""), "invalid_request"),
        (("redirect_uri", "http://127.0.0.1:41234/other"), "invalid_grant"),
        (("redirect_uri", "https://app.example/callback"), "invalid_grant"),
        (("resource", "https://evil.example/mcp"), "invalid_target"),
        (("resource", "https://stats.example/api"), "invalid_target"),
        (("grant_type", "password"), "unsupported_grant_type"),
        (("grant_type", ""), "invalid_request"),
        (("code", "unknown"), "invalid_grant"),
    ] {
        let reply = world.redeem(&code, &[change]).await.expect(400);
        assert_eq!(error_of(&reply), error, "{change:?}");
    }
    let reply = world.redeem(&code, &[("client_secret", "a")]).await.expect(401);
    assert_eq!(error_of(&reply), "invalid_client", "it has none");
    for spelling in [
        "",
        "https://stats.example",
        "https://stats.example/",
        "https://stats.example/mcp",
        "https://stats.example/mcp/",
    ] {
        let code = world.code().await;
        world.redeem(&code, &[("resource", spelling)]).await.expect(200);
    }
    world.app.clock.advance_ms(CODE_MS);
    assert_eq!(error_of(&world.redeem(&code, &[]).await.expect(400)), "invalid_grant", "too late");
}

/// Of two at the same time one gets tokens, and the other ends them.
#[actix_web::test]
async fn of_two_exchanges_at_the_same_time_one_succeeds() {
    let world = World::new().await;
    let code = world.code().await;
    let replies = futures_util::future::join_all((0..6).map(|_| world.redeem(&code, &[]))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    assert_eq!(world.app.state.store.grants_of(world.user, world.app.state.clock.now()).unwrap(), []);
}

/// Sabotage: no grace, or one for ever.
#[actix_web::test]
async fn refresh_tokens_rotate_and_a_late_copy_ends_the_grant() {
    let world = World::new().await;
    let first = world.tokens().await;
    world.app.clock.advance_ms(ACCESS_TOKEN_MS);
    assert!(!world.has_access(&first.access).await, "it held for an hour");
    // Parts of a client that share one token, all at once.
    let replies = futures_util::future::join_all((0..5).map(|_| world.refresh(&first.refresh, &[]))).await;
    let parallel: Vec<Tokens> = replies.into_iter().map(|reply| Tokens::of(&reply.expect(200))).collect();
    for tokens in &parallel {
        assert!(world.has_access(&tokens.access).await);
        assert_ne!(tokens.refresh, first.refresh);
    }
    world.app.clock.advance_ms(REFRESH_GRACE_MS - 1);
    let next = Tokens::of(&world.refresh(&parallel[3].refresh, &[]).await.expect(200));
    Tokens::of(&world.refresh(&first.refresh, &[]).await.expect(200));
    world.app.clock.advance_ms(1);
    assert_eq!(error_of(&world.refresh(&first.refresh, &[]).await.expect(400)), "invalid_grant");
    for tokens in parallel.iter().chain([&next]) {
        assert!(!world.has_access(&tokens.access).await);
        assert_eq!(error_of(&world.refresh(&tokens.refresh, &[]).await.expect(400)), "invalid_grant");
    }
}

/// SECURITY O6, O7. Sabotage: rotate before the resource is looked at.
#[actix_web::test]
async fn a_refresh_never_widens_and_a_refused_one_uses_nothing_up() {
    let world = World::new().await;
    let tokens = world.tokens().await;
    for (change, error) in [
        (("resource", "https://evil.example/mcp"), "invalid_target"),
        (("scope", "management:write"), "invalid_scope"),
        (("scope", "read webhooks:read"), "invalid_scope"),
        (("scope", "offline_access"), "invalid_scope"),
        (("client_id", "https://evil.example/client.json"), "invalid_grant"),
    ] {
        assert_eq!(error_of(&world.refresh(&tokens.refresh, &[change]).await.expect(400)), error, "{change:?}");
    }
    assert_eq!(error_of(&world.refresh(&tokens.access, &[]).await.expect(400)), "invalid_grant", "another kind");
    // The first use is this one, so the time of grace begins here.
    world.app.clock.advance_ms(2 * REFRESH_GRACE_MS);
    let fewer = Tokens::of(&world.refresh(&tokens.refresh, &[("scope", "analytics:read")]).await.expect(200));
    assert_eq!(fewer.scope, "analytics:read");
    assert!(!world.access(&fewer.access).await.unwrap().scopes.allows(ToolCategory::Settings, AccessLevel::Read));
    let again = Tokens::of(&world.refresh(&fewer.refresh, &[("scope", "read")]).await.expect(200));
    assert_eq!(again.scope, tokens.scope, "what was granted, and the short name of it");
}

#[actix_web::test]
async fn a_challenge_tells_where_to_get_a_token() {
    let world = World::new().await;
    let told = |refusal| {
        let rendered = challenge(&world.app.state, refusal).render(world.app.state.clock.now(), "r");
        let header = rendered.headers().get("www-authenticate").unwrap().to_str().unwrap().to_owned();
        (rendered.status().as_u16(), header)
    };
    let metadata =
        r#"resource_metadata="https://stats.example/.well-known/oauth-protected-resource/mcp", scope="read""#;
    assert_eq!(told(BearerRefusal::Missing), (401, format!("Bearer {metadata}")));
    assert_eq!(told(BearerRefusal::Invalid), (401, format!(r#"Bearer error="invalid_token", {metadata}"#)));
    let needed = ToolScopes::parse_lenient("analytics:read management:write");
    let rendered = insufficient_scope(&world.app.state, needed).render(world.app.state.clock.now(), "r");
    let header = rendered.headers().get("www-authenticate").unwrap().to_str().unwrap();
    assert_eq!(rendered.status().as_u16(), 403);
    assert!(header.contains(r#"error="insufficient_scope""#), "{header}");
    assert!(header.contains(r#"scope="analytics:read management:read management:write""#), "{header}");
}

/// Sabotage: keep tokens, or look at the path of the token alone.
#[actix_web::test]
async fn whatever_ends_a_grant_acts_on_the_next_request() {
    let world = World::new().await;
    let store = world.app.open_metadata_again();
    let now = world.app.state.clock.now();
    // Revoked by another process.
    let tokens = world.tokens().await;
    let grant = world.access(&tokens.access).await.unwrap().grant;
    store.revoke_grant(world.user, grant).unwrap();
    assert!(!world.has_access(&tokens.access).await);
    // A new password.
    let tokens = world.tokens().await;
    store.set_password(world.user, &PasswordHash::from_stored("$argon2id$new".to_owned())).unwrap();
    assert!(!world.has_access(&tokens.access).await);
    // Another role, and none.
    let session = world.app.sign_in(world.user);
    let world = World { session, ..world };
    let tokens = world.tokens().await;
    let second = world.app.user();
    store.add_member(world.team, second, Role::Owner, &world.app.state.plans, now).unwrap();
    store.add_member(world.team, world.user, Role::Viewer, &world.app.state.plans, now).unwrap();
    let access = world.access(&tokens.access).await.unwrap();
    let team = Target::Team { id: world.team };
    assert_eq!(access.may(&world.app.state, Action::EditTeam, &team), Err(Denial::MissingRole(Role::Admin)));
    store.remove_member(world.team, world.user, now).unwrap();
    assert!(!world.has_access(&tokens.access).await);
    assert_eq!(error_of(&world.refresh(&tokens.refresh, &[]).await.expect(400)), "invalid_grant");
}

/// A server that moved makes tokens for where it is now.
#[actix_web::test]
async fn a_token_for_another_resource_is_refused() {
    let world = World::new().await;
    let tokens = world.tokens().await;
    let app = world.app.changed(|state| "https://other.example".clone_into(&mut state.issuer)).await;
    let world = World { app, ..world };
    assert!(matches!(world.access(&tokens.access).await, Err(BearerRefusal::OtherResource)));
}

#[actix_web::test]
async fn a_client_takes_its_tokens_back() {
    let world = World::new().await;
    let tokens = world.tokens().await;
    let revoke = |token: &str, client: &'static str| {
        let form = encoded(&[("token", token), ("client_id", client)]);
        let call = world.app.post("/oauth/revoke").header("content-type", "application/x-www-form-urlencoded");
        call.body(form).send()
    };
    for of_another in [&tokens.refresh, &tokens.access] {
        let refused = revoke(of_another, "https://evil.example/client.json").await.expect(400);
        check_words(&refused, "invalid_grant", "it was issued to another client");
    }
    revoke("not a token", CLIENT).await.expect(200);
    assert!(world.has_access(&tokens.access).await);
    revoke(&tokens.access, CLIENT).await.expect(200);
    assert!(!world.has_access(&tokens.access).await);
    let next = Tokens::of(&world.refresh(&tokens.refresh, &[]).await.expect(200));
    revoke(&next.refresh, CLIENT).await.expect(200);
    assert!(!world.has_access(&next.access).await);
    let trail = world.app.state.store.audit(world.team, None, 10).unwrap();
    assert_eq!(trail[0].action, "oauth.revoke");
}

/// Sabotage: leave what was granted before as it is.
#[actix_web::test]
async fn a_new_consent_takes_the_place_of_the_older_one() {
    let world = World::new().await;
    let consent = async |client: &str, changes: &[(&str, &str)]| {
        let page = world.ask(&request(&[("client_id", client)])).await.expect(200);
        let back = world.decide(&page, &[changes, &[("decision", "allow")]].concat()).await.expect(200);
        let code = location(&back)["code"].clone();
        Tokens::of(&world.redeem(&code, &[("client_id", client)]).await.expect(200))
    };
    let scopes = async |tokens: &Tokens| world.access(&tokens.access).await.map(|access| access.scopes.to_string());
    let wide = [("management", "write"), ("settings", "none")];
    let narrow = [("management", "none"), ("advanced", "none"), ("settings", "write")];
    // A client that registered itself is one installation.
    let body = json!({ "client_name": "Own", "redirect_uris": [REDIRECT] });
    let own = register(&world, body).await.expect(201).json()["client_id"].as_str().unwrap().to_owned();
    let before = consent(&own, &wide).await;
    assert!(scopes(&before).await.unwrap().contains("management:write"));
    let after = consent(&own, &narrow).await;
    assert!(!world.has_access(&before.access).await, "its tokens are dead");
    // Which is in the trail. Sabotage: note the new grant alone.
    let trail = world.app.state.store.audit(world.team, None, 3).unwrap();
    let actions: Vec<&str> = trail.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["oauth.grant", "oauth.replace", "oauth.grant"]);
    assert!(trail[1].details.contains(&own), "{}", trail[1].details);
    let form = [("client_id", own.as_str())];
    assert_eq!(error_of(&world.refresh(&before.refresh, &form).await.expect(400)), "invalid_grant");
    assert_eq!(scopes(&after).await.unwrap(), "analytics:read settings:read settings:write");
    // Of one that is known by its metadata there may be others: they go on, with no more than is allowed now.
    let before = consent(CLIENT, &wide).await;
    let after = consent(CLIENT, &narrow).await;
    assert_eq!(scopes(&before).await.unwrap(), "analytics:read");
    assert_eq!(scopes(&after).await.unwrap(), "analytics:read settings:read settings:write");
    let again = Tokens::of(&world.refresh(&before.refresh, &[("scope", before.scope.as_str())]).await.expect(200));
    assert_eq!((again.scope.as_str(), scopes(&again).await.unwrap().as_str()), ("analytics:read", "analytics:read"));
    let clients = world.app.get("/api/account/mcp-clients").session(&world.session).send().await.expect(200).data();
    let shown = clients["clients"].as_array().unwrap().len();
    assert_eq!(shown, 3, "one of its own, two that are known: {clients}");
}

async fn register(world: &World, body: Value) -> Reply {
    world.app.post("/oauth/register").json(&body).send().await
}

/// Sabotage: store the secret, or take a client without it.
#[actix_web::test]
async fn clients_register_themselves() {
    let world = World::new().await;
    let body = json!({
        "client_name": "Claude",
        "redirect_uris": ["https://claude.ai/api/mcp/auth_callback", "http://localhost/callback"],
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code", "refresh_token"],
    });
    let reply = register(&world, body).await.expect(201);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let client = reply.json();
    let string = |name: &str| client[name].as_str().unwrap().to_owned();
    let (id, secret) = (string("client_id"), string("client_secret"));
    assert_eq!(client["client_secret_expires_at"], 0);
    assert_eq!(string("token_endpoint_auth_method"), "client_secret_basic");
    assert_eq!(string("registration_client_uri"), format!("{ISSUER}/oauth/register/{id}"));
    let stored = world.app.state.store.registered_client(&id, world.app.state.clock.now()).unwrap().unwrap();
    assert!(!format!("{stored:?}").contains(&secret));

    let asked = request(&[("client_id", id.as_str()), ("redirect_uri", "http://127.0.0.1:5000/callback")]);
    let page = world.ask(&asked).await.expect(200);
    assert!(page.text().contains("it registered itself") && page.text().contains("just started this"));
    let code = location(&world.decide(&page, &[("decision", "allow")]).await.expect(200))["code"].clone();
    let own = [("client_id", id.as_str()), ("redirect_uri", "http://127.0.0.1:5000/callback")];
    for wrong in ["", "wrong", &"a".repeat(43)] {
        let reply = world.redeem(&code, &[&own[..], &[("client_secret", wrong)]].concat()).await.expect(401);
        assert_eq!(error_of(&reply), "invalid_client", "{wrong}");
    }
    let reply = world.redeem(&code, &[&own[..], &[("client_secret", secret.as_str())]].concat()).await.expect(200);
    let tokens = Tokens::of(&reply);
    world.refresh(&tokens.refresh, &[("client_id", id.as_str())]).await.expect(401);
    let shown = [("client_id", id.as_str()), ("client_secret", secret.as_str())];
    let tokens = Tokens::of(&world.refresh(&tokens.refresh, &shown).await.expect(200));

    // The same in the header. Sabotage: look at the body alone, or answer a 401 without saying how.
    let in_header = |path: &str, form: &[(&str, &str)], secret: &str| {
        let header = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}")));
        let call = world.app.post(path).header("content-type", "application/x-www-form-urlencoded");
        call.header("authorization", &header).body(encoded(form)).send()
    };
    let form = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
    for path in ["/oauth/token", "/oauth/revoke"] {
        let reply = in_header(path, &form, "wrong").await.expect(401);
        check_words(&reply, "invalid_client", "the client is not known here, or its secret is wrong");
        assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"zenovay\""), "{path}");
    }
    let without = world.form("/oauth/token", &[&form[..], &[("client_id", id.as_str())]].concat()).await.expect(401);
    assert_eq!(without.header("www-authenticate"), None, "it showed nothing in a header");
    let twice = in_header("/oauth/token", &[&form[..], &[("client_secret", "x")]].concat(), &secret).await.expect(400);
    check_words(&twice, "invalid_request", "show the secret once");
    let before = Tokens::of(&in_header("/oauth/token", &form, &secret).await.expect(200));
    let tokens = Tokens::of(&world.refresh(&tokens.refresh, &shown).await.expect(200));
    in_header("/oauth/revoke", &[("token", &before.access)], &secret).await.expect(200);
    assert!(!world.has_access(&before.access).await && world.has_access(&tokens.access).await);

    // What it can do with its registration.
    let own = |method: Method, token: &str| {
        world
            .app
            .request(method, &format!("/oauth/register/{id}"))
            .header("authorization", &format!("Bearer {token}"))
            .send()
    };
    let management = string("registration_access_token");
    own(Method::GET, &secret).await.expect(401);
    let read = own(Method::GET, &management).await.expect(200).json();
    assert_eq!((&read["client_id"], read.get("client_secret")), (&client["client_id"], None));
    assert_eq!(read["token_endpoint_auth_method"], "client_secret_basic", "as it asked");
    world.app.clock.advance_ms(2 * UNUSED_CLIENT_MS);
    own(Method::GET, &management).await.expect(200);
    own(Method::DELETE, &management).await.expect(204);
    own(Method::GET, &management).await.expect(401);
    assert!(!world.has_access(&tokens.access).await);
    let reply = world.refresh(&tokens.refresh, &shown).await.expect(401);
    assert_eq!(error_of(&reply), "invalid_client", "so that it registers anew");
}

/// Whoever gets hold of the files, or of a copy of them, can use nothing of it. Sabotage: store a token as it is.
#[actix_web::test]
async fn nothing_that_opens_anything_stands_in_the_files() {
    let world = World::new().await;
    let body =
        json!({ "redirect_uris": ["http://localhost/callback"], "token_endpoint_auth_method": "client_secret_post" });
    let client = register(&world, body).await.expect(201).json();
    let code = world.code().await;
    let unused = world.code().await;
    let tokens = Tokens::of(&world.redeem(&code, &[]).await.expect(200));
    let next = Tokens::of(&world.refresh(&tokens.refresh, &[]).await.expect(200));
    let string = |name: &str| client[name].as_str().unwrap().to_owned();
    let secrets = [
        string("client_secret"),
        string("registration_access_token"),
        code,
        unused,
        tokens.access,
        tokens.refresh,
        next.access,
        next.refresh,
    ];
    let data_dir = &world.app.config().data_dir;
    for secret in &secrets {
        assert_eq!(disk::file_with(data_dir, secret.as_bytes()), None, "{secret}");
    }
    // What stands there is found by what they read.
    let digest = zenovay_auth::KeyFormat::ACCESS_TOKEN.parse(&secrets[6]).unwrap().digest();
    let written = disk::file_with(data_dir, digest.as_bytes()).is_some();
    assert!(written, "the files that are looked at are those that the tokens are in");
}

#[actix_web::test]
async fn a_client_that_is_not_used_is_forgotten_after_a_day() {
    let world = World::new().await;
    let reply = register(&world, json!({ "redirect_uris": ["http://localhost/callback"] })).await.expect(201);
    let client = reply.json();
    assert_eq!((client["token_endpoint_auth_method"].as_str(), client.get("client_secret")), (Some("none"), None));
    let id = client["client_id"].as_str().unwrap().to_owned();
    let asked = request(&[("client_id", id.as_str()), ("redirect_uri", "http://localhost:5000/callback")]);
    world.ask(&asked).await.expect(200);
    world.app.clock.advance_ms(UNUSED_CLIENT_MS);
    let session = world.app.sign_in(world.user);
    let world = World { session, ..world };
    assert!(world.ask(&asked).await.expect(400).text().contains("not registered here"));
}

#[actix_web::test]
async fn registrations_that_break_a_rule_are_refused_in_words_that_clients_know() {
    let world = World::new().await;
    for redirects in [
        json!(["http://evil.example/callback"]),
        json!(["https://*.example/"]),
        json!(["https://a.example/#b"]),
        json!(["javascript:alert(1)"]),
        json!([]),
        json!("https://a.example/"),
        json!([["https://a.example/"]]),
        json!([1]),
        json!({}),
        Value::Null,
    ] {
        let reply = register(&world, json!({ "redirect_uris": redirects })).await.expect(400);
        check_words(&reply, "invalid_redirect_uri", "redirect_uris: ");
    }
    check_words(&register(&world, json!({})).await.expect(400), "invalid_redirect_uri", "redirect_uris: give a list");
    for (member, value) in [
        ("token_endpoint_auth_method", json!("private_key_jwt")),
        ("token_endpoint_auth_method", json!(["none"])),
        ("client_name", json!({ "en": "Client" })),
        ("grant_types", json!("authorization_code")),
        ("grant_types", json!(["client_credentials"])),
        ("response_types", json!([7])),
    ] {
        let mut body = json!({ "redirect_uris": ["http://localhost/"] });
        body[member] = value;
        check_words(&register(&world, body).await.expect(400), "invalid_client_metadata", &format!("{member}: "));
    }
    for body in ["", "{", "[]", "7", r#"{"client_name":"a","client_name":"b"}"#] {
        let call = world.app.post("/oauth/register").header("content-type", "application/json").body(body);
        check_words(&call.send().await.expect(400), "invalid_client_metadata", "the body: ");
    }
}

/// Sabotage: pass on what the parser says.
fn check_words(reply: &Reply, error: &str, beginning: &str) {
    let body = reply.json();
    let words = body["error_description"].as_str().unwrap();
    assert_eq!(body["error"], error, "{words}");
    assert!(words.starts_with(beginning), "{words}");
    for of_a_parser in ["expected", "invalid type", "missing field", "sequence", "EOF"] {
        assert!(!words.contains(of_a_parser), "{words}");
    }
}

/// Sabotage: charge nobody, or those whose exchange was right.
#[actix_web::test]
async fn an_address_registers_and_fails_so_often_and_what_is_right_is_free() {
    let world = World::new().await;
    let refresh = async |token: &str| {
        let form = encoded(&[("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", CLIENT)]);
        let call = world.app.post("/oauth/token").header("content-type", "application/x-www-form-urlencoded");
        call.from("192.0.2.7").body(form).send().await
    };
    let mut token = world.tokens().await.refresh;
    for _ in 0..40 {
        token = Tokens::of(&refresh(&token).await.expect(200)).refresh;
    }
    let body = json!({ "redirect_uris": ["http://localhost/callback"] });
    for _ in 0..30 {
        world.app.post("/oauth/register").from("192.0.2.7").json(&body).send().await.expect(201);
    }
    world.app.post("/oauth/register").from("192.0.2.7").json(&body).send().await.expect(429);
    // Neither people nor tokens of others at the address are locked out by that, nor the other way round.
    token = Tokens::of(&refresh(&token).await.expect(200)).refresh;
    for _ in 0..30 {
        refresh("unknown").await.expect(400);
    }
    refresh("unknown").await.expect(429);
    // What was given out here is looked up all the same. Sabotage: charge whoever shows it with those who try tokens.
    token = Tokens::of(&refresh(&token).await.expect(200)).refresh;
    // People at the address sign in all the same: any page can send such requests.
    let sign_in = world
        .app
        .post("/api/session")
        .from("192.0.2.7")
        .json(&json!({ "email": "nobody@example.com", "password": "x" }));
    sign_in.send().await.expect(401);
    world.app.post("/oauth/register").from("192.0.2.8").json(&body).send().await.expect(201);
    world.app.clock.advance_ms(60_000);
    refresh(&token).await.expect(200);
}

/// Clients read errors of OAuth alone, and people pages. Sabotage: answer with the error body of other routes.
#[actix_web::test]
async fn every_refusal_is_told_in_the_form_that_its_reader_knows() {
    let world = World::new().await;
    let form = "application/x-www-form-urlencoded";
    let post =
        |path: &str, kind: &str, body: String| world.app.post(path).header("content-type", kind).body(body).send();
    let long = format!("a={}", "x".repeat(70_000));
    for (path, kind, body, status, error) in [
        ("/oauth/token", "application/json", "{}".to_owned(), 415, "invalid_request"),
        ("/oauth/token", form, long.clone(), 413, "invalid_request"),
        ("/oauth/revoke", "text/plain", String::new(), 415, "invalid_request"),
        ("/oauth/register", "text/plain", "{}".to_owned(), 415, "invalid_request"),
        ("/oauth/register", "application/json", long.clone(), 413, "invalid_request"),
        ("/oauth/register", "application/json", "[]".to_owned(), 400, "invalid_client_metadata"),
    ] {
        let reply = post(path, kind, body).await.expect(status);
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        let body = reply.json();
        assert_eq!(body["error"], error, "{path}: {body}");
        assert!(body["error_description"].is_string() && body.as_object().unwrap().len() == 2, "{body}");
    }
    let own = world.app.get("/oauth/register/zvc_unknown").header("authorization", "Bearer x").send().await.expect(401);
    assert_eq!(error_of(&own), "invalid_token");
    assert!(own.header("www-authenticate").unwrap().contains("invalid_token"));
    let other = world.app.request(Method::PUT, "/oauth/token").send().await.expect(405);
    assert_eq!((error_of(&other).as_str(), other.header("allow")), ("invalid_request", Some("POST, OPTIONS")));
    let again = || world.app.post("/oauth/token").from("192.0.2.7").header("content-type", form).body("").send();
    for _ in 0..30 {
        again().await.expect(400);
    }
    let limited = again().await.expect(429);
    assert_eq!(error_of(&limited), "temporarily_unavailable");
    assert!(limited.header("retry-after").is_some());
    // Registering counts apart, and so do documents of clients that are asked for; a person is told on a page.
    for _ in 0..30 {
        let body = json!({ "redirect_uris": ["http://localhost/callback"] });
        world.app.post("/oauth/register").from("192.0.2.7").json(&body).send().await.expect(201);
    }
    let unknown = encoded(&request(&[("client_id", "https://other.example/client.json")]));
    let ask = world.app.get(&format!("/oauth/authorize?{unknown}")).session(&world.session).from("192.0.2.7");
    let page = ask.send().await.expect(429);
    assert!(page.header("retry-after").is_some());
    let cross = world.app.post("/oauth/consent").header("origin", "https://evil.example").header("content-type", form);
    let cross = cross.session(&world.session).body(String::new()).send().await.expect(403);
    let wrong = world.app.post("/oauth/consent").header("content-type", "text/plain").session(&world.session);
    let wrong = wrong.body(String::new()).send().await.expect(415);
    for page in [page, cross, wrong] {
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.header("content-security-policy").unwrap().contains("form-action 'none'"));
        assert!(page.text().contains("cannot be connected"), "{}", page.text());
    }
}

/// Sabotage: ask for a document each time, or keep that there is none for an hour.
#[actix_web::test]
async fn documents_are_kept_and_failures_not_for_long() {
    let world = World::new().await;
    let fetches = || world.documents.fetches.load(Ordering::Relaxed);
    for _ in 0..3 {
        world.ask(&request(&[])).await.expect(200);
    }
    assert_eq!(fetches(), 1);
    let other = "https://other.example/client.json";
    let asked = request(&[("client_id", other), ("redirect_uri", "https://other.example/callback")]);
    for _ in 0..3 {
        assert!(world.ask(&asked).await.expect(400).text().contains("its host answers 404"));
    }
    assert_eq!(fetches(), 2);
    let document = json!({ "client_id": other, "redirect_uris": ["https://other.example/callback"] });
    world.documents.documents.lock().insert(other.to_owned(), Ok(document));
    world.app.clock.advance_ms(60_000);
    world.ask(&asked).await.expect(200);
    world.app.clock.advance_ms(3_600_000);
    world.ask(&asked).await.expect(200);
    assert_eq!(fetches(), 4);
    // What is not even an address of a document is not asked for.
    for wrong in [
        "https://app.example",
        "http://app.example/a",
        "https://127.0.0.1/a",
        "https://app.example:8443/a",
        "https://localhost/a",
    ] {
        world.ask(&request(&[("client_id", wrong)])).await.expect(400);
    }
    assert_eq!(fetches(), 4);
    // A document that is another client's.
    world
        .documents
        .documents
        .lock()
        .insert("https://evil.example/a".to_owned(), Ok(json!({ "client_id": CLIENT, "redirect_uris": [REDIRECT] })));
    let reply = world.ask(&request(&[("client_id", "https://evil.example/a")])).await.expect(400);
    assert!(reply.text().contains("client_id in the document"));
}

#[actix_web::test]
async fn pages_may_be_clients() {
    let world = World::new().await;
    let origin = "https://client.example";
    for path in ["/oauth/token", "/oauth/register", "/oauth/revoke"] {
        let preflight = world.app.request(Method::OPTIONS, path).header("origin", origin);
        let reply = preflight.header("access-control-request-method", "POST").send().await.expect(204);
        assert_eq!(reply.header("access-control-allow-origin"), Some(origin), "{path}");
        assert!(reply.header("access-control-allow-headers").unwrap().contains("content-type"));
        assert_eq!(reply.header("access-control-allow-credentials"), None);
        let reply = world.app.post(path).header("origin", origin).body("").send().await;
        assert_eq!(reply.header("access-control-allow-origin"), Some(origin), "{path}");
        let exposed = reply.header(HeaderName::from_static("access-control-expose-headers").as_str()).unwrap();
        assert!(exposed.contains("www-authenticate"));
    }
    // They say the revision that they speak also where they look for all this. Sabotage: answer them as a page that asks nothing.
    for path in ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server"] {
        let preflight = world.app.request(Method::OPTIONS, path).header("origin", origin);
        let reply = preflight.header("access-control-request-headers", "mcp-protocol-version").send().await.expect(204);
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{path}");
        assert_eq!(reply.header("access-control-allow-methods"), Some("GET"));
        assert!(reply.header("access-control-allow-headers").unwrap().contains("mcp-protocol-version"));
    }
    let page = world.app.get(&format!("/oauth/authorize?{}", encoded(&request(&[])))).header("origin", origin);
    assert_eq!(page.session(&world.session).send().await.expect(200).header("access-control-allow-origin"), None);
}

#[actix_web::test]
async fn the_issuer_can_be_left_out() {
    let world = World::with(false).await;
    let page = world.ask(&request(&[])).await.expect(200);
    let members = location(&world.decide(&page, &[("decision", "allow")]).await.expect(200));
    assert!(members.contains_key("code") && !members.contains_key("iss"));
    let metadata = world.app.get("/.well-known/oauth-authorization-server").send().await.expect(200).json();
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], false);
}

/// Sabotage: list what others granted, or end it.
#[actix_web::test]
async fn people_review_and_end_what_they_granted() {
    let world = World::new().await;
    let tokens = world.tokens().await;
    let access = world.access(&tokens.access).await.unwrap();
    for _ in 0..3 {
        world.app.state.store.note_grant_call(access.grant, 1, world.app.state.clock.now()).unwrap();
    }
    let list = |session: &TestSession| world.app.get("/api/account/mcp-clients").session(session).send();
    let data = list(&world.session).await.expect(200).data();
    assert_eq!(data["url"], RESOURCE);
    let clients = data["clients"].clone();
    assert_eq!(clients.as_array().unwrap().len(), 1);
    let client = &clients[0];
    assert_eq!((client["name"].as_str(), client["host"].as_str()), (Some("App"), Some("app.example")));
    assert_eq!((client["client_id"].as_str(), client["redirect_host"].as_str()), (Some(CLIENT), Some("this computer")));
    assert_eq!((client["team"]["name"].as_str(), client["queries_today"].as_u64()), (Some("Team"), Some(3)));
    assert_eq!(client["scopes"], json!(["analytics:read", "advanced:read"]));
    assert!(client["last_used_at"].is_string() && client["created_at"].is_string());

    let path = format!("/api/account/mcp-clients/{}", access.grant);
    let stranger = world.app.sign_in(world.app.user());
    assert_eq!(list(&stranger).await.expect(200).data()["clients"], json!([]));
    world.app.request(Method::DELETE, &path).session(&stranger).send().await.expect(404);
    assert!(world.has_access(&tokens.access).await);
    world.app.request(Method::DELETE, &path).session(&world.session).send().await.expect(204);
    assert!(!world.has_access(&tokens.access).await, "the very next request");
    assert_eq!(error_of(&world.refresh(&tokens.refresh, &[]).await.expect(400)), "invalid_grant");
    world.app.request(Method::DELETE, &path).session(&world.session).send().await.expect(404);
    let trail = world.app.state.store.audit(world.team, None, 10).unwrap();
    assert_eq!(trail[0].action, "mcp_clients.revoke");
    assert!(trail[0].details.contains("App"), "{}", trail[0].details);
}
