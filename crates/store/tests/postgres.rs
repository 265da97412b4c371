//! The PostgreSQL store on a real server: the suite that every store passes, and what only many connections show.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

#[path = "common/any_call.rs"]
mod any_call;
#[path = "common/faults.rs"]
#[allow(dead_code, reason = "the tests of the program use the rest")]
mod faults;
#[path = "common/metadata.rs"]
mod metadata;
#[path = "common/postgres.rs"]
#[allow(dead_code, reason = "the tests of the program use the rest")]
mod postgres;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use faults::{Behind, Fault, FaultyProxy};
use metadata::metadata_tests;
use proptest::prelude::*;
use zenovay_auth::{KeyFormat, KeyKind, PasswordHash, SecretDigest};
use zenovay_domain::{
    Goal, GoalId, GoalTarget, InvitationId, KeyId, Plan, PlanTable, Role, Scopes, ShareId, TeamId, Timestamp,
    TrackingCode, UserId, WebsiteId,
};
use zenovay_store::conformance::Harness;
use zenovay_store::{
    ActingStore, CachedDirectory, Charge, CopyError, DataVersion, GoalStore, KeyStore, LinkPurpose, MembershipStore,
    Metadata, NewInvitation, NewKey, NewWebsite, PostgresSnapshot, PostgresStore, Result, ServerClaim, Share,
    ShareStore, SignInStore, SqliteStore, Standing, Store, StoreError, Team, TeamStore, UsageStore, User, UserStore,
    WebsiteStore, assistant_conformance_tests, conformance_tests, copy_to_postgres, grant_conformance_tests,
};

/// The lock of changes, as in `src/postgres/mod.rs`.
const LOCK: i64 = 0x007a_656e_6f76_6179;

const NOW: Timestamp = Timestamp::from_millis(1_781_308_800_000);

struct Postgres {
    url: String,
}

impl Postgres {
    fn new() -> Self {
        Self { url: postgres::database() }
    }
}

impl Harness for Postgres {
    type Store = PostgresStore;

    fn open(&self) -> PostgresStore {
        PostgresStore::open(&self.url).unwrap()
    }
}

conformance_tests!(Postgres::new());
grant_conformance_tests!(Postgres::new());
assistant_conformance_tests!(Postgres::new());
metadata_tests!(Postgres::new());

/// One store for all cases: what one leaves behind, the next ones meet.
static STORE: LazyLock<Arc<dyn Metadata>> = LazyLock::new(|| Arc::new(Postgres::new().open()));

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Sabotage: let a sum be greater than the greatest number, or text with U+0000 be a server that is not available.
    #[test]
    fn any_call_is_done_or_refused_and_leaves_a_store_that_can_be_read(
        calls in prop::collection::vec(any_call::call(), 1..24), now in any_call::time(),
    ) {
        any_call::hold(&STORE, &calls, now)?;
    }
}

#[derive(QueryableByName, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Column {
    #[diesel(sql_type = Text)]
    place: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Bool)]
    may_be_null: bool,
}

