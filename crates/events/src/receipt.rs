//! The answers to appends.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio::sync::oneshot;

use crate::{AppendError, AppendOutcome, NewEvent};

/// An append that was not stored: why, and its events, to try again with.
///
/// Its [`source`](std::error::Error::source) is the [`AppendError`].
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// use zenovay_events::{AppendError, Event, EventKind, NewEvent, SessionId, Store, Timestamp, VisitorId, WebsiteId};
///
/// let store = Store::open(dir)?;
/// let (site, now) = (WebsiteId::from_random_bytes([7; 16]), Timestamp::from_millis(1_781_308_800_000));
/// let of = |visitor| NewEvent::new(site, now, Event::new(EventKind::Pageview, now, VisitorId(visitor), SessionId(1)));
/// // A session of two visitors.
/// let refused = store.append(vec![of(1), of(2)]).wait().unwrap_err();
/// let AppendError::Sessions(faults) = refused.reason else { panic!("another reason") };
/// assert_eq!((faults[0].event, refused.events.len()), (1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub struct AppendRefused {
    /// Why.
    #[source]
    pub reason: AppendError,
    /// The events of the append as they came and in their order; empty when the store that had them is gone.
    pub events: Vec<NewEvent>,
}

/// Says how many events there are and not which: there may be thousands, and a program that ends with this error prints it.
impl fmt::Debug for AppendRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = format_args!("{}", self.reason);
        f.debug_struct("AppendRefused").field("reason", &reason).field("events", &self.events.len()).finish()
    }
}

impl AppendRefused {
    /// An append of `events` that was not stored because of `reason`.
    pub fn new(reason: AppendError, events: Vec<NewEvent>) -> Self {
        Self { reason, events }
    }
}

/// How many events come back, and what to do with them. Why is what [`AppendRefused::reason`] says.
impl fmt::Display for AppendRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.events.len() {
            0 => return f.write_str("events were not acknowledged: whether they are stored is known after a restart"),
            1 => f.write_str("1 event was not stored and comes back, to be appended again ")?,
            count => write!(f, "{count} events were not stored and come back, to be appended again ")?,
        }
        f.write_str(match &self.reason {
            AppendError::QueueFull | AppendError::Busy => "soon",
            AppendError::DiskFull => "when there is space",
            AppendError::Poisoned => "after a restart, when they are not stored then",
            AppendError::NotDelivered => "with a key alone: they are stored later",
            AppendError::ShuttingDown => "when the store is open again",
            AppendError::Sessions(_) => "when those that are wrong are put right or taken out",
            AppendError::NoCaptureSink => "to another store",
        })
    }
}

impl From<AppendRefused> for AppendError {
    fn from(refused: AppendRefused) -> Self {
        refused.reason
    }
}

/// The answer to an append, when it comes. Outcomes stand in the order of the events.
///
/// Await it in whatever runtime there is, or [`wait`](Self::wait) for it in a thread that may block. Dropping it does not
/// undo the append.
#[must_use = "events are stored when the receipt says so"]
#[derive(Debug)]
pub struct AppendReceipt(oneshot::Receiver<Result<Vec<AppendOutcome>, AppendRefused>>);

/// The other end of an [`AppendReceipt`], for who makes a store. Dropped without an answer it says
/// [`AppendError::Poisoned`].
#[must_use = "who waits for the receipt wants an answer"]
#[derive(Debug)]
pub struct Acknowledge(oneshot::Sender<Result<Vec<AppendOutcome>, AppendRefused>>);

impl Acknowledge {
    /// The append is stored, with an outcome for each event.
    pub fn stored(self, outcomes: Vec<AppendOutcome>) {
        // Who waited may be gone.
        let _ = self.0.send(Ok(outcomes));
    }

    /// The append is not stored.
    pub fn refuse(self, refused: AppendRefused) {
        let _ = self.0.send(Err(refused));
    }
}

