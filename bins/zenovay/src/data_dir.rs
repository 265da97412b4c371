//! The data directory: readable by its owner alone, without links, and held by one server at a time.

use std::fs::{self, File, Metadata, Permissions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, OFlags, access};
use rustix::process::geteuid;
use zenovay_events::has_database;

use crate::backends::SPOOL;
use crate::bootstrap;
use crate::config::{Config, PostgresUrl};
use crate::files;
use crate::moving::MOVED;
use crate::upgrade;

/// The file that the server of a directory holds locked. It has the server's URL in it.
pub const LOCK: &str = "zenovay.lock";

/// The socket by which commands reach the server that holds a directory.
pub const SOCKET: &str = "zenovay.sock";

/// The file that says in which PostgreSQL database the metadata of a directory are: its URL without passwords.
const IN_POSTGRES: &str = "zenovay.postgres";

/// The file that says into which ClickHouse database the events of a directory go: its name.
pub(crate) const IN_CLICKHOUSE: &str = "zenovay.clickhouse";

/// The folder that is there while a backup is restored, and what is restored until all of it is.
pub const RESTORING: &str = "zenovay.restoring";

/// What zenovay writes into the data directory. Names that begin so are ours too: `-wal`, `.new`, what a repair put aside.
const OURS: [&str; 11] = [
    "captures.db",
    "zenovay.",
    "events.db",
    "erasures",
    MOVED,
    "replays",
    "rolled-back",
    "salts",
    "segments",
    "snapshot",
    SPOOL,
];

/// Longer URLs are not read.
const URL_MAX_BYTES: u64 = 2_048;

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It cannot be made or written.
    #[error("the data directory {path} cannot be used: {cause}")]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file in it is a symbolic link: what is written to the one would be written to the other.
    #[error("{} is a symbolic link, and none is followed inside the data directory: put the file itself there", .0.display())]
    Link(PathBuf),
    /// There are events, and nothing says whose they are.
    #[error(
        "{} is missing or empty, and there are events in {}: put a copy of it back, or move events.db and segments away \
         to begin anew. Nothing was changed",
        database.display(), directory.display()
    )]
    NoMetadata {
        /// Where the metadata should be.
        database: PathBuf,
        /// The directory.
        directory: PathBuf,
    },
    /// Its metadata are in PostgreSQL, and no setting says so.
    #[error(
        "the metadata of {} are in PostgreSQL ({url}), and database_url does not name it: set it where commands find it too, in \
         zenovay.toml. To go back to SQLite for good, remove {}: what was changed in PostgreSQL is not there",
        directory.display(), directory.join(IN_POSTGRES).display()
    )]
    InPostgres {
        /// The directory.
        directory: PathBuf,
        /// The database, without passwords.
        url: String,
    },
    /// A backup was being restored to it.
    #[error("a restore to the data directory {0} has not ended: run it again")]
    Restoring(PathBuf),
    /// A snapshot was being put back.
    #[error("a rollback of the data directory {0} has not ended: run `zenovay rollback` again")]
    RollingBack(PathBuf),
    /// It is another user's, and this one may not read it.
    #[error(
        "the data directory {path} is of the user {owner}, and this is another one: run it as `sudo -u '{owner}' zenovay …`, or as root"
    )]
    OtherUser {
        /// The directory.
        path: PathBuf,
        /// The name of its owner, or the number after a `#`.
        owner: String,
    },
    /// Another server holds it.
    #[error("another server is running on the data directory {0}")]
    Held(PathBuf),
}

/// Makes the directory, with mode 0700, unless it exists. One that exists is secured.
///
/// # Errors
/// [`DataDirError::Unusable`] or [`DataDirError::Link`].
pub fn create(path: &Path) -> Result<(), DataDirError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|cause| DataDirError::Unusable { path: path.to_owned(), cause })?;
    secure(path)
}

