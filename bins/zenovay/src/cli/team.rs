//! `zenovay team`.

use std::fmt::Display;

use clap::Subcommand;
use serde_json::{Value, json};
use zenovay_auth::Target;
use zenovay_domain::{KeyPolicy, Plan, Role, TeamId, UserId, Website};
use zenovay_events::RETENTION_GRACE_DAYS;
use zenovay_store::{Member, Metadata, Store, StoreError, Team};

use super::context;
use super::output::{Failure, Output, lines, table};
use crate::config::Config;
use crate::maintenance::{kept_since, removed_from};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a team, also called workspace.
    Create {
        /// The name people see, 1 to 100 characters.
        #[arg(long)]
        name: String,
        /// The address of the user who will own it.
        #[arg(long, value_name = "EMAIL")]
        owner: String,
        /// free, pro, scale or enterprise.
        #[arg(long, default_value = "enterprise")]
        plan: Plan,
    },
    /// List all teams.
    List,
    /// Show a team with its members and websites.
    Show {
        /// The team.
        id: TeamId,
    },
    /// Delete a team with its websites, their events, and its workspace keys.
    Delete {
        /// The team.
        id: TeamId,
        /// Confirm; this cannot be undone.
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Change the plan.
    SetPlan {
        /// The team.
        id: TeamId,
        /// free, pro, scale or enterprise.
        plan: Plan,
    },
    /// Make a user a member, or give a member another role.
    AddMember {
        /// The team.
        id: TeamId,
        /// The user's address.
        #[arg(long)]
        email: String,
        /// owner, admin, editor or viewer.
        #[arg(long)]
        role: Role,
    },
    /// End a membership; keys of the user stop reaching the team.
    RemoveMember {
        /// The team.
        id: TeamId,
        /// The user's address.
        #[arg(long)]
        email: String,
    },
    /// Choose who may create personal keys that reach the team.
    SetKeyPolicy {
        /// The team.
        id: TeamId,
        /// all_members, owners_and_admins or no_one.
        policy: KeyPolicy,
    },
}

pub(super) fn run(command: Command, config: &Config, output: &mut Output) -> Result<(), Failure> {
    let store = context::open(config)?;
    let (done, result): (&str, Value) = match command {
        Command::Create { name, owner, plan } => {
            let owner = context::user_id(&*store, &owner)?;
            let team = Team::new(TeamId::from_random_bytes(rand::random()), name, plan, context::now());
            store.create_team(&team, owner)?;
            changed(&*store, "teams.create", team.id, &[("name", &team.name)])?;
            ("team created", json!({ "id": team.id, "name": team.name, "plan": team.plan }))
        }
        Command::List => {
            let (teams, websites) = (store.teams()?, store.websites()?);
            let summary = |team: &Team| Ok(summary(team, &store.members(team.id)?, &websites));
            let teams = teams.iter().map(summary).collect::<Result<Vec<_>, Failure>>()?;
            let columns = ["id", "name", "plan", "key_policy", "members", "websites"];
            output.result(&json!({ "teams": teams }), || table("no teams", &columns, &teams));
            return Ok(());
        }
        Command::Show { id } => return show(&*store, id, output),
        Command::Delete { id, yes: _ } => {
            let websites = store.delete_team(id, context::now())?;
            changed(&*store, "teams.delete", id, &[])?;
            let done = "team deleted; the server removes the events of its websites in the background";
            (done, json!({ "id": id, "websites": websites }))
        }
        Command::SetPlan { id, plan } => {
            let before = store.team(id)?.ok_or(StoreError::NotFound("team"))?.plan;
            store.set_plan(id, plan)?;
            changed(&*store, "plan.choose", id, &[("plan", &plan)])?;
            let team = context::team_json(&*store, id)?;
            let mut result = team.clone();
            result["retention"] = retention_json(config, before, plan);
            let text = || format!("plan changed\n{}{}", lines(&team), retention_text(config, before, plan));
            output.result(&result, text);
            return Ok(());
        }
        Command::AddMember { id, email, role } => {
            let user = context::user_id(&*store, &email)?;
            store.add_member(id, user, role, &config.plans, context::now())?;
            member_changed(&*store, "teams.add_member", (id, user, role), &[("email", &email), ("role", &role)])?;
            ("member added", json!({ "team_id": id, "email": email, "role": role }))
        }
        Command::RemoveMember { id, email } => {
            let user = context::user_id(&*store, &email)?;
            store.remove_member(id, user, context::now())?;
            member_changed(&*store, "teams.remove_member", (id, user, Role::Viewer), &[("email", &email)])?;
            ("member removed", json!({ "team_id": id, "email": email }))
        }
        Command::SetKeyPolicy { id, policy } => {
            store.set_key_policy(id, policy)?;
            changed(&*store, "teams.edit", id, &[("key_policy", &policy)])?;
            ("key policy changed", context::team_json(&*store, id)?)
        }
    };
    output.result(&result, || format!("{done}\n{}", lines(&result)));
    Ok(())
}

