use diesel::prelude::*;
use zenovay_auth::admits_keys_since;
use zenovay_domain::{KeyPolicy, Plan, PlanTable, Role, TeamId, Timestamp, UserId};

use super::failed::Done;
use super::people::end_invitations;
use super::rows::{TeamRow, check_name, decode};
use super::websites::{check_plan_limit, delete_website};
use super::{Conn, SqlStore};
use crate::schema::{memberships, teams, users, websites};
use crate::{Member, OWNERS_MAX, Result, StoreError, Team, TeamStore, UserTeam};

pub(super) fn load_team(conn: &mut Conn, id: TeamId) -> Done<Option<Team>> {
    let row = teams::table.find(id.to_string()).select(TeamRow::as_select()).first(conn).optional()?;
    Ok(row.map(Team::try_from).transpose()?)
}

pub(super) fn require_user(conn: &mut Conn, id: UserId) -> Done<()> {
    let known = diesel::dsl::exists(users::table.find(id.to_string()));
    if diesel::select(known).get_result(conn)? { Ok(()) } else { Err(StoreError::NotFound("user").into()) }
}

/// The member's role, if there is such a member.
pub(super) fn role_of(conn: &mut Conn, team: TeamId, user: UserId) -> Done<Option<Role>> {
    let id = (team.to_string(), user.to_string());
    let role: Option<String> = memberships::table.find(id).select(memberships::role).first(conn).optional()?;
    Ok(role.map(|role| decode("memberships", "role", &format!("{team} {user}"), &role)).transpose()?)
}

/// Refuses what would leave the team without an owner.
fn keep_an_owner(conn: &mut Conn, team: TeamId, leaving: Role) -> Done<()> {
    if leaving != Role::Owner {
        return Ok(());
    }
    let owners: i64 = memberships::table
        .filter(memberships::team_id.eq(team.to_string()).and(memberships::role.eq(Role::Owner.as_str())))
        .count()
        .get_result(conn)?;
    if owners > 1 { Ok(()) } else { Err(StoreError::LastOwner.into()) }
}

/// Refuses that `user` goes while a team has no other owner.
pub(super) fn keep_owners_without(conn: &mut Conn, user: UserId) -> Done<()> {
    let owned: Vec<String> = memberships::table
        .filter(memberships::user_id.eq(user.to_string()).and(memberships::role.eq(Role::Owner.as_str())))
        .select(memberships::team_id)
        .load(conn)?;
    for team in owned {
        keep_an_owner(conn, decode("memberships", "team_id", &team, &team)?, Role::Owner)?;
    }
    Ok(())
}

/// What a change of one team means when it met `rows` of them.
fn found(rows: usize) -> Done<()> {
    if rows == 1 { Ok(()) } else { Err(StoreError::NotFound("team").into()) }
}

impl TeamStore for SqlStore {
    fn create_team(&self, team: &Team, owner: UserId) -> Result<()> {
        check_name(&team.name)?;
        let row = TeamRow {
            id: team.id.to_string(),
            name: team.name.clone(),
            plan: team.plan.as_str().to_owned(),
            key_policy: team.key_policy.as_str().to_owned(),
            created_at: team.created_at.as_millis(),
        };
        self.write(|conn| {
            require_user(conn, owner)?;
            diesel::insert_into(teams::table).values(row).execute(conn)?;
            // Whoever makes a team has keys already that shall reach it.
            insert_member(conn, team.id, owner, Role::Owner, team.created_at, None)
        })
    }

    fn team(&self, id: TeamId) -> Result<Option<Team>> {
        self.ask(|conn| load_team(conn, id))
    }

    fn teams(&self) -> Result<Vec<Team>> {
        self.ask(|conn| {
            let rows = teams::table.order((teams::created_at, teams::id)).select(TeamRow::as_select()).load(conn)?;
            Ok(rows.into_iter().map(Team::try_from).collect::<Result<_>>()?)
        })
    }