#[derive(QueryableByName, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// But for what only several nodes need, which are not to be had with SQLite.
///
/// Sabotage: leave a column, an index or a trigger out of one of the two.
#[test]
fn the_schema_is_that_of_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("zenovay.db");
    drop(SqliteStore::open(&path).unwrap());
    let mut sqlite = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    let mut postgres = postgres::connect(&postgres::database());

    let columns = "SELECT m.name || '.' || c.name AS place, lower(c.type) AS kind, c.\"notnull\" = 0 AS may_be_null
        FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\'
        AND m.name NOT LIKE 'sqlite%'";
    let expected: BTreeSet<Column> = diesel::sql_query(columns).load(&mut sqlite).unwrap().into_iter().collect();
    let columns = "SELECT table_name || '.' || column_name AS place,
        CASE WHEN is_identity = 'YES' THEN 'integer' WHEN data_type = 'bytea' THEN 'blob' ELSE data_type END AS kind,
        is_nullable = 'YES' AS may_be_null
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_%'
        AND table_name NOT LIKE 'cluster\\_%'";
    let found: BTreeSet<Column> = diesel::sql_query(columns).load(&mut postgres).unwrap().into_iter().collect();
    assert!(expected.len() > 100, "{}", expected.len());
    let differ: Vec<&Column> = expected.symmetric_difference(&found).collect();
    assert!(differ.is_empty(), "{differ:?}");

    let names = "SELECT name FROM sqlite_schema WHERE type IN ('index', 'trigger') AND name NOT LIKE 'sqlite%'";
    let expected: BTreeSet<Name> = diesel::sql_query(names).load(&mut sqlite).unwrap().into_iter().collect();
    let names = "SELECT indexname::text AS name FROM pg_indexes
        WHERE schemaname = 'public' AND indexname NOT IN (SELECT conname FROM pg_constraint) AND tablename NOT LIKE 'cluster\\_%'
        UNION SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal";
    let found: BTreeSet<Name> = diesel::sql_query(names).load(&mut postgres).unwrap().into_iter().collect();
    assert_eq!(expected, found);

    let folders = |back_end: &str| {
        let dir = format!("{}/migrations/{back_end}", env!("CARGO_MANIFEST_DIR"));
        let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        names.collect::<BTreeSet<_>>()
    };
    assert_eq!(folders("sqlite"), folders("postgres"));
}

/// Sabotage: bring the schema up to date without the lock.
#[test]
fn programs_that_start_together_make_one_schema() {
    let url = postgres::empty_database();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..6).map(|_| scope.spawn(|| PostgresStore::open(&url).map(drop))).collect();
        all.into_iter().for_each(|one| one.join().unwrap().unwrap());
    });
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000000')";
    postgres::connect(&url).batch_execute(newer).unwrap();
    let error = PostgresStore::open(&url).unwrap_err();
    assert!(matches!(&error, StoreError::NewerSchema(version) if version == "29991231000000"), "{error}");
}

/// Sabotage: leave something behind in a `down.sql`.
#[test]
fn migrations_go_down_and_up_again() {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let url = postgres::database();
    let mut raw = postgres::connect(&url);
    let mut folders: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    for folder in folders.iter().rev() {
        raw.batch_execute(&std::fs::read_to_string(folder.join("down.sql")).unwrap()).unwrap();
    }
    let ours = "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE '\\_\\_%')
        + (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace) AS count";
    assert_eq!(diesel::sql_query(ours).get_result::<Count>(&mut raw).unwrap().count, 0, "nothing of ours is left");
    raw.batch_execute("DELETE FROM __diesel_schema_migrations").unwrap();
    assert!(!PostgresStore::open(&url).unwrap().has_users().unwrap());
}

fn user(store: &PostgresStore, n: u8) -> UserId {
    let id = UserId::from_random_bytes([n; 16]);
    let hash = PasswordHash::from_stored(String::new());
    store.create_user(&User::new(id, format!("p{n}@example.com"), "P", hash, NOW)).unwrap();
    id
}

fn team(store: &PostgresStore, n: u8, owner: UserId, plan: Plan) -> TeamId {
    let id = TeamId::from_random_bytes([n; 16]);
    store.create_team(&Team::new(id, "Team", plan, NOW), owner).unwrap();
    id
}

/// Three stores over one database, as of three processes.
fn three() -> (Postgres, [PostgresStore; 3]) {
    let harness = Postgres::new();
    let stores = [harness.open(), harness.open(), harness.open()];
    (harness, stores)
}

/// Calls `one` twelve times at once, over three stores, and returns how many calls were done; the others were refused, and the
/// server was there all the time.
fn done_of_twelve<T>(stores: &[PostgresStore; 3], one: impl Fn(&PostgresStore, u8) -> Result<T> + Sync) -> usize {
    let start = std::sync::Barrier::new(12);
    let call = |n: u8| {
        start.wait();
        match one(&stores[usize::from(n) % 3], n) {
            Err(error @ StoreError::Unavailable(_)) => panic!("{error}: {:?}", std::error::Error::source(&error)),
            called => called.is_ok(),
        }
    };
    std::thread::scope(|scope| {
        let call = &call;
        let calls: Vec<_> = (0..12).map(|n| scope.spawn(move || call(n))).collect();
        calls.into_iter().map(|one| one.join().unwrap()).filter(|is_done| *is_done).count()
    })
}

