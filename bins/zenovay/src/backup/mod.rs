//! Backups: a directory with any number of them, which share the files that never change; or a bucket with the same, by the same names.
//!
//! | name | what |
//! |---|---|
//! | `zenovay-backups` | says that the directory is one of backups, and of which format |
//! | `lock` | held while a backup is made or removed; a bucket has none |
//! | `segments/NAME-CONTENT-SHA256.parquet` | sealed events. `CONTENT` tells files of one name apart before they are read |
//! | `replays/…` | chunks of recordings, under the names that they have |
//! | `erasures` | all visitors that were known to be erased when the last backup was made |
//! | `damaged` | the shared files that are known not to be what was written; there is none when all are well |
//! | `backup-NUMBER-TIME/` | a backup: `manifest.json`, `zenovay.db`, `events.db`, `captures.db`, `erasures`, and `recordings`, the names of its chunks |
//! | `backup-NUMBER-TIME.tmp/`, `….tmp` | what is being made, or was when the process died; for a bucket that waits in `zenovay.backup` of the data directory |
//!
//! **One moment.** The store of events stands still between two commits ([`Copier::moment`]); that is when the transactions begin
//! in which the other databases are read, and when the erasures are read. Before that, what never changes is copied, so that little is
//! left; after it nothing that belongs to the moment goes away until it is copied.
//!
//! **Events in ClickHouse** are in no backup, and neither are those on their way there: its manifest says so.
//!
//! **Not in a backup**: `salts`, the secrets that visitors are named with. Whoever has them can find out who an anonymous visitor was.

mod chunks;
pub(crate) mod database;
mod manifest;
mod place;
mod restore;
mod rot;
mod schedule;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use zenovay_capture::{BlobName, CaptureError, Captures, is_whole_blob, recorded_blobs};
use zenovay_domain::{Clock, Timestamp};
use zenovay_events::{ChangeError, Copier, EventStore, Moment, SegmentCheck, SegmentFile, WebsiteRows};

use self::chunks::ChunkList;
pub(crate) use self::database::{DatabaseError, Source};
use self::manifest::MANIFEST;
pub use self::manifest::{BlobTotals, Elsewhere, Listed, Manifest, StoredFile, Unreadable, WebsiteTotals};
use self::place::{Place, read_whole};
pub(crate) use self::restore::erase_again;
pub use self::restore::{Restore, Restored, Verified, restore, verify};
pub use self::schedule::{BackupSchedule, Scheduled};
use crate::backends::{self, CopyFailure, MetadataSource};
use crate::bucket::BucketError;
use crate::causes::with_causes;
use crate::config::{BackupPlace, Config};
use crate::data_dir::DataDirError;
use crate::erasures::{self, ERASURES, Erasure, Erasures};
use crate::files::{self, Copied, CopyError, FileError, Way};
use crate::formats;
use crate::runtime::ServeError;

/// Says that a directory is one of backups.
const MARKER: &str = "zenovay-backups";
const MARKER_LINE: &str = "format 1\n";
const LOCK: &str = "lock";
/// The folder of the data directory in which the databases of a backup wait to be sent to a bucket.
const WAITING: &str = "zenovay.backup";
/// The file of the data directory with the places that a server made a backup in.
const PLACES: &str = "zenovay.backups";
const SEGMENTS: &str = "segments";
const REPLAYS: &str = "replays";
const PREFIX: &str = "backup-";
pub(crate) const METADATA: &str = "zenovay.db";
pub(crate) const EVENTS: &str = "events.db";
pub(crate) const CAPTURES: &str = "captures.db";
/// How often is looked for files that came meanwhile, before the moment is taken.
const ROUNDS: usize = 4;

