//! The write-ahead log and the catalog: one SQLite file, `events.db`.
//!
//! | table | what |
//! |---|---|
//! | `batches(seq, payload)` | one row per commit that is not sealed yet, see [`crate::codec`] |
//! | `idempotency(website, key, body, received_at)` | keys of stored events, with the digest of the event |
//! | `segments(id, meta)` | the registered segments, [`SegmentMeta`] in postcard after a version byte and an XXH3-64 |
//! | `retention(website, before, day, waits)` | what is hidden of a website and since when, see [`crate::retention`] |
//! | `meta(name, value)` | `format`, the version of all this; `sealed_seq`, up to where batches are in segments; `retention_days`, `retention_date` |
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
//! without writing them (SECURITY §5). So [`Log`] is consumed by the operation that fails and there is nothing left to append
//! to; and [`Log::open`] trusts no tail: before anything is served it copies every frame of the WAL into the database file
//! and syncs that (`wal_checkpoint(TRUNCATE)`; with the index in memory, opening always starts from an empty index, so
//! frames that an earlier checkpoint copied are written again). From then on nothing that is served depends on a page whose
//! fsync once failed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};
use xxhash_rust::xxh3::xxh3_64;
use zenovay_domain::{Event, Timestamp, WebsiteId};

use crate::retention::{Hidden, Ledger, LedgerChange};
use crate::segment::{SegmentMeta, SegmentMeta2};
use crate::{AppendError, AppendOutcome, NewEvent, codec};

/// The version of the format that this program reads and writes.
const FORMAT: i64 = 2;
/// Version 2 does not know how long dictionaries are when they are unpacked.
const SEGMENT_META_VERSION: u8 = 3;
/// The page of the database, which is what a commit writes of it at least.
const PAGE_BYTES: u64 = 8192;
/// A checkpoint is due after this much log, which is also how long the file of the log gets: longer, and commits would
/// wait for the file system to extend it. The checkpoint writes each page once, some milliseconds.
const CHECKPOINT_BYTES: u64 = 16 << 20;
/// An idempotency key that arrived later than this from now is dated anew.
const KEY_AHEAD_MS: i64 = 24 * 3_600_000;
/// Sealed batches that a commit removes beside its own work: more than it adds, so the rest shrinks.
const TRIM_BATCHES: u64 = 2;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another store of this one, has the directory open.
    #[error("the event store in {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// It was written by a newer version of this program.
    #[error("the event store in {} has format {found}, this version reads {FORMAT}", dir.display())]
    Newer {
        /// The directory.
        dir: PathBuf,
        /// The version of its format.
        found: i64,
    },
    /// Something in the log is not what was written. Nothing was changed.
    #[error("the event log in {} is damaged: {what}", dir.display())]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A file or directory could not be used.
    #[error("cannot use {}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Why an operation on the log failed.
pub(crate) enum Failed {
    /// Nothing was changed, and the log goes on.
    Refused(Log, AppendError),
    /// The log is closed until restart.
    Poisoned(PoisonedLog),
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
    path: PathBuf,
    next_seq: u64,
    sealed_seq: u64,
    /// The lowest sequence number that may still have a row.
    lowest_seq: u64,
    /// What commits wrote since the last checkpoint, about.
    unsaved_bytes: u64,
}

/// What [`Log::open`] found.
pub(crate) struct Opened {
    pub(crate) log: Log,
    pub(crate) segments: Vec<SegmentMeta>,
    pub(crate) ledger: Ledger,
}

/// A change of the catalog, made at once or not at all.
#[derive(Default)]
pub(crate) struct CatalogChange {
    pub(crate) add: Vec<SegmentMeta>,
    pub(crate) remove: Vec<u64>,
    /// Batches up to this one are in segments now.
    pub(crate) sealed_seq: Option<u64>,
    /// A website whose idempotency keys and entries in the ledger of retention go.
    pub(crate) forget: Option<WebsiteId>,
    /// What is hidden and since when.
    pub(crate) retention: Option<LedgerChange>,
}

type Done<T> = Result<(Log, T), Failed>;