/// What SQLite's one writer gives for nothing. Sabotage: begin changes without the lock, or hold it together with others.
#[test]
fn limits_and_names_hold_for_all_who_change_at_once() {
    let (_harness, stores) = three();
    let mut plans = PlanTable::default();
    (plans.limits_mut(Plan::Pro).websites, plans.limits_mut(Plan::Pro).members) = (Some(3), Some(4));
    let ann = user(&stores[0], 100);
    let team = team(&stores[0], 1, ann, Plan::Pro);

    let created = done_of_twelve(&stores, |store, n| {
        let code = TrackingCode::from_random_bytes([n; 11]);
        store.create_website(
            &NewWebsite::new(WebsiteId::from_random_bytes([n; 16]), team, "a.example", code),
            &plans,
            NOW,
        )
    });
    assert_eq!((created, stores[1].websites().unwrap().len()), (3, 3), "websites of the plan");

    let people: Vec<UserId> = (0..12).map(|n| user(&stores[0], n)).collect();
    let joined =
        done_of_twelve(&stores, |store, n| store.add_member(team, people[usize::from(n)], Role::Owner, &plans, NOW));
    let owners = stores[1].members(team).unwrap();
    assert_eq!((joined, owners.len()), (2, 3), "owners of a team");
    let joined =
        done_of_twelve(&stores, |store, n| store.add_member(team, people[usize::from(n)], Role::Viewer, &plans, NOW));
    assert_eq!(stores[1].members(team).unwrap().len(), 4, "members of the plan");
    assert!(joined >= 1);
    let left = done_of_twelve(&stores, |store, n| {
        let members = store.members(team)?;
        let owners: Vec<UserId> = members.iter().filter(|one| one.role == Role::Owner).map(|one| one.user_id).collect();
        store.remove_member(team, owners[usize::from(n) % owners.len()], NOW)
    });
    let owners = stores[1].members(team).unwrap().iter().filter(|one| one.role == Role::Owner).count();
    assert!((1..=3).contains(&owners) && left <= 3, "{owners} owners are left of {left} that went");

    let website = stores[0].websites().unwrap()[0].id;
    let named = done_of_twelve(&stores, |store, n| {
        let target = GoalTarget::Event { name: "bought".to_owned() };
        store.create_goal(&Goal::new(GoalId::from_random_bytes([n; 16]), website, "Buyers", target, NOW))
    });
    assert_eq!((named, stores[1].goals(website).unwrap().len()), (1, 1), "a name of a goal");

    let same = done_of_twelve(&stores, |store, n| {
        let hash = PasswordHash::from_stored(String::new());
        let id = UserId::from_random_bytes([n + 50; 16]);
        store.create_user(&User::new(id, "One@Example.com", "One", hash, NOW))
    });
    assert_eq!(same, 1, "accounts of one address");
}

/// Sabotage: look whether a link is there outside of the lock.
#[test]
fn what_works_once_works_once() {
    let (_harness, stores) = three();
    let ann = user(&stores[0], 100);
    let team = team(&stores[0], 1, ann, Plan::Enterprise);
    let people: Vec<UserId> = (0..12).map(|n| user(&stores[0], n)).collect();
    let secret = SecretDigest::from_bytes([7; 32]);
    let inviter = stores[0].user(ann).unwrap().unwrap().email;
    let later = NOW.plus_millis(1_000_000);
    let id = InvitationId::from_random_bytes([1; 16]);
    stores[0].create_invitation(&NewInvitation::new(id, team, secret, Role::Viewer, &inviter, later), NOW).unwrap();
    let accepted = done_of_twelve(&stores, |store, n| {
        let accepted = store.accept_invitation(&secret, people[usize::from(n)], &PlanTable::default(), NOW)?;
        accepted.ok_or(StoreError::NotFound("invitation"))
    });
    assert_eq!((accepted, stores[1].members(team).unwrap().len()), (1, 2));

    stores[0].create_link(ann, LinkPurpose::SignIn, &secret, NOW, later).unwrap();
    let signed_in =
        done_of_twelve(&stores, |store, _| store.use_sign_in_link(&secret, NOW)?.ok_or(StoreError::NotFound("link")));
    assert_eq!(signed_in, 1);
}

