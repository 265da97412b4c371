//! Public links: what they open without signing in, and what they do not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use actix_web::http::Method;
use common::{Reply, TestApp, TestKey, TestWebsite};
use serde_json::{Value, json};
use zenovay_domain::Plan;

const PASSWORD: &str = "a lamp by the river";
const GUESSER: &str = "192.0.2.7";

async fn make(app: &TestApp, site: &TestWebsite<'_>, key: &TestKey, body: Value) -> Reply {
    app.post(&format!("/api/websites/{}/shares", site.id())).key(key).json(&body).send().await
}

fn token(share: &Value) -> String {
    share["token"].as_str().unwrap().to_owned()
}

fn api(token: &str, rest: &str) -> String {
    format!("/api/shares/{token}{rest}")
}

async fn one_visit(site: &TestWebsite<'_>) {
    site.send_batch(vec![site.row("pageview", "2026-06-13T11:00:00Z", "a", "/", json!({}))]).await;
}

/// Sabotage: open the other routes of a website by a link, tell the token in the list, ask for `public_dashboard`, or keep a
/// link that was ended.
#[actix_web::test]
async fn a_public_link_shows_numbers_and_nothing_else() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read,write");
    one_visit(&site).await;
    let made = make(&app, &site, &key, json!({ "name": "For all" })).await.expect(201);
    let share = made.data();
    let token = token(&share);
    assert_eq!((&share["has_password"], &share["embed"]), (&json!(false), &json!(false)));
    assert_eq!((token.len(), share["path"].as_str().unwrap()), (43, &*format!("/share/{token}")));

    let shown = app.get(&api(&token, "")).send().await.expect(200).data();
    assert_eq!((&shown["needs_password"], &shown["website"]["domain"]), (&json!(false), &json!("shop.example")));
    let totals = app.get(&api(&token, "/totals?range=today")).send().await.expect(200).data();
    assert_eq!(totals["now"]["visitors"], 1);
    for rest in
        ["series?metric=visitors", "breakdown?dimension=page&format=csv", "properties", "goals", "funnels", "live"]
    {
        app.get(&api(&token, &format!("/{rest}"))).send().await.expect(200);
    }
    for rest in ["/visitors", "/install", "/shares", "/visitors/00000000000000ff"] {
        app.get(&api(&token, rest)).send().await.expect(404);
    }
    app.post(&api(&token, "/goals")).json(&json!({})).send().await.expect(405);
    app.get(&format!("/api/websites/{}/totals", site.id())).send().await.expect(401);

    let list = app.get(&format!("/api/websites/{}/shares", site.id())).key(&key).send().await.expect(200);
    assert_eq!(list.data()["shares"][0]["name"], "For all");
    assert!(!list.text().contains(&token), "a link is told once");
    let (reader, body) = (site.key("read"), json!({}));
    make(&app, &site, &reader, body).await.expect(403);

    site.edit(|settings| settings.public_dashboard = true);
    let end = made.header("location").unwrap();
    app.request(Method::DELETE, end).key(&key).send().await.expect(204);
    app.request(Method::DELETE, end).key(&key).send().await.expect(404);
    let gone = app.get(&api(&token, "")).send().await.expect(404);
    assert_eq!(gone.text().matches(&token).count(), 0);
    app.get(&api(&token, "/totals")).send().await.expect(404);
}

/// Sabotage: show a link without its password, take the proof of another link, or for ever.
#[actix_web::test]
async fn a_password_opens_its_link_for_a_day() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read,write");
    let weak = make(&app, &site, &key, json!({ "password": "short" })).await.expect(422);
    assert!(weak.json()["details"]["password"].is_string());
    let locked = token(&make(&app, &site, &key, json!({ "password": PASSWORD })).await.expect(201).data());
    let other = token(&make(&app, &site, &key, json!({ "password": PASSWORD })).await.expect(201).data());

    let shown = app.get(&api(&locked, "")).send().await.expect(200).data();
    assert_eq!(shown, json!({ "needs_password": true, "website": null, "embed": false }));
    app.get(&api(&locked, "/totals")).send().await.expect(403);
    let unlock = async |token: &str, password: &str| {
        app.post(&api(token, "/unlock")).json(&json!({ "password": password })).send().await
    };
    unlock(&locked, "a lamp by the sea").await.expect(403);
    unlock(&"A".repeat(43), PASSWORD).await.expect(404);
    let unlocked = unlock(&locked, PASSWORD).await.expect(204);
    let cookie = unlocked.header("set-cookie").unwrap();
    assert!(cookie.contains(&format!("; Path=/api/shares/{locked}; ")), "{cookie}");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Lax"), "{cookie}");
    let proof = cookie.split(';').next().unwrap();
    let read = async |token: &str, cookies: &str| {
        app.get(&api(token, "/totals")).header("cookie", cookies).send().await.status
    };
    assert_eq!(read(&locked, &format!("a=b; {proof}")).await, 200);
    assert_eq!(app.get(&api(&locked, "")).header("cookie", proof).send().await.data()["needs_password"], false);
    assert_eq!(read(&locked, &format!("{proof}0")).await, 403);
    assert_eq!(read(&other, proof).await, 403);
    let (name, value) = proof.split_once('=').unwrap();
    let later = format!("{name}=f{value}");
    assert_eq!(read(&locked, &later).await, 403, "the time is part of the proof");
    app.clock.advance_ms(24 * 3_600_000);
    assert_eq!(read(&locked, proof).await, 403);
}

/// Sabotage: charge nothing for a link that there is not, or for a password.
#[actix_web::test]
async fn links_and_passwords_cannot_be_guessed_often() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read,write");
    let locked = token(&make(&app, &site, &key, json!({ "password": PASSWORD })).await.expect(201).data());
    let open = token(&make(&app, &site, &key, json!({})).await.expect(201).data());
    for _ in 0..30 {
        app.get(&api(&"A".repeat(43), "/totals")).from(GUESSER).send().await.expect(404);
    }
    app.get(&api(&"A".repeat(43), "")).from(GUESSER).send().await.expect(429);
    let unlock = app.post(&api(&locked, "/unlock")).json(&json!({ "password": PASSWORD }));
    unlock.from(GUESSER).send().await.expect(429);
    app.get(&api(&open, "/totals")).from(GUESSER).send().await.expect(200);
}

/// Sabotage: let every page of a link be framed.
#[actix_web::test]
async fn other_pages_may_show_a_link_in_a_frame_when_it_says_so() {
    if !zenovay::http::application::is_built() {
        return;
    }
    let app = TestApp::start().await;
    let site = app.team(Plan::Enterprise).website("shop.example");
    let key = site.key("read,write");
    for (embed, ancestors) in [(true, "frame-ancestors *"), (false, "frame-ancestors 'none'")] {
        let share = make(&app, &site, &key, json!({ "embed": embed })).await.expect(201).data();
        let page = app.get(share["path"].as_str().unwrap()).header("accept", "text/html").send().await.expect(200);
        assert!(page.header("content-security-policy").unwrap().ends_with(ancestors), "{embed}");
    }
}
