//! Heatmaps from the request of a page to what people and programs are told, and out of the files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use actix_web::http::Method;
use common::{CHROME, TestApp, TestWebsite, disk};
use serde_json::{Value, json};
use zenovay_capture::{DeviceClass, HeatFilter, HeatmapQuery};
use zenovay_domain::{Clock, Plan, WebsiteSettings};

fn with_heatmaps() -> WebsiteSettings {
    WebsiteSettings::default().with(|settings| settings.heatmaps = true)
}

fn path(site: &TestWebsite<'_>, rest: &str) -> String {
    format!("/api/websites/{}{rest}", site.id())
}

fn click(address: &str, at: [f64; 2]) -> Value {
    json!({ "at": 1_781_352_000_000_i64, "x": 720, "y": 1800, "s": address, "ox": at[0], "oy": at[1],
        "label": "Start free" })
}

/// The body of the page `/pricing` with `more`.
fn body(site: &TestWebsite<'_>, view: &str, seq: u32, more: Value) -> Value {
    let mut body = site.hit("/pricing", "session-0001");
    let own = json!({ "view_id": view, "seq": seq, "viewport": [1440, 900], "page": [1440, 3600],
        "dom": "9f2c41d07ab3e580", "url": "https://shop.example/pricing?token=secret", "scroll": { "max": 1800, "attention": [1500, 500] } });
    for extra in [own, more] {
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    }
    body
}

async fn send(app: &TestApp, site: &TestWebsite<'_>, body: &Value) -> common::Reply {
    let call = app.post(&format!("/api/track/{}/heatmap", site.code())).header("origin", "https://shop.example");
    call.header("user-agent", CHROME).from("203.0.113.7").json(body).send().await
}

