//! Questions that are not answered at once: where their answer is, how far they are, whose they are, and how they end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use actix_web::http::Method;
use common::endless::Endless;
use common::running::{PATIENCE, Running};
use common::{Reply, TestApp, TestWebsite};
use serde_json::{Value, json};
use zenovay::config::ServerFlags;
use zenovay::http::long_questions::{LongQuestions, Waits};
use zenovay_domain::{Clock, Plan, Role, WebsiteId};
use zenovay_query::QueryError;

const NEVER: Duration = Duration::from_secs(3_600);
const PATIENT: Waits = Waits { at_once: Duration::ZERO, unfollowed: NEVER, held: NEVER };

/// The routes of a website that count something, and those of a link to it.
const COUNTED: [&str; 9] = [
    "/totals",
    "/series?metric=events",
    "/breakdown?dimension=page",
    "/values?dimension=page",
    "/properties",
    "/goals",
    "/funnels",
    "/visitors",
    "/totals?range=all&compare=previous&f=page:contains:a",
];

/// A server that answers no question, and when each began and ended.
struct Slow {
    app: TestApp,
    store: Arc<Endless>,
    began: Receiver<WebsiteId>,
    ended: Receiver<QueryError>,
}

impl Slow {
    async fn over(app: &TestApp, waits: Waits) -> Self {
        let (store, began, ended) = Endless::new(&app.events);
        Self { app: app.with_long_questions(store.clone(), waits).await, store, began, ended }
    }

    async fn has_begun(&self) {
        while self.began.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
    }

    async fn is_cancelled(&self) {
        // Also on this thread something has to be done for it.
        while self.ended.try_recv() != Ok(QueryError::Cancelled) {
            tokio::task::yield_now().await;
        }
    }
}

fn of(site: &TestWebsite<'_>, rest: &str) -> String {
    format!("/api/websites/{}{rest}", site.id())
}

/// Where the answer will be.
#[track_caller]
fn place(reply: Reply) -> String {
    let reply = reply.expect(202);
    let location = reply.header("location").unwrap().to_owned();
    let data = reply.data();
    let id = data["query_id"].as_str().unwrap();
    assert_eq!((id.len(), location.ends_with(&format!("/queries/{id}"))), (32, true), "{location}");
    location
}

/// Sabotage: answer with something else than the route does, or give the answer twice.
#[actix_web::test]
async fn a_long_question_is_answered_later_with_the_same_answer() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    site.send_batch(vec![site.row("pageview", "2026-06-13T10:00:00Z", "a", "/a", json!({ "plan": "pro" }))]).await;
    let key = site.key("read,write");
    let goal = json!({ "name": "A", "type": "page", "value": "/a" });
    app.post(&of(&site, "/goals")).key(&key).json(&goal).send().await.expect(201);
    let steps = json!([{ "type": "page", "value": "/a" }, { "type": "page", "value": "/b" }]);
    let funnel = json!({ "name": "A to B", "steps": steps });
    let funnel = app.post(&of(&site, "/funnels")).key(&key).json(&funnel).send().await.expect(201);
    let report = format!("{}/report", funnel.header("location").unwrap().trim_start_matches(&of(&site, "")));
    let visitor = app.get(&of(&site, "/visitors")).key(&key).send().await.expect(200).data();
    let timeline = format!("/visitors/{}", visitor["visitors"][0]["id"].as_str().unwrap());
    let mut paths: Vec<String> = COUNTED.iter().map(|rest| of(&site, rest)).collect();
    paths.extend([of(&site, &report), "/api/websites".to_owned()]);
    let share = app.post(&of(&site, "/shares")).key(&key).json(&json!({})).send().await.expect(201).data();
    let link = format!("/api/shares/{}", share["token"].as_str().unwrap());
    paths.extend(COUNTED.iter().filter(|rest| **rest != "/visitors").map(|rest| format!("{link}{rest}")));

    let slow = Slow::over(&app, PATIENT).await;
    let mut places = Vec::new();
    for path in &paths {
        let later = place(slow.app.get(path).key(&key).send().await);
        assert!(later.starts_with(if path.starts_with(&link) { link.as_str() } else { "/api/queries/" }), "{later}");
        // Turns of one party are few: it is enough that it goes on.
        let standing = slow.app.get(&later).key(&key).send().await.expect(202);
        assert_eq!(standing.header("location"), Some(later.as_str()));
        places.push(later);
    }
    slow.store.go_on();
    for (path, later) in paths.iter().zip(places) {
        let mut stream = slow.app.get(&format!("{later}/events")).key(&key).open().await;
        let told = stream.until("event: done").await;
        assert!(told.contains("event: progress\ndata: {\"done\":"), "{told}");
        assert_eq!(stream.next().await, None, "the stream ends");
        slow.app.request(Method::HEAD, &later).key(&key).send().await.expect(200);
        let answer = slow.app.get(&later).key(&key).send().await.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let at_once = app.get(path).key(&key).send().await.expect(200);
        assert_eq!(answer.json(), at_once.json(), "{path}");
        assert_eq!(slow.app.get(&later).key(&key).send().await.expect(404).code(), "NOT_FOUND");
    }
    // What is not counted by a query, and what programs ask, is answered as ever.
    let (slow, _) = (Slow::over(&app, PATIENT).await, timeline);
    slow.store.go_on();
    for path in
        [site.path("/analytics/{id}?range=24h"), format!("/api/external/v1/stats/aggregate?site_id={}", site.id())]
    {
        slow.app.get(&path).key(&key).send().await.expect(200);
    }
    for format in ["csv", "json", "ndjson"] {
        let file = format!("/breakdown?dimension=page&format={format}");
        slow.app.get(&of(&site, &file)).key(&key).send().await.expect(200);
    }
}

