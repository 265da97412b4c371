//! The requests that tools made for Plausible send, and what they read in the answers: `plausible-mcp` 0.1.2,
//! `airbyte-source-plausible` 0.1.14 and `@nouance/payload-dashboard-analytics` 0.3.0, and the examples of its documentation.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::io::Write;

use common::{Reply, TestApp, TestKey, TestWebsite};
use serde_json::{Value, json};
use zenovay_domain::Plan;

/// Three visits on two days: one from a phone, one that signs up, one that bounces.
async fn traffic(site: &TestWebsite<'_>) {
    let event = |kind: &str, at: &str, visit: &str, page: &str, more: Value| site.row(kind, at, visit, page, more);
    let events = json!([
        event("pageview", "2026-06-12T10:00:00Z", "one", "/", json!({})),
        event("pageview", "2026-06-12T10:02:00Z", "one", "/pricing", json!({})),
        event("goal", "2026-06-12T10:03:00Z", "one", "/pricing", json!({ "name": "Signup" })),
        event("pageview", "2026-06-13T09:00:00Z", "two", "/", json!({})),
        event("pageview", "2026-06-13T09:30:00Z", "three", "/blog/a", json!({})),
    ]);
    site.send_batch(events).await;
}

async fn get(app: &TestApp, key: &TestKey, path: &str) -> Reply {
    app.get(path).bearer(key).header("accept", "application/json").send().await
}

async fn ask(app: &TestApp, key: &TestKey, body: Value) -> Reply {
    app.post("/api/v2/query").bearer(key).json(&body).send().await
}

#[actix_web::test]
async fn the_requests_of_plausible_mcp() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    traffic(&site).await;

    let sites = get(&app, &key, "/api/v1/sites").await.expect(200).json();
    assert_eq!(sites["sites"], json!([{ "domain": "shop.example", "timezone": "UTC" }]));
    assert_eq!(sites["meta"], json!({ "after": null, "before": null, "limit": 100 }));

    let metrics = "visitors%2Cpageviews%2Cbounce_rate%2Cvisit_duration";
    let totals =
        get(&app, &key, &format!("/api/v1/stats/aggregate?site_id=shop.example&period=30d&metrics={metrics}")).await;
    let expected = json!({ "results": {
        "visitors": { "value": 3 }, "pageviews": { "value": 4 }, "bounce_rate": { "value": 67 }, "visit_duration": { "value": 60 },
    } });
    assert_eq!(totals.expect(200).json(), expected);

    for (property, first) in [
        ("event:page", json!({ "page": "/", "visitors": 2 })),
        ("visit:source", json!({ "source": "(Direct / None)", "visitors": 3 })),
        ("event:entry_page", json!({ "entry_page": "/", "visitors": 2 })),
        ("visit:campaign", json!({ "campaign": "(not set)", "visitors": 3 })),
        ("event:goal", json!({ "goal": "Signup", "visitors": 1 })),
    ] {
        let path = format!("/api/v1/stats/breakdown?site_id=shop.example&property={property}&period=30d&limit=20");
        let rows = get(&app, &key, &path).await.expect(200).json();
        assert_eq!(rows["results"][0], first, "{property}");
    }
    // Nobody knows where these visitors were.
    let countries = "/api/v1/stats/breakdown?site_id=shop.example&property=visit:country&period=30d";
    assert_eq!(get(&app, &key, countries).await.expect(200).json(), json!({ "results": [] }));

    let live = get(&app, &key, "/api/v1/stats/realtime/visitors?site_id=shop.example").await.expect(200);
    assert_eq!((live.text(), live.header("content-type")), ("0".to_owned(), Some("application/json")));

    let series =
        get(&app, &key, "/api/v1/stats/timeseries?site_id=shop.example&period=7d&interval=date").await.expect(200);
    let series = series.json()["results"].as_array().unwrap().clone();
    assert_eq!(series.len(), 7);
    assert_eq!(
        (&series[0], &series[6]),
        (&json!({ "date": "2026-06-07", "visitors": 0 }), &json!({ "date": "2026-06-13", "visitors": 2 }))
    );
    let day = "/api/v1/stats/aggregate?site_id=shop.example&period=day&date=2026-06-12&metrics=visitors";
    assert_eq!(get(&app, &key, day).await.expect(200).json(), json!({ "results": { "visitors": { "value": 1 } } }));
    let custom = "/api/v1/stats/aggregate?site_id=shop.example&period=custom&date=2026-06-12%2C2026-06-13";
    assert_eq!(get(&app, &key, custom).await.expect(200).json()["results"]["visitors"]["value"], 3);
}

