//! What pages tell beside their events: how fast they are, and their errors. From the request to the answers, and out of the files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::io::Write;

use actix_web::http::Method;
use common::{CHROME, TestApp, TestWebsite, disk};
use serde_json::{Value, json};
use zenovay_domain::{Plan, WebsiteSettings};

fn path(site: &TestWebsite<'_>, rest: &str) -> String {
    format!("/api/websites/{}{rest}", site.id())
}

fn ingest(site: &TestWebsite<'_>, kind: &str) -> String {
    format!("/api/track/{}/{kind}", site.code())
}

/// Body of a capture of the page `/p` with `more`.
fn body(site: &TestWebsite<'_>, more: Value) -> Value {
    let mut body = site.hit("/p", "session-0001");
    body["url"] = "https://shop.example/p?token=secret".into();
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn error(id: &str, message: &str, stack: &str) -> Value {
    json!({ "id": id, "type": "TypeError", "message": message, "stack": stack })
}

const STACK: &str = "TypeError: x\n    at total (https://shop.example/app-3f2a.js:1:20)";
/// The same line of the source in another build, as another engine tells it.
const STACK_OF_NEXT_BUILD: &str = "total@https://shop.example/app-9c1d.js:7:1";

async fn groups(app: &TestApp, site: &TestWebsite<'_>) -> Value {
    let key = site.key("read");
    app.get(&path(site, "/errors?range=24h")).key(&key).send().await.expect(200).data()
}

/// Sabotage: keep the values of each sending, or forget the switch.
#[actix_web::test]
async fn page_speed_is_measured_by_page_and_device_and_over_time() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let speeds = [("v1", 1_000.0), ("v2", 2_000.0), ("v3", 3_000.0), ("v4", 9_000.0), ("v4", 4_000.0)];
    for (view, lcp) in speeds {
        let speed = body(&site, json!({ "view_id": format!("view-00{view}"), "lcp": lcp, "cls": 0.05, "fcp": -1 }));
        let reply = app
            .post(&ingest(&site, "performance"))
            .header("origin", "https://shop.example")
            .header("user-agent", CHROME)
            .from("203.0.113.7")
            .json(&speed);
        let reply = reply.send().await.expect(200);
        assert_eq!((reply.header("x-zenovay-outcome"), reply.json()["success"] == true), (Some("stored"), true));
    }
    let key = site.key("read");
    let report = app.get(&path(&site, "/performance?range=24h")).key(&key).send().await.expect(200).data();
    assert_eq!(report["views"], 4);
    assert_eq!(report["metrics"]["lcp"]["p75"], 3_000.0);
    assert_eq!(report["metrics"]["lcp"]["rating"], "needs_improvement");
    assert_eq!(report["metrics"]["lcp"]["good"], 2);
    assert_eq!(report["metrics"]["fcp"], Value::Null);
    assert_eq!((&report["pages"][0]["value"], &report["pages"][0]["cls"]["p75"]), (&json!("/p"), &json!(0.05)));
    assert_eq!(report["devices"][0]["views"], 4);
    let series = report["series"].as_array().unwrap();
    assert_eq!(series.iter().map(|at| at["views"].as_u64().unwrap()).sum::<u64>(), 4);
    let filtered = |filter: &str| app.get(&path(&site, &format!("/performance?range=24h&f={filter}"))).key(&key).send();
    assert_eq!(filtered("page:is:/p").await.expect(200).data()["views"], 4);
    assert_eq!(filtered("page:is_not:/p").await.expect(200).data()["views"], 0);
    assert!(filtered("source:is:Google").await.expect(400).text().contains("source"));
}

