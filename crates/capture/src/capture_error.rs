//! Why captures cannot be read or changed.

use std::path::PathBuf;

use crate::BlobError;

/// Why captures cannot be read or changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The database cannot be opened, read or written.
    #[error("{path}: {problem}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A later version of this program wrote it.
    #[error("{path}: {what}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// What of it is newer.
        what: String,
    },
    /// The database is gone, and what belongs to it is there: recordings that an empty one does not know would be deleted.
    #[error(
        "{} is missing or empty, and what belongs to it is there: put a copy of it back, or move {} away to begin anew. \
         Nothing was changed",
        path.display(), beside.display()
    )]
    Lost {
        /// Where the database should be.
        path: PathBuf,
        /// What is there and belongs to it.
        beside: PathBuf,
    },
    /// The database knows less than it did: recordings that came since would be deleted.
    #[error(
        "{} is an older copy than was here, or of another store: put the right one back. To go on with this one remove {}; \
         recordings that it does not know are deleted then. Nothing was changed",
        path.display(), mark.display()
    )]
    OlderCopy {
        /// The database.
        path: PathBuf,
        /// The file that says how far it was.
        mark: PathBuf,
    },
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// What was taken lately is not applied yet. Try again soon.
    #[error("captures are not up to date")]
    Behind,
    /// Chunks of recordings cannot be read or deleted where they are kept.
    #[error("chunks of recordings: {problem}")]
    Blobs {
        /// What is wrong.
        problem: String,
    },
    /// What was removed is in no answer any more, but cannot be deleted yet where recordings are kept. It is tried again until it is.
    #[error("recordings cannot be deleted yet: {problem}")]
    NotYetDeleted {
        /// What is wrong.
        problem: String,
    },
    /// The question would hold too much in memory; a shorter range may do.
    #[error("the question needs too much memory")]
    TooLarge,
}

impl From<BlobError> for CaptureError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Full { .. } => Self::DiskFull,
            error => Self::Blobs { problem: error.to_string() },
        }
    }
}
