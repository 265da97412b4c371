//! The write-ahead log and the catalog: one SQLite file, `events.db`.
//!
//! | table | what |
//! |---|---|
//! | `batches(seq, payload)` | one row per commit that is not sealed yet, with records of all kinds, see [`crate::codec`] |
//! | `idempotency(website, key, body, received_at)` | keys of stored events, with the digest of the event |
//! | `segments(id, meta)` | the registered segments, see `segment/entry.rs` |
//! | `retention(website, before, day, waits)` | what is hidden of a website and since when, see `ledger.rs` |
//! | `replaced(id, successor)` | segments whose files are to be removed, and which one has their rows |
//! | `erased(run, first, last)` | batches of the log whose rows are all removed from the segments |
//! | `runs(first_seq, run)` | which run committed which batches, see `segment/origin.rs` |
//! | `meta(name, value)` | `format`, the version of all this; `sealed_seq`, up to where batches are in segments; `store_id`, which segment files carry too; `next_segment`, the lowest id that no segment ever had; `retention_days`, `retention_date`; `probe`, while it is found out whether there is room |
//!
//! Batches up to `sealed_seq` count as deleted from the moment their segment is registered; their rows are removed a few
//! at a time by the commits that follow, so that no seal stalls ingest. `secure_delete` overwrites them.
//!
//! **Locking.** `locking_mode=EXCLUSIVE` before the first access in WAL mode: the WAL index lives in our memory, there is no
//! `-shm` file to be mapped, and no second process can open the log.
//!
//! **Checkpoints** are ours, not SQLite's: automatic ones run inside COMMIT, before the receipt, and their errors are
//! swallowed. Ours run after receipts were sent, every [`CHECKPOINT_BYTES`] of log, so each is short.
//!
//! **After a failed fsync** the kernel may hold pages that the disk does not, marked clean, and a second fsync succeeds
//! without writing them. So [`Log`] is consumed by the operation that fails and there is nothing left to append
//! to; and [`Log::open`] trusts no tail: before anything is served it copies every frame of the WAL into the database file
//! and syncs that (`wal_checkpoint(TRUNCATE)`; with the index in memory, opening always starts from an empty index, so
//! frames that an earlier checkpoint copied are written again). From then on nothing that is served depends on a page whose
//! fsync once failed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};
use zenovay_domain::{Timestamp, WebsiteId};

use crate::catalog::{Named, Replaced, refuse_link, segment_names, segments_dir, strangers, sync_dir};
use crate::codec::{self, BatchError, Record};
use crate::ledger::{Hidden, Ledger, LedgerChange};
use crate::segment::{Batches, EntryError, Origin, SegmentMeta, StoreId, decode_meta, encode_meta};
use crate::{AppendError, AppendOutcome, BatchName, IdempotencyKey, NewCapture, NewEvent, OpenError};

/// The version of the format that this program writes.
pub(crate) const FORMAT: i64 = 4;
/// The first version with ids, runs and notes of what was replaced.
const FORMAT_OF_RUNS: i64 = 3;
/// The oldest version that it reads. What it finds it upgrades when it serves.
const OLDEST_FORMAT: i64 = 2;
/// The name of the file.
pub(crate) const FILE_NAME: &str = "events.db";
/// The page of the database, which is what a commit writes of it at least.
pub(crate) const PAGE_BYTES: u64 = 8192;
/// The shortest page of SQLite.
const SQLITE_PAGE_BYTES_MIN: u64 = 512;
/// A checkpoint is due after this much log, which is also how long the file of the log gets: longer, and commits would
/// wait for the file system to extend it. The checkpoint writes each page once, some milliseconds.
const CHECKPOINT_BYTES: u64 = 16 << 20;
/// An idempotency key that arrived later than this from now is dated anew.
const KEY_AHEAD_MS: i64 = 24 * 3_600_000;
/// The log has room when so much can be written: more than the batch of a few hits takes, which does not fit where one page does.
const PROBE_BYTES: u64 = 64 << 10;
/// Sealed batches that a commit removes beside its own work: more than it adds, so the rest shrinks.
const TRIM_BATCHES: u64 = 2;

/// Whether there may be an SQLite database at `path`. A file that is shorter than the shortest page is a new database to SQLite, whatever
/// stands in it, and so is one that is missing or cannot be looked at.
pub fn has_database(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.len() >= SQLITE_PAGE_BYTES_MIN)
}

/// Why an operation on the log failed.
pub(crate) enum LogFailure {
    /// Nothing was changed, and the log goes on.
    Refused(Log, Hindrance),
    /// The log is closed until restart.
    Poisoned(PoisonedLog),
}

/// What keeps the log from being written for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hindrance {
    DiskFull,
    Busy,
}

impl From<Hindrance> for AppendError {
    fn from(hindrance: Hindrance) -> Self {
        match hindrance {
            Hindrance::DiskFull => Self::DiskFull,
            Hindrance::Busy => Self::Busy,
        }
    }
}

/// A log that failed. It can do nothing; while it exists the directory stays locked.
pub(crate) struct PoisonedLog {
    _locked: Connection,
    pub(crate) reason: String,
}

