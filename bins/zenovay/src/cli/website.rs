//! `zenovay website`.

use std::fmt::Display;
use std::str::FromStr;

use clap::Subcommand;
use serde_json::{Map, Value, json};
use zenovay_auth::Target;
use zenovay_domain::{TeamId, TrackingCode, Website, WebsiteId, WebsiteSettings};
use zenovay_store::{DROPPED_AGENTS_DAYS, DroppedHits, Folded, Metadata, NewWebsite, Store, StoreError};

use super::context;
use super::output::{Failure, Output, lines, table};
use crate::bootstrap;
use crate::config::Config;
use crate::data_dir;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a website.
    Create {
        /// The team that will own it.
        #[arg(long, value_name = "ID")]
        team: TeamId,
        /// Its domain, such as example.com; subdomains belong to it.
        #[arg(long)]
        domain: String,
        /// The name people see, 1 to 100 characters.
        #[arg(long)]
        name: String,
        /// Accept hits from localhost and other local hosts.
        #[arg(long)]
        allow_localhost: bool,
    },
    /// List all websites.
    List,
    /// Change settings. A running server applies them from the next request.
    #[command(after_help = "\
Settings:
  name, domain, time_zone, currency    a string
  is_active, cookieless, allow_localhost, opt_out_on_gpc, track_outbound_links, track_downloads,
  session_replay, session_replay_consent, session_replay_mask_inputs, heatmaps, web_vitals, errors,
  public_dashboard                     true or false
  session_replay_trigger               all, sampled or errors_only
  session_replay_sample_percent        1 to 100
  allowed_domains, excluded_ips, excluded_paths, allowed_bots
                                       a list separated by commas; nothing after `=` empties it")]
    Set {
        /// The website.
        id: WebsiteId,
        /// What to change.
        #[arg(required = true, value_name = "SETTING=VALUE")]
        settings: Vec<Assignment>,
    },
    /// Show a website with its settings.
    Show {
        /// The website.
        id: WebsiteId,
    },
    /// Show what was dropped as a bot in the last 30 days: the user agents with the most hits, and why.
    #[command(after_help = "\
A running server writes the counts every few seconds. To store the hits of one of them from now on:
  zenovay website set ID allowed_bots=NAME
NAME is any part of its user agent or rule, in any case; where there is no rule, the reason.")]
    Bots {
        /// The website.
        id: WebsiteId,
    },
    /// Delete a website and its events.
    Delete {
        /// The website.
        id: WebsiteId,
        /// Confirm; this cannot be undone.
        #[arg(long, required = true)]
        yes: bool,
    },
}

/// `SETTING=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    name: String,
    value: String,
}

impl FromStr for Assignment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or("write SETTING=VALUE")?;
        Ok(Self { name: name.trim().to_owned(), value: value.trim().to_owned() })
    }
}

pub(super) fn run(command: Command, config: &Config, output: &mut Output) -> Result<(), Failure> {
    let store = context::open(config)?;
    match command {
        Command::Create { team, domain, name, allow_localhost } => {
            let id = WebsiteId::from_random_bytes(rand::random());
            let mut new = NewWebsite::new(id, team, domain, TrackingCode::from_random_bytes(rand::random()));
            new.name = name;
            new.settings.allow_localhost = allow_localhost;
            let website = store.create_website(&new, &config.plans, context::now())?;
            changed(&*store, "sites.create", &website, &[("domain", &website.domain)])?;
            let mut result =
                json!({ "id": website.id, "domain": website.domain, "tracking_code": website.tracking_code });
            let text = lines(&result);
            let tag = script_tag(config, &website);
            result["script_tag"] = tag.clone().into();
            output.result(&result, || {
                format!("website created\n{text}\nAdd this tag to every page of the site:\n\n  {tag}\n")
            });
        }
        Command::List => {
            let websites: Vec<Value> = store.websites()?.iter().map(context::website_json).collect();
            let rows: Vec<Value> = websites
                .iter()
                .map(|website| {
                    let mut row = website.clone();
                    row["state"] = if website["settings"]["is_active"] == true { "active" } else { "paused" }.into();
                    row
                })
                .collect();
            let columns = ["id", "domain", "name", "state", "tracking_code", "team_id"];
            output.result(&json!({ "websites": websites }), || table("no websites", &columns, &rows));
        }
        Command::Set { id, settings } => {
            let changes = Changes::read(&settings).map_err(Failure::usage)?;
            let edited = store.edit_website(id, &mut |website| changes.apply(website))?;
            let names: Vec<&str> = settings.iter().map(|assignment| assignment.name.as_str()).collect();
            changed(&*store, "sites.change", &edited, &[("settings", &names.join(", "))])?;
            show(config, &*store, &edited, "website changed\n", output)?;
        }
        Command::Show { id } => show(config, &*store, &context::website(&*store, id)?, "", output)?,
        Command::Bots { id } => bots(&*store, &context::website(&*store, id)?, output)?,
        Command::Delete { id, yes: _ } => {
            let website = context::website(&*store, id)?;
            store.delete_website(id, context::now())?;
            changed(&*store, "sites.delete", &website, &[("domain", &website.domain)])?;
            let result = json!({ "id": id });
            output.result(&result, || {
                format!("website deleted; the server removes its events in the background\n{}", lines(&result))
            });
        }
    }
    Ok(())
}

