//! The words of a status page: the parts of a server, how each of them is, and how far an incident is.

use serde::{Deserialize, Serialize};

use crate::names::named;

/// How a part of a server is. The order is that of rising trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StatusState {
    /// It does what it is for.
    Operational,
    /// It is being worked on, as was announced.
    Maintenance,
    /// It does a part of what it is for, or does it late.
    Degraded,
    /// It does not do what it is for.
    Outage,
}

impl StatusState {
    /// All states, the best first.
    pub const ALL: &'static [Self] = &[Self::Operational, Self::Maintenance, Self::Degraded, Self::Outage];

    /// The name on the wire, in the database and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operational => "operational",
            Self::Maintenance => "maintenance",
            Self::Degraded => "degraded",
            Self::Outage => "outage",
        }
    }
}

named!(StatusState, "state");

/// A part of a server that a status page tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StatusComponent {
    /// The pages that people see.
    Dashboard,
    /// Events that arrive are stored.
    Ingestion,
    /// Programs get answers.
    Api,
    /// People can sign in, and keys are checked.
    Auth,
}

impl StatusComponent {
    /// All parts, in the order in which they are shown.
    pub const ALL: &'static [Self] = &[Self::Dashboard, Self::Ingestion, Self::Api, Self::Auth];

    /// The name on the wire, in the database and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dashboard => "dashboard",
            Self::Ingestion => "ingestion",
            Self::Api => "api",
            Self::Auth => "auth",
        }
    }

    /// The name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Dashboard => "Dashboard",
            Self::Ingestion => "Event ingestion",
            Self::Api => "API",
            Self::Auth => "Sign-in",
        }
    }
}

named!(StatusComponent, "component");

/// How far an incident is, as an update of it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum IncidentPhase {
    /// Maintenance is announced.
    Planned,
    /// Something is wrong.
    Noticed,
    /// It is known what.
    Found,
    /// It was mended, and is being watched.
    Watching,
    /// It is over.
    Resolved,
}

impl IncidentPhase {
    /// All phases, in their order.
    pub const ALL: &'static [Self] = &[Self::Planned, Self::Noticed, Self::Found, Self::Watching, Self::Resolved];

    /// The name on the wire, in the database and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Noticed => "noticed",
            Self::Found => "found",
            Self::Watching => "watching",
            Self::Resolved => "resolved",
        }
    }
}

named!(IncidentPhase, "phase");
