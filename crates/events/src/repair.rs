//! Making files and catalog belong together again, as far as the files allow.
//!
//! Nothing is deleted. What is not taken goes to `segments/orphaned/`, the old `events.db` beside the new one, and both are
//! reported. The rules:
//!
//! 1. A segment file is taken when the catalog, or else its own entry, says what is in it and its bytes are that. Of a
//!    damaged one the sound row groups are written to a new file.
//! 2. Files are of one store: that of `events.db`, or without one that of most rows.
//! 3. No event is taken twice. Files say of which batches of the log they have the rows (`segment/origin.rs`). Of two that
//!    have the same, the whole one goes before the damaged one, and the newer before the older: what was merged before its
//!    parts, what an erasure left before what was there. Batches of the log that are in a file that is taken are left out.
//!    A file of whose batches everything was erased is not taken. One that is taken although a newer one, from which
//!    something may have been erased, was there is reported as older.
//! 4. Codes of visitors (`segment/codes.rs`) that are damaged, or that do not agree with each other, are not taken: the rows are sound
//!    without them, and get others when the file is written anew.
//! 5. Files of version 2 that the catalog does not know say nothing of themselves, and are not taken.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::types::{FromSql, Value};
use rusqlite::{Connection, OpenFlags, params, params_from_iter};
use zenovay_domain::{Timestamp, WebsiteId};

use crate::catalog::{Replaced, file_names, refuse_link, segments_dir, sync_dir};
use crate::codec::{self, BatchError, Record};
use crate::codes::{agree, disagreement, websites_with_codes};
use crate::config::EmbeddedConfig;
use crate::log::{
    FILE_NAME, Log, Opened, PAGE_BYTES, Purpose, RAISE_NEXT_SEGMENT, TABLES, draw_run, note_run, read_erased,
    set_format,
};
use crate::open_error::OpenError;
use crate::segment::{
    Batches, Columns, EntryError, Origin, Retain, Segment, SegmentMeta, SiteRange, StoreId, Target, WriteError,
    decode_meta, encode_meta, file_name, ranges_of, read_own, store_of, temporary_name, write,
};

/// Why a store could not be repaired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The store cannot be opened, and that is nothing a repair changes.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// `events.db` and all segment files are of different stores, and both hold something: somebody has to say which.
    #[error(
        "events.db and the segment files in {} are of different stores, and none of the files that it names is there: \
         move the one away that is wrong here, and repair again",
        .0.display()
    )]
    Ambiguous(PathBuf),
    /// A file could not be written. Everything old is where it was.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
}

/// What a repair found and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Repaired {
    /// Whether anything was changed.
    pub is_changed: bool,
    /// Segments that the catalog names now.
    pub segments: u64,
    /// Their rows.
    pub segment_rows: u64,
    /// Events and heartbeats of the log that are in no segment.
    pub log_rows: u64,
    /// What was wrong with `events.db`, one line each.
    pub found: Vec<String>,
    /// What was saved, one line each.
    pub saved: Vec<String>,
    /// Files that were moved, and why.
    pub set_aside: Vec<String>,
    /// Files that were taken although erasures and removals may have passed them by, one line each.
    pub older: Vec<String>,
    /// What cannot be saved, one line each.
    pub lost: Vec<String>,
}

/// Makes the files and the catalog of the store in `dir` belong together by the rules of this module. Needs the store for
/// itself, like [`crate::EmbeddedStore::open`]. A store that is whole is left alone; to repair again changes nothing.
///
/// Blocks: it reads every file of the store, and copies what is in the log.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// use zenovay_events::{Store, repair};
///
/// drop(Store::open(dir)?);
/// let repaired = repair(dir)?;
/// assert!(!repaired.is_changed && repaired.lost.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`RepairError`].
pub fn repair(dir: &Path) -> Result<Repaired, RepairError> {
    if !dir.is_dir() {
        let error = io::Error::new(io::ErrorKind::NotFound, "there is no such directory");
        return Err(OpenError::io(dir, error).into());
    }
    let mut report = Repaired::default();
    finish_swap(dir, &mut report)?;
    let old = Old::read(dir, &mut report)?;
    let folder = segments_dir(dir);
    let mut files = Files::read(dir, &folder, &old)?;
    let store = choose_store(dir, &old, &mut files)?;
    let mut chosen = choose(&old, files.candidates, &mut report);
    compare_codes(&mut chosen.taken, &mut report);
    let contents = Repair { dir, folder, old, store, chosen }.apply(files.strays, &mut report)?;
    report.segments = contents.len() as u64;
    report.segment_rows = contents.iter().map(|segment| segment.rows).sum();
    Ok(report)
}

