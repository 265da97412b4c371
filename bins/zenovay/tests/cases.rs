//! Inputs that public bug reports of analytics products tell of, sent over HTTP. Each test names its source.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use common::{CHROME, Reply, TestApp, TestWebsite};
use serde_json::{Value, json};
use zenovay_domain::{Clock, Plan, WebsiteSettings};

/// What was stored as the External API tells it.
async fn read(app: &TestApp, site: &TestWebsite<'_>, path: &str) -> Value {
    app.get(&site.path(path)).key(&site.key("read")).send().await.expect(200).data()
}

async fn summary(app: &TestApp, site: &TestWebsite<'_>) -> Value {
    read(app, site, "/analytics/{id}?range=24h").await["summary"].clone()
}

async fn live(app: &TestApp, site: &TestWebsite<'_>) -> Value {
    app.get(&format!("/e/live/{}", site.code())).send().await.expect(200).json()["liveCount"].clone()
}

async fn beat(app: &TestApp, site: &TestWebsite<'_>, body: &Value, agent: &str) -> Reply {
    let beat = app.post(&format!("/e/heartbeat/{}", site.code())).header("origin", "https://shop.example");
    beat.header("user-agent", agent).json(body).send().await.expect(200)
}

fn now_ms(app: &TestApp) -> i64 {
    app.clock.now().as_millis()
}

fn outcome(reply: &Reply) -> String {
    reply.header("x-zenovay-outcome").unwrap_or("").to_owned()
}

/// A hit with `change`, and the first visitor that is stored of it.
async fn visitor_of(change: impl FnOnce(&mut Value)) -> (Value, Reply) {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let mut hit = site.hit("/", "session-1");
    change(&mut hit);
    let reply = site.send(&hit).send().await.expect(200);
    assert_eq!(outcome(&reply), "stored");
    let visitors = read(&app, &site, "/analytics/{id}/visitors?range=24h").await;
    (visitors["visitors"][0].clone(), reply)
}

/// matomo-org/matomo#7209.
#[actix_web::test]
async fn one_page_is_one_row_however_it_is_escaped() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    for path in ["/%E6%A9%9F", "/%e6%a9%9f", "/機"] {
        site.send(&site.hit(path, "session-1")).send().await.expect(200);
    }
    let pages = read(&app, &site, "/analytics/{id}/pages?range=24h").await;
    let rows: Vec<_> = pages["pages"].as_array().unwrap().iter().map(|row| (&row["url"], &row["views"])).collect();
    assert_eq!(rows, [(&json!("/%E6%A9%9F"), &json!(3))]);
    site.edit(|settings| settings.excluded_paths = vec!["/%e6%a9%9f".to_owned()]);
    assert_eq!(outcome(&site.send(&site.hit("/機", "session-1")).send().await), "excluded_path");
}

/// plausible/analytics#6182.
#[actix_web::test]
async fn hosts_with_underscores_addresses_and_international_names_are_websites() {
    let app = TestApp::start().await;
    for (domain, page) in [
        ("my_site.example.com", "https://my_site.example.com"),
        ("bücher.example", "https://xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "https://bücher.example"),
        ("2001:DB8::1", "https://[2001:db8::1]"),
        ("[2001:db8::2]", "https://[2001:DB8::2]:8443"),
    ] {
        let site = app.team(Plan::Enterprise).website(domain);
        let mut hit = site.hit("/", "session-1");
        hit["url"] = format!("{page}/").into();
        let origin = page.replace("bücher", "xn--bcher-kva").to_lowercase();
        let url = format!("/e/{}", site.code());
        for origin in [Some(origin), None] {
            let call = app.post(&url).header("user-agent", CHROME);
            let call = if let Some(origin) = &origin { call.header("origin", origin) } else { call };
            assert_eq!(outcome(&call.json(&hit).send().await.expect(200)), "stored", "{domain} {origin:?}");
        }
        site.edit(|settings| settings.allowed_domains = vec![domain.to_owned()]);
        let call = app.post(&url).header("user-agent", CHROME);
        assert_eq!(outcome(&call.json(&hit).send().await.expect(200)), "stored", "{domain} is allowed");
    }
}

/// plausible/analytics#3715, ionic-team/capacitor-plugins#1729, umami-software/umami#2260.
#[actix_web::test]
async fn a_referrer_that_is_none_or_long_does_not_lose_the_page() {
    let long = format!("https://blog.partner.example/{}", "a".repeat(2_500));
    for (referrer, stored) in [
        ("chrome-extension://abcdefghijklmnop/page.html", json!(null)),
        ("2//com.example.app", json!(null)),
        ("android-app://com.google.android.gm/", json!("android-app://com.google.android.gm")),
        ("https://accounts.google.com/", json!("https://accounts.google.com/")),
        (&long, json!(format!("https://blog.partner.example/{}", "a".repeat(2_047)))),
    ] {
        let (visitor, _) = visitor_of(|hit| hit["referrer"] = referrer.into()).await;
        assert_eq!(visitor["referrer"], stored, "{referrer}");
    }
}

/// getsentry/relay#5833, getsentry/sentry-react-native#5186, getsentry/relay#5837.
#[actix_web::test]
async fn half_an_emoji_loses_neither_its_hit_nor_its_batch() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let mut hit = site.hit("/", "session-1");
    hit["title"] = "cut HALF".into();
    let body = hit.to_string().replace("HALF", "\\ud83d");
    let call = app.post(&format!("/e/{}", site.code())).header("origin", "https://shop.example");
    let reply = call.header("user-agent", CHROME).body(body).send().await.expect(200);
    assert_eq!(outcome(&reply), "stored");
    let event = |title: &str| {
        json!({ "type": "pageview", "ts": now_ms(&app), "visitorId": "v", "sessionId": "s",
            "props": { "url": "https://shop.example/b", "title": title } })
    };
    let batch = json!({ "trackingCode": site.code(), "events": [event("cut HALF"), event("b"), event("c")] });
    let call = app.post("/api/v1/events").key(&site.key("write")).header("content-type", "application/json");
    let reply = call.body(batch.to_string().replace("HALF", "\\ud83d")).send().await.expect(200);
    assert_eq!(reply.data()["accepted"], 3);
    let pages = read(&app, &site, "/analytics/{id}/pages?range=24h").await;
    assert_eq!(pages["pages"].as_array().unwrap().iter().map(|row| row["views"].as_u64().unwrap()).sum::<u64>(), 4);
}

