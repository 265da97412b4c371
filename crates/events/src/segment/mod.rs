//! Segments: immutable Parquet files of sealed rows.
//!
//! # The file
//!
//! `segments/<16 hex digits>.parquet`, standard Parquet that other programs open. One row per event, or per session that
//! sent heartbeats; rows sorted by website, then by time, rows of the same time in the order of their arrival. Every
//! column is required; an absent text is the empty text.
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `website_id` | 16 bytes, UUID | whose |
//! | `occurred_at` | INT64, timestamp in milliseconds, UTC | when; of a folded heartbeat, the last one |
//! | `event_type` | text | the kind's name; `heartbeat` rows are no events |
//! | `visitor_id`, `session_id` | INT64, unsigned | keyed hashes |
//! | `flags` | INT32, unsigned | `EventFlags` |
//! | `engagement_ms` | INT32, unsigned | of a folded heartbeat, the sum |
//! | `scroll_percent` | INT32, unsigned | of a folded heartbeat, the largest |
//! | one for each `Dimension`, by its name | text | |
//!
//! `occurred_at` is DELTA_BINARY_PACKED. Every other column chunk is one dictionary page and data pages of RLE/bit-packed codes of
//! 16,384 rows each: there is no other encoding, so a reader takes the codes as they are. All pages are zstd.
//!
//! A website with 16,384 rows or more has row groups of its own, of up to 131,072 rows; smaller websites share row groups
//! of about 32,768 rows, and the catalog knows each one's rows. A row group ends earlier when the different values of a
//! column would take more than 4 MiB: a column of a row group is what writers and readers hold at once. Behind row groups of one website stand digests, see
//! `digest.rs`.
//!
//! # The catalog
//!
//! A row of the table `segments` in `events.db` per file: [`SegmentMeta`], which has the place, length and XXH3-64 of each
//! column chunk and the rows of each website. Reading a column takes its chunk with one read, verifies the checksum and
//! decodes; the file's footer is only for other programs. A file is never trusted beyond what the catalog says of it:
//! shorter, longer or changed, it is an error and not a smaller number. The file says the same of itself, see `entry.rs`: that
//! is what a lost catalog is rebuilt from.

mod digest;
mod entry;
pub(crate) mod hybrid;
mod origin;
mod pages;
mod read;
mod source;
mod write;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use parking_lot::Mutex;
use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::schema::types::{SchemaDescriptor, Type};
use serde::{Deserialize, Serialize};
use zenovay_domain::{Dimension, WebsiteId};

use crate::{FaultPoint, Faults};

pub(crate) use digest::{DigestMeta, StoredDigest};
pub(crate) use entry::{StoreId, decode_meta, encode_meta, read_own, store_of};
pub(crate) use origin::{Batches, Origin};
pub(crate) use read::{Coded, TextColumn, Values};
pub(crate) use source::{HeadSource, Keep, Source};
pub(crate) use write::{Target, WriteError, write};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use {
    pages::Pages,
    read::{Texts, coded, dictionary, times},
};

/// A column of a segment, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnId {
    Website,
    At,
    Kind,
    Visitor,
    Session,
    Flags,
    EngagementMs,
    ScrollPercent,
    Dimension(Dimension),
}

impl ColumnId {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        use ColumnId::{At, EngagementMs, Flags, Kind, ScrollPercent, Session, Visitor, Website};
        [Website, At, Kind, Visitor, Session, Flags, EngagementMs, ScrollPercent]
            .into_iter()
            .chain(Dimension::ALL.iter().copied().map(ColumnId::Dimension))
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Website => 0,
            Self::At => 1,
            Self::Kind => 2,
            Self::Visitor => 3,
            Self::Session => 4,
            Self::Flags => 5,
            Self::EngagementMs => 6,
            Self::ScrollPercent => 7,
            Self::Dimension(dimension) => 8 + dimension as usize,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Website => "website_id",
            // Not `at`, which is a keyword in DuckDB.
            Self::At => "occurred_at",
            Self::Kind => "event_type",
            Self::Visitor => "visitor_id",
            Self::Session => "session_id",
            Self::Flags => "flags",
            Self::EngagementMs => "engagement_ms",
            Self::ScrollPercent => "scroll_percent",
            Self::Dimension(dimension) => dimension.as_str(),
        }
    }

    fn field(self) -> Result<Type, parquet::errors::ParquetError> {
        let (physical, logical) = match self {
            Self::Website => (Physical::FIXED_LEN_BYTE_ARRAY, LogicalType::Uuid),
            Self::At => (Physical::INT64, LogicalType::timestamp(true, TimeUnit::MILLIS)),
            Self::Visitor | Self::Session => (Physical::INT64, LogicalType::integer(64, false)),
            Self::Flags | Self::EngagementMs | Self::ScrollPercent => {
                (Physical::INT32, LogicalType::integer(32, false))
            }
            Self::Kind | Self::Dimension(_) => (Physical::BYTE_ARRAY, LogicalType::String),
        };
        Type::primitive_type_builder(self.name(), physical)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(Some(logical))
            .with_length(if self == Self::Website { 16 } else { -1 })
            .build()
    }
}