    fn teams_of(&self, user: UserId) -> Result<Vec<UserTeam>> {
        self.ask(|conn| {
            let rows: Vec<(TeamRow, String, i64)> = memberships::table
                .inner_join(teams::table)
                .filter(memberships::user_id.eq(user.to_string()))
                .order((memberships::created_at, memberships::team_id))
                .select((TeamRow::as_select(), memberships::role, memberships::created_at))
                .load(conn)?;
            let team = |(team, role, since): (TeamRow, String, i64)| {
                let role = decode("memberships", "role", &format!("{} {user}", team.id), &role)?;
                Ok(UserTeam { team: team.try_into()?, role, since: Timestamp::from_millis(since) })
            };
            Ok(rows.into_iter().map(team).collect::<Result<_>>()?)
        })
    }

    fn rename_team(&self, id: TeamId, name: &str) -> Result<()> {
        check_name(name)?;
        self.write(|conn| {
            found(diesel::update(teams::table.find(id.to_string())).set(teams::name.eq(name)).execute(conn)?)
        })
    }

    fn delete_team(&self, id: TeamId, now: Timestamp) -> Result<u64> {
        self.write(|conn| {
            let owned = websites::table.filter(websites::team_id.eq(id.to_string()));
            let owned: Vec<String> = owned.select(websites::id).load(conn)?;
            for website in &owned {
                delete_website(conn, decode("websites", "id", website, website)?, now)?;
            }
            let members: Vec<String> = memberships::table
                .filter(memberships::team_id.eq(id.to_string()))
                .select(memberships::user_id)
                .load(conn)?;
            for member in &members {
                let user = decode("memberships", "user_id", member, member)?;
                super::keys::drop_team_from_keys(conn, id, user, now)?;
            }
            let deleted = diesel::delete(teams::table.find(id.to_string())).execute(conn)?;
            found(deleted)?;
            Ok(owned.len() as u64)
        })
    }

    fn set_plan(&self, id: TeamId, plan: Plan) -> Result<()> {
        self.write(|conn| {
            let changed =
                diesel::update(teams::table.find(id.to_string())).set(teams::plan.eq(plan.as_str())).execute(conn)?;
            found(changed)
        })
    }

    fn set_key_policy(&self, id: TeamId, policy: KeyPolicy) -> Result<()> {
        self.write(|conn| {
            let changed = diesel::update(teams::table.find(id.to_string()))
                .set(teams::key_policy.eq(policy.as_str()))
                .execute(conn)?;
            found(changed)?;
            admit_old_keys(conn, id, policy)
        })
    }

    fn members(&self, id: TeamId) -> Result<Vec<Member>> {
        let rows: Vec<(String, String, String)> = self.ask(|conn| {
            let rows = memberships::table
                .inner_join(users::table)
                .filter(memberships::team_id.eq(id.to_string()))
                .order((memberships::created_at, memberships::user_id))
                .select((memberships::user_id, users::email, memberships::role));
            Ok(rows.load(conn)?)
        })?;
        let member = |(user, email, role): (String, String, String)| {
            let user_id = decode("memberships", "user_id", &user, &user)?;
            Ok(Member { user_id, email, role: decode("memberships", "role", &format!("{id} {user}"), &role)? })
        };
        rows.into_iter().map(member).collect()
    }

    fn add_member(&self, id: TeamId, user: UserId, role: Role, plans: &PlanTable, now: Timestamp) -> Result<()> {
        self.write(|conn| {
            let team = load_team(conn, id)?.ok_or(StoreError::NotFound("team"))?;
            require_user(conn, user)?;
            if let Some(present) = role_of(conn, id, user)? {
                return change_role(conn, &team, user, present, role);
            }
            join(conn, id, user, role, plans, now)
        })
    }

    fn remove_member(&self, id: TeamId, user: UserId, now: Timestamp) -> Result<()> {
        self.write(|conn| {
            let role = role_of(conn, id, user)?.ok_or(StoreError::NotFound("member"))?;
            end_membership(conn, id, user, role, now)
        })
    }
}

