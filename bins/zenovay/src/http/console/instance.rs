//! What anybody may know of the server: what the pages need before somebody is signed in.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;
use zenovay_store::LinkPurpose;

use crate::config::{SignUp, StatusPage};
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::Public;
use crate::http::lookups::blocking;
use crate::http::state::AppState;

/// `GET /api/instance`.
pub async fn show(_: Public, state: web::Data<AppState>) -> Result<Success<Instance>, ApiError> {
    let now = state.clock.reading().steady;
    let instance = blocking(&state, move |state| {
        Ok(Instance {
            first_run: state.store.has_link(LinkPurpose::Welcome, now)?,
            sign_up: state.people.sign_up,
            mail: state.people.has_mail,
            status_page: state.people.status_page,
            passkeys: state.passkeys.is_some(),
        })
    });
    Ok(Success::new(instance.await?, now))
}

/// What anybody may know of the server.
#[derive(Debug, Serialize, ToSchema)]
pub struct Instance {
    /// Whether the first account waits to be taken over.
    first_run: bool,
    /// Who may make an account.
    sign_up: SignUp,
    /// Whether the server sends mail.
    mail: bool,
    /// Who may see the status page.
    status_page: StatusPage,
    /// Whether people can sign in with passkeys.
    passkeys: bool,
}
