//! The real application in a directory of its own, with a clock that the test moves. Reads like the story it tells:
//!
//! ```ignore
//! let app = TestApp::start().await;
//! let shop = app.team(Plan::Pro).website("shop.example");
//! shop.pageview("/home").session("session-1").send().await;
//! app.get("/api/external/v1/websites").key(&shop.key("read")).send().await.expect(200);
//! ```
#![allow(dead_code, reason = "every test file uses a part of this")]
#![allow(unreachable_pub, reason = "shared by the test files")]

pub mod disk;
pub mod endless;
pub mod running;

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use actix_web::body::{self, BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderValue};
use actix_web::test;
use actix_web::web::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use zenovay::backends;
use zenovay::config::{CommonFlags, Config, ServerFlags};
use zenovay::http::long_questions::{LongQuestions, Waits};
use zenovay::http::state::AppState;
use zenovay_auth::{KeyFormat, KeyKind, PasswordHash, Secret, SignInStage, hash_password_with};
use zenovay_domain::{
    Clock, GuardedClock, KeyId, ManualClock, Plan, PlanTable, Role, SignInId, TeamId, Timestamp, TrackingCode, UserId,
    Website, WebsiteId, WebsiteSettings,
};
use zenovay_events::EventStore;
use zenovay_ingest::{FileSalts, GeoDatabase, MemorySessions, Pipeline, VisitorHasher};
use zenovay_store::{Metadata, NewKey, NewSession, NewWebsite, Team, User};

/// A Saturday at noon, UTC.
pub const NOON: &str = "2026-06-13T12:00:00Z";

/// A user agent of a person.
pub const CHROME: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36";

pub fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

type Call = dyn Fn(actix_http::Request) -> Pin<Box<dyn Future<Output = ServiceResponse<BoxBody>>>>;

/// One running application.
pub struct TestApp {
    pub state: Arc<AppState>,
    pub clock: Arc<ManualClock>,
    pub guarded: Arc<GuardedClock>,
    pub events: Arc<dyn EventStore>,
    pub directory: Rc<tempfile::TempDir>,
    call: Rc<Call>,
    rng: Rc<RefCell<StdRng>>,
    address: Rc<AtomicU32>,
}

impl TestApp {
    /// An application with nothing in it, at noon.
    pub async fn start() -> Self {
        Self::with(ServerFlags::default()).await
    }

    /// The same with settings as the command line gives them.
    pub async fn with(flags: ServerFlags) -> Self {
        Self::open(Rc::new(tempfile::tempdir().expect("a directory")), at(NOON), &flags).await
    }

    /// The application again on the same directory, as after a restart. The old one must be gone.
    pub async fn restart(self) -> Self {
        let (directory, now) = (Rc::clone(&self.directory), self.clock.now());
        self.events.shutdown();
        drop(self);
        Self::open(directory, now, &ServerFlags::default()).await
    }

    async fn open(directory: Rc<tempfile::TempDir>, now: Timestamp, flags: &ServerFlags) -> Self {
        let clock = Arc::new(ManualClock::new(now));
        let config = config(directory.path(), flags);
        let store = backends::open_metadata(&config).expect("metadata");
        let memory = store.clock_memory().expect("metadata");
        let guarded = Arc::new(GuardedClock::new(clock.clone(), memory));
        let shared: Arc<dyn Clock> = guarded.clone();
        let captures = backends::open_captures(&config).expect("captures");
        let events = backends::open_events(&config, Arc::clone(&shared), captures.clone()).expect("events");
        guarded.begin(events.newest());
        let hasher = {
            let salts = FileSalts::open(directory.path()).expect("salts");
            VisitorHasher::with_rng(salts, now, StdRng::seed_from_u64(2)).expect("salts")
        };
        let ingest =
            Arc::new(Pipeline::new(hasher, MemorySessions::default(), GeoDatabase::embedded().expect("countries")));
        let mut state = AppState::new(&config, shared, store, events.clone(), captures, ingest);
        state.long_questions = patient();
        let state = Arc::new(state);
        state.restore_sessions().expect("sessions");
        let call = service(&state).await;
        Self {
            state,
            clock,
            guarded,
            events,
            directory,
            call,
            rng: Rc::new(RefCell::new(StdRng::seed_from_u64(1))),
            address: Rc::new(AtomicU32::new(0)),
        }
    }

