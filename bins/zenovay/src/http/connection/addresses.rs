//! How many connections an address has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ipnet::IpNet;
use parking_lot::Mutex;
use zenovay_limits::ClientNetwork;

use super::Connections;

/// Counts the open connections of each client network, an IPv4 address or an IPv6 /64, but for those of `exempt`.
#[derive(Debug)]
pub(super) struct Addresses {
    limit: u32,
    exempt: Vec<IpNet>,
    open: Mutex<HashMap<ClientNetwork, u32>>,
    all: AtomicI64,
}

impl Addresses {
    pub(super) fn new(limit: u32, exempt: Vec<IpNet>) -> Self {
        let addresses = Self { limit, exempt, open: Mutex::default(), all: AtomicI64::new(0) };
        addresses.tell(0);
        addresses
    }

    /// Counts one more connection of `peer`, if it may have it.
    pub(super) fn admit(&self, peer: IpAddr) -> bool {
        if !self.is_exempt(peer) {
            let mut open = self.open.lock();
            let open = open.entry(peer.into()).or_insert(0);
            if *open >= self.limit {
                return false;
            }
            *open += 1;
        }
        self.tell(1);
        true
    }

    /// One connection of `peer` that was admitted is closed.
    fn release(&self, peer: IpAddr) {
        self.tell(-1);
        if self.is_exempt(peer) {
            return;
        }
        let network = peer.into();
        let mut all = self.open.lock();
        if let Some(open) = all.get_mut(&network) {
            *open -= 1;
            if *open == 0 {
                all.remove(&network);
            }
        }
    }

    fn is_exempt(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.exempt.iter().any(|network| network.contains(&peer))
    }

    fn tell(&self, change: i64) {
        let open = self.all.fetch_add(change, Ordering::Relaxed) + change;
        metrics::gauge!("zenovay_open_connections").set(open as f64);
    }
}

/// One connection that counts.
#[derive(Debug)]
pub struct Admission {
    connections: Arc<Connections>,
    peer: IpAddr,
}

impl Admission {
    pub(super) fn new(connections: Arc<Connections>, peer: IpAddr) -> Self {
        Self { connections, peer }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.connections.addresses.release(self.peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_and_one_more_for_each_that_ends() {
        let addresses = Addresses::new(2, vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()]);
        assert!(addresses.admit(ip("203.0.113.9")));
        // The same address in another spelling.
        assert!(addresses.admit(ip("::ffff:203.0.113.9")));
        assert!(!addresses.admit(ip("203.0.113.9")));
        assert!(addresses.admit(ip("203.0.113.10")));
        addresses.release(ip("203.0.113.9"));
        assert!(addresses.admit(ip("203.0.113.9")));
        assert!(!addresses.admit(ip("203.0.113.9")));
        // A /64 of IPv6 is one client.
        assert!(addresses.admit(ip("2001:db8::1")) && addresses.admit(ip("2001:db8::2")));
        assert!(!addresses.admit(ip("2001:db8::3")));
        for _ in 0..10 {
            assert!(addresses.admit(ip("127.0.0.1")) && addresses.admit(ip("::ffff:10.1.2.3")));
        }
    }

    #[test]
    fn addresses_without_connections_are_forgotten() {
        let addresses = Addresses::new(2, Vec::new());
        for last in 0..=255 {
            assert!(addresses.admit(IpAddr::from([203, 0, 113, last])));
            addresses.release(IpAddr::from([203, 0, 113, last]));
        }
        assert!(addresses.open.lock().is_empty());
    }
}
