//! Every kind of key × every action × every kind of target, against a table written down independently of the code
//! (SECURITY A1, A5), and the rules about who may have which key.

use zenovay_auth::{
    Action, Credential, Denial, KeyDraft, KeyKind, KeyRefusal, Membership, PLAN_REQUIRED_MESSAGE, Target, TeamAccess,
    check_key_name, decide, may_create_key, may_edit_key,
};
use zenovay_domain::{
    ErrorCode, KeyId, KeyPolicy, Plan, PlanTable, Role, Scope, Scopes, TeamId, Timestamp, UserId, WebsiteId,
};

const OWN: u8 = 1;
const SECOND: u8 = 2;
const FOREIGN: u8 = 3;

fn team(n: u8) -> TeamId {
    TeamId::from_random_bytes([n; 16])
}

/// The first or second website of a team.
fn site(n: u8, index: u8) -> WebsiteId {
    WebsiteId::from_random_bytes([n * 16 + index; 16])
}

fn target(n: u8, index: u8) -> Target {
    Target::Website { id: site(n, index), team_id: team(n) }
}

fn personal() -> KeyKind {
    KeyKind::Personal(UserId::from_random_bytes([8; 16]))
}

fn key(scopes: Scopes, teams: &[(u8, Plan)]) -> Credential {
    let access = |(n, plan): &(u8, Plan)| TeamAccess { team_id: team(*n), plan: *plan, role: Role::Editor };
    Credential {
        key_id: KeyId::from_random_bytes([9; 16]),
        name: "key".to_owned(),
        kind: personal(),
        scopes,
        team_ids: None,
        website_ids: None,
        revoked: false,
        teams: teams.iter().map(access).collect(),
    }
}

/// All 15 sets of scopes.
fn all_scopes() -> impl Iterator<Item = Scopes> {
    (1_u8..16).filter_map(|bits| {
        Scopes::new(Scope::ALL.into_iter().enumerate().filter(|(i, _)| bits & 1 << i != 0).map(|(_, scope)| scope))
    })
}

/// Columns: account, own website, second website of that team, website of the second team, foreign website, no website.
fn targets() -> [Target; 6] {
    [Target::Account, target(OWN, 0), target(OWN, 1), target(SECOND, 0), target(FOREIGN, 0), Target::UnknownWebsite]
}

/// Kinds of keys, and what each target answers when the scope is right.
fn rows(scopes: Scopes) -> Vec<(&'static str, Credential, [Option<Denial>; 6])> {
    use Denial::{MembershipLost as Lost, PlanRequired, Revoked, WebsiteNotReachable as Far, WebsiteUnknown as Gone};
    let both = [(OWN, Plan::Pro), (SECOND, Plan::Free)];
    let with = |teams: &[(u8, Plan)], team_ids: Option<&[u8]>, website_ids: Option<Vec<WebsiteId>>| Credential {
        team_ids: team_ids.map(|ids| ids.iter().map(|n| team(*n)).collect()),
        website_ids,
        ..key(scopes, teams)
    };
    let workspace =
        |website_ids| Credential { kind: KeyKind::Workspace(team(OWN)), ..with(&both[..1], None, website_ids) };
    let one = |index| Some(vec![site(OWN, index)]);
    vec![
        ("all teams", with(&both, None, None), [None, None, None, None, Some(Far), Some(Gone)]),
        ("one team", with(&both, Some(&[OWN]), None), [None, None, None, Some(Far), Some(Far), Some(Gone)]),
        ("one website", with(&both, None, one(0)), [None, None, Some(Far), Some(Far), Some(Far), Some(Gone)]),
        (
            "left one of two named teams",
            with(&both[..1], Some(&[OWN, SECOND]), None),
            [None, None, None, Some(Lost), Some(Far), Some(Gone)],
        ),
        ("left every team", with(&[], None, None), [Some(Lost); 6]),
        ("left the only named team", with(&both[..1], Some(&[SECOND]), None), [Some(Lost); 6]),
        ("workspace", workspace(None), [None, None, None, Some(Far), Some(Far), Some(Gone)]),
        ("workspace, one website", workspace(one(1)), [None, Some(Far), None, Some(Far), Some(Far), Some(Gone)]),
        ("free team", with(&[(OWN, Plan::Free)], None, None), [Some(PlanRequired); 6]),
        ("names only the free team", with(&both, Some(&[SECOND]), None), [Some(PlanRequired); 6]),
        ("revoked", Credential { revoked: true, ..with(&both, None, None) }, [Some(Revoked); 6]),
    ]
}

#[test]
fn every_key_action_and_target() {
    let plans = PlanTable::default();
    let mut cells = 0;
    for scopes in all_scopes() {
        for (name, credential, columns) in rows(scopes) {
            // A key that is refused for its own account is refused before its scopes are asked.
            let refused_as_such = columns[0].is_some();
            for action in Action::ALL {
                // Written down again, not asked of the code: only the batch writes.
                let needed = if action == Action::IngestBatch { Scope::Write } else { Scope::Read };
                let held = scopes.iter().any(|scope| scope == needed || scope == Scope::FullAccess);
                for (target, column) in targets().into_iter().zip(columns) {
                    let expected = match column {
                        _ if !held && !refused_as_such => Err(Denial::MissingScope(needed)),
                        Some(denial) => Err(denial),
                        None => Ok(Plan::Pro),
                    };
                    let answer = decide(Some(&credential), action, &target, &plans).map(|grant| grant.plan);
                    assert_eq!(answer, expected, "{name}, {scopes}, {action:?}, {target:?}");
                    cells += 1;
                }
            }
        }
    }
    assert_eq!(cells, 15 * 11 * 8 * 6);
}