/// Takes the directory and what is ours in it from everybody but its owner, and refuses links in it; it may be one itself.
/// Does nothing when there is none.
///
/// # Errors
/// [`DataDirError::Unusable`] or [`DataDirError::Link`].
pub fn secure(path: &Path) -> Result<(), DataDirError> {
    match fs::metadata(path) {
        Ok(found) => tighten(path, &found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(DataDirError::Unusable { path: path.to_owned(), cause }),
    }
    secure_files(path, &|name| OURS.iter().any(|ours| name.starts_with(ours)))?;
    secure_files(&path.join("segments"), &|name| name.ends_with(".parquet") || name.ends_with(".tmp"))
}

/// Refuses who may not read and write the directory `path`, and is not its owner: to others it looks like one on which
/// no server runs. Who may see that there is one may also see whose it is; of one that is not there nothing is said.
///
/// # Errors
/// [`DataDirError::OtherUser`], or [`DataDirError::Unusable`] where a directory above may not be looked into.
pub fn refuse_others(path: &Path) -> Result<(), DataDirError> {
    match access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Ok(()),
        Err(_) => refuse_user(path, geteuid().as_raw()),
    }
}

fn refuse_user(path: &Path, user: u32) -> Result<(), DataDirError> {
    match fs::metadata(path) {
        Ok(found) if user == 0 || found.uid() == user => Ok(()),
        Ok(found) => Err(DataDirError::OtherUser { path: path.to_owned(), owner: user_name(found.uid()) }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(DataDirError::Unusable { path: path.to_owned(), cause }),
    }
}

/// The name of the user with the number `id`, as `sudo -u` takes it.
fn user_name(id: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    };
    users.lines().find_map(of_line).unwrap_or_else(|| format!("#{id}"))
}

/// Notes in `directory` that its metadata are in the PostgreSQL database `url`, so that nobody who does not name it works on an SQLite file
/// that is old or new. Nothing is written when it says so already.
///
/// # Errors
/// When it cannot be written.
pub fn note_postgres(directory: &Path, url: &PostgresUrl) -> io::Result<()> {
    note(&directory.join(IN_POSTGRES), &url.shown())
}

/// The name of the ClickHouse database into which the events of `directory` go; `None` when nothing says so.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn clickhouse_database(directory: &Path) -> io::Result<Option<String>> {
    noted(&directory.join(IN_CLICKHOUSE))
}

/// Notes in `directory` that its events go into the ClickHouse database `name`. Nothing is written when it says so already.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn note_clickhouse(directory: &Path, name: &str) -> io::Result<()> {
    note(&directory.join(IN_CLICKHOUSE), name)
}

/// Writes the line `text` into the file at `path`, unless it is there.
fn note(path: &Path, text: &str) -> io::Result<()> {
    let note = format!("{text}\n");
    if fs::read(path).is_ok_and(|there| there == note.as_bytes()) {
        Ok(())
    } else {
        files::replace(path, note.as_bytes())
    }
}

