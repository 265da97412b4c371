//! What the types of a handler say about its route: who may use it, what it reads, what it answers, how it refuses.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use zenovay_domain::ErrorCode;

use crate::http::handler::Access;

/// How a route tells what it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ErrorForm {
    /// In the error body of all other routes.
    #[default]
    Body,
    /// In that of OAuth (RFC 6749 §5.2), which clients of it read.
    OAuth,
    /// On a page, to a person.
    Page,
}

/// What is known about a route from the types of its handler.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Who may use it.
    pub access: Access,
    /// The pattern of its path.
    pub path: &'static str,
    /// `module::function` of its handler.
    pub handler: &'static str,
    /// What it reads beside the path and the body.
    pub parameters: Vec<Parameter>,
    /// Its body, by media type.
    pub body: BTreeMap<&'static str, Value>,
    /// What it answers when it does what it was asked for, by status.
    pub answers: BTreeMap<u16, Answer>,
    /// The codes of its refusals.
    pub refusals: BTreeSet<ErrorCode>,
    /// How it tells them.
    pub error_form: ErrorForm,
    /// The schemas that all this refers to, by name.
    pub schemas: BTreeMap<String, Value>,
}

/// The codes with which any route may refuse: what arrives is not a request, arrives too slowly, is too long, or meets a
/// server that cannot answer.
const ANYWHERE: [ErrorCode; 5] = [
    ErrorCode::ValidationError,
    ErrorCode::RequestTimeout,
    ErrorCode::HeadersTooLarge,
    ErrorCode::InternalError,
    ErrorCode::ServiceUnavailable,
];

impl Operation {
    /// An operation of which nothing but this is known.
    pub fn new(access: Access, path: &'static str, handler: &'static str) -> Self {
        Self {
            access,
            path,
            handler,
            parameters: Vec::new(),
            body: BTreeMap::new(),
            answers: BTreeMap::new(),
            refusals: ANYWHERE.into(),
            error_form: ErrorForm::default(),
            schemas: BTreeMap::new(),
        }
    }

    /// Whether a part of its path is a parameter.
    pub fn names_a_resource(&self) -> bool {
        self.path.contains('{')
    }

    /// Adds codes with which it refuses.
    pub fn refuses(&mut self, codes: impl IntoIterator<Item = ErrorCode>) {
        self.refusals.extend(codes);
    }

    /// Adds what it reads.
    pub fn reads(&mut self, parameters: impl IntoIterator<Item = Parameter>) {
        self.parameters.extend(parameters);
    }

    /// The schema of `T`, which from now on is among the schemas of the document.
    pub fn schema<T: ToSchema>(&mut self) -> Value {
        let mut needed = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut needed);
        self.schemas.extend(needed.into_iter().map(|(name, schema)| (name, to_json(&schema))));
        json!({ "$ref": format!("#/components/schemas/{}", T::name()) })
    }

    /// Says that `status` has a body of JSON like `T`, as it is or in the envelope.
    pub fn answers_json<T: ToSchema>(&mut self, status: u16, is_enveloped: bool) {
        let schema = self.schema::<T>();
        let description = match T::schema() {
            RefOr::T(schema) => to_json(&schema)["description"].as_str().map(str::to_owned),
            RefOr::Ref(_) => None,
        };
        let schema = if is_enveloped { enveloped(schema) } else { schema };
        let answer = Answer::new(description.unwrap_or_default()).content("application/json", schema);
        self.answer(status, answer);
    }

    /// Says what `status` means.
    pub fn answer(&mut self, status: u16, answer: Answer) {
        self.answers.insert(status, answer);
    }

    /// Says that clients may keep its answer, and ask later whether it changed.
    pub fn can_be_cached(&mut self) {
        self.reads([Parameter::header(
            "If-None-Match",
            "The `ETag` of an answer that the client has.",
            "\"5f3a91c2\"",
        )]);
        if let Some(answer) = self.answers.get_mut(&200) {
            answer.headers.extend([ETAG, CACHE_CONTROL]);
        }
        self.answer(304, Answer::new("What the client has is right").header(ETAG).header(CACHE_CONTROL));
    }
}

