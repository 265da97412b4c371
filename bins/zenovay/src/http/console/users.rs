//! Making an account.

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use serde::Deserialize;
use utoipa::ToSchema;
use zenovay_auth::{Secret, SecretDigest, SignInStage};
use zenovay_domain::{ErrorCode, UserId};
use zenovay_limits::ClientNetwork;
use zenovay_store::{StoreError, User};
use zeroize::Zeroizing;

use super::session::{Ground, SignInAnswer, refuse_when_paused, start};
use super::{Created, JsonBody, Rules, changing, teams};
use crate::config::SignUp;
use crate::http::audit;
use crate::http::envelope::ApiError;
use crate::http::guard::Attempt;
use crate::http::lookups::blocking;
use crate::http::state::AppState;

/// `POST /api/users`.
pub async fn sign_up(
    attempt: Attempt,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<NewUser>,
) -> Result<Created<SignInAnswer>, ApiError> {
    let NewUser { email, name, password, invitation } = body.read().await?;
    let closed = |message| Err(ApiError::new(ErrorCode::Forbidden, message));
    match (state.people.sign_up, &invitation) {
        (SignUp::Closed, _) => return closed("Sign-up is closed here."),
        (SignUp::Invitation, None) => return closed("Sign-up is by invitation here."),
        (SignUp::Open, _) | (SignUp::Invitation, Some(_)) => {}
    }
    let mut rules = Rules::default();
    let (email, name) = (rules.email("email", &email), rules.name("name", &name));
    rules.password("password", &password);
    rules.check()?;
    let now = state.clock.reading().steady;
    let ended = || ApiError::not_found("This invitation does not work any more");
    let digest = match invitation {
        None => None,
        Some(invitation) => {
            // Looked at before the account is made, so that none is made in vain; whether it still holds is decided below.
            let digest = Secret::parse(&invitation).map_err(|_malformed| ended())?.digest();
            let found = blocking(&state, move |state| state.store.invitation_by_secret(&digest, now)).await?;
            let found = found.ok_or_else(ended)?;
            if found.email.is_some_and(|invited| invited.to_lowercase() != email.to_lowercase()) {
                let mut rules = Rules::default();
                rules.problem("email", "The invitation is for another address");
                rules.check()?;
            }
            Some(digest)
        }
    };
    // An address that is taken is told, because an account is there at once; but no list of addresses is tried so.
    let network = ClientNetwork::from(attempt.client);
    let subject = SecretDigest::of(format!("taken addresses for {network:?}").as_bytes());
    blocking(&state, move |state| Ok(refuse_when_paused(&*state.store, &subject, now))).await??;
    let password_hash = state.hashing.hash(&state, Zeroizing::new(password)).await?;
    let id = UserId::from_random_bytes(state.random_bytes());
    let user = User::new(id, email.clone(), name.clone(), password_hash, now);
    let joined = changing(&state, move |state| {
        if let Err(error) = state.store.create_user(&user) {
            if matches!(error, StoreError::Conflict(_)) {
                state.store.note_failure(&subject, now)?;
            }
            return Err(error);
        }
        let Some(digest) = digest else { return Ok(None) };
        match state.store.accept_invitation(&digest, id, &state.plans, now) {
            Ok(Some(invitation)) => Ok(Some((invitation.team_id, invitation.role))),
            // Somebody else was faster, or the team is full: no account is left behind.
            Ok(None) => state.store.delete_user(id).and(Err(StoreError::NotFound("invitation"))),
            Err(error) => state.store.delete_user(id).and(Err(error)),
        }
    });
    let joined = joined.await?;
    if joined.is_none() {
        teams::make(&state, Arc::clone(&state.store), id, format!("Workspace of {name}").chars().take(100).collect())
            .await?;
    }
    start(&req, &state, id, SignInStage::Complete, Ground::Given, now).await?;
    audit::begin_for(&req, id, email);
    if let Some((team, role)) = joined {
        audit::concerns(&req, team);
        audit::note(&req, "role", role.as_str());
    }
    Ok(Created::at("/api/session".to_owned(), SignInAnswer::signed_in(), state.clock.now()))
}

/// A new account.
#[derive(Deserialize, ToSchema)]
pub struct NewUser {
    /// The address of the account.
    #[schema(examples("editor@example.com"))]
    email: String,
    /// The name people see.
    #[schema(examples("Ada"))]
    name: String,
    /// The password: at least 12 characters, not a common one.
    #[schema(examples("correct horse battery staple"))]
    password: String,
    /// What stands at the end of the link of an invitation.
    #[schema(examples("Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5oRiVtCkBqM"))]
    invitation: Option<String>,
}
