//! What a credential may do. Everything that is not allowed here is refused.

use zenovay_domain::{ErrorCode, KeyId, Plan, PlanTable, Role, Scope, Scopes, TeamId, UserId, WebsiteId};

/// The message that S1 and S4 print for a key whose teams have no paid plan.
pub const PLAN_REQUIRED_MESSAGE: &str =
    "The Zenovay API requires a paid plan. Upgrade to Pro or higher to use API keys.";

/// Whose key it is (S3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Acts as its owner, in the teams that the owner is in now.
    Personal(UserId),
    /// Belongs to a team and survives every change of its members.
    Workspace(TeamId),
}

impl KeyKind {
    /// The names of all kinds.
    pub const NAMES: [&'static str; 2] = ["personal", "workspace"];

    /// The name on the command line and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Personal(_) => "personal",
            Self::Workspace(_) => "workspace",
        }
    }
}

/// A team in which a credential can act at the time of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TeamAccess {
    /// The team.
    pub team_id: TeamId,
    /// The team's plan now.
    pub plan: Plan,
    /// The owner's role in the team now; `Admin` for a workspace key, which its admins manage.
    pub role: Role,
}

/// A known API key with everything about its owner that a decision needs, as it is at the time of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The id of the key, under which it is limited and counted.
    pub key_id: KeyId,
    /// The name its owner gave it.
    pub name: String,
    /// Whose key it is.
    pub kind: KeyKind,
    /// What it may do.
    pub scopes: Scopes,
    /// The teams it is restricted to; `None` means every team its owner is in.
    pub team_ids: Option<Vec<TeamId>>,
    /// The websites it is restricted to; `None` means every website of its teams.
    pub website_ids: Option<Vec<WebsiteId>>,
    /// Whether it was revoked.
    pub revoked: bool,
    /// The teams its owner is in now, or the one team of a workspace key.
    pub teams: Vec<TeamAccess>,
}

impl Credential {
    /// The teams that the key reaches: those of its owner that its restriction leaves.
    pub fn reachable_teams(&self) -> impl Iterator<Item = &TeamAccess> {
        self.teams.iter().filter(|team| self.covers_team(team.team_id))
    }

    /// Whether the key reaches the website `id` of the team `team_id`.
    pub fn reaches(&self, id: WebsiteId, team_id: TeamId) -> bool {
        self.covers_website(id) && self.reachable_teams().any(|team| team.team_id == team_id)
    }

    /// The plan that sets the key's limits: the highest among the teams it reaches (SPEC C2 row 9); `None` when it
    /// reaches no team.
    pub fn plan(&self) -> Option<Plan> {
        self.reachable_teams().map(|team| team.plan).max()
    }

    /// Whether the key holds `scope` in a team where its owner has `role`. The admin scope, alone or as a part of full
    /// access, counts only where the owner is owner or admin at the time (S2, S3).
    pub fn holds(&self, scope: Scope, role: Role) -> bool {
        self.scopes.grants(scope) && (scope != Scope::Admin || role.is_admin())
    }

    fn covers_team(&self, team_id: TeamId) -> bool {
        self.team_ids.as_ref().is_none_or(|ids| ids.contains(&team_id))
    }

    fn covers_website(&self, id: WebsiteId) -> bool {
        self.website_ids.as_ref().is_none_or(|ids| ids.contains(&id))
    }
}

/// Something that a route does with a credential. Every route that takes a key names one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// `GET /usage`
    ReadUsage,
    /// `GET /websites`
    ListWebsites,
    /// `GET /websites/:websiteId`
    ReadWebsite,
    /// `GET /analytics/:websiteId` and the four routes below it
    ReadAnalytics,
    /// `GET /heatmaps/:websiteId/pages`
    ReadHeatmaps,
    /// `GET /replays/:websiteId/sessions`
    ReadReplays,
    /// `GET /errors/:websiteId/groups`
    ReadErrors,
    /// `POST /api/v1/events`
    IngestBatch,
}

impl Action {
    /// All actions, for tables in tests.
    pub const ALL: [Self; 8] = [
        Self::ReadUsage,
        Self::ListWebsites,
        Self::ReadWebsite,
        Self::ReadAnalytics,
        Self::ReadHeatmaps,
        Self::ReadReplays,
        Self::ReadErrors,
        Self::IngestBatch,
    ];

    /// The scope that the action needs (SPEC C1, C2 row 17, E11).
    pub const fn required_scope(self) -> Scope {
        match self {
            Self::ReadUsage
            | Self::ListWebsites
            | Self::ReadWebsite
            | Self::ReadAnalytics
            | Self::ReadHeatmaps
            | Self::ReadReplays
            | Self::ReadErrors => Scope::Read,
            Self::IngestBatch => Scope::Write,
        }
    }
}

/// What an action is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The credential's own account: its usage, the list of its websites.
    Account,
    /// An existing website.
    Website {
        /// The website.
        id: WebsiteId,
        /// The team that owns it.
        team_id: TeamId,
    },
    /// A website that was asked for and does not exist.
    UnknownWebsite,
}

