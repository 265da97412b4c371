//! Puts the document together.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use zenovay_auth::{Denial, TargetKind};
use zenovay_domain::{ErrorCode, Scope, Timestamp};

use super::example::example;
use super::{Answer, ErrorForm, Header, Operation, Parameter, paths, to_json};
use crate::http::envelope::{ApiError, ErrorBody, status_of};
use crate::http::errors;
use crate::http::guard::AccessRefusal;
use crate::http::handler::Access;
use crate::http::key_headers;
use crate::http::oauth::OAuthErrorBody;
use crate::http::routes::{Endpoint, FIRST_PARTY};

/// The version of the API. It is raised by a change that is more than an addition.
const VERSION: &str = "1.0.0";

/// What the reader must know before the routes.
const INTRODUCTION: &str = include_str!("introduction.md");

/// A part of the API: the module whose handlers it has, its name, and what it is for.
type Tag = (&'static str, &'static str, &'static str);

/// The parts of the API, in the order in which the page shows them.
const TAGS: &[Tag] = &[
    ("instance", "Server", "What the pages need to know of the server."),
    ("activity", "Activity", "What the server did in the last hours."),
    ("doctor", "Doctor", "What is wrong with the server, and what to do about it."),
    ("status", "Status page", "How the parts of the server are, and what whoever runs it says about that."),
    ("teams", "Teams", "Teams, also called workspaces, and who is in them."),
    ("keys", "Keys", "API keys, and what they are used for."),
    ("plan", "Plans", "What a team's plan includes, and what is used of it."),
    ("trail", "Audit trail", "What people and keys changed."),
    ("account", "Own account", "The profile, password and sessions of whoever is signed in."),
    ("mcp_clients", "MCP clients", "Programs that act for whoever is signed in, and what they may do."),
    ("second_factor", "Second factor", "Codes of an app, and backup codes."),
    ("passkeys", "Passkeys", "Signing in with a device: one's own passkeys, and their use."),
    ("users", "Sign-up", "Making an account."),
    ("resets", "Lost passwords", "Links that set a new password."),
    ("invitations", "Invitations", "Links that make somebody a member, once, within seven days."),
    ("welcome", "First run", "The first start makes an account, and this makes it somebody's own."),
    ("session", "Signing in", "Who is signed in. For pages of this server: a cookie says whose a request is."),
    ("usage", "Account", "What a key may do and has used."),
    ("websites", "Websites", "The websites that a key reaches."),
    (
        "sites",
        "Websites of the console",
        "The websites within reach with their numbers; adding, changing, deleting one.",
    ),
    ("install", "Install check", "Whether events arrive, and what keeps them out."),
    ("live", "Live", "Who is here at this moment, once or as a stream."),
    ("audience", "People", "Visitors of a view, and what one of them did."),
    (
        "numbers",
        "Dashboard",
        "The numbers that the dashboard shows: totals, series, rows, with the filters of its address.",
    ),
    (
        "queries",
        "Long questions",
        "What is not answered within half a second: how far it is, its answer, and an end to it.",
    ),
    ("shares", "Public links", "Dashboards that whoever has the link may read."),
    ("goals", "Goals", "What a website counts as a success."),
    ("funnels", "Funnels", "Steps in order, and how far visits get."),
    ("visitors", "Visitors", "What is stored of one visitor: to hand it over, or to erase it."),
    ("analytics", "Analytics", "Numbers of a website over a range of time."),
    ("stats", "Stats", "Any metrics with filters: totals, series, and rows by a property."),
    ("export", "Exports", "Events as Parquet files."),
    (
        "plausible",
        "Plausible",
        "The Stats API of Plausible, for tools made for it. Rates are percent, times are seconds.",
    ),
    ("heatmaps", "Heatmaps", "Where visitors click on pages, and how far they scroll."),
    ("replays", "Replays", "Recorded sessions."),
    ("session_replays", "Replays of the console", "Recordings of sessions: what happened in them, and their events."),
    ("errors", "Errors", "Errors that visitors met, in groups."),
    ("error_groups", "Errors of the console", "Groups of errors in a view, and what is decided about them."),
    ("source_maps", "Source maps", "What turns places in bundles into places in the code."),
    ("performance", "Page speed", "Web vitals: how fast pages are for their visitors."),
    (
        "capture",
        "Captures",
        "What pages tell beside their events: how fast they are, their errors, and clicks and scrolling.",
    ),
    ("capture_replay", "Recordings", "What pages show and what is done on them, as the recorder reports it."),
    ("oauth", "OAuth", "How people let clients act for them at `/mcp`: OAuth 2.1 (RFC 7591, 7592, 8414, 9728)."),
    ("batch", "Events", "Events of servers, with their own timestamps."),
    ("tracking", "Tracking", "Reports of pages and servers; no key."),
    ("public", "Public", "What anybody may read; no key."),
    ("assets", "Script", "The tracking script."),
    ("mcp", "Assistants", "The Model Context Protocol, for clients that ask in somebody's name."),
    ("application", "Application", "The pages that people see."),
    ("operations", "Operations", "For those who run the server."),
    ("document", "Documents", "This document, and the pages about the API."),
];

/// Where an answer gives what a path asks for: the operation that answers, the parameter, and the place in the body.
const GIVES: [(&str, &str, &str); 2] =
    [("websitesList", "website_id", "/data/websites/0/id"), ("websitesList", "code", "/data/websites/0/tracking_code")];

/// What a code says.
const fn meaning(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::ValidationError => "A parameter or the body breaks a rule; `details` names each wrong one",
        ErrorCode::InvalidFields => "A field of the body breaks a rule; `details` names each wrong one",
        ErrorCode::MissingSiteId => "The question names no website",
        ErrorCode::PreconditionFailed => "The file is not the one that the request names",
        ErrorCode::RangeNotSatisfiable => "The file does not have the bytes that are asked for",
        ErrorCode::Unauthorized => "No key, or not a valid one; for reports, an unknown tracking code",
        ErrorCode::ApiPaidPlanRequired => "No team that the key reaches has a plan with API access",
        ErrorCode::Forbidden => {
            "Outside the key's reach, a missing scope, or an origin that the website does not allow"
        }
        ErrorCode::NotFound => "There is no such thing",
        ErrorCode::MethodNotAllowed => "The path takes other methods",
        ErrorCode::PayloadTooLarge => "The body, or what it unpacks to, is too large",
        ErrorCode::UnsupportedMediaType => "This content type or encoding is not taken",
        ErrorCode::Conflict => "It was used before for something else",
        ErrorCode::RateLimitExceeded => "Too many requests",
        ErrorCode::MonthlyLimitExceeded => "The month is used up",
        ErrorCode::HeadersTooLarge => "The head of the request is too large",
        ErrorCode::RequestTimeout => "The request took too long to arrive",
        ErrorCode::InternalError => "The server failed",
        ErrorCode::ServiceUnavailable => "Not now: come back after `Retry-After` seconds",
        // A test has the meaning of every code.
        _ => "",
    }
}