/// Sabotage: store each sending, or leave a filter out.
#[actix_web::test]
async fn clicks_and_scrolling_of_a_page_are_added_up() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website_with("shop.example", with_heatmaps());
    let clicks =
        json!({ "clicks": [click("main>button", [0.5, 0.5]), click("main>a", [0.0, 1.0])], "moves": [[10, 10]] });
    let first = body(&site, "view-0001", 0, clicks);
    for expected in ["stored", "duplicate"] {
        let reply = send(&app, &site, &first).await.expect(200);
        assert_eq!((reply.header("x-zenovay-outcome"), reply.json()["success"] == true), (Some(expected), true));
    }
    let mut rage = click("main>button", [0.5, 0.5]);
    (rage["n"], rage["rage"], rage["dead"]) = (json!(4), json!(true), json!(true));
    let more = json!({ "clicks": [rage], "scroll": { "max": 3600, "attention": [0, 250] } });
    send(&app, &site, &body(&site, "view-0001", 1, more)).await.expect(200);
    send(&app, &site, &body(&site, "view-0002", 0, json!({ "viewport": [390, 844], "page": [390, 8000] })))
        .await
        .expect(200);

    let key = site.key("read");
    let listed = app.get(&path(&site, "/heatmaps?range=24h")).key(&key).send().await.expect(200).data();
    assert_eq!((&listed["enabled"], &listed["pages_total"]), (&json!(true), &json!(1)));
    let page = &listed["pages"][0];
    assert_eq!((&page["path"], &page["clicks"], &page["views"]), (&json!("/pricing"), &json!(6), &json!(2)));
    assert_eq!((&page["rage_clicks"], &page["dead_clicks"]), (&json!(4), &json!(4)));
    assert_eq!(page["devices"], json!({ "desktop": 1, "tablet": 0, "phone": 1 }));
    let list = |query: &str| app.get(&path(&site, &format!("/heatmaps?range=24h&{query}"))).key(&key).send();
    assert_eq!(list("q=PRICE").await.expect(200).data()["pages_total"], 0);
    list("sort=path").await.expect(400);
    assert_eq!(list("device=phone").await.expect(200).data()["pages"][0]["clicks"], 0);
    assert_eq!(list("offset=1").await.expect(200).data()["pages"], json!([]));
    list("device=watch").await.expect(400);

    let ask = |query: &str| app.get(&path(&site, &format!("/heatmaps/page?range=24h&{query}"))).key(&key).send();
    let heat = ask("page=/pricing").await.expect(200).data();
    assert_eq!((&heat["clicks"], &heat["views"], &heat["visitors"]), (&json!(6), &json!(1), &json!(1)));
    assert_eq!(
        (&heat["average_depth"], &heat["median_depth"], &heat["fold"]),
        (&json!(1.0), &json!(1.0), &json!(0.25))
    );
    assert_eq!((&heat["viewport"], &heat["page_size"]), (&json!([1440, 900]), &json!([1440, 3600])));
    let element = &heat["elements"][0];
    assert_eq!((&element["address"], &element["label"]), (&json!("main>button"), &json!("Start free")));
    assert_eq!((&element["clicks"], &element["cells"]), (&json!(5), &json!([[16, 16, 5]])));
    assert_eq!((&heat["elements_total"], &heat["other_clicks"]), (&json!(2), &json!(0)));
    assert_eq!(heat["spots"], json!({ "columns": 64, "rows": 256, "cells": [[32, 128, 6]] }));
    assert_eq!(heat["moves"]["cells"], json!([[0, 0, 1]]));
    assert_eq!((&heat["attention"][0], &heat["attention"][1]), (&json!(1500), &json!(800)));
    assert_eq!((heat["reach"].as_array().unwrap().len(), &heat["reach"][20]), (21, &json!(1)));
    assert_eq!(heat["versions"][0]["dom"], "9f2c41d07ab3e580");
    assert!(!heat.to_string().contains("secret"), "queries of addresses are not stored");
    assert_eq!(ask("page=/pricing&limit=1").await.expect(200).data()["elements"].as_array().unwrap().len(), 1);
    assert_eq!(ask("page=/pricing&f=browser:is:Chrome").await.expect(200).data()["clicks"], 6);
    assert_eq!(ask("page=/pricing&f=browser:is_not:Chrome").await.expect(200).data()["clicks"], 0);
    // What page views do not have chooses their visitors.
    site.send(&site.hit("/pricing?utm_source=news", "session-0001")).from("203.0.113.7").send().await.expect(200);
    assert_eq!(ask("page=/pricing&f=utm_source:is:news").await.expect(200).data()["clicks"], 6);
    assert_eq!(ask("page=/pricing&f=utm_source:is:news&f=browser:is_not:Chrome").await.expect(200).data()["clicks"], 0);
    assert_eq!(ask("page=/pricing&f=utm_source:is:other").await.expect(200).data()["clicks"], 0);
    assert_eq!(list("f=utm_source:is:other").await.expect(200).data()["pages_total"], 0);
    assert_eq!(ask("page=/pricing&device=phone").await.expect(200).data()["views"], 1);
    let nothing = ask("page=/other").await.expect(200).data();
    assert_eq!((&nothing["views"], &nothing["last_at"], &nothing["fold"]), (&json!(0), &json!(null), &json!(null)));
    ask("page=").await.expect(400);
    let csv = list("format=csv").await.expect(200).text();
    assert!(csv.contains("path,clicks") && csv.contains("/pricing,6,4,4,2,"), "{csv}");
    let rows = ask("page=/pricing&format=json").await.expect(200).json();
    assert_eq!(rows.as_array().unwrap()[1]["address"], "main>a");
    let csv = ask("page=/pricing&format=csv").await.expect(200).text();
    assert!(csv.contains("address,label,clicks") && csv.contains("main>button,Start free,5,4,4,"), "{csv}");

    let external = app.get(&site.path("/heatmaps/{id}/pages")).key(&key).send().await.expect(200).data();
    let page = &external["pages"][0];
    assert_eq!((&page["url"], &page["total_interactions"]), (&json!("/pricing"), &json!(7)));
    assert!(page["last_updated"].as_str().unwrap().ends_with('Z'), "{page}");

    let other = app.team(Plan::Pro).website_with("other.example", with_heatmaps());
    let theirs = other.key("read");
    app.get(&path(&site, "/heatmaps/page?page=/pricing")).key(&theirs).send().await.expect(403);
    assert_eq!(app.get(&path(&other, "/heatmaps")).key(&theirs).send().await.expect(200).data()["pages_total"], 0);
}

