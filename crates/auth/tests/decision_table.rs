//! Every kind of caller × every action × every kind of target, against tables written down independently of the code,
//! and the rules about who may have which key.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use proptest::prelude::*;
use zenovay_auth::{
    Action, Credential, Denial, KeyDraft, KeyKind, KeyRefusal, Membership, Principal, SignedIn, Target, TargetKind,
    TeamAccess, check_key_name, decide, decide_plan, may_create_key, may_edit_key,
};
use zenovay_domain::{KeyId, KeyPolicy, Plan, PlanTable, Role, Scope, Scopes, TeamId, Timestamp, UserId, WebsiteId};

const OWN: u8 = 1;
const SECOND: u8 = 2;
const FOREIGN: u8 = 3;

/// The policy once more: the scope that a key needs, the role that is needed, and what it can be done to.
const POLICY: &[(Action, Option<Scope>, Role, &[TargetKind])] = {
    use TargetKind::{Account, Invitation, Key, Member, Team, Website};
    const READ: Option<Scope> = Some(Scope::Read);
    const WRITE: Option<Scope> = Some(Scope::Write);
    const ADMIN: Option<Scope> = Some(Scope::Admin);
    &[
        (Action::ReadUsage, READ, Role::Viewer, &[Account]),
        (Action::ListWebsites, READ, Role::Viewer, &[Account, Team]),
        (Action::ReadWebsite, READ, Role::Viewer, &[Website]),
        (Action::ReadAnalytics, READ, Role::Viewer, &[Account, Website]),
        (Action::ReadHeatmaps, READ, Role::Viewer, &[Account, Website]),
        (Action::ReadFunnels, READ, Role::Viewer, &[Website]),
        (Action::EditFunnels, WRITE, Role::Editor, &[Website]),
        (Action::ReadReplays, READ, Role::Viewer, &[Account, Website]),
        (Action::DeleteReplay, WRITE, Role::Editor, &[Website]),
        (Action::DeleteReplays, ADMIN, Role::Admin, &[Website]),
        (Action::ReadErrors, READ, Role::Viewer, &[Account, Website]),
        (Action::EditErrors, WRITE, Role::Editor, &[Website]),
        (Action::IngestBatch, WRITE, Role::Viewer, &[Account, Website]),
        (Action::ExportEvents, READ, Role::Editor, &[Website]),
        (Action::ExportTraits, ADMIN, Role::Admin, &[Website]),
        (Action::ExportVisitor, ADMIN, Role::Admin, &[Website]),
        (Action::EraseVisitor, ADMIN, Role::Admin, &[Website]),
        (Action::CreateWebsite, WRITE, Role::Editor, &[Account, Team]),
        (Action::EditWebsite, WRITE, Role::Editor, &[Website]),
        (Action::DeleteWebsite, WRITE, Role::Editor, &[Website]),
        (Action::ReadTeam, READ, Role::Viewer, &[Team]),
        (Action::ReadAudit, ADMIN, Role::Admin, &[Team]),
        (Action::EditTeam, ADMIN, Role::Admin, &[Team]),
        (Action::InviteMember, ADMIN, Role::Admin, &[Invitation]),
        (Action::ChangeRole, ADMIN, Role::Admin, &[Member]),
        (Action::RemoveMember, ADMIN, Role::Admin, &[Member]),
        (Action::ManageAccount, None, Role::Viewer, &[Account]),
        (Action::ManageKeys, ADMIN, Role::Admin, &[Account, Team, Key]),
        (Action::ManageBilling, ADMIN, Role::Owner, &[Team]),
        (Action::TransferTeam, None, Role::Owner, &[Team]),
        (Action::DeleteTeam, None, Role::Owner, &[Team]),
        (Action::ManageStatus, ADMIN, Role::Owner, &[Team]),
        (Action::ReadDoctor, ADMIN, Role::Admin, &[Team]),
    ]
};

fn team(n: u8) -> TeamId {
    TeamId::from_random_bytes([n; 16])
}

/// The first or second website of a team.
fn site(n: u8, index: u8) -> WebsiteId {
    WebsiteId::from_random_bytes([n * 16 + index; 16])
}

