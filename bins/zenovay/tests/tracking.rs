//! Tracking through the application: who may send, what is refused in which words, what becomes of a hit.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::io::Write;
use std::sync::Arc;

use common::{CHROME, TestApp};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use zenovay_domain::{Event, Plan, Timestamp, VisitorId, WebsiteId, WebsiteSettings};
use zenovay_events::{
    Append, AppendError, AppendReceipt, AppendRefused, ChangeError, EventStore, Kept, NewEvent, RecentSession,
    Retained, StoreStats,
};
use zenovay_query::{Answer, Budget, Query, QueryError};

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[actix_web::test]
async fn beacons_and_gzip_are_taken() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Free).website("shop.example");
    let body = site.hit("/", "session-1").to_string();
    let path = format!("/e/{}", site.code());
    let call = || app.post(&path).header("origin", "https://shop.example").header("user-agent", CHROME);
    call().header("content-type", "text/plain;charset=UTF-8").body(body.clone()).send().await.expect(200);
    let packed = call().header("content-type", "application/json").header("content-encoding", "gzip");
    packed.body(gzip(body.as_bytes())).send().await.expect(200);
    call().header("content-type", "text/xml").body(body.clone()).send().await.expect(415);
    call().header("content-encoding", "br").body(body).send().await.expect(415);
}

#[actix_web::test]
async fn aliases_reach_the_same_handlers() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let mut hit = site.hit("/", "session-1");
    hit["tracking_code"] = site.code().into();
    for path in [
        format!("/e/{}", site.code()),
        format!("/e/{}/", site.code()),
        format!("/api/_z/e/{}", site.code()),
        "/track".to_owned(),
        format!("/track?code={}", site.code()),
        "/api/_z/track".to_owned(),
    ] {
        let call = app.post(&path).header("origin", "https://shop.example").header("user-agent", CHROME);
        assert_eq!(call.json(&hit).send().await.expect(200).header("x-zenovay-outcome"), Some("stored"), "{path}");
    }
    let data = app.get(&site.path("/analytics/{id}")).key(&site.key("read")).send().await.expect(200).data();
    assert_eq!(data["summary"]["total_page_views"], 6);
    for path in [format!("/live/{}", site.code()), format!("/api/_z/e/live/{}", site.code())] {
        assert_eq!(app.get(&path).send().await.expect(200).json()["liveCount"], 1);
    }
    app.post(&format!("/track?code={0}&code={0}", site.code())).json(&hit).send().await.expect(400);
}

#[actix_web::test]
async fn preflight_and_answers_name_the_asking_origin() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Free).website("shop.example");
    let path = format!("/e/{}", site.code());
    let preflight = app.request(actix_web::http::Method::OPTIONS, &path).header("origin", "https://shop.example");
    let reply = preflight.header("access-control-request-method", "POST").send().await.expect(204);
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(reply.header("access-control-allow-methods"), Some("POST"));
    assert_eq!(reply.header("access-control-allow-headers"), Some("content-type"));
    assert_eq!(reply.header("access-control-max-age"), Some("86400"));
    assert_eq!(reply.header("access-control-allow-credentials"), None);
    let reply = site.send(&site.hit("/", "session-1")).send().await.expect(200);
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://shop.example"));
    // The External API is for servers: no page may read it.
    let key = site.key("read");
    let reply = app.get("/api/external/v1/usage").header("origin", "https://evil.example").key(&key).send().await;
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[actix_web::test]
async fn unknown_codes_are_401_and_foreign_origins_403() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Free).website("shop.example");
    let hit = site.hit("/", "session-1");
    for code in ["ZV_00000000000", "nonsense", "%00"] {
        let reply = app.post(&format!("/e/{code}")).json(&hit).send().await.expect(401);
        assert_eq!(reply.code(), "UNAUTHORIZED", "{code}");
    }
    let call =
        |origin: &str| app.post(&format!("/e/{}", site.code())).header("user-agent", CHROME).header("origin", origin);
    for origin in ["https://evil.example", "https://shop.example.evil.example", "https://notshop.example"] {
        let reply = call(origin).json(&hit).send().await.expect(403);
        assert_eq!(reply.json()["message"], "Domain not authorized for this tracking code", "{origin}");
    }
    for origin in ["https://shop.example", "https://www.shop.example", "https://a.b.shop.example:8443"] {
        call(origin).json(&hit).send().await.expect(200);
    }
    call("http://localhost:3000").json(&hit).send().await.expect(403);
    site.edit(|settings| settings.allow_localhost = true);
    call("http://localhost:3000").json(&hit).send().await.expect(200);
}

