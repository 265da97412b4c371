//! Events as Parquet files: the manifest, the parts, who may have them, and what is in them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use common::{TestApp, TestKey, TestWebsite};
use serde_json::{Value, json};
use zenovay_auth::KeyKind;
use zenovay_domain::{Plan, Role, VisitorId};

fn view(at: &str, visitor: &str, page: &str) -> Value {
    json!({ "type": "pageview", "ts": common::at(at).as_millis(), "visitorId": visitor, "sessionId": visitor,
            "props": { "url": format!("https://shop.example{page}") } })
}

fn identify(at: &str, visitor: &str, mail: &str) -> Value {
    json!({ "type": "identify", "ts": common::at(at).as_millis(), "visitorId": visitor, "sessionId": visitor,
            "props": { "url": "https://shop.example/", "email": mail } })
}

async fn manifest(app: &TestApp, site: &TestWebsite<'_>, key: &TestKey, query: &str) -> Value {
    app.get(&site.path(&format!("/export/{{id}}/events?{query}"))).key(key).send().await.expect(200).data()
}

#[actix_web::test]
async fn the_manifest_names_parts_by_their_digests() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    site.send_batch(json!([
        view("2026-06-11T10:00:00Z", "visitor-1", "/first"),
        view("2026-06-12T10:00:00Z", "visitor-2", "/second"),
        view("2026-06-12T11:00:00Z", "visitor-2", "/third"),
    ]))
    .await;
    let mut digests = Vec::new();
    for when in ["at once", "sealed"] {
        let told = manifest(&app, &site, &key, "from=2026-06-01&to=2026-06-13").await;
        assert_eq!((&told["total_rows"], &told["traits"]), (&json!(3), &json!(false)), "{when}");
        assert_eq!(told["columns"][0]["name"], "at");
        let parts = told["parts"].as_array().unwrap().clone();
        let names: Vec<&str> = parts.iter().map(|part| part["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["2026-06-11.0.parquet", "2026-06-12.0.parquet"], "{when}");
        for part in &parts {
            let file = app.get(part["url"].as_str().unwrap()).key(&key).send().await.expect(200);
            assert_eq!(zenovay_export::sha256(&file.body), part["sha256"], "{when}");
            assert_eq!(file.body.len(), part["bytes"].as_u64().unwrap() as usize);
            assert_eq!(file.header("content-type"), Some("application/vnd.apache.parquet"));
            assert_eq!(file.header("etag").unwrap(), format!("\"{}\"", part["sha256"].as_str().unwrap()));
            assert!(file.header("content-disposition").unwrap().contains("shop.example_2026-06-1"));
        }
        digests.push(parts.iter().map(|part| part["sha256"].clone()).collect::<Vec<_>>());
        app.events.seal().unwrap();
    }
    assert_eq!(digests[0], digests[1], "the same rows are the same bytes");
    // By default up to yesterday, whose rows no longer change.
    let default = manifest(&app, &site, &key, "").await;
    assert_eq!(
        (&default["from"], &default["to"]),
        (&json!("2026-05-14T00:00:00.000Z"), &json!("2026-06-12T23:59:59.999Z"))
    );
}

#[actix_web::test]
async fn a_download_goes_on_where_it_stopped() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    site.send_batch(json!([view("2026-06-12T10:00:00Z", "visitor-1", "/a")])).await;
    let path = site.path("/export/{id}/events/2026-06-12.0.parquet");
    let whole = app.get(&path).key(&key).send().await.expect(200);
    let etag = whole.header("etag").unwrap().to_owned();
    let rest =
        app.get(&path).key(&key).header("range", "bytes=100-").header("if-range", &etag).send().await.expect(206);
    assert_eq!(rest.body, whole.body.slice(100..));
    let range = format!("bytes 100-{}/{}", whole.body.len() - 1, whole.body.len());
    assert_eq!(rest.header("content-range"), Some(range.as_str()));
    app.get(&path).key(&key).header("if-none-match", &etag).send().await.expect(304);
    let beyond = app.get(&path).key(&key).header("range", "bytes=9999999-").send().await.expect(416);
    assert_eq!(beyond.code(), "RANGE_NOT_SATISFIABLE");
    // An event that comes late changes the file, and who goes on is told so.
    site.send_batch(json!([view("2026-06-12T09:00:00Z", "visitor-2", "/late")])).await;
    let changed = app.get(&path).key(&key).header("if-match", &etag).send().await.expect(412);
    assert_eq!(changed.code(), "PRECONDITION_FAILED");
    let instead =
        app.get(&path).key(&key).header("range", "bytes=100-").header("if-range", &etag).send().await.expect(200);
    assert_ne!(instead.body, whole.body);
    for unknown in ["2026-06-12.1.parquet", "2026-06-11.0.parquet", "x", "2026-06-12.0.csv"] {
        app.get(&site.path(&format!("/export/{{id}}/events/{unknown}"))).key(&key).send().await.expect(404);
    }
}

