//! What a plan includes: events of a month, exactly, and features.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use common::{Reply, TestApp, TestWebsite};
use serde_json::{Value, json};
use zenovay::maintenance;
use zenovay_domain::{Feature, Plan, PlanTable, Role};

/// The plans, of which Free has the API and includes so many events.
fn plans(events: u64) -> PlanTable {
    let mut plans = PlanTable::default();
    let free = plans.limits_mut(Plan::Free);
    (free.requests_per_minute, free.requests_per_month, free.events_per_month) = (1_000, 1_000_000, Some(events));
    plans
}

async fn hit(site: &TestWebsite<'_>, number: usize) -> Reply {
    site.send(&site.hit("/", &format!("session-{number}"))).send().await.expect(200)
}

fn outcome(reply: &Reply) -> &str {
    reply.header("x-zenovay-outcome").unwrap()
}

async fn used(app: &TestApp, site: &TestWebsite<'_>) -> Value {
    let session = app.sign_in(site.team.owner);
    let path = format!("/api/teams/{}/usage", site.team.id);
    app.get(&path).session(&session).send().await.expect(200).data()["events"].clone()
}

/// Sabotage: count what is not stored, forget the count at a restart, or count heartbeats.
#[actix_web::test]
async fn a_month_holds_what_the_plan_includes() {
    let app = TestApp::start().await;
    let app = app.with_plans(plans(3)).await;
    let site = app.team(Plan::Free).website("shop.example");
    for number in 0..3 {
        assert_eq!(outcome(&hit(&site, number).await), "stored");
    }
    let beyond = hit(&site, 3).await;
    assert_eq!(outcome(&beyond), "quota_exceeded");
    assert_eq!((&beyond.json()["accepted"], &beyond.json()["reason"]), (&json!(false), &json!("quota_exceeded")));
    let heartbeat = json!({ "session_id": "session-0", "url": "https://shop.example/", "engagement_ms": 1_000 });
    let path = format!("/e/heartbeat/{}", site.code());
    let heartbeat = app.post(&path).header("origin", "https://shop.example").json(&heartbeat).send().await.expect(200);
    assert_ne!(outcome(&heartbeat), "stored");
    assert_eq!(used(&app, &site).await, json!({ "used": 3, "limit": 3 }));

    // Other teams do not notice, and neither does one that takes a larger plan.
    assert_eq!(outcome(&hit(&app.team(Plan::Free).website("other.example"), 0).await), "stored");
    app.state.store.set_plan(site.team.id, Plan::Pro).unwrap();
    assert_eq!(outcome(&hit(&site, 4).await), "stored");
    app.state.store.set_plan(site.team.id, Plan::Free).unwrap();
    assert_eq!(outcome(&hit(&site, 5).await), "quota_exceeded", "what was stored meanwhile counts");

    // Over the same stores a new process goes on where the last one ended.
    let again = app.with_plans(plans(5)).await;
    let send = |number: usize| {
        let hit = site.hit("/", &format!("session-{number}"));
        let path = format!("/e/{}", site.code());
        let agent = common::CHROME;
        let call = again.post(&path).header("origin", "https://shop.example").header("user-agent", agent).json(&hit);
        async move { call.send().await.expect(200) }
    };
    assert_eq!(outcome(&send(6).await), "stored");
    assert_eq!(outcome(&send(7).await), "quota_exceeded");
    // The next month begins at midnight in UTC.
    again.clock.advance_ms(18 * 24 * 3_600_000);
    assert_eq!(outcome(&send(8).await), "stored");
}

/// Sabotage: look whether there is room, and take it after that.
#[actix_web::test]
async fn it_is_exact_when_all_come_at_once() {
    let app = TestApp::start().await;
    let app = app.with_plans(plans(20)).await;
    let site = app.team(Plan::Free).website("shop.example");
    let all = futures_util::future::join_all((0..60).map(|number| hit(&site, number))).await;
    let stored = all.iter().filter(|reply| outcome(reply) == "stored").count();
    assert_eq!(stored, 20);
    assert_eq!(used(&app, &site).await["used"], 20);
}

