//! The SQLite store: the suite that every store passes, and what only several processes on one file show.

use std::sync::Arc;

use zenovay_auth::{Action, ApiKeyToken, Denial, KeyKind, PasswordHash, Principal, Target, decide};
use zenovay_domain::{
    KeyId, KeyPolicy, Plan, PlanTable, Role, Scopes, TeamId, Timestamp, TrackingCode, UserId, WebsiteId,
    WebsiteSettings,
};
use zenovay_store::{
    CachedDirectory, Charge, KeyStore, NewKey, NewWebsite, SqliteStore, StoreError, Team, TeamStore, UsageStore, User,
    UserStore, WebsiteStore, conformance,
};

const NOW: Timestamp = Timestamp::from_millis(1_781_308_800_000);

/// A store whose directory lives as long as the returned guard.
fn open(dir: &tempfile::TempDir) -> SqliteStore {
    SqliteStore::open(&dir.path().join("zenovay.db")).unwrap()
}

struct Fixture {
    dir: tempfile::TempDir,
    store: Arc<SqliteStore>,
    owner: UserId,
    member: UserId,
    team: TeamId,
    website: WebsiteId,
    code: TrackingCode,
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
        let (email, name) = (format!("p{n}@example.com"), format!("P {n}"));
        store.create_user(&User { id, email, name, password_hash, created_at: NOW }).unwrap();
        id
    });
    let team = TeamId::from_random_bytes([1; 16]);
    let new =
        Team { id: team, name: "Team".to_owned(), plan: Plan::Pro, key_policy: KeyPolicy::AllMembers, created_at: NOW };
    store.create_team(&new, users[0]).unwrap();
    store.add_member(team, users[1], Role::Editor, &PlanTable::default(), NOW).unwrap();
    let website = WebsiteId::from_random_bytes([1; 16]);
    let code = TrackingCode::from_random_bytes([1; 11]);
    let new = NewWebsite {
        id: website,
        team_id: team,
        user_id: Some(users[0]),
        domain: "example.com".to_owned(),
        name: "Example".to_owned(),
        tracking_code: code.clone(),
        settings: WebsiteSettings::default(),
    };
    store.create_website(&new, &PlanTable::default(), NOW).unwrap();
    let token = ApiKeyToken::generate(&mut rand::rng());
    let key = KeyId::from_random_bytes([1; 16]);
    let new = NewKey {
        id: key,
        token: &token,
        kind: KeyKind::Personal(users[1]),
        created_by: None,
        name: "reports",
        scopes: Scopes::FULL_ACCESS,
        team_ids: None,
        website_ids: None,
    };
    store.create_key(&new, NOW).unwrap();
    Fixture { dir, store, owner: users[0], member: users[1], team, website, code, key, token }
}

#[test]
fn it_passes_the_suite_of_all_stores() {
    let dirs = std::cell::RefCell::new(Vec::new());
    conformance::all(|| {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        dirs.borrow_mut().push(dir);
        store
    });
}