/// Whether the bytes of a file hold a string. Columns are compressed: short ones are not.
fn rows(body: &[u8]) -> Vec<String> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let reader = SerializedFileReader::new(bytes::Bytes::copy_from_slice(body)).unwrap();
    reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect()
}

#[actix_web::test]
async fn traits_need_more_than_events() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let site = team.website("shop.example");
    site.send_batch(json!([
        view("2026-06-12T10:00:00Z", "visitor-1", "/"),
        identify("2026-06-12T10:01:00Z", "visitor-1", "person@example.com"),
    ]))
    .await;
    // Of somebody whose id is not told.
    let mut hit = site.hit("/", "session-2");
    hit["event_type"] = "custom".into();
    hit["event_name"] = "Order".into();
    hit["user_properties"] = json!({ "mail": "nobody@example.com" });
    site.send(&hit).send().await.expect(200);
    let path = site.path("/export/{id}/events/2026-06-12.0.parquet");
    let with_traits = format!("{path}?traits=1");
    let role = |role| app.key(KeyKind::Personal(team.member(role)), "full_access", None, None);
    let (admin, editor, viewer) = (role(Role::Admin), role(Role::Editor), role(Role::Viewer));
    for (name, key, events, traits) in [
        ("admin", &admin, 200, 200),
        ("editor", &editor, 200, 403),
        ("viewer", &viewer, 403, 403),
        ("read", &site.key("read"), 200, 403),
        ("write", &site.key("write"), 403, 403),
    ] {
        app.get(&path).key(key).send().await.expect(events);
        app.get(&with_traits).key(key).send().await.expect(traits);
        app.get(&site.path("/export/{id}/events?traits=1")).key(key).send().await.expect(traits);
        assert!(!name.is_empty());
    }
    app.get(&path).send().await.expect(401);
    let plain = rows(&app.get(&path).key(&admin).send().await.expect(200).body);
    assert!(plain.len() == 2 && plain.iter().all(|row| !row.contains("@example.com")), "{plain:?}");
    let told = rows(&app.get(&with_traits).key(&admin).send().await.expect(200).body);
    assert!(told[1].contains("person@example.com"), "{told:?}");
    let path = path.replace("06-12", "06-13");
    let plain = rows(&app.get(&path).key(&admin).send().await.expect(200).body);
    assert!(plain.len() == 1 && !plain[0].contains("nobody@example.com"), "{plain:?}");
    let told = rows(&app.get(&format!("{path}?traits=1")).key(&admin).send().await.expect(200).body);
    assert!(told[0].contains("nobody@example.com"), "{told:?}");
    // Nor is it in numbers.
    let rows = format!("/api/external/v1/stats/breakdown?site_id={}&property=event:props:mail&period=7d", site.id());
    let rows = app.get(&rows).key(&admin).send().await.expect(200);
    assert!(!rows.text().contains("@example.com"), "{}", rows.text());
}

#[actix_web::test]
async fn what_was_erased_is_in_no_part() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    site.send_batch(json!([
        view("2026-06-12T10:00:00Z", "visitor-1", "/kept"),
        view("2026-06-12T11:00:00Z", "visitor-2", "/erased"),
    ]))
    .await;
    let path = site.path("/export/{id}/events/2026-06-12.0.parquet");
    let all = rows(&app.get(&path).key(&key).send().await.expect(200).body);
    assert_eq!(all.len(), 2);
    let visitors = app.get(&site.path("/analytics/{id}/visitors?range=7d")).key(&key).send().await.expect(200).data();
    let erased =
        visitors["visitors"].as_array().unwrap().iter().find(|visitor| visitor["landing_page"] == "/erased").unwrap();
    let id = u64::from_str_radix(erased["id"].as_str().unwrap(), 16).unwrap();
    app.events.erase_visitor(site.id(), VisitorId(id)).unwrap();
    let left = rows(&app.get(&path).key(&key).send().await.expect(200).body);
    assert!(left.len() == 1 && left[0].contains("/kept"), "{left:?}");
    assert_eq!(manifest(&app, &site, &key, "").await["total_rows"], 1);
}

#[actix_web::test]
async fn wrong_parameters_are_named() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    for (query, field) in [
        ("from=yesterday", "from"),
        ("from=2026-06-13&to=2026-06-12", "from"),
        ("from=2001-01-01", "from"),
        ("traits=yes", "traits"),
    ] {
        let reply = app.get(&site.path(&format!("/export/{{id}}/events?{query}"))).key(&key).send().await.expect(400);
        assert!(reply.json()["details"][field].is_string(), "{query}: {}", reply.text());
    }
}
