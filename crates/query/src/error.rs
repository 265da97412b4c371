//! Why a query gave no answer.

/// Why a query gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The client went away.
    #[error("the query was cancelled")]
    Cancelled,
    /// It took longer than it may.
    #[error("the query exceeded its time budget")]
    TimeExceeded,
    /// It would need more memory than it may.
    #[error("the query exceeded its memory budget")]
    MemoryExceeded,
    /// It needs more memory now than it may hold beside another query; tried again later it has it.
    #[error("another query holds the memory that the query needs")]
    MemoryInUse,
    /// A file could not be read or is damaged; the string names it for the log, not for the caller.
    #[error("stored data could not be read: {0}")]
    Damaged(String),
    /// The engine that holds the events cannot be reached, or did not answer; the string says why for the log, not for the
    /// caller.
    #[error("the events cannot be asked for now: {0}")]
    Unavailable(String),
}
