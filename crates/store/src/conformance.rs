//! What every store must do, as tests that run on any of them.
//!
//! A store is done when [`conformance_tests!`](crate::conformance_tests) passes for it; one of grants, when
//! [`grant_conformance_tests!`](crate::grant_conformance_tests) does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

pub mod assistants;
pub mod grants;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use zenovay_auth::{
    Action, ApiKeyToken, Credential, Denial, KeyFormat, KeyKind, KeyRefusal, PasswordHash, Principal, Target, decide,
};
use zenovay_domain::{
    ClockMemory, Dimension, DoubtedReading, EXCLUDED_IPS_MAX, KeyId, KeyPolicy, OTHER_AGENTS, Plan, PlanTable, Role,
    TeamId, Timestamp, TrackingCode, UserId, Website, WebsiteId, WebsiteSettings,
};

use crate::{
    CachedDirectory, Charge, ClockStore, DROPPED_AGENTS_DAYS, DROPPED_AGENTS_MAX, DataVersion, DroppedAgentStore,
    DroppedHits, KeyEdit, KeyRecord, KeyStore, NewKey, NewWebsite, Store, StoreError, Team, TeamStore, UsageStore,
    User, UserStore, UserTeam, WebsiteStore,
};

/// Opens stores over one set of data.
pub trait Harness {
    /// The store.
    type Store: Store + 'static;

    /// Opens the store: empty at first, later over what is there. Several may be open at a time, as of several processes.
    fn open(&self) -> Self::Store;
}

/// Makes a `#[test]` of every rule for the harness that `$make` makes.
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr) => {
        $crate::conformance_tests! { $make;
            users_have_one_account_per_address,
            teams_keep_an_owner,
            plans_limit_websites_and_members,
            websites_are_stored_checked_and_deleted,
            keys_are_created_edited_and_revoked,
            keys_of_any_format_are_stored,
            no_time_and_no_number_is_too_odd,
            leaving_a_team_takes_it_from_keys,
            accounts_are_listed_changed_and_deleted,
            a_change_may_use_the_store_and_overwrites_nobody,
            teams_are_renamed_and_those_of_a_user_are_known,
            a_deleted_team_takes_its_websites_and_keys_along,
            the_key_policy_holds_for_keys_older_than_the_membership,
            deleted_websites_leave_keys,
            credentials_hold_what_is_true_now,
            requests_are_counted_exactly,
            months_begin_at_midnight_and_never_twice,
            a_clock_that_was_wrong_freezes_no_key,
            activity_is_kept_by_the_hour,
            dropped_agents_are_counted_bounded_and_forgotten,
            every_change_moves_the_version,
            what_one_changes_the_look_ups_of_another_show,
            hits_see_own_changes_at_once_and_those_of_others_after_milliseconds,
            no_look_up_is_older_than_a_change_that_was_finished,
            several_count_together,
            of_parallel_leaving_owners_one_stays,
            the_next_server_knows_the_clock_of_the_last,
            valid_keys_are_the_newest_that_are_not_revoked,
            a_whole_store_has_no_faults,
        }
    };
    ($make:expr; $($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                $crate::conformance::$name(&$make);
            }
        )*
    };
}

/// 2026-06-13T00:00:00.000Z.
const NOW: Timestamp = Timestamp::from_millis(1_781_308_800_000);

fn user(store: &impl Store, n: u8) -> UserId {
    let id = UserId::from_random_bytes([n; 16]);
    let hash = PasswordHash::from_stored("$argon2id$".to_owned());
    store.create_user(&User::new(id, format!("Person{n}@Example.com"), format!("Person {n}"), hash, NOW)).unwrap();
    id
}

fn team(store: &impl Store, n: u8, owner: UserId, plan: Plan) -> TeamId {
    let id = TeamId::from_random_bytes([n; 16]);
    store.create_team(&Team::new(id, format!("Team {n}"), plan, NOW), owner).unwrap();
    id
}

fn new_website(n: u8, team_id: TeamId) -> NewWebsite {
    NewWebsite {
        id: WebsiteId::from_random_bytes([n; 16]),
        team_id,
        user_id: None,
        domain: format!("Site{n}.Example.com"),
        name: format!("Site {n}"),
        tracking_code: TrackingCode::from_random_bytes([n; 11]),
        settings: WebsiteSettings::default(),
    }
}

fn website(store: &impl Store, n: u8, team_id: TeamId) -> Website {
    store.create_website(&new_website(n, team_id), &PlanTable::default(), NOW).unwrap()
}

/// A key that is the same for the same `n`.
fn token(n: u8) -> ApiKeyToken {
    struct Repeated(u8);
    impl rand::TryRng for Repeated {
        type Error = std::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(u32::from_ne_bytes([self.0; 4]))
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(u64::from_ne_bytes([self.0; 8]))
        }
        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
            out.fill(self.0);
            Ok(())
        }
    }
    impl rand::TryCryptoRng for Repeated {}
    KeyFormat::ZENOVAY.generate_with(&mut Repeated(n % 62))
}

fn new_key(n: u8, token: &ApiKeyToken, kind: KeyKind) -> NewKey<'_> {
    NewKey {
        id: KeyId::from_random_bytes([n; 16]),
        token,
        kind,
        created_by: None,
        name: "reports",
        scopes: zenovay_domain::Scopes::FULL_ACCESS,
        team_ids: None,
        website_ids: None,
    }
}

