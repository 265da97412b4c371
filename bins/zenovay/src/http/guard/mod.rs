//! Who may do what. A handler that reads or writes for somebody names the action in its signature, and that is its only
//! way to the resource: check and load cannot drift apart (SECURITY §2.2, IDOR).
//!
//! Three things come together in [`Authorized`]: a [`Permission`], which is an action and the resource that it is done
//! to; an [`Identity`], which is how a request says whose it is, and what that costs; and [`zenovay_auth::decide`].

mod actor;
mod assistant;
mod attempt;
mod half_way;
mod key;
mod maybe_signed_in;
mod permission;
mod person;
mod refusal;

use std::future::{Future, Ready, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use zenovay_auth::{Action, KeyKind, Principal, Target, TargetKind, TeamAccess, decide};
use zenovay_domain::{
    ErrorCode, KeyId, Plan, PlanTable, Reading, Role, SignInId, TeamId, TrackingCode, UserId, Website,
};
use zenovay_store::{Metadata, Standing};

pub use self::actor::{Actor, ActorEvidence, ActorReport};
pub use self::assistant::Assistant;
pub use self::attempt::Attempt;
pub use self::half_way::{Entrant, HalfWay};
pub use self::key::{KeyHolder, KeyReport};
pub use self::maybe_signed_in::MaybeSignedIn;
pub use self::permission::{
    Account, ChangeRole, CreateWebsite, DeleteReplay, DeleteReplays, DeleteTeam, DeleteWebsite, EditErrors,
    EditFunnels, EditTeam, EditWebsite, EraseVisitor, ExportEvents, ExportVisitor, Found, IngestBatch, InvitationsOf,
    InviteMember, ListWebsites, ManageAccount, ManageBilling, ManageKeys, ManageOwnKeys, ManageStatus, ManageTeamKeys,
    OfNamedWebsite, Operators, PathValues, Permission, ReadAnalytics, ReadAudit, ReadDoctor, ReadErrorStats,
    ReadErrors, ReadFunnels, ReadHeatmapStats, ReadHeatmaps, ReadLongQuestion, ReadReplayStats, ReadReplays, ReadStats,
    ReadTeam, ReadUsage, ReadWebsite, RemoveMember, Resource, TakeBackInvitation, TeamMember, TransferTeam,
};
pub use self::person::{Person, SessionReport};
pub use self::refusal::AccessRefusal;
use super::address_limit::{self, AddressClass};
use super::audit::{self, AuditActor};
use super::client_ip;
use super::document::Operation;
use super::envelope::ApiError;
use super::handler::{Access, Caller};
use super::turns::Asking;
use crate::http::state::AppState;

/// Anybody: a route whose handler takes this is open.
#[derive(Debug, Clone, Copy)]
pub struct Public;

impl Caller for Public {
    const ACCESS: Access = Access::Public;
}

impl FromRequest for Public {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self))
    }
}

/// Anybody, as often as an address may read what is public (S4: 30 requests a minute).
#[derive(Debug, Clone, Copy)]
pub struct PublicReader;

impl Caller for PublicReader {
    const ACCESS: Access = Access::Public;

    fn describe(operation: &mut Operation) {
        operation.refuses([ErrorCode::RateLimitExceeded]);
        if operation.names_a_resource() {
            operation.refuses([ErrorCode::NotFound]);
        }
    }
}

impl FromRequest for PublicReader {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let req = req.clone();
        Box::pin(async move {
            let state = req.app_data::<web::Data<AppState>>().ok_or_else(ApiError::internal)?;
            let client = client_ip::of(&req, &state.trusted_proxies);
            address_limit::charge_async(&state.addresses, AddressClass::Public, client, state.clock.now()).await?;
            Ok(Self)
        })
    }
}

/// What showed whose a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shown {
    /// The session of a person.
    Session {
        /// The person.
        user: UserId,
        /// The session.
        session: SignInId,
    },
    /// A key.
    Key(KeyId),
}

