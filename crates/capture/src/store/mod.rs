//! Captures at rest: `captures.db`, a SQLite database beside the log of events.
//!
//! A capture is durable in the log before anybody is told so. From there it is applied here by one thread, batch by batch, each
//! once: what is here remembers which batches of the log it has ([`zenovay_events::BatchName`]). Questions wait until all that was
//! taken is applied, so an answer has everything that was acknowledged before.
//!
//! | table | what |
//! |---|---|
//! | `vitals` | one row a page view |
//! | `heat_pages`, `heat_elements`, `heat_views`, `heat_blocks`, `heat_profiles`, `heat_cuts` | heatmaps, see [`heatmaps`] |
//! | `groups` | errors that are equal: status, counts, first and last occurrence |
//! | `variants` | the different messages and stacks of a group |
//! | `occurrences` | one row an error |
//! | `occurrence_blocks` | what is counted of errors, as columns: see [`packed`] |
//! | `group_visitors` | who met the errors of a group |
//! | `history` | what was decided about a group |
//! | `hidden` | what retention hides |
//! | `aliases` | fingerprints of groups that were merged into others |
//! | `source_maps` | maps of bundles, as they were sent |
//! | `replays` | recordings |
//! | `replay_chunks` | the chunks of a recording, with what is in them, and where they are ([`places`]) |
//! | `replay_objects` | the objects that chunks are in |
//! | `replay_views` | the pages of a recording |
//! | `doomed_blobs` | blobs that are to be deleted |
//! | `applied` | of each run of the log, the last batch that is here |

mod apply;
pub(crate) mod errors;
pub(crate) mod export;
pub(crate) mod heatmaps;
pub(crate) mod maps;
mod mark;
pub(crate) mod moments;
mod packed;
pub(crate) mod places;
pub(crate) mod replays;
mod schema;
mod together;
pub(crate) mod vitals;

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};
use zenovay_domain::{TimeRange, Timestamp, VisitorId, WebsiteId};
use zenovay_events::query::Cause;
use zenovay_events::{AppendError, BatchName, CaptureSink, ChangeError, Kept};

use self::places::Places;
use self::replays::ReplayLimits;
use crate::record::Unreadable;
use crate::replay::fields::FieldMemory;
use crate::{Blobs, CaptureError, FileBlobs};

/// The name of the file.
pub(crate) const FILE_NAME: &str = "captures.db";
/// What may wait to be applied, in bytes; beyond it captures are refused until there is room.
const PENDING_MAX_BYTES: usize = 32 << 20;
/// What one transaction applies, in batches.
const BATCHES_PER_STEP: usize = 256;
/// The pause before what a full disk refused is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a question waits for what was taken before it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections for reading that are kept.
const READERS: usize = 4;
/// The most that a question may hold in memory.
pub(crate) const QUESTION_MAX_BYTES: usize = 64 << 20;
/// For how many counted days what is hidden is kept, as events are.
const GRACE_DAYS: i64 = zenovay_events::RETENTION_GRACE_DAYS;
const DAY_MS: i64 = 24 * 3_600_000;

/// What can be chosen about captures.
#[derive(Debug, Clone)]
pub struct CaptureOptions {
    /// A bound on the database in pages of 8 KiB: beyond it the disk counts as full.
    pub pages_max: Option<u32>,
    /// Where chunks of recordings are kept; without it in files beside the database.
    pub blobs: Option<Arc<dyn Blobs>>,
    /// Where recordings are kept that are over; without it where their chunks are.
    pub bucket: Option<Arc<dyn Blobs>>,
    /// How many bytes of chunks may wait to be moved to `bucket`. Beyond it chunks are refused.
    pub waiting_max_bytes: u64,
    /// How much is kept of recordings.
    pub replays: ReplayLimits,
}

impl Default for CaptureOptions {
    /// Files beside the database, of which 1 GiB may wait for a bucket.
    fn default() -> Self {
        Self {
            pages_max: None,
            blobs: None,
            bucket: None,
            waiting_max_bytes: 1 << 30,
            replays: ReplayLimits::default(),
        }
    }
}

