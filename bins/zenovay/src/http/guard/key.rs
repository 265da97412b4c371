//! Callers with an API key: how the key is presented, looked up, limited and charged.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{HttpMessage, HttpRequest};
use zenovay_auth::{ApiKeyToken, Credential, KeyDigest, KeyFormat, Principal};
use zenovay_domain::{KeyId, Plan, PlanLimits, Reading, Role, TeamId, Timestamp};
use zenovay_limits::{Decision, LimiterUnavailable, Rule};
use zenovay_store::{Charge, Usage};

use super::{AccessRefusal, Admission, Arrival, Identity, Report, Shown, role_among};
use crate::http::address_limit::{self, AddressClass, unix_time};
use crate::http::audit::AuditActor;
use crate::http::key_headers::{KeyUsage, seconds_until};
use crate::http::key_log;
use crate::http::state::AppState;
use crate::telemetry::Limit;

/// Whoever holds a key.
#[derive(Debug, Clone)]
pub struct KeyHolder {
    /// The key.
    pub credential: Arc<Credential>,
    /// The plan whose limits apply: the highest that the key reaches.
    pub plan: Plan,
    /// What the key has used, this request included.
    pub usage: KeyUsage,
}

/// What is told the holder of a key, and noted of the request.
#[derive(Debug)]
pub struct KeyReport {
    key: KeyId,
    usage: KeyUsage,
}

impl Report for KeyReport {
    fn put(self, req: &HttpRequest) {
        key_log::made_with(req, self.key);
        req.extensions_mut().insert(self.usage);
    }
}

impl Identity for KeyHolder {
    type Evidence = ApiKeyToken;
    type Report = KeyReport;

    fn evidence(req: &HttpRequest) -> Result<ApiKeyToken, AccessRefusal> {
        presented_key(req.headers())
    }

    /// In this order: the key is known (401), the minute has room (429), plan, scope, target and role (403, 404), the
    /// month has room (429). Everything after the first two steps is counted, also what is refused (SPEC C2-22).
    fn admit<R>(
        state: &AppState,
        token: &ApiKeyToken,
        Arrival { client, reading }: Arrival,
        permit: impl FnOnce(Principal<'_>) -> Result<R, AccessRefusal>,
    ) -> Admission<Self, R> {
        // Months go by the steady reading: a clock that is wrong for a moment begins none.
        let Reading { now, steady, .. } = reading;
        let credential = match look_up(state, &token.digest(), client, now) {
            Ok(credential) => credential,
            Err(error) => return Admission { report: None, result: Err(error) },
        };
        let plan = credential.plan().unwrap_or(Plan::Free);
        let limits = state.plans.limits(plan);
        let minute = match charge_minute(state, &credential, limits, now) {
            Ok(minute) => minute,
            Err(error) => {
                Limit::KeyMinute.could_not_tell();
                return Admission { report: None, result: Err(AccessRefusal::LimitNotChecked(error)) };
            }
        };
        if !minute.allowed {
            Limit::KeyMinute.refused();
            let usage = state.store.usage(credential.key_id, steady).ok();
            let report =
                usage.map(|usage| KeyReport { key: credential.key_id, usage: key_usage(limits, &minute, usage) });
            return Admission { report, result: Err(AccessRefusal::MinuteUsedUp(minute)) };
        }

        let permitted = permit(Principal::Key(&credential));
        // A plan without API access has no month either; its requests are refused, and counted like all others.
        let monthly = if limits.requests_per_minute == 0 { u64::MAX } else { limits.requests_per_month };
        let (counted, month) = match state.store.charge_request(credential.key_id, monthly, steady) {
            Ok(Charge::Counted(month)) => (true, month),
            Ok(Charge::Exhausted(month)) => (false, month),
            Err(error) => return Admission { report: None, result: Err(AccessRefusal::KeyNotChecked(error)) },
        };
        let (credential_id, usage) = (credential.key_id, key_usage(limits, &minute, month));
        let result = match permitted {
            Err(error) => Err(error),
            Ok(_) if !counted => {
                Limit::KeyMonth.refused();
                let retry_after_s = seconds_until(month.resets_at, steady);
                Err(AccessRefusal::MonthUsedUp { limit: limits.requests_per_month, retry_after_s })
            }
            Ok(resource) => Ok((Self { credential, plan, usage }, resource)),
        };
        let report = KeyReport { key: credential_id, usage };
        Admission { report: Some(report), result }
    }

    fn principal(&self) -> Principal<'_> {
        Principal::Key(&self.credential)
    }

    fn shown(&self) -> Shown {
        Shown::Key(self.credential.key_id)
    }

    fn key_id(&self) -> Option<KeyId> {
        Some(self.credential.key_id)
    }

    fn audit_actor(&self) -> AuditActor {
        AuditActor::of_key(&self.credential)
    }

    fn role_in(&self, team: TeamId) -> Role {
        role_among(&self.credential.teams, team)
    }
}

/// The key's minute. A key whose plan has no API access is refused anyway; it may hear that as often as others may try
/// keys that nobody holds.
fn charge_minute(
    state: &AppState,
    credential: &Credential,
    limits: &PlanLimits,
    now: Timestamp,
) -> Result<Decision, LimiterUnavailable> {
    let (counts, requests) = match limits.requests_per_minute {
        0 => (&state.refused_keys, state.refusals_per_minute),
        requests => (&state.keys, requests),
    };
    counts.charge(&credential.key_id, &[Rule::per_minute(requests)], unix_time(now))
}