/// Sabotage: put the line or the name of the bundle into the fingerprint.
#[actix_web::test]
async fn errors_are_in_groups_that_are_resolved_and_come_back() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let send = |errors: Value| {
        let body = body(&site, json!({ "errors": errors, "release": "2.14.0" }));
        app.post(&ingest(&site, "error"))
            .header("origin", "https://shop.example")
            .header("user-agent", CHROME)
            .from("203.0.113.7")
            .json(&body)
            .send()
    };
    send(json!([error("error-01", "plan 7 is gone", STACK), error("error-02", "other", STACK)])).await.expect(200);
    send(json!([error("error-03", "plan 9 is gone", STACK_OF_NEXT_BUILD)])).await.expect(200);
    let again = send(json!([error("error-03", "plan 9 is gone", STACK_OF_NEXT_BUILD)])).await.expect(200);
    assert_eq!(again.header("x-zenovay-outcome"), Some("duplicate"));

    let listed = groups(&app, &site).await;
    assert_eq!((&listed["total"], &listed["counts"]["unresolved"]), (&json!(2), &json!(2)));
    let group = listed["groups"].as_array().unwrap().iter().find(|g| g["message"] == "plan 7 is gone").unwrap();
    assert_eq!((&group["occurrences"], &group["visitors"]), (&json!(2), &json!(1)));
    assert_eq!(group["culprit"]["function"], "total");
    let id = group["id"].as_str().unwrap().to_owned();

    let key = site.key("read");
    let external =
        app.get(&site.path("/errors/{id}/groups?status=unresolved")).key(&key).send().await.expect(200).data();
    let external =
        external["error_groups"].as_array().unwrap().iter().find(|g| g["id"] == id.as_str()).unwrap().clone();
    assert_eq!((&external["occurrence_count"], &external["affected_users_count"]), (&json!(2), &json!(1)));
    assert_eq!((&external["type"], &external["status"]), (&json!("TypeError"), &json!("unresolved")));

    let detail = path(&site, &format!("/errors/{id}"));
    let told = app.get(&format!("{detail}?range=24h")).key(&key).send().await.expect(200).data();
    assert_eq!((told["stacks"].as_array().unwrap().len(), told["last"].as_array().unwrap().len()), (2, 2));
    assert_eq!(told["releases"][0], json!({ "value": "2.14.0", "occurrences": 2 }));
    assert!(!told.to_string().contains("secret"), "queries of addresses are not stored");

    let editor = site.key("read,write");
    let change =
        |status: &str| app.request(Method::PATCH, &detail).key(&editor).json(&json!({ "status": status })).send();
    assert_eq!(change("resolved").await.expect(200).data()["status"], "resolved");
    change("mended").await.expect(422);
    app.request(Method::PATCH, &detail).key(&key).json(&json!({ "status": "ignored" })).send().await.expect(403);
    app.clock.advance_ms(60_000);
    send(json!([error("error-04", "plan 1 is gone", STACK)])).await.expect(200);
    let told = app.get(&format!("{detail}?range=24h")).key(&key).send().await.expect(200).data();
    assert_eq!((&told["status"], &told["history"][0]["what"]), (&json!("unresolved"), &json!("came_back")));
    assert_eq!(told["history"][1]["what"], "resolved");

    let other = app.team(Plan::Pro).website("other.example");
    let theirs = other.key("read,write");
    let nested = path(&other, &format!("/errors/{id}"));
    app.get(&nested).key(&theirs).send().await.expect(404);
    app.request(Method::PATCH, &nested).key(&theirs).json(&json!({ "status": "ignored" })).send().await.expect(404);
    app.get(&path(&site, "/errors/eg_nothing")).key(&key).send().await.expect(404);
}

