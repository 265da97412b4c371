//! What every store of grants must do.

use std::sync::Arc;

use zenovay_auth::{AccessLevel, KeyDigest, PasswordHash, SecretDigest, ToolCategory, ToolScopes};
use zenovay_domain::{GrantId, Plan, PlanTable, Role, TeamId, Timestamp, UserId};

use super::{Harness, NOW, team, user};
use crate::{
    ACCESS_TOKEN_MS, CODE_MS, CODE_REMEMBERED_MS, CODES_MAX, Consent, Exchange, ExchangeRefusal, GRANT_MS, GRANTS_MAX,
    GrantClient, GrantStore, Issued, NewCode, NewTokens, REFRESH_GRACE_MS, REFRESH_TOKEN_MS, REFRESHES_IN_GRACE_MAX,
    RegisteredClient, Result, Store, StoreError, TeamStore, UNUSED_CLIENT_KEPT_MS, UNUSED_CLIENT_MS,
    UNUSED_CLIENTS_MAX, UserStore,
};

/// Makes a `#[test]` of every rule of grants for the harness that `$make` makes.
#[macro_export]
macro_rules! grant_conformance_tests {
    ($make:expr) => {
        $crate::grant_conformance_tests! { $make;
            a_code_becomes_a_grant_once,
            a_code_is_for_one_client_address_verifier_and_resource,
            of_parallel_exchanges_one_succeeds_and_the_grant_ends,
            refresh_tokens_rotate_with_a_grace,
            a_used_refresh_token_makes_so_many_and_no_more,
            a_refused_refresh_uses_nothing_up,
            parallel_refreshes_all_succeed,
            access_is_what_is_true_now,
            leaving_a_team_ends_its_grants,
            a_new_password_ends_grants,
            grants_are_revoked_for_every_process,
            tokens_are_taken_back,
            a_new_consent_stands_for_those_before_it,
            queries_are_counted_by_the_day,
            accounts_have_so_many_grants,
            accounts_have_so_many_codes,
            unused_clients_are_forgotten,
            unused_clients_are_bounded,
            what_is_over_is_forgotten,
        }
    };
    ($make:expr; $($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                $crate::conformance::grants::$name(&$make);
            }
        )*
    };
}

const CLIENT: &str = "https://app.example/client.json";
const RESOURCE: &str = "https://stats.example/mcp";
const REDIRECT: &str = "http://127.0.0.1/callback";

fn secret(n: u32) -> SecretDigest {
    SecretDigest::of(&n.to_le_bytes())
}

fn token(n: u32) -> KeyDigest {
    KeyDigest::from_bytes(*secret(n).as_bytes())
}

/// The tokens with the numbers `n` and `n + 1`.
fn tokens(n: u32) -> NewTokens {
    NewTokens { access: token(n), refresh: token(n + 1) }
}

fn grant_id(n: u32) -> GrantId {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&n.to_le_bytes());
    GrantId::from_random_bytes(bytes)
}

fn some_scopes() -> ToolScopes {
    ToolScopes::everywhere(AccessLevel::Read).with(ToolCategory::Management, AccessLevel::Write)
}

fn consent(user_id: UserId, team_id: TeamId) -> Consent {
    let client = GrantClient {
        id: CLIENT.to_owned(),
        name: "App".to_owned(),
        host: Some("app.example".to_owned()),
        redirect_host: "127.0.0.1".to_owned(),
        may_refresh: true,
    };
    Consent { user_id, team_id, client, scopes: some_scopes(), resource: RESOURCE.to_owned() }
}

fn exchange() -> Exchange<'static> {
    Exchange { client_id: CLIENT, resource: Some(RESOURCE) }
}

fn code(store: &impl GrantStore, n: u32, consent: &Consent, now: Timestamp) {
    let code = NewCode {
        digest: secret(n),
        consent: consent.clone(),
        redirect_uri: REDIRECT.to_owned(),
        challenge: secret(999),
    };
    store.create_code(&code, now).unwrap();
}

fn redeem(store: &impl GrantStore, n: u32, now: Timestamp) -> Result<Issued, ExchangeRefusal> {
    store.redeem_code(&secret(n), exchange(), Some(REDIRECT), &secret(999), grant_id(n), tokens(n + 1), now).unwrap()
}