/// The same where the errors are those of OAuth.
const fn meaning_to_clients(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::ValidationError => "What was sent cannot be used: `error` and `error_description` say why",
        ErrorCode::Unauthorized => {
            "`invalid_client`: nobody knows the client, or it is not the one that it says; `invalid_token`: the token of \
             its registration does not hold"
        }
        other => meaning(other),
    }
}

/// An error with this code as it is sent, for the examples.
fn example_error(code: ErrorCode) -> ApiError {
    match code {
        ErrorCode::ValidationError => ApiError::invalid("range", "use one of 24h, 7d, 30d, 90d, 1y"),
        ErrorCode::InvalidFields => ApiError::unprocessable(BTreeMap::from([(
            "name".to_owned(),
            "Name too long (max 100 characters)".to_owned(),
        )])),
        ErrorCode::MissingSiteId => {
            ApiError::invalid("site_id", "name the website by its id or its domain").with_code(code)
        }
        ErrorCode::PreconditionFailed => ApiError::new(code, "The file is not the one that you began with"),
        ErrorCode::RangeNotSatisfiable => ApiError::new(code, "The file has 1204113 bytes"),
        ErrorCode::Unauthorized => AccessRefusal::NoCredential.into(),
        ErrorCode::ApiPaidPlanRequired => AccessRefusal::Denied(Denial::PlanRequired).into(),
        ErrorCode::Forbidden => AccessRefusal::Denied(Denial::MissingScope(Scope::Read)).into(),
        ErrorCode::NotFound => AccessRefusal::Denied(Denial::Unknown(TargetKind::Website)).into(),
        ErrorCode::RateLimitExceeded => {
            ApiError::new(code, "Rate limit exceeded (30 requests/minute). Try again in 12 seconds")
                .with_retry_after(12)
        }
        ErrorCode::MonthlyLimitExceeded => AccessRefusal::MonthUsedUp { limit: 10_000, retry_after_s: 86_400 }.into(),
        ErrorCode::ServiceUnavailable => ApiError::unavailable("The event queue is full", errors::SOON_S),
        other => ApiError::of_status(status_of(other)),
    }
}

