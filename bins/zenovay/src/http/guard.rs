//! Who may do what. A handler that reads or writes for a key names the action in its signature, and that is its only
//! way to the website: check and load cannot drift apart (SECURITY §2.2, IDOR).

use std::future::{Future, Ready, ready};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use zenovay_auth::{Action, ApiKeyToken, Credential, Denial, KeyDigest, Target, decide};
use zenovay_domain::{Plan, PlanLimits, Reading, Timestamp, TrackingCode, Website, WebsiteId};
use zenovay_limits::{AddressClass, Decision};
use zenovay_store::{Charge, Usage, UsageStore};

use super::client_ip;
use super::envelope::ApiError;
use super::errors;
use super::handler::{Access, Caller};
use super::key_headers::{KeyUsage, seconds_until};
use super::turns::Asking;
use crate::state::AppState;
use crate::telemetry::Limit;

/// Anybody: a route whose handler takes this is open.
#[derive(Debug, Clone, Copy)]
pub struct Public;

impl Caller for Public {
    const ACCESS: Access = Access::Public;
}

impl FromRequest for Public {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self))
    }
}

/// An action of [`Action`], as a type.
pub trait Permission: 'static {
    /// The action.
    const ACTION: Action;
    /// What the permission gives access to: the website of the path, or the key's own account.
    type Resource: Resource;

    /// Takes the resource from what the check loaded.
    fn resource(website: Option<Arc<Website>>) -> Option<Self::Resource>;
}

macro_rules! permissions {
    ($($name:ident -> $resource:ident;)*) => { $(
        #[doc = concat!("[`Action::", stringify!($name), "`].")]
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        permissions!(@impl $name $resource);
    )* };
    (@impl $name:ident Website) => {
        impl Permission for $name {
            const ACTION: Action = Action::$name;
            type Resource = Arc<Website>;

            fn resource(website: Option<Arc<Website>>) -> Option<Arc<Website>> {
                website
            }
        }
    };
    (@impl $name:ident Account) => {
        impl Permission for $name {
            const ACTION: Action = Action::$name;
            type Resource = Account;

            fn resource(_: Option<Arc<Website>>) -> Option<Account> {
                Some(Account)
            }
        }
    };
}

/// What a permission gives access to.
pub trait Resource: 'static {
    /// The one website that it is, if it is one.
    fn website_id(&self) -> Option<WebsiteId>;
}

impl Resource for Arc<Website> {
    fn website_id(&self) -> Option<WebsiteId> {
        Some(self.id)
    }
}

/// The key's own account: what it may list, its usage, and the websites it may be asked about later.
#[derive(Debug, Clone, Copy)]
pub struct Account;

impl Resource for Account {
    fn website_id(&self) -> Option<WebsiteId> {
        None
    }
}

permissions! {
    ReadUsage -> Account;
    ListWebsites -> Account;
    ReadWebsite -> Website;
    ReadAnalytics -> Website;
    ReadHeatmaps -> Website;
    ReadReplays -> Website;
    ReadErrors -> Website;
    IngestBatch -> Account;
}

/// Proof that the key of this request may do `P`, and the resource it may do it to.
///
/// Made in this order: the key is known (401), the minute has room (429), plan, scope and website (403, 404), the month
/// has room (429). Everything after the first two steps is counted, also what is refused (SPEC C2-22).
#[derive(Debug)]
pub struct Authorized<P: Permission> {
    /// What the permission gives access to.
    pub resource: P::Resource,
    /// Whose request it is.
    pub credential: Arc<Credential>,
    /// The plan whose limits apply.
    pub plan: Plan,
    /// What the key has used, this request included.
    pub usage: KeyUsage,
    state: web::Data<AppState>,
    permission: PhantomData<P>,
}

impl Authorized<IngestBatch> {
    /// The website with the code of a batch, if the key reaches it.
    ///
    /// # Errors
    /// A 404 for an unknown code, a 403 for a website out of reach, a 503 when the store cannot be asked.
    pub fn website(&self, code: &TrackingCode) -> Result<Arc<Website>, ApiError> {
        let website = self.state.directory.website_by_code(code)?;
        let target = target_of(website.as_deref());
        decide(Some(&self.credential), Action::IngestBatch, &target, &self.state.plans)?;
        website.ok_or_else(|| Denial::WebsiteUnknown.into())
    }
}

impl<P: Permission> Authorized<P> {
    /// For whom its queries are.
    pub fn asking(&self) -> Asking {
        Asking { website: self.resource.website_id(), key: Some(self.credential.key_id) }
    }
}

