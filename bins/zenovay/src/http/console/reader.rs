//! Whoever may read the numbers of a website: the same handlers answer people, keys and those who hold a public link.

use std::sync::Arc;

use actix_web::web;
use zenovay_domain::{Goal, Timestamp, Website, WebsiteId};
use zenovay_query::QueryError;

use super::view::{Facts, View, ViewParams};
use crate::http::envelope::ApiError;
use crate::http::guard::{Authorized, Identity, ReadAnalytics, Shown};
use crate::http::handler::Caller;
use crate::http::queries::QuerySession;
use crate::http::state::AppState;
use crate::http::turns::Asking;

/// Proof that somebody may read the numbers of one website.
pub trait WebsiteReader: Caller {
    /// The website.
    fn website(&self) -> &Arc<Website>;

    /// For whom its queries are.
    fn asking(&self) -> Asking;

    /// Whether they may know of what was kept out of the website.
    fn knows_refusals(&self) -> bool;

    /// What showed who it is; `None` for whoever has a public link.
    fn shown(&self) -> Option<Shown>;
}

impl<I: Identity> WebsiteReader for Authorized<ReadAnalytics, I>
where
    Self: Caller,
{
    fn website(&self) -> &Arc<Website> {
        &self.resource
    }

    fn asking(&self) -> Asking {
        Self::asking(self)
    }

    fn knows_refusals(&self) -> bool {
        true
    }

    fn shown(&self) -> Option<Shown> {
        Some(self.caller.shown())
    }
}

/// A question about a website, from somebody who may ask it.
#[derive(Clone)]
pub struct Question {
    /// The server.
    pub state: web::Data<AppState>,
    /// The website.
    pub website: Arc<Website>,
    /// The time of the question.
    pub now: Timestamp,
    asking: Asking,
}

impl Question {
    /// The question of `reader` at this moment.
    pub fn of(reader: &impl WebsiteReader, state: &web::Data<AppState>) -> Self {
        let website = Arc::clone(reader.website());
        Self { state: state.clone(), website, now: state.clock.now(), asking: reader.asking() }
    }

    /// The id of the website.
    pub fn id(&self) -> WebsiteId {
        self.website.id
    }

    /// The goals of the website.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn goals(&self) -> Result<Vec<Goal>, ApiError> {
        let (state, id) = (self.state.clone(), self.id());
        let goals = web::block(move || state.store.goals(id));
        Ok(goals.await.map_err(|_panicked| ApiError::internal())??)
    }

    /// What `params` show of the website.
    ///
    /// # Errors
    /// A 400 for filters that are not understood, and when the store cannot be asked.
    pub async fn view(&self, params: &ViewParams) -> Result<View, ApiError> {
        let (state, website, now) = (self.state.clone(), Arc::clone(&self.website), self.now);
        let facts = web::block(move || {
            let goals = state.store.goals(website.id)?;
            // Stored settings can be used: the store takes no others.
            let zone = website.settings.time_zone.parse().unwrap_or_else(|_| zenovay_domain::Zone::utc());
            Ok::<_, ApiError>(Facts { zone, goals, span: state.events.span(website.id), now })
        });
        params.of(facts.await.map_err(|_panicked| ApiError::internal())??)
    }

    /// Runs `ask` when it is its turn.
    ///
    /// # Errors
    /// What it fails with.
    pub async fn run<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&QuerySession<'_>) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.state.queries.run(self.asking, ask).await
    }

    /// Runs `ask` at once: for questions about the last minutes.
    ///
    /// # Errors
    /// What it fails with.
    pub async fn at_once<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&QuerySession<'_>) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.state.queries.run_at_once(self.asking, ask).await
    }
}