/// Sabotage: keep the place of a duplicate, or tell nobody.
#[actix_web::test]
async fn rows_of_a_batch_that_are_beyond_it_are_told() {
    let app = TestApp::start().await;
    let app = app.with_plans(plans(3)).await;
    let site = app.team(Plan::Free).website("shop.example");
    let key = site.key("write");
    let row = |n: usize| {
        let mut row = site.row("pageview", "2026-06-13T11:00:00Z", &n.to_string(), "/", json!({}));
        row["idempotencyKey"] = json!(format!("key-number-{n}"));
        row
    };
    let send = |rows: Vec<Value>| {
        let body = json!({ "trackingCode": site.code(), "events": rows });
        let call = app.post("/api/v1/events").key(&key).json(&body);
        async move { call.send().await.expect(200).data() }
    };
    let first = send(vec![row(0), row(1)]).await;
    assert_eq!((&first["accepted"], &first["rejected"]), (&json!(2), &json!(0)));
    let again = send(vec![row(0)]).await;
    assert_eq!(again["duplicates"], 1, "it gives its place back");
    let beyond = send(vec![row(2), row(3)]).await;
    assert_eq!((&beyond["accepted"], &beyond["rejected"]), (&json!(1), &json!(1)));
    assert_eq!((&beyond["errors"][0]["index"], &beyond["errors"][0]["reason"]), (&json!(1), &json!("quota_exceeded")));
    // An event is one of the month in which it happened.
    let mut earlier = row(4);
    earlier["ts"] = json!(common::at("2026-05-31T23:59:59Z").as_millis());
    assert_eq!(send(vec![earlier]).await["accepted"], 1);
    assert_eq!(used(&app, &site).await["used"], 3);
}

/// Sabotage: look at the plan in a handler, or leave the public link open.
#[actix_web::test]
async fn features_are_those_of_the_plan() {
    let app = TestApp::start().await;
    let app = app.with_plans(plans(1_000)).await;
    let site = app.team(Plan::Free).website("shop.example");
    let (owner, key) = (app.sign_in(site.team.owner), site.key("full_access"));
    let viewer = app.sign_in(site.team.member(Role::Viewer));
    let path = format!("/api/websites/{}", site.id());
    let share = app.post(&format!("{path}/shares")).session(&owner).json(&json!({})).send().await.expect(201).data();
    let shared = format!("/api/shares/{}/funnels", share["token"].as_str().unwrap());
    let funnel =
        json!({ "name": "Buying", "steps": [{ "type": "page", "value": "/" }, { "type": "page", "value": "/b" }] });
    let funnels = format!("{path}/funnels");
    for reply in [
        app.get(&funnels).session(&owner).send().await,
        app.get(&funnels).session(&viewer).send().await,
        app.get(&funnels).key(&key).send().await,
        app.post(&funnels).session(&owner).json(&funnel).send().await,
        app.get(&shared).send().await,
    ] {
        let reply = reply.expect(403);
        assert_eq!(reply.json()["message"], "The plan of this workspace does not include funnels");
        assert_eq!((reply.code(), &reply.json()["details"]), ("FORBIDDEN".to_owned(), &json!("not_in_plan")));
    }
    for (feature, rest) in [
        ("heatmaps", "/heatmaps/{id}/pages"),
        ("replays", "/replays/{id}/sessions"),
        ("errors", "/errors/{id}/groups"),
        ("heatmaps", "/stats/heatmaps?site_id={id}"),
        ("heatmaps", "/stats/heatmaps/page?site_id={id}&path=/"),
        ("replays", "/stats/replays?site_id={id}"),
        ("errors", "/stats/errors?site_id={id}"),
    ] {
        let reply = app.get(&site.path(rest)).key(&key).send().await.expect(403);
        assert_eq!(reply.json()["message"], format!("The plan of this workspace does not include {feature}"));
    }
    // Web vitals are in every plan, and so are goals.
    app.get(&site.path("/stats/performance?site_id={id}")).key(&key).send().await.expect(200);
    app.get(&site.path("/performance/{id}")).key(&key).send().await.expect(200);
    app.get(&format!("{path}/goals")).session(&owner).send().await.expect(200);
    let plan = format!("/api/teams/{}/plan", site.team.id);
    assert_eq!(app.get(&plan).session(&owner).send().await.expect(200).data()["limits"]["features"], json!([]));

    app.state.store.set_plan(site.team.id, Plan::Pro).unwrap();
    let told = app.get(&plan).session(&owner).send().await.expect(200).data();
    let all: Vec<&str> = Feature::ALL.iter().map(|feature| feature.as_str()).collect();
    assert_eq!(told["limits"]["features"], json!(all));
    let session = app.get("/api/session").session(&owner).send().await.expect(200).data();
    assert_eq!(session["teams"][0]["features"], json!(all));
    app.post(&funnels).session(&owner).json(&funnel).send().await.expect(201);
    app.get(&shared).send().await.expect(200);
    app.get(&site.path("/errors/{id}/groups")).key(&key).send().await.expect(200);
}

