//! The Stats API: the numbers of the other lists, any question, pages, files, and explanations.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::collections::BTreeSet;

use common::{Reply, TestApp, TestKey, TestWebsite};
use serde_json::{Value, json};
use zenovay_auth::KeyKind;
use zenovay_domain::{Clock, Plan, Role};

/// Some days of traffic: visits of several visitors from several sources, one of which signs up.
async fn traffic(site: &TestWebsite<'_>) {
    let event = |kind: &str, at: &str, visit: &str, page: &str, more: Value| site.row(kind, at, visit, page, more);
    let nothing = || json!({});
    let events = json!([
        event("pageview", "2026-06-11T10:00:00Z", "one", "/", nothing()),
        event("pageview", "2026-06-11T10:01:00Z", "one", "/pricing", nothing()),
        event("pageview", "2026-06-12T10:00:00Z", "two", "/", nothing()),
        event("pageview", "2026-06-12T11:00:00Z", "three", "/pricing", nothing()),
        event("goal", "2026-06-12T11:05:00Z", "three", "/pricing", json!({ "name": "Signup" })),
        event("pageview", "2026-06-13T09:00:00Z", "four", "/blog/=1+1", nothing()),
    ]);
    site.send_batch(events).await;
}

async fn read(app: &TestApp, key: &TestKey, path: &str) -> Value {
    app.get(path).key(key).send().await.expect(200).json()
}

fn stats(site: &TestWebsite<'_>, rest: &str) -> String {
    let (list, query) = rest.split_once('?').unwrap_or((rest, ""));
    format!("/api/external/v1/stats/{list}?site_id={}&{query}", site.id())
}

#[actix_web::test]
async fn the_numbers_are_those_of_the_other_lists() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    traffic(&site).await;
    for range in ["range=7d", "from=2026-06-12&to=2026-06-12"] {
        let overview =
            app.get(&site.path(&format!("/analytics/{{id}}?{range}"))).key(&key).send().await.expect(200).data();
        let metrics = "visitors,visits,pageviews,bounce_rate,visit_duration";
        let totals = read(&app, &key, &stats(&site, &format!("aggregate?{range}&metrics={metrics}"))).await;
        let value = |name: &str| totals["data"]["results"][name]["value"].clone();
        assert_eq!(value("visitors"), overview["summary"]["unique_visitors"], "{range}");
        assert_eq!(value("visits"), overview["summary"]["total_visitors"], "{range}");
        assert_eq!(value("pageviews"), overview["summary"]["total_page_views"], "{range}");
        assert_eq!(value("bounce_rate"), overview["summary"]["bounce_rate"], "{range}");
        assert_eq!(value("visit_duration"), overview["summary"]["avg_session_duration"], "{range}");
        // Scripts made for Plausible look for them at the top.
        assert_eq!(totals["results"], totals["data"]["results"]);

        let series = read(&app, &key, &stats(&site, &format!("timeseries?{range}&metrics={metrics}"))).await;
        let points = series["data"]["results"].as_array().unwrap();
        let days = overview["daily_stats"].as_array().unwrap();
        assert_eq!(points.len(), days.len());
        for (point, day) in points.iter().zip(days) {
            assert_eq!((&point["date"], &point["pageviews"]), (&day["date"], &day["page_views"]), "{range}");
            assert_eq!((&point["visitors"], &point["bounce_rate"]), (&day["unique_visitors"], &day["bounce_rate"]));
        }

        let pages =
            app.get(&site.path(&format!("/analytics/{{id}}/pages?{range}"))).key(&key).send().await.expect(200).data();
        let metrics = "visitors,pageviews,bounce_rate,time_on_page";
        let rows =
            read(&app, &key, &stats(&site, &format!("breakdown?property=event:page&{range}&metrics={metrics}"))).await;
        let rows = rows["data"]["results"].as_array().unwrap();
        assert_eq!(rows.len(), pages["pages"].as_array().unwrap().len());
        for (row, page) in rows.iter().zip(pages["pages"].as_array().unwrap()) {
            assert_eq!(
                (&row["page"], &row["pageviews"], &row["visitors"]),
                (&page["url"], &page["views"], &page["visitors"])
            );
            assert_eq!((&row["time_on_page"], &row["bounce_rate"]), (&page["avg_time_on_page"], &page["bounce_rate"]));
        }
    }
}

