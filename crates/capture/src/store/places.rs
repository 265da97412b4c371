//! Where recordings are. A chunk is a blob of its own, here, from before it is acknowledged. When a recording has been quiet for
//! [`QUIET_MS`] its chunks become one object: here, or away (in a bucket) where one is configured. Chunks that come after that
//! are blobs of their own again, and become one object with it when it is quiet again.
//!
//! The index says for each chunk which object it is in and where it begins there, so that parts of it can be read. What is not needed
//! any more is noted in `doomed_blobs` in the transaction that makes it so, and forgotten when it is gone. To make one object of
//! chunks is these steps; after a crash, whatever was not done is begun anew or deleted:
//!
//! | step | what a crash after it leaves |
//! |---|---|
//! | the name of the object is noted as doomed | a name of nothing, which is forgotten |
//! | the object is written | an object that is doomed |
//! | in one transaction the chunks are in the object, it is doomed no more, and their own blobs are | blobs that are doomed |
//! | the blobs are deleted | names of nothing, which are forgotten |
//!
//! These steps, and the deletion of what is doomed, are done by one thread at a time ([`Places::alone`]): so nobody deletes an object
//! while it is written, and who erases a visitor waits for it. A blob that is in neither table, and was not written lately, is
//! one whose capture never came into the log: it is removed ([`Captures::remove_orphans`]).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};
use xxhash_rust::xxh3::xxh3_64;
use zenovay_domain::{Timestamp, WebsiteId};

use super::{Captures, DAY_MS, mark};
use crate::replay::unpack_chunk;
use crate::{BlobError, BlobName, Blobs, CaptureError, FoundBlob};

/// The first part of the names of all blobs.
pub(super) const BLOBS: &str = "replays";
/// How long nothing may come of a recording before its chunks become one object, in milliseconds.
const QUIET_MS: i64 = 10 * 60_000;
/// The most bytes of chunks that become one object: a recording with more becomes several.
const OBJECT_MAX_BYTES: u64 = 16 << 20;
/// How many recordings are looked up at a time.
const LOOKED_UP: i64 = 16;
/// How long a blob that nothing knows of is left alone: its capture may be on the way into the log.
const ORPHAN_MS: i64 = DAY_MS;
/// How many blobs are deleted before they are forgotten.
const SWEEP: i64 = 256;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS replay_objects (
        id INTEGER PRIMARY KEY AUTOINCREMENT, replay INTEGER NOT NULL, name TEXT NOT NULL, is_away INTEGER NOT NULL,
        bytes INTEGER NOT NULL, UNIQUE (name, is_away)
    );
    CREATE INDEX IF NOT EXISTS replay_objects_by_replay ON replay_objects (replay);
    CREATE INDEX IF NOT EXISTS replay_objects_here ON replay_objects (replay) WHERE is_away = 0;
    CREATE TABLE IF NOT EXISTS doomed_blobs (
        name TEXT NOT NULL, is_away INTEGER NOT NULL, PRIMARY KEY (name, is_away)
    ) WITHOUT ROWID;
    INSERT OR IGNORE INTO meta VALUES ('loose_bytes', 0), ('instance', random());";

type Sqlite<T> = Result<T, rusqlite::Error>;

/// The places where blobs of recordings are.
pub(super) struct Places {
    /// Chunks, and recordings without a bucket.
    pub(super) here: Arc<dyn Blobs>,
    /// The bucket, where one is configured.
    pub(super) away: Option<Arc<dyn Blobs>>,
    /// How many bytes of chunks may wait to be moved away.
    pub(super) waiting_max_bytes: u64,
    /// Whether there is something doomed here that nobody waits for.
    pub(super) is_doomed: AtomicBool,
    /// Held by who makes objects or deletes what is doomed.
    pub(super) alone: Mutex<()>,
    /// When it was looked last for what nothing knows of away, in milliseconds.
    looked_away_ms: AtomicI64,
}

impl Places {
    pub(super) fn new(here: Arc<dyn Blobs>, away: Option<Arc<dyn Blobs>>, waiting_max_bytes: u64) -> Self {
        Self {
            here,
            away,
            waiting_max_bytes,
            // What was not deleted before the end of the last process.
            is_doomed: AtomicBool::new(true),
            alone: Mutex::default(),
            looked_away_ms: AtomicI64::new(i64::MIN),
        }
    }

