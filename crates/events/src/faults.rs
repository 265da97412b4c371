//! Where tests let a disk fail and a process die.

#![cfg_attr(not(any(test, feature = "testing")), allow(unreachable_pub, reason = "only tests can give them"))]

/// A moment at which a disk can fail or a process can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultPoint {
    /// Before a batch of events is committed to the log.
    Commit,
    /// Before a segment file is written.
    SegmentWrite,
    /// After the segment file is complete and synced, before it is registered.
    SegmentRegister,
    /// Before the file of a segment is opened for reading.
    SegmentRead,
    /// After the segment is registered, before its file gets its name.
    SegmentRename,
    /// After the file has its name, before the files it replaces are removed.
    SegmentCleanup,
}

/// Decides at each [`FaultPoint`] whether the store goes on.
pub trait Faults: Send + Sync {
    /// `Err` makes the step fail there, with everything before it done.
    ///
    /// # Errors
    /// Whatever the test wants the store to meet.
    fn at(&self, point: FaultPoint) -> std::io::Result<()>;
}