#[actix_web::test]
async fn filters_conversions_and_comparisons() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    traffic(&site).await;
    let value =
        async |rest: &str, metric: &str| read(&app, &key, &stats(&site, rest)).await["data"]["results"][metric].clone();
    let goal = "aggregate?range=7d&metrics=conversion_rate,visits&filters=event:goal==Signup";
    assert_eq!(value(goal, "conversion_rate").await["value"], 0.25);
    let pages = "aggregate?range=7d&metrics=visitors&filters=event:page==/pricing";
    assert_eq!(value(pages, "visitors").await["value"], 2);
    let tree = "aggregate?range=7d&metrics=visitors&filters=[[%22not%22,[%22is%22,%22event:page%22,[%22/pricing%22]]]]";
    assert_eq!(value(tree, "visitors").await["value"], 3);
    let not_done = "[[%22has_not_done%22,[%22is%22,%22event:goal%22,[%22Signup%22]]]]";
    assert_eq!(value(&format!("aggregate?range=7d&filters={not_done}"), "visitors").await["value"], 3);

    let compared = "aggregate?from=2026-06-12&to=2026-06-12&metrics=visitors&compare=previous_period";
    assert_eq!(value(compared, "visitors").await, json!({ "value": 2, "comparison_value": 1, "change": 1.0 }));
    let custom = "aggregate?from=2026-06-12&to=2026-06-12&compare=custom&compare_from=2026-06-13&compare_to=2026-06-13";
    assert_eq!(value(custom, "visitors").await["comparison_value"], 1);
    let rows = "breakdown?from=2026-06-12&to=2026-06-12&property=event:page&compare=previous_period";
    let rows = read(&app, &key, &stats(&site, rows)).await["results"].clone();
    assert_eq!(
        rows[0],
        json!({ "page": "/", "visitors": 1, "comparison": { "visitors": 1 }, "change": { "visitors": 0.0 } })
    );

    // In Auckland the last visit is on the evening of the 13th, the first one on that of the 11th.
    let days = "timeseries?from=2026-06-11&to=2026-06-13&timezone=Pacific/Auckland&metrics=pageviews";
    let days = read(&app, &key, &stats(&site, days)).await["results"].clone();
    let views: Vec<u64> = days.as_array().unwrap().iter().map(|day| day["pageviews"].as_u64().unwrap()).collect();
    assert_eq!(views, [2, 2, 1]);
    assert_eq!((&days[0]["date"], &days[0]["from"]), (&json!("2026-06-11"), &json!("2026-06-10T12:00:00.000Z")));
}

#[actix_web::test]
async fn pages_by_cursor_have_each_row_once_also_while_time_goes_on() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    for number in 0..23 {
        let mut hit = site.hit(&format!("/page/{}", number % 23), &format!("session-{}", number % 5));
        hit["visitor_id"] = format!("visitor-{}", number % 5).into();
        site.send(&hit).send().await.expect(200);
    }
    app.clock.advance_ms(1_000);
    let all = read(&app, &key, &stats(&site, "breakdown?property=page&limit=1000&range=24h")).await;
    let names = |page: &Value| -> Vec<String> {
        page["data"]["results"].as_array().unwrap().iter().map(|row| row["page"].as_str().unwrap().to_owned()).collect()
    };
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let next = if cursor.is_empty() { String::new() } else { format!("&cursor={cursor}") };
        let page = read(&app, &key, &stats(&site, &format!("breakdown?property=page&limit=7&range=24h{next}"))).await;
        seen.extend(names(&page));
        let pagination = &page["data"]["pagination"];
        assert_eq!(pagination["total_rows"], 23);
        match pagination["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => {
                assert_eq!(pagination["has_more"], false);
                break;
            }
        }
        // What comes later is in no page of this list.
        app.clock.advance_ms(60_000);
        site.send(&site.hit("/later", "session-later")).send().await.expect(200);
    }
    assert_eq!(seen, names(&all));
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 23);
    let by_page = read(&app, &key, &stats(&site, "breakdown?property=page&limit=10&page=3&range=24h")).await;
    assert_eq!(by_page["data"]["results"].as_array().unwrap().len(), 4);

    let other = stats(&site, &format!("breakdown?property=visit:os&cursor={cursor}"));
    let refused = app.get(&other).key(&key).send().await.expect(400);
    assert!(refused.json()["details"]["cursor"].as_str().unwrap().contains("another question"));
}