    /// Whether no more may wait to be moved away, when `waiting` bytes do.
    pub(super) fn is_full(&self, waiting: u64) -> bool {
        self.away.is_some() && waiting >= self.waiting_max_bytes
    }

    fn at(&self, is_away: bool) -> Result<&dyn Blobs, BlobError> {
        if !is_away {
            return Ok(&*self.here);
        }
        self.away.as_deref().ok_or_else(|| BlobError::Unavailable {
            name: BLOBS.to_owned(),
            problem: "it is in a bucket, and none is configured".to_owned(),
        })
    }
}

/// Brings tables of an earlier format up: those of recordings, which may not be there at all.
pub(super) fn bring_up(transaction: &Transaction<'_>) -> Sqlite<()> {
    let is_any = |select: &str| transaction.query_row(select, [], |row| row.get::<_, bool>(0));
    let is_old = is_any(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'replays')
            AND NOT EXISTS (SELECT 1 FROM pragma_table_info('replays') WHERE name = 'loose')",
    )?;
    if is_old {
        transaction.execute_batch(
            "ALTER TABLE replays ADD COLUMN loose INTEGER NOT NULL DEFAULT 0;
             UPDATE replays SET loose = chunks;
             ALTER TABLE replay_chunks ADD COLUMN object INTEGER;
             ALTER TABLE replay_chunks ADD COLUMN start INTEGER;
             INSERT OR REPLACE INTO meta SELECT 'loose_bytes', coalesce(sum(bytes), 0) FROM replay_chunks;",
        )?;
    }
    transaction.execute_batch(TABLES)?;
    if is_any("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'doomed')")? {
        transaction
            .execute_batch("INSERT OR IGNORE INTO doomed_blobs SELECT blob, 0 FROM doomed; DROP TABLE doomed;")?;
    }
    Ok(())
}

/// A chunk that is in the index now has its blob.
pub(super) fn keep(transaction: &Transaction<'_>, blob: &str, bytes: u64) -> Sqlite<()> {
    transaction.prepare("DELETE FROM doomed_blobs WHERE name = ?1 AND is_away = 0")?.execute([blob])?;
    add_loose(transaction, bytes.cast_signed())
}

fn add_loose(transaction: &Transaction<'_>, bytes: i64) -> Sqlite<()> {
    let update = "UPDATE meta SET value = max(value + ?1, 0) WHERE name = 'loose_bytes'";
    transaction.execute(update, [bytes]).map(drop)
}

/// Dooms the blob of a chunk that is not in the index with it.
pub(super) fn doom_stray(transaction: &Transaction<'_>, blob: &str) -> Sqlite<()> {
    transaction
        .execute(
            "INSERT OR IGNORE INTO doomed_blobs SELECT ?1, 0 WHERE NOT EXISTS
                (SELECT 1 FROM replay_chunks WHERE blob = ?1 AND object IS NULL)",
            [blob],
        )
        .map(drop)
}

/// Dooms everything that is kept of a recording, whose rows are removed then.
pub(super) fn doom(transaction: &Transaction<'_>, replay: i64) -> Sqlite<()> {
    let select = "SELECT coalesce(sum(bytes), 0) FROM replay_chunks WHERE replay = ?1 AND object IS NULL";
    let loose: i64 = transaction.prepare(select)?.query_row([replay], |row| row.get(0))?;
    add_loose(transaction, -loose)?;
    for change in [
        "INSERT OR IGNORE INTO doomed_blobs SELECT blob, 0 FROM replay_chunks WHERE replay = ?1 AND object IS NULL",
        "INSERT OR IGNORE INTO doomed_blobs SELECT name, is_away FROM replay_objects WHERE replay = ?1",
        "DELETE FROM replay_objects WHERE replay = ?1",
    ] {
        transaction.prepare(change)?.execute([replay])?;
    }
    Ok(())
}

