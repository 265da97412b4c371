//! Requests from this machine.

use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::http::uri::Authority;
use actix_web::{FromRequest, HttpRequest, web};
use zenovay_domain::ErrorCode;

use super::document::Operation;
use super::envelope::ApiError;
use super::handler::{Access, Caller};
use super::state::AppState;

/// Proof that a request comes from this machine: it asked by a name of this machine, and nothing says that others come
/// through a proxy on it. For everybody else the route does not exist.
#[derive(Debug, Clone, Copy)]
pub struct Local;

impl Caller for Local {
    const ACCESS: Access = Access::Local;

    fn describe(operation: &mut Operation) {
        operation.refuses([ErrorCode::NotFound]);
    }
}

impl FromRequest for Local {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let is_open = req.app_data::<web::Data<AppState>>().is_some_and(|state| state.has_local_metrics);
        ready(if is_open && is_local(req) { Ok(Self) } else { Err(ApiError::not_found("Not found")) })
    }
}

fn is_local(req: &HttpRequest) -> bool {
    let is_here = req.peer_addr().is_none_or(|peer| peer.ip().to_canonical().is_loopback());
    let is_forwarded =
        ["x-forwarded-for", "forwarded", "x-real-ip", "via"].iter().any(|name| req.headers().contains_key(*name));
    is_here && !is_forwarded && is_asked_locally(req)
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
