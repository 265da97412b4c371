//! Prints a table: which key may do which action on which website.
#![allow(clippy::print_stdout)]

use zenovay_auth::{Action, Credential, KeyKind, Target, TeamAccess, decide};
use zenovay_domain::{KeyId, Plan, PlanTable, Role, Scope, Scopes, TeamId, UserId, WebsiteId};

fn main() {
    let team = TeamId::from_random_bytes([1; 16]);
    let own = Target::Website { id: WebsiteId::from_random_bytes([2; 16]), team_id: team };
    let foreign =
        Target::Website { id: WebsiteId::from_random_bytes([3; 16]), team_id: TeamId::from_random_bytes([4; 16]) };
    let plans = PlanTable::default();
    for scope in Scope::ALL {
        let Some(scopes) = Scopes::new([scope]) else { continue };
        let credential = Credential {
            key_id: KeyId::from_random_bytes([5; 16]),
            name: scope.to_string(),
            kind: KeyKind::Personal(UserId::from_random_bytes([6; 16])),
            scopes,
            team_ids: None,
            website_ids: None,
            revoked: false,
            teams: vec![TeamAccess { team_id: team, plan: Plan::Pro, role: Role::Editor }],
        };
        for action in [Action::ReadAnalytics, Action::IngestBatch] {
            for (name, target) in [("own website", &own), ("foreign website", &foreign)] {
                let answer = match decide(Some(&credential), action, target, &plans) {
                    Ok(grant) => format!("allowed, plan {}", grant.plan),
                    Err(denial) => format!("denied: {denial}"),
                };
                println!("{:<12} {:<14} {name:<16} {answer}", scope.as_str(), format!("{action:?}"));
            }
        }
    }
}