/// A change that was allowed a moment ago is refused when what allowed it ends first, in whichever process. Sabotage: look at it
/// before the lock is there.
#[test]
fn whoever_may_not_any_more_changes_nothing() {
    let (_harness, stores) = three();
    let (ann, bob) = (user(&stores[0], 100), user(&stores[0], 101));
    let team = team(&stores[0], 1, ann, Plan::Enterprise);
    for round in 0..10 {
        stores[0].add_member(team, bob, Role::Admin, &PlanTable::default(), NOW).unwrap();
        stores[0].rename_team(team, "before").unwrap();
        let start = std::sync::Barrier::new(2);
        let was_renamed = std::thread::scope(|scope| {
            let acting = scope.spawn(|| {
                let mut standing = Standing::default();
                standing.member = Some((team, bob, Role::Admin));
                let store = stores[1].on_behalf_of(standing);
                start.wait();
                store.rename_team(team, "after")
            });
            start.wait();
            stores[2].remove_member(team, bob, NOW).unwrap();
            let name_then = stores[2].team(team).unwrap().unwrap().name;
            (acting.join().unwrap(), name_then)
        });
        let (renamed, name_then) = was_renamed;
        let name = stores[0].team(team).unwrap().unwrap().name;
        assert_eq!(name, name_then, "round {round}: nothing is changed after the membership ended");
        assert_eq!(renamed.is_ok(), name == "after", "round {round}");
    }
}

/// Sabotage: count with what was read before, or let two that change and count wait for each other.
#[test]
fn requests_are_counted_exactly_while_keys_come_and_go() {
    let (_harness, stores) = three();
    let ann = user(&stores[0], 100);
    team(&stores[0], 1, ann, Plan::Enterprise);
    let key = |n: u8| {
        let token = KeyFormat::ZENOVAY.generate_with(&mut rand::rng());
        let id = KeyId::from_random_bytes([n; 16]);
        let new = NewKey::new(id, &token, KeyKind::Personal(ann), "k", Scopes::FULL_ACCESS);
        stores[0].create_key(&new, NOW).unwrap();
        id
    };
    let (counted, gone) = (key(1), key(2));
    let charged = std::sync::atomic::AtomicU64::new(0);
    let done = done_of_twelve(&stores, |store, n| {
        for round in 0..20 {
            if let Charge::Counted(_) = store.charge_request(counted, 100, NOW)? {
                charged.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            store.record_accepted_events(counted, 2, NOW)?;
            match (n, round) {
                (0, 10) => stores[0].revoke_key(gone, NOW)?,
                (0, _) => stores[0].rename_team(TeamId::from_random_bytes([9; 16]), "none").unwrap_or_default(),
                _ => {}
            }
        }
        Ok(())
    });
    assert_eq!((done, charged.into_inner()), (12, 100));
    let activity = stores[1].activity(counted, NOW).unwrap().last_24_hours;
    assert_eq!((activity.requests, activity.accepted_events), (100, 12 * 20 * 2));
}

/// Sabotage: lend connections without trying them.
#[test]
fn connections_that_were_lost_are_replaced() {
    let (harness, [store, ..]) = three();
    assert!(!store.has_users().unwrap());
    store.data_version().unwrap();
    let lose = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let mut other = postgres::connect(&harness.url);
    for n in 0..3 {
        other.batch_execute(lose).unwrap();
        user(&store, n);
        assert_eq!(store.users().unwrap().len(), usize::from(n) + 1);
        store.data_version().unwrap();
    }
}

/// Sabotage: wait for a connection, or for the lock, without an end.
#[test]
fn a_server_that_does_not_serve_is_told_after_a_bounded_wait() {
    let unavailable = |result: Result<()>| {
        let error = result.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(!cause.contains("secret-of-nobody"), "{cause}");
        cause
    };
    std::thread::scope(|scope| {
        // Somebody holds the lock for long: what changes ends with an error, and what reads does not wait.
        scope.spawn(|| {
            let harness = Postgres::new();
            let store = harness.open();
            let ann = user(&store, 1);
            let mut other = postgres::connect(&harness.url);
            other.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK})")).unwrap();
            unavailable(store.delete_user(ann));
            assert!(store.user(ann).unwrap().is_some());
            other.batch_execute("ROLLBACK").unwrap();
            store.delete_user(ann).unwrap();
        });
        // Nobody is let in any more.
        scope.spawn(|| {
            let harness = Postgres::new();
            let store = harness.open();
            let name = harness.url.split('/').nth(3).unwrap().split('?').next().unwrap();
            let mut other = postgres::connect(&harness.url.replace(name, "postgres"));
            let shut = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false");
            other.batch_execute(&shut).unwrap();
            let cause = unavailable(store.has_users().map(drop));
            assert!(cause.contains(name), "{cause}");
            other.batch_execute(&shut.replace("false", "true")).unwrap();
            // Most callers are refused at once until one tries.
            until(|| store.has_users().is_ok());
        });
    });
    let nowhere = PostgresStore::open("postgres://ann:secret-of-nobody@/z?host=/nonexistent").map(drop);
    assert!(unavailable(nowhere).contains("/nonexistent"));
}