fn refresh(store: &impl GrantStore, old: u32, new: u32, now: Timestamp) -> Result<Issued, ExchangeRefusal> {
    store.refresh_grant(&token(old), exchange(), &|_| None, tokens(new), now).unwrap()
}

fn has_access(store: &impl GrantStore, n: u32, now: Timestamp) -> bool {
    store.access(&token(n), now).unwrap().is_some()
}

/// A store with a person in a team, who granted something: its tokens are 11 and 12.
fn granted<H: Harness<Store: GrantStore>>(harness: &H) -> (H::Store, UserId, TeamId) {
    let store = harness.open();
    let owner = user(&store, 1);
    let team = team(&store, 2, owner, Plan::Free);
    code(&store, 10, &consent(owner, team), NOW);
    redeem(&store, 10, NOW).unwrap();
    (store, owner, team)
}

/// Sabotage: do not note that a code was exchanged, leave the grant when it comes again, or end it for whoever has the code.
#[doc(hidden)]
pub fn a_code_becomes_a_grant_once<H: Harness<Store: GrantStore>>(harness: &H) {
    let (store, owner, team) = granted(harness);
    let later = NOW.plus_millis(5 * CODE_MS);
    let granted = store.grants_of(owner, later).unwrap();
    assert_eq!(granted.len(), 1);
    assert_eq!((granted[0].id, granted[0].consent.clone()), (grant_id(10), consent(owner, team)));
    assert_eq!((granted[0].created_at, granted[0].expires_at), (NOW, NOW.plus_millis(GRANT_MS)));
    assert!(has_access(&store, 11, later));
    // Who saw the code alone ends nothing.
    let stranger = |exchange: Exchange<'_>, redirect, verifier| {
        store
            .redeem_code(&secret(10), exchange, Some(redirect), &secret(verifier), grant_id(20), tokens(21), later)
            .unwrap()
    };
    let other_client = Exchange { client_id: "https://evil.example/client.json", ..exchange() };
    assert_eq!(stranger(other_client, REDIRECT, 999), Err(ExchangeRefusal::OtherClient));
    assert_eq!(stranger(exchange(), "http://127.0.0.1/other", 999), Err(ExchangeRefusal::OtherRedirect));
    assert_eq!(stranger(exchange(), REDIRECT, 998), Err(ExchangeRefusal::WrongVerifier));
    assert!(has_access(&store, 11, later));
    // Whoever shows it again with everything has a copy, also after it would have expired.
    assert_eq!(redeem(&store, 10, later), Err(ExchangeRefusal::Reused));
    assert!(!has_access(&store, 11, later));
    assert_eq!(refresh(&store, 12, 20, later), Err(ExchangeRefusal::Unknown));
    assert_eq!(store.grants_of(owner, later).unwrap(), []);
    assert_eq!(redeem(&store, 10, NOW.plus_millis(CODE_REMEMBERED_MS)), Err(ExchangeRefusal::Expired));
    assert_eq!(redeem(&store, 77, NOW), Err(ExchangeRefusal::Unknown));
    code(&store, 30, &consent(owner, team), NOW);
    assert_eq!(redeem(&store, 30, NOW.plus_millis(CODE_MS)), Err(ExchangeRefusal::Expired));
    redeem(&store, 30, NOW.plus_millis(CODE_MS - 1)).unwrap();
}

#[doc(hidden)]
pub fn a_code_is_for_one_client_address_verifier_and_resource<H: Harness<Store: GrantStore>>(harness: &H) {
    let (store, owner, team) = granted(harness);
    code(&store, 20, &consent(owner, team), NOW);
    let redeem = |exchange: Exchange<'_>, redirect: &'static str, verifier: u32| {
        store
            .redeem_code(&secret(20), exchange, Some(redirect), &secret(verifier), grant_id(20), tokens(21), NOW)
            .unwrap()
    };
    let other_client = Exchange { client_id: "https://evil.example/client.json", ..exchange() };
    let other_resource = Exchange { resource: Some("https://evil.example/mcp"), ..exchange() };
    assert_eq!(redeem(other_client, REDIRECT, 999), Err(ExchangeRefusal::OtherClient));
    assert_eq!(redeem(other_resource, REDIRECT, 999), Err(ExchangeRefusal::OtherResource));
    assert_eq!(redeem(exchange(), "http://127.0.0.1/callback/", 999), Err(ExchangeRefusal::OtherRedirect));
    assert_eq!(redeem(exchange(), REDIRECT, 998), Err(ExchangeRefusal::WrongVerifier));
    assert_eq!(store.grants_of(owner, NOW).unwrap().len(), 1, "nothing came of it");
    // None of that used it up: whoever may have it gets it.
    redeem(Exchange { resource: None, ..exchange() }, REDIRECT, 999).unwrap();
    let stranger = user(&store, 8);
    let refused = NewCode {
        digest: secret(40),
        consent: consent(stranger, team),
        redirect_uri: REDIRECT.to_owned(),
        challenge: secret(999),
    };
    assert!(matches!(store.create_code(&refused, NOW), Err(StoreError::NotFound("member"))));
}

