//! What the stream of a connection and the application tell each other.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

use super::Connections;

/// How far the answer to the request is that was handed on last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The application works on it, or nothing was asked.
    Open,
    /// Its head is made, its body is not complete.
    Begun,
    /// It is with the HTTP library, which hands all of it to the stream before it flushes.
    Complete,
}

/// Shared by a [`Stream`](super::Stream) and the requests that came on it.
#[derive(Debug)]
pub struct Link {
    connections: Arc<Connections>,
    pub(super) answer: Cell<Answer>,
    pub(super) arrived: Cell<bool>,
    pub(super) malformed: Cell<bool>,
}

impl Link {
    pub(super) fn new(connections: Arc<Connections>) -> Self {
        Self { connections, answer: Cell::new(Answer::Open), arrived: Cell::new(true), malformed: Cell::new(false) }
    }

    /// Whether the answer to the request at hand must be the last on the connection: its body did not arrive completely,
    /// so that nobody knows where the next begins, or the server is about to stop.
    pub fn must_close(&self) -> bool {
        !self.arrived.get() || self.connections.are_draining()
    }

    /// Whether the body of the request at hand broke the rules of chunks.
    pub fn is_malformed(&self) -> bool {
        self.malformed.get()
    }

    /// The answer's body is `body`; the body that comes back must be sent.
    pub fn answer(self: &Rc<Self>, body: BoxBody) -> BoxBody {
        match body.try_into_bytes() {
            Ok(bytes) => {
                self.answered();
                BoxBody::new(bytes)
            }
            Err(body) => {
                self.answer.set(Answer::Begun);
                BoxBody::new(Answered { body, link: Rc::clone(self) })
            }
        }
    }

    /// The answer is made.
    pub fn answered(&self) {
        self.answer.set(Answer::Complete);
    }
}

/// A body that is made piece by piece, and says when it ends.
pub struct Answered {
    body: BoxBody,
    link: Rc<Link>,
}

impl MessageBody for Answered {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.link.answered();
    }
}
