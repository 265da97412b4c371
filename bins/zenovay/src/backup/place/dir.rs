//! Backups in a directory.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::super::{BackupError, LOCK, MANIFEST, MARKER, PREFIX, REPLAYS, SEGMENTS, names};
use super::{Folders, Place, Temporary};
use crate::config::BackupPlace;
use crate::files::{self, Copied, CopyError, Shown, UNFINISHED, Way, sync_dir};

/// How the names of folders begin in which backups are verified.
const VERIFYING: &str = ".verify-";

pub(super) struct DirPlace {
    address: BackupPlace,
    dir: PathBuf,
    /// Held while this process alone changes it.
    lock: Option<File>,
}

impl DirPlace {
    pub(super) fn new(dir: &Path) -> Self {
        Self { address: BackupPlace::Dir(dir.to_owned()), dir: dir.to_owned(), lock: None }
    }

    /// Removes what verifications left that were killed.
    fn remove_left(&self) -> io::Result<()> {
        for name in names(&self.dir)?.into_iter().filter(|name| name.starts_with(VERIFYING)) {
            let path = self.dir.join(name);
            if Temporary::is_left(&path) {
                fs::remove_dir_all(path)?;
            }
        }
        Ok(())
    }

    /// Whether another process makes or removes a backup in it.
    fn is_held_elsewhere(&self) -> bool {
        self.lock.is_none()
            && File::open(self.dir.join(LOCK))
                .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

impl Place for DirPlace {
    fn address(&self) -> &BackupPlace {
        &self.address
    }

    fn real(self: Box<Self>) -> io::Result<Box<dyn Place>> {
        Ok(Box::new(Self::new(&fs::canonicalize(&self.dir)?)))
    }

    fn make(&self, data_dir: &Path) -> Result<(), BackupError> {
        let failed = |cause| BackupError::io(&self.dir, cause);
        let is_new = !self.dir.exists();
        files::make_dir(&self.dir).map_err(failed)?;
        if is_new {
            // Root makes it for the server.
            files::give_to_owner_of(data_dir, &self.dir);
        }
        let real = |path: &Path| fs::canonicalize(path).map_err(failed);
        if real(&self.dir)?.starts_with(real(data_dir)?) {
            // Not left behind when it was made here; one with something in it stays.
            let _ = fs::remove_dir(&self.dir);
            return Err(BackupError::Inside(self.dir.clone()));
        }
        Ok(())
    }

    fn is_empty(&self) -> io::Result<bool> {
        // A file system of its own may have the one, and a process that died the other.
        let marker = format!("{MARKER}{UNFINISHED}");
        Ok(names(&self.dir)?.iter().all(|name| name == "lost+found" || *name == marker))
    }

    fn hold(&mut self) -> Result<(), BackupError> {
        let path = self.dir.join(LOCK);
        let lock = files::create(&path).map_err(|cause| BackupError::io(&path, cause))?;
        match lock.try_lock() {
            Ok(()) => self.lock = Some(lock),
            Err(TryLockError::WouldBlock) => return Err(BackupError::Running(self.address.clone())),
            Err(TryLockError::Error(cause)) => return Err(BackupError::io(&path, cause)),
        }
        let remove = |path: PathBuf| {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(|cause| BackupError::io(&path, cause))
        };
        let unfinished = |folder: &Path| -> Result<Vec<String>, BackupError> {
            let all = names(folder).map_err(|cause| BackupError::io(folder, cause))?;
            Ok(all.into_iter().filter(|name| name.ends_with(UNFINISHED)).collect())
        };
        for name in unfinished(&self.dir)?.iter().filter(|name| name.starts_with(PREFIX)) {
            remove(self.dir.join(name))?;
        }
        self.remove_left().map_err(|cause| BackupError::io(&self.dir, cause))?;
        let segments = self.dir.join(SEGMENTS);
        files::make_dir(&segments).map_err(|cause| BackupError::io(&segments, cause))?;
        unfinished(&segments)?.iter().try_for_each(|name| remove(segments.join(name)))
    }

    fn folders(&self) -> io::Result<Folders> {
        let is_held = self.is_held_elsewhere();
        let mut folders = Folders::default();
        for name in names(&self.dir)?.into_iter().filter(|name| name.starts_with(PREFIX)) {
            if name.ends_with(UNFINISHED) {
                if !is_held {
                    folders.unfinished.insert(name);
                }
            } else if self.dir.join(&name).join(MANIFEST).exists() {
                folders.finished.insert(name);
            }
        }
        Ok(folders)
    }

    fn files(&self, folder: &str, see: &mut dyn FnMut(&str, u64) -> io::Result<()>) -> io::Result<()> {
        for below in names(&self.dir.join(folder))? {
            let name = format!("{folder}/{below}");
            let found = fs::metadata(self.dir.join(&name))?;
            if found.is_dir() {
                self.files(&name, see)?;
            } else {
                see(&name, found.len())?;
            }
        }
        Ok(())
    }

    fn length(&mut self, name: &str) -> io::Result<Option<u64>> {
        Ok(fs::metadata(self.dir.join(name)).ok().map(|found| found.len()))
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(File::open(self.dir.join(name))?))
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.dir.join(name);
        files::make_dir(path.parent().unwrap_or(&self.dir))?;
        files::replace(&path, bytes)
    }

    fn add(
        &mut self,
        from: &mut File,
        see: &mut dyn FnMut(&[u8]),
        name_of: &dyn Fn(&str) -> String,
        way: &Way<'_>,
    ) -> Result<(String, Copied), CopyError> {
        let new = files::unfinished(&self.dir.join(name_of("new")));
        let mut to = files::create(&new).map_err(CopyError::Write)?;
        let copied = way.copy(&mut Shown { from, see }, &mut to)?;
        let name = name_of(&copied.sha256);
        let path = self.dir.join(&name);
        let placed = fs::rename(&new, &path).and_then(|()| sync_dir(path.parent().unwrap_or(&self.dir)));
        placed.map_err(CopyError::Write)?;
        Ok((name, copied))
    }

    fn begin(&self, _: &Path, name: &str) -> io::Result<PathBuf> {
        // What is in it need not be copied again.
        Ok(files::unfinished(&self.dir.join(name)))
    }

    fn finish(&mut self, begun: &Path, name: &str, _: &Way<'_>) -> Result<(), CopyError> {
        fs::rename(begun, self.dir.join(name)).and_then(|()| sync_dir(&self.dir)).map_err(CopyError::Write)
    }

    fn remove_backup(&mut self, name: &str) -> io::Result<()> {
        // Without its name it is no backup any more, however much of it is left.
        let (from, gone) = (self.dir.join(name), files::unfinished(&self.dir.join(name)));
        fs::rename(&from, &gone)?;
        sync_dir(&self.dir)?;
        fs::remove_dir_all(&gone)
    }

    fn remove(&mut self, names: &[String]) -> io::Result<()> {
        let mut folders = BTreeSet::new();
        for name in names {
            let path = self.dir.join(name);
            fs::remove_file(&path)?;
            folders.extend(path.ancestors().skip(1).map(Path::to_owned));
        }
        // Those of recordings, the deepest first; where something is left it fails.
        let replays = self.dir.join(REPLAYS);
        for folder in folders.iter().rev().filter(|folder| folder.starts_with(&replays)) {
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    fn is_of_one_file(&self, _: &io::Error) -> bool {
        true
    }

    fn temporary(&self) -> io::Result<Temporary> {
        // Where the backups are there is room for one more; where nothing can be written it is the machine's own place.
        // Where that cannot be done nothing can be written either.
        let _ = self.remove_left();
        let beside = tempfile::Builder::new().prefix(VERIFYING).tempdir_in(&self.dir);
        beside.or_else(|_| tempfile::tempdir()).and_then(Temporary::new)
    }
}