/// What was noted there; `None` when there is no file.
fn noted(path: &Path) -> io::Result<Option<String>> {
    match File::open(path).and_then(|file| io::read_to_string(file.take(URL_MAX_BYTES))) {
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Refuses where the metadata of the data directory of `config` are in PostgreSQL and `config` names no such database.
///
/// # Errors
/// [`DataDirError::InPostgres`].
pub fn refuse_moved(config: &Config) -> Result<(), DataDirError> {
    let directory = &config.data_dir;
    if config.postgres_url().is_some() {
        return Ok(());
    }
    match noted(&directory.join(IN_POSTGRES)) {
        Ok(Some(url)) => Err(DataDirError::InPostgres { directory: directory.clone(), url }),
        Ok(None) => Ok(()),
        Err(cause) => Err(DataDirError::Unusable { path: directory.clone(), cause }),
    }
}

/// Refuses to go on where the metadata of `config` are not where it says.
///
/// # Errors
/// [`DataDirError::InPostgres`], and those of [`expect_whole`].
pub fn expect_metadata(config: &Config) -> Result<(), DataDirError> {
    refuse_moved(config)?;
    expect_whole(&config.data_dir, config.database_path().as_deref())
}

/// Refuses to go on where the SQLite file of metadata is missing or empty and there are events in `directory`: a new one would
/// not know whose they are, and nobody's key would be valid.
///
/// # Errors
/// [`DataDirError::NoMetadata`], or [`DataDirError::Restoring`] or [`DataDirError::RollingBack`] where a part of something
/// else is.
pub fn expect_whole(directory: &Path, database: Option<&Path>) -> Result<(), DataDirError> {
    if directory.join(RESTORING).exists() {
        return Err(DataDirError::Restoring(directory.to_owned()));
    }
    if upgrade::is_rolling_back(directory) {
        return Err(DataDirError::RollingBack(directory.to_owned()));
    }
    match database {
        Some(database) if !has_database(database) && has_events(directory) => {
            Err(DataDirError::NoMetadata { database: database.to_owned(), directory: directory.to_owned() })
        }
        _ => Ok(()),
    }
}

/// Whether a data directory has events, of its own or on their way to ClickHouse.
pub(crate) fn has_events(directory: &Path) -> bool {
    has_own_events(directory) || has_database(&directory.join(SPOOL).join("events.db"))
}

/// Whether a data directory has events of its own.
pub(crate) fn has_own_events(directory: &Path) -> bool {
    let is_segment = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.path().extension().is_some_and(|end| end == "parquet"))
    };
    let has_segments = || fs::read_dir(directory.join("segments")).is_ok_and(|mut entries| entries.any(is_segment));
    has_database(&directory.join("events.db")) || has_segments()
}

/// Refuses links among the files of `folder` that are ours, and takes the files from everybody but their owner.
fn secure_files(folder: &Path, is_ours: &dyn Fn(&str) -> bool) -> Result<(), DataDirError> {
    let unusable = |cause| DataDirError::Unusable { path: folder.to_owned(), cause };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(unusable)?,
    };
    for entry in entries {
        let entry = entry.map_err(unusable)?;
        if !entry.file_name().to_str().is_some_and(is_ours) {
            continue;
        }
        match fs::symlink_metadata(entry.path()) {
            Ok(found) if found.is_symlink() => return Err(DataDirError::Link(entry.path())),
            Ok(found) => tighten(&entry.path(), &found),
            // A running server has removed it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(error)),
        }
    }
    Ok(())
}

/// Gives what root has made of ours in the directory `path` to the owner of the directory: a server that runs as another user could read none
/// of it. Does nothing for anybody but root.
pub fn give_back(path: &Path) {
    let (true, Ok(owner)) = (geteuid().is_root(), fs::metadata(path)) else { return };
    if owner.uid() == 0 {
        return;
    }
    let give_all = |folder: &Path, is_ours: &dyn Fn(&str) -> bool| {
        // Of one that goes meanwhile nothing is left to give.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let is_roots = |found: &Metadata| found.uid() == 0 && (found.is_dir() || found.nlink() == 1);
            if entry.file_name().to_str().is_some_and(is_ours) && entry.metadata().is_ok_and(|found| is_roots(&found)) {
                // Root without the right to do so keeps it; a link is not followed.
                let _ = lchown(entry.path(), Some(owner.uid()), Some(owner.gid()));
            }
        }
    };
    give_all(path, &|name| OURS.iter().any(|ours| name.starts_with(ours)));
    give_all(&path.join("segments"), &|name| name.ends_with(".parquet") || name.ends_with(".tmp"));
    give_all(&path.join("segments/orphaned"), &|_| true);
    give_all(&path.join(MOVED), &|_| true);
    for snapshot in upgrade::SNAPSHOTS {
        give_all(&path.join(snapshot), &|_| true);
    }
}

