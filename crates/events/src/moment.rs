//! What a store has at one moment, and who takes it.

use std::io::{self, Read};
use std::path::PathBuf;

use zenovay_domain::{Timestamp, WebsiteId};

/// A file with sealed events. It never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its name in the folder `segments`.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Tells it from every other file of that name: made of what is known about its content, with checksums of all of it.
    pub content: u64,
    /// Events and heartbeats in it.
    pub rows: u64,
}

/// How much is stored of a website.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebsiteRows {
    /// Which.
    pub website: WebsiteId,
    /// Events and heartbeats, hidden ones too.
    pub rows: u64,
    /// The time of the first.
    pub first_at: Timestamp,
    /// The time of the last.
    pub last_at: Timestamp,
}

/// What a store has at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Moment {
    /// The id of the store, 32 hexadecimal digits. Copies have the same.
    pub store: String,
    /// The files with sealed events. The rest is in the log.
    pub segments: Vec<SegmentFile>,
    /// What there is of each website, by its id.
    pub websites: Vec<WebsiteRows>,
}

impl Moment {
    /// Events and heartbeats of all websites.
    pub fn rows(&self) -> u64 {
        self.websites.iter().map(|site| site.rows).sum()
    }
}

/// Copies a store, see [`EventStore::copy`](crate::EventStore::copy). The methods are called once each, in this order, on the
/// thread of the caller; an error ends the copy.
pub trait Copier {
    /// Called at the moment itself. Nothing is committed until it returns, so it does not take long: time for what has to be
    /// of the same moment.
    ///
    /// # Errors
    /// To end the copy.
    fn moment(&mut self, moment: &Moment) -> io::Result<()>;

    /// Takes the log and the catalog: the bytes of a file `events.db`. Commits go on, and are written into the file later.
    ///
    /// # Errors
    /// To end the copy.
    fn log(&mut self, bytes: &mut dyn Read) -> io::Result<()>;

    /// Takes the segment files. None of the moment goes away before this returns.
    ///
    /// # Errors
    /// To end the copy.
    fn segments(&mut self, moment: &Moment) -> io::Result<()>;
}
