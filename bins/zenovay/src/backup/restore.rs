//! From a backup to a data directory, and whether one could be made of it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zenovay_capture::{is_whole_blob, recorded_blobs};
use zenovay_events::{Copier, Moment};

use super::manifest::{BlobTotals, Manifest, StoredFile, WebsiteTotals};
use super::place::{self, Place};
use super::{
    BackupError, CAPTURES, EVENTS, METADATA, REPLAYS, database, folders, newest, noted_erasures, read_erasures, rot,
};
use crate::causes::with_causes;
use crate::config::{BackupPlace, Config};
use crate::data_dir::{self, LOCK, RESTORING, ServerLock};
use crate::erasures::{self, ERASURES, Erasure};
use crate::files::{self, AT_ONCE, Copied, CopyError, FileError, sync_dir};
use crate::runtime::Stores;
use crate::{formats, upgrade};

/// What of the folder of a restore is in the data directory already, while that is moved there.
const MOVED: &str = "moved";
/// The folder of a restore that came to its end.
const RESTORED: &str = "zenovay.restored";
/// The file of the data directory with the visitors that are to be erased when what is damaged is repaired.
const ERASE_AGAIN: &str = "zenovay.erase-again";

/// What is to be restored, and how.
#[derive(Debug)]
pub struct Restore<'a> {
    /// A backup, or a place of backups, of which the newest is meant.
    pub backup: &'a BackupPlace,
    /// The data directory that the backup is of, when it is still there: its erasures are done again, and its `salts` taken.
    pub old: Option<&'a Path>,
    /// Whether what can be used is restored when something cannot.
    pub in_part: bool,
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// The backup.
    pub backup: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Files that are damaged or missing in the backup, or were when it was made.
    pub damaged: Vec<String>,
    /// How many visitors were erased after the backup was made.
    pub later_erasures: usize,
    /// Whether they were erased again. What is damaged has to be repaired before, and events in ClickHouse are erased by the first server.
    pub are_erased: bool,
}

/// What a backup was found to have.
#[derive(Debug)]
pub struct Verified {
    /// The backup.
    pub backup: PathBuf,
    /// What it says of itself, which is true.
    pub manifest: Manifest,
}

/// A backup that is read.
struct Opened {
    /// The place that it is in, where it shares files.
    place: Box<dyn Place>,
    name: String,
    manifest: Manifest,
}

impl Opened {
    /// The backup that `address` means.
    fn new(address: &BackupPlace, config: &Config) -> Result<Self, BackupError> {
        let failed = |cause| BackupError::io(&address.at(""), cause);
        let mut place = place::open(address, config, None)?;
        let name = match folders(&*place)?.pop_last() {
            Some(newest) => newest,
            None => {
                let nothing = || BackupError::NoBackup(address.at(""));
                // A directory may have the name of a backup by a link.
                let backup = place.real().map_err(failed)?.address().clone();
                let (above, name) = backup.split().ok_or_else(nothing)?;
                place = place::open(&above, config, None)?;
                name
            }
        };
        let place = place.real().map_err(failed)?;
        let manifest = Manifest::read(&*place, &name).map_err(|error| match error {
            BackupError::Damaged { path, problem } => BackupError::Damaged {
                path,
                problem: format!("{problem}; take another backup, `zenovay backup --list` names them"),
            },
            error => error,
        })?;
        Ok(Self { place, name, manifest })
    }

    /// Where it is.
    fn path(&self) -> PathBuf {
        self.place.address().at(&self.name)
    }
}

