//! Segments: immutable Parquet files of sealed rows.
//!
//! # The file
//!
//! `segments/<16 hex digits>.parquet`, standard Parquet that other programs open. One row per event, or per session that
//! sent heartbeats; rows sorted by website, then by time, rows of the same time in the order of their arrival. Every
//! column has a value in every row; a string that an event does not have is the empty string.
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `website_id` | 16 bytes, UUID | whose |
//! | `occurred_at` | INT64, timestamp in milliseconds, UTC | when; of a folded heartbeat, the last one |
//! | `event_type` | string | the kind's name; `heartbeat` rows are not events |
//! | `visitor_id`, `session_id` | INT64, unsigned | keyed hashes |
//! | `flags` | INT32, unsigned | `EventFlags` |
//! | `engagement_ms` | INT32, unsigned | of a folded heartbeat, the sum |
//! | `scroll_percent` | INT32, unsigned | of a folded heartbeat, the largest |
//! | one for each `Dimension`, by its name | string | |
//!
//! A file has the columns that there were when it was written; the catalog names them. One that was added since reads as
//! empty strings or zeros, in queries, merges and checks, and the file that a merge writes has it.
//!
//! `occurred_at` is DELTA_BINARY_PACKED. Every other column chunk is one dictionary page and data pages of RLE/bit-packed codes of
//! 16,384 rows each: there is no other encoding, so a reader takes the codes as they are. All pages are zstd.
//!
//! A website with 16,384 rows or more has row groups of its own, of up to 131,072 rows; smaller websites share row groups
//! of about 32,768 rows, and the catalog knows each one's rows. A row group ends earlier when the different values of a
//! column would take more than 4 MiB: a column of a row group is what writers and readers hold at once. Behind row groups of one website stand
//! digests, see `digest.rs`, their sessions, see `visits.rs`, and the codes of their visitors, see `codes.rs`.
//!
//! # The catalog
//!
//! A row of the table `segments` in `events.db` per file: [`SegmentMeta`], which has the names of the columns, the place,
//! length and XXH3-64 of each column chunk, the lengths of its pages, and the rows of each website. Reading a column takes
//! its chunk with one read, verifies the checksum and decodes; the headers of pages and the file's footer are only for other
//! programs. A file is never trusted beyond what the catalog says of it:
//! shorter, longer or changed, it is an error and not a smaller number. The file says the same of itself, see `entry.rs`: that
//! is what a lost catalog is rebuilt from.

mod check;
mod coder;
mod codes;
mod digest;
mod entry;
pub(crate) mod hybrid;
mod origin;
mod pages;
mod read;
mod source;
mod visits;
mod write;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::errors::ParquetError;
use parquet::schema::types::{SchemaDescriptor, Type};
use serde::{Deserialize, Serialize};
use zenovay_domain::{Dimension, WebsiteId};
use zenovay_query::{Cause, QueryError};

use self::codes::CODES_MAX;
use crate::faults::{FaultPoint, Faults};

pub use check::SegmentCheck;
pub(crate) use coder::{CodeMap, UNKNOWN, can_be_given, coded_groups, end_of_codes, spread};
pub(crate) use codes::CodesMeta;
pub(crate) use digest::{DigestMeta, StoredDigest};
pub(crate) use entry::{EntryError, StoreId, decode_meta, encode_meta, read_own, store_of};
pub(crate) use origin::{Batches, Origin};
pub(crate) use read::{Coded, Rows, TextColumn, Texts, Values};
pub(crate) use source::{HeadSource, Retain, Source};
pub(crate) use visits::{BlockMeta, StoredVisits, VisitsError};
pub(crate) use write::{Target, WriteError, write};

#[cfg(test)]
pub(crate) use visits::set_version as set_version_of_visits;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use {
    codes::decode as decode_codes,
    entry::checksum,
    pages::Pages,
    read::{coded, dictionary, times},
    visits::ALL_OF_VISITS,
};

/// The versions that are written: of the entry, of digests, of visits and of codes.
pub(crate) const VERSIONS: [u8; 4] = [entry::VERSION, digest::VERSION, visits::VERSION, codes::VERSION];

