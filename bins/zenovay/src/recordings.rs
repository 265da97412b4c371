//! What is done with recordings beside answering, on a thread of its own, for a bucket may be slow: those that are over become one
//! object, and what is doomed is deleted.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use zenovay_capture::{CaptureError, Captures};
use zenovay_domain::Clock;

/// How often recordings are looked for that are over.
const TICK: Duration = Duration::from_secs(10);
/// How long the end of the process waits for what is under way; whatever is cut short is done after the next start.
const PATIENCE: Duration = Duration::from_secs(2);

/// The thread behind it.
pub struct Recordings {
    stop: Sender<()>,
    ended: Receiver<()>,
}

impl Recordings {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub fn start(captures: Arc<Captures>, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let (ends, ended) = channel::<()>();
        let work = move || {
            let _ends = ends;
            let mut is_well = true;
            loop {
                let done = settle(&captures, &*clock);
                match &done {
                    Err(error) if is_well => {
                        tracing::warn!(%error, "recordings cannot be put where they are kept, or deleted there; tried again");
                    }
                    Ok(()) if !is_well => tracing::info!("recordings are put where they are kept again"),
                    _ => {}
                }
                is_well = done.is_ok();
                if stopped.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("recordings".to_owned()).spawn(work)?;
        Ok(Self { stop, ended })
    }

    /// Ends the thread.
    pub fn stop(self) {
        drop(self.stop);
        if self.ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            tracing::info!("a recording is left as it is: it is put where it belongs after the next start");
        }
    }
}

fn settle(captures: &Captures, clock: &dyn Clock) -> Result<(), CaptureError> {
    let merged = captures.merge_replays(clock.now());
    metrics::gauge!("zenovay_replay_waiting_bytes").set(captures.waiting_replay_bytes()? as f64);
    metrics::counter!("zenovay_replays_merged_total").increment(merged?);
    let reading = clock.reading();
    if reading.trusted {
        let objects = captures.remove_orphans_away(reading.now)?;
        if objects > 0 {
            tracing::info!(objects, "objects of recordings that nothing knows of are removed from the bucket");
        }
    }
    Ok(())
}
