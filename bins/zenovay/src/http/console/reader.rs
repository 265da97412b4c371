//! Whoever may read the numbers of a website: the same handlers answer people, keys and those who hold a public link.

use std::future::Future;
use std::sync::Arc;

use actix_web::web;
use serde::Serialize;
use zenovay_domain::{Goal, Timestamp, Website, WebsiteId};
use zenovay_query::QueryError;
use zenovay_store::StoreError;

use super::queries::{Answered, Asks, QuestionOwner};
use super::sites::zone_of;
use super::view::{Facts, View, ViewParams};
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{Authorized, Identity, Permission};
use crate::http::handler::Caller;
use crate::http::lookups::blocking;
use crate::http::queries::QuerySession;
use crate::http::state::AppState;
use crate::http::turns::Asking;

/// Proof that somebody may read the numbers of one website.
pub trait WebsiteReader: QuestionOwner {
    /// The website.
    fn website(&self) -> &Arc<Website>;

    /// For whom its queries are.
    fn asking(&self) -> Asking;

    /// Whether they may know of what was kept out of the website.
    fn knows_refusals(&self) -> bool;
}

impl<P: Permission<Resource = Arc<Website>>, I: Identity> WebsiteReader for Authorized<P, I>
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
    asks: Asks,
}

impl Question {
    /// The question of `reader` at this moment.
    pub fn of(reader: &impl WebsiteReader, state: &web::Data<AppState>) -> Self {
        let (website, asking) = (Arc::clone(reader.website()), reader.asking());
        let asks = Asks::new(state, reader, asking, Some(website.id));
        Self { state: state.clone(), website, now: state.clock.now(), asking, asks }
    }

    /// A question about `website` at `now`, from somebody who may ask it and waits for the answer.
    pub(in crate::http) fn new(
        state: web::Data<AppState>,
        website: Arc<Website>,
        now: Timestamp,
        asking: Asking,
    ) -> Self {
        let asks = Asks::waiting(&state, asking);
        Self { state, website, now, asking, asks }
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
        let id = self.id();
        blocking(&self.state, move |state| state.store.goals(id)).await
    }

    /// What `params` show of the website.
    ///
    /// # Errors
    /// A 400 for filters that are not understood, and when the store cannot be asked.
    pub async fn view(&self, params: &ViewParams) -> Result<View, ApiError> {
        let (website, now) = (Arc::clone(&self.website), self.now);
        let facts = blocking(&self.state, move |state| {
            let goals = state.store.goals(website.id)?;
            Ok::<_, StoreError>(Facts { zone: zone_of(&website), goals, span: state.events.span(website.id), now })
        });
        params.of(facts.await?)
    }

    /// Runs `ask` when it is its turn.
    ///
    /// # Errors
    /// What it fails with.
    pub async fn run<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&QuerySession<'_>) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.asks.run(ask).await
    }

    /// The answer that `work` gives with a copy of the question, or where it will be if it is not there soon.
    ///
    /// # Errors
    /// What `work` fails with soon.
    pub async fn answer<T: Serialize + 'static, Work: Future<Output = Result<Success<T>, ApiError>> + 'static>(
        &self,
        work: impl FnOnce(Self) -> Work,
    ) -> Result<Answered<T>, ApiError> {
        self.asks.answer(work(self.clone())).await
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
