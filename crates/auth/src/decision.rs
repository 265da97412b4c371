//! Who may do what in zenovay: its targets and principals in the words of [`crate::Grant`].

use zenovay_domain::{KeyId, Plan, PlanTable, Role, TeamId, UserId, WebsiteId};

use crate::{Action, Credential, Denial, KeyKind, Principal, SignedIn, TargetKind, TeamAccess, Thing};

/// What an action is aimed at.
#[non_exhaustive]
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

/// Decides whether `principal` may do `action` to `target`. This is the only place that decides; it refuses whatever it
/// does not allow.
///
/// The checks of a key come in this order: revoked, the membership, the highest plan, the scope, the target, the plan of
/// the target's own team, the role; see [`Grant::may`](crate::Grant::may). Plans without the API close nothing to people. What
/// needs a [feature](Action::feature) is closed to everybody, last of all, when the plan of the target's own team does not
/// include it. Everybody may end their own membership.
///
/// ```
/// use zenovay_auth::{
///     Action, Credential, Denial, KeyId, KeyKind, Plan, PlanTable, Principal, Role, Scope, SignedIn, Target, TeamAccess,
///     TeamId, UserId, WebsiteId, decide,
/// };
///
/// let team_id = TeamId::from_random_bytes([1; 16]);
/// let owner = UserId::from_random_bytes([3; 16]);
/// let teams = vec![TeamAccess::new(team_id, Plan::Pro, Role::Viewer)];
/// let website = Target::Website { id: WebsiteId::from_random_bytes([4; 16]), team_id };
/// let plans = PlanTable::default();
///
/// let mut key = Credential::new(KeyId::from_random_bytes([2; 16]), KeyKind::Personal(owner), "read".parse()?);
/// key.teams = teams.clone();
/// let key = Principal::Key(&key);
/// assert_eq!(decide(key, Action::ReadAnalytics, &website, &plans), Ok(()));
/// assert_eq!(decide(key, Action::EditWebsite, &website, &plans), Err(Denial::MissingScope(Scope::Write)));
///
/// // The person behind the key needs no scopes, but the role.
/// let person = SignedIn::new(owner, teams);
/// let person = Principal::Person(&person);
/// assert_eq!(decide(person, Action::EditWebsite, &website, &plans), Err(Denial::MissingRole(Role::Editor)));
/// # Ok::<(), zenovay_auth::domain::UnknownName>(())
/// ```
///
/// # Errors
///
/// The [`Denial`] with the first check that failed.
pub fn decide(principal: Principal<'_>, action: Action, target: &Target, plans: &PlanTable) -> Result<(), Denial> {
    if !action.targets().contains(&target.kind()) {
        return Err(Denial::WrongTarget(target.kind()));
    }
    let teams = match principal {
        Principal::Key(key) => {
            decide_key(key, action, target, plans)?;
            &key.teams
        }
        Principal::Person(person) => {
            decide_person(person, action, target)?;
            &person.teams
        }
    };
    match plan_of(teams, target) {
        Some(plan) => decide_plan(plan, action, plans),
        None => Ok(()),
    }
}

/// Decides whether the plan of a team includes what `action` needs. It is a part of [`decide`], and all that is to be decided for
/// those who need to be nobody, such as whoever holds a public link.
///
/// # Errors
///
/// [`Denial::NotInPlan`].
pub fn decide_plan(plan: Plan, action: Action, plans: &PlanTable) -> Result<(), Denial> {
    match action.feature() {
        Some(feature) if !plans.includes(plan, feature) => Err(Denial::NotInPlan(feature.as_str())),
        _ => Ok(()),
    }
}

/// The plan of the team that owns a website.
fn plan_of(teams: &[TeamAccess], target: &Target) -> Option<Plan> {
    let Target::Website { team_id, .. } = target else { return None };
    teams.iter().find(|team| team.team_id == *team_id).map(|team| team.plan)
}

fn decide_key(key: &Credential, action: Action, target: &Target, plans: &PlanTable) -> Result<(), Denial> {
    // The highest plan sets the limits of the key, so it is the one that has to include the API.
    if !key.revoked && key.plan().is_some_and(|plan| !plans.has_api(plan)) {
        return Err(Denial::PlanRequired);
    }
    let thing = match target {
        // The keys of people are their own.
        Target::Key { kind: KeyKind::Personal(_), .. } => Thing::unnamed(TargetKind::Key),
        _ => thing(target),
    };
    key.grant(plans).may(action, &thing)
}

fn decide_person(person: &SignedIn, action: Action, target: &Target) -> Result<(), Denial> {
    let thing = match *target {
        // The keys of other people are not even there.
        Target::Key { kind: KeyKind::Personal(owner), .. } if owner == person.user_id => thing(target).of_caller(),
        // Everybody may leave.
        Target::Member { team_id, user_id, .. }
            if action == Action::RemoveMember
                && user_id == person.user_id
                && person.teams.iter().any(|team| team.team_id == team_id) =>
        {
            return Ok(());
        }
        _ => thing(target),
    };
    person.grant().may(action, &thing)
}

/// The target as it stands to everybody.
fn thing(target: &Target) -> Thing<TeamId, WebsiteId, TargetKind> {
    let kind = target.kind();
    match *target {
        Target::Account => Thing::unnamed(kind).of_caller(),
        Target::Team { id } => Thing::unnamed(kind).of_team(id),
        Target::Website { id, team_id } => Thing::new(kind, id).of_team(team_id),
        Target::Key { kind: KeyKind::Workspace(team_id), .. } => Thing::unnamed(kind).of_team(team_id),
        Target::Key { kind: KeyKind::Personal(_), .. } => Thing::unnamed(kind),
        Target::Member { team_id, role, .. } | Target::Invitation { team_id, role } => {
            Thing::unnamed(kind).of_team(team_id).concerning(role)
        }
        Target::Unknown(_) => Thing::missing(kind),
    }
}