fn key_usage(limits: &PlanLimits, minute: &Decision, month: Usage) -> KeyUsage {
    KeyUsage {
        minute_limit: limits.requests_per_minute,
        minute_remaining: minute.remaining.min(limits.requests_per_minute),
        minute_reset: Timestamp::from_millis(minute.reset_at.as_millis()),
        month_used: month.monthly_used,
        month_limit: limits.requests_per_month,
        month_reset: month.resets_at,
        total: month.total_used,
    }
}

/// The credential behind a well-formed key.
///
/// Whoever tries keys that nobody holds may do so a few times a minute; then nothing is looked up any more, so that the
/// answer tells nothing. A key that was valid the last time is looked up in any case: others behind the same address
/// cannot use up what it needs. An attempt is charged before the look-up, and taken back when the key is valid.
pub(super) fn look_up(
    state: &AppState,
    digest: &KeyDigest,
    client: IpAddr,
    now: Timestamp,
) -> Result<Arc<Credential>, AccessRefusal> {
    let was_valid = state.directory.was_valid(digest);
    if !was_valid {
        address_limit::charge(&state.addresses, AddressClass::Auth, client, now)?;
    }
    let found = state.directory.credential(digest);
    let take_back = || {
        if !was_valid {
            // What stays counted makes the limit stricter for a minute, which is not a reason to refuse a valid key.
            if let Err(error) = state.addresses.refund(AddressClass::Auth, client, now) {
                tracing::warn!(cause = %error.cause(), "a valid key stays counted as an attempt");
            }
        }
    };
    match found {
        Ok(Some(credential)) if !credential.revoked => {
            take_back();
            Ok(credential)
        }
        Ok(_) => {
            if was_valid {
                address_limit::charge(&state.addresses, AddressClass::Auth, client, now)?;
            }
            Err(AccessRefusal::InvalidKey)
        }
        Err(error) => {
            take_back();
            Err(AccessRefusal::KeyNotChecked(error))
        }
    }
}

/// The key in the headers: `X-API-Key` or `Authorization: Bearer`. Both with different keys are refused, because log
/// and decision could disagree about whose request it was (SECURITY §8-4). Nothing else is ever read: not `Api-Key`
/// (S4), not the query, not a cookie.
pub(super) fn presented_key(headers: &HeaderMap) -> Result<ApiKeyToken, AccessRefusal> {
    let mut keys = Vec::with_capacity(2);
    for value in headers.get_all("x-api-key") {
        keys.push(value.to_str().unwrap_or(""));
    }
    for value in headers.get_all(AUTHORIZATION) {
        let (scheme, key) = value.to_str().unwrap_or("").split_once(' ').unwrap_or_default();
        if scheme.eq_ignore_ascii_case("bearer") {
            keys.push(key);
        }
    }
    let mut keys = keys.into_iter().map(|key| KeyFormat::ZENOVAY.parse(key));
    let first = keys.next().ok_or(AccessRefusal::NoCredential)?.map_err(|_malformed| AccessRefusal::InvalidKey)?;
    if keys.all(|key| key.as_ref() == Ok(&first)) { Ok(first) } else { Err(AccessRefusal::InvalidKey) }
}

/// Whether the headers hold a key, be it valid or not.
pub(super) fn shows_a_key(headers: &HeaderMap) -> bool {
    headers.contains_key("x-api-key") || headers.contains_key(AUTHORIZATION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};
    use rand::SeedableRng;

    fn token(seed: u64) -> ApiKeyToken {
        KeyFormat::ZENOVAY.generate_with(&mut rand::rngs::StdRng::seed_from_u64(seed))
    }

    fn presented(lines: &[(&'static str, String)]) -> Result<ApiKeyToken, &'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        presented_key(&headers).map_err(|refusal| refusal.reason())
    }

    #[test]
    fn a_key_comes_in_one_of_two_headers_or_the_same_in_both() {
        let key = token(1);
        let (plain, bearer) = (key.expose().to_owned(), format!("Bearer {}", key.expose()));
        assert_eq!(presented(&[("x-api-key", plain.clone())]), Ok(key.clone()));
        assert_eq!(presented(&[("authorization", bearer.clone())]), Ok(key.clone()));
        assert_eq!(presented(&[("authorization", bearer.replace("Bearer", "bEARER"))]), Ok(key.clone()));
        assert_eq!(presented(&[("x-api-key", plain.clone()), ("authorization", bearer)]), Ok(key.clone()));
        assert_eq!(presented(&[("x-api-key", plain), ("authorization", "Basic eDp5".to_owned())]), Ok(key));
    }

    #[test]
    fn everything_else_is_refused() {
        let (key, other) = (token(1), token(2));
        let invalid = Err("invalid_key");
        assert_eq!(presented(&[]), Err("no_credential"));
        assert_eq!(presented(&[("api-key", key.expose().to_owned())]), Err("no_credential"));
        assert_eq!(presented(&[("cookie", format!("key={}", key.expose()))]), Err("no_credential"));
        assert_eq!(presented(&[("authorization", key.expose().to_owned())]), Err("no_credential"));
        assert_eq!(presented(&[("x-api-key", "abc123_not_valid".to_owned())]), invalid);
        assert_eq!(presented(&[("x-api-key", format!("{} ", key.expose()))]), invalid);
        assert_eq!(presented(&[("authorization", format!("Bearer  {}", key.expose()))]), invalid);
        let both = [("x-api-key", key.expose().to_owned()), ("authorization", format!("Bearer {}", other.expose()))];
        assert_eq!(presented(&both), invalid);
        let twice = [("x-api-key", key.expose().to_owned()), ("x-api-key", other.expose().to_owned())];
        assert_eq!(presented(&twice), invalid);
    }
}
