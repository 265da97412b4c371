//! What an embedded store can be told.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The settings of an [`crate::EmbeddedStore`]. [`EmbeddedConfig::new`] gives the defaults.
#[derive(Clone)]
pub struct EmbeddedConfig {
    /// The directory of the store: `events.db`, its write-ahead log and `segments/`. Made when missing, mode 0700. One
    /// process at a time can have it open.
    pub dir: PathBuf,
    /// How many bytes of decoded columns and dictionaries are kept between queries, over all websites. Default 160 MiB.
    /// A single query may hold more while it runs; [`zenovay_query::Budget`] limits that.
    pub cache_bytes: usize,
    /// An overview or series that would have to load more rows than this into the cache is answered one row group at a time,
    /// without a filter from digests where they are enough: no column stays in memory. Default 1,048,576. Conditions on
    /// visitors are the exception, they load.
    pub scan_rows_max: usize,
    /// The most rows of a row group of a segment. A website with an eighth of them has row groups of its own. Default
    /// 131,072.
    pub group_rows: usize,
    /// The most bytes that the different strings of a column take in a row group: it ends there, and memory for writing and
    /// reading it is bounded. Default 4 MiB.
    pub group_bytes: usize,
    /// The head is sealed into a segment when it has this many rows. Default 131,072, the largest row group.
    pub seal_rows: u64,
    /// The head is sealed when its rows and their strings take this many bytes, about. Default 20 MiB.
    pub seal_bytes: u64,
    /// The head is sealed when its oldest row arrived this many milliseconds ago. Default one hour.
    pub seal_age_ms: i64,
    /// Appends are refused with [`crate::AppendError::QueueFull`] while the head, with what is being sealed, has this
    /// many rows: the bound on memory when sealing cannot keep up or the disk is full. Default 524,288.
    pub head_rows_max: u64,
    /// The same bound in bytes. Default 44 MiB.
    pub head_bytes_max: u64,
    /// Most events that may wait for the writer. Default 65,536.
    pub queue_rows: usize,
    /// Most bytes of events that may wait for the writer. Default 16 MiB.
    pub queue_bytes: usize,
    /// Most events that one commit takes from the queue. Default 8,192: about 10 ms of work, so that a receipt never waits
    /// long behind strangers.
    pub commit_rows: usize,
    /// Most bytes of events that one commit takes from the queue, unless one append alone has more. Default 4 MiB.
    pub commit_bytes: usize,
    /// As many neighbouring segments of one size class are merged into one. At least 2; default 4.
    pub merge_fan_in: usize,
    /// Segments that together would have more rows than this are not merged. Default 16,777,216.
    pub merge_rows_max: u64,
    /// Segments whose strings together would be longer than this many bytes, unpacked, are not merged. Default 1 GiB.
    pub merge_bytes_max: u64,
    /// The most different strings of one column of one website and UTC day: further ones are stored as `(other)`. They also
    /// are when those of a day have more than 256 bytes (properties: 640) for each that there may be. Default 100,000.
    pub distinct_strings: usize,
    /// Idempotency keys are kept this many milliseconds after the arrival of their event. Default 8 days.
    pub idempotency_ms: i64,
    /// Told about commits, seals and merges, for metrics. Default nobody.
    pub observer: Option<Arc<dyn Observer>>,
    /// Asked at each [`FaultPoint`] whether to go on: how tests simulate a failing disk and a dying process. Default
    /// nothing.
    pub faults: Option<Arc<dyn Faults>>,
}

impl EmbeddedConfig {
    /// The defaults, for a store in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            cache_bytes: 160 << 20,
            scan_rows_max: 1 << 20,
            group_rows: 131_072,
            group_bytes: 4 << 20,
            seal_rows: 131_072,
            seal_bytes: 20 << 20,
            seal_age_ms: 3_600_000,
            head_rows_max: 524_288,
            head_bytes_max: 44 << 20,
            queue_rows: 65_536,
            queue_bytes: 16 << 20,
            commit_rows: 8_192,
            commit_bytes: 4 << 20,
            merge_fan_in: 4,
            merge_rows_max: 16 << 20,
            merge_bytes_max: 1 << 30,
            distinct_strings: 100_000,
            idempotency_ms: 8 * 24 * 3_600_000,
            observer: None,
            faults: None,
        }
    }
}

impl fmt::Debug for EmbeddedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedConfig")
            .field("dir", &self.dir)
            .field("cache_bytes", &self.cache_bytes)
            .field("seal_rows", &self.seal_rows)
            .field("seal_age_ms", &self.seal_age_ms)
            .finish_non_exhaustive()
    }
}

/// Told what the store's threads did. Called on those threads: must return at once.
pub trait Observer: Send + Sync {
    /// A commit of `events` events was made durable and visible in `time`, receipts not included.
    fn committed(&self, events: usize, time: Duration) {
        let _ = (events, time);
    }

    /// A head of `rows` rows became a segment in `time`.
    fn sealed(&self, rows: u64, time: Duration) {
        let _ = (rows, time);
    }

    /// Segments of `rows` rows together became one in `time`.
    fn merged(&self, rows: u64, time: Duration) {
        let _ = (rows, time);
    }
}

/// A moment at which a disk can fail or a process can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

impl EmbeddedConfig {
    pub(crate) fn fault(&self, point: FaultPoint) -> std::io::Result<()> {
        self.faults.as_ref().map_or(Ok(()), |faults| faults.at(point))
    }
}
