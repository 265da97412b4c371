//! Settings about people.

use serde::Serialize;
use utoipa::ToSchema;

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignUp {
    /// Anybody.
    Open,
    /// Whoever was invited into a team.
    Invitation,
    /// Nobody; accounts are made by the command line.
    Closed,
}

/// Who may change the plan of a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanChanges {
    /// Its owners.
    Owners,
    /// Whoever runs the server, by the command line.
    Operator,
}

/// Who may see the status page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusPage {
    /// Anybody.
    Public,
    /// Whoever is signed in.
    SignedIn,
    /// Nobody: there is none.
    Off,
}
