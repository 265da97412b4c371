//! What an embedded store can be told.

use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::faults::{FaultPoint, Faults};
use crate::{CaptureSink, OpenError};

/// The settings of an [`crate::EmbeddedStore`]. [`EmbeddedConfig::new`] gives the defaults, [`EmbeddedConfig::with`] changes
/// them.
///
/// ```
/// use zenovay_events::EmbeddedConfig;
///
/// let config = EmbeddedConfig::new("data").with(|config| config.cache_bytes = 64 << 20);
/// assert_eq!(config.cache_bytes, 64 << 20);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct EmbeddedConfig {
    /// The directory of the store: `events.db`, its write-ahead log and `segments/`. Made when missing, mode 0700. One
    /// process at a time can have it open.
    pub dir: PathBuf,
    /// How many bytes of decoded columns and dictionaries are kept between queries, over all websites. Default 160 MiB.
    /// A single query may hold more while it runs; [`crate::query::Budget`] limits that.
    pub cache_bytes: usize,
    /// A question that would have to load more rows than this into the cache is answered one row group at a time, totals
    /// without a filter from digests where they are enough: no column stays in memory. So is one for which its budget is too
    /// small otherwise. Default 1,048,576.
    pub scan_rows_max: usize,
    /// On so many threads at most a question is answered that is answered one row group at a time, while it may hold more memory than others:
    /// at least 1. Default as many as there are cores.
    pub query_threads: usize,
    /// There are so many rows for each of these threads, or it is one: at least 1. Default 1,048,576.
    pub query_thread_rows: usize,
    /// The most rows of a row group of a segment, 1 to 4,294,967,295. A website with an eighth of them has row groups of its own. Default
    /// 131,072.
    pub group_rows: usize,
    /// The most bytes that the different strings of a column take in a row group: it ends there, and memory for writing and
    /// reading it is bounded. At least 1. Default 4 MiB.
    pub group_bytes: usize,
    /// The head is sealed into a segment when it has this many rows, at least 1. Default 131,072, the largest row group.
    pub seal_rows: u64,
    /// The head is sealed when its rows and their strings take this many bytes, about; at least 1. Default 20 MiB.
    pub seal_bytes: u64,
    /// The head is sealed when its oldest row arrived this many milliseconds ago, at least 0. Default one hour.
    pub seal_age_ms: i64,
    /// Appends wait, or are refused with [`crate::AppendError::QueueFull`], while the head, with what is being sealed, has
    /// this many rows: the bound on memory when sealing cannot keep up or the disk is full. From `seal_rows` to 2,147,483,648.
    /// Default 524,288.
    pub head_rows_max: u64,
    /// The same bound in bytes, at least `seal_bytes`. Default 44 MiB.
    pub head_bytes_max: u64,
    /// Most events that may wait for the writer, at least 1; a single append may have more. Default 65,536.
    pub queue_rows: usize,
    /// Most bytes of events that may wait for the writer, at least 1; a single append may have more. Default 16 MiB.
    pub queue_bytes: usize,
    /// Most events that one commit takes from the queue, at least 1. Default 8,192, so that a receipt never waits long behind
    /// strangers.
    pub commit_rows: usize,
    /// Most bytes of events that one commit takes from the queue, unless one append alone has more; at least 1. Default 4 MiB.
    pub commit_bytes: usize,
    /// As many neighbouring segments of one size class are merged into one. At least 2; default 4.
    pub merge_fan_in: usize,
    /// Segments that together would have more rows than this are not merged; at most 2,147,483,648. Default 16,777,216.
    pub merge_rows_max: u64,
    /// Segments whose strings together would be longer than this many bytes, unpacked, are not merged. Default 1 GiB.
    pub merge_bytes_max: u64,
    /// The most different strings of one column of one website and UTC day: further ones are stored as `(other)`. They also
    /// are when those of a day have more than 256 bytes (properties: 640) for each that there may be. At least 1. Default 100,000.
    pub distinct_strings: usize,
    /// Idempotency keys are kept this many milliseconds after the arrival of their event, at least 0. Default 8 days.
    pub idempotency_ms: i64,
    /// Told about commits, seals and merges, for metrics. Default nobody.
    pub observer: Option<Arc<dyn Observer>>,
    /// Where captures go. Default nowhere: the store takes none, and does not open where there are some.
    pub captures: Option<Arc<dyn CaptureSink>>,
    /// Whether segments stay as they are but for erasures, so that somebody can take them one by one: none is merged, and what is hidden
    /// for long enough stays hidden. Default not.
    pub keeps_segments: bool,
    /// Asked at each [`FaultPoint`] whether to go on.
    pub(crate) faults: Option<Arc<dyn Faults>>,
}