/// Why there is no backup, or nothing is made of one.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file cannot be read, copied or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The events cannot be copied.
    #[error("events: {}", with_causes(.0))]
    Events(#[from] ChangeError),
    /// What was captured beside events cannot be copied.
    #[error("captures: {0}")]
    Captures(#[from] CaptureError),
    /// The metadata in PostgreSQL cannot be copied.
    #[error("metadata: {}", with_causes(&**.0))]
    Metadata(#[source] CopyFailure),
    /// The bucket cannot be used as it is configured.
    #[error("{0}")]
    Bucket(#[from] BucketError),
    /// Another backup is being made or removed.
    #[error("a backup is being made in {0} already")]
    Running(BackupPlace),
    /// The place has something else in it.
    #[error("{0} is not empty, and not a place of backups: name another one")]
    NotBackups(BackupPlace),
    /// The directory is in the data directory.
    #[error("{0} is in the data directory: a backup is of use where that is lost, so name another place")]
    Inside(PathBuf),
    /// The place has backups of another store.
    #[error("{place} has backups of another store ({other}, this one is {store}): name another place")]
    OtherStore {
        /// The place.
        place: BackupPlace,
        /// Whose backups are in it.
        other: String,
        /// Whose was to be made.
        store: String,
    },
    /// There is no backup.
    #[error("{0} is not a finished backup, and has none")]
    NoBackup(PathBuf),
    /// A later version of this program wrote it.
    #[error("{path} was written by a later version of zenovay: it has format {format}, this version reads {read}")]
    Newer {
        /// The backup.
        path: PathBuf,
        /// Its format.
        format: u64,
        /// The last that is read.
        read: u64,
    },
    /// A file of a backup is not what was written.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Some files of a backup are not what was written.
    #[error("{}. Nothing was restored; --in-part restores the rest", damaged_words(.0))]
    DamagedFiles(Vec<String>),
    /// The same, as a verification found, of files that backups share, or that were damaged when they were backed up.
    #[error("{}. {}", damaged_words(.damages), noted_words(.not_noted.as_deref()))]
    Rotten {
        /// The files, and what is wrong with each.
        damages: Vec<String>,
        /// Why no backup will know of it; `None` when the next one does.
        not_noted: Option<String>,
    },
    /// A list of erasures cannot be read.
    #[error(
        "{}: {problem}. Visitors who were erased could come back, so nothing is done. Put the line right, or take it out when it is none \
         of yours; each backup has the erasures of its moment in a file of the same name", path.display()
    )]
    Erasures {
        /// The list.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// There is nothing at all.
    #[error("{0} is empty, and no backup was made there: is its disk mounted, and the name right?")]
    Empty(BackupPlace),
    /// There is no directory.
    #[error("{} is not there: is its disk mounted, and the name right?", .0.display())]
    NotThere(PathBuf),
    /// What is there is not what the manifest says.
    #[error(
        "the backup is not what was written down when it was made: {}. `zenovay backup --list` names others that may be whole",
        .0.join("; ")
    )]
    Differs(Vec<String>),
    /// What was there is not there any more.
    #[error(
        "{0} has none of the backups that were made there: is its disk mounted? When that is meant, make the first one with `zenovay backup`"
    )]
    Gone(BackupPlace),
    /// What is to be restored to is in the place of backups.
    #[error("{0} is in the place of backups: restore to another directory")]
    AmongBackups(PathBuf),
    /// What is to be restored to is not empty.
    #[error("{0} is not empty: a backup is restored to a new data directory")]
    NotEmpty(PathBuf),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// What was restored cannot be opened.
    #[error("{0}")]
    Open(Box<ServeError>),
    /// Visitors that were erased after the backup was made cannot be erased again.
    #[error("erasing again what was erased after the backup was made: {0}")]
    Erase(String),
    /// It was told to end.
    #[error("the server stops; what is copied is used by the next backup")]
    Cancelled,
}

fn damaged_words(damages: &[String]) -> String {
    let files = if damages.len() == 1 { "1 file".to_owned() } else { format!("{} files", damages.len()) };
    let list = damages.join("; ");
    format!("{files} of the backup cannot be used: {list}")
}

fn noted_words(not_noted: Option<&str>) -> String {
    match not_noted {
        None => "The next backup sends again those that the server still has whole".to_owned(),
        Some(why) => format!(
            "No backup will know of it, for it cannot be noted ({why}): remove them, and the next one sends them again"
        ),
    }
}

impl BackupError {
    pub(crate) fn io(path: &Path, cause: io::Error) -> Self {
        FileError::io(path, cause).into()
    }

    /// Whether there was no room for it.
    fn is_no_room(&self) -> bool {
        matches!(self, Self::File(FileError::Io { cause, .. }) if cause.kind() == io::ErrorKind::StorageFull)
    }

    /// Of a copy from `from` to `to`.
    fn copy(from: &Path, to: &Path, error: CopyError) -> Self {
        match error {
            CopyError::Read(cause) => Self::io(from, cause),
            CopyError::Write(cause) => Self::io(to, cause),
            CopyError::Cancelled => Self::Cancelled,
        }
    }

    /// SQLite says no to whoever reads the database at `path`.
    pub(crate) fn sqlite(path: &Path, cause: rusqlite::Error) -> Self {
        FileError::database(path, cause).into()
    }

    pub(crate) fn database(from: &Path, to: &Path, error: DatabaseError) -> Self {
        match error {
            DatabaseError::Sqlite(cause) => FileError::database(from, cause).into(),
            DatabaseError::Copy(error) => Self::copy(from, to, error),
        }
    }
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// Where the backup is: its folder, or what its objects begin with.
    pub path: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
    /// How many bytes were copied for it. The rest was there.
    pub copied_bytes: u64,
    /// The backups that were removed because there are enough newer ones.
    pub removed: Vec<String>,
    /// Why others were not that should have been.
    pub not_removed: Option<String>,
    /// Files of earlier backups that were no longer what was written, and were sent again.
    pub mended: Vec<String>,
    /// Those that nobody has any more: the backups that need them can be restored in part.
    pub not_mended: Vec<String>,
}

impl Made {
    /// The same for whoever asked.
    pub fn json(&self) -> serde_json::Value {
        let Self { path, manifest, copied_bytes, removed, not_removed, mended, not_mended } = self;
        let mut json = serde_json::json!({
            "backup": path,
            "created_at": manifest.created_at,
            "rows": manifest.rows,
            "websites": manifest.websites.len(),
            "copied_bytes": copied_bytes,
            "damaged": manifest.damaged,
            "removed": removed,
            "not_removed": not_removed,
            "mended": mended,
            "not_mended": not_mended,
        });
        if let (Some(elsewhere), Some(members)) = (&manifest.elsewhere, json.as_object_mut()) {
            members.insert("not_in_it".to_owned(), elsewhere.words().into());
        }
        json
    }
}

