//! Whoever may have given the right password, and owes a second factor then.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use zenovay_auth::SignInStage;
use zenovay_domain::{ErrorCode, SignInId};
use zenovay_store::User;

use super::person::{look_up, presented_session};
use super::{AccessRefusal, Attempt};
use crate::http::document::Operation;
use crate::http::handler::{Access, Caller};
use crate::http::state::AppState;

/// Anybody, as often as an address may try to sign in, who may have given a password already.
#[derive(Debug, Clone)]
pub struct Entrant {
    /// The session between the password and the second factor, and whose password it was.
    pub half_way: Option<(SignInId, User)>,
}

impl Caller for Entrant {
    const ACCESS: Access = Access::Public;

    fn describe(operation: &mut Operation) {
        Attempt::describe(operation);
    }
}

impl FromRequest for Entrant {
    type Error = AccessRefusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, AccessRefusal>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (attempt, req) = (Attempt::from_request(req, payload), req.clone());
        Box::pin(async move {
            attempt.await?;
            let found = async {
                let state = req.app_data::<web::Data<AppState>>().cloned().ok_or(AccessRefusal::Failed)?;
                let Some(secret) = presented_session(&req)? else { return Ok(Self { half_way: None }) };
                let now = state.clock.reading().steady;
                let found = web::block(move || look_up(&state, &secret, SignInStage::SecondFactor, now));
                match found.await.map_err(|_panicked| AccessRefusal::Failed)? {
                    Ok((used, _)) => Ok(Self { half_way: Some((used.session.id, used.user)) }),
                    Err(AccessRefusal::NotSignedIn) => Ok(Self { half_way: None }),
                    Err(other) => Err(other),
                }
            };
            found.await.inspect_err(AccessRefusal::count)
        })
    }
}

/// Somebody between the password and the second factor, as often as an address may try to sign in.
#[derive(Debug, Clone)]
pub struct HalfWay {
    /// Whose password it was.
    pub user: User,
    /// The session between the password and the second factor.
    pub session: SignInId,
}

impl Caller for HalfWay {
    const ACCESS: Access = Access::Public;

    fn describe(operation: &mut Operation) {
        Attempt::describe(operation);
        operation.refuses([ErrorCode::Unauthorized]);
    }
}

impl FromRequest for HalfWay {
    type Error = AccessRefusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, AccessRefusal>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let entrant = Entrant::from_request(req, payload);
        Box::pin(async move {
            let half_way = entrant.await?.half_way.ok_or(AccessRefusal::NotHalfWay);
            half_way.map(|(session, user)| Self { user, session }).inspect_err(AccessRefusal::count)
        })
    }
}
