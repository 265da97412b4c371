//! Requests per client address.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use parking_lot::Mutex;
use zenovay_domain::Timestamp;

use crate::sketch::Sketch;
use crate::window::WindowClock;
use crate::{Decision, LimiterUnavailable};

const SHARDS: usize = 64;
/// Networks that are counted one by one, over all shards: 448 Ki entries of 33 bytes in a table 7/8
/// full are 17 MB. More are counted by the sketches.
const ROOM: usize = 7 * 65_536;
/// Counters a row of each sketch has, over all shards: with four rows of four bytes, 4 MB for each of four windows.
const SKETCH_WIDTH: usize = 1 << 18;
/// What a /48, which one customer can hold, may use of what a single client may (SECURITY L7).
pub(crate) const SITE_FACTOR: u32 = 16;
const CLASSES: usize = 3;
const WINDOWS: usize = 2;

/// What a request is for; each class has limits of its own (S4, SPEC D2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// Events, heartbeats and their aliases.
    Tracking,
    /// Live counts and everything else that anybody may read.
    Public,
    /// Logins and failed keys.
    Auth,
}

impl AddressClass {
    /// All classes.
    pub const ALL: [Self; CLASSES] = [Self::Tracking, Self::Public, Self::Auth];
}

/// A number of requests in a window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// How many requests one client may make in the window.
    pub requests: u32,
    /// The length of the window in seconds, 1 to 86,400. Windows are aligned to UTC.
    pub window_s: u32,
}

/// The rules of every class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressLimits {
    /// Tracking, short.
    pub tracking_burst: Rule,
    /// Tracking, long; both must allow a request.
    pub tracking_sustained: Rule,
    /// Public reads.
    pub public: Rule,
    /// Logins and failed keys.
    pub auth: Rule,
}

impl Default for AddressLimits {
    /// The numbers of S4.
    fn default() -> Self {
        Self {
            tracking_burst: Rule { requests: 60, window_s: 10 },
            tracking_sustained: Rule { requests: 5_000, window_s: 3_600 },
            public: Rule { requests: 30, window_s: 60 },
            auth: Rule { requests: 30, window_s: 60 },
        }
    }
}

impl AddressLimits {
    fn rules(&self, class: AddressClass) -> [Option<Rule>; WINDOWS] {
        match class {
            AddressClass::Tracking => [Some(self.tracking_burst), Some(self.tracking_sustained)],
            AddressClass::Public => [Some(self.public), None],
            AddressClass::Auth => [Some(self.auth), None],
        }
    }
}

/// The network that counts as one client: an IPv4 address, or the /64 of an IPv6 address.
///
/// IPv4 addresses written as IPv6 (`::ffff:a.b.c.d`) and those behind NAT64 (`64:ff9b::a.b.c.d`) are the IPv4 address,
/// decided by their bits, so the spelling does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientNetwork {
    /// One IPv4 address.
    V4(Ipv4Addr),
    /// The upper 64 bits of an IPv6 address.
    V6(u64),
}

impl From<IpAddr> for ClientNetwork {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => embedded_v4(v6).map_or(Self::V6((v6.to_bits() >> 64) as u64), Self::V4),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the IPv4 address is the last 32 bits")]
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    const MAPPED: u128 = 0xffff;
    const NAT64: u128 = 0x0064_ff9b << 64;
    let bits = v6.to_bits();
    matches!(bits >> 32, MAPPED | NAT64).then(|| Ipv4Addr::from_bits(bits as u32))
}

/// Limits each client network to a number of requests per window.
///
/// A limiter is done when `address_limiter_tests!` passes for it.
pub trait AddressLimiter: Send + Sync {
    /// Counts one request of `address` in `class` at `now` if every window of the class has room for it, and says so.
    /// A refused request counts nowhere. The answer is that of the window that refuses for longest, or of the one with
    /// the least room left. An IPv6 client is also held to 16 times its limit together with the rest of its /48.
    ///
    /// # Errors
    /// When it cannot tell; the request may have been counted.
    fn charge(&self, class: AddressClass, address: IpAddr, now: Timestamp) -> Result<Decision, LimiterUnavailable>;

