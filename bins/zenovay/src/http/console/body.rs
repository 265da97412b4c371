//! Bodies of JSON that become values.

use std::future::{Ready, ready};
use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::{Error, FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use zenovay_domain::ErrorCode;
use zenovay_ingest::{Refusal, RefusalReason};

use crate::http::body;
use crate::http::document::Operation;
use crate::http::envelope::ApiError;
use crate::http::handler::Argument;
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

impl<T: DeserializeOwned> JsonBody<T> {
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
        // An array with the values in their order would do otherwise.
        if read.bytes.trim_ascii_start().starts_with(b"[") {
            return Err(ApiError::invalid("body", NOT_AN_OBJECT));
        }
        let mut json = serde_json::Deserializer::from_slice(&read.bytes);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let field = if path == "." { "body" } else { &path };
            ApiError::invalid(field, problem(error.inner()))
        })?;
        json.end().map_err(|error| ApiError::invalid("body", problem(&error)))?;
        Ok(value)
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
