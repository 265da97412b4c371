//! How the console answers when something was created, or when there is nothing to tell.

use actix_web::body::BoxBody;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::Serialize;
use utoipa::ToSchema;
use zenovay_domain::Timestamp;

use crate::http::document::{Answer, Header, Operation};
use crate::http::envelope::Success;
use crate::http::handler::Reply;

/// A 201 with where the new thing is.
#[derive(Debug)]
pub struct Created<T> {
    location: String,
    body: Success<T>,
}

impl<T: Serialize> Created<T> {
    /// `data` in the envelope, created at `location` at `now`.
    pub fn at(location: String, data: T, now: Timestamp) -> Self {
        Self { location, body: Success::new(data, now) }
    }
}

impl<T: Serialize> Responder for Created<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Created().insert_header((LOCATION, self.location)).json(self.body)
    }
}

impl<T: Serialize + ToSchema + 'static> Reply for Created<T> {
    fn describe(operation: &mut Operation) {
        Success::<T>::describe(operation);
        if let Some(answer) = operation.answers.remove(&200) {
            let location = Header {
                name: "Location",
                description: "Where it is from now on.",
                example: "/api/teams/0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b",
            };
            operation.answer(201, answer.header(location));
        }
    }
}

/// A 204.
#[derive(Debug, Clone, Copy)]
pub struct NoContent;

impl Responder for NoContent {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::NoContent().finish()
    }
}

impl Reply for NoContent {
    fn describe(operation: &mut Operation) {
        operation.answer(204, Answer::new("Done"));
    }
}