/// Makes backups of the stores of one process, one at a time.
pub struct Backups {
    config: Config,
    data_dir: PathBuf,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventStore>,
    captures: Arc<Captures>,
    erasures: Arc<Erasures>,
    running: Mutex<()>,
    /// Where the one is made that is being made, or the last was.
    running_at: Mutex<Option<BackupPlace>>,
    /// Where the last backup failed, and why.
    failed: Mutex<Option<(BackupPlace, String)>>,
    is_cancelled: AtomicBool,
}

impl Backups {
    /// Of the stores of the data directory of `config`, which this process holds.
    pub fn new(
        config: &Config,
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventStore>,
        captures: Arc<Captures>,
        erasures: Arc<Erasures>,
    ) -> Self {
        let backups = Self {
            config: config.clone(),
            data_dir: config.data_dir.clone(),
            clock,
            events,
            captures,
            erasures,
            running: Mutex::default(),
            running_at: Mutex::default(),
            failed: Mutex::default(),
            is_cancelled: AtomicBool::new(false),
        };
        // What a process that died left.
        backups.discard_waiting();
        backups
    }

    /// Removes the databases that waited to be sent to a bucket. The next backup tries it again, too.
    fn discard_waiting(&self) {
        if let Err(error) = place::discard_waiting(&self.data_dir) {
            tracing::warn!(%error, "copies of databases are left in {WAITING} of the data directory");
        }
    }

    /// Makes a backup at `place`, which is made when it is missing, and removes all but the `keep` newest. `is_gentle`
    /// when somebody else needs the disk. A backup with damage in it replaces none.
    ///
    /// # Errors
    /// [`BackupError`]; the backups that were there stay.
    pub fn make(&self, place: &BackupPlace, keep: Option<usize>, is_gentle: bool) -> Result<Made, BackupError> {
        let Some(_running) = self.running.try_lock() else {
            let at = self.running_at.lock().clone();
            return Err(BackupError::Running(at.unwrap_or_else(|| place.clone())));
        };
        *self.running_at.lock() = Some(place.clone());
        let there = place::open(place, &self.config, None)?;
        self.refuse_other_store(&*there)?;
        let pool = Pool::open(there, &self.data_dir)?;
        let way = Way { is_gentle, cancelled: &self.is_cancelled };
        let mut work = Work {
            backups: self,
            way: &way,
            name: String::new(),
            made: PathBuf::new(),
            pool,
            sources: None,
            moment: None,
            copied_bytes: 0,
            files: Vec::new(),
            damaged: Vec::new(),
            error: None,
        };
        let run = work.run();
        if let Err(error) = &run {
            work.discard();
            if error.is_no_room() {
                // What only backups had that somebody removed, to make room, goes now: the next one has it.
                let _ = work.pool.sweep(&self.data_dir);
            }
        }
        self.discard_waiting();
        let (manifest, copied_bytes) = run?;
        let mut removed = Vec::new();
        // The backup is there whether or not what follows succeeds; the next one tries it again.
        let mut not_removed = None;
        if manifest.damaged.is_empty()
            && let Some(keep) = keep
        {
            not_removed = work.pool.keep_newest(keep, &mut removed).err().map(|error| error.to_string());
        }
        if let Err(error) = work.pool.sweep(&self.data_dir) {
            tracing::warn!(%error, "files that no backup needs may be left in the place of backups");
        }
        let Pool { place: there, rotten, mended, unsound, .. } = &mut work.pool;
        let left = rot::settle(&mut **there, rotten, mended).unwrap_or_else(|error| {
            tracing::warn!(%error, "which files of backups are damaged cannot be written down");
            rotten.clone()
        });
        // Of these it is said that they are damaged.
        let is_sent = |name: &String| unsound.values().any(|(sent, _)| sent.stored == *name);
        let not_mended = left.into_iter().filter(|name| !is_sent(name)).collect();
        let mended = mended.iter().cloned().collect();
        Ok(Made { path: place.at(&work.name), manifest, copied_bytes, removed, not_removed, mended, not_mended })
    }

    /// Where the events are, when no backup has them.
    fn elsewhere(&self) -> Option<Elsewhere> {
        let url = self.config.events_url.as_ref()?;
        // Whoever is away is no reason to back up nothing.
        let rows = backends::count_in_clickhouse(url).ok().flatten();
        let waiting = self.events.stats().delivery.map_or(0, |delivery| delivery.batches);
        Some(Elsewhere { clickhouse: url.database().to_owned(), rows, waiting })
    }

    /// Refuses a place with backups of another store, before anything in it is changed.
    fn refuse_other_store(&self, place: &dyn Place) -> Result<(), BackupError> {
        let newest = newest(place, &folders(place)?)?;
        match (newest, self.events.store_id()) {
            (Some(newest), Some(store)) if newest.manifest.store != store => {
                Err(BackupError::OtherStore { place: place.address().clone(), other: newest.manifest.store, store })
            }
            _ => Ok(()),
        }
    }