/// The columns of every segment.
static SCHEMA: LazyLock<Result<Arc<Type>, String>> = LazyLock::new(|| {
    let fields: Result<Vec<_>, _> = ColumnId::all().map(|column| column.field().map(Arc::new)).collect();
    fields
        .and_then(|fields| Type::group_type_builder("events").with_fields(fields).build())
        .map(Arc::new)
        .map_err(|error| error.to_string())
});

static DESCRIPTOR: LazyLock<Result<SchemaDescriptor, String>> =
    LazyLock::new(|| SCHEMA.clone().map(SchemaDescriptor::new));

/// What the catalog says of one segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentMeta {
    /// Names the file. Never used twice.
    pub(crate) id: u64,
    /// Orders segments by the arrival of their rows: a merged segment takes the place of its first.
    pub(crate) position: u64,
    pub(crate) rows: u64,
    /// Length of the file.
    pub(crate) bytes: u64,
    pub(crate) groups: Vec<GroupMeta>,
    /// Sorted by website, row group and first row.
    pub(crate) sites: Vec<SiteRange>,
    /// Which batches of the log it has the rows of.
    pub(crate) origin: Origin,
    /// What stands behind the row groups. `None` in files of format 2, and in what a file says of itself.
    pub(crate) tail: Option<Tail>,
}

/// The end of a file: what it says of itself, and Parquet's footer. No query reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tail {
    /// Where it begins.
    pub(crate) offset: u64,
    /// XXH3-64 of its bytes.
    pub(crate) hash: u64,
}

/// [`SegmentMeta`] as version 2 of the catalog has it: how long dictionaries are when they are unpacked is not in it, nor
/// what the file says of itself.
#[derive(Deserialize)]
pub(crate) struct SegmentMeta2 {
    id: u64,
    position: u64,
    rows: u64,
    bytes: u64,
    groups: Vec<GroupMeta2>,
    sites: Vec<SiteRange>,
}

#[derive(Deserialize)]
struct GroupMeta2 {
    rows: u32,
    chunks: Vec<ChunkMeta2>,
    digest: Option<DigestMeta>,
}

#[derive(Deserialize)]
struct ChunkMeta2 {
    offset: u64,
    bytes: u32,
    dictionary_bytes: u32,
    hash: u64,
}

impl From<SegmentMeta2> for SegmentMeta {
    fn from(old: SegmentMeta2) -> Self {
        let chunk = |ChunkMeta2 { offset, bytes, dictionary_bytes, hash }| ChunkMeta {
            offset,
            bytes,
            dictionary_bytes,
            unpacked_bytes: None,
            hash,
        };
        let group = |GroupMeta2 { rows, chunks, digest }| GroupMeta {
            rows,
            chunks: chunks.into_iter().map(chunk).collect(),
            digest,
        };
        let SegmentMeta2 { id, position, rows, bytes, groups, sites } = old;
        let (groups, origin) = (groups.into_iter().map(group).collect(), Origin::of_old(id));
        Self { id, position, rows, bytes, groups, sites, origin, tail: None }
    }
}

/// More rows than any row group has. What a reader reserves for one column of them stays below 256 MB.
const GROUP_ROWS_MAX: u32 = 1 << 24;

