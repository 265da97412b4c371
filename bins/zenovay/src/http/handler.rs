//! What a handler asks and answers, read from its signature. The route table describes a route by its handler's types
//! alone, so that the description and the handler cannot differ.
//!
//! The first argument of every handler is a [`Caller`]: it says who may call, and lets nobody else through. A handler
//! without one does not compile, so that no route is open because something was forgotten. The other arguments are
//! [`Argument`]s, and the answer is a [`Reply`].
//!
//! *Why not attributes or a builder?* What an attribute says about a handler, and what a table says, has to be kept true
//! by tests. What the handler's own types say is true.

use std::marker::PhantomData;

use actix_web::body::BoxBody;
use actix_web::{FromRequest, HttpRequest, HttpResponse, Responder, web};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use zenovay_auth::Action;

use super::document::{Answer, Operation};
use super::envelope::ApiError;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Requests from this machine.
    Local,
    /// A key that may do this.
    Key(Action),
    /// Somebody who is signed in and may do this.
    Person(Action),
    /// Somebody who is signed in, or a key, that may do this.
    Actor(Action),
    /// A client that somebody connected, or a key. What it may do is decided for each tool.
    Assistant,
}

/// The first argument of a handler: proof that the request comes from somebody who may make it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say who may call this handler",
    note = "the first argument of a handler is `Public`, `Local` or `Authorized<…>`"
)]
pub trait Caller: FromRequest + 'static {
    /// Who may call.
    const ACCESS: Access;

    /// Adds to `operation` what is asked of the caller.
    fn describe(_operation: &mut Operation) {}
}

/// For handlers that have something to do for a refused caller too, such as to count the refusal.
impl<C: Caller> Caller for Result<C, C::Error> {
    const ACCESS: Access = C::ACCESS;

    fn describe(operation: &mut Operation) {
        C::describe(operation);
    }
}

/// Another argument of a handler.
pub trait Argument: FromRequest + 'static {
    /// Adds to `operation` what the argument reads from the request.
    fn describe(_operation: &mut Operation) {}
}

impl Argument for HttpRequest {}
impl<T: 'static> Argument for web::Data<T> {}
impl<T: DeserializeOwned + 'static> Argument for web::Path<T> {}

/// What a handler answers.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what is answered",
    note = "a handler answers `Success<…>`, `Json<…>`, `Described<…>`, or a `Result` of one of them and `ApiError`"
)]
pub trait Reply: Responder + 'static {
    /// Adds to `operation` what is answered.
    fn describe(operation: &mut Operation);
}

impl<R: Reply> Reply for Result<R, ApiError> {
    fn describe(operation: &mut Operation) {
        R::describe(operation);
    }
}

/// A JSON body without the envelope.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> Responder for Json<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok().json(self.0)
    }
}

impl<T: Serialize + ToSchema + 'static> Reply for Json<T> {
    fn describe(operation: &mut Operation) {
        operation.answers_json::<T>(200, false);
    }
}

/// What an answer of a kind of its own looks like.
pub trait Shape: 'static {
    /// Adds to `operation` what is answered.
    fn describe(operation: &mut Operation);
}

/// An answer that its handler writes by itself, and how it looks.
#[derive(Debug)]
pub struct Described<S> {
    response: HttpResponse,
    shape: PhantomData<S>,
}

impl<S> From<HttpResponse> for Described<S> {
    fn from(response: HttpResponse) -> Self {
        Self { response, shape: PhantomData }
    }
}

impl<S: Shape> Responder for Described<S> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.response
    }
}

impl<S: Shape> Reply for Described<S> {
    fn describe(operation: &mut Operation) {
        S::describe(operation);
    }
}

/// A page for people.
#[derive(Debug)]
pub struct Html;

impl Shape for Html {
    fn describe(operation: &mut Operation) {
        operation.answer(200, Answer::new("A page").text("text/html", "<!doctype html>…"));
    }
}

/// An async function whose first argument is a [`Caller`], with up to four [`Argument`]s and a [`Reply`].
pub trait Handler<Arguments: FromRequest>: actix_web::Handler<Arguments> + Copy + Send + Sync {
    /// What its types say of the route at `path`.
    fn operation(path: &'static str) -> Operation;
}

macro_rules! handlers {
    ($($argument:ident)*) => {
        impl<Function, Answer, Who, $($argument),*> Handler<(Who, $($argument,)*)> for Function
        where
            Function: Fn(Who, $($argument),*) -> Answer + Copy + Send + Sync + 'static,
            Answer: Future,
            Answer::Output: Reply,
            Who: Caller,
            $($argument: Argument,)*
        {
            fn operation(path: &'static str) -> Operation {
                let mut operation = Operation::new(Who::ACCESS, path, std::any::type_name::<Function>());
                Who::describe(&mut operation);
                $($argument::describe(&mut operation);)*
                Answer::Output::describe(&mut operation);
                operation
            }
        }
    };
}

handlers! {}
handlers! { A }
handlers! { A B }
handlers! { A B C }
handlers! { A B C D }
