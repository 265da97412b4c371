//! Writing a segment: rows of several sources merged by website and time, a row group at a time, a column at a time.
//!
//! Memory is bounded by one column of a row group, which is bounded by rows and by bytes, the times of one row group of each
//! source, and the sessions of about a day for digests, however large the segment and the sources are.

#![expect(
    clippy::cast_possible_truncation,
    reason = "rows, groups and codes have 32 bits, and a group ends before its strings take 4 GB"
)]

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::{ColumnCloseResult, get_column_writer, get_typed_column_writer};
use parquet::data_type::Int64Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::types::{ColumnDescPtr, ColumnPath, SchemaDescriptor};
use xxhash_rust::xxh3::xxh3_64;
use zenovay_domain::{Dimension, WebsiteId};

use super::coder::Coder;
use super::digest::{DictionaryHashes, Digester, Ready};
use super::entry::{STORE_KEY, encode_own};
use super::pages::NotingWriter;
use super::visits::{Packer, VisitsWriter};
use super::{
    BlockMeta, ChunkMeta, Coded, CodesMeta, ColumnId, Columns, DigestMeta, GroupMeta, Origin, PageMeta, Retain,
    Segment, SegmentError, SegmentMeta, SiteRange, Source, StoreId, Tail, Values, codes, hybrid, ranges_of, read,
    remove_if_there, websites_of,
};
use crate::intern::{IdMap, IdSet};
use crate::rows::{BaseRows, Ids};

/// Rows of a data page: pages that a small website has no rows in are not unpacked.
const PAGE_ROWS: usize = 16_384;
/// Level 3 is zstd's default; level 9 saved 1 % on the benchmark's rows and took four times as long.
const ZSTD_LEVEL: i32 = 3;

/// A file is synced after so many bytes and not all at once at its end: a commit of the log that comes meanwhile waits for
/// the disk to write this much, not a whole merged segment.
const SYNC_BYTES: usize = 2 << 20;

/// Why a segment could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Source(#[from] SegmentError),
    /// A segment that is not among the sources and may have the same visitors.
    #[error("visitor codes cannot be given: {0}")]
    Codes(SegmentError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Parquet(ParquetError),
    #[error("cancelled")]
    Cancelled,
}

impl From<ParquetError> for WriteError {
    fn from(error: ParquetError) -> Self {
        // The writer wraps what the file said; a full disk must stay recognisable.
        match error {
            ParquetError::External(inner) => match inner.downcast::<io::Error>() {
                Ok(io) => Self::Io(*io),
                Err(inner) => Self::Parquet(ParquetError::External(inner)),
            },
            other => Self::Parquet(other),
        }
    }
}

/// What is to be written.
#[derive(Debug, Clone)]
pub(crate) struct Target<'a> {
    pub(crate) path: &'a Path,
    pub(crate) store: StoreId,
    pub(crate) id: u64,
    pub(crate) position: u64,
    pub(crate) origin: Origin,
    /// The columns of the file.
    pub(crate) columns: Columns,
    /// The most rows of a row group. A website with an eighth of them has row groups of its own; row groups that websites
    /// share are closed at a quarter: a small website is read by decoding no more than that.
    pub(crate) group_rows: usize,
    /// The most bytes that the different strings of a column take in a row group; one string may be longer.
    pub(crate) group_bytes: usize,
}

