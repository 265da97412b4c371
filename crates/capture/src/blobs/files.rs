//! Blobs as files: one a blob, below a directory. A file is written under another name, synced and renamed, so what has the name
//! of a blob is whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use super::{BLOB_MAX_BYTES, BlobError, BlobName, Blobs, FoundBlob};

/// How the names of files end that are being written.
const UNFINISHED: &str = ".tmp";
/// How often a file is tried to be written whose directory is removed meanwhile.
const TRIES: usize = 5;

/// Blobs in a directory.
#[derive(Debug)]
pub struct FileBlobs {
    dir: PathBuf,
    /// Makes the names of files that are being written different.
    written: AtomicU64,
}

impl FileBlobs {
    /// Those below `dir`, which is made when the first is written.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), written: AtomicU64::new(0) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let parent = path.parent().unwrap_or(&self.dir);
        make_dir(parent)?;
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let unfinished = path.with_extension(format!("{}-{number}{UNFINISHED}", std::process::id()));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, path)
        })();
        if let Err(error) = written {
            // It is of no use, and takes room that others may need; what stays is swept later.
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        sync_dir(parent)
    }
}

/// Makes `dir` with what it is in, so that it stays after a loss of power.
fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_dir(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => {}
        Err(error) => return Err(error),
    }
    match dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn failed(name: &str, error: &io::Error) -> BlobError {
    let name = name.to_owned();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => BlobError::Full { name },
        ErrorKind::NotFound => BlobError::Missing { name },
        _ => BlobError::Unavailable { name, problem: error.to_string() },
    }
}

impl Blobs for FileBlobs {
    fn put(&self, name: &BlobName, bytes: &[u8]) -> Result<(), BlobError> {
        let path = self.path(name.as_str());
        let mut tries = 0;
        loop {
            tries += 1;
            match self.write(&path, bytes) {
                Ok(()) => return Ok(()),
                // Whoever deleted the last file of the directory removed that, too.
                Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES => {}
                Err(error) => {
                    return Err(match failed(name.as_str(), &error) {
                        BlobError::Missing { name } => BlobError::Unavailable { name, problem: error.to_string() },
                        failed => failed,
                    });
                }
            }
        }
    }

    fn get(&self, name: &BlobName) -> Result<Vec<u8>, BlobError> {
        let failed = |error: io::Error| failed(name.as_str(), &error);
        let file = File::open(self.path(name.as_str())).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(BLOB_MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() > BLOB_MAX_BYTES {
            return Err(BlobError::Unavailable { name: name.to_string(), problem: "it is too long".to_owned() });
        }
        Ok(bytes)
    }

    fn get_part(&self, name: &BlobName, from: u64, length: u64) -> Result<Vec<u8>, BlobError> {
        let too_long = || BlobError::Unavailable { name: name.to_string(), problem: "it is too long".to_owned() };
        let length = usize::try_from(length).ok().filter(|length| *length <= BLOB_MAX_BYTES).ok_or_else(too_long)?;
        let file = File::open(self.path(name.as_str())).map_err(|error| failed(name.as_str(), &error))?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, from).map_err(|error| failed(name.as_str(), &error))?;
        Ok(bytes)
    }

    fn delete(&self, name: &BlobName) -> Result<(), BlobError> {
        self.remove(name.as_str())
    }

    fn delete_found(&self, found: &FoundBlob) -> Result<(), BlobError> {
        self.remove(&found.name)
    }

