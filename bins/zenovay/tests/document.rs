//! The API document: it tells of every route and of nothing else, what it tells holds, and it does not change unnoticed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::collections::BTreeSet;

use actix_web::http::Method;
use common::{TestApp, TestKey, TestWebsite};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zenovay::http::{document, routes};
use zenovay_domain::Plan;

/// How the committed document and the changelog are brought up to date.
const UPDATE: &str = "run: just api-document \"what changed\"";

fn whole() -> &'static Value {
    document::document().expect("a complete document")
}

/// Method and path of every operation, at every base that its path has.
fn documented() -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    for (path, item) in whole()["paths"].as_object().unwrap() {
        let bases = item["servers"].as_array().map_or(vec![""], |servers| {
            servers.iter().map(|server| server["url"].as_str().unwrap().trim_end_matches('/')).collect()
        });
        for method in item.as_object().unwrap().keys().filter(|key| *key != "servers") {
            all.extend(bases.iter().map(|base| (method.to_ascii_uppercase(), format!("{base}{path}"))));
        }
    }
    all
}

/// Sabotage: leave a route out when the document is put together.
#[test]
fn the_document_has_every_route_and_nothing_else() {
    let routes = routes::all().filter(|route| !route.is_closed());
    let routes: BTreeSet<_> = routes.map(|route| (route.method.as_str().to_owned(), route.path.to_owned())).collect();
    assert_eq!(documented(), routes);
}

/// The application itself is asked, not its table.
#[actix_web::test]
async fn what_is_documented_answers_and_other_methods_are_405() {
    let app = TestApp::start().await;
    for (path, methods) in
        documented().into_iter().fold(std::collections::BTreeMap::new(), |mut paths, (method, path)| {
            paths.entry(path).or_insert_with(BTreeSet::new).insert(method);
            paths
        })
    {
        let path = path.replace("{website_id}", "0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b").replace("{code}", "ZV_none");
        let path = path.replace("{part}", "2026-06-13.0.parquet");
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"] {
            let reply = app.request(Method::from_bytes(method.as_bytes()).unwrap(), &path).send().await;
            let asked = if method == "HEAD" { "GET" } else { method };
            if methods.contains(asked) {
                assert_ne!(reply.status, 405, "{method} {path}");
                continue;
            }
            // A closed method refuses those whom it knows, and asks others who they are.
            if routes::all().any(|route| route.is_closed() && route.path == path && route.method.as_str() == asked) {
                assert_eq!(reply.status, 401, "{method} {path}");
                continue;
            }
            assert_eq!(reply.status, 405, "{method} {path}");
            let allowed: BTreeSet<String> = reply.header("allow").unwrap().split(", ").map(str::to_owned).collect();
            assert!(methods.is_subset(&allowed) && allowed.contains("OPTIONS") && !allowed.contains(method), "{path}");
        }
    }
}

#[test]
fn the_committed_document_is_this_one_and_the_changelog_tells_of_it() {
    let text = document::text().expect("a complete document");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    let committed = std::fs::read_to_string(format!("{root}api/openapi.json")).unwrap_or_default();
    assert!(committed == text, "the API document changed: {UPDATE}");
    let changelog = std::fs::read_to_string(format!("{root}CHANGELOG.md")).unwrap();
    let mark: String = Sha256::digest(&text)[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let newest = changelog.lines().find_map(|line| line.strip_prefix("- **API** `")).expect("an entry");
    let (marked, words) = newest.split_once('`').expect("a mark");
    assert_eq!(marked, mark, "CHANGELOG.md does not tell of this document: {UPDATE}");
    assert!(words.split_whitespace().count() >= 3, "the newest entry says nothing");
}

#[actix_web::test]
async fn the_document_is_public_and_caches_may_keep_it() {
    let app = TestApp::start().await;
    let path = "/api/external/v1/openapi.json";
    let reply = app.get(path).send().await.expect(200);
    assert_eq!(reply.text(), document::text().unwrap());
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("public, max-age=300, must-revalidate"));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let etag = reply.header("etag").unwrap().to_owned();
    app.get(path).header("if-none-match", &etag).send().await.expect(304);
    let other = app.get(path).header("host", "evil.example").header("x-forwarded-host", "evil.example").send().await;
    assert_eq!(other.text(), reply.text(), "nothing of a request is in it");
}

/// Everything a page loads or leads to, by the quotes of its attributes.
fn targets(page: &str) -> Vec<&str> {
    ["href=\"", "src=\"", "action=\""]
        .iter()
        .flat_map(|name| page.split(name).skip(1).filter_map(|rest| rest.split('"').next()))
        .collect()
}

#[actix_web::test]
async fn the_pages_load_nothing_from_elsewhere_and_need_no_script() {
    let app = TestApp::start().await;
    for path in ["/docs/api", "/docs/changelog"] {
        let reply = app.get(path).send().await.expect(200);
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        let page = reply.text();
        assert!(!page.contains("operationId"), "what is for programs alone");
        for part in ["<script", "<style", " style=", "<img", "<iframe", "javascript:", " onclick"] {
            assert!(!page.contains(part), "{path}: {part}");
        }
        for target in targets(&page) {
            let is_own = target.starts_with('/') && !target.starts_with("//") || target.starts_with('#');
            assert!(is_own || target.starts_with("https://"), "{path}: {target}");
        }
        let sheet = page.split("<link rel=\"stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
        let style = app.get(sheet).send().await.expect(200);
        assert_eq!(style.header("content-type"), Some("text/css; charset=utf-8"));
        assert!(!style.text().contains("url(") && !style.text().contains("@import"));
    }
    let page = app.get("/docs/api").send().await.expect(200).text();
    for item in whole()["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values().filter_map(|operation| operation["operationId"].as_str()) {
            assert!(page.contains(&format!("id=\"{operation}\"")), "{operation} is not shown");
        }
    }
    let changes = app.get("/docs/changelog").send().await.expect(200).text();
    assert!(changes.contains("<h1>Changes</h1>"));
}