/// Puts what a backup has into the data directory of `config`, which must be empty or not there.
///
/// # Errors
/// [`BackupError`]. What was begun is removed when it is tried again, and nothing else.
pub fn restore(config: &Config, what: &Restore<'_>) -> Result<Restored, BackupError> {
    let opened = Opened::new(what.backup, config)?;
    let target = &config.data_dir;
    if let BackupPlace::Dir(place) = opened.place.address()
        && real(target).map_err(|cause| BackupError::io(target, cause))?.starts_with(place)
    {
        return Err(BackupError::AmongBackups(target.clone()));
    }
    // Before anything is done, so that what cannot be read is no surprise at the end.
    let later = later_erasures(&opened, what.old)?;
    let at = |path: &Path| real(path).map_err(|cause| BackupError::io(path, cause));
    let metadata = at(&config.sqlite_path())?;
    let target = &at(target)?;
    // Nobody else restores to it, and no server starts on it.
    let (staging, _lock) = begin(target, &metadata)?;
    let put = || -> Result<Vec<String>, BackupError> {
        let mut staged = config.clone();
        staged.data_dir.clone_from(&staging);
        (staged.database_url, staged.events_url) = (None, None);
        let in_staging = staged.sqlite_path();
        let mut work = Work::new(&opened, &staging, &in_staging);
        work.damaged.clone_from(&opened.manifest.damaged);
        work.all(!what.in_part)?;
        let damaged = work.damaged;
        if let Some(old) = what.old {
            take_salts(old, &staging)?;
        }
        let known = noted_erasures(&staging)?;
        let write = |name: &str, erasures: &BTreeSet<Erasure>| {
            let list = staging.join(name);
            erasures::write(&list, erasures).map_err(|cause| BackupError::io(&list, cause))
        };
        write(ERASURES, &known.union(&later).copied().collect())?;
        upgrade::note(&staging, &opened.manifest.formats).map_err(|cause| BackupError::io(&staging, cause))?;
        if let Some(elsewhere) = &opened.manifest.elsewhere {
            let noted = data_dir::note_clickhouse(&staging, &elsewhere.clickhouse);
            noted.map_err(|cause| BackupError::io(&staging, cause))?;
        }
        let is_whole = damaged.is_empty() && opened.manifest.elsewhere.is_none();
        match (later.is_empty(), is_whole) {
            (true, _) => {}
            (false, true) => erase(&staged, &later)?,
            // What is damaged cannot be opened before it is repaired, and events that are elsewhere are there for who knows where.
            (false, false) => write(ERASE_AGAIN, &later)?,
        }
        finish(&staging, target, &metadata).map_err(|cause| BackupError::io(target, cause))?;
        Ok(damaged)
    };
    let put = put();
    if put.is_err() && !staging.exists() {
        // Nothing is left of it.
        let _ = fs::remove_file(target.join(LOCK));
    }
    let damaged = put?;
    let is_whole = damaged.is_empty() && opened.manifest.elsewhere.is_none();
    let backup = opened.path();
    Ok(Restored { backup, manifest: opened.manifest, damaged, later_erasures: later.len(), are_erased: is_whole })
}

/// `path` without a link in it, as far as it is there.
fn real(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(&path);
    let rest = path.strip_prefix(there).unwrap_or(Path::new(""));
    Ok(fs::canonicalize(there)?.join(rest))
}

/// Erases the visitors that could not be erased again when a backup was restored in part to the data directory of `stores`, where
/// there are such. What is damaged has to be repaired before.
///
/// # Errors
/// [`BackupError`]; it is tried again by the next start.
pub(crate) fn erase_again(stores: &Stores) -> Result<(), BackupError> {
    let list = stores.erasures.directory().join(ERASE_AGAIN);
    let failed = |cause| BackupError::io(&list, cause);
    let visitors = erasures::read(&list).map_err(failed)?;
    if visitors.is_empty() {
        return Ok(());
    }
    let keepers = stores.keepers();
    for Erasure { website, visitor, .. } in &visitors {
        keepers.erase_visitor(*website, *visitor).map_err(|error| BackupError::Erase(with_causes(&error)))?;
    }
    tracing::info!(
        visitors = visitors.len(),
        "erased again what was erased after the backup that was restored was made"
    );
    fs::remove_file(&list).map_err(failed)
}

/// Makes sure that nothing is in the way, and takes `target`; makes the folder in it in which everything is put together: while that
/// is there no server starts, and nothing else is removed by who begins anew.
fn begin(target: &Path, metadata: &Path) -> Result<(PathBuf, ServerLock), BackupError> {
    let failed = |cause| BackupError::io(target, cause);
    let staging = target.join(RESTORING);
    if target.exists() {
        data_dir::refuse_held(target)?;
        expect_free(target, metadata)?;
    }
    data_dir::create(target)?;
    let lock = ServerLock::acquire(target)?;
    // Somebody may have been faster.
    expect_free(target, metadata)?;
    for path in moved(target).map_err(failed)? {
        remove(&path)?;
    }
    remove(&staging)?;
    files::make_dir(&staging).and_then(|()| sync_dir(target)).map_err(failed)?;
    Ok((staging, lock))
}

