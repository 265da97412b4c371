//! The SQLite store: the suite that every store passes, and what only several processes on one file show.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

#[path = "common/metadata.rs"]
mod metadata;

use std::sync::Arc;

use metadata::metadata_tests;
use zenovay_auth::{ApiKeyToken, KeyFormat, KeyKind, PasswordHash};
use zenovay_domain::{KeyId, Plan, PlanTable, Role, Scopes, TeamId, Timestamp, TrackingCode, UserId, WebsiteId};
use zenovay_store::conformance::Harness;
use zenovay_store::{
    AuditStore, CachedDirectory, Charge, KeyStore, NewAuditEntry, NewKey, NewWebsite, ProfileStore, SecondFactorStore,
    SqliteStore, Store, StoreError, Team, TeamStore, UsageStore, User, UserStore, WebsiteStore,
    assistant_conformance_tests, conformance_tests, grant_conformance_tests,
};

const NOW: Timestamp = Timestamp::from_millis(1_781_308_800_000);

/// A store whose directory lives as long as the returned guard.
fn open(dir: &tempfile::TempDir) -> SqliteStore {
    SqliteStore::open(dir.path().join("zenovay.db")).unwrap()
}

struct Fixture {
    dir: tempfile::TempDir,
    store: Arc<SqliteStore>,
    website: WebsiteId,
    key: KeyId,
    token: ApiKeyToken,
}

/// A Pro team of two with a website, and a personal key of the second member.
fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&dir));
    let users = [1, 2].map(|n| {
        let id = UserId::from_random_bytes([n; 16]);
        let password_hash = PasswordHash::from_stored(String::new());
        store.create_user(&User::new(id, format!("p{n}@example.com"), "P", password_hash, NOW)).unwrap();
        id
    });
    let team = TeamId::from_random_bytes([1; 16]);
    store.create_team(&Team::new(team, "Team", Plan::Pro, NOW), users[0]).unwrap();
    store.add_member(team, users[1], Role::Editor, &PlanTable::default(), NOW).unwrap();
    let website = WebsiteId::from_random_bytes([1; 16]);
    let code = TrackingCode::from_random_bytes([1; 11]);
    let new = NewWebsite::new(website, team, "example.com", code);
    store.create_website(&new, &PlanTable::default(), NOW).unwrap();
    let token = KeyFormat::ZENOVAY.generate_with(&mut rand::rng());
    let key = KeyId::from_random_bytes([1; 16]);
    let new = NewKey::new(key, &token, KeyKind::Personal(users[1]), "reports", Scopes::FULL_ACCESS);
    store.create_key(&new, NOW).unwrap();
    Fixture { dir, store, website, key, token }
}

struct Sqlite {
    dir: tempfile::TempDir,
}

impl Sqlite {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }
}

impl Harness for Sqlite {
    type Store = SqliteStore;

    fn open(&self) -> SqliteStore {
        open(&self.dir)
    }
}

conformance_tests!(Sqlite::new());
grant_conformance_tests!(Sqlite::new());
assistant_conformance_tests!(Sqlite::new());
metadata_tests!(Sqlite::new());

/// What is on disk holds the digest and the prefix, never the key.
#[test]
fn the_key_is_in_no_file() {
    let f = fixture();
    let secret = f.token.expose().as_bytes()[7..].to_vec();
    let mut bytes = 0;
    for entry in std::fs::read_dir(f.dir.path()).unwrap() {
        let content = std::fs::read(entry.unwrap().path()).unwrap();
        bytes += content.len();
        assert!(!content.windows(secret.len()).any(|part| part == secret));
    }
    assert!(bytes > 4_096);
}

/// Sabotage: let SQLite keep what was deleted in free pages, or in its log.
#[test]
fn nothing_of_a_deleted_account_is_in_any_file() {
    let Fixture { dir, store, .. } = fixture();
    let id = UserId::from_random_bytes([9; 16]);
    let hash = PasswordHash::from_stored("hash-of-somebody".to_owned());
    store.create_user(&User::new(id, "somebody@gone.example", "Some Body", hash, NOW)).unwrap();
    store.prepare_codes(id, b"secret-of-somebody").unwrap();
    let mut entry = NewAuditEntry::new(NOW, "somebody@gone.example", "account.edit", "account", "{}");
    entry.user_id = Some(id);
    store.record_audit(&entry).unwrap();
    let is_there = |text: &str| {
        let mut files = std::fs::read_dir(dir.path()).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
        files.any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    };
    let all = ["somebody@gone.example", "Some Body", "hash-of-somebody", "secret-of-somebody"];
    assert!(all.iter().all(|text| is_there(text)));
    store.delete_account(id).unwrap();
    for text in all {
        assert!(!is_there(text), "{text} while the store is open");
    }
    drop(store);
    for text in all {
        assert!(!is_there(text), "{text} after it");
    }
}

