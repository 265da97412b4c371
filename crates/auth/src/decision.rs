//! Who may do what. Everything that is not allowed here is refused.

use zenovay_domain::{KeyId, PlanTable, Role, Scope, TeamId, UserId, WebsiteId};

use crate::{Action, Credential, KeyKind, Principal, SignedIn, TargetKind, TeamAccess};

/// What an action is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The caller's own account: the usage of a key, the list of one's websites, one's own keys.
    Account,
    /// A team.
    Team {
        /// The team.
        id: TeamId,
    },
    /// A website.
    Website {
        /// The website.
        id: WebsiteId,
        /// The team that owns it.
        team_id: TeamId,
    },
    /// An API key.
    Key {
        /// The key.
        id: KeyId,
        /// Whose it is.
        kind: KeyKind,
    },
    /// The membership of somebody in a team.
    Member {
        /// The team.
        team_id: TeamId,
        /// The member.
        user_id: UserId,
        /// The strongest role that the action concerns: the one they have, or the one they would get.
        role: Role,
    },
    /// The invitation of somebody into a team.
    Invitation {
        /// The team.
        team_id: TeamId,
        /// The strongest role that the action concerns: the one it gives, or would give.
        role: Role,
    },
    /// Something that was asked for and does not exist.
    Unknown(TargetKind),
}

impl Target {
    /// What kind of thing it is.
    pub const fn kind(&self) -> TargetKind {
        match self {
            Self::Account => TargetKind::Account,
            Self::Team { .. } => TargetKind::Team,
            Self::Website { .. } => TargetKind::Website,
            Self::Key { .. } => TargetKind::Key,
            Self::Member { .. } => TargetKind::Member,
            Self::Invitation { .. } => TargetKind::Invitation,
            Self::Unknown(kind) => *kind,
        }
    }
}

/// Why somebody may not do what they asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Denial {
    /// The key was revoked.
    #[error("the key was revoked")]
    Revoked,
    /// The key names a team, or all teams, but its owner is not a member now.
    #[error("the owner of the key is no longer a member")]
    MembershipLost,
    /// No team that the key reaches has a plan with the External API, or the team that owns the target has none.
    #[error("the External API needs a paid plan")]
    PlanRequired,
    /// No key may do this.
    #[error("this cannot be done with a key")]
    NotForKeys,
    /// The key lacks a scope.
    #[error("the key lacks the scope {0}")]
    MissingScope(Scope),
    /// The person, or the owner of the key, lacks a role in the team.
    #[error("this needs the role {0}")]
    MissingRole(Role),
    /// There is no such thing; also said of what a person has no part in.
    #[error("there is no such {}", .0.as_str())]
    Unknown(TargetKind),
    /// It is outside the key's teams or websites.
    #[error("the {} is outside the reach of the key", .0.as_str())]
    NotReachable(TargetKind),
    /// The action cannot be done to such a thing: a mistake of the program.
    #[error("this cannot be done to such a {}", .0.as_str())]
    WrongTarget(TargetKind),
}

impl Denial {
    /// A name for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::MembershipLost => "membership_lost",
            Self::PlanRequired => "plan_required",
            Self::NotForKeys => "not_for_keys",
            Self::MissingScope(_) => "missing_scope",
            Self::MissingRole(_) => "missing_role",
            Self::Unknown(_) => "unknown",
            Self::NotReachable(_) => "not_reachable",
            Self::WrongTarget(_) => "wrong_target",
        }
    }
}

/// Decides whether `principal` may do `action` to `target`. This is the only place that decides; it refuses whatever it
/// does not allow.
///
/// The checks of a key come in this order: revoked, the membership, the highest plan, the scope, the target, the plan of
/// the target's own team, the role. So a key without the right scope learns nothing about which websites exist. People
/// learn nothing about teams that they are not in: whatever belongs to these is unknown to them. Plans limit how many
/// websites and members a team has, but they close nothing to people.
///
/// # Errors
///
/// The [`Denial`] with the first check that failed.
pub fn decide(principal: Principal<'_>, action: Action, target: &Target, plans: &PlanTable) -> Result<(), Denial> {
    if !action.targets().contains(&target.kind()) {
        return Err(Denial::WrongTarget(target.kind()));
    }
    match principal {
        Principal::Key(key) => decide_key(key, action, target, plans),
        Principal::Person(person) => decide_person(person, action, target),
    }
}