    /// The places that a server made a backup in.
    fn former_places(&self) -> Result<BTreeSet<String>, BackupError> {
        let path = self.data_dir.join(PLACES);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
            Err(cause) => Err(BackupError::io(&path, cause)),
            Ok(lines) => Ok(lines.lines().map(str::to_owned).collect()),
        }
    }

    /// Refuses a directory that had backups and has nothing any more: where its disk is not mounted they would fill another one.
    fn expect_former(&self, place: &BackupPlace) -> Result<(), BackupError> {
        let BackupPlace::Dir(dir) = place else { return Ok(()) };
        let had_some = self.former_places()?.contains(&place.to_string());
        if had_some && !dir.join(MARKER).exists() { Err(BackupError::Gone(place.clone())) } else { Ok(()) }
    }

    /// Notes that `place` has backups.
    fn note_place(&self, place: &BackupPlace) -> Result<(), BackupError> {
        let mut places = self.former_places()?;
        if !places.insert(place.to_string()) {
            return Ok(());
        }
        let path = self.data_dir.join(PLACES);
        let lines: String = places.iter().map(|place| format!("{place}\n")).collect();
        files::replace(&path, lines.as_bytes()).map_err(|cause| BackupError::io(&path, cause))
    }

    /// Whether a backup is being made.
    pub fn is_running(&self) -> bool {
        self.running.is_locked()
    }

    /// Why the last backup at `place` was not made, if it was not, since this process began.
    pub fn last_failure(&self, place: &BackupPlace) -> Option<String> {
        self.failed.lock().as_ref().filter(|(failed, _)| failed == place).map(|(_, why)| why.clone())
    }

    /// Ends what is being made, and lets nothing begin any more.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }
}

/// The finished backups at `place`, the oldest first.
///
/// # Errors
/// [`BackupError`] when it cannot be looked at, is not there, is empty, or has something else in it.
pub fn list(place: &BackupPlace, config: &Config) -> Result<Vec<Result<Listed, Unreadable>>, BackupError> {
    let place = place::open(place, config, None)?;
    let mut all = Vec::new();
    for name in folders(&*place)? {
        all.push(listed(&*place, &name)?);
    }
    if all.is_empty() {
        expect_place(&*place)?;
    }
    Ok(all)
}

/// Refuses what is not there, what is empty as a disk that is not mounted, and what has something else in it than backups.
fn expect_place(place: &dyn Place) -> Result<(), BackupError> {
    if let BackupPlace::Dir(dir) = place.address()
        && !dir.exists()
    {
        return Err(BackupError::NotThere(dir.clone()));
    }
    let failed = |cause| BackupError::io(&place.address().at(MARKER), cause);
    match read_whole(place, MARKER) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        Err(_) if place.is_empty().map_err(failed)? => Err(BackupError::Empty(place.address().clone())),
        Err(_) => Err(BackupError::NotBackups(place.address().clone())),
    }
}

/// What there is at a place of backups.
#[derive(Debug)]
pub struct Overview {
    /// How many backups are finished.
    pub finished: u64,
    /// The newest of them that can be read.
    pub newest: Option<Listed>,
    /// Those that came after it, and cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// The names of those that were begun and not finished, while none is being made.
    pub unfinished: Vec<String>,
}

impl Overview {
    /// What there is at `place`. When it is in a bucket, no request takes longer than `within`.
    ///
    /// # Errors
    /// [`BackupError`] when it cannot be looked at.
    pub fn of(place: &BackupPlace, config: &Config, within: Option<Duration>) -> Result<Self, BackupError> {
        let place = place::open(place, config, within)?;
        let found = place.folders().map_err(|cause| BackupError::io(&place.address().at(""), cause))?;
        let (newest, unreadable) = newest_of(&*place, &found.finished)?;
        Ok(Self {
            finished: found.finished.len() as u64,
            newest,
            unreadable,
            unfinished: found.unfinished.into_iter().collect(),
        })
    }
}

/// The backup `name`, or why it cannot be read as one.
fn listed(place: &dyn Place, name: &str) -> Result<Result<Listed, Unreadable>, BackupError> {
    let path = place.address().at(name);
    match Manifest::read(place, name) {
        Ok(manifest) => Ok(Ok(Listed { path, manifest })),
        Err(BackupError::File(FileError::Io { path, cause })) if !place.is_of_one_file(&cause) => {
            Err(BackupError::io(&path, cause))
        }
        Err(error) => Ok(Err(Unreadable { path, problem: error.to_string() })),
    }
}

/// The newest of the backups `finished` that can be read, and those that came after it.
fn newest_of(place: &dyn Place, finished: &BTreeSet<String>) -> Result<(Option<Listed>, Vec<Unreadable>), BackupError> {
    let mut unreadable = Vec::new();
    for name in finished.iter().rev() {
        match listed(place, name)? {
            Ok(listed) => return Ok((Some(listed), unreadable)),
            Err(one) => unreadable.push(one),
        }
    }
    Ok((None, unreadable))
}

/// The newest of the backups `finished` that can be read.
fn newest(place: &dyn Place, finished: &BTreeSet<String>) -> Result<Option<Listed>, BackupError> {
    Ok(newest_of(place, finished)?.0)
}

/// The names of the finished backups at `place`, the oldest first.
fn folders(place: &dyn Place) -> Result<BTreeSet<String>, BackupError> {
    Ok(place.folders().map_err(|cause| BackupError::io(&place.address().at(""), cause))?.finished)
}

