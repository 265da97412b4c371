//! What the documents print, as they print it (the host aside). Each test names its document.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use common::{TestApp, at};
use serde_json::json;
use zenovay_domain::{Plan, WebsiteSettings};

/// S0 "List Your Websites", S1 "Using API Keys", S4 "Test with cURL".
#[actix_web::test]
async fn s0_s1_s4_list_websites_with_x_api_key() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let key = site.key("full_access");
    let reply = app.get("/api/external/v1/websites").header("X-API-Key", &key.text).send().await.expect(200);
    let body = reply.json();
    assert_eq!(body["success"], true);
    assert_eq!(body["timestamp"], "2026-06-13T12:00:00.000Z");
    let row = &body["data"]["websites"][0];
    assert_eq!(row["id"], site.id().to_string());
    assert_eq!(row["domain"], "shop.example");
    assert_eq!(row["tracking_code"], site.code());
    assert_eq!(row["is_active"], true);
    assert_eq!(row["created_at"], "2026-06-13T12:00:00.000Z");
    assert_eq!(row["team_id"], site.team.id.to_string());
    assert_eq!(row["live_visitors"], 0);
    assert_eq!(body["data"]["total"], 1);
}

/// S0, S1, S2 "Hello-world request"; S3 sends a content type on a GET.
#[actix_web::test]
async fn s0_s1_s2_s3_list_websites_with_a_bearer_token() {
    let app = TestApp::start().await;
    let key = app.team(Plan::Pro).key("full_access");
    let call = app.get("/api/external/v1/websites").bearer(&key).header("content-type", "application/json");
    call.send().await.expect(200);
}

/// S0 "Get Analytics Summary".
#[actix_web::test]
async fn s0_analytics_summary_has_website_summary_and_daily_stats() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let reply = app.get(&site.path("/analytics/{id}?range=30d")).key(&site.key("read")).send().await.expect(200);
    let data = reply.data();
    assert_eq!(data["website"], json!({"id": site.id().to_string(), "domain": "shop.example", "name": "shop.example"}));
    assert_eq!(data["time_range"], "30d");
    assert_eq!(data["date_range"]["start"], "2026-05-14");
    assert_eq!(data["date_range"]["end"], "2026-06-13");
    assert_eq!(data["date_range"]["endDateTime"], "2026-06-13T12:00:00.000Z");
    for name in ["total_visitors", "total_page_views", "unique_visitors"] {
        assert_eq!(data["summary"][name], 0, "{name}");
    }
    // A rate over an empty set is null, never 0.
    assert!(data["summary"]["bounce_rate"].is_null());
    let days = data["daily_stats"].as_array().unwrap();
    assert_eq!(days.len(), 31);
    assert_eq!(days[30]["date"], "2026-06-13");
    assert_eq!(days[30]["website_id"], site.id().to_string());
}

/// S0 "Check API Usage", S4 "Test with cURL".
#[actix_web::test]
async fn s0_s4_usage_tells_what_the_key_may_and_did() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let key = site.key("read,write");
    site.send(&site.hit("/", "session-1")).send().await.expect(200);
    let data = app.get("/api/external/v1/usage").key(&key).send().await.expect(200).data();
    assert_eq!(data["api_key"]["id"], key.id.to_string());
    assert_eq!(data["api_key"]["permission"], "full_access");
    assert_eq!(data["api_key"]["scopes"], json!(["read", "write"]));
    assert_eq!(data["usage"]["monthly_requests"], 1);
    assert_eq!(data["usage"]["monthly_remaining"], 9_999);
    assert_eq!(data["usage"]["monthly_reset_at"], "2026-07-01T00:00:00.000Z");
    assert_eq!(data["usage"]["pageviews_this_month"], 1);
    assert_eq!(data["rate_limits"]["requests_per_minute"], 30);
    assert_eq!(data["subscription"]["tier"], "pro");
    assert_eq!(data["period"]["start"], "2026-06-01T00:00:00.000Z");
}

/// S0 "Rate Limits": the table.
#[actix_web::test]
async fn s0_s2_s4_limits_by_plan() {
    let app = TestApp::start().await;
    for (plan, minute, month) in
        [(Plan::Pro, "30", "10000"), (Plan::Scale, "60", "100000"), (Plan::Enterprise, "120", "1000000")]
    {
        let reply = app.get("/api/external/v1/usage").key(&app.team(plan).key("read")).send().await.expect(200);
        assert_eq!(reply.header("x-ratelimit-limit"), Some(minute));
        assert_eq!(reply.header("x-usage-limit"), Some(month));
        assert_eq!(reply.header("x-usage-monthly"), Some("1"));
        assert_eq!(reply.header("x-usage-reset"), Some("2026-07-01T00:00:00.000Z"));
    }
}

