//! Who is in a team.

use schemars::JsonSchema;
use serde::Serialize;
use zenovay_auth::{Action, Denial, Target, ToolCategory};
use zenovay_domain::{Role, TeamId};

use super::{Effect, Tool};
use crate::http::console::{changing, invitations};
use crate::http::guard::AccessRefusal;
use crate::http::mcp::args::Args;
use crate::http::mcp::call::{Call, Change, ToolError};
use crate::http::mcp::clean::quoted;

/// The argument that names a team.
fn team(args: &mut Args) -> String {
    args.required("team_id", "From list_websites.")
}

/// The team that `named` names, to which `action` is to be done. A team that is out of reach is not there.
async fn reached(call: &Call, named: &str, action: Action, target: fn(TeamId) -> Target) -> Result<TeamId, ToolError> {
    let named = named.trim().to_owned();
    call.blocking(move |call| {
        let nothing = || {
            let words =
                format!("There is no team {} within your reach. Use a team_id from list_websites.", quoted(&named));
            ToolError::Told(words)
        };
        let id: TeamId = named.parse().map_err(|_| nothing())?;
        let team = call.state.store.team(id)?.ok_or_else(nothing)?;
        match call.client.may(&call.state, action, &target(team.id)) {
            Ok(()) => Ok(team.id),
            Err(AccessRefusal::Denied(Denial::NotReachable(_) | Denial::Unknown(_) | Denial::MembershipLost)) => {
                Err(nothing())
            }
            Err(refusal) => Err(refusal.into()),
        }
    })
    .await
}

/// `invite_team_member`.
pub(super) struct InviteTeamMember;

/// Who is invited into what.
pub(super) struct Invitee {
    team: String,
    email: String,
    role: &'static str,
}

/// An invitation.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Invited {
    invitation_id: String,
    email: String,
    role: String,
    /// Works once, for that account alone; give it to the person.
    url: String,
    expires_at: String,
    untrusted_fields: [&'static str; 1],
}

const ROLES: [&str; 3] = ["viewer", "editor", "admin"];

impl Tool for InviteTeamMember {
    const NAME: &'static str = "invite_team_member";
    const TITLE: &'static str = "Invite member";
    const WORDS: &'static str = "Invites the account with an email address into a team. Answers with the link, which is also mailed where mail is set up.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Settings);
    const ACTION: Action = Action::InviteMember;
    const EFFECT: Effect = Effect::Adds;
    type Input = Invitee;
    type Output = Invited;

    fn read(args: &mut Args) -> Invitee {
        let (team, email) = (team(args), args.required("email", "Of the person."));
        Invitee { team, email, role: args.required_choice("role", "What they may do.", &ROLES) }
    }

    async fn run(call: Call, Invitee { team, email, role }: Invitee) -> Result<Invited, ToolError> {
        // It is one of those that there are.
        let role: Role = role.parse().unwrap_or(Role::Viewer);
        let least = |team_id| Target::Invitation { team_id, role: Role::Viewer };
        let team_id = reached(&call, &team, Self::ACTION, least).await?;
        let target = Target::Invitation { team_id, role };
        call.client.may(&call.state, Self::ACTION, &target)?;
        let email = invitations::checked_email(&email)?;
        let (inviter, base) = (call.client.audit_actor(), call.state.issuer.clone());
        let store = call.store(team_id, Self::ACTION);
        let made = invitations::invite(&call.state, store, team_id, Some(email.clone()), role, inviter, &base).await?;
        let details = vec![("role", role.as_str().to_owned()), ("email", email.clone())];
        call.changed(Change { action: Self::ACTION, target, name: "invitations.create", details });
        Ok(Invited {
            invitation_id: made.invitation.id.to_string(),
            email,
            role: role.as_str().to_owned(),
            url: made.url,
            expires_at: made.invitation.expires_at.0.to_string(),
            untrusted_fields: ["email"],
        })
    }
}

/// `remove_team_member`.
pub(super) struct RemoveTeamMember;

/// Who is not a member any more.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Removed {
    removed: String,
    untrusted_fields: [&'static str; 1],
}

impl Tool for RemoveTeamMember {
    const NAME: &'static str = "remove_team_member";
    const TITLE: &'static str = "Remove member";
    const WORDS: &'static str = "Ends somebody's membership in a team at once. Ask the person you work for first.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Settings);
    const ACTION: Action = Action::RemoveMember;
    const EFFECT: Effect = Effect::Removes;
    type Input = (String, String);
    type Output = Removed;

    fn read(args: &mut Args) -> Self::Input {
        (team(args), args.required("email", "Of the member."))
    }

    async fn run(call: Call, (team, email): Self::Input) -> Result<Removed, ToolError> {
        let team_id = reached(&call, &team, Action::ReadTeam, |id| Target::Team { id }).await?;
        let wanted = email.trim().to_lowercase();
        let member = call.blocking(move |call| {
            let members = call.state.store.member_facts(team_id)?;
            let found = members.into_iter().find(|member| member.email.to_lowercase() == wanted);
            let member = found.ok_or_else(|| {
                ToolError::Told(format!(
                    "No member of the team has the address {}. Ask for the right one.",
                    quoted(&wanted)
                ))
            })?;
            let target = Target::Member { team_id, user_id: member.user_id, role: member.role };
            call.client.may(&call.state, Self::ACTION, &target)?;
            Ok((member, target))
        });
        let (member, target) = member.await?;
        let (user, role, now) = (member.user_id, member.role, call.state.clock.reading().steady);
        let store = call.store(team_id, Self::ACTION);
        changing(&call.state, move |_| store.end_membership(team_id, user, role, now)).await?;
        let details = vec![("email", member.email.clone())];
        call.changed(Change { action: Self::ACTION, target, name: "teams.remove_member", details });
        Ok(Removed { removed: member.email, untrusted_fields: ["removed"] })
    }
}
