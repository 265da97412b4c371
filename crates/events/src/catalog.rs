//! The files of a store beside what its catalog says of them.
//!
//! A segment file has the name `<id>.tmp` until it is registered, and `<id>.parquet` from then on; what a registered one
//! replaces is noted in the transaction that registers it. So no death of a process leaves a file of the latter name that
//! the catalog neither names nor has noted. Where there is one, files or catalog were moved about, and nothing is done to
//! either: the store does not open. At the start are removed `*.tmp`, and what this catalog has noted as replaced.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::OpenError;
use crate::segment::{SegmentMeta, StoreId, file_name, remove_if_there, store_of, temporary_name};

/// A file that the catalog noted as replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replaced {
    pub(crate) id: u64,
    /// The segment that has its rows; `None` when none was left.
    pub(crate) by: Option<u64>,
}

/// What a catalog says of files.
pub(crate) struct Named {
    pub(crate) store: StoreId,
    pub(crate) segments: Vec<SegmentMeta>,
    pub(crate) replaced: Vec<Replaced>,
}

/// The folder of the segments of the store in `dir`.
pub(crate) fn segments_dir(dir: &Path) -> PathBuf {
    dir.join("segments")
}

/// Refuses a link at `path`: what is done to a file must not be done to another one.
///
/// # Errors
/// [`OpenError::Symlink`], or when nobody can look.
pub(crate) fn refuse_link(path: &Path) -> Result<(), OpenError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => Err(OpenError::Symlink(path.to_owned())),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(OpenError::io(path, error)),
        _ => Ok(()),
    }
}

/// The names in `folder` that end in `.parquet` or `.tmp`, sorted; none when there is no folder.
///
/// # Errors
/// When the folder or one of these files is a link, or cannot be read.
pub(crate) fn file_names(folder: &Path) -> Result<BTreeSet<String>, OpenError> {
    refuse_link(folder)?;
    let io_error = |error| OpenError::io(folder, error);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.map_err(io_error)?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let entry = entry.map_err(io_error)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.ends_with(".parquet") || name.ends_with(".tmp") {
            refuse_link(&entry.path())?;
            names.insert(name);
        }
    }
    Ok(names)
}

/// The segment files in `folder`, without those that are not registered yet.
pub(crate) fn segment_names(folder: &Path) -> Result<BTreeSet<String>, OpenError> {
    let mut names = file_names(folder)?;
    names.retain(|name| name.ends_with(".parquet"));
    Ok(names)
}

/// The files in the folder of segments that do not belong to the catalog, one line each.
pub(crate) fn strangers(folder: &Path, named: &Named) -> Result<Vec<String>, OpenError> {
    let known: BTreeSet<String> = named.segments.iter().map(|segment| file_name(segment.id)).collect();
    let noted: BTreeSet<String> = named.replaced.iter().map(|replaced| file_name(replaced.id)).collect();
    let describe = |name: &String| {
        let path = folder.join(name);
        let store = store_of(&path);
        let is_known = known.contains(name);
        let why = match store {
            Some(store) if store != named.store => format!("is of another store, {store}"),
            _ if is_known || noted.contains(name) => return None,
            Some(_) => "is of this store, but the catalog does not know it, as if that were an older copy".to_owned(),
            None => "is not known to the catalog, and does not say of which store it is".to_owned(),
        };
        Some(format!("segments/{name} {why}"))
    };
    Ok(segment_names(folder)?.iter().filter_map(describe).collect())
}

/// Completes what a process that died has begun: registered files get their names, and what may be removed is. Gives the
/// noted files that are gone.
pub(crate) fn settle(folder: &Path, named: &Named) -> Result<Vec<u64>, OpenError> {
    let mut names = file_names(folder)?;
    let settled = (|| -> io::Result<Vec<u64>> {
        for segment in &named.segments {
            let (temporary, name) = (temporary_name(segment.id), file_name(segment.id));
            if names.contains(&temporary) && !names.contains(&name) {
                fs::rename(folder.join(&temporary), folder.join(&name))?;
                names.remove(&temporary);
                names.insert(name);
            }
        }
        sync_dir(folder)?;
        for name in names.iter().filter(|name| name.ends_with(".tmp")) {
            remove_if_there(&folder.join(name))?;
        }
        // Its rows are on the way of being lost when what replaced it is.
        let is_missing = |id: u64| {
            named.segments.iter().any(|segment| segment.id == id) && fs::metadata(folder.join(file_name(id))).is_err()
        };
        let mut gone = Vec::new();
        for replaced in &named.replaced {
            if replaced.by.is_some_and(is_missing) && names.contains(&file_name(replaced.id)) {
                continue;
            }
            remove_if_there(&folder.join(file_name(replaced.id)))?;
            gone.push(replaced.id);
        }
        sync_dir(folder)?;
        Ok(gone)
    })();
    settled.map_err(|error| OpenError::io(folder, error))
}

/// Makes names in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