    fn list(&self, first: &str, see: &mut dyn FnMut(FoundBlob) -> bool) -> Result<(), BlobError> {
        let mut dirs = vec![first.to_owned()];
        while let Some(dir) = dirs.pop() {
            let entries = match fs::read_dir(self.path(&dir)) {
                Ok(entries) => entries,
                // Removed meanwhile, or never made.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(&dir, &error)),
            };
            for entry in entries {
                let entry = entry.map_err(|error| failed(&dir, &error))?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let name = format!("{dir}/{name}");
                let Ok(about) = entry.metadata() else { continue };
                if about.is_dir() {
                    dirs.push(name);
                    continue;
                }
                let written = about.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
                let written_ms = written.and_then(|at| i64::try_from(at.as_millis()).ok()).unwrap_or(0);
                if !see(FoundBlob::new(name, written_ms)) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl FileBlobs {
    fn remove(&self, name: &str) -> Result<(), BlobError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(name, &error)),
        }
        // Directories of which this was the last file; of others it fails.
        let mut dir = path.parent();
        while let Some(empty) = dir.filter(|dir| *dir != self.dir && fs::remove_dir(dir).is_ok()) {
            dir = empty.parent();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> BlobName {
        BlobName::new(name).unwrap()
    }

    fn all(blobs: &FileBlobs) -> Vec<(String, bool)> {
        let mut found = Vec::new();
        blobs
            .list("replays", &mut |blob| {
                found.push((blob.name, blob.is_blob));
                true
            })
            .unwrap();
        found.sort();
        found
    }

    /// Sabotage: leave the directories, or write under the name itself.
    #[test]
    fn what_is_put_is_there_until_it_is_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = FileBlobs::new(dir.path());
        let (a, b) = (name("replays/s1/r1/0-aa"), name("replays/s1/r2/1-bb"));
        assert_eq!(blobs.get(&a), Err(BlobError::Missing { name: a.to_string() }));
        blobs.put(&a, b"one").unwrap();
        blobs.put(&a, b"one").unwrap();
        blobs.put(&b, b"").unwrap();
        assert_eq!((blobs.get(&a).unwrap().as_slice(), blobs.get(&b).unwrap().as_slice()), (&b"one"[..], &b""[..]));
        assert_eq!(blobs.get_part(&a, 1, 2).unwrap(), b"ne");
        assert!(matches!(blobs.get_part(&a, 1, 3), Err(BlobError::Unavailable { .. })));
        assert!(matches!(blobs.get_part(&name("replays/s1/r1/9-aa"), 0, 1), Err(BlobError::Missing { .. })));
        fs::write(dir.path().join("replays/s1/r1/2-cc.9-1.tmp"), b"half").unwrap();
        let expected = [(a.to_string(), true), ("replays/s1/r1/2-cc.9-1.tmp".to_owned(), false), (b.to_string(), true)];
        assert_eq!(all(&blobs), expected);
        let mut half = None;
        blobs
            .list("replays", &mut |blob| {
                half = half.take().or((!blob.is_blob).then_some(blob));
                true
            })
            .unwrap();
        blobs.delete_found(&half.unwrap()).unwrap();
        blobs.delete(&a).unwrap();
        blobs.delete(&a).unwrap();
        assert_eq!(all(&blobs), [(b.to_string(), true)]);
        assert!(!dir.path().join("replays/s1/r1").exists() && dir.path().join("replays/s1/r2").exists());
    }

    #[test]
    fn names_stay_below_the_directory() {
        for wrong in ["", "/", "a/", "/a", "a//b", "../a", "a/..", "A", "a.tmp", "a b", "ä", &"a".repeat(201)] {
            assert!(BlobName::new(wrong).is_err(), "{wrong}");
        }
    }

    /// Sabotage: leave what was written in part.
    #[test]
    fn what_cannot_be_written_leaves_nothing_and_goes_on_when_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = FileBlobs::new(dir.path());
        fs::write(dir.path().join("replays"), b"in the way").unwrap();
        let error = blobs.put(&name("replays/s1/r1/0-aa"), b"one").unwrap_err();
        assert!(matches!(error, BlobError::Unavailable { .. }), "{error}");
        fs::remove_file(dir.path().join("replays")).unwrap();
        blobs.put(&name("replays/s1/r1/0-aa"), b"one").unwrap();
        assert_eq!(all(&blobs).len(), 1);
    }
}