fn decide_key(key: &Credential, action: Action, target: &Target, plans: &PlanTable) -> Result<(), Denial> {
    if key.revoked {
        return Err(Denial::Revoked);
    }
    let plan = key.plan().ok_or(Denial::MembershipLost)?;
    if !plans.has_api(plan) {
        return Err(Denial::PlanRequired);
    }
    let scope = action.scope().ok_or(Denial::NotForKeys)?;
    if !key.scopes.grants(scope) {
        return Err(Denial::MissingScope(scope));
    }
    let team_id = match *target {
        Target::Account => return Ok(()),
        Target::Unknown(kind) => return Err(Denial::Unknown(kind)),
        // No action lets a key manage keys; this one is out of reach whatever comes later.
        Target::Key { .. } => return Err(Denial::NotReachable(TargetKind::Key)),
        Target::Website { id, .. } if !key.covers_website(id) => return Err(Denial::NotReachable(TargetKind::Website)),
        Target::Website { team_id, .. } => team_id,
        // A key for some websites has no part in the rest of their teams.
        Target::Team { .. } | Target::Member { .. } | Target::Invitation { .. } if key.website_ids.is_some() => {
            return Err(Denial::NotReachable(target.kind()));
        }
        Target::Team { id: team_id } | Target::Member { team_id, .. } | Target::Invitation { team_id, .. } => team_id,
    };
    if !key.covers_team(team_id) {
        return Err(Denial::NotReachable(target.kind()));
    }
    let lost = if key.team_ids.is_some() { Denial::MembershipLost } else { Denial::NotReachable(target.kind()) };
    let team = access(&key.teams, team_id).ok_or(lost)?;
    if !plans.has_api(team.plan) {
        return Err(Denial::PlanRequired);
    }
    // The admin scope counts only where the owner of the key is owner or admin at the time (S2, S3).
    let needed = if scope == Scope::Admin { action.role().max(Role::Admin) } else { action.role() };
    check_role(team.role, needed, target)
}

fn decide_person(person: &SignedIn, action: Action, target: &Target) -> Result<(), Denial> {
    let unknown = Denial::Unknown(target.kind());
    let team_id = match *target {
        Target::Account => return Ok(()),
        Target::Unknown(_) => return Err(unknown),
        // Other people's keys are not even there.
        Target::Key { kind: KeyKind::Personal(owner), .. } => {
            return if owner == person.user_id { Ok(()) } else { Err(unknown) };
        }
        Target::Key { kind: KeyKind::Workspace(team_id), .. }
        | Target::Team { id: team_id }
        | Target::Website { team_id, .. }
        | Target::Member { team_id, .. }
        | Target::Invitation { team_id, .. } => team_id,
    };
    let team = access(&person.teams, team_id).ok_or(unknown)?;
    let is_self = matches!(*target, Target::Member { user_id, .. } if user_id == person.user_id);
    if is_self && action == Action::RemoveMember {
        return Ok(());
    }
    check_role(team.role, action.role(), target)
}

fn access(teams: &[TeamAccess], team_id: TeamId) -> Option<&TeamAccess> {
    teams.iter().find(|team| team.team_id == team_id)
}

/// Whether a member with the role `own` may act where `needed` is needed. Owners act on all memberships and invitations,
/// admins on those below their own rank (SPEC G4): nobody raises themselves or others to where they do not stand.
fn check_role(own: Role, needed: Role, target: &Target) -> Result<(), Denial> {
    if own < needed {
        return Err(Denial::MissingRole(needed));
    }
    match *target {
        Target::Member { role, .. } | Target::Invitation { role, .. } if role.is_admin() && own != Role::Owner => {
            Err(Denial::MissingRole(Role::Owner))
        }
        _ => Ok(()),
    }
}