#[actix_web::test]
async fn hits_are_dropped_with_200_and_the_reason_in_a_header() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    site.edit(|settings| {
        settings.excluded_ips = vec!["203.0.113.0/24".to_owned()];
        settings.excluded_paths = vec!["/admin/*".to_owned()];
    });
    let hit = site.hit("/", "session-1");
    let outcome = |reply: common::Reply| reply.header("x-zenovay-outcome").unwrap().to_owned();
    assert_eq!(outcome(site.send(&hit).from("203.0.113.5").send().await.expect(200)), "excluded_ip");
    let admin = site.hit("/admin/users", "session-1");
    assert_eq!(outcome(site.send(&admin).send().await.expect(200)), "excluded_path");
    let bot = app.post(&format!("/e/{}", site.code())).header("origin", "https://shop.example");
    let agent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    let reply = bot.header("user-agent", agent).json(&hit).send().await.expect(200);
    assert_eq!(reply.json()["success"], true);
    assert_eq!(outcome(reply), "bot");
    site.edit(|settings| settings.is_active = false);
    assert_eq!(outcome(site.send(&hit).send().await.expect(200)), "paused");
    let data = app.get(&site.path("/analytics/{id}")).key(&site.key("read")).send().await.expect(200).data();
    assert_eq!(data["summary"]["total_page_views"], 0);
}

#[actix_web::test]
async fn the_same_event_id_is_stored_once() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let mut hit = site.hit("/", "session-1");
    hit["event_id"] = "event-1".into();
    let outcomes = [site.send(&hit).send().await, site.send(&hit).send().await];
    assert_eq!(
        outcomes.map(|reply| reply.expect(200).header("x-zenovay-outcome").unwrap().to_owned()),
        ["stored", "duplicate"]
    );
    hit["url"] = "https://shop.example/other".into();
    assert_eq!(site.send(&hit).send().await.expect(409).code(), "CONFLICT");
}

/// A thank-you page that is opened again tells of the same order; another visitor cannot take its number.
#[actix_web::test]
async fn an_order_is_stored_once() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let told = async |path: &str, session: &str, ip: &str, order: serde_json::Value| {
        let mut hit = site.hit(path, session);
        hit["event_type"] = "revenue".into();
        hit["event_data"] = order;
        let reply = site.send(&hit).from(ip).send().await;
        (reply.status, reply.header("x-zenovay-outcome").unwrap_or("").to_owned())
    };
    let order = || json!({ "order_id": "o-1", "value": 12.5, "currency": "EUR" });
    assert_eq!(told("/thanks", "session-1", "8.8.8.8", order()).await, (200, "stored".to_owned()));
    assert_eq!(told("/thanks", "session-1", "8.8.8.8", order()).await, (200, "duplicate".to_owned()));
    assert_eq!(told("/orders", "session-2", "8.8.8.8", order()).await, (200, "duplicate".to_owned()));
    assert_eq!(told("/thanks", "session-3", "9.9.9.9", order()).await, (200, "stored".to_owned()));
    let other = json!({ "order_id": "o-2", "value": "12.50", "currency": "eur" });
    assert_eq!(told("/thanks", "session-1", "8.8.8.8", other).await, (200, "stored".to_owned()));
}