fn key(store: &impl Store, n: u8, kind: KeyKind, edit: impl FnOnce(&mut NewKey<'_>)) -> KeyRecord {
    let token = token(n);
    let mut key = new_key(n, &token, kind);
    edit(&mut key);
    store.create_key(&key, NOW).unwrap()
}

fn credential(store: &impl Store, n: u8) -> Credential {
    store.credential(&token(n).digest()).unwrap().unwrap()
}

#[doc(hidden)]
pub fn users_have_one_account_per_address(harness: &impl Harness) {
    let store = &harness.open();
    assert!(!store.has_users().unwrap());
    let id = user(store, 1);
    assert!(store.has_users().unwrap());
    let found = store.user_by_email("pERSON1@example.COM").unwrap().unwrap();
    assert_eq!(found, store.user(id).unwrap().unwrap());
    assert_eq!(found.email, "Person1@Example.com");
    assert!(store.user_by_email("nobody@example.com").unwrap().is_none());
    let other = User { id: UserId::from_random_bytes([2; 16]), email: "PERSON1@EXAMPLE.COM".to_owned(), ..found };
    assert!(matches!(store.create_user(&other), Err(StoreError::Conflict("email"))));
    for bad in ["", "@", "a@", "@b", "a b@c", "a@b@c", &format!("{}@example.com", "a".repeat(250))] {
        let refused = store.create_user(&User { email: bad.to_owned(), ..other.clone() });
        assert!(matches!(refused, Err(StoreError::Invalid { field: "email", .. })), "{bad}");
    }
}

#[doc(hidden)]
pub fn teams_keep_an_owner(harness: &impl Harness) {
    let store = &harness.open();
    let plans = PlanTable::default();
    let (ann, bob) = (user(store, 1), user(store, 2));
    let id = team(store, 1, ann, Plan::Scale);
    assert!(matches!(store.remove_member(id, ann, NOW), Err(StoreError::LastOwner)));
    assert!(matches!(store.add_member(id, ann, Role::Admin, &plans, NOW), Err(StoreError::LastOwner)));
    assert!(matches!(store.remove_member(id, bob, NOW), Err(StoreError::NotFound("member"))));
    store.add_member(id, bob, Role::Owner, &plans, NOW).unwrap();
    store.remove_member(id, ann, NOW).unwrap();
    let members = store.members(id).unwrap();
    assert_eq!(members.iter().map(|member| (member.user_id, member.role)).collect::<Vec<_>>(), [(bob, Role::Owner)]);
    let missing = TeamId::from_random_bytes([9; 16]);
    assert!(matches!(store.add_member(missing, ann, Role::Viewer, &plans, NOW), Err(StoreError::NotFound("team"))));
    assert!(matches!(store.set_plan(missing, Plan::Pro), Err(StoreError::NotFound("team"))));
    assert!(matches!(store.set_key_policy(missing, KeyPolicy::NoOne), Err(StoreError::NotFound("team"))));
    assert!(store.team(missing).unwrap().is_none());
    store.set_plan(id, Plan::Pro).unwrap();
    store.set_key_policy(id, KeyPolicy::NoOne).unwrap();
    let stored = store.team(id).unwrap().unwrap();
    assert_eq!((stored.plan, stored.key_policy), (Plan::Pro, KeyPolicy::NoOne));
    assert_eq!(store.teams().unwrap(), [stored]);
}

#[doc(hidden)]
pub fn a_change_may_use_the_store_and_overwrites_nobody(harness: &impl Harness) {
    let store = &harness.open();
    let (ann, bob) = (user(store, 1), user(store, 2));
    // The first time somebody else is quicker.
    let mut times = 0;
    let edited = store.edit_user(ann, &mut |user| {
        times += 1;
        let others = store.users().unwrap().len();
        if times == 1 {
            store.set_password(ann, &PasswordHash::from_stored("$argon2id$quicker".to_owned())).unwrap();
        }
        user.name = format!("{times} of {others}");
        Ok(())
    });
    let edited = edited.unwrap();
    assert_eq!((edited.name.as_str(), edited.password_hash.as_str()), ("2 of 2", "$argon2id$quicker"));
    assert_eq!(store.user(ann).unwrap().unwrap(), edited);
    // Never alone: it is told, and nothing is changed.
    let before = store.user(bob).unwrap().unwrap();
    let refused = store.edit_user(bob, &mut |user| {
        times += 1;
        store.set_password(bob, &PasswordHash::from_stored(format!("$argon2id${times}"))).unwrap();
        user.name = "Robert".to_owned();
        Ok(())
    });
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(store.user(bob).unwrap().unwrap().name, before.name);
}

#[doc(hidden)]
pub fn accounts_are_listed_changed_and_deleted(harness: &impl Harness) {
    let store = &harness.open();
    let (ann, bob) = (user(store, 1), user(store, 2));
    assert_eq!(store.users().unwrap().iter().map(|user| user.id).collect::<Vec<_>>(), [ann, bob]);
    let hash = PasswordHash::from_stored("$argon2id$new".to_owned());
    store.set_password(ann, &hash).unwrap();
    assert_eq!(store.user(ann).unwrap().unwrap().password_hash, hash);
    store.delete_password(ann).unwrap();
    assert_eq!(store.user(ann).unwrap().unwrap().password_hash.as_str(), "", "no password has this hash");
    store.set_password(ann, &hash).unwrap();
    let before = store.user(ann).unwrap().unwrap();
    let edited = store.edit_user(ann, &mut |user| {
        user.email = "Ann@Example.ORG".to_owned();
        user.name = "Ann".to_owned();
        user.password_hash = PasswordHash::from_stored("not by this way".to_owned());
        user.created_at = NOW.plus_millis(1);
        Ok(())
    });
    let expected = User { email: "Ann@Example.ORG".to_owned(), name: "Ann".to_owned(), ..before };
    assert_eq!(edited.unwrap(), expected);
    assert_eq!(store.user_by_email("ann@example.org").unwrap().unwrap(), expected);
    assert!(store.user_by_email("person1@example.com").unwrap().is_none(), "the old address is free");
    let to_email = |id, email: &str| {
        store.edit_user(id, &mut |user| {
            user.email = email.to_owned();
            Ok(())
        })
    };
    assert!(to_email(ann, "ANN@example.org").is_ok(), "an account does not stand in its own way");
    assert!(matches!(to_email(bob, "ann@EXAMPLE.org"), Err(StoreError::Conflict("email"))));
    assert!(matches!(to_email(bob, "nowhere"), Err(StoreError::Invalid { field: "email", .. })));
    let nameless = store.edit_user(bob, &mut |user| {
        user.name = " ".to_owned();
        Ok(())
    });
    assert!(matches!(nameless, Err(StoreError::Invalid { field: "name", .. })));
    let refused = store.edit_user(bob, &mut |user| {
        user.name = "Robert".to_owned();
        Err(StoreError::LastOwner)
    });
    assert!(matches!(refused, Err(StoreError::LastOwner)));
    assert_eq!(store.user(bob).unwrap().unwrap().name, "Person 2", "a refused edit changes nothing");

    let missing = UserId::from_random_bytes([9; 16]);
    assert!(matches!(to_email(missing, "a@example.com"), Err(StoreError::NotFound("user"))));
    assert!(matches!(store.delete_password(missing), Err(StoreError::NotFound("user"))));
    assert!(matches!(store.set_password(missing, &hash), Err(StoreError::NotFound("user"))));
    assert!(matches!(store.delete_user(missing), Err(StoreError::NotFound("user"))));

    let id = team(store, 1, ann, Plan::Scale);
    assert!(matches!(store.delete_user(ann), Err(StoreError::LastOwner)));
    store.add_member(id, bob, Role::Owner, &PlanTable::default(), NOW).unwrap();
    let site = website(store, 1, id);
    key(store, 1, KeyKind::Personal(ann), |_| ());
    let workspace = key(store, 2, KeyKind::Workspace(id), |key| key.created_by = Some(ann));
    store.delete_user(ann).unwrap();
    assert!(store.user(ann).unwrap().is_none());
    assert!(store.credential(&token(1).digest()).unwrap().is_none(), "personal keys go with their owner");
    assert_eq!(store.key(workspace.id).unwrap().unwrap(), workspace);
    assert_eq!(store.website(site.id).unwrap().unwrap().domain, site.domain);
    assert_eq!(store.members(id).unwrap().iter().map(|member| member.user_id).collect::<Vec<_>>(), [bob]);
}

#[doc(hidden)]
pub fn teams_are_renamed_and_those_of_a_user_are_known(harness: &impl Harness) {
    let store = &harness.open();
    let (ann, bob) = (user(store, 1), user(store, 2));
    assert_eq!(store.teams_of(ann).unwrap(), []);
    // The id of the team that was joined first is the greater one.
    let (first, second) = (team(store, 2, ann, Plan::Pro), team(store, 1, bob, Plan::Scale));
    let later = NOW.plus_millis(1);
    store.add_member(second, ann, Role::Viewer, &PlanTable::default(), later).unwrap();
    let stored = |id| store.team(id).unwrap().unwrap();
    let (own, joined) =
        (UserTeam::new(stored(first), Role::Owner, NOW), UserTeam::new(stored(second), Role::Viewer, later));
    assert_eq!(store.teams_of(ann).unwrap(), [own.clone(), joined]);
    assert_eq!(store.teams_of(UserId::from_random_bytes([9; 16])).unwrap(), []);

    store.rename_team(first, "Renamed").unwrap();
    assert_eq!(stored(first), Team { name: "Renamed".to_owned(), ..own.team });
    for bad in ["", "  ", "a\nb", &"x".repeat(101)] {
        assert!(matches!(store.rename_team(first, bad), Err(StoreError::Invalid { field: "name", .. })), "{bad:?}");
    }
    let missing = store.rename_team(TeamId::from_random_bytes([9; 16]), "Name");
    assert!(matches!(missing, Err(StoreError::NotFound("team"))));
    store.remove_member(second, ann, NOW).unwrap();
    assert_eq!(store.teams_of(ann).unwrap().len(), 1);
    store.delete_team(first, NOW).unwrap();
    assert_eq!(store.teams_of(ann).unwrap(), []);
}

#[doc(hidden)]
pub fn a_deleted_team_takes_its_websites_and_keys_along(harness: &impl Harness) {
    let store = &harness.open();
    let ann = user(store, 1);
    let (gone, other) = (team(store, 1, ann, Plan::Pro), team(store, 2, ann, Plan::Pro));
    let (first, second, kept) = (website(store, 1, gone), website(store, 2, gone), website(store, 3, other));
    key(store, 1, KeyKind::Workspace(gone), |_| ());
    let only = key(store, 2, KeyKind::Personal(ann), |key| key.team_ids = Some(vec![gone]));
    let both = key(store, 3, KeyKind::Personal(ann), |key| key.team_ids = Some(vec![gone, other]));
    assert_eq!(store.delete_team(gone, NOW).unwrap(), 2);
    assert!(store.team(gone).unwrap().is_none());
    assert_eq!(store.websites().unwrap(), [kept]);
    let mut deleted = store.deleted_websites().unwrap();
    deleted.sort();
    let mut expected = vec![first.id, second.id];
    expected.sort();
    assert_eq!(deleted, expected, "their events are to be deleted");
    assert!(store.credential(&token(1).digest()).unwrap().is_none());
    assert_eq!(store.key(only.id).unwrap().unwrap().revoked_at, Some(NOW));
    assert_eq!(store.key(both.id).unwrap().unwrap().team_ids, Some(vec![other]));
    assert!(matches!(store.delete_team(gone, NOW), Err(StoreError::NotFound("team"))));
}

#[doc(hidden)]
pub fn plans_limit_websites_and_members(harness: &impl Harness) {
    let store = &harness.open();
    let plans = PlanTable::default();
    let owner = user(store, 1);
    let id = team(store, 1, owner, Plan::Free);
    website(store, 1, id);
    let refused = store.create_website(&new_website(2, id), &plans, NOW);
    assert!(matches!(refused, Err(StoreError::PlanLimit { plan: Plan::Free, what: "websites", limit: 1 })));
    store.add_member(id, user(store, 2), Role::Viewer, &plans, NOW).unwrap();
    let third = user(store, 3);
    let refused = store.add_member(id, third, Role::Viewer, &plans, NOW);
    assert!(matches!(refused, Err(StoreError::PlanLimit { what: "members", limit: 2, .. })));
    store.set_plan(id, Plan::Enterprise).unwrap();
    website(store, 2, id);
    store.add_member(id, third, Role::Viewer, &plans, NOW).unwrap();
}

type Change = fn(&mut WebsiteSettings);

/// Settings that would be met by every hit of the website, if they were stored.
const SETTINGS_THAT_CANNOT_BE_USED: &[(&str, Change)] = &[
    ("time_zone", |settings| settings.time_zone = "Mars/Olympus".to_owned()),
    ("allowed_domains", |settings| settings.allowed_domains = vec!["exa mple.com".to_owned()]),
    ("excluded_ips", |settings| settings.excluded_ips = vec!["everybody".to_owned()]),
    ("excluded_ips", |settings| settings.excluded_ips = vec!["192.0.2.1".to_owned(); EXCLUDED_IPS_MAX + 1]),
    ("excluded_paths", |settings| settings.excluded_paths = vec!["admin".to_owned()]),
    ("excluded_paths", |settings| settings.excluded_paths = vec!["/a\u{200b}".to_owned()]),
    ("allowed_bots", |settings| settings.allowed_bots = vec!["x".to_owned()]),
    ("allowed_bots", |settings| settings.allowed_bots = vec!["GPT\u{202e}Bot".to_owned()]),
];

#[doc(hidden)]
pub fn websites_are_stored_checked_and_deleted(harness: &impl Harness) {
    let store = &harness.open();
    let plans = PlanTable::default();
    let owner = user(store, 1);
    let id = team(store, 1, owner, Plan::Enterprise);
    let site = website(store, 1, id);
    assert_eq!(site.domain, "site1.example.com");
    assert_eq!(store.website(site.id).unwrap().as_ref(), Some(&site));
    assert_eq!(store.website_by_code(&site.tracking_code).unwrap().as_ref(), Some(&site));
    assert_eq!(store.website_by_code(&TrackingCode::from_random_bytes([9; 11])).unwrap(), None);

    let again = NewWebsite { id: WebsiteId::from_random_bytes([2; 16]), ..new_website(1, id) };
    assert!(matches!(store.create_website(&again, &plans, NOW), Err(StoreError::Conflict("tracking code"))));
    let bad_domain = NewWebsite { domain: "https://example.com/shop".to_owned(), ..new_website(3, id) };
    let refused = store.create_website(&bad_domain, &plans, NOW);
    assert!(matches!(refused, Err(StoreError::Invalid { field: "domain", .. })));
    let no_team = new_website(3, TeamId::from_random_bytes([9; 16]));
    assert!(matches!(store.create_website(&no_team, &plans, NOW), Err(StoreError::NotFound("team"))));

    for (field, change) in SETTINGS_THAT_CANNOT_BE_USED {
        let bad = store.edit_website(site.id, &mut |site| {
            change(&mut site.settings);
            Ok(())
        });
        assert!(matches!(bad, Err(StoreError::Invalid { field: told, .. }) if told == *field), "{field}");
        let mut bad = new_website(3, id);
        change(&mut bad.settings);
        let bad = store.create_website(&bad, &plans, NOW);
        assert!(matches!(bad, Err(StoreError::Invalid { field: told, .. }) if told == *field), "{field}");
    }
    assert_eq!(store.website(site.id).unwrap().as_ref(), Some(&site), "a refused edit changes nothing");
    let edited = store.edit_website(site.id, &mut |site| {
        site.domain = "https://Other.example/".to_owned();
        site.settings.excluded_ips = vec!["10.0.0.0/8".to_owned()];
        site.tracking_code = TrackingCode::from_random_bytes([7; 11]);
        Ok(())
    });
    let edited = edited.unwrap();
    assert_eq!((edited.domain.as_str(), &edited.tracking_code), ("other.example", &site.tracking_code));
    assert_eq!(store.websites().unwrap(), [edited]);

    store.delete_website(site.id, NOW).unwrap();
    assert!(matches!(store.delete_website(site.id, NOW), Err(StoreError::NotFound("website"))));
    assert_eq!(store.website(site.id).unwrap(), None);
    assert_eq!(store.deleted_websites().unwrap(), [site.id]);
    store.mark_events_deleted(site.id).unwrap();
    store.mark_events_deleted(site.id).unwrap();
    assert_eq!(store.deleted_websites().unwrap(), []);
}

#[doc(hidden)]
pub fn keys_are_created_edited_and_revoked(harness: &impl Harness) {
    let store = &harness.open();
    let plans = PlanTable::default();
    let (ann, bob) = (user(store, 1), user(store, 2));
    let (own, other) = (team(store, 1, ann, Plan::Pro), team(store, 2, bob, Plan::Pro));
    let site = website(store, 1, own);
    let personal = key(store, 1, KeyKind::Personal(ann), |_| ());
    assert_eq!(personal.prefix, token(1).prefix());
    assert_eq!(personal.digest, token(1).digest());
    assert_eq!(store.key(personal.id).unwrap().as_ref(), Some(&personal));
    let workspace = key(store, 2, KeyKind::Workspace(own), |key| key.website_ids = Some(vec![site.id, site.id]));
    assert_eq!(workspace.website_ids, Some(vec![site.id]));
    assert_eq!(store.keys().unwrap().len(), 2);

    let refused = |n: u8, kind: KeyKind, edit: &dyn Fn(&mut NewKey<'_>)| {
        let token = token(n);
        let mut key = new_key(n, &token, kind);
        edit(&mut key);
        store.create_key(&key, NOW).unwrap_err()
    };
    let long = "n".repeat(65);
    let error = {
        let token = token(3);
        let wanted = NewKey { name: &long, ..new_key(3, &token, KeyKind::Personal(ann)) };
        store.create_key(&wanted, NOW).unwrap_err()
    };
    assert!(matches!(error, StoreError::KeyRefused(KeyRefusal::Name(_))));
    let error = refused(3, KeyKind::Personal(ann), &|key| key.team_ids = Some(vec![other]));
    assert!(matches!(error, StoreError::KeyRefused(KeyRefusal::NotAMember(id)) if id == other));
    let error = refused(3, KeyKind::Workspace(other), &|key| key.website_ids = Some(vec![site.id]));
    assert!(matches!(error, StoreError::KeyRefused(KeyRefusal::WebsiteOutside(id)) if id == site.id));
    let error = refused(3, KeyKind::Workspace(other), &|key| key.created_by = Some(ann));
    assert!(matches!(error, StoreError::KeyRefused(KeyRefusal::WorkspaceRole(id)) if id == other));
    let nobody = UserId::from_random_bytes([9; 16]);
    assert!(matches!(refused(3, KeyKind::Personal(nobody), &|_| ()), StoreError::NotFound("user")));
    let error = refused(1, KeyKind::Personal(ann), &|key| key.id = KeyId::from_random_bytes([5; 16]));
    assert!(matches!(error, StoreError::Conflict("key")));
    store.set_key_policy(own, KeyPolicy::NoOne).unwrap();
    let error = refused(3, KeyKind::Personal(ann), &|_| ());
    assert!(matches!(error, StoreError::KeyRefused(KeyRefusal::Policy(id)) if id == own));
    key(store, 3, KeyKind::Workspace(own), |_| ());

    store.add_member(other, ann, Role::Viewer, &plans, NOW).unwrap();
    let admin = KeyEdit { scopes: Some("admin".parse().unwrap()), ..KeyEdit::default() };
    let error = store.edit_key(personal.id, &admin).unwrap_err();
    assert!(matches!(error, StoreError::KeyRefused(KeyRefusal::AdminScope(id)) if id == other));
    let edit = KeyEdit {
        name: Some("renamed".to_owned()),
        scopes: Some("read".parse().unwrap()),
        team_ids: Some(Some(vec![own])),
        website_ids: Some(Some(vec![site.id])),
    };
    let edited = store.edit_key(personal.id, &edit).unwrap();
    assert_eq!((edited.name.as_str(), edited.scopes.to_string()), ("renamed", "read".to_owned()));
    assert_eq!((edited.team_ids.clone(), edited.website_ids.clone()), (Some(vec![own]), Some(vec![site.id])));
    assert_eq!(store.edit_key(personal.id, &KeyEdit::default()).unwrap(), edited, "an empty edit changes nothing");

    store.revoke_key(personal.id, NOW).unwrap();
    store.revoke_key(personal.id, NOW.plus_millis(1)).unwrap();
    assert_eq!(store.key(personal.id).unwrap().unwrap().revoked_at, Some(NOW));
    assert!(credential(store, 1).revoked);
    assert!(matches!(store.edit_key(personal.id, &edit), Err(StoreError::KeyRevoked)));
    let missing = KeyId::from_random_bytes([9; 16]);
    assert!(matches!(store.revoke_key(missing, NOW), Err(StoreError::NotFound("key"))));
    assert!(store.key(missing).unwrap().is_none());
}

#[doc(hidden)]
pub fn keys_of_any_format_are_stored(harness: &impl Harness) {
    let store = &harness.open();
    let ann = user(store, 1);
    team(store, 1, ann, Plan::Pro);
    for (n, prefix) in [(1, "k"), (2, "acme_"), (3, &"p".repeat(zenovay_auth::KEY_PREFIX_MAX_CHARS))] {
        let token = KeyFormat::new(prefix.to_owned()).unwrap().generate_with(&mut rand::rng());
        let stored = store.create_key(&new_key(n, &token, KeyKind::Personal(ann)), NOW).unwrap();
        assert_eq!(stored.prefix, token.prefix());
        assert_eq!(store.credential(&token.digest()).unwrap().unwrap().key_id, stored.id);
    }
}

#[doc(hidden)]
pub fn no_time_and_no_number_is_too_odd(harness: &impl Harness) {
    let store = &harness.open();
    let ann = user(store, 1);
    let id = team(store, 1, ann, Plan::Pro);
    let site = website(store, 1, id).id;
    let key = key(store, 1, KeyKind::Personal(ann), |_| ()).id;
    for at in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX].map(Timestamp::from_millis) {
        for many in [0, 1, u64::MAX, u64::MAX] {
            store.charge_request(key, many, at).unwrap();
            store.record_accepted_events(key, many, at).unwrap();
            store.usage(key, at).unwrap();
            store.activity(key, at).unwrap();
            store.add_folded(&[(site, Dimension::Path, many)], at).unwrap();
            store.folded(site).unwrap();
            store.count_dropped_agents(&[DroppedHits::new(site, "a", "list", "a", many, at, at)], at).unwrap();
            store.dropped_agents(site, at).unwrap();
        }
        let memory = ClockMemory::new(Some(at), Some(DoubtedReading::new(at, i64::MAX)));
        store.remember_clock(&memory).unwrap();
        assert_eq!(store.clock_memory().unwrap(), Some(memory));
    }
    assert!(store.valid_keys(usize::MAX).unwrap().len() == 1 && store.valid_keys(0).unwrap().is_empty());
    store.revoke_key(key, Timestamp::from_millis(i64::MIN)).unwrap();
    store.delete_team(id, Timestamp::from_millis(i64::MAX)).unwrap();
}