/// The names in the folder `dir`, sorted; none when there is none.
fn names(dir: &Path) -> io::Result<BTreeSet<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok());
    }
    Ok(names)
}

/// The number of a backup, by its name.
fn number(name: &str) -> u64 {
    name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse().ok()).unwrap_or(0)
}

/// The erasures in the file `name` of `place`; none when there is no file.
fn read_erasures(place: &dyn Place, name: &str) -> Result<BTreeSet<Erasure>, BackupError> {
    let lines = match read_whole(place, name) {
        Ok(lines) => lines,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(BackupError::io(&place.address().at(name), error)),
    };
    // What is no text is in the words about its line.
    let all = erasures::parse(&String::from_utf8_lossy(&lines));
    all.map_err(|error| BackupError::Erasures { path: place.address().at(name), problem: error.to_string() })
}

/// The erasures that are noted in the data directory `dir`.
fn noted_erasures(dir: &Path) -> Result<BTreeSet<Erasure>, BackupError> {
    let path = dir.join(ERASURES);
    erasures::read(&path).map_err(|cause| match cause.kind() {
        io::ErrorKind::InvalidData => BackupError::Erasures { path, problem: cause.to_string() },
        _ => BackupError::io(&path, cause),
    })
}

/// What files of the name and content of the shared segment `stored` have in common, and the SHA-256 that it was written with.
fn segment_of(stored: &str) -> Option<(&str, &str)> {
    stored.strip_prefix(SEGMENTS)?.strip_prefix('/')?.strip_suffix(".parquet")?.rsplit_once('-')
}

/// The totals of a website as they are written down.
fn totals_of(site: &WebsiteRows) -> WebsiteTotals {
    WebsiteTotals {
        id: site.website,
        rows: site.rows,
        first_at: site.first_at.to_string(),
        last_at: site.last_at.to_string(),
    }
}

/// A place of backups that this process alone changes.
struct Pool {
    place: Box<dyn Place>,
    /// The files with sealed events that are there, by name and content.
    segments: BTreeMap<String, StoredFile>,
    /// The shared files that are there and are not what was written, by the names that they have there.
    rotten: BTreeSet<String>,
    /// Those that were and were sent again.
    mended: BTreeSet<String>,
    /// What was sent as it is in the data directory, and is not what was written there, by name and content; and what is wrong with each.
    unsound: BTreeMap<String, (StoredFile, String)>,
}

impl Pool {
    fn open(mut place: Box<dyn Place>, data_dir: &Path) -> Result<Self, BackupError> {
        place.make(data_dir)?;
        let marker = place.address().at(MARKER);
        let failed = |cause| BackupError::io(&marker, cause);
        match read_whole(&*place, MARKER) {
            Ok(line) if line == MARKER_LINE.as_bytes() => {}
            Ok(line) => {
                let line = String::from_utf8_lossy(&line);
                let problem = format!("it says {:?}, not {:?}", line.trim_end(), MARKER_LINE.trim_end());
                return Err(BackupError::Damaged { path: marker, problem });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !place.is_empty().map_err(failed)? {
                    return Err(BackupError::NotBackups(place.address().clone()));
                }
                place.put(MARKER, MARKER_LINE.as_bytes()).map_err(failed)?;
            }
            Err(cause) => return Err(failed(cause)),
        }
        place.hold()?;
        let rotten = rot::noted(&*place).map_err(|cause| BackupError::io(&place.address().at(rot::LIST), cause))?;
        let mut pool =
            Self { place, segments: BTreeMap::new(), rotten, mended: BTreeSet::new(), unsound: BTreeMap::new() };
        pool.read_segments()?;
        Ok(pool)
    }

    /// An error about the file or backup `name`.
    fn failed(&self, name: &str, cause: io::Error) -> BackupError {
        BackupError::io(&self.place.address().at(name), cause)
    }

    fn read_segments(&mut self) -> Result<(), BackupError> {
        let Self { segments, rotten, .. } = self;
        let read = self.place.files(SEGMENTS, &mut |stored, bytes| {
            if let Some((key, sha256)) = segment_of(stored) {
                let segment = key.rsplit_once('-').map_or(key, |(segment, _)| segment);
                let file = StoredFile {
                    name: format!("{SEGMENTS}/{segment}.parquet"),
                    stored: stored.to_owned(),
                    bytes,
                    sha256: sha256.to_owned(),
                };
                // One that was sent again after it was mended in the data directory has another name.
                if !rotten.contains(stored) || !segments.contains_key(key) {
                    segments.insert(key.to_owned(), file);
                }
            }
            Ok(())
        });
        read.map_err(|cause| self.failed(SEGMENTS, cause))
    }

    /// What files of the same name and content have in common.
    fn key(file: &SegmentFile) -> String {
        format!("{}-{:016x}", file.name.trim_end_matches(".parquet"), file.content)
    }

    /// The file, when it is there and not known to be damaged.
    fn segment(&self, file: &SegmentFile) -> Option<&StoredFile> {
        let is_whole = |stored: &&StoredFile| stored.bytes == file.bytes && !self.rotten.contains(&stored.stored);
        self.segments.get(&Self::key(file)).filter(is_whole)
    }

