use diesel::dsl::exists;
use diesel::prelude::*;
use zenovay_auth::SecretDigest;
use zenovay_domain::{InvitationId, KeyId, PlanTable, Role, Scope, Scopes, TeamId, Timestamp, UserId};

use super::super::failed::Done;
use super::super::grants;
use super::super::keys::keys_reaching;
use super::super::rows::decode;
use super::super::teams::{admit_old_keys, change_role, end_membership, join, load_team, role_of, set_role};
use super::super::users::check_email;
use super::super::{Conn, SqlStore};
use super::sessions;
use crate::people_schema::invitations;
use crate::schema::{api_keys, memberships, users};
use crate::{INVITATIONS_MAX, Invitation, MemberFacts, MembershipStore, NewInvitation, Result, Standing, StoreError};

#[derive(Queryable, Selectable)]
#[diesel(table_name = invitations)]
struct InvitationRow {
    id: String,
    team_id: String,
    email: Option<String>,
    role: String,
    invited_by: String,
    created_at: i64,
    expires_at: i64,
}

impl TryFrom<InvitationRow> for Invitation {
    type Error = StoreError;

    fn try_from(row: InvitationRow) -> Result<Self> {
        Ok(Self {
            id: decode("invitations", "id", &row.id, &row.id)?,
            team_id: decode("invitations", "team_id", &row.id, &row.team_id)?,
            role: decode("invitations", "role", &row.id, &row.role)?,
            email: row.email,
            invited_by: row.invited_by,
            created_at: Timestamp::from_millis(row.created_at),
            expires_at: Timestamp::from_millis(row.expires_at),
        })
    }
}

fn by_secret(conn: &mut Conn, digest: &SecretDigest, now: Timestamp) -> Done<Option<Invitation>> {
    let open = invitations::digest.eq(digest.as_bytes().as_slice()).and(invitations::expires_at.gt(now.as_millis()));
    let row = invitations::table.filter(open).select(InvitationRow::as_select()).first(conn).optional()?;
    Ok(row.map(Invitation::try_from).transpose()?)
}

fn email_of(conn: &mut Conn, user: UserId) -> Done<String> {
    let email = users::table.find(user.to_string()).select(users::email_folded).first(conn).optional()?;
    Ok(email.ok_or(StoreError::NotFound("user"))?)
}

/// Whether somebody with this role may invite people to be `invited`: owners to any role, admins to those below theirs.
fn may_invite(role: Role, invited: Role) -> bool {
    role == Role::Owner || (role == Role::Admin && invited < Role::Admin)
}

/// Ends the invitations of `user` into a team that they may not make with the role they have now; all of them without one.
pub(in super::super) fn end_invitations(conn: &mut Conn, team: TeamId, user: UserId, role: Option<Role>) -> Done<()> {
    let kept: Vec<&str> = Role::ALL
        .iter()
        .filter(|&&invited| role.is_some_and(|role| may_invite(role, invited)))
        .map(|invited| invited.as_str())
        .collect();
    let email: String = users::table.find(user.to_string()).select(users::email).first(conn)?;
    let theirs = invitations::team_id.eq(team.to_string()).and(invitations::invited_by.eq(email));
    diesel::delete(invitations::table.filter(theirs.and(invitations::role.ne_all(kept)))).execute(conn)?;
    Ok(())
}

/// Keeps the invitations of somebody theirs when their address changes.
pub(in super::super) fn rename_inviter(conn: &mut Conn, user: &str, email: &str) -> Done<()> {
    let old: Option<String> = users::table.find(user).select(users::email).first(conn).optional()?;
    diesel::update(invitations::table.filter(invitations::invited_by.eq(old.unwrap_or_default())))
        .set(invitations::invited_by.eq(email))
        .execute(conn)?;
    Ok(())
}

/// Ends all invitations of somebody whose account goes.
pub(in super::super) fn end_all_invitations(conn: &mut Conn, user: UserId) -> Done<()> {
    let email: Option<String> = users::table.find(user.to_string()).select(users::email).first(conn).optional()?;
    diesel::delete(invitations::table.filter(invitations::invited_by.eq(email.unwrap_or_default()))).execute(conn)?;
    Ok(())
}

/// Refuses the invitation of somebody who lost the right to make it a moment ago. A team's own key is nobody's.
fn check_inviter(conn: &mut Conn, invitation: &NewInvitation<'_>) -> Done<()> {
    let inviter = users::table.filter(users::email.eq(invitation.invited_by)).select(users::id);
    let Some(id) = inviter.first::<String>(conn).optional()? else { return Ok(()) };
    let role = role_of(conn, invitation.team_id, decode("users", "id", &id, &id)?)?;
    let may = role.is_some_and(|role| may_invite(role, invitation.role));
    if may { Ok(()) } else { Err(StoreError::MembershipChanged.into()) }
}

