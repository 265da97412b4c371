//! `/api/queries/:queryId`: questions that are not answered at once. Each route of the console that counts something answers 202
//! when that takes long, and here are its progress and its answer. The same below a public link.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::http::Method;
use actix_web::http::header::{ContentType, LOCATION};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, Responder};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant as Moment, sleep, timeout};
use utoipa::ToSchema;
use zenovay_domain::WebsiteId;
use zenovay_query::{Progress, QueryError};

use super::sse::{EventStream, Frames, PULSE, response};
use super::{Console, NoContent};
use crate::activity::still_asked;
use crate::http::document::{Answer, Header, Operation};
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{Authorized, Identity, Permission, ReadLongQuestion};
use crate::http::handler::{Caller, Described, Reply, Shape};
use crate::http::long_questions::{Asker, Following, QuestionId, Standing, not_there};
use crate::http::queries::QuerySession;
use crate::http::state::AppState;
use crate::http::turns::Asking;

/// Where the questions of people and keys are.
const QUERIES: &str = "/api/queries";

/// How often a stream tells how far a question is.
const TICK: Duration = Duration::from_millis(100);

/// A question that goes on.
#[derive(Debug, Serialize, ToSchema)]
pub struct LongQuestion {
    /// Its id.
    #[schema(examples("5f2d0c9b7a416e385f2d0c9b7a416e38"))]
    query_id: String,
    /// Parts of it that are done.
    #[schema(examples(3))]
    done: u64,
    /// All parts that are known until now; there may be more of them later.
    #[schema(examples(12))]
    parts: u64,
}

impl LongQuestion {
    fn new(id: QuestionId, Standing { done, parts, .. }: Standing) -> Self {
        Self { query_id: id.to_string(), done, parts }
    }
}

/// Somebody who asks something that may take long.
#[derive(Debug, Clone)]
pub struct Asks {
    state: web::Data<AppState>,
    asking: Asking,
    /// Who may ask later; nobody, where whoever asks waits.
    asker: Option<Asker>,
    website: Option<WebsiteId>,
    /// Where their questions are: the path without the id.
    queries: String,
    progress: Arc<Progress>,
}

impl Asks {
    /// `owner` asks about `website`, or about all that is within reach.
    pub fn new(
        state: &web::Data<AppState>,
        owner: &impl QuestionOwner,
        asking: Asking,
        website: Option<WebsiteId>,
    ) -> Self {
        let (asker, queries) = (Some(owner.asker()), owner.queries());
        Self { state: state.clone(), asking, asker, website, queries, progress: Arc::default() }
    }

    /// Somebody who waits for every answer.
    pub(in crate::http) fn waiting(state: &web::Data<AppState>, asking: Asking) -> Self {
        let (website, queries) = (asking.website, String::new());
        Self { state: state.clone(), asking, asker: None, website, queries, progress: Arc::default() }
    }

    /// Runs `ask` when it is its turn.
    ///
    /// # Errors
    /// What it fails with.
    pub async fn run<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&QuerySession<'_>) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.state.queries.run_telling(self.asking, &self.progress, ask).await
    }

    /// The answer that `work` gives, or where it will be if it is not there soon.
    ///
    /// # Errors
    /// What `work` fails with soon.
    pub async fn answer<T: Serialize + 'static>(
        &self,
        work: impl Future<Output = Result<Success<T>, ApiError>> + 'static,
    ) -> Result<Answered<T>, ApiError> {
        let Some(asker) = self.asker else { return work.await.map(Answered::Now) };
        let mut work = Box::pin(still_asked(work));
        if let Ok(answer) = timeout(self.state.long_questions.at_once(), &mut work).await {
            return answer.map(Answered::Now);
        }
        let id = QuestionId::from_random_bytes(self.state.random_bytes());
        let progress = Arc::clone(&self.progress);
        let rest = async move {
            let answer = work.await?;
            serde_json::to_vec(&answer).map(Bytes::from).map_err(|_never| ApiError::internal())
        };
        match self.state.long_questions.go_on(id, asker, self.website, progress, rest) {
            Ok(standing) => {
                let location = format!("{}/{id}", self.queries);
                let body = Success::new(LongQuestion::new(id, standing), self.state.clock.now());
                Ok(Answered::Later { location, body })
            }
            // There is no room for one more: who asked waits.
            Err(rest) => rest.await.map(Answered::Late),
        }
    }
}

/// An answer of the console, or where it will be.
#[derive(Debug)]
pub enum Answered<T> {
    /// It came soon.
    Now(Success<T>),
    /// It took long, and was waited for.
    Late(Bytes),
    /// It takes long.
    Later {
        /// Where it will be.
        location: String,
        /// What is known of it.
        body: Success<LongQuestion>,
    },
}

fn json_of(bytes: Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(bytes)
}

fn accepted(location: &str, body: &Success<LongQuestion>) -> HttpResponse {
    HttpResponse::Accepted().insert_header((LOCATION, location)).json(body)
}

impl<T: Serialize> Responder for Answered<T> {
    type Body = BoxBody;

    fn respond_to(self, req: &HttpRequest) -> HttpResponse {
        match self {
            Self::Now(answer) => answer.respond_to(req),
            Self::Late(bytes) => json_of(bytes),
            Self::Later { location, body } => accepted(&location, &body),
        }
    }
}

const WHERE: Header = Header {
    name: "Location",
    description: "Where the answer will be. Below it, `/events` is a stream that tells how far it is.",
    example: "/api/queries/5f2d0c9b7a416e385f2d0c9b7a416e38",
};