/// A permission, and the plan whose limits apply to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The highest plan among the teams that the credential reaches.
    pub plan: Plan,
}

/// Why a credential may not do what it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Denial {
    /// No key, a malformed one, or one that nobody holds.
    #[error("the key is not known")]
    InvalidKey,
    /// The key was revoked.
    #[error("the key was revoked")]
    Revoked,
    /// None of the teams that the key reaches has a plan with the External API.
    #[error("no team of the key has a paid plan")]
    PlanRequired,
    /// The key lacks a scope.
    #[error("the key lacks the scope {0}")]
    MissingScope(Scope),
    /// There is no such website.
    #[error("there is no such website")]
    WebsiteUnknown,
    /// The website is outside the key's teams or websites.
    #[error("the website is outside the reach of the key")]
    WebsiteNotReachable,
    /// The key names a team, or all teams, but its owner is not a member now.
    #[error("the owner of the key is no longer a member")]
    MembershipLost,
}

impl Denial {
    /// All denials, for tables in tests.
    pub const ALL: [Self; 7] = [
        Self::InvalidKey,
        Self::Revoked,
        Self::PlanRequired,
        Self::MissingScope(Scope::Read),
        Self::WebsiteUnknown,
        Self::WebsiteNotReachable,
        Self::MembershipLost,
    ];

    /// The code on the wire (SPEC B5).
    pub const fn error_code(self) -> ErrorCode {
        match self {
            Self::InvalidKey | Self::Revoked => ErrorCode::Unauthorized,
            Self::PlanRequired => ErrorCode::ApiPaidPlanRequired,
            Self::WebsiteUnknown => ErrorCode::NotFound,
            Self::MissingScope(_) | Self::WebsiteNotReachable | Self::MembershipLost => ErrorCode::Forbidden,
        }
    }

    /// The message on the wire. It tells a holder of an unknown and of a revoked key the same thing.
    pub const fn message(self) -> &'static str {
        match self {
            Self::InvalidKey | Self::Revoked => "Invalid API key",
            Self::PlanRequired => PLAN_REQUIRED_MESSAGE,
            Self::WebsiteUnknown => "Website not found",
            Self::MissingScope(_) | Self::WebsiteNotReachable | Self::MembershipLost => "Forbidden",
        }
    }

    /// The short reason that goes with the message, for `error.details` (SPEC C2 row 14) and for metrics.
    pub const fn details(self) -> Option<&'static str> {
        match self {
            Self::InvalidKey | Self::Revoked | Self::PlanRequired | Self::WebsiteUnknown => None,
            Self::MissingScope(Scope::Read) => Some("The API key lacks the read scope"),
            Self::MissingScope(Scope::Write) => Some("The API key lacks the write scope"),
            Self::MissingScope(Scope::Admin) => Some("The API key lacks the admin scope"),
            Self::MissingScope(Scope::FullAccess) => Some("The API key lacks full access"),
            Self::WebsiteNotReachable | Self::MembershipLost => Some("Access denied to this website"),
        }
    }

    /// A name for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidKey => "invalid_key",
            Self::Revoked => "revoked",
            Self::PlanRequired => "plan_required",
            Self::MissingScope(_) => "missing_scope",
            Self::WebsiteUnknown => "website_unknown",
            Self::WebsiteNotReachable => "website_not_reachable",
            Self::MembershipLost => "membership_lost",
        }
    }
}

/// Decides whether the holder of `credential` may do `action` to `target`. `None` stands for a key that is missing,
/// malformed or unknown. This is the only place that decides; it refuses whatever it does not allow.
///
/// The checks come in this order: the key, the membership, the plan, the scope, the website. So a key without the right
/// scope learns nothing about which websites exist.
///
/// # Errors
///
/// The [`Denial`] with the first check that failed.
pub fn decide(
    credential: Option<&Credential>,
    action: Action,
    target: &Target,
    plans: &PlanTable,
) -> Result<Grant, Denial> {
    let credential = credential.ok_or(Denial::InvalidKey)?;
    if credential.revoked {
        return Err(Denial::Revoked);
    }
    let plan = credential.plan().ok_or(Denial::MembershipLost)?;
    if !plans.has_api(plan) {
        return Err(Denial::PlanRequired);
    }
    let scope = action.required_scope();
    if !credential.reachable_teams().any(|team| credential.holds(scope, team.role)) {
        return Err(Denial::MissingScope(scope));
    }
    match *target {
        Target::Account => {}
        Target::UnknownWebsite => return Err(Denial::WebsiteUnknown),
        Target::Website { id, team_id } => {
            if !credential.covers_team(team_id) || !credential.covers_website(id) {
                return Err(Denial::WebsiteNotReachable);
            }
            let named = credential.team_ids.is_some();
            let team = credential.teams.iter().find(|team| team.team_id == team_id);
            let team = team.ok_or(if named { Denial::MembershipLost } else { Denial::WebsiteNotReachable })?;
            if !credential.holds(scope, team.role) {
                return Err(Denial::MissingScope(scope));
            }
        }
    }
    Ok(Grant { plan })
}