/// What waits for a server that hangs and keeps its connections open ends in the time that is promised, and what comes after is told at
/// once; when the server is back everything goes on, also beside connections that never say anything again.
///
/// Sabotage: let no thread look at the time of a question, or try one connection that hangs after the other.
#[test]
fn a_server_that_hangs_holds_nobody() {
    let mut server = postgres::Server::start();
    let proxy = FaultyProxy::before(Behind::Unix(server.socket()));
    let through = format!("postgres://postgres@{}/postgres", proxy.address);
    // By a socket of the machine, whose server is stopped; by the network, which goes silent.
    let stores = [server.url(), through.clone()].map(|url| PostgresStore::open(&url).unwrap());
    let ann = user(&stores[0], 1);
    let mut claim = ServerClaim::new(&through).unwrap();
    assert_eq!(claim.hold().unwrap(), None);
    let in_time = |most: u64, what: &str, ask: &mut dyn FnMut() -> Result<()>| {
        let began = std::time::Instant::now();
        let error = ask().unwrap_err();
        let took = began.elapsed();
        assert!(matches!(error, StoreError::Unavailable(_)), "{what}: {error}");
        assert!(took.as_secs_f32() < most as f32 + 1.5, "{what}: {took:?}");
    };
    let hangs = |claim: &mut ServerClaim| {
        std::thread::scope(|scope| {
            for store in &stores {
                scope.spawn(|| {
                    // Each pool has a connection that was used and hangs.
                    in_time(2, "version", &mut || store.data_version().map(drop));
                    in_time(1, "version again", &mut || store.data_version().map(drop));
                });
                scope.spawn(|| in_time(2, "reading", &mut || store.user(ann).map(drop)));
                scope.spawn(|| in_time(20, "writing", &mut || store.edit_user(ann, &mut |_| Ok(())).map(drop)));
            }
            scope.spawn(|| in_time(15, "claim", &mut || claim.hold().map(drop)));
        });
        in_time(10, "opening", &mut || PostgresStore::open(&through).map(drop));
    };
    let is_back = |claim: &mut ServerClaim| {
        let began = std::time::Instant::now();
        let soon = |what: &str, ask: &mut dyn FnMut() -> Result<()>| {
            while let Err(error) = ask() {
                assert!(began.elapsed().as_secs() < 25, "{what} after {:?}: {error:?}", began.elapsed());
                std::thread::park_timeout(std::time::Duration::from_millis(5));
            }
        };
        for (place, store) in ["by a socket", "by the network"].into_iter().zip(&stores) {
            soon(place, &mut || store.data_version().map(drop));
            soon(place, &mut || store.user(ann).map(drop));
            soon(place, &mut || store.edit_user(ann, &mut |_| Ok(())).map(drop));
        }
        soon("claim", &mut || claim.hold().map(drop));
        assert_eq!(claim.hold().unwrap(), None, "nobody else has it");
    };
    is_back(&mut claim);
    for fault in [Fault::Silence, Fault::HalfAnswers(3), Fault::CutAnswers(3), Fault::Closed] {
        proxy.set(fault);
        if fault == Fault::Silence {
            server.tell("stop");
            hangs(&mut claim);
            server.tell("go-on");
        } else {
            until(|| stores[1].data_version().is_err());
        }
        proxy.set(Fault::None);
        is_back(&mut claim);
    }
}

