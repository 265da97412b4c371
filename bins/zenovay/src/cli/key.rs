//! `zenovay key`.

use std::fmt::Display;
use std::str::FromStr;

use clap::Subcommand;
use serde_json::{Value, json};
use zenovay_auth::{KeyFormat, KeyKind, Target};
use zenovay_domain::{KeyId, Scopes, TeamId, Timestamp, WebsiteId};
use zenovay_store::{Activity, ActivityCounts, KeyEdit, KeyRecord, Metadata, NewKey, Store, StoreError};

use super::context;
use super::output::{Failure, Output, lines, table};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a key and show it, once.
    Create {
        /// The address of the user whose personal key it is.
        #[arg(long, value_name = "EMAIL", conflicts_with = "team")]
        user: Option<String>,
        /// The team whose workspace key it is.
        #[arg(long, value_name = "ID", conflicts_with_all = ["scopes", "teams"])]
        team: Option<TeamId>,
        /// A name, 1 to 64 characters.
        #[arg(long)]
        name: String,
        /// full_access, or any of read, write, admin, separated by commas.
        #[arg(long, default_value = "full_access")]
        scopes: Scopes,
        /// The teams that a personal key reaches: all, or ids separated by commas.
        #[arg(long, value_name = "all|ID,…", default_value = "all")]
        teams: Access<TeamId>,
        /// The only website that the key reaches.
        #[arg(long, value_name = "ID", default_value = "all", hide_default_value = true)]
        website: Access<WebsiteId>,
    },
    /// List all keys, including revoked ones.
    List,
    /// Show a key and what it was used for.
    Show {
        /// The id of the key.
        id: KeyId,
    },
    /// Change only the options you pass.
    Edit {
        /// The id of the key.
        id: KeyId,
        /// A name, 1 to 64 characters.
        #[arg(long)]
        name: Option<String>,
        /// full_access, or any of read, write, admin, separated by commas.
        #[arg(long)]
        scopes: Option<Scopes>,
        /// The teams that it reaches: all, or ids separated by commas.
        #[arg(long, value_name = "all|ID,…")]
        teams: Option<Access<TeamId>>,
        /// The website that it reaches, or all.
        #[arg(long, value_name = "all|ID")]
        website: Option<Access<WebsiteId>>,
    },
    /// Revoke a key for good. A running server refuses it from the next request on.
    Revoke {
        /// The id of the key.
        id: KeyId,
    },
}

/// `all`, or ids separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Access<T>(Option<Vec<T>>);

impl<T: FromStr> FromStr for Access<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text == "all" {
            return Ok(Self(None));
        }
        text.split(',').map(|id| id.trim().parse()).collect::<Result<_, _>>().map(|ids| Self(Some(ids)))
    }
}

const NO_OWNER: &str = "give --user EMAIL for a personal key, or --team ID for a workspace key";

pub(super) fn run(command: Command, config: &Config, output: &mut Output) -> Result<(), Failure> {
    if let Command::Create { user: None, team: None, .. } = command {
        return Err(Failure::usage(NO_OWNER));
    }
    let store = context::open(config)?;
    match command {
        Command::Create { user, team, name, scopes, teams, website } => {
            let (kind, created_by) = match (user, team) {
                (Some(email), _) => {
                    let owner = context::user_id(&*store, &email)?;
                    (KeyKind::Personal(owner), Some(owner))
                }
                (None, Some(team)) => (KeyKind::Workspace(team), None),
                (None, None) => return Err(Failure::usage(NO_OWNER)),
            };
            let token = KeyFormat::ZENOVAY.generate_with(&mut rand::rng());
            let id = KeyId::from_random_bytes(rand::random());
            let mut new = NewKey::new(id, &token, kind, &name, scopes);
            (new.created_by, new.team_ids, new.website_ids) = (created_by, teams.0, website.0);
            let record = store.create_key(&new, context::now())?;
            changed(&*store, "create", &record)?;
            let result = json!({ "id": id, "key": token.expose(), "prefix": token.prefix() });
            output.result(&result, || format!("key created; it is not shown again\n{}", lines(&result)));
        }
        Command::List => list(&*store, output)?,
        Command::Show { id } => {
            let record = store.key(id)?.ok_or(StoreError::NotFound("key"))?;
            let mut result = record_json(&*store, &record)?;
            let activity = activity_json(&store.activity(id, context::now())?);
            output.result(&with(result.clone(), "activity", activity.clone()), || {
                for (period, counts) in activity.as_object().into_iter().flatten() {
                    let counted =
                        format!("{} requests, {} accepted events", counts["requests"], counts["accepted_events"]);
                    result = with(result.take(), period, counted.into());
                }
                text(&result)
            });
        }
        Command::Edit { id, name, scopes, teams, website } => {
            if name.is_none() && scopes.is_none() && teams.is_none() && website.is_none() {
                return Err(Failure::usage("give at least one of --name, --scopes, --teams, --website"));
            }
            let mut edit = KeyEdit::default();
            (edit.name, edit.scopes) = (name, scopes);
            edit.team_ids = teams.map(|access| access.0);
            edit.website_ids = website.map(|access| access.0);
            let record = store.edit_key(id, &edit)?;
            changed(&*store, "edit", &record)?;
            let result = record_json(&*store, &record)?;
            output.result(&result, || format!("key changed\n{}", text(&result)));
        }
        Command::Revoke { id } => {
            store.revoke_key(id, context::now())?;
            let record = store.key(id)?;
            if let Some(record) = &record {
                changed(&*store, "revoke", record)?;
            }
            let revoked_at = record.and_then(|record| record.revoked_at);
            let result = json!({ "id": id, "revoked_at": time(revoked_at) });
            output.result(&result, || format!("key revoked\n{}", lines(&result)));
        }
    }
    Ok(())
}