/// A way in which a request says whose it is. What belongs to one way, such as the usage that a key is charged, is in the
/// value of that way alone: nothing that comes in another way has it, and nothing can be charged to a key that is not
/// there.
pub trait Identity: Sized + Send + 'static {
    /// What the request shows, such as a key.
    type Evidence: Send + 'static;
    /// What is told with every answer to a known caller, also with a refusal; `()` when there is nothing to tell.
    type Report: Report;

    /// Reads what the request shows.
    ///
    /// # Errors
    /// When it shows nothing, or nothing that can be valid.
    fn evidence(req: &HttpRequest) -> Result<Self::Evidence, AccessRefusal>;

    /// Finds out whose request it is, asks `permit` whether they may make it, and charges them for it. Blocks.
    fn admit<R>(
        state: &AppState,
        evidence: &Self::Evidence,
        arrival: Arrival,
        permit: impl FnOnce(Principal<'_>) -> Result<R, AccessRefusal>,
    ) -> Admission<Self, R>;

    /// Who that is.
    fn principal(&self) -> Principal<'_>;

    /// What showed who that is.
    fn shown(&self) -> Shown;

    /// The key under which its queries take turns, if it is one.
    fn key_id(&self) -> Option<KeyId>;

    /// Who changes something, for the audit trail.
    fn audit_actor(&self) -> AuditActor;

    /// The role in a team: that of the person, or of the owner of the key, or that of an admin for the team's own keys.
    fn role_in(&self, team: TeamId) -> Role;
}

/// What is told a known caller with every answer.
pub trait Report: Send + 'static {
    /// Leaves it for the outermost layer, which writes the headers of the answer to `req`.
    fn put(self, req: &HttpRequest);
}

impl Report for () {
    fn put(self, _: &HttpRequest) {}
}

/// Where a request came from, and when.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// The address of the client.
    pub client: IpAddr,
    /// The time.
    pub reading: Reading,
}

/// How a request was taken.
pub struct Admission<I: Identity, R> {
    /// What is told with the answer, if the caller is known.
    pub report: Option<I::Report>,
    /// Who may do it, and what to; or why not.
    pub result: Result<(I, R), AccessRefusal>,
}

/// Proof that whoever makes this request may do `P`, and the resource they may do it to.
#[derive(Debug)]
pub struct Authorized<P: Permission, I: Identity = KeyHolder> {
    /// What the permission gives access to.
    pub resource: P::Resource,
    /// Whose request it is.
    pub caller: I,
    /// What the permission was decided about.
    target: Target,
}

impl<P: Permission, I: Identity> Authorized<P, I> {
    /// The store for changes on behalf of whoever asks: they are written only while the session, or the key, that they were let
    /// in with goes on, and they are in the team with the role. A body may take its time to arrive.
    pub fn store(&self, state: &AppState) -> Arc<dyn Metadata> {
        self.on_behalf(team_of(&self.target), state)
    }

    /// The same for a team that the path does not name.
    pub fn store_in(&self, team: TeamId, state: &AppState) -> Arc<dyn Metadata> {
        self.on_behalf(Some(team), state)
    }

    fn on_behalf(&self, team: Option<TeamId>, state: &AppState) -> Arc<dyn Metadata> {
        let AuditActor { user, key, .. } = self.caller.audit_actor();
        let mut standing = Standing::default();
        standing.session = match self.caller.shown() {
            Shown::Session { session, .. } => Some(session),
            Shown::Key(_) => None,
        };
        standing.member = team.zip(user).map(|(team, user)| (team, user, self.caller.role_in(team)));
        standing.key = key.zip(P::ACTION.scope());
        state.store.on_behalf_of(standing)
    }
}

/// The role that one of `teams` gives in `team`; the weakest where none does.
fn role_among(teams: &[TeamAccess], team: TeamId) -> Role {
    teams.iter().find(|access| access.team_id == team).map_or(Role::Viewer, |access| access.role)
}