/// Waits for what comes.
fn until(mut is_so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed().as_secs() < 60, "it does not come");
        std::thread::yield_now();
    }
}

/// A store in SQLite with something of most kinds, in `dir`.
fn filled(dir: &std::path::Path) -> std::path::PathBuf {
    let path = dir.join("zenovay.db");
    let store = SqliteStore::open(&path).unwrap();
    let hash = PasswordHash::from_stored("$argon2id$\\\"'\n\u{1}\u{1f600}".to_owned());
    let id = UserId::from_random_bytes([1; 16]);
    store.create_user(&User::new(id, "ann@example.com", "Ännchen \\u0000 \"x\"", hash, NOW)).unwrap();
    let team = TeamId::from_random_bytes([1; 16]);
    store.create_team(&Team::new(team, "Team", Plan::Enterprise, NOW), id).unwrap();
    let code = TrackingCode::from_random_bytes([1; 11]);
    let website = NewWebsite::new(WebsiteId::from_random_bytes([1; 16]), team, "a.example", code);
    store.create_website(&website, &PlanTable::default(), NOW).unwrap();
    let target = GoalTarget::Event { name: "bought".to_owned() };
    store.create_goal(&Goal::new(GoalId::from_random_bytes([1; 16]), website.id, "Buyers", target, NOW)).unwrap();
    let digest = SecretDigest::from_bytes([7; 32]);
    let share = ShareId::from_random_bytes([1; 16]);
    let mut share = Share::new(share, website.id, digest, "For all".to_owned(), NOW);
    share.may_be_embedded = true;
    store.create_share(&share).unwrap();
    for n in 0..3 {
        let token = KeyFormat::ZENOVAY.generate_with(&mut rand::rng());
        let key = KeyId::from_random_bytes([n; 16]);
        let new = NewKey::new(key, &token, KeyKind::Personal(id), "k", Scopes::FULL_ACCESS);
        store.create_key(&new, NOW).unwrap();
        store.charge_request(key, 100, NOW).unwrap();
    }
    drop(store);
    // More than two batches.
    let mut raw = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    raw.batch_execute(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2500)
         INSERT INTO audit_entries (at, actor, action, target, details)
            SELECT 9007199254740993 + n, 'operator', 'x', 'y', '{}' FROM n",
    )
    .unwrap();
    path
}

/// All rows of a SQLite database but those of the program that made it.
fn dump(path: &std::path::Path) -> BTreeSet<Name> {
    let mut raw = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    let selects = "SELECT 'SELECT ''' || m.name || ' '' || json_array('
            || group_concat('quote(\"' || c.name || '\")') || ') AS name FROM \"' || m.name || '\"' AS name
        FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'
        AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\' GROUP BY m.name";
    let selects = diesel::sql_query(selects).load::<Name>(&mut raw).unwrap();
    selects.iter().flat_map(|select| diesel::sql_query(&select.name).load::<Name>(&mut raw).unwrap()).collect()
}

