//! Actions as types, each with the resource that it is done to.

use std::sync::Arc;

use actix_web::HttpRequest;
use zenovay_auth::{Action, Target, TargetKind};
use zenovay_domain::{Role, TeamId, UserId, Website, WebsiteId};
use zenovay_store::{Invitation, KeyRecord, StoreError, Team};

use crate::http::long_questions::QuestionId;
use crate::http::state::AppState;

/// An action of [`Action`], as a type.
pub trait Permission: 'static {
    /// The action.
    const ACTION: Action;
    /// What the permission gives access to.
    type Resource: Resource;

    /// Finds the resource that the path names. Blocks. Only what is found here can be handed out, and it is handed out
    /// only after the decision about it.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn load(state: &AppState, path: &PathValues) -> Result<Found<Self::Resource>, StoreError> {
        Self::Resource::load(state, path)
    }
}

/// The values that a path gives to the names in its pattern.
#[derive(Debug, Clone)]
pub struct PathValues(Vec<(String, String)>);

impl PathValues {
    /// Those of a request.
    pub fn of(req: &HttpRequest) -> Self {
        Self(req.match_info().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The value of `name`, as it stands in the path; empty when the pattern does not have the name.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }
}

/// What a path names: something, with what the decision needs to know of it, or nothing that there is.
#[derive(Debug)]
pub enum Found<R> {
    /// This.
    Resource(Target, R),
    /// Nothing of this kind.
    Nothing(TargetKind),
}

impl<R> Found<R> {
    /// The target of the decision.
    pub fn target(&self) -> Target {
        match self {
            Self::Resource(target, _) => *target,
            Self::Nothing(kind) => Target::Unknown(*kind),
        }
    }

    /// The target of the decision, and what is handed out after it.
    pub fn into_target(self) -> (Target, Option<R>) {
        match self {
            Self::Resource(target, resource) => (target, Some(resource)),
            Self::Nothing(kind) => (Target::Unknown(kind), None),
        }
    }
}

impl Found<Arc<Website>> {
    /// A website that was looked for.
    pub fn website(website: Option<Arc<Website>>) -> Self {
        website.map_or(Self::Nothing(TargetKind::Website), |website| {
            Self::Resource(Target::Website { id: website.id, team_id: website.team_id }, website)
        })
    }
}

/// What a permission gives access to.
pub trait Resource: Sized + Send + 'static {
    /// Finds what the path names. Blocks.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn load(state: &AppState, path: &PathValues) -> Result<Found<Self>, StoreError>;

    /// The one website that it is, or that it belongs to.
    fn website_id(&self) -> Option<WebsiteId>;
}

/// The website that `website_id` in the path names. A string that is not an id names no website, like an unknown id.
impl Resource for Arc<Website> {
    fn load(state: &AppState, path: &PathValues) -> Result<Found<Self>, StoreError> {
        let Ok(id) = path.get("website_id").parse() else { return Ok(Found::Nothing(TargetKind::Website)) };
        state.directory.website(id).map(Found::website)
    }

    fn website_id(&self) -> Option<WebsiteId> {
        Some(self.id)
    }
}

/// The caller's own account: what a key may list, its usage, and the websites it may be asked about later.
#[derive(Debug, Clone, Copy)]
pub struct Account;

impl Resource for Account {
    fn load(_: &AppState, _: &PathValues) -> Result<Found<Self>, StoreError> {
        Ok(Found::Resource(Target::Account, Self))
    }

    fn website_id(&self) -> Option<WebsiteId> {
        None
    }
}

/// The team that `team_id` in the path names.
impl Resource for Team {
    fn load(state: &AppState, path: &PathValues) -> Result<Found<Self>, StoreError> {
        let Some(team) = team_of(state, path)? else { return Ok(Found::Nothing(TargetKind::Team)) };
        Ok(Found::Resource(Target::Team { id: team.id }, team))
    }

    fn website_id(&self) -> Option<WebsiteId> {
        None
    }
}