/// The open log. Every operation that writes takes it and gives it back when the log can go on: a failed log cannot be
/// appended to, because it is gone.
pub(crate) struct Log {
    connection: Connection,
    path: Box<Path>,
    next_seq: u64,
    sealed_seq: u64,
    /// The first batch of each run that committed some of those that are not sealed, ascending; the present run is last.
    runs: Box<[(u64, u64)]>,
    /// Whether the present run is in the file. It gets there with its first batch: nothing is written before, so that a full
    /// disk keeps no store from opening.
    is_run_noted: bool,
    /// The lowest sequence number that may still have a row.
    lowest_seq: u64,
    /// What commits wrote since the last checkpoint, about.
    unsaved_bytes: u64,
    /// Whether somebody copies the database file, which therefore stays as it is.
    is_held: bool,
}

/// What [`Log::open`] found.
pub(crate) struct Opened {
    pub(crate) log: Log,
    pub(crate) named: Named,
    /// The lowest id that no segment ever had.
    pub(crate) next_segment: u64,
    pub(crate) ledger: Ledger,
    /// The database file, for who copies it; of a log that serves. To be kept for as long as the log is open: the kernel lets go
    /// of the locks of a process on a file when it closes any handle of it.
    pub(crate) file: Option<File>,
}

/// Which batches are read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ReadFrom {
    /// Those after this one, the oldest first.
    After(u64),
    /// Those between two, the newest first.
    Before { before: u64, after: u64 },
}

/// What the log is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To serve: a new run begins. Refused when there are segment files that do not belong to it.
    Serve,
    /// To look: nothing is made, and what is in the tables stays as it is, also when they are of an older format.
    Look,
}

/// What a commit did.
pub(crate) struct Committed {
    /// The batch, when something is stored.
    pub(crate) batch: BatchName,
    /// Of each event.
    pub(crate) events: Vec<AppendOutcome>,
    /// Of each capture.
    pub(crate) captures: Vec<AppendOutcome>,
}

/// What is remembered of a record with an idempotency key.
struct Keyed {
    website: WebsiteId,
    key: Option<IdempotencyKey>,
    /// Tells records with one key apart.
    body: Vec<u8>,
    received_at: Timestamp,
}

/// A row of the table of idempotency keys.
pub(crate) struct KeyRow {
    pub(crate) website: [u8; 16],
    pub(crate) key: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) received_at: i64,
}

/// Stands for the digest of a capture: it comes again with other times, so it is believed to be the same.
const CAPTURE_BODY: u8 = 0;

/// A change of the catalog, made at once or not at all.
#[derive(Default)]
pub(crate) struct CatalogChange {
    pub(crate) add: Vec<SegmentMeta>,
    /// Noted as replaced by what is added.
    pub(crate) remove: Vec<u64>,
    /// Notes of replaced files that are gone.
    pub(crate) gone: Vec<u64>,
    /// Batches up to this one are in segments now.
    pub(crate) sealed_seq: Option<u64>,
    /// A website whose idempotency keys and entries in the ledger of retention go.
    pub(crate) forget: Option<WebsiteId>,
    /// The batches of what is removed, when nothing is added: a copy of such a file that turns up later must not bring
    /// back what was erased.
    pub(crate) erased: Option<Origin>,
    /// What is hidden and since when.
    pub(crate) retention: Option<LedgerChange>,
}

