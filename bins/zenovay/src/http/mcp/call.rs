//! One call of a tool: who asks, what it may do to what, and how it can fail.

use std::sync::Arc;

use actix_web::web;
use parking_lot::Mutex;
use zenovay_auth::{Action, Denial, Target};
use zenovay_domain::{ErrorCode, TeamId, Timestamp, Website, WebsiteId, parse_domain};
use zenovay_store::Metadata;

use super::args::Problems;
use super::clean::{clean, clean_problem, quoted};
use crate::http::commitment::Commitment;
use crate::http::console::reader::Question;
use crate::http::console::sites;
use crate::http::envelope::{ApiError, Details};
use crate::http::errors::NOT_IN_PLAN;
use crate::http::guard::{AccessRefusal, Assistant};
use crate::http::state::AppState;
use crate::http::turns::Asking;

/// What a tool changed, for the audit trail.
#[derive(Debug, Clone)]
pub(in crate::http) struct Change {
    /// What was done.
    pub(in crate::http) action: Action,
    /// What to.
    pub(in crate::http) target: Target,
    /// The name of the change, as the console's routes have it.
    pub(in crate::http) name: &'static str,
    /// More about it; never a secret.
    pub(in crate::http) details: Vec<(&'static str, String)>,
}

/// A call.
#[derive(Clone)]
pub(in crate::http) struct Call {
    /// The server.
    pub(in crate::http) state: web::Data<AppState>,
    /// Whoever asks.
    pub(in crate::http) client: Arc<Assistant>,
    /// When.
    pub(in crate::http) now: Timestamp,
    changes: Arc<Mutex<Vec<Change>>>,
    commitment: Commitment,
}

/// Why a tool did not do it.
#[derive(Debug)]
pub(in crate::http) enum ToolError {
    /// What the model is told, and what it can do next.
    Told(String),
    /// The client may look, but not change this.
    MissingWrite(String),
    /// What was granted to the client ended while the tool was at work: it is to be told as any request after that is.
    Ended,
}

impl From<Problems> for ToolError {
    fn from(problems: Problems) -> Self {
        let told: String = problems.iter().map(|problem| sentence(problem) + " ").collect();
        Self::Told(format!("Wrong arguments. {told}Correct them and call the tool again."))
    }
}

/// What is said to be wrong, as a sentence of its own.
fn sentence(words: &str) -> String {
    format!("{}.", clean_problem(words).trim_end_matches(['.', ' ']))
}

impl From<AccessRefusal> for ToolError {
    fn from(refusal: AccessRefusal) -> Self {
        match refusal {
            AccessRefusal::Denied(Denial::MissingScope(scope)) => {
                Self::MissingWrite(format!("The key lacks the scope {scope}"))
            }
            other => ApiError::from(other).into(),
        }
    }
}

/// The members of bodies and the parameters of other routes by the names that they have as arguments.
const ARGUMENTS: [(&str, &str); 3] = [("f", "filters"), ("settings.time_zone", "timezone"), ("time_zone", "timezone")];
/// What members of a body stand in that are arguments of their own.
const INNER: [&str; 2] = ["settings.", "target."];

/// The argument that a member of a body or a parameter of another route was made of.
fn argument_of(name: &str) -> &str {
    let named = ARGUMENTS.iter().find(|(known, _)| *known == name).map(|(_, argument)| *argument);
    named.unwrap_or_else(|| INNER.iter().find_map(|outer| name.strip_prefix(outer)).unwrap_or(name))
}

impl From<ApiError> for ToolError {
    fn from(error: ApiError) -> Self {
        if error.code() == ErrorCode::Unauthorized {
            return Self::Ended;
        }
        let is_of_plan = error.details() == Some(&Details::Text(NOT_IN_PLAN.into()));
        let next = match error.code().status() {
            400 | 422 => "Correct the arguments and call the tool again.".to_owned(),
            404 => {
                "Call list_websites, or the tool that begins with get_ and lists such things, and use an id from there."
                    .to_owned()
            }
            409 => "Look at what there is now: change that first, or use another value.".to_owned(),
            403 if is_of_plan => "An owner of the workspace can change the plan.".to_owned(),
            403 => "Ask the person you work for whether somebody else may do this.".to_owned(),
            429 | 503 => format!("Try again in {} seconds.", error.retry_after_s().unwrap_or(1)),
            _ => "This is not about your arguments; tell the person you work for.".to_owned(),
        };
        let what = match error.details() {
            Some(Details::Fields(problems)) => {
                let each =
                    problems.0.iter().map(|(name, problem)| sentence(&format!("{}: {problem}", argument_of(name))));
                each.collect::<Vec<_>>().join(" ")
            }
            Some(Details::Text(text)) if !is_of_plan => sentence(&format!("{}: {text}", clean(error.message()))),
            _ => sentence(error.message()),
        };
        Self::Told(format!("{what} {next}"))
    }
}

impl From<zenovay_store::StoreError> for ToolError {
    fn from(error: zenovay_store::StoreError) -> Self {
        ApiError::from(error).into()
    }
}

/// What is said of a website that is not there, or not within reach: nobody learns which of the two it is.
fn no_such_website(named: &str) -> ToolError {
    ToolError::Told(format!(
        "There is no website {} within your reach. Call list_websites and use a website_id or a domain from there.",
        quoted(named)
    ))
}

impl Call {
    /// A call by `client` at this moment, which makes `commitment` when it begins to change something.
    pub(in crate::http) fn new(state: web::Data<AppState>, client: Arc<Assistant>, commitment: Commitment) -> Self {
        let now = state.clock.now();
        Self { state, client, now, changes: Arc::default(), commitment }
    }