/// Refuses a directory, or a place of the metadata, in which there is more than a restore put there that did not come to its end.
fn expect_free(target: &Path, metadata: &Path) -> Result<(), BackupError> {
    let failed = |cause| BackupError::io(target, cause);
    let moved = moved(target).map_err(failed)?;
    let is_own = |name: &str| ["lost+found", LOCK, RESTORING].contains(&name) || moved.contains(&target.join(name));
    if !super::names(target).map_err(failed)?.iter().all(|name| is_own(name)) {
        return Err(BackupError::NotEmpty(target.to_owned()));
    }
    if metadata.exists() && !moved.contains(metadata) {
        return Err(BackupError::NotEmpty(metadata.to_owned()));
    }
    Ok(())
}

/// Removes a file, or a folder with all that is in it. An earlier version had a file where there is a folder now.
fn remove(path: &Path) -> Result<(), BackupError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(BackupError::io(path, cause)),
        _ => Ok(()),
    }
}

/// Moves everything from the folder `staging` to the data directory `target`, and the database to `metadata`. Where is written down first,
/// so that who begins anew knows what was moved when that is interrupted.
fn finish(staging: &Path, target: &Path, metadata: &Path) -> io::Result<()> {
    // That of the folder, which was opened to erase something.
    let names = super::names(staging)?.into_iter().filter(|name| name != LOCK);
    let of = |name: String| {
        let place = if name.starts_with(METADATA) { upgrade::beside(metadata, &name) } else { target.join(&name) };
        (staging.join(name), place)
    };
    let moves: Vec<(PathBuf, PathBuf)> = names.map(of).collect();
    let mut lines: BTreeSet<String> = moves.iter().map(|(_, to)| to.display().to_string()).collect();
    // A folder for the database in the data directory.
    if let Some(folder) = metadata.strip_prefix(target).ok().and_then(|inside| inside.components().next()) {
        lines.insert(target.join(folder).display().to_string());
    }
    files::replace(&staging.join(MOVED), lines.into_iter().map(|line| line + "\n").collect::<String>().as_bytes())?;
    let folder = metadata.parent().unwrap_or(target);
    files::make_dir(folder)?;
    for (from, to) in &moves {
        upgrade::move_file(from, to)?;
    }
    sync_dir(folder)?;
    sync_dir(target)?;
    // At once: what is left of it when this is interrupted is in nobody's way.
    let done = target.join(RESTORED);
    fs::rename(staging, &done)?;
    sync_dir(target)?;
    fs::remove_dir_all(done)
}

/// What a restore to `target` moved to where it belongs before it was interrupted.
fn moved(target: &Path) -> io::Result<BTreeSet<PathBuf>> {
    match fs::read_to_string(target.join(RESTORING).join(MOVED)) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(BTreeSet::new())
        }
        lines => Ok(lines?.lines().map(PathBuf::from).collect()),
    }
}

/// The erasures that are not in the backup: of the place of backups, of its newest backup, for the list of the place may have been
/// lost, and of the old data directory.
fn later_erasures(opened: &Opened, old: Option<&Path>) -> Result<BTreeSet<Erasure>, BackupError> {
    let read = |name: &str| read_erasures(&*opened.place, name);
    let of_backup = |manifest: &Manifest| {
        let list = manifest.files.iter().find(|file| file.name == ERASURES);
        list.map_or(Ok(BTreeSet::new()), |file| read(&file.stored))
    };
    let mut all = read(ERASURES)?;
    if let Some(newest) = newest(&*opened.place, &folders(&*opened.place)?)? {
        all.extend(of_backup(&newest.manifest)?);
    }
    if let Some(old) = old {
        if !old.join(METADATA).exists() && !old.join(EVENTS).exists() && !old.join(ERASURES).exists() {
            return Err(BackupError::io(old, io::Error::new(io::ErrorKind::NotFound, "it is not a data directory")));
        }
        all.extend(noted_erasures(old)?);
    }
    let known = of_backup(&opened.manifest)?;
    Ok(all.difference(&known).copied().collect())
}