    /// Takes back one request that was allowed and turned out not to be of this class, such as an attempt with a key that
    /// is valid. What is counted together with others, because the table is full, stays counted.
    ///
    /// # Errors
    /// When it cannot be taken back; it may stay counted until the window ends.
    fn refund(&self, class: AddressClass, address: IpAddr, now: Timestamp) -> Result<(), LimiterUnavailable>;

    /// Whether the other methods may wait for another process. Then they are not called on a thread that serves others.
    fn may_block(&self) -> bool;
}

/// The [`AddressLimiter`] of a single process, in bounded memory: at most 64 MB whatever the number of addresses
/// (SECURITY L11). The first 448 Ki networks in use are counted exactly; when there are more, the others are counted
/// together, never too low: nobody escapes a limit by making the table overflow.
#[derive(Debug)]
pub struct MemoryAddressLimiter {
    limits: AddressLimits,
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

/// What is counted: a class and a network, in one number. Bits 96 and up hold the class and the kind of network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Item(u128);

impl Item {
    fn client(class: AddressClass, network: ClientNetwork) -> Self {
        match network {
            ClientNetwork::V4(v4) => Self::new(class, 0, u64::from(v4.to_bits())),
            ClientNetwork::V6(upper) => Self::new(class, 1, upper),
        }
    }

    /// The /48 around an IPv6 client.
    fn site(class: AddressClass, network: ClientNetwork) -> Option<Self> {
        match network {
            ClientNetwork::V4(_) => None,
            ClientNetwork::V6(upper) => Some(Self::new(class, 2, upper >> 16)),
        }
    }

    fn new(class: AddressClass, kind: u128, bits: u64) -> Self {
        Self((class as u128) << 100 | kind << 96 | u128::from(bits))
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    /// The low 32 bits of the window's number, which differ between any two windows within a lifetime.
    window: u32,
    used: u32,
}

#[derive(Debug)]
struct Shard {
    counts: HashMap<Item, [Count; WINDOWS]>,
    clocks: [[WindowClock; WINDOWS]; CLASSES],
    sketches: [[Sketch; WINDOWS]; CLASSES],
    /// The first windows of all classes at the last sweep.
    swept_in: [Option<i64>; CLASSES],
}

impl MemoryAddressLimiter {
    /// A limiter with these limits that has counted nothing.
    pub fn new(limits: AddressLimits) -> Self {
        let length = |class: AddressClass, window: usize| {
            limits.rules(class)[window].map_or(1, |rule: Rule| i64::from(rule.window_s.max(1)))
        };
        let shard = || {
            Mutex::new(Shard {
                counts: HashMap::new(),
                clocks: AddressClass::ALL
                    .map(|class| std::array::from_fn(|window| WindowClock::new(length(class, window) * 1_000))),
                sketches: std::array::from_fn(|_| std::array::from_fn(|_| Sketch::new(SKETCH_WIDTH / SHARDS))),
                swept_in: [None; CLASSES],
            })
        };
        Self { limits, shards: std::iter::repeat_with(shard).take(SHARDS).collect(), hasher: RandomState::new() }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low bits of a hash are enough")]
    fn shard(&self, item: Item) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(item) as usize % SHARDS]
    }

