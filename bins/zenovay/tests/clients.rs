//! Clients that leave, that are slow, and that ask for too much, on real connections to the server as it is configured.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use common::{TestApp, TestKey, TestWebsite};
use parking_lot::Mutex;
use serde_json::Value;
use zenovay::config::{CommonFlags, Config, ServerFlags};
use zenovay::runtime::main_server;
use zenovay::state::AppState;
use zenovay_domain::{Clock, Plan, Timestamp, VisitorId, WebsiteId};
use zenovay_events::{AppendReceipt, EmbeddedStore, EventStore, Kept, NewEvent, RecentSession, Retained, StoreStats};
use zenovay_query::{Answer, Budget, Query, QueryError};

/// Only ever reached when something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server with settings of its own over the stores of `app`, answering queries from `events`.
struct Running {
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Running {
    fn start(app: &TestApp, events: Arc<dyn EventStore>, flags: &ServerFlags) -> Self {
        let data_dir = app.directory.path().display().to_string();
        let common = CommonFlags { data_dir: Some(data_dir), ..CommonFlags::default() };
        let config = Config::load(&common, flags, []).unwrap();
        let clock: Arc<dyn Clock> = app.clock.clone();
        let state = AppState::new(&config, clock, app.state.store.clone(), events, app.state.ingest.clone());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, handle) = channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let server = main_server(&config, listener, Arc::new(state))?;
                sender.send(server.handle()).unwrap();
                server.await
            })
        });
        Self { address, handle: handle.recv_timeout(PATIENCE).unwrap(), thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends these bytes and reads an answer: its status and body.
    fn exchange(&self, request: &str) -> (u16, Value, String) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        answer(stream)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(Ok(())))) || std::thread::panicking());
    }
}

/// The status, the body as JSON (null when it is none) and the head of an answer.
fn answer(stream: TcpStream) -> (u16, Value, String) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "the connection ended: {head:?}");
    }
    let head = head.to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default(), head)
}

fn overview_request(site: &TestWebsite<'_>, key: &TestKey) -> String {
    format!("GET {} HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\n\r\n", site.path("/analytics/{id}?range=24h"), key.text)
}

/// A store whose queries last until their budget ends them.
struct Endless {
    inner: Arc<EmbeddedStore>,
    began: Mutex<Sender<()>>,
    ended: Mutex<Sender<QueryError>>,
}

impl Endless {
    fn new(inner: &Arc<EmbeddedStore>) -> (Arc<Self>, Receiver<()>, Receiver<QueryError>) {
        let ((began, has_begun), (ended, has_ended)) = (channel(), channel());
        let store = Self { inner: Arc::clone(inner), began: Mutex::new(began), ended: Mutex::new(ended) };
        (Arc::new(store), has_begun, has_ended)
    }
}

impl EventStore for Endless {
    fn query(&self, _website: WebsiteId, _query: &Query, budget: &Budget) -> Result<Answer, QueryError> {
        let started = Instant::now();
        self.began.lock().send(()).unwrap();
        loop {
            // What kernels do once per 65,536 rows.
            if let Err(error) = budget.check() {
                self.ended.lock().send(error.clone()).unwrap();
                return Err(error);
            }
            assert!(started.elapsed() < PATIENCE, "nothing ends the query");
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn append(&self, events: Vec<NewEvent>) -> AppendReceipt {
        self.inner.append(events)
    }

    fn recent_sessions(&self, since: Timestamp) -> Vec<RecentSession> {
        self.inner.recent_sessions(since)
    }

    fn damages(&self) -> Vec<String> {
        self.inner.damages()
    }

    fn erase_visitor(&self, website: WebsiteId, visitor: VisitorId) -> Result<(), QueryError> {
        self.inner.erase_visitor(website, visitor)
    }

    fn delete_website(&self, website: WebsiteId) -> Result<(), QueryError> {
        self.inner.delete_website(website)
    }

    fn retain(&self, kept: &[Kept], now: Option<Timestamp>, tell: &mut dyn FnMut(Retained)) -> Result<(), QueryError> {
        self.inner.retain(kept, now, tell)
    }

    fn remove_hidden(&self, now: Timestamp, tell: &mut dyn FnMut(Retained)) -> Result<(), QueryError> {
        self.inner.remove_hidden(now, tell)
    }

    fn newest(&self) -> Option<Timestamp> {
        self.inner.newest()
    }

    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }

    fn shutdown(&self) {
        self.inner.shutdown();
    }
}

/// Sabotage: `h1_allow_half_closed(true)`, or no `CancelOnDrop`.
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
        // While queries run, and nobody can ask another, events are taken.
        let turns = std::thread::available_parallelism().map_or(2, usize::from).max(2);
        let clients: Vec<TcpStream> = (0..turns)
            .map(|_| {
                let mut client = server.connect();
                client.write_all(overview_request(&site, &key).as_bytes()).unwrap();
                has_begun.recv_timeout(PATIENCE).expect("the query runs");
                client
            })
            .collect();
        let hit = site.hit("/", "session-1").to_string();
        let (status, body, _) = server.exchange(&format!(
            "POST /e/{} HTTP/1.1\r\nHost: x\r\nOrigin: https://shop.example\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{hit}",
            site.code(),
            hit.len()
        ));
        assert_eq!((status, &body["success"]), (200, &Value::Bool(true)));
        drop(clients);
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

/// SECURITY I15. Sabotage: await the body without a time limit; no `client_request_timeout`.
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
        // A request without a head is answered by the connection, which knows no envelope, and ends.
        let (status, ..) = answer(head);
        assert_eq!(status, 408);
        let refused = app.outcomes().into_iter().find(|(labels, _)| labels.contains("body_incomplete"));
        assert_eq!(refused.map(|(_, count)| count), Some(2), "{:?}", app.outcomes());
    });
}