pub(crate) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS batches (seq INTEGER PRIMARY KEY, payload BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS runs (first_seq INTEGER PRIMARY KEY, run INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS segments (id INTEGER PRIMARY KEY, meta BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS replaced (id INTEGER PRIMARY KEY, successor INTEGER);
    CREATE TABLE IF NOT EXISTS erased (
        run INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (run, first)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS idempotency (
        website BLOB NOT NULL, key BLOB NOT NULL, body BLOB NOT NULL, received_at INTEGER NOT NULL,
        PRIMARY KEY (website, key)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS retention (
        website BLOB NOT NULL, before INTEGER NOT NULL, day INTEGER NOT NULL, waits INTEGER,
        PRIMARY KEY (website, before)
    ) WITHOUT ROWID;";
pub(crate) const RAISE_NEXT_SEGMENT: &str = "
    INSERT INTO meta VALUES ('next_segment', ?1) ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)";

type LogStep<T> = Result<(Log, T), LogFailure>;

impl Log {
    /// Opens the log in `dir` and brings everything it will serve safely to disk. To serve, a log is made when there is
    /// none and there are no segments either.
    pub(crate) fn open(dir: &Path, purpose: Purpose) -> Result<Opened, OpenError> {
        let io_at = |path: &Path| {
            let path = path.to_owned();
            move |error| OpenError::io(&path, error)
        };
        let path = dir.join(FILE_NAME);
        let tail = dir.join(format!("{FILE_NAME}-wal"));
        refuse_link(&path)?;
        refuse_link(&tail)?;
        // What a repair that was interrupted has made.
        let fresh = dir.join(format!("{FILE_NAME}.new"));
        let files = segment_names(&segments_dir(dir))?.len();
        let bytes = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        let is_something_beside = files > 0 || bytes(&tail) > 0 || bytes(&fresh) > 0;
        if !has_database(&path) && (is_something_beside || purpose == Purpose::Look) {
            return Err(OpenError::NoCatalog { dir: dir.to_owned(), files });
        }
        if purpose == Purpose::Serve {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_at(dir))?;
            OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(io_at(&path))?;
            sync_dir(dir).map_err(io_at(dir))?;
        }
        Self::open_file(dir, &path, purpose).map_err(|error| match error {
            OpenFailure::Refused(error) => error,
            OpenFailure::Newer(what) => OpenError::Newer { dir: dir.to_owned(), what },
            OpenFailure::Damaged(what) => OpenError::Damaged { dir: dir.to_owned(), what },
            OpenFailure::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::InUse(dir.to_owned()),
                Some(
                    ErrorCode::CannotOpen
                    | ErrorCode::PermissionDenied
                    | ErrorCode::ReadOnly
                    | ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure,
                ) => OpenError::io(&path, io::Error::other(error)),
                _ => OpenError::Damaged { dir: dir.to_owned(), what: error.to_string() },
            },
        })
    }

    fn open_file(dir: &Path, path: &Path, purpose: Purpose) -> Result<Opened, OpenFailure> {
        let file = match purpose {
            Purpose::Serve => Some(File::open(path).map_err(|error| OpenError::io(path, error))?),
            Purpose::Look => None,
        };
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::ZERO)?;
        // A checkpoint when the connection closes would touch a file that failed.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "page_size", PAGE_BYTES.cast_signed())?;
        pragma(&connection, "locking_mode", "EXCLUSIVE", "exclusive")?;
        pragma(&connection, "journal_mode", "WAL", "wal")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        if synchronous != 2 {
            return Err(OpenFailure::Damaged(format!("synchronous is {synchronous}, not FULL")));
        }
        pragma(&connection, "secure_delete", "ON", "1")?;
        pragma(&connection, "wal_autocheckpoint", "0", "0")?;
        connection.pragma_update(None, "cache_size", -4096)?;

        let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        let is_made = transaction.execute_batch(TABLES).and_then(|()| read_meta::<i64>(&transaction, "format"))?;
        match is_made {
            // An empty database, which may have been put in the place of the one that knows the files.
            None => {
                let files = segment_names(&segments_dir(dir))?.len();
                if files > 0 || purpose == Purpose::Look {
                    return Err(OpenError::NoCatalog { dir: dir.to_owned(), files }.into());
                }
                set_format(&transaction)?;
            }
            Some(FORMAT) => {}
            Some(found @ OLDEST_FORMAT..FORMAT) => {
                transaction.execute("UPDATE meta SET value = ?1 WHERE name = 'format'", [FORMAT])?;
                if found < FORMAT_OF_RUNS {
                    // Its batches had no run: they get one together.
                    note_run(&transaction, (1, draw_run(&transaction)?))?;
                }
            }
            Some(found) if found > FORMAT => {
                let what = format!("events.db has format {found}, this version reads {OLDEST_FORMAT} to {FORMAT}");
                return Err(OpenFailure::Newer(what));
            }
            Some(found) => return Err(OpenFailure::Damaged(format!("unknown format {found}"))),
        }
        // SQLite draws it: nothing depends on what it is, only on its being another one than that of any other store.
        transaction.execute("INSERT OR IGNORE INTO meta VALUES ('store_id', randomblob(16))", [])?;
        let store = read_meta(&transaction, "store_id")?.map(StoreId);
        let store = store.ok_or_else(|| OpenFailure::Damaged("the id of the store".to_owned()))?;
        let sealed_seq = read_meta::<i64>(&transaction, "sealed_seq")?.unwrap_or(0).cast_unsigned();
        let (lowest, highest): (Option<i64>, Option<i64>) =
            transaction
                .query_row("SELECT min(seq), max(seq) FROM batches", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let last_seq = highest.unwrap_or(0).cast_unsigned().max(sealed_seq);
        let runs = read_pairs(&transaction, "SELECT first_seq, run FROM runs ORDER BY first_seq")?;
        let mut runs: Vec<(u64, u64)> = runs.into_iter().map(|(first, run)| (first, run.unwrap_or(0))).collect();
        runs.retain(|(first, _)| *first <= last_seq);
        runs.push((last_seq + 1, draw_run(&transaction)?));
        let segments = read_segments(&transaction)?;
        let mut ledger = read_ledger(&transaction)?;
        ledger.days = read_meta(&transaction, "retention_days")?.unwrap_or(0);
        ledger.date = read_meta(&transaction, "retention_date")?;
        let replaced = read_pairs(&transaction, "SELECT id, successor FROM replaced ORDER BY id")?;
        let replaced: Vec<Replaced> = replaced.into_iter().map(|(id, by)| Replaced { id, by }).collect();
        let above = segments.iter().map(|segment| segment.id).chain(replaced.iter().map(|replaced| replaced.id)).max();
        let next_segment = read_meta::<i64>(&transaction, "next_segment")?.unwrap_or(1).cast_unsigned();
        let next_segment = next_segment.max(above.unwrap_or(0) + 1);
        let named = Named { store, segments, replaced };
        if purpose == Purpose::Serve {
            let files = strangers(&segments_dir(dir), &named)?;
            if !files.is_empty() {
                return Err(OpenError::Strangers { dir: dir.to_owned(), files }.into());
            }
            transaction.commit()?;
            checkpoint(&connection, "TRUNCATE")?;
        } else {
            // The end of the log stays in its own file, which may be that of another `events.db` than the one beside it.
            transaction.rollback()?;
        }

        let lowest_seq = lowest.map_or(last_seq + 1, i64::cast_unsigned);
        let log = Self {
            connection,
            path: path.into(),
            next_seq: last_seq + 1,
            sealed_seq,
            runs: runs.into(),
            is_run_noted: false,
            lowest_seq,
            unsaved_bytes: 0,
            is_held: false,
        };
        Ok(Opened { log, named, next_segment, ledger, file })
    }

    /// The directory of the store.
    fn dir(&self) -> PathBuf {
        self.path.parent().unwrap_or(&self.path).to_owned()
    }

    /// The batches after `after` up to `last`, with their runs.
    pub(crate) fn origin(&self, after: u64, last: u64) -> Origin {
        let ends = self.runs.iter().skip(1).map(|(first, _)| first - 1).chain([u64::MAX]);
        let ranges = self.runs.iter().zip(ends);
        Origin::new(ranges.map(|(&(first, run), end)| Batches {
            run,
            first: first.max(after + 1),
            last: end.min(last),
        }))
    }

    /// The name of the batch `seq`.
    pub(crate) fn name_of(&self, seq: u64) -> BatchName {
        let run = self.runs.iter().rev().find(|(first, _)| *first <= seq);
        BatchName::new(run.map_or(0, |(_, run)| *run), seq)
    }

    /// Up to which batch everything is in segments.
    pub(crate) fn sealed_seq(&self) -> u64 {
        self.sealed_seq
    }

    /// The sequence number of the last committed batch; 0 before the first.
    pub(crate) fn last_seq(&self) -> u64 {
        self.next_seq - 1
    }

    /// What SQLite's own check of the whole file finds; empty when all is well.
    pub(crate) fn integrity_faults(&self) -> Vec<String> {
        let lines = self.connection.prepare("PRAGMA integrity_check").and_then(|mut statement| {
            statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()
        });
        let lines = lines.unwrap_or_else(|error| vec![error.to_string()]);
        let faults = lines.into_iter().filter(|line| line != "ok");
        faults.map(|fault| format!("{}: {fault}", self.path.display())).collect()
    }

    /// Hands every record that is in no segment to `take`, in the order of commits.
    pub(crate) fn replay(&self, mut take: impl FnMut(BatchName, Record)) -> Result<(), OpenError> {
        let damaged = |what: String| OpenError::Damaged { dir: self.dir(), what };
        let sqlite = |error: rusqlite::Error| damaged(error.to_string());
        let mut statement =
            self.connection.prepare("SELECT seq, payload FROM batches WHERE seq > ?1 ORDER BY seq").map_err(sqlite)?;
        let mut rows = statement.query([self.sealed_seq.cast_signed()]).map_err(sqlite)?;
        while let Some(row) = rows.next().map_err(sqlite)? {
            let seq: i64 = row.get(0).map_err(sqlite)?;
            let payload = row.get_ref(1).map_err(sqlite)?.as_blob().map_err(|error| damaged(error.to_string()))?;
            let records = codec::decode(payload).map_err(|error| {
                let what = format!("batch {seq} of {FILE_NAME} {error}");
                match error {
                    BatchError::Damaged(_) | BatchError::DamagedVersion(_) => damaged(what),
                    BatchError::Newer(_) => OpenError::Newer { dir: self.dir(), what },
                }
            })?;
            let name = self.name_of(seq.cast_unsigned());
            records.into_iter().for_each(|record| take(name, record));
        }
        Ok(())
    }

    /// Commits `events` and `captures` that are not repetitions, as one batch: durable when this returns. Each event is changed
    /// by `fold`, which is told its number in `events`, after it was found to be none. `fault` is asked just before the commit.
    pub(crate) fn commit(
        self,
        encoder: &mut codec::Encoder,
        events: &mut [&mut NewEvent],
        captures: &[&NewCapture],
        mut fold: impl FnMut(usize, &mut NewEvent),
        fault: io::Result<()>,
    ) -> LogStep<Committed> {
        let (seq, sealed_seq) = (self.next_seq, self.sealed_seq);
        let new_run = self.runs.last().copied().filter(|_| !self.is_run_noted);
        let trim = self.trim_range(TRIM_BATCHES);
        let (mut log, (events, captures, bytes)) = self.write(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let keyed = |new: &NewEvent| Keyed {
                website: new.website,
                key: new.idempotency_key,
                body: codec::body_hash(new).to_vec(),
                received_at: new.received_at,
            };
            let outcomes =
                check_keys(&transaction, events.iter().map(|new| (new.idempotency_key.is_some(), &**new)), keyed)?;
            let keyed = |new: &NewCapture| Keyed {
                website: new.website,
                key: new.idempotency_key,
                body: vec![CAPTURE_BODY],
                received_at: new.received_at,
            };
            let captured =
                check_keys(&transaction, captures.iter().map(|new| (new.idempotency_key.is_some(), *new)), keyed)?;
            let mut stored: Vec<&NewEvent> = Vec::with_capacity(events.len());
            for (number, (event, outcome)) in events.iter_mut().zip(&outcomes).enumerate() {
                if *outcome == AppendOutcome::Stored {
                    fold(number, event);
                    stored.push(event);
                }
            }
            let fresh: Vec<&NewCapture> = (captures.iter().zip(&captured))
                .filter(|(_, outcome)| **outcome == AppendOutcome::Stored)
                .map(|(new, _)| *new)
                .collect();
            let keys = stored.iter().filter(|new| new.idempotency_key.is_some()).count()
                + fresh.iter().filter(|new| new.idempotency_key.is_some()).count();
            let keys = keys as u64;
            let mut bytes = 0;
            if !stored.is_empty() || !fresh.is_empty() {
                let payload = encoder.encode(stored.iter().copied(), fresh.into_iter())?;
                // The pages of the row, one of the tree above, and leaves of keys.
                bytes = (payload.len() as u64).next_multiple_of(PAGE_BYTES) + PAGE_BYTES;
                bytes += PAGE_BYTES * keys;
                transaction.execute(
                    "INSERT INTO batches (seq, payload) VALUES (?1, ?2)",
                    params![seq.cast_signed(), payload],
                )?;
                if let Some(run) = new_run {
                    note_run(&transaction, run)?;
                    forget_runs(&transaction, sealed_seq)?;
                    bytes += PAGE_BYTES;
                }
            }
            bytes += delete_batches(&transaction, trim)?;
            fault?;
            if bytes > 0 {
                transaction.commit()?;
            }
            Ok((outcomes, captured, bytes))
        })?;
        log.unsaved_bytes += bytes;
        log.lowest_seq = trim.1 + 1;
        if events.iter().chain(&captures).any(|outcome| *outcome == AppendOutcome::Stored) {
            log.next_seq += 1;
            log.is_run_noted = true;
        }
        let batch = log.name_of(seq);
        Ok((log, Committed { batch, events, captures }))
    }

    /// Makes `change` durable.
    pub(crate) fn register(self, change: &CatalogChange) -> LogStep<()> {
        let (mut log, ()) = self.write(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let successor = change.add.first().map(|segment| segment.id.cast_signed());
            for id in &change.remove {
                transaction.execute("DELETE FROM segments WHERE id = ?1", [id.cast_signed()])?;
                transaction.execute("INSERT INTO replaced VALUES (?1, ?2)", params![id.cast_signed(), successor])?;
            }
            for id in &change.gone {
                transaction.execute("DELETE FROM replaced WHERE id = ?1", [id.cast_signed()])?;
            }
            for segment in &change.add {
                let id = segment.id.cast_signed();
                transaction
                    .execute("INSERT INTO segments (id, meta) VALUES (?1, ?2)", params![id, encode_meta(segment)?])?;
                transaction.execute(RAISE_NEXT_SEGMENT, [id + 1])?;
            }
            if let Some(seq) = change.sealed_seq {
                transaction.execute("UPDATE meta SET value = ?1 WHERE name = 'sealed_seq'", [seq.cast_signed()])?;
            }
            if let Some(website) = change.forget {
                transaction.execute("DELETE FROM idempotency WHERE website = ?1", [website.as_bytes()])?;
                transaction.execute("DELETE FROM retention WHERE website = ?1", [website.as_bytes()])?;
            }
            if let Some(erased) = &change.erased {
                write_erased(&transaction, erased)?;
            }
            if let Some(retention) = &change.retention {
                write_ledger(&transaction, retention)?;
            }
            transaction.commit()?;
            Ok(())
        })?;
        log.sealed_seq = change.sealed_seq.unwrap_or(log.sealed_seq);
        Ok((log, ()))
    }

    /// Runs `step` in one transaction. `sealed` says up to where batches count as deleted from then on; they stay when it is `None`.
    pub(crate) fn change<T>(
        self,
        sealed: Option<u64>,
        step: impl FnOnce(&Connection) -> Result<T, StepError>,
    ) -> LogStep<T> {
        let (mut log, done) = self.write(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = step(&transaction)?;
            if let Some(seq) = sealed {
                transaction.execute("UPDATE meta SET value = ?1 WHERE name = 'sealed_seq'", [seq.cast_signed()])?;
            }
            transaction.commit()?;
            Ok(done)
        })?;
        log.unsaved_bytes += 2 * PAGE_BYTES;
        log.sealed_seq = sealed.unwrap_or(log.sealed_seq);
        Ok((log, done))
    }

    /// Hands payloads of batches that are not sealed to `take`, with their numbers, until it has enough: those after `after` in their
    /// order, or those before `before` from the last one on.
    pub(crate) fn read_batches(
        &self,
        from: ReadFrom,
        mut take: impl FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), rusqlite::Error> {
        let (select, after, before) = match from {
            ReadFrom::After(seq) => {
                ("SELECT seq, payload FROM batches WHERE seq > ?1 AND seq < ?2 ORDER BY seq", seq, i64::MAX as u64)
            }
            ReadFrom::Before { before, after } => {
                ("SELECT seq, payload FROM batches WHERE seq > ?1 AND seq < ?2 ORDER BY seq DESC", after, before)
            }
        };
        let mut statement = self.connection.prepare(select)?;
        let after = after.max(self.sealed_seq);
        let mut rows = statement.query([after.cast_signed(), before.cast_signed()])?;
        while let Some(row) = rows.next()? {
            let seq: i64 = row.get(0)?;
            let payload = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            if take(seq.cast_unsigned(), payload).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The bytes of the database file that are in use.
    pub(crate) fn used_bytes(&self) -> Result<u64, rusqlite::Error> {
        let number = |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let pages = number("page_count")? - number("freelist_count")?;
        Ok(pages.cast_unsigned() * number("page_size")?.cast_unsigned())
    }

    /// The first `count` idempotency keys after `after`, in the order of websites and keys.
    pub(crate) fn keys(&self, after: &KeyCursor, count: i64) -> Result<Vec<KeyRow>, rusqlite::Error> {
        let row = |row: &rusqlite::Row<'_>| {
            Ok(KeyRow { website: row.get(0)?, key: row.get(1)?, body: row.get(2)?, received_at: row.get(3)? })
        };
        self.connection
            .prepare(
                "SELECT website, key, body, received_at FROM idempotency WHERE (website, key) > (?1, ?2)
                 ORDER BY website, key LIMIT ?3",
            )?
            .query_map(params![after.0, after.1, count], row)?
            .collect()
    }

    /// Whether there are sealed batches that are not removed yet.
    pub(crate) fn has_sealed(&self) -> bool {
        self.lowest_seq <= self.sealed_seq
    }

    /// Forgets that files which are gone by now were replaced.
    pub(crate) fn forget_replaced(self, gone: Vec<u64>) -> Result<Self, OpenError> {
        if gone.is_empty() {
            return Ok(self);
        }
        let dir = self.dir();
        match self.register(&CatalogChange { gone, ..CatalogChange::default() }) {
            Ok((log, ())) => Ok(log),
            // There is no hurry.
            Err(LogFailure::Refused(log, _)) => Ok(log),
            Err(LogFailure::Poisoned(log)) => Err(OpenError::Damaged { dir, what: log.reason }),
        }
    }

    /// Whether there is room for [`probe`](Self::probe) where `file` is. Writes nothing; does not know of quotas.
    pub(crate) fn has_room(file: &File) -> bool {
        // Of a file system that cannot tell, the first commit does.
        rustix::fs::fstatvfs(file)
            .map_or(true, |found| found.f_bavail.saturating_mul(found.f_frsize) >= 2 * PROBE_BYTES)
    }

    /// Writes something that changes nothing, to find out whether the log can be written.
    pub(crate) fn probe(self) -> LogStep<()> {
        let (mut log, ()) = self.write(|connection| {
            let insert = "INSERT OR REPLACE INTO meta VALUES ('probe', zeroblob(?1))";
            connection.execute(insert, [PROBE_BYTES.cast_signed()])?;
            // Freed pages are overwritten, which takes as much again.
            connection.execute("DELETE FROM meta WHERE name = 'probe'", [])?;
            Ok(())
        })?;
        log.unsaved_bytes += 2 * PROBE_BYTES;
        Ok((log, ()))
    }

    fn trim_range(&self, batches: u64) -> (u64, u64) {
        (self.lowest_seq, self.sealed_seq.min(self.lowest_seq + batches - 1).max(self.lowest_seq - 1))
    }

    /// Removes some sealed batches. `true` when there are more.
    pub(crate) fn trim(self) -> LogStep<bool> {
        self.trim_some(TRIM_BATCHES)
    }

    /// Removes so many sealed batches. `true` when there are more.
    pub(crate) fn trim_some(self, batches: u64) -> LogStep<bool> {
        let trim = self.trim_range(batches);
        if trim.1 < trim.0 {
            return Ok((self, false));
        }
        let (mut log, bytes) = self.write(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let bytes = delete_batches(&transaction, trim)?;
            transaction.commit()?;
            Ok(bytes)
        })?;
        log.unsaved_bytes += bytes;
        log.lowest_seq = trim.1 + 1;
        let more = log.lowest_seq <= log.sealed_seq;
        Ok((log, more))
    }

    /// Removes, of the `count` idempotency keys after `after`, those of events that arrived more than `kept_ms` before
    /// `now`. Those that a clock which was wrong dated to days to come are kept as long from now. Gives the last key that was
    /// looked at, or `None` at the end.
    pub(crate) fn prune_keys(
        self,
        after: Option<KeyCursor>,
        now: Timestamp,
        kept_ms: i64,
        count: usize,
    ) -> LogStep<Option<KeyCursor>> {
        let (now_ms, before_ms) = (now.as_millis(), now.plus_millis(-kept_ms).as_millis());
        let latest_ms = now.plus_millis(KEY_AHEAD_MS).as_millis();
        let (website, key) = after.unwrap_or_default();
        self.write(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut last = None;
            let (mut old, mut early): (Vec<KeyCursor>, Vec<KeyCursor>) = (Vec::new(), Vec::new());
            {
                let mut statement = transaction.prepare(
                    "SELECT website, key, received_at FROM idempotency WHERE (website, key) > (?1, ?2)
                     ORDER BY website, key LIMIT ?3",
                )?;
                let mut rows = statement.query(params![website, key, count as i64])?;
                let mut seen = 0;
                while let Some(row) = rows.next()? {
                    let cursor: KeyCursor = (row.get(0)?, row.get(1)?);
                    let received_ms: i64 = row.get(2)?;
                    if received_ms < before_ms {
                        old.push(cursor.clone());
                    } else if received_ms > latest_ms {
                        early.push(cursor.clone());
                    }
                    seen += 1;
                    last = (seen == count).then_some(cursor);
                }
            }
            if old.is_empty() && early.is_empty() {
                return Ok(last);
            }
            for (website, key) in early {
                transaction.execute(
                    "UPDATE idempotency SET received_at = ?3 WHERE website = ?1 AND key = ?2",
                    params![website, key, now_ms],
                )?;
            }
            for (website, key) in old {
                transaction
                    .execute("DELETE FROM idempotency WHERE website = ?1 AND key = ?2", params![website, key])?;
            }
            transaction.commit()?;
            Ok(last)
        })
    }

    /// Copies what was committed into the database file, when enough has gathered.
    pub(crate) fn checkpoint_when_due(self) -> LogStep<()> {
        if self.is_held || self.unsaved_bytes < CHECKPOINT_BYTES { Ok((self, ())) } else { self.checkpoint("PASSIVE") }
    }

    /// Copies everything into the database file and empties the log file. A file that is held stays as it is: at the end of
    /// the process the log file has the rest.
    pub(crate) fn checkpoint_all(self) -> LogStep<()> {
        if self.is_held { Ok((self, ())) } else { self.checkpoint("TRUNCATE") }
    }

    /// Copies everything into the database file, which stays as it is then until [`release`](Self::release). The log file keeps its
    /// length: the commits that follow would wait for the file system to extend an empty one.
    pub(crate) fn hold(self) -> LogStep<()> {
        let (log, ()) = self.checkpoint("PASSIVE")?;
        Ok((Self { is_held: true, ..log }, ()))
    }

    fn checkpoint(self, mode: &str) -> LogStep<()> {
        let (mut log, ()) = self.write(|connection| checkpoint(connection, mode))?;
        log.unsaved_bytes = 0;
        Ok((log, ()))
    }

    /// Lets the database file change again.
    pub(crate) fn release(self) -> LogStep<()> {
        Ok((Self { is_held: false, ..self }, ()))
    }

    /// The one place where errors of SQLite become ours.
    fn write<T>(mut self, step: impl FnOnce(&mut Connection) -> Result<T, StepError>) -> LogStep<T> {
        let error = match step(&mut self.connection) {
            Ok(done) => return Ok((self, done)),
            Err(error) => error,
        };
        let fault = match &error {
            StepError::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => Some(Hindrance::DiskFull),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Some(Hindrance::Busy),
                _ => None,
            },
            StepError::Io(error) => match error.kind() {
                io::ErrorKind::StorageFull => Some(Hindrance::DiskFull),
                io::ErrorKind::ResourceBusy => Some(Hindrance::Busy),
                _ => None,
            },
        };
        match fault {
            // The dropped transaction was rolled back; if even that failed, nothing is certain any more.
            Some(fault) if self.connection.is_autocommit() => Err(LogFailure::Refused(self, fault)),
            _ => Err(LogFailure::Poisoned(PoisonedLog { _locked: self.connection, reason: error.to_string() })),
        }
    }
}