/// Ends the membership of somebody with the role `present`.
pub(super) fn end_membership(conn: &mut Conn, id: TeamId, user: UserId, present: Role, now: Timestamp) -> Done<()> {
    keep_an_owner(conn, id, present)?;
    diesel::delete(memberships::table.find((id.to_string(), user.to_string()))).execute(conn)?;
    end_invitations(conn, id, user, None)?;
    super::keys::drop_team_from_keys(conn, id, user, now)
}

/// Gives a member another role than `present`.
pub(super) fn change_role(conn: &mut Conn, team: &Team, user: UserId, present: Role, role: Role) -> Done<()> {
    if role != Role::Owner {
        keep_an_owner(conn, team.id, present)?;
    }
    if present != Role::Owner {
        leave_room_for_owner(conn, team.id, role)?;
    }
    set_role(conn, team.id, user, role)?;
    admit_old_keys(conn, team.id, team.key_policy)
}

/// Refuses one owner too many.
fn leave_room_for_owner(conn: &mut Conn, team: TeamId, role: Role) -> Done<()> {
    if role != Role::Owner {
        return Ok(());
    }
    let owners: i64 = memberships::table
        .filter(memberships::team_id.eq(team.to_string()).and(memberships::role.eq(Role::Owner.as_str())))
        .count()
        .get_result(conn)?;
    let has_room = usize::try_from(owners).is_ok_and(|owners| owners < OWNERS_MAX);
    if has_room { Ok(()) } else { Err(StoreError::TooManyOwners.into()) }
}

/// Makes somebody a member who is not one.
pub(super) fn join(
    conn: &mut Conn,
    id: TeamId,
    user: UserId,
    role: Role,
    plans: &PlanTable,
    now: Timestamp,
) -> Done<()> {
    let team = load_team(conn, id)?.ok_or(StoreError::NotFound("team"))?;
    let members = memberships::table.filter(memberships::team_id.eq(id.to_string())).count();
    check_plan_limit(team.plan, "members", plans.limits(team.plan).members, members.get_result(conn)?)?;
    leave_room_for_owner(conn, id, role)?;
    insert_member(conn, id, user, role, now, admits_keys_since(team.key_policy, role, now))
}

/// Gives a member another role, and ends the invitations of theirs that it does not allow.
pub(super) fn set_role(conn: &mut Conn, id: TeamId, user: UserId, role: Role) -> Done<()> {
    diesel::update(memberships::table.find((id.to_string(), user.to_string())))
        .set(memberships::role.eq(role.as_str()))
        .execute(conn)?;
    end_invitations(conn, id, user, Some(role))
}

/// After the policy of the team or the role of a member has changed: lets the older keys of those members reach the team
/// whom `policy` lets create keys.
pub(super) fn admit_old_keys(conn: &mut Conn, id: TeamId, policy: KeyPolicy) -> Done<()> {
    let admitted: Vec<&str> = Role::ALL.iter().filter(|&&role| policy.allows(role)).map(|role| role.as_str()).collect();
    let admitted = memberships::team_id.eq(id.to_string()).and(memberships::role.eq_any(admitted));
    diesel::update(memberships::table.filter(admitted))
        .set(memberships::admits_keys_since.eq(None::<i64>))
        .execute(conn)?;
    Ok(())
}

fn insert_member(
    conn: &mut Conn,
    id: TeamId,
    user: UserId,
    role: Role,
    now: Timestamp,
    admits_keys_since: Option<Timestamp>,
) -> Done<()> {
    diesel::insert_into(memberships::table)
        .values((
            memberships::team_id.eq(id.to_string()),
            memberships::user_id.eq(user.to_string()),
            memberships::role.eq(role.as_str()),
            memberships::created_at.eq(now.as_millis()),
            memberships::admits_keys_since.eq(admits_keys_since.map(Timestamp::as_millis)),
        ))
        .execute(conn)?;
    Ok(())
}
