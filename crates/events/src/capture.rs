//! What pages capture beside events, such as errors: it shares the log with them, and goes to who knows what it is.

use zenovay_domain::WebsiteId;

use crate::{AppendError, ChangeError};

/// Names a batch of the log: no two batches of any two stores have the same name, but a copy's of before it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct BatchName {
    /// The run of the store that committed it.
    pub run: u64,
    /// Its number in the log.
    pub number: u64,
}

impl BatchName {
    /// The batch `number` of `run`.
    pub const fn new(run: u64, number: u64) -> Self {
        Self { run, number }
    }
}

/// Where captures go from the log.
///
/// A batch is handed over once it is durable, and again at each start until the store has been told that it is durable here:
/// so what is taken has to be remembered with the name of its batch, and each batch has to count once.
pub trait CaptureSink: Send + Sync {
    /// Whether more can be taken. Asked before captures are queued; does not block.
    ///
    /// # Errors
    /// Why not: those that are queued already are taken all the same.
    fn room(&self) -> Result<(), AppendError>;

    /// Takes what is durable in the log. Called on the thread that commits, so it does not wait for the disk.
    fn take(&self, batch: BatchName, captures: Vec<(WebsiteId, Vec<u8>)>);

    /// Makes everything durable that was taken; afterwards the log forgets it. Blocks.
    ///
    /// # Errors
    /// When it cannot be written: the log keeps it, and it is tried again.
    fn sync(&self) -> Result<(), ChangeError>;
}
