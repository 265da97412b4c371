//! Goals and funnels: who makes them, what they count, and what cannot be one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use actix_web::http::Method;
use common::{TestApp, TestWebsite};
use serde_json::{Value, json};
use zenovay_domain::Plan;

fn path(site: &TestWebsite<'_>, rest: &str) -> String {
    format!("/api/websites/{}{rest}", site.id())
}

fn event(site: &TestWebsite<'_>, time: &str, visit: &str, name: &str, more: Value) -> Value {
    let mut row = site.row("custom", time, visit, "/", more);
    row["props"]["name"] = name.into();
    row
}

/// The same, of a visitor in Germany.
fn german(mut row: Value) -> Value {
    row["serverContext"] = json!({ "clientIp": "193.99.144.80" });
    row
}

/// Four visits: one all the way, one half of it, one in the wrong order, one by the code of the page.
async fn visits(site: &TestWebsite<'_>) {
    let rows = vec![
        german(site.row("pageview", "2026-06-13T10:00:00Z", "a", "/pricing", json!({}))),
        event(site, "2026-06-13T10:01:00Z", "a", "signup", json!({})),
        site.row("pageview", "2026-06-13T10:02:00Z", "a", "/docs/start", json!({})),
        site.row("pageview", "2026-06-13T10:00:00Z", "b", "/pricing", json!({})),
        event(site, "2026-06-13T10:05:00Z", "b", "signup", json!({})),
        event(site, "2026-06-13T10:00:00Z", "c", "signup", json!({})),
        site.row("pageview", "2026-06-13T10:05:00Z", "c", "/pricing", json!({})),
        event(
            site,
            "2026-06-13T10:00:00Z",
            "d",
            "funnel_step",
            json!({ "funnel": "Tour", "step": 1, "step_name": "Open" }),
        ),
        event(site, "2026-06-13T10:01:00Z", "d", "funnel_step", json!({ "funnel": "Tour", "step": 2 })),
        event(
            site,
            "2026-06-13T10:02:00Z",
            "e",
            "funnel_step",
            json!({ "funnel": "Tour", "step": 1, "step_name": "Open" }),
        ),
    ];
    site.send_batch(rows).await;
}

