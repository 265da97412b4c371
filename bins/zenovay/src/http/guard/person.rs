//! People who are signed in, by their cookie.

use actix_web::{HttpRequest, web};
use zenovay_auth::{Principal, Secret, SignInStage, SignedIn};
use zenovay_domain::{ErrorCode, KeyId, Role, SignInId, TeamId, Timestamp};
use zenovay_store::{UsedSession, User};

use super::key::shows_a_key;
use super::{AccessRefusal, Admission, Arrival, Authorized, Identity, Permission, Report, Shown, role_among};
use crate::http::audit::AuditActor;
use crate::http::document::Operation;
use crate::http::handler::{Access, Caller};
use crate::http::same_origin::is_same_origin;
use crate::http::state::AppState;

/// A person who is signed in.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their account.
    pub user: User,
    /// Their teams, with their role in each.
    pub signed_in: SignedIn,
    /// The session that the request belongs to.
    pub session: SignInId,
}

/// What is told a browser with the answer.
#[derive(Debug, Default)]
pub struct SessionReport {
    /// The secret that replaces the one in the cookie.
    next: Option<Secret>,
}

impl Report for SessionReport {
    fn put(self, req: &HttpRequest) {
        let state = req.app_data::<web::Data<AppState>>();
        if let (Some(state), Some(next)) = (state, &self.next) {
            state.session_cookie.set(req, next);
        }
    }
}

/// The secret of a session in the cookie of a request that a page of this server made, or that changes nothing.
pub(super) fn presented_session(req: &HttpRequest) -> Result<Option<Secret>, AccessRefusal> {
    let state = req.app_data::<web::Data<AppState>>().ok_or(AccessRefusal::Failed)?;
    let secret = state.session_cookie.read(req.headers());
    if secret.is_some() && !is_same_origin(req, state.public_origin.as_deref()) {
        return Err(AccessRefusal::CrossSite);
    }
    Ok(secret)
}

/// The session behind `secret`, when it has come to `stage`. Its secret is replaced when that is due.
pub(super) fn look_up(
    state: &AppState,
    secret: &Secret,
    stage: SignInStage,
    now: Timestamp,
) -> Result<(UsedSession, SessionReport), AccessRefusal> {
    let digest = secret.digest();
    let used = state.store.use_session(&digest, now).map_err(AccessRefusal::KeyNotChecked)?;
    let used = used.filter(|used| used.session.stage == stage).ok_or(AccessRefusal::NotSignedIn)?;
    let mut report = SessionReport::default();
    if used.is_present_secret && used.session.times.is_due_for_rotation(now) {
        let next = state.new_secret();
        let rotated = state.store.rotate_session(used.session.id, &digest, &next.digest(), now);
        // Of two requests at the same time one replaces it; on a full disk the session goes on with the one it has.
        report.next = matches!(rotated, Ok(true)).then_some(next);
    }
    Ok((used, report))
}

impl Person {
    pub(super) fn new(used: UsedSession) -> Self {
        let signed_in = SignedIn::new(used.user.id, used.teams);
        Self { user: used.user, signed_in, session: used.session.id }
    }
}

impl Identity for Person {
    type Evidence = Secret;
    type Report = SessionReport;

    fn evidence(req: &HttpRequest) -> Result<Secret, AccessRefusal> {
        match presented_session(req)? {
            Some(secret) => Ok(secret),
            // What a key may not do it may not do whosever it is: nothing is looked up.
            None if shows_a_key(req.headers()) => Err(zenovay_auth::Denial::NotForKeys.into()),
            None => Err(AccessRefusal::NotSignedIn),
        }
    }

    fn admit<R>(
        state: &AppState,
        secret: &Secret,
        Arrival { reading, .. }: Arrival,
        permit: impl FnOnce(Principal<'_>) -> Result<R, AccessRefusal>,
    ) -> Admission<Self, R> {
        match look_up(state, secret, SignInStage::Complete, reading.steady) {
            Err(error) => Admission { report: None, result: Err(error) },
            Ok((used, report)) => {
                let person = Self::new(used);
                let result = permit(Principal::Person(&person.signed_in)).map(|resource| (person, resource));
                Admission { report: Some(report), result }
            }
        }
    }

    fn principal(&self) -> Principal<'_> {
        Principal::Person(&self.signed_in)
    }

    fn shown(&self) -> Shown {
        Shown::Session { user: self.user.id, session: self.session }
    }

    fn key_id(&self) -> Option<KeyId> {
        None
    }

    fn audit_actor(&self) -> AuditActor {
        AuditActor { user: Some(self.user.id), key: None, words: self.user.email.clone() }
    }

    fn role_in(&self, team: TeamId) -> Role {
        role_among(&self.signed_in.teams, team)
    }
}

impl<P: Permission> Caller for Authorized<P, Person> {
    const ACCESS: Access = Access::Person(P::ACTION);

    fn describe(operation: &mut Operation) {
        operation.refuses([ErrorCode::Unauthorized, ErrorCode::Forbidden]);
        if operation.names_a_resource() {
            operation.refuses([ErrorCode::NotFound]);
        }
    }
}