    /// Counts one request of `item`, where each rule takes `factor` times its requests.
    fn charge_item(&self, item: Item, class: AddressClass, factor: u32, now: Timestamp) -> Decision {
        let rules = self.limits.rules(class);
        let mut shard = self.shard(item).lock();
        let shard = &mut *shard;
        let numbers: [i64; WINDOWS] = std::array::from_fn(|window| shard.clocks[class as usize][window].observe(now));
        let used = shard.used(item, class, numbers, &self.hasher);
        let allowed = (0..WINDOWS)
            .all(|window| rules[window].is_none_or(|rule| used[window] < rule.requests.saturating_mul(factor)));
        if allowed {
            let used = std::array::from_fn(|window| used[window] + u32::from(rules[window].is_some()));
            shard.record(item, class, numbers, used, &self.hasher);
        }
        let mut tightest: Option<Decision> = None;
        for (window, rule) in rules.into_iter().enumerate() {
            let Some(rule) = rule else { continue };
            let limit = rule.requests.saturating_mul(factor);
            let has_room = used[window] < limit;
            let reset_at = shard.clocks[class as usize][window].end_of(numbers[window]);
            let decision = Decision::new(has_room, limit, used[window].saturating_add(1), reset_at, now);
            tightest = Some(tightest.map_or(decision, |other| other.tighter(decision)));
        }
        // Every class has a first rule.
        tightest.unwrap_or(Decision::new(false, 0, 0, now, now))
    }

    /// Takes back one request that [`Self::charge_item`] counted.
    fn take_back(&self, item: Item, class: AddressClass, now: Timestamp) {
        let mut shard = self.shard(item).lock();
        let shard = &mut *shard;
        let numbers: [i64; WINDOWS] = std::array::from_fn(|window| shard.clocks[class as usize][window].observe(now));
        if let Some(counts) = shard.counts.get_mut(&item) {
            for (count, number) in counts.iter_mut().zip(numbers) {
                if count.window == low_bits(number) {
                    count.used = count.used.saturating_sub(1);
                }
            }
        }
    }
}

/// What a [`Count`] keeps of the number of its window.
#[expect(clippy::cast_possible_truncation, reason = "windows with the same low bits are 2^32 windows apart")]
const fn low_bits(number: i64) -> u32 {
    number as u32
}

impl Shard {
    /// What was counted for `item` in the open windows.
    fn used(
        &mut self,
        item: Item,
        class: AddressClass,
        numbers: [i64; WINDOWS],
        hasher: &RandomState,
    ) -> [u32; WINDOWS] {
        if let Some(counts) = self.counts.get(&item) {
            return std::array::from_fn(|window| {
                let count = counts[window];
                if count.window == low_bits(numbers[window]) { count.used } else { 0 }
            });
        }
        let sketches = &mut self.sketches[class as usize];
        std::array::from_fn(|window| sketches[window].estimate(numbers[window], item.0, hasher))
    }

    fn record(
        &mut self,
        item: Item,
        class: AddressClass,
        numbers: [i64; WINDOWS],
        used: [u32; WINDOWS],
        hasher: &RandomState,
    ) {
        let counts = std::array::from_fn(|window| Count { window: low_bits(numbers[window]), used: used[window] });
        if let Some(place) = self.counts.get_mut(&item) {
            *place = counts;
            return;
        }
        if self.counts.len() >= ROOM / SHARDS {
            self.sweep();
        }
        if self.counts.len() < ROOM / SHARDS {
            // A network that the sketch has counted enters with that count, so no allowance is given twice.
            self.counts.insert(item, counts);
            return;
        }
        for window in (0..WINDOWS).filter(|window| used[*window] > 0) {
            self.sketches[class as usize][window].raise(numbers[window], item.0, used[window], hasher);
        }
    }