/// Sabotage: count visitors, take all events for visits, or leave the filter out.
#[actix_web::test]
async fn goals_have_conversions_and_a_rate_of_all_visits() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let (reads, writes) = (site.key("read"), site.key("read,write"));
    visits(&site).await;
    let add = |body: Value| app.post(&path(&site, "/goals")).key(&writes).json(&body).send();
    let made = add(json!({ "name": "Sign-up", "type": "event", "value": "signup" })).await.expect(201);
    let goal = made.data();
    let location = made.header("location").unwrap().to_owned();
    assert_eq!(location, path(&site, &format!("/goals/{}", goal["id"].as_str().unwrap())));
    app.clock.advance_ms(1);
    add(json!({ "name": "Docs", "type": "page", "match_type": "starts_with", "value": "/docs" })).await.expect(201);

    let list = app.get(&path(&site, "/goals?range=today&compare=previous")).key(&reads).send().await.expect(200).data();
    let told: Vec<Value> = list["goals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|goal| json!([goal["name"], goal["numbers"]["conversions"], goal["numbers"]["conversion_rate"]]))
        .collect();
    assert_eq!(told, [json!(["Sign-up", 3, 0.6]), json!(["Docs", 1, 0.2])]);
    assert_eq!(list["goals"][0]["before"]["conversions"], 0);
    assert_eq!(list["goals"][0]["series"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>(), 3);
    let totals = app.get(&path(&site, "/totals?range=today")).key(&reads).send().await.expect(200).data();
    assert_eq!(totals["now"]["conversion_rate"], 0.6, "a visit with any goal is one conversion");
    let only = app.get(&path(&site, "/totals?range=today&f=goal:is:Docs")).key(&reads).send().await.expect(200).data();
    assert_eq!((&only["now"]["sessions"], &only["now"]["conversion_rate"]), (&json!(1), &json!(0.2)));
    let none = app.get(&path(&site, "/totals?range=today&f=goal:is_not:Sign-up")).key(&reads).send().await;
    assert_eq!(none.expect(200).data()["now"]["sessions"], 2);
    let german =
        app.get(&path(&site, "/goals?range=today&f=country:is:DE")).key(&reads).send().await.expect(200).data();
    assert_eq!(german["goals"][0]["numbers"]["conversion_rate"], 1.0);

    let changed = app.request(Method::PATCH, &location).key(&writes).json(&json!({ "name": "Signed up" })).send().await;
    assert_eq!(changed.expect(200).data()["value"], "signup");
    let target = json!({ "target": { "type": "page", "value": "/pricing" } });
    let changed = app.request(Method::PATCH, &location).key(&writes).json(&target).send().await.expect(200).data();
    assert_eq!((&changed["name"], &changed["match_type"]), (&json!("Signed up"), &json!("exact")));
    app.request(Method::DELETE, &location).key(&writes).send().await.expect(204);
    app.request(Method::DELETE, &location).key(&writes).send().await.expect(404);
    app.request(Method::PATCH, &path(&site, "/goals/x")).key(&writes).json(&target).send().await.expect(404);
}

/// Sabotage: answer a broken rule with 400, or a wrong type with 422.
#[actix_web::test]
async fn what_cannot_be_a_goal_or_a_funnel_is_refused_by_field() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read,write");
    for (what, body, status, field, words) in [
        (
            "goals",
            json!({ "name": "x".repeat(101), "type": "event", "value": "a" }),
            422,
            "name",
            "Name too long (max 100 characters)",
        ),
        ("goals", json!({ "name": "A", "type": "click", "value": "a" }), 422, "type", "Use page or event"),
        ("goals", json!({ "name": "A", "type": "page", "value": "docs" }), 422, "value", "A path begins with /"),
        ("goals", json!({ "name": "A", "type": "page", "match_type": "regex", "value": "(" }), 422, "value", "regular"),
        ("goals", json!({ "name": 1, "type": "event", "value": "a" }), 400, "name", "invalid type"),
        ("goals", json!({ "type": "event", "value": "a" }), 400, "body", "missing field"),
        (
            "goals",
            json!({ "name": "A", "type": "event", "value": "a", "colour": "red" }),
            400,
            "colour",
            "unknown field",
        ),
        ("funnels", json!({ "name": "A", "steps": [] }), 422, "steps", "Use 2 to 7 steps"),
        (
            "funnels",
            json!({ "name": "A", "steps": vec![json!({ "type": "event", "value": "a" }); 8] }),
            422,
            "steps",
            "Use 2",
        ),
        (
            "funnels",
            json!({ "name": "A", "steps": [{ "type": "event", "value": "a" }, { "type": "page", "value": "" }] }),
            422,
            "steps.1.value",
            "Required",
        ),
        (
            "funnels",
            json!({ "name": "A", "steps": [{ "type": "event", "value": 1 }] }),
            400,
            "steps[0].value",
            "invalid type",
        ),
    ] {
        let reply = app.post(&path(&site, &format!("/{what}"))).key(&key).json(&body).send().await.expect(status);
        assert_eq!(reply.code(), if status == 422 { "UNPROCESSABLE_ENTITY" } else { "VALIDATION_ERROR" }, "{body}");
        let problem = reply.json()["details"][field].clone();
        assert!(problem.as_str().is_some_and(|text| text.contains(words)), "{body}: {}", reply.text());
    }
    let malformed = app.post(&path(&site, "/goals")).key(&key).header("content-type", "application/json");
    let malformed = malformed.body(r#"{ "name": "Test", }"#).send().await.expect(400);
    assert_eq!(malformed.code(), "VALIDATION_ERROR");
    app.post(&path(&site, "/goals")).key(&key).body("{}").send().await.expect(415);
    let goal = json!({ "name": "A", "type": "event", "value": "a" });
    app.post(&path(&site, "/goals")).key(&key).json(&goal).send().await.expect(201);
    app.post(&path(&site, "/goals")).key(&key).json(&goal).send().await.expect(409);
    let unknown = json!({ "name": "A", "steps": [
        { "type": "event", "value": "a" },
        { "type": "goal", "value": "0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b" },
    ] });
    app.post(&path(&site, "/funnels")).key(&key).json(&unknown).send().await.expect(404);
    app.post(&path(&site, "/goals")).key(&site.key("read")).json(&goal).send().await.expect(403);
}

/// Sabotage: let steps come in any order, or in two visits.
#[actix_web::test]
async fn a_funnel_counts_visitors_who_take_its_steps_in_order() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read,write");
    visits(&site).await;
    let goal = json!({ "name": "Sign-up", "type": "event", "value": "signup" });
    let goal = app.post(&path(&site, "/goals")).key(&key).json(&goal).send().await.expect(201).data();
    let body = json!({ "name": "To the docs", "steps": [
        { "type": "page", "match_type": "ends_with", "value": "pricing" },
        { "type": "goal", "value": goal["id"] },
        { "type": "page", "match_type": "contains", "value": "docs" },
    ] });
    let funnel = app.post(&path(&site, "/funnels")).key(&key).json(&body).send().await.expect(201);
    let location = funnel.header("location").unwrap().to_owned();
    assert_eq!(funnel.data()["steps"][1]["label"], "Sign-up");
    for when in ["at once", "sealed"] {
        let report = app
            .get(&format!("{location}/report?range=today&compare=previous"))
            .key(&key)
            .send()
            .await
            .expect(200)
            .data();
        let steps: Vec<(u64, u64, Value)> = report["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| {
                (step["visitors"].as_u64().unwrap(), step["left"].as_u64().unwrap(), step["of_previous"].clone())
            })
            .collect();
        assert_eq!(steps, [(3, 0, json!(1.0)), (2, 1, json!(0.6667)), (1, 1, json!(0.5))], "{when}");
        assert_eq!(report["conversion_rate"], 0.3333);
        assert_eq!(report["before"]["steps"][0]["visitors"], 0);
        let german = app.get(&format!("{location}/report?range=today&f=country:is:DE")).key(&key).send().await;
        assert_eq!(german.expect(200).data()["conversion_rate"], 1.0, "{when}");
        app.events.seal().unwrap();
    }

    let list = app.get(&path(&site, "/funnels?range=today")).key(&key).send().await.expect(200).data();
    let told: Vec<Value> = list["funnels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|funnel| json!([funnel["name"], funnel["automatic"], funnel["entered"], funnel["completed"]]))
        .collect();
    assert_eq!(told, [json!(["To the docs", false, 3, 1]), json!(["Tour", true, 2, 1])]);
    let tour = &list["funnels"][1];
    let labels: Vec<&Value> = tour["steps"].as_array().unwrap().iter().map(|step| &step["label"]).collect();
    assert_eq!(labels, [&json!("Open"), &json!("2")]);
    let id = tour["id"].as_str().unwrap();
    let report = app.get(&path(&site, &format!("/funnels/{id}/report?range=today"))).key(&key).send().await;
    assert_eq!(report.expect(200).data()["steps"][1]["visitors"], 1);
    app.request(Method::DELETE, &path(&site, &format!("/funnels/{id}"))).key(&key).send().await.expect(404);

    let goal_path = path(&site, &format!("/goals/{}", goal["id"].as_str().unwrap()));
    app.request(Method::DELETE, &goal_path).key(&key).send().await.expect(409);
    let renamed = app.request(Method::PATCH, &location).key(&key).json(&json!({ "name": "Docs" })).send().await;
    assert_eq!(renamed.expect(200).data()["steps"].as_array().unwrap().len(), 3);
    app.request(Method::DELETE, &location).key(&key).send().await.expect(204);
    app.request(Method::DELETE, &goal_path).key(&key).send().await.expect(204);
    app.get(&format!("{location}/report")).key(&key).send().await.expect(404);
}