/// The same where the errors are those of OAuth.
fn example_to_clients(code: ErrorCode) -> ApiError {
    match code {
        ErrorCode::ValidationError => ApiError::new(code, "code_verifier is missing"),
        ErrorCode::Unauthorized => ApiError::new(code, "The token of the registration does not hold"),
        other => example_error(other),
    }
}

/// The instant of the examples: 2026-06-13T12:00:00Z.
const THEN: Timestamp = Timestamp::from_millis(1_781_352_000_000);

const REQUEST_ID: &str = "0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b";

const REQUEST_ID_HEADER: Header = Header {
    name: "X-Request-Id",
    description: "The id of the request: yours when you sent one, otherwise a new UUID.",
    example: REQUEST_ID,
};

const RETRY_AFTER: Header =
    Header { name: "Retry-After", description: "Whole seconds after which to come back.", example: "12" };

const WWW_AUTHENTICATE: Header = Header {
    name: "WWW-Authenticate",
    description: "How to authenticate, and what was wrong (RFC 6750).",
    example: "Bearer error=\"invalid_token\"",
};

/// The document of the routes in `table`.
///
/// # Errors
/// What is missing in a route.
pub fn assemble<'a>(table: impl Iterator<Item = &'a Endpoint>) -> Result<Value, String> {
    let table = table.filter(|endpoint| !endpoint.is_closed());
    // Both bases have the same routes: those of the second are told as another server of the first.
    let (first_party, table): (Vec<_>, Vec<_>) = table.partition(|endpoint| endpoint.path.starts_with(FIRST_PARTY));
    let forwarded: BTreeSet<&str> =
        first_party.iter().filter_map(|endpoint| endpoint.path.strip_prefix(FIRST_PARTY)).collect();

    let schemas = schemas(&table)?;
    let mut refusals = Refusals::default();
    let (mut paths, mut names, mut tags) = (Map::new(), BTreeSet::new(), BTreeSet::new());
    for endpoint in table {
        let (tag, mut name) = names_of(endpoint)?;
        tags.insert(tag);
        while !names.insert(name.clone()) {
            name.push_str("Alias");
        }
        let operation = describe(endpoint, tag, &name, &schemas, &mut refusals)?;
        let path = paths.entry(endpoint.path).or_insert_with(|| {
            if forwarded.contains(endpoint.path) {
                json!({ "servers": [
                    { "url": "/", "description": "This server" },
                    { "url": FIRST_PARTY, "description": "For proxies of websites, which pass reports on" },
                ] })
            } else {
                json!({})
            }
        });
        path[endpoint.method.as_str().to_ascii_lowercase()] = operation;
    }
    link(&mut paths);
    let all_tags = TAGS.iter().filter(|(_, name, _)| tags.contains(name));
    let headers = key_headers::HEADERS.iter().chain([&REQUEST_ID_HEADER]);
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "zenovay API",
            "version": VERSION,
            "summary": "Report events, and read what became of them.",
            "description": INTRODUCTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The server that gave you this document" }],
        "tags": all_tags.map(|(_, name, about)| json!({ "name": name, "description": about })).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "securitySchemes": {
                "ApiKey": {
                    "type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key: `zv_` and 40 characters.",
                },
                "Bearer": { "type": "http", "scheme": "bearer", "description": "The same key." },
                "Session": {
                    "type": "apiKey", "in": "cookie", "name": "zenovay_session",
                    "description": "What signing in sets; `__Host-zenovay_session` where the server is reached over HTTPS.",
                },
            },
            "parameters": { "RequestId": parameter(&Parameter::header(
                "X-Request-Id",
                "Names the request in logs and answers: 1 to 128 visible ASCII characters.",
                REQUEST_ID,
            )) },
            "headers": headers.map(|header| (header.name, header_object(header))).collect::<BTreeMap<_, _>>(),
            "responses": refusals.into_components(),
            "schemas": schemas,
        },
    }))
}

