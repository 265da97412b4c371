//! Limits through the application: exact under concurrency, honest in their headers, by address and by key.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use common::{TestApp, at};
use futures_util::future::join_all;
use serde_json::json;
use zenovay::config::{CommonFlags, Config, ServerFlags};
use zenovay_domain::Plan;

/// S4: 30 requests a minute on Pro. 60 at once: 30 × 200 and 30 × 429.
#[actix_web::test]
async fn sixty_parallel_requests_of_a_pro_key_are_thirty_and_thirty() {
    let app = TestApp::start().await;
    let key = app.team(Plan::Pro).key("read");
    let replies = join_all((0..60).map(|_| app.get("/api/external/v1/usage").key(&key).send())).await;
    let count = |status: u16| replies.iter().filter(|reply| reply.status == status).count();
    assert_eq!((count(200), count(429)), (30, 30));
    let mut remaining: Vec<u32> = replies
        .iter()
        .filter(|reply| reply.status == 200)
        .map(|reply| reply.header("x-ratelimit-remaining").unwrap().parse().unwrap())
        .collect();
    remaining.sort_unstable();
    assert_eq!(remaining, (0..30).collect::<Vec<_>>(), "each number once");
    app.clock.set(at("2026-06-13T12:01:00Z"));
    let reply = app.get("/api/external/v1/usage").key(&key).send().await.expect(200);
    assert_eq!(reply.header("x-usage-monthly"), Some("31"), "429s are not counted");
    assert_eq!(reply.header("x-usage-total"), Some("31"));
}

/// SPEC C2-22: what passed the key check counts, also 400, 403 and 404; 401 does not.
#[actix_web::test]
async fn refusals_after_the_key_check_count_and_carry_the_headers() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let foreign = app.team(Plan::Pro).website("foreign.example");
    let key = site.key("read");
    for (path, status, used) in [
        (site.path("/analytics/{id}?range=x"), 400, "1"),
        (foreign.path("/analytics/{id}"), 403, "2"),
        ("/api/external/v1/websites/nope".to_owned(), 404, "3"),
    ] {
        let reply = app.get(&path).key(&key).send().await.expect(status);
        assert_eq!(reply.header("x-usage-monthly"), Some(used), "{path}");
        for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit", "ratelimit-policy"]
        {
            assert!(reply.header(name).is_some(), "{path}: {name}");
        }
    }
    let reply = app.get("/api/external/v1/usage").send().await.expect(401);
    assert_eq!(reply.header("x-ratelimit-limit"), None);
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
}

#[actix_web::test]
async fn the_monthly_quota_ends_with_its_own_code_and_comes_back_on_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("zenovay.toml");
    std::fs::write(&file, "[plans.pro]\nrequests_per_month = 3\n").unwrap();
    let common = CommonFlags { config: Some(file), ..CommonFlags::default() };
    let plans = Config::load(&common, &ServerFlags::default(), []).unwrap().plans;
    let app = TestApp::start().await.with_plans(plans).await;
    let key = app.team(Plan::Pro).key("read");
    for used in 1..=3 {
        let reply = app.get("/api/external/v1/usage").key(&key).send().await.expect(200);
        assert_eq!(reply.header("x-usage-monthly"), Some(used.to_string().as_str()));
    }
    let reply = app.get("/api/external/v1/usage").key(&key).send().await.expect(429);
    assert_eq!(reply.code(), "MONTHLY_LIMIT_EXCEEDED");
    assert_eq!(reply.header("x-usage-monthly"), Some("3"));
    // From noon of 13 June to midnight of 1 July.
    assert_eq!(reply.header("retry-after"), Some("1512000"));
    app.clock.set(at("2026-07-01T00:00:00Z"));
    app.get("/api/external/v1/usage").key(&key).send().await.expect(200);
}

/// S4: 60 in 10 s per address for tracking.
#[actix_web::test]
async fn an_address_sends_sixty_hits_in_ten_seconds() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Free).website("shop.example");
    for _ in 0..60 {
        site.send(&site.hit("/", "session-1")).from("203.0.113.9").send().await.expect(200);
    }
    let reply = site.send(&site.hit("/", "session-1")).from("203.0.113.9").send().await.expect(429);
    assert_eq!(reply.code(), "RATE_LIMIT_EXCEEDED");
    assert_eq!(reply.header("retry-after"), Some("10"));
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://shop.example"));
    // Nobody is believed about another address by default.
    let spoofed = site.send(&site.hit("/", "session-1")).from("203.0.113.9").header("x-forwarded-for", "6.6.6.6");
    spoofed.send().await.expect(429);
    site.send(&site.hit("/", "session-1")).from("203.0.113.10").send().await.expect(200);
    app.clock.advance_ms(10_000);
    site.send(&site.hit("/", "session-1")).from("203.0.113.9").send().await.expect(200);
}