fn user(n: u8) -> UserId {
    UserId::from_random_bytes([n; 16])
}

/// The person who asks, or who owns the key that asks.
const SELF: u8 = 8;

fn website(n: u8, index: u8) -> Target {
    Target::Website { id: site(n, index), team_id: team(n) }
}

fn team_of(n: u8) -> Target {
    Target::Team { id: team(n) }
}

fn key_of(kind: KeyKind) -> Target {
    Target::Key { id: KeyId::from_random_bytes([7; 16]), kind }
}

fn member_of(n: u8, member: u8, role: Role) -> Target {
    Target::Member { team_id: team(n), user_id: user(member), role }
}

fn invitation_of(n: u8, role: Role) -> Target {
    Target::Invitation { team_id: team(n), role }
}

fn personal() -> KeyKind {
    KeyKind::Personal(user(SELF))
}

fn access(n: u8, plan: Plan, role: Role) -> TeamAccess {
    TeamAccess::new(team(n), plan, role)
}

fn key(scopes: Scopes, teams: &[TeamAccess]) -> Credential {
    let mut key = Credential::new(KeyId::from_random_bytes([9; 16]), personal(), scopes);
    key.teams = teams.to_vec();
    key
}

/// All 15 sets of scopes.
fn all_scopes() -> impl Iterator<Item = Scopes> {
    (1_u8..16).filter_map(scopes_of)
}

fn scopes_of(bits: u8) -> Option<Scopes> {
    Scopes::new(Scope::ALL.iter().copied().enumerate().filter(|(i, _)| bits & 1 << i != 0).map(|(_, scope)| scope))
}

#[test]
fn every_action_is_in_the_policy_and_needs_what_it_says() {
    assert_eq!(POLICY.iter().map(|(action, ..)| *action).collect::<Vec<_>>(), Action::ALL);
    for (action, scope, role, targets) in POLICY {
        assert_eq!((action.scope(), action.role(), action.targets()), (*scope, *role, *targets), "{action:?}");
        assert_ne!(*scope, Some(Scope::FullAccess), "{action:?}: full access is every scope, and no scope of its own");
    }
}

/// How a target stands to who asks.
#[derive(Debug, Clone, Copy)]
enum Relation {
    /// It is their own, and no team's.
    Own,
    /// It belongs to a team of theirs, where they have this role.
    Team(Role),
    /// It is the membership or invitation of somebody with the second role in such a team.
    Person(Role, Role),
    /// It is their own membership in such a team.
    Oneself(Role, Role),
    /// It belongs to others, or does not exist.
    Nothing,
}

/// Every kind of target, as it stands to a person with the role `role` in one team who is a viewer in another.
fn targets_of_person(role: Role) -> Vec<(Target, Relation)> {
    let mut targets = vec![
        (Target::Account, Relation::Own),
        (key_of(personal()), Relation::Own),
        (key_of(KeyKind::Personal(user(1))), Relation::Nothing),
    ];
    targets.extend(TargetKind::ALL.iter().skip(1).map(|kind| (Target::Unknown(*kind), Relation::Nothing)));
    for (n, relation) in
        [(OWN, Relation::Team(role)), (SECOND, Relation::Team(Role::Viewer)), (FOREIGN, Relation::Nothing)]
    {
        let things = [team_of(n), website(n, 0), website(n, 1), key_of(KeyKind::Workspace(team(n)))];
        targets.extend(things.map(|target| (target, relation)));
        for &theirs in Role::ALL {
            let (person, oneself) = match relation {
                Relation::Team(own) => (Relation::Person(own, theirs), Relation::Oneself(own, theirs)),
                other => (other, other),
            };
            targets.push((member_of(n, 1, theirs), person));
            targets.push((invitation_of(n, theirs), person));
            targets.push((member_of(n, SELF, theirs), oneself));
        }
    }
    targets
}