impl AppendReceipt {
    /// A receipt, and what answers it.
    pub fn channel() -> (Acknowledge, Self) {
        let (sender, receiver) = oneshot::channel();
        (Acknowledge(sender), Self(receiver))
    }

    /// A receipt that is answered already.
    pub fn answered(answer: Result<Vec<AppendOutcome>, AppendRefused>) -> Self {
        let (acknowledge, receipt) = Self::channel();
        let _ = acknowledge.0.send(answer);
        receipt
    }

    /// Waits for the answer. Blocks the thread: in async code await the receipt instead.
    ///
    /// # Errors
    /// As when it is awaited: when the events are not stored.
    pub fn wait(self) -> Result<Vec<AppendOutcome>, AppendRefused> {
        wait(self)
    }

    /// The answer when it is there already, or else the receipt again. Does not block.
    ///
    /// # Errors
    /// The receipt, when there is no answer yet.
    pub fn try_wait(mut self) -> Result<Result<Vec<AppendOutcome>, AppendRefused>, Self> {
        match Pin::new(&mut self).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Ok(answer),
            Poll::Pending => Err(self),
        }
    }
}

impl Future for AppendReceipt {
    type Output = Result<Vec<AppendOutcome>, AppendRefused>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| {
            // The thread that had the events is gone: they may be stored.
            answer.unwrap_or_else(|_gone| Err(AppendRefused::new(AppendError::Poisoned, Vec::new())))
        })
    }
}

/// An append on its way, see [`crate::EventStore::append`]: it waits until there is room in the queue, and then until the
/// events are durable. Await it in whatever runtime there is, or [`wait`](Self::wait) for it in a thread that may block.
///
/// Nothing happens before it is polled. Dropped while it waits for room, its events are dropped with it; dropped later, they
/// are stored nevertheless.
#[must_use = "nothing is appended before it is awaited"]
pub struct Append<'a>(Pin<Box<dyn Future<Output = Result<Vec<AppendOutcome>, AppendRefused>> + Send + 'a>>);

impl<'a> Append<'a> {
    /// What `future` does: for who makes a store.
    pub fn new(future: impl Future<Output = Result<Vec<AppendOutcome>, AppendRefused>> + Send + 'a) -> Self {
        Self(Box::pin(future))
    }

    /// Waits until the events are stored. Blocks the thread: in async code await the append instead.
    ///
    /// # Errors
    /// As when it is awaited: when the events are not stored.
    pub fn wait(self) -> Result<Vec<AppendOutcome>, AppendRefused> {
        wait(self)
    }
}

impl Future for Append<'_> {
    type Output = Result<Vec<AppendOutcome>, AppendRefused>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Append<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Append").finish_non_exhaustive()
    }
}

/// Runs `future` on this thread. It waits for something that other threads do, so that no runtime is needed, and unlike a
/// runtime's own way to block it does not panic where there is one.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_waited_for_where_a_runtime_runs() {
        let (acknowledge, receipt) = AppendReceipt::channel();
        let answerer = thread::spawn(move || acknowledge.stored(vec![AppendOutcome::Stored]));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { receipt.wait() }), Ok(vec![AppendOutcome::Stored]));
        answerer.join().unwrap();
    }

    #[test]
    fn a_receipt_that_nobody_answers_says_so() {
        let (acknowledge, receipt) = AppendReceipt::channel();
        let receipt = receipt.try_wait().unwrap_err();
        drop(acknowledge);
        let refused = receipt.try_wait().unwrap().unwrap_err();
        assert_eq!(refused, AppendRefused::new(AppendError::Poisoned, Vec::new()));
        let source = std::error::Error::source(&refused).unwrap();
        assert_eq!(source.downcast_ref(), Some(&AppendError::Poisoned));
        assert_eq!(
            refused.to_string(),
            "events were not acknowledged: whether they are stored is known after a restart"
        );
    }
}