/// A goal that has the name of an event is the goal: in rows, in suggestions and in filters. Sabotage: take rows by goals for
/// rows by the names of events.
#[actix_web::test]
async fn rows_by_goals_and_filters_on_goals_mean_the_same() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read,write");
    visits(&site).await;
    for (name, value) in [("funnel_step", "/docs/start"), ("Prices", "/pricing"), ("Never", "/never")] {
        let goal = json!({ "name": name, "type": "page", "value": value });
        app.post(&path(&site, "/goals")).key(&key).json(&goal).send().await.expect(201);
    }
    for filter in ["", "&f=country:is:DE", "&f=goal:is:Prices"] {
        let read = async |rest: &str| {
            app.get(&path(&site, &format!("{rest}{filter}"))).key(&key).send().await.expect(200).data()
        };
        let rows = read("/breakdown?range=today&dimension=goal&compare=previous").await;
        let goals = read("/goals?range=today").await;
        let reached: Vec<&Value> =
            goals["goals"].as_array().unwrap().iter().filter(|goal| goal["numbers"]["events"] != 0).collect();
        assert_eq!((rows["total_rows"].as_u64(), reached.len()), (Some(2), 2), "{filter}: {rows}");
        for row in rows["rows"].as_array().unwrap() {
            let name = row["value"].as_str().unwrap();
            let goal = reached.iter().find(|goal| goal["name"] == name).unwrap();
            assert_eq!(row["visitors"], goal["numbers"]["visitors"], "{filter} {name}");
            assert_eq!(row["sessions"], goal["numbers"]["conversions"], "{filter} {name}");
            assert_eq!(row["before"]["visitors"], 0);
            if filter != "&f=goal:is:Prices" {
                let totals = read(&format!("/totals?range=today&f=goal:is:{name}")).await;
                for number in ["visitors", "sessions", "events", "pageviews"] {
                    assert_eq!(row[number], totals["now"][number], "{filter} {name} {number}");
                }
            }
        }
    }
    let read = async |rest: &str| app.get(&path(&site, rest)).key(&key).send().await.expect(200).data();
    let values = read("/values?range=today&dimension=goal&q=STEP").await;
    assert_eq!(values["values"], json!([{ "value": "funnel_step", "visitors": 1 }]));
    let sorted = read("/breakdown?range=today&dimension=goal&sort=value&limit=1&offset=1").await;
    assert_eq!((&sorted["rows"][0]["value"], &sorted["rows"][0]["share"]), (&json!("funnel_step"), &json!(0.3333)));
}