    /// Runs `work` on a thread that may wait for the store.
    ///
    /// # Errors
    /// What `work` fails with.
    pub(in crate::http) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, ToolError> + Send + 'static,
    ) -> Result<T, ToolError> {
        let (call, span) = (self.clone(), tracing::Span::current());
        let done = web::block(move || span.in_scope(|| work(&call))).await;
        done.map_err(|_panicked| ToolError::from(ApiError::internal()))?
    }

    /// The website that `named` names by its id or its domain, to which `action` is to be done.
    ///
    /// # Errors
    /// When there is none within reach, or when whoever asks may not do it.
    pub(in crate::http) async fn website(&self, named: &str, action: Action) -> Result<Arc<Website>, ToolError> {
        let named = named.trim().to_owned();
        self.blocking(move |call| {
            let found = match named.parse::<WebsiteId>() {
                Ok(id) => call.state.directory.website(id)?,
                Err(_no_id) => call.of_domain(&named)?.map(Arc::new),
            };
            let website = found.ok_or_else(|| no_such_website(&named))?;
            let target = Target::Website { id: website.id, team_id: website.team_id };
            match call.client.may(&call.state, action, &target) {
                Ok(()) => Ok(website),
                Err(AccessRefusal::Denied(Denial::NotReachable(_) | Denial::Unknown(_) | Denial::MembershipLost)) => {
                    Err(no_such_website(&named))
                }
                Err(refusal) => Err(refusal.into()),
            }
        })
        .await
    }

    /// The website within reach with the domain that `named` names.
    fn of_domain(&self, named: &str) -> Result<Option<Website>, ToolError> {
        let Ok(domain) = parse_domain(named) else { return Ok(None) };
        let mut reachable = sites::reachable(&self.state, self.client.principal())?;
        reachable.retain(|website| website.domain == domain);
        if reachable.len() > 1 {
            // Of several teams: it is not for this server to choose one.
            let ids: Vec<String> = reachable.iter().map(|website| website.id.to_string()).collect();
            let words = format!("Several websites have the domain {}. Use the website_id", quoted(&domain));
            return Err(ToolError::Told(format!("{words} of one of them: {}.", ids.join(", "))));
        }
        Ok(reachable.pop())
    }

    /// A question about a website that is named, which `action` reads.
    ///
    /// # Errors
    /// As [`Call::website`].
    pub(in crate::http) async fn question(&self, named: &str, action: Action) -> Result<Question, ToolError> {
        let website = self.website(named, action).await?;
        let asking = Asking { website: Some(website.id), key: self.client.key_id() };
        Ok(Question::new(self.state.clone(), website, self.now, asking))
    }

    /// The store for changes in a team that the client was let in to, for `action`. From here on the call is finished, also when
    /// the client is gone.
    pub(in crate::http) fn store(&self, team: TeamId, action: Action) -> Arc<dyn Metadata> {
        self.commitment.make();
        self.client.store_in(team, action, &self.state)
    }

    /// Notes what was changed.
    pub(in crate::http) fn changed(&self, change: Change) {
        self.changes.lock().push(change);
    }

    /// What was changed so far.
    pub(in crate::http) fn changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.changes.lock())
    }
}