/// The team that something belongs to.
fn team_of(target: &Target) -> Option<TeamId> {
    match *target {
        Target::Team { id }
        | Target::Website { team_id: id, .. }
        | Target::Member { team_id: id, .. }
        | Target::Invitation { team_id: id, .. }
        | Target::Key { kind: KeyKind::Workspace(id), .. } => Some(id),
        _ => None,
    }
}

impl<P: Permission, I: Identity> Authorized<P, I> {
    /// For whom its queries are.
    pub fn asking(&self) -> Asking {
        Asking { website: self.resource.website_id(), key: self.caller.key_id() }
    }
}

impl<P: Permission, I: Identity> Authorized<P, I> {
    /// Decides whether the caller may do something to something else than what the path alone names.
    ///
    /// # Errors
    /// When they may not.
    pub fn may(&self, state: &AppState, action: Action, target: Target) -> Result<(), AccessRefusal> {
        let decided = decide(self.caller.principal(), action, &target, &state.plans);
        decided.map_err(AccessRefusal::Denied).inspect_err(AccessRefusal::count)
    }

    /// Whether the caller may also do `action` to the same thing, for what an answer leaves out for those who may not: nothing is
    /// refused by it, nor counted as a refusal.
    pub fn also_may(&self, state: &AppState, action: Action) -> bool {
        decide(self.caller.principal(), action, &self.target, &state.plans).is_ok()
    }

    /// Adds to the entry of the audit trail that this request makes when it succeeds. Never a secret.
    pub fn note(&self, req: &HttpRequest, name: &'static str, value: &str) {
        audit::note(req, name, value);
    }

    /// Says that the change concerns a team that the path does not name.
    pub fn concerns(&self, req: &HttpRequest, team: TeamId) {
        audit::concerns(req, team);
    }
}

impl<I: Identity> Authorized<IngestBatch, I> {
    /// The website with the code of a batch, if the caller reaches it. Blocks: to be called off the async workers.
    ///
    /// # Errors
    /// When nobody has the code, when the website is out of reach, or when the store cannot be asked.
    pub fn website(&self, state: &AppState, code: &TrackingCode) -> Result<Arc<Website>, AccessRefusal> {
        let find = || {
            let website = state.directory.website_by_code(code).map_err(AccessRefusal::NotLoaded)?;
            permit(self.caller.principal(), IngestBatch::ACTION, Found::website(website), &state.plans)
        };
        find().inspect_err(AccessRefusal::count)
    }
}

impl<I: Identity> Authorized<CreateWebsite, I> {
    /// Decides whether the caller may add a website to this team. Blocks: to be called off the async workers.
    ///
    /// # Errors
    /// When there is no such team, when it is out of reach, or when the store cannot be asked.
    pub fn in_team(&self, state: &AppState, team: TeamId) -> Result<(), AccessRefusal> {
        let find = || {
            let found = match state.store.team(team).map_err(AccessRefusal::NotLoaded)? {
                Some(team) => Found::Resource(Target::Team { id: team.id }, ()),
                None => Found::Nothing(TargetKind::Team),
            };
            permit(self.caller.principal(), CreateWebsite::ACTION, found, &state.plans)
        };
        find().inspect_err(AccessRefusal::count)
    }
}

