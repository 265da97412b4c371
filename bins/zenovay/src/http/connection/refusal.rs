//! What a client is told that sent no request.

use std::fmt::Write;
use std::time::Duration;

use actix_web::ResponseError;
use actix_web::body::MessageBody;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use zenovay_domain::ErrorCode;

use super::Connections;
use super::framing::{HEAD_MAX_BYTES, Refused};
use crate::http::envelope::ApiError;
use crate::http::errors::SOON_S;
use crate::http::request_id::RequestId;
use crate::http::response_layer;
use crate::telemetry::Ending;

/// How long a client that is refused may take to read that.
const FAREWELL: Duration = Duration::from_secs(1);

impl Refused {
    fn error(self) -> ApiError {
        match self {
            Self::Head(rule) => ApiError::new(ErrorCode::ValidationError, rule),
            Self::HeadTooLarge => {
                let message = format!("The head of the request has more than {HEAD_MAX_BYTES} bytes or 96 headers");
                ApiError::new(ErrorCode::HeadersTooLarge, message)
            }
            Self::HeadTooSlow => {
                ApiError::new(ErrorCode::RequestTimeout, "The head of the request took too long to arrive")
            }
            Self::Chunks => ApiError::new(ErrorCode::ValidationError, "The chunks of the body are not valid"),
            Self::TooManyConnections => {
                ApiError::new(ErrorCode::RateLimitExceeded, "Too many connections from this address")
                    .with_retry_after(SOON_S)
            }
        }
    }

    /// How it is counted.
    const fn ending(self) -> Ending {
        match self {
            Self::Head(_) => Ending::BadHead,
            Self::HeadTooLarge => Ending::HeadTooLarge,
            Self::HeadTooSlow => Ending::HeadTooSlow,
            Self::Chunks => Ending::BadChunks,
            Self::TooManyConnections => Ending::TooManyConnections,
        }
    }
}

impl Connections {
    /// The answer to a client that is refused, as it is sent, counted and logged. The connection ends with it.
    pub(super) fn refusal(&self, refused: Refused) -> Vec<u8> {
        let id = RequestId::random();
        let error = refused.error();
        let status = error.status_code();
        refused.ending().happened();
        tracing::info!(
            request_id = id.as_str(),
            status = status.as_u16(),
            reason = refused.ending().as_str(),
            rule = error.message(),
            "refused before it was a request"
        );
        let response = response_layer::refusal(&self.layer, &error, &id);
        let reason = status.canonical_reason().unwrap_or("");
        let mut head = format!("HTTP/1.1 {} {reason}\r\nconnection: close\r\n", status.as_u16());
        for (name, value) in response.headers() {
            // What we say ourselves is ASCII.
            let _infallible = write!(head, "{name}: {}\r\n", value.to_str().unwrap_or(""));
        }
        let body = response.into_body().try_into_bytes().unwrap_or_default();
        let _infallible = write!(head, "content-length: {}\r\n\r\n", body.len());
        let mut answer = head.into_bytes();
        answer.extend_from_slice(&body);
        answer
    }

    /// Tells a client that has too many connections, and closes this one.
    pub async fn turn_away(&self, mut io: TcpStream) {
        let answer = self.refusal(Refused::TooManyConnections);
        // The request is read first: closing while something is unread resets the connection, and the answer is lost.
        let mut request = [0; 1_024];
        let _whatever = timeout(FAREWELL, io.read(&mut request)).await;
        let farewell = async {
            let _gone = io.write_all(&answer).await;
            let _gone = io.shutdown().await;
        };
        let _in_time = timeout(FAREWELL, farewell).await;
    }
}