impl SegmentMeta {
    /// Whether its numbers fit each other, so that a reader can reckon with them: everything lies in the file, and the rows
    /// of each website in their row group.
    pub(crate) fn is_sound(&self) -> bool {
        let in_file = |offset: u64, bytes: u32| offset.checked_add(bytes.into()).is_some_and(|end| end <= self.bytes);
        let is_group_sound = |group: &GroupMeta| {
            group.rows <= GROUP_ROWS_MAX
                && group.chunks.iter().all(|c| c.dictionary_bytes <= c.bytes && in_file(c.offset, c.bytes))
                && group.digest.is_none_or(|digest| in_file(digest.offset, digest.bytes))
        };
        let is_site_sound = |site: &SiteRange| {
            let end = site.start.checked_add(site.rows);
            let group = self.groups.get(site.group as usize);
            group.zip(end).is_some_and(|(group, end)| end <= group.rows)
        };
        self.groups.iter().all(is_group_sound)
            && self.sites.iter().all(is_site_sound)
            && self.tail.is_none_or(|tail| tail.offset <= self.bytes)
            && self.sites.is_sorted_by_key(|site| (site.website, site.group, site.start))
    }
}

/// A row group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupMeta {
    pub(crate) rows: u32,
    /// Its column chunks, in the order of the columns.
    pub(crate) chunks: Vec<ChunkMeta>,
    /// Its digest. Row groups that websites share have none.
    pub(crate) digest: Option<DigestMeta>,
}

/// A column chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChunkMeta {
    /// Where it begins in the file.
    pub(crate) offset: u64,
    /// How long it is.
    pub(crate) bytes: u32,
    /// How much of it is the dictionary page; 0 when there is none.
    pub(crate) dictionary_bytes: u32,
    /// How long the dictionary is when it is unpacked; 0 when there is none. `None` in catalogs of earlier versions: the
    /// file knows, see [`Segment::unpacked_bytes`].
    pub(crate) unpacked_bytes: Option<u32>,
    /// XXH3-64 of its bytes.
    pub(crate) hash: u64,
}

/// The rows of one website in one row group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SiteRange {
    pub(crate) website: WebsiteId,
    pub(crate) group: u32,
    pub(crate) start: u32,
    pub(crate) rows: u32,
    /// The earliest time, milliseconds.
    pub(crate) min_at: i64,
    /// The latest time, milliseconds.
    pub(crate) max_at: i64,
}

/// The ranges of `website` in `sites`, which are sorted by website.
pub(crate) fn ranges_of(sites: &[SiteRange], website: WebsiteId) -> &[SiteRange] {
    let start = sites.partition_point(|range| range.website < website);
    let len = sites[start..].partition_point(|range| range.website == website);
    &sites[start..start + len]
}

/// The websites of `sites`, which are sorted by website.
pub(crate) fn websites_of<'a>(sites: impl IntoIterator<Item = &'a SiteRange>) -> BTreeSet<WebsiteId> {
    sites.into_iter().map(|range| range.website).collect()
}

/// The error number of a disk that cannot read.
const EIO: i32 = 5;

/// Why a segment could not be read. The text names the file, for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("segment {segment:016x}: {what}")]
pub(crate) struct SegmentError {
    segment: u64,
    what: String,
}

impl SegmentError {
    /// The segment.
    pub(crate) fn segment(&self) -> u64 {
        self.segment
    }
}

/// A registered segment. Its file is opened when it is first read.
pub(crate) struct Segment {
    pub(crate) meta: SegmentMeta,
    path: PathBuf,
    file: Mutex<Option<Arc<File>>>,
    /// The first damage that was found.
    damage: OnceLock<SegmentError>,
    text_bytes: OnceLock<u64>,
    is_scrubbed: AtomicBool,
    faults: Option<Arc<dyn Faults>>,
}

impl Segment {
    pub(crate) fn new(segments_dir: &Path, meta: SegmentMeta) -> Self {
        let path = segments_dir.join(file_name(meta.id));
        Self::at(path, meta)
    }

    /// A segment whose file has another name than it gets.
    pub(crate) fn at(path: PathBuf, meta: SegmentMeta) -> Self {
        Self {
            meta,
            path,
            file: Mutex::new(None),
            damage: OnceLock::new(),
            text_bytes: OnceLock::new(),
            is_scrubbed: AtomicBool::new(false),
            faults: None,
        }
    }

    /// The same segment, which asks `faults` before its file is opened.
    pub(crate) fn with_faults(self, faults: Option<Arc<dyn Faults>>) -> Self {
        Self { faults, ..self }
    }

