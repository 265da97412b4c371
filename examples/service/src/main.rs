//! Takes hits, limits them by address, stores them, and answers holders of a key with the top pages of the last week:
//! `cargo run -p service -- DIRECTORY`. It prints where it listens and, behind `#`, the key.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use zenovay_auth::{Grant, KeyDigest, KeyFormat, Policy, Role, Scope, Scopes, Thing};
use zenovay_events::query::by;
use zenovay_events::{Clock, Dimension, IdempotencyKey, NewEvent, Store, SystemClock, WebsiteId, Zone};
use zenovay_ingest::{Arrival, Pipeline, Rejected, WebsiteRules};
use zenovay_limits::{AddressLimiter, Limiter, Refused, Rule};

struct Service {
    site: WebsiteId,
    rules: WebsiteRules,
    pipeline: Pipeline,
    store: Store,
    keys: KeyFormat,
    key: KeyDigest,
    per_address: AddressLimiter,
    per_key: Limiter<KeyDigest>,
}

struct ReadPages;

impl Policy for ReadPages {
    fn scope(&self) -> Option<Scope> {
        Some(Scope::Read)
    }

    fn role(&self) -> Role {
        Role::Viewer
    }
}

/// A status, what is said, and after how many seconds it may be tried again.
struct Failure(u16, String, Option<u64>);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, self.2.map(|seconds| [(header::RETRY_AFTER, seconds.to_string())]), self.1).into_response()
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self(refused.status(), refused.to_string(), Some(refused.retry_after_s()))
    }
}

async fn hit(
    State(service): State<Arc<Service>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let _ = service.per_address.check(peer.ip())?;
    let now = SystemClock.now();
    let mut arrival = Arrival::from_address(peer.ip(), now);
    arrival.user_agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    match service.pipeline.track(&arrival, &body, &service.rules) {
        Ok(accepted) => {
            let key = accepted.idempotency_key.map(IdempotencyKey);
            let stored = service.store.append(NewEvent::new(service.site, now, accepted.event).with_key(key)).await;
            stored.map_err(|refused| Failure(503, refused.to_string(), Some(1)))?;
        }
        Err(Rejected::Refused(refusal)) => {
            return Err(Failure(refusal.reason.status(), format!("{refusal}: {:?}", refusal.fields), None));
        }
        Err(_) => {} // such as a bot, which is not told
    }
    Ok(StatusCode::OK)
}

async fn top(State(service): State<Arc<Service>>, headers: HeaderMap) -> Result<impl IntoResponse, Failure> {
    let unknown = || Failure(401, "send a key in X-API-Key".to_owned(), None);
    let sent = headers.get("x-api-key").and_then(|key| key.to_str().ok()).ok_or_else(unknown)?;
    let digest = service.keys.parse(sent).map_err(|_| unknown())?.digest();
    let holder = (digest == service.key).then(|| Grant::key(Scopes::FULL_ACCESS).member("ours", Role::Viewer));
    let website = Thing::new("website", service.site).of_team("ours");
    let allowed = holder.ok_or_else(unknown)?.may(ReadPages, &website);
    allowed.map_err(|denial| Failure(denial.status(), denial.to_string(), None))?;
    let _ = service.per_key.check(&digest)?;
    let pages = service.store.ask(service.site).last_days(7, &Zone::utc()).top(by(Dimension::Path).limit(10)).await;
    pages.map(Json).map_err(|error| Failure(503, error.to_string(), Some(1)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args_os().nth(1).unwrap_or_else(|| "data".into());
    let keys = KeyFormat::new("acme_")?;
    let key = keys.generate()?;
    let service = Arc::new(Service {
        site: WebsiteId::from_random_bytes([7; 16]),
        rules: WebsiteRules::for_domain("example.com")?,
        pipeline: Pipeline::in_memory(SystemClock.now())?,
        store: Store::open(directory)?,
        keys,
        key: key.digest(),
        per_address: AddressLimiter::new(Rule::per_minute(600)),
        per_key: Limiter::new(Rule::per_minute(60)),
    });
    let routes = Router::new().route("/hit", post(hit)).route("/top", get(top)).with_state(service);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}#{}", listener.local_addr()?, key.expose());
    axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