/// Writes the rows of `sources` that `retain` keeps to a new, synced file. Rows of the same website and time stand in the
/// order of the sources. `None`, and no file, when no row is kept. Visitors get codes when `registered` are all segments that are
/// registered, and nobody else gives codes until this one is. `cancelled` is asked before each row group.
pub(crate) fn write(
    target: Target<'_>,
    sources: &[&dyn Source],
    retain: Retain<'_>,
    registered: Option<&[Arc<Segment>]>,
    cancelled: &dyn Fn() -> bool,
) -> Result<Option<SegmentMeta>, WriteError> {
    let (path, store, id, position) = (target.path, target.store, target.id, target.position);
    let (origin, columns) = (target.origin.clone(), target.columns.clone());
    // What an earlier try left, or a link that somebody put there, which must not be followed.
    remove_if_there(path)?;
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    let schema = columns.schema()?;
    let mut writer = SerializedFileWriter::new(&file, schema.root_schema_ptr(), Arc::new(properties()))?;
    writer.append_key_value_metadata(KeyValue::new(STORE_KEY.to_owned(), store.to_string()));
    let mut groups = Groups::new(writer, schema, sources, registered, target, cancelled)?;
    for website in websites_of(sources.iter().flat_map(|source| source.sites())) {
        groups.add_website(website, retain)?;
    }
    groups.flush()?;
    let Groups { mut writer, groups, mut sites, rows, .. } = groups;
    if rows == 0 {
        drop(writer);
        std::fs::remove_file(path)?;
        return Ok(None);
    }
    sites.sort_by_key(|range| (range.website, range.group, range.start));
    let offset = writer.bytes_written() as u64;
    let mut meta = SegmentMeta { id, position, rows, bytes: offset, columns, groups, sites, origin, tail: None };
    writer.write_all(&encode_own(&meta, store)?)?;
    writer.finish()?;
    drop(writer);
    file.sync_all()?;
    meta.bytes = file.metadata()?.len();
    meta.tail = Some(Tail::read(&file, offset, meta.bytes)?);
    Ok(Some(meta))
}

fn properties() -> WriterProperties {
    let at = ColumnPath::from(ColumnId::At.name());
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_column_dictionary_enabled(at.clone(), false)
        .set_column_encoding(at, Encoding::DELTA_BINARY_PACKED)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_created_by("zenovay".to_owned())
        .build()
}

/// The row group of a source that was read last, and the times of its rows.
type Times<'a> = Option<(u32, Rc<Cow<'a, [i64]>>)>;

/// The row group that is being gathered, and the file.
struct Groups<'a> {
    writer: SerializedFileWriter<&'a File>,
    schema: SchemaDescriptor,
    /// Length of the file when it was synced last.
    synced_bytes: usize,
    sources: &'a [&'a dyn Source],
    registered: Option<&'a [Arc<Segment>]>,
    target: Target<'a>,
    cancelled: &'a dyn Fn() -> bool,
    /// While a website with row groups of its own is written.
    digester: Option<Digester>,
    /// The same, when its visitors get codes.
    coder: Option<Coder>,
    times: Vec<Times<'a>>,
    pending: Pending,
    compressor: zstd::bulk::Compressor<'static>,
    packer: Packer,
    groups: Vec<GroupMeta>,
    sites: Vec<SiteRange>,
    rows: u64,
}

#[derive(Default)]
struct Pending {
    /// Source and row group.
    parts: Vec<(usize, u32)>,
    part_of: HashMap<(usize, u32), u32>,
    /// Part and row, in the order of the file.
    rows: Vec<(u32, u32)>,
    at: Vec<i64>,
    sites: Vec<SiteRange>,
}

/// What is left of one website in one source.
struct Cursor<'a> {
    source: usize,
    ranges: std::slice::Iter<'a, SiteRange>,
    group: u32,
    at: Rc<Cow<'a, [i64]>>,
    rows: std::vec::IntoIter<u32>,
    next: Option<(i64, u32)>,
}

impl<'a> Cursor<'a> {
    fn advance(
        &mut self,
        sources: &'a [&'a dyn Source],
        times: &mut [Times<'a>],
        retain: Retain<'_>,
    ) -> Result<(), SegmentError> {
        loop {
            if let Some(row) = self.rows.next() {
                self.next = Some((self.at[row as usize], row));
                return Ok(());
            }
            let Some(range) = self.ranges.next() else {
                self.next = None;
                return Ok(());
            };
            let source = sources[self.source];
            self.group = range.group;
            self.at = match &times[self.source] {
                Some((group, at)) if *group == range.group => Rc::clone(at),
                _ => {
                    let at = Rc::new(source.at(range.group)?);
                    times[self.source] = Some((range.group, Rc::clone(&at)));
                    at
                }
            };
            let rows = match source.order(range) {
                Some(order) => order.to_vec(),
                None => (range.start..range.start + range.rows).collect(),
            };
            self.rows = retain.select(source, range, &self.at, rows)?.into_iter();
        }
    }
}

