//! Prints a table: which key, and which person, may do which action on which website.
#![allow(clippy::print_stdout)]

use zenovay_auth::{
    Action, Credential, KeyId, KeyKind, Plan, PlanTable, Principal, Role, Scope, Scopes, SignedIn, Target, TeamAccess,
    TeamId, UserId, WebsiteId, decide,
};

fn main() {
    let team_id = TeamId::from_random_bytes([1; 16]);
    let user_id = UserId::from_random_bytes([6; 16]);
    let access = |role| vec![TeamAccess::new(team_id, Plan::Pro, role)];
    for &scope in Scope::ALL {
        let Some(scopes) = Scopes::new([scope]) else { continue };
        let mut key = Credential::new(KeyId::from_random_bytes([5; 16]), KeyKind::Personal(user_id), scopes);
        key.teams = access(Role::Editor);
        print(&format!("key: {scope}"), Principal::Key(&key), team_id);
    }
    for &role in Role::ALL {
        let person = SignedIn::new(user_id, access(role));
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