    /// The file as it was sent for this backup, whether or not it is what was written.
    fn sent(&self, file: &SegmentFile) -> Option<&StoredFile> {
        let unsound = || self.unsound.get(&Self::key(file)).map(|(stored, _)| stored);
        self.segment(file).or_else(unsound)
    }

    /// Notes that the shared file `stored` was written, in the place of a damaged one if there was.
    fn written(&mut self, stored: &str) {
        if self.rotten.remove(stored) {
            self.mended.insert(stored.to_owned());
        }
    }

    /// Copies the file, and compares it with `check` meanwhile. Gives what is wrong with it when it cannot be read, or is not what was
    /// written: that is sent all the same, because the sound parts of it can be saved, and is never taken for the file itself.
    fn add_segment(
        &mut self,
        file: &SegmentFile,
        mut check: Option<SegmentCheck>,
        way: &Way<'_>,
    ) -> Result<Result<u64, String>, BackupError> {
        let key = Self::key(file);
        if let Some((_, problem)) = self.unsound.get(&key) {
            return Ok(Err(problem.clone()));
        }
        let mut from = match File::open(&file.path) {
            Ok(from) => from,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let name_of = |sha256: &str| format!("{SEGMENTS}/{key}-{sha256}.parquet");
        let mut see = |bytes: &[u8]| {
            if let Some(check) = &mut check {
                check.see(bytes);
            }
        };
        let (stored, Copied { bytes, sha256 }) = match self.place.add(&mut from, &mut see, &name_of, way) {
            Err(CopyError::Read(error)) => return Ok(Err(error.to_string())),
            added => added.map_err(|error| {
                BackupError::copy(&file.path, &self.place.address().at(&format!("{SEGMENTS}/{key}")), error)
            })?,
        };
        let sent = StoredFile { name: format!("{SEGMENTS}/{}", file.name), stored, bytes, sha256 };
        let length = || (bytes != file.bytes).then(|| format!("has {bytes} bytes instead of {}", file.bytes));
        if let Some(problem) = check.and_then(SegmentCheck::problem).or_else(length) {
            self.rotten.insert(sent.stored.clone());
            self.unsound.insert(key, (sent, problem.clone()));
            return Ok(Err(problem));
        }
        self.written(&sent.stored);
        self.segments.insert(key, sent);
        Ok(Ok(bytes))
    }

    /// Removes all backups that are older than the `keep` newest which can be read, and adds those that are gone to `removed`. One that cannot be
    /// read takes the place of none.
    fn keep_newest(&mut self, keep: usize, removed: &mut Vec<String>) -> Result<(), BackupError> {
        let mut older: Vec<String> = folders(&*self.place)?.into_iter().collect();
        let mut left = keep.max(1);
        while left > 0
            && let Some(name) = older.pop()
        {
            left -= usize::from(listed(&*self.place, &name)?.is_ok());
        }
        for name in older {
            self.place.remove_backup(&name).map_err(|cause| self.failed(&name, cause))?;
            removed.push(name);
        }
        Ok(())
    }

    /// Removes the shared files that no backup has. An index that has to be read is put into `data_dir` for as long.
    fn sweep(&mut self, data_dir: &Path) -> Result<(), BackupError> {
        let mut segments: BTreeSet<String> = BTreeSet::new();
        // Hashes of the names: two that are alike keep a file that might go.
        let (mut blobs, hasher) = (HashSet::new(), RandomState::new());
        for name in folders(&*self.place)? {
            let manifest = Manifest::read(&*self.place, &name)?;
            let mut note = |chunk: &str| {
                blobs.insert(hasher.hash_one(chunk));
            };
            chunks::of_backup(&*self.place, &name, &manifest, data_dir, &mut note)?;
            segments.extend(manifest.segments.into_iter().map(|file| file.stored));
        }
        self.sweep_folder(SEGMENTS, &|name| segments.contains(name))?;
        self.sweep_folder(REPLAYS, &|name| blobs.contains(&hasher.hash_one(name)))
    }

    /// Removes the files below `folder` that are not needed.
    fn sweep_folder(&mut self, folder: &str, is_needed: &dyn Fn(&str) -> bool) -> Result<(), BackupError> {
        let mut unneeded = Vec::new();
        let found = self.place.files(folder, &mut |name, _| {
            if !is_needed(name) {
                unneeded.push(name.to_owned());
            }
            Ok(())
        });
        found.map_err(|cause| self.failed(folder, cause))?;
        self.place.remove(&unneeded).map_err(|cause| self.failed(folder, cause))
    }
}

/// The databases whose moment is taken with that of the events.
struct Sources {
    metadata: MetadataSource,
    captures: Source,
}

/// One backup that is being made.
struct Work<'a> {
    backups: &'a Backups,
    way: &'a Way<'a>,
    /// The name of the new one.
    name: String,
    /// The folder in which it is made.
    made: PathBuf,
    pool: Pool,
    sources: Option<Sources>,
    moment: Option<(Moment, Timestamp, BTreeSet<Erasure>)>,
    copied_bytes: u64,
    files: Vec<StoredFile>,
    damaged: Vec<String>,
    /// Why the store was told to end the copy.
    error: Option<BackupError>,
}