/// Takes over the secrets that visitors are named with, which no backup has.
fn take_salts(old: &Path, target: &Path) -> Result<(), BackupError> {
    let (from, to) = (old.join("salts"), target.join("salts"));
    match fs::read(&from) {
        Ok(bytes) => files::replace(&to, &bytes).map_err(|cause| BackupError::io(&to, cause)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(BackupError::io(&from, cause)),
    }
}

/// Erases the visitors of `later` again, which are noted already.
fn erase(config: &Config, later: &BTreeSet<Erasure>) -> Result<(), BackupError> {
    let stores = Stores::open_restored(config).map_err(|error| BackupError::Open(Box::new(error)))?;
    let keepers = stores.keepers();
    for Erasure { website, visitor, .. } in later {
        // It is noted once more, with the time of today: a copy of today that is restored has to know it, too.
        keepers.erase_visitor(*website, *visitor).map_err(|error| BackupError::Erase(with_causes(&error)))?;
    }
    stores.events.shutdown();
    upgrade::note(&config.data_dir, &formats::present()).map_err(|cause| BackupError::io(&config.data_dir, cause))
}

/// A restore that is under way.
struct Work<'a> {
    backup: &'a Opened,
    /// The folder that everything is put into, which is of nothing else.
    target: &'a Path,
    /// Where the metadata go.
    metadata: &'a Path,
    damaged: Vec<String>,
    /// The files among these that backups share, by their names there.
    rotten: BTreeSet<String>,
}

impl<'a> Work<'a> {
    fn new(backup: &'a Opened, target: &'a Path, metadata: &'a Path) -> Self {
        Self { backup, target, metadata, damaged: Vec::new(), rotten: BTreeSet::new() }
    }

    /// Copies everything. When `all_or_nothing`, damage ends it.
    fn all(&mut self, all_or_nothing: bool) -> Result<(), BackupError> {
        let manifest = &self.backup.manifest;
        let before = self.damaged.len();
        // With events and without metadata no server starts, so the one comes first and the other last.
        let order =
            |file: &&StoredFile| [EVENTS, CAPTURES, ERASURES, METADATA].iter().position(|name| *name == file.name);
        let mut own: Vec<&StoredFile> = manifest.files.iter().collect();
        own.sort_by_key(order);
        let last = own.pop().filter(|file| file.name == METADATA);
        let Some(metadata) = last else {
            let problem = format!("it names no {METADATA}");
            return Err(BackupError::Damaged { path: self.backup.path().join(super::MANIFEST), problem });
        };
        let from = self.at(&metadata.stored);
        let source = self.backup.place.read(&metadata.stored).map_err(CopyError::Read);
        let problem = match source.and_then(|mut source| AT_ONCE.hash(&mut *source)) {
            Ok(found) => unlike(metadata, &found),
            Err(CopyError::Read(error)) => Some(self.of_one_file(&metadata.stored, error)?),
            Err(error) => return Err(BackupError::copy(&from, &from, error)),
        };
        if let Some(problem) = problem {
            self.clear()?;
            let problem = format!("{problem}; without it nobody knows whose the events are, so take another backup");
            return Err(BackupError::Damaged { path: from, problem });
        }
        for file in own {
            let is_database = file.name == EVENTS || file.name == CAPTURES;
            self.copy(file, &self.target.join(&file.name), is_database)?;
        }
        let folder = self.target.join(super::SEGMENTS);
        files::make_dir(&folder).map_err(|cause| BackupError::io(&folder, cause))?;
        for file in &manifest.segments {
            // What is damaged is put back all the same: `zenovay repair` saves the sound parts of it.
            self.copy(file, &self.target.join(&file.name), false)?;
        }
        sync_dir(&folder).map_err(|cause| BackupError::io(&folder, cause))?;
        let blobs = self.copy_blobs()?;
        if blobs.count != manifest.recordings.count && self.damaged.is_empty() {
            self.damaged.push(format!("{} of {} chunks of recordings", blobs.count, manifest.recordings.count));
        }
        if all_or_nothing && self.damaged.len() > before {
            self.clear()?;
            return Err(BackupError::DamagedFiles(self.damaged.split_off(before)));
        }
        self.copy(metadata, self.metadata, true)?;
        sync_dir(self.target).map_err(|cause| BackupError::io(self.target, cause))
    }

    /// Removes what was restored, so that it can be tried again with another backup.
    fn clear(&self) -> Result<(), BackupError> {
        fs::remove_dir_all(self.target).map_err(|cause| BackupError::io(self.target, cause))
    }