/// SECURITY I3, I4, I6, I7, I8, I10, I11.
#[actix_web::test]
async fn hostile_bodies_are_refused_in_words() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Free).website("shop.example");
    let path = format!("/e/{}", site.code());
    let good = site.hit("/", "session-1").to_string();
    let with = |name: &str, value: Value| {
        let mut hit = site.hit("/", "session-1");
        hit[name] = value;
        hit.to_string().into_bytes()
    };
    let bodies: Vec<(&str, Vec<u8>, u16)> = vec![
        ("empty", vec![], 400),
        ("truncated", good.as_bytes()[..good.len() - 5].to_vec(), 400),
        ("not UTF-8", [good.as_bytes(), b"\xff\xfe"].concat(), 400),
        ("deep", [b"{\"a\":".repeat(50_000)].concat(), 413),
        ("deep within the limit", "[".repeat(60_000).into_bytes(), 400),
        ("an array", b"[]".to_vec(), 400),
        ("a twice given key", good.replacen('{', r#"{"url":"https://evil.example/","#, 1).into_bytes(), 400),
        ("javascript:", with("url", "javascript:alert(1)".into()), 400),
        ("data:", with("url", "data:text/html,x".into()), 400),
        ("a number as url", with("url", json!(1)), 400),
        ("an object as session", with("session_id", json!({})), 400),
        ("5 MB", vec![b' '; 5 << 20], 413),
        ("more than 64 KB", with("title", "x".repeat(70_000).into()), 413),
    ];
    for (name, body, status) in bodies {
        let call = app.post(&path).header("origin", "https://shop.example").header("content-type", "application/json");
        let reply = call.header("user-agent", CHROME).body(body).send().await;
        assert_eq!(reply.status, status, "{name}: {}", reply.text());
        let code = if status == 413 { "PAYLOAD_TOO_LARGE" } else { "VALIDATION_ERROR" };
        assert_eq!(reply.code(), code, "{name}");
        assert!(!reply.json()["message"].as_str().unwrap().is_empty());
        app.clock.advance_ms(1_000);
    }
    let bomb = gzip(&vec![0; 32 << 20]);
    assert!(bomb.len() < 65_536);
    let call = app.post(&path).header("content-encoding", "gzip").header("content-type", "application/json");
    call.body(bomb).send().await.expect(413);
    let call = app.post(&path).header("content-encoding", "gzip").header("content-encoding", "gzip");
    call.body(gzip(good.as_bytes())).send().await.expect(415);
}

#[actix_web::test]
async fn a_batch_reports_each_wrong_row_by_its_index() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let row = |url: &str, key: &str| {
        json!({ "type": "pageview", "ts": 1_781_352_000_000_i64, "visitorId": "v-1", "sessionId": "s-1",
                "props": { "url": url }, "idempotencyKey": key })
    };
    let mut late = row("https://shop.example/", "d");
    late["ts"] = json!(1_900_000_000_000_i64);
    let events = [
        row("https://shop.example/a", "a"),
        json!(1),
        row("javascript:x", "c"),
        late,
        row("https://shop.example/b", "e"),
    ];
    let body = json!({ "trackingCode": site.code(), "events": events });
    let reply = app.post("/api/v1/events").bearer(&site.key("write")).json(&body).send().await.expect(200);
    let data = reply.data();
    assert_eq!((&data["accepted"], &data["rejected"]), (&json!(2), &json!(3)));
    let errors = data["errors"].as_array().unwrap();
    assert_eq!(errors.iter().map(|error| error["index"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(errors.iter().all(|error| error["reason"] == "invalid_field"), "{data}");
    let key = site.key("write");
    let send = |body: Value| app.post("/api/v1/events").key(&key).json(&body).send();
    send(json!({ "trackingCode": site.code(), "events": [] })).await.expect(400);
    let many: Vec<_> = (0..1_001).map(|n| row("https://shop.example/", &n.to_string())).collect();
    send(json!({ "trackingCode": site.code(), "events": many })).await.expect(400);
    let gpc = app.post("/api/v1/events").key(&key).header("sec-gpc", "1").json(&body).send().await.expect(403);
    assert_eq!(gpc.json()["message"], "gpc_opted_out");
    let simple = app.post("/api/v1/events").key(&key).header("content-type", "text/plain").body(body.to_string());
    simple.send().await.expect(415);
}

#[actix_web::test]
async fn the_public_summary_exists_only_while_it_is_switched_on() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Free).website("shop.example");
    site.send(&site.hit("/home", "session-1")).from("8.8.8.8").send().await.expect(200);
    let path = format!("/e/realtime/{}", site.id());
    app.get(&path).send().await.expect(404);
    site.edit(|settings| settings.public_dashboard = true);
    let body = app.get(&path).send().await.expect(200).json();
    assert_eq!(body["visitors"], json!({ "current": 1, "today": 1, "change": null }));
    assert_eq!(body["pageViews"], json!({ "current": 1, "today": 1, "change": null }));
    assert_eq!(body["countries"], json!([{ "code": "US", "name": "United States", "count": 1 }]));
    assert_eq!(body["topPages"], json!([{ "path": "/home", "visitors": 1 }]));
    site.edit(|settings| settings.public_dashboard = false);
    app.get(&path).send().await.expect(404);
}

/// A server that was built without the script says how to build it; otherwise the script is cached and asked about.
#[actix_web::test]
async fn the_script_is_served_with_caching_or_its_absence_is_explained() {
    let app = TestApp::start().await;
    if !zenovay::http::assets::are_built() {
        let reply = app.get("/z.js").send().await.expect(404);
        assert!(reply.json()["message"].as_str().unwrap().contains("just assets"));
        assert!(app.get("/").send().await.expect(200).text().contains("without its assets"));
        return;
    }
    let parts = zenovay::http::assets::PARTS.map(|part| format!("/z-{part}.js"));
    let names = parts.iter().map(String::as_str).chain(["/z.js"]);
    for path in names.flat_map(|name| [name.to_owned(), format!("/api/_z{name}")]) {
        let path = path.as_str();
        let plain = app.get(path).send().await.expect(200);
        assert_eq!(plain.header("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(plain.header("access-control-allow-origin"), Some("*"));
        assert!(plain.header("cache-control").unwrap().contains("max-age=3600"));
        let etag = plain.header("etag").unwrap().to_owned();
        let known = app.get(path).header("if-none-match", &etag).send().await.expect(304);
        assert!(known.body.is_empty());
        assert_eq!(known.header("etag"), Some(etag.as_str()));
        let packed = app.get(path).header("accept-encoding", "br, gzip").send().await.expect(200);
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        let mut unpacked = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed.body[..]), &mut unpacked).unwrap();
        assert_eq!(unpacked, plain.body);
    }
}

/// Each script loads the others that it was built with, and browsers keep those.
#[actix_web::test]
async fn the_other_scripts_are_kept_under_their_names_and_no_others() {
    let app = TestApp::start().await;
    if !zenovay::http::assets::are_built() {
        return;
    }
    let first = app.get("/z.js").send().await.expect(200).text();
    let (_, after) = first.split_once("/z-more.js?").expect("z.js loads z-more.js");
    let second = app.get("/z-more.js").send().await.expect(200).text();
    for part in zenovay::http::assets::PARTS {
        // The second script knows the names of the others by their parts.
        let after = if part == "more" { after } else { second.split_once(&format!("{part}:\"")).expect(part).1 };
        let name = after.get(..16).unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
        for (query, expected) in [
            (format!("?{name}"), "public, max-age=31536000, immutable"),
            ("?0123456789abcdef".to_owned(), "public, max-age=3600, must-revalidate"),
            (format!("?{name}0"), "public, max-age=3600, must-revalidate"),
            ("?".to_owned(), "public, max-age=3600, must-revalidate"),
        ] {
            let reply = app.get(&format!("/api/_z/z-{part}.js{query}")).send().await.expect(200);
            assert_eq!(reply.header("cache-control"), Some(expected), "{part} {query}");
        }
    }
    for unknown in ["/z-.js", "/z-other.js", "/z-more.map", "/api/_z/z-MORE.js"] {
        app.get(unknown).send().await.expect(404);
    }
}

/// What the script may do is told to every page, cached for a while, and limited like everything public.
#[actix_web::test]
async fn the_settings_of_a_website_are_told_to_its_pages() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Free).website("shop.example");
    site.edit(|settings| *settings = WebsiteSettings::default().with(|s| s.track_downloads = false));
    for path in [format!("/load/{}", site.code()), format!("/api/_z/load/{}", site.code())] {
        let reply = app.get(&path).header("origin", "https://other.example").send().await.expect(200);
        // The plan does not include errors and heatmaps.
        let expected = json!({ "cookieless": true, "track_outbound_links": true, "track_downloads": false,
            "web_vitals": true, "errors": false, "heatmaps": false, "session_replay": false, "session_replay_trigger": "all",
            "session_replay_sample_percent": 100, "session_replay_consent": true, "session_replay_mask_inputs": true });
        assert_eq!(reply.data(), expected);
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert_eq!(reply.header("cache-control"), Some("public, max-age=300, must-revalidate"));
        let etag = reply.header("etag").unwrap().to_owned();
        let known = app.get(&path).header("if-none-match", &etag).send().await.expect(304);
        assert!(known.body.is_empty());
        assert_eq!((known.header("etag"), known.header("access-control-allow-origin")), (Some(&*etag), Some("*")));
        assert_eq!(known.header("cache-control"), Some("public, max-age=300, must-revalidate"));
    }
    let path = format!("/load/{}", site.code());
    let etag = app.get(&path).send().await.expect(200).header("etag").unwrap().to_owned();
    site.edit(|settings| settings.cookieless = false);
    let changed = app.get(&path).header("if-none-match", &etag).send().await.expect(200);
    assert_eq!(changed.data()["cookieless"], false);
    assert_ne!(changed.header("etag"), Some(&*etag));
    for unknown in ["/load/ZV_nobody", "/load/x", "/api/_z/load/%00"] {
        let reply = app.get(unknown).send().await.expect(404);
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    }
    let codes: Vec<u16> = {
        let mut codes = Vec::new();
        for _ in 0..31 {
            codes.push(app.get(&path).from("203.0.113.7").send().await.status);
        }
        codes
    };
    assert_eq!((codes.iter().filter(|&&code| code == 200).count(), codes[30]), (30, 429));
}

