//! Files that must be whole, and stay.
//!
//! What root makes in a folder of somebody else is theirs from the beginning: the server runs as another user, and one command by root
//! is not to stop it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{Advice, OFlags, fadvise};
use rustix::process::geteuid;
use sha2::{Digest, Sha256};

/// How names of files end that are being written.
pub(crate) const UNFINISHED: &str = ".tmp";
/// Opens no symbolic link.
const NO_LINK: i32 = OFlags::NOFOLLOW.bits().cast_signed();
/// How much is copied at a time: a twentieth of a millisecond of a core, which is what others wait for that want it.
pub(crate) const PIECE_BYTES: usize = 64 << 10;
/// Gently copied, the disk is told to write after so much.
pub(crate) const UNWRITTEN_BYTES: u64 = 1 << 20;
/// Gently copied, others have core and disk so many times as long as they were used.
const PAUSES: u32 = 9;
/// The longest pause between two pieces.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// Makes names in `dir` durable.
///
/// # Errors
/// When the disk fails.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Has the disk begin to write what `file` has, without waiting for it: who syncs another file meanwhile waits for little, where
/// syncing this one each time has the disk flush its cache as often. It is not kept in memory.
pub(crate) fn start_writing(file: &File) {
    // Where that cannot be asked for, it is written when the file is synced.
    let _ = fadvise(file, 0, None, Advice::DontNeed);
}

/// Makes everything durable that is in the file system of `dir`: of many small files sooner done than one by one.
///
/// # Errors
/// When the disk fails.
pub(crate) fn sync_file_system(dir: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(dir)?)?)
}

/// Makes the directory `dir` and those above it that are missing, each for its owner alone.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|path| !path.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    for made in missing.into_iter().rev().filter(|path| !path.as_os_str().is_empty()) {
        give_to_owner_of(folder_of(made), made);
    }
    Ok(())
}

/// The folder that `path` is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Gives the directory `made`, when it is root's, to the owner of `folder`.
pub(crate) fn give_to_owner_of(folder: &Path, made: &Path) {
    if geteuid().is_root() {
        let opened = OpenOptions::new().read(true).custom_flags(NO_LINK).open(made);
        give(folder, opened.as_ref().ok());
    }
}

/// Gives what is root's to the owner of `folder`. Root without the right to do so keeps it: whoever it is in the way of says so.
fn give(folder: &Path, made: Option<&File>) {
    let (Some(made), true, Ok(owner)) = (made, geteuid().is_root(), fs::metadata(folder)) else { return };
    // What has another name may be another's.
    let is_ours = made.metadata().is_ok_and(|found| found.uid() == 0 && (found.is_dir() || found.nlink() == 1));
    if is_ours && owner.uid() != 0 {
        let _ = fchown(made, Some(owner.uid()), Some(owner.gid()));
    }
}

/// Makes an empty file that only its owner can read, in the place of what is there. No link is followed.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    make(path, OpenOptions::new().write(true).truncate(true))
}

/// Opens a file that only its owner can read, to read it and to write behind what is there; makes it when it is missing. No link is followed.
///
/// # Errors
/// When it cannot be opened or made.
pub(crate) fn append(path: &Path) -> io::Result<File> {
    make(path, OpenOptions::new().append(true))
}

fn make(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.read(true).create(true).mode(0o600).custom_flags(NO_LINK).open(path)?;
    give(folder_of(path), Some(&file));
    Ok(file)
}

/// `path` with an ending that says that it is not finished.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    name.into()
}

/// Writes a file, in the place of what is there, and durable.
///
/// # Errors
/// When it cannot be written; what was there stays.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = unfinished(path);
    let mut file = create(&new)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // On a full disk it is in the way.
        let _ = fs::remove_file(&new);
    }
    written?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// How files are copied.
#[derive(Debug)]
pub(crate) struct Way<'a> {
    /// Whether somebody else needs core and disk: at a tenth of their speed, in small pieces.
    pub(crate) is_gentle: bool,
    /// Whether to end.
    pub(crate) cancelled: &'a AtomicBool,
}

static NEVER: AtomicBool = AtomicBool::new(false);

/// Copies at once, to the end.
pub(crate) const AT_ONCE: Way<'static> = Way { is_gentle: false, cancelled: &NEVER };

/// A file that cannot be used, by its name.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or written.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It is a database that cannot be read or copied.
    #[error("{path}: {cause}")]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: rusqlite::Error,
    },
}

impl FileError {
    pub(crate) fn io(path: &Path, cause: io::Error) -> Self {
        Self::Io { path: path.to_owned(), cause }
    }

    pub(crate) fn database(path: &Path, cause: rusqlite::Error) -> Self {
        Self::Database { path: path.to_owned(), cause }
    }
}