    /// Where the file `stored` of the backup is.
    fn at(&self, stored: &str) -> PathBuf {
        self.backup.place.address().at(stored)
    }

    /// What is told of an error at reading `stored`; one that is not about this file alone ends the restore.
    fn of_one_file(&self, stored: &str, error: io::Error) -> Result<String, BackupError> {
        if self.backup.place.is_of_one_file(&error) {
            return Ok(error.to_string());
        }
        self.clear()?;
        Err(BackupError::io(&self.at(stored), error))
    }

    /// Copies one file. One that is not what was written is noted, and left out when it `must_be_whole`.
    fn copy(&mut self, file: &StoredFile, to: &Path, must_be_whole: bool) -> Result<(), BackupError> {
        let problem = match self.backup.place.read(&file.stored) {
            Err(error) => self.of_one_file(&file.stored, error)?,
            Ok(mut source) => {
                let mut target = files::create(to).map_err(|cause| BackupError::io(to, cause))?;
                match AT_ONCE.copy(&mut *source, &mut target) {
                    Ok(copied) => match unlike(file, &copied) {
                        None => return Ok(()),
                        Some(problem) => problem,
                    },
                    Err(CopyError::Read(error)) => self.of_one_file(&file.stored, error)?,
                    Err(error) => return Err(BackupError::copy(&self.at(&file.stored), to, error)),
                }
            }
        };
        self.damaged.push(format!("{}: {problem}", file.stored));
        if Path::new(&file.stored).starts_with(super::SEGMENTS) {
            self.rotten.insert(file.stored.clone());
        }
        if must_be_whole && to.exists() {
            fs::remove_file(to).map_err(|cause| BackupError::io(to, cause))?;
        }
        Ok(())
    }

    /// Copies the chunks of recordings that the restored index names.
    fn copy_blobs(&mut self) -> Result<BlobTotals, BackupError> {
        let index = self.target.join(CAPTURES);
        let mut totals = BlobTotals::default();
        if !index.exists() {
            return Ok(totals);
        }
        let mut failed = None;
        let target = self.target.to_owned();
        let (mut damaged, mut rotten) = (Vec::new(), BTreeSet::new());
        recorded_blobs(&index, &mut |name| {
            let to = target.join(name.as_str());
            let bytes = match place::read_whole(&*self.backup.place, name.as_str()) {
                Ok(bytes) => bytes,
                Err(error) => match self.of_one_file(name.as_str(), error) {
                    Ok(problem) => {
                        damaged.push(format!("{name}: {problem}"));
                        rotten.insert(name.to_string());
                        return true;
                    }
                    Err(error) => {
                        failed = Some(error);
                        return false;
                    }
                },
            };
            if !is_whole_blob(name, &bytes) {
                damaged.push(format!("{name}: its content is not what was written"));
                rotten.insert(name.to_string());
            }
            let written = files::make_dir(to.parent().unwrap_or(&target)).and_then(|()| files::create(&to));
            if let Err(cause) = written.and_then(|mut file| file.write_all(&bytes)) {
                failed = Some(BackupError::io(&to, cause));
                return false;
            }
            totals.count += 1;
            totals.bytes += bytes.len() as u64;
            true
        })?;
        self.damaged.append(&mut damaged);
        self.rotten.append(&mut rotten);
        if let Some(error) = failed {
            return Err(error);
        }
        let folder = self.target.join(REPLAYS);
        if folder.exists() {
            files::sync_file_system(self.target).map_err(|cause| BackupError::io(&folder, cause))?;
        }
        Ok(totals)
    }
}

/// What is wrong with a file, if anything.
fn unlike(file: &StoredFile, copied: &Copied) -> Option<String> {
    if copied.bytes != file.bytes {
        return Some(format!("it has {} bytes, and {} were written", copied.bytes, file.bytes));
    }
    (copied.sha256 != file.sha256).then(|| "its content is not what was written".to_owned())
}