#[doc(hidden)]
pub fn leaving_a_team_takes_it_from_keys(harness: &impl Harness) {
    let store = &harness.open();
    let plans = PlanTable::default();
    let (ann, bob) = (user(store, 1), user(store, 2));
    let (one, two) = (team(store, 1, ann, Plan::Pro), team(store, 2, ann, Plan::Pro));
    for id in [one, two] {
        store.add_member(id, bob, Role::Editor, &plans, NOW).unwrap();
    }
    let only = key(store, 1, KeyKind::Personal(bob), |key| key.team_ids = Some(vec![one]));
    let both = key(store, 2, KeyKind::Personal(bob), |key| key.team_ids = Some(vec![one, two]));
    let every = key(store, 3, KeyKind::Personal(bob), |_| ());
    let others = key(store, 4, KeyKind::Personal(ann), |key| key.team_ids = Some(vec![one]));
    let workspace = key(store, 5, KeyKind::Workspace(one), |_| ());
    store.remove_member(one, bob, NOW).unwrap();
    let now = |key: &KeyRecord| store.key(key.id).unwrap().unwrap();
    assert_eq!(now(&only).revoked_at, Some(NOW));
    assert_eq!((now(&both).revoked_at, now(&both).team_ids), (None, Some(vec![two])));
    assert_eq!(now(&every), every);
    assert_eq!(now(&others), others);
    assert_eq!(now(&workspace), workspace);
    assert_eq!(credential(store, 3).teams.iter().map(|team| team.team_id).collect::<Vec<_>>(), [two]);
}