/// The new `events.db` until it is in the place of the old one. It is whole before the old one is moved.
fn fresh_path(dir: &Path) -> PathBuf {
    dir.join(format!("{FILE_NAME}.new"))
}

/// Completes a repair that died between moving the old `events.db` away and putting the new one, which alone has the recent
/// events, in its place.
fn finish_swap(dir: &Path, report: &mut Repaired) -> Result<(), RepairError> {
    let (path, fresh) = (dir.join(FILE_NAME), fresh_path(dir));
    for file in [&path, &fresh] {
        refuse_link(file)?;
    }
    let is_whole =
        fs::metadata(&fresh).is_ok_and(|file| file.len() > 0) && !dir.join(format!("{FILE_NAME}.new-journal")).exists();
    if path.exists() || !is_whole {
        return Ok(());
    }
    report.is_changed = true;
    report.found.push(format!("{FILE_NAME} is missing, and {FILE_NAME}.new is there: a repair was interrupted"));
    // The end of the old log, which did not get to its place beside it any more.
    let tail = dir.join(format!("{FILE_NAME}-wal"));
    if tail.exists() {
        let last = (1..).map(aside_name).take_while(|name| dir.join(name).exists()).last();
        let aside = dir.join(format!("{}-wal", last.unwrap_or_else(|| aside_name(1))));
        fs::rename(&tail, &aside).map_err(|error| RepairError::Write { path: aside, error })?;
    }
    fs::rename(&fresh, &path).and_then(|()| sync_dir(dir)).map_err(|error| RepairError::Write { path, error })
}

/// The name of the `number`th `events.db` that is set aside.
fn aside_name(number: u64) -> String {
    format!("{FILE_NAME}.aside-{number}")
}

/// What can be read of the old `events.db`.
#[derive(Default)]
struct Old {
    connection: Option<Connection>,
    /// Whether everything could be read.
    is_whole: bool,
    store: Option<StoreId>,
    sealed_seq: u64,
    next_segment: u64,
    runs: Vec<(u64, u64)>,
    segments: Vec<SegmentMeta>,
    replaced: Vec<Replaced>,
    /// Batches that are in no segment, as far as `events.db` knows.
    batches: Vec<(u64, Vec<u8>)>,
    /// Batches of whose rows no segment has one any more.
    erased: Origin,
}