fn lines(reply: &Reply) -> Vec<String> {
    reply.text().split("\r\n").filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[actix_web::test]
async fn lists_are_files_with_all_rows() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    traffic(&site).await;
    // More rows than are read at a time.
    for batch in 0..3 {
        let event = |number: i64| {
            json!({
                "type": "pageview", "ts": common::at("2026-06-13T08:00:00Z").as_millis() + number,
                "visitorId": "visitor-many-pages", "sessionId": "session-many-pages",
                "props": { "url": format!("https://shop.example/many/{number}") },
            })
        };
        let events: Vec<Value> = (batch * 400..batch * 400 + 400).map(event).collect();
        site.send_batch(events).await;
    }
    let csv = app
        .get(&stats(&site, "breakdown?property=event:page&metrics=visitors,pageviews&range=7d&format=csv"))
        .key(&key);
    let csv = csv.send().await.expect(200);
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let file = csv.header("content-disposition").unwrap();
    assert_eq!(file, "attachment; filename=\"shop.example_breakdown_2026-06-06_2026-06-13.csv\"");
    let rows = lines(&csv);
    assert_eq!(rows[0], "page,title,visitors,pageviews");
    assert_eq!(rows.len(), 1 + 3 + 1_200);
    assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), rows.len());
    assert!(rows.iter().any(|row| row.starts_with("/blog/=1+1,")), "it begins with a slash");

    let filtered = "breakdown?property=event:page&range=7d&filters=event:page!=/many/*";
    let ndjson =
        app.get(&stats(&site, filtered)).key(&key).header("accept", "application/x-ndjson").send().await.expect(200);
    assert_eq!(ndjson.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(ndjson.text().lines().count(), 3);
    assert!(ndjson.text().lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["visitors"].is_u64()));
    let some = app.get(&stats(&site, "breakdown?property=event:page&range=7d&format=csv&limit=1100")).key(&key);
    assert_eq!(lines(&some.send().await.expect(200)).len(), 1_101);

    let series = app.get(&stats(&site, "timeseries?from=2026-06-11&to=2026-06-13&format=csv&compare=previous_period"));
    let series = lines(&series.key(&key).send().await.expect(200));
    assert_eq!(series[0], "date,from,visitors,comparison_visitors,change_visitors");
    assert_eq!(series[1], "2026-06-11,2026-06-11T00:00:00.000Z,1,0,");
    assert_eq!(series.len(), 4);
}

#[actix_web::test]
async fn formulas_are_harmless_in_files() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let mut hit = site.hit("/", "session-1");
    hit["utm_campaign"] = "=HYPERLINK(\"https://evil.example\")".into();
    site.send(&hit).send().await.expect(200);
    let csv = app.get(&stats(&site, "breakdown?property=visit:utm_campaign&format=csv")).key(&site.key("read"));
    let rows = lines(&csv.send().await.expect(200));
    assert_eq!(rows[1], "\"'=HYPERLINK(\"\"https://evil.example\"\")\",1");
}

#[actix_web::test]
async fn an_answer_explains_itself() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    traffic(&site).await;
    let asked = "breakdown?range=7d&property=event:page&limit=1&explain=1&filters=event:page==/pricing|/&metrics=visitors,bounce_rate";
    let explain = read(&app, &key, &stats(&site, asked)).await["data"]["explain"].clone();
    assert_eq!((&explain["exactness"], &explain["timezone"]), (&json!("exact"), &json!("UTC")));
    assert_eq!(explain["counted"], json!({ "events": 4, "pageviews": 4, "visits": 3, "visitors": 3 }));
    let left_out = |reason: &str| {
        let all = explain["left_out"].as_array().unwrap();
        all.iter().find(|left| left["reason"] == reason).unwrap_or_else(|| panic!("{reason}: {explain}")).clone()
    };
    assert_eq!(left_out("filters")["events"], 1);
    assert_eq!(left_out("not_a_page_view")["events"], 1);
    assert_eq!(left_out("other_pages")["rows"], 1);
    assert_eq!(explain["definitions"][1]["id"], "bounce_rate.whole_visits.v1");
    // What was counted and what was left out is everything in the range.
    let all = read(&app, &key, &stats(&site, "aggregate?range=7d&metrics=events")).await;
    assert_eq!(all["results"]["events"]["value"], 4 + 1 + 1);
}

