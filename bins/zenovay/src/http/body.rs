//! Bodies, with a limit on their size and on the time they take to arrive.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use zenovay_capture::REPLAY_BODY_MAX_BYTES;
use zenovay_ingest::{Refusal, RefusalReason};

use super::connection::Link;

/// What the bodies of hits that arrive at the same time may take.
const HITS_BYTES: usize = 12 << 20;
/// What the bodies of recordings that arrive at the same time may take.
const REPLAYS_BYTES: usize = 32 << 20;
/// What recordings that are worked on at the same time may take, unpacked: as much as the longest one. What the one before
/// took may still be on its way back to the kernel.
const UNPACKED_REPLAYS_BYTES: usize = REPLAY_BODY_MAX_BYTES;
/// What one of them takes at least.
const UNPACKED_REPLAY_MIN_BYTES: usize = 64 * 1_024;
/// What the bodies of batches that arrive at the same time may take.
const BATCHES_BYTES: usize = 24 << 20;
/// So much of each body is not counted: nearly every hit is smaller, and is read however many large ones there are.
const UNCOUNTED_BYTES: usize = 4_096;
/// What the buffers of a longer one take beside its bytes while it arrives.
const BUFFERS_BYTES: usize = 16 * 1_024;
/// A longer batch is decoded and parsed when no other one is: what is made of it can be many times as long.
pub const LONG_BYTES: usize = 64 * 1024;

/// The memory for bodies that are in flight.
#[derive(Debug)]
pub struct Bodies {
    hits: Semaphore,
    replays: Semaphore,
    unpacked_replays: Arc<Semaphore>,
    batches: Arc<Semaphore>,
    long_batches: Arc<Semaphore>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self {
            hits: Semaphore::new(HITS_BYTES),
            replays: Semaphore::new(REPLAYS_BYTES),
            unpacked_replays: Arc::new(Semaphore::new(UNPACKED_REPLAYS_BYTES)),
            batches: Arc::new(Semaphore::new(BATCHES_BYTES)),
            long_batches: Arc::new(Semaphore::new(1)),
        }
    }
}

/// The bytes of a body, counted until this is dropped.
#[derive(Debug)]
pub struct Counted<P> {
    /// The body.
    pub bytes: Bytes,
    _permit: P,
}

fn overloaded() -> Refusal {
    Refusal::new(RefusalReason::Overloaded, "Too many requests are being read; try again soon")
}