impl Old {
    fn read(dir: &Path, report: &mut Repaired) -> Result<Self, RepairError> {
        let is_sound = match Log::open(dir, Purpose::Look) {
            Ok(Opened { log, .. }) => {
                report.found = log.integrity_faults();
                report.found.is_empty()
            }
            Err(OpenError::NoCatalog { files, .. }) => {
                if files > 0 || dir.join(format!("{FILE_NAME}-wal")).exists() {
                    report.lost.push(LOST_LOG.to_owned());
                }
                return Ok(Self::default());
            }
            Err(OpenError::Damaged { what, .. }) => {
                report.found.push(format!("events.db is damaged: {what}"));
                false
            }
            Err(error) => return Err(error.into()),
        };
        let path = dir.join(FILE_NAME);
        let Ok(connection) = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE) else {
            report.lost.push(LOST_LOG.to_owned());
            return Ok(Self::default());
        };
        // No file of shared memory, and nobody else meanwhile. What is read is not changed, also by closing it.
        let _ = connection.pragma_update(None, "locking_mode", "EXCLUSIVE");
        let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        let mut old = Self { is_whole: is_sound, ..Self::default() };
        old.store = old.meta(&connection, "store_id").map(StoreId);
        old.sealed_seq = old.meta::<i64>(&connection, "sealed_seq").unwrap_or(0).cast_unsigned();
        old.next_segment = old.meta::<i64>(&connection, "next_segment").unwrap_or(1).cast_unsigned();
        let runs = old.rows::<i64>(&connection, "runs", "first_seq", "run");
        old.runs = runs.into_iter().map(|(first, run)| (first, run.cast_unsigned())).collect();
        let replaced = old.rows::<Option<i64>>(&connection, "replaced", "id", "successor");
        let replaced = replaced.into_iter().map(|(id, by)| Replaced { id, by: by.map(i64::cast_unsigned) });
        old.replaced = replaced.collect();
        for (id, row) in old.rows::<Vec<u8>>(&connection, "segments", "id", "meta") {
            match decode_meta(&row) {
                Ok(meta) if meta.id == id => old.segments.push(meta),
                Err(EntryError::Newer(what)) => return Err(newer(dir, format!("segment {id:016x} {what}"))),
                _ => {
                    old.is_whole = false;
                    report.found.push(format!("events.db: the entry of segment {id:016x} is damaged"));
                }
            }
        }
        old.read_batches(dir, &connection, report)?;
        // A catalog of an earlier version has no such table.
        old.erased = read_erased(&connection).unwrap_or_default();
        old.connection = Some(connection);
        Ok(old)
    }

    fn meta<T: FromSql>(&mut self, connection: &Connection, name: &str) -> Option<T> {
        connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).ok()
    }

    /// The rows of a table from both ends up to what cannot be read. A table that is missing has none: format 2 has fewer.
    fn rows<T: FromSql>(&mut self, connection: &Connection, table: &str, key: &str, value: &str) -> BTreeMap<u64, T> {
        let mut found = BTreeMap::new();
        for order in ["ASC", "DESC"] {
            let select = format!("SELECT {key}, {value} FROM {table} ORDER BY {key} {order}");
            let Ok(mut statement) = connection.prepare(&select) else { break };
            let Ok(mut rows) = statement.query([]) else { break };
            loop {
                match rows.next() {
                    Ok(Some(row)) => match (row.get::<_, i64>(0), row.get(1)) {
                        (Ok(key), Ok(value)) => {
                            found.insert(key.cast_unsigned(), value);
                        }
                        _ => self.is_whole = false,
                    },
                    Ok(None) => return found,
                    Err(_) => {
                        self.is_whole = false;
                        break;
                    }
                }
            }
        }
        found
    }

    fn read_batches(&mut self, dir: &Path, connection: &Connection, report: &mut Repaired) -> Result<(), RepairError> {
        let (sealed_seq, first_run) = (self.sealed_seq, self.runs.first().map_or(0, |(first, _)| *first));
        let rows = self.rows::<Vec<u8>>(connection, "batches", "seq", "payload");
        // Before the first run that is kept everything is sealed.
        let unsealed = rows.into_iter().filter(|(seq, _)| *seq > sealed_seq && *seq >= first_run);
        let (mut before, mut damaged) = (None, 0);
        if connection.prepare("SELECT seq, payload FROM batches").is_err() {
            self.is_whole = false;
            report.lost.push(LOST_LOG.to_owned());
        }
        for (seq, payload) in unsealed {
            if before.is_some_and(|before| seq > before + 1) && !self.is_whole {
                damaged += 1;
            }
            before = Some(seq);
            match codec::decode(&payload) {
                Ok(_) => self.batches.push((seq, payload)),
                Err(BatchError::Damaged(_) | BatchError::DamagedVersion(_)) => damaged += 1,
                Err(BatchError::Newer(what)) => {
                    return Err(newer(dir, format!("batch {seq} of {FILE_NAME} {what}")));
                }
            }
        }
        if damaged > 0 {
            self.is_whole = false;
            report.lost.push(format!("events.db: {damaged} batches of the log, or stretches of them, are damaged"));
        }
        Ok(())
    }

    /// The names of the batches from `seq` to `seq`.
    fn origin_of(&self, seq: u64) -> Origin {
        let run = self.runs.iter().rev().find(|(first, _)| *first <= seq);
        Origin::new(run.map(|(_, run)| Batches { run: *run, first: seq, last: seq }))
    }

    fn holds_something(&self) -> bool {
        !self.segments.is_empty() || !self.batches.is_empty()
    }
}

/// A file that says, or of which the catalog says, what is in it.
struct Candidate {
    path: PathBuf,
    /// Below the directory of the store.
    name: String,
    /// With the length that the file has.
    meta: SegmentMeta,
    store: Option<StoreId>,
    /// Whether it is in the catalog.
    is_named: bool,
    is_orphaned: bool,
    /// The first damage.
    damage: Option<String>,
    /// Row groups that cannot be read.
    damaged_groups: BTreeSet<u32>,
    /// Whether codes of visitors were left out of `meta`.
    has_lost_codes: bool,
}

impl Candidate {
    fn sound_rows(&self) -> u64 {
        let is_sound = |site: &&SiteRange| !self.damaged_groups.contains(&site.group);
        self.meta.sites.iter().filter(is_sound).map(|site| u64::from(site.rows)).sum()
    }
}

/// The segment files.
#[derive(Default)]
struct Files {
    candidates: Vec<Candidate>,
    /// Files to be moved away, with the reason.
    strays: Vec<(PathBuf, String)>,
}

const ORPHANED: &str = "orphaned";

const LOST_LOG: &str =
    "events.db: the events that were in no segment yet, of the last hour at most; none if the server was stopped";

