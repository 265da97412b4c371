//! Websites in the web application: the list with its numbers, adding, changing and deleting one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use actix_web::http::Method;
use common::TestApp;
use serde_json::json;
use zenovay_domain::{Clock, Plan};

/// Sabotage: leave the comparison or the state out, or answer websites of other teams.
#[actix_web::test]
async fn the_list_has_numbers_states_and_live_counts() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let website = |domain: &str| {
        app.clock.advance_ms(1);
        team.website(domain)
    };
    let (shop, docs, paused, new) =
        (website("shop.example"), website("docs.example"), website("old.example"), website("new.example"));
    app.team(Plan::Enterprise).website("foreign.example");
    paused.edit(|settings| settings.is_active = false);
    shop.send_batch(vec![
        shop.row("pageview", "2026-06-13T11:58:00Z", "a", "/", json!({})),
        shop.row("pageview", "2026-06-13T11:59:00Z", "b", "/", json!({})),
        shop.row("pageview", "2026-06-12T09:00:00Z", "c", "/", json!({})),
    ])
    .await;
    docs.send_batch(vec![docs.row("pageview", "2026-06-11T11:00:00Z", "a", "/", json!({}))]).await;
    let list =
        app.get("/api/websites?range=today&compare=previous").key(&team.key("read")).send().await.expect(200).data();
    let told: Vec<_> = list["websites"]
        .as_array()
        .unwrap()
        .iter()
        .map(|website| {
            let totals = &website["totals"];
            json!([
                website["domain"],
                website["state"],
                website["live"],
                totals["visitors"],
                totals["change"],
                website["role"]
            ])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!(["shop.example", "live", 2, 2, 1.0, "owner"]),
            json!(["docs.example", "silent", 0, 0, null, "owner"]),
            json!(["old.example", "paused", 0, 0, null, "owner"]),
            json!(["new.example", "no_events", 0, 0, null, "owner"]),
        ]
    );
    assert_eq!(list["websites"][0]["series"].as_array().unwrap().len(), 13);
    assert_eq!(list["websites"][0]["last_event_at"], "2026-06-13T11:59:00.000Z");
    assert_eq!(list["totals"], json!({ "live": 2, "visitors": 2, "pageviews": 2, "visitors_before": 1 }));
    let other = app.get(&format!("/api/websites?team={}", app.team(Plan::Pro).id)).key(&team.key("read")).send().await;
    assert_eq!(other.expect(200).data()["websites"], json!([]));
    drop(new);
}