impl EmbeddedConfig {
    /// The defaults, for a store in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            cache_bytes: 160 << 20,
            scan_rows_max: 1 << 20,
            query_threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            query_thread_rows: 1 << 20,
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
            captures: None,
            keeps_segments: false,
            faults: None,
        }
    }

    /// The same with what `change` does to it.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The same, which asks `faults` at each [`FaultPoint`] whether to go on: how tests simulate a failing disk and a dying
    /// process.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn with_faults(self, faults: Arc<dyn Faults>) -> Self {
        Self { faults: Some(faults), ..self }
    }

    /// Tells the observer. One that panics is no reason to stop storing events: what it missed it missed.
    pub(crate) fn tell(&self, what: impl FnOnce(&dyn Observer)) {
        let Some(observer) = &self.observer else { return };
        if catch_unwind(AssertUnwindSafe(|| what(&**observer))).is_err() {
            tracing::error!("the observer of the event store panicked: the store goes on");
        }
    }

    pub(crate) fn fault(&self, point: FaultPoint) -> std::io::Result<()> {
        self.faults.as_ref().map_or(Ok(()), |faults| faults.at(point))
    }

    /// # Errors
    /// When the store could not work with a value.
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let refuse = |field, problem: String| Err(OpenError::Config { field, problem });
        let counts = [
            ("query_threads", self.query_threads as u64),
            ("query_thread_rows", self.query_thread_rows as u64),
            ("group_rows", self.group_rows as u64),
            ("group_bytes", self.group_bytes as u64),
            ("seal_rows", self.seal_rows),
            ("seal_bytes", self.seal_bytes),
            ("queue_rows", self.queue_rows as u64),
            ("queue_bytes", self.queue_bytes as u64),
            ("commit_rows", self.commit_rows as u64),
            ("commit_bytes", self.commit_bytes as u64),
            ("distinct_strings", self.distinct_strings as u64),
        ];
        if let Some((field, _)) = counts.into_iter().find(|(_, value)| *value == 0) {
            return refuse(field, "must be at least 1".to_owned());
        }
        if self.merge_fan_in < 2 {
            return refuse("merge_fan_in", format!("must be at least 2, and is {}", self.merge_fan_in));
        }
        let times = [("seal_age_ms", self.seal_age_ms), ("idempotency_ms", self.idempotency_ms)];
        if let Some((field, value)) = times.into_iter().find(|(_, value)| *value < 0) {
            return refuse(field, format!("must not be negative, and is {value}"));
        }
        // Positions of rows have 32 bits, and one append may come on top.
        let rows = [
            ("group_rows", self.group_rows as u64, u64::from(u32::MAX)),
            ("head_rows_max", self.head_rows_max, ROWS_MAX),
            ("merge_rows_max", self.merge_rows_max, ROWS_MAX),
        ];
        if let Some((field, value, max)) = rows.into_iter().find(|(_, value, max)| value > max) {
            return refuse(field, format!("must be at most {max}, and is {value}"));
        }
        // Else appends would be refused before the head is sealed, for ever.
        let bounds = [
            ("head_rows_max", self.head_rows_max, "seal_rows", self.seal_rows),
            ("head_bytes_max", self.head_bytes_max, "seal_bytes", self.seal_bytes),
        ];
        if let Some((field, value, other, lowest)) = bounds.into_iter().find(|(_, value, _, lowest)| value < lowest) {
            return refuse(field, format!("must be at least {other}, which is {lowest}, and is {value}"));
        }
        Ok(())
    }
}

/// The most rows of a head and of a segment.
const ROWS_MAX: u64 = 1 << 31;

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

/// Told what the store's threads did. Called on those threads: must return at once. When it panics, that goes to the log, and
/// the store goes on.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use std::time::Duration;
/// use zenovay_events::{
///     EmbeddedConfig, Event, EventKind, NewEvent, Observer, SessionId, Store, SystemClock, Timestamp, VisitorId, WebsiteId,
/// };
///
/// #[derive(Default)]
/// struct Committed(AtomicUsize);
///
/// impl Observer for Committed {
///     fn committed(&self, events: usize, _time: Duration) {
///         self.0.fetch_add(events, Ordering::Relaxed);
///     }
/// }
///
/// let committed = Arc::new(Committed::default());
/// let observer: Arc<dyn Observer> = committed.clone();
/// let config = EmbeddedConfig::new(dir).with(|config| config.observer = Some(observer));
/// let store = Store::open_with(config, Arc::new(SystemClock))?;
/// let now = Timestamp::from_millis(1_781_308_800_000);
/// let event = Event::new(EventKind::Pageview, now, VisitorId(7), SessionId(1));
/// store.append(NewEvent::new(WebsiteId::from_random_bytes([7; 16]), now, event)).wait()?;
/// assert_eq!(committed.0.load(Ordering::Relaxed), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