#[actix_web::test]
async fn the_requests_of_airbyte() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    traffic(&site).await;
    let path = "/api/v1/stats/timeseries?site_id=shop.example&period=custom\
                &metrics=visitors%2Cpageviews%2Cbounce_rate%2Cvisit_duration%2Cvisits&date=2019-01-01%2C2026-06-13";
    let series = get(&app, &site.key("read"), path).await.expect(200).json()["results"].as_array().unwrap().clone();
    // Its records are those days that have a bounce rate; all its numbers are whole.
    let kept: Vec<&Value> = series.iter().filter(|record| !record["bounce_rate"].is_null()).collect();
    assert_eq!(kept.len(), 2);
    assert_eq!(
        kept[0],
        &json!({ "date": "2026-06-12", "visitors": 1, "pageviews": 2, "bounce_rate": 0, "visit_duration": 180, "visits": 1 })
    );
    assert_eq!(series.len(), 2_721);
}

#[actix_web::test]
async fn the_requests_of_payload_dashboards() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    traffic(&site).await;
    let fetch =
        |path: &str| app.get(path).bearer(&key).header("content-type", "application/x-www-form-urlencoded").send();
    let metrics = "visitors%2Cpageviews%2Cbounce_rate%2Cvisit_duration%2Cvisits";
    let page = format!(
        "/api/v1/stats/aggregate?site_id=shop.example&period=12mo&metrics={metrics}&filters=event%3Apage%3D%3D%2Fpricing"
    );
    assert_eq!(fetch(&page).await.expect(200).json()["results"]["pageviews"], json!({ "value": 1 }));
    let rows = fetch(
        "/api/v1/stats/breakdown?site_id=shop.example&period=30d&metrics=pageviews%2Cvisitors&property=event%3Apage&limit=10",
    );
    let rows = rows.await.expect(200).json();
    // It takes the first member of a row for the property.
    let first: Vec<&String> = rows["results"][0].as_object().unwrap().keys().collect();
    assert_eq!(first, ["page", "pageviews", "visitors"]);
    let chart =
        fetch("/api/v1/stats/timeseries?site_id=shop.example&period=month&metrics=pageviews").await.expect(200).json();
    assert_eq!(chart["results"].as_array().unwrap().len(), 30);
    fetch("/api/v1/stats/realtime/visitors?site_id=shop.example&period=30d&metrics=pageviews").await.expect(200);
}

#[actix_web::test]
async fn filters_comparisons_and_conversions_of_version_1() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    traffic(&site).await;
    let totals = async |rest: &str| {
        let path = format!("/api/v1/stats/aggregate?site_id=shop.example&{rest}");
        get(&app, &key, &path).await.expect(200).json()["results"].clone()
    };
    for (filters, visitors) in [
        ("event:page==/", 2),
        ("event:page==/blog/**", 1),
        ("event:page==/pricing|/blog/a", 2),
        ("event:page!=/", 2),
        ("visit:source==(Direct%20/%20None);event:page==/pricing", 1),
        ("visit:source==Google|Bing", 0),
        ("event:goal==Signup", 1),
        ("event:goal==Visit+/pricing", 1),
        ("event:goal==Signup|Visit%20/blog*", 2),
    ] {
        assert_eq!(totals(&format!("filters={filters}")).await["visitors"]["value"], visitors, "{filters}");
    }
    let compared = totals("period=day&date=2026-06-13&metrics=visitors,bounce_rate&compare=previous_period").await;
    let expected = json!({ "visitors": { "value": 2, "change": 100 }, "bounce_rate": { "value": 100, "change": 100 } });
    assert_eq!(compared, expected);
    // One of three visits.
    let rate = totals("metrics=conversion_rate&filters=event:goal==Signup").await;
    assert_eq!(rate["conversion_rate"]["value"], 33.33);
}