impl Work<'_> {
    fn run(&mut self) -> Result<(Manifest, u64), BackupError> {
        // What would end it at last ends it before anything is copied.
        read_erasures(&*self.pool.place, ERASURES)?;
        noted_erasures(&self.backups.data_dir)?;
        let number = folders(&*self.pool.place)?.last().map_or(0, |name| number(name)) + 1;
        if matches!(self.pool.place.address(), BackupPlace::Dir(_)) {
            let found = rot::look(&*self.pool.place, number, self.way)?;
            self.pool.rotten.extend(found);
        }
        self.copy_what_stays()?;
        let now = self.backups.clock.now();
        let time: String = now.to_string().chars().filter(|c| *c != ':').collect();
        self.name = format!("{PREFIX}{number:06}-{time}");
        let begun = self.pool.place.begin(&self.backups.data_dir, &self.name);
        self.made = begun.map_err(|cause| self.pool.failed(&self.name, cause))?;
        files::make_dir(&self.made).map_err(|cause| BackupError::io(&self.made, cause))?;

        let backups = self.backups;
        let totals = {
            let _erasing = backups.erasures.turn();
            let _blobs = backups.captures.keep_blobs();
            let open = |path: &Path| Source::open(path).map_err(|cause| FileError::database(path, cause));
            let captures = backups.data_dir.join(CAPTURES);
            let metadata = MetadataSource::open(&backups.config)?;
            self.sources = Some(Sources { metadata, captures: open(&captures)? });
            let copied = match backups.config.events_url {
                // They are not ours to copy.
                Some(_) => self.moment(&Moment::default()).map_err(|error| {
                    ChangeError::Unavailable(zenovay_query::Cause::new("the moment cannot be taken", error))
                }),
                None => backups.events.copy(self),
            };
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            copied?;
            self.copy_databases(&captures)?;
            let mut list = ChunkList::default();
            let totals = self.copy_blobs(&self.made.join(CAPTURES), &mut |name| list.add(name))?;
            let path = self.made.join(chunks::LIST);
            self.copied_bytes += list.write(&path).map_err(|cause| BackupError::io(&path, cause))?;
            totals
        };
        let manifest = self.finish(totals)?;
        Ok((manifest, self.copied_bytes))
    }

    /// Removes what was begun: the next backup makes its own, and on a full disk this one is in the way. What backups share stays.
    fn discard(&self) {
        if self.made.exists()
            && let Err(error) = fs::remove_dir_all(&self.made)
        {
            tracing::warn!(%error, "a backup that was begun is left at {}", self.made.display());
        }
    }

    /// Copies what never changes, before the moment: what comes meanwhile is little.
    fn copy_what_stays(&mut self) -> Result<(), BackupError> {
        for _ in 0..ROUNDS {
            let mut is_any = false;
            for file in self.backups.events.segment_files() {
                if self.pool.segment(&file).is_none() {
                    // One that is gone was replaced. What is wrong with one is said when it belongs to the moment.
                    let check = self.backups.events.segment_check(&file);
                    if let Ok(bytes) = self.pool.add_segment(&file, check, self.way)? {
                        self.copied_bytes += bytes;
                        is_any = true;
                    }
                }
            }
            if !is_any {
                break;
            }
        }
        let index = self.backups.data_dir.join(CAPTURES);
        self.copy_blobs(&index, &mut |_| {})?;
        // They belong to another time.
        self.damaged.clear();
        Ok(())
    }

    /// Copies the chunks of recordings that `index` names and that are not there, and calls `see` with the name of each.
    fn copy_blobs(&mut self, index: &Path, see: &mut dyn FnMut(&BlobName)) -> Result<BlobTotals, BackupError> {
        let mut totals = BlobTotals::default();
        let mut failed = None;
        recorded_blobs(index, &mut |name| match self.copy_blob(name) {
            Ok(bytes) => {
                see(name);
                totals.count += 1;
                totals.bytes += bytes;
                true
            }
            Err(error) => {
                failed = Some(error);
                false
            }
        })?;
        failed.map_or(Ok(totals), Err)
    }

    fn copy_blob(&mut self, name: &BlobName) -> Result<u64, BackupError> {
        let failed = |pool: &Pool, cause| pool.failed(name.as_str(), cause);
        self.way.go_on().map_err(|error| BackupError::copy(&self.made, &self.made, error))?;
        if !self.pool.rotten.contains(name.as_str())
            && let Some(bytes) = self.pool.place.length(name.as_str()).map_err(|cause| failed(&self.pool, cause))?
        {
            return Ok(bytes);
        }
        let started = std::time::Instant::now();
        let bytes = match self.backups.captures.blobs().get(name) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.damaged.push(error.to_string());
                return Ok(0);
            }
        };
        if !is_whole_blob(name, &bytes) {
            self.damaged.push(format!("{name}: its content is not what was written"));
            return Ok(bytes.len() as u64);
        }
        self.pool.place.put(name.as_str(), &bytes).map_err(|cause| failed(&self.pool, cause))?;
        self.pool.written(name.as_str());
        self.copied_bytes += bytes.len() as u64;
        self.way.pause(started);
        Ok(bytes.len() as u64)
    }

    fn copy_databases(&mut self, captures: &Path) -> Result<(), BackupError> {
        let Some(sources) = self.sources.take() else { return Ok(()) };
        let [metadata, to] = [METADATA, CAPTURES].map(|name| self.made.join(name));
        sources.metadata.copy(&self.backups.config.sqlite_path(), &metadata, self.way)?;
        sources.captures.copy(&to, self.way).map_err(|error| BackupError::database(captures, &to, error))?;
        for (name, to) in [(METADATA, metadata), (CAPTURES, to)] {
            let copied = self.way.hash_file(&to).map_err(|error| BackupError::copy(&to, &to, error))?;
            self.add(name, copied);
        }
        Ok(())
    }

    /// Notes a file of this backup alone.
    fn add(&mut self, name: &str, Copied { bytes, sha256 }: Copied) {
        self.copied_bytes += bytes;
        let stored = format!("{}/{name}", self.name);
        self.files.push(StoredFile { name: name.to_owned(), stored, bytes, sha256 });
    }

    /// Writes down what there is, and makes it a backup.
    fn finish(&mut self, recordings: BlobTotals) -> Result<Manifest, BackupError> {
        let Some((moment, now, erased)) = self.moment.take() else { return Err(BackupError::Cancelled) };
        let list = self.made.join(ERASURES);
        erasures::write(&list, &erased).map_err(|cause| BackupError::io(&list, cause))?;
        let copied = self.way.hash_file(&list).map_err(|error| BackupError::copy(&list, &list, error))?;
        self.add(ERASURES, copied);
        let mut tables = BTreeMap::new();
        for name in [METADATA, CAPTURES] {
            let path = self.made.join(name);
            let rows = database::rows(&path).map_err(|cause| FileError::database(&path, cause))?;
            tables.insert(name.to_owned(), rows);
        }
        let elsewhere = self.backups.elsewhere();
        let segments = moment.segments.iter().filter_map(|file| self.pool.sent(file).cloned()).collect();
        let manifest = Manifest {
            format: Manifest::format(elsewhere.as_ref()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            formats: formats::present(),
            created_at: now.to_string(),
            store: moment.store.clone(),
            rows: moment.rows(),
            websites: moment.websites.iter().map(totals_of).collect(),
            tables,
            recordings,
            files: std::mem::take(&mut self.files),
            segments,
            damaged: std::mem::take(&mut self.damaged),
            elsewhere,
        };
        let failed = |pool: &Pool, cause| pool.failed(ERASURES, cause);
        let known = read_erasures(&*self.pool.place, ERASURES)?;
        let known: BTreeSet<Erasure> = known.union(&erased).copied().collect();
        let lines = erasures::lines(&known);
        self.pool.place.put(ERASURES, lines.as_bytes()).map_err(|cause| failed(&self.pool, cause))?;
        let at = self.made.join(MANIFEST);
        let bytes = serde_json::to_vec_pretty(&manifest).map_err(|error| BackupError::io(&at, error.into()))?;
        files::replace(&at, &[&bytes[..], b"\n"].concat()).map_err(|cause| BackupError::io(&at, cause))?;
        let done = self.pool.place.finish(&self.made, &self.name, self.way);
        done.map_err(|error| BackupError::copy(&self.made, &self.pool.place.address().at(&self.name), error))?;
        Ok(manifest)
    }

    /// Ends the copy of the events because of `error`.
    fn end(&mut self, error: BackupError) -> io::Error {
        let words = error.to_string();
        self.error = Some(error);
        io::Error::other(words)
    }
}

