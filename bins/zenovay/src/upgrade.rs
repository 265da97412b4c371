//! The way back from an upgrade: what an earlier version stored is kept before this one changes it.
//!
//! `zenovay.formats` has the versions of all that is stored, as the program that opened the directory last writes them. When they are
//! not those of this program, `snapshot.new/` is made first: copies of the databases, and links to the files that never change.
//! It becomes `snapshot/` when everything was opened, and is what `zenovay rollback` puts back.
//!
//! A snapshot goes after [`KEPT_DAYS`] days, with the next upgrade, and when a visitor is erased or a website deleted, whose data
//! would otherwise stay in it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zenovay_domain::{Clock, SystemClock, Timestamp, WebsiteId};
use zenovay_events::{OpenError, WebsiteRows, has_database, stored_rows};

use crate::backup::{CAPTURES, DatabaseError, EVENTS, METADATA, Source, database};
use crate::causes::with_causes;
use crate::config::Config;
use crate::data_dir::{DataDirError, ServerLock};
use crate::files::{self, CopyError, FileError, sync_dir};
use crate::formats;

/// The file with the versions of what is stored.
pub const FORMATS: &str = "zenovay.formats";
/// The folder of the snapshot, and how the names of all that belongs to one begin.
pub const SNAPSHOT: &str = "snapshot";
/// The folder of one whose upgrade is not done.
const NEW: &str = "snapshot.new";
/// The folder of one that was put back, or is removed.
const GONE: &str = "snapshot.gone";
/// All folders of snapshots.
pub const SNAPSHOTS: [&str; 3] = [SNAPSHOT, NEW, GONE];
/// What a snapshot says of itself. One without it is not finished.
const ABOUT: &str = "about.json";
/// Is in a snapshot that is being put back.
const ROLLING_BACK: &str = "rolling-back";
/// So many days a snapshot is kept.
pub const KEPT_DAYS: i64 = 7;
const DAY_MS: i64 = 24 * 3_600_000;
const SEGMENTS: &str = "segments";
const REPLAYS: &str = "replays";

/// What a snapshot is of: files that are copied as they are, as nobody has them open.
const COPIED: [&str; 6] = ["events.db", "events.db-wal", "captures.db", "captures.db-wal", "captures.db-mark", FORMATS];
/// Files that belong to those of a snapshot and are not in one.
const BESIDE: [&str; 3] = ["captures.db-shm", "zenovay.db-wal", "zenovay.db-shm"];

/// Why there is no way back.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// A file cannot be read, copied or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is stored cannot be used by this program.
    #[error(transparent)]
    Events(#[from] OpenError),
    /// A server of another version has the directory.
    #[error("the server that runs on {0} is of another version of zenovay: start it anew with this one first")]
    OtherVersion(PathBuf),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(DataDirError),
    /// There is nothing to go back to.
    #[error(
        "{0} has no snapshot of before an upgrade: it is removed after {KEPT_DAYS} days, and when a visitor is erased"
    )]
    NoSnapshot(PathBuf),
    /// The metadata are in PostgreSQL.
    #[error(
        "the metadata are in PostgreSQL, of which no snapshot is made: restore a backup of before the upgrade with the earlier version, \
         and move it to an empty database"
    )]
    InPostgres,
    /// A database of the snapshot is not what was put there.
    #[error(
        "{path} is damaged: {problem}. Nothing was changed; restore a backup of before the upgrade instead, with the earlier version"
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Something was stored or changed since.
    #[error("{}", .0.words())]
    Since(Since),
    /// It cannot be read what.
    #[error(
        "how much was stored and changed since the upgrade cannot be read ({0}): to go back without it add --discard unknown"
    )]
    Unknown(String),
}

/// What was done since a snapshot was made, and is lost by going back to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// Events and heartbeats that were stored.
    pub rows: u64,
    /// Changes of accounts, workspaces, websites, keys and settings: entries of the audit log, and workspaces that are gone.
    pub changes: u64,
}