#[actix_web::test]
async fn errors_of_version_1() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    let error = |reply: Reply, status: u16| {
        let body = reply.expect(status).json();
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        body["error"].as_str().unwrap().to_owned()
    };
    let path = |rest: &str| format!("/api/v1/stats/{rest}");
    let no_key = app.get(&path("aggregate?site_id=shop.example")).send().await;
    assert_eq!(no_key.header("www-authenticate"), Some("Bearer"));
    assert_eq!(error(no_key, 401), "Missing API key. Please use a valid Plausible API key as a Bearer Token.");
    let bad_key = app.get(&path("aggregate?site_id=shop.example")).header("authorization", "Bearer bad").send().await;
    assert!(error(bad_key, 401).starts_with("Invalid API key or site ID. "));
    let foreign = get(&app, &key, &path("aggregate?site_id=other.example")).await;
    assert!(error(foreign, 401).starts_with("Invalid API key or site ID. "));
    let free = app.team(Plan::Free);
    free.website("free.example");
    let unpaid = get(&app, &free.key("read"), &path("aggregate?site_id=free.example")).await;
    assert!(error(unpaid, 402).contains("paid plan"));
    for (rest, expected) in [
        ("aggregate", "Missing site ID. Please provide the required site_id parameter with your request."),
        ("aggregate?site_id=shop.example&period=bad", "Error parsing `period` parameter: invalid period `bad`."),
        ("aggregate?site_id=shop.example&period=day&date=bad", "Error parsing `date` parameter: invalid date `bad`."),
        ("aggregate?site_id=shop.example&metrics=led_zeppelin", "The metric `led_zeppelin` is not recognized. "),
        ("aggregate?site_id=shop.example&metrics=visitors,visitors", "Metrics cannot be queried multiple times."),
        ("aggregate?site_id=shop.example&filters=visit:country", "Error parsing `filters` parameter: "),
        ("aggregate?site_id=shop.example&metrics=conversion_rate", "Metric `conversion_rate` can only be queried "),
        (
            "aggregate?site_id=shop.example&metrics=bounce_rate&filters=event:name==x",
            "Session metric `bounce_rate` cannot be ",
        ),
        (
            "aggregate?site_id=shop.example&metrics=views_per_visit&filters=event:page==/",
            "Metric `views_per_visit` cannot be ",
        ),
        (
            "timeseries?site_id=shop.example&interval=alskd",
            "Error parsing `interval` parameter: invalid interval `alskd`.",
        ),
        ("breakdown?site_id=shop.example", "The `property` parameter is required. "),
        ("breakdown?site_id=shop.example&property=badproperty", "Invalid property 'badproperty'. "),
        (
            "breakdown?site_id=shop.example&property=event:page&limit=1001",
            "Please provide limit as a number between 1 and 1000.",
        ),
        ("breakdown?site_id=shop.example&property=event:page&page=-1", "Please provide page as a positive number."),
        (
            "breakdown?site_id=shop.example&property=event:page&metrics=views_per_visit",
            "Metric `views_per_visit` is not supported ",
        ),
    ] {
        let told = error(get(&app, &key, &path(rest)).await, 400);
        assert!(told.starts_with(expected), "{rest}: {told}");
    }
}