impl<'a> Groups<'a> {
    fn new(
        writer: SerializedFileWriter<&'a File>,
        schema: SchemaDescriptor,
        sources: &'a [&'a dyn Source],
        registered: Option<&'a [Arc<Segment>]>,
        target: Target<'a>,
        cancelled: &'a dyn Fn() -> bool,
    ) -> io::Result<Self> {
        Ok(Self {
            writer,
            schema,
            synced_bytes: 0,
            sources,
            registered,
            target,
            cancelled,
            digester: None,
            coder: None,
            times: sources.iter().map(|_| None).collect(),
            pending: Pending::default(),
            compressor: zstd::bulk::Compressor::new(ZSTD_LEVEL)?,
            packer: Packer::new()?,
            groups: Vec::new(),
            sites: Vec::new(),
            rows: 0,
        })
    }

    fn add_website(&mut self, website: WebsiteId, retain: Retain<'_>) -> Result<(), WriteError> {
        let ranges = self.sources.iter().map(|source| ranges_of(source.sites(), website));
        let total: usize = ranges.clone().flatten().map(|range| range.rows as usize).sum();
        let own = total >= self.target.group_rows / 8;
        if own {
            self.flush()?;
            self.digester = Some(Digester::default());
            if let Some(registered) = self.registered {
                self.coder = Coder::new(registered, self.sources, website)?;
            }
        }
        let limit = if own { self.target.group_rows } else { self.target.group_rows / 4 }.max(1);
        let mut cursors = Vec::new();
        for (source, ranges) in ranges.enumerate() {
            let mut cursor = Cursor {
                source,
                ranges: ranges.iter(),
                group: 0,
                at: Rc::new(Cow::Borrowed(&[])),
                rows: Vec::new().into_iter(),
                next: None,
            };
            cursor.advance(self.sources, &mut self.times, retain)?;
            cursors.push(cursor);
        }
        // Ties go to the earlier source: its rows arrived earlier.
        while let Some(cursor) =
            cursors.iter_mut().filter(|cursor| cursor.next.is_some()).min_by_key(|cursor| cursor.next.map(|(at, _)| at))
        {
            let Some((at, row)) = cursor.next else { break };
            if self.pending.rows.len() >= limit {
                let (source, group) = (cursor.source, cursor.group);
                self.flush()?;
                self.pending.push(website, (source, group), row, at);
            } else {
                self.pending.push(website, (cursor.source, cursor.group), row, at);
            }
            cursor.advance(self.sources, &mut self.times, retain)?;
        }
        if own {
            self.flush()?;
        }
        if let Some(digester) = self.digester.take() {
            self.write_digests(digester.finish())?;
        }
        self.coder = None;
        Ok(())
    }

    /// Writes digests behind what is written so far.
    fn write_digests(&mut self, digests: Vec<Ready>) -> Result<(), WriteError> {
        for Ready { group, hashes, digest } in digests {
            let bytes = digest.encode().map_err(io::Error::other)?;
            self.groups[group as usize].digest = Some(DigestMeta {
                offset: self.writer.bytes_written() as u64,
                bytes: u32::try_from(bytes.len()).map_err(io::Error::other)?,
                hash: xxh3_64(&bytes),
                visitors_hash: hashes.visitors,
                sessions_hash: hashes.sessions,
            });
            self.writer.write_all(&bytes)?;
        }
        Ok(())
    }

    /// Writes the gathered rows as a row group, as several when their strings are long.
    fn flush(&mut self) -> Result<(), WriteError> {
        let pending = std::mem::take(&mut self.pending);
        if pending.rows.is_empty() {
            return Ok(());
        }
        let mut start = 0;
        for end in ends_by_bytes(self.sources, &pending, self.target.group_bytes)? {
            if (self.cancelled)() {
                return Err(WriteError::Cancelled);
            }
            self.write_group(pending.group(start..end))?;
            start = end;
        }
        Ok(())
    }

    fn write_group(&mut self, mut rows: GroupRows) -> Result<(), WriteError> {
        let mut chunks = Vec::new();
        let mut base = Base::default();
        let mut visits: Option<VisitsWriter> = None;
        let mut visitor_codes: Option<Vec<u32>> = None;
        let mut group = self.writer.next_row_group()?;
        for (place, column) in self.target.columns.iter().enumerate() {
            let descriptor = self.schema.column(place);
            let encoded = match column {
                ColumnId::At => encode_times(&rows.at, descriptor)?,
                ColumnId::Website => {
                    let (codes, dictionary) = rows.websites();
                    encode_codes(&codes, &dictionary, rows.sites.len(), descriptor, &mut self.compressor)?
                }
                _ => {
                    let gathered = gather(self.sources, &rows, column)?;
                    let Gathered { codes, dictionary, values } = &gathered;
                    let encoded = encode_codes(codes, dictionary, *values, descriptor, &mut self.compressor)?;
                    if let (ColumnId::Visitor, Some(coder)) = (column, &mut self.coder) {
                        visitor_codes = codes_of_visitors(coder, self.sources, &rows, &gathered)?;
                    }
                    match column {
                        _ if self.digester.is_none() => {}
                        // The columns of dimensions are the last ones.
                        ColumnId::Dimension(dimension) => {
                            let known = match visits.take() {
                                Some(known) => known,
                                None => base.visits(std::mem::take(&mut rows.at), &mut self.packer)?,
                            };
                            let page = &encoded.bytes[..encoded.dictionary_bytes as usize];
                            let column = (&codes[..], *values, empty_text(dictionary));
                            visits.insert(known).add(dimension, column, page, &mut self.packer)?;
                        }
                        _ => base.keep(column, gathered, &encoded.bytes[..encoded.dictionary_bytes as usize])?,
                    }
                    encoded
                }
            };
            let Encoded { bytes, pages, dictionary_bytes, close } = encoded;
            chunks.push(ChunkMeta {
                offset: 0,
                bytes: u32::try_from(bytes.len()).map_err(too_long)?,
                dictionary_bytes,
                pages,
                hash: xxh3_64(&bytes),
            });
            group.append_column(&bytes, close)?;
        }
        let written = group.close()?;
        for (chunk, column) in chunks.iter_mut().zip(written.columns()) {
            chunk.offset = column.byte_range().0;
        }
        let number = self.groups.len() as u32;
        self.sites.extend(rows.sites.iter().map(|range| SiteRange { group: number, ..*range }));
        self.rows += rows.count as u64;
        self.groups.push(GroupMeta { rows: rows.count as u32, chunks, digest: None, visits: None, codes: None });
        if let Some(digester) = &mut self.digester {
            let visits = match visits {
                Some(visits) => visits,
                None => base.visits(rows.at, &mut self.packer)?,
            };
            let offset = self.writer.bytes_written() as u64;
            let (bytes, loaded) = visits.finish(offset)?;
            let ready = digester.add(number, base.hashes, &loaded, &base.ids);
            drop(loaded);
            self.groups[number as usize].visits = Some(BlockMeta {
                offset,
                bytes: u32::try_from(bytes.len()).map_err(io::Error::other)?,
                hash: xxh3_64(&bytes),
            });
            self.writer.write_all(&bytes)?;
            self.write_digests(ready)?;
        }
        if let Some(codes) = visitor_codes {
            let bytes = codes::encode(&codes);
            self.groups[number as usize].codes = Some(CodesMeta {
                offset: self.writer.bytes_written() as u64,
                bytes: u32::try_from(bytes.len()).map_err(io::Error::other)?,
                hash: xxh3_64(&bytes),
                end: codes.iter().max().map_or(0, |highest| highest + 1),
            });
            self.writer.write_all(&bytes)?;
        }
        if self.writer.bytes_written() - self.synced_bytes >= SYNC_BYTES {
            self.writer.inner().sync_data()?;
            self.synced_bytes = self.writer.bytes_written();
        }
        Ok(())
    }
}

