//! What a handler asks and answers, read from its signature. The route table describes a route by its handler's types
//! alone, so that the description and the handler cannot differ.
//!
//! The first argument of every handler is a [`Caller`]: it says who may call, and lets nobody else through. A handler
//! without one does not compile, so that no route is open because something was forgotten. The other arguments are
//! [`Argument`]s, and the answer is a [`Reply`].
//!
//! *Why not attributes or a builder?* What an attribute says about a handler, and what a table says, has to be kept true
//! by tests. What the handler's own types say is true.

use actix_web::{FromRequest, HttpRequest, HttpResponse, Responder, web};
use serde::de::DeserializeOwned;
use zenovay_auth::Action;

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
}

/// What is known about a route from the types of its handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Who may use it.
    pub access: Access,
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
impl Argument for web::Payload {}
impl<T: 'static> Argument for web::Data<T> {}
impl<T: DeserializeOwned + 'static> Argument for web::Path<T> {}

/// What a handler answers.
pub trait Reply: Responder + 'static {
    /// Adds to `operation` what is answered.
    fn describe(_operation: &mut Operation) {}
}

impl Reply for HttpResponse {}

impl<R: Reply> Reply for Result<R, ApiError> {
    fn describe(operation: &mut Operation) {
        R::describe(operation);
    }
}

/// An async function whose first argument is a [`Caller`], with up to four [`Argument`]s and a [`Reply`].
pub trait Handler<Arguments: FromRequest>: actix_web::Handler<Arguments> + Copy + Send + Sync {
    /// What its types say.
    fn operation() -> Operation;
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
            fn operation() -> Operation {
                let mut operation = Operation { access: Who::ACCESS };
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
