//! The numbers of the dashboard: the same as those of the Stats API and of the External API, whatever is asked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use common::{TestApp, TestKey, TestWebsite, at};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use zenovay_domain::Plan;

async fn read(app: &TestApp, key: &TestKey, path: &str) -> Value {
    app.get(path).key(key).send().await.expect(200).data()
}

fn console(site: &TestWebsite<'_>, path: &str) -> String {
    format!("/api/websites/{}{path}", site.id())
}

/// An event of a random visit: visitor, visit, minutes before noon, page, country, browser, name.
type Drawn = (u8, u8, u16, u8, u8, u8, bool);

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:139.0) Gecko/20100101 Firefox/139.0";

const PAGES: [&str; 5] = ["/", "/pricing", "/docs/start", "/docs/install", "/blog/a%20b"];

fn rows(site: &TestWebsite<'_>, events: &[Drawn]) -> Vec<Value> {
    let noon = at(common::NOON);
    let row = |&(visitor, visit, minutes, page, country, browser, is_goal): &Drawn| {
        let others = ["pageview", "pageview", "outbound_link", "file_download"];
        json!({
            "type": if is_goal { "custom" } else { others[usize::from(browser) / 2 % 4] },
            "ts": noon.plus_millis(-i64::from(minutes) * 60_000).as_millis(),
            "visitorId": format!("visitor-{visitor}"),
            "sessionId": format!("session-{visitor}-{visit}-{}", minutes / 30),
            "props": {
                "url": format!("https://{}{}", site.website.domain, PAGES[usize::from(page) % 5]),
                "name": (if is_goal { "signup" } else { "" }),
                "plan": (["pro", "free"][usize::from(browser) % 2]),
                "href": format!("https://example.org/{}", page % 3),
            },
            "serverContext": {
                "clientIp": (["193.99.144.80", "8.8.8.8"][usize::from(country) % 2]),
                "userAgent": ([FIREFOX, common::CHROME][usize::from(browser) % 2]),
            },
        })
    };
    events.iter().map(row).collect()
}

/// The Stats API's names of the tiles.
const TILES: [(&str, &str); 7] = [
    ("visitors", "visitors"),
    ("sessions", "visits"),
    ("pageviews", "pageviews"),
    ("events", "events"),
    ("bounce_rate", "bounce_rate"),
    ("duration", "visit_duration"),
    ("conversion_rate", "conversion_rate"),
];

