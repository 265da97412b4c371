//! Requests per client address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Counts, Decision, LimiterUnavailable, MemoryCounts, Refused, Rule, UnixTime};

/// What a /48, which one customer can hold, may use of what a single client may.
pub const SITE_FACTOR: u32 = 16;

/// The network that counts as one client: an IPv4 address, or the /64 of an IPv6 address.
///
/// IPv4 addresses written as IPv6 (`::ffff:a.b.c.d`) and those behind NAT64 (`64:ff9b::a.b.c.d`) are the IPv4 address,
/// decided by their bits, so the spelling does not matter.
///
/// ```
/// use std::net::IpAddr;
/// use zenovay_limits::ClientNetwork;
///
/// let network = |address: &str| address.parse::<IpAddr>().map(ClientNetwork::from);
/// assert_eq!(network("::ffff:192.0.2.1")?, network("192.0.2.1")?);
/// assert_eq!(network("2001:db8::1")?, network("2001:db8::2")?);
/// assert_ne!(network("2001:db8::1")?, network("2001:db8:0:1::1")?);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are two address families")]
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

/// What is counted of an address: its client network, and the /48 around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a client, and what is around it")]
pub enum Network {
    /// A client.
    Client(ClientNetwork),
    /// The upper 48 bits of an IPv6 address.
    Site(u64),
}

/// Limits each client address to what its rules say.
///
/// An IPv4 address is a client. An IPv6 client is its /64, because it can take any address in it; and the clients of a /48
/// together may use [`SITE_FACTOR`] times what one may, because one customer can hold that. Requests that are for different
/// things have limiters of their own.
///
/// ```
/// use zenovay_limits::{AddressLimiter, Rule, UnixTime};
///
/// let logins = AddressLimiter::new(Rule::per_minute(2)).and(Rule::per_day(20));
/// let now = UnixTime::from_millis(0);
/// for neighbour in ["2001:db8::1", "2001:db8::2"] {
///     assert!(logins.check_at(neighbour.parse()?, now).is_ok());
/// }
/// assert!(logins.check_at("2001:db8::3".parse()?, now).is_err());
/// assert!(logins.check_at("192.0.2.1".parse()?, now).is_ok());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct AddressLimiter<C = MemoryCounts<Network>> {
    counts: C,
    rules: Vec<Rule>,
    /// Those of a /48.
    site_rules: Vec<Rule>,
}

impl AddressLimiter {
    /// A limiter of this process that has counted nothing.
    pub fn new(rule: Rule) -> Self {
        Self::over(MemoryCounts::new(), rule)
    }

    /// Takes at most so many bytes instead of [`DEFAULT_MAX_BYTES`](crate::DEFAULT_MAX_BYTES).
    #[must_use]
    pub fn max_bytes(self, bytes: usize) -> Self {
        Self { counts: MemoryCounts::with_max_bytes(bytes), ..self }
    }

    /// Counts one request of `address` at the time of the machine's clock, if the rules let it pass.
    ///
    /// # Errors
    /// When the request may not pass.
    pub fn check(&self, address: IpAddr) -> Result<Decision, Refused> {
        self.check_at(address, UnixTime::now())
    }

    /// The same at the time `now`.
    ///
    /// # Errors
    /// When the request may not pass.
    pub fn check_at(&self, address: IpAddr, now: impl Into<UnixTime>) -> Result<Decision, Refused> {
        let now = now.into();
        let charge = |network: Network, rules: &[Rule]| Ok(self.counts.check(&network, rules, now));
        let take_back = |network: Network, rules: &[Rule]| {
            self.counts.take_back(&network, rules, now);
            Ok(())
        };
        let decision: Result<_, std::convert::Infallible> = self.judge(address, charge, take_back);
        let Ok(decision) = decision;
        decision.into_result()
    }
}

impl<C> AddressLimiter<C> {
    /// A limiter that counts there, such as in another process.
    pub fn over(counts: C, rule: Rule) -> Self {
        Self { counts, rules: vec![rule], site_rules: vec![rule.times(SITE_FACTOR)] }
    }

    /// Another rule, which must have room, too.
    #[must_use]
    pub fn and(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self.site_rules.push(rule.times(SITE_FACTOR));
        self
    }

    /// What it counts with.
    pub const fn counts(&self) -> &C {
        &self.counts
    }

    /// The client first and then the /48 around it, which holds if the client may pass.
    fn judge<E>(
        &self,
        address: IpAddr,
        charge: impl Fn(Network, &[Rule]) -> Result<Decision, E>,
        take_back: impl FnOnce(Network, &[Rule]) -> Result<(), E>,
    ) -> Result<Decision, E> {
        let (client, site) = networks(address);
        let decision = charge(client, &self.rules)?;
        let Some(site) = site.filter(|_| decision.allowed) else { return Ok(decision) };
        let of_site = charge(site, &self.site_rules)?;
        if !of_site.allowed {
            take_back(client, &self.rules)?;
        }
        Ok(decision.tighter(of_site))
    }
}

impl<C: Counts<Network>> AddressLimiter<C> {
    /// Counts one request of `address` at `now` if the rules let it pass, and says so. A refused request counts nowhere.
    ///
    /// # Errors
    /// When it cannot tell; the request may have been counted.
    pub fn charge(&self, address: IpAddr, now: impl Into<UnixTime>) -> Result<Decision, LimiterUnavailable> {
        let now = now.into();
        let charge = |network: Network, rules: &[Rule]| self.counts.charge(&network, rules, now);
        self.judge(address, charge, |network, rules| self.counts.refund(&network, rules, now))
    }

    /// Takes back one request that passed and turned out not to be one, such as an attempt with a password that is right.
    ///
    /// # Errors
    /// When it cannot be taken back; it may stay counted until the window ends.
    pub fn refund(&self, address: IpAddr, now: impl Into<UnixTime>) -> Result<(), LimiterUnavailable> {
        let (now, (client, site)) = (now.into(), networks(address));
        self.counts.refund(&client, &self.rules, now)?;
        site.map_or(Ok(()), |site| self.counts.refund(&site, &self.site_rules, now))
    }

    /// Whether it may wait for another process; see [`Counts::may_block`].
    pub fn may_block(&self) -> bool {
        self.counts.may_block()
    }
}

/// The client, and the /48 around it.
fn networks(address: IpAddr) -> (Network, Option<Network>) {
    let client = ClientNetwork::from(address);
    let site = match client {
        ClientNetwork::V4(_) => None,
        ClientNetwork::V6(upper) => Some(Network::Site(upper >> 16)),
    };
    (Network::Client(client), site)
}
