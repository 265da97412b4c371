//! How the latest hits came, for `zenovay doctor`: through which proxies, from how many addresses. It is kept in memory alone, as
//! numbers from which no address can be told: they are hashes with a secret of this process.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use zenovay_limits::ClientNetwork;

/// So many of the latest hits are known.
const KEPT: usize = 1_024;

/// How the address of a client was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It connected itself, and nothing says that it did not.
    Direct,
    /// A trusted proxy named it.
    Forwarded,
    /// Somebody who is not trusted sent `X-Forwarded-For`.
    NotTrusted,
    /// Somebody sent another header that names clients.
    OtherHeader,
    /// A trusted proxy named nobody.
    NotNamed,
}

impl Way {
    const ALL: [Self; 5] = [Self::Direct, Self::Forwarded, Self::NotTrusted, Self::OtherHeader, Self::NotNamed];
}

/// The latest hits. Each takes eight bytes: from the lowest bit on its [`Way`] and one, so that nothing is 0, and hashes of its
/// address and its user agent.
pub struct LatestHits {
    hits: Box<[AtomicU64]>,
    next: AtomicUsize,
    hasher: RandomState,
}

const WAY_BITS: u32 = 4;
const HASH_BITS: u32 = 30;

impl Default for LatestHits {
    fn default() -> Self {
        let hits = (0..KEPT).map(|_| AtomicU64::new(0)).collect();
        Self { hits, next: AtomicUsize::new(0), hasher: RandomState::new() }
    }
}

impl std::fmt::Debug for LatestHits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LatestHits").finish_non_exhaustive()
    }
}

/// How the latest hits came, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HitsSeen {
    /// How many hits; all others are of these.
    pub hits: u64,
    /// How many different addresses, of which an IPv6 /64 is one.
    pub addresses: u64,
    /// How many different user agents.
    pub agents: u64,
    ways: [u64; Way::ALL.len()],
}

impl HitsSeen {
    /// How many came so.
    pub fn by(&self, way: Way) -> u64 {
        self.ways.get(way as usize).copied().unwrap_or(0)
    }
}

impl LatestHits {
    /// Notes a hit of the client `address`.
    pub fn note(&self, address: IpAddr, agent: Option<&[u8]>, way: Way) {
        const MASK: u64 = (1 << HASH_BITS) - 1;
        let address = self.hasher.hash_one(ClientNetwork::from(address)) & MASK;
        let agent = self.hasher.hash_one(agent) & MASK;
        let hit = (agent << HASH_BITS | address) << WAY_BITS | (way as u64 + 1);
        let place = self.next.fetch_add(1, Ordering::Relaxed) % KEPT;
        if let Some(kept) = self.hits.get(place) {
            kept.store(hit, Ordering::Relaxed);
        }
    }

    /// How they came.
    pub fn seen(&self) -> HitsSeen {
        let (mut addresses, mut agents) = (HashSet::new(), HashSet::new());
        let mut seen = HitsSeen::default();
        for hit in self.hits.iter().map(|hit| hit.load(Ordering::Relaxed)).filter(|hit| *hit != 0) {
            let way = usize::try_from(hit & ((1 << WAY_BITS) - 1)).unwrap_or(0).saturating_sub(1);
            if let Some(count) = seen.ways.get_mut(way) {
                *count += 1;
            }
            seen.hits += 1;
            let hashes = hit >> WAY_BITS;
            addresses.insert(hashes & ((1 << HASH_BITS) - 1));
            agents.insert(hashes >> HASH_BITS);
        }
        (seen.addresses, seen.agents) = (addresses.len() as u64, agents.len() as u64);
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: keep the way alone, or count an IPv6 address for itself.
    #[test]
    fn hits_are_counted_by_way_address_and_agent() {
        let hits = LatestHits::default();
        assert_eq!(hits.seen(), HitsSeen::default());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        hits.note(address("192.0.2.1"), Some(b"a"), Way::Direct);
        hits.note(address("192.0.2.1"), Some(b"b"), Way::NotTrusted);
        hits.note(address("2001:db8::1"), None, Way::NotTrusted);
        hits.note(address("2001:db8::2"), Some(b""), Way::NotNamed);
        let seen = hits.seen();
        assert_eq!((seen.hits, seen.addresses, seen.agents), (4, 2, 4));
        let counts = Way::ALL.map(|way| seen.by(way));
        assert_eq!(counts, [1, 0, 2, 0, 1]);
    }

    #[test]
    fn the_oldest_give_way() {
        let hits = LatestHits::default();
        for n in 0..3 * KEPT {
            let n = u32::try_from(n).unwrap();
            hits.note(IpAddr::from(n.to_be_bytes()), None, Way::Direct);
        }
        hits.note(IpAddr::from([9, 9, 9, 9]), None, Way::Forwarded);
        let seen = hits.seen();
        assert_eq!((seen.hits, seen.agents, seen.by(Way::Forwarded)), (KEPT as u64, 1, 1));
    }
}