fn too_long(error: std::num::TryFromIntError) -> ParquetError {
    ParquetError::General(error.to_string())
}

/// A dictionary whose checksum is right and that is none all the same.
fn not_texts(error: io::Error) -> ParquetError {
    ParquetError::General(format!("strings cannot be read: {error}"))
}

impl Pending {
    fn push(&mut self, website: WebsiteId, part: (usize, u32), row: u32, at: i64) {
        let parts = &mut self.parts;
        let part = *self.part_of.entry(part).or_insert_with(|| {
            parts.push(part);
            parts.len() as u32 - 1
        });
        let start = self.rows.len() as u32;
        self.rows.push((part, row));
        self.at.push(at);
        match self.sites.last_mut() {
            Some(range) if range.website == website => {
                range.rows += 1;
                range.max_at = at;
            }
            _ => self.sites.push(SiteRange { website, group: 0, start, rows: 1, min_at: at, max_at: at }),
        }
    }

    /// The rows at the places `range`.
    fn group(&self, range: std::ops::Range<usize>) -> GroupRows {
        let mut number_of = vec![u32::MAX; self.parts.len()];
        let (mut parts, mut members) = (Vec::new(), Vec::<Vec<(u32, u32)>>::new());
        for (&(part, row), place) in self.rows[range.clone()].iter().zip(0..) {
            let number = &mut number_of[part as usize];
            if *number == u32::MAX {
                *number = parts.len() as u32;
                parts.push(self.parts[part as usize]);
                members.push(Vec::new());
            }
            members[*number as usize].push((row, place));
        }
        let sites = self.sites.iter().filter_map(|site| {
            let start = (site.start as usize).max(range.start);
            let end = ((site.start + site.rows) as usize).min(range.end);
            (start < end).then(|| SiteRange {
                start: (start - range.start) as u32,
                rows: (end - start) as u32,
                min_at: self.at[start],
                max_at: self.at[end - 1],
                ..*site
            })
        });
        GroupRows { count: range.len(), parts, members, sites: sites.collect(), at: self.at[range].to_vec() }
    }
}

