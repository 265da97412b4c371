//! Websites for handlers. Handlers run on the threads that answer requests, and the store may make its caller wait: so the
//! answer comes from memory where that is enough, and otherwise from a thread that may wait.

use std::sync::Arc;

use actix_web::web;
use zenovay_domain::{Plan, TeamId, Timestamp, TrackingCode, Website, WebsiteId};
use zenovay_store::{CachedDirectory, StoreError};

use super::envelope::ApiError;
use super::state::AppState;

/// What the store says to `work`, on a thread that may wait for it.
///
/// # Errors
/// What `work` says.
pub async fn blocking<T: Send + 'static>(
    state: &web::Data<AppState>,
    work: impl FnOnce(&AppState) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ApiError> {
    off_the_worker(state, work).await
}

/// What `work` says, on a thread that may wait.
///
/// # Errors
/// What `work` says.
pub async fn off_the_worker<T: Send + 'static, E: Into<ApiError> + Send + 'static>(
    state: &web::Data<AppState>,
    work: impl FnOnce(&AppState) -> Result<T, E> + Send + 'static,
) -> Result<T, ApiError> {
    let (state, span) = (state.clone(), tracing::Span::current());
    let done = web::block(move || span.in_scope(|| work(&state))).await;
    done.map_err(|_panicked| ApiError::internal())?.map_err(E::into)
}

type Lookup = Result<Option<Arc<Website>>, StoreError>;

/// The website with this code, for a hit that came at `now`.
///
/// # Errors
/// When the store cannot be asked.
pub async fn website_of_hit(state: &AppState, code: TrackingCode, now: Timestamp) -> Lookup {
    let Some(remembered) = state.directory.remembered_website_of_hit(&code, now) else {
        return ask(state, move |directory| directory.website_of_hit(&code, now)).await;
    };
    if remembered.must_renew {
        let directory = Arc::clone(&state.directory);
        // Nobody waits for it, and when it fails the hits of some milliseconds later ask and are told.
        drop(web::block(move || directory.renew_version(now)));
    }
    Ok(remembered.website)
}

/// The website with this code.
///
/// # Errors
/// When the store cannot be asked.
pub async fn website_by_code(state: &AppState, code: TrackingCode) -> Lookup {
    ask(state, move |directory| directory.website_by_code(&code)).await
}

/// The website `id`.
///
/// # Errors
/// When the store cannot be asked.
pub async fn website(state: &AppState, id: WebsiteId) -> Lookup {
    ask(state, move |directory| directory.website(id)).await
}

/// The plan of the team whose website a hit at `now` is for; `None` when the team is gone.
///
/// # Errors
/// When the store cannot be asked.
pub async fn plan_of_hit(state: &AppState, team: TeamId, now: Timestamp) -> Result<Option<Plan>, StoreError> {
    if let Some(plan) = state.directory.remembered_plan_of_hit(team, now) {
        return Ok(plan);
    }
    let directory = Arc::clone(&state.directory);
    let found = web::block(move || directory.plan_of_hit(team)).await;
    found.unwrap_or_else(|_panicked| Err(StoreError::Unavailable("a look-up ended in a panic".into())))
}

async fn ask(state: &AppState, look_up: impl FnOnce(&CachedDirectory) -> Lookup + Send + 'static) -> Lookup {
    let (directory, span) = (Arc::clone(&state.directory), tracing::Span::current());
    let found = web::block(move || span.in_scope(|| look_up(&directory))).await;
    found.unwrap_or_else(|_panicked| Err(StoreError::Unavailable("a look-up ended in a panic".into())))
}
