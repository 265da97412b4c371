//! Whose request it is. The address of the connection stands, unless that peer is a proxy the operator named; then the
//! forwarding header is read from the right, because only what trusted proxies appended can be believed (SECURITY L6).

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose `X-Forwarded-For` is believed. By default none.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Believes the proxies in `networks`.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// The address of the client behind the connection from `peer`: the rightmost address of `X-Forwarded-For` that is
    /// no trusted proxy. Text that is no address ends the walk, and the proxy that sent it stands for the client.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let lines: Vec<&str> = headers.get_all(FORWARDED_FOR).map(|line| line.to_str().unwrap_or("")).collect();
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            let Some(address) = parse_hop(hop.trim()) else { break };
            client = address;
            if !self.trusts(client) {
                break;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// An address, with or without port, in brackets or not.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip())).ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn nobody_is_believed_by_default() {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, HeaderValue::from_static("6.6.6.6"));
        let peer = "127.0.0.1".parse().unwrap();
        assert_eq!(TrustedProxies::default().client(peer, &headers), peer);
        assert_eq!(client("203.0.113.9", &["6.6.6.6"]), "203.0.113.9");
    }

    #[test]
    fn the_list_is_walked_from_the_right_over_trusted_proxies() {
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 198.51.100.7, 10.9.9.9"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["6.6.6.6", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["10.1.1.1"]), "10.1.1.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn garbage_leaves_the_proxy_that_sent_it() {
        for garbage in ["unknown", "", "198.51.100.7, ", "1.2.3.4.5", "<script>"] {
            assert_eq!(client("10.0.0.1", &[garbage]), "10.0.0.1", "{garbage:?}");
        }
    }

    #[test]
    fn ports_brackets_and_mapped_forms_are_one_address() {
        assert_eq!(client("::1", &["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(client("::1", &["[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(client("::1", &["[2001:db8::7]"]), "2001:db8::7");
        assert_eq!(client("::1", &["::ffff:198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
    }
}
