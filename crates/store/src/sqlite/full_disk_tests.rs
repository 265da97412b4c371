//! Counting goes on when the disk is full.

use diesel::connection::SimpleConnection;
use zenovay_auth::{KeyFormat, KeyKind, PasswordHash};
use zenovay_domain::{KeyId, Plan, Scopes, TeamId, Timestamp, UserId};

use super::SqliteStore;
use crate::{
    AssistantAccount, AssistantCharge, AssistantStore, AssistantUsage, Charge, KeyStore, NewKey, Team, TeamStore,
    UsageStore, User, UserStore,
};

const HOUR_MS: i64 = 3_600_000;
/// 2026-06-13T12:00:00Z
const NOON: Timestamp = Timestamp::from_millis(1_781_352_000_000);
const MIDNIGHT: Timestamp = Timestamp::from_millis(1_781_395_200_000);

/// SQLite ends a transaction by itself when it finds no room in the middle of it. Sabotage: pass on that it could not be
/// ended again.
#[test]
fn requests_pass_and_are_counted_when_a_transaction_finds_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("zenovay.db")).unwrap();
    let (user, id) = (UserId::from_random_bytes([1; 16]), KeyId::from_random_bytes([1; 16]));
    let start = Timestamp::from_millis(1_781_308_800_000);
    let password_hash = PasswordHash::from_stored(String::new());
    store.create_user(&User::new(user, "a@example.com", "A", password_hash, start)).unwrap();
    let team = TeamId::from_random_bytes([1; 16]);
    store.create_team(&Team::new(team, "Team", Plan::Pro, start), user).unwrap();
    let token = KeyFormat::ZENOVAY.generate_with(&mut rand::rng());
    let new = NewKey::new(id, &token, KeyKind::Personal(user), "reports", Scopes::FULL_ACCESS);
    store.create_key(&new, start).unwrap();
    let allow_pages = |pages: u32| {
        let pragma = format!("PRAGMA max_page_count = {pages}");
        store.shared.counting.lock().batch_execute(&pragma).unwrap();
    };
    let charge = |hour: i64| {
        // Each hour has a row of its own; all are of one month.
        let charged = store.charge_request(id, 1_000_000, start.plus_millis(hour * HOUR_MS));
        assert!(matches!(charged, Ok(Charge::Counted(_))), "hour {hour}: {charged:?}");
        !store.owed().requests.lock().is_empty()
    };
    // No page more than there are.
    allow_pages(1);
    let full_at = (0..400).find(|hour| charge(*hour)).expect("room for a few hours only");
    assert!((full_at + 1..full_at + 10).all(charge), "still no room");
    allow_pages(1_000_000);
    assert!(!charge(full_at + 10), "what was owed is written");
    let requests = u64::try_from(full_at + 11).unwrap();
    assert_eq!(store.usage(id, start.plus_millis(400 * HOUR_MS)).unwrap().total_used, requests);
}

/// SQLite says so when a page more is needed than there may be. Sabotage: pass the error on, or forget what was asked.
#[test]
fn questions_pass_and_are_counted_when_the_disk_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("zenovay.db")).unwrap();
    let person = |n: u32| {
        let mut bytes = [1; 16];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        AssistantAccount::Person(UserId::from_random_bytes(bytes))
    };
    let allow_pages = |pages: u32| {
        let pragma = format!("PRAGMA max_page_count = {pages}");
        store.shared.counting.lock().batch_execute(&pragma).unwrap();
    };
    let ask = |n, limit| store.charge_assistant(person(n), Plan::Free, 3, Some(limit), NOON).unwrap();
    let owes = |n| store.owed().questions.lock().contains_key(&(person(n).to_string(), Plan::Free));
    // No page more than there are: there is room for a few accounts only.
    allow_pages(1);
    let last = (0..10_000).find(|n| {
        assert_eq!(ask(*n, 10), AssistantCharge::Counted(AssistantUsage::new(3, MIDNIGHT)));
        owes(*n)
    });
    let last = last.expect("room for a few only");
    assert_eq!(ask(last, 10), AssistantCharge::Counted(AssistantUsage::new(6, MIDNIGHT)));
    assert_eq!(ask(last, 8), AssistantCharge::Exhausted(AssistantUsage::new(6, MIDNIGHT)), "the limit holds");
    allow_pages(1_000_000);
    assert_eq!(ask(last, 8), AssistantCharge::Exhausted(AssistantUsage::new(6, MIDNIGHT)));
    assert_eq!(ask(last, 10), AssistantCharge::Counted(AssistantUsage::new(9, MIDNIGHT)));
    assert!(!owes(last), "what was owed is written");
    assert_eq!(store.assistant_usage(person(last), Plan::Free, NOON).unwrap().used, 9);
}
