//! What people and programs do in the web application: `/api/*`. Everything in it is in the API document, and the pages use
//! nothing else.

pub mod account;
pub mod activity;
mod answers;
pub mod audience;
mod body;
pub mod captured;
pub mod doctor;
pub mod error_groups;
pub mod files;
pub mod funnels;
pub mod goals;
pub mod heatmaps;
pub mod hub;
pub mod install;
pub mod instance;
pub mod invitations;
pub mod keys;
pub mod live;
pub mod mcp_clients;
mod moments;
pub mod numbers;
pub mod passkeys;
pub mod performance;
pub mod plan;
pub mod queries;
pub mod reader;
pub mod resets;
mod rules;
pub mod second_factor;
pub mod session;
pub mod session_replays;
pub mod settings;
pub mod shares;
pub mod sites;
pub mod source_maps;
pub mod sse;
pub mod status;
pub mod steps;
pub mod teams;
pub mod trail;
pub mod users;
pub mod view;
pub mod welcome;

pub use self::answers::{Created, NoContent};
pub use self::body::{JsonBody, present};
pub use self::rules::Rules;

use actix_web::web;
use zenovay_domain::ErrorCode;
use zenovay_store::StoreError;

use super::envelope::ApiError;
use super::guard::{Actor, Authorized};
use super::lookups::off_the_worker;
use super::state::AppState;

/// Whoever may do `P`, signed in or with a key.
pub type Console<P> = Authorized<P, Actor>;

/// What `work` changes, on a thread that may wait for the store. A value that breaks a rule of the store is a 422.
///
/// # Errors
/// What `work` says.
pub async fn changing<T: Send + 'static>(
    state: &web::Data<AppState>,
    work: impl FnOnce(&AppState) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ApiError> {
    off_the_worker(state, move |state| work(state).map_err(refused)).await
}

/// An error of the store about the body of a request.
pub fn refused(error: StoreError) -> ApiError {
    match error {
        StoreError::Invalid { field, reason } => ApiError::unprocessable([(field.to_owned(), reason)].into()),
        other => other.into(),
    }
}

/// [`refused`], where a conflict about `field` is told in the words of `holder`, which looks for who has it.
pub fn refused_with(
    error: StoreError,
    field: &str,
    holder: impl FnOnce() -> Result<Option<String>, StoreError>,
) -> ApiError {
    match error {
        StoreError::Conflict(what) if what == field => match holder() {
            Ok(Some(words)) => ApiError::new(ErrorCode::Conflict, words),
            // Who had it is gone meanwhile.
            Ok(None) => error.into(),
            Err(failed) => failed.into(),
        },
        error => refused(error),
    }
}