/// Sabotage: look before the transaction begins.
#[doc(hidden)]
pub fn of_parallel_exchanges_one_succeeds_and_the_grant_ends<H>(harness: &H)
where
    H: Harness<Store: GrantStore>,
{
    let (store, owner, team) = granted(harness);
    code(&store, 50, &consent(owner, team), NOW);
    let stores = [Arc::new(store), Arc::new(harness.open())];
    let threads = (0..8_u32).map(|n| {
        let store = Arc::clone(&stores[n as usize % 2]);
        std::thread::spawn(move || {
            let (id, tokens) = (grant_id(100 + n), tokens(200 + 2 * n));
            store.redeem_code(&secret(50), exchange(), Some(REDIRECT), &secret(999), id, tokens, NOW).unwrap().is_ok()
        })
    });
    let threads: Vec<_> = threads.collect();
    let succeeded = threads.into_iter().map(|thread| thread.join().unwrap()).filter(|ok| *ok).count();
    assert_eq!(succeeded, 1);
    assert_eq!(stores[0].grants_of(owner, NOW).unwrap().len(), 1, "the one from before");
}

/// Sabotage: replace the grace by nothing or by forever, or leave the grant after it.
#[doc(hidden)]
pub fn refresh_tokens_rotate_with_a_grace<H: Harness<Store: GrantStore>>(harness: &H) {
    let (store, owner, _) = granted(harness);
    let first = NOW.plus_millis(ACCESS_TOKEN_MS);
    assert!(has_access(&store, 11, NOW.plus_millis(ACCESS_TOKEN_MS - 1)) && !has_access(&store, 11, first));
    let issued = refresh(&store, 12, 20, first).unwrap();
    assert_eq!((issued.scopes, issued.expires_at), (some_scopes(), first.plus_millis(ACCESS_TOKEN_MS)));
    assert!(has_access(&store, 20, first));
    // A part of the client that shares the token, or one that lost the answer, gets others beside.
    let within = first.plus_millis(REFRESH_GRACE_MS - 1);
    refresh(&store, 12, 30, within).unwrap();
    refresh(&store, 31, 40, within).unwrap();
    refresh(&store, 21, 50, within).unwrap();
    assert!([20, 30, 40, 50].into_iter().all(|n| has_access(&store, n, within)));
    assert_eq!(refresh(&store, 12, 60, first.plus_millis(REFRESH_GRACE_MS)), Err(ExchangeRefusal::Reused));
    assert!([20, 30, 40, 50].into_iter().all(|n| !has_access(&store, n, within)), "the whole family");
    assert_eq!(store.grants_of(owner, within).unwrap(), []);
    assert_eq!(refresh(&store, 51, 70, within), Err(ExchangeRefusal::Unknown));
}

/// Sabotage: count nothing, or end the grant.
#[doc(hidden)]
pub fn a_used_refresh_token_makes_so_many_and_no_more<H: Harness<Store: GrantStore>>(harness: &H) {
    let (store, ..) = granted(harness);
    let within = NOW.plus_millis(REFRESH_GRACE_MS - 1);
    for n in 0..REFRESHES_IN_GRACE_MAX {
        refresh(&store, 12, 100 + 2 * n, NOW).unwrap();
    }
    assert_eq!(refresh(&store, 12, 20, within), Err(ExchangeRefusal::UsedTooOften));
    // Whoever keeps the next one goes on.
    assert!(has_access(&store, 100, NOW));
    refresh(&store, 101, 30, within).unwrap();
    assert_eq!(refresh(&store, 12, 20, within), Err(ExchangeRefusal::UsedTooOften));
    let over = NOW.plus_millis(REFRESH_GRACE_MS);
    assert_eq!(refresh(&store, 12, 20, over), Err(ExchangeRefusal::Reused));
}