#[test]
fn every_role_action_and_target_of_a_person() {
    let mut cells = 0;
    for &plan in Plan::ALL {
        for &role in Role::ALL {
            let teams = vec![access(OWN, plan, role), access(SECOND, Plan::Free, Role::Viewer)];
            let person = SignedIn::new(user(SELF), teams);
            for &(action, _, needed, kinds) in POLICY {
                for (target, relation) in targets_of_person(role) {
                    let expected = match relation {
                        _ if !kinds.contains(&target.kind()) => Err(Denial::WrongTarget(target.kind())),
                        Relation::Own => Ok(()),
                        Relation::Nothing => Err(Denial::Unknown(target.kind())),
                        Relation::Oneself(..) if action == Action::RemoveMember => Ok(()),
                        Relation::Team(own) | Relation::Person(own, _) | Relation::Oneself(own, _) if own < needed => {
                            Err(Denial::MissingRole(needed))
                        }
                        Relation::Person(own, theirs) | Relation::Oneself(own, theirs)
                            if own == Role::Admin && matches!(theirs, Role::Admin | Role::Owner) =>
                        {
                            Err(Denial::MissingRole(Role::Owner))
                        }
                        Relation::Team(_) => match target {
                            Target::Website { team_id, .. } => {
                                let plan = if team_id == team(OWN) { plan } else { Plan::Free };
                                decide_plan(plan, action, &PlanTable::default())
                            }
                            _ => Ok(()),
                        },
                        Relation::Person(..) | Relation::Oneself(..) => Ok(()),
                    };
                    let answer = decide(Principal::Person(&person), action, &target, &PlanTable::default());
                    assert_eq!(answer, expected, "{role}, {action:?}, {target:?}");
                    cells += 1;
                }
            }
        }
    }
    assert_eq!(cells, 4 * 4 * POLICY.len() * (3 + TargetKind::ALL.len() - 1 + 3 * (4 + 3 * 4)));
}

/// The columns of the table of keys.
fn targets_of_key() -> [Target; 14] {
    [
        Target::Account,
        website(OWN, 0),
        website(OWN, 1),
        website(SECOND, 0),
        website(FOREIGN, 0),
        Target::Unknown(TargetKind::Website),
        team_of(OWN),
        team_of(SECOND),
        team_of(FOREIGN),
        member_of(OWN, 1, Role::Viewer),
        member_of(OWN, 1, Role::Owner),
        invitation_of(OWN, Role::Admin),
        key_of(personal()),
        key_of(KeyKind::Workspace(team(OWN))),
    ]
}

/// What a kind of key finds at each group of columns, when scope and role are right.
struct Reach {
    /// The account itself.
    account: Option<Denial>,
    /// Two websites of the own team, one of the second team, one of a foreign team.
    websites: [Option<Denial>; 4],
    /// The own team with its members and invitations, the second team, a foreign team.
    teams: [Option<Denial>; 3],
}