/// A session that the server stitches goes on over a restart.
#[actix_web::test]
async fn cookieless_visitors_are_the_same_after_a_restart() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website_with("shop.example", WebsiteSettings::default());
    let mut hit = site.hit("/", "session-1");
    hit["cookieless"] = true.into();
    site.send(&hit).from("203.0.113.9").send().await.expect(200);
    let (code, path, key) = (site.code().to_owned(), site.path("/analytics/{id}"), site.key("read"));
    let app = app.restart().await;
    app.clock.advance_ms(60_000);
    let call = app.post(&format!("/e/{code}")).header("origin", "https://shop.example").header("user-agent", CHROME);
    call.from("203.0.113.9").json(&hit).send().await.expect(200);
    let summary = app.get(&path).key(&key).send().await.expect(200).data()["summary"].clone();
    assert_eq!((&summary["unique_visitors"], &summary["total_visitors"]), (&json!(1), &json!(1)));
    assert_eq!(summary["total_page_views"], 2);
}

/// A store that refuses every append.
struct Failing(AppendError);

impl EventStore for Failing {
    fn append(&self, events: Vec<NewEvent>) -> Append<'_> {
        Append::new(std::future::ready(Err(AppendRefused::new(self.0.clone(), events))))
    }

    /// The queue is full at once; everything else is found out by the writer.
    fn try_append(&self, events: Vec<NewEvent>) -> Result<AppendReceipt, AppendRefused> {
        let refused = AppendRefused::new(self.0.clone(), events);
        match self.0 {
            AppendError::QueueFull | AppendError::ShuttingDown => Err(refused),
            _ => Ok(AppendReceipt::answered(Err(refused))),
        }
    }

    fn try_capture(&self, _: Vec<zenovay_events::NewCapture>) -> Result<AppendReceipt, AppendError> {
        match self.0 {
            AppendError::QueueFull | AppendError::ShuttingDown => Err(self.0.clone()),
            _ => Ok(AppendReceipt::answered(Err(AppendRefused::new(self.0.clone(), Vec::new())))),
        }
    }

    fn query(&self, _: WebsiteId, _: &Query, _: &Budget) -> Result<Answer, QueryError> {
        Err(QueryError::damaged("segments/7.parquet"))
    }

    fn recent_sessions(&self, _: Timestamp) -> Vec<RecentSession> {
        Vec::new()
    }

    fn damages(&self) -> Vec<String> {
        Vec::new()
    }

    fn visitor_events(&self, _: WebsiteId, _: VisitorId, _: &Budget) -> Result<Vec<Event>, QueryError> {
        Ok(Vec::new())
    }

    fn erase_visitor(&self, _: WebsiteId, _: VisitorId) -> Result<(), ChangeError> {
        Ok(())
    }

    fn delete_website(&self, _: WebsiteId) -> Result<(), ChangeError> {
        Ok(())
    }

    fn retain(&self, _: &[Kept], _: Option<Timestamp>, _: &mut dyn FnMut(Retained)) -> Result<(), ChangeError> {
        Ok(())
    }

    fn remove_hidden(&self, _: Timestamp, _: &mut dyn FnMut(Retained)) -> Result<(), ChangeError> {
        Ok(())
    }

    fn newest(&self) -> Option<Timestamp> {
        None
    }

    fn span(&self, _: WebsiteId) -> Option<zenovay_domain::TimeRange> {
        None
    }

    fn stats(&self) -> StoreStats {
        StoreStats::default()
    }

    fn seal(&self) -> Result<bool, ChangeError> {
        Ok(false)
    }

    fn shutdown(&self) {}
}