/// Refuses what somebody may not do any more who was allowed to a moment ago.
pub(in super::super) fn check_standing(conn: &mut Conn, standing: Standing) -> Done<()> {
    if let Some(session) = standing.session
        && !sessions::goes_on(conn, session)?
    {
        return Err(StoreError::SignedOut.into());
    }
    // With the membership its grants end: what ended is told first.
    if let Some(grant) = standing.grant
        && !grants::goes_on(conn, grant)?
    {
        return Err(StoreError::GrantEnded.into());
    }
    if let Some((team, user, least)) = standing.member {
        let role = role_of(conn, team, user)?;
        if role.is_none_or(|role| role < least) {
            return Err(StoreError::MembershipChanged.into());
        }
    }
    if let Some((key, scope)) = standing.key
        && !scopes_of(conn, key)?.is_some_and(|scopes| scopes.grants(scope))
    {
        return Err(StoreError::MembershipChanged.into());
    }
    Ok(())
}

/// The scopes of a key that is not revoked.
fn scopes_of(conn: &mut Conn, key: KeyId) -> Done<Option<Scopes>> {
    let alive = api_keys::table.find(key.to_string()).filter(api_keys::revoked_at.is_null()).select(api_keys::scopes);
    let scopes: Option<String> = alive.first(conn).optional()?;
    Ok(scopes.map(|scopes| decode("api_keys", "scopes", &key.to_string(), &scopes)).transpose()?)
}

/// Refuses the invitation of a key that was revoked, or lost the right to make it, a moment ago.
fn check_key(conn: &mut Conn, key: KeyId) -> Done<()> {
    let may = scopes_of(conn, key)?.is_some_and(|scopes| scopes.grants(Scope::Admin));
    if may { Ok(()) } else { Err(StoreError::KeyRevoked.into()) }
}

/// Ends the invitations that a key with these scopes and teams may not make. Those of keys that are revoked or gone the database
/// ends by itself.
pub(in super::super) fn end_invitations_of_key(
    conn: &mut Conn,
    key: KeyId,
    scopes: Scopes,
    teams: Option<&[TeamId]>,
) -> Done<()> {
    let theirs = invitations::table.filter(invitations::key_id.eq(key.to_string()));
    if !scopes.grants(Scope::Admin) {
        diesel::delete(theirs).execute(conn)?;
    } else if let Some(teams) = teams {
        let teams: Vec<String> = teams.iter().map(TeamId::to_string).collect();
        diesel::delete(theirs.filter(invitations::team_id.ne_all(teams))).execute(conn)?;
    }
    Ok(())
}

/// Refuses when the role of a member is another one.
fn require_role(conn: &mut Conn, team: TeamId, user: UserId, role: Role) -> Done<()> {
    let present = role_of(conn, team, user)?.ok_or(StoreError::NotFound("member"))?;
    if present == role { Ok(()) } else { Err(StoreError::MembershipChanged.into()) }
}

pub(super) fn forget(conn: &mut Conn, now: Timestamp) -> Done<()> {
    diesel::delete(invitations::table.filter(invitations::expires_at.le(now.as_millis()))).execute(conn)?;
    Ok(())
}

impl MembershipStore for SqlStore {
    fn member_facts(&self, id: TeamId) -> Result<Vec<MemberFacts>> {
        type Row = (String, String, String, String, i64, Option<i64>);
        self.read(|conn| {
            let rows: Vec<Row> = memberships::table
                .inner_join(users::table)
                .filter(memberships::team_id.eq(id.to_string()))
                .order((memberships::created_at, memberships::user_id))
                .select((
                    memberships::user_id,
                    users::email,
                    users::name,
                    memberships::role,
                    memberships::created_at,
                    memberships::admits_keys_since,
                ))
                .load(conn)?;
            let fact = |(user, email, name, role, joined_at, since): Row| -> Done<MemberFacts> {
                let user_id = decode("memberships", "user_id", &user, &user)?;
                Ok(MemberFacts {
                    user_id,
                    email,
                    name,
                    role: decode("memberships", "role", &format!("{id} {user}"), &role)?,
                    joined_at: Timestamp::from_millis(joined_at),
                    keys: keys_reaching(conn, id, user_id, since)?,
                })
            };
            rows.into_iter().map(fact).collect()
        })
    }

    fn role_in(&self, id: TeamId, user: UserId) -> Result<Option<Role>> {
        self.ask(|conn| role_of(conn, id, user))
    }

    fn change_role(&self, id: TeamId, user: UserId, from: Role, to: Role) -> Result<()> {
        self.write(|conn| {
            let team = load_team(conn, id)?.ok_or(StoreError::NotFound("team"))?;
            require_role(conn, id, user, from)?;
            change_role(conn, &team, user, from, to)
        })
    }

    fn end_membership(&self, id: TeamId, user: UserId, role: Role, now: Timestamp) -> Result<()> {
        self.write(|conn| {
            require_role(conn, id, user, role)?;
            end_membership(conn, id, user, role, now)
        })
    }

    fn transfer_team(&self, id: TeamId, from: UserId, to: UserId) -> Result<()> {
        self.write(|conn| {
            let team = load_team(conn, id)?.ok_or(StoreError::NotFound("team"))?;
            role_of(conn, id, to)?.ok_or(StoreError::NotFound("member"))?;
            require_role(conn, id, from, Role::Owner)?;
            if from == to {
                return Ok(());
            }
            set_role(conn, id, from, Role::Admin)?;
            set_role(conn, id, to, Role::Owner)?;
            admit_old_keys(conn, id, team.key_policy)
        })
    }

