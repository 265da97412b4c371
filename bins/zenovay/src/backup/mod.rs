//! Backups: a directory with any number of them, which share the files that never change.
//!
//! | name | what |
//! |---|---|
//! | `zenovay-backups` | says that the directory is one of backups, and of which format |
//! | `lock` | held while a backup is made or removed |
//! | `segments/NAME-CONTENT-SHA256.parquet` | sealed events. `CONTENT` tells files of one name apart before they are read |
//! | `replays/…` | chunks of recordings, under the names that they have |
//! | `erasures` | all visitors that were known to be erased when the last backup was made |
//! | `backup-NUMBER-TIME/` | a backup: `manifest.json`, `zenovay.db`, `events.db`, `captures.db`, `erasures` |
//! | `backup-NUMBER-TIME.tmp/`, `….tmp` | what is being made, or was when the process died |
//!
//! **One moment.** The store of events stands still between two commits ([`Copier::moment`]); that is when the transactions begin
//! in which the other databases are read, and when the erasures are read. Before that, what never changes is copied, so that little is
//! left; after it nothing that belongs to the moment goes away until it is copied.
//!
//! **Not in a backup**: `salts`, the secrets that visitors are named with. Whoever has them can find out who an anonymous visitor was.

mod database;
mod manifest;
mod restore;
mod schedule;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use zenovay_capture::{BlobName, CaptureError, Captures, recorded_blobs};
use zenovay_domain::{Clock, Timestamp};
use zenovay_events::{ChangeError, Copier, EventStore, Moment, SegmentFile, WebsiteRows};

pub(crate) use self::database::{DatabaseError, Source};
pub use self::manifest::{BlobTotals, Listed, Manifest, StoredFile, WebsiteTotals};
pub use self::restore::{Restore, Restored, Verified, restore, verify};
pub use self::schedule::{BackupSchedule, Scheduled};
use crate::causes::with_causes;
use crate::config::Config;
use crate::data_dir::DataDirError;
use crate::erasures::{self, ERASURES, Erasure, Erasures};
use crate::files::{self, Copied, CopyError, FileError, UNFINISHED, Way, sync_dir};
use crate::formats;
use crate::runtime::ServeError;

/// Says that a directory is one of backups.
const MARKER: &str = "zenovay-backups";
const MARKER_LINE: &str = "format 1\n";
const LOCK: &str = "lock";
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
    /// Another backup is being made or removed.
    #[error("a backup is being made in {0} already")]
    Running(PathBuf),
    /// The directory has something else in it.
    #[error("{0} is not empty, and not a directory of backups: name another one")]
    NotBackups(PathBuf),
    /// The directory is in the data directory.
    #[error("{0} is in the data directory: a backup is of use where that is lost, so name another place")]
    Inside(PathBuf),
    /// The directory has backups of another store.
    #[error("{path} has backups of another store ({other}, this one is {store}): name another directory")]
    OtherStore {
        /// The directory.
        path: PathBuf,
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
    #[error("{}", damaged_words(.0))]
    DamagedFiles(Vec<String>),
    /// What is there is not what the manifest says.
    #[error("the backup is not what was written down when it was made: {}", .0.join("; "))]
    Differs(Vec<String>),
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
    format!("{files} of the backup cannot be used: {list}. Nothing was restored; --in-part restores the rest")
}

impl BackupError {
    pub(crate) fn io(path: &Path, cause: io::Error) -> Self {
        FileError::io(path, cause).into()
    }

    /// Of a copy from `from` to `to`.
    fn copy(from: &Path, to: &Path, error: CopyError) -> Self {
        match error {
            CopyError::Read(cause) => Self::io(from, cause),
            CopyError::Write(cause) => Self::io(to, cause),
            CopyError::Cancelled => Self::Cancelled,
        }
    }

    fn database(from: &Path, to: &Path, error: DatabaseError) -> Self {
        match error {
            DatabaseError::Sqlite(cause) => FileError::database(from, cause).into(),
            DatabaseError::Copy(error) => Self::copy(from, to, error),
        }
    }
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// The folder of the backup.
    pub path: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
    /// How many bytes were copied for it. The rest was there.
    pub copied_bytes: u64,
    /// The backups that were removed because there are enough newer ones.
    pub removed: Vec<String>,
}