impl Bodies {
    /// The body of a hit. It is read up to `max_bytes`, has to arrive `within` this time, and is counted as it comes.
    ///
    /// # Errors
    /// The refusals of bodies: too large, too slow, cut off, an encoding or type that is not taken; `Overloaded` when the
    /// bodies of all hits together are too long.
    pub async fn read_hit(
        &self,
        req: &HttpRequest,
        payload: Payload,
        max_bytes: usize,
        within: Duration,
    ) -> Result<Counted<Option<SemaphorePermit<'_>>>, Refusal> {
        Self::read_counted(&self.hits, req, payload, max_bytes, within).await
    }

    /// The body of a chunk of a recording, as of a hit; those of all recordings are counted by themselves.
    ///
    /// # Errors
    /// Those of `read_hit`.
    pub async fn read_replay(
        &self,
        req: &HttpRequest,
        payload: Payload,
        max_bytes: usize,
        within: Duration,
    ) -> Result<Counted<Option<SemaphorePermit<'_>>>, Refusal> {
        Self::read_counted(&self.replays, req, payload, max_bytes, within).await
    }

    /// Waits until there is room for a recording that has `bytes` when it is unpacked.
    ///
    /// # Errors
    /// `Overloaded` when there is none `within` a time.
    pub async fn unpacked_replay(&self, bytes: usize, within: Duration) -> Result<OwnedSemaphorePermit, Refusal> {
        let count = bytes.clamp(UNPACKED_REPLAY_MIN_BYTES, UNPACKED_REPLAYS_BYTES);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let turn = tokio::time::timeout(within, Arc::clone(&self.unpacked_replays).acquire_many_owned(count)).await;
        turn.map_err(|_elapsed| overloaded())?.map_err(|_closed| overloaded())
    }

    async fn read_counted<'s>(
        memory: &'s Semaphore,
        req: &HttpRequest,
        payload: Payload,
        max_bytes: usize,
        within: Duration,
    ) -> Result<Counted<Option<SemaphorePermit<'s>>>, Refusal> {
        let mut permit: Option<SemaphorePermit<'s>> = None;
        let mut uncounted = UNCOUNTED_BYTES;
        let count = |bytes: usize| {
            let counted = bytes.saturating_sub(uncounted);
            uncounted = uncounted.saturating_sub(bytes);
            if counted == 0 {
                return Ok(());
            }
            let buffers = if permit.is_none() { BUFFERS_BYTES } else { 0 };
            let count = u32::try_from(counted + buffers).unwrap_or(u32::MAX);
            let more = memory.try_acquire_many(count).map_err(|_full| overloaded())?;
            match &mut permit {
                Some(permit) => permit.merge(more),
                None => permit = Some(more),
            }
            Ok(())
        };
        let bytes = read(req, payload, max_bytes, within, count).await?;
        Ok(Counted { bytes, _permit: permit })
    }

    /// The body of a batch, as of a hit. It waits for its turn before anything is read.
    ///
    /// # Errors
    /// Those of `read_hit`; `Overloaded` when its turn does not come `within` the time that it has to arrive.
    pub async fn read_batch(
        &self,
        req: &HttpRequest,
        payload: Payload,
        max_bytes: usize,
        within: Duration,
    ) -> Result<Counted<OwnedSemaphorePermit>, Refusal> {
        let expected = announced(req.headers()).unwrap_or(max_bytes).min(max_bytes).min(BATCHES_BYTES);
        let count = u32::try_from(expected).unwrap_or(u32::MAX);
        let turn = tokio::time::timeout(within, Arc::clone(&self.batches).acquire_many_owned(count)).await;
        let permit = turn.map_err(|_elapsed| overloaded())?.map_err(|_closed| overloaded())?;
        let bytes = read(req, payload, max_bytes, within, |_| Ok(())).await?;
        Ok(Counted { bytes, _permit: permit })
    }

    /// Waits until no other long batch is in work.
    ///
    /// # Errors
    /// `Overloaded` when that does not happen `within` a time.
    pub async fn long_batch(&self, within: Duration) -> Result<OwnedSemaphorePermit, Refusal> {
        let turn = tokio::time::timeout(within, Arc::clone(&self.long_batches).acquire_owned()).await;
        turn.map_err(|_elapsed| overloaded())?.map_err(|_closed| overloaded())
    }
}

/// The length that a body is said to have.
fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok())
}

/// The bytes of a body as they came, at most `max_bytes` of them; no more is read or held. `count` is asked for the bytes of
/// each piece.
///
/// # Errors
/// `BodyTooLarge`, before anything is read when the client announces it; `BodyIncomplete` when the body is not complete
/// after `within`, or its connection breaks; `InvalidEncoding` when its chunks are not valid; and what `count` says.
async fn read(
    req: &HttpRequest,
    payload: Payload,
    max_bytes: usize,
    within: Duration,
    count: impl FnMut(usize) -> Result<(), Refusal>,
) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::new(RefusalReason::BodyTooLarge, format!("The body is larger than {max_bytes} bytes"));
    let announced = announced(req.headers());
    if announced.is_some_and(|bytes| bytes > max_bytes) {
        return Err(too_large());
    }
    // Of a length that nobody said, room for a long one has a price, though nothing is written to it.
    let expected = announced.unwrap_or(max_bytes.min(LONG_BYTES));
    let collected = tokio::time::timeout(within, collect(payload, expected, max_bytes, count));
    match collected.await {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => Err(too_large()),
        Ok(Err(Broken::Refused(refusal))) => Err(refusal),
        Ok(Err(Broken::Payload)) if req.conn_data::<Rc<Link>>().is_some_and(|link| link.is_malformed()) => {
            Err(Refusal::new(RefusalReason::InvalidEncoding, "The chunks of the body are not valid"))
        }
        Ok(Err(Broken::Payload)) => {
            Err(Refusal::new(RefusalReason::BodyIncomplete, "The body did not arrive completely"))
        }
        Err(_elapsed) => Err(Refusal::new(RefusalReason::BodyIncomplete, "The body took too long to arrive")),
    }
}

/// Why a body did not come.
enum Broken {
    Payload,
    Refused(Refusal),
}

impl From<actix_web::error::PayloadError> for Broken {
    fn from(_: actix_web::error::PayloadError) -> Self {
        Self::Payload
    }
}

