//! Bodies of the console: where an object belongs nothing else is taken, also not an array with its values in their order, which
//! would do for a struct by itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use actix_web::http::Method;
use common::{TestApp, TestCall};
use serde_json::{Value, json};
use zenovay::config::ServerFlags;
use zenovay::http::{document, routes};
use zenovay_auth::SignInStage;
use zenovay_domain::{Plan, Role, SignInId};
use zenovay_store::NewSession;

/// Where objects stand in `value`, as JSON pointers.
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.push(at.to_owned());
            for (name, member) in members {
                objects(member, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                objects(item, &format!("{at}/{n}"), found);
            }
        }
        _ => {}
    }
}

/// `value` with every object as an array of its values.
fn flat(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.values().map(flat).collect(),
        Value::Array(items) => items.iter().map(flat).collect(),
        other => other.clone(),
    }
}

/// Sabotage: leave `array_for_object` out.
#[actix_web::test]
async fn no_body_and_no_part_of_one_is_an_array_in_the_place_of_an_object() {
    let flags = ServerFlags { public_url: Some("http://localhost:8080".to_owned()), ..ServerFlags::default() };
    let app = TestApp::with(ServerFlags { sign_up: Some("open".to_owned()), ..flags }).await;
    let team = app.team(Plan::Enterprise);
    let session = app.sign_in(team.owner);
    let half_way = app.state.new_secret();
    let id = SignInId::from_random_bytes([1; 16]);
    let new = NewSession::new(id, team.owner, half_way.digest(), SignInStage::SecondFactor, "");
    app.state.store.begin_session(&new, app.state.clock.now()).unwrap();
    let member = team.member(Role::Viewer).to_string();
    let (website, key) = (team.website("shop.example").id().to_string(), team.workspace_key(None).id.to_string());
    let path = |pattern: &str| {
        let path = pattern.replace("{team_id}", &team.id.to_string()).replace("{website_id}", &website);
        let path = path.replace("{user_id}", &member).replace("{key_id}", &key);
        let unknown =
            |part: &str| if part.starts_with('{') { "018f3c1e-0000-4000-8000-000000000001" } else { part }.to_owned();
        path.split('/').map(unknown).collect::<Vec<_>>().join("/")
    };
    let (mut bodies, mut nested) = (0, 0);
    for endpoint in routes::all().filter(|endpoint| endpoint.operation.handler.contains("::console::")) {
        let operation = &document::document().unwrap()["paths"][endpoint.path][endpoint.method.as_str().to_lowercase()];
        let example = &operation["requestBody"]["content"]["application/json"]["example"];
        let mut places = Vec::new();
        objects(example, "", &mut places);
        let send = async |body: &Value| {
            let method = Method::from_bytes(endpoint.method.as_str().as_bytes()).unwrap();
            let call: TestCall<'_> = app.request(method, &path(endpoint.path)).json(body);
            let is_half_way = ["/api/session/totp", "/api/session/backup"].contains(&endpoint.path);
            let call = if is_half_way { call.cookie(half_way.expose()) } else { call.session(&session) };
            call.send().await
        };
        bodies += usize::from(!places.is_empty());
        nested += places.len().saturating_sub(1);
        for place in &places {
            let object = example.pointer(place).unwrap();
            for array in [flat(object), json!([]), json!([object])] {
                let mut body = example.clone();
                *body.pointer_mut(place).unwrap() = array;
                let reply = send(&body).await;
                let told = (reply.status, reply.text().contains("must be an object"));
                assert_eq!(
                    told,
                    (400, true),
                    "{} {} {place}: {body}: {}",
                    endpoint.method,
                    endpoint.path,
                    reply.text()
                );
            }
        }
    }
    assert!(bodies >= 30 && nested >= 5, "{bodies} bodies with {nested} parts");
}