impl Made {
    /// The same for whoever asked.
    pub fn json(&self) -> serde_json::Value {
        let Self { path, manifest, copied_bytes, removed } = self;
        serde_json::json!({
            "backup": path,
            "created_at": manifest.created_at,
            "rows": manifest.rows,
            "websites": manifest.websites.len(),
            "copied_bytes": copied_bytes,
            "damaged": manifest.damaged,
            "removed": removed,
        })
    }
}

/// Makes backups of the stores of one process, one at a time.
pub struct Backups {
    data_dir: PathBuf,
    database: PathBuf,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventStore>,
    captures: Arc<Captures>,
    erasures: Arc<Erasures>,
    running: Mutex<()>,
    is_cancelled: AtomicBool,
}

impl Backups {
    /// Of the stores of the data directory of `config`.
    pub fn new(
        config: &Config,
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventStore>,
        captures: Arc<Captures>,
        erasures: Arc<Erasures>,
    ) -> Self {
        Self {
            data_dir: config.data_dir.clone(),
            database: config.database_path(),
            clock,
            events,
            captures,
            erasures,
            running: Mutex::default(),
            is_cancelled: AtomicBool::new(false),
        }
    }

    /// Makes a backup in the directory `dir`, which is made when it is missing, and removes all but the `keep` newest. `is_gentle`
    /// when somebody else needs the disk. A backup with damage in it replaces none.
    ///
    /// # Errors
    /// [`BackupError`]; the backups that were there stay.
    pub fn make(&self, dir: &Path, keep: Option<usize>, is_gentle: bool) -> Result<Made, BackupError> {
        let Some(_running) = self.running.try_lock() else { return Err(BackupError::Running(dir.to_owned())) };
        let pool = Pool::open(dir, &self.data_dir)?;
        let way = Way { is_gentle, cancelled: &self.is_cancelled };
        let mut work = Work {
            backups: self,
            way: &way,
            earlier: list(dir)?.pop(),
            made: dir.join(PREFIX),
            pool,
            sources: None,
            moment: None,
            copied_bytes: 0,
            files: Vec::new(),
            damaged: Vec::new(),
            error: None,
        };
        let (path, manifest, copied_bytes) = work.run()?;
        let mut removed = Vec::new();
        if manifest.damaged.is_empty()
            && let Some(keep) = keep
        {
            removed = work.pool.keep_newest(keep)?;
        }
        // The backup is there whether or not this succeeds; the next one tries it again.
        if let Err(error) = work.pool.sweep() {
            tracing::warn!(%error, "files that no backup needs may be left in the directory of backups");
        }
        Ok(Made { path, manifest, copied_bytes, removed })
    }

    /// Ends what is being made, and lets nothing begin any more.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }
}

/// The finished backups in the directory `dir`, the oldest first. What cannot be read is not among them.
///
/// # Errors
/// [`BackupError::File`].
pub fn list(dir: &Path) -> Result<Vec<Listed>, BackupError> {
    let folders = folders(dir)?.into_iter().map(|name| dir.join(name));
    let listed = folders.filter_map(|path| Manifest::read(&path).ok().map(|manifest| Listed { path, manifest }));
    Ok(listed.collect())
}

/// The names of backups in `dir` that were begun and not finished, while none is being made.
///
/// # Errors
/// [`BackupError::File`].
pub fn unfinished(dir: &Path) -> Result<Vec<String>, BackupError> {
    let is_running =
        File::open(dir.join(LOCK)).is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)));
    if is_running {
        return Ok(Vec::new());
    }
    let names = names(dir)?.into_iter();
    Ok(names.filter(|name| name.starts_with(PREFIX) && name.ends_with(UNFINISHED)).collect())
}

/// The names of the finished backups in `dir`, the oldest first.
fn folders(dir: &Path) -> Result<Vec<String>, BackupError> {
    let names = names(dir)?.into_iter().filter(|name| name.starts_with(PREFIX) && !name.ends_with(UNFINISHED));
    Ok(names.filter(|name| dir.join(name).join(manifest::MANIFEST).exists()).collect())
}