impl<P: OfNamedWebsite> Authorized<P, KeyHolder> {
    /// The website that a question names by its id or its domain, if the key reaches it, and for whom queries about it
    /// are. Of several websites with the domain it is the oldest that the key reaches, those first whose team has the API.
    ///
    /// # Errors
    /// When there is no such website, when it is out of reach, or when the store cannot be asked.
    pub async fn website(
        &self,
        state: &web::Data<AppState>,
        site: String,
    ) -> Result<(Arc<Website>, Asking), AccessRefusal> {
        let (state, credential) = (state.clone(), Arc::clone(&self.caller.credential));
        let find = web::block(move || {
            let website = match site.parse() {
                Ok(id) => state.directory.website(id).map_err(AccessRefusal::NotLoaded)?,
                Err(_no_id) => {
                    let domain = site.to_ascii_lowercase();
                    // Those of teams whose plan has no API are found, too: the decision says why they are closed.
                    let mut any_plan = state.plans.clone();
                    for &plan in Plan::ALL {
                        let limits = any_plan.limits_mut(plan);
                        limits.requests_per_minute = limits.requests_per_minute.max(1);
                    }
                    let websites = state.store.reachable_websites(&credential, &any_plan);
                    let mut websites = websites.map_err(AccessRefusal::NotLoaded)?;
                    websites.retain(|website| website.domain == domain);
                    let is_open = |website: &Website| credential.reaches(website.id, website.team_id, &state.plans);
                    let open = websites.iter().position(is_open).unwrap_or(0);
                    websites.into_iter().nth(open).map(Arc::new)
                }
            };
            permit(Principal::Key(&credential), P::ACTION, Found::website(website), &state.plans)
        });
        let found = find.await.map_err(|_panicked| AccessRefusal::Failed).flatten();
        let website = found.inspect_err(AccessRefusal::count)?;
        let asking = Asking { website: Some(website.id), key: self.caller.key_id() };
        Ok((website, asking))
    }
}

impl<I: Identity> Authorized<ExportEvents, I> {
    /// Decides whether the caller may do more to the same website.
    ///
    /// # Errors
    /// When they may not.
    pub fn may_also(&self, state: &AppState, action: Action) -> Result<(), AccessRefusal> {
        let found = Found::website(Some(Arc::clone(&self.resource)));
        permit(self.caller.principal(), action, found, &state.plans).map(drop).inspect_err(AccessRefusal::count)
    }
}

impl<P: Permission> Caller for Authorized<P, KeyHolder> {
    const ACCESS: Access = Access::Key(P::ACTION);

    fn describe(operation: &mut Operation) {
        operation.refuses([
            ErrorCode::Unauthorized,
            ErrorCode::ApiPaidPlanRequired,
            ErrorCode::Forbidden,
            ErrorCode::RateLimitExceeded,
            ErrorCode::MonthlyLimitExceeded,
        ]);
        if operation.names_a_resource() {
            operation.refuses([ErrorCode::NotFound]);
        }
    }
}

impl<P: Permission, I: Identity> FromRequest for Authorized<P, I> {
    type Error = AccessRefusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, AccessRefusal>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let req = req.clone();
        Box::pin(async move { authorize(&req).await.inspect_err(AccessRefusal::count) })
    }
}

/// The whole check, on a thread where it may wait for the store.
async fn authorize<P: Permission, I: Identity>(req: &HttpRequest) -> Result<Authorized<P, I>, AccessRefusal> {
    let state = req.app_data::<web::Data<AppState>>().cloned().ok_or(AccessRefusal::Failed)?;
    let evidence = I::evidence(req)?;
    let path = PathValues::of(req);
    let arrival = Arrival { client: client_ip::of(req, &state.trusted_proxies), reading: state.clock.reading() };
    let span = tracing::Span::current();
    let check = web::block(move || {
        let permit = |principal: Principal<'_>| {
            let found = P::load(&state, &path).map_err(AccessRefusal::NotLoaded)?;
            let target = found.target();
            permit(principal, P::ACTION, found, &state.plans).map(|resource| (resource, target))
        };
        span.in_scope(|| I::admit(&state, &evidence, arrival, permit))
    });
    let Admission { report, result } = check.await.map_err(|_panicked| AccessRefusal::Failed)?;
    if let Some(report) = report {
        report.put(req);
    }
    let (caller, (resource, target)) = result?;
    audit::begin(req, P::ACTION, caller.audit_actor(), &target);
    Ok(Authorized { resource, caller, target })
}

/// What was found, for who may have it.
fn permit<R>(principal: Principal<'_>, action: Action, found: Found<R>, plans: &PlanTable) -> Result<R, AccessRefusal> {
    let (target, resource) = found.into_target();
    decide(principal, action, &target, plans)?;
    // Nothing is allowed to be done to what is not there.
    resource.ok_or(AccessRefusal::Failed)
}