/// Takes `path` from everybody but its owner, and says so; who is not the owner can only say it.
fn tighten(path: &Path, found: &Metadata) {
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return;
    }
    let shown = path.display();
    match fs::set_permissions(path, Permissions::from_mode(mode & !0o077)) {
        Ok(()) => tracing::warn!("{shown} was open to others (mode {mode:04o}); now it is its owner's alone"),
        Err(error) => tracing::warn!(%error, "{shown} is open to others (mode {mode:04o})"),
    }
}

/// Proof that this process is the only server on a data directory. The kernel lets go of it when the process ends,
/// however it ends.
#[derive(Debug)]
pub struct ServerLock {
    file: File,
}

impl ServerLock {
    /// Takes the directory, or finds out at once that another server has it.
    ///
    /// # Errors
    /// [`DataDirError`].
    pub fn acquire(directory: &Path) -> Result<Self, DataDirError> {
        let unusable = |cause| DataDirError::Unusable { path: directory.to_owned(), cause };
        let path = directory.join(LOCK);
        let no_link = OFlags::NOFOLLOW.bits().cast_signed();
        let file =
            File::options().create(true).truncate(false).write(true).mode(0o600).custom_flags(no_link).open(&path);
        let file = file.map_err(|cause| match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => DataDirError::Link(path),
            _ => unusable(cause),
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::Held(directory.to_owned())),
            Err(TryLockError::Error(cause)) => Err(unusable(cause)),
        }
    }

    /// Writes into the lock file under which `url` browsers reach this server, for [`server_url`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_url(&self, url: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all_at(format!("{url}\n").as_bytes(), 0)
    }
}

/// Refuses to go on where a server runs on `directory`.
///
/// # Errors
/// [`DataDirError::Held`].
pub fn refuse_held(directory: &Path) -> Result<(), DataDirError> {
    match File::open(directory.join(LOCK)).map(|lock| lock.try_lock_shared()) {
        Ok(Err(TryLockError::WouldBlock)) => Err(DataDirError::Held(directory.to_owned())),
        // Without the file no server was ever there.
        _ => Ok(()),
    }
}