/// The names in the folder `dir`, sorted; none when there is none.
fn names(dir: &Path) -> Result<BTreeSet<String>, BackupError> {
    let failed = |cause| BackupError::io(dir, cause);
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        names.extend(entry.map_err(failed)?.file_name().into_string().ok());
    }
    Ok(names)
}

/// The number of a backup, by its name.
fn number(name: &str) -> u64 {
    name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse().ok()).unwrap_or(0)
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

/// A directory of backups that this process alone changes.
struct Pool {
    dir: PathBuf,
    /// The files with sealed events that are there, by name and content.
    segments: BTreeMap<String, StoredFile>,
    _lock: File,
}

impl Pool {
    fn open(dir: &Path, data_dir: &Path) -> Result<Self, BackupError> {
        let failed = |cause| BackupError::io(dir, cause);
        files::make_dir(dir).map_err(failed)?;
        let real = |path: &Path| fs::canonicalize(path).map_err(failed);
        if real(dir)?.starts_with(real(data_dir)?) {
            // Not left behind when it was made here; one with something in it stays.
            let _ = fs::remove_dir(dir);
            return Err(BackupError::Inside(dir.to_owned()));
        }
        let marker = dir.join(MARKER);
        match fs::read_to_string(&marker) {
            Ok(line) if line == MARKER_LINE => {}
            Ok(line) => {
                let problem = format!("it says {:?}, not {:?}", line.trim_end(), MARKER_LINE.trim_end());
                return Err(BackupError::Damaged { path: marker, problem });
            }
            Err(_) => {
                // A file system of its own may have this.
                if names(dir)?.iter().any(|name| name != "lost+found" && *name != format!("{MARKER}{UNFINISHED}")) {
                    return Err(BackupError::NotBackups(dir.to_owned()));
                }
                files::replace(&marker, MARKER_LINE.as_bytes()).map_err(|cause| BackupError::io(&marker, cause))?;
            }
        }
        let path = dir.join(LOCK);
        let lock = files::create(&path).map_err(|cause| BackupError::io(&path, cause))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::Running(dir.to_owned())),
            Err(TryLockError::Error(cause)) => return Err(BackupError::io(&path, cause)),
        }
        let mut pool = Self { dir: dir.to_owned(), segments: BTreeMap::new(), _lock: lock };
        // What was not finished when the process died.
        for name in names(dir)?.iter().filter(|name| name.starts_with(PREFIX) && name.ends_with(UNFINISHED)) {
            pool.remove_folder(name)?;
        }
        pool.read_segments()?;
        Ok(pool)
    }

    fn remove_folder(&self, name: &str) -> Result<(), BackupError> {
        let path = self.dir.join(name);
        fs::remove_dir_all(&path).map_err(|cause| BackupError::io(&path, cause))
    }

    fn read_segments(&mut self) -> Result<(), BackupError> {
        let folder = self.dir.join(SEGMENTS);
        files::make_dir(&folder).map_err(|cause| BackupError::io(&folder, cause))?;
        for name in names(&folder)? {
            let path = folder.join(&name);
            if name.ends_with(UNFINISHED) {
                fs::remove_file(&path).map_err(|cause| BackupError::io(&path, cause))?;
                continue;
            }
            let Some((key, sha256)) = name.strip_suffix(".parquet").and_then(|name| name.rsplit_once('-')) else {
                continue;
            };
            let bytes = fs::metadata(&path).map_err(|cause| BackupError::io(&path, cause))?.len();
            let segment = key.rsplit_once('-').map_or(key, |(segment, _)| segment);
            let file = StoredFile {
                name: format!("{SEGMENTS}/{segment}.parquet"),
                stored: format!("{SEGMENTS}/{name}"),
                bytes,
                sha256: sha256.to_owned(),
            };
            self.segments.insert(key.to_owned(), file);
        }
        Ok(())
    }

    /// What files of the same name and content have in common.
    fn key(file: &SegmentFile) -> String {
        format!("{}-{:016x}", file.name.trim_end_matches(".parquet"), file.content)
    }

    /// The file, when it is there.
    fn segment(&self, file: &SegmentFile) -> Option<&StoredFile> {
        self.segments.get(&Self::key(file)).filter(|stored| stored.bytes == file.bytes)
    }

    /// Copies the file. Gives what is wrong with it when it cannot be read, or is not as long as it was.
    fn add_segment(&mut self, file: &SegmentFile, way: &Way<'_>) -> Result<Result<u64, io::Error>, BackupError> {
        let key = Self::key(file);
        let folder = self.dir.join(SEGMENTS);
        let new = folder.join(format!("{key}{UNFINISHED}"));
        let mut from = match File::open(&file.path) {
            Ok(from) => from,
            Err(error) => return Ok(Err(error)),
        };
        let mut to = files::create(&new).map_err(|cause| BackupError::io(&new, cause))?;
        let copied = match way.copy(&mut from, &mut to) {
            Err(CopyError::Read(error)) => return Ok(Err(error)),
            copied => copied.map_err(|error| BackupError::copy(&file.path, &new, error))?,
        };
        let Copied { bytes, sha256 } = copied;
        let name = format!("{key}-{sha256}.parquet");
        let path = folder.join(&name);
        let placed = fs::rename(&new, &path).and_then(|()| sync_dir(&folder));
        placed.map_err(|cause| BackupError::io(&path, cause))?;
        let stored = StoredFile {
            name: format!("{SEGMENTS}/{}", file.name),
            stored: format!("{SEGMENTS}/{name}"),
            bytes,
            sha256,
        };
        self.segments.insert(key, stored);
        if bytes == file.bytes {
            return Ok(Ok(bytes));
        }
        let words = format!("it has {bytes} bytes, and {} were written", file.bytes);
        Ok(Err(io::Error::new(io::ErrorKind::InvalidData, words)))
    }

    /// Removes all backups but the `keep` newest, and tells which.
    fn keep_newest(&self, keep: usize) -> Result<Vec<String>, BackupError> {
        let mut all = folders(&self.dir)?;
        all.truncate(all.len().saturating_sub(keep.max(1)));
        for name in &all {
            // Without its name it is no backup any more, however much of it is left.
            let gone = format!("{name}{UNFINISHED}");
            let (from, to) = (self.dir.join(name), self.dir.join(&gone));
            let renamed = fs::rename(&from, &to).and_then(|()| sync_dir(&self.dir));
            renamed.map_err(|cause| BackupError::io(&from, cause))?;
            self.remove_folder(&gone)?;
        }
        Ok(all)
    }

    /// Removes the shared files that no backup has.
    fn sweep(&self) -> Result<(), BackupError> {
        let mut segments: BTreeSet<String> = BTreeSet::new();
        // Hashes of the names: two that are alike keep a file that might go.
        let (mut blobs, hasher) = (HashSet::new(), RandomState::new());
        for name in folders(&self.dir)? {
            let backup = self.dir.join(&name);
            segments.extend(Manifest::read(&backup)?.segments.into_iter().map(|file| file.stored));
            recorded_blobs(&backup.join(CAPTURES), &mut |blob| {
                blobs.insert(hasher.hash_one(blob.as_str()));
                true
            })?;
        }
        for name in names(&self.dir.join(SEGMENTS))? {
            let stored = format!("{SEGMENTS}/{name}");
            if !segments.contains(&stored) {
                let path = self.dir.join(stored);
                fs::remove_file(&path).map_err(|cause| BackupError::io(&path, cause))?;
            }
        }
        self.sweep_blobs(REPLAYS, &|name| blobs.contains(&hasher.hash_one(name)))
    }

    /// Removes the files below the folder `name` that are not needed, and the folders that are empty then.
    fn sweep_blobs(&self, name: &str, is_needed: &dyn Fn(&str) -> bool) -> Result<(), BackupError> {
        let folder = self.dir.join(name);
        for below in names(&folder)? {
            let (path, name) = (folder.join(&below), format!("{name}/{below}"));
            if path.is_dir() {
                self.sweep_blobs(&name, is_needed)?;
                // It fails where something is left.
                let _ = fs::remove_dir(&path);
            } else if !is_needed(&name) {
                fs::remove_file(&path).map_err(|cause| BackupError::io(&path, cause))?;
            }
        }
        Ok(())
    }
}

