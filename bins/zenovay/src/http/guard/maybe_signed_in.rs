//! Whoever opens a page of this server that looks different to people who are signed in.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use zenovay_auth::SignInStage;
use zenovay_domain::ErrorCode;

use super::person::{look_up, presented_session};
use super::{AccessRefusal, Person, Report};
use crate::http::document::Operation;
use crate::http::handler::{Access, Caller};
use crate::http::state::AppState;

/// Anybody, and who that is when they are signed in. A change that the page of another website asks for is refused.
#[derive(Debug, Clone)]
pub struct MaybeSignedIn(pub Option<Person>);

impl Caller for MaybeSignedIn {
    const ACCESS: Access = Access::Public;

    fn describe(operation: &mut Operation) {
        operation.refuses([ErrorCode::Forbidden]);
    }
}

impl FromRequest for MaybeSignedIn {
    type Error = AccessRefusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, AccessRefusal>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let req = req.clone();
        Box::pin(async move {
            let found = async {
                let state = req.app_data::<web::Data<AppState>>().cloned().ok_or(AccessRefusal::Failed)?;
                let Some(secret) = presented_session(&req)? else { return Ok(None) };
                let now = state.clock.reading().steady;
                let found = web::block(move || look_up(&state, &secret, SignInStage::Complete, now));
                match found.await.map_err(|_panicked| AccessRefusal::Failed)? {
                    Ok((used, report)) => {
                        report.put(&req);
                        Ok(Some(Person::new(used)))
                    }
                    Err(AccessRefusal::NotSignedIn) => Ok(None),
                    Err(other) => Err(other),
                }
            };
            found.await.map(Self).inspect_err(AccessRefusal::count)
        })
    }
}