fn changed(
    store: &dyn Metadata,
    action: &str,
    website: &Website,
    details: &[(&'static str, &dyn Display)],
) -> Result<(), Failure> {
    let target = Target::Website { id: website.id, team_id: website.team_id };
    context::record(store, action, target, None, Vec::new(), details)
}

/// The tag for the pages of `website`, with the address under which browsers reach the server.
fn script_tag(config: &Config, website: &Website) -> String {
    bootstrap::script_tag(&data_dir::server_url(config), &website.tracking_code)
}

fn show(config: &Config, store: &dyn Store, website: &Website, done: &str, output: &mut Output) -> Result<(), Failure> {
    let mut result = context::website_json(website);
    result["script_tag"] = script_tag(config, website).into();
    // How many events had a string stored as `(other)`.
    let day_of = |folded: &Folded| folded.day.to_string().chars().take(10).collect::<String>();
    let folded = store.folded(website.id)?;
    let members =
        |folded: &Folded| json!({ "day": day_of(folded), "column": folded.column.as_str(), "events": folded.events });
    result["folded"] = folded.iter().map(members).collect();
    output.result(&result, || {
        let mut flat = result.clone();
        if let Some(members) = flat.as_object_mut()
            && let Some(Value::Object(settings)) = members.remove("settings")
        {
            members.extend(settings);
        }
        let line = |folded: &Folded| format!("{} of {} events on {}", folded.column, folded.events, day_of(folded));
        flat["folded"] = folded.iter().map(line).collect();
        format!("{done}{}", lines(&flat))
    });
    Ok(())
}

/// What was dropped as a bot, the most frequent first.
fn bots(store: &dyn Store, website: &Website, output: &mut Output) -> Result<(), Failure> {
    let counts = store.dropped_agents(website.id, context::now())?;
    let row = |count: &DroppedHits| {
        json!({
            "user_agent": count.agent,
            "reason": count.reason,
            "rule": count.rule,
            "hits": count.hits,
            "first_at": count.first_at.to_string(),
            "last_at": count.last_at.to_string(),
        })
    };
    let mut rows: Vec<Value> = counts.iter().map(row).collect();
    let result = json!({ "id": website.id, "days": DROPPED_AGENTS_DAYS, "bots": rows });
    output.result(&result, || {
        for cell in rows.iter_mut().filter_map(Value::as_object_mut).flat_map(|row| row.values_mut()) {
            if *cell == "" {
                *cell = Value::Null;
            }
        }
        let none = format!("nothing was dropped as a bot in the last {DROPPED_AGENTS_DAYS} days");
        table(&none, &["hits", "last_at", "reason", "rule", "user_agent"], &rows)
    });
    Ok(())
}

/// What assignments change in a website, each of a setting that there is and with a value of its kind. Whether the values can
/// be used is for the store to say.
#[derive(Debug, Default)]
struct Changes {
    name: Option<String>,
    domain: Option<String>,
    settings: Map<String, Value>,
}

impl Changes {
    fn read(assignments: &[Assignment]) -> Result<Self, String> {
        let known = settings_object(&WebsiteSettings::default());
        let mut changes = Self::default();
        for Assignment { name, value } in assignments {
            match name.as_str() {
                "name" => changes.name = Some(value.clone()),
                "domain" => changes.domain = Some(value.clone()),
                _ => {
                    let value = setting_value(&known, name, value)?;
                    changes.settings.insert(name.clone(), value);
                }
            }
        }
        Ok(changes)
    }

    fn apply(&self, website: &mut Website) -> Result<(), StoreError> {
        if let Some(name) = &self.name {
            website.name.clone_from(name);
        }
        if let Some(domain) = &self.domain {
            website.domain.clone_from(domain);
        }
        let mut settings = settings_object(&website.settings);
        settings.extend(self.settings.clone());
        website.settings = serde_json::from_value(Value::Object(settings))
            .map_err(|error| StoreError::Invalid { field: "settings", reason: error.to_string() })?;
        Ok(())
    }
}

fn settings_object(settings: &WebsiteSettings) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(settings)) => settings,
        _ => Map::new(),
    }
}