/// Joining is a moment at which a key comes to reach a team. Sabotage: let `teams_of` admit all keys.
#[doc(hidden)]
pub fn the_key_policy_holds_for_keys_older_than_the_membership(harness: &impl Harness) {
    let store = &harness.open();
    let plans = PlanTable::default();
    let (ann, bob) = (user(store, 1), user(store, 2));
    let (own, joined) = (team(store, 1, bob, Plan::Pro), team(store, 2, ann, Plan::Pro));
    let old = key(store, 1, KeyKind::Personal(bob), |_| ());
    let reached = || credential(store, 1).teams.iter().map(|team| team.team_id).collect::<Vec<_>>();
    let later = NOW.plus_millis(1_000);

    store.set_key_policy(joined, KeyPolicy::NoOne).unwrap();
    store.add_member(joined, bob, Role::Viewer, &plans, later).unwrap();
    assert_eq!(reached(), [own], "nobody's keys reach the team");
    let rename = KeyEdit { name: Some("renamed".to_owned()), ..KeyEdit::default() };
    store.edit_key(old.id, &rename).unwrap();
    assert_eq!(reached(), [own], "a change of something else does not let it in");
    let name_it = KeyEdit { team_ids: Some(Some(vec![own, joined])), ..KeyEdit::default() };
    let error = store.edit_key(old.id, &name_it).unwrap_err();
    assert!(matches!(error, StoreError::KeyRefused(KeyRefusal::Policy(id)) if id == joined));

    // The role decides under a policy for owners and admins, at once and in both orders.
    store.set_key_policy(joined, KeyPolicy::OwnersAndAdmins).unwrap();
    assert_eq!(reached(), [own]);
    store.add_member(joined, bob, Role::Admin, &plans, later).unwrap();
    assert_eq!(reached(), [own, joined]);
    // What was let in lives on.
    store.set_key_policy(joined, KeyPolicy::NoOne).unwrap();
    store.add_member(joined, bob, Role::Viewer, &plans, later).unwrap();
    assert_eq!(reached(), [own, joined]);

    store.remove_member(joined, bob, later).unwrap();
    store.add_member(joined, bob, Role::Viewer, &plans, later).unwrap();
    assert_eq!(reached(), [own], "joining again is joining");
    store.set_key_policy(joined, KeyPolicy::AllMembers).unwrap();
    assert_eq!(reached(), [own, joined]);

    // Of a team that lets its members create keys, old keys reach it from the start.
    store.remove_member(joined, bob, later).unwrap();
    store.add_member(joined, bob, Role::Viewer, &plans, later).unwrap();
    assert_eq!(reached(), [own, joined]);
}