    /// The metadata as another process opens them.
    pub fn open_metadata_again(&self) -> Arc<dyn Metadata> {
        backends::open_metadata(&config(self.directory.path(), &ServerFlags::default())).expect("metadata")
    }

    /// The application over the same stores but for `events`, to see what happens when they fail.
    pub async fn with_events(&self, events: Arc<dyn EventStore>) -> Self {
        let state = self.new_state(events);
        self.around(state).await
    }

    /// The same where a question that is not answered at the first look is a long one; the other waits are as given.
    pub async fn with_long_questions(&self, events: Arc<dyn EventStore>, waits: Waits) -> Self {
        let mut state = self.new_state(events);
        state.long_questions = Arc::new(LongQuestions::new(Waits { at_once: Duration::ZERO, ..waits }));
        self.around(state).await
    }

    /// The application over the same stores with other numbers in its plans.
    pub async fn with_plans(&self, plans: PlanTable) -> Self {
        self.changed(|state| state.plans = plans).await
    }

    /// The application over the same stores with something else in its state.
    pub async fn changed(&self, change: impl FnOnce(&mut AppState)) -> Self {
        let mut state = self.new_state(self.events.clone());
        change(&mut state);
        self.around(state).await
    }

    /// The settings.
    pub fn config(&self) -> Config {
        config(self.directory.path(), &ServerFlags::default())
    }

    fn new_state(&self, events: Arc<dyn EventStore>) -> AppState {
        let clock: Arc<dyn Clock> = self.guarded.clone();
        let store = self.state.store.clone();
        let mut state =
            AppState::new(&self.config(), clock, store, events, self.state.captures.clone(), self.state.ingest.clone());
        state.long_questions = patient();
        state
    }

    async fn around(&self, state: AppState) -> Self {
        let state = Arc::new(state);
        Self {
            call: service(&state).await,
            state,
            clock: self.clock.clone(),
            guarded: self.guarded.clone(),
            events: self.events.clone(),
            directory: self.directory.clone(),
            rng: self.rng.clone(),
            address: self.address.clone(),
        }
    }

    /// A team with an owner of its own.
    pub fn team(&self, plan: Plan) -> TestTeam<'_> {
        let owner = self.user();
        let id = TeamId::from_random_bytes(self.random());
        self.state.store.create_team(&Team::new(id, "Team", plan, self.clock.now()), owner).expect("a team");
        TestTeam { app: self, id, owner }
    }

    /// An account.
    pub fn user(&self) -> UserId {
        let id = UserId::from_random_bytes(self.random());
        let hash = PasswordHash::from_stored("no login".to_owned());
        let user = User::new(id, format!("{id}@example.com"), "User", hash, self.clock.now());
        self.state.store.create_user(&user).expect("a user");
        id
    }

    pub fn random<const N: usize>(&self) -> [u8; N] {
        use rand::Rng;
        let mut bytes = [0; N];
        self.rng.borrow_mut().fill_bytes(&mut bytes);
        bytes
    }

    /// A key as it would be generated, that nobody holds.
    pub fn unknown_key(&self) -> String {
        KeyFormat::ZENOVAY.generate_with(&mut *self.rng.borrow_mut()).expose().to_owned()
    }

    pub fn get(&self, path: &str) -> TestCall<'_> {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> TestCall<'_> {
        self.request(Method::POST, path)
    }

    /// A request from an address of its own, so that no test meets the limits per address by accident.
    pub fn request(&self, method: Method, path: &str) -> TestCall<'_> {
        let number = self.address.fetch_add(1, Ordering::Relaxed);
        let address = IpAddr::from((0x0B00_0000 + number).to_be_bytes());
        let request = test::TestRequest::with_uri(path).method(method).peer_addr(SocketAddr::new(address, 40_000));
        TestCall { app: self, request, body: None }
    }

    /// How often an outcome was counted in this process. Counters are shared by the tests of a file: compare within one
    /// test, on outcomes that it alone causes, or run alone.
    pub fn outcomes(&self) -> Vec<(String, u64)> {
        let page = self.state.metrics.render(&*self.events);
        page.lines()
            .filter(|line| line.starts_with("zenovay_ingest_outcomes_total{"))
            .map(|line| {
                let (labels, count) = line.rsplit_once(' ').expect("a sample");
                (labels.to_owned(), count.parse().expect("a number"))
            })
            .collect()
    }
}