/// Website and key of a row of `idempotency`.
pub(crate) type KeyCursor = (Vec<u8>, Vec<u8>);

#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

enum OpenFailure {
    Refused(OpenError),
    Newer(String),
    Damaged(String),
    Sqlite(rusqlite::Error),
}

impl From<OpenError> for OpenFailure {
    fn from(error: OpenError) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for OpenFailure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StepError> for OpenFailure {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Sqlite(error) => Self::Sqlite(error),
            StepError::Io(error) => Self::Damaged(error.to_string()),
        }
    }
}

fn pragma(connection: &Connection, name: &str, value: &str, expected: &str) -> Result<(), OpenFailure> {
    let set = connection.pragma_update_and_check(None, name, value, |row| {
        Ok(match row.get_ref(0)? {
            rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            _ => row.get::<_, i64>(0)?.to_string(),
        })
    })?;
    if set == expected { Ok(()) } else { Err(OpenFailure::Damaged(format!("{name} is {set}, not {expected}"))) }
}

fn checkpoint(connection: &Connection, mode: &str) -> Result<(), StepError> {
    let (busy, log, copied): (i64, i64, i64) =
        connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    if busy != 0 || log != copied {
        return Err(io::Error::other(format!("checkpoint copied {copied} of {log} pages, busy {busy}")).into());
    }
    Ok(())
}