    fn create_invitation(&self, invitation: &NewInvitation<'_>, now: Timestamp) -> Result<Invitation> {
        if let Some(email) = invitation.email {
            check_email(email)?;
        }
        let team = invitation.team_id.to_string();
        self.write(|conn| {
            load_team(conn, invitation.team_id)?.ok_or(StoreError::NotFound("team"))?;
            check_inviter(conn, invitation)?;
            invitation.key_id.map(|key| check_key(conn, key)).transpose()?;
            forget(conn, now)?;
            if let Some(email) = invitation.email {
                let folded = email.to_lowercase();
                let members = memberships::table
                    .inner_join(users::table)
                    .filter(memberships::team_id.eq(&team).and(users::email_folded.eq(&folded)));
                if diesel::select(exists(members)).get_result(conn)? {
                    return Err(StoreError::Conflict("email").into());
                }
                let open: Vec<(String, Option<String>)> = invitations::table
                    .filter(invitations::team_id.eq(&team))
                    .select((invitations::id, invitations::email))
                    .load(conn)?;
                let is_same =
                    |email: &Option<String>| email.as_ref().is_some_and(|email| email.to_lowercase() == folded);
                let same: Vec<String> =
                    open.into_iter().filter(|(_, email)| is_same(email)).map(|(id, _)| id).collect();
                diesel::delete(invitations::table.filter(invitations::id.eq_any(same))).execute(conn)?;
            }
            let open: i64 = invitations::table.filter(invitations::team_id.eq(&team)).count().get_result(conn)?;
            if usize::try_from(open).unwrap_or(usize::MAX) >= INVITATIONS_MAX {
                return Err(StoreError::Conflict("invitation").into());
            }
            let id = invitation.id.to_string();
            diesel::insert_into(invitations::table)
                .values((
                    invitations::id.eq(&id),
                    invitations::team_id.eq(&team),
                    invitations::digest.eq(invitation.digest.as_bytes().as_slice()),
                    invitations::email.eq(invitation.email),
                    invitations::role.eq(invitation.role.as_str()),
                    invitations::invited_by.eq(invitation.invited_by),
                    invitations::key_id.eq(invitation.key_id.map(|key| key.to_string())),
                    invitations::created_at.eq(now.as_millis()),
                    invitations::expires_at.eq(invitation.expires_at.as_millis()),
                ))
                .execute(conn)?;
            let row = invitations::table.find(&id).select(InvitationRow::as_select()).first(conn)?;
            Ok(Invitation::try_from(row)?)
        })
    }

    fn invitations(&self, id: TeamId, now: Timestamp) -> Result<Vec<Invitation>> {
        self.ask(|conn| {
            let open = invitations::team_id.eq(id.to_string()).and(invitations::expires_at.gt(now.as_millis()));
            let rows = invitations::table
                .filter(open)
                .order((invitations::created_at.desc(), invitations::id))
                .select(InvitationRow::as_select())
                .load(conn)?;
            Ok(rows.into_iter().map(Invitation::try_from).collect::<Result<_>>()?)
        })
    }

    fn invitation(&self, id: InvitationId, now: Timestamp) -> Result<Option<Invitation>> {
        self.ask(|conn| {
            let open = invitations::table.find(id.to_string()).filter(invitations::expires_at.gt(now.as_millis()));
            let row = open.select(InvitationRow::as_select()).first(conn).optional()?;
            Ok(row.map(Invitation::try_from).transpose()?)
        })
    }

    fn invitation_by_secret(&self, digest: &SecretDigest, now: Timestamp) -> Result<Option<Invitation>> {
        self.ask(|conn| by_secret(conn, digest, now))
    }

    fn delete_invitation(&self, id: InvitationId) -> Result<()> {
        self.write(|conn| {
            let deleted = diesel::delete(invitations::table.find(id.to_string())).execute(conn)?;
            if deleted == 1 { Ok(()) } else { Err(StoreError::NotFound("invitation").into()) }
        })
    }

    fn accept_invitation(
        &self,
        digest: &SecretDigest,
        user: UserId,
        plans: &PlanTable,
        now: Timestamp,
    ) -> Result<Option<Invitation>> {
        self.write(|conn| {
            let Some(invitation) = by_secret(conn, digest, now)? else { return Ok(None) };
            let email = email_of(conn, user)?;
            if invitation.email.as_ref().is_some_and(|invited| invited.to_lowercase() != email) {
                return Ok(None);
            }
            if role_of(conn, invitation.team_id, user)?.is_some() {
                return Err(StoreError::Conflict("member").into());
            }
            join(conn, invitation.team_id, user, invitation.role, plans, now)?;
            diesel::delete(invitations::table.find(invitation.id.to_string())).execute(conn)?;
            Ok(Some(invitation))
        })
    }
}