/// What a killed process leaves is what the files hold at that moment, so a copy of them, taken while the
/// store is open and has flushed nothing on its own, must hold every counted request. Sabotage: count in memory and write
/// once a second.
#[test]
fn counted_requests_are_in_the_files_when_the_answer_is_given() {
    let f = fixture();
    for n in 1..=25_u64 {
        assert!(matches!(f.store.charge_request(f.key, 100, NOW).unwrap(), Charge::Counted(_)));
        f.store.record_accepted_events(f.key, 2, NOW).unwrap();
        let left = tempfile::tempdir().unwrap();
        for name in ["zenovay.db", "zenovay.db-wal"] {
            std::fs::copy(f.dir.path().join(name), left.path().join(name)).unwrap();
        }
        let after = open(&left);
        assert_eq!(after.usage(f.key, NOW).unwrap().monthly_used, n);
        let activity = after.activity(f.key, NOW).unwrap().last_24_hours;
        assert_eq!((activity.requests, activity.accepted_events), (n, 2 * n));
    }
}

/// A damaged row is an error that names it, never "not found" and never a smaller answer.
#[test]
fn a_damaged_row_is_named() {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    let f = fixture();
    let path = f.dir.path().join("zenovay.db");
    let mut raw = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    raw.batch_execute("UPDATE websites SET settings = '{'; UPDATE api_keys SET scopes = 'root'").unwrap();
    let error = f.store.website(f.website).unwrap_err();
    assert_eq!(error.to_string(), format!("the row {} of table websites holds no valid settings", f.website));
    let error = f.store.credential(&f.token.digest()).unwrap_err();
    assert!(matches!(error, StoreError::Decode { table: "api_keys", column: "scopes", .. }), "{error}");
}

/// The version moves by triggers, so it does not matter which program writes.
#[test]
fn changes_by_the_sqlite_shell_are_seen_too() {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    let f = fixture();
    let directory = CachedDirectory::new(Arc::clone(&f.store) as Arc<dyn Store>);
    assert!(!directory.credential(&f.token.digest()).unwrap().unwrap().revoked);
    let path = f.dir.path().join("zenovay.db");
    let mut raw = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    raw.batch_execute("UPDATE api_keys SET revoked_at = 1").unwrap();
    assert!(directory.credential(&f.token.digest()).unwrap().unwrap().revoked);
}

/// Sabotage: read the files of an open database through a handle of one's own.
#[cfg(target_os = "linux")]
#[test]
fn a_store_that_is_closed_leaves_no_file_open() {
    let f = fixture();
    let directory = CachedDirectory::new(Arc::clone(&f.store) as Arc<dyn Store>);
    assert!(directory.website_of_hit(&TrackingCode::from_random_bytes([1; 11]), NOW).unwrap().is_some());
    let open_files = || {
        let links = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| entry.ok()?.path().read_link().ok());
        links.filter(|file| file.starts_with(f.dir.path())).collect::<Vec<_>>()
    };
    assert!(!open_files().is_empty());
    drop((directory, f.store));
    assert_eq!(open_files(), Vec::<std::path::PathBuf>::new());
}

/// Sabotage: keep a handle for each database that was ever open.
#[cfg(target_os = "linux")]
#[test]
fn two_thousand_stores_leave_no_file_open() {
    let dir = tempfile::tempdir().unwrap();
    let (first, reserve) = (dir.path().join("first.db"), dir.path().join("first.db-reserve"));
    drop(SqliteStore::open(&first).unwrap());
    for n in 0..2_000 {
        // Each is a database of its own. Copied: what is tried is opening, not writing the schema and the reserve anew.
        let path = dir.path().join(format!("{n}.db"));
        std::fs::copy(&first, &path).unwrap();
        std::fs::hard_link(&reserve, dir.path().join(format!("{n}.db-reserve"))).unwrap();
        assert!(!SqliteStore::open(&path).unwrap().has_users().unwrap(), "store {n}");
        std::fs::remove_file(&path).unwrap();
    }
    let links = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| entry.ok()?.path().read_link().ok());
    assert_eq!(links.filter(|file| file.starts_with(dir.path())).count(), 0);
}

/// Sabotage: let each pool have threads of its own.
#[cfg(target_os = "linux")]
#[test]
fn stores_that_are_open_share_one_thread() {
    let stores: Vec<SqliteStore> = (0..20).map(|_| SqliteStore::in_memory().unwrap()).collect();
    assert!(stores.iter().all(|store| !store.has_users().unwrap()));
    let names = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let openers = names.filter(|name| name.contains("opener") || name.contains("r2d2")).count();
    // One more is about to end where the last store of another test was just closed.
    assert!((1..=2).contains(&openers), "{openers}");
}
