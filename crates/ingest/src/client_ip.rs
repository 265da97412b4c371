//! Whose request it is. The address of the connection stands, unless that peer is a proxy the operator named; then
//! `X-Forwarded-For` is read from the right, because only what trusted proxies appended can be believed.

use std::net::{IpAddr, SocketAddr};

/// The address of the client behind the connection from `peer`: the rightmost address in the `X-Forwarded-For` header
/// lines `forwarded`, in the order they came, that is not a proxy which `trusts` names. A string that is not an address ends
/// the walk, and the proxy that sent it stands for the client. IPv4 inside IPv6 becomes IPv4.
///
/// ```
/// use std::net::IpAddr;
///
/// let proxy: IpAddr = "10.0.0.1".parse()?;
/// let client = zenovay_ingest::client_ip(proxy, ["6.6.6.6, 192.0.2.7"], |address| address == proxy);
/// assert_eq!(client, "192.0.2.7".parse::<IpAddr>()?);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn client_ip<'a, I>(peer: IpAddr, forwarded: I, trusts: impl Fn(IpAddr) -> bool) -> IpAddr
where
    I: IntoIterator<Item = &'a str>,
    I::IntoIter: DoubleEndedIterator,
{
    let mut client = peer.to_canonical();
    if !trusts(client) {
        return client;
    }
    for hop in forwarded.into_iter().rev().flat_map(|line| line.rsplit(',')) {
        let Some(address) = parse_hop(hop.trim()) else { break };
        client = address;
        if !trusts(client) {
            break;
        }
    }
    client
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
    use proptest::prelude::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let trusts = |address: IpAddr| match address {
            IpAddr::V4(v4) => v4.octets()[0] == 10,
            IpAddr::V6(v6) => v6.is_loopback(),
        };
        client_ip(peer.parse().unwrap(), forwarded.iter().copied(), trusts).to_string()
    }

    #[test]
    fn nobody_is_believed_by_default() {
        let peer = "127.0.0.1".parse().unwrap();
        assert_eq!(client_ip(peer, ["6.6.6.6"], |_| false), peer);
        assert_eq!(client("203.0.113.9", &["6.6.6.6"]), "203.0.113.9");
    }

    /// Sabotage: take the leftmost address, and a client chooses its own.
    #[test]
    fn the_list_is_walked_from_the_right_over_trusted_proxies() {
        for (lines, expected) in [
            (&["6.6.6.6, 198.51.100.7"][..], "198.51.100.7"),
            (&["6.6.6.6, 198.51.100.7, 10.9.9.9"], "198.51.100.7"),
            (&["6.6.6.6", "198.51.100.7"], "198.51.100.7"),
            (&["10.1.1.1"], "10.1.1.1"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn garbage_leaves_the_proxy_that_sent_it() {
        for garbage in ["unknown", "", "198.51.100.7, ", "1.2.3.4.5", "<script>", "fe80::1%eth0"] {
            assert_eq!(client("10.0.0.1", &[garbage]), "10.0.0.1", "{garbage:?}");
        }
        assert_eq!(client("10.0.0.1", &["6.6.6.6, rubbish, 10.0.0.2"]), "10.0.0.2");
    }

    #[test]
    fn ports_brackets_and_mapped_forms_are_one_address() {
        for (hop, expected) in [
            ("198.51.100.7:4711", "198.51.100.7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("2001:DB8:0::7", "2001:db8::7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
            ("[::ffff:c633:6407]:1", "198.51.100.7"),
        ] {
            assert_eq!(client("::1", &[hop]), expected, "{hop}");
        }
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
    }

    proptest! {
        #[test]
        fn any_header_gives_an_address(lines in prop::collection::vec(".{0,80}", 0..4)) {
            let _ = client_ip("10.0.0.1".parse().unwrap(), lines.iter().map(String::as_str), |_| true);
        }
    }
}