/// Links the answers that give a parameter to the reads that ask for it alone.
fn link(paths: &mut Map<String, Value>) {
    let mut links: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for (path, item) in paths.iter() {
        let asked: Vec<&str> = paths::names(path).collect();
        for (giver, parameter, place) in GIVES.iter().filter(|(_, parameter, _)| asked == [*parameter]) {
            let Some(reader) = item["get"]["operationId"].as_str() else { continue };
            let link = json!({
                "operationId": reader,
                "parameters": { *parameter: format!("$response.body#{place}") },
            });
            links.entry(giver).or_default().insert(reader.to_owned(), link);
        }
    }
    for item in paths.values_mut() {
        let giver = item["get"]["operationId"].as_str().unwrap_or_default();
        if let Some(links) = links.remove(giver) {
            item["get"]["responses"]["200"]["links"] = links.into();
        }
    }
}

/// The schemas of all routes, by name.
fn schemas(table: &[&Endpoint]) -> Result<Map<String, Value>, String> {
    let mut all = BTreeMap::new();
    let mut common = Operation::new(Access::Public, "", "");
    common.schema::<ErrorBody<'static>>();
    common.schema::<OAuthErrorBody<'static>>();
    let operations = table.iter().map(|endpoint| &endpoint.operation).chain([&common]);
    for (name, schema) in operations.flat_map(|operation| &operation.schemas) {
        if all.insert(name.clone(), schema.clone()).is_some_and(|other| other != *schema) {
            return Err(format!("two types have the name {name}"));
        }
    }
    let nullable: BTreeSet<String> =
        all.iter().filter(|(_, schema)| accepts_null(schema)).map(|(name, _)| name.clone()).collect();
    let mut parts = BTreeSet::new();
    for schema in all.values_mut() {
        say_null_once(schema, &nullable);
        name_parts(schema, &mut parts);
    }
    for name in parts {
        // A part that allows nothing else would refuse the rest of the whole.
        if let Some(part) = all.get_mut(&name).and_then(Value::as_object_mut) {
            part.remove("additionalProperties");
        }
    }
    Ok(all.into_iter().collect())
}

/// The names of the schemas that stand in an `allOf` of this one.
fn name_parts(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            for part in schema["allOf"].as_array().into_iter().flatten() {
                let name = part["$ref"].as_str().and_then(|path| path.strip_prefix("#/components/schemas/"));
                names.extend(name.map(str::to_owned));
            }
            members.values().for_each(|member| name_parts(member, names));
        }
        Value::Array(items) => items.iter().for_each(|item| name_parts(item, names)),
        _ => {}
    }
}

fn accepts_null(schema: &Value) -> bool {
    schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "null"))
}

/// An `Option` of what may be null itself is told as that: `oneOf` with two ways to be null would allow neither.
fn say_null_once(schema: &mut Value, nullable: &BTreeSet<String>) {
    let refers_to_nullable = |one: &&Value| {
        one["$ref"].as_str().is_some_and(|path| nullable.contains(path.rsplit('/').next().unwrap_or_default()))
    };
    let itself = match schema["oneOf"].as_array() {
        Some(two) if two.len() == 2 && two.iter().any(|one| one["type"] == "null") => {
            two.iter().find(refers_to_nullable).cloned()
        }
        _ => None,
    };
    if let Some(itself) = itself {
        *schema = itself;
    }
    match schema {
        Value::Object(members) => members.values_mut().for_each(|member| say_null_once(member, nullable)),
        Value::Array(items) => items.iter_mut().for_each(|item| say_null_once(item, nullable)),
        _ => {}
    }
}

