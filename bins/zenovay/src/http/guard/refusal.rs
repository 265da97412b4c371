//! Why a request was not let in.

use zenovay_auth::Denial;
use zenovay_limits::{Decision, LimiterUnavailable};
use zenovay_store::StoreError;

use crate::http::address_limit::AddressRefusal;

/// Why a request was not let in. How it is answered: [`crate::http::errors`].
#[derive(Debug)]
pub enum AccessRefusal {
    /// It says nobody whose it is.
    NoCredential,
    /// Its key is malformed, or nobody holds it, or it was revoked.
    InvalidKey,
    /// It needs somebody who is signed in, and its cookie is none, or its session is over.
    NotSignedIn,
    /// It gives a second factor, and the first was given too long ago or not at all.
    NotHalfWay,
    /// It would change something, and the page of another website made it.
    CrossSite,
    /// It asks for a host that is not this server.
    ForeignHost,
    /// Its address tried too many keys that nobody holds.
    TooManyAttempts(Decision),
    /// The key has used up its minute.
    MinuteUsedUp(Decision),
    /// The key has used up its month.
    MonthUsedUp {
        /// Requests a month.
        limit: u64,
        /// Seconds until the next month.
        retry_after_s: u64,
    },
    /// Whoever it is may not do it.
    Denied(Denial),
    /// The store could not be asked about its key or session.
    KeyNotChecked(StoreError),
    /// The store could not be asked for what it is about.
    NotLoaded(StoreError),
    /// A limit could not be checked.
    LimitNotChecked(LimiterUnavailable),
    /// The check ended in a panic, or this server was not put together.
    Failed,
}

impl AccessRefusal {
    /// Every reason, as the label `reason` of `zenovay_access_refusals_total`.
    pub const REASONS: [&str; 22] = [
        "no_credential",
        "invalid_key",
        "invalid_token",
        "not_signed_in",
        "cross_site",
        "foreign_host",
        "too_many_attempts",
        "minute_used_up",
        "month_used_up",
        "membership_lost",
        "missing_role",
        "missing_scope",
        "not_for_keys",
        "not_in_plan",
        "not_reachable",
        "plan_required",
        "revoked",
        "unknown",
        "wrong_target",
        "store",
        "limiter",
        "failed",
    ];

    /// The reason in metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::InvalidKey => "invalid_key",
            Self::NotSignedIn | Self::NotHalfWay => "not_signed_in",
            Self::CrossSite => "cross_site",
            Self::ForeignHost => "foreign_host",
            Self::TooManyAttempts(_) => "too_many_attempts",
            Self::MinuteUsedUp(_) => "minute_used_up",
            Self::MonthUsedUp { .. } => "month_used_up",
            Self::Denied(denial) => denial.as_str(),
            Self::KeyNotChecked(_) | Self::NotLoaded(_) => "store",
            Self::LimitNotChecked(_) => "limiter",
            Self::Failed => "failed",
        }
    }

    /// Its counter.
    pub fn counter(reason: &'static str) -> metrics::Counter {
        metrics::counter!("zenovay_access_refusals_total", "reason" => reason)
    }

    /// Counts it.
    pub(in crate::http) fn count(&self) {
        Self::counter(self.reason()).increment(1);
    }
}

impl From<AddressRefusal> for AccessRefusal {
    fn from(refusal: AddressRefusal) -> Self {
        match refusal {
            AddressRefusal::TooMany(decision) => Self::TooManyAttempts(decision),
            AddressRefusal::CannotTell(error) => Self::LimitNotChecked(error),
        }
    }
}

impl From<Denial> for AccessRefusal {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenovay_auth::TargetKind;

    #[test]
    fn every_reason_has_a_counter_from_the_start() {
        assert_eq!(AccessRefusal::Denied(Denial::Revoked).reason(), "revoked");
        for reason in Denial::<TargetKind>::REASONS {
            assert!(AccessRefusal::REASONS.contains(reason), "{reason}");
        }
        for refusal in [
            AccessRefusal::NoCredential,
            AccessRefusal::InvalidKey,
            AccessRefusal::NotSignedIn,
            AccessRefusal::CrossSite,
            AccessRefusal::ForeignHost,
            AccessRefusal::MonthUsedUp { limit: 1, retry_after_s: 1 },
            AccessRefusal::KeyNotChecked(StoreError::DiskFull),
            AccessRefusal::NotLoaded(StoreError::DiskFull),
            AccessRefusal::LimitNotChecked(LimiterUnavailable::new("")),
            AccessRefusal::Failed,
        ] {
            assert!(AccessRefusal::REASONS.contains(&refusal.reason()), "{}", refusal.reason());
        }
    }

    #[test]
    fn every_reason_is_documented() {
        let documentation = include_str!("../../../../../docs/operations.md");
        let line = documentation.lines().find(|line| line.starts_with("| `zenovay_access_refusals_total`")).unwrap();
        for reason in AccessRefusal::REASONS {
            assert!(line.contains(&format!("`{reason}`")), "{reason}");
        }
    }
}