/// Where no question takes long, however slow the machine is.
fn patient() -> Arc<LongQuestions> {
    Arc::new(LongQuestions::new(Waits { at_once: Duration::from_secs(3_600), ..Waits::default() }))
}

fn config(directory: &Path, flags: &ServerFlags) -> Config {
    let common = CommonFlags { data_dir: Some(directory.display().to_string()), ..CommonFlags::default() };
    Config::load(&common, flags, []).expect("settings")
}

async fn service(state: &Arc<AppState>) -> Rc<Call> {
    let service = Rc::new(test::init_service(zenovay::http::app(Arc::clone(state))).await);
    Rc::new(move |request| {
        let service = Rc::clone(&service);
        Box::pin(async move {
            let for_failure = test::TestRequest::default().to_http_request();
            match service.call(request).await {
                Ok(response) => response,
                Err(error) => ServiceResponse::new(for_failure, error.error_response()),
            }
        })
    })
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct TestSession {
    pub user: UserId,
    pub id: SignInId,
    pub secret: String,
}

impl TestApp {
    /// Signs a user in without a password.
    pub fn sign_in(&self, user: UserId) -> TestSession {
        let secret = Secret::generate(&mut *self.rng.borrow_mut());
        let id = SignInId::from_random_bytes(self.random());
        let (digest, stage) = (secret.digest(), SignInStage::Complete);
        let new = NewSession::new(id, user, digest, stage, CHROME);
        self.state.store.begin_session(&new, self.clock.now()).expect("a session");
        TestSession { user, id, secret: secret.expose().to_owned() }
    }

    /// An account with this address and password.
    pub fn user_with_password(&self, email: &str, password: &str) -> UserId {
        let id = UserId::from_random_bytes(self.random());
        let hash = hash_password_with(password, &mut *self.rng.borrow_mut()).expect("a password");
        let user = User::new(id, email, "Somebody", hash, self.clock.now());
        self.state.store.create_user(&user).expect("a user");
        id
    }
}

/// A team and its owner.
#[derive(Clone, Copy)]
pub struct TestTeam<'a> {
    app: &'a TestApp,
    pub id: TeamId,
    pub owner: UserId,
}

impl<'a> TestTeam<'a> {
    /// A website of this team.
    pub fn website(self, domain: &str) -> TestWebsite<'a> {
        self.website_with(domain, WebsiteSettings::default().with(|s| s.cookieless = false))
    }

    pub fn website_with(self, domain: &str, settings: WebsiteSettings) -> TestWebsite<'a> {
        let (id, code) = (self.app.random(), TrackingCode::from_random_bytes(self.app.random()));
        let mut new = NewWebsite::new(WebsiteId::from_random_bytes(id), self.id, domain, code);
        new.user_id = Some(self.owner);
        new.settings = settings;
        let store = &self.app.state.store;
        let website = store.create_website(&new, &self.app.state.plans, self.app.clock.now()).expect("a website");
        TestWebsite { app: self.app, team: self, website }
    }

    /// A member who is not the owner.
    pub fn member(self, role: Role) -> UserId {
        let user = self.app.user();
        let store = &self.app.state.store;
        store.add_member(self.id, user, role, &self.app.state.plans, self.app.clock.now()).expect("room for a member");
        user
    }

    /// A personal key of the owner for all teams.
    pub fn key(self, scopes: &str) -> TestKey {
        self.app.key(KeyKind::Personal(self.owner), scopes, None, None)
    }

    /// A key of the team.
    pub fn workspace_key(self, websites: Option<Vec<WebsiteId>>) -> TestKey {
        self.app.key(KeyKind::Workspace(self.id), "full_access", None, websites)
    }
}

/// A key and the secret string itself.
#[derive(Debug, Clone)]
pub struct TestKey {
    pub id: KeyId,
    pub text: String,
}