/// The envelope of a success around the schema of its `data`.
fn enveloped(data: Value) -> Value {
    json!({
        "type": "object",
        "required": ["success", "data", "timestamp"],
        "properties": {
            "success": { "type": "boolean", "const": true },
            "data": data,
            "timestamp": { "$ref": "#/components/schemas/Instant" },
        },
    })
}

/// A schema as it stands in the document.
pub fn to_json(schema: &impl Serialize) -> Value {
    // Schemas are maps with strings as keys: they can always be written.
    serde_json::to_value(schema).unwrap_or_default()
}

/// What a status means.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// In words.
    pub description: String,
    /// Headers, beside those of every answer.
    pub headers: Vec<Header>,
    /// Its body, by media type.
    pub content: BTreeMap<&'static str, Value>,
}

impl Answer {
    /// An answer without a body.
    pub fn new(description: impl Into<String>) -> Self {
        Self { description: description.into(), ..Self::default() }
    }

    /// The same with a body of this media type.
    #[must_use]
    pub fn content(mut self, media_type: &'static str, schema: Value) -> Self {
        self.content.insert(media_type, schema);
        self
    }

    /// The same with a body of text, such as `example`.
    #[must_use]
    pub fn text(self, media_type: &'static str, example: &str) -> Self {
        self.content(media_type, json!({ "type": "string", "examples": [example] }))
    }

    /// The same with this header.
    #[must_use]
    pub fn header(mut self, header: Header) -> Self {
        self.headers.push(header);
        self
    }
}

/// A header of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub description: &'static str,
    /// A value that it may have.
    pub example: &'static str,
}

/// By which a client asks later whether an answer changed.
const ETAG: Header = Header {
    name: "ETag",
    description: "Names what was answered; send it as `If-None-Match`.",
    example: "\"5f3a91c2\"",
};

/// How long the answer may be kept.
const CACHE_CONTROL: Header =
    Header { name: "Cache-Control", description: "How long the answer may be kept.", example: "public, max-age=300" };

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// In a header.
    Header,
}

/// A parameter of a request.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Where it stands.
    pub place: Place,
    /// Whether it must be there.
    pub is_required: bool,
    /// What it means.
    pub description: String,
    /// What it may be.
    pub schema: Value,
}

impl Parameter {
    /// An optional parameter of the query: any string, until a schema is given.
    pub fn query(name: &'static str, description: impl Into<String>) -> Self {
        Self {
            name,
            place: Place::Query,
            is_required: false,
            description: description.into(),
            schema: json!({ "type": "string" }),
        }
    }

    /// An optional header.
    pub fn header(name: &'static str, description: impl Into<String>, example: &str) -> Self {
        let parameter = Self { place: Place::Header, ..Self::query(name, description) };
        parameter.example(example)
    }

    /// A part of the path.
    pub fn path(name: &'static str, description: impl Into<String>, schema: Value) -> Self {
        Self { place: Place::Path, is_required: true, schema, ..Self::query(name, description) }
    }

    /// The same, which must be there.
    #[must_use]
    pub fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// The same with this schema.
    #[must_use]
    pub fn schema(self, schema: Value) -> Self {
        Self { schema, ..self }
    }

    /// The same with the schema of a type.
    #[must_use]
    pub fn schema_of<T: PartialSchema>(self) -> Self {
        self.schema(to_json(&T::schema()))
    }

    /// The same with an example.
    #[must_use]
    pub fn example(mut self, example: impl Into<Value>) -> Self {
        self.schema["examples"] = json!([example.into()]);
        self
    }
}

/// A string that matches `pattern`.
pub fn pattern(pattern: &str, example: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).examples([example]).into()
}
