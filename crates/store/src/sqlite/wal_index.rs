//! Whether the database changed, without a statement.
//!
//! In WAL mode every commit, by whichever process, writes the header of the WAL index, the file `-shm`: a counter of
//! changes, the number of frames, salts and checksums, twice over (<https://sqlite.org/walformat.html>, "The WAL-Index
//! File Format"). SQLite itself learns from these bytes whether its cache is current. Reading them is one system call;
//! a statement takes and releases two file locks besides, and was the largest part of serving a hit's settings.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use parking_lot::Mutex;

/// The length of one copy of the header.
const COPY_BYTES: usize = 48;

/// The header at one moment. Two that are equal have no commit between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header([u8; COPY_BYTES]);

/// The WAL index of an open database.
#[derive(Debug)]
pub(super) struct WalIndex(&'static File);

impl WalIndex {
    /// The index of the database in the file `path`, on which a connection has read in WAL mode and stays open.
    ///
    /// # Errors
    /// When there is no such file, or it may not be read.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut name = OsString::from(path);
        name.push("-shm");
        never_closed(Path::new(&name)).map(Self)
    }

    /// The header, or `None` when it cannot be read or is being written in this moment.
    pub(super) fn header(&self) -> Option<Header> {
        let mut copies = [0; 2 * COPY_BYTES];
        self.0.read_exact_at(&mut copies, 0).ok()?;
        let (first, second) = copies.split_at(COPY_BYTES);
        (first == second).then_some(Header(first.try_into().ok()?))
    }
}

/// Opens a file for the life of the process, the same one once: closing any handle of it would give up the locks that
/// SQLite's connections hold on it (<https://sqlite.org/howtocorrupt.html>, 2.2).
fn never_closed(path: &Path) -> io::Result<&'static File> {
    static OPEN: Mutex<Vec<((u64, u64), &'static File)>> = Mutex::new(Vec::new());
    let mut open = OPEN.lock();
    let metadata = std::fs::metadata(path)?;
    let identity = (metadata.dev(), metadata.ino());
    if let Some((_, file)) = open.iter().find(|(known, _)| *known == identity) {
        return Ok(file);
    }
    let file: &'static File = Box::leak(Box::new(File::open(path)?));
    open.push((identity, file));
    Ok(file)
}