#[actix_web::test]
async fn every_wrong_parameter_is_named_at_once() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    let wrong = "breakdown?metrics=visitors,nothing&filters=visit:country&property=colour&timezone=Mars/Olympus&from=yesterday\
                 &sort=name&limit=0&page=0&cursor=x&compare=custom&explain=maybe&format=xml";
    let reply = app.get(&stats(&site, wrong)).key(&key).send().await.expect(400);
    assert_eq!(reply.code(), "VALIDATION_ERROR");
    let details = reply.json()["details"].as_object().unwrap().clone();
    let named: BTreeSet<&str> = details.keys().map(String::as_str).collect();
    let expected = [
        "metrics", "filters", "property", "timezone", "from", "sort", "limit", "page", "cursor", "compare", "explain",
        "format",
    ];
    assert_eq!(named, BTreeSet::from(expected));

    let missing = app.get("/api/external/v1/stats/aggregate").key(&key).send().await.expect(400);
    assert_eq!(missing.code(), "MISSING_SITE_ID");
    for (query, field) in [
        ("aggregate?metrics=conversion_rate", "metrics"),
        ("aggregate?metrics=time_on_page", "metrics"),
        ("timeseries?metrics=percentage", "metrics"),
        ("timeseries?interval=hour&from=2020-01-01", "interval"),
        ("timeseries?from=2001-01-01", "from"),
        ("timeseries?period=custom&date=2026-06-13", "date"),
        ("breakdown", "property"),
        ("breakdown?property=page,os,browser", "property"),
    ] {
        let reply = app.get(&stats(&site, query)).key(&key).send().await.expect(400);
        assert!(reply.json()["details"][field].is_string(), "{query}: {}", reply.text());
    }
}

#[actix_web::test]
async fn a_website_is_named_by_its_id_or_its_domain() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let foreign = app.team(Plan::Enterprise).website("foreign.example");
    let key = site.key("read");
    for (query, status) in [
        ("site_id=shop.example".to_owned(), 200),
        ("site_id=SHOP.example".to_owned(), 200),
        (format!("website_id={}", site.id()), 200),
        (format!("site_id={}", foreign.id()), 403),
        ("site_id=foreign.example".to_owned(), 404),
        ("site_id=nothing.example".to_owned(), 404),
    ] {
        app.get(&format!("/api/external/v1/stats/aggregate?{query}")).key(&key).send().await.expect(status);
    }
}

#[actix_web::test]
async fn a_website_of_a_free_team_is_closed_by_its_domain_as_by_its_id() {
    let app = TestApp::start().await;
    let (paid, free) = (app.team(Plan::Scale), app.team(Plan::Free));
    app.state.store.add_member(free.id, paid.owner, Role::Admin, &app.state.plans, app.clock.now()).unwrap();
    let closed = free.website("closed.example");
    let key = paid.key("read");
    let of = |site: &str| format!("/api/external/v1/stats/aggregate?site_id={site}");
    for site in [closed.id().to_string(), "closed.example".to_owned(), "Closed.Example".to_owned()] {
        assert_eq!(app.get(&of(&site)).key(&key).send().await.expect(403).code(), "API_PAID_PLAN_REQUIRED", "{site}");
    }
    app.get("/api/v1/stats/aggregate?site_id=closed.example").bearer(&key).send().await.expect(402);
    app.get(&of("nothing.example")).key(&key).send().await.expect(404);
    // One that is open comes before an older one that is not.
    app.clock.advance_ms(1_000);
    paid.website("closed.example");
    app.get(&of("closed.example")).key(&key).send().await.expect(200);
    // A key for one website learns nothing of others.
    let some = app.key(KeyKind::Personal(paid.owner), "read", None, Some(vec![paid.website("open.example").id()]));
    app.get(&of("closed.example")).key(&some).send().await.expect(404);
}