/// Sabotage: count the websites that are there alone, or remove the events before they are counted.
#[actix_web::test]
async fn deleting_a_website_gives_no_event_of_the_month_back() {
    let app = TestApp::start().await;
    let mut plans = plans(5);
    plans.limits_mut(Plan::Free).websites = Some(10);
    let app = app.with_plans(plans.clone()).await;
    let team = app.team(Plan::Free);
    let (shop, other) = (team.website("shop.example"), team.website("other.example"));
    for number in 0..3 {
        assert_eq!(outcome(&hit(&shop, number).await), "stored");
    }
    let elsewhere = json!({ "event_type": "pageview", "url": "https://other.example/", "session_id": "session-9", "user_agent": common::CHROME,
                            "device_type": "desktop", "browser": "Chrome", "os": "Linux" });
    let send = async |app: &TestApp| {
        let call = app.post(&format!("/e/{}", other.code())).header("origin", "https://other.example");
        let call = call.header("user-agent", common::CHROME).json(&elsewhere);
        outcome(&call.send().await.expect(200)).to_owned()
    };
    assert_eq!(send(&app).await, "stored");
    app.state.store.delete_website(shop.id(), app.state.clock.now()).unwrap();
    assert_eq!(used(&app, &other).await["used"], 4);
    // A new process, before and after the events are removed.
    let waiting = app.with_plans(plans.clone()).await;
    assert_eq!(used(&waiting, &other).await["used"], 4);
    let keepers = app.state.keepers();
    for _ in 0..2 {
        maintenance::delete_websites(&app.state, &keepers).unwrap();
        assert_eq!(app.events.span(shop.id()), None);
        let again = app.with_plans(plans.clone()).await;
        assert_eq!(used(&again, &other).await, json!({ "used": 4, "limit": 5 }));
    }
    let again = app.with_plans(plans).await;
    assert_eq!((send(&again).await, send(&again).await), ("stored".to_owned(), "quota_exceeded".to_owned()));
    // The next month begins with nothing.
    again.clock.advance_ms(18 * 24 * 3_600_000);
    assert_eq!(used(&again, &other).await["used"], 0);
}

/// Sabotage: count what is stored alone, or count what was erased whenever somebody erases.
#[actix_web::test]
async fn erasing_a_visitor_gives_no_event_of_the_month_back() {
    let app = TestApp::start().await;
    let mut plans = plans(5);
    plans.limits_mut(Plan::Free).websites = Some(10);
    let app = app.with_plans(plans.clone()).await;
    let site = app.team(Plan::Free).website("shop.example");
    let owner = app.sign_in(site.team.owner);
    for number in 0..3 {
        assert_eq!(outcome(&hit(&site, number).await), "stored");
    }
    let heartbeat = json!({ "session_id": "session-0", "url": "https://shop.example/", "engagement_ms": 1_000 });
    let path = format!("/e/heartbeat/{}", site.code());
    let call = app.post(&path).header("origin", "https://shop.example").header("user-agent", common::CHROME);
    assert_eq!(outcome(&call.json(&heartbeat).send().await.expect(200)), "stored");
    let visitors = format!("/api/websites/{}/visitors", site.id());
    let found = app.get(&format!("{visitors}?range=24h")).session(&owner).send().await.expect(200).data();
    let ids: Vec<&str> =
        found["visitors"].as_array().unwrap().iter().map(|visitor| visitor["id"].as_str().unwrap()).collect();
    for id in &ids {
        for _ in 0..2 {
            let erase = app.request(actix_web::http::Method::DELETE, &format!("{visitors}/{id}"));
            erase.session(&owner).send().await.expect(204);
        }
    }
    let left = app.get(&format!("{visitors}?range=24h")).session(&owner).send().await.expect(200).data();
    assert_eq!(left["visitors"], json!([]));
    assert_eq!(used(&app, &site).await, json!({ "used": 3, "limit": 5 }));
    // A new process goes on where this one ended, and so does one after the website is gone.
    let again = app.with_plans(plans.clone()).await;
    assert_eq!(used(&again, &site).await["used"], 3);
    for (number, expected) in [(7, "stored"), (8, "stored"), (9, "quota_exceeded")] {
        let hit = site.hit("/", &format!("session-{number}"));
        let call = again.post(&format!("/e/{}", site.code())).header("origin", "https://shop.example");
        let reply = call.header("user-agent", common::CHROME).json(&hit).send().await.expect(200);
        assert_eq!(outcome(&reply), expected);
    }
    let other = site.team.website("other.example");
    app.state.store.delete_website(site.id(), app.state.clock.now()).unwrap();
    let keepers = app.state.keepers();
    maintenance::delete_websites(&app.state, &keepers).unwrap();
    assert_eq!(used(&app.with_plans(plans).await, &other).await["used"], 5);
}