/// SECURITY §5: what cannot be made durable or read is a 503 that says when to come back.
#[actix_web::test]
async fn a_failing_store_is_a_503_with_retry_after() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let key = site.key("full_access");
    for (error, outcome) in [
        (AppendError::QueueFull, "queue_full"),
        (AppendError::DiskFull, "disk_full"),
        (AppendError::Busy, "store_unavailable"),
        (AppendError::Poisoned, "store_unavailable"),
        (AppendError::ShuttingDown, "store_unavailable"),
    ] {
        let failing = app.with_events(Arc::new(Failing(error))).await;
        let call = failing.post(&format!("/e/{}", site.code())).header("origin", "https://shop.example");
        let call = call.header("user-agent", CHROME).json(&site.hit("/", "session-1"));
        let reply = call.send().await.expect(503);
        assert_eq!(reply.code(), "SERVICE_UNAVAILABLE");
        assert_eq!(reply.header("x-zenovay-outcome"), Some(outcome));
        assert!(reply.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
        let speed =
            failing.post(&format!("/api/track/{}/performance", site.code())).header("origin", "https://shop.example");
        let mut body = site.hit("/", "session-1");
        body["view_id"] = "view-0001".into();
        body["lcp"] = 1.into();
        let reply = speed.header("user-agent", CHROME).json(&body).send().await.expect(503);
        assert_eq!(reply.header("x-zenovay-outcome"), Some(outcome));
        assert!(reply.header("retry-after").is_some());
        let reply = failing.get(&site.path("/analytics/{id}")).key(&key).send().await.expect(503);
        assert!(!reply.text().contains("parquet"), "our insides stay ours");
        failing.get("/readyz").send().await.expect(503);
        failing.get("/healthz").send().await.expect(200);
    }
}
