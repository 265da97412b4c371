//! Where long pieces are kept that no question looks into: recordings and their chunks. A name is written once, with one content.

mod files;

use std::fmt;

pub use files::FileBlobs;

/// The most bytes of a name.
const NAME_MAX_BYTES: usize = 200;
/// The most bytes that are kept under one name.
pub const BLOB_MAX_BYTES: usize = 64 << 20;

/// The name of a blob: parts of small letters, digits, `-` and `_`, with `/` between them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobName(String);

/// A string that is no name of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a blob")]
pub struct InvalidBlobName;

impl BlobName {
    /// The name that `name` is.
    ///
    /// ```
    /// use zenovay_capture::BlobName;
    ///
    /// assert!(BlobName::new("replays/7f3a/0-1b").is_ok());
    /// assert!(BlobName::new("../7f3a").is_err());
    /// ```
    ///
    /// # Errors
    /// [`InvalidBlobName`]: it is no path below where blobs are, or is too long.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidBlobName> {
        let name = name.into();
        let is_part = |part: &str| {
            let is_letter =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
            !part.is_empty() && part.bytes().all(is_letter)
        };
        if name.len() <= NAME_MAX_BYTES && name.split('/').all(is_part) { Ok(Self(name)) } else { Err(InvalidBlobName) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a blob cannot be written, read or deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// There is no room for it.
    #[error("{name}: the disk is full")]
    Full {
        /// The blob.
        name: String,
    },
    /// There is none of that name.
    #[error("{name}: there is no such blob")]
    Missing {
        /// The name.
        name: String,
    },
    /// Whatever else is wrong with where it is kept.
    #[error("{name}: {problem}")]
    Unavailable {
        /// The blob.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

/// Something found where blobs are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundBlob {
    /// What it is called there: a name of a blob, or whatever else lies there.
    pub name: String,
    /// Whether it is a blob, and not what a crash left of one.
    pub is_blob: bool,
    /// When it was written, in milliseconds since 1970, by the clock of where it is kept.
    pub written_ms: i64,
}

impl FoundBlob {
    /// What is called `name` where blobs are kept, and was written at `written_ms`.
    pub fn new(name: String, written_ms: i64) -> Self {
        let is_blob = BlobName::new(name.as_str()).is_ok();
        Self { name, is_blob, written_ms }
    }
}

/// Keeps blobs. All methods may be called from any thread, and block.
pub trait Blobs: Send + Sync + fmt::Debug {
    /// Keeps `bytes` under `name`: they are durable when this returns. The same again does no harm.
    ///
    /// # Errors
    /// [`BlobError::Full`], [`BlobError::Unavailable`]: nothing can be read under the name that is not whole.
    fn put(&self, name: &BlobName, bytes: &[u8]) -> Result<(), BlobError>;

    /// What is kept under `name`, at most [`BLOB_MAX_BYTES`].
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::Unavailable`].
    fn get(&self, name: &BlobName) -> Result<Vec<u8>, BlobError>;

    /// `length` bytes of what is kept under `name`, from the byte `from` on.
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::Unavailable`]: it also is when there are not so many.
    fn get_part(&self, name: &BlobName, from: u64, length: u64) -> Result<Vec<u8>, BlobError>;

    /// Deletes what is kept under `name`, if anything is.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    fn delete(&self, name: &BlobName) -> Result<(), BlobError>;

    /// Deletes what [`list`](Self::list) found, whatever it is, if it is still there.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    fn delete_found(&self, found: &FoundBlob) -> Result<(), BlobError>;

    /// Calls `see` with everything whose name begins with the parts `first`, in any order, until `see` says no.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    fn list(&self, first: &str, see: &mut dyn FnMut(FoundBlob) -> bool) -> Result<(), BlobError>;
}