/// The tag of a route, and its name among the operations: that of its handler.
/// The name of what a handler does, for the audit trail: its module and itself, such as `teams.edit`.
pub fn name_of(handler: &str) -> String {
    let parts: Vec<&str> = handler.split("::").collect();
    parts[parts.len().saturating_sub(2)..].join(".")
}

fn names_of(endpoint: &Endpoint) -> Result<(&'static str, String), String> {
    // Of a handler for several kinds of callers without the kind.
    let handler = endpoint.operation.handler.split('<').next().unwrap_or_default();
    let mut parts = handler.split("::").skip_while(|part| *part != "http").skip(1);
    let module = parts.find(|part| !matches!(*part, "external" | "console")).unwrap_or_default();
    let tag = TAGS.iter().find(|(of, ..)| *of == module);
    let (_, tag, _) = tag.ok_or_else(|| format!("{endpoint:?}: the module {module} has no tag"))?;
    let function = handler.rsplit("::").next().unwrap_or_default();
    let words = function.split('_').flat_map(|word| {
        let (first, rest) = word.split_at(1.min(word.len()));
        [first.to_ascii_uppercase(), rest.to_owned()]
    });
    Ok((tag, module.to_owned() + &words.collect::<String>()))
}

fn describe(
    endpoint: &Endpoint,
    tag: &str,
    name: &str,
    schemas: &Map<String, Value>,
    refusals: &mut Refusals,
) -> Result<Value, String> {
    let operation = &endpoint.operation;
    let in_path =
        paths::parameters(endpoint.path).map_err(|name| format!("{endpoint:?}: {name} is not in document/paths.rs"))?;
    let mut parameters: Vec<Value> = in_path.iter().chain(&operation.parameters).map(parameter).collect();
    parameters.push(json!({ "$ref": "#/components/parameters/RequestId" }));

    let mut responses = BTreeMap::new();
    for (status, reference) in refusals.of(operation) {
        responses.insert(status.to_string(), reference);
    }
    // A refusal that the route tells in its own way is described by it.
    for (status, answer) in &operation.answers {
        responses.insert(status.to_string(), response(endpoint, answer, schemas)?);
    }
    let (access, security) = match operation.access {
        Access::Public => ("Needs no key.".to_owned(), json!([])),
        Access::Local => ("Answers requests from the server's own machine alone; needs no key.".to_owned(), json!([])),
        Access::Key(action) => {
            let scopes: Vec<&str> = action.scope().iter().map(|scope| scope.as_str()).collect();
            let needs = format!("Needs a key with the scope `{}`.", scopes.join("`, `"));
            (needs, json!([{ "ApiKey": scopes }, { "Bearer": scopes }]))
        }
        Access::Person(_) => ("Needs somebody who is signed in; refuses keys.".to_owned(), json!([{ "Session": [] }])),
        Access::Actor(action) => {
            let role = action.role();
            let mut needs = format!("Needs somebody who is signed in, with the role {role} or a stronger one");
            let mut ways = vec![json!({ "Session": [] })];
            match action.scope() {
                Some(scope) => {
                    needs += &format!(", or a key with the scope `{scope}`.");
                    ways.extend([json!({ "ApiKey": [scope.as_str()] }), json!({ "Bearer": [scope.as_str()] })]);
                }
                None => needs += "; refuses keys.",
            }
            (needs, json!(ways))
        }
        Access::Assistant => {
            let needs = "Needs an access token of a client that somebody connected, or a key.".to_owned();
            (needs, json!([{ "Bearer": [] }]))
        }
    };
    let mut described = json!({
        "tags": [tag],
        "summary": endpoint.summary,
        "description": access,
        "operationId": name,
        "security": security,
        "parameters": parameters,
    });
    if !operation.body.is_empty() {
        let mut content = Map::new();
        for (media_type, schema) in &operation.body {
            content.insert((*media_type).to_owned(), media(endpoint, schema, schemas)?);
        }
        described["requestBody"] = json!({ "required": true, "content": content });
    }
    described["responses"] = json!(responses);
    Ok(described)
}

fn parameter(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.is_required,
        "description": parameter.description,
        "schema": parameter.schema,
    })
}