/// Sabotage: look at the plan, the settings or the privacy signals in one place less.
#[actix_web::test]
async fn nothing_is_taken_that_is_switched_off_or_objected_to() {
    let app = TestApp::start().await;
    let off = app.team(Plan::Pro).website("shop.example");
    let on = app.team(Plan::Pro).website_with("shop.example", with_heatmaps());
    let paused =
        app.team(Plan::Pro).website_with("shop.example", with_heatmaps().with(|settings| settings.is_active = false));
    let free = app.team(Plan::Free).website_with("shop.example", with_heatmaps());
    for (site, header, opted_out, expected) in [
        (&off, "x-nothing", false, "kind_off"),
        (&on, "sec-gpc", false, "gpc_opted_out"),
        (&on, "dnt", false, "gpc_opted_out"),
        (&on, "x-nothing", true, "gpc_opted_out"),
        (&on, "x-nothing", false, "stored"),
        (&paused, "x-nothing", false, "paused"),
        (&free, "x-nothing", false, "kind_off"),
    ] {
        let body = body(site, "view-0001", 0, json!({ "opted_out": opted_out }));
        let call = app.post(&format!("/api/track/{}/heatmap", site.code())).header("origin", "https://shop.example");
        let call = call.header("user-agent", CHROME).from("203.0.113.7").header(header, "1");
        let reply = call.json(&body).send().await.expect(200);
        assert_eq!(reply.header("x-zenovay-outcome"), Some(expected), "{header} {opted_out}");
        assert_eq!(reply.json()["accepted"].as_bool(), (expected != "stored").then_some(false));
    }
    for (site, expected) in [(&off, false), (&on, true), (&paused, false), (&free, false)] {
        let told = app.get(&format!("/load/{}", site.code())).send().await.expect(200).data();
        assert_eq!(told["heatmaps"], expected);
    }
    let editor = off.key("read,write");
    let change = json!({ "settings": { "heatmaps": true } });
    app.request(Method::PATCH, &path(&off, "")).key(&editor).json(&change).send().await.expect(200);
    assert_eq!(app.get(&format!("/load/{}", off.code())).send().await.expect(200).data()["heatmaps"], true);
}

#[actix_web::test]
async fn bodies_are_bounded_and_have_buckets_of_their_own() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website_with("shop.example", with_heatmaps());
    for (more, member) in [
        (json!({ "view_id": "x" }), "view_id"),
        (json!({ "seq": null }), "seq"),
        (json!({ "viewport": [1] }), "viewport"),
        (json!({ "clicks": [{ "x": 1 }] }), "clicks[0].y"),
        (json!({ "clicks": vec![1; 501] }), "clicks"),
        (json!({ "moves": [[0]] }), "moves[0]"),
    ] {
        let text = send(&app, &site, &body(&site, "view-0001", 0, more)).await.expect(400).text();
        assert!(text.contains(member), "{member}: {text}");
    }
    let large = json!({ "clicks": [click(&"x".repeat(300_000), [0.0, 0.0])] });
    send(&app, &site, &body(&site, "view-0001", 0, large)).await.expect(413);
    app.clock.advance_ms(10_000);
    for seq in 0..60 {
        send(&app, &site, &body(&site, "view-0001", seq, json!({}))).await.expect(200);
    }
    let refused = send(&app, &site, &body(&site, "view-0001", 60, json!({}))).await.expect(429);
    assert!(refused.header("retry-after").is_some());
    let seqs: Vec<u32> = (60..400).collect();
    for part in seqs.chunks(60) {
        app.clock.advance_ms(10_000);
        for seq in part {
            send(&app, &site, &body(&site, "view-0001", *seq, json!({}))).await.expect(200);
        }
    }
    app.clock.advance_ms(10_000);
    send(&app, &site, &body(&site, "view-0001", 400, json!({}))).await.expect(429);
}