/// Sabotage: look at the plan, the settings or the privacy signals in one place less.
#[actix_web::test]
async fn what_is_switched_off_or_not_wanted_is_dropped_and_the_page_told_to_stop() {
    let app = TestApp::start().await;
    let off = WebsiteSettings::default().with(|settings| {
        settings.web_vitals = false;
        settings.errors = false;
    });
    let strict = WebsiteSettings::default().with(|settings| settings.opt_out_on_gpc = true);
    let off = app.team(Plan::Pro).website_with("shop.example", off);
    let strict = app.team(Plan::Pro).website_with("shop.example", strict);
    let free = app.team(Plan::Free).website("shop.example");
    let speed = json!({ "view_id": "view-0001", "lcp": 1 });
    let failed = json!({ "errors": [error("error-01", "x", STACK)] });
    for (site, kind, more, gpc, expected) in [
        (&off, "performance", &speed, "0", "kind_off"),
        (&off, "error", &failed, "0", "kind_off"),
        (&strict, "performance", &speed, "1", "gpc_opted_out"),
        (&strict, "error", &failed, "1", "gpc_opted_out"),
        (&strict, "error", &failed, "0", "stored"),
        (&free, "error", &failed, "0", "kind_off"),
        (&free, "performance", &speed, "0", "stored"),
    ] {
        let call = app
            .post(&ingest(site, kind))
            .header("origin", "https://shop.example")
            .header("user-agent", CHROME)
            .from("203.0.113.7")
            .header("sec-gpc", gpc);
        let reply = call.json(&body(site, more.clone())).send().await.expect(200);
        assert_eq!(reply.header("x-zenovay-outcome"), Some(expected), "{kind}");
        let accepted = (expected != "stored").then_some(false);
        assert_eq!(reply.json()["accepted"].as_bool(), accepted, "{kind} {expected}");
    }
    for (site, vitals, errors) in [(&off, false, false), (&strict, true, true), (&free, true, false)] {
        let told = app.get(&format!("/load/{}", site.code())).send().await.expect(200).data();
        assert_eq!((&told["web_vitals"], &told["errors"]), (&json!(vitals), &json!(errors)));
    }
}

#[actix_web::test]
async fn bodies_are_bounded_may_be_packed_and_are_refused_by_the_name_of_their_members() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let call = |kind: &str| {
        app.post(&ingest(&site, kind))
            .header("origin", "https://shop.example")
            .header("user-agent", CHROME)
            .from("203.0.113.7")
    };
    let speed = body(&site, json!({ "view_id": "view-0001", "lcp": 1 }));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(speed.to_string().as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let beacon = call("performance").header("content-type", "text/plain").body(packed.clone());
    assert_eq!(beacon.send().await.expect(200).header("x-zenovay-outcome"), Some("stored"));
    call("performance").body(packed[..packed.len() - 4].to_vec()).send().await.expect(400);
    call("performance").body(vec![b' '; 9_000]).send().await.expect(413);
    for (kind, more, member) in [
        ("performance", json!({ "lcp": 1 }), "view_id"),
        ("performance", json!({ "view_id": "view-0001" }), "lcp"),
        ("performance", json!({ "view_id": "view-0001", "lcp": 1, "session_id": "x" }), "session_id"),
        ("performance", json!({ "view_id": "view-0001", "lcp": 1, "url": "p" }), "url"),
        ("error", json!({}), "errors"),
        ("error", json!({ "errors": [{ "message": "x" }] }), "errors[0].id"),
    ] {
        let text = call(kind).json(&body(&site, more)).send().await.expect(400).text();
        assert!(text.contains(member), "{member}: {text}");
    }
    call("error").body("[1]").send().await.expect(400);
    // Half an emoji, as browsers write it, in one of two errors, and in the label of a click.
    let halved = |kind: &str, more: Value| {
        let text = body(&site, more).to_string().replace("HALF", "\\ud83d");
        call(kind).header("content-type", "text/plain").body(text.into_bytes())
    };
    let errors = json!({ "errors": [error("error-0001", "cut HALF!", STACK), error("error-0002", "plain other", "")] });
    halved("error", errors).send().await.expect(200);
    let click = json!({ "x": 1, "y": 1, "s": "main>button", "ox": 0.5, "oy": 0.5, "label": "Buy HALF!" });
    let heat =
        json!({ "view_id": "view-0001", "seq": 0, "viewport": [1200, 800], "page": [1200, 4000], "clicks": [click] });
    halved("heatmap", heat).send().await.expect(200);
    let told = groups(&app, &site).await.to_string();
    assert!(told.contains("cut \u{fffd}!") && told.contains("plain other"), "{told}");
    let unknown = app.post("/api/track/ZV_00000000000/error").json(&body(&site, json!({}))).send().await;
    unknown.expect(401);
    let foreign = app
        .post(&ingest(&site, "performance"))
        .header("origin", "https://evil.example")
        .header("user-agent", CHROME)
        .json(&speed);
    foreign.send().await.expect(403);
    let proxied = app
        .post(&format!("/api/_z{}", ingest(&site, "performance")))
        .header("origin", "https://shop.example")
        .header("user-agent", CHROME)
        .from("203.0.113.7");
    proxied.json(&speed).send().await.expect(200);
}

