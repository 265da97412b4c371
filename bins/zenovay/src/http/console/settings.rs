//! What the operator of the server decided about people.

use zenovay_domain::Plan;

use crate::config::{Config, PlanChanges, SignUp, StatusPage};

/// What the operator decided.
#[derive(Debug, Clone)]
pub struct PeopleSettings {
    /// Who may make an account.
    pub sign_up: SignUp,
    /// The plan of new teams.
    pub new_team_plan: Plan,
    /// Whether owners may change the plan of their team.
    pub owners_change_plans: bool,
    /// Who may see the status page.
    pub status_page: StatusPage,
    /// Whether the server sends mail.
    pub has_mail: bool,
}

impl PeopleSettings {
    /// What `config` says.
    pub fn new(config: &Config) -> Self {
        Self {
            sign_up: config.sign_up,
            new_team_plan: config.new_team_plan,
            owners_change_plans: config.plan_changes == PlanChanges::Owners,
            status_page: config.status_page,
            has_mail: false,
        }
    }
}