#[actix_web::test]
async fn nothing_runs_in_the_frame_of_a_recorded_page() {
    let app = TestApp::start().await;
    let frame = app.get("/frame").send().await.expect(200);
    let policy = frame.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "sandbox allow-same-origin;", "frame-ancestors 'self'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("script"), "{policy}");
    assert!(frame.text().starts_with("<!doctype html>") && frame.text().contains("<body></body>"));
}

/// Sabotage: take another page, or a window of another class.
#[actix_web::test]
async fn a_page_is_drawn_as_a_replay_recorded_it_last() {
    let app = TestApp::start().await;
    let settings = with_heatmaps().with(|settings| {
        settings.cookieless = false;
        settings.session_replay = true;
        settings.session_replay_consent = false;
    });
    let site = app.team(Plan::Pro).website_with("shop.example", settings);
    let key = site.key("read");
    let ask = |query: &str| app.get(&path(&site, &format!("/heatmaps/snapshot?{query}"))).key(&key).send();
    // That a page was not recorded is no failure: browsers would tell people of one.
    assert_eq!(ask("page=/pricing").await.expect(200).data(), json!({ "snapshot": null }));
    ask("page=").await.expect(400);
    let now = app.clock.now().as_millis();
    let (text, field) = (
        json!({ "type": 3, "textContent": "hello", "id": 3 }),
        json!({ "type": 2, "tagName": "input", "attributes": { "type": "password", "value": "canary4711" },
            "childNodes": [], "id": 4 }),
    );
    let shown = json!({ "type": 2, "tagName": "body", "attributes": {}, "childNodes": [text, field], "id": 2 });
    let node = json!({ "type": 0, "childNodes": [shown], "id": 1 });
    let events = json!([
        { "type": 4, "timestamp": now - 900, "data": { "href": "https://shop.example/pricing", "width": 1280, "height": 720 } },
        { "type": 2, "timestamp": now - 890, "data": { "node": node, "initialOffset": { "top": 0, "left": 0 } } },
        { "type": 5, "timestamp": now - 880, "data": { "tag": "zenovay.page", "payload": { "url": "/pricing" } } },
    ]);
    let mut chunk = site.hit("/pricing", "session-0001");
    let more = json!({ "replay_id": "00112233445566778899aabbccddeeff", "seq": 0, "sent_at": now, "events": events });
    chunk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let call = app.post(&format!("/api/track/{}/replay", site.code())).header("origin", "https://shop.example");
    call.header("user-agent", CHROME).from("203.0.113.7").json(&chunk).send().await.expect(200);

    let page = ask("page=/pricing").await.expect(200).data()["snapshot"].take();
    assert_eq!((&page["viewport"], &page["node"]["type"]), (&json!([1280, 720]), &json!(0)));
    assert!(page["node"].to_string().contains("hello") && !page["node"].to_string().contains("canary4711"));
    assert!(page["recorded_at"].as_str().unwrap().ends_with('Z'));
    for other in ["page=/pricing&device=phone", "page=/other"] {
        assert_eq!(ask(other).await.expect(200).data(), json!({ "snapshot": null }), "{other}");
    }
    let theirs = app.team(Plan::Pro).website("other.example").key("read");
    app.get(&path(&site, "/heatmaps/snapshot?page=/pricing")).key(&theirs).send().await.expect(403);
    app.get(&path(&site, "/heatmaps/snapshot?page=/pricing")).send().await.expect(401);
}

