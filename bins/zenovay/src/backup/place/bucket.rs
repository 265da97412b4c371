//! Backups in an S3-compatible bucket. Objects are there whole or not at all, and nothing can be given another name or be held: the
//! databases of a backup wait in the data directory until they are sent.

use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use super::super::{BackupError, MANIFEST, PREFIX, REPLAYS, WAITING, names};
use super::{Folders, Place, Temporary};
use crate::bucket::{Bucket, is_missing};
use crate::config::BackupPlace;
use crate::files::{AT_ONCE, Copied, CopyError, Shown, Way};

pub(super) struct BucketPlace {
    address: BackupPlace,
    bucket: Bucket,
    /// The lengths of chunks of recordings that are there, by hashes of their names: 16 bytes for each. Asked for once.
    chunks: Option<HashMap<u64, u64>>,
    hasher: RandomState,
}

impl BucketPlace {
    pub(super) fn new(address: &BackupPlace, bucket: Bucket) -> Self {
        Self { address: address.clone(), bucket, chunks: None, hasher: RandomState::new() }
    }

    /// Removes the objects of a backup that is not finished.
    fn remove_folder(&self, name: &str) -> io::Result<()> {
        let mut all = Vec::new();
        self.files(name, &mut |name, _| {
            all.push(name.to_owned());
            Ok(())
        })?;
        self.bucket.delete_objects(&all)
    }
}

impl Place for BucketPlace {
    fn address(&self) -> &BackupPlace {
        &self.address
    }

    fn real(self: Box<Self>) -> io::Result<Box<dyn Place>> {
        Ok(self)
    }

    fn make(&self, _: &Path) -> Result<(), BackupError> {
        Ok(())
    }

    fn is_empty(&self) -> io::Result<bool> {
        let found = || io::Error::from(io::ErrorKind::AlreadyExists);
        match self
            .bucket
            .objects("", &mut |name, _| if name.is_empty() || Bucket::is_probe(name) { Ok(()) } else { Err(found()) })
        {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            listed => listed.map(|()| true),
        }
    }

    fn hold(&mut self) -> Result<(), BackupError> {
        let failed = |name: &str, cause| BackupError::io(&self.address.at(name), cause);
        for name in self.folders().map_err(|cause| failed("", cause))?.unfinished {
            self.remove_folder(&name).map_err(|cause| failed(&name, cause))?;
        }
        Ok(())
    }

    fn folders(&self) -> io::Result<Folders> {
        let mut folders = Folders::default();
        self.bucket.objects(PREFIX, &mut |name, _| {
            if let Some((folder, file)) = name.split_once('/') {
                let kind = if file == MANIFEST { &mut folders.finished } else { &mut folders.unfinished };
                kind.insert(folder.to_owned());
            }
            Ok(())
        })?;
        folders.unfinished.retain(|name| !folders.finished.contains(name));
        Ok(folders)
    }

    fn files(&self, folder: &str, see: &mut dyn FnMut(&str, u64) -> io::Result<()>) -> io::Result<()> {
        self.bucket.objects(&format!("{folder}/"), see)
    }

    fn length(&mut self, name: &str) -> io::Result<Option<u64>> {
        if self.chunks.is_none() {
            let mut chunks = HashMap::new();
            self.files(REPLAYS, &mut |name, bytes| {
                chunks.insert(self.hasher.hash_one(name), bytes);
                Ok(())
            })?;
            self.chunks = Some(chunks);
        }
        Ok(self.chunks.as_ref().and_then(|chunks| chunks.get(&self.hasher.hash_one(name)).copied()))
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.bucket.object(name)?))
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let sent = self.bucket.send_object(name, &mut &*bytes, bytes.len() as u64, &AT_ONCE);
        sent.map_err(|error| match error {
            CopyError::Read(error) | CopyError::Write(error) => error,
            CopyError::Cancelled => io::ErrorKind::Interrupted.into(),
        })?;
        if let Some(chunks) = &mut self.chunks {
            chunks.insert(self.hasher.hash_one(name), bytes.len() as u64);
        }
        Ok(())
    }

    fn add(
        &mut self,
        from: &mut File,
        see: &mut dyn FnMut(&[u8]),
        name_of: &dyn Fn(&str) -> String,
        way: &Way<'_>,
    ) -> Result<(String, Copied), CopyError> {
        // An object has its name from the beginning, so the file is read twice.
        let copied = way.hash(&mut Shown { from, see })?;
        from.rewind().map_err(CopyError::Read)?;
        let name = name_of(&copied.sha256);
        self.bucket.send_object(&name, from, copied.bytes, way)?;
        Ok((name, copied))
    }

    fn begin(&self, data_dir: &Path, _: &str) -> io::Result<PathBuf> {
        discard_waiting(data_dir)?;
        Ok(data_dir.join(WAITING))
    }

    fn finish(&mut self, begun: &Path, name: &str, way: &Way<'_>) -> Result<(), CopyError> {
        let mut all: Vec<String> = names(begun).map_err(CopyError::Read)?.into_iter().collect();
        all.sort_by_key(|file| file == MANIFEST);
        for file in all {
            let mut from = File::open(begun.join(&file)).map_err(CopyError::Read)?;
            let length = from.metadata().map_err(CopyError::Read)?.len();
            self.bucket.send_object(&format!("{name}/{file}"), &mut from, length, way)?;
        }
        Ok(())
    }

    fn remove_backup(&mut self, name: &str) -> io::Result<()> {
        self.bucket.delete_objects(&[format!("{name}/{MANIFEST}")])?;
        self.remove_folder(name)
    }

    fn remove(&mut self, names: &[String]) -> io::Result<()> {
        self.bucket.delete_objects(names)
    }

    fn is_of_one_file(&self, error: &io::Error) -> bool {
        is_missing(error)
    }

    fn temporary(&self) -> io::Result<Temporary> {
        tempfile::tempdir().and_then(Temporary::new)
    }
}

/// Removes what waits in `data_dir` to be sent, of a backup that was not finished.
///
/// # Errors
/// When something is there and stays.
pub(in super::super) fn discard_waiting(data_dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(data_dir.join(WAITING)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