/// Visitor 1 tells about themselves; visitor 2 has properties called like other members of a row.
async fn traits(site: &TestWebsite<'_>) {
    let event = |kind: &str, visitor: &str, props: Value| {
        let mut event = json!({
            "type": kind, "ts": common::at("2026-06-12T10:00:00Z").as_millis(), "visitorId": visitor, "sessionId": visitor,
            "props": { "url": "https://shop.example/", "name": "Order" },
        });
        if let (Some(all), Some(more)) = (event["props"].as_object_mut(), props.as_object()) {
            all.extend(more.clone());
        }
        event
    };
    let events = json!([
        event("identify", "visitor-1", json!({ "plan": "SECRETPLAN1" })),
        event("custom", "visitor-1", json!({ "plan": "SECRETPLAN1", "user_id": "SECRETID1" })),
        event("custom", "visitor-2", json!({ "plan": "pro", "visitors": "many", "page": "first", "change": "small" })),
    ]);
    site.send_batch(events).await;
}

#[actix_web::test]
async fn what_people_told_about_themselves_is_in_no_answer() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    traits(&site).await;
    for first in ["visit:browser", "event:page", "event:title", "event:name", "visit:country", "visit:entry_page"] {
        for filters in ["", "&filters=event:name!=zzz", "&filters=event:page==/"] {
            for pair in [format!("{first},event:props:plan"), format!("event:props:plan,{first}")] {
                let rest = format!("breakdown?property={pair}&range=7d&metrics=visitors,events&explain=1{filters}");
                let text = read(&app, &key, &stats(&site, &rest)).await.to_string();
                assert!(!text.contains("SECRET"), "{rest}: {text}");
            }
            let csv = stats(&site, &format!("breakdown?property={first},props:plan&range=7d&format=csv{filters}"));
            assert!(!app.get(&csv).key(&key).send().await.expect(200).text().contains("SECRET"));
        }
    }
    let events = async |filters: &str| {
        let rest = format!("aggregate?range=7d&metrics=events&filters={filters}");
        read(&app, &key, &stats(&site, &rest)).await["results"]["events"]["value"].clone()
    };
    for filters in [
        "event:props:plan==SECRETPLAN1",
        "[[%22is%22,%22event:props:plan%22,[%22SECRETPLAN1%22]]]",
        "[[%22matches%22,%22event:props:plan%22,[%22%5ES%22]]]",
        "[[%22is%22,%22event:props:plan%22,[%22SECRETPLAN1%22],{%22level%22:%22visit%22}]]",
        "[[%22has_done%22,[%22is%22,%22event:props:plan%22,[%22SECRETPLAN1%22]]]]",
    ] {
        assert_eq!(events(filters).await, 0, "{filters}");
    }
    assert_eq!(events("event:props:plan==pro").await, 1);
    assert_eq!(events("event:props:plan!=other").await, 1);
    for (rest, field) in [
        ("breakdown?property=event:props:user_id", "property"),
        ("breakdown?property=visit:os,props:user_id", "property"),
        ("aggregate?filters=event:props:user_id==SECRETID1", "filters"),
        ("aggregate?filters=[[%22is%22,%22event:props:plan%22,[%22x%22],{%22level%22:%22visitor%22}]]", "filters"),
    ] {
        let refused = app.get(&stats(&site, rest)).key(&key).send().await.expect(400).json();
        assert!(refused["details"][field].is_string(), "{rest}: {refused}");
    }

    let path = "breakdown?range=7d&property=visit:browser,event:props:plan&explain=1&filters=event:name==Order";
    let explain = read(&app, &key, &stats(&site, path)).await["data"]["explain"].clone();
    let told = explain["left_out"].as_array().unwrap().iter().find(|left| left["reason"] == "told_by_a_person");
    assert!(told.is_some_and(|told| told["events"].as_u64() >= Some(1)), "{explain}");
}