/// How many bytes of chunks are in no object.
pub(super) fn waiting_bytes(connection: &Connection) -> Sqlite<u64> {
    let bytes: i64 = connection.query_row("SELECT value FROM meta WHERE name = 'loose_bytes'", [], |row| row.get(0))?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}

/// Where a chunk is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    replay: i64,
    /// The number of the chunk.
    pub(super) seq: u32,
    /// The blob that it had of its own, and has while it is in no object.
    pub(super) blob: String,
    /// Its bytes as it is kept.
    bytes: u64,
    /// Its bytes of JSON.
    pub(super) raw_bytes: u64,
    object: Option<InObject>,
}

/// The object that a chunk is in, and where it begins there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct InObject {
    id: i64,
    name: String,
    is_away: bool,
    start: u64,
}

impl Part {
    /// Whether it can be read together with `next`.
    fn goes_on_with(&self, next: &Self) -> bool {
        match (&self.object, &next.object) {
            (Some(one), Some(other)) => one.id == other.id && one.start.checked_add(self.bytes) == Some(other.start),
            _ => false,
        }
    }
}

/// Where the chunks of a recording are from the number `from` on, `limit` of them.
pub(super) fn parts(connection: &Connection, replay: i64, from: u32, limit: usize) -> Sqlite<Vec<Part>> {
    let mut statement = connection.prepare(
        "SELECT c.seq, c.blob, c.bytes, c.raw, o.id, o.name, o.is_away, c.start FROM replay_chunks c
            LEFT JOIN replay_objects o ON o.id = c.object WHERE c.replay = ?1 AND c.seq >= ?2 ORDER BY c.seq LIMIT ?3",
    )?;
    let rows = statement.query_map(params![replay, from, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        let number = |column: usize| row.get::<_, i64>(column).map(|number| u64::try_from(number).unwrap_or(0));
        let object = match row.get::<_, Option<i64>>(4)? {
            Some(id) => Some(InObject { id, name: row.get(5)?, is_away: row.get(6)?, start: number(7)? }),
            None => None,
        };
        let (seq, blob) = (row.get(0)?, row.get(1)?);
        Ok(Part { replay, seq, blob, bytes: number(2)?, raw_bytes: number(3)?, object })
    })?;
    rows.collect()
}

/// Chunks that become one object.
struct Plan {
    website: WebsiteId,
    digest: [u8; 16],
    parts: Vec<Part>,
    /// How many of them are in no object.
    loose: usize,
    /// Whether there are more that are in none.
    is_more: bool,
}

/// Which chunks of a recording become one object: all, or where these are too many, some that are in none. Of those that are in none
/// only those from the number `from` on: the others were looked at.
fn plan(connection: &Connection, replay: i64, from: u32, is_away: bool) -> Sqlite<Option<Plan>> {
    let found = connection
        .prepare("SELECT website, digest FROM replays WHERE id = ?1")?
        .query_row([replay], |row| Ok((WebsiteId::from_bytes(row.get(0)?), row.get(1)?)))
        .optional()?;
    let Some((website, digest)) = found else { return Ok(None) };
    let mut parts = parts(connection, replay, 0, usize::MAX)?;
    parts.retain(|part| part.object.is_some() || part.seq >= from);
    let loose = parts.iter().filter(|part| part.object.is_none()).count();
    let is_misplaced = |part: &Part| part.object.as_ref().is_some_and(|object| is_away && !object.is_away);
    if parts.iter().map(|part| part.bytes).sum::<u64>() > OBJECT_MAX_BYTES {
        let first = parts.iter().find(|part| is_misplaced(part)).and_then(|part| part.object.as_ref()).map(|of| of.id);
        parts.retain(|part| match &part.object {
            None => true,
            // One that is here, and has to be moved as it is.
            Some(object) => loose == 0 && Some(object.id) == first,
        });
        let mut bytes = 0;
        let fit = parts.iter().take_while(|part| {
            let fits = bytes == 0 || bytes + part.bytes <= OBJECT_MAX_BYTES;
            bytes += part.bytes;
            fits
        });
        let fit = fit.count();
        parts.truncate(fit);
    } else if loose == 0 && !parts.iter().any(is_misplaced) {
        parts.clear();
    }
    let taken = parts.iter().filter(|part| part.object.is_none()).count();
    Ok((!parts.is_empty()).then_some(Plan { website, digest, parts, loose: taken, is_more: loose > taken }))
}