impl Since {
    fn words(self) -> String {
        let Self { rows, changes } = self;
        let stored = format!(
            "{rows} events and heartbeats were stored since the upgrade, and the earlier version cannot read them"
        );
        let changed = format!(
            "accounts, workspaces, websites or keys were changed since the upgrade, {changes} times, which would be undone (a key \
             that was revoked would be valid again)"
        );
        let (what, flags) = match (rows, changes) {
            (_, 0) => (stored, format!("--discard {rows}")),
            (0, _) => (changed, format!("--discard-changes {changes}")),
            _ => (format!("{stored}; {changed}"), format!("--discard {rows} --discard-changes {changes}")),
        };
        format!("{what}: to go back all the same, without what pages captured meanwhile, add {flags}")
    }
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> UpgradeError + '_ {
    move |cause| FileError::io(path, cause).into()
}

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was made.
    pub made_at: String,
    /// The version of the program that made it, the later one.
    pub version: String,
    /// The versions of what is in it; `None` from a program that did not write them down.
    pub formats: Option<BTreeMap<String, String>>,
    /// Events and heartbeats, by website.
    pub rows: BTreeMap<WebsiteId, u64>,
    /// The names of the files and folders in it.
    pub names: Vec<String>,
}

impl Snapshot {
    /// The one in the folder `folder`, when it is finished.
    fn read(folder: &Path) -> Result<Option<Self>, UpgradeError> {
        let path = folder.join(ABOUT);
        match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            bytes => {
                let bytes = bytes.map_err(io_at(&path))?;
                let about = serde_json::from_slice(&bytes).map_err(io::Error::other);
                about.map(Some).map_err(io_at(&path))
            }
        }
    }
}

/// What has to be done when everything was opened.
#[derive(Debug)]
#[must_use]
pub(crate) struct Prepared {
    data_dir: PathBuf,
    what: What,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    /// What is stored is as this program writes it.
    Nothing,
    /// Nothing is stored yet.
    Fresh,
    /// The metadata are in PostgreSQL, of which no file is one moment with the events: there is no way back but a backup.
    WithoutSnapshot,
    /// A snapshot was made, now or by a process that did not come to the end.
    Upgrade,
}

/// Makes a snapshot of what is stored as `config` says, when an earlier version stored it. Nobody else may have the directory.
pub(crate) fn prepare(config: &Config) -> Result<Prepared, UpgradeError> {
    let data_dir = config.data_dir.clone();
    let new = data_dir.join(NEW);
    let known = known_formats(&data_dir)?;
    let what = if known.as_ref() == Some(&formats::present()) {
        remove(&new)?;
        What::Nothing
    } else if !config.database_path().is_some_and(|path| has_database(&path)) && !has_database(&data_dir.join(EVENTS)) {
        What::Fresh
    } else if config.postgres_url().is_some() {
        // What is of a later version is refused.
        stored_rows(&data_dir)?;
        What::WithoutSnapshot
    } else {
        if Snapshot::read(&new)?.is_none() {
            // What is of a later version is refused before anything is made.
            let rows = if has_database(&data_dir.join(EVENTS)) { stored_rows(&data_dir)? } else { Vec::new() };
            make(config, &new, known, &rows)?;
        }
        What::Upgrade
    };
    Ok(Prepared { data_dir, what })
}

impl Prepared {
    /// Everything was opened, and is of this version now.
    pub(crate) fn finish(self) -> Result<(), UpgradeError> {
        let Self { data_dir, what } = self;
        if what == What::Nothing {
            return Ok(());
        }
        if what == What::Upgrade {
            let (new, kept) = (data_dir.join(NEW), data_dir.join(SNAPSHOT));
            remove(&kept)?;
            fs::rename(&new, &kept).and_then(|()| sync_dir(&data_dir)).map_err(io_at(&kept))?;
            let snapshot = kept.display();
            tracing::info!(%snapshot, days = KEPT_DAYS, "what an earlier version stored was upgraded; a snapshot of before is kept");
        }
        if what == What::WithoutSnapshot {
            tracing::info!(
                "what an earlier version stored is upgraded; the way back is a backup of before, for the metadata are in PostgreSQL"
            );
        }
        note(&data_dir, &formats::present()).map_err(io_at(&data_dir))
    }

    /// The metadata alone was opened, or made: the rest is upgraded by who opens that.
    pub(crate) fn finish_metadata(self) -> Result<(), UpgradeError> {
        if self.what == What::Fresh { self.finish() } else { Ok(()) }
    }

    /// Nothing was changed: what is stored is of a later version, or cannot be used.
    pub(crate) fn give_up(self) -> Result<(), UpgradeError> {
        if self.what == What::Upgrade { remove(&self.data_dir.join(NEW)) } else { Ok(()) }
    }
}

