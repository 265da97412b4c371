//! The data directory: readable by its owner alone, and held by one server at a time.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::bootstrap;
use crate::config::Config;

/// The file that the server of a directory holds locked. It has the server's URL in it.
const LOCK: &str = "zenovay.lock";

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
    /// Another server holds it.
    #[error("another server is running on the data directory {0}")]
    Held(PathBuf),
}

/// Makes the directory, with mode 0700, unless it exists.
///
/// # Errors
/// [`DataDirError::Unusable`].
pub fn create(path: &Path) -> Result<(), DataDirError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|cause| DataDirError::Unusable { path: path.to_owned(), cause })
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
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(directory.join(LOCK));
        let file = file.map_err(unusable)?;
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
