//! What clients send: names and values in the form of URLs, each at most once.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{Error, FromRequest, HttpRequest, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
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
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params(BTreeMap<String, Vec<String>>);

impl fmt::Debug for Params {
    /// The names: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

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

/// What a client sent that has to show who it is.
#[derive(Debug)]
pub struct FromClient {
    /// The names in the body.
    pub params: Params,
    /// What it shows in the header, when it shows anything there.
    basic: Option<Basic>,
}

/// What the header `Authorization: Basic` holds.
#[derive(PartialEq, Eq)]
enum Basic {
    /// The id and the secret of a client.
    Client { id: String, secret: String },
    /// Something else.
    Unreadable,
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client { id, .. } => f.debug_struct("Client").field("id", id).finish_non_exhaustive(),
            Self::Unreadable => f.write_str("Unreadable"),
        }
    }
}

impl Basic {
    /// Reads the header of a request; `None` when it has none of this kind (RFC 6749 §2.3.1, RFC 7617).
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(header::AUTHORIZATION);
        let line = lines.next()?.to_str().unwrap_or("");
        let (scheme, encoded) = line.split_once(' ').unwrap_or((line, ""));
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let whole = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        // Both are written as in a form, which has neither `:` nor `&` in a value.
        let whole = whole.filter(|whole| lines.next().is_none() && !whole.contains('&'));
        let part = |text: &str| {
            url::form_urlencoded::parse(format!("={text}").as_bytes()).next().map(|(_, text)| text.into_owned())
        };
        let parts = whole.as_deref().and_then(|whole| whole.split_once(':'));
        let client = parts.and_then(|(id, secret)| Some(Self::Client { id: part(id)?, secret: part(secret)? }));
        Some(client.unwrap_or(Self::Unreadable))
    }
}

impl FromClient {
    /// The id that the client says it has, and the secret that it shows. An empty secret is none.
    ///
    /// # Errors
    /// When neither the header nor the body names a client, when they name two, or when both have a secret.
    pub fn client(&self) -> Result<(&str, Option<&str>), OAuthRefusal> {
        let Some(basic) = &self.basic else {
            return Ok((self.params.required("client_id")?, self.params.one("client_secret")?));
        };
        let Basic::Client { id, secret } = basic else {
            let words = "Authorization: Basic holds no client_id:client_secret in base64";
            return Err(OAuthRefusal::new(OAuthError::InvalidClient, words));
        };
        if self.params.one("client_id")?.is_some_and(|other| other != id) {
            let words = "client_id is not the one in the header Authorization";
            return Err(OAuthRefusal::new(OAuthError::InvalidRequest, words));
        }
        if self.params.one("client_secret")?.is_some() {
            let words = "show the secret once: in the header Authorization or as client_secret";
            return Err(OAuthRefusal::new(OAuthError::InvalidRequest, words));
        }
        Ok((id, Some(secret.as_str()).filter(|secret| !secret.is_empty())))
    }

    /// Whether the client shows who it is in the header.
    pub const fn uses_header(&self) -> bool {
        self.basic.is_some()
    }
}

/// A body in the form of a URL, not read yet.
pub struct Form<F> {
    req: HttpRequest,
    payload: web::Payload,
    fields: PhantomData<F>,
}

impl<F> Form<F> {
    /// Reads the body and the header of a client that has to show who it is.
    ///
    /// # Errors
    /// As [`Form::read`].
    pub async fn read_of_client(self) -> Result<FromClient, ApiError> {
        let basic = Basic::of(self.req.headers());
        Ok(FromClient { params: self.read().await?, basic })
    }

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

    fn basic(lines: &[&str]) -> Option<Basic> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::AUTHORIZATION, header::HeaderValue::from_str(line).unwrap());
        }
        Basic::of(&headers)
    }

    /// Sabotage: take the parts as they are, or the first of two headers.
    #[test]
    fn a_client_is_read_from_the_header() {
        let line = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let client = |id: &str, secret: &str| Some(Basic::Client { id: id.to_owned(), secret: secret.to_owned() });
        assert_eq!((basic(&[]), basic(&["Bearer zvr_a"])), (None, None));
        assert_eq!(basic(&[&line("zvc_a:b")]), client("zvc_a", "b"));
        assert_eq!(basic(&[&line("zvc_a:b").replace("Basic", "bASIC")]), client("zvc_a", "b"));
        assert_eq!(basic(&[&line("https%3A%2F%2Fa.example%2Fc:")]), client("https://a.example/c", ""));
        assert_eq!(basic(&[&line("a%20b+c:d:e%26f=")]), client("a b c", "d:e&f="));
        let two = line("a:b");
        for wrong in ["Basic", "Basic ", "Basic ???", &line("zvc_a"), &line(""), &line("a:b&c"), &line("a&b:c")] {
            assert_eq!(basic(&[wrong]), Some(Basic::Unreadable), "{wrong}");
        }
        assert_eq!(basic(&[&two, &two]), Some(Basic::Unreadable), "it is not known which counts");
    }

    /// Sabotage: let the header win over the body.
    #[test]
    fn a_client_shows_itself_in_one_way() {
        let shown = |body: &str, header: &str| {
            let from = FromClient { params: Params::parse(body.as_bytes()), basic: basic(&[header]) };
            from.client()
                .map(|(id, secret)| (id.to_owned(), secret.map(str::to_owned)))
                .map_err(|refusal| refusal.error)
        };
        let (header, none) = (format!("Basic {}", STANDARD.encode("a:s")), "Bearer x");
        let (with, without) = (Ok(("a".to_owned(), Some("s".to_owned()))), Ok(("a".to_owned(), None)));
        assert_eq!((shown("", &header), shown("client_id=a", &header)), (with.clone(), with.clone()));
        assert_eq!((shown("client_id=a&client_secret=s", none), shown("client_id=a", none)), (with, without.clone()));
        assert_eq!(shown("", &format!("Basic {}", STANDARD.encode("a:"))), without);
        for (body, header, error) in [
            ("client_id=b", header.as_str(), OAuthError::InvalidRequest),
            ("client_secret=s", &header, OAuthError::InvalidRequest),
            ("client_id=a", "Basic x", OAuthError::InvalidClient),
            ("", none, OAuthError::InvalidRequest),
        ] {
            assert_eq!(shown(body, header), Err(error), "{body} {header}");
        }
    }
}