/// Under which URL browsers reach the server of this data directory, without a slash at the end: as the server that runs
/// says, which may have been given another address than `config` has; else as `config` says; else as the server that ran
/// last said.
pub fn server_url(config: &Config) -> String {
    let lock = File::open(config.data_dir.join(LOCK)).ok();
    let is_running = lock.as_ref().is_some_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)));
    let mut noted = String::new();
    if let Some(lock) = lock {
        // What cannot be read, or is not a URL any more, says nothing.
        let read = lock.take(URL_MAX_BYTES).read_to_string(&mut noted);
        if read.is_err() || !noted.starts_with("http") {
            noted.clear();
        }
    }
    let noted = noted.trim_end();
    if noted.is_empty() || (config.public_url.is_some() && !is_running) {
        return bootstrap::public_url(config, config.listen);
    }
    noted.to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_server_is_told_so_until_the_first_ends() {
        let directory = tempfile::tempdir().unwrap();
        let first = ServerLock::acquire(directory.path()).unwrap();
        assert!(matches!(ServerLock::acquire(directory.path()), Err(DataDirError::Held(_))));
        drop(first);
        assert!(ServerLock::acquire(directory.path()).is_ok());
    }

    /// Sabotage: follow links, look at the directory alone, or take a name out of `OURS`.
    #[test]
    fn links_inside_are_refused_and_wide_permissions_tightened() {
        let (parent, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = parent.path().join("data");
        create(&path).unwrap();
        fs::create_dir(path.join("segments")).unwrap();
        let names = [
            "zenovay.db",
            "zenovay.db-wal",
            "zenovay.lock",
            "events.db",
            "events.db-wal",
            "captures.db",
            "captures.db-wal",
            "erasures",
            "salts",
            "salts.new",
            "segments/0000000000000001.parquet",
            "segments/0000000000000002.tmp",
        ];
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for name in names {
            let (file, target) = (path.join(name), elsewhere.path().join("target"));
            fs::write(&target, "precious").unwrap();
            fs::set_permissions(&target, Permissions::from_mode(0o644)).unwrap();
            std::os::unix::fs::symlink(&target, &file).unwrap();
            assert!(matches!(create(&path), Err(DataDirError::Link(link)) if link == file), "{name}");
            assert!(name != LOCK || matches!(ServerLock::acquire(&path), Err(DataDirError::Link(_))));
            assert_eq!((fs::read_to_string(&target).unwrap().as_str(), mode(&target)), ("precious", 0o644));
            fs::remove_file(&file).unwrap();
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
        }
        fs::write(path.join("notes.txt"), "").unwrap();
        fs::set_permissions(path.join("notes.txt"), Permissions::from_mode(0o644)).unwrap();
        for folder in [&path, &path.join("segments")] {
            fs::set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
        }
        // The directory itself may be a link.
        let link = parent.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        create(&link).unwrap();
        assert_eq!((mode(&path), mode(&path.join("segments"))), (0o700, 0o700));
        assert!(names.iter().all(|name| mode(&path.join(name)) == 0o600));
        assert_eq!(mode(&path.join("notes.txt")), 0o644, "not ours");
        // A link in the place of a folder.
        fs::remove_dir_all(path.join("segments")).unwrap();
        for folder in ["segments", "replays", "snapshot"] {
            std::os::unix::fs::symlink(elsewhere.path(), path.join(folder)).unwrap();
            assert!(matches!(create(&path), Err(DataDirError::Link(link)) if link == path.join(folder)), "{folder}");
            fs::remove_file(path.join(folder)).unwrap();
        }
    }

    /// Sabotage: refuse root, or ask the machine who runs this instead of looking whose the directory is.
    #[test]
    fn who_is_neither_root_nor_the_owner_is_told_whose_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let owner = fs::metadata(directory.path()).unwrap().uid();
        refuse_user(directory.path(), owner).unwrap();
        refuse_user(directory.path(), 0).unwrap();
        refuse_user(&directory.path().join("none"), 4_711).unwrap();
        let words = refuse_user(directory.path(), owner + 4_711).unwrap_err().to_string();
        assert!(words.contains(&format!("sudo -u '{}' zenovay", user_name(owner))), "{words}");
        assert_eq!((user_name(0), user_name(u32::MAX - 7)), ("root".to_owned(), "#4294967288".to_owned()));
    }

    /// Whoever runs this as somebody else than root can give nothing away, and need not.
    ///
    /// Sabotage: give nothing, leave out the segments, or give what is not ours or has another name elsewhere.
    #[test]
    fn what_root_made_in_the_directory_of_somebody_else_is_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (directory.path().join("data"), directory.path().join("elsewhere"));
        fs::create_dir_all(path.join("segments")).unwrap();
        fs::write(&elsewhere, "precious").unwrap();
        let ours = ["erasures", "events.db", "segments/0000000000000001.parquet"];
        let theirs = ["notes.txt", "segments/notes.txt"];
        ours.iter().chain(&theirs).for_each(|name| fs::write(path.join(name), "").unwrap());
        std::os::unix::fs::symlink(&elsewhere, path.join("salts")).unwrap();
        fs::hard_link(&elsewhere, path.join("captures.db")).unwrap();
        if geteuid().is_root() {
            lchown(&path, Some(65_534), Some(65_534)).unwrap();
        }
        let owner = fs::metadata(&path).unwrap().uid();
        give_back(&path);
        let uid = |name: &str| fs::metadata(path.join(name)).unwrap().uid();
        assert!(ours.iter().chain(&["segments"]).all(|name| uid(name) == owner));
        assert!(theirs.iter().chain(&["captures.db"]).all(|name| uid(name) == geteuid().as_raw()));
        assert_eq!(fs::metadata(&elsewhere).unwrap().uid(), geteuid().as_raw());
    }

    #[test]
    fn only_the_owner_reads_the_directory() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        create(&path).unwrap();
        create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(parent.path().join("file"), "").unwrap();
        assert!(create(&parent.path().join("file")).is_err());
    }
}
