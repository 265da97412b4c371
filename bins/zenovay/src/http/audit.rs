//! The trail of what people and keys changed. A guard begins an entry for whoever it lets in to change something, a handler may
//! add to it, and the outermost layer stores it when the answer is a success: no handler can forget it, and none does it by
//! itself.

use std::collections::BTreeMap;

use actix_web::dev::ServiceResponse;
use actix_web::{HttpMessage, HttpRequest, web};
use zenovay_auth::{Action, Credential, KeyKind, Target};
use zenovay_domain::{KeyId, TeamId, Timestamp, UserId};
use zenovay_store::{DELETED_ACCOUNT, Metadata, NewAuditEntry, StoreError};

use super::commitment::Commitment;
use super::document;
use super::response_layer::MatchedRoute;
use super::routes;
use super::state::AppState;

/// Who changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditActor {
    /// The person, or the owner of a personal key.
    pub user: Option<UserId>,
    /// The key.
    pub key: Option<KeyId>,
    /// Who that is, in words that hold when they are gone.
    pub words: String,
}

impl AuditActor {
    /// The holder of a key.
    pub fn of_key(key: &Credential) -> Self {
        let user = match key.kind {
            KeyKind::Personal(owner) => Some(owner),
            KeyKind::Workspace(_) => None,
        };
        Self { user, key: Some(key.key_id), words: format!("key \u{201c}{}\u{201d}", key.name) }
    }
}

/// An entry that is stored if the change succeeds.
#[derive(Debug, Clone)]
struct Draft {
    actor: AuditActor,
    /// What was done, where the route does not say it.
    action: Option<&'static str>,
    teams: Vec<TeamId>,
    target: String,
    details: BTreeMap<&'static str, String>,
}

/// Whether doing it changes something that the trail tells of. Events that are stored are no change of anybody's settings.
const fn is_change(action: Action) -> bool {
    !matches!(
        action,
        Action::ReadUsage
            | Action::ListWebsites
            | Action::ReadWebsite
            | Action::ReadAnalytics
            | Action::ReadHeatmaps
            | Action::ReadFunnels
            | Action::ReadReplays
            | Action::ReadErrors
            | Action::IngestBatch
            | Action::ExportEvents
            | Action::ExportTraits
            | Action::ExportVisitor
            | Action::ReadTeam
            | Action::ReadAudit
    )
}

/// Begins the entry of a request that `actor` may make, if it changes something.
pub(super) fn begin(req: &HttpRequest, action: Action, actor: AuditActor, target: &Target) {
    if !req.method().is_safe() && is_change(action) {
        commit(req);
        let (teams, target) = subject(target);
        req.extensions_mut().insert(Draft { actor, action: None, teams, target, details: BTreeMap::new() });
    }
}

/// Has a request finished in any case, although its sender may go away.
fn commit(req: &HttpRequest) {
    if let Some(commitment) = req.extensions().get::<Commitment>() {
        commitment.make();
    }
}

/// Begins the entry of a request that makes its sender somebody.
pub(super) fn begin_for(req: &HttpRequest, user: UserId, words: String) {
    let actor = AuditActor { user: Some(user), key: None, words };
    begin(req, Action::ManageAccount, actor, &Target::Account);
}

/// Begins the entry of a request whose action alone does not say that it changes something.
pub(super) fn begin_in_team(req: &HttpRequest, actor: AuditActor, team: TeamId) {
    begin(req, Action::EditTeam, actor, &Target::Team { id: team });
}

/// Begins the entry of a request that did something which its route does not name.
pub(super) fn begin_named(req: &HttpRequest, action: Action, name: &'static str, actor: AuditActor, target: &Target) {
    begin(req, action, actor, target);
    if let Some(draft) = req.extensions_mut().get_mut::<Draft>() {
        draft.action = Some(name);
    }
}

/// Adds to the entry of a request. Never a secret.
pub(super) fn note(req: &HttpRequest, name: &'static str, value: &str) {
    if let Some(draft) = req.extensions_mut().get_mut::<Draft>() {
        draft.details.insert(name, value.to_owned());
    }
}

