//! Whose request it is: the rule is [`zenovay_ingest::client_ip`], this hands it the request.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName};
use ipnet::IpNet;

use super::latest_hits::Way;

/// Headers beside `X-Forwarded-For` in which proxies name their client. They are not read.
const OTHERS: [HeaderName; 3] =
    [header::FORWARDED, HeaderName::from_static("x-real-ip"), HeaderName::from_static("cf-connecting-ip")];

/// Whether the log has said already that a forwarded address was not believed.
static IS_WARNED: AtomicBool = AtomicBool::new(false);

/// Says once in the life of the process that somebody names clients who is not trusted to. Behind a proxy that is not
/// listed, all visitors would have its address: they would share one limit, and have no country.
fn warn_of_forwarded(peer: IpAddr) {
    if !IS_WARNED.load(Ordering::Relaxed) && !IS_WARNED.swap(true, Ordering::Relaxed) {
        let from = if peer.is_loopback() { "this machine" } else { "another machine" };
        tracing::warn!(
            from,
            "a request has X-Forwarded-For, but came from an address that --trusted-proxies does not list: the header is \
             ignored. If that is your proxy, list its address, or every visitor has the address of the proxy"
        );
    }
}

/// The address of the client of `req`, through the proxies in `trusted` alone. A connection without an address, which
/// only tests have, is from this machine.
pub fn of(req: &HttpRequest, trusted: &[IpNet]) -> IpAddr {
    found(req, trusted).0
}

/// The same, and how it was found.
pub fn found(req: &HttpRequest, trusted: &[IpNet]) -> (IpAddr, Way) {
    let peer = req.peer_addr().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip());
    let trusts = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let is_trusted = trusts(peer.to_canonical());
    let way = if req.headers().contains_key(header::X_FORWARDED_FOR) {
        if is_trusted { Way::Forwarded } else { Way::NotTrusted }
    } else if OTHERS.iter().any(|name| req.headers().contains_key(name)) {
        Way::OtherHeader
    } else if is_trusted {
        Way::NotNamed
    } else {
        Way::Direct
    };
    if !is_trusted {
        if way == Way::NotTrusted {
            warn_of_forwarded(peer.to_canonical());
        }
        return (peer.to_canonical(), way);
    }
    let lines: Vec<&str> =
        req.headers().get_all(header::X_FORWARDED_FOR).map(|line| line.to_str().unwrap_or("")).collect();
    (zenovay_ingest::client_ip(peer, lines, trusts), way)
}