/// Sabotage: answer 200 to a creation, or take a team from the path alone.
#[actix_web::test]
async fn a_website_is_added_changed_and_deleted_by_its_typed_domain() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Pro);
    let key = team.key("read,write");
    let add = |body: serde_json::Value| app.post("/api/websites").key(&key).json(&body).send();
    let made =
        add(json!({ "team_id": team.id, "domain": "Shop.Example", "time_zone": "Europe/Berlin" })).await.expect(201);
    let location = made.header("location").unwrap().to_owned();
    let website = made.data();
    assert_eq!(location, format!("/api/websites/{}", website["id"].as_str().unwrap()));
    assert_eq!((&website["domain"], &website["name"]), (&json!("shop.example"), &json!("shop.example")));
    assert_eq!((&website["settings"]["time_zone"], &website["state"]), (&json!("Europe/Berlin"), &json!("no_events")));
    let code = website["tracking_code"].as_str().unwrap().to_owned();

    for (body, field, words) in [
        (json!({ "team_id": team.id, "domain": "shop example" }), "domain", "https://"),
        (json!({ "team_id": team.id, "domain": "" }), "domain", "https://"),
        (
            json!({ "team_id": team.id, "domain": "a.example", "name": "x".repeat(101) }),
            "name",
            "Name too long (max 100 characters)",
        ),
        (json!({ "team_id": team.id, "domain": "a.example", "time_zone": "Mars" }), "time_zone", "IANA"),
        (json!({ "team_id": "x", "domain": "a.example" }), "team_id", "team"),
    ] {
        let reply = add(body.clone()).await.expect(422);
        assert!(reply.json()["details"][field].as_str().is_some_and(|text| text.contains(words)), "{}", reply.text());
    }
    let foreign = app.team(Plan::Pro);
    add(json!({ "team_id": foreign.id, "domain": "a.example" })).await.expect(403);
    add(json!({ "team_id": "018f3c1e-0000-4000-8000-000000000001", "domain": "a.example" })).await.expect(404);
    for n in 1..5 {
        add(json!({ "team_id": team.id, "domain": format!("site{n}.example") })).await.expect(201);
    }
    add(json!({ "team_id": team.id, "domain": "site6.example" })).await.expect(403);

    let patch = |body: serde_json::Value| app.request(Method::PATCH, &location).key(&key).json(&body).send();
    let changed =
        patch(json!({ "name": "Shop", "settings": { "currency": "CHF", "allowed_domains": ["*.shop.example"] } }));
    let changed = changed.await.expect(200).data();
    assert_eq!((&changed["name"], &changed["settings"]["currency"]), (&json!("Shop"), &json!("CHF")));
    assert_eq!(changed["settings"]["time_zone"], "Europe/Berlin");
    // One address is excluded once. Sabotage: keep each of its spellings.
    let spellings = ["192.0.2.7", "::ffff:192.0.2.7", "10.0.0.0/8", "192.0.2.7/32", "10.1.2.3/8"];
    let changed = patch(json!({ "settings": { "excluded_ips": spellings } })).await.expect(200).data();
    assert_eq!(changed["settings"]["excluded_ips"], json!(["192.0.2.7", "10.0.0.0/8"]));
    for (settings, field) in [
        (json!({ "currency": "francs" }), "currency"),
        (json!({ "excluded_ips": ["here"] }), "excluded_ips"),
        (json!({ "time_zone": "Mars" }), "settings.time_zone"),
    ] {
        let reply = patch(json!({ "settings": settings })).await.expect(422);
        assert!(reply.json()["details"][field].is_string(), "{}", reply.text());
    }
    patch(json!({ "settings": { "is_active": "no" } })).await.expect(400);
    patch(json!({ "settings": { "colour": "red" } })).await.expect(400);

    let renewed = app.post(&format!("{location}/tracking-code")).key(&key).send().await.expect(201).data();
    assert_ne!(renewed["tracking_code"], code.as_str());
    let hit = json!({ "url": "https://shop.example/", "session_id": "session-1", "user_agent": common::CHROME,
                      "device_type": "desktop", "browser": "Chrome", "os": "Linux" });
    let send = |code: &str| {
        app.post(&format!("/e/{code}"))
            .header("origin", "https://www.shop.example")
            .header("user-agent", common::CHROME)
            .json(&hit)
            .send()
    };
    send(&code).await.expect(401);
    send(renewed["tracking_code"].as_str().unwrap()).await.expect(200);

    let delete =
        |domain: &str| app.request(Method::DELETE, &location).key(&key).json(&json!({ "domain": domain })).send();
    let refused = delete("site1.example").await.expect(422);
    assert_eq!(refused.json()["details"]["domain"], "Type shop.example to confirm");
    app.get(&location).key(&key).send().await.expect(200);
    delete(" Shop.example ").await.expect(204);
    app.get(&location).key(&key).send().await.expect(404);
}