/// Sabotage: leave a table or the order of tables out, compare nothing, or write over what is there.
#[test]
fn a_store_goes_from_sqlite_to_postgres_and_back_row_by_row() {
    let dir = tempfile::tempdir().unwrap();
    let from = filled(dir.path());
    let before = dump(&from);
    assert!(before.len() > 2_500, "{}", before.len());
    let url = postgres::empty_database();
    let copied = copy_to_postgres(&from, &url).unwrap();
    assert_eq!(copied.tables.iter().map(|(_, rows)| *rows).sum::<u64>(), before.len() as u64);
    assert!(!copied.was_there && dump(&from) == before, "the source is as it was");
    assert!(copy_to_postgres(&from, &url).unwrap().was_there, "once more is nothing");

    let store = PostgresStore::open(&url).unwrap();
    let ann = store.user_by_email("ann@example.com").unwrap().unwrap();
    assert_eq!(ann.name, "Ännchen \\u0000 \"x\"");
    let mut snapshot = PostgresSnapshot::open(&url).unwrap();
    snapshot.take_moment().unwrap();
    // After the moment.
    user(&store, 9);
    let back = dir.path().join("back.db");
    snapshot.write(&back).unwrap();
    assert!(dump(&back) == before);
    assert_eq!(SqliteStore::open(&back).unwrap().users().unwrap().len(), 1);

    let refused = copy_to_postgres(&from, &url).unwrap_err();
    assert!(matches!(&refused, CopyError::NotEmpty { table } if table == "users"), "{refused}");
    // What is numbered goes on after the last number.
    let next = "INSERT INTO audit_entries (at, actor, action, target, details) VALUES (1, 'a', 'b', 'c', '{}')";
    postgres::connect(&url).batch_execute(next).unwrap();
}

/// Sabotage: keep what was written so far.
#[test]
fn what_cannot_be_copied_leaves_nothing_in_the_target() {
    let dir = tempfile::tempdir().unwrap();
    let from = filled(dir.path());
    let change = |sql: &str| {
        SqliteConnection::establish(from.to_str().unwrap()).unwrap().batch_execute(sql).unwrap();
    };
    change("UPDATE websites SET name = 'a' || char(0)");
    let url = postgres::empty_database();
    let refused = copy_to_postgres(&from, &url).unwrap_err();
    assert!(matches!(&refused, CopyError::Nul { table } if table == "websites"), "{refused}");
    assert!(!PostgresStore::open(&url).unwrap().has_users().unwrap());
    change("UPDATE websites SET name = 'a'");
    let mut server = ServerClaim::new(&url).unwrap();
    assert_eq!(server.hold().unwrap(), None);
    assert!(matches!(copy_to_postgres(&from, &url).unwrap_err(), CopyError::Served));
    drop(server);
    // PostgreSQL may take a moment to see that its client is gone.
    until(|| copy_to_postgres(&from, &url).is_ok());
}

/// Sabotage: let everybody hold it, or do not look whether it is held still.
#[test]
fn one_server_claims_a_database() {
    let url = postgres::empty_database();
    let [mut one, mut other] = [ServerClaim::new(&url).unwrap(), ServerClaim::new(&url).unwrap()];
    assert_eq!((one.hold().unwrap(), one.hold().unwrap()), (None, None));
    let holder = other.hold().unwrap().unwrap();
    assert!(holder.starts_with("the machine of PostgreSQL, since 20"), "{holder}");
    let lose = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
        WHERE application_name = 'zenovay server' AND datname = current_database()";
    postgres::connect(&url).batch_execute(lose).unwrap();
    assert_eq!(other.hold().unwrap(), None);
    assert!(one.hold().unwrap().is_some(), "it is lost, and is told");
    assert!(!format!("{one:?}").contains("secret-of-nobody"));
}

/// Sabotage: let one that is alone in among others, or have two lead.
#[test]
fn several_servers_claim_a_database_together_and_one_leads() {
    let url = postgres::empty_database();
    let [mut one, mut other] = [ServerClaim::together(&url).unwrap(), ServerClaim::together(&url).unwrap()];
    assert_eq!((one.hold().unwrap(), other.hold().unwrap()), (None, None));
    assert_eq!((one.leads().unwrap(), other.leads().unwrap(), one.leads().unwrap()), (true, false, true));
    let mut alone = ServerClaim::new(&url).unwrap();
    assert!(alone.hold().unwrap().unwrap().starts_with("the machine of PostgreSQL, since 20"));
    assert!(!alone.leads().unwrap(), "it has no claim");
    drop(one);
    until(|| other.hold().unwrap().is_none() && other.leads().unwrap());
    drop(other);
    until(|| alone.hold().unwrap().is_none());
    assert!(alone.leads().unwrap());
    let mut late = ServerClaim::together(&url).unwrap();
    assert!(late.hold().unwrap().is_some() && !late.leads().unwrap());
    // Whoever lost the connection leads no more before it is asked again.
    let lose = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
        WHERE application_name = 'zenovay server' AND datname = current_database()";
    postgres::connect(&url).batch_execute(lose).unwrap();
    assert_eq!((late.hold().unwrap(), late.leads().unwrap()), (None, true));
    assert!(alone.hold().unwrap().is_some() && !alone.leads().unwrap());
}

