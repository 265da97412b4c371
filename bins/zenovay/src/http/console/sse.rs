//! Streams of events to browsers (`text/event-stream`).

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::BodyStream;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Bytes;
use futures_util::Stream;
use serde::Serialize;

use crate::http::document::{Answer, Operation};
use crate::http::handler::Shape;

/// The time after which a stream that has nothing to tell sends a comment, so that whoever is gone is noticed.
pub const PULSE: Duration = Duration::from_secs(15);

/// How long a browser waits before it connects again, milliseconds.
const RETRY_MS: u32 = 1_000;

/// Some events as they are sent.
#[derive(Debug, Default)]
pub struct Frames(String);

impl Frames {
    /// What a stream begins with.
    pub fn begin() -> Self {
        Self(format!("retry: {RETRY_MS}\n\n"))
    }

    /// Adds an event.
    pub fn event(&mut self, name: &str, data: &impl Serialize) {
        // JSON has no line breaks, and what is sent here can always be written.
        let data = serde_json::to_string(data).unwrap_or_default();
        self.0.push_str(&format!("event: {name}\ndata: {data}\n\n"));
    }

    /// Adds a comment.
    pub fn pulse(&mut self) {
        self.0.push_str(":\n\n");
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is sent.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from(self.0)
    }
}

/// The answer that is such a stream.
pub fn response(stream: impl Stream<Item = Result<Bytes, std::io::Error>> + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // For proxies that would collect it.
        .insert_header(("X-Accel-Buffering", "no"))
        .body(BodyStream::new(Box::pin(stream)))
}

/// What the API document says of a stream.
#[derive(Debug)]
pub struct EventStream;

impl Shape for EventStream {
    fn describe(operation: &mut Operation) {
        let answer = Answer::new("A stream of events, each with a name and JSON");
        operation.answer(200, answer.text("text/event-stream", "event: count\ndata: {\"visitors\":4}\n\n"));
    }
}