#[doc(hidden)]
pub fn a_refused_refresh_uses_nothing_up<H: Harness<Store: GrantStore>>(harness: &H) {
    let (store, owner, _) = granted(harness);
    let ask = |exchange: Exchange<'_>, scopes: Option<ToolScopes>, now: Timestamp| {
        store.refresh_grant(&token(12), exchange, &|_| scopes, tokens(20), now).unwrap()
    };
    let other_client = Exchange { client_id: "https://evil.example/client.json", ..exchange() };
    let other_resource = Exchange { resource: Some("https://evil.example/mcp"), ..exchange() };
    let more = some_scopes().with(ToolCategory::Settings, AccessLevel::Write);
    assert_eq!(ask(other_client, None, NOW), Err(ExchangeRefusal::OtherClient));
    assert_eq!(ask(other_resource, None, NOW), Err(ExchangeRefusal::OtherResource));
    assert_eq!(ask(exchange(), Some(more), NOW), Err(ExchangeRefusal::ScopeTooWide));
    assert_eq!(ask(exchange(), Some(ToolScopes::NONE), NOW), Err(ExchangeRefusal::ScopeTooWide));
    assert_eq!(ask(exchange(), None, NOW.plus_millis(REFRESH_TOKEN_MS)), Err(ExchangeRefusal::Expired));
    assert_eq!(
        store.refresh_grant(&token(11), exchange(), &|_| None, tokens(20), NOW).unwrap(),
        Err(ExchangeRefusal::Unknown)
    );
    // An hour later it is still the first use.
    let fewer = ToolScopes::NONE.with(ToolCategory::Analytics, AccessLevel::Read);
    let later = NOW.plus_millis(2 * REFRESH_GRACE_MS);
    assert_eq!(ask(exchange(), Some(fewer), later).unwrap().scopes, fewer);
    assert_eq!(store.access(&token(20), later).unwrap().unwrap().scopes, fewer);
    // The next one has all that was granted again.
    assert_eq!(refresh(&store, 21, 30, later).unwrap().scopes, some_scopes());
    assert_eq!(store.grants_of(owner, later).unwrap()[0].consent.scopes, some_scopes());
}