fn media(endpoint: &Endpoint, schema: &Value, schemas: &Map<String, Value>) -> Result<Value, String> {
    let example = example(schema, schemas).map_err(|path| format!("{endpoint:?}: {path}"))?;
    Ok(json!({ "schema": schema, "example": example }))
}

fn response(endpoint: &Endpoint, answer: &Answer, schemas: &Map<String, Value>) -> Result<Value, String> {
    let has_key = matches!(endpoint.operation.access, Access::Key(_) | Access::Actor(_));
    let description = if answer.description.is_empty() { "Done" } else { &answer.description };
    let mut response = json!({ "description": description, "headers": headers(has_key, &answer.headers) });
    if !answer.content.is_empty() {
        let mut content = Map::new();
        for (media_type, schema) in &answer.content {
            content.insert((*media_type).to_owned(), media(endpoint, schema, schemas)?);
        }
        response["content"] = content.into();
    }
    Ok(response)
}

fn headers(has_key: bool, more: &[Header]) -> Value {
    let common = [&REQUEST_ID_HEADER].into_iter().chain(if has_key { &key_headers::HEADERS[..] } else { &[] });
    let mut headers: BTreeMap<&str, Value> = common
        .map(|header| (header.name, json!({ "$ref": format!("#/components/headers/{}", header.name) })))
        .collect();
    headers.extend(more.iter().map(|header| (header.name, header_object(header))));
    json!(headers)
}

fn header_object(header: &Header) -> Value {
    let kind = if header.example.bytes().all(|byte| byte.is_ascii_digit()) { "integer" } else { "string" };
    let example = header.example.parse::<u64>().map_or_else(|_| json!(header.example), |number| json!(number));
    json!({ "description": header.description, "schema": { "type": kind, "examples": [example] } })
}

/// The refusals that several routes have in common: one for each status and way to tell it.
#[derive(Default)]
struct Refusals(BTreeMap<(u16, Refusing), BTreeSet<ErrorCode>>);

/// How a refusal is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Refusing {
    /// In the error body.
    Plain,
    /// The same, with the headers about a key.
    WithKey,
    /// To a client of OAuth.
    OAuth,
    /// To a person.
    Page,
}

impl Refusals {
    /// The refusals of an operation, by status.
    fn of(&mut self, operation: &Operation) -> BTreeMap<u16, Value> {
        let has_key = matches!(operation.access, Access::Key(_) | Access::Actor(_));
        let mut of = BTreeMap::new();
        for &code in &operation.refusals {
            let status = status_of(code).as_u16();
            let how = match operation.error_form {
                // It is told before it is known which route it is.
                _ if code == ErrorCode::HeadersTooLarge && !has_key => Refusing::Plain,
                // Before a key is known, nothing can be told of it.
                ErrorForm::Body if has_key && status != 401 => Refusing::WithKey,
                ErrorForm::Body => Refusing::Plain,
                ErrorForm::OAuth => Refusing::OAuth,
                ErrorForm::Page => Refusing::Page,
            };
            self.0.entry((status, how)).or_default().insert(code);
            let name = Self::name(status, how);
            of.insert(status, json!({ "$ref": format!("#/components/responses/{name}") }));
        }
        of
    }

    fn name(status: u16, how: Refusing) -> String {
        let kind = match how {
            Refusing::Plain => "",
            Refusing::WithKey => "WithKey",
            Refusing::OAuth => "OfOAuth",
            Refusing::Page => "OnPage",
        };
        format!("Error{status}{kind}")
    }