#[actix_web::test]
async fn questions_of_version_2() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    traffic(&site).await;
    let results = async |more: Value| {
        let mut body = json!({ "site_id": "shop.example", "metrics": ["visitors"], "date_range": "7d" });
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        ask(&app, &key, body).await.expect(200).json()
    };
    let simple = results(json!({ "metrics": ["visitors", "bounce_rate", "visit_duration"] })).await;
    assert_eq!(simple["results"], json!([{ "metrics": [3, 67, 60], "dimensions": [] }]));
    assert_eq!(simple["meta"], json!({}));
    let range = &simple["query"]["date_range"];
    assert_eq!(range, &json!(["2026-06-07T00:00:00+00:00", "2026-06-13T23:59:59+00:00"]));

    let pages = results(
        json!({ "dimensions": ["event:page"], "include": { "total_rows": true }, "pagination": { "limit": 2 } }),
    )
    .await;
    let expected = json!([{ "metrics": [2], "dimensions": ["/"] }, { "metrics": [1], "dimensions": ["/blog/a"] }]);
    assert_eq!((&pages["results"], &pages["meta"]["total_rows"]), (&expected, &json!(3)));
    let rest = results(json!({ "dimensions": ["event:page"], "pagination": { "limit": 2, "offset": 2 } })).await;
    assert_eq!(rest["results"], json!([{ "metrics": [1], "dimensions": ["/pricing"] }]));
    let by_name = results(json!({ "dimensions": ["event:page"], "order_by": [["event:page", "desc"]] })).await;
    assert_eq!(by_name["results"][0]["dimensions"], json!(["/pricing"]));

    let days = results(json!({ "dimensions": ["time:day"], "include": { "time_labels": true } })).await;
    let expected =
        json!([{ "metrics": [1], "dimensions": ["2026-06-12"] }, { "metrics": [2], "dimensions": ["2026-06-13"] }]);
    assert_eq!(days["results"], expected, "no row for a day without visitors");
    assert_eq!(days["meta"]["time_labels"].as_array().unwrap().len(), 7);
    let hours = results(json!({ "dimensions": ["time"], "date_range": "day" })).await;
    assert_eq!(hours["results"], json!([{ "metrics": [2], "dimensions": ["2026-06-13 09:00:00"] }]));
    let mixed = results(json!({ "dimensions": ["time:day", "event:page"], "metrics": ["pageviews"] })).await;
    let expected = json!([
        { "metrics": [1], "dimensions": ["2026-06-12", "/"] },
        { "metrics": [1], "dimensions": ["2026-06-12", "/pricing"] },
        { "metrics": [1], "dimensions": ["2026-06-13", "/"] },
        { "metrics": [1], "dimensions": ["2026-06-13", "/blog/a"] },
    ]);
    assert_eq!(mixed["results"], expected);
    let pairs = results(json!({ "dimensions": ["visit:entry_page", "visit:exit_page"] })).await;
    assert_eq!(pairs["results"][0], json!({ "metrics": [1], "dimensions": ["/", "/"] }));

    for (filters, visitors) in [
        (json!([["is", "event:page", ["/pricing"]]]), 1),
        (json!([["is_not", "event:page", ["/"]]]), 2),
        (json!([["contains", "event:page", ["BLOG"], { "case_sensitive": false }]]), 1),
        (json!([["matches", "event:page", ["^/(pricing|blog/.*)$"]]]), 2),
        (json!([["or", [["is", "event:page", ["/pricing"]], ["is", "event:page", ["/blog/a"]]]]]), 2),
        (json!([["and", [["is", "event:page", ["/"]], ["not", ["is", "visit:exit_page", ["/pricing"]]]]]]), 1),
        (json!([["has_done", ["is", "event:goal", ["Signup"]]]]), 1),
        (json!([["has_not_done", ["is", "event:goal", ["Signup"]]]]), 2),
        (json!([["is", "event:goal", ["Signup"]]]), 1),
    ] {
        let found = results(json!({ "filters": filters })).await;
        assert_eq!(found["results"][0]["metrics"], json!([visitors]), "{filters}");
    }
    let rates = results(json!({
        "metrics": ["visitors", "events", "conversion_rate", "percentage"], "dimensions": ["event:goal"],
    }))
    .await;
    assert_eq!(rates["results"], json!([{ "metrics": [1, 1, 33.33, 100.0], "dimensions": ["Signup"] }]));
    let groups = results(json!({
        "metrics": ["conversion_rate", "group_conversion_rate"], "dimensions": ["visit:entry_page"],
        "filters": [["is", "event:goal", ["Signup"]]],
    }))
    .await;
    assert_eq!(groups["results"], json!([{ "metrics": [33.33, 50.0], "dimensions": ["/"] }]));

    let compared = results(json!({ "date_range": ["2026-06-13", "2026-06-13"], "include": { "comparisons": { "mode": "previous_period" } } })).await;
    assert_eq!(
        compared["results"],
        json!([{ "metrics": [2], "dimensions": [], "comparison": { "metrics": [1], "dimensions": [], "change": [100] } }])
    );
}