#[doc(hidden)]
pub fn deleted_websites_leave_keys(harness: &impl Harness) {
    let store = &harness.open();
    let ann = user(store, 1);
    let id = team(store, 1, ann, Plan::Pro);
    let (first, second) = (website(store, 1, id), website(store, 2, id));
    let only = key(store, 1, KeyKind::Workspace(id), |key| key.website_ids = Some(vec![first.id]));
    let both = key(store, 2, KeyKind::Personal(ann), |key| key.website_ids = Some(vec![first.id, second.id]));
    store.delete_website(first.id, NOW).unwrap();
    assert_eq!(store.key(only.id).unwrap().unwrap().revoked_at, Some(NOW));
    let both = store.key(both.id).unwrap().unwrap();
    assert_eq!((both.revoked_at, both.website_ids), (None, Some(vec![second.id])));
}

#[doc(hidden)]
pub fn credentials_hold_what_is_true_now(harness: &impl Harness) {
    let store = &harness.open();
    let plans = PlanTable::default();
    let (ann, bob) = (user(store, 1), user(store, 2));
    let (one, two) = (team(store, 1, ann, Plan::Free), team(store, 2, bob, Plan::Scale));
    let sites = [website(store, 1, one), website(store, 2, two), website(store, 3, two)];
    key(store, 1, KeyKind::Personal(ann), |_| ());
    key(store, 2, KeyKind::Workspace(two), |key| key.website_ids = Some(vec![sites[2].id]));
    assert!(store.credential(&token(9).digest()).unwrap().is_none());
    let reached = |n| {
        let sites = store.reachable_websites(&credential(store, n), &plans).unwrap();
        sites.into_iter().map(|site| site.id).collect::<Vec<_>>()
    };
    assert_eq!(credential(store, 1).plan(), Some(Plan::Free));
    assert!(reached(1).is_empty(), "the plan of the team has no External API");
    store.set_plan(one, Plan::Pro).unwrap();
    assert_eq!(reached(1), [sites[0].id]);
    store.add_member(two, ann, Role::Viewer, &plans, NOW).unwrap();
    assert_eq!(credential(store, 1).plan(), Some(Plan::Scale), "the highest plan counts");
    assert_eq!(reached(1), [sites[0].id, sites[1].id, sites[2].id]);
    assert_eq!(reached(2), [sites[2].id]);
    store.set_plan(two, Plan::Free).unwrap();
    assert_eq!(credential(store, 2).plan(), Some(Plan::Free));
    assert_eq!(reached(1), [sites[0].id], "of a paid and a free team, the websites of the paid one");
}

