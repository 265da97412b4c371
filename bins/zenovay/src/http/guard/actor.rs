//! Whoever may act for a team: a person who is signed in, or the holder of a key.

use actix_web::HttpRequest;
use zenovay_auth::{ApiKeyToken, Principal, Secret};
use zenovay_domain::{KeyId, Role, TeamId};

use super::key::{presented_key, shows_a_key};
use super::person::{SessionReport, presented_session};
use super::{
    AccessRefusal, Admission, Arrival, Authorized, Identity, KeyHolder, KeyReport, Permission, Person, Report, Shown,
};
use crate::http::audit::AuditActor;
use crate::http::document::Operation;
use crate::http::handler::{Access, Caller};
use crate::http::state::AppState;

/// A person or a key.
#[derive(Debug, Clone)]
pub enum Actor {
    /// A person who is signed in.
    Person(Person),
    /// The holder of a key.
    Key(KeyHolder),
}

/// What a request of an actor shows.
#[derive(Debug)]
pub enum ActorEvidence {
    /// A cookie.
    Session(Secret),
    /// A key.
    Key(ApiKeyToken),
}

/// What is told an actor with the answer.
#[derive(Debug)]
pub enum ActorReport {
    /// A browser.
    Session(SessionReport),
    /// The holder of a key.
    Key(KeyReport),
}

impl Report for ActorReport {
    fn put(self, req: &HttpRequest) {
        match self {
            Self::Session(report) => report.put(req),
            Self::Key(report) => report.put(req),
        }
    }
}

impl Identity for Actor {
    type Evidence = ActorEvidence;
    type Report = ActorReport;

    /// A key that is shown stands for the request, also beside a cookie: browsers send cookies by themselves, but no keys.
    fn evidence(req: &HttpRequest) -> Result<ActorEvidence, AccessRefusal> {
        if shows_a_key(req.headers()) {
            return presented_key(req.headers()).map(ActorEvidence::Key);
        }
        presented_session(req)?.map(ActorEvidence::Session).ok_or(AccessRefusal::NoCredential)
    }

    fn admit<R>(
        state: &AppState,
        evidence: &ActorEvidence,
        arrival: Arrival,
        permit: impl FnOnce(Principal<'_>) -> Result<R, AccessRefusal>,
    ) -> Admission<Self, R> {
        match evidence {
            ActorEvidence::Session(secret) => {
                let Admission { report, result } = Person::admit(state, secret, arrival, permit);
                let result = result.map(|(person, resource)| (Self::Person(person), resource));
                Admission { report: report.map(ActorReport::Session), result }
            }
            ActorEvidence::Key(token) => {
                let Admission { report, result } = KeyHolder::admit(state, token, arrival, permit);
                let result = result.map(|(key, resource)| (Self::Key(key), resource));
                Admission { report: report.map(ActorReport::Key), result }
            }
        }
    }

    fn principal(&self) -> Principal<'_> {
        match self {
            Self::Person(person) => person.principal(),
            Self::Key(key) => key.principal(),
        }
    }

    fn shown(&self) -> Shown {
        match self {
            Self::Person(person) => person.shown(),
            Self::Key(key) => key.shown(),
        }
    }

    fn key_id(&self) -> Option<KeyId> {
        match self {
            Self::Person(_) => None,
            Self::Key(key) => key.key_id(),
        }
    }

    fn audit_actor(&self) -> AuditActor {
        match self {
            Self::Person(person) => person.audit_actor(),
            Self::Key(key) => key.audit_actor(),
        }
    }

    fn role_in(&self, team: TeamId) -> Role {
        match self {
            Self::Person(person) => person.role_in(team),
            Self::Key(key) => key.role_in(team),
        }
    }
}

impl<P: Permission> Caller for Authorized<P, Actor> {
    const ACCESS: Access = Access::Actor(P::ACTION);

    fn describe(operation: &mut Operation) {
        <Authorized<P, KeyHolder> as Caller>::describe(operation);
    }
}