/// Says that the change concerns a team, whose owners shall read of it.
pub(super) fn concerns(req: &HttpRequest, team: TeamId) {
    if let Some(draft) = req.extensions_mut().get_mut::<Draft>() {
        draft.teams.push(team);
    }
}

/// Says that whoever made the change is gone by it: the entry names nobody. Without a team there is nobody to read of it.
pub(super) fn forget_actor(req: &HttpRequest) {
    let mut extensions = req.extensions_mut();
    if let Some(draft) = extensions.get_mut::<Draft>().filter(|draft| !draft.teams.is_empty()) {
        draft.actor = AuditActor { user: None, key: None, words: DELETED_ACCOUNT.to_owned() };
    } else {
        extensions.remove::<Draft>();
    }
}

/// The teams that a target belongs to, and what it is.
fn subject(target: &Target) -> (Vec<TeamId>, String) {
    match *target {
        Target::Team { id } => (vec![id], format!("team {id}")),
        Target::Website { id, team_id } => (vec![team_id], format!("website {id}")),
        Target::Key { id, kind: KeyKind::Workspace(team) } => (vec![team], format!("key {id}")),
        Target::Key { id, .. } => (Vec::new(), format!("key {id}")),
        Target::Member { team_id, user_id, .. } => (vec![team_id], format!("member {user_id}")),
        Target::Invitation { team_id, .. } => (vec![team_id], "invitation".to_owned()),
        _ => (Vec::new(), target.kind().as_str().to_owned()),
    }
}

/// Stores the entry of a request that succeeded.
pub(super) async fn record<B>(response: &ServiceResponse<B>) {
    let req = response.request();
    let Some(draft) = req.extensions_mut().remove::<Draft>() else { return };
    if !response.status().is_success() {
        return;
    }
    let Some(state) = req.app_data::<web::Data<AppState>>().cloned() else { return };
    let endpoint = req.app_data::<MatchedRoute>().and_then(|route| routes::find(route.pattern(), req.method()));
    let Some(endpoint) = endpoint else {
        tracing::error!("a change of no route is not in the audit trail");
        return;
    };
    let action = draft.action.map_or_else(|| document::name_of(endpoint.operation.handler), str::to_owned);
    let at = state.clock.reading().steady;
    let stored = web::block(move || draft.store(&*state.store, &action, at));
    match stored.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "a change is not in the audit trail"),
        Err(_panicked) => tracing::error!("a change is not in the audit trail"),
    }
}

impl Draft {
    fn store(self, store: &dyn Metadata, action: &str, at: Timestamp) -> Result<(), StoreError> {
        // One for each team, so that its owners find it; none of a team that is gone by this very change.
        let teams = self.teams.into_iter().map(Some);
        let teams: Vec<Option<TeamId>> = if teams.len() == 0 { vec![None] } else { teams.collect() };
        let details = serde_json::to_string(&self.details).unwrap_or_default();
        for team in teams {
            let mut entry = NewAuditEntry::new(at, &self.actor.words, action, &self.target, &details);
            (entry.team_id, entry.user_id, entry.key_id) = (team, self.actor.user, self.actor.key);
            store.record_audit(&entry)?;
        }
        Ok(())
    }
}

/// A change that was made outside the console.
#[derive(Debug)]
pub struct OutsideChange<'a> {
    /// What was done, in the words of the console where it has the same.
    pub action: &'a str,
    /// What it was done to.
    pub target: Target,
    /// The account that it concerns, whose owner finds it in their own data.
    pub user: Option<UserId>,
    /// More teams whose owners shall read of it.
    pub teams: Vec<TeamId>,
    /// More about it; never a secret.
    pub details: BTreeMap<&'static str, String>,
}

/// Stores that `who` made a change.
///
/// # Errors
/// When the store cannot be written.
pub fn record_outside(
    store: &dyn Metadata,
    who: &str,
    change: OutsideChange<'_>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let (mut teams, target) = subject(&change.target);
    teams.extend(change.teams);
    let actor = AuditActor { user: change.user, key: None, words: who.to_owned() };
    Draft { actor, action: None, teams, target, details: change.details }.store(store, change.action, at)
}