#[doc(hidden)]
pub fn requests_are_counted_exactly(harness: &impl Harness) {
    let store = &harness.open();
    let ann = user(store, 1);
    let id = team(store, 1, ann, Plan::Pro);
    let key = key(store, 1, KeyKind::Workspace(id), |_| ()).id;
    let counted = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    if matches!(store.charge_request(key, 50, NOW).unwrap(), Charge::Counted(_)) {
                        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(counted.into_inner(), 50);
    let usage = store.usage(key, NOW).unwrap();
    assert_eq!((usage.monthly_used, usage.total_used), (50, 50));
    assert_eq!(store.charge_request(key, 50, NOW).unwrap(), Charge::Exhausted(usage), "refused requests do not count");
    assert!(matches!(store.charge_request(key, 0, NOW).unwrap(), Charge::Exhausted(_)));
    assert!(matches!(store.charge_request(key, 51, NOW).unwrap(), Charge::Counted(_)), "a higher plan applies at once");
    let missing = KeyId::from_random_bytes([9; 16]);
    assert!(matches!(store.charge_request(missing, 50, NOW), Err(StoreError::NotFound("key"))));
    assert!(matches!(store.usage(missing, NOW), Err(StoreError::NotFound("key"))));
}

#[doc(hidden)]
pub fn months_begin_at_midnight_and_never_twice(harness: &impl Harness) {
    let store = &harness.open();
    let ann = user(store, 1);
    let id = team(store, 1, ann, Plan::Pro);
    let key = key(store, 1, KeyKind::Workspace(id), |_| ()).id;
    // 2026-07-01T00:00:00.000Z
    let first = Timestamp::from_millis(1_782_864_000_000);
    let charge = |limit, at| match store.charge_request(key, limit, at).unwrap() {
        Charge::Counted(usage) => (true, usage.monthly_used, usage.total_used, usage.resets_at),
        Charge::Exhausted(usage) => (false, usage.monthly_used, usage.total_used, usage.resets_at),
    };
    assert_eq!(charge(1, NOW), (true, 1, 1, first));
    assert_eq!(charge(1, first.plus_millis(-1)), (false, 1, 1, first));
    assert_eq!(store.usage(key, first).unwrap().monthly_used, 0);
    let second = Timestamp::from_millis(1_785_542_400_000);
    assert_eq!(charge(1, first), (true, 1, 2, second));
    // The clock goes back into June: July goes on, there and afterwards.
    assert_eq!(charge(1, first.plus_millis(-1)), (false, 1, 2, second));
    assert_eq!(charge(2, first.plus_millis(-3_600_000)), (true, 2, 3, second));
    assert_eq!(charge(2, first), (false, 2, 3, second));
}

/// One request with a clock that is ahead, and then the clock is right again. Sabotage: let every later month go on, or
/// the next one on every day.
#[doc(hidden)]
pub fn a_clock_that_was_wrong_freezes_no_key(harness: &impl Harness) {
    let store = &harness.open();
    let ann = user(store, 1);
    let id = team(store, 1, ann, Plan::Pro);
    for (number, days_ahead) in [(1, 9 * 365), (2, 20), (3, 31)] {
        let key = key(store, number, KeyKind::Workspace(id), |_| ()).id;
        let ahead = NOW.plus_millis(days_ahead * 24 * 3_600_000);
        assert!(matches!(store.charge_request(key, 1, NOW).unwrap(), Charge::Counted(_)));
        assert!(matches!(store.charge_request(key, 1, ahead).unwrap(), Charge::Counted(_)));
        store.record_accepted_events(key, 5, ahead).unwrap();
        // 2026-07-01T00:00:00.000Z
        let first = Timestamp::from_millis(1_782_864_000_000);
        let usage = store.usage(key, NOW).unwrap();
        assert_eq!((usage.monthly_used, usage.total_used, usage.resets_at), (0, 2, first), "{days_ahead} days");
        let Charge::Counted(usage) = store.charge_request(key, 1, NOW).unwrap() else { panic!("the key is used up") };
        assert_eq!((usage.monthly_used, usage.total_used, usage.resets_at), (1, 3, first));
        assert!(matches!(store.charge_request(key, 1, NOW).unwrap(), Charge::Exhausted(_)), "this month counts again");
        assert_eq!(store.key(key).unwrap().unwrap().last_used_at, Some(NOW));
        let activity = store.activity(key, NOW).unwrap();
        assert_eq!((activity.last_24_hours.requests, activity.last_24_hours.accepted_events), (2, 0));
        assert_eq!((activity.all_time.requests, activity.all_time.accepted_events), (3, 5));
    }
}

#[doc(hidden)]
pub fn activity_is_kept_by_the_hour(harness: &impl Harness) {
    let store = &harness.open();
    let ann = user(store, 1);
    let id = team(store, 1, ann, Plan::Pro);
    let key = key(store, 1, KeyKind::Workspace(id), |_| ()).id;
    let hours = |n: i64| NOW.plus_millis(n * 3_600_000);
    let used = || store.key(key).unwrap().unwrap().last_used_at;
    assert_eq!(used(), None);
    store.charge_request(key, 100, hours(0)).unwrap();
    assert_eq!(used(), Some(NOW));
    store.charge_request(key, 100, NOW.plus_millis(59_999)).unwrap();
    assert_eq!(used(), Some(NOW), "written at most once a minute");
    store.charge_request(key, 100, NOW.plus_millis(60_000)).unwrap();
    assert_eq!(used(), Some(NOW.plus_millis(60_000)));
    store.record_accepted_events(key, 1_000, hours(0)).unwrap();
    store.charge_request(key, 100, hours(30)).unwrap();
    store.charge_request(key, 100, hours(200)).unwrap();
    store.record_accepted_events(key, 7, hours(200)).unwrap();
    let activity = store.activity(key, hours(200)).unwrap();
    let counts = |counts: crate::ActivityCounts| (counts.requests, counts.accepted_events);
    assert_eq!(counts(activity.last_24_hours), (1, 7));
    assert_eq!(counts(activity.all_time), (5, 1_007));
    let activity = store.activity(key, hours(167)).unwrap();
    assert_eq!(counts(activity.last_7_days), (5, 1_007), "the hour 0 is the 168th of the hour 167");
    assert_eq!(counts(store.activity(key, hours(240)).unwrap().last_7_days), (1, 7));
    let missing = KeyId::from_random_bytes([9; 16]);
    assert!(matches!(store.record_accepted_events(missing, 1, NOW), Err(StoreError::NotFound("key"))));
}

#[doc(hidden)]
pub fn dropped_agents_are_counted_bounded_and_forgotten(harness: &impl Harness) {
    let store = &harness.open();
    const DAY_MS: i64 = 86_400_000;
    let ann = user(store, 1);
    let id = team(store, 1, ann, Plan::Pro);
    let (one, two) = (website(store, 1, id).id, website(store, 2, id).id);
    let count = |website, agent: &str, hits, at: Timestamp| DroppedHits {
        website,
        agent: agent.to_owned(),
        reason: "listed".to_owned(),
        rule: "rule".to_owned(),
        hits,
        first_at: at,
        last_at: at,
    };
    let later = NOW.plus_millis(1_000);
    store.count_dropped_agents(&[count(one, "a", 2, NOW), count(two, "a", 1, NOW)], NOW).unwrap();
    store.count_dropped_agents(&[count(one, "a", 3, later), count(one, "b", 9, later)], later).unwrap();
    let expected = [count(one, "b", 9, later), DroppedHits { first_at: NOW, ..count(one, "a", 5, later) }];
    assert_eq!(store.dropped_agents(one, later).unwrap(), expected);
    assert_eq!(store.dropped_agents(two, later).unwrap().len(), 1);
    store.count_dropped_agents(&[count(two, "a", 1, later), count(two, "a", 1, NOW.plus_millis(-5))], later).unwrap();
    let both = DroppedHits { first_at: NOW.plus_millis(-5), ..count(two, "a", 3, later) };
    assert_eq!(store.dropped_agents(two, later).unwrap(), [both], "in whatever order they are written");

    let many: Vec<_> = (0..DROPPED_AGENTS_MAX).map(|n| count(one, &format!("agent {n}"), 1, later)).collect();
    store.count_dropped_agents(&many, later).unwrap();
    store.count_dropped_agents(&many, later).unwrap();
    let kept = store.dropped_agents(one, later).unwrap();
    assert_eq!(kept.len(), DROPPED_AGENTS_MAX + 1);
    assert_eq!(kept.iter().map(|kept| kept.hits).sum::<u64>(), 14 + 2 * many.len() as u64, "every hit is counted");
    assert!(kept.iter().any(|kept| kept.agent == OTHER_AGENTS && kept.rule.is_empty() && kept.reason == "listed"));
    assert_eq!((kept[0].agent.as_str(), kept[0].hits), ("b", 9), "the most frequent stay");

    let after = later.plus_millis(DROPPED_AGENTS_DAYS * DAY_MS);
    assert_eq!(store.dropped_agents(one, after).unwrap().len(), kept.len());
    assert_eq!(store.dropped_agents(one, after.plus_millis(1)).unwrap(), []);
    store.count_dropped_agents(&[], after.plus_millis(1)).unwrap();
    assert_eq!(store.dropped_agents(one, later).unwrap(), [], "and are gone");

    store.count_dropped_agents(&[count(one, "a", 1, NOW)], NOW).unwrap();
    store.delete_website(one, NOW).unwrap();
    assert_eq!(store.dropped_agents(one, NOW).unwrap(), []);
    store.count_dropped_agents(&[count(one, "a", 1, NOW)], NOW).unwrap();
    assert_eq!(store.dropped_agents(one, NOW).unwrap(), [], "nothing of a website that is gone");
}

#[doc(hidden)]
pub fn every_change_moves_the_version(harness: &impl Harness) {
    let store = &harness.open();
    let plans = PlanTable::default();
    let last = std::cell::Cell::new(store.data_version().unwrap());
    let moved = |what: &str, expected: bool| {
        let version = store.data_version().unwrap();
        assert_eq!(version > last.get(), expected, "{what}");
        last.set(version);
    };
    let (ann, bob) = (user(store, 1), user(store, 2));
    moved("a user alone", false);
    let id = team(store, 1, ann, Plan::Pro);
    moved("create_team", true);
    store.add_member(id, bob, Role::Viewer, &plans, NOW).unwrap();
    moved("add_member", true);
    store.add_member(id, bob, Role::Admin, &plans, NOW).unwrap();
    moved("another role", true);
    let site = website(store, 1, id);
    moved("create_website", true);
    store
        .edit_website(site.id, &mut |site| {
            site.settings.is_active = false;
            Ok(())
        })
        .unwrap();
    moved("edit_website", true);
    let key = key(store, 1, KeyKind::Personal(bob), |_| ()).id;
    moved("create_key", true);
    store.charge_request(key, 10, NOW).unwrap();
    store.record_accepted_events(key, 10, NOW).unwrap();
    moved("counting", false);
    store.edit_key(key, &KeyEdit { name: Some("other".to_owned()), ..KeyEdit::default() }).unwrap();
    moved("edit_key", true);
    store.revoke_key(key, NOW).unwrap();
    moved("revoke_key", true);
    store.set_plan(id, Plan::Scale).unwrap();
    moved("set_plan", true);
    store.remove_member(id, bob, NOW).unwrap();
    moved("remove_member", true);
    store.delete_website(site.id, NOW).unwrap();
    moved("delete_website", true);
}

/// A Pro team of two with a website, and a personal key of the second member for all teams.
struct Shared {
    owner: UserId,
    member: UserId,
    team: TeamId,
    website: Website,
    key: KeyRecord,
}

fn shared(store: &impl Store) -> Shared {
    let (owner, member) = (user(store, 1), user(store, 2));
    let team = team(store, 1, owner, Plan::Pro);
    store.add_member(team, member, Role::Editor, &PlanTable::default(), NOW).unwrap();
    let website = website(store, 1, team);
    let key = key(store, 1, KeyKind::Personal(member), |_| ());
    Shared { owner, member, team, website, key }
}

/// Sabotage: keep the cached answer for a second.
#[doc(hidden)]
pub fn what_one_changes_the_look_ups_of_another_show(harness: &impl Harness) {
    let store = Arc::new(harness.open());
    let Shared { member, team, website, key, .. } = shared(&*store);
    let directory = CachedDirectory::new(store);
    let other = harness.open();
    let plans = PlanTable::default();
    let target = Target::Website { id: website.id, team_id: team };
    let decision = || {
        let credential = directory.credential(&key.digest).unwrap().unwrap();
        decide(Principal::Key(&credential), Action::ReadAnalytics, &target, &plans).map(|()| credential.plan())
    };
    for _ in 0..2 {
        assert_eq!(decision(), Ok(Some(Plan::Pro)));
    }
    other.set_plan(team, Plan::Free).unwrap();
    assert_eq!(decision(), Err(Denial::PlanRequired));
    other.set_plan(team, Plan::Scale).unwrap();
    assert_eq!(decision(), Ok(Some(Plan::Scale)));
    other.remove_member(team, member, NOW).unwrap();
    assert_eq!(decision(), Err(Denial::MembershipLost));
    other.add_member(team, member, Role::Viewer, &plans, NOW).unwrap();
    assert_eq!(decision(), Ok(Some(Plan::Scale)));
    other.revoke_key(key.id, NOW).unwrap();
    assert_eq!(decision(), Err(Denial::Revoked));

    let code = &website.tracking_code;
    assert!(directory.website_by_code(code).unwrap().unwrap().settings.is_active);
    assert!(directory.website(website.id).unwrap().is_some());
    set_active(&other, website.id, false);
    assert!(!directory.website_by_code(code).unwrap().unwrap().settings.is_active);
    other.delete_website(website.id, NOW).unwrap();
    assert!(directory.website_by_code(code).unwrap().is_none());
    assert!(directory.website(website.id).unwrap().is_none());
}

fn set_active(store: &impl Store, id: WebsiteId, is_active: bool) {
    let mut change = |website: &mut Website| {
        website.settings.is_active = is_active;
        Ok(())
    };
    store.edit_website(id, &mut change).unwrap();
}

/// Sabotage: leave the own changes or the instant out of the comparisons in `CachedDirectory`.
#[doc(hidden)]
pub fn hits_see_own_changes_at_once_and_those_of_others_after_milliseconds(harness: &impl Harness) {
    let store = Arc::new(harness.open());
    let website = shared(&*store).website;
    let other = harness.open();
    let directory = CachedDirectory::new(Arc::clone(&store) as Arc<dyn Store>);
    let is_active = |at| directory.website_of_hit(&website.tracking_code, at).unwrap().unwrap().settings.is_active;
    assert!(is_active(NOW));
    set_active(&*store, website.id, false);
    assert!(!is_active(NOW));
    set_active(&*store, website.id, true);
    assert!(is_active(NOW));
    set_active(&other, website.id, false);
    assert!(!is_active(NOW.plus_millis(1)));
    set_active(&other, website.id, true);
    assert!(is_active(NOW), "a clock that was set back is another millisecond, too");

    let remembered = |at| directory.remembered_website_of_hit(&website.tracking_code, at);
    let shown = |at| remembered(at).map(|found| (found.website.unwrap().settings.is_active, found.must_renew));
    assert_eq!(shown(NOW.plus_millis(1)), Some((true, false)));
    set_active(&other, website.id, false);
    let later = NOW.plus_millis(2);
    assert_eq!(shown(later), Some((true, true)), "one caller renews what is known");
    assert_eq!(shown(later), Some((true, false)), "and one alone");
    assert!(shown(NOW.plus_millis(6)).is_none(), "what was read six milliseconds ago is not known");
    assert!(shown(NOW.plus_millis(-6)).is_none());
    directory.renew_version(later).unwrap();
    assert!(shown(later).is_none(), "another version: the website has to be read");
    assert!(!is_active(later));
    assert_eq!(shown(later.plus_millis(2)), Some((false, true)));
    directory.renew_version(later.plus_millis(2)).unwrap();
    assert_eq!(shown(later.plus_millis(4)), Some((false, true)), "renewed once, due again");
    set_active(&*store, website.id, true);
    assert!(shown(later.plus_millis(2)).is_none(), "an own change is seen at once");
}

/// Readers beside a writer. Sabotage: ask for the version after the data were read.
#[doc(hidden)]
pub fn no_look_up_is_older_than_a_change_that_was_finished(harness: &impl Harness) {
    const CHANGES: u64 = 300;
    let store = Arc::new(harness.open());
    let website = shared(&*store).website;
    let other = harness.open();
    let directory = CachedDirectory::new(store);
    let finished = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let expected = finished.load(Ordering::Acquire);
                    let found = directory.website(website.id).unwrap().unwrap();
                    let shown: u64 = found.name.trim_start_matches("Site ").parse().unwrap();
                    assert!(shown >= expected, "{shown} was shown after {expected} was stored");
                    if expected == CHANGES {
                        break;
                    }
                }
            });
        }
        // The name that it has begins the count.
        for number in 2..=CHANGES {
            let mut rename = |website: &mut Website| {
                website.name = format!("Site {number}");
                Ok(())
            };
            other.edit_website(website.id, &mut rename).unwrap();
            finished.store(number, Ordering::Release);
        }
    });
}