#[actix_web::test]
async fn properties_called_like_a_member_of_a_row_have_their_full_name() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    traits(&site).await;
    let first = async |property: &str| {
        let rest = format!("breakdown?range=7d&property={property}&filters=event:props:plan==pro");
        read(&app, &key, &stats(&site, &rest)).await["results"][0].clone()
    };
    assert_eq!(first("event:props:visitors").await, json!({ "event:props:visitors": "many", "visitors": 1 }));
    assert_eq!(first("props:change").await, json!({ "event:props:change": "small", "visitors": 1 }));
    assert_eq!(first("event:props:page").await, json!({ "page": "first", "visitors": 1 }));
    let pair = first("event:page,event:props:page").await;
    assert_eq!((&pair["page"], &pair["event:props:page"]), (&json!("/"), &json!("first")), "{pair}");
    let csv = stats(&site, "breakdown?range=7d&format=csv&property=event:props:visitors&filters=event:props:plan==pro");
    let csv = lines(&app.get(&csv).key(&key).send().await.expect(200));
    assert_eq!(csv, ["event:props:visitors,visitors", "many,1"]);

    let v1 = "/api/v1/stats/breakdown?site_id=shop.example&period=7d&property=event:props:visitors\
              &filters=event:props:plan==pro";
    let v1 = app.get(v1).bearer(&key).send().await.expect(200).json();
    assert_eq!(v1["results"][0], json!({ "event:props:visitors": "many", "visitors": 1 }));
}

#[actix_web::test]
async fn every_list_of_the_api_is_a_file() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    for number in 0..130 {
        let mut hit = site.hit(&format!("/page/{number}"), &format!("session-{number}"));
        hit["visitor_id"] = format!("visitor-{number}").into();
        hit["title"] = if number == 0 { "=1+1" } else { "Page" }.into();
        site.send(&hit).from("8.8.8.8").send().await.expect(200);
        app.clock.advance_ms(1_000);
    }
    for (list, rows, name) in [
        ("/analytics/{id}?range=24h", "daily_stats", "shop.example_days_2026-06-12_2026-06-13.csv"),
        ("/analytics/{id}/visitors?range=24h", "visitors", "shop.example_visitors_2026-06-12_2026-06-13.csv"),
        ("/analytics/{id}/pages?range=24h", "pages", "shop.example_pages_2026-06-12_2026-06-13.csv"),
        ("/analytics/{id}/countries?range=24h", "countries", "shop.example_countries_2026-06-12_2026-06-13.csv"),
        ("/websites?", "websites", "websites.csv"),
        ("/heatmaps/{id}/pages?", "pages", "shop.example_heatmaps.csv"),
        ("/replays/{id}/sessions?", "sessions", "shop.example_replays.csv"),
        ("/errors/{id}/groups?", "error_groups", "shop.example_errors.csv"),
    ] {
        let path = site.path(list);
        let page = app.get(&path).key(&key).send().await.expect(200).data();
        let csv = app.get(&format!("{path}&format=csv")).key(&key).send().await.expect(200);
        assert_eq!(csv.header("content-disposition").unwrap(), format!("attachment; filename=\"{name}\""));
        let lines = lines(&csv);
        let columns: Vec<&str> = lines[0].split(',').collect();
        if let Some(first) = page[rows].as_array().unwrap().first() {
            let members: Vec<&String> = first.as_object().unwrap().keys().collect();
            assert_eq!(columns, members, "{list}");
        }
        let ndjson = app.get(&path).key(&key).header("accept", "application/x-ndjson").send().await.expect(200);
        let all: Vec<Value> = ndjson.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(all.len(), lines.len() - 1, "{list}");
        // The page is the beginning of the file.
        for (row, shown) in all.iter().zip(page[rows].as_array().unwrap()) {
            assert_eq!(row, shown, "{list}");
        }
        let of_places = list.contains("countries") || list.contains("visitors");
        assert_eq!(csv.header("link").is_some(), of_places, "{list}");
    }
    let read = async |path: &str| lines(&app.get(&site.path(path)).key(&key).send().await.expect(200));
    let pages = read("/analytics/{id}/pages?range=24h&format=csv").await;
    assert_eq!(pages.len(), 131, "all rows, not a page of 20");
    assert!(pages.iter().any(|row| row.starts_with("/page/0,/page/0,'=1+1,")), "no formula");
    assert_eq!(read("/analytics/{id}/visitors?range=24h&format=csv").await.len(), 131);
    let some = read("/analytics/{id}/visitors?range=24h&format=csv&limit=5&offset=3").await;
    let all = read("/analytics/{id}/visitors?range=24h&format=csv").await;
    assert_eq!(some[1..], all[4..9]);
    let technology = read("/analytics/{id}/technology?range=24h&format=csv").await;
    assert_eq!(
        technology,
        [
            "list,name,visitors,percentage",
            "browser,Chrome,130,100.0",
            "operating_system,Linux,130,100.0",
            "device,desktop,130,100.0"
        ]
    );
}