/// Sabotage: answer before the log is written, or let the log hand over again what was erased.
#[actix_web::test]
async fn what_is_acknowledged_survives_a_restart_and_what_is_erased_does_not() {
    let app = TestApp::start().await;
    let (id, visitor, key) = {
        let site = app.team(Plan::Pro).website_with("shop.example", with_heatmaps());
        let clicks = json!({ "clicks": [click("#canary4711", [0.5, 0.5])] });
        let hit = app.post(&format!("/e/{}", site.code())).header("origin", "https://shop.example");
        hit.header("user-agent", CHROME).from("203.0.113.7").json(&site.hit("/pricing", "session-0001")).send().await;
        send(&app, &site, &body(&site, "view-0001", 0, clicks)).await.expect(200);
        let key = site.key("full_access");
        let visitors = app.get(&path(&site, "/visitors?range=24h")).key(&key).send().await.expect(200).data();
        (site.id(), visitors["visitors"][0]["id"].as_str().unwrap_or_else(|| panic!("{visitors}")).to_owned(), key)
    };
    let query =
        HeatmapQuery { filter: HeatFilter::ALL, path: "/pricing", class: DeviceClass::Desktop, elements: 9, spots: 9 };
    let app = app.restart().await;
    assert_eq!(app.state.captures.heatmap(id, &query).unwrap().clicks, 1);
    let export = format!("/api/external/v1/websites/{id}/visitors/{visitor}/export");
    let exported = app.get(&export).key(&key).send().await.expect(200).data();
    let view = &exported["heatmaps"][0];
    assert_eq!((&view["page"], &view["depth_percent"]), (&json!("/pricing"), &json!(50.0)));
    assert_eq!(view["clicks"], json!([{ "element": "#canary4711", "label": "Start free", "count": 1 }]));
    app.request(Method::DELETE, &format!("/api/websites/{id}/visitors/{visitor}")).key(&key).send().await.expect(204);
    assert_eq!(app.get(&export).key(&key).send().await.expect(200).data()["heatmaps"], json!([]));
    assert_eq!(disk::file_with(app.directory.path(), b"canary4711"), None);
    let app = app.restart().await;
    assert_eq!(app.state.captures.heatmap(id, &query).unwrap().clicks, 0);
}

/// Sabotage: sort what is on the first page of an answer alone.
#[actix_web::test]
async fn pages_with_a_heatmap_come_in_the_order_that_is_asked_for() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website_with("shop.example", with_heatmaps());
    for (number, path, clicks) in [(1, "/a", 1), (2, "/b", 3), (3, "/c", 2)] {
        let clicks = vec![click("main>button", [0.5, 0.5]); clicks];
        let page = json!({ "url": format!("https://shop.example{path}"), "clicks": clicks });
        send(&app, &site, &body(&site, &format!("view-000{number}"), 0, page)).await.expect(200);
        app.clock.advance_ms(1_000);
    }
    let key = site.key("read");
    let ask = async |path: String, list: &str, name: &str| {
        let found = app.get(&path).key(&key).send().await.expect(200).data();
        let pages = found[list].as_array().unwrap().iter().map(|page| page[name].as_str().unwrap().to_owned());
        pages.collect::<Vec<_>>().join("")
    };
    for (sort, expected) in
        [("", "/b/c/a"), ("&sort=-clicks", "/a/c/b"), ("&sort=last_at", "/c/b/a"), ("&sort=-last_at", "/a/b/c")]
    {
        let of = |limit: usize| path(&site, &format!("/heatmaps?range=24h&limit={limit}{sort}"));
        assert_eq!(ask(of(9), "pages", "path").await, expected, "{sort}");
        assert_eq!(ask(of(1), "pages", "path").await, expected[..2], "{sort}");
    }
    for (sort, expected) in [("", "/b/c/a"), ("&sort=-total_interactions", "/a/c/b"), ("&sort=last_updated", "/c/b/a")]
    {
        let of = |limit: usize| site.path(&format!("/heatmaps/{{id}}/pages?limit={limit}{sort}"));
        assert_eq!(ask(of(9), "pages", "url").await, expected, "{sort}");
        assert_eq!(ask(of(1), "pages", "url").await, expected[..2], "{sort}");
    }
    app.get(&site.path("/heatmaps/{id}/pages?sort=url")).key(&key).send().await.expect(400);
}