/// One row that a filter is asked about.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Row<'a> {
    /// The path of the page.
    pub path: &'a str,
    /// `desktop`, `mobile` or `tablet`; empty when it is not known.
    pub device: &'a str,
    /// The name of the browser.
    pub browser: &'a str,
    /// Its version.
    pub browser_version: &'a str,
    /// The name of the operating system.
    pub os: &'a str,
    /// The country.
    pub country: &'a str,
}

/// What counts: captures of a range of time for which `keep` says so, or all without it.
#[derive(Clone, Copy)]
pub struct Filter<'a> {
    /// From when to when.
    pub range: TimeRange,
    /// Whether a row counts; without it, each does.
    pub keep: Option<&'a dyn Fn(&Row<'_>) -> bool>,
}

impl Filter<'_> {
    /// Whether `row` counts when it is in the range.
    fn keeps(&self, row: &Row<'_>) -> bool {
        self.keep.is_none_or(|keep| keep(row))
    }
}

impl fmt::Debug for Filter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("range", &self.range).finish_non_exhaustive()
    }
}

/// The versions of everything that this program writes where captures are kept. Programs of which this differs do not write the
/// same.
pub fn formats() -> String {
    let (record, chunk) = (crate::record::VERSION, crate::replay::CHUNK_VERSION);
    format!("database {}, record {record}, chunk {chunk}, heatmap {}", schema::FORMAT, heatmaps::VERSION)
}

type Batch = (BatchName, Vec<(WebsiteId, Vec<u8>)>);

/// What the thread that applies and everybody else share.
struct Shared {
    path: PathBuf,
    /// The directory with the mark, where recordings are kept beside the database.
    marked: Option<PathBuf>,
    pending: Mutex<Pending>,
    changed: Condvar,
    /// The one connection that writes.
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    /// Source maps that were read lately.
    maps: Arc<Mutex<maps::Maps>>,
    /// Where recordings are.
    places: Places,
    /// Which fields of recorded pages may be shown.
    fields: FieldMemory,
    limits: ReplayLimits,
}

#[derive(Default)]
struct Pending {
    batches: VecDeque<Batch>,
    bytes: usize,
    /// How many batches were taken, and how many of these are applied.
    taken: u64,
    applied: u64,
    is_stopping: bool,
    /// Why the last try failed, when it did.
    hindrance: Option<CaptureError>,
}

/// Captures of all websites. One for each directory; all methods may be called from any thread, and block.
pub struct Captures {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Captures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Captures").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

impl Captures {
    /// Opens the captures in the directory `dir`, and makes an empty database when there is none.
    ///
    /// # Errors
    /// When the database cannot be opened, is damaged, or is of a later version; when recordings are there that it would not know,
    /// because it is missing, empty, an older copy, or of another store.
    pub fn open(dir: &Path) -> Result<Self, CaptureError> {
        Self::open_with(dir, CaptureOptions::default())
    }

    /// The same, with what is chosen about them.
    ///
    /// # Errors
    /// Those of [`Captures::open`].
    pub fn open_with(dir: &Path, options: CaptureOptions) -> Result<Self, CaptureError> {
        let CaptureOptions { pages_max, blobs, bucket, waiting_max_bytes, replays: limits } = options;
        let path = dir.join(FILE_NAME);
        let failed = |problem: String| CaptureError::Database { path: path.clone(), problem };
        // Recordings that are kept elsewhere are somebody else's matter.
        let is_marked = blobs.is_none();
        if is_marked {
            mark::refuse_what_knows_less(dir, &path)?;
        }
        schema::create_file(dir, &path).map_err(|error| failed(error.to_string()))?;
        let mut connection = Connection::open(&path).map_err(|error| failed(error.to_string()))?;
        schema::prepare(&mut connection, &path, pages_max)?;
        let shared = Arc::new(Shared {
            path: path.clone(),
            marked: is_marked.then(|| dir.to_owned()),
            pending: Mutex::default(),
            changed: Condvar::new(),
            writer: Mutex::new(connection),
            readers: Mutex::default(),
            maps: Arc::default(),
            places: Places::new(blobs.unwrap_or_else(|| Arc::new(FileBlobs::new(dir))), bucket, waiting_max_bytes),
            fields: FieldMemory::default(),
            limits,
        });
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name("captures".to_owned()).spawn(move || theirs.run());
        let thread = thread.map_err(|error| failed(error.to_string()))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Where recordings are kept beside the database, without those in a bucket.
    pub fn blobs(&self) -> &dyn Blobs {
        &*self.shared.places.here
    }

    /// While what this gives lives nothing of a recording is deleted or moved: who wants to waits.
    pub fn keep_blobs(&self) -> impl Sized + '_ {
        self.shared.places.alone.lock()
    }