/// For who opens the metadata alone: [`prepare`], while no server has the directory.
pub(crate) fn prepare_metadata(config: &Config) -> Result<Option<Prepared>, UpgradeError> {
    let data_dir = &config.data_dir;
    if !data_dir.exists() || known_formats(data_dir)?.as_ref() == Some(&formats::present()) {
        return Ok(None);
    }
    match ServerLock::acquire(data_dir) {
        Ok(_lock) => prepare(config).map(Some),
        Err(DataDirError::Held(directory)) => Err(UpgradeError::OtherVersion(directory)),
        Err(error) => Err(UpgradeError::DataDir(error)),
    }
}

/// The versions of what is stored in `data_dir`, as they were written down.
fn known_formats(data_dir: &Path) -> Result<Option<BTreeMap<String, String>>, UpgradeError> {
    let path = data_dir.join(FORMATS);
    match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        // What cannot be read is not what this program wrote.
        bytes => Ok(serde_json::from_slice(&bytes.map_err(io_at(&path))?).ok()),
    }
}

/// Writes down the versions of what is stored in `data_dir`.
///
/// # Errors
/// When it cannot be written.
pub fn note(data_dir: &Path, formats: &BTreeMap<String, String>) -> io::Result<()> {
    let formats = serde_json::to_vec(formats).map_err(io::Error::other)?;
    files::replace(&data_dir.join(FORMATS), &formats)
}

fn remove(folder: &Path) -> Result<(), UpgradeError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(io_at(folder)),
    }
}

fn make(
    config: &Config,
    new: &Path,
    formats: Option<BTreeMap<String, String>>,
    rows: &[WebsiteRows],
) -> Result<(), UpgradeError> {
    let data_dir = &config.data_dir;
    remove(new)?;
    files::make_dir(new).map_err(io_at(new))?;
    let mut names = Vec::new();
    for name in COPIED {
        let (from, to) = (data_dir.join(name), new.join(name));
        if from.exists() {
            fs::copy(&from, &to).map_err(io_at(&from))?;
            names.push(name.to_owned());
        }
    }
    let database = config.sqlite_path();
    if database.exists() {
        // Commands may have it open.
        let copied = Source::open(&database).map_err(DatabaseError::from).and_then(|source| {
            source.take_moment()?;
            source.copy(&new.join(METADATA), &files::AT_ONCE)
        });
        copied.map_err(|error| match error {
            DatabaseError::Sqlite(cause) => FileError::database(&database, cause),
            DatabaseError::Copy(CopyError::Read(cause) | CopyError::Write(cause)) => {
                FileError::io(&new.join(METADATA), cause)
            }
            DatabaseError::Copy(CopyError::Cancelled) => FileError::io(&database, ErrorKind::Interrupted.into()),
        })?;
        names.push(METADATA.to_owned());
    }
    for name in [SEGMENTS, REPLAYS] {
        if data_dir.join(name).exists() {
            link_all(&data_dir.join(name), &new.join(name), name == SEGMENTS)?;
            names.push(name.to_owned());
        }
    }
    files::sync_file_system(new).map_err(io_at(new))?;
    let about = Snapshot {
        made_at: SystemClock.now().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        formats,
        rows: rows.iter().map(|site| (site.website, site.rows)).collect(),
        names,
    };
    let path = new.join(ABOUT);
    let bytes = serde_json::to_vec_pretty(&about).map_err(io::Error::other);
    bytes.and_then(|bytes| files::replace(&path, &bytes)).and_then(|()| sync_dir(data_dir)).map_err(io_at(&path))
}

/// Links the files of the folder `from` into the folder `to`; copies them where the file system has no links. Folders in it are left
/// out when it `is_flat`.
fn link_all(from: &Path, to: &Path, is_flat: bool) -> Result<(), UpgradeError> {
    files::make_dir(to).map_err(io_at(to))?;
    for entry in fs::read_dir(from).map_err(io_at(from))? {
        let entry = entry.map_err(io_at(from))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            if !is_flat {
                link_all(&from, &to, false)?;
            }
            continue;
        }
        if fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to).map_err(io_at(&from))?;
        }
    }
    Ok(())
}

/// Removes the snapshot in `data_dir`, if there is one.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_snapshot(data_dir: &Path) -> io::Result<()> {
    for name in SNAPSHOTS {
        match fs::remove_dir_all(data_dir.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(()) => tracing::info!("the snapshot of before the upgrade is removed"),
        }
    }
    Ok(())
}