/// Sabotage: forget the host, let it in without the domain itself, or tell the first event again.
#[actix_web::test]
async fn an_install_waits_for_its_first_event_and_names_refused_hosts() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let (reads, writes) = (site.key("read"), site.key("write"));
    let path = |rest: &str| format!("/api/websites/{}{rest}", site.id());
    let install = app.get(&path("/install")).key(&reads).send().await.expect(200).data();
    assert_eq!((&install["state"], &install["refused"]), (&json!("no_events"), &json!([])));
    assert_eq!((&install["first_event"], &install["health"]["minutes_since_last_event"]), (&json!(null), &json!(null)));
    assert_eq!(install["health"]["issues"][0]["code"], "no_events");

    let mut stream = app.get(&path("/live/events")).key(&reads).open().await;
    assert!(stream.until("event: count").await.starts_with("retry: "));
    let from = |origin: &str| {
        let hit = site.hit("/pricing?x=1", "session-1");
        let call = app.post(&format!("/e/{}", site.code())).header("user-agent", common::CHROME);
        call.header("origin", origin).json(&hit).send()
    };
    for (origin, status) in [
        ("https://staging.example.net", 403),
        ("https://staging.example.net", 403),
        ("http://localhost:3000", 403),
        ("https://www.shop.example", 200),
    ] {
        from(origin).await.expect(status);
    }
    let seen = stream.until("event: event").await;
    assert!(seen.contains("event: refused\ndata: {\"host\":\"staging.example.net\"}"), "{seen}");
    assert!(
        seen.contains("event: first_event\ndata: {\"at\":\"2026-06-13T12:00:00.000Z\",\"path\":\"/pricing\"}"),
        "{seen}"
    );
    assert!(seen.contains("\"page\":\"/pricing\"") && !seen.contains("x=1"), "{seen}");
    from("https://www.shop.example").await.expect(200);
    let seen = stream.until("event: event").await;
    assert!(!seen.contains("first_event"), "{seen}");

    let install = app.get(&path("/install")).key(&reads).send().await.expect(200).data();
    assert_eq!(install["first_event"], json!({ "at": "2026-06-13T12:00:00.000Z", "path": "/pricing" }));
    let refused: Vec<_> = install["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| json!([host["host"], host["events"], host["remedy"]]))
        .collect();
    assert_eq!(refused, [json!(["localhost", 1, "allow_localhost"]), json!(["staging.example.net", 2, "allow_host"])]);
    assert_eq!((&install["state"], &install["health"]["last_event_count_5m"]), (&json!("live"), &json!(2)));

    let allow = |host: &str| app.post(&path("/install/allow")).key(&writes).json(&json!({ "host": host })).send();
    allow("staging.example.net").await.expect(200);
    allow("localhost").await.expect(200);
    allow("not a host").await.expect(422);
    for origin in
        ["https://staging.example.net", "http://localhost:3000", "https://www.shop.example", "https://shop.example"]
    {
        from(origin).await.expect(200);
    }
    from("https://other.example.net").await.expect(403);
    let install = app.get(&path("/install")).key(&reads).send().await.expect(200).data();
    assert_eq!(install["refused"].as_array().unwrap().len(), 1);
    // The website changed, so the stream ends and who reads is asked anew.
    while stream.next().await.is_some() {}
}

/// Sabotage: let a stream outlive the key that opened it.
#[actix_web::test]
async fn a_stream_ends_with_the_access_of_whoever_reads_it() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    let path = format!("/api/websites/{}/live/events", site.id());
    let mut stream = app.get(&path).key(&key).open().await;
    stream.until("event: count").await;
    assert!(app.state.live.is_watched(site.id()));
    app.open_metadata_again().revoke_key(key.id, app.clock.now()).unwrap();
    while stream.next().await.is_some() {}
    drop(stream);
    assert!(!app.state.live.is_watched(site.id()), "who left costs nothing");
    app.get(&path).key(&key).send().await.expect(401);
}

/// Sabotage: let a stream outlive the session that opened it.
#[actix_web::test]
async fn a_stream_ends_with_the_session_that_opened_it() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let site = team.website("shop.example");
    let path = format!("/api/websites/{}/live/events", site.id());
    let (gone, stays) = (app.sign_in(team.owner), app.sign_in(team.owner));
    let mut ending = app.get(&path).session(&gone).open().await;
    let mut going = app.get(&path).session(&stays).open().await;
    ending.until("event: count").await;
    going.until("event: count").await;
    app.request(Method::DELETE, "/api/session").session(&gone).send().await.expect(204);
    while ending.next().await.is_some() {}
    let session = site.hit("/", "session-1");
    let call = app.post(&format!("/e/{}", site.code())).header("user-agent", common::CHROME);
    call.header("origin", "https://shop.example").json(&session).send().await.expect(200);
    going.until("event: event").await;
    // Nor does it outlive one that nobody used for too long: a stream that is read is not use.
    app.clock.advance_ms(zenovay_auth::SESSION_IDLE_MS + 1);
    while going.next().await.is_some() {}
}