/// An object that is written.
struct Written {
    name: String,
    is_away: bool,
    bytes: u64,
    /// Which chunks are in it, where each begins, and how many bytes each has that was in no object before.
    chunks: Vec<(u32, u64, u64)>,
}

/// Notes that chunks of a recording are in `written`. When the recording was removed meanwhile, what is written stays doomed.
fn note_written(transaction: &Transaction<'_>, replay: i64, written: &Written, loose: usize) -> Sqlite<()> {
    let is_there: bool =
        transaction.query_row("SELECT EXISTS (SELECT 1 FROM replays WHERE id = ?1)", [replay], |row| row.get(0))?;
    if !is_there {
        return Ok(());
    }
    let Written { name, is_away, bytes, chunks } = written;
    transaction.execute("DELETE FROM doomed_blobs WHERE name = ?1 AND is_away = ?2", params![name, is_away])?;
    transaction.execute(
        "INSERT INTO replay_objects (replay, name, is_away, bytes) VALUES (?1, ?2, ?3, ?4)",
        params![replay, name, is_away, bytes.cast_signed()],
    )?;
    let object = transaction.last_insert_rowid();
    mark::learn(transaction)?;
    let mut freed = 0;
    for (seq, start, loose_bytes) in chunks {
        transaction
            .prepare(
                "INSERT OR IGNORE INTO doomed_blobs SELECT blob, 0 FROM replay_chunks
                    WHERE replay = ?1 AND seq = ?2 AND object IS NULL",
            )?
            .execute(params![replay, seq])?;
        transaction
            .prepare("UPDATE replay_chunks SET object = ?3, start = ?4 WHERE replay = ?1 AND seq = ?2")?
            .execute(params![replay, seq, object, start.cast_signed()])?;
        freed += loose_bytes.cast_signed();
    }
    let empty = "replay = ?1 AND NOT EXISTS
        (SELECT 1 FROM replay_chunks c WHERE c.replay = replay_objects.replay AND c.object = replay_objects.id)";
    for change in [
        format!("INSERT OR IGNORE INTO doomed_blobs SELECT name, is_away FROM replay_objects WHERE {empty}"),
        format!("DELETE FROM replay_objects WHERE {empty}"),
    ] {
        transaction.execute(&change, [replay])?;
    }
    add_loose(transaction, -freed)?;
    note_looked_at(transaction, replay, loose)
}

/// Notes that so many chunks of a recording need not be looked at again: those that cannot be read stay what they are.
fn note_looked_at(transaction: &Transaction<'_>, replay: i64, loose: usize) -> Sqlite<()> {
    let loose = i64::try_from(loose).unwrap_or(i64::MAX);
    transaction.execute("UPDATE replays SET loose = max(loose - ?2, 0) WHERE id = ?1", params![replay, loose]).map(drop)
}

/// Calls `see` with the names of everything that is kept of recordings beside `captures.db` at `path`, and not in a bucket, until it
/// says no. The database may be one that is open, or a copy.
///
/// # Errors
/// When it cannot be read.
pub fn recorded_blobs(path: &Path, see: &mut dyn FnMut(&BlobName) -> bool) -> Result<(), CaptureError> {
    let failed = |problem: String| CaptureError::Database { path: path.to_owned(), problem };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| failed(error.to_string()))?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(|error| failed(error.to_string()))?;
    for select in [
        "SELECT blob FROM replay_chunks WHERE blob > ?1 AND object IS NULL ORDER BY blob LIMIT ?2",
        "SELECT name FROM replay_objects WHERE name > ?1 AND is_away = 0 ORDER BY name LIMIT ?2",
    ] {
        let mut last = String::new();
        loop {
            let names = connection
                .prepare(select)
                .and_then(|mut statement| {
                    statement.query_map(params![last, SWEEP], |row| row.get(0))?.collect::<Sqlite<Vec<String>>>()
                })
                .map_err(|error| failed(error.to_string()))?;
            let Some(end) = names.last().cloned() else { break };
            for name in names {
                let name = BlobName::new(name).map_err(|error| failed(error.to_string()))?;
                if !see(&name) {
                    return Ok(());
                }
            }
            last = end;
        }
    }
    Ok(())
}