#[doc(hidden)]
pub fn parallel_refreshes_all_succeed<H: Harness<Store: GrantStore>>(harness: &H) {
    let (store, ..) = granted(harness);
    let stores = [Arc::new(store), Arc::new(harness.open())];
    let threads: Vec<_> = (0..8_u32)
        .map(|n| {
            let store = Arc::clone(&stores[n as usize % 2]);
            std::thread::spawn(move || refresh(&*store, 12, 300 + 2 * n, NOW).unwrap())
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!((0..8).all(|n| has_access(&*stores[0], 300 + 2 * n, NOW)));
}

#[doc(hidden)]
pub fn access_is_what_is_true_now<H: Harness<Store: GrantStore>>(harness: &H) {
    let (store, owner, team_id) = granted(harness);
    let now = |store: &H::Store| store.access(&token(11), NOW).unwrap().unwrap();
    let found = now(&store);
    assert_eq!(
        (found.user.id, found.team.team_id, found.team.plan, found.team.role),
        (owner, team_id, Plan::Free, Role::Owner)
    );
    assert_eq!((found.scopes, found.expires_at), (some_scopes(), NOW.plus_millis(ACCESS_TOKEN_MS)));
    // Another process changes the plan and the role.
    let other = harness.open();
    other.set_plan(team_id, Plan::Scale).unwrap();
    let second = user(&other, 5);
    other.add_member(team_id, second, Role::Owner, &PlanTable::default(), NOW).unwrap();
    other.add_member(team_id, owner, Role::Viewer, &PlanTable::default(), NOW).unwrap();
    assert_eq!((now(&store).team.plan, now(&store).team.role), (Plan::Scale, Role::Viewer));
    assert!(!has_access(&store, 12, NOW), "a refresh token opens nothing");
    assert!(!has_access(&store, 13, NOW));
    assert!(!has_access(&store, 11, NOW.plus_millis(GRANT_MS)));
}

/// Sabotage: let grants stand when the membership goes.
#[doc(hidden)]
pub fn leaving_a_team_ends_its_grants<H: Harness<Store: GrantStore>>(harness: &H) {
    let (store, owner, first) = granted(harness);
    let second = team(&store, 3, owner, Plan::Free);
    let third = team(&store, 4, owner, Plan::Free);
    let other = user(&store, 5);
    for (n, team) in [(20, second), (30, third)] {
        code(&store, n, &consent(owner, team), NOW);
        redeem(&store, n, NOW).unwrap();
    }
    code(&store, 40, &consent(owner, second), NOW);
    store.add_member(second, other, Role::Owner, &PlanTable::default(), NOW).unwrap();
    store.remove_member(second, owner, NOW).unwrap();
    assert_eq!(redeem(&store, 40, NOW), Err(ExchangeRefusal::Unknown), "a code on its way");
    store.delete_team(third, NOW).unwrap();
    assert!(has_access(&store, 11, NOW) && !has_access(&store, 21, NOW) && !has_access(&store, 31, NOW));
    let left: Vec<TeamId> = store.grants_of(owner, NOW).unwrap().iter().map(|grant| grant.consent.team_id).collect();
    assert_eq!(left, [first]);
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
}

#[doc(hidden)]
pub fn a_new_password_ends_grants<H: Harness<Store: GrantStore>>(harness: &H) {
    let (store, owner, team) = granted(harness);
    code(&store, 20, &consent(owner, team), NOW);
    store.set_password(owner, &PasswordHash::from_stored("$argon2id$new".to_owned())).unwrap();
    assert!(!has_access(&store, 11, NOW));
    assert_eq!(refresh(&store, 12, 30, NOW), Err(ExchangeRefusal::Unknown));
    assert_eq!(redeem(&store, 20, NOW), Err(ExchangeRefusal::Unknown));
}

#[doc(hidden)]
pub fn grants_are_revoked_for_every_process<H: Harness<Store: GrantStore>>(harness: &H) {
    let (store, owner, _) = granted(harness);
    let other = harness.open();
    let stranger = user(&store, 5);
    assert!(matches!(store.revoke_grant(stranger, grant_id(10)), Err(StoreError::NotFound("grant"))));
    assert!(has_access(&other, 11, NOW));
    store.revoke_grant(owner, grant_id(10)).unwrap();
    assert!(!has_access(&other, 11, NOW), "the next request");
    assert_eq!(refresh(&other, 12, 20, NOW), Err(ExchangeRefusal::Unknown));
    assert!(matches!(other.revoke_grant(owner, grant_id(10)), Err(StoreError::NotFound("grant"))));
}

#[doc(hidden)]
pub fn tokens_are_taken_back<H: Harness<Store: GrantStore>>(harness: &H) {
    let (store, owner, _) = granted(harness);
    for of_another in [11, 12] {
        let refused = store.revoke_token(&token(of_another), "https://evil.example/client.json", NOW).unwrap();
        assert_eq!(refused, Err(ExchangeRefusal::OtherClient));
    }
    assert_eq!(store.revoke_token(&token(77), CLIENT, NOW).unwrap(), Ok(None));
    assert!(has_access(&store, 11, NOW));
    assert_eq!(store.revoke_token(&token(11), CLIENT, NOW).unwrap(), Ok(None));
    assert!(!has_access(&store, 11, NOW));
    refresh(&store, 12, 20, NOW).unwrap();
    let taken = store.revoke_token(&token(21), CLIENT, NOW).unwrap().unwrap();
    assert_eq!(taken.map(|grant| grant.id), Some(grant_id(10)));
    assert!(!has_access(&store, 20, NOW));
    assert_eq!(store.grants_of(owner, NOW).unwrap(), []);
}

/// Sabotage: leave older grants or codes as they are, wait for the exchange, look at the client alone, or revoke without the codes.
#[doc(hidden)]
pub fn a_new_consent_stands_for_those_before_it<H: Harness<Store: GrantStore>>(harness: &H) {
    let (store, owner, first) = granted(harness);
    let other = team(&store, 3, owner, Plan::Free);
    let read = ToolScopes::everywhere(AccessLevel::Read);
    let of = |n: u32, at| store.access(&token(n), at).unwrap().map(|access| access.scopes);
    let consent_to = |team, scopes, registered: Option<&str>| {
        let mut consent = consent(owner, team);
        consent.scopes = scopes;
        if let Some(id) = registered {
            (consent.client.id, consent.client.host) = (id.to_owned(), None);
        }
        consent
    };
    let redeem_as = |n: u32, client_id: &str| {
        let exchange = Exchange { client_id, resource: Some(RESOURCE) };
        let (code, verifier) = (secret(n), secret(999));
        store.redeem_code(&code, exchange, Some(REDIRECT), &verifier, grant_id(n), tokens(n + 1), NOW).unwrap().unwrap()
    };
    let consents = |n: u32, consent: &Consent| {
        let code = NewCode::new(secret(n), consent.clone(), REDIRECT, secret(999));
        let mut ended: Vec<GrantId> = store.create_code(&code, NOW).unwrap().iter().map(|grant| grant.id).collect();
        ended.sort_unstable();
        ended
    };
    // Metadata that many installations have: the older one goes on, with no more than is allowed now.
    code(&store, 20, &consent_to(other, some_scopes(), None), NOW);
    redeem(&store, 20, NOW).unwrap();
    assert_eq!(of(11, NOW), Some(some_scopes()), "it was for another team");
    code(&store, 90, &consent_to(first, some_scopes(), None), NOW);
    code(&store, 30, &consent_to(first, read, None), NOW);
    assert_eq!(of(11, NOW), Some(read), "the person has said so, whether the code is exchanged or not");
    redeem(&store, 30, NOW).unwrap();
    assert_eq!((of(11, NOW), of(31, NOW), of(21, NOW)), (Some(read), Some(read), Some(some_scopes())));
    // An older code says no more than the newest consent, and one with which it has nothing in common is none.
    assert_eq!(redeem(&store, 90, NOW).unwrap().scopes, read);
    // It asks for as much as it was granted at first, again and again.
    for (old, new) in [(12, 40), (41, 50)] {
        let again = store.refresh_grant(&token(old), exchange(), &|_| Some(some_scopes()), tokens(new), NOW);
        assert_eq!(again.unwrap().map(|issued| issued.scopes), Ok(read));
        assert_eq!(of(new, NOW), Some(read));
    }
    // More for one is not more for the others; nothing in common ends them.
    code(&store, 60, &consent_to(first, some_scopes(), None), NOW);
    redeem(&store, 60, NOW).unwrap();
    assert_eq!((of(31, NOW), of(61, NOW)), (Some(read), Some(some_scopes())));
    let writes = ToolScopes::NONE.with(ToolCategory::Webhooks, AccessLevel::Write);
    code(&store, 68, &consent_to(first, read, None), NOW);
    let ended = consents(70, &consent_to(first, writes, None));
    assert_eq!(ended, [grant_id(10), grant_id(30), grant_id(60), grant_id(90)], "of which nothing is left");
    assert_eq!(redeem(&store, 68, NOW), Err(ExchangeRefusal::Unknown));
    redeem(&store, 70, NOW).unwrap();
    assert_eq!((of(31, NOW), of(61, NOW), of(71, NOW)), (None, None, Some(writes)));
    assert_eq!(refresh(&store, 32, 80, NOW), Err(ExchangeRefusal::Unknown));

    // An installation of its own: the older grant is the same one's.
    for (n, id, scopes, replaced) in [
        (100, "zvc_a", some_scopes(), None),
        (110, "zvc_b", some_scopes(), None),
        (120, "zvc_a", read, Some(grant_id(100))),
    ] {
        code(&store, n, &consent_to(first, scopes, Some(id)), NOW);
        let told: Vec<GrantId> = redeem_as(n, id).replaced.iter().map(|grant| grant.id).collect();
        assert_eq!(told, Vec::from_iter(replaced), "{n}");
    }
    assert_eq!((of(101, NOW), of(111, NOW), of(121, NOW)), (None, Some(some_scopes()), Some(read)));
    // Revoking takes along what was not exchanged yet, of this client, team and person.
    code(&store, 140, &consent_to(first, read, Some("zvc_c")), NOW);
    redeem_as(140, "zvc_c");
    code(&store, 150, &consent_to(first, read, Some("zvc_c")), NOW);
    code(&store, 160, &consent_to(other, read, Some("zvc_c")), NOW);
    store.revoke_grant(owner, grant_id(140)).unwrap();
    let exchange = Exchange { client_id: "zvc_c", resource: Some(RESOURCE) };
    let late = store.redeem_code(&secret(150), exchange, Some(REDIRECT), &secret(999), grant_id(150), tokens(151), NOW);
    assert_eq!(late.unwrap(), Err(ExchangeRefusal::Unknown));
    redeem_as(160, "zvc_c");
    let ids: Vec<GrantId> = store.grants_of(owner, NOW).unwrap().iter().map(|grant| grant.id).collect();
    assert!(!ids.contains(&grant_id(100)) && ids.contains(&grant_id(110)) && ids.contains(&grant_id(120)));
    assert!(ids.contains(&grant_id(20)), "the other team has its own");
    let theirs = user(&store, 4);
    store.add_member(first, theirs, Role::Viewer, &PlanTable::default(), NOW).unwrap();
    code(&store, 130, &Consent { user_id: theirs, ..consent_to(first, read, Some("zvc_b")) }, NOW);
    redeem_as(130, "zvc_b");
    assert_eq!(of(111, NOW), Some(some_scopes()), "somebody else's");
}

#[doc(hidden)]
pub fn queries_are_counted_by_the_day<H: Harness<Store: GrantStore>>(harness: &H) {
    let (store, owner, _) = granted(harness);
    let other = harness.open();
    let seen = |now| {
        let grant = store.grants_of(owner, now).unwrap().remove(0);
        (grant.queries_today, grant.last_used_at)
    };
    assert_eq!(seen(NOW), (0, None));
    // One that was refused.
    store.note_grant_call(grant_id(10), 0, NOW).unwrap();
    assert_eq!(seen(NOW), (0, Some(NOW)));
    for _ in 0..2 {
        store.note_grant_call(grant_id(10), 1, NOW).unwrap();
        other.note_grant_call(grant_id(10), 2, NOW.plus_millis(100)).unwrap();
    }
    assert_eq!(seen(NOW), (6, Some(NOW)), "to a minute");
    let evening = NOW.plus_millis(86_399_999);
    store.note_grant_call(grant_id(10), 1, evening).unwrap();
    assert_eq!(seen(evening), (7, Some(evening)));
    let next_day = NOW.plus_millis(86_400_000);
    assert_eq!(seen(next_day), (0, Some(evening)));
    store.note_grant_call(grant_id(10), 1, next_day).unwrap();
    assert_eq!(seen(next_day).0, 1);
    store.note_grant_call(grant_id(11), 1, NOW).unwrap();
}

#[doc(hidden)]
pub fn accounts_have_so_many_grants<H: Harness<Store: GrantStore>>(harness: &H) {
    let (store, owner, team) = granted(harness);
    store.note_grant_call(grant_id(10), 1, NOW.plus_millis(CODE_MS)).unwrap();
    for n in 1..=GRANTS_MAX as u32 {
        let at = NOW.plus_millis(i64::from(n));
        code(&store, 1_000 + 10 * n, &consent(owner, team), at);
        redeem(&store, 1_000 + 10 * n, at).unwrap();
    }
    let left = store.grants_of(owner, NOW).unwrap();
    assert_eq!(left.len(), GRANTS_MAX);
    assert!(left.iter().any(|grant| grant.id == grant_id(10)), "it was used last");
    assert!(left.iter().all(|grant| grant.id != grant_id(1_010)), "the oldest of the others");
}

/// Whoever presses Allow again and again fills no disk. Sabotage: count the codes of all accounts.
#[doc(hidden)]
pub fn accounts_have_so_many_codes<H: Harness<Store: GrantStore>>(harness: &H) {
    let (store, owner, team) = granted(harness);
    let other = user(&store, 2);
    store.add_member(team, other, Role::Viewer, &PlanTable::default(), NOW).unwrap();
    code(&store, 500_000, &consent(other, team), NOW);
    for n in 0..=CODES_MAX as u32 {
        code(&store, 1_000 + 10 * n, &consent(owner, team), NOW.plus_millis(i64::from(n)));
    }
    let at = NOW.plus_millis(1_000);
    assert_eq!(redeem(&store, 1_000, at), Err(ExchangeRefusal::Unknown), "the oldest");
    for n in [1_010, 1_000 + 10 * CODES_MAX as u32, 500_000] {
        assert!(redeem(&store, n, at).is_ok(), "{n}");
    }
}

fn client(n: u32, at: Timestamp) -> RegisteredClient {
    let redirects = vec![REDIRECT.to_owned(), "cursor://anysphere.cursor-mcp/oauth/callback".to_owned()];
    let mut client = RegisteredClient::new(format!("client-{n}"), "Cursor".to_owned(), redirects, secret(n), at);
    client.secret = Some(secret(n + 1));
    client.secret_in_header = n % 2 == 1;
    client
}

/// Sabotage: forget clients with a grant, or none.
#[doc(hidden)]
pub fn unused_clients_are_forgotten<H: Harness<Store: GrantStore>>(harness: &H) {
    let (store, owner, team) = granted(harness);
    for n in [1, 2, 3] {
        store.register_client(&client(n, NOW)).unwrap();
    }
    assert!(matches!(store.register_client(&client(1, NOW)), Err(StoreError::Conflict("client"))));
    assert_eq!(store.registered_client("client-1", NOW).unwrap(), Some(client(1, NOW)));
    let mut granted = consent(owner, team);
    granted.client.id = "client-2".to_owned();
    code(&store, 20, &granted, NOW);
    let exchange = Exchange { client_id: "client-2", ..exchange() };
    store
        .redeem_code(&secret(20), exchange, Some(REDIRECT), &secret(999), grant_id(20), tokens(21), NOW)
        .unwrap()
        .unwrap();
    let known = |now| [1, 2, 3].map(|n| store.registered_client(&format!("client-{n}"), now).unwrap().is_some());
    let next_day = NOW.plus_millis(UNUSED_CLIENT_MS);
    assert_eq!(known(NOW.plus_millis(UNUSED_CLIENT_MS - 1)), [true; 3]);
    assert_eq!(known(next_day), [false, true, false], "also before they are removed");
    store.forget_grants_that_are_over(next_day).unwrap();
    assert_eq!(known(NOW), [false, true, false]);
    assert!(store.delete_client("client-2").unwrap() && !store.delete_client("client-2").unwrap());
    assert!(!has_access(&store, 21, NOW));
}

/// Sabotage: make no room, or make it with those that have just come.
#[doc(hidden)]
pub fn unused_clients_are_bounded<H: Harness<Store: GrantStore>>(harness: &H) {
    let store = harness.open();
    let most = UNUSED_CLIENTS_MAX as u32;
    for n in 0..most {
        store.register_client(&client(n, NOW.plus_millis(i64::from(n)))).unwrap();
    }
    let soon = NOW.plus_millis(UNUSED_CLIENT_KEPT_MS - 1);
    assert!(matches!(store.register_client(&client(most, soon)), Err(StoreError::Conflict("client"))));
    let later = NOW.plus_millis(UNUSED_CLIENT_KEPT_MS);
    store.register_client(&client(most, later)).unwrap();
    assert_eq!(store.registered_client("client-0", later).unwrap(), None);
    assert!(store.registered_client("client-1", later).unwrap().is_some());
}

#[doc(hidden)]
pub fn what_is_over_is_forgotten<H: Harness<Store: GrantStore>>(harness: &H) {
    let (store, owner, _) = granted(harness);
    store.forget_grants_that_are_over(NOW.plus_millis(REFRESH_TOKEN_MS - 1)).unwrap();
    assert_eq!(store.grants_of(owner, NOW).unwrap().len(), 1, "it can be refreshed");
    assert_eq!(redeem(&store, 10, NOW), Err(ExchangeRefusal::Unknown), "the code is forgotten");
    store.forget_grants_that_are_over(NOW.plus_millis(REFRESH_TOKEN_MS)).unwrap();
    assert_eq!(store.grants_of(owner, NOW).unwrap(), [], "nothing can use it");
}