/// Sabotage: look a question up by its id alone.
#[actix_web::test]
async fn a_question_is_known_to_whoever_asked_it_alone() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let site = team.website("shop.example");
    let (key, other_key) = (site.key("read,write"), site.key("read"));
    let owner = app.sign_in(team.owner);
    let (again, colleague) = (app.sign_in(team.owner), app.sign_in(team.member(Role::Admin)));
    let share = |name: &str| app.post(&of(&site, "/shares")).key(&key).json(&json!({ "name": name }));
    let token = |share: Value| share["token"].as_str().unwrap().to_owned();
    let (one, two) = (share("one").send().await.expect(201).data(), share("two").send().await.expect(201).data());
    let (one, two) = (token(one), token(two));
    let slow = Slow::over(&app, PATIENT).await;

    let by_key = place(slow.app.get(&of(&site, "/totals")).key(&key).send().await);
    let by_person = place(slow.app.get(&of(&site, "/totals")).session(&owner).send().await);
    let by_link = place(slow.app.get(&format!("/api/shares/{one}/totals")).send().await);
    for (method, rest) in [(Method::GET, ""), (Method::GET, "/events"), (Method::DELETE, "")] {
        let call = |path: &str| slow.app.request(method.clone(), &format!("{path}{rest}"));
        call(&by_key).key(&other_key).send().await.expect(404);
        call(&by_key).session(&owner).send().await.expect(404);
        call(&by_key).send().await.expect(401);
        call(&by_person).session(&again).send().await.expect(404);
        call(&by_person).session(&colleague).send().await.expect(404);
        call(&by_person).key(&key).send().await.expect(404);
        call(&by_link.replace(&one, &two)).send().await.expect(404);
        let id = by_link.rsplit('/').next().unwrap();
        call(&format!("/api/queries/{id}")).key(&key).send().await.expect(404);
        let id = by_key.rsplit('/').next().unwrap();
        call(&format!("/api/shares/{one}/queries/{id}")).send().await.expect(404);
    }
    assert!(slow.ended.try_recv().is_err(), "nobody else ends it");
    // Who may not read the website any more does not read the answer either.
    app.state.store.delete_website(site.id(), app.clock.now()).unwrap();
    slow.app.get(&by_person).session(&owner).send().await.expect(404);
    drop(by_key);
}

/// Sabotage: go on when who asked is gone.
#[actix_web::test]
async fn stop_leaving_and_silence_end_a_question() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    let slow = Slow::over(&app, PATIENT).await;
    let ask = || async { place(slow.app.get(&of(&site, "/totals")).key(&key).send().await) };

    let stopped = ask().await;
    slow.has_begun().await;
    slow.app.request(Method::DELETE, &stopped).key(&key).send().await.expect(204);
    slow.is_cancelled().await;
    slow.app.request(Method::DELETE, &stopped).key(&key).send().await.expect(404);

    let left = ask().await;
    slow.has_begun().await;
    let mut stream = slow.app.get(&format!("{left}/events")).key(&key).open().await;
    assert!(stream.until("progress").await.contains("{\"done\":1,\"parts\":2}"));
    drop(stream);
    slow.is_cancelled().await;
    slow.app.get(&left).key(&key).send().await.expect(404);

    let slow = Slow::over(&app, Waits { unfollowed: Duration::ZERO, ..PATIENT }).await;
    let forgotten = place(slow.app.get(&of(&site, "/totals")).key(&key).send().await);
    while slow.app.get(&forgotten).key(&key).send().await.status == 202 {
        tokio::task::yield_now().await;
    }
}

/// Sabotage: keep the stream of a connection that was closed.
#[test]
fn a_connection_that_closes_ends_the_question_that_it_follows() {
    actix_web::rt::System::new().block_on(async {
        let app = TestApp::start().await;
        let site = app.team(Plan::Enterprise).website("shop.example");
        let key = site.key("read");
        let (store, began, ended) = Endless::new(&app.events);
        let server = Running::changed(&app, store, &ServerFlags::default(), |_, state| {
            state.long_questions = Arc::new(LongQuestions::new(PATIENT));
        });
        let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\n\r\n", key.text);
        let (status, body, _) = server.exchange(&request(&of(&site, "/totals")));
        assert_eq!(status, 202);
        began.recv_timeout(PATIENCE).unwrap();
        let id = body["data"]["query_id"].as_str().unwrap();
        let mut client = server.connect();
        client.write_all(request(&format!("/api/queries/{id}/events")).as_bytes()).unwrap();
        let (mut seen, mut buffer) = (String::new(), [0; 1_024]);
        while !seen.contains("event: progress") {
            let read = client.read(&mut buffer).unwrap();
            assert!(read > 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        assert!(ended.try_recv().is_err());
        drop(client);
        assert_eq!(ended.recv_timeout(PATIENCE), Ok(QueryError::Cancelled));
    });
}

/// A failure is told where the answer would be. Sabotage: drop it.
#[actix_web::test]
async fn a_long_question_that_fails_says_why() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read");
    let slow = Slow::over(&app, PATIENT).await;
    let later = place(slow.app.get(&of(&site, "/funnels/auto-0000000000000000/report")).key(&key).send().await);
    slow.store.go_on();
    let mut stream = slow.app.get(&format!("{later}/events")).key(&key).open().await;
    stream.until("event: done").await;
    let refused = slow.app.get(&later).key(&key).send().await.expect(404);
    assert_eq!(refused.json()["message"], "There is no such funnel");
    // What can be refused at once is.
    slow.app.get(&of(&site, "/totals?range=week")).key(&key).send().await.expect(400);
}