fn describe_later(operation: &mut Operation) {
    operation.answers_json::<LongQuestion>(202, true);
    if let Some(answer) = operation.answers.remove(&202) {
        operation.answer(202, answer.header(WHERE));
    }
}

impl<T: Serialize + ToSchema + 'static> Reply for Answered<T> {
    fn describe(operation: &mut Operation) {
        Success::<T>::describe(operation);
        describe_later(operation);
    }
}

/// Whoever may have questions that take long.
pub trait QuestionOwner: Caller {
    /// Who it is.
    fn asker(&self) -> Asker;

    /// Where their questions are: the path without the id.
    fn queries(&self) -> String;
}

impl<P: Permission, I: Identity> QuestionOwner for Authorized<P, I>
where
    Self: Caller,
{
    fn asker(&self) -> Asker {
        Asker::Known(self.caller.shown())
    }

    fn queries(&self) -> String {
        QUERIES.to_owned()
    }
}

/// People and keys, for their own questions.
pub type Owner = Console<ReadLongQuestion>;

/// The question that a path names.
#[derive(Debug, Deserialize)]
pub struct QueryPath {
    query_id: String,
}

impl QueryPath {
    fn id(&self) -> Result<QuestionId, ApiError> {
        QuestionId::parse(&self.query_id).ok_or_else(not_there)
    }
}

/// The answer to a question that took long.
#[derive(Debug)]
pub struct LongAnswer;

impl Shape for LongAnswer {
    fn describe(operation: &mut Operation) {
        let schema = json!({
            "type": "object",
            "required": ["success", "data", "timestamp"],
            "properties": {
                "success": { "type": "boolean", "const": true },
                "data": { "type": "object", "description": "What the route that was asked answers." },
                "timestamp": { "type": "string", "format": "date-time" },
            },
            "examples": [{ "success": true, "data": {}, "timestamp": "2026-06-13T12:00:00.000Z" }],
        });
        operation.answer(200, Answer::new("The answer, which is given once").content("application/json", schema));
        describe_later(operation);
    }
}

/// The answer to a question, once; until then how far it is, with a 202. Whoever has no stream asks again every few seconds: a
/// question that nobody follows ends.
pub async fn show<O: QuestionOwner>(
    owner: O,
    req: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<QueryPath>,
) -> Result<Described<LongAnswer>, ApiError> {
    let (id, asker) = (path.id()?, owner.asker());
    let questions = &state.long_questions;
    let found = if req.method() == Method::HEAD {
        // An answer is given once, and to `GET`.
        questions
            .look(id, asker)
            .map(|standing| if standing.is_answered { Ok(Ok(Bytes::new())) } else { Err(standing) })
    } else {
        questions.fetch(id, asker)
    };
    match found.ok_or_else(not_there)? {
        Ok(answer) => Ok(json_of(answer?).into()),
        Err(standing) => {
            let body = Success::new(LongQuestion::new(id, standing), state.clock.now());
            Ok(accepted(&format!("{}/{id}", owner.queries()), &body).into())
        }
    }
}

/// Stops a question, or throws its answer away.
pub async fn stop<O: QuestionOwner>(
    owner: O,
    state: web::Data<AppState>,
    path: web::Path<QueryPath>,
) -> Result<NoContent, ApiError> {
    if state.long_questions.stop(path.id()?, owner.asker()) { Ok(NoContent) } else { Err(not_there()) }
}

/// Tells how far a question is: `progress` when that changes, and `done` when its answer can be fetched, which is the last. A
/// question ends when the last stream that follows it is closed before.
pub async fn events<O: QuestionOwner>(
    owner: O,
    req: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<QueryPath>,
) -> Result<Described<EventStream>, ApiError> {
    let id = path.id()?;
    if req.method() == Method::HEAD {
        state.long_questions.look(id, owner.asker()).ok_or_else(not_there)?;
        return Ok(response(stream::empty()).into());
    }
    let following = state.long_questions.follow(id, owner.asker())?;
    let telling = Telling { state, following, told: None, told_at: Moment::now(), has_ended: false };
    let stream = stream::unfold((telling, Some(Frames::begin())), |(mut telling, begin)| async move {
        let bytes = match begin {
            Some(frames) => frames.into_bytes(),
            None => telling.next().await?,
        };
        Some((Ok(bytes), (telling, None)))
    });
    Ok(response(stream).into())
}

/// A stream that tells how far a question is.
struct Telling {
    state: web::Data<AppState>,
    following: Following,
    told: Option<Standing>,
    told_at: Moment,
    has_ended: bool,
}

impl Telling {
    async fn next(&mut self) -> Option<Bytes> {
        while !self.has_ended && !self.state.connections.are_draining() {
            let standing = self.following.standing()?;
            let mut frames = Frames::default();
            if self.told != Some(standing) {
                self.told = Some(standing);
                frames.event("progress", &json!({ "done": standing.done, "parts": standing.parts }));
            } else if self.told_at.elapsed() >= PULSE {
                frames.pulse();
            }
            if standing.is_answered {
                self.has_ended = true;
                frames.event("done", &json!({}));
            }
            if !frames.is_empty() {
                self.told_at = Moment::now();
                return Some(frames.into_bytes());
            }
            tokio::select! {
                () = self.following.ended() => {}
                () = sleep(TICK) => {}
            }
        }
        None
    }
}