impl TestApp {
    pub fn key(
        &self,
        kind: KeyKind,
        scopes: &str,
        team_ids: Option<Vec<TeamId>>,
        website_ids: Option<Vec<WebsiteId>>,
    ) -> TestKey {
        let token = KeyFormat::ZENOVAY.generate_with(&mut *self.rng.borrow_mut());
        let id = KeyId::from_random_bytes(self.random());
        let scopes = scopes.parse().expect("scopes");
        let mut new = NewKey::new(id, &token, kind, "Test key", scopes);
        (new.team_ids, new.website_ids) = (team_ids, website_ids);
        self.state.store.create_key(&new, self.clock.now()).expect("a key");
        TestKey { id, text: token.expose().to_owned() }
    }
}

/// A website.
#[derive(Clone)]
pub struct TestWebsite<'a> {
    app: &'a TestApp,
    pub team: TestTeam<'a>,
    pub website: Website,
}

impl<'a> TestWebsite<'a> {
    pub fn id(&self) -> WebsiteId {
        self.website.id
    }

    pub fn code(&self) -> &str {
        self.website.tracking_code.as_str()
    }

    /// A key that may do everything to this website and its siblings.
    pub fn key(&self, scopes: &str) -> TestKey {
        self.team.key(scopes)
    }

    /// The path of an endpoint of this website, such as `/analytics/{id}/pages`.
    pub fn path(&self, pattern: &str) -> String {
        format!("/api/external/v1{}", pattern.replace("{id}", &self.id().to_string()))
    }

    /// Stores `events` in one batch.
    pub async fn send_batch(&self, events: impl Into<Value>) {
        let body = json!({ "trackingCode": self.code(), "events": events.into() });
        self.app.post("/api/v1/events").key(&self.key("write")).json(&body).send().await.expect(200);
    }

    /// A row of a batch: an event of a visit of a visitor of its own, with `more` members in `props`.
    pub fn row(&self, kind: &str, time: &str, visit: &str, page: &str, more: Value) -> Value {
        let mut row = json!({
            "type": kind, "ts": at(time).as_millis(), "visitorId": format!("visitor-{visit}"),
            "sessionId": format!("session-{visit}"),
            "props": { "url": format!("https://{}{page}", self.website.domain) },
        });
        if let (Some(props), Value::Object(more)) = (row["props"].as_object_mut(), more) {
            props.extend(more);
        }
        row
    }

    /// The members of a hit that every hit must have.
    pub fn hit(&self, page: &str, session: &str) -> Value {
        json!({
            "event_type": "pageview",
            "url": format!("https://{}{page}", self.website.domain),
            "session_id": session,
            "user_agent": CHROME,
            "device_type": "desktop",
            "browser": "Chrome",
            "os": "Linux",
        })
    }

    /// Sends a hit as a page of the website does.
    pub fn send(&self, hit: &Value) -> TestCall<'a> {
        self.app
            .post(&format!("/e/{}", self.code()))
            .header("origin", &format!("https://{}", self.website.domain))
            .header("user-agent", CHROME)
            .json(hit)
    }

    pub fn edit(&self, change: impl FnOnce(&mut WebsiteSettings)) {
        let mut change = Some(change);
        let mut edit = |website: &mut Website| {
            if let Some(change) = change.take() {
                change(&mut website.settings);
            }
            Ok(())
        };
        self.app.state.store.edit_website(self.id(), &mut edit).expect("the website");
    }
}

/// A request on its way.
pub struct TestCall<'a> {
    app: &'a TestApp,
    request: test::TestRequest,
    body: Option<Bytes>,
}