/// Finds out which of `records` were stored before, and remembers those that were not. Of each it is told whether it has a key.
fn check_keys<'a, T: 'a>(
    connection: &Connection,
    records: impl ExactSizeIterator<Item = (bool, &'a T)> + Clone,
    keyed: impl Fn(&T) -> Keyed,
) -> Result<Vec<AppendOutcome>, rusqlite::Error> {
    if records.clone().all(|(has_key, _)| !has_key) {
        return Ok(vec![AppendOutcome::Stored; records.len()]);
    }
    let mut insert = connection
        .prepare("INSERT OR IGNORE INTO idempotency (website, key, body, received_at) VALUES (?1, ?2, ?3, ?4)")?;
    let mut select = connection.prepare("SELECT body FROM idempotency WHERE website = ?1 AND key = ?2")?;
    records
        .map(|(has_key, new)| {
            if !has_key {
                return Ok(AppendOutcome::Stored);
            }
            let Keyed { website, key: Some(key), body, received_at } = keyed(new) else {
                return Ok(AppendOutcome::Stored);
            };
            let website = website.as_bytes();
            if insert.execute(params![website, key.0, body, received_at.as_millis()])? == 1 {
                return Ok(AppendOutcome::Stored);
            }
            let stored: Vec<u8> = select.query_row(params![website, key.0], |row| row.get(0))?;
            // Digests of another version cannot be compared: their keys are believed.
            let is_comparable = stored.first() == body.first() && stored.len() == body.len();
            Ok(if is_comparable && stored != body { AppendOutcome::KeyReused } else { AppendOutcome::Duplicate })
        })
        .collect()
}

/// Deletes the batches from `range.0` to `range.1`, both included, and tells how many bytes of log that takes, about.
fn delete_batches(connection: &Connection, range: (u64, u64)) -> Result<u64, rusqlite::Error> {
    if range.1 < range.0 {
        return Ok(0);
    }
    let deleted = connection
        .execute("DELETE FROM batches WHERE seq BETWEEN ?1 AND ?2", [range.0.cast_signed(), range.1.cast_signed()])?;
    Ok(PAGE_BYTES * deleted as u64)
}

/// Notes the present format in an empty log.
pub(crate) fn set_format(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute("INSERT INTO meta VALUES ('format', ?1), ('sealed_seq', 0)", [FORMAT]).map(drop)
}

fn read_meta<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> Result<Option<T>, rusqlite::Error> {
    connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()
}

/// Notes that batches from `first` on are of `run`.
pub(crate) fn note_run(connection: &Connection, (first, run): (u64, u64)) -> Result<(), rusqlite::Error> {
    connection.execute("INSERT OR REPLACE INTO runs VALUES (?1, ?2)", [first.cast_signed(), run.cast_signed()])?;
    Ok(())
}

/// Forgets the runs whose batches are all sealed.
fn forget_runs(connection: &Connection, sealed_seq: u64) -> Result<(), rusqlite::Error> {
    connection.execute(
        "DELETE FROM runs WHERE first_seq < (SELECT max(first_seq) FROM runs WHERE first_seq <= ?1)",
        [sealed_seq.cast_signed() + 1],
    )?;
    Ok(())
}

/// A number that no other run has. SQLite draws it, as it does the id of a store.
pub(crate) fn draw_run(connection: &Connection) -> Result<u64, rusqlite::Error> {
    connection.query_row("SELECT random() | 1", [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}

/// Rows of two numbers, of which the second may be absent.
fn read_pairs(connection: &Connection, select: &str) -> Result<Vec<(u64, Option<u64>)>, rusqlite::Error> {
    let pair = |row: &rusqlite::Row<'_>| -> Result<_, rusqlite::Error> {
        Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, Option<i64>>(1)?.map(i64::cast_unsigned)))
    };
    connection.prepare(select)?.query_map([], pair)?.collect()
}

