//! How fast requests are taken that a client sent before it had the answers to those before.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

/// From one such request to the next, over all connections of a worker.
const PAUSE: Duration = Duration::from_millis(1);

/// The turn of a connection, for which it waits.
pub(super) type Turn = Pin<Box<dyn Future<Output = ()>>>;

/// Turns for requests that were sent ahead, shared by the connections of a worker. One packet holds dozens of them, so that
/// a client has them for almost nothing; taken as fast as they come, they would be all that a worker does. Who waits for
/// an answer before it asks again, as browsers, libraries and proxies do, never waits here.
#[derive(Debug, Clone)]
pub(super) struct Pace(Arc<Semaphore>);

impl Pace {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }

    /// The next turn that nobody waits for yet. Who drops it waits no more.
    pub(super) fn turn(&self) -> Turn {
        let turns = Arc::clone(&self.0);
        Box::pin(async move {
            // The semaphore is never closed. Its permits are given in the order in which they were asked for.
            if let Ok(permit) = turns.acquire_owned().await {
                actix_web::rt::spawn(async move {
                    sleep(PAUSE).await;
                    drop(permit);
                });
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Sabotage: give the permit back at once, or keep it for those who left.
    #[actix_web::test]
    async fn turns_come_one_by_one_in_the_order_in_which_they_were_asked_for() {
        let pace = Pace::new();
        pace.turn().await;
        let mut waiting: Vec<Turn> = (0..4).map(|_| pace.turn()).collect();
        for turn in &mut waiting {
            assert!(turn.now_or_never().is_none(), "it is too early");
        }
        drop(waiting.remove(1));
        while !waiting.is_empty() {
            waiting.remove(0).await;
            for turn in &mut waiting {
                assert!(turn.now_or_never().is_none(), "two at once, or in another order");
            }
        }
    }
}