impl Log {
    /// Opens the log in `dir`, makes it when there is none, and brings everything it will serve safely to disk.
    pub(crate) fn open(dir: &Path) -> Result<Opened, OpenError> {
        let io_at = |path: &Path| {
            let path = path.to_owned();
            move |error| OpenError::Io { path, error }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_at(dir))?;
        let path = dir.join("events.db");
        OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(io_at(&path))?;
        sync_dir(dir).map_err(io_at(dir))?;
        Self::open_file(&path).map_err(|error| match error {
            Unopened::Newer(found) => OpenError::Newer { dir: dir.to_owned(), found },
            Unopened::Damaged(what) => OpenError::Damaged { dir: dir.to_owned(), what },
            Unopened::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::InUse(dir.to_owned()),
                Some(
                    ErrorCode::CannotOpen
                    | ErrorCode::PermissionDenied
                    | ErrorCode::ReadOnly
                    | ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure,
                ) => OpenError::Io { path: path.clone(), error: io::Error::other(error) },
                _ => OpenError::Damaged { dir: dir.to_owned(), what: error.to_string() },
            },
        })
    }

    fn open_file(path: &Path) -> Result<Opened, Unopened> {
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
            return Err(Unopened::Damaged(format!("synchronous is {synchronous}, not FULL")));
        }
        pragma(&connection, "secure_delete", "ON", "1")?;
        pragma(&connection, "wal_autocheckpoint", "0", "0")?;
        connection.pragma_update(None, "cache_size", -4096)?;

        let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        transaction.execute_batch(
            "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS batches (seq INTEGER PRIMARY KEY, payload BLOB NOT NULL);
             CREATE TABLE IF NOT EXISTS segments (id INTEGER PRIMARY KEY, meta BLOB NOT NULL);
             CREATE TABLE IF NOT EXISTS idempotency (
                 website BLOB NOT NULL, key BLOB NOT NULL, body BLOB NOT NULL, received_at INTEGER NOT NULL,
                 PRIMARY KEY (website, key)
             ) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS retention (
                 website BLOB NOT NULL, before INTEGER NOT NULL, day INTEGER NOT NULL, waits INTEGER,
                 PRIMARY KEY (website, before)
             ) WITHOUT ROWID;",
        )?;
        let meta = |name| {
            transaction
                .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get::<_, i64>(0))
                .optional()
        };
        match meta("format")? {
            None => {
                transaction.execute("INSERT INTO meta VALUES ('format', ?1), ('sealed_seq', 0)", [FORMAT])?;
            }
            Some(FORMAT) => {}
            Some(found) if found > FORMAT => return Err(Unopened::Newer(found)),
            Some(found) => return Err(Unopened::Damaged(format!("unknown format {found}"))),
        }
        let sealed_seq = meta("sealed_seq")?.unwrap_or(0).cast_unsigned();
        let (lowest, highest): (Option<i64>, Option<i64>) =
            transaction
                .query_row("SELECT min(seq), max(seq) FROM batches", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let segments = read_segments(&transaction)?;
        let mut ledger = read_ledger(&transaction)?;
        ledger.days = meta("retention_days")?.unwrap_or(0);
        ledger.date = meta("retention_date")?;
        transaction.commit()?;
        checkpoint(&connection, "TRUNCATE")?;

        let last_seq = highest.unwrap_or(0).cast_unsigned().max(sealed_seq);
        let lowest_seq = lowest.map_or(last_seq + 1, i64::cast_unsigned);
        let log = Self {
            connection,
            path: path.to_owned(),
            next_seq: last_seq + 1,
            sealed_seq,
            lowest_seq,
            unsaved_bytes: 0,
        };
        Ok(Opened { log, segments, ledger })
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

    /// Hands every event that is in no segment to `take`, batch by batch in the order of commits.
    pub(crate) fn replay(&self, mut take: impl FnMut(&[(WebsiteId, Event)])) -> Result<(), OpenError> {
        let damaged = |what: String| OpenError::Damaged { dir: self.path.parent().unwrap_or(&self.path).into(), what };
        let sqlite = |error: rusqlite::Error| damaged(error.to_string());
        let mut statement =
            self.connection.prepare("SELECT seq, payload FROM batches WHERE seq > ?1 ORDER BY seq").map_err(sqlite)?;
        let mut rows = statement.query([self.sealed_seq.cast_signed()]).map_err(sqlite)?;
        while let Some(row) = rows.next().map_err(sqlite)? {
            let seq: i64 = row.get(0).map_err(sqlite)?;
            let payload = row.get_ref(1).map_err(sqlite)?.as_blob().map_err(|error| damaged(error.to_string()))?;
            take(&codec::decode(payload).map_err(|error| damaged(format!("batch {seq}: {error}")))?);
        }
        Ok(())
    }

    /// Commits `events` that are not repetitions, as one batch: durable when this returns. Each is changed by `fold` after
    /// it was found to be none. `fault` is asked just before the commit.
    pub(crate) fn commit(
        self,
        encoder: &mut codec::Encoder,
        events: &mut [&mut NewEvent],
        mut fold: impl FnMut(&mut NewEvent),
        fault: io::Result<()>,
    ) -> Done<Vec<AppendOutcome>> {
        let seq = self.next_seq;
        let trim = self.trim_range();
        let (mut log, (outcomes, bytes)) = self.write(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let outcomes = check_keys(&transaction, events)?;
            let mut stored: Vec<&NewEvent> = Vec::with_capacity(events.len());
            for (event, _) in events.iter_mut().zip(&outcomes).filter(|(_, o)| **o == AppendOutcome::Stored) {
                fold(event);
                stored.push(event);
            }
            let keys = stored.iter().filter(|new| new.idempotency_key.is_some()).count() as u64;
            let mut bytes = 0;
            if !stored.is_empty() {
                let payload = encoder.encode(stored.into_iter())?;
                // The pages of the row, one of the tree above, and leaves of keys.
                bytes = (payload.len() as u64).next_multiple_of(PAGE_BYTES) + PAGE_BYTES;
                bytes += PAGE_BYTES * keys;
                transaction.execute(
                    "INSERT INTO batches (seq, payload) VALUES (?1, ?2)",
                    params![seq.cast_signed(), payload],
                )?;
            }
            bytes += delete_batches(&transaction, trim)?;
            fault?;
            if bytes > 0 {
                transaction.commit()?;
            }
            Ok((outcomes, bytes))
        })?;
        log.unsaved_bytes += bytes;
        log.lowest_seq = trim.1 + 1;
        if outcomes.contains(&AppendOutcome::Stored) {
            log.next_seq += 1;
        }
        Ok((log, outcomes))
    }

    /// Makes `change` durable.
    pub(crate) fn register(self, change: &CatalogChange) -> Done<()> {
        let (mut log, ()) = self.write(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for id in &change.remove {
                transaction.execute("DELETE FROM segments WHERE id = ?1", [id.cast_signed()])?;
            }
            for segment in &change.add {
                transaction.execute(
                    "INSERT INTO segments (id, meta) VALUES (?1, ?2)",
                    params![segment.id.cast_signed(), encode_meta(segment)?],
                )?;
            }
            if let Some(seq) = change.sealed_seq {
                transaction.execute("UPDATE meta SET value = ?1 WHERE name = 'sealed_seq'", [seq.cast_signed()])?;
            }
            if let Some(website) = change.forget {
                transaction.execute("DELETE FROM idempotency WHERE website = ?1", [website.0.as_bytes()])?;
                transaction.execute("DELETE FROM retention WHERE website = ?1", [website.0.as_bytes()])?;
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

    /// Writes something that changes nothing, to find out whether the log can be written.
    pub(crate) fn probe(self) -> Done<()> {
        let change = CatalogChange { sealed_seq: Some(self.sealed_seq), ..CatalogChange::default() };
        self.register(&change)
    }

    fn trim_range(&self) -> (u64, u64) {
        (self.lowest_seq, self.sealed_seq.min(self.lowest_seq + TRIM_BATCHES - 1).max(self.lowest_seq - 1))
    }

    /// Removes some sealed batches. `true` when there are more.
    pub(crate) fn trim(self) -> Done<bool> {
        let trim = self.trim_range();
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
    ) -> Done<Option<KeyCursor>> {
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
    pub(crate) fn checkpoint_when_due(self) -> Done<()> {
        if self.unsaved_bytes < CHECKPOINT_BYTES {
            return Ok((self, ()));
        }
        let (mut log, ()) = self.write(|connection| checkpoint(connection, "PASSIVE"))?;
        log.unsaved_bytes = 0;
        Ok((log, ()))
    }

    /// Copies everything into the database file and empties the log file.
    pub(crate) fn checkpoint_all(self) -> Done<()> {
        let (mut log, ()) = self.write(|connection| checkpoint(connection, "TRUNCATE"))?;
        log.unsaved_bytes = 0;
        Ok((log, ()))
    }

    /// The one place where errors of SQLite become ours.
    fn write<T>(mut self, step: impl FnOnce(&mut Connection) -> Result<T, StepError>) -> Done<T> {
        let error = match step(&mut self.connection) {
            Ok(done) => return Ok((self, done)),
            Err(error) => error,
        };
        let fault = match &error {
            StepError::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => Some(AppendError::DiskFull),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Some(AppendError::Busy),
                _ => None,
            },
            StepError::Io(error) => match error.kind() {
                io::ErrorKind::StorageFull => Some(AppendError::DiskFull),
                io::ErrorKind::ResourceBusy => Some(AppendError::Busy),
                _ => None,
            },
        };
        match fault {
            // The dropped transaction was rolled back; if even that failed, nothing is certain any more.
            Some(fault) if self.connection.is_autocommit() => Err(Failed::Refused(self, fault)),
            _ => Err(Failed::Poisoned(PoisonedLog { _locked: self.connection, reason: error.to_string() })),
        }
    }
}

/// Website and key of a row of `idempotency`.
pub(crate) type KeyCursor = (Vec<u8>, Vec<u8>);

#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

enum Unopened {
    Newer(i64),
    Damaged(String),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Unopened {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StepError> for Unopened {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Sqlite(error) => Self::Sqlite(error),
            StepError::Io(error) => Self::Damaged(error.to_string()),
        }
    }
}

fn pragma(connection: &Connection, name: &str, value: &str, expected: &str) -> Result<(), Unopened> {
    let set = connection.pragma_update_and_check(None, name, value, |row| {
        Ok(match row.get_ref(0)? {
            rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            _ => row.get::<_, i64>(0)?.to_string(),
        })
    })?;
    if set == expected { Ok(()) } else { Err(Unopened::Damaged(format!("{name} is {set}, not {expected}"))) }
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

fn check_keys(connection: &Connection, events: &[&mut NewEvent]) -> Result<Vec<AppendOutcome>, rusqlite::Error> {
    if events.iter().all(|new| new.idempotency_key.is_none()) {
        return Ok(vec![AppendOutcome::Stored; events.len()]);
    }
    let mut insert = connection
        .prepare("INSERT OR IGNORE INTO idempotency (website, key, body, received_at) VALUES (?1, ?2, ?3, ?4)")?;
    let mut select = connection.prepare("SELECT body FROM idempotency WHERE website = ?1 AND key = ?2")?;
    events
        .iter()
        .map(|new| {
            let Some(key) = new.idempotency_key else { return Ok(AppendOutcome::Stored) };
            let website = new.website.0.as_bytes();
            let body = codec::body_hash(new);
            if insert.execute(params![website, key.0, body, new.received_at.as_millis()])? == 1 {
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

pub(crate) fn encode_meta(segment: &SegmentMeta) -> io::Result<Vec<u8>> {
    let body = postcard::to_stdvec(segment).map_err(io::Error::other)?;
    let mut blob = vec![SEGMENT_META_VERSION];
    blob.extend(xxh3_64(&body).to_le_bytes());
    blob.extend(body);
    Ok(blob)
}

pub(crate) fn decode_meta(blob: &[u8]) -> Option<SegmentMeta> {
    let (&version, rest) = blob.split_first()?;
    let (hash, body) = rest.split_first_chunk::<8>()?;
    if u64::from_le_bytes(*hash) != xxh3_64(body) {
        return None;
    }
    let meta: Option<SegmentMeta> = match version {
        2 => postcard::from_bytes::<SegmentMeta2>(body).ok().map(SegmentMeta::from),
        SEGMENT_META_VERSION => postcard::from_bytes(body).ok(),
        _ => None,
    };
    meta.filter(SegmentMeta::is_sound)
}

fn read_segments(connection: &Connection) -> Result<Vec<SegmentMeta>, Unopened> {
    let mut statement = connection.prepare("SELECT id, meta FROM segments ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut segments = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let blob: Vec<u8> = row.get(1)?;
        let meta = decode_meta(&blob).filter(|meta| meta.id == id.cast_unsigned());
        segments.push(meta.ok_or_else(|| Unopened::Damaged(format!("the catalog entry of segment {id:016x}")))?);
    }
    Ok(segments)
}

fn read_ledger(connection: &Connection) -> Result<Ledger, Unopened> {
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
        remove.execute([website.0.as_bytes()])?;
        for Hidden { before, day, waits } in list {
            insert.execute(params![website.0.as_bytes(), before, day, waits])?;
        }
    }
    Ok(())
}

/// Makes names in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