/// Whether `bytes` are what was kept under `name`, which ends with their hash.
pub fn is_whole_blob(name: &BlobName, bytes: &[u8]) -> bool {
    name.as_str().ends_with(&format!("-{:016x}", xxh3_64(bytes)))
}

/// The parts of `parts` that are read together.
fn runs(parts: &[Part]) -> impl Iterator<Item = &[Part]> {
    parts.chunk_by(Part::goes_on_with)
}

impl Captures {
    /// Makes one object of the chunks of each recording that has been quiet for ten minutes at `now`, and moves it to the bucket where
    /// there is one; then deletes what is not needed any more. Gives how many recordings that were.
    ///
    /// # Errors
    /// When something cannot be read, written or deleted; what was not done is tried again.
    pub fn merge_replays(&self, now: Timestamp) -> Result<u64, CaptureError> {
        self.catch_up()?;
        let merged = self.merge_all(now.plus_millis(-QUIET_MS).as_millis());
        let removed = self.remove_doomed();
        let merged = merged?;
        removed.map(|()| merged)
    }

    fn merge_all(&self, quiet_since: i64) -> Result<u64, CaptureError> {
        let (mut merged, mut last) = (0, 0);
        loop {
            let has_bucket = self.shared.places.away.is_some();
            let due: Vec<i64> = self.read(|connection| {
                let mut statement = connection.prepare(
                    "SELECT id FROM replays WHERE loose > 0 AND ended < ?1 AND id > ?2
                        UNION SELECT replay FROM replay_objects WHERE is_away = 0 AND ?3 AND replay > ?2
                     ORDER BY 1 LIMIT ?4",
                )?;
                statement.query_map(params![quiet_since, last, has_bucket, LOOKED_UP], |row| row.get(0))?.collect()
            })?;
            let Some(&end) = due.last() else { return Ok(merged) };
            for replay in due {
                let mut from = Some(0);
                while let Some(next) = from {
                    from = self.merge(replay, next)?;
                }
                merged += 1;
            }
            last = end;
        }
    }

    /// Makes an object of chunks of one recording, and tells from which number on there is more to do of it. Chunks that cannot be read
    /// stay what they are, so what was looked at is not looked at again.
    fn merge(&self, replay: i64, from: u32) -> Result<Option<u32>, CaptureError> {
        let places = &self.shared.places;
        let _alone = places.alone.lock();
        let is_away = places.away.is_some();
        let Some(plan) = self.read(|connection| plan(connection, replay, from, is_away))? else { return Ok(None) };
        let last = plan.parts.last().filter(|_| plan.is_more);
        let next = last.and_then(|part| part.seq.checked_add(1));
        let (mut bytes, mut chunks) = (Vec::new(), Vec::new());
        for run in runs(&plan.parts) {
            let Some(found) = self.fetch(run)? else { continue };
            let start = bytes.len() as u64;
            let mut from = 0;
            for part in run {
                chunks.push((part.seq, start + from, if part.object.is_none() { part.bytes } else { 0 }));
                from += part.bytes;
            }
            bytes.extend(found);
        }
        let digest = u128::from_be_bytes(plan.digest);
        let content = xxh3_64(&bytes);
        let name = match is_away {
            // Those of others may be in the same bucket.
            true => format!("{}/{}/{digest:032x}/{content:016x}", self.part_of_bucket()?, plan.website),
            false => format!("{BLOBS}/{}/{digest:032x}/whole-{content:016x}", plan.website),
        };
        let is_the_same =
            |part: &Part| part.object.as_ref().is_some_and(|object| object.name == name && object.is_away == is_away);
        if chunks.is_empty() || plan.parts.iter().any(is_the_same) {
            self.write(|transaction| note_looked_at(transaction, replay, plan.loose))?;
            return Ok(next);
        }
        let blob = blob_name(&name)?;
        self.write(|transaction| {
            let doom = "INSERT OR IGNORE INTO doomed_blobs VALUES (?1, ?2)";
            transaction.execute(doom, params![name, is_away])
        })?;
        places.at(is_away)?.put(&blob, &bytes)?;
        let written = Written { name, is_away, bytes: bytes.len() as u64, chunks };
        self.write(|transaction| note_written(transaction, replay, &written, plan.loose))?;
        Ok(next)
    }

