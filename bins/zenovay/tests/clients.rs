//! Clients that leave, that are slow, and that ask for too much, on real connections to the server as it is configured.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use common::endless::Endless;
use common::running::{PATIENCE, Running, answer};
use common::{TestApp, TestKey, TestWebsite};
use serde_json::Value;
use std::io::Write;
use std::net::TcpStream;
use zenovay::config::ServerFlags;
use zenovay_domain::Plan;
use zenovay_query::QueryError;

fn overview_request(site: &TestWebsite<'_>, key: &TestKey) -> String {
    format!("GET {} HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\n\r\n", site.path("/analytics/{id}?range=24h"), key.text)
}

/// Sabotage: `h1_allow_half_closed(true)`, no `CancelOnDrop`, as many turns for a key as there are, or a turn for a live count.
#[test]
fn the_query_of_a_client_that_goes_away_is_cancelled() {
    actix_web::rt::System::new().block_on(async {
        let app = TestApp::start().await;
        let site = app.team(Plan::Pro).website("shop.example");
        let key = site.key("read");
        let (store, has_begun, has_ended) = Endless::new(&app.events);
        let flags = ServerFlags { query_timeout_seconds: Some("3600".to_owned()), ..ServerFlags::default() };
        let server = Running::start(&app, store, &flags);
        // More than there are turns: one that leaves makes room for the next.
        for _ in 0..5 {
            let mut client = server.connect();
            client.write_all(overview_request(&site, &key).as_bytes()).unwrap();
            has_begun.recv_timeout(PATIENCE).expect("the query runs");
            drop(client);
            assert_eq!(has_ended.recv_timeout(PATIENCE), Ok(QueryError::Cancelled));
        }
        // One party leaves a turn to others, however much it asks.
        let turns = std::thread::available_parallelism().map_or(2, usize::from).max(2);
        let ask = |site: &TestWebsite<'_>, key: &TestKey| {
            let mut client = server.connect();
            client.write_all(overview_request(site, key).as_bytes()).unwrap();
            client
        };
        let burst: Vec<TcpStream> = (0..turns + 5).map(|_| ask(&site, &key)).collect();
        for _ in 0..turns - 1 {
            assert_eq!(has_begun.recv_timeout(PATIENCE), Ok(site.id()));
        }
        let other_team = app.team(Plan::Pro);
        let other = other_team.website("other.example");
        let client = ask(&other, &other.key("read"));
        assert_eq!(has_begun.recv_timeout(PATIENCE), Ok(other.id()));
        // While all turns are taken, live counts are answered and events are taken.
        let (status, body, _) = server.exchange(&format!("GET /e/live/{} HTTP/1.1\r\nHost: x\r\n\r\n", site.code()));
        assert_eq!((status, &body["liveCount"]), (200, &Value::from(0)), "{body}");
        let hit = site.hit("/", "session-1").to_string();
        let (status, body, _) = server.exchange(&format!(
            "POST /e/{} HTTP/1.1\r\nHost: x\r\nOrigin: https://shop.example\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{hit}",
            site.code(),
            hit.len()
        ));
        assert_eq!((status, &body["success"]), (200, &Value::Bool(true)));
        drop((burst, client));
        for _ in 0..turns {
            assert_eq!(has_ended.recv_timeout(PATIENCE), Ok(QueryError::Cancelled));
        }
    });
}

/// Sabotage: `Budget::unlimited()` in the pool.
#[test]
fn a_query_that_takes_too_long_is_a_503_that_says_so() {
    actix_web::rt::System::new().block_on(async {
        let app = TestApp::start().await;
        let site = app.team(Plan::Pro).website("shop.example");
        let key = site.key("read");
        let (store, _has_begun, has_ended) = Endless::new(&app.events);
        let flags = ServerFlags { query_timeout_seconds: Some("1".to_owned()), ..ServerFlags::default() };
        let server = Running::start(&app, store, &flags);
        let (status, body, head) = server.exchange(&overview_request(&site, &key));
        assert_eq!((status, &body["code"]), (503, &Value::from("SERVICE_UNAVAILABLE")), "{body}");
        assert!(body["message"].as_str().unwrap().contains("too long"), "{body}");
        assert!(head.contains("retry-after: "), "{head}");
        assert_eq!(has_ended.recv_timeout(PATIENCE), Ok(QueryError::TimeExceeded));
    });
}

/// Sabotage: `Budget::unlimited()` in the pool.
#[test]
fn a_query_that_needs_too_much_memory_is_a_503_and_others_are_answered() {
    actix_web::rt::System::new().block_on(async {
        let app = TestApp::start().await;
        let team = app.team(Plan::Pro);
        let (large, small) = (team.website("large.example"), team.website("small.example"));
        for number in 0..40 {
            large.send(&large.hit(&format!("/{number}"), &format!("session {number}"))).send().await.expect(200);
        }
        small.send(&small.hit("/", "session 1")).send().await.expect(200);
        // Rows in files are charged; what is in memory already takes none.
        app.events.seal().unwrap();
        let flags = ServerFlags { query_memory_bytes: Some("1024".to_owned()), ..ServerFlags::default() };
        let server = Running::start(&app, app.events.clone(), &flags);
        let key = large.key("read");
        let (status, body, head) = server.exchange(&overview_request(&large, &key));
        assert_eq!((status, &body["code"]), (503, &Value::from("SERVICE_UNAVAILABLE")), "{body}");
        assert!(body["message"].as_str().unwrap().contains("memory"), "{body}");
        assert!(head.contains("retry-after: "), "{head}");
        let (status, body, _) = server.exchange(&overview_request(&small, &key));
        assert_eq!((status, &body["data"]["summary"]["total_page_views"]), (200, &Value::from(1)), "{body}");
    });
}

/// SECURITY I15. Sabotage: await the body without a time limit; no deadline for a head.
#[test]
fn a_head_or_body_that_takes_too_long_is_a_408_and_others_are_answered_meanwhile() {
    actix_web::rt::System::new().block_on(async {
        let app = TestApp::start().await;
        let site = app.team(Plan::Pro).website("shop.example");
        let key = site.key("full_access");
        let flags = ServerFlags { request_timeout_seconds: Some("1".to_owned()), ..ServerFlags::default() };
        let server = Running::start(&app, app.events.clone(), &flags);
        let begin = |request: String| {
            let mut stream = server.connect();
            stream.write_all(request.as_bytes()).unwrap();
            stream
        };
        let json = "Host: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n";
        let hit =
            begin(format!("POST /e/{} HTTP/1.1\r\n{json}Origin: https://shop.example\r\n\r\n{{\"ev", site.code()));
        let batch = begin(format!("POST /api/v1/events HTTP/1.1\r\n{json}X-API-Key: {}\r\n\r\n{{", key.text));
        let head = begin("GET /healthz HTTP/1.1\r\nHost:".to_owned());
        // Neither is waited for by anybody else.
        let (status, ..) = server.exchange("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(status, 200);
        for slow in [hit, batch] {
            let (status, body, _) = answer(slow);
            assert_eq!((status, &body["code"]), (408, &Value::from("REQUEST_TIMEOUT")), "{body}");
        }
        // A request without a head is answered by the connection itself.
        let (status, body, _) = answer(head);
        assert_eq!((status, &body["code"]), (408, &Value::from("REQUEST_TIMEOUT")), "{body}");
        let refused = app.outcomes().into_iter().find(|(labels, _)| labels.contains("body_incomplete"));
        assert_eq!(refused.map(|(_, count)| count), Some(2), "{:?}", app.outcomes());
    });
}