    fn into_components(self) -> BTreeMap<String, Value> {
        let component = |((status, how), codes): ((u16, Refusing), BTreeSet<ErrorCode>)| {
            let more: &[Header] = match status {
                401 => &[WWW_AUTHENTICATE],
                429 | 503 => &[RETRY_AFTER],
                _ => &[],
            };
            let meanings: Vec<String> = codes
                .iter()
                .map(|code| match how {
                    Refusing::Plain | Refusing::WithKey => format!("`{}`: {}.", code.as_str(), meaning(*code)),
                    Refusing::OAuth => format!("{}.", meaning_to_clients(*code)),
                    Refusing::Page => "A page that says why nobody is asked.".to_owned(),
                })
                .collect();
            let examples = |body: fn(ErrorCode) -> Value| -> BTreeMap<&str, Value> {
                codes.iter().map(|code| (code.as_str(), json!({ "value": body(*code) }))).collect()
            };
            let of_schema = |name: &str, body| {
                json!({ "application/json": {
                    "schema": { "$ref": format!("#/components/schemas/{name}") },
                    "examples": examples(body),
                } })
            };
            let content = match how {
                Refusing::Plain | Refusing::WithKey => {
                    of_schema("ErrorBody", |code| to_json(&example_error(code).body(THEN, REQUEST_ID)))
                }
                Refusing::OAuth => {
                    of_schema("OAuthErrorBody", |code| to_json(&OAuthErrorBody::of(&example_to_clients(code))))
                }
                Refusing::Page => json!({ "text/html": { "schema": { "type": "string" } } }),
            };
            let has_key = how == Refusing::WithKey;
            let response = json!({
                "description": meanings.join("\n\n"),
                "headers": headers(has_key, more),
                "content": content,
            });
            (Self::name(status, how), response)
        };
        self.0.into_iter().map(component).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::envelope::Success;
    use crate::http::guard::{Authorized, Public, ReadWebsite};
    use crate::http::params::{Limit, Query};
    use crate::http::routes::get;
    use serde::Serialize;
    use utoipa::ToSchema;

    /// Notes about a website.
    #[derive(Serialize, ToSchema)]
    struct Notes {
        /// What somebody noted.
        #[schema(examples("Launch day"))]
        notes: Vec<String>,
    }

    async fn notes(_key: Authorized<ReadWebsite>, query: Query<Limit<5, 50>>) -> Result<Success<Notes>, ApiError> {
        query.read(THEN)?;
        Ok(Success::new(Notes { notes: Vec::new() }, THEN))
    }

    /// Sabotage: leave one out.
    #[test]
    fn every_code_has_its_meaning_and_its_status() {
        for &code in ErrorCode::ALL {
            assert!(!meaning(code).is_empty(), "{code}");
            assert!((400..600).contains(&status_of(code).as_u16()), "{code}");
        }
    }

    /// `docs/architecture.md`, "Add a route": one handler and one line in the table, and everything follows.
    #[test]
    fn a_new_route_is_described_by_its_handler() {
        let table = [get("/api/external/v1/websites/{website_id}/notes", notes, "Notes about a website")];
        let document = assemble(table.iter()).expect("a document");
        let route = &document["paths"]["/api/external/v1/websites/{website_id}/notes"]["get"];
        assert_eq!(route["operationId"], "documentNotes");
        assert_eq!(route["summary"], "Notes about a website");
        assert_eq!(route["security"], json!([{ "ApiKey": ["read"] }, { "Bearer": ["read"] }]));
        let parameters = route["parameters"].as_array().unwrap();
        assert_eq!((&parameters[0]["name"], &parameters[0]["in"]), (&json!("website_id"), &json!("path")));
        assert_eq!(
            parameters[1]["schema"],
            json!({ "type": "integer", "minimum": 1, "default": 5, "x-lowered-to": 50 })
        );
        let statuses: Vec<&str> = route["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(statuses, ["200", "400", "401", "403", "404", "408", "429", "431", "500", "503"]);
        let answer = &route["responses"]["200"];
        assert_eq!(answer["content"]["application/json"]["example"]["data"], json!({ "notes": ["Launch day"] }));
        assert!(answer["headers"]["X-RateLimit-Limit"].is_object());
    }

    /// Something without an example.
    #[derive(Serialize, ToSchema)]
    struct Bare {
        name: String,
    }

    async fn bare(_: Public) -> Success<Bare> {
        Success::new(Bare { name: String::new() }, THEN)
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = assemble([get("/bare", bare, "Bare")].iter()).unwrap_err();
        assert!(error.contains("GET /bare") && error.contains("name"), "{error}");
        let error = assemble([get("/{thing}", notes, "Notes")].iter()).unwrap_err();
        assert!(error.contains("thing is not in document/paths.rs"), "{error}");
    }
}