impl Files {
    fn read(dir: &Path, folder: &Path, old: &Old) -> Result<Self, RepairError> {
        let mut files = Self::default();
        let orphaned = folder.join(ORPHANED);
        refuse_link(&orphaned)?;
        let (here, there) = (file_names(folder)?, file_names(&orphaned)?);
        for (is_orphaned, name) in here.iter().map(|name| (false, name)).chain(there.iter().map(|name| (true, name))) {
            let entry = old.segments.iter().find(|segment| match name.strip_suffix(".tmp") {
                // Registered a moment before the process ended.
                Some(stem) => stem == format!("{:016x}", segment.id) && !here.contains(&file_name(segment.id)),
                None => *name == file_name(segment.id),
            });
            let entry = entry.filter(|_| !is_orphaned);
            // What was never registered has nothing that the log, or the files it was made of, do not have.
            if name.ends_with(".tmp") && entry.is_none() && (old.is_whole || is_orphaned) {
                continue;
            }
            files
                .add(folder, name, is_orphaned, entry, old)
                .map_err(|what| newer(dir, format!("segments/{name} {what}")))?;
        }
        Ok(files)
    }

    /// Adds a file; the error says in words what a later version wrote in it.
    fn add(
        &mut self,
        folder: &Path,
        name: &str,
        is_orphaned: bool,
        entry: Option<&SegmentMeta>,
        old: &Old,
    ) -> Result<(), String> {
        let path = if is_orphaned { folder.join(ORPHANED).join(name) } else { folder.join(name) };
        let shown = if is_orphaned { format!("segments/{ORPHANED}/{name}") } else { format!("segments/{name}") };
        let (store, own) = read_own(&path)?.unzip();
        let store = store.or_else(|| store_of(&path));
        let is_foreign = store.is_some() && old.store.is_some() && store != old.store;
        // Of this store, and by its own word made of other events than the catalog says: names were mixed up.
        let is_other = |entry: &SegmentMeta| !is_foreign && own.as_ref().is_some_and(|own| own.origin != entry.origin);
        let entry = entry.filter(|entry| !is_other(entry));
        let is_named = entry.is_some() && !is_foreign;
        let meta = if is_named { entry.cloned() } else { own };
        let noted = old.replaced.iter().any(|replaced| name == file_name(replaced.id));
        let Some(mut meta) = meta else {
            if !is_orphaned && !noted {
                self.strays.push((path, "does not say what is in it, or that is damaged".to_owned()));
            }
            return Ok(());
        };
        let whole = meta.bytes;
        meta.bytes = fs::metadata(&path).map_or(0, |file| file.len());
        let mut damage = (meta.bytes != whole).then(|| format!("has {} bytes instead of {whole}", meta.bytes));
        let segment = Segment::at(path.clone(), meta.clone());
        let mut damaged_groups = BTreeSet::new();
        let mut has_lost_codes = false;
        for (number, group) in (0..).zip(&mut meta.groups) {
            if let Err(error) = segment.verify_group(number) {
                damage.get_or_insert_with(|| error.to_string());
                damaged_groups.insert(number);
            } else if segment.read_codes(number).is_err() {
                group.codes = None;
                has_lost_codes = true;
            }
        }
        if damage.is_none() {
            damage = segment.verify_tail().err().map(|error| error.to_string());
        }
        self.candidates.push(Candidate {
            path,
            name: shown,
            meta,
            store: store.or(if is_named { old.store } else { None }),
            is_named,
            is_orphaned,
            damage,
            damaged_groups,
            has_lost_codes,
        });
        Ok(())
    }
}

/// Which store it is, by rule 2; the files of others become strays.
fn choose_store(dir: &Path, old: &Old, files: &mut Files) -> Result<Option<StoreId>, RepairError> {
    let mut rows: BTreeMap<StoreId, u64> = BTreeMap::new();
    for file in &files.candidates {
        if let Some(store) = file.store {
            *rows.entry(store).or_default() += file.meta.rows;
        }
    }
    let largest = rows.iter().max_by_key(|(_, rows)| **rows).map(|(store, _)| *store);
    let has_own = old.segments.is_empty() || files.candidates.iter().any(|file| file.is_named);
    let store = match old.store {
        // Made by a start beside files that it did not know, or put there: it knows nothing that would be lost.
        Some(own) if !old.holds_something() && !rows.contains_key(&own) => largest.or(Some(own)),
        Some(own) if !has_own && !rows.contains_key(&own) && largest.is_some() => {
            return Err(RepairError::Ambiguous(dir.to_owned()));
        }
        Some(own) => Some(own),
        // Of format 2, whose stores had no ids: no file that has one is of it.
        None if old.is_whole && old.holds_something() => None,
        None => largest,
    };
    let (kept, others): (Vec<_>, Vec<_>) =
        std::mem::take(&mut files.candidates).into_iter().partition(|file| file.is_named || file.store == store);
    files.candidates = kept;
    for file in others.into_iter().filter(|file| !file.is_orphaned) {
        let of = file.store.map_or_else(|| "unknown".to_owned(), |store| store.to_string());
        files.strays.push((file.path, format!("is of another store, {of}")));
    }
    Ok(store)
}