/// Removes the snapshot in `data_dir` when it is older than [`KEPT_DAYS`] days at `now`, by a clock that is believed.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_old_snapshot(data_dir: &Path, now: Timestamp) -> io::Result<()> {
    let Ok(Some(about)) = Snapshot::read(&data_dir.join(SNAPSHOT)) else { return Ok(()) };
    let made_at = about.made_at.parse::<Timestamp>().unwrap_or(Timestamp::from_millis(0));
    if now.millis_since(made_at) < KEPT_DAYS * DAY_MS { Ok(()) } else { remove_snapshot(data_dir) }
}

/// Whether a rollback of `data_dir` did not come to its end.
pub fn is_rolling_back(data_dir: &Path) -> bool {
    data_dir.join(SNAPSHOT).join(ROLLING_BACK).exists()
}

/// What may be lost by going back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// So many, no more and no less.
    Known {
        /// Events and heartbeats.
        rows: u64,
        /// Changes, as in [`Since`].
        changes: u64,
    },
    /// Whatever there is, as it cannot be read.
    Unknown,
}

/// What was done.
#[derive(Debug)]
pub struct RolledBack {
    /// The snapshot that was put back.
    pub snapshot: Snapshot,
    /// Where what was there is now.
    pub aside: PathBuf,
    /// What is in there alone; `None` when that could not be read, or of a rollback that went on.
    pub since: Option<Since>,
}

/// Puts back what was stored before the upgrade. What is there now is put aside, and not deleted. One that did not come to its end
/// goes on.
///
/// # Errors
/// [`UpgradeError`].
pub fn roll_back(config: &Config, discard: Discard) -> Result<RolledBack, UpgradeError> {
    let data_dir = &config.data_dir;
    if config.postgres_url().is_some() {
        return Err(UpgradeError::InPostgres);
    }
    let _lock = ServerLock::acquire(data_dir).map_err(UpgradeError::DataDir)?;
    let folder = data_dir.join(SNAPSHOT);
    // Of an upgrade that did not come to its end.
    let new = data_dir.join(NEW);
    if Snapshot::read(&new)?.is_some() {
        remove(&folder)?;
        fs::rename(&new, &folder).and_then(|()| sync_dir(data_dir)).map_err(io_at(&folder))?;
    }
    let Some(snapshot) = Snapshot::read(&folder)? else { return Err(UpgradeError::NoSnapshot(data_dir.clone())) };
    let marker = folder.join(ROLLING_BACK);
    let (aside, since) = match fs::read_to_string(&marker) {
        // What was allowed is done.
        Ok(aside) => (data_dir.join(aside), None),
        Err(_) => {
            let since = match (done_since(config, &folder, &snapshot), discard) {
                (Err(_), Discard::Unknown) => None,
                (Err(why), Discard::Known { .. }) => return Err(UpgradeError::Unknown(why)),
                (Ok(since), Discard::Known { rows, changes }) if since == (Since { rows, changes }) => Some(since),
                (Ok(since @ Since { rows: 0, changes: 0 }), _) => Some(since),
                (Ok(since), _) => return Err(UpgradeError::Since(since)),
            };
            expect_whole(&folder, &snapshot)?;
            let free = (1..).map(|number| format!("rolled-back-{number}")).find(|name| !data_dir.join(name).exists());
            let name = free.unwrap_or_default();
            let aside = data_dir.join(&name);
            files::make_dir(&aside).map_err(io_at(&aside))?;
            files::replace(&marker, name.as_bytes()).map_err(io_at(&marker))?;
            (aside, since)
        }
    };
    let all = COPIED.into_iter().chain(BESIDE).chain([METADATA, SEGMENTS, REPLAYS]);
    for name in all {
        let is_metadata = name.starts_with(METADATA);
        let place = if is_metadata { beside(&config.sqlite_path(), name) } else { data_dir.join(name) };
        let (kept, away) = (folder.join(name), aside.join(name));
        // What has been put back is not put aside.
        let is_done = snapshot.names.iter().any(|own| own == name) && !kept.exists();
        if !is_done && place.exists() && !away.exists() {
            move_to(&place, &away)?;
        }
        if kept.exists() {
            move_to(&kept, &place)?;
        }
    }
    files::sync_file_system(data_dir).map_err(io_at(data_dir))?;
    // At once: what is left of it when this is interrupted is in nobody's way.
    let gone = data_dir.join(GONE);
    remove(&gone)?;
    fs::rename(&folder, &gone).and_then(|()| sync_dir(data_dir)).map_err(io_at(&folder))?;
    remove(&gone)?;
    Ok(RolledBack { snapshot, aside, since })
}