/// Sabotage: ask for nothing that is remembered, or let keys in by memory, too.
#[test]
fn hits_go_on_with_what_is_known_while_the_database_is_away() {
    let (harness, [store, ..]) = three();
    let ann = user(&store, 1);
    let team = team(&store, 1, ann, Plan::Pro);
    let code = TrackingCode::from_random_bytes([1; 11]);
    let website = NewWebsite::new(WebsiteId::from_random_bytes([1; 16]), team, "a.example", code.clone());
    store.create_website(&website, &PlanTable::default(), NOW).unwrap();
    let token = KeyFormat::ZENOVAY.generate_with(&mut rand::rng());
    let new = NewKey::new(KeyId::from_random_bytes([1; 16]), &token, KeyKind::Personal(ann), "k", Scopes::FULL_ACCESS);
    store.create_key(&new, NOW).unwrap();
    let directory = CachedDirectory::new(Arc::new(store) as Arc<dyn Store>);
    assert!(directory.website_of_hit(&code, NOW).unwrap().is_some());
    assert!(directory.credential(&token.digest()).unwrap().is_some());
    assert_eq!(directory.plan_of_hit(team).unwrap(), Some(Plan::Pro));
    let name = harness.url.split('/').nth(3).unwrap().split('?').next().unwrap().to_owned();
    let mut other = postgres::connect(&harness.url.replace(&name, "postgres"));
    other.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).unwrap();
    let lose = format!("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'");
    other.batch_execute(&lose).unwrap();
    let later = NOW.plus_millis(60_000);
    assert_eq!(directory.website_of_hit(&code, later).unwrap().unwrap().id, website.id);
    assert_eq!(directory.plan_of_hit(team).unwrap(), Some(Plan::Pro));
    let away = |error| matches!(error, StoreError::Unavailable(_));
    assert!(directory.website_of_hit(&TrackingCode::from_random_bytes([2; 11]), later).is_err_and(away));
    assert!(directory.credential(&token.digest()).is_err_and(away), "a key is never let in by memory");
    other.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).unwrap();
    until(|| directory.credential(&token.digest()).is_ok());
    postgres::connect(&harness.url).batch_execute("DELETE FROM websites").unwrap();
    until(|| directory.website_of_hit(&code, later.plus_millis(1)).is_ok_and(|found| found.is_none()));
}

/// The version moves by triggers, so it does not matter which program writes.
#[test]
fn changes_by_other_programs_are_seen_too() {
    let (harness, [store, ..]) = three();
    let ann = user(&store, 1);
    team(&store, 1, ann, Plan::Enterprise);
    let token = KeyFormat::ZENOVAY.generate_with(&mut rand::rng());
    let new = NewKey::new(KeyId::from_random_bytes([1; 16]), &token, KeyKind::Personal(ann), "k", Scopes::FULL_ACCESS);
    store.create_key(&new, NOW).unwrap();
    let directory = CachedDirectory::new(Arc::new(store) as Arc<dyn Store>);
    assert!(!directory.credential(&token.digest()).unwrap().unwrap().revoked);
    postgres::connect(&harness.url).batch_execute("UPDATE api_keys SET revoked_at = 1").unwrap();
    assert!(directory.credential(&token.digest()).unwrap().unwrap().revoked);
}

#[test]
fn text_that_cannot_be_stored_is_refused_in_words() {
    let store = Postgres::new().open();
    let error = store.user_by_email("ann\0@example.com").unwrap_err();
    assert!(matches!(error, StoreError::Invalid { field: "text", .. }), "{error}");
    assert!(!store.has_users().unwrap());
    assert_eq!(format!("{store:?}"), "PostgresStore { .. }");
}