/// The databases whose moment is taken with that of the events.
struct Sources {
    metadata: Source,
    captures: Source,
}

/// One backup that is being made.
struct Work<'a> {
    backups: &'a Backups,
    way: &'a Way<'a>,
    /// The newest backup that is there.
    earlier: Option<Listed>,
    /// The folder of the new one, as long as it is not finished.
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
    fn run(&mut self) -> Result<(PathBuf, Manifest, u64), BackupError> {
        self.copy_what_stays()?;
        let now = self.backups.clock.now();
        let last = folders(&self.pool.dir)?.last().map_or(0, |name| number(name));
        let time: String = now.to_string().chars().filter(|c| *c != ':').collect();
        let name = format!("{PREFIX}{:06}-{time}", last + 1);
        let path = self.pool.dir.join(&name);
        self.made = files::unfinished(&path);
        files::make_dir(&self.made).map_err(|cause| BackupError::io(&self.made, cause))?;

        let backups = self.backups;
        let totals = {
            let _erasing = backups.erasures.turn();
            let _blobs = backups.captures.keep_blobs();
            let open = |path: &Path| Source::open(path).map_err(|cause| FileError::database(path, cause));
            let captures = backups.data_dir.join(CAPTURES);
            self.sources = Some(Sources { metadata: open(&backups.database)?, captures: open(&captures)? });
            let copied = backups.events.copy(self);
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            copied?;
            self.copy_databases(&captures)?;
            self.copy_blobs(&self.made.join(CAPTURES))?
        };
        let manifest = self.finish(totals, &path)?;
        Ok((path, manifest, self.copied_bytes))
    }

    /// Copies what never changes, before the moment: what comes meanwhile is little.
    fn copy_what_stays(&mut self) -> Result<(), BackupError> {
        for _ in 0..ROUNDS {
            let mut is_any = false;
            for file in self.backups.events.segment_files() {
                if self.pool.segment(&file).is_none() {
                    // One that is gone was replaced. What is wrong with one is said when it belongs to the moment.
                    if let Ok(bytes) = self.pool.add_segment(&file, self.way)? {
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
        self.copy_blobs(&index)?;
        // They belong to another time.
        self.damaged.clear();
        Ok(())
    }

    /// Copies the chunks of recordings that `index` names and that are not there.
    fn copy_blobs(&mut self, index: &Path) -> Result<BlobTotals, BackupError> {
        let mut totals = BlobTotals::default();
        let mut failed = None;
        recorded_blobs(index, &mut |name| match self.copy_blob(name) {
            Ok(bytes) => {
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
        self.way.go_on().map_err(|error| BackupError::copy(&self.pool.dir, &self.pool.dir, error))?;
        let path = self.pool.dir.join(name.as_str());
        if let Ok(there) = fs::metadata(&path) {
            return Ok(there.len());
        }
        let started = std::time::Instant::now();
        let bytes = match self.backups.captures.blobs().get(name) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.damaged.push(error.to_string());
                return Ok(0);
            }
        };
        let folder = path.parent().unwrap_or(&self.pool.dir);
        let written = files::make_dir(folder).and_then(|()| files::replace(&path, &bytes));
        written.map_err(|cause| BackupError::io(&path, cause))?;
        self.copied_bytes += bytes.len() as u64;
        self.way.pause(started);
        Ok(bytes.len() as u64)
    }

    fn copy_databases(&mut self, captures: &Path) -> Result<(), BackupError> {
        let Some(sources) = self.sources.take() else { return Ok(()) };
        let database = self.backups.database.clone();
        for (source, from, name) in
            [(sources.metadata, database.as_path(), METADATA), (sources.captures, captures, CAPTURES)]
        {
            let to = self.made.join(name);
            source.copy(&to, self.way).map_err(|error| BackupError::database(from, &to, error))?;
            let copied = self.way.hash(&to).map_err(|error| BackupError::copy(&to, &to, error))?;
            self.add(name, copied);
        }
        Ok(())
    }

    /// Notes a file of this backup alone.
    fn add(&mut self, name: &str, Copied { bytes, sha256 }: Copied) {
        self.copied_bytes += bytes;
        // By the name that the folder has in the end.
        let folder = self.made.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let stored = format!("{}/{name}", folder.trim_end_matches(UNFINISHED));
        self.files.push(StoredFile { name: name.to_owned(), stored, bytes, sha256 });
    }

    /// Writes down what there is, and gives the backup its name.
    fn finish(&mut self, recordings: BlobTotals, path: &Path) -> Result<Manifest, BackupError> {
        let Some((moment, now, erased)) = self.moment.take() else { return Err(BackupError::Cancelled) };
        let list = self.made.join(ERASURES);
        erasures::write(&list, &erased).map_err(|cause| BackupError::io(&list, cause))?;
        let copied = self.way.hash(&list).map_err(|error| BackupError::copy(&list, &list, error))?;
        self.add(ERASURES, copied);
        let mut tables = BTreeMap::new();
        for name in [METADATA, CAPTURES] {
            let path = self.made.join(name);
            let rows = database::rows(&path).map_err(|cause| FileError::database(&path, cause))?;
            tables.insert(name.to_owned(), rows);
        }
        let segments = moment.segments.iter().filter_map(|file| self.pool.segment(file).cloned()).collect();
        let manifest = Manifest {
            format: Manifest::FORMAT,
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
        };
        let all = self.pool.dir.join(ERASURES);
        let known = erasures::read(&all).map_err(|cause| BackupError::io(&all, cause))?;
        let known: BTreeSet<Erasure> = known.union(&erased).copied().collect();
        erasures::write(&all, &known).map_err(|cause| BackupError::io(&all, cause))?;
        let mut bytes =
            serde_json::to_vec_pretty(&manifest).map_err(|error| BackupError::io(path, io::Error::other(error)))?;
        bytes.push(b'\n');
        let at = self.made.join(manifest::MANIFEST);
        files::replace(&at, &bytes).map_err(|cause| BackupError::io(&at, cause))?;
        let named = fs::rename(&self.made, path).and_then(|()| sync_dir(&self.pool.dir));
        named.map_err(|cause| BackupError::io(path, cause))?;
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
        if let Some(earlier) = &self.earlier
            && earlier.manifest.store != moment.store
        {
            let (path, other) = (self.pool.dir.clone(), earlier.manifest.store.clone());
            return Err(self.end(BackupError::OtherStore { path, other, store: moment.store.clone() }));
        }
        if let Some(sources) = &self.sources {
            let taken = [(&sources.metadata, METADATA), (&sources.captures, CAPTURES)];
            let failed = taken.into_iter().find_map(|(source, name)| Some((source.take_moment().err()?, name)));
            if let Some((cause, name)) = failed {
                return Err(self.end(FileError::database(Path::new(name), cause).into()));
            }
        }
        let erased = self.backups.erasures.all()?;
        self.moment = Some((moment.clone(), self.backups.clock.now(), erased));
        Ok(())
    }

    fn log(&mut self, bytes: &mut dyn Read) -> io::Result<()> {
        let to = self.made.join(EVENTS);
        let mut file = files::create(&to)?;
        // Fast: while this goes on the log grows.
        let way = Way { is_gentle: false, cancelled: self.way.cancelled };
        let copied = way.copy(bytes, &mut file).and_then(|copied| {
            file.flush().map_err(CopyError::Write)?;
            Ok(copied)
        });
        let from = self.backups.data_dir.join(EVENTS);
        let copied = copied.map_err(|error| self.end(BackupError::copy(&from, &to, error)))?;
        self.add(EVENTS, copied);
        Ok(())
    }

    fn segments(&mut self, moment: &Moment) -> io::Result<()> {
        for file in &moment.segments {
            if self.pool.segment(file).is_none() {
                match self.pool.add_segment(file, self.way) {
                    Ok(Ok(bytes)) => self.copied_bytes += bytes,
                    Ok(Err(error)) => self.damaged.push(format!("{SEGMENTS}/{}: {error}", file.name)),
                    Err(error) => return Err(self.end(error)),
                }
            }
        }
        self.damaged.extend(self.backups.events.damages());
        Ok(())
    }
}