/// Why something was not copied.
#[derive(Debug)]
pub(crate) enum CopyError {
    /// It cannot be read.
    Read(io::Error),
    /// The copy cannot be written.
    Write(io::Error),
    /// Somebody said to end.
    Cancelled,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copied {
    /// How many bytes.
    pub(crate) bytes: u64,
    /// Their SHA-256, in hexadecimal digits.
    pub(crate) sha256: String,
}

impl Way<'_> {
    /// # Errors
    /// [`CopyError::Cancelled`].
    pub(crate) fn go_on(&self) -> Result<(), CopyError> {
        if self.cancelled.load(Ordering::Relaxed) { Err(CopyError::Cancelled) } else { Ok(()) }
    }

    /// Lets others have core and disk for [`PAUSES`] times as long as they were used.
    pub(crate) fn pause(&self, since: Instant) {
        if self.is_gentle {
            std::thread::sleep((since.elapsed() * PAUSES).min(PAUSE_MAX));
        }
    }

    /// Writes everything that `from` has to `to`; durable when this returns.
    ///
    /// # Errors
    /// [`CopyError`]; `to` has a part of it then.
    pub(crate) fn copy(&self, from: &mut dyn Read, to: &mut File) -> Result<Copied, CopyError> {
        let (mut hash, mut bytes, mut unwritten) = (Sha256::new(), 0, 0);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            self.go_on()?;
            let started = Instant::now();
            let read = fill(from, &mut piece).map_err(CopyError::Read)?;
            if read == 0 {
                break;
            }
            hash.update(&piece[..read]);
            to.write_all(&piece[..read]).map_err(CopyError::Write)?;
            bytes += read as u64;
            unwritten += read as u64;
            if self.is_gentle && unwritten >= UNWRITTEN_BYTES {
                start_writing(to);
                unwritten = 0;
            }
            self.pause(started);
        }
        to.sync_all().map_err(CopyError::Write)?;
        Ok(Copied { bytes, sha256: hex(&hash.finalize()) })
    }

    /// The length and the hash of the file at `path`.
    ///
    /// # Errors
    /// [`CopyError`].
    pub(crate) fn hash_file(&self, path: &Path) -> Result<Copied, CopyError> {
        self.hash(&mut File::open(path).map_err(CopyError::Read)?)
    }

    /// The length and the hash of everything that `from` has.
    ///
    /// # Errors
    /// [`CopyError`].
    pub(crate) fn hash(&self, from: &mut dyn Read) -> Result<Copied, CopyError> {
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            self.go_on()?;
            let started = Instant::now();
            let read = fill(from, &mut piece).map_err(CopyError::Read)?;
            if read == 0 {
                return Ok(Copied { bytes, sha256: hex(&hash.finalize()) });
            }
            hash.update(&piece[..read]);
            bytes += read as u64;
            self.pause(started);
        }
    }
}

/// Shows all that is read from a file to somebody else, as it comes.
pub(crate) struct Shown<'a> {
    pub(crate) from: &'a mut File,
    pub(crate) see: &'a mut dyn FnMut(&[u8]),
}

impl Read for Shown<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(bytes)?;
        (self.see)(&bytes[..read]);
        Ok(read)
    }
}

/// Reads until `piece` is full or there is no more; gives how much that is.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn fill(from: &mut dyn Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < piece.len() {
        match from.read(&mut piece[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    /// Whoever runs this as somebody else than root can give nothing away, and need not.
    ///
    /// Sabotage: give nothing, give folders alone or the last of them alone, or follow a link.
    #[test]
    fn what_root_makes_in_a_folder_of_somebody_else_is_theirs() {
        let dir = tempfile::tempdir().unwrap();
        let (theirs, elsewhere) = (dir.path().join("theirs"), dir.path().join("elsewhere"));
        fs::create_dir(&theirs).unwrap();
        let is_root = geteuid().is_root();
        if is_root {
            chown(&theirs, Some(65_534), Some(65_534)).unwrap();
        }
        let owner = fs::metadata(&theirs).unwrap().uid();
        make_dir(&theirs.join("a/b")).unwrap();
        create(&theirs.join("a/b/new")).unwrap();
        append(&theirs.join("list")).unwrap().write_all(b"1").unwrap();
        append(&theirs.join("list")).unwrap().write_all(b"2").unwrap();
        replace(&theirs.join("replaced"), b"x").unwrap();
        for name in ["a", "a/b", "a/b/new", "list", "replaced"] {
            assert_eq!(fs::metadata(theirs.join(name)).unwrap().uid(), owner, "{name}");
        }
        assert_eq!(fs::read(theirs.join("list")).unwrap(), b"12");
        fs::write(&elsewhere, "precious").unwrap();
        symlink(&elsewhere, theirs.join("link")).unwrap();
        assert!(create(&theirs.join("link")).is_err() && append(&theirs.join("link")).is_err());
        assert_eq!(fs::read(&elsewhere).unwrap(), b"precious");
        assert_eq!(fs::metadata(&elsewhere).unwrap().uid(), geteuid().as_raw());
        // A new directory of backups is not in theirs, and is for them.
        make_dir(&dir.path().join("place")).unwrap();
        give_to_owner_of(&theirs, &dir.path().join("place"));
        assert_eq!(fs::metadata(dir.path().join("place")).unwrap().uid(), owner);
    }
}
