//! The names of the chunks of recordings of a backup, in a file of its own: what no backup needs is found without fetching the index of
//! each from where they are.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use zenovay_capture::{BlobName, recorded_blobs};

use super::place::{Place, read_whole};
use super::{BackupError, CAPTURES, Manifest, WAITING};
use crate::config::BackupPlace;
use crate::files::{self, AT_ONCE, hex};

/// The name of the file. A line for each chunk, and after them one with the SHA-256 of those.
pub(super) const LIST: &str = "recordings";

/// The list of a backup that is being made.
#[derive(Default)]
pub(super) struct ChunkList(String);

impl ChunkList {
    pub(super) fn add(&mut self, name: &BlobName) {
        self.0.push_str(name.as_str());
        self.0.push('\n');
    }

    /// Writes it to a new file; gives how long that is.
    pub(super) fn write(self, path: &Path) -> io::Result<u64> {
        let sum = hex(&Sha256::digest(self.0.as_bytes()));
        let mut file: File = files::create(path)?;
        file.write_all(self.0.as_bytes())?;
        file.write_all(format!("{sum}\n").as_bytes())?;
        file.sync_all()?;
        Ok(file.metadata()?.len())
    }
}

/// The lines of a list that is whole.
fn whole(list: &[u8]) -> Option<&str> {
    let (list, end) = std::str::from_utf8(list).ok()?.strip_suffix('\n').map(|list| {
        let at = list.rfind('\n').map_or(0, |at| at + 1);
        list.split_at(at)
    })?;
    (hex(&Sha256::digest(list.as_bytes())) == end).then_some(list)
}

/// Calls `see` with the names of the chunks of the backup `name` in `place`, which `manifest` is of: by its list, or where that is missing or damaged by its
/// index, which is put into `data_dir` for as long as it is read when it is in a bucket.
pub(super) fn of_backup(
    place: &dyn Place,
    name: &str,
    manifest: &Manifest,
    data_dir: &Path,
    see: &mut dyn FnMut(&str),
) -> Result<(), BackupError> {
    let failed = |file: &str, cause| BackupError::io(&place.address().at(&format!("{name}/{file}")), cause);
    match read_whole(place, &format!("{name}/{LIST}")) {
        Ok(list) => {
            if let Some(list) = whole(&list) {
                list.lines().for_each(see);
                return Ok(());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(LIST, error)),
    }
    let mut see = |chunk: &BlobName| {
        see(chunk.as_str());
        true
    };
    if let BackupPlace::Dir(dir) = place.address() {
        return Ok(recorded_blobs(&dir.join(name).join(CAPTURES), &mut see)?);
    }
    let folder = data_dir.join(WAITING);
    let copy = folder.join(CAPTURES);
    let made = files::make_dir(&folder).and_then(|()| files::create(&copy));
    let mut to = made.map_err(|cause| BackupError::io(&copy, cause))?;
    let mut from = place.read(&format!("{name}/{CAPTURES}")).map_err(|cause| failed(CAPTURES, cause))?;
    let copied = AT_ONCE.copy(&mut *from, &mut to);
    let index = place.address().at(&format!("{name}/{CAPTURES}"));
    let copied = copied.map_err(|error| BackupError::copy(&index, &copy, error))?;
    if !manifest.files.iter().any(|file| file.name == CAPTURES && file.sha256 == copied.sha256) {
        let problem = "its content is not what was written".to_owned();
        return Err(BackupError::Damaged { path: index, problem });
    }
    recorded_blobs(&copy, &mut see)?;
    super::place::discard_waiting(data_dir).map_err(|cause| BackupError::io(&folder, cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: take a list that was cut for a whole one: what it does not name would be removed.
    #[test]
    fn a_list_that_is_not_whole_names_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LIST);
        let names = ["replays/7/s1/a", "replays/7/s1/b"];
        let mut list = ChunkList::default();
        names.iter().for_each(|name| list.add(&BlobName::new(*name).unwrap()));
        list.write(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(whole(&bytes).unwrap().lines().collect::<Vec<_>>(), names);
        for length in 0..bytes.len() {
            assert_eq!(whole(&bytes[..length]), None, "{length}");
        }
        ChunkList::default().write(&path).unwrap();
        assert_eq!(whole(&std::fs::read(&path).unwrap()), Some(""));
    }
}