    /// The first parts of the names of what is of these captures, and not of others, in a bucket.
    fn part_of_bucket(&self) -> Result<String, CaptureError> {
        let instance: i64 = self.read(|connection| {
            connection.query_row("SELECT value FROM meta WHERE name = 'instance'", [], |row| row.get(0))
        })?;
        Ok(format!("{BLOBS}/{:016x}", instance.cast_unsigned()))
    }

    /// The bytes of chunks that can be read together; `None` when they are not where they should be, or not as long.
    fn fetch(&self, run: &[Part]) -> Result<Option<Vec<u8>>, CaptureError> {
        let Some(first) = run.first() else { return Ok(None) };
        let length = run.iter().map(|part| part.bytes).sum::<u64>();
        let found = match &first.object {
            None => self.shared.places.here.get(&blob_name(&first.blob)?),
            Some(object) => {
                self.shared.places.at(object.is_away)?.get_part(&blob_name(&object.name)?, object.start, length)
            }
        };
        match found {
            Ok(bytes) => Ok(Some(bytes).filter(|bytes| bytes.len() as u64 == length)),
            Err(BlobError::Missing { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The events of chunks, each an array of JSON, or what is wrong with it.
    pub(super) fn read_parts(&self, parts: &[Part]) -> Result<Vec<Result<String, String>>, CaptureError> {
        let mut events = Vec::with_capacity(parts.len());
        for run in runs(parts) {
            match self.fetch(run)? {
                Some(bytes) => events.extend(unpacked(run, &bytes)),
                None => {
                    for part in run {
                        events.push(self.read_again(part)?);
                    }
                }
            }
        }
        Ok(events)
    }

    /// The events of a chunk that was not where it was when that was looked up.
    fn read_again(&self, part: &Part) -> Result<Result<String, String>, CaptureError> {
        let now = self.read(|connection| parts(connection, part.replay, part.seq, 1))?;
        let moved = now.first().filter(|now| now.seq == part.seq && now.object != part.object);
        let found = match moved {
            Some(moved) => self.fetch(std::slice::from_ref(moved))?,
            None => None,
        };
        let damaged = || {
            let is_there = part.object.is_none()
                && blob_name(&part.blob).is_ok_and(|name| self.shared.places.here.get(&name).is_ok());
            Err(if is_there { "the chunk is damaged".to_owned() } else { "it is gone".to_owned() })
        };
        Ok(found.map_or_else(damaged, |bytes| unpack_chunk(&bytes).map_err(|error| error.to_string())))
    }

    /// How many bytes of chunks wait to be one object.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn waiting_replay_bytes(&self) -> Result<u64, CaptureError> {
        self.read(waiting_bytes)
    }

    /// Deletes all blobs that are not needed any more.
    ///
    /// # Errors
    /// [`CaptureError::NotYetDeleted`]: it is tried again, also by the next process.
    pub fn remove_doomed(&self) -> Result<(), CaptureError> {
        let _alone = self.shared.places.alone.lock();
        self.sweep_all(false)?;
        self.shared.places.is_doomed.store(false, Ordering::Relaxed);
        self.sweep_all(true)
    }

    /// Deletes those here, unless somebody else does. Nobody has to wait for a bucket.
    pub(super) fn remove_doomed_here(&self) -> Result<(), CaptureError> {
        let Some(_alone) = self.shared.places.alone.try_lock() else { return Ok(()) };
        self.sweep_all(false)?;
        self.shared.places.is_doomed.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Deletes some of those here whose recordings had to make room: by those who need it.
    pub(super) fn make_room_here(&self) {
        if !self.shared.places.is_doomed.load(Ordering::Relaxed) {
            return;
        }
        let Some(_alone) = self.shared.places.alone.try_lock() else { return };
        if let Err(error) = self.sweep(false) {
            tracing::warn!(%error, "chunks of recordings cannot be deleted; tried again");
        }
    }

    fn sweep_all(&self, is_away: bool) -> Result<(), CaptureError> {
        while self.sweep(is_away)? > 0 {}
        Ok(())
    }

    /// Deletes some of what is doomed, and tells how many. For who is alone.
    fn sweep(&self, is_away: bool) -> Result<usize, CaptureError> {
        let doomed: Vec<String> = self.read(|connection| {
            let mut statement = connection.prepare("SELECT name FROM doomed_blobs WHERE is_away = ?1 LIMIT ?2")?;
            statement.query_map(params![is_away, SWEEP], |row| row.get(0))?.collect()
        })?;
        if doomed.is_empty() {
            return Ok(0);
        }
        let (mut deleted, mut failed) = (Vec::new(), None);
        for name in doomed {
            let done = match BlobName::new(name.as_str()) {
                Ok(blob) => self.shared.places.at(is_away).and_then(|place| place.delete(&blob)),
                Err(_) => Ok(()),
            };
            match done {
                Ok(()) => deleted.push(name),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        self.write(|transaction| {
            for name in &deleted {
                transaction
                    .prepare("DELETE FROM doomed_blobs WHERE name = ?1 AND is_away = ?2")?
                    .execute(params![name, is_away])?;
            }
            Ok(())
        })?;
        match failed {
            None => Ok(deleted.len()),
            Some(error) => Err(CaptureError::NotYetDeleted { problem: error.to_string() }),
        }
    }

    /// Deletes what lies here where blobs are and nothing knows of, a day after it was written. `now` is of the clock of where
    /// blobs are. Gives how many that were.
    ///
    /// # Errors
    /// When it cannot be read or deleted.
    pub fn remove_orphans(&self, now: Timestamp) -> Result<u64, CaptureError> {
        self.catch_up()?;
        self.remove_unknown(&*self.shared.places.here, BLOBS, false, now)
    }

    /// The same in the bucket, once a day.
    ///
    /// # Errors
    /// Those of [`remove_orphans`](Self::remove_orphans).
    pub fn remove_orphans_away(&self, now: Timestamp) -> Result<u64, CaptureError> {
        let places = &self.shared.places;
        let last_ms = places.looked_away_ms.load(Ordering::Relaxed);
        let Some(away) = places.away.as_deref().filter(|_| now.as_millis() >= last_ms.saturating_add(DAY_MS)) else {
            return Ok(0);
        };
        let removed = self.remove_unknown(away, &self.part_of_bucket()?, true, now)?;
        places.looked_away_ms.store(now.as_millis(), Ordering::Relaxed);
        Ok(removed)
    }

    fn remove_unknown(
        &self,
        place: &dyn Blobs,
        first: &str,
        is_away: bool,
        now: Timestamp,
    ) -> Result<u64, CaptureError> {
        if let Some(dir) = &self.shared.marked {
            let advanced =
                mark::advance(&mut self.shared.writer.lock(), dir).map_err(|error| self.shared.error(&error))?;
            advanced.map_err(|error| CaptureError::Blobs { problem: error.to_string() })?;
        }
        let (mut removed, mut failed) = (0, None);
        let mut see = |found: &FoundBlob| {
            let is_known = found.is_blob && self.read(|connection| is_known(connection, &found.name, is_away))?;
            if !is_known {
                place.delete_found(found)?;
                removed += 1;
            }
            Ok::<_, CaptureError>(())
        };
        place.list(first, &mut |found| {
            if found.written_ms > now.plus_millis(-ORPHAN_MS).as_millis() {
                return true;
            }
            failed = see(&found).err();
            failed.is_none()
        })?;
        failed.map_or(Ok(removed), Err)
    }

    /// What is wrong with the chunks in the index: those that are gone or damaged.
    ///
    /// # Errors
    /// When the index, or where recordings are kept, cannot be read.
    pub fn replay_damages(&self) -> Result<Vec<String>, CaptureError> {
        let mut damages = Vec::new();
        let mut last = 0;
        loop {
            let replays: Vec<i64> = self.read(|connection| {
                let mut statement = connection.prepare("SELECT id FROM replays WHERE id > ?1 ORDER BY id LIMIT ?2")?;
                statement.query_map(params![last, LOOKED_UP], |row| row.get(0))?.collect()
            })?;
            let Some(&end) = replays.last() else { return Ok(damages) };
            for replay in replays {
                let parts = self.read(|connection| parts(connection, replay, 0, usize::MAX))?;
                for run in runs(&parts) {
                    for (part, found) in run.iter().zip(self.read_parts(run)?) {
                        if let Err(damage) = found {
                            let name = part.object.as_ref().map_or(&part.blob, |object| &object.name);
                            damages.push(format!("{name}: chunk {}: {damage}", part.seq));
                        }
                    }
                }
            }
            last = end;
        }
    }
}

/// The events of the chunks `run`, whose bytes stand one after another in `bytes`.
fn unpacked(run: &[Part], bytes: &[u8]) -> Vec<Result<String, String>> {
    let mut rest = bytes;
    run.iter()
        .map(|part| {
            let length = usize::try_from(part.bytes).unwrap_or(usize::MAX).min(rest.len());
            let (chunk, after) = rest.split_at(length);
            rest = after;
            unpack_chunk(chunk).map_err(|error| error.to_string())
        })
        .collect()
}

/// Whether the index has the blob `name`.
fn is_known(connection: &Connection, name: &str, is_away: bool) -> Sqlite<bool> {
    connection
        .prepare(
            "SELECT EXISTS (SELECT 1 FROM replay_objects WHERE name = ?1 AND is_away = ?2)
                OR NOT ?2 AND EXISTS (SELECT 1 FROM replay_chunks WHERE blob = ?1 AND object IS NULL)",
        )?
        .query_row(params![name, is_away], |row| row.get(0))
}

fn blob_name(name: &str) -> Result<BlobName, CaptureError> {
    BlobName::new(name).map_err(|error| CaptureError::Blobs { problem: format!("{name}: {error}") })
}

#[cfg(test)]
mod tests {
    use zenovay_events::{BatchName, CaptureSink};

    use super::*;
    use crate::{Capture, Context, NewChunk};

    const NOW_MS: i64 = 1_781_352_000_000;

    /// Sabotage: say that a chunk is gone which has been moved since it was looked up.
    #[test]
    fn who_looked_up_a_chunk_before_it_was_moved_reads_it_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let captures = Captures::open(directory.path()).unwrap();
        let website = WebsiteId::from_random_bytes([1; 16]);
        for seq in 0..2 {
            let at_ms = NOW_MS + i64::from(seq) * 5_000;
            let click = serde_json::json!({ "source": 2, "type": 2, "id": 3, "x": seq, "y": 7 });
            let events = serde_json::json!([{ "type": 3, "data": click, "timestamp": at_ms }]).to_string();
            let chunk = NewChunk {
                website,
                context: Context { at_ms, visitor: 7, session: 7, ..Context::default() },
                replay_id: [3; 16],
                seq,
                is_final: false,
                masks_inputs: true,
                sent_at_ms: Some(at_ms),
                received_ms: at_ms,
                sent_bytes: 10,
                events: &events,
            };
            let kept = captures.keep_replay(&chunk).unwrap().unwrap();
            captures.take(BatchName::new(1, u64::from(seq) + 1), vec![(website, Capture::Replay(kept).pack())]);
        }
        captures.catch_up().unwrap();
        let looked_up = |captures: &Captures| captures.read(|connection| parts(connection, 1, 0, 9)).unwrap();
        let before = looked_up(&captures);
        assert_eq!(captures.merge_replays(Timestamp::from_millis(NOW_MS + 3_600_000)).unwrap(), 1);
        let now = looked_up(&captures);
        assert!(before.len() == 2 && runs(&before).count() == 2 && runs(&now).count() == 1);
        let events = captures.read_parts(&before).unwrap();
        assert_eq!(events, captures.read_parts(&now).unwrap());
        assert!(events.iter().all(|events| events.as_ref().is_ok_and(|json| json.contains("\"source\":2"))));
    }
}
