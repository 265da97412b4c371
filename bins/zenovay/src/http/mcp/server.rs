//! The server as the protocol's library sees it. One is made for each request: there are no sessions, and nothing of one
//! request is left for the next.

use std::sync::Arc;

use parking_lot::Mutex;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest, CustomResult,
    ErrorCode, Implementation, ListToolsResult, MetaObject, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::json;
use tracing::Instrument;
use zenovay_auth::{AccessLevel, Denial};
use zenovay_store::{AssistantCharge, AssistantUsage, StoreError};

use super::call::{Call, Change, ToolError};
use super::clean::{NOTICE, clean, quoted};
use super::tools::{self, Answered, Entry};
use crate::http::envelope::ApiError;
use crate::http::guard::{AccessRefusal, Assistant};
use crate::http::oauth::{self, BearerRefusal};

/// What a call is refused with whose client may look at a category and not change it.
const MISSING_WRITE: ErrorCode = ErrorCode(-32007);
/// Where the questions that are left stand beside an answer.
const QUERIES: &str = "com.zenovay/queries";

/// What came of a request beside its answer.
#[derive(Debug, Default)]
pub(in crate::http) struct Outcome {
    /// The answer instead of one of the protocol: a 403 to a client that was granted nothing of the kind, or a 401 when what was
    /// granted ended meanwhile.
    pub(in crate::http) refusal: Option<ApiError>,
    /// What was changed.
    pub(in crate::http) changes: Vec<Change>,
}

/// The server for one request.
#[derive(Clone)]
pub(in crate::http) struct Server {
    call: Call,
    span: tracing::Span,
    outcome: Arc<Mutex<Outcome>>,
}

impl Server {
    /// A server for the request of `call`.
    pub(in crate::http) fn new(call: Call) -> Self {
        Self { call, span: tracing::Span::current(), outcome: Arc::default() }
    }

    /// What came of the request.
    pub(in crate::http) fn outcome(&self) -> Outcome {
        std::mem::take(&mut self.outcome.lock())
    }

    /// Does what was asked, when the client may and the day has room.
    async fn call(&self, request: CallToolRequestParams) -> Result<CallToolResult, ErrorData> {
        let unknown = || {
            let words = format!("There is no tool {}; tools/list has those that there are", quoted(&request.name));
            ErrorData::invalid_params(words, None)
        };
        let entry = tools::find(&request.name).ok_or_else(unknown)?;
        self.check_scopes(entry)?;
        let usage = match self.charge(entry).await {
            Ok(AssistantCharge::Counted(usage)) => usage,
            Ok(AssistantCharge::Exhausted(usage)) => return Ok(self.exhausted(entry, usage)),
            Err(error) => return self.failed(error),
        };
        let result = match entry.run(self.call.clone(), request.arguments.unwrap_or_default()).await {
            Ok(Answered { value, text }) => {
                let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
                result.structured_content = Some(value);
                result
            }
            Err(error) => self.failed(error)?,
        };
        self.outcome.lock().changes = self.call.changes();
        Ok(self.with_usage(result, usage))
    }

    /// A failure as the client is told of it.
    fn failed(&self, error: ToolError) -> Result<CallToolResult, ErrorData> {
        match error {
            ToolError::Told(words) => Ok(CallToolResult::error(vec![ContentBlock::text(words)])),
            ToolError::MissingWrite(words) => Err(ErrorData::new(MISSING_WRITE, words, None)),
            ToolError::Ended => Err(self.refused(oauth::challenge(&self.call.state, BearerRefusal::Invalid))),
        }
    }

    /// Answers with `error` instead of an answer of the protocol.
    fn refused(&self, error: ApiError) -> ErrorData {
        let told = ErrorData::invalid_request(error.message().to_owned(), None);
        self.outcome.lock().refusal = Some(error);
        told
    }

    /// Whether the client was granted what a tool needs. One that may not even look at what the tool is about is told in the words of
    /// HTTP, one that may look and not change it in those of the protocol.
    fn check_scopes(&self, entry: &Entry) -> Result<(), ErrorData> {
        let missing_write = |words| Err(ErrorData::new(MISSING_WRITE, words, None));
        match &*self.call.client {
            Assistant::Key(credential) => {
                let Some(scope) = entry.action.scope().filter(|scope| !credential.scopes.grants(*scope)) else {
                    return Ok(());
                };
                if entry.level() == AccessLevel::Read {
                    let refusal = AccessRefusal::Denied(Denial::MissingScope(scope));
                    refusal.count();
                    return Err(self.refused(refusal.into()));
                }
                missing_write(format!("The key lacks the scope {scope}"))
            }
            Assistant::Granted(access) => {
                let held = access.scopes;
                let Some(category) = entry.category.filter(|_| !held.covers(entry.needs())) else { return Ok(()) };
                if held.level(category) == AccessLevel::None {
                    let needed = held.union(entry.needs());
                    return Err(self.refused(oauth::insufficient_scope(&self.call.state, needed)));
                }
                let (category, level) = (category.as_str(), entry.level().as_str());
                missing_write(format!(
                    "{category}:{level} is missing: the person who connected the client can connect it anew with that"
                ))
            }
        }
    }