#[actix_web::test]
async fn errors_of_version_2() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    for (body, expected) in [
        (
            json!({ "site_id": "shop.example", "metrics": ["visitors", "baa"], "date_range": "all" }),
            "#/metrics/1: Invalid metric \"baa\"",
        ),
        (
            json!({ "site_id": "shop.example", "metrics": ["visitors"], "date_range": "all", "dimensions": ["x"] }),
            "#/dimensions/0: Invalid dimension \"x\"",
        ),
        (
            json!({ "site_id": "shop.example", "metrics": ["visitors"], "date_range": "x" }),
            "#/date_range: Invalid date range \"x\"",
        ),
        (
            json!({ "metrics": ["visitors"], "date_range": "all" }),
            "Missing site ID. Please provide the required site_id parameter with your request.",
        ),
        (json!([]), "#: Type mismatch. Expected Object."),
    ] {
        assert_eq!(ask(&app, &key, body).await.expect(400).json(), json!({ "error": expected }));
    }
    let broken = app.post("/api/v2/query").bearer(&key).body("{").send().await.expect(400).json();
    assert!(broken["error"].as_str().unwrap().starts_with("The body is not valid JSON"), "{broken}");
    for twice in [r#"{"site_id":"a","site_id":"shop.example"}"#, r#"{"include":{"imports":true,"imports":false}}"#] {
        let refused = app.post("/api/v2/query").bearer(&key).body(twice).send().await.expect(400);
        assert!(refused.text().contains("is given twice"), "{}", refused.text());
    }
    let long = app.post("/api/v2/query").bearer(&key).body(vec![b' '; 70_000]).send().await.expect(413);
    assert!(long.json()["error"].is_string());
}

/// Sabotage: read what is packed as it is, or unpack without an end.
#[actix_web::test]
async fn a_packed_question_is_a_question() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    traffic(&site).await;
    let question = json!({ "site_id": "shop.example", "metrics": ["visitors"], "date_range": "7d" });
    let send = |encoding: &str, body: Vec<u8>| {
        app.post("/api/v2/query").bearer(&key).header("content-encoding", encoding).body(body).send()
    };
    let answer = send("gzip", packed(question.to_string().as_bytes())).await.expect(200).json();
    assert_eq!(answer["results"][0]["metrics"], json!([3]));
    send("gzip", packed(&vec![b' '; 70_000])).await.expect(413);
    send("br", question.to_string().into_bytes()).await.expect(415);
    send("gzip", question.to_string().into_bytes()).await.expect(400);
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[actix_web::test]
async fn websites_are_listed_page_by_page() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    for number in 0..5 {
        team.website(&format!("site-{number}.example"));
        app.clock.advance_ms(1_000);
    }
    let key = team.key("read");
    let mut path = "/api/v1/sites?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = get(&app, &key, &path).await.expect(200).json();
        seen.extend(page["sites"].as_array().unwrap().iter().map(|site| site["domain"].as_str().unwrap().to_owned()));
        match page["meta"]["after"].as_str() {
            Some(after) => path = format!("/api/v1/sites?limit=2&after={after}"),
            None => break,
        }
    }
    assert_eq!(seen, (0..5).map(|number| format!("site-{number}.example")).collect::<Vec<_>>());
    get(&app, &key, "/api/v1/sites?limit=0").await.expect(400);
    let health = app.get("/api/health").send().await.expect(200).json();
    assert_eq!(health, json!({ "postgres": "ok", "clickhouse": "ok", "sites_cache": "ok" }));
}