impl TestCall<'_> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header");
        self.request = self.request.append_header((name, value));
        self
    }

    pub fn key(self, key: &TestKey) -> Self {
        self.header("x-api-key", &key.text)
    }

    /// As a page of this server sends it, whose user is signed in.
    pub fn session(self, session: &TestSession) -> Self {
        self.cookie(&session.secret).header("sec-fetch-site", "same-origin")
    }

    /// With the cookie of a session.
    pub fn cookie(self, secret: &str) -> Self {
        self.header("cookie", &format!("zenovay_session={secret}"))
    }

    pub fn bearer(self, key: &TestKey) -> Self {
        let value = format!("Bearer {}", key.text);
        self.header("authorization", &value)
    }

    pub fn from(mut self, address: &str) -> Self {
        self.request = self.request.peer_addr(SocketAddr::new(address.parse().expect("an address"), 40_000));
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub async fn send(mut self) -> Reply {
        if let Some(body) = self.body.take() {
            self.request = self.request.set_payload(body);
        }
        Reply::of((self.app.call)(self.request.to_request()).await).await
    }

    /// Sends it so that `before` happens when whoever sends it was let in, just before its body arrives.
    pub async fn send_after(mut self, before: impl FnOnce() + 'static) -> Reply {
        let body = self.body.take().unwrap_or_default();
        let stream = futures_util::stream::once(async move {
            before();
            Ok(body)
        });
        let payload = actix_http::Payload::Stream { payload: Box::pin(stream) as actix_http::BoxedPayloadStream };
        let request = self.request.to_request().replace_payload(payload).0;
        Reply::of((self.app.call)(request).await).await
    }

    /// Sends it so that `between` happens when whoever sends it was let in, before the handler asks the store for anything. For a
    /// runtime with one thread that may wait, which does one thing after the other: lets them in, does `between`, goes on.
    pub async fn send_with(mut self, between: impl FnOnce() + Send + 'static) -> Reply {
        if let Some(body) = self.body.take() {
            self.request = self.request.set_payload(body);
        }
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let closed = actix_web::rt::task::spawn_blocking(move || gate.recv().is_err());
        let mut call = (self.app.call)(self.request.to_request());
        let first = std::future::poll_fn(|context| std::task::Poll::Ready(call.as_mut().poll(context))).await;
        assert!(first.is_pending(), "nobody is let in behind the gate");
        let between = actix_web::rt::task::spawn_blocking(between);
        drop(open);
        let response = call.await;
        between.await.expect("no panic");
        assert!(closed.await.expect("no panic"));
        Reply::of(response).await
    }

    /// Sends it and gives the body, which is a stream that goes on.
    pub async fn open(self) -> Streamed {
        let response = (self.app.call)(self.request.to_request()).await;
        assert_eq!(response.status().as_u16(), 200);
        Streamed(response.into_body())
    }
}

/// The body of an answer that goes on.
pub struct Streamed(BoxBody);

impl Streamed {
    /// What comes next; `None` when it has ended.
    pub async fn next(&mut self) -> Option<String> {
        let next = std::future::poll_fn(|context| Pin::new(&mut self.0).poll_next(context)).await;
        next.map(|bytes| String::from_utf8(bytes.expect("bytes").to_vec()).expect("a text"))
    }

    /// What comes until `wanted` does, which is the last of it.
    pub async fn until(&mut self, wanted: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(wanted) {
            seen += &self.next().await.unwrap_or_else(|| panic!("it ended without {wanted}: {seen}"));
        }
        seen
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    async fn of(response: ServiceResponse<BoxBody>) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let is_stream = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let body = response.into_body();
        // A stream does not end by itself.
        let body = if is_stream { Bytes::new() } else { body::to_bytes(body).await.unwrap_or_default() };
        Self { status, headers, body }
    }

    /// The answer, which must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The secret that the answer hands to the browser; empty when it takes the cookie away.
    #[track_caller]
    pub fn new_secret(&self) -> Option<String> {
        let cookie = self.header("set-cookie")?;
        let value = cookie.strip_prefix("zenovay_session=").unwrap_or_else(|| panic!("another cookie: {cookie}"));
        Some(value.split(';').next().unwrap_or_default().to_owned())
    }

    /// The `data` of the envelope.
    #[track_caller]
    pub fn data(&self) -> Value {
        let mut body = self.json();
        assert_eq!(body["success"], true, "{body}");
        body["data"].take()
    }

    /// `error.code`, after checking that the body is the whole superset of SPEC B5.
    #[track_caller]
    pub fn code(&self) -> String {
        let body = self.json();
        assert_eq!(body["success"], false, "{body}");
        for name in ["code", "message", "timestamp"] {
            assert!(body[name].is_string(), "{name}: {body}");
            assert_eq!(body[name], body["error"][name], "{body}");
        }
        assert_eq!(body.get("details"), body["error"].get("details"), "{body}");
        assert_eq!(body["error"]["request_id"].as_str(), self.header("x-request-id"), "{body}");
        body["code"].as_str().expect("a text").to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a text"))
    }
}