impl<P: Permission> Caller for Authorized<P> {
    const ACCESS: Access = Access::Key(P::ACTION);
}

impl<P: Permission> FromRequest for Authorized<P> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let req = req.clone();
        Box::pin(async move { authorize::<P>(&req).await })
    }
}

async fn authorize<P: Permission>(req: &HttpRequest) -> Result<Authorized<P>, ApiError> {
    let state = req.app_data::<web::Data<AppState>>().cloned().ok_or_else(ApiError::internal)?;
    let token = presented_key(req.headers())?;
    let asked = req.match_info().get("website_id").map(str::to_owned);
    let client = client_ip::of(req, &state.trusted_proxies);
    let reading = state.clock.reading();

    let check = {
        let state = state.clone();
        let span = tracing::Span::current();
        web::block(move || span.in_scope(|| check(&state, P::ACTION, &token, asked.as_deref(), client, reading)))
    };
    let checked = check.await.map_err(|_panicked| ApiError::internal())?;
    if let Some(usage) = checked.usage {
        req.extensions_mut().insert(usage);
    }
    let (credential, website, plan, usage) = checked.result?;
    let resource = P::resource(website).ok_or_else(ApiError::internal)?;
    Ok(Authorized { resource, credential, plan, usage, state, permission: PhantomData })
}

type Permitted = (Arc<Credential>, Option<Arc<Website>>, Plan, KeyUsage);

/// The end of a check. The usage is told on every answer to a known key, also on refusals.
struct Checked {
    usage: Option<KeyUsage>,
    result: Result<Permitted, ApiError>,
}

impl From<ApiError> for Checked {
    fn from(error: ApiError) -> Self {
        Self { usage: None, result: Err(error) }
    }
}

/// The whole check; blocks.
fn check(
    state: &AppState,
    action: Action,
    token: &ApiKeyToken,
    asked: Option<&str>,
    client: std::net::IpAddr,
    reading: Reading,
) -> Checked {
    // Months go by the steady reading: a clock that is wrong for a moment begins none.
    let Reading { now, steady, .. } = reading;
    let credential = match look_up(state, &token.digest(), client, now) {
        Ok(credential) => credential,
        Err(error) => return error.into(),
    };
    let limits = state.plans.limits(credential.plan().unwrap_or(Plan::Free));
    let minute = charge_minute(state, &credential, limits, now);
    if !minute.allowed {
        Limit::KeyMinute.refused();
        let usage = state.store.usage(credential.key_id, steady).ok();
        let usage = usage.map(|usage| key_usage(limits, &minute, usage));
        return Checked { usage, result: Err(errors::minute_limited(&minute)) };
    }

    let decided = load_target(state, asked).and_then(|(target, website)| {
        let grant = decide(Some(&credential), action, &target, &state.plans)?;
        Ok((website, grant.plan))
    });
    // A plan without API access has no month either; its requests are refused, and counted like all others.
    let monthly = if limits.requests_per_minute == 0 { u64::MAX } else { limits.requests_per_month };
    let (charge, month) = match state.store.charge_request(credential.key_id, monthly, steady) {
        Ok(Charge::Counted(month)) => (true, month),
        Ok(Charge::Exhausted(month)) => (false, month),
        Err(error) => return ApiError::from(error).into(),
    };
    let usage = key_usage(limits, &minute, month);
    let result = match decided {
        Err(error) => Err(error),
        Ok(_) if !charge => {
            Limit::KeyMonth.refused();
            Err(errors::month_limited(limits.requests_per_month, seconds_until(month.resets_at, steady)))
        }
        Ok((website, plan)) => Ok((credential, website, plan, usage)),
    };
    Checked { usage: Some(usage), result }
}

/// The key's minute. A key whose plan has no API access is refused anyway; it may hear that as often as others may try
/// keys that nobody holds.
fn charge_minute(state: &AppState, credential: &Credential, limits: &PlanLimits, now: Timestamp) -> Decision {
    match limits.requests_per_minute {
        0 => state.refused_keys.charge(credential.key_id, state.refusals_per_minute, now),
        limit => state.keys.charge(credential.key_id, limit, now),
    }
}

fn key_usage(limits: &PlanLimits, minute: &Decision, month: Usage) -> KeyUsage {
    KeyUsage {
        minute_limit: limits.requests_per_minute,
        minute_remaining: minute.remaining.min(limits.requests_per_minute),
        minute_reset: minute.reset_at,
        month_used: month.monthly_used,
        month_limit: limits.requests_per_month,
        month_reset: month.resets_at,
        total: month.total_used,
    }
}