#[actix_web::test]
async fn what_people_told_about_themselves_is_in_no_answer() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    let event = |kind: &str, visitor: &str, more: Value| {
        let mut props = json!({ "url": "https://shop.example/", "name": "Order" });
        if let (Some(props), Some(more)) = (props.as_object_mut(), more.as_object()) {
            props.extend(more.clone());
        }
        let at = common::at("2026-06-12T10:00:00Z").as_millis();
        json!({ "type": kind, "ts": at, "visitorId": visitor, "sessionId": visitor, "props": props })
    };
    let events = json!([
        event("identify", "visitor-1", json!({ "plan": "SECRETPLAN1" })),
        event("custom", "visitor-1", json!({ "plan": "SECRETPLAN1", "user_id": "SECRETID1" })),
        event("custom", "visitor-2", json!({ "plan": "pro" })),
    ]);
    site.send_batch(events).await;

    let v2 = |dimensions: Value, filters: Value| {
        json!({ "site_id": "shop.example", "metrics": ["events"], "date_range": "7d", "dimensions": dimensions,
                "filters": filters })
    };
    for first in ["visit:browser", "event:page", "event:name", "time:day"] {
        for filters in [json!([]), json!([["is_not", "event:name", ["zzz"]]])] {
            for dimensions in [json!([first, "event:props:plan"]), json!(["event:props:plan", first])] {
                let rows = ask(&app, &key, v2(dimensions.clone(), filters.clone())).await.expect(200).text();
                assert!(!rows.contains("SECRET"), "{dimensions} {filters}: {rows}");
            }
        }
    }
    let is = |value: &str| json!(["is", "event:props:plan", [value]]);
    for (filter, expected) in [
        (is("SECRETPLAN1"), 0),
        (json!(["matches", "event:props:plan", ["^SECRET"]]), 0),
        (json!(["has_done", is("SECRETPLAN1")]), 0),
        (json!(["not", is("SECRETPLAN1")]), 3),
        (json!(["or", [is("SECRETPLAN1"), is("pro")]]), 1),
    ] {
        let answer = ask(&app, &key, v2(json!([]), json!([filter]))).await.expect(200).json();
        assert_eq!(answer["results"][0]["metrics"], json!([expected]), "{filter}");
    }
    let v1 = "/api/v1/stats/aggregate?site_id=shop.example&period=7d&metrics=events&filters=event:props:plan==SECRET*";
    assert_eq!(get(&app, &key, v1).await.expect(200).json()["results"]["events"]["value"], 0);

    let refused = ask(&app, &key, v2(json!(["event:props:user_id"]), json!([]))).await.expect(400).json();
    assert_eq!(refused["error"], "#/dimensions/0: Dimension \"event:props:user_id\" is not available");
    let filtered = v2(json!([]), json!([["is", "event:props:user_id", ["SECRETID1"]]]));
    assert!(ask(&app, &key, filtered).await.expect(400).text().contains("is not available"));
    for rest in [
        "breakdown?site_id=shop.example&property=event:props:user_id",
        "aggregate?site_id=shop.example&filters=event:props:user_id==SECRETID1",
    ] {
        let refused = get(&app, &key, &format!("/api/v1/stats/{rest}")).await.expect(400);
        assert!(refused.text().contains("is not available"), "{}", refused.text());
    }
}