/// SECURITY A7. Sabotage: keep the cached answer for a second.
#[test]
fn a_change_by_another_store_on_the_same_file_is_seen_by_the_next_look_up() {
    let f = fixture();
    let directory = CachedDirectory::new(Arc::clone(&f.store));
    let other = open(&f.dir);
    let plans = PlanTable::default();
    let target = Target::Website { id: f.website, team_id: f.team };
    let decision = || {
        let credential = directory.credential(&f.token.digest()).unwrap().unwrap();
        decide(Principal::Key(&credential), Action::ReadAnalytics, &target, &plans).map(|()| credential.plan())
    };
    for _ in 0..2 {
        assert_eq!(decision(), Ok(Some(Plan::Pro)));
    }
    other.set_plan(f.team, Plan::Free).unwrap();
    assert_eq!(decision(), Err(Denial::PlanRequired));
    other.set_plan(f.team, Plan::Scale).unwrap();
    assert_eq!(decision(), Ok(Some(Plan::Scale)));
    other.remove_member(f.team, f.member, NOW).unwrap();
    assert_eq!(decision(), Err(Denial::MembershipLost));
    other.add_member(f.team, f.member, Role::Viewer, &plans, NOW).unwrap();
    assert_eq!(decision(), Ok(Some(Plan::Scale)));
    other.revoke_key(f.key, NOW).unwrap();
    assert_eq!(decision(), Err(Denial::Revoked));

    assert!(directory.website_by_code(&f.code).unwrap().unwrap().settings.is_active);
    assert!(directory.website(f.website).unwrap().is_some());
    other
        .edit_website(f.website, &mut |website| {
            website.settings.is_active = false;
            Ok(())
        })
        .unwrap();
    assert!(!directory.website_by_code(&f.code).unwrap().unwrap().settings.is_active);
    other.delete_website(f.website, NOW).unwrap();
    assert!(directory.website_by_code(&f.code).unwrap().is_none());
    assert!(directory.website(f.website).unwrap().is_none());
}

/// Sabotage: leave `changes` or the instant out of the comparison in `SqliteStore::momentary_version`.
#[test]
fn hits_of_one_millisecond_see_own_changes_and_those_of_the_next_see_all() {
    let f = fixture();
    let other = open(&f.dir);
    let directory = CachedDirectory::new(Arc::clone(&f.store));
    let is_active = |at| directory.website_of_hit(&f.code, at).unwrap().unwrap().settings.is_active;
    let set_active = |store: &SqliteStore, is_active| {
        let mut change = |website: &mut zenovay_domain::Website| {
            website.settings.is_active = is_active;
            Ok(())
        };
        store.edit_website(f.website, &mut change).unwrap();
    };
    assert!(is_active(NOW));
    set_active(&f.store, false);
    assert!(!is_active(NOW));
    set_active(&f.store, true);
    assert!(is_active(NOW));
    set_active(&other, false);
    assert!(!is_active(NOW.plus_millis(1)));
    set_active(&other, true);
    assert!(is_active(NOW), "a clock that was set back is another millisecond, too");
}

#[test]
fn two_stores_on_one_file_count_together() {
    let f = fixture();
    let other = open(&f.dir);
    let counted = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for store in [&*f.store, &other, &*f.store, &other] {
            scope.spawn(|| {
                for _ in 0..40 {
                    if matches!(store.charge_request(f.key, 100, NOW).unwrap(), Charge::Counted(_)) {
                        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(counted.into_inner(), 100);
    drop((other, f.store));
    assert_eq!(open(&f.dir).usage(f.key, NOW).unwrap().total_used, 100, "the count is in the file");
}

/// SECURITY A17.
#[test]
fn of_parallel_leaving_owners_one_stays() {
    let f = fixture();
    f.store.add_member(f.team, f.member, Role::Owner, &PlanTable::default(), NOW).unwrap();
    let other = open(&f.dir);
    let results = std::thread::scope(|scope| {
        let first = scope.spawn(|| f.store.remove_member(f.team, f.owner, NOW));
        let second = scope.spawn(|| other.remove_member(f.team, f.member, NOW));
        [first.join().unwrap(), second.join().unwrap()]
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert!(results.iter().any(|result| matches!(result, Err(StoreError::LastOwner))), "{results:?}");
}

/// SECURITY A21: what is on disk holds the digest and the prefix, never the key.
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

/// SECURITY L9: what a killed process leaves is what the files hold at that moment, so a copy of them, taken while the
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
    let directory = CachedDirectory::new(Arc::clone(&f.store));
    assert!(!directory.credential(&f.token.digest()).unwrap().unwrap().revoked);
    let path = f.dir.path().join("zenovay.db");
    let mut raw = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    raw.batch_execute("UPDATE api_keys SET revoked_at = 1").unwrap();
    assert!(directory.credential(&f.token.digest()).unwrap().unwrap().revoked);
}