/// Refuses a snapshot of which a database is damaged.
fn expect_whole(folder: &Path, snapshot: &Snapshot) -> Result<(), UpgradeError> {
    for name in [EVENTS, CAPTURES, METADATA].into_iter().filter(|name| snapshot.names.iter().any(|own| own == name)) {
        let path = folder.join(name);
        let faults = database::faults(&path).map_err(|cause| FileError::database(&path, cause))?;
        if let Some(problem) = faults.into_iter().next() {
            return Err(UpgradeError::Damaged { path, problem });
        }
    }
    Ok(())
}

/// The file of the database at `database` that is called `name` where the database is `zenovay.db`.
pub(crate) fn beside(database: &Path, name: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(name.trim_start_matches(METADATA));
    path.into()
}

/// Moves a file, or a folder of the same file system.
fn move_to(from: &Path, to: &Path) -> Result<(), UpgradeError> {
    move_file(from, to).map_err(io_at(from))
}

/// The same, for others. What was copied is durable.
pub(crate) fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {
            fs::copy(from, to)?;
            fs::File::open(to)?.sync_all()?;
            fs::remove_file(from)
        }
        renamed => renamed,
    }
}

/// What was done since `snapshot`, which is in `folder`, was made.
///
/// # Errors
/// Why it cannot be read.
fn done_since(config: &Config, folder: &Path, snapshot: &Snapshot) -> Result<Since, String> {
    let before = |site: &WebsiteRows| snapshot.rows.get(&site.website).copied().unwrap_or(0);
    let rows = stored_rows(&config.data_dir).map_err(|error| with_causes(&error))?;
    let rows = rows.iter().map(|site| site.rows.saturating_sub(before(site))).sum();
    let made_at = snapshot.made_at.parse::<Timestamp>().map_err(|error| error.to_string())?;
    let former = folder.join(METADATA);
    let changes = database::changes_since(&config.sqlite_path(), &former, made_at.as_millis());
    Ok(Since { rows, changes: changes.map_err(|error| error.to_string())? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CommonFlags, ServerFlags};

    /// Sabotage: forget the snapshot when it is made.
    #[test]
    fn a_snapshot_is_kept_for_seven_days() {
        let dir = tempfile::tempdir().unwrap();
        let made_at: Timestamp = "2026-06-13T12:00:00Z".parse().unwrap();
        let about = Snapshot {
            made_at: made_at.to_string(),
            version: String::new(),
            formats: None,
            rows: BTreeMap::new(),
            names: Vec::new(),
        };
        let folder = dir.path().join(SNAPSHOT);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(ABOUT), serde_json::to_vec(&about).unwrap()).unwrap();
        remove_old_snapshot(dir.path(), made_at.plus_millis(7 * DAY_MS - 1)).unwrap();
        assert!(folder.exists());
        remove_old_snapshot(dir.path(), made_at.plus_millis(7 * DAY_MS)).unwrap();
        assert!(!folder.exists());
        remove_old_snapshot(dir.path(), made_at).unwrap();
    }

    /// Sabotage: put back what is there, or look at the first database alone.
    #[test]
    fn a_damaged_snapshot_is_not_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::load(&CommonFlags::default(), &ServerFlags::default(), []).unwrap();
        config.data_dir = dir.path().to_owned();
        let folder = dir.path().join(SNAPSHOT);
        fs::create_dir(&folder).unwrap();
        let databases = [EVENTS, CAPTURES, METADATA];
        for name in databases {
            let database = rusqlite::Connection::open(folder.join(name)).unwrap();
            database.execute_batch("CREATE TABLE t (c); INSERT INTO t VALUES (1)").unwrap();
        }
        let snapshot = Snapshot {
            made_at: String::new(),
            version: String::new(),
            formats: None,
            rows: BTreeMap::new(),
            names: databases.map(str::to_owned).to_vec(),
        };
        fs::write(folder.join(ABOUT), serde_json::to_vec(&snapshot).unwrap()).unwrap();
        for name in databases {
            let path = folder.join(name);
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..100]).unwrap();
            let words = roll_back(&config, Discard::Unknown).unwrap_err().to_string();
            assert!(words.contains(name) && words.contains("is damaged"), "{words}");
            assert!(!is_rolling_back(dir.path()) && !dir.path().join(name).exists());
            fs::write(&path, whole).unwrap();
        }
        roll_back(&config, Discard::Unknown).unwrap();
        assert!(databases.iter().all(|name| dir.path().join(name).exists()));
    }
}