/// A column of a segment.
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

    pub(crate) fn name(self) -> &'static str {
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

    fn field(self) -> Result<Type, ParquetError> {
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

/// The columns of a file, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Columns(Vec<ColumnId>);

impl Default for Columns {
    /// Those of a file that is written now.
    fn default() -> Self {
        Self(ColumnId::all().collect())
    }
}

impl Columns {
    /// Those without which rows cannot be told: a file that does not have them is damaged.
    const REQUIRED: [ColumnId; 6] =
        [ColumnId::Website, ColumnId::At, ColumnId::Kind, ColumnId::Visitor, ColumnId::Session, ColumnId::EngagementMs];

    /// These columns.
    #[cfg(test)]
    pub(crate) fn new(columns: impl IntoIterator<Item = ColumnId>) -> Self {
        Self(columns.into_iter().collect())
    }

    /// The columns with these names; the first name that is not known is the error.
    fn named<'a>(names: &[&'a str]) -> Result<Self, &'a str> {
        let column = |name: &&'a str| ColumnId::all().find(|column| column.name() == *name).ok_or(*name);
        names.iter().map(column).collect::<Result<_, _>>().map(Self)
    }

    /// The first `count` of those that there were when files did not name their columns.
    fn of_old(count: usize) -> Self {
        Self(ColumnId::all().take(count.min(UNNAMED_COLUMNS)).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = ColumnId> {
        self.0.iter().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Where the chunks of `column` stand in each row group; `None` when the file does not have it.
    fn place(&self, column: ColumnId) -> Option<usize> {
        self.0.iter().position(|&own| own == column)
    }

    fn is_sound(&self) -> bool {
        let is_once = |(place, column): (usize, &ColumnId)| self.place(*column) == Some(place);
        self.0.iter().enumerate().all(is_once) && Self::REQUIRED.iter().all(|&column| self.place(column).is_some())
    }

    /// Parquet's schema of a file with these columns.
    fn schema(&self) -> Result<SchemaDescriptor, ParquetError> {
        let fields: Result<Vec<_>, _> = self.iter().map(|column| column.field().map(Arc::new)).collect();
        let schema = Type::group_type_builder("events").with_fields(fields?).build()?;
        Ok(SchemaDescriptor::new(Arc::new(schema)))
    }
}

/// How many columns there were when files did not name them.
const UNNAMED_COLUMNS: usize = 31;

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
    /// Its columns. Stored by their names, see `entry.rs`.
    #[serde(skip)]
    pub(crate) columns: Columns,
    pub(crate) groups: Vec<GroupMeta>,
    /// Sorted by website, row group and first row.
    pub(crate) sites: Vec<SiteRange>,
    /// Which batches of the log it has the rows of.
    pub(crate) origin: Origin,
    /// What stands behind the row groups. `None` in files of version 2, and in what a file says of itself.
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

/// More rows than any row group has. What a reader reserves for one column of them stays below 256 MB.
const GROUP_ROWS_MAX: u32 = 1 << 24;

impl SegmentMeta {
    /// Whether its numbers fit each other, so that a reader can reckon with them: everything lies in the file, and the rows
    /// of each website in their row group.
    pub(crate) fn is_sound(&self) -> bool {
        let in_file = |offset: u64, bytes: u32| offset.checked_add(bytes.into()).is_some_and(|end| end <= self.bytes);
        let is_group_sound = |group: &GroupMeta| {
            group.rows <= GROUP_ROWS_MAX
                && group.chunks.len() == self.columns.len()
                && group.chunks.iter().all(|chunk| chunk.is_sound() && in_file(chunk.offset, chunk.bytes))
                && group.digest.is_none_or(|digest| in_file(digest.offset, digest.bytes))
                && group.visits.is_none_or(|visits| in_file(visits.offset, visits.bytes))
                && group.codes.is_none_or(|codes| in_file(codes.offset, codes.bytes) && codes.end <= CODES_MAX)
        };
        let is_site_sound = |site: &SiteRange| {
            let end = site.start.checked_add(site.rows);
            let group = self.groups.get(site.group as usize);
            group.zip(end).is_some_and(|(group, end)| end <= group.rows)
        };
        self.columns.is_sound()
            && self.groups.iter().all(is_group_sound)
            && self.sites.iter().all(is_site_sound)
            && self.tail.is_none_or(|tail| tail.offset <= self.bytes)
            && self.sites.is_sorted_by_key(|site| (site.website, site.group, site.start))
    }

    /// Whether an earlier version wrote the file, which does not know all that is known of files now. It is written anew when
    /// there is time.
    pub(crate) fn is_old(&self) -> bool {
        let is_old = |group: &GroupMeta| {
            group.chunks.iter().any(|chunk| chunk.pages.is_empty())
                || (group.digest.is_some() && group.visits.is_none())
        };
        self.tail.is_none() || self.groups.iter().any(is_old)
    }

    /// Whether a website has row groups for itself, and its visitors have no codes there. The file is written anew when there is time.
    pub(crate) fn lacks_codes(&self) -> bool {
        self.groups.iter().any(|group| group.visits.is_some() && group.codes.is_none())
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
    /// Its sessions. Row groups that websites share do not have them, nor those of earlier versions.
    pub(crate) visits: Option<BlockMeta>,
    /// The codes of its visitors. Row groups that websites share do not have them, nor those of earlier versions, nor a segment that
    /// came while others were written anew.
    pub(crate) codes: Option<CodesMeta>,
}

/// A column chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChunkMeta {
    /// Where it begins in the file.
    pub(crate) offset: u64,
    /// How long it is.
    pub(crate) bytes: u32,
    /// How much of it is the dictionary page; 0 when there is none.
    pub(crate) dictionary_bytes: u32,
    /// Its pages, the dictionary first. Empty in catalogs of earlier versions: the file knows, see `pages.rs`.
    pub(crate) pages: Vec<PageMeta>,
    /// XXH3-64 of its bytes.
    pub(crate) hash: u64,
}

impl ChunkMeta {
    /// Whether its pages, when they are known, fill it.
    fn is_sound(&self) -> bool {
        let bytes: Option<u32> = self.pages.iter().try_fold(0_u32, |sum, page| sum.checked_add(page.bytes()?));
        let is_first = |page: &PageMeta| self.dictionary_bytes == 0 || page.bytes() == Some(self.dictionary_bytes);
        self.dictionary_bytes <= self.bytes
            && (self.pages.is_empty() || bytes == Some(self.bytes))
            && self.pages.first().is_none_or(is_first)
    }
}

/// A page of a column chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PageMeta {
    /// The length of Parquet's header before it, which only other programs read.
    pub(crate) header_bytes: u32,
    /// Its length behind the header.
    pub(crate) packed_bytes: u32,
    /// How long it is when it is unpacked.
    pub(crate) unpacked_bytes: u32,
    /// How many values it has.
    pub(crate) values: u32,
}

impl PageMeta {
    /// Its length with the header.
    fn bytes(&self) -> Option<u32> {
        self.header_bytes.checked_add(self.packed_bytes)
    }
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

/// Why a segment could not be read. The message names the file, for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("segment {segment:016x}: {what}")]
pub(crate) struct SegmentError {
    segment: u64,
    /// What is wrong, and what the system said, when it was that.
    what: Cause,
}

impl SegmentError {
    /// The segment.
    pub(crate) fn segment(&self) -> u64 {
        self.segment
    }
}

/// An answer that cannot be given because of `error`.
pub(crate) fn damaged(error: SegmentError) -> QueryError {
    tracing::warn!(%error, "a query is refused");
    QueryError::damaged(Cause::new(error.to_string(), error.what))
}

impl From<SegmentError> for QueryError {
    fn from(error: SegmentError) -> Self {
        damaged(error)
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
    has_old_visits: OnceLock<bool>,
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
            has_old_visits: OnceLock::new(),
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
        self.note(SegmentError { segment: self.meta.id, what: what.to_string().into() })
    }

    fn note(&self, error: SegmentError) -> SegmentError {
        // The next reader opens the file anew: it may have been put back by then.
        *self.file.lock() = None;
        if self.damage.set(error.clone()).is_ok() {
            tracing::error!(%error, "a segment is damaged: queries that need it are refused");
        }
        error
    }

    /// A file that cannot be read. Only what says something of the file is a damage of it: a process that has too many
    /// files open can read it later.
    fn unreadable(&self, error: io::Error) -> SegmentError {
        use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
        let is_damage =
            matches!(error.kind(), NotFound | UnexpectedEof | InvalidData) || error.raw_os_error() == Some(EIO);
        let error = SegmentError { segment: self.meta.id, what: Cause::new(error.to_string(), error) };
        if is_damage { self.note(error) } else { error }
    }

    /// The first damage that was found, as one line that names the file.
    pub(crate) fn damage(&self) -> Option<String> {
        self.damage.get().map(ToString::to_string)
    }

    /// Whether the visitors of row group `group` have codes.
    pub(crate) fn has_codes(&self, group: u32) -> bool {
        self.codes_of(group).is_some()
    }

    /// One more than the highest code of the visitors of row group `group`; 0 without codes.
    pub(crate) fn end_of_codes(&self, group: u32) -> u32 {
        self.codes_of(group).map_or(0, |codes| codes.end)
    }

    fn codes_of(&self, group: u32) -> Option<CodesMeta> {
        self.meta.groups.get(group as usize)?.codes
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
                self.unreadable(error);
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
            faults.at(FaultPoint::SegmentRead).map_err(|error| self.unreadable(error))?;
        }
        // Registered a moment ago it may not have its name yet, or get it between two looks.
        let opened = open_file(&self.path)
            .or_else(|_| open_file(&self.path.with_extension("tmp")))
            .or_else(|_| open_file(&self.path))
            .map_err(|error| self.unreadable(error))?;
        let bytes = opened.metadata().map_err(|error| self.unreadable(error))?.len();
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
