//! Why a store could not be opened.

use std::io;
use std::path::{Path, PathBuf};

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A value of the [`crate::EmbeddedConfig`] makes no sense. Nothing was looked at.
    #[error("{field}: {problem}")]
    Config {
        /// Its name.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Another process, or another store of this one, has the directory open.
    #[error("the event store in {} is in use by another process, or by another handle of this one", .0.display())]
    InUse(PathBuf),
    /// A later version of this program wrote something in it. Nothing was changed.
    #[error("the event store in {} was written by a later version of zenovay: {what}", dir.display())]
    Newer {
        /// The directory.
        dir: PathBuf,
        /// What, with its version and those that this program reads.
        what: String,
    },
    /// Something in the log is not what was written. Nothing was changed.
    #[error("events.db in {} is damaged: {what}", dir.display())]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// There are segment files, or the end of a log, and no log that knows them. Nothing was changed.
    #[error("events.db in {} is missing or empty, and there are {files} segment files beside it", dir.display())]
    NoCatalog {
        /// The directory.
        dir: PathBuf,
        /// How many segment files it has.
        files: usize,
    },
    /// There are segment files that do not belong to the log. Nothing was changed.
    #[error("events.db and segment files in {} do not belong together: {}{}", dir.display(), files[0], and_more(files))]
    Strangers {
        /// The directory.
        dir: PathBuf,
        /// Which, and what is known of each; at least one.
        files: Vec<String>,
    },
    /// A file of the store is a symbolic link. None is followed, the directory of the store itself may be one.
    #[error("{} is a symbolic link: put the file itself there", .0.display())]
    Symlink(PathBuf),
    /// A file or directory could not be used.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }
}

fn and_more(files: &[String]) -> String {
    if files.len() > 1 { format!(", and {} more", files.len() - 1) } else { String::new() }
}