    /// Forgets networks without a count in an open window, at most once for each set of open windows.
    fn sweep(&mut self) {
        let Self { counts, clocks, swept_in, .. } = self;
        let latest = clocks.map(|windows| windows[0].latest());
        if *swept_in == latest {
            return;
        }
        *swept_in = latest;
        counts.retain(|item, held| {
            let class = (item.0 >> 100) as usize;
            held.iter().zip(&clocks[class]).any(|(count, clock)| {
                count.used > 0 && clock.latest().is_some_and(|number| low_bits(number) == count.window)
            })
        });
    }
}

impl AddressLimiter for MemoryAddressLimiter {
    fn charge(&self, class: AddressClass, address: IpAddr, now: Timestamp) -> Result<Decision, LimiterUnavailable> {
        let network = ClientNetwork::from(address);
        let client = self.charge_item(Item::client(class, network), class, 1, now);
        let Some(site) = Item::site(class, network).filter(|_| client.allowed) else { return Ok(client) };
        let site = self.charge_item(site, class, SITE_FACTOR, now);
        if !site.allowed {
            self.take_back(Item::client(class, network), class, now);
        }
        Ok(client.tighter(site))
    }

    fn refund(&self, class: AddressClass, address: IpAddr, now: Timestamp) -> Result<(), LimiterUnavailable> {
        let network = ClientNetwork::from(address);
        for item in std::iter::once(Item::client(class, network)).chain(Item::site(class, network)) {
            self.take_back(item, class, now);
        }
        Ok(())
    }

    fn may_block(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_781_308_800_000 + millis)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of `tries` requests pass.
    fn passed(limiter: &MemoryAddressLimiter, class: AddressClass, address: &str, now: Timestamp, tries: u32) -> u32 {
        (0..tries).map(|_| u32::from(limiter.charge(class, ip(address), now).unwrap().allowed)).sum()
    }

    #[test]
    fn ipv4_inside_ipv6_is_the_ipv4_address_and_no_two_share() {
        let v4 = ClientNetwork::from(ip("192.0.2.1"));
        for spelling in ["::ffff:192.0.2.1", "::ffff:c000:201", "64:ff9b::192.0.2.1", "64:ff9b::c000:201"] {
            assert_eq!(ClientNetwork::from(ip(spelling)), v4, "{spelling}");
        }
        for other in ["192.0.2.2", "::ffff:192.0.2.2", "::192.0.2.1", "64:ff9b:1::192.0.2.1", "2001:db8::c000:201"] {
            assert_ne!(ClientNetwork::from(ip(other)), v4, "{other}");
        }
    }

    /// SECURITY L11. Sabotage: make room by forgetting any entry.
    #[test]
    fn a_blocked_client_stays_blocked_however_many_others_come() {
        let limiter = MemoryAddressLimiter::new(AddressLimits::default());
        let blocked = ["192.0.2.1", "2001:db8::1"];
        for address in blocked {
            assert_eq!(passed(&limiter, AddressClass::Public, address, at(0), 40), 30);
        }
        let flood = |range: std::ops::Range<u32>| {
            for n in range {
                let address = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n));
                limiter.charge(AddressClass::Public, address, at(1)).unwrap();
            }
        };
        flood(0..600_000);
        // One who comes when the table is full is blocked in time, too.
        let late = "198.51.100.7";
        assert!(passed(&limiter, AddressClass::Public, late, at(2), 40) <= 30);
        flood(600_000..700_000);
        for address in [blocked[0], blocked[1], late] {
            assert_eq!(passed(&limiter, AddressClass::Public, address, at(3), 40), 0, "{address}");
        }
        let (entries, counters) =
            limiter.shards.iter().map(|shard| shard.lock()).fold((0, 0), |(entries, counters), shard| {
                let held: usize = shard.sketches.iter().flatten().map(Sketch::counters).sum();
                (entries + shard.counts.capacity(), counters + held)
            });
        // 33 bytes an entry in a table that is at most 7/8 full, 4 bytes a counter; at worst four windows have sketches.
        let worst_bytes = entries * 33 * 8 / 7 + 4 * (4 * SKETCH_WIDTH * 4);
        assert!(counters <= 4 * SKETCH_WIDTH, "{counters}");
        assert!(worst_bytes <= 64 << 20, "{worst_bytes}");
        // The next minute starts afresh.
        assert_eq!(passed(&limiter, AddressClass::Public, blocked[0], at(60_000), 40), 30);
    }
}