/// Sabotage: leave the filters or the comparison out of a file.
#[actix_web::test]
async fn goals_funnels_and_totals_are_files_with_the_filters() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read,write");
    visits(&site).await;
    let goal = json!({ "name": "=Prices", "type": "page", "value": "/pricing" });
    app.post(&path(&site, "/goals")).key(&key).json(&goal).send().await.expect(201);
    let steps = json!([{ "type": "page", "value": "/pricing" }, { "type": "event", "value": "signup" }]);
    let funnel = json!({ "name": "Way", "steps": steps });
    let made = app.post(&path(&site, "/funnels")).key(&key).json(&funnel).send().await.expect(201);
    let report = format!("/funnels/{}/report", made.data()["id"].as_str().unwrap());
    let share = app.post(&path(&site, "/shares")).key(&key).json(&json!({})).send().await.expect(201).data();
    let link = format!("/api/shares/{}", share["token"].as_str().unwrap());

    let numbers = "visitors,sessions,pageviews,bounce_rate,duration,conversion_rate,events";
    let steps = "visitors,sessions,left,of_previous,of_first";
    let before = |names: &str| names.split(',').map(|name| format!("before_{name}")).collect::<Vec<_>>().join(",");
    let goals = "conversions,visitors,events,conversion_rate";
    for (rest, name, head, all, german) in [
        ("/totals", "totals", format!("period,from,to,time_zone,complete,{numbers}"), 2, 2),
        ("/series", "visitors", "start,visitors,complete,before_visitors".to_owned(), 13, 13),
        ("/goals", "goals", format!("id,name,type,match_type,value,created_at,{goals},{}", before(goals)), 1, 1),
        ("/funnels", "funnels", "id,name,automatic,steps,entered,completed,conversion_rate".to_owned(), 2, 2),
        (&report, "funnel", format!("step,label,type,match_type,value,{steps},{}", before(steps)), 2, 2),
        ("/breakdown?dimension=goal", "goal", "goal,label,".to_owned(), 1, 1),
    ] {
        let mark = if rest.contains('?') { '&' } else { '?' };
        for (base, filter, lines) in [(path(&site, ""), "", all), (link.clone(), "&f=country:is:DE", german)] {
            let ask = async |format: &str| {
                let url = format!("{base}{rest}{mark}range=today&compare=previous{filter}&format={format}");
                let file = app.get(&url).key(&key).send().await.expect(200);
                let filtered = if filter.is_empty() { "" } else { "_filtered" };
                let expected = format!("shop.example_{name}{filtered}_2026-06-13_2026-06-13.{format}");
                assert!(file.header("content-disposition").unwrap().contains(&expected), "{rest}: {file:?}");
                file.text()
            };
            let (csv, ndjson, json) = (ask("csv").await, ask("ndjson").await, ask("json").await);
            assert!(csv.starts_with(&head), "{rest}: {csv}");
            assert_eq!((csv.lines().count(), ndjson.lines().count()), (lines + 1, lines), "{rest} {filter}: {csv}");
            let rows: Vec<Value> = serde_json::from_str(&json).unwrap();
            let line_by_line: Vec<Value> = ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(rows, line_by_line, "{rest}");
            assert!(!csv.contains(",=Prices"), "a formula: {csv}");
        }
    }
    let line = app.get(&path(&site, "/goals?range=today&format=csv&f=country:is:DE")).key(&key).send().await.text();
    assert!(line.contains(",'=Prices,page,exact,/pricing,") && line.contains(",1,1,1,1"), "{line}");
    let live = app.get(&path(&site, "/live?format=csv")).key(&key).send().await.expect(200).text();
    assert!(live.starts_with("id,visited_at,entry_page,"), "{live}");
}