/// Restores a backup to a temporary directory, reads everything that is stored, and compares it with what was written down. Also reads
/// what a restore reads beside the backup. What is damaged of what backups share is noted in the place: the next one sends it again.
///
/// # Errors
/// [`BackupError::Differs`] when it is not the same; others when it cannot be found out.
pub fn verify(config: &Config, backup: &BackupPlace) -> Result<Verified, BackupError> {
    let mut opened = Opened::new(backup, config)?;
    later_erasures(&opened, None)?;
    let temporary = opened.place.temporary().map_err(|cause| BackupError::io(&opened.path(), cause))?;
    let mut config = config.clone();
    config.data_dir = temporary.path().join("data");
    (config.database_url, config.events_url) = (None, None);
    data_dir::create(&config.data_dir)?;
    let metadata = config.sqlite_path();
    let mut work = Work::new(&opened, &config.data_dir, &metadata);
    let restored = work.all(true);
    let rotten = work.rotten;
    match restored {
        Err(BackupError::DamagedFiles(damages)) if !rotten.is_empty() => {
            let not_noted = rot::note(&mut *opened.place, &rotten).err().map(|error| error.to_string());
            return Err(BackupError::Rotten { damages, not_noted });
        }
        restored => restored?,
    }
    let Differences { words, rotten } = differences(&config, &opened.manifest)?;
    if words.is_empty() {
        return Ok(Verified { backup: opened.path(), manifest: opened.manifest });
    }
    if rotten.is_empty() {
        return Err(BackupError::Differs(words));
    }
    // They are as they were sent, and were damaged before.
    let not_noted = rot::note(&mut *opened.place, &rotten).err().map(|error| error.to_string());
    Err(BackupError::Rotten { damages: words, not_noted })
}

/// What is not as it was written down.
#[derive(Default)]
struct Differences {
    words: Vec<String>,
    /// The files that backups share among these, by their names there.
    rotten: BTreeSet<String>,
}

/// What is not in the data directory of `config` as `manifest` says.
fn differences(config: &Config, manifest: &Manifest) -> Result<Differences, BackupError> {
    let mut differences = Vec::new();
    for (name, path) in [(METADATA, config.sqlite_path()), (CAPTURES, config.data_dir.join(CAPTURES))] {
        let faults = database::faults(&path).map_err(|cause| FileError::database(&path, cause))?;
        differences.extend(faults.into_iter().map(|fault| format!("{name}: {fault}")));
        let rows = database::rows(&path).map_err(|cause| FileError::database(&path, cause))?;
        if manifest.tables.get(name) != Some(&rows) {
            differences.push(format!("{name} has other numbers of rows in its tables"));
        }
    }
    if manifest.elsewhere.is_some() {
        let captures =
            crate::backends::open_captures(config).map_err(|error| BackupError::Open(Box::new(error.into())))?;
        differences.extend(captures.replay_damages()?);
        return Ok(Differences { words: differences, rotten: BTreeSet::new() });
    }
    let opened = |error: zenovay_events::OpenError| BackupError::Open(Box::new(error.into()));
    let events = zenovay_events::verify(&config.data_dir).map_err(opened)?;
    differences.extend(events.damages);
    let is_damaged = |file: &&StoredFile| {
        events.damaged_segments.iter().any(|name| file.name == format!("{}/{name}", super::SEGMENTS))
    };
    let rotten = manifest.segments.iter().filter(is_damaged).map(|file| file.stored.clone()).collect();
    if events.segments != manifest.segments.len() as u64 {
        differences.push(format!("{} segments, and there were {}", events.segments, manifest.segments.len()));
    }
    if !differences.is_empty() {
        return Ok(Differences { words: differences, rotten });
    }
    let stores = Stores::open_restored(config).map_err(|error| BackupError::Open(Box::new(error)))?;
    let mut totals = Totals::default();
    stores.events.copy(&mut totals)?;
    let websites: Vec<WebsiteTotals> = totals.0.websites.iter().map(super::totals_of).collect();
    if websites != manifest.websites || totals.0.rows() != manifest.rows {
        differences.push(format!("{} events and heartbeats, and there were {}", totals.0.rows(), manifest.rows));
    }
    if totals.0.store != manifest.store {
        differences.push(format!("it is of the store {}, not {}", totals.0.store, manifest.store));
    }
    differences.extend(stores.captures.replay_damages()?);
    Ok(Differences { words: differences, rotten })
}

/// Only looks at what there is.
#[derive(Default)]
struct Totals(Moment);

impl Copier for Totals {
    fn moment(&mut self, moment: &Moment) -> io::Result<()> {
        self.0 = moment.clone();
        Ok(())
    }

    fn log(&mut self, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }

    fn segments(&mut self, _: &Moment) -> io::Result<()> {
        Ok(())
    }
}