/// The files that are taken, by rule 3, and those that are not.
struct Chosen {
    taken: Vec<Candidate>,
    /// With the reason.
    left: Vec<(Candidate, String)>,
}

fn choose(old: &Old, candidates: Vec<Candidate>, report: &mut Repaired) -> Chosen {
    let mut chosen = Chosen { taken: Vec::new(), left: Vec::new() };
    let (mut candidates, hopeless): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|file| file.damage.is_none() || file.sound_rows() > 0);
    for file in hopeless.into_iter().filter(|file| !file.is_orphaned) {
        let why = format!("is damaged: {}", file.damage.as_deref().unwrap_or_default());
        if !file.is_named {
            report.lost.push(format!("{}: {why}: {}", file.name, describe(file.meta.sites.iter())));
        }
        chosen.left.push((file, why));
    }
    candidates.sort_by_key(|file| (file.damage.is_some(), std::cmp::Reverse(file.meta.id), !file.is_named));
    for file in candidates {
        let cover = Origin::union(chosen.taken.iter().map(|taken| &taken.meta.origin));
        if !file.is_named && !file.meta.origin.ranges().is_empty() && old.erased.has_all(&file.meta.origin) {
            chosen.left.push((file, "has rows that were erased or removed".to_owned()));
            continue;
        }
        if !cover.meets(&file.meta.origin) {
            chosen.taken.push(file);
            continue;
        }
        let (same, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut chosen.taken).into_iter().partition(|taken| taken.meta.origin.meets(&file.meta.origin));
        chosen.taken = rest;
        let rows: u64 = same.iter().map(Candidate::sound_rows).sum();
        let names: Vec<&str> = same.iter().map(|taken| taken.name.as_str()).collect();
        let names = names.join(", ");
        if cover.has_all(&file.meta.origin) {
            chosen.left.push((file, format!("has rows that are in {names}")));
            chosen.taken.extend(same);
        } else if file.damage.is_some() && file.sound_rows() > rows {
            let why = format!("has rows that are in {}, which has others too", file.name);
            chosen.left.extend(same.into_iter().map(|taken| (taken, why.clone())));
            chosen.taken.push(file);
        } else {
            let rows = file.meta.rows;
            let why = format!("has some of the rows of {names}, which would count twice");
            report.lost.push(format!("{}: {why}; those of its {rows} rows that are its own", file.name));
            chosen.left.push((file, why));
            chosen.taken.extend(same);
        }
    }
    let cover = Origin::union(chosen.taken.iter().map(|taken| &taken.meta.origin));
    let is_taken = |segment: &SegmentMeta| cover.has_all(&segment.origin);
    for segment in old.segments.iter().filter(|segment| !is_taken(segment)) {
        let name = file_name(segment.id);
        report.lost.push(format!("segments/{name}: {}", describe(segment.sites.iter())));
    }
    chosen
}

/// Leaves out codes of visitors that do not agree: those of all files of the website.
fn compare_codes(taken: &mut [Candidate], report: &mut Repaired) {
    // A damaged file is written anew, without codes.
    let sound = taken.iter().filter(|file| file.damage.is_none());
    let segments = sound.map(|file| Arc::new(Segment::at(file.path.clone(), file.meta.clone())));
    let segments: Vec<Arc<Segment>> = segments.collect();
    for website in websites_with_codes(&segments) {
        if agree(&segments, website).unwrap_or_default() {
            continue;
        }
        report.found.push(disagreement(website));
        for file in &mut *taken {
            let SegmentMeta { groups, sites, .. } = &mut file.meta;
            for range in ranges_of(sites, website) {
                file.has_lost_codes |= groups[range.group as usize].codes.take().is_some();
            }
        }
    }
    for file in taken.iter().filter(|file| file.has_lost_codes) {
        report.found.push(format!("{}: its codes of visitors are not right, and will be given anew", file.name));
    }
}

/// Rows of websites in words.
fn describe<'a>(sites: impl Iterator<Item = &'a SiteRange>) -> String {
    let mut websites: BTreeMap<WebsiteId, (u64, i64, i64)> = BTreeMap::new();
    for site in sites {
        let (rows, min_at, max_at) = websites.entry(site.website).or_insert((0, i64::MAX, i64::MIN));
        *rows += u64::from(site.rows);
        *min_at = site.min_at.min(*min_at);
        *max_at = site.max_at.max(*max_at);
    }
    let of_website = |(website, (rows, min_at, max_at)): (WebsiteId, (u64, i64, i64))| {
        let (from, to) = (Timestamp::from_millis(min_at), Timestamp::from_millis(max_at));
        format!("{rows} rows of website {website} from {from} to {to}")
    };
    websites.into_iter().map(of_website).collect::<Vec<_>>().join(", ")
}

