//! Decisions over actions, teams and things of another program than zenovay.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

use proptest::prelude::*;
use zenovay_auth::{Denial, Grant, Policy, Role, Scope, Scopes, Thing};

/// What can be done to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Read,
    Edit,
    Share,
    Sell,
}

impl Policy for Act {
    fn scope(&self) -> Option<Scope> {
        match self {
            Self::Read => Some(Scope::Read),
            Self::Edit => Some(Scope::Write),
            Self::Share => Some(Scope::Admin),
            Self::Sell => None,
        }
    }

    fn role(&self) -> Role {
        match self {
            Self::Read => Role::Viewer,
            Self::Edit | Self::Share => Role::Editor,
            Self::Sell => Role::Owner,
        }
    }
}

type Document = Thing<&'static str, u32, &'static str>;

fn document(id: u32) -> Document {
    Thing::new("document", id).of_team("press")
}

fn key(scopes: &str) -> Grant<'static, &'static str, u32> {
    Grant::key(scopes.parse().unwrap())
}

/// Sabotage: leave any one check out.
#[test]
fn a_key_is_refused_by_the_first_check_that_fails() {
    let all = "read,write,admin";
    let press = |scopes: &str, role| key(scopes).member("press", role);
    let reach = Denial::NotReachable("document");
    for (grant, act, thing, expected) in [
        (press(all, Role::Editor), Act::Edit, document(1), Ok(())),
        (press("full_access", Role::Admin), Act::Share, document(1), Ok(())),
        (press(all, Role::Viewer).revoked(), Act::Edit, document(1), Err(Denial::Revoked)),
        (key(all), Act::Edit, document(1), Err(Denial::MembershipLost)),
        (press(all, Role::Editor).only_teams(vec!["law"]), Act::Edit, document(1), Err(Denial::MembershipLost)),
        (key(all).member_without_keys("press", Role::Owner), Act::Read, document(1), Err(Denial::PlanRequired)),
        (press(all, Role::Owner), Act::Sell, document(1), Err(Denial::NotForKeys)),
        (press("read", Role::Owner), Act::Edit, document(1), Err(Denial::MissingScope(Scope::Write))),
        (press("read", Role::Owner), Act::Edit, Thing::missing("document"), Err(Denial::MissingScope(Scope::Write))),
        (press(all, Role::Owner), Act::Edit, Thing::missing("document"), Err(Denial::Unknown("document"))),
        (press(all, Role::Owner), Act::Edit, Thing::new("document", 1), Err(reach)),
        (press(all, Role::Owner), Act::Edit, Thing::new("document", 1).of_team("law"), Err(reach)),
        (press(all, Role::Owner).only_things(vec![2]), Act::Edit, document(1), Err(reach)),
        (press(all, Role::Owner).only_things(vec![2]), Act::Edit, document(2), Ok(())),
        (press(all, Role::Owner).only_things(vec![2]), Act::Edit, Thing::unnamed("rack").of_team("press"), {
            Err(Denial::NotReachable("rack"))
        }),
        (
            press(all, Role::Owner).only_teams(vec!["press", "law"]),
            Act::Edit,
            Thing::new("document", 1).of_team("law"),
            Err(Denial::MembershipLost),
        ),
        (
            press(all, Role::Owner).member_without_keys("law", Role::Owner),
            Act::Edit,
            Thing::new("document", 1).of_team("law"),
            Err(Denial::PlanRequired),
        ),
        (press(all, Role::Viewer), Act::Edit, document(1), Err(Denial::MissingRole(Role::Editor))),
        // The scope admin counts only for admins, whatever the action asks of people.
        (press(all, Role::Editor), Act::Share, document(1), Err(Denial::MissingRole(Role::Admin))),
        (press(all, Role::Viewer), Act::Edit, Thing::unnamed("profile").of_caller(), Ok(())),
    ] {
        assert_eq!(grant.may(act, &thing), expected, "{act:?} {thing:?} {grant:?}");
    }
}