    async fn charge(&self, entry: &Entry) -> Result<AssistantCharge, ToolError> {
        let cost = entry.cost;
        self.call
            .blocking(move |call| {
                let (account, plan) = (call.client.account(), call.client.plan());
                let limit = call.state.plans.limits(plan).mcp_queries_per_day;
                let now = call.state.clock.reading().steady;
                let charged: Result<_, StoreError> = call.state.store.charge_assistant(account, plan, cost, limit, now);
                let charged = charged?;
                if let Some(grant) = call.client.grant() {
                    let counted = if matches!(charged, AssistantCharge::Counted(_)) { cost } else { 0 };
                    call.state.store.note_grant_call(grant, counted, now)?;
                }
                Ok(charged)
            })
            .await
    }

    fn limit(&self) -> Option<u64> {
        self.call.state.plans.limits(self.call.client.plan()).mcp_queries_per_day
    }

    /// What is told when the day is used up.
    fn exhausted(&self, entry: &Entry, usage: AssistantUsage) -> CallToolResult {
        crate::telemetry::Limit::AssistantDay.refused();
        let limit = self.limit().unwrap_or(u64::MAX);
        let left = limit.saturating_sub(usage.used);
        let error = if left == 0 {
            "The queries of this day are used up. Do not try again before resets_at; tell the person you work for."
                .to_owned()
        } else {
            let cost = entry.cost;
            format!("This tool costs {cost} queries, and {left} are left until resets_at. Use one that costs less.")
        };
        let told = json!({
            "error": error,
            "limit": limit,
            "used": usage.used,
            "cost": entry.cost,
            "resets_at": usage.resets_at.to_string(),
        });
        let result = CallToolResult::error(vec![ContentBlock::text(told.to_string())]);
        self.with_usage(result, usage)
    }

    /// `result` with what is left of the day.
    fn with_usage(&self, mut result: CallToolResult, usage: AssistantUsage) -> CallToolResult {
        let limit = self.limit();
        let mut meta = MetaObject::new();
        let left = limit.map(|limit| limit.saturating_sub(usage.used));
        let queries = json!({
            "limit": limit, "used": usage.used, "remaining": left, "resets_at": usage.resets_at.to_string(),
        });
        meta.insert(QUERIES.to_owned(), queries);
        result.meta = Some(meta);
        result
    }
}

/// What models are told of the server.
fn instructions() -> String {
    format!(
        "Web analytics. Call list_websites first; other tools take its website_id. Dates are days of the website's time zone, \
         both included; to needs from. The ranges 24h, 7d, 30d, 90d and 1y are elapsed time up to now, all others days up to now. period says \
         what an answer is of: starts_at and ends_at, and from and to where it is of days. filters are the same in every tool; \
         get_visitors tells how they are written. Of a list page has total, offset, shown, \
         next_offset while there is more, and truncated with a hint when it was cut. {NOTICE}"
    )
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let name = Implementation::new("zenovay", env!("CARGO_PKG_VERSION")).with_title("Zenovay");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(name)
            .with_instructions(instructions())
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::find(name).map(|entry| entry.told.clone())
    }

    /// What the client may call. The list depends on whose token came: nobody else may keep it.
    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let told = tools::told(&self.call.client, &self.call.state).map(|entry| entry.told.clone());
        let mut list = ListToolsResult::with_all_items(told.collect());
        (list.ttl_ms, list.cache_scope) = (Some(0), Some(CacheScope::Private));
        Ok(list)
    }

    /// What the library does not recognise: a method that is not here, or one with other parameters than it takes.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        // The newest revision names itself in each request, and has neither of the two methods.
        let is_newest = context.meta.protocol_version().is_some();
        Err(match request.method.as_str() {
            "tools/call" => {
                let words = "params: give name, a string, and arguments, an object with the arguments of the tool";
                ErrorData::invalid_params(words, None)
            }
            "server/discover" | "tools/list" | "resources/read" => {
                let words = format!("params: not what {} takes", request.method);
                ErrorData::invalid_params(words, None)
            }
            "initialize" | "ping" if !is_newest => {
                let words = format!("params: not what {} takes in any revision of the protocol", request.method);
                ErrorData::invalid_params(words, None)
            }
            other => {
                let words = format!("There is no method {} here", quoted(other));
                ErrorData::new(ErrorCode::METHOD_NOT_FOUND, words, None)
            }
        })
    }

    /// There are no resources. A client that asks for one all the same is told which is not there.
    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let words = format!("There is no resource {} here", quoted(&request.uri));
        Err(ErrorData::invalid_params(words, Some(json!({ "uri": clean(&request.uri) }))))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let cancelled = context.ct.clone();
        // A client that went away is answered nothing, and what it asked ends: nothing is begun any more. What was begun to be
        // changed is finished, because then the request is not given up.
        let result = tokio::select! {
            biased;
            () = cancelled.cancelled() => self.failed(ApiError::unavailable("The request was given up", 1).into()),
            result = self.call(request).instrument(self.span.clone()) => result,
        };
        result.map(CallToolResponse::from)
    }
}
