//! What the stream of a connection and the application tell each other.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

use super::Connections;

/// How much of an answer the HTTP library is given at once. It copies what it is given, and holds it until the client takes
/// it: the longest of the documents that everybody may read has more than a megabyte.
pub(super) const PIECE_BYTES: usize = 16 * 1_024;

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
        let size = body.size();
        let (rest, body) = match body.try_into_bytes() {
            Ok(bytes) if bytes.len() <= PIECE_BYTES => {
                self.answered();
                return BoxBody::new(bytes);
            }
            Ok(bytes) => (bytes, None),
            Err(body) => (Bytes::new(), Some(body)),
        };
        self.answer.set(Answer::Begun);
        BoxBody::new(Answered { size, rest, body, link: Rc::clone(self) })
    }

    /// The answer is made.
    pub fn answered(&self) {
        self.answer.set(Answer::Complete);
    }
}

/// A body that is handed on piece by piece, and says when it ends.
pub struct Answered {
    size: BodySize,
    /// What there is of it already.
    rest: Bytes,
    /// What makes the rest of it.
    body: Option<BoxBody>,
    link: Rc<Link>,
}

impl MessageBody for Answered {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let answered = self.get_mut();
        while answered.rest.is_empty() {
            let Some(body) = &mut answered.body else { return Poll::Ready(None) };
            match ready!(Pin::new(body).poll_next(cx)) {
                Some(Ok(bytes)) => answered.rest = bytes,
                end_or_error => return Poll::Ready(end_or_error),
            }
        }
        let piece = PIECE_BYTES.min(answered.rest.len());
        Poll::Ready(Some(Ok(answered.rest.split_to(piece))))
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.link.answered();
    }
}