struct Repair<'a> {
    dir: &'a Path,
    folder: PathBuf,
    old: Old,
    store: Option<StoreId>,
    chosen: Chosen,
}

impl Repair<'_> {
    /// Writes what is new, puts it in place, then moves away what is old. A death in between leaves something to repair
    /// again, and never less than there was. Gives the segments that are named now.
    fn apply(
        mut self,
        mut strays: Vec<(PathBuf, String)>,
        report: &mut Repaired,
    ) -> Result<Vec<SegmentMeta>, RepairError> {
        let is_noted = |file: &Candidate| self.old.replaced.iter().any(|replaced| replaced.id == file.meta.id);
        let left = std::mem::take(&mut self.chosen.left);
        let taken = std::mem::take(&mut self.chosen.taken);
        for file in &taken {
            let is_newer = |(other, _): &(Candidate, _)| {
                !other.is_orphaned && other.meta.id > file.meta.id && other.meta.origin.meets(&file.meta.origin)
            };
            if file.is_orphaned || left.iter().any(is_newer) {
                let what = "what was erased or removed since it was written may be in it: erase that again";
                report.older.push(format!("{}: {what}", file.name));
            }
        }
        // What was set aside before stays there; what is noted as replaced is removed by the next start.
        let left: Vec<_> = left.into_iter().filter(|(file, _)| !file.is_orphaned && !is_noted(file)).collect();
        let cover = Origin::union(taken.iter().map(|file| &file.meta.origin));
        let batches = self.old.batches.len();
        let mut kept = std::mem::take(&mut self.old.batches);
        kept.retain(|(seq, _)| {
            let origin = self.old.origin_of(*seq);
            origin.ranges().is_empty() || !cover.meets(&origin)
        });
        report.log_rows = kept.iter().filter_map(|(_, batch)| codec::decode(batch).ok()).flatten().map(rows_of).sum();
        let is_nothing_there = taken.is_empty()
            && strays.is_empty()
            && self.old.connection.is_none()
            && !self.dir.join(format!("{FILE_NAME}-wal")).exists();
        let is_right = self.old.is_whole
            && kept.len() == batches
            && taken.len() == self.old.segments.len()
            && taken.iter().all(|file| file.is_named && file.damage.is_none() && !file.has_lost_codes)
            && left.iter().all(|(file, _)| file.meta.id < self.old.next_segment);
        report.is_changed |= !(is_right || is_nothing_there) || !strays.is_empty() || !left.is_empty();
        if is_right || is_nothing_there {
            strays.extend(left.into_iter().map(|(file, why)| (file.path, why)));
            self.set_aside(strays, report)?;
            return Ok(taken.into_iter().map(|file| file.meta).collect());
        }

        let store = self.store.unwrap_or_else(|| self.new_store());
        let mut next_segment = self.old.next_segment;
        let ids = taken.iter().map(|file| file.meta.id).chain(left.iter().map(|(file, _)| file.meta.id));
        let ids = ids.chain(self.old.segments.iter().map(|segment| segment.id));
        for id in ids.chain(self.old.replaced.iter().map(|replaced| replaced.id)) {
            next_segment = next_segment.max(id.saturating_add(1));
        }
        let mut segments: Vec<SegmentMeta> = Vec::new();
        let mut moves: Vec<(PathBuf, PathBuf)> = Vec::new();
        let places: BTreeSet<PathBuf> = taken.iter().map(|file| file.path.clone()).collect();
        for file in taken {
            if let Some(damage) = &file.damage {
                let lost = file.meta.sites.iter().filter(|site| file.damaged_groups.contains(&site.group));
                if !file.damaged_groups.is_empty() {
                    report.lost.push(format!("{}: {damage}: {}", file.name, describe(lost)));
                }
                if let Some(meta) = self.rewrite(&file, store, next_segment)? {
                    let (name, rows) = (file_name(meta.id), meta.rows);
                    report.saved.push(format!("{}: {rows} rows that are sound, as segments/{name}", file.name));
                    segments.push(meta);
                    next_segment += 1;
                }
                if !file.is_orphaned {
                    strays.push((file.path, format!("is damaged: {damage}")));
                }
                continue;
            }
            let mut meta = file.meta;
            let place_of = |id| self.folder.join(file_name(id));
            // Another one that is taken may stand in its place: nothing is moved over it.
            let is_blocked = place_of(meta.id) != file.path && places.contains(&place_of(meta.id));
            if is_blocked || segments.iter().any(|other| other.id == meta.id) {
                meta.id = next_segment;
                next_segment += 1;
            }
            let place = place_of(meta.id);
            if !file.is_named {
                report.saved.push(format!("{}: {} rows", file.name, meta.rows));
            }
            if place != file.path {
                moves.push((file.path, place));
            }
            segments.push(meta);
        }
        strays.extend(left.into_iter().map(|(file, why)| (file.path, why)));

        let fresh = fresh_path(self.dir);
        let contents = Contents { store, segments: &segments, batches: &kept, next_segment };
        self.write_catalog(&fresh, &contents, report)
            .map_err(|error| RepairError::Write { path: fresh.clone(), error })?;
        // First away with what stands in the place of others.
        let blocked = |path: &Path| moves.iter().any(|(_, to)| to == path);
        let (first, last): (Vec<_>, Vec<_>) = strays.into_iter().partition(|(path, _)| blocked(path));
        self.set_aside(first, report)?;
        for (from, to) in moves {
            fs::rename(&from, &to).map_err(|error| RepairError::Write { path: to, error })?;
        }
        let io_error = |error| RepairError::Write { path: self.folder.clone(), error };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(io_error)?;
        sync_dir(&self.folder).map_err(io_error)?;
        self.swap(&fresh, report)?;
        self.set_aside(last, report)?;
        Ok(segments)
    }

    /// Writes the sound row groups of `file` to a new one.
    fn rewrite(&self, file: &Candidate, store: StoreId, id: u64) -> Result<Option<SegmentMeta>, RepairError> {
        let mut meta = file.meta.clone();
        meta.sites.retain(|site| !file.damaged_groups.contains(&site.group));
        let source = Segment::at(file.path.clone(), meta);
        let path = self.folder.join(temporary_name(id));
        let EmbeddedConfig { group_rows, group_bytes, .. } = EmbeddedConfig::new(self.dir);
        let (position, origin) = (file.meta.position, file.meta.origin.clone());
        let target =
            Target { path: &path, store, id, position, origin, columns: Columns::default(), group_rows, group_bytes };
        let written = write(target, &[&source], Retain::All, None, &|| false);
        written.map_err(|error| {
            let error = match error {
                WriteError::Io(error) => error,
                other => io::Error::other(other),
            };
            RepairError::Write { path, error }
        })
    }

    fn new_store(&self) -> StoreId {
        let drawn = Connection::open_in_memory()
            .and_then(|connection| connection.query_row("SELECT randomblob(16)", [], |row| row.get(0)));
        StoreId(drawn.unwrap_or_default())
    }

    fn write_catalog(&self, path: &Path, contents: &Contents<'_>, report: &mut Repaired) -> io::Result<()> {
        crate::segment::remove_if_there(path)?;
        fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
        let mut new = Connection::open(path).map_err(io::Error::other)?;
        let written = (|| -> Result<bool, rusqlite::Error> {
            new.pragma_update(None, "page_size", PAGE_BYTES.cast_signed())?;
            new.pragma_update(None, "synchronous", "EXTRA")?;
            let transaction = new.transaction()?;
            transaction.execute_batch(TABLES)?;
            set_format(&transaction)?;
            transaction.execute("INSERT INTO meta VALUES ('store_id', ?1)", [contents.store.0])?;
            let sealed_seq = self.old.sealed_seq.cast_signed();
            transaction.execute("INSERT OR REPLACE INTO meta VALUES ('sealed_seq', ?1)", [sealed_seq])?;
            transaction.execute(RAISE_NEXT_SEGMENT, [contents.next_segment.cast_signed()])?;
            for segment in contents.segments {
                let row =
                    encode_meta(segment).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
                transaction.execute("INSERT INTO segments VALUES (?1, ?2)", params![segment.id.cast_signed(), row])?;
            }
            let is_taken = |id: u64| contents.segments.iter().any(|segment| segment.id == id);
            for Replaced { id, by } in self.old.replaced.iter().filter(|replaced| !is_taken(replaced.id)) {
                let by = by.map(u64::cast_signed);
                transaction.execute("INSERT INTO replaced VALUES (?1, ?2)", params![id.cast_signed(), by])?;
            }
            for run in &self.old.runs {
                note_run(&transaction, *run)?;
            }
            if self.old.runs.is_empty() {
                note_run(&transaction, (1, draw_run(&transaction)?))?;
            }
            for (seq, payload) in contents.batches {
                transaction.execute("INSERT INTO batches VALUES (?1, ?2)", params![seq.cast_signed(), payload])?;
            }
            let is_rest_whole = self.old.connection.as_ref().is_some_and(|old| copy_rest(old, &transaction).is_ok());
            transaction.commit()?;
            Ok(is_rest_whole)
        })();
        if !written.map_err(io::Error::other)? {
            let keys = "idempotency keys of the last days: a repeated delivery may be stored again";
            let hidden = "since when events are hidden: the thirty days begin anew";
            report.lost.push(format!("{keys}; and {hidden}"));
        }
        Ok(())
    }

    /// Puts the new catalog in the place of the old one, which is kept.
    fn swap(&mut self, fresh: &Path, report: &mut Repaired) -> Result<(), RepairError> {
        // Closed before its file is moved.
        self.old.connection = None;
        let path = self.dir.join(FILE_NAME);
        let aside = (1..).map(aside_name).find(|name| !self.dir.join(name).exists()).unwrap_or_default();
        for end in ["", "-wal"] {
            let (from, to) = (self.dir.join(format!("{FILE_NAME}{end}")), self.dir.join(format!("{aside}{end}")));
            if from.exists() {
                fs::rename(&from, &to).map_err(|error| RepairError::Write { path: to, error })?;
                if end.is_empty() {
                    report.set_aside.push(format!("{FILE_NAME} is {aside} now, and was rebuilt"));
                }
            }
        }
        fs::rename(fresh, &path).and_then(|()| sync_dir(self.dir)).map_err(|error| RepairError::Write { path, error })
    }

    fn set_aside(&self, files: Vec<(PathBuf, String)>, report: &mut Repaired) -> Result<(), RepairError> {
        let orphaned = self.folder.join(ORPHANED);
        let io_error = |path: &Path| {
            let path = path.to_owned();
            move |error| RepairError::Write { path, error }
        };
        if files.is_empty() {
            return Ok(());
        }
        for (path, why) in files {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&orphaned).map_err(io_error(&orphaned))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
            let free = (1_u32..)
                .map(|number| if number == 1 { format!("{stem}.parquet") } else { format!("{stem}-{number}.parquet") })
                .find(|name| !orphaned.join(name).exists())
                .unwrap_or_default();
            let to = orphaned.join(&free);
            fs::rename(&path, &to).map_err(io_error(&to))?;
            report.set_aside.push(format!("segments/{name} is segments/{ORPHANED}/{free} now: it {why}"));
        }
        sync_dir(&self.folder).map_err(io_error(&self.folder))
    }
}