/// The website of the path. A text that is no id names no website, so it is a 404 like an unknown id.
fn load_target(state: &AppState, asked: Option<&str>) -> Result<(Target, Option<Arc<Website>>), ApiError> {
    let Some(asked) = asked else { return Ok((Target::Account, None)) };
    let Ok(id) = asked.parse() else { return Ok((Target::UnknownWebsite, None)) };
    let website = state.directory.website(id)?;
    Ok((target_of(website.as_deref()), website))
}

fn target_of(website: Option<&Website>) -> Target {
    website.map_or(Target::UnknownWebsite, |website| Target::Website { id: website.id, team_id: website.team_id })
}

/// The credential behind a well-formed key.
///
/// Whoever tries keys that nobody holds may do so a few times a minute; then nothing is looked up any more, so that the
/// answer tells nothing. A key that was valid the last time is looked up in any case: others behind the same address
/// cannot use up what it needs. An attempt is charged before the look-up, and taken back when the key is valid.
fn look_up(
    state: &AppState,
    digest: &KeyDigest,
    client: std::net::IpAddr,
    now: Timestamp,
) -> Result<Arc<Credential>, ApiError> {
    let was_valid = state.directory.was_valid(digest);
    if !was_valid {
        charge_attempt(state, client, now)?;
    }
    let found = state.directory.credential(digest);
    let take_back = || {
        if !was_valid {
            state.addresses.refund(AddressClass::Auth, client, now);
        }
    };
    match found {
        Ok(Some(credential)) if !credential.revoked => {
            take_back();
            Ok(credential)
        }
        Ok(_) => {
            if was_valid {
                charge_attempt(state, client, now)?;
            }
            Err(Denial::InvalidKey.into())
        }
        Err(error) => {
            take_back();
            Err(error.into())
        }
    }
}

fn charge_attempt(state: &AppState, client: std::net::IpAddr, now: Timestamp) -> Result<(), ApiError> {
    let decision = state.addresses.charge(AddressClass::Auth, client, now);
    if decision.allowed {
        return Ok(());
    }
    Limit::AddressAuth.refused();
    Err(errors::address_limited(&decision))
}

/// The key in the headers: `X-API-Key` or `Authorization: Bearer`. Both with different keys are refused, because log
/// and decision could disagree about whose request it was (SECURITY §8-4). Nothing else is ever read: not `Api-Key`
/// (S4), not the query, not a cookie.
fn presented_key(headers: &HeaderMap) -> Result<ApiKeyToken, ApiError> {
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
    let mut keys = keys.into_iter().map(ApiKeyToken::parse);
    let invalid = || ApiError::from(Denial::InvalidKey);
    let first = keys.next().ok_or_else(errors::missing_key)?.map_err(|_malformed| invalid())?;
    if keys.all(|key| key.as_ref() == Ok(&first)) { Ok(first) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};
    use rand::SeedableRng;

    fn token(seed: u64) -> ApiKeyToken {
        ApiKeyToken::generate(&mut rand::rngs::StdRng::seed_from_u64(seed))
    }

    fn presented(lines: &[(&'static str, String)]) -> Result<ApiKeyToken, ApiError> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        presented_key(&headers)
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
        let invalid = Err(ApiError::from(Denial::InvalidKey));
        assert_eq!(presented(&[]), Err(errors::missing_key()));
        assert_eq!(presented(&[("api-key", key.expose().to_owned())]), Err(errors::missing_key()));
        assert_eq!(presented(&[("cookie", format!("key={}", key.expose()))]), Err(errors::missing_key()));
        assert_eq!(presented(&[("authorization", key.expose().to_owned())]), Err(errors::missing_key()));
        assert_eq!(presented(&[("x-api-key", "abc123_not_valid".to_owned())]), invalid);
        assert_eq!(presented(&[("x-api-key", format!("{} ", key.expose()))]), invalid);
        assert_eq!(presented(&[("authorization", format!("Bearer  {}", key.expose()))]), invalid);
        let both = [("x-api-key", key.expose().to_owned()), ("authorization", format!("Bearer {}", other.expose()))];
        assert_eq!(presented(&both), invalid);
        let twice = [("x-api-key", key.expose().to_owned()), ("x-api-key", other.expose().to_owned())];
        assert_eq!(presented(&twice), invalid);
    }
}