/// The rows of a row group.
struct GroupRows {
    count: usize,
    /// Source and row group.
    parts: Vec<(usize, u32)>,
    /// Of each part the rows that are taken, and their places in the new row group.
    members: Vec<Vec<(u32, u32)>>,
    sites: Vec<SiteRange>,
    at: Vec<i64>,
}

impl GroupRows {
    fn websites(&self) -> (Vec<u32>, Vec<u8>) {
        let mut codes = Vec::with_capacity(self.count);
        let mut dictionary = Vec::new();
        for (code, range) in self.sites.iter().enumerate() {
            codes.extend(std::iter::repeat_n(code as u32, range.rows as usize));
            dictionary.extend(range.website.as_u128().to_be_bytes());
        }
        (codes, dictionary)
    }
}

/// A column of a row group over its own dictionary, in the order of first appearance.
struct Gathered {
    codes: Vec<u32>,
    /// The dictionary's values, PLAIN.
    dictionary: Vec<u8>,
    values: usize,
}

/// The columns of a row group that its digest is made of.
#[derive(Default)]
struct Base {
    rows: BaseRows,
    ids: Ids,
    hashes: DictionaryHashes,
}

impl Base {
    /// The rows, which were `at` these times, when all columns of them are here.
    fn visits(&mut self, at: Vec<i64>, packer: &mut Packer) -> io::Result<VisitsWriter> {
        let rows = BaseRows { at, ..std::mem::take(&mut self.rows) };
        VisitsWriter::new(rows.into_chunk(i64::MIN), self.ids.sessions.len(), packer)
    }

    /// Keeps `column` when a digest needs it.
    fn keep(&mut self, column: ColumnId, gathered: Gathered, dictionary_page: &[u8]) -> io::Result<()> {
        if !matches!(column, ColumnId::Kind | ColumnId::Visitor | ColumnId::Session | ColumnId::EngagementMs) {
            return Ok(());
        }
        let Gathered { codes, dictionary, values } = gathered;
        match (column, read::dictionary(column, &dictionary.into(), values)) {
            (ColumnId::Kind, Some(Values::Texts(names))) => {
                let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
                self.rows.kind = read::kinds(&codes, &names).map_err(invalid)?;
            }
            (ColumnId::Visitor, Some(Values::Ids(ids))) => {
                (self.rows.visitor, self.ids.visitors) = (codes, ids);
                self.hashes.visitors = xxh3_64(dictionary_page);
            }
            (ColumnId::Session, Some(Values::Ids(ids))) => {
                (self.rows.session, self.ids.sessions) = (codes, ids);
                self.hashes.sessions = xxh3_64(dictionary_page);
            }
            (_, Some(Values::Numbers(numbers))) => {
                self.rows.engagement_ms = codes.iter().map(|&code| numbers[code as usize]).collect();
            }
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "a dictionary does not fit its column")),
        }
        Ok(())
    }
}