    /// Lets the database grow to so many pages of 8 KiB.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn set_pages_max(&self, pages: u32) -> Result<(), CaptureError> {
        let writer = self.shared.writer.lock();
        writer
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .map_err(|error| self.shared.error(&error))
    }

    /// What SQLite's own check of the whole file finds; empty when all is well.
    ///
    /// # Errors
    /// When the database cannot be read at all.
    pub fn damages(&self) -> Result<Vec<String>, CaptureError> {
        self.read(|connection| {
            let mut statement = connection.prepare("PRAGMA integrity_check")?;
            let lines = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
            Ok(lines.into_iter().filter(|line| line != "ok").map(|line| format!("{FILE_NAME}: {line}")).collect())
        })
    }

    /// Hides what each of `kept` keeps no longer, and shows again what it keeps longer than before, as the store of events does.
    /// `now` is the time of a clock that is believed; without it nothing is hidden. Gives how many instants changed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn retain(&self, kept: &[Kept], now: Option<Timestamp>) -> Result<u64, CaptureError> {
        let Some(now) = now else { return Ok(0) };
        let date = now.as_millis().div_euclid(DAY_MS);
        let (is_new_day, due) = self.read(|connection| {
            let (_, is_new_day) = schema::counted_day(connection, date)?;
            let mut due = Vec::new();
            for Kept { website, since, .. } in kept {
                let before = since.map_or(i64::MIN, Timestamp::as_millis);
                let hidden = schema::hidden_before(connection, website.as_bytes())?;
                if hidden > before || apply::has_between(connection, website.as_bytes(), hidden, before)? {
                    due.push((*website, before));
                }
            }
            Ok((is_new_day, due))
        })?;
        if !is_new_day && due.is_empty() {
            return Ok(0);
        }
        self.write(|transaction| {
            let (day, _) = schema::counted_day(transaction, date)?;
            schema::count_day(transaction, date, day)?;
            let mut changed = 0;
            for (website, before) in &due {
                changed += schema::hide(transaction, website.as_bytes(), *before, day)?;
            }
            Ok(changed as u64)
        })
    }

    /// Removes what has been hidden for as many counted days as events are. Gives how many rows that were.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remove_hidden(&self) -> Result<u64, CaptureError> {
        let due = self.read(|connection| {
            let day = schema::last_day(connection)?;
            let mut statement =
                connection.prepare("SELECT website, max(before) FROM hidden WHERE day <= ?1 GROUP BY website")?;
            let rows = statement.query_map([day - GRACE_DAYS], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<Result<Vec<([u8; 16], i64)>, _>>()
        })?;
        let mut removed = 0;
        for (website, before) in due {
            let is_any = self.read(|connection| apply::has_between(connection, &website, i64::MIN, before))?;
            if is_any {
                removed += self.write(|transaction| {
                    // What was hidden before that is removed with it.
                    transaction
                        .execute("DELETE FROM hidden WHERE website = ?1 AND before < ?2", params![website, before])?;
                    apply::remove_before(transaction, &website, before)
                })?;
            }
        }
        if removed > 0 {
            self.remove_doomed_here()?;
            self.forget_deleted()?;
        }
        Ok(removed)
    }

    /// Removes everything of a visitor, also from the files. What was taken before is removed, too. Where nothing is of the
    /// visitor nothing is written. Gives how many rows that were.
    ///
    /// # Errors
    /// When it cannot be written. [`CaptureError::NotYetDeleted`]: it is in no answer any more, and the rest is tried again.
    pub fn erase_visitor(&self, website: WebsiteId, visitor: VisitorId) -> Result<u64, CaptureError> {
        self.catch_up()?;
        let removed =
            self.write(|transaction| apply::erase_visitor(transaction, website.as_bytes(), visitor.0.cast_signed()))?;
        self.settle_removed(removed)?;
        Ok(removed)
    }

    /// Removes everything of a website, also from the files. What is in a bucket is deleted by the next
    /// [`merge_replays`](Self::merge_replays).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn delete_website(&self, website: WebsiteId) -> Result<(), CaptureError> {
        self.catch_up()?;
        let removed = self.write(|transaction| apply::delete_website(transaction, website.as_bytes()))?;
        self.remove_doomed_here()?;
        if removed > 0 {
            self.forget_deleted()?;
        }
        Ok(())
    }

    /// Waits until all that was taken is applied.
    ///
    /// # Errors
    /// When it cannot be applied, or takes too long.
    pub fn catch_up(&self) -> Result<(), CaptureError> {
        let mut pending = self.shared.pending.lock();
        let goal = pending.taken;
        let until = Instant::now() + PATIENCE;
        while pending.applied < goal {
            if let Some(hindrance) = &pending.hindrance {
                return Err(hindrance.clone());
            }
            if self.shared.changed.wait_until(&mut pending, until).timed_out() {
                return Err(CaptureError::Behind);
            }
        }
        Ok(())
    }

    /// Reads with a connection that sees everything that is applied.
    pub(crate) fn read<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, CaptureError> {
        let kept = self.shared.readers.lock().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection =
                    Connection::open_with_flags(&self.shared.path, flags).map_err(|error| self.shared.error(&error))?;
                connection.busy_timeout(Duration::from_secs(5)).map_err(|error| self.shared.error(&error))?;
                connection.pragma_update(None, "cache_size", -2_048).map_err(|error| self.shared.error(&error))?;
                connection
            }
        };
        // One state of the database for all that is read.
        let answer = (|| question(&*connection.unchecked_transaction()?))();
        let answer = answer.map_err(|error: rusqlite::Error| self.shared.error(&error))?;
        let mut readers = self.shared.readers.lock();
        if readers.len() < READERS {
            readers.push(connection);
        }
        Ok(answer)
    }

    /// Changes the database in one transaction.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, CaptureError> {
        self.shared.write(|transaction| change(transaction).map_err(StepError::Sqlite))
    }

    /// Overwrites what was deleted in the file, and empties the log of the database, which may still have it.
    fn forget_deleted(&self) -> Result<(), CaptureError> {
        // Readers that are at work keep the log from being emptied: they are short.
        let until = Instant::now() + PATIENCE;
        loop {
            let writer = self.shared.writer.lock();
            let busy: i64 = writer
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
                .map_err(|error| self.shared.error(&error))?;
            drop(writer);
            if busy == 0 {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(CaptureError::Behind);
            }
            thread::yield_now();
        }
    }
}

