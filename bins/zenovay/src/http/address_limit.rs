//! The limit of a client address: charged and counted here for every door.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::web;
use zenovay_domain::Timestamp;
use zenovay_ingest::RefusalReason;
use zenovay_limits::{AddressClass, AddressLimiter, Decision, LimiterUnavailable};

use crate::telemetry::Limit;

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
    limiter: &dyn AddressLimiter,
    class: AddressClass,
    client: IpAddr,
    now: Timestamp,
) -> Result<(), AddressRefusal> {
    judge(class, limiter.charge(class, client, now))
}

/// Charges one request of `client` on an async worker.
///
/// # Errors
/// When it may not pass, or nobody can tell.
pub async fn charge_async(
    limiter: &Arc<dyn AddressLimiter>,
    class: AddressClass,
    client: IpAddr,
    now: Timestamp,
) -> Result<(), AddressRefusal> {
    if !limiter.may_block() {
        return charge(&**limiter, class, client, now);
    }
    let limiter = Arc::clone(limiter);
    let charged = web::block(move || limiter.charge(class, client, now)).await;
    judge(class, charged.unwrap_or_else(|panicked| Err(LimiterUnavailable { cause: panicked.to_string() })))
}

fn judge(class: AddressClass, charged: Result<Decision, LimiterUnavailable>) -> Result<(), AddressRefusal> {
    let limit = match class {
        AddressClass::Tracking => Limit::AddressTracking,
        AddressClass::Public => Limit::AddressPublic,
        AddressClass::Auth => Limit::AddressAuth,
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
