use zenovay_auth::SecretDigest;
use zenovay_domain::{InvitationId, KeyId, PlanTable, Role, TeamId, Timestamp, UserId};

use crate::Result;

/// How many open invitations a team has at most.
pub const INVITATIONS_MAX: usize = 200;

/// A member of a team, as other members see them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberFacts {
    /// The user.
    pub user_id: UserId,
    /// The address.
    pub email: String,
    /// The name.
    pub name: String,
    /// The role.
    pub role: Role,
    /// When they joined.
    pub joined_at: Timestamp,
    /// How many keys of theirs, not revoked, can reach the team.
    pub keys: u64,
}

impl MemberFacts {
    /// A member who joined at `joined_at` and has so many keys.
    pub fn new(
        user_id: UserId,
        email: impl Into<String>,
        name: impl Into<String>,
        role: Role,
        joined_at: Timestamp,
        keys: u64,
    ) -> Self {
        Self { user_id, email: email.into(), name: name.into(), role, joined_at, keys }
    }
}

/// An invitation to be created.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewInvitation<'a> {
    /// Its id, drawn at random.
    pub id: InvitationId,
    /// Into which team.
    pub team_id: TeamId,
    /// The digest of the secret in its link.
    pub digest: SecretDigest,
    /// The address that it is for; `None` for whoever has the link.
    pub email: Option<&'a str>,
    /// The role that it gives.
    pub role: Role,
    /// Whose it is, in words.
    pub invited_by: &'a str,
    /// The key that makes it, if one does: it ends with the key.
    pub key_id: Option<KeyId>,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
}

impl<'a> NewInvitation<'a> {
    /// An invitation for whoever has the link, that is not made by a key.
    pub const fn new(
        id: InvitationId,
        team_id: TeamId,
        digest: SecretDigest,
        role: Role,
        invited_by: &'a str,
        expires_at: Timestamp,
    ) -> Self {
        Self { id, team_id, digest, email: None, role, invited_by, key_id: None, expires_at }
    }
}

/// An invitation, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// Into which team.
    pub team_id: TeamId,
    /// The address that it is for; `None` for whoever has the link.
    pub email: Option<String>,
    /// The role that it gives.
    pub role: Role,
    /// Whose it is, in words.
    pub invited_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
}

impl Invitation {
    /// An invitation for whoever has the link.
    pub fn new(
        id: InvitationId,
        team_id: TeamId,
        role: Role,
        invited_by: impl Into<String>,
        created_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        Self { id, team_id, email: None, role, invited_by: invited_by.into(), created_at, expires_at }
    }
}

/// Teams as people work with them.
pub trait MembershipStore: Send + Sync {
    /// The members of a team, the longest standing first.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn member_facts(&self, id: TeamId) -> Result<Vec<MemberFacts>>;

    /// The role of a user in a team; `None` when they are not in it.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn role_in(&self, id: TeamId, user: UserId) -> Result<Option<Role>>;

    /// Gives the member, whose role is `from`, the role `to`. Invitations of theirs that it does not allow end.
    ///
    /// # Errors
    ///
    /// `NotFound("team")`, `NotFound("member")`, `MembershipChanged` when they have another role than `from`, `LastOwner`,
    /// `TooManyOwners`.
    fn change_role(&self, id: TeamId, user: UserId, from: Role, to: Role) -> Result<()>;

    /// Ends the membership of somebody with the role `role`, like [`remove_member`](crate::TeamStore::remove_member).
    ///
    /// # Errors
    ///
    /// `NotFound("member")`, `MembershipChanged` when they have another role, `LastOwner`.
    fn end_membership(&self, id: TeamId, user: UserId, role: Role, now: Timestamp) -> Result<()>;

    /// Makes the member `to` an owner and the owner `from` an admin.
    ///
    /// # Errors
    ///
    /// `NotFound("member")` when one of them is not in the team, `MembershipChanged` when `from` is not an owner.
    fn transfer_team(&self, id: TeamId, from: UserId, to: UserId) -> Result<()>;

    /// Makes an invitation at `now`. It takes the place of an earlier one of the team for the same address.
    ///
    /// # Errors
    ///
    /// `NotFound("team")`, `Conflict("invitation")` when the team has [`INVITATIONS_MAX`], `Conflict("email")` when a member
    /// has the address, `Invalid` for an address that cannot be one, `MembershipChanged` when the person `invited_by` may not
    /// invite to this role, `KeyRevoked` when the key is none that may invite.
    fn create_invitation(&self, invitation: &NewInvitation<'_>, now: Timestamp) -> Result<Invitation>;

    /// The invitations of a team that can be accepted at `now`, the newest first.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn invitations(&self, id: TeamId, now: Timestamp) -> Result<Vec<Invitation>>;

    /// The invitation `id`, when it can be accepted at `now`.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn invitation(&self, id: InvitationId, now: Timestamp) -> Result<Option<Invitation>>;

    /// The invitation with this secret, when it can be accepted at `now`.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn invitation_by_secret(&self, digest: &SecretDigest, now: Timestamp) -> Result<Option<Invitation>>;

    /// Takes an invitation back.
    ///
    /// # Errors
    ///
    /// `NotFound("invitation")`.
    fn delete_invitation(&self, id: InvitationId) -> Result<()>;

    /// Makes the user a member with the role of the invitation, which is gone then. `None` when it cannot be accepted at
    /// `now`, or is for another address; of two at the same time one does.
    ///
    /// # Errors
    ///
    /// `NotFound("user")`, `Conflict("member")` when they are in the team, and the errors of
    /// [`add_member`](crate::TeamStore::add_member); then the invitation stays.
    fn accept_invitation(
        &self,
        digest: &SecretDigest,
        user: UserId,
        plans: &PlanTable,
        now: Timestamp,
    ) -> Result<Option<Invitation>>;
}