/// The body, or `None` when it is longer than `max_bytes`. It has probably at most `expected` bytes.
async fn collect(
    mut payload: Payload,
    expected: usize,
    max_bytes: usize,
    mut count: impl FnMut(usize) -> Result<(), Refusal>,
) -> Result<Option<Bytes>, Broken> {
    // Most bodies arrive in one piece, which is handed on as it is.
    let first = match payload.next().await {
        None => return Ok(Some(Bytes::new())),
        Some(chunk) => chunk?,
    };
    count(first.len()).map_err(Broken::Refused)?;
    let Some(second) = payload.next().await else {
        return Ok((first.len() <= max_bytes).then_some(first));
    };
    // Once for all of it: growing by doubling leaves a trail of as much again. What is not written to takes no memory.
    let mut body = BytesMut::with_capacity(expected);
    body.extend_from_slice(&first);
    drop(first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        let chunk = chunk?;
        if body.len() + chunk.len() > max_bytes {
            return Ok(None);
        }
        count(chunk.len()).map_err(Broken::Refused)?;
        body.extend_from_slice(&chunk);
        next = payload.next().await;
    }
    Ok(Some(body.freeze()))
}

/// The one `Content-Encoding` of the body; several lines are none that anybody decodes.
pub fn encoding(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all(header::CONTENT_ENCODING);
    match (lines.next(), lines.next()) {
        (None, _) => None,
        (Some(one), None) => Some(one.to_str().unwrap_or("?")),
        (Some(_), Some(_)) => Some("several"),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::FromRequest;
    use actix_web::test::TestRequest;

    use super::*;

    const WITHIN: Duration = Duration::from_millis(20);

    async fn request(bytes: usize) -> (HttpRequest, Payload) {
        let request =
            TestRequest::default().insert_header((header::CONTENT_LENGTH, bytes)).set_payload(vec![b' '; bytes]);
        let (request, mut payload) = request.to_http_parts();
        let payload = Payload::from_request(&request, &mut payload).await.expect("a payload");
        (request, payload)
    }

    /// Sabotage: leave the counting of a hit out.
    #[actix_web::test]
    async fn hits_share_their_memory_and_small_ones_are_read_all_the_same() {
        let bodies = Bodies::default();
        let mut held = Vec::new();
        let refused = loop {
            let (headers, payload) = request(64 * 1024).await;
            match bodies.read_hit(&headers, payload, 64 * 1024, WITHIN).await {
                Ok(body) => held.push(body),
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused.reason, RefusalReason::Overloaded);
        assert_eq!(held.len(), HITS_BYTES / (60 * 1024 + BUFFERS_BYTES));
        let (headers, payload) = request(UNCOUNTED_BYTES).await;
        assert!(bodies.read_hit(&headers, payload, 64 * 1024, WITHIN).await.is_ok(), "a small one");
        held.clear();
        let (headers, payload) = request(64 * 1024).await;
        assert!(bodies.read_hit(&headers, payload, 64 * 1024, WITHIN).await.is_ok(), "it is given back");
    }

    /// Sabotage: read first and wait then.
    #[actix_web::test]
    async fn batches_wait_for_each_other_before_they_are_read() {
        let bodies = Bodies::default();
        let length = 4 << 20;
        let mut held = Vec::new();
        for _ in 0..BATCHES_BYTES / length {
            let (headers, payload) = request(length).await;
            held.push(bodies.read_batch(&headers, payload, length, WITHIN).await.expect("a body"));
        }
        let (headers, payload) = request(length).await;
        let refused = bodies.read_batch(&headers, payload, length, WITHIN).await.map(|body| body.bytes.len());
        assert_eq!(refused.map_err(|refusal| refusal.reason), Err(RefusalReason::Overloaded));
        let (headers, payload) = request(length).await;
        let waiting = bodies.read_batch(&headers, payload, length, Duration::from_secs(60));
        held.pop();
        assert_eq!(waiting.await.map(|body| body.bytes.len()).ok(), Some(length));
        // One that is longer than all may be together is read alone.
        held.clear();
        let (headers, payload) = request(BATCHES_BYTES + 1).await;
        assert!(bodies.read_batch(&headers, payload, 64 << 20, WITHIN).await.is_ok());
    }

    #[actix_web::test]
    async fn long_batches_are_worked_on_one_at_a_time() {
        let bodies = Bodies::default();
        let first = bodies.long_batch(WITHIN).await.expect("a turn");
        assert!(bodies.long_batch(WITHIN).await.is_err());
        drop(first);
        assert!(bodies.long_batch(WITHIN).await.is_ok());
    }
}