fn changed(
    store: &dyn Metadata,
    action: &str,
    id: TeamId,
    details: &[(&'static str, &dyn Display)],
) -> Result<(), Failure> {
    context::record(store, action, Target::Team { id }, None, Vec::new(), details)
}

fn member_changed(
    store: &dyn Metadata,
    action: &str,
    (team_id, user_id, role): (TeamId, UserId, Role),
    details: &[(&'static str, &dyn Display)],
) -> Result<(), Failure> {
    context::record(store, action, Target::Member { team_id, user_id, role }, Some(user_id), Vec::new(), details)
}

/// What the retention of the plan `after` does to what that of `before` kept.
fn retention_json(config: &Config, before: Plan, after: Plan) -> Value {
    let (now, days) = (context::now(), |plan| config.plans.limits(plan).retention_days);
    let hides = keeps_less(days(before), days(after));
    let since = kept_since(&config.plans, after, now).map(|since| since.to_string());
    json!({
        "days_before": days(before),
        "days": days(after),
        "hidden_before": since,
        "removed_from": hides.then(|| removed_from(now).to_string()),
    })
}

fn retention_text(config: &Config, before: Plan, after: Plan) -> String {
    let now = context::now();
    let days = |plan| config.plans.limits(plan).retention_days;
    match kept_since(&config.plans, after, now) {
        Some(since) if keeps_less(days(before), days(after)) => format!(
            "events before {since} are hidden by the server within a minute, and removed when they have been hidden for \
             {RETENTION_GRACE_DAYS} days, from {} on; until then a plan that keeps more brings them back\n",
            removed_from(now)
        ),
        Some(since) if days(before) != days(after) => {
            format!(
                "hidden events from {since} on are shown again within a minute, as far as they are not removed yet\n"
            )
        }
        None if days(before).is_some() => {
            "all hidden events are shown again within a minute, as far as they are not removed yet\n".to_owned()
        }
        _ => String::new(),
    }
}

/// Whether a plan that keeps `after` days keeps less than one that keeps `before` days; `None` keeps all.
fn keeps_less(before: Option<u32>, after: Option<u32>) -> bool {
    after.is_some_and(|after| before.is_none_or(|before| after < before))
}

/// A team as `team list` shows it, with numbers of members and websites.
fn summary(team: &Team, members: &[Member], websites: &[Website]) -> Value {
    let websites = websites.iter().filter(|website| website.team_id == team.id).count();
    json!({
        "id": team.id,
        "name": team.name,
        "plan": team.plan,
        "key_policy": team.key_policy,
        "members": members.len(),
        "websites": websites,
        "created_at": team.created_at.to_string(),
    })
}

fn show(store: &dyn Store, id: TeamId, output: &mut Output) -> Result<(), Failure> {
    let team = store.team(id)?.ok_or(StoreError::NotFound("team"))?;
    let (members, websites) = (store.members(id)?, store.websites()?);
    let facts = summary(&team, &members, &websites);
    let members: Vec<Value> = members
        .into_iter()
        .map(|member| json!({ "user_id": member.user_id, "email": member.email, "role": member.role }))
        .collect();
    let websites: Vec<Value> = websites
        .iter()
        .filter(|website| website.team_id == id)
        .map(|website| json!({ "id": website.id, "domain": website.domain, "name": website.name }))
        .collect();
    let mut result = facts.clone();
    result["members"] = members.clone().into();
    result["websites"] = websites.clone().into();
    output.result(&result, || {
        format!(
            "{}\n{}\n{}",
            lines(&facts),
            table("no members", &["user_id", "email", "role"], &members),
            table("no websites", &["id", "domain", "name"], &websites)
        )
    });
    Ok(())
}
