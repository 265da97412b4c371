//! Places of backups: all that makes a directory another place than a bucket. Names are those of the table in the documentation of
//! the module above, the same in both, with `/` between the parts.

mod bucket;
mod dir;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use self::bucket::BucketPlace;
pub(super) use self::bucket::discard_waiting;
use self::dir::DirPlace;
use super::BackupError;
use crate::config::{BackupPlace, Config};
use crate::files::{Copied, CopyError, Way};

/// What a place has of backups, by name, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Folders {
    /// Those with a manifest.
    pub(super) finished: BTreeSet<String>,
    /// Those that were begun, and are not being made now as far as can be known.
    pub(super) unfinished: BTreeSet<String>,
}

/// Where backups are. Errors are about the thing that is asked for; of one that is missing they are
/// [`NotFound`](io::ErrorKind::NotFound).
pub(super) trait Place {
    /// Where it is.
    fn address(&self) -> &BackupPlace;

    /// The same without a symbolic link, where there are such.
    fn real(self: Box<Self>) -> io::Result<Box<dyn Place>>;

    /// Makes it when it is missing. One in `data_dir` is refused.
    fn make(&self, data_dir: &Path) -> Result<(), BackupError>;

    /// Whether there is nothing in it, not even of somebody else.
    fn is_empty(&self) -> io::Result<bool>;

    /// Takes it for this process alone, where that can be done, and removes what was not finished when a process died.
    fn hold(&mut self) -> Result<(), BackupError>;

    /// The backups in it.
    fn folders(&self) -> io::Result<Folders>;

    /// Calls `see` with the name and the length of each file below `folder`.
    fn files(&self, folder: &str, see: &mut dyn FnMut(&str, u64) -> io::Result<()>) -> io::Result<()>;

    /// The length of the chunk of a recording `name`, if it is there.
    fn length(&mut self, name: &str) -> io::Result<Option<u64>>;

    /// Reads a file from its beginning.
    fn read(&self, name: &str) -> io::Result<Box<dyn Read + '_>>;

    /// Writes a short file, in the place of what is there: whole or not at all, and durable.
    fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Writes a file that all backups share, whole or not at all, under the name that `name_of` gives by the SHA-256 of what it has. Shows
    /// all of it to `see`, once, as it comes.
    fn add(
        &mut self,
        from: &mut File,
        see: &mut dyn FnMut(&[u8]),
        name_of: &dyn Fn(&str) -> String,
        way: &Way<'_>,
    ) -> Result<(String, Copied), CopyError>;

    /// The folder on this machine, not there yet, in which the backup `name` is made.
    fn begin(&self, data_dir: &Path, name: &str) -> io::Result<PathBuf>;

    /// Makes a backup `name` of the files in the folder that was begun: its manifest is the last to be there.
    fn finish(&mut self, begun: &Path, name: &str, way: &Way<'_>) -> Result<(), CopyError>;

    /// Removes the backup `name`: what is left of it when that is interrupted is no backup.
    fn remove_backup(&mut self, name: &str) -> io::Result<()>;

    /// Removes files.
    fn remove(&mut self, names: &[String]) -> io::Result<()>;

    /// Whether an error at reading is about one file, and others may well be read.
    fn is_of_one_file(&self, error: &io::Error) -> bool;

    /// A directory in which a backup can be opened, with room for one if there is such a place.
    fn temporary(&self) -> io::Result<Temporary>;
}

/// A directory that is removed with this value. One that a process left that was killed is told from one in use by its lock.
pub(super) struct Temporary {
    dir: TempDir,
    _lock: File,
}

impl Temporary {
    fn new(dir: TempDir) -> io::Result<Self> {
        let lock = File::open(dir.path())?;
        lock.try_lock()?;
        Ok(Self { dir, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Whether the process that made the directory `path` is gone.
    fn is_left(path: &Path) -> bool {
        File::open(path).is_ok_and(|lock| lock.try_lock().is_ok())
    }
}

/// The place at `address`, with the settings of `config`. Nothing is asked of it yet. No request takes longer than `within`.
pub(super) fn open(
    address: &BackupPlace,
    config: &Config,
    within: Option<Duration>,
) -> Result<Box<dyn Place>, BackupError> {
    Ok(match address {
        BackupPlace::Dir(dir) => Box::new(DirPlace::new(dir)),
        BackupPlace::Bucket(bucket, prefix) => Box::new(BucketPlace::new(
            address,
            crate::bucket::Bucket::of_backups(config, bucket, prefix.as_ref(), within)?,
        )),
    })
}

/// Reads a short file whole.
pub(super) fn read_whole(place: &dyn Place, name: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    place.read(name)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}
