//! Space on the disk that is held for changes which must not wait until there is space again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// As much as a change of a few rows needs several times over: its pages in the write-ahead log, and those that other
/// writers take of what is given up.
const BYTES: usize = 1 << 20;

/// The file `<database>-reserve`.
pub(super) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// The reserve of the database `path`, made when there is space for it; otherwise the next opening tries again.
    pub(super) fn beside(path: &Path) -> Self {
        let mut name = path.as_os_str().to_owned();
        name.push("-reserve");
        let reserve = Self { path: name.into() };
        // Without it the database works as well, but for what a full disk does not let it do.
        let _ = reserve.fill();
        reserve
    }

    /// Written, not only made longer: a file with holes holds no space.
    fn fill(&self) -> io::Result<()> {
        if fs::symlink_metadata(&self.path).is_ok_and(|file| file.is_file() && file.len() == BYTES as u64) {
            return Ok(());
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&self.path)?;
        let written = file.write_all(&vec![0x5a; BYTES]).and_then(|()| file.sync_all());
        if written.is_err() {
            // A part of a reserve only takes what others need.
            fs::remove_file(&self.path)?;
        }
        written
    }

    /// Gives the space back to the disk. `false` when none was held. It is held again after the next opening.
    pub(super) fn give_up(&self) -> bool {
        fs::remove_file(&self.path).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn space_is_held_until_it_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("z.db");
        let reserve = Reserve::beside(&database);
        let file = directory.path().join("z.db-reserve");
        let held = fs::metadata(&file).unwrap();
        assert!(held.blocks() * 512 >= BYTES as u64, "{} blocks are held", held.blocks());
        assert_eq!(held.permissions().mode() & 0o777, 0o600);
        Reserve::beside(&database);
        assert_eq!(fs::metadata(&file).unwrap().ino(), held.ino(), "what is whole is left alone");
        assert!(reserve.give_up());
        assert!(!reserve.give_up());
        Reserve::beside(&database);
        assert!(file.exists());
    }

    #[test]
    fn a_reserve_that_is_cut_or_a_link_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("z.db-reserve");
        fs::write(&file, "short").unwrap();
        Reserve::beside(&directory.path().join("z.db"));
        assert_eq!(fs::metadata(&file).unwrap().len(), BYTES as u64);
        fs::remove_file(&file).unwrap();
        let elsewhere = directory.path().join("elsewhere");
        fs::write(&elsewhere, "mine").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        Reserve::beside(&directory.path().join("z.db"));
        assert_eq!(fs::read(&elsewhere).unwrap(), b"mine");
        assert!(fs::symlink_metadata(&file).unwrap().is_file());
    }
}