/// Sabotage: charge the bucket of events.
#[actix_web::test]
async fn captures_have_buckets_of_their_own() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let speed = body(&site, json!({ "view_id": "view-0001", "lcp": 1 }));
    let send = |kind: &str| {
        let call = app
            .post(&ingest(&site, kind))
            .header("origin", "https://shop.example")
            .header("user-agent", CHROME)
            .from("203.0.113.7");
        call.json(&speed).send()
    };
    for _ in 0..60 {
        send("performance").await.expect(200);
    }
    let refused = send("performance").await.expect(429);
    assert!(refused.header("retry-after").is_some());
    send("error").await.expect(400);
    app.clock.advance_ms(10_000);
    // The visit has a limit, too.
    for _ in 0..60 {
        send("performance").await.expect(200);
    }
    app.clock.advance_ms(10_000);
    send("performance").await.expect(429);
    let hit = app
        .post(&format!("/e/{}", site.code()))
        .header("origin", "https://shop.example")
        .header("user-agent", CHROME)
        .from("203.0.113.7");
    hit.json(&site.hit("/", "session-0001")).send().await.expect(200);
}

/// Sabotage: answer before the log is written.
#[actix_web::test]
async fn what_is_acknowledged_is_there_after_a_restart_and_in_the_next_answer() {
    let app = TestApp::start().await;
    let (id, code) = {
        let site = app.team(Plan::Pro).website("shop.example");
        let failed = body(&site, json!({ "errors": [error("error-01", "x is gone", STACK)] }));
        let call = app
            .post(&ingest(&site, "error"))
            .header("origin", "https://shop.example")
            .header("user-agent", CHROME)
            .from("203.0.113.7");
        call.json(&failed).send().await.expect(200);
        assert_eq!(groups(&app, &site).await["total"], 1);
        (site.id(), site.code().to_owned())
    };
    let app = app.restart().await;
    let found = app.state.captures.error_groups(id, None, 9).expect("groups");
    assert_eq!(found.iter().map(|group| group.occurrences).collect::<Vec<_>>(), [1], "{code}");
}

/// Sabotage: fetch the map, or let a reader send one.
#[actix_web::test]
async fn a_source_map_makes_stacks_readable() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let stack = "at t (https://shop.example/app-3f2a.js:1:1)";
    let failed = body(&site, json!({ "errors": [error("error-01", "x is gone", stack)], "release": "2.14.0" }));
    let call = app.post(&ingest(&site, "error")).header("origin", "https://shop.example").header("user-agent", CHROME);
    call.json(&failed).send().await.expect(200);
    let source = "export function total(cart) {\n  return cart.plan.price;\n}\n";
    let map = json!({ "version": 3, "sources": ["src/total.ts"], "sourcesContent": [source], "mappings": "AACA" });
    let path = format!("/api/errors/{}/sourcemap", site.id());
    let (editor, reader) = (site.key("read,write"), site.key("read"));
    let sent = |content: Value| {
        json!({ "fileName": "app-3f2a.js", "fileUrl": "https://shop.example/app-3f2a.js", "release": "2.14.0",
            "mapContent": content })
    };
    app.post(&path).key(&reader).json(&sent(map.clone())).send().await.expect(403);
    for content in [map.clone(), map.to_string().into()] {
        let kept = app.post(&path).bearer(&editor).json(&sent(content)).send().await.expect(200).data();
        assert_eq!(kept["stacks"], 1);
    }
    let listed = groups(&app, &site).await;
    assert_eq!(listed["groups"][0]["culprit"]["function"], "total");
    assert_eq!((&listed["groups"][0]["culprit"]["line"], &listed["total"]), (&json!(2), &json!(1)));
    let id = listed["groups"][0]["id"].as_str().unwrap();
    let detail = self::path(&site, &format!("/errors/{id}?range=24h"));
    let told = app.get(&detail).key(&reader).send().await.expect(200).data();
    let lines = ["export function total(cart) {", "  return cart.plan.price;", "}"];
    assert_eq!(told["stacks"][0]["frames"][0]["context"], json!({ "first": 1, "lines": lines }));
    app.post(&path).key(&editor).json(&sent(json!({ "version": 3 }))).send().await.expect(422);
    let fetched =
        json!({ "fileName": "a.js", "fileUrl": "https://shop.example/a.js", "mapUrl": "https://x.example/a.map" });
    let refused = app.post(&path).key(&editor).json(&fetched).send().await.expect(422).text();
    assert!(refused.contains("not fetched"), "{refused}");

    let maps = format!("{path}s");
    let listed = app.get(&maps).key(&reader).send().await.expect(200).data();
    let [kept] = &listed["source_maps"].as_array().unwrap()[..] else { panic!("{listed}") };
    assert_eq!((&kept["file_name"], &kept["release"]), (&json!("app-3f2a.js"), &json!("2.14.0")));
    assert_eq!((&kept["file_url"], &kept["debug_id"]), (&json!("https://shop.example/app-3f2a.js"), &json!("")));
    assert_eq!(kept["bytes"], map.to_string().len());
    let kept = format!("{maps}/{}", kept["id"]);
    app.request(Method::DELETE, &kept).key(&reader).send().await.expect(403);
    let other = app.team(Plan::Pro).website("other.example");
    let theirs = kept.replace(&site.id().to_string(), &other.id().to_string());
    app.request(Method::DELETE, &theirs).key(&other.key("read,write")).send().await.expect(404);
    app.request(Method::DELETE, &kept).key(&editor).send().await.expect(204);
    app.request(Method::DELETE, &kept).key(&editor).send().await.expect(404);
    assert_eq!(app.get(&maps).key(&reader).send().await.expect(200).data(), json!({ "source_maps": [] }));
    // What was read with it stays; its text is gone.
    let told = app.get(&detail).key(&reader).send().await.expect(200).data();
    let frame = &told["stacks"][0]["frames"][0];
    assert_eq!((&frame["function"], &frame["context"]), (&json!("total"), &Value::Null));
}

