//! Who may create or change which key.

use std::collections::BTreeSet;

use zenovay_domain::{KeyPolicy, Role, Scope, Scopes, TeamId, Timestamp, WebsiteId};

use crate::KeyKind;

/// The longest name of a key, in characters.
pub const KEY_NAME_MAX_CHARS: usize = 64;

/// A name that a key cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("name: a key needs a name of 1 to 64 characters without control characters")]
#[expect(clippy::exhaustive_structs, reason = "it says what there is to say")]
pub struct InvalidKeyName;

/// Checks the name of a key: 1 to 64 characters, not only spaces, no control characters.
///
/// # Errors
///
/// [`InvalidKeyName`] when it breaks that rule.
pub fn check_key_name(name: &str) -> Result<(), InvalidKeyName> {
    let long = name.chars().take(KEY_NAME_MAX_CHARS + 1).count() > KEY_NAME_MAX_CHARS;
    if long || name.trim().is_empty() || name.chars().any(char::is_control) { Err(InvalidKeyName) } else { Ok(()) }
}

/// A person's place in one team, with the rule of that team.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The team.
    pub team_id: TeamId,
    /// The person's role in it.
    pub role: Role,
    /// Who may create personal keys that reach the team.
    pub key_policy: KeyPolicy,
    /// Personal keys that the person created before this instant do not reach the team; `None` lets all of them.
    pub admits_keys_since: Option<Timestamp>,
}

impl Membership {
    /// A place in a team that all keys of the member reach.
    pub const fn new(team_id: TeamId, role: Role, key_policy: KeyPolicy) -> Self {
        Self { team_id, role, key_policy, admits_keys_since: None }
    }

    /// The same, in a team that keys created before `since` do not reach; `None` lets all of them.
    #[must_use]
    pub const fn admitting_since(self, since: Option<Timestamp>) -> Self {
        Self { admits_keys_since: since, ..self }
    }

    /// Whether the team lets a personal key reach it that this member created at `created_at`.
    ///
    /// A key comes to reach a team when it is created or changed, and also when its owner joins the team. The key policy
    /// decides at each of these moments, so a key that is older than the membership reaches the team only if the
    /// policy has let the member create keys since they joined; see [`admits_keys_since`].
    pub fn admits(&self, created_at: Timestamp) -> bool {
        self.admits_keys_since.is_none_or(|since| created_at >= since)
    }
}

/// [`Membership::admits_keys_since`] of somebody who joins a team with `role` under `policy` at `now`. When the policy or
/// the role changes so that the policy lets the member create keys, it becomes `None`. It stays when the policy becomes
/// stricter: keys that exist live on.
pub fn admits_keys_since(policy: KeyPolicy, role: Role, now: Timestamp) -> Option<Timestamp> {
    (!policy.allows(role)).then_some(now)
}

/// A key as somebody wants it to be.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDraft {
    /// Its name.
    pub name: String,
    /// Whose key it is.
    pub kind: KeyKind,
    /// What it may do.
    pub scopes: Scopes,
    /// The teams it is restricted to; `None` means every team its owner is in. Always `None` for a workspace key.
    pub team_ids: Option<Vec<TeamId>>,
    /// The websites it is restricted to, each with the team that owns it; `None` means all.
    pub website_ids: Option<Vec<(WebsiteId, TeamId)>>,
}

impl KeyDraft {
    /// A key that is not restricted.
    pub const fn new(name: String, kind: KeyKind, scopes: Scopes) -> Self {
        Self { name, kind, scopes, team_ids: None, website_ids: None }
    }
}

/// Why a key may not be created or changed.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// The name breaks the rule.
    #[error(transparent)]
    Name(#[from] InvalidKeyName),
    /// The key would reach no team.
    #[error("teams: the key would reach no team")]
    NoTeam,
    /// The key names a team that its owner is not in.
    #[error("teams: not a member of team {0}")]
    NotAMember(TeamId),
    /// The team's key policy does not let this member create keys.
    #[error("teams: the key policy of team {0} does not let this member create keys that reach it")]
    Policy(TeamId),
    /// The admin scope was asked for over a team where the person is neither owner nor admin.
    #[error("scopes: the admin scope needs the role owner or admin in team {0}")]
    AdminScope(TeamId),
    /// A workspace key was asked for by somebody who is neither owner nor admin.
    #[error("only owners and admins manage the workspace keys of team {0}")]
    WorkspaceRole(TeamId),
    /// A workspace key belongs to one team and takes no list of teams.
    #[error("teams: a workspace key belongs to its own team only")]
    WorkspaceTeams,
    /// The key would be restricted to websites, but names none.
    #[error("websites: the key would reach no website")]
    NoWebsite,
    /// The website belongs to a team that the key does not reach.
    #[error("websites: website {0} is in no team that the key reaches")]
    WebsiteOutside(WebsiteId),
}