/// The code of the empty string in a PLAIN `dictionary` of strings.
fn empty_text(dictionary: &[u8]) -> Option<u32> {
    let mut rest = dictionary;
    for code in 0.. {
        let (length, texts) = rest.split_first_chunk::<4>()?;
        match u32::from_le_bytes(*length) {
            0 => return Some(code),
            length => rest = texts.get(length as usize..)?,
        }
    }
    None
}

/// Reads the column of one part after the other: what is held beside the new row group is one part's codes, and of its
/// strings one at a time.
fn gather(sources: &[&dyn Source], rows: &GroupRows, column: ColumnId) -> Result<Gathered, WriteError> {
    let mut dictionary = Dictionary::default();
    let mut codes = vec![0; rows.count];
    for (&(source, group), members) in rows.parts.iter().zip(&rows.members) {
        let source = sources[source];
        let (old, names) = match column {
            ColumnId::Kind | ColumnId::Dimension(_) => {
                let texts = source.read_texts(group, column)?;
                let mut is_used = vec![false; texts.len()];
                members.iter().for_each(|&(row, _)| is_used[texts.codes[row as usize] as usize] = true);
                let mut names = vec![0; texts.len()];
                let named = texts.each(|code, text| {
                    if is_used[code as usize] {
                        names[code as usize] = dictionary.text(text);
                    }
                });
                named.map_err(not_texts)?;
                (texts.codes, names)
            }
            _ => {
                let Coded { codes: old, values } = source.read(group, column)?;
                // The new code of each old one, plus one; 0 where there is none yet.
                let mut names: Vec<u32> = vec![0; values.len()];
                for &(row, _) in members {
                    let name = &mut names[old[row as usize] as usize];
                    if *name == 0 {
                        *name = dictionary.number(&values, old[row as usize]) + 1;
                    }
                }
                names.iter_mut().for_each(|name| *name = name.saturating_sub(1));
                (old, names)
            }
        };
        for &(row, place) in members {
            codes[place as usize] = names[old[row as usize] as usize];
        }
    }
    Ok(dictionary.in_order_of(codes))
}

/// The codes of the visitors of a new row group, in the order of their ids: those that they have in the sources, and new ones. `None`
/// when there is not one for each.
fn codes_of_visitors(
    coder: &mut Coder,
    sources: &[&dyn Source],
    rows: &GroupRows,
    visitors: &Gathered,
) -> Result<Option<Vec<u32>>, WriteError> {
    let mut codes: Vec<Option<u32>> = vec![None; visitors.values];
    for (&(source, group), members) in rows.parts.iter().zip(&rows.members) {
        let Some(stored) = sources[source].visitor_codes(group)? else { continue };
        let Coded { codes: old, .. } = sources[source].read(group, ColumnId::Visitor)?;
        for &(row, place) in members {
            codes[visitors.codes[place as usize] as usize] = stored.get(old[row as usize] as usize).copied();
        }
    }
    let ids = visitors.dictionary.as_chunks::<8>().0.iter().map(|&id| u64::from_le_bytes(id));
    Ok(codes.into_iter().zip(ids).map(|(code, id)| code.or_else(|| coder.code(id))).collect())
}

/// Where row groups must end within `pending`, so that the different strings of no column take more than `limit` bytes in
/// one of them. Ends with the number of rows.
fn ends_by_bytes(sources: &[&dyn Source], pending: &Pending, limit: usize) -> Result<Vec<usize>, WriteError> {
    let mut ends = vec![pending.rows.len()];
    for &dimension in Dimension::ALL {
        let column = ColumnId::Dimension(dimension);
        // What all strings of the parts take is known without reading them, and is nearly always little.
        let mut bytes = 0;
        for &(source, group) in &pending.parts {
            bytes += sources[source].text_bytes(group, column)?;
        }
        if bytes > limit {
            ends = ends_of_column(sources, pending, column, limit, &ends)?;
        }
    }
    Ok(ends)
}