    /// A damage. The first one is kept and goes to the log: from then on the segment counts as damaged and is not merged.
    pub(crate) fn error(&self, what: impl ToString) -> SegmentError {
        let error = SegmentError { segment: self.meta.id, what: what.to_string() };
        // The next reader opens the file anew: it may have been put back by then.
        *self.file.lock() = None;
        if self.damage.set(error.clone()).is_ok() {
            tracing::error!(%error, "a segment is damaged: queries that need it are refused");
        }
        error
    }

    /// A file that cannot be read. Only what says something of the file is a damage of it: a process that has too many
    /// files open can read it later.
    fn unreadable(&self, error: &io::Error) -> SegmentError {
        use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
        if matches!(error.kind(), NotFound | UnexpectedEof | InvalidData) || error.raw_os_error() == Some(EIO) {
            return self.error(error);
        }
        SegmentError { segment: self.meta.id, what: error.to_string() }
    }

    /// The first damage that was found, as one line that names the file.
    pub(crate) fn damage(&self) -> Option<String> {
        self.damage.get().map(ToString::to_string)
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.damage.get().is_some()
    }

    /// Compares the bytes of the file with their checksums, once. `false` when that was done before, or is of no use any more.
    pub(crate) fn scrub(&self) -> bool {
        if self.is_damaged() || self.is_scrubbed.swap(true, Ordering::Relaxed) {
            return false;
        }
        // What is found is kept and in the log; what cannot be read for another reason is met again.
        let _ = self.verify_bytes();
        true
    }

    /// Looks whether the file is there and as long as it was, without opening it: that may take as long as the disk likes.
    pub(crate) fn look(&self) {
        match std::fs::metadata(&self.path) {
            Ok(found) if found.is_file() && found.len() != self.meta.bytes => {
                self.error(format_args!("has {} bytes instead of {}", found.len(), self.meta.bytes));
            }
            Ok(_) => {}
            Err(error) => {
                self.unreadable(&error);
            }
        }
    }

    /// What the strings of all columns of all row groups take when they are unpacked.
    pub(crate) fn text_bytes(&self) -> Result<u64, SegmentError> {
        if let Some(&bytes) = self.text_bytes.get() {
            return Ok(bytes);
        }
        let mut bytes = 0;
        for group in (0..).take(self.meta.groups.len()) {
            for &dimension in Dimension::ALL {
                bytes += self.unpacked_bytes(group, ColumnId::Dimension(dimension))? as u64;
            }
        }
        Ok(*self.text_bytes.get_or_init(|| bytes))
    }

    fn file(&self) -> Result<Arc<File>, SegmentError> {
        if let Some(file) = &*self.file.lock() {
            return Ok(Arc::clone(file));
        }
        if let Some(faults) = &self.faults {
            faults.at(FaultPoint::SegmentRead).map_err(|error| self.unreadable(&error))?;
        }
        // Registered a moment ago it may not have its name yet, or get it between two looks.
        let opened = open_file(&self.path)
            .or_else(|_| open_file(&self.path.with_extension("tmp")))
            .or_else(|_| open_file(&self.path))
            .map_err(|error| self.unreadable(&error))?;
        let bytes = opened.metadata().map_err(|error| self.unreadable(&error))?.len();
        if bytes != self.meta.bytes {
            return Err(self.error(format_args!("has {bytes} bytes instead of {}", self.meta.bytes)));
        }
        Ok(Arc::clone(self.file.lock().get_or_insert(Arc::new(opened))))
    }

    /// Removes the file. Queries that hold the segment read on through the open file; its blocks are free when the last
    /// of them ends.
    pub(crate) fn remove_file(&self) -> std::io::Result<()> {
        // A file that cannot be opened cannot be read by anyone either.
        let _ = self.file();
        // First the name that it loses when it gets the other.
        remove_if_there(&self.path.with_extension("tmp"))?;
        remove_if_there(&self.path)
    }
}

/// Removes a file, or finds that there is none.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Opens a file, and nothing that would have to be waited for, such as a pipe in its place.
fn open_file(path: &Path) -> std::io::Result<File> {
    if std::fs::metadata(path)?.is_file() {
        return File::open(path);
    }
    Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "is not a file"))
}

/// The name of the file of a registered segment.
pub(crate) fn file_name(id: u64) -> String {
    format!("{id:016x}.parquet")
}

/// The name of a file that is being written, and until it is registered.
pub(crate) fn temporary_name(id: u64) -> String {
    format!("{id:016x}.tmp")
}
