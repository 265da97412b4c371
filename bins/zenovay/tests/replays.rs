//! Recordings of sessions: from the request of the recorder to the answers, and out of the files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::io::Write;
use std::path::Path;

use actix_web::http::Method;
use common::{CHROME, Reply, TestApp, TestTeam, TestWebsite, disk};
use serde_json::{Value, json};
use zenovay_capture::unpack_chunk;
use zenovay_domain::{Clock, Feature, Plan, PlanTable, WebsiteSettings};

const REPLAY: &str = "00112233445566778899aabbccddeeff";

fn path(site: &TestWebsite<'_>, rest: &str) -> String {
    format!("/api/websites/{}/replays{rest}", site.id())
}

fn website<'a>(team: TestTeam<'a>, change: impl FnOnce(&mut WebsiteSettings)) -> TestWebsite<'a> {
    let settings = WebsiteSettings::default().with(|settings| {
        settings.cookieless = false;
        settings.session_replay = true;
        settings.session_replay_consent = false;
    });
    team.website_with("shop.example", settings.with(change))
}

/// The body of a chunk with `events`, each with its milliseconds before now.
fn chunk(app: &TestApp, site: &TestWebsite<'_>, seq: u32, events: &[(i64, Value)]) -> Value {
    let now = app.clock.now().as_millis();
    let events: Vec<Value> = events
        .iter()
        .map(|(before, event)| {
            let mut event = event.clone();
            event["timestamp"] = (now - before).into();
            event
        })
        .collect();
    let mut body = site.hit("/p", "session-0001");
    body["url"] = "https://shop.example/p?token=canary-token".into();
    let more = json!({ "replay_id": REPLAY, "seq": seq, "sent_at": now, "events": events });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn page(text: &str) -> [(i64, Value); 3] {
    let field = |id: u32, kind: &str, value: &str| json!({ "type": 2, "tagName": "input", "attributes": { "type": kind, "value": value }, "childNodes": [], "id": id });
    let text = json!({ "type": 3, "textContent": text, "id": 3 });
    let children = json!([text, field(4, "text", "typed-ada"), field(5, "password", "hunter22")]);
    let body = json!({ "type": 2, "tagName": "body", "attributes": {}, "childNodes": children, "id": 2 });
    let node = json!({ "type": 0, "childNodes": [body], "id": 1 });
    [
        (
            9_000,
            json!({ "type": 4, "data": { "href": "https://shop.example/p?token=canary-token", "width": 1280, "height": 720 } }),
        ),
        (8_990, json!({ "type": 2, "data": { "node": node, "initialOffset": { "top": 0, "left": 0 } } })),
        (8_980, json!({ "type": 5, "data": { "tag": "zenovay.page", "payload": { "url": "/p" } } })),
    ]
}

fn done() -> [(i64, Value); 3] {
    [
        (4_000, json!({ "type": 3, "data": { "source": 2, "type": 2, "id": 3, "x": 10, "y": 20 } })),
        (3_000, json!({ "type": 3, "data": { "source": 5, "text": "typed-into-5", "isChecked": false, "id": 5 } })),
        (
            2_000,
            json!({ "type": 5, "data": { "tag": "zenovay.error",
            "payload": { "type": "TypeError", "message": "plan 7 is gone", "id": "error-01" } } }),
        ),
    ]
}

async fn send(app: &TestApp, site: &TestWebsite<'_>, body: &Value) -> Reply {
    let call = app.post(&format!("/api/track/{}/replay", site.code())).header("origin", "https://shop.example");
    call.header("user-agent", CHROME).from("203.0.113.7").json(body).send().await
}

fn outcome(reply: &Reply) -> String {
    reply.header("x-zenovay-outcome").unwrap_or_default().to_owned()
}

/// Whether `needle` is in a file below `directory`, or in what a chunk there unpacks to.
fn is_on_disk(directory: &Path, needle: &str) -> bool {
    let has = |bytes: &[u8]| disk::has(bytes, needle.as_bytes());
    disk::files(directory).into_iter().any(|path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        has(&bytes) || unpack_chunk(&bytes).is_ok_and(|events| has(events.as_bytes()))
    })
}