/// Filters of a view, and the same in the words of the Stats API.
const FILTERS: [(&str, &str); 14] = [
    ("", ""),
    ("f=country:is:DE%7CFR", r#"["is","visit:country",["DE","FR"]]"#),
    ("f=page:is_not:%2Fpricing", r#"["is_not","event:page",["/pricing"]]"#),
    (
        "f=page:contains:docs&f=browser:is:Firefox",
        r#"["contains","event:page",["docs"]],["is","visit:browser",["Firefox"]]"#,
    ),
    ("f=browser:does_not_contain:Fire", r#"["contains_not","visit:browser",["Fire"]]"#),
    ("f=entry_page:starts_with:%2Fdocs", r#"["starts_with","visit:entry_page",["/docs"]]"#),
    ("f=exit_page:ends_with:g", r#"["ends_with","visit:exit_page",["g"]]"#),
    (
        "f=page:matches:%2Fd*&f=country:does_not_match:U*",
        r#"["matches_wildcard","event:page",["/d*"]],["matches_wildcard_not","visit:country",["U*"]]"#,
    ),
    ("f=prop.plan:is:pro", r#"["is","event:props:plan",["pro"]]"#),
    ("f=event_name:is:signup", r#"["is","event:name",["signup"]]"#),
    ("f=event_type:is:outbound_link", r#"["is","event:type",["outbound_link"]]"#),
    ("f=event_type:is:outbound_link%7Cfile_download", r#"["is","event:type",["outbound_link","file_download"]]"#),
    ("f=event_type:is_not:custom", r#"["is_not","event_type",["custom"]]"#),
    ("f=goal:is_not:Sign-up", r#"["has_not_done",["is","event:goal",["signup"]]]"#),
];

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The numbers of a goal, and the Stats API's of its conversions.
const GOAL: [(&str, &str); 4] =
    [("conversions", "visits"), ("visitors", "visitors"), ("events", "events"), ("conversion_rate", "conversion_rate")];

/// The first step of a funnel counts the visitors who take it, the second those who take it later in a visit with the first.
async fn check_funnel(app: &TestApp, site: &TestWebsite<'_>, funnel: &str, days: &str) {
    let key = &site.key("read");
    let report = read(app, key, &console(site, &format!("/funnels/{funnel}/report?{days}"))).await;
    let list = read(app, key, &console(site, &format!("/funnels?{days}"))).await;
    let step = r#"[["is","event:goal",["Visit /pricing"]]]"#;
    let path = format!("/api/external/v1/stats/aggregate?site_id={}&{days}&timezone=Europe%2FBerlin", site.id());
    let path = format!("{path}&metrics=visitors,visits&filters={}", encoded(step));
    let theirs = app.get(&path).key(key).send().await.expect(200).json();
    let first = &report["steps"][0];
    assert_eq!(first["visitors"], theirs["results"]["visitors"]["value"]);
    assert_eq!(first["sessions"], theirs["results"]["visits"]["value"]);
    let own = &list["funnels"][0];
    assert_eq!((&own["entered"], &own["completed"]), (&first["visitors"], &report["steps"][1]["visitors"]));
    assert!(report["steps"][1]["visitors"].as_u64() <= first["visitors"].as_u64());
}

async fn check(app: &TestApp, site: &TestWebsite<'_>, key: &TestKey, link: &str, funnel: &str) {
    let id = site.id();
    // The same days in the website's zone.
    let (days, zone) = ("from=2026-06-09&to=2026-06-13", "timezone=Europe%2FBerlin");
    check_funnel(app, site, funnel, days).await;
    for (view, stats) in FILTERS {
        // The minute of one key is not enough for all.
        let key = &site.key("read");
        let filters =
            if stats.is_empty() { String::new() } else { format!("&filters={}", encoded(&format!("[{stats}]"))) };
        let base = format!("/api/external/v1/stats/aggregate?site_id={id}&{days}&{zone}&compare=previous_period");
        let own = read(app, key, &console(site, &format!("/totals?{days}&compare=previous&{view}"))).await;
        let names = TILES.map(|(_, name)| name);
        let metrics = names[..6].join(",");
        let totals = app.get(&format!("{base}&metrics={metrics}{filters}")).key(key).send().await.expect(200).json();
        for (tile, metric) in &TILES[..6] {
            let theirs = &totals["results"][metric];
            assert_eq!(own["now"][tile], theirs["value"], "{view} {tile}");
            assert_eq!(own["before"][tile], theirs["comparison_value"], "{view} {tile} before");
        }
        // The goal of the website is the event.
        let goal = r#"["is","event:goal",["signup"]]"#;
        let all = if stats.is_empty() { format!("[{goal}]") } else { format!("[{stats},{goal}]") };
        // Of one goal its list says what a filter on it does, and with a public link everything is the same.
        let of_goal = format!("{base}&metrics=visitors,visits,events,conversion_rate&filters={}", encoded(&all));
        let goals = read(app, key, &console(site, &format!("/goals?{days}&compare=previous&{view}"))).await;
        let goal = &goals["goals"][0];
        if stats.contains("has_not_done") {
            // Visits without the goal that have it are not asked for, and a view of them has none.
            app.get(&of_goal).key(key).send().await.expect(400);
            assert_eq!(own["now"]["conversion_rate"].as_f64(), Some(0.0), "{view}");
            assert!(GOAL.iter().all(|(own, _)| goal["numbers"][own].as_f64() == Some(0.0)), "{view} {goal}");
        } else {
            let theirs = app.get(&of_goal).key(key).send().await.expect(200).json();
            assert_eq!(own["now"]["conversion_rate"], theirs["results"]["conversion_rate"]["value"], "{view}");
            for (own, metric) in GOAL {
                let metric = &theirs["results"][metric];
                assert_eq!(goal["numbers"][own], metric["value"], "{view} goal {own}");
                assert_eq!(goal["before"][own], metric["comparison_value"], "{view} goal {own} before");
            }
        }
        for rest in ["totals", "series", "goals", "funnels", "breakdown?dimension=page", "breakdown?dimension=goal"] {
            let rest = format!("/{rest}{}{days}&compare=previous&{view}", if rest.contains('?') { '&' } else { '?' });
            let shared = app.get(&format!("/api/shares/{link}{rest}")).send().await.expect(200).data();
            assert_eq!(shared, read(app, key, &console(site, &rest)).await, "{rest}");
        }

        let key = &site.key("read");
        let base = format!(
            "/api/external/v1/stats/timeseries?site_id={id}&{days}&{zone}&interval=day&compare=previous_period"
        );
        let series = app.get(&format!("{base}&metrics={metrics}{filters}")).key(key).send().await.expect(200).json();
        for (tile, metric) in &TILES[..6] {
            let path = console(site, &format!("/series?{days}&interval=day&metric={tile}&compare=previous&{view}"));
            let own = read(app, key, &path).await;
            let points = own["points"].as_array().unwrap();
            let theirs = series["results"].as_array().unwrap();
            assert_eq!(points.len(), theirs.len(), "{view} {tile}");
            for (point, theirs) in points.iter().zip(theirs) {
                assert_eq!(point["start"], theirs["from"], "{view} {tile}");
                assert_eq!(point["value"].as_f64(), theirs[metric].as_f64(), "{view} {tile}");
            }
            for (point, theirs) in own["before"].as_array().unwrap().iter().zip(theirs) {
                assert_eq!(point["value"].as_f64(), theirs["comparison"][metric].as_f64(), "{view} {tile} before");
            }
        }

        for (dimension, property) in [
            ("page", "event:page"),
            ("entry_page", "visit:entry_page"),
            ("country", "visit:country"),
            ("browser", "visit:browser"),
            ("exit_page", "visit:exit_page"),
            ("source", "visit:source"),
            ("device", "visit:device"),
            ("event_name", "event:name"),
            ("prop.plan", "event:props:plan"),
            ("prop.href", "event:props:href"),
        ] {
            let metrics = "visitors,visits,pageviews,events,bounce_rate,visit_duration,percentage";
            let base = format!(
                "/api/external/v1/stats/breakdown?site_id={id}&{days}&{zone}&property={property}&compare=previous_period"
            );
            let theirs =
                app.get(&format!("{base}&metrics={metrics}{filters}")).key(key).send().await.expect(200).json();
            let path = format!("/breakdown?{days}&dimension={dimension}&limit=100&compare=previous&{view}");
            let path = console(site, &path);
            let own = read(app, key, &path).await;
            let (rows, theirs) = (own["rows"].as_array().unwrap(), theirs["results"].as_array().unwrap());
            assert_eq!(rows.len(), theirs.len(), "{view} {dimension}: {own}");
            assert_eq!(own["total_rows"], theirs.len());
            for (row, theirs) in rows.iter().zip(theirs) {
                let named = property.rsplit(':').next().unwrap();
                let value = if theirs[named].is_null() { json!("") } else { theirs[named].clone() };
                assert_eq!(row["value"], value, "{view} {dimension}");
                for (tile, metric) in TILES[..6].iter().chain(&[("share", "percentage")]) {
                    assert_eq!(row[tile], theirs[metric], "{view} {dimension} {tile}");
                    assert_eq!(row["before"][tile], theirs["comparison"][metric], "{view} {dimension} {tile} before");
                }
            }
        }
    }
    // The External API has windows of elapsed time, as the dashboard under the same names.
    for range in ["24h", "7d", "30d", "90d", "1y"] {
        let theirs = read(app, key, &site.path(&format!("/analytics/{{id}}?range={range}"))).await;
        let own = read(app, key, &console(site, &format!("/totals?range={range}"))).await;
        let summary = &theirs["summary"];
        for (tile, name) in
            [("visitors", "unique_visitors"), ("sessions", "total_visitors"), ("pageviews", "total_page_views")]
        {
            assert_eq!(own["now"][tile], summary[name], "{range} {tile}");
        }
        let near = |tile: &str, name: &str| {
            let (own, theirs) = (own["now"][tile].as_f64(), summary[name].as_f64());
            own.zip(theirs).map_or(own == theirs, |(own, theirs)| (own - theirs).abs() < 0.01)
        };
        assert!(near("bounce_rate", "bounce_rate") && near("duration", "avg_session_duration"), "{range}: {own}");
        let pages = read(app, key, &site.path(&format!("/analytics/{{id}}/pages?range={range}&limit=100"))).await;
        let own = read(app, key, &console(site, &format!("/breakdown?range={range}&dimension=page&limit=100"))).await;
        let theirs: Vec<Value> = pages["pages"].as_array().unwrap().iter().map(|row| row["visitors"].clone()).collect();
        let own: Vec<Value> = own["rows"].as_array().unwrap().iter().map(|row| row["visitors"].clone()).collect();
        assert_eq!(own, theirs, "{range}");
    }
}

/// Sabotage: cut days in UTC, count conversions by visitors, or leave a filter out of rows.
#[test]
fn the_dashboard_says_what_the_stats_api_and_the_external_api_say() {
    let events = prop::collection::vec(
        (0u8..6, 0u8..3, 0u16..7_000, any::<u8>(), any::<u8>(), any::<u8>(), any::<bool>()),
        20..60,
    );
    let mut runner = TestRunner::new(Config { cases: 3, ..Config::default() });
    runner
        .run(&events, |events| {
            actix_web::rt::System::new().block_on(async {
                let app = TestApp::start().await;
                let site = app.team(Plan::Enterprise).website("shop.example");
                site.edit(|settings| settings.time_zone = "Europe/Berlin".to_owned());
                let key = site.key("read");
                let goal = json!({ "name": "Sign-up", "type": "event", "value": "signup" });
                app.post(&console(&site, "/goals")).key(&site.key("write")).json(&goal).send().await.expect(201);
                site.send_batch(rows(&site, &events)).await;
                app.events.seal().unwrap();
                let write = site.key("write");
                let steps = json!([{ "type": "page", "value": "/pricing" }, { "type": "event", "value": "signup" }]);
                let funnel = json!({ "name": "Way", "steps": steps });
                let funnel =
                    app.post(&console(&site, "/funnels")).key(&write).json(&funnel).send().await.expect(201).data();
                let link =
                    app.post(&console(&site, "/shares")).key(&write).json(&json!({})).send().await.expect(201).data();
                check(&app, &site, &key, link["token"].as_str().unwrap(), funnel["id"].as_str().unwrap()).await;
            });
            Ok(())
        })
        .unwrap();
}

/// Sabotage: take the kind for the name of an event, or leave it out of the rows that are compared with.
#[actix_web::test]
async fn outbound_links_and_downloads_are_lists_of_their_own() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    let event =
        |kind: &str, time: &str, visit: &str, href: &str| site.row(kind, time, visit, "/", json!({ "href": href }));
    let (today, yesterday) = ("2026-06-13T10:00:00Z", "2026-06-12T10:00:00Z");
    let (partner, guide) = ("https://partner.example/a?b=1", "https://shop.example/guide.pdf");
    site.send_batch(vec![
        event("outbound_link", today, "1", partner),
        event("outbound_link", "2026-06-13T10:01:00Z", "1", partner),
        event("outbound_link", today, "2", "https://other.example/"),
        event("outbound_link", yesterday, "3", partner),
        event("file_download", today, "1", guide),
        site.row("custom", today, "1", "/", json!({ "name": "signup", "href": partner })),
        site.row("pageview", today, "1", "/", json!({})),
    ])
    .await;
    let list = |dimension: &str, more: &str| {
        let path = format!("/breakdown?range=today&compare=previous&sort=events&dimension={dimension}{more}");
        let (app, key, path) = (&app, &key, console(&site, &path));
        async move {
            let answer = read(app, key, &path).await;
            let rows = answer["rows"].as_array().unwrap().iter();
            rows.map(|row| json!([row["value"], row["events"], row["visitors"], row["before"]["events"]]))
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(
        list("prop.href", "&f=event_type:is:outbound_link").await,
        [json!([partner, 2, 1, 1]), json!(["https://other.example/", 1, 1, 0])]
    );
    assert_eq!(list("prop.href", "&f=event_type:is:file_download").await, [json!([guide, 1, 1, 0])]);
    assert_eq!(list("event_name", "").await, [json!(["signup", 1, 1, 0])]);
    assert_eq!(list("prop.href", "&f=event_type:is:outbound_link&q=OTHER").await.len(), 1);
    let path = "/breakdown?range=today&dimension=prop.href&f=event_type:is:file_download&format=csv";
    let file = app.get(&console(&site, path)).key(&key).send().await.expect(200).text();
    assert!(file.contains("guide.pdf") && file.lines().count() == 2, "{file}");
}

/// `row`, sent by a visitor from Germany or from the United States.
fn from(country: &str, mut row: Value) -> Value {
    row["serverContext"] = json!({ "clientIp": if country == "DE" { "193.99.144.80" } else { "8.8.8.8" } });
    row
}

/// A shop with a few visits of today and of the days before.
async fn shop(app: &TestApp) -> TestWebsite<'_> {
    let site = app.team(Plan::Enterprise).website("shop.example");
    let rows = [
        from("DE", site.row("pageview", "2026-06-13T10:00:00Z", "a", "/", json!({ "plan": "pro" }))),
        from("DE", site.row("pageview", "2026-06-13T10:01:00Z", "a", "/pricing", json!({}))),
        from("US", site.row("pageview", "2026-06-13T11:00:00Z", "b", "/", json!({ "seats": 3 }))),
        from("DE", site.row("pageview", "2026-06-12T10:00:00Z", "c", "/", json!({}))),
        // After noon: not compared with today.
        from("US", site.row("pageview", "2026-06-12T18:00:00Z", "d", "/docs", json!({}))),
    ];
    site.send_batch(rows.to_vec()).await;
    site
}

/// Sabotage: compare with the whole day, or call the last bucket complete.
#[actix_web::test]
async fn what_is_not_over_is_marked_and_compared_until_the_same_time_of_day() {
    let app = TestApp::start().await;
    let site = shop(&app).await;
    let key = site.key("read");
    let today = read(&app, &key, &console(&site, "/totals?range=today&compare=previous")).await;
    assert_eq!((&today["now"]["visitors"], &today["before"]["visitors"]), (&json!(2), &json!(1)));
    assert_eq!(today["range"]["from"], "2026-06-13T00:00:00.000Z");
    assert_eq!((&today["range"]["complete"], &today["range"]["time_zone"]), (&json!(false), &json!("UTC")));
    assert_eq!(today["before_range"]["to"], "2026-06-12T12:00:00.000Z");
    assert_eq!(today["now"]["conversion_rate"], Value::Null, "there are no goals");

    let series = read(&app, &key, &console(&site, "/series?range=today&metric=pageviews&compare=previous")).await;
    assert_eq!(series["interval"], "hour");
    let points = series["points"].as_array().unwrap();
    assert_eq!(points.len(), 13);
    let complete: Vec<bool> = points.iter().map(|point| point["complete"].as_bool().unwrap()).collect();
    assert_eq!(complete.iter().filter(|complete| !**complete).count(), 1);
    assert!(!complete[12], "the hour that has begun");
    assert_eq!(points[10]["value"], 2.0);
    assert_eq!(series["before"].as_array().unwrap().len(), 13);
    let weeks = read(&app, &key, &console(&site, "/series?from=2026-06-10&to=2026-06-12&interval=week")).await;
    assert_eq!(weeks["points"][0]["complete"], false, "only a part of the week was counted");
    let days = read(&app, &key, &console(&site, "/series?from=2026-06-10&to=2026-06-12")).await;
    assert!(days["points"].as_array().unwrap().iter().all(|point| point["complete"] == true));
}

/// Sabotage: cut a file at a page, or leave the filters out of it.
#[actix_web::test]
async fn rows_are_searched_sorted_and_exported_whole() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    for part in 0..3 {
        let rows: Vec<Value> = (0..700)
            .map(|n| {
                let number = part * 700 + n;
                let country = if number % 2 == 0 { "DE" } else { "US" };
                let page = format!("/page-{number:04}");
                let name = format!("{number}");
                from(country, site.row("pageview", "2026-06-13T10:00:00Z", &name, &page, json!({ "title": "T" })))
            })
            .collect();
        site.send_batch(rows).await;
    }
    let page = read(&app, &key, &console(&site, "/breakdown?range=today&dimension=page&limit=2&offset=1")).await;
    assert_eq!((&page["rows"][0]["value"], &page["total_rows"]), (&json!("/page-0001"), &json!(2_100)));
    let last = read(&app, &key, &console(&site, "/breakdown?range=today&dimension=page&limit=1&sort=-value")).await;
    assert_eq!(last["rows"][0]["value"], "/page-2099");
    let found = read(&app, &key, &console(&site, "/breakdown?range=today&dimension=page&q=PAGE-000")).await;
    assert_eq!((&found["total_rows"], &found["rows"][0]["value"]), (&json!(10), &json!("/page-0000")));
    assert_eq!(found["rows"][0]["share"], 0.0005, "of all visitors, not of those found");

    for (format, lines, begins) in [("csv", 1_051, "page,label,visitors,"), ("ndjson", 1_050, "{\"")] {
        let path = format!("/breakdown?range=today&dimension=page&limit=5&f=country:is:DE&format={format}");
        let file = app.get(&console(&site, &path)).key(&key).send().await.expect(200);
        let name = file.header("content-disposition").unwrap();
        assert!(name.contains(&format!("shop.example_page_filtered_2026-06-13_2026-06-13.{format}")), "{name}");
        let text = file.text();
        assert!(text.starts_with(begins), "{text:.100}");
        assert_eq!(text.lines().count(), lines);
        assert!(text.contains("/page-2098") && !text.contains("/page-2099"));
    }
    let whole = app.get(&console(&site, "/breakdown?range=today&dimension=page&format=json")).key(&key).send().await;
    assert_eq!(whole.expect(200).json().as_array().unwrap().len(), 2_100);
    let series = app.get(&console(&site, "/series?range=today&format=csv&compare=previous")).key(&key).send().await;
    let series = series.expect(200).text();
    assert!(series.starts_with("start,visitors,complete,before_visitors\r\n"), "{series}");
    assert_eq!(series.lines().count(), 14);
}

#[actix_web::test]
async fn filters_are_suggested_values_and_properties() {
    let app = TestApp::start().await;
    let site = shop(&app).await;
    let key = site.key("read");
    let values = read(&app, &key, &console(&site, "/values?range=7d&dimension=country")).await;
    assert_eq!(values["values"][0], json!({ "value": "DE", "label": "Germany", "visitors": 2 }));
    let values = read(&app, &key, &console(&site, "/values?range=7d&dimension=country&q=states")).await;
    assert_eq!(values["values"], json!([{ "value": "US", "label": "United States", "visitors": 2 }]));
    let names = read(&app, &key, &console(&site, "/properties?range=7d")).await;
    assert_eq!(names["properties"], json!(["plan", "seats"]));
    for (query, field) in [
        ("dimension=nothing", "dimension"),
        ("", "dimension"),
        ("dimension=prop.user_id", "dimension"),
        ("dimension=page&f=page", "f"),
        ("dimension=event_type", "dimension"),
        ("dimension=page&f=event_type:contains:link", "f"),
        ("dimension=page&f=event_type:is:heartbeat", "f"),
        ("dimension=page&range=week", "range"),
        ("dimension=page&sort=title", "sort"),
    ] {
        let reply = app.get(&console(&site, &format!("/breakdown?{query}"))).key(&key).send().await.expect(400);
        assert_eq!(reply.code(), "VALIDATION_ERROR");
        assert!(reply.json()["details"][field].is_string(), "{query}: {}", reply.text());
    }
}