/// S0 "Error Response", S4 "Rate Limit Exceeded": headers and message, 42 seconds before the minute ends.
#[actix_web::test]
async fn s0_s4_rate_limit_exceeded() {
    let app = TestApp::start().await;
    let key = app.team(Plan::Pro).key("read");
    app.clock.set(at("2026-06-13T12:00:18Z"));
    for _ in 0..30 {
        app.get("/api/external/v1/usage").key(&key).send().await.expect(200);
    }
    let reply = app.get("/api/external/v1/usage").key(&key).send().await.expect(429);
    assert_eq!(reply.code(), "RATE_LIMIT_EXCEEDED");
    assert_eq!(reply.json()["error"]["message"], "Rate limit exceeded (30 requests/minute). Try again in 42 seconds");
    assert_eq!(reply.json()["error"]["type"], "rate_limit_exceeded");
    assert_eq!(reply.header("x-ratelimit-limit"), Some("30"));
    assert_eq!(reply.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(reply.header("x-ratelimit-reset"), Some("2026-06-13T12:01:00.000Z"));
    assert_eq!(reply.header("retry-after"), Some("42"));
    assert_eq!(reply.header("x-usage-monthly"), Some("30"), "a 429 is not counted");
    app.clock.advance_ms(42_000);
    app.get("/api/external/v1/usage").key(&key).send().await.expect(200);
}

/// S1 "Troubleshooting", S4 "Invalid API Key" and "API Key Not Found".
#[actix_web::test]
async fn s1_s4_invalid_api_key() {
    let app = TestApp::start().await;
    let key = app.team(Plan::Pro).key("read");
    let spaced = format!("{} ", key.text);
    for (header, value) in
        [("x-api-key", "abc123_not_valid..."), ("api-key", key.text.as_str()), ("x-api-key", &spaced)]
    {
        let reply = app.get("/api/external/v1/websites").header(header, value).send().await.expect(401);
        assert_eq!(reply.code(), "UNAUTHORIZED");
        assert_eq!(reply.json()["error"]["message"], "Invalid API key");
        assert_eq!(reply.json()["error"]["type"], "invalid_api_key");
    }
}

/// S1 and S4: the plan error.
#[actix_web::test]
async fn s1_s4_plan_does_not_include_api_access() {
    let app = TestApp::start().await;
    let reply = app.get("/api/external/v1/usage").key(&app.team(Plan::Free).key("read")).send().await.expect(403);
    assert_eq!(reply.code(), "API_PAID_PLAN_REQUIRED");
    let message = "The Zenovay API requires a paid plan. Upgrade to Pro or higher to use API keys.";
    assert_eq!(reply.json()["error"]["message"], message);
    assert_eq!(reply.json()["code"], "API_PAID_PLAN_REQUIRED");
}

/// S1 "Forbidden for this website", S4 "Access denied to this website".
#[actix_web::test]
async fn s1_s4_forbidden_for_this_website() {
    let app = TestApp::start().await;
    let foreign = app.team(Plan::Pro).website("foreign.example");
    let key = app.team(Plan::Pro).key("full_access");
    let reply = app.get(&foreign.path("/websites/{id}")).key(&key).send().await.expect(403);
    assert_eq!(reply.code(), "FORBIDDEN");
    assert_eq!(reply.json()["error"]["message"], "Forbidden");
    assert_eq!(reply.json()["error"]["details"], "Access denied to this website");
}

/// S4 "Bad Request": dates.
#[actix_web::test]
async fn s4_malformed_dates_are_400_and_iso_dates_work() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let key = site.key("read");
    let reply = app.get(&site.path("/analytics/{id}?from=yesterday")).key(&key).send().await.expect(400);
    assert_eq!(reply.code(), "VALIDATION_ERROR");
    assert!(reply.json()["details"]["from"].is_string());
    let path = site.path("/analytics/{id}?from=2026-06-01&to=2026-06-13");
    let data = app.get(&path).key(&key).send().await.expect(200).data();
    assert_eq!(data["daily_stats"].as_array().unwrap().len(), 13);
}

/// S4 "Not Found": the singular path.
#[actix_web::test]
async fn s4_the_singular_path_is_404() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let key = site.key("read");
    app.get(&site.path("/websites/{id}")).key(&key).send().await.expect(200);
    assert_eq!(app.get(&site.path("/website/{id}")).key(&key).send().await.expect(404).code(), "NOT_FOUND");
}

/// S4 "Bad Request": a trailing comma, a string for a number.
#[actix_web::test]
async fn s4_invalid_json_and_wrong_types_are_400() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let path = format!("/e/{}", site.code());
    let comma = app.post(&path).header("content-type", "application/json").body(r#"{ "name": "Test", }"#);
    assert_eq!(comma.send().await.expect(400).code(), "VALIDATION_ERROR");
    let mut hit = site.hit("/", "session-1");
    hit["screen_width"] = "1".into();
    let reply = site.send(&hit).send().await.expect(400);
    assert!(reply.json()["details"]["screen_width"].is_string(), "{}", reply.text());
}

