//! For those who run the server: is it alive, can it store an event, what has it done.

use std::net::IpAddr;

use actix_web::http::header;
use actix_web::http::uri::Authority;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::envelope::ApiError;
use super::errors::SOON_S;
use crate::state::AppState;

/// `GET /healthz`: the process answers.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// `GET /readyz`: an event sent now can be made durable, and a key can be checked.
pub async fn readyz(state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let metadata = {
        let state = state.clone();
        web::block(move || zenovay_store::DataVersion::data_version(state.store.as_ref())).await
    };
    if state.connections.are_draining() {
        return Err(ApiError::unavailable("The server is shutting down", SOON_S));
    }
    let readable = matches!(metadata, Ok(Ok(_)));
    let writable = state.events.stats().writable;
    match (writable, readable) {
        // Damage is told and is no reason to send nobody here: events are stored, and most websites answer.
        (true, true) => Ok(HttpResponse::Ok().json(json!({ "status": "ready", "damaged": state.events.damages() }))),
        (false, _) => Err(ApiError::unavailable("Events cannot be stored now", SOON_S)),
        (true, false) => Err(ApiError::unavailable("The metadata store cannot be read now", SOON_S)),
    }
}

/// `GET /metrics` on the main address: for this machine alone, asked by a name of this machine, and only while nothing
/// says that others come through a proxy on it.
pub async fn local_metrics(state: web::Data<AppState>, req: HttpRequest) -> Result<HttpResponse, ApiError> {
    let is_here = req.peer_addr().is_none_or(|peer| peer.ip().to_canonical().is_loopback());
    let forwarded =
        ["x-forwarded-for", "forwarded", "x-real-ip", "via"].iter().any(|name| req.headers().contains_key(*name));
    if !state.has_local_metrics || !is_here || forwarded || !is_asked_locally(&req) {
        return Err(ApiError::not_found("Not found"));
    }
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(state.metrics.render(state.events.as_ref())))
}

/// Whether the request names this machine as its host. Pages in a browser on this machine can make a name of theirs point
/// here, but not say that they asked for another.
fn is_asked_locally(req: &HttpRequest) -> bool {
    let host = req.headers().get(header::HOST).map(|host| host.to_str().unwrap_or(""));
    let named = [req.uri().authority().map(Authority::as_str), host];
    named.iter().any(Option::is_some) && named.into_iter().flatten().all(is_loopback_name)
}

/// `localhost`, an address of this machine, or either with a port.
fn is_loopback_name(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    !host.contains('@')
        && (name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.to_canonical().is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine() {
        for name in
            ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.9.8.7:1", "[::1]", "[::1]:80", "[::ffff:127.0.0.1]"]
        {
            assert!(is_loopback_name(name), "{name}");
        }
        for name in
            ["", "x", "localhost.evil.example", "127.0.0.1.evil.example", "x@localhost", "10.0.0.1", "[::2]", "::1"]
        {
            assert!(!is_loopback_name(name), "{name}");
        }
    }
}