async fn status(app: &TestApp, key: &TestKey, path: &str) -> u16 {
    // A minute for each, so that the limit of the key is never met.
    app.clock.advance_ms(60_000);
    app.get(path).key(key).send().await.status
}

/// Sabotage: tell another minimum, or another list of names, than the one that is read by.
#[actix_web::test]
async fn the_bounds_of_parameters_are_those_that_hold() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let (reader, all) = (site.key("read"), site.key("full_access"));
    let mut checked = 0;
    for (path, item) in whole()["paths"].as_object().unwrap() {
        let get = &item["get"];
        if get["security"].as_array().is_none_or(Vec::is_empty) {
            continue;
        }
        // What is not there, and a stream that does not end.
        if ["{part}", "{funnel_id}", "{group_id}", "{replay_id}", "{visitor}", "/snapshot"]
            .iter()
            .any(|name| path.contains(name))
        {
            continue;
        }
        let key = if get["security"].to_string().contains("admin") { &all } else { &reader };
        // What a question must name besides.
        let page = match path.ends_with("/heatmaps/page") {
            true if path.contains("/stats/") => "&path=/pricing",
            true => "&page=/pricing",
            false => "",
        };
        let needed = format!("site_id={}&property=event:page&dimension=page{page}", site.id());
        let path = path.replace("{website_id}", &site.id().to_string());
        let path = format!("{}?{needed}", path.replace("{team_id}", &site.team.id.to_string()));
        for parameter in get["parameters"].as_array().unwrap().iter().filter(|parameter| parameter["in"] == "query") {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            let (mut good, mut bad) = (Vec::new(), vec![]);
            if schema["type"] == "integer" {
                let (min, max) = (schema["minimum"].as_i64().unwrap(), schema["x-lowered-to"].as_i64().unwrap());
                good.extend([min, max, max + 1].map(|number| number.to_string()));
                bad.extend([(min - 1).to_string(), "1.5".to_owned(), "many".to_owned()]);
            } else if let Some(values) = schema["enum"].as_array() {
                // Some values need another parameter beside them, or more than this key may.
                let alone =
                    |name: &&str| !matches!((parameter["name"].as_str(), *name), (_, "custom") | (Some("traits"), "1"));
                good.extend(values.iter().map(|value| value.as_str().unwrap()).filter(alone).map(str::to_owned));
                bad.push("neither".to_owned());
            } else if schema["format"] == "date" || schema["anyOf"].is_array() {
                good.push("2026-06-01".to_owned());
                bad.extend(["soon".to_owned(), "2026-02-30".to_owned()]);
            }
            for (values, expected) in [(good, 200), (bad, 400)] {
                for value in values {
                    let asked = format!("{path}&{name}={value}");
                    assert_eq!(status(&app, key, &asked).await, expected, "{asked}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 100, "{checked}");
}

/// Sends `body` as a hit and returns the status.
async fn hit(site: &TestWebsite<'_>, body: &Value) -> u16 {
    site.send(body).send().await.status
}

/// Sabotage: tell another length in `document/bodies.rs`, or that a field is required that is not.
#[actix_web::test]
async fn the_bounds_of_a_hit_are_those_that_hold() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("example.com");
    let schema = &whole()["components"]["schemas"]["HitBody"];
    let path = &whole()["paths"]["/e/{code}"]["post"];
    let mut whole_hit = path["requestBody"]["content"]["application/json"]["example"].clone();
    whole_hit["timestamp"] = json!(null);
    assert_eq!(hit(&site, &whole_hit).await, 200, "the example");
    let required: Vec<&str> =
        schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for (name, field) in schema["properties"].as_object().unwrap() {
        let with = |value: Option<Value>| {
            let mut body = whole_hit.clone();
            body["event_id"] = json!(null);
            match value {
                Some(value) => body[name] = value,
                None => {
                    body.as_object_mut().unwrap().remove(name);
                }
            }
            body
        };
        let expected = if required.contains(&name.as_str()) { 400 } else { 200 };
        assert_eq!(hit(&site, &with(None)).await, expected, "without {name}");
        assert_eq!(hit(&site, &with(Some(Value::Null))).await, expected, "{name} is null");
        assert_eq!(hit(&site, &with(Some(json!([])))).await, 400, "{name} is an array");
        let of = |length: u64| with(Some("a".repeat(usize::try_from(length).unwrap()).into()));
        if let Some(max) = field["maxLength"].as_u64() {
            assert_eq!(hit(&site, &of(max)).await, 200, "the longest {name}");
            assert_eq!(hit(&site, &of(max + 1)).await, 400, "too long a {name}");
        } else if field["type"] == "string" && name != "url" || field["type"] == json!(["string", "null"]) {
            assert_eq!(hit(&site, &of(5_000)).await, 200, "a {name} that is cut");
        }
        if let Some(min) = field["minLength"].as_u64() {
            assert_eq!(hit(&site, &of(min)).await, 200, "the shortest {name}");
            assert_eq!(hit(&site, &of(min - 1)).await, 400, "too short a {name}");
        }
    }
}