/// `ends` and those that `column` needs beside them.
fn ends_of_column(
    sources: &[&dyn Source],
    pending: &Pending,
    column: ColumnId,
    limit: usize,
    ends: &[usize],
) -> Result<Vec<usize>, WriteError> {
    // Of each part the codes, and of each code the hash and the bytes of its string.
    let mut parts = Vec::with_capacity(pending.parts.len());
    for &(source, group) in &pending.parts {
        let texts = sources[source].read_texts(group, column)?;
        let mut sizes = Vec::with_capacity(texts.len());
        texts.each(|_, text| sizes.push((xxh3_64(text.as_bytes()), text.len() + 4))).map_err(not_texts)?;
        parts.push((texts.codes, sizes));
    }
    let mut all = Vec::with_capacity(ends.len());
    let mut given = ends.iter().peekable();
    let (mut seen, mut bytes) = (IdSet::default(), 0);
    for (place, &(part, row)) in pending.rows.iter().enumerate() {
        let (codes, sizes) = &parts[part as usize];
        let (hash, size) = sizes[codes[row as usize] as usize];
        let is_end = given.next_if_eq(&&place).is_some();
        if is_end || (bytes > 0 && bytes + size > limit && !seen.contains(&hash)) {
            all.push(place);
            (seen, bytes) = (IdSet::default(), 0);
        }
        if seen.insert(hash) {
            bytes += size;
        }
    }
    all.push(pending.rows.len());
    Ok(all)
}

/// The values of a new dictionary, in the order in which they were met.
#[derive(Default)]
struct Dictionary {
    ids: IdMap<u32>,
    /// By the hash of the string.
    texts: IdMap<u32>,
    /// Texts whose hash another has.
    others: HashMap<Box<str>, u32>,
    plain: Vec<u8>,
    /// Where each value begins in `plain`.
    starts: Vec<u32>,
}

impl Dictionary {
    fn number(&mut self, values: &Values, code: u32) -> u32 {
        let next = self.starts.len() as u32;
        let number = match values {
            Values::Ids(ids) => ids[code as usize],
            Values::Numbers(numbers) => u64::from(numbers[code as usize]),
            Values::Texts(texts) => return self.text(texts.get(code)),
        };
        let known = *self.ids.entry(number).or_insert(next);
        if known == next {
            self.starts.push(self.plain.len() as u32);
            match values {
                Values::Numbers(_) => self.plain.extend((number as u32).to_le_bytes()),
                _ => self.plain.extend(number.to_le_bytes()),
            }
        }
        known
    }

    fn text(&mut self, text: &str) -> u32 {
        let next = self.starts.len() as u32;
        let mut known = *self.texts.entry(xxh3_64(text.as_bytes())).or_insert(next);
        if known != next && self.bytes_of(known) != text.as_bytes() {
            known = match self.others.get(text) {
                Some(&known) => known,
                None => *self.others.entry(text.into()).or_insert(next),
            };
        }
        if known == next {
            self.starts.push(self.plain.len() as u32);
            self.plain.extend((text.len() as u32).to_le_bytes());
            self.plain.extend(text.as_bytes());
        }
        known
    }

    /// The bytes of a string.
    fn bytes_of(&self, code: u32) -> &[u8] {
        &self.plain[self.range(code)][4..]
    }

    /// Where a value is in `plain`.
    fn range(&self, code: u32) -> std::ops::Range<usize> {
        let end = self.starts.get(code as usize + 1).map_or(self.plain.len(), |&end| end as usize);
        self.starts[code as usize] as usize..end
    }

