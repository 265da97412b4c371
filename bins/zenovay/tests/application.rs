//! The web application as the server sends it: which addresses are its pages, how its files are kept, what its pages may
//! load.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

mod common;

use common::TestApp;
use zenovay::http::application::is_built;

/// What browsers send when a person follows a link.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// Sabotage: answer the page below `/api`, or to whoever takes anything.
#[actix_web::test]
async fn an_unknown_path_is_a_page_to_a_browser_and_unknown_to_programs() {
    let app = TestApp::start().await;
    for path in ["/websites/x/goals", "/nope", "/apis", "/share/x", "/login", "/status"] {
        for accept in ["*/*", "application/json", "image/avif,image/webp", ""] {
            let reply = app.get(path).header("accept", accept).send().await.expect(404);
            assert_eq!(reply.code(), "NOT_FOUND", "{path} {accept}");
        }
        let status = if is_built() { 200 } else { 404 };
        let reply = app.get(path).header("accept", BROWSER).send().await.expect(status);
        assert_eq!(reply.text().contains("<div id=\"app\">"), is_built(), "{path}");
    }
    // S4's singular path, and whatever else is of programs, says that it is unknown to browsers, too.
    for path in ["/api/external/v1/website", "/api", "/api/nope", "/e/x/y", "/mcp/x", "/.well-known/x"] {
        let reply = app.get(path).header("accept", BROWSER).send().await.expect(404);
        assert_eq!(reply.code(), "NOT_FOUND", "{path}");
    }
    let changed = app.request(actix_web::http::Method::POST, "/nope").header("accept", BROWSER).send().await;
    assert_eq!(changed.expect(404).code(), "NOT_FOUND");
}

#[actix_web::test]
async fn older_addresses_lead_to_the_new_ones() {
    let app = TestApp::start().await;
    for (old, new) in [
        ("/api-keys", "/settings/account/security"),
        ("/api-keys/", "/settings/account/security"),
        ("/settings/security?a=b%26c", "/settings/account/security?a=b%26c"),
        ("/account/api-tokens", "/settings/account/security"),
        ("/settings/security/api-keys", "/settings/api-keys"),
    ] {
        for accept in [BROWSER, "*/*"] {
            let reply = app.get(old).header("accept", accept).send().await.expect(308);
            assert_eq!(reply.header("location"), Some(new), "{old}");
        }
    }
}

/// Sabotage: keep the page for a while, or send the policy with `unsafe-inline`.
#[actix_web::test]
async fn pages_are_asked_for_each_time_and_files_are_kept() {
    let app = TestApp::start().await;
    if !is_built() {
        assert!(app.get("/").send().await.expect(200).text().contains("without its assets"));
        return;
    }
    let page = app.get("/").header("accept", BROWSER).send().await.expect(200);
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    let etag = page.header("etag").unwrap().to_owned();
    app.get("/").header("accept", BROWSER).header("if-none-match", &etag).send().await.expect(304);

    // The analytics page names what it loads beside; what a link opens may not stand in other pages unless it says so.
    let analytics = app.get("/websites/x").header("accept", BROWSER).send().await.expect(200).text();
    assert!(analytics.matches("modulepreload").count() > page.text().matches("modulepreload").count());
    let shared = app.get("/share/x").header("accept", BROWSER).send().await.expect(200);
    assert!(shared.header("content-security-policy").unwrap().ends_with("frame-ancestors 'none'"));

    let html = page.text();
    let files: Vec<&str> = html.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(files.iter().any(|name| name.ends_with(".css")) && files.iter().any(|name| name.ends_with(".js")));
    for name in files {
        let reply = app.get(&format!("/assets/{name}")).header("accept-encoding", "gzip").send().await.expect(200);
        assert_eq!(reply.header("cache-control"), Some("public, max-age=31536000, immutable"), "{name}");
        assert_eq!(reply.header("content-encoding"), Some("gzip"), "{name}");
        let content_type = if name.ends_with(".css") { "text/css" } else { "text/javascript" };
        assert!(reply.header("content-type").unwrap().starts_with(content_type), "{name}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{name}");
    }
    for name in ["index.html", "..%2findex.html", "nope.js"] {
        app.get(&format!("/assets/{name}")).send().await.expect(404);
    }
}
