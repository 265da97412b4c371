//! Requests that go on when whoever sent them is gone. A question is given up then; a change that has begun is made whole, with its
//! entry in the audit trail, which a client could keep out of it otherwise by hanging up in time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// Whether a request will be finished in any case. It stands among the extensions of requests that may change something.
#[derive(Debug, Clone, Default)]
pub(super) struct Commitment(Arc<AtomicBool>);

impl Commitment {
    /// Says so.
    pub(super) fn make(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_made(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// `work`, which goes on by itself when it is not waited for any more and the commitment was made.
pub(super) struct GoingOn<F: Future + 'static> {
    work: Option<Pin<Box<F>>>,
    commitment: Commitment,
}

impl<F: Future + 'static> GoingOn<F> {
    /// With a commitment that `work` can make.
    pub(super) fn new(work: F, commitment: Commitment) -> Self {
        Self { work: Some(Box::pin(work)), commitment }
    }
}

impl<F: Future + 'static> Future for GoingOn<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<F: Future + 'static> Drop for GoingOn<F> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take()
            && self.commitment.is_made()
        {
            actix_web::rt::spawn(async move {
                work.await;
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use futures_util::FutureExt;

    use super::*;

    /// Sabotage: drop the work, or go on without a commitment.
    #[actix_web::test]
    async fn work_goes_on_by_itself_when_it_is_committed() {
        for committed in [false, true] {
            let (done, commitment) = (Rc::new(Cell::new(false)), Commitment::default());
            let (end, made) = (Rc::clone(&done), commitment.clone());
            let mut work = GoingOn::new(
                async move {
                    if committed {
                        made.make();
                    }
                    actix_web::rt::task::yield_now().await;
                    end.set(true);
                },
                commitment,
            );
            assert_eq!((&mut work).now_or_never(), None);
            drop(work);
            for _ in 0..10 {
                actix_web::rt::task::yield_now().await;
            }
            assert_eq!(done.get(), committed);
        }
    }
}
