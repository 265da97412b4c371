//! The application behind a real socket: what only bytes can show.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use common::TestApp;
use common::running::{PATIENCE, Running};
use zenovay::config::ServerFlags;
use zenovay_domain::Plan;

/// Serves `app` on a free port.
fn serve(app: &TestApp) -> (SocketAddr, Running) {
    let server = Running::start(app, app.events.clone(), &ServerFlags::default());
    (server.address, server)
}

/// Sends `bytes` on a connection of their own and returns everything until the server closes it.
async fn talk(address: SocketAddr, bytes: &[u8]) -> String {
    let bytes = bytes.to_vec();
    let exchange = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&bytes).unwrap();
        let mut answer = Vec::new();
        // What was sent and not read makes the end a reset.
        if let Err(error) = stream.read_to_end(&mut answer) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the server did not close: {answer:?}");
        }
        String::from_utf8_lossy(&answer).into_owned()
    };
    actix_web::web::block(exchange).await.unwrap()
}

fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

#[actix_web::test]
async fn head_has_the_headers_and_no_body() {
    let app = TestApp::start().await;
    let (address, _server) = serve(&app);
    let text = talk(address, b"HEAD /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(text.to_ascii_lowercase().contains("content-length: 15"), "{text}");
    assert!(text.ends_with("\r\n\r\n"), "{text}");
}

#[actix_web::test]
async fn unknown_paths_and_methods_have_the_error_body() {
    let app = TestApp::start().await;
    let (address, _server) = serve(&app);
    for (line, status, code) in [
        ("GET /nope", "404", "NOT_FOUND"),
        ("GET /healthz//", "404", "NOT_FOUND"),
        ("GET /api/external/v1/%2e%2e/usage", "404", "NOT_FOUND"),
        ("GET /api/external/v1//usage", "404", "NOT_FOUND"),
        ("POST /healthz", "405", "METHOD_NOT_ALLOWED"),
        ("DELETE /api/external/v1/usage", "405", "METHOD_NOT_ALLOWED"),
        ("TRACE /api/external/v1/usage", "405", "METHOD_NOT_ALLOWED"),
        ("GET /api/v1/events", "405", "METHOD_NOT_ALLOWED"),
    ] {
        let text = talk(address, format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{line}: {text}");
        assert!(text.contains(code), "{line}: {text}");
        assert_eq!(text.to_ascii_lowercase().contains("\r\nallow: "), status == "405", "{line}: {text}");
    }
}

/// SECURITY I16: a request whose end can be understood in two ways has one answer, and the connection is closed.
#[actix_web::test]
async fn ambiguous_framing_never_gives_two_answers() {
    let app = TestApp::start().await;
    let (address, _server) = serve(&app);
    let smuggled = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    for head in [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: +5",
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "content-length : 5",
    ] {
        let request = format!("POST /e/ZV_abc HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n0\r\n\r\n{smuggled}");
        let text = talk(address, request.as_bytes()).await;
        assert!(answers(&text) <= 1, "{head}: {text}");
        assert!(!text.contains(r#"{"status":"ok"}"#), "{head}: {text}");
    }
}

/// SECURITY I3: no more than the limit is read, whatever is announced.
#[actix_web::test]
async fn large_bodies_are_refused_before_they_arrive() {
    let app = TestApp::start().await;
    let site = app.team(Plan::Free).website("shop.example");
    let (address, _server) = serve(&app);
    let head = format!("POST /e/{} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n", site.code());
    let announced = talk(address, format!("{head}content-length: 5242880\r\n\r\n").as_bytes()).await;
    assert!(announced.starts_with("HTTP/1.1 413"), "{announced}");
    assert!(announced.contains("PAYLOAD_TOO_LARGE"), "{announced}");
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(4_096));
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{}", chunk.repeat(17));
    let chunked = talk(address, chunked.as_bytes()).await;
    assert!(chunked.starts_with("HTTP/1.1 413"), "{chunked}");
}

/// `/metrics` is for this machine, and not for what a proxy on it passes on. Sabotage: believe any `Host`; forget the
/// settings.
#[actix_web::test]
async fn metrics_are_for_this_machine() {
    let app = TestApp::start().await;
    let (address, _server) = serve(&app);
    talk(address, b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let text = talk(address, b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(text.contains("zenovay_http_requests_total"), "{text}");
    for head in [
        "GET /metrics HTTP/1.1\r\nhost: localhost\r\nx-forwarded-for: 6.6.6.6",
        "GET /metrics HTTP/1.1\r\nhost: evil.example",
        "GET https://evil.example/metrics HTTP/1.1\r\nhost: localhost",
        "GET http://localhost/metrics HTTP/1.1\r\nhost: evil.example",
        "GET /metrics HTTP/1.0",
    ] {
        let text = talk(address, format!("{head}\r\nconnection: close\r\n\r\n").as_bytes()).await;
        assert!(text.starts_with("HTTP/1.1 404") || text.starts_with("HTTP/1.0 404"), "{head}: {text}");
    }
    // Where a proxy is known of, it may be on this machine.
    for flags in [
        ServerFlags { public_url: Some("https://stats.example.com".to_owned()), ..ServerFlags::default() },
        ServerFlags { trusted_proxies: Some("10.0.0.1".to_owned()), ..ServerFlags::default() },
        ServerFlags { metrics_listen: Some("127.0.0.1:9".to_owned()), ..ServerFlags::default() },
    ] {
        let server = Running::start(&app, app.events.clone(), &flags);
        let text = talk(server.address, b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        assert!(text.await.starts_with("HTTP/1.1 404"), "{flags:?}");
    }
}