/// S4 "Server-Side API Calls": the example, without an Origin header, word for word but for the website's domain.
#[actix_web::test]
async fn s4_server_side_call_without_origin_is_stored() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website_with("example.com", WebsiteSettings::default());
    let reply = app
        .post(&format!("/e/{}", site.code()))
        .json(&json!({
            "event_type": "pageview",
            "url": "https://example.com/home",
            "session_id": "srv-session-abcdef",
            "user_agent": "MyServer/1.0",
            "device_type": "desktop",
            "browser": "Server",
            "os": "Linux",
        }))
        .send()
        .await
        .expect(200);
    assert_eq!(reply.json(), json!({ "success": true, "timestamp": "2026-06-13T12:00:00.000Z" }));
    assert_eq!(reply.header("x-zenovay-outcome"), Some("stored"));
    let data = app.get(&site.path("/analytics/{id}")).key(&site.key("read")).send().await.expect(200).data();
    assert_eq!(data["summary"]["total_page_views"], 1);
    let data = app.get(&site.path("/analytics/{id}/technology")).key(&site.key("read")).send().await.expect(200).data();
    assert_eq!(data["browsers"][0], json!({ "name": "Server", "visitors": 1, "percentage": 100.0 }));
}

/// S4: session_id of 8 characters, an absolute url, user_agent and the device fields are all required.
#[actix_web::test]
async fn s4_every_missing_field_is_named() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let reply = site.send(&json!({ "session_id": "short", "url": "/home" })).send().await.expect(400);
    let details = reply.json()["details"].clone();
    for field in ["session_id", "url", "user_agent", "device_type", "browser", "os"] {
        assert!(details[field].is_string(), "{field}: {details}");
    }
}

/// S0 "Headers": `X-Request-ID` is echoed.
#[actix_web::test]
async fn s0_request_id_is_echoed() {
    let app = TestApp::start().await;
    let reply = app.get("/api/external/v1/usage").header("X-Request-ID", "your-unique-id").send().await.expect(401);
    assert_eq!(reply.header("x-request-id"), Some("your-unique-id"));
    assert_eq!(reply.json()["error"]["request_id"], "your-unique-id");
}

/// S0 "Query Parameters": range, limit and offset on every list.
#[actix_web::test]
async fn s0_query_parameters_are_validated_on_every_endpoint_that_takes_them() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    let lists = ["", "/visitors", "/pages", "/countries", "/technology"].map(|tail| format!("/analytics/{{id}}{tail}"));
    let ranged: Vec<String> = lists.into_iter().chain(["/performance/{id}/pages".to_owned()]).collect();
    let limited = ["/heatmaps/{id}/pages", "/replays/{id}/sessions", "/errors/{id}/groups"].map(str::to_owned);
    for path in &ranged {
        let reply = app.get(&site.path(&format!("{path}?range=2w"))).key(&key).send().await.expect(400);
        assert!(reply.json()["details"]["range"].is_string(), "{path}");
        let reply = app.get(&site.path(&format!("{path}?range=7d&range=1y"))).key(&key).send().await.expect(400);
        assert_eq!(reply.json()["details"]["range"], "given more than once", "{path}");
        for range in ["24h", "7d", "30d", "90d", "1y"] {
            app.get(&site.path(&format!("{path}?range={range}"))).key(&key).send().await.expect(200);
        }
        app.clock.advance_ms(60_000);
    }
    for path in ranged[1..].iter().chain(&limited) {
        let reply = app.get(&site.path(&format!("{path}?limit=0"))).key(&key).send().await.expect(400);
        assert!(reply.json()["details"]["limit"].is_string(), "{path}");
        app.get(&site.path(&format!("{path}?limit=5"))).key(&key).send().await.expect(200);
    }
    for (path, list, pages) in [
        ("/performance/{id}/pages", "pages", true),
        ("/heatmaps/{id}/pages", "pages", false),
        ("/replays/{id}/sessions?limit=7", "sessions", true),
        ("/errors/{id}/groups?status=resolved", "error_groups", false),
    ] {
        let data = app.get(&site.path(path)).key(&key).send().await.expect(200).data();
        assert_eq!(data[list], json!([]), "{path}");
        assert_eq!(data.get("pagination").is_some(), pages, "{path}");
    }
    app.get(&site.path("/errors/{id}/groups?status=open")).key(&key).send().await.expect(400);
}

/// S0 "Tracking (Public)": no key, open on every plan.
#[actix_web::test]
async fn s0_tracking_is_open_on_the_free_plan() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Free).website("shop.example");
    site.send(&site.hit("/", "session-1")).send().await.expect(200);
    let live = app.get(&format!("/e/live/{}", site.code())).send().await.expect(200);
    assert_eq!(live.json()["liveCount"], 1);
    assert_eq!(live.json()["visitors"], 1);
    assert_eq!(live.json()["count"], 1);
    assert_eq!(live.header("access-control-allow-origin"), Some("*"));
    let beat = app.post(&format!("/e/heartbeat/{}", site.code())).header("origin", "https://shop.example");
    beat.header("user-agent", common::CHROME).json(&json!({ "session_id": "session-1" })).send().await.expect(200);
}