#[test]
fn a_person_needs_a_role_and_knows_nothing_of_other_teams() {
    let person = |role| Grant::person().member("press", role).member_without_keys("law", Role::Owner);
    let unknown = Err(Denial::Unknown("document"));
    for (role, act, thing, expected) in [
        (Role::Viewer, Act::Read, document(1), Ok(())),
        (Role::Viewer, Act::Edit, document(1), Err(Denial::MissingRole(Role::Editor))),
        (Role::Editor, Act::Share, document(1), Ok(())),
        (Role::Owner, Act::Sell, document(1), Ok(())),
        (Role::Viewer, Act::Sell, Thing::new("document", 1).of_team("law"), Ok(())),
        (Role::Owner, Act::Read, Thing::new("document", 1).of_team("sales"), unknown),
        (Role::Owner, Act::Read, Thing::new("document", 1), unknown),
        (Role::Owner, Act::Read, Thing::missing("document"), unknown),
        (Role::Viewer, Act::Sell, Thing::unnamed("profile").of_caller(), Ok(())),
        (Role::Admin, Act::Edit, document(1).concerning(Role::Editor), Ok(())),
        (Role::Admin, Act::Edit, document(1).concerning(Role::Admin), Err(Denial::MissingRole(Role::Owner))),
        (Role::Owner, Act::Edit, document(1).concerning(Role::Owner), Ok(())),
    ] {
        assert_eq!(person(role).may(act, &thing), expected, "{role} {act:?} {thing:?}");
    }
    // What is said of a key says nothing of a person.
    let person = person(Role::Editor).revoked().only_teams(vec![]).only_things(vec![]);
    assert_eq!(person.may(Act::Edit, &document(1)), Ok(()));
}

fn any_role() -> impl Strategy<Value = Role> {
    prop::sample::select(Role::ALL.to_vec())
}

fn any_thing() -> impl Strategy<Value = Thing<u8, u8, String>> {
    (".{0,5}", 0..4_u8, 0..3_u8, 0..3_u8, prop::option::of(any_role())).prop_map(|(kind, owner, team, id, role)| {
        let thing = match owner {
            0 => Thing::new(kind, id).of_team(team),
            1 => Thing::unnamed(kind).of_team(team),
            2 => Thing::unnamed(kind).of_caller(),
            _ => Thing::missing(kind),
        };
        role.map_or(thing.clone(), |role| thing.concerning(role))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Sabotage: ask the scope of a key, but not the role of its owner.
    #[test]
    fn a_key_does_nothing_that_its_owner_may_not(
        bits in 1_u8..16,
        teams in prop::collection::vec((0..3_u8, any_role(), any::<bool>()), 0..4),
        only_teams in prop::option::of(prop::collection::vec(0..3_u8, 0..3)),
        only_things in prop::option::of(prop::collection::vec(0..3_u8, 0..3)),
        act in prop::sample::select(vec![Act::Read, Act::Edit, Act::Share, Act::Sell]),
        thing in any_thing(),
    ) {
        let scopes = Scopes::new((0..4).filter(|n| bits & 1 << n != 0).map(|n| Scope::ALL[n])).unwrap();
        let join = |grant: Grant<'static, u8, u8>| teams.iter().fold(grant, |grant, (team, role, open)| match open {
            true => grant.member(*team, *role),
            false => grant.member_without_keys(*team, *role),
        });
        let owner = join(Grant::person());
        let free = join(Grant::key(scopes));
        let mut key = free.clone();
        if let Some(teams) = only_teams {
            key = key.only_teams(teams);
        }
        if let Some(things) = only_things {
            key = key.only_things(things);
        }
        if let Err(denial) = key.may(act, &thing) {
            prop_assert!((400..=500).contains(&denial.status()));
            prop_assert!(Denial::<String>::REASONS.contains(&denial.as_str()));
            prop_assert!(!denial.to_string().is_empty());
        } else {
            prop_assert_eq!(owner.may(act, &thing), Ok(()));
            prop_assert_eq!(free.may(act, &thing), Ok(()), "a restriction never adds");
            prop_assert_eq!(key.clone().revoked().may(act, &thing), Err(Denial::Revoked));
        }
    }
}