/// Sabotage: keep a repeat twice, keep what was typed, or leave the markers out.
#[actix_web::test]
async fn a_recording_is_kept_and_read_back_by_who_may() {
    let app = TestApp::start().await;
    let site = website(app.team(Plan::Pro), |_| ());
    let first = chunk(&app, &site, 0, &page("hello"));
    assert_eq!(outcome(&send(&app, &site, &first).await.expect(200)), "stored");
    let again = send(&app, &site, &first).await.expect(200);
    assert_eq!((outcome(&again), &again.json()["accepted"]), ("duplicate".to_owned(), &Value::Null));
    let failed = json!({ "errors": [{ "id": "error-01", "type": "TypeError", "message": "plan 7 is gone",
        "stack": "TypeError: x\n    at total (https://shop.example/app-3f2a.js:1:20)" }] });
    let mut error = site.hit("/p", "session-0001");
    error.as_object_mut().unwrap().extend(failed.as_object().unwrap().clone());
    let call = app.post(&format!("/api/track/{}/error", site.code())).header("origin", "https://shop.example");
    call.header("user-agent", CHROME).from("203.0.113.7").json(&error).send().await.expect(200);
    send(&app, &site, &chunk(&app, &site, 2, &done())).await.expect(200);

    let (key, owner) = (site.key("read"), site.key("full_access"));
    let get = |rest: &str| app.get(&path(&site, rest)).key(&key).send();
    let listed = get("?range=24h").await.expect(200).data();
    assert_eq!((&listed["total"], &listed["enabled"]), (&json!(1), &json!(true)));
    let replay = &listed["replays"][0];
    assert_eq!(
        (&replay["entry_page"], &replay["device"], &replay["chunks"]),
        (&json!("/p"), &json!("desktop"), &json!(2))
    );
    assert_eq!((&replay["missing"], &replay["clicks"], &replay["errors"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(
        (&replay["width"], &replay["masked_inputs"], &replay["moment_ms"]),
        (&json!(1280), &json!(true), &Value::Null)
    );
    assert_eq!(replay["duration"], 7.0);
    let id = replay["id"].as_str().unwrap().to_owned();
    let groups =
        app.get(&format!("/api/websites/{}/errors?range=24h", site.id())).key(&key).send().await.expect(200).data();
    let group = groups["groups"][0]["id"].as_str().unwrap().to_owned();
    let (visitor, session) = (replay["visitor"].as_str().unwrap(), replay["session"].as_str().unwrap());
    let now = app.clock.now();
    for (query, expected) in [
        (format!("visitor={visitor}"), 1),
        ("visitor=0000000000000001".to_owned(), 0),
        (format!("session={session}&at={now}"), 1),
        (format!("error={group}"), 1),
        ("error=any".to_owned(), 1),
        ("error=eg_00000000-0000-4000-8000-000000000000".to_owned(), 0),
        ("min_seconds=5&max_seconds=60".to_owned(), 1),
        ("min_seconds=60".to_owned(), 0),
        ("f=page:is:/p&f=device:is:desktop".to_owned(), 1),
        ("f=page:is:/q".to_owned(), 0),
    ] {
        let found = get(&format!("?range=24h&{query}")).await.expect(200).data();
        assert_eq!(found["total"], expected, "{query}");
    }
    for wrong in ["visitor=7", "error=x", "at=now", "f=source:is:Google"] {
        get(&format!("?range=24h&{wrong}")).await.expect(400);
    }

    let whole = get(&format!("/{id}")).await.expect(200).data();
    let marks: Vec<_> = whole["markers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mark| (mark["at_ms"].as_i64().unwrap(), mark["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(marks, [(20, "page"), (5_000, "click"), (7_000, "error")]);
    assert_eq!((&whole["markers"][1]["x"], &whole["markers"][1]["node"]), (&json!(10), &json!(3)));
    assert_eq!(
        (&whole["markers"][2]["text"], &whole["markers"][2]["group"]),
        (&json!("TypeError: plan 7 is gone"), &json!(group))
    );
    assert_eq!(whole["gaps"], json!([{ "from_ms": 20, "to_ms": 5_000, "chunks": 1 }]));
    assert_eq!((&whole["chunks_list"][0]["seq"], &whole["chunks_list"][0]["snapshot"]), (&json!(0), &json!(true)));
    assert_eq!((&whole["duration_ms"], &whole["entry_page"]), (&json!(7_000), &json!("/p")));
    let events = get(&format!("/{id}/chunks")).await.expect(200).data();
    assert_eq!((&events["next"], events["chunks"].as_array().unwrap().len()), (&Value::Null, 2));
    assert_eq!(events["chunks"][0]["events"][0]["timestamp"], whole["clock_ms"]);
    let part = get(&format!("/{id}/chunks?from=1&limit=1")).await.expect(200).data();
    assert_eq!((&part["chunks"][0]["seq"], &part["next"]), (&json!(2), &Value::Null));
    let one = get(&format!("/{id}/chunks/2")).await.expect(200).data();
    assert_eq!(one["events"].as_array().unwrap().len(), 3);
    let texts = events.to_string();
    assert!(texts.contains("hello") && texts.contains("••••••"), "{texts}");
    for gone in ["canary-token", "typed-ada", "hunter22", "typed-into-5"] {
        assert!(!texts.contains(gone) && !is_on_disk(app.directory.path(), gone), "{gone}");
    }
    let detail = app
        .get(&format!("/api/websites/{}/errors/{group}?range=24h", site.id()))
        .key(&key)
        .send()
        .await
        .expect(200)
        .data();
    assert_eq!(detail["last"][0]["replay"]["id"], json!(id));

    // Goals that the visit reached meanwhile are marked: a page that was counted before its recorder came, an event, each once.
    let goals = format!("/api/websites/{}/goals", site.id());
    for (name, kind, value) in
        [("Paid", "event", "paid"), ("Seen", "page", "/p"), ("Never", "event", "left"), ("Elsewhere", "page", "/q")]
    {
        let mut goal = json!({ "name": name, "type": kind, "value": value });
        if kind == "page" {
            goal["match_type"] = "exact".into();
        }
        app.post(&goals).key(&owner).json(&goal).send().await.expect(201);
    }
    let reach = async |session: &str, more: Value| {
        let mut event = site.hit("/p", session);
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let call = app.post(&format!("/e/{}", site.code())).header("origin", "https://shop.example");
        call.header("user-agent", CHROME).from("203.0.113.7").json(&event).send().await.expect(200);
    };
    let ago = |seconds: i64| app.clock.now().as_millis() - seconds * 1_000;
    reach("session-0001", json!({ "timestamp": ago(10) })).await;
    for _ in 0..2 {
        let paid = json!({ "event_type": "custom", "event_name": "paid", "timestamp": ago(4) });
        reach("session-0001", paid).await;
    }
    reach("session-0002", json!({ "event_type": "custom", "event_name": "left" })).await;
    let whole = get(&format!("/{id}")).await.expect(200).data();
    let marked = whole["markers"].as_array().unwrap().iter().filter(|mark| mark["kind"] == "goal");
    let marked: Vec<_> = marked.map(|mark| (mark["text"].as_str().unwrap(), mark["at_ms"].as_i64().unwrap())).collect();
    assert_eq!(marked, [("Seen", 0), ("Paid", 5_000)]);

    let external = app.get(&site.path("/replays/{id}/sessions")).key(&key).send().await.expect(200).data();
    let told = &external["sessions"][0];
    assert_eq!((&told["id"], &told["page_url"], &told["duration_seconds"]), (&json!(id), &json!("/p"), &json!(7)));
    assert_eq!(
        (&told["event_count"], &told["session_id"], &told["browser"]),
        (&json!(6), &json!(session), &json!("Chrome"))
    );
    assert_eq!(external["pagination"], json!({ "limit": 50, "offset": 0, "has_more": false }));

    let other = app.team(Plan::Pro).website("other.example");
    let theirs = other.key("full_access");
    for rest in [format!("/{id}"), format!("/{id}/chunks"), format!("/{id}/chunks/0")] {
        app.get(&path(&other, &rest)).key(&theirs).send().await.expect(404);
    }
    for unknown in ["/sr_x", "/sr_00000000-0000-4000-8000-000000000000", "/sr_x/chunks"] {
        get(unknown).await.expect(404);
    }
    get(&format!("/{id}/chunks/1")).await.expect(404);
    get(&format!("/{id}/chunks/x")).await.expect(404);
}

/// Sabotage: ask for one permission less, take the moment of another page's rage click, or count a visit's score anew.
#[actix_web::test]
async fn what_went_wrong_in_a_visit_is_told_to_those_who_may_read_it() {
    let app = TestApp::start().await;
    let site = website(app.team(Plan::Pro), |settings| settings.heatmaps = true);
    let post = async |kind: &str, more: Value| {
        let mut body = site.hit("/p", "session-0001");
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let call = app.post(&format!("/api/track/{}/{kind}", site.code())).header("origin", "https://shop.example");
        call.header("user-agent", CHROME).from("203.0.113.7").json(&body).send().await.expect(200);
    };
    let now = app.clock.now().as_millis();
    let mut hit = site.hit("/p", "session-0001");
    hit["timestamp"] = (now - 10_000).into();
    site.send(&hit).from("203.0.113.7").send().await.expect(200);
    // Three clicks in a row, and then an error: so the recorder tells it.
    let click =
        |before: i64| (before, json!({ "type": 3, "data": { "source": 2, "type": 2, "id": 3, "x": 10, "y": 20 } }));
    send(&app, &site, &chunk(&app, &site, 0, &page("hello"))).await.expect(200);
    let events = [click(4_400), click(4_200), click(4_000)];
    send(&app, &site, &chunk(&app, &site, 1, &events)).await.expect(200);
    let error = json!({ "id": "error-01", "at": now - 4_100, "type": "TypeError", "message": "plan 7 is gone",
        "stack": "TypeError: x\n    at total (https://shop.example/app-3f2a.js:1:20)", "count": 2 });
    post("error", json!({ "errors": [error], "sent_at": now })).await;
    let rage = |count: u32| {
        json!({ "at": now - 4_400, "x": 10, "y": 20, "s": "main>button", "ox": 0.5, "oy": 0.5,
            "label": "Start free", "n": count, "rage": true })
    };
    let heat = |view: &str, page: &str, clicks: Value| {
        json!({ "view_id": view, "seq": 0, "viewport": [1280, 720], "page": [1280, 3600], "clicks": clicks,
            "url": format!("https://shop.example{page}") })
    };
    post("heatmap", heat("view-0001", "/p", json!([rage(3)]))).await;
    // What no recording has is told as the heatmap has it.
    post("heatmap", heat("view-0002", "/q", json!([rage(5)]))).await;

    let (key, owner) = (site.key("read"), site.key("full_access"));
    let list = format!("/api/websites/{}/visitors?range=24h", site.id());
    let listed = app.get(&list).key(&key).send().await.expect(200).data();
    let visitor = &listed["visitors"][0];
    let one = format!("/api/websites/{}/visitors/{}", site.id(), visitor["id"].as_str().unwrap());
    let visit_of = async |app: &TestApp| {
        let told = app.get(&one).key(&key).send().await.expect(200).data();
        assert_eq!(told["visits"].as_array().unwrap().len(), 1);
        told["visits"][0].clone()
    };
    let visit = visit_of(&app).await;
    assert_eq!((&visit["score"]["total"], &visit["score"]["pageviews"]), (&visitor["value_score"], &json!(10)));
    let moments = visit["moments"].as_array().unwrap();
    let told: Vec<_> = moments
        .iter()
        .map(|moment| {
            let text = |name: &str| moment[name].as_str().unwrap();
            (text("type"), text("page"), text("text"), moment["count"].as_u64().unwrap())
        })
        .collect();
    let expected = [
        ("rage_click", "/p", "Start free", 3),
        ("error", "/p", "TypeError: plan 7 is gone", 2),
        ("rage_click", "/q", "Start free", 5),
    ];
    assert_eq!(told, expected);
    let listed = app.get(&path(&site, "?range=24h")).key(&key).send().await.expect(200).data();
    let replay = &listed["replays"][0]["id"];
    assert_eq!((&moments[0]["replay"]["id"], &moments[0]["replay"]["at_ms"]), (replay, &json!(4_600)));
    assert_eq!((&moments[1]["replay"]["id"], &moments[1]["replay"]["at_ms"]), (replay, &json!(4_900)));
    assert_eq!((&moments[2]["replay"], &moments[0]["group"]), (&Value::Null, &Value::Null));
    let group = moments[1]["group"].as_str().unwrap();
    app.get(&format!("/api/websites/{}/errors/{group}?range=24h", site.id())).key(&key).send().await.expect(200);

    // Each of the three by itself.
    for (features, expected) in [
        (&[][..], &[][..]),
        (&[Feature::Errors][..], &[("error", true)][..]),
        (&[Feature::Heatmaps][..], &[("rage_click", true), ("rage_click", true)][..]),
        (&[Feature::Replays][..], &[("rage_click", false)][..]),
    ] {
        let mut plans = PlanTable::default();
        plans.limits_mut(Plan::Pro).features = features.iter().copied().collect();
        let app = app.with_plans(plans).await;
        let visit = visit_of(&app).await;
        let told: Vec<_> = visit["moments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|moment| (moment["type"].as_str().unwrap(), moment["replay"].is_null()))
            .collect();
        assert_eq!(told, expected, "{features:?}");
    }
    app.request(Method::DELETE, &one).key(&owner).send().await.expect(204);
    app.get(&one).key(&key).send().await.expect(404);
}

/// Sabotage: look at the plan, the settings, the consent or the privacy signals in one place less.
#[actix_web::test]
async fn nothing_is_recorded_of_who_does_not_want_it() {
    let app = TestApp::start().await;
    let on = website(app.team(Plan::Pro), |_| ());
    let off = website(app.team(Plan::Pro), |settings| settings.session_replay = false);
    let consent = website(app.team(Plan::Pro), |settings| settings.session_replay_consent = true);
    let paused = website(app.team(Plan::Pro), |settings| settings.is_active = false);
    let free = website(app.team(Plan::Free), |_| ());
    for (site, gpc, more, expected) in [
        (&off, "0", json!({}), "kind_off"),
        (&free, "0", json!({}), "kind_off"),
        (&paused, "0", json!({}), "paused"),
        (&consent, "0", json!({}), "consent_missing"),
        (&consent, "0", json!({ "consent": "denied" }), "consent_missing"),
        (&consent, "0", json!({ "consent": "granted" }), "stored"),
        (&on, "1", json!({}), "gpc_opted_out"),
        (&on, "0", json!({ "opted_out": true }), "gpc_opted_out"),
        (&on, "0", json!({ "webdriver": true }), "bot"),
        (&on, "0", json!({}), "stored"),
    ] {
        let mut body = chunk(&app, site, 0, &page("hello"));
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let call = app.post(&format!("/api/track/{}/replay", site.code())).header("origin", "https://shop.example");
        let call = call.header("user-agent", CHROME).from("203.0.113.7").header("sec-gpc", gpc);
        let reply = call.json(&body).send().await.expect(200);
        assert_eq!(outcome(&reply), expected, "{more}");
        assert_eq!(reply.json()["accepted"].as_bool(), (expected != "stored").then_some(false), "{more}");
    }
    let chunks = disk::files(&app.directory.path().join("replays")).len();
    assert_eq!(chunks, 2);
    let told = |site: &TestWebsite<'_>| app.get(&format!("/load/{}", site.code())).send();
    for (site, is_on) in [(&on, true), (&off, false), (&free, false), (&paused, false), (&consent, true)] {
        assert_eq!(told(site).await.expect(200).data()["session_replay"], is_on);
    }
    let key = on.key("read,write");
    let change = |settings: Value| {
        let path = format!("/api/websites/{}", on.id());
        app.request(Method::PATCH, &path).key(&key).json(&json!({ "settings": settings })).send()
    };
    let etag = told(&on).await.header("etag").unwrap().to_owned();
    let settings = json!({ "session_replay_trigger": "sampled", "session_replay_sample_percent": 25,
        "session_replay_consent": true, "session_replay_mask_inputs": false });
    let changed = change(settings.clone()).await.expect(200).data();
    let reply = told(&on).await.expect(200);
    assert_ne!(reply.header("etag"), Some(etag.as_str()));
    for (name, value) in settings.as_object().unwrap() {
        assert_eq!((&changed["settings"][name], &reply.data()[name]), (value, value), "{name}");
    }
    change(json!({ "session_replay_sample_percent": 0 })).await.expect(422);
    change(json!({ "session_replay_trigger": "some" })).await.expect(400);
}

/// Sabotage: trust the length that gzip tells, or let a body be as long as it likes.
#[actix_web::test]
async fn bodies_are_bounded_and_refused_by_the_name_of_what_is_wrong() {
    let app = TestApp::start().await;
    let site = website(app.team(Plan::Pro), |_| ());
    let call = |prefix: &str| {
        let call =
            app.post(&format!("{prefix}/api/track/{}/replay", site.code())).header("origin", "https://shop.example");
        call.header("user-agent", CHROME).from("203.0.113.7")
    };
    let pack = |bytes: &[u8]| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    };
    let packed = pack(chunk(&app, &site, 0, &page("hello")).to_string().as_bytes());
    let beacon = call("").header("content-type", "text/plain").body(packed.clone());
    assert_eq!(outcome(&beacon.send().await.expect(200)), "stored");
    call("/api/_z").json(&chunk(&app, &site, 1, &done())).send().await.expect(200);
    // Not packed is not too long, whatever it ends with.
    let again = chunk(&app, &site, 1, &done());
    let again = |encoding: &str| call("").header("content-encoding", encoding).json(&again).send();
    assert_eq!(outcome(&again("identity").await.expect(200)), "duplicate");
    again("br").await.expect(415);
    again("x-gzip").await.expect(400);
    // A length that is not that of the content, of too much, and what is cut off.
    let mut lying = packed.clone();
    let end = lying.len();
    lying[end - 4..].copy_from_slice(&10_u32.to_le_bytes());
    assert!(matches!(call("").body(lying).send().await.status, 400 | 413));
    let bomb = pack(&vec![b' '; 33 << 20]);
    call("").body(bomb).send().await.expect(413);
    // What is cut off ends with any length.
    assert!(matches!(call("").body(packed[..packed.len() - 5].to_vec()).send().await.status, 400 | 413));
    for (more, member) in [
        (json!({ "replay_id": "x" }), "replay_id"),
        (json!({ "seq": -1 }), "seq"),
        (json!({ "events": {} }), "events"),
        (json!({ "session_id": "x" }), "session_id"),
        (json!({ "url": "p" }), "url"),
        (
            json!({ "events": [{ "type": 2, "timestamp": app.clock.now().as_millis(), "data": { "node": 7 } }] }),
            "events",
        ),
    ] {
        let mut body = chunk(&app, &site, 7, &page("hello"));
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let text = call("").json(&body).send().await.expect(400).text();
        assert!(text.contains(member), "{member}: {text}");
    }
    let empty = call("").json(&chunk(&app, &site, 8, &[])).send().await.expect(200);
    assert_eq!((outcome(&empty), disk::files(&app.directory.path().join("replays")).len()), ("stored".to_owned(), 2));
}

/// Sabotage: answer before the blob is kept, or do not count the refusal.
#[actix_web::test]
async fn where_chunks_are_kept_may_fail_and_come_back_and_what_is_acknowledged_stays() {
    let app = TestApp::start().await;
    let (id, replay) = {
        let site = website(app.team(Plan::Pro), |_| ());
        let in_the_way = app.directory.path().join("replays");
        std::fs::write(&in_the_way, b"").unwrap();
        let refused = send(&app, &site, &chunk(&app, &site, 0, &page("hello"))).await.expect(503);
        assert!(refused.header("retry-after").is_some());
        assert_eq!(outcome(&refused), "store_unavailable");
        assert!(app.outcomes().iter().any(|(name, count)| name.contains("store_unavailable") && *count > 0));
        let key = site.key("read");
        assert_eq!(app.get(&path(&site, "?range=24h")).key(&key).send().await.expect(200).data()["total"], 0);
        std::fs::remove_file(&in_the_way).unwrap();
        assert_eq!(outcome(&send(&app, &site, &chunk(&app, &site, 0, &page("hello"))).await.expect(200)), "stored");
        let listed = app.get(&path(&site, "?range=24h")).key(&key).send().await.expect(200).data();
        (site.id(), listed["replays"][0]["id"].as_str().unwrap().to_owned())
    };
    let app = app.restart().await;
    let (events, next) =
        app.state.captures.replay_events(id, replay.parse().unwrap(), 0, 9, 9).expect("events").expect("a recording");
    assert!(events[0].json.contains("hello") && next.is_none());
}

/// Sabotage: let a reader delete, or leave something of the visitor.
#[actix_web::test]
async fn recordings_are_deleted_and_erased_by_those_who_may_and_are_gone_from_the_disk() {
    let app = TestApp::start().await;
    let site = website(app.team(Plan::Pro), |_| ());
    send(&app, &site, &chunk(&app, &site, 0, &page("canary-one"))).await.expect(200);
    let (reader, editor, admin) = (site.key("read"), site.key("read,write"), site.key("full_access"));
    let listed = app.get(&path(&site, "?range=24h")).key(&reader).send().await.expect(200).data();
    let id = listed["replays"][0]["id"].as_str().unwrap();
    let one = path(&site, &format!("/{id}"));
    app.request(Method::DELETE, &one).key(&reader).send().await.expect(403);
    assert!(is_on_disk(app.directory.path(), "canary-one"));
    app.request(Method::DELETE, &one).key(&editor).send().await.expect(204);
    app.request(Method::DELETE, &one).key(&editor).send().await.expect(404);
    assert!(!is_on_disk(&app.directory.path().join("replays"), "canary-one"));

    // After that it is another recording.
    send(&app, &site, &chunk(&app, &site, 1, &page("canary-two"))).await.expect(200);
    let listed = app.get(&path(&site, "?range=24h")).key(&reader).send().await.expect(200).data();
    let visitor = listed["replays"][0]["visitor"].as_str().unwrap();
    let export = format!("/api/external/v1/websites/{}/visitors/{visitor}/export", site.id());
    let exported = app.get(&export).key(&admin).send().await.expect(200).data();
    assert_eq!(exported["replays"][0]["moments"][0]["what"], "/p");
    let erase = format!("/api/websites/{}/visitors/{visitor}", site.id());
    app.request(Method::DELETE, &erase).key(&admin).send().await.expect(204);
    for canary in ["canary-one", "canary-two"] {
        assert!(!is_on_disk(app.directory.path(), canary), "{canary}");
    }
    assert_eq!(app.get(&export).key(&admin).send().await.expect(200).data()["replays"], json!([]));

    for (seq, text) in [(2, "canary-three"), (3, "canary-four")] {
        send(&app, &site, &chunk(&app, &site, seq, &page(text))).await.expect(200);
    }
    app.request(Method::DELETE, &path(&site, "")).key(&editor).send().await.expect(403);
    let deleted = app.request(Method::DELETE, &path(&site, "")).key(&admin).send().await.expect(200).data();
    assert_eq!((&deleted["deleted"], is_on_disk(&app.directory.path().join("replays"), "canary")), (&json!(1), false));
}

/// Sabotage: charge the bucket of another kind, or count no bytes.
#[actix_web::test]
async fn of_a_visit_so_much_is_recorded_and_no_more() {
    let app = TestApp::start().await;
    let site = website(app.team(Plan::Pro), |_| ());
    let long = |seq: u32| {
        let mut body = chunk(&app, &site, seq, &done());
        body["padding"] = "x".repeat(9 << 20).into();
        body
    };
    for (seq, expected) in [(0, "stored"), (1, "stored"), (2, "session_full")] {
        assert_eq!(outcome(&send(&app, &site, &long(seq)).await.expect(200)), expected, "{seq}");
    }
    assert_eq!(outcome(&send(&app, &site, &long(1)).await.expect(200)), "duplicate");
    for seq in 3..60 {
        let reply = send(&app, &site, &chunk(&app, &site, seq, &[])).await;
        if reply.status == 429 {
            assert!(seq > 50 && reply.header("retry-after").is_some(), "{seq}");
            return;
        }
    }
    send(&app, &site, &chunk(&app, &site, 60, &[])).await.expect(429);
}