/// What a step of the thread that applies ends with.
enum StepError {
    Sqlite(rusqlite::Error),
    Unreadable(Unreadable),
}

impl From<rusqlite::Error> for StepError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Shared {
    /// Errors of SQLite as ours.
    fn error(&self, error: &rusqlite::Error) -> CaptureError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => CaptureError::DiskFull,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => CaptureError::Behind,
            _ => CaptureError::Database { path: self.path.clone(), problem: error.to_string() },
        }
    }

    fn write<T>(
        &self,
        change: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T, StepError>,
    ) -> Result<T, CaptureError> {
        let mut writer = self.writer.lock();
        let done: Result<T, StepError> = (|| {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = change(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })();
        done.map_err(|error| match error {
            StepError::Sqlite(error) => self.error(&error),
            StepError::Unreadable(error) => CaptureError::Newer { path: self.path.clone(), what: error.to_string() },
        })
    }

    /// Applies what is taken until it is told to stop.
    fn run(&self) {
        // What a version before left undone is done when nothing waits.
        let mut is_left = true;
        loop {
            let mut pending = self.pending.lock();
            while pending.batches.is_empty() && !pending.is_stopping {
                if is_left {
                    drop(pending);
                    is_left = self.catch_up_on_blocks();
                    pending = self.pending.lock();
                } else {
                    self.changed.wait(&mut pending);
                }
            }
            if pending.batches.is_empty() {
                return;
            }
            let count = pending.batches.len().min(BATCHES_PER_STEP);
            // They stay where they are until they are applied: they are taken out of a lock that everybody needs.
            let batches: Vec<Batch> = pending.batches.drain(..count).collect();
            drop(pending);
            let applied = self.write(|transaction| {
                apply::apply(transaction, &batches, &mut self.maps.lock())?;
                Ok(replays::keep_within(self, transaction)?)
            });
            let mut pending = self.pending.lock();
            match applied {
                Ok(()) => {
                    pending.bytes -= batches.iter().map(bytes_of).sum::<usize>();
                    pending.applied += count as u64;
                    if pending.hindrance.take().is_some() {
                        tracing::info!("captures are stored again");
                    }
                    self.changed.notify_all();
                }
                Err(error) => {
                    for batch in batches.into_iter().rev() {
                        pending.batches.push_front(batch);
                    }
                    if pending.hindrance.is_none() {
                        tracing::warn!(%error, "captures cannot be stored: they are refused until they can");
                    }
                    pending.hindrance = Some(error);
                    self.changed.notify_all();
                    if pending.is_stopping {
                        // The log has them.
                        return;
                    }
                    self.pause(&mut pending);
                }
            }
        }
    }

    /// Puts some of what lies about into blocks. Tells whether there may be more.
    fn catch_up_on_blocks(&self) -> bool {
        let packed = self.write(|transaction| Ok(packed::pack_any(transaction)? || heatmaps::cut_any(transaction)?));
        packed.unwrap_or_else(|error| {
            // Answers are the same without blocks, and take longer.
            tracing::warn!(%error, "what a version before stored is not put into blocks until the next start");
            false
        })
    }

    fn pause(&self, pending: &mut MutexGuard<'_, Pending>) {
        let until = Instant::now() + PAUSE;
        while !pending.is_stopping && !self.changed.wait_until(pending, until).timed_out() {}
    }
}

