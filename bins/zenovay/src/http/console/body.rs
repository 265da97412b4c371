//! Bodies of JSON that become values.

use std::future::{Ready, ready};
use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::{Error, FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayItems, Object, Schema, SchemaType, Type};
use zenovay_domain::ErrorCode;
use zenovay_ingest::{Refusal, RefusalReason};

use crate::http::body;
use crate::http::document::Operation;
use crate::http::envelope::ApiError;
use crate::http::handler::Argument;
use crate::http::json_value::UniqueMembers;
use crate::http::media_type::require_json;
use crate::http::state::AppState;

/// The longest body.
const MAX_BYTES: usize = 64 * 1024;

/// A body of JSON like `T`, not read yet: who may send it is decided first.
pub struct JsonBody<T> {
    req: HttpRequest,
    payload: web::Payload,
    body: PhantomData<T>,
}

impl<T: DeserializeOwned + ToSchema> JsonBody<T> {
    /// Reads the body. What `T` does not name is passed over; a member that comes twice is refused.
    ///
    /// # Errors
    /// 415 when it does not say that it is JSON, so that no form of another website can send it; 413 when it is longer than
    /// 64 KB; 408 when it does not arrive; 400 with the name of the member when it is not JSON or a member is missing or of
    /// another type.
    pub async fn read(self) -> Result<T, ApiError> {
        let state = self.req.app_data::<web::Data<AppState>>().ok_or_else(ApiError::internal)?;
        require_json(self.req.headers())?;
        if body::encoding(self.req.headers()).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            return Err(Refusal::new(RefusalReason::UnsupportedEncoding, "Content-Encoding is not taken here").into());
        }
        let read = state.bodies.read_hit(&self.req, self.payload, MAX_BYTES, state.body_timeout).await?;
        let whole = serde_json::from_slice(&read.bytes);
        let UniqueMembers(whole) = whole.map_err(|error| ApiError::invalid("body", problem(&error)))?;
        // An array with the values of an object in their order would do otherwise, for the body or for any part of it.
        if let Some(place) = array_for_object::<T>(&whole) {
            return Err(ApiError::invalid(place.strip_prefix('.').unwrap_or("body"), NOT_AN_OBJECT));
        }
        serde_path_to_error::deserialize(whole).map_err(|error| {
            let path = error.path().to_string();
            let field = if path == "." { "body" } else { &path };
            ApiError::invalid(field, problem(error.inner()))
        })
    }
}

/// Where `body` has an array in the place of an object, by what is described of `T`: `.steps[0]`, or nothing for the whole.
fn array_for_object<T: ToSchema>(body: &Value) -> Option<String> {
    let mut parts = Vec::new();
    T::schemas(&mut parts);
    find_array(body, &T::schema(), &parts)
}

fn find_array(value: &Value, schema: &RefOr<Schema>, parts: &[(String, RefOr<Schema>)]) -> Option<String> {
    let schema = match schema {
        RefOr::T(schema) => schema,
        RefOr::Ref(reference) => {
            let name = reference.ref_location.rsplit('/').next()?;
            return find_array(value, &parts.iter().find(|(known, _)| known == name)?.1, parts);
        }
    };
    match (schema, value) {
        (Schema::Object(object), Value::Array(_)) if is_object(object) => Some(String::new()),
        (Schema::Object(object), Value::Object(members)) => members.iter().find_map(|(name, member)| {
            let found = find_array(member, object.properties.get(name)?, parts)?;
            Some(format!(".{name}{found}"))
        }),
        (Schema::Array(array), Value::Array(items)) => match &array.items {
            ArrayItems::RefOrSchema(item) => items.iter().enumerate().find_map(|(n, value)| {
                let found = find_array(value, item, parts)?;
                Some(format!("[{n}]{found}"))
            }),
            ArrayItems::False => None,
        },
        // One that may also be absent or null.
        (Schema::OneOf(any), _) => any.items.iter().find_map(|one| find_array(value, one, parts)),
        _ => None,
    }
}

fn is_object(object: &Object) -> bool {
    match &object.schema_type {
        SchemaType::Type(kind) => *kind == Type::Object,
        SchemaType::Array(kinds) => kinds.contains(&Type::Object) && !kinds.contains(&Type::Array),
        SchemaType::AnyValue => false,
    }
}

/// What is said of something else where an object is wanted.
const NOT_AN_OBJECT: &str = "must be an object";

/// What is wrong, without where: lines and columns of JSON that a program wrote help nobody. Nor do names of this program's
/// types.
fn problem(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
    let wants_an_object = [" struct ", " internally tagged enum ", " adjacently tagged enum "]
        .iter()
        .any(|kind| words.rsplit_once("expected").is_some_and(|(_, wanted)| wanted.starts_with(kind)));
    if wants_an_object { NOT_AN_OBJECT.to_owned() } else { words.to_owned() }
}

impl<T: 'static> FromRequest for JsonBody<T> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let payload = web::Payload::from_request(req, payload).into_inner();
        ready(payload.map(|payload| Self { req: req.clone(), payload, body: PhantomData }))
    }
}

impl<T: DeserializeOwned + ToSchema + 'static> Argument for JsonBody<T> {
    fn describe(operation: &mut Operation) {
        let schema = operation.schema::<T>();
        operation.body.insert("application/json", schema);
        operation.refuses([
            ErrorCode::ValidationError,
            ErrorCode::InvalidFields,
            ErrorCode::RequestTimeout,
            ErrorCode::PayloadTooLarge,
            ErrorCode::UnsupportedMediaType,
        ]);
    }
}

/// For members of a change that may be null: `None` when the member is absent, `Some(None)` when it is null. To be used
/// with `#[serde(default, deserialize_with = "present")]`.
///
/// # Errors
/// When the member is of another type.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