/// Kinds of keys whose owner has `role` in each team.
fn keys(scopes: Scopes, role: Role) -> Vec<(&'static str, Credential, Reach)> {
    use Denial::{MembershipLost as Lost, PlanRequired as Plan_, Revoked};
    const SITE: Denial = Denial::NotReachable(TargetKind::Website);
    const TEAM: Denial = Denial::NotReachable(TargetKind::Team);
    let paid = [access(OWN, Plan::Pro, role), access(SECOND, Plan::Scale, role)];
    let mixed = [access(OWN, Plan::Pro, role), access(SECOND, Plan::Free, role)];
    let one = &paid[..1];
    let named = |names: &[u8]| Some(names.iter().map(|n| team(*n)).collect());
    let with = |teams: &[TeamAccess], team_ids, website_ids: Option<Vec<WebsiteId>>| {
        let mut key = key(scopes, teams);
        (key.team_ids, key.website_ids) = (team_ids, website_ids);
        key
    };
    let workspace = |website_ids| {
        let mut key = with(&[access(OWN, Plan::Pro, Role::Admin)], None, website_ids);
        key.kind = KeyKind::Workspace(team(OWN));
        key
    };
    let mut revoked = with(&paid, None, None);
    revoked.revoked = true;
    let reach = |websites, teams| Reach { account: None, websites, teams };
    let refused = |denial| Reach { account: Some(denial), websites: [Some(denial); 4], teams: [Some(denial); 3] };
    let far = [Some(TEAM); 3];
    vec![
        ("all teams", with(&paid, None, None), reach([None, None, None, Some(SITE)], [None, None, Some(TEAM)])),
        (
            "one team",
            with(&paid, named(&[OWN]), None),
            reach([None, None, Some(SITE), Some(SITE)], [None, Some(TEAM), Some(TEAM)]),
        ),
        (
            "one website",
            with(&paid, None, Some(vec![site(OWN, 0)])),
            reach([None, Some(SITE), Some(SITE), Some(SITE)], far),
        ),
        (
            "left one of two named teams",
            with(one, named(&[OWN, SECOND]), None),
            reach([None, None, Some(Lost), Some(SITE)], [None, Some(Lost), Some(TEAM)]),
        ),
        ("left every team", with(&[], None, None), refused(Lost)),
        ("left the only named team", with(one, named(&[SECOND]), None), refused(Lost)),
        ("workspace", workspace(None), reach([None, None, Some(SITE), Some(SITE)], [None, Some(TEAM), Some(TEAM)])),
        (
            "workspace, one website",
            workspace(Some(vec![site(OWN, 1)])),
            reach([Some(SITE), None, Some(SITE), Some(SITE)], far),
        ),
        // The limits come from the paid team; the other one stays closed.
        (
            "a paid and a free team",
            with(&mixed, None, None),
            reach([None, None, Some(Plan_), Some(SITE)], [None, Some(Plan_), Some(TEAM)]),
        ),
        (
            "the website of the free team",
            with(&mixed, None, Some(vec![site(SECOND, 0)])),
            reach([Some(SITE), Some(SITE), Some(Plan_), Some(SITE)], far),
        ),
        ("free team", with(&mixed[1..], None, None), refused(Plan_)),
        ("names only the free team", with(&mixed, named(&[SECOND]), None), refused(Plan_)),
        ("revoked", revoked, refused(Revoked)),
    ]
}

#[test]
fn every_key_action_and_target() {
    let plans = PlanTable::default();
    let mut cells = 0;
    for (scopes, role) in all_scopes().flat_map(|scopes| Role::ALL.iter().map(move |&role| (scopes, role))) {
        for (name, credential, reach) in keys(scopes, role) {
            let role = if name.starts_with("workspace") { Role::Admin } else { role };
            for &(action, scope, needed, kinds) in POLICY {
                for (column, target) in targets_of_key().into_iter().enumerate() {
                    let (denial, theirs) = match column {
                        0 => (None, None),
                        1..=4 => (reach.websites[column - 1], None),
                        5 => (Some(Denial::Unknown(TargetKind::Website)), None),
                        6..=8 => (reach.teams[column - 6], None),
                        9 => (reach.teams[0], Some(Role::Viewer)),
                        10 => (reach.teams[0], Some(Role::Owner)),
                        11 => (reach.teams[0], Some(Role::Admin)),
                        12 => (Some(Denial::NotReachable(TargetKind::Key)), None),
                        _ => (reach.teams[0], None),
                    };
                    let denial = match denial {
                        Some(Denial::NotReachable(_)) => Some(Denial::NotReachable(target.kind())),
                        other => other,
                    };
                    let needed = if scope == Some(Scope::Admin) { needed.max(Role::Admin) } else { needed };
                    let held = |scope| scopes.iter().any(|held| held == scope || held == Scope::FullAccess);
                    let expected = match (scope, denial) {
                        _ if !kinds.contains(&target.kind()) => Err(Denial::WrongTarget(target.kind())),
                        _ if reach.account.is_some() => Err(reach.account.unwrap()),
                        (None, _) => Err(Denial::NotForKeys),
                        (Some(scope), _) if !held(scope) => Err(Denial::MissingScope(scope)),
                        (_, Some(denial)) => Err(denial),
                        _ if column == 0 => Ok(()),
                        _ if role < needed => Err(Denial::MissingRole(needed)),
                        _ if theirs.is_some_and(Role::is_admin) && role != Role::Owner => {
                            Err(Denial::MissingRole(Role::Owner))
                        }
                        _ => Ok(()),
                    };
                    let answer = decide(Principal::Key(&credential), action, &target, &plans);
                    assert_eq!(answer, expected, "{name}, {scopes}, {role}, {action:?}, {target:?}");
                    cells += 1;
                }
            }
        }
    }
    assert_eq!(cells, 15 * 4 * 13 * POLICY.len() * 14);
}

