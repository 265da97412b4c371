//! What clients send: names and values in the form of URLs, each at most once.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{Error, FromRequest, HttpRequest, web};
use serde_json::{Map, Value, json};
use zenovay_domain::ErrorCode;
use zenovay_ingest::{Refusal, RefusalReason};

use super::refusal::{OAuthError, OAuthRefusal};
use crate::http::body;
use crate::http::document::{Operation, Parameter};
use crate::http::envelope::ApiError;
use crate::http::handler::Argument;
use crate::http::state::AppState;

/// The longest body of a form, and the longest query, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// Names and their values. Names that are not known are passed over (RFC 6749 §3.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(BTreeMap<String, Vec<String>>);

impl Params {
    /// Reads the query of an address or the body of a form.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut params: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(bytes) {
            params.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Self(params)
    }

    /// The value of `name`. One that is empty is none (RFC 6749 §3.1).
    ///
    /// # Errors
    /// When there are several: it is not known which counts.
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, OAuthRefusal> {
        match self.all(name) {
            [] => Ok(None),
            [value] => Ok(Some(value.as_str()).filter(|value| !value.is_empty())),
            _ => Err(OAuthRefusal::new(OAuthError::InvalidRequest, format!("{name} is there more than once"))),
        }
    }

    /// The value of `name`, which must be there.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn required(&self, name: &'static str) -> Result<&str, OAuthRefusal> {
        let missing = || OAuthRefusal::new(OAuthError::InvalidRequest, format!("{name} is missing"));
        self.one(name)?.ok_or_else(missing)
    }

    /// All values of `name`.
    pub fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

/// A name that a request may have.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The name.
    pub name: &'static str,
    /// What it means.
    pub words: &'static str,
    /// A value that it may have.
    pub example: &'static str,
    /// Whether it must be there.
    pub is_required: bool,
}

impl Field {
    /// One that must be there.
    pub const fn required(name: &'static str, words: &'static str, example: &'static str) -> Self {
        Self { name, words, example, is_required: true }
    }

    /// One that may be left out.
    pub const fn optional(name: &'static str, words: &'static str, example: &'static str) -> Self {
        Self { is_required: false, ..Self::required(name, words, example) }
    }
}

/// The names that a request has.
pub trait Fields: 'static {
    /// All that are known.
    const FIELDS: &'static [Field];
}

/// The names in the query, as they came.
pub struct InQuery<F> {
    /// The query.
    pub query: String,
    fields: PhantomData<F>,
}

impl<F: 'static> FromRequest for InQuery<F> {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self { query: req.query_string().to_owned(), fields: PhantomData }))
    }
}

impl<F: Fields> Argument for InQuery<F> {
    fn describe(operation: &mut Operation) {
        operation.reads(F::FIELDS.iter().map(|field| {
            let parameter = Parameter::query(field.name, field.words).example(field.example);
            if field.is_required { parameter.required() } else { parameter }
        }));
    }
}

/// A body in the form of a URL, not read yet.
pub struct Form<F> {
    req: HttpRequest,
    payload: web::Payload,
    fields: PhantomData<F>,
}

impl<F> Form<F> {
    /// Reads the body.
    ///
    /// # Errors
    /// 415 when it is something else; 413 when it is longer than 16 KB; 408 when it does not arrive.
    pub async fn read(self) -> Result<Params, ApiError> {
        let state = self.req.app_data::<web::Data<AppState>>().ok_or_else(ApiError::internal)?;
        if !is_form(self.req.headers()) {
            let message = "Send application/x-www-form-urlencoded";
            return Err(ApiError::new(ErrorCode::UnsupportedMediaType, message));
        }
        if body::encoding(self.req.headers()).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            return Err(Refusal::new(RefusalReason::UnsupportedEncoding, "Content-Encoding is not taken here").into());
        }
        let read = state.bodies.read_hit(&self.req, self.payload, MAX_BYTES, state.body_timeout).await?;
        Ok(Params::parse(&read.bytes))
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = value.split(';').next().unwrap_or("").trim();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

impl<F: 'static> FromRequest for Form<F> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let payload = web::Payload::from_request(req, payload).into_inner();
        ready(payload.map(|payload| Self { req: req.clone(), payload, fields: PhantomData }))
    }
}

impl<F: Fields> Argument for Form<F> {
    fn describe(operation: &mut Operation) {
        let property = |field: &Field| {
            let schema = json!({ "type": "string", "description": field.words, "examples": [field.example] });
            (field.name.to_owned(), schema)
        };
        let properties: Map<String, Value> = F::FIELDS.iter().map(property).collect();
        let required: Vec<&str> = F::FIELDS.iter().filter(|field| field.is_required).map(|field| field.name).collect();
        let schema = json!({ "type": "object", "properties": properties, "required": required });
        operation.body.insert("application/x-www-form-urlencoded", schema);
        operation.refuses([ErrorCode::UnsupportedMediaType, ErrorCode::PayloadTooLarge]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_once() {
        let params = Params::parse(b"a=1&b=&c=x%20y+z&c=2&%61=");
        assert!(params.one("a").is_err() && params.one("c").is_err() && params.required("b").is_err());
        assert_eq!(params.one("b").unwrap(), None);
        assert_eq!(params.all("c"), ["x y z", "2"]);
    }
}
