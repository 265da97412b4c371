//! Why a query gave no answer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use zenovay_domain::SessionFault;

/// See [`crate::Filter::DEPTH_MAX`].
pub(crate) const FILTER_DEPTH_MAX: usize = 50;

/// Why a query gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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
    /// Its filter is nested deeper than [`Filter::DEPTH_MAX`](crate::Filter::DEPTH_MAX).
    #[error("a filter has at most {FILTER_DEPTH_MAX} levels")]
    FilterTooDeep,
    /// The events are not those of sessions as every number takes them: see [`zenovay_domain::SessionId`].
    #[error("the events have a session that cannot be")]
    Session(#[source] SessionFault),
    /// A file could not be read or is damaged; the cause names it for the log, not for the caller.
    #[error("stored data could not be read")]
    Damaged(#[source] Cause),
    /// The engine that holds the events cannot be reached, or did not answer; the cause says why for the log, not for the
    /// caller.
    #[error("the events cannot be asked for now")]
    Unavailable(#[source] Cause),
}

impl QueryError {
    /// Stored data could not be read because of `cause`.
    pub fn damaged(cause: impl Into<Cause>) -> Self {
        Self::Damaged(cause.into())
    }

    /// The engine that holds the events gives no answer because of `cause`.
    pub fn unavailable(cause: impl Into<Cause>) -> Self {
        Self::Unavailable(cause.into())
    }
}

/// What lies behind an error: what there is to say about it, for the log, and the error it came from when there is one.
///
/// Two are equal when they say the same.
#[derive(Clone)]
pub struct Cause {
    what: Arc<str>,
    from: Option<Arc<dyn Error + Send + Sync>>,
}

impl Cause {
    /// A cause that says `what`, which holds what `from` says as far as it matters.
    pub fn new(what: impl Into<String>, from: impl Error + Send + Sync + 'static) -> Self {
        Self { what: what.into().into(), from: Some(Arc::new(from)) }
    }

    /// The error it came from.
    pub fn get_ref(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.from.as_deref()
    }
}

impl From<String> for Cause {
    fn from(what: String) -> Self {
        Self { what: what.into(), from: None }
    }
}

impl From<&str> for Cause {
    fn from(what: &str) -> Self {
        Self { what: what.into(), from: None }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.what, f)
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.what == other.what
    }
}

impl Eq for Cause {}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // What it says holds what the error says that it came from.
        self.from.as_deref().and_then(Error::source)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_chain_of_sources_says_everything_once() {
        let io = io::Error::new(io::ErrorKind::NotFound, "no such file");
        let error = QueryError::damaged(Cause::new(format!("segment 7: {io}"), io));
        let mut said = error.to_string();
        let mut next = error.source();
        while let Some(error) = next {
            said.push_str(&format!(": {error}"));
            next = error.source();
        }
        assert_eq!(said, "stored data could not be read: segment 7: no such file");
        let QueryError::Damaged(cause) = &error else { panic!("{error:?}") };
        assert_eq!(cause.get_ref().unwrap().downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::NotFound);
        assert_eq!(error, QueryError::damaged("segment 7: no such file"));
    }
}
