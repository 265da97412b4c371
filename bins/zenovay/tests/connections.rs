//! What a client may do to a connection: nothing that costs others anything. On real sockets, with the server as it is
//! configured.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use common::running::{PATIENCE, Running, answer};
use common::{CHROME, TestApp};
use serde_json::{Value, json};
use zenovay::config::ServerFlags;
use zenovay::http::connection::Connections;
use zenovay_domain::Plan;

/// A server over `app` whose clients have a second for everything.
fn impatient(app: &TestApp) -> Running {
    let second = || Some("1".to_owned());
    let flags = ServerFlags {
        request_timeout_seconds: second(),
        keep_alive_seconds: second(),
        write_timeout_seconds: second(),
        ..ServerFlags::default()
    };
    Running::start(app, app.events.clone(), &flags)
}

fn run(test: impl AsyncFnOnce()) {
    actix_web::rt::System::new().block_on(test());
}

/// Everything that comes until the server closes the connection; a reset is an end too.
fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the server did not close"),
    }
    String::from_utf8_lossy(&text).to_ascii_lowercase()
}

fn counter(app: &TestApp, line: &str) -> u64 {
    let page = app.state.metrics.render(&*app.events);
    page.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok()).unwrap_or(0)
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// Sabotage: hand on a request before the answer before it was taken, or forget to wake for what is held.
#[test]
fn pipelined_requests_are_answered_in_order_and_all_of_them() {
    run(async || {
        let app = TestApp::start().await;
        let site = app.team(Plan::Free).website("shop.example");
        let flags = ServerFlags { tracking_requests_per_10s: Some("1000".to_owned()), ..ServerFlags::default() };
        let server = Running::start(&app, app.events.clone(), &flags);
        let body = site.hit("/", "session-1").to_string();
        let mut sent = String::new();
        for n in 0..300 {
            sent += &match n % 3 {
                0 => format!("GET /healthz HTTP/1.1\r\nHost: x\r\nx-request-id: r{n}.\r\n\r\n"),
                1 => format!(
                    "POST /e/{} HTTP/1.1\r\nHost: x\r\nx-request-id: r{n}.\r\nOrigin: https://shop.example\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    site.code(),
                    body.len()
                ),
                _ => format!(
                    "POST /e/{} HTTP/1.1\r\nHost: x\r\nx-request-id: r{n}.\r\nOrigin: https://shop.example\r\n\
                     Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                    site.code(),
                    body.len()
                ),
            };
        }
        sent += "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let mut stream = server.connect();
        let mut writer = stream.try_clone().unwrap();
        let writing = std::thread::spawn(move || writer.write_all(sent.as_bytes()));
        let text = rest(&mut stream);
        writing.join().unwrap().unwrap();
        let ids: Vec<&str> =
            text.split("x-request-id: r").skip(1).filter_map(|rest| rest.split_once('.')).map(|(id, _)| id).collect();
        let expected: Vec<String> = (0..300).map(|n| n.to_string()).collect();
        assert_eq!(ids, expected);
    });
}