#[test]
fn the_highest_plan_sets_the_limits_and_the_table_can_be_changed() {
    let mut plans = PlanTable::default();
    let teams = [access(OWN, Plan::Free, Role::Editor), access(SECOND, Plan::Scale, Role::Editor)];
    let key = key(Scopes::FULL_ACCESS, &teams);
    let may = |key: &Credential, target, plans: &PlanTable| {
        let action = if target == Target::Account { Action::ReadUsage } else { Action::ReadAnalytics };
        decide(Principal::Key(key), action, &target, plans)
    };
    assert_eq!(key.plan(), Some(Plan::Scale));
    assert_eq!(may(&key, Target::Account, &plans), Ok(()));
    assert_eq!(may(&key, website(OWN, 0), &plans), Err(Denial::PlanRequired));
    assert!(!key.reaches(site(OWN, 0), team(OWN), &plans) && key.reaches(site(SECOND, 0), team(SECOND), &plans));
    let mut free = key;
    free.team_ids = Some(vec![team(OWN)]);
    assert_eq!(may(&free, Target::Account, &plans), Err(Denial::PlanRequired));
    plans.limits_mut(Plan::Free).requests_per_minute = 10;
    assert_eq!(may(&free, website(OWN, 0), &plans), Ok(()));
    assert!(free.reaches(site(OWN, 0), team(OWN), &plans));
    assert_eq!(free.plan(), Some(Plan::Free));
}

fn any_role() -> impl Strategy<Value = Role> {
    prop::sample::select(Role::ALL.to_vec())
}

fn any_plan() -> impl Strategy<Value = Plan> {
    prop::sample::select(Plan::ALL.to_vec())
}

fn any_action() -> impl Strategy<Value = Action> {
    prop::sample::select(Action::ALL.to_vec())
}

fn any_teams() -> impl Strategy<Value = Vec<TeamAccess>> {
    let membership = |n| prop::option::of((any_plan(), any_role()).prop_map(move |(plan, role)| access(n, plan, role)));
    (membership(OWN), membership(SECOND)).prop_map(|(own, second)| own.into_iter().chain(second).collect())
}

fn any_target() -> impl Strategy<Value = Target> {
    let place = prop::sample::select(vec![OWN, SECOND, FOREIGN]);
    let somebody = prop::sample::select(vec![1, SELF]);
    prop_oneof![
        Just(Target::Account),
        place.clone().prop_map(team_of),
        (place.clone(), 0_u8..2).prop_map(|(n, index)| website(n, index)),
        place.clone().prop_map(|n| key_of(KeyKind::Workspace(team(n)))),
        somebody.clone().prop_map(|n| key_of(KeyKind::Personal(user(n)))),
        (place.clone(), somebody, any_role()).prop_map(|(n, who, role)| member_of(n, who, role)),
        (place, any_role()).prop_map(|(n, role)| invitation_of(n, role)),
        prop::sample::select(TargetKind::ALL.to_vec()).prop_map(Target::Unknown),
    ]
}