fn bytes_of((_, captures): &Batch) -> usize {
    captures.iter().map(|(_, bytes)| bytes.len() + size_of::<(WebsiteId, Vec<u8>)>()).sum()
}

impl CaptureSink for Captures {
    fn room(&self) -> Result<(), AppendError> {
        let pending = self.shared.pending.lock();
        match &pending.hindrance {
            Some(CaptureError::DiskFull) => Err(AppendError::DiskFull),
            Some(CaptureError::Behind) => Err(AppendError::Busy),
            Some(_) => Err(AppendError::Poisoned),
            None if pending.bytes > PENDING_MAX_BYTES => Err(AppendError::QueueFull),
            None => Ok(()),
        }
    }

    fn take(&self, batch: BatchName, captures: Vec<(WebsiteId, Vec<u8>)>) {
        let batch = (batch, captures);
        let mut pending = self.shared.pending.lock();
        pending.bytes += bytes_of(&batch);
        pending.taken += 1;
        pending.batches.push_back(batch);
        drop(pending);
        self.shared.changed.notify_all();
    }

    fn sync(&self) -> Result<(), ChangeError> {
        let unavailable = |error: CaptureError| match error {
            CaptureError::DiskFull => ChangeError::DiskFull,
            error => ChangeError::Unavailable(Cause::new(error.to_string(), error)),
        };
        self.catch_up().map_err(unavailable)?;
        let writer = self.shared.writer.lock();
        // Copies the log of the database into it and syncs both; what readers hold up stays in the log, which is synced, too.
        let done = writer.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()));
        done.map_err(|error| unavailable(self.shared.error(&error)))
    }
}

impl Drop for Captures {
    fn drop(&mut self) {
        self.shared.pending.lock().is_stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of captures panicked");
        }
        // The last that closes a database empties its log into it, when it may write: then a copy of the file alone has everything.
        self.shared.readers.lock().clear();
    }
}