fn team_of(state: &AppState, path: &PathValues) -> Result<Option<Team>, StoreError> {
    let Ok(id) = path.get("team_id").parse() else { return Ok(None) };
    state.store.team(id)
}

/// The team that runs the server, whatever the path says.
#[derive(Debug, Clone, Copy)]
pub struct Operators;

impl Resource for Operators {
    fn load(state: &AppState, _: &PathValues) -> Result<Found<Self>, StoreError> {
        let team = state.store.operators()?;
        Ok(team.map_or(Found::Nothing(TargetKind::Team), |id| Found::Resource(Target::Team { id }, Self)))
    }

    fn website_id(&self) -> Option<WebsiteId> {
        None
    }
}

/// The team of the path as somewhere to invite people into, with any role: which one is decided when it is known.
#[derive(Debug)]
pub struct InvitationsOf(pub Team);

impl Resource for InvitationsOf {
    fn load(state: &AppState, path: &PathValues) -> Result<Found<Self>, StoreError> {
        let Some(team) = team_of(state, path)? else { return Ok(Found::Nothing(TargetKind::Invitation)) };
        Ok(Found::Resource(Target::Invitation { team_id: team.id, role: Role::Viewer }, Self(team)))
    }

    fn website_id(&self) -> Option<WebsiteId> {
        None
    }
}

/// The invitation that `invitation_id` in the path names, of the team there.
impl Resource for Invitation {
    fn load(state: &AppState, path: &PathValues) -> Result<Found<Self>, StoreError> {
        let nothing = || Ok(Found::Nothing(TargetKind::Invitation));
        let (Ok(team), Ok(id)) = (path.get("team_id").parse::<TeamId>(), path.get("invitation_id").parse()) else {
            return nothing();
        };
        let found = state.store.invitation(id, state.clock.reading().steady)?;
        match found.filter(|invitation| invitation.team_id == team) {
            Some(invitation) => {
                let target = Target::Invitation { team_id: team, role: invitation.role };
                Ok(Found::Resource(target, invitation))
            }
            None => nothing(),
        }
    }

    fn website_id(&self) -> Option<WebsiteId> {
        None
    }
}

/// A member of a team.
#[derive(Debug, Clone, Copy)]
pub struct TeamMember {
    /// The team.
    pub team_id: TeamId,
    /// The member.
    pub user_id: UserId,
    /// The role that they have.
    pub role: Role,
}

/// The member that `user_id` in the path names, of the team there.
impl Resource for TeamMember {
    fn load(state: &AppState, path: &PathValues) -> Result<Found<Self>, StoreError> {
        let nothing = || Ok(Found::Nothing(TargetKind::Member));
        let (Ok(team_id), Ok(user_id)) = (path.get("team_id").parse(), path.get("user_id").parse()) else {
            return nothing();
        };
        match state.store.role_in(team_id, user_id)? {
            Some(role) => {
                Ok(Found::Resource(Target::Member { team_id, user_id, role }, Self { team_id, user_id, role }))
            }
            None => nothing(),
        }
    }

    fn website_id(&self) -> Option<WebsiteId> {
        None
    }
}

/// The key that `key_id` in the path names.
impl Resource for KeyRecord {
    fn load(state: &AppState, path: &PathValues) -> Result<Found<Self>, StoreError> {
        let nothing = || Ok(Found::Nothing(TargetKind::Key));
        let Ok(id) = path.get("key_id").parse() else { return nothing() };
        match state.store.key(id)? {
            Some(key) => Ok(Found::Resource(Target::Key { id, kind: key.kind }, key)),
            None => nothing(),
        }
    }

    fn website_id(&self) -> Option<WebsiteId> {
        None
    }
}

macro_rules! permissions {
    ($($name:ident -> $resource:ty;)*) => { $(
        #[doc = concat!("[`Action::", stringify!($name), "`].")]
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl Permission for $name {
            const ACTION: Action = Action::$name;
            type Resource = $resource;
        }
    )* };
}

/// What may be read of websites that the request names elsewhere than in its path: each is decided about when it is known, see
/// [`super::Authorized::website`].
pub trait OfNamedWebsite: Permission<Resource = Account> {}