/// matomo-org/matomo#11605.
#[actix_web::test]
async fn a_second_campaign_within_a_session_is_a_second_visit() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    for page in ["/?utm_campaign=one", "/next", "/?utm_campaign=two"] {
        let mut hit = site.hit(page, "session-1");
        hit["visitor_id"] = "visitor-1".into();
        site.send(&hit).send().await.expect(200);
        app.clock.advance_ms(1_000);
    }
    let expected = json!({ "total_visitors": 2, "unique_visitors": 1, "total_page_views": 3 });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&summary(&app, &site).await[name], value, "{name}");
    }
}

/// matomo-org/tracker-proxy#94. Also after a restart, from another network.
#[actix_web::test]
async fn a_heartbeat_through_a_proxy_is_that_of_the_page() {
    for settings in [WebsiteSettings::default(), WebsiteSettings::default().with(|s| s.cookieless = false)] {
        for flag in [false, true] {
            let app = TestApp::start().await;
            let site = app.team(Plan::Enterprise).website_with("shop.example", settings.clone());
            let mut hit = site.hit("/", "session-1");
            hit["cookieless"] = flag.into();
            let page = app.post(&format!("/e/{}", site.code())).header("origin", "https://shop.example");
            page.header("user-agent", "Amazon CloudFront").json(&hit).send().await.expect(200);
            let (website_id, code, key) = (site.id(), site.code().to_owned(), site.key("read"));
            let body = json!({ "session_id": "session-1", "engagement_ms": 15_000, "cookieless": flag });
            assert_eq!(outcome(&beat(&app, &site, &body, "Amazon CloudFront").await), "stored", "{flag}");
            assert_eq!(live(&app, &site).await, 1, "{flag}");
            let app = app.restart().await;
            let call = app.post(&format!("/e/heartbeat/{code}")).header("origin", "https://shop.example");
            let reply = call.header("user-agent", "Amazon CloudFront").json(&body).send().await.expect(200);
            assert_eq!(outcome(&reply), "stored", "{flag}");
            let live = app.get(&format!("/e/live/{code}")).send().await.expect(200).json()["liveCount"].clone();
            assert_eq!(live, 1, "{flag}");
            let path = format!("/api/external/v1/analytics/{website_id}/pages?range=24h");
            let pages = app.get(&path).key(&key).send().await.expect(200).data();
            assert_eq!((&pages["pages"][0]["visitors"], &pages["pages"][0]["bounce_rate"]), (&json!(1), &json!(0.0)));
        }
    }
}

/// Heartbeats make nobody live who viewed nothing.
#[actix_web::test]
async fn made_up_heartbeats_count_nowhere() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    for number in 0..20 {
        for body in [
            json!({ "session_id": format!("made-up-{number}"), "visitor_id": format!("ghost-{number}") }),
            json!({ "session_id": format!("made-up-{number}") }),
            json!({ "session_id": format!("made-up-{number}"), "cookieless": true }),
        ] {
            assert_eq!(outcome(&beat(&app, &site, &body, CHROME).await), "no_session");
        }
    }
    assert_eq!(live(&app, &site).await, 0);
}

/// An order number that anybody may send to `/e` first is still the owner's in a batch.
#[actix_web::test]
async fn a_stranger_takes_no_key_of_a_batch() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let sale = |visitor: &str, session: &str| {
        let mut hit = site.hit("/paid", session);
        hit["event_id"] = "order-1001".into();
        hit["visitor_id"] = visitor.into();
        hit
    };
    site.send(&sale("stranger", "session-1")).send().await.expect(200);
    let event = json!({ "type": "purchase", "ts": now_ms(&app), "visitorId": "buyer", "sessionId": "s",
        "props": { "url": "https://shop.example/paid" }, "idempotencyKey": "order-1001" });
    let batch = json!({ "trackingCode": site.code(), "events": [event] });
    let send = || app.post("/api/v1/events").key(&site.key("write")).json(&batch).send();
    let counts = |reply: Reply| {
        let data = reply.expect(200).data();
        ["accepted", "rejected", "duplicates"].map(|name| data[name].as_u64().unwrap())
    };
    assert_eq!(counts(send().await), [1, 0, 0]);
    assert_eq!(counts(send().await), [0, 0, 1]);
    let buyer = site.send(&sale("buyer", "session-2")).send().await.expect(200);
    assert_eq!(outcome(&buyer), "stored");
    let again = site.send(&sale("buyer", "session-2")).send().await.expect(200);
    assert_eq!(outcome(&again), "duplicate");
}

#[actix_web::test]
async fn an_origin_that_is_not_ascii_is_refused() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let call = app.post(&format!("/e/{}", site.code())).header("origin", "https://shöp.example");
    let reply = call.header("user-agent", CHROME).json(&site.hit("/", "session-1")).send().await.expect(403);
    assert_eq!(outcome(&reply), "domain_not_authorized");
}