prop_compose! {
    fn any_key()(
        bits in 1_u8..16,
        teams in any_teams(),
        names in prop::option::of(prop::sample::subsequence(vec![OWN, SECOND, FOREIGN], 1..=3)),
        sites in prop::option::of(prop::sample::subsequence(vec![(OWN, 0), (OWN, 1), (SECOND, 0), (FOREIGN, 0)], 1..=4)),
        revoked in prop::bool::weighted(0.1),
    ) -> Credential {
        let mut key = key(scopes_of(bits).unwrap(), &teams);
        key.team_ids = names.map(|names| names.into_iter().map(team).collect());
        key.website_ids = sites.map(|sites| sites.into_iter().map(|(n, index)| site(n, index)).collect());
        key.revoked = revoked;
        key
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Sabotage: ask the scope of a key, but not the role of its owner.
    #[test]
    fn a_key_does_nothing_that_its_owner_may_not(key in any_key(), action in any_action(), target in any_target()) {
        let owner = SignedIn::new(user(SELF), key.teams.clone());
        let plans = PlanTable::default();
        if decide(Principal::Key(&key), action, &target, &plans).is_ok() {
            prop_assert_eq!(decide(Principal::Person(&owner), action, &target, &plans), Ok(()));
        }
    }

    #[test]
    fn a_key_does_nothing_where_the_plan_has_no_api(key in any_key(), action in any_action(), target in any_target()) {
        let plans = PlanTable::default();
        let plan_of = |id| key.teams.iter().find(|team| team.team_id == id).map(|team| team.plan);
        if decide(Principal::Key(&key), action, &target, &plans).is_ok() {
            prop_assert!(!key.revoked);
            prop_assert!(key.plan().is_some_and(|plan| plans.has_api(plan)));
            match target {
                Target::Website { id, team_id } => {
                    prop_assert!(plan_of(team_id).is_some_and(|plan| plans.has_api(plan)));
                    prop_assert!(key.reaches(id, team_id, &plans));
                }
                Target::Team { id } => prop_assert!(plan_of(id).is_some_and(|plan| plans.has_api(plan))),
                _ => {}
            }
        }
    }

    #[test]
    fn a_restriction_never_adds(key in any_key(), action in any_action(), target in any_target()) {
        let plans = PlanTable::default();
        let mut free = key.clone();
        (free.team_ids, free.website_ids) = (None, None);
        if decide(Principal::Key(&key), action, &target, &plans).is_ok() {
            prop_assert_eq!(decide(Principal::Key(&free), action, &target, &plans), Ok(()));
        }
    }

    #[test]
    fn more_scopes_never_take_away(key in any_key(), bits in 1_u8..16, action in any_action(), target in any_target()) {
        let plans = PlanTable::default();
        let scopes = Scopes::new(key.scopes.iter().chain(scopes_of(bits).unwrap().iter())).unwrap();
        let mut more = key.clone();
        more.scopes = scopes;
        if decide(Principal::Key(&key), action, &target, &plans).is_ok() {
            prop_assert_eq!(decide(Principal::Key(&more), action, &target, &plans), Ok(()));
        }
    }

    #[test]
    fn a_stronger_role_never_takes_away(
        teams in any_teams(), stronger in any_role(), action in any_action(), target in any_target(),
    ) {
        let plans = PlanTable::default();
        let raised = teams.iter().map(|team| TeamAccess::new(team.team_id, team.plan, team.role.max(stronger))).collect();
        let (person, raised) = (SignedIn::new(user(SELF), teams), SignedIn::new(user(SELF), raised));
        if decide(Principal::Person(&person), action, &target, &plans).is_ok() {
            prop_assert_eq!(decide(Principal::Person(&raised), action, &target, &plans), Ok(()));
        }
    }

    /// Sabotage: apply the plan rule to people.
    #[test]
    fn plans_close_nothing_to_people_but_features(
        teams in any_teams(), plan in any_plan(), action in any_action(), target in any_target(),
    ) {
        prop_assume!(action.feature().is_none());
        let plans = PlanTable::default();
        let other = teams.iter().map(|team| TeamAccess::new(team.team_id, plan, team.role)).collect();
        let (person, other) = (SignedIn::new(user(SELF), teams), SignedIn::new(user(SELF), other));
        let may = |person| decide(Principal::Person(person), action, &target, &plans);
        prop_assert_eq!(may(&person), may(&other));
    }

    #[test]
    fn what_belongs_to_others_is_unknown_to_people(
        teams in any_teams(), action in any_action(), target in any_target(),
    ) {
        let team_id = match target {
            Target::Team { id } => id,
            Target::Website { team_id, .. }
            | Target::Member { team_id, .. }
            | Target::Invitation { team_id, .. }
            | Target::Key { kind: KeyKind::Workspace(team_id), .. } => team_id,
            _ => team(FOREIGN),
        };
        let is_own = matches!(target, Target::Account | Target::Key { kind: KeyKind::Personal(_), .. });
        if !is_own && !teams.iter().any(|team| team.team_id == team_id) {
            let person = SignedIn::new(user(SELF), teams);
            let missing = Target::Unknown(target.kind());
            let may = |target| decide(Principal::Person(&person), action, target, &PlanTable::default());
            prop_assert!(may(&target).is_err() || target.kind() == TargetKind::Account);
            prop_assert_eq!(may(&target).err(), may(&missing).err());
        }
    }
}

fn draft(kind: KeyKind, scopes: &str, team_ids: Option<&[u8]>) -> KeyDraft {
    let mut draft = KeyDraft::new("key".to_owned(), kind, scopes.parse().unwrap());
    draft.team_ids = team_ids.map(|ids| ids.iter().map(|n| team(*n)).collect());
    draft
}

fn member(n: u8, role: Role, key_policy: KeyPolicy) -> Membership {
    Membership::new(team(n), role, key_policy)
}

#[test]
fn names_have_1_to_64_characters() {
    for bad in ["", "   ", "a\nb", &"n".repeat(65), &"é".repeat(65)] {
        assert!(check_key_name(bad).is_err(), "{bad:?}");
    }
    for good in ["a", "Slack alerts", &"é".repeat(64)] {
        assert!(check_key_name(good).is_ok(), "{good:?}");
    }
}

#[test]
fn policy_and_role_decide_who_creates_personal_keys() {
    for &policy in KeyPolicy::ALL {
        for &role in Role::ALL {
            let expected = match (policy, role) {
                (KeyPolicy::AllMembers, _) | (KeyPolicy::OwnersAndAdmins, Role::Owner | Role::Admin) => Ok(()),
                _ => Err(KeyRefusal::Policy(team(OWN))),
            };
            for team_ids in [None, Some([OWN].as_slice())] {
                let result = may_create_key(&draft(personal(), "read", team_ids), &[member(OWN, role, policy)]);
                assert_eq!(result, expected, "{policy} {role}");
            }
        }
    }
}

#[test]
fn the_admin_scope_needs_the_role_in_every_covered_team() {
    let open = KeyPolicy::AllMembers;
    for &role in Role::ALL {
        let members = [member(OWN, Role::Owner, open), member(SECOND, role, open)];
        let expected = if role.is_admin() { Ok(()) } else { Err(KeyRefusal::AdminScope(team(SECOND))) };
        for scopes in ["admin", "read,admin"] {
            assert_eq!(may_create_key(&draft(personal(), scopes, None), &members), expected, "all teams, {role}");
            assert_eq!(may_create_key(&draft(personal(), scopes, Some(&[OWN, SECOND])), &members), expected, "{role}");
            assert_eq!(may_create_key(&draft(personal(), scopes, Some(&[OWN])), &members), Ok(()));
        }
        assert_eq!(may_create_key(&draft(personal(), "full_access", None), &members), Ok(()));
    }
}

#[test]
fn keys_reach_only_what_their_owner_reaches() {
    let members = [member(OWN, Role::Owner, KeyPolicy::AllMembers)];
    let create = |draft: &KeyDraft| may_create_key(draft, &members);
    assert_eq!(create(&draft(personal(), "read", Some(&[FOREIGN]))), Err(KeyRefusal::NotAMember(team(FOREIGN))));
    assert_eq!(create(&draft(personal(), "read", Some(&[]))), Err(KeyRefusal::NoTeam));
    assert_eq!(may_create_key(&draft(personal(), "read", None), &[]), Err(KeyRefusal::NoTeam));
    let with_sites = |sites: &[(WebsiteId, TeamId)]| {
        let mut draft = draft(personal(), "read", None);
        draft.website_ids = Some(sites.to_vec());
        draft
    };
    let (inside, outside) = ((site(OWN, 0), team(OWN)), (site(FOREIGN, 0), team(FOREIGN)));
    assert_eq!(create(&with_sites(&[])), Err(KeyRefusal::NoWebsite));
    assert_eq!(create(&with_sites(&[inside, outside])), Err(KeyRefusal::WebsiteOutside(outside.0)));
    assert_eq!(create(&with_sites(&[inside])), Ok(()));
}

#[test]
fn only_owners_and_admins_manage_workspace_keys_whatever_the_policy() {
    let kind = KeyKind::Workspace(team(OWN));
    for &role in Role::ALL {
        let expected = if role.is_admin() { Ok(()) } else { Err(KeyRefusal::WorkspaceRole(team(OWN))) };
        let result = may_create_key(&draft(kind, "full_access", None), &[member(OWN, role, KeyPolicy::NoOne)]);
        assert_eq!(result, expected, "{role}");
    }
    let elsewhere = [member(SECOND, Role::Owner, KeyPolicy::AllMembers)];
    assert_eq!(may_create_key(&draft(kind, "read", None), &elsewhere), Err(KeyRefusal::WorkspaceRole(team(OWN))));
    let owner = [member(OWN, Role::Owner, KeyPolicy::AllMembers)];
    assert_eq!(may_create_key(&draft(kind, "read", Some(&[OWN])), &owner), Err(KeyRefusal::WorkspaceTeams));
}

#[test]
fn an_edit_asks_the_policy_only_of_teams_that_are_new() {
    let closed = [member(OWN, Role::Editor, KeyPolicy::NoOne), member(SECOND, Role::Editor, KeyPolicy::NoOne)];
    let current = draft(personal(), "read", Some(&[OWN]));
    let edit = |wanted: &KeyDraft| may_edit_key(&current, wanted, &closed, Timestamp::from_millis(0));
    let mut renamed = current.clone();
    renamed.name = "other".to_owned();
    assert_eq!(edit(&renamed), Ok(()));
    assert_eq!(edit(&draft(personal(), "read", Some(&[OWN, SECOND]))), Err(KeyRefusal::Policy(team(SECOND))));
    assert_eq!(edit(&draft(personal(), "read", None)), Err(KeyRefusal::Policy(team(SECOND))));
    assert_eq!(edit(&draft(personal(), "admin", Some(&[OWN]))), Err(KeyRefusal::AdminScope(team(OWN))));
}

/// Sabotage: ask for the highest plan of the caller, or let people through.
#[test]
fn what_a_plan_does_not_include_is_closed_to_everybody_and_only_there() {
    let plans = PlanTable::default();
    let teams = [access(OWN, Plan::Pro, Role::Owner), access(SECOND, Plan::Free, Role::Owner)];
    let person = SignedIn::new(user(SELF), teams.to_vec());
    let funnels = [
        (Action::ReadFunnels, "funnels"),
        (Action::EditFunnels, "funnels"),
        (Action::ReadHeatmaps, "heatmaps"),
        (Action::ReadReplays, "replays"),
        (Action::ReadErrors, "errors"),
        (Action::EditErrors, "errors"),
    ];
    for (action, feature) in funnels {
        let person = |target| decide(Principal::Person(&person), action, &target, &plans);
        assert_eq!(person(website(OWN, 0)), Ok(()), "{action:?}");
        assert_eq!(person(website(SECOND, 0)), Err(Denial::NotInPlan(feature)), "{action:?}");
        assert_eq!(person(website(FOREIGN, 0)), Err(Denial::Unknown(TargetKind::Website)), "{action:?}");
        assert_eq!(decide_plan(Plan::Free, action, &plans), Err(Denial::NotInPlan(feature)));
        // Free with an API and without features, as an operator may have it.
        let mut open = plans.clone();
        open.limits_mut(Plan::Free).requests_per_minute = 10;
        let key = key(Scopes::FULL_ACCESS, &teams);
        let decided = decide(Principal::Key(&key), action, &website(SECOND, 0), &open);
        assert_eq!(decided, Err(Denial::NotInPlan(feature)), "{action:?}");
        open.limits_mut(Plan::Free).features.extend(zenovay_domain::Feature::ALL);
        assert_eq!(decide(Principal::Key(&key), action, &website(SECOND, 0), &open), Ok(()));
    }
    let others = Action::ALL.iter().filter(|action| funnels.iter().all(|(one, _)| one != *action));
    others.for_each(|action| assert_eq!(decide_plan(Plan::Free, *action, &plans), Ok(()), "{action:?}"));
}