    /// The column of rows with `codes`, its values in the order in which the rows have them.
    fn in_order_of(self, mut codes: Vec<u32>) -> Gathered {
        let values = self.starts.len();
        let mut names = vec![u32::MAX; values];
        let mut order = Vec::with_capacity(values);
        for code in &mut codes {
            let name = &mut names[*code as usize];
            if *name == u32::MAX {
                *name = order.len() as u32;
                order.push(*code);
            }
            *code = *name;
        }
        let is_in_order = order.iter().zip(0..).all(|(&code, place)| code == place);
        let dictionary = if is_in_order && order.len() == values {
            self.plain
        } else {
            let mut plain = Vec::with_capacity(self.plain.len());
            order.iter().for_each(|&code| plain.extend_from_slice(&self.plain[self.range(code)]));
            plain
        };
        Gathered { codes, dictionary, values: order.len() }
    }
}

/// A column chunk.
struct Encoded {
    bytes: Bytes,
    pages: Vec<PageMeta>,
    /// How much of it is the dictionary page; 0 when there is none.
    dictionary_bytes: u32,
    close: ColumnCloseResult,
}

/// The bits in which a page has each code of `values` codes. Codes of 5 to 16 bits take whole bytes: packed bits hide from zstd that some
/// codes are frequent. Countries take a seventh less so, pages and cities a thirtieth; columns of few values take more.
fn page_width(values: usize) -> u8 {
    match hybrid::width_for(values) {
        width @ 5..=16 => width.next_multiple_of(8),
        width => width,
    }
}

/// A column chunk of a dictionary page and pages of codes.
fn encode_codes(
    codes: &[u32],
    dictionary: &[u8],
    values: usize,
    descriptor: ColumnDescPtr,
    compressor: &mut zstd::bulk::Compressor<'_>,
) -> Result<Encoded, WriteError> {
    let mut sink = TrackedWrite::new(Vec::new());
    let mut noted = Vec::new();
    let mut uncompressed = 0;
    let mut writer = NotingWriter { inner: SerializedPageWriter::new(&mut sink), pages: &mut noted };
    let mut write = |page: Page, size: usize| -> Result<u64, ParquetError> {
        let spec = writer.write_page(CompressedPage::new(page, size))?;
        uncompressed += spec.uncompressed_size as i64;
        Ok(spec.bytes_written)
    };
    let page = Page::DictionaryPage {
        buf: compressor.compress(dictionary)?.into(),
        num_values: values as u32,
        encoding: Encoding::PLAIN,
        is_sorted: false,
    };
    let dictionary_bytes = u32::try_from(write(page, dictionary.len())?).map_err(too_long)?;
    let width = page_width(values);
    let mut packed = Vec::new();
    for codes in codes.chunks(PAGE_ROWS) {
        packed.clear();
        packed.push(width);
        hybrid::encode(codes, width, &mut packed);
        let page = Page::DataPage {
            buf: compressor.compress(&packed)?.into(),
            num_values: codes.len() as u32,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        write(page, packed.len())?;
    }
    let bytes = Bytes::from(sink.into_inner()?);
    let metadata = ColumnChunkMetaData::builder(descriptor)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
        .set_total_compressed_size(bytes.len() as i64)
        .set_total_uncompressed_size(uncompressed)
        .set_num_values(codes.len() as i64)
        .set_dictionary_page_offset(Some(0))
        .set_data_page_offset(dictionary_bytes.into())
        .build()?;
    let close = ColumnCloseResult {
        bytes_written: bytes.len() as u64,
        rows_written: codes.len() as u64,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    Ok(Encoded { bytes, pages: noted, dictionary_bytes, close })
}

fn encode_times(at: &[i64], descriptor: ColumnDescPtr) -> Result<Encoded, WriteError> {
    let mut sink = TrackedWrite::new(Vec::new());
    let mut noted = Vec::new();
    let pages = Box::new(NotingWriter { inner: SerializedPageWriter::new(&mut sink), pages: &mut noted });
    let mut writer = get_typed_column_writer::<Int64Type>(get_column_writer(descriptor, Arc::new(properties()), pages));
    writer.write_batch(at, None, None)?;
    let mut close = writer.close()?;
    // One row group's times are indexed by nothing: the statistics of the chunk are enough.
    close.column_index = None;
    close.offset_index = None;
    Ok(Encoded { bytes: Bytes::from(sink.into_inner()?), pages: noted, dictionary_bytes: 0, close })
}
