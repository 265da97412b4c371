//! For those who run the server: is it alive, can it store an event, what has it done.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::document::{Answer, Operation};
use super::envelope::ApiError;
use super::errors::SOON_S;
use super::guard::Public;
use super::handler::{Described, Json, Shape};
use super::local::Local;
use super::state::AppState;

/// `GET /healthz`: the process answers.
pub async fn healthz(_: Public) -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alive {
    /// Always `ok`.
    #[schema(examples("ok"))]
    status: &'static str,
}

/// `GET /readyz`: an event sent now can be made durable, and a key can be checked.
pub async fn readyz(_: Public, state: web::Data<AppState>) -> Result<Json<Ready>, ApiError> {
    let metadata = {
        let state = state.clone();
        web::block(move || state.store.data_version()).await
    };
    if state.connections.are_draining() {
        return Err(ApiError::unavailable("The server is shutting down", SOON_S));
    }
    if state.claim.is_taken() {
        return Err(ApiError::unavailable("Another server uses the metadata database", SOON_S));
    }
    let readable = matches!(metadata, Ok(Ok(_)));
    let writable = state.events.stats().writable;
    match (writable, readable) {
        // Damage is reported, but it is not a reason to send nobody here: events are stored, and most websites answer.
        (true, true) => {
            // Each server has its part of the limits: it is better to be sent here than nowhere.
            let is_away = state.redis.as_ref().is_some_and(|redis| redis.status().away.is_some());
            let mut degraded = if is_away { vec!["redis"] } else { Vec::new() };
            if state.events.stats().delivery.is_some_and(|delivery| !delivery.is_reachable) {
                degraded.push("clickhouse");
            }
            Ok(Json(Ready { status: "ready", damaged: state.events.damages(), degraded }))
        }
        (false, _) => Err(ApiError::unavailable("Events cannot be stored now", SOON_S)),
        (true, false) => Err(ApiError::unavailable("The metadata store cannot be read now", SOON_S)),
    }
}

/// Events can be stored and keys can be checked.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    /// Always `ready`.
    #[schema(examples("ready"))]
    status: &'static str,
    /// Stored files that are known to be damaged: what they hold is not in the answers.
    #[schema(examples("0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b/2026-06-12"))]
    damaged: Vec<String>,
    /// What the server does without for now: `redis`, when limits are not counted together with other servers; `clickhouse`,
    /// when events wait to be delivered there, and questions have no answer.
    #[schema(examples("redis"))]
    degraded: Vec<&'static str>,
}

/// `GET /metrics` on the main address.
pub async fn local_metrics(_: Local, state: web::Data<AppState>) -> Described<Metrics> {
    HttpResponse::Ok().content_type(METRICS_TYPE).body(state.metrics.render(state.events.as_ref())).into()
}

/// The format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics of the process.
#[derive(Debug)]
pub struct Metrics;

impl Shape for Metrics {
    fn describe(operation: &mut Operation) {
        let answer = Answer::new("The metrics of the process, in the format of Prometheus");
        operation.answer(
            200,
            answer.text("text/plain", "zenovay_http_requests_total{route=\"/healthz\",status=\"2xx\"} 1\n"),
        );
    }
}