/// Notes a change of a key for its owner, and for the owners of the teams that it reaches.
fn changed(store: &dyn Metadata, what: &str, key: &KeyRecord) -> Result<(), Failure> {
    let (user, teams, creates) = match key.kind {
        KeyKind::Personal(user) => {
            let mut teams = context::teams_of(store, user)?;
            teams.retain(|team| key.team_ids.as_ref().is_none_or(|ids| ids.contains(team)));
            (Some(user), teams, "keys.create_own")
        }
        KeyKind::Workspace(_) => (None, Vec::new(), "keys.create_of_team"),
    };
    let action = if what == "create" { creates.to_owned() } else { format!("keys.{what}") };
    let target = Target::Key { id: key.id, kind: key.kind };
    let details: &[(&'static str, &dyn Display)] =
        &[("name", &key.name), ("prefix", &key.prefix), ("scopes", &key.scopes)];
    context::record(store, &action, target, user, teams, details)
}

fn list(store: &dyn Store, output: &mut Output) -> Result<(), Failure> {
    let keys = store.keys()?;
    let keys = keys.iter().map(|record| record_json(store, record)).collect::<Result<Vec<_>, _>>()?;
    output.result(&json!({ "keys": keys }), || {
        let rows: Vec<Value> = keys
            .iter()
            .map(|key| {
                let state = if key["revoked_at"].is_null() { "active" } else { "revoked" };
                with(key.clone(), "state", state.into())
            })
            .collect();
        table("no keys", &["id", "prefix", "kind", "owner", "scopes", "state", "last_used_at", "name"], &rows)
    });
    Ok(())
}

/// A key as it is shown: never the key itself.
fn record_json(store: &dyn Store, record: &KeyRecord) -> Result<Value, Failure> {
    let (user_id, team_id, owner) = match record.kind {
        KeyKind::Personal(user) => (Some(user), None, store.user(user)?.map(|user| user.email)),
        KeyKind::Workspace(team) => (None, Some(team), Some(team.to_string())),
    };
    Ok(json!({
        "id": record.id,
        "prefix": format!("{}…", record.prefix),
        "name": record.name,
        "kind": record.kind.as_str(),
        "user_id": user_id,
        "team_id": team_id,
        "owner": owner,
        "scopes": record.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(),
        "team_ids": record.team_ids,
        "website_ids": record.website_ids,
        "created_at": time(Some(record.created_at)),
        "last_used_at": time(record.last_used_at),
        "revoked_at": time(record.revoked_at),
    }))
}

/// A key for people: without a restriction it reaches all, a workspace key its own team.
fn text(record: &Value) -> String {
    let mut record = record.clone();
    let teams = if record["team_id"].is_null() { "all".into() } else { record["team_id"].clone() };
    for (member, unrestricted) in [("team_ids", teams), ("website_ids", "all".into())] {
        if record[member].is_null() {
            record[member] = unrestricted;
        }
    }
    lines(&record)
}

fn activity_json(activity: &Activity) -> Value {
    let counts =
        |counts: ActivityCounts| json!({ "requests": counts.requests, "accepted_events": counts.accepted_events });
    json!({
        "last_24_hours": counts(activity.last_24_hours),
        "last_7_days": counts(activity.last_7_days),
        "all_time": counts(activity.all_time),
    })
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_is_all_or_a_list_of_ids() {
        let id = "018f3c1e-0000-4000-8000-000000000001";
        assert_eq!("all".parse::<Access<TeamId>>().unwrap(), Access(None));
        assert_eq!(format!("{id}, {id}").parse::<Access<TeamId>>().unwrap().0.unwrap().len(), 2);
        for bad in ["", "ALL", "all,", "x"] {
            assert!(bad.parse::<Access<TeamId>>().is_err(), "{bad}");
        }
    }
}