/// Sabotage: a deadline for the first head alone.
#[test]
fn every_head_has_a_deadline() {
    run(async || {
        let app = TestApp::start().await;
        let server = impatient(&app);
        for beginning in ["G", "GET /healthz HTTP/1.1\r\nHost: x\r\n", "\r\n"] {
            for earlier in [0, 1, 2] {
                let mut stream = server.connect();
                stream.write_all((HEALTH.repeat(earlier) + beginning).as_bytes()).unwrap();
                let text = rest(&mut stream);
                assert_eq!(text.matches("http/1.1 200 ok").count(), earlier, "{beginning:?}: {text}");
                assert_eq!(text.matches("http/1.1 408 ").count(), 1, "{beginning:?}: {text}");
                assert!(text.contains("\"code\":\"request_timeout\""), "{text}");
            }
        }
        // A head that comes byte by byte has no more time than one that stops.
        let mut stream = server.connect();
        let mut writer = stream.try_clone().unwrap();
        stream.write_all(HEALTH.as_bytes()).unwrap();
        std::thread::spawn(move || {
            let trickle = "GET / HTTP/1.1\r\nHost: x\r\na: ".bytes().chain(std::iter::repeat(b'b'));
            for byte in trickle {
                if writer.write_all(&[byte]).is_err() {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        assert!(rest(&mut stream).contains("http/1.1 408 "));
    });
}

#[test]
fn connections_that_ask_nothing_are_closed_without_a_word() {
    run(async || {
        let app = TestApp::start().await;
        let server = impatient(&app);
        assert_eq!(rest(&mut server.connect()), "");
        let mut used = server.connect();
        used.write_all(HEALTH.as_bytes()).unwrap();
        let text = rest(&mut used);
        assert_eq!(text.matches("http/1.1 ").count(), 1, "{text}");
    });
}

/// Sabotage: drain the rest of a body without a deadline.
#[test]
fn a_body_that_trickles_ends_with_its_408() {
    run(async || {
        let app = TestApp::start().await;
        let site = app.team(Plan::Free).website("shop.example");
        let server = impatient(&app);
        for end in ["", "/"] {
            // One is refused for its slow body, the other before its body is read.
            let mut stream = server.connect();
            let mut writer = stream.try_clone().unwrap();
            let head = format!(
                "POST /e/{}{end} HTTP/1.1\r\nHost: x\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
                site.code(),
                if end.is_empty() { "application/json" } else { "image/png" },
            );
            std::thread::spawn(move || {
                writer.write_all(head.as_bytes())?;
                loop {
                    writer.write_all(b"1\r\n{\r\n")?;
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                #[allow(unreachable_code, reason = "the type of the error")]
                std::io::Result::Ok(())
            });
            let text = rest(&mut stream);
            let status = if end.is_empty() { "408" } else { "415" };
            assert!(text.starts_with(&format!("http/1.1 {status} ")), "{text}");
            assert_eq!(text.matches("http/1.1 ").count(), 1, "{text}");
            assert!(text.contains("connection: close"), "{text}");
        }
    });
}

/// Asks without reading until the server cuts the connection.
fn never_read(server: &Running) {
    let mut stream = server.connect();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let requests = HEALTH.repeat(1_000);
    let error = loop {
        if let Err(error) = stream.write_all(requests.as_bytes()) {
            break error.kind();
        }
    };
    assert!(matches!(error, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
}

/// The time to take an answer is counted while something waits to be taken. Sabotage: count it from the last write.
#[test]
fn a_stream_that_is_silent_for_longer_than_writing_may_take_goes_on() {
    run(async || {
        let app = TestApp::start().await;
        let site = app.team(Plan::Enterprise).website("shop.example");
        let key = site.key("read");
        let server = impatient(&app);
        let mut stream = server.connect();
        let path = format!("/api/websites/{}/live/events", site.id());
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\n\r\n", key.text).unwrap();
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        assert!(lines.by_ref().take(100).any(|line| line == "event: count"));
        // Whoever came later and takes nothing has had its time.
        never_read(&server);
        let body = site.hit("/", "session-1").to_string();
        let head =
            format!("POST /e/{} HTTP/1.1\r\nHost: x\r\nOrigin: https://shop.example\r\nUser-Agent: ", site.code());
        let rest = format!("{CHROME}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let (status, answer, _) = server.exchange(&(head + &rest));
        assert_eq!((status, &answer["success"]), (200, &json!(true)), "{answer}");
        assert!(lines.take(100).any(|line| line == "event: event"));
    });
}

/// Sabotage: no timer for writing, or one that begins anew with every byte.
#[test]
fn clients_that_never_read_are_cut() {
    run(async || {
        let app = TestApp::start().await;
        let server = impatient(&app);
        let before = counter(&app, r#"zenovay_http_refusals_total{reason="answer_not_taken"}"#);
        never_read(&server);
        let after = counter(&app, r#"zenovay_http_refusals_total{reason="answer_not_taken"}"#);
        assert!(after > before);
    });
}

/// What is refused before it is a request has what every answer has, and is counted.
#[test]
fn what_is_no_request_has_an_id_a_body_and_a_counter() {
    run(async || {
        let app = TestApp::start().await;
        let server = Running::start(&app, app.events.clone(), &ServerFlags::default());
        let long = format!("GET / HTTP/1.1\r\nHost: x\r\na: {}", "b".repeat(20_000));
        for (request, status, reason) in [
            ("nonsense\r\n\r\n", 400, "bad_head"),
            ("GET / HTTP/1.1\r\n\r\n", 400, "bad_head"),
            ("GET / HTTP/1.1\nHost: x\n\n", 400, "bad_head"),
            ("GET / HTTP/1.1\r\nHost: x\r\na: b\nc: d\r\n\r\n", 400, "bad_head"),
            ("GET / HTTP/1.1\r\nHost: a b<>\r\n\r\n", 400, "bad_head"),
            ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400, "bad_head"),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n1", 400, "bad_head"),
            ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\n", 400, "bad_head"),
            (&long, 431, "head_too_large"),
        ] {
            let counted = format!(r#"zenovay_http_refusals_total{{reason="{reason}"}}"#);
            for earlier in ["", HEALTH] {
                let before = counter(&app, &counted);
                let mut stream = server.connect();
                stream.write_all(format!("{earlier}{request}").as_bytes()).unwrap();
                let text = rest(&mut stream);
                let text = text.split_at(text.rfind("http/1.1 4").unwrap()).1;
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                let body: Value = serde_json::from_str(body).unwrap();
                assert!(head.starts_with(&format!("http/1.1 {status} ")), "{request:?}: {head}");
                let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
                assert_eq!((&body["success"], &body["error"]["request_id"]), (&json!(false), &json!(id)), "{body}");
                assert!(head.contains("connection: close"), "{head}");
                assert!(head.contains("x-content-type-options: nosniff"), "{head}");
                assert!(counter(&app, &counted) > before, "{request:?}");
            }
        }
    });
}

/// Sabotage: no `InvalidEncoding` in `body::read`; hand the broken bytes on.
#[test]
fn broken_chunks_are_one_400_and_the_end() {
    run(async || {
        let app = TestApp::start().await;
        let site = app.team(Plan::Pro).website("shop.example");
        let key = site.key("full_access");
        let server = Running::start(&app, app.events.clone(), &ServerFlags::default());
        let headers = format!("Host: x\r\nX-API-Key: {}\r\nContent-Type: application/json\r\n", key.text);
        for path in [format!("/e/{}", site.code()), "/api/v1/events".to_owned()] {
            for chunks in ["zz\r\n", "3\r\nabcd\r\n", "3\nabc\n", "2\r\n{}\r\n0\r\nbad\n\r\n", "-1\r\n"] {
                let mut stream = server.connect();
                let request = format!("POST {path} HTTP/1.1\r\n{headers}Transfer-Encoding: chunked\r\n\r\n{chunks}");
                stream.write_all((request + HEALTH).as_bytes()).unwrap();
                let text = rest(&mut stream);
                assert!(text.starts_with("http/1.1 400 "), "{path} {chunks:?}: {text}");
                assert_eq!(text.matches("http/1.1 ").count(), 1, "{path} {chunks:?}: {text}");
            }
        }
    });
}

/// Sabotage: leave the `Upgrade` header to the library.
#[test]
fn an_upgrade_is_not_taken_and_takes_no_body() {
    run(async || {
        let app = TestApp::start().await;
        let site = app.team(Plan::Free).website("shop.example");
        let server = impatient(&app);
        let body = site.hit("/", "session-1").to_string();
        let mut stream = server.connect();
        let request = format!(
            "POST /e/{} HTTP/1.1\r\nHost: x\r\nOrigin: https://shop.example\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nContent-Length: {}\r\n\r\n{body}",
            site.code(),
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let text = rest(&mut stream);
        assert!(text.starts_with("http/1.1 200 "), "{text}");
        assert!(text.contains("connection: close") && !text.contains("upgrade"), "{text}");
    });
}

/// Sabotage: count nothing back when a connection ends, or count those of trusted proxies.
#[test]
fn an_address_has_so_many_connections() {
    run(async || {
        let app = TestApp::start().await;
        let flags = ServerFlags { max_connections_per_address: Some("3".to_owned()), ..ServerFlags::default() };
        let server = Running::changed(&app, app.events.clone(), &flags, |config, state| {
            state.connections = Arc::new(Connections::with_exempt(config, state.response_layer(), Vec::new()));
        });
        let held: Vec<TcpStream> = (0..3)
            .map(|_| {
                let mut stream = server.connect();
                stream.write_all(HEALTH.as_bytes()).unwrap();
                // Its answer shows that it was admitted.
                assert_eq!(answer(stream.try_clone().unwrap()).0, 200);
                stream
            })
            .collect();
        let (status, body, head) = server.exchange(HEALTH);
        assert_eq!((status, &body["code"]), (429, &json!("RATE_LIMIT_EXCEEDED")), "{body}");
        assert!(head.contains("retry-after: ") && head.contains("x-request-id: "), "{head}");
        drop(held);
        // Those that ended make room as soon as the server has seen it.
        let started = Instant::now();
        while server.exchange(HEALTH).0 != 200 {
            assert!(started.elapsed() < PATIENCE, "closed connections go on counting");
        }
        // This machine and proxies that are trusted have no limit.
        let flags = ServerFlags { trusted_proxies: Some("192.0.2.0/24".to_owned()), ..flags };
        let server = Running::start(&app, app.events.clone(), &flags);
        let held: Vec<TcpStream> = (0..10).map(|_| server.connect()).collect();
        assert_eq!(server.exchange(HEALTH).0, 200);
        drop(held);
        for (peer, expected) in [("192.0.2.7", 10), ("192.0.3.7", 3)] {
            let peer = peer.parse().unwrap();
            let admitted: Vec<_> = (0..10).filter_map(|_| server.connections.admit(peer)).collect();
            assert_eq!(admitted.len(), expected, "{peer}");
        }
    });
}

/// Sabotage: close idle connections at once; forget `Connection: close`.
#[test]
fn a_server_that_stops_answers_and_says_that_it_closes() {
    run(async || {
        let app = TestApp::start().await;
        let server = Running::start(&app, app.events.clone(), &ServerFlags::default());
        let connect = || {
            let mut stream = server.connect();
            stream.write_all(HEALTH.as_bytes()).unwrap();
            let (status, _, head) = answer(stream.try_clone().unwrap());
            assert_eq!(status, 200);
            assert!(!head.contains("connection: close"), "{head}");
            stream
        };
        let (mut busy, mut idle) = (connect(), connect());
        server.connections.drain();
        drop(server.handle.stop(true));
        busy.write_all(HEALTH.as_bytes()).unwrap();
        let text = rest(&mut busy);
        assert!(text.starts_with("http/1.1 200 ") && text.contains("connection: close"), "{text}");
        assert_eq!(rest(&mut idle), "");
    });
}

/// A client that closes its end before its answer came is gone.
#[test]
fn a_client_that_leaves_is_noticed() {
    run(async || {
        let app = TestApp::start().await;
        let server = Running::start(&app, app.events.clone(), &ServerFlags::default());
        let mut stream = server.connect();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost:").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        BufReader::new(stream).read_to_string(&mut text).unwrap();
        assert_eq!(text, "");
    });
}