/// Reads `value` as the kind of value that `known` has for the setting `name`.
fn setting_value(known: &Map<String, Value>, name: &str, value: &str) -> Result<Value, String> {
    let Some(setting) = known.get(name) else {
        let known = known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(format!("unknown setting `{}`: use name, domain, {known}", name.escape_debug()));
    };
    Ok(match setting {
        Value::Bool(_) => match value {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => return Err(format!("{name}: must be true or false")),
        },
        Value::Number(_) => match value.parse::<u8>() {
            Ok(number) => Value::from(number),
            Err(_) => return Err(format!("{name}: must be a whole number")),
        },
        Value::Array(_) => value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Value::from).collect(),
        _ => Value::from(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenovay_domain::ReplayTrigger;

    fn assigned(strings: &[&str]) -> Result<WebsiteSettings, String> {
        let assignments: Vec<Assignment> = strings.iter().map(|string| string.parse().unwrap()).collect();
        let mut settings = settings_object(&WebsiteSettings::default());
        settings.extend(Changes::read(&assignments)?.settings);
        Ok(serde_json::from_value(Value::Object(settings)).unwrap())
    }

    #[test]
    fn unknown_settings_and_wrong_kinds_are_refused() {
        assert!(assigned(&["colour=blue"]).unwrap_err().starts_with("unknown setting `colour`: use name, domain, "));
        assert_eq!(assigned(&["cookieless=maybe"]).unwrap_err(), "cookieless: must be true or false");
        assert!("cookieless".parse::<Assignment>().is_err());
    }

    #[test]
    fn each_kind_of_setting_is_read() {
        let settings =
            assigned(&["cookieless=false", "excluded_ips=192.0.2.1, 10.0.0.0/8", "time_zone=Asia/Tokyo"]).unwrap();
        assert!(!settings.cookieless);
        assert_eq!(settings.excluded_ips, ["192.0.2.1", "10.0.0.0/8"]);
        assert_eq!(settings.time_zone, "Asia/Tokyo");
        let settings = assigned(&["session_replay_trigger=errors_only", "session_replay_sample_percent=25"]).unwrap();
        assert_eq!(
            (settings.session_replay_trigger, settings.session_replay_sample_percent),
            (ReplayTrigger::ErrorsOnly, 25)
        );
        assert!(assigned(&["session_replay_sample_percent=some"]).is_err());
        assert!(assigned(&["excluded_ips=1.1.1.1", "excluded_ips="]).unwrap().excluded_ips.is_empty());
    }

    #[test]
    fn the_help_names_every_setting() {
        let Ok(Value::Object(settings)) = serde_json::to_value(WebsiteSettings::default()) else { panic!("an object") };
        let command = <Command as Subcommand>::augment_subcommands(clap::Command::new("website"));
        let set = command.find_subcommand("set").unwrap();
        let help = set.get_after_help().unwrap().to_string();
        for name in settings.keys() {
            assert!(help.contains(name.as_str()), "{name}");
        }
    }
}