/// Whether a person with these `memberships` may create the key `draft`.
///
/// ```
/// use zenovay_auth::{
///     KeyDraft, KeyKind, KeyPolicy, KeyRefusal, Membership, Role, TeamId, UserId, may_create_key,
/// };
///
/// let (team, user) = (TeamId::from_random_bytes([1; 16]), UserId::from_random_bytes([2; 16]));
/// let draft = |scopes: &str| scopes.parse().map(|scopes| KeyDraft::new("reports".into(), KeyKind::Personal(user), scopes));
/// let memberships = [Membership::new(team, Role::Editor, KeyPolicy::AllMembers)];
/// assert_eq!(may_create_key(&draft("read,write")?, &memberships), Ok(()));
/// assert_eq!(may_create_key(&draft("admin")?, &memberships), Err(KeyRefusal::AdminScope(team)));
/// # Ok::<(), zenovay_auth::domain::UnknownName>(())
/// ```
///
/// - A personal key needs, in every team it covers, that the person is a member and that the team's key policy lets them
///   create keys. A key for "all teams" covers every team the person is in now.
/// - The admin scope, named on its own, needs the role owner or admin in every covered team. Full access does not:
///   it is everything the owner can do, and the part of it that is admin counts only where they are admin.
/// - A workspace key needs the role owner or admin in its team, whatever the key policy says.
/// - Websites must belong to covered teams.
///
/// Plans are not asked here: a key of a team without a paid plan exists and is refused when it is used.
///
/// # Errors
///
/// The [`KeyRefusal`] with the first rule that is broken.
pub fn may_create_key(draft: &KeyDraft, memberships: &[Membership]) -> Result<(), KeyRefusal> {
    check(draft, memberships, &BTreeSet::new())
}

/// Whether a person with these `memberships` may turn the key `current`, created at `created_at`, into `draft`; both have
/// the same kind. The rules are those of [`may_create_key`], except that the key policy of a team that the key already
/// reaches is not asked again: policies apply when a key comes to reach a team. "All teams" covers the teams that
/// [admit](Membership::admits) the key.
///
/// # Errors
///
/// The [`KeyRefusal`] with the first rule that is broken.
pub fn may_edit_key(
    current: &KeyDraft,
    draft: &KeyDraft,
    memberships: &[Membership],
    created_at: Timestamp,
) -> Result<(), KeyRefusal> {
    let admitting: Vec<Membership> =
        memberships.iter().filter(|membership| membership.admits(created_at)).copied().collect();
    let reached = admitting
        .iter()
        .map(|membership| membership.team_id)
        .filter(|id| current.team_ids.as_ref().is_none_or(|ids| ids.contains(id)))
        .collect();
    let concerned = if draft.team_ids.is_none() { &admitting } else { memberships };
    check(draft, concerned, &reached)
}

fn check(draft: &KeyDraft, memberships: &[Membership], reached: &BTreeSet<TeamId>) -> Result<(), KeyRefusal> {
    check_key_name(&draft.name)?;
    let covered = match draft.kind {
        KeyKind::Personal(_) => check_personal(draft, memberships, reached)?,
        KeyKind::Workspace(team_id) => check_workspace(draft, team_id, memberships)?,
    };
    let Some(websites) = &draft.website_ids else { return Ok(()) };
    if websites.is_empty() {
        return Err(KeyRefusal::NoWebsite);
    }
    match websites.iter().find(|(_, team_id)| !covered.contains(team_id)) {
        Some((id, _)) => Err(KeyRefusal::WebsiteOutside(*id)),
        None => Ok(()),
    }
}

fn check_personal(
    draft: &KeyDraft,
    memberships: &[Membership],
    reached: &BTreeSet<TeamId>,
) -> Result<BTreeSet<TeamId>, KeyRefusal> {
    let covered: Vec<Membership> = match &draft.team_ids {
        None => memberships.to_vec(),
        Some(ids) => {
            let find = |id: &TeamId| memberships.iter().find(|membership| membership.team_id == *id).copied();
            ids.iter().map(|id| find(id).ok_or(KeyRefusal::NotAMember(*id))).collect::<Result<_, _>>()?
        }
    };
    if covered.is_empty() {
        return Err(KeyRefusal::NoTeam);
    }
    let asks_admin = draft.scopes.iter().any(|scope| scope == Scope::Admin);
    for Membership { team_id, role, key_policy, .. } in &covered {
        if !reached.contains(team_id) && !key_policy.allows(*role) {
            return Err(KeyRefusal::Policy(*team_id));
        }
        if asks_admin && !role.is_admin() {
            return Err(KeyRefusal::AdminScope(*team_id));
        }
    }
    Ok(covered.into_iter().map(|membership| membership.team_id).collect())
}

fn check_workspace(
    draft: &KeyDraft,
    team_id: TeamId,
    memberships: &[Membership],
) -> Result<BTreeSet<TeamId>, KeyRefusal> {
    if draft.team_ids.is_some() {
        return Err(KeyRefusal::WorkspaceTeams);
    }
    let manages = memberships.iter().any(|membership| membership.team_id == team_id && membership.role.is_admin());
    if manages { Ok(BTreeSet::from([team_id])) } else { Err(KeyRefusal::WorkspaceRole(team_id)) }
}