fn read_segments(connection: &Connection) -> Result<Vec<SegmentMeta>, OpenFailure> {
    let mut statement = connection.prepare("SELECT id, meta FROM segments ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut segments = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let blob: Vec<u8> = row.get(1)?;
        match decode_meta(&blob) {
            Ok(meta) if meta.id == id.cast_unsigned() => segments.push(meta),
            Err(EntryError::Newer(what)) => return Err(OpenFailure::Newer(format!("segment {id:016x} {what}"))),
            Err(error) => return Err(OpenFailure::Damaged(format!("the catalog entry of segment {id:016x}: {error}"))),
            Ok(_) => return Err(OpenFailure::Damaged(format!("the catalog entry of segment {id:016x} is of another"))),
        }
    }
    Ok(segments)
}

/// The batches that are erased.
pub(crate) fn read_erased(connection: &Connection) -> Result<Origin, rusqlite::Error> {
    let batches = |row: &rusqlite::Row<'_>| -> Result<_, rusqlite::Error> {
        let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        Ok(Batches { run: number(0)?, first: number(1)?, last: number(2)? })
    };
    let mut statement = connection.prepare("SELECT run, first, last FROM erased")?;
    let ranges = statement.query_map([], batches)?.collect::<Result<Vec<_>, _>>()?;
    Ok(Origin::new(ranges))
}