impl Copier for Work<'_> {
    fn moment(&mut self, moment: &Moment) -> io::Result<()> {
        if let Some(sources) = &mut self.sources {
            let captures = |cause| BackupError::sqlite(Path::new(CAPTURES), cause);
            let taken = sources.metadata.take_moment(Path::new(METADATA));
            let taken = taken.and_then(|()| sources.captures.take_moment().map_err(captures));
            taken.map_err(|error| self.end(error))?;
        }
        let erased = noted_erasures(&self.backups.data_dir).map_err(|error| self.end(error))?;
        self.moment = Some((moment.clone(), self.backups.clock.now(), erased));
        Ok(())
    }

    fn log(&mut self, bytes: &mut dyn Read) -> io::Result<()> {
        let to = self.made.join(EVENTS);
        let mut file = files::create(&to)?;
        let copied = self.way.copy(bytes, &mut file).and_then(|copied| {
            file.flush().map_err(CopyError::Write)?;
            Ok(copied)
        });
        let from = self.backups.data_dir.join(EVENTS);
        let copied = copied.map_err(|error| self.end(BackupError::copy(&from, &to, error)))?;
        self.add(EVENTS, copied);
        Ok(())
    }

    fn segments(&mut self, moment: &Moment) -> io::Result<()> {
        let mut named = BTreeSet::new();
        for file in &moment.segments {
            if self.pool.segment(file).is_none() {
                let check = self.backups.events.segment_check(file);
                match self.pool.add_segment(file, check, self.way) {
                    Ok(Ok(bytes)) => self.copied_bytes += bytes,
                    Ok(Err(problem)) => {
                        named.insert(file.name.trim_end_matches(".parquet"));
                        self.damaged.push(format!("{SEGMENTS}/{}: {problem}", file.name));
                    }
                    Err(error) => return Err(self.end(error)),
                }
            }
        }
        let known = self.backups.events.damages().into_iter();
        self.damaged.extend(known.filter(|damage| !named.iter().any(|name| damage.contains(name))));
        Ok(())
    }
}
