//! Who asks.

use zenovay_domain::{KeyId, Plan, PlanTable, Role, Scopes, TeamId, UserId, WebsiteId};

use crate::Grant;

/// Whose key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a key is of a person or of a team")]
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

/// A team in which somebody can act at the time of the request.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TeamAccess {
    /// The team.
    pub team_id: TeamId,
    /// The team's plan now.
    pub plan: Plan,
    /// The person's role in the team now; `Admin` for a workspace key, which its admins manage.
    pub role: Role,
}

impl TeamAccess {
    /// A team with its plan, and somebody's role in it.
    pub const fn new(team_id: TeamId, plan: Plan, role: Role) -> Self {
        Self { team_id, plan, role }
    }
}

/// A known API key with everything about its owner that a decision needs, as it is at the time of the request.
#[non_exhaustive]
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
    /// A key without a name, not restricted and not revoked, whose owner is in no team.
    pub const fn new(key_id: KeyId, kind: KeyKind, scopes: Scopes) -> Self {
        Self {
            key_id,
            name: String::new(),
            kind,
            scopes,
            team_ids: None,
            website_ids: None,
            revoked: false,
            teams: Vec::new(),
        }
    }

    /// The teams that the key reaches: those of its owner that its restriction leaves.
    pub fn reachable_teams(&self) -> impl Iterator<Item = &TeamAccess> {
        self.teams.iter().filter(|team| self.covers_team(team.team_id))
    }

    /// Whether the key can be used for the website `id` of the team `team_id`: it reaches the website, and the plan of
    /// that very team has the External API.
    pub fn reaches(&self, id: WebsiteId, team_id: TeamId, plans: &PlanTable) -> bool {
        self.covers_website(id)
            && self.reachable_teams().any(|team| team.team_id == team_id && plans.has_api(team.plan))
    }

    /// The plan that sets the key's limits: the highest among the teams it reaches ; `None` when it reaches no
    /// team.
    pub fn plan(&self) -> Option<Plan> {
        self.reachable_teams().map(|team| team.plan).max()
    }

    fn covers_team(&self, team_id: TeamId) -> bool {
        self.team_ids.as_ref().is_none_or(|ids| ids.contains(&team_id))
    }

    fn covers_website(&self, id: WebsiteId) -> bool {
        self.website_ids.as_ref().is_none_or(|ids| ids.contains(&id))
    }

    /// What it holds, where a team lets keys in whose plan includes the API.
    pub(crate) fn grant(&self, plans: &PlanTable) -> Grant<'_, TeamId, WebsiteId> {
        let mut grant = self.teams.iter().fold(Grant::key(self.scopes), |grant, team| match plans.has_api(team.plan) {
            true => grant.member(team.team_id, team.role),
            false => grant.member_without_keys(team.team_id, team.role),
        });
        if let Some(ids) = &self.team_ids {
            grant = grant.only_teams(ids);
        }
        if let Some(ids) = &self.website_ids {
            grant = grant.only_things(ids);
        }
        if self.revoked { grant.revoked() } else { grant }
    }
}

/// A person who is signed in, with the teams they are in at the time of the request.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The person.
    pub user_id: UserId,
    /// Their teams, with their role in each.
    pub teams: Vec<TeamAccess>,
}

impl SignedIn {
    /// A person who is in these teams.
    pub const fn new(user_id: UserId, teams: Vec<TeamAccess>) -> Self {
        Self { user_id, teams }
    }

    /// What they hold.
    pub(crate) fn grant(&self) -> Grant<'_, TeamId, WebsiteId> {
        self.teams.iter().fold(Grant::person(), |grant, team| grant.member(team.team_id, team.role))
    }
}

/// Who asks for something. What a person may do is bound to their roles; what a key may do is bound to the role of its
/// owner, and to its scopes, its restriction and the plans of its teams besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "who asks holds a key or is signed in")]
pub enum Principal<'a> {
    /// Whoever holds this key.
    Key(&'a Credential),
    /// A person.
    Person(&'a SignedIn),
}