/// Sabotage: take a place for whoever asks for the headers alone, or let one reader have all places.
#[actix_web::test]
async fn headers_of_a_stream_take_no_place_and_one_reader_takes_few() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let site = team.website("shop.example");
    let (mine, key) = (app.sign_in(team.owner), site.key("read"));
    let path = format!("/api/websites/{}/live/events", site.id());
    let mut head = app.request(Method::HEAD, &path).session(&mine).open().await;
    assert!(!app.state.live.is_watched(site.id()));
    assert_eq!(head.next().await, None);
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(app.get(&path).session(&mine).open().await);
    }
    app.get(&path).session(&app.sign_in(team.owner)).send().await.expect(503);
    let _other = app.get(&path).key(&key).open().await;
    streams.pop();
    app.get(&path).session(&mine).open().await;
}

/// Sabotage: show what somebody told about themselves, or leave events of the visitor after an erasure.
#[actix_web::test]
async fn visitors_have_a_timeline_and_can_be_erased() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let (reads, admin) = (site.key("read"), site.key("full_access"));
    let path = |rest: &str| format!("/api/websites/{}{rest}", site.id());
    let custom = |time: &str, visit: &str, props: serde_json::Value| site.row("custom", time, visit, "/", props);
    site.send_batch(vec![
        site.row("pageview", "2026-06-13T10:00:00Z", "a", "/", json!({ "title": "Home" })),
        custom("2026-06-13T10:01:00Z", "a", json!({ "name": "signup", "plan": "pro" })),
        custom("2026-06-13T10:02:00Z", "a", json!({ "name": "login", "user_id": "ada@example.com" })),
        site.row("pageview", "2026-06-13T11:00:00Z", "b", "/docs", json!({})),
        site.row("pageview", "2026-06-12T11:00:00Z", "c", "/", json!({})),
    ])
    .await;
    let list = app.get(&path("/visitors?range=today&limit=1")).key(&reads).send().await.expect(200).data();
    assert_eq!(list["visitors"][0]["entry_page"], "/docs");
    let cursor = list["next_cursor"].as_str().unwrap();
    let rest = app.get(&path(&format!("/visitors?range=today&limit=5&cursor={cursor}"))).key(&reads).send().await;
    let rest = rest.expect(200).data();
    assert_eq!((rest["visitors"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &json!(null)));
    let filtered = app.get(&path("/visitors?range=7d&f=page:is:%2Fdocs")).key(&reads).send().await.expect(200).data();
    assert_eq!(filtered["visitors"].as_array().unwrap().len(), 1);
    let file = app.get(&path("/visitors?range=7d&format=csv")).key(&reads).send().await.expect(200);
    assert_eq!(file.text().lines().count(), 4);

    let id = rest["visitors"][0]["id"].as_str().unwrap();
    let timeline = app.get(&path(&format!("/visitors/{id}"))).key(&reads).send().await.expect(200);
    assert!(!timeline.text().contains("ada@example.com"));
    let timeline = timeline.data();
    let events: Vec<_> = timeline["visits"][0]["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| json!([event["type"], event["page"], event["name"], event["properties"]]))
        .collect();
    assert_eq!(
        events,
        [
            json!(["pageview", "/", "", {}]),
            json!(["custom", "/", "signup", { "plan": "pro" }]),
            json!(["custom", "/", "login", {}]),
        ]
    );
    assert_eq!((&timeline["pageviews"], &timeline["truncated"]), (&json!(1), &json!(false)));

    let erase = || app.request(Method::DELETE, &path(&format!("/visitors/{id}")));
    erase().key(&reads).send().await.expect(403);
    erase().key(&admin).send().await.expect(204);
    app.get(&path(&format!("/visitors/{id}"))).key(&reads).send().await.expect(404);
    let left = app.get(&path("/totals?range=7d")).key(&reads).send().await.expect(200).data();
    assert_eq!(left["now"]["visitors"], 2);
}