#[test]
fn without_a_key_nothing_is_allowed() {
    for action in Action::ALL {
        for target in targets() {
            assert_eq!(decide(None, action, &target, &PlanTable::default()), Err(Denial::InvalidKey));
        }
    }
}

#[test]
fn the_highest_plan_counts_and_the_table_can_be_changed() {
    let mut plans = PlanTable::default();
    let key = key(Scopes::FULL_ACCESS, &[(OWN, Plan::Free), (SECOND, Plan::Scale)]);
    let plan = |key: &Credential, plans: &PlanTable| {
        decide(Some(key), Action::ReadUsage, &Target::Account, plans).map(|grant| grant.plan)
    };
    assert_eq!(plan(&key, &plans), Ok(Plan::Scale));
    let free = Credential { team_ids: Some(vec![team(OWN)]), ..key };
    assert_eq!(plan(&free, &plans), Err(Denial::PlanRequired));
    plans.limits_mut(Plan::Free).requests_per_minute = 10;
    assert_eq!(plan(&free, &plans), Ok(Plan::Free));
}

#[test]
fn the_admin_scope_counts_only_where_the_owner_is_admin() {
    for scopes in ["admin", "full_access"] {
        let key = key(scopes.parse().unwrap(), &[(OWN, Plan::Pro)]);
        assert_eq!(Role::ALL.map(|role| key.holds(Scope::Admin, role)), [false, false, true, true], "{scopes}");
    }
    let key = key("read".parse().unwrap(), &[(OWN, Plan::Pro)]);
    assert!(!key.holds(Scope::Admin, Role::Owner));
    assert!(key.holds(Scope::Read, Role::Viewer));
}

#[test]
fn denials_have_the_codes_and_messages_of_the_documents() {
    use ErrorCode::{ApiPaidPlanRequired, Forbidden, NotFound, Unauthorized};
    let expected = [
        (Unauthorized, "Invalid API key", None),
        (Unauthorized, "Invalid API key", None),
        (ApiPaidPlanRequired, PLAN_REQUIRED_MESSAGE, None),
        (Forbidden, "Forbidden", Some("The API key lacks the read scope")),
        (NotFound, "Website not found", None),
        (Forbidden, "Forbidden", Some("Access denied to this website")),
        (Forbidden, "Forbidden", Some("Access denied to this website")),
    ];
    for (denial, expected) in Denial::ALL.into_iter().zip(expected) {
        assert_eq!((denial.error_code(), denial.message(), denial.details()), expected, "{denial:?}");
    }
    let literal = "The Zenovay API requires a paid plan. Upgrade to Pro or higher to use API keys.";
    assert_eq!(PLAN_REQUIRED_MESSAGE, literal);
}

fn draft(kind: KeyKind, scopes: &str, team_ids: Option<&[u8]>) -> KeyDraft {
    KeyDraft {
        name: "key".to_owned(),
        kind,
        scopes: scopes.parse().unwrap(),
        team_ids: team_ids.map(|ids| ids.iter().map(|n| team(*n)).collect()),
        website_ids: None,
    }
}

fn member(n: u8, role: Role, key_policy: KeyPolicy) -> Membership {
    Membership { team_id: team(n), role, key_policy, admits_keys_since: None }
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
    for policy in KeyPolicy::ALL {
        for role in Role::ALL {
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
    for role in Role::ALL {
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
    let with_sites = |sites: &[(WebsiteId, TeamId)]| KeyDraft {
        website_ids: Some(sites.to_vec()),
        ..draft(personal(), "read", None)
    };
    let (inside, outside) = ((site(OWN, 0), team(OWN)), (site(FOREIGN, 0), team(FOREIGN)));
    assert_eq!(create(&with_sites(&[])), Err(KeyRefusal::NoWebsite));
    assert_eq!(create(&with_sites(&[inside, outside])), Err(KeyRefusal::WebsiteOutside(outside.0)));
    assert_eq!(create(&with_sites(&[inside])), Ok(()));
}

#[test]
fn only_owners_and_admins_manage_workspace_keys_whatever_the_policy() {
    let kind = KeyKind::Workspace(team(OWN));
    for role in Role::ALL {
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
    assert_eq!(edit(&KeyDraft { name: "other".to_owned(), ..current.clone() }), Ok(()));
    assert_eq!(edit(&draft(personal(), "read", Some(&[OWN, SECOND]))), Err(KeyRefusal::Policy(team(SECOND))));
    assert_eq!(edit(&draft(personal(), "read", None)), Err(KeyRefusal::Policy(team(SECOND))));
    assert_eq!(edit(&draft(personal(), "admin", Some(&[OWN]))), Err(KeyRefusal::AdminScope(team(OWN))));
}