/// How many events and heartbeats, or captures, `record` has.
pub(crate) fn rows_of(record: Record) -> u64 {
    match record {
        Record::Events(events) => events.len() as u64,
        Record::Captures(captures) => captures.len() as u64,
        // They are those of the events before.
        Record::Arrivals(_) => 0,
    }
}

/// The refusal of what a later version wrote, which this one would lose.
fn newer(dir: &Path, what: String) -> RepairError {
    RepairError::Open(OpenError::Newer { dir: dir.to_owned(), what })
}

/// What a new catalog says beside what it takes from the old one.
struct Contents<'a> {
    store: StoreId,
    segments: &'a [SegmentMeta],
    batches: &'a [(u64, Vec<u8>)],
    next_segment: u64,
}

/// Copies everything that is not rebuilt: idempotency keys, and whatever else the tables of the log hold. Of a damaged
/// table what comes before the damage; the first damage is the error.
fn copy_rest(old: &Connection, new: &Connection) -> Result<(), rusqlite::Error> {
    let tables = |connection: &Connection| -> Result<BTreeSet<String>, rusqlite::Error> {
        connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?
            .query_map([], |row| row.get(0))?
            .collect()
    };
    let known = tables(old)?;
    let mut damage = Ok(());
    for table in tables(new)?.intersection(&known).filter(|table| !REBUILT.contains(&table.as_str())) {
        let copied = copy_table(old, new, table);
        damage = damage.and(copied);
    }
    damage
}

/// The tables that a repair writes itself.
const REBUILT: [&str; 4] = ["batches", "runs", "segments", "replaced"];

/// Copies the rows of `table` that are not there yet.
fn copy_table(old: &Connection, new: &Connection, table: &str) -> Result<(), rusqlite::Error> {
    let mut select = old.prepare(&format!("SELECT * FROM {table}"))?;
    let columns = select.column_count();
    let places = vec!["?"; columns].join(", ");
    let mut insert = new.prepare(&format!("INSERT OR IGNORE INTO {table} VALUES ({places})"))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let values = (0..columns).map(|column| row.get::<_, Value>(column)).collect::<Result<Vec<_>, _>>()?;
        insert.execute(params_from_iter(values))?;
    }
    Ok(())
}