/// Adds to the batches that are erased. Those that follow each other take one row.
fn write_erased(connection: &Connection, erased: &Origin) -> Result<(), rusqlite::Error> {
    let all = Origin::union([&read_erased(connection)?, erased]);
    connection.execute("DELETE FROM erased", [])?;
    let mut insert = connection.prepare("INSERT INTO erased VALUES (?1, ?2, ?3)")?;
    for Batches { run, first, last } in all.ranges() {
        insert.execute([run.cast_signed(), first.cast_signed(), last.cast_signed()])?;
    }
    Ok(())
}

fn read_ledger(connection: &Connection) -> Result<Ledger, OpenFailure> {
    let mut statement = connection.prepare("SELECT website, before, day, waits FROM retention ORDER BY 1, 2")?;
    let mut rows = statement.query([])?;
    let mut ledger = Ledger::default();
    while let Some(row) = rows.next()? {
        let website: [u8; 16] = row.get(0)?;
        let hidden = Hidden { before: row.get(1)?, day: row.get(2)?, waits: row.get(3)? };
        ledger.read(WebsiteId::from_random_bytes(website), hidden);
    }
    Ok(ledger)
}

fn write_ledger(connection: &Connection, change: &LedgerChange) -> Result<(), rusqlite::Error> {
    let mut meta = connection.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?;
    meta.execute(params!["retention_days", change.days])?;
    if let Some(date) = change.date {
        meta.execute(params!["retention_date", date])?;
    }
    let mut remove = connection.prepare("DELETE FROM retention WHERE website = ?1")?;
    let mut insert =
        connection.prepare("INSERT INTO retention (website, before, day, waits) VALUES (?1, ?2, ?3, ?4)")?;
    for (website, list) in &change.sites {
        remove.execute([website.as_bytes()])?;
        for Hidden { before, day, waits } in list {
            insert.execute(params![website.as_bytes(), before, day, waits])?;
        }
    }
    Ok(())
}
