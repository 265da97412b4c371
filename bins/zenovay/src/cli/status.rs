//! `zenovay status`.

use clap::Subcommand;
use serde_json::{Value, json};
use zenovay_domain::{IncidentId, IncidentPhase, StatusComponent, StatusState, Timestamp};
use zenovay_store::{Incident, IncidentUpdate, StoreError};

use super::context;
use super::output::{Failure, Output, lines, table};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Tell of incidents and maintenance, and how they go on.
    #[command(subcommand)]
    Incident(IncidentCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum IncidentCommand {
    /// Tell of an incident, or announce maintenance.
    Create {
        /// What is wrong, in a few words: 1 to 100 characters.
        #[arg(long)]
        title: String,
        /// maintenance, degraded or outage.
        #[arg(long)]
        state: StatusState,
        /// The parts that it touches, separated by commas: dashboard, ingestion, api, auth.
        #[arg(long, required = true, value_delimiter = ',', value_name = "COMPONENT,…")]
        components: Vec<StatusComponent>,
        /// What is known: 1 to 2,000 characters.
        #[arg(long)]
        message: String,
        /// When maintenance is to begin, such as 2026-06-13T22:00:00Z. Now, when it is not given.
        #[arg(long, value_name = "INSTANT")]
        starts_at: Option<Timestamp>,
        /// When maintenance is to end.
        #[arg(long, value_name = "INSTANT")]
        ends_at: Option<Timestamp>,
    },
    /// Tell how an incident goes on; the phase resolved ends it.
    Update {
        /// The incident.
        id: IncidentId,
        /// planned, noticed, found, watching or resolved.
        #[arg(long)]
        phase: IncidentPhase,
        /// What is new: 1 to 2,000 characters.
        #[arg(long)]
        message: String,
    },
    /// List incidents, the newest first.
    List,
    /// Show an incident with what was written about it.
    Show {
        /// The incident.
        id: IncidentId,
    },
    /// Take an incident back, with what was written about it.
    Delete {
        /// The incident.
        id: IncidentId,
        /// Confirm; this cannot be undone.
        #[arg(long, required = true)]
        yes: bool,
    },
}

pub(super) fn run(command: Command, config: &Config, output: &mut Output) -> Result<(), Failure> {
    let store = context::open(config)?;
    let find = |id: IncidentId| -> Result<Incident, Failure> {
        let all = store.incidents()?;
        Ok(all.into_iter().find(|incident| incident.id == id).ok_or(StoreError::NotFound("incident"))?)
    };
    let Command::Incident(command) = command;
    let (done, incident) = match command {
        IncidentCommand::Create { title, state, components, message, starts_at, ends_at } => {
            if starts_at.is_some() && state != StatusState::Maintenance {
                return Err(Failure::usage("only maintenance is known before: leave --starts-at out"));
            }
            let planned = state == StatusState::Maintenance;
            let phase = if planned { IncidentPhase::Planned } else { IncidentPhase::Noticed };
            let first = IncidentUpdate::new(context::now(), phase, message);
            let id = IncidentId::from_random_bytes(rand::random());
            let mut incident = Incident::new(id, title, state, components, first);
            incident.began_at = starts_at.unwrap_or(incident.began_at);
            incident.ends_at = ends_at;
            store.create_incident(&incident)?;
            ("incident created\n", find(id)?)
        }
        IncidentCommand::Update { id, phase, message } => {
            store.update_incident(id, &IncidentUpdate::new(context::now(), phase, message))?;
            ("incident updated\n", find(id)?)
        }
        IncidentCommand::Show { id } => ("", find(id)?),
        IncidentCommand::List => {
            let incidents: Vec<Value> = store.incidents()?.iter().map(summary).collect();
            let columns = ["id", "title", "state", "components", "began_at", "over_at"];
            output.result(&json!({ "incidents": incidents }), || table("no incidents", &columns, &incidents));
            return Ok(());
        }
        IncidentCommand::Delete { id, yes: _ } => {
            store.delete_incident(id)?;
            let result = json!({ "id": id.to_string() });
            output.result(&result, || format!("incident deleted\n{}", lines(&result)));
            return Ok(());
        }
    };
    let facts = summary(&incident);
    let updates: Vec<Value> = incident
        .updates
        .iter()
        .map(|update| json!({ "at": update.at.to_string(), "phase": update.phase.as_str(), "message": update.message }))
        .collect();
    let mut result = facts.clone();
    result["updates"] = updates.clone().into();
    output.result(&result, || {
        let updates = table("no updates", &["at", "phase", "message"], &updates);
        format!("{done}{}\n{updates}", lines(&facts))
    });
    Ok(())
}

fn summary(incident: &Incident) -> Value {
    let components: Vec<&str> = incident.components.iter().map(|component| component.as_str()).collect();
    json!({
        "id": incident.id.to_string(),
        "title": incident.title,
        "state": incident.state.as_str(),
        "components": components,
        "began_at": incident.began_at.to_string(),
        "ends_at": incident.ends_at.map(|at| at.to_string()),
        "over_at": incident.over_at().map(|at| at.to_string()),
    })
}