/// Sabotage: search in one case, or turn an order round.
#[actix_web::test]
async fn groups_are_searched_and_sorted() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let place = |name: &str| format!("at {name} (https://shop.example/{name}.js:1:1)");
    let sent = [
        ("one", "1.0.0", vec![error("error-01", "Alpha fails", &place("pay"))]),
        (
            "two",
            "1.1.0",
            vec![error("error-02", "beta fails", &place("load")), error("error-03", "beta fails", &place("load"))],
        ),
        ("three", "1.2.0", vec![error("error-04", "Alpha fails", &place("pay"))]),
    ];
    for (session, release, errors) in sent {
        app.clock.advance_ms(60_000);
        let mut body = body(&site, json!({ "errors": errors, "release": release }));
        body["session_id"] = format!("session-{session}").into();
        let call = app.post(&ingest(&site, "error")).header("origin", "https://shop.example");
        let call =
            call.header("user-agent", CHROME).from(if session == "three" { "203.0.113.9" } else { "203.0.113.7" });
        call.json(&body).send().await.expect(200);
    }
    let key = site.key("read");
    let found = async |query: &str| {
        let path = path(&site, &format!("/errors?range=24h&{query}"));
        let listed = app.get(&path).key(&key).send().await.expect(200).data();
        let groups = listed["groups"].as_array().unwrap();
        assert_eq!(listed["total"], groups.len());
        groups.iter().map(|group| group["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("").await, ["Alpha fails", "beta fails"]);
    assert_eq!(found("sort=-last_seen").await, ["beta fails", "Alpha fails"]);
    assert_eq!(found("sort=first_seen").await, ["beta fails", "Alpha fails"]);
    assert_eq!(found("sort=-first_seen").await, ["Alpha fails", "beta fails"]);
    assert_eq!(found("sort=visitors").await, ["Alpha fails", "beta fails"]);
    assert_eq!(found("sort=-occurrences").await, found("sort=occurrences").await.into_iter().rev().collect::<Vec<_>>());
    for query in ["q=ALPHA", "q=pay.js", "q=typeerror:%20alpha", "q=Pay"] {
        assert_eq!(found(query).await, ["Alpha fails"], "{query}");
    }
    assert_eq!(found("q=nothing").await, Vec::<String>::new());
    let refused = app.get(&path(&site, "/errors?sort=message")).key(&key).send().await.expect(400).text();
    assert!(refused.contains("sort"), "{refused}");
    let listed = groups(&app, &site).await;
    assert_eq!(listed["groups"][0]["release"], "1.2.0");
}

/// Sabotage: forget a keeper, or let the log hand over again what was erased.
#[actix_web::test]
async fn an_erased_visitor_has_no_captures_left_and_gets_none_back_from_the_log() {
    let app = TestApp::start().await;
    let (id, visitor) = {
        let site = app.team(Plan::Pro).website("shop.example");
        let failed = body(&site, json!({ "errors": [error("error-01", "canary is gone", STACK)] }));
        let speed = body(&site, json!({ "view_id": "view-0001", "lcp": 1 }));
        for (kind, body) in [("error", failed), ("performance", speed)] {
            let call = app.post(&ingest(&site, kind)).header("origin", "https://shop.example");
            call.header("user-agent", CHROME).from("203.0.113.7").json(&body).send().await.expect(200);
        }
        let listed = groups(&app, &site).await;
        let detail = path(&site, &format!("/errors/{}?range=24h", listed["groups"][0]["id"].as_str().unwrap()));
        let told = app.get(&detail).key(&site.key("read")).send().await.expect(200).data();
        let visitor = told["last"][0]["visitor"].as_str().unwrap().to_owned();
        let admin = site.key("full_access");
        let one = path(&site, &format!("/visitors/{visitor}"));
        let export = format!("/api/external/v1/websites/{}/visitors/{visitor}/export", site.id());
        let exported = app.get(&export).key(&admin).send().await.expect(200).data();
        assert_eq!(exported["errors"][0]["message"], "canary is gone");
        assert_eq!(exported["page_speed"][0]["lcp"], 1.0);
        app.request(Method::DELETE, &one).key(&admin).send().await.expect(204);
        let exported = app.get(&export).key(&admin).send().await.expect(200).data();
        assert_eq!((&exported["errors"], &exported["page_speed"]), (&json!([]), &json!([])));
        assert_eq!(disk::file_with(app.directory.path(), b"canary"), None);
        (site.id(), visitor)
    };
    let app = app.restart().await;
    assert_eq!(app.state.captures.error_groups(id, None, 9).expect("groups"), [], "{visitor}");
}

#[actix_web::test]
async fn groups_are_merged_and_split_by_those_who_may() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Pro).website("shop.example");
    let failed = body(&site, json!({ "errors": [error("error-01", "one", STACK), error("error-02", "two", STACK)] }));
    let call = app.post(&ingest(&site, "error")).header("origin", "https://shop.example").header("user-agent", CHROME);
    call.json(&failed).send().await.expect(200);
    let listed = groups(&app, &site).await;
    let ids: Vec<&str> = listed["groups"].as_array().unwrap().iter().map(|g| g["id"].as_str().unwrap()).collect();
    let (editor, reader) = (site.key("read,write"), site.key("read"));
    let merge = path(&site, &format!("/errors/{}/merge", ids[0]));
    let body = json!({ "groups": [ids[1]] });
    app.post(&merge).key(&reader).json(&body).send().await.expect(403);
    app.post(&merge).key(&editor).json(&json!({ "groups": ["eg_x"] })).send().await.expect(422);
    app.post(&merge).key(&editor).json(&body).send().await.expect(200);
    assert_eq!(groups(&app, &site).await["total"], 1);
    let detail = path(&site, &format!("/errors/{}?range=24h", ids[0]));
    let told = app.get(&detail).key(&reader).send().await.expect(200).data();
    let stacks: Vec<i64> = told["stacks"].as_array().unwrap().iter().map(|s| s["id"].as_i64().unwrap()).collect();
    let split = path(&site, &format!("/errors/{}/split", ids[0]));
    app.post(&split).key(&editor).json(&json!({ "stacks": [] })).send().await.expect(422);
    app.post(&split).key(&editor).json(&json!({ "stacks": stacks })).send().await.expect(404);
    let made = app.post(&split).key(&editor).json(&json!({ "stacks": [stacks[0]] })).send().await.expect(200).data();
    assert_ne!(made["id"], ids[0]);
    assert_eq!(groups(&app, &site).await["total"], 2);
}
