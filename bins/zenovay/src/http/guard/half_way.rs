//! Whoever gave the right password and owes a second factor.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use zenovay_auth::SignInStage;
use zenovay_domain::ErrorCode;
use zenovay_store::User;

use super::person::{look_up, presented_session};
use super::{AccessRefusal, Attempt};
use crate::http::document::Operation;
use crate::http::handler::{Access, Caller};
use crate::http::state::AppState;

/// Somebody between the password and the second factor, as often as an address may try to sign in.
#[derive(Debug, Clone)]
pub struct HalfWay {
    /// Whose password it was.
    pub user: User,
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
        let (attempt, req) = (Attempt::from_request(req, payload), req.clone());
        Box::pin(async move {
            attempt.await?;
            let found = async {
                let state = req.app_data::<web::Data<AppState>>().cloned().ok_or(AccessRefusal::Failed)?;
                let secret = presented_session(&req)?.ok_or(AccessRefusal::NotSignedIn)?;
                let now = state.clock.reading().steady;
                let found = web::block(move || look_up(&state, &secret, SignInStage::SecondFactor, now));
                let (used, _) = found.await.map_err(|_panicked| AccessRefusal::Failed)??;
                Ok(Self { user: used.user })
            };
            found.await.inspect_err(AccessRefusal::count)
        })
    }
}