macro_rules! of_named_websites {
    ($($name:ident: $action:ident;)*) => { $(
        #[doc = concat!("[`Action::", stringify!($action), "`] of a website that the query names.")]
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl Permission for $name {
            const ACTION: Action = Action::$action;
            type Resource = Account;
        }

        impl OfNamedWebsite for $name {}
    )* };
}

of_named_websites! {
    ReadStats: ReadAnalytics;
    ReadErrorStats: ReadErrors;
    ReadHeatmapStats: ReadHeatmaps;
    ReadReplayStats: ReadReplays;
}

/// What a question that takes long is about, if there is such a question: whose it is is looked at when it is known who asks.
#[derive(Debug, Clone, Copy)]
pub struct QuestionSubject(Option<WebsiteId>);

/// What the question is about that `query_id` in the path names: its website, or all that is within reach. A question that there
/// is not is about nothing.
impl Resource for QuestionSubject {
    fn load(state: &AppState, path: &PathValues) -> Result<Found<Self>, StoreError> {
        let id = QuestionId::parse(path.get("query_id"));
        let Some(id) = id.and_then(|id| state.long_questions.website(id)).flatten() else {
            return Ok(Found::Resource(Target::Account, Self(None)));
        };
        Ok(match state.directory.website(id)? {
            Some(website) => {
                Found::Resource(Target::Website { id: website.id, team_id: website.team_id }, Self(Some(website.id)))
            }
            None => Found::Nothing(TargetKind::Website),
        })
    }

    fn website_id(&self) -> Option<WebsiteId> {
        self.0
    }
}

/// [`Action::ReadAnalytics`] of what a question is about that takes long.
#[derive(Debug, Clone, Copy)]
pub struct ReadLongQuestion;

impl Permission for ReadLongQuestion {
    const ACTION: Action = Action::ReadAnalytics;
    type Resource = QuestionSubject;
}

/// [`Action::ManageKeys`] of a team: the keys that belong to it.
#[derive(Debug, Clone, Copy)]
pub struct ManageTeamKeys;

impl Permission for ManageTeamKeys {
    const ACTION: Action = Action::ManageKeys;
    type Resource = Team;
}

/// [`Action::ManageKeys`] of one's own account.
#[derive(Debug, Clone, Copy)]
pub struct ManageOwnKeys;

impl Permission for ManageOwnKeys {
    const ACTION: Action = Action::ManageKeys;
    type Resource = Account;
}

/// [`Action::InviteMember`] for an invitation that there is.
#[derive(Debug, Clone, Copy)]
pub struct TakeBackInvitation;

impl Permission for TakeBackInvitation {
    const ACTION: Action = Action::InviteMember;
    type Resource = Invitation;
}

permissions! {
    ReadUsage -> Account;
    ListWebsites -> Account;
    ReadWebsite -> Arc<Website>;
    ReadAnalytics -> Arc<Website>;
    ReadHeatmaps -> Arc<Website>;
    ExportEvents -> Arc<Website>;
    ReadFunnels -> Arc<Website>;
    EditFunnels -> Arc<Website>;
    ReadReplays -> Arc<Website>;
    DeleteReplay -> Arc<Website>;
    DeleteReplays -> Arc<Website>;
    ReadErrors -> Arc<Website>;
    EditErrors -> Arc<Website>;
    IngestBatch -> Account;
    ManageAccount -> Account;
    ReadTeam -> Team;
    EditTeam -> Team;
    ReadAudit -> Team;
    ManageBilling -> Team;
    TransferTeam -> Team;
    DeleteTeam -> Team;
    InviteMember -> InvitationsOf;
    ChangeRole -> TeamMember;
    RemoveMember -> TeamMember;
    ManageKeys -> KeyRecord;
    ExportVisitor -> Arc<Website>;
    EraseVisitor -> Arc<Website>;
    CreateWebsite -> Account;
    EditWebsite -> Arc<Website>;
    DeleteWebsite -> Arc<Website>;
    ManageStatus -> Operators;
    ReadDoctor -> Operators;
}