/// S4: 30 a minute per address for public endpoints.
#[actix_web::test]
async fn an_address_reads_thirty_live_counts_a_minute() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Free).website("shop.example");
    let path = format!("/e/live/{}", site.code());
    for _ in 0..30 {
        app.get(&path).from("2001:db8::1").send().await.expect(200);
    }
    app.get(&path).from("2001:db8::2").send().await.expect(429);
    app.get(&path).from("2001:db8:0:1::1").send().await.expect(200);
}

/// Well-formed keys that nobody holds cost a look-up: an address may try only so many, and then learns nothing more.
/// Sabotage: look up first; take nothing back; forget which keys were valid.
#[actix_web::test]
async fn guessing_keys_is_limited_per_address() {
    use zenovay_domain::Clock;
    let app = TestApp::start().await;
    let team = app.team(Plan::Pro);
    let (good, fresh) = (team.key("read"), team.key("read"));
    let usage = "/api/external/v1/usage";
    // Valid keys cost an address nothing, also the first time.
    for _ in 0..5 {
        app.get(usage).key(&good).from("203.0.113.9").send().await.expect(200);
    }
    let try_unknown = async |expected| {
        let call = app.get(usage).header("x-api-key", &app.unknown_key());
        call.from("203.0.113.9").send().await.expect(expected)
    };
    for _ in 0..30 {
        try_unknown(401).await;
    }
    try_unknown(429).await;
    // Whoever shares the address and was let in before is not hurt; a key that was never seen tells nothing, valid or not.
    app.get(usage).key(&good).from("203.0.113.9").send().await.expect(200);
    app.get(usage).key(&fresh).from("203.0.113.9").send().await.expect(429);
    app.get(usage).key(&fresh).from("203.0.113.10").send().await.expect(200);
    app.get(usage).key(&fresh).from("203.0.113.9").send().await.expect(200);
    // A key that was revoked is an attempt like any other.
    app.state.store.revoke_key(good.id, app.clock.now()).unwrap();
    app.get(usage).key(&good).from("203.0.113.9").send().await.expect(429);
    app.clock.advance_ms(60_000);
    app.get(usage).key(&good).from("203.0.113.9").send().await.expect(401);
}

/// After a restart no valid key is a stranger.
#[actix_web::test]
async fn valid_keys_are_known_from_the_start() {
    let app = TestApp::start().await;
    let key = app.team(Plan::Pro).key("read");
    app.state.directory.remember_valid_keys().unwrap();
    for _ in 0..30 {
        let call = app.get("/api/external/v1/usage").header("x-api-key", &app.unknown_key());
        call.from("203.0.113.9").send().await.expect(401);
    }
    app.get("/api/external/v1/usage").key(&key).from("203.0.113.9").send().await.expect(200);
}

/// Sabotage: no minute for plans without API access.
#[actix_web::test]
async fn refusals_of_a_plan_without_api_are_limited_and_counted() {
    use zenovay_domain::Clock;
    let app = TestApp::start().await;
    let key = app.team(Plan::Free).key("read");
    for _ in 0..30 {
        let reply = app.get("/api/external/v1/usage").key(&key).send().await.expect(403);
        assert_eq!(reply.header("x-ratelimit-remaining"), Some("0"));
    }
    let reply = app.get("/api/external/v1/usage").key(&key).send().await.expect(429);
    assert!(reply.header("retry-after").is_some());
    assert_eq!(app.state.store.usage(key.id, app.clock.now()).unwrap().total_used, 30);
    app.clock.advance_ms(60_000);
    app.get("/api/external/v1/usage").key(&key).send().await.expect(403);
}

#[actix_web::test]
async fn a_batch_is_one_request_and_its_events_are_the_activity_of_the_key() {
    use zenovay_domain::Clock;
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let key = site.key("write");
    let events: Vec<_> = (0..5)
        .map(|n| {
            json!({ "type": "pageview", "ts": 1_781_352_000_000_i64, "visitorId": "v-1", "sessionId": format!("s-{n}"),
                         "props": { "url": "https://shop.example/" }, "idempotencyKey": format!("k-{n}") })
        })
        .collect();
    let body = json!({ "trackingCode": site.code(), "events": events });
    let reply = app.post("/api/v1/events").key(&key).json(&body).send().await.expect(200);
    assert_eq!(reply.data(), json!({ "accepted": 5, "rejected": 0, "duplicates": 0, "errors": [] }));
    assert_eq!(reply.header("x-usage-monthly"), Some("1"));
    let again = app.post("/api/v1/events").key(&key).json(&body).send().await.expect(200);
    assert_eq!(again.data(), json!({ "accepted": 0, "rejected": 0, "duplicates": 5, "errors": [] }));
    let activity = app.state.store.activity(key.id, app.clock.now()).unwrap();
    assert_eq!(activity.all_time.accepted_events, 5);
    assert_eq!(activity.all_time.requests, 2);
}
