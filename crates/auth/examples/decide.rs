//! Prints a table: which key, and which person, may do which action on which website.
#![allow(clippy::print_stdout)]

use zenovay_auth::{Action, Credential, KeyKind, Principal, SignedIn, Target, TeamAccess, decide};
use zenovay_domain::{KeyId, Plan, PlanTable, Role, Scope, Scopes, TeamId, UserId, WebsiteId};

fn main() {
    let team_id = TeamId::from_random_bytes([1; 16]);
    let user_id = UserId::from_random_bytes([6; 16]);
    let access = |role| vec![TeamAccess { team_id, plan: Plan::Pro, role }];
    for scope in Scope::ALL {
        let Some(scopes) = Scopes::new([scope]) else { continue };
        let key = Credential {
            key_id: KeyId::from_random_bytes([5; 16]),
            name: scope.to_string(),
            kind: KeyKind::Personal(user_id),
            scopes,
            team_ids: None,
            website_ids: None,
            revoked: false,
            teams: access(Role::Editor),
        };
        print(&format!("key: {scope}"), Principal::Key(&key), team_id);
    }
    for role in Role::ALL {
        let person = SignedIn { user_id, teams: access(role) };
        print(&format!("person: {role}"), Principal::Person(&person), team_id);
    }
}

fn print(who: &str, principal: Principal<'_>, own: TeamId) {
    let foreign = TeamId::from_random_bytes([4; 16]);
    for action in [Action::ReadAnalytics, Action::EditWebsite, Action::EraseVisitor] {
        for (name, team_id) in [("own website", own), ("foreign website", foreign)] {
            let target = Target::Website { id: WebsiteId::from_random_bytes([2; 16]), team_id };
            let answer = match decide(principal, action, &target, &PlanTable::default()) {
                Ok(()) => "allowed".to_owned(),
                Err(denial) => format!("denied: {denial}"),
            };
            println!("{who:<16} {:<14} {name:<16} {answer}", format!("{action:?}"));
        }
    }
}
