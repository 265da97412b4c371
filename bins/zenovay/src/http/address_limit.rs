//! The limits of client addresses: charged and counted here for every door.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use zenovay_domain::Timestamp;
use zenovay_ingest::RefusalReason;
use zenovay_limits::{AddressLimiter, Counts, Decision, LimiterUnavailable, Network, Rule, UnixTime};

use crate::config::Config;
use crate::telemetry::Limit;

/// What a request is for; each class has limits of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressClass {
    /// Events, heartbeats and their aliases.
    Tracking,
    /// Live counts and everything else that anybody may read.
    Public,
    /// Logins and failed keys.
    Auth,
    /// What programs do to become known at `/mcp`: registering, and having their document fetched.
    Clients,
    /// What programs show for tokens, and tokens that they give back.
    Tokens,
}

impl AddressClass {
    /// The most bytes that the counts of the class take in this process: 64 MiB together.
    pub const fn max_bytes(self) -> usize {
        match self {
            // It has two rules, and by far the most addresses.
            Self::Tracking => 32 << 20,
            Self::Public | Self::Auth => 12 << 20,
            Self::Clients | Self::Tokens => 4 << 20,
        }
    }
}

type Limiter = AddressLimiter<Arc<dyn Counts<Network>>>;

/// The limits of every class.
pub struct AddressLimits {
    tracking: Limiter,
    public: Limiter,
    auth: Limiter,
    clients: Limiter,
    tokens: Limiter,
}

impl AddressLimits {
    /// The limits of `config`, counted by what `counts` makes for each class.
    #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "ten seconds are a time that a rule can have")]
    pub fn new(config: &Config, counts: impl Fn(AddressClass) -> Arc<dyn Counts<Network>>) -> Self {
        let burst = Rule::per(Duration::from_secs(10), config.tracking_requests_per_10s.as_u32())
            .expect("ten seconds are shorter than a month");
        let sustained = Rule::per_hour(config.tracking_requests_per_hour.as_u32());
        let per_minute = |class, requests| Limiter::over(counts(class), Rule::per_minute(requests));
        Self {
            tracking: Limiter::over(counts(AddressClass::Tracking), burst).and(sustained),
            public: per_minute(AddressClass::Public, config.public_requests_per_minute.as_u32()),
            auth: per_minute(AddressClass::Auth, config.auth_requests_per_minute.as_u32()),
            // As many, but apart: whoever shares an address with programs, or opens a page that sends such requests, can sign in
            // all the same.
            clients: per_minute(AddressClass::Clients, config.auth_requests_per_minute.as_u32()),
            tokens: per_minute(AddressClass::Tokens, config.auth_requests_per_minute.as_u32()),
        }
    }

    /// Takes back one request that was let through and turned out not to be of this class, such as an attempt with a key
    /// that is valid.
    ///
    /// # Errors
    /// When it cannot be taken back; it may stay counted until the window ends.
    pub fn refund(&self, class: AddressClass, client: IpAddr, now: Timestamp) -> Result<(), LimiterUnavailable> {
        self.of(class).refund(client, unix_time(now))
    }

    const fn of(&self, class: AddressClass) -> &Limiter {
        match class {
            AddressClass::Tracking => &self.tracking,
            AddressClass::Public => &self.public,
            AddressClass::Auth => &self.auth,
            AddressClass::Clients => &self.clients,
            AddressClass::Tokens => &self.tokens,
        }
    }

    fn charge(&self, class: AddressClass, client: IpAddr, now: Timestamp) -> Result<Decision, LimiterUnavailable> {
        self.of(class).charge(client, unix_time(now))
    }
}

/// The same instant for a limiter.
pub const fn unix_time(at: Timestamp) -> UnixTime {
    UnixTime::from_millis(at.as_millis())
}

/// Why a request of an address does not pass. It was counted when it was made.
#[derive(Debug)]
pub enum AddressRefusal {
    /// The address made as many requests as it may.
    TooMany(Decision),
    /// The limiter cannot tell.
    CannotTell(LimiterUnavailable),
}

impl AddressRefusal {
    /// The same as the outcome of a hit.
    pub const fn reason(&self) -> RefusalReason {
        match self {
            Self::TooMany(_) => RefusalReason::RateLimited,
            Self::CannotTell(_) => RefusalReason::LimiterUnavailable,
        }
    }
}

/// Charges one request of `client`, where a thread may block.
///
/// # Errors
/// When it may not pass, or nobody can tell.
pub fn charge(
    limits: &AddressLimits,
    class: AddressClass,
    client: IpAddr,
    now: Timestamp,
) -> Result<(), AddressRefusal> {
    judge(class, limits.charge(class, client, now))
}

/// Charges one request of `client` on an async worker.
///
/// # Errors
/// When it may not pass, or nobody can tell.
pub async fn charge_async(
    limits: &Arc<AddressLimits>,
    class: AddressClass,
    client: IpAddr,
    now: Timestamp,
) -> Result<(), AddressRefusal> {
    if !limits.of(class).may_block() {
        return charge(limits, class, client, now);
    }
    let limits = Arc::clone(limits);
    let charged = web::block(move || limits.charge(class, client, now)).await;
    judge(class, charged.unwrap_or_else(|panicked| Err(LimiterUnavailable::new(panicked.to_string()))))
}

fn judge(class: AddressClass, charged: Result<Decision, LimiterUnavailable>) -> Result<(), AddressRefusal> {
    let limit = match class {
        AddressClass::Tracking => Limit::AddressTracking,
        AddressClass::Public => Limit::AddressPublic,
        AddressClass::Auth => Limit::AddressAuth,
        AddressClass::Clients => Limit::AddressClients,
        AddressClass::Tokens => Limit::AddressTokens,
    };
    match charged {
        Ok(decision) if decision.allowed => Ok(()),
        Ok(decision) => {
            limit.refused();
            Err(AddressRefusal::TooMany(decision))
        }
        Err(error) => {
            limit.could_not_tell();
            Err(AddressRefusal::CannotTell(error))
        }
    }
}
