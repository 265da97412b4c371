//! Whose request it is: the rule is [`zenovay_ingest::client_ip`], this hands it the request.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::HttpRequest;
use actix_web::http::header;
use ipnet::IpNet;

/// The address of the client of `req`, through the proxies in `trusted` alone. A connection without an address, which
/// only tests have, is from this machine.
pub fn of(req: &HttpRequest, trusted: &[IpNet]) -> IpAddr {
    let peer = req.peer_addr().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip());
    if trusted.is_empty() {
        return peer.to_canonical();
    }
    let lines: Vec<&str> =
        req.headers().get_all(header::X_FORWARDED_FOR).map(|line| line.to_str().unwrap_or("")).collect();
    zenovay_ingest::client_ip(peer, lines, trusted)
}