/// Sabotage: read the count, then write it.
#[doc(hidden)]
pub fn several_count_together(harness: &impl Harness) {
    let stores = [harness.open(), harness.open()];
    let key = shared(&stores[0]).key.id;
    let counted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for store in stores.iter().chain(&stores) {
            scope.spawn(|| {
                for _ in 0..40 {
                    if matches!(store.charge_request(key, 100, NOW).unwrap(), Charge::Counted(_)) {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(counted.into_inner(), 100);
    drop(stores);
    assert_eq!(harness.open().usage(key, NOW).unwrap().total_used, 100, "the count is kept");
}

/// Two owners who leave at the same time do not leave the team without one.
#[doc(hidden)]
pub fn of_parallel_leaving_owners_one_stays(harness: &impl Harness) {
    let (store, other) = (harness.open(), harness.open());
    let Shared { owner, member, team, .. } = shared(&store);
    store.add_member(team, member, Role::Owner, &PlanTable::default(), NOW).unwrap();
    let results = std::thread::scope(|scope| {
        let first = scope.spawn(|| store.remove_member(team, owner, NOW));
        let second = scope.spawn(|| other.remove_member(team, member, NOW));
        [first.join().unwrap(), second.join().unwrap()]
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert!(results.iter().any(|result| matches!(result, Err(StoreError::LastOwner))), "{results:?}");
}

#[doc(hidden)]
pub fn the_next_server_knows_the_clock_of_the_last(harness: &impl Harness) {
    let store = harness.open();
    assert_eq!(store.clock_memory().unwrap(), None);
    let version = store.data_version().unwrap();
    let trusted_at = Some(Timestamp::from_millis(1));
    let doubted = Some(DoubtedReading::new(Timestamp::from_millis(-5), 7));
    for memory in
        [ClockMemory::new(trusted_at, doubted), ClockMemory::new(None, doubted), ClockMemory::new(trusted_at, None)]
    {
        store.remember_clock(&memory).unwrap();
        assert_eq!(harness.open().clock_memory().unwrap(), Some(memory));
    }
    assert_eq!(store.data_version().unwrap(), version, "caches stay");
}

#[doc(hidden)]
pub fn valid_keys_are_the_newest_that_are_not_revoked(harness: &impl Harness) {
    let store = &harness.open();
    let owner = user(store, 1);
    team(store, 1, owner, Plan::Pro);
    for n in 1..=4 {
        let token = token(n);
        let new = new_key(n, &token, KeyKind::Personal(owner));
        store.create_key(&new, NOW.plus_millis(i64::from(n))).unwrap();
    }
    store.revoke_key(KeyId::from_random_bytes([3; 16]), NOW).unwrap();
    let digests = |numbers: &[u8]| numbers.iter().map(|n| token(*n).digest()).collect::<Vec<_>>();
    assert_eq!(store.valid_keys(10).unwrap(), digests(&[4, 2, 1]));
    assert_eq!(store.valid_keys(2).unwrap(), digests(&[4, 2]));
}

#[doc(hidden)]
pub fn a_whole_store_has_no_faults(harness: &impl Harness) {
    let store = harness.open();
    shared(&store);
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
}
